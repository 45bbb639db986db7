"""Every update against its definition, and the facts that hold for all of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scinn.inverse.ensembles import (
    data_misfit_step,
    eki_update,
    eks_update,
    esmda_update,
    etki_update,
    ies_update,
    teki_update,
)
from scinn.inverse.ensembles.algebra import centred
from scinn.inverse.ensembles.steps import inflation_schedule
from scinn.reference import ensemble_kalman as reference

SEEDS = st.integers(0, 2**32 - 1)
MEMBERS = st.sampled_from([2, 3, 7, 12])
SIZES = st.sampled_from([1, 2, 5, 11, 16])
ALPHAS = st.sampled_from([0.02, 1.0, 7.5])


def case(seed, n, d, m):
    rng = np.random.default_rng(seed)
    return rng, rng.standard_normal((n, d)) + 1.0, 2.0 * rng.standard_normal((n, m)), rng.standard_normal(m)


@given(seed=SEEDS, n=MEMBERS, d=SIZES, m=SIZES, alpha=ALPHAS)
def test_updates_are_their_formulas(seed, n, d, m, alpha):
    rng, u, v, y = case(seed, n, d, m)
    noise = rng.standard_normal((n, m))
    close = {"rtol": 1e-9, "atol": 1e-10}
    np.testing.assert_allclose(
        esmda_update(u, v, y, alpha, noise), reference.esmda_update(u, v, y, alpha, noise), **close
    )
    np.testing.assert_allclose(etki_update(u, v, y, alpha), reference.etki_update(u, v, y, alpha), **close)
    np.testing.assert_allclose(
        teki_update(u, v, y, 1 / alpha), reference.teki_update(u, v, y, 1 / alpha), **close
    )
    np.testing.assert_allclose(eki_update(u, v, y, 1 / alpha), reference.etki_update(u, v, y, alpha), **close)
    np.testing.assert_allclose(
        eki_update(u, v, y, 1 / alpha, "perturbed", noise),
        reference.esmda_update(u, v, y, alpha, noise),
        **close,
    )


@given(seed=SEEDS, n=MEMBERS, m=SIZES, step=st.sampled_from([0.3, 1.0]))
def test_subspace_step_is_its_formula(seed, n, m, step):
    rng, _, v, _ = case(seed, n, 1, m)
    weights = centred(0.3 * rng.standard_normal((n, n)).T).T
    perturbed = rng.standard_normal((n, m))
    np.testing.assert_allclose(
        ies_update(weights, v, perturbed, step),
        reference.ies_update(weights, v, perturbed, step),
        rtol=1e-8,
        atol=1e-9,
    )


@given(seed=SEEDS, n=MEMBERS, d=SIZES, m=SIZES, correction=st.booleans())
def test_sampler_step_is_its_formula(seed, n, d, m, correction):
    rng, u, _, y = case(seed, n, d, m)
    operator = rng.standard_normal((m, d))
    z = rng.standard_normal((n, n))
    q = min(d, n - 1) if correction else None
    np.testing.assert_allclose(
        eks_update(u, u @ operator.T, y, 0.2, z, correction=correction),
        reference.eks_update(u, operator, y, 0.2, z, q),
        rtol=1e-9,
        atol=1e-9,
    )


def test_a_short_sampler_step_follows_the_drift_of_nonlinear_predictions():
    _, u, v, y = case(3, 9, 4, 6)
    dt = 1e-7
    moved = (eks_update(u, v, y, dt, np.zeros((9, 9))) - u) / dt
    np.testing.assert_allclose(moved, reference.eks_drift(u, v, y, 4), rtol=1e-5, atol=1e-5)


def all_updates(n, m):
    """Return each update as a function of members, predictions, data and the members' noise."""
    return {
        "esmda": lambda u, v, y, eta: esmda_update(u, v, y, 2.0, eta[:, :m]),
        "etki": lambda u, v, y, eta: etki_update(u, v, y, 2.0),
        "common_gain": lambda u, v, y, eta: eki_update(u, v, y, 0.5, "common_gain"),
        "teki": lambda u, v, y, eta: teki_update(u, v, y, 0.5),
        "ies": lambda u, v, y, eta: (
            u + ies_update(np.zeros((n, n)), v, y + eta[:, :m], 0.7) @ centred(u) / np.sqrt(n - 1)
        ),
        # A row of noise belongs to a member, and so does a column.
        "eks": lambda u, v, y, eta: eks_update(u, v, y, 0.1, eta @ eta.T),
    }


@pytest.mark.parametrize("name", all_updates(2, 1))
@pytest.mark.parametrize(("n", "d", "m"), [(5, 12, 3), (5, 12, 20), (9, 3, 4), (2, 6, 1)])
def test_updates_stay_in_the_affine_span_and_permute_with_the_members(name, n, d, m):
    rng, u, v, y = case(11, n, d, m)
    eta = rng.standard_normal((n, m + 2))
    update = all_updates(n, m)[name]
    moved = update(u, v, y, eta)
    assert np.abs(moved - u).max() > 1e-3
    basis = centred(u)
    residue = (moved - u[0]) - (moved - u[0]) @ np.linalg.pinv(basis) @ basis
    assert np.abs(residue).max() < 1e-11 * max(1.0, np.abs(moved).max())
    order = rng.permutation(n)
    np.testing.assert_allclose(
        update(u[order], v[order], y, eta[order]), moved[order], rtol=1e-10, atol=1e-11
    )


@pytest.mark.parametrize(("n", "d", "m"), [(6, 40, 5), (6, 4, 30), (30, 4, 3), (3, 1, 1), (12, 12, 12)])
@pytest.mark.parametrize("schedule", [[1.0], [2.0, 2.0], [7.0, 3.5, 1.75], [50.0, 1 / 0.98]])
def test_square_root_updates_are_exact_for_linear_predictions_on_any_schedule(n, d, m, schedule):
    if schedule == [7.0, 3.5, 1.75]:
        assert sum(1 / a for a in schedule) == pytest.approx(1.0)
    rng, u, _, y = case(5, n, d, m)
    operator = rng.standard_normal((m, d))
    mean, cov = reference.linear_posterior(operator, y, u.mean(axis=0), reference.covariance(u, u))
    members = u
    for alpha in schedule:
        members = etki_update(members, members @ operator.T, y, alpha)
    np.testing.assert_allclose(members.mean(axis=0), mean, atol=1e-10)
    np.testing.assert_allclose(reference.covariance(members, members), cov, atol=1e-10)


def test_square_root_update_respects_its_step():
    # A peer's ignored the step: every one was taken as long as the first.
    rng, u, _, y = case(6, 8, 3, 4)
    operator = rng.standard_normal((4, 3))
    for dt in (0.1, 0.5, 3.0):
        mean, cov = reference.linear_posterior(operator, y, u.mean(axis=0), reference.covariance(u, u), dt)
        members = etki_update(u, u @ operator.T, y, 1.0 / dt)
        np.testing.assert_allclose(members.mean(axis=0), mean, atol=1e-11)
        np.testing.assert_allclose(reference.covariance(members, members), cov, atol=1e-11)


def test_perturbed_updates_respect_their_step_in_the_noise_too():
    # With the noise of alpha = 1 in place of alpha the spread after four steps would be too small.
    rng = np.random.default_rng(0)
    u = rng.standard_normal((20_000, 1))
    for _ in range(4):
        u = esmda_update(u, 2.0 * u, np.array([3.0]), 4.0, rng.standard_normal(u.shape))
    # Posterior of N(0, 1) with precision 1 + 4.
    assert u.var(ddof=1) == pytest.approx(0.2, rel=0.04)
    assert u.mean() == pytest.approx(6.0 / 5.0, abs=0.015)


def test_first_full_step_of_the_subspace_smoother_is_the_smoother():
    rng, u, v, y = case(8, 7, 20, 9)
    eta = rng.standard_normal(v.shape)
    weights = ies_update(np.zeros((7, 7)), v, y + eta, 1.0)
    np.testing.assert_allclose(
        u + weights @ centred(u) / np.sqrt(6), esmda_update(u, v, y, 1.0, eta), atol=1e-12
    )


@pytest.mark.parametrize(("n", "d", "m"), [(6, 20, 9), (15, 3, 4)])
def test_subspace_smoother_has_its_fixed_point_at_once_for_linear_predictions(n, d, m):
    rng, u, _, y = case(9, n, d, m)
    operator = rng.standard_normal((m, d))
    perturbed = y + rng.standard_normal((n, m))
    weights = np.zeros((n, n))

    def step(weights, g):
        members = u + weights @ centred(u) / np.sqrt(n - 1)
        return ies_update(weights, members @ operator.T, perturbed, g)

    first = step(weights, 1.0)
    np.testing.assert_allclose(step(first, 1.0), first, atol=1e-10)
    # Shorter steps have the same fixed point, approached geometrically.
    for k in range(1, 30):
        weights = step(weights, 0.5)
        np.testing.assert_allclose(weights, (1 - 0.5**k) * first, atol=1e-10)


@given(seed=SEEDS, n=st.integers(2, 9), m=st.integers(1, 9), remaining=st.sampled_from([0.01, 1.0, np.inf]))
def test_controller_is_its_formula(seed, n, m, remaining):
    misfits = np.random.default_rng(seed).exponential(5.0, n)
    want = reference.data_misfit_step(misfits, m, remaining)
    assert data_misfit_step(misfits, m, remaining) == pytest.approx(want, rel=1e-12)


def test_controller_takes_all_that_is_left_where_nothing_is_to_fit():
    assert data_misfit_step(np.zeros(4), 3, 0.3) == 0.3
    assert data_misfit_step(np.full(4, 2.0), 3) == np.inf


@pytest.mark.parametrize(
    ("inflation", "message"),
    [([2.0, 4.0], "count 0.75 times"), ([1.0, 1.0], "2 is|1 is wanted"), ([], "or none"), ([-1.0, 0.5], "not positive"),
     ("auto", "'auto'"), (0, "inflation is 0")],
)  # fmt: skip
def test_schedules_that_do_not_end_at_the_posterior_are_refused(inflation, message):
    with pytest.raises(ValueError, match=message):
        inflation_schedule(inflation)


def test_taper_of_ones_changes_nothing_and_of_zeros_everything():
    rng, u, v, y = case(4, 6, 5, 3)
    eta = rng.standard_normal(v.shape)
    plain = esmda_update(u, v, y, 2.0, eta)
    np.testing.assert_allclose(esmda_update(u, v, y, 2.0, eta, np.ones((5, 3))), plain, atol=1e-12)
    assert np.array_equal(esmda_update(u, v, y, 2.0, eta, np.zeros((5, 3))), u)
    one = np.zeros((5, 3))
    one[2, 1] = 1.0
    moved = esmda_update(u, v, y, 2.0, eta, one) - u
    assert np.flatnonzero(np.abs(moved).max(axis=0) > 0).tolist() == [2]

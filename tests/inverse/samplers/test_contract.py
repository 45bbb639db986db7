"""What samplers refuse, and what they find out about a target."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from scinn.inverse import samplers
from scinn.inverse.samplers.gpcn import likelihood_informed_directions

GRADIENT = ["InfMALA", "PCNL", "MALA", "InfHMC", "HMC"]
ALL = [*GRADIENT, "PCN", "AdaptivePCN", "EllipticalSlice", "RandomWalk"]


@pytest.mark.parametrize("name", ALL)
def test_a_target_needs_a_dimension_and_a_misfit(name):
    with pytest.raises(TypeError, match="without 'misfit'"):
        getattr(samplers, name)(SimpleNamespace(dim=2))
    with pytest.raises(TypeError, match="target is a int without 'dim'"):
        getattr(samplers, name)(3)
    with pytest.raises(ValueError, match=r"target.dim is 0"):
        getattr(samplers, name)(SimpleNamespace(dim=0, misfit=lambda xi: 0.0, misfit_and_gradient=None))


@pytest.mark.parametrize("name", GRADIENT)
def test_gradient_methods_need_a_gradient(name, sign_posterior):
    with pytest.raises(TypeError, match="without misfit_and_gradient"):
        getattr(samplers, name)(SimpleNamespace(dim=2, misfit=lambda xi: 0.0))
    with pytest.raises(ValueError, match="activation='sign' has none"):
        getattr(samplers, name)(sign_posterior)
    with pytest.raises(ValueError, match="activation='sign' has none"):
        getattr(samplers, name)(sign_posterior.collapse())


def test_sign_networks_are_sampled_without_gradients(sign_posterior):
    with pytest.raises(ValueError, match="activation='sign' has none"):
        samplers.CollapsedInfHMC(sign_posterior)
    for sampler in (
        samplers.PCN(sign_posterior), samplers.CollapsedPCN(sign_posterior), samplers.EllipticalSlice(sign_posterior),
    ):  # fmt: skip
        state, info = sampler.run(0, sampler.init(np.full(sign_posterior.dim, 0.3)), 50)
        assert info.n_accepted > 0
        assert np.isfinite(state.position).all()


@pytest.mark.parametrize("beta", [0, 0.0, -0.1, 1.0001, np.inf, np.nan])
@pytest.mark.parametrize("name", ["PCN", "AdaptivePCN"])
def test_beta_is_in_0_to_1(name, beta, linear_gaussian):
    with pytest.raises(ValueError, match=r"beta is .*; a finite number > 0 and <= 1 is wanted"):
        getattr(samplers, name)(linear_gaussian, beta=beta)


@pytest.mark.parametrize("name", ["InfMALA", "MALA", "InfHMC", "HMC", "RandomWalk", "PCNL"])
@pytest.mark.parametrize("step", [0.0, -1.0, np.inf])
def test_steps_are_positive(name, step, linear_gaussian):
    option = "delta" if name == "PCNL" else "step_size"
    with pytest.raises(ValueError, match=f"{option} is"):
        getattr(samplers, name)(linear_gaussian, **{option: step})


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"ladder": ()}, TypeError, "ladder is"),
        ({"ladder": (1.0, 0.0)}, ValueError, "a factor of ladder is 0.0"),
        ({"ladder": "fast"}, TypeError, "ladder is 'fast'"),
        ({"temperature": 1.5}, ValueError, "temperature is 1.5"),
        ({"target_acceptance": 1.0}, ValueError, "target_acceptance is 1.0"),
        ({"early_rejection": 1}, TypeError, "early_rejection is 1"),
        ({"beta": "0.2"}, TypeError, "beta is '0.2'"),
    ],
)
def test_options_of_pcn(options, error, text, linear_gaussian):
    with pytest.raises(error, match=text):
        samplers.PCN(linear_gaussian, **options)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"n_leapfrog": 0}, ValueError, "n_leapfrog is 0"),
        ({"n_leapfrog": 2.0}, TypeError, "n_leapfrog is 2.0"),
        ({"jitter": 1.0}, ValueError, "jitter is 1.0"),
    ],
)
def test_options_of_infinity_hmc(options, error, text, linear_gaussian):
    with pytest.raises(error, match=text):
        samplers.InfHMC(linear_gaussian, **options)


def test_options_are_keywords(linear_gaussian):
    with pytest.raises(TypeError):
        samplers.PCN(linear_gaussian, 0.2)
    with pytest.raises(TypeError):
        samplers.CollapsedPCN(linear_gaussian, temperature=0.5)


@pytest.mark.parametrize("position", [np.zeros(2), np.zeros((3, 1)), [0.0, np.nan, 0.0], [np.inf, 0.0, 0.0]])
def test_positions_are_checked(position, linear_gaussian):
    with pytest.raises(ValueError, match="position"):
        samplers.PCN(linear_gaussian).init(position)


def test_positions_are_copied(linear_gaussian):
    position = np.ones(3)
    state = samplers.PCN(linear_gaussian).init(position)
    position[:] = 7.0
    assert state.position.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("name", ["InfMALA", "InfHMC"])
def test_gradient_methods_need_a_finite_start(name):
    target = SimpleNamespace(dim=1, misfit=lambda xi: np.inf, misfit_and_gradient=lambda xi: (np.inf, xi))
    with pytest.raises(ValueError, match="position has misfit inf"):
        getattr(samplers, name)(target).init([0.0])


@pytest.mark.parametrize("name", ["PCN", "RandomWalk", "EllipticalSlice"])
def test_what_is_not_a_number_is_rejected(name):
    """The misfit is NaN where x > 0: no chain goes there."""
    target = SimpleNamespace(dim=1, misfit=lambda xi: np.nan if xi[0] > 0 else 0.0)
    sampler = getattr(samplers, name)(target)
    _, info = sampler.run(0, sampler.init([-0.5]), 300, keep_every=1)
    assert info.positions.max() <= 0.0
    assert len(np.unique(info.positions)) > 10
    assert np.isfinite(info.misfits).all()


@pytest.mark.parametrize("name", ["InfMALA", "PCNL", "MALA", "InfHMC", "HMC"])
def test_gradient_methods_reject_what_is_not_a_number(name):
    def misfit_and_gradient(xi):
        return (np.nan, xi * np.nan) if xi[0] > 0 else (0.0, 0.0 * xi)

    target = SimpleNamespace(
        dim=1, misfit=lambda xi: misfit_and_gradient(xi)[0], misfit_and_gradient=misfit_and_gradient
    )
    sampler = getattr(samplers, name)(target)
    _, info = sampler.run(0, sampler.init([-0.5]), 300, keep_every=1)
    assert info.positions.max() <= 0.0
    assert len(np.unique(info.positions)) > 10
    assert not np.isnan(info.acceptance_probabilities).any()


def test_collapsed_samplers_want_the_full_posterior(posterior, linear_gaussian):
    for name in ("CollapsedPCN", "CollapsedInfHMC"):
        with pytest.raises(TypeError, match=r"without collapse\(\)"):
            getattr(samplers, name)(linear_gaussian)
        with pytest.raises(ValueError, match="position has length"):
            getattr(samplers, name)(posterior).init(np.zeros(posterior.collapse().dim))


def test_the_misfit_gets_its_bound_where_it_takes_one(targets):
    bounds = []

    class Watched(targets.Flat):
        def misfit(self, xi, stop_above=np.inf):
            bounds.append(stop_above)
            return 0.0

    sampler = samplers.PCN(Watched(1))
    state = sampler.init([0.0])
    _, info = sampler.run(np.random.default_rng(0), state, 3)
    assert bounds[0] == np.inf
    assert all(0.0 < bound < np.inf for bound in bounds[1:])
    assert info.n_evaluations == 3
    bounds.clear()
    samplers.PCN(Watched(1), early_rejection=False).run(0, state, 3)
    assert bounds == [np.inf] * 3


def test_elliptical_slice_counts_its_evaluations(targets):
    count = 0

    class Counted(targets.LinearGaussian):
        def misfit(self, xi, stop_above=np.inf):
            nonlocal count
            count += 1
            return super().misfit(xi, stop_above)

    sampler = samplers.EllipticalSlice(Counted(10.0 * np.eye(3), np.ones(3)))
    state = sampler.init(np.zeros(3))
    count = 0
    _, info = sampler.run(0, state, 50)
    assert info.n_evaluations == count > 100
    assert info.n_accepted == 50


def test_references_of_gpcn(linear_gaussian):
    sampler = samplers.GPCN(linear_gaussian, reference=np.zeros(3))
    vectors, eigenvalues = sampler.directions
    hessian = linear_gaussian.matrix.T @ linear_gaussian.matrix
    np.testing.assert_allclose(vectors * eigenvalues @ vectors.T, hessian, atol=1e-12)
    one = samplers.GPCN(linear_gaussian, reference=np.zeros(3), rank=1)
    two = samplers.GPCN(linear_gaussian, reference=(vectors[:, ::-1], eigenvalues[::-1]), rank=1)
    np.testing.assert_array_equal(one.directions[1], eigenvalues[:1])
    np.testing.assert_allclose(two.directions[0], one.directions[0])
    for reference, error, text in (
        (None, ValueError, "reference is None"),
        (np.zeros(2), ValueError, "position has length 2"),
        ((vectors,), ValueError, "reference has 1 parts"),
        ((vectors, eigenvalues[:2]), ValueError, "vectors of reference have shape"),
        ((2 * vectors, eigenvalues), ValueError, "not orthonormal"),
        ((vectors, -eigenvalues), ValueError, "curvatures >= 0"),
    ):
        with pytest.raises(error, match=text):
            samplers.GPCN(linear_gaussian, reference=reference)
    with pytest.raises(TypeError, match="without jacobian"):
        samplers.GPCN(SimpleNamespace(dim=1, misfit=lambda xi: 0.0), reference=np.zeros(1))


def test_gpcn_of_a_full_linear_problem_accepts_more_than_pcn(targets):
    target = targets.LinearGaussian(np.diag([20.0, 5.0, 0.0]), [20.0, 0.0, 0.0])
    rates = []
    for sampler in (
        samplers.PCN(target, beta=0.5), samplers.GPCN(target, beta=0.5, reference=np.zeros(3)),
    ):  # fmt: skip
        _, info = sampler.run(0, sampler.init(target.mean), 2000)
        rates.append(info.acceptance_rate)
    assert rates[1] > 0.5 > 5 * rates[0]


def test_directions_without_any(linear_gaussian):
    vectors, eigenvalues = likelihood_informed_directions(np.zeros((2, 3)))
    assert vectors.shape == (3, 0)
    one = samplers.GPCN(linear_gaussian, reference=(vectors, eigenvalues), beta=0.4)
    two = samplers.PCN(linear_gaussian, beta=0.4)
    first, _ = one.run(0, one.init(np.zeros(3)), 20)
    second, _ = two.run(0, two.init(np.zeros(3)), 20)
    np.testing.assert_array_equal(first.position, second.position)


@pytest.mark.parametrize("count", [0, 4])
def test_leading_coordinates_are_some_of_all(count, linear_gaussian):
    with pytest.raises(ValueError, match=f"n_leading is {count}"):
        samplers.AdaptivePCN(linear_gaussian, n_leading=count)


@pytest.mark.parametrize("n", [-1, 2.5])
def test_numbers_of_steps(n, linear_gaussian):
    sampler = samplers.PCN(linear_gaussian)
    state = sampler.init(np.zeros(3))
    for call in (lambda: sampler.run(0, state, n), lambda: sampler.warmup(0, state, n)):
        with pytest.raises((ValueError, TypeError), match="n is"):
            call()


def test_names_of_the_package_load():
    for name in samplers.__all__:
        assert getattr(samplers, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        samplers.Nothing  # noqa: B018

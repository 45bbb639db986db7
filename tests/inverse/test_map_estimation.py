"""MAP estimates: minima are minima, coordinates differ as they should, many starts are kept."""

import numpy as np
import pytest

from scinn.inverse import GaussianProcessPrior, Posterior, StableNNPrior, deconvolution_1d, map_estimate

PROBLEM = deconvolution_1d(33, width=0.1, noise_std=0.05, inverse_crime=True, rng=0)


def posterior_of(law, activation="tanh"):
    prior = StableNNPrior([1, 6, 1], law=law, weight_scale=(8, 1), bias_scale=(8, 0.5), activation=activation)
    return Posterior(prior, PROBLEM)


@pytest.mark.parametrize(
    ("law", "coordinates"),
    [
        (("cauchy", "gaussian"), "white"),
        (("cauchy", "gaussian"), "projected"),
        ("cauchy", "weight"),
        ("student_t(3)", "weight"),
    ],
)
def test_the_objective_is_that_of_its_coordinates(law, coordinates):
    posterior = posterior_of(law)
    result = map_estimate(posterior, coordinates=coordinates, n_starts=3, max_iter=3000, rng=0)
    assert [m.objective for m in result.minima] == sorted(m.objective for m in result.minima)
    for minimum in result.minima:
        if coordinates == "weight":
            theta = posterior.prior.transform(minimum.xi)
            layers = [np.concatenate([w.ravel() / s, b / t]) for (w, b), s, t in zip(
                posterior.prior.layers(theta), posterior.prior.weight_scales, posterior.prior.bias_scales)]  # fmt: skip
            unit = np.concatenate(layers)
            df = 1.0 if law == "cauchy" else 3.0
            expected = minimum.misfit + 0.5 * (df + 1) * np.sum(np.log1p(unit**2 / df))
        else:
            expected = -posterior.logpdf(minimum.xi)
        assert minimum.objective == pytest.approx(expected, rel=1e-8)


def test_projection_finds_stationary_points_of_the_white_objective():
    posterior = posterior_of(("cauchy", "gaussian"))
    best = map_estimate(posterior, coordinates="projected", n_starts=4, max_iter=5000, tol=1e-14, rng=0).best
    # The last layer is at its minimum exactly, the hidden one as well as L-BFGS gets there.
    gradient = posterior.grad(best.xi)
    hidden = posterior.collapse().dim
    assert np.abs(gradient[hidden:]).max() < 1e-7
    assert np.linalg.norm(gradient) < 0.05
    white = map_estimate(posterior, starts=best.xi, max_iter=5000, tol=1e-14)
    assert white.best.objective == pytest.approx(best.objective, rel=1e-4)


def test_a_gaussian_process_has_one_minimum_and_it_is_the_posterior_mean():
    prior = GaussianProcessPrior("exponential", length_scale=0.3)
    result = map_estimate(Posterior(prior, PROBLEM), n_starts=2, tol=1e-15, rng=0)
    mean = prior.posterior(PROBLEM).mean
    for field in result.fields:
        np.testing.assert_allclose(field, mean, atol=1e-4)


def test_starts_are_kept_and_the_seed_decides():
    posterior = posterior_of(("cauchy", "gaussian"))
    seen = []
    first = map_estimate(posterior, n_starts=3, max_iter=40, rng=5, callback=seen.append)
    second = map_estimate(posterior, n_starts=3, max_iter=40, rng=5)
    assert sorted(m.start for m in first.minima) == [0, 1, 2]
    assert len(seen) == 3
    assert np.array_equal(first.positions, second.positions)
    assert first.errors(PROBLEM.truth).shape == (3,)
    assert first.best.objective == first.minima[0].objective
    assert first.plot().get_xlabel() == "x"
    assert "3 minima" in repr(first)


def test_an_overflowing_start_still_ends_in_a_finite_minimum():
    posterior = posterior_of("cauchy")
    result = map_estimate(posterior, starts=np.full((1, posterior.dim), 12.0), max_iter=200)
    assert np.isfinite(result.best.objective)
    assert np.all(np.isfinite(result.best.field))


def test_wrong_use_is_refused():
    with pytest.raises(ValueError, match="sign"):
        map_estimate(posterior_of("cauchy", "sign"))
    with pytest.raises(ValueError, match="gaussian"):
        map_estimate(posterior_of("cauchy"), coordinates="projected")
    with pytest.raises(ValueError, match="no density in closed form"):
        map_estimate(posterior_of("stable(1.5)"), coordinates="weight")
    with pytest.raises(ValueError, match="coordinates is 'theta'"):
        map_estimate(posterior_of("cauchy"), coordinates="theta")
    with pytest.raises(ValueError, match="starts has shape"):
        map_estimate(posterior_of("cauchy"), starts=np.zeros((2, 3)))


@pytest.mark.parametrize("coordinates", ["white", "weight"])
def test_a_start_that_no_gradient_leads_away_from_has_not_converged(coordinates):
    """Weights of 1e150 and more overflow in the second layer."""
    posterior = posterior_of("cauchy", activation="relu")
    start = np.full((1, posterior.dim), 36.0)
    assert not np.isfinite(posterior.misfit(start[0]))
    stuck = map_estimate(posterior, coordinates=coordinates, starts=start, max_iter=50).best
    assert stuck.objective >= 1e100
    assert not stuck.converged


@pytest.mark.parametrize("make", [lambda p: p.collapse(), lambda p: p.misfit], ids=["collapsed", "function"])
def test_what_is_no_posterior_is_named(make):
    wrong = make(posterior_of(("cauchy", "gaussian")))
    with pytest.raises(TypeError, match=rf"posterior is a {type(wrong).__name__}; a scinn.inverse.Posterior"):
        map_estimate(wrong, n_starts=1)

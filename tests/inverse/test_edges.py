import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scinn.inverse.edges import default_threshold, jump_locations, jump_probability, jump_share


def steps(places, n=41, draws=200, noise=0.01, seed=0):
    """Draws of a function with unit jumps at random places around the given ones."""
    rng = np.random.default_rng(seed)
    x = np.linspace(-1, 1, n)
    u = noise * rng.standard_normal((draws, n))
    for place, width, height in places:
        at = place + width * rng.standard_normal((draws, 1))
        u += height * (x > at)
    return x, u


def test_a_jump_is_counted_in_the_interval_that_holds_it():
    _, u = steps([(0.025, 0.0, 1.0)])
    probability = jump_probability(u)
    assert probability.shape == (40,)
    assert probability[20] == 1.0
    assert probability.sum() == 1.0


def test_probabilities_of_a_moving_jump_are_those_of_its_place():
    x, u = steps([(0.0, 0.1, 1.0)], draws=20000)
    from scipy.stats import norm

    wanted = np.diff(norm.cdf(x, 0.0, 0.1))
    assert np.abs(jump_probability(u, 0.5) - wanted).max() < 4 * np.sqrt(0.25 / 20000)


def test_the_default_threshold_is_a_fifth_of_the_median_range():
    _, u = steps([(0.0, 0.1, 2.0)], noise=0.0)
    assert default_threshold(u) == pytest.approx(0.4)
    assert default_threshold(u, share=0.5) == pytest.approx(1.0)
    np.testing.assert_array_equal(jump_probability(u), jump_probability(u, 0.4))


def test_chains_and_draws_are_pooled():
    _, u = steps([(0.0, 0.1, 1.0)])
    np.testing.assert_array_equal(jump_probability(u.reshape(4, 50, -1), 0.3), jump_probability(u, 0.3))


def test_locations_give_place_size_and_probability_of_each_jump():
    x, u = steps([(-0.5, 0.03, 1.0), (0.4, 0.06, -2.0)], draws=4000)
    u[:1000] -= np.where(x > 0.4, -2.0, 0.0)  # a quarter of the draws has two jumps that nearly cancel
    first, second = jump_locations(u, x, 0.5)
    assert first.probability == 1.0
    assert first.median == pytest.approx(-0.5, abs=0.03)
    assert first.size == pytest.approx(1.0, abs=0.05)
    assert first.lower < -0.5 < first.upper
    assert first.upper - first.lower == pytest.approx(2 * 1.645 * 0.03, abs=0.051)
    assert second.size == pytest.approx(-2.0, abs=0.05)
    assert second.first < second.median < second.last


def test_a_jump_over_several_intervals_is_one():
    x = np.linspace(0, 1, 6)
    u = np.array([[0.0, 0.0, 1.0, 3.0, 4.0, 4.0]] * 3)
    [jump] = jump_locations(u, x, 0.5)
    assert jump.size == 4.0
    assert jump.median == pytest.approx((1 * 0.3 + 2 * 0.5 + 1 * 0.7) / 4)
    # Up and down again are two jumps, though neighbours; they share one location.
    peak = np.array([[0.0, 0.0, 1.0, 0.0, 0.0, 0.0]] * 3)
    [both] = jump_locations(peak, x, 0.5)
    assert (both.first, both.last, both.probability) == (0.2, pytest.approx(0.6), 1.0)


def test_flat_functions_have_no_jumps():
    assert jump_locations(np.ones((5, 4)), np.arange(4.0)) == []
    assert not jump_probability(np.ones((5, 4))).any()
    np.testing.assert_array_equal(jump_share(np.ones((5, 4))), np.zeros(5))
    np.testing.assert_array_equal(jump_share(np.ones((5, 1))), np.zeros(5))


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 30), st.integers(0, 2**32 - 1))
def test_jump_share_is_its_definition(n, seed):
    u = np.random.default_rng(seed).standard_cauchy(n)
    increments = [abs(u[i + 1] - u[i]) for i in range(n - 1)]
    assert jump_share(u) == pytest.approx(max(increments) / sum(increments))


def test_both_sides_of_an_edge_belong_to_it_in_two_dimensions():
    u = np.zeros((7, 5, 6))
    u[:, 2:, 3:] = 1.0
    probability = jump_probability(u, 0.5, n_grid=2)
    wanted = np.zeros((5, 6))
    wanted[1:3, 3:] = 1.0
    wanted[2:, 2:4] = 1.0
    np.testing.assert_array_equal(probability, wanted)
    # The pixel outside the corner has two zero differences; the one inside has both.
    corner = jump_probability(u, 1.2, n_grid=2)
    assert np.argwhere(corner).tolist() == [[2, 3]]
    assert jump_share(u, n_grid=2)[0] == pytest.approx(1 / 6)


def test_a_ramp_has_its_slope_as_gradient():
    a, b = np.meshgrid(np.arange(6.0), np.arange(7.0), indexing="ij")
    u = (3 * a + 4 * b)[None]
    assert jump_probability(u, 4.999, n_grid=2).all()
    assert not jump_probability(u, 5.001, n_grid=2).any()


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="n_grid is 3"):
        jump_probability(np.zeros((2, 3)), n_grid=3)
    with pytest.raises(ValueError, match="threshold is -1"):
        jump_probability(np.zeros((2, 3)), -1.0)
    with pytest.raises(ValueError, match="holds no values"):
        jump_probability(np.zeros((0, 3)))
    with pytest.raises(ValueError, match="x does not increase"):
        jump_locations(np.zeros((2, 3)), [0.0, 2.0, 1.0])

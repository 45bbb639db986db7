"""Network priors: layout, scales, derivatives, messages."""

import numpy as np
import pytest
from scipy import stats

from scinn.inverse import StableNNPrior

MIXED = {
    "law": ("cauchy", "laplace", "gaussian"),
    "weight_scale": (5.0, 2.0, 1.0),
    "bias_scale": (3.0, 1.0, 0.5),
}


def forward_by_hand(prior, theta, x):
    h = np.atleast_2d(x.T if x.ndim == 2 else x)
    layers = prior.layers(theta)
    for number, (weights, bias) in enumerate(layers):
        z = weights @ h + bias[:, None]
        h = np.tanh(z) if number < len(layers) - 1 else z
    return h[0]


def test_the_function_is_that_of_its_weights():
    prior = StableNNPrior([2, 5, 3, 1], **MIXED)
    rng = np.random.default_rng(0)
    xi, x = prior.sample(rng), rng.uniform(-1, 1, (7, 2))
    np.testing.assert_allclose(
        prior.forward(xi, x), forward_by_hand(prior, prior.transform(xi), x), rtol=1e-12
    )


def test_features_times_the_last_layer_are_the_function():
    prior = StableNNPrior([1, 5, 3, 1], **MIXED)
    xi, x = prior.sample(1), np.linspace(-1, 1, 9)
    weights, bias = prior.layers(prior.transform(xi))[-1]
    features = prior.features(xi, x)
    assert np.all(features[:, -1] == 1.0)
    np.testing.assert_allclose(features @ np.append(weights[0], bias), prior.forward(xi, x), rtol=1e-12)


def test_weights_are_scaled_by_the_width_and_biases_are_not():
    prior = StableNNPrior(
        [4, 9, 16, 1], law=("cauchy", "gaussian", "cauchy"), weight_scale=2.0, bias_scale=3.0
    )
    np.testing.assert_allclose(prior.weight_scales, [2.0, 2.0 / 3.0, 2.0 / 16.0])
    np.testing.assert_allclose(prior.bias_scales, 3.0)
    scaled = StableNNPrior(
        [4, 9, 16, 1], law=("cauchy", "gaussian", "cauchy"), weight_scale=2.0, scale_input=True
    )
    np.testing.assert_allclose(scaled.weight_scales, [0.5, 2.0 / 3.0, 2.0 / 16.0])


def test_a_stable_law_scales_by_its_index_and_takes_two_coordinates():
    prior = StableNNPrior([1, 8, 1], law=("stable(1.5)", "cauchy"))
    assert prior.dim == 2 * 16 + 9
    assert prior.n_weights == 16 + 9
    assert StableNNPrior([1, 8, 1], law="stable(1.5)").weight_scales[1] == pytest.approx(8 ** (-1 / 1.5))
    xi, x = prior.sample(0), np.linspace(-1, 1, 5)
    np.testing.assert_allclose(
        prior.forward(xi, x), forward_by_hand(prior, prior.transform(xi), x), rtol=1e-12
    )


def test_inverse_brings_the_coordinates_back():
    prior = StableNNPrior([1, 5, 3, 1], **MIXED)
    xi = 2.0 * np.random.default_rng(0).standard_normal((4, prior.dim))
    np.testing.assert_allclose(prior.inverse(prior.transform(xi)), xi, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("law", ["cauchy", "gaussian", "laplace", "student_t(3)", "stable(1.3)"])
@pytest.mark.parametrize("activation", ["tanh", "erf", "sin", "relu", "leaky_relu"])
def test_jvp_and_vjp_are_the_derivative_and_its_transpose(law, activation):
    prior = StableNNPrior([1, 4, 3, 1], law=law, activation=activation, weight_scale=(2.0, 1.0, 1.0))
    rng = np.random.default_rng(3)
    # Moderate weights, so that differences of this step are accurate.
    xi, x, dxi, q = (
        0.5 * prior.sample(rng),
        np.linspace(-1, 1, 6),
        rng.standard_normal(prior.dim),
        rng.standard_normal(6),
    )
    step = 1e-6
    difference = (prior.forward(xi + step * dxi, x) - prior.forward(xi - step * dxi, x)) / (2 * step)
    slope = prior.jvp(xi, x, dxi)
    np.testing.assert_allclose(slope, difference, rtol=2e-5, atol=1e-6 * np.abs(difference).max())
    assert q @ slope == pytest.approx(prior.vjp(xi, x, q) @ dxi, rel=1e-11)


def test_values_of_a_cauchy_last_layer_are_cauchy_given_the_hidden_layers():
    prior = StableNNPrior([1, 3, 1], weight_scale=(2.0, 1.5), bias_scale=(1.0, 0.5))
    rng = np.random.default_rng(0)
    xi = np.tile(prior.sample(rng), (4000, 1))
    xi[:, prior.hidden_dim :] = rng.standard_normal((4000, prior.dim - prior.hidden_dim))
    features = prior.features(xi[0], [0.3])
    scale = 0.5 + 1.5 / 3 * np.abs(features[0, :-1]).sum()
    assert stats.kstest(prior.forward(xi, [0.3])[:, 0] / scale, stats.cauchy.cdf).pvalue > 1e-4


def test_moments_exist_for_a_gaussian_last_layer_on_bounded_features():
    assert StableNNPrior([1, 3, 1], law=("cauchy", "gaussian")).moments_exist
    assert not StableNNPrior([1, 3, 1], law=("gaussian", "cauchy")).moments_exist
    assert not StableNNPrior([1, 3, 1], law=("cauchy", "gaussian"), activation="relu").moments_exist


def test_samples_have_the_shapes_asked_for_and_follow_the_seed():
    prior = StableNNPrior([1, 4, 1])
    assert prior.sample(0).shape == (prior.dim,)
    assert prior.sample(0, 0).shape == (0, prior.dim)
    assert prior.sample(0, 3, np.linspace(0, 1, 5)).shape == (3, 5)
    assert np.array_equal(prior.sample(4, 2), prior.sample(4, 2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": [1, 4, 2]}, "widths ends with 2"),
        ({"widths": [1, 1]}, "at least one hidden width"),
        ({"widths": [1, 0, 1]}, r"widths\[1\] is 0"),
        ({"law": "cauchi"}, "cauchy"),
        ({"law": ("cauchy", "gaussian", "gaussian")}, "law has 3 entries"),
        ({"weight_scale": (1.0, 2.0, 3.0)}, "weight_scale has 3 entries"),
        ({"bias_scale": -1.0}, r"bias_scale\[0\]"),
        ({"weight_scale": float("nan")}, "finite"),
        ({"activation": "tanhh"}, "did you mean 'tanh'"),
    ],
)
def test_wrong_priors_are_refused(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        StableNNPrior(**{"widths": [1, 4, 1], **options})


def test_wrong_points_and_coordinates_are_refused():
    prior = StableNNPrior([2, 4, 1])
    xi = prior.sample(0)
    with pytest.raises(ValueError, match="points of dimension 2"):
        prior.forward(xi, np.zeros(5))
    with pytest.raises(ValueError, match=r"xi has shape \(3,\)"):
        prior.forward(xi[:3], np.zeros((5, 2)))
    with pytest.raises(ValueError, match="NaN"):
        prior.forward(np.where(np.arange(prior.dim) == 1, np.nan, xi), np.zeros((5, 2)))
    with pytest.raises(ValueError, match="sign"):
        StableNNPrior([1, 4, 1], activation="sign").vjp(np.zeros(13), [0.0], [1.0])
    with pytest.raises(ValueError, match="two white coordinates"):
        StableNNPrior([1, 4, 1], law="stable(1.5)").inverse(np.zeros(13))


@pytest.mark.parametrize("number", [np.int64(3), np.float32(3.0), 3])
def test_one_law_may_have_a_parameter_of_numpy(number):
    prior = StableNNPrior([1, 4, 1], law=("student_t", number))
    assert [law.name for law in prior.laws] == ["student_t(3)"] * 2


def test_one_law_for_each_layer_may_hold_pairs():
    prior = StableNNPrior([1, 4, 1], law=(("student_t", np.int64(3)), "gaussian"))
    assert [law.name for law in prior.laws] == ["student_t(3)", "gaussian"]

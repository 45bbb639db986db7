"""Networks with one hidden layer: definitions, gradients, files, and the networks that others trained."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.neural_network import MLPClassifier, MLPRegressor

from scinn.nn import Dense, Dropout, Network, ReLU, Tanh
from scinn.nn.models import mlp
from scinn.robustness import ShallowNetwork
from scinn.robustness.network import ACTIVATIONS, activate, activation_gradient


def draw(activation="scaled_logistic", *, n=7, n_hidden=5, n_classes=3, seed=0, dtype=np.float64, tie=1):
    rng = np.random.default_rng(seed)
    arrays = (rng.normal(size=shape) for shape in ((n, n_hidden), n_hidden, (n_hidden, n_classes), n_classes))
    return ShallowNetwork(*(array.astype(dtype) for array in arrays), activation, tie)


def cube(n):
    return 1 - 2 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)


F = {
    "sign": lambda z: 1.0 if z >= 0 else -1.0,
    "tanh": np.tanh,
    "relu": lambda z: max(z, 0.0),
    "scaled_logistic": lambda z: 2 / (1 + np.exp(-z)) - 1,
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_logits_are_those_of_the_definition(activation):
    network = draw(activation)
    signs = cube(7)
    w, b, v, c = (network.hidden_weights, network.hidden_bias, network.output_weights, network.output_bias)
    for x, logits in zip(signs[:20], network.logits(signs)[:20]):
        a = [F[activation](sum(x[i] * w[i, j] for i in range(7)) + b[j]) for j in range(5)]
        want = [sum(a[j] * v[j, k] for j in range(5)) + c[k] for k in range(3)]
        np.testing.assert_allclose(logits, want, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("tie", [1, 0, -1])
def test_sign_of_zero_is_the_tie(tie):
    assert activate(np.array([-1.0, 0.0, -0.0, 2.0]), "sign", tie).tolist() == [-1, tie, tie, 1]
    network = ShallowNetwork([[1.0], [1.0]], [0.0], [[1.0, 0.0]], [0.0, 0.0], "sign", tie)
    assert network.logits([[1, -1]])[0, 0] == tie


@pytest.mark.parametrize("activation", ["scaled_logistic", "tanh", "relu"])
def test_activation_gradient_against_differences(activation):
    z, step = np.linspace(-3, 3, 50), 1e-6
    numeric = (activate(z + step, activation) - activate(z - step, activation)) / (2 * step)
    np.testing.assert_allclose(activation_gradient(activate(z, activation), activation), numeric, atol=1e-9)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_input_gradient_against_differences(activation):
    network, rng, step = draw(activation), np.random.default_rng(1), 1e-6
    points, dlogits = rng.uniform(-1, 1, (4, 7)), rng.normal(size=(4, 3))
    gradient = network.input_gradient(points, dlogits)
    for i in range(7):
        move = step * np.eye(7)[i]
        values = [np.sum(dlogits * network.logits_of_signs(points + sign * move), axis=1) for sign in (1, -1)]
        np.testing.assert_allclose(gradient[:, i], (values[0] - values[1]) / (2 * step), atol=1e-7)


def test_bits_signs_frames_and_sparse_give_the_same_answers():
    network, signs = draw(), cube(7)
    bits = (1 - signs) // 2
    for features in (signs, bits, bits.astype(bool), sparse.csr_array(bits), signs.astype(np.float32)):
        np.testing.assert_array_equal(network.logits(features), network.logits(signs))
    np.testing.assert_array_equal(network.predict(bits[3]), network.predict(bits[3:4]))
    labels = network.predict(bits)
    assert network.accuracy(bits, labels) == 1.0
    assert network.accuracy(bits, np.where(np.arange(128) < 32, (labels + 1) % 3, labels)) == 0.75


def test_equal_logits_give_the_lowest_class():
    network = ShallowNetwork([[1.0]], [0.0], [[1.0, 1.0]], [0.0, 0.0])
    assert network.predict([[1], [-1]]).tolist() == [0, 0]


def test_arrays_are_own_and_read_only_and_dtypes_are_joined():
    w = np.ones((2, 1), dtype=np.float32)
    network = ShallowNetwork(w, [0], [[1, 0]], np.zeros(2, dtype=np.float32))
    assert network.dtype == np.float32
    w[0] = 5
    assert network.hidden_weights[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        network.hidden_weights[0] = 2
    assert ShallowNetwork(w, np.zeros(1), [[1, 0]], [0, 0]).dtype == np.float64
    assert ShallowNetwork([[1]], [0], [[1, 0]], [0, 0]).dtype == np.float64
    assert network.astype(np.float64).dtype == np.float64
    assert network.logits([[0, 1]]).dtype == np.float32


def test_repr_and_sizes():
    network = draw("sign")
    assert repr(network) == "ShallowNetwork(7 features, 5 sign neurons, 3 classes, float64)"
    np.testing.assert_array_equal(network.thresholds, -network.hidden_bias)
    assert network.replace(activation="relu").activation == "relu"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_weights": np.ones(7)}, "hidden_weights has 1 dimensions"),
        ({"hidden_weights": np.full((7, 5), np.nan)}, "hidden_weights holds 35 NaN"),
        ({"hidden_weights": np.ones((0, 5))}, "hidden_weights has no rows"),
        ({"hidden_bias": np.ones(4)}, r"hidden_bias has shape \(4,\); \(5,\) is wanted"),
        (
            {"output_weights": np.ones((3, 5))},
            r"output_weights.*it fits when transposed: pass output_weights.T",
        ),
        ({"output_weights": np.ones((5, 1)), "output_bias": [0.0]}, "two logits -s/2 and s/2"),
        ({"output_bias": np.ones(2)}, r"\(3,\) is wanted"),
        ({"activation": "logistic"}, "activation is 'logistic'"),
        ({"tie": 2}, "tie is 2"),
    ],
)
def test_bad_arrays(change, message):
    with pytest.raises(ValueError, match=message):
        draw().replace(**change)


def test_bad_samples_and_labels():
    network, bits = draw(), (1 - cube(7)) // 2
    with pytest.raises(ValueError, match=r"features has shape \(7, 128\).*transposed: pass features.T"):
        network.predict(bits.T)
    with pytest.raises(ValueError, match=r"features has shape \(128, 6\); \(any, 7\) is wanted$"):
        network.predict(bits[:, :6])
    with pytest.raises(ValueError, match="features holds 0, 2"):
        network.predict(2 * bits)
    with pytest.raises(ValueError, match="labels holds the label 3; with 3 classes"):
        network.accuracy(bits, np.full(128, 3))
    with pytest.raises(ValueError, match="labels has shape"):
        network.accuracy(bits, np.zeros(127, dtype=int))
    # -1 would be counted as an error of the network.
    with pytest.raises(
        ValueError, match=r"labels holds -1; .*write the classes -1 and \+1 as \(labels > 0\)"
    ):
        network.accuracy(bits, np.where(network.predict(bits) > 0, 1, -1))
    with pytest.raises(ValueError, match="no rows"):
        network.accuracy(np.zeros((0, 7), dtype=np.int8), [], encoding="bits")


# Conversions


@pytest.mark.parametrize("activation", ["scaled_logistic", "tanh", "relu"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_to_network_and_back(activation, dtype):
    network = draw(activation, dtype=dtype)
    signs = cube(7)
    other = network.to_network()
    np.testing.assert_array_equal(other(signs.astype(dtype)), network.logits(signs))
    again = ShallowNetwork.from_network(other)
    for name in ("hidden_weights", "hidden_bias", "output_weights", "output_bias", "activation"):
        np.testing.assert_array_equal(getattr(again, name), getattr(network, name))
    # The copy shares nothing that could be written into.
    other.params["hidden.weight"][...] = 0
    np.testing.assert_array_equal(again.hidden_weights, network.hidden_weights)


def test_sign_neurons_have_no_layer():
    with pytest.raises(ValueError, match=r"sign neurons have no layer in scinn.nn"):
        draw("sign").to_network()


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("encoding", ["signs", "bits"])
def test_networks_of_the_zoo(activation, encoding):
    network = mlp([7, 6, 3], activation=activation, dtype=np.float64, rng=0)
    signs = cube(7)
    seen = signs if encoding == "signs" else (1 - signs) // 2
    read = ShallowNetwork.from_network(network, encoding=encoding)
    np.testing.assert_allclose(read.logits(signs), network(seen.astype(float)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("slope", [0.5, 1.0, 2.0, -0.7])
@pytest.mark.parametrize("encoding", ["signs", "bits"])
def test_any_slope_without_biases(slope, encoding):
    network = Network.sequential(
        Dense(7, 4, bias=False, dtype=np.float64, rng=0),
        Tanh(slope),
        Dense(4, 2, bias=False, dtype=np.float64, rng=1),
    )
    signs = cube(7)
    read = ShallowNetwork.from_network(network, encoding=encoding)
    assert read.activation == ("scaled_logistic" if slope == 0.5 else "tanh")
    seen = signs if encoding == "signs" else (1 - signs) // 2
    np.testing.assert_allclose(read.logits(signs), network(seen.astype(float)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Network.sequential(Dense(3, 2, rng=0)), "network is Dense; a chain Dense -> Tanh or ReLU -> Dense"),
        (mlp([3, 4, 4, 2], rng=0), "one hidden layer without"),
        (Network.sequential(Dense(3, 4, rng=0), Dropout(0.5), Dense(4, 2, rng=0)), "Dropout"),
        (
            Network(
                {"a": Dense(3, 3, rng=0), "f": ReLU(), "b": Dense(3, 2, rng=0)},
                [("a", "a", ["x"]), ("f", "f", ["a"]), ("b", "b", ["a"])],
                outputs=["f", "b"],
            ),
            "a chain",
        ),
        (
            # It returns more than what its last layer computes.
            Network(
                {"a": Dense(3, 3, rng=0), "f": ReLU(), "b": Dense(3, 2, rng=0)},
                [("a", "a", ["x"]), ("f", "f", ["a"]), ("b", "b", ["f"])],
                outputs=["f", "b"],
            ),
            "a chain",
        ),
    ],
)
def test_other_structures_are_refused(network, message):
    with pytest.raises(ValueError, match=message):
        ShallowNetwork.from_network(network)


def test_other_types_are_refused():
    with pytest.raises(TypeError, match=r"network is a Dense; a scinn.nn.Network is wanted"):
        ShallowNetwork.from_network(Dense(3, 2, rng=0))


def fitted(classifier, features, labels):
    with warnings.catch_warnings():
        # A few epochs are enough for a comparison.
        warnings.simplefilter("ignore")
        return classifier.fit(features, labels)


@pytest.mark.parametrize("activation", ["tanh", "relu", "logistic"])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("encoding", ["signs", "bits"])
def test_scikit_learn_networks(activation, n_classes, encoding):
    signs = cube(7)
    seen = signs if encoding == "signs" else (1 - signs) // 2
    labels = np.array(["a", "b", "c"])[
        (signs[:, :3].sum(axis=1) > 0) * 1 + (signs[:, 3] > 0) * (n_classes - 2)
    ]
    model = MLPClassifier((5,), activation=activation, max_iter=30, random_state=0)
    model = fitted(model, seen.astype(float), labels)
    read = ShallowNetwork.from_mlp_classifier(model, encoding=encoding)
    exponentials = np.exp(read.logits(signs))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, model.predict_proba(seen.astype(float)), rtol=0, atol=1e-13)
    np.testing.assert_array_equal(model.classes_[read.predict(signs)], model.predict(seen.astype(float)))


def test_scikit_learn_networks_that_are_refused():
    signs = cube(4).astype(float)
    one = (signs[:, 0] > 0).astype(int)
    with pytest.raises(TypeError, match="MLPClassifier without coefs_; a fitted MLPClassifier is wanted"):
        ShallowNetwork.from_mlp_classifier(MLPClassifier())
    with pytest.raises(TypeError, match="MLPRegressor without classes_"):
        ShallowNetwork.from_mlp_classifier(
            fitted(MLPRegressor(hidden_layer_sizes=(3,), max_iter=3), signs, one)
        )
    with pytest.raises(ValueError, match="2 hidden layers; one is wanted"):
        ShallowNetwork.from_mlp_classifier(fitted(MLPClassifier((3, 3), max_iter=3), signs, one))
    with pytest.raises(ValueError, match="activation 'identity'"):
        ShallowNetwork.from_mlp_classifier(
            fitted(MLPClassifier((3,), activation="identity", max_iter=3), signs, one)
        )
    several = (signs[:, :3] > 0).astype(int)
    with pytest.raises(ValueError, match="multi-label; one class a sample is wanted"):
        ShallowNetwork.from_mlp_classifier(fitted(MLPClassifier((3,), max_iter=3), signs, several))


# Files


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_files_keep_every_bit(activation, tmp_path):
    network = draw(activation, dtype=np.float32, tie=-1)
    network.save(tmp_path / "n.npz")
    again = ShallowNetwork.load(tmp_path / "n.npz")
    assert (again.activation, again.tie, again.dtype) == (activation, -1, np.float32)
    for name in ("hidden_weights", "hidden_bias", "output_weights", "output_bias"):
        assert getattr(again, name).tobytes() == getattr(network, name).tobytes()


def test_files_of_other_kinds(tmp_path):
    from scinn._files import write_npz

    path = tmp_path / "n.npz"
    network = mlp([7, 4, 2], activation="tanh", dtype=np.float64, rng=0)
    network.save(path)
    bits = (1 - cube(7)) // 2
    read = ShallowNetwork.load(path, encoding="bits")
    np.testing.assert_allclose(read.logits(bits), network(bits.astype(float)), atol=1e-12)
    write_npz(path, {}, {"format": 1, "kind": "training-state"})
    with pytest.raises(ValueError, match=r"holds 'training-state'; a file of ShallowNetwork.save or"):
        ShallowNetwork.load(path)
    write_npz(path, {}, {"format": 99, "kind": "shallow-network"})
    with pytest.raises(ValueError, match="has format 99, this version reads up to 1: update scinn"):
        ShallowNetwork.load(path)
    write_npz(path, {"hidden_weights": np.ones((2, 1))}, {"format": 1, "kind": "shallow-network"})
    with pytest.raises(ValueError, match="is damaged: it holds hidden_weights; save it anew"):
        ShallowNetwork.load(path)
    np.savez(path, x=1)
    with pytest.raises(ValueError, match="not a file saved by scinn"):
        ShallowNetwork.load(path)
    with pytest.raises(FileNotFoundError):
        ShallowNetwork.load(tmp_path / "none.npz")

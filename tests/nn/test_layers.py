"""Every layer against its definition, its gradient and the rules of the contract."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from scinn.nn import (
    Add,
    BatchNorm,
    Concat,
    Dense,
    Dropout,
    Embedding,
    Layer,
    LeakyReLU,
    Network,
    ReLU,
    Sigmoid,
    Tanh,
    initialize,
    nbytes,
    register_layer,
    sigmoid,
)
from scinn.nn.initializers import INITIALIZERS
from scinn.nn.layer import build_layer, describe_layer
from scinn.nn.sums import column_sums
from scinn.random import Key
from scinn.reference import layers as reference
from scinn.verify import check_gradient

SIZES = st.sampled_from([1, 2, 3, 5, 8, 17])
SEEDS = st.integers(0, 2**31 - 1)


def normal(*shape: int, seed: int = 0, dtype: type = np.float64) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


CASES = {
    "dense": (Dense(4, 3, rng=0), (normal(5, 4),)),
    "dense without bias": (Dense(4, 3, bias=False, rng=0), (normal(5, 4),)),
    "dense over time": (Dense(4, 3, rng=0), (normal(2, 5, 4),)),
    "dense, no rows": (Dense(4, 3, rng=0), (normal(0, 4),)),
    "dense of CSR": (Dense(6, 3, rng=0), (sparse.csr_array(normal(5, 6) * (normal(5, 6, seed=1) > 0)),)),
    "relu": (ReLU(), (normal(7, 3),)),
    "leaky relu": (LeakyReLU(0.2), (normal(7, 3),)),
    "tanh": (Tanh(), (normal(7, 3),)),
    "tanh of half its argument": (Tanh(0.5), (3 * normal(7, 3),)),
    "tanh of a negative slope": (Tanh(-2.0), (normal(7, 3),)),
    "sigmoid": (Sigmoid(), (3 * normal(7, 3),)),
    "dropout": (Dropout(0.4), (normal(7, 3),)),
    "dropout of nothing": (Dropout(0.0), (normal(7, 3),)),
    "batch norm": (BatchNorm(3), (normal(9, 3) + 2,)),
    "batch norm of images": (BatchNorm(2), (normal(3, 4, 5, 2),)),
    "embedding": (Embedding(6, 3, rng=0), (np.array([[0, 5], [5, 2]]),)),
    "add": (Add(), (normal(4, 2), normal(4, 2, seed=1), normal(4, 2, seed=2))),
    "add one": (Add(), (normal(4, 2),)),
    "concat": (Concat(), (normal(4, 2), normal(4, 3, seed=1), normal(4, 1, seed=2))),
    "concat rows": (Concat(axis=0), (normal(1, 2), normal(3, 2, seed=1))),
}


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_gradient_and_contract(name: str, train: bool) -> None:
    layer, x = CASES[name]
    check_gradient(layer, *x, train=train).raise_if_failed()


@pytest.mark.parametrize("name", CASES)
def test_float32_stays_float32_and_agrees_with_float64(name: str) -> None:
    layer, x = CASES[name]
    narrow = tuple(item.astype(np.float32) if item.dtype.kind == "f" else item for item in x)
    wide = tuple(item.astype(np.float64) if item.dtype.kind == "f" else item for item in narrow)
    y, saved = layer.forward(*narrow, train=True, key=Key(1))
    exact, exact_saved = layer.astype(np.float64).forward(*wide, train=True, key=Key(1))
    dx, grads = layer.backward(saved, np.ones_like(y))
    _, exact_grads = layer.astype(np.float64).backward(exact_saved, np.ones_like(exact))
    assert y.dtype == np.float32
    assert all(grad.dtype == np.float32 for grad in grads.values())
    assert all(part is None or part.dtype == np.float32 for part in (dx if isinstance(dx, tuple) else (dx,)))
    # Every reduction here has at most 60 terms: 10 sqrt(60) roundings of 6e-8, relative to the largest entry.
    np.testing.assert_allclose(y, exact, atol=5e-6 * max(1.0, np.abs(exact).max(initial=0)))
    for key, grad in grads.items():
        np.testing.assert_allclose(grad, exact_grads[key], atol=5e-6 * max(1.0, np.abs(grad).max(initial=0)))


@pytest.mark.parametrize("name", CASES)
def test_description_rebuilds_the_layer(name: str) -> None:
    layer, x = CASES[name]
    layer = layer.astype(np.float64)
    twin = build_layer(describe_layer(layer))
    assert type(twin) is type(layer)
    assert twin.config() == layer.config()
    assert {k: v.shape for k, v in twin.params.items()} == {k: v.shape for k, v in layer.params.items()}
    for key, value in layer.params.items():
        twin.params[key][...] = value
    np.testing.assert_array_equal(twin(*x), layer(*x))


@given(n=st.integers(0, 9), n_in=SIZES, n_out=SIZES, seed=SEEDS)
def test_dense_matches_its_definition(n: int, n_in: int, n_out: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    layer = Dense(n_in, n_out, dtype=np.float64, rng=rng)
    layer.params["bias"][...] = rng.normal(size=n_out)
    x = rng.normal(size=(n, n_in)) * (rng.random((n, n_in)) < 0.5)
    expected = reference.dense(x, layer.params["weight"], layer.params["bias"])
    np.testing.assert_allclose(layer(x), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(layer(sparse.csr_array(x)), expected, rtol=1e-12, atol=1e-12)


def test_sparse_and_dense_features_give_the_same_weight_gradient() -> None:
    x = normal(30, 12) * (normal(30, 12, seed=1) > 0.5)
    layer = Dense(12, 4, dtype=np.float64, rng=0)
    dy = normal(30, 4, seed=2)
    dense_grads = layer.backward(layer.forward(x)[1], dy)[1]
    dx, sparse_grads = layer.backward(layer.forward(sparse.csr_array(x))[1], dy)
    assert dx is None
    for name in dense_grads:
        np.testing.assert_allclose(sparse_grads[name], dense_grads[name], atol=1e-12)


@given(n=st.integers(2, 40), n_features=SIZES, seed=SEEDS)
def test_batch_norm_matches_its_definition(n: int, n_features: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    layer = BatchNorm(n_features, dtype=np.float64)
    layer.params["scale"][...] = rng.normal(size=n_features)
    layer.params["shift"][...] = rng.normal(size=n_features)
    x = rng.normal(size=(n, n_features)) * 3 + 5
    y, saved = layer.forward(x, train=True)
    expected, mean, variance = reference.batch_norm(x, layer.params["scale"], layer.params["shift"], 1e-5)
    np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-9)
    layer.update_state(saved)
    np.testing.assert_allclose(layer.state["mean"], 0.1 * mean, rtol=1e-10)
    np.testing.assert_allclose(layer.state["variance"], 0.9 + 0.1 * variance * n / (n - 1), rtol=1e-10)


def test_batch_norm_backward_is_orthogonal_to_constants_and_to_the_normalised_input() -> None:
    layer = BatchNorm(4, dtype=np.float64, eps=0.0)
    y, saved = layer.forward(normal(20, 4), train=True)
    dx, _ = layer.backward(saved, normal(20, 4, seed=1))
    np.testing.assert_allclose(dx.sum(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose((dx * y).sum(axis=0), 0, atol=1e-12)


def test_batch_norm_forward_leaves_the_running_statistics_alone() -> None:
    layer = BatchNorm(2)
    before = {name: value.copy() for name, value in layer.state.items()}
    _, saved = layer.forward(normal(5, 2, dtype=np.float32), train=True)
    for name, value in before.items():
        np.testing.assert_array_equal(layer.state[name], value)
    layer.update_state(layer.forward(normal(5, 2, dtype=np.float32))[1])
    for name, value in before.items():
        np.testing.assert_array_equal(layer.state[name], value)
    layer.update_state(saved)
    assert not np.array_equal(layer.state["mean"], before["mean"])


def test_batch_norm_of_many_large_float32_rows_keeps_its_digits() -> None:
    x = (1000 + np.random.default_rng(0).normal(size=(50_000, 2))).astype(np.float32)
    _, saved = BatchNorm(2).forward(x, train=True)
    np.testing.assert_allclose(saved.mean, x.astype(np.float64).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(saved.variance, x.astype(np.float64).var(axis=0), rtol=1e-6)


@given(shape=st.tuples(st.integers(0, 3000), st.integers(1, 4)), seed=SEEDS)
def test_column_sums_are_exact_to_float64(shape: tuple[int, int], seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    np.testing.assert_allclose(column_sums(x), x.astype(np.float64).sum(axis=0), rtol=0, atol=1e-10)


@given(shape=st.lists(st.integers(0, 4), min_size=1, max_size=3), n_symbols=SIZES, seed=SEEDS)
def test_embedding_gradient_matches_its_definition(shape: list[int], n_symbols: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    index = rng.integers(n_symbols, size=shape)
    layer = Embedding(n_symbols, 3, dtype=np.float64, rng=rng)
    y, saved = layer.forward(index)
    dy = rng.normal(size=y.shape)
    dx, grads = layer.backward(saved, dy)
    assert dx is None
    expected = reference.embedding_gradient(index, dy, n_symbols)
    np.testing.assert_allclose(grads["weight"], expected, atol=1e-12)


def test_activations_at_special_values() -> None:
    x = np.array([-np.inf, -1000.0, -0.0, 0.0, 1000.0, np.inf, np.nan])
    np.testing.assert_array_equal(ReLU()(x), [0, 0, 0, 0, 1000, np.inf, np.nan])
    np.testing.assert_array_equal(sigmoid(x), [0, 0, 0.5, 0.5, 1, 1, np.nan])
    np.testing.assert_array_equal(Tanh()(x), [-1, -1, 0, 0, 1, 1, np.nan])
    np.testing.assert_array_equal(ReLU().backward(ReLU().forward(np.zeros(1))[1], np.ones(1))[0], [0.0])
    np.testing.assert_array_equal(Tanh(0.5)(x), [-1, -1, 0, 0, 1, 1, np.nan])
    slope = LeakyReLU(0.25)
    np.testing.assert_array_equal(slope.backward(slope.forward(np.zeros(1))[1], np.ones(1))[0], [0.25])


def test_tanh_of_slope_one_half_is_the_scaled_logistic_function() -> None:
    x = np.linspace(-9, 9, 101)
    np.testing.assert_allclose(Tanh(0.5)(x), 2 * sigmoid(x) - 1, atol=1e-15)
    np.testing.assert_array_equal(Tanh(1.0)(x), Tanh()(x))
    np.testing.assert_array_equal(Tanh(0.5).backward(Tanh(0.5).forward(np.zeros(1))[1], np.ones(1))[0], [0.5])


def test_sigmoid_keeps_relative_precision_far_from_zero() -> None:
    x = np.array([-30.0, -300.0, -700.0])
    np.testing.assert_allclose(sigmoid(x), np.exp(x), rtol=1e-12)


class TestDropout:
    def test_definition(self) -> None:
        x, layer = normal(50, 20), Dropout(0.3)
        y, saved = layer.forward(x, train=True, key=Key(3))
        np.testing.assert_allclose(y, reference.dropout(x, saved.mask, 0.3), rtol=1e-15)

    def test_share_of_kept_entries(self) -> None:
        _, saved = Dropout(0.7).forward(np.ones((500, 400), np.float32), train=True, key=Key(0))
        # Five standard deviations of a mean of 200,000 coins.
        assert abs(saved.mask.mean() - 0.3) < 5 * np.sqrt(0.21 / 200_000)

    def test_key_decides_the_mask(self) -> None:
        x, layer = np.ones((30, 30)), Dropout(0.5)
        same = [layer.forward(x, train=True, key=Key(1))[0] for _ in range(2)]
        np.testing.assert_array_equal(*same)
        other = layer.forward(x, train=True, key=Key(1).child("other"))[0]
        assert not np.array_equal(same[0], other)

    def test_both_dtypes_get_the_same_mask(self) -> None:
        masks = [
            Dropout(0.5).forward(np.ones((9, 9), dtype), train=True, key=Key(1))[1].mask
            for dtype in (np.float32, np.float64)
        ]
        np.testing.assert_array_equal(*masks)

    def test_sparse_values_are_dropped(self) -> None:
        x = sparse.csr_array(normal(20, 30) * (normal(20, 30, seed=1) > 1))
        y, saved = Dropout(0.5).forward(x, train=True, key=Key(0))
        np.testing.assert_array_equal(y.data, np.where(saved.mask, 2 * x.data, 0))
        np.testing.assert_array_equal(y.indices, x.indices)
        assert Dropout(0.5).backward(saved, None) == (None, {})

    def test_given_mask(self) -> None:
        y, _ = Dropout(0.5).forward(np.ones(2), train=True, mask=np.array([True, False]))
        assert y.tolist() == [2.0, 0.0]
        with pytest.raises(ValueError, match=r"mask must be bool of shape \(2,\)"):
            Dropout(0.5).forward(np.ones(2), train=True, mask=np.array([1, 0]))

    def test_identity_in_inference(self) -> None:
        x = normal(3, 3)
        assert Dropout(0.9)(x) is x

    def test_missing_key(self) -> None:
        with pytest.raises(ValueError, match=r"pass key=scinn.random.Key\(seed\)"):
            Dropout(0.5).forward(np.ones(2), train=True)
        with pytest.raises(TypeError, match=r"key must be a scinn.random.Key, got int"):
            Dropout(0.5).forward(np.ones(2), train=True, key=3)

    @pytest.mark.parametrize("rate", [1.0, -0.1, float("nan")])
    def test_bad_rate(self, rate: float) -> None:
        with pytest.raises(ValueError, match=r"rate must be in \[0, 1\)"):
            Dropout(rate)


class TestInitializers:
    @pytest.mark.parametrize(
        ("name", "variance"),
        [
            ("glorot_uniform", 2 / 500),
            ("glorot_normal", 2 / 500),
            ("he_uniform", 2 / 300),
            ("he_normal", 2 / 300),
            ("lecun_uniform", 1 / 900),
            ("normal", 1.0),
            ("zeros", 0.0),
        ],
    )
    def test_variance(self, name: str, variance: float) -> None:
        drawn = initialize(name, (300, 200), rng=np.random.default_rng(0), dtype=np.float64)
        # Sample variance of 60,000 draws: relative sd at most sqrt(2 / 60000) = 0.6 %; five of them.
        np.testing.assert_allclose(drawn.var(), variance, rtol=0.03)

    def test_float32_is_the_rounded_float64(self) -> None:
        pair = [Dense(5, 4, dtype=dtype, rng=7).params["weight"] for dtype in (np.float32, np.float64)]
        np.testing.assert_array_equal(pair[0], pair[1].astype(np.float32))

    def test_all_are_named_in_the_message(self) -> None:
        with pytest.raises(ValueError, match="did you mean 'glorot_uniform'") as error:
            Dense(2, 2, init="glorot_unifrom")
        assert all(name in str(error.value) for name in INITIALIZERS)


class TestNbytes:
    def test_owners_count_once_at_full_size(self) -> None:
        x = np.zeros((10, 8))
        assert nbytes((x, [x[:2]], {"view": x.T}, 3.0, None)) == x.nbytes
        assert nbytes((x[:1],)) == x.nbytes
        assert nbytes((x, x.copy())) == 2 * x.nbytes

    def test_parameters_do_not_count(self) -> None:
        layer = Dense(10, 8)
        assert nbytes((layer.params["weight"].T, np.zeros(3)), exclude=layer) == 24

    def test_relu_costs_nothing_beside_the_next_layer(self) -> None:
        network = Network.sequential(Dense(4, 6, rng=0), ReLU(), Dense(6, 2, rng=1))
        x = normal(5, 4, dtype=np.float32)
        _, saved = network.forward(x, train=True)
        assert nbytes(saved) == x.nbytes + 5 * 6 * 4

    def test_sparse_counts_its_three_arrays(self) -> None:
        x = sparse.csr_array(np.eye(4))
        assert nbytes((x,)) == x.data.nbytes + x.indices.nbytes + x.indptr.nbytes


def test_astype_copies() -> None:
    layer = BatchNorm(2)
    copy = layer.astype(np.float32)
    copy.params["scale"][...] = 5
    copy.state["mean"][...] = 5
    assert layer.params["scale"].tolist() == [1, 1]
    assert layer.state["mean"].tolist() == [0, 0]
    with pytest.raises(ValueError, match="dtype must be float32 or float64, got int64"):
        layer.astype(int)


def test_register_refuses_a_second_class_of_one_name() -> None:
    class Dense(ReLU):  # same name, other class
        pass

    with pytest.raises(ValueError, match=r"a layer named 'Dense' is registered already by scinn.nn.dense"):
        register_layer(Dense)


def test_unregistered_layers_cannot_be_described() -> None:
    class Homemade(ReLU):
        pass

    with pytest.raises(TypeError, match="decorate it with @register_layer"):
        describe_layer(Homemade())
    with pytest.raises(ValueError, match=r"unknown layer type 'Dens'.*did you mean 'Dense'"):
        build_layer({"type": "Dens", "module": "elsewhere", "config": {}})


X32 = np.ones((3, 4), np.float32)


@pytest.mark.parametrize(
    ("layer", "x", "error", "message"),
    [
        (Dense(5, 2), X32, ValueError, r"x has 4 features \(shape \(3, 4\)\).*built for 5"),
        (Dense(4, 2), X32.astype(float), TypeError, r"x is float64 and the layer float32; use x.astype"),
        (Dense(4, 2), X32.astype(int), TypeError, "x must be float32 or float64, got int64"),
        (Dense(4, 2), X32[0], ValueError, r"needs at least 2 axes, got shape \(4,\)"),
        (Dense(4, 2), X32.tolist(), TypeError, "x must be an ndarray, got list"),
        (Dense(4, 2), sparse.coo_array(X32), TypeError, "x is sparse in format 'coo'.*x.tocsr()"),
        (ReLU(), sparse.csr_array(X32), TypeError, "ReLU: x is a sparse matrix.*x.toarray()"),
        (BatchNorm(3), X32, ValueError, "x has 4 features"),
        (Embedding(3, 2), np.array([0.0]), TypeError, "index must be an ndarray of integers, got float64"),
        (Embedding(3, 2), np.array([3]), ValueError, r"index must be in \[0, 3\), got values from 3 to 3"),
    ],
)
def test_bad_input(layer: Layer, x: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        layer(x)


def test_bad_input_of_several() -> None:
    with pytest.raises(
        ValueError, match=r"Add: inputs must have one shape, got \(2,\) and \(3,\) \(input 1\)"
    ):
        Add()(np.ones(2), np.ones(3))
    with pytest.raises(TypeError, match="Add: inputs must have one dtype, got float64 and float32"):
        Add()(np.ones(2), np.ones(2, np.float32))
    with pytest.raises(ValueError, match=r"Concat: inputs may differ along axis -1 only.*\(input 1\)"):
        Concat()(np.ones((2, 2)), np.ones((3, 2)))
    with pytest.raises(ValueError, match="Concat: axis 4 does not exist"):
        Concat(axis=4)(np.ones((2, 2)))
    with pytest.raises(ValueError, match="Add needs at least one input"):
        Add()()


def test_batch_norm_refuses_one_row_in_training() -> None:
    with pytest.raises(ValueError, match="a training batch needs at least two rows, got 1"):
        BatchNorm(4).forward(np.ones((1, 4), np.float32), train=True)
    assert BatchNorm(4)(np.ones((1, 4), np.float32)).shape == (1, 4)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Dense(0, 1),
        lambda: Dense(1, 2.5),
        lambda: Embedding(0, 1),
        lambda: BatchNorm(0),
        lambda: BatchNorm(1, momentum=2),
        lambda: BatchNorm(1, eps=-1),
        lambda: LeakyReLU(float("nan")),
        lambda: Tanh(float("nan")),
        lambda: Tanh(float("inf")),
    ],
)
def test_bad_sizes(make) -> None:
    with pytest.raises(ValueError, match="must"):
        make()

"""Networks as graphs: routing, gradients, sharing, naming, files, and every way to wire one wrongly."""

from __future__ import annotations

import gc
import json
import weakref
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, note
from hypothesis import strategies as st
from scipy import sparse

from scinn._files import read_npz, write_npz
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
    Node,
    ReLU,
    Sigmoid,
    Tanh,
    register_layer,
)
from scinn.random import Key
from scinn.verify import check_gradient


class ScaleSaved(NamedTuple):
    factor: float


@register_layer
class ScaleByContext(Layer):
    """Multiply by a number that comes as context."""

    context = ("factor",)

    def forward(self, x, *, factor, train=False, key=None):
        return x * factor, ScaleSaved(factor)

    def backward(self, saved, dy):
        return dy * saved.factor, {}


@register_layer
class Split(Layer):
    """Return the positive and the negative part."""

    def forward(self, x, *, train=False, key=None):
        return (np.maximum(x, 0), np.minimum(x, 0)), (x > 0,)

    def backward(self, saved, dy):
        return np.where(saved[0], dy[0], dy[1]), {}


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def residual() -> Network:
    """Two dense layers with a skip, one of them used twice, batch norm and dropout."""
    return Network(
        {
            "shared": Dense(4, 4, rng=0),
            "norm": BatchNorm(4),
            "act": Tanh(),
            "drop": Dropout(0.3),
            "add": Add(),
            "cat": Concat(),
            "head": Dense(8, 3, rng=1),
        },
        [
            ("first", "shared", ["x"]),
            ("norm", "norm", ["first"]),
            ("act1", "act", ["norm"]),
            ("drop1", "drop", ["act1"]),
            ("second", "shared", ["drop1"]),
            ("drop2", "drop", ["second"]),
            ("sum", "add", ["drop2", "x", "act1"]),
            ("cat", "cat", ["sum", "first"]),
            ("head", "head", ["cat"]),
        ],
    )


@pytest.mark.parametrize("train", [True, False])
def test_gradient_of_a_graph_with_sharing_and_skips(train: bool) -> None:
    check_gradient(residual(), normal(6, 4), train=train).raise_if_failed()


def test_gradient_of_several_inputs_and_outputs_and_nested_networks() -> None:
    inner = Network.sequential(Dense(3, 3, rng=0), Tanh())
    network = Network(
        {"block": inner, "embed": Embedding(5, 3, rng=1), "add": Add(), "head": Dense(3, 2, rng=2)},
        [
            ("word", "embed", ["index"]),
            ("once", "block", ["x"]),
            ("sum", "add", ["once", "word"]),
            ("twice", "block", ["sum"]),
            ("head", "head", ["twice"]),
        ],
        inputs=("x", "index"),
        outputs=("head", "sum"),
    )
    assert list(network.params) == [
        "block.dense1.weight",
        "block.dense1.bias",
        "embed.weight",
        "head.weight",
        "head.bias",
    ]
    check_gradient(network, normal(4, 3), np.array([0, 4, 4, 1])).raise_if_failed()


def test_parts_of_a_tuple_are_read_by_number() -> None:
    layers = {"split": Split(), "tanh": Tanh(), "dense": Dense(3, 3, rng=0)}
    both = Network(
        layers,
        [("dense", "dense", ["x"]), ("split", "split", ["dense"]), ("tanh", "tanh", ["split.0"])],
        outputs=("tanh", "split.1"),
    )
    x = normal(4, 3)
    check_gradient(both, x).raise_if_failed()
    one = Network(layers, both.nodes)  # nobody reads split.1: its gradient is zero
    check_gradient(one, x).raise_if_failed()
    np.testing.assert_array_equal(one.astype(np.float64)(x), both.astype(np.float64)(x)[0])
    whole = Network(layers, [*both.nodes[:2], ("tanh", "tanh", ["split"])])
    with pytest.raises(
        ValueError, match=r"'split' returns 2 arrays; read one of them, for example 'split.0'"
    ):
        whole.astype(np.float64)(x)
    beyond = Network(layers, [*both.nodes[:2], ("tanh", "tanh", ["split.2"])])
    with pytest.raises(ValueError, match=r"'split.2' does not exist: 'split' returns 2 arrays"):
        beyond.astype(np.float64)(x)


def test_context_goes_to_who_names_it() -> None:
    network = Network.sequential(Dense(3, 2, dtype=np.float64, rng=0), ScaleByContext(), Tanh())
    assert network.context == ("factor",)
    x = normal(4, 3)
    check_gradient(network, x, factor=2.0).raise_if_failed()
    outer = Network.sequential(network)
    np.testing.assert_array_equal(outer(x, factor=2.0), network(x, factor=2.0))
    with pytest.raises(TypeError, match=r"needs the context \['factor'\] \(node 'scalebycontext1' reads"):
        network(x)
    with pytest.raises(TypeError, match=r"no layer of the network reads the context \['graph'\]"):
        network(x, factor=1.0, graph=None)


def test_sparse_features_pass_dropout_and_dense() -> None:
    network = Network.sequential(Dropout(0.5), Dense(6, 3, rng=0), ReLU(), Dropout(0.5), Dense(3, 2, rng=1))
    x = sparse.csr_array(normal(5, 6) * (normal(5, 6, seed=1) > 0))
    check_gradient(network, x).raise_if_failed()


def test_inference_equals_forward_without_training() -> None:
    network, x = residual().astype(np.float64), normal(6, 4)
    np.testing.assert_array_equal(network(x), network.forward(x)[0])


def test_inference_drops_values_after_their_last_reader() -> None:
    alive: list[list[bool]] = []
    made: list[weakref.ref] = []

    class Watched(Layer):
        def forward(self, x, *, train=False, key=None):
            gc.collect()
            alive.append([ref() is not None for ref in made])
            y = x + 1
            made.append(weakref.ref(y))
            return y, ()

        def backward(self, saved, dy):
            return dy, {}

    network = Network(
        {"w": Watched()}, [("a", "w", ["x"]), ("b", "w", ["a"]), ("c", "w", ["b"]), ("d", "w", ["c"])]
    )
    network(np.zeros(3))
    assert alive[3] == [False, False, True]


def test_nodes_that_share_dropout_draw_their_own_masks() -> None:
    network = Network(
        {"drop": Dropout(0.5), "add": Add()},
        [("one", "drop", ["x"]), ("two", "drop", ["x"]), ("sum", "add", ["one", "two"])],
    )
    _, saved = network.forward(np.ones((20, 20)), train=True, key=Key(0))
    assert not np.array_equal(saved.nodes[0].mask, saved.nodes[1].mask)
    lonely = Network.sequential(one=Dropout(0.5))
    _, alone = lonely.forward(np.ones((20, 20)), train=True, key=Key(0))
    np.testing.assert_array_equal(alone.nodes[0].mask, saved.nodes[0].mask)


def test_update_state_runs_once_per_use_in_order() -> None:
    norm = BatchNorm(2, dtype=np.float64, momentum=0.5)
    network = Network({"norm": norm}, [("a", "norm", ["x"]), ("b", "norm", ["a"])])
    _, saved = network.forward(normal(9, 2) + 4, train=True)
    network.update_state(saved)
    expected = 0.5 * (0.5 * saved.nodes[0].mean) + 0.5 * saved.nodes[1].mean
    np.testing.assert_allclose(network.state["norm.mean"], expected, rtol=1e-12)


def test_nobody_writes_into_what_it_was_given_or_has_returned() -> None:
    network, x = residual().astype(np.float64), normal(6, 4)
    for value in (x, *network.params.values(), *network.state.values()):
        value.setflags(write=False)
    y, saved = network.forward(x, train=True, key=Key(0))
    dy = np.ones_like(y)
    dy.setflags(write=False)

    def lock(item: Any) -> None:
        if isinstance(item, np.ndarray):
            item.setflags(write=False)
        elif isinstance(item, tuple):
            for part in item:
                lock(part)

    lock(saved)
    dx, grads = network.backward(saved, dy)
    again, _ = network.backward(saved, dy)
    assert dx.tobytes() == again.tobytes()
    assert set(grads) == set(network.params)


def test_parameters_are_live_and_the_mapping_is_not_a_place_to_write() -> None:
    network = residual()
    network.params["head.bias"][...] = 7
    assert network.layers["head"].params["bias"].tolist() == [7, 7, 7]
    with pytest.raises(TypeError):
        network.params["head.bias"] = np.zeros(3)
    network.layers["head"].params["bias"] = np.zeros(3, np.float32)
    assert network.params["head.bias"].tolist() == [0, 0, 0]
    assert network.dtype == np.float32
    assert network.n_parameters == 4 * 4 + 4 + 8 + 8 * 3 + 3


def test_a_parameter_that_no_gradient_reaches_is_missing() -> None:
    network = Network(
        {"embed": Embedding(4, 2, rng=0), "dense": Dense(2, 2, rng=1)},
        [("embed", "embed", ["i"]), ("dense", "dense", ["x"])],
        inputs=("i", "x"),
        outputs=("embed", "dense"),
    )
    _, saved = network.forward(np.array([1]), normal(1, 2).astype(np.float32))
    _, grads = network.backward(saved, (None, np.ones((1, 2), np.float32)))
    assert list(grads) == ["dense.weight", "dense.bias"]


SPECS = st.lists(
    st.tuples(st.sampled_from(["dense", "relu", "tanh", "norm", "skip", "cat", "shared"]), st.integers(1, 5)),
    min_size=1,
    max_size=6,
)


@given(spec=SPECS, seed=st.integers(0, 2**31 - 1))
def test_random_networks(spec: list[tuple[str, int]], seed: int) -> None:
    note(repr(spec))
    rng = np.random.default_rng(seed)
    layers: dict[str, Layer] = {}
    nodes: list[Node] = []
    history, width = [("x", 3)], 3
    for i, (kind, size) in enumerate(spec):
        name, reads = f"n{i}", [history[-1][0]]
        layer: Layer
        if kind == "skip":
            same = [other for other, w in history if w == width]
            reads.append(same[size % len(same)])
            layer = Add()
        elif kind == "cat":
            other, extra = history[size % len(history)]
            reads.append(other)
            layer, width = Concat(), width + extra
        elif kind == "shared" and f"shared{width}" in layers:
            nodes.append(Node(name, f"shared{width}", tuple(reads)))
            history.append((name, width))
            continue
        elif kind == "shared":
            layer = Dense(width, width, rng=rng)
            layers[f"shared{width}"] = layer
            nodes.append(Node(name, f"shared{width}", tuple(reads)))
            history.append((name, width))
            continue
        elif kind == "dense":
            layer, width = Dense(width, size, rng=rng), size
        else:
            layer = {"relu": LeakyReLU(0.3), "tanh": Tanh(), "norm": BatchNorm(width, eps=0.1)}[kind]
        layers[name] = layer
        nodes.append(Node(name, name, tuple(reads)))
        history.append((name, width))
    network = Network(layers, nodes)
    check_gradient(network, rng.normal(size=(5, 3)), rng=seed).raise_if_failed()
    twin = Network.from_config(json.loads(json.dumps(network.config())))
    assert twin.config() == network.config()


class TestFiles:
    def test_round_trip_is_exact(self, tmp_path) -> None:
        network = residual()
        network.params["head.bias"][...] = [np.nan, np.inf, 1e-45]
        network.state["norm.mean"][...] = 3
        network.save(tmp_path / "network.npz")
        loaded = Network.load(tmp_path / "network.npz")
        assert loaded.config() == network.config()
        for kind in ("params", "state"):
            here, there = getattr(network, kind), getattr(loaded, kind)
            assert list(here) == list(there)
            assert all(here[name].tobytes() == there[name].tobytes() for name in here)

    def test_all_mismatches_are_listed_and_nothing_is_changed(self, tmp_path) -> None:
        small, large = (
            Network.sequential(Dense(2, 2, rng=0)),
            Network.sequential(Dense(3, 2, rng=0), BatchNorm(2)),
        )
        before = large.params["dense1.weight"].copy()
        with pytest.raises(ValueError, match="do not fit the network") as error:
            large.load_arrays(small.astype(np.float64).named_arrays() | {"params/more": np.zeros(1)})
        lines = str(error.value).splitlines()[1:]
        assert len(lines) == 7
        for text in (
            "missing: params/batchnorm1.scale",
            "missing: state/batchnorm1.mean",
            "unexpected: params/more",
        ):
            assert any(text in line for line in lines)
        assert any("float64 (2, 2) in the file, float32 (3, 2) in the network" in line for line in lines)
        np.testing.assert_array_equal(large.params["dense1.weight"], before)

    def test_other_files_are_refused(self, tmp_path) -> None:
        path = tmp_path / "other.npz"
        write_npz(path, {"a": np.zeros(1)}, {"format": 1, "kind": "something"})
        with pytest.raises(ValueError, match="is not a network of format 1: kind 'something'"):
            Network.load(path)

    def test_unregistered_layers_are_refused_before_anything_is_written(self, tmp_path) -> None:
        class Homemade(ReLU):
            pass

        with pytest.raises(TypeError, match="Homemade is not registered"):
            Network.sequential(Homemade()).save(tmp_path / "network.npz")
        assert list(tmp_path.iterdir()) == []

    def test_nothing_is_pickled(self, tmp_path) -> None:
        residual().save(tmp_path / "network.npz")
        arrays, meta = read_npz(tmp_path / "network.npz")
        assert meta["kind"] == "network"
        assert all(value.dtype.kind in "fiu" for value in arrays.values())


def test_sequential_names() -> None:
    shared = Dense(2, 2, rng=0)
    network = Network.sequential(shared, ReLU(), shared, head=Sigmoid())
    assert [tuple(node) for node in network.nodes] == [
        ("dense1", "dense1", ("x",)),
        ("relu1", "relu1", ("dense1",)),
        ("dense2", "dense1", ("relu1",)),
        ("head", "head", ("dense2",)),
    ]
    check_gradient(network, normal(3, 2)).raise_if_failed()
    with pytest.raises(TypeError, match="sequential takes layers, got str"):
        Network.sequential("dense")
    with pytest.raises(ValueError, match="the name 'relu1' is used twice"):
        Network.sequential(ReLU(), relu1=ReLU())


def test_summary_counts_shared_layers_once() -> None:
    text = residual().summary()
    lines = text.splitlines()
    assert len(lines) == 9 + 4
    assert "Dense (shared: shared)" in text
    assert lines[-1].split() == ["total", f"{residual().n_parameters}"]
    counts = [int(line.split()[-1]) for line in lines[2:-2]]
    assert sum(counts) == residual().n_parameters
    assert repr(residual()) == "Network(9 nodes, 55 parameters)"


RELU = {"relu": ReLU()}


@pytest.mark.parametrize(
    ("layers", "nodes", "options", "message"),
    [
        (RELU, [], {}, "needs at least one node"),
        (RELU, [("a", "relu", ["y"])], {}, "node 'a' reads the unknown input 'y'; known: "),
        (
            RELU,
            [("a", "relu", ["inptu"])],
            {"inputs": ["input"]},
            "unknown input 'inptu'; did you mean 'input'",
        ),
        (RELU, [("a", "rleu", ["x"])], {}, "unknown layer 'rleu'; did you mean 'relu'"),
        (RELU, [("a", "relu", ["b"]), ("b", "relu", ["a"])], {}, "the nodes form a cycle: "),
        (RELU, [("a", "relu", ["a"])], {}, "the nodes form a cycle: a <- a"),
        (
            RELU,
            [("b", "relu", ["a"]), ("a", "relu", ["x"])],
            {},
            r"reads 'a', which comes later.*\['a', 'b'\]",
        ),
        (RELU, [("a", "relu", ["x"]), ("a", "relu", ["a"])], {}, "the name 'a' is used 2 times"),
        (RELU, [("x", "relu", ["x"])], {}, "the name 'x' is used 2 times"),
        (RELU, [("a.b", "relu", ["x"])], {}, "name 'a.b' must be a non-empty string without"),
        ({"r.e": ReLU()}, [("a", "r.e", ["x"])], {}, "layer name 'r.e' must be"),
        (
            RELU,
            [("a", "relu", ["x", "x"])],
            {},
            r"node 'a' reads 2 inputs, its layer 'relu' \(ReLU\) takes 1",
        ),
        ({"add": Add()}, [("a", "add", [])], {"inputs": []}, "reads 0 inputs.*takes at least one"),
        (RELU, [("a", "relu", ["x"])], {"outputs": ["b"]}, "the output 'b' is no node"),
        (RELU, [("a", "relu", ["x"]), ("b", "relu", ["x"])], {}, "nobody uses the node 'a'"),
        (RELU, [("a", "relu", ["x"])], {"inputs": ["x", "y"]}, "nobody uses the input 'y'"),
        ({**RELU, "tanh": Tanh()}, [("a", "relu", ["x"])], {}, "nobody uses the layer 'tanh'"),
        ({**RELU, "again": RELU["relu"]}, [("a", "relu", ["x"])], {}, "'relu' and 'again' are one object"),
    ],
)
def test_wrong_structures(layers: Any, nodes: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Network(layers, nodes, **options)


def test_wrong_types_and_counts() -> None:
    with pytest.raises(TypeError, match="layer 'relu' must be a Layer, got function"):
        Network({"relu": lambda x: x}, [("a", "relu", ["x"])])
    with pytest.raises(TypeError, match=r"the network has 1 inputs \('x',\), got 2 arrays"):
        Network.sequential(ReLU())(np.ones(2), np.ones(2))


def test_a_mismatch_inside_names_the_node() -> None:
    network = Network.sequential(Dense(3, 4, rng=0), ReLU(), wide=Dense(5, 2, rng=1))
    with pytest.raises(ValueError, match="x has 4 features") as error:
        network(np.ones((2, 3), np.float32))
    assert any("node 'wide'" in note for note in error.value.__notes__)

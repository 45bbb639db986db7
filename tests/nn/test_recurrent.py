"""LSTM and GRU: definition, gradient through time, lengths, first and last states, messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scinn.nn import GRU, LSTM, Dense, Network
from scinn.reference import recurrent as reference
from scinn.verify import check_gradient

KINDS: dict[str, Any] = {"LSTM": LSTM, "GRU": GRU}


def normal(*shape: int, seed: int = 0, dtype: Any = np.float64) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def build(kind: str, *sizes: int, seed: int = 0, **options: Any) -> Any:
    """Return a layer whose biases are not zero."""
    layer = KINDS[kind](*sizes, rng=seed, dtype=np.float64, **options)
    for i, value in enumerate(layer.params.values()):
        value += 0.3 * normal(*value.shape, seed=seed + i)
    return layer


def by_definition(
    kind: str, layer: Any, x: np.ndarray, states: list[np.ndarray], lengths: Any
) -> list[np.ndarray]:
    params, lasts = layer.params, []
    for i in range(layer.n_layers):
        weights = [params[f"weight_x{i}"], params[f"weight_h{i}"], params[f"bias{i}"]]
        if kind == "GRU":
            weights.append(params[f"bias_h{i}"])
        x, *last = getattr(reference, kind.lower())(x, *weights, *(state[i] for state in states), lengths)
        lasts.append(last)
    return [x, *(np.stack(parts) for parts in zip(*lasts, strict=True))]


@pytest.mark.parametrize("kind", KINDS)
@given(
    n_steps=st.integers(1, 6),
    n_sequences=st.sampled_from([0, 1, 3]),
    sizes=st.tuples(st.integers(1, 5), st.sampled_from([1, 3, 8, 17]), st.integers(1, 3)),
    masked=st.booleans(),
    given_state=st.booleans(),
    seed=st.integers(0, 2**31 - 1),
)
def test_outputs_and_last_states_by_the_definition(
    kind: str, n_steps: int, n_sequences: int, sizes: Any, masked: bool, given_state: bool, seed: int
) -> None:
    layer = build(kind, *sizes, masked=masked, seed=seed % 1000)
    x = 2 * normal(n_steps, n_sequences, sizes[0], seed=seed)
    shape = (sizes[2], n_sequences, sizes[1])
    states = [
        normal(*shape, seed=seed + i) if given_state else np.zeros(shape)
        for i in range(len(layer.state_names))
    ]
    lengths = np.random.default_rng(seed).integers(1, n_steps + 1, n_sequences) if masked else None
    context = {"lengths": lengths} if masked else {}
    got = layer(x, *(states if given_state else []), **context)
    for one, want in zip(got, by_definition(kind, layer, x, states, lengths), strict=True):
        np.testing.assert_allclose(one, want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("given_state", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("n_steps", "n_sequences", "n_layers"), [(4, 3, 1), (1, 1, 1), (3, 2, 2)])
def test_gradient(
    kind: str, given_state: bool, masked: bool, n_steps: int, n_sequences: int, n_layers: int
) -> None:
    layer = build(kind, 2, 3, n_layers, masked=masked)
    x = [normal(n_steps, n_sequences, 2)]
    if given_state:
        x += [normal(n_layers, n_sequences, 3, seed=1 + i) for i in range(len(layer.state_names))]
    context = {"lengths": np.array([n_steps, 1, 2])[:n_sequences]} if masked else {}
    check_gradient(layer, *x, **context).raise_if_failed()


@pytest.mark.parametrize("kind", KINDS)
def test_float32_agrees_with_float64(kind: str) -> None:
    layer = build(kind, 5, 19, 2, masked=True)
    x, lengths = normal(7, 3, 5, dtype=np.float32), np.array([7, 2, 5])
    narrow = layer.astype(np.float32)
    outputs, saved = narrow.forward(x, lengths=lengths)
    exact, exact_saved = layer.forward(x.astype(np.float64), lengths=lengths)
    dy = tuple(normal(*y.shape, seed=i, dtype=np.float32) for i, y in enumerate(outputs))
    dx, grads = narrow.backward(saved, dy)
    exact_dx, exact_grads = layer.backward(exact_saved, tuple(part.astype(np.float64) for part in dy))
    for got, want in [
        *zip(outputs, exact, strict=True),
        (dx, exact_dx),
        *((grads[k], exact_grads[k]) for k in grads),
    ]:
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, want, rtol=0, atol=3e-5 * max(1.0, float(np.abs(want).max())))


@pytest.mark.parametrize("kind", KINDS)
def test_a_padded_sequence_gives_what_it_gives_alone(kind: str) -> None:
    layer = build(kind, 2, 4, 2, masked=True)
    x = normal(6, 2, 2)
    padded = layer(x, lengths=np.array([6, 3]))
    alone = layer(np.ascontiguousarray(x[:3, 1:]), lengths=np.array([3]))
    np.testing.assert_allclose(padded[0][:3, 1:], alone[0], rtol=0, atol=1e-14)
    assert not padded[0][3:, 1].any()
    for whole, part in zip(padded[1:], alone[1:], strict=True):
        np.testing.assert_allclose(whole[:, 1:], part, rtol=0, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_two_halves_are_one_sequence(kind: str) -> None:
    layer = build(kind, 2, 4, 2)
    x = normal(6, 3, 2)
    whole = layer(x)
    first = layer(np.ascontiguousarray(x[:2]))
    second = layer(np.ascontiguousarray(x[2:]), *first[1:])
    for a, b in zip(second[1:], whole[1:], strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_in_a_network_that_is_saved_and_loaded(kind: str, tmp_path: Any) -> None:
    network = Network(
        {"cells": KINDS[kind](2, 3, masked=True, rng=0), "head": Dense(3, 2, rng=1)},
        [("cells", "cells", ["x"]), ("head", "head", ["cells.1"])],
    )
    x, lengths = normal(4, 2, 2, dtype=np.float32), np.array([4, 1])
    network.save(tmp_path / "network.npz")
    assert (
        Network.load(tmp_path / "network.npz")(x, lengths=lengths).tobytes()
        == network(x, lengths=lengths).tobytes()
    )
    check_gradient(network, x.astype(np.float64), lengths=lengths).raise_if_failed()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: LSTM(0, 2), ValueError, "n_in must be a positive integer"),
        (lambda: GRU(2, 2, 0), ValueError, "n_layers must be a positive integer"),
        (lambda: GRU(2, 3)(normal(4, 2, 3, dtype=np.float32)), ValueError, "built for 2"),
        (lambda: GRU(2, 3)(normal(4, 2, 2)), TypeError, "float64"),
        (lambda: GRU(2, 3)(normal(4, 2, dtype=np.float32)), ValueError, r"\(time, batch, features\)"),
        (lambda: GRU(2, 3)(normal(0, 2, 2, dtype=np.float32)), ValueError, "at least one step"),
        (lambda: LSTM(1, 1)(normal(1, 1, 1), normal(1, 1, 1)), TypeError, "h0 and c0"),
        (
            lambda: GRU(1, 2, dtype=np.float64)(normal(1, 3, 1), normal(1, 2, 2)),
            ValueError,
            r"h0 must have shape .* = \(1, 3, 2\)",
        ),
        (lambda: GRU(1, 1, dtype=np.float64)(normal(1, 1, 1), lengths=[1]), TypeError, "without masked=True"),
        (lambda: masked()(normal(3, 2, 1)), ValueError, "needs lengths="),
        (
            lambda: masked()(normal(3, 2, 1), lengths=[3, 0]),
            ValueError,
            "between 1 and the number of steps 3",
        ),
        (
            lambda: masked()(normal(3, 2, 1), lengths=[4, 1]),
            ValueError,
            "between 1 and the number of steps 3",
        ),
        (lambda: masked()(normal(3, 2, 1), lengths=[3]), ValueError, "2 integers"),
        (lambda: masked()(normal(3, 2, 1), lengths=[1.0, 2.0]), ValueError, "2 integers"),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[], Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def masked() -> Any:
    return GRU(1, 1, masked=True, dtype=np.float64)


def test_gradients_must_be_one_for_each_output() -> None:
    layer = LSTM(1, 2, dtype=np.float64)
    (y, _, _), saved = layer.forward(normal(2, 1, 1))
    with pytest.raises(TypeError, match="tuple of 3 gradients"):
        layer.backward(saved, y)
    dx, grads = layer.backward(saved, (None, None, None))
    assert not dx.any()
    assert list(grads) == list(layer.params)

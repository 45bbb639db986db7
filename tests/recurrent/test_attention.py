"""Attention: by its definition, gradients, masked positions, messages."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scinn.nn.layer import build_layer, describe_layer
from scinn.recurrent.attention import Attention
from scinn.verify import check_gradient


def normal(*shape: int, seed: int = 0, dtype: Any = np.float64) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def by_definition(
    layer: Attention, query: np.ndarray, memory: np.ndarray, lengths: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Attend with one query after the other, one source step after the other."""
    n_steps, n_rows = query.shape[:2]
    weights = np.zeros((n_steps, n_rows, len(memory)))
    output = np.zeros((n_steps, n_rows, layer.n_out))
    for t in range(n_steps):
        for b in range(n_rows):
            q, n = query[t, b], int(lengths[b])
            scores = [sum(memory[s, b] * (q @ layer.params["weight_score"])) for s in range(n)]
            exponentials = [math.exp(score - max(scores)) for score in scores]
            weights[t, b, :n] = np.array(exponentials) / sum(exponentials)
            c = sum((weights[t, b, s] * memory[s, b] for s in range(n)), np.zeros(layer.n_context))
            output[t, b] = np.tanh(np.concatenate([c, q]) @ layer.params["weight_out"])
    return output, weights


@given(
    n_steps=st.integers(0, 9),
    n_rows=st.sampled_from([0, 1, 3]),
    n_source=st.sampled_from([1, 2, 7]),
    sizes=st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5)),
    seed=st.integers(0, 2**31 - 1),
)
def test_outputs_and_weights_by_the_definition(
    n_steps: int, n_rows: int, n_source: int, sizes: tuple[int, int, int], seed: int
) -> None:
    layer = Attention(*sizes, dtype=np.float64, rng=seed)
    query, memory = (
        normal(n_steps, n_rows, sizes[0], seed=seed),
        normal(n_source, n_rows, sizes[1], seed=seed + 1),
    )
    lengths = np.random.default_rng(seed).integers(1, n_source + 1, n_rows)
    output, saved = layer.forward(query, 3 * memory, lengths=lengths)
    wanted, weights = by_definition(layer, query, 3 * memory, lengths)
    np.testing.assert_allclose(output, wanted, rtol=0, atol=1e-12)
    np.testing.assert_allclose(saved.weights, weights, rtol=0, atol=1e-12)


@pytest.mark.parametrize("lengths", [None, [4, 1, 3]])
@pytest.mark.parametrize("sizes", [(4, 3, 5), (1, 1, 1), (2, 6, 3)])
def test_gradient(lengths: Any, sizes: tuple[int, int, int]) -> None:
    layer = Attention(*sizes, dtype=np.float64, rng=1)
    context = {} if lengths is None else {"lengths": np.array(lengths)}
    result = check_gradient(layer, normal(2, 3, sizes[0]), normal(4, 3, sizes[1], seed=1), **context)
    assert result.passed, result


def test_what_lies_behind_a_length_is_neither_seen_nor_given_a_gradient() -> None:
    layer = Attention(4, 3, rng=0)
    query, memory = normal(5, 2, 4, dtype=np.float32), normal(6, 2, 3, seed=1, dtype=np.float32)
    lengths = np.array([6, 2])
    output, saved = layer.forward(query, memory, lengths=lengths)
    assert (saved.weights[:, 1, 2:] == 0).all()
    assert (saved.weights[:, 1, :2] > 0).all()
    (_, dmemory), _ = layer.backward(saved, np.ones_like(output))
    assert (dmemory[2:, 1] == 0).all()
    assert (dmemory[:2, 1] != 0).all()
    changed = memory.copy()
    changed[2:, 1] = 1e6
    np.testing.assert_array_equal(layer.forward(query, changed, lengths=lengths)[0], output)


def test_large_scores_stay_finite() -> None:
    layer = Attention(2, 2, dtype=np.float64, rng=0)
    query, memory = np.full((1, 1, 2), 1e4), np.stack([np.full((1, 2), 1e4), np.full((1, 2), -1e4)])
    output, saved = layer.forward(query, memory)
    assert np.isfinite(output).all()
    assert sorted(saved.weights.ravel().tolist()) == [0.0, 1.0]


def test_blocks_of_steps_add_up_to_all_steps() -> None:
    layer = Attention(4, 3, dtype=np.float64, rng=0)
    query, memory, dy = normal(7, 2, 4), normal(5, 2, 3, seed=1), normal(7, 2, 4, seed=2)
    _, whole = layer.forward(query, memory)
    (dquery, dmemory), grads = layer.backward(whole, dy)
    parts = []
    for first, end in ((0, 3), (3, 7)):
        _, saved = layer.forward(query[first:end], memory)
        parts.append(layer.backward(saved, dy[first:end]))
    np.testing.assert_allclose(np.concatenate([p[0][0] for p in parts]), dquery, atol=1e-12)
    np.testing.assert_allclose(sum(p[0][1] for p in parts), dmemory, atol=1e-12)
    for name, value in grads.items():
        np.testing.assert_allclose(sum(p[1][name] for p in parts), value, atol=1e-12)


def test_a_layer_is_built_from_its_description() -> None:
    layer = Attention(4, 3, 2, dtype=np.float64, rng=0)
    again = build_layer(json.loads(json.dumps(describe_layer(layer))))
    assert isinstance(again, Attention)
    assert again.config() == layer.config()
    assert {name: value.shape for name, value in again.params.items()} == {
        name: value.shape for name, value in layer.params.items()
    }


@pytest.mark.parametrize(
    ("query", "memory", "lengths", "error", "message"),
    [
        ((2, 3, 4), (5, 3, 2), None, ValueError, "memory has 2 features"),
        ((2, 3, 4), (5, 2, 3), None, ValueError, "the same batch"),
        ((2, 3, 4), (0, 3, 3), None, ValueError, "at least one source step"),
        ((3, 4), (5, 3, 3), None, ValueError, "query must have shape"),
        ((2, 3, 4), (5, 3, 3), [1, 2], ValueError, "one for each row"),
        ((2, 3, 4), (5, 3, 3), [1, 0, 2], ValueError, "nothing to attend to"),
        ((2, 3, 4), (5, 3, 3), [1, 6, 2], ValueError, "between 1 and the 5"),
        ((2, 3, 4), (5, 3, 3), [1.0, 2.0, 3.0], ValueError, "integers"),
    ],
)
def test_messages(query: Any, memory: Any, lengths: Any, error: type[Exception], message: str) -> None:
    layer = Attention(4, 3, dtype=np.float64, rng=0)
    with pytest.raises(error, match=message):
        layer.forward(normal(*query), normal(*memory), lengths=lengths)


def test_messages_for_the_number_of_arrays_and_the_gradient() -> None:
    layer = Attention(4, 3, dtype=np.float64, rng=0)
    with pytest.raises(TypeError, match="queries and contexts"):
        layer.forward(normal(2, 3, 4))
    _, saved = layer.forward(normal(2, 3, 4), normal(5, 3, 3))
    with pytest.raises(ValueError, match="output's shape"):
        layer.backward(saved, normal(2, 3, 3))
    with pytest.raises(ValueError, match="n_context"):
        Attention(4, 0)

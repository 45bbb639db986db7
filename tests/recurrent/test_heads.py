"""Softmax by blocks and embeddings by blocks: definition, gradients, chunks, order of memory, messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scinn.nn import Embedding
from scinn.random import Key
from scinn.recurrent.heads import EmbeddingStream, SoftmaxHead, dropout_mask


def normal(*shape: int, seed: int = 0, dtype: Any = np.float64) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def by_definition(
    outputs: np.ndarray, weight: np.ndarray, bias: np.ndarray, targets: np.ndarray, counts: np.ndarray
) -> tuple[float, dict[str, np.ndarray]]:
    """Return the loss, and its gradients by outputs, weight and bias, from all logits at once."""
    logits = outputs @ weight + bias
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    onehot = np.eye(weight.shape[1])[targets]
    dlogits = counts[..., None] * (p - onehot)
    rows, drows = outputs.reshape(-1, weight.shape[0]), dlogits.reshape(-1, weight.shape[1])
    loss = -float((counts * np.log((p * onehot).sum(axis=-1))).sum())
    return loss, {
        "outputs": dlogits @ weight.T,
        "weight": rows.T @ drows,
        "bias": drows.sum(axis=0),
    }


def blocks_back(n_steps: int, block: int) -> list[tuple[int, int]]:
    return [(first, min(first + block, n_steps)) for first in range(0, n_steps, block)][::-1]


@given(
    n_steps=st.integers(1, 7),
    n_rows=st.sampled_from([1, 2, 5]),
    sizes=st.tuples(st.sampled_from([1, 3, 8]), st.sampled_from([1, 2, 7, 40])),
    block=st.integers(1, 8),
    chunk_bytes=st.sampled_from([1, 200, 1000, 1 << 20]),
    tied=st.booleans(),
    masked=st.booleans(),
    weighted=st.booleans(),
    seed=st.integers(0, 2**31 - 1),
)
def test_softmax_by_blocks_is_the_softmax_of_all_positions(
    n_steps: int,
    n_rows: int,
    sizes: tuple[int, int],
    block: int,
    chunk_bytes: int,
    tied: bool,
    masked: bool,
    weighted: bool,
    seed: int,
) -> None:
    n_features, n_symbols = sizes
    rng = np.random.default_rng(seed)
    weight = normal(n_symbols, n_features, seed=seed).T if tied else normal(n_features, n_symbols, seed=seed)
    bias, outputs = normal(n_symbols, seed=seed + 1), normal(n_steps, n_rows, n_features, seed=seed + 2)
    targets = rng.integers(0, n_symbols, (n_steps, n_rows))
    mask = dropout_mask(Key(seed), (n_rows, n_features), 0.4, np.float64) if masked else None
    counts = rng.random((n_steps, n_rows)) * (rng.random((n_steps, n_rows)) < 0.8) + 1e-3
    head = SoftmaxHead(
        weight,
        bias,
        targets,
        mask=mask,
        position_weights=counts if weighted else None,
        chunk_bytes=chunk_bytes,
    )
    loss, doutputs = 0.0, np.full_like(outputs, np.nan)
    for first, end in blocks_back(n_steps, block):
        assert head.loss(first, end, outputs[first:end]) >= 0
        own, doutputs[first:end] = head(first, end, outputs[first:end])
        loss += own
    factor = counts / counts.sum() if weighted else np.full(targets.shape, 1 / targets.size)
    used = outputs if mask is None else outputs * mask
    wanted, grads = by_definition(used, weight, bias, targets, factor)
    np.testing.assert_allclose(loss, wanted, rtol=1e-10, atol=1e-12)
    given_mask = 1.0 if mask is None else mask
    np.testing.assert_allclose(doutputs, grads["outputs"] * given_mask, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(head.grads["weight"], grads["weight"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(head.grads["bias"], grads["bias"], rtol=1e-9, atol=1e-12)
    assert head.grads["weight"].T.flags.c_contiguous or not tied


def test_gradients_of_the_head_by_finite_differences() -> None:
    arrays = {"outputs": normal(4, 3, 5), "weight": normal(5, 6, seed=1), "bias": normal(6, seed=2)}
    targets = np.random.default_rng(3).integers(0, 6, (4, 3))

    def loss_of(values: dict[str, np.ndarray]) -> float:
        return SoftmaxHead(values["weight"], values["bias"], targets).loss(0, 4, values["outputs"])

    head = SoftmaxHead(arrays["weight"], arrays["bias"], targets)
    _, doutputs = head(0, 4, arrays["outputs"])
    grads = head.grads | {"outputs": doutputs}
    for name, value in arrays.items():
        for index in [(0,) * value.ndim, (-1,) * value.ndim]:
            step = np.zeros_like(value)
            step[index] = 1e-6
            slope = (loss_of(arrays | {name: value + step}) - loss_of(arrays | {name: value - step})) / 2e-6
            assert grads[name][index] == pytest.approx(slope, rel=1e-6, abs=1e-9)


def test_positions_without_weight_have_no_gradient() -> None:
    weights = np.array([[1.0, 0.0], [0.0, 2.0]])
    head = SoftmaxHead(normal(3, 4), normal(4), np.zeros((2, 2), int), position_weights=weights, scale=0.5)
    loss, doutputs = head(0, 2, normal(2, 2, 3, seed=5))
    assert np.array_equal(np.abs(doutputs).sum(axis=-1) > 0, weights > 0)
    assert loss == pytest.approx(
        head.loss(0, 1, normal(2, 2, 3, seed=5)[:1]) + head.loss(1, 2, normal(2, 2, 3, seed=5)[1:])
    )


def test_working_memory_is_that_of_a_chunk() -> None:
    head = SoftmaxHead(normal(2, 1000), np.zeros(1000), np.zeros((50, 4), int), chunk_bytes=80_000)
    head(0, 50, normal(50, 4, 2))
    assert [array.nbytes for array in head._work] == [80_000, 80_000]
    assert head.grads["weight"].dtype == np.float64


def test_outputs_are_not_written_into() -> None:
    outputs, targets = normal(3, 2, 4), np.zeros((3, 2), int)
    kept = outputs.copy()
    head = SoftmaxHead(normal(4, 5), np.zeros(5), targets)
    head(0, 3, outputs)
    outputs.flags.writeable = False
    head.loss(0, 3, outputs)
    assert np.array_equal(outputs, kept)


@given(
    n_steps=st.integers(0, 6),
    n_rows=st.sampled_from([0, 1, 4]),
    n_symbols=st.sampled_from([1, 2, 11]),
    block=st.integers(1, 7),
    scaled=st.booleans(),
    masked=st.booleans(),
    seed=st.integers(0, 2**31 - 1),
)
def test_embedding_by_blocks_is_the_layer(
    n_steps: int, n_rows: int, n_symbols: int, block: int, scaled: bool, masked: bool, seed: int
) -> None:
    layer = Embedding(n_symbols, 3, rng=seed, dtype=np.float64)
    table, rng = layer.params["weight"], np.random.default_rng(seed)
    ids = rng.integers(0, n_symbols, (n_steps, n_rows))
    scale = rng.random(n_symbols) if scaled else None
    mask = rng.random((n_rows, 3)) if masked else None
    stream = EmbeddingStream(ids, table, row_scale=scale, mask=mask)
    assert stream.shape == (n_steps, n_rows, 3)
    factor = np.ones((n_steps, n_rows, 3))
    if scale is not None:
        factor *= scale[ids][..., None]
    if mask is not None:
        factor *= mask
    dx = normal(n_steps, n_rows, 3, seed=seed % 1000)
    for first, end in blocks_back(n_steps, block):
        np.testing.assert_allclose(
            stream.block(first, end), table[ids[first:end]] * factor[first:end], rtol=1e-14
        )
        assert np.array_equal(stream.block(first, end), stream.block(first, end))
        stream.accumulate(first, end, dx[first:end])
    _, saved = layer.forward(ids)
    wanted = layer.backward(saved, dx * factor)[1]["weight"]
    np.testing.assert_allclose(stream.grad, wanted, rtol=1e-10, atol=1e-13)


def test_embedding_adds_to_an_array_that_it_is_given() -> None:
    total = np.ones((3, 2))
    stream = EmbeddingStream(np.array([[1, 1]]), np.zeros((3, 2)), grad=total)
    stream.accumulate(0, 1, np.full((1, 2, 2), 2.0))
    assert total.tolist() == [[1, 1], [5, 5], [1, 1]]


def test_masks_are_addressed() -> None:
    mask = dropout_mask(Key(3).child("input"), (50, 40), 0.25)
    again = dropout_mask(Key(3).child("input"), (50, 40), 0.25)
    other = dropout_mask(Key(4).child("input"), (50, 40), 0.25)
    assert mask is not None
    assert again is not None
    assert other is not None
    assert np.array_equal(mask, again)
    assert not np.array_equal(mask, other)
    assert mask.dtype == np.float32
    assert set(np.unique(mask)) == {np.float32(0), np.float32(1 / 0.75)}
    assert 0.70 < np.mean(mask > 0) < 0.80
    assert dropout_mask(Key(3), (2,), 0.0) is None


HEAD = {"weight": np.zeros((4, 3)), "bias": np.zeros(3), "targets": np.zeros((2, 1), int)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": np.zeros(4)}, "weight must have shape"),
        ({"weight": np.zeros((4, 3), int)}, "weight must be an ndarray of float32 or float64, got int64"),
        ({"bias": np.zeros(4)}, "bias must have shape"),
        ({"bias": np.zeros(3, np.float32)}, "bias is float32, and float64 is wanted"),
        ({"targets": np.array([[3]])}, "targets holds the index 3; indices must lie in 0..2"),
        ({"targets": np.array([[-1]])}, "targets holds the negative index -1"),
        ({"targets": np.zeros((2, 1))}, "targets has dtype float64"),
        ({"targets": np.zeros(2, int)}, "targets has 1 dimensions"),
        ({"mask": np.zeros((2, 4))}, "mask must have shape"),
        ({"position_weights": np.zeros((2, 1))}, "no position counts"),
        ({"position_weights": -np.ones((2, 1))}, "must not be negative"),
        ({"position_weights": np.ones((1, 2))}, "position_weights has shape"),
        ({"scale": -1.0}, "scale is -1"),
        ({"chunk_bytes": 0}, "chunk_bytes is 0"),
    ],
)
def test_messages_of_the_head(change: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        SoftmaxHead(**HEAD | change)


@pytest.mark.parametrize(
    "outputs", [np.zeros((1, 1, 4)), np.zeros((2, 1, 3)), np.zeros((2, 1, 4), np.float32)]
)
def test_head_refuses_other_outputs(outputs: np.ndarray) -> None:
    with pytest.raises(ValueError, match="outputs of steps 0 to 2 of 2 must be float64"):
        SoftmaxHead(**HEAD)(0, 2, outputs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": np.array([[5]])}, "ids holds the index 5"),
        ({"ids": np.array([5])}, "ids has 1 dimensions"),
        ({"table": np.zeros(3)}, "table must have shape"),
        ({"row_scale": np.ones(2)}, "row_scale must have shape"),
        ({"mask": np.ones((1, 3), np.float32)}, "mask is float32"),
        ({"grad": np.ones((3, 2))}, "grad must have shape"),
    ],
)
def test_messages_of_the_stream(change: dict[str, Any], message: str) -> None:
    good = {"ids": np.array([[0]]), "table": np.zeros((5, 3))}
    with pytest.raises((TypeError, ValueError), match=message):
        EmbeddingStream(**good | change)

"""Made-up tasks on sequences: what is asked for, and when."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scinn.datasets import IGNORED, Vocabulary, copy_task, memory_task, repeat_task, reversal_task
from scinn.random import Key

SIZES = (st.integers(1, 6), st.integers(1, 12), st.integers(1, 4))


@given(*SIZES, st.integers(0, 14))
def test_repeat(n_symbols, n_steps, n_rows, delay):
    task = repeat_task(n_symbols, n_steps, n_rows, delay=delay, rng=0)
    assert task.inputs.shape == task.targets.shape == (n_steps, n_rows)
    assert task.inputs.dtype == task.targets.dtype == np.int32
    assert task.n_inputs == task.n_targets == n_symbols
    assert ((task.inputs >= 0) & (task.inputs < n_symbols)).all()
    for t in range(n_steps):
        for row in range(n_rows):
            expected = IGNORED if t < delay else task.inputs[t - delay, row]
            assert task.targets[t, row] == expected


@given(*SIZES, st.booleans())
def test_memory(n_symbols, n_steps, n_rows, reverse):
    task = memory_task(n_symbols, n_steps, n_rows, reverse=reverse, rng=1)
    assert task.inputs.shape == task.targets.shape == (2 * n_steps, n_rows)
    assert (task.n_inputs, task.n_targets) == (n_symbols + 1, n_symbols)
    read, said = task.inputs[:n_steps], task.targets[n_steps:]
    assert ((read >= 0) & (read < n_symbols)).all()
    np.testing.assert_array_equal(said, read[::-1] if reverse else read)
    assert (task.inputs[n_steps:] == n_symbols).all()
    assert (task.targets[:n_steps] == IGNORED).all()


@given(st.integers(1, 6), st.integers(1, 8), st.integers(1, 5), st.integers(0, 6), st.booleans())
def test_copy_and_reversal(n_symbols, n_rows, min_length, more, reverse):
    make = reversal_task if reverse else copy_task
    batch = make(n_symbols, n_rows, min_length=min_length, max_length=min_length + more, rng=2)
    assert batch.positions.tolist() == list(range(n_rows))
    np.testing.assert_array_equal(batch.target_lengths, batch.source_lengths + 2)
    assert len(batch.source) == batch.source_lengths.max()
    assert len(batch.target) == batch.target_lengths.max()
    for row, length in enumerate(batch.source_lengths.tolist()):
        assert min_length <= length <= min_length + more
        symbols = batch.source[:length, row].tolist()
        assert all(4 <= symbol < n_symbols + 4 for symbol in symbols)
        said = symbols[::-1] if reverse else symbols
        assert batch.target[: length + 2, row].tolist() == [Vocabulary.bos, *said, Vocabulary.eos]
        assert not batch.source[length:, row].any()
        assert not batch.target[length + 2 :, row].any()


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: repeat_task(9, 20, 3, rng=rng).inputs,
        lambda rng: memory_task(9, 20, 3, rng=rng).inputs,
        lambda rng: copy_task(9, 20, rng=rng).source,
        lambda rng: reversal_task(9, 20, rng=rng).source,
    ],
)
def test_the_seed_decides(draw):
    np.testing.assert_array_equal(draw(3), draw(3))
    np.testing.assert_array_equal(draw(Key(1).child("batch", 0)), draw(Key(1).child("batch", 0)))
    first, second = draw(3), draw(4)
    assert first.shape != second.shape or (first != second).any()


def test_symbols_and_lengths_are_equally_likely():
    inputs = repeat_task(5, 1000, 10, rng=0).inputs
    np.testing.assert_allclose(np.bincount(inputs.ravel()) / inputs.size, 0.2, atol=0.015)
    batch = copy_task(5, 10000, min_length=2, max_length=5, rng=0)
    np.testing.assert_allclose(np.bincount(batch.source_lengths)[2:] / 10000, 0.25, atol=0.02)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: repeat_task(0, 1), "n_symbols is 0"),
        (lambda: repeat_task(2, 0), "n_steps is 0"),
        (lambda: repeat_task(2, 1, 0), "n_rows is 0"),
        (lambda: repeat_task(2, 1, delay=-1), "delay is -1"),
        (lambda: memory_task(2, -1), "n_steps is -1"),
        (lambda: copy_task(0, 1), "n_symbols is 0"),
        (lambda: copy_task(2, 0), "n_rows is 0"),
        (lambda: reversal_task(2, 1, min_length=0), "min_length is 0"),
        (lambda: reversal_task(2, 1, min_length=4, max_length=3), "max_length is 3; an integer >= 4"),
    ],
)
def test_wrong_sizes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
    with pytest.raises(TypeError, match="n_symbols is 2"):
        repeat_task(2.0, 3)

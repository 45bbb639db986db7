"""Made-up tasks on sequences of symbols: repeating, memorising, copying and reversing.

``repeat_task`` and ``memory_task`` give a network one symbol a step and ask for one; ``copy_task`` and
``reversal_task`` are pairs of sequences for an encoder and a decoder.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scinn._input import check_positive_int
from scinn.datasets.text import Vocabulary
from scinn.datasets.text_batches import SequenceBatch, pad_batch
from scinn.random import RandomState, as_generator

__all__ = ["IGNORED", "SequenceTask", "copy_task", "memory_task", "repeat_task", "reversal_task"]

#: The target of a step at which nothing is asked.
IGNORED = -1
N_MARKS = 4


class SequenceTask(NamedTuple):
    """One symbol in and one asked for at each step.

    Parameters
    ----------
    inputs : ndarray of shape (n_steps, n_rows), int32
        Ids below ``n_inputs``.
    targets : ndarray of shape (n_steps, n_rows), int32
        What is to be said after the input of the same step was read: ids below ``n_targets``, or ``IGNORED``
        (-1) where nothing is asked.
    n_inputs, n_targets : int
        Numbers of symbols.
    """

    inputs: np.ndarray
    targets: np.ndarray
    n_inputs: int
    n_targets: int


def repeat_task(
    n_symbols: int, n_steps: int, n_rows: int = 1, *, delay: int = 0, rng: RandomState = None
) -> SequenceTask:
    """Draw the task of saying, at every step, a symbol that was read.

    With ``delay=0`` it is the symbol that the last step read, so that the output for time t + 1 names the symbol of time
    t: nothing need be remembered, and a network that cannot forget must nevertheless hold the whole sequence.

    Parameters
    ----------
    n_symbols : int
        Size of the alphabet; the symbols are independent and equally likely.
    n_steps, n_rows : int
        Length and number of sequences.
    delay : int
        So many steps earlier the symbol was read; the first ``delay`` steps ask nothing.
    rng : int, SeedSequence, Generator, Key or None
        Source of randomness.

    Returns
    -------
    SequenceTask
        ``targets[t]`` is ``inputs[t - delay]``.

    Raises
    ------
    TypeError, ValueError
        For numbers that are not positive (``delay``: negative).

    References
    ----------
    M. MacKay, P. Vicol, J. Ba, R. Grosse: Reversible Recurrent Neural Networks, NeurIPS 2018, section 4.

    Examples
    --------
    >>> task = repeat_task(5, 4, delay=1, rng=0)
    >>> task.inputs[:, 0].tolist(), task.targets[:, 0].tolist()
    ([4, 3, 2, 1], [-1, 4, 3, 2])
    """
    inputs = _symbols(n_symbols, n_steps, n_rows, rng)
    lag = min(check_positive_int(delay, "delay", minimum=0), len(inputs))
    targets = np.full_like(inputs, IGNORED)
    targets[lag:] = inputs[: len(inputs) - lag]
    return SequenceTask(inputs, targets, int(n_symbols), int(n_symbols))


def memory_task(
    n_symbols: int, n_steps: int, n_rows: int = 1, *, reverse: bool = False, rng: RandomState = None
) -> SequenceTask:
    """Draw the task of reading a sequence to its end, and only then saying it.

    Parameters
    ----------
    n_symbols : int
        Size of the alphabet; the symbols are independent and equally likely.
    n_steps, n_rows : int
        Length and number of the sequences that are to be held.
    reverse : bool
        Ask for the last symbol first.
    rng : int, SeedSequence, Generator, Key or None
        Source of randomness.

    Returns
    -------
    SequenceTask
        Of ``2 * n_steps`` steps; in the second half the input is a blank, the symbol ``n_symbols``, and in the first
        nothing is asked.

    Raises
    ------
    TypeError, ValueError
        For numbers that are not positive.

    References
    ----------
    M. MacKay, P. Vicol, J. Ba, R. Grosse: Reversible Recurrent Neural Networks, NeurIPS 2018, section 4.

    Examples
    --------
    >>> task = memory_task(5, 2, rng=0)
    >>> task.inputs[:, 0].tolist(), task.targets[:, 0].tolist()
    ([4, 3, 5, 5], [-1, -1, 4, 3])
    """
    read = _symbols(n_symbols, n_steps, n_rows, rng)
    said = read[::-1] if reverse else read
    return SequenceTask(
        np.concatenate([read, np.full_like(read, n_symbols)]),
        np.concatenate([np.full_like(read, IGNORED), said]),
        int(n_symbols) + 1,
        int(n_symbols),
    )


def copy_task(
    n_symbols: int, n_rows: int, *, min_length: int = 1, max_length: int = 10, rng: RandomState = None
) -> SequenceBatch:
    """Draw pairs of which the target is the source.

    Parameters
    ----------
    n_symbols : int
        Size of the alphabet; the symbols are independent and equally likely. Their ids begin at 4, behind the
        marks of a :class:`~scinn.datasets.Vocabulary`.
    n_rows : int
        Number of pairs.
    min_length, max_length : int
        The lengths are equally likely from the first to the last.
    rng : int, SeedSequence, Generator, Key or None
        Source of randomness.

    Returns
    -------
    SequenceBatch
        Targets between ``<bos>`` and ``<eos>``; ids below ``n_symbols + 4``.

    Raises
    ------
    TypeError, ValueError
        For numbers that are not positive, or a ``max_length`` below ``min_length``.

    Examples
    --------
    >>> batch = copy_task(10, 2, max_length=4, rng=1)
    >>> batch.source.T.tolist(), batch.target.T.tolist()
    ([[11, 13, 0], [4, 5, 12]], [[2, 11, 13, 3, 0], [2, 4, 5, 12, 3]])
    """
    return _pairs(n_symbols, n_rows, min_length, max_length, rng, reverse=False)


def reversal_task(
    n_symbols: int, n_rows: int, *, min_length: int = 1, max_length: int = 10, rng: RandomState = None
) -> SequenceBatch:
    """Draw pairs of which the target is the source read backwards.

    Parameters
    ----------
    n_symbols : int
        Size of the alphabet; the symbols are independent and equally likely. Their ids begin at 4, behind the
        marks of a :class:`~scinn.datasets.Vocabulary`.
    n_rows : int
        Number of pairs.
    min_length, max_length : int
        The lengths are equally likely from the first to the last.
    rng : int, SeedSequence, Generator, Key or None
        Source of randomness.

    Returns
    -------
    SequenceBatch
        Targets between ``<bos>`` and ``<eos>``; ids below ``n_symbols + 4``.

    Raises
    ------
    TypeError, ValueError
        For numbers that are not positive, or a ``max_length`` below ``min_length``.

    Examples
    --------
    >>> batch = reversal_task(10, 2, max_length=4, rng=1)
    >>> batch.source.T.tolist(), batch.target.T.tolist()
    ([[11, 13, 0], [4, 5, 12]], [[2, 13, 11, 3, 0], [2, 12, 5, 4, 3]])
    """
    return _pairs(n_symbols, n_rows, min_length, max_length, rng, reverse=True)


def _symbols(n_symbols: int, n_steps: int, n_rows: int, rng: RandomState) -> np.ndarray:
    n = check_positive_int(n_symbols, "n_symbols")
    shape = check_positive_int(n_steps, "n_steps"), check_positive_int(n_rows, "n_rows")
    return as_generator(rng).integers(0, n, size=shape, dtype=np.int32)


def _pairs(
    n_symbols: int, n_rows: int, min_length: int, max_length: int, rng: RandomState, *, reverse: bool
) -> SequenceBatch:
    n = check_positive_int(n_symbols, "n_symbols")
    rows = check_positive_int(n_rows, "n_rows")
    shortest = check_positive_int(min_length, "min_length")
    longest = check_positive_int(max_length, "max_length", minimum=shortest)
    generator = as_generator(rng)
    lengths = generator.integers(shortest, longest, size=rows, endpoint=True)
    source = [(generator.integers(0, n, size=length) + N_MARKS).tolist() for length in lengths.tolist()]
    said = [row[::-1] for row in source] if reverse else source
    target = [[Vocabulary.bos, *row, Vocabulary.eos] for row in said]
    return SequenceBatch(*pad_batch(source), *pad_batch(target), np.arange(rows))

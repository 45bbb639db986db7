"""Arrays of sequences as a network reads them: streams cut into rows, pairs padded side by side, minibatches.

Arrays have time first, ``(n_steps, n_rows)``; what stands behind the end of a row is named where it matters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from scinn._input import as_index_array, check_positive_int
from scinn.datasets.text import ParallelText, Vocabulary, as_list
from scinn.random import Key

__all__ = ["SequenceBatch", "batch_stream", "bucketed_batches", "encode_pairs", "pad_batch"]


class SequenceBatch(NamedTuple):
    """Pairs of sequences side by side, padded behind their ends.

    Parameters
    ----------
    source : ndarray of shape (n_source_steps, n_rows), int32
        Ids; 0 behind the end of a row.
    source_lengths : ndarray of shape (n_rows,), int64
        Length of each row.
    target : ndarray of shape (n_target_steps, n_rows), int32
        Ids, ``<bos>`` first and ``<eos>`` last: a decoder reads ``target[:-1]`` and is to predict ``target[1:]``.
    target_lengths : ndarray of shape (n_rows,), int64
        Length of each row, both marks counted.
    positions : ndarray of shape (n_rows,), int64
        Where the pair of each row stood among those that were given.
    """

    source: np.ndarray
    source_lengths: np.ndarray
    target: np.ndarray
    target_lengths: np.ndarray
    positions: np.ndarray

    def __repr__(self) -> str:
        return (
            f"SequenceBatch({len(self.positions)} rows, source {len(self.source)} steps, "
            f"target {len(self.target)} steps)"
        )


def batch_stream(ids: Any, n_rows: int) -> np.ndarray:
    """Cut a stream into equal rows that are read side by side, and drop the rest.

    Row ``j`` holds tokens ``j * n_steps`` to ``(j + 1) * n_steps - 1``, so that a state carried from one stretch of
    steps to the next goes on in the same text.

    Parameters
    ----------
    ids : array_like of int, shape (n_tokens,)
        The stream.
    n_rows : int
        Number of rows.

    Returns
    -------
    ndarray of shape (n_steps, n_rows)
        ``n_steps`` is ``n_tokens // n_rows``; the type of integers is kept.

    Raises
    ------
    TypeError, ValueError
        For what is not a row of ids, or has fewer than ``n_rows``.

    Examples
    --------
    >>> batch_stream([0, 1, 2, 3, 4, 5, 6], 2)
    array([[0, 3],
           [1, 4],
           [2, 5]])
    """
    stream = as_index_array(ids, "ids")
    rows = check_positive_int(n_rows, "n_rows")
    if len(stream) < rows:
        raise ValueError(
            f"ids has {len(stream)} tokens, too few for n_rows={rows}; give each row at least one"
        )
    if isinstance(ids, np.ndarray):
        stream = ids
    n_steps = len(stream) // rows
    return np.ascontiguousarray(stream[: n_steps * rows].reshape(rows, n_steps).T)


def pad_batch(
    sequences: Iterable[Sequence[int]], *, pad: int = Vocabulary.pad
) -> tuple[np.ndarray, np.ndarray]:
    """Put sequences of different lengths side by side.

    Parameters
    ----------
    sequences : iterable of sequences of int
        Ids of each row.
    pad : int
        What stands behind the end of a row.

    Returns
    -------
    ids : ndarray of shape (n_steps, n_rows), int32
        ``n_steps`` is the largest length.
    lengths : ndarray of shape (n_rows,), int64

    Raises
    ------
    TypeError, ValueError
        For no sequence at all, or one that does not hold ids.

    Examples
    --------
    >>> ids, lengths = pad_batch([[4, 5, 6], [7]])
    >>> ids.tolist(), lengths.tolist()
    ([[4, 7], [5, 0], [6, 0]], [3, 1])
    """
    fill = check_positive_int(pad, "pad", minimum=0)
    rows = [_id_row(row, f"sequences[{i}]") for i, row in enumerate(as_list(sequences, "sequences"))]
    if not rows:
        raise ValueError("sequences is empty; at least one sequence is wanted")
    return _padded(rows, fill)


def encode_pairs(
    pairs: ParallelText,
    source_vocabulary: Vocabulary,
    target_vocabulary: Vocabulary,
    *,
    max_length: int | None = None,
) -> tuple[list[list[int]], list[list[int]]]:
    """Return the ids of sentence pairs, the targets between ``<bos>`` and ``<eos>``.

    Parameters
    ----------
    pairs : ParallelText
        Or any two equally long sequences of sentences (strings, or sequences of words).
    source_vocabulary, target_vocabulary : Vocabulary
        Words of the two languages.
    max_length : int, optional
        Leave out pairs of which one sentence has more words. Use it for training only.

    Returns
    -------
    source, target : list of list of int
        Pairs without a word on one side are left out too.

    Raises
    ------
    TypeError, ValueError
        For numbers of sentences that differ, or sentences of another form.

    Examples
    --------
    >>> pairs = ParallelText(("A dog.", "A big dog."), ("Ein Hund.", "Ein großer Hund."))
    >>> words = [Vocabulary.build(side) for side in pairs]
    >>> encode_pairs(pairs, *words, max_length=3)
    ([[5, 6, 4]], [[2, 5, 6, 4, 3]])
    """
    if len(pairs) != 2:
        raise ValueError(f"pairs has {len(pairs)} parts; the source and the target sentences are wanted")
    sides = [as_list(side, name) for side, name in zip(pairs, ("pairs.source", "pairs.target"))]
    _check_paired(sides[0], sides[1], "pairs.source", "pairs.target", "sentences")
    longest = None if max_length is None else check_positive_int(max_length, "max_length")
    source, target = [], []
    for source_sentence, target_sentence in zip(*sides):
        ids = source_vocabulary.encode(source_sentence)
        translated = target_vocabulary.encode(target_sentence)
        if not ids or not translated or (longest is not None and max(len(ids), len(translated)) > longest):
            continue
        source.append(ids)
        target.append([Vocabulary.bos, *translated, Vocabulary.eos])
    return source, target


def bucketed_batches(
    source: Sequence[Sequence[int]],
    target: Sequence[Sequence[int]],
    batch_size: int,
    *,
    seed: int | Key = 0,
    epoch: int | None = 0,
    n_pooled: int = 50,
) -> Iterator[SequenceBatch]:
    """Go once through pairs in minibatches of similar lengths.

    The pairs are permuted; each stretch of ``n_pooled`` minibatches is sorted by the lengths of its sources, then its
    targets, and cut; at last the minibatches are permuted. The seed and the epoch decide all of it, so that any epoch
    can be replayed alone.

    Parameters
    ----------
    source, target : sequence of sequences of int
        Ids of the pairs, as :func:`encode_pairs` returns them.
    batch_size : int
        Rows of a minibatch; the smallest one holds what is left over.
    seed : int or Key
        Source of randomness.
    epoch : int or None
        Number of the pass; None for the order of lengths without any randomness, as an evaluation wants it.
    n_pooled : int
        Minibatches sorted together: more waste less on padding, fewer mix more.

    Yields
    ------
    SequenceBatch
        Every pair once; ``positions`` says which.

    Raises
    ------
    TypeError, ValueError
        For numbers of sequences that differ, empty ones, or what does not hold ids.

    Examples
    --------
    >>> source, target = [[4], [4, 5, 6], [4, 5]], [[2, 3], [2, 4, 3], [2, 4, 3]]
    >>> for batch in bucketed_batches(source, target, 2, epoch=None):
    ...     print(batch.positions.tolist(), batch.source.tolist(), batch.target_lengths.tolist())
    [0, 2] [[4, 4], [0, 5]] [2, 3]
    [1] [[4], [5], [6]] [3]
    """
    size = check_positive_int(batch_size, "batch_size")
    pool = size * check_positive_int(n_pooled, "n_pooled")
    sides = {name: as_list(side, name) for name, side in (("source", source), ("target", target))}
    _check_paired(sides["source"], sides["target"], "source", "target", "sequences")
    rows = {
        name: [_id_row(row, f"{name}[{i}]") for i, row in enumerate(side)] for name, side in sides.items()
    }
    for name, side in rows.items():
        empty = next((i for i, row in enumerate(side) if not len(row)), None)
        if empty is not None:
            raise ValueError(
                f"{name}[{empty}] is empty; leave out pairs without a word, as encode_pairs does"
            )
    lengths = np.array([[len(row) for row in rows[name]] for name in ("target", "source")], dtype=np.int64)
    generator = None
    if epoch is not None:
        key = seed if isinstance(seed, Key) else Key(seed)
        generator = key.child("bucketed batches", check_positive_int(epoch, "epoch", minimum=0)).generator()
    return _batches(rows["source"], rows["target"], _cut(lengths, size, pool, generator))


def _cut(
    lengths: np.ndarray, size: int, pool: int, generator: np.random.Generator | None
) -> list[np.ndarray]:
    """Divide the columns of ``(target, source)`` lengths into minibatches of similar ones."""
    n_pairs = lengths.shape[1]
    order = np.arange(n_pairs) if generator is None else generator.permutation(n_pairs)
    if generator is None:
        pool = max(n_pairs, 1)
    cut = []
    for start in range(0, n_pairs, pool):
        stretch = order[start : start + pool]
        ranked = stretch[np.lexsort(lengths[:, stretch])]
        cut += [ranked[first : first + size] for first in range(0, len(ranked), size)]
    return cut if generator is None else [cut[i] for i in generator.permutation(len(cut))]


def _batches(
    source: list[np.ndarray], target: list[np.ndarray], cut: list[np.ndarray]
) -> Iterator[SequenceBatch]:
    for index in cut:
        chosen = index.tolist()
        yield SequenceBatch(
            *_padded([source[i] for i in chosen], Vocabulary.pad),
            *_padded([target[i] for i in chosen], Vocabulary.pad),
            index,
        )


def _id_row(row: Any, name: str) -> np.ndarray:
    if isinstance(row, Sequence) and not isinstance(row, str | bytes) and not row:
        return np.zeros(0, dtype=np.int64)
    return as_index_array(row, name, n=2**31)


def _check_paired(a: list[Any], b: list[Any], a_name: str, b_name: str, what: str) -> None:
    if len(a) != len(b):
        raise ValueError(f"{a_name} has {len(a)} {what} and {b_name} {len(b)}; they must pair off")


def _padded(rows: Sequence[np.ndarray], fill: int) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    ids = np.full((int(lengths.max()), len(rows)), fill, dtype=np.int32)
    for column, row in enumerate(rows):
        ids[: len(row), column] = row
    return ids, lengths

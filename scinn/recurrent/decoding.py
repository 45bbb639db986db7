"""Beam search over sequences of symbols, for a batch of sentences at once.

A hypothesis is a sequence of symbols with the sum of their log probabilities. At each step every hypothesis that has
not ended is extended by every symbol, and the best ``beam`` of extended and ended ones stay. Ended ones keep their
place, so that a beam as wide as the number of all sequences finds the best sequence. This is the search that M.
MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999 translate
with (beam 5).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from scinn._input import as_index_array, check_in_range, check_positive_int

__all__ = ["Hypothesis", "beam_search", "greedy_search", "take_rows"]

StepFunction = Callable[[np.ndarray, Any], "tuple[np.ndarray, Any, np.ndarray | None]"]


class Hypothesis(NamedTuple):
    """A sequence that a search found.

    Parameters
    ----------
    tokens : ndarray of int64, shape (n_tokens,)
        Its symbols, without those of beginning and end.
    score : float
        What hypotheses are compared by: the log probability over the length to the power of ``length_penalty``.
    log_probability : float
        Sum over the symbols, that of the end included.
    attention : ndarray or None, shape (n_tokens, n_source)
        What each symbol attended to.
    finished : bool
        Whether it ended by itself; False where the steps ran out.
    """

    tokens: np.ndarray
    score: float
    log_probability: float
    attention: np.ndarray | None
    finished: bool


def take_rows(state: Any, rows: np.ndarray) -> Any:
    """Return the rows of every array of a state.

    Parameters
    ----------
    state : ndarray, None, or tuple of such, nested
        Arrays whose first axis is rows.
    rows : ndarray of int

    Returns
    -------
    Shaped as ``state``.

    Examples
    --------
    >>> import numpy as np
    >>> take_rows(((np.array([[1], [2]]),), None), np.array([1, 1]))
    ((array([[2],
           [2]]),), None)
    """
    if state is None:
        return None
    if isinstance(state, tuple):
        return tuple(take_rows(part, rows) for part in state)
    return state[rows]


def beam_search(
    step: StepFunction,
    state: Any,
    n_sentences: int,
    *,
    begin: int,
    end: int,
    beam: int = 5,
    max_steps: int = 100,
    length_penalty: float = 0.0,
    n_best: int = 1,
    forbidden: Sequence[int] = (),
) -> list[list[Hypothesis]]:
    """Search the most probable sequences.

    Parameters
    ----------
    step : callable
        ``step(tokens, state)`` takes the last symbol of every hypothesis (n_rows,) and their states, and returns log
        probabilities of the next symbol (n_rows, n_symbols), states, and attention (n_rows, n_source) or None. There
        are ``n_sentences * beam`` rows, those of a sentence next to each other.
    state : ndarray, None, or tuple of such, nested
        First state, its arrays with ``n_sentences`` rows.
    n_sentences : int
    begin, end : int
        The symbols that begin and end a sequence.
    beam : int, default 5
        Hypotheses kept for each sentence; 1 takes the best symbol at every step.
    max_steps : int, default 100
        Most symbols, that of the end included.
    length_penalty : float, default 0
        Hypotheses are compared by ``log_probability / n ** length_penalty`` with ``n`` the number of symbols, that of
        the end included: 0 by probability, 1 by the mean.
    n_best : int, default 1
        Hypotheses returned for each sentence, at most ``beam``.
    forbidden : sequence of int
        Symbols that never are produced, such as that of padding.

    Returns
    -------
    list of list of Hypothesis
        For each sentence, best first; fewer than ``n_best`` where fewer sequences exist.

    Raises
    ------
    ValueError
        For arguments out of range, log probabilities of another shape, or NaN in them.

    Notes
    -----
    Hypotheses of equal score keep the order of their rows and symbols.

    Examples
    --------
    >>> import numpy as np
    >>> table = np.log(np.array([[0.0001, 0.5, 0.4999], [0.0001, 0.1, 0.8999], [0.0001, 0.9, 0.0999]]))
    >>> def step(tokens, state):
    ...     return table[tokens], state, None
    >>> best = beam_search(step, None, 1, begin=0, end=2, beam=4, max_steps=3)[0][0]
    >>> best.tokens.tolist(), round(float(np.exp(best.log_probability)), 4), best.finished
    ([], 0.4999, True)
    """
    n_sentences = check_positive_int(n_sentences, "n_sentences", 0)
    beam, max_steps = check_positive_int(beam, "beam"), check_positive_int(max_steps, "max_steps")
    n_best = check_positive_int(n_best, "n_best")
    if n_best > beam:
        raise ValueError(f"n_best is {n_best}, and the beam keeps {beam}; raise beam")
    begin, end = check_positive_int(begin, "begin", 0), check_positive_int(end, "end", 0)
    length_penalty = check_in_range(length_penalty, "length_penalty", 0.0)
    barred = as_index_array(list(forbidden), "forbidden")
    if end in barred:
        raise ValueError(f"forbidden holds the symbol {end}, which ends a sequence")
    if n_sentences == 0:
        return []
    search = _Search(n_sentences, beam, begin, end, max_steps, length_penalty)
    state = take_rows(state, np.repeat(np.arange(n_sentences), beam))
    for _ in range(max_steps):
        log_p, state, attention = step(search.tokens, state)
        log_p = _checked(log_p, n_sentences * beam, max(begin, end, *barred, 0))
        log_p[:, barred] = -np.inf
        state = take_rows(state, search.advance(log_p, attention))
        if search.finished.all():
            break
    return search.results(n_best)


def greedy_search(step: StepFunction, state: Any, n_sentences: int, **options: Any) -> list[Hypothesis]:
    """Take the most probable symbol at every step.

    Parameters
    ----------
    step, state, n_sentences
        As for :func:`beam_search`.
    **options
        ``begin``, ``end``, ``max_steps``, ``forbidden``.

    Returns
    -------
    list of Hypothesis
        One for each sentence.

    Examples
    --------
    >>> import numpy as np
    >>> table = np.log(np.array([[0.0001, 0.5, 0.4999], [0.0001, 0.1, 0.8999], [0.0001, 0.9, 0.0999]]))
    >>> found = greedy_search(lambda tokens, state: (table[tokens], state, None), None, 1, begin=0, end=2)
    >>> found[0].tokens.tolist()
    [1]
    """
    return [found[0] for found in beam_search(step, state, n_sentences, beam=1, **options)]


def _checked(log_p: np.ndarray, n_rows: int, largest: int) -> np.ndarray:
    """Return a float64 copy of the log probabilities of a step."""
    log_p = np.array(log_p, dtype=np.float64)
    if log_p.ndim != 2 or len(log_p) != n_rows or log_p.shape[1] <= largest:
        raise ValueError(
            f"step must return log probabilities of {n_rows} rows and more than {largest} symbols, got shape {log_p.shape}"
        )
    # A sum is NaN where one of its terms is, since none is plus infinity.
    if np.isnan(log_p.sum(axis=1)).any():
        raise ValueError(
            "step returned NaN as a log probability; the network diverged or its state is not finite"
        )
    return log_p


class _Search:
    """The hypotheses of all sentences: what they are now, and how each step came about."""

    def __init__(
        self, n: int, beam: int, begin: int, end: int, max_steps: int, length_penalty: float
    ) -> None:
        self.n, self.beam, self.end, self.length_penalty = n, beam, end, length_penalty
        # Only one hypothesis of each sentence exists at the beginning.
        self.log_p = np.full((n, beam), -np.inf)
        self.log_p[:, 0] = 0.0
        self.finished = np.zeros((n, beam), dtype=bool)
        self.lengths = np.zeros((n, beam), dtype=np.int64)
        self.tokens = np.full(n * beam, begin, dtype=np.int64)
        self.max_steps = max_steps
        self.history: list[tuple[np.ndarray, np.ndarray, np.ndarray | None]] = []

    def advance(self, log_p: np.ndarray, attention: np.ndarray | None) -> np.ndarray:
        """Keep the best extensions; return which rows they extend."""
        n, beam, n_symbols = self.n, self.beam, log_p.shape[1]
        total = self.log_p[:, :, None] + log_p.reshape(n, beam, n_symbols)
        # An ended hypothesis competes as it is, in the place of its extension by another end.
        total[self.finished] = -np.inf
        total[..., self.end] = np.where(self.finished, self.log_p, total[..., self.end])
        lengths = self.lengths + ~self.finished
        scores = self._score(total, lengths[:, :, None]).reshape(n, beam * n_symbols)
        chosen = _largest(scores, beam)
        parents, tokens = np.divmod(chosen, n_symbols)
        here = np.arange(n)[:, None]
        self.log_p = total.reshape(n, -1)[here, chosen]
        self.lengths = lengths[here, parents]
        # A hypothesis that does not exist needs no further step.
        self.finished = self.finished[here, parents] | (tokens == self.end) | (self.log_p == -np.inf)
        rows = (parents + beam * here).ravel()
        self.tokens = tokens.ravel()
        self.history.append((rows, self.tokens, None if attention is None else np.array(attention)))
        return rows

    def _score(self, log_p: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        if self.length_penalty == 0.0:
            return log_p
        return log_p / np.maximum(lengths, 1) ** self.length_penalty

    def results(self, n_best: int) -> list[list[Hypothesis]]:
        """Return the best hypotheses of each sentence."""
        scores = self._score(self.log_p, self.lengths)
        order = np.argsort(-scores, axis=1, kind="stable")
        found: list[list[Hypothesis]] = []
        for i in range(self.n):
            exist = [int(j) for j in order[i, :n_best] if scores[i, j] > -np.inf]
            if not exist:
                raise ValueError(
                    f"no sequence of sentence {i} has a probability above 0 within {self.max_steps} steps"
                )
            found.append([self._hypothesis(i, j, float(scores[i, j])) for j in exist])
        return found

    def _hypothesis(self, i: int, j: int, score: float) -> Hypothesis:
        row, tokens, attended = i * self.beam + j, [], []
        for rows, symbols, attention in reversed(self.history):
            tokens.append(int(symbols[row]))
            row = int(rows[row])
            attended.append(None if attention is None else attention[row])
        tokens, attended = tokens[::-1], attended[::-1]
        finished = self.end in tokens
        n_tokens = tokens.index(self.end) if finished else len(tokens)
        weights = None
        if attended and attended[0] is not None:
            weights = np.array(attended[:n_tokens]).reshape(n_tokens, len(attended[0]))
        return Hypothesis(
            np.array(tokens[:n_tokens], dtype=np.int64), score, float(self.log_p[i, j]), weights, finished
        )


def _largest(scores: np.ndarray, k: int) -> np.ndarray:
    """Return the columns of the k largest entries of each row, largest first, equal ones by column."""
    n_rows, n_columns = scores.shape
    k = min(k, n_columns)
    n_parts = n_columns // _PART
    if n_parts > k:
        # The k-th largest of the parts' maxima is at most the k-th largest entry, so that few entries remain to be sorted.
        maxima = scores[:, : n_parts * _PART].reshape(n_rows, n_parts, _PART).max(axis=2)
        bound = np.partition(maxima, n_parts - k, axis=1)[:, n_parts - k, None]
        rows, columns = np.nonzero(scores >= bound)
        counts = np.bincount(rows, minlength=n_rows)
        if counts.max() <= n_columns // 8:
            places = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
            few = np.zeros((n_rows, int(counts.max())), dtype=np.int64)
            values = np.full(few.shape, -np.inf)
            few[rows, places], values[rows, places] = columns, scores[rows, columns]
            best = np.argsort(-values, axis=1, kind="stable")[:, :k]
            return np.take_along_axis(few, best, axis=1)
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


# Entries of which only the maximum is compared at first.
_PART = 32

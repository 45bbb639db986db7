"""Reversible maps so small that every sequence can be tried: how many symbols does their state tell apart?

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999,
section 4. A map is a table ``f[x, s]``, the state after symbol ``x`` in state ``s``, whose rows are permutations: for
each symbol the step can be undone. If the state also tells which symbol was read last, it tells the whole sequence, so
that ``V^T <= |S|`` (:mod:`scinn.recurrent.no_forgetting`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scinn._input import as_index_array, check_positive_int
from scinn.random import RandomState, as_generator

__all__ = ["distinct_states", "draw_reversible_map", "longest_repeat", "register_map"]


def register_map(n_symbols: int, n_slots: int) -> np.ndarray:
    """Return a reversible map that writes symbols into slots in turn: it repeats ``n_slots`` symbols, and no more.

    A state is ``n_slots`` numbers modulo ``n_symbols`` and the slot whose turn it is; a symbol is added to that slot.
    As in a network that cannot forget, nothing is ever overwritten.

    Parameters
    ----------
    n_symbols, n_slots : int

    Returns
    -------
    ndarray of int64, shape (n_symbols, n_slots * n_symbols ** n_slots)
        ``map[x, s]`` is the state after symbol ``x`` in state ``s``; state 0 has empty slots.

    Examples
    --------
    >>> register_map(2, 1).tolist()
    [[0, 1], [1, 0]]
    """
    n_symbols, n_slots = check_positive_int(n_symbols, "n_symbols"), check_positive_int(n_slots, "n_slots")
    size = n_symbols**n_slots
    if n_slots * size > 1 << 24:
        raise ValueError(
            f"n_symbols={n_symbols} and n_slots={n_slots} give {n_slots * size} states; wanted at most 2^24"
        )
    contents, turn = np.arange(size)[None, :], np.arange(n_slots)[:, None]
    place = n_symbols**turn
    digit = contents // place % n_symbols
    after = [contents + ((digit + x) % n_symbols - digit) * place for x in range(n_symbols)]
    next_turn = (turn + 1) % n_slots
    return np.stack([(next_turn * size + new).ravel() for new in after]).astype(np.int64)


def draw_reversible_map(n_symbols: int, n_states: int, *, rng: RandomState = None) -> np.ndarray:
    """Draw a reversible map: for each symbol a permutation of the states, all equally likely.

    Parameters
    ----------
    n_symbols, n_states : int
    rng : int, SeedSequence, Generator, Key or None

    Returns
    -------
    ndarray of int64, shape (n_symbols, n_states)

    Examples
    --------
    >>> draw_reversible_map(2, 4, rng=0).shape
    (2, 4)
    """
    n_symbols, n_states = check_positive_int(n_symbols, "n_symbols"), check_positive_int(n_states, "n_states")
    generator = as_generator(rng)
    return np.stack([generator.permutation(n_states) for _ in range(n_symbols)]).astype(np.int64)


def distinct_states(table: Any, n_steps: int, *, first: int = 0) -> np.ndarray:
    """Count the states in which all sequences of each length end.

    Parameters
    ----------
    table : array_like of int, shape (n_symbols, n_states)
        A reversible map: each row a permutation.
    n_steps : int
        Greatest length.
    first : int, default 0
        The state before the first symbol.

    Returns
    -------
    ndarray of int64, shape (n_steps + 1,)
        For length ``T`` the number of last states of all ``n_symbols ** T`` sequences: that number itself where the
        last state tells them apart, and never more than ``n_states``.

    Raises
    ------
    ValueError
        For a map that is not reversible.

    Examples
    --------
    >>> distinct_states(register_map(3, 2), 4).tolist()
    [1, 3, 9, 9, 9]
    """
    table, first = _checked_map(table, first)
    reached = np.array([first])
    counts = [1]
    for _ in range(check_positive_int(n_steps, "n_steps", 0)):
        reached = np.unique(table[:, reached])
        counts.append(len(reached))
    return np.array(counts, dtype=np.int64)


def longest_repeat(table: Any, *, first: int = 0) -> int:
    """Return up to which length all sequences can be repeated from the state of a reversible map.

    That is, the greatest ``T`` for which a read-out exists: no state is met, within ``T`` steps from the first one,
    after two different symbols.

    Parameters
    ----------
    table : array_like of int, shape (n_symbols, n_states)
        A reversible map with two symbols or more: each row a permutation.
    first : int, default 0
        The state before the first symbol.

    Returns
    -------
    int
        At most ``log(n_states) / log(n_symbols)``, whatever the map.

    Raises
    ------
    ValueError
        For a map that is not reversible, or one symbol, which is repeated for ever.

    Examples
    --------
    >>> longest_repeat(register_map(3, 2))
    2
    """
    table, first = _checked_map(table, first)
    n_symbols, n_states = table.shape
    if n_symbols < 2:
        raise ValueError("the map has one symbol, which can be repeated for ever; wanted two or more")
    symbol_of = np.full(n_states, -1)
    reached = np.array([first])
    for length in range(n_states + 1):
        after = table[:, reached]
        for x in range(n_symbols):
            known = symbol_of[after[x]]
            if ((known >= 0) & (known != x)).any():
                return length
            symbol_of[after[x]] = x
        reached = np.unique(after)
    raise AssertionError("a finite reversible map repeated more than its states can tell apart")


def _checked_map(table: Any, first: int) -> tuple[np.ndarray, int]:
    table = np.asarray(table)
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"table must have shape (n_symbols, n_states), got {table.shape}")
    table = as_index_array(table, "table", n=table.shape[1], ndim=2)
    wrong = np.flatnonzero((np.sort(table, axis=1) != np.arange(table.shape[1])).any(axis=1))
    if wrong.size:
        raise ValueError(
            f"table is not reversible: row {wrong[0]} is no permutation of the {table.shape[1]} states, so that two "
            "states become one"
        )
    first = check_positive_int(first, "first", 0)
    if first >= table.shape[1]:
        raise ValueError(f"first is {first}, and the states are 0 to {table.shape[1] - 1}")
    return table, first

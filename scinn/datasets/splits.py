"""Seeded splits: of nodes into masks, of anything into parts and folds."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from scinn._input import as_labels, check_positive_int
from scinn.random import RandomState, as_generator

__all__ = ["class_split", "random_split", "stratified_folds", "stratified_split"]


def random_split(n: int, fractions: Sequence[float], rng: RandomState = None) -> tuple[np.ndarray, ...]:
    """Split ``range(n)`` into disjoint random parts.

    Parameters
    ----------
    n : int
        Number of items.
    fractions : sequence of float
        Share of each part; they sum to at most 1. Where they sum to 1 every item is in a part.
    rng : int, SeedSequence, Generator, Key or None
        Source of randomness.

    Returns
    -------
    tuple of ndarray of int64
        Sorted item numbers of each part.

    Examples
    --------
    >>> train, test = random_split(10, (0.8, 0.2), rng=0)
    >>> len(train), len(test)
    (8, 2)
    """
    check_positive_int(n, "n")
    bounds = _bounds(n, fractions)
    order = as_generator(rng).permutation(n)
    return tuple(np.sort(order[low:high]) for low, high in itertools.pairwise(bounds))


def stratified_split(
    labels: ArrayLike, fractions: Sequence[float], rng: RandomState = None
) -> tuple[np.ndarray, ...]:
    """Split items into disjoint random parts that hold each class in its share of the whole.

    Parameters
    ----------
    labels : array_like of shape (n,), int
        Class of each item.
    fractions : sequence of float
        Share of each part; they sum to at most 1.
    rng : int, SeedSequence, Generator, Key or None
        Source of randomness.

    Returns
    -------
    tuple of ndarray of int64
        Sorted item numbers of each part.

    Raises
    ------
    ValueError
        Where a class is too small to be in every part.

    Examples
    --------
    >>> train, test = stratified_split([0] * 6 + [1] * 4, (0.5, 0.5), rng=0)
    >>> [0, 1] == sorted(set(np.array([0] * 6 + [1] * 4)[train].tolist()))
    True
    """
    from sklearn.model_selection import train_test_split

    y = as_labels(labels, "labels")
    bounds = _bounds(len(y), fractions)
    generator = as_generator(rng)
    rest = np.arange(len(y))
    parts = []
    for size in np.diff(bounds):
        if size == len(rest):
            part, rest = rest, rest[:0]
        else:
            seed = int(generator.integers(2**32))
            part, rest = train_test_split(rest, train_size=int(size), stratify=y[rest], random_state=seed)
        parts.append(np.sort(part))
    return tuple(parts)


def stratified_folds(
    labels: ArrayLike, n_folds: int = 10, rng: RandomState = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split items into folds for cross-validation that hold each class in its share of the whole.

    Parameters
    ----------
    labels : array_like of shape (n,), int
        Class of each item.
    n_folds : int
        Number of folds, at least 2.
    rng : int, SeedSequence, Generator, Key or None
        Source of randomness.

    Returns
    -------
    list of (ndarray, ndarray)
        Sorted item numbers outside and inside each fold.

    Examples
    --------
    >>> [len(test) for _, test in stratified_folds([0, 1] * 5, 5, rng=0)]
    [2, 2, 2, 2, 2]
    """
    from sklearn.model_selection import StratifiedKFold

    check_positive_int(n_folds, "n_folds", minimum=2)
    y = as_labels(labels, "labels")
    seed = int(as_generator(rng).integers(2**32))
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(np.zeros(len(y)), y)
    return [(np.sort(train), np.sort(test)) for train, test in folds]


def class_split(
    labels: ArrayLike,
    *,
    n_train_per_class: int = 20,
    n_val: int | None = None,
    n_test: int | None = None,
    rng: RandomState = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split nodes as the citation graphs do: a few training nodes of each class, then the other parts.

    Parameters
    ----------
    labels : array_like of shape (n,), int
        Class of each node; nodes of unknown class (-1) join no part.
    n_train_per_class : int
        Training nodes of each class.
    n_val, n_test : int, optional
        Sizes of the other parts. Default: a third of the remaining nodes for validation, all others for the
        test.
    rng : int, SeedSequence, Generator, Key or None
        Source of randomness.

    Returns
    -------
    train_mask, val_mask, test_mask : ndarray of shape (n,), bool
        Disjoint.

    Raises
    ------
    ValueError
        Where a class or the rest is too small.

    Examples
    --------
    >>> train, val, test = class_split([0, 0, 0, 1, 1, 1, 1], n_train_per_class=1, rng=0)
    >>> int(train.sum()), int(val.sum()), int(test.sum())
    (2, 1, 4)
    """
    y = as_labels(labels, "labels")
    check_positive_int(n_train_per_class, "n_train_per_class")
    order = as_generator(rng).permutation(len(y))
    order = order[y[order] >= 0]
    train = np.zeros(len(y), dtype=bool)
    for value in np.unique(y[order]):
        members = order[y[order] == value]
        if len(members) < n_train_per_class:
            raise ValueError(
                f"n_train_per_class={n_train_per_class} is more than the {len(members)} nodes of class "
                f"{value}"
            )
        train[members[:n_train_per_class]] = True
    rest = order[~train[order]]
    n_val = len(rest) // 3 if n_val is None else check_positive_int(n_val, "n_val", minimum=0)
    n_test = len(rest) - n_val if n_test is None else check_positive_int(n_test, "n_test", minimum=0)
    if n_test < 0 or n_val + n_test > len(rest):
        raise ValueError(
            f"n_val={n_val} and n_test={n_test} need more than the {len(rest)} nodes that training leaves "
            f"over"
        )
    val, test = np.zeros(len(y), dtype=bool), np.zeros(len(y), dtype=bool)
    val[rest[:n_val]] = True
    test[rest[n_val : n_val + n_test]] = True
    return train, val, test


def _bounds(n: int, fractions: Sequence[float]) -> np.ndarray:
    shares = np.asarray(fractions, dtype=np.float64)
    if shares.ndim != 1 or not len(shares) or not (shares > 0).all() or shares.sum() > 1 + 1e-9:
        raise ValueError(
            f"fractions must be positive and sum to at most 1, got {fractions!r}; for example (0.8, 0.1, 0.1)"
        )
    # cumulated shares are rounded, so that parts never overlap and shares of 1 in all leave nobody out
    return np.round(np.concatenate([[0.0], np.cumsum(shares)]) * n + 1e-9).astype(np.int64)

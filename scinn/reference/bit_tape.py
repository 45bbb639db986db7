"""Multiplication of fixed-point states by gates and its inverse, by the definitions, in integers of any size.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999, section 3.2.
``h`` (n_rows, n) are integers, ``z`` gates from 1 to 1024 that stand for ``z / 1024``, ``alive`` (n_rows,) tells which rows
take part. A lane is a pair ``(x, words)``: a number in [2^31, 2^63) and a tuple of 32-bit words, the newest last.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

__all__ = [
    "START",
    "floor_digit_divide",
    "floor_digit_multiply",
    "outside",
    "plain_multiply",
    "planes_divide",
    "planes_multiply",
    "rans_divide",
    "rans_multiply",
    "values",
]

#: A lane on which nothing was put.
START: tuple[int, tuple[int, ...]] = (2**31, ())

Lane = tuple[int, tuple[int, ...]]


def values(new: np.ndarray, dtype: type) -> np.ndarray:
    """Return states as floats.

    Parameters
    ----------
    new : ndarray of int, shape (n_rows, n)
    dtype : type

    Returns
    -------
    ndarray of dtype, shape (n_rows, n)

    Examples
    --------
    >>> values(np.array([[2**23, -1]]), np.float32).tolist()
    [[1.0, -1.1920928955078125e-07]]
    """
    return np.array([[float(v) for v in row] for row in new]).reshape(new.shape).astype(dtype) * dtype(
        2.0**-23
    )


def outside(h: np.ndarray, z: np.ndarray, update: np.ndarray, alive: np.ndarray, whole: bool) -> int:
    """Return the flat index of the first unit whose result might leave int32, or -1.

    Parameters
    ----------
    h, z, update : ndarray of int, shape (n_rows, n)
    alive : ndarray of bool, shape (n_rows,)
    whole : bool
        Whether the scaled state is ``floor(h z / 1024)``; otherwise it is ``floor(h / 1024) z`` and any digit below z
        (for z = 1024, ``h``).

    Returns
    -------
    int

    Examples
    --------
    >>> outside(np.array([[0, 2**30]]), np.array([[512, 512]]), np.array([[0, 2**31 - 1]]), np.array([True]), True)
    1
    """
    for b, j in np.ndindex(h.shape):
        if not alive[b]:
            continue
        a, gate, added = int(h[b, j]), int(z[b, j]), int(update[b, j])
        if whole or gate == 1024:
            possible = {a * gate // 1024}
        else:
            possible = {a // 1024 * gate, a // 1024 * gate + gate - 1}
        if not all(-(2**31) <= scaled + added < 2**31 for scaled in possible):
            return b * h.shape[1] + j
    return -1


def plain_multiply(
    h: np.ndarray, z: np.ndarray, update: np.ndarray, alive: np.ndarray, whole: bool
) -> np.ndarray:
    """Scale and update states, and forget what is lost.

    Parameters
    ----------
    h, z, update : ndarray of int, shape (n_rows, n)
    alive : ndarray of bool, shape (n_rows,)
    whole : bool
        As for :func:`outside`.

    Returns
    -------
    ndarray of int64, shape (n_rows, n)

    Examples
    --------
    >>> plain_multiply(np.array([[1500]]), np.array([[512]]), np.array([[1]]), np.array([True]), False).tolist()
    [[513]]
    """
    new = h.astype(np.int64)
    for b, j in np.ndindex(h.shape):
        if alive[b]:
            a, gate = int(h[b, j]), int(z[b, j])
            scaled = a * gate // 1024 if whole or gate == 1024 else a // 1024 * gate
            new[b, j] = scaled + int(update[b, j])
    return new


def _slots(digit: int, base: int) -> tuple[int, int]:
    """Return the first slot of 2^16 that a digit owns, and how many."""
    start = math.ceil(Fraction(65536 * digit, base))
    return start, math.ceil(Fraction(65536 * (digit + 1), base)) - start


def _put(lane: Lane, digit: int, base: int) -> Lane:
    """Put a digit on a lane; the oldest bits of ``x`` move to the words where it would leave its range."""
    x, words = lane
    start, width = _slots(digit, base)
    if x >= width * 2**47:
        x, words = x // 2**32, (*words, x % 2**32)
    return x // width * 65536 + start + x % width, words


def _take(lane: Lane, base: int) -> tuple[int, Lane]:
    """Take a digit from a lane."""
    x, words = lane
    slot = x % 65536
    digit = next(d for d in range(base) if slot < sum(_slots(d, base)))
    start, width = _slots(digit, base)
    x = width * (x // 65536) + slot - start
    return digit, _refill(x, words)


def _refill(x: int, words: tuple[int, ...]) -> Lane:
    if x >= 2**31:
        return x, words
    if not words:
        raise ValueError("the lane does not hold what is asked for")
    return x * 2**32 + words[-1], words[:-1]


def rans_multiply(
    h: np.ndarray, z: np.ndarray, update: np.ndarray, alive: np.ndarray, lanes: list[Lane]
) -> tuple[np.ndarray, list[Lane]]:
    """Scale states; ten bits of each go onto the lane of its row, a digit below z comes from there.

    Parameters
    ----------
    h, z, update : ndarray of int, shape (n_rows, n)
    alive : ndarray of bool, shape (n_rows,)
    lanes : list of (int, tuple of int)

    Returns
    -------
    new : ndarray of int64, shape (n_rows, n)
    lanes : list of (int, tuple of int)

    Examples
    --------
    >>> new, lanes = rans_multiply(np.array([[1500]]), np.array([[512]]), np.array([[0]]), np.array([True]), [START])
    >>> new.tolist(), lanes
    ([[515]], [(4294967388, ())])
    """
    new, lanes = h.astype(np.int64), list(lanes)
    for b, j in np.ndindex(h.shape):
        if not alive[b]:
            continue
        a, gate = int(h[b, j]), int(z[b, j])
        if gate != 1024:
            x, words = lanes[b]
            if x >= 2**53:
                x, words = x // 2**32, (*words, x % 2**32)
            digit, lanes[b] = _take((x * 1024 + a % 1024, words), gate)
            a = a // 1024 * gate + digit
        new[b, j] = a + int(update[b, j])
    return new, lanes


def rans_divide(
    new: np.ndarray, z: np.ndarray, update: np.ndarray, alive: np.ndarray, lanes: list[Lane]
) -> tuple[np.ndarray, list[Lane]]:
    """Undo :func:`rans_multiply`.

    Parameters
    ----------
    new, z, update : ndarray of int, shape (n_rows, n)
    alive : ndarray of bool, shape (n_rows,)
    lanes : list of (int, tuple of int)

    Returns
    -------
    h : ndarray of int64, shape (n_rows, n)
    lanes : list of (int, tuple of int)

    Raises
    ------
    ValueError
        Where a lane does not hold what is asked for.

    Examples
    --------
    >>> one, lanes = np.array([True]), [(4294967388, ())]
    >>> h, lanes = rans_divide(np.array([[515]]), np.array([[512]]), np.array([[0]]), one, lanes)
    >>> h.tolist(), lanes == [START]
    ([[1500]], True)
    """
    h, lanes = new.astype(np.int64), list(lanes)
    for b, j in reversed(list(np.ndindex(new.shape))):
        if not alive[b]:
            continue
        a, gate = int(new[b, j]) - int(update[b, j]), int(z[b, j])
        if gate != 1024:
            quotient, digit = divmod(a, gate)
            x, words = _put(lanes[b], digit, gate)
            a = quotient * 1024 + x % 1024
            lanes[b] = _refill(x // 1024, words)
        h[b, j] = a
    return h, lanes


def floor_digit_multiply(
    h: np.ndarray, z: np.ndarray, update: np.ndarray, alive: np.ndarray, lanes: list[Lane]
) -> tuple[np.ndarray, list[Lane]]:
    """Replace states by ``floor(h z / 1024)``, and put on the lane of their row which of its sources ``h`` was.

    Parameters
    ----------
    h, z, update : ndarray of int, shape (n_rows, n)
    alive : ndarray of bool, shape (n_rows,)
    lanes : list of (int, tuple of int)

    Returns
    -------
    new : ndarray of int64, shape (n_rows, n)
    lanes : list of (int, tuple of int)

    Examples
    --------
    >>> one = np.array([True])
    >>> new, lanes = floor_digit_multiply(np.array([[1501]]), np.array([[512]]), np.array([[0]]), one, [START])
    >>> new.tolist(), lanes
    ([[750]], [(4295000064, ())])
    """
    new, lanes = h.astype(np.int64), list(lanes)
    for b, j in np.ndindex(h.shape):
        if not alive[b]:
            continue
        a, gate = int(h[b, j]), int(z[b, j])
        scaled = a * gate // 1024
        first, count = _sources(scaled, gate)
        lanes[b] = _put(lanes[b], a - first, count)
        new[b, j] = scaled + int(update[b, j])
    return new, lanes


def _sources(scaled: int, gate: int) -> tuple[int, int]:
    """Return the first integer that is scaled to this one, and how many are."""
    first = math.ceil(Fraction(1024 * scaled, gate))
    return first, math.ceil(Fraction(1024 * (scaled + 1), gate)) - first


def floor_digit_divide(
    new: np.ndarray, z: np.ndarray, update: np.ndarray, alive: np.ndarray, lanes: list[Lane]
) -> tuple[np.ndarray, list[Lane]]:
    """Undo :func:`floor_digit_multiply`.

    Parameters
    ----------
    new, z, update : ndarray of int, shape (n_rows, n)
    alive : ndarray of bool, shape (n_rows,)
    lanes : list of (int, tuple of int)

    Returns
    -------
    h : ndarray of int64, shape (n_rows, n)
    lanes : list of (int, tuple of int)

    Raises
    ------
    ValueError
        Where a lane does not hold what is asked for.

    Examples
    --------
    >>> one, lanes = np.array([True]), [(4295000064, ())]
    >>> h, lanes = floor_digit_divide(np.array([[750]]), np.array([[512]]), np.array([[0]]), one, lanes)
    >>> h.tolist(), lanes == [START]
    ([[1501]], True)
    """
    h, lanes = new.astype(np.int64), list(lanes)
    for b, j in reversed(list(np.ndindex(new.shape))):
        if alive[b]:
            first, count = _sources(int(new[b, j]) - int(update[b, j]), int(z[b, j]))
            digit, lanes[b] = _take(lanes[b], count)
            h[b, j] = first + digit
    return h, lanes


def planes_multiply(
    h: np.ndarray, z: np.ndarray, update: np.ndarray, alive: np.ndarray, plane: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Scale states with a number of their own for each unit, which takes ten bits and gives a digit below z.

    Parameters
    ----------
    h, z, update : ndarray of int, shape (n_rows, n)
    alive : ndarray of bool, shape (n_rows,)
    plane : ndarray of object, shape (n_rows, n)
        Integers of any size.

    Returns
    -------
    new : ndarray of int64, shape (n_rows, n)
    plane : ndarray of object, shape (n_rows, n)

    Examples
    --------
    >>> one, plane = np.array([True]), np.zeros((1, 1), dtype=object)
    >>> new, plane = planes_multiply(np.array([[1501]]), np.array([[512]]), np.array([[0]]), one, plane)
    >>> new.tolist(), plane.tolist()
    ([[989]], [[0]])
    """
    new, plane = h.astype(np.int64), plane.astype(object)
    for b, j in np.ndindex(h.shape):
        if alive[b]:
            a, gate = int(h[b, j]), int(z[b, j])
            plane[b, j], digit = divmod(int(plane[b, j]) * 1024 + a % 1024, gate)
            new[b, j] = a // 1024 * gate + digit + int(update[b, j])
    return new, plane


def planes_divide(
    new: np.ndarray, z: np.ndarray, update: np.ndarray, alive: np.ndarray, plane: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Undo :func:`planes_multiply`.

    Parameters
    ----------
    new, z, update : ndarray of int, shape (n_rows, n)
    alive : ndarray of bool, shape (n_rows,)
    plane : ndarray of object, shape (n_rows, n)
        Integers of any size.

    Returns
    -------
    h : ndarray of int64, shape (n_rows, n)
    plane : ndarray of object, shape (n_rows, n)

    Examples
    --------
    >>> one, plane = np.array([True]), np.zeros((1, 1), dtype=object)
    >>> planes_divide(np.array([[989]]), np.array([[512]]), np.array([[0]]), one, plane)[0].tolist()
    [[1501]]
    """
    h, plane = new.astype(np.int64), plane.astype(object)
    for b, j in reversed(list(np.ndindex(new.shape))):
        if alive[b]:
            gate = int(z[b, j])
            quotient, digit = divmod(int(new[b, j]) - int(update[b, j]), gate)
            plane[b, j], bits = divmod(int(plane[b, j]) * gate + digit, 1024)
            h[b, j] = quotient * 1024 + bits
    return h, plane

"""Binary features as bits or as signs: one door for both.

Notation: a feature that is present is the bit 1 and the sign -1, ``x = 1 - 2 bit``, as in Raviv et al. (2021), "Enhancing
Robustness of Neural Networks through Fourier Stabilization". Everything in :mod:`scinn.robustness` computes with signs;
users may hold either, as arrays, lists, frames or SciPy sparse matrices.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scinn._input import as_csr, as_float_array, check_choice

__all__ = ["ENCODINGS", "detect_encoding", "to_bits", "to_signs"]

ENCODINGS = ("auto", "bits", "signs")
_ALLOWED = {"bits": (0.0, 1.0), "signs": (-1.0, 1.0)}
_MEANING = {"bits": "{0, 1}", "signs": "{-1, +1}"}
_MAX_DENSE_ENTRIES = 500_000_000


def _as_matrix(features: Any, name: str) -> np.ndarray:
    """Return the features as a dense float array or, for booleans and small integers, as they are."""
    if type(features).__module__.startswith("scipy.sparse"):
        csr = as_csr(features, name)
        if csr.shape[0] * csr.shape[1] > _MAX_DENSE_ENTRIES:
            raise ValueError(
                f"{name} is a sparse matrix of shape {csr.shape}, which is too large to be written out; pass fewer rows"
            )
        return csr.toarray()
    # Subclasses go through the door: a mask would be lost, and a numpy.matrix is refused there.
    if type(features) is np.ndarray and features.dtype.kind in "bui":
        return features
    return as_float_array(features, name)


def _values(array: np.ndarray) -> np.ndarray:
    """Return a few of the distinct values, all of them where there are at most two."""
    if array.size == 0:
        return np.zeros(0)
    low, high = array.min(), array.max()
    other = array[(array != low) & (array != high)]
    return np.unique(np.concatenate([[low, high], other[:3]]).astype(np.float64))


def _refuse(found: np.ndarray, name: str, wanted: str) -> ValueError:
    shown = ", ".join(f"{value:g}" for value in found)
    outside = (
        ", ".join(_MEANING[kind] for kind in ("bits", "signs")) if wanted == "auto" else _MEANING[wanted]
    )
    fix = "binarise it first, for example with features > threshold"
    if wanted != "auto":
        for other in ("bits", "signs"):
            if other != wanted and set(found) <= set(_ALLOWED[other]):
                fix = f"pass encoding={other!r}"
    either = "values in either of " if wanted == "auto" else "values in "
    return ValueError(f"{name} holds {shown}; {either}{outside} are wanted: {fix}")


def detect_encoding(features: Any, *, name: str = "features") -> str:
    """Tell whether features are bits or signs.

    Parameters
    ----------
    features : array_like or sparse matrix
        Values in {0, 1} or in {-1, +1}.
    name : str
        The argument's name, for messages.

    Returns
    -------
    {"bits", "signs"}

    Raises
    ------
    ValueError
        For other values, and where there are only ones, which may be either.

    Examples
    --------
    >>> detect_encoding([[0, 1]]), detect_encoding([[-1, 1]])
    ('bits', 'signs')
    """
    return _detect(_as_matrix(features, name), name)


def _detect(array: np.ndarray, name: str) -> str:
    found = _values(array)
    for kind, marker in (("bits", 0.0), ("signs", -1.0)):
        if marker in found and set(found) <= set(_ALLOWED[kind]):
            return kind
    if set(found) <= {1.0}:
        what = "only ones" if found.size else "no values"
        raise ValueError(
            f"{name} holds {what}, which may be bits or signs: pass encoding='bits' or encoding='signs'"
        )
    raise _refuse(found, name, "auto")


def to_signs(features: Any, *, encoding: str = "auto", name: str = "features") -> np.ndarray:
    """Return features as signs.

    Parameters
    ----------
    features : array_like or sparse matrix
        Values in {0, 1} (bit 1: present) or in {-1, +1} (sign -1: present).
    encoding : {"auto", "bits", "signs"}
        What the values are; ``"auto"`` tells from them, and refuses an array of nothing but ones.
    name : str
        The argument's name, for messages.

    Returns
    -------
    ndarray of int8, same shape
        ``1 - 2 bit``.

    Raises
    ------
    ValueError
        For other values; the message says which came.

    Examples
    --------
    >>> to_signs([[0, 1, 1]]).tolist()
    [[1, -1, -1]]
    >>> to_signs([[1.0, -1.0]]).tolist()
    [[1, -1]]
    """
    check_choice(encoding, "encoding", ENCODINGS)
    array = _as_matrix(features, name)
    kind = _detect(array, name) if encoding == "auto" else encoding
    if encoding != "auto":
        found = _values(array)
        if not set(found) <= set(_ALLOWED[kind]):
            raise _refuse(found, name, kind)
    if kind == "bits":
        return np.where(array != 0, np.int8(-1), np.int8(1))
    return np.asarray(array, dtype=np.int8, order="C")


def to_bits(features: Any, *, encoding: str = "auto", name: str = "features") -> np.ndarray:
    """Return features as bits.

    Parameters
    ----------
    features : array_like or sparse matrix
        As for :func:`to_signs`.
    encoding : {"auto", "bits", "signs"}
        As for :func:`to_signs`.
    name : str
        The argument's name, for messages.

    Returns
    -------
    ndarray of int8, same shape
        1 where a feature is present.

    Examples
    --------
    >>> to_bits([[-1, 1]]).tolist()
    [[1, 0]]
    """
    return (to_signs(features, encoding=encoding, name=name) < 0).astype(np.int8)

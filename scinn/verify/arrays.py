"""Walking nested arrays: read-only copies, bit comparison, fingerprints."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse

__all__ = ["fingerprint", "frozen_copy", "largest", "lock", "same_bits", "walk"]


def walk(value: Any, path: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Yield the dense arrays of nested tuples, lists and dicts, with where they are.

    Parameters
    ----------
    value : object
    path : str
        Prefix of the names.

    Yields
    ------
    (str, ndarray)
    """
    if isinstance(value, np.ndarray):
        yield path, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from walk(item, f"{path}[{name!r}]")
    elif isinstance(value, tuple | list):
        names = getattr(value, "_fields", None)
        for position, item in enumerate(value):
            step = f".{names[position]}" if names else f"[{position}]"
            yield from walk(item, path + step)
    elif _is_compressed(value):
        for name in ("data", "indices", "indptr"):
            yield f"{path}.{name}", getattr(value, name)


def largest(*values: Any) -> float:
    """Return the largest absolute value of some arrays.

    Parameters
    ----------
    *values : array-like

    Returns
    -------
    float
        0 where all are empty, NaN where one holds a NaN.
    """
    return float(np.max([np.max(np.abs(np.asarray(value)), initial=0.0) for value in values], initial=0.0))


def lock(value: Any) -> Any:
    """Make every array inside read-only, in place, and return the value."""
    for _, array in walk(value):
        array.setflags(write=False)
    return value


def frozen_copy(value: Any, *, dtype: Any = None) -> Any:
    """Return a read-only copy of an array, sparse matrix or nested structure; floats become `dtype`.

    Parameters
    ----------
    value : object
        Anything that is neither an array nor a container is returned as it is.
    dtype : dtype or None
        Target of floating-point arrays; None keeps theirs.

    Returns
    -------
    object
    """
    if sparse.issparse(value):
        matrix: Any = value
        target = dtype if dtype is not None and matrix.dtype.kind == "f" else matrix.dtype
        return lock(matrix.astype(target, copy=True))
    if isinstance(value, np.ndarray):
        target = dtype if dtype is not None and value.dtype.kind == "f" else value.dtype
        return lock(np.array(value, dtype=target, order="C", copy=True))
    if isinstance(value, dict):
        return {name: frozen_copy(item, dtype=dtype) for name, item in value.items()}
    if isinstance(value, tuple | list):
        items = [frozen_copy(item, dtype=dtype) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def same_bits(first: Any, second: Any) -> bool:
    """Return whether two structures hold the same types, shapes and bits.

    Parameters
    ----------
    first, second : object
        Arrays, sparse matrices, numbers, None, and nested containers of them.

    Returns
    -------
    bool
    """
    return fingerprint(first) == fingerprint(second)


def fingerprint(value: Any, *, _above: tuple[int, ...] = ()) -> str:
    """Return a digest of the content of a value; objects without content are told apart by identity.

    Parameters
    ----------
    value : object
        Attributes of objects that have a ``forward`` or ``advance`` (layers inside layers) are entered.

    Returns
    -------
    str
    """
    digest = hashlib.blake2b(digest_size=16)
    _feed(digest, value, _above)
    return digest.hexdigest()


def _is_compressed(value: Any) -> bool:
    return bool(sparse.issparse(value)) and hasattr(value, "indptr")


def _feed(digest: Any, value: Any, above: tuple[int, ...]) -> None:
    if isinstance(value, np.ndarray | np.generic):
        array = np.ascontiguousarray(value)
        digest.update(f"array{array.dtype.str}{np.shape(value)}".encode())
        digest.update(array.tobytes())
    elif _is_compressed(value):
        digest.update(f"sparse{value.shape}{type(value).__name__}".encode())
        for part in (value.data, value.indices, value.indptr):
            _feed(digest, part, above)
    elif value is None or isinstance(value, bool | int | float | complex | str | bytes):
        digest.update(f"{type(value).__name__}{value!r}".encode())
    elif id(value) in above:
        digest.update(b"cycle")
    elif isinstance(value, dict):
        digest.update(f"dict{len(value)}".encode())
        for name, item in value.items():
            _feed(digest, name, above)
            _feed(digest, item, (*above, id(value)))
    elif isinstance(value, tuple | list):
        digest.update(f"{type(value).__name__}{len(value)}".encode())
        for item in value:
            _feed(digest, item, (*above, id(value)))
    elif (hasattr(value, "forward") or hasattr(value, "advance")) and hasattr(value, "__dict__"):
        digest.update(type(value).__qualname__.encode())
        _feed(digest, vars(value), (*above, id(value)))
    else:
        digest.update(f"object{id(value)}".encode())

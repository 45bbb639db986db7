"""The one door for what users hold: lists, frames, sparse matrices, tensors become NumPy arrays or CSR.

Every refusal names the argument, what came, what is wanted and how to fix it; nothing behind this door checks
again.
Returned arrays may share memory with the input: nobody writes into an array it was given.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = [
    "as_csr",
    "as_float_array",
    "as_index_array",
    "as_labels",
    "check_choice",
    "check_in_range",
    "check_positive_int",
]

_MAX_DENSE_ENTRIES = 50_000_000
# Kinds of device whose memory the host can read, in DLPack's numbering: the CPU and page-locked host memory.
_HOST_DEVICES = (1, 3, 11)


def _kind(x: Any) -> str:
    """Name a type as its users know it: ``torch.Tensor``, ``pandas.DataFrame``, ``list``."""
    module, name = type(x).__module__, type(x).__qualname__
    return name if module == "builtins" else f"{module.split('.')[0]}.{name}"


def _is_sparse(x: Any) -> bool:
    return type(x).__module__.startswith("scipy.sparse") and hasattr(x, "tocsr")


def _is_networkx(x: Any) -> bool:
    return type(x).__module__.startswith("networkx") or (hasattr(x, "nodes") and hasattr(x, "adj"))


def _refuse_device(x: Any, name: str) -> None:
    if isinstance(x, np.ndarray):
        return
    probe = getattr(x, "__dlpack_device__", None)
    if probe is None or isinstance(x, type):
        return
    if int(probe()[0]) not in _HOST_DEVICES:
        raise TypeError(
            f"{name} is a {_kind(x)} on a GPU; arrays in host memory are wanted: copy to host first: {name}.cpu()"
        )


def _to_array(x: Any, name: str, wanted: str) -> np.ndarray:
    """Turn anything array-like into an ndarray of whatever dtype it has."""
    if isinstance(x, np.matrix):
        raise TypeError(f"{name} is a numpy.matrix; {wanted} is wanted: pass numpy.asarray({name})")
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(
            f"{name} is a masked array, whose mask would be lost; {wanted} is wanted: pass {name}.filled(value)"
        )
    if _is_sparse(x):
        raise TypeError(f"{name} is a sparse matrix; {wanted} is wanted: pass {name}.toarray()")
    if _is_networkx(x):
        raise TypeError(
            f"{name} is a networkx graph; {wanted} is wanted: convert it with scinn.graphs.Graph.from_networkx"
        )
    if x is None or isinstance(x, str | bytes | dict | set | frozenset):
        raise TypeError(f"{name} is {'None' if x is None else 'a ' + _kind(x)}; {wanted} is wanted")
    _refuse_device(x, name)
    if getattr(x, "requires_grad", False):
        raise TypeError(f"{name} is a {_kind(x)} that requires grad; pass {name}.detach()")
    try:
        if hasattr(x, "__dlpack__") and not hasattr(x, "__array__"):
            return np.from_dlpack(x)
        return np.asarray(x)
    except Exception as error:
        raise TypeError(
            f"{name} ({_kind(x)}) cannot be read as an array: {error}; {wanted} is wanted"
        ) from error


def _as_real(array: np.ndarray, x: Any, name: str) -> np.ndarray:
    """Return the array in float32 or float64, refusing what is not made of real numbers."""
    kind = array.dtype.kind
    if kind == "c":
        raise TypeError(f"{name} is complex ({array.dtype}); real numbers are wanted: pass {name}.real")
    if kind == "O":
        # NumPy would parse text, "1" as 1.0, which it refuses to do in arrays of strings.
        text = next((value for value in array.flat if isinstance(value, str | bytes)), None)
        if text is not None:
            raise TypeError(
                f"{name} ({_kind(x)}) holds objects that are not numbers, such as the text {text!r}; convert its "
                "columns to float first"
            )
        try:
            return array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"{name} ({_kind(x)}) holds objects that are not numbers ({error}); convert its columns to "
                "float first"
            ) from error
    if kind not in "fiub":
        raise TypeError(f"{name} has dtype {array.dtype}; real numbers are wanted: convert it to float first")
    if kind != "f":
        return array.astype(np.float64)
    return array.astype(np.float32 if array.dtype.itemsize <= 4 else np.float64, copy=False)


def _shape_text(shape: tuple[int | None, ...]) -> str:
    inside = ", ".join("any" if size is None else str(size) for size in shape)
    return f"({inside},)" if len(shape) == 1 else f"({inside})"


def _dimension_hint(array: np.ndarray, name: str, ndim: int) -> str:
    if array.ndim == 1 and ndim == 2:
        return f"; pass {name}[:, None] for one column or {name}[None, :] for one row"
    if array.ndim == 2 and ndim == 1 and 1 in array.shape:
        return f"; pass {name}.ravel()"
    return ""


def _check_shape(
    array: np.ndarray, name: str, ndim: int | None, shape: tuple[int | None, ...] | None
) -> None:
    if shape is not None:
        ndim = len(shape)
    if ndim is not None and array.ndim != ndim:
        wanted = f"{ndim} dimensions" if shape is None else f"shape {_shape_text(shape)}"
        hint = _dimension_hint(array, name, ndim)
        raise ValueError(f"{name} has {array.ndim} dimensions (shape {array.shape}); {wanted} wanted{hint}")
    if shape is None:
        return
    if any(want is not None and got != want for got, want in zip(array.shape, shape, strict=True)):
        turned = len(shape) == 2 and all(
            want is None or got == want for got, want in zip(array.shape[::-1], shape, strict=True)
        )
        hint = f"; it fits when transposed: pass {name}.T" if turned else ""
        raise ValueError(f"{name} has shape {array.shape}; {_shape_text(shape)} is wanted{hint}")


def _check_finite(array: np.ndarray, name: str, what: str = "") -> None:
    finite = np.isfinite(array)
    if finite.all():
        return
    bad = np.argwhere(~finite)
    first = tuple(int(i) for i in bad[0])
    place = first[0] if len(first) == 1 else first
    raise ValueError(
        f"{name} holds {len(bad)} NaN or infinite {'value' if len(bad) == 1 else 'values'}{what}, the first at "
        f"{place}; finite numbers are wanted: remove or fill them first, for example with numpy.nan_to_num"
    )


def as_float_array(
    x: Any,
    name: str,
    *,
    ndim: int | None = None,
    shape: tuple[int | None, ...] | None = None,
    dtype: Any = None,
    allow_nan: bool = False,
) -> np.ndarray:
    """Return a C-contiguous float32 or float64 array of what the user holds.

    Parameters
    ----------
    x : array-like
        ndarray, nested list, data frame, torch tensor in host memory, anything with ``__array__`` or ``__dlpack__``.
        float32 stays, float16 becomes float32, integers, booleans and wider floats become float64.
    name : str
        The argument's name, for messages.
    ndim : int, optional
        Wanted number of dimensions.
    shape : tuple of (int or None), optional
        Wanted shape; None admits any size.
    dtype : dtype, optional
        float32 or float64, to convert to.
    allow_nan : bool
        Let NaN and infinities through.

    Returns
    -------
    ndarray
        May share memory with ``x``.

    Raises
    ------
    TypeError
        For what is not an array of real numbers in host memory.
    ValueError
        For a wrong shape, NaN or infinity.
    """
    array = _as_real(_to_array(x, name, "an array of numbers"), x, name)
    _check_shape(array, name, ndim, shape)
    if not allow_nan:
        _check_finite(array, name)
    if dtype is not None:
        array = array.astype(dtype, copy=False)
    return _contiguous(array)


def _contiguous(array: np.ndarray) -> np.ndarray:
    # numpy.ascontiguousarray turns 0-d arrays into 1-d ones.
    return array if array.flags.c_contiguous and array.dtype.isnative else np.array(array, order="C")


def _as_integers(x: Any, name: str, wanted: str) -> np.ndarray:
    array = _to_array(x, name, wanted)
    if array.size == 0 and array.dtype.kind in "fO":
        array = array.astype(np.int64)
    if array.dtype.kind == "b":
        raise TypeError(f"{name} is a boolean mask; {wanted} is wanted: pass numpy.flatnonzero({name})")
    if array.dtype.kind not in "iu":
        raise TypeError(
            f"{name} has dtype {array.dtype}; {wanted} is wanted: pass {name}.astype(numpy.int64)"
        )
    if array.dtype.kind == "u" and array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise ValueError(f"{name} holds {int(array.max())}, which no 64-bit signed integer can hold")
    return _contiguous(array.astype(np.int64, copy=False))


def as_index_array(x: Any, name: str, *, n: int | None = None, ndim: int = 1) -> np.ndarray:
    """Return a C-contiguous int64 array of indices.

    Parameters
    ----------
    x : array-like of integers
        Non-negative indices. Floats and boolean masks are refused.
    name : str
        The argument's name, for messages.
    n : int, optional
        Upper bound, not included.
    ndim : int
        Wanted number of dimensions.

    Returns
    -------
    ndarray of int64
        May share memory with ``x``.

    Raises
    ------
    TypeError
        For what is not an array of integers.
    ValueError
        For a wrong number of dimensions, or an index out of range.
    """
    array = _as_integers(x, name, "an array of integer indices")
    _check_shape(array, name, ndim, None)
    if array.size:
        low, high = int(array.min()), int(array.max())
        if low < 0:
            raise ValueError(f"{name} holds the negative index {low}; indices count from 0")
        if n is not None and high >= n:
            allowed = f"indices must lie in 0..{n - 1}" if n > 0 else "there is nothing to index"
            raise ValueError(f"{name} holds the index {high}; {allowed} (they count from 0, not from 1)")
    return array


def as_labels(y: Any, name: str, *, n: int | None = None, n_classes: int | None = None) -> np.ndarray:
    """Return class labels as a 1-D int64 array; -1 stands for an unknown label.

    Parameters
    ----------
    y : array-like of integers, shape (n,)
        Labels 0, 1, ..., or -1.
    name : str
        The argument's name, for messages.
    n : int, optional
        Wanted length.
    n_classes : int, optional
        Number of classes; labels must be below it.

    Returns
    -------
    ndarray of int64, shape (n,)
        May share memory with ``y``.

    Raises
    ------
    TypeError
        For labels that are not integers.
    ValueError
        For one-hot rows, a wrong length, or a label out of range.
    """
    array = _to_array(y, name, "a 1-D array of integer class labels")
    if array.ndim == 2 and array.shape[1] > 1:
        raise ValueError(
            f"{name} has shape {array.shape}; one integer label a row is wanted: for one-hot rows pass "
            f"{name}.argmax(axis=1)"
        )
    if array.dtype.kind in "USO" and array.size:
        raise TypeError(
            f"{name} has dtype {array.dtype}; integer class labels 0, 1, ... are wanted: pass "
            f"numpy.unique({name}, return_inverse=True)[1]"
        )
    if array.dtype.kind == "b":
        array = array.astype(np.int64)
    labels = _as_integers(array, name, "an array of integer class labels")
    _check_shape(labels, name, 1, None if n is None else (n,))
    if labels.size:
        low, high = int(labels.min()), int(labels.max())
        if low < -1:
            raise ValueError(f"{name} holds the label {low}; labels are 0, 1, ..., and -1 for unknown")
        if n_classes is not None and high >= n_classes:
            raise ValueError(
                f"{name} holds the label {high}; with {n_classes} classes the largest is {n_classes - 1}"
            )
    return labels


def _sparse_from_any(matrix: Any, name: str) -> csr_array:
    from scipy import sparse

    if _is_networkx(matrix):
        raise TypeError(
            f"{name} is a networkx graph; a matrix is wanted: pass networkx.to_scipy_sparse_array({name}), or use "
            "scinn.graphs.Graph.from_networkx"
        )
    if _is_sparse(matrix):
        if matrix.ndim != 2:
            raise ValueError(f"{name} has {matrix.ndim} dimensions; a matrix, of 2, is wanted")
        kind = matrix.dtype.kind
        if kind not in "fiub":
            raise TypeError(f"{name} has dtype {matrix.dtype}; real numbers are wanted")
        if kind in "iub" and matrix.format in ("coo", "bsr"):
            # The conversion adds duplicates up, which must not wrap around in a narrow type.
            matrix = matrix.copy()
            matrix.data = matrix.data.astype(np.float64)
        return sparse.csr_array(matrix)
    if isinstance(matrix, np.matrix):
        matrix = np.asarray(matrix)
    dense = as_float_array(matrix, name, ndim=2)
    if dense.size > _MAX_DENSE_ENTRIES:
        raise ValueError(
            f"{name} is a dense array of {dense.size} entries; above {_MAX_DENSE_ENTRIES} pass a scipy.sparse matrix"
        )
    return sparse.csr_array(dense)


def as_csr(matrix: Any, name: str, *, square: bool = False, dtype: Any = None) -> csr_array:
    """Return a CSR matrix with sorted indices, duplicates summed, and no stored zeros.

    Parameters
    ----------
    matrix : sparse array or matrix of any format, or dense array-like, shape (m, n)
        Of at most 50 million entries where it is dense. float32 stays, other numbers become float64; the width of
        the indices is kept.
    name : str
        The argument's name, for messages.
    square : bool
        Whether m must be n.
    dtype : dtype, optional
        float32 or float64, to convert to.

    Returns
    -------
    scipy.sparse.csr_array, shape (m, n)
        May share memory with ``matrix``, which is never changed.

    Raises
    ------
    TypeError
        For what is not a matrix of real numbers in host memory.
    ValueError
        For a wrong shape, NaN or infinity, or a damaged structure.
    """
    from scipy import sparse

    csr = _sparse_from_any(matrix, name)
    if square and csr.shape[0] != csr.shape[1]:
        raise ValueError(
            f"{name} has shape {csr.shape}; a square matrix is wanted, one row and one column a node"
        )
    try:
        csr.check_format(full_check=True)
    except ValueError as error:
        raise ValueError(
            f"{name} is a damaged sparse matrix: {error}; build it anew from (row, column) pairs"
        ) from error
    values = _as_real(csr.data, matrix, name)
    if dtype is not None:
        values = values.astype(dtype, copy=False)
    result = sparse.csr_array(csr.shape, dtype=values.dtype)
    # Set one by one, because the constructor may narrow 64-bit indices.
    result.data, result.indices, result.indptr = values, csr.indices, csr.indptr
    # Truncated in view, since CSR may carry unused room behind its last entry.
    nnz = int(csr.indptr[-1])
    if len(csr.data) != nnz:
        result.data, result.indices = values[:nnz], csr.indices[:nnz]
    if not result.has_canonical_format or not result.data.all():
        result = result.copy()
        result.sum_duplicates()
        result.eliminate_zeros()
    _check_finite(result.data, name, " among its stored entries")
    result.data = _contiguous(result.data)
    result.indices, result.indptr = _contiguous(result.indices), _contiguous(result.indptr)
    return result


def check_positive_int(value: Any, name: str, minimum: int = 1) -> int:
    """Return an int that is at least ``minimum``.

    Parameters
    ----------
    value : int
        Python or NumPy integer.
    name : str
        The argument's name, for messages.
    minimum : int
        Smallest admitted value.

    Returns
    -------
    int

    Raises
    ------
    TypeError
        For what is not an integer.
    ValueError
        For what is smaller.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        whole = isinstance(value, float | np.floating) and float(value).is_integer()
        hint = f": pass {int(value)}" if whole else ""
        raise TypeError(f"{name} is {value!r} ({_kind(value)}); an integer >= {minimum} is wanted{hint}")
    if value < minimum:
        raise ValueError(f"{name} is {value}; an integer >= {minimum} is wanted")
    return int(value)


def check_in_range(
    value: Any,
    name: str,
    low: float | None = None,
    high: float | None = None,
    inclusive: Literal["both", "left", "right", "neither"] = "both",
) -> float:
    """Return a finite float that lies in an interval.

    Parameters
    ----------
    value : float
        A real number.
    name : str
        The argument's name, for messages.
    low, high : float or None
        Ends of the interval; None leaves that side open.
    inclusive : {"both", "left", "right", "neither"}
        Which ends belong to the interval.

    Returns
    -------
    float

    Raises
    ------
    TypeError
        For what is not a real number.
    ValueError
        For NaN, infinity, and what lies outside.
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} is {value!r} ({_kind(value)}); a number is wanted")
    number = float(value)
    left, right = inclusive in ("both", "left"), inclusive in ("both", "right")
    above = low is None or number > low or (left and number == low)
    below = high is None or number < high or (right and number == high)
    if not (np.isfinite(number) and above and below):
        bounds = []
        if low is not None:
            bounds.append(f"{'>=' if left else '>'} {low:g}")
        if high is not None:
            bounds.append(f"{'<=' if right else '<'} {high:g}")
        wanted = "a finite number" + (" " + " and ".join(bounds) if bounds else "")
        raise ValueError(f"{name} is {value}; {wanted} is wanted")
    return number


def check_choice(value: Any, name: str, choices: Iterable[Any]) -> Any:
    """Return ``value`` if it is one of the choices.

    Parameters
    ----------
    value : object
        Usually a string.
    name : str
        The argument's name, for messages.
    choices : iterable
        What is admitted.

    Returns
    -------
    object

    Raises
    ------
    ValueError
        Where it is not, with the nearest choice.

    Examples
    --------
    >>> check_choice("haar", "bank", ["haar", "linear"])
    'haar'
    """
    options = list(choices)
    if isinstance(value, np.generic):
        value = value.item()
    for option in options:
        if type(option) is type(value) and option == value:
            return value
    hint = ""
    if isinstance(value, str):
        names = {option.lower(): option for option in options if isinstance(option, str)}
        near = difflib.get_close_matches(value.lower(), names, n=1)
        hint = f"; did you mean {names[near[0]]!r}?" if near else ""
    raise ValueError(f"{name} is {value!r}; one of {', '.join(map(repr, options))} is wanted{hint}")

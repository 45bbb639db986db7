"""The official Planetoid files: legacy pickles read through an allow-list, assembled into one graph.

A pickle is a program. The reader below runs it with every name it may mention replaced by an inert record of
our own: no NumPy, SciPy or standard-library constructor is ever called by the file, and any other name is
refused.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.sparse import coo_array, csr_array, vstack

from scinn.datasets.structures import NodeDataset

__all__ = ["PARTS", "assemble", "read_legacy_pickle"]

PARTS = ("x", "y", "tx", "ty", "allx", "ally", "graph", "test.index")
N_VALIDATION = 500

_CSR_KINDS = ("biuf", "iu", "iu")
_PLAIN_DTYPE = re.compile(r"[<>|=]?([biuf])(1|2|4|8)")


class _DtypeRecord:
    """What a pickled dtype said: kind, size, byte order; only numbers and booleans."""

    def __init__(self, code: Any = None, *_: Any) -> None:
        match = _PLAIN_DTYPE.fullmatch(code) if isinstance(code, str) else None
        if match is None:
            raise pickle.UnpicklingError(
                f"refused: array of type {code!r}; only numbers and booleans are admitted"
            )
        self._code = match.group(0).lstrip("<>|=")
        self._order = "<"

    def __setstate__(self, state: Any) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError(f"refused: byte order {order!r} in a pickled dtype")
        self._order = order

    def dtype(self) -> np.dtype:
        return np.dtype(self._order + self._code)


class _ArrayRecord:
    """What a pickled array said; becomes an ndarray only once its numbers have been checked."""

    def __init__(self, *_: Any) -> None:
        self._state: tuple[Any, ...] | None = None

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise pickle.UnpicklingError("refused: a pickled array without the five parts of its state")
        self._state = state

    def array(self) -> np.ndarray:
        if self._state is None:
            raise pickle.UnpicklingError("refused: a pickled array without content")
        _, shape, record, fortran, raw = self._state
        if not isinstance(record, _DtypeRecord):
            raise pickle.UnpicklingError("refused: a pickled array without a plain dtype")
        buffer = _as_bytes(raw)
        dtype = record.dtype()
        sizes_ok = isinstance(shape, tuple) and all(isinstance(s, int) and s >= 0 for s in shape)
        if not sizes_ok or math.prod(shape) * dtype.itemsize != len(buffer):
            raise pickle.UnpicklingError(
                f"refused: a pickled array of shape {shape!r} with {len(buffer)} bytes"
            )
        values = np.frombuffer(buffer, dtype).reshape(shape, order="F" if fortran else "C")
        return values.astype(dtype.newbyteorder("="))


class _SparseRecord:
    """What a pickled ``csr_matrix`` said."""

    def __init__(self, *_: Any) -> None:
        self._fields: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise pickle.UnpicklingError("refused: a pickled csr_matrix whose state is no dictionary")
        self._fields = state

    def matrix(self) -> csr_array:
        arrays = []
        for part in ("data", "indices", "indptr"):
            record = self._fields.get(part)
            if not isinstance(record, _ArrayRecord):
                raise pickle.UnpicklingError(f"refused: a pickled csr_matrix without the array {part!r}")
            arrays.append(record.array())
        shape = self._fields.get("_shape", self._fields.get("shape"))
        if not (isinstance(shape, tuple) and len(shape) == 2):
            raise pickle.UnpicklingError("refused: a pickled csr_matrix without a shape")
        return _checked_matrix(arrays[0], arrays[1], arrays[2], shape)


def _checked_matrix(
    data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, shape: tuple[Any, Any]
) -> csr_array:
    # SciPy's own check subtracts in the given type, so unsigned or narrow pointers could wrap around and pass it
    if not all(
        a.ndim == 1 and a.dtype.kind in kinds for a, kinds in zip((data, indices, indptr), _CSR_KINDS)
    ):
        raise pickle.UnpicklingError("refused: a pickled csr_matrix whose parts are not vectors of numbers")
    n_rows, n_columns = (int(s) for s in shape)
    indices, indptr = indices.astype(np.int64), indptr.astype(np.int64)
    sound = (
        len(indptr) == n_rows + 1
        and indptr[0] == 0
        and indptr[-1] == len(indices) == len(data)
        and (np.diff(indptr) >= 0).all()
        and indices.min(initial=0) >= 0
        and indices.max(initial=-1) < n_columns
        and max(n_rows, n_columns, len(data)) < 2**31
    )
    if not sound:
        raise pickle.UnpicklingError("refused: a pickled csr_matrix whose indices contradict its shape")
    matrix = csr_array(
        (data.astype(np.float64), indices.astype(np.int32), indptr.astype(np.int32)),
        shape=(n_rows, n_columns),
    )
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


def _as_bytes(raw: Any) -> bytes:
    # Python 2 strings arrive as text under the latin-1 encoding, which maps every byte to one character
    if isinstance(raw, str):
        return raw.encode("latin-1")
    if isinstance(raw, bytes | bytearray):
        return bytes(raw)
    raise pickle.UnpicklingError(f"refused: array content of type {type(raw).__name__}")


def _reconstruct(*_: Any) -> _ArrayRecord:
    return _ArrayRecord()


def _scalar(record: Any, raw: Any = b"") -> Any:
    if not isinstance(record, _DtypeRecord):
        raise pickle.UnpicklingError("refused: a pickled scalar without a plain dtype")
    return np.frombuffer(_as_bytes(raw), record.dtype(), count=1)[0].item()


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    # Python 3 writes bytes in protocol 2 as text to be encoded
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError("refused: only text in latin-1 may be turned into bytes")
    return text.encode("latin-1")


def _no_bytes(*arguments: Any) -> bytes:
    # Python 3 writes an empty byte string as a call without arguments
    if arguments:
        raise pickle.UnpicklingError("refused: bytes made from something else")
    return b""


def _mapping(*_: Any) -> dict[Any, Any]:
    return {}


def _sequence(*_: Any) -> list[Any]:
    return []


_ADMITTED: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _ArrayRecord,
    ("numpy", "dtype"): _DtypeRecord,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(module, "csr_matrix"): _SparseRecord for module in ("scipy.sparse.csr", "scipy.sparse._csr")},
    ("collections", "defaultdict"): _mapping,
    **{(module, "list"): _sequence for module in ("__builtin__", "builtins")},
    **{(module, "bytes"): _no_bytes for module in ("__builtin__", "builtins")},
    ("_codecs", "encode"): _encode,
}


# what protocol 2 needs for arrays, matrices and mappings; anything else (outside objects, registered extensions,
# the framing and buffers of later protocols) is refused before the interpreter sees it
_OPCODES = (
    "PROTO STOP MARK GLOBAL NEWOBJ REDUCE BUILD NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG "
    "LONG1 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE EMPTY_TUPLE TUPLE TUPLE1 "
    "TUPLE2 TUPLE3 EMPTY_LIST LIST APPEND APPENDS EMPTY_DICT DICT SETITEM SETITEMS PUT BINPUT LONG_BINPUT "
    "GET BINGET LONG_BINGET "
)


def _scan(content: bytes) -> None:
    """Refuse unknown opcodes, and memo numbers that would make the interpreter reserve memory for nothing."""
    admitted = frozenset(_OPCODES.split())
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name not in admitted:
            raise pickle.UnpicklingError(f"refused: the pickle operation {opcode.name} is not admitted")
        if opcode.name.endswith("PUT") and int(argument or 0) > len(content):
            raise pickle.UnpicklingError(f"refused: memo number {argument} in a file of {len(content)} bytes")


class _AllowListUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"refused: the file asks for {module}.{name}; only NumPy arrays, SciPy CSR matrices, "
                "defaultdict and list are admitted"
            ) from None

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError(f"refused: the file asks for an outside object ({type(pid).__name__})")


def read_legacy_pickle(content: bytes) -> np.ndarray | csr_array | dict[int, list[int]]:
    """Read one Planetoid pickle without letting it run anything.

    Parameters
    ----------
    content : bytes
        The whole file; the official ones were written by Python 2 in protocol 2.

    Returns
    -------
    ndarray, csr_array (float64) or dict of int to list of int
        Whichever the file holds.

    Raises
    ------
    pickle.UnpicklingError
        Where the file mentions anything but arrays of numbers, CSR matrices, ``defaultdict`` and ``list``, or
        is damaged.
    """
    try:
        _scan(content)
        value = _AllowListUnpickler(io.BytesIO(content), encoding="latin1").load()
        if isinstance(value, _ArrayRecord):
            return value.array()
        if isinstance(value, _SparseRecord):
            return value.matrix()
        if isinstance(value, dict):
            return {_vertex(node): [_vertex(other) for other in others] for node, others in value.items()}
    except pickle.UnpicklingError:
        raise
    except Exception as error:
        # a damaged program may fail anywhere in the interpreter; to the caller that is one thing
        raise pickle.UnpicklingError(f"refused: damaged pickle ({type(error).__name__}: {error})") from error
    raise pickle.UnpicklingError(
        f"refused: the file holds a {type(value).__name__}, not an array, matrix or graph"
    )


def _vertex(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise pickle.UnpicklingError(f"refused: {value!r} is not a node number")
    return value


def assemble(name: str, files: Mapping[str, bytes]) -> NodeDataset:
    """Put the eight files of a Planetoid set together.

    Test rows return to their own positions. Node numbers of the test range that have no row (15 in CiteSeer)
    get all-zero features and label 0 and stand in no mask. Edges are made symmetric, duplicates merged, self
    loops dropped.

    Parameters
    ----------
    name : str
        Name of the result.
    files : mapping of str to bytes
        Content of ``ind.<name>.<part>`` under each of the parts ``x, y, tx, ty, allx, ally, graph,
        test.index``.

    Returns
    -------
    NodeDataset

    Raises
    ------
    ValueError
        Where a part is missing or the parts contradict each other.
    """
    missing = [part for part in PARTS if part not in files]
    if missing:
        raise ValueError(f"files: part {missing[0]!r} of {name} is missing; wanted {', '.join(PARTS)}")
    parts = {part: read_legacy_pickle(files[part]) for part in PARTS if part != "test.index"}
    test = np.array(files["test.index"].decode("ascii").split(), dtype=np.int64)
    allx, tx, ally, ty, y, graph = (parts[p] for p in ("allx", "tx", "ally", "ty", "y", "graph"))
    if not (isinstance(allx, csr_array) and isinstance(tx, csr_array) and isinstance(graph, dict)):
        raise ValueError(
            f"files: allx and tx of {name} must be CSR matrices and graph a mapping of node lists"
        )
    if not (isinstance(ally, np.ndarray) and isinstance(ty, np.ndarray) and isinstance(y, np.ndarray)):
        raise ValueError(f"files: y, ty and ally of {name} must be arrays")
    n_known, n_classes = allx.shape[0], ally.shape[1]
    if (
        len(test) != tx.shape[0]
        or len(ty) != len(test)
        or len(ally) != n_known
        or len(np.unique(test)) != len(test)
    ):
        raise ValueError(f"files: the parts of {name} disagree about the number of rows")
    n_nodes = max(int(test.max()), n_known - 1, max(graph, default=0)) + 1
    if test.min() < n_known:
        raise ValueError(f"files: test.index of {name} names a node that allx already describes")

    labels = np.zeros(n_nodes, dtype=np.int64)
    labels[:n_known] = ally.argmax(1)
    labels[test] = ty.argmax(1)
    masks = np.zeros((3, n_nodes), dtype=bool)
    masks[0, : len(y)] = True
    masks[1, len(y) : min(len(y) + N_VALIDATION, n_known)] = True
    masks[2, test] = True
    return NodeDataset(
        name=name,
        adjacency=_adjacency(graph, n_nodes),
        features=_features(allx, tx, test, n_nodes),
        labels=labels,
        n_classes=n_classes,
        train_mask=masks[0],
        val_mask=masks[1],
        test_mask=masks[2],
    )


def _features(allx: csr_array, tx: csr_array, test: np.ndarray, n_nodes: int) -> csr_array:
    absent = csr_array((n_nodes - allx.shape[0] - tx.shape[0], allx.shape[1]), dtype=np.float64)
    stacked = vstack([allx, tx, absent], format="csr")
    source = np.full(n_nodes, -1, dtype=np.int64)
    source[: allx.shape[0]] = np.arange(allx.shape[0])
    source[test] = allx.shape[0] + np.arange(len(test))
    source[source < 0] = allx.shape[0] + tx.shape[0] + np.arange((source < 0).sum())
    features = csr_array(stacked[source])
    features.sort_indices()
    return features


def _adjacency(graph: Mapping[int, list[int]], n_nodes: int) -> csr_array:
    sources = np.repeat(
        np.fromiter(graph, dtype=np.int64, count=len(graph)), [len(others) for others in graph.values()]
    )
    targets = np.fromiter(
        (v for others in graph.values() for v in others), dtype=np.int64, count=len(sources)
    )
    if targets.max(initial=0) >= n_nodes:
        raise ValueError(f"files: graph names node {targets.max()}, but only {n_nodes} are described")
    keep = sources != targets
    rows = np.concatenate([sources[keep], targets[keep]])
    columns = np.concatenate([targets[keep], sources[keep]])
    adjacency = coo_array((np.ones(len(rows)), (rows, columns)), shape=(n_nodes, n_nodes)).tocsr()
    adjacency.sort_indices()
    adjacency.data[:] = 1.0
    return csr_array(adjacency)

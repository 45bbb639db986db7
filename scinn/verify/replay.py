"""Write arrays and plain objects as Python source, so that a failing case fits in a script of its own."""

from __future__ import annotations

import base64
import importlib
import zlib
from typing import Any

import numpy as np
from scipy import sparse

from scinn.random import Key, RandomState, as_generator

__all__ = ["rebuild", "seed_of", "source_of", "unpack"]

_INLINE = 64


def unpack(text: str, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the array that :func:`source_of` packed as compressed base-85 text.

    Parameters
    ----------
    text : str
        The packed bytes.
    dtype : str
        NumPy type string, with byte order.
    shape : tuple of int

    Returns
    -------
    numpy.ndarray
    """
    raw = zlib.decompress(base64.b85decode(text))
    return np.frombuffer(raw, dtype=dtype).reshape(shape).copy()


def rebuild(cls: type, **attributes: Any) -> Any:
    """Return an object of `cls` with exactly these attributes, without calling its constructor.

    Parameters
    ----------
    cls : type
    **attributes
        What ``vars`` of the object held.

    Returns
    -------
    object
    """
    instance: Any = object.__new__(cls)
    instance.__dict__.update(attributes)
    return instance


def seed_of(rng: RandomState) -> int:
    """Return the integer that stands for a source of randomness in a script.

    Parameters
    ----------
    rng : int, SeedSequence, Generator, Key or None
        An integer stands for itself; of anything else one number is drawn.

    Returns
    -------
    int
    """
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool) and rng >= 0:
        return int(rng)
    return int(as_generator(rng).integers(2**31))


def source_of(value: Any, imports: set[str]) -> str:
    """Return a Python expression that evaluates to an equal value.

    Parameters
    ----------
    value : object
        Numbers, strings, containers, arrays, SciPy sparse matrices, importable functions and classes, and
        objects whose attributes are such values.
    imports : set of str
        Import statements that the expression needs are added here.

    Returns
    -------
    str

    Raises
    ------
    TypeError
        Where the value has no such form: lambdas, closures, generators, extension objects, and what is defined
        in ``__main__``, which is another module when the script runs.
    """
    return _Writer(imports).write(value, ())


class _Writer:
    """Recursive writer; `above` holds the objects being written, to refuse cycles."""

    def __init__(self, imports: set[str]) -> None:
        self.imports = imports

    def write(self, value: Any, above: tuple[int, ...]) -> str:
        if id(value) in above:
            raise TypeError(f"{type(value).__name__} contains itself")
        if value is None or isinstance(value, bool | int | str | bytes | complex | type(Ellipsis)):
            return repr(value)
        if isinstance(value, float):
            return repr(value) if np.isfinite(value) else f"float({str(value)!r})"
        if isinstance(value, np.generic):
            return f"np.{value.dtype.type.__name__}({self.write(value.item(), above)})"
        if isinstance(value, np.dtype):
            return f"np.dtype({value.str!r})"
        if isinstance(value, np.ndarray):
            return _array_source(value)
        if isinstance(value, Key):
            self.imports.add("from scinn.random import Key")
            return f"Key({value.seed!r}, {value.path!r})"
        if isinstance(value, slice):
            return repr(value)
        above = (*above, id(value))
        if sparse.issparse(value):
            return self._sparse(value, above)
        if isinstance(value, tuple | list | set | frozenset | dict):
            return self._container(value, above)
        if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
            return self._named(value)
        return self._instance(value, above)

    def _sparse(self, value: Any, above: tuple[int, ...]) -> str:
        matrix = value.tocsr()
        self.imports.add("from scipy import sparse")
        kind = "csr_array" if isinstance(value, sparse.sparray) else "csr_matrix"
        parts = ", ".join(self.write(part, above) for part in (matrix.data, matrix.indices, matrix.indptr))
        return f"sparse.{kind}(({parts}), shape={tuple(map(int, matrix.shape))!r})"

    def _container(self, value: Any, above: tuple[int, ...]) -> str:
        if isinstance(value, dict):
            items = (f"{self.write(k, above)}: {self.write(v, above)}" for k, v in value.items())
            return "{" + ", ".join(items) + "}"
        inner = ", ".join(self.write(item, above) for item in value)
        if hasattr(value, "_fields"):
            return f"{self._named(type(value))}({inner})"
        if isinstance(value, tuple):
            return f"({inner},)" if len(value) == 1 else f"({inner})"
        if isinstance(value, list):
            return f"[{inner}]"
        return f"{type(value).__name__}([{inner}])"

    def _named(self, value: Any) -> str:
        module, name = getattr(value, "__module__", None), value.__qualname__
        kind = "class" if isinstance(value, type) else "function"
        if module is None or module == "__main__" or "<" in name:
            place = "inside a function" if "<locals>" in name else f"in {module}"
            raise TypeError(
                f"the {kind} {name.rpartition('.')[2]} is defined {place}, where a script cannot import it: put it at "
                "the top level of a module of its own and import it from there"
            )
        try:
            target: Any = importlib.import_module(module)
        except ImportError as error:
            raise TypeError(f"the {kind} {name} is of module {module}, which cannot be imported") from error
        for part in name.split("."):
            target = getattr(target, part, None)
        if target is not value:
            raise TypeError(f"{module}.{name} is not this object")
        self.imports.add(f"import {module}")
        return f"{module}.{name}"

    def _instance(self, value: Any, above: tuple[int, ...]) -> str:
        cls = type(value)
        if getattr(cls, "__slots__", None) or not hasattr(value, "__dict__"):
            raise TypeError(f"{cls.__name__} keeps its attributes out of sight")
        named = self._named(cls)
        attributes = ", ".join(
            f"{self.write(k, above)}: {self.write(v, above)}" for k, v in vars(value).items()
        )
        return f"rebuild({named}, **{{{attributes}}})"


def _array_source(value: np.ndarray) -> str:
    if value.dtype.hasobject:
        raise TypeError("arrays of Python objects have no source form")
    plain = value.dtype.kind in "biufc" and bool(np.all(np.isfinite(value)))
    if value.size <= _INLINE and plain and value.size:
        return f"np.array({value.tolist()!r}, dtype={value.dtype.name!r})"
    packed = base64.b85encode(zlib.compress(np.ascontiguousarray(value).tobytes(), 9)).decode()
    return f"unpack({packed!r}, {value.dtype.str!r}, {value.shape!r})"

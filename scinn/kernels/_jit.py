"""The one jit decorator of the package, and the compilation cache behind it.

Numba's own cache has three gaps that matter here, and this module closes them:

* it refuses to decorate where no cache folder is writable (a read-only container with no home): here the
  kernels are then compiled in each process, and one warning says so;
* it watches the file of a function, not the files of the functions it calls: here every entry is keyed by a
  hash of all sources of :mod:`scinn.kernels`, so that a change in any of them recompiles;
* its index is read, changed and written back without a lock, so that two processes with a cold cache can
  leave an index whose entries point at each other's code: here there is no index, an entry is one file whose
  name is the hash of its key and which is renamed into place.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba import prange
from numba.core import caching

from scinn.exceptions import ScinnWarning

__all__ = ["jit", "prange", "warm_cache_info"]

_FOLDER = Path(__file__).resolve().parent
_SUFFIX = ".nbc"
_warned = False


def _hash_sources(folder: Path) -> str:
    """Return one hash of the names and contents of every Python file of a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.name}:{len(content)}:".encode())
        digest.update(content)
    return digest.hexdigest()


_SOURCES = _hash_sources(_FOLDER)


def _warn_without_cache(reason: object) -> None:
    global _warned
    if _warned:
        return
    _warned = True
    warnings.warn(
        f"scinn compiles its kernels anew in every process, because no cache can be written ({reason}); "
        "set NUMBA_CACHE_DIR to a writable folder to keep them",
        ScinnWarning,
        stacklevel=4,
    )


class _EntryFiles(caching.IndexDataCacheFile):
    """One file per compiled signature, named ``<function>.<sources>.<key>.nbc``."""

    def __init__(self, cache_path: str, filename_base: str, stamp: str) -> None:
        super().__init__(cache_path=cache_path, filename_base=filename_base, source_stamp=stamp)
        self._base = filename_base
        self._stamp = stamp

    def _entry(self, key: Any) -> tuple[str, str]:
        text = f"{self._version}|{key}"
        digest = hashlib.sha256(text.encode()).hexdigest()[:24]
        return text, f"{self._base}.{self._stamp}.{digest}{_SUFFIX}"

    def flush(self) -> None:
        for path in Path(self._cache_path).glob(f"{self._base}.*{_SUFFIX}"):
            path.unlink(missing_ok=True)

    def save(self, key: Any, data: Any) -> None:
        text, name = self._entry(key)
        self._save_data(name, (text, data))
        for path in Path(self._cache_path).glob(f"{self._base}.*{_SUFFIX}"):
            # Code of earlier sources: nobody with these sources can ever ask for it.
            if not path.name.startswith(f"{self._base}.{self._stamp}."):
                path.unlink(missing_ok=True)

    def load(self, key: Any) -> Any:
        text, name = self._entry(key)
        try:
            stored, data = self._load_data(name)
        except Exception:  # absent, cut short, or written by something else: compile instead
            return None
        return data if stored == text else None


class _KernelCache(caching.FunctionCache):
    """Numba's function cache, keyed by all kernel sources and by the options of the decorator."""

    def __init__(self, py_func: Callable[..., Any], options: str) -> None:
        super().__init__(py_func)
        self._options = options
        own = self._impl.locator.get_source_stamp()
        stamp = hashlib.sha256(f"{_SOURCES}|{own!r}".encode()).hexdigest()[:12]
        self._cache_file = _EntryFiles(self._cache_path, self._impl.filename_base, stamp)

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        # Bounds checks and debug information change the machine code, but are in no part of Numba's key; nor
        # are the decorator's options, by which a serial and a parallel twin of one body differ.
        config = (numba.config.BOUNDSCHECK, numba.config.DEBUGINFO_DEFAULT, numba.config.OPT)
        return (*super()._index_key(sig, codegen), self._options, str(config))

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError as error:  # the disk filled up, or the folder went away
            self.disable()
            _warn_without_cache(error)


def jit(
    function: Callable[..., Any] | None = None,
    *,
    parallel: bool = False,
    fastmath: frozenset[str] = frozenset({"contract"}),
    inline: str = "never",
) -> Any:
    """Compile a function with Numba at its first call, by the rules of this package.

    Signatures are lazy, results are cached on disk where that is possible, the lock of the interpreter is
    released, and division follows NumPy (``x / 0`` is inf, not an error).

    Parameters
    ----------
    function : callable, optional
        The function; without it a decorator is returned.
    parallel : bool
        Compile ``prange`` loops for several threads. They may only write disjoint outputs.
    fastmath : set of str
        LLVM's fast-math flags. The default admits fused multiply-add and nothing else; more needs a comment
        that says why. ``True`` is refused: it lets the compiler assume that there is no NaN.
    inline : {"never", "always"}
        Whether Numba inlines the function into its callers (LLVM may inline it in any case).

    Returns
    -------
    callable
        A Numba dispatcher, or the function itself where ``NUMBA_DISABLE_JIT`` is set.
    """
    if function is None:
        return lambda f: jit(f, parallel=parallel, fastmath=fastmath, inline=inline)
    if isinstance(fastmath, bool):
        raise TypeError(
            "fastmath must be a set of flags such as {'contract'}; True would assume that no value is NaN"
        )
    flags = sorted(fastmath)
    dispatcher = numba.njit(
        parallel=parallel, fastmath=set(flags) or False, inline=inline, nogil=True, error_model="numpy"
    )(function)
    if not hasattr(dispatcher, "py_func"):
        return dispatcher
    try:
        dispatcher._cache = _KernelCache(function, f"parallel={parallel} fastmath={flags} inline={inline}")
    except (RuntimeError, OSError) as error:
        _warn_without_cache(error)
    return dispatcher


def warm_cache_info() -> dict[str, Any]:
    """Describe the compilation cache of the kernels.

    Returns
    -------
    dict
        ``path`` (str, or None where none is writable), ``writable`` (bool), ``n_files`` and ``n_bytes`` (int).
    """
    try:
        path = Path(caching.FunctionCache(_hash_sources).cache_path)
    except (RuntimeError, OSError):
        return {"path": None, "writable": False, "n_files": 0, "n_bytes": 0}
    files = [p for p in path.glob(f"*{_SUFFIX}") if p.is_file()]
    return {
        "path": str(path),
        "writable": os.access(path, os.W_OK),
        "n_files": len(files),
        "n_bytes": sum(p.stat().st_size for p in files),
    }

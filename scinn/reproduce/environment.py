"""What a measurement was made with: versions, processor, threads, and hashes of the code that computed it."""

from __future__ import annotations

import functools
import hashlib
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from scinn._machine import cpu_name, usable_cores
from scinn._version import __version__

__all__ = ["blas_info", "code_hash", "environment", "freeze", "libraries"]

_LIBRARIES = ("numpy", "scipy", "numba", "networkx", "scikit-learn")

# These can change words, pictures or what is checked, never a measured number.
_NOT_NUMERICAL = (
    *("cli.py", "cli_methods.py", "_terminal.py", "papers.py", "_machine.py", "_version.py"),
    *("bench", "verify", "reproduce"),
)


def libraries() -> dict[str, str]:
    """Return the versions of the libraries that can change a number, without importing them.

    Returns
    -------
    dict
        Distribution -> version.
    """
    return {name: metadata.version(name) for name in _LIBRARIES}


def blas_info() -> list[dict[str, Any]]:
    """Return the BLAS and OpenMP libraries that are loaded, NumPy's first, with version, kernel set and threads."""
    import numpy as np
    from threadpoolctl import threadpool_info

    np.ones((1, 1)) @ np.ones((1, 1))
    fields = ("user_api", "internal_api", "version", "architecture", "threading_layer", "num_threads")
    # SciPy may bring a library of its own, loaded or not: NumPy's is the one that is always there.
    pools = sorted(threadpool_info(), key=lambda pool: ("numpy" not in pool["filepath"], pool["filepath"]))
    return [{name: pool[name] for name in fields if name in pool} for pool in pools]


@functools.cache
def _tree_hash() -> str:
    root = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if relative.parts[0] in _NOT_NUMERICAL:
            continue
        digest.update(f"{relative.as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


@functools.cache
def code_hash(source: str | None = None) -> str:
    """Return sixteen hexadecimal digits that stand for the numerical code, and for one more file.

    Parameters
    ----------
    source : str, optional
        File in which an experiment is defined; it is part of the hash.

    Returns
    -------
    str
        Changes where a measured number could: in the kernels, the layers, the wings, the data sets or `source`.
    """
    digest = hashlib.sha256(_tree_hash().encode())
    if source is not None:
        digest.update(Path(source).read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def _environment_text(threads: int) -> tuple[tuple[str, Any], ...]:
    blas = next((pool for pool in blas_info() if pool.get("user_api") == "blas"), {})
    name = " ".join(str(blas[k]) for k in ("internal_api", "version", "architecture") if blas.get(k))
    return (
        ("scinn", __version__),
        ("code", code_hash()),
        ("python", platform.python_version()),
        *libraries().items(),
        ("blas", name or "unknown"),
        ("platform", f"{platform.system()} {platform.machine()}"),
        ("cpu", cpu_name()),
        ("cores", usable_cores()),
        ("threads", threads),
    )


def environment(threads: int = 1) -> dict[str, Any]:
    """Return what a record of a claim says about the machine.

    Parameters
    ----------
    threads : int
        Threads of BLAS and Numba inside one cell.

    Returns
    -------
    dict
        Versions, processor, cores and threads, as strings and integers.
    """
    return dict(_environment_text(threads))


def freeze() -> str:
    """Return the text of ``environment.txt``: Python, platform and every installed distribution."""
    found = {
        dist.metadata["Name"]: dist.version for dist in metadata.distributions() if dist.metadata["Name"]
    }
    lines = [
        f"# Python {sys.version.split()[0]} on {platform.platform()}",
        f"# {cpu_name()}, {usable_cores()} cores",
    ]
    lines += [f"{name}=={found[name]}" for name in sorted(found, key=str.lower)]
    return "\n".join(lines) + "\n"

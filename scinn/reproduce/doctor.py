"""What to paste into a bug report: versions, threads, cache, data, and a self-test of a few seconds."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from scinn.reproduce.claims import Cell, Results, select_claims
from scinn.reproduce.environment import blas_info, environment

__all__ = ["diagnose", "self_test", "warmup"]

_VARIABLES = (
    "SCINN_DATA",
    "SCINN_OFFLINE",
    "SCINN_NUM_THREADS",
    "NUMBA_CACHE_DIR",
    "NUMBA_NUM_THREADS",
    "NUMBA_DISABLE_JIT",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
)


def self_test(seconds: float = 5.0) -> dict[str, Any]:
    """Try one case of as many theorems as fit into `seconds`.

    Parameters
    ----------
    seconds : float
        No new case begins later than this.

    Returns
    -------
    dict
        ``passed`` (bool), ``n_checked``, ``n_known`` (int), ``failed`` (list of str), ``seconds`` (float).
    """
    from scinn.verify.registry import properties, run_property

    start, known, failed, checked = time.perf_counter(), properties(), [], 0
    for prop in known:
        if checked and time.perf_counter() - start > seconds:
            break
        checked += 1
        report = run_property(prop, n_cases=1, seed=0)
        if not report.passed:
            failed.append(f"{prop.id}: {report.worst.detail}")
    return {
        "passed": not failed,
        "n_checked": checked,
        "n_known": len(known),
        "failed": failed,
        "seconds": round(time.perf_counter() - start, 2),
    }


def _numba_state() -> dict[str, Any]:
    import numba

    # Asking for the number of threads starts them, and only then the layer has a name.
    n_threads = numba.get_num_threads()
    try:
        layer: str = numba.threading_layer()
    except ValueError:
        layer = "not started"
    return {
        "threads": n_threads,
        "threading_layer": layer,
        "jit_disabled": bool(getattr(numba.config, "DISABLE_JIT", False)),
    }


def diagnose(*, test_seconds: float = 5.0) -> dict[str, Any]:
    """Collect what a bug report needs.

    Parameters
    ----------
    test_seconds : float
        Time for the self-test; 0 leaves it out.

    Returns
    -------
    dict
        ``environment``, ``thread_pools``, ``numba``, ``kernel_cache``, ``variables``, ``datasets`` (name -> found)
        and ``self_test``; all of it fits into JSON.
    """
    from scinn import datasets
    from scinn.kernels import warm_cache_info

    return {
        "environment": environment(),
        "thread_pools": blas_info(),
        "numba": _numba_state(),
        "kernel_cache": warm_cache_info(),
        "variables": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        "datasets": {name: datasets.available(name) for name in datasets.list_datasets()},
        "self_test": self_test(test_seconds) if test_seconds > 0 else None,
    }


def _first_cells(names: Sequence[str]) -> Iterator[tuple[str, Cell]]:
    """One cell of every experiment that the smoke budget asks for first and whose data are here."""
    from scinn import datasets

    seen = set()
    for claim in select_claims(tuple(names)):
        if not all(datasets.available(name) for name in claim.dataset):
            continue
        for cell in claim.next_cells("smoke", 0, Results()):
            # Kernels differ by experiment and by method, hardly by the rest.
            kind = (claim.paper, cell.experiment, cell.params.get("method"), cell.params.get("variant"))
            if kind not in seen:
                seen.add(kind)
                yield claim.paper, cell


def warmup(
    names: Sequence[str] = (), callback: Callable[[str, int, int], None] | None = None
) -> dict[str, Any]:
    """Compile the kernels that papers need, by running the smallest case of each of their experiments.

    Parameters
    ----------
    names : sequence of str
        Paper keys or claim ids; empty for everything that is built.
    callback : callable, optional
        Called as ``callback(label, done, total)`` before each case, and with ``done == total`` at the end.

    Returns
    -------
    dict
        What :func:`scinn.kernels.warm_cache_info` tells afterwards, with ``seconds`` and ``errors`` added.
    """
    from scinn.kernels import warm_cache_info
    from scinn.reproduce.cells import run_cells

    start, tasks, errors = time.perf_counter(), list(_first_cells(names)), []
    for done, (paper, cell) in enumerate(tasks):
        if callback is not None:
            callback(f"{paper}: {cell.experiment}", done, len(tasks))
        errors += [outcome.error for outcome in run_cells([(paper, cell)]) if outcome.error]
    if callback is not None:
        callback("", len(tasks), len(tasks))
    return {**warm_cache_info(), "seconds": round(time.perf_counter() - start, 2), "errors": errors}

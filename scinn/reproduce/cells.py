"""Running cells: one after the other here, or in worker processes, with the threads of BLAS and Numba held down."""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from scinn._processes import serve_parent
from scinn.reproduce.claims import MODULES, Cell, as_json

__all__ = ["CellOutcome", "run_cells"]


@dataclass(frozen=True)
class CellOutcome:
    """What became of one cell: a result, or the text of an error."""

    position: int
    result: dict[str, Any] | None
    error: str | None
    seconds: float
    unavailable: bool = False


@contextmanager
def _few_threads(threads: int) -> Iterator[None]:
    """Hold BLAS and Numba to `threads`, and give back what was set before."""
    from threadpoolctl import threadpool_limits

    numba = sys.modules.get("numba")
    before = numba.get_num_threads() if numba else 0
    with threadpool_limits(limits=threads):
        if numba:
            numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
        try:
            yield
        finally:
            if numba:
                numba.set_num_threads(before)


def _run_cell(position: int, module: str, cell: Cell, threads: int) -> CellOutcome:
    from scinn.exceptions import DataUnavailableError

    start = time.perf_counter()
    try:
        experiment = importlib.import_module(module).EXPERIMENTS[cell.experiment]
        with _few_threads(threads):
            start = time.perf_counter()
            result = as_json(experiment(cell.params, cell.seed))
        if not isinstance(result, dict):
            raise TypeError(f"experiment {cell.experiment!r} returned {type(result).__name__}, wanted a dict")
    except DataUnavailableError as error:
        return CellOutcome(position, None, str(error), time.perf_counter() - start, unavailable=True)
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{os.path.basename(frame.filename)}:{frame.lineno}"
        return CellOutcome(
            position, None, f"{type(error).__name__}: {error} ({where})", time.perf_counter() - start
        )
    return CellOutcome(position, result, None, time.perf_counter() - start)


def _run_cell_in_worker(position: int, module: str, text: tuple[str, str, int], threads: int) -> CellOutcome:
    serve_parent()
    return _run_cell(position, module, Cell(text[0], json.loads(text[1]), text[2]), threads)


def run_cells(
    cells: Sequence[tuple[str, Cell]], *, jobs: int = 1, threads: int = 1
) -> Generator[CellOutcome, None, None]:
    """Run cells and yield each as it ends, in any order.

    Parameters
    ----------
    cells : sequence of (paper, Cell)
        What to run.
    jobs : int
        Worker processes; 1 runs everything in this process.
    threads : int
        Threads of BLAS and Numba inside a cell.

    Yields
    ------
    CellOutcome
        `position` is the cell's place in `cells`.
    """
    if jobs == 1 or len(cells) <= 1:
        for position, (paper, cell) in enumerate(cells):
            yield _run_cell(position, MODULES[paper], cell, threads)
        return
    import joblib
    from joblib.externals.loky import get_reusable_executor

    tasks = (
        joblib.delayed(_run_cell_in_worker)(position, MODULES[paper], cell.sort_key, threads)
        for position, (paper, cell) in enumerate(cells)
    )
    with joblib.parallel_config(backend="loky", inner_max_num_threads=threads):
        parallel = joblib.Parallel(
            n_jobs=min(jobs, len(cells)),
            return_as="generator_unordered",
            batch_size=1,
            pre_dispatch="2*n_jobs",
        )
        outcomes = parallel(tasks)
        try:
            # `yield from` would hand the end of this generator to joblib before the warning can be silenced.
            for outcome in outcomes:  # noqa: UP028
                yield outcome
        except BaseException:
            # Stopping half way is meant: joblib's warning about cancelled tasks would be noise.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                outcomes.close()
            get_reusable_executor().shutdown(wait=False, kill_workers=True)
            raise

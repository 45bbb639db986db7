"""Worker processes that end with their parent and leave Ctrl-C to it."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator
from typing import Any

__all__ = ["each"]


def each(
    function: Callable[..., Any], jobs: list[tuple[Any, ...]], n_workers: int
) -> Generator[Any, None, None]:
    """Call a function for each job, here or in processes, and yield the results in order, as soon as they are there."""
    if n_workers == 1 or len(jobs) == 1:
        for job in jobs:
            yield function(*job)
        return
    import joblib

    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        parallel = joblib.Parallel(n_jobs=n_workers, return_as="generator", batch_size=1, pre_dispatch="all")
        outcomes = parallel(joblib.delayed(_in_worker)(function, *job) for job in jobs)
        try:
            # `yield from` would hand the end of this generator to joblib before the warning can be silenced.
            for outcome in outcomes:  # noqa: UP028
                yield outcome
        except BaseException:
            # Stopping half way is meant: joblib's warning about cancelled tasks would be noise.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                outcomes.close()
            raise


_WATCHED = threading.Event()


def _in_worker(function: Callable[..., Any], *job: Any) -> Any:
    # Ctrl-C reaches every process of the terminal; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not _WATCHED.is_set():
        _WATCHED.set()
        threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    return function(*job)


def _end_with_parent(parent: int) -> None:
    """End this worker soon after its parent was killed, instead of computing for nobody."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)

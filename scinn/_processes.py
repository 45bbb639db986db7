"""Worker processes that end with their parent and leave Ctrl-C to it."""

from __future__ import annotations

import functools
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator
from typing import Any

__all__ = ["each", "serve_parent"]


def serve_parent() -> None:
    """Let this worker process ignore Ctrl-C, and end soon after its parent was killed."""
    # Ctrl-C reaches every process of the terminal; the parent alone decides and says what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_parent()


@functools.cache
def _end_with_parent() -> None:
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        # Computing for nobody helps nobody.
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


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


def _in_worker(function: Callable[..., Any], *job: Any) -> Any:
    serve_parent()
    return function(*job)

"""The stop watch: processor time of one thread, least of several repetitions, compilation excluded."""

from __future__ import annotations

import contextlib
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from scinn.kernels import jit

__all__ = ["Timing", "measure", "one_thread", "peak_memory", "triad_bandwidth"]


@dataclass(frozen=True)
class Timing:
    """How long a call took.

    Parameters
    ----------
    seconds : float
        Least processor time of the repetitions: what the call costs when nothing disturbs it.
    wall_seconds : float
        Least time on the wall clock.
    n_repeats : int
        Repetitions behind the two.
    """

    seconds: float
    wall_seconds: float
    n_repeats: int

    def to_dict(self) -> dict[str, float]:
        """Return the fields as what JSON can hold."""
        return asdict(self)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Hold BLAS, OpenMP and Numba to one thread inside a ``with`` block."""
    import numba
    from threadpoolctl import threadpool_limits

    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        numba.set_num_threads(before)


def measure(function: Callable[[], Any], *, n_repeats: int = 5, at_least: float = 0.2) -> Timing:
    """Time a call on one thread, after one call that is thrown away.

    Parameters
    ----------
    function : callable
        Called without arguments; what it returns is dropped.
    n_repeats : int, default 5
        Timed repetitions, at least 1. Calls shorter than the clock can resolve are repeated inside a repetition.
    at_least : float, default 0.2
        Repetitions go on until this much time has passed, so that a short call has its undisturbed moment.

    Returns
    -------
    Timing

    Raises
    ------
    ValueError
        For fewer than one repetition.

    Examples
    --------
    >>> timing = measure(lambda: sum(range(1000)), n_repeats=3, at_least=0.0)
    >>> 0 < timing.seconds < 1, timing.n_repeats
    (True, 3)
    """
    if n_repeats < 1:
        raise ValueError(f"n_repeats must be at least 1, got {n_repeats!r}")
    with one_thread():
        function()
        start = time.perf_counter()
        function()
        inner = max(1, int(1e-3 / max(time.perf_counter() - start, 1e-9)))
        cpu, wall, done = float("inf"), float("inf"), 0
        begun = time.perf_counter()
        while done < n_repeats or (time.perf_counter() - begun < at_least and done < 1000):
            cpu_0, wall_0 = time.process_time(), time.perf_counter()
            for _ in range(inner):
                function()
            cpu = min(cpu, (time.process_time() - cpu_0) / inner)
            wall = min(wall, (time.perf_counter() - wall_0) / inner)
            done += 1
    return Timing(cpu, wall, done)


def peak_memory(function: Callable[[], Any]) -> int:
    """Return the most bytes that a call had allocated at once, through Python's allocators (NumPy's arrays included).

    Parameters
    ----------
    function : callable
        Called once; memory that it finds allocated does not count.

    Returns
    -------
    int

    Examples
    --------
    >>> peak_memory(lambda: np.ones(10**6)) >= 8 * 10**6
    True
    """
    tracemalloc.start()
    try:
        result = function()
        peak = tracemalloc.get_traced_memory()[1]
        del result
    finally:
        tracemalloc.stop()
    return peak


@jit
def _triad(a, b, c, scalar):
    for i in range(a.shape[0]):
        a[i] = b[i] + scalar * c[i]


def triad_bandwidth(n: int = 20_000_000, *, n_repeats: int = 5) -> float:
    """Measure the memory bandwidth of one thread with the STREAM triad ``a = b + s c``.

    Parameters
    ----------
    n : int, default 20_000_000
        Length of the three float64 arrays. They should not fit into the last cache; where it is larger than they are, the
        result is the bandwidth of that cache, which then is the limit that counts for problems of this size too.
    n_repeats : int, default 5
        Repetitions; the best counts.

    Returns
    -------
    float
        Bytes per second, 24 bytes for each element (the line that a store first reads is not counted, as in STREAM).

    Examples
    --------
    >>> triad_bandwidth(100_000, n_repeats=1) > 1e7
    True
    """
    a, b, c = np.zeros(n), np.ones(n), np.full(n, 2.0)
    timing = measure(lambda: _triad(a, b, c, 3.0), n_repeats=n_repeats)
    return 24.0 * n / timing.seconds

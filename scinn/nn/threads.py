"""How many threads the kernels of the layers may use: a setting of the context, one by default."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["n_threads_in_use", "use_threads"]

_N_THREADS: ContextVar[int] = ContextVar("scinn_n_threads", default=1)


def n_threads_in_use() -> int:
    """Return the number of threads that layers called here may use.

    Returns
    -------
    int

    Examples
    --------
    >>> n_threads_in_use()
    1
    """
    return _N_THREADS.get()


@contextmanager
def use_threads(n_threads: int) -> Iterator[None]:
    """Let the convolutions inside a ``with`` block use several threads; the results have the same bits.

    One thread is the default, because several models side by side, one to a process, make better use of the
    cores than one model on all of them.

    Parameters
    ----------
    n_threads : int
        At least 1 and at most the number that Numba started with (all cores, or ``NUMBA_NUM_THREADS``).

    Raises
    ------
    ValueError
        For another number.

    Notes
    -----
    The setting belongs to the calling thread. Do not enter parallel kernels from several threads of one process:
    Numba's default threading layer ends the process then.

    Examples
    --------
    >>> with use_threads(1):
    ...     n_threads_in_use()
    1
    """
    if isinstance(n_threads, bool) or not isinstance(n_threads, int) or n_threads < 1:
        raise ValueError(f"n_threads must be a positive integer, got {n_threads!r}")
    import numba

    most = int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    if n_threads > most:
        raise ValueError(
            f"n_threads is {n_threads}, and Numba has {most}; set NUMBA_NUM_THREADS before the first import"
        )
    before = numba.get_num_threads()
    token = _N_THREADS.set(n_threads)
    numba.set_num_threads(n_threads)
    try:
        yield
    finally:
        numba.set_num_threads(before)
        _N_THREADS.reset(token)

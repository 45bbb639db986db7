from __future__ import annotations

import time

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from scinn.bench.timing import _triad, measure, one_thread, peak_memory, triad_bandwidth


def busy(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_measure_reads_processor_time_and_not_sleep():
    timing = measure(lambda: time.sleep(0.02), n_repeats=2, at_least=0.0)
    assert timing.wall_seconds >= 0.02
    assert timing.seconds < 0.01


def test_measure_finds_the_length_of_a_busy_loop():
    timing = measure(lambda: busy(0.02), n_repeats=3, at_least=0.0)
    assert 0.02 <= timing.seconds < 0.06
    assert timing.n_repeats == 3


def test_measure_repeats_calls_that_are_too_short_for_the_clock():
    calls = []
    measure(lambda: calls.append(None), n_repeats=1, at_least=0.0)
    assert len(calls) > 100


def test_measure_refuses_no_repetition():
    with pytest.raises(ValueError, match="n_repeats must be at least 1, got 0"):
        measure(lambda: None, n_repeats=0)


def test_one_thread_limits_blas_and_gives_it_back():
    np.ones((2, 2)) @ np.ones((2, 2))
    before = [pool["num_threads"] for pool in threadpool_info()]
    with one_thread():
        assert all(pool["num_threads"] == 1 for pool in threadpool_info())
    assert [pool["num_threads"] for pool in threadpool_info()] == before


def test_peak_memory_counts_the_largest_moment_only():
    def two_in_turn():
        np.ones(500_000)
        np.ones(1_000_000)

    assert 8_000_000 <= peak_memory(two_in_turn) < 9_000_000


def test_triad_computes_what_it_times():
    a, b, c = np.zeros(7), np.arange(7.0), np.ones(7)
    _triad(a, b, c, 3.0)
    np.testing.assert_array_equal(a, b + 3.0)
    assert 1e8 < triad_bandwidth(200_000, n_repeats=1) < 1e13

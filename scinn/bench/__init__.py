"""Side-by-side timings beside named peers: equal threads, equal precision, equal error, compilation excluded.

:func:`run` measures and returns a record that is plain JSON; :func:`format_record` makes it readable. Peers run in an
interpreter of their own, named by ``$SCINN_PEER_PYTHON``, and are reported as not run where they are missing.
"""

from __future__ import annotations

from scinn.bench.environment import environment
from scinn.bench.peers import PeerResult, run_peer
from scinn.bench.registry import BENCHMARKS, Benchmark, Row, format_record, merge, read_record, run
from scinn.bench.timing import Timing, measure, peak_memory, triad_bandwidth

__all__ = [
    "BENCHMARKS",
    "Benchmark",
    "PeerResult",
    "Row",
    "Timing",
    "environment",
    "format_record",
    "measure",
    "merge",
    "peak_memory",
    "read_record",
    "run",
    "run_peer",
    "triad_bandwidth",
]

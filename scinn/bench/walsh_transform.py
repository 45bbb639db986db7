"""Walsh-Hadamard transforms and the degree-1 coefficients of a truth table, beside NumPy, pyfwht and SymPy."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from scinn.bench.peers import PeerResult, run_peer
from scinn.bench.robustness_worker import places, table
from scinn.bench.rows import Benchmark, Callback, Row, duration, size
from scinn.bench.timing import measure, triad_bandwidth
from scinn.robustness import degree_one_coefficients, walsh_hadamard_transform

__all__ = ["WALSH", "run_walsh"]

_PEERS = {"walsh_numpy": "NumPy, radix 2", "walsh_pyfwht": "pyfwht", "walsh_sympy": "SymPy"}
#: SymPy's transform is in Python: seconds at 2^16, minutes at 2^20.
_MOST_SYMPY = 16


def _version(peer: str, answer: PeerResult) -> str:
    package = {"pyfwht": "pyfwht", "SymPy": "sympy"}.get(peer, "numpy")
    if package == "numpy":
        return f"NumPy {answer.info['versions']['numpy']}, radix 2"
    return f"{peer} {answer.info['versions'][package]}"


def _transform_rows(n: int, bandwidth: float, timing: dict[str, Any], callback: Callback) -> list[Row]:
    callback(f"walsh: n = {n}")
    values = table(n)
    sample = walsh_hadamard_transform(values)[places(n)]
    # Transformed in place again and again, anything but zeros overflows.
    values[:] = 0
    seconds = measure(partial(walsh_hadamard_transform, values, overwrite=True), **timing).seconds
    moved = 2 * values.nbytes
    limit = moved / bandwidth
    del values
    rows = []
    for task, peer in _PEERS.items():
        if task == "walsh_sympy" and n > _MOST_SYMPY:
            continue
        answer = run_peer(task, {}, {"n": n, **timing})
        title = f"transform of 2^{n} float64, in place"
        note = f"{100 * limit / seconds:.0f} % of the memory limit ({size(moved)} at least)"
        numbers: dict[str, Any] = {"n": n, "bytes": moved, "limit_seconds": limit, "bandwidth": bandwidth}
        if not answer:
            rows.append(Row(title, seconds, peer, None, f"not run: {answer.reason}; {note}", numbers))
            continue
        gap = float(np.abs(answer.arrays["value"] - sample).max() / np.abs(sample).max())
        other = answer.info.get("seconds_constant_geometry")
        if other is not None:
            note += f"; NumPy with steps that are all alike {duration(other)}"
        note += f"; differ by {gap:.0e}"
        numbers |= {"difference": gap, "peer": answer.info}
        rows.append(Row(title, seconds, _version(peer, answer), answer.info["seconds"], note, numbers))
    return rows


def _fold_row(n: int, timing: dict[str, Any], callback: Callback) -> Row:
    callback(f"walsh: degree 1, n = {n}")
    values = table(n)
    found = np.asarray(degree_one_coefficients(values))
    seconds = measure(partial(degree_one_coefficients, values), **timing).seconds
    answer = run_peer("folded_table", {}, {"n": n, **timing})
    title, peer = f"degrees 0 and 1 alone of 2^{n} float64", "NumPy, table halved at each variable"
    if not answer:
        return Row(title, seconds, peer, None, f"not run: {answer.reason}")
    gap = float(np.abs(answer.arrays["value"] - found).max())
    return Row(title, seconds, peer, answer.info["seconds"], f"differ by {gap:.0e}", {"difference": gap})


def run_walsh(quick: bool, callback: Callback) -> list[Row]:
    """Time both on tables of several sizes."""
    timing: dict[str, Any] = {"n_repeats": 2 if quick else 7, "at_least": 0.02 if quick else 0.5}
    callback("walsh: memory bandwidth")
    bandwidth = triad_bandwidth(2_000_000 if quick else 20_000_000)
    rows = []
    for n in (10, 16) if quick else (16, 20, 24):
        rows += _transform_rows(n, bandwidth, timing, callback)
    return rows + [_fold_row(n, timing, callback) for n in ((16,) if quick else (20, 24))]


WALSH = Benchmark(
    "walsh",
    "Walsh-Hadamard transform",
    "One thread, float64. All transforms work in place (NumPy with a second array, SymPy once on a list); NumPy is taken in "
    "the usual log2(size) passes, and beside it with passes that are all alike, which suits it better. The memory limit is "
    "one read and one write of the table over the bandwidth of the STREAM triad; tables beyond the second cache are read "
    "and written twice here.",
    run_walsh,
)

"""The benchmarks by name, one function that runs them, and one that writes the record as text."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from scinn._input import check_choice
from scinn.bench.convolution import CONVOLUTION
from scinn.bench.environment import environment
from scinn.bench.framelet_transform import FRAMELETS
from scinn.bench.rows import Benchmark, Callback, Row, duration
from scinn.bench.spmm import SPMM
from scinn.bench.ufg_epoch import UFG_EPOCH

__all__ = ["BENCHMARKS", "Benchmark", "Row", "format_record", "run"]

SCHEMA = 1

#: What ``scinn bench`` can run.
BENCHMARKS: Mapping[str, Benchmark] = MappingProxyType(
    {b.name: b for b in (SPMM, FRAMELETS, UFG_EPOCH, CONVOLUTION)}
)


def _silent(message: str) -> None:
    """Drop a progress message."""


def run(
    names: Sequence[str] = (), *, quick: bool = False, callback: Callback | None = None
) -> dict[str, Any]:
    """Run benchmarks and return their record.

    Parameters
    ----------
    names : sequence of str
        Keys of :data:`BENCHMARKS`; empty: all of them.
    quick : bool, default False
        Small cases only, in seconds instead of minutes.
    callback : callable, optional
        ``callback(message)`` is told what is being timed.

    Returns
    -------
    dict
        Plain JSON: ``schema``, ``environment``, ``quick``, ``seconds`` and ``benchmarks``, a list with ``name``, ``title``,
        ``about`` and ``rows``.

    Raises
    ------
    ValueError
        For an unknown name.

    Examples
    --------
    >>> sorted(BENCHMARKS)
    ['convolution', 'framelets', 'spmm', 'ufg-epoch']
    """
    for name in names:
        check_choice(name, "names", tuple(BENCHMARKS))
    begun = time.perf_counter()
    done = []
    for name in dict.fromkeys(names or BENCHMARKS):
        bench = BENCHMARKS[name]
        rows = bench.run(quick, callback or _silent)
        done.append(
            {
                "name": name,
                "title": bench.title,
                "about": bench.about,
                "rows": [row.to_dict() for row in rows],
            }
        )
    return {
        "schema": SCHEMA,
        "environment": environment(),
        "quick": quick,
        "seconds": round(time.perf_counter() - begun, 1),
        "benchmarks": done,
    }


def format_record(record: Mapping[str, Any]) -> str:
    """Return a record of :func:`run` as plain text tables.

    Parameters
    ----------
    record : mapping
        As returned by :func:`run`, or read back from JSON.

    Returns
    -------
    str

    Examples
    --------
    >>> row = Row("A @ x", 0.5, "SciPy 1.17", 1.0, "one thread").to_dict()
    >>> bench = {"name": "spmm", "title": "Product", "about": "", "rows": [row]}
    >>> print(format_record({"environment": {"cpu": "abacus"}, "benchmarks": [bench]}))
    Product
      A @ x  500 ms  SciPy 1.17 1 s  2.00 x  one thread
    cpu abacus
    """
    lines: list[str] = []
    for bench in record["benchmarks"]:
        lines.append(bench["title"])
        cells = []
        for row in bench["rows"]:
            ratio = "–" if row["ratio"] is None else f"{row['ratio']:.2f} x"
            peer = f"{row['peer']} {duration(row['peer_seconds'])}".strip()
            cells.append([row["case"], duration(row["seconds"]), peer, ratio])
        widths = [max((len(line[i]) for line in cells), default=0) for i in range(4)]
        for line, row in zip(cells, bench["rows"], strict=True):
            text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            lines.append(f"  {text}  {row['note']}".rstrip())
    about = record.get("environment") or {"platform": platform.platform()}
    lines.append(", ".join(f"{name} {value}" for name, value in about.items()))
    return "\n".join(lines)

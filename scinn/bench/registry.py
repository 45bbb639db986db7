"""The benchmarks by name, one function that runs them, and one that writes the record as text."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from scinn._input import check_choice
from scinn.bench.binary_attacks import BINARY_ATTACKS
from scinn.bench.chow_parameters import CHOW
from scinn.bench.convolution import CONVOLUTION
from scinn.bench.environment import environment
from scinn.bench.framelet_transform import FRAMELETS
from scinn.bench.pcn import PCN_BENCHMARK
from scinn.bench.reversible_rnn import REVERSIBLE_RNN
from scinn.bench.rows import Benchmark, Callback, Row, duration
from scinn.bench.spmm import SPMM
from scinn.bench.ufg_epoch import UFG_EPOCH
from scinn.bench.walsh_transform import WALSH

__all__ = ["BENCHMARKS", "Benchmark", "Row", "format_record", "merge", "read_record", "run"]

#: In format 1 the whole record had one environment.
SCHEMA = 2

#: What ``scinn bench`` can run.
BENCHMARKS: Mapping[str, Benchmark] = MappingProxyType(
    {
        b.name: b
        for b in (
            SPMM,
            FRAMELETS,
            UFG_EPOCH,
            CONVOLUTION,
            CHOW,
            WALSH,
            BINARY_ATTACKS,
            PCN_BENCHMARK,
            REVERSIBLE_RNN,
        )
    }
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
        Plain JSON: ``schema`` and ``benchmarks``, a list with ``name``, ``title``, ``about``, ``environment``, ``quick``,
        ``seconds`` and ``rows``.

    Raises
    ------
    ValueError
        For an unknown name.

    Examples
    --------
    >>> sorted(BENCHMARKS)
    ['binary-attacks', 'chow', 'convolution', 'framelets', 'pcn', 'reversible-rnn', 'spmm', 'ufg-epoch', 'walsh']
    """
    for name in names:
        check_choice(name, "names", tuple(BENCHMARKS))
    done = []
    for name in dict.fromkeys(names or BENCHMARKS):
        bench = BENCHMARKS[name]
        begun = time.perf_counter()
        rows = bench.run(quick, callback or _silent)
        done.append(
            {
                "name": name,
                "title": bench.title,
                "about": bench.about,
                "environment": environment(),
                "quick": quick,
                "seconds": round(time.perf_counter() - begun, 1),
                "rows": [row.to_dict() for row in rows],
            }
        )
    return {"schema": SCHEMA, "benchmarks": done}


def read_record(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a record of this format or of format 1, in which the environment was that of all benchmarks.

    Parameters
    ----------
    path : path
        A file that ``scinn bench --out`` wrote.

    Returns
    -------
    dict
        As :func:`run` returns it.

    Raises
    ------
    ValueError
        Where the file holds no record.
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError:
        record = None
    if not isinstance(record, dict) or record.get("schema") not in (1, SCHEMA):
        raise ValueError(
            f"{os.fspath(path)} holds no record of benchmarks; name a file that scinn bench --out wrote, or a new one"
        )
    shared = {key: record[key] for key in ("environment", "quick") if key in record}
    return {"schema": SCHEMA, "benchmarks": [shared | bench for bench in record["benchmarks"]]}


def merge(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with the benchmarks of `new`, and those of `old` that `new` does not hold.

    Each keeps its own environment, so that benchmarks of several machines and days may stand in one file.

    Parameters
    ----------
    old, new : mapping
        As returned by :func:`run` or :func:`read_record`.

    Returns
    -------
    dict
        In the order of :data:`BENCHMARKS`; what is not there any more comes last.

    Examples
    --------
    >>> old = {"schema": 2, "benchmarks": [{"name": "walsh", "rows": [1]}, {"name": "spmm", "rows": [2]}]}
    >>> new = {"schema": 2, "benchmarks": [{"name": "walsh", "rows": [3]}]}
    >>> [(bench["name"], bench["rows"]) for bench in merge(old, new)["benchmarks"]]
    [('spmm', [2]), ('walsh', [3])]
    """
    found = {bench["name"]: bench for record in (old, new) for bench in record["benchmarks"]}
    names = [name for name in BENCHMARKS if name in found]
    names += [name for name in found if name not in BENCHMARKS]
    return {"schema": SCHEMA, "benchmarks": [found[name] for name in names]}


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
    >>> bench = {"name": "spmm", "title": "Product", "environment": {"cpu": "abacus"}, "rows": [row]}
    >>> print(format_record({"benchmarks": [bench]}))
    Product
      A @ x  500 ms  SciPy 1.17 1 s  2.00 x  one thread
    cpu abacus
    """
    lines: list[str] = []
    places = [bench["environment"] for bench in record["benchmarks"]]
    for number, bench in enumerate(record["benchmarks"]):
        lines.append(bench["title"])
        cells = []
        for row in bench["rows"]:
            ratio = "–" if row["ratio"] is None else f"{row['ratio']:.2f} x"
            peer = f"{row['peer']} {duration(row['peer_seconds'])}" if row["peer"] else "–"
            cells.append([row["case"], duration(row["seconds"]), peer, ratio])
        widths = [max((len(line[i]) for line in cells), default=0) for i in range(4)]
        for line, row in zip(cells, bench["rows"], strict=True):
            text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            lines.append(f"  {text}  {row['note']}".rstrip())
        # Once for benchmarks in a row that share it.
        if places[number] not in places[number + 1 : number + 2]:
            lines.append(", ".join(f"{name} {value}" for name, value in places[number].items()))
    return "\n".join(lines)

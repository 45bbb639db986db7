from __future__ import annotations

import json

import numpy as np
import pytest

from scinn import bench
from scinn.bench import spmm
from scinn.bench.rows import Row, duration, size


def test_a_small_run_gives_a_record_that_is_json(monkeypatch):
    monkeypatch.setattr(spmm, "_matrices", lambda quick: {"small": spmm.random_matrix(200, 4)})
    said = []
    record = bench.run(["spmm"], quick=True, callback=said.append)
    assert json.loads(json.dumps(record)) == record
    assert [b["name"] for b in record["benchmarks"]] == ["spmm"]
    rows = record["benchmarks"][0]["rows"]
    assert [row["numbers"]["n_columns"] for row in rows] == [16, 64]
    assert all(row["numbers"]["difference"] < 1e-12 for row in rows)
    assert all(row["ratio"] == row["peer_seconds"] / row["seconds"] for row in rows)
    assert said == ["spmm: small, 16 columns", "spmm: small, 64 columns"]
    assert record["environment"]["threads"] == 1
    assert "small, 64 columns" in bench.format_record(record)


def test_unknown_names_are_refused_with_what_there_is():
    with pytest.raises(ValueError, match="framelets"):
        bench.run(["framlets"])


def test_a_peer_that_did_not_run_has_no_ratio():
    row = Row("case", 0.1, "PyGSP", None, "not run: pygsp is not installed")
    assert row.ratio is None
    record = {"benchmarks": [{"title": "T", "rows": [row.to_dict()]}], "environment": {"cpu": "x"}}
    text = bench.format_record(record)
    assert "PyGSP not run" in text
    assert "pygsp is not installed" in text


def test_matrices_for_timing_have_what_they_say():
    matrix = spmm.random_matrix(50, 3)
    assert matrix.shape == (50, 50)
    assert matrix.has_canonical_format
    assert 100 <= matrix.nnz <= 150
    assert np.all(np.diff(matrix.indptr) <= 3)


@pytest.mark.parametrize(
    ("value", "text"),
    [(2.5, "2.5 s"), (0.5, "500 ms"), (3e-5, "30 us"), (4e-8, "0.04 us"), (None, "not run")],
)
def test_durations_have_a_fitting_unit(value, text):
    assert duration(value) == text


@pytest.mark.parametrize(("value", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (3e9, "3 GB")])
def test_sizes_have_a_fitting_unit(value, text):
    assert size(value) == text

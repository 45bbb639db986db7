from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from scinn import bench
from scinn.bench import spmm
from scinn.bench.rows import Row, duration, size
from scinn.cli import app


def titled(title, cpu, row):
    return {"title": title, "environment": {"cpu": cpu}, "rows": [row.to_dict()]}


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
    assert record["benchmarks"][0]["environment"]["threads"] == 1
    assert record["benchmarks"][0]["quick"] is True
    assert "small, 64 columns" in bench.format_record(record)


def test_unknown_names_are_refused_with_what_there_is():
    with pytest.raises(ValueError, match="framelets"):
        bench.run(["framlets"])


def test_a_peer_that_did_not_run_has_no_ratio():
    row = Row("case", 0.1, "PyGSP", None, "not run: pygsp is not installed")
    assert row.ratio is None
    text = bench.format_record({"benchmarks": [titled("T", "x", row)]})
    assert "PyGSP not run" in text
    assert "pygsp is not installed" in text


def test_a_row_without_a_peer_says_neither_name_nor_not_run():
    text = bench.format_record({"benchmarks": [titled("T", "x", Row("case", 0.1, "", None, "why"))]})
    assert "case  100 ms  –  –  why" in text
    assert "not run" not in text


def test_environments_are_written_once_for_benchmarks_that_share_them():
    row = Row("case", 0.1, "peer", 0.2)
    benchmarks = [titled(title, cpu, row) for title, cpu in (("A", "x"), ("B", "x"), ("C", "y"), ("D", "x"))]
    lines = bench.format_record({"benchmarks": benchmarks}).splitlines()
    assert [line for line in lines if not line.startswith("  ")] == [
        "A", "B", "cpu x", "C", "cpu y", "D", "cpu x",
    ]  # fmt: skip


def test_a_record_in_format_1_gives_its_environment_to_every_benchmark(tmp_path):
    old = {"schema": 1, "environment": {"cpu": "x"}, "quick": True, "seconds": 5.0}
    old["benchmarks"] = [{"name": "spmm", "rows": []}, {"name": "gone", "rows": []}]
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(old))
    record = bench.read_record(path)
    assert record["schema"] == 2
    assert [b["environment"] for b in record["benchmarks"]] == [{"cpu": "x"}] * 2
    assert [b["quick"] for b in record["benchmarks"]] == [True, True]
    new = {"schema": 2, "benchmarks": [{"name": "convolution", "environment": {"cpu": "y"}, "rows": []}]}
    merged = bench.merge(record, new)
    assert [(b["name"], b["environment"]["cpu"]) for b in merged["benchmarks"]] == [
        ("spmm", "x"),
        ("convolution", "y"),
        ("gone", "x"),
    ]


@pytest.mark.parametrize("text", ["no json", "[]", '{"schema": 3, "benchmarks": []}', '{"claims": []}'])
def test_a_file_that_is_no_record_is_refused(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="holds no record of benchmarks"):
        bench.read_record(path)


def test_the_recorded_file_can_be_read():
    path = Path(__file__).resolve().parents[2] / "docs" / "results" / "bench" / "bench.json"
    assert all(b["environment"]["threads"] == 1 for b in bench.read_record(path)["benchmarks"])


def test_one_benchmark_is_recorded_anew_beside_the_others(monkeypatch, tmp_path):
    monkeypatch.setattr(spmm, "_matrices", lambda quick: {"small": spmm.random_matrix(200, 4)})
    path = tmp_path / "bench.json"
    old = {"schema": 1, "environment": {"cpu": "x"}, "quick": False, "seconds": 5.0}
    path.write_text(json.dumps(old | {"benchmarks": [{"name": "framelets", "title": "F", "rows": []}]}))
    arguments = ["bench", "spmm", "--quick", "--out", str(path)]
    done = CliRunner().invoke(app, [*arguments, "--merge"])
    assert done.exit_code == 0, done.output
    record = bench.read_record(path)
    assert [b["name"] for b in record["benchmarks"]] == ["spmm", "framelets"]
    assert [b["quick"] for b in record["benchmarks"]] == [True, False]
    assert record["benchmarks"][1]["environment"] == {"cpu": "x"}
    CliRunner().invoke(app, arguments)
    assert [b["name"] for b in bench.read_record(path)["benchmarks"]] == ["spmm"]


def test_merging_is_refused_before_anything_runs(tmp_path):
    done = CliRunner().invoke(app, ["bench", "spmm", "--merge"])
    assert done.exit_code == 2
    assert "--merge needs --out" in done.output
    path = tmp_path / "other.json"
    path.write_text("{}")
    done = CliRunner().invoke(app, ["bench", "spmm", "--merge", "--out", str(path)])
    assert done.exit_code == 2
    assert "no record of benchmarks" in done.output
    assert path.read_text() == "{}"


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


def test_convolutions_are_timed_without_a_peer_too(monkeypatch):
    from scinn.bench import convolution

    monkeypatch.setattr(convolution, "SHAPES", ((3, 32, 2, 3, 6, 1), (3, 2, 3, 4, 5, 2)))
    monkeypatch.setattr(convolution, "_SAMPLED", ((50, 3),))
    monkeypatch.setattr(convolution, "_PARAMETERS", (100,))
    monkeypatch.setattr(convolution, "_LOSSES", ((5, 3),))
    monkeypatch.setattr(convolution, "_first_call_row", lambda: Row("first call", 0.1, "later", 0.2))
    monkeypatch.setattr(convolution, "_resnet_rows", lambda quick: [])
    monkeypatch.setenv("SCINN_PEER_PYTHON", "/no/such/interpreter")
    record = bench.run(["convolution"], quick=True)
    rows = record["benchmarks"][0]["rows"]
    timed = [row for row in rows if row["peer"] == "PyTorch"]
    assert all(row["peer_seconds"] is None and "no interpreter" in row["note"] for row in timed)
    assert sum("convolution 3x3" in row["case"] for row in timed) == 1
    (sampled,) = [row for row in rows if "products of rows" in row["case"]]
    assert sampled["numbers"]["difference"] < 1e-4
    (threads,) = [row for row in rows if "two threads" in row["case"]]
    assert threads["note"] in ("the same bits", "not run: one core")


def test_the_mean_of_ratios_is_geometric_and_the_slowest_row_is_named(monkeypatch):
    from scinn.bench import convolution
    from scinn.bench.peers import PeerResult

    shapes = ((3, 2, 2, 3, 6, 1), (1, 2, 3, 4, 5, 2))
    times = [
        {"channels first": {"forward": 1.0, "both": 2.0}, "channels last": {"forward": 2.0, "both": 8.0}}
    ] * 2
    arrays = {}
    for i, shape in enumerate(shapes):
        layer, x, dy = convolution._convolution(shape)
        run = convolution._stem if shape[2] == 3 else convolution._both
        y, dx, grads = run(layer, x, dy)
        arrays |= {f"y{i}": y[:2], f"dweight{i}": grads["weight"]} | (
            {} if dx is None else {f"dx{i}": dx[:2]}
        )
    answer = PeerResult(arrays=arrays, info={"convolutions": times})
    rows = convolution._convolution_rows(shapes, answer, "PyTorch", {"n_repeats": 1, "at_least": 0.0})
    assert [row.peer_seconds for row in rows] == [2.0, 2.0, pytest.approx(2.0)]
    assert rows[2].seconds == pytest.approx((rows[0].seconds * rows[1].seconds) ** 0.5)
    assert rows[2].numbers["worst"] == max(rows[0].seconds, rows[1].seconds) / 2.0
    assert all(row.numbers["difference"] == 0 for row in rows[:2])
    assert "better with channels first" in rows[0].note

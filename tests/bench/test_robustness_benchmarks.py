"""The benchmarks of Chow parameters, transforms and attacks run where no peer and no data are, and say so."""

from __future__ import annotations

import json

import numpy as np
import pytest

from scinn import bench
from scinn.bench import binary_attacks, chow_parameters, walsh_transform
from scinn.bench.detectors import pdfrate_detector, random_detector
from scinn.bench.peers import PeerResult
from scinn.datasets import available
from scinn.robustness import chow_parameters as chow


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """Neither peers nor data."""
    monkeypatch.setenv("SCINN_PEER_PYTHON", "/no/such/interpreter")
    monkeypatch.setenv("SCINN_DATA", str(tmp_path))
    monkeypatch.setenv("SCINN_CACHE", str(tmp_path))


def rows_of(name):
    record = bench.run([name], quick=True)
    assert json.loads(json.dumps(record)) == record
    rows = record["benchmarks"][0]["rows"]
    assert all(row["seconds"] > 0 for row in rows)
    for row in rows:
        assert row["peer_seconds"] is None
        assert ("no interpreter" in row["note"]) == bool(row["peer"])
    return rows


def test_chow_parameters_are_timed_alone(alone):
    rows = rows_of("chow")
    kinds = {row["case"]: row["numbers"].get("kind") for row in rows}
    assert kinds["normal weights, n = 8"] == kinds["normal weights, n = 24"] == "exact"
    assert kinds["random network, 135 features: one neuron, n = 135, with a proof to 1e-03"] == "certified"
    (proven,) = [row for row in rows if "with a proof" in row["case"]]
    assert proven["numbers"]["bound"] <= 1e-3
    assert proven["peer"] == ""


def test_transforms_are_timed_alone(alone):
    rows = rows_of("walsh")
    assert [row["peer"].split(",")[0] for row in rows[:3]] == ["NumPy", "pyfwht", "SymPy"]
    assert all("of the memory limit" in row["note"] for row in rows if "in place" in row["case"])


def test_attacks_are_timed_alone(alone):
    rows = rows_of("binary-attacks")
    assert "random network" in rows[0]["case"]
    assert rows[-1]["case"].startswith("random bits: train 2 epochs")
    assert "test accuracy" in rows[-1]["note"]


def test_the_detector_is_the_stored_one_where_it_is():
    detector = pdfrate_detector()
    if not available("pdfrate-binary") or detector.name != "PDFRate":
        pytest.skip("the authors' network is not in $SCINN_DATA")
    assert detector.signs.shape == (2016, 135)
    assert detector.network.accuracy(detector.signs, detector.labels) == 2014 / 2016


def test_arrays_for_the_peers_hold_the_first_points():
    detector = random_detector(9, 20)
    arrays = detector.arrays(5)
    assert arrays["points"].shape == (5, 9)
    assert arrays["labels"].shape == (5,)
    assert arrays["weights"].dtype == arrays["points"].dtype == np.float32


def test_a_peer_that_differs_is_shown_with_its_difference(monkeypatch):
    weights, thresholds = np.array([[3.0], [1.0], [1.0]]), np.array([0.0])
    value = chow(weights[:, 0]).value[:, None]
    info = {"seconds": 2.0, "seconds_table": 0.5, "versions": {"boofun": "1"}}
    answer = PeerResult(arrays={"value": value + 0.25}, info=info)
    monkeypatch.setattr(chow_parameters, "run_peer", lambda *args: answer)
    peer = ("boofun_chow", "boofun", "boofun")
    row = chow_parameters._compared("case", weights, thresholds, peer, n_repeats=1, at_least=0.0)
    assert (row.peer, row.peer_seconds, row.numbers["gap"]) == ("boofun 1", 2.0, 0.25)
    assert "peer differs by 2e-01, its truth table alone 500 ms" in row.note


def test_differences_of_transforms_are_relative_to_the_largest_value(monkeypatch):
    from scinn.bench.robustness_worker import constant_geometry, places, table

    spectrum = constant_geometry(table(4), np.empty(16))[places(4)]
    answer = PeerResult(
        arrays={"value": spectrum + 0.01 * np.abs(spectrum).max()},
        info={"seconds": 1.0, "versions": {"numpy": "2", "pyfwht": "3", "sympy": "4"}},
    )
    monkeypatch.setattr(walsh_transform, "run_peer", lambda *args: answer)
    timing = {"n_repeats": 1, "at_least": 0.0}
    rows = walsh_transform._transform_rows(4, 1e10, timing, lambda message: None)
    assert [row.peer for row in rows] == ["NumPy 2, radix 2", "pyfwht 3", "SymPy 4"]
    assert [row.numbers["difference"] for row in rows] == pytest.approx([0.01] * 3)
    assert all("256 B at least" in row.note for row in rows)


def test_norms_of_both_attacks_are_compared_point_by_point():
    detector = random_detector(9, 20)
    timing = {"n_repeats": 1, "at_least": 0.0}
    info = {"seconds": 1.0, "versions": {"foolbox": "3"}}
    theirs = np.full(20, np.inf)
    theirs[:5] = 1e-6
    answer = PeerResult(arrays={"value": theirs}, info=info)
    row = binary_attacks._continuous_row(detector, 20, 10, answer, "foolbox", timing)
    assert row.numbers["nearer"] == 0.75
    assert "of 5 evaded" in row.note
    assert row.peer == "foolbox 3"


def test_more_points_are_needed_for_less_error():
    assert chow_parameters.samples_for(1e-5, 136) == pytest.approx(
        1e4 * chow_parameters.samples_for(1e-3, 136)
    )

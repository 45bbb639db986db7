"""Every property holds on a few cases; the registry reports, repeats and saves what fails."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from scinn.verify import CheckResult, Property, run_property, verify_papers
from scinn.verify.registry import MODULES, case_seed, find_property, properties, run_case

ALL = properties()


@pytest.mark.parametrize("prop", ALL, ids=lambda prop: prop.id)
def test_property_holds(prop):
    report = run_property(prop, n_cases=6, seed=1)
    assert report, report.worst


def test_names_are_unique_and_every_statement_is_a_sentence():
    assert len({prop.id for prop in ALL}) == len(ALL)
    assert {prop.paper for prop in ALL} == set(MODULES)
    for prop in ALL:
        assert prop.statement.endswith(".")
        assert prop.theorem
        assert prop.name == prop.name.lower().replace(" ", "-")


def odd_seeds_fail(seed):
    failed = seed % 2 == 1
    return CheckResult(
        "parity", not failed, float(failed), 0.5, {"seed": seed}, "an odd seed" if failed else ""
    )


PARITY = Property("test", "parity", "arithmetic", "All case seeds are even.", odd_seeds_fail)


def test_failures_are_counted_with_their_seeds():
    report = run_property(PARITY, n_cases=40)
    assert not report
    assert report.n_failed == len(report.failing_seeds)
    assert 5 < report.n_failed < 35
    assert all(seed % 2 == 1 for seed in report.failing_seeds)
    assert not run_case(PARITY, report.failing_seeds[0])
    assert report.worst.detail == "an odd seed"
    assert json.loads(json.dumps(report.to_dict()))["n_failed"] == report.n_failed


def test_a_case_does_not_depend_on_how_many_are_run():
    few, many = run_property(PARITY, n_cases=5, seed=4), run_property(PARITY, n_cases=20, seed=4)
    assert many.failing_seeds[: few.n_failed] == few.failing_seeds
    assert case_seed(PARITY, 4, 0) != case_seed(PARITY, 5, 0)


def test_an_exception_is_a_failure_that_says_where():
    def explode(seed):
        raise ZeroDivisionError("one over nothing")

    report = run_property(Property("test", "explode", "none", "Never explodes.", explode), n_cases=2)
    assert report.n_failed == 2
    assert "one over nothing" in report.worst.detail
    assert report.to_dict()["worst_error"] is None


BROKEN = """
from scinn.graphs import FrameletTransform
true = FrameletTransform.analyze
FrameletTransform.analyze = lambda self, x: 1.1 * true(self, x)
"""


def test_a_failing_case_is_saved_as_a_script_that_fails_alike(tmp_path, monkeypatch):
    from scinn.graphs import FrameletTransform

    true = FrameletTransform.analyze
    with monkeypatch.context() as patch:
        patch.setattr(FrameletTransform, "analyze", lambda self, x: 1.1 * true(self, x))
        report = run_property(find_property("framelets", "eigenvector"), n_cases=1, folder=tmp_path)
    (script,) = report.scripts
    text = script.read_text()
    assert len(text.splitlines()) <= 10
    mended = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert mended.returncode == 0, mended.stderr
    script.write_text(BROKEN + text)
    broken = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert broken.returncode == 1, broken.stderr
    assert f"{report.worst.worst_error:.3g}" in broken.stdout


def test_a_folder_collects_at_most_three_scripts(tmp_path):
    report = run_property(PARITY, n_cases=30, folder=tmp_path / "failures")
    assert len(report.scripts) == 3
    assert all(
        path.exists() and "find_property('test', 'parity')" in path.read_text() for path in report.scripts
    )


def test_callback_sees_each_report_in_order():
    seen = []
    reports = verify_papers("layers", n_cases=1, callback=seen.append)
    assert seen == reports
    assert [report.property for report in reports] == list(properties("layers"))


def test_says_what_is_wanted():
    with pytest.raises(ValueError, match="there are some for framelets"):
        properties("unknown")
    with pytest.raises(ValueError, match="no property 'x'"):
        find_property("framelets", "x")
    with pytest.raises(ValueError, match="n_cases must be at least 1"):
        run_property(PARITY, n_cases=0)


def test_a_broken_transform_is_caught(monkeypatch):
    from scinn.graphs import FrameletTransform

    true = FrameletTransform.synthesize

    def scaled(self, c):
        return 1.001 * true(self, c)

    monkeypatch.setattr(FrameletTransform, "synthesize", scaled)
    for name in ("adjoint", "exact-tight-frame", "parseval"):
        assert not run_property(find_property("framelets", name), n_cases=3), name


def test_a_wrong_bank_is_caught(monkeypatch):
    from scinn.graphs import FilterBank

    true = FilterBank.evaluate

    def skewed(self, x):
        values = true(self, x)
        return values * np.where(np.arange(len(values)) == 1, 1.0001, 1.0).reshape(-1, *[1] * np.ndim(x))

    monkeypatch.setattr(FilterBank, "evaluate", skewed)
    for name in ("partition-of-unity", "mirror-law", "spline-formula"):
        assert not run_property(find_property("framelets", name), n_cases=3), name


def test_every_layer_of_nn_has_a_property():
    from scinn import nn

    known = {prop.name.replace("-", "") for prop in properties("layers")}
    for name in nn.__all__:
        item = getattr(nn, name)
        if isinstance(item, type) and issubclass(item, nn.Layer) and item is not nn.Layer:
            assert name.lower() in known, f"{name} has no property in scinn/verify/layers.py"

from __future__ import annotations

import json
import math
import random
import signal
import subprocess
import time
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from scinn.reproduce import environment
from scinn.reproduce.claims import Cell, Outcome
from scinn.reproduce.runner import SCHEMA, RunConfig, merge, run

KEYS = {
    "paper", "claim", "statement", "reported", "source", "dataset", "protocol", "success_rule", "seeds", "measured",
    "unit", "verdict", "reason", "seconds", "environment",
}  # fmt: skip


def comparable(folder: Path) -> dict:
    """``claims.json`` without what may differ between two runs on a machine: times."""
    content = json.loads((folder / "claims.json").read_text(encoding="utf-8"))
    for record in content["claims"]:
        del record["seconds"]
    return content


def wait_for_lines(path: Path, n: int, process: subprocess.Popen, timeout: float = 60.0) -> int:
    """Wait until a journal has `n` lines or its writer has ended; return how many it has."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        lines = path.read_bytes().count(b"\n") if path.exists() else 0
        if lines >= n or process.poll() is not None:
            return lines
        time.sleep(0.005)
    raise AssertionError(f"{path} did not reach {n} lines in {timeout} s")


@pytest.fixture
def smoke(toy, tmp_path):
    """A finished smoke run of the toy paper."""
    config = RunConfig(budget="smoke", out=tmp_path / "smoke")
    return config, run(config)


def test_claims_json_has_exactly_the_promised_keys(smoke):
    config, _ = smoke
    content = json.loads((config.out / "claims.json").read_text())
    assert content["schema"] == SCHEMA == 1
    for record in content["claims"]:
        assert set(record) == KEYS
        assert set(record["measured"]) == {"mean", "sd", "n"}
    verdicts = {r["claim"]: r["verdict"] for r in content["claims"]}
    assert verdicts == {
        "framelets:mean[n=50,kind=plain]": "reproduced",
        "framelets:tuned": "direction holds",
        "framelets:missed": "not reproduced",
        "framelets:absent": "not run",
    }
    absent = content["claims"][3]
    assert "scinn data fetch nci1" in absent["reason"]
    assert absent["measured"] == {"mean": None, "sd": None, "n": 0}
    assert content["claims"][0]["seeds"] == [0, 1, 2]


def test_the_folder_is_complete(smoke):
    config, result = smoke
    names = {path.name for path in config.out.iterdir()}
    assert names == {
        "claims.json", "details.json", "environment.txt", "figures", "index.html", "journal.jsonl", "run.toml",
    }  # fmt: skip
    assert {path.suffix for path in (config.out / "figures").iterdir()} == {".svg", ".png", ".csv"}
    assert "numpy==" in (config.out / "environment.txt").read_text()
    assert result.errors == []
    details = json.loads((config.out / "details.json").read_text())["details"]
    assert details["framelets:tuned"] == {"winner": 30.0, "spread": None}


def test_shared_cells_run_once_and_the_second_stage_follows_the_first(smoke, toy):
    config, result = smoke
    lines = (config.out / "journal.jsonl").read_text().splitlines()
    # Three seeds shared by two claims, three candidates, two more seeds of the winner.
    assert result.n_run == len(lines) == 8
    assert result.records[1]["seeds"] == [0, 1, 2]


def test_a_second_run_computes_nothing_and_writes_the_same(smoke):
    config, _ = smoke
    before = {path.name: path.read_bytes() for path in (config.out / "figures").iterdir()}
    first = comparable(config.out)
    again = run(config)
    assert (again.n_run, again.n_reused) == (0, 8)
    assert comparable(config.out) == first
    assert {path.name: path.read_bytes() for path in (config.out / "figures").iterdir()} == before


def test_a_claim_alone_gives_the_numbers_of_the_full_run(smoke, tmp_path):
    _, result = smoke
    for record in result.records:
        alone = run(RunConfig(names=(record["claim"],), budget="smoke", out=tmp_path / "alone"))
        assert [r["measured"] for r in alone.records] == [record["measured"]]


def test_processes_change_nothing(smoke, tmp_path):
    config, _ = smoke
    parallel = replace(config, jobs=2, out=tmp_path / "parallel")
    run(parallel)
    assert comparable(parallel.out) == comparable(config.out)


def test_a_journal_cut_anywhere_resumes_to_the_same_claims(smoke, tmp_path):
    config, _ = smoke
    whole = (config.out / "journal.jsonl").read_bytes()
    moments = random.Random(0)
    for i in range(8):
        folder = tmp_path / f"cut{i}"
        folder.mkdir()
        (folder / "journal.jsonl").write_bytes(whole[: moments.randrange(len(whole))])
        run(replace(config, out=folder))
        assert comparable(folder) == comparable(config.out)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_run_goes_on_to_the_same_claims(launch, toy, tmp_path, jobs):
    whole = RunConfig(budget="quick", out=tmp_path / "whole")
    run(whole)
    folder = tmp_path / "killed"
    process = launch("reproduce", "--budget", "quick", "--out", folder, "--jobs", jobs, "--quiet")
    moment = random.Random().randrange(1, 10)
    n = wait_for_lines(folder / "journal.jsonl", moment, process)
    process.kill()
    process.communicate()
    assert n < 14, "the run ended before it could be killed"
    assert (folder / "lock").exists()
    assert not (folder / "claims.json").exists()
    result = run(replace(whole, out=folder))
    assert result.n_reused >= n
    assert result.n_run + result.n_reused == 14
    assert comparable(folder) == comparable(whole.out)


def test_ctrl_c_exits_with_130_and_says_how_to_go_on(launch, tmp_path):
    folder = tmp_path / "stopped"
    process = launch("reproduce", "framelets", "--budget", "quick", "--out", folder, "--jobs", "1")
    wait_for_lines(folder / "journal.jsonl", 2, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"scinn reproduce framelets --budget quick --seed 0 --jobs 1 --out {folder}" in err
    assert "Traceback" not in out + err
    assert not (folder / "lock").exists()


def test_a_second_process_is_refused_with_the_first_ones_number(launch, tmp_path):
    folder = tmp_path / "busy"
    first = launch("reproduce", "--budget", "quick", "--out", folder, "--jobs", "1", "--quiet")
    wait_for_lines(folder / "journal.jsonl", 1, first)
    second = launch("reproduce", "--budget", "quick", "--out", folder, "--quiet")
    _, err = second.communicate(timeout=60)
    first.kill()
    first.communicate()
    assert second.returncode == 1
    assert f"process {first.pid}" in err


def test_shards_merge_to_the_whole_run(smoke, tmp_path):
    config, result = smoke
    shards = [tmp_path / f"shard{i}" for i in (1, 2, 3)]
    sizes = [run(replace(config, out=f, shard=(i, 3))).n_run for i, f in enumerate(shards, start=1)]
    merged = merge(shards, tmp_path / "merged")
    by_id = {record["claim"]: record for record in merged.records}
    # The first stage is complete; the second could not be chosen inside a shard.
    assert sum(sizes) < result.n_run
    assert by_id["framelets:mean[n=50,kind=plain]"]["verdict"] == "reproduced"
    assert by_id["framelets:tuned"]["verdict"] == "not run"
    assert "incomplete: 2 of 5 cells" in by_id["framelets:tuned"]["reason"]
    finished = run(replace(config, out=tmp_path / "merged"))
    assert (finished.n_run, finished.n_reused) == (result.n_run - sum(sizes), sum(sizes))
    assert comparable(tmp_path / "merged") == comparable(config.out)


def test_a_shard_can_start_from_the_merged_folder(smoke, tmp_path):
    config, result = smoke
    elsewhere = replace(config, out=tmp_path / "other", reuse=(config.out,))
    assert run(elsewhere).n_reused == result.n_run


def test_merging_refuses_what_does_not_belong_together(smoke, tmp_path, toy):
    config, _ = smoke
    other = replace(config, seed=1, out=tmp_path / "seed1")
    run(other)
    with pytest.raises(ValueError, match="seed 1"):
        merge([config.out, other.out], tmp_path / "merged")
    with pytest.raises(ValueError, match=r"no run\.toml"):
        merge([tmp_path], tmp_path / "merged")
    changed = tmp_path / "changed"
    changed.mkdir()
    (changed / "run.toml").write_text((config.out / "run.toml").read_text())
    (changed / "environment.txt").write_text("")
    lines = [json.loads(line) for line in (config.out / "journal.jsonl").read_text().splitlines()]
    text = "".join(json.dumps(r | {"key": r["key"][::-1], "code": "other"}) + "\n" for r in lines)
    (changed / "journal.jsonl").write_text(text)
    with pytest.raises(ValueError, match="--mixed"):
        merge([config.out, changed], tmp_path / "merged")
    assert merge([config.out, changed], tmp_path / "merged", mixed=True).n_reused == len(lines)


def test_changed_code_runs_again_and_says_why(smoke, monkeypatch):
    config, _ = smoke
    monkeypatch.setattr("scinn.reproduce.runner.code_hash", lambda source: "another")
    again = run(config)
    assert again.n_run == 8
    assert again.notes == ["8 recorded cells ran again: code changed since"]


def test_an_error_in_an_experiment_is_one_claims_error(toy, monkeypatch, tmp_path):
    monkeypatch.setattr(toy, "CLAIMS", (toy.CLAIMS[0], toy.BROKEN))
    result = run(RunConfig(budget="smoke", out=tmp_path))
    assert [record["verdict"] for record in result.records] == ["reproduced", "not run"]
    assert "RuntimeError: this experiment always fails (toy_paper.py:" in result.errors[0]
    # It is not journaled, so that the next run tries again.
    assert run(RunConfig(budget="smoke", out=tmp_path)).n_run == 1


def test_errors_in_claims_and_figures_are_reported(toy, monkeypatch, tmp_path):
    def broken(*arguments):
        raise KeyError("missing")

    asks = replace(toy.CLAIMS[0], name="asks", next_cells=broken)
    judges = replace(toy.CLAIMS[0], name="judges", evaluate=broken)
    monkeypatch.setattr(toy, "CLAIMS", (asks, judges))
    monkeypatch.setattr(toy, "figures", broken)
    result = run(RunConfig(budget="smoke", out=tmp_path))
    assert len(result.errors) == 3
    assert "while choosing cells" in result.errors[0]
    assert "while judging" in result.errors[1]
    assert result.errors[2].startswith("figures of framelets")


def test_numbers_without_a_json_word_become_null(toy, monkeypatch, tmp_path):
    odd = replace(
        toy.CLAIMS[0], evaluate=lambda b, r: Outcome(math.inf, math.nan, 1, "not reproduced", "odd")
    )
    monkeypatch.setattr(toy, "CLAIMS", (odd,))
    run(RunConfig(budget="smoke", out=tmp_path))
    assert json.loads((tmp_path / "claims.json").read_text())["claims"][0]["measured"]["mean"] is None


def test_run_toml_holds_the_run(tmp_path):
    config = RunConfig(names=("framelets:mean[n=50]",), budget="full", seed=7, threads=2, shard=(2, 5))
    table = tomllib.loads(config.to_toml())
    assert table == {
        "claims": ["framelets:mean[n=50]"], "budget": "full", "seed": 7, "threads": 2, "shard": "2/5",
    }  # fmt: skip


@pytest.mark.parametrize(
    "bad",
    [{"budget": "tiny"}, {"seed": -1}, {"jobs": 1.5}, {"threads": 0}, {"shard": (3, 2)}, {"shard": (0, 2)}],
)
def test_bad_settings_are_refused_by_name(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        RunConfig(**bad)


def test_workers_never_outnumber_the_cores(monkeypatch):
    monkeypatch.setattr("scinn.reproduce.runner.usable_cores", lambda: 4)
    assert RunConfig(jobs=0).workers == 4
    assert RunConfig(jobs=9, threads=2).workers == 2
    assert RunConfig(jobs=1, threads=8).workers == 1


def test_progress_counts_every_cell(toy, tmp_path):
    seen = []
    run(RunConfig(budget="smoke", out=tmp_path), seen.append)
    assert [p.done for p in seen if p.phase == "running"][-1] == 8
    assert all(p.done <= p.total for p in seen)
    assert [p.phase for p in seen][-2:] == ["judging", "drawing"]


def test_the_code_hash_sees_the_experiments_file(tmp_path):
    source = tmp_path / "experiments.py"
    source.write_text("a = 1\n")
    first = environment.code_hash(str(source))
    environment.code_hash.cache_clear()
    source.write_text("a = 2\n")
    assert environment.code_hash(str(source)) != first
    environment.code_hash.cache_clear()


def test_cells_in_shards_are_a_partition(toy):
    from scinn.reproduce.runner import _in_shard

    cells = [Cell("normal_mean", {"n": n}, seed) for n in range(5) for seed in range(8)]
    for n in (1, 2, 3, 7):
        homes = [[i for i in range(1, n + 1) if _in_shard("framelets", cell, (i, n))] for cell in cells]
        assert all(len(home) == 1 for home in homes)


def test_missing_data_is_fetched_once_and_a_refusal_is_told(toy, tmp_path, monkeypatch):
    from scinn import datasets
    from scinn.exceptions import ChecksumError, DataUnavailableError

    monkeypatch.setenv("SCINN_OFFLINE", "0")
    asked = []

    def refuse(error):
        def fetch(name):
            asked.append(name)
            raise error

        return fetch

    for error, words in (
        (DataUnavailableError("no answer"), "(nci1: its download failed)"),
        (ChecksumError("nci1: altered file\nmore"), "(nci1: nci1: altered file)"),
    ):
        monkeypatch.setattr(datasets, "fetch", refuse(error))
        result = run(RunConfig(names=("framelets:absent",), budget="smoke", out=tmp_path / "out"))
        assert result.records[0]["reason"].endswith(words)
    assert asked == ["nci1", "nci1"]
    monkeypatch.setenv("SCINN_OFFLINE", "1")
    result = run(RunConfig(names=("framelets:absent",), budget="smoke", out=tmp_path / "out"))
    assert result.records[0]["reason"].endswith("scinn data fetch nci1")
    assert len(asked) == 2

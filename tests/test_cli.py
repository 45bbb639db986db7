from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scinn import cli
from scinn.exceptions import MissingExtraError, OutputLockedError
from scinn.papers import PAPERS, bibliography
from scinn.reproduce import claims

TOYS = Path(__file__).parent / "reproduce"


@pytest.fixture
def scinn(capsys):
    """Run a command line in this process; returns exit code, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code = cli._run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def toy(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(TOYS))
    for paper in [paper for paper in claims.MODULES if paper != "framelets"]:
        monkeypatch.delitem(claims.MODULES, paper)
    monkeypatch.setitem(claims.MODULES, "framelets", "toy_paper")
    monkeypatch.setenv("SCINN_DATA", str(tmp_path / "no-data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "no-cache"))


@pytest.mark.parametrize(
    "command", [["--help"], ["papers"], ["cite", "chip"], ["reproduce", "--help"], ["stabilize", "--help"]]
)
def test_light_commands_load_nothing_heavy(command):
    heavy = ["scipy", "sklearn", "networkx", "joblib", "numba", "matplotlib"]
    code = f"""
import sys
from scinn.cli import _run
code = _run({command!r})
found = [name for name in {heavy!r} if name in sys.modules]
sys.exit(f"loaded {{found}}" if found or code else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_every_command_has_help(scinn):
    for command in cli.app.commands:
        code, out, _ = scinn(command, "--help")
        assert code == 0
        assert "Usage: scinn" in out


def test_papers(scinn):
    code, out, _ = scinn("papers")
    assert code == 0
    assert all(key in out for key in PAPERS)
    code, out, _ = scinn("papers", "--json")
    assert [paper["key"] for paper in json.loads(out)] == list(PAPERS)


def test_cite(scinn):
    code, out, _ = scinn("cite", "framelets", "chip")
    assert code == 0
    assert out.count("@inproceedings{") == 2
    assert scinn("cite", "framelets", "--format", "text")[1].startswith("Xuebin Zheng")
    code, _, err = scinn("cite", "framelet")
    assert code == 2
    assert "did you mean framelets" in err


def test_reproduce_prints_a_table_and_writes_a_report(scinn, toy, tmp_path):
    code, out, err = scinn("reproduce", "--budget", "smoke", "--out", tmp_path / "run", "--jobs", "1")
    # A claim that does not hold is a result, not an error.
    assert code == 0, err
    for text in (
        "framelets:missed",
        "not reproduced",
        "80.04 ± 0.08 %",
        "scinn data fetch nci1",
        "index.html",
    ):
        assert text in out
    assert "4 claims: 1 reproduced, 1 direction holds, 1 not reproduced, 1 not run." in out
    assert (tmp_path / "run" / "index.html").exists()
    code, out, _ = scinn("reproduce", "--budget", "smoke", "--out", tmp_path / "run", "--jobs", "1", "--json")
    assert json.loads(out)["schema"] == 1
    assert scinn("reproduce", "--budget", "smoke", "--out", tmp_path / "run", "--quiet")[1:] == ("", "")


def test_one_claim_by_its_id(scinn, toy, tmp_path):
    name = "framelets:mean[n=50,kind=plain]"
    code, out, _ = scinn("reproduce", name, "--budget", "smoke", "--out", tmp_path, "--jobs", 1, "--json")
    assert code == 0
    assert [record["claim"] for record in json.loads(out)["claims"]] == [name]


def test_run_toml_repeats_a_run_and_flags_win(scinn, toy, tmp_path):
    first = tmp_path / "first"
    scinn("reproduce", "framelets:mean", "--budget", "smoke", "--seed", 3, "--out", first, "--quiet")
    code, out, err = scinn("reproduce", "--config", first / "run.toml", "--out", tmp_path / "b", "--json")
    assert code == 0, err
    again = json.loads(out)
    assert (again["budget"], again["seed"]) == ("smoke", 3)
    assert [record["seeds"] for record in again["claims"]] == [[3000, 3001, 3002]]
    out = scinn("reproduce", "--config", first / "run.toml", "--seed", 4, "--out", tmp_path / "c", "--json")[
        1
    ]
    assert json.loads(out)["seed"] == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [("buget = 'smoke'", "did you mean budget"), ("claims = 'x'", "must be a list"), ("=", "cannot be read")],
)
def test_a_bad_config_is_a_usage_error(scinn, tmp_path, text, message):
    path = tmp_path / "run.toml"
    path.write_text(text)
    code, _, err = scinn("reproduce", "--config", path)
    assert code == 2
    assert message in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reproduce", "framlets"], "did you mean framelets"),
        (["reproduce", "chip"], "chip is planned"),
        (["reproduce", "--budget", "tiny"], "'tiny' is not one of"),
        (["reproduce", "--shard", "3/2"], "is no slice"),
        (["reproduce", "--seed", "-1"], "-1 is not in the range"),
        (["verify", "framlets"], "did you mean framelets"),
        (["verify", "chip"], "chip is planned"),
        (["bench", "no-such-benchmark"], "no benchmark is called"),
        (["warmup", "framlets"], "did you mean framelets"),
        (["data", "fetch", "kora"], "cora"),
        (["report", "/no/such/folder", "--out", "x"], "does not exist"),
        (["nonsense"], "No such command"),
    ],
)
def test_what_is_not_understood_exits_with_2_and_says_why(scinn, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, _, err = scinn(*arguments)
    assert code == 2
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_an_experiment_exits_with_1(scinn, toy, monkeypatch, tmp_path):
    import toy_paper

    monkeypatch.setattr(toy_paper, "CLAIMS", (toy_paper.BROKEN,))
    code, _, err = scinn("reproduce", "--budget", "smoke", "--out", tmp_path, "--jobs", 1)
    assert code == 1
    assert "this experiment always fails" in err


def test_a_folder_that_cannot_be_used_is_one_line(scinn, toy, tmp_path):
    newer = tmp_path / "newer"
    newer.mkdir()
    (newer / "journal.jsonl").write_text('{"format":99,"key":"x"}\n')
    code, _, err = scinn("reproduce", "--budget", "smoke", "--out", newer, "--quiet")
    assert code == 1
    assert "journal format 99" in err
    (tmp_path / "file").write_text("")
    code, _, err = scinn("reproduce", "--budget", "smoke", "--out", tmp_path / "file" / "out", "--quiet")
    assert code == 1
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for text in ('claims = ["framelets"]', "claims = ["):
        (damaged / "run.toml").write_text(text)
        code, _, err = scinn("report", damaged, "--out", tmp_path / "joined")
        assert code == 2
        assert "run.toml is damaged" in err


def test_report_joins_shards(scinn, toy, tmp_path):
    for i in (1, 2):
        folder = tmp_path / f"s{i}"
        assert (
            scinn("reproduce", "--budget", "smoke", "--shard", f"{i}/2", "--out", folder, "--quiet")[0] == 0
        )
    code, out, _ = scinn("report", tmp_path / "s1", tmp_path / "s2", "--out", tmp_path / "all", "--json")
    assert code == 0
    verdicts = [record["verdict"] for record in json.loads(out)["claims"]]
    assert verdicts[0] == "reproduced"
    code, _, err = scinn("report", tmp_path, "--out", tmp_path / "none")
    assert code == 2
    assert "no run.toml" in err


def test_cite_what_a_run_used(scinn, toy, tmp_path):
    scinn("reproduce", "--budget", "smoke", "--out", tmp_path / "run", "--quiet", "--jobs", 1)
    code, out, _ = scinn("cite", "--run", tmp_path / "run")
    assert code == 0
    assert "@inproceedings{zheng2021framelets" in out
    assert "@software{scinn" in out
    # The claim on NCI1 did not run, so its data were not used.
    assert "morris2020tudataset" in bibliography()
    assert "morris2020tudataset" not in out
    assert scinn("cite", "--run", tmp_path)[0] == 2


def test_failures_of_other_kinds_have_their_codes(scinn, monkeypatch):
    def raising(error):
        def main(**options):
            raise error

        return main

    for error, expected in (
        (KeyboardInterrupt(), 130),
        (OutputLockedError("in use by process 7"), 1),
        (MissingExtraError("needs hypothesis: pip install 'scinn[verify]'"), 2),
    ):
        monkeypatch.setattr(cli.app, "main", raising(error))
        code, _, err = scinn("papers")
        assert code == expected
        assert str(error) in err or isinstance(error, KeyboardInterrupt)


def test_data_list(scinn):
    code, out, _ = scinn("data", "list", "--json")
    assert code == 0
    rows = {row["name"]: row for row in json.loads(out)}
    assert rows["karate-club"]["available"]
    assert rows["cora"]["citation"] in bibliography()
    assert "karate-club" in scinn("data", "list")[1]


def test_data_fetch_without_a_network_says_what_is_missing(scinn, monkeypatch, tmp_path):
    monkeypatch.setenv("SCINN_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("SCINN_OFFLINE", "1")
    code, _, err = scinn("data", "fetch", "mutag")
    assert code == 1
    assert "mutag" in err.lower()


def test_doctor_fits_into_json_and_into_a_terminal(scinn):
    code, out, err = scinn("doctor", "--json", "--no-test")
    assert code == 0, err
    found = json.loads(out)
    assert found["environment"]["numpy"]
    assert set(found["kernel_cache"]) == {"path", "writable", "n_files", "n_bytes"}
    assert found["datasets"]["digits"]
    code, out, _ = scinn("doctor", "--no-test")
    assert code == 0
    assert "kernel cache" in out


def test_doctor_fails_where_the_self_test_fails(scinn, monkeypatch):
    result = {
        "passed": False,
        "n_checked": 1,
        "n_known": 9,
        "failed": ["framelets:x: off by 1"],
        "seconds": 0.1,
    }
    monkeypatch.setattr("scinn.reproduce.doctor.self_test", lambda seconds: result)
    code, out, _ = scinn("doctor")
    assert code == 1
    assert "FAILED: 1 of 9" in out
    assert "off by 1" in out


def test_warmup_runs_each_experiment_once(scinn, toy):
    code, out, err = scinn("warmup", "framelets")
    assert code == 0, err
    assert "1 of 1: framelets: normal_mean" in err
    assert "kernel cache" in out


def test_verify_reports_theorems_that_fail(scinn, monkeypatch, tmp_path):
    from scinn.verify import registry
    from scinn.verify.result import CheckResult

    def run(case_seed):
        even = case_seed % 2 == 0
        return CheckResult(
            "parity", even, 0.0 if even else 1.0, 0.5, None if even else {"n": case_seed}, "odd"
        )

    good = registry.Property(
        "framelets", "zero", "here", "Zero is zero.", lambda s: CheckResult("z", True, 0.0, 1.0)
    )
    bad = registry.Property("framelets", "parity", "here", "All numbers are even.", run)
    monkeypatch.setattr(registry, "properties", lambda papers=None: (good,))
    code, out, err = scinn("verify", "framelets", "--cases", 3)
    assert code == 0, err
    assert "1 of 1 theorems hold on 3 cases each" in out
    monkeypatch.setattr(registry, "properties", lambda papers=None: (good, bad))
    code, out, _ = scinn("verify", "--cases", 20, "--json", "--out", tmp_path)
    assert code == 1
    reports = json.loads(out)["properties"]
    assert [report["passed"] for report in reports] == [True, False]


@pytest.fixture
def detector(tmp_path):
    """Write a detector and samples of it; returns the folder."""
    from scinn.robustness import ShallowNetwork

    rng = np.random.default_rng(0)
    network = ShallowNetwork(
        rng.normal(size=(8, 4)), [0.0, 0.1, 99.0, -0.2], rng.normal(size=(4, 2)), np.zeros(2)
    )
    network.save(tmp_path / "model.npz")
    bits = rng.integers(0, 2, (150, 8))
    labels = network.predict(bits)
    labels[::10] = 1 - labels[::10]
    np.savez(tmp_path / "val.npz", features=bits[:90], labels=labels[:90])
    np.savez(tmp_path / "test.npz", features=bits[90:], labels=labels[90:])
    return tmp_path


def stabilize(scinn, folder, *options):
    return scinn("stabilize", folder / "model.npz", "--validation", folder / "val.npz", *options)


def test_stabilize_writes_a_network_and_prints_what_it_did(scinn, detector):
    out = detector / "out.npz"
    code, text, err = stabilize(
        scinn, detector, "--floor", 0.6, "--test", detector / "test.npz", "--attack", "jsma", "-o", out
    )
    assert code == 0, err
    for part in (
        "neuron",
        "answer changes",
        "% (exact)",
        "yes",
        "constant: its sign is the same",
        "validation accuracy (90 samples)",
        "test accuracy (60 samples)",
        "JSMA: mean flips to evade",
        "JSMA: accuracy under 2 flips",
        "of 4 neurons stabilised by gmbc, floor 0.6.",
        f"Written: {out}",
    ):
        assert part in text, part
    assert "choosing neurons" in err
    from scinn.robustness import ShallowNetwork

    first, last = (ShallowNetwork.load(detector / name) for name in ("model.npz", "out.npz"))
    changed = np.flatnonzero((first.hidden_weights != last.hidden_weights).any(axis=0))
    assert f"{len(changed)} of 4 neurons" in text
    sizes = np.abs(last.hidden_weights[:, changed])
    assert np.all(sizes == sizes.max(axis=0))


def test_stabilize_prints_json(scinn, detector):
    code, text, err = stabilize(
        scinn, detector, "--max-drop", 1, "--layers", "both", "--p", "inf", "--method", "gmb", "--benefit", "exact",
        "--threshold-rule", "match", "--encoding", "bits", "--attack", "jsma", "--attack-samples", 5, "--json",
    )  # fmt: skip
    assert code == 0, err
    report = json.loads(text)
    assert report["selection"]["hidden"] == [0, 1, 3]
    assert report["selection"]["output"] == [0, 1]
    assert report["neurons"][2]["reason"].startswith("constant")
    assert report["neurons"][0]["p"] == "inf"
    assert report["attack"]["n_samples"] == 5
    assert report["out"] is None
    assert not (detector / "out.npz").exists()


def test_stabilize_a_network_of_layers(scinn, detector):
    from scinn.nn import Network
    from scinn.nn.models import mlp

    mlp([8, 4, 2], activation="tanh", rng=0).save(detector / "model.npz")
    options = ("--floor", 0, "-o", detector / "out.npz")
    code, _, err = stabilize(scinn, detector, *options)
    assert code == 1
    assert "does not say what it was trained on; pass --model-encoding" in err
    code, _, err = stabilize(scinn, detector, *options, "--model-encoding", "bits")
    assert code == 0, err
    assert list(Network.load(detector / "out.npz").params) == list(
        Network.load(detector / "model.npz").params
    )


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--floor", "0.999"], 1, "above the accuracy 0.9 of the network on these samples"),
        (["--floor", "1.5"], 2, "1.5 is not in the range"),
        (["--floor", "0.5", "--max-drop", "0.1"], 2, "--floor and --max-drop exclude each other"),
        (["--p", "0.5"], 2, "0.5 is not in the range"),
        (["--p", "nan"], 1, "p is nan"),
        (["--method", "greedy"], 2, "'greedy' is not one of"),
        (["--encoding", "signs"], 1, "holds 0, 1; values in {-1, +1} are wanted: pass encoding='bits'"),
        (["--test", "model.npz"], 1, "holds hidden_weights, hidden_bias"),
        (["--test", "narrow.npz"], 1, "has shape (5, 7); (any, 8) is wanted"),
        (["--test", "none.npz"], 2, "does not exist"),
        (["-o", "val.npz"], 1, "val.npz is read here, and never overwritten"),
        (["-o", "model.npz", "--force"], 1, "model.npz is read here, and never overwritten"),
        (["--model-encoding", "bits"], 1, "is a ShallowNetwork, which takes signs"),
    ],
)
def test_stabilize_says_in_one_line_what_is_wrong(scinn, detector, monkeypatch, options, code, message):
    monkeypatch.chdir(detector)
    np.savez("narrow.npz", features=np.eye(5, 7, dtype=int), labels=np.zeros(5, dtype=int))
    before = {path.name: path.read_bytes() for path in detector.iterdir()}
    found, text, err = stabilize(scinn, detector, *options)
    assert found == code
    assert message in err
    assert text == ""
    assert len([line for line in err.splitlines() if line.startswith("Error: ")]) == 1
    assert {path.name: path.read_bytes() for path in detector.iterdir()} == before


def test_stabilize_refuses_what_is_no_model(scinn, detector):
    (detector / "model.npz").write_text("weights")
    code, _, err = stabilize(scinn, detector)
    assert code == 1
    assert "is not a file saved by scinn, or is damaged" in err

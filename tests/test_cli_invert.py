from __future__ import annotations

import json
import shlex
import subprocess
import sys

import numpy as np
import pytest

from scinn import cli

QUICK = (
    "--widths",
    "5",
    "--chains",
    2,
    "--draws",
    20,
    "--thin",
    2,
    "--warmup",
    40,
    "--starts",
    2,
    "--jobs",
    1,
)


@pytest.fixture
def scinn(capsys):
    """Run a command line in this process; returns exit code, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code = cli._run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = np.linspace(-1, 1, 40)
    truth = 1.0 * (np.abs(x) < 0.5)
    y = truth + np.random.default_rng(0).normal(scale=0.1, size=40)
    np.savez("data.npz", y=y, noise_std=0.1, truth=truth)
    np.savez("bare.npz", y=y)
    np.savez("nothing.npz", z=y)
    np.savez("nan.npz", y=np.where(x > 0.9, np.nan, y))
    np.savez("noise.npz", y=y, noise_std=-1.0)
    np.savez("noises.npz", y=y, noise_std=np.ones(7))
    np.savez("x.npz", y=y, x=x[:-1])
    np.savez("turned.npz", y=y, x=x[::-1])
    np.savez("truth.npz", y=y, noise_std=0.1, truth=truth[:-1])
    np.savez("cube.npz", y=np.ones((3, 3, 3)))
    np.savez("image.npz", y=np.ones((3, 3)), x=x)
    np.savez("half.npz", y=np.ones((3, 3)), x_a=x[:3])
    np.savez("text.npz", y=np.array(["a", "b"]))
    np.savez("object.npz", y=np.array([1, None], dtype=object))
    np.save("single.npy", y)
    np.save("matrix.npy", np.ones((5, 40)))
    np.save("cube.npy", np.ones((2, 2, 2)))
    (tmp_path / "junk.npz").write_text("junk")
    (tmp_path / "junk.npy").write_text("junk")
    return tmp_path


def test_invert_writes_a_report_and_says_first_whether_to_trust_it(scinn, folder):
    code, text, err = scinn("invert", "data.npz", "--kernel", "identity", "-o", "out", *QUICK)
    assert code == 0, err
    for part in (
        "largest R-hat",
        "mean square of residual over noise",
        "error of the median",
        "The chains do not agree",
        "A longer run: --thin 8 --warmup 160",
        "Report: out/report.html",
    ):
        assert part in text, part
    assert "sampling by collapsed-pcn: 2 chains" in err
    report = json.loads((folder / "out" / "result.json").read_text())
    assert report["convergence"]["converged"] is False
    page = (folder / "out" / "report.html").read_text()
    assert page.index("✗ not converged") < page.index("<figure>")
    # What the page tells to type does the same again.
    again = shlex.split(report["command"])[1:]
    code, _, err = scinn(*again, "--quiet", "--force")
    assert code == 0, err
    assert err == ""
    same = json.loads((folder / "out" / "result.json").read_text())
    for entry in (report, same):
        entry.pop("seconds")
        entry["convergence"].pop("advice")
    assert same == report


def test_invert_prints_json(scinn, folder):
    code, text, err = scinn(
        "invert", "bare.npz", "--kernel", "gaussian:0.06", "-o", "out", "--map-only", "--widths", "4", "--starts", 1,
        "--json", "--boundary", "zero",
    )  # fmt: skip
    assert code == 0, err
    report = json.loads(text)
    assert report == json.loads((folder / "out" / "result.json").read_text())
    assert report["convergence"]["converged"] is None
    assert report["sampling"] is None
    assert "NOTE: no noise was given" in err
    assert 0.05 < report["noise"]["sigma"] < 0.2
    assert sorted(path.name for path in (folder / "out").iterdir()) == report["files"]


BASE = ["--kernel", "identity"]


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ("nothing.npz", BASE, "holds z; the data y are wanted"),
        ("nan.npz", BASE, "y holds 2 NaN or infinite values"),
        ("junk.npz", BASE, "junk.npz cannot be read"),
        ("single.npy", BASE, "it is a single array"),
        ("text.npz", BASE, "text.npz: y"),
        ("object.npz", BASE, "object.npz cannot be read"),
        ("cube.npz", BASE, "y has shape (3, 3, 3); (m,) or (m_a, m_b) is wanted"),
        ("noise.npz", BASE, "noise_std holds -1"),
        ("noises.npz", BASE, "noise_std has shape (7,)"),
        ("x.npz", BASE, "x has shape (39,); (40,) is wanted"),
        ("turned.npz", BASE, "x does not increase"),
        ("truth.npz", BASE, "truth has shape (39,)"),
        ("image.npz", [*BASE, "--noise", "1"], "x is given for y of shape (3, 3)"),
        ("half.npz", [*BASE, "--noise", "1"], "x_a is given without x_b"),
        ("half.npz", BASE, "too few data to estimate their noise"),
        ("data.npz", [*BASE, "--noise", "0"], "--noise is 0.0"),
        ("data.npz", [*BASE, "--noise", "nan"], "--noise is nan"),
        ("data.npz", [*BASE, "--noise", "1", "--noise-level", "1"], "exclude each other"),
        ("data.npz", [*BASE, "--noise-level", "-1"], "--noise-level is -1.0"),
        (
            "data.npz",
            [*BASE, "--noise-level", "1", "--noise-convention", "mean"],
            "noise_convention is 'mean'",
        ),
        ("data.npz", ["--kernel", "gausian:0.1"], "did you mean 'gaussian'?"),
        ("data.npz", ["--kernel", "gaussian"], "write gaussian:0.05"),
        ("data.npz", ["--kernel", "identity:1"], "write identity"),
        ("data.npz", ["--kernel", "gaussian:-1"], "the width in --kernel gaussian:-1 is -1.0"),
        ("data.npz", ["--kernel", "gaussian:wide"], "a number is wanted after the colon"),
        ("data.npz", ["--kernel", "none.npy"], "there is no such file"),
        ("data.npz", ["--kernel", "junk.npy"], "junk.npy cannot be used as a kernel"),
        ("data.npz", ["--kernel", "matrix.npy"], "a matrix of 5 rows, and there are 40 data"),
        ("data.npz", ["--kernel", "cube.npy"], "taps of 1 dimensions, or a matrix of 40 rows"),
        ("data.npz", [*BASE, "--boundary", "periodical"], "did you mean 'periodic'?"),
        ("data.npz", [*BASE, "--prior", "cauchy-gausian"], "did you mean 'cauchy-gaussian'?"),
        ("data.npz", [*BASE, "--sampler", "pnc"], "did you mean 'pcn'?"),
        ("data.npz", [*BASE, "--chains", "1"], "too few for R-hat"),
        ("data.npz", [*BASE, "--grid", "50"], "40 would do"),
        ("data.npz", [*BASE, "--grid", "many"], "--grid is 'many'"),
        ("data.npz", [*BASE, "--jobs", "-1"], "jobs is -1"),
        ("data.npz", [*BASE, "--chains", "two"], "'two' is not a valid integer"),
        ("absent.npz", BASE, "does not exist"),
    ],
)
def test_invert_says_in_one_line_what_is_wrong(scinn, folder, data, options, message):
    before = sorted(path.name for path in folder.iterdir())
    code, text, err = scinn("invert", data, *options, "-o", "out")
    assert code == 2, err
    assert message in err
    assert text == ""
    assert len([line for line in err.splitlines() if line.startswith("Error: ")]) == 1
    assert sorted(path.name for path in folder.iterdir()) == before


def test_invert_keeps_what_is_in_the_folder(scinn, folder):
    (folder / "out").mkdir()
    (folder / "out" / "mine.txt").write_text("kept")
    code, text, err = scinn("invert", "data.npz", *BASE, "-o", "out", "--prior", "tv")
    assert code == 1
    assert "out is not empty; pass --force" in err
    assert text == ""
    assert [path.name for path in (folder / "out").iterdir()] == ["mine.txt"]


def test_invert_needs_a_kernel_and_a_folder(scinn, folder):
    assert "Missing option '--kernel'" in scinn("invert", "data.npz", "-o", "out")[2]
    assert "Missing option '-o'" in scinn("invert", "data.npz", *BASE)[2]


def test_its_help_loads_nothing_heavy():
    heavy = ["scipy", "numba", "matplotlib", "jinja2", "joblib"]
    code = f"""
import sys
from scinn.cli import _run
code = _run(["invert", "--help"])
found = [name for name in {heavy!r} if name in sys.modules]
sys.exit(f"loaded {{found}}" if found or code else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr

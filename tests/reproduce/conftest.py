"""A toy paper stands in for the real ones, on a machine without data."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from scinn.reproduce import claims

FOLDER = Path(__file__).parent

# A shell starts background jobs with SIGINT ignored, and they hand that down: the tests may be such a job.
LAUNCHER = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, {folder!r})
from scinn.reproduce import claims
claims.MODULES.clear()
claims.MODULES["framelets"] = "toy_paper"
from scinn.cli import main
main(sys.argv[1:])
"""


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """The toy module, registered under a real paper's key, and no other paper."""
    from joblib.externals.loky import get_reusable_executor

    # Workers that earlier tests left behind do not know the toy's folder.
    get_reusable_executor().shutdown(wait=True, kill_workers=True)
    monkeypatch.syspath_prepend(str(FOLDER))
    for key in list(claims.MODULES):
        monkeypatch.delitem(claims.MODULES, key)
    monkeypatch.setitem(claims.MODULES, "framelets", "toy_paper")
    monkeypatch.setenv("SCINN_DATA", str(tmp_path / "no-data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "no-cache"))
    monkeypatch.setenv("SCINN_OFFLINE", "1")
    return importlib.import_module("toy_paper")


@pytest.fixture
def launch(toy):
    """Start the ``scinn`` command with the toy paper in a process of its own."""

    def start(*arguments: object) -> subprocess.Popen:
        code = LAUNCHER.format(folder=str(FOLDER))
        return subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start

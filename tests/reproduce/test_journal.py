from __future__ import annotations

import ctypes
import json
import os
import platform
import subprocess
import sys

import pytest

from scinn.exceptions import OutputLockedError
from scinn.reproduce.claims import Cell
from scinn.reproduce.journal import Journal, OutputLock, _alive, cell_key, read_records

IDENTITY = {"data": {"cora": "ab"}, "version": "1", "code": "cd", "libraries": {"numpy": "2"}}


def record(seed=0, **changes):
    cell = Cell("fit", {"width": 8}, seed)
    identity = IDENTITY | changes
    return {
        "key": cell_key("framelets", cell, **identity),
        "paper": "framelets",
        "experiment": cell.experiment,
        "params": cell.params,
        "seed": cell.seed,
        "protocol": cell.protocol_hash,
        **identity,
        "seconds": 0.5,
        "result": {"score": 0.1 + 0.2, "seed": seed},
    }


def test_records_come_back_to_the_bit(tmp_path):
    path = tmp_path / "journal.jsonl"
    Journal(path).append(record())
    again = Journal(path)
    assert len(again) == 1
    assert again.get(record()["key"])["result"] == {"score": 0.1 + 0.2, "seed": 0}


def test_a_torn_line_costs_only_itself(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    for seed in range(3):
        journal.append(record(seed))
    whole = path.read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for cut in range(last + 1, len(whole), 7):
        path.write_bytes(whole[:cut])
        resumed = Journal(path)
        assert len(resumed) == 2
        resumed.append(record(2))
        assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("name", "value"),
    [("data", {"cora": "xx"}), ("version", "2"), ("code", "ee"), ("libraries", {"numpy": "3"})],
)
def test_every_part_of_the_identity_changes_the_key_and_is_named(tmp_path, name, value):
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append(record())
    changed = record(**{name: value})
    assert changed["key"] != record()["key"]
    cell = Cell("fit", {"width": 8}, 0)
    assert journal.get(changed["key"]) is None
    assert journal.why_not("framelets", cell, IDENTITY | {name: value}) == name
    assert journal.why_not("framelets", Cell("fit", {"width": 8}, 1), IDENTITY) is None


def test_an_unknown_format_is_refused(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_text(json.dumps({"format": 99, "key": "x"}) + "\n")
    with pytest.raises(ValueError, match="journal format 99"):
        read_records(path)
    assert read_records(tmp_path / "missing.jsonl") == []


def test_the_lock_names_its_living_holder(tmp_path):
    with OutputLock(tmp_path):
        with pytest.raises(OutputLockedError, match=f"process {os.getpid()}"), OutputLock(tmp_path):
            pass
        assert (tmp_path / "lock").exists()
    assert not (tmp_path / "lock").exists()


@pytest.mark.parametrize("content", ["", "{", "gone", "recycled"])
def test_a_stale_lock_is_taken_over(tmp_path, content):
    if content == "gone":
        ended = subprocess.Popen([sys.executable, "-c", "pass"])
        ended.wait()
        content = json.dumps({"pid": ended.pid, "host": platform.node(), "started": "1"})
    elif content == "recycled":
        content = json.dumps({"pid": os.getpid(), "host": platform.node(), "started": "not mine"})
    (tmp_path / "lock").write_text(content)
    with OutputLock(tmp_path):
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_of_another_machine_is_respected(tmp_path):
    (tmp_path / "lock").write_text(json.dumps({"pid": 1, "host": "elsewhere", "started": None}))
    with pytest.raises(OutputLockedError, match="process 1 on elsewhere"), OutputLock(tmp_path):
        pass


@pytest.mark.parametrize(
    ("handle", "exit_code", "last_error", "alive"),
    [(7, 259, 0, True), (7, 0, 0, False), (0, 0, 87, False), (0, 0, 5, True)],
)
def test_windows_is_asked_without_a_signal(monkeypatch, handle, exit_code, last_error, alive):
    class Kernel:
        closed = False

        def OpenProcess(access, inherit, pid):
            return handle

        def GetExitCodeProcess(process, code):
            code._obj.value = exit_code

        def CloseHandle(process):
            Kernel.closed = True

    def forbidden(*arguments):
        raise AssertionError("os.kill(pid, 0) sends Ctrl-C on Windows")

    monkeypatch.setattr(ctypes, "WinDLL", lambda name, use_last_error: Kernel, raising=False)
    monkeypatch.setattr(ctypes, "get_last_error", lambda: last_error, raising=False)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "platform", "win32")
        patched.setattr(os, "kill", forbidden)
        assert _alive(1234) is alive
    assert Kernel.closed is bool(handle)

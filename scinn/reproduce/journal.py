"""The journal of a run: one line of JSON per finished cell, on the disk before the next cell starts."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from scinn.exceptions import OutputLockedError
from scinn.reproduce.claims import Cell, canonical

__all__ = ["FORMAT", "Journal", "OutputLock", "cell_key", "read_records"]

FORMAT = 1
_IDENTITY = ("data", "version", "code", "libraries")


def cell_key(paper: str, cell: Cell, *, data: Any, version: str, code: str, libraries: Any) -> str:
    """Return the key under which a result may be used again: everything that could change it.

    Parameters
    ----------
    paper : str
        Key of the paper whose experiment it is.
    cell : Cell
        Experiment, parameters and seed.
    data : dict
        Data set -> sha256.
    version, code : str
        Of scinn, and the hash of the code that computes the cell.
    libraries : dict
        Library -> version.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    identity = [FORMAT, paper, cell.experiment, cell.params, cell.seed, data, version, code, libraries]
    return hashlib.sha256(canonical(identity).encode()).hexdigest()


def read_records(path: Path) -> list[dict[str, Any]]:
    """Return the complete records of a journal; a line torn by a crash is left out.

    Raises
    ------
    ValueError
        Where the journal was written in a format that this version does not know.
    """
    records = []
    with contextlib.suppress(FileNotFoundError):
        for line in path.read_bytes().splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if not isinstance(record, dict) or "key" not in record:
                continue
            if record.get("format") != FORMAT:
                raise ValueError(
                    f"{path} has journal format {record.get('format')!r}, this scinn reads {FORMAT}: "
                    "use the version that wrote it, or another --out"
                )
            records.append(record)
    return records


class Journal:
    """An append-only file of results that survives a kill at any moment.

    Parameters
    ----------
    path : Path
        ``journal.jsonl`` of the output folder; created where missing. A torn last line is cut off.
    reuse : iterable of Path
        Further journals to read results from.
    """

    def __init__(self, path: Path, reuse: Iterable[Path] = ()) -> None:
        self.path = path
        self._cut_torn_line()
        own = read_records(path)
        others = [record for other in reuse for record in read_records(other)]
        self._by_key = {record["key"]: record for record in [*others, *own]}
        self._known = {(r["paper"], r["protocol"], r["seed"]): r for r in [*others, *own]}

    def _cut_torn_line(self) -> None:
        if not self.path.exists():
            return
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            with self.path.open("r+b") as file:
                file.truncate(whole)
                os.fsync(file.fileno())

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the record of a key, or None."""
        return self._by_key.get(key)

    def why_not(self, paper: str, cell: Cell, identity: dict[str, Any]) -> str | None:
        """Say what changed since the cell was recorded under another key, or None if it never was."""
        record = self._known.get((paper, cell.protocol_hash, cell.seed))
        if record is None:
            return None
        changed = [name for name in _IDENTITY if record.get(name) != identity[name]]
        return " and ".join(changed) or "parameters"

    def append(self, record: dict[str, Any]) -> None:
        """Write one record; it is on the disk when this returns."""
        line = canonical({"format": FORMAT, **record}).encode() + b"\n"
        with self.path.open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self._by_key[record["key"]] = record
        self._known[record["paper"], record["protocol"], record["seed"]] = record

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._by_key.values())


def _alive(pid: int) -> bool:
    if sys.platform == "win32":
        return _alive_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _alive_on_windows(pid: int) -> bool:
    # Signal 0 asks nothing there: it is Ctrl-C, and would be sent.
    import ctypes

    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined,unused-ignore]
    kernel.OpenProcess.restype = ctypes.c_void_p
    query, access_denied, still_active = 0x1000, 5, 259
    handle = kernel.OpenProcess(query, False, pid)
    if not handle:
        return bool(ctypes.get_last_error() == access_denied)  # type: ignore[attr-defined,unused-ignore]
    handle, code = ctypes.c_void_p(handle), ctypes.c_ulong()
    kernel.GetExitCodeProcess(handle, ctypes.byref(code))
    kernel.CloseHandle(handle)
    return code.value == still_active


def _started(pid: int) -> str | None:
    """When a process began, in the system's ticks, so that a recycled number is not taken for the holder."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


class OutputLock:
    """One writer per output folder: a file made with ``O_EXCL`` that names the holder's process.

    Parameters
    ----------
    folder : Path
        The output folder.

    Raises
    ------
    OutputLockedError
        On entering, where a living process holds the lock; the message gives its number.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "lock"
        pid = os.getpid()
        self._own = json.dumps({"pid": pid, "host": platform.node(), "started": _started(pid)})

    def __enter__(self) -> OutputLock:
        for _ in range(100):
            try:
                descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            except FileExistsError:
                self._take_away_if_stale()
                continue
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(self._own)
            return self
        raise OutputLockedError(f"could not lock {self.path}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.path.unlink(missing_ok=True)

    def _read(self) -> str:
        # A holder that has made the file but not yet written its number is given a moment.
        for _ in range(20):
            try:
                text = self.path.read_text(encoding="utf-8")
            except FileNotFoundError:
                return ""
            if text.endswith("}"):
                return text
            time.sleep(0.05)
        return text

    def _take_away_if_stale(self) -> None:
        text = self._read()
        try:
            holder = json.loads(text)
            pid, host = int(holder["pid"]), holder["host"]
        except (ValueError, KeyError, TypeError):
            pid, host, holder = 0, platform.node(), {}
        if host != platform.node():
            raise OutputLockedError(
                f"{self.path.parent} is in use by process {pid} on {host}; if it is gone, delete {self.path}"
            )
        if pid and _alive(pid) and _started(pid) == holder.get("started"):
            raise OutputLockedError(
                f"{self.path.parent} is in use by process {pid}: wait for it, stop it, or choose another --out"
            )
        # Two processes may find the same stale lock: only the one whose rename moves *that* text goes on.
        aside = self.path.with_name(f"lock.{os.getpid()}")
        with contextlib.suppress(FileNotFoundError):
            os.rename(self.path, aside)
            if aside.read_text(encoding="utf-8") != text:
                with contextlib.suppress(FileExistsError):
                    os.link(aside, self.path)
            aside.unlink(missing_ok=True)

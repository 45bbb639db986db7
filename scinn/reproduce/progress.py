"""How a run shows itself: one bar on a terminal, a line every half minute elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import IO, Any

from scinn.reproduce.report import duration
from scinn.reproduce.runner import Progress

__all__ = ["ProgressDisplay"]


class ProgressDisplay:
    """A progress callback for :func:`scinn.reproduce.run`, used as a context manager.

    Parameters
    ----------
    quiet : bool
        Show nothing.
    stream : file, optional
        Standard error by default, so that standard output holds results only.
    every : float
        Seconds between two lines where the stream is no terminal.
    """

    def __init__(self, *, quiet: bool = False, stream: IO[str] | None = None, every: float = 30.0) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._quiet = quiet
        self._every = every
        self._start = time.monotonic()
        self._latest: Progress | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._bar: Any = None

    def __enter__(self) -> ProgressDisplay:
        if self._quiet:
            return self
        if self._stream.isatty():
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                SpinnerColumn,
                TextColumn,
                TimeElapsedColumn,
            )
            from rich.progress import Progress as Bar

            self._bar = Bar(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[left]}"),
                TextColumn("[dim]{task.fields[label]}"),
                console=Console(file=self._stream),
                transient=True,
            )
            self._task = self._bar.add_task("starting", total=None, left="", label="")
            self._bar.start()
        else:
            self._thread = threading.Thread(target=self._talk, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._bar is not None:
            self._bar.stop()
        if self._thread is not None:
            self._thread.join(timeout=1.0)

    def __call__(self, progress: Progress) -> None:
        self._latest = progress
        if self._bar is not None:
            self._bar.update(
                self._task,
                description=progress.phase,
                completed=progress.done,
                total=progress.total or None,
                left=self._left(progress),
                label=progress.label,
            )

    def _left(self, progress: Progress) -> str:
        computed = progress.done - progress.reused
        remaining = progress.total - progress.done
        if not computed or not remaining:
            return ""
        return f"at least {duration((time.monotonic() - self._start) / computed * remaining)} to go"

    def _talk(self) -> None:
        while not self._stop.wait(self._every):
            progress = self._latest
            if progress is None:
                continue
            parts = [f"{progress.phase}: {progress.done} of {progress.total} experiments"]
            parts.append(f"after {duration(time.monotonic() - self._start)}")
            left = self._left(progress)
            print(", ".join(parts + [left] * bool(left)), file=self._stream, flush=True)

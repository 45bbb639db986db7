"""Rerun the claims of the papers: claims as data, a journal that resumes, verdicts, figures and a report.

Start with :mod:`scinn.reproduce.claims` to read or write claims, with :func:`scinn.reproduce.run` to run them from
Python, and with ``scinn reproduce`` to run them from a terminal.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scinn.reproduce.claims import Cell, Claim, FigureSpec, Outcome, Results
    from scinn.reproduce.runner import RunConfig, RunResult, merge, run

__all__ = ["Cell", "Claim", "FigureSpec", "Outcome", "Results", "RunConfig", "RunResult", "merge", "run"]

_HOMES = dict.fromkeys(("Cell", "Claim", "FigureSpec", "Outcome", "Results"), "claims")
_HOMES |= dict.fromkeys(("RunConfig", "RunResult", "merge", "run"), "runner")


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"scinn.reproduce.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'scinn.reproduce' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))

"""The theorems of the papers as executable properties, and the loop that tries them on many cases."""

from __future__ import annotations

import builtins
import importlib
import re
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from scinn.random import Key
from scinn.verify.result import CheckResult

__all__ = [
    "MODULES",
    "Property",
    "PropertyReport",
    "find_property",
    "properties",
    "run_property",
    "verify_papers",
]

#: Papers (and the layers of :mod:`scinn.nn`) that have properties, with the module that holds them.
MODULES: dict[str, str] = {
    "framelets": "scinn.verify.framelets",
    "fourier-stabilization": "scinn.verify.fourier_stabilization",
    "heavy-tailed-priors": "scinn.verify.heavy_tailed_priors",
    "layers": "scinn.verify.layers",
    "reversible-rnn": "scinn.verify.reversible_rnn",
}


@dataclass(frozen=True)
class Property:
    """A theorem with a check that tries it on one case.

    Parameters
    ----------
    paper : str
        Key of the paper, or ``"layers"``.
    name : str
        Short unique name within the paper, words joined by hyphens.
    theorem : str
        Where the statement comes from.
    statement : str
        What holds, in one sentence.
    run : callable
        ``run(case_seed) -> CheckResult``; everything about the case follows from the integer.
    """

    paper: str
    name: str
    theorem: str
    statement: str
    run: Callable[[int], CheckResult]

    @property
    def id(self) -> str:
        """Paper and name, joined by a colon."""
        return f"{self.paper}:{self.name}"


@dataclass(frozen=True)
class PropertyReport:
    """What many cases of one property gave.

    Parameters
    ----------
    property : Property
    n_cases, n_failed : int
        Cases run, and how many failed.
    worst : CheckResult
        The result with the largest error in units of its tolerance.
    seconds : float
        Wall time.
    failing_seeds : tuple of int
        Case seeds of the failures: ``property.run(seed)`` repeats one.
    scripts : tuple of Path
        Scripts that repeat a failure, where a folder was given.
    """

    property: Property
    n_cases: int
    n_failed: int
    worst: CheckResult
    seconds: float
    failing_seeds: tuple[int, ...] = ()
    scripts: tuple[Path, ...] = ()

    # The field of that name hides the decorator from type checkers.
    @builtins.property
    def passed(self) -> bool:
        """Whether no case failed."""
        return self.n_failed == 0

    def __bool__(self) -> bool:
        return self.passed

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        error = self.worst.worst_error
        return {
            "paper": self.property.paper,
            "name": self.property.name,
            "theorem": self.property.theorem,
            "statement": self.property.statement,
            "passed": self.passed,
            "n_cases": self.n_cases,
            "n_failed": self.n_failed,
            "worst_error": error if np.isfinite(error) else None,
            "tolerance": self.worst.tolerance,
            "detail": self.worst.detail,
            "failing_seeds": list(self.failing_seeds),
            "scripts": [str(path) for path in self.scripts],
            "seconds": round(self.seconds, 3),
        }


def properties(papers: str | Iterable[str] | None = None) -> tuple[Property, ...]:
    """Return the properties of some papers, or of all that have any.

    Parameters
    ----------
    papers : str, iterable of str, or None
        Keys of :data:`MODULES`.

    Returns
    -------
    tuple of Property

    Raises
    ------
    ValueError
        For a key without properties.

    Examples
    --------
    >>> from scinn.verify.registry import properties
    >>> properties("framelets")[0].id
    'framelets:partition-of-unity'
    """
    keys = [papers] if isinstance(papers, str) else list(MODULES) if papers is None else list(papers)
    for key in keys:
        if key not in MODULES:
            raise ValueError(f"no properties for {key!r}; there are some for {', '.join(MODULES)}")
    return tuple(found for key in keys for found in importlib.import_module(MODULES[key]).PROPERTIES)


def find_property(paper: str, name: str) -> Property:
    """Return one property.

    Parameters
    ----------
    paper, name : str

    Returns
    -------
    Property

    Raises
    ------
    ValueError
        Where there is none of that name.
    """
    known = properties(paper)
    for candidate in known:
        if candidate.name == name:
            return candidate
    raise ValueError(
        f"no property {name!r} for {paper!r}; there are {', '.join(item.name for item in known)}"
    )


def case_seed(prop: Property, seed: int, case: int) -> int:
    """Return the integer from which case number `case` of a run with `seed` is made."""
    return int(Key(seed).child("verify", prop.paper, prop.name, case).generator().integers(2**31))


def run_case(prop: Property, case_seed: int) -> CheckResult:
    """Try a property on one case; an exception counts as a failure.

    Parameters
    ----------
    prop : Property
    case_seed : int

    Returns
    -------
    CheckResult
        With a replay that repeats the case from its seed.
    """
    try:
        result = prop.run(case_seed)
    except Exception as error:
        detail = "".join(traceback.format_exception(error)[-2:]).strip()
        result = CheckResult(prop.id, False, np.inf, 0.0, {"case_seed": case_seed}, f"raised {detail}")
    if result.passed:
        return result
    replay = (
        "from scinn.verify.registry import find_property, run_case\n"
        f"result = run_case(find_property({prop.paper!r}, {prop.name!r}), {case_seed})"
    )
    example = {"case_seed": case_seed, **(result.counter_example or {})}
    own = result.replay
    return replace(result, counter_example=example, replay=own if own and len(own) < 4000 else replay)


def run_property(
    prop: Property, n_cases: int = 25, seed: int = 0, *, folder: str | Path | None = None
) -> PropertyReport:
    """Try a property on `n_cases` cases.

    Parameters
    ----------
    prop : Property
    n_cases : int, default 25
    seed : int, default 0
        Case ``i`` of one seed is always the same case, whatever `n_cases` is.
    folder : str or Path, optional
        Where to write a script for each failing case (at most three).

    Returns
    -------
    PropertyReport

    Raises
    ------
    ValueError
        Where `n_cases` is below 1.
    """
    if n_cases < 1:
        raise ValueError(f"n_cases must be at least 1, got {n_cases}")
    start = time.perf_counter()
    worst: CheckResult | None = None
    failures: list[int] = []
    scripts: list[Path] = []
    for case in range(n_cases):
        number = case_seed(prop, seed, case)
        result = run_case(prop, number)
        if worst is None or _severity(result) > _severity(worst):
            worst = result
        if result.passed:
            continue
        failures.append(number)
        if folder is not None and len(scripts) < 3:
            Path(folder).mkdir(parents=True, exist_ok=True)
            name = re.sub(r"[^a-z0-9]+", "-", f"{prop.paper}-{prop.name}-{number}".lower())
            scripts.append(result.save_script(Path(folder) / f"{name}.py"))
    assert worst is not None
    seconds = time.perf_counter() - start
    return PropertyReport(prop, n_cases, len(failures), worst, seconds, tuple(failures), tuple(scripts))


def verify_papers(
    papers: str | Iterable[str] | None = None,
    n_cases: int = 25,
    seed: int = 0,
    callback: Callable[[PropertyReport], None] | None = None,
    *,
    folder: str | Path | None = None,
) -> list[PropertyReport]:
    """Try all properties of some papers.

    Parameters
    ----------
    papers : str, iterable of str, or None
        Keys of :data:`MODULES`; None means all.
    n_cases : int, default 25
        Cases per property.
    seed : int, default 0
    callback : callable, optional
        Called with each report as soon as it is there.
    folder : str or Path, optional
        Where to write scripts of failing cases.

    Returns
    -------
    list of PropertyReport

    Raises
    ------
    ValueError
        For an unknown key or `n_cases` below 1.
    """
    reports = []
    for prop in properties(papers):
        report = run_property(prop, n_cases, seed, folder=folder)
        if callback is not None:
            callback(report)
        reports.append(report)
    return reports


def _severity(result: CheckResult) -> tuple[bool, float]:
    error = result.worst_error if np.isfinite(result.worst_error) else np.inf
    return not result.passed, error / result.tolerance if result.tolerance > 0 else error

"""What every check returns: one verdict, one number, and enough to replay a failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from scinn.verify.replay import source_of

__all__ = ["CheckFailedError", "CheckResult", "replay_source", "verdict"]

_LONGEST_SCRIPT = 2_000_000


class CheckFailedError(AssertionError):
    """A check found a counter-example; the message is the readable form of its result."""


@dataclass(frozen=True, repr=False)
class CheckResult:
    """Verdict of one check.

    Parameters
    ----------
    name : str
        What was checked.
    passed : bool
        Whether every error stayed within the tolerance and every rule was kept.
    worst_error : float
        The largest error seen, in the unit of `tolerance`; infinite where a rule was broken.
    tolerance : float
        The largest error accepted.
    counter_example : dict or None
        Where the check failed: arrays, indices and numbers by name.
    detail : str
        One or a few sentences for a reader.
    values : mapping of str to float
        Further measurements, for example the frame bounds.
    replay : str or None
        Python source that repeats the check, given the counter-example's entries as variables.

    Examples
    --------
    >>> from scinn.verify import CheckResult
    >>> bool(CheckResult("sum", True, 0.0, 1e-12))
    True
    >>> CheckResult("sum", False, 0.5, 1e-12, detail="entry 3 is off")
    CheckResult(sum: FAILED, worst error 0.5, tolerance 1e-12)
      entry 3 is off
    """

    name: str
    passed: bool
    worst_error: float
    tolerance: float
    counter_example: dict[str, Any] | None = None
    detail: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    replay: str | None = None

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        verdict = "passed" if self.passed else "FAILED"
        lines = [
            f"CheckResult({self.name}: {verdict}, worst error {self.worst_error:.3g}, "
            f"tolerance {self.tolerance:.3g})"
        ]
        if self.detail:
            lines.extend(f"  {line}" for line in self.detail.splitlines())
        if self.values:
            lines.append("  " + ", ".join(f"{name} = {value:.6g}" for name, value in self.values.items()))
        if self.counter_example and not self.passed:
            shown = (f"{name} = {_brief(value)}" for name, value in self.counter_example.items())
            lines.append("  counter-example: " + "; ".join(shown))
        return "\n".join(lines)

    def raise_if_failed(self) -> CheckResult:
        """Return the result itself, or raise with its readable form.

        Returns
        -------
        CheckResult

        Raises
        ------
        CheckFailedError
            Where the check failed.
        """
        if not self.passed:
            raise CheckFailedError(repr(self))
        return self

    def save_script(self, path: str | Path) -> Path:
        """Write a short Python script that runs the check again on the counter-example.

        Parameters
        ----------
        path : str or Path
            File to write.

        Returns
        -------
        Path
            The file written.

        Raises
        ------
        ValueError
            Where the result cannot be replayed: the object under test cannot be written as source text
            (for example a lambda), or the check passed.
        """
        if self.passed or not self.replay:
            reason = "the check passed" if self.passed else "the case has no short source form"
            if isinstance(self.replay, _NoSource) and not self.passed:
                reason = self.replay.reason
            raise ValueError(
                f"no script for {self.name}: {reason}; repeat the check by hand with the arrays in "
                "result.counter_example, or build the object from an importable class"
            )
        lines = [f"# {self.name}: worst error {self.worst_error:.6g}, tolerance {self.tolerance:.6g}"]
        lines.extend(f"# {line}" for line in self.detail.splitlines())
        lines.append(self.replay.rstrip("\n"))
        lines.append("print(result)")
        lines.append("raise SystemExit(0 if result.passed else 1)")
        path = Path(path)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path


def verdict(name: str, error: float, tolerance: float, detail: str = "", **example: Any) -> CheckResult:
    """Return the result of a check that comes down to one number; NaN fails.

    Parameters
    ----------
    name : str
    error, tolerance : float
    detail : str
    **example
        The counter-example.

    Returns
    -------
    CheckResult
    """
    error = float(error) if not np.isnan(error) else float("inf")
    return CheckResult(name, bool(error <= tolerance), error, tolerance, example, detail)


def _brief(value: Any) -> str:
    """Return a value as text that fits on a line."""
    if isinstance(value, np.ndarray):
        if value.size <= 6:
            return f"{value.tolist()}"
        return f"array of shape {value.shape}, {value.dtype}"
    if isinstance(value, float | np.floating):
        return f"{value:.9g}"
    if hasattr(value, "shape") and hasattr(value, "nnz"):
        return f"sparse matrix of shape {value.shape} with {value.nnz} entries"
    text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."


class _NoSource(str):
    """The empty source, with the reason why there is no other."""

    reason: str

    def __new__(cls, reason: str) -> _NoSource:
        source = super().__new__(cls, "")
        source.reason = reason
        return source


def replay_source(call: str, imports: tuple[str, ...] = (), **objects: Any) -> str | None:
    """Return source that rebuilds `objects` by name and then runs ``result = call``.

    An empty text that knows the reason where an object has no source form, None where the text would be longer than a
    reader's patience.
    """
    needed = {"import numpy as np", "from scinn.verify.replay import rebuild, unpack", *imports}
    lines = []
    for name, value in objects.items():
        try:
            lines.append(f"{name} = {source_of(value, needed)}")
        except TypeError as error:
            return _NoSource(str(error))
    text = "\n".join([*sorted(needed), *lines, f"result = {call}"])
    return text if len(text) <= _LONGEST_SCRIPT else None

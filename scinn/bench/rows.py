"""What a benchmark returns: rows of a table, with the raw numbers beside the words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Benchmark", "Callback", "Row", "duration", "size"]

Callback = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """One comparison.

    Parameters
    ----------
    case : str
        What was computed.
    seconds : float
        Our processor time.
    peer : str
        The peer and its version; empty where there is none.
    peer_seconds : float or None
        Its processor time for the same work; None where it did not run.
    note : str
        What made the comparison equal, or why there is none.
    numbers : mapping
        Further measurements, as JSON.
    """

    case: str
    seconds: float
    peer: str
    peer_seconds: float | None
    note: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """The peer's time over ours; above 1 we are faster."""
        return None if self.peer_seconds is None else self.peer_seconds / self.seconds

    def to_dict(self) -> dict[str, Any]:
        """Return the row as what JSON can hold."""
        return {
            "case": self.case,
            "seconds": self.seconds,
            "peer": self.peer,
            "peer_seconds": self.peer_seconds,
            "ratio": self.ratio,
            "note": self.note,
            "numbers": dict(self.numbers),
        }


@dataclass(frozen=True)
class Benchmark:
    """A named set of comparisons.

    Parameters
    ----------
    name : str
        What a user types after ``scinn bench``.
    title, about : str
        Heading, and what is compared with what.
    run : callable
        ``run(quick, callback) -> list[Row]``.
    """

    name: str
    title: str
    about: str
    run: Callable[[bool, Callback], list[Row]]


def duration(seconds: float | None) -> str:
    """Write a time with a fitting unit.

    Examples
    --------
    >>> duration(0.00152), duration(12.3), duration(None)
    ('1.52 ms', '12.3 s', 'not run')
    """
    if seconds is None:
        return "not run"
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "us")):
        if seconds * factor >= 1 or unit == "us":
            return f"{seconds * factor:.3g} {unit}"
    raise AssertionError


def size(n_bytes: float) -> str:
    """Write a number of bytes with a fitting unit.

    Examples
    --------
    >>> size(2_500_000), size(12)
    ('2.5 MB', '12 B')
    """
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.3g} {unit}"
    return f"{n_bytes:.0f} B"

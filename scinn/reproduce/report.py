"""The report: one HTML page that opens from the disk, needs no network and prints to paper."""

from __future__ import annotations

import base64
import math
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from scinn._version import __version__
from scinn.papers import PAPERS, bibliography
from scinn.reproduce.claims import VERDICTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scinn.reproduce.figures import DrawnFigure
    from scinn.reproduce.runner import RunConfig, RunResult

__all__ = ["duration", "measured_text", "number_text", "render"]

#: Verdict -> (class in the style sheet, sign in front of the word).
BADGES = {
    "reproduced": ("good", "✓"),
    "direction holds": ("fair", "≈"),
    "not reproduced": ("miss", "✗"),
    "not run": ("none", "–"),
}


def number_text(value: float | None, unit: str = "", spread: float | None = None) -> str:
    """Return a number as people write it: as many digits as the spread or the unit supports.

    Examples
    --------
    >>> number_text(83.4567, "%"), number_text(0.000012345), number_text(None), number_text(12)
    ('83.46', '1.23e-05', '–', '12')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if value < 0:
        return f"−{number_text(-value, unit, spread)}"
    if unit in ("%", "points"):
        return f"{value:.2f}"
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    if spread and 1e-4 <= abs(value) < 1e5:
        decimals = max(0, 1 - math.floor(math.log10(spread)))
        return f"{value:.{min(decimals, 8)}f}"
    return f"{value:.2e}" if abs(value) < 1e-3 or abs(value) >= 1e5 else f"{value:.4g}"


def measured_text(record: Mapping[str, Any]) -> str:
    """Return ``mean ± sd`` of a record of ``claims.json``, without unit and count."""
    measured = record["measured"]
    text = number_text(measured["mean"], record["unit"], measured["sd"])
    if measured["sd"] is not None and measured["mean"] is not None:
        text += f" ± {number_text(measured['sd'], record['unit'], measured['sd'])}"
    return text


def duration(seconds: float) -> str:
    """Return a time as people say it.

    Examples
    --------
    >>> duration(0.04), duration(75), duration(7300)
    ('0.0 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min"


def _row(
    record: dict[str, Any], extra: dict[str, Any], reported_sd: float | None, seed: int
) -> dict[str, Any]:
    from scinn.reproduce.runner import rerun_command

    reported = number_text(record["reported"], record["unit"])
    if reported_sd is not None:
        reported += f" ± {number_text(reported_sd, record['unit'])}"
    mean = record["measured"]["mean"]
    difference = ""
    if record["reported"] is not None and mean is not None:
        gap = mean - record["reported"]
        difference = ("+" if gap >= 0 else "−") + number_text(
            abs(gap), record["unit"], record["measured"]["sd"]
        )
    kind, sign = BADGES[record["verdict"]]
    protocol = record["protocol"]
    return record | {
        "kind": kind,
        "sign": sign,
        "rank": VERDICTS.index(record["verdict"]),
        "reported_text": reported,
        "measured_text": measured_text(record),
        "difference": difference,
        "time": duration(record["seconds"]),
        "command": rerun_command(record["claim"], protocol["budget"], seed),
        "extra": [(name, _plain_text(value)) for name, value in extra.items()],
        "settings": [(name, _plain_text(value)) for name, value in protocol["parameters"].items()],
        "seeds_text": _seeds_text(record["seeds"]),
        "anchor": "c-" + quote(record["claim"], safe="").replace("%", "."),
    }


def _plain_text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, list | tuple):
        return ", ".join(_plain_text(item) for item in value)
    if isinstance(value, dict):
        return "; ".join(f"{name} {_plain_text(item)}" for name, item in value.items())
    return str(value)


def _seeds_text(seeds: Sequence[int]) -> str:
    if len(seeds) > 3 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds)) or "none"


def _data_uri(kind: str, text: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(text.encode()).decode()}"


def _papers(rows: list[dict[str, Any]], figures: Sequence[DrawnFigure]) -> list[dict[str, Any]]:
    sections = []
    for key in dict.fromkeys(row["paper"] for row in rows):
        paper = PAPERS[key]
        own = [row for row in rows if row["paper"] == key]
        counts = Counter(row["verdict"] for row in own)
        sections.append(
            {
                "paper": paper,
                "venue": bibliography()[paper.bibtex_key].get("booktitle", paper.venue),
                "rows": own,
                "counts": [
                    (verdict, *BADGES[verdict], counts[verdict]) for verdict in VERDICTS if counts[verdict]
                ],
                "figures": [
                    {
                        "figure": figure,
                        "svg": _data_uri("image/svg+xml", figure.svg),
                        "csv": _data_uri("text/csv", figure.csv) if figure.csv else "",
                    }
                    for figure in figures
                    if figure.paper == key
                ],
            }
        )
    return sections


def render(
    result: RunResult,
    config: RunConfig,
    figures: Sequence[DrawnFigure],
    reported_sd: Mapping[str, float | None],
) -> str:
    """Return the page of a run.

    Parameters
    ----------
    result : RunResult
        Records, details, errors and notes.
    config : RunConfig
        Budget and seed of the run.
    figures : sequence of DrawnFigure
        To embed.
    reported_sd : mapping
        Claim id -> the spread that the paper prints, or None.

    Returns
    -------
    str
        HTML with everything inline; its only links are citations.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    rows = [
        _row(record, result.details.get(record["claim"], {}), reported_sd.get(record["claim"]), config.seed)
        for record in result.records
    ]
    counts = Counter(row["verdict"] for row in rows)
    jinja = Environment(
        loader=PackageLoader("scinn.reproduce", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    selection = " ".join(config.names)
    return jinja.get_template("report.html").render(
        sections=_papers(rows, figures),
        counts=[(verdict, *BADGES[verdict], counts[verdict]) for verdict in VERDICTS],
        n_claims=len(rows),
        config=config,
        command=" ".join(
            f"scinn reproduce {selection} --budget {config.budget} --seed {config.seed}".split()
        ),
        n_cells=result.n_run + result.n_reused,
        compute_time=duration(result.seconds),
        errors=result.errors,
        notes=result.notes,
        environment=list(result.records[0]["environment"].items()) if result.records else [],
        version=__version__,
    )

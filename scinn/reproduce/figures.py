"""The figures of a report: one style, and files that are equal byte by byte for equal runs."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scinn._files import write_text
from scinn.reproduce.claims import FigureSpec, Results, load_module

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "STYLE", "DrawnFigure", "draw", "new_figure"]

#: Okabe and Ito's colours: told apart with any kind of colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

#: Matplotlib settings under which ``figures()`` of a paper module is called.
STYLE: dict[str, Any] = {
    "font.size": 10.0,
    "axes.titlesize": 11.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "figure.dpi": 150.0,
    "svg.fonttype": "path",
}


@dataclass(frozen=True)
class DrawnFigure:
    """A figure on the disk, and what the report needs of it."""

    paper: str
    name: str
    title: str
    caption: str
    svg: str
    csv: str
    stem: str


def new_figure(width: float = 6.4, height: float = 3.8) -> Figure:
    """Return an empty figure in the house style.

    Parameters
    ----------
    width, height : float
        Inches; 6.4 fills the report's column.

    Returns
    -------
    matplotlib.figure.Figure
        With constrained layout, free of pyplot.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _csv_text(spec: FigureSpec) -> str:
    if not spec.rows:
        return ""
    file = io.StringIO()
    writer = csv.DictWriter(file, fieldnames=list(spec.rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(spec.rows)
    return file.getvalue()


def draw(paper: str, results: Results, budget: str, out: Path) -> list[DrawnFigure]:
    """Draw a paper's figures into ``out/figures`` as SVG and PNG, with their numbers as CSV.

    Parameters
    ----------
    paper : str
        Key of a built paper.
    results : Results
        Of every cell of the run that belongs to the paper.
    budget : str
        Of the run.
    out : Path
        Output folder.

    Returns
    -------
    list of DrawnFigure
        Empty where the paper's module draws nothing.
    """
    function = getattr(load_module(paper), "figures", None)
    if function is None or not results:
        return []
    import matplotlib
    from cycler import cycler

    drawn = []
    folder = out / "figures"
    settings: dict[Any, Any] = {**STYLE, "axes.prop_cycle": cycler(color=COLOURS)}
    with matplotlib.rc_context(settings):
        for spec in function(results, budget):
            stem = f"{paper}-{spec.name}"
            folder.mkdir(parents=True, exist_ok=True)
            buffer = io.StringIO()
            with matplotlib.rc_context({"svg.hashsalt": stem}):
                spec.figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
            write_text(folder / f"{stem}.svg", buffer.getvalue())
            spec.figure.savefig(folder / f"{stem}.png", dpi=150, metadata={"Software": None})
            table = _csv_text(spec)
            if table:
                write_text(folder / f"{stem}.csv", table)
            drawn.append(
                DrawnFigure(paper, spec.name, spec.title, spec.caption, buffer.getvalue(), table, stem)
            )
    return drawn

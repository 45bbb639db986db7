"""Directives that fill pages from data: papers, claims, figures, properties and timings.

The numbers of a page are never typed: ``docs/results/<paper>/claims.json`` and ``docs/results/bench.json`` are what
``scinn reproduce`` and ``scinn bench`` wrote, and the theorem table is read from :mod:`scinn.verify`.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

Cell = str | nodes.Node | Sequence[nodes.Node]


def _cell_nodes(cell: Cell) -> list[nodes.Node]:
    if isinstance(cell, str):
        return [nodes.paragraph(text=cell)]
    children = [cell] if isinstance(cell, nodes.Node) else list(cell)
    if all(isinstance(child, nodes.Inline | nodes.Text) for child in children):
        return [nodes.paragraph("", "", *children)]
    return children


def make_table(
    head: Sequence[str], rows: Iterable[Sequence[Cell]], widths: Sequence[int], classes=()
) -> nodes.Node:
    """Return a docutils table."""
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=width) for width in widths]
    header, body = nodes.thead(), nodes.tbody()
    for target, lines in ((header, [head]), (body, rows)):
        for line in lines:
            row = nodes.row()
            for cell in line:
                entry = nodes.entry()
                entry += _cell_nodes(cell)
                row += entry
            target += row
    group += [header, body]
    table = nodes.table(classes=["table-wide", *classes])
    table += group
    return table


def format_number(value: float | None, unit: str = "") -> str:
    """Return a number as a reader wants it: four digits, powers of ten only where they help."""
    if value is None:
        return "–"
    size = abs(value)
    if value == int(value) and size < 1e6:
        text = str(int(value))
    elif unit == "%" and size < 1000:
        text = f"{value:.1f}"
    elif 1e-3 <= size < 1e5:
        text = f"{value:.4g}"
    else:
        text = f"{value:.2e}"
    return text + (" %" if unit == "%" else f" {unit}" if unit else "")


def format_measured(measured: dict[str, Any] | None, unit: str) -> str:
    if not measured or measured.get("mean") is None:
        return "–"
    mean, sd, n = (measured.get(name) for name in ("mean", "sd", "n"))
    text = format_number(mean, "" if unit != "%" else "%")
    if sd is not None:
        text = f"{text.removesuffix(' %')} ± {format_number(sd, unit).removesuffix(' %')}" + (
            " %" if unit == "%" else ""
        )
    if unit and unit != "%":
        text += f" {unit}"
    return text + (f" (n = {n})" if n and n > 1 else "")


def verdict_node(verdict: str) -> nodes.Node:
    kind = verdict.partition(":")[0].strip().replace(" ", "-")
    return nodes.inline(text=verdict.partition(":")[0], classes=["verdict", f"verdict-{kind}"])


class ResultsDirective(SphinxDirective):
    """Shared by the directives below: where results are, and what a page says when there are none."""

    required_arguments = 1

    @property
    def results(self) -> Path:
        return Path(self.env.srcdir) / "results" / self.arguments[0]

    def load(self, name: str) -> Any | None:
        path = self.results / name
        self.env.note_dependency(str(path))
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def not_measured(self) -> list[nodes.Node]:
        note = nodes.note()
        note += nodes.paragraph(text="Not measured yet.")
        return [note]


class Claims(ResultsDirective):
    """``{claims-table} framelets``: one row for each claim of the last recorded run."""

    def run(self) -> list[nodes.Node]:
        record = self.load("claims.json")
        if not record or not record.get("claims"):
            return self.not_measured()
        rows = []
        for claim in record["claims"]:
            name = nodes.paragraph("", "", nodes.literal(text=claim["claim"]))
            what = [nodes.paragraph(text=claim["statement"]), name]
            reported = format_number(claim.get("reported"), claim.get("unit") or "")
            if claim.get("source"):
                reported += f" ({claim['source']})"
            reason = claim.get("reason") or ""
            verdict = [nodes.paragraph("", "", verdict_node(claim["verdict"])), nodes.paragraph(text=reason)]
            rows.append(
                [what, reported, format_measured(claim.get("measured"), claim.get("unit") or ""), verdict]
            )
        head = ["Claim", "Paper says", "Measured here", "Verdict"]
        return [make_table(head, rows, [40, 20, 20, 30], ["claims"]), self.measured_on(record)]

    def measured_on(self, record: dict[str, Any]) -> nodes.Node:
        first = record["claims"][0]
        environment = first.get("environment") or record.get("environment") or {}
        if not isinstance(environment, dict):
            environment = {}
        words = [
            f"{label} {environment[key]}"
            for key, label in (
                ("scinn", "scinn"),
                ("python", "Python"),
                ("numpy", "NumPy"),
                ("numba", "Numba"),
            )
            if environment.get(key)
        ]
        words += [str(environment[key]) for key in ("cpu", "platform") if environment.get(key)]
        seconds = sum(claim.get("seconds") or 0.0 for claim in record["claims"])
        text = f"{len(record['claims'])} claims, {seconds / 60:.0f} minutes of computing in all"
        if record.get("budget"):
            text = f"Budget {record['budget']}: {text}"
        return nodes.paragraph(text="; ".join([text, *words]) + ".", classes=["measured-on"])


class Figures(ResultsDirective):
    """``{claims-figures} framelets``: every figure of the last recorded run with its caption."""

    def run(self) -> list[nodes.Node]:
        folder = self.results / "figures"
        captions = self.load("figures.json") or {}
        if isinstance(captions, list):
            captions = {entry["name"]: entry for entry in captions}
        paths = sorted(folder.glob("*.svg")) if folder.is_dir() else []
        if not paths:
            return self.not_measured()
        out: list[nodes.Node] = []
        for path in paths:
            about = captions.get(path.stem, {})
            title = about.get("title", path.stem.replace("-", " ").replace("_", " "))
            uri = "/" + path.relative_to(self.env.srcdir).as_posix()
            figure = nodes.figure("", nodes.image(uri=uri, alt=title))
            figure += nodes.caption(text=title)
            if about.get("caption"):
                legend = nodes.legend()
                legend += nodes.paragraph(text=about["caption"])
                figure += legend
            out.append(figure)
        return out


class Properties(ResultsDirective):
    """``{theorem-table} framelets``: theorem, the executable property, the test that runs it."""

    def run(self) -> list[nodes.Node]:
        paper = self.arguments[0]
        module = importlib.import_module(f"scinn.verify.{paper.replace('-', '_')}")
        rows = [[item.theorem, item.statement, nodes.literal(text=item.name)] for item in module.PROPERTIES]
        table = make_table(["Theorem", "What is checked", "Property"], rows, [28, 50, 22])
        where = nodes.paragraph()
        where += [
            nodes.Text("Each row is the test "),
            nodes.literal(text=f"tests/verify/test_properties.py::test_property_holds[{paper}:PROPERTY]"),
            nodes.Text(". On your machine: "),
            nodes.literal(text=f"scinn verify {paper} --cases 200"),
            nodes.Text("."),
        ]
        return [table, where]


class Papers(SphinxDirective):
    """``{papers-table}``: the registry, with the pages of those that are built."""

    def run(self) -> list[nodes.Node]:
        from scinn.papers import PAPERS

        rows = []
        for paper in PAPERS.values():
            where: Cell = nodes.reference(text=paper.title, refuri=paper.url)
            status: Cell = paper.status
            if paper.status == "built":
                status = nodes.reference(text="built", refuri=f"{paper.key}.html", internal=True)
            rows.append(
                [nodes.literal(text=paper.key), where, f"{paper.venue} {paper.year}", paper.subject, status]
            )
        head = ["Key", "Paper", "Where", "What you get", "Status"]
        return [make_table(head, rows, [15, 35, 15, 25, 10])]


class Timings(ResultsDirective):
    """``{timings-table} bench``: what ``scinn bench`` measured, beside the peers."""

    def run(self) -> list[nodes.Node]:
        record = self.load("bench.json")
        if not record:
            return self.not_measured()
        out: list[nodes.Node] = []
        for bench in record["benchmarks"]:
            out.append(nodes.rubric(text=bench["title"]))
            out.append(nodes.paragraph(text=bench["about"]))
            rows = []
            for row in bench["rows"]:
                ratio = row.get("ratio")
                rows.append(
                    [
                        row["case"],
                        row["ours"],
                        f"{row['peer_name']}: {row['peer']}",
                        "–" if ratio is None else f"{ratio:.2f} x",
                        row.get("note", ""),
                    ]
                )
            head = ["Case", "scinn", "Peer", "Peer time / ours", "Note"]
            out.append(make_table(head, rows, [25, 15, 25, 15, 30]))
        environment = record.get("environment", {})
        words = [
            f"{key} {value}" for key, value in environment.items() if isinstance(value, str | int | float)
        ]
        out.append(nodes.paragraph(text="; ".join(words) + ".", classes=["measured-on"]))
        return out


def setup(app):
    app.add_directive("claims-table", Claims)
    app.add_directive("claims-figures", Figures)
    app.add_directive("theorem-table", Properties)
    app.add_directive("papers-table", Papers)
    app.add_directive("timings-table", Timings)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Directives that fill pages from data: papers, claims, figures, properties and timings.

The numbers of a page are never typed: ``docs/results/<paper>/claims.json`` and ``docs/results/bench/bench.json`` are what
``scinn reproduce`` and ``scinn bench`` wrote, and the theorem table is read from :mod:`scinn.verify`.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective, SphinxRole

from scinn.bench.registry import read_record
from scinn.bench.rows import duration
from scinn.reproduce.report import measured_text, number_text

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
    table = nodes.table(classes=["colwidths-given", *classes])
    table += group
    return table


def with_unit(text: str, unit: str) -> str:
    return f"{text} {unit}" if unit and text != "–" else text


def measured(record: dict[str, Any]) -> str:
    n = record["measured"]["n"]
    text = with_unit(measured_text(record), record["unit"])
    return f"{text} (n = {n})" if n > 1 else text


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
            rule = nodes.paragraph("", "", nodes.emphasis(text=claim["success_rule"]))
            what = [nodes.paragraph(text=claim["statement"]), rule, name]
            reported = with_unit(number_text(claim["reported"], claim["unit"]), claim["unit"])
            verdict = [
                nodes.paragraph("", "", verdict_node(claim["verdict"])),
                nodes.paragraph(text=claim["reason"]),
            ]
            rows.append([what, f"{reported} ({claim['source']})", measured(claim), verdict])
        head = ["Claim", "Paper says", "Measured here", "Verdict"]
        return [make_table(head, rows, [36, 17, 17, 30], ["claims"]), self.measured_on(record)]

    def measured_on(self, record: dict[str, Any]) -> nodes.Node:
        claims = record["claims"]
        environment = claims[0]["environment"]
        seconds = sum(claim["seconds"] or 0.0 for claim in claims)
        words = [f"Budget {record['budget']}, seed {record['seed']}: {len(claims)} claims"]
        words.append(f"{seconds / 60:.0f} minutes of computing in all")
        words += [f"{key} {environment[key]}" for key in ("scinn", "python", "numpy", "scipy", "numba")]
        words += [environment["cpu"], environment["platform"]]
        return nodes.paragraph(text="; ".join(words) + ".", classes=["measured-on"])


class Figures(ResultsDirective):
    """``{claims-figures} framelets``: every figure of the last recorded run with its caption."""

    def run(self) -> list[nodes.Node]:
        folder = self.results / "figures"
        captions = {entry["file"]: entry for entry in (self.load("details.json") or {}).get("figures", [])}
        paths = [folder / f"{name}.svg" for name in captions if (folder / f"{name}.svg").is_file()]
        if not paths:
            return self.not_measured()
        out: list[nodes.Node] = []
        for path in paths:
            about = captions[path.stem]
            title = about["title"]
            uri = "/" + path.relative_to(self.env.srcdir).as_posix()
            figure = nodes.figure("", nodes.image(uri=uri, alt=title))
            figure += nodes.caption(text=title)
            legend = nodes.legend()
            legend += nodes.paragraph(text=about["caption"])
            figure += legend
            out.append(figure)
        return out


class Measured(SphinxRole):
    """``{measured}`CLAIM``` writes what a claim measured; ``{measured}`CLAIM|name``` one of its further numbers."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        claim, _, extra = self.text.partition("|")
        folder = Path(self.env.srcdir) / "results" / claim.partition(":")[0]
        paths = {name: folder / f"{name}.json" for name in ("claims", "details")}
        for path in paths.values():
            self.env.note_dependency(str(path))
        if not all(path.is_file() for path in paths.values()):
            return [nodes.Text("(not measured yet)")], []
        files = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items()}
        (record,) = [record for record in files["claims"]["claims"] if record["claim"] == claim]
        if extra:
            return [nodes.Text(number_text(files["details"]["details"][claim][extra], record["unit"]))], []
        return [nodes.Text(with_unit(measured_text(record), record["unit"]))], []


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
        if not self.load("bench.json"):
            return self.not_measured()
        record = read_record(self.results / "bench.json")
        out: list[nodes.Node] = []
        places = [bench["environment"] for bench in record["benchmarks"]]
        for number, bench in enumerate(record["benchmarks"]):
            out.append(nodes.rubric(text=bench["title"]))
            out.append(nodes.paragraph(text=bench["about"]))
            rows = []
            for row in bench["rows"]:
                ours, theirs = (
                    duration(row[key]).replace(" ", "\N{NO-BREAK SPACE}")
                    for key in ("seconds", "peer_seconds")
                )
                digits = 0 if (row["ratio"] or 0) >= 100 else 2 if (row["ratio"] or 0) < 2 else 1
                ratio = "–" if row["ratio"] is None else f"{row['ratio']:,.{digits}f}\N{NO-BREAK SPACE}x"
                peer = f"{row['peer']}: {theirs}" if row["peer"] else "–"
                rows.append([row["case"], ours, peer, ratio, row["note"]])
            head = ["Case", "scinn", "peer", "ratio", "note"]
            out.append(make_table(head, rows, [24, 11, 25, 10, 30], ["timings"]))
            # Once for benchmarks in a row that were measured in the same place.
            if places[number] not in places[number + 1 : number + 2]:
                words = [f"{key} {value}" for key, value in places[number].items()]
                out.append(nodes.paragraph(text="; ".join(words) + ".", classes=["measured-on"]))
        return out


def setup(app):
    app.add_directive("claims-table", Claims)
    app.add_directive("claims-figures", Figures)
    app.add_role("measured", Measured())
    app.add_directive("theorem-table", Properties)
    app.add_directive("papers-table", Papers)
    app.add_directive("timings-table", Timings)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

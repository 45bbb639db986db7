from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from scinn.reproduce.figures import draw
from scinn.reproduce.report import duration, number_text
from scinn.reproduce.runner import RunConfig, run

VOID = {"meta", "input", "img", "br", "link"}


class Page(HTMLParser):
    """Checks that tags are closed in order, and collects links, sources and text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.stack: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.ids: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.stack.append(tag)
        for name, value in attrs:
            if name == "href":
                self.links.append(value)
            elif name in ("src", "srcset"):
                self.sources.append(value)
            elif name == "id":
                self.ids.append(value)

    def handle_endtag(self, tag):
        assert self.stack, f"</{tag}> closes nothing"
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def page(toy, tmp_path):
    run(RunConfig(budget="smoke", out=tmp_path))
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    parsed = Page()
    parsed.feed(text)
    return text, parsed, tmp_path


def test_the_page_is_well_formed_and_needs_no_network(page):
    text, parsed, folder = page
    assert parsed.stack == []
    assert len(set(parsed.ids)) == len(parsed.ids)
    assert all(source.startswith("data:image/svg+xml;base64,") for source in parsed.sources)
    outside = [link for link in parsed.links if link.startswith("http")]
    assert outside == ["https://arxiv.org/abs/2102.06986"]
    for link in parsed.links:
        if link.startswith("#"):
            assert link[1:] in parsed.ids
        elif not link.startswith(("http", "data:")):
            assert (folder / link).is_file()
    assert "@import" not in text
    assert "url(" not in text


def test_the_page_shows_every_claim_as_plainly_as_any_other(page):
    _, parsed, folder = page
    for record in json.loads((folder / "claims.json").read_text())["claims"]:
        assert record["statement"] in parsed.text
        assert record["reason"] in parsed.text
        assert f"{record['claim'].partition(':')[2]}" in parsed.text
    assert "scinn reproduce 'framelets:mean[n=50,kind=plain]' --budget smoke --seed 0" in parsed.text
    assert "80.00 ± 0.50" in parsed.text
    assert "n = 3, −9.96 against the paper" in parsed.text


def test_words_of_claims_cannot_inject_markup(page):
    text, _, _ = page
    assert "is &lt;b&gt;not&lt;/b&gt; 90" in text
    assert "numbers &amp; take" in text


def test_the_script_is_short():
    from importlib import resources

    script = resources.files("scinn.reproduce").joinpath("templates/report.js").read_text()
    assert len(script.splitlines()) <= 40


def test_figures_are_equal_byte_by_byte_and_carry_no_date(page, toy, tmp_path):
    _, _, folder = page
    from scinn.reproduce.claims import Cell, Results
    from scinn.reproduce.journal import read_records

    records = read_records(folder / "journal.jsonl")
    results = Results({Cell(r["experiment"], r["params"], r["seed"]): r["result"] for r in records})
    again = draw("framelets", results, "smoke", tmp_path / "again")
    for path in (tmp_path / "again" / "figures").iterdir():
        assert path.read_bytes() == (folder / "figures" / path.name).read_bytes()
    assert not re.search(r"<dc:date>|\d{4}-\d\d-\d\dT", again[0].svg)
    assert again[0].csv.splitlines()[0] == "seed,mean"


@pytest.mark.parametrize(
    ("value", "unit", "spread", "text"),
    [
        (None, "%", None, "–"),
        (float("nan"), "", None, "–"),
        (83.456, "%", 0.5, "83.46"),
        (-1.4567, "points", None, "−1.46"),
        (3.0, "", None, "3"),
        (0.123456, "", 0.01, "0.123"),
        (1.5e-13, "", 1e-14, "1.50e-13"),
        (2.5e7, "", None, "2.50e+07"),
    ],
)
def test_numbers_are_written_as_people_write_them(value, unit, spread, text):
    assert number_text(value, unit, spread) == text


def test_durations():
    assert [duration(s) for s in (0.0, 59.94, 60, 3599, 3600)] == [
        "0.0 s",
        "59.9 s",
        "1 min 0 s",
        "59 min 59 s",
        "1 h 0 min",
    ]

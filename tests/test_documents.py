"""What the documents say must be so: their code runs, their tables are the registry's, their version is the package's."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

import scinn
from scinn.papers import PAPERS

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.skipif(not (ROOT / "README.md").is_file(), reason="tests run without the repository")


def python_blocks(name: str) -> list[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def test_six_lines_of_the_readme_end_in_a_plot(tmp_path, monkeypatch):
    (block,) = python_blocks("README.md")
    assert len([line for line in block.splitlines() if line.strip()]) == 6
    monkeypatch.chdir(tmp_path)
    (tmp_path / "six_lines.py").write_text(block)
    names = runpy.run_path(str(tmp_path / "six_lines.py"))
    assert names["details"].shape == (2, 400)
    assert (tmp_path / "framelets.svg").read_text().lstrip().startswith("<?xml")


def test_verification_page_finds_the_wrong_transpose(tmp_path):
    (block,) = python_blocks("docs/verify.md")
    (tmp_path / "block.py").write_text(block)
    names = runpy.run_path(str(tmp_path / "block.py"))
    assert names["good"].passed
    assert not names["bad"].passed
    assert names["bad"].counter_example


def test_readme_lists_the_papers_of_the_registry():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| `([\w-]+)` \| \[(.*?)\]\((.*?)\) \| (.*?) \| \**(\w+)\** \|$", text, flags=re.MULTILINE
    )
    assert rows == [(p.key, p.title, p.url, p.subject, p.status) for p in PAPERS.values()]


def test_citation_file_and_changelog_know_the_version():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {scinn.__version__}\n" in citation
    assert f"\n## {scinn.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("key", [p.key for p in PAPERS.values() if p.status == "built"])
def test_every_built_paper_has_its_page(key):
    page = (ROOT / "docs" / "papers" / f"{key}.md").read_text(encoding="utf-8")
    for directive in ("theorem-table", "claims-table", "claims-figures"):
        assert f"```{{{directive}}} {key}\n" in page

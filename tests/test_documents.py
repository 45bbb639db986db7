"""What the documents say must be so: their code runs, their tables are the registry's, their version is the package's."""

from __future__ import annotations

import json
import re
import runpy
from collections import Counter
from pathlib import Path

import pytest

import scinn
from scinn.papers import PAPERS
from scinn.reproduce.claims import select_claims
from scinn.reproduce.report import measured_text
from scinn.verify import fourier_stabilization as stabilization_properties
from scinn.verify import framelets as properties
from scinn.verify import heavy_tailed_priors as inversion_properties

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


def test_numbers_of_the_readme_are_the_recorded_ones():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    results = ROOT / "docs" / "results"
    claims = json.loads((results / "framelets" / "claims.json").read_text(encoding="utf-8"))["claims"]
    measured = {c["claim"]: measured_text(c) for c in claims}
    for variant, title in (("relu", "R"), ("shrink", "S")):
        assert (
            f"UFGConv-{title} {measured[f'framelets:accuracy[dataset=cora,variant={variant}]']} %" in readme
        )
    verdicts = Counter(c["verdict"] for c in claims)
    words = (
        f"of {len(claims)} claims {verdicts['reproduced']} reproduced, {verdicts['direction holds']} in direction, "
        f"{verdicts['not reproduced']} not"
    )
    assert words in readme
    assert f"[{len(properties.PROPERTIES)}, and their tests]" in readme
    benchmarks = json.loads((results / "bench" / "bench.json").read_text(encoding="utf-8"))["benchmarks"]
    rows = [row for bench in benchmarks for row in bench["rows"]]
    ratios = [row["ratio"] for row in rows if row["peer"].startswith("PyGSP")]
    assert f"{min(ratios):.1f} to {max(ratios):.1f} x PyGSP" in readme
    (epoch,) = [row["ratio"] for row in rows if row["peer"].startswith("released code")]
    assert f"{epoch:.1f} x the released code" in readme


def test_numbers_of_the_readme_on_stabilisation_are_the_recorded_ones():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    results = ROOT / "docs" / "results"
    path = results / "fourier-stabilization" / "claims.json"
    claims = json.loads(path.read_text(encoding="utf-8"))["claims"]
    measured = {c["claim"].partition(":")[2]: measured_text(c) for c in claims}
    for dataset, title in (("pdfrate", "PDFRate"), ("hidost", "Hidost")):
        gain = measured[f"gain[dataset={dataset},attack=jsma,floor=0.99]"]
        assert f"{gain} in l1 on {title}" in readme or f"{gain} on {title}" in readme
    verdicts = Counter(c["verdict"] for c in claims)
    words = (
        f"of {len(claims)} claims {verdicts['reproduced']} reproduced, {verdicts['direction holds']} in direction, "
        f"{verdicts['not reproduced']} not"
    )
    assert words in readme
    assert f"[{len(stabilization_properties.PROPERTIES)}, and their tests]" in readme
    benchmarks = json.loads((results / "bench" / "bench.json").read_text(encoding="utf-8"))["benchmarks"]
    ratios = {row["case"]: row["ratio"] for bench in benchmarks for row in reversed(bench["rows"])}
    chow = ratios["PDFRate: one neuron, n = 135"]
    assert f"Chow parameters {chow:.0f} x the authors' estimator" in readme
    assert f"JSMA {ratios['PDFRate: JSMA on 2016 points']:.1f} x the same in NumPy" in readme


def test_numbers_of_the_readme_on_heavy_tails_are_the_recorded_ones():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    results = ROOT / "docs" / "results"
    claims = json.loads((results / "heavy-tailed-priors" / "claims.json").read_text(encoding="utf-8"))[
        "claims"
    ]
    measured = {c["claim"].partition(":")[2]: measured_text(c) for c in claims}
    assert f"{measured['map[truth=jumps,law=ccg]']} of that with Gaussian weights" in readme
    assert f"in the plane {measured['map-2d[law=ccc]']};" in readme
    verdicts = Counter(c["verdict"] for c in claims)
    words = (
        f"of {len(claims)} claims {verdicts['reproduced']} reproduced, {verdicts['direction holds']} in direction, "
        f"{verdicts['not reproduced']} not"
    )
    assert words in readme
    assert f"[{len(inversion_properties.PROPERTIES)}, and their tests]" in readme
    benchmarks = json.loads((results / "bench" / "bench.json").read_text(encoding="utf-8"))["benchmarks"]
    (rows,) = [bench["rows"] for bench in benchmarks if bench["name"] == "pcn"]
    first, second = [
        r["ratio"] for r in rows if r["peer"].startswith("CUQIpy") and "step" in r["case"].lower()
    ]
    assert f"pCN steps {first:.0f} x and {second:.0f} x CUQIpy's" in readme


@pytest.mark.parametrize("key", [p.key for p in PAPERS.values() if p.status == "built"])
def test_recorded_results_are_of_the_claims_of_today(key):
    path = ROOT / "docs" / "results" / key / "claims.json"
    recorded = {c["claim"]: c for c in json.loads(path.read_text(encoding="utf-8"))["claims"]}
    today = {claim.id: claim for claim in select_claims((key,))}
    assert list(recorded) == list(today)
    for name, claim in today.items():
        record = recorded[name]
        assert (record["statement"], record["success_rule"]) == (claim.statement, claim.success_rule)
        assert record["protocol"]["text"] == claim.protocol


def test_links_of_the_readme_lead_somewhere():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?://)(.*?)\)", readme):
        path, _, anchor = target.partition("#")
        assert (ROOT / path).exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", (ROOT / path).read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}, target

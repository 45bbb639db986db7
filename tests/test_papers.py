from __future__ import annotations

import re

import pytest

import scinn
from scinn.papers import PAPERS, bibliography, bibtex, cite, nearest

KEYS = [
    "dynhp", "heavy-tailed-priors", "causal-pruning", "elastic-link", "gnn-membership-inference", "chip", "admm-gcn",
    "fourier-stabilization", "framelets", "reversible-rnn", "dgnn",
]  # fmt: skip


def test_the_eleven_keys_never_change():
    assert list(PAPERS) == KEYS
    with pytest.raises(TypeError):
        PAPERS["chip"] = None


def test_every_paper_agrees_with_its_entry_in_the_bibliography():
    for paper in PAPERS.values():
        entry = bibliography()[paper.bibtex_key]
        assert entry["year"] == str(paper.year)
        assert entry["eprint"] == paper.arxiv
        assert entry["title"].replace("{", "").replace("}", "") == paper.title
        assert len(re.split(r"\s+and\s+", entry["author"])) == len(paper.authors)
        for name in paper.authors:
            assert name.rpartition(" ")[2] in cite(paper.key, format="text")
        assert paper.status in ("built", "planned")


def test_a_paper_is_built_exactly_where_it_has_claims():
    from scinn.reproduce.claims import MODULES

    assert {paper.key for paper in PAPERS.values() if paper.status == "built"} == set(MODULES)


def test_every_entry_parses_with_balanced_braces_and_the_needed_fields():
    for key, entry in bibliography().items():
        text = entry["BIBTEX"]
        assert text.startswith(f"@{entry['ENTRYTYPE']}{{{key},")
        assert text.count("{") == text.count("}")
        assert {"author", "title", "year"} <= set(entry)
        if entry["ENTRYTYPE"] == "article":
            assert "journal" in entry
        if entry["ENTRYTYPE"] == "inproceedings":
            assert "booktitle" in entry


def test_every_citation_of_a_data_set_is_in_the_bibliography():
    from scinn.datasets import DATASETS

    for info in DATASETS.values():
        assert not info.citation or info.citation in bibliography()


@pytest.mark.parametrize("form", ["bibtex", "text", "cff"])
def test_everything_can_be_cited(form):
    text = cite(*PAPERS, *bibliography(), "scinn", format=form)
    # In text each entry is one paragraph; papers and their entries are the same thing.
    assert "{" not in text or form == "bibtex"
    if form == "bibtex":
        assert len(re.findall(r"(?m)^@\w+\{", text)) >= len(bibliography()) + 1
    assert scinn.__version__ in text


def test_accents_and_particles_come_out_right():
    text = cite("framelets", "defferrard2017pygsp", format="text")
    assert "Pietro Liò" in text
    assert "Guido Montúfar" in text
    assert "Michaël Defferrard" in text
    assert "and others" not in cite("harris2020numpy", format="text")
    assert 'name: "The scinn developers"' in cite(format="cff")


def test_unknown_names_are_answered_with_near_ones():
    with pytest.raises(ValueError, match="did you mean framelets"):
        cite("framelet")
    with pytest.raises(ValueError, match="format must be one of bibtex, text, cff; got 'bib'"):
        cite("chip", format="bib")
    with pytest.raises(ValueError, match="did you mean kipf2017semi"):
        bibtex("kipf2017")
    assert nearest("zzz", ["a", "b"]) == "; there are: a, b"
    assert scinn.cite("chip") == cite("chip")

"""The eleven papers under their immutable keys, and the one bibliography behind every citation.

The keys name modules, claims, commands, documentation pages and citations alike. ``references.bib`` beside this file
feeds the documentation, the docstrings and ``scinn cite``.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

from scinn._version import __version__

__all__ = ["PAPERS", "Paper", "bibliography", "bibtex", "cite", "nearest"]


@dataclass(frozen=True)
class Paper:
    """One of the papers that scinn implements.

    Parameters
    ----------
    key : str
        Immutable name, used everywhere.
    title : str
        As printed.
    authors : tuple of str
        In the paper's order.
    year : int
        Of publication.
    venue : str
        Conference or journal, short.
    arxiv : str
        Number of the preprint.
    bibtex_key : str
        Entry in ``references.bib``.
    subject : str
        What a user gets, in a few words.
    status : {"built", "planned"}
        Whether it can be used today.
    """

    key: str
    title: str
    authors: tuple[str, ...]
    year: int
    venue: str
    arxiv: str
    bibtex_key: str
    subject: str
    status: str = "planned"

    @property
    def url(self) -> str:
        """Address of the preprint."""
        return f"https://arxiv.org/abs/{self.arxiv}"

    def to_dict(self) -> dict[str, object]:
        """Return the fields as what JSON can hold."""
        fields = ("key", "title", "year", "venue", "arxiv", "url", "bibtex_key", "subject", "status")
        return {name: getattr(self, name) for name in fields} | {"authors": list(self.authors)}


_ALL = (
    Paper(
        "dynhp",
        "Dynamic Hard Pruning of Neural Networks at the Edge of the Internet",
        ("Lorenzo Valerio", "Franco Maria Nardini", "Andrea Passarella", "Raffaele Perego"),
        2022,
        "Journal of Network and Computer Applications",
        "2011.08545",
        "valerio2022dynhp",
        "prune neurons for good during training, under a memory budget",
    ),
    Paper(
        "heavy-tailed-priors",
        "Bayesian neural network priors for edge-preserving inversion",
        ("Chen Li", "Matthew Dunlop", "Georg Stadler"),
        2022,
        "Inverse Problems and Imaging",
        "2112.10663",
        "li2022bayesian",
        "network priors with heavy tails for images and signals with edges",
        "built",
    ),
    Paper(
        "causal-pruning",
        "On Causal Inference for Data-free Structured Pruning",
        ("Martin Ferianc", "Anush Sankaran", "Olivier Mastropietro", "Ehsan Saboori", "Quentin Cappart"),
        2021,
        "AAAI-22 workshop ITCI",
        "2112.10229",
        "ferianc2021causal",
        "score structures for pruning without any data",
    ),
    Paper(
        "elastic-link",
        "Elastic-Link for Binarized Neural Networks",
        ("Jie Hu", "Ziheng Wu", "Vince Tan", "Zhilin Lu", "Mengze Zeng", "Enhua Wu"),
        2022,
        "AAAI",
        "2112.10149",
        "hu2022elastic",
        "binarised networks with a real-valued bypass",
    ),
    Paper(
        "gnn-membership-inference",
        "Membership Inference Attack on Graph Neural Networks",
        ("Iyiola E. Olatunji", "Wolfgang Nejdl", "Megha Khosla"),
        2021,
        "IEEE TPS-ISA",
        "2101.06570",
        "olatunji2021membership",
        "does a graph model betray its training nodes, and two defences",
    ),
    Paper(
        "chip",
        "CHIP: CHannel Independence-based Pruning for Compact Neural Networks",
        ("Yang Sui", "Miao Yin", "Yi Xie", "Huy Phan", "Saman Aliari Zonouz", "Bo Yuan"),
        2021,
        "NeurIPS",
        "2110.13981",
        "sui2021chip",
        "rank filters by how replaceable their feature maps are",
    ),
    Paper(
        "admm-gcn",
        "Community-based Layerwise Distributed Training of Graph Convolutional Networks",
        ("Hongyi Li", "Junxiang Wang", "Yongchao Wang", "Yue Cheng", "Liang Zhao"),
        2021,
        "NeurIPS workshop OPT",
        "2112.09335",
        "li2021community",
        "train a graph network by layers and communities, without backpropagation",
    ),
    Paper(
        "fourier-stabilization",
        "Enhancing Robustness of Neural Networks through Fourier Stabilization",
        ("Netanel Raviv", "Aidan Kelley", "Minzhe Guo", "Yevgeniy Vorobeychik"),
        2021,
        "ICML",
        "2106.04435",
        "raviv2021enhancing",
        "make detectors on binary features harder to evade, in closed form",
        "built",
    ),
    Paper(
        "framelets",
        "How Framelets Enhance Graph Neural Networks",
        (
            "Xuebin Zheng",
            "Bingxin Zhou",
            "Junbin Gao",
            "Yu Guang Wang",
            "Pietro Liò",
            "Ming Li",
            "Guido Montúfar",
        ),
        2021,
        "ICML",
        "2102.06986",
        "zheng2021framelets",
        "multi-scale transform, convolution, shrinkage and pooling on graphs",
        "built",
    ),
    Paper(
        "reversible-rnn",
        "Reversible Recurrent Neural Networks",
        ("Matthew MacKay", "Paul Vicol", "Jimmy Ba", "Roger Grosse"),
        2018,
        "NeurIPS",
        "1810.10999",
        "mackay2018reversible",
        "recurrent networks that store bits instead of states",
        "built",
    ),
    Paper(
        "dgnn",
        "Streaming Graph Neural Networks",
        ("Yao Ma", "Ziyi Guo", "Zhaochun Ren", "Jiliang Tang", "Dawei Yin"),
        2020,
        "SIGIR",
        "1810.10627",
        "ma2020streaming",
        "node vectors kept up to date edge by edge",
    ),
)

#: The papers in the order of the documentation, by key.
PAPERS: Mapping[str, Paper] = MappingProxyType({paper.key: paper for paper in _ALL})

_ENTRY = re.compile(r"@(\w+)\s*\{\s*([^,\s]+)\s*,")
_FIELD = re.compile(r"(\w+)\s*=\s*")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean ...?"`` for the end of an error message, or the list of what exists."""
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return f"; did you mean {' or '.join(close)}?"
    return f"; there are: {', '.join(names)}" if names else ""


def _braced(text: str, start: int) -> int:
    """Return the position just past the brace group that opens at `start`."""
    depth = 0
    for i in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return i + 1
    raise ValueError(f"references.bib: the brace at character {start} is never closed")


@functools.cache
def _source() -> str:
    return resources.files("scinn").joinpath("references.bib").read_text(encoding="utf-8")


@functools.cache
def bibliography() -> Mapping[str, Mapping[str, str]]:
    """Return every entry of ``references.bib``: key -> its fields, with ``ENTRYTYPE`` and the text in ``BIBTEX``.

    Returns
    -------
    mapping
        Read-only, in the order of the file.

    Examples
    --------
    >>> bibliography()["zheng2021framelets"]["year"]
    '2021'
    """
    text, entries = _source(), {}
    for match in _ENTRY.finditer(text):
        end = _braced(text, text.index("{", match.start()))
        fields = {"ENTRYTYPE": match[1].lower(), "BIBTEX": text[match.start() : end]}
        at = match.end()
        while (found := _FIELD.search(text, at, end)) is not None:
            stop = _braced(text, found.end())
            fields[found[1].lower()] = " ".join(text[found.end() + 1 : stop - 1].split())
            at = stop
        if match[2] in entries:
            raise ValueError(f"references.bib: {match[2]} appears twice")
        entries[match[2]] = MappingProxyType(fields)
    return MappingProxyType(entries)


def bibtex(key: str) -> str:
    """Return the BibTeX text of an entry of the bibliography.

    Raises
    ------
    ValueError
        Where there is no such entry; the message names near ones.
    """
    entries = bibliography()
    if key not in entries:
        raise ValueError(f"references.bib has no entry {key!r}{nearest(key, entries)}")
    return entries[key]["BIBTEX"]


_ACCENTS = {
    r"{\"e}": "ë",
    r"{\`o}": "ò",
    r"{\'u}": "ú",
    r"{\"o}": "ö",
    r"{\"u}": "ü",
    r"{\'e}": "é",
    r"{\"a}": "ä",
    r"{\'i}": "í",
    r"{\o}": "ø",
    r"{\'a}": "á",
}


def _unbraced(value: str) -> str:
    for written, letter in _ACCENTS.items():
        value = value.replace(written, letter)
    return value.replace("--", "–").replace("{", "").replace("}", "").replace(r"\&", "&")


def _names(value: str) -> list[tuple[str, str]]:
    """Split a BibTeX author list into (given names, family name)."""
    people = []
    for person in re.split(r"\s+and\s+", value):
        if person.startswith("{"):
            people.append(("", _unbraced(person)))
            continue
        family, comma, given = person.partition(",")
        if not comma:
            given, _, family = person.rpartition(" ")
        people.append((_unbraced(given.strip()), _unbraced(family.strip())))
    return people


def _as_text(fields: Mapping[str, str]) -> str:
    people = [f"{given} {family}".strip() for given, family in _names(fields["author"])]
    if people[-1] == "others":
        authors = ", ".join(people[:-1]) + " et al"
    else:
        authors = " and ".join(filter(None, (", ".join(people[:-1]), people[-1])))
    place = next((_unbraced(fields[k]) for k in ("journal", "booktitle", "publisher") if k in fields), "")
    if "volume" in fields:
        place += f" {fields['volume']}" + (f"({fields['number']})" if "number" in fields else "")
    if "pages" in fields:
        place += f", {_unbraced(fields['pages'])}"
    parts = [f"{authors}. {_unbraced(fields['title'])}."]
    if place:
        parts.append(f"{place}, {fields['year']}." if "year" in fields else f"{place}.")
    elif "year" in fields:
        parts.append(f"{fields['year']}.")
    if "version" in fields:
        parts.append(f"Version {fields['version']}.")
    if "doi" in fields:
        parts.append(f"doi:{fields['doi']}.")
    elif "eprint" in fields:
        parts.append(f"arXiv:{fields['eprint']}.")
    elif "url" in fields:
        parts.append(f"{fields['url']}")
    return " ".join(parts)


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _as_cff(fields: Mapping[str, str]) -> str:
    kinds = {"article": "article", "inproceedings": "conference-paper", "software": "software"}
    lines = [
        f"- type: {kinds.get(fields['ENTRYTYPE'], 'generic')}",
        f"  title: {_quoted(_unbraced(fields['title']))}",
    ]
    lines.append("  authors:")
    for given, family in _names(fields["author"]):
        if family == "others":
            continue
        if given:
            lines += [f"    - family-names: {_quoted(family)}", f"      given-names: {_quoted(given)}"]
        else:
            lines.append(f"    - name: {_quoted(family)}")
    if "year" in fields:
        lines.append(f"  year: {fields['year']}")
    for name, target in (("journal", "journal"), ("booktitle", "collection-title"), ("volume", "volume")):
        if name in fields:
            lines.append(f"  {target}: {_quoted(_unbraced(fields[name]))}")
    for name in ("doi", "url", "version"):
        if name in fields:
            lines.append(f"  {name}: {_quoted(fields[name])}")
    if "eprint" in fields and "url" not in fields:
        lines.append(f"  url: {_quoted('https://arxiv.org/abs/' + fields['eprint'])}")
    return "\n".join(lines)


def _scinn_itself() -> Mapping[str, str]:
    title = "scinn: neural-network papers as transparent, fast, verified CPU reference implementations"
    text = (
        f"@software{{scinn,\n  author  = {{{{The scinn developers}}}},\n  title   = {{{title}}},\n"
        f"  version = {{{__version__}}}\n}}"
    )
    return {
        "ENTRYTYPE": "software",
        "BIBTEX": text,
        "author": "{The scinn developers}",
        "title": title,
        "version": __version__,
    }


def cite(*keys: str, format: str = "bibtex") -> str:
    """Return how to cite papers, data sets, libraries or scinn itself.

    Parameters
    ----------
    *keys : str
        Paper keys (``"framelets"``), keys of ``references.bib``, or ``"scinn"``. None: scinn.
    format : {"bibtex", "text", "cff"}
        BibTeX entries, one sentence each, or entries for the ``references`` of a ``CITATION.cff``.

    Returns
    -------
    str
        Entries separated by empty lines.

    Raises
    ------
    ValueError
        For an unknown key or format.

    Examples
    --------
    >>> print(cite("reversible-rnn", format="text"))
    Matthew MacKay, Paul Vicol, Jimmy Ba and Roger Grosse. Reversible Recurrent Neural Networks. Advances in
    Neural Information Processing Systems 31, 9029–9040, 2018. arXiv:1810.10999.
    """
    formats = {"bibtex": lambda fields: fields["BIBTEX"], "text": _as_text, "cff": _as_cff}
    if format not in formats:
        raise ValueError(
            f"format must be one of {', '.join(formats)}; got {format!r}{nearest(format, formats)}"
        )
    entries, chosen = bibliography(), []
    for key in dict.fromkeys(keys or ("scinn",)):
        if key == "scinn":
            chosen.append(_scinn_itself())
            continue
        entry = PAPERS[key].bibtex_key if key in PAPERS else key
        if entry not in entries:
            raise ValueError(f"nothing to cite is called {key!r}{nearest(key, [*PAPERS, 'scinn', *entries])}")
        chosen.append(entries[entry])
    between = "\n" if format == "cff" else "\n\n"
    return between.join(formats[format](fields) for fields in chosen)

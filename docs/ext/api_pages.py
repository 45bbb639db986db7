"""Write one API page for each public module from its ``__all__``, before Sphinx looks for sources."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

#: Module -> what it is for, in the order of the sidebar.
MODULES = {
    "scinn.graphs": "Graphs, framelets and graph layers",
    "scinn.robustness": "Detectors on binary features: stabilisation, Chow parameters, attacks, certificates",
    "scinn.inverse": "Inversion with heavy-tailed network priors: posteriors, MAP, samplers, ensembles",
    "scinn.recurrent": "Reversible recurrent networks, language models and translation on them",
    "scinn.nn": "Layers, networks, losses, optimisers, training",
    "scinn.verify": "Checks of the contracts, for our code and yours",
    "scinn.datasets": "Data sets and splits",
    "scinn.reproduce": "Claims and the runs that judge them",
    "scinn.bench": "Side-by-side timings",
    "scinn.reference": "Slow, obvious definitions",
    "scinn.papers": "The registry of papers and citations",
    "scinn.random": "Keyed random streams",
    "scinn.exceptions": "Warnings and errors",
}


def _kind(value: object) -> str:
    if inspect.isclass(value):
        return "Classes"
    if inspect.ismodule(value):
        return "Modules"
    return "Functions" if callable(value) else "Data"


def _first_sentence(module: object) -> str:
    text = inspect.getdoc(module) or ""
    return text.split("\n\n")[0]


def _summary(heading: str, names: list[str], about: str = "") -> list[str]:
    lines = [heading, "-" * len(heading), "", *([about, ""] if about else [])]
    lines += [".. autosummary::", "   :toctree: objects", "   :nosignatures:", ""]
    return [*lines, *(f"   {name}" for name in sorted(names)), ""]


def _page(name: str, title: str) -> str:
    module = importlib.import_module(name)
    lines = [name, "=" * len(name), "", f"*{title}.*", "", _first_sentence(module), ""]
    lines += [f".. currentmodule:: {name}", ""]
    groups: dict[str, list[str]] = {}
    for public in module.__all__:
        groups.setdefault(_kind(getattr(module, public)), []).append(public)
    for group in ("Classes", "Functions"):
        if group in groups:
            lines += _summary(group, groups[group])
    for public in groups.get("Modules", []):
        inner = getattr(module, public)
        lines += _summary(public, [f"{public}.{each}" for each in inner.__all__], _first_sentence(inner))
    if "Data" in groups:
        lines += ["Data", "----", ""]
        kinds = {public: type(getattr(module, public)).__name__ for public in groups["Data"]}
        lines += [f"* ``{public}`` : {kind}" for public, kind in kinds.items()] + [""]
    return "\n".join(lines) + "\n"


def write_pages(app, config) -> None:
    folder = Path(app.srcdir) / "generated" / "api"
    folder.mkdir(parents=True, exist_ok=True)
    for name, title in MODULES.items():
        target, text = folder / f"{name}.rst", _page(name, title)
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")


def skip_member(app, what, name, member, skip, options):
    # Fields of a NamedTuple document themselves as "Alias for field number 0"; the class docstring says what they are.
    if type(member).__name__ == "_tuplegetter":
        return True
    # What an estimator inherits is described where it comes from; its cross-references lead nowhere here.
    if (getattr(member, "__module__", None) or "").startswith("sklearn."):
        return True
    return None


def setup(app):
    app.connect("config-inited", write_pages)
    app.connect("autodoc-skip-member", skip_member)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Graphs: normalised Laplacians, undecimated framelets, shrinkage, and message-passing layers with their gradients.

Names are loaded at their first use, so that importing this package loads no more than what is used of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scinn.graphs.banks import FilterBank
    from scinn.graphs.framelets import FrameletTransform
    from scinn.graphs.graph import Graph, GraphBatch, Spectrum
    from scinn.graphs.tightness import TightnessReport

_HOME = {
    "FilterBank": "banks",
    "FrameletTransform": "framelets",
    "Graph": "graph",
    "GraphBatch": "graph",
    "Spectrum": "graph",
    "TightnessReport": "tightness",
}
_SUBMODULES = ("banks", "chebyshev", "framelets", "graph", "matrix_free", "tightness")

__all__ = [
    "FilterBank",
    "FrameletTransform",
    "Graph",
    "GraphBatch",
    "Spectrum",
    "TightnessReport",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"scinn.graphs.{_HOME[name]}"), name)
    if name in _SUBMODULES:
        return importlib.import_module(f"scinn.graphs.{name}")
    raise AttributeError(f"module 'scinn.graphs' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES})

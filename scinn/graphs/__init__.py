"""Graphs: normalised Laplacians, undecimated framelets, shrinkage, and message-passing layers with their gradients.

Names are loaded at their first use, so that importing this package loads no more than what is used of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scinn.graphs.banks import FilterBank
    from scinn.graphs.convolution import GCNConv, UFGConv
    from scinn.graphs.denoising import CompressResult, DenoiseResult, compress, denoise
    from scinn.graphs.framelets import FrameletTransform
    from scinn.graphs.graph import Graph, GraphBatch, Spectrum
    from scinn.graphs.models import (
        NodeClassifier,
        gcn_network,
        graph_classifier,
        mlp_network,
        ufg_network,
    )
    from scinn.graphs.pooling import GraphPool, UFGPool
    from scinn.graphs.shrinkage import (
        energy_scales,
        estimate_noise,
        hard_threshold,
        nonzero_share,
        shrink_bands,
        soft_threshold,
        sure_threshold,
        universal_threshold,
    )
    from scinn.graphs.tightness import TightnessReport
    from scinn.graphs.training import train_graph_classifier, train_node_classifier

_HOME = {
    "CompressResult": "denoising",
    "DenoiseResult": "denoising",
    "FilterBank": "banks",
    "FrameletTransform": "framelets",
    "GCNConv": "convolution",
    "Graph": "graph",
    "GraphBatch": "graph",
    "GraphPool": "pooling",
    "NodeClassifier": "models",
    "Spectrum": "graph",
    "TightnessReport": "tightness",
    "UFGConv": "convolution",
    "UFGPool": "pooling",
    "compress": "denoising",
    "denoise": "denoising",
    "energy_scales": "shrinkage",
    "estimate_noise": "shrinkage",
    "gcn_network": "models",
    "graph_classifier": "models",
    "hard_threshold": "shrinkage",
    "mlp_network": "models",
    "nonzero_share": "shrinkage",
    "shrink_bands": "shrinkage",
    "soft_threshold": "shrinkage",
    "sure_threshold": "shrinkage",
    "train_graph_classifier": "training",
    "train_node_classifier": "training",
    "ufg_network": "models",
    "universal_threshold": "shrinkage",
}
_SUBMODULES = ("chebyshev", "matrix_free", *sorted(set(_HOME.values())))

__all__ = [
    "CompressResult",
    "DenoiseResult",
    "FilterBank",
    "FrameletTransform",
    "GCNConv",
    "Graph",
    "GraphBatch",
    "GraphPool",
    "NodeClassifier",
    "Spectrum",
    "TightnessReport",
    "UFGConv",
    "UFGPool",
    "compress",
    "denoise",
    "energy_scales",
    "estimate_noise",
    "gcn_network",
    "graph_classifier",
    "hard_threshold",
    "mlp_network",
    "nonzero_share",
    "shrink_bands",
    "soft_threshold",
    "sure_threshold",
    "train_graph_classifier",
    "train_node_classifier",
    "ufg_network",
    "universal_threshold",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        # Kept, so that a function stays visible beside a submodule of the same name.
        globals()[name] = getattr(importlib.import_module(f"scinn.graphs.{_HOME[name]}"), name)
        return globals()[name]
    if name in _SUBMODULES:
        return importlib.import_module(f"scinn.graphs.{name}")
    raise AttributeError(f"module 'scinn.graphs' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES})

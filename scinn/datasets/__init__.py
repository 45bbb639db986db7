"""Data sets: embedded, generated, or read from checked files; NamedTuples of arrays and CSR matrices.

:func:`load` is the one entrance; :data:`DATASETS` says what there is, with licence, origin and checksums.
"""

from __future__ import annotations

from scinn.datasets.generators import (
    grid_graph,
    path_graph,
    piecewise_smooth_signal,
    random_geometric_graph,
    ring_graph,
    stochastic_block_model,
)
from scinn.datasets.loading import available, checksum, fetch, how_to_get, load
from scinn.datasets.registry import DATASETS, DatasetInfo, SourceFile, list_datasets, lookup
from scinn.datasets.splits import class_split, random_split, stratified_folds, stratified_split
from scinn.datasets.structures import (
    Dataset,
    GraphCollection,
    ImageDataset,
    NodeDataset,
    SignalDataset,
    SpatialGraph,
)

__all__ = [
    "DATASETS",
    "Dataset",
    "DatasetInfo",
    "GraphCollection",
    "ImageDataset",
    "NodeDataset",
    "SignalDataset",
    "SourceFile",
    "SpatialGraph",
    "available",
    "checksum",
    "class_split",
    "fetch",
    "grid_graph",
    "how_to_get",
    "list_datasets",
    "load",
    "lookup",
    "path_graph",
    "piecewise_smooth_signal",
    "random_geometric_graph",
    "random_split",
    "ring_graph",
    "stochastic_block_model",
    "stratified_folds",
    "stratified_split",
]

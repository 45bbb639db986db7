"""Data sets: embedded, generated, or read from checked files; NamedTuples of arrays and CSR matrices.

:func:`load` is the one entrance; :data:`DATASETS` says what there is, with licence, origin and checksums.
:func:`load_weights` does the same for trained networks of others, :data:`WEIGHTS`.
"""

from __future__ import annotations

from scinn.datasets.augment import CropFlip, crop_flip, draw_crop_flip, random_crop_flip
from scinn.datasets.binary import BinaryDataset, BinaryPart, BinarySplit, few_strong_features, read_libsvm
from scinn.datasets.generators import (
    grid_graph,
    path_graph,
    piecewise_smooth_signal,
    random_geometric_graph,
    ring_graph,
    stochastic_block_model,
)
from scinn.datasets.info import DatasetInfo, HandMade, SourceFile
from scinn.datasets.loading import available, checksum, fetch, how_to_get, load
from scinn.datasets.pixels import CIFAR10_MEAN, CIFAR10_STD, normalize_images
from scinn.datasets.registry import DATASETS, list_datasets, lookup
from scinn.datasets.splits import class_split, random_split, stratified_folds, stratified_split
from scinn.datasets.structures import (
    Dataset,
    GraphCollection,
    ImageDataset,
    NodeDataset,
    SignalDataset,
    SpatialGraph,
)
from scinn.datasets.weights import WEIGHTS, PretrainedWeights, WeightsInfo, list_weights, load_weights

__all__ = [
    "CIFAR10_MEAN",
    "CIFAR10_STD",
    "DATASETS",
    "WEIGHTS",
    "BinaryDataset",
    "BinaryPart",
    "BinarySplit",
    "CropFlip",
    "Dataset",
    "DatasetInfo",
    "GraphCollection",
    "HandMade",
    "ImageDataset",
    "NodeDataset",
    "PretrainedWeights",
    "SignalDataset",
    "SourceFile",
    "SpatialGraph",
    "WeightsInfo",
    "available",
    "checksum",
    "class_split",
    "crop_flip",
    "draw_crop_flip",
    "fetch",
    "few_strong_features",
    "grid_graph",
    "how_to_get",
    "list_datasets",
    "list_weights",
    "load",
    "load_weights",
    "lookup",
    "normalize_images",
    "path_graph",
    "piecewise_smooth_signal",
    "random_crop_flip",
    "random_geometric_graph",
    "random_split",
    "read_libsvm",
    "ring_graph",
    "stochastic_block_model",
    "stratified_folds",
    "stratified_split",
]

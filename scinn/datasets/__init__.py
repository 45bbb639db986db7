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
from scinn.datasets.sequence_tasks import (
    IGNORED,
    SequenceTask,
    copy_task,
    memory_task,
    repeat_task,
    reversal_task,
)
from scinn.datasets.splits import class_split, random_split, stratified_folds, stratified_split
from scinn.datasets.structures import (
    Dataset,
    GraphCollection,
    ImageDataset,
    NodeDataset,
    SignalDataset,
    SpatialGraph,
)
from scinn.datasets.text import (
    ParallelText,
    ParallelTextDataset,
    TextDataset,
    Vocabulary,
    limit_vocabulary,
    tokenize_words,
)
from scinn.datasets.text_batches import (
    SequenceBatch,
    batch_stream,
    bucketed_batches,
    encode_pairs,
    pad_batch,
)
from scinn.datasets.weights import WEIGHTS, PretrainedWeights, WeightsInfo, list_weights, load_weights

__all__ = [
    "CIFAR10_MEAN",
    "CIFAR10_STD",
    "DATASETS",
    "IGNORED",
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
    "ParallelText",
    "ParallelTextDataset",
    "PretrainedWeights",
    "SequenceBatch",
    "SequenceTask",
    "SignalDataset",
    "SourceFile",
    "SpatialGraph",
    "TextDataset",
    "Vocabulary",
    "WeightsInfo",
    "available",
    "batch_stream",
    "bucketed_batches",
    "checksum",
    "class_split",
    "copy_task",
    "crop_flip",
    "draw_crop_flip",
    "encode_pairs",
    "fetch",
    "few_strong_features",
    "grid_graph",
    "how_to_get",
    "limit_vocabulary",
    "list_datasets",
    "list_weights",
    "load",
    "load_weights",
    "lookup",
    "memory_task",
    "normalize_images",
    "pad_batch",
    "path_graph",
    "piecewise_smooth_signal",
    "random_crop_flip",
    "random_geometric_graph",
    "random_split",
    "read_libsvm",
    "repeat_task",
    "reversal_task",
    "ring_graph",
    "stochastic_block_model",
    "stratified_folds",
    "stratified_split",
    "tokenize_words",
]

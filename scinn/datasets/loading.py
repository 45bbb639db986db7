"""``load`` and what surrounds it: one call from a name to checked arrays."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array, eye_array

from scinn.datasets import binary, corpora, generators, images, planetoid, store, tu
from scinn.datasets.binary import BinaryDataset
from scinn.datasets.registry import DatasetInfo, list_datasets, lookup
from scinn.datasets.structures import Dataset, GraphCollection, ImageDataset, NodeDataset, SignalDataset
from scinn.datasets.text import ParallelTextDataset, TextDataset
from scinn.exceptions import ChecksumError, DataUnavailableError

__all__ = ["available", "checksum", "fetch", "how_to_get", "load"]


def load(name: str, **options: Any) -> Dataset:
    """Load a data set by name.

    Embedded and generated sets need no file. The others are looked for in ``$SCINN_DATA``, then in the user's
    cache, and at last downloaded once from their official address (never where ``SCINN_OFFLINE=1``). Some sets
    are not downloaded; the message then says how their file is made. Every file is held against the checksum
    of the registry before anything in it is believed.

    Parameters
    ----------
    name : str
        A name or alias from :data:`scinn.datasets.DATASETS`, for example ``"cora"``, ``"proteins"``,
        ``"digits"``.
    **options
        Options of generated sets (among them ``rng``, default 0) and of ``python-topics`` (``level``); the others
        take none.

    Returns
    -------
    NodeDataset, GraphCollection, ImageDataset, BinaryDataset, SignalDataset, TextDataset or ParallelTextDataset

    Raises
    ------
    ValueError
        Unknown name.
    DataUnavailableError
        The set is not here and cannot be downloaded; the message says how to get it.
    ChecksumError
        A file was altered.

    Examples
    --------
    >>> from scinn import datasets
    >>> digits = datasets.load("digits")
    >>> digits.images.shape, digits.n_classes
    ((1797, 8, 8, 1), 10)
    """
    info = lookup(name)
    if info.unavailable:
        raise DataUnavailableError(how_to_get(name))
    if info.kind == "generated":
        return _GENERATED[info.name](**{"rng": 0, **options})
    unknown = [option for option in options if option not in info.options]
    if unknown:
        taken = f"no options but {', '.join(info.options)}" if info.options else "no options"
        raise TypeError(f"load({name!r}) takes {taken}, got {', '.join(map(repr, unknown))}")
    if info.kind == "embedded":
        return _EMBEDDED[info.name](**options)
    return _local(info) or _downloaded(info)


def available(name: str) -> bool:
    """Tell whether :func:`load` would find the set without a download.

    Parameters
    ----------
    name : str
        Name or alias.

    Returns
    -------
    bool
        True for embedded and generated sets, and where the file lies in ``$SCINN_DATA`` or in the cache (its
        checksum is verified by :func:`load`).
    """
    info = lookup(name)
    return not info.unavailable and (info.kind != "archive" or _place(info) is not None)


def checksum(name: str, **options: Any) -> str:
    """Return the sha256 of the arrays of a data set, whatever file they were packed in.

    Parameters
    ----------
    name : str
        Name or alias.
    **options
        Options of the set, as :func:`load` takes them.

    Returns
    -------
    str
        For archives and embedded sets the recorded one, which needs no file; computed for generated sets, for
        ``python-topics``, which differs between versions of Python, and for ``cifar10-full``, whose publisher's own
        checksums are recorded instead.

    Raises
    ------
    DataUnavailableError
        For a set that is registered but not offered.
    """
    info = lookup(name)
    if info.unavailable:
        raise DataUnavailableError(how_to_get(name))
    return info.content_sha256 or store.content_checksum(load(name, **options))


def how_to_get(name: str) -> str:
    """Say how to obtain a data set: addresses, checksums, and the way without a network.

    Parameters
    ----------
    name : str
        Name or alias.

    Returns
    -------
    str
        A few lines for an error message or a terminal.
    """
    return store.how_to_get(lookup(name))


def fetch(
    names: str | Iterable[str] | None = None,
    *,
    to: str | os.PathLike[str] | None = None,
    callback: Callable[[str, int, int], None] | None = None,
) -> dict[str, Path]:
    """Make sure that data sets lie on this machine, and optionally write them to a directory.

    A directory filled this way serves as ``$SCINN_DATA`` on a machine without a network.

    Parameters
    ----------
    names : str or iterable of str, optional
        Names or aliases; default every set that is read from files, but for the large ones
        (:attr:`DatasetInfo.large`), which must be named, and those that are neither here nor downloaded
        (:attr:`DatasetInfo.hand_made`).
    to : path, optional
        Directory for one ``<name>.npz`` a set; made where missing. Default: the cache.
    callback : callable, optional
        Called as ``callback(name, done, total)`` after each set.

    Returns
    -------
    dict of str to Path
        The checked file of each set.

    Raises
    ------
    ValueError
        For an embedded or generated set, which has no file.
    DataUnavailableError, ChecksumError
        As in :func:`load`.
    """
    if names is None:
        infos = [
            info
            for info in map(lookup, list_datasets("archive"))
            if not info.large and (info.sources or _place(info) is not None)
        ]
    else:
        infos = [lookup(name) for name in ([names] if isinstance(names, str) else names)]
    for info in infos:
        if info.kind != "archive":
            raise ValueError(f"names: {info.name} is {info.kind} and has no file to fetch; load() makes it")
    paths: dict[str, Path] = {}
    for done, info in enumerate(infos, start=1):
        dataset = load(info.name)
        if to is not None:
            paths[info.name] = _write(info, dataset, Path(to))
        else:
            place = _place(info)
            paths[info.name] = place if place is not None else _write(info, dataset, store.cache_directory())
        if callback is not None:
            callback(info.name, done, len(infos))
    return paths


def _place(info: DatasetInfo) -> Path | None:
    folders = [folder for folder in (store.data_directory(), store.cache_directory()) if folder is not None]
    candidates = [folder / file for folder in folders for file in (info.file, f"{info.name}.npz")]
    return next((path for path in candidates if path.is_file()), None)


def _local(info: DatasetInfo) -> Dataset | None:
    path = _place(info)
    if path is None:
        return None
    if path.name == info.file and not store.is_own_file(path):
        if info.task == "binary features":
            return _any_packing(info, path)
        return _unpack(info, store.unpack_npz(store.read_checked(path, info, info.file_sha256)))
    from scinn._files import read_npz

    try:
        arrays, _ = read_npz(path)
        dataset = store.from_arrays(_result_type(info), info.name, arrays)
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise ChecksumError(
            f"{info.name}: {path} cannot be read ({error}): expected content sha256 "
            f"{info.content_sha256 or 'none recorded'}, found no complete set. Remove the file and load again."
        ) from error
    _check(dataset, info, f"{path} (remove that file to get the set again)")
    return dataset


def _any_packing(info: DatasetInfo, path: Path) -> Dataset:
    # whoever makes such a file packs the same arrays into other bytes, so the arrays decide
    content = path.read_bytes()
    packing = store.sha256(content)
    try:
        dataset = _unpack(info, store.unpack_npz(content))
        found = packing if packing == info.file_sha256 else store.content_checksum(dataset)
    except Exception as error:  # damaged archives fail in many ways, all of which mean the same
        raise ChecksumError(store.altered(info, path, f"{packing}, which holds no complete set")) from error
    if found not in (info.file_sha256, info.content_sha256):
        raise ChecksumError(store.altered(info, path, f"{packing} (of its arrays {found})"))
    return dataset


def _downloaded(info: DatasetInfo) -> Dataset:
    files = store.download(info)
    dataset: Dataset
    if info.task == "node classification":
        prefix = f"ind.{info.name}."
        dataset = planetoid.assemble(
            info.name, {key.removeprefix(prefix): value for key, value in files.items()}
        )
    elif info.task == "image classification":
        dataset = images.read_published(info, files)
    elif info.task == "binary features":
        dataset = binary.read_published(info, files)
    elif info.task in ("language modelling", "translation"):
        dataset = corpora.read_published(info, files)
    else:
        dataset = tu.read_zip(info.name, next(iter(files.values())))
    _check(dataset, info, ", ".join(info.urls))
    # a read-only home must not cost the user the data that have just arrived
    with contextlib.suppress(OSError):
        _write(info, dataset, store.cache_directory())
    return dataset


def _check(dataset: Dataset, info: DatasetInfo, where: str) -> None:
    if not info.content_sha256 and isinstance(dataset, ImageDataset):
        images.check_records(dataset, info, where)
    else:
        store.check_content(dataset, info, where)


def _write(info: DatasetInfo, dataset: Dataset, directory: Path) -> Path:
    from scinn._files import write_npz

    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{info.name}.npz"
    meta = {
        "format": 1,
        "name": info.name,
        "content_sha256": info.content_sha256,
        "licence": info.licence,
        "origin": info.origin,
        "urls": list(info.urls),
    }
    write_npz(path, store.to_arrays(dataset), meta)
    return path


def _result_type(info: DatasetInfo) -> type:
    return _RESULT_TYPES[info.task]


def _unpack(info: DatasetInfo, arrays: dict[str, np.ndarray]) -> Dataset:
    if info.task == "graph classification":
        return tu.unpack(info.name, arrays)
    if info.task == "image classification":
        return images.unpack(info, arrays)
    if info.task == "binary features":
        return binary.unpack(info, arrays)
    if info.task in ("language modelling", "translation"):
        return corpora.unpack(info, arrays)
    n_nodes = len(arrays["y"])
    masks = np.zeros((3, n_nodes), dtype=bool)
    for mask, part in zip(masks, ("train_idx", "val_idx", "test_idx")):
        mask[arrays[part]] = True
    return NodeDataset(
        name=info.name,
        adjacency=_sparse(arrays, "adj"),
        features=_sparse(arrays, "x"),
        labels=arrays["y"].astype(np.int64),
        n_classes=int(arrays["n_classes"]),
        train_mask=masks[0],
        val_mask=masks[1],
        test_mask=masks[2],
    )


def _sparse(arrays: dict[str, np.ndarray], prefix: str) -> csr_array:
    indices = arrays[f"{prefix}_indices"]
    data = arrays.get(f"{prefix}_data", np.ones(len(indices))).astype(np.float64)
    n_rows, n_columns = (int(s) for s in arrays[f"{prefix}_shape"])
    return csr_array((data, indices, arrays[f"{prefix}_indptr"]), shape=(n_rows, n_columns))


def _digits() -> ImageDataset:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return ImageDataset(
        name="digits",
        images=bunch.images.astype(np.uint8)[..., None],
        labels=bunch.target.astype(np.int64),
        n_classes=10,
        max_value=16,
    )


def _karate_club() -> NodeDataset:
    import networkx

    graph = networkx.karate_club_graph()
    adjacency = csr_array(networkx.to_scipy_sparse_array(graph, weight=None, dtype=np.float64, format="csr"))
    adjacency.sort_indices()
    n_nodes = adjacency.shape[0]
    train = np.zeros(n_nodes, dtype=bool)
    train[[0, n_nodes - 1]] = True
    return NodeDataset(
        name="karate-club",
        adjacency=adjacency,
        features=csr_array(eye_array(n_nodes, format="csr")),
        labels=np.array([int(graph.nodes[i]["club"] != "Mr. Hi") for i in graph], dtype=np.int64),
        n_classes=2,
        train_mask=train,
        val_mask=np.zeros(n_nodes, dtype=bool),
        test_mask=~train,
    )


def _piecewise_smooth(
    *, n_nodes: int = 2000, mean_degree: float = 10.0, n_pieces: int = 4, degree: int = 2, rng: Any = 0
) -> SignalDataset:
    from scinn.random import as_generator

    generator = as_generator(rng)
    adjacency, coordinates = generators.random_geometric_graph(
        n_nodes, mean_degree=mean_degree, rng=generator
    )
    signal = generators.piecewise_smooth_signal(coordinates, n_pieces=n_pieces, degree=degree, rng=generator)
    return SignalDataset("piecewise-smooth", adjacency, coordinates, signal)


def _grid_signal(
    *, rows: int = 64, columns: int = 64, n_pieces: int = 4, degree: int = 2, rng: Any = 0
) -> SignalDataset:
    adjacency, coordinates = generators.grid_graph(rows, columns)
    signal = generators.piecewise_smooth_signal(coordinates, n_pieces=n_pieces, degree=degree, rng=rng)
    return SignalDataset("grid-signal", adjacency, coordinates, signal)


_RESULT_TYPES: dict[str, type] = {
    "node classification": NodeDataset,
    "graph classification": GraphCollection,
    "image classification": ImageDataset,
    "binary features": BinaryDataset,
    "language modelling": TextDataset,
    "translation": ParallelTextDataset,
}
_EMBEDDED: dict[str, Callable[..., Dataset]] = {
    "digits": _digits,
    "karate-club": _karate_club,
    "breast-cancer-binary": binary.breast_cancer,
    "digits-binary": binary.digits,
    "python-topics": corpora.python_topics,
}
_GENERATED: dict[str, Callable[..., Dataset]] = {
    "stochastic-block-model": generators.stochastic_block_model,
    "piecewise-smooth": _piecewise_smooth,
    "grid-signal": _grid_signal,
    "few-strong-features": binary.few_strong_features,
}

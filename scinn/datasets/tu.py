"""The text archives of the TU Dortmund collection of graph sets."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from scinn.datasets.structures import GraphCollection

__all__ = ["collection", "read_zip"]

MAX_MEMBER_BYTES = 1 << 30


def read_zip(name: str, content: bytes) -> GraphCollection:
    """Read the zip of one TU set, whatever folder its text files lie in.

    Parameters
    ----------
    name : str
        Name of the result.
    content : bytes
        The whole archive: ``*_A.txt`` (arcs, from 1), ``*_graph_indicator.txt``, ``*_graph_labels.txt`` and,
        where the set has them, ``*_node_labels.txt``, ``*_node_attributes.txt``, ``*_edge_labels.txt``.

    Returns
    -------
    GraphCollection

    Raises
    ------
    ValueError
        Where the archive or one of its files is not of that form.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            arcs = _table(archive, "_A.txt", int, name)
            indicator = _table(archive, "_graph_indicator.txt", int, name)
            graph_labels = _table(archive, "_graph_labels.txt", int, name)
            node_labels = _table(archive, "_node_labels.txt", int, name, required=False)
            attributes = _table(archive, "_node_attributes.txt", float, name, required=False)
            edge_labels = _table(archive, "_edge_labels.txt", int, name, required=False)
    except zipfile.BadZipFile as error:
        raise ValueError(f"content: the archive of {name} is no zip file ({error})") from error
    if arcs is None or indicator is None or graph_labels is None or arcs.shape[1] != 2:
        raise ValueError(f"content: the archive of {name} lacks a list of arcs with two columns")
    owner = indicator[:, 0] - 1
    n_graphs, n_nodes = len(graph_labels), len(owner)
    if n_nodes and ((np.diff(owner) < 0).any() or owner[0] < 0 or owner[-1] >= n_graphs):
        raise ValueError(f"content: the graph indicator of {name} must rise from 1 to the {n_graphs} graphs")
    node_ptr = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=n_graphs))])
    u, v = arcs.T - 1
    if len(u) and (
        min(u.min(), v.min()) < 0 or max(u.max(), v.max()) >= n_nodes or (owner[u] != owner[v]).any()
    ):
        raise ValueError(f"content: an arc of {name} leaves its graph or names a node that does not exist")
    edges, first = _undirected(u, v, n_nodes)
    graph_of_edge = owner[edges[:, 0]]
    return collection(
        name,
        node_ptr=node_ptr,
        edge_ptr=np.concatenate([[0], np.cumsum(np.bincount(graph_of_edge, minlength=n_graphs))]),
        edges=edges - node_ptr[graph_of_edge][:, None],
        labels=graph_labels[:, 0],
        node_labels=None if node_labels is None else node_labels[:, 0],
        node_attributes=attributes,
        edge_labels=None if edge_labels is None else edge_labels[first, 0],
    )


def collection(
    name: str,
    *,
    node_ptr: np.ndarray,
    edge_ptr: np.ndarray,
    edges: np.ndarray,
    labels: np.ndarray,
    node_labels: np.ndarray | None = None,
    node_attributes: np.ndarray | None = None,
    edge_labels: np.ndarray | None = None,
) -> GraphCollection:
    """Bring published values into the form that :class:`GraphCollection` promises.

    Parameters
    ----------
    name : str
        Name of the result.
    node_ptr, edge_ptr, edges, labels, node_labels, node_attributes, edge_labels : ndarray
        As in :class:`GraphCollection`, but with the labels as published.

    Returns
    -------
    GraphCollection
    """
    values, classes = np.unique(labels, return_inverse=True)
    edges = np.ascontiguousarray(edges, dtype=np.int64)
    node_ptr = np.asarray(node_ptr, dtype=np.int64)
    edge_ptr = np.asarray(edge_ptr, dtype=np.int64)
    ends = edges + np.repeat(node_ptr[:-1], np.diff(edge_ptr))[:, None]
    codes = None if node_labels is None else node_labels.astype(np.int64) - int(node_labels.min())
    return GraphCollection(
        name=name,
        node_ptr=node_ptr,
        edge_ptr=edge_ptr,
        edges=edges,
        labels=classes.astype(np.int64),
        n_classes=len(values),
        node_labels=codes,
        # single precision is what the compact files keep; rounding here makes both sources give the same
        # numbers
        node_attributes=None
        if node_attributes is None
        else node_attributes.astype(np.float32).astype(np.float64),
        edge_labels=None if edge_labels is None else edge_labels.astype(np.int64),
        n_node_labels=0 if codes is None else int(codes.max()) + 1,
        max_degree=int(np.bincount(ends.ravel(), minlength=1).max()),
    )


def unpack(name: str, arrays: Mapping[str, Any]) -> GraphCollection:
    """Read the arrays of a compact ``tu_*.npz`` file."""
    return collection(
        name,
        node_ptr=arrays["node_ptr"],
        edge_ptr=arrays["edge_ptr"],
        edges=np.stack([arrays["edge_u"], arrays["edge_v"]], axis=1),
        labels=arrays["y"],
        node_labels=arrays.get("node_labels"),
        node_attributes=arrays.get("node_attr"),
        edge_labels=arrays.get("edge_labels"),
    )


def _undirected(u: np.ndarray, v: np.ndarray, n_nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Merge both directions and repeats, drop self loops; also return the row each edge first stood in."""
    rows = np.flatnonzero(u != v)
    low, high = np.minimum(u, v)[rows], np.maximum(u, v)[rows]
    keys, first = np.unique(low * max(n_nodes, 1) + high, return_index=True)
    edges = np.stack([keys // max(n_nodes, 1), keys % max(n_nodes, 1)], axis=1)
    return edges, rows[first]


def _table(
    archive: zipfile.ZipFile, suffix: str, kind: type, name: str, *, required: bool = True
) -> np.ndarray | None:
    members = [m for m in archive.infolist() if m.filename.endswith(suffix) and not m.is_dir()]
    if not members and not required:
        return None
    if len(members) != 1:
        raise ValueError(
            f"content: the archive of {name} has {len(members)} files named *{suffix}, wanted one"
        )
    if members[0].file_size > MAX_MEMBER_BYTES:
        raise ValueError(
            f"content: {members[0].filename} would unpack to {members[0].file_size} bytes; refused"
        )
    text = archive.read(members[0]).decode("ascii")
    try:
        return np.loadtxt(io.StringIO(text), dtype=kind, delimiter=",", ndmin=2, comments=None)
    except ValueError as error:
        raise ValueError(
            f"content: {members[0].filename} of {name} is not a table of numbers ({error})"
        ) from error

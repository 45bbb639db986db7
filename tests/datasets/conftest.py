"""A little world without a network: an empty home, a publisher on the loopback, sets made on the spot."""

from __future__ import annotations

import io
import pickle
import threading
import zipfile
from collections import defaultdict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix


@pytest.fixture
def bare_home(tmp_path, monkeypatch):
    """No data directory, an empty cache, downloads allowed (to the loopback only, by what the tests register)."""
    monkeypatch.delenv("SCINN_DATA", raising=False)
    monkeypatch.delenv("SCINN_OFFLINE", raising=False)
    monkeypatch.setenv("SCINN_CACHE", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path


@dataclass
class Publisher:
    """Serves ``files`` and counts the requests."""

    address: str
    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def publisher():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.rsplit("/", 1)[1]
            served.requests.append(name)
            content = served.files.get(name)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_):
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Publisher(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield served
    server.shutdown()
    server.server_close()
    thread.join()


class _OldPickler(pickle._Pickler):
    """Writes what Python 2 with the NumPy and SciPy of its day wrote: byte strings, old module names."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_bytes(self, value):
        self.write(pickle.BINSTRING + len(value).to_bytes(4, "little") + value)
        self.memoize(value)

    dispatch[bytes] = save_bytes

    def save_global(self, obj, name=None):
        module, name = obj.__module__, name or obj.__name__
        module = module.replace("numpy._core", "numpy.core").replace("scipy.sparse._csr", "scipy.sparse.csr")
        module = module.replace("builtins", "__builtin__")
        self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
        self.memoize(obj)

    dispatch[type] = save_global
    dispatch[type(len)] = save_global


def old_pickle(value) -> bytes:
    stream = io.BytesIO()
    _OldPickler(stream, protocol=2).dump(value)
    return stream.getvalue()


def new_pickle(value) -> bytes:
    return pickle.dumps(value, protocol=2)


@pytest.fixture(params=[old_pickle, new_pickle], ids=["python2", "python3"])
def dump(request):
    """Both dialects in which a protocol-2 pickle of arrays is found."""
    return request.param


@dataclass
class Truth:
    """A small graph with a split, as plain Python holds it."""

    words: np.ndarray
    classes: list[int]
    neighbours: set[frozenset[int]]
    absent: set[int]
    n_train: int
    test: list[int]


def planetoid_files(seed: int, dump=old_pickle) -> tuple[dict[str, bytes], Truth]:
    """Make the eight files of a Planetoid set of 40 nodes, two of which have no row, and what they mean."""
    rng = np.random.default_rng(seed)
    n, n_known, n_train, n_words, n_classes = 40, 28, 6, 9, 3
    present = [n_known, *sorted(rng.choice(np.arange(n_known + 1, n - 1), 9, replace=False).tolist()), n - 1]
    absent = set(range(n_known, n)) - set(present)
    words = (rng.random((n, n_words)) < 0.4).astype(np.float32)
    classes = rng.integers(n_classes, size=n).tolist()
    for node in absent:
        words[node] = 0
        classes[node] = 0
    order = rng.permutation(present).tolist()
    one_hot = np.eye(n_classes, dtype=np.int32)[classes]
    graph: defaultdict[int, list[int]] = defaultdict(list)
    neighbours = set()
    for node in range(n):
        graph[node] = rng.integers(n, size=int(rng.integers(0, 5))).tolist()
        graph[node] += graph[node][:1]
        neighbours |= {frozenset((node, other)) for other in graph[node] if other != node}
    files = {
        "x": dump(csr_matrix(words[:n_train])),
        "y": dump(one_hot[:n_train]),
        "tx": dump(csr_matrix(words[order])),
        "ty": dump(one_hot[order]),
        "allx": dump(csr_matrix(words[:n_known])),
        "ally": dump(one_hot[:n_known]),
        "graph": dump(graph),
        "test.index": "".join(f"{node}\n" for node in order).encode(),
    }
    return files, Truth(words, classes, neighbours, absent, n_train, sorted(present))


def tu_zip(collection, *, prefix="SET/SET", repeat=False, raw_shift=1, skip=(), seed=0) -> bytes:
    """Pack a collection as the publisher does: text files, both directions of each edge, numbers from 1."""
    rng = np.random.default_rng(seed)
    shift = np.repeat(collection.node_ptr[:-1], np.diff(collection.edge_ptr))[:, None]
    once = collection.edges + shift + 1
    arcs = np.concatenate([once, once[:, ::-1]])
    labels = None if collection.edge_labels is None else np.tile(collection.edge_labels, 2)
    if repeat:
        arcs = np.concatenate([arcs, arcs, [[1, 1]]])
        labels = None if labels is None else np.concatenate([labels, labels, [0]])
    order = rng.permutation(len(arcs))
    owner = np.repeat(np.arange(collection.n_graphs), np.diff(collection.node_ptr)) + 1
    tables = {
        "A": arcs[order],
        "graph_indicator": owner[:, None],
        "graph_labels": collection.labels[:, None] + raw_shift,
        "node_labels": None
        if collection.node_labels is None
        else collection.node_labels[:, None] + raw_shift,
        "node_attributes": collection.node_attributes,
        "edge_labels": None if labels is None else labels[order][:, None],
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{prefix}_readme.txt", "text\n")
        for name, table in tables.items():
            if table is not None and name not in skip:
                rows = "\n".join(", ".join(str(value) for value in row) for row in table.tolist())
                archive.writestr(f"{prefix}_{name}.txt", rows + "\n")
    return stream.getvalue()


@pytest.fixture
def make_planetoid():
    return planetoid_files


@pytest.fixture
def make_zip():
    return tu_zip


@pytest.fixture
def toy():
    """Four graphs: a path, an edgeless one, a single node, a triangle with a tail."""
    from scinn.datasets import GraphCollection

    return GraphCollection(
        name="toy",
        node_ptr=np.array([0, 3, 5, 6, 10]),
        edge_ptr=np.array([0, 2, 2, 2, 6]),
        edges=np.array([[0, 1], [1, 2], [0, 1], [0, 2], [1, 2], [2, 3]]),
        labels=np.array([0, 1, 1, 0]),
        n_classes=2,
        node_labels=np.array([0, 1, 2, 0, 0, 1, 2, 2, 1, 3]),
        node_attributes=np.arange(20, dtype=np.float64).reshape(10, 2) / 4,
        edge_labels=np.array([0, 1, 1, 0, 2, 1]),
        n_node_labels=4,
        max_degree=3,
    )


@pytest.fixture
def write_plain_npz():
    def write(path: Path, **arrays):
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, **arrays)
        return path

    return write

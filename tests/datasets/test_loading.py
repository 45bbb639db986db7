"""From a name to checked arrays: places in order, checksums, downloads, refusals."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import scinn
from scinn import datasets
from scinn.datasets import DATASETS, loading, lookup, planetoid, store
from scinn.datasets.registry import DatasetInfo, SourceFile
from scinn.exceptions import ChecksumError, DataUnavailableError

ARCHIVES = datasets.list_datasets("archive")
SHA256 = re.compile(r"[0-9a-f]{64}")
MD5 = re.compile(r"[0-9a-f]{32}")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def register(monkeypatch):
    """Put a set of our own into the registry for the length of a test."""

    def put(info: DatasetInfo) -> DatasetInfo:
        monkeypatch.setattr(loading, "lookup", lambda name: info if name == info.name else lookup(name))
        return info

    return put


@pytest.fixture
def toy_nodes(bare_home, publisher, register, make_planetoid):
    """A Planetoid set that only the loopback publishes."""
    files, _ = make_planetoid(3)
    data = planetoid.assemble("toy", files)
    publisher.files.update({f"ind.toy.{part}": content for part, content in files.items()})
    sources = tuple(
        SourceFile(f"{publisher.address}/{name}", sha256(content))
        for name, content in publisher.files.items()
    )
    return register(
        replace(
            DATASETS["cora"],
            name="toy",
            sources=sources,
            file="planetoid_toy.npz",
            content_sha256=store.content_checksum(data),
        )
    ), data


@pytest.fixture
def toy_graphs(bare_home, publisher, register, make_zip, toy):
    """A TU set that only the loopback publishes, recorded from a copy that was packed differently."""
    publisher.files["TOY.zip"] = make_zip(toy, repeat=True, seed=1)
    source = SourceFile(f"{publisher.address}/TOY.zip", sha256(make_zip(toy)), repackable=True)
    info = replace(
        DATASETS["proteins"],
        name="toy",
        sources=(source,),
        file="tu_toy.npz",
        content_sha256=store.content_checksum(toy),
    )
    return register(info), toy


@pytest.fixture
def toy_bits(bare_home, publisher, register):
    """A divided set of binary features in two LIBSVM files that only the loopback publishes."""
    features = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0], [1, 1, 0], [0, 0, 1]], dtype=np.uint8)
    data = datasets.BinaryDataset("toy", features, np.array([1, 0, 1, 0, 1]), n_train=3)
    publisher.files["toy_train.libsvm"] = b"1 0:1\n0 1:1 2:1\n1 \n"
    publisher.files["toy_test.libsvm"] = b"0 0:1 1:1\r\n1 2:1"
    sources = tuple(
        SourceFile(f"{publisher.address}/{name}", sha256(content))
        for name, content in publisher.files.items()
    )
    info = replace(
        DATASETS["pdfrate-binary"],
        name="toy",
        counts={"samples": 5, "features": 3, "classes": 2},
        sources=sources,
        file="binary_toy.npz",
        content_sha256=store.content_checksum(data),
    )
    return register(info), data


def cached(name: str = "toy") -> Path:
    return store.cache_directory() / f"{name}.npz"


def assert_same(a, b):
    assert type(a) is type(b)
    assert store.content_checksum(a) == store.content_checksum(b)


@pytest.mark.parametrize("kind", ["toy_nodes", "toy_graphs", "toy_bits"])
def test_download_once_then_cache(kind, request, publisher, monkeypatch):
    info, data = request.getfixturevalue(kind)
    assert not loading.available("toy")
    assert_same(loading.load("toy"), data)
    assert loading.available("toy")
    assert sorted(publisher.requests) == sorted(s.file_name for s in info.sources)
    monkeypatch.setenv("SCINN_OFFLINE", "1")
    again = loading.load("toy")
    assert_same(again, data)
    assert again.name == "toy"
    assert len(publisher.requests) == len(info.sources)


@pytest.mark.parametrize("kind", ["toy_nodes", "toy_graphs", "toy_bits"])
def test_fetched_directory_serves_without_network(kind, request, monkeypatch, bare_home):
    _, data = request.getfixturevalue(kind)
    seen = []
    paths = loading.fetch("toy", to=bare_home / "carried", callback=lambda *a: seen.append(a))
    assert paths == {"toy": bare_home / "carried" / "toy.npz"}
    assert seen == [("toy", 1, 1)]
    cached().unlink()
    monkeypatch.setenv("SCINN_OFFLINE", "1")
    monkeypatch.setenv("SCINN_DATA", str(bare_home / "carried"))
    assert loading.available("toy")
    assert_same(loading.load("toy"), data)
    assert loading.fetch(["toy"]) == {"toy": bare_home / "carried" / "toy.npz"}


@pytest.mark.parametrize("kind", ["toy_nodes", "toy_bits"])
def test_offline_says_where_and_what(kind, request, publisher, monkeypatch):
    info, _ = request.getfixturevalue(kind)
    monkeypatch.setenv("SCINN_OFFLINE", "1")
    with pytest.raises(DataUnavailableError) as caught:
        loading.load("toy")
    for source in info.sources:
        assert source.url in str(caught.value)
        assert source.sha256 in str(caught.value)
    assert info.content_sha256 in str(caught.value)
    assert "SCINN_OFFLINE" in str(caught.value)
    assert publisher.requests == []


@pytest.mark.parametrize(
    ("kind", "file"),
    [("toy_nodes", "ind.toy.ally"), ("toy_bits", "toy_train.libsvm"), ("toy_bits", "toy_test.libsvm")],
)
def test_altered_download_is_refused_and_not_kept(kind, file, request, publisher):
    info, _ = request.getfixturevalue(kind)
    # a line break changes no array, so the checksum of the file alone refuses it
    publisher.files[file] += b"\n"
    with pytest.raises(ChecksumError) as caught:
        loading.load("toy")
    expected = next(s for s in info.sources if s.file_name == file)
    for part in ("toy", expected.url, expected.sha256, sha256(publisher.files[file])):
        assert part in str(caught.value)
    assert not cached().exists()


@pytest.mark.parametrize("wrong", ["one bit", "parts exchanged", "one column more"])
def test_right_files_with_other_bits_are_refused_and_not_kept(wrong, toy_bits, publisher, register):
    info, _ = toy_bits
    sources = info.sources
    if wrong == "one bit":
        publisher.files["toy_test.libsvm"] = b"0 0:1 1:1\n1 1:1\n"
        changed = replace(sources[1], sha256=sha256(publisher.files["toy_test.libsvm"]))
        info = replace(info, sources=(sources[0], changed))
    elif wrong == "parts exchanged":
        info = replace(info, sources=sources[::-1])
    else:
        info = replace(info, counts={**info.counts, "features": 4})
    register(info)
    with pytest.raises(ChecksumError, match=f"expected content sha256 {info.content_sha256}") as caught:
        loading.load("toy")
    assert all(source.url in str(caught.value) for source in sources)
    assert not cached().exists()


def test_altered_archive_is_refused_and_not_kept(toy_graphs, publisher, make_zip):
    info, data = toy_graphs
    other = data._replace(labels=data.labels[::-1].copy())
    other = other._replace(labels=np.array([1, 1, 0, 0]))
    publisher.files["TOY.zip"] = make_zip(other)
    with pytest.raises(ChecksumError) as caught:
        loading.load("toy")
    for part in ("toy", info.content_sha256, store.content_checksum(other), info.sources[0].url):
        assert part in str(caught.value)
    assert not cached().exists()


def test_missing_file_at_the_publisher(toy_graphs, publisher):
    publisher.files.clear()
    with pytest.raises(DataUnavailableError, match=r"could not be downloaded.*404"):
        loading.load("toy")


def test_altered_cache_is_refused(toy_graphs):
    info, data = toy_graphs
    loading.load("toy")
    from scinn._files import write_npz

    arrays = store.to_arrays(data)
    arrays["edges"] = arrays["edges"][::-1]
    write_npz(cached(), arrays, {"format": 1})
    with pytest.raises(ChecksumError, match=info.content_sha256):
        loading.load("toy")
    for content in (b"", b"not a zip", cached().read_bytes()[:-200]):
        cached().write_bytes(content)
        with pytest.raises(ChecksumError, match="toy"):
            loading.load("toy")


def test_altered_file_in_the_data_directory_is_refused(toy_graphs, monkeypatch, write_plain_npz, bare_home):
    info, data = toy_graphs
    path = write_plain_npz(
        bare_home / "data" / "tu_toy.npz",
        node_ptr=data.node_ptr.astype(np.int32),
        edge_ptr=data.edge_ptr.astype(np.int32),
        edge_u=data.edges[:, 0].astype(np.int32),
        edge_v=data.edges[:, 1].astype(np.int32),
        y=data.labels.astype(np.int8),
        node_labels=data.node_labels.astype(np.int8) + 1,
        node_attr=data.node_attributes.astype(np.float32),
        edge_labels=data.edge_labels.astype(np.int8),
    )
    honest = path.read_bytes()
    monkeypatch.setenv("SCINN_DATA", str(path.parent))
    monkeypatch.setattr(loading, "lookup", lambda _: replace(info, file_sha256=sha256(honest)))
    assert_same(loading.load("toy"), data)
    for altered in (honest + b"\0", honest[:-1], b""):
        path.write_bytes(altered)
        with pytest.raises(ChecksumError) as caught:
            loading.load("toy")
        for part in ("toy", str(path), sha256(honest), sha256(altered)):
            assert part in str(caught.value)


def test_data_directory_comes_before_the_cache(toy_nodes, monkeypatch, bare_home):
    loading.fetch("toy", to=bare_home / "data")
    cached().write_bytes(b"damaged")
    monkeypatch.setenv("SCINN_DATA", str(bare_home / "data"))
    assert loading.load("toy").n_nodes == 40


def test_unwritable_cache_costs_nothing(toy_graphs, monkeypatch, bare_home):
    _, data = toy_graphs
    blocker = bare_home / "file"
    blocker.write_text("a file where a directory should be")
    monkeypatch.setenv("SCINN_CACHE", str(blocker))
    assert_same(loading.load("toy"), data)


@pytest.mark.parametrize("name", datasets.list_datasets("embedded"))
def test_embedded_sets_are_the_recorded_ones(name, bare_home, monkeypatch):
    monkeypatch.setenv("SCINN_OFFLINE", "1")
    assert datasets.available(name)
    recorded = DATASETS[name].content_sha256
    assert bool(recorded) != bool(DATASETS[name].varies)
    computed = store.content_checksum(datasets.load(name))
    assert computed == datasets.checksum(name) == (recorded or computed)


@pytest.mark.parametrize("name", datasets.list_datasets("generated"))
def test_generated_sets_have_the_registered_counts(name, bare_home):
    info, data = DATASETS[name], datasets.load(name)
    assert data.name == name
    if info.task == "binary features":
        assert data.features.shape == (info.counts["samples"], info.counts["features"])
    else:
        assert data.adjacency.shape[0] == info.counts["nodes"]
    assert datasets.checksum(name) == datasets.checksum(name, rng=0) != datasets.checksum(name, rng=1)


def test_refusals_name_what_is_meant(bare_home):
    with pytest.raises(ValueError, match="did you mean 'citeseer'"):
        datasets.load("citseer")
    with pytest.raises(TypeError, match="must be a string"):
        datasets.load(3)
    with pytest.raises(TypeError, match="takes no options, got 'seed'"):
        datasets.load("cora", seed=1)
    with pytest.raises(ValueError, match="has no file to fetch"):
        datasets.fetch("digits")
    with pytest.raises(ValueError, match="kind must be one of"):
        datasets.list_datasets("downloaded")
    assert not datasets.available("pubmed")
    assert "pubmed" not in datasets.list_datasets()
    for refuse in (datasets.load, datasets.checksum, datasets.fetch):
        with pytest.raises(DataUnavailableError, match="pubmed is not offered"):
            refuse("pubmed")
    assert "needs no file" in datasets.how_to_get("digits")


@pytest.mark.parametrize("name", ["PROTEINS", "proteins", "tu_proteins", "TU-Proteins", " proteins "])
def test_names_are_forgiving(name):
    assert lookup(name) is DATASETS["proteins"]


def test_registry_is_consistent():
    bibliography = (Path(scinn.__file__).parent / "references.bib").read_text(encoding="utf-8")
    taken: set[str] = set()
    for name, info in DATASETS.items():
        assert name == info.name
        assert not taken & {name, *info.aliases}
        taken |= {name, *info.aliases}
        assert info.title
        assert info.licence
        assert info.origin
        assert not info.citation or f"{{{info.citation}," in bibliography, info.citation
        if info.kind == "archive" and not info.unavailable:
            assert SHA256.fullmatch(info.file_sha256) or not info.file
            assert bool(info.sources) != bool(info.hand_made)
            for source in info.sources:
                assert source.url.startswith("https://")
                assert SHA256.fullmatch(source.sha256) or MD5.fullmatch(source.md5) or source.repackable
                assert SHA256.fullmatch(source.unpacked_sha256) or not source.unpacked_sha256
                assert source.sum in datasets.how_to_get(name)
                assert source.url in datasets.how_to_get(name)
        assert not info.varies or (info.kind == "embedded" and info.varies in datasets.how_to_get(name))
        if info.kind != "generated" and not info.unavailable and not info.varies:
            assert SHA256.fullmatch(info.content_sha256) or all(map(MD5.fullmatch, info.record_md5))
            assert bool(info.content_sha256) != bool(info.record_md5)


@pytest.mark.data
@pytest.mark.parametrize("name", ARCHIVES)
def test_published_sets(name):
    if not datasets.available(name):
        pytest.skip(f"{name} is not in $SCINN_DATA: {DATASETS[name].file or f'{name}.npz'} is needed")
    info, data = DATASETS[name], datasets.load(name)
    assert store.content_checksum(data) == datasets.checksum(name)
    if isinstance(data, datasets.TextDataset):
        parts = {part: getattr(data, part) for part in ("train", "valid", "test")}
        assert {part: len(ids) for part, ids in parts.items()} | {"symbols": data.n_symbols} == info.counts
        for ids in parts.values():
            assert ids.dtype == np.int32
            assert 0 <= ids.min() <= ids.max() < data.n_symbols
        assert len(set(data.vocabulary)) == data.n_symbols
        return
    if isinstance(data, datasets.ParallelTextDataset):
        for part in ("train", "valid", "test"):
            pairs = getattr(data, part)
            assert len(pairs.source) == len(pairs.target) == info.counts[part]
            assert all(sentence.strip() for side in pairs for sentence in side)
        return
    counts = {"classes": data.n_classes}
    if isinstance(data, datasets.BinaryDataset):
        counts |= {"samples": data.n_samples, "features": data.n_features, "positives": data.labels.sum()}
        if data.n_train is not None:
            counts |= {"train": len(data.train_features), "test": len(data.test_features)}
        assert (data.features.dtype, data.labels.dtype) == (np.uint8, np.int64)
        assert np.unique(data.features).tolist() == np.unique(data.labels).tolist() == [0, 1]
        assert data.feature_names is None or len(data.feature_names) == data.n_features
        assert counts == dict(info.counts)
        return
    if isinstance(data, datasets.ImageDataset):
        counts |= {"images": data.n_images, "features": data.images[0].size}
        counts |= {"train": len(data.train_images), "test": len(data.test_images)}
        assert data.images.dtype == np.uint8
        assert (np.bincount(data.labels) > 0).all()
        assert len(data.class_names) == data.n_classes
        assert counts == dict(info.counts)
        return
    counts |= {"nodes": data.n_nodes, "edges": data.n_edges}
    if isinstance(data, datasets.NodeDataset):
        counts["features"] = data.n_features
        counts.update({k: int(getattr(data, f"{k}_mask").sum()) for k in ("train", "val", "test")})
        assert (data.adjacency - data.adjacency.T).nnz == 0
        assert data.adjacency.diagonal().sum() == 0
        assert data.adjacency.has_canonical_format
        assert np.bincount(data.labels[data.train_mask]).tolist() == [20] * data.n_classes
    else:
        counts["graphs"] = data.n_graphs
        if data.node_labels is not None:
            counts["node_labels"] = data.n_node_labels
        if data.node_attributes is not None:
            counts["node_attributes"] = data.node_attributes.shape[1]
        if data.edge_labels is not None:
            counts["edge_labels"] = int(data.edge_labels.max()) + 1
        assert (data.edges[:, 0] < data.edges[:, 1]).all()
        adjacency, _, x = data.batch(range(min(50, data.n_graphs)))
        assert (adjacency - adjacency.T).nnz == 0
        assert x.shape == (adjacency.shape[0], data.n_features())
    assert counts == dict(info.counts)


@pytest.mark.data
def test_citeseer_keeps_its_featureless_nodes():
    if not datasets.available("citeseer"):
        pytest.skip("citeseer is not in $SCINN_DATA: planetoid_citeseer.npz is needed")
    data = datasets.load("citeseer")
    nowhere = ~(data.train_mask | data.val_mask | data.test_mask)
    empty = np.diff(data.features.indptr) == 0
    assert (empty & nowhere).sum() == empty.sum() == 15
    assert (np.diff(data.adjacency.indptr)[empty] > 0).all()
    assert (np.diff(data.adjacency.indptr) == 0).sum() == 48


@pytest.mark.data
@pytest.mark.parametrize("name", ["mutag", "enzymes"])
def test_published_collection_survives_the_publishers_packing(name, make_zip):
    if not datasets.available(name):
        pytest.skip(f"{name} is not in $SCINN_DATA: {DATASETS[name].file} is needed")
    from scinn.datasets.tu import read_zip

    data = datasets.load(name)
    assert store.content_checksum(read_zip(name, make_zip(data, repeat=True))) == datasets.checksum(name)


def test_content_checksum_ignores_widths_and_sees_values(toy):
    narrow = toy._replace(
        name="other", edges=toy.edges.astype(np.int16), node_attributes=toy.node_attributes.astype(np.float32)
    )
    assert store.content_checksum(narrow) == store.content_checksum(toy)
    attributes = toy.node_attributes.copy()
    attributes[3, 1] = np.nextafter(attributes[3, 1], np.inf)
    for changed in (
        toy._replace(node_attributes=attributes),
        toy._replace(labels=toy.labels[::-1].copy(), n_classes=3),
        toy._replace(edge_labels=None),
        toy._replace(node_labels=toy.node_labels.reshape(5, 2)),
    ):
        assert store.content_checksum(changed) != store.content_checksum(toy)


def test_import_stays_light():
    code = (
        "import sys, scinn.datasets; "
        "bad = {'sklearn', 'networkx', 'matplotlib', 'joblib', 'pooch', 'requests', 'numba'} & "
        "set(sys.modules); "
        "sys.exit(repr(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

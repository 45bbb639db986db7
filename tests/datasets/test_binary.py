"""Sets of binary features: divided, read from LIBSVM text, downloaded, packed by hand, refused when altered."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scinn import datasets
from scinn.datasets import (
    DATASETS,
    BinaryDataset,
    HandMade,
    binary,
    loading,
    lookup,
    read_libsvm,
    store,
)
from scinn.exceptions import ChecksumError, DataUnavailableError
from scinn.random import Key

BINARY = [name for name in datasets.list_datasets() if DATASETS[name].task == "binary features"]
HAND_MADE = [name for name in BINARY if DATASETS[name].hand_made is not None]
OF_THE_PAPER = ["pdfrate-binary", "hidost-binary", "hate-speech-binary"]


def drawn(n_train: int = 31, n_test: int = 17, n_features: int = 13, name: str = "drawn") -> BinaryDataset:
    rng = np.random.default_rng(n_train)
    n = n_train + n_test
    return BinaryDataset(
        name, rng.integers(2, size=(n, n_features)).astype(np.uint8), rng.integers(2, size=n), n_train=n_train
    )


def packed(data: BinaryDataset) -> dict[str, np.ndarray]:
    """Write a divided set as the compact files of the paper's sets do, or that of SPECT."""
    if data.name == "uci-spect":
        parts = ("train", "test")
        bits = {f"x_{part}": getattr(data, f"{part}_features").astype(np.int8) for part in parts}
        return bits | {f"y_{part}": getattr(data, f"{part}_labels").astype(np.int8) for part in parts}
    return {
        "n": np.array(data.n_features),
        "train_bits": np.packbits(data.train_features, axis=1),
        "train_y": data.train_labels.astype(np.int8),
        "test_bits": np.packbits(data.test_features, axis=1),
        "test_y": data.test_labels.astype(np.int8),
    }


@pytest.fixture(params=["pdfrate-binary", "uci-spect"])
def made(request, bare_home, monkeypatch, write_plain_npz):
    """A small set in the place of one that is downloaded or made by hand, its file in a directory of its own."""
    data = drawn(name=request.param)
    path = write_plain_npz(bare_home / "data" / DATASETS[data.name].file, **packed(data))
    info = replace(
        DATASETS[data.name],
        file_sha256=store.sha256(path.read_bytes()),
        content_sha256=store.content_checksum(data),
    )
    monkeypatch.setattr(loading, "lookup", lambda name: info if name == info.name else lookup(name))
    monkeypatch.setenv("SCINN_DATA", str(path.parent))
    return info, data, path


def assert_same(a: BinaryDataset, b: BinaryDataset):
    np.testing.assert_array_equal(a.features, b.features)
    np.testing.assert_array_equal(a.labels, b.labels)
    assert (a.features.dtype, a.labels.dtype) == (np.uint8, np.int64)
    assert (a.name, a.n_classes, a.n_train, a.feature_names) == (
        b.name,
        b.n_classes,
        b.n_train,
        b.feature_names,
    )


def test_division():
    data = drawn()
    assert (data.n_samples, data.n_features, data.n_classes) == (48, 13, 2)
    assert data.class_names == ("0", "1")
    assert data._replace(name="drebin215").class_names == ("benign", "malware")
    for part in (data.train_features, data.test_features):
        assert np.shares_memory(part, data.features)
    np.testing.assert_array_equal(np.vstack([data.train_features, data.test_features]), data.features)
    np.testing.assert_array_equal(np.hstack([data.train_labels, data.test_labels]), data.labels)
    whole = data._replace(n_train=None)
    for part in ("train_features", "train_labels", "test_features", "test_labels"):
        with pytest.raises(ValueError, match="drawn comes without a published division"):
            getattr(whole, part)
    with pytest.raises(ValueError, match=r"stratified_split\(\(0.6, 0.2, 0.2\), rng=0\)"):
        whole.validation_split()


@pytest.mark.parametrize("n_train", [1, 4, 5, 31, 100, 10082])
def test_validation_part_is_that_of_the_authors(n_train):
    # Each row holds its own number in binary, so that rows can be told apart.
    number = np.arange(n_train + 3)
    bits = (number[:, None] >> np.arange(14) & 1).astype(np.uint8)
    split = BinaryDataset("numbered", bits, number % 2, n_train=n_train).validation_split()
    np.random.seed(0)  # noqa: NPY002
    order = np.random.permutation(n_train)  # noqa: NPY002
    n_validation = int(n_train * 0.2)
    expected = (order[n_validation:], order[:n_validation], np.arange(n_train, n_train + 3))
    for (features, labels), rows in zip(split, expected, strict=True):
        np.testing.assert_array_equal(features @ (1 << np.arange(14)), rows)
        np.testing.assert_array_equal(labels, rows % 2)


@given(st.integers(0, 99))
def test_stratified_split_keeps_shares_and_rows(seed):
    data = BinaryDataset("drawn", np.eye(50, dtype=np.uint8), np.repeat([0, 1], [30, 20]))
    split = data.stratified_split((0.6, 0.2, 0.2), seed)
    rows = [part.features.argmax(axis=1) for part in split]
    np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.arange(50))
    for part, row, counts in zip(split, rows, ([18, 12], [6, 4], [6, 4]), strict=True):
        np.testing.assert_array_equal(part.labels, data.labels[row])
        np.testing.assert_array_equal(np.bincount(part.labels), counts)


def test_same_seed_same_split():
    data = drawn()
    a, b, other = (data.stratified_split((0.5, 0.2, 0.3), Key(seed)) for seed in (3, 3, 4))
    for part in range(3):
        np.testing.assert_array_equal(a[part].features, b[part].features)
    assert not np.array_equal(a.train.features, other.train.features)


def test_wrong_shares_are_named():
    for fractions in ((0.8, 0.2), (1.0,), (0.4, 0.2, 0.2, 0.2)):
        with pytest.raises(ValueError, match=f"three shares .* got {len(fractions)}"):
            drawn().stratified_split(fractions, 0)
    with pytest.raises(ValueError, match="fractions must be positive"):
        drawn().stratified_split((0.8, 0.3, 0.2), 0)


def test_checksum_sees_bits_and_names_and_no_widths():
    data = drawn()._replace(feature_names=tuple(f"bit {k}" for k in range(13)))
    found = store.content_checksum(data)
    assert store.content_checksum(data._replace(features=data.features.astype(np.int64), name="x")) == found
    assert store.content_checksum(data._replace(features=np.asfortranarray(data.features))) == found
    wide = np.array(data.feature_names, dtype="<U90")
    assert store.arrays_checksum({**store.to_arrays(data), "feature_names": wide}) == found
    flipped = data.features.copy()
    flipped[3, 4] ^= 1
    shifted = ("bit 0b", "it 1", *data.feature_names[2:])
    for changed in (
        data._replace(features=flipped),
        data._replace(labels=1 - data.labels),
        data._replace(n_train=30),
        data._replace(n_train=None),
        data._replace(feature_names=None),
        data._replace(feature_names=data.feature_names[::-1]),
        data._replace(feature_names=shifted),
    ):
        assert store.content_checksum(changed) != found


@pytest.mark.parametrize("names", [None, ("a", "Ünicode=?", "")])
def test_arrays_and_back(names):
    data = drawn(n_features=3)._replace(feature_names=names)
    assert_same(store.from_arrays(BinaryDataset, "drawn", store.to_arrays(data)), data)
    whole = data._replace(n_train=None)
    assert_same(store.from_arrays(BinaryDataset, "drawn", store.to_arrays(whole)), whole)


def test_a_compact_file_is_accepted_in_any_packing(made):
    info, data, path = made
    assert loading.available(data.name)
    assert_same(loading.load(data.name), data)
    for kind in (np.uint8, np.int64):
        arrays = reversed(packed(data).items())
        np.savez(path, **{key: array if "bits" in key else array.astype(kind) for key, array in arrays})
        assert store.sha256(path.read_bytes()) != info.file_sha256
        assert_same(loading.load(data.name), data)


def test_altered_files_are_refused(made):
    info, data, path = made
    honest, arrays = path.read_bytes(), packed(data)
    for content in (honest[:-30], b"", b"text"):
        path.write_bytes(content)
        with pytest.raises(ChecksumError) as caught:
            loading.load(data.name)
        for part in (data.name, str(path), info.file_sha256, info.content_sha256, *info.urls):
            assert part in str(caught.value)
        assert store.sha256(content) in str(caught.value)
        assert f"Remove the file and {'make' if info.hand_made else 'get'} it again" in str(caught.value)
    for key in ("train_bits", "test_y") if "n" in arrays else ("x_train", "y_test"):
        other = arrays[key].copy()
        # the lowest bits of a row's last byte are filling
        other.flat[4] ^= 64 if key == "train_bits" else 1
        np.savez(path, **{**arrays, key: other})
        with pytest.raises(ChecksumError, match=f"{info.content_sha256}.* found .*of its arrays"):
            loading.load(data.name)
    if "n" in arrays:
        wrong = {
            "n": np.array(12),
            "test_y": arrays["test_y"][:-1],
            "train_bits": arrays["train_bits"].astype(float),
        }
    else:
        wrong = {
            "x_train": arrays["x_train"][:, :12],
            "y_test": arrays["y_test"][:-1],
            "x_test": arrays["x_test"].ravel(),
        }
    first = next(iter(wrong))
    for broken in (*({**arrays, key: array} for key, array in wrong.items()), {first: arrays[first]}):
        np.savez(path, **broken)
        with pytest.raises(ChecksumError, match="altered or damaged, or was made of other data"):
            loading.load(data.name)
    np.savez(path, **{**arrays, first: np.array([{}])}, allow_pickle=True)
    with pytest.raises(ChecksumError, match="no complete set"):
        loading.load(data.name)


def test_fetched_directory_and_cache_serve_too(made, monkeypatch, bare_home):
    _, data, path = made
    assert loading.fetch(data.name) == {data.name: path}
    carried = loading.fetch(data.name, to=bare_home / "carried")[data.name]
    assert carried.name == f"{data.name}.npz"
    monkeypatch.setenv("SCINN_DATA", str(carried.parent))
    assert_same(loading.load(data.name), data)
    monkeypatch.delenv("SCINN_DATA")
    assert not loading.available(data.name)
    store.cache_directory().mkdir(parents=True)
    path.rename(store.cache_directory() / path.name)
    assert_same(loading.load(data.name), data)


@pytest.mark.parametrize("name", HAND_MADE)
@pytest.mark.parametrize("offline", ["", "1"])
def test_absent_files_are_explained(name, offline, bare_home, monkeypatch, publisher):
    monkeypatch.setenv("SCINN_OFFLINE", offline)
    info = DATASETS[name]
    assert not datasets.available(name)
    for ask in (datasets.load, datasets.fetch):
        with pytest.raises(DataUnavailableError) as caught:
            ask(name)
        made = info.hand_made
        wanted = [name, info.file, info.file_sha256, info.content_sha256, info.licence, "SCINN_DATA"]
        wanted += [made.url, made.reason, made.arrays, *made.recipe.splitlines(), "not downloaded"]
        for part in wanted:
            assert part in str(caught.value)
    assert datasets.how_to_get(name) in str(caught.value)
    assert datasets.checksum(name) == info.content_sha256
    assert info.urls == (info.hand_made.url,)


def test_fetching_all_takes_what_is_here_or_downloaded(made, monkeypatch):
    info, _, _ = made
    asked = []
    monkeypatch.setattr(loading, "load", asked.append)
    monkeypatch.setattr(loading, "_write", lambda info, dataset, directory: directory / info.name)
    loading.fetch()
    assert set(asked) & set(HAND_MADE) == ({info.name} if info.hand_made else set())
    assert set(asked) > {"cora", *OF_THE_PAPER}
    monkeypatch.delenv("SCINN_DATA")
    asked.clear()
    loading.fetch()
    assert not set(asked) & set(HAND_MADE)
    assert set(asked) > {"cora", *OF_THE_PAPER}


def libsvm(data: BinaryDataset, zero_based: bool, path: Path) -> Path:
    """Let scikit-learn write the file."""
    from sklearn.datasets import dump_svmlight_file

    dump_svmlight_file(
        data.features.astype(np.float64), data.labels, str(path), zero_based=zero_based, comment="two\nlines"
    )
    return path


@given(st.integers(0, 20), st.integers(1, 20), st.booleans())
def test_libsvm_round_trip(tmp_path_factory, n, n_features, zero_based):
    data = drawn(n, 1, n_features)
    path = libsvm(data, zero_based, tmp_path_factory.mktemp("libsvm") / "toy.libsvm")
    features, labels = read_libsvm(path, n_features, zero_based=zero_based)
    np.testing.assert_array_equal(features, data.features)
    np.testing.assert_array_equal(labels, data.labels)
    assert (features.dtype, labels.dtype) == (np.uint8, np.int64)
    wider, _ = read_libsvm(str(path), n_features + 2, zero_based=zero_based)
    np.testing.assert_array_equal(wider[:, :n_features], features)
    assert not wider[:, n_features:].any()


def test_libsvm_takes_what_is_usual(tmp_path):
    path = tmp_path / "toy.libsvm"
    path.write_text("# a comment\n+1 3:1.0 1:1 # unsorted\n\n-1 \n-1 0:0 2:1\n1\t0:1\r\n")
    features, labels = read_libsvm(path, 4)
    assert features.tolist() == [[0, 1, 0, 1], [0, 0, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0]]
    assert labels.tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("x 0:1", "line 3: the label is 'x'; 0 or 1"),
        ("2 0:1", "line 3: the label is '2'"),
        ("nan 0:1", "line 3: the label is 'nan'"),
        ("0.5 0:1", "line 3: the label is '0.5'"),
        ("1 0:2", "line 3: feature 0 has the value '2'; 0 or 1"),
        ("1 0:", "line 3: feature 0 has the value ''"),
        ("1 0:nan", "line 3: feature 0 has the value 'nan'"),
        ("1 0:1:1", "line 3: feature 0 has the value '1:1'"),
        ("1 0", "line 3: '0' is not index:value"),
        ("1 a:1", "line 3: 'a:1' is not index:value"),
        ("1 -1:1", "line 3: '-1:1' is not index:value"),
        ("1 qid:1 0:1", "line 3: 'qid:1' is not index:value"),
        ("1 \N{ARABIC-INDIC DIGIT ONE}:1", "line 3: .* is not index:value"),
        ("1 0:1 2:1 0:1", "line 3: an index comes twice"),
        ("1 0:1 0:0", "line 3: an index comes twice"),
        ("1 4:1", r"line 3: the index 4 is outside 0\.\.3, the 4 .* pass zero_based=False where"),
        ("1 9:0", r"line 3: the index 9 is outside 0\.\.3, the 4 features that n_features asks for$"),
        ("-1 0:1", "label -1 in line 3 and 0 in line 1; two classes"),
    ],
)
def test_wrong_libsvm_lines_are_named(tmp_path, line, message):
    path = tmp_path / "toy.libsvm"
    path.write_text(f"0 0:1\n1 1:1\n{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=message) as caught:
        read_libsvm(path, 4)
    assert str(path) in str(caught.value)


def test_wrong_libsvm_calls_are_named(tmp_path):
    path = tmp_path / "toy.libsvm"
    path.write_text("1 0:1\n")
    with pytest.raises(ValueError, match=r"line 1: the index 0 is outside 1\.\.4.*zero_based=True"):
        read_libsvm(path, 4, zero_based=False)
    for n_features in (0, -3):
        with pytest.raises(ValueError, match="n_features"):
            read_libsvm(path, n_features)
    with pytest.raises(TypeError, match="n_features"):
        read_libsvm(path, 4.0)
    for text in ("", "\n\n", "# nothing\n"):
        path.write_text(text)
        with pytest.raises(ValueError, match="holds no line of data"):
            read_libsvm(path, 4)
    with pytest.raises(FileNotFoundError):
        read_libsvm(tmp_path / "absent", 4)


def run_recipe(info, folder: Path, monkeypatch) -> Path:
    monkeypatch.chdir(folder)
    exec(compile(info.hand_made.recipe, info.name, "exec"), {})
    return folder / info.file


def serve(info, texts: list[bytes], publisher, monkeypatch) -> None:
    """Let the loopback publish a registered set."""
    names = [source.file_name for source in info.sources]
    publisher.files.update(zip(names, texts, strict=True))
    sources = tuple(replace(source, url=f"{publisher.address}/{source.file_name}") for source in info.sources)
    here = replace(info, sources=sources)
    monkeypatch.setattr(loading, "lookup", lambda name: here if name == info.name else lookup(name))


@pytest.mark.parametrize("name", OF_THE_PAPER)
def test_sets_of_the_paper_are_downloaded(name, bare_home, publisher, monkeypatch):
    info = DATASETS[name]
    data = drawn(23, 11, info.counts["features"], name)
    texts = []
    for part in ("train", "test"):
        rows = data._replace(
            features=getattr(data, f"{part}_features"), labels=getattr(data, f"{part}_labels"), n_train=None
        )
        texts.append(libsvm(rows, True, bare_home / part).read_bytes())
    sources = tuple(
        replace(s, sha256=store.sha256(text)) for s, text in zip(info.sources, texts, strict=True)
    )
    info = replace(info, sources=sources, content_sha256=store.content_checksum(data))
    serve(info, texts, publisher, monkeypatch)
    assert_same(loading.load(name), data)
    assert publisher.requests == [source.file_name for source in sources]
    monkeypatch.setenv("SCINN_OFFLINE", "1")
    assert_same(loading.load(name), data)


@pytest.mark.parametrize("name", OF_THE_PAPER)
def test_sets_of_the_paper_say_offline_where_they_are(name, bare_home, monkeypatch):
    monkeypatch.setenv("SCINN_OFFLINE", "1")
    info = DATASETS[name]
    assert not datasets.available(name)
    assert datasets.checksum(name) == info.content_sha256
    with pytest.raises(DataUnavailableError, match="SCINN_OFFLINE forbids the download") as caught:
        datasets.load(name)
    wanted = [info.file, info.file_sha256, info.content_sha256, f"scinn data fetch {name} --to DIR"]
    wanted += [text for source in info.sources for text in (source.url, source.sha256)]
    for part in wanted:
        assert part in str(caught.value)
    assert info.urls == tuple(source.url for source in info.sources)
    # a branch of the repository may move, and the checksums would then refuse what it holds
    assert all(re.search(r"/raw/[0-9a-f]{40}/.*_(train|test)\.libsvm$", url) for url in info.urls)
    assert [url.rpartition("_")[2] for url in info.urls] == ["train.libsvm", "test.libsvm"]


def test_embedded_sets_are_what_they_say(bare_home, monkeypatch):
    from sklearn.datasets import load_breast_cancer

    monkeypatch.setenv("SCINN_OFFLINE", "1")
    raw = load_breast_cancer()
    data = datasets.load("breast-cancer")
    for k, share in enumerate((0.25, 0.5, 0.75)):
        level = np.quantile(raw.data, share, axis=0)
        np.testing.assert_array_equal(data.features[:, k::3], raw.data > level)
        assert data.feature_names[3 + k] == f"mean texture > {100 * share:.0f} %"
    assert (data.features[:, 0::3] >= data.features[:, 1::3]).all()
    assert (data.features[:, 1::3] >= data.features[:, 2::3]).all()
    malignant = raw.target_names[raw.target] == "malignant"
    np.testing.assert_array_equal(data.labels == data.class_names.index("malignant"), malignant)

    images = datasets.load("digits")
    data = datasets.load("digits_binary")
    np.testing.assert_array_equal(data.features.reshape(-1, 8, 8), images.images[..., 0] > 7)
    np.testing.assert_array_equal(data.labels == 1, images.labels > 4)
    assert data.feature_names[8 * 2 + 5] == "row 2 column 5 > 7"
    for name in ("breast-cancer-binary", "digits-binary"):
        data = datasets.load(name)
        counts = {"samples": data.n_samples, "features": data.n_features, "classes": data.n_classes}
        assert counts | {"positives": data.labels.sum()} == dict(DATASETS[name].counts)
        assert data.n_train is None
        assert len(data.feature_names) == len(set(data.feature_names)) == data.n_features


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("binary_pdfrate", "pdfrate-binary"),
        ("PDFRate", "pdfrate-binary"),
        ("binary_hidost", "hidost-binary"),
        ("hidost", "hidost-binary"),
        ("binary_hatespeech", "hate-speech-binary"),
        ("hatespeech", "hate-speech-binary"),
        ("drebin", "drebin215"),
        ("phishing", "uci-phishing"),
        ("votes", "uci-votes"),
        ("mushroom", "uci-mushroom"),
        ("spambase", "uci-spambase"),
        ("spect", "uci-spect"),
        ("breast_cancer", "breast-cancer-binary"),
    ],
)
def test_aliases(alias, name):
    assert lookup(alias) is DATASETS[name]


def test_every_set_has_a_reader_and_two_names():
    assert set(binary._UNPACK) == {*HAND_MADE, *OF_THE_PAPER}
    for name in BINARY:
        info = DATASETS[name]
        assert info.counts["classes"] == 2
        assert info.kind == "generated" or len(info.class_names) == 2
        assert info.kind != "archive" or isinstance(info.hand_made, HandMade) != (name in OF_THE_PAPER)
        assert bool(info.sources) == (name in OF_THE_PAPER)
        assert info.hand_made is None or info.hand_made.url.startswith("https://")


def _published(name: str) -> tuple[BinaryDataset, dict[str, np.ndarray]]:
    folder, file = os.environ.get("SCINN_DATA", ""), DATASETS[name].file
    if not (Path(folder) / file).is_file():
        pytest.skip(f"{name} is not in $SCINN_DATA: {file} is needed")
    return datasets.load(name), store.unpack_npz((Path(folder) / file).read_bytes())


@pytest.mark.data
@pytest.mark.parametrize("name", OF_THE_PAPER)
def test_published_sets_of_the_paper(name):
    data, raw = _published(name)
    for part in ("train", "test"):
        bits = raw[f"{part}_bits"]
        features = getattr(data, f"{part}_features")
        np.testing.assert_array_equal(np.packbits(features, axis=1), bits)
        np.testing.assert_array_equal(getattr(data, f"{part}_labels"), raw[f"{part}_y"])
    assert [len(part.labels) for part in data.validation_split()] == {
        135: [8066, 2016, 9771],
        961: [8066, 2016, 9771],
        200: [18268, 4566, 22767],
    }[data.n_features]
    # what the registry's note says about repeated rows
    distinct = [len(np.unique(part, axis=0)) for part in (data.train_features, data.test_features)]
    assert all(str(number) in DATASETS[name].note for number in distinct)


@pytest.mark.data
@pytest.mark.parametrize("name", OF_THE_PAPER)
def test_published_sets_of_the_paper_come_from_their_official_bytes(name, request, publisher, monkeypatch):
    # written as the authors wrote them: indices in order, a space behind a label that stands alone
    data, texts = _published(name)[0], []
    for part in ("train", "test"):
        rows = zip(getattr(data, f"{part}_labels").tolist(), getattr(data, f"{part}_features"))
        lines = (f"{label} {' '.join(f'{j}:1' for j in np.flatnonzero(row))}\n" for label, row in rows)
        texts.append("".join(lines).encode())
    assert [store.sha256(text) for text in texts] == [source.sha256 for source in DATASETS[name].sources]
    request.getfixturevalue("bare_home")
    serve(DATASETS[name], texts, publisher, monkeypatch)
    assert_same(loading.load(name), data)
    assert publisher.requests == [source.file_name for source in DATASETS[name].sources]


@pytest.mark.data
def test_published_properties_come_back_from_their_bits():
    data, raw = _published("uci-phishing")
    np.testing.assert_array_equal(data.features[:, 0::2].astype(int) + data.features[:, 1::2] - 1, raw["x"])
    assert data.class_names[1] == "phishing"
    np.testing.assert_array_equal(1 - 2 * data.labels, raw["y"])
    assert data.feature_names[14:16] == ("SSLfinal_State >= 0", "SSLfinal_State >= 1")
    # the sign of the labels: the published coding gives 1 to properties of legitimate sites
    assert np.corrcoef(data.features[:, 15], data.labels)[0, 1] < -0.6

    data, raw = _published("uci-votes")
    yes, no = data.features[:, 0::2].astype(int), data.features[:, 1::2]
    np.testing.assert_array_equal(np.where(yes + no == 0, -1, yes), raw["x"])
    assert (yes + no == 0).sum() == 392
    assert not (yes & no).any()
    assert data.feature_names[:2] == ("handicapped-infants=yes", "handicapped-infants=no")

    data, raw = _published("uci-mushroom")
    letters = [name.rpartition("=") for name in data.feature_names]
    for j, feature in enumerate(raw["feature_names"].tolist()):
        columns = [k for k, (name, _, _) in enumerate(letters) if name == feature]
        assert (data.features[:, columns].sum(axis=1) == 1).all()
        codes = np.array([ord(letters[k][2]) for k in columns])
        np.testing.assert_array_equal(codes[data.features[:, columns].argmax(axis=1)], raw["x_letters"][:, j])

    data, raw = _published("uci-spambase")
    np.testing.assert_array_equal(data.features, raw["x"] > 0)
    data, raw = _published("uci-spect")
    np.testing.assert_array_equal(data.train_features, raw["x_train"])
    np.testing.assert_array_equal(data.test_labels, raw["y_test"])
    data, raw = _published("drebin215")
    np.testing.assert_array_equal(np.packbits(data.features, axis=1), raw["x_packed"])
    assert len(set(data.feature_names)) == 215


def _phishing_text(raw):
    names = "".join(f"@attribute {name}  {{ -1,0,1 }}\n" for name in raw["feature_names"].tolist())
    rows = np.column_stack([raw["x"], raw["y"]]).tolist()
    lines = "\n".join(",".join(map(str, row)) for row in rows)
    return {
        "Training Dataset.arff": f"% text\n@relation phishing\n\n{names}@attribute Result {{ -1,1 }}\n\n@data\n{lines}\n"
    }


def _votes_text(raw):
    rows = zip(raw["y"].tolist(), raw["x"].tolist())
    party, vote = ("democrat", "republican"), {1: "y", 0: "n", -1: "?"}
    return {"house-votes-84.data": "".join(f"{party[y]},{','.join(vote[v] for v in x)}\n" for y, x in rows)}


def _mushroom_text(raw):
    rows = zip(raw["y"].tolist(), raw["x_letters"].tolist())
    return {"agaricus-lepiota.data": "".join(f"{'ep'[y]},{','.join(map(chr, x))}\n" for y, x in rows)}


def _spambase_text(raw):
    rows = zip(raw["x"].tolist(), raw["y"].tolist())
    return {"spambase.data": "".join(f"{','.join(map(repr, x))},{y}\n" for x, y in rows)}


def _spect_text(raw):
    return {
        f"SPECT.{part}": "".join(
            f"{y},{','.join(map(str, x))}\n"
            for y, x in zip(raw[f"y_{part}"].tolist(), raw[f"x_{part}"].tolist())
        )
        for part in ("train", "test")
    }


def _drebin_text(raw):
    x = np.unpackbits(raw["x_packed"], axis=1, count=215).tolist()
    head = ",".join((*raw["feature_names"].tolist(), "class"))
    lines = "\n".join(",".join(map(str, row)) + f",{'BS'[y]}" for row, y in zip(x, raw["y"].tolist()))
    return {"drebin-215-dataset-5560malware-9476-benign.csv": f"{head}\n{lines}\n"}


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("uci-phishing", _phishing_text),
        ("uci-votes", _votes_text),
        ("uci-mushroom", _mushroom_text),
        ("uci-spambase", _spambase_text),
        ("uci-spect", _spect_text),
        ("drebin215", _drebin_text),
    ],
)
def test_recipes_turn_text_of_the_official_form_into_the_set(name, write, tmp_path, monkeypatch):
    data, raw = _published(name)
    for file, text in write(raw).items():
        (tmp_path / file).write_text(text, encoding="utf-8")
    path = run_recipe(DATASETS[name], tmp_path, monkeypatch)
    assert store.sha256(path.read_bytes()) != DATASETS[name].file_sha256
    monkeypatch.setenv("SCINN_DATA", str(tmp_path))
    assert_same(datasets.load(name), data)

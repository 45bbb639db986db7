"""Image sets: read as published, unpacked from compact files, divided and scaled."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scinn import datasets
from scinn.datasets import (
    DATASETS,
    ImageDataset,
    SourceFile,
    images,
    loading,
    lookup,
    normalize_images,
    store,
)
from scinn.exceptions import ChecksumError, DataUnavailableError


def encode_planes(pixels: np.ndarray) -> np.ndarray:
    """Write pixels as the second differences, modulo 256, of R - G, G and B - G."""
    red, green, blue = (pixels[..., k].astype(np.int64) for k in range(3))
    planes = np.stack([red - green, green, blue - green])
    planes[..., 1:] -= planes[..., :-1].copy()
    planes[..., 1:, :] -= planes[..., :-1, :].copy()
    return (planes % 256).astype(np.uint8)


def idx(array: np.ndarray) -> bytes:
    """Write bytes in the idx form."""
    return struct.pack(f">2x2B{array.ndim}I", 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def cifar_tar(batches: list[tuple[np.ndarray, np.ndarray]], *, names=None) -> bytes:
    """Pack five training batches and a test batch, pixel by pixel."""
    names = names or [*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"]
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, (pixels, labels) in zip(["readme.html", *names], [(b"text", None), *batches]):
            content = pixels
            if labels is not None:
                content = b"".join(
                    bytes([label]) + b"".join(image[..., k].tobytes() for k in range(3))
                    for image, label in zip(pixels, labels.tolist())
                )
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture
def batches():
    """Six batches of 40 images, in no order of classes."""
    rng = np.random.default_rng(0)
    return [
        (rng.integers(0, 256, size=(40, 32, 32, 3)).astype(np.uint8), rng.integers(10, size=40))
        for _ in range(6)
    ]


@pytest.fixture
def mnist_files():
    rng = np.random.default_rng(1)
    files = {}
    for part, n in (("train", 30), ("t10k", 20)):
        files[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(idx(rng.integers(0, 256, size=(n, 5, 4))))
        files[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(idx(np.arange(n) % 10))
    return files


@pytest.fixture
def register(monkeypatch):
    def put(info):
        monkeypatch.setattr(loading, "lookup", lambda name: info if name == info.name else lookup(name))
        return info

    return put


@pytest.fixture
def toy_mnist(bare_home, publisher, register, mnist_files):
    """A set in the form of MNIST that only the loopback publishes, with md5 sums as MNIST has."""
    publisher.files.update(mnist_files)
    sources = tuple(
        SourceFile(f"{publisher.address}/{name}", md5=store.md5(content))
        for name, content in mnist_files.items()
    )
    data = images.read_idx_files("toy", mnist_files)
    checksum = store.content_checksum(data)
    return register(
        replace(DATASETS["mnist"], name="toy", file="toy.npz", sources=sources, content_sha256=checksum)
    ), data


@pytest.fixture
def toy_cifar(bare_home, publisher, register, batches):
    """All images of a small CIFAR-10, known by the checksums of its unpacked files only."""
    content = cifar_tar(batches)
    publisher.files["cifar-10-binary.tar.gz"] = content
    return register(
        replace(
            DATASETS["cifar10-full"],
            name="toy",
            counts={"train": 200, "test": 40, "images": 240, "classes": 1},
            sources=(SourceFile(f"{publisher.address}/cifar-10-binary.tar.gz", md5=store.md5(content)),),
            record_md5=tuple(store.md5(images.records(*batch)) for batch in batches),
        )
    )


@given(st.integers(0, 3), st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_planes_round_trip(n, height, width, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, size=(n, height, width, 3)).astype(np.uint8)
    found = images.decode_planes(encode_planes(pixels))
    np.testing.assert_array_equal(found, pixels)
    assert found.flags.c_contiguous


def test_planes_of_another_form_are_refused():
    for code in (np.zeros((1, 2, 3, 3), np.uint8), np.zeros((3, 2, 3, 3)), np.zeros((3, 2, 3), np.uint8)):
        with pytest.raises(ValueError, match="code must be uint8 of shape"):
            images.decode_planes(code)


def test_idx_files(mnist_files):
    data = images.read_idx_files("toy", mnist_files)
    assert data.images.shape == (50, 5, 4, 1)
    assert data.images.dtype == np.uint8
    assert data.labels.dtype == np.int64
    assert (data.n_images, data.n_train, data.n_classes, data.max_value) == (50, 30, 10, 255)
    for part, pixels, labels in (
        ("train", data.train_images, data.train_labels),
        ("t10k", data.test_images, data.test_labels),
    ):
        raw = gzip.decompress(mnist_files[f"{part}-images-idx3-ubyte.gz"])
        assert raw[16:] == pixels.tobytes()
        assert gzip.decompress(mnist_files[f"{part}-labels-idx1-ubyte.gz"])[8:] == bytes(labels.tolist())


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("train-images-idx3-ubyte.gz", None, "lacks train-images"),
        ("train-images-idx3-ubyte.gz", b"text", "no gzip file"),
        ("t10k-labels-idx1-ubyte.gz", gzip.compress(b"text"), "no idx file of bytes in 1"),
        ("t10k-labels-idx1-ubyte.gz", gzip.compress(idx(np.zeros(3))), "20 t10k images, but 3 labels"),
        ("train-images-idx3-ubyte.gz", gzip.compress(idx(np.zeros((2, 2, 2)))[:-1]), "holds 7 bytes"),
        ("train-images-idx3-ubyte.gz", gzip.compress(idx(np.zeros(30))), "in 3 dimensions"),
    ],
)
def test_damaged_idx_files_are_named(mnist_files, file, content, message):
    files = {name: value for name, value in mnist_files.items() if name != file}
    if content is not None:
        files[file] = content
    with pytest.raises(ValueError, match=message):
        images.read_idx_files("toy", files)


def test_cifar_archive(batches):
    data = images.read_cifar("toy", cifar_tar(batches))
    np.testing.assert_array_equal(data.images, np.concatenate([pixels for pixels, _ in batches]))
    np.testing.assert_array_equal(data.labels, np.concatenate([labels for _, labels in batches]))
    assert (data.n_train, data.train_index, data.max_value) == (200, None, 255)


def test_first_images_of_each_class(batches):
    whole = images.read_cifar("toy", cifar_tar(batches))
    part = images.read_cifar("toy", cifar_tar(batches), per_class=7)
    seen, wanted = dict.fromkeys(range(10), 0), []
    for position, label in enumerate(whole.train_labels.tolist()):
        seen[label] += 1
        if seen[label] <= 7:
            wanted.append(position)
    assert part.train_index.tolist() == wanted
    np.testing.assert_array_equal(part.train_images, whole.train_images[wanted])
    np.testing.assert_array_equal(part.train_labels, whole.train_labels[wanted])
    np.testing.assert_array_equal(part.test_images, whole.test_images)
    assert images.read_cifar("toy", cifar_tar(batches), per_class=200).train_index is None


def test_damaged_cifar_archives_are_named(batches):
    with pytest.raises(ValueError, match="no gzipped tar file"):
        images.read_cifar("toy", b"text")
    with pytest.raises(ValueError, match="no gzipped tar file"):
        images.read_cifar("toy", cifar_tar(batches)[:-5000])
    with pytest.raises(ValueError, match=r"has no test_batch\.bin"):
        images.read_cifar("toy", cifar_tar(batches[:5]))
    with pytest.raises(ValueError, match="comes twice"):
        images.read_cifar("toy", cifar_tar(batches, names=["data_batch_1.bin"] * 6))
    with pytest.raises(ValueError, match="no number of records"):
        images.read_cifar("toy", cifar_tar([(pixels[:, :31], labels) for pixels, labels in batches]))
    with pytest.raises(ValueError, match="label above 9"):
        images.read_cifar("toy", cifar_tar([(pixels, labels + 1) for pixels, labels in batches]))


def test_download_with_md5_then_cache(toy_mnist, publisher, monkeypatch):
    _, data = toy_mnist
    assert store.content_checksum(loading.load("toy")) == store.content_checksum(data)
    monkeypatch.setenv("SCINN_OFFLINE", "1")
    again = loading.load("toy")
    assert isinstance(again, ImageDataset)
    assert (again.n_train, again.train_index, again.images.dtype) == (30, None, np.uint8)
    assert store.content_checksum(again) == store.content_checksum(data)
    assert len(publisher.requests) == 4


def test_download_with_a_wrong_md5_is_refused(toy_mnist, publisher):
    info, _ = toy_mnist
    publisher.files["t10k-labels-idx1-ubyte.gz"] += b"\0"
    with pytest.raises(ChecksumError, match=f"expected md5 {info.sources[3].md5}, found"):
        loading.load("toy")
    assert not loading.available("toy")


def test_compact_and_carried_files_may_bear_one_name(toy_mnist, monkeypatch, bare_home, write_plain_npz):
    info, data = toy_mnist
    loading.fetch("toy", to=bare_home / "carried")
    monkeypatch.setenv("SCINN_OFFLINE", "1")
    monkeypatch.setenv("SCINN_CACHE", str(bare_home / "nothing"))
    monkeypatch.setenv("SCINN_DATA", str(bare_home / "carried"))
    assert store.content_checksum(loading.load("toy")) == info.content_sha256
    path = write_plain_npz(
        bare_home / "compact" / "toy.npz",
        x_train=data.train_images[..., 0],
        y_train=data.train_labels.astype(np.uint8),
        x_test=data.test_images[..., 0],
        y_test=data.test_labels.astype(np.uint8),
    )
    monkeypatch.setenv("SCINN_DATA", str(path.parent))
    with pytest.raises(ChecksumError, match=str(info.file_sha256)):
        loading.load("toy")
    recorded = replace(info, file_sha256=store.sha256(path.read_bytes()))
    monkeypatch.setattr(loading, "lookup", lambda _: recorded)
    assert store.content_checksum(loading.load("toy")) == info.content_sha256
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ChecksumError, match=recorded.file_sha256):
        loading.load("toy")


def test_a_set_known_by_its_records(toy_cifar, publisher, monkeypatch, batches):
    data = loading.load("toy")
    assert data.train_images.shape == (200, 32, 32, 3)
    monkeypatch.setenv("SCINN_OFFLINE", "1")
    assert store.content_checksum(loading.load("toy")) == store.content_checksum(data)
    assert loading.checksum("toy") == store.content_checksum(data)
    place = loading.fetch("toy")["toy"]
    altered = data.images.copy()
    altered[150, 3, 4, 1] ^= 1
    loading._write(toy_cifar, data._replace(images=altered), place.parent)
    with pytest.raises(ChecksumError, match=f"images 120 to 159 .*{toy_cifar.record_md5[3]}"):
        loading.load("toy")
    with pytest.raises(ChecksumError):
        images.check_records(data._replace(images=data.images[::-1]), toy_cifar, "here")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar-10", "cifar10-full"])
def test_offline_says_where_and_what(name, bare_home, monkeypatch):
    monkeypatch.setenv("SCINN_OFFLINE", "1")
    assert not datasets.available(name)
    info = lookup(name)
    with pytest.raises(DataUnavailableError) as caught:
        datasets.load(name)
    for part in (*(s.url for s in info.sources), *(s.md5 for s in info.sources), info.file, *info.record_md5):
        assert part in str(caught.value)
    if name == "cifar10-full":
        assert "is accepted too" not in str(caught.value)


def test_large_sets_are_fetched_by_name_only(bare_home, monkeypatch):
    asked = []
    monkeypatch.setattr(loading, "load", asked.append)
    monkeypatch.setattr(loading, "_place", lambda info: bare_home)
    loading.fetch()
    assert "cifar10" in asked
    assert "cifar10-full" not in asked
    loading.fetch(["CIFAR-10-full"])
    assert asked[-1] == "cifar10-full"


def test_division_and_class_names():
    digits = datasets.load("digits")
    assert digits.class_names == tuple("0123456789")
    for part in ("train_images", "train_labels", "test_images", "test_labels"):
        with pytest.raises(ValueError, match="digits comes without a published division"):
            getattr(digits, part)
    pixels = np.zeros((3, 2, 2, 1), dtype=np.uint8)
    data = ImageDataset("cifar10", pixels, np.arange(3), 10, 255, n_train=1)
    assert data.class_names[0] == "airplane"
    assert np.shares_memory(data.train_images, pixels)
    assert np.shares_memory(data.test_images, pixels)
    assert [len(data.train_labels), len(data.test_labels)] == [1, 2]


@given(st.sampled_from([np.float32, np.float64]), st.integers(0, 2**32 - 1))
def test_normalisation_is_its_formula(dtype, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, size=(2, 3, 4, 3)).astype(np.uint8)
    before = pixels.copy()
    found = normalize_images(pixels, datasets.CIFAR10_MEAN, datasets.CIFAR10_STD, dtype)
    assert found.dtype == dtype
    for k in range(3):
        wanted = (pixels[..., k].astype(np.float64) / 255 - datasets.CIFAR10_MEAN[k]) / datasets.CIFAR10_STD[
            k
        ]
        np.testing.assert_allclose(found[..., k], wanted, rtol=0, atol=8 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(pixels, before)


def test_scaled_images_keep_their_shape():
    digits = datasets.load("digits")
    x = digits.scaled()
    assert x.shape == digits.images.shape
    assert x.dtype == np.float32
    assert (x.min(), x.max()) == (0, 1)
    np.testing.assert_array_equal(digits.scaled(np.float64).reshape(len(x), -1), digits.matrix())
    centred = digits.scaled(np.float64, mean=x.mean(dtype=np.float64), std=[2])
    assert abs(centred.mean()) < 1e-12


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"dtype": np.uint8}, TypeError, "floating type"),
        ({"images": np.array(["a"])}, TypeError, "array of numbers"),
        ({"images": 3}, TypeError, "channels last"),
        ({"mean": [0, 0]}, ValueError, "mean must be a finite number or 3 of them"),
        ({"mean": np.nan}, ValueError, "mean must be a finite number"),
        ({"std": [1, 0, 1]}, ValueError, "std must be positive"),
        ({"max_value": 0}, ValueError, "max_value must be positive"),
    ],
)
def test_wrong_scalings_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        normalize_images(**{"images": np.zeros((2, 2, 2, 3), np.uint8), **arguments})


def _published(name):
    if not datasets.available(name):
        pytest.skip(f"{name} is not in $SCINN_DATA: {DATASETS[name].file} is needed")
    return datasets.load(name)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "sums"),
    [
        (
            "mnist",
            (
                "6bbc9ace898e44ae57da46a324031adb",
                "a25bea736e30d166cdddb491f175f624",
                "2646ac647ad5339dbf082846283269ea",
                "27ae3e4e09519cfbb04c329615203637",
            ),
        ),
        (
            "fashion-mnist",
            (
                "f4a8712d7a061bf5bd6d2ca38dc4d50a",
                "9018921c3c673c538a1fc5bad174d6f9",
                "8181f5470baa50b63fa0f6fddb340f0a",
                "15d484375f8d13e6eb1aabb0c3f46965",
            ),
        ),
    ],
)
def test_published_idx_files_come_back(name, sums):
    data = _published(name)
    parts = (data.train_images[..., 0], data.train_labels, data.test_images[..., 0], data.test_labels)
    files = [idx(part) for part in parts]
    assert tuple(map(store.md5, files)) == sums
    names = [source.file_name for source in DATASETS[name].sources]
    again = images.read_idx_files(name, {n: gzip.compress(f, 1) for n, f in zip(names, files)})
    assert store.content_checksum(again) == datasets.checksum(name)


@pytest.mark.data
def test_published_cifar10():
    data = _published("cifar10")
    for pixels, expected in (
        (data.test_images, "177777c33ba79825320efa646ad04a94bdc3c80e4ebe3bd21724f8cdfd4b9d56"),
        (data.train_images, "b298395fa948784e1e73351bbd6c34e68d9af64538043a8eb071ba23ca0ecbe8"),
    ):
        planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
        assert hashlib.sha256(planes.tobytes()).hexdigest() == expected
    full = DATASETS["cifar10-full"]
    assert store.md5(images.records(data.test_images, data.test_labels)) == full.record_md5[-1]
    assert np.bincount(data.train_labels).tolist() == [1000] * 10
    assert (np.diff(data.train_index) > 0).all()
    # among the first images nothing is left out, because no class is complete yet
    np.testing.assert_array_equal(data.train_index[:5000], np.arange(5000))

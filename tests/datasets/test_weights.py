"""Trained networks of others: found, checked, refused when altered, and as good as they are said to be."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from types import MappingProxyType

import numpy as np
import pytest

from scinn import datasets
from scinn.datasets import DATASETS, WEIGHTS, load_weights, store, weights
from scinn.exceptions import ChecksumError, DataUnavailableError


@pytest.fixture
def toy(bare_home, monkeypatch, write_plain_npz):
    """A network of two arrays in a data directory of its own."""
    arrays = {"W": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(3, dtype=np.float32)}
    path = write_plain_npz(bare_home / "data" / "weights_toy.npz", **arrays)
    info = replace(
        WEIGHTS["mlp-mnist"],
        name="toy",
        file=path.name,
        file_sha256=store.sha256(path.read_bytes()),
        content_sha256=store.arrays_checksum(arrays),
    )
    monkeypatch.setattr(weights, "WEIGHTS", MappingProxyType({"toy": info}))
    monkeypatch.setenv("SCINN_DATA", str(path.parent))
    return info, arrays, path


def test_arrays_come_as_stored(toy):
    info, arrays, _ = toy
    found = load_weights("TOY")
    assert found.info is info
    assert list(found.arrays) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)
        assert found.arrays[name].dtype == np.float32
    assert found.n_parameters == 9
    with pytest.raises(FrozenInstanceError):
        info.accuracy = 1.0


def test_another_packing_of_the_same_arrays_is_accepted(toy):
    _, arrays, path = toy
    np.savez(path, **dict(reversed(arrays.items())))
    np.testing.assert_array_equal(load_weights("toy").arrays["W"], arrays["W"])


def test_the_cache_comes_second(toy, monkeypatch):
    _, _, path = toy
    store.cache_directory().mkdir(parents=True)
    path.rename(store.cache_directory() / path.name)
    assert load_weights("toy").n_parameters == 9


def test_altered_files_are_refused(toy):
    info, arrays, path = toy
    honest = path.read_bytes()
    for content in (honest[:-30], b"", b"text"):
        path.write_bytes(content)
        with pytest.raises(ChecksumError) as caught:
            load_weights("toy")
        for part in ("toy", str(path), info.file_sha256, store.sha256(content), info.url):
            assert part in str(caught.value)
    np.savez(path, W=arrays["W"], b=np.nextafter(arrays["b"], np.float32(2)))
    with pytest.raises(ChecksumError, match=info.content_sha256):
        load_weights("toy")
    np.savez(path, W=np.array([{}]), allow_pickle=True)
    with pytest.raises(ChecksumError, match="no arrays can be read"):
        load_weights("toy")


@pytest.mark.parametrize("name", datasets.list_weights())
def test_absent_files_are_explained(name, bare_home):
    info = WEIGHTS[name]
    with pytest.raises(DataUnavailableError) as caught:
        load_weights(name)
    for part in (info.file, info.url, info.licence, info.recipe, info.content_sha256, info.reason):
        assert part in str(caught.value)


def test_wrong_names_are_named():
    with pytest.raises(ValueError, match="did you mean 'resnet20-cifar10'"):
        load_weights("resnet-20-cifar10")
    with pytest.raises(TypeError, match="must be a string"):
        load_weights(20)


def test_the_table_is_consistent():
    for name, info in WEIGHTS.items():
        assert name == info.name
        assert info.dataset in DATASETS
        channels = {"image classification": 1, "binary features": 0}[DATASETS[info.dataset].task]
        assert len(info.mean) == len(info.std) == (3 if info.dataset == "cifar10" else channels)
        assert info.url.startswith("https://")
        assert len(info.file_sha256) == len(info.content_sha256) == 64
        assert 0.9 < info.measured_accuracy <= info.accuracy < 1


def _published(name):
    try:
        return load_weights(name)
    except DataUnavailableError:
        pytest.skip(f"{name} is not in $SCINN_DATA: {WEIGHTS[name].file} is needed")


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "n_arrays", "n_parameters"),
    [
        ("resnet20-cifar10", 97, 269_722),
        ("resnet56-cifar10", 277, 853_018),
        ("mlp-mnist", 6, 45_360),
        ("deepcnn-mnist", 16, 123_552),
        ("fourier-pdfrate", 54, 2_210),
        ("fourier-hidost", 47, 15_426),
        ("fourier-hatespeech", 54, 3_250),
    ],
)
def test_published_weights(name, n_arrays, n_parameters):
    found = _published(name)
    assert (len(found.arrays), found.n_parameters) == (n_arrays, n_parameters)
    trained = found.info.parameters or tuple(found.arrays)
    assert {found.arrays[key].dtype for key in trained} == {np.dtype(np.float32)}
    assert store.arrays_checksum(found.arrays) == found.info.content_sha256


@pytest.mark.data
def test_published_shapes():
    found = _published("deepcnn-mnist").arrays
    filters = [1, 16, 16, 32, 32, 64, 64]
    for k in range(6):
        assert found[f"W{k + 1}"].shape == (filters[k + 1], filters[k], 3, 3)
        assert found[f"b{k + 1}"].shape == (filters[k + 1],)
    assert [found[n].shape for n in ("W7", "b7", "W8", "b8")] == [(1024, 50), (50,), (50, 10), (10,)]
    residual = _published("resnet20-cifar10").arrays
    assert residual["conv1.weight"].shape == (16, 3, 3, 3)
    assert residual["layer3.2.bn2.running_var"].shape == (64,)
    assert residual["linear.weight"].shape == (10, 64)


@pytest.mark.data
def test_published_perceptron_is_as_good_as_recorded():
    network, name = _published("mlp-mnist"), "mnist"
    if not datasets.available(name):
        pytest.skip(f"{name} is not in $SCINN_DATA: {DATASETS[name].file} is needed")
    data, a = datasets.load(name), network.arrays
    x = datasets.normalize_images(data.test_images, network.info.mean, network.info.std)
    for k in (1, 2):
        x = 1 / (1 + np.exp(-(x.reshape(len(x), -1) @ a[f"W{k}"] + a[f"b{k}"])))
    found = (x @ a["W3"] + a["b3"]).argmax(axis=1)
    assert (found == data.test_labels).mean() == network.info.measured_accuracy


FOURIER = [name for name in WEIGHTS if name.startswith("fourier-")]


def _fourier(name):
    network = _published(name)
    if not datasets.available(network.info.dataset):
        pytest.skip(f"{network.info.dataset} is not in $SCINN_DATA")
    return network, datasets.load(network.info.dataset)


def _n_right(a, features, labels):
    hidden = np.tanh(((1 - 2.0 * features) @ a["W"] + a["b"]) / 2)
    return int(((hidden @ a["V"] + a["c"]).argmax(axis=1) == labels).sum())


def _unpacked(a, part):
    return np.unpackbits(a[f"{part}_bits"], axis=1, count=int(a["n"]))


@pytest.mark.data
@pytest.mark.parametrize("name", FOURIER)
def test_validation_part_of_the_networks_is_that_of_the_data(name):
    network, data = _fourier(name)
    a, split = network.arrays, data.validation_split()
    np.testing.assert_array_equal(_unpacked(a, "val"), split.validation.features)
    np.testing.assert_array_equal(a["val_y"], split.validation.labels)
    if "test_bits" in a:
        np.testing.assert_array_equal(_unpacked(a, "test"), split.test.features)
        np.testing.assert_array_equal(a["test_y"], split.test.labels)
    assert ("test_bits" in a) == (name != "fourier-hidost")


@pytest.mark.data
@pytest.mark.parametrize("name", FOURIER)
def test_published_detectors_are_as_good_as_recorded(name):
    network, data = _fourier(name)
    a, info, split = network.arrays, network.info, data.validation_split()
    for part, recorded, accuracy in (
        (split.validation, a["acc_val"], info.validation_accuracy),
        (split.test, a["acc_test"], info.measured_accuracy),
    ):
        n = len(part.labels)
        # double precision sums the products in another order than the authors' program in single precision
        assert abs(_n_right(a, *part) - round(float(recorded) * n)) <= n // 10_000
        assert round(accuracy * n) == round(float(recorded) * n)
    assert info.accuracy == info.measured_accuracy


@pytest.mark.data
@pytest.mark.parametrize("name", FOURIER)
def test_stabilised_detectors_are_as_good_as_recorded(name):
    network, data = _fourier(name)
    split, a = data.validation_split(), network.arrays
    kinds = [key.removesuffix("_acc_test") for key in a if key.endswith("_acc_test")]
    assert len(kinds) == 6
    for kind in kinds:
        b = dict(a)
        for key, layer in (("W", 0), ("V", 1)):
            signs = np.sign(a[key]) * np.abs(a[key]).max(axis=0)
            b[key] = np.where(a[f"{kind}_changed_layer{layer}"], signs, a[key])
        for part, share in ((split.validation, "acc_val"), (split.test, "acc_test")):
            n = len(part.labels)
            assert abs(_n_right(b, *part) - round(float(a[f"{kind}_{share}"]) * n)) <= n // 10_000


def test_only_the_network_counts_as_parameters(toy, monkeypatch):
    info, _, _ = toy
    part = replace(info, parameters=("b",))
    monkeypatch.setattr(weights, "WEIGHTS", MappingProxyType({"toy": part}))
    assert load_weights("toy").n_parameters == 3

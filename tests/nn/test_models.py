"""Builders: published sizes, gradients, trained weights from elsewhere and the accuracies documented for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from scinn import datasets
from scinn.nn import Dense, LeakyReLU, Network, models, predict
from scinn.verify import check_gradient

SMALL = (32, 32, 3)

# Parameters and multiply-accumulate operations: K. He et al. (2016) and A. Howard et al. (2017) to the digits they give;
# the exact numbers are those of the networks in use today.
SIZES: dict[str, tuple[Callable[[], Network], tuple[int, int, int], int, int]] = {
    "resnet20": (lambda: models.resnet20(rng=0), SMALL, 269_722, 40_551_040),
    "resnet26": (lambda: models.resnet26(rng=0), SMALL, 366_938, 54_706_816),
    "resnet56": (lambda: models.resnet56(rng=0), SMALL, 853_018, 125_485_696),
    "resnet110": (lambda: models.resnet110(rng=0), SMALL, 1_727_962, 252_887_680),
    "resnet20 B": (lambda: models.resnet_cifar(20, shortcut="B", rng=0), SMALL, 272_474, 40_813_184),
    "resnet18, small": (lambda: models.resnet18(rng=0), SMALL, 11_173_962, 555_422_720),
    "vgg16": (lambda: models.vgg16_bn(rng=0), SMALL, 14_991_946, 313_463_808),
    "resnet18": (
        lambda: models.resnet18(n_classes=1000, small_images=False, rng=0),
        (224, 224, 3),
        11_689_512,
        1_814_073_344,
    ),
    "resnet50": (lambda: models.resnet50(rng=0), (224, 224, 3), 25_557_032, 4_089_184_256),
    "mobilenet": (
        lambda: models.mobilenet(n_classes=1000, small_images=False, rng=0),
        (224, 224, 3),
        4_231_976,
        568_740_352,
    ),
    "lenet-300-100": (lambda: models.mlp([784, 300, 100, 10], rng=0), (784,), 266_610, 266_200),
}


@pytest.mark.parametrize("name", SIZES)
def test_sizes_are_the_published_ones(name: str) -> None:
    build, shape, n_parameters, n_macs = SIZES[name]
    count = models.count_operations(build(), shape)
    assert (count.n_parameters, count.n_macs) == (n_parameters, n_macs)
    assert sum(count.to_dict()["macs"].values()) == n_macs


def test_macs_go_through_nested_networks() -> None:
    inner = Network.sequential(Dense(3, 4, rng=0), Dense(4, 2, rng=1))
    count = models.count_operations(Network.sequential(inner, Dense(2, 2, rng=2)), (3,))
    assert dict(count.macs) == {"network1.dense1": 12, "network1.dense2": 8, "dense1": 4}


BUILT: dict[str, tuple[Network, tuple[int, ...]]] = {
    "resnet A": (models.resnet_cifar(8, width=3, n_channels=2, n_classes=3, rng=0), (3, 8, 7, 2)),
    "resnet B": (
        models.resnet_cifar(8, width=2, n_channels=1, n_classes=3, shortcut="B", rng=0),
        (3, 5, 6, 1),
    ),
    "mobilenet": (models.mobilenet(width=0.02, n_channels=1, n_classes=3, rng=0), (3, 16, 16, 1)),
    "mlp": (models.mlp([5, 7, 6, 3], batch_norm=True, dropout=0.3, rng=0), (6, 5)),
    "mlp, leaky": (models.mlp([5, 7, 3], activation="leaky_relu", rng=0), (6, 5)),
    "shortcut": (Network.sequential(models.SubsamplePad(2, 5)), (2, 5, 4, 2)),
}


# MobileNet has 81 arrays: half a minute of differences for layers that have their own tests.
@pytest.mark.parametrize("name", [name for name in BUILT if name != "mobilenet"])
def test_gradients(name: str) -> None:
    network, shape = BUILT[name]
    x = np.random.default_rng(1).normal(size=shape)
    check_gradient(network, x, rng=1).raise_if_failed()


@pytest.mark.parametrize("name", BUILT)
def test_a_saved_network_computes_the_same(name: str, tmp_path: Any) -> None:
    network, shape = BUILT[name]
    network.save(tmp_path / "network.npz")
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    assert Network.load(tmp_path / "network.npz")(x).tobytes() == network(x).tobytes()


def test_the_same_seed_gives_the_same_network_and_no_two_layers_start_equal() -> None:
    first, second, other = models.resnet20(rng=3), models.resnet20(rng=3), models.resnet20(rng=4)
    names = [name for name, value in first.params.items() if value.ndim == 4]
    for name in names:
        assert first.params[name].tobytes() == second.params[name].tobytes()
        assert first.params[name].tobytes() != other.params[name].tobytes()
    assert first.params["layer1_0_conv1.weight"].tobytes() != first.params["layer1_1_conv1.weight"].tobytes()


def test_the_shortcut_puts_zeros_on_both_sides() -> None:
    x = np.arange(2.0 * 4 * 4 * 2).reshape(2, 4, 4, 2)
    y = models.SubsamplePad(2, 4)(x)
    assert (y[..., 1:3] == x[:, ::2, ::2]).all()
    assert not y[..., [0, 3]].any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: models.resnet_cifar(21), "6 n \\+ 2"),
        (lambda: models.resnet_cifar(2), "6 n \\+ 2"),
        (lambda: models.resnet_cifar(20, shortcut="C"), 'shortcut must be "A"'),
        (lambda: models.mlp([3]), "inputs and outputs"),
        (lambda: models.mlp([3, 2], activation="gelu"), "activation must be one of"),
        (lambda: models.mobilenet(width=0), "width must be positive"),
        (lambda: models.SubsamplePad(4, 2), "n_out must not be below n_in"),
        (lambda: models.SubsamplePad(2, 4, 0), "stride must be a positive integer"),
        (
            lambda: models.count_operations(
                Network({"a": Dense(1, 1)}, [("a", "a", ["u"])], inputs=["u"]), ()
            ),
            "axes",
        ),
        (lambda: predict(Dense(1, 1), np.ones((2, 1), dtype=np.float32), batch_size=0), "batch_size"),
        (lambda: predict(Dense(1, 1), np.ones((0, 1), dtype=np.float32)), "no rows"),
    ],
)
def test_builders_refuse_what_they_cannot_build(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_a_state_dict_goes_through_unchanged() -> None:
    network = models.resnet_cifar(8, width=4, shortcut="B", rng=0)
    rng = np.random.default_rng(0)
    for value in [*network.params.values(), *network.state.values()]:
        value[...] = rng.random(value.shape)
    arrays = models.to_state_dict(network)
    assert arrays["layer2.0.conv1.weight"].shape == (8, 4, 3, 3)
    assert arrays["layer2.0.downsample.1.running_var"].shape == (8,)
    assert arrays["linear.weight"].shape == (10, 16)
    twin = models.resnet_cifar(8, width=4, shortcut="B", rng=1)
    noisy = {f"module.{name}": value for name, value in arrays.items()} | {
        "module.bn1.num_batches_tracked": 7
    }
    models.load_state_dict(twin, noisy)
    x = rng.normal(size=(2, 8, 8, 3)).astype(np.float32)
    assert twin(x).tobytes() == network(x).tobytes()


def test_the_order_of_flattened_images_is_changed() -> None:
    network = models.deepcnn_mnist(rng=0)
    images = {"dense1": (64, 4, 4)}
    arrays = models.to_state_dict(network, images=images)
    # In channels-first order number 4 * 4 is the first pixel of the second channel.
    np.testing.assert_array_equal(arrays["dense1.weight"][:, 16], network.params["dense1.weight"][1])
    twin = models.deepcnn_mnist(rng=1)
    models.load_state_dict(twin, arrays, images=images)
    assert twin.params["dense1.weight"].tobytes() == network.params["dense1.weight"].tobytes()


def test_a_state_dict_that_does_not_fit_changes_nothing() -> None:
    network = models.resnet_cifar(8, width=2, rng=0)
    arrays = models.to_state_dict(network)
    before = {name: value.copy() for name, value in network.params.items()}
    arrays["conv1.weight"] = np.moveaxis(arrays["conv1.weight"], 0, -1)
    arrays["linear.bias"] = np.full(10, np.nan, dtype=np.float32)
    arrays["fc.bias"] = arrays.pop("layer1.0.bn1.weight")
    with pytest.raises(ValueError, match="do not fit") as error:
        models.load_state_dict(network, arrays)
    for part in (
        "missing: layer1.0.bn1.weight",
        "unexpected: fc.bias",
        "conv1.weight: shape",
        "linear.bias: has NaN",
    ):
        assert part in str(error.value)
    assert all(before[name].tobytes() == value.tobytes() for name, value in network.params.items())
    with pytest.raises(TypeError, match="floating-point"):
        models.load_state_dict(network, {**models.to_state_dict(network), "linear.bias": np.arange(10)})
    with pytest.raises(ValueError, match="no dense layer"):
        models.to_state_dict(network, images={"conv1": (1, 1, 1)})
    with pytest.raises(ValueError, match="reads 8 numbers"):
        models.to_state_dict(network, images={"linear": (3, 1, 1)})


def test_layers_without_a_counterpart_are_named() -> None:
    class Own(LeakyReLU):
        def __init__(self) -> None:
            super().__init__()
            self.params = {"slope": np.ones(1)}

    with pytest.raises(ValueError, match=r"'own' \(Own\) has no counterpart"):
        models.to_state_dict(Network.sequential(own=Own()))


def accuracy(name: str, n_images: int) -> int:
    """Return how many of the first test images a trained network gets right."""
    info = datasets.load_weights(name).info
    data: Any = datasets.load(info.dataset)
    x = datasets.normalize_images(data.test_images[:n_images], info.mean, info.std)
    if name == "mlp-mnist":
        x = x.reshape(len(x), -1)
    return int((predict(models.pretrained(name), x).argmax(axis=1) == data.test_labels[:n_images]).sum())


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "n_images", "n_correct"),
    [
        ("mlp-mnist", 10_000, 9352),
        ("deepcnn-mnist", 10_000, 9797),
        ("resnet20-cifar10", 10_000, 9173),
        pytest.param("resnet56-cifar10", 5_000, 4648, marks=pytest.mark.slow),
    ],
)
def test_trained_networks_have_their_documented_accuracies(
    name: str, n_images: int, n_correct: int, needs_data: Callable[[str], Any]
) -> None:
    info = datasets.WEIGHTS[name]
    needs_data(info.file)
    needs_data(datasets.DATASETS[info.dataset].file)
    # One image near a boundary may fall to the other side on a processor that adds in another order.
    assert abs(accuracy(name, n_images) - n_correct) <= 1

"""Trained networks of others, as arrays under the names and in the layout of their authors."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from scinn.datasets import store
from scinn.datasets.binary_sets import KELLEY
from scinn.exceptions import ChecksumError, DataUnavailableError

__all__ = ["WEIGHTS", "PretrainedWeights", "WeightsInfo", "list_weights", "load_weights"]

AKAMASTER = "https://github.com/akamaster/pytorch_resnet_cifar10"
OREILLY = "https://github.com/oreilly-japan/deep-learning-from-scratch"


@dataclass(frozen=True)
class WeightsInfo:
    """What a trained network is, where it comes from, and what it expects.

    Parameters
    ----------
    name : str
        Name for :func:`load_weights`.
    title : str
        One line for a table.
    dataset : str
        The data set that it classifies, a name for :func:`scinn.datasets.load`.
    licence, origin, url : str
        Terms as the publisher states them, the repository, and the address of the published file.
    accuracy : float
        Fraction of the data set's test part that the publisher says it gets right ("over 99 %" is 0.99), or
        that the file itself records.
    measured_accuracy : float
        The same, found with the stored arrays; of the rows or images that ``measured_on`` says.
    measured_on : str
        What ``measured_accuracy`` was measured on.
    mean, std : tuple of float
        Input normalisation, one number a channel: the network wants ``(pixel / 255 - mean) / std``. Empty
        where the input is no image; ``layout`` then says what the network wants.
    layout : str
        How the arrays are named and ordered, and what the forward pass does with them.
    file, file_sha256 : str
        File looked for, and the checksum of one packing of it.
    content_sha256 : str
        Checksum of the arrays, whatever the packing.
    recipe : str
        How the file is made from the published one.
    reason : str
        Why it is not downloaded: the rest of a sentence that begins with "because".
    parameters : tuple of str
        Names of the arrays that are the network, where the file holds others besides; empty where all are.
    validation_accuracy : float or None
        As ``accuracy``, of the authors' validation part, where the file records it.
    """

    name: str
    title: str
    dataset: str
    licence: str
    origin: str
    url: str
    accuracy: float
    measured_accuracy: float
    measured_on: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    layout: str
    file: str
    file_sha256: str
    content_sha256: str
    recipe: str
    reason: str = "the published file is a pickle"
    parameters: tuple[str, ...] = ()
    validation_accuracy: float | None = None


class PretrainedWeights(NamedTuple):
    """Arrays of a trained network, and what they are.

    Parameters
    ----------
    arrays : dict of str to ndarray
        As the authors stored them: names, shapes and order of axes unchanged.
    info : WeightsInfo
        Licence, origin, accuracy, input normalisation and layout.
    """

    arrays: dict[str, np.ndarray]
    info: WeightsInfo

    @property
    def n_parameters(self) -> int:
        """Number of trained values; running statistics and what else the file holds are not counted."""
        names = self.info.parameters or [name for name in self.arrays if "running_" not in name]
        return sum(self.arrays[name].size for name in names)


def _resnet(
    depth: int,
    published: str,
    accuracy: float,
    measured: tuple[float, str],
    file_sha256: str,
    content_sha256: str,
) -> WeightsInfo:
    file = f"weights_resnet{depth}_cifar10.npz"
    return WeightsInfo(
        name=f"resnet{depth}-cifar10",
        title=f"ResNet-{depth} for CIFAR-10, shortcuts without parameters (option A)",
        dataset="cifar10",
        licence="BSD-2-Clause",
        origin=f"{AKAMASTER}, Y. Idelbayev",
        url=f"{AKAMASTER}/raw/master/pretrained_models/{published}",
        accuracy=accuracy,
        measured_accuracy=measured[0],
        measured_on=measured[1],
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        layout="PyTorch state dict: convolutions (out, in, height, width) without bias and with padding 1, "
        "batch normalisation with epsilon 1e-5, blocks layer{1,2,3}.{b}.{conv1,bn1,conv2,bn2}. The first block "
        "of layers 2 and 3 has stride 2; its shortcut takes every second pixel and adds planes / 4 channels of "
        "zeros on each side. ReLU after the sum, mean over the last 8 x 8 map, linear.weight (classes, 64).",
        file=file,
        file_sha256=file_sha256,
        content_sha256=content_sha256,
        recipe=f"state = torch.load({published!r}, map_location='cpu')['state_dict']; "
        f"numpy.savez({file!r}, **{{k.removeprefix('module.'): v.numpy() for k, v in state.items() "
        "if not k.endswith('num_batches_tracked')})",
    )


def _fourier(
    name: str,
    dataset: str,
    title: str,
    n: int,
    right: tuple[tuple[int, int], tuple[int, int]],
    sums: tuple[str, str],
) -> WeightsInfo:
    (n_test_right, n_test), (n_validation_right, n_validation) = right
    file = f"fourier_networks_{name}.npz"
    return WeightsInfo(
        name=f"fourier-{name}",
        title=title,
        dataset=dataset,
        licence="not stated by the publisher",
        origin=f"{KELLEY}, authors of Fourier stabilisation",
        url=KELLEY,
        accuracy=n_test_right / n_test,
        measured_accuracy=n_test_right / n_test,
        measured_on=f"all {n_test} test rows",
        mean=(),
        std=(),
        layout=f"Input x = 1 - 2 * bit, so that a feature that is present is -1. Hidden layer "
        f"tanh((x @ W + b) / 2), W ({n}, 16), which is 2 * sigmoid - 1; logits are its values @ V + c, V "
        f"(16, 2); softmax. Beside W, b, V, c (float32) the file holds n; val_bits and val_y, the authors' "
        "validation part (numpy.packbits of the rows), and mostly test_bits and test_y; acc_val and acc_test; "
        "jsma_l1 and bb_l1, the l1 norms (twice the flips for jsma) of the attacks on each validation row, 0 "
        "where it is misclassified. GMB_* and GMBC_* say for each accuracy floor which columns of W (layer0) "
        "and V (layer1) their program replaced by sign(column) * max|column|, with biases unchanged, and hold "
        "the accuracies and norms after that. relu_* is a network with ReLU instead of tanh (not for hidost).",
        file=file,
        file_sha256=sums[0],
        content_sha256=sums[1],
        recipe=f"W, b, V, c are the four weights of models/{name}.h5 (relu_*: of models_relu/{name}.h5). A "
        f"changed column is one in which it and models/{name}_stable_{{floor}}.h5 (GMBC) or "
        f"models3/{name}_stable_no_acc{{floor}}.h5 (GMB) differ. Norms are min_norms "
        f"of attack_data/{name}_custom_jsma.json (int16) and _brendel.json (float32), of attack_data2 for "
        f"GMBC, attack_data3 for GMB, attack_data_relu for relu_*. The other arrays follow from these and the "
        f"data set; numpy.savez({file!r}, ...) under the names that WEIGHTS['fourier-{name}'].layout gives.",
        reason="the publishing repository states no licence and holds Keras .h5 and JSON files",
        parameters=("W", "b", "V", "c"),
        validation_accuracy=n_validation_right / n_validation,
    )


_ALL = (
    _resnet(
        20,
        "resnet20-12fca82f.th",
        0.9173,
        (0.9173, "all 10000 test images"),
        "b051f6bacfb75bf35e0a690fb7c1cfaeb64304b729b751b886b2f810d6321516",
        "f6ea4e8a3ab4a6477e815caf104296c73f159102db980b2458b485a41e2b9acd",
    ),
    _resnet(
        56,
        "resnet56-4bfd9763.th",
        0.9339,
        (0.9296, "the first 5000 test images"),
        "32e304c2347f05a65f2d5948f645843085c9bd9071d84e57e11f9622966ece0a",
        "439cdde56f199cf8b294a6dd1fa626a73e36576f8ef164d7ee0422e1cdc949e7",
    ),
    WeightsInfo(
        name="mlp-mnist",
        title="Perceptron 784-50-100-10 for MNIST",
        dataset="mnist",
        licence="MIT",
        origin=f"{OREILLY}, K. Saitoh, chapter 3",
        url=f"{OREILLY}/raw/master/ch03/sample_weight.pkl",
        accuracy=0.9352,
        measured_accuracy=0.9352,
        measured_on="all 10000 test images",
        mean=(0.0,),
        std=(1.0,),
        layout="Rows of 784 pixels times W1 (784, 50), W2 (50, 100), W3 (100, 10), plus b1, b2, b3; the "
        "logistic function after the first two.",
        file="weights_mlp_mnist.npz",
        file_sha256="408cb1cc339e93ae8bc743b0c2ba2422f54fef06fa9aa9b255b32017c35aa0b6",
        content_sha256="eb2700c1ebad0ed2395e1981eb4ec26009e27eded08e91fb008443c6c32fc4da",
        recipe="a pickle can run code, so open it only where you trust its publisher: "
        "numpy.savez('weights_mlp_mnist.npz', **pickle.load(open('sample_weight.pkl', 'rb')))",
    ),
    WeightsInfo(
        name="deepcnn-mnist",
        title="Six convolutions and two dense layers for MNIST",
        dataset="mnist",
        licence="MIT",
        origin=f"{OREILLY}, K. Saitoh, chapter 8",
        url=f"{OREILLY}/raw/master/ch08/deep_convnet_params.pkl",
        accuracy=0.99,
        measured_accuracy=0.9797,
        measured_on="all 10000 test images; the same with the authors' own program",
        mean=(0.0,),
        std=(1.0,),
        layout="Three times convolution, ReLU, convolution, ReLU, 2 x 2 maximum: W1 to W6 (out, in, 3, 3), "
        "cross-correlation with padding 1, in the fourth 2. Then W7 (1024, 50) on the 64 x 4 x 4 map in the "
        "order channel, row, column; ReLU; W8 (50, 10). The hidden layer and the output are each halved, "
        "which is the dropout rule of its book. W is (in, out) in the dense layers; b1 to b8 are added.",
        file="weights_deepcnn_mnist.npz",
        file_sha256="bee6a1a05860c7750740a34f3b97be2413d0d287428368c9a7fbfa2a50ce9149",
        content_sha256="533b39c0eb628406bc8776624eeff999e706bcb8e14d2add5de86df0514762d1",
        recipe="a pickle can run code, so open it only where you trust its publisher: "
        "numpy.savez('weights_deepcnn_mnist.npz', **{k: v.astype('float32') for k, v in "
        "pickle.load(open('deep_convnet_params.pkl', 'rb')).items()})",
    ),
    _fourier(
        "pdfrate",
        "pdfrate-binary",
        "Detector of PDFRate-B with 16 hidden neurons, and what its stabilisation changed",
        135,
        ((9753, 9771), (2014, 2016)),
        (
            "c8614b56e047fb53bdea3c6ac376663b11aa66dd5da63350e4919f8ad8c9ab4b",
            "f506ceeb446c45300fe5109d4e2751b9074a7d967fc01d7fe1f9bc3a458d714e",
        ),
    ),
    _fourier(
        "hidost",
        "hidost-binary",
        "Detector of Hidost with 16 hidden neurons, and what its stabilisation changed",
        961,
        ((9753, 9771), (2014, 2016)),
        (
            "29a6398872e1f0b6517ba504af35aedac6a4f529c913ff90c2f1234e99a6a136",
            "5d75dba8bbb47508d35367e8b6e091d6cebb3d87c9b7d8adc927c16e861591a4",
        ),
    ),
    _fourier(
        "hatespeech",
        "hate-speech-binary",
        "Detector of hate speech with 16 hidden neurons, and what its stabilisation changed",
        200,
        ((20633, 22767), (4137, 4566)),
        (
            "105f8510194147f81a3e3f4c6cd61126cb37c1f58c5786dcda251fccc10f95a6",
            "1d5df744761990d6ebfecd6747a681f0aa88c50b7490564315f80af4d3756ae1",
        ),
    ),
)

WEIGHTS: Mapping[str, WeightsInfo] = MappingProxyType({info.name: info for info in _ALL})


def list_weights() -> list[str]:
    """Return the names that :func:`load_weights` knows.

    Returns
    -------
    list of str

    Examples
    --------
    >>> list_weights()
    ['resnet20-cifar10', 'resnet56-cifar10', 'mlp-mnist', 'deepcnn-mnist', 'fourier-pdfrate',
     'fourier-hidost', 'fourier-hatespeech']
    """
    return list(WEIGHTS)


def load_weights(name: str) -> PretrainedWeights:
    """Load a trained network of others.

    The file is looked for in ``$SCINN_DATA``, then in the user's cache, and believed only if its bytes or its
    arrays have the recorded checksum. Nothing is downloaded: the published files are pickles, which this
    package does not open, or carry no licence; where no file is found, the message says how to convert one.

    Parameters
    ----------
    name : str
        One of :func:`list_weights`, for example ``"resnet20-cifar10"`` or ``"fourier-pdfrate"``. Case,
        ``_`` and ``-`` do not matter.

    Returns
    -------
    PretrainedWeights
        ``arrays`` (in the authors' layout, trained values float32) and ``info``.

    Raises
    ------
    ValueError
        Unknown name.
    DataUnavailableError
        The file is not here; the message says where it comes from and how it is made.
    ChecksumError
        The file was altered.

    References
    ----------
    He, K., Zhang, X., Ren, S., Sun, J. (2016). Deep residual learning for image recognition.
    Raviv, N., Kelley, A., Guo, M., Vorobeychik, Y. (2021). Enhancing robustness of neural networks through
    Fourier stabilization.

    Examples
    --------
    >>> from scinn import datasets
    >>> datasets.WEIGHTS["resnet20-cifar10"].accuracy
    0.9173
    >>> network = datasets.load_weights("resnet20-cifar10")  # doctest: +SKIP
    >>> network.arrays["conv1.weight"].shape  # doctest: +SKIP
    (16, 3, 3, 3)
    """
    info = _lookup(name)
    path = _place(info)
    if path is None:
        raise DataUnavailableError(
            f"{info.name}: {info.file} is neither in $SCINN_DATA nor in the cache "
            f"({store.cache_directory()}), and is not downloaded, because {info.reason}.\n"
            f"Get {info.url} ({info.licence}), convert it where its format can be read:\n"
            f"  {info.recipe}\n"
            f"and put the result into either folder. Its arrays must have the content sha256 "
            f"{info.content_sha256}."
        )
    return PretrainedWeights(_read(path, info), info)


def _lookup(name: str) -> WeightsInfo:
    if not isinstance(name, str):
        raise TypeError(f"name must be a string such as 'resnet20-cifar10', got {type(name).__name__}")
    key = name.strip().lower().replace("_", "-").replace(" ", "-")
    if key in WEIGHTS:
        return WEIGHTS[key]
    near = difflib.get_close_matches(key, WEIGHTS, n=3)
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    raise ValueError(f"name: no trained network {name!r} is registered; {hint}Known: {', '.join(WEIGHTS)}")


def _place(info: WeightsInfo) -> Path | None:
    folders = (store.data_directory(), store.cache_directory())
    paths = (folder / info.file for folder in folders if folder is not None)
    return next((path for path in paths if path.is_file()), None)


def _read(path: Path, info: WeightsInfo) -> dict[str, np.ndarray]:
    content = path.read_bytes()
    packing = store.sha256(content)
    try:
        arrays = store.unpack_npz(content)
        found = packing if packing == info.file_sha256 else store.arrays_checksum(arrays)
    except Exception as error:  # damaged archives fail in many ways, all of which mean the same
        raise ChecksumError(_altered(path, info, f"{packing}, of which no arrays can be read")) from error
    if found not in (info.file_sha256, info.content_sha256):
        raise ChecksumError(_altered(path, info, f"{packing} (of its arrays {found})"))
    return arrays


def _altered(path: Path, info: WeightsInfo, found: str) -> str:
    return (
        f"{info.name}: {path} has been altered or damaged: expected sha256 {info.file_sha256} (of its arrays "
        f"{info.content_sha256}), found {found}. Remove the file and get it again: {info.url}, then "
        f"{info.recipe}"
    )

"""Weights that were trained elsewhere: dicts of arrays in PyTorch's names and layouts, into networks and out of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from scinn.nn.convolution import Conv2d
from scinn.nn.dense import Dense
from scinn.nn.embedding import Embedding
from scinn.nn.layer import Layer
from scinn.nn.models import plain, resnet
from scinn.nn.network import Network
from scinn.nn.normalization import BatchNorm

__all__ = ["load_state_dict", "pretrained", "to_state_dict"]

_IGNORED = ("num_batches_tracked",)


class _Entry(NamedTuple):
    """One array of a network and what it is called and looks like elsewhere."""

    target: np.ndarray
    theirs: str
    axes: tuple[int, ...]
    image: tuple[int, int, int] | None


# Ours, theirs, and the order of axes that leads from theirs to ours.
_RULES: tuple[tuple[type[Layer], tuple[tuple[str, str, tuple[int, ...]], ...]], ...] = (
    (Conv2d, (("weight", "weight", (2, 3, 1, 0)), ("bias", "bias", (0,)))),
    (Dense, (("weight", "weight", (1, 0)), ("bias", "bias", (0,)))),
    (Embedding, (("weight", "weight", (0, 1)),)),
    (
        BatchNorm,
        (
            ("scale", "weight", (0,)),
            ("shift", "bias", (0,)),
            ("mean", "running_mean", (0,)),
            ("variance", "running_var", (0,)),
        ),
    ),
)


def _entries(
    network: Network, names: Callable[[str], str], images: Mapping[str, tuple[int, int, int]]
) -> dict[str, _Entry]:
    entries = {}
    for name, layer in network.layers.items():
        if not layer.params and not layer.state:
            continue
        rule = next((arrays for kind, arrays in _RULES if isinstance(layer, kind)), None)
        if rule is None:
            raise ValueError(
                f"layer {name!r} ({type(layer).__name__}) has no counterpart in a state dict that is known here; "
                "copy its arrays by hand: network.layers[name].params"
            )
        own = {**layer.params, **layer.state}
        for ours, theirs, axes in rule:
            if ours in own:
                image = images.get(name) if ours == "weight" and isinstance(layer, Dense) else None
                entries[f"{name}.{ours}"] = _Entry(own[ours], f"{names(name)}.{theirs}", axes, image)
    for name in images:
        if f"{name}.weight" not in entries or not isinstance(network.layers[name], Dense):
            raise ValueError(f"images: {name!r} is no dense layer of the network")
    return entries


def _dotted(name: str) -> str:
    return name.replace("_", ".")


def load_state_dict(
    network: Network,
    arrays: Mapping[str, Any],
    *,
    names: Callable[[str], str] | None = None,
    images: Mapping[str, tuple[int, int, int]] | None = None,
) -> None:
    """Copy the arrays of a PyTorch state dict into a network, layouts converted.

    Convolution weights (out, in, height, width) become (height, width, in, out), dense ones (out, in) become (in, out);
    ``weight``, ``bias``, ``running_mean`` and ``running_var`` of batch normalisation become ``scale``, ``shift``, ``mean``
    and ``variance``. A prefix ``module.`` that all names share is dropped, counters of batches are not looked at.

    Parameters
    ----------
    network : Network
        Its arrays are overwritten, after everything has been checked.
    arrays : mapping of str to array_like
        Name to array, for example ``{k: v.numpy() for k, v in model.state_dict().items()}``.
    names : callable, optional
        From a layer's name to the module's name there; default: ``_`` becomes ``.``, which fits the residual networks
        of :mod:`scinn.nn.models`.
    images : mapping of str to tuple of int, optional
        For a dense layer that reads flattened images: (n_channels, height, width), whose order is changed from
        channels first to channels last.

    Raises
    ------
    TypeError
        Where an array does not hold floating-point numbers.
    ValueError
        Lists every missing, unexpected or differently shaped array and every one that is not finite; nothing is
        changed then.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.nn import Dense, Network
    >>> network = Network.sequential(fc=Dense(3, 2, rng=0))
    >>> load_state_dict(network, {"fc.weight": np.arange(6.0).reshape(2, 3), "fc.bias": np.zeros(2)})
    >>> network.params["fc.weight"][0].tolist()
    [0.0, 3.0]
    """
    given = {name: value for name, value in arrays.items() if not name.endswith(_IGNORED)}
    if given and all(name.startswith("module.") for name in given):
        given = {name.removeprefix("module."): value for name, value in given.items()}
    entries = _entries(network, names or _dotted, images or {})
    wanted = {entry.theirs for entry in entries.values()}
    problems = [f"missing: {name}" for name in sorted(wanted - set(given))]
    problems += [f"unexpected: {name}" for name in sorted(set(given) - wanted)]
    converted = {}
    for ours, entry in entries.items():
        if entry.theirs not in given:
            continue
        value = np.asarray(given[entry.theirs])
        if value.dtype.kind != "f":
            raise TypeError(f"{entry.theirs} must hold floating-point numbers, got {value.dtype}")
        inverse = np.argsort(entry.axes)
        shape = tuple(entry.target.shape[i] for i in inverse)
        if value.shape != shape:
            problems.append(f"{entry.theirs}: shape {value.shape}, wanted {shape}")
        elif not np.isfinite(value).all():
            problems.append(f"{entry.theirs}: has NaN or infinite entries")
        else:
            converted[ours] = _to_channels_last(value.transpose(entry.axes), entry)
    if problems:
        raise ValueError("the arrays do not fit the network:\n  " + "\n  ".join(problems))
    for ours, value in converted.items():
        entries[ours].target[...] = value


def to_state_dict(
    network: Network,
    *,
    names: Callable[[str], str] | None = None,
    images: Mapping[str, tuple[int, int, int]] | None = None,
) -> dict[str, np.ndarray]:
    """Return a network's arrays under PyTorch's names and in its layouts, the inverse of :func:`load_state_dict`.

    Parameters
    ----------
    network : Network
    names : callable, optional
        As in :func:`load_state_dict`.
    images : mapping of str to tuple of int, optional
        As in :func:`load_state_dict`.

    Returns
    -------
    dict of str to ndarray
        New arrays.

    Raises
    ------
    ValueError
        For layers without a counterpart there.

    Examples
    --------
    >>> from scinn.nn import Conv2d, Network
    >>> arrays = to_state_dict(Network.sequential(conv=Conv2d(3, 8, 5, rng=0)))
    >>> {name: value.shape for name, value in arrays.items()}
    {'conv.weight': (8, 3, 5, 5), 'conv.bias': (8,)}
    """
    entries = _entries(network, names or _dotted, images or {})
    result = {}
    for entry in entries.values():
        value = _to_channels_first(entry.target, entry).transpose(np.argsort(entry.axes))
        result[entry.theirs] = np.array(value, order="C")
    return result


def _to_channels_last(weight: np.ndarray, entry: _Entry) -> np.ndarray:
    if entry.image is None:
        return weight
    _check_image(weight, entry)
    return np.moveaxis(weight.reshape(*entry.image, -1), 0, 2).reshape(weight.shape)


def _to_channels_first(weight: np.ndarray, entry: _Entry) -> np.ndarray:
    if entry.image is None:
        return weight
    _check_image(weight, entry)
    n_channels, height, width = entry.image
    return np.moveaxis(weight.reshape(height, width, n_channels, -1), 2, 0).reshape(weight.shape)


def _check_image(weight: np.ndarray, entry: _Entry) -> None:
    if len(entry.image or ()) != 3 or int(np.prod(entry.image or 0)) != len(weight):
        raise ValueError(
            f"images: {entry.theirs} reads {len(weight)} numbers, which are no {entry.image} "
            "(n_channels, height, width)"
        )


def pretrained(name: str) -> Network:
    """Return a network with the trained weights of :func:`scinn.datasets.load_weights`.

    Parameters
    ----------
    name : {"resnet20-cifar10", "resnet56-cifar10", "mlp-mnist", "deepcnn-mnist"}

    Returns
    -------
    Network
        It wants ``scinn.datasets.normalize_images(images, mean, std)`` with the mean and spread of the weights'
        ``info``; the perceptron wants such images as rows.

    Raises
    ------
    ValueError
        Unknown name, or that of a detector of binary features.
    DataUnavailableError, ChecksumError
        As in :func:`scinn.datasets.load_weights`.

    Notes
    -----
    The dropout rule of the six-convolution network halves the results of both dense layers; those factors are put
    into their weights here (halving is exact).

    Examples
    --------
    >>> network = pretrained("resnet20-cifar10")  # doctest: +SKIP
    >>> network.n_parameters  # doctest: +SKIP
    269722
    """
    from scinn import datasets

    arrays, info = datasets.load_weights(name)
    if info.name.startswith("fourier-"):
        raise ValueError(
            f"name: {info.name} is a detector of binary features, not of images: pass it to "
            "scinn.robustness.ShallowNetwork.pretrained"
        )
    if info.name.startswith("resnet"):
        network = resnet.resnet_cifar(int(info.name[6:8]), rng=0)
        load_state_dict(network, arrays)
    elif info.name == "mlp-mnist":
        network = plain.mlp([784, 50, 100, 10], activation="sigmoid", rng=0)
        _fill_dense(network, arrays, ("dense1", "dense2", "dense3"), first=1, factor=1.0)
    else:
        network = plain.deepcnn_mnist(rng=0)
        for i in range(1, 7):
            convolution = network.layers[f"conv{i}"].params
            convolution["weight"][...] = arrays[f"W{i}"].transpose(2, 3, 1, 0)
            convolution["bias"][...] = arrays[f"b{i}"]
        head = {**arrays, "W7": np.moveaxis(arrays["W7"].reshape(64, 4, 4, 50), 0, 2).reshape(1024, 50)}
        _fill_dense(network, head, ("dense1", "dense2"), first=7, factor=0.5)
    return network


def _fill_dense(
    network: Network, arrays: Mapping[str, np.ndarray], layers: tuple[str, ...], *, first: int, factor: float
) -> None:
    for i, layer in enumerate(layers, start=first):
        network.layers[layer].params["weight"][...] = factor * arrays[f"W{i}"]
        network.layers[layer].params["bias"][...] = factor * arrays[f"b{i}"]

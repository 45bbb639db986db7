"""How large a network is: parameters, and multiply-accumulate operations for one input."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scinn.nn.convolution import Conv2d
from scinn.nn.dense import Dense
from scinn.nn.layer import Layer
from scinn.nn.network import Network
from scinn.nn.wiring import split_reference

__all__ = ["OperationCount", "count_operations"]


@dataclass(frozen=True)
class OperationCount:
    """Size of a network.

    Parameters
    ----------
    n_parameters : int
        Trained numbers; running statistics do not count.
    n_macs : int
        Multiplications with an addition, of convolutions and dense layers, for one input. Biases, normalisation,
        activations and pooling do not count, as in most published numbers.
    macs : mapping of str to int
        Those of each node that has any.
    output_shapes : mapping of str to tuple of int
        Shape of each node's output for one input, without the batch.
    """

    n_parameters: int
    n_macs: int
    macs: Mapping[str, int]
    output_shapes: Mapping[str, tuple[int, ...]]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as what JSON can hold."""
        return {
            "n_parameters": self.n_parameters,
            "n_macs": self.n_macs,
            "macs": dict(self.macs),
            "output_shapes": {name: list(shape) for name, shape in self.output_shapes.items()},
        }


def count_operations(network: Network, input_shape: tuple[int, ...]) -> OperationCount:
    """Count a network's parameters and its multiply-accumulate operations for one input.

    Parameters
    ----------
    network : Network
        With one input and without context.
    input_shape : tuple of int
        Shape of one input, for example (32, 32, 3). One input of zeros is run through the network.

    Returns
    -------
    OperationCount

    Raises
    ------
    ValueError
        For a network with several inputs or with context.

    Examples
    --------
    >>> from scinn.nn.models import resnet20
    >>> count = count_operations(resnet20(rng=0), (32, 32, 3))
    >>> count.n_parameters, count.n_macs
    (269722, 40551040)
    """
    if len(network.inputs) != 1 or network.context:
        raise ValueError(
            f"network must have one input and no context, got inputs {network.inputs}, context {network.context}"
        )
    x = np.zeros((1, *input_shape), dtype=network.dtype or np.float32)
    macs: dict[str, int] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    _run(network, (x,), "", macs, shapes)
    return OperationCount(network.n_parameters, sum(macs.values()), macs, shapes)


def _run(
    network: Network,
    x: tuple[np.ndarray, ...],
    prefix: str,
    macs: dict[str, int],
    shapes: dict[str, tuple[int, ...]],
) -> Any:
    values: dict[str, Any] = dict(zip(network.inputs, x))

    def value(reference: str) -> Any:
        name, part = split_reference(reference)
        return values[name] if part is None else values[name][part]

    for node in network.nodes:
        layer, name = network.layers[node.layer], prefix + node.name
        arrays = tuple(value(read) for read in node.inputs)
        if isinstance(layer, Network):
            y = _run(layer, arrays, f"{name}.", macs, shapes)
        else:
            y = layer(*arrays)
            count = _macs(layer, arrays[0], y)
            if count:
                macs[name] = count
        values[node.name] = y
        if isinstance(y, np.ndarray):
            shapes[name] = y.shape[1:]
    results = tuple(value(name) for name in network.outputs)
    return results[0] if len(results) == 1 else results


def _macs(layer: Layer, x: np.ndarray, y: Any) -> int:
    if isinstance(layer, Conv2d):
        return math.prod(y.shape) * math.prod(layer.params["weight"].shape[:3])
    if isinstance(layer, Dense):
        return math.prod(x.shape[:-1]) * layer.n_in * layer.n_out
    return 0

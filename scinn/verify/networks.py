"""Small networks drawn from specifications, deterministic in the specification and one seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["KINDS", "build_network", "draw_network"]

KINDS = ("dense", "relu", "tanh", "sigmoid", "leaky", "norm", "dropout", "residual", "shared")


def build_network(specs: Sequence[tuple[str, int]], n_in: int, seed: int, dtype: Any = np.float64) -> Any:
    """Return the network of a list of specifications.

    Parameters
    ----------
    specs : sequence of (str, int)
        Kinds of :data:`KINDS` with a width, which only ``"dense"`` uses. ``"residual"`` adds a dense layer to
        its own input, ``"shared"`` uses one dense layer twice.
    n_in : int
        Number of input features.
    seed : int
        Of the weights.
    dtype : dtype, default float64

    Returns
    -------
    scinn.nn.Network
    """
    from scinn import nn

    layers: dict[str, Any] = {}
    nodes: list[tuple[str, str, tuple[str, ...]]] = []
    last, width = "x", n_in

    def put(name: str, layer: Any, inputs: tuple[str, ...]) -> str:
        layers.setdefault(name, layer)
        nodes.append((name, name, inputs))
        return name

    for position, (kind, size) in enumerate(specs):
        name = f"{kind}{position}"
        if kind == "dense":
            last = put(name, nn.Dense(width, size, dtype=dtype, rng=seed + position), (last,))
            width = size
        elif kind == "residual":
            inner = put(f"{name}_inner", nn.Dense(width, width, dtype=dtype, rng=seed + position), (last,))
            last = put(name, nn.Add(), (last, inner))
        elif kind == "shared":
            layers[name] = nn.Dense(width, width, dtype=dtype, rng=seed + position)
            nodes.append((f"{name}_first", name, (last,)))
            nodes.append((f"{name}_second", name, (f"{name}_first",)))
            last = f"{name}_second"
        elif kind == "norm":
            last = put(name, nn.BatchNorm(width, dtype=dtype), (last,))
        elif kind == "dropout":
            last = put(name, nn.Dropout(0.3), (last,))
        else:
            activations: dict[str, Any] = {
                "relu": nn.ReLU,
                "tanh": nn.Tanh,
                "sigmoid": nn.Sigmoid,
                "leaky": nn.LeakyReLU,
            }
            last = put(name, activations[kind](), (last,))
    return nn.Network(layers, nodes)


def draw_network(rng: np.random.Generator) -> tuple[Any, np.ndarray]:
    """Return a small network and an input for it.

    Parameters
    ----------
    rng : Generator

    Returns
    -------
    network : scinn.nn.Network
    x : ndarray of float64, shape (n, n_in)
    """
    n_in, depth = int(rng.integers(1, 5)), int(rng.integers(1, 6))
    specs = [(str(rng.choice(KINDS)), int(rng.integers(1, 5))) for _ in range(depth)]
    network = build_network([("dense", 3), *specs], n_in, int(rng.integers(2**31)))
    return network, rng.standard_normal((int(rng.integers(4, 8)), n_in))

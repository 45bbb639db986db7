"""Writing a network down: layers in the order of computation, each with a random stream of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from scinn.nn.convolution import Conv2d
from scinn.nn.dense import Dense
from scinn.nn.layer import Layer, check_dtype
from scinn.nn.network import Network
from scinn.nn.normalization import BatchNorm, BatchNormReLU
from scinn.random import Key, RandomState

__all__ = ["Chain", "as_key"]


def as_key(rng: RandomState) -> Key:
    """Return the root of a network's initial values.

    Parameters
    ----------
    rng : int, SeedSequence, Generator, Key or None
        A number or a key is used as it is; a generator gives one number; None takes fresh entropy.

    Returns
    -------
    Key
    """
    if isinstance(rng, Key):
        return rng
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool):
        return Key(int(rng))
    return Key(int(np.random.default_rng(rng).integers(2**63)))


class Chain:
    """Layers and nodes of a network in the making; a new node reads the one before, unless told otherwise.

    Parameters
    ----------
    rng : int, SeedSequence, Generator, Key or None
        Each layer draws from the child key of its name, so that no two start equal and none depends on the others.
    dtype : dtype
        Dtype of all parameters.
    """

    def __init__(self, rng: RandomState, dtype: Any) -> None:
        self.key, self.dtype = as_key(rng), check_dtype(dtype)
        self.layers: dict[str, Layer] = {}
        self.nodes: list[tuple[str, str, tuple[str, ...]]] = []
        self.last = "x"

    def add(self, name: str, layer: Layer, *reads: str) -> str:
        """Append a layer and return its name."""
        self.layers[name] = layer
        self.nodes.append((name, name, reads or (self.last,)))
        self.last = name
        return name

    def convolution(self, name: str, n_in: int, n_out: int, kernel: int, *reads: str, **options: Any) -> str:
        """Append a convolution, without bias unless told otherwise."""
        rng = self.key.child(name)
        options = {"bias": False, **options}
        return self.add(name, Conv2d(n_in, n_out, kernel, dtype=self.dtype, rng=rng, **options), *reads)

    def norm(self, name: str, n_channels: int, *, rectify: bool) -> str:
        """Append batch normalisation, with the rectifier or without."""
        kind = BatchNormReLU if rectify else BatchNorm
        return self.add(name, kind(n_channels, dtype=self.dtype))

    def dense(self, name: str, n_in: int, n_out: int, **options: Any) -> str:
        """Append an affine map."""
        return self.add(name, Dense(n_in, n_out, dtype=self.dtype, rng=self.key.child(name), **options))

    def network(self) -> Network:
        """Return the network."""
        return Network(self.layers, self.nodes)

"""Keyed random streams: every draw is addressed, never taken from a shared sequence.

A :class:`Key` is a seed and a path. Children are made by name or number, so that adding a consumer of randomness
changes nobody else's numbers, any batch can be replayed alone, and a checkpoint has no generator state to keep.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

__all__ = ["Key", "RandomState", "as_generator"]

RandomState: TypeAlias = "int | np.random.SeedSequence | np.random.Generator | Key | None"


@dataclass(frozen=True)
class Key:
    """An immutable address of a random stream.

    Parameters
    ----------
    seed : int
        Non-negative root seed.
    path : tuple of (str or int)
        The steps from the root to this stream.

    Examples
    --------
    >>> key = Key(0)
    >>> a = key.child("dropout", 3).generator().random()
    >>> a == Key(0).child("dropout", 3).generator().random()
    True
    >>> a == key.child("dropout", 4).generator().random()
    False
    """

    seed: int
    path: tuple[str | int, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, int | np.integer) or self.seed < 0:
            raise ValueError(f"seed must be a non-negative integer, got {self.seed!r}")

    def child(self, *steps: str | int) -> Key:
        """Return the key of a stream below this one."""
        return Key(self.seed, self.path + steps)

    def generator(self) -> np.random.Generator:
        """Return a fresh generator at the beginning of this stream."""
        words: list[int] = []
        for step in self.path:
            digest = hashlib.blake2b(f"{type(step).__name__}:{step}".encode(), digest_size=16).digest()
            words.extend(int(w) for w in np.frombuffer(digest, dtype="<u4"))
        return np.random.default_rng(np.random.SeedSequence(int(self.seed), spawn_key=tuple(words)))


def as_generator(rng: RandomState) -> np.random.Generator:
    """Turn what users hold (int, SeedSequence, Generator, Key or None) into a generator.

    Parameters
    ----------
    rng : int, SeedSequence, Generator, Key or None
        ``None`` draws fresh entropy; a Generator is returned as it is and advances.

    Returns
    -------
    numpy.random.Generator
    """
    if isinstance(rng, Key):
        return rng.generator()
    if isinstance(rng, np.random.RandomState):
        raise TypeError("rng is a legacy numpy RandomState; pass numpy.random.default_rng(seed) or an int")
    return np.random.default_rng(rng)

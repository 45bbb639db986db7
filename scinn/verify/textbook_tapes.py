"""The reversible product and its buffers once more, in Python integers, as the paper and textbooks write them.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999; the product is
Algorithm 3 of D. Maclaurin, D. Duvenaud, R. Adams, "Gradient-based Hyperparameter Optimization through Reversible
Learning", ICML 2015, arXiv 1502.03492; the coder is that of J. Duda, "Asymmetric numeral systems", arXiv 1311.2540. Nothing
here is shared with :mod:`scinn.recurrent`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Operation", "PaperBuffers", "PaperPlanes", "TextbookLanes", "ideal_bits"]


@dataclass
class Operation:
    """One product over a batch: ``h``, ``z``, ``update`` of shape (n_rows, n_units), ``alive`` of shape (n_rows,)."""

    h: np.ndarray
    z: np.ndarray
    update: np.ndarray
    alive: np.ndarray

    def rows(self, which: Any) -> Operation:
        """Return the operation on some rows."""
        return Operation(*(np.ascontiguousarray(a[which]) for a in (self.h, self.z, self.update, self.alive)))


def ideal_bits(operations: Sequence[Operation]) -> float:
    """Return the sum of ``-log2(z / 1024)`` over all units of rows that are alive."""
    return float(sum(np.sum(10.0 - np.log2(one.z[one.alive])) for one in operations))


class PaperBuffers:
    """The paper's product: a buffer of any size for each unit.

    Parameters
    ----------
    shape : tuple of int
        Rows and units.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.buffers = np.zeros(shape, dtype=object)

    def multiply(self, one: Operation) -> np.ndarray:
        """Return the new states."""
        new = one.h.astype(object)
        for at in np.ndindex(one.h.shape):
            if one.alive[at[0]]:
                h, z = int(one.h[at]), int(one.z[at])
                b = self.buffers[at] * 1024 + h % 1024
                new[at] = h // 1024 * z + b % z + int(one.update[at])
                self.buffers[at] = b // z
        return new.astype(np.int64)

    def divide(self, new: np.ndarray, one: Operation) -> np.ndarray:
        """Return the states before."""
        h = new.astype(object)
        for at in np.ndindex(new.shape):
            if one.alive[at[0]]:
                q, digit = divmod(int(new[at]) - int(one.update[at]), int(one.z[at]))
                b = self.buffers[at] * int(one.z[at]) + digit
                h[at] = q * 1024 + b % 1024
                self.buffers[at] = b // 1024
        return h.astype(np.int64)


class PaperPlanes(PaperBuffers):
    """The layout of the authors' code: all buffers are put aside as soon as one of them has 53 bits."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.n_pushed, self.n_flags = 0, 0

    def multiply(self, one: Operation) -> np.ndarray:
        """Return the new states."""
        self.n_flags += 1
        if np.any(self.buffers[one.alive] >= 2**53):
            self.n_pushed += 1
            self.buffers[...] = 0
        return super().multiply(one)


class TextbookLanes:
    """An asymmetric numeral system for each row, in Python integers: a number from 2^31 on over a stack of 32-bit words.

    Ten bits of a state go in; a digit below the gate comes out, which owns the slots
    ``[ceil(2^16 digit / z), ceil(2^16 (digit + 1) / z))`` of 2^16.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.numbers = [2**31] * shape[0]
        self.words: list[list[int]] = [[] for _ in range(shape[0])]

    def multiply(self, one: Operation) -> np.ndarray:
        """Return the new states."""
        new = one.h.astype(np.int64)
        for b in np.flatnonzero(one.alive):
            x, words = self.numbers[b], self.words[b]
            for j in range(one.h.shape[1]):
                h, z = int(one.h[b, j]), int(one.z[b, j])
                if z < 1024:
                    if x >= 2**53:
                        words.append(x % 2**32)
                        x //= 2**32
                    x = x * 1024 + h % 1024
                    slot = x % 2**16
                    digit = slot * z // 2**16
                    first, end = -(-(2**16) * digit // z), -(-(2**16) * (digit + 1) // z)
                    x = (end - first) * (x // 2**16) + slot - first
                    if x < 2**31:
                        x = x * 2**32 + words.pop()
                    h = h // 1024 * z + digit
                new[b, j] = h + int(one.update[b, j])
            self.numbers[b] = x
        return new

    @property
    def n_bits(self) -> int:
        """Bits held, where any lane has left its start."""
        moved = any(self.words) or any(x != 2**31 for x in self.numbers)
        return sum(64 + 32 * len(words) for words in self.words) if moved else 0

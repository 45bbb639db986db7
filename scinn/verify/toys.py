"""The smallest honest example of each contract that has no paper yet; the checks' docstrings and tests use them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "BitTape",
    "ChainInfo",
    "ChainState",
    "FixedPointDecay",
    "GaussianWalk",
    "PreconditionedWalk",
]


class BitTape:
    """Last-in first-out store of bits, kept in one Python integer.

    Examples
    --------
    >>> tape = BitTape()
    >>> tape.push(5, 3)
    >>> len(tape), tape.pop(3), len(tape)
    (3, 5, 0)
    """

    def __init__(self) -> None:
        self._bits = 0
        self._count = 0

    def push(self, value: int, n_bits: int) -> None:
        """Store the `n_bits` low bits of a non-negative integer.

        Parameters
        ----------
        value : int
            Below ``2 ** n_bits``.
        n_bits : int

        Raises
        ------
        ValueError
            Where the value does not fit.
        """
        if not 0 <= value < 1 << n_bits:
            raise ValueError(f"value {value} does not fit into {n_bits} bits")
        self._bits = self._bits << n_bits | value
        self._count += n_bits

    def pop(self, n_bits: int) -> int:
        """Take the last `n_bits` bits.

        Parameters
        ----------
        n_bits : int

        Returns
        -------
        int

        Raises
        ------
        IndexError
            Where the tape holds fewer.
        """
        if n_bits > self._count:
            raise IndexError(f"the tape holds {self._count} bits, {n_bits} were asked for")
        value = self._bits & (1 << n_bits) - 1
        self._bits >>= n_bits
        self._count -= n_bits
        return value

    def __len__(self) -> int:
        return self._count


@dataclass(frozen=True)
class FixedPointDecay:
    """The integer map ``h <- floor(h * numerator / 2^shift) + x``, reversible with a few bits a step.

    The bits that the shift drops from ``h * numerator`` go to the tape. With them the product is whole again, and
    dividing it by the numerator is exact.

    Parameters
    ----------
    numerator : int
        From 1 to ``2^shift``.
    shift : int
        Number of fractional bits.
    """

    numerator: int
    shift: int

    def __post_init__(self) -> None:
        if not 1 <= self.numerator <= 1 << self.shift:
            raise ValueError(f"numerator must be from 1 to {1 << self.shift}, got {self.numerator}")

    @property
    def n_bits(self) -> int:
        """Bits that one entry leaves on the tape at each step."""
        return self.shift if self.numerator < 1 << self.shift else 0

    def advance(self, state: np.ndarray, x: np.ndarray, tape: BitTape) -> np.ndarray:
        """Return the next state and push what it forgets.

        Parameters
        ----------
        state, x : ndarray of int64, shape (n,)
        tape : BitTape

        Returns
        -------
        ndarray of int64, shape (n,)
        """
        product = state * self.numerator
        kept = product >> self.shift
        for forgotten in (product - (kept << self.shift)).tolist():
            if self.n_bits:
                tape.push(forgotten, self.n_bits)
        return kept + x

    def reverse(self, state: np.ndarray, x: np.ndarray, tape: BitTape) -> np.ndarray:
        """Return the state before and pop what it forgot.

        Parameters
        ----------
        state, x : ndarray of int64, shape (n,)
        tape : BitTape

        Returns
        -------
        ndarray of int64, shape (n,)
        """
        kept = state - x
        forgotten = [tape.pop(self.n_bits) if self.n_bits else 0 for _ in range(len(kept))][::-1]
        product = (kept << self.shift) + np.array(forgotten, dtype=np.int64)
        return product // self.numerator


class ChainState(NamedTuple):
    """Where a chain is."""

    position: np.ndarray
    misfit: float


class ChainInfo(NamedTuple):
    """What one step did."""

    accepted: bool
    acceptance_probability: float


@dataclass(frozen=True)
class GaussianWalk:
    """Random-walk Metropolis for the posterior of theta ~ N(0, I), data ~ N(theta, noise^2 I).

    Parameters
    ----------
    data : ndarray of float64, shape (n,)
    noise : float
    step_size : float
    """

    data: np.ndarray
    noise: float = 1.0
    step_size: float = 0.8

    def energy(self, position: np.ndarray) -> float:
        """Return the negative logarithm of the posterior density, up to a constant."""
        return float(position @ position / 2 + np.sum((self.data - position) ** 2) / (2 * self.noise**2))

    def init(self, position: np.ndarray, rng: Any = None) -> ChainState:
        """Return the state of a chain that begins at `position`."""
        position = np.asarray(position, dtype=np.float64)
        return ChainState(position, self.energy(position))

    def step(self, rng: np.random.Generator, state: ChainState) -> tuple[ChainState, ChainInfo]:
        """Return the state after one proposal, and whether it was accepted."""
        proposal = state.position + self.step_size * rng.standard_normal(state.position.shape)
        energy = self.energy(proposal)
        probability = float(np.exp(min(0.0, state.misfit - energy)))
        accepted = bool(rng.random() < probability)
        return (ChainState(proposal, energy) if accepted else state), ChainInfo(accepted, probability)

    def run(self, rng: np.random.Generator, state: ChainState, n: int) -> ChainState:
        """Return the state after `n` steps, with the bits that single steps give."""
        for _ in range(n):
            state, _ = self.step(rng, state)
        return state


@dataclass(frozen=True)
class PreconditionedWalk:
    """Preconditioned Crank-Nicolson for the same posterior: only the misfit decides, the prior is in the proposal.

    Parameters
    ----------
    data : ndarray of float64, shape (n,)
    noise : float
    beta : float
        In (0, 1].

    References
    ----------
    S. L. Cotter, G. O. Roberts, A. M. Stuart, D. White, "MCMC methods for functions", Statistical Science 2013.
    """

    data: np.ndarray
    noise: float = 1.0
    beta: float = 0.6

    def misfit(self, position: np.ndarray) -> float:
        """Return the negative log-likelihood, up to a constant."""
        return float(np.sum((self.data - position) ** 2) / (2 * self.noise**2))

    def init(self, position: np.ndarray, rng: Any = None) -> ChainState:
        """Return the state of a chain that begins at `position`."""
        position = np.asarray(position, dtype=np.float64)
        return ChainState(position, self.misfit(position))

    def step(self, rng: np.random.Generator, state: ChainState) -> tuple[ChainState, ChainInfo]:
        """Return the state after one proposal, and whether it was accepted."""
        noise = rng.standard_normal(state.position.shape)
        proposal = np.sqrt(1 - self.beta**2) * state.position + self.beta * noise
        misfit = self.misfit(proposal)
        probability = float(np.exp(min(0.0, state.misfit - misfit)))
        accepted = bool(rng.random() < probability)
        return (ChainState(proposal, misfit) if accepted else state), ChainInfo(accepted, probability)

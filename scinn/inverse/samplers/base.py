"""What the samplers have in common: the public methods, and the choice between compiled runs and steps in Python.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), 2022, arXiv 2112.10663. For a target with a compiled ``model`` a run is one call of a kernel, and a step is a run
of length 1; for every other target a step is the one of :mod:`scinn.reference.mcmc` and a run is a loop. Both draw the
same random numbers in the same order and agree to rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np

from scinn._input import check_in_range, check_positive_int
from scinn.inverse.samplers.contract import (
    Info,
    RunInfo,
    bounded_misfit,
    check_position,
    check_step,
    check_target,
    check_temperature,
    finite_start,
)
from scinn.random import RandomState, as_generator
from scinn.reference.mcmc import Outcome

__all__ = ["BaseSampler", "GradientSampler", "GradientState", "Keep"]

EMPTY = np.empty(0)


class Keep(NamedTuple):
    """Where a run writes: every how many steps, positions of those, and one row for each step."""

    every: int
    positions: np.ndarray
    trace: np.ndarray


class GradientState(NamedTuple):
    """Where a chain with gradients is.

    Parameters
    ----------
    position : ndarray, shape (dim,)
    misfit : float
        Of the position; of its hidden coordinates, with the last layer integrated out, for collapsed samplers.
    gradient : ndarray, shape (dim,)
        Of that misfit, by the coordinates it depends on.
    step_size : float
        The step size now: the sampler's own, until a warm-up adapts it.
    n_adapted : int
        Steps of warm-up so far.
    """

    position: np.ndarray
    misfit: float
    gradient: np.ndarray
    step_size: float
    n_adapted: int


def adapted(step: float, rate: float, goal: float, t: int, least: float, most: float) -> float:
    """Return a step size moved towards the acceptance rate ``goal``, less and less as t grows."""
    return min(max(step * math.exp((rate - goal) / (t + 10.0) ** 0.6), least), most)


def info_of(outcome: Outcome) -> Info:
    """Return the public account of a step."""
    ratio = outcome.log_ratio
    chance = 1.0 if ratio >= 0.0 else (math.exp(ratio) if ratio < 0.0 else 0.0)
    return Info(bool(outcome.accepted), chance, outcome.misfit_proposed, outcome.n_evaluations)


@dataclass(frozen=True, eq=False)
class BaseSampler:
    """The public methods. Subclasses say how a chain starts, makes one step in Python, and makes n steps compiled."""

    target: Any = field(repr=False)

    needs_gradient: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self._check_target()
        for name in self.__dataclass_fields__:
            if name != "target":
                object.__setattr__(self, name, self._checked(name, getattr(self, name)))

    def _check_target(self) -> None:
        check_target(self.target, type(self).__name__, gradient=self.needs_gradient)

    def _checked(self, name: str, value: Any) -> Any:
        """Return an option after its check."""
        if name == "temperature":
            return check_temperature(value)
        if name == "target_acceptance":
            return check_in_range(value, name, 0.0, 1.0, inclusive="neither")
        if name == "early_rejection":
            if not isinstance(value, bool | np.bool_):
                raise TypeError(f"early_rejection is {value!r}; True or False is wanted")
            return bool(value)
        return value

    @property
    def dim(self) -> int:
        """Length of the positions."""
        return int(self.target.dim)

    def _model(self) -> Any:
        return getattr(self.target, "model", None)

    def _start(self, position: np.ndarray) -> Any:
        raise NotImplementedError

    def _plain(self, rng: np.random.Generator, state: Any, adapt: bool) -> tuple[Any, Info]:
        raise NotImplementedError

    def _fused(self, rng: np.random.Generator, state: Any, n: int, adapt: bool, keep: Keep) -> Any:
        raise NotImplementedError

    def init(self, position: Any, rng: RandomState = None) -> Any:
        """Return the state of a chain that begins at a position.

        Parameters
        ----------
        position : array-like, shape (dim,)
            White coordinates; a copy is taken.
        rng : int, SeedSequence, Generator, Key or None
            Not used: no sampler here draws anything before its first step.

        Returns
        -------
        NamedTuple
            With ``position``, ``misfit`` and the step size.

        Raises
        ------
        ValueError
            For a wrong length or what is not finite; for gradient methods also where misfit or gradient are not finite.
        """
        return self._start(check_position(position, self.dim))

    def step(self, rng: RandomState, state: Any) -> tuple[Any, Info]:
        """Make one step.

        Parameters
        ----------
        rng : int, SeedSequence, Generator, Key or None
            A Generator advances; anything else starts a new stream at each call.
        state : NamedTuple
            Of :meth:`init` or of a step before; it is not changed.

        Returns
        -------
        state : NamedTuple
        info : Info
        """
        generator = as_generator(rng)
        if self._model() is None:
            return self._plain(generator, state, False)
        keep = Keep(0, np.empty((0, self.dim)), np.empty((1, 5)))
        state = self._fused(generator, state, 1, False, keep)
        accepted, chance, proposed, _, count = keep.trace[0].tolist()
        return state, Info(accepted == 1.0, chance, proposed, int(count))

    def run(self, rng: RandomState, state: Any, n: int, *, keep_every: int = 0) -> tuple[Any, RunInfo]:
        """Make n steps; the state has the bits of n calls of :meth:`step`.

        Parameters
        ----------
        rng : int, SeedSequence, Generator, Key or None
        state : NamedTuple
        n : int
        keep_every : int
            Keep the position after each so many steps; 0 keeps none.

        Returns
        -------
        state : NamedTuple
        info : RunInfo

        Raises
        ------
        TypeError, ValueError
            Where n or keep_every is no integer, or negative.
        """
        n = check_positive_int(n, "n", minimum=0)
        every = check_positive_int(keep_every, "keep_every", minimum=0)
        keep = Keep(every, np.empty((n // every if every else 0, self.dim)), np.empty((n, 5)))
        generator = as_generator(rng)
        if self._model() is not None:
            state = self._fused(generator, state, n, False, keep)
        else:
            for i in range(n):
                state, info = self._plain(generator, state, False)
                accepted, chance, proposed, count = info
                keep.trace[i] = accepted, chance, proposed, state.misfit, count
                if every and (i + 1) % every == 0:
                    keep.positions[(i + 1) // every - 1] = state.position
        trace = keep.trace
        n_accepted = int(trace[:, 0].sum())
        rate = n_accepted / n if n else math.nan
        return state, RunInfo(
            n,
            n_accepted,
            int(trace[:, 4].sum()),
            rate,
            trace[:, 3].copy(),
            trace[:, 1].copy(),
            keep.positions,
        )

    def warmup(self, rng: RandomState, state: Any, n: int) -> Any:
        """Make n steps in which the step size is adapted; afterwards it stays as it is.

        Parameters
        ----------
        rng : int, SeedSequence, Generator, Key or None
        state : NamedTuple
        n : int

        Returns
        -------
        NamedTuple
            The state with the adapted step size. Several warm-ups in a row are one long one, to the bit.

        Notes
        -----
        ``log step += (a - target_acceptance) / (t + 10)^0.6`` in step t, where a is the acceptance probability (of samplers
        with gradients) or 1 for an accepted step and else 0. The positions of a warm-up are no draws of the target.
        """
        n = check_positive_int(n, "n", minimum=0)
        generator = as_generator(rng)
        if self._model() is not None:
            return self._fused(generator, state, n, True, Keep(0, np.empty((0, self.dim)), np.empty((n, 5))))
        for _ in range(n):
            state, _ = self._plain(generator, state, True)
        return state

    def _misfit(self, target: Any, early: bool) -> Any:
        bounded = bounded_misfit(target)
        return bounded if early else lambda xi, _: bounded(xi, math.inf)

    @staticmethod
    def _value(target: Any, position: np.ndarray) -> float:
        value = float(target.misfit(position))
        return math.inf if math.isnan(value) else value


@dataclass(frozen=True, eq=False)
class GradientSampler(BaseSampler):
    """The part that infinity-MALA, infinity-HMC and their relatives share: the state and its start."""

    needs_gradient: ClassVar[bool] = True
    step_name: ClassVar[str] = "step_size"
    least: ClassVar[float] = 1e-8
    most: ClassVar[float] = 10.0

    def _checked(self, name: str, value: Any) -> Any:
        if name == self.step_name:
            return check_step(value, name)
        return super()._checked(name, value)

    def _smooth(self) -> Any:
        """Return the target whose gradient is followed."""
        return self.target

    def _start(self, position: np.ndarray) -> GradientState:
        smooth = self._smooth()
        value, gradient = smooth.misfit_and_gradient(position[: smooth.dim])
        gradient = np.array(gradient, dtype=np.float64)
        finite_start(float(value), gradient, type(self).__name__)
        return GradientState(position, float(value), gradient, getattr(self, self.step_name), 0)

    def _advance(self, state: GradientState, outcome: Outcome, adapt: bool) -> tuple[GradientState, Info]:
        """Return the state after a step in Python."""
        info = info_of(outcome)
        size, t = state.step_size, state.n_adapted
        if adapt:
            goal = self.target_acceptance  # type: ignore[attr-defined]
            size, t = adapted(size, info.acceptance_probability, goal, t, self.least, self.most), t + 1
        assert outcome.gradient is not None
        return GradientState(outcome.position, outcome.misfit, outcome.gradient, size, t), info

"""Learning rates as pure functions: of the number of the step, or of the history of a monitored value.

A schedule is any callable that takes the number of steps done (0 before the first) and returns a rate, so
nothing of it has to be saved. :class:`ReduceLROnPlateau` instead reads the monitored values of the epochs so
far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Constant", "Cosine", "Exponential", "ReduceLROnPlateau", "StepDecay", "Warmup"]

Schedule = Callable[[int], float]


@dataclass(frozen=True)
class Constant:
    """The same rate at every step.

    Parameters
    ----------
    learning_rate : float

    Examples
    --------
    >>> Constant(0.1)(1000)
    0.1
    """

    learning_rate: float

    def __post_init__(self) -> None:
        _check_rate(self.learning_rate)

    def __call__(self, step: int) -> float:
        """Return the rate."""
        return self.learning_rate


@dataclass(frozen=True)
class StepDecay:
    """``learning_rate factor^floor(step / every)``.

    Parameters
    ----------
    learning_rate : float
    every : int
        Number of steps between two decays.
    factor : float, default 0.1

    Examples
    --------
    >>> schedule = StepDecay(1.0, every=10, factor=0.5)
    >>> schedule(9), schedule(10), schedule(20)
    (1.0, 0.5, 0.25)
    """

    learning_rate: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        _check_rate(self.learning_rate)
        _check_count("every", self.every)
        _check_positive("factor", self.factor)

    def __call__(self, step: int) -> float:
        """Return the rate after ``step`` steps."""
        return self.learning_rate * self.factor ** (step // self.every)


@dataclass(frozen=True)
class Exponential:
    """``learning_rate factor^step``.

    Parameters
    ----------
    learning_rate : float
    factor : float
        Decay a step.

    Examples
    --------
    >>> Exponential(1.0, 0.5)(3)
    0.125
    """

    learning_rate: float
    factor: float

    def __post_init__(self) -> None:
        _check_rate(self.learning_rate)
        _check_positive("factor", self.factor)

    def __call__(self, step: int) -> float:
        """Return the rate after ``step`` steps."""
        return self.learning_rate * self.factor**step


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from ``learning_rate`` down to ``minimum`` over ``n_steps``, then ``minimum``.

    Parameters
    ----------
    learning_rate : float
    n_steps : int
        Length of the decay.
    minimum : float, default 0

    References
    ----------
    I. Loshchilov and F. Hutter (2017), SGDR: stochastic gradient descent with warm restarts, eq. 5 (one
    period).

    Examples
    --------
    >>> schedule = Cosine(1.0, n_steps=10)
    >>> schedule(0), round(schedule(5), 12), schedule(10), schedule(99)
    (1.0, 0.5, 0.0, 0.0)
    """

    learning_rate: float
    n_steps: int
    minimum: float = 0.0

    def __post_init__(self) -> None:
        _check_rate(self.learning_rate)
        _check_count("n_steps", self.n_steps)
        if not 0 <= self.minimum <= self.learning_rate:
            raise ValueError(f"minimum must be in [0, learning_rate], got {self.minimum!r}")

    def __call__(self, step: int) -> float:
        """Return the rate after ``step`` steps."""
        done = min(step / self.n_steps, 1.0)
        return self.minimum + (self.learning_rate - self.minimum) * (1.0 + math.cos(math.pi * done)) / 2.0


@dataclass(frozen=True)
class Warmup:
    """Another schedule, multiplied during the first steps by ``(step + 1) / n_steps``.

    Parameters
    ----------
    schedule : callable
        Rate as a function of the step; it counts the warm-up's steps too.
    n_steps : int
        Length of the warm-up.

    Examples
    --------
    >>> schedule = Warmup(Constant(1.0), n_steps=4)
    >>> [schedule(step) for step in range(6)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """

    schedule: Schedule
    n_steps: int

    def __post_init__(self) -> None:
        _check_count("n_steps", self.n_steps)

    def __call__(self, step: int) -> float:
        """Return the rate after ``step`` steps."""
        return self.schedule(step) * min((step + 1) / self.n_steps, 1.0)


@dataclass(frozen=True)
class ReduceLROnPlateau:
    """Multiply the rate by ``factor`` whenever the monitored value has not improved for ``patience`` epochs.

    Parameters
    ----------
    learning_rate : float
        The rate at the beginning.
    factor : float, default 0.1
        In (0, 1).
    patience : int, default 10
        The rate falls in the epoch after ``patience + 1`` epochs without improvement.
    threshold : float, default 1e-4
        A value improves where it beats the best by more than this share of it.
    cooldown : int, default 0
        Epochs after a fall in which nothing is counted.
    minimum : float, default 0
        Smallest rate.
    mode : {"min", "max"}
        Whether small or large values are good.

    Notes
    -----
    The rule is that of PyTorch's scheduler of this name, with its relative threshold. It is a pure function
    of the values, replayed from the first epoch, so that it needs no state.

    Examples
    --------
    >>> schedule = ReduceLROnPlateau(1.0, factor=0.5, patience=1)
    >>> schedule([]), schedule([3.0, 3.0]), schedule([3.0, 3.0, 3.0])
    (1.0, 1.0, 0.5)
    """

    learning_rate: float
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    cooldown: int = 0
    minimum: float = 0.0
    mode: str = "min"

    def __post_init__(self) -> None:
        _check_rate(self.learning_rate)
        if not 0 < self.factor < 1:
            raise ValueError(f"factor must be in (0, 1), got {self.factor!r}")
        for name in ("patience", "cooldown", "threshold", "minimum"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)!r}")
        if self.mode not in ("min", "max"):
            raise ValueError(f"mode must be 'min' or 'max', got {self.mode!r}")

    def __call__(self, values: Sequence[float]) -> float:
        """Return the rate of the next epoch.

        Parameters
        ----------
        values : sequence of float
            The monitored value of each epoch so far.

        Returns
        -------
        float
        """
        rate, best, bad, cooling = self.learning_rate, math.inf, 0, 0
        sign = 1.0 if self.mode == "min" else -1.0
        for value in values:
            value = sign * value
            if value < best - (self.threshold * abs(best) if math.isfinite(best) else 0.0):
                best, bad = value, 0
            else:
                bad += 1
            if cooling:
                cooling, bad = cooling - 1, 0
            if bad > self.patience:
                rate, bad, cooling = max(rate * self.factor, self.minimum), 0, self.cooldown
        return rate


def _check_rate(value: float) -> None:
    if not (isinstance(value, int | float) and 0 <= value < math.inf):
        raise ValueError(f"learning_rate must be a finite number >= 0, got {value!r}")


def _check_positive(name: str, value: float) -> None:
    if not (isinstance(value, int | float) and 0 < value < math.inf):
        raise ValueError(f"{name} must be a finite number > 0, got {value!r}")


def _check_count(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a positive integer, got {value!r}")

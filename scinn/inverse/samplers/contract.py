"""What samplers ask of a target, what they promise, and the checks that all of them share.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), 2022, arXiv 2112.10663. A target has the density ``exp(-Phi(xi))`` with respect to ``N(0, I)`` in white
coordinates xi: only the misfit Phi has to be programmed. A prior ``N(m, C)`` with mean and covariance belongs into the
target, as ``u = m + C^(1/2) xi``.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from scinn._input import as_float_array, check_in_range, check_positive_int
from scinn.random import RandomState

__all__ = ["GradientTarget", "Info", "RunInfo", "Sampler", "Target"]


@runtime_checkable
class Target(Protocol):
    """Whatever has a dimension and a misfit; every sampler without gradients takes it.

    ``misfit(xi, stop_above=inf)`` may return any number above ``stop_above`` as soon as the misfit is known to be larger; a
    ``misfit(xi)`` without the second argument will do. NaN counts as infinity. Where ``model`` exists and is not None,
    it is a :class:`scinn.kernels.inverse_model.Model` of the same misfit and whole runs are compiled.
    """

    @property
    def dim(self) -> int:
        """Number of white coordinates."""

    def misfit(self, xi: np.ndarray) -> float:
        """Return Phi(xi) for xi of shape (dim,)."""


@runtime_checkable
class GradientTarget(Target, Protocol):
    """A target for the samplers that use gradients."""

    def misfit_and_gradient(self, xi: np.ndarray) -> tuple[float, np.ndarray]:
        """Return Phi(xi) and its gradient, of shape (dim,)."""


class Info(NamedTuple):
    """What one step did.

    Parameters
    ----------
    accepted : bool
        Whether the proposal became the position.
    acceptance_probability : float
        ``min(1, ratio)``. Where a proposal was rejected early it is an upper bound (``early_rejection=False`` makes it
        exact).
    misfit_proposed : float
        Misfit of the proposal, or a lower bound of it that was enough for rejecting.
    n_evaluations : int
        How often the misfit, or the misfit with its gradient, was computed.
    """

    accepted: bool
    acceptance_probability: float
    misfit_proposed: float
    n_evaluations: int


class RunInfo(NamedTuple):
    """What several steps did.

    Parameters
    ----------
    n_steps, n_accepted, n_evaluations : int
    acceptance_rate : float
        Share of accepted steps; NaN where there was none.
    misfits : ndarray, shape (n_steps,)
        The misfit after each step.
    acceptance_probabilities : ndarray, shape (n_steps,)
        As in :class:`Info`.
    positions : ndarray, shape (n_steps // keep_every, dim)
        The positions after each ``keep_every`` steps; (0, dim) where none were asked for.
    """

    n_steps: int
    n_accepted: int
    n_evaluations: int
    acceptance_rate: float
    misfits: np.ndarray
    acceptance_probabilities: np.ndarray
    positions: np.ndarray


class Sampler(Protocol):
    """The shape of all samplers; states are NamedTuples with ``position``, and nothing is kept on the sampler."""

    def init(self, position: Any, rng: RandomState = None) -> Any:
        """Return the state at a position."""

    def step(self, rng: RandomState, state: Any) -> tuple[Any, Info]:
        """Return the state after one step."""

    def run(self, rng: RandomState, state: Any, n: int, *, keep_every: int = 0) -> tuple[Any, RunInfo]:
        """Return the bits of the state after n steps."""

    def warmup(self, rng: RandomState, state: Any, n: int) -> Any:
        """Return the state after n steps in which the step size is adapted."""


def check_target(target: Any, sampler: str, *, gradient: bool = False) -> None:
    """Refuse what is no target, and for gradient methods what has no gradient."""
    for name in ("dim", "misfit"):
        if not hasattr(target, name):
            raise TypeError(
                f"target is a {type(target).__name__} without {name!r}; {sampler} wants an object with dim and "
                "misfit(xi), such as scinn.inverse.Posterior(prior, problem)"
            )
    check_positive_int(target.dim, "target.dim")
    if not gradient:
        return
    if has_sign_activation(target):
        raise ValueError(
            f"{sampler} uses gradients, and a network with activation='sign' has none (they are zero almost "
            f"everywhere); use "
            "PCN, GPCN, EllipticalSlice or CollapsedPCN, or a prior with activation='tanh'"
        )
    if not callable(getattr(target, "misfit_and_gradient", None)):
        raise TypeError(
            f"target is a {type(target).__name__} without misfit_and_gradient(xi) -> (misfit, gradient); "
            f"{sampler} needs it: "
            "add it, or use a sampler without gradients such as PCN or EllipticalSlice"
        )


def has_sign_activation(target: Any) -> bool:
    """Return whether the target is that of a network with step functions."""
    if getattr(getattr(target, "prior", None), "activation", None) == "sign":
        return True
    model = getattr(target, "model", None)
    return model is not None and model.kind == 1 and model.activation == 1


def bounded_misfit(target: Any) -> Callable[[np.ndarray, float], float]:
    """Return the misfit with two arguments, whether the target's own takes the second or not."""
    own = target.misfit
    try:
        bounded = "stop_above" in inspect.signature(own).parameters
    except (TypeError, ValueError):
        bounded = False
    if bounded:
        return lambda xi, stop_above: float(own(xi, stop_above=stop_above))
    return lambda xi, stop_above: float(own(xi))


def check_position(position: Any, dim: int) -> np.ndarray:
    """Return a copy of a finite position of the right length."""
    array = as_float_array(position, "position", ndim=1, dtype=np.float64)
    if len(array) != dim:
        raise ValueError(
            f"position has length {len(array)}; the target has {dim} white coordinates: pass an array of shape ({dim},)"
        )
    return np.array(array)


def check_step(value: Any, name: str) -> float:
    """Return a step size, which must be positive."""
    return check_in_range(value, name, 0.0, inclusive="neither")


def check_beta(value: Any) -> float:
    """Return a step size of pCN, which must be in (0, 1]."""
    return check_in_range(value, "beta", 0.0, 1.0, inclusive="right")


def check_temperature(value: Any) -> float:
    """Return a power of the likelihood, which must be in [0, 1]."""
    return check_in_range(value, "temperature", 0.0, 1.0)


def check_ladder(value: Any) -> tuple[float, ...]:
    """Return the factors of the step size as a tuple."""
    if isinstance(value, int | float):
        value = (value,)
    if not isinstance(value, Sequence | np.ndarray) or isinstance(value, str) or len(value) == 0:
        raise TypeError(
            f"ladder is {value!r}; a tuple of positive factors of the step size is wanted, such as (0.3, 1, 3)"
        )
    return tuple(check_in_range(factor, "a factor of ladder", 0.0, inclusive="neither") for factor in value)


class InfiniteMisfitError(ValueError):
    """A chain cannot begin here: the misfit, or its gradient, is not finite."""


def finite_start(value: float, gradient: np.ndarray, sampler: str) -> None:
    """Refuse a start from which no gradient leads away."""
    if not (math.isfinite(value) and np.all(np.isfinite(gradient))):
        raise InfiniteMisfitError(
            f"position has misfit {value} or a gradient that is not finite; {sampler} needs both: start at a draw from the "
            "prior, or at a MAP estimate"
        )

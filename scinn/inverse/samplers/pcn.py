"""Preconditioned Crank-Nicolson (pCN): the sampler whose acceptance does not fall with the number of coordinates.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), 2022, arXiv 2112.10663; S. Cotter, G. Roberts, A. Stuart, D. White, "MCMC methods for functions: modifying old
algorithms to make them faster", Statistical Science 28, 2013. Proposal ``v = sqrt(1 - beta^2) u + beta w`` with ``w ~
N(0, I)``, which is in balance with the prior; accepted with probability ``min(1, exp(Phi(u) - Phi(v)))``, in which only
the misfit occurs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from scinn.inverse.samplers.base import EMPTY, BaseSampler, Keep, adapted, info_of
from scinn.inverse.samplers.contract import Info, check_beta, check_ladder
from scinn.kernels import mcmc as kernels
from scinn.reference import mcmc as reference

__all__ = ["PCN", "PCNState"]

NO_VECTORS = np.empty((0, 0))


class PCNState(NamedTuple):
    """Where a chain is.

    Parameters
    ----------
    position : ndarray, shape (dim,)
    misfit : float
        Of the position.
    beta : float
        The step size now: the sampler's own, until a warm-up adapts it.
    n_adapted : int
        Steps of warm-up so far.
    """

    position: np.ndarray
    misfit: float
    beta: float
    n_adapted: int


@dataclass(frozen=True, eq=False)
class PCN(BaseSampler):
    """Preconditioned Crank-Nicolson.

    Parameters
    ----------
    target : Target
        With ``dim`` and ``misfit(xi)``, such as :class:`scinn.inverse.Posterior`.
    beta : float, default 0.2
        Step size in (0, 1]; 1 is the independence sampler. A warm-up adapts it.
    ladder : tuple of float, default (1.0,)
        Factors of beta, one of which is drawn for each step (the product is cut at 1): a few steps longer and shorter than
        the best one make a chain robust against a step size that fits one region only.
    early_rejection : bool, default True
        Let the misfit stop as soon as it is too large to be accepted. It changes no bit of the chain.
    temperature : float, default 1.0
        Power t in [0, 1] of the likelihood: the target is ``exp(-t Phi)``, and 0 is the prior.
    target_acceptance : float, default 0.25
        Acceptance rate that a warm-up aims at.

    Raises
    ------
    TypeError
        For a target without ``dim`` or ``misfit``.
    ValueError
        For options out of range.

    References
    ----------
    Cotter et al. 2013, section 4.1.

    Examples
    --------
    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> target = SimpleNamespace(dim=2, misfit=lambda xi: 0.5 * float(np.sum((xi - 1.0) ** 2)))
    >>> sampler = PCN(target, beta=0.9)
    >>> rng = np.random.default_rng(0)
    >>> state = sampler.warmup(rng, sampler.init([0.0, 0.0]), 200)
    >>> state, info = sampler.run(rng, state, 4000, keep_every=1)
    >>> bool(np.all(np.abs(info.positions.mean(axis=0) - 0.5) < 0.1))
    True
    """

    beta: float = field(default=0.2, kw_only=True)
    ladder: tuple[float, ...] = field(default=(1.0,), kw_only=True)
    early_rejection: bool = field(default=True, kw_only=True)
    temperature: float = field(default=1.0, kw_only=True)
    target_acceptance: float = field(default=0.25, kw_only=True)

    def _checked(self, name: str, value: Any) -> Any:
        if name == "beta":
            return check_beta(value)
        if name == "ladder":
            return check_ladder(value)
        return super()._checked(name, value)

    def _start(self, position: np.ndarray) -> Any:
        return PCNState(position, self._value(self.target, position), self.beta, 0)

    def _moments(self, state: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return means and variances of the first coordinates, of no length where they are not adapted."""
        return EMPTY, EMPTY

    def _directions(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the directions with variances of their own, as rows, and their eigenvalues."""
        return NO_VECTORS, EMPTY

    def _with_moments(self, state: Any, mean: np.ndarray, variances: np.ndarray) -> Any:
        return state

    def _options(self, state: Any) -> dict[str, Any]:
        """Return the arguments of the proposal in Python."""
        return {}

    def _learn(self, state: Any) -> Any:
        """Return the state with all that is adapted besides beta."""
        return state

    def _plain_move(
        self, target: Any, rng: np.random.Generator, state: Any, position: np.ndarray
    ) -> reference.Outcome:
        ladder = self.ladder
        factor = ladder[int(rng.random() * len(ladder))] if len(ladder) > 1 else ladder[0]
        exponential = rng.standard_exponential()
        noise = rng.standard_normal(len(position))
        return reference.pcn_step(
            self._misfit(target, self.early_rejection), position, state.misfit, min(1.0, state.beta * factor), noise,
            exponential, self.temperature, **self._options(state),
        )  # fmt: skip

    def _plain_adapt(self, state: Any, info: Info) -> Any:
        beta = adapted(state.beta, float(info.accepted), self.target_acceptance, state.n_adapted, 1e-4, 0.999)
        return self._learn(state._replace(beta=beta, n_adapted=state.n_adapted + 1))

    def _plain(self, rng: np.random.Generator, state: Any, adapt: bool) -> tuple[Any, Info]:
        outcome = self._plain_move(self.target, rng, state, state.position)
        info = info_of(outcome)
        state = state._replace(position=outcome.position, misfit=outcome.misfit)
        return (self._plain_adapt(state, info) if adapt else state), info

    def _run_kernel(
        self, model: Any, rng: np.random.Generator, state: Any, n: int, adapt: bool, keep: Keep,
        position: np.ndarray, last: np.ndarray,
    ) -> tuple[Any, np.ndarray]:  # fmt: skip
        """Return the state, its position aside, and the coordinates that the kernel moved."""
        scalars = np.array([state.misfit, state.beta, float(state.n_adapted)])
        mean, variances = self._moments(state)
        position = kernels.pcn(
            model, rng, n, adapt, position, scalars, np.array(self.ladder), self.early_rejection, self.temperature,
            self.target_acceptance, mean, variances, *self._directions(), last, keep.every, keep.positions, keep.trace,
        )  # fmt: skip
        misfit, beta, t = scalars.tolist()
        state = state._replace(misfit=misfit, beta=beta, n_adapted=int(t))
        return self._with_moments(state, mean, variances), position

    def _fused(self, rng: np.random.Generator, state: Any, n: int, adapt: bool, keep: Keep) -> Any:
        start = state.position.copy()
        state, position = self._run_kernel(self._model(), rng, state, n, adapt, keep, start, EMPTY)
        return state._replace(position=position)

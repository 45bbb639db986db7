"""Infinity-MALA: a Langevin step whose drift and noise are in balance with the prior.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), 2022, arXiv 2112.10663; S. Cotter, G. Roberts, A. Stuart, D. White, "MCMC methods for functions: modifying old
algorithms to make them faster", Statistical Science 28, 2013; A. Beskos, F. Pinski, J. Sanz-Serna, A. Stuart, "Hybrid Monte
Carlo on Hilbert spaces", Stochastic Processes and their Applications 121, 2011. Proposal
``v = r u - sqrt(1 - r^2) (sqrt(h) / 2) g + sqrt(1 - r^2) w`` with ``r = (1 - h/4) / (1 + h/4)`` and the gradient g of
the misfit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from scinn.inverse.samplers.base import EMPTY, GradientSampler, GradientState, Keep
from scinn.inverse.samplers.contract import Info
from scinn.kernels import mcmc_gradient as kernels
from scinn.reference import mcmc_gradient as reference

__all__ = ["InfMALA", "LangevinSampler"]


@dataclass(frozen=True, eq=False)
class LangevinSampler(GradientSampler):
    """The part that infinity-MALA, pCNL and MALA share."""

    # The kernel's step h for a step size of 1, and whether it is the ordinary MALA.
    factor: ClassVar[float] = 1.0
    ordinary: ClassVar[bool] = False
    one_step: ClassVar[Callable[..., Any]] = staticmethod(reference.inf_mala_step)

    temperature: float = field(default=1.0, kw_only=True)
    target_acceptance: float = field(default=0.574, kw_only=True)

    def _plain(
        self, rng: np.random.Generator, state: GradientState, adapt: bool
    ) -> tuple[GradientState, Info]:
        exponential = rng.standard_exponential()
        noise = rng.standard_normal(self.dim)
        outcome = type(self).one_step(
            self.target.misfit_and_gradient, state.position, state.misfit, state.gradient, state.step_size, noise,
            exponential, self.temperature,
        )  # fmt: skip
        return self._advance(state, outcome, adapt)

    def _fused(
        self, rng: np.random.Generator, state: GradientState, n: int, adapt: bool, keep: Keep
    ) -> GradientState:
        scalars = np.array([state.misfit, state.step_size, float(state.n_adapted)])
        position, gradient = kernels.langevin(
            self._model(), rng, n, adapt, state.position.copy(), state.gradient.copy(), scalars, self.factor, self.ordinary,
            self.temperature, self.target_acceptance, EMPTY, keep.every, keep.positions, keep.trace,
        )  # fmt: skip
        misfit, size, t = scalars.tolist()
        return GradientState(position, misfit, gradient, size, int(t))


@dataclass(frozen=True, eq=False)
class InfMALA(LangevinSampler):
    """Infinity-MALA.

    Parameters
    ----------
    target : GradientTarget
        With ``dim``, ``misfit(xi)`` and ``misfit_and_gradient(xi)``.
    step_size : float, default 0.1
        ``h > 0``. A warm-up adapts it. It is pCNL with ``delta = h / 2``.
    temperature : float, default 1.0
        Power t in [0, 1] of the likelihood.
    target_acceptance : float, default 0.574
        Acceptance rate that a warm-up aims at.

    Raises
    ------
    TypeError
        For a target without gradient.
    ValueError
        For a network with activation "sign", or options out of range.

    References
    ----------
    Cotter et al. 2013, section 4.3.

    Examples
    --------
    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> def misfit_and_gradient(xi):
    ...     return 0.5 * float(np.sum((xi - 1.0) ** 2)), xi - 1.0
    >>> target = SimpleNamespace(
    ...     dim=2, misfit=lambda xi: misfit_and_gradient(xi)[0], misfit_and_gradient=misfit_and_gradient
    ... )
    >>> sampler = InfMALA(target, step_size=1.0)
    >>> state, info = sampler.run(0, sampler.init([0.0, 0.0]), 3000, keep_every=1)
    >>> bool(np.all(np.abs(info.positions.mean(axis=0) - 0.5) < 0.1))
    True
    """

    step_size: float = field(default=0.1, kw_only=True)

"""Infinity-HMC: Hamiltonian trajectories that rotate exactly under the prior and are kicked by the misfit only.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), 2022, arXiv 2112.10663; A. Beskos, F. Pinski, J. Sanz-Serna, A. Stuart, "Hybrid Monte Carlo on Hilbert spaces",
Stochastic Processes and their Applications 121, 2011. One rotation by the angle e between two half kicks ``p -= (e / 2)
g``; the change of energy is summed kick by kick, so that no two sums over all coordinates are subtracted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from scinn._input import check_in_range, check_positive_int
from scinn.inverse.samplers.base import EMPTY, GradientSampler, GradientState, Keep
from scinn.inverse.samplers.contract import Info
from scinn.kernels import mcmc_gradient as kernels
from scinn.reference import mcmc_gradient as reference

__all__ = ["HamiltonianSampler", "InfHMC"]


@dataclass(frozen=True, eq=False)
class HamiltonianSampler(GradientSampler):
    """The part that infinity-HMC and HMC share."""

    ordinary: ClassVar[bool] = False
    one_step: ClassVar[Callable[..., Any]] = staticmethod(reference.inf_hmc_step)
    least: ClassVar[float] = 1e-6
    # A quarter turn, with the jitter in hand.
    most: ClassVar[float] = 1.2

    step_size: float = field(default=0.1, kw_only=True)
    n_leapfrog: int = field(default=10, kw_only=True)
    jitter: float = field(default=0.2, kw_only=True)
    temperature: float = field(default=1.0, kw_only=True)
    target_acceptance: float = field(default=0.7, kw_only=True)

    def _checked(self, name: str, value: Any) -> Any:
        if name == "n_leapfrog":
            return check_positive_int(value, name)
        if name == "jitter":
            return check_in_range(value, name, 0.0, 1.0, inclusive="left")
        return super()._checked(name, value)

    def _plain_move(
        self, target: Any, rng: np.random.Generator, state: GradientState, position: np.ndarray
    ) -> reference.Outcome:
        step = state.step_size
        if self.jitter > 0.0:
            step *= 1.0 + self.jitter * (2.0 * rng.random() - 1.0)
        exponential = rng.standard_exponential()
        momentum = rng.standard_normal(len(position))
        return type(self).one_step(
            target.misfit_and_gradient, position, state.misfit, state.gradient, step, self.n_leapfrog, momentum, exponential,
            self.temperature,
        )  # fmt: skip

    def _plain(
        self, rng: np.random.Generator, state: GradientState, adapt: bool
    ) -> tuple[GradientState, Info]:
        return self._advance(state, self._plain_move(self.target, rng, state, state.position), adapt)

    def _run_kernel(
        self, model: Any, rng: np.random.Generator, state: GradientState, n: int, adapt: bool, keep: Keep,
        position: np.ndarray, last: np.ndarray,
    ) -> GradientState:  # fmt: skip
        scalars = np.array([state.misfit, state.step_size, float(state.n_adapted)])
        position, gradient = kernels.hamiltonian(
            model, rng, n, adapt, position, state.gradient.copy(), scalars, self.n_leapfrog, self.jitter, self.ordinary,
            self.temperature, self.target_acceptance, last, keep.every, keep.positions, keep.trace,
        )  # fmt: skip
        misfit, size, t = scalars.tolist()
        return GradientState(position, misfit, gradient, size, int(t))

    def _fused(
        self, rng: np.random.Generator, state: GradientState, n: int, adapt: bool, keep: Keep
    ) -> GradientState:
        return self._run_kernel(self._model(), rng, state, n, adapt, keep, state.position.copy(), EMPTY)


@dataclass(frozen=True, eq=False)
class InfHMC(HamiltonianSampler):
    """Infinity-HMC.

    Parameters
    ----------
    target : GradientTarget
        With ``dim``, ``misfit(xi)`` and ``misfit_and_gradient(xi)``.
    step_size : float, default 0.1
        Angle e > 0 of one rotation. A warm-up adapts it.
    n_leapfrog : int, default 10
        Rotations in a step; with small misfits ``n_leapfrog * step_size`` near pi / 2 forgets the position at once.
    jitter : float, default 0.2
        Each step's angle is uniform on ``step_size * (1 +- jitter)``, against trajectories that return to where they began.
    temperature : float, default 1.0
        Power t in [0, 1] of the likelihood.
    target_acceptance : float, default 0.7
        Acceptance rate that a warm-up aims at.

    Raises
    ------
    TypeError
        For a target without gradient.
    ValueError
        For a network with activation "sign", or options out of range.

    References
    ----------
    Beskos et al. 2011, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> def misfit_and_gradient(xi):
    ...     return 0.5 * float(np.sum((xi - 1.0) ** 2)), xi - 1.0
    >>> target = SimpleNamespace(
    ...     dim=2, misfit=lambda xi: misfit_and_gradient(xi)[0], misfit_and_gradient=misfit_and_gradient
    ... )
    >>> sampler = InfHMC(target, step_size=0.3, n_leapfrog=4)
    >>> state, info = sampler.run(0, sampler.init([0.0, 0.0]), 1000, keep_every=1)
    >>> bool(np.all(np.abs(info.positions.mean(axis=0) - 0.5) < 0.1))
    True
    """

"""Collapsed infinity-HMC: trajectories on the hidden layers, with the Gaussian last layer integrated out exactly.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), 2022, arXiv 2112.10663. The trajectories are those of :mod:`scinn.inverse.samplers.inf_hmc`, the integral over
the last layer and the draws from its conditional law those of :mod:`scinn.inverse.samplers.collapsed_pcn`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scinn.inverse.samplers.base import GradientState, Keep
from scinn.inverse.samplers.collapsed_pcn import collapsed_target
from scinn.inverse.samplers.contract import Info, check_target, has_sign_activation
from scinn.inverse.samplers.inf_hmc import HamiltonianSampler

__all__ = ["CollapsedInfHMC"]


@dataclass(frozen=True, eq=False)
class CollapsedInfHMC(HamiltonianSampler):
    """Infinity-HMC on the hidden layers, with the last layer drawn from its conditional law after each step.

    Parameters
    ----------
    target : Posterior
        The **full** posterior, with ``collapse()``; the last layer of its network must be Gaussian. Positions are full ones.
    step_size, n_leapfrog, jitter, target_acceptance
        As in :class:`InfHMC`. There is no temperature: the integral is that of the posterior itself.

    Raises
    ------
    TypeError
        For a target that cannot be collapsed, or has no gradient then.
    ValueError
        For a network with activation "sign", or options out of range.

    Notes
    -----
    As for :class:`CollapsedPCN`, ``misfit`` and ``gradient`` of the state are those of the hidden coordinates.

    References
    ----------
    Beskos et al. 2011, section 3; Liu 1994.

    Examples
    --------
    One hidden coordinate ``a``, one last-layer coordinate ``v``, and the datum ``1 = a v + noise``:

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> def misfit_and_gradient(xi):
    ...     p = 1.0 + xi[0] ** 2
    ...     return 0.5 * float(1.0 / p + np.log(p)), xi / p - xi / p**2
    >>> def complete(xi, rng):
    ...     p = 1.0 + xi[0] ** 2
    ...     return np.append(xi, xi[0] / p + rng.standard_normal() / np.sqrt(p))
    >>> hidden = SimpleNamespace(
    ...     dim=1, misfit=lambda xi: misfit_and_gradient(xi)[0], misfit_and_gradient=misfit_and_gradient,
    ...     complete=complete,
    ... )
    >>> target = SimpleNamespace(
    ...     dim=2, misfit=lambda xi: 0.5 * float(1.0 - xi[0] * xi[1]) ** 2, collapse=lambda: hidden
    ... )
    >>> sampler = CollapsedInfHMC(target, step_size=0.2)
    >>> state, info = sampler.run(0, sampler.init([0.5, 0.5]), 1000, keep_every=1)
    >>> bool(abs(info.positions.mean(axis=0)).max() < 0.15)
    True
    """

    temperature: float = field(default=1.0, init=False, repr=False)

    def __post_init__(self) -> None:
        name = type(self).__name__
        if has_sign_activation(self.target):
            check_target(self.target, name, gradient=True)
        check_target(self.target, name)
        object.__setattr__(self, "_hidden", collapsed_target(self.target, name))
        super().__post_init__()

    def _check_target(self) -> None:
        check_target(self.hidden, type(self).__name__, gradient=True)

    @property
    def hidden(self) -> Any:
        """The target of the hidden coordinates."""
        return self._hidden  # type: ignore[attr-defined]

    def _smooth(self) -> Any:
        return self.hidden

    def _model(self) -> Any:
        return getattr(self.hidden, "model", None)

    def _plain(
        self, rng: np.random.Generator, state: GradientState, adapt: bool
    ) -> tuple[GradientState, Info]:
        outcome = self._plain_move(self.hidden, rng, state, state.position[: self.hidden.dim])
        state, info = self._advance(state, outcome, adapt)
        return state._replace(position=self.hidden.complete(outcome.position, rng)), info

    def _fused(
        self, rng: np.random.Generator, state: GradientState, n: int, adapt: bool, keep: Keep
    ) -> GradientState:
        start, last = state.position[: self.hidden.dim].copy(), state.position[self.hidden.dim :].copy()
        state = self._run_kernel(self._model(), rng, state, n, adapt, keep, start, last)
        return state._replace(position=np.concatenate([state.position, last]))

"""Adaptive pCN: a step size of its own for each of the leading coordinates, learnt from the chain during the warm-up.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), 2022, arXiv 2112.10663; Z. Hu, Z. Yao, J. Li, "On an adaptive preconditioned Crank-Nicolson MCMC algorithm for
infinite dimensional Bayesian inference", Journal of Computational Physics 332, 2017. Proposal ``v_i = sqrt(1 - beta^2
c_i) u_i + beta sqrt(c_i) w_i`` with c_i the posterior variance of coordinate i, at most 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from scinn._input import check_positive_int
from scinn.inverse.samplers.pcn import PCN
from scinn.kernels.mcmc import LEAST_VARIANCE

__all__ = ["AdaptivePCN", "AdaptivePCNState"]


class AdaptivePCNState(NamedTuple):
    """Where a chain is, and what its warm-up has learnt.

    Parameters
    ----------
    position : ndarray, shape (dim,)
    misfit : float
    beta : float
        The step size now.
    n_adapted : int
        Steps of warm-up so far.
    mean, variances : ndarray, shape (n_leading,)
        Running moments of the leading coordinates; 0 and 1 before a warm-up.
    """

    position: np.ndarray
    misfit: float
    beta: float
    n_adapted: int
    mean: np.ndarray
    variances: np.ndarray


@dataclass(frozen=True, eq=False)
class AdaptivePCN(PCN):
    """Adaptive pCN.

    Variances are learnt in :meth:`warmup` only, from averages in which every further step counts less, and are **frozen
    afterwards**: what :meth:`run` draws comes from one fixed kernel that leaves the target invariant. Without a warm-up
    it is PCN.

    Parameters
    ----------
    target : Target
        With ``dim`` and ``misfit(xi)``.
    n_leading : int, optional
        How many of the first coordinates have variances of their own; by default all.
    beta, ladder, early_rejection, temperature, target_acceptance
        As in :class:`PCN`.

    Raises
    ------
    ValueError
        For options out of range.

    References
    ----------
    Hu, Yao and Li 2017, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> target = SimpleNamespace(dim=3, misfit=lambda xi: 50.0 * float(xi[0] - 1.0) ** 2)
    >>> sampler = AdaptivePCN(target, n_leading=2)
    >>> state = sampler.warmup(0, sampler.init(np.zeros(3)), 3000)
    >>> bool(state.variances[0] < 0.1 < state.variances[1])
    True
    """

    n_leading: int | None = field(default=None, kw_only=True)

    def _checked(self, name: str, value: Any) -> Any:
        if name == "n_leading":
            if value is None:
                return self.dim
            count = check_positive_int(value, name)
            if count > self.dim:
                raise ValueError(f"n_leading is {count}; the target has {self.dim} coordinates")
            return count
        return super()._checked(name, value)

    def _start(self, position: np.ndarray) -> AdaptivePCNState:
        value, count = self._value(self.target, position), self.n_leading or 0
        return AdaptivePCNState(position, value, self.beta, 0, np.zeros(count), np.ones(count))

    def _moments(self, state: AdaptivePCNState) -> tuple[np.ndarray, np.ndarray]:
        return state.mean.copy(), state.variances.copy()

    def _with_moments(self, state: AdaptivePCNState, mean: np.ndarray, variances: np.ndarray) -> Any:
        return state._replace(mean=mean, variances=variances)

    def _options(self, state: AdaptivePCNState) -> dict[str, Any]:
        variances = np.ones(self.dim)
        variances[: self.n_leading] = np.clip(state.variances, LEAST_VARIANCE, 1.0)
        return {"variances": variances}

    def _learn(self, state: AdaptivePCNState) -> AdaptivePCNState:
        gain = 2.0 / (state.n_adapted + 100.0)
        delta = state.position[: self.n_leading] - state.mean
        return state._replace(
            mean=state.mean + gain * delta, variances=(1.0 - gain) * (state.variances + gain * delta**2)
        )

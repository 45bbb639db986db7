"""Preconditioned Crank-Nicolson Langevin (pCNL): infinity-MALA in the form of Cotter, Roberts, Stuart and White.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), 2022, arXiv 2112.10663; S. Cotter, G. Roberts, A. Stuart, D. White, "MCMC methods for functions: modifying old
algorithms to make them faster", Statistical Science 28, 2013. Proposal ``(2 + d) v = (2 - d) u - 2 d g + sqrt(8 d) w``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from scinn.inverse.samplers.inf_mala import LangevinSampler
from scinn.reference import mcmc_gradient as reference

__all__ = ["PCNL"]


@dataclass(frozen=True, eq=False)
class PCNL(LangevinSampler):
    """Preconditioned Crank-Nicolson Langevin.

    Parameters
    ----------
    target : GradientTarget
        With ``dim``, ``misfit(xi)`` and ``misfit_and_gradient(xi)``.
    delta : float, default 0.05
        Step size above 0; the state has it as ``step_size``. A warm-up adapts it. It is :class:`InfMALA` with step size
        ``2 delta``.
    temperature, target_acceptance
        As in :class:`InfMALA`.

    Raises
    ------
    TypeError
        For a target without gradient.
    ValueError
        For a network with activation "sign", or options out of range.

    References
    ----------
    Cotter et al. 2013, equations (4.8) and (4.9).

    Examples
    --------
    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> target = SimpleNamespace(dim=1, misfit=lambda xi: 0.0, misfit_and_gradient=lambda xi: (0.0, np.zeros(1)))
    >>> sampler = PCNL(target, delta=0.5)
    >>> state, info = sampler.run(0, sampler.init([0.0]), 10)
    >>> info.acceptance_rate
    1.0
    """

    step_name: ClassVar[str] = "delta"
    factor: ClassVar[float] = 2.0
    one_step: ClassVar[Callable[..., Any]] = staticmethod(reference.pcnl_step)

    delta: float = field(default=0.05, kw_only=True)

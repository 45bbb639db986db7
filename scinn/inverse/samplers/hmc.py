"""The ordinary Hamiltonian Monte Carlo (leapfrog, unit masses) in white coordinates, for comparison.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), 2022, arXiv 2112.10663; R. Neal, "MCMC using Hamiltonian dynamics", Handbook of Markov Chain Monte Carlo, 2011.
The leapfrog steps err in the prior too, so that the acceptance falls as the number of coordinates grows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from scinn.inverse.samplers.inf_hmc import HamiltonianSampler
from scinn.reference import mcmc_gradient as reference

__all__ = ["HMC"]


@dataclass(frozen=True, eq=False)
class HMC(HamiltonianSampler):
    """Hamiltonian Monte Carlo.

    Parameters
    ----------
    target : GradientTarget
        With ``dim``, ``misfit(xi)`` and ``misfit_and_gradient(xi)``.
    step_size, n_leapfrog, jitter, temperature, target_acceptance
        As in :class:`InfHMC`.

    Raises
    ------
    TypeError
        For a target without gradient.
    ValueError
        For a network with activation "sign", or options out of range.

    References
    ----------
    Neal 2011, section 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> target = SimpleNamespace(dim=9, misfit=lambda xi: 0.0, misfit_and_gradient=lambda xi: (0.0, np.zeros(9)))
    >>> sampler = HMC(target, step_size=0.5)
    >>> state, info = sampler.run(0, sampler.init(np.ones(9)), 200)
    >>> 0.5 < info.acceptance_rate < 1.0
    True
    """

    ordinary: ClassVar[bool] = True
    one_step: ClassVar[Callable[..., Any]] = staticmethod(reference.hmc_step)

"""The ordinary Metropolis-adjusted Langevin algorithm in white coordinates, for comparison.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), 2022, arXiv 2112.10663; G. Roberts, R. Tweedie, "Exponential convergence of Langevin distributions", Bernoulli 2,
1996. Its acceptance falls as the number of coordinates grows, even where the data are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from scinn.inverse.samplers.inf_mala import LangevinSampler
from scinn.reference import mcmc_gradient as reference

__all__ = ["MALA"]


@dataclass(frozen=True, eq=False)
class MALA(LangevinSampler):
    """Metropolis-adjusted Langevin algorithm, ``v = u - (h / 2)(t g + u) + sqrt(h) w``.

    Parameters
    ----------
    target : GradientTarget
        With ``dim``, ``misfit(xi)`` and ``misfit_and_gradient(xi)``.
    step_size : float, default 0.1
        ``h > 0``. A warm-up adapts it.
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
    Roberts and Tweedie 1996, section 1.4.

    Examples
    --------
    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> target = SimpleNamespace(dim=9, misfit=lambda xi: 0.0, misfit_and_gradient=lambda xi: (0.0, np.zeros(9)))
    >>> sampler = MALA(target, step_size=1.0)
    >>> state, info = sampler.run(0, sampler.init(np.ones(9)), 200)
    >>> 0.5 < info.acceptance_rate < 1.0
    True
    """

    ordinary: ClassVar[bool] = True
    one_step: ClassVar[Callable[..., Any]] = staticmethod(reference.mala_step)

    step_size: float = field(default=0.1, kw_only=True)

"""Elliptical slice sampling: no step size, and as many evaluations as a step takes.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), 2022, arXiv 2112.10663; I. Murray, R. Adams, D. MacKay, "Elliptical slice sampling", AISTATS 2010. A step draws a
level and an ellipse through the position, and shrinks an arc of it until a point with a misfit below the level is
found.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from scinn.inverse.samplers.base import EMPTY, BaseSampler, Keep, info_of
from scinn.inverse.samplers.contract import Info
from scinn.kernels import mcmc as kernels
from scinn.reference import mcmc as reference

__all__ = ["EllipticalSlice", "EllipticalSliceState"]


class EllipticalSliceState(NamedTuple):
    """Where a chain is.

    Parameters
    ----------
    position : ndarray, shape (dim,)
    misfit : float
    """

    position: np.ndarray
    misfit: float


@dataclass(frozen=True, eq=False)
class EllipticalSlice(BaseSampler):
    """Elliptical slice sampling.

    Parameters
    ----------
    target : Target
        With ``dim`` and ``misfit(xi)``.
    early_rejection, temperature
        As in :class:`PCN`.

    Raises
    ------
    ValueError
        For options out of range.

    Notes
    -----
    Nothing is tuned: a warm-up only moves the chain. ``n_evaluations`` of the infos counts the misfits. Every step is
    accepted; one that rounding keeps from ending (after 200 shrinks) stays where it is.

    References
    ----------
    Murray, Adams and MacKay 2010, figure 2.

    Examples
    --------
    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> target = SimpleNamespace(dim=2, misfit=lambda xi: 0.5 * float(np.sum((xi - 1.0) ** 2)))
    >>> sampler = EllipticalSlice(target)
    >>> state, info = sampler.run(0, sampler.init([0.0, 0.0]), 2000, keep_every=1)
    >>> bool(np.all(np.abs(info.positions.mean(axis=0) - 0.5) < 0.1)), info.n_evaluations > 2000
    (True, True)
    """

    early_rejection: bool = field(default=True, kw_only=True)
    temperature: float = field(default=1.0, kw_only=True)

    def _start(self, position: np.ndarray) -> EllipticalSliceState:
        return EllipticalSliceState(position, self._value(self.target, position))

    def _plain(
        self, rng: np.random.Generator, state: EllipticalSliceState, adapt: bool
    ) -> tuple[EllipticalSliceState, Info]:
        exponential = rng.standard_exponential()
        noise = rng.standard_normal(self.dim)
        outcome = reference.elliptical_slice_step(
            self._misfit(self.target, self.early_rejection), state.position, state.misfit, noise, exponential, rng.random,
            self.temperature,
        )  # fmt: skip
        return EllipticalSliceState(outcome.position, outcome.misfit), info_of(outcome)

    def _fused(
        self, rng: np.random.Generator, state: EllipticalSliceState, n: int, adapt: bool, keep: Keep
    ) -> EllipticalSliceState:
        scalars = np.array([state.misfit])
        position = kernels.elliptical_slice(
            self._model(), rng, n, state.position.copy(), scalars, self.early_rejection, self.temperature, EMPTY, keep.every,
            keep.positions, keep.trace,
        )  # fmt: skip
        return EllipticalSliceState(position, float(scalars[0]))

"""Random-walk Metropolis in white coordinates, for comparison.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), 2022, arXiv 2112.10663; A. Gelman, G. Roberts, W. Gilks, "Efficient Metropolis jumping rules", Bayesian
Statistics 5, 1996. Its proposal is not in balance with the prior: for a fixed step size the acceptance falls to 0 as
the number of coordinates grows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from scinn.inverse.samplers.base import EMPTY, BaseSampler, Keep, adapted, info_of
from scinn.inverse.samplers.contract import Info, check_step
from scinn.kernels import mcmc as kernels
from scinn.reference import mcmc as reference

__all__ = ["RandomWalk", "RandomWalkState"]


class RandomWalkState(NamedTuple):
    """Where a chain is.

    Parameters
    ----------
    position : ndarray, shape (dim,)
    misfit : float
    step_size : float
        The step size now.
    n_adapted : int
        Steps of warm-up so far.
    """

    position: np.ndarray
    misfit: float
    step_size: float
    n_adapted: int


@dataclass(frozen=True, eq=False)
class RandomWalk(BaseSampler):
    """Random-walk Metropolis, ``v = u + s w``.

    Parameters
    ----------
    target : Target
        With ``dim`` and ``misfit(xi)``.
    step_size : float, default 0.1
        Standard deviation s > 0. A warm-up adapts it.
    early_rejection, temperature
        As in :class:`PCN`.
    target_acceptance : float, default 0.234
        Acceptance rate that a warm-up aims at.

    Raises
    ------
    ValueError
        For options out of range.

    References
    ----------
    Gelman, Roberts and Gilks 1996.

    Examples
    --------
    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> sampler = RandomWalk(SimpleNamespace(dim=1, misfit=lambda xi: 0.0), step_size=2.0)
    >>> state, info = sampler.run(0, sampler.init([0.0]), 2000, keep_every=1)
    >>> bool(abs(info.positions.var() - 1.0) < 0.2)
    True
    """

    step_size: float = field(default=0.1, kw_only=True)
    early_rejection: bool = field(default=True, kw_only=True)
    temperature: float = field(default=1.0, kw_only=True)
    target_acceptance: float = field(default=0.234, kw_only=True)

    def _checked(self, name: str, value: Any) -> Any:
        return check_step(value, name) if name == "step_size" else super()._checked(name, value)

    def _start(self, position: np.ndarray) -> RandomWalkState:
        return RandomWalkState(position, self._value(self.target, position), self.step_size, 0)

    def _plain(
        self, rng: np.random.Generator, state: RandomWalkState, adapt: bool
    ) -> tuple[RandomWalkState, Info]:
        exponential = rng.standard_exponential()
        noise = rng.standard_normal(self.dim)
        outcome = reference.random_walk_step(
            self._misfit(self.target, self.early_rejection), state.position, state.misfit, state.step_size, noise,
            exponential, self.temperature,
        )  # fmt: skip
        info = info_of(outcome)
        size, t = state.step_size, state.n_adapted
        if adapt:
            size, t = adapted(size, float(info.accepted), self.target_acceptance, t, 1e-6, 10.0), t + 1
        return RandomWalkState(outcome.position, outcome.misfit, size, t), info

    def _fused(
        self, rng: np.random.Generator, state: RandomWalkState, n: int, adapt: bool, keep: Keep
    ) -> RandomWalkState:
        scalars = np.array([state.misfit, state.step_size, float(state.n_adapted)])
        position = kernels.random_walk(
            self._model(), rng, n, adapt, state.position.copy(), scalars, self.early_rejection, self.temperature,
            self.target_acceptance, EMPTY, keep.every, keep.positions, keep.trace,
        )  # fmt: skip
        misfit, size, t = scalars.tolist()
        return RandomWalkState(position, misfit, size, int(t))

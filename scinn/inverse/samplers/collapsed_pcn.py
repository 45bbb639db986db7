"""Collapsed pCN: the Gaussian last layer is integrated out exactly, and pCN moves the hidden layers only.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), 2022, arXiv 2112.10663. Given the hidden layers, a Gaussian last layer v and Gaussian noise make data and v
jointly Gaussian: the misfit of the hidden coordinates alone and the conditional law of v are in closed form (J. Liu,
"The collapsed Gibbs sampler", JASA 89, 1994). After each step v is drawn anew, so that every state has the law of the
full posterior.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scinn.inverse.samplers.base import Keep, info_of
from scinn.inverse.samplers.contract import InfiniteMisfitError, Info
from scinn.inverse.samplers.pcn import PCN, PCNState

__all__ = ["CollapsedPCN"]


def collapsed_target(target: Any, sampler: str) -> Any:
    """Return the target of the hidden coordinates."""
    if not callable(getattr(target, "collapse", None)):
        raise TypeError(
            f"target is a {type(target).__name__} without collapse(); {sampler} wants the full posterior of a network whose "
            "last layer is Gaussian, such as scinn.inverse.Posterior(prior, problem)"
        )
    return target.collapse()


@dataclass(frozen=True, eq=False)
class CollapsedPCN(PCN):
    """pCN on the hidden layers, with the last layer drawn from its conditional law after each step.

    Parameters
    ----------
    target : Posterior
        The **full** posterior, with ``collapse()``; the last layer of its network must be Gaussian. Positions are full ones.
    beta, ladder, early_rejection, target_acceptance
        As in :class:`PCN`. There is no temperature: the integral is that of the posterior itself.

    Raises
    ------
    TypeError
        For a target that cannot be collapsed.
    ValueError
        For options out of range.

    Notes
    -----
    ``misfit`` of the state is that of the hidden coordinates, ``-log`` of the integral of ``exp(-Phi)`` over the last
    layer. A step does not depend on the last layer before it. Compiled runs therefore compute the draws that are kept,
    and pass over the random numbers of the others.

    References
    ----------
    Liu 1994.

    Examples
    --------
    One hidden coordinate ``a``, one last-layer coordinate ``v``, and the datum ``1 = a v + noise``:

    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> def misfit(xi):
    ...     return 0.5 * float(1.0 / (1.0 + xi[0] ** 2) + np.log(1.0 + xi[0] ** 2))
    >>> def complete(xi, rng):
    ...     a, precision = xi[0], 1.0 + xi[0] ** 2
    ...     return np.append(xi, a / precision + rng.standard_normal() / np.sqrt(precision))
    >>> hidden = SimpleNamespace(dim=1, misfit=misfit, complete=complete)
    >>> target = SimpleNamespace(
    ...     dim=2, misfit=lambda xi: 0.5 * float(1.0 - xi[0] * xi[1]) ** 2, collapse=lambda: hidden
    ... )
    >>> sampler = CollapsedPCN(target, beta=0.9)
    >>> state, info = sampler.run(0, sampler.init([0.5, 0.5]), 2000, keep_every=1)
    >>> bool(abs(info.positions.mean(axis=0)).max() < 0.1)
    True
    """

    temperature: float = field(default=1.0, init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "_hidden", collapsed_target(self.target, type(self).__name__))

    @property
    def hidden(self) -> Any:
        """The target of the hidden coordinates."""
        return self._hidden  # type: ignore[attr-defined]

    def _model(self) -> Any:
        return getattr(self.hidden, "model", None)

    def _start(self, position: np.ndarray) -> PCNState:
        value = self._value(self.hidden, position[: self.hidden.dim])
        if value == np.inf:
            raise InfiniteMisfitError(
                "position has an infinite misfit; start at a draw from the prior, or at a MAP estimate"
            )
        return PCNState(position, value, self.beta, 0)

    def _plain(self, rng: np.random.Generator, state: Any, adapt: bool) -> tuple[Any, Info]:
        outcome = self._plain_move(self.hidden, rng, state, state.position[: self.hidden.dim])
        info = info_of(outcome)
        position = self.hidden.complete(outcome.position, rng)
        state = state._replace(position=position, misfit=outcome.misfit)
        return (self._plain_adapt(state, info) if adapt else state), info

    def _fused(self, rng: np.random.Generator, state: Any, n: int, adapt: bool, keep: Keep) -> Any:
        start, last = state.position[: self.hidden.dim].copy(), state.position[self.hidden.dim :].copy()
        state, position = self._run_kernel(self._model(), rng, state, n, adapt, keep, start, last)
        return state._replace(position=np.concatenate([position, last]))

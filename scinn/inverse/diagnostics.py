"""Has a chain run long enough? R-hat, effective sample size, and a verdict, on values of functions.

Notation: M chains of N draws, axes (chain, draw, ...). The estimators are those of Vehtari, Gelman, Simpson, Carpenter,
Buerkner (2021), "Rank-normalization, folding, and localization: an improved R-hat for assessing convergence of MCMC", as
implemented by ArviZ. Li, Dunlop, Stadler (2022), arXiv 2112.10663, sample network weights, which are not identifiable
(units may be permuted and change sign); what is diagnosed here are therefore values of the function.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scinn._input import as_float_array, check_choice

__all__ = ["ESS_LIMIT", "RHAT_LIMIT", "ChainSummary", "ess", "rhat", "verdict"]

#: Draws count as converged where R-hat is below this ...
RHAT_LIMIT = 1.01
#: ... and bulk and tail effective sample size are above this.
ESS_LIMIT = 400.0
#: Shortest chain that the estimators take; they halve it.
LEAST_DRAWS = 4

_TAILS = (0.05, 0.95)


def _chains(values: Any) -> np.ndarray:
    array = as_float_array(values, "values", dtype=np.float64, allow_nan=True)
    if array.ndim < 2:
        raise ValueError(
            f"values has shape {array.shape}; axes (chain, draw, ...) are wanted: pass values[None] for one chain"
        )
    return array


def rhat(values: Any) -> np.ndarray:
    """Return the rank-normalised split R-hat of each quantity.

    Parameters
    ----------
    values : array-like, shape (n_chains, n_draws, ...)
        At least two chains of at least four draws.

    Returns
    -------
    ndarray of float64, shape (...)
        Close to 1 where the chains agree; NaN for quantities that never change, infinite for chains that are stuck
        at different values.

    Raises
    ------
    ValueError
        For too few chains or draws.

    References
    ----------
    A. Vehtari et al., "Rank-normalization, folding, and localization", Bayesian Analysis 16(2), 2021.

    Examples
    --------
    >>> import numpy as np
    >>> bool(rhat(np.random.default_rng(0).standard_normal((4, 1000))) < 1.01)
    True
    """
    array = _chains(values)
    if array.shape[0] < 2:
        raise ValueError(
            f"too few chains for R-hat: {array.shape[0]} came and at least 2 are wanted, because it compares chains "
            "with each other: sample with n_chains=4"
        )
    _check_draws(array, "R-hat")
    from arviz_stats.base import array_stats

    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(array_stats.rhat(array, chain_axis=0, draw_axis=1, method="rank"))


def ess(values: Any, method: str = "bulk") -> np.ndarray:
    """Return the effective sample size of each quantity, over all chains.

    Parameters
    ----------
    values : array-like, shape (n_chains, n_draws, ...)
        At least four draws in each chain.
    method : {"bulk", "tail", "mean", "sd", "median"}, default "bulk"
        For what: the bulk of the law, its 5 % and 95 % quantiles (the smaller of both), or one estimator.

    Returns
    -------
    ndarray of float64, shape (...)
        The number of draws for quantities that never change.

    Raises
    ------
    ValueError
        For an unknown method or too few draws.

    References
    ----------
    A. Vehtari et al., "Rank-normalization, folding, and localization", Bayesian Analysis 16(2), 2021.

    Examples
    --------
    >>> import numpy as np
    >>> walk = np.cumsum(np.random.default_rng(0).standard_normal((2, 1000)), axis=1)
    >>> bool(ess(walk) < 20)
    True
    """
    array = _chains(values)
    check_choice(method, "method", ("bulk", "tail", "mean", "sd", "median"))
    _check_draws(array, "the effective sample size")
    from arviz_stats.base import array_stats

    options = {"prob": _TAILS} if method == "tail" else {}
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(array_stats.ess(array, chain_axis=0, draw_axis=1, method=method, **options))


def _check_draws(array: np.ndarray, what: str) -> None:
    if array.shape[1] < LEAST_DRAWS:
        raise ValueError(
            f"too few draws for {what}: {array.shape[1]} came and at least {LEAST_DRAWS} are wanted: raise n_draws"
        )


@dataclass(frozen=True)
class Verdict:
    """Whether draws converged, the numbers that decided, why not, and the numbers of each quantity."""

    converged: bool | None
    rhat: float | None
    ess_bulk: float | None
    ess_tail: float | None
    reasons: tuple[str, ...]
    details: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)


def verdict(quantities: Mapping[str, np.ndarray]) -> Verdict:
    """Judge chains by the worst of several quantities.

    Parameters
    ----------
    quantities : mapping of str to ndarray, shape (n_chains, n_draws, ...)

    Returns
    -------
    Verdict
        ``converged`` is None where it cannot be judged: one chain, or fewer than four draws. Quantities that never
        change, such as a maximum that is always attained at the rim, decide nothing, unless all are of that kind.

    Examples
    --------
    >>> import numpy as np
    >>> verdict({"misfit": np.random.default_rng(0).standard_normal((4, 1000))}).converged
    True
    """
    reasons: list[str] = []
    details: dict[str, dict[str, np.ndarray]] = {}
    worst: dict[str, dict[str, float]] = {"bulk": {}, "tail": {}, "rhat": {}}
    n_chains = 0
    for name, values in quantities.items():
        array = _chains(values)
        n_chains = array.shape[0]
        if array.shape[1] < LEAST_DRAWS:
            return Verdict(None, None, None, None, (f"fewer than {LEAST_DRAWS} draws a chain",))
        if not np.isfinite(array).all():
            reasons.append(f"{name} is not finite in some draws")
            continue
        details[name] = {"bulk": ess(array), "tail": ess(array, "tail")}
        if n_chains > 1:
            details[name]["rhat"] = rhat(array)
        changes = np.ptp(array, axis=(0, 1)) > 0
        if np.any(changes):
            for label, found in details[name].items():
                worst[label][name] = float((np.max if label == "rhat" else np.min)(found[changes]))
    if not worst["bulk"]:
        return Verdict(False, None, None, None, (*reasons, "nothing changes in any chain"), details)
    most: float | None = None
    if n_chains < 2:
        reasons.append("one chain: R-hat needs at least 2")
    else:
        name, most = max(worst["rhat"].items(), key=lambda item: item[1])
        if not most < RHAT_LIMIT:
            reasons.append(f"R-hat of {name} is {most:.3f}, not below {RHAT_LIMIT}")
    for label in ("bulk", "tail"):
        name, least = min(worst[label].items(), key=lambda item: item[1])
        if not least > ESS_LIMIT:
            reasons.append(f"{label} ESS of {name} is {least:.0f}, not above {ESS_LIMIT:.0f}")
    converged = None if most is None else not reasons
    bulk, tail = (min(worst[label].values()) for label in ("bulk", "tail"))
    return Verdict(converged, most, bulk, tail, tuple(reasons), details)


@dataclass(frozen=True, repr=False, eq=False)
class ChainSummary:
    """What the draws say about the function, and whether they can be trusted.

    Parameters
    ----------
    n_chains, n_draws : int
    acceptance_rate : tuple of float
        Of each chain, warm-up excluded.
    misfit : dict of str to float
        ``median``, ``q05``, ``q95``.
    converged : bool or None
        R-hat below 1.01, and bulk and tail effective sample sizes above 400, over function values, misfit and recorded
        numbers. None where it cannot be judged.
    reasons : tuple of str
        Why not.
    rhat : float or None
        The largest; None for fewer than two chains.
    ess_bulk, ess_tail : float or None
        The smallest.
    probabilities : tuple of float
        Of the quantiles.
    quantiles : ndarray or None, shape (n_probabilities, grid ...)
        At each point.
    mean : ndarray or None, shape (grid ...)
        None where the posterior may have no mean: functions whose last layer is heavy-tailed.
    median : ndarray or None, shape (grid ...)
    ess_points : dict of str to ndarray
        ``bulk``, ``tail`` and, for several chains, ``rhat`` at the points `points`.
    points : ndarray of int64
        Flat indices of the grid points that were diagnosed: all, or evenly spaced ones on large grids.
    """

    n_chains: int
    n_draws: int
    acceptance_rate: tuple[float, ...]
    misfit: dict[str, float]
    converged: bool | None
    reasons: tuple[str, ...]
    rhat: float | None
    ess_bulk: float | None
    ess_tail: float | None
    probabilities: tuple[float, ...]
    quantiles: np.ndarray | None = None
    median: np.ndarray | None = None
    mean: np.ndarray | None = None
    ess_points: dict[str, np.ndarray] = field(default_factory=dict)
    points: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def __repr__(self) -> str:
        def text(value: float | None, form: str) -> str:
            return "not known" if value is None else format(value, form)

        answer = {True: "yes", False: "no", None: "cannot be judged"}[self.converged]
        lines = [
            f"{self.n_chains} {'chain' if self.n_chains == 1 else 'chains'} of {self.n_draws} draws, acceptance rate "
            + ", ".join(f"{rate:.2f}" for rate in self.acceptance_rate),
            f"misfit            {self.misfit['median']:.4g}  (5 % to 95 %: {self.misfit['q05']:.4g} to "
            f"{self.misfit['q95']:.4g})",
            f"largest R-hat     {text(self.rhat, '.3f')}",
            f"smallest ESS      {text(self.ess_bulk, '.0f')} bulk, {text(self.ess_tail, '.0f')} tail",
            f"converged         {answer}" + (f": {'; '.join(self.reasons)}" if self.reasons else ""),
        ]
        if self.median is not None:
            means = "median and mean" if self.mean is not None else "median (a mean may not exist)"
            lines.append(
                f"function          {means}, quantiles {', '.join(f'{p:g}' for p in self.probabilities)}"
            )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON values; NaN and infinity, which JSON lacks, become None."""
        return {
            "n_chains": self.n_chains,
            "n_draws": self.n_draws,
            "acceptance_rate": _plain(np.array(self.acceptance_rate)),
            "misfit": {name: _plain(np.array(value)) for name, value in self.misfit.items()},
            "converged": self.converged,
            "reasons": list(self.reasons),
            "rhat": None if self.rhat is None else _plain(np.array(self.rhat)),
            "ess_bulk": self.ess_bulk,
            "ess_tail": self.ess_tail,
            "probabilities": list(self.probabilities),
            "quantiles": None if self.quantiles is None else _plain(self.quantiles),
            "median": None if self.median is None else _plain(self.median),
            "mean": None if self.mean is None else _plain(self.mean),
            "points": self.points.tolist(),
            "ess_points": {name: _plain(values) for name, values in self.ess_points.items()},
        }


def _plain(values: np.ndarray) -> Any:
    """Return nested lists in which None stands for what JSON cannot hold."""
    if np.isfinite(values).all():
        return values.tolist()
    plain = values.astype(object)
    plain[~np.isfinite(values)] = None
    return plain.tolist()

"""Sequential Monte Carlo from the prior to the posterior, with the evidence.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), 2022, arXiv 2112.10663, sample ``exp(-Phi)`` with respect to the prior ``N(0, I)``. Here N particles pass through
the densities ``exp(-t Phi)`` from t = 0 to t = 1 (R. Neal, "Annealed importance sampling", 2001; P. Del Moral, A. Doucet,
A. Jasra, "Sequential Monte Carlo samplers", 2006). A stage from t to t + d:

1. weights ``w_i = exp(-d Phi_i)``, with d from a bisection such that ``(sum w)^2 / sum w^2 = share * N``;
2. the evidence ``Z_{t+d} / Z_t`` is estimated by the mean weight (without bias in Z, given the schedule);
3. systematic resampling, and some pCN steps of every particle on ``exp(-(t + d) Phi)``.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, NamedTuple

import numpy as np

from scinn._input import as_float_array, check_in_range, check_positive_int
from scinn.exceptions import ConvergenceWarning
from scinn.inverse.samplers.contract import check_target
from scinn.inverse.samplers.pcn import PCN, PCNState
from scinn.random import RandomState, as_generator

__all__ = ["SMC", "SMCInfo", "SMCState", "systematic_resampling"]

_BETA_RANGE = (1e-4, 0.999)
_TARGET_RATE = 0.25
# By how much the step size may change from one stage to the next.
_BETA_CHANGE = (0.3, 2.0)
# Halvings of the increment: more than a float's precision between 1e-300 and 1 has use for.
_HALVINGS = 200
# Above this rank correlation of misfits before and after the moves, copies still are where resampling put them.
_FORGOTTEN = 0.5


class SMCState(NamedTuple):
    """Where the particles are.

    Parameters
    ----------
    positions : ndarray of float64, shape (n_particles, dim)
        Draws, equally weighted, of the density at `temperature`.
    misfits : ndarray of float64, shape (n_particles,)
    temperature : float
        Inverse temperature t, from 0 (prior) to 1 (posterior).
    log_evidence : float
        Estimate of ``log Z_t = log E exp(-t Phi)`` under the prior.
    beta : float
        Step size of the moves.
    n_stages : int
    correlation : float
        The largest of all stages so far, see :class:`SMCInfo`.
    """

    positions: np.ndarray
    misfits: np.ndarray
    temperature: float
    log_evidence: float
    beta: float
    n_stages: int
    correlation: float = 0.0

    @property
    def position(self) -> np.ndarray:
        """The first particle, one draw of the density at `temperature`."""
        return self.positions[0]

    @property
    def misfit(self) -> float:
        """Misfit of the first particle."""
        return float(self.misfits[0])


class SMCInfo(NamedTuple):
    """What the last stage did.

    Parameters
    ----------
    increment : float
        By how much t grew.
    effective_size : float
        ``(sum w)^2 / sum w^2`` of the stage's weights.
    acceptance_rate : float
        Of the moves.
    n_distinct : int
        Particles that left descendants in the resampling.
    correlation : float
        Rank correlation, over the particles, of the misfit after the resampling with that after the moves: near 0 where
        the moves make the particles forget where they were, as they should; near 1 where they do next to nothing.
    """

    increment: float
    effective_size: float
    acceptance_rate: float
    n_distinct: int
    correlation: float


def systematic_resampling(weights: Any, rng: RandomState = None) -> np.ndarray:
    """Return how often each particle is taken, as indices: one uniform number, shifted by 1/N each time.

    Parameters
    ----------
    weights : array-like, shape (n,)
        Not negative; need not sum to 1.
    rng : int, SeedSequence, Generator, Key or None

    Returns
    -------
    ndarray of int64, shape (n,)
        Increasing; index i occurs floor or ceil of ``n w_i / sum w`` times.

    Examples
    --------
    >>> systematic_resampling([0.5, 0.0, 0.25, 0.25], 0).tolist()
    [0, 0, 2, 3]
    """
    own = as_float_array(weights, "weights", ndim=1, dtype=np.float64)
    if len(own) == 0 or own.min() < 0 or not own.sum() > 0:
        raise ValueError("weights must be at least one, not negative, and not all zero")
    return _resample(own, as_generator(rng).random())


def _resample(weights: np.ndarray, shift: float) -> np.ndarray:
    n = len(weights)
    bounds = np.cumsum(weights)
    at = (np.arange(n) + shift) * (bounds[-1] / n)
    # Rounding may put the last one beyond the end; the last particle with a weight is meant.
    return np.minimum(np.searchsorted(bounds, at, side="right"), np.flatnonzero(weights)[-1]).astype(np.int64)


def _weights(misfits: np.ndarray, increment: float) -> np.ndarray:
    """Return ``exp(-d (Phi - min Phi))``; particles of infinite misfit have none."""
    if increment == 0.0:
        return np.ones(len(misfits))
    return np.exp(-increment * (misfits - misfits.min()))


def _correlation(before: np.ndarray, after: np.ndarray) -> float:
    """Return Spearman's rank correlation, 0 where all misfits before or after are the same."""
    from scipy.stats import rankdata

    a, b = (rankdata(misfits) - 0.5 * (len(misfits) + 1) for misfits in (before, after))
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / scale if scale > 0.0 else 0.0


def _effective(weights: np.ndarray) -> float:
    return float(weights.sum() ** 2 / (weights @ weights))


class SMC:
    """Sequential Monte Carlo through tempered posteriors.

    Parameters
    ----------
    target : Target
        With ``dim`` and ``misfit(xi)``, such as :class:`scinn.inverse.Posterior`.
    n_particles : int, default 1000
    n_moves : int, default 10
        Steps of pCN of each particle after each resampling.
    share : float, default 0.5
        Each increment of t leaves this share of the effective sample size.
    beta : float, default 0.5
        Step size of the first moves; it adapts from stage to stage towards accepting a quarter.

    Raises
    ------
    TypeError, ValueError
        For arguments out of range.

    Notes
    -----
    The particles are draws of the posterior, and ``log_evidence`` is near the evidence's, only as far as the moves spread
    the copies that resampling makes. Where they do not, ``log_evidence`` is too low, by tens of nats where the posterior is
    hard, and independent runs agree with each other far better than with the truth: their spread does not show this error.
    ``correlation`` tells, and :meth:`run` warns of it. More moves, and integrating the last layer out
    (:meth:`scinn.inverse.Posterior.collapse`), help; :class:`ParallelTempering` estimates the evidence in another way.

    References
    ----------
    P. Del Moral, A. Doucet, A. Jasra, "Sequential Monte Carlo samplers", JRSS B 68, 2006.
    A. Beskos, A. Jasra, E. Muzaffer, A. Stuart, "Sequential Monte Carlo methods for Bayesian elliptic inverse problems",
    Statistics and Computing 25, 2015.

    Examples
    --------
    >>> import numpy as np
    >>> class Data:
    ...     dim = 1
    ...     def misfit(self, xi, stop_above=np.inf):
    ...         return 0.5 * float((xi[0] - 1.0) ** 2)
    >>> sampler = SMC(Data(), n_particles=2000)
    >>> state = sampler.init(None, rng := np.random.default_rng(0))
    >>> state, info = sampler.run(rng, state)
    >>> state.temperature, bool(abs(state.log_evidence - (-0.25 - 0.5 * np.log(2))) < 0.05)
    (1.0, True)
    """

    def __init__(
        self,
        target: Any,
        *,
        n_particles: int = 1000,
        n_moves: int = 10,
        share: float = 0.5,
        beta: float = 0.5,
    ) -> None:
        check_target(target, "SMC")
        self.target = target
        self.n_particles = check_positive_int(n_particles, "n_particles", 2)
        self.n_moves = check_positive_int(n_moves, "n_moves")
        self.share = check_in_range(share, "share", 0.0, 1.0, "neither")
        self.beta = check_in_range(beta, "beta", 0.0, 1.0, "right")

    def __repr__(self) -> str:
        return f"SMC(n_particles={self.n_particles}, n_moves={self.n_moves}, share={self.share:g}, beta={self.beta:g})"

    def init(self, position: Any = None, rng: RandomState = None) -> SMCState:
        """Return particles of the prior.

        Parameters
        ----------
        position : array-like of shape (n_particles, dim), optional
            Independent draws of ``N(0, I)``; by default they are drawn here.
        rng : int, SeedSequence, Generator, Key or None

        Returns
        -------
        SMCState

        Raises
        ------
        ValueError
            For positions of another shape, or where no particle has a finite misfit.
        """
        shape = (self.n_particles, int(self.target.dim))
        if position is None:
            positions = as_generator(rng).standard_normal(shape)
        else:
            positions = as_float_array(position, "position", shape=shape, dtype=np.float64).copy()
        prior = PCN(self.target, temperature=0.0)
        misfits = np.array([prior.init(own).misfit for own in positions])
        if not np.isfinite(misfits).any():
            raise ValueError(
                f"none of the {shape[0]} particles from the prior has a finite misfit; raise n_particles, or look at the "
                "prior's scales"
            )
        return SMCState(positions, misfits, 0.0, 0.0, self.beta, 0)

    def step(self, rng: RandomState, state: SMCState) -> tuple[SMCState, SMCInfo]:
        """Make one stage; at t = 1 only the moves are left to make.

        Parameters
        ----------
        rng : int, SeedSequence, Generator, Key or None
        state : SMCState

        Returns
        -------
        SMCState, SMCInfo
        """
        generator = as_generator(rng)
        increment = self._increment(state)
        temperature = 1.0 if increment == 1.0 - state.temperature else state.temperature + increment
        weights = _weights(state.misfits, increment)
        gain = math.log(weights.mean()) - increment * float(state.misfits.min())
        chosen = _resample(weights, generator.random()) if increment else np.arange(self.n_particles)
        positions, misfits = state.positions[chosen], state.misfits[chosen]
        before = misfits.copy()
        moves, accepted = PCN(self.target, temperature=temperature), 0
        for i in range(self.n_particles):
            start = PCNState(positions[i], float(misfits[i]), state.beta, 0)
            moved, last = moves.run(generator, start, self.n_moves)
            positions[i], misfits[i] = moved.position, moved.misfit
            accepted += last.n_accepted
        rate = accepted / (self.n_particles * self.n_moves)
        beta = float(np.clip(state.beta * np.clip(rate / _TARGET_RATE, *_BETA_CHANGE), *_BETA_RANGE))
        correlation = _correlation(before, misfits)
        new = SMCState(
            positions, misfits, temperature, state.log_evidence + gain, beta, state.n_stages + 1,
            max(state.correlation, correlation),
        )  # fmt: skip
        return new, SMCInfo(increment, _effective(weights), rate, len(np.unique(chosen)), correlation)

    def run(self, rng: RandomState, state: SMCState, n: int | None = None) -> tuple[SMCState, SMCInfo]:
        """Make n stages, or all that are left until t = 1.

        Parameters
        ----------
        rng : int, SeedSequence, Generator, Key or None
        state : SMCState
        n : int, optional

        Returns
        -------
        SMCState, SMCInfo
            The info is that of the last stage; of no stage where the state is at t = 1 already.

        Warns
        -----
        ConvergenceWarning
            Where t = 1 is reached and the largest ``correlation`` of a stage is above 0.5.
        """
        generator = as_generator(rng)
        begun = state.n_stages
        info = SMCInfo(0.0, float(self.n_particles), float("nan"), self.n_particles, float("nan"))
        left = None if n is None else check_positive_int(n, "n", 0)
        while state.temperature < 1.0 if left is None else left > 0:
            state, info = self.step(generator, state)
            left = None if left is None else left - 1
        if state.n_stages > begun and state.temperature == 1.0 and state.correlation > _FORGOTTEN:
            warnings.warn(
                f"SMC: in one stage the misfits of the particles before and after the moves have rank correlation "
                f"{state.correlation:.2f}, above {_FORGOTTEN:g}: they have hardly moved, and log_evidence may be too low by "
                f"far more than independent runs differ. Raise n_moves = {self.n_moves}, sample posterior.collapse() where "
                "the last layer is Gaussian, and compare the evidence with that of ParallelTempering",
                ConvergenceWarning,
                stacklevel=2,
            )
        return state, info

    def _increment(self, state: SMCState) -> float:
        """Return the largest increment of t that keeps the share of the effective sample size."""
        rest = 1.0 - state.temperature
        # Particles of infinite misfit weigh nothing after any increment.
        wanted = self.share * np.isfinite(state.misfits).sum()
        if rest == 0.0 or _effective(_weights(state.misfits, rest)) >= wanted:
            return rest
        low, high = 0.0, rest
        for _ in range(_HALVINGS):
            middle = math.sqrt(low * high) if low > 0.0 else 0.5 * high
            if middle in (low, high):
                break
            if _effective(_weights(state.misfits, middle)) >= wanted:
                low = middle
            else:
                high = middle
        # Where even the least increment leaves less, it is taken: t must grow.
        return low if state.temperature + low > state.temperature else float(np.spacing(state.temperature))

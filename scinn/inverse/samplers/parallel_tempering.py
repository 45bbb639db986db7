"""Parallel tempering: chains at several temperatures that swap places, with the evidence.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), 2022, arXiv 2112.10663, sample ``exp(-Phi)`` with respect to the prior ``N(0, I)``, which has many modes: jumps may be
made by any unit. Chains with densities ``exp(-t_k Phi)``, ``0 = t_1 < ... < t_K = 1``, cross between modes where t is small,
and hand what they find down to t = 1. Neighbours i, j swap positions with probability
``min(1, exp((t_i - t_j)(Phi_i - Phi_j)))``; at t = 0 every draw is a new one from the prior.

Evidence ``Z = E exp(-Phi)`` under the prior, with ``E_t`` the mean at temperature t::

    log Z = -int_0^1 E_t[Phi] dt                                      thermodynamic integration
    log Z = sum_k log E_{t_k} exp(-(t_{k+1} - t_k) Phi)               stepping stones
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from scinn._input import as_float_array, check_in_range, check_positive_int
from scinn.inverse.samplers.contract import InfiniteMisfitError, check_target
from scinn.inverse.samplers.pcn import PCN
from scinn.random import RandomState, as_generator

__all__ = ["Evidence", "ParallelTempering", "ParallelTemperingInfo", "ParallelTemperingState", "power_ladder"]

_SWAP_RATE = 0.3
_FIRST_LADDER = 10
# The ladder is renewed after so many steps of the warm-up, and then each time they have doubled.
_FIRST_RENEWAL = 25
_N_BATCHES = 32
# What belongs to a position, and moves with it in a swap; the rest of a state belongs to its temperature.
_OF_POSITION = ("position", "misfit", "gradient")


class Sums(NamedTuple):
    """Sums of the misfits of each temperature, in batches; two batches become one as the run grows.

    Parameters
    ----------
    first, second : ndarray, shape (n_batches, K)
        Of the misfit and its square.
    weights : ndarray, shape (n_batches, K - 1)
        Logarithm of the sum of ``exp(-(t_{k+1} - t_k) Phi_k)``.
    length : int
        Steps of a full batch.
    n : int
        Steps in all.
    """

    first: np.ndarray
    second: np.ndarray
    weights: np.ndarray
    length: int
    n: int


class ParallelTemperingState(NamedTuple):
    """Where the chains are.

    Parameters
    ----------
    position : ndarray of float64, shape (dim,)
        Of the chain at the largest t: the posterior's.
    misfit : float
    chains : tuple of NamedTuple, length K
        States of the samplers, one for each temperature, with their step sizes.
    temperatures : ndarray of float64, shape (K,)
        Inverse temperatures t, increasing.
    n_steps, n_adapted : int
        Steps in all, and those in which something was adapted.
    swap_sums : ndarray of float64, shape (K - 1,)
        Sum of the probabilities of the swaps that were tried.
    swap_tries : ndarray of int64, shape (K - 1,)
    sums : Sums
        Since the warm-up.
    """

    position: np.ndarray
    misfit: float
    chains: tuple[Any, ...]
    temperatures: np.ndarray
    n_steps: int
    n_adapted: int
    swap_sums: np.ndarray
    swap_tries: np.ndarray
    sums: Sums

    @property
    def positions(self) -> np.ndarray:
        """Positions of all chains, shape (K, dim)."""
        return np.array([chain.position for chain in self.chains])

    @property
    def misfits(self) -> np.ndarray:
        """Misfits of all chains, shape (K,)."""
        return np.array([chain.misfit for chain in self.chains])

    @property
    def swap_rates(self) -> np.ndarray:
        """Mean probability of a swap, of each pair of neighbours; NaN where none was tried."""
        return np.divide(
            self.swap_sums,
            self.swap_tries,
            out=np.full(len(self.swap_sums), np.nan),
            where=self.swap_tries > 0,
        )


class ParallelTemperingInfo(NamedTuple):
    """What the last steps did.

    Parameters
    ----------
    acceptance_rate : float
        Of the moves at t = 1.
    acceptance_rates : ndarray of float64, shape (K,)
        Of the moves at each temperature.
    swap_rates : ndarray of float64, shape (K - 1,)
        Mean probability of a swap; NaN where none was tried.
    """

    acceptance_rate: float
    acceptance_rates: np.ndarray
    swap_rates: np.ndarray


@dataclass(frozen=True)
class Evidence:
    """Estimates of ``log Z``.

    Parameters
    ----------
    thermodynamic : float
        By the trapezoid rule over the temperatures; minus infinity where a draw from the prior had an infinite misfit. Where
        the misfit has no mean under the prior the integral does not exist, and this is a finite number that means nothing,
        with an error that does not tell: use `stepping_stone`.
    thermodynamic_error : float
        Its standard error.
    quadrature_error : float
        The next term of the trapezoid rule, from the variances: ``|sum dt^2 (Var_t - Var_{t+dt}) / 12|``.
    stepping_stone : float
        Has no quadrature error, and exists for every prior.
    stepping_stone_error : float
        Its standard error, from this run alone, as the other one: too small where the run has not mixed.
    temperatures, mean_misfit : tuple of float
        What was integrated.
    n_steps : int
        Steps since the warm-up.
    """

    thermodynamic: float
    thermodynamic_error: float
    quadrature_error: float
    stepping_stone: float
    stepping_stone_error: float
    temperatures: tuple[float, ...]
    mean_misfit: tuple[float, ...]
    n_steps: int

    def __repr__(self) -> str:
        return (
            f"Evidence(log Z = {self.stepping_stone:.4g} ± {self.stepping_stone_error:.2g} by stepping stones, "
            f"{self.thermodynamic:.4g} ± {self.thermodynamic_error:.2g} (quadrature ± {self.quadrature_error:.2g}) by "
            f"thermodynamic integration, {self.n_steps} steps)"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the estimates as JSON values; what is not finite becomes None."""

        def plain(value: Any) -> Any:
            if isinstance(value, tuple):
                return [plain(part) for part in value]
            return value if isinstance(value, int) or math.isfinite(value) else None

        return {name: plain(value) for name, value in asdict(self).items()}


def power_ladder(n: int, power: float = 5.0) -> np.ndarray:
    """Return inverse temperatures ``(k / (n - 1))^power``, dense near the prior, where the misfit changes fastest.

    Parameters
    ----------
    n : int
        At least 2.
    power : float, default 5

    Returns
    -------
    ndarray of float64, shape (n,)

    References
    ----------
    N. Friel, A. Pettitt, "Marginal likelihood estimation via power posteriors", JRSS B 70, 2008.

    Examples
    --------
    >>> power_ladder(3, 2.0)
    array([0.  , 0.25, 1.  ])
    """
    n = check_positive_int(n, "n", 2)
    power = check_in_range(power, "power", 1.0)
    return (np.arange(n) / (n - 1)) ** power


def swap_probability(t_a: float, t_b: float, misfit_a: float, misfit_b: float) -> float:
    """Return ``min(1, exp((t_a - t_b)(Phi_a - Phi_b)))``; two infinite misfits are as good as each other."""
    if misfit_a == misfit_b:
        return 1.0
    return math.exp(min(0.0, (t_a - t_b) * (misfit_a - misfit_b)))


def _empty_sums(n_temperatures: int) -> Sums:
    shape = (_N_BATCHES, n_temperatures)
    return Sums(np.zeros(shape), np.zeros(shape), np.full((_N_BATCHES, n_temperatures - 1), -np.inf), 1, 0)


def _add(sums: Sums, misfits: np.ndarray, temperatures: np.ndarray) -> Sums:
    first, second, weights = sums.first.copy(), sums.second.copy(), sums.weights.copy()
    length, batch = sums.length, sums.n // sums.length
    if batch == _N_BATCHES:
        half = _N_BATCHES // 2
        for part in (first, second):
            part[:half] = part[0::2] + part[1::2]
            part[half:] = 0.0
        weights[:half] = np.logaddexp(weights[0::2], weights[1::2])
        weights[half:] = -np.inf
        length, batch = 2 * length, half
    first[batch] += misfits
    # The square of a large misfit may be infinite, and so may be its variance.
    with np.errstate(over="ignore"):
        second[batch] += misfits**2
    weights[batch] = np.logaddexp(weights[batch], -np.diff(temperatures) * misfits[:-1])
    return Sums(first, second, weights, length, sums.n + 1)


class ParallelTempering:
    """Chains at several temperatures, with swaps between neighbours.

    Parameters
    ----------
    target : Posterior or any object with ``dim`` and ``misfit``
    n_temperatures : int, optional
        Number of temperatures from 0 to 1. The warm-up spaces them such that all neighbours swap equally often. By default
        it also chooses the number, such that they swap at 20 to 40 % of the tries.
    temperatures : array-like, shape (K,), optional
        Fixed inverse temperatures, increasing, ending in 1, in place of `n_temperatures`.
    n_moves : int, default 5
        Steps at each temperature between tries of swaps; a draw at t = 0 needs none.
    sampler : callable, default PCN
        ``sampler(target, temperature=t)`` makes the moves, a class or ``functools.partial(InfHMC, step_size=0.1)``; the
        warm-up adapts a step size for each temperature.
    max_temperatures : int, default 64
        The most that the warm-up chooses.

    Raises
    ------
    TypeError, ValueError
        For arguments out of range, or temperatures that do not increase to 1.

    Notes
    -----
    A step leaves the joint law of all chains invariant, not that of the position at t = 1 alone: the first steps from
    :meth:`init` depend on where the other chains began.

    The standard errors of the evidence come from batches of one run. Where the chains have not mixed in that time, batches
    agree with each other and the errors are several times too small: estimates of -97.7 with error 0.55 and of -102.3 with
    error 0.46 have come from two runs on one network posterior. Judge by several runs with seeds of their own, and where
    the last layer is Gaussian integrate it out, ``ParallelTempering(posterior.collapse())``, which has the same evidence
    and mixes faster.

    References
    ----------
    C. Geyer, "Markov chain Monte Carlo maximum likelihood", 1991 (swaps). S. Syed, A. Bouchard-Cote, G. Deligiannidis,
    A. Doucet, "Non-reversible parallel tempering: a scalable highly parallel MCMC scheme", JRSS B 84, 2022 (even and odd
    pairs in turn, equal rates). W. Xie et al., "Improving marginal likelihood estimation for Bayesian phylogenetic model
    selection", 2011 (stepping stones). N. Friel, M. Hurn, J. Wyse, "Improving power posterior estimation of statistical
    evidence", 2014 (error of the trapezoid rule).

    Examples
    --------
    >>> import numpy as np
    >>> class Data:
    ...     dim = 1
    ...     def misfit(self, xi, stop_above=np.inf):
    ...         return 0.5 * float((xi[0] - 1.0) ** 2)
    >>> sampler = ParallelTempering(Data(), n_temperatures=6)
    >>> state = sampler.init(np.zeros(1), rng := np.random.default_rng(0))
    >>> state = sampler.warmup(rng, state, 200)
    >>> state, info = sampler.run(rng, state, 1000)
    >>> bool(abs(sampler.log_evidence(state).stepping_stone - (-0.25 - 0.5 * np.log(2))) < 0.1)
    True
    """

    def __init__(
        self,
        target: Any,
        *,
        n_temperatures: int | None = None,
        temperatures: Any = None,
        n_moves: int = 5,
        sampler: Callable[..., Any] = PCN,
        max_temperatures: int = 64,
    ) -> None:
        check_target(target, "ParallelTempering")
        if not callable(sampler):
            raise TypeError(f"sampler is a {type(sampler).__name__}; a class such as PCN is wanted")
        if temperatures is not None and n_temperatures is not None:
            raise ValueError("temperatures and n_temperatures both came; pass one of them")
        self.target = target
        self.n_temperatures = (
            None if n_temperatures is None else check_positive_int(n_temperatures, "n_temperatures", 2)
        )
        self.temperatures = None if temperatures is None else _ladder(temperatures)
        self.n_moves = check_positive_int(n_moves, "n_moves")
        self.sampler = sampler
        self.max_temperatures = check_positive_int(max_temperatures, "max_temperatures", 2)
        # Fails here, if it does, and not in the middle of a run.
        self._made = repr(sampler(target, temperature=1.0))

    def __repr__(self) -> str:
        ladder = (
            f"temperatures={self.temperatures.tolist()}"
            if self.temperatures is not None
            else f"n_temperatures={self.n_temperatures}"
        )
        return f"ParallelTempering({ladder}, n_moves={self.n_moves}, sampler={self._made})"

    def init(self, position: Any, rng: RandomState = None) -> ParallelTemperingState:
        """Begin all chains at one position, that at t = 0 at a draw from the prior.

        Parameters
        ----------
        position : array-like, shape (dim,)
        rng : int, SeedSequence, Generator, Key or None

        Returns
        -------
        ParallelTemperingState
        """
        own = as_float_array(position, "position", shape=(int(self.target.dim),), dtype=np.float64)
        if self.temperatures is not None:
            ladder = self.temperatures.copy()
        else:
            ladder = power_ladder(
                min(_FIRST_LADDER, self.max_temperatures)
                if self.n_temperatures is None
                else self.n_temperatures
            )
        n = len(ladder)
        chains = [sampler.init(own) for sampler in self._samplers(ladder)]
        if ladder[0] == 0.0:
            first = self.sampler(self.target, temperature=0.0)
            chains[0] = _prior_draw(first, chains[0], as_generator(rng).standard_normal(len(own)))
        return ParallelTemperingState(
            chains[-1].position, float(chains[-1].misfit), tuple(chains), ladder, 0, 0, np.zeros(n - 1),
            np.zeros(n - 1, dtype=np.int64), _empty_sums(n),
        )  # fmt: skip

    def step(
        self, rng: RandomState, state: ParallelTemperingState
    ) -> tuple[ParallelTemperingState, ParallelTemperingInfo]:
        """Move every chain, then try to swap the even or, in turn, the odd pairs of neighbours.

        Parameters
        ----------
        rng : int, SeedSequence, Generator, Key or None
        state : ParallelTemperingState

        Returns
        -------
        ParallelTemperingState, ParallelTemperingInfo
        """
        return self.run(rng, state, 1)

    def run(
        self, rng: RandomState, state: ParallelTemperingState, n: int
    ) -> tuple[ParallelTemperingState, ParallelTemperingInfo]:
        """Make n steps.

        Parameters
        ----------
        rng : int, SeedSequence, Generator, Key or None
        state : ParallelTemperingState
        n : int

        Returns
        -------
        ParallelTemperingState, ParallelTemperingInfo
        """
        generator = as_generator(rng)
        n = check_positive_int(n, "n", 0)
        before_sums, before_tries = state.swap_sums, state.swap_tries
        rates = np.zeros(len(state.temperatures))
        samplers = self._samplers(state.temperatures)
        for _ in range(n):
            state, rate = self._step(generator, state, samplers, False)
            rates += rate
        rates = rates / n if n else np.full(len(rates), np.nan)
        tries = state.swap_tries - before_tries
        swaps = np.divide(
            state.swap_sums - before_sums, tries, out=np.full(len(tries), np.nan), where=tries > 0
        )
        return state, ParallelTemperingInfo(float(rates[-1]), rates, swaps)

    def warmup(self, rng: RandomState, state: ParallelTemperingState, n: int) -> ParallelTemperingState:
        """Make n steps in which step sizes and temperatures adapt; what the evidence is made of begins anew.

        Parameters
        ----------
        rng : int, SeedSequence, Generator, Key or None
        state : ParallelTemperingState
        n : int

        Returns
        -------
        ParallelTemperingState
            Warming up in parts gives the bits of warming up at once.
        """
        generator = as_generator(rng)
        samplers = self._samplers(state.temperatures)
        for _ in range(check_positive_int(n, "n", 0)):
            state, _ = self._step(generator, state, samplers, True)
            state = state._replace(n_adapted=state.n_adapted + 1)
            done = state.n_adapted / _FIRST_RENEWAL
            if self.temperatures is None and done >= 1.0 and math.log2(done).is_integer():
                state = self._renew(state)
                samplers = self._samplers(state.temperatures)
        return state._replace(sums=_empty_sums(len(state.temperatures)))

    def log_evidence(self, state: ParallelTemperingState) -> Evidence:
        """Estimate ``log Z`` from the steps since the warm-up.

        Parameters
        ----------
        state : ParallelTemperingState

        Returns
        -------
        Evidence
            Standard errors are from batch means, of up to 32 batches of consecutive steps of this one run. They are several
            times too small where it has not mixed: compare several runs.

        Raises
        ------
        ValueError
            Where the temperatures do not begin at 0, or nothing was sampled yet.
        """
        sums, t = state.sums, state.temperatures
        if t[0] != 0.0:
            raise ValueError(
                f"the temperatures begin at {t[0]:g}; the evidence needs a chain at 0, the prior"
            )
        if sums.n == 0:
            raise ValueError("no steps since the warm-up; run the sampler first")
        widths = np.diff(t)
        mean = sums.first.sum(axis=0) / sums.n
        log_means = np.logaddexp.reduce(sums.weights, axis=0) - math.log(sums.n)
        full = sums.n // sums.length
        batch_means = sums.first[:full] / sums.length
        with np.errstate(invalid="ignore", over="ignore"):
            variance = sums.second.sum(axis=0) / sums.n - mean**2
            correction = abs(float(np.sum(widths**2 * (variance[:-1] - variance[1:])) / 12.0))
            thermodynamic = -float(np.sum(widths * (mean[:-1] + mean[1:])) / 2.0)
            per_batch = (batch_means[:, :-1] + batch_means[:, 1:]) @ widths / 2.0
            # The logarithm of a mean, to first order: the sum over stones of relative deviations.
            relative = np.exp(sums.weights[:full] - math.log(sums.length) - log_means).sum(axis=1)
        return Evidence(
            thermodynamic,
            _standard_error(per_batch),
            correction if math.isfinite(correction) else math.inf,
            float(log_means.sum()),
            _standard_error(relative),
            tuple(t.tolist()),
            tuple(mean.tolist()),
            sums.n,
        )

    def _samplers(self, temperatures: np.ndarray) -> list[Any]:
        return [self.sampler(self.target, temperature=float(t)) for t in temperatures]

    def _step(
        self, rng: np.random.Generator, state: ParallelTemperingState, samplers: list[Any], adapt: bool
    ) -> tuple[ParallelTemperingState, np.ndarray]:
        t, chains = state.temperatures, list(state.chains)
        rates = np.ones(len(t))
        for k, sampler in enumerate(samplers):
            if t[k] == 0.0:
                chains[k] = _prior_draw(sampler, chains[k], rng.standard_normal(len(state.position)))
            elif adapt:
                chains[k] = sampler.warmup(rng, chains[k], self.n_moves)
            else:
                chains[k], info = sampler.run(rng, chains[k], self.n_moves)
                rates[k] = info.acceptance_rate
        misfits = np.array([chain.misfit for chain in chains])
        sums = _add(state.sums, misfits, t)
        swap_sums, swap_tries = state.swap_sums.copy(), state.swap_tries.copy()
        for k in range(state.n_steps % 2, len(t) - 1, 2):
            chance = swap_probability(t[k], t[k + 1], float(misfits[k]), float(misfits[k + 1]))
            swap_sums[k] += chance
            swap_tries[k] += 1
            if rng.random() < chance:
                chains[k], chains[k + 1] = (
                    _with_position(chains[k], chains[k + 1]),
                    _with_position(chains[k + 1], chains[k]),
                )
        new = ParallelTemperingState(
            chains[-1].position, float(chains[-1].misfit), tuple(chains), t, state.n_steps + 1, state.n_adapted,
            swap_sums, swap_tries, sums,
        )  # fmt: skip
        return new, rates

    def _renew(self, state: ParallelTemperingState) -> ParallelTemperingState:
        """Space the temperatures at equal distances, in units of how hard neighbours are to swap."""
        ladder = _equal_rates(
            state.temperatures, state.swap_rates, self.n_temperatures, self.max_temperatures
        )
        # A new temperature goes on from the nearest of the old ones, nearest in the power that spaces them.
        old, new = state.temperatures**0.2, ladder**0.2
        source = np.abs(new[:, None] - old[None, :]).argmin(axis=1)
        if not math.isfinite(state.chains[0].misfit):
            # A draw from the prior may have an infinite misfit, from which no gradient leads away.
            source = np.maximum(source, 1)
        source[0], source[-1] = 0, len(old) - 1
        n = len(ladder)
        return state._replace(
            chains=tuple(state.chains[i] for i in source),
            temperatures=ladder,
            swap_sums=np.zeros(n - 1),
            swap_tries=np.zeros(n - 1, dtype=np.int64),
            sums=_empty_sums(n),
        )


def _prior_draw(sampler: Any, chain: Any, position: np.ndarray) -> Any:
    """Return the state of the chain at t = 0 at a draw from the prior, be its misfit infinite."""
    try:
        return sampler.init(position)
    except InfiniteMisfitError:
        # Methods with gradients refuse to move from here, but nothing is moved at t = 0, and no swap is accepted.
        nothing = {"gradient": np.full_like(chain.gradient, np.nan)} if "gradient" in chain._fields else {}
        return chain._replace(position=position, misfit=math.inf, **nothing)


def _with_position(chain: Any, other: Any) -> Any:
    """Return the state of a chain at the position of another."""
    return chain._replace(**{name: getattr(other, name) for name in _OF_POSITION if name in chain._fields})


def _ladder(temperatures: Any) -> np.ndarray:
    own = as_float_array(temperatures, "temperatures", ndim=1, dtype=np.float64)
    if len(own) < 2 or own[0] < 0.0 or own[-1] != 1.0 or np.any(np.diff(own) <= 0.0):
        raise ValueError(
            f"temperatures is {own.tolist()}; at least two inverse temperatures are wanted, from 0 or above, increasing to "
            "1, for example power_ladder(10)"
        )
    return own


def _distance(rate: np.ndarray) -> np.ndarray:
    """Return how far apart two temperatures are that swap at a rate: of Gaussian misfits, ``rate = erfc(distance / 2)``."""
    from scipy.special import erfcinv

    return 2.0 * erfcinv(np.clip(rate, 1e-3, 1.0 - 1e-3))


def _equal_rates(t: np.ndarray, rates: np.ndarray, n: int | None, most: int) -> np.ndarray:
    reached = np.concatenate([[0.0], np.cumsum(_distance(np.where(np.isnan(rates), 1.0, rates)))])
    if n is None:
        steps = round(float(reached[-1] / _distance(np.array(_SWAP_RATE))))
        n = int(np.clip(steps + 1, 2, most))
    # Linear in the fifth root, in which a power ladder is even.
    ladder = np.interp(np.linspace(0.0, reached[-1], n), reached, t**0.2) ** 5.0
    ladder[0], ladder[-1] = t[0], 1.0
    return ladder


def _standard_error(batches: np.ndarray) -> float:
    if len(batches) < 2:
        return math.inf
    with np.errstate(invalid="ignore"):
        error = float(np.std(batches, ddof=1) / math.sqrt(len(batches)))
    return error if math.isfinite(error) else math.inf

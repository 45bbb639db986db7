"""The check of the sampler contract: does a transition leave its target invariant?"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from scinn.random import Key, RandomState
from scinn.verify.arrays import same_bits
from scinn.verify.replay import seed_of
from scinn.verify.result import CheckResult, replay_source

__all__ = ["check_invariance"]

Draw = Callable[[np.random.Generator], np.ndarray]
Functions = Mapping[str, Callable[..., float]]

_METHODS = ("known", "geweke", "sbc")
# Exact draws for each replicate of the chain: they are cheap, and halve the noise of the comparison.
_N_EXACT = 4


def check_invariance(
    sampler: Any,
    *,
    draw: Draw,
    simulate: Callable[[np.random.Generator, np.ndarray], Any] | None = None,
    method: str | None = None,
    functions: Functions | None = None,
    moments: Mapping[str, float] | None = None,
    n_replicates: int = 400,
    n_steps: int = 10,
    n_inner: int = 1,
    n_draws: int = 19,
    n_warmup: int = 100,
    alpha: float = 1e-5,
    rng: RandomState = 0,
) -> CheckResult:
    """Check that a sampler's step leaves its target distribution invariant.

    The samplers of :mod:`scinn.inverse` and a user's own are checked alike.

    Parameters
    ----------
    sampler : Sampler, or callable
        With ``state = init(position, rng)`` and ``state, info = step(rng, state)``, states having ``position``;
        for "geweke" and "sbc" a callable ``sampler(data)`` that returns the sampler of the posterior.
    draw : callable
        ``draw(rng) -> position``: exact draws of the target ("known"), or of the prior.
    simulate : callable, optional
        ``simulate(rng, position) -> data``, the likelihood; needed for "geweke" and "sbc".
    method : {"known", "geweke", "sbc"}, optional
        By default "geweke" where `simulate` is given, else "known".
    functions : mapping of str to callable, optional
        Test functions of the position; by default every coordinate (at most eight) and the squared norm. For
        "sbc" and "geweke" a function that needs two arguments is called with position and data: a function of the
        data finds samplers that ignore them.
    moments : mapping of str to float, optional
        Known means of some of the functions under `draw`'s distribution; they are then tested as well.
    n_replicates : int, default 400
        Independent repetitions.
    n_steps : int, default 10
        Steps of the chain ("known"), rounds of data and step ("geweke"), or steps between draws ("sbc").
    n_inner : int, default 1
        Steps in each round of "geweke". Several are cheaper than as many rounds where ``sampler(data)`` is slow.
    n_draws : int, default 19
        Draws among which the truth is ranked ("sbc").
    n_warmup : int, default 100
        Steps before the first draw ("sbc"), by the sampler's own ``warmup(rng, state, n)`` where it has one.
    alpha : float, default 1e-5
        Probability of failing a correct sampler, over all tests together.
    rng : int, SeedSequence, Generator, Key or None

    Returns
    -------
    CheckResult
        The error is the largest z-score over functions and tests; the tolerance is the one that `alpha` allows.

    Raises
    ------
    TypeError
        Where `sampler` has neither ``step`` nor is callable.
    ValueError
        For an unknown method, a missing `simulate`, or too few replicates.

    Notes
    -----
    "known": each replicate starts from an exact draw, makes `n_steps` steps, and the last position must again be
    distributed as the target. "geweke": position from the prior, data given it, then rounds of steps given the
    data and new data given the position: the position must stay distributed as the prior. Both compare
    independent replicates with four times as many exact draws, so that no autocorrelation has to be estimated: mean
    and mean square by z-tests, the whole distribution by Kolmogorov-Smirnov. "sbc": the rank of the true position
    among draws of its posterior must be uniform (chi-square). Where the sampler has a fused ``run(rng, state, n)``
    it must give the bits of n single steps, and is then used for all longer runs. A sampler that never stops
    adapting fails where that changes the law of its draws. A bias smaller than the noise of `n_replicates` repetitions
    passes: raise it, and `n_steps`, for a sharper verdict.

    References
    ----------
    J. Geweke, "Getting it right", JASA 2004. S. Talts, M. Betancourt, D. Simpson, A. Vehtari, A. Gelman,
    "Validating Bayesian inference algorithms with simulation-based calibration", 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.verify import check_invariance
    >>> from scinn.verify.toys import GaussianWalk
    >>> def prior(rng):
    ...     return rng.standard_normal(2)
    >>> def likelihood(rng, position):
    ...     return position + rng.standard_normal(2)
    >>> bool(check_invariance(GaussianWalk, draw=prior, simulate=likelihood, n_replicates=100))
    True

    A sampler written by hand, preconditioned Crank-Nicolson, right with a proposal that shrinks the position and wrong
    without:

    >>> from typing import NamedTuple
    >>> class State(NamedTuple):
    ...     position: np.ndarray
    >>> class MyCrankNicolson:
    ...     def __init__(self, data, keep=np.sqrt(1 - 0.8**2)):
    ...         self.data, self.keep = data, keep
    ...     def init(self, position, rng=None):
    ...         return State(np.asarray(position))
    ...     def misfit(self, u):
    ...         return 0.5 * np.sum((self.data - u) ** 2)
    ...     def step(self, rng, state):
    ...         u = state.position
    ...         v = self.keep * u + 0.8 * rng.standard_normal(u.shape)
    ...         accepted = np.log(rng.random()) <= self.misfit(u) - self.misfit(v)
    ...         return State(v if accepted else u), {"accepted": accepted}
    >>> options = {"draw": prior, "simulate": likelihood, "n_replicates": 200, "n_inner": 3}
    >>> bool(check_invariance(MyCrankNicolson, **options))
    True
    >>> bool(check_invariance(lambda data: MyCrankNicolson(data, keep=1.0), **options))
    False
    """
    method = method or ("geweke" if simulate is not None else "known")
    _validate(sampler, simulate, method, n_replicates)
    if n_inner < 1:
        raise ValueError(f"n_inner must be at least 1, got {n_inner}")
    seed = seed_of(rng)
    key = Key(seed)
    name = f"invariance ({method}) of {getattr(sampler, '__name__', type(sampler).__name__)}"
    replay = replay_source(
        "check_invariance(sampler, **options)",
        ("from scinn.verify import check_invariance",),
        sampler=sampler,
        options={
            "draw": draw,
            "simulate": simulate,
            "method": method,
            "functions": functions,
            "moments": moments,
            "n_replicates": n_replicates,
            "n_steps": n_steps,
            "n_inner": n_inner,
            "n_draws": n_draws,
            "n_warmup": n_warmup,
            "alpha": alpha,
            "rng": seed,
        },
    )
    example: dict[str, Any] = {"rng": seed}
    problem = _fused_run_differs(sampler, draw, simulate, key.child("run"))
    if problem:
        return CheckResult(name, False, np.inf, 0.0, example, problem, replay=replay)
    tests = functions if functions is not None else _default_functions(draw(key.child("shape").generator()))
    if method == "sbc":
        assert simulate is not None
        ranks = _ranks(sampler, draw, simulate, tests, n_replicates, n_steps, n_draws, n_warmup, key)
        scores = {f"rank of {label}": _uniformity(rank, n_draws) for label, rank in ranks.items()}
        example.update({f"ranks of {label}": rank for label, rank in ranks.items()})
    else:
        last, fresh = _replicate(sampler, draw, simulate, tests, n_replicates, n_steps, n_inner, key)
        scores = _compare(last, fresh, moments or {})
        example.update({f"last {label}": values for label, values in last.items()})
    return _verdict(name, scores, alpha, example, replay)


def _verdict(
    name: str, scores: dict[str, float], alpha: float, example: dict[str, Any], replay: str | None
) -> CheckResult:
    from scipy.stats import norm

    tolerance = float(norm.isf(alpha / (2 * max(1, len(scores)))))
    worst = max(scores, key=lambda label: scores[label])
    detail = f"{worst} is {scores[worst]:.3g} standard errors away ({len(scores)} tests)"
    return CheckResult(
        name,
        bool(scores[worst] <= tolerance),
        float(scores[worst]),
        tolerance,
        example,
        detail,
        replay=replay,
    )


def _validate(sampler: Any, simulate: Any, method: str, n_replicates: int) -> None:
    if method not in _METHODS:
        raise ValueError(f"method must be one of {', '.join(_METHODS)}, got {method!r}")
    if method == "known":
        for needed in ("init", "step"):
            if not callable(getattr(sampler, needed, None)):
                raise TypeError(
                    f"sampler is a {type(sampler).__name__} without {needed!r}; wanted init and step"
                )
        if isinstance(sampler, type):
            raise TypeError("sampler is a class; for method='known' pass an object of it")
    elif simulate is None:
        raise ValueError(f"method={method!r} needs simulate(rng, position) -> data")
    elif not callable(sampler):
        raise TypeError(f"for method={method!r} sampler must be a callable data -> sampler")
    if n_replicates < 20:
        raise ValueError(
            f"n_replicates must be at least 20 for the tests to mean anything, got {n_replicates}"
        )


def _default_functions(position: np.ndarray) -> dict[str, Callable[..., float]]:
    size = np.size(position)

    def coordinate(i: int) -> Callable[..., float]:
        return lambda position: float(np.ravel(position)[i])

    chosen = range(size) if size <= 8 else np.linspace(0, size - 1, 8).astype(int)
    tests = {f"position[{i}]": coordinate(int(i)) for i in chosen}
    tests["squared norm"] = lambda position: float(np.sum(np.square(position)))
    return tests


def _value(function: Callable[..., float], position: np.ndarray, data: Any) -> float:
    takes_data = data is not None and _n_wanted(function) >= 2
    return float(function(position, data) if takes_data else function(position))


def _n_wanted(function: Callable[..., float]) -> int:
    """Return how many arguments have to be passed; a default, as of ``lambda position, i=3``, is no place for data."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 1
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(own.kind in positional and own.default is inspect.Parameter.empty for own in parameters)


def _walk(own: Any, rng: np.random.Generator, state: Any, n: int) -> Any:
    """Return the state after n steps, by the fused run where there is one."""
    if n > 1 and callable(getattr(own, "run", None)):
        return _state_of(own.run(rng, state, n))
    for _ in range(n):
        state, _ = own.step(rng, state)
    return state


def _state_of(outcome: Any) -> Any:
    """Return the state of a run's result, which may be the state alone, or the state with what was recorded."""
    return outcome if hasattr(outcome, "position") else outcome[0]


def _replicate(
    sampler: Any,
    draw: Draw,
    simulate: Any,
    tests: Functions,
    n_replicates: int,
    n_steps: int,
    n_inner: int,
    key: Key,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the test functions at the end of independent chains, and at as many exact draws."""
    last = {label: np.empty(n_replicates) for label in tests}
    fresh = {label: np.empty(_N_EXACT * n_replicates) for label in tests}
    for replicate in range(n_replicates):
        rng = key.child("chain", replicate).generator()
        position = draw(rng)
        data = None
        if simulate is None:
            position = _walk(sampler, rng, sampler.init(position, rng), n_steps).position
        else:
            data = simulate(rng, position)
            for _ in range(n_steps):
                conditional = sampler(data)
                position = _walk(conditional, rng, conditional.init(position, rng), n_inner).position
                data = simulate(rng, position)
        for label, function in tests.items():
            last[label][replicate] = _value(function, position, data)
    rng = key.child("exact").generator()
    for replicate in range(_N_EXACT * n_replicates):
        position = draw(rng)
        data = None if simulate is None else simulate(rng, position)
        for label, function in tests.items():
            fresh[label][replicate] = _value(function, position, data)
    return last, fresh


def _compare(
    last: dict[str, np.ndarray], fresh: dict[str, np.ndarray], moments: Mapping[str, float]
) -> dict[str, float]:
    from scipy.stats import ks_2samp

    scores = {}
    for label, values in last.items():
        exact = fresh[label]
        scores[f"mean of {label}"] = _two_sample(values, exact)
        # Centred by the pooled median, so that a shift does not hide a change of spread.
        centre = np.median(np.concatenate([values, exact]))
        scores[f"spread of {label}"] = _two_sample(np.abs(values - centre), np.abs(exact - centre))
        scores[f"distribution of {label}"] = _as_z(ks_2samp(values, exact).pvalue)
        if label in moments:
            error = np.std(values, ddof=1) / np.sqrt(len(values))
            ratio = _ratio(abs(np.mean(values) - moments[label]), error)
            scores[f"known mean of {label}"] = _studentised(ratio, len(values))
    return scores


def _two_sample(first: np.ndarray, second: np.ndarray) -> float:
    error = np.sqrt(np.var(first, ddof=1) / len(first) + np.var(second, ddof=1) / len(second))
    return _studentised(_ratio(abs(np.mean(first) - np.mean(second)), error), len(first))


def _studentised(ratio: float, n: int) -> float:
    """Return the normal score as unlikely as a ratio to an error that was estimated from n values."""
    from scipy.stats import norm, t

    return float(norm.isf(t.sf(ratio, n - 1))) if ratio < 30.0 else ratio


def _ratio(gap: float, error: float) -> float:
    if not np.isfinite(gap) or not np.isfinite(error):
        return np.inf
    return float(gap / error) if error > 0 else (0.0 if gap == 0 else np.inf)


def _as_z(p_value: float) -> float:
    from scipy.stats import norm

    return float(norm.isf(max(p_value, 1e-300) / 2))


def _ranks(
    sampler: Any,
    draw: Draw,
    simulate: Any,
    tests: Functions,
    n_replicates: int,
    n_steps: int,
    n_draws: int,
    n_warmup: int,
    key: Key,
) -> dict[str, np.ndarray]:
    """Return the rank of the truth among posterior draws, ties broken at random."""
    ranks = {label: np.empty(n_replicates, dtype=np.int64) for label in tests}
    for replicate in range(n_replicates):
        rng = key.child("sbc", replicate).generator()
        truth = draw(rng)
        data = simulate(rng, truth)
        conditional = sampler(data)
        state = conditional.init(draw(rng), rng)
        if callable(getattr(conditional, "warmup", None)):
            state = _state_of(conditional.warmup(rng, state, n_warmup))
        else:
            state = _walk(conditional, rng, state, n_warmup)
        drawn = []
        for _ in range(n_draws):
            state = _walk(conditional, rng, state, n_steps)
            drawn.append(state.position)
        for label, function in tests.items():
            values = np.array([_value(function, position, data) for position in drawn])
            own = _value(function, truth, data)
            ties = int(np.sum(values == own))
            ranks[label][replicate] = np.sum(values < own) + rng.integers(ties + 1)
    return ranks


def _uniformity(ranks: np.ndarray, n_draws: int) -> float:
    from scipy.stats import chi2

    # At least ten expected ranks a bin keep the chi-square approximation honest in its tail.
    n_bins = int(np.clip(len(ranks) // 10, 2, n_draws + 1))
    edges = np.linspace(0, n_draws + 1, n_bins + 1).round().astype(int)
    counts = np.histogram(ranks, bins=edges - 0.5)[0]
    expected = len(ranks) * np.diff(edges) / (n_draws + 1)
    return _as_z(float(chi2.sf(np.sum((counts - expected) ** 2 / expected), n_bins - 1)))


def _fused_run_differs(sampler: Any, draw: Draw, simulate: Any, key: Key) -> str:
    rng = key.generator()
    position = draw(rng)
    own = sampler if simulate is None else sampler(simulate(rng, position))
    if not callable(getattr(own, "run", None)):
        return ""
    start = own.init(position, key.child("init").generator())
    stepped = start
    single = key.child("steps").generator()
    for _ in range(7):
        stepped, _ = own.step(single, stepped)
    fused = _state_of(own.run(key.child("steps").generator(), start, 7))
    if not same_bits(stepped.position, fused.position):
        return "run(rng, state, 7) does not give the bits of seven single steps"
    return ""

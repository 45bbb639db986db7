"""Properties of samplers in white coordinates: acceptance, balance, stationary laws, evidence, calibration.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), 2022, arXiv 2112.10663, sample densities ``exp(-Phi(xi))`` with respect to ``N(0, I)``. S. Cotter, G. Roberts,
A. Stuart, D. White, "MCMC methods for functions", Statistical Science 28, 2013; A. Beskos, F. Pinski, J. Sanz-Serna,
A. Stuart, "Hybrid Monte Carlo on Hilbert spaces", 2011. Notation: position u, proposal v, noise w, gradient g of Phi.

References are full densities of target and proposal, quadrature in one dimension, and closed forms of linear problems.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from scinn.exceptions import ConvergenceWarning
from scinn.verify.arrays import largest
from scinn.verify.registry import Property
from scinn.verify.result import CheckResult, verdict
from scinn.verify.sampler_cases import (
    PLAIN,
    OneNumber,
    bound_sampler,
    calibration_functions,
    gaussian_case,
    network_posterior,
    one_number,
    tiny_case,
)
from scinn.verify.scores import batch_score, law_score, limit, mean_score

__all__ = ["PROPERTIES"]

Values = np.ndarray


# Proposals and their acceptance


def _prior_balance(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    posterior = network_posterior(rng)
    beta, n = float(rng.uniform(0.05, 1.0)), 600
    from scinn.inverse import PCN

    # The likelihood to the power 0: every proposal is accepted, and the chain is the autoregression of the proposals.
    sampler = PCN(posterior, beta=beta, temperature=0.0)
    start = rng.standard_normal(posterior.dim)
    _, info = sampler.run(rng, sampler.init(start), n, keep_every=1)
    path = np.vstack([start, info.positions])
    noise = (path[1:] - math.sqrt(1.0 - beta**2) * path[:-1]) / beta
    from scipy import stats

    scores = [law_score(noise.ravel(), stats.norm.cdf)]
    scores += [
        mean_score(np.tanh(noise * path[:-1]).ravel()),
        mean_score(np.tanh(noise[1:] * noise[:-1]).ravel()),
    ]
    rejected = info.n_accepted != n
    return verdict(
        "independence and law of the proposals' noise",
        np.inf if rejected else max(scores),
        limit(3),
        f"beta = {beta:.3f}",
    )


def _independence(seed: int) -> CheckResult:
    from scinn.inverse import PCN

    rng = np.random.default_rng(seed)
    posterior = network_posterior(rng)
    for target in (posterior, SimpleNamespace(dim=posterior.dim, misfit=lambda xi: 0.0)):
        sampler = PCN(target, beta=1.0, temperature=0.0)
        first, second = (
            sampler.step(np.random.default_rng(seed), sampler.init(rng.standard_normal(posterior.dim)))[
                0
            ].position
            for _ in range(2)
        )
        if not np.array_equal(first, second):
            return verdict("proposals with beta = 1 from two positions", largest(first - second), 0.0)
    return verdict("proposals with beta = 1 from two positions", 0.0, 0.0)


def _proposal_of(name: str, sampler: Any) -> tuple[Callable[[np.ndarray, np.ndarray], np.ndarray], float]:
    """Return mean and standard deviation of the Gaussian proposal, as the papers define it."""
    if name == "PCN":
        return lambda u, g: math.sqrt(1.0 - sampler.beta**2) * u, sampler.beta
    if name == "RandomWalk":
        return lambda u, g: u, sampler.step_size
    if name == "PCNL":
        d = sampler.delta
        return lambda u, g: ((2.0 - d) * u - 2.0 * d * g) / (2.0 + d), math.sqrt(8.0 * d) / (2.0 + d)
    if name == "InfMALA":
        h = sampler.step_size
        rho = (1.0 - h / 4.0) / (1.0 + h / 4.0)
        spread = math.sqrt(1.0 - rho**2)
        return lambda u, g: rho * u - spread * math.sqrt(h) / 2.0 * g, spread
    if name == "MALA":
        h = sampler.step_size
        return lambda u, g: u - 0.5 * h * (g + u), math.sqrt(h)
    e = sampler.step_size
    if name == "InfHMC":
        # One rotation: half a kick by the misfit, then the circle.
        return lambda u, g: math.cos(e) * u - 0.5 * e * math.sin(e) * g, math.sin(e)
    return lambda u, g: u - 0.5 * e**2 * (g + u), e


_GAUSSIAN_PROPOSALS = ("PCN", "RandomWalk", "PCNL", "InfMALA", "MALA", "InfHMC", "HMC")


def _acceptance(seed: int) -> CheckResult:
    from scinn import inverse

    rng = np.random.default_rng(seed)
    name = str(rng.choice(_GAUSSIAN_PROPOSALS))
    posterior = network_posterior(rng, str(rng.choice(["gaussian", "cauchy"])))
    target = posterior
    if rng.random() < 0.4:
        target = SimpleNamespace(
            dim=posterior.dim, misfit=posterior.misfit, misfit_and_gradient=posterior.misfit_and_gradient
        )
    if name in ("InfHMC", "HMC"):
        sampler = getattr(inverse, name)(
            target, step_size=float(rng.uniform(0.2, 0.9)), n_leapfrog=1, jitter=0.0
        )
    else:
        sampler = bound_sampler(name, target, rng)
    mean, spread = _proposal_of(name, sampler)
    state = sampler.init(rng.standard_normal(posterior.dim))
    worst, n_compared = 0.0, 0
    for _ in range(40):
        u = state.position
        # Proposals from where gradients are steep may overflow, and are rejected.
        with np.errstate(over="ignore", invalid="ignore"):
            state, info = sampler.step(rng, state)
        if not info.accepted or info.acceptance_probability in (0.0, 1.0):
            continue
        v = state.position
        (phi_u, g_u), (phi_v, g_v) = (posterior.misfit_and_gradient(one) for one in (u, v))
        forth, back = (v - mean(u, g_u)) / spread, (u - mean(v, g_v)) / spread
        terms = np.array([phi_u, -phi_v, u @ u / 2, -(v @ v) / 2, forth @ forth / 2, -(back @ back) / 2])
        # The sums cancel: their rounding counts, not that of the difference.
        error = abs(math.log(info.acceptance_probability) - float(terms.sum())) / (1.0 + np.abs(terms).max())
        worst, n_compared = max(worst, error), n_compared + 1
    return verdict(
        "log acceptance - log ratio of the full densities",
        worst,
        1e-9,
        f"{name}, {n_compared} steps, {posterior.prior!r}",
    )


def _langevin_twins(seed: int) -> CheckResult:
    from scinn.inverse import PCNL, InfMALA

    rng = np.random.default_rng(seed)
    posterior = network_posterior(rng)
    plain = SimpleNamespace(
        dim=posterior.dim, misfit=posterior.misfit, misfit_and_gradient=posterior.misfit_and_gradient
    )
    h, start = float(rng.uniform(0.05, 1.0)), rng.standard_normal(posterior.dim)
    paths = []
    for sampler in (InfMALA(plain, step_size=h), PCNL(plain, delta=h / 2.0), InfMALA(posterior, step_size=h)):
        _, info = sampler.run(np.random.default_rng(seed), sampler.init(start), 15, keep_every=1)
        paths.append(info.positions)
    return verdict(
        "pCNL with d = h / 2 - infinity-MALA",
        largest(paths[1] - paths[0], paths[2] - paths[0]),
        1e-8,
        f"h = {h}",
    )


def _reversible_flow(seed: int) -> CheckResult:
    from scinn.reference.mcmc_gradient import inf_hmc_trajectory

    rng = np.random.default_rng(seed)
    posterior = network_posterior(rng)
    q, p = rng.standard_normal((2, posterior.dim))
    value, g = posterior.misfit_and_gradient(q)
    n, step = int(rng.integers(1, 12)), float(rng.uniform(0.01, 0.1))
    end = inf_hmc_trajectory(posterior.misfit_and_gradient, q, p, value, g, step, n)
    back = inf_hmc_trajectory(
        posterior.misfit_and_gradient, end.position, -end.momentum, end.misfit, end.gradient, step, n
    )
    error = largest(back.position - q, back.momentum + p)
    return verdict(
        "back where it began, with the momentum turned", error, 1e-10, f"{n} steps of {step:.3f}", position=q
    )


def _energy_error(seed: int) -> CheckResult:
    from scinn.reference.mcmc_gradient import inf_hmc_trajectory

    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((3, 5))
    data = rng.standard_normal(3)

    def quadratic(q: np.ndarray) -> tuple[float, np.ndarray]:
        residual = matrix @ q - data
        return 0.5 * float(residual @ residual), matrix.T @ residual

    sums = []
    starts = rng.standard_normal((10, 2, 5))
    for step, n in ((0.02, 20), (0.01, 40)):
        total = 0.0
        for q, p in starts:
            value, g = quadratic(q)
            end = inf_hmc_trajectory(quadratic, q, p, value, g, step, n)
            after = end.misfit + 0.5 * float(end.position @ end.position + end.momentum @ end.momentum)
            total += abs(after - value - 0.5 * float(q @ q + p @ p))
        sums.append(total)
    return verdict(
        "ratio of energy errors at half the step, from 4", abs(sums[0] / sums[1] - 4.0), 0.1, f"{sums}"
    )


# Stationary chains in one dimension


def _quadrature(case: OneNumber, name: str, sampler: Any, n: int = 350) -> dict[str, float]:
    """Return means over a stationary step by the trapezoidal rule over position and noise."""
    x = np.linspace(-7.5, 7.5, n)[:, None]
    w = np.linspace(-7.5, 7.5, n)[None, :]
    phi_x, g_x = case.misfit(x), case.gradient(x)
    with np.errstate(over="ignore", invalid="ignore"):
        if name in ("InfHMC", "HMC"):
            v, log_ratio = _trajectory(case, sampler, x, w, phi_x, g_x, name == "InfHMC")
        else:
            mean, spread = _proposal_of(name, sampler)
            v = mean(x, g_x) + spread * w
            phi_v, g_v = case.misfit(v), case.gradient(v)
            back = (x - mean(v, g_v)) / spread
            log_ratio = phi_x - phi_v + 0.5 * (x**2 - v**2 + w**2 - back**2)
        accept = np.exp(np.minimum(0.0, np.where(np.isnan(log_ratio), -np.inf, log_ratio)))
    weight = np.exp(-phi_x - 0.5 * x**2)
    weight = weight / weight.sum() * np.exp(-0.5 * w**2) / np.exp(-0.5 * w**2).sum()
    # A proposal that is never accepted may be anywhere.
    jump = np.where(accept > 0.0, v - x, 0.0)
    moved = accept * jump
    return {
        "accepted": float((weight * accept).sum()),
        "squared jump": float((weight * accept * jump**2).sum()),
        "product": float((weight * (x**2 + x * moved)).sum()),
        "position": float((weight * np.broadcast_to(x, moved.shape)).sum()),
        "move": float((weight * moved).sum()),
    }


def _trajectory(
    case: OneNumber, sampler: Any, x: Values, w: Values, phi: Values, g: Values, rotate: bool
) -> tuple[Values, Values]:
    e, q, p = sampler.step_size, x, w
    energy = phi + 0.5 * (x**2 + w**2)
    for _ in range(sampler.n_leapfrog):
        p = p - 0.5 * e * (g if rotate else g + q)
        q, p = (
            (math.cos(e) * q + math.sin(e) * p, math.cos(e) * p - math.sin(e) * q)
            if rotate
            else (q + e * p, p)
        )
        g = case.gradient(q)
        p = p - 0.5 * e * (g if rotate else g + q)
    return q, energy - case.misfit(q) - 0.5 * (q**2 + p**2)


def _exact_draws(case: OneNumber, rng: np.random.Generator, n: int) -> np.ndarray:
    x = np.linspace(-8.0, 8.0, 20_001)
    cdf = np.cumsum(np.exp(-case.misfit(x) - 0.5 * x**2))
    return np.asarray(np.interp(rng.random(n) * cdf[-1], cdf, x))


def _stationary_paths(
    case: OneNumber, sampler: Any, rng: np.random.Generator, n_chains: int, n_steps: int
) -> np.ndarray:
    """Return independent chains that begin at exact draws, shape (n_chains, n_steps + 1).

    No chain need mix: where gradients are steep, as under heavy tails, those of MALA stay for long where they are.
    """
    paths = np.empty((n_chains, n_steps + 1))
    paths[:, 0] = _exact_draws(case, rng, n_chains)
    for path in paths:
        with np.errstate(over="ignore", invalid="ignore"):
            _, info = sampler.run(rng, sampler.init(path[:1]), n_steps, keep_every=1)
        path[1:] = info.positions[:, 0]
    return paths


def _one_dimension(seed: int) -> CheckResult:
    from scinn import inverse

    rng = np.random.default_rng(seed)
    case = one_number(rng)
    name = str(rng.choice(_GAUSSIAN_PROPOSALS))
    if name in ("InfHMC", "HMC"):
        sampler = getattr(inverse, name)(
            case.target,
            step_size=float(rng.uniform(0.3, 0.8)),
            n_leapfrog=int(rng.integers(1, 4)),
            jitter=0.0,
        )
    else:
        sampler = bound_sampler(name, case.target, rng)
    wanted = _quadrature(case, name, sampler)
    paths = _stationary_paths(case, sampler, rng, *((300, 50) if case.compiled else (60, 25)))
    jump = np.diff(paths, axis=1)
    rows = {
        "accepted": (jump != 0.0).astype(float),
        "squared jump": jump**2,
        "product": paths[:, 1:] * paths[:, :-1],
        "position": paths[:, 1:],
    }
    scores = {label: batch_score(own.ravel(), wanted[label], len(paths)) for label, own in rows.items()}
    # A reversible chain moves nowhere on average: a check of the quadrature's own acceptance.
    scores["move"] = 0.0 if abs(wanted["move"]) < 2e-3 else np.inf
    label = max(scores, key=lambda key: scores[key])
    return verdict(
        f"{name}: mean {label} against quadrature", scores[label], limit(4), f"{wanted}, {sampler!r}"
    )


def _known_law(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    case = one_number(rng)
    name = str(rng.choice(PLAIN))
    sampler = bound_sampler(name, case.target, rng)
    ends = _stationary_paths(case, sampler, rng, *((600, 40) if case.compiled else (150, 15)))[:, -1]
    x = np.linspace(-8.0, 8.0, 20_001)
    cdf = np.cumsum(np.exp(-case.misfit(x) - 0.5 * x**2))
    score = law_score(ends, lambda value: np.interp(value, x, cdf / cdf[-1]))
    return verdict(f"{name}: law of the ends of chains on the line", score, limit(), repr(sampler))


def _linear_moments(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    posterior, exact = gaussian_case(rng, int(rng.integers(1, 6)))
    name = str(rng.choice(PLAIN))
    sampler = bound_sampler(name, posterior, rng)
    state = sampler.init(exact.sample_white(rng))
    if name == "AdaptivePCN":
        state = sampler.warmup(rng, state, 300)
    n = 12_000
    _, info = sampler.run(rng, state, n, keep_every=1)
    direction = rng.standard_normal(posterior.dim)
    values = (info.positions - exact.white_mean) @ direction
    variance = float(direction @ exact.white_covariance @ direction)
    misfit = exact.tempered_misfit(1.0)
    scores = [batch_score(values), batch_score(values**2, variance), batch_score(info.misfits, misfit)]
    return verdict(
        f"{name}: mean, variance, misfit of a linear problem", max(scores), limit(3), repr(sampler)
    )


def _prior_mean(seed: int) -> CheckResult:
    from scinn.inverse import PCN, EllipticalSlice, GaussianProcessPrior, Identity, InverseProblem, Posterior

    rng = np.random.default_rng(seed)
    mean = float(rng.choice([5.0, -5.0, 50.0]))
    prior = GaussianProcessPrior("exponential", 1.0, 1.0, mean=mean, jitter=0.0)
    posterior = Posterior(prior, InverseProblem(Identity(1), [mean], 1.0))
    sampler = PCN(posterior, beta=0.9) if rng.random() < 0.5 else EllipticalSlice(posterior)
    _, info = sampler.run(rng, sampler.init(np.zeros(1)), 20_000, keep_every=1)
    u = posterior.field(info.positions)[100:, 0]
    scores = [batch_score(u, mean), batch_score((u - mean) ** 2, 0.5)]
    return verdict(
        "N(mean, 1) prior and a datum equal to its mean", max(scores), limit(2), type(sampler).__name__
    )


# Dimension


def _robust(seed: int) -> CheckResult:
    from scinn.inverse import PCN, GaussianProcessPrior, InverseProblem, Posterior, RandomWalk, uniform_grid

    rng = np.random.default_rng(seed)
    data = rng.standard_normal(3)
    rates = {}
    for n in (9, 257):
        prior = GaussianProcessPrior("exponential", 0.5, 1.0, jitter=0.0)
        # Three local averages of the function: the same data, whatever the grid.
        x = np.linspace(-1.0, 1.0, n)
        rows = np.exp(-0.5 * ((x - np.array([[-0.5], [0.0], [0.5]])) / 0.2) ** 2)
        problem = InverseProblem(rows / rows.sum(axis=1, keepdims=True), data, 0.3, uniform_grid(n))
        posterior, exact = Posterior(prior, problem), prior.posterior(problem)
        for sampler in (PCN(posterior, beta=0.4), RandomWalk(posterior, step_size=0.4)):
            _, info = sampler.run(rng, sampler.init(exact.sample_white(rng)), 1500)
            rates[type(sampler).__name__, n] = info.acceptance_rate
    change = abs(rates["PCN", 257] - rates["PCN", 9])
    left = rates["RandomWalk", 257] / rates["RandomWalk", 9]
    return verdict(
        "change of pCN's acceptance, share left of the random walk's",
        max(change / 0.12, left / 0.15),
        1.0,
        f"{rates}",
    )


# Evidence


def _spacing(seed: int) -> CheckResult:
    from scinn.inverse.samplers.parallel_tempering import power_ladder

    rng = np.random.default_rng(seed)
    # Strong data: the mean misfit falls steeply near the prior.
    _, strong = gaussian_case(rng, 6, 0.1)
    integrals = {}
    for power in (1.0, 3.0):
        t = power_ladder(41, power)
        integrals[power] = -float(
            np.trapezoid(strong.tempered_misfit(t), t)
        ) - strong.tempered_log_normaliser(1.0)
    fine = power_ladder(4001, 3.0)
    limit_error = abs(
        float(np.trapezoid(strong.tempered_misfit(fine), fine)) + strong.tempered_log_normaliser(1.0)
    )
    error = max(
        abs(integrals[3.0] / integrals[1.0]),
        limit_error / (1e-4 * (1.0 + abs(strong.tempered_log_normaliser(1.0)))),
    )
    return verdict("error of cubed spacing over that of even spacing", error, 1.0, f"{integrals}")


def _evidence(seed: int) -> CheckResult:
    from scinn.inverse import PCN, SMC, ParallelTempering

    rng = np.random.default_rng(seed)
    posterior, exact = gaussian_case(rng, 2)
    # A target without compiled arrays takes the shortest way through a step.
    target = SimpleNamespace(dim=posterior.dim, misfit=_misfit_by_hand(posterior))
    wanted = exact.log_normaliser
    if rng.random() < 0.5:
        sampler = ParallelTempering(
            target, n_temperatures=5, n_moves=2, sampler=functools.partial(PCN, beta=0.7)
        )
        state = sampler.warmup(rng, sampler.init(np.zeros(target.dim), rng), 50)
        state, _ = sampler.run(rng, state, 250)
        found = sampler.log_evidence(state)
        score = abs(found.stepping_stone - wanted) / max(found.stepping_stone_error, 1e-6)
        # Its standard error is that of a few batches.
        return verdict("log evidence by stepping stones", score, 2.0 * limit(), repr(found))
    runs = []
    with warnings.catch_warnings():
        # The estimate of Z has no bias however few the moves are; two are not enough to forget the resampling.
        warnings.simplefilter("ignore", ConvergenceWarning)
        for _ in range(8):
            particles = SMC(target, n_particles=40, n_moves=2, beta=0.7)
            done, _ = particles.run(rng, particles.init(rng=rng))
            runs.append(done.log_evidence)
    weights = np.exp(np.array(runs) - wanted)
    return verdict(
        "mean of the evidence over the exact one",
        mean_score(weights, 1.0),
        2.0 * limit(),
        f"{runs}, {wanted}",
    )


def _misfit_by_hand(posterior: Any) -> Callable[..., float]:
    jacobian, data = posterior.jacobian(np.zeros(posterior.dim)), posterior.data

    def misfit(xi: np.ndarray, stop_above: float = math.inf) -> float:
        residual = jacobian @ xi - data
        return 0.5 * float(residual @ residual)

    return misfit


# Calibration


def _calibrated(seed: int) -> CheckResult:
    from scinn.verify.sampler import check_invariance

    rng = np.random.default_rng(seed)
    name = str(rng.choice([*PLAIN, "CollapsedPCN", "CollapsedInfHMC"]))
    prior, draw, simulate, posterior = tiny_case()
    options: dict[str, Any] = {"n_steps": 3, "n_inner": 5}
    if name in ("EllipticalSlice", "CollapsedPCN") and rng.random() < 0.7:
        # Ranks are uniform among draws that are nearly independent of each other, which takes a sampler that mixes fast.
        options = {"method": "sbc", "n_steps": 25, "n_draws": 7}
    size = np.random.default_rng(seed)

    def bound(data: np.ndarray) -> Any:
        return bound_sampler(name, posterior(data), np.random.default_rng(size.integers(2**31)))

    return check_invariance(
        bound,
        draw=draw,
        simulate=simulate,
        functions=calibration_functions(prior),
        n_replicates=40,
        alpha=1e-6,
        rng=seed,
        **options,
    )


_COTTER = "Cotter, Roberts, Stuart and White 2013"
_ROWS: tuple[tuple[str, str, str, Callable[[int], CheckResult]], ...] = (
    (
        "pcn-balance",
        _COTTER,
        "With no data every pCN proposal is accepted and the chain is its autoregression.",
        _prior_balance,
    ),
    ("pcn-independence", _COTTER, "With beta = 1 the proposal forgets the position.", _independence),
    (
        "acceptance-ratio",
        _COTTER,
        "The acceptance is the Metropolis ratio of the full densities of target and proposal.",
        _acceptance,
    ),
    (
        "pcnl-is-inf-mala",
        _COTTER,
        "pCNL with half the step is infinity-MALA, and compiled chains are the plain ones.",
        _langevin_twins,
    ),
    (
        "reversible-flow",
        "Beskos, Pinski, Sanz-Serna and Stuart 2011",
        "The trajectory of infinity-HMC leads back when the momentum is turned.",
        _reversible_flow,
    ),
    (
        "energy-error",
        "Beskos, Pinski, Sanz-Serna and Stuart 2011",
        "The energy error of infinity-HMC is of second order in the step.",
        _energy_error,
    ),
    (
        "stationary-step",
        "Metropolis and Hastings, by quadrature",
        "Acceptance, squared jumps and autocovariance of stationary chains are those of quadrature.",
        _one_dimension,
    ),
    ("known-law", "invariance, by quadrature", "Chains on the line have the law of the target.", _known_law),
    (
        "linear-problem",
        "Gaussian conditioning",
        "On linear problems with Gaussian priors chains have the mean, variance and misfit of the closed form.",
        _linear_moments,
    ),
    (
        "prior-mean",
        _COTTER,
        "With a prior of non-zero mean pCN and elliptical slices act on the difference to it.",
        _prior_mean,
    ),
    (
        "dimension",
        _COTTER,
        "Refining the grid leaves pCN's acceptance as it is, and takes that of the random walk.",
        _robust,
    ),
    (
        "power-spacing",
        "Friel and Pettitt 2008",
        "Temperatures dense near the prior integrate the mean misfit better than even ones.",
        _spacing,
    ),
    (
        "evidence",
        "stepping stones and sequential Monte Carlo, against the closed form",
        "Estimates of the evidence agree with that of a linear problem.",
        _evidence,
    ),
    (
        "calibration",
        "Geweke 2004; Talts, Betancourt, Simpson, Vehtari and Gelman 2018",
        "All samplers of the network posterior pass the joint test and simulation-based calibration.",
        _calibrated,
    ),
)

PROPERTIES: tuple[Property, ...] = tuple(
    Property("heavy-tailed-priors", name, theorem, text, run) for name, theorem, text, run in _ROWS
)

"""Properties of inversion with heavy-tailed network priors: derivatives, closed forms, diagnostics, edge cases.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), 2022, arXiv 2112.10663. Notation: white coordinates ``xi ~ N(0, I)``, whitened predictions F and data r,
``Phi = |F - r|^2 / 2``. The paper's own numbering was not available, so that statements are named.

The properties of laws and of the functions that priors draw, of samplers, and of ensembles are in
:mod:`scinn.verify.heavy_tails`, :mod:`scinn.verify.network_functions`, :mod:`scinn.verify.samplers` and
:mod:`scinn.verify.ensembles`, and count among this paper's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scinn.verify import ensembles, heavy_tails, network_functions, samplers
from scinn.verify.arrays import largest
from scinn.verify.heavy_tails import LAWS
from scinn.verify.network_functions import hidden_layer, random_prior
from scinn.verify.registry import Property
from scinn.verify.result import CheckResult, verdict

__all__ = ["PROPERTIES"]


# Operators and derivatives


def _orientation(seed: int) -> CheckResult:
    from scinn.inverse import Convolution1D, uniform_grid

    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 30))
    grid = uniform_grid(n)
    x, h = grid.points[:, 0], 2.0 / (n - 1)
    rate, shift = rng.uniform(0.5, 4.0), rng.uniform(-0.5, 0.5)

    def kernel(r: np.ndarray) -> np.ndarray:
        # Longer to the right than to the left: the transposed operator is another one.
        return np.exp(-rate * np.abs(r - shift)) * (1.0 + (r > 0.0))

    every = int(rng.integers(1, 4))
    operator = Convolution1D(grid, kernel, None, rows=slice(None, None, every))
    j = int(rng.integers(n))
    impulse = np.zeros(n)
    impulse[j] = 1.0
    wanted = h * kernel(x[::every] - x[j])
    u, q = rng.standard_normal(n), rng.standard_normal(operator.shape[0])
    gap = float(q @ operator.apply(u)) - float(u @ operator.adjoint(q))
    sizes = np.abs(q) @ np.abs(operator.matrix()) @ np.abs(u)
    error = max(largest(operator.apply(impulse) - wanted) / largest(kernel(x)), abs(gap) / sizes)
    return verdict(
        "response to an impulse - shifted kernel; <Gu, q> - <u, G'q>", error, 1e-13, f"n = {n}, column {j}"
    )


def _posterior(rng: np.random.Generator, **options: Any) -> Any:
    from scinn.inverse import InverseProblem, Posterior

    prior = random_prior(rng, dimension=1, activation=str(rng.choice(["tanh", "erf", "sin"])), **options)
    matrix = rng.standard_normal((int(rng.integers(1, 7)), int(rng.integers(1, 12))))
    data = rng.standard_normal(len(matrix))
    return Posterior(prior, InverseProblem(matrix, data, rng.uniform(0.5, 2.0, len(matrix))))


def _moderate(rng: np.random.Generator, dim: int) -> np.ndarray:
    return np.clip(rng.standard_normal(dim), -2.0, 2.0)


def _gradient(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    posterior = _posterior(rng)
    xi, direction = _moderate(rng, posterior.dim), rng.standard_normal(posterior.dim)
    direction /= np.linalg.norm(direction)
    value, gradient = posterior.misfit_and_gradient(xi)
    # A fifth-order quotient, with the step that spoils it least.
    errors = []
    for step in (1e-2, 2e-3, 4e-4, 1e-4):
        f = [posterior.misfit(xi + k * step * direction) for k in (-2, -1, 1, 2)]
        quotient = (f[0] - 8.0 * f[1] + 8.0 * f[2] - f[3]) / (12.0 * step)
        errors.append(abs(quotient - float(gradient @ direction)))
    size = abs(value) + float(np.abs(gradient) @ np.abs(direction)) + 1.0
    same = abs(value - posterior.misfit(xi)) / (abs(value) + 1e-300)
    return verdict(
        "gradient - difference quotient", max(min(errors) / size, same), 1e-6, repr(posterior.prior), xi=xi
    )


def _derivatives_adjoint(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    prior = random_prior(rng, activation=str(rng.choice(["tanh", "erf", "sin", "leaky_relu"])))
    x = rng.uniform(-1.0, 1.0, (int(rng.integers(1, 9)), prior.widths[0]))
    xi, direction = rng.standard_normal((2, prior.dim))
    q = rng.standard_normal(len(x))
    forward, back = prior.jvp(xi, x, direction), prior.vjp(xi, x, q)
    size = np.abs(q) @ np.abs(forward) + np.abs(back) @ np.abs(direction) + 1e-300
    return verdict(
        "<q, J d> - <J'q, d>",
        abs(float(q @ forward) - float(back @ direction)) / size,
        1e-12,
        repr(prior),
        xi=xi,
    )


# Closed forms


def _collapsed(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    posterior = _posterior(rng, last="gaussian")
    prior, problem = posterior.prior, posterior.problem
    xi = _moderate(rng, prior.hidden_dim)
    h = hidden_layer(prior, np.append(xi, np.zeros(prior.sizes[-1]))[None], problem.grid.points)[0].T
    scales = np.append(np.full(h.shape[1], prior.weight_scales[-1]), prior.bias_scales[-1])
    b = (
        problem.operator.matrix()
        @ np.column_stack([h, np.ones(len(h))])
        * scales
        / problem.noise_std[:, None]
    )
    # In the space of the data, where the code works with the smaller of both.
    covariance = np.eye(len(b)) + b @ b.T
    solved = np.linalg.solve(covariance, problem.whitened_data)
    wanted = 0.5 * float(problem.whitened_data @ solved) + 0.5 * float(np.linalg.slogdet(covariance)[1])
    collapsed = posterior.collapse()
    mean, spread = collapsed.last_layer(xi)
    errors = [
        abs(collapsed.misfit(xi) - wanted) / (1.0 + abs(wanted)),
        largest(mean - b.T @ solved) / (1.0 + largest(mean)),
        largest(spread - (np.eye(len(mean)) - b.T @ np.linalg.solve(covariance, b))),
        largest(collapsed.last_layer_mean(xi) - mean) / (1.0 + largest(mean)),
    ]
    return verdict(
        "collapsed misfit and last layer - Gaussian conditioning", max(errors), 1e-9, f"{errors}, {prior!r}"
    )


def _gaussian_field(seed: int) -> CheckResult:
    from scinn.inverse import GaussianProcessPrior, InverseProblem, Posterior

    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(1, 9)), int(rng.integers(1, 9))
    kind = str(rng.choice(["exponential", "matern32"]))
    prior = GaussianProcessPrior(
        kind, float(rng.uniform(0.2, 1.0)), float(rng.uniform(0.5, 2.0)), mean=float(rng.normal())
    )
    matrix, sd = rng.standard_normal((m, n)), rng.uniform(0.3, 2.0, m)
    problem = InverseProblem(matrix, rng.standard_normal(m), sd)
    exact, posterior = prior.posterior(problem), Posterior(prior, problem)
    c, mean = prior.covariance_matrix(problem.grid), np.full(n, prior.mean)
    s = matrix @ c @ matrix.T + np.diag(sd**2)
    residual = problem.data - matrix @ mean
    solved = np.linalg.solve(s, residual)
    log_evidence = -0.5 * float(residual @ solved + np.linalg.slogdet(s)[1] + m * np.log(2.0 * np.pi))
    t = float(rng.uniform(0.05, 0.95))
    slope = (exact.tempered_log_normaliser(t + 1e-4) - exact.tempered_log_normaliser(t - 1e-4)) / 2e-4
    mode = posterior.field(exact.white_mean)
    errors = [
        largest(exact.mean - mean - c @ matrix.T @ solved),
        largest(exact.covariance - c + c @ matrix.T @ np.linalg.solve(s, matrix @ c)),
        abs(exact.log_evidence - log_evidence),
        1e-2 * abs(exact.tempered_misfit(t) + slope) / (1.0 + abs(slope)),
        largest(posterior.grad(exact.white_mean)),
        largest(mode - exact.mean),
    ]
    size = 1.0 + abs(log_evidence) + largest(posterior.data)
    return verdict(
        "posterior, evidence, mean misfit of Gaussian fields", max(errors) / size, 1e-8, f"{errors}"
    )


# Diagnostics


def _split(chains: np.ndarray) -> np.ndarray:
    half = chains.shape[1] // 2
    return np.concatenate([chains[:, :half], chains[:, chains.shape[1] - half :]])


def _normal_ranks(chains: np.ndarray) -> np.ndarray:
    from scipy import special, stats

    ranks = stats.rankdata(chains, method="average").reshape(chains.shape)
    return np.asarray(special.ndtri((ranks - 0.375) / (chains.size + 0.25)))


def _size_of(chains: np.ndarray) -> float:
    """Return the effective sample size of chains as they are, from autocorrelations cut after Geyer's rule."""
    n_chains, n = chains.shape
    if np.ptp(chains) < 1e-15:
        return float(chains.size)
    deviations = chains - chains.mean(axis=1, keepdims=True)
    within = float(np.sum(deviations**2)) / (n_chains * (n - 1))
    pooled = within * (n - 1) / n + (float(np.var(chains.mean(axis=1), ddof=1)) if n_chains > 1 else 0.0)

    def correlation(lag: int) -> float:
        covariance = np.mean([float(own[: n - lag] @ own[lag:]) / n for own in deviations])
        return 1.0 - (within - float(covariance)) / pooled

    # Sums of neighbouring lags (2k, 2k + 1), as long as they are positive.
    pairs = [(1.0, correlation(1))]
    while sum(pairs[-1]) > 0.0 and 2 * len(pairs) + 1 <= n - 2:
        pairs.append((correlation(2 * len(pairs)), correlation(2 * len(pairs) + 1)))
    even, odd = pairs.pop()
    kept = even if even > 0.0 or even + odd >= 0.0 else 0.0
    sums = np.minimum.accumulate([sum(pair) for pair in pairs]) if pairs else np.zeros(0)
    time = -1.0 + 2.0 * float(sums.sum()) + kept
    return chains.size / max(time, 1.0 / np.log10(chains.size))


def _basic_rhat(chains: np.ndarray) -> float:
    n = chains.shape[1]
    between, within = n * np.var(chains.mean(axis=1), ddof=1), np.mean(np.var(chains, axis=1, ddof=1))
    return float(np.sqrt((between / within + n - 1) / n))


def _chains(rng: np.random.Generator, least: int = 1) -> np.ndarray:
    shape = int(rng.integers(least, 6)), int(rng.choice([4, 5, 7, 20, 51, 200, 333]))
    kind = int(rng.integers(5))
    noise = rng.standard_normal(shape)
    if kind == 0:
        return noise
    if kind == 1:
        # Ties, as of a functional with few values.
        return np.round(2.0 * noise)
    if kind == 2:
        # A chain that mostly stays.
        moves = rng.random(shape) < 0.1
        moves[:, 0] = True
        return np.take_along_axis(
            noise, np.maximum.accumulate(np.where(moves, np.arange(shape[1]), 0), axis=1), axis=1
        )
    if kind == 3:
        return np.cumsum(noise, axis=1) + rng.standard_normal((shape[0], 1))
    return np.tan(0.499 * np.pi * np.tanh(noise)) * 10.0 ** rng.uniform(-3, 3)


def _effective_size(seed: int) -> CheckResult:
    from scinn.inverse.diagnostics import ess

    rng = np.random.default_rng(seed)
    chains = _chains(rng)
    wanted = {
        "bulk": _size_of(_normal_ranks(_split(chains))),
        "mean": _size_of(_split(chains)),
        "median": _size_of(_split((chains <= np.median(chains)).astype(float))),
        "tail": min(_size_of(_split((chains <= np.quantile(chains, p)).astype(float))) for p in (0.05, 0.95)),
    }
    errors = {method: abs(float(ess(chains, method)) / value - 1.0) for method, value in wanted.items()}
    method = max(errors, key=lambda name: errors[name])
    return verdict(
        f"effective sample size ({method}) - formulas", errors[method], 1e-10, f"{wanted}", chains=chains
    )


def _rank_rhat(seed: int) -> CheckResult:
    from scinn.inverse.diagnostics import rhat

    rng = np.random.default_rng(seed)
    chains = _chains(rng, 2)
    halves = _split(chains)
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = max(_basic_rhat(_normal_ranks(own)) for own in (halves, np.abs(halves - np.median(halves))))
    got = float(rhat(chains))
    # Chains that each stand still have no variance within them.
    error = 0.0 if got == wanted or (np.isnan(got) and np.isnan(wanted)) else abs(got / wanted - 1.0)
    return verdict("R-hat - formula", error, 1e-10, f"{got} against {wanted}", chains=chains)


# Edge cases


def _degenerate(seed: int) -> CheckResult:
    from scinn.inverse import InverseProblem, Posterior, StableNNPrior

    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    activation = str(rng.choice(["tanh", "sign", "relu", "sin"]))
    prior = StableNNPrior([1, 1, 1], law=str(rng.choice(LAWS)), activation=activation)
    matrix = rng.standard_normal((m, n))
    matrix[int(rng.integers(m))] = 0.0
    data, sd = rng.standard_normal(m), rng.uniform(0.5, 2.0, m)
    posterior = Posterior(prior, InverseProblem(matrix, data, sd))
    xi = rng.standard_normal(prior.dim)
    u = prior.forward(xi, posterior.points)
    wanted = 0.5 * float(np.sum(((matrix @ u - data) / sd) ** 2))
    errors = [abs(posterior.misfit(xi) - wanted) / (1.0 + wanted)]
    # Repeated points have one value; 0 has no sign.
    twice = prior.forward(xi, np.array([0.3, 0.3, 0.0]))
    errors.append(abs(float(twice[0] - twice[1])))
    weights = prior.transform(xi)
    flat = (
        prior.inverse(np.append(np.zeros(prior.sizes[0]), weights[prior.sizes[0] :]))
        if prior.laws[0].n_white == 1
        else None
    )
    if flat is not None and activation in ("sign", "tanh", "sin", "relu"):
        errors.append(
            abs(float(prior.forward(flat, np.array([0.7]))[0]) - weights[-1]) / (1.0 + abs(weights[-1]))
        )
    return verdict("one unit, few points, an operator with a row of zeros", max(errors), 1e-12, repr(prior))


_REFUSED: dict[str, tuple[str, str]] = {
    "NaN in the data": ("InverseProblem(np.eye(2), [1.0, np.nan], 1.0)", "data"),
    "data of another size": ("InverseProblem(np.eye(2), [1.0, 2.0, 3.0], 1.0)", "data"),
    "noise 0": ("InverseProblem(np.eye(2), [1.0, 2.0], 0.0)", "noise_std"),
    "unknown law": ("StableNNPrior([1, 2, 1], law='cauchi')", "law"),
    "last width 2": ("StableNNPrior([1, 2, 2])", "widths"),
    "unknown activation": ("StableNNPrior([1, 2, 1], activation='step')", "activation"),
    "negative scale": ("StableNNPrior([1, 2, 1], weight_scale=-1.0)", "weight_scale"),
    "beta 0": ("PCN(posterior, beta=0.0)", "beta"),
    "beta above 1": ("PCN(posterior, beta=1.5)", "beta"),
    "gradient of sign units": ("InfMALA(steps)", "sign"),
    "collapse without a Gaussian last layer": ("steps.collapse()", "gaussian"),
    "coordinates of another size": ("posterior.misfit(np.zeros(3))", "xi"),
    "R-hat of one chain": ("rhat(np.zeros((1, 100)))", "chains"),
    "no draws": ("ess(np.zeros((2, 0)))", "draws"),
    "one member": ("EnsembleKalman(posterior, 1)", "n_members"),
}


def _refused(seed: int) -> CheckResult:
    from scinn import inverse
    from scinn.inverse.diagnostics import ess, rhat

    prior = inverse.StableNNPrior([1, 2, 1], law=("cauchy", "gaussian"))
    problem = inverse.InverseProblem(np.eye(3), np.zeros(3), 1.0)
    names = {name: getattr(inverse, name) for name in inverse.__all__}
    names |= {"np": np, "rhat": rhat, "ess": ess, "posterior": inverse.Posterior(prior, problem)}
    names["steps"] = inverse.Posterior(inverse.StableNNPrior([1, 2, 1], activation="sign"), problem)
    wrong = []
    for case, (source, word) in _REFUSED.items():
        try:
            # The sources are those of the table above.
            eval(source, names)
        except (TypeError, ValueError) as error:
            if word not in str(error):
                wrong.append(f"{case}: {error}")
        else:
            wrong.append(f"{case}: accepted")
    return verdict(
        "what should be refused, with the argument's name", float(len(wrong)), 0.0, "; ".join(wrong)
    )


_CONDITIONING, _DIAGNOSTICS = "Gaussian conditioning", "Vehtari, Gelman, Simpson, Carpenter and Buerkner 2021"
_DERIVATIVES, _EDGES = "reverse and forward differentiation", "edge cases"
_ROWS: tuple[tuple[str, str, str, Callable[[int], CheckResult]], ...] = (
    (
        "operator-orientation",
        "convolution with asymmetric kernels",
        "An impulse gives the kernel shifted to it, not its mirror image, and the adjoint is the transpose.",
        _orientation,
    ),
    (
        "misfit-gradient",
        _DERIVATIVES,
        "The gradient of the misfit is that of difference quotients.",
        _gradient,
    ),
    (
        "adjoint-derivatives",
        _DERIVATIVES,
        "Forward and backward derivatives are transposes.",
        _derivatives_adjoint,
    ),
    (
        "collapsed-layer",
        _CONDITIONING,
        "The collapsed misfit is the integral over the last layer, whose conditional law is the exact one.",
        _collapsed,
    ),
    (
        "gaussian-field",
        _CONDITIONING,
        "Posterior, evidence and tempered mean misfit of Gaussian fields are those of dense formulas.",
        _gaussian_field,
    ),
    (
        "effective-size",
        _DIAGNOSTICS,
        "Effective sample sizes are those of the formulas, also for ties and odd lengths.",
        _effective_size,
    ),
    (
        "rank-rhat",
        _DIAGNOSTICS,
        "R-hat is the larger one of ranks and folded ranks of split chains.",
        _rank_rhat,
    ),
    (
        "degenerate-sizes",
        _EDGES,
        "One unit, one point, one datum, repeated points and rows of zeros work.",
        _degenerate,
    ),
    ("refused-input", _EDGES, "Bad input is refused with a message that names the argument.", _refused),
)

PROPERTIES: tuple[Property, ...] = (
    *(Property("heavy-tailed-priors", name, theorem, text, run) for name, theorem, text, run in _ROWS),
    *heavy_tails.PROPERTIES,
    *network_functions.PROPERTIES,
    *samplers.PROPERTIES,
    *ensembles.PROPERTIES,
)

"""Properties of the functions that networks with heavy-tailed random weights draw.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), 2022, arXiv 2112.10663. Notation: a network on x with hidden features ``h_j(x)``, last weights ``v_j`` of scale
``s_W`` and an offset of scale ``s_b``; gw and gb are the scales before the division by the width. References are
quadrature over the white coordinates and loops over layers. The wording of the paper's theorems could not be read;
statements that were derived for this package are called so.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from scinn.verify.arrays import largest
from scinn.verify.heavy_tails import LAWS, scores_of_law
from scinn.verify.registry import Property
from scinn.verify.result import CheckResult, verdict
from scinn.verify.scores import law_score, limit, mean_score, score_of

__all__ = ["PROPERTIES", "hidden_layer", "next_scale", "random_prior"]


_SHAPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "tanh": np.tanh,
    "sign": np.sign,
    "relu": lambda z: np.maximum(z, 0.0),
    "leaky_relu": lambda z: np.where(z > 0.0, z, 0.01 * z),
    "sin": np.sin,
    "erf": special.erf,
}
_ODD = ("tanh", "sign", "sin", "erf")


def hidden_layer(prior: Any, xi: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the last hidden layer of each row of coordinates, by a loop over layers.

    Parameters
    ----------
    prior : StableNNPrior
    xi : ndarray of float64, shape (J, dim)
    x : ndarray of float64, shape (n, D_0)

    Returns
    -------
    ndarray of float64, shape (J, D_L, n)
    """
    theta = prior.transform(xi)
    h = np.broadcast_to(x.T, (len(xi), *x.T.shape))
    at = 0
    for n_in, n_out in zip(prior.widths[:-2], prior.widths[1:-1], strict=True):
        weights = theta[:, at : at + n_in * n_out].reshape(-1, n_out, n_in)
        bias = theta[:, at + n_in * n_out : at + n_in * n_out + n_out]
        with np.errstate(invalid="ignore", over="ignore"):
            h = _SHAPES[prior.activation](weights @ h + bias[:, :, None])
        at += n_out * (n_in + 1)
    return h


def _conditional_scale(prior: Any, h: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Return the scale of ``sum_k c_k u(x_k)`` given the hidden layers, for a stable last layer; shape (J,)."""
    law = prior.laws[-1]
    alpha = {"gaussian": 2.0, "cauchy": 1.0}.get(law.name, law.parameter)
    parts = np.abs(prior.weight_scales[-1] * (h @ c)) ** alpha
    offset = np.abs(prior.bias_scales[-1] * c.sum()) ** alpha
    return np.asarray((offset + parts.sum(axis=1)) ** (1.0 / alpha))


def random_prior(
    rng: np.random.Generator, last: str | None = None, *, dimension: int | None = None, **options: Any
) -> Any:
    """Return a prior of random widths, laws and scales.

    Parameters
    ----------
    rng : Generator
    last : str, optional
        Law of the last layer.
    dimension : int, optional
        Of the inputs.
    **options
        Of the prior.

    Returns
    -------
    StableNNPrior
    """
    from scinn.inverse import StableNNPrior

    depth = int(rng.integers(1, 4))
    widths = [dimension or int(rng.integers(1, 4)), *(int(w) for w in rng.integers(1, 12, depth)), 1]
    laws = [str(law) for law in rng.choice(LAWS, depth)] + [last or str(rng.choice(LAWS))]
    chosen: dict[str, Any] = {
        "law": laws,
        "weight_scale": rng.uniform(0.5, 5.0, depth + 1),
        "bias_scale": rng.uniform(0.0, 3.0, depth + 1),
        "activation": str(rng.choice(list(_SHAPES))),
    }
    return StableNNPrior(widths, **(chosen | options))


def _conditional_law(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    last = str(rng.choice(["cauchy", "gaussian", "stable(0.7)", "stable(1.5)"]))
    prior = random_prior(rng, last, activation=str(rng.choice(_ODD)))
    x = rng.uniform(-1.0, 1.0, (4, prior.widths[0]))
    c = rng.standard_normal(4) * (rng.random(4) < 0.7)
    c[0] += 1.0
    # One network for all draws, or a new one for each: the quotient has the same law.
    n = 1500
    xi = rng.standard_normal((n, prior.dim))
    if rng.random() < 0.5:
        xi[:, : prior.hidden_dim] = xi[0, : prior.hidden_dim]
    scale = _conditional_scale(prior, hidden_layer(prior, xi, x), c)
    values = prior.forward(xi, x) @ c / scale
    score, n_tests = scores_of_law(values, prior.laws[-1])
    return verdict(
        "law of a functional over its scale", score, limit(n_tests), repr(prior), coefficients=c, points=x
    )


def _increments(seed: int) -> CheckResult:
    from scipy import stats

    rng = np.random.default_rng(seed)
    last = str(rng.choice(["cauchy", "gaussian"]))
    prior = random_prior(rng, last, dimension=1, activation=str(rng.choice(["tanh", "sin"])))
    n, step = 1500, 1e-6
    x = np.array([[0.3 - step], [0.3 + step]])
    xi = rng.standard_normal((n, prior.dim))
    c = np.array([-1.0, 1.0])
    scale = _conditional_scale(prior, hidden_layer(prior, xi, x), c)
    u = prior.forward(xi, x)
    # Where all units are flat to the last digit nothing is left but rounding.
    seen = scale > 1e-9 * np.abs(u).max(axis=1) + 1e-300
    values = (u @ c)[seen] / scale[seen]
    score = (
        law_score(values, (stats.cauchy if last == "cauchy" else stats.norm).cdf) if seen.sum() > 50 else 0.0
    )
    return verdict("law of a slope over its scale, without the offset", score, limit(), repr(prior))


def _white_grid(n: int) -> np.ndarray:
    """Return the normal quantiles of the midpoints of n equal cells."""
    return np.asarray(special.ndtri((np.arange(n) + 0.5) / n))


def _unit_mean(
    prior: Any, x: np.ndarray, function: Callable[[np.ndarray], np.ndarray], n: int = 300
) -> float:
    """Return the mean of a function of ``phi(w x_k + b)`` over one unit, by the midpoint rule over both coordinates."""
    z = _white_grid(n)
    w, b = (scale * prior.laws[0].transform(z) for scale in (prior.weight_scales[0], prior.bias_scales[0]))
    values = _SHAPES[prior.activation](w[:, None, None] * x + b[None, :, None])
    return float(np.mean(function(values)))


def _characteristic(seed: int) -> CheckResult:
    from scinn.inverse import StableNNPrior

    rng = np.random.default_rng(seed)
    first, last = (
        str(rng.choice(["gaussian", "cauchy", "student_t(3)"])),
        str(rng.choice(["cauchy", "stable(1.5)"])),
    )
    alpha = 1.0 if last == "cauchy" else 1.5
    width = int(rng.choice([1, 2, 5, 40]))
    gw, gb = float(rng.uniform(0.5, 2.0)), float(rng.uniform(0.1, 0.5))
    prior = StableNNPrior(
        [1, width, 1],
        law=[first, last],
        weight_scale=[float(rng.uniform(1.0, 5.0)), gw],
        bias_scale=[float(rng.uniform(1.0, 5.0)), gb],
        activation=str(rng.choice(["tanh", "sign"])),
    )
    x, t = rng.uniform(-1.0, 1.0, 3), rng.uniform(-1.0, 1.0, 3)
    inner = _unit_mean(prior, x, lambda h: np.exp(-(gw**alpha) / width * np.abs(h @ t) ** alpha))
    expected = float(np.exp(-((gb * abs(t.sum())) ** alpha))) * inner**width
    values = np.cos(prior.forward(rng.standard_normal((4000, prior.dim)), x) @ t)
    return verdict(
        "mean of cos(<t, u>) - formula", mean_score(values, expected), limit(), repr(prior), x=x, t=t
    )


def next_scale(law: str, weight_scale: float, bias_scale: float, scale: float, n: int = 200_000) -> float:
    """Return the scale of an infinitely wide tanh layer whose inputs have `scale`: the recursion over layers.

    ``s'^a = gb^a + gw^a E|tanh(s S)|^a`` with S of the unit law: Cauchy, a = 1, and Gaussian, a = 2, where
    scales are standard deviations.

    Parameters
    ----------
    law : {"cauchy", "gaussian"}
    weight_scale, bias_scale, scale : float
    n : int
        Cells of the midpoint rule.

    Returns
    -------
    float

    References
    ----------
    S. Favaro, S. Fortini, S. Peluchetti, "Stable behaviour of infinitely wide deep neural networks", 2020.

    Examples
    --------
    >>> round(next_scale("cauchy", 1.2, 0.3, 1.0), 6)
    1.10081
    """
    from scinn.inverse import as_law

    alpha = 1.0 if law == "cauchy" else 2.0
    mean = float(np.mean(np.abs(np.tanh(scale * as_law(law).transform(_white_grid(n)))) ** alpha))
    return float((bias_scale**alpha + weight_scale**alpha * mean) ** (1.0 / alpha))


def _wide_limit(seed: int) -> CheckResult:
    from scinn.inverse import StableNNPrior

    rng = np.random.default_rng(seed)
    law = str(rng.choice(["cauchy", "gaussian"]))
    depth, width, n = int(rng.integers(1, 4)), 200, 60
    gw, gb = float(rng.uniform(0.8, 2.0)), float(rng.uniform(0.1, 0.5))
    x = float(rng.uniform(0.2, 1.0))
    prior = StableNNPrior([1, *[width] * depth, 1], law=law, weight_scale=gw, bias_scale=gb)
    scale = gw * x + gb if law == "cauchy" else float(np.hypot(gw * x, gb))
    for _ in range(depth):
        scale = next_scale(law, gw, gb, scale, 20_000)
    own = _conditional_scale(
        prior, hidden_layer(prior, rng.standard_normal((n, prior.dim)), np.array([[x]])), np.ones(1)
    )
    # A finite width is off by a share of order 1 / width, besides the noise of a mean over few networks.
    gap = abs(float(own.mean()) - scale) - 0.25 * depth / width * scale
    error = float(own.std(ddof=1)) / np.sqrt(n)
    detail = f"{law}, {depth} layers: {own.mean():.4f} +- {error:.4f}, recursion {scale:.4f}"
    return verdict("scale at width 200 - recursion", max(0.0, gap / error), 1.2 * limit(), detail)


# Steps


def _step_prior(rng: np.random.Generator, law: str, width: int) -> Any:
    from scinn.inverse import StableNNPrior

    scales = rng.uniform(0.5, 10.0, 2)
    return StableNNPrior(
        [1, width, 1],
        law=[law, "cauchy"],
        weight_scale=[scales[0], 1.0],
        bias_scale=[scales[1], 0.5],
        activation="sign",
    )


def _exact_steps(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    prior = _step_prior(rng, str(rng.choice(["cauchy", "gaussian"])), int(rng.integers(1, 15)))
    xi = rng.standard_normal(prior.dim)
    (w, b), (v, c) = prior.layers(prior.transform(xi))
    at = -b / w[:, 0]
    x = np.sort(
        np.concatenate(
            [rng.uniform(-3.0, 3.0, 200), at + 1e-9 * (1.0 + np.abs(at)), at - 1e-9 * (1.0 + np.abs(at))]
        )
    )
    # Far to the left every unit has the sign of -w; each is then passed once, with a step of twice its weight.
    left = float(c[0] - np.sum(v[0] * np.sign(w[:, 0])))
    heights = 2.0 * v[0] * np.sign(w[:, 0])
    wanted = left + (x[:, None] > at) @ heights
    size = np.abs(v).sum() + abs(float(c[0]))
    return verdict("u - sum of steps", largest(prior.forward(xi, x) - wanted) / size, 1e-13, xi=xi)


def _step_probability(law: str, ratio: float, p: float, q: float) -> float:
    """Return the probability that a unit steps between p and q, from the density of -b / w."""
    from scipy import integrate

    if law == "gaussian":
        return float((np.arctan(q / ratio) - np.arctan(p / ratio)) / np.pi)

    def density(t: float) -> float:
        # The limit at |t| = 1 is removable; the peak at 0 is logarithmic.
        square = t * t
        gap = square - 1.0
        return 1.0 / np.pi**2 if abs(gap) < 1e-9 else float(np.log(square) / (np.pi**2 * gap))

    low, high = p / ratio, q / ratio
    inner = [edge for edge in (-1.0, 0.0, 1.0) if low < edge < high]
    edges = [low, *inner, high]
    return float(sum(integrate.quad(density, a, b, limit=200)[0] for a, b in itertools.pairwise(edges)))


def _step_count(seed: int) -> CheckResult:
    from scipy import stats

    rng = np.random.default_rng(seed)
    law, width, n = str(rng.choice(["cauchy", "gaussian"])), int(rng.integers(1, 10)), 300
    prior = _step_prior(rng, law, width)
    p, q = np.sort(rng.uniform(-2.0, 2.0, 2))
    symmetric = bool(rng.random() < 0.3)
    if symmetric:
        p, q = -prior.bias_scale[0] / prior.weight_scale[0], prior.bias_scale[0] / prior.weight_scale[0]
    probability = _step_probability(law, prior.bias_scale[0] / prior.weight_scale[0], p, q)
    h = np.array([prior.features(xi, np.array([p, q]))[:, :-1] for xi in rng.standard_normal((n, prior.dim))])
    count = int(np.sum(h[:, 0] != h[:, 1]))
    score = score_of(float(stats.binomtest(count, n * width, probability).pvalue))
    # Where both parts have one scale, half of the units step within [-1, 1] of it.
    half = abs(probability - 0.5) if symmetric else 0.0
    return verdict(
        "number of steps - binomial law",
        score if half < 1e-8 else np.inf,
        limit(),
        repr(prior),
        p=p,
        q=q,
        count=count,
    )


def _steep(seed: int) -> CheckResult:
    from scinn.inverse import as_law

    rng = np.random.default_rng(seed)
    gw, gb, x = (
        float(rng.uniform(0.5, 4.0)),
        float(rng.uniform(0.5, 4.0)),
        float(rng.uniform(0.3, 1.5) * rng.choice([-1, 1])),
    )
    cauchy = as_law("cauchy")
    t = 400.0 * max(gw, gb / abs(x))

    def tail(law: Any) -> float:
        """Return P(|w sech^2(w x + b)| > t), by the midpoint rule over white w beyond t and the exact law of b."""
        start = special.ndtr(-float(law.inverse(t / gw)))
        z = -special.ndtri(start * (np.arange(100_000) + 0.5) / 100_000)
        w = np.maximum(gw * law.transform(z), t)
        reach = np.arccosh(np.sqrt(w / t))
        ends = [special.ndtr(law.inverse((side * reach - w * x) / gb)) for side in (-1.0, 1.0)]
        return float(2.0 * start * np.mean(ends[1] - ends[0]))

    wanted = 32.0 / 45.0 * gw * gb / (np.pi**2 * x**2 * t**3)
    error = abs(tail(cauchy) / wanted - 1.0)
    return verdict(
        "tail of a unit's slope over 32 gw gb / (45 pi^2 x^2 t^3) - 1", error, 1e-4, gw=gw, gb=gb, x=x
    )


def _jump_shares(seed: int) -> CheckResult:
    from scinn.inverse import StableNNPrior
    from scinn.inverse.edges import jump_share

    rng = np.random.default_rng(seed)
    medians = {}
    for law in (("gaussian",) * 3, ("cauchy", "cauchy", "gaussian")):
        prior = StableNNPrior(
            [1, 40, 40, 1], law=list(law), weight_scale=(3, 1.5, 1.5), bias_scale=(2, 2, 0.5)
        )
        fine = prior.sample(rng, 60, np.linspace(-1.0, 1.0, 1025))
        medians[law[0]] = [float(np.median(jump_share(u))) for u in (fine[:, ::4], fine)]
    ratio = medians["cauchy"][1] / medians["gaussian"][1]
    # Four times as many points divide a smooth function's largest share by four.
    smooth = medians["gaussian"][0] / medians["gaussian"][1]
    error = max(3.0 / ratio, abs(smooth - 4.0) / 0.8)
    return verdict("Gaussian share of the largest step over Cauchy's, times 3", error, 1.0, f"{medians}")


# Symmetries and moments


def _symmetric(seed: int) -> CheckResult:
    from scinn.inverse import Deconvolution1D, Posterior

    rng = np.random.default_rng(seed)
    prior = random_prior(rng, dimension=1, law=str(rng.choice(LAWS[:5])), activation=str(rng.choice(_ODD)))
    problem = Deconvolution1D(dim=33, PSF="gaussian", PSF_param=0.1, noise_std=0.3, rng=seed)
    posterior = Posterior(prior, problem)
    # Weights of one law are in the same order in white coordinates.
    xi = rng.standard_normal(prior.dim)
    layers = [(w.copy(), b.copy()) for w, b in prior.layers(xi)]
    layer = int(rng.integers(len(layers) - 1))
    order, signs = rng.permutation(prior.widths[layer + 1]), rng.choice([-1.0, 1.0], prior.widths[layer + 1])
    w, b = layers[layer]
    layers[layer] = (signs[:, None] * w)[order], (signs * b)[order]
    above, offset = layers[layer + 1]
    layers[layer + 1] = (above * signs)[:, order], offset
    moved = np.concatenate([part.ravel() for pair in layers for part in pair])
    before, after = posterior.field(xi), posterior.field(moved)
    size = np.abs(prior.transform(xi)[-prior.sizes[-1] :]).sum()
    errors = [
        largest(after - before) / size,
        abs(posterior.misfit(moved) / posterior.misfit(xi) - 1.0),
        abs(float(moved @ moved) / float(xi @ xi) - 1.0),
    ]
    return verdict("u, Phi and |xi|^2 of permuted and negated units", max(errors), 1e-10, repr(prior), xi=xi)


def _second_moments(seed: int) -> CheckResult:
    from scinn.inverse import StableNNPrior

    rng = np.random.default_rng(seed)
    prior = random_prior(rng, "gaussian", activation=str(rng.choice(_ODD)))
    x = rng.uniform(-1.0, 1.0, (3, prior.widths[0]))
    bound = float(prior.weight_scale[-1] ** 2 + prior.bias_scale[-1] ** 2)
    h = hidden_layer(prior, rng.standard_normal((50, prior.dim)), x)
    variance = max(float(_conditional_scale(prior, h, c).max() ** 2) for c in np.eye(3))
    wrong = [not prior.moments_exist, variance > bound * (1.0 + 1e-12)]
    for law, activation, exist in (
        (["cauchy", "gaussian"], "tanh", True),
        (["cauchy", "gaussian"], "relu", False),
        (["gaussian", "gaussian"], "relu", True),
        (["gaussian", "cauchy"], "tanh", False),
        (["gaussian", "stable(1.5)"], "sin", False),
        (["cauchy", "laplace"], "sign", True),
    ):
        wrong.append(StableNNPrior([1, 2, 1], law=law, activation=activation).moments_exist != exist)
    return verdict(
        "variance given the features beyond its bound, or a wrong flag", float(sum(wrong)), 0.0, str(wrong)
    )


_SUMS = "stability of sums, given the hidden layers (derived)"
_STEPS = "networks of step functions (derived)"
_ROWS: tuple[tuple[str, str, str, Callable[[int], CheckResult]], ...] = (
    (
        "conditional-law",
        _SUMS,
        "Given the features, every linear functional has the last layer's law with the scale of the formula.",
        _conditional_law,
    ),
    (
        "slope-law",
        _SUMS,
        "Slopes have the conditional law, too, and do not depend on the offset.",
        _increments,
    ),
    (
        "characteristic-function",
        "finite-width law of one hidden layer (Neal 1996; derived)",
        "The characteristic function of values at several points is that of the formula, at every width.",
        _characteristic,
    ),
    (
        "wide-limit",
        "Favaro, Fortini and Peluchetti 2020",
        "Wide deep networks have the scale of the recursion over layers.",
        _wide_limit,
    ),
    (
        "exact-steps",
        _STEPS,
        "With sign units the function is piecewise constant with steps at -b/w.",
        _exact_steps,
    ),
    ("step-count", _STEPS, "The number of steps in an interval has a binomial law.", _step_count),
    (
        "steep-slopes",
        "tail of a tanh unit's slope (derived)",
        "With Cauchy weights a unit's slope exceeds t with a probability of order t^-3.",
        _steep,
    ),
    (
        "jump-shares",
        "figures 1 and 2 of the paper (measured)",
        "The largest step of a Cauchy network's draws stays large where the grid is refined, a Gaussian one's does not.",
        _jump_shares,
    ),
    (
        "equivalent-weights",
        "symmetries of odd units",
        "Permuting units and negating odd ones changes neither function nor misfit nor prior density.",
        _symmetric,
    ),
    (
        "moments",
        "bounded features under a Gaussian last layer (derived)",
        "With bounded units and a Gaussian last layer second moments are bounded, and the flag says where moments exist.",
        _second_moments,
    ),
)

PROPERTIES: tuple[Property, ...] = tuple(
    Property("heavy-tailed-priors", name, theorem, text, run) for name, theorem, text, run in _ROWS
)

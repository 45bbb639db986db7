"""Targets and samplers on which the properties of sampling are tried.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), 2022, arXiv 2112.10663. Notation: densities ``exp(-Phi(xi))`` with respect to ``N(0, I)``.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "PLAIN",
    "OneNumber",
    "bound_sampler",
    "calibration_functions",
    "gaussian_case",
    "network_posterior",
    "one_number",
    "tiny_case",
]

Values = np.ndarray


class OneNumber(NamedTuple):
    """A target on the line with everything that quadrature needs; vectorised."""

    target: Any
    misfit: Callable[[Values], Values]
    gradient: Callable[[Values], Values]
    compiled: bool


def cauchy_by_tail(x: Values) -> Values:
    from scipy import special

    # Beyond 37 the transform stays constant, as the tail is no normal number.
    tail = special.ndtr(-np.minimum(np.abs(x), 37.0))
    return np.asarray(np.sign(x) * np.cos(np.pi * tail) / np.sin(np.pi * tail))


class _Scaled:
    """A prior for one number ``scale * T(xi)`` observed directly."""

    def __init__(self, law: str, scale: float, mean: float = 0.0) -> None:
        self.law, self.scale, self.mean = law, scale, mean

    def on(self, grid: Any) -> Any:
        from scinn.inverse.linear_field import LinearField

        return LinearField(np.eye(grid.n), [self.law], [grid.n], [self.scale], self.mean, grid)


def one_number(rng: np.random.Generator, compiled: bool | None = None) -> OneNumber:
    compiled = bool(rng.random() < 0.7) if compiled is None else compiled
    y, sigma = float(rng.uniform(-1.0, 1.5)), float(rng.uniform(0.3, 1.0))
    if not compiled:

        def misfit(x: Values) -> Values:
            return np.asarray(0.5 * ((np.tanh(x) - y) / sigma) ** 2)

        def gradient(x: Values) -> Values:
            return np.asarray((np.tanh(x) - y) / sigma**2 / np.cosh(x) ** 2)

        target = SimpleNamespace(
            dim=1,
            misfit=lambda xi: float(misfit(xi[0])),
            misfit_and_gradient=lambda xi: (float(misfit(xi[0])), gradient(xi)),
        )
        return OneNumber(target, misfit, gradient, False)
    from scinn.inverse import Identity, InverseProblem, Posterior

    scale = float(rng.uniform(0.3, 1.5))
    problem = InverseProblem(Identity(1), [y], sigma)

    def heavy_misfit(x: Values) -> Values:
        return np.asarray(0.5 * ((scale * cauchy_by_tail(x) - y) / sigma) ** 2)

    def heavy_gradient(x: Values) -> Values:
        value = cauchy_by_tail(x)
        slope = np.sqrt(np.pi / 2.0) * np.exp(-0.5 * x**2) * (1.0 + value**2)
        return np.asarray((scale * value - y) / sigma**2 * scale * slope)

    return OneNumber(Posterior(_Scaled("cauchy", scale), problem), heavy_misfit, heavy_gradient, True)


def network_posterior(rng: np.random.Generator, last: str = "gaussian") -> Any:
    """Return the posterior of a small network with data of its own prior."""
    from scinn.inverse import Identity, InverseProblem, Posterior, StableNNPrior

    prior = StableNNPrior(
        [1, int(rng.integers(2, 5)), 1], law=[str(rng.choice(["cauchy", "laplace"])), last], weight_scale=(3.0, 1.0),
        bias_scale=(2.0, 0.5),
    )  # fmt: skip
    x = np.linspace(-1.0, 1.0, 5)
    data = prior.sample(rng, x=x) + rng.standard_normal(5)
    return Posterior(prior, InverseProblem(Identity(5), data, float(rng.uniform(0.5, 1.5))))


def gaussian_case(rng: np.random.Generator, n: int = 4, noise: float = 1.0) -> tuple[Any, Any]:
    """Return a posterior with a Gaussian process prior that has a mean, and its closed form."""
    from scinn.inverse import GaussianProcessPrior, InverseProblem, Posterior

    prior = GaussianProcessPrior("exponential", 0.5, 1.0, mean=float(rng.uniform(-5.0, 5.0)), jitter=0.0)
    matrix = rng.standard_normal((3, n)) / np.sqrt(n)
    data = matrix @ prior.sample(rng, grid=n) + rng.standard_normal(3)
    problem = InverseProblem(matrix, data, noise * float(rng.uniform(0.5, 1.5)))
    return Posterior(prior, problem), prior.posterior(problem)


def bound_sampler(name: str, target: Any, rng: np.random.Generator, size: float | None = None) -> Any:
    """Return a sampler with a step size that moves on weak data."""
    from scinn import inverse

    sizes = {"PCN": (0.4, 0.9), "AdaptivePCN": (0.4, 0.9), "GPCN": (0.5, 0.95), "CollapsedPCN": (0.4, 0.9)}
    sizes |= {"PCNL": (0.1, 0.5), "InfMALA": (0.2, 1.0), "MALA": (0.2, 1.0), "RandomWalk": (0.4, 1.5)}
    sizes |= {"InfHMC": (0.2, 0.6), "HMC": (0.2, 0.6), "CollapsedInfHMC": (0.2, 0.5)}
    step = size if size is not None else float(rng.uniform(*sizes[name])) if name in sizes else 0.0
    kind = getattr(inverse, name)
    if name in ("PCN", "AdaptivePCN", "CollapsedPCN"):
        return kind(target, beta=step)
    if name == "GPCN":
        vectors = np.linalg.qr(rng.standard_normal((target.dim, target.dim)))[0][:, : max(1, target.dim // 2)]
        return kind(target, beta=step, reference=(vectors, rng.uniform(0.0, 5.0, vectors.shape[1])))
    if name == "PCNL":
        return kind(target, delta=step)
    if name in ("InfHMC", "HMC", "CollapsedInfHMC"):
        return kind(target, step_size=step, n_leapfrog=int(rng.integers(1, 5)))
    return kind(target) if name == "EllipticalSlice" else kind(target, step_size=step)


PLAIN = (
    "PCN",
    "GPCN",
    "AdaptivePCN",
    "EllipticalSlice",
    "PCNL",
    "InfMALA",
    "InfHMC",
    "RandomWalk",
    "MALA",
    "HMC",
)


def tiny_case(last: str = "gaussian") -> tuple[Any, Any, Callable[..., np.ndarray], Callable[[Any], Any]]:
    """Return a network of three hidden units on three weak data, for calibration in seconds.

    Parameters
    ----------
    last : str
        Law of the last layer.

    Returns
    -------
    prior : StableNNPrior
    draw : callable
        ``draw(rng) -> white coordinates``.
    simulate : callable
        ``simulate(rng, xi) -> data (3,)`` with noise of variance 1.
    posterior : callable
        ``posterior(data) -> Posterior``.
    """
    from scinn.inverse import Identity, InverseProblem, Posterior, StableNNPrior

    prior = StableNNPrior([1, 3, 1], law=("cauchy", last), weight_scale=(3.0, 1.5), bias_scale=(2.0, 0.5))
    x = np.linspace(-1.0, 1.0, 3)
    problem = InverseProblem(Identity(3), np.zeros(3), 1.0)

    def draw(rng: np.random.Generator) -> np.ndarray:
        return rng.standard_normal(prior.dim)

    def simulate(rng: np.random.Generator, xi: np.ndarray) -> np.ndarray:
        return np.asarray(prior.forward(xi, x) + rng.standard_normal(3))

    return prior, draw, simulate, lambda data: Posterior(prior, problem.with_data(data))


def calibration_functions(prior: Any) -> dict[str, Callable[..., float]]:
    """Return test functions: bounded ones of the function, the coordinates' size, and one that sees the data."""
    x = np.linspace(-1.0, 1.0, 3)

    def fit(xi: np.ndarray, data: np.ndarray) -> float:
        return float(np.tanh(0.2 * np.sum((prior.forward(xi, x) - data) ** 2)))

    return {
        "squared norm": lambda xi: float(xi @ xi),
        "first": lambda xi: float(xi[0]),
        "last": lambda xi: float(xi[-1]),
        "product": lambda xi: float(np.tanh(xi[0] * xi[3])),
        "left": lambda xi: float(np.arctan(prior.forward(xi, x)[0])),
        "fit": fit,
    }

"""Properties of ensemble Kalman methods in white coordinates.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), 2022, arXiv 2112.10663, name ensemble-based approximations. C. Bishop, B. Etherton, S. Majumdar 2001 (square roots);
M. Iglesias, K. Law, A. Stuart 2013 (inversion); A. Emerick, A. Reynolds 2013 (multiple data assimilation); G. Evensen et al.
2019 (subspace smoother). Notation: members U (J, d), whitened predictions V (J, m), data y, tempering time t.

References are dense Kalman formulas with the ensemble's own mean and covariance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scinn.verify.arrays import largest
from scinn.verify.registry import Property
from scinn.verify.result import CheckResult, verdict

__all__ = ["PROPERTIES"]


class _Linear:
    """Linear predictions of any size."""

    def __init__(self, matrix: np.ndarray, data: np.ndarray) -> None:
        self.matrix, self.data, self.dim = matrix, data, matrix.shape[1]

    def predict(self, xi: np.ndarray) -> np.ndarray:
        return xi @ self.matrix.T


def _case(rng: np.random.Generator) -> tuple[_Linear, np.ndarray]:
    """Return linear predictions and an ensemble: fewer or more members than coordinates, and than data."""
    d, m, n = int(rng.integers(1, 9)), int(rng.integers(1, 9)), int(rng.integers(2, 13))
    target = _Linear(rng.standard_normal((m, d)), 2.0 * rng.standard_normal(m))
    return target, rng.standard_normal((n, d)) * rng.uniform(0.3, 2.0) + rng.standard_normal(d)


def _moments(ensemble: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    deviations = ensemble - ensemble.mean(axis=0)
    return ensemble.mean(axis=0), deviations.T @ deviations / (len(ensemble) - 1)


def _kalman(
    target: _Linear, ensemble: np.ndarray, time: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean and covariance at a tempering time, with the ensemble's Gaussian as the prior, and the gain."""
    mean, covariance = _moments(ensemble)
    g = target.matrix
    inner = g @ covariance @ g.T + np.eye(len(g)) / time
    gain = np.linalg.solve(inner, g @ covariance).T
    return mean + gain @ (target.data - g @ mean), covariance - gain @ g @ covariance, gain


def _inflations(rng: np.random.Generator) -> list[float]:
    shares = rng.dirichlet(np.ones(int(rng.integers(1, 6))))
    return [float(1.0 / share) for share in np.maximum(shares, 1e-3) / np.maximum(shares, 1e-3).sum()]


def _run(method: str, target: Any, ensemble: np.ndarray, **options: Any) -> np.ndarray:
    from scinn.inverse import EnsembleKalman

    rng = options.pop("rng", 0)
    return EnsembleKalman(target, len(ensemble), method=method, init=ensemble, **options).run(rng).ensemble


def _square_root(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    target, ensemble = _case(rng)
    schedule = _inflations(rng)
    mean, covariance = _moments(_run("etki", target, ensemble, inflation=schedule))
    wanted_mean, wanted_covariance, _ = _kalman(target, ensemble)
    error = largest(mean - wanted_mean, covariance - wanted_covariance)
    size = max(1.0, largest(ensemble) ** 2, largest(target.data))
    return verdict("mean and covariance - Kalman's", error / size, 1e-10, f"{schedule}", ensemble=ensemble)


def _perturbed(seed: int) -> CheckResult:
    from scinn.inverse.ensembles import esmda_update

    rng = np.random.default_rng(seed)
    target, ensemble = _case(rng)
    alpha = float(rng.uniform(1.0, 8.0))
    noise = rng.standard_normal((len(ensemble), len(target.data)))
    predicted = target.predict(ensemble)
    _, _, gain = _kalman(target, ensemble, 1.0 / alpha)
    wanted = ensemble + (target.data + np.sqrt(alpha) * noise - predicted) @ gain.T
    got = esmda_update(ensemble, predicted, target.data, alpha, noise)
    return verdict(
        "perturbed update - its definition", largest(got - wanted) / max(1.0, largest(wanted)), 1e-10
    )


def _smoothers_agree(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    target, ensemble = _case(rng)
    noise = rng.standard_normal((1, len(ensemble), len(target.data)))
    once = _run("esmda", target, ensemble, inflation=1, perturbations=noise)
    again = [
        _run("ies", target, ensemble, step=step, perturbations=noise[0], tolerance=1e-13, max_iterations=200)
        for step in (1.0, 0.6)
    ]
    error = max(largest(own - once) for own in again) / max(1.0, largest(once))
    return verdict(
        "subspace smoother - stochastic smoother with the same noise", error, 1e-8, ensemble=ensemble
    )


def _span(seed: int) -> CheckResult:
    rng = np.random.default_rng(seed)
    target, ensemble = _case(rng)
    ensemble = ensemble[: max(2, target.dim // 2)]
    choices: list[tuple[str, dict[str, Any]]] = [
        ("esmda", {"inflation": 3}),
        ("etki", {"inflation": 2}),
        ("ies", {"max_iterations": 100}),
        *(("eki", {"form": form, "step": 0.5, "max_iterations": 4, "discrepancy": 0.0}) for form in _FORMS),
    ]
    method, options = choices[int(rng.integers(len(choices)))]
    result = _run(method, target, ensemble, rng=seed, **options)
    basis = (ensemble - ensemble.mean(axis=0)).T
    moved = (result - ensemble.mean(axis=0)).T
    rest = moved - basis @ np.linalg.lstsq(basis, moved, rcond=None)[0]
    return verdict(f"{method}: distance from the affine span", largest(rest) / max(1.0, largest(moved)), 1e-9)


_FORMS = ("square_root", "common_gain", "perturbed")


def _trajectory(seed: int) -> CheckResult:
    from scinn.inverse.ensembles import eki_update

    rng = np.random.default_rng(seed)
    target, ensemble = _case(rng)
    members, time, worst = ensemble, 0.0, 0.0
    for dt in rng.exponential(2.0, 5):
        members = eki_update(members, target.predict(members), target.data, float(dt))
        time += float(dt)
        mean, covariance = _moments(members)
        wanted_mean, wanted_covariance, _ = _kalman(target, ensemble, time)
        worst = max(worst, largest(mean - wanted_mean, covariance - wanted_covariance))
    size = max(1.0, largest(ensemble) ** 2, largest(target.data))
    return verdict("square-root inversion - Kalman at each time", worst / size, 1e-9, f"time {time:.3f}")


def _rates(seed: int) -> CheckResult:
    from scinn.inverse.ensembles import eki_update

    rng = np.random.default_rng(seed)
    # One coordinate and one datum: the residual is 1 / (1 + p t) of the first for square roots, and its root else.
    ensemble = rng.standard_normal((int(rng.integers(2, 9)), 1))
    target = _Linear(np.array([[rng.uniform(0.5, 2.0)]]), np.array([3.0]))
    variance = float(np.var(target.predict(ensemble), ddof=1))
    dt, n = 0.005 / variance, 400
    gaps = []
    for form, power in (("square_root", 1.0), ("common_gain", 0.5)):
        members = ensemble
        first = float(target.data[0] - target.predict(ensemble).mean())
        for _ in range(n):
            members = eki_update(members, target.predict(members), target.data, dt, form)
        left = float(target.data[0] - target.predict(members).mean()) / first
        # For the common gain the variance falls twice as fast as it should: 1 / (1 + 2 p t).
        speed = variance if power == 1.0 else 2.0 * variance
        gaps.append(abs(left * (1.0 + speed * dt * n) ** power - 1.0))
    return verdict(
        "residual after long times against (1 + p t)^-1 and (1 + 2 p t)^-1/2", max(gaps), 5e-3, f"{gaps}"
    )


def _permuted(seed: int) -> CheckResult:
    from scinn.inverse.ensembles import eki_update, esmda_update, etki_update, ies_update

    rng = np.random.default_rng(seed)
    target, ensemble = _case(rng)
    predicted = np.tanh(target.predict(ensemble))
    noise = rng.standard_normal(predicted.shape)
    order = rng.permutation(len(ensemble))
    data, alpha = target.data, float(rng.uniform(1.0, 5.0))
    updates: list[Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = [
        lambda u, v, e: esmda_update(u, v, data, alpha, e),
        lambda u, v, e: etki_update(u, v, data, alpha),
        lambda u, v, e: eki_update(u, v, data, 1.0 / alpha, "common_gain"),
        lambda u, v, e: ies_update(np.zeros((len(u), len(u))), v, data + e) @ (u - u.mean(axis=0)),
    ]
    update = updates[int(rng.integers(len(updates)))]
    gap = update(ensemble[order], predicted[order], noise[order]) - update(ensemble, predicted, noise)[order]
    return verdict(
        "update of permuted members - permuted update", largest(gap) / max(1.0, largest(ensemble)), 1e-10
    )


def _symmetry_trap(seed: int) -> CheckResult:
    from scinn.inverse import Deconvolution1D, Posterior, StableNNPrior
    from scinn.inverse.ensembles import etki_update

    rng = np.random.default_rng(seed)
    depth = int(rng.integers(1, 3))
    widths = [1, *(int(w) for w in rng.integers(2, 6, depth)), 1]
    last = str(rng.choice(["gaussian", "cauchy"]))
    prior = StableNNPrior(
        widths,
        law=["cauchy"] * depth + [last],
        weight_scale=[5.0] + [1.0] * depth,
        bias_scale=[5.0] + [0.5] * depth,
    )
    problem = Deconvolution1D(dim=17, PSF="gaussian", PSF_param=0.1, noise_std=0.1, rng=seed)
    posterior = Posterior(prior, problem)
    # Draws from the prior together with all their images under three of its symmetries: the last weights negated, the
    # units below negated, the offset negated. Each draw is as likely as its images.
    images = rng.standard_normal((3, prior.dim))
    below = prior.hidden_dim - prior.sizes[-2]
    for own in (
        slice(prior.hidden_dim, prior.dim - 1),
        slice(below, prior.hidden_dim),
        slice(prior.dim - 1, prior.dim),
    ):
        mirrored = images.copy()
        mirrored[:, own] *= -1.0
        images = np.vstack([images, mirrored])
    predicted = posterior.predict(images)
    moved = etki_update(images, predicted, posterior.data).mean(axis=0) - images.mean(axis=0)
    size = largest(moved[-1]) + 1e-3
    return verdict(
        "move of all coordinates but the offset, over that of the offset",
        largest(moved[:-1]) / size,
        1e-8,
        repr(prior),
    )


def _last_layer(seed: int) -> CheckResult:
    from scinn.inverse import Deconvolution1D, Posterior, StableNNPrior
    from scinn.inverse.ensembles import last_layer_ensemble

    rng = np.random.default_rng(seed)
    width = int(rng.integers(1, 6))
    prior = StableNNPrior(
        [1, width, 1], law=("cauchy", "gaussian"), weight_scale=(5.0, 1.0), bias_scale=(5.0, 0.5)
    )
    problem = Deconvolution1D(dim=17, PSF="gaussian", PSF_param=0.1, noise_std=0.3, rng=seed)
    posterior = Posterior(prior, problem)
    centre = rng.standard_normal(prior.dim)
    start = last_layer_ensemble(centre, prior.hidden_dim, 4 * (width + 2), rng)
    # Whitened such that its Gaussian is the prior's: the update is then the exact conditional law.
    last = start[:, prior.hidden_dim :] - start[:, prior.hidden_dim :].mean(axis=0)
    root = np.linalg.cholesky(last.T @ last / (len(last) - 1))
    start[:, prior.hidden_dim :] = np.linalg.solve(root, last.T).T
    got_mean, got_covariance = _moments(_run("etki", posterior, start, inflation=2)[:, prior.hidden_dim :])
    mean, covariance = posterior.collapse().last_layer(centre[: prior.hidden_dim])
    error = largest(got_mean - mean, got_covariance - covariance)
    return verdict("ensemble on the last layer - its conditional law", error, 1e-9, repr(prior))


_TRANSFORM = "Bishop, Etherton and Majumdar 2001"
_INVERSION = "Iglesias, Law and Stuart 2013"
_ROWS: tuple[tuple[str, str, str, Callable[[int], CheckResult]], ...] = (
    (
        "square-root-update",
        _TRANSFORM,
        "Any inflations whose inverses sum to one give Kalman's mean and covariance on linear problems.",
        _square_root,
    ),
    (
        "perturbed-update",
        "Emerick and Reynolds 2013",
        "The perturbed update is the one of its definition.",
        _perturbed,
    ),
    (
        "subspace-smoother",
        "Evensen, Raanes, Stordal and Hove 2019",
        "On linear problems the subspace smoother ends at the stochastic smoother with the same noise.",
        _smoothers_agree,
    ),
    ("affine-span", _INVERSION, "Members stay in the affine span of the first ensemble.", _span),
    (
        "inversion-trajectory",
        _INVERSION,
        "Square-root inversion has Kalman's mean and covariance at each tempering time.",
        _trajectory,
    ),
    (
        "inversion-rates",
        _INVERSION,
        "Without noise the residual falls like 1/t for square roots and like its root for a common gain.",
        _rates,
    ),
    ("members-alike", _TRANSFORM, "Updates do not depend on the order of the members.", _permuted),
    (
        "symmetry-trap",
        "symmetries of network priors (derived)",
        "Over an ensemble with the prior's symmetries nothing but the output's offset is moved.",
        _symmetry_trap,
    ),
    (
        "last-layer-ensemble",
        "Gaussian conditioning",
        "An ensemble on a Gaussian last layer ends at its exact conditional law.",
        _last_layer,
    ),
)

PROPERTIES: tuple[Property, ...] = tuple(
    Property("heavy-tailed-priors", name, theorem, text, run) for name, theorem, text, run in _ROWS
)

"""Small targets on which samplers are tested."""

from __future__ import annotations

import numpy as np
import pytest


class LinearGaussian:
    """``y = A (mean + xi) + noise``: the posterior is Gaussian and known."""

    def __init__(self, matrix, data, mean=0.0):
        self.matrix = np.asarray(matrix, dtype=float)
        self.dim = self.matrix.shape[1]
        self.data = np.asarray(data, dtype=float) - self.matrix @ np.full(self.dim, mean)
        self.model = None
        precision = np.eye(self.dim) + self.matrix.T @ self.matrix
        self.covariance = np.linalg.inv(precision)
        self.mean = self.covariance @ self.matrix.T @ self.data

    def misfit(self, xi, stop_above=np.inf):
        return 0.5 * float(np.sum((self.matrix @ xi - self.data) ** 2))

    def misfit_and_gradient(self, xi):
        residual = self.matrix @ xi - self.data
        return 0.5 * float(residual @ residual), self.matrix.T @ residual

    def jacobian(self, xi):
        return self.matrix

    def draw(self, rng):
        return self.mean + np.linalg.cholesky(self.covariance) @ rng.standard_normal(self.dim)


class Plain:
    """A target as a user writes one: no compiled model, and no second argument of the misfit."""

    def __init__(self, target):
        self._target = target
        self.dim = target.dim

    def misfit(self, xi):
        return self._target.misfit(xi)

    def misfit_and_gradient(self, xi):
        return self._target.misfit_and_gradient(xi)

    def jacobian(self, xi):
        return self._target.jacobian(xi)

    def collapse(self):
        hidden = self._target.collapse()
        plain = Plain(hidden)
        plain.complete = hidden.complete
        return plain


class Flat:
    """The prior itself."""

    def __init__(self, dim):
        self.dim = dim

    def misfit(self, xi, stop_above=np.inf):
        return 0.0

    def misfit_and_gradient(self, xi):
        return 0.0, np.zeros(self.dim)


class Curved:
    """One coordinate, ``Phi = ((tanh x - 0.5) / 0.4)^2 / 2``."""

    dim = 1

    def misfit(self, xi, stop_above=np.inf):
        return 0.5 * ((float(np.tanh(xi[0])) - 0.5) / 0.4) ** 2

    def misfit_and_gradient(self, xi):
        h = np.tanh(xi)
        return self.misfit(xi), (h - 0.5) / 0.16 * (1.0 - h**2)


@pytest.fixture
def linear_gaussian():
    rng = np.random.default_rng(11)
    return LinearGaussian(rng.standard_normal((4, 3)), rng.standard_normal(4))


@pytest.fixture(scope="session")
def targets():
    from types import SimpleNamespace

    return SimpleNamespace(LinearGaussian=LinearGaussian, Plain=Plain, Flat=Flat, Curved=Curved)


@pytest.fixture(scope="session")
def posterior():
    """Return the posterior of a small network with Cauchy hidden and Gaussian last layer."""
    return _posterior("tanh")


@pytest.fixture(scope="session")
def sign_posterior():
    return _posterior("sign")


def _posterior(activation):
    from scinn.inverse.grids import uniform_grid
    from scinn.inverse.inverse_problem import InverseProblem
    from scinn.inverse.network_prior import StableNNPrior
    from scinn.inverse.operators import Identity
    from scinn.inverse.posterior import Posterior

    grid = uniform_grid(5)
    prior = StableNNPrior(
        [1, 3, 1],
        law=("cauchy", "gaussian"),
        weight_scale=(3.0, 1.0),
        bias_scale=(2.0, 0.5),
        activation=activation,
    )
    problem = InverseProblem(Identity(grid), np.array([0.0, 0.0, 1.0, 1.0, 0.2]), noise_std=0.5, grid=grid)
    return Posterior(prior, problem)

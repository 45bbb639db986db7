"""Posteriors of functions given indirect noisy data, in white coordinates.

Li, Dunlop, Stadler (2022), "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), arXiv 2112.10663. With ``y = G u + eta``, ``eta ~ N(0, Gamma)`` and ``W = Gamma^(-1/2)``::

    Phi(xi) = |W (y - G u_xi)|^2 / 2        misfit
    posterior density with respect to N(0, I):  exp(-Phi) / Z
    log posterior density (up to a constant):   -Phi(xi) - |xi|^2 / 2

Where the last layer is Gaussian, ``u = H diag(s) v`` with the hidden features H and ``v ~ N(0, I)``, so that with
``B = W G H diag(s)``, ``r = W y`` and ``M = I + B^T B``::

    v | hidden, y ~ N(M^-1 B^T r, M^-1)
    -log E_v exp(-Phi) = (|r|^2 - r^T B M^-1 B^T r) / 2 + log det(M) / 2
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scinn._input import as_float_array
from scinn.inverse.inverse_problem import InverseProblem
from scinn.inverse.laws import Law
from scinn.inverse.linear_field import LinearField
from scinn.inverse.model import CompiledModel, linear_model
from scinn.inverse.network_prior import StableNNPrior
from scinn.kernels import collapsed_model
from scinn.kernels.inverse_model import Model
from scinn.random import RandomState, as_generator

__all__ = ["CollapsedPosterior", "Posterior"]


class Posterior:
    """Posterior of a prior's white coordinates given a problem's data.

    Parameters
    ----------
    prior : StableNNPrior or a prior with ``on(grid)``
        The network prior, or one that is linear in its coefficients on a grid: :class:`GaussianProcessPrior`,
        :class:`CauchyDifferencePrior`, :class:`BesovPrior`.
    problem : InverseProblem
        Operator, data, noise and grid.

    Attributes
    ----------
    dim : int
        Number of white coordinates.
    data : ndarray of float64, shape (m,)
        Whitened data, less the whitened image of the prior's mean.
    points : ndarray of float64, shape (n, d)
        Grid points.
    shape : tuple of int
        Of the grid.
    model : Model
        The arrays on which the compiled samplers work.

    Raises
    ------
    ValueError
        Where the prior's input dimension is not that of the grid.

    References
    ----------
    C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.inverse import Deconvolution1D, Posterior, StableNNPrior
    >>> problem = Deconvolution1D(dim=65, PSF="gaussian", PSF_param=0.05, noise_std=0.05, rng=0)
    >>> posterior = Posterior(StableNNPrior([1, 10, 10, 1], law=("cauchy", "cauchy", "gaussian")), problem)
    >>> xi = posterior.prior.sample(0)
    >>> bool(np.isclose(posterior.logpdf(xi), -posterior.misfit(xi) - 0.5 * xi @ xi))
    True
    >>> posterior.collapse().dim
    130
    """

    def __init__(self, prior: Any, problem: InverseProblem) -> None:
        if not isinstance(problem, InverseProblem):
            raise TypeError(
                f"problem is a {type(problem).__name__}; an InverseProblem is wanted, for example Deconvolution1D(...)"
            )
        self.prior = prior
        self.problem = problem
        self.points = problem.grid.points
        self.shape = problem.grid.shape
        self._field: LinearField | None = None
        if isinstance(prior, StableNNPrior):
            if prior.widths[0] != self.points.shape[1]:
                raise ValueError(
                    f"prior takes inputs of dimension {prior.widths[0]} and the problem's grid has {self.points.shape[1]}: "
                    f"start widths with {self.points.shape[1]}"
                )
            self.model = prior.model(self.points, problem.whitened_operator(), problem.whitened_data)
        elif callable(getattr(prior, "on", None)):
            self._field = prior.on(problem.grid)
            images = np.column_stack(
                [problem.whiten(problem.operator.apply(column)) for column in self._field.matrix.T]
            )
            mean = problem.whiten(problem.operator.apply(self._field.mean))
            self.model = linear_model(
                self._field.sizes, self._field.laws, self._field.scales, images, problem.whitened_data - mean
            )
        else:
            raise TypeError(
                f"prior is a {type(prior).__name__}; a StableNNPrior, or a prior with on(grid), is wanted"
            )
        self._compiled = CompiledModel(self.model)
        self.dim = self._compiled.n_coordinates
        self.data = self.model.data

    def __repr__(self) -> str:
        return f"Posterior(dim={self.dim}, n_data={self.n_data}, grid={self.shape}, prior={self.prior!r})"

    @property
    def n_data(self) -> int:
        """Number of data."""
        return len(self.data)

    @property
    def differentiable(self) -> bool:
        """Whether gradients say anything: not for the sign activation."""
        return getattr(self.prior, "activation", "") != "sign"

    @property
    def can_collapse(self) -> bool:
        """Whether the last layer is Gaussian, so that it can be integrated out."""
        return isinstance(self.prior, StableNNPrior) and self.prior.laws[-1].name == "gaussian"

    def misfit(self, xi: Any, stop_above: float = np.inf) -> float:
        """Return ``Phi``; NaN counts as infinite.

        Parameters
        ----------
        xi : array-like, shape (dim,)
        stop_above : float, optional
            The sum over data may end early, with any value above this, once it is above.

        Returns
        -------
        float
        """
        return self._compiled.misfit(self._coordinates(xi), stop_above)

    def misfit_and_gradient(self, xi: Any) -> tuple[float, np.ndarray]:
        """Return ``Phi`` and its gradient in white coordinates.

        Parameters
        ----------
        xi : array-like, shape (dim,)

        Returns
        -------
        float
        ndarray of float64, shape (dim,)

        Raises
        ------
        ValueError
            For the sign activation.
        """
        self._check_gradient()
        return self._compiled.misfit_and_gradient(self._coordinates(xi))

    def misfit_and_gradient_of_weights(self, theta: Any) -> tuple[float, np.ndarray]:
        """Return ``Phi`` and its gradient in the values of the unit laws, weights divided by their scales.

        Parameters
        ----------
        theta : array-like, shape (n_weights,)
            Flat, in units of the layers' scales.

        Returns
        -------
        float
        ndarray of float64, shape (n_weights,)
        """
        self._check_gradient()
        n_weights = sum(size for _, size in self.blocks)
        values = as_float_array(theta, "theta", shape=(n_weights,), dtype=np.float64)
        return self._compiled.misfit_and_gradient_of_weights(
            values if values.flags.writeable else values.copy()
        )

    def logpdf(self, xi: Any) -> float:
        """Return the log posterior density up to a constant, ``-Phi - |xi|^2 / 2``.

        Parameters
        ----------
        xi : array-like, shape (dim,)

        Returns
        -------
        float
        """
        own = self._coordinates(xi)
        return -self._compiled.misfit(own) - 0.5 * float(own @ own)

    def grad(self, xi: Any) -> np.ndarray:
        """Return the gradient of :meth:`logpdf`.

        Parameters
        ----------
        xi : array-like, shape (dim,)

        Returns
        -------
        ndarray of float64, shape (dim,)
        """
        own = self._coordinates(xi)
        return -self.misfit_and_gradient(own)[1] - own

    def jacobian(self, xi: Any) -> np.ndarray:
        """Return the derivative of the whitened predictions.

        Parameters
        ----------
        xi : array-like, shape (dim,)

        Returns
        -------
        ndarray of float64, shape (m, dim)
        """
        self._check_gradient()
        return self._compiled.jacobian(self._coordinates(xi))

    def predict(self, xi: Any) -> np.ndarray:
        """Return the whitened predictions; ``Phi`` is half the squared distance of `data` to them.

        Parameters
        ----------
        xi : array-like, shape (dim,) or (J, dim)

        Returns
        -------
        ndarray of float64, shape (m,) or (J, m)
        """
        return self._compiled.predict(self._coordinates(xi, (1, 2)))

    def field(self, xi: Any) -> np.ndarray:
        """Return the function on the grid.

        Parameters
        ----------
        xi : array-like, shape (dim,) or (J, dim)

        Returns
        -------
        ndarray of float64, shape (shape ...) or (J, shape ...)
        """
        own = self._coordinates(xi, (1, 2))
        values = self._compiled.field(own) if self._field is None else self._field.field(own)
        return values.reshape(*own.shape[:-1], *self.shape)

    def collapse(self) -> CollapsedPosterior:
        """Return the posterior of the hidden layers, the last one integrated out exactly.

        Returns
        -------
        CollapsedPosterior

        Raises
        ------
        ValueError
            Where the last layer is not Gaussian.
        """
        return CollapsedPosterior(self)

    @property
    def blocks(self) -> tuple[tuple[Law, int], ...]:
        """Unit law and number of weights of each block: a layer, or a part of a linear prior's coefficients."""
        if self._field is None:
            return tuple(zip(self.prior.laws, self.prior.sizes))
        return tuple(zip(self._field.laws, self._field.sizes))

    def _check_gradient(self) -> None:
        if not self.differentiable:
            raise ValueError(
                "activation is 'sign', whose derivative is zero almost everywhere: use a sampler without gradients (PCN, "
                "EllipticalSlice) or activation='tanh'"
            )

    def _coordinates(self, xi: Any, dimensions: tuple[int, ...] = (1,)) -> np.ndarray:
        return _coordinates(xi, self.dim, dimensions)


class CollapsedPosterior:
    """Posterior of the white coordinates below a Gaussian last layer, which is integrated out.

    Parameters
    ----------
    posterior : Posterior
        Of a network prior whose last law is Gaussian.

    Attributes
    ----------
    dim : int
        Number of white coordinates of the hidden layers.
    model : Model
        The arrays on which the compiled samplers work.

    Raises
    ------
    ValueError
        Where the last layer is not Gaussian.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.inverse import Deconvolution1D, Posterior, StableNNPrior
    >>> prior = StableNNPrior([1, 10, 10, 1], law=("cauchy", "cauchy", "gaussian"))
    >>> problem = Deconvolution1D(dim=65, PSF="gaussian", PSF_param=0.05, noise_std=0.05, rng=0)
    >>> collapsed = Posterior(prior, problem).collapse()
    >>> mean, covariance = collapsed.last_layer(np.zeros(collapsed.dim))
    >>> covariance.shape
    (11, 11)
    """

    def __init__(self, posterior: Posterior) -> None:
        if not posterior.can_collapse:
            law = (
                posterior.prior.laws[-1].name if isinstance(posterior.prior, StableNNPrior) else "no network"
            )
            raise ValueError(
                f"the last layer can be integrated out only where its law is 'gaussian', and here it is {law!r}: use "
                "StableNNPrior(..., law=('cauchy', ..., 'gaussian'))"
            )
        self.posterior = posterior
        self.prior = posterior.prior
        self.dim = posterior.prior.hidden_dim
        self.model: Model = posterior.model._replace(collapsed=1)
        self._compiled = CompiledModel(self.model)

    def __repr__(self) -> str:
        return f"CollapsedPosterior(dim={self.dim}, of {self.posterior!r})"

    def misfit(self, xi: Any, stop_above: float = np.inf) -> float:
        """Return ``-log E_v exp(-Phi)``.

        Parameters
        ----------
        xi : array-like, shape (dim,)
        stop_above : float, optional
            As for :meth:`Posterior.misfit`.

        Returns
        -------
        float
        """
        return self._compiled.misfit(self._coordinates(xi), stop_above)

    def misfit_and_gradient(self, xi: Any) -> tuple[float, np.ndarray]:
        """Return the collapsed misfit and its gradient.

        Parameters
        ----------
        xi : array-like, shape (dim,)

        Returns
        -------
        float
        ndarray of float64, shape (dim,)
        """
        self.posterior._check_gradient()
        return self._compiled.misfit_and_gradient(self._coordinates(xi))

    def logpdf(self, xi: Any) -> float:
        """Return the log posterior density of the hidden coordinates, up to a constant.

        Parameters
        ----------
        xi : array-like, shape (dim,)

        Returns
        -------
        float
        """
        own = self._coordinates(xi)
        return -self._compiled.misfit(own) - 0.5 * float(own @ own)

    def grad(self, xi: Any) -> np.ndarray:
        """Return the gradient of :meth:`logpdf`, shape (dim,)."""
        own = self._coordinates(xi)
        return -self.misfit_and_gradient(own)[1] - own

    def last_layer(self, xi: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and covariance of the last layer's white coordinates given the others and the data.

        Parameters
        ----------
        xi : array-like, shape (dim,)

        Returns
        -------
        ndarray of float64, shape (D_L + 1,)
            In the flat order: weights, then the bias.
        ndarray of float64, shape (D_L + 1, D_L + 1)
        """
        own = self._coordinates(xi)
        b = self._images(own)
        covariance = np.linalg.inv(np.eye(b.shape[1]) + b.T @ b)
        return covariance @ (b.T @ self.posterior.data), covariance

    def last_layer_mean(self, xi: Any) -> np.ndarray:
        """Return the mean of :meth:`last_layer` alone, by the fast kernel; shape (D_L + 1,)."""
        return self._compiled.last_layer_mean(self._coordinates(xi))

    def features(self, xi: Any) -> np.ndarray:
        """Return the last hidden layer on the grid times the last layer's scales, shape (n, D_L + 1).

        The function is this matrix times the last layer's white coordinates.
        """
        own = self._compiled.features(self._coordinates(xi))
        own[:, :-1] *= self.model.weight_scales[-1]
        own[:, -1] *= self.model.bias_scales[-1]
        return own

    def complete(self, xi: Any, rng: RandomState = None) -> np.ndarray:
        """Draw the last layer from its conditional law.

        Parameters
        ----------
        xi : array-like, shape (dim,)
            White coordinates of the hidden layers.
        rng : int, SeedSequence, Generator, Key or None

        Returns
        -------
        ndarray of float64, shape (posterior.dim,)
            All white coordinates.
        """
        own = self._coordinates(xi)
        out = np.empty(self.posterior.dim)
        out[: self.dim] = own
        noise = as_generator(rng).standard_normal(self.posterior.dim - self.dim)
        collapsed_model.draw_last_layer(self.model, own, noise, self._compiled.work, out[self.dim :])
        return out

    def _images(self, xi: np.ndarray) -> np.ndarray:
        problem = self.posterior.problem
        columns = self.features(xi).T
        return np.column_stack(
            [problem.whiten(problem.operator.apply(c.reshape(self.posterior.shape))) for c in columns]
        )

    def _coordinates(self, xi: Any) -> np.ndarray:
        return _coordinates(xi, self.dim, (1,))


def _coordinates(xi: Any, dim: int, dimensions: tuple[int, ...]) -> np.ndarray:
    if type(xi) is np.ndarray and xi.dtype == np.float64 and xi.flags.carray and xi.shape == (dim,):
        # Optimisers and samplers come here at every step: what the kernels can take passes at once, NaN included,
        # whose misfit is infinite.
        return xi
    own = as_float_array(xi, "xi", dtype=np.float64)
    if own.ndim not in dimensions or own.shape[-1] != dim:
        wanted = f"({dim},)" + (f" or (J, {dim})" if 2 in dimensions else "")
        raise ValueError(f"xi has shape {own.shape}; white coordinates of shape {wanted} are wanted")
    return own if own.flags.writeable else own.copy()

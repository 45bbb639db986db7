"""An inverse problem: an operator, data, and the law of their noise.

Of the setting of C. Li, M. Dunlop and G. Stadler, "Bayesian neural network priors for edge-preserving inversion",
Inverse Problems and Imaging 16(5), 2022, arXiv 2112.10663. Notation: data ``y = G u + eta`` with noise
``eta ~ N(0, Gamma)``; misfit ``Phi = |W (G u - y)|^2 / 2`` with the whitening ``W = L^-1``, ``Gamma = L L^T``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from scinn._input import as_float_array
from scinn.inverse.grids import Grid, as_grid, uniform_grid
from scinn.inverse.operators import LinearForward, as_operator

__all__ = ["InverseProblem"]


@dataclass(frozen=True, eq=False, repr=False)
class InverseProblem:
    """Data, the operator that made them, and their noise.

    Parameters
    ----------
    operator : LinearForward, array-like, sparse matrix or LinearOperator
        The forward operator G, of shape (m, n).
    data : array-like, shape (m,) or operator.data_shape
        The data y.
    noise_std : float or array-like of shape (m,), optional
        Standard deviation of the noise, positive.
    grid : Grid, int or array-like, optional
        Where the field lives; default: the operator's own, else n points on [-1, 1].
    noise_cholesky : array-like, shape (m, m), optional
        Lower triangular L of the noise's covariance ``Gamma = L L^T``, in place of `noise_std`.
    noise_covariance : array-like, shape (m, m), optional
        The covariance itself, in place of `noise_std`.
    truth : array-like, shape truth_grid.shape, optional
        The field that made the data.
    truth_grid : Grid, optional
        Where the truth is given; default: `grid`.
    noise_convention : str
        How the noise's size was chosen, for the reader.
    name : str
        What the problem is, for the reader.

    Raises
    ------
    ValueError
        For data, noise, grid or truth of another size than the operator's, NaN, noise that is not positive, or
        none or several of the three forms of noise.

    Examples
    --------
    >>> import numpy as np
    >>> problem = InverseProblem(np.eye(3), [1.0, 2.0, 3.0], noise_std=0.5)
    >>> problem.whitened_data.tolist(), problem.n_data, problem.misfit([1.0, 2.0, 2.0])
    ([2.0, 4.0, 6.0], 3, 2.0)
    """

    operator: LinearForward
    data: np.ndarray
    noise_std: Any = None
    grid: Grid = None  # type: ignore[assignment]  # never None once made
    noise_cholesky: np.ndarray | None = None
    noise_covariance: np.ndarray | None = None
    truth: np.ndarray | None = None
    truth_grid: Grid | None = None
    noise_convention: str = "given"
    name: str = "inverse problem"

    if TYPE_CHECKING:
        # The fields above are what is kept; this is what may come.
        def __init__(
            self,
            operator: Any,
            data: Any,
            noise_std: Any = None,
            grid: Any = None,
            noise_cholesky: Any = None,
            noise_covariance: Any = None,
            truth: Any = None,
            truth_grid: Any = None,
            noise_convention: str = "given",
            name: str = "inverse problem",
        ) -> None: ...

    def __post_init__(self) -> None:
        put = object.__setattr__
        held_grid = None if self.grid is None else as_grid(self.grid)
        operator = as_operator(self.operator, held_grid)
        put(self, "operator", operator)
        m, n = operator.shape
        grid = held_grid or operator.grid or uniform_grid(n)
        if grid.n != n:
            raise ValueError(f"grid has {grid.n} points and operator {n} unknowns; they must be as many")
        put(self, "grid", grid)
        put(self, "data", _flat(self.data, "data", operator.data_shape))
        self._take_noise(m)
        if self.truth is not None:
            truth_grid = grid if self.truth_grid is None else as_grid(self.truth_grid, "truth_grid")
            put(self, "truth_grid", truth_grid)
            put(self, "truth", _flat(self.truth, "truth", truth_grid.shape).reshape(truth_grid.shape))

    def _take_noise(self, m: int) -> None:
        given = [
            n for n in ("noise_std", "noise_cholesky", "noise_covariance") if getattr(self, n) is not None
        ]
        if len(given) != 1:
            came = " and ".join(given) or "none of them"
            raise ValueError(
                f"one of noise_std, noise_cholesky and noise_covariance is wanted; {came} came: pass noise_std=sigma"
            )
        put = object.__setattr__
        if given[0] == "noise_std":
            std = as_float_array(self.noise_std, "noise_std", dtype=np.float64)
            if std.ndim:
                std = _flat(std, "noise_std", self.operator.data_shape)
            if not (std > 0).all():
                raise ValueError(
                    f"noise_std holds {float(std.min()):g}; positive standard deviations are wanted"
                )
            put(self, "noise_std", std if std.ndim else float(std))
            return
        if given[0] == "noise_covariance":
            put(self, "noise_cholesky", _covariance_cholesky(self.noise_covariance, m))
        factor = np.array(
            as_float_array(self.noise_cholesky, "noise_cholesky", shape=(m, m), dtype=np.float64)
        )
        if np.triu(factor, 1).any():
            raise ValueError(
                "noise_cholesky has entries above its diagonal; a lower triangular matrix is wanted: pass "
                "numpy.linalg.cholesky(covariance), or noise_covariance=covariance"
            )
        if not (np.diag(factor) > 0).all():
            raise ValueError(
                "noise_cholesky has a diagonal that is not positive; positive entries are wanted"
            )
        put(self, "noise_cholesky", factor)
        put(self, "noise_covariance", factor @ factor.T)
        put(self, "noise_std", np.sqrt(np.einsum("ij,ij->i", factor, factor)))

    @property
    def n_data(self) -> int:
        """Number of data m."""
        return len(self.data)

    @property
    def is_correlated(self) -> bool:
        """Whether the noise has a covariance that is not known to be diagonal."""
        return self.noise_cholesky is not None

    @cached_property
    def inverse_sd(self) -> np.ndarray:
        """One over the noise's standard deviations, float64, shape (m,)."""
        return np.ones(self.n_data) / self.noise_std

    @cached_property
    def whitened_data(self) -> np.ndarray:
        """The data divided by the noise's factor, ``W y``, float64, shape (m,)."""
        return self.whiten(self.data)

    @property
    def log_noise_constant(self) -> float:
        """``m log(2 pi)/2 + log det(Gamma)/2``: minus the log density of the data is Phi plus this."""
        if self.noise_cholesky is not None:
            half = float(np.log(np.diag(self.noise_cholesky)).sum())
        else:
            half = -float(np.log(self.inverse_sd).sum())
        return half + 0.5 * self.n_data * float(np.log(2.0 * np.pi))

    def whiten(self, f: Any) -> np.ndarray:
        """Return ``W f``.

        Parameters
        ----------
        f : array-like, shape (..., m) or (..., operator.data_shape ...)
            Data, or a stack of them. Infinities pass.

        Returns
        -------
        ndarray of float64, shape (..., m)

        Raises
        ------
        ValueError
            For another number of data.
        """
        values = as_float_array(f, "f", dtype=np.float64, allow_nan=True)
        m, shape = self.n_data, self.operator.data_shape
        if not values.ndim or values.shape[-1] != m:
            if len(shape) < 2 or values.shape[-len(shape) :] != shape:
                raise ValueError(f"f has shape {values.shape}; (..., {m}) is wanted")
            values = values.reshape(*values.shape[: -len(shape)], m)
        if self.noise_cholesky is None:
            return values * self.inverse_sd
        rows = values.reshape(-1, m)
        solved = solve_triangular(self.noise_cholesky, rows.T, lower=True, check_finite=False)
        return np.ascontiguousarray(solved.T).reshape(values.shape)

    def whitened_operator(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return W G as arrays.

        Returns
        -------
        left : ndarray of float64, shape (m, n) or (m_a, n_a)
            ``W G``, or the factor K_a of a separable operator with uncorrelated noise.
        right : ndarray of float64, shape (0, 0) or (m_b, n_b)
            Empty, or the factor K_b: ``G u = K_a U K_b^T``.
        inverse_sd : ndarray of float64, shape (m,)
            What the operator's output is multiplied by: ones where `left` holds the whitening.
        """
        if self.operator.separable is not None and not self.is_correlated:
            first, second = self.operator.separable
            return first.copy(), second.copy(), self.inverse_sd.copy()
        matrix = self.operator.matrix()
        left = np.ascontiguousarray(self.whiten(matrix.T).T)
        return left, np.zeros((0, 0)), np.ones(self.n_data)

    def misfit(self, u: Any) -> Any:
        """Return Phi of a field, or of a stack of them.

        Parameters
        ----------
        u : array-like, shape (..., n) or (..., grid.shape ...)
            Values on the grid.

        Returns
        -------
        float or ndarray of float64
        """
        residual = self.whiten(self.operator.apply(u)) - self.whitened_data
        value = 0.5 * np.einsum("...i,...i->...", residual, residual)
        return float(value) if value.ndim == 0 else value

    def relative_error(self, u: Any) -> Any:
        """Return ``|u - truth| / |truth|`` of a field, or of a stack of them.

        Parameters
        ----------
        u : array-like, shape (..., n) or (..., grid.shape ...)
            Values on the grid.

        Returns
        -------
        float or ndarray of float64

        Raises
        ------
        ValueError
            Where the truth is not known on the problem's grid.
        """
        if self.truth is None or self.truth_grid is None:
            raise ValueError("truth is None; build the problem with truth= to measure errors")
        if self.truth_grid.shape != self.grid.shape:
            raise ValueError(
                f"the truth is given on {self.truth_grid}, the field on {self.grid}; interpolate one of them first"
            )
        values = as_float_array(u, "u", dtype=np.float64, allow_nan=True)
        rank, n = self.grid.dimension, self.grid.n
        if not values.ndim or values.shape[-1] != n:
            if values.shape[-rank:] != self.grid.shape:
                raise ValueError(f"u has shape {values.shape}; (..., {n}) is wanted")
            values = values.reshape(*values.shape[:-rank], n)
        truth = self.truth.ravel()
        error = np.linalg.norm(values - truth, axis=-1) / np.linalg.norm(truth)
        return float(error) if error.ndim == 0 else error

    def with_data(self, data: Any) -> InverseProblem:
        """Return the same problem with other data, for simulations.

        Parameters
        ----------
        data : array-like, shape (m,)
            The new data.

        Returns
        -------
        InverseProblem
        """
        correlated = self.is_correlated
        return InverseProblem(
            self.operator,
            data,
            None if correlated else self.noise_std,
            self.grid,
            noise_cholesky=self.noise_cholesky if correlated else None,
            truth=self.truth,
            truth_grid=self.truth_grid,
            noise_convention=self.noise_convention,
            name=self.name,
        )

    def __repr__(self) -> str:
        m, n = self.operator.shape
        std = np.asarray(self.noise_std)
        size = f"{float(std):g}" if std.ndim == 0 else f"{std.min():g} to {std.max():g}"
        return f"InverseProblem({self.name}: {m} data of {n} unknowns, noise sd {size} ({self.noise_convention}))"


def _flat(values: Any, name: str, shape: tuple[int, ...]) -> np.ndarray:
    array = as_float_array(values, name, dtype=np.float64)
    size = int(np.prod(shape))
    if array.shape not in ((size,), shape):
        wanted = f"({size},)" if len(shape) == 1 else f"({size},) or {shape}"
        raise ValueError(f"{name} has shape {array.shape}; {wanted} is wanted")
    return np.array(array.reshape(size))


def _covariance_cholesky(covariance: Any, m: int) -> np.ndarray:
    matrix = as_float_array(covariance, "noise_covariance", shape=(m, m), dtype=np.float64)
    if not np.allclose(matrix, matrix.T, rtol=1e-10, atol=0.0):
        raise ValueError("noise_covariance is not symmetric; pass (C + C.T) / 2")
    try:
        return cholesky(matrix, lower=True)
    except np.linalg.LinAlgError as error:
        raise ValueError(f"noise_covariance is not positive definite ({error})") from error

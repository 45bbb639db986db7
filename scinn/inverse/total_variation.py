"""Total-variation reconstruction: the mode under a smoothed total-variation penalty.

L. Rudin, S. Osher and E. Fatemi, "Nonlinear total variation based noise removal algorithms", Physica D 60, 1992; the
primal-dual Newton method is that of T. Chan, G. Golub and P. Mulet, "A nonlinear primal-dual method for total
variation-based image restoration", SIAM Journal on Scientific Computing 20(6), 1999. A comparison for C. Li, M. Dunlop and
G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging 16(5), 2022, arXiv
2112.10663. Notation: misfit ``Phi(u) = |W (G u - y)|^2 / 2``, differences ``D u``,

``J(u) = Phi(u) + weight TV(u)``,  ``TV(u) = sum_i sqrt(|(D u)_i|^2 + epsilon^2)``.

On two axes of steps h_a, h_b the sum is that of the gradient's length times the area of a cell,
``sqrt(h_a h_b) sum sqrt((h_b/h_a) (D_a u)^2 + (h_a/h_b) (D_b u)^2 + epsilon^2)``: it approximates the integral of
|grad u| on any grid, and so does the sum on a line.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve
from threadpoolctl import threadpool_limits

from scinn._input import check_in_range, check_positive_int
from scinn._plot import axes_or_new
from scinn.exceptions import ConvergenceWarning
from scinn.inverse.grids import Grid
from scinn.inverse.inverse_problem import InverseProblem

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["TVResult", "tv_map"]

# Share of the predicted decrease that a step must reach.
_ARMIJO = 1e-4
_SHORTEST = 2.0**-40


@dataclass(frozen=True, eq=False, repr=False)
class TVResult:
    """The minimiser of misfit plus smoothed total variation, and how well it is one.

    Parameters
    ----------
    field : ndarray of float64, shape grid.shape
        The minimiser.
    objective, misfit, total_variation : float
        ``J``, ``Phi`` and ``TV`` there.
    gradient_norm : float
        ``|grad J|`` divided by ``|grad Phi(0)|``: J is convex, so a small one certifies the minimum.
    weight, epsilon : float
        Of the penalty.
    n_iterations : int
        Newton steps, those of all trial weights included.
    converged : bool
        Whether `gradient_norm` fell to the tolerance.
    grid : Grid
        The points.

    Examples
    --------
    >>> from scinn.inverse.problems import regression
    >>> tv_map(regression(33, truth="square", noise_std=0.05, rng=0), weight=20.0).converged
    True
    """

    field: np.ndarray
    objective: float
    misfit: float
    total_variation: float
    gradient_norm: float
    weight: float
    epsilon: float
    n_iterations: int
    converged: bool
    grid: Grid

    def __repr__(self) -> str:
        state = "converged" if self.converged else "not converged"
        return (
            f"TVResult({state} in {self.n_iterations} steps, misfit {self.misfit:.6g}, "
            f"TV {self.total_variation:.6g}, weight {self.weight:.6g}, relative gradient {self.gradient_norm:.2g})"
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the field.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; default: the axes of a new figure.

        Returns
        -------
        matplotlib Axes
        """
        ax = axes_or_new(ax)
        if self.grid.dimension == 2:
            ax.pcolormesh(*self.grid.axes, self.field.T, shading="nearest")
        else:
            ax.plot(self.grid.axes[0], self.field)
            ax.set_xlabel("x")
            ax.set_ylabel("u")
        return ax

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "field": self.field.tolist(),
            "objective": self.objective,
            "misfit": self.misfit,
            "total_variation": self.total_variation,
            "gradient_norm": self.gradient_norm,
            "weight": self.weight,
            "epsilon": self.epsilon,
            "n_iterations": self.n_iterations,
            "converged": self.converged,
        }


def tv_map(
    problem: InverseProblem,
    weight: float | str = "discrepancy",
    epsilon: float = 1e-3,
    *,
    tol: float = 1e-9,
    max_iterations: int = 200,
) -> TVResult:
    """Minimise misfit plus smoothed total variation.

    Parameters
    ----------
    problem : InverseProblem
        On one or two axes; on two, of equal steps.
    weight : float or "discrepancy"
        Of the total variation, positive. "discrepancy" seeks, to 1 per cent, the weight at which ``2 Phi`` is the number
        of data.
    epsilon : float
        Smoothing of the absolute value, in the unit of u, positive.
    tol : float
        Wanted ``|grad J| / |grad Phi(0)|``.
    max_iterations : int
        Newton steps at most for one weight.

    Returns
    -------
    TVResult

    Raises
    ------
    ValueError
        For a grid of three axes and more, data that the adjoint maps to 0, numbers out of range, or a discrepancy that no
        weight reaches.

    Warns
    -----
    ConvergenceWarning
        Where the gradient did not fall to the tolerance, or no weight was found.

    Notes
    -----
    A step costs one dense Cholesky factor of n unknowns; beyond some thousands of unknowns this is slow. Rounding u moves
    the gradient by about ``1e-16 weight max|u| / epsilon``, so a very small epsilon puts the tolerance out of reach.

    Examples
    --------
    >>> from scinn.inverse.problems import deconvolution_1d
    >>> problem = deconvolution_1d(65, noise_std=0.05, rng=0)
    >>> result = tv_map(problem)
    >>> result.converged, abs(2 * result.misfit / problem.n_data - 1) < 0.01
    (True, True)
    """
    if problem.grid.dimension > 2:
        raise ValueError(f"problem has a grid of {problem.grid.dimension} axes; 1 or 2 are wanted")
    check_in_range(epsilon, "epsilon", 0.0, None, "neither")
    check_in_range(tol, "tol", 0.0, None, "neither")
    check_positive_int(max_iterations, "max_iterations")
    solver = _Solver(problem, epsilon, tol, max_iterations)
    if isinstance(weight, str):
        if weight != "discrepancy":
            raise ValueError(f"weight is {weight!r}; a positive number or 'discrepancy' is wanted")
        return _by_discrepancy(solver, problem)
    weight = check_in_range(weight, "weight", 0.0, None, "neither")
    result = solver.minimise(weight, np.zeros(problem.grid.n))
    _warn(result)
    return result


def _warn(result: TVResult) -> None:
    if not result.converged:
        warnings.warn(
            f"tv_map stopped at a relative gradient of {result.gradient_norm:.2g}; raise max_iterations or epsilon",
            ConvergenceWarning,
            stacklevel=3,
        )


def _by_discrepancy(solver: _Solver, problem: InverseProblem) -> TVResult:
    """Bisect log weight: the misfit of the minimiser grows with the weight (Morozov's principle)."""
    wanted = 0.5 * problem.n_data
    least, most = solver.misfit_range()
    if not least < wanted < most:
        raise ValueError(
            f"weight is 'discrepancy', but with {problem.n_data} data 2 Phi goes from {2 * least:.4g} without penalty to "
            f"{2 * most:.4g} for a constant: pass a number as weight, or check the noise"
        )
    low, high, steps = -20.0, 30.0, 0
    middle, u = 2.0, np.zeros(problem.grid.n)
    for _ in range(60):
        result = solver.minimise(math.exp(middle), u)
        steps, u = steps + result.n_iterations, result.field.ravel()
        if abs(result.misfit / wanted - 1.0) < 0.01 or high - low < 1e-6:
            break
        low, high = (middle, high) if result.misfit < wanted else (low, middle)
        # The first steps are short, for the bracket is much wider than any weight that matters.
        middle = min(max(0.5 * (low + high), middle - 2.0), middle + 2.0)
    result = TVResult(**{**vars(result), "n_iterations": steps})
    _warn(result)
    if abs(result.misfit / wanted - 1.0) >= 0.01:
        warnings.warn(
            f"no weight was found with 2 Phi = {problem.n_data}, the nearest has {2 * result.misfit:.4g}: pass a number",
            ConvergenceWarning,
            stacklevel=3,
        )
    return result


class _Solver:
    """The primal-dual Newton method for one problem."""

    def __init__(self, problem: InverseProblem, epsilon: float, tol: float, max_iterations: int) -> None:
        self.grid, self.epsilon, self.tol, self.max_iterations = problem.grid, epsilon, tol, max_iterations
        self.forward = problem.whiten(problem.operator.matrix().T).T
        self.data = problem.whitened_data
        self.normal = self.forward.T @ self.forward
        self.reference = float(np.linalg.norm(self.forward.T @ self.data))
        if self.reference == 0:
            raise ValueError(
                "problem has data that the adjoint operator maps to 0, so the minimiser is constant"
            )
        self.differences, self.factor = _differences(problem.grid)

    def parts(self, u: np.ndarray) -> tuple[float, float]:
        """Return Phi and TV."""
        residual = self.forward @ u - self.data
        square = sum((d @ u) ** 2 for d in self.differences) + self.epsilon**2
        return 0.5 * float(residual @ residual), self.factor * float(np.sqrt(square).sum())

    def misfit_range(self) -> tuple[float, float]:
        """Return the misfit for a weight that tends to 0 and to infinity."""
        columns = self.forward, self.forward.sum(axis=1, keepdims=True)
        residuals = [self.data - f @ np.linalg.lstsq(f, self.data)[0] for f in columns]
        return 0.5 * float(residuals[0] @ residuals[0]), 0.5 * float(residuals[1] @ residuals[1])

    # More threads of BLAS only wait for each other in products of this size.
    @threadpool_limits.wrap(limits=1, user_api="blas")
    def minimise(self, weight: float, u: np.ndarray) -> TVResult:
        strength = weight * self.factor
        slopes = [d @ u for d in self.differences]
        duals = [np.zeros_like(slope) for slope in slopes]
        value = self._objective(u, weight)
        gradient_norm, steps, stuck = math.inf, 0, False
        while True:
            length = np.sqrt(sum(slope**2 for slope in slopes) + self.epsilon**2)
            penalty = sum(d.T @ (slope / length) for d, slope in zip(self.differences, slopes))
            gradient = self.normal @ u - self.forward.T @ self.data + strength * penalty
            gradient_norm = float(np.linalg.norm(gradient)) / self.reference
            if gradient_norm <= self.tol or steps == self.max_iterations or stuck:
                break
            step = self._solve(gradient, strength, slopes, duals, length)
            moves = [d @ step for d in self.differences]
            duals = _updated_duals(slopes, moves, duals, length)
            u, value, stuck = self._line_search(u, step, value, float(gradient @ step), weight)
            slopes = [d @ u for d in self.differences]
            steps += 1
        misfit, variation = self.parts(u)
        return TVResult(
            field=u.reshape(self.grid.shape),
            objective=misfit + weight * variation,
            misfit=misfit,
            total_variation=variation,
            gradient_norm=gradient_norm,
            weight=weight,
            epsilon=self.epsilon,
            n_iterations=steps,
            converged=gradient_norm <= self.tol,
            grid=self.grid,
        )

    def _objective(self, u: np.ndarray, weight: float) -> float:
        misfit, variation = self.parts(u)
        return misfit + weight * variation

    def _solve(
        self, gradient: np.ndarray, strength: float, slopes: list, duals: list, length: np.ndarray
    ) -> np.ndarray:
        """Return the Newton step of the linearised dual equation ``length w = D u``, symmetrised."""
        hessian = self.normal.copy()
        for a, first in enumerate(self.differences):
            for b, second in enumerate(self.differences):
                product = 0.5 * (duals[a] * slopes[b] + slopes[a] * duals[b]) / length
                middle = ((a == b) - product) / length
                hessian += strength * (first.T @ sparse.diags_array(middle) @ second).toarray()
        ridge = 1e-14 * np.trace(hessian) / len(hessian)
        hessian[np.diag_indices(len(hessian))] += ridge
        return -cho_solve(cho_factor(hessian, lower=True, check_finite=False), gradient)

    def _line_search(
        self, u: np.ndarray, step: np.ndarray, value: float, slope: float, weight: float
    ) -> tuple[np.ndarray, float, bool]:
        share = 1.0
        # Near the minimum the decrease is lost in rounding, where the full step is the best there is.
        slack = 1e-13 * abs(value)
        while share > _SHORTEST:
            trial = u + share * step
            trial_value = self._objective(trial, weight)
            if trial_value <= value + _ARMIJO * share * slope + slack:
                return trial, trial_value, False
            share *= 0.5
        return u, value, True


def _updated_duals(slopes: list, moves: list, duals: list, length: np.ndarray) -> list:
    """Move the duals w along their Newton step, as far as ``|w| <= 1`` allows."""
    along = sum(slope * move for slope, move in zip(slopes, moves)) / length
    targets = [(slope + move - dual * along) / length for slope, move, dual in zip(slopes, moves, duals)]
    norm = np.sqrt(sum(target**2 for target in targets))
    return [target / np.maximum(norm, 1.0) for target in targets]


def _differences(grid: Grid) -> tuple[list[Any], float]:
    """Return the scaled difference matrices, one for each axis and of equal heights, and the factor of the sum."""
    if grid.dimension == 1:
        return [_difference(grid.n)[: grid.n - 1]], 1.0
    h_a, h_b = grid.spacing
    first = sparse.kron(_difference(grid.shape[0]), sparse.eye_array(grid.shape[1])) * math.sqrt(h_b / h_a)
    second = sparse.kron(sparse.eye_array(grid.shape[0]), _difference(grid.shape[1])) * math.sqrt(h_a / h_b)
    return [sparse.csr_array(first), sparse.csr_array(second)], math.sqrt(h_a * h_b)


def _difference(n: int) -> Any:
    """Return forward differences, shape (n, n), whose last row is zero."""
    rows = np.arange(n - 1)
    values = np.repeat([-1.0, 1.0], n - 1)
    place = (np.append(rows, rows), np.append(rows, rows + 1))
    return sparse.csr_array((values, place), shape=(n, n))

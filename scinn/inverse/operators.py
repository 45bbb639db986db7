"""Linear forward operators G from fields on a grid to data.

The setting is that of C. Li, M. Dunlop and G. Stadler, "Bayesian neural network priors for edge-preserving inversion",
Inverse Problems and Imaging 16(5), 2022, arXiv 2112.10663, which deconvolves in one and two dimensions. Notation: field
``u_j = u(x_j)`` on n grid points, data ``(G u)_i`` at m points ``t_i``. A convolution is

``(G u)_i = sum_j w_j k(t_i - x_j) u_j``

with quadrature weights w, so that ``G delta_j``, column j of the matrix, is the kernel k moved to x_j. Beyond the grid
the field is zero, or continued as `scipy.ndimage.convolve` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from scinn._input import as_float_array, check_choice
from scinn.inverse.grids import Grid, as_grid
from scinn.inverse.stencils import axis_matrix, extended_index, row_indices

__all__ = [
    "Convolution1D",
    "Convolution2D",
    "Identity",
    "Integration",
    "LinearForward",
    "MatrixOperator",
    "as_operator",
]


class LinearForward:
    """Base of the operators: shapes, adjoint and views around one dense matrix or two separable factors.

    Parameters
    ----------
    grid : Grid or None
        Where the field lives; None for an operator that knows only the number of unknowns.
    data_shape : tuple of int
        Shape of the data.
    matrix : ndarray of float64, shape (m, n), optional
        The operator.
    factors : pair of ndarray of float64, shapes (m_a, n_a) and (m_b, n_b), optional
        ``G u = K_a U K_b^T`` instead, with U the field as a matrix.
    points : ndarray of float64, shape (m, d), optional
        Where the data are taken.

    Examples
    --------
    >>> import numpy as np
    >>> operator = MatrixOperator([[1.0, 2.0, 0.0]])
    >>> operator.shape, operator.apply([1.0, 1.0, 5.0]).tolist(), operator.adjoint([2.0]).tolist()
    ((1, 3), [3.0], [2.0, 4.0, 0.0])
    """

    def __init__(
        self,
        grid: Grid | None,
        data_shape: tuple[int, ...],
        *,
        matrix: np.ndarray | None = None,
        factors: tuple[np.ndarray, np.ndarray] | None = None,
        points: np.ndarray | None = None,
    ) -> None:
        self.grid, self.data_shape, self.points = grid, data_shape, points
        self._matrix, self._factors = matrix, factors
        if factors is not None:
            n = factors[0].shape[1] * factors[1].shape[1]
        elif matrix is not None:
            n = matrix.shape[1]
        else:
            raise ValueError("matrix and factors are both None; one of them is wanted")
        self._field_shape = grid.shape if grid is not None else (n,)
        #: Number of data and of unknowns, (m, n).
        self.shape: tuple[int, int] = (int(np.prod(data_shape)), n)

    @property
    def separable(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The factors (K_a, K_b) of ``G u = K_a U K_b^T``, or None."""
        return self._factors

    def matrix(self) -> np.ndarray:
        """Return the dense matrix, float64, shape (m, n); a Kronecker product where the operator is separable."""
        if self._matrix is not None:
            return self._matrix
        assert self._factors is not None
        return np.kron(*self._factors)

    def apply(self, u: Any) -> np.ndarray:
        """Return G u.

        Parameters
        ----------
        u : array-like, shape (..., n) or (..., grid.shape ...)
            One field or a stack of them.

        Returns
        -------
        ndarray of float64, shape (..., m) or (..., data_shape ...)
            Flat for flat fields.

        Raises
        ------
        ValueError
            For another number of unknowns.
        """
        return self._through(u, "u", self._field_shape, self.data_shape, self._apply)

    def adjoint(self, q: Any) -> np.ndarray:
        """Return the adjoint G^T q.

        Parameters
        ----------
        q : array-like, shape (..., m) or (..., data_shape ...)
            One vector of data or a stack of them.

        Returns
        -------
        ndarray of float64, shape (..., n) or (..., grid.shape ...)
            Flat for flat data.

        Raises
        ------
        ValueError
            For another number of data.
        """
        return self._through(q, "q", self.data_shape, self._field_shape, self._adjoint)

    def as_linear_operator(self) -> Any:
        """Return the operator as a `scipy.sparse.linalg.LinearOperator`, of flat vectors."""
        from scipy.sparse.linalg import LinearOperator

        return LinearOperator(
            shape=self.shape,
            dtype=np.float64,
            matvec=lambda u: self.apply(np.ravel(u)),
            rmatvec=lambda q: self.adjoint(np.ravel(q)),
            matmat=lambda u: self.apply(np.transpose(u)).T,
            rmatmat=lambda q: self.adjoint(np.transpose(q)).T,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.shape[0]} data of {self.shape[1]} unknowns)"

    def _apply(self, u: np.ndarray) -> np.ndarray:
        if self._factors is None:
            return u @ self.matrix().T
        first, second = self._factors
        square = u.reshape(*u.shape[:-1], first.shape[1], second.shape[1])
        return (first @ square @ second.T).reshape(*u.shape[:-1], self.shape[0])

    def _adjoint(self, q: np.ndarray) -> np.ndarray:
        if self._factors is None:
            return q @ self.matrix()
        first, second = self._factors
        square = q.reshape(*q.shape[:-1], first.shape[0], second.shape[0])
        return (first.T @ square @ second).reshape(*q.shape[:-1], self.shape[1])

    @staticmethod
    def _through(
        values: Any,
        name: str,
        shape_in: tuple[int, ...],
        shape_out: tuple[int, ...],
        function: Callable[[np.ndarray], np.ndarray],
    ) -> np.ndarray:
        # Heavy-tailed fields may overflow; infinite data are a legitimate answer to them.
        array = as_float_array(values, name, dtype=np.float64, allow_nan=True)
        size, rank = int(np.prod(shape_in)), len(shape_in)
        with np.errstate(invalid="ignore", over="ignore"):
            if array.ndim and array.shape[-1] == size:
                return function(array)
            if array.ndim >= rank and array.shape[array.ndim - rank :] == shape_in:
                stack = array.shape[: array.ndim - rank]
                return function(array.reshape(*stack, size)).reshape(*stack, *shape_out)
        also = "" if rank == 1 else f" or (..., {', '.join(map(str, shape_in))})"
        raise ValueError(f"{name} has shape {array.shape}; (..., {size}){also} is wanted")


class Convolution1D(LinearForward):
    """Convolution with a kernel on a line.

    Parameters
    ----------
    grid : Grid, int or array-like
        One axis. Uniform, unless the boundary is zero and the quadrature "trapezoid".
    kernel : str, callable or array-like
        "gaussian" ``exp(-r^2/(2 l^2))/(l sqrt(2 pi))``, "box" ``1[|r| < l]/(2 l)``, "laplace" ``exp(-|r|/l)/(2 l)``,
        "moffat" or "moffat(b)" ``(1 + r^2/l^2)^-b`` scaled to unit integral (b = 2 where it is not given, b > 1/2); a
        function k(r) of an array of distances ``r = t - x``, which need not be even; or the taps themselves, the middle one
        (number ``len // 2``) standing for r = 0, which are multiplied by no step.
    width : float, optional
        The l of a named kernel; not used by a function or by taps.
    boundary : {"zero", "periodic", "reflect", "nearest", "mirror"}
        The field beyond the grid: 0, or, for a field ``a b c d``, what precedes it is ``a b c d``, ``d c b a``,
        ``a a a a`` or ``. d c b``: SciPy's modes "constant", "grid-wrap", "reflect", "nearest" and "mirror".
    rows : slice, array-like of int, or None
        Which grid points have data; default: all.
    quadrature : {"rectangle", "trapezoid"}
        Weights: the step h, or h with both ends halved (the trapezoidal rule of an uneven grid), for a zero boundary.
    normalise : bool
        Divide the kernel's values on the grid by their sum, so that inside the domain constants are kept.

    Raises
    ------
    ValueError
        For a grid that is not of one dimension or not uniform, a width that is not positive, unknown names, or rows out of
        range.

    Notes
    -----
    Kernels are cut at the length of the grid. Only fields that are continued beyond the boundary can tell, and only
    kernels that are not negligible there.

    Examples
    --------
    >>> import numpy as np
    >>> forward = Convolution1D(5, [0.0, 1.0, 3.0], boundary="zero")
    >>> forward.apply([0.0, 1.0, 0.0, 0.0, 0.0]).tolist()
    [0.0, 1.0, 3.0, 0.0, 0.0]
    """

    def __init__(
        self,
        grid: Any,
        kernel: Any = "gaussian",
        width: float | None = None,
        *,
        boundary: str = "zero",
        rows: Any = None,
        quadrature: str = "rectangle",
        normalise: bool = False,
    ) -> None:
        grid = _grid_of(grid, 1)
        index = row_indices(rows, grid.n, "rows")
        matrix = axis_matrix(
            grid.axes[0], kernel, width, index, boundary=boundary, quadrature=quadrature, normalise=normalise
        )
        super().__init__(grid, (len(index),), matrix=matrix, points=grid.points[index])
        #: Indices of the grid points that have data, int64, shape (m,).
        self.rows = index


class Convolution2D(LinearForward):
    """Convolution with a kernel in the plane, the product of one kernel for each axis.

    Parameters
    ----------
    grid : Grid or (n_a, n_b)
        Two axes.
    kernel : str, callable, pair of those, or array-like of two dimensions
        As for :class:`Convolution1D`, the same for both axes or one each. Taps of two dimensions need not be a product
        and make a dense matrix.
    width : float or pair of float, optional
        The l of a named kernel.
    boundary : str
        As for :class:`Convolution1D`, for both axes.
    rows : slice, array-like of int, None, or a pair of those
        Which indices of each axis have data; one that is no tuple holds for both.
    quadrature : {"rectangle", "trapezoid"}
        As for :class:`Convolution1D`.
    normalise : bool
        As for :class:`Convolution1D`.

    Raises
    ------
    ValueError
        As for :class:`Convolution1D`.

    Examples
    --------
    >>> import numpy as np
    >>> forward = Convolution2D((4, 6), width=0.3, rows=slice(None, None, 2))
    >>> forward.data_shape, [factor.shape for factor in forward.separable]
    ((2, 3), [(2, 4), (3, 6)])
    """

    def __init__(
        self,
        grid: Any,
        kernel: Any = "gaussian",
        width: Any = None,
        *,
        boundary: str = "zero",
        rows: Any = None,
        quadrature: str = "rectangle",
        normalise: bool = False,
    ) -> None:
        grid = _grid_of(grid, 2)
        pairs = rows if isinstance(rows, tuple) and len(rows) == 2 else (rows, rows)
        index = [row_indices(part, n, "rows") for part, n in zip(pairs, grid.shape)]
        data_shape = (len(index[0]), len(index[1]))
        points = (
            Grid(tuple(grid.axes[k][np.sort(index[k])] for k in range(2))).points if _sorted(index) else None
        )
        self.rows = (index[0], index[1])
        kernels, taps = _kernel_pair(kernel)
        if taps is not None:
            if quadrature != "rectangle":
                raise ValueError("quadrature must be 'rectangle' for taps, which hold their own weights")
            matrix = _stencil_matrix(taps / taps.sum() if normalise else taps, grid, index, boundary)
            super().__init__(grid, data_shape, matrix=matrix, points=points)
            return
        widths = width if isinstance(width, tuple | list) and len(width) == 2 else (width, width)
        factors = [
            axis_matrix(axis, k, w, i, boundary=boundary, quadrature=quadrature, normalise=normalise)
            for axis, k, w, i in zip(grid.axes, kernels, widths, index)
        ]
        super().__init__(grid, data_shape, factors=(factors[0], factors[1]), points=points)


class Identity(LinearForward):
    """The field itself at some of the grid points: regression.

    Parameters
    ----------
    grid : Grid, int or array-like
        Any number of axes.
    rows : slice, array-like of int, or None
        Which points, in row-major order, have data; a point may have several. Default: all.

    Examples
    --------
    >>> Identity(4, rows=[0, 0, 3]).apply([5.0, 6.0, 7.0, 8.0]).tolist()
    [5.0, 5.0, 8.0]
    """

    def __init__(self, grid: Any, rows: Any = None) -> None:
        grid = _grid_of(grid, None)
        self.rows = row_indices(rows, grid.n, "rows")
        matrix = np.zeros((len(self.rows), grid.n))
        matrix[np.arange(len(self.rows)), self.rows] = 1.0
        data_shape = grid.shape if rows is None else (len(self.rows),)
        super().__init__(grid, data_shape, matrix=matrix, points=grid.points[self.rows])


class Integration(LinearForward):
    """The integral of the field from the first grid point: differentiation of data as an inverse problem.

    Parameters
    ----------
    grid : Grid, int or array-like
        One axis, of any steps.
    rows : slice, array-like of int, or None
        Which grid points have data; default: all.
    quadrature : {"trapezoid", "rectangle"}
        Trapezoidal rule, or a sum of ``(x_j - x_{j-1}) u_j``. Both are 0 at the first point.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.inverse.grids import uniform_grid
    >>> Integration(uniform_grid(3, 0.0, 1.0)).apply([0.0, 1.0, 2.0]).tolist()
    [0.0, 0.25, 1.0]
    """

    def __init__(self, grid: Any, rows: Any = None, *, quadrature: str = "trapezoid") -> None:
        grid = _grid_of(grid, 1)
        check_choice(quadrature, "quadrature", ["trapezoid", "rectangle"])
        gaps = np.diff(grid.axes[0])
        matrix = np.zeros((grid.n, grid.n))
        for j, gap in enumerate(gaps):
            matrix[j + 1 :, j + 1] += gap if quadrature == "rectangle" else 0.5 * gap
            matrix[j + 1 :, j] += 0.0 if quadrature == "rectangle" else 0.5 * gap
        self.rows = row_indices(rows, grid.n, "rows")
        taken = np.ascontiguousarray(matrix[self.rows])
        super().__init__(grid, (len(self.rows),), matrix=taken, points=grid.points[self.rows])


class MatrixOperator(LinearForward):
    """Any linear operator that the user holds.

    Parameters
    ----------
    matrix : array-like of shape (m, n), sparse matrix, LinearOperator, or object
        An object needs ``shape`` and ``matvec`` (SciPy's LinearOperator, PyLops); it is turned into a matrix by its
        ``matmat`` or by applying it to the n unit vectors.
    grid : Grid, int or array-like, optional
        Where the field lives; its number of points must be n.

    Raises
    ------
    TypeError
        For what is neither a matrix nor has ``shape`` and ``matvec``.
    ValueError
        For NaN, an operator without data or unknowns, or a grid of another size.

    Examples
    --------
    >>> from scipy.sparse import eye_array
    >>> MatrixOperator(eye_array(2)).apply([3.0, 4.0]).tolist()
    [3.0, 4.0]
    """

    def __init__(self, matrix: Any, grid: Any = None) -> None:
        dense = _dense(matrix)
        if 0 in dense.shape:
            raise ValueError(f"matrix has shape {dense.shape}; at least one row and one column are wanted")
        held = None if grid is None else as_grid(grid)
        if held is not None and held.n != dense.shape[1]:
            raise ValueError(
                f"matrix has {dense.shape[1]} columns and grid {held.n} points; they must be as many"
            )
        super().__init__(held, (dense.shape[0],), matrix=dense)


def as_operator(operator: Any, grid: Grid | None = None) -> LinearForward:
    """Return an operator of this module, wrapping matrices and the like in a :class:`MatrixOperator`.

    Parameters
    ----------
    operator : LinearForward or what :class:`MatrixOperator` takes
        The forward operator.
    grid : Grid, optional
        Where the field lives, for a matrix.

    Returns
    -------
    LinearForward

    Examples
    --------
    >>> as_operator([[1.0, 0.0]]).shape
    (1, 2)
    """
    return operator if isinstance(operator, LinearForward) else MatrixOperator(operator, grid)


def _grid_of(grid: Any, dimension: int | None) -> Grid:
    from scinn.inverse.grids import uniform_grid

    if isinstance(grid, tuple | list) and len(grid) and all(isinstance(n, int | np.integer) for n in grid):
        grid = uniform_grid(grid)
    held = as_grid(grid)
    if dimension is not None and held.dimension != dimension:
        raise ValueError(f"grid has {held.dimension} axes; {dimension} wanted")
    return held


def _sorted(index: Sequence[np.ndarray]) -> bool:
    return all((np.diff(part) >= 0).all() for part in index)


def _kernel_pair(kernel: Any) -> tuple[tuple[Any, Any], np.ndarray | None]:
    """Return a kernel for each axis, and the taps of two dimensions that are no product."""
    if isinstance(kernel, str) or callable(kernel):
        return (kernel, kernel), None
    if isinstance(kernel, tuple) and len(kernel) == 2:
        return (kernel[0], kernel[1]), None
    taps = as_float_array(kernel, "kernel", ndim=2, dtype=np.float64)
    if 0 in taps.shape:
        raise ValueError(f"kernel has shape {taps.shape}; at least one tap is wanted")
    return ("gaussian", "gaussian"), taps


def _stencil_matrix(taps: np.ndarray, grid: Grid, index: Sequence[np.ndarray], boundary: str) -> np.ndarray:
    shape, counts = grid.shape, (len(index[0]), len(index[1]))
    matrix = np.zeros((counts[0] * counts[1], grid.n))
    rows = np.arange(len(matrix)).reshape(counts)
    offsets = [np.arange(size) - size // 2 for size in taps.shape]
    for p, first in enumerate(offsets[0]):
        a, inside_a = extended_index(index[0] - first, shape[0], boundary)
        for q, second in enumerate(offsets[1]):
            b, inside_b = extended_index(index[1] - second, shape[1], boundary)
            # Every row is met once for a tap, so that plain indexed addition loses nothing.
            weight = taps[p, q] * (inside_a[:, None] & inside_b[None, :])
            matrix[rows, a[:, None] * shape[1] + b[None, :]] += weight
    return matrix


def _dense(matrix: Any) -> np.ndarray:
    from scipy import sparse

    if sparse.issparse(matrix) and hasattr(matrix, "toarray"):
        matrix = matrix.toarray()
    elif hasattr(matrix, "matvec") and hasattr(matrix, "shape"):
        unit = np.eye(int(matrix.shape[1]))
        if hasattr(matrix, "matmat"):
            matrix = matrix.matmat(unit)
        else:
            matrix = np.stack([np.ravel(matrix.matvec(column)) for column in unit], axis=1)
    elif not hasattr(matrix, "__array__") and not isinstance(matrix, tuple | list):
        raise TypeError(
            f"matrix is a {type(matrix).__name__}; an array, a sparse matrix, or an object with shape and matvec is wanted"
        )
    return np.array(as_float_array(matrix, "matrix", ndim=2, dtype=np.float64))

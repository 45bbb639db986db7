"""Builders of synthetic inverse problems: deconvolution, regression, integration.

The setting is that of C. Li, M. Dunlop and G. Stadler, "Bayesian neural network priors for edge-preserving inversion",
Inverse Problems and Imaging 16(5), 2022, arXiv 2112.10663. Notation: data ``y = G u + eta`` with noise of standard
deviation sigma. The kernel, the grid, the truth and the noise of the paper's experiments are not printed in its abstract;
the defaults here are deconvolutions of the same kind.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scinn._input import check_choice, check_in_range, check_positive_int
from scinn.inverse.grids import Grid, uniform_grid
from scinn.inverse.inverse_problem import InverseProblem
from scinn.inverse.operators import Convolution1D, Convolution2D, Identity, Integration, LinearForward
from scinn.inverse.phantoms import truth_values
from scinn.random import RandomState, as_generator

__all__ = [
    "Deconvolution1D",
    "Deconvolution2D",
    "InverseProblem",
    "deconvolution_1d",
    "deconvolution_2d",
    "integration",
    "regression",
    "simulate",
]


def simulate(
    operator: LinearForward,
    truth: Any,
    *,
    noise_std: float | None = None,
    noise_level: float | None = None,
    convention: str = "max",
    exact: np.ndarray | None = None,
    rng: RandomState = None,
    name: str = "simulated problem",
) -> InverseProblem:
    """Return a problem with data drawn from a truth.

    Parameters
    ----------
    operator : LinearForward
        The operator of the problem.
    truth : array-like, shape (n,) or grid.shape
        The field on the operator's grid.
    noise_std : float, optional
        The noise's standard deviation sigma.
    noise_level : float, optional
        A level p in its place, from which sigma follows by the convention.
    convention : {"max", "norm"}
        ``sigma = p max|G u|`` or ``sigma = p |G u|_2 / sqrt(m)``, with the data before noise.
    exact : ndarray of float64, shape (m,), optional
        Data before noise from another, finer computation; default: ``G u``.
    rng : int, SeedSequence, Generator, Key or None
        Source of the noise ``sigma * standard_normal(m)``.
    name : str
        For the reader.

    Returns
    -------
    InverseProblem

    Raises
    ------
    ValueError
        Where not exactly one of `noise_std` and `noise_level` is given, or it is not positive.

    Examples
    --------
    >>> problem = simulate(Identity(3), [1.0, 0.0, -2.0], noise_level=0.1, rng=0)
    >>> problem.noise_std, problem.noise_convention
    (0.2, '0.1 max|G u|')
    """
    exact = operator.apply(truth).ravel() if exact is None else exact
    if (noise_std is None) == (noise_level is None):
        raise ValueError("one of noise_std and noise_level is wanted, not both and not none")
    check_choice(convention, "convention", ["max", "norm"])
    if noise_level is not None:
        level = check_in_range(noise_level, "noise_level", 0.0, None, "neither")
        size = np.abs(exact).max() if convention == "max" else np.linalg.norm(exact) / np.sqrt(len(exact))
        sigma = level * float(size)
        note = f"{level:g} max|G u|" if convention == "max" else f"{level:g} |G u|/sqrt(m)"
        if not sigma > 0:
            raise ValueError("noise_level of data that are all 0 gives no noise; pass noise_std instead")
    else:
        sigma, note = check_in_range(noise_std, "noise_std", 0.0, None, "neither"), "given"
    data = exact + sigma * as_generator(rng).standard_normal(len(exact))
    return InverseProblem(operator, data, sigma, operator.grid, truth=truth, noise_convention=note, name=name)


def _every(every: int, rows: Any) -> Any:
    return slice(None, None, check_positive_int(every, "every")) if rows is None else rows


def _finer_axis(axis: np.ndarray, finer: int, boundary: str) -> np.ndarray:
    """Divide every step by `finer`; a periodic axis keeps its period, which is one step longer than the axis."""
    step = (axis[-1] - axis[0]) / (len(axis) - 1) / finer
    count = finer * len(axis) if boundary == "periodic" else finer * (len(axis) - 1) + 1
    return axis[0] + step * np.arange(count)


def _check_finer(finer: int, inverse_crime: bool, grid: Grid, bound_to_grid: str | None) -> int:
    finer = check_positive_int(finer, "finer")
    if inverse_crime or finer == 1:
        return 1
    if bound_to_grid is not None:
        raise ValueError(
            f"{bound_to_grid} is an array, which says nothing between the grid points; pass a name or a function, or "
            "inverse_crime=True to make the data on the problem's own grid"
        )
    if min(grid.shape) < 2:
        raise ValueError("an axis of one point cannot be refined; pass inverse_crime=True")
    return finer


def _bound_to_grid(truth: Any, kernel: Any = "") -> str | None:
    for name, value in (("truth", truth), ("kernel", kernel)):
        parts = value if isinstance(value, tuple) else (value,)
        if not all(isinstance(part, str) or callable(part) for part in parts):
            return name
    return None


def deconvolution_1d(
    n: int = 129,
    kernel: Any = "gaussian",
    width: float | None = 0.05,
    *,
    truth: Any = "jumps",
    every: int = 2,
    rows: Any = None,
    noise_std: float | None = None,
    noise_level: float | None = None,
    convention: str = "max",
    boundary: str = "zero",
    quadrature: str = "rectangle",
    normalise: bool = False,
    lower: float = -1.0,
    upper: float = 1.0,
    finer: int = 4,
    inverse_crime: bool = False,
    rng: RandomState = None,
) -> InverseProblem:
    """Return a deconvolution on a line, with data drawn from a truth.

    Parameters
    ----------
    n : int
        Number of grid points, ends included.
    kernel, width, boundary, quadrature, normalise
        As in :class:`scinn.inverse.operators.Convolution1D`.
    truth : str, callable or array-like of shape (n,)
        A name of :data:`scinn.inverse.phantoms.PHANTOMS_1D`, a function of x, or values on the grid.
    every : int
        Data at every so many points, from the first.
    rows : slice or array-like of int, optional
        Data at these points, in place of `every`.
    noise_std, noise_level, convention
        As in :func:`simulate`; with neither, sigma is 0.02.
    lower, upper : float
        Ends of the domain.
    finer : int
        The data are computed on a grid this many times finer, so that the reconstruction does not use the very matrix
        that made them.
    inverse_crime : bool
        Compute them on the problem's grid instead.
    rng : int, SeedSequence, Generator, Key or None
        Source of the noise.

    Returns
    -------
    InverseProblem
        Its truth is given on its grid.

    Raises
    ------
    ValueError
        For a finer grid where the truth or the kernel is an array, and as in the classes used.

    Notes
    -----
    Three problems that the reproduction uses, all with the data computed on the problem's own grid:

    - MAP estimates: ``deconvolution_1d(129, width=0.05, noise_std=0.02, inverse_crime=True, rng=3)`` has 65 data, noise
      ``0.02 * default_rng(3).standard_normal(65)`` and the truth 1 on (-.75, -.45), .4 on (-.2, .05), -.6 on (.3, .7).
    - Uncertainty: ``deconvolution_1d(65, width=0.08, noise_std=0.1, inverse_crime=True, rng=seed)`` has 33 data.
    - Timings: ``deconvolution_1d(64, width=0.06, truth="square", noise_std=0.2, inverse_crime=True, rng=0)`` has 32 data and
      the truth 1 on (-.5, .1).

    A reflecting boundary lies half a step beyond the last point, so it differs a little on the finer grid.

    Examples
    --------
    >>> deconvolution_1d(65, width=0.08, noise_std=0.1, rng=0)
    InverseProblem(deconvolution in 1-D: 33 data of 65 unknowns, noise sd 0.1 (given))
    """
    grid = uniform_grid(n, lower, upper)
    options: dict[str, Any] = {"boundary": boundary, "quadrature": quadrature, "normalise": normalise}
    operator = Convolution1D(grid, kernel, width, rows=_every(every, rows), **options)
    times = _check_finer(finer, inverse_crime, grid, _bound_to_grid(truth, kernel))
    exact = None
    if times > 1:
        fine = Grid((_finer_axis(grid.axes[0], times, boundary),))
        fine_operator = Convolution1D(fine, kernel, width, rows=operator.rows * times, **options)
        exact = fine_operator.apply(truth_values(truth, fine))
    return simulate(
        operator,
        truth_values(truth, grid),
        noise_std=0.02 if noise_std is None and noise_level is None else noise_std,
        noise_level=noise_level,
        convention=convention,
        exact=exact,
        rng=rng,
        name="deconvolution in 1-D",
    )


def deconvolution_2d(
    n: int | tuple[int, int] = 24,
    kernel: Any = "gaussian",
    width: Any = 0.1,
    *,
    truth: Any = "jumps",
    every: int = 2,
    rows: Any = None,
    noise_std: float | None = None,
    noise_level: float | None = None,
    convention: str = "max",
    boundary: str = "zero",
    quadrature: str = "rectangle",
    normalise: bool = False,
    lower: Any = -1.0,
    upper: Any = 1.0,
    finer: int = 4,
    inverse_crime: bool = False,
    rng: RandomState = None,
) -> InverseProblem:
    """Return a deconvolution in the plane, with data drawn from a truth.

    Parameters
    ----------
    n : int or pair of int
        Number of grid points along each axis, ends included.
    kernel, width, boundary, quadrature, normalise
        As in :class:`scinn.inverse.operators.Convolution2D`.
    truth : str, callable or array-like of shape (n_a, n_b)
        A name of :data:`scinn.inverse.phantoms.PHANTOMS_2D`, a function of the points (n, 2), or values on the grid.
    every : int
        Data at every so many rows and columns, from the first.
    rows : pair of slice or array-like of int, optional
        Data at these rows and columns, in place of `every`.
    noise_std, noise_level, convention, lower, upper, finer, inverse_crime, rng
        As in :func:`deconvolution_1d`.

    Returns
    -------
    InverseProblem
        Its truth is given on its grid.

    Raises
    ------
    ValueError
        As in :func:`deconvolution_1d`.

    Notes
    -----
    ``deconvolution_2d(24, width=0.1, noise_std=0.02, inverse_crime=True, rng=1)`` is the plane problem that the
    reproduction uses: 144 data, noise ``0.02 * default_rng(1).standard_normal(144)`` in row-major order, the truth 1 on
    (-.7, -.1) x (-.6, .5) and -.7 on the disc of squared radius .12 about (.45, .3).

    Examples
    --------
    >>> deconvolution_2d((8, 10), noise_std=0.02, rng=0)
    InverseProblem(deconvolution in 2-D: 20 data of 80 unknowns, noise sd 0.02 (given))
    """
    grid = uniform_grid((n, n) if isinstance(n, int | np.integer) else n, lower, upper)
    options: dict[str, Any] = {"boundary": boundary, "quadrature": quadrature, "normalise": normalise}
    operator = Convolution2D(grid, kernel, width, rows=_every(every, rows), **options)
    times = _check_finer(finer, inverse_crime, grid, _bound_to_grid(truth, kernel))
    exact = None
    if times > 1:
        fine = Grid(tuple(_finer_axis(axis, times, boundary) for axis in grid.axes))
        fine_rows = tuple(index * times for index in operator.rows)
        fine_operator = Convolution2D(fine, kernel, width, rows=fine_rows, **options)
        exact = fine_operator.apply(truth_values(truth, fine).ravel())
    return simulate(
        operator,
        truth_values(truth, grid),
        noise_std=0.02 if noise_std is None and noise_level is None else noise_std,
        noise_level=noise_level,
        convention=convention,
        exact=exact,
        rng=rng,
        name="deconvolution in 2-D",
    )


def regression(
    n: Any = 129,
    *,
    truth: Any = "jumps",
    every: int = 1,
    rows: Any = None,
    noise_std: float | None = None,
    noise_level: float | None = None,
    convention: str = "max",
    rng: RandomState = None,
) -> InverseProblem:
    """Return a regression: noisy values of the field itself.

    Parameters
    ----------
    n : int, pair of int, Grid or array-like
        The grid.
    truth, every, rows, noise_std, noise_level, convention, rng
        As in :func:`deconvolution_1d`; `every` counts points in row-major order.

    Returns
    -------
    InverseProblem

    Examples
    --------
    >>> regression(9, every=4, noise_std=0.1, rng=0).operator.points[:, 0].tolist()
    [-1.0, 0.0, 1.0]
    """
    taken = None if rows is None and every == 1 else _every(every, rows)
    operator = Identity(n, taken)
    assert operator.grid is not None
    return simulate(
        operator,
        truth_values(truth, operator.grid),
        noise_std=0.02 if noise_std is None and noise_level is None else noise_std,
        noise_level=noise_level,
        convention=convention,
        rng=rng,
        name="regression",
    )


def integration(
    n: Any = 129,
    *,
    truth: Any = "jumps",
    every: int = 2,
    rows: Any = None,
    quadrature: str = "trapezoid",
    noise_std: float | None = None,
    noise_level: float | None = None,
    convention: str = "max",
    finer: int = 4,
    inverse_crime: bool = False,
    rng: RandomState = None,
) -> InverseProblem:
    """Return the problem of differentiating noisy data: the integral of the field from the left end.

    Parameters
    ----------
    n : int, Grid or array-like
        The grid, of one axis.
    quadrature
        As in :class:`scinn.inverse.operators.Integration`.
    truth, every, rows, noise_std, noise_level, convention, finer, inverse_crime, rng
        As in :func:`deconvolution_1d`.

    Returns
    -------
    InverseProblem

    Examples
    --------
    >>> integration(9, noise_std=0.01, rng=0)
    InverseProblem(integration: 5 data of 9 unknowns, noise sd 0.01 (given))
    """
    operator = Integration(n, _every(every, rows), quadrature=quadrature)
    grid = operator.grid
    assert grid is not None
    times = _check_finer(finer, inverse_crime, grid, _bound_to_grid(truth))
    exact = None
    if times > 1:
        share = np.arange(times * (grid.n - 1) + 1) / times
        fine = Grid((np.interp(share, np.arange(grid.n), grid.axes[0]),))
        exact = Integration(fine, operator.rows * times, quadrature=quadrature).apply(
            truth_values(truth, fine)
        )
    return simulate(
        operator,
        truth_values(truth, grid),
        noise_std=0.02 if noise_std is None and noise_level is None else noise_std,
        noise_level=noise_level,
        convention=convention,
        exact=exact,
        rng=rng,
        name="integration",
    )


_PSF = {"gauss": "gaussian", "defocus": "box"}


def Deconvolution1D(
    dim: int = 128,
    PSF: Any = "gaussian",
    PSF_param: float | None = 0.05,
    *,
    BC: str = "zero",
    phantom: Any = "jumps",
    noise_std: float | None = None,
    rng: RandomState = None,
    **options: Any,
) -> InverseProblem:
    """Return :func:`deconvolution_1d` under the argument names of CUQIpy, with data at every point.

    Parameters
    ----------
    dim : int
        Number of grid points.
    PSF : str, callable or array-like
        The kernel; "gauss" and "defocus" are understood as "gaussian" and "box". It is applied as it is, not transposed.
    PSF_param : float, optional
        Its length in the unit of x, on [-1, 1] (CUQIpy counts grid points).
    BC : str
        The boundary.
    phantom : str, callable or array-like
        The truth.
    noise_std : float, optional
        Standard deviation of the noise.
    rng : int, SeedSequence, Generator, Key or None
        Source of the noise.
    **options
        Any other argument of :func:`deconvolution_1d`.

    Returns
    -------
    InverseProblem

    Examples
    --------
    >>> Deconvolution1D(dim=32, PSF="gauss", PSF_param=0.1, BC="periodic", noise_std=0.05, rng=0)
    InverseProblem(deconvolution in 1-D: 32 data of 32 unknowns, noise sd 0.05 (given))
    """
    return deconvolution_1d(dim, **_renamed(PSF, PSF_param, BC, phantom, noise_std, rng, options))


def Deconvolution2D(
    dim: int | tuple[int, int] = 24,
    PSF: Any = "gaussian",
    PSF_param: Any = 0.1,
    *,
    BC: str = "zero",
    phantom: Any = "jumps",
    noise_std: float | None = None,
    rng: RandomState = None,
    **options: Any,
) -> InverseProblem:
    """Return :func:`deconvolution_2d` under the argument names of CUQIpy, with data at every point.

    Parameters
    ----------
    dim : int or pair of int
        Number of grid points along each axis.
    PSF, PSF_param, BC, phantom, noise_std, rng
        As in :func:`Deconvolution1D`.
    **options
        Any other argument of :func:`deconvolution_2d`.

    Returns
    -------
    InverseProblem

    Examples
    --------
    >>> Deconvolution2D(dim=8, PSF_param=0.2, noise_std=0.05, rng=0).operator.data_shape
    (8, 8)
    """
    return deconvolution_2d(dim, **_renamed(PSF, PSF_param, BC, phantom, noise_std, rng, options))


def _renamed(
    psf: Any, length: Any, boundary: str, phantom: Any, noise_std: float | None, rng: Any, options: dict
) -> dict:
    kernel = _PSF.get(psf.lower(), psf.lower()) if isinstance(psf, str) else psf
    return {
        "kernel": kernel,
        "width": length,
        "boundary": boundary.lower(),
        "truth": phantom,
        "noise_std": noise_std,
        "rng": rng,
        "every": 1,
        **options,
    }

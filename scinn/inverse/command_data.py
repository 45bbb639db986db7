"""What ``scinn invert`` reads: a signal or an image with its grid, an operator, and the size of the noise.

C. Li, M. Dunlop and G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and
Imaging 16(5), 2022, arXiv 2112.10663. Notation: data ``y = G u + eta``, ``eta ~ N(0, sigma^2)``. The prior sees the problem
in units of its own: with R half the longest side of the domain, c the function's offset and a its amplitude,

``t = (x - middle) / R``,  ``v = (u - c) / a``,  ``(y - G c) / a = G v + eta / a``,

so that scales of the prior are numbers that do not depend on anybody's units.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from scinn._input import as_float_array, check_choice, check_in_range
from scinn.inverse.grids import Grid, uniform_grid
from scinn.inverse.inverse_problem import InverseProblem
from scinn.inverse.operators import (
    Convolution1D,
    Convolution2D,
    Identity,
    Integration,
    LinearForward,
    MatrixOperator,
)
from scinn.inverse.stencils import BOUNDARIES, KERNELS

__all__ = ["Observation", "ScaledProblem", "estimate_noise", "observe", "read_arrays", "scale_problem"]

_NAMES = ("y", "x", "x_a", "x_b", "noise_std", "truth")
_PLAIN = ("identity", "integration")
#: Data below this number say too little about their own noise.
LEAST_DATA = 8


@dataclass(frozen=True, eq=False)
class Observation:
    """Data, operator, grid and noise, in the user's own units, and how each was chosen.

    Parameters
    ----------
    y : ndarray of float64, shape (m,) or (m_a, m_b)
    operator : LinearForward
    grid : Grid
        Of the unknowns.
    data_axes : tuple of ndarray or None
        Coordinates of the data; None where a matrix does not tell.
    noise_std : float or ndarray of float64, shape y.shape
    noise_origin : str
        How the noise's size was found.
    noise_estimated : bool
    kernel, boundary : str
        In words.
    truth : ndarray of float64 or None, shape grid.shape
    notes : tuple of str
        What the reader has to know of the choices.
    """

    y: np.ndarray
    operator: LinearForward
    grid: Grid
    data_axes: tuple[np.ndarray, ...] | None
    noise_std: Any
    noise_origin: str
    noise_estimated: bool
    kernel: str
    boundary: str
    truth: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    @property
    def sigma(self) -> float:
        """Root mean square of the noise's standard deviations."""
        return float(np.sqrt(np.mean(np.square(self.noise_std))))


@dataclass(frozen=True, eq=False)
class ScaledProblem:
    """The problem in the prior's units.

    Parameters
    ----------
    problem : InverseProblem
        For v on t.
    offset, amplitude : float
        c and a.
    middle : tuple of float
        Of the domain, along each axis.
    half_width : float
        R.
    """

    problem: InverseProblem
    offset: float
    amplitude: float
    middle: tuple[float, ...]
    half_width: float

    def back(self, v: Any) -> np.ndarray:
        """Return u of v."""
        return self.offset + self.amplitude * np.asarray(v)


def read_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read the arrays of a data file.

    Parameters
    ----------
    path : path
        An ``.npz`` with ``y`` and, optionally, ``x`` or ``x_a`` and ``x_b``, ``noise_std`` and ``truth``.

    Returns
    -------
    dict of str to ndarray of float64
        Those of the arrays that are there.

    Raises
    ------
    ValueError
        Where it is no such file, ``y`` is missing, or an array holds NaN or is of another shape.
    """
    name = os.fspath(path)
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("it is a single array, not an archive of arrays")
        with archive:
            held = archive.files
            raw = {key: archive[key] for key in _NAMES if key in held}
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{name} cannot be read: {error}; write it with numpy.savez({name!r}, y=...)"
        ) from error
    if "y" not in raw:
        raise ValueError(
            f"{name} holds {', '.join(held) or 'nothing'}; the data y are wanted: numpy.savez({name!r}, y=...)"
        )
    try:
        arrays = {key: as_float_array(values, key, dtype=np.float64) for key, values in raw.items()}
    except (TypeError, ValueError) as error:
        # Here the type is that of a file's content, which is as much a wrong value as any other.
        raise ValueError(f"{name}: {error}") from error
    y = arrays["y"]
    if y.ndim not in (1, 2) or y.size < 2:
        raise ValueError(f"{name}: y has shape {y.shape}; (m,) or (m_a, m_b) is wanted, of at least two data")
    if y.ndim == 2 and 1 in y.shape:
        raise ValueError(f"{name}: y has shape {y.shape}; for a signal save y.ravel()")
    return arrays


def estimate_noise(y: np.ndarray) -> float:
    """Estimate the noise's standard deviation from data that are smooth but for it.

    Parameters
    ----------
    y : ndarray of float64, shape (m,) or (m_a, m_b)

    Returns
    -------
    float
        The median absolute second difference (along both axes of an image, one after the other) over what it is for
        independent normal noise of standard deviation 1.

    Raises
    ------
    ValueError
        For fewer than eight data along an axis, or data without any noise.

    References
    ----------
    J. Immerkaer, "Fast noise variance estimation", Computer Vision and Image Understanding 64(2), 1996, with medians, which
    jumps do not disturb, in place of means.

    Examples
    --------
    >>> t = np.linspace(0, 3, 4000)
    >>> noise = np.random.default_rng(0).normal(scale=0.1, size=4000)
    >>> round(estimate_noise(np.sin(t) + (t > 1) + noise), 2)
    0.1
    """
    if min(y.shape) < LEAST_DATA:
        raise ValueError(
            f"y has shape {y.shape}, too few data to estimate their noise from; say it with --noise SIGMA"
        )
    differences = y
    for axis in range(y.ndim):
        differences = np.diff(differences, n=2, axis=axis)
    # A second difference of independent numbers has 1 + 4 + 1 times their variance, and the median of |N(0, 1)| is 0.6745.
    sigma = float(np.median(np.abs(differences))) / (0.6744897501960817 * 6.0 ** (y.ndim / 2.0))
    if not sigma > 1e-12 * float(np.abs(y).max()):
        raise ValueError("y shows no noise, so that none can be estimated; say its size with --noise SIGMA")
    return sigma


def _noise(
    arrays: dict[str, np.ndarray], noise: float | None, level: float | None, convention: str
) -> tuple[Any, str, bool]:
    """Return standard deviations, how they were found, and whether they were estimated."""
    y = arrays["y"]
    check_choice(convention, "noise_convention", ("max", "norm"))
    if noise is not None and level is not None:
        raise ValueError("--noise and --noise-level exclude each other; give one of them")
    also = "; noise_std of the file is not used" if "noise_std" in arrays else ""
    if noise is not None:
        return check_in_range(noise, "--noise", 0.0, None, "neither"), f"given by --noise{also}", False
    if level is not None:
        p = check_in_range(level, "--noise-level", 0.0, None, "neither")
        size = np.abs(y).max() if convention == "max" else np.linalg.norm(y) / np.sqrt(y.size)
        if not size > 0:
            raise ValueError(
                "y is zero, so that a noise level says nothing; say the noise with --noise SIGMA"
            )
        rule = "max |y|" if convention == "max" else "|y| / sqrt(m)"
        return p * float(size), f"{p:g} times {rule}, by --noise-level{also}", False
    if "noise_std" not in arrays:
        return estimate_noise(y), "estimated from the second differences of the data", True
    std = arrays["noise_std"]
    if std.shape not in ((), (1,), y.shape):
        raise ValueError(f"noise_std has shape {std.shape}; one number or {y.shape}, that of y, is wanted")
    if not (std > 0).all():
        raise ValueError(f"noise_std holds {float(std.min()):g}; positive standard deviations are wanted")
    return (std.item() if std.size == 1 else std), "noise_std of the file", False


def _data_axes(arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """Return the coordinates of the data: the file's, or [-1, 1] along the longest side."""
    y = arrays["y"]
    names = ("x",) if y.ndim == 1 else ("x_a", "x_b")
    wrong = [name for name in ("x", "x_a", "x_b") if name in arrays and name not in names]
    if wrong:
        raise ValueError(
            f"{wrong[0]} is given for y of shape {y.shape}; {' and '.join(names)} would be its coordinates"
        )
    given = [name for name in names if name in arrays]
    if given and len(given) < len(names):
        raise ValueError(
            f"{given[0]} is given without {next(n for n in names if n not in given)}; both are wanted"
        )
    if not given:
        # One step for both axes, so that the pixels of an image are square.
        longest = max(y.shape) - 1
        return tuple(np.linspace(-1.0, 1.0, size) * ((size - 1) / longest) for size in y.shape)
    return tuple(_axis(arrays[name], name, size) for name, size in zip(names, y.shape))


def _axis(values: np.ndarray, name: str, size: int) -> np.ndarray:
    if values.shape != (size,):
        raise ValueError(
            f"{name} has shape {values.shape}; ({size},) is wanted, a coordinate for each of the data"
        )
    if not (np.diff(values) > 0).all():
        raise ValueError(f"{name} does not increase; sort it, and y with it")
    return values


def _counts(grid: str | None, dimension: int) -> tuple[int, ...] | None:
    """Return the numbers of unknowns that ``--grid`` asks for."""
    if grid is None:
        return None
    parts = grid.lower().split("x")
    if not all(part.strip().isdigit() and int(part) > 1 for part in parts) or len(parts) not in (
        1,
        dimension,
    ):
        form = "N" if dimension == 1 else "N or NxM"
        raise ValueError(f"--grid is {grid!r}; {form} is wanted, numbers of at least 2")
    return tuple(int(part) for part in (parts if len(parts) == dimension else parts * dimension))


def _refined(
    axes: tuple[np.ndarray, ...], counts: tuple[int, ...] | None
) -> tuple[Grid, tuple[slice, ...] | None]:
    """Return the grid of the unknowns, and which of its points have data; None for all."""
    if counts is None or counts == tuple(len(axis) for axis in axes):
        return Grid(axes), None
    fine, rows = [], []
    for axis, n in zip(axes, counts):
        m = len(axis)
        factor, rest = divmod(n - 1, m - 1)
        if rest or factor < 1:
            near = 1 + (m - 1) * max(1, round((n - 1) / (m - 1)))
            raise ValueError(
                f"--grid asks for {n} unknowns over {m} data, which must be among them; {near} would do (1 + k*{m - 1})"
            )
        places = np.interp(np.arange(n), np.arange(m) * factor, axis)
        fine.append(places)
        rows.append(slice(None, None, factor))
    return Grid(tuple(fine)), tuple(rows)


def _split_kernel(kernel: str) -> tuple[str, float | None]:
    name, colon, width = kernel.partition(":")
    if not colon:
        return name, None
    try:
        number = float(width)
    except ValueError:
        raise ValueError(
            f"--kernel is {kernel!r}; a number is wanted after the colon, as in {name}:0.05"
        ) from None
    return name, check_in_range(number, f"the width in --kernel {kernel}", 0.0, None, "neither")


def _load_kernel(path: str) -> np.ndarray:
    if not Path(path).is_file():
        raise ValueError(f"--kernel is {path!r}, and there is no such file")
    try:
        values = np.load(path, allow_pickle=False)
        if not isinstance(values, np.ndarray):
            raise ValueError("it is an archive of several arrays; numpy.save writes one")
        return as_float_array(values, f"kernel {path}", dtype=np.float64)
    except (ValueError, TypeError, EOFError) as error:
        raise ValueError(f"{path} cannot be used as a kernel: {error}") from error


@dataclass
class _Built:
    operator: LinearForward
    grid: Grid
    words: str
    data_axes: tuple[np.ndarray, ...] | None
    notes: list[str] = field(default_factory=list)


def _operator(kernel: str, boundary: str, arrays: dict[str, np.ndarray], grid_size: str | None) -> _Built:
    """Return the operator of ``--kernel``, and the grid on which the unknowns live."""
    y = arrays["y"]
    counts = _counts(grid_size, y.ndim)
    check_choice(boundary, "boundary", BOUNDARIES)
    if kernel.endswith(".npy"):
        values = _load_kernel(kernel)
        if values.ndim == 2 and (y.ndim == 1 or values.shape[0] == y.size):
            return _matrix(values, kernel, arrays, counts)
        if values.ndim != y.ndim:
            raise ValueError(
                f"kernel {kernel} has shape {values.shape} and y {y.shape}; taps of {y.ndim} dimensions, or a matrix of "
                f"{y.size} rows, are wanted"
            )
        name, width = f"{' x '.join(map(str, values.shape))} taps of {kernel}", None
    else:
        values = None
        name, width = _split_kernel(kernel)
        base = name.partition("(")[0]
        check_choice(base, "kernel", (*KERNELS, *_PLAIN))
        if (width is None) != (base in _PLAIN):
            hint = f"{name}:0.05" if width is None else name
            raise ValueError(f"--kernel is {kernel!r}; write {hint}")
    axes = _data_axes(arrays)
    grid, rows = _refined(axes, counts)
    if name == "identity":
        index = np.arange(grid.n).reshape(grid.shape)
        chosen = None if rows is None else index[rows].ravel()
        return _Built(Identity(grid, chosen), grid, "none: the data are the function's values", axes)
    if name == "integration":
        if y.ndim == 2:
            raise ValueError("--kernel integration is for signals, and y is an image")
        operator = Integration(grid, None if rows is None else rows[0])
        return _Built(operator, grid, "integration from the first point (trapezoidal rule)", axes)
    return _convolution(name, width, values, boundary, grid, rows, axes)


def _convolution(
    name: str,
    width: float | None,
    taps: np.ndarray | None,
    boundary: str,
    grid: Grid,
    rows: tuple[slice, ...] | None,
    axes: tuple[np.ndarray, ...],
) -> _Built:
    notes = []
    uneven = not grid.is_uniform
    if taps is None and uneven and boundary != "zero":
        raise ValueError(f"x has unequal steps; --boundary zero is wanted with them, and {boundary!r} came")
    if taps is not None and uneven:
        raise ValueError("x has unequal steps; taps of a file need equal ones")
    options: dict[str, Any] = {
        "boundary": boundary,
        "quadrature": "trapezoid" if uneven else "rectangle",
        "normalise": taps is None and not uneven,
    }
    step = max(float(np.diff(axis).max()) for axis in grid.axes)
    if width is not None and width < step:
        notes.append(
            f"The kernel's width {width:g} is less than the grid's step {step:.3g}: it hardly blurs on this grid. "
            "Is it in the units of x?"
        )
    kernel: Any = name if taps is None else taps
    if grid.dimension == 1:
        operator: LinearForward = Convolution1D(grid, kernel, width, rows=rows and rows[0], **options)
    else:
        operator = Convolution2D(grid, kernel, width, rows=rows, **options)
    words = (
        f"convolution with the {name}"
        if taps is not None
        else f"convolution with a {name} kernel of width {width:g}"
    )
    if taps is not None:
        words += f", which sum to {taps.sum():.4g}"
    elif not uneven:
        words += ", scaled to keep constants"
    return _Built(operator, grid, words, axes, notes)


def _matrix(
    values: np.ndarray, path: str, arrays: dict[str, np.ndarray], counts: tuple[int, ...] | None
) -> _Built:
    y = arrays["y"]
    if values.shape[0] != y.size:
        raise ValueError(
            f"kernel {path} is a matrix of {values.shape[0]} rows, and there are {y.size} data; they must be as many"
        )
    n = values.shape[1]
    names = ("x",) if y.ndim == 1 else ("x_a", "x_b")
    axes = [arrays[name] for name in names if name in arrays]
    if len(axes) == y.ndim:
        # Of a matrix the file's coordinates are those of the unknowns: its rows may stand for anything.
        grid = Grid(tuple(_axis(axis, name, axis.size) for axis, name in zip(axes, names)))
    elif counts is not None:
        grid = uniform_grid(counts)
    else:
        grid = uniform_grid(n) if y.ndim == 1 else Grid(_data_axes(arrays))
    if grid.n != n:
        raise ValueError(
            f"kernel {path} is a matrix of {n} columns, and the grid has {grid.n} points; give {' and '.join(names)} of the "
            "unknowns in the file, or --grid"
        )
    return _Built(MatrixOperator(values, grid), grid, f"the {y.size} x {n} matrix of {path}", None)


def observe(
    path: str | os.PathLike[str],
    kernel: str,
    *,
    boundary: str = "reflect",
    grid: str | None = None,
    noise: float | None = None,
    noise_level: float | None = None,
    noise_convention: str = "max",
) -> Observation:
    """Read data and say what made them.

    Parameters
    ----------
    path : path
        See :func:`read_arrays`.
    kernel : str
        ``gaussian:w``, ``box:w``, ``laplace:w``, ``moffat:w`` or ``moffat(b):w`` with the width in the units of x;
        ``identity``, ``integration``, or an ``.npy`` file of taps or of a matrix.
    boundary : str
        As for :class:`scinn.inverse.Convolution1D`.
    grid : str, optional
        Number of unknowns, "N" or "NxM".
    noise, noise_level, noise_convention
        Standard deviation of the noise; or its share of max |y| ("max") or of |y| / sqrt(m) ("norm").

    Returns
    -------
    Observation

    Raises
    ------
    ValueError
        For data, names and numbers that do not fit; the message says which.
    """
    arrays = read_arrays(path)
    std, origin, estimated = _noise(arrays, noise, noise_level, noise_convention)
    built = _operator(kernel, boundary, arrays, grid)
    truth = arrays.get("truth")
    if truth is not None and truth.shape != built.grid.shape:
        raise ValueError(
            f"truth has shape {truth.shape}, and the unknowns {built.grid.shape}; they must be the same"
        )
    convolved = isinstance(built.operator, Convolution1D | Convolution2D)
    return Observation(
        y=arrays["y"],
        operator=built.operator,
        grid=built.grid,
        data_axes=built.data_axes,
        noise_std=std,
        noise_origin=origin,
        noise_estimated=estimated,
        kernel=built.words,
        boundary=boundary if convolved else "",
        truth=truth,
        notes=tuple(built.notes),
    )


def _offset_and_amplitude(seen: Observation) -> tuple[float, float]:
    """Return a typical value of u and how far u goes from it."""
    operator, y = seen.operator, seen.y.ravel()
    ones = operator.apply(np.ones(operator.shape[1]))
    # A blur keeps constants, so that its data have the function's own size; anything else is inverted roughly.
    if np.median(ones) > 0 and np.ptp(ones) <= np.median(ones):
        values = y / float(np.median(ones))
    else:
        values = _rough(operator.matrix() / seen.sigma, y / seen.sigma)
    offset = float(np.median(values))
    amplitude = float(np.abs(values - offset).max())
    return offset, amplitude if amplitude > 0 else max(abs(offset), seen.sigma)


def _rough(forward: np.ndarray, data: np.ndarray) -> np.ndarray:
    """Return the minimiser of ``|F u - d|^2 + k |u|^2`` with k such that the residual has the noise's size."""
    left, s, right = np.linalg.svd(forward, full_matrices=False)
    inside = left.T @ data
    outside = max(float(data @ data - inside @ inside), 0.0)
    weights = s[0] ** 2 * np.logspace(-12, 2, 57)
    residuals = [float(np.sum((inside * k / (s**2 + k)) ** 2)) + outside for k in weights]
    fits = [k for k, r in zip(weights, residuals) if r <= len(data)]
    k = fits[-1] if fits else weights[0]
    return right.T @ (inside * s / (s**2 + k))


def scale_problem(seen: Observation, name: str = "data") -> ScaledProblem:
    """Return the problem in the prior's units.

    Parameters
    ----------
    seen : Observation
    name : str
        What the problem is, for the reader.

    Returns
    -------
    ScaledProblem
    """
    offset, amplitude = _offset_and_amplitude(seen)
    axes = seen.grid.axes
    middle = tuple(0.5 * float(axis[0] + axis[-1]) for axis in axes)
    half_width = max(0.5 * float(axis[-1] - axis[0]) for axis in axes) or 1.0
    grid = Grid(tuple((axis - centre) / half_width for axis, centre in zip(axes, middle)))
    constant = seen.operator.apply(np.full(seen.operator.shape[1], offset))
    problem = InverseProblem(
        seen.operator,
        (seen.y.ravel() - constant) / amplitude,
        np.ravel(seen.noise_std) / amplitude if np.ndim(seen.noise_std) else seen.noise_std / amplitude,
        grid,
        truth=None if seen.truth is None else (seen.truth - offset) / amplitude,
        noise_convention=seen.noise_origin,
        name=name,
    )
    return ScaledProblem(problem, offset, amplitude, middle, half_width)

"""Fields that are linear in independent coefficients: Gaussian processes, Cauchy motion, wavelet series.

The comparison priors of C. Li, M. Dunlop and G. Stadler, "Bayesian neural network priors for edge-preserving inversion",
Inverse Problems and Imaging 16(5), 2022, arXiv 2112.10663, in the coordinates of their network prior. Notation: white
coordinates ``xi ~ N(0, I)``, coefficients ``theta_k = s_k T_k(xi_k)`` in blocks k of one law each, field
``u = mean + B theta`` on the n points of a grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scinn._input import as_float_array, check_in_range, check_positive_int
from scinn.inverse.grids import Grid, as_grid, uniform_grid
from scinn.inverse.laws import Law, as_law
from scinn.random import RandomState, as_generator

__all__ = ["LinearField"]


@dataclass(frozen=True, eq=False, repr=False)
class LinearField:
    """A random field ``u = mean + B theta`` on a grid.

    Parameters
    ----------
    matrix : array-like, shape (n, p)
        B.
    laws : sequence of Law or str
        The unit law of each block of coefficients.
    sizes : sequence of int
        Number of coefficients of each block; they sum to p.
    scales : sequence of float
        Scale s_k of each block, not negative.
    mean : float or array-like, shape (n,)
        The field at xi = 0.
    grid : Grid, int or array-like, optional
        The n points; default: on [-1, 1].

    Raises
    ------
    ValueError
        For sizes that do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> field = LinearField(np.eye(2), ["cauchy"], [2], [3.0], mean=1.0)
    >>> field.dim, field.field(np.zeros(2)).tolist()
    (2, [1.0, 1.0])
    """

    matrix: np.ndarray
    laws: tuple[Law, ...]
    sizes: tuple[int, ...]
    scales: tuple[float, ...]
    mean: np.ndarray = 0.0  # type: ignore[assignment]  # an array once made
    grid: Grid = None  # type: ignore[assignment]  # never None once made

    if TYPE_CHECKING:
        # The fields above are what is kept; this is what may come.
        def __init__(
            self,
            matrix: Any,
            laws: Sequence[Any],
            sizes: Sequence[int],
            scales: Sequence[float],
            mean: Any = 0.0,
            grid: Any = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        put = object.__setattr__
        matrix = np.array(as_float_array(self.matrix, "matrix", ndim=2, dtype=np.float64))
        n, p = matrix.shape
        sizes = tuple(check_positive_int(size, "sizes") for size in self.sizes)
        laws = tuple(as_law(law) for law in self.laws)
        scales = tuple(check_in_range(scale, "scales", 0.0) for scale in self.scales)
        if not len(sizes) == len(laws) == len(scales):
            raise ValueError(
                f"laws, sizes and scales have {len(laws)}, {len(sizes)} and {len(scales)} entries; one for each block is "
                "wanted"
            )
        if sum(sizes) != p:
            raise ValueError(f"sizes sum to {sum(sizes)} and matrix has {p} columns; they must be as many")
        grid = uniform_grid(n) if self.grid is None else as_grid(self.grid)
        if grid.n != n:
            raise ValueError(f"grid has {grid.n} points and matrix {n} rows; they must be as many")
        mean = as_float_array(self.mean, "mean", dtype=np.float64)
        if mean.shape not in ((), (n,), grid.shape):
            raise ValueError(f"mean has shape {mean.shape}; a number or ({n},) is wanted")
        put(self, "matrix", matrix)
        put(self, "sizes", sizes)
        put(self, "laws", laws)
        put(self, "scales", scales)
        put(self, "grid", grid)
        put(self, "mean", np.full(n, float(mean)) if mean.ndim == 0 else np.array(mean.reshape(n)))

    @property
    def dim(self) -> int:
        """Number of white coordinates; a coefficient of a general stable law takes two."""
        return sum(size * law.n_white for size, law in zip(self.sizes, self.laws))

    @property
    def is_gaussian(self) -> bool:
        """Whether all coefficients are Gaussian."""
        return all(law.name == "gaussian" for law in self.laws)

    def coefficients(self, xi: Any) -> np.ndarray:
        """Return theta.

        Parameters
        ----------
        xi : array-like, shape (..., dim)
            White coordinates.

        Returns
        -------
        ndarray of float64, shape (..., p)

        Raises
        ------
        ValueError
            For another number of coordinates.
        """
        white = as_float_array(xi, "xi", dtype=np.float64)
        if not white.ndim or white.shape[-1] != self.dim:
            raise ValueError(f"xi has shape {white.shape}; (..., {self.dim}) is wanted")
        parts, start = [], 0
        for size, law, scale in zip(self.sizes, self.laws, self.scales):
            block = white[..., start : start + size * law.n_white]
            start += size * law.n_white
            # Numbers beyond float64 times a scale of zero would be NaN.
            parts.append(scale * law.transform(block) if scale else np.zeros((*white.shape[:-1], size)))
        return np.concatenate(parts, axis=-1)

    def field(self, xi: Any) -> np.ndarray:
        """Return u.

        Parameters
        ----------
        xi : array-like, shape (..., dim)
            White coordinates.

        Returns
        -------
        ndarray of float64, shape (..., grid.shape ...)
        """
        values = self.mean + self.coefficients(xi) @ self.matrix.T
        return values.reshape(*values.shape[:-1], *self.grid.shape)

    def sample(self, rng: RandomState = None, size: int | None = None) -> np.ndarray:
        """Draw fields.

        Parameters
        ----------
        rng : int, SeedSequence, Generator, Key or None
            Source of the white coordinates.
        size : int, optional
            How many; None draws one, without a leading axis.

        Returns
        -------
        ndarray of float64, shape grid.shape or (size, grid.shape ...)
        """
        rows = () if size is None else (check_positive_int(size, "size", 0),)
        return self.field(as_generator(rng).standard_normal((*rows, self.dim)))

    def square_root(self) -> np.ndarray:
        """Return B with its columns multiplied by the scales: ``u = mean + S T(xi)``.

        Returns
        -------
        ndarray of float64, shape (n, p)
        """
        return self.matrix * np.repeat(self.scales, self.sizes)

    def covariance(self) -> np.ndarray:
        """Return the covariance of u, for Gaussian coefficients.

        Returns
        -------
        ndarray of float64, shape (n, n)

        Raises
        ------
        ValueError
            For other laws, which may have none.
        """
        if not self.is_gaussian:
            raise ValueError(
                f"the laws are {[law.name for law in self.laws]}; the covariance is defined here for 'gaussian' only"
            )
        root = self.square_root()
        return root @ root.T

    def __repr__(self) -> str:
        blocks = ", ".join(
            f"{size} {law.name} of scale {scale:g}"
            for size, law, scale in zip(self.sizes, self.laws, self.scales)
        )
        return f"LinearField({blocks}; {self.grid!r})"

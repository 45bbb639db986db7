"""Draws of a posterior, as values of the function: summaries, diagnostics, edges, files.

Li, Dunlop, Stadler (2022), "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and Imaging
16(5), arXiv 2112.10663. Notation: white coordinates ``xi``, functions ``u`` on a grid, misfit ``Phi``; axes
(chain, draw, ...). Two things follow from the priors:

* Hidden units may be permuted, and the weights of odd ones change sign, without any change of ``u`` or ``Phi``. Weights are
  therefore never compared between chains; function values are.
* Where the last layer is Cauchy, ``u(x)`` may have no mean, so medians and quantiles are reported.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from scinn._input import check_choice, check_in_range
from scinn.exceptions import ScinnWarning, require
from scinn.inverse import edges
from scinn.inverse.diagnostics import ChainSummary, ess, rhat, verdict
from scinn.inverse.edges import JumpLocation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Chains"]

FORMAT = 1
_KIND = "chains"
_PROBABILITIES = (0.05, 0.25, 0.5, 0.75, 0.95)
# Diagnosing a point takes milliseconds; neighbours on a large grid say nearly the same.
_MOST_POINTS = 256


@dataclass(frozen=True, repr=False, eq=False)
class Chains:
    """Draws of several chains.

    Parameters
    ----------
    misfit : ndarray of float64, shape (n_chains, n_draws)
        Phi of each draw.
    fields : ndarray of float64 or None, shape (n_chains, n_draws, grid ...)
        The functions; None where the target has none.
    positions : ndarray of float64 or None, shape (n_chains, n_draws, dim)
        White coordinates; None where they were not kept.
    records : dict of str to ndarray, shape (n_chains, n_draws, ...)
        What the user recorded.
    acceptance_rate : tuple of float
        Of each chain, warm-up excluded.
    points : ndarray of float64 or None, shape (n, d)
        Grid points.
    truth : ndarray or None
        The function that made the data, where it is known, at `truth_points`.
    truth_points : ndarray or None, shape (n_truth, d)
    sampler : str
        What drew them.
    n_warmup, thin : int
        Steps before the first draw, all of them left out, and steps between draws.
    mean_exists : bool or None
        Whether ``u(x)`` has a mean under the prior; None where nobody knows.

    Examples
    --------
    >>> import numpy as np
    >>> from scinn.inverse.chains import Chains
    >>> rng = np.random.default_rng(0)
    >>> u = np.linspace(0, 1, 5) + 0.1 * rng.standard_normal((4, 1000, 5))
    >>> chains = Chains(misfit=rng.standard_exponential((4, 1000)), fields=u)
    >>> chains
    Chains(4 chains of 1000 draws, functions of shape (5,))
    >>> chains.summary().converged
    True
    >>> bool(np.all(np.abs(chains.median() - np.linspace(0, 1, 5)) < 0.01))
    True
    """

    misfit: np.ndarray
    fields: np.ndarray | None = None
    positions: np.ndarray | None = None
    records: dict[str, np.ndarray] = field(default_factory=dict)
    acceptance_rate: tuple[float, ...] = ()
    points: np.ndarray | None = None
    truth: np.ndarray | None = None
    truth_points: np.ndarray | None = None
    sampler: str = ""
    n_warmup: int = 0
    thin: int = 1
    mean_exists: bool | None = None

    @property
    def n_chains(self) -> int:
        """Number of chains."""
        return int(self.misfit.shape[0])

    @property
    def n_draws(self) -> int:
        """Number of draws of each chain."""
        return int(self.misfit.shape[1])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the grid; empty where there are no functions."""
        return () if self.fields is None else self.fields.shape[2:]

    def __repr__(self) -> str:
        chains = f"{self.n_chains} {'chain' if self.n_chains == 1 else 'chains'} of {self.n_draws} draws"
        parts = [chains + (f" by {self.sampler}" if self.sampler else "")]
        parts.append("no functions" if self.fields is None else f"functions of shape {self.shape}")
        if self.positions is not None:
            parts.append(f"positions of dimension {self.positions.shape[2]}")
        if self.records:
            parts.append("records " + ", ".join(self.records))
        if self.acceptance_rate:
            parts.append(f"acceptance rate {np.mean(self.acceptance_rate):.2f}")
        return f"Chains({', '.join(parts)})"

    # Point estimates

    def median(self) -> np.ndarray:
        """Return the median at each grid point.

        Returns
        -------
        ndarray of float64, shape (grid ...)

        Raises
        ------
        ValueError
            Where there are no functions.
        """
        return np.median(self._fields(), axis=(0, 1))

    def quantile(self, probability: float | Sequence[float]) -> np.ndarray:
        """Return quantiles at each grid point.

        Parameters
        ----------
        probability : float or sequence of float
            Between 0 and 1.

        Returns
        -------
        ndarray of float64, shape (grid ...) or (n_probabilities, grid ...)
        """
        levels = np.asarray(probability, dtype=np.float64)
        for level in levels.ravel():
            check_in_range(float(level), "probability", 0.0, 1.0)
        return np.quantile(self._fields(), levels, axis=(0, 1))

    def mean(self) -> np.ndarray:
        """Return the mean at each grid point, where a mean exists.

        Returns
        -------
        ndarray of float64, shape (grid ...)

        Raises
        ------
        ValueError
            Where ``u(x)`` may have no mean, as with a Cauchy last layer.
        """
        values = self._fields()
        if self.mean_exists is False:
            raise ValueError(
                "the prior's function values have no mean, as with a Cauchy last layer, and the posterior need not have "
                "one: an average of draws estimates nothing. Use median() or quantile()"
            )
        return values.mean(axis=(0, 1))

    # Diagnostics

    def rhat(self, of: str = "fields") -> np.ndarray:
        """Return R-hat of function values, of the misfit, or of what was recorded.

        Parameters
        ----------
        of : str, default "fields"
            "fields", "misfit", the name of a record, or "weights", which warns: see Notes.

        Returns
        -------
        ndarray of float64, shape (grid ...), () or that of a record's value

        Raises
        ------
        ValueError
            For fewer than two chains, fewer than four draws, or where it was not kept.

        Warns
        -----
        ScinnWarning
            For "weights".

        Notes
        -----
        Permuting hidden units, or changing the sign of an odd unit's weights, changes neither the function nor its
        posterior density. Chains that agree about the function sit at different ones of the many equivalent weights, so
        that R-hat of weights is large for perfect chains, and it may be small for bad ones.
        """
        return rhat(self._quantity(of))

    def ess(self, of: str = "fields", method: str = "bulk") -> np.ndarray:
        """Return the effective sample size of function values, of the misfit, or of what was recorded.

        Parameters
        ----------
        of : str, default "fields"
            As for :meth:`rhat`.
        method : {"bulk", "tail", "mean", "sd", "median"}, default "bulk"

        Returns
        -------
        ndarray of float64, shape (grid ...), () or that of a record's value
        """
        return ess(self._quantity(of), method)

    def summary(self, probabilities: Sequence[float] = _PROBABILITIES) -> ChainSummary:
        """Return medians, quantiles and the verdict on convergence.

        Parameters
        ----------
        probabilities : sequence of float, default (0.05, 0.25, 0.5, 0.75, 0.95)
            Of the quantiles at each point.

        Returns
        -------
        ChainSummary
            The verdict is over function values (on grids of more than 256 points over evenly spaced ones), their
            minimum and maximum, the misfit, and recorded numbers.
        """
        levels = tuple(check_in_range(level, "probabilities", 0.0, 1.0) for level in probabilities)
        quantities = {"the misfit": self.misfit}
        quantities |= {f"record {name!r}": values for name, values in self.records.items()}
        extra: dict[str, Any] = {}
        if self.fields is not None:
            flat = self.fields.reshape(self.n_chains, self.n_draws, -1)
            n = flat.shape[2]
            points = np.unique(np.linspace(0, n - 1, min(n, _MOST_POINTS)).round().astype(np.int64))
            quantities["the function"] = flat[:, :, points]
            quantities["the function's minimum"] = flat.min(axis=2)
            quantities["the function's maximum"] = flat.max(axis=2)
            extra = {
                "quantiles": self.quantile(levels),
                "median": self.median(),
                "mean": self.mean() if self.mean_exists else None,
                "points": points,
            }
        found = verdict(quantities)
        low, middle, high = np.quantile(self.misfit, (0.05, 0.5, 0.95))
        return ChainSummary(
            n_chains=self.n_chains,
            n_draws=self.n_draws,
            acceptance_rate=self.acceptance_rate,
            misfit={"median": float(middle), "q05": float(low), "q95": float(high)},
            converged=found.converged,
            reasons=found.reasons,
            rhat=found.rhat,
            ess_bulk=found.ess_bulk,
            ess_tail=found.ess_tail,
            probabilities=levels,
            ess_points=found.details.get("the function", {}),
            **extra,
        )

    def _fields(self) -> np.ndarray:
        if self.fields is None:
            raise ValueError(
                "there are no functions: the target that was sampled has no field(xi); sample a Posterior, or record "
                "numbers with sample(record=...)"
            )
        return self.fields

    def _quantity(self, of: str) -> np.ndarray:
        if of in self.records:
            return self.records[of]
        check_choice(of, "of", ("fields", "misfit", "weights", *self.records))
        if of == "fields":
            return self._fields()
        if of == "misfit":
            return self.misfit
        if self.positions is None:
            raise ValueError("positions were not kept; sample with keep_positions=True and a larger thin")
        warnings.warn(
            "weights are no measure of convergence: permuting hidden units, or changing the sign of an odd unit's "
            "weights, leaves the function and its posterior as they were, so that chains which agree need not share "
            "weights; use rhat(of='fields')",
            ScinnWarning,
            stacklevel=3,
        )
        return self.positions

    # Edges

    def jump_probability(self, threshold: float | None = None) -> np.ndarray:
        """Return the posterior probability of a jump in each grid interval, or of an edge at each pixel.

        Parameters
        ----------
        threshold : float, optional
            A jump is an increment of larger magnitude than this. By default a fifth of the median, over draws, of the
            function's range: :func:`scinn.inverse.edges.default_threshold`.

        Returns
        -------
        ndarray of float64, shape (n - 1,) or (n_a, n_b)

        See Also
        --------
        scinn.inverse.edges.jump_probability : The same for an array of draws.
        """
        return edges.jump_probability(self._fields(), threshold, n_grid=len(self.shape))

    def jump_locations(self, threshold: float | None = None, *, least: float = 0.05) -> list[JumpLocation]:
        """Return where the function jumps, with probabilities and intervals; for functions of one variable.

        Parameters
        ----------
        threshold : float, optional
            As for :meth:`jump_probability`.
        least : float, default 0.05
            Smallest probability of a jump in an interval that belongs to a location.

        Returns
        -------
        list of JumpLocation

        Raises
        ------
        ValueError
            On a grid of two dimensions.
        """
        if len(self.shape) != 1:
            raise ValueError(
                f"the grid has shape {self.shape}; places are for functions of one variable: use jump_probability()"
            )
        return edges.jump_locations(self._fields(), self._x(), threshold, least=least)

    def jump_share(self) -> np.ndarray:
        """Return ``max |du| / sum |du|`` of each draw.

        Returns
        -------
        ndarray of float64, shape (n_chains, n_draws)
        """
        return edges.jump_share(self._fields(), n_grid=len(self.shape))

    def _x(self) -> np.ndarray:
        return np.arange(self.shape[0], dtype=np.float64) if self.points is None else self.points[:, 0]

    # Out of here

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the median with a 90 % band and the truth; of a function of two variables the median alone.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; default: the axes of a new figure.

        Returns
        -------
        matplotlib Axes
        """
        from scinn._plot import axes_or_new

        values = self._fields()
        own: Any = axes_or_new(ax)
        if values.ndim == 4:
            return self._draw_image(own)
        x = self._x()
        low, middle, high = self.quantile((0.05, 0.5, 0.95))
        own.fill_between(x, low, high, alpha=0.25, linewidth=0, label="90 % band")
        own.plot(x, middle, label="median")
        if self.truth is not None:
            at = x if self.truth_points is None else self.truth_points[:, 0]
            own.plot(at, np.ravel(self.truth), color="0.2", linewidth=1.0, linestyle="--", label="truth")
        own.set_xlabel("x")
        own.set_ylabel("u(x)")
        own.legend(frameon=False)
        return own

    def _draw_image(self, ax: Any) -> Any:
        extent = None
        if self.points is not None:
            (a, b), (c, d) = self.points.min(axis=0), self.points.max(axis=0)
            extent = (a, c, b, d)
        # The first axis of the grid is drawn to the right.
        image = ax.imshow(self.median().T, origin="lower", extent=extent, aspect="equal")
        ax.figure.colorbar(image, ax=ax, label="median of u")
        ax.set_xlabel("first coordinate")
        ax.set_ylabel("second coordinate")
        return ax

    def to_dict(self) -> dict[str, Any]:
        """Return settings and summary as JSON values; the draws themselves go to :meth:`save`."""
        return {
            "sampler": self.sampler,
            "n_warmup": self.n_warmup,
            "thin": self.thin,
            "grid": list(self.shape),
            "summary": self.summary().to_dict(),
        }

    def to_arviz(self) -> Any:
        """Return the draws for ArviZ: an ``xarray.DataTree``, or ``InferenceData`` where ArviZ is older than 1.0.

        Returns
        -------
        xarray.DataTree or arviz.InferenceData
            Group ``posterior`` with ``u`` and the records, group ``sample_stats`` with ``misfit`` and ``lp``, minus the
            misfit (the log likelihood up to a constant). Weights are left out on purpose.

        Raises
        ------
        MissingExtraError
            Where ArviZ is not installed: ``pip install 'scinn[arviz]'``.
        """
        arviz = require("arviz", extra="arviz", purpose="to_arviz()")
        posterior = dict(self.records) if self.fields is None else {"u": self.fields, **self.records}
        statistics = {"misfit": self.misfit, "lp": -self.misfit}
        axes = ("x",) if len(self.shape) == 1 else ("x_a", "x_b")
        options: dict[str, Any] = {}
        if self.fields is not None:
            options = {"dims": {"u": list(axes)}, "coords": self._coordinates(axes)}
        if int(arviz.__version__.split(".")[0]) >= 1:
            return arviz.from_dict({"posterior": posterior, "sample_stats": statistics}, **options)
        return arviz.from_dict(posterior=posterior, sample_stats=statistics, **options)

    def _coordinates(self, axes: tuple[str, ...]) -> dict[str, np.ndarray]:
        if self.points is None:
            return {name: np.arange(size) for name, size in zip(axes, self.shape)}
        grid = self.points.reshape(*self.shape, len(axes))
        if len(axes) == 1:
            return {axes[0]: grid[:, 0]}
        return {axes[0]: grid[:, 0, 0], axes[1]: grid[0, :, 1]}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one ``.npz`` file, without pickle.

        Parameters
        ----------
        path : path
            Written whole or not at all.
        """
        from scinn import __version__
        from scinn._files import write_npz

        arrays = {name: getattr(self, name) for name in _ARRAYS if getattr(self, name) is not None}
        arrays |= {f"record/{name}": values for name, values in self.records.items()}
        meta = {
            "format": FORMAT,
            "kind": _KIND,
            # None for NaN, which a chain without draws has.
            "acceptance_rate": [None if np.isnan(rate) else rate for rate in self.acceptance_rate],
            "sampler": self.sampler,
            "n_warmup": self.n_warmup,
            "thin": self.thin,
            "mean_exists": self.mean_exists,
            "versions": {"scinn": __version__, "numpy": np.__version__},
        }
        write_npz(path, arrays, meta)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Chains:
        """Read what :meth:`save` wrote.

        Parameters
        ----------
        path : path

        Returns
        -------
        Chains

        Raises
        ------
        ValueError
            For a file of another kind or format.
        """
        from scinn._files import read_npz

        arrays, meta = read_npz(path)
        if meta.get("kind") != _KIND or meta["format"] != FORMAT:
            raise ValueError(
                f"{os.fspath(path)!r} holds {meta.get('kind')!r} of format {meta['format']}; {_KIND!r} of format {FORMAT} "
                "are wanted: choose another file"
            )
        rates = tuple(np.nan if rate is None else float(rate) for rate in meta["acceptance_rate"])
        kept: dict[str, Any] = {name: arrays[name] for name in _ARRAYS if name in arrays}
        kept |= {name: meta[name] for name in ("sampler", "n_warmup", "thin", "mean_exists")}
        records = {name[7:]: values for name, values in arrays.items() if name.startswith("record/")}
        return cls(**kept, records=records, acceptance_rate=rates)


_ARRAYS = ("misfit", "fields", "positions", "points", "truth", "truth_points")

"""How far a framelet transform is from a tight frame, and how many coefficients would bring it closer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from scinn._plot import axes_or_new
from scinn.graphs.banks import FilterBank
from scinn.graphs.chebyshev import tightness_by_length

__all__ = ["TightnessReport", "frequency_grid", "required_coefficients"]

_TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12)
_MAX_AUTO = 256


def frequency_grid() -> np.ndarray:
    """Return 4001 equidistant points of [0, pi], ends included.

    Returns
    -------
    ndarray of float64, shape (4001,)
    """
    return np.linspace(0.0, np.pi, 4001)


def required_coefficients(bank: FilterBank, scales: np.ndarray, tol: float) -> int:
    """Return the smallest number of Chebyshev coefficients whose tightness defect is at most a tolerance.

    Parameters
    ----------
    bank : FilterBank
        The filters.
    scales : ndarray, shape (levels,)
        Factor of the argument at every level.
    tol : float
        Admitted ``max |sum g^2 - 1|`` over [0, pi].

    Returns
    -------
    int

    Raises
    ------
    ValueError
        Where 256 coefficients are not enough: below rounding, or for a bank that jumps.
    """
    count = 32
    while True:
        bounds = tightness_by_length(bank.chebyshev(count), scales, frequency_grid())
        defects = np.max(np.abs(bounds - 1), axis=1)
        good = np.flatnonzero(defects <= tol)
        if len(good):
            return int(good[0]) + 1
        if count >= _MAX_AUTO:
            raise ValueError(
                f"n_coefficients='auto' found no number up to {_MAX_AUTO} with which bank {bank.name!r} has a tightness "
                f"defect of at most tol={tol:g}; the best is {defects.min():.2g}: raise tol, or use method='exact'"
            )
        count *= 2


@dataclass(frozen=True)
class TightnessReport:
    """What :meth:`FrameletTransform.tightness_report` found.

    Attributes
    ----------
    bank, levels, dilation, arrangement, method, n_coefficients
        The transform; ``n_coefficients`` is None for the exact method.
    where : str
        "interval": worst case over [0, lambda_max]; "spectrum": over the graph's eigenvalues.
    lower_bound, upper_bound : float
        Range of ``sum over bands of g^2``: the frame bounds.
    worst_eigenvalue : float
        Where that sum is farthest from one.
    defects : tuple of float
        Entry n - 1: the defect with n Chebyshev coefficients.
    """

    bank: str
    levels: int
    dilation: float
    arrangement: str
    method: str
    n_coefficients: int | None
    where: str
    lower_bound: float
    upper_bound: float
    worst_eigenvalue: float
    defects: tuple[float, ...]

    @property
    def defect(self) -> float:
        """Largest ``|sum g^2 - 1|``: relative error of the energy, and of a signal rebuilt by the adjoint."""
        return max(abs(self.lower_bound - 1.0), abs(self.upper_bound - 1.0))

    @property
    def condition_number(self) -> float:
        """Ratio of the frame bounds, which governs how quickly ``inverse`` converges."""
        return self.upper_bound / self.lower_bound if self.lower_bound > 0 else float("inf")

    def coefficients_for(self, tol: float) -> int | None:
        """Return the smallest number of coefficients with a defect of at most ``tol``.

        Parameters
        ----------
        tol : float
            Wanted defect.

        Returns
        -------
        int or None
            None where none of the numbers tried is enough.
        """
        return next((n for n, defect in enumerate(self.defects, start=1) if defect <= tol), None)

    def __repr__(self) -> str:
        used = (
            "exact filters" if self.n_coefficients is None else f"{self.n_coefficients} coefficients a filter"
        )
        lines = [
            f"Tightness of bank {self.bank!r}, {self.levels} levels, dilation {self.dilation:g}, "
            f"arrangement {self.arrangement!r}, {used}",
            f"  defect over the {self.where}: {self.defect:.3g}, worst at eigenvalue {self.worst_eigenvalue:.4g}",
            f"  frame bounds: [{self.lower_bound:.6g}, {self.upper_bound:.6g}], condition number "
            f"{self.condition_number:.4g}",
            "  defect wanted   coefficients needed",
        ]
        for tol in _TOLERANCES:
            needed = self.coefficients_for(tol)
            lines.append(f"  {tol:<13.0e}   {f'more than {len(self.defects)}' if needed is None else needed}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain Python values, for JSON.

        Returns
        -------
        dict
        """
        table = {f"{tol:.0e}": self.coefficients_for(tol) for tol in _TOLERANCES}
        derived = {
            "defect": self.defect,
            "condition_number": self.condition_number,
            "coefficients_for": table,
        }
        return {**asdict(self), "defects": list(self.defects), **derived}

    def plot(self, ax: Any = None) -> Any:
        """Draw the defect against the number of coefficients.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        matplotlib.axes.Axes
        """
        ax = axes_or_new(ax)
        numbers = np.arange(1, len(self.defects) + 1)
        ax.semilogy(numbers, np.maximum(self.defects, 1e-17), ".-")
        if self.n_coefficients is not None:
            ax.axvline(self.n_coefficients, color="0.6", linestyle="--", label="in use")
            ax.legend()
        ax.set_xlabel("Chebyshev coefficients a filter")
        ax.set_ylabel("tightness defect")
        ax.set_title(f"bank {self.bank}, {self.levels} levels")
        return ax

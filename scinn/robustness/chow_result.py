"""What :func:`scinn.robustness.chow_parameters` returns.

Notation: neuron ``h(x) = sgn(<w, x> - theta)`` on uniform signs x; ``value`` holds ``E h`` and then ``E h x_i``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from scinn._plot import axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ChowResult", "Kind"]

Kind = Literal["exact", "certified", "estimated"]


@dataclass(frozen=True, repr=False, eq=False)
class ChowResult:
    """Chow parameters of a neuron, and how they were found.

    Parameters
    ----------
    value : ndarray of float64, shape (n + 1,)
        E h, then E h x_1, ..., E h x_n.
    bound : float
        Largest error of an entry of ``value``: proven for the kinds "exact" and "certified", an estimate for "estimated".
        It does not cover ``mean_margin``.
    kind : {"exact", "certified", "estimated"}
        "exact": counted with integers, and only rounded to double precision at the end. "certified": ``bound`` is a theorem,
        rounding included. "estimated": ``bound`` is not (for samples it holds with the probability in ``details``).
    method : str
        The method that was used.
    mean_margin : float
        ``E|<w,x> - theta|``, in the unit of the weights.
    details : mapping
        What the method says about itself: harmonics, samples, ties, the activation and tie rule.

    Examples
    --------
    >>> from scinn.robustness import chow_parameters
    >>> result = chow_parameters([3.0, 1.0, 1.0], 0.0)
    >>> result.degree_one.tolist(), result.kind
    ([1.0, 0.0, 0.0], 'exact')
    """

    value: np.ndarray
    bound: float
    kind: Kind
    method: str
    mean_margin: float
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def constant(self) -> float:
        """E h."""
        return float(self.value[0])

    @property
    def degree_one(self) -> np.ndarray:
        """E h x_i, shape (n,)."""
        return self.value[1:]

    @property
    def influences(self) -> np.ndarray:
        """Probability that flipping input i changes the answer: ``|c_i|``, for a neuron with answers +1 and -1 only."""
        if self.details.get("activation", "sign") != "sign" or self.details.get("tie", 1) == 0:
            raise ValueError(
                "influences are |c_i| only for a neuron with the answers +1 and -1: use activation='sign' and "
                "tie=1 or tie=-1"
            )
        return np.abs(self.degree_one)

    def __repr__(self) -> str:
        n = len(self.value) - 1
        c = self.degree_one
        lines = [
            f"ChowResult({n} inputs, {self.kind} by {self.method}, error <= {self.bound:.2g})",
            f"  E h = {self.constant:.9g}, E|margin| = {self.mean_margin:.9g}",
        ]
        if n:
            shown = ", ".join(f"{number:.6g}" for number in c[:4]) + (", ..." if n > 4 else "")
            lines.append(f"  E h x_i = [{shown}], norm {float(np.linalg.norm(c)):.6g}")
        own = {name: value for name, value in self.details.items() if name not in ("activation", "tie")}
        if own:
            lines.append("  " + ", ".join(f"{name} = {value}" for name, value in own.items()))
        return "\n".join(lines)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the degree-1 coefficients, in the order of the inputs.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; default: the axes of a new figure.

        Returns
        -------
        matplotlib Axes
        """
        ax = axes_or_new(ax)
        c = self.degree_one
        ax.vlines(np.arange(len(c)), 0.0, c, color="C0", linewidth=1.0)
        ax.plot(np.arange(len(c)), c, "o", color="C0", markersize=3.0)
        ax.axhline(0.0, color="0.6", linewidth=0.8)
        ax.set_xlabel("input")
        ax.set_ylabel("Chow parameter")
        ax.set_title(f"E h = {self.constant:.4g}, {self.kind} by {self.method}")
        return ax

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "value": self.value.tolist(),
            "bound": finite(self.bound),
            "kind": self.kind,
            "method": self.method,
            "mean_margin": finite(self.mean_margin),
            "details": {name: finite(value) for name, value in self.details.items()},
        }


def finite(value: Any) -> Any:
    """Return None for what JSON has no number for."""
    return None if isinstance(value, float) and not math.isfinite(value) else value

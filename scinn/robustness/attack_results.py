"""What attacks return: changed samples, their l1 norms, and accuracy against the norm that an attacker may spend.

Notation of Raviv et al. (2021), "Enhancing Robustness of Neural Networks through Fourier Stabilization": a sample that is
misclassified as it is has norm 0, one that no change was found for has norm infinity, and the accuracy at ``epsilon`` is the
share of samples whose norm exceeds ``epsilon``. A flip of a sign has l1 norm 2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from scinn._input import as_float_array
from scinn._plot import axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["AttackResult", "ContinuousAttackResult"]


class _NormCurve:
    """Norms of an attack and what follows from them alone."""

    l1: np.ndarray
    success: np.ndarray
    already_misclassified: np.ndarray
    attack: str

    def __len__(self) -> int:
        return len(self.l1)

    def __repr__(self) -> str:
        head = f"{type(self).__name__}({self.attack}, {len(self)} samples"
        if not len(self):
            return head + ")"
        found = int((self.success & ~self.already_misclassified).sum())
        return (
            f"{head}: {int(self.already_misclassified.sum())} misclassified before, {found} evaded, "
            f"{int((~self.success).sum())} not; l1 norm mean {self.mean_l1:.4g}, median {self.median_l1:.4g})"
        )

    def _norms(self) -> np.ndarray:
        if not len(self):
            raise ValueError("there are no samples, so that there is no accuracy and no mean norm")
        return self.l1

    def robust_accuracy(self, epsilons: Any) -> Any:
        """Return the share of samples whose adversarial l1 norm exceeds each budget.

        Parameters
        ----------
        epsilons : float or array_like of float
            Budgets, at least 0, in units of signs: a flip is 2.

        Returns
        -------
        float or ndarray of float64, shape of ``epsilons``

        Raises
        ------
        ValueError
            For negative budgets, or where there are no samples.
        """
        budgets = as_float_array(epsilons, "epsilons", dtype=np.float64)
        if budgets.size and budgets.min() < 0:
            raise ValueError(f"epsilons holds {budgets.min():g}; l1 norms, at least 0, are wanted")
        norms = np.sort(self._norms())
        above = 1.0 - np.searchsorted(norms, budgets, side="right") / len(norms)
        return above if budgets.ndim else float(above)

    @property
    def mean_l1(self) -> float:
        """Mean norm, infinite where a sample was not evaded."""
        return float(np.mean(self._norms()))

    @property
    def median_l1(self) -> float:
        """Median norm."""
        return float(np.median(self._norms()))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the accuracy against the l1 budget.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw, for example beside the curve of another attack; default: the axes of a new figure.

        Returns
        -------
        matplotlib Axes
        """
        ax = axes_or_new(ax)
        norms = self._norms()
        steps = np.unique(np.append(norms[np.isfinite(norms)], 0.0))
        # Drawn a little further, so that the last step is seen.
        ends = np.append(steps, steps[-1] + max(1.0, 0.05 * steps[-1]))
        ax.step(ends, self.robust_accuracy(ends), where="post", label=self.attack)
        ax.set_xlabel("l1 budget")
        ax.set_ylabel("accuracy")
        ax.set_ylim(-0.02, 1.02)
        return ax


def _finite(values: np.ndarray) -> list[float | None]:
    """Return numbers as JSON values, None for infinity."""
    return [float(value) if np.isfinite(value) else None for value in values]


@dataclass(frozen=True, repr=False, eq=False)
class AttackResult(_NormCurve):
    """Samples with flipped features.

    Parameters
    ----------
    adversarial : ndarray of int8, shape (n_samples, n_features)
        The changed samples, as bits where bits were given and as signs where signs were. A sample that was misclassified
        before or not evaded is as it was.
    n_flips : ndarray of int64, shape (n_samples,)
        Features flipped; 0 where the sample was misclassified before, -1 where no success was found.
    l1 : ndarray of float64, shape (n_samples,)
        Norm of the change between signs, ``2 n_flips``; infinity where no success was found.
    cost : ndarray of float64, shape (n_samples,)
        Sum of the costs of the flips; infinity where no success was found.
    success : ndarray of bool, shape (n_samples,)
        Whether the changed sample is misclassified, those misclassified before among them.
    already_misclassified : ndarray of bool, shape (n_samples,)
    order : ndarray of int64, shape (n_samples, largest number of flips)
        The flipped features, in the order of the flips (ascending for an exhaustive search); -1 fills the rows.
    attack : str
        Name of the attack.
    lower_bound : ndarray of int64, shape (n_samples,), or None
        Where the attack proves it: every set of fewer flips fails. One more than the number of features that may change
        means that no set at all succeeds.

    Examples
    --------
    >>> from scinn.robustness import ShallowNetwork, greedy_flips
    >>> network = ShallowNetwork([[1], [1], [1]], [0], [[-1, 1]], [0, 0])
    >>> result = greedy_flips(network, [[1, 1, 1], [1, 1, -1], [-1, -1, -1]], [1, 1, 1])
    >>> result.n_flips.tolist(), result.already_misclassified.tolist()
    ([2, 1, 0], [False, False, True])
    >>> result.robust_accuracy([0, 2, 4]).round(3).tolist()
    [0.667, 0.333, 0.0]
    """

    adversarial: np.ndarray
    n_flips: np.ndarray
    l1: np.ndarray
    cost: np.ndarray
    success: np.ndarray
    already_misclassified: np.ndarray
    order: np.ndarray
    attack: str
    lower_bound: np.ndarray | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON values, without the samples; None stands for infinity."""
        return {
            "attack": self.attack,
            "n_flips": self.n_flips.tolist(),
            "l1": _finite(self.l1),
            "cost": _finite(self.cost),
            "success": self.success.tolist(),
            "already_misclassified": self.already_misclassified.tolist(),
            "flips": [[i for i in row if i >= 0] for row in self.order.tolist()],
            "lower_bound": None if self.lower_bound is None else self.lower_bound.tolist(),
        }


@dataclass(frozen=True, repr=False, eq=False)
class ContinuousAttackResult(_NormCurve):
    """Samples moved within a box around the cube of signs.

    Parameters
    ----------
    adversarial : ndarray, shape (n_samples, n_features)
        The moved points, in the dtype of the network and always in units of signs. A sample that was misclassified before
        or not evaded is as it was.
    l1 : ndarray of float64, shape (n_samples,)
        Norm of the move; 0 where the sample was misclassified before, infinity where no success was found.
    success : ndarray of bool, shape (n_samples,)
        Whether the moved point is misclassified, those misclassified before among them.
    already_misclassified : ndarray of bool, shape (n_samples,)
    attack : str
        Name of the attack.
    box : tuple of float
        Lower and upper end of the box in every coordinate.
    """

    adversarial: np.ndarray
    l1: np.ndarray
    success: np.ndarray
    already_misclassified: np.ndarray
    attack: str
    box: tuple[float, float] = field(default=(-1.0, 1.0))

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON values, without the points; None stands for infinity."""
        return {
            "attack": self.attack,
            "box": list(self.box),
            "l1": _finite(self.l1),
            "success": self.success.tolist(),
            "already_misclassified": self.already_misclassified.tolist(),
        }

"""What an attacker may do to binary features: which may be added or removed, and what each change costs.

Notation of Raviv et al. (2021), "Enhancing Robustness of Neural Networks through Fourier Stabilization": a feature that is
present is the bit 1 and the sign -1. To *add* it turns the sign +1 into -1, to *remove* it turns -1 into +1. A detector's
features often go one way only: content can be added to a file that must keep working, but not taken out of it. The
constraints themselves are an addition of this package; the paper's attacks may flip everything at equal cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from scinn._input import as_float_array, as_index_array, check_positive_int
from scinn.robustness.features import to_signs

__all__ = ["FeatureConstraints", "Violation"]


class Violation(NamedTuple):
    """A change that is not allowed.

    Parameters
    ----------
    sample, feature : int
        Where.
    change : {"added", "removed"}
        What was done to the feature.
    """

    sample: int
    feature: int
    change: str

    def __str__(self) -> str:
        return f"feature {self.feature} of sample {self.sample} was {self.change}, which is not allowed"


def _as_mask(which: Any, name: str, n_features: int) -> np.ndarray:
    """Return a boolean mask of features from None, a bool for all, a mask, or indices."""
    if which is None or isinstance(which, bool | np.bool_):
        return np.full(n_features, bool(which))
    given = np.asarray(which)
    if given.dtype == bool:
        if given.shape != (n_features,):
            raise ValueError(
                f"{name} is a boolean mask of shape {given.shape}; ({n_features},) is wanted, one entry a feature"
            )
        return given.copy()
    mask = np.zeros(n_features, dtype=bool)
    mask[as_index_array(which, name, n=n_features)] = True
    return mask


@dataclass(frozen=True, init=False, repr=False, eq=False)
class FeatureConstraints:
    """Which features may be added or removed, and at what cost.

    Parameters
    ----------
    n_features : int
        Number of binary features.
    immutable, add_only, remove_only : bool, array_like of bool, or array_like of int, optional
        Features that must not change; that may only go from absent to present (bit 0 to 1, sign +1 to -1); that may only
        go from present to absent. ``True`` means all of them, a mask has one entry a feature, integers are indices from
        0. A feature that is immutable stays so whatever else is said of it.
    costs : float or array_like of float, shape (n_features,), optional
        Positive price of a flip of each feature; default 1.

    Attributes
    ----------
    may_add : ndarray of bool, shape (n_features,)
        Whether a sign +1 may become -1.
    may_remove : ndarray of bool, shape (n_features,)
        Whether a sign -1 may become +1.
    costs : ndarray of float64, shape (n_features,)

    Raises
    ------
    ValueError
        For masks of another length, indices out of range, costs that are not positive, or a feature that is both
        ``add_only`` and ``remove_only``.

    Examples
    --------
    >>> import numpy as np
    >>> constraints = FeatureConstraints(3, immutable=[0], add_only=[1])
    >>> constraints.may_flip(np.array([[1, 1, 1], [-1, -1, -1]])).tolist()
    [[False, True, True], [False, False, True]]
    >>> constraints
    FeatureConstraints(3 features: 1 immutable, 1 add-only, 1 free)
    """

    may_add: np.ndarray
    may_remove: np.ndarray
    costs: np.ndarray

    def __init__(
        self,
        n_features: int,
        *,
        immutable: Any = None,
        add_only: Any = None,
        remove_only: Any = None,
        costs: Any = None,
    ) -> None:
        n_features = check_positive_int(n_features, "n_features")
        fixed = _as_mask(immutable, "immutable", n_features)
        add = _as_mask(add_only, "add_only", n_features)
        remove = _as_mask(remove_only, "remove_only", n_features)
        both = np.flatnonzero(add & remove & ~fixed)
        if both.size:
            raise ValueError(
                f"feature {both[0]} is both add_only and remove_only; if it must not change, name it in immutable"
            )
        if costs is None:
            price = np.ones(n_features)
        else:
            price = as_float_array(costs, "costs", dtype=np.float64)
            if price.shape not in ((), (n_features,)):
                raise ValueError(f"costs has shape {price.shape}; one number or ({n_features},) is wanted")
            price = np.array(np.broadcast_to(price, (n_features,)))
            if price.min() <= 0:
                raise ValueError(
                    f"costs holds {price.min():g}; positive numbers are wanted: name what must not change in immutable"
                )
        for name, array in (("may_add", ~fixed & ~remove), ("may_remove", ~fixed & ~add), ("costs", price)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @classmethod
    def none(cls, n_features: int) -> FeatureConstraints:
        """Return the constraints that forbid nothing, every flip at cost 1."""
        return cls(n_features)

    @property
    def n_features(self) -> int:
        """Number of binary features."""
        return len(self.may_add)

    @property
    def unit_costs(self) -> bool:
        """Whether every flip costs 1."""
        return bool((self.costs == 1).all())

    def __repr__(self) -> str:
        counts = {
            "immutable": ~self.may_add & ~self.may_remove,
            "add-only": self.may_add & ~self.may_remove,
            "remove-only": ~self.may_add & self.may_remove,
            "free": self.may_add & self.may_remove,
        }
        shown = [f"{int(mask.sum())} {kind}" for kind, mask in counts.items() if mask.any()]
        if not self.unit_costs:
            shown.append(f"costs {self.costs.min():g} to {self.costs.max():g}")
        return f"FeatureConstraints({self.n_features} features: {', '.join(shown)})"

    def _signs(self, signs: Any, name: str) -> np.ndarray:
        x = to_signs(signs, encoding="signs", name=name)
        x = x[None, :] if x.ndim == 1 else x
        if x.ndim != 2 or x.shape[1] != self.n_features:
            raise ValueError(f"{name} has shape {x.shape}; (any, {self.n_features}) is wanted")
        return x

    def _pair(self, original: Any, changed: Any) -> tuple[np.ndarray, np.ndarray]:
        x, y = self._signs(original, "original"), self._signs(changed, "changed")
        if x.shape != y.shape:
            raise ValueError(f"changed has shape {y.shape}, original {x.shape}; they must be equal")
        return x, y

    def may_flip(self, signs: Any) -> np.ndarray:
        """Tell which flips are allowed.

        Parameters
        ----------
        signs : array_like, shape (n_samples, n_features) or (n_features,)
            Values in {-1, +1}.

        Returns
        -------
        ndarray of bool, shape (n_samples, n_features)
        """
        return np.where(self._signs(signs, "signs") > 0, self.may_add, self.may_remove)

    def cost(self, original: Any, changed: Any) -> np.ndarray:
        """Return what the changes cost, allowed or not: the sum of the flipped features' costs.

        Parameters
        ----------
        original, changed : array_like, shape (n_samples, n_features) or (n_features,)
            Values in {-1, +1}.

        Returns
        -------
        ndarray of float64, shape (n_samples,)

        Examples
        --------
        >>> FeatureConstraints(2, costs=[1, 5]).cost([[1, 1]], [[-1, -1]])
        array([6.])
        """
        x, y = self._pair(original, changed)
        return (x != y) @ self.costs

    def check(self, original: Any, changed: Any) -> Violation | None:
        """Return the first change that is not allowed, sample by sample, or None where all are.

        Parameters
        ----------
        original, changed : array_like, shape (n_samples, n_features) or (n_features,)
            Values in {-1, +1}.

        Returns
        -------
        Violation or None

        Examples
        --------
        >>> constraints = FeatureConstraints(2, add_only=True)
        >>> constraints.check([[1, -1]], [[-1, -1]]) is None
        True
        >>> print(constraints.check([[1, -1]], [[1, 1]]))
        feature 1 of sample 0 was removed, which is not allowed
        """
        x, y = self._pair(original, changed)
        wrong = (x != y) & ~np.where(x > 0, self.may_add, self.may_remove)
        if not wrong.any():
            return None
        sample, feature = (int(i) for i in np.unravel_index(int(wrong.argmax()), wrong.shape))
        return Violation(sample, feature, "added" if x[sample, feature] > 0 else "removed")


def resolve_constraints(constraints: Any, n_features: int) -> FeatureConstraints:
    """Return constraints for a network's features; None forbids nothing.

    Examples
    --------
    >>> resolve_constraints(None, 2)
    FeatureConstraints(2 features: 2 free)
    """
    if constraints is None:
        return FeatureConstraints.none(n_features)
    if not isinstance(constraints, FeatureConstraints):
        raise TypeError(
            f"constraints is a {type(constraints).__name__}; FeatureConstraints or None is wanted"
        )
    if constraints.n_features != n_features:
        raise ValueError(
            f"constraints are for {constraints.n_features} features, there are {n_features}; make them with "
            f"FeatureConstraints({n_features}, ...)"
        )
    return constraints

r"""Filter banks: R functions on [0, pi] whose squares add up to one, the first of them a low-pass.

The partition of unity :math:`\sum_r b_r(x)^2 = 1` makes every framelet system built from a bank a tight frame, for any
number of levels and any dilation. See Dong, *Sparse representation on graphs by tight wavelet frames and
applications*, ACHA 2017, and Zheng et al., *How Framelets Enhance Graph Neural Networks*, ICML 2021.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scinn._input import check_choice, check_in_range, check_positive_int
from scinn._plot import axes_or_new
from scinn.graphs.chebyshev import coefficients_by_quadrature, coefficients_of_exponentials

__all__ = ["BANKS", "FilterBank"]

# Above this order binomials of alternating sign cost the closed form more digits than quadrature loses.
_CLOSED_FORM_ORDER = 12
_GRID = 2001
# Above this order the binomials leave float64.
_MAX_SPLINE_ORDER = 1000
_UNITY = 1e-10


@dataclass(frozen=True)
class FilterBank:
    """A low-pass filter and its high-passes on [0, pi].

    Use one of the constructors: :meth:`haar`, :meth:`linear`, :meth:`quadratic`, :meth:`spline`, :meth:`sigmoid`,
    :meth:`entropy`, :meth:`from_callables`. A bank made by calling the class is checked as in :meth:`from_callables`.

    Attributes
    ----------
    name : str
        For messages and legends.
    filters : tuple of callable
        Each takes an array of points of [0, pi] and returns an array of the same shape; the low-pass comes first.
    breakpoints : tuple of float
        Where a filter jumps or has a kink.

    Examples
    --------
    >>> bank = FilterBank.haar()
    >>> bank
    FilterBank('haar', n_filters=2)
    >>> bank.chebyshev(4).round(4).tolist()
    [[1.2044, -0.5136, -0.1035, 0.0137], [1.2044, 0.5136, -0.1035, -0.0137]]
    """

    name: str
    filters: tuple[Callable[[np.ndarray], np.ndarray], ...]
    breakpoints: tuple[float, ...] = ()
    # Frequencies and amplitudes of each filter as a sum of exponentials, where it is one.
    exponentials: tuple[tuple[np.ndarray, np.ndarray], ...] | None = field(
        default=None, compare=False, repr=False
    )

    def __post_init__(self) -> None:
        self._check_parts()
        self.check(_UNITY)
        self._check_low_pass()

    @classmethod
    def _unchecked(
        cls,
        name: str,
        filters: Sequence[Callable[[np.ndarray], np.ndarray]],
        breakpoints: Sequence[float] = (),
        exponentials: tuple[tuple[np.ndarray, np.ndarray], ...] | None = None,
    ) -> FilterBank:
        """Make a bank that is right by construction, or checked by the caller."""
        bank = object.__new__(cls)
        parts = (name, tuple(filters), tuple(breakpoints), exponentials)
        for attribute, value in zip(("name", "filters", "breakpoints", "exponentials"), parts, strict=True):
            object.__setattr__(bank, attribute, value)
        return bank

    def _check_parts(self) -> None:
        functions = tuple(self.filters)
        if len(functions) < 2:
            raise ValueError(
                f"filters holds {len(functions)}; at least two are wanted, the low-pass and a high-pass"
            )
        for number, function in enumerate(functions):
            if not callable(function):
                raise TypeError(f"filters[{number}] is a {type(function).__name__}; a function is wanted")
        cuts = tuple(
            check_in_range(b, "breakpoints", 0.0, math.pi, inclusive="neither") for b in self.breakpoints
        )
        for attribute, value in (("name", str(self.name)), ("filters", functions), ("breakpoints", cuts)):
            object.__setattr__(self, attribute, value)

    def _check_low_pass(self) -> None:
        values = np.abs(self.evaluate(np.zeros(1))[:, 0])
        # The others share what is left of the unit; the sigmoid bank's low-pass has a little less than one.
        if not values[0] ** 2 > 0.5:
            best = int(values.argmax())
            hint = (
                f"filter {best} is {values[best]:.6g} there: put the low-pass first"
                if values[best] ** 2 > 0.5
                else "no filter of the bank is a low-pass"
            )
            raise ValueError(
                f"filter 0 of bank {self.name!r} is {values[0]:.6g} in absolute value at x = 0; the low-pass is "
                f"wanted first, which is about 1 there and more than all others together; {hint}"
            )

    def __repr__(self) -> str:
        return f"FilterBank({self.name!r}, n_filters={self.n_filters})"

    @property
    def n_filters(self) -> int:
        """Number of filters, the low-pass included."""
        return len(self.filters)

    @classmethod
    def spline(cls, order: int) -> FilterBank:
        r"""Return the B-spline bank :math:`b_r(x) = \sqrt{\binom{m}{r}} \cos^{m-r}(x/2) \sin^r(x/2)`, r = 0..m.

        Parameters
        ----------
        order : int
            1 <= m <= 1000. Orders 1, 2 and 3 are the banks called Haar, linear and quadratic.

        Returns
        -------
        FilterBank
            With m + 1 filters; its Chebyshev coefficients come from Bessel functions.

        References
        ----------
        B. Dong, ACHA 2017, section 2.2, gives the filters of orders 1 to 3.

        Examples
        --------
        >>> FilterBank.spline(5).n_filters
        6
        """
        m = check_positive_int(order, "order")
        if m > _MAX_SPLINE_ORDER:
            raise ValueError(
                f"order is {m}; at most {_MAX_SPLINE_ORDER} is wanted, since the binomials of larger orders leave "
                "float64: a bank has order + 1 filters, and few of them serve best"
            )
        name = {1: "haar", 2: "linear", 3: "quadratic"}.get(m, f"spline({m})")
        filters = tuple(_spline_filter(m, r) for r in range(m + 1))
        exponentials = (
            tuple(_spline_exponentials(m, r) for r in range(m + 1)) if m <= _CLOSED_FORM_ORDER else None
        )
        return cls._unchecked(name, filters, (), exponentials)

    @classmethod
    def haar(cls) -> FilterBank:
        """Return cos(x/2), sin(x/2): the paper's default."""
        return cls.spline(1)

    @classmethod
    def linear(cls) -> FilterBank:
        """Return cos^2(x/2), sin(x)/sqrt(2), sin^2(x/2)."""
        return cls.spline(2)

    @classmethod
    def quadratic(cls) -> FilterBank:
        """Return cos^3, sqrt(3) sin cos^2, sqrt(3) sin^2 cos and sin^3, all of x/2."""
        return cls.spline(3)

    @classmethod
    def sigmoid(cls, alpha: float = 20.0) -> FilterBank:
        """Return sqrt(1-q), sqrt(q) with q = 1 / (1 + exp(-alpha (x/pi - 1/2))).

        The high-pass does not vanish at 0 (its square is 4.5e-5 for alpha = 20), so constants leak slightly.

        Parameters
        ----------
        alpha : float
            Steepness, > 0.

        Returns
        -------
        FilterBank

        References
        ----------
        The quasi-framelet banks of Yang et al., *Quasi-framelets: robust graph neural networks via adaptive framelet
        convolution*, 2022.
        """
        steep = check_in_range(alpha, "alpha", 0.0, None, inclusive="neither")

        def root(x: np.ndarray, sign: float) -> np.ndarray:
            return np.sqrt(1.0 / (1.0 + np.exp(-sign * steep * (np.asarray(x) / np.pi - 0.5))))

        return cls._unchecked(f"sigmoid({steep:g})", (lambda x: root(x, -1.0), lambda x: root(x, 1.0)))

    @classmethod
    def entropy(cls, alpha: float = 0.5) -> FilterBank:
        """Return sqrt(p) on the lower half, sqrt(1-p), sqrt(p) on the upper half; p = 1 - 4 alpha t (1 - t), t = x/pi.

        Low- and high-pass jump by sqrt(1 - alpha) at pi/2 unless alpha = 1; Chebyshev series then never converge
        there, and only ``method="exact"`` is tight.

        Parameters
        ----------
        alpha : float
            In (0, 1].

        Returns
        -------
        FilterBank

        References
        ----------
        The quasi-framelet banks of Yang et al., 2022, as :meth:`sigmoid`.
        """
        a = check_in_range(alpha, "alpha", 0.0, 1.0, inclusive="right")

        def share(x: np.ndarray) -> np.ndarray:
            # The same as 1 - 4 a t (1 - t), without its cancellation near t = 1/2.
            return (1.0 - a) + a * (1.0 - 2.0 * np.asarray(x) / np.pi) ** 2

        def outer(x: np.ndarray, upper: bool) -> np.ndarray:
            return np.sqrt(share(x)) * ((np.asarray(x) / np.pi > 0.5) == upper)

        def middle(x: np.ndarray) -> np.ndarray:
            return np.sqrt(np.maximum(1.0 - share(x), 0.0))

        return cls._unchecked(
            f"entropy({a:g})", (lambda x: outer(x, False), middle, lambda x: outer(x, True)), (np.pi / 2,)
        )

    @classmethod
    def from_callables(
        cls,
        filters: Sequence[Callable[[np.ndarray], np.ndarray]],
        *,
        name: str = "custom",
        breakpoints: Sequence[float] = (),
        tol: float = 1e-10,
    ) -> FilterBank:
        """Return a bank of your own filters, after checking that their squares add up to one.

        Parameters
        ----------
        filters : sequence of callable
            At least two; the low-pass comes first. Each takes an array of points of [0, pi] and returns an array of
            the same shape.
        name : str
            For messages and legends.
        breakpoints : sequence of float
            Points inside (0, pi) where a filter jumps or has a kink.
        tol : float
            Admitted deviation from one.

        Returns
        -------
        FilterBank

        Raises
        ------
        ValueError
            For fewer than two filters, filters that return another shape, squares that do not add up to one, or a
            first filter that is not the low-pass: at 0 its square exceeds 1/2 (all others' together).

        Examples
        --------
        >>> FilterBank.from_callables([lambda x: np.cos(x / 2), lambda x: np.sin(x / 2)], name="mine")
        FilterBank('mine', n_filters=2)
        """
        bank = cls._unchecked(name, filters, breakpoints)
        bank._check_parts()
        bank.check(tol)
        bank._check_low_pass()
        return bank

    @classmethod
    def from_name(cls, bank: str | FilterBank) -> FilterBank:
        """Return the bank of a name, with its default parameters; a bank is returned as it is.

        Parameters
        ----------
        bank : str or FilterBank
            "haar", "linear", "quadratic", "sigmoid" or "entropy".

        Returns
        -------
        FilterBank

        Raises
        ------
        ValueError
            For an unknown name.
        TypeError
            For what is neither a name nor a bank.
        """
        if isinstance(bank, FilterBank):
            return bank
        if not isinstance(bank, str):
            raise TypeError(
                f"bank is a {type(bank).__name__}; a name or a FilterBank is wanted: for functions of your own use "
                "FilterBank.from_callables"
            )
        return getattr(cls, check_choice(bank, "bank", BANKS))()

    def evaluate(self, x: Any) -> np.ndarray:
        """Return the values of all filters.

        Parameters
        ----------
        x : array-like, any shape
            Points of [0, pi].

        Returns
        -------
        ndarray of float64, shape (n_filters, ...), one array like x a filter
        """
        points = np.asarray(x, dtype=np.float64)
        values = np.empty((self.n_filters, *points.shape))
        for number, function in enumerate(self.filters):
            result = np.asarray(function(points), dtype=np.float64)
            if result.shape != points.shape:
                raise ValueError(
                    f"filter {number} of bank {self.name!r} returned shape {result.shape} for points of shape "
                    f"{points.shape}; the same shape is wanted: write it with NumPy functions of its argument"
                )
            values[number] = result
        return values

    def unity_defect(self) -> float:
        """Return the largest deviation of the sum of squares from one, on a grid of 2001 points of [0, pi]."""
        values = self.evaluate(np.linspace(0.0, np.pi, _GRID))
        return float(np.max(np.abs(np.sum(values**2, axis=0) - 1.0)))

    def mirror_defect(self) -> float:
        """Return the largest deviation from the mirror law ``b[R-1-r](x) = b[r](pi - x)`` off the breakpoints.

        Returns
        -------
        float
            Rounding for all built-in banks; the law is no condition for tightness.
        """
        x = np.linspace(0.0, np.pi, _GRID)
        x = x[~np.isin(np.round(x, 12), np.round(self.breakpoints, 12))]
        return float(np.max(np.abs(self.evaluate(x)[::-1] - self.evaluate(np.pi - x))))

    def check(self, tol: float = 1e-12) -> float:
        """Check the partition of unity.

        Parameters
        ----------
        tol : float
            Admitted deviation.

        Returns
        -------
        float
            The largest deviation found.

        Raises
        ------
        ValueError
            Where it exceeds ``tol`` (or is NaN), with the point where it is largest.
        """
        x = np.linspace(0.0, np.pi, _GRID)
        total = np.sum(self.evaluate(x) ** 2, axis=0)
        deviation = np.abs(total - 1.0)
        worst = int(np.argmax(np.where(np.isfinite(deviation), deviation, np.inf)))
        if not deviation[worst] <= tol:
            raise ValueError(
                f"the squares of the filters of bank {self.name!r} add up to {total[worst]:.6g} at x = {x[worst]:.6g}, "
                "not to 1; the frame would not be tight: divide every filter by the square root of that sum"
            )
        return float(deviation[worst])

    def chebyshev(self, n: int) -> np.ndarray:
        """Return the first n Chebyshev coefficients of every filter.

        Parameters
        ----------
        n : int
            Number of coefficients; the degree is n - 1.

        Returns
        -------
        ndarray of float64, shape (n_filters, n)
            In the convention of :mod:`scinn.graphs.chebyshev`: the first column is not halved. Closed form for
            spline banks up to order 12, quadrature for the others.
        """
        n = check_positive_int(n, "n")
        if self.exponentials is not None:
            return np.stack([coefficients_of_exponentials(p, a, n) for p, a in self.exponentials])
        return np.stack([coefficients_by_quadrature(f, n, self.breakpoints) for f in self.filters])

    def plot(self, ax: Any = None) -> Any:
        """Draw the filters over [0, pi].

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        matplotlib.axes.Axes
        """
        ax = axes_or_new(ax)
        x = np.linspace(0.0, np.pi, 401)
        for number, values in enumerate(self.evaluate(x)):
            ax.plot(x, values, label="low-pass" if number == 0 else f"high-pass {number}")
        ax.set_xlabel("x")
        ax.set_ylabel("filter")
        ax.set_title(f"bank {self.name}")
        ax.legend()
        return ax


BANKS = ("haar", "linear", "quadratic", "sigmoid", "entropy")


def _spline_filter(m: int, r: int) -> Callable[[np.ndarray], np.ndarray]:
    factor = math.sqrt(math.comb(m, r))

    def spline(x: np.ndarray) -> np.ndarray:
        u = np.asarray(x, dtype=np.float64) / 2
        return factor * np.cos(u) ** (m - r) * np.sin(u) ** r

    return spline


def _spline_exponentials(m: int, r: int) -> tuple[np.ndarray, np.ndarray]:
    """Expand cos^(m-r)(u) sin^r(u), u = x/2, into exp(i (m - 2j) u) with Euler's formulas."""
    polynomial = np.ones(1)
    for sign in [1.0] * (m - r) + [-1.0] * r:
        polynomial = np.convolve(polynomial, [1.0, sign])
    frequencies = (m - 2.0 * np.arange(m + 1)) / 2
    return frequencies, math.sqrt(math.comb(m, r)) * 2.0**-m * (-1j) ** r * polynomial

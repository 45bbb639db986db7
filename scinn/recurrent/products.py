"""Matrix products of reversible networks at three levels of exactness.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999. Undoing
a step needs the bits of its gates again, and so the bits of the products behind them. A linear algebra library promises
none: they change with its number of threads, with the number of rows, with the machine.

* **A** takes the library as it is. The same call on arrays of the same shape in the same process gives the same
  bits; who uses it makes the same calls both ways.
* **B** sums in the order of the inner index with a kernel of this package: the same bits at any number of threads
  or rows, and on every machine with IEEE arithmetic.
* **C** rounds inputs and weights to multiples of 2^-16, so that every partial sum is an integer below 2^53 in units
  of 2^-32 and a float64 product is exact, whatever library computes it in whatever order. A sum is rounded once, to
  the network's dtype.

Notation: ``x`` or ``a`` rows (M, K), weights (K, N), bias (N,). Sums come in two parts, ``px`` of the inputs and
``u`` of the state, which the gates add.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import numpy as np

from scinn._input import check_choice
from scinn.nn.threads import n_threads_in_use

__all__ = ["LEVELS", "Products", "Weights", "make_products"]

#: Names of the levels of exactness.
LEVELS = ("A", "B", "C")
#: Level C: values and weights are multiples of this, smaller than this in size, with at most so many terms in a sum.
EXACT_UNIT, EXACT_LIMIT, EXACT_TERMS = 2.0**-16, 8.0, 4096


class Weights(NamedTuple):
    """Weights (K, N) and bias (N,) as a level uses them."""

    weight: np.ndarray
    bias: np.ndarray | None


class Products(ABC):
    """Products of a pass; made by :func:`make_products`.

    Attributes
    ----------
    level : {"A", "B", "C"}
    dtype : dtype
        Of the network: float32 or float64.
    """

    level: ClassVar[str]

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)

    def prepare(self, weight: np.ndarray, bias: np.ndarray | None) -> Weights:
        """Return weights in the form that products of this level take; made once for a pass.

        Parameters
        ----------
        weight : ndarray, shape (K, N)
        bias : ndarray, shape (N,), or None

        Returns
        -------
        Weights
            Copies, which later changes of the arguments do not reach.

        Raises
        ------
        ValueError
            At level C, for weights of 8 and more in size, or more than 4096 terms in a sum.
        """
        copy = np.array(weight, dtype=self.dtype, order="C")
        return Weights(copy, None if bias is None else np.array(bias, dtype=self.dtype))

    def project(self, x: np.ndarray, handle: Weights) -> np.ndarray:
        """Return the sums ``x W + b`` of a block of inputs.

        Parameters
        ----------
        x : ndarray, shape (M, K)
        handle : Weights
            From :meth:`prepare`.

        Returns
        -------
        ndarray, shape (M, N)
            New array; of the network's dtype at levels A and B, integers in float64 at C.

        Raises
        ------
        ValueError
            At level C, for inputs of 8 and more in size.
        """
        sums = self._product(x, handle.weight, None, "the inputs have")
        if handle.bias is not None:
            sums += handle.bias
        return sums

    def recurrent(self, a: np.ndarray, handle: Weights, out: np.ndarray | None = None) -> np.ndarray:
        """Return the sums ``a W`` of a state.

        Parameters
        ----------
        a : ndarray, shape (B, K)
        handle : Weights
            From :meth:`prepare`; its bias is not used.
        out : ndarray, shape (B, N), optional
            Where the sums go; of the network's dtype at levels A and B, float64 at C.

        Returns
        -------
        ndarray, shape (B, N)
            ``out``, or a new array.

        Raises
        ------
        ValueError
            At level C, for states of 8 and more in size.
        """
        return self._product(a, handle.weight, out, "the state has")

    def finish(self, px: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return two parts of the network's dtype whose sum the gates take.

        Parameters
        ----------
        px, u : ndarray, shape (B, N)
            From :meth:`project` and :meth:`recurrent`.

        Returns
        -------
        px, u : ndarray, shape (B, N)
            As they are at levels A and B; at C the exact sum, rounded once, and zero.
        """
        return px, u

    @abstractmethod
    def _product(self, a: np.ndarray, weight: np.ndarray, out: np.ndarray | None, what: str) -> np.ndarray:
        """Return the sums of products, in ``out`` if it is given."""


class _Library(Products):
    level = "A"

    def _product(self, a: np.ndarray, weight: np.ndarray, out: np.ndarray | None, what: str) -> np.ndarray:
        return np.matmul(a, weight, out=out)


class _Ordered(Products):
    level = "B"

    def _product(self, a: np.ndarray, weight: np.ndarray, out: np.ndarray | None, what: str) -> np.ndarray:
        from scinn.kernels.exact_products import ordered_product, ordered_product_parallel

        if out is None:
            out = np.empty((a.shape[0], weight.shape[1]), self.dtype)
        multiply = ordered_product if n_threads_in_use() == 1 else ordered_product_parallel
        multiply(np.ascontiguousarray(a), weight, out)
        return out


class _Integer(Products):
    level = "C"

    def prepare(self, weight: np.ndarray, bias: np.ndarray | None) -> Weights:
        if weight.shape[0] > EXACT_TERMS:
            raise ValueError(
                f"exactness C sums at most {EXACT_TERMS} terms exactly, and these weights have {weight.shape[0]} rows; "
                "use exactness='B'"
            )
        rounded = _integers(weight, "the weights have")
        if bias is None:
            return Weights(rounded, None)
        return Weights(rounded, _integers(bias, "the bias has") / EXACT_UNIT)

    def _product(self, a: np.ndarray, weight: np.ndarray, out: np.ndarray | None, what: str) -> np.ndarray:
        return np.matmul(_integers(a, what), weight, out=out)

    def finish(self, px: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sums = (px + u) * EXACT_UNIT**2
        return sums.astype(self.dtype, copy=False), np.zeros(u.shape, self.dtype)


def _integers(values: np.ndarray, what: str) -> np.ndarray:
    """Return multiples of 2^-16 as integers in float64, half to even."""
    exact = np.array(values, dtype=np.float64, order="C")
    # Written so that NaN is refused too.
    if not (np.abs(exact).max(initial=0.0) < EXACT_LIMIT):
        at = tuple(int(i) for i in np.argwhere(~(np.abs(exact) < EXACT_LIMIT))[0])
        raise ValueError(
            f"exactness C wants numbers below {EXACT_LIMIT:g} in size, and {what} {exact[at]:g} at {at}; scale the "
            "inputs, use weight decay or bounded=3 (RevLSTM), or take exactness='B'"
        )
    exact *= 1.0 / EXACT_UNIT
    return np.rint(exact, out=exact)


_CLASSES = {kind.level: kind for kind in (_Library, _Ordered, _Integer)}


def make_products(level: str, dtype: Any) -> Products:
    """Return the products of a level of exactness.

    Parameters
    ----------
    level : {"A", "B", "C"}
        See the module.
    dtype : dtype
        float32 or float64.

    Returns
    -------
    Products

    Raises
    ------
    ValueError
        For another level.

    Examples
    --------
    >>> products = make_products("C", np.float32)
    >>> weights = products.prepare(np.array([[0.5], [0.25]]), np.array([1.0]))
    >>> products.finish(products.project(np.ones((1, 2)), weights), np.zeros((1, 1)))[0].tolist()
    [[1.75]]
    """
    return _CLASSES[check_choice(level, "exactness", LEVELS)](dtype)

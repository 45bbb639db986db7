"""Two neurons at points of the cube: at all of them, at all states of groups of equal inputs, at random ones.

Notation: x uniform on {-1,+1}^n, h = sgn(<w,x> - theta) and g = sgn(<v,x> - mu), as in
:mod:`scinn.robustness.joint_law`.

* enumeration of all points, exact;
* few distinct sizes, :class:`Groups`: with ``y_i = sgn(w_i) x_i``, both sums depend on the number of ``y_i = +1`` in each
  group of equal (|w_i|, sgn(w_i) v_i) only. The prod (k_g + 1) states have products of binomial probabilities;
* sampling both neurons at the same points.

Neurons are those of the given floats, so that a sum which is 0 by decimal arithmetic may lie on either side of 0: margins
within rounding of the plane are decided in integers. Fourier series know neither side, and take such points as 0:
:func:`atom_mass` estimates how many there are.

References
----------
Derived here. The neurons are those of N. Raviv, A. Kelley, M. Guo, Y. Vorobeychik (2021), Enhancing Robustness of Neural
Networks through Fourier Stabilization, ICML, PMLR 139.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from scinn.robustness.dyadic import to_integers
from scinn.robustness.joint_methods import Plane, half_sums, near_lattice, signs_of

__all__ = ["Groups", "atom_mass", "enumerated_changes", "enumerated_signs", "sampled_signs"]

_LOW_BITS = 14
_LIMB = 30
_EPS = float(np.finfo(np.float64).eps)
_CHUNK = 1 << 14
# States of the groups that share one array, and numbers in a block of random points.
_LOW_STATES = 1 << 16
_BLOCK_ENTRIES = 1 << 24
# Points that are looked at for sums on the plane.
_LOOKS = 1 << 15


class _Exact:
    """Signs of the margins of one neuron, those within rounding of 0 decided in integers.

    Parameters
    ----------
    weights : ndarray of float64, shape (m,)
    threshold : float
    total : float
        Largest size of a margin.
    n : int
        Inputs, at least m.
    tie : {1, 0, -1}
    """

    def __init__(self, weights: np.ndarray, threshold: float, total: float, n: int, tie: int) -> None:
        self.entries, self.tie = np.append(weights, threshold), tie
        step = to_integers(self.entries)[1]
        # A bit less than the 53 of a float, since the total may have been rounded.
        exact = total <= math.ldexp(1.0, min(step + 52, 1020))
        self.band = 0.0 if exact else (n + 4) * _EPS * total
        self.limbs: np.ndarray | None = None

    def decide(self, factors: np.ndarray) -> np.ndarray:
        """Return sgn of ``factors @ weights - threshold`` for rows of integers of sizes that add up to 2^22 at most.

        The sums are those of integers of any length, in limbs that float64 adds exactly.
        """
        if self.limbs is None:
            integers = [int(k) for k in to_integers(self.entries)[0]]
            width = max(1, -(-max(abs(k).bit_length() for k in integers) // _LIMB))
            mask = (1 << _LIMB) - 1
            self.limbs = np.array(
                [
                    [math.copysign(1.0, k) * float(abs(k) >> (_LIMB * p) & mask) for p in range(width)]
                    for k in integers
                ]
            )
        sums = (factors @ self.limbs[:-1] - self.limbs[-1]).astype(np.int64)
        for p in range(sums.shape[1] - 1):
            carry = sums[:, p] >> _LIMB
            sums[:, p] -= carry << _LIMB
            sums[:, p + 1] += carry
        positive = (sums != 0).any(axis=1)
        return np.where(sums[:, -1] < 0, -1, np.where(positive, 1, self.tie)).astype(np.int8)

    def signs(self, margins: np.ndarray, factors: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Return sgn of margins; ``factors`` gives the rows of integers of the places that are unclear."""
        signs = signs_of(margins, self.tie)
        if self.band:
            unclear = np.flatnonzero(np.abs(margins) <= self.band)
            for begin in range(0, unclear.size, _CHUNK):
                part = unclear[begin : begin + _CHUNK]
                signs[part] = self.decide(factors(part))
        return signs


def _exact_of(plane: Plane, tie: int, sizes: np.ndarray | None = None) -> _Exact:
    """Return the decider of a neuron, or of its sizes where inputs are grouped."""
    total = float(np.abs(plane.weights).sum()) + abs(plane.threshold)
    used = plane.weights if sizes is None else sizes
    return _Exact(used, plane.threshold, total, len(plane.weights), tie)


class _Enumerated:
    """Signs of one neuron at all points, in chunks of the lowest bits, decided exactly."""

    def __init__(self, plane: Plane, tie: int) -> None:
        self.n = len(plane.weights)
        self.n_low = min(self.n, _LOW_BITS)
        self.low = half_sums(plane.weights[: self.n_low])
        self.high = half_sums(plane.weights[self.n_low :]) - plane.threshold
        self.exact = _exact_of(plane, tie)

    def margins(self, chunk: int) -> np.ndarray:
        return self.low + self.high[chunk]

    def signs(self, chunk: int) -> np.ndarray:
        def factors(places: np.ndarray) -> np.ndarray:
            points = places + (chunk << self.n_low)
            return 1.0 - 2.0 * (points[:, None] >> np.arange(self.n) & 1)

        return self.exact.signs(self.margins(chunk), factors)


def enumerated_signs(
    plane: Plane, other: Plane, tie: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield, chunk by chunk over all points, the signs of both neurons and the margins of the other."""
    first, second = _Enumerated(plane, tie), _Enumerated(other, tie)
    for chunk in range(len(first.high)):
        yield first.signs(chunk), second.signs(chunk), second.margins(chunk)


def enumerated_changes(plane: Plane, other: Plane, tie: int) -> float:
    """Return Pr[g != h], exactly, from all points."""
    changes = 0
    for h, g, _ in enumerated_signs(plane, other, tie):
        changes += int(np.count_nonzero(h != g))
    return math.ldexp(float(changes), -len(plane.weights))


def _binomial(k: int) -> np.ndarray:
    """Return the probabilities of 0..k heads, by their ratios from the middle outwards."""
    middle = k // 2
    up = np.arange(middle, k, dtype=np.float64)
    down = np.arange(middle, 0, -1, dtype=np.float64)
    right = np.cumprod((k - up) / (up + 1.0))
    left = np.cumprod(down / (k - down + 1.0))[::-1]
    law = np.concatenate([left, [1.0], right])
    return law / math.fsum(law.tolist())


def _outer_sums(sizes: np.ndarray, counts: list[int]) -> np.ndarray:
    sums = np.zeros(1)
    for size, k in zip(sizes.tolist(), counts, strict=True):
        sums = np.add.outer(sums, size * (2.0 * np.arange(k + 1) - k)).ravel()
    return sums


class Groups:
    """Both neurons on the states of groups of inputs that have equal weights in both, up to a common sign.

    Parameters
    ----------
    plane, other : Plane
        h and g, on the same inputs.

    Attributes
    ----------
    n_states : float
        prod (k_g + 1).
    error : float
        Relative error of the probabilities.
    """

    def __init__(self, plane: Plane, other: Plane) -> None:
        turn = np.where(plane.weights != 0.0, np.sign(plane.weights), np.sign(other.weights))
        # A zero of either sign is one size.
        pairs = np.stack([plane.weights * turn, other.weights * turn], axis=1) + 0.0
        sizes, counts = np.unique(pairs, axis=0, return_counts=True)
        # The largest groups last: they vary fastest, within one array.
        order = np.argsort(counts, kind="stable")
        self.sizes, self.counts = sizes[order], [int(k) for k in counts[order]]
        self.planes, self.n = (plane, other), len(pairs)
        self.n_states = math.prod(k + 1.0 for k in self.counts)
        self.error = _EPS * (16.0 + len(self.counts) + sum(math.sqrt(k) for k in self.counts))

    def states(self, tie: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """Yield probabilities, the signs of both neurons, and the margins of the other, chunk by chunk."""
        split, size = len(self.counts), 1
        while split and (size == 1 or size * (self.counts[split - 1] + 1) <= _LOW_STATES):
            split -= 1
            size *= self.counts[split] + 1
        shape = tuple(k + 1 for k in self.counts)
        low = [_outer_sums(self.sizes[split:, j], self.counts[split:]) for j in (0, 1)]
        high = [_outer_sums(self.sizes[:split, j], self.counts[:split]) for j in (0, 1)]
        laws = [np.ones(1), np.ones(1)]
        for place, k in enumerate(self.counts):
            part = int(place >= split)
            laws[part] = np.multiply.outer(laws[part], _binomial(k)).ravel()
        exact = [_exact_of(plane, tie, self.sizes[:, j]) for j, plane in enumerate(self.planes)]
        for chunk in range(len(high[0])):

            def factors(places: np.ndarray, chunk: int = chunk) -> np.ndarray:
                heads = np.unravel_index(places + chunk * size, shape)
                return np.stack([2.0 * c - k for c, k in zip(heads, self.counts, strict=True)], axis=1)

            margins = [low[j] + high[j][chunk] - self.planes[j].threshold for j in (0, 1)]
            signs = [exact[j].signs(margins[j], factors) for j in (0, 1)]
            yield laws[0][chunk] * laws[1], signs[0], signs[1], margins[1]

    def changes(self, tie: int) -> float:
        """Return Pr[g != h]."""
        parts = [float(law[h != g].sum()) for law, h, g, _ in self.states(tie)]
        return min(1.0, math.fsum(parts))


def atom_mass(plane: Plane) -> float:
    """Estimate, from above, the probability of sums as near to the threshold as rounding is, and of their neighbours.

    The largest of: a cell of the lattice where the weights have a common step up to rounding; the largest atom of sizes that
    have no rational relations; the share of such sums among random points, with three standard errors.
    """
    used = plane.weights[plane.weights != 0.0]
    if not used.size:
        return 0.0
    norm = math.sqrt(float(used @ used))
    _, counts = np.unique(np.abs(used), return_counts=True)
    mass = math.exp(
        sum(
            math.lgamma(k + 1) - math.lgamma(k // 2 + 1) - math.lgamma(k - k // 2 + 1) - k * math.log(2.0)
            for k in counts.tolist()
        )
    )
    near = near_lattice(used)
    if near is not None:
        mass = max(mass, min(1.0, 1.5 * math.sqrt(2.0 / math.pi) * float(near[1]) / norm))
    band = (len(used) + 4) * _EPS * (float(np.abs(used).sum()) + abs(plane.threshold))
    hits = 0
    for x in _random_points(len(used), _LOOKS, np.random.default_rng(0)):
        hits += int(np.count_nonzero(np.abs(x @ used - plane.threshold) <= band))
    return max(mass, (hits + 3.0 * math.sqrt(hits)) / _LOOKS)


def _random_points(n: int, n_points: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    rows = max(1, min(_CHUNK, _BLOCK_ENTRIES // max(n, 1)))
    for begin in range(0, n_points, rows):
        size = min(rows, n_points - begin)
        bits = np.unpackbits(np.frombuffer(rng.bytes(size * -(-n // 8)), np.uint8).reshape(size, -1), axis=1)
        yield 1.0 - 2.0 * bits[:, :n]


def sampled_signs(
    plane: Plane, other: Plane, n_samples: int, tie: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the signs of both neurons at common random points, decided exactly, and the margins of the other.

    Three arrays of shape (n_samples,).
    """
    both = np.stack([plane.weights, other.weights], axis=1)
    exact = [_exact_of(plane, tie), _exact_of(other, tie)]
    first, second = np.empty((2, n_samples), dtype=np.int8)
    margins = np.empty(n_samples)
    begin = 0
    for x in _random_points(len(both), n_samples, rng):
        sums = x @ both
        part = slice(begin, begin + len(x))
        first[part] = exact[0].signs(sums[:, 0] - plane.threshold, x.__getitem__)
        margins[part] = sums[:, 1] - other.threshold
        second[part] = exact[1].signs(margins[part], x.__getitem__)
        begin += len(x)
    return first, second, margins

"""Exact Chow parameters of weighted games: the ways to count ``R > quota`` over all subsets.

The notation is that of :mod:`scinn.robustness.chow_games`. For each quota of a game a method finds
``[sum_x h, sum_x h y_1, ..., sum_x h y_n]`` as Python integers; Chow parameters are these over 2^n.

References
----------
N. Raviv, A. Kelley, M. Guo, Y. Vorobeychik (2021), Enhancing Robustness of Neural Networks through Fourier Stabilization,
ICML, PMLR 139; E. Horowitz and S. Sahni (1974), Computing partitions with applications to the knapsack problem, J. ACM 21
(meet in the middle). Undoing the merges, the residues and the branching are derived here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from scinn.kernels import chow as kernels
from scinn.robustness.chow_games import Counts, Game, Outcome, counted, decided

__all__ = [
    "BranchPlan",
    "binomial",
    "block_scan",
    "branch",
    "branch_plan",
    "constant",
    "integer_counts",
    "integer_seconds",
    "meet_in_the_middle",
    "truth_table",
    "words",
]

#: Most weights that are halved and merged: 2^24 sums a half, about 1 GiB with two words.
MOST_HALVED = 48
#: Most weights of a scan that needs no memory: 2^22 binary searches, under a second.
MOST_SCANNED = 34
#: Most weights of a table of all points.
MOST_TABULATED = 20
#: Most bytes of the two buffers of the integer method.
MOST_BYTES = 2**30
#: Most nodes that branching keeps.
MOST_NODES = 300_000
# Seconds, measured on one core: a node of a branching, a merged sum, an addition of counts, an inner step of a window.
_NODE, _MERGED, _ADDED, _STEP = 1.2e-6, 1.2e-8, 8e-10, 2e-9
_WORD = 62
# Up to this n sums of binomial coefficients are taken as they are.
_SUMMED = 4096
# Seconds for which branching goes deeper than it must.
_CHEAP = 0.05
# Of a truncated branching: what is left undecided is smaller than a rounding.
_NEGLIGIBLE = 2.0**-54


def _each(game: Game, count: Callable[[int], Counts]) -> list[Counts]:
    total = game.total
    return [decided(game.weights, quota, total) or count(quota) for quota in game.quotas]


def constant(game: Game) -> Outcome:
    """Return the parameters of a game that every point decides alike.

    Parameters
    ----------
    game : Game
        With ``game.constant``.

    Returns
    -------
    Outcome
    """
    return counted(game, [decided(game.weights, quota, game.total) or [] for quota in game.quotas], {})


# Scans over all points


def words(values: Sequence[int], bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the high words and the low words, of ``bits`` bits, of integers."""
    mask = (1 << bits) - 1
    return (
        np.array([value >> bits for value in values], dtype=np.int64),
        np.array([value & mask for value in values], dtype=np.int64),
    )


class _Halves:
    """The sorted subset sums of the two halves of some weights."""

    def __init__(self, weights: Sequence[int], bits: int) -> None:
        self.n, self.bits = len(weights), bits
        self.sides = []
        for part in (weights[: self.n // 2], weights[self.n // 2 :]):
            steps = np.zeros(2 << len(part), np.uint8)
            self.sides.append(
                (*kernels.sorted_subset_sums(*words(part, bits), bits, steps), steps, len(part))
            )

    def _pairs(self, quota: int) -> list[np.ndarray]:
        (left_high, left_low, *_), (right_high, right_low, *_) = self.sides
        counts = [np.empty(len(left_high), np.int64), np.empty(len(right_high), np.int64)]
        kernels.pair_counts(
            left_high,
            left_low,
            right_high,
            right_low,
            self.bits,
            quota >> self.bits,
            quota & ((1 << self.bits) - 1),
            *counts,
        )
        return counts

    def n_above(self, quota: int) -> int:
        return int(self._pairs(quota)[0].sum())

    def counts(self, quota: int) -> Counts:
        signed = []
        for counts, (_, _, steps, size) in zip(self._pairs(quota), self.sides, strict=True):
            part = np.zeros(size, np.int64)
            total = int(kernels.fold_sorted(counts, steps, size, part))
            signed.append(part)
        return [2 * total - (1 << self.n), *(2 * np.concatenate(signed)).tolist()]


class _Blocks:
    """The same by a scan in blocks."""

    def __init__(self, weights: Sequence[int], bits: int) -> None:
        self.n, self.bits = len(weights), bits
        self.words = words(weights, bits)

    def n_above(self, quota: int) -> int:
        return (self.counts(quota)[0] + (1 << self.n)) // 2

    def counts(self, quota: int) -> Counts:
        signed = np.zeros(self.n, np.int64)
        total = kernels.block_scan(
            *self.words, self.bits, quota >> self.bits, quota & ((1 << self.bits) - 1), signed
        )
        return [2 * int(total) - (1 << self.n), *(2 * signed).tolist()]


def _scanned(
    weights: Sequence[int], quotas: Sequence[int], scan: type[_Halves] | type[_Blocks]
) -> tuple[list[Counts], int]:
    """Count above each quota; also return how many points stayed undecided (counted as ties), almost always 0.

    Weights that are too long for one word lose their last bits: a sum of n of them is then less than n too small, and
    where no sum lies that close below the quota, nothing is lost. Otherwise two words of 122 bits are taken.
    """
    n, length = len(weights), sum(weights).bit_length()
    results: list[Counts] = []
    undecided = 0
    for capacity in (_WORD, 2 * _WORD - 2):
        shift = max(0, length - capacity)
        sums = scan([w >> shift for w in weights], max(0, length - shift - _WORD))
        results, undecided = [], 0
        for quota in quotas:
            counts = sums.counts(quota >> shift)
            if shift:
                close = sums.n_above((quota >> shift) - n) - (counts[0] + (1 << n)) // 2
                if close and capacity == _WORD:
                    undecided = close
                    break
                if close:
                    undecided = max(undecided, close)
                    other = sums.counts((quota >> shift) - n)
                    counts = [(a + b) // 2 for a, b in zip(counts, other, strict=True)]
            results.append(counts)
        if not undecided:
            break
    return results, undecided


def _scan_game(game: Game, scan: type[_Halves] | type[_Blocks]) -> Outcome:
    total = game.total
    open_quotas = [quota for quota in game.quotas if 0 <= quota < total]
    found, undecided = _scanned(game.weights, open_quotas, scan)
    answers = dict(zip(open_quotas, found, strict=True))
    counts = [decided(game.weights, quota, total) or answers[quota] for quota in game.quotas]
    outcome = counted(game, counts, {})
    if not undecided:
        return outcome
    outcome.details.pop("n_ties", None)
    outcome.details["n_undecided"] = undecided
    return outcome._replace(bound=outcome.bound + undecided / 2 ** len(game.weights), counts=None)


def meet_in_the_middle(game: Game) -> Outcome:
    """Count by sorting the sums of two halves of the weights and sweeping over both.

    Sums are merged, not sorted, and the merges are remembered; the counts of every sum are then folded back through them,
    which gives the parameters of all weights in as many steps as there are sums: O(2^(n/2)) in all.

    Parameters
    ----------
    game : Game
        Of at most :data:`MOST_HALVED` weights.

    Returns
    -------
    Outcome
        Exact, unless weights span more than 122 bits and points are within the last of them of the threshold.
    """
    return _scan_game(game, _Halves)


def block_scan(game: Game) -> Outcome:
    """Count by one binary search for each subset of all but 12 weights; a fixed amount of memory.

    Parameters
    ----------
    game : Game
        Of at most :data:`MOST_SCANNED` weights.

    Returns
    -------
    Outcome
        As of :func:`meet_in_the_middle`.
    """
    return _scan_game(game, _Blocks)


def truth_table(game: Game) -> Outcome:
    """Count from the table of all answers, folded one weight at a time.

    Parameters
    ----------
    game : Game
        Of at most :data:`MOST_TABULATED` weights.

    Returns
    -------
    Outcome
    """
    n = len(game.weights)
    # Beyond 62 bits NumPy adds Python integers.
    wide = game.total.bit_length() > _WORD
    sums = np.zeros(1, dtype=object if wide else np.int64)
    for weight in game.weights:
        sums = np.concatenate([sums, sums + weight])

    def count(quota: int) -> Counts:
        table = np.where((sums > quota).astype(bool), np.int64(1), np.int64(-1))
        signed = np.zeros(n, np.int64)
        total = int(kernels.fold_table(table, n, signed))
        return [total, *signed.tolist()]

    return counted(game, _each(game, count), {})


# Integers


def binomial(game: Game) -> Outcome:
    """Count in closed form where all weights are equal.

    ``E h = 1 - 2 Pr[R <= quota]`` and ``E h y_i = binom(n - 1, quota) / 2^(n - 1)``.

    Parameters
    ----------
    game : Game
        All weights 1.

    Returns
    -------
    Outcome
        For n above 4096 the sum of binomial coefficients for E h is rounded at its 200th binary digit.
    """
    n = len(game.weights)

    def count(quota: int) -> Counts:
        if not 0 <= quota < n:
            return [(1 if quota < 0 else -1) << n, 0]
        mirrored = quota > n - 1 - quota
        low = n - 1 - quota if mirrored else quota
        balance = (1 << n) - 2 * _binomial_sum(n, low)
        return [-balance if mirrored else balance, 2 * math.comb(n - 1, low)]

    # All weights share one number, which may be long.
    outcome = counted(game, [count(quota) for quota in game.quotas], {})
    assert outcome.counts is not None
    rounding = 0.0 if n <= _SUMMED else 2.0**-100
    return outcome._replace(
        value=np.concatenate([outcome.value[:1], np.full(n, outcome.value[1])]),
        counts=outcome.counts[:1] + outcome.counts[1:] * n,
        bound=outcome.bound + rounding,
    )


def _binomial_sum(n: int, top: int) -> int:
    """Return the sum of binom(n, r) for r = 0..top, with 2 top < n."""
    last = math.comb(n, top)
    if n <= _SUMMED:
        total, term = 0, last
        for r in range(top, -1, -1):
            total += term
            term = term * r // (n - r + 1)
        return total
    # Terms relative to the last one, which shrink as r falls.
    one = 1 << 200
    total, term = 0, one
    for r in range(top, -1, -1):
        total += term
        term = term * r // (n - r + 1)
        if not term:
            break
    return (last * total + (one >> 1)) >> 200


def _moduli(n: int) -> list[int]:
    """Return pairwise coprime numbers, 2^64 first, whose product is above 2^(n+1)."""
    moduli, product = [2**64], 2**64
    candidate = 2**63 - 1
    while product <= 2 ** (n + 1):
        if all(math.gcd(candidate, modulus) == 1 for modulus in moduli):
            moduli.append(candidate)
            product *= candidate
        candidate -= 2
    return moduli


def _open_reach(game: Game) -> list[int]:
    """Return for each quota to which sum subsets must be counted; the distribution of sums is symmetric."""
    total = game.total
    return [min(quota, total - 1 - quota) for quota in game.quotas if 0 <= quota < total]


def integer_seconds(game: Game) -> float:
    """Estimate the time that :func:`integer_counts` takes; infinite where it would not fit into memory."""
    reach = _open_reach(game)
    if reach and 16 * (max(reach) + 1) > MOST_BYTES:
        return math.inf
    n = len(game.weights)
    passes = n // 63 + 1
    adding = sum(n * (r + 1) for r in reach) * _ADDED
    stepping = sum(r / w for r in reach for w in game.weights if w <= r) * _STEP
    return 2e-5 + passes * (adding + stepping + n * 1e-6)


def integer_counts(game: Game) -> Outcome:
    """Count the subsets of every sum by dynamic programming, exactly whatever n is.

    Numbers of up to n bits are kept as residues modulo 2^64 and further numbers of 63 bits, and put together at the
    end.

    Parameters
    ----------
    game : Game

    Returns
    -------
    Outcome

    References
    ----------
    The dynamic program is that of voting power: I. Mann and L. S. Shapley (1962), RAND memorandum RM-3158. That one
    running sum serves all weights (see :func:`scinn.kernels.chow.count_residues`) is derived here.
    """
    n = len(game.weights)
    total = game.total
    moduli = _moduli(n)

    def count(quota: int) -> Counts:
        reach = min(quota, total - 1 - quota)
        # Weights beyond the reach are all alike.
        ascending = np.array([min(w, reach + 1) for w in reversed(game.weights)], dtype=np.int64)
        numbers, product = [0] * (n + 1), 1
        for modulus in moduli:
            decisive = np.zeros(n, np.uint64)
            # Wrapping around is what 2^64 asks for.
            with np.errstate(over="ignore"):
                below = kernels.count_residues(ascending, reach, np.uint64(modulus % 2**64), decisive)
            inverse = pow(product, -1, modulus)
            residues = [int(below), *decisive[::-1].tolist()]
            numbers = [
                number + product * ((residue - number) * inverse % modulus)
                for number, residue in zip(numbers, residues, strict=True)
            ]
            product *= modulus
        balance = (1 << n) - 2 * numbers[0]
        return [balance if reach == quota else -balance, *(2 * number for number in numbers[1:])]

    return counted(game, _each(game, count), {"total_weight": total, "n_moduli": len(moduli)})


# Branching


class BranchPlan(NamedTuple):
    """How to branch: down to ``depth``, then by meeting in the middle (``halves``) or not at all.

    Parameters
    ----------
    depth : int
        Weights to branch on, largest first.
    halves : bool
        Whether the remaining weights are counted; otherwise what is undecided there goes into the bound.
    seconds : float
        Estimated time; infinite where there is no way within the limits.
    """

    depth: int
    halves: bool
    seconds: float


def branch_plan(game: Game, mass: float = _NEGLIGIBLE) -> BranchPlan:
    """Estimate at which depth branching is best left to the other methods.

    A node is undecided where the remaining weights can still change its answer: about ``2^d W_d / W_0`` nodes of depth d,
    where W_d is the sum of all weights but the d largest. Nothing but time depends on the estimate.

    Parameters
    ----------
    game : Game
    mass : float, default 2^-54
        What may stay undecided.

    Returns
    -------
    BranchPlan
    """
    n = len(game.weights)
    # Only ratios matter; 1100 bits below the largest sum is nothing.
    shift = max(0, game.total.bit_length() - 1000)
    sizes = np.array([float(w >> shift) for w in game.weights])
    rest = np.concatenate([np.cumsum(sizes[::-1])[::-1], [0.0]])
    share = rest / rest[0]
    with np.errstate(divide="ignore"):
        expected = np.arange(n + 1) + np.log2(share)
    nodes = np.exp2(np.clip(expected, 0.0, 60.0))
    # Where less than a hundredth of a node is expected there is none, and none below it.
    nodes[np.minimum.accumulate(expected) < -7.0] = 0.0
    above = np.concatenate([[0.0], np.cumsum(nodes[:-1])])
    exact = truncated = BranchPlan(0, False, math.inf)
    for depth in range(n + 1):
        if above[depth] > MOST_NODES:
            break
        left, seconds = n - depth, len(game.quotas) * float(above[depth]) * _NODE
        if left == 0:
            plan = BranchPlan(depth, False, seconds)
        elif left <= MOST_HALVED:
            merged = 2.0 ** ((left + 1) // 2) * _MERGED
            repeated = float(nodes[depth]) * (merged + 2e-5) * len(game.quotas)
            plan = BranchPlan(depth, True, seconds + 5e-5 + 2.0 * merged + repeated)
        else:
            plan = BranchPlan(depth, False, math.inf)
        # Branching must be worth it: the estimates are rough.
        if plan.seconds < (exact.seconds if exact.depth else 0.5 * exact.seconds):
            exact = plan
        deeper = seconds <= _CHEAP and share[truncated.depth] >= _NEGLIGIBLE
        if share[depth] < mass and (deeper or truncated.seconds == math.inf):
            truncated = BranchPlan(depth, False, seconds)
    return exact if exact.seconds <= max(0.1, truncated.seconds) else truncated


class _Tree:
    """The undecided nodes of a branching, by their depth and what is left of the quota."""

    def __init__(self, weights: Sequence[int], quota: int, depth: int) -> None:
        self.weights, self.quota = weights, quota
        self.rest = [0]
        for weight in reversed(weights):
            self.rest.append(self.rest[-1] + weight)
        self.rest.reverse()
        self.levels: list[dict[int, int]] = []
        self.frontier = {quota: 1}
        self.n_nodes = 0
        while self.frontier and len(self.levels) < depth and self.n_nodes + len(self.frontier) <= MOST_NODES:
            self._grow()

    def _grow(self) -> None:
        depth = len(self.levels)
        weight, below = self.weights[depth], self.rest[depth + 1]
        children: dict[int, int] = {}
        for left, paths in self.frontier.items():
            for child in (left, left - weight):
                if 0 <= child < below:
                    children[child] = children.get(child, 0) + paths
        self.levels.append(self.frontier)
        self.n_nodes += len(self.frontier)
        self.frontier = children

    def counts(self, leaves: dict[int, Counts]) -> Counts:
        """Return the counts of the root, given those of the frontier for the remaining weights."""
        depth, n = len(self.levels), len(self.weights)
        tail = [0] * (n - depth)
        for left, paths in self.frontier.items():
            tail = [a + paths * b for a, b in zip(tail, leaves[left][1:], strict=True)]
        values = {left: counts[0] for left, counts in leaves.items()}
        head = [0] * depth
        size = 1 << (n - depth)
        for d in range(depth - 1, -1, -1):
            weight, below = self.weights[d], self.rest[d + 1]
            higher: dict[int, int] = {}
            signed = 0
            for left, paths in self.levels[d].items():
                without, inside = (
                    size if child < 0 else -size if child >= below else values[child]
                    for child in (left, left - weight)
                )
                signed += paths * (inside - without)
                higher[left] = inside + without
            head[d], values, size = signed, higher, 2 * size
        return [values[self.quota], *head, *tail]


def branch(game: Game, plan: BranchPlan) -> Outcome:
    """Branch on the largest weights; a branch is decided where the others cannot change its answer.

    Decided branches add to E h and to the weights branched on, and to nothing else. Branches with the same remainder of
    the quota are one. Weights of which each outweighs all smaller ones cost O(n) nodes.

    Parameters
    ----------
    game : Game
    plan : BranchPlan

    Returns
    -------
    Outcome
        Exact, unless branches stayed undecided: their mass is the bound.
    """
    n = len(game.weights)
    mass, n_nodes, n_undecided, n_counted = 0.0, 0, 0, 0

    def count(quota: int) -> Counts:
        nonlocal mass, n_nodes, n_undecided, n_counted
        tree = _Tree(game.weights, quota, plan.depth)
        depth = len(tree.levels)
        n_nodes += tree.n_nodes
        rest, open_quotas = game.weights[depth:], list(tree.frontier)
        paths = sum(tree.frontier.values())
        if open_quotas and plan.halves and len(rest) <= MOST_HALVED:
            found, undecided = _scanned(rest, open_quotas, _Halves)
            n_counted += len(found)
            n_undecided += undecided
            mass += paths * undecided / 2**n
        else:
            found = [[0] * (len(rest) + 1)] * len(open_quotas)
            mass += paths / 2**depth
        return tree.counts(dict(zip(open_quotas, found, strict=True)))

    counts = _each(game, count)
    details: dict[str, object] = {"n_nodes": n_nodes, "n_counted": n_counted}
    outcome = counted(game, counts, details)
    if mass == 0.0:
        return outcome
    details.pop("n_ties", None)
    details["undecided_mass"] = mass / len(game.quotas)
    return outcome._replace(bound=outcome.bound + mass / len(game.quotas), counts=None)

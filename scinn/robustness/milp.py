"""Mixed-integer models of "these flips evade": one binary variable a flip, each neuron replaced by an upper estimate.

Notation of Raviv et al. (2021), "Enhancing Robustness of Neural Networks through Fourier Stabilization": signs x, hidden
layer ``z = x W + b``, gap ``l_t - l_y = c_t - c_y + sum_h u_h f(z_h)`` with ``u_h = V_ht - V_hy``. With ``f_i = 1`` where
bit i flips, ``z_h = z0_h - 2 sum_i x_i W_ih f_i``. The model asks for flips within a budget whose estimated gap reaches the
margin. Everything below is derived here.

The budget itself tightens the model: within k flips ``z_h`` stays in ``[L_h, U_h]``, z0 plus and minus the k largest
changes, an interval much shorter than that of the whole cube. With ``v = sgn(u_h) z_h`` the neuron contributes
``|u_h| p(v)``, p non-decreasing, and p is replaced on its interval by

* ReLU: itself, two straight pieces; the convex kink costs one binary variable, the concave one (``u_h < 0``) none;
* sign: itself, a jump that needs ``v >= 0`` (``> 0`` where the tie goes the other way), one binary variable;
* tanh: a polygon above it: chords of the convex side, v < 0, one binary variable a chord, and tangents of the concave
  side, which cost none.

A model without a solution therefore proves that no flips within the budget evade: for the sign and ReLU because the model
is the network, for tanh because the estimate lies above it. Rounding errors of the data are bounded and widen intervals and
thresholds to the attacker's side. Where z or the gap live on a lattice (integer or stabilised weights), thresholds are moved
by a quarter of a step, so that no tolerance of the solver can confuse two lattice points. What the solver (HiGHS) itself
does in floating point, with feasibility tolerances of 1e-6, is trusted for its answer "infeasible" and for its bound of the
cost, and for nothing else: flips it returns are checked by :class:`scinn.robustness.margins.Margins`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from scinn.robustness.margins import Margins
from scinn.robustness.network import activate

__all__ = ["FlipProblem", "Solution", "flip_problem", "solve_flips", "tanh_overestimator"]

# Values of estimates are raised by this share of their unit, far above the rounding errors of tanh and of a chord.
_LIFT = 1e-14
_GRID = 257
# Thresholds are relaxed by this share of the range, so that a solver's presolve cannot cut off what rounding moved.
_RELAX = 1e-9


def tanh_overestimator(
    low: float, high: float, *, slope: float = 1.0, pieces: int = 6, extra: Sequence[float] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Return a polygon above ``tanh(slope v)`` on an interval.

    Left of 0, where the function is convex, it joins points of the graph; right of 0, where it is concave, it follows
    tangents, from one to the next at one point between their points of contact. Breakpoints are spread so that all pieces
    err about equally (their density is the square root of the second derivative).

    Parameters
    ----------
    low, high : float
        The interval, ``low < high``.
    slope : float
        1 for tanh, 1/2 for the scaled logistic function.
    pieces : int
        Chords left of 0; there are twice as many tangents.
    extra : sequence of float
        Further points at which the polygon touches the function; those outside the interval are left out.

    Returns
    -------
    points, values : ndarray of float64
        Vertices, rising in both; the first and last points are ``low`` and ``high``.

    Examples
    --------
    >>> import numpy as np
    >>> points, values = tanh_overestimator(-2.0, 3.0)
    >>> v = np.linspace(-2, 3, 1001)
    >>> excess = np.interp(v, points, values) - np.tanh(v)
    >>> bool(excess.min() > 0), bool(excess.max() < 0.03)
    (True, True)
    """
    points: list[np.ndarray] = []
    values: list[np.ndarray] = []
    if low < 0:
        knots = _knots(low, min(high, 0.0), slope, pieces, extra)
        points.append(knots)
        values.append(np.tanh(slope * knots))
    if high > 0:
        knots = _knots(max(low, 0.0), high, slope, 2 * pieces, extra)
        touch = np.tanh(slope * knots)
        rise = slope * (1.0 - touch * touch)
        # The height of the higher tangent: the polygon is then above the tangent of each piece wherever the cut falls.
        with np.errstate(divide="ignore", invalid="ignore"):
            cut = (np.diff(touch) + rise[:-1] * knots[:-1] - rise[1:] * knots[1:]) / (rise[:-1] - rise[1:])
        middle = (knots[:-1] + knots[1:]) / 2
        cut = np.clip(np.where(np.isfinite(cut), cut, middle), knots[:-1], knots[1:])
        height = np.maximum(
            touch[:-1] + rise[:-1] * (cut - knots[:-1]), touch[1:] + rise[1:] * (cut - knots[1:])
        )
        start = 1 if points else 0
        points.append(np.concatenate([knots[:1], cut, knots[-1:]])[start:])
        values.append(np.concatenate([touch[:1], height, touch[-1:]])[start:])
    where, height = np.concatenate(points), np.concatenate(values)
    keep = np.append(np.diff(where) > 0, True)
    return where[keep], np.maximum.accumulate(height)[keep] + _LIFT


def _knots(low: float, high: float, slope: float, pieces: int, extra: Sequence[float]) -> np.ndarray:
    """Return breakpoints of about equal error, both ends among them."""
    grid = np.linspace(low, high, _GRID)
    t = np.tanh(slope * grid)
    # The small constant spreads a few knots where the function is flat to rounding.
    density = np.sqrt(np.abs(2 * t * (1 - t * t))) + 1e-6
    mass = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    inner = np.interp(np.linspace(0, mass[-1], pieces + 1)[1:-1], mass, grid)
    # Two knots that all but coincide would make a slope of rounding errors.
    least = 1e-7 * (high - low)
    more = [value for value in extra if low + least < value < high - least]
    knots = np.unique(np.concatenate([[low], inner, more, [high]]))
    return knots[np.append(True, np.diff(knots) > least)]


@dataclass(frozen=True, eq=False)
class FlipProblem:
    """One sample and one target class: which flips bring the gap to the goal.

    Parameters
    ----------
    z : ndarray, shape (n_hidden,)
        Hidden sums of the sample.
    steps : ndarray, shape (n_free, n_hidden)
        What each flip that may be made adds to them.
    output : ndarray, shape (n_hidden,)
        u, the output weights of the target minus those of the label.
    constant : float
        ``c_t - c_y``.
    costs : ndarray, shape (n_free,)
        Cost of each flip.
    activation, tie, slope
        As in :class:`scinn.robustness.margins.Margins`.
    resting : ndarray, shape (n_hidden,)
        ``f(z)``, exact for sign neurons: the value of neurons that no flip moves.
    lattices : list of (float, float)
        Step and offset of the values of each z; step 0 for none.
    goal : float
        The gap to reach.
    goal_slack : float
        By how much the goal may be missed in the model: a share of the lattice step, or a bound of rounding.
    hidden_error : ndarray, shape (n_hidden,)
        Bounds of the rounding errors of z.
    """

    z: np.ndarray
    steps: np.ndarray
    output: np.ndarray
    constant: float
    costs: np.ndarray
    activation: str
    tie: int
    slope: float
    resting: np.ndarray
    lattices: list[tuple[float, float]]
    goal: float
    goal_slack: float
    hidden_error: np.ndarray

    def ranges(self, budget: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the least and the largest z of each neuron within a budget, widened by rounding errors."""
        pad = 4 * self.hidden_error
        low = self.z - _most(-self.steps, self.costs, budget)
        high = self.z + _most(self.steps, self.costs, budget)
        pad = pad + _RELAX * (high - low)
        return low - pad, high + pad


def flip_problem(
    margins: Margins, signs: np.ndarray, label: int, target: int, allowed: np.ndarray, costs: np.ndarray
) -> tuple[FlipProblem, np.ndarray]:
    """Return the problem of one sample and target, and the features whose flips it has variables for.

    Flips that move no neuron to the attacker's side are left out: without them the gap is no smaller.
    """
    u = margins.output[:, target] - margins.output[:, label]
    steps = -2.0 * signs[:, None] * margins.weights
    free = np.flatnonzero(allowed & ((steps > 0) & (u > 0) | (steps < 0) & (u < 0)).any(axis=1))
    z = margins.hidden(signs[None, :])[0]
    resting = activate(z, margins.activation, margins.tie)
    if margins.activation == "sign" and (np.abs(z) <= margins.hidden_error).any():
        exact = margins.exact_hidden(signs)
        resting = np.array([margins.tie if value == 0 else 1.0 if value > 0 else -1.0 for value in exact])
    goal, step = margins.least_gap(label, target)
    problem = FlipProblem(
        z=z,
        steps=steps[free],
        output=u,
        constant=float(margins.output_bias[target] - margins.output_bias[label]),
        costs=costs[free],
        activation=margins.activation,
        tie=margins.tie,
        slope=margins.slope,
        resting=resting,
        lattices=[(float(grid), float(offset)) for grid, offset in margins.lattices],
        goal=goal,
        goal_slack=step / 4 if step else 4 * float(margins.gap_error(label)[target]),
        hidden_error=margins.hidden_error,
    )
    return problem, free


def _most(gains: np.ndarray, costs: np.ndarray, budget: float) -> np.ndarray:
    """Return for each column the largest sum of positive gains within a budget, flips being divisible."""
    gains = np.maximum(gains, 0.0)
    order = np.argsort(-gains / costs[:, None], axis=0, kind="stable")
    price = costs[order]
    share = np.clip((budget - (np.cumsum(price, axis=0) - price)) / price, 0.0, 1.0)
    return (np.take_along_axis(gains, order, axis=0) * share).sum(axis=0)


class Solution(NamedTuple):
    """What the solver found.

    Parameters
    ----------
    kind : {"none", "found", "undecided"}
        No flips within the budget reach the goal; flips that do so in the model; neither by the time limit.
    flips : ndarray of int
        Positions among the free flips.
    cost_bound : float
        No flips that reach the goal cost less; of use when the cheapest ones are sought.
    proven : bool
        Whether the flips found are the cheapest ones of the model.
    """

    kind: str
    flips: np.ndarray
    cost_bound: float
    proven: bool


class _Model:
    """Rows and columns of a mixed-integer program, collected."""

    def __init__(self, n_flips: int) -> None:
        self.n_columns = n_flips
        self.integer = [np.ones(n_flips)]
        self.rows: list[tuple[np.ndarray, np.ndarray]] = []
        self.low: list[float] = []
        self.high: list[float] = []
        self.gap: list[tuple[np.ndarray, np.ndarray]] = []
        self.gap_constant = 0.0

    def columns(self, n: int, *, integer: bool) -> np.ndarray:
        """Add n variables between 0 and 1."""
        first = self.n_columns
        self.n_columns += n
        self.integer.append(np.full(n, float(integer)))
        return np.arange(first, first + n)

    def row(
        self, columns: np.ndarray, values: np.ndarray, low: float = -np.inf, high: float = np.inf
    ) -> None:
        # Scaled, so that the solver's absolute tolerances mean the same for large and small weights.
        scale = float(np.abs(values).max(initial=0.0)) or 1.0
        self.rows.append((columns, values / scale))
        self.low.append(low / scale)
        self.high.append(high / scale)

    def contribute(self, columns: np.ndarray, values: np.ndarray, constant: float) -> None:
        self.gap.append((columns, values))
        self.gap_constant += constant

    def matrix(self) -> sparse.csr_array:
        counts = [len(columns) for columns, _ in self.rows]
        data = np.concatenate([values for _, values in self.rows])
        indices = np.concatenate([columns for columns, _ in self.rows])
        indptr = np.concatenate([[0], np.cumsum(counts)])
        return sparse.csr_array((data, indices, indptr), shape=(len(counts), self.n_columns))


def _add_polygon(
    model: _Model,
    steps: np.ndarray,
    start: float,
    weight: float,
    points: np.ndarray,
    values: np.ndarray,
) -> None:
    """Add ``weight * polygon(v)`` to the gap, ``v = start + steps f``; a binary where the slope rises."""
    lengths, rises = np.diff(points), np.diff(values)
    parts = model.columns(len(lengths), integer=False)
    moving = np.flatnonzero(steps)
    offset = float(points[0]) - start
    model.row(np.append(moving, parts), np.append(steps[moving], -lengths), offset, offset)
    model.contribute(parts, weight * rises, weight * float(values[0]))
    slopes = rises / lengths
    turns = np.flatnonzero(slopes[1:] > slopes[:-1])
    runs = np.split(parts, turns + 1)
    for before, after in pairwise(runs):
        # Within a run of falling slopes the solver fills the pieces in order by itself.
        switch = model.columns(1, integer=True)
        for part in before:
            model.row(np.append(switch, part), np.array([-1.0, 1.0]), low=0.0)
        for part in after:
            model.row(np.append(switch, part), np.array([1.0, -1.0]), low=0.0)


def _add_jumps(model: _Model, problem: FlipProblem, h: int, low: float, high: float) -> None:
    """Add a sign neuron: each jump of its value needs v at its threshold or beyond."""
    side = 1.0 if problem.output[h] > 0 else -1.0
    weight = abs(float(problem.output[h]))
    tie = int(side) * problem.tie
    step, offset = problem.lattices[h]
    offset = offset if side > 0 or not step else (-offset) % step
    relax = step / 4 if step else 4 * float(problem.hidden_error[h]) + _RELAX * (high - low)
    at_least = offset if step else 0.0
    beyond = (offset if offset > 0 else step) if step else 0.0
    jumps = [(at_least, 1.0), (beyond, 1.0)] if tie == 0 else [(at_least if tie > 0 else beyond, 2.0)]
    steps = side * problem.steps[:, h]
    moving = np.flatnonzero(steps)
    start = side * float(problem.z[h])
    constant = -1.0
    for threshold, size in jumps:
        threshold -= relax
        if threshold <= low:
            constant += size
        elif threshold <= high:
            switch = model.columns(1, integer=True)
            model.row(np.append(moving, switch), np.append(steps[moving], low - threshold), low=low - start)
            model.contribute(switch, np.array([weight * size]), 0.0)
    model.gap_constant += weight * constant


def _add_neuron(
    model: _Model, problem: FlipProblem, h: int, low: float, high: float, pieces: int, touch: Sequence[float]
) -> None:
    weight = float(problem.output[h])
    if weight == 0.0:
        return
    if not problem.steps[:, h].any():
        model.gap_constant += weight * float(problem.resting[h])
        return
    side = 1.0 if weight > 0 else -1.0
    low, high = (low, high) if side > 0 else (-high, -low)
    if problem.activation == "sign":
        _add_jumps(model, problem, h, low, high)
        return
    if problem.activation == "relu":
        points = np.array([low, 0.0, high]) if low < 0 < high else np.array([low, high])
        values = side * np.maximum(side * points, 0.0)
    else:
        points, values = tanh_overestimator(
            low, high, slope=problem.slope, pieces=pieces, extra=[side * value for value in touch]
        )
    _add_polygon(model, side * problem.steps[:, h], side * float(problem.z[h]), abs(weight), points, values)


def solve_flips(
    problem: FlipProblem,
    *,
    budget: float,
    floor: float = 0.0,
    cheapest: bool = False,
    excluded: Sequence[np.ndarray] = (),
    touch: Sequence[np.ndarray] = (),
    pieces: int = 6,
    time_limit: float = 60.0,
) -> Solution:
    """Look for flips that cost between ``floor`` and ``budget`` and whose estimated gap reaches the goal.

    Parameters
    ----------
    problem : FlipProblem
    budget, floor : float
        Limits of the cost; the caller widens them by what rounding may do to sums of costs.
    cheapest : bool
        Whether to look for the cheapest ones; else any will do.
    excluded : sequence of ndarray of int
        Sets of flips known not to evade.
    touch : sequence of ndarray, shape (n_hidden,)
        Values of z at which estimates of tanh are to be exact.
    pieces : int
        Chords on the convex side of tanh.
    time_limit : float
        Seconds.

    Returns
    -------
    Solution
    """
    n_free = len(problem.costs)
    if not n_free:
        # The sample itself is known not to evade.
        return Solution("none", np.zeros(0, dtype=np.int64), np.inf, True)
    model = _Model(n_free)
    low, high = problem.ranges(budget)
    for h in range(len(problem.z)):
        near = [float(z[h]) for z in touch]
        _add_neuron(model, problem, h, float(low[h]), float(high[h]), pieces, near)
    everything = np.arange(n_free)
    model.row(everything, problem.costs, floor, budget)
    for flips in excluded:
        values = np.ones(n_free)
        values[flips] = -1.0
        model.row(everything, values, low=1.0 - len(flips))
    columns = np.concatenate([np.zeros(0, np.int64), *(part for part, _ in model.gap)])
    values = np.concatenate([np.zeros(0), *(part for _, part in model.gap)])
    constant = problem.constant + model.gap_constant
    size = abs(constant) + float(np.abs(values).sum())
    goal = problem.goal - problem.goal_slack - _RELAX * size - constant
    if not columns.size:
        # No neuron moves, or every one is settled: the gap is known.
        if goal > 0:
            return Solution("none", everything[:0], np.inf, True)
    else:
        model.row(columns, values, low=goal)
    objective = np.zeros(model.n_columns)
    if cheapest or not columns.size:
        objective[:n_free] = problem.costs / problem.costs.max(initial=1.0)
    else:
        objective[columns] = -values / np.abs(values).max()
    return _run(model, objective, problem.costs, cheapest, time_limit)


def _run(
    model: _Model, objective: np.ndarray, costs: np.ndarray, cheapest: bool, time_limit: float
) -> Solution:
    n_free = len(costs)
    nothing = np.zeros(0, dtype=np.int64)
    result = None
    for presolve in (True, False):
        result = milp(
            objective,
            integrality=np.concatenate(model.integer),
            bounds=Bounds(np.zeros(model.n_columns), np.ones(model.n_columns)),
            constraints=LinearConstraint(model.matrix(), np.array(model.low), np.array(model.high)),
            options={
                "time_limit": time_limit,
                "mip_rel_gap": 0.0 if cheapest else 1e9,
                "presolve": presolve,
            },
        )
        # Status 4 is "infeasible or unbounded" and the like, which goes away without presolve.
        if result.status != 4:
            break
    assert result is not None
    if result.status == 2:
        return Solution("none", nothing, np.inf, True)
    bound = 0.0
    if cheapest and result.mip_dual_bound is not None and np.isfinite(result.mip_dual_bound):
        bound = max(0.0, float(result.mip_dual_bound) * float(costs.max(initial=1.0)))
    if result.x is None:
        return Solution("undecided", nothing, bound, False)
    flips = np.flatnonzero(result.x[:n_free] > 0.5)
    return Solution("found", flips, bound, result.status == 0)

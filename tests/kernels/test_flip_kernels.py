"""Flips of binary features and projections onto l1 balls: kernels against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scinn.reference as reference
from scinn.kernels import flips, l1_ball

KINDS = {"sign": flips.SIGN, "tanh": flips.TANH, "scaled_logistic": flips.TANH, "relu": flips.RELU}
SEEDS = st.integers(0, 2**32 - 1)
FLOATS = st.sampled_from([np.float32, np.float64])
SAMPLES = st.sampled_from([0, 1, 3])
FEATURES = st.sampled_from([0, 1, 2, 7, 16, 17, 33])
HIDDEN = st.sampled_from([0, 1, 2, 5, 17])
CLASSES = st.sampled_from([2, 3, 5])
# Piecewise linear activations with weights of few bits: every sum is exact, so that ties are ties in any order of adding.
# A smooth one has no ties, but needs double precision, so that rounding does not decide.
CASES = st.sampled_from(
    [("sign", np.float32), ("sign", np.float64), ("relu", np.float32), ("tanh", np.float64), ("scaled_logistic", np.float64)]
)  # fmt: skip


def frozen(array):
    array.flags.writeable = False
    return array


class Case:
    """Random samples, a network, and limits, as kernels and as definitions take them."""

    def __init__(self, seed, m, n, n_hidden, n_classes, case, unit_costs=False):
        activation, dtype = case
        rng = np.random.default_rng(seed)
        exact = activation in ("sign", "relu")
        draw = (
            (lambda *shape: rng.integers(-8, 9, shape) / 4)
            if exact
            else (lambda *shape: rng.standard_normal(shape))
        )
        w, b, v, c = draw(n, n_hidden), draw(n_hidden), draw(n_hidden, n_classes), draw(n_classes) / 2
        # Deep in saturation the definition, a difference of logits, loses all digits, and kernels do not.
        w = w if exact else w / max(1, n) ** 0.5
        w, b, v, c = (array.astype(dtype) for array in (w, b, v, c))
        tie = int(rng.integers(-1, 2))
        self.logits = reference.flips.network_logits(w, b, v, c, activation, tie)
        self.signs = rng.choice(np.array([-1, 1], dtype=np.int8), (m, n))
        slope = dtype(0.5 if activation == "scaled_logistic" else 1.0)
        self.z = (self.signs.astype(dtype) @ w + b) * slope
        weights = np.ascontiguousarray(w.T) * slope
        self.network = (weights, frozen(v), frozen(c), KINDS[activation], tie)
        values = self.logits(self.signs)
        self.labels = np.where(rng.random(m) < 0.9, values.argmax(axis=1), 0)
        values[np.arange(m), self.labels] = -np.inf
        self.targets = values.argmax(axis=1)
        costs = np.ones(n) if unit_costs else rng.integers(1, 5, n) / 2
        self.limits = (frozen(rng.random(n) < 0.8), frozen(rng.random(n) < 0.8), frozen(costs))
        self.order = np.full((m, n), -1, dtype=np.int32)
        self.n_flips = np.zeros(m, dtype=np.int64)
        self.changed = self.signs.copy()

    def check(self, s, want):
        """Hold the kernel's answer for sample s against a list of flips or None."""
        count = int(self.n_flips[s])
        got = None if count < 0 else self.order[s, :count].tolist()
        assert got == want
        if want is not None:
            expected = self.signs[s].copy()
            expected[want] *= -1
            assert self.changed[s].tolist() == expected.tolist()
            assert (self.order[s, count:] == -1).all()


@given(
    m=SAMPLES, n=FEATURES, n_hidden=HIDDEN, n_classes=CLASSES, case=CASES, most=st.integers(0, 40), seed=SEEDS
)
def test_jsma(m, n, n_hidden, n_classes, case, most, seed):
    problem = Case(seed, m, n, n_hidden, n_classes, case)
    most = min(most, n)
    flips.jsma(
        problem.changed, problem.z, problem.network, problem.labels, problem.targets, problem.limits, most,
        problem.order, problem.n_flips,
    )  # fmt: skip
    for s in range(m):
        want = reference.flips.jsma(
            problem.logits,
            problem.signs[s],
            int(problem.labels[s]),
            int(problem.targets[s]),
            *problem.limits,
            most,
        )
        problem.check(s, want)


@given(
    m=SAMPLES, n=FEATURES, n_hidden=HIDDEN, n_classes=CLASSES, case=CASES, most=st.integers(0, 40),
    prune=st.booleans(), seed=SEEDS,
)  # fmt: skip
def test_greedy_flips(m, n, n_hidden, n_classes, case, most, prune, seed):
    problem = Case(seed, m, n, n_hidden, n_classes, case)
    most = min(most, n)
    flips.greedy_flips(
        problem.changed, problem.z, problem.network, problem.labels, problem.limits, most, prune, problem.order,
        problem.n_flips,
    )  # fmt: skip
    for s in range(m):
        want = reference.flips.greedy_flips(
            problem.logits, problem.signs[s], int(problem.labels[s]), *problem.limits, most, prune
        )
        problem.check(s, want)


@given(
    m=st.sampled_from([0, 2]), n=st.sampled_from([0, 1, 2, 7, 11]), n_hidden=st.sampled_from([1, 2, 5]),
    n_classes=CLASSES, case=CASES, most=st.integers(1, 5), unit_costs=st.booleans(), seed=SEEDS,
)  # fmt: skip
def test_exhaustive_flips(m, n, n_hidden, n_classes, case, most, unit_costs, seed):
    problem = Case(seed, m, n, n_hidden, n_classes, case, unit_costs)
    # What is misclassified already is not given to this kernel.
    keep = problem.logits(problem.signs).argmax(axis=1) == problem.labels
    bound = np.zeros(m, dtype=np.int64)
    flips.exhaustive_flips(
        problem.changed, problem.z, problem.network, problem.labels, problem.limits, most, 2**62, problem.order,
        problem.n_flips, bound,
    )  # fmt: skip
    for s in np.flatnonzero(keep):
        want, wanted_bound = reference.flips.exhaustive_flips(
            problem.logits, problem.signs[s], int(problem.labels[s]), *problem.limits, most
        )
        problem.check(s, want)
        assert bound[s] == wanted_bound


def test_a_search_that_ends_early_says_what_it_has_excluded():
    # Neurons that disagree: the bound of single neurons excludes little, so that the search is long.
    problem = Case(2, 1, 17, 9, 2, ("tanh", np.float64), unit_costs=True)
    label = int(problem.logits(problem.signs).argmax())
    weights, output, bias, kind, tie = problem.network
    shift = 3.0 * (np.arange(2) == label)
    network, labels = (weights, output, frozen(bias + shift), kind, tie), np.array([label])
    free = frozen(np.ones(17, bool))
    limits = (free, free, frozen(np.ones(17)))
    want, bound = reference.flips.exhaustive_flips(
        lambda x: problem.logits(x) + shift, problem.signs[0], label, *limits, 4
    )
    assert want is not None
    assert bound == len(want) == 4
    seen = []
    for nodes in (1, 5, 25, 60, 200, 10**9):
        order, n_flips, found = np.full((1, 17), -1, np.int32), np.zeros(1, np.int64), np.zeros(1, np.int64)
        flips.exhaustive_flips(
            problem.signs.copy(), problem.z, network, labels, limits, 4, nodes, order, n_flips, found
        )
        assert n_flips[0] == (4 if nodes == 10**9 else -1) or order[0, :4].tolist() == want
        seen.append(int(found[0]))
    assert seen == sorted(seen)
    assert seen[0] < 4
    assert seen[-1] == 4
    assert order[0, :4].tolist() == want


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", list(KINDS))
@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0, 60.0])
def test_changes_of_logits_by_single_flips(dtype, activation, scale):
    # The large scales leave the range of the exponentials and saturate neurons.
    rng = np.random.default_rng(int(scale * 10))
    n, n_hidden = 41, 7
    for n_rows in (2, 3):
        w, v = (
            (scale * rng.standard_normal((n, n_hidden))).astype(dtype),
            rng.standard_normal((n_hidden, n_rows)),
        )
        v, x = v.astype(dtype), rng.choice(np.array([-1, 1], dtype), n)
        slope = dtype(0.5 if activation == "scaled_logistic" else 1.0)
        b = (scale * rng.standard_normal(n_hidden)).astype(dtype)
        logits = reference.flips.network_logits(w, b, v, np.zeros(n_rows), activation, 0)
        flipped = np.repeat(x[None, :], n, axis=0)
        np.fill_diagonal(flipped, -x)
        want = (logits(flipped) - logits(x[None, :])).T
        weights, kind = np.ascontiguousarray(w.T) * slope, KINDS[activation]
        factors, largest = np.empty_like(weights), np.empty(n_hidden, dtype)
        flips._largest(weights, 0, n, largest)
        if kind == flips.TANH:
            with np.errstate(over="ignore"):
                flips._fill_factors(x, weights, factors)
        changes = np.full((n_rows, n), np.nan, dtype)
        flips._changes((x @ w + b) * slope, x, weights, factors, largest, v, kind, 0, 0, changes)
        size = 20 * scale if activation == "relu" else 2
        np.testing.assert_allclose(changes, want, rtol=0, atol=100 * np.finfo(dtype).eps * size * (1 + scale))
        again = np.full((n_rows, n), np.nan, dtype)
        flips._changes((x @ w + b) * slope, x, weights, factors, largest, v, kind, 0, 30, again)
        assert np.isnan(again[:, :30]).all()
        assert again[:, 30:].tobytes() == changes[:, 30:].tobytes()


def test_small_changes_of_tanh_keep_their_relative_precision():
    weights, z = np.full((1, 1), 1e-3, np.float32), np.full(1, 6.0, np.float32)
    x, factors = np.ones(1, np.float32), np.empty((1, 1), np.float32)
    flips._fill_factors(x, weights, factors)
    changes = np.empty((2, 1), np.float32)
    flips._changes(
        z, x, weights, factors, weights[:, 0].copy(), np.ones((1, 2), np.float32), flips.TANH, 1, 0, changes
    )
    want = np.tanh(6.0 - 2 * float(weights[0, 0])) - np.tanh(6.0)
    np.testing.assert_allclose(changes, want, rtol=1e-3)


@given(
    m=st.sampled_from([0, 1, 5]), n=st.sampled_from([0, 1, 2, 7, 16, 17, 65, 257]), dtype=FLOATS,
    radius=st.sampled_from([0.0, 1e-3, 1.0, 10.0, 1e6, np.inf]), equal=st.booleans(), seed=SEEDS,
)  # fmt: skip
def test_projection_onto_the_l1_ball(m, n, dtype, radius, equal, seed):
    rng = np.random.default_rng(seed)
    points = (np.ones((m, n)) if equal else rng.standard_normal((m, n))).astype(dtype)
    radii = radius * rng.random(m) if np.isfinite(radius) else np.full(m, radius)
    out = np.full((m, n), np.nan, dtype)
    l1_ball.project_rows(points, radii, out)
    want = reference.l1_ball.project_rows(points, radii)
    np.testing.assert_allclose(out, want, rtol=0, atol=20 * np.finfo(dtype).eps * max(1, n) ** 0.5)
    # What is left over is a rounding of the numbers that the threshold is taken from.
    slack = 4 * np.finfo(dtype).eps * np.abs(points).sum(axis=1, dtype=np.float64)
    assert (np.abs(out).sum(axis=1, dtype=np.float64) <= radii + slack).all()


def test_a_point_within_the_ball_stays_as_it_is():
    points = np.array([[0.25, -0.5], [3.0, 4.0]])
    out = np.empty_like(points)
    l1_ball.project_rows(points, np.array([0.75, np.inf]), out)
    assert out.tobytes() == points.tobytes()

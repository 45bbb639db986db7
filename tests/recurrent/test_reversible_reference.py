"""The reference of reversible networks keeps the paper's promises, and naive reversal breaks them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scinn.reference.reversible_rnn import (
    Buffer,
    Cell,
    Drop,
    FloorDigit,
    Real,
    gradients,
    inverse_step,
    step,
    unroll,
    unroll_back,
)

KINDS = ["gru", "lstm"]
ARRAYS = {"gru": 2, "lstm": 4}
COLUMNS = {"gru": 6, "lstm": 10}
RULES = ["drift_free", "compat", "no_forgetting"]
EXACT: list[Any] = [Buffer, FloorDigit]
SEEDS = st.integers(0, 2**32 - 1)
STATES = st.integers(-(2**31), 2**31 - 1) | st.sampled_from([0, -1, -1023, -1024, -1025, 1023, 1024])


def build(kind: str, n_in: int, n: int, seed: int = 0, dtype: Any = np.float64, **options: Any) -> Cell:
    rng, width = np.random.default_rng(seed), COLUMNS[kind] * n
    weight_x, weight_h = 0.5 * rng.normal(size=(n_in, width)), 0.5 * rng.normal(size=(n, width))
    bias = rng.normal(size=width)
    return Cell(kind, weight_x.astype(dtype), weight_h.astype(dtype), bias.astype(dtype), **options)


def first_state(cells: list[Cell], n_rows: int, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return tuple(
        tuple(rng.integers(-(2**23), 2**23, (n_rows, cell.n)) for _ in range(ARRAYS[cell.kind]))
        for cell in cells
    )


def as_values(state: Any, dtype: Any = np.float64) -> Any:
    return tuple(tuple((array / 2**23).astype(dtype) for array in layer) for layer in state)


def largest_difference(a: Any, b: Any) -> float:
    pairs = [pair for parts in zip(a, b, strict=True) for pair in zip(*parts, strict=True)]
    return max(float(np.abs(one - other).max()) for one, other in pairs)


@given(h=STATES, z=st.integers(1, 1024), held=st.integers(0, 2**53))
def test_multiplication_is_undone(h: int, z: int, held: int) -> None:
    buffer = Buffer(1)
    buffer.buffers[0] = held
    new = buffer.multiply(0, h, z)
    assert 0 <= new - h // 1024 * z < z
    assert abs(new / 2**23 - z / 1024 * h / 2**23) < 2**-13
    assert buffer.divide(0, new, z) == h
    assert buffer.buffers == [held]

    digits = FloorDigit(1)
    new = digits.multiply(0, h, z)
    assert new == math.floor(h * z / 1024)
    assert digits.divide(0, new, z) == h
    assert digits.is_empty


@given(h=STATES, held=st.integers(0, 2**53))
def test_a_gate_of_one_changes_nothing(h: int, held: int) -> None:
    buffer = Buffer(1)
    buffer.buffers[0] = held
    assert buffer.multiply(0, h, 1024) == h
    assert buffer.buffers == [held]


@pytest.mark.parametrize("j", range(11))
def test_powers_of_two_store_whole_bits(j: int) -> None:
    # With every low bit set, each division drops 10 - j bits, all of them ones.
    buffer, n_steps = Buffer(1), 20
    for _ in range(n_steps):
        buffer.multiply(0, (1 << 23) - 1, 1 << j)
    assert buffer.buffers[0].bit_length() == n_steps * (10 - j)


@given(seed=SEEDS, n_steps=st.integers(1, 60))
def test_a_buffer_grows_by_the_bits_that_are_forgotten(seed: int, n_steps: int) -> None:
    rng, buffer, bits = np.random.default_rng(seed), Buffer(1), 0.0
    for _ in range(n_steps):
        z = int(rng.integers(1, 1025))
        buffer.multiply(0, int(rng.integers(-(2**31), 2**31)), z)
        bits -= math.log2(z / 1024)
    assert math.log2(buffer.buffers[0] + 1) <= bits + math.log2(n_steps + 1) + 1e-9


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("arithmetic", EXACT)
@given(
    n=st.sampled_from([1, 2, 3]),
    n_layers=st.integers(1, 2),
    n_steps=st.integers(1, 12),
    bits=st.sampled_from([1.0, 2.0, 3.0, 5.0, None]),
    rule=st.sampled_from(RULES),
    masked=st.booleans(),
    seed=SEEDS,
)
def test_every_state_comes_back(
    kind: str,
    arithmetic: Any,
    n: int,
    n_layers: int,
    n_steps: int,
    bits: Any,
    rule: str,
    masked: bool,
    seed: int,
) -> None:
    cells = [
        build(kind, 2 * n if layer else 2, n, (seed + layer) % 1000, max_forget_bits=bits, rule=rule)
        for layer in range(n_layers)
    ]
    rng = np.random.default_rng(seed)
    x, lengths = rng.normal(size=(n_steps, 2, 2)), rng.integers(0, n_steps + 1, 2) if masked else None
    state = first_state(cells, 2, seed)
    outputs, last, memory = unroll(cells, x, state, arithmetic, lengths)
    if rule == "no_forgetting" and arithmetic is Buffer:
        assert all(own.is_empty for row in memory for own in row)
    np.testing.assert_array_equal(outputs[-1], np.hstack(last[-1][:2]) / 2**23)
    back = unroll_back(cells, x, last, memory, lengths)
    assert largest_difference(back, state) == 0
    if arithmetic is Buffer:
        assert all(own.is_empty for row in memory for own in row)


@pytest.mark.parametrize("kind", KINDS)
def test_states_on_the_way_come_back_too(kind: str) -> None:
    cell, rng = build(kind, 2, 3), np.random.default_rng(1)
    buffer, xs = Buffer(3), rng.normal(size=(30, 2))
    states = [[list(array[0]) for array in first_state([cell], 1)[0]]]
    for x in xs:
        states.append(step(cell, x, states[-1], buffer))
    for t in reversed(range(30)):
        assert inverse_step(cell, xs[t], states[t + 1], buffer) == states[t]


@pytest.mark.parametrize("kind", KINDS)
def test_dividing_floats_by_the_gate_does_not_undo_a_step(kind: str) -> None:
    """In real numbers it does: errors begin with one rounding and grow with every step."""
    n, n_steps = 8, 30
    x = np.random.default_rng(9).normal(size=(n_steps, 1, 3))
    state = first_state([build(kind, 3, n)], 1)

    def error(dtype: Any, n_steps: int) -> float:
        cells, first = [build(kind, 3, n, dtype=dtype)], as_values(state, dtype)
        with np.errstate(over="ignore"):
            _, last, memory = unroll(cells, x[:n_steps].astype(dtype), first, Real)
            back = unroll_back(cells, x[:n_steps].astype(dtype), last, memory)
        assert back[0][0].dtype == dtype
        return largest_difference(back, first)

    assert error(np.float32, 1) < 1e-5
    assert error(np.float32, 10) > 1e-3
    assert error(np.float32, 15) > 1
    assert error(np.float64, 5) < 1e-9
    assert error(np.float64, n_steps) > 1
    _, last, memory = unroll([build(kind, 3, n)], x, state, Buffer)
    assert largest_difference(unroll_back([build(kind, 3, n)], x, last, memory), state) == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rule", RULES)
def test_fixed_point_stays_near_real_numbers(kind: str, rule: str) -> None:
    cells = [build(kind, 2, 3, rule=rule), build(kind, 6, 4, 1, rule=rule)]
    x, state = np.random.default_rng(2).normal(size=(20, 2, 2)), first_state(cells, 2)
    exact, *_ = unroll(cells, x, as_values(state), Real)
    for arithmetic in (Buffer, FloorDigit, Drop):
        outputs, *_ = unroll(cells, x, state, arithmetic)
        # Hidden or lost digits are below 2^-13 in each step, half a unit of a gate's integer moves h by 2^-11.
        assert np.abs(outputs - exact).max() < 0.02
        assert (outputs != exact).any()


def test_dropped_bits_do_not_come_back() -> None:
    cell = build("gru", 2, 3)
    _, last, memory = unroll([cell], np.ones((1, 1, 2)), first_state([cell], 1), Drop)
    with pytest.raises(RuntimeError, match="dropped"):
        unroll_back([cell], np.ones((1, 1, 2)), last, memory)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_one_unit_of_a_gru_by_hand() -> None:
    """Every column and row of the weights in its place; half 2 reads the new half 1."""
    w, u, b = (
        np.array([[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]]),
        np.array([[0.7, -0.8, 0.9, 1.0, -1.1, 1.2]]),
        np.arange(6) / 9,
    )
    x, h = 0.3, [0.5, -0.25]
    new = step(Cell("gru", w, u, b), np.array([x]), [[h[0]], [h[1]]], Real(1))
    for half in (0, 1):
        other = h[1 - half]
        z, r, g = (x * w[0, k] + b[k] for k in range(3 * half, 3 * half + 3))
        z = 0.125 + 0.875 * sigmoid(z + u[0, 3 * half] * other)
        r = sigmoid(r + u[0, 3 * half + 1] * other)
        g = math.tanh(g + u[0, 3 * half + 2] * r * other)
        h[half] = z * h[half] + (1 - z) * g
        assert new[half][0] == pytest.approx(h[half], abs=1e-15)


def test_one_unit_of_an_lstm_by_hand() -> None:
    w, u = np.linspace(-1, 1, 10)[None], np.linspace(1, -0.7, 10)[None]
    b, x, h, c = np.linspace(0, 0.8, 10), 0.3, [0.5, -0.25], [1.5, 0.125]
    cell = Cell("lstm", w, u, b, max_forget_bits=2, bounded=4)
    new = step(cell, np.array([x]), [[h[0]], [h[1]], [c[0]], [c[1]]], Real(1))
    for half in (0, 1):
        z, g, f, o, p = (x * w[0, k] + u[0, k] * h[1 - half] + b[k] for k in range(5 * half, 5 * half + 5))
        z, p = (0.25 + (1 - 0.25 - 0.0625) * sigmoid(gate) for gate in (z, p))
        c[half] = z * c[half] + sigmoid(f) * math.tanh(g)
        h[half] = p * h[half] + sigmoid(o) * math.tanh(c[half])
        assert new[half][0] == pytest.approx(h[half], abs=1e-15)
        assert new[2 + half][0] == pytest.approx(c[half], abs=1e-15)


def test_the_papers_update_drifts_where_a_gate_is_rounded_to_one() -> None:
    """The state grows beyond what one candidate can reach; an update weighed by the rounded gate keeps it there."""
    # The gate lies above 1023.5 / 1024, so that its integer is 1024; the candidate is 1.
    bias = np.array([math.log(1 / 4.6e-4), 0.0, 20.0] * 2)
    sizes = {}
    for rule in ("drift_free", "compat"):
        cell = Cell("gru", np.zeros((1, 6)), np.zeros((1, 6)), bias, max_forget_bits=None, rule=rule)
        _, last, _ = unroll([cell], np.zeros((4000, 1, 1)), ((np.zeros((1, 1)),) * 2,), Drop)
        sizes[rule] = float(np.abs(last[0]).max()) / 2**23
    assert sizes["drift_free"] == 0
    assert sizes["compat"] > 1.13


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_rows_that_end_before_they_begin(kind: str) -> None:
    """A row of length 0 hands the gradient of every step on to its first state, and gives none to the weights."""
    cells, rng = [build(kind, 2, 2)], np.random.default_rng(3)
    x, state, weights = (
        rng.normal(size=(3, 2, 2)),
        as_values(first_state(cells, 2)),
        rng.normal(size=(3, 2, 4)),
    )
    both = gradients(cells, x, state, weights, [3, 0])
    alone = gradients(cells, x[:, :1], tuple(tuple(a[:1] for a in part) for part in state), weights[:, :1])
    for name in ("weight_x0", "weight_h0", "bias0"):
        np.testing.assert_allclose(both[name], alone[name], rtol=0, atol=1e-8)
    np.testing.assert_allclose(both["x"][:, 1], 0, atol=1e-9)
    np.testing.assert_allclose(both["state0.0"][1], weights[:, 1, :2].sum(axis=0), rtol=0, atol=1e-8)

"""Gates of reversible cells: the reference's numbers, the same bits everywhere, gradients of what was computed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scinn.kernels import elementary
from scinn.kernels import reversible_cells as kernels
from scinn.reference import reversible_cells as reference

DTYPES = [np.float32, np.float64]
ROWS = st.sampled_from([0, 1, 2, 3, 7])
UNITS = st.sampled_from([0, 1, 2, 3, 5, 8, 13, 16, 17, 31, 33, 64, 67])
SEEDS = st.integers(0, 2**32 - 1)
RULES = st.sampled_from([0, 1, 2])
# Limits of 1, 2, 3, 5 and no bits, of a number that float32 rounds, and bounded gates.
LIMITS = st.sampled_from(
    [(2.0**-k, 1 - 2.0**-k) for k in (1, 2, 3, 5, 2.5)] + [(0.0, 1.0), (0.125, 0.875 - 2.0**-4)]
)


class Draw:
    """Arrays of one example, with a few numbers that saturate every gate."""

    def __init__(self, dtype, seed, scale=2.0):
        self.rng, self.dtype, self.scale = np.random.default_rng(seed), dtype, scale

    def __call__(self, *shape):
        values = self.scale * self.rng.normal(size=shape)
        values[self.rng.random(shape) < 0.05] *= 40
        return values.astype(self.dtype)

    def unit(self, *shape):
        return self.rng.random(shape).astype(self.dtype)

    def alive(self, n_rows):
        return self.rng.random(n_rows) < 0.7

    def empty(self, *shape, dtype=None):
        """Return an array full of what nobody may leave there."""
        if dtype is None:
            return np.full(shape, np.nan, dtype=self.dtype)
        return np.full(shape, 12345, dtype=dtype)


def close(got, want, ulps=16, size=1.0):
    """Compare numbers of about ``size`` with the reference."""
    np.testing.assert_allclose(
        got, want, rtol=ulps * np.finfo(got.dtype).eps, atol=ulps * size * np.finfo(got.dtype).eps
    )


def integers_agree(z, want, keep_exact):
    """Integers may differ by one, where the exact number lies in the middle."""
    difference = np.abs(z.astype(np.int64) - want)
    assert difference.max(initial=0) <= 1
    middle = np.abs((1024 * keep_exact) % 1 - 0.5) < 1e-3
    assert not (difference[~middle]).any()


def updates_agree(update, want, dtype):
    # The last place of a float32 below 1 is half a unit of the state.
    slack = 8 if dtype == np.float32 else 1
    assert np.abs(update.astype(np.int64) - want).max(initial=0) <= slack


@pytest.mark.parametrize("dtype", DTYPES)
@given(n_rows=ROWS, n=UNITS, limits=LIMITS, rule=RULES, real=st.booleans(), seed=SEEDS)
def test_gru_gates_and_candidate(dtype, n_rows, n, limits, rule, real, seed):
    draw = Draw(dtype, seed)
    px, u, v, other = draw(n_rows, 3 * n), draw(n_rows, 2 * n), draw(n_rows, n), draw(n_rows, n)
    s, r, keep, reset, g = (draw.empty(n_rows, n) for _ in range(5))
    z, update = draw.empty(n_rows, n, dtype=np.uint16), draw.empty(n_rows, n, dtype=np.int32)
    kernels.gru_gates(px, u, other, *limits, rule, real, s, r, keep, z, reset)
    kernels.gru_candidate(px, v, s, keep, *limits, rule, g, update)

    # Sums of large numbers are rounded before the sigmoid sees them.
    sums = (px[:, : 2 * n] + u).astype(np.float64)
    exact = np.zeros((n_rows, 3 * n))
    exact[:, : 2 * n] = sums
    want_s, want_r, want_keep, want_z, want_reset = reference.gru_gates(
        exact, 0 * sums, other, *limits, rule, real
    )
    close(s, want_s)
    close(r, want_r)
    close(reset, want_reset, size=100)
    if rule == 2 or real:
        close(keep, want_keep)
        np.testing.assert_array_equal(z, want_z)
    else:
        integers_agree(z, want_z, limits[0] + limits[1] * want_s)
        np.testing.assert_array_equal(keep, z / 1024)
    exact[:, 2 * n :] = (px[:, 2 * n :] + v).astype(np.float64)
    want_g, want_update = reference.gru_candidate(exact, 0.0 * v, s, keep, *limits, rule)
    close(g, want_g)
    updates_agree(update, want_update, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@given(n_rows=ROWS, n=UNITS, limits=LIMITS, rule=RULES, seed=SEEDS)
def test_gru_in_real_arithmetic_and_its_gradients(dtype, n_rows, n, limits, rule, seed):
    draw = Draw(dtype, seed)
    s, g, keep, r = (
        draw.unit(n_rows, n),
        2 * draw.unit(n_rows, n) - 1,
        draw.unit(n_rows, n),
        draw.unit(n_rows, n),
    )
    h, e, v, other, e_other = (draw(n_rows, n) for _ in range(5))
    alive = draw.alive(n_rows)

    h_new = draw.empty(n_rows, n)
    kernels.gru_new_real(s, keep, g, h, *limits, rule, alive, h_new)
    close(h_new, reference.gru_new_real(s, keep, g, h, *limits, rule, alive), size=100)
    np.testing.assert_array_equal(h_new[~alive], h[~alive])

    q, back = draw.empty(n_rows, 3 * n), e.copy()
    kernels.gru_candidate_gradient(back, alive, h, s, g, keep, *limits, rule, q)
    q_z, q_g, want = reference.gru_candidate_gradient(e, alive, h, s, g, keep, *limits, rule)
    close(q[:, :n], q_z, size=3e4)
    close(q[:, 2 * n :], q_g, size=100)
    close(back, want, size=100)
    assert not q[~alive].any()
    np.testing.assert_array_equal(back[~alive], e[~alive])

    back = e_other.copy()
    kernels.gru_reset_gradient(v, other, r, alive, q, back)
    q_r, want = reference.gru_reset_gradient(v, other, r, alive, e_other)
    close(q[:, n : 2 * n], q_r, size=3e4)
    close(back, want, size=200)
    assert not q[~alive].any()
    np.testing.assert_array_equal(back[~alive], e_other[~alive])


@pytest.mark.parametrize("dtype", DTYPES)
@given(n_rows=ROWS, n=UNITS, limits=LIMITS, rule=RULES, real=st.booleans(), seed=SEEDS)
def test_lstm_gates_and_output(dtype, n_rows, n, limits, rule, real, seed):
    draw = Draw(dtype, seed)
    px, u, c_new = draw(n_rows, 5 * n), draw(n_rows, 5 * n), draw(n_rows, n)
    gates = draw.empty(n_rows, 5 * n)
    keep_c, keep_h, squashed = (draw.empty(n_rows, n) for _ in range(3))
    z_c, z_h = (draw.empty(n_rows, n, dtype=np.uint16) for _ in range(2))
    update, update_h = (draw.empty(n_rows, n, dtype=np.int32) for _ in range(2))
    kernels.lstm_gates(px, u, *limits, rule, real, gates, keep_c, keep_h, z_c, z_h, update)
    kernels.lstm_output(gates, c_new, squashed, update_h)

    exact = (px + u).astype(np.float64)
    want = reference.lstm_gates(exact, 0 * exact, *limits, rule, real)
    close(gates, want[0])
    for keep, z, want_keep, want_z, column in (
        (keep_c, z_c, want[1], want[3], 0),
        (keep_h, z_h, want[2], want[4], 4),
    ):
        if rule == 2 or real:
            close(keep, want_keep)
            np.testing.assert_array_equal(z, want_z)
        else:
            own = want[0][:, column * n : (column + 1) * n]
            integers_agree(z, want_z, limits[0] + limits[1] * own)
            np.testing.assert_array_equal(keep, z / 1024)
    updates_agree(update, want[5], dtype)
    want_squashed, want_update = reference.lstm_output(gates, c_new)
    close(squashed, want_squashed)
    updates_agree(update_h, want_update, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@given(n_rows=ROWS, n=UNITS, limits=LIMITS, rule=RULES, seed=SEEDS)
def test_lstm_in_real_arithmetic_and_its_gradient(dtype, n_rows, n, limits, rule, seed):
    draw = Draw(dtype, seed)
    gates = draw.unit(n_rows, 5 * n)
    gates[:, n : 2 * n] = 2 * gates[:, n : 2 * n] - 1
    keep_c, keep_h = draw.unit(n_rows, n), draw.unit(n_rows, n)
    h, c, e_h, e_c = (draw(n_rows, n) for _ in range(4))
    alive = draw.alive(n_rows)

    squashed, h_new, c_new = (draw.empty(n_rows, n) for _ in range(3))
    kernels.lstm_new_real(gates, keep_c, keep_h, h, c, alive, squashed, h_new, c_new)
    want = reference.lstm_new_real(gates, keep_c, keep_h, h, c, alive)
    # The cell's rounding error, up to 100 units in the last place, goes through tanh.
    close(squashed, want[0], size=100)
    close(h_new, want[1], size=100)
    close(c_new, want[2], size=100)
    np.testing.assert_array_equal(h_new[~alive], h[~alive])
    np.testing.assert_array_equal(c_new[~alive], c[~alive])

    q, back_h, back_c = draw.empty(n_rows, 5 * n), e_h.copy(), e_c.copy()
    kernels.lstm_half_gradient(
        back_h, back_c, alive, h, c, gates, squashed, keep_c, keep_h, limits[1], rule, q
    )
    want = reference.lstm_half_gradient(
        e_h, e_c, alive, h, c, gates, squashed, keep_c, keep_h, limits[1], rule
    )
    close(q, want[0], size=3e4)
    close(back_h, want[1], size=200)
    close(back_c, want[2], size=200)
    assert not q[~alive].any()
    np.testing.assert_array_equal(back_h[~alive], e_h[~alive])
    np.testing.assert_array_equal(back_c[~alive], e_c[~alive])


@pytest.mark.parametrize("rule", [0, 1, 2])
def test_gradients_of_a_gru_are_slopes_of_real_arithmetic(rule):
    """Differences of gates, candidate and new state by every sum and by the old state."""
    low, span, n, size = 0.125, 0.875, 9, 1e-6
    rng = np.random.default_rng(0)
    sums = [rng.normal(size=(2, n)) for _ in range(2)]
    h, alive = rng.normal(size=(2, n)), np.array([True, False])

    def new(by_z, by_g, h):
        s, r, keep, reset, g, out = (np.empty((2, n)) for _ in range(6))
        z, update = np.empty((2, n), np.uint16), np.empty((2, n), np.int32)
        px = np.hstack([by_z, by_z, by_g])
        kernels.gru_gates(px, np.zeros((2, 2 * n)), h, low, span, rule, True, s, r, keep, z, reset)
        kernels.gru_candidate(px, np.zeros((2, n)), s, keep, low, span, rule, g, update)
        kernels.gru_new_real(s, keep, g, h, low, span, rule, alive, out)
        return out, s, g, keep

    _, s, g, keep = new(*sums, h)
    e, q = np.ones((2, n)), np.empty((2, 3 * n))
    kernels.gru_candidate_gradient(e, alive, h, s, g, keep, low, span, rule, q)
    at = [*sums, h]
    for i, got in enumerate((q[:, :n], q[:, 2 * n :], e)):
        sides = [new(*(a + sign * size * (k == i) for k, a in enumerate(at)))[0] for sign in (1, -1)]
        np.testing.assert_allclose(got, (sides[0] - sides[1]) / (2 * size), rtol=0, atol=1e-8)


@pytest.mark.parametrize("rule", [0, 1, 2])
def test_gradients_of_an_lstm_are_slopes_of_real_arithmetic(rule):
    low, span, n, size = 0.125, 0.8, 9, 1e-6
    rng = np.random.default_rng(1)
    sums, h, c = rng.normal(size=(2, 5 * n)), rng.normal(size=(2, n)), rng.normal(size=(2, n))
    alive, by_h, by_c = np.array([True, False]), rng.normal(size=(2, n)), rng.normal(size=(2, n))

    def new(sums, h, c):
        gates, (keep_c, keep_h, squashed, h_new, c_new) = np.empty((2, 5 * n)), np.empty((5, 2, n))
        z_c, z_h, update = (
            np.empty((2, n), np.uint16),
            np.empty((2, n), np.uint16),
            np.empty((2, n), np.int32),
        )
        kernels.lstm_gates(
            sums, np.zeros((2, 5 * n)), low, span, rule, True, gates, keep_c, keep_h, z_c, z_h, update
        )
        kernels.lstm_new_real(gates, keep_c, keep_h, h, c, alive, squashed, h_new, c_new)
        return by_h * h_new + by_c * c_new, gates, squashed, keep_c, keep_h

    _, gates, squashed, keep_c, keep_h = new(sums, h, c)
    e_h, e_c, q = by_h.copy(), by_c.copy(), np.empty((2, 5 * n))
    kernels.lstm_half_gradient(e_h, e_c, alive, h, c, gates, squashed, keep_c, keep_h, span, rule, q)
    for got, moved in ((e_h, "h"), (e_c, "c")):
        sides = [
            new(sums, h + sign * size * (moved == "h"), c + sign * size * (moved == "c"))[0]
            for sign in (1, -1)
        ]
        np.testing.assert_allclose(got, (sides[0] - sides[1]) / (2 * size), rtol=0, atol=1e-8)
    for k in range(5):
        column = np.zeros((2, 5 * n))
        column[:, k * n : (k + 1) * n] = size
        difference = (new(sums + column, h, c)[0] - new(sums - column, h, c)[0]) / (2 * size)
        np.testing.assert_allclose(q[:, k * n : (k + 1) * n], difference, rtol=0, atol=1e-8)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_gate_has_the_bits_that_it_has_alone(dtype):
    """Vectors, what is left of a row, and single numbers agree, so that the width of a layer changes nothing."""
    draw = Draw(dtype, 3)
    n_rows, n = 3, 77
    px, u = draw(n_rows, 5 * n), draw(n_rows, 5 * n)

    def run(px, u, n_rows, n):
        gates, keeps = np.empty((n_rows, 5 * n), dtype), [np.empty((n_rows, n), dtype) for _ in range(2)]
        zs = [np.empty((n_rows, n), np.uint16) for _ in range(2)]
        update = np.empty((n_rows, n), np.int32)
        kernels.lstm_gates(px, u, 0.125, 0.875, 0, False, gates, *keeps, *zs, update)
        return [gates.reshape(n_rows, 5, n), *keeps, *zs, update]

    whole = run(px, u, n_rows, n)
    for j in (0, 5, 63, 64, 70, 76):
        one = [np.ascontiguousarray(a.reshape(n_rows, 5, n)[1:2, :, j].reshape(1, 5)) for a in (px, u)]
        for got, want in zip(run(*one, 1, 1), whole, strict=True):
            assert got[..., 0].tobytes() == np.ascontiguousarray(want[1:2, ..., j]).tobytes()


def test_functions_have_the_bits_of_the_elementary_ones():
    x = np.concatenate([np.linspace(-86, 86, 20011), np.linspace(-1, 1, 20011)]).astype(np.float32)[None]
    n = x.shape[1]
    s, r, keep, reset, g = (np.empty((1, n), np.float32) for _ in range(5))
    z, update, zero = (
        np.empty((1, n), np.uint16),
        np.empty((1, n), np.int32),
        np.zeros((1, 2 * n), np.float32),
    )
    px = np.hstack([x, x, x])
    kernels.gru_gates(px, zero, x, 0.125, 0.875, 0, False, s, r, keep, z, reset)
    kernels.gru_candidate(px, zero[:, :n].copy(), s, keep, 0.125, 0.875, 0, g, update)
    want = np.empty_like(x)
    elementary.exp_array(-x, want)
    assert s.tobytes() == (np.float32(1) / (np.float32(1) + want)).tobytes() == r.tobytes()
    with np.errstate(over="ignore"):
        elementary.tanh_array(x, want)
    assert g.tobytes() == want.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [1, 2, 3, 5, 10, None])
def test_integers_of_gates_respect_the_limit(dtype, k):
    low = 0.0 if k is None else 2.0**-k
    px = np.array([[-np.inf, -1e30, -200.0, -3.0, 0.0, 3.0, 200.0, 1e30, np.inf]], dtype=dtype)
    n = px.shape[1]
    s, r, keep, reset = (np.empty((1, n), dtype) for _ in range(4))
    z, zero = np.empty((1, n), np.uint16), np.zeros((1, 2 * n), dtype)
    kernels.gru_gates(
        np.hstack([px, px, px]), zero, np.ones((1, n), dtype), low, 1 - low, 0, False, s, r, keep, z, reset
    )
    assert z[0, 0] == z.min() == max(1, 1024 * low)
    assert z[0, -1] == z.max() == 1024
    assert np.isfinite(s).all()
    assert (np.diff(s) >= 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_is_not_hidden_and_its_gate_can_be_undone(dtype):
    px = np.full((1, 3), np.nan, dtype)
    s, r, keep, reset, g = (np.zeros((1, 1), dtype) for _ in range(5))
    z, update, zero = np.zeros((1, 1), np.uint16), np.zeros((1, 1), np.int32), np.zeros((1, 2), dtype)
    kernels.gru_gates(px, zero, s.copy(), 0.125, 0.875, 0, False, s, r, keep, z, reset)
    assert np.isnan(s[0, 0])
    assert np.isnan(reset[0, 0])
    assert z[0, 0] == 1
    with np.errstate(invalid="ignore"):
        kernels.gru_candidate(px, zero[:, :1].copy(), s, keep, 0.125, 0.875, 0, g, update)
    assert np.isnan(g[0, 0])


def test_halves_are_rounded_to_even_integers():
    # A gate of exactly one half, and candidates that saturate to 1: updates are (1 - keep) 2^23.
    keep = np.array([[0.5, 0.5 + 2.0**-24, 0.5 + 3 * 2.0**-24]])
    one, px = np.ones((1, 3)), np.full((1, 9), 400.0)
    g, update = np.empty((1, 3)), np.empty((1, 3), np.int32)
    kernels.gru_candidate(px, one, one, keep, 0.0, 1.0, 0, g, update)
    assert update.tolist() == [[2**22, 2**22, 2**22 - 2]]


@given(n_rows=ROWS, n=UNITS, seed=SEEDS)
def test_forgotten(n_rows, n, seed):
    rng = np.random.default_rng(seed)
    z = rng.choice([1, 2, 3, 512, 1023, 1024, 700], (n_rows, n)).astype(np.uint16)
    alive, bits = rng.random(n_rows) < 0.7, rng.random(n)
    want = bits + reference.forgotten(z, alive)
    kernels.forgotten(z, alive, bits)
    np.testing.assert_allclose(bits, want, rtol=1e-13, atol=1e-13)


# Prints one hash of everything that decides the bits of a reversible network.
_HASH = """
import hashlib
import numpy as np
from scinn.kernels import exact_products, reversible_cells

digest = hashlib.sha256()
for dtype in (np.float32, np.float64):
    rng = np.random.default_rng(0)
    a, w = rng.normal(size=(7, 45)).astype(dtype), rng.normal(size=(45, 5 * 41)).astype(dtype)
    sums = np.empty((7, 5 * 41), dtype)
    exact_products.ordered_product(a, w, sums)
    gates, (keep_c, keep_h, squashed) = np.empty_like(sums), np.empty((3, 7, 41), dtype)
    (z_c, z_h), (update, update_h) = np.empty((2, 7, 41), np.uint16), np.empty((2, 7, 41), np.int32)
    reversible_cells.lstm_gates(
        sums, sums[::-1].copy(), 0.125, 0.875, 0, False, gates, keep_c, keep_h, z_c, z_h, update
    )
    reversible_cells.lstm_output(gates, sums[:, :41].copy(), squashed, update_h)
    for array in (sums, gates, keep_c, keep_h, z_c, z_h, update, squashed, update_h):
        digest.update(np.ascontiguousarray(array).tobytes())
print(digest.hexdigest())
"""


@pytest.mark.slow
def test_other_processors_give_the_same_bits(run_python):
    """Code for the oldest processor of this kind, without wide registers and fused products, and no compilation at all."""
    here = run_python(_HASH).stdout
    assert run_python(_HASH, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="").stdout == here
    assert run_python(_HASH, NUMBA_DISABLE_JIT="1").stdout == here

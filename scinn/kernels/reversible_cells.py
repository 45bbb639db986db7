"""Gates of reversible recurrent cells, what they add to the fixed-point state, and their gradients; for a whole batch.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999. One call
works on one half of the state, ``n`` units of ``B`` rows, and reads the other half; the products are made elsewhere.

* ``s`` is the sigmoid of a forget gate, ``zeta = low + span s`` the gate within its limits,
  ``z = max(1, rint(1024 zeta))`` its integer, and ``keep`` what multiplies the old state: ``z / 1024``, or ``zeta``
  in real arithmetic.
* An update is ``rint(value 2^23)``, half to even, in int32.
* ``rule`` is 0 for a candidate weighed by ``1 - keep``, so that states cannot drift; 1 for the paper's ``1 - zeta``; 2 for
  no forgetting: nothing multiplies the state, updates are as in 1.
* ``alive`` (B,) tells which rows have this step. Gates are computed for all rows; the others keep their state and gradient.

Going back must find the bits of going forward, so nothing is contracted, and both precisions have functions made of the four
operations: the bits are the same on every machine with IEEE arithmetic. A row is worked on in several short loops, because
the compiler makes vectors only where a loop has few arrays; and entries are taken from the whole arrays, because a view of a
row costs as much as a vector of sigmoids.

Arrays are C-contiguous. Twins of the same names are in :mod:`scinn.reference.reversible_cells`.
"""

from __future__ import annotations

import numba
import numpy as np

from scinn.kernels import elementary
from scinn.kernels._jit import jit

__all__ = [
    "forgotten",
    "gru_candidate",
    "gru_candidate_gradient",
    "gru_gates",
    "gru_new_real",
    "gru_reset_gradient",
    "lstm_gates",
    "lstm_half_gradient",
    "lstm_new_real",
    "lstm_output",
]

EXACT = frozenset()
_DRIFT_FREE, _NO_FORGETTING = 0, 2
_UNIT = 8388608.0
# Real arithmetic writes z = 0, which forgets no bits.
_BITS = np.array([0.0, *(10.0 - np.log2(np.arange(1.0, 1025.0)))])


# Exponentials of -87 to 87 (float64: -708 to 708) need neither of the two factors of `elementary.exp32`, and keep its bits.
# For float64 they are those of `elementary.growing_exp64`, without contraction.
_HIGHEST32, _LOWEST32 = np.float32(87.0), np.float32(-87.0)
_HIGHEST64, _LOWEST64 = 708.0, -708.0


@jit(fastmath=EXACT)
def _exp32(x):
    shifted = x * elementary._LOG2_E + elementary._ROUND
    whole = shifted - elementary._ROUND
    r = (x - whole * elementary._LN2_HIGH) - whole * elementary._LN2_LOW
    p = (elementary._E6 * r + elementary._E5) * r + elementary._E4
    p = ((p * r + elementary._E3) * r + elementary._E2) * (r * r) + r
    power = np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)
    return (p + elementary._ONE) * power


@jit(fastmath=EXACT)
def _sigmoid32(x):
    y = x if x < _HIGHEST32 else _HIGHEST32
    y = y if y > _LOWEST32 else _LOWEST32
    result = elementary._ONE / (elementary._ONE + _exp32(-y))
    return x if x != x else result


@jit(fastmath=EXACT)
def _tanh32(x):
    size, square = abs(x), x * x
    p = (elementary._T13 * square + elementary._T11) * square + elementary._T9
    p = ((p * square + elementary._T7) * square + elementary._T5) * square + elementary._T3
    small = size + (size * square) * p
    doubled = size + size
    doubled = doubled if doubled < _HIGHEST32 else _HIGHEST32
    large = elementary._ONE - elementary._TWO / (_exp32(doubled) + elementary._ONE)
    result = np.copysign(small if size < elementary._SMALL else large, x)
    return x if x != x else result


@jit(fastmath=EXACT)
def _reduced64(x):
    """Return 2^n and e^r - 1, where x = n ln 2 + r and |r| <= ln(2) / 2."""
    shifted = np.float64(x * elementary._D_LOG2_E + elementary._D_ROUND)
    whole = shifted - elementary._D_ROUND
    r = (x - whole * elementary._D_LN2_HIGH) - whole * elementary._D_LN2_LOW
    p = ((elementary._D11 * r + elementary._D10) * r + elementary._D9) * r + elementary._D8
    p = ((p * r + elementary._D7) * r + elementary._D6) * r + elementary._D5
    p = ((p * r + elementary._D4) * r + elementary._D3) * r + elementary._D2
    n = np.int64(shifted.view(np.int64) - elementary._BITS_OF_ROUND)
    return np.int64((n + np.int64(1023)) << np.int64(52)).view(np.float64), p * (r * r) + r


@jit(fastmath=EXACT)
def _sigmoid64(x):
    y = x if x < _HIGHEST64 else _HIGHEST64
    y = y if y > _LOWEST64 else _LOWEST64
    power, p = _reduced64(-y)
    result = 1.0 / (1.0 + (p + 1.0) * power)
    return x if x != x else result


@jit(fastmath=EXACT)
def _tanh64(x):
    size = abs(x)
    y = size if size < elementary._D_SATURATED else elementary._D_SATURATED
    power, p = _reduced64(y + y)
    e = power * p + (power - 1.0)
    result = np.copysign(e / (e + 2.0), x)
    return x if x != x else result


if numba.config.DISABLE_JIT:

    def _sigmoid(x):
        return _sigmoid32(x) if isinstance(x, np.float32) else _sigmoid64(x)

    def _tanh(x):
        return _tanh32(x) if isinstance(x, np.float32) else _tanh64(x)

else:
    from numba import types
    from numba.extending import overload

    def _sigmoid(x):
        raise NotImplementedError("only compiled code calls this")

    def _tanh(x):
        raise NotImplementedError("only compiled code calls this")

    @overload(_sigmoid)
    def _overload_sigmoid(x):
        return (lambda x: _sigmoid32(x)) if x == types.float32 else (lambda x: _sigmoid64(x))

    @overload(_tanh)
    def _overload_tanh(x):
        return (lambda x: _tanh32(x)) if x == types.float32 else (lambda x: _tanh64(x))


@jit(fastmath=EXACT)
def _keep_row(s, b, first, low, span, rule, real, keep, z):
    """Fill row ``b`` of ``keep`` and ``z`` from the sigmoids in ``s`` from column ``first`` on."""
    lowest, room = keep.dtype.type(low), keep.dtype.type(span)
    one, whole, part = keep.dtype.type(1), keep.dtype.type(1024), keep.dtype.type(1 / 1024)
    n = keep.shape[1]
    if rule == _NO_FORGETTING:
        for j in range(n):
            keep[b, j] = one
            z[b, j] = 1024
    elif real:
        for j in range(n):
            keep[b, j] = lowest + room * s[b, first + j]
            z[b, j] = 0
    else:
        for j in range(n):
            rounded = np.rint(whole * (lowest + room * s[b, first + j]))
            # Written so that NaN becomes 1: a multiplication by any z can be undone.
            rounded = rounded if rounded > one else one
            keep[b, j] = rounded * part
            z[b, j] = np.uint16(np.int32(rounded))


@jit(fastmath=EXACT)
def gru_gates(px, u, other, low, span, rule, real, s, r, keep, z, reset):
    """Fill ``s``, ``r``, ``keep``, ``z`` (uint16) and ``reset = r other`` (B, n).

    ``px`` (B, 3 n: z, r, g) and ``u`` (B, 2 n: z, r) are the sums' parts.
    """
    n_rows, n = other.shape
    for b in range(n_rows):
        for j in range(n):
            s[b, j] = _sigmoid(px[b, j] + u[b, j])
        for j in range(n):
            r[b, j] = _sigmoid(px[b, n + j] + u[b, n + j])
        _keep_row(s, b, 0, low, span, rule, real, keep, z)
        for j in range(n):
            reset[b, j] = r[b, j] * other[b, j]


@jit(fastmath=EXACT)
def gru_candidate(px, v, s, keep, low, span, rule, g, update):
    """Fill ``g`` (B, n) and ``update`` (int32) from the sums' parts ``px`` (B, 3 n: z, r, g) and ``v`` (B, n)."""
    n_rows, n = g.shape
    lowest, room = g.dtype.type(low), g.dtype.type(span)
    one, unit = g.dtype.type(1), g.dtype.type(_UNIT)
    for b in range(n_rows):
        for j in range(n):
            g[b, j] = _tanh(px[b, 2 * n + j] + v[b, j])
        if rule == _DRIFT_FREE:
            for j in range(n):
                update[b, j] = np.int32(np.rint((one - keep[b, j]) * g[b, j] * unit))
        else:
            for j in range(n):
                update[b, j] = np.int32(np.rint((one - (lowest + room * s[b, j])) * g[b, j] * unit))


@jit(fastmath=EXACT)
def gru_new_real(s, keep, g, h, low, span, rule, alive, h_new):
    """Fill ``h_new`` (B, n) in real arithmetic: ``keep h + w g``."""
    n_rows, n = h.shape
    lowest, room, one = g.dtype.type(low), g.dtype.type(span), g.dtype.type(1)
    for b in range(n_rows):
        if not alive[b]:
            h_new[b] = h[b]
            continue
        for j in range(n):
            weight = one - (keep[b, j] if rule == _DRIFT_FREE else lowest + room * s[b, j])
            h_new[b, j] = keep[b, j] * h[b, j] + weight * g[b, j]


@jit(fastmath=EXACT)
def gru_candidate_gradient(e, alive, h, s, g, keep, low, span, rule, q):
    """Fill columns z and g of ``q`` (B, 3 n) from ``e`` (B, n), the gradient by the new half; ``h`` are its old values.

    ``e`` becomes the gradient by the old half as far as it goes through the multiplication. Rows that are not alive get
    zeros in all of ``q``.
    """
    n_rows, n = h.shape
    lowest, room, one = e.dtype.type(low), e.dtype.type(span), e.dtype.type(1)
    forgets = e.dtype.type(0 if rule == _NO_FORGETTING else 1)
    for b in range(n_rows):
        if not alive[b]:
            q[b] = 0
            continue
        for j in range(n):
            slope = room * (s[b, j] * (one - s[b, j]))
            q[b, j] = e[b, j] * (forgets * h[b, j] - g[b, j]) * slope
        if rule == _DRIFT_FREE:
            for j in range(n):
                q[b, 2 * n + j] = e[b, j] * (one - keep[b, j]) * (one - g[b, j] * g[b, j])
        else:
            for j in range(n):
                q[b, 2 * n + j] = e[b, j] * (one - (lowest + room * s[b, j])) * (one - g[b, j] * g[b, j])
        for j in range(n):
            e[b, j] = e[b, j] * keep[b, j]


@jit(fastmath=EXACT)
def gru_reset_gradient(v, other, r, alive, q, e_other):
    """Fill column r of ``q`` (B, 3 n) and add to ``e_other`` (B, n) from ``v`` (B, n), the gradient by ``r other``."""
    n_rows, n = v.shape
    one = v.dtype.type(1)
    for b in range(n_rows):
        if not alive[b]:
            q[b, n : 2 * n] = 0
            continue
        for j in range(n):
            q[b, n + j] = v[b, j] * other[b, j] * (r[b, j] * (one - r[b, j]))
        for j in range(n):
            e_other[b, j] = e_other[b, j] + v[b, j] * r[b, j]


@jit(fastmath=EXACT)
def lstm_gates(px, u, low, span, rule, real, gates, keep_c, keep_h, z_c, z_h, update):
    """Fill the gates (B, 5 n: z, g, f, o, p), what is kept of cell and output, and ``update = rint(f g 2^23)``.

    ``px`` and ``u`` (B, 5 n) are the sums' parts; ``keep_c`` and ``z_c`` (B, n) come from z, ``keep_h`` and ``z_h`` from p.
    """
    n_rows, n = keep_c.shape
    unit = gates.dtype.type(_UNIT)
    for b in range(n_rows):
        for j in range(n):
            gates[b, j] = _sigmoid(px[b, j] + u[b, j])
        for j in range(n):
            gates[b, n + j] = _tanh(px[b, n + j] + u[b, n + j])
        for j in range(3 * n):
            gates[b, 2 * n + j] = _sigmoid(px[b, 2 * n + j] + u[b, 2 * n + j])
        for j in range(n):
            update[b, j] = np.int32(np.rint(gates[b, 2 * n + j] * gates[b, n + j] * unit))
        _keep_row(gates, b, 0, low, span, rule, real, keep_c, z_c)
        _keep_row(gates, b, 4 * n, low, span, rule, real, keep_h, z_h)


@jit(fastmath=EXACT)
def lstm_output(gates, c_new, squashed, update):
    """Fill ``squashed = tanh(c_new)`` and ``update = rint(o squashed 2^23)`` (B, n)."""
    n_rows, n = c_new.shape
    unit = gates.dtype.type(_UNIT)
    for b in range(n_rows):
        for j in range(n):
            squashed[b, j] = _tanh(c_new[b, j])
        for j in range(n):
            update[b, j] = np.int32(np.rint(gates[b, 3 * n + j] * squashed[b, j] * unit))


@jit(fastmath=EXACT)
def lstm_new_real(gates, keep_c, keep_h, h, c, alive, squashed, h_new, c_new):
    """Fill ``c_new``, ``squashed = tanh(c_new)`` and ``h_new`` (B, n) in real arithmetic."""
    n_rows, n = h.shape
    for b in range(n_rows):
        if alive[b]:
            for j in range(n):
                c_new[b, j] = keep_c[b, j] * c[b, j] + gates[b, 2 * n + j] * gates[b, n + j]
        else:
            c_new[b] = c[b]
        for j in range(n):
            squashed[b, j] = _tanh(c_new[b, j])
        if alive[b]:
            for j in range(n):
                h_new[b, j] = keep_h[b, j] * h[b, j] + gates[b, 3 * n + j] * squashed[b, j]
        else:
            h_new[b] = h[b]


@jit(fastmath=EXACT)
def lstm_half_gradient(e_h, e_c, alive, h, c, gates, squashed, keep_c, keep_h, span, rule, q):
    """Fill ``q`` (B, 5 n) from ``e_h`` and ``e_c`` (B, n), gradients by the new half; ``h`` and ``c`` are its old values.

    ``e_h`` and ``e_c`` become the gradients by the old half as far as they go through the multiplications. Rows that are not
    alive get zeros in ``q``.
    """
    n_rows, n = h.shape
    one = q.dtype.type(1)
    room = q.dtype.type(0 if rule == _NO_FORGETTING else span)
    for b in range(n_rows):
        if not alive[b]:
            q[b] = 0
            continue
        for j in range(n):
            o = gates[b, 3 * n + j]
            q[b, 3 * n + j] = e_h[b, j] * squashed[b, j] * (o * (one - o))
        for j in range(n):
            slope = one - squashed[b, j] * squashed[b, j]
            e_c[b, j] = e_c[b, j] + e_h[b, j] * gates[b, 3 * n + j] * slope
        for j in range(n):
            p = gates[b, 4 * n + j]
            q[b, 4 * n + j] = e_h[b, j] * h[b, j] * (room * (p * (one - p)))
        for j in range(n):
            z = gates[b, j]
            q[b, j] = e_c[b, j] * c[b, j] * (room * (z * (one - z)))
        for j in range(n):
            g = gates[b, n + j]
            q[b, n + j] = e_c[b, j] * gates[b, 2 * n + j] * (one - g * g)
        for j in range(n):
            f = gates[b, 2 * n + j]
            q[b, 2 * n + j] = e_c[b, j] * gates[b, n + j] * (f * (one - f))
        for j in range(n):
            e_h[b, j] = e_h[b, j] * keep_h[b, j]
        for j in range(n):
            e_c[b, j] = e_c[b, j] * keep_c[b, j]


@jit(fastmath=EXACT)
def forgotten(z, alive, bits):
    """Add to ``bits`` (n,) what each unit forgets in the rows that are alive: the sum of ``-log2(z / 1024)``."""
    n_rows, n = z.shape
    for b in range(n_rows):
        if alive[b]:
            for j in range(n):
                bits[j] += _BITS[z[b, j]]

"""One step of recurrent networks for a whole batch: gates, states, and their gradients; the products are made elsewhere.

``alive`` (B,) tells which sequences have this step; the others keep their state. Twins are in
:mod:`scinn.reference.recurrent`.
"""

from __future__ import annotations

from scinn.kernels._jit import jit
from scinn.kernels.elementary import exp, tanh

__all__ = ["gru_step", "gru_step_gradient", "lstm_step", "lstm_step_gradient"]


@jit
def _sigmoid(x, one):
    return one / (one + exp(-x))


@jit
def lstm_step(zx, zh, c, h, alive, gates, c_new, h_new):
    """Fill ``gates`` (B, 4 n: i, f, g, o), ``c_new`` and ``h_new`` (B, n) from the sums' parts ``zx``, ``zh`` (B, 4 n)."""
    n_rows, n = c.shape
    one = gates.dtype.type(1)
    for b in range(n_rows):
        if not alive[b]:
            for j in range(n):
                c_new[b, j], h_new[b, j] = c[b, j], h[b, j]
            gates[b] = 0
            continue
        a, u, gate = zx[b], zh[b], gates[b]
        for j in range(2 * n):
            gate[j] = _sigmoid(a[j] + u[j], one)
        for j in range(2 * n, 3 * n):
            gate[j] = tanh(a[j] + u[j])
        for j in range(3 * n, 4 * n):
            gate[j] = _sigmoid(a[j] + u[j], one)
        for j in range(n):
            state = gate[n + j] * c[b, j] + gate[j] * gate[2 * n + j]
            c_new[b, j] = state
            h_new[b, j] = gate[3 * n + j] * tanh(state)


@jit
def lstm_step_gradient(gates, c, c_new, dy, alive, dh, dc, dz):
    """Fill ``dz`` (B, 4 n) from ``dy`` and the gradients ``dh``, ``dc`` (B, n) by the new state.

    ``dc`` becomes the gradient by the old cell; ``dh`` what reaches the old output without a product: nothing, or all of it
    where the step does not exist.
    """
    n_rows, n = dh.shape
    one = gates.dtype.type(1)
    for b in range(n_rows):
        if not alive[b]:
            dz[b] = 0
            continue
        gate, row = gates[b], dz[b]
        for j in range(n):
            i, f, g, o = gate[j], gate[n + j], gate[2 * n + j], gate[3 * n + j]
            squashed = tanh(c_new[b, j])
            total = dh[b, j] + dy[b, j]
            cell = dc[b, j] + total * o * (one - squashed * squashed)
            row[j] = cell * g * i * (one - i)
            row[n + j] = cell * c[b, j] * f * (one - f)
            row[2 * n + j] = cell * i * (one - g * g)
            row[3 * n + j] = total * squashed * o * (one - o)
            dc[b, j] = cell * f
            dh[b, j] = 0


@jit
def gru_step(zx, zh, bias, h, alive, gates, inner, h_new):
    """Fill ``gates`` (B, 3 n: r, z, n), ``inner`` and ``h_new`` (B, n) from the sums' parts ``zx``, ``zh`` (B, 3 n)."""
    n_rows, n = h.shape
    one = gates.dtype.type(1)
    for b in range(n_rows):
        if not alive[b]:
            for j in range(n):
                h_new[b, j] = h[b, j]
                inner[b, j] = 0
            gates[b] = 0
            continue
        a, u, gate = zx[b], zh[b], gates[b]
        for j in range(2 * n):
            gate[j] = _sigmoid(a[j] + u[j], one)
        for j in range(n):
            inner[b, j] = u[2 * n + j] + bias[j]
        for j in range(n):
            new = tanh(a[2 * n + j] + gate[j] * inner[b, j])
            gate[2 * n + j] = new
            h_new[b, j] = new + gate[n + j] * (h[b, j] - new)


@jit
def gru_step_gradient(gates, inner, h, dy, alive, dh, dzx, dzh):
    """Fill ``dzx`` and ``dzh`` (B, 3 n) from ``dy`` and the gradient ``dh`` (B, n) by the new state.

    ``dh`` becomes what reaches the old state without a product.
    """
    n_rows, n = dh.shape
    one = gates.dtype.type(1)
    for b in range(n_rows):
        if not alive[b]:
            dzx[b] = 0
            dzh[b] = 0
            continue
        gate, row, product = gates[b], dzx[b], dzh[b]
        for j in range(n):
            r, z, new = gate[j], gate[n + j], gate[2 * n + j]
            total = dh[b, j] + dy[b, j]
            candidate = total * (one - z) * (one - new * new)
            reset = candidate * inner[b, j] * r * (one - r)
            update = total * (h[b, j] - new) * z * (one - z)
            row[j], row[n + j], row[2 * n + j] = reset, update, candidate
            product[j], product[n + j], product[2 * n + j] = reset, update, candidate * r
            dh[b, j] = total * z

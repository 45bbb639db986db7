"""Gates of reversible recurrent cells, number by number, in double precision.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999. The
notation is that of :mod:`scinn.kernels.reversible_cells`; functions return what the kernels fill, as new float64 or integer
arrays.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

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

_STATE_ONE = 1 << 23


def _sigmoid(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value)) if value > -700 else 0.0


def _kept(s: float, low: float, span: float, rule: int, real: bool) -> tuple[float, int]:
    """Return what multiplies the old state, and its integer."""
    zeta = low + span * s
    if rule == 2:
        return 1.0, 1024
    if real:
        return zeta, 0
    z = max(1, round(1024 * zeta))
    return z / 1024, z


def _weight(keep: float, s: float, low: float, span: float, rule: int) -> float:
    """Return what multiplies the candidate."""
    return 1.0 - keep if rule == 0 else 1.0 - (low + span * s)


def gru_gates(
    px: np.ndarray, u: np.ndarray, other: np.ndarray, low: float, span: float, rule: int, real: bool
) -> tuple[np.ndarray, ...]:
    """Compute the forget and the reset gate of one half.

    Parameters
    ----------
    px : ndarray, shape (B, 3 n)
        Sums of the inputs: z, r, g.
    u : ndarray, shape (B, 2 n)
        Sums of the other half: z, r.
    other : ndarray, shape (B, n)
        Values of the other half.
    low, span : float
        Limits of the forget gate.
    rule : {0, 1, 2}
        Drift-free, the paper's, no forgetting.
    real : bool
        Real arithmetic.

    Returns
    -------
    s, r, keep : ndarray of float64, shape (B, n)
    z : ndarray of int64, shape (B, n)
    reset : ndarray of float64, shape (B, n)

    Examples
    --------
    >>> import numpy as np
    >>> s, r, keep, z, reset = gru_gates(np.zeros((1, 3)), np.zeros((1, 2)), np.ones((1, 1)), 0.125, 0.875, 0, False)
    >>> float(keep[0, 0]), int(z[0, 0]), float(reset[0, 0])
    (0.5625, 576, 0.5)
    """
    n_rows, n = other.shape
    s, r, keep, reset = (np.zeros((n_rows, n)) for _ in range(4))
    z = np.zeros((n_rows, n), dtype=np.int64)
    for b in range(n_rows):
        for j in range(n):
            s[b, j] = _sigmoid(float(px[b, j]) + float(u[b, j]))
            r[b, j] = _sigmoid(float(px[b, n + j]) + float(u[b, n + j]))
            keep[b, j], z[b, j] = _kept(s[b, j], low, span, rule, real)
            reset[b, j] = r[b, j] * other[b, j]
    return s, r, keep, z, reset


def gru_candidate(
    px: np.ndarray, v: np.ndarray, s: np.ndarray, keep: np.ndarray, low: float, span: float, rule: int
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the candidate of one half and what it adds to the state.

    Parameters
    ----------
    px : ndarray, shape (B, 3 n)
        Sums of the inputs: z, r, g.
    v, s, keep : ndarray, shape (B, n)
        Sums of the reset half, sigmoid of the forget gate, share kept.
    low, span, rule
        As for :func:`gru_gates`.

    Returns
    -------
    g : ndarray of float64, shape (B, n)
    update : ndarray of int64, shape (B, n)
        ``round(w g 2^23)``.

    Examples
    --------
    >>> import numpy as np
    >>> one = np.ones((1, 1))
    >>> g, update = gru_candidate(np.zeros((1, 3)), 100 * one, 0.5 * one, 0.5 * one, 0.0, 1.0, 0)
    >>> float(g[0, 0]), int(update[0, 0])
    (1.0, 4194304)
    """
    n_rows, n = v.shape
    g, update = np.zeros((n_rows, n)), np.zeros((n_rows, n), dtype=np.int64)
    for b in range(n_rows):
        for j in range(n):
            g[b, j] = math.tanh(float(px[b, 2 * n + j]) + float(v[b, j]))
            weight = _weight(float(keep[b, j]), float(s[b, j]), low, span, rule)
            update[b, j] = round(weight * g[b, j] * _STATE_ONE)
    return g, update


def gru_new_real(
    s: np.ndarray,
    keep: np.ndarray,
    g: np.ndarray,
    h: np.ndarray,
    low: float,
    span: float,
    rule: int,
    alive: Any,
) -> np.ndarray:
    """Compute one half in real arithmetic.

    Parameters
    ----------
    s, keep, g, h : ndarray, shape (B, n)
        Sigmoid of the forget gate, share kept, candidate, old half.
    low, span, rule
        As for :func:`gru_gates`.
    alive : ndarray of bool, shape (B,)

    Returns
    -------
    ndarray of float64, shape (B, n)

    Examples
    --------
    >>> import numpy as np
    >>> one = np.ones((1, 1))
    >>> gru_new_real(0.5 * one, 0.5 * one, one, 3 * one, 0.0, 1.0, 0, [True]).tolist()
    [[2.0]]
    """
    new = h.astype(np.float64)
    for b, j in np.ndindex(*h.shape):
        if alive[b]:
            weight = _weight(float(keep[b, j]), float(s[b, j]), low, span, rule)
            new[b, j] = float(keep[b, j]) * new[b, j] + weight * float(g[b, j])
    return new


def gru_candidate_gradient(
    e: np.ndarray, alive: Any, h: np.ndarray, s: np.ndarray, g: np.ndarray, keep: np.ndarray,
    low: float, span: float, rule: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Compute gradients by the forget gate's sum, the candidate's sum and the old half.

    Parameters
    ----------
    e : ndarray, shape (B, n)
        Gradient by the new half.
    alive : ndarray of bool, shape (B,)
    h, s, g, keep : ndarray, shape (B, n)
        Old half, sigmoid of the forget gate, candidate, share kept.
    low, span, rule
        As for :func:`gru_gates`.

    Returns
    -------
    q_z, q_g, e : ndarray of float64, shape (B, n)

    Examples
    --------
    >>> import numpy as np
    >>> one = np.ones((1, 1))
    >>> q_z, q_g, e = gru_candidate_gradient(one, [True], 3 * one, 0.5 * one, 0 * one, 0.5 * one, 0.0, 1.0, 0)
    >>> float(q_z[0, 0]), float(q_g[0, 0]), float(e[0, 0])
    (0.75, 0.5, 0.5)
    """
    q_z, q_g, back = np.zeros(h.shape), np.zeros(h.shape), e.astype(np.float64)
    for b, j in np.ndindex(*h.shape):
        if alive[b]:
            sigmoid, candidate = float(s[b, j]), float(g[b, j])
            by_keep = back[b, j] * (-candidate if rule == 2 else float(h[b, j]) - candidate)
            q_z[b, j] = span * by_keep * sigmoid * (1 - sigmoid)
            weight = _weight(float(keep[b, j]), sigmoid, low, span, rule)
            q_g[b, j] = back[b, j] * weight * (1 - candidate**2)
            back[b, j] *= float(keep[b, j])
    return q_z, q_g, back


def gru_reset_gradient(
    v: np.ndarray, other: np.ndarray, r: np.ndarray, alive: Any, e_other: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute gradients by the reset gate's sum and by the other half.

    Parameters
    ----------
    v, other, r : ndarray, shape (B, n)
        Gradient by ``r other``, values of the other half, reset gate.
    alive : ndarray of bool, shape (B,)
    e_other : ndarray, shape (B, n)
        What is added to.

    Returns
    -------
    q_r, e_other : ndarray of float64, shape (B, n)

    Examples
    --------
    >>> import numpy as np
    >>> one = np.ones((1, 1))
    >>> q_r, e = gru_reset_gradient(one, 2 * one, 0.5 * one, [True], one)
    >>> float(q_r[0, 0]), float(e[0, 0])
    (0.5, 1.5)
    """
    q_r, back = np.zeros(v.shape), e_other.astype(np.float64)
    for b, j in np.ndindex(*v.shape):
        if alive[b]:
            gate = float(r[b, j])
            q_r[b, j] = float(v[b, j]) * float(other[b, j]) * gate * (1 - gate)
            back[b, j] += float(v[b, j]) * gate
    return q_r, back


def lstm_gates(
    px: np.ndarray, u: np.ndarray, low: float, span: float, rule: int, real: bool
) -> tuple[np.ndarray, ...]:
    """Compute the five gates of one half, what they keep, and what is added to the cell.

    Parameters
    ----------
    px, u : ndarray, shape (B, 5 n)
        Sums of the inputs and of the other half: z, g, f, o, p.
    low, span, rule, real
        As for :func:`gru_gates`.

    Returns
    -------
    gates : ndarray of float64, shape (B, 5 n)
    keep_c, keep_h : ndarray of float64, shape (B, n)
    z_c, z_h, update : ndarray of int64, shape (B, n)

    Examples
    --------
    >>> import numpy as np
    >>> gates, keep_c, keep_h, z_c, z_h, update = lstm_gates(np.zeros((1, 5)), np.zeros((1, 5)), 0.0, 1.0, 0, False)
    >>> gates.tolist(), z_c.tolist(), update.tolist()
    ([[0.5, 0.0, 0.5, 0.5, 0.5]], [[512]], [[0]])
    """
    n_rows, n = px.shape[0], px.shape[1] // 5
    gates = np.zeros((n_rows, 5 * n))
    keep_c, keep_h = np.zeros((n_rows, n)), np.zeros((n_rows, n))
    z_c, z_h, update = (np.zeros((n_rows, n), dtype=np.int64) for _ in range(3))
    for b in range(n_rows):
        for i in range(5 * n):
            total = float(px[b, i]) + float(u[b, i])
            gates[b, i] = math.tanh(total) if i // n == 1 else _sigmoid(total)
        for j in range(n):
            keep_c[b, j], z_c[b, j] = _kept(gates[b, j], low, span, rule, real)
            keep_h[b, j], z_h[b, j] = _kept(gates[b, 4 * n + j], low, span, rule, real)
            update[b, j] = round(gates[b, 2 * n + j] * gates[b, n + j] * _STATE_ONE)
    return gates, keep_c, keep_h, z_c, z_h, update


def lstm_output(gates: np.ndarray, c_new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute what the new cell adds to the output.

    Parameters
    ----------
    gates : ndarray, shape (B, 5 n)
        z, g, f, o, p.
    c_new : ndarray, shape (B, n)

    Returns
    -------
    squashed : ndarray of float64, shape (B, n)
    update : ndarray of int64, shape (B, n)

    Examples
    --------
    >>> import numpy as np
    >>> lstm_output(np.ones((1, 5)), 100 * np.ones((1, 1)))[1].tolist()
    [[8388608]]
    """
    n = c_new.shape[1]
    squashed, update = np.zeros(c_new.shape), np.zeros(c_new.shape, dtype=np.int64)
    for b, j in np.ndindex(*c_new.shape):
        squashed[b, j] = math.tanh(float(c_new[b, j]))
        update[b, j] = round(float(gates[b, 3 * n + j]) * float(squashed[b, j]) * _STATE_ONE)
    return squashed, update


def lstm_new_real(
    gates: np.ndarray, keep_c: np.ndarray, keep_h: np.ndarray, h: np.ndarray, c: np.ndarray, alive: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute one half in real arithmetic.

    Parameters
    ----------
    gates : ndarray, shape (B, 5 n)
        z, g, f, o, p.
    keep_c, keep_h, h, c : ndarray, shape (B, n)
        What is kept of cell and output; old output and cell.
    alive : ndarray of bool, shape (B,)

    Returns
    -------
    squashed, h_new, c_new : ndarray of float64, shape (B, n)

    Examples
    --------
    >>> import numpy as np
    >>> one = np.ones((1, 1))
    >>> squashed, h, c = lstm_new_real(np.ones((1, 5)), 0.5 * one, 0.25 * one, 4 * one, 0 * one, [True])
    >>> float(c[0, 0]), round(float(h[0, 0]), 4)
    (1.0, 1.7616)
    """
    n = h.shape[1]
    h_new, c_new, squashed = h.astype(np.float64), c.astype(np.float64), np.zeros(h.shape)
    for b, j in np.ndindex(*h.shape):
        if alive[b]:
            _, g, f, o, _ = (float(gates[b, k * n + j]) for k in range(5))
            c_new[b, j] = float(keep_c[b, j]) * float(c[b, j]) + f * g
            h_new[b, j] = float(keep_h[b, j]) * float(h[b, j]) + o * math.tanh(c_new[b, j])
        squashed[b, j] = math.tanh(c_new[b, j])
    return squashed, h_new, c_new


def lstm_half_gradient(
    e_h: np.ndarray, e_c: np.ndarray, alive: Any, h: np.ndarray, c: np.ndarray, gates: np.ndarray,
    squashed: np.ndarray, keep_c: np.ndarray, keep_h: np.ndarray, span: float, rule: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Compute gradients by the sums of the gates, the old output and the old cell of one half.

    Parameters
    ----------
    e_h, e_c : ndarray, shape (B, n)
        Gradients by the new output and cell.
    alive : ndarray of bool, shape (B,)
    h, c : ndarray, shape (B, n)
        Old output and cell.
    gates : ndarray, shape (B, 5 n)
        z, g, f, o, p.
    squashed, keep_c, keep_h : ndarray, shape (B, n)
        ``tanh`` of the new cell; what is kept.
    span, rule
        As for :func:`gru_gates`.

    Returns
    -------
    q : ndarray of float64, shape (B, 5 n)
    e_h, e_c : ndarray of float64, shape (B, n)

    Examples
    --------
    >>> import numpy as np
    >>> one, zero = np.ones((1, 1)), np.zeros((1, 1))
    >>> gates = np.full((1, 5), 0.5)
    >>> q, e_h, e_c = lstm_half_gradient(one, zero, [True], one, one, gates, zero, one, one, 1.0, 0)
    >>> q.tolist(), e_c.tolist()
    ([[0.125, 0.1875, 0.0625, 0.0, 0.25]], [[0.5]])
    """
    n_rows, n = h.shape
    q, back_h, back_c = np.zeros((n_rows, 5 * n)), e_h.astype(np.float64), e_c.astype(np.float64)
    for b, j in np.ndindex(n_rows, n):
        if not alive[b]:
            continue
        z, g, f, o, p = (float(gates[b, k * n + j]) for k in range(5))
        tanh_c = float(squashed[b, j])
        by_h = back_h[b, j]
        by_c = back_c[b, j] + by_h * o * (1 - tanh_c**2)
        by_z, by_p = (0.0, 0.0) if rule == 2 else (by_c * float(c[b, j]), by_h * float(h[b, j]))
        q[b, j] = span * by_z * z * (1 - z)
        q[b, n + j] = by_c * f * (1 - g**2)
        q[b, 2 * n + j] = by_c * g * f * (1 - f)
        q[b, 3 * n + j] = by_h * tanh_c * o * (1 - o)
        q[b, 4 * n + j] = span * by_p * p * (1 - p)
        back_h[b, j] = by_h * float(keep_h[b, j])
        back_c[b, j] = by_c * float(keep_c[b, j])
    return q, back_h, back_c


def forgotten(z: np.ndarray, alive: Any) -> np.ndarray:
    """Return what each unit forgets: the sum of ``-log2(z / 1024)`` over the rows that are alive.

    Parameters
    ----------
    z : ndarray of int, shape (B, n)
    alive : ndarray of bool, shape (B,)

    Returns
    -------
    ndarray of float64, shape (n,)

    Examples
    --------
    >>> import numpy as np
    >>> forgotten(np.array([[512, 1024], [256, 1024], [1, 1]]), [True, True, False]).tolist()
    [3.0, 0.0]
    """
    bits = np.zeros(z.shape[1])
    for b, j in np.ndindex(*z.shape):
        if alive[b]:
            bits[j] += math.log2(1024 / int(z[b, j]))
    return bits

"""Attacks that flip binary features of a network with one hidden layer. Twins are in :mod:`scinn.reference.flips`.

A flip of feature i changes the preactivation of neuron j by ``-2 x_i w_ij``, nothing else; all changes of activations that
single flips cause are computed together, with features as the vector axis. For ``f = tanh`` one exponential a neuron does:
with ``E = exp(2 z)`` and ``F = exp(2 step)``,

    tanh(z + step) - tanh(z) = 2 E (F - 1) / ((E + 1) (E F + 1)),

where F takes two values for each weight. It has no cancellation, unlike the difference. It is used where neither factor can
overflow; a neuron that no flip brings out of saturation is skipped, and the rest goes through tanh itself.

Everywhere ``network`` is the tuple (weights, output, bias, kind, tie): W^T (n_hidden, n), V (n_hidden, n_classes), c
(n_classes,), all of one dtype, the number of the activation and sgn(0). ``signs`` (m, n) are int8, ``z`` (m, n_hidden) the
preactivations; for tanh its slope is already multiplied into ``z`` and W^T. ``limits`` is the tuple (may_add, may_remove,
prices): whether a sign +1 / -1 may change, (n,) bool, and what it costs, (n,) float64.
"""

from __future__ import annotations

import numpy as np

from scinn.kernels._jit import jit
from scinn.kernels.elementary import exp, tanh

__all__ = ["RELU", "SIGN", "TANH", "exhaustive_flips", "greedy_flips", "jsma"]

SIGN, TANH, RELU = 0, 1, 2


@jit
def _activate(z, kind, level):
    """Return f(z); ``level`` is sgn(0) in the dtype of z."""
    if kind == TANH:
        return tanh(z)
    zero = level - level
    if kind == RELU:
        return z if z > zero else zero
    return np.sign(z) if z != zero else level


@jit
def _limits(weights):
    """Return below which |2 z| the exponentials of this dtype are safe, and beyond which |z| tanh is 1."""
    if weights.itemsize == 4:
        return 40.0, 10.0
    return 350.0, 20.0


@jit
def _largest(weights, first, last, out):
    """Fill ``out`` with the largest weight of each neuron."""
    for j in range(weights.shape[0]):
        most = weights.dtype.type(0)
        for i in range(first, last):
            most = max(most, abs(weights[j, i]))
        out[j] = most


@jit
def _fill_factors(x, weights, factors):
    """Fill ``factors`` with F = exp(-4 x_i w_ij), for steps of -2 x_i w_ij."""
    four = weights.dtype.type(4)
    for j in range(weights.shape[0]):
        for i in range(weights.shape[1]):
            factors[j, i] = exp(-four * x[i] * weights[j, i])


@jit
def _select_factors(x, up, down, factors):
    """Fill ``factors`` from those of signs -1 (``up``) and +1 (``down``)."""
    for j in range(up.shape[0]):
        for i in range(up.shape[1]):
            factors[j, i] = down[j, i] if x[i] > 0 else up[j, i]


@jit
def _add_quotients(e, row, weight, out, first):
    """Add ``weight (F - 1) / (E F + 1)`` to ``out`` for each feature from ``first`` on."""
    one = row.dtype.type(1)
    for i in range(first, len(row)):
        out[i] += weight * ((row[i] - one) / (e * row[i] + one))


@jit
def _add_two_quotients(e, row, weight0, weight1, out0, out1, first):
    one = row.dtype.type(1)
    for i in range(first, len(row)):
        quotient = (row[i] - one) / (e * row[i] + one)
        out0[i] += weight0 * quotient
        out1[i] += weight1 * quotient


@jit
def _add_tanh(z, x, row, weight, out, first):
    two, old = row.dtype.type(2), tanh(z)
    for i in range(first, len(row)):
        out[i] += weight * (tanh(z - two * x[i] * row[i]) - old)


@jit
def _add_relu(z, x, row, weight, out, first):
    two, zero = row.dtype.type(2), row.dtype.type(0)
    old = z if z > zero else zero
    for i in range(first, len(row)):
        new = z - two * x[i] * row[i]
        out[i] += weight * ((new if new > zero else zero) - old)


@jit
def _add_sign(z, tie, x, row, weight, out, first):
    two, one, zero = row.dtype.type(2), row.dtype.type(1), row.dtype.type(0)
    level = row.dtype.type(tie)
    old = one if z > zero else (-one if z < zero else level)
    for i in range(first, len(row)):
        new = z - two * x[i] * row[i]
        out[i] += weight * ((one if new > zero else (-one if new < zero else level)) - old)


@jit
def _changes(z, x, weights, factors, largest, projection, kind, tie, first, changes):
    """Fill ``changes[r, first:]`` with ``sum_j (f(z_j - 2 x_i w_ij) - f(z_j)) projection[j, r]`` for every feature i."""
    n_rows = changes.shape[0]
    safe, saturated = _limits(weights)
    one, two = weights.dtype.type(1), weights.dtype.type(2)
    for r in range(n_rows):
        changes[r, first:] = 0
    for j in range(weights.shape[0]):
        if kind != TANH:
            for r in range(n_rows):
                if kind == RELU:
                    _add_relu(z[j], x, weights[j], projection[j, r], changes[r], first)
                else:
                    _add_sign(z[j], tie, x, weights[j], projection[j, r], changes[r], first)
            continue
        if abs(z[j]) - two * largest[j] > saturated:
            continue
        if two * abs(z[j]) <= safe and two * two * largest[j] <= safe:
            e = exp(two * z[j])
            scale = two * e / (e + one)
            if n_rows == 2:
                _add_two_quotients(
                    e, factors[j], scale * projection[j, 0], scale * projection[j, 1], changes[0], changes[1], first
                )  # fmt: skip
            else:
                for r in range(n_rows):
                    _add_quotients(e, factors[j], scale * projection[j, r], changes[r], first)
        else:
            for r in range(n_rows):
                _add_tanh(z[j], x, weights[j], projection[j, r], changes[r], first)


@jit
def _logits(z, output, bias, kind, tie, logits):
    level = bias.dtype.type(tie)
    for k in range(len(bias)):
        logits[k] = 0
    for j in range(len(z)):
        a = _activate(z[j], kind, level)
        for k in range(len(bias)):
            logits[k] += a * output[j, k]
    for k in range(len(bias)):
        logits[k] += bias[k]


@jit
def _first_largest(values):
    best = 0
    for k in range(1, len(values)):
        if values[k] > values[best]:
            best = k
    return best


@jit
def _flip(i, x, z, weights):
    two = weights.dtype.type(2)
    for j in range(weights.shape[0]):
        z[j] -= two * x[i] * weights[j, i]
    x[i] = -x[i]


@jit
def _start(signs, may_add, may_remove, x, allowed):
    for i in range(len(signs)):
        x[i] = signs[i]
        allowed[i] = may_add[i] if signs[i] > 0 else may_remove[i]


@jit
def _tables(weights, kind):
    """Return the factors F of signs -1 and +1, and the largest weight of each neuron."""
    n_hidden, n = weights.shape
    up, down, largest = np.empty_like(weights), np.empty_like(weights), np.empty(n_hidden, weights.dtype)
    _largest(weights, 0, n, largest)
    if kind == TANH:
        _fill_factors(np.full(n, -1, weights.dtype), weights, up)
        _fill_factors(np.full(n, 1, weights.dtype), weights, down)
    return up, down, largest


@jit
def jsma(signs, z, network, labels, targets, limits, max_flips, order, n_flips):
    """Flip the feature of largest saliency ``-D_t D_o / price`` until the class changes.

    ``D_t`` is the change of the target's logit, ``D_o`` that of all others together; the saliency is 0 unless
    ``D_t > 0 > D_o``. No feature is flipped twice, the lowest of equal ones is taken. ``signs`` and ``z`` change in place;
    ``order`` (m, n) int32 gets the flips, ``n_flips`` (m,) int64 their number, or -1 where the class stays.
    """
    weights, output, bias, kind, tie = network
    may_add, may_remove, prices = limits
    n_hidden, n = weights.shape
    n_classes = len(bias)
    x, allowed, logits = np.empty(n, weights.dtype), np.empty(n, np.bool_), np.empty_like(bias)
    projection, changes = np.zeros((n_hidden, 2), weights.dtype), np.empty((2, n), weights.dtype)
    up, down, largest = _tables(weights, kind)
    factors = np.empty_like(weights)
    for s in range(len(signs)):
        _start(signs[s], may_add, may_remove, x, allowed)
        if kind == TANH:
            _select_factors(x, up, down, factors)
        for j in range(n_hidden):
            projection[j, 0] = output[j, targets[s]]
            projection[j, 1] = 0
            for k in range(n_classes):
                if k != targets[s]:
                    projection[j, 1] += output[j, k]
        n_flips[s] = -1
        for count in range(max_flips + 1):
            _logits(z[s], output, bias, kind, tie, logits)
            if _first_largest(logits) != labels[s]:
                n_flips[s] = count
                break
            if count == max_flips:
                break
            _changes(z[s], x, weights, factors, largest, projection, kind, tie, 0, changes)
            best, most = -1, -1.0
            for i in range(n):
                if allowed[i]:
                    gain = 0.0
                    if changes[0, i] > 0 and changes[1, i] < 0:
                        gain = -np.float64(changes[0, i]) * np.float64(changes[1, i]) / prices[i]
                    if gain > most:
                        best, most = i, gain
            if best < 0:
                break
            _flip(best, x, z[s], weights)
            signs[s, best] = -signs[s, best]
            allowed[best] = False
            order[s, count] = best


@jit
def _margin(logits, changes, i, label):
    """Return the label's logit minus the largest other one, after the flip of feature i."""
    other = -np.inf
    for k in range(len(logits)):
        if k != label:
            other = max(other, np.float64(logits[k]) + np.float64(changes[k, i]))
    return np.float64(logits[label]) + np.float64(changes[label, i]) - other


@jit
def _prune(signs, x, z, network, label, prices, order, n_flips):
    """Undo flips, the dearest first and the latest of equal price, as long as the class stays wrong.

    Returns the number of those that remain in ``order``.
    """
    weights, output, bias, kind, tie = network
    logits, old = np.empty_like(bias), np.empty(len(z), z.dtype)
    again = n_flips > 1
    while again:
        again = False
        tried = np.zeros(n_flips, np.bool_)
        for _ in range(n_flips):
            at = -1
            for c in range(n_flips):
                if not tried[c] and (at < 0 or prices[order[c]] >= prices[order[at]]):
                    at = c
            tried[at] = True
            i = order[at]
            old[:] = z
            _flip(i, x, z, weights)
            _logits(z, output, bias, kind, tie, logits)
            if _first_largest(logits) == label:
                x[i] = -x[i]
                z[:] = old
                continue
            signs[i] = -signs[i]
            n_flips -= 1
            for c in range(at, n_flips):
                order[c] = order[c + 1]
            order[n_flips] = -1
            again = n_flips > 1
            break
    return n_flips


@jit
def greedy_flips(signs, z, network, labels, limits, max_flips, prune, order, n_flips):
    """Flip the feature that lowers the margin most for its price until the class changes, then undo what was not needed.

    A flip that raises the margin by r counts as ``-r price``. Arguments as for :func:`jsma`.
    """
    weights, output, bias, kind, tie = network
    may_add, may_remove, prices = limits
    n = weights.shape[1]
    x, allowed, logits = np.empty(n, weights.dtype), np.empty(n, np.bool_), np.empty_like(bias)
    changes, none = np.empty((len(bias), n), weights.dtype), np.zeros((len(bias), 1), weights.dtype)
    up, down, largest = _tables(weights, kind)
    factors = np.empty_like(weights)
    for s in range(len(signs)):
        _start(signs[s], may_add, may_remove, x, allowed)
        if kind == TANH:
            _select_factors(x, up, down, factors)
        n_flips[s] = -1
        for count in range(max_flips + 1):
            _logits(z[s], output, bias, kind, tie, logits)
            if _first_largest(logits) != labels[s]:
                n_flips[s] = count
                break
            if count == max_flips:
                break
            _changes(z[s], x, weights, factors, largest, output, kind, tie, 0, changes)
            margin = _margin(logits, none, 0, labels[s])
            best, most = -1, -np.inf
            for i in range(n):
                if allowed[i]:
                    gain = margin - _margin(logits, changes, i, labels[s])
                    gain = gain / prices[i] if gain > 0 else gain * prices[i]
                    if gain > most:
                        best, most = i, gain
            if best < 0:
                break
            _flip(best, x, z[s], weights)
            signs[s, best] = -signs[s, best]
            allowed[best] = False
            order[s, count] = best
        if prune:
            n_flips[s] = _prune(signs[s], x, z[s], network, labels[s], prices, order[s], n_flips[s])


@jit
def _reaches(x, weights, most):
    """Return by how much r flips among the features from i on can raise and lower each neuron: (2, r, n_hidden, i).

    The sum of the r largest steps, and of none where it would be of the wrong sign.
    """
    n_hidden, n = weights.shape
    reach = np.zeros((2, most + 1, n_hidden, n + 1), weights.dtype)
    two = weights.dtype.type(2)
    top = np.empty(most, weights.dtype)
    for side in range(2):
        for j in range(n_hidden):
            top[:] = 0
            for i in range(n - 1, -1, -1):
                step = -two * x[i] * weights[j, i]
                step = step if side == 0 else -step
                for r in range(most):
                    if step > top[r]:
                        step, top[r] = top[r], step
                for r in range(most):
                    reach[side, r + 1, j, i] = reach[side, r, j, i] + top[r]
    return reach


@jit
def _may_evade(z, network, label, reach, left, first):
    """Tell whether ``left`` flips from feature ``first`` on can reach another class by the bound of single neurons.

    Each neuron goes as far as its own ``left`` best flips bring it; f is monotone. Rounding is left room for, so that only
    what is impossible is denied.
    """
    _, output, bias, kind, tie = network
    n_hidden, n_classes = output.shape
    level = output.dtype.type(tie)
    eps = 1e-5 if output.itemsize == 4 else 1e-13
    for k in range(n_classes):
        if k == label:
            continue
        bound, size = np.float64(bias[label]) - bias[k], np.float64(abs(bias[label])) + abs(bias[k])
        for j in range(n_hidden):
            u = output[j, label] - output[j, k]
            low = _activate(z[j] - reach[1, left, j, first], kind, level)
            high = _activate(z[j] + reach[0, left, j, first], kind, level)
            bound += u * low if u > 0 else u * high
            size += max(abs(u * low), abs(u * high))
        if bound <= eps * size:
            return True
    return False


@jit
def exhaustive_flips(signs, z, network, labels, limits, max_flips, max_nodes, order, n_flips, bound):
    """Find the cheapest set of at most ``max_flips`` flips that changes the class, the first of equal ones.

    Sets come by size, then in lexicographic order. ``bound`` (m,) int64 gets the smallest size with a success; where there
    is none, one more than the largest size tried. A branch is left out where :func:`_may_evade` denies it. The search of a
    sample ends after ``max_nodes`` branches; ``bound`` is then the size it was at. Other arguments as for :func:`jsma`; only
    ``signs`` of successes change, ``z`` does not.
    """
    may_add, may_remove, prices = limits
    for s in range(len(signs)):
        picked = np.flatnonzero(np.where(signs[s] > 0, may_add, may_remove))
        most = min(max_flips, len(picked))
        best = np.full(most, -1, np.int64)
        n_flips[s], bound[s] = _search(
            signs[s], z[s], network, labels[s], prices, picked, most, max_nodes, best
        )
        for d in range(n_flips[s]):
            order[s, d] = picked[best[d]]
            signs[s, picked[best[d]]] = -signs[s, picked[best[d]]]


@jit
def _search(signs, z, network, label, prices, picked, most, max_nodes, best):
    """Search the sets of at most ``most`` of the ``picked`` features; ``best`` gets positions within ``picked``."""
    weights, output, bias, kind, tie = network
    n_hidden, n = weights.shape[0], len(picked)
    own, x, cost = np.empty((n_hidden, n), weights.dtype), np.empty(n, weights.dtype), prices[picked]
    for c in range(n):
        x[c] = signs[picked[c]]
        for j in range(n_hidden):
            own[j, c] = weights[j, picked[c]]
    factors, largest = np.empty_like(own), np.empty(n_hidden, weights.dtype)
    _largest(own, 0, n, largest)
    if kind == TANH:
        _fill_factors(x, own, factors)
    reach, cheapest = _reaches(x, own, most), np.sort(cost)
    changes, logits = np.empty((len(bias), n), weights.dtype), np.empty_like(bias)
    # Level d of the stack: the preactivations after the first d flips of the current set, which cost paid[d].
    stack, at, paid = (
        np.empty((most + 1, n_hidden), z.dtype),
        np.zeros(most + 1, np.int64),
        np.zeros(most + 1),
    )
    stack[0] = z
    least, n_best, first_size, floor, nodes = np.inf, -1, most + 1, 0.0, 0
    for size in range(1, most + 1):
        floor += cheapest[size - 1]
        if least <= floor:
            break
        d, at[0] = 0, 0
        while d >= 0:
            nodes += 1
            if nodes > max_nodes:
                return n_best, min(first_size, size)
            left = size - d
            possible = at[d] + left <= n and paid[d] + cheapest[0] * left < least
            possible = possible and _may_evade(stack[d], network, label, reach, left, at[d])
            if possible and left > 1:
                for j in range(n_hidden):
                    stack[d + 1, j] = stack[d, j] - weights.dtype.type(2) * x[at[d]] * own[j, at[d]]
                paid[d + 1], at[d + 1] = paid[d] + cost[at[d]], at[d] + 1
                d += 1
                continue
            if possible:
                _logits(stack[d], output, bias, kind, tie, logits)
                _changes(stack[d], x, own, factors, largest, output, kind, tie, at[d], changes)
                for c in range(at[d], n):
                    if paid[d] + cost[c] < least and _evades(logits, changes, c, label):
                        least, n_best, first_size = paid[d] + cost[c], size, min(first_size, size)
                        best[:d] = at[:d]
                        best[d] = c
            d -= 1
            if d >= 0:
                at[d] += 1
    return n_best, first_size


@jit
def _evades(logits, changes, i, label):
    """Tell whether the flip of feature i makes another class the first of the largest."""
    own = logits[label] + changes[label, i]
    for k in range(len(logits)):
        value = logits[k] + changes[k, i]
        if value > own or (k < label and value >= own):
            return True
    return False

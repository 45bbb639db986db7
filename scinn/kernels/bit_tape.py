"""Multiplication of fixed-point states by gates, with what it forgets put on a tape, and its exact inverse.

M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999, section 3.2.
A state ``h`` is an int32, a gate ``z`` an integer from 1 to 1024 that stands for ``z / 1024``. Arrays are (n_rows, n) and
contiguous, ``alive`` (n_rows,) tells which rows take part; the others keep their state. ``new`` gets the scaled state plus
``update``, ``value`` the same times 2^-23 as a float. Twins are in :mod:`scinn.reference.bit_tape`.

A *lane* is the coder of one row: a number ``x`` in [2^31, 2^63) over a stack of 32-bit words (an asymmetric numeral
system). Its row of ``lanes`` (n_rows, 5) int64 holds ``x``, the first free position in ``words``, the first and the end of
the lane's own positions there, and how many units it has on the tape. Position 0 of ``words`` belongs to no lane, so that
the word below an empty stack can be looked at. All arithmetic is int64 and stays below 2^63.

What is known before a lane is read is prepared a row at a time, where vectors help; then the lanes of some rows take turns
unit by unit, so that one fills the time that another waits. Words are stored whether they are needed or not and kept by
moving the top: that is seldom predictable, and costs less than a wrong guess.

A digit below ``base`` (1 to 1024) owns the slots ``[ceil(2^16 digit / base), ceil(2^16 (digit + 1) / base))`` of 2^16.
"""

from __future__ import annotations

import numpy as np

from scinn.kernels._jit import jit

__all__ = [
    "BAD_GATE",
    "DAMAGED",
    "DONE",
    "NO_ROOM",
    "floor_digit_divide",
    "floor_digit_multiply",
    "plain_multiply",
    "planes_divide",
    "planes_multiply",
    "rans_divide",
    "rans_multiply",
]

#: Answers of the kernels: all is well; what is added would not fit, a gate is not from 1 to 1024 (nothing was changed in
#: both); a plane does not belong to the states.
DONE, NO_ROOM, BAD_GATE, DAMAGED = -1, -2, -3, -4

_START = 1 << 31
_MASK = (1 << 32) - 1
#: With this many rows at work the latency of one lane hides behind the others; more would only cost cache.
_GROUP = 8
#: Units whose slots are prepared at a time.
_BLOCK = 64
_ROUND = 1 << 40
# floor(n / d) = (n * _RECIPROCALS[d]) >> 40 for 1 <= d <= 1024 and 0 <= n < 65537 d.
_RECIPROCALS = np.array([0] + [_ROUND // d + 1 for d in range(1, 1025)], dtype=np.int64)
#: Largest plane entries with ``entry * z + z - 1 < 2^63``.
_LARGEST = np.array([0] + [((1 << 63) - d) // d for d in range(1, 1025)], dtype=np.int64)
# Below 1 by more than the roundings of a product and by less than 2^-48: see _put_digit.
_NEARLY_ONE = 1.0 - 2.0**-50
_INVERSES = np.array([0.0] + [_NEARLY_ONE / d for d in range(1, 1025)])

_exact = jit(fastmath=frozenset())


@_exact
def _has_bad_gate(z):
    least, most = np.uint16(1), np.uint16(1)
    for b in range(z.shape[0]):
        for j in range(z.shape[1]):
            least, most = min(least, z[b, j]), max(most, z[b, j])
    return least < 1 or most > 1024


@_exact
def _first_outside(h, z, update, alive, whole):
    """Return the flat index of the first unit whose result might leave int32, or DONE, or BAD_GATE.

    ``whole`` asks for ``floor(h z / 1024) + update`` exactly; otherwise a digit below z is added to
    ``floor(h / 1024) z + update``, and all of its values are asked for.
    """
    if _has_bad_gate(z):
        return BAD_GATE
    for b in range(h.shape[0]):
        if not alive[b]:
            continue
        # Where all numbers are small, as nearly always, no sum can be large.
        least, most = np.int32(0), np.int32(0)
        for j in range(h.shape[1]):
            least, most = min(least, h[b, j], update[b, j]), max(most, h[b, j], update[b, j])
        if least > -(1 << 29) and most < 1 << 29:
            continue
        for j in range(h.shape[1]):
            a, u, gate = np.int64(h[b, j]), np.int64(update[b, j]), np.int64(z[b, j])
            low, room = (a >> 10) * gate, gate - 1
            if whole or gate == 1024:
                low, room = (a * gate) >> 10, np.int64(0)
            if low + u < -(1 << 31) or low + room + u >= 1 << 31:
                return b * h.shape[1] + j
    return DONE


@_exact
def _fill_values(new, value):
    scale = value.dtype.type(2.0**-23)
    for b in range(new.shape[0]):
        for j in range(new.shape[1]):
            value[b, j] = value.dtype.type(new[b, j]) * scale


@_exact
def _alive_rows(old, alive, new):
    """Return the numbers of the rows that take part; the others are copied to ``new``."""
    rows, count = np.empty(len(alive), np.int64), 0
    for b in range(len(alive)):
        if alive[b]:
            rows[count] = b
            count += 1
        else:
            for j in range(old.shape[1]):
                new[b, j] = old[b, j]
    return rows[:count]


@_exact
def _groups(n_rows):
    """Return into how many groups of nearly equal size the rows are split."""
    return (n_rows + _GROUP - 1) // _GROUP


@_exact
def plain_multiply(h, z, update, alive, whole, new, value):
    """Multiply without a tape: fill ``new`` and ``value``, or return the index of a unit that would leave int32.

    ``whole`` picks ``floor(h z / 1024)``; otherwise it is ``floor(h / 1024) z``, where z = 1024 keeps ``h``.
    """
    outside = _first_outside(h, z, update, alive, whole)
    if outside != DONE:
        return outside
    for b in range(h.shape[0]):
        if not alive[b]:
            new[b] = h[b]
            continue
        for j in range(h.shape[1]):
            a, gate = np.int64(h[b, j]), np.int64(z[b, j])
            scaled = (a * gate) >> 10 if whole or gate == 1024 else (a >> 10) * gate
            new[b, j] = scaled + np.int64(update[b, j])
    _fill_values(new, value)
    return DONE


@_exact
def _has_room(rows, lanes, n_units):
    """Tell whether no lane can run out of positions: a unit adds at most 10 + 2^-14 bits."""
    room = True
    for i in range(len(rows)):
        room &= lanes[rows[i], 1] + n_units // 3 + 3 <= lanes[rows[i], 3]
    return room


@_exact
def _take_digit(x, base, reciprocal):
    """Return a digit below ``base`` that the slot ``x mod 2^16`` names, and ``x`` without it."""
    slot = x & 65535
    digit = (slot * base) >> 16
    numerator = (digit << 16) + base - 1
    start = (numerator * reciprocal) >> 40
    end = ((numerator + 65536) * reciprocal) >> 40
    return digit, (end - start) * (x >> 16) + slot - start


@_exact
def _put_digit(x, start, width, inverse):
    """Return ``x`` with a digit whose ``width`` slots begin at ``start``; ``inverse`` is nearly ``1 / width``.

    ``x < 2^47 width``, so that the product is off the quotient by less than 1/4, and never above it.
    """
    quotient = np.int64(np.float64(x) * inverse)
    rest = x - quotient * width
    over = np.int64(rest >= width)
    return (quotient << 16) + rest + start + over * (65536 - width)


@_exact
def _flat_starts(rows, n):
    """Return where the rows begin in flat arrays; unsigned, so that no index is taken from the end."""
    starts = np.empty(len(rows), np.uint64)
    for i in range(len(rows)):
        starts[i] = np.uint64(rows[i] * n)
    return starts


@_exact
def _open_lanes(rows, lanes, state):
    """Copy number, top and bottom of the lanes of a group to where they stay in the cache."""
    for i in range(len(rows)):
        for k in range(3):
            state[i, k] = lanes[rows[i], k]


@_exact
def _close_lanes(rows, lanes, state, n_units):
    for i in range(len(rows)):
        lanes[rows[i], 0], lanes[rows[i], 1] = state[i, 0], state[i, 1]
        lanes[rows[i], 4] += n_units


@_exact
def rans_multiply(h, z, update, alive, lanes, words, new, value):
    """Scale by gates: ten bits of ``h`` go into the row's lane, a digit below ``z`` comes out and takes their place.

    Returns :data:`DONE`, :data:`NO_ROOM`, or the index of a unit that would leave int32; in the last two nothing happens
    on the tape.
    """
    outside = _first_outside(h, z, update, alive, False)
    if outside != DONE:
        return outside
    rows, n = _alive_rows(h, alive, new), h.shape[1]
    if not _has_room(rows, lanes, n):
        return NO_ROOM
    starts = _flat_starts(rows, n)
    states, gates, updates, results = h.reshape(-1), z.reshape(-1), update.reshape(-1), new.reshape(-1)
    state = np.empty((_GROUP, 4), np.int64)
    n_groups = _groups(len(rows))
    for g in range(n_groups):
        first, end = g * len(rows) // n_groups, (g + 1) * len(rows) // n_groups
        _open_lanes(rows[first:end], lanes, state)
        own = starts[first:end]
        for j in range(n):
            for i in range(len(own)):
                at = own[i] + np.uint64(j)
                old, gate = np.int64(states[at]), np.int64(gates[at])
                if gate == 1024:
                    results[at] = old + np.int64(updates[at])
                    continue
                x, top = state[i, 0], state[i, 1]
                low = x & _MASK
                words[np.uint64(top)] = low
                full = np.int64(x >= 1 << 53)
                digit, x = _take_digit(
                    ((x >> (full << 5)) << 10) | (old & 1023), gate, _RECIPROCALS[np.uint64(gate)]
                )
                # Only a lane that has just put a word can want one back: it is the same word.
                if x < _START:
                    x, full = (x << 32) | low, np.int64(0)
                state[i, 0], state[i, 1] = x, top + full
                results[at] = (old >> 10) * gate + digit + np.int64(updates[at])
        _close_lanes(rows[first:end], lanes, state, n)
    _fill_values(new, value)
    return DONE


@_exact
def _inverse(width):
    """Return nearly ``1 / width``: most widths are in the table, which stays in the cache, and division is slow."""
    return _INVERSES[np.uint64(width)] if width <= 1024 else _NEARLY_ONE / np.float64(width)


@_exact
def _undo_row(new, z, update, h, starts, widths):
    """Split what is left without the update into quotient (times 1024, to ``h``) and digit (its slots); width 0: whole."""
    for j in range(len(new)):
        scaled = np.int32(np.int64(new[j]) - np.int64(update[j]))
        gate, inverse = np.float64(z[j]), _INVERSES[z[j]]
        # A half more than the integer stays away from the next quotient by more than the rounding.
        quotient = np.floor((np.float64(scaled) + 0.5) * inverse)
        slot = 65536.0 * (np.float64(scaled) - quotient * gate) + gate - 0.5
        start, end = np.floor(slot * inverse), np.floor((slot + 65536.0) * inverse)
        whole = z[j] == 1024
        h[j] = scaled if whole else np.int32(quotient) << 10
        starts[j] = 0 if whole else np.int32(start)
        widths[j] = 0 if whole else np.int32(end - start)


@_exact
def rans_divide(new, z, update, alive, lanes, words, h, value):
    """Undo :func:`rans_multiply`, units in opposite order.

    Returns :data:`DONE`, :data:`NO_ROOM`, or the number of a row whose lane does not hold what is asked for.
    """
    if _has_bad_gate(z):
        return BAD_GATE
    rows, n = _alive_rows(new, alive, h), new.shape[1]
    for i in range(len(rows)):
        if lanes[rows[i], 4] < n:
            return rows[i]
    if not _has_room(rows, lanes, n >> 14):
        return NO_ROOM
    n_groups = _groups(len(rows))
    starts, widths = np.empty(_GROUP * _BLOCK, np.int32), np.empty(_GROUP * _BLOCK, np.int32)
    state = np.empty((_GROUP, 4), np.int64)
    for g in range(n_groups):
        first, end = g * len(rows) // n_groups, (g + 1) * len(rows) // n_groups
        _open_lanes(rows[first:end], lanes, state)
        for block in range((n + _BLOCK - 1) // _BLOCK - 1, -1, -1):
            at = block * _BLOCK
            stop = min(at + _BLOCK, n)
            for i in range(first, end):
                b, k = rows[i], (i - first) * _BLOCK
                _undo_row(
                    new[b, at:stop], z[b, at:stop], update[b, at:stop], h[b, at:stop],
                    starts[k : k + _BLOCK], widths[k : k + _BLOCK],
                )  # fmt: skip
            for j in range(stop - at - 1, -1, -1):
                for i in range(end - first):
                    k = np.uint64(i * _BLOCK + j)
                    width = np.int64(widths[k])
                    if width == 0:
                        continue
                    x, top = state[i, 0], state[i, 1]
                    words[np.uint64(top)] = x & _MASK
                    full = np.int64((x >> 47) >= width)
                    top += full
                    word = np.int64(words[np.uint64(top - 1)])
                    x = _put_digit(x >> (full << 5), np.int64(starts[k]), width, _inverse(width))
                    starts[k] = x & 1023
                    x >>= 10
                    short = x < _START
                    x = (x << 32) | word if short else x
                    top -= np.int64(short)
                    if top < state[i, 2]:
                        return rows[first + i]
                    state[i, 0], state[i, 1] = x, top
            for i in range(first, end):
                b, k = rows[i], (i - first) * _BLOCK
                for j in range(stop - at):
                    h[b, at + j] |= starts[k + j]
        _close_lanes(rows[first:end], lanes, state, -n)
    _fill_values(h, value)
    return _first_wrong(rows, lanes)


@_exact
def _first_wrong(rows, lanes):
    """Return the number of a row whose lane holds no units, but is not as it was at the start; or DONE."""
    for i in range(len(rows)):
        b = rows[i]
        if lanes[b, 4] == 0 and (lanes[b, 0] != _START or lanes[b, 1] != lanes[b, 2]):
            return b
    return DONE


@_exact
def _floor_row(h, z, update, new, starts, widths):
    """Fill ``new``, and the slots of the digit that says which of its sources ``h`` was.

    Where there is one source, its digit owns all slots and changes no lane: to skip it would be a guess too many.
    """
    for j in range(len(h)):
        scaled = (np.int64(h[j]) * np.int64(z[j])) >> 10
        new[j] = scaled + np.int64(update[j])
        source, end = _sources(scaled, z[j])
        count = end - source
        inverse = _INVERSES[np.int64(count)]
        slot = 65536.0 * (np.float64(h[j]) - source) + count - 0.5
        start = np.floor(slot * inverse)
        starts[j] = np.int32(start)
        widths[j] = np.int32(np.floor((slot + 65536.0) * inverse) - start)


@_exact
def _sources(scaled, gate):
    """Return the first integer ``h`` with ``floor(h gate / 1024) = scaled``, and the first with one more, as floats."""
    # ceil(n / d) = floor((n + d - 1) / d); half more stays away from the next quotient by more than the rounding.
    numerator = np.float64(scaled) * 1024.0 + np.float64(gate) - 0.5
    return np.floor(numerator * _INVERSES[gate]), np.floor((numerator + 1024.0) * _INVERSES[gate])


@_exact
def floor_digit_multiply(h, z, update, alive, lanes, words, new, value):
    """Replace ``h`` by ``floor(h z / 1024)``; which of its sources it was is put on the row's lane.

    Returns as :func:`rans_multiply`.
    """
    outside = _first_outside(h, z, update, alive, True)
    if outside != DONE:
        return outside
    rows, n = _alive_rows(h, alive, new), h.shape[1]
    if not _has_room(rows, lanes, n):
        return NO_ROOM
    n_groups = _groups(len(rows))
    starts, widths = np.empty(_GROUP * _BLOCK, np.int32), np.empty(_GROUP * _BLOCK, np.int32)
    state = np.empty((_GROUP, 4), np.int64)
    for g in range(n_groups):
        first, end = g * len(rows) // n_groups, (g + 1) * len(rows) // n_groups
        _open_lanes(rows[first:end], lanes, state)
        for at in range(0, n, _BLOCK):
            stop = min(at + _BLOCK, n)
            for i in range(first, end):
                b, k = rows[i], (i - first) * _BLOCK
                _floor_row(
                    h[b, at:stop], z[b, at:stop], update[b, at:stop], new[b, at:stop],
                    starts[k : k + _BLOCK], widths[k : k + _BLOCK],
                )  # fmt: skip
            for j in range(stop - at):
                for i in range(end - first):
                    k = np.uint64(i * _BLOCK + j)
                    width = np.int64(widths[k])
                    x, top = state[i, 0], state[i, 1]
                    words[np.uint64(top)] = x & _MASK
                    full = np.int64((x >> 47) >= width)
                    x = _put_digit(
                        x >> (full << 5), np.int64(starts[k]), width, _NEARLY_ONE / np.float64(width)
                    )
                    state[i, 0], state[i, 1] = x, top + full
        _close_lanes(rows[first:end], lanes, state, n)
    _fill_values(new, value)
    return DONE


@_exact
def _sources_row(new, z, update, h, counts):
    """Fill ``h`` with the first source of what is left without the update, and the number of sources."""
    for j in range(len(new)):
        scaled = np.int32(np.int64(new[j]) - np.int64(update[j]))
        source, end = _sources(scaled, z[j])
        # Whoever undoes in the wrong order may be told of states outside of int32: they wrap.
        h[j] = np.int32(np.int64(source))
        counts[j] = np.int32(end - source)


@_exact
def floor_digit_divide(new, z, update, alive, lanes, words, h, value):
    """Undo :func:`floor_digit_multiply`, units in opposite order. Returns as :func:`rans_divide`."""
    if _has_bad_gate(z):
        return BAD_GATE
    rows, n = _alive_rows(new, alive, h), new.shape[1]
    for i in range(len(rows)):
        if lanes[rows[i], 4] < n:
            return rows[i]
    n_groups = _groups(len(rows))
    # Numbers of sources are replaced by digits.
    digits, state = np.empty(_GROUP * _BLOCK, np.int32), np.empty((_GROUP, 4), np.int64)
    for g in range(n_groups):
        first, end = g * len(rows) // n_groups, (g + 1) * len(rows) // n_groups
        _open_lanes(rows[first:end], lanes, state)
        for block in range((n + _BLOCK - 1) // _BLOCK - 1, -1, -1):
            at = block * _BLOCK
            stop = min(at + _BLOCK, n)
            for i in range(first, end):
                b, k = rows[i], (i - first) * _BLOCK
                _sources_row(
                    new[b, at:stop], z[b, at:stop], update[b, at:stop], h[b, at:stop], digits[k : k + _BLOCK]
                )
            for j in range(stop - at - 1, -1, -1):
                for i in range(end - first):
                    k = np.uint64(i * _BLOCK + j)
                    count = np.int64(digits[k])
                    x, top = state[i, 0], state[i, 1]
                    word = np.int64(words[np.uint64(top - 1)])
                    digit, x = _take_digit(x, count, _RECIPROCALS[np.uint64(count)])
                    digits[k] = digit
                    short = x < _START
                    x = (x << 32) | word if short else x
                    top -= np.int64(short)
                    if top < state[i, 2]:
                        return rows[first + i]
                    state[i, 0], state[i, 1] = x, top
            for i in range(first, end):
                b, k = rows[i], (i - first) * _BLOCK
                for j in range(stop - at):
                    h[b, at + j] = np.int32(np.int64(h[b, at + j]) + np.int64(digits[k + j]))
        _close_lanes(rows[first:end], lanes, state, -n)
    _fill_values(h, value)
    return _first_wrong(rows, lanes)


@_exact
def planes_multiply(h, z, update, alive, plane, new, value):
    """Scale by gates with one number per unit, ``plane`` (n_rows, n) int64.

    Returns :data:`DONE`, the index of a unit that would leave int32, or :data:`NO_ROOM` where an entry of a row that takes
    part has reached 2^53; in the last two nothing happens on the tape.
    """
    outside = _first_outside(h, z, update, alive, False)
    if outside != DONE:
        return outside
    seen = np.int64(0)
    for b in range(h.shape[0]):
        if alive[b]:
            for j in range(h.shape[1]):
                seen |= plane[b, j]
    if seen >= 1 << 53:
        return NO_ROOM
    for b in range(h.shape[0]):
        if not alive[b]:
            new[b] = h[b]
            continue
        for j in range(h.shape[1]):
            old, gate = np.int64(h[b, j]), np.uint64(z[b, j])
            held = np.uint64((plane[b, j] << 10) + (old & 1023))
            left = held // gate
            plane[b, j] = np.int64(left)
            scaled = (old >> 10) * np.int64(gate) + np.int64(held - left * gate)
            new[b, j] = scaled + np.int64(update[b, j])
    _fill_values(new, value)
    return DONE


@_exact
def planes_divide(new, z, update, alive, plane, h, value):
    """Undo :func:`planes_multiply`; return :data:`DONE`, or :data:`DAMAGED` where an entry is too large."""
    if _has_bad_gate(z):
        return BAD_GATE
    for b in range(new.shape[0]):
        if not alive[b]:
            h[b] = new[b]
            continue
        for j in range(new.shape[1]):
            gate = np.int64(z[b, j])
            scaled = np.int64(np.int32(np.int64(new[b, j]) - np.int64(update[b, j])))
            quotient = np.int64(np.floor((np.float64(scaled) + 0.5) * (1.0 / np.float64(gate))))
            held = plane[b, j]
            if held > _LARGEST[gate]:
                return DAMAGED
            held = held * gate + scaled - quotient * gate
            plane[b, j] = held >> 10
            h[b, j] = np.int32((quotient << 10) | (held & 1023))
    _fill_values(h, value)
    return DONE

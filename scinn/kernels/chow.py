"""Counting kernels behind the exact Chow parameters of a linear threshold function.

N. Raviv, A. Kelley, M. Guo, Y. Vorobeychik, "Enhancing Robustness of Neural Networks through Fourier Stabilization",
ICML 2021, use the degree-1 Fourier coefficients of neurons; here they are counts (derived here). With
``y_i = sign(w_i) x_i``, integer weights ``A_i > 0`` and ``R`` the sum of the ``A_i`` with ``y_i = +1``, a neuron answers +1
exactly where ``R > quota``. Every kernel counts subsets: how many have ``R > quota``, and by how much those with i
outnumber those without it (``signed``).

Sums are integers of two words, ``high 2^bits + low`` with ``0 <= low < 2^bits``, so that nothing is ever rounded;
``bits = 0`` is the case of one word, where low words are zeros. The high word of the sum of all weights must stay below
2^62, and ``bits`` below 61. Weights and sums are int64.

Twins are in :mod:`scinn.reference.chow`.
"""

from __future__ import annotations

import numpy as np

from scinn.kernels._jit import jit

__all__ = [
    "block_scan",
    "count_residues",
    "fold_sorted",
    "fold_table",
    "pair_counts",
    "sample_counts",
    "sorted_subset_sums",
    "subset_cumulative",
    "window_sums",
]

_ONE = np.int64(1)
_BLOCK_BITS = 12
_TABLE_BITS = 10


@jit
def _merge(source_high, source_low, m, add_high, add_low, bits, high, low, steps):
    """Merge the sorted list ``source[:m]`` with itself plus a weight; ``steps`` says which of the two each entry is.

    The two lists are equally long, so m entries can be taken from the front and m from the back without looking for an
    end, and the two chains of loads and comparisons overlap. Nothing branches on the data.
    """
    mask = (_ONE << bits) - _ONE
    i, j, p, q = 0, 0, m - 1, m - 1
    if bits == 0:
        for t in range(m):
            x, y = source_high[i], source_high[j] + add_high
            take = y < x
            high[t] = y if take else x
            steps[t] = take
            j += take
            i = t + 1 - j
            x, y = source_high[p], source_high[q] + add_high
            take = y >= x
            back = 2 * m - 1 - t
            high[back] = y if take else x
            steps[back] = take
            q -= take
            p = 2 * m - 3 - t - q
    else:
        for t in range(m):
            x, x_low, y_low = source_high[i], source_low[i], source_low[j] + add_low
            y = source_high[j] + add_high + (y_low >> bits)
            y_low &= mask
            take = (y < x) | ((y == x) & (y_low < x_low))
            high[t] = y if take else x
            low[t] = y_low if take else x_low
            steps[t] = take
            j += take
            i = t + 1 - j
            x, x_low, y_low = source_high[p], source_low[p], source_low[q] + add_low
            y = source_high[q] + add_high + (y_low >> bits)
            y_low &= mask
            take = (y > x) | ((y == x) & (y_low >= x_low))
            back = 2 * m - 1 - t
            high[back] = y if take else x
            low[back] = y_low if take else x_low
            steps[back] = take
            q -= take
            p = 2 * m - 3 - t - q


@jit
def sorted_subset_sums(high, low, bits, steps):
    """Return all 2^n subset sums in ascending order, as high and low words, and note the merges in ``steps``.

    ``steps`` is uint8 of length 2^(n+1); the part from 2^(i+1) to 2^(i+2) belongs to weight i and holds 1 where the entry of
    the list with weights 0..i contains weight i. The low words have length 1 where ``bits`` is 0.
    """
    n = high.size
    size = 1 << n
    half = max(size >> 1, 1)
    full_high, half_high = np.empty(size, np.int64), np.empty(half, np.int64)
    full_low = np.zeros(size if bits > 0 else 1, np.int64)
    half_low = np.zeros(half if bits > 0 else 1, np.int64)
    # The two buffers take turns; the last merge must end in the full one.
    in_full = n % 2 == 0
    full_high[0], half_high[0] = 0, 0
    for i in range(n):
        m = 1 << i
        part = steps[2 * m : 4 * m]
        if in_full:
            _merge(full_high, full_low, m, high[i], low[i], bits, half_high, half_low, part)
        else:
            _merge(half_high, half_low, m, high[i], low[i], bits, full_high, full_low, part)
        in_full = not in_full
    return full_high, full_low


@jit
def pair_counts(
    left_high, left_low, right_high, right_low, bits, quota_high, quota_low, left_counts, right_counts
):
    """For each sum of one sorted list, count the sums of the other with ``left + right > quota``."""
    n_left, n_right = left_high.size, right_high.size
    a, b = 0, n_right - 1
    if bits == 0:
        while a < n_left and b >= 0:
            # Written at every step, so that the last visit leaves the right number without a branch.
            left_counts[a] = n_right - 1 - b
            right_counts[b] = n_left - a
            above = left_high[a] + right_high[b] > quota_high
            b -= above
            a += 1 - above
    else:
        while a < n_left and b >= 0:
            left_counts[a] = n_right - 1 - b
            right_counts[b] = n_left - a
            high = left_high[a] + right_high[b] - quota_high
            above = high > 0
            # Only then can the low words, whose sum lies below 2^(bits + 1), decide.
            if high == 0 or high == -1:
                above = (high << bits) + left_low[a] + right_low[b] > quota_low
            b -= above
            a += 1 - above
    while a < n_left:
        left_counts[a] = n_right
        a += 1
    while b >= 0:
        right_counts[b] = 0
        b -= 1


@jit
def fold_sorted(counts, steps, n, signed):
    """Undo the merges: fill ``signed[i]`` with the counts of entries with weight i minus those without; return the total."""
    current = counts
    for i in range(n - 1, -1, -1):
        m = 1 << i
        shorter = np.zeros(m, np.int64)
        part = steps[2 * m : 4 * m]
        j, inside, total = 0, np.int64(0), np.int64(0)
        for t in range(2 * m):
            take, count = np.int64(part[t]), current[t]
            shorter[j if take else t - j] += count
            inside += count if take else 0
            total += count
            j += take
        signed[i] = 2 * inside - total
        current = shorter
    return current[0]


@jit
def fold_table(table, n, signed):
    """Add to ``signed[i]`` the entries of ``table`` with bit i of their index set minus the others; destroys ``table``.

    Returns the total of the table.
    """
    for i in range(n - 1, -1, -1):
        m = 1 << i
        difference = np.int64(0)
        for t in range(m):
            difference += table[t + m] - table[t]
            table[t] += table[t + m]
        signed[i] += difference
    return table[0]


@jit
def _not_above(high, low, bits, target_high, target_low):
    """Return how many entries of a sorted list of 2^k sums are at most a target."""
    position, step = 0, high.size >> 1
    if bits == 0:
        while step > 0:
            position += step * (high[position + step - 1] <= target_high)
            step >>= 1
        return position + (high[position] <= target_high)
    while step > 0:
        x = high[position + step - 1]
        fits = (x < target_high) | ((x == target_high) & (low[position + step - 1] <= target_low))
        position += step * fits
        step >>= 1
    x = high[position]
    return position + ((x < target_high) | ((x == target_high) & (low[position] <= target_low)))


@jit
def block_scan(high, low, bits, quota_high, quota_low, signed):
    """Fill ``signed`` and return the number of subsets above the quota, in memory that does not grow with n.

    The sums of up to 12 weights are sorted once; the subsets of the others are counted through in binary order, one
    addition and one binary search for each.
    """
    n = high.size
    inner = min(n, _BLOCK_BITS)
    outer = n - inner
    size = 1 << inner
    steps = np.zeros(2 * size, np.uint8)
    sums_high, sums_low = sorted_subset_sums(high[:inner], low[:inner], bits, steps)
    mask = (_ONE << bits) - _ONE
    # Counting from c to c + 1 sets one bit and clears those below it: what that does to the sum.
    jump_high, jump_low = np.zeros(outer + 1, np.int64), np.zeros(outer + 1, np.int64)
    below_high, below_low = np.int64(0), np.int64(0)
    for i in range(outer):
        step_low = low[inner + i] - below_low
        jump_high[i] = high[inner + i] - below_high + (step_low >> bits)
        jump_low[i] = step_low & mask
        below_low += low[inner + i]
        below_high += high[inner + i] + (below_low >> bits)
        below_low &= mask
    first_above = np.zeros(size + 1, np.int64)
    table_bits = min(outer, _TABLE_BITS)
    table = np.zeros(1 << table_bits, np.int64)
    table_signed = np.zeros(table_bits, np.int64)
    signed[:] = 0
    target_high, target_low = quota_high, quota_low
    code, total = 0, np.int64(0)
    for block in range(1 << (outer - table_bits)):
        for t in range(table.size):
            place = _not_above(sums_high, sums_low, bits, target_high, target_low)
            first_above[place] += 1
            table[t] = size - place
            code += 1
            if code < (1 << outer):
                bit = 0
                while (code >> bit) & 1 == 0:
                    bit += 1
                target_low -= jump_low[bit]
                target_high += (target_low >> bits) - jump_high[bit]
                target_low &= mask
        part = fold_table(table, table_bits, table_signed)
        total += part
        for i in range(outer - table_bits):
            signed[inner + table_bits + i] += part if (block >> i) & 1 else -part
    signed[inner : inner + table_bits] = table_signed
    # How often each inner sum was above: the running sum of the places.
    running = np.int64(0)
    counts = np.empty(size, np.int64)
    for t in range(size):
        running += first_above[t]
        counts[t] = running
    fold_sorted(counts, steps, inner, signed[:inner])
    return total


@jit
def _add_weights(weights, modulus, first, second):
    """Multiply the polynomials 1 + z^a up to the degree of the buffers; the result is in the returned buffer.

    Coefficients are taken modulo ``modulus`` (at most 2^63), or modulo 2^64 where it is 0. Two buffers, because a loop that
    writes into what it reads is not vectorised.
    """
    quota = first.size - 1
    first[0] = 1
    reach = 0
    for index in range(weights.size):
        a = weights[index]
        top = min(reach + a, quota)
        for r in range(min(a, top + 1)):
            second[r] = first[r]
        if modulus == 0:
            for r in range(a, top + 1):
                second[r] = first[r] + first[r - a]
        else:
            for r in range(a, top + 1):
                value = first[r] + first[r - a]
                second[r] = value - modulus if value >= modulus else value
        reach = top
        first, second = second, first
    return first


@jit
def count_residues(weights, quota, modulus, decisive):
    """Count subsets with ``R <= quota`` and, for each i, subsets of the others that i lifts above it; modulo ``modulus``.

    With G(r) the number of subsets with ``R <= r``, weight a is decisive ``G(q) - 2 G(q-a) + 2 G(q-2a) - ...`` times.
    ``modulus`` is uint64, at most 2^63, 0 for 2^64; ``decisive`` uint64 of n entries; 0 <= quota.
    """
    counts = _add_weights(weights, modulus, np.zeros(quota + 1, np.uint64), np.zeros(quota + 1, np.uint64))
    for r in range(quota):
        value = counts[r] + counts[r + 1]
        counts[r + 1] = value - modulus if modulus != 0 and value >= modulus else value
    zero = np.uint64(0)
    for i in range(weights.size):
        a = weights[i]
        even, odd = zero, zero
        r = quota - a
        while r >= 0:
            odd += counts[r]
            if modulus != 0 and odd >= modulus:
                odd -= modulus
            r -= a
            if r < 0:
                break
            even += counts[r]
            if modulus != 0 and even >= modulus:
                even -= modulus
            r -= a
        value = counts[quota]
        for _ in range(2):
            value += even
            if modulus != 0 and value >= modulus:
                value -= modulus
            value += modulus - odd
            if modulus != 0 and value >= modulus:
                value -= modulus
        decisive[i] = value
    return counts[quota]


@jit
def subset_cumulative(weights, quota):
    """Return ``Pr[R <= r]`` for r = 0..quota, float64, of a uniformly random subset.

    All terms are positive: each probability carries one rounding a weight, and the running sum is compensated.
    """
    first, second = np.zeros(quota + 1), np.zeros(quota + 1)
    first[0] = 1.0
    reach = 0
    for index in range(weights.size):
        a = weights[index]
        top = min(reach + a, quota)
        for r in range(min(a, top + 1)):
            second[r] = 0.5 * first[r]
        for r in range(a, top + 1):
            second[r] = 0.5 * (first[r] + first[r - a])
        reach = top
        first, second = second, first
    total, rest = 0.0, 0.0
    for r in range(quota + 1):
        value = first[r]
        new = total + value
        # Both are positive; the smaller one loses digits.
        rest += (total - new) + value if total >= value else (value - new) + total
        total = new
        first[r] = total + rest
    return first


@jit
def window_sums(cumulative, weights, quota, values):
    """Fill ``values[i]`` with ``G(q) - 2 G(q-a) + 2 G(q-2a) - ...``, half of the Chow parameter of weight i.

    Returns the largest sum of the absolute values of the terms, for a bound on the rounding.
    """
    most = 0.0
    for i in range(weights.size):
        a = weights[i]
        total, size, sign = 0.0, 0.0, -2.0
        r = quota - a
        while r >= 0:
            total += sign * cumulative[r]
            size += 2.0 * cumulative[r]
            sign = -sign
            r -= a
        values[i] = cumulative[quota] + total
        most = max(most, size + cumulative[quota])
    return most


@jit
def sample_counts(chosen, high, low, bits, quota_high, quota_low, decisive, agreement):
    """Count over samples where R > quota; where i alone decides; and the sum of the answer times ``y_i``.

    ``chosen`` (n_samples, n) uint8 holds 1 where ``y_i = +1``. Adds to ``decisive`` and ``agreement``; returns the number of
    samples above the quota.
    """
    n_samples, n = chosen.shape
    mask = (_ONE << bits) - _ONE
    n_above = 0
    for s in range(n_samples):
        sum_high, sum_low = np.int64(0), np.int64(0)
        for i in range(n):
            sum_high += high[i] * chosen[s, i]
            sum_low += low[i] * chosen[s, i]
            if bits > 0:
                sum_high += sum_low >> bits
                sum_low &= mask
        # Distance to the quota, low word in [0, 2^bits): above means positive.
        gap_low = sum_low - quota_low
        gap_high = sum_high - quota_high + (gap_low >> bits if bits > 0 else 0)
        gap_low = gap_low & mask
        above = gap_high > 0 or (gap_high == 0 and gap_low > 0)
        n_above += above
        sign = 1 if above else -1
        for i in range(n):
            inside = chosen[s, i]
            # Above with i, and not above without it.
            other_low = gap_low - (low[i] if inside else -low[i])
            other_high = gap_high - (high[i] if inside else -high[i]) + (other_low >> bits if bits > 0 else 0)
            other_low = other_low & mask
            other = other_high > 0 or (other_high == 0 and other_low > 0)
            decisive[i] += other != above
            agreement[i] += sign if inside else -sign
    return n_above

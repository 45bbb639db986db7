"""Products of cosines over the weights of a neuron: the inner loops of its Fourier series.

For x uniform on {-1,+1}^n, ``E exp(i t <w,x>) = prod_j cos(w_j t)``, and with ``x_i`` in front one cosine becomes
``i sin(w_i t)``. A series in the harmonics ``t_k = k pi / P`` of a period needs these products at many k.

Everything is counted in half turns: ``w_j t_k = pi a_j k`` with ``a_j = w_j / P``. A ratio is split in two, ``high`` of 26
bits, so that ``high * k`` is exact up to k = 2^26, and the small rest ``low``, which is exact to 80 bits of the ratio where
the period has at most 26 bits. The phase is then right to about 1e-16 of a half turn for every k, and no recurrence has to
be resynchronised. Each cosine and sine is a polynomial after that reduction, with an error below 6e-16, in vectors over the
LANES harmonics of a block.

A block is left as soon as ``|product without its least factor|`` is small at all its harmonics: this number bounds the
product without any one factor, needs no division, and only falls as factors come in.

Twins of the same names are in :mod:`scinn.reference.spectral`.
"""

from __future__ import annotations

import numpy as np

from scinn.kernels._jit import jit
from scinn.kernels._vectors import (
    absolute,
    add,
    alternate,
    fma,
    largest,
    load,
    maximum,
    minimum,
    multiply,
    spread,
    store,
    subtract,
    total,
)

__all__ = ["LANES", "harmonic_sums", "pair_products", "shifted_products"]

LANES = 8
# How many weights come in between two looks at whether a block may be left.
_GROUP = 8
# Adding and subtracting 1.5 2^52 rounds to an integer, whose parity then stands in the lowest bit.
_ROUND = 6755399441055744.0
# cos(pi f) and sin(pi f) / f as polynomials in f^2, which interpolate at the Chebyshev nodes of 0 <= f^2 <= 1/4.
_C1, _C2, _C3, _C4, _C5, _C6, _C7, _C8 = (
    -4.934802200544676, 4.058712126416497, -1.335262768843447, 0.23533063012953284, -0.025806888737002202,
    0.0019295562724817132, -0.00010456655338748738, 4.149564353942586e-06,
)  # fmt: skip
_S0, _S1, _S2, _S3, _S4, _S5, _S6, _S7, _S8 = (
    3.141592653589793, -5.167712780049969, 2.5501640398773007, -0.5992645293189447, 0.0821458865731029,
    -0.007370430505916944, 0.0004662998161898394, -2.1903497074626018e-05, 7.697826768224191e-07,
)  # fmt: skip


@jit
def _cosine(f):
    """Return cos(pi f) for f of size at most 1/2."""
    z = multiply(f, f)
    p = fma(fma(spread(_C8), z, spread(_C7)), z, spread(_C6))
    p = fma(fma(fma(p, z, spread(_C5)), z, spread(_C4)), z, spread(_C3))
    return fma(fma(fma(p, z, spread(_C2)), z, spread(_C1)), z, spread(1.0))


@jit
def _sine(f):
    """Return sin(pi f) for f of size at most 1/2."""
    z = multiply(f, f)
    p = fma(fma(spread(_S8), z, spread(_S7)), z, spread(_S6))
    p = fma(fma(fma(p, z, spread(_S5)), z, spread(_S4)), z, spread(_S3))
    return multiply(fma(fma(fma(p, z, spread(_S2)), z, spread(_S1)), z, spread(_S0)), f)


@jit
def _reduce(high, low, k):
    """Return ``(high + low) k`` less its nearest integer, and a float that has this integer in its lowest bits."""
    y = multiply(spread(high), k)
    # For large k the second part counts whole numbers too.
    shifted = add(fma(spread(low), k, y), spread(_ROUND))
    return fma(spread(low), k, subtract(y, subtract(shifted, spread(_ROUND)))), shifted


# Fused, the differences would leave more digits in the first part.
@jit(fastmath=frozenset())
def _split(value, period):
    """Return ``value / period`` as a number of 26 bits and the rest."""
    ratio = value / period
    moved = ratio * 134217729.0
    high = moved - (moved - ratio)
    return high, (value - high * period) / period


@jit
def _ratios(values, period):
    """Return the values divided by the period, in two parts."""
    high, low = np.empty(values.shape[0]), np.empty(values.shape[0])
    for i in range(values.shape[0]):
        high[i], low[i] = _split(values[i], period)
    return high, low


@jit
def _harmonics(k, first, step, begin):
    """Fill ``k`` (LANES,) with the harmonics of a block, and return them as a vector."""
    for lane in range(LANES):
        k[lane] = first + step * (begin + lane)
    return load(k, 0)


@jit
def _scan(high, low, k, drop, rest_out, cosines):
    """Fill ``cosines`` (n * LANES,) and the products ``rest_out`` without their least factor.

    Stops and returns False once all products are small.
    """
    n = high.shape[0]
    rest = least = spread(1.0)
    for begin in range(0, n, _GROUP):
        for i in range(begin, min(begin + _GROUP, n)):
            f, shifted = _reduce(high[i], low[i], k)
            c = alternate(_cosine(f), shifted)
            store(cosines, i * LANES, c)
            size = absolute(c)
            rest = multiply(rest, maximum(size, least))
            least = minimum(size, least)
        if largest(rest) <= drop:
            store(rest_out, 0, rest)
            return False
    store(rest_out, 0, rest)
    return True


@jit
def harmonic_sums(weights, threshold, period, first, step, sine, cosine, even, drop, envelope, out):
    """Add the series of a neuron over the harmonics ``k = first + step r``, r = 0..count-1, to ``out`` (n + 2,).

    With ``t = pi k / period``, ``C_j = cos(w_j t)``, ``D_j = sin(w_j t)``, and Phi the product of all C_j: ``out[0]`` gets
    the sum of ``(cosine_r cos(theta t) - sine_r sin(theta t)) Phi``, ``out[1 + i]`` that of ``(sine_r cos(theta t) +
    cosine_r sin(theta t)) D_i prod_{j != i} C_j``, ``out[n + 1]`` that of ``even_r cos(theta t) Phi``.

    Blocks in which no product without one factor exceeds ``drop`` are left out; ``envelope`` (count,) is filled with bounds
    of such products, and the return value bounds what was left out of any one of the sums with sine and cosine.
    """
    n, count = weights.shape[0], sine.shape[0]
    high, low = _ratios(weights, period)
    shift = _split(threshold, period)
    cosines, before, sums = np.empty(n * LANES), np.empty(n * LANES), np.zeros(n * LANES)
    harmonics, rest, parts = np.empty(LANES), np.empty(LANES), np.empty((3, LANES))
    odd_part, even_part, margin_part = parts[0], parts[1], parts[2]
    sin_b, cos_b = np.empty(LANES), np.empty(LANES)
    left_out = 0.0
    value = margin = spread(0.0)
    for begin in range(0, count, LANES):
        k = _harmonics(harmonics, first, step, begin)
        kept = _scan(high, low, k, drop, rest, cosines)
        f, shifted = _reduce(shift[0], shift[1], k)
        store(sin_b, 0, alternate(_sine(f), shifted))
        store(cos_b, 0, alternate(_cosine(f), shifted))
        missing = 0.0
        for lane in range(LANES):
            r = begin + lane
            inside = r < count
            s, c, e = (sine[r], cosine[r], even[r]) if inside else (0.0, 0.0, 0.0)
            if inside:
                envelope[r] = rest[lane]
            missing += (abs(s) + abs(c)) * rest[lane]
            odd_part[lane] = s * cos_b[lane] + c * sin_b[lane]
            even_part[lane] = c * cos_b[lane] - s * sin_b[lane]
            margin_part[lane] = e * cos_b[lane]
        if not kept:
            left_out += missing
            continue
        run = spread(1.0)
        for i in range(n):
            store(before, i * LANES, run)
            run = multiply(run, load(cosines, i * LANES))
        value = fma(run, load(even_part, 0), value)
        margin = fma(run, load(margin_part, 0), margin)
        run = load(odd_part, 0)
        for i in range(n - 1, -1, -1):
            f, shifted = _reduce(high[i], low[i], k)
            product = multiply(load(before, i * LANES), run)
            d = alternate(_sine(f), shifted)
            store(sums, i * LANES, fma(d, product, load(sums, i * LANES)))
            run = multiply(run, load(cosines, i * LANES))
    out[0] += total(value)
    for i in range(n):
        out[1 + i] += total(load(sums, i * LANES))
    out[n + 1] += total(margin)
    return left_out


@jit
def shifted_products(weights, threshold, period, first, step, drop, out):
    """Fill ``out`` (count,) with ``cos(theta t) prod_j cos(w_j t)`` at ``t = pi (first + step r) / period``.

    Entries of blocks whose partial products are all of size at most ``drop`` are 0. Returns the sum of the sizes of these
    partial products, which bounds what is missing in the sum of all entries.
    """
    n, count = weights.shape[0], out.shape[0]
    high, low = _ratios(weights, period)
    shift = _split(threshold, period)
    harmonics, products = np.empty(LANES), np.empty(LANES)
    left_out = 0.0
    for begin in range(0, count, LANES):
        k = _harmonics(harmonics, first, step, begin)
        f, shifted = _reduce(shift[0], shift[1], k)
        run = alternate(_cosine(f), shifted)
        j, kept = 0, True
        while j < n and kept:
            end = min(j + _GROUP, n)
            for i in range(j, end):
                f, shifted = _reduce(high[i], low[i], k)
                run = multiply(run, alternate(_cosine(f), shifted))
            j = end
            kept = largest(absolute(run)) > drop
        if not kept:
            left_out += total(absolute(run))
            run = spread(0.0)
        if begin + LANES <= count:
            store(out, begin, run)
        else:
            store(products, 0, run)
            for r in range(begin, count):
                out[r] = products[r - begin]
    return left_out


@jit
def pair_products(weights, period, others, other_period, rows, starts, step, drop, out):
    """Fill ``out`` (n_rows, n_columns) with ``prod_j cos(w_j t + v_j s)``, v the others.

    ``t = pi rows[r] / period`` and ``s = pi (starts[r] + step c) / other_period``. Entries of blocks whose partial products
    are all of size at most ``drop`` are 0.
    """
    n, n_columns = weights.shape[0], out.shape[1]
    high, low = _ratios(weights, period)
    other_high, other_low = _ratios(others, other_period)
    harmonics, products, turned = np.empty(LANES), np.empty(LANES), np.empty(n)
    for r in range(rows.shape[0]):
        for i in range(n):
            # Whole turns go, an odd half turn has to stay.
            y = high[i] * rows[r]
            turned[i] = (y - 2.0 * np.floor(0.5 * y)) + low[i] * rows[r]
        for begin in range(0, n_columns, LANES):
            m = _harmonics(harmonics, starts[r], step, begin)
            run = spread(1.0)
            j, kept = 0, True
            while j < n and kept:
                end = min(j + _GROUP, n)
                for i in range(j, end):
                    y = multiply(spread(other_high[i]), m)
                    turns = subtract(fma(spread(0.5), y, spread(_ROUND)), spread(_ROUND))
                    f = add(fma(spread(other_low[i]), m, fma(spread(-2.0), turns, y)), spread(turned[i]))
                    shifted = add(f, spread(_ROUND))
                    whole = subtract(shifted, spread(_ROUND))
                    run = multiply(run, alternate(_cosine(subtract(f, whole)), shifted))
                j = end
                kept = largest(absolute(run)) > drop
            store(products, 0, run)
            for c in range(begin, min(begin + LANES, n_columns)):
                out[r, c] = products[c - begin] if kept else 0.0

"""Fused element-wise maps."""

from __future__ import annotations

from scinn.kernels._jit import jit

__all__ = ["dropout"]


@jit
def _dropout(x, mask, scale, out):
    values, keep, result = x.reshape(x.size), mask.reshape(mask.size), out.reshape(out.size)
    zero = out.dtype.type(0)
    for i in range(values.size):
        result[i] = values[i] * scale if keep[i] else zero


def dropout(x, mask, scale, out):
    """Fill ``out`` with scale * x where ``mask`` (bool or uint8) is set and 0 elsewhere; any common shape.

    Dropped entries are 0 even where ``x`` is not finite. The gradient is the same map of ``dy``.
    """
    _dropout(x, mask, x.dtype.type(scale), out)

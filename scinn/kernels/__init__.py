"""Numba kernels: arrays in, arrays out; no classes, no validation, nothing imported from the floors above."""

from scinn.kernels._jit import jit, prange, warm_cache_info

__all__ = ["jit", "prange", "warm_cache_info"]

"""Initial values of weights: functions of a shape and a generator."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["INITIALIZERS", "initialize"]

_Initializer = Callable[[np.random.Generator, tuple[int, ...], int, int], np.ndarray]


def _uniform(limit: float, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(-limit, limit, size=shape)


def _glorot_uniform(
    rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int
) -> np.ndarray:
    return _uniform(math.sqrt(6.0 / max(fan_in + fan_out, 1)), rng, shape)


def _glorot_normal(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    return rng.normal(0.0, math.sqrt(2.0 / max(fan_in + fan_out, 1)), size=shape)


def _he_uniform(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    return _uniform(math.sqrt(6.0 / max(fan_in, 1)), rng, shape)


def _he_normal(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    return rng.normal(0.0, math.sqrt(2.0 / max(fan_in, 1)), size=shape)


def _lecun_uniform(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    return _uniform(1.0 / math.sqrt(max(fan_in, 1)), rng, shape)


def _normal(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    return rng.normal(size=shape)


def _zeros(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    return np.zeros(shape)


def _ones(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    return np.ones(shape)


INITIALIZERS: dict[str, _Initializer] = {
    "glorot_uniform": _glorot_uniform,
    "glorot_normal": _glorot_normal,
    "he_uniform": _he_uniform,
    "he_normal": _he_normal,
    "lecun_uniform": _lecun_uniform,
    "normal": _normal,
    "zeros": _zeros,
    "ones": _ones,
}


def initialize(
    init: str,
    shape: tuple[int, ...],
    *,
    rng: np.random.Generator,
    dtype: Any = np.float32,
    fan_in: int | None = None,
    fan_out: int | None = None,
) -> np.ndarray:
    """Draw an array of initial values.

    Parameters
    ----------
    init : str
        ``"glorot_uniform"`` (limit ``sqrt(6 / (fan_in + fan_out))``), ``"glorot_normal"``, ``"he_uniform"``,
        ``"he_normal"`` (variance ``2 / fan_in``), ``"lecun_uniform"`` (limit ``1 / sqrt(fan_in)``),
        ``"normal"`` (variance 1), ``"zeros"`` or ``"ones"``.
    shape : tuple of int
        Shape of the array; the last axis counts outputs, all others inputs.
    rng : numpy.random.Generator
        Where the numbers come from. They are drawn in float64, so that float32 and float64 layers agree.
    dtype : dtype, default float32
        Dtype of the result.
    fan_in, fan_out : int, optional
        Numbers of inputs and outputs, where the shape does not tell them.

    Returns
    -------
    ndarray, shape ``shape``

    Raises
    ------
    ValueError
        For an unknown name.

    References
    ----------
    X. Glorot and Y. Bengio (2010), Understanding the difficulty of training deep feedforward neural networks,
    eq. 16; K. He et al. (2015), Delving deep into rectifiers, eq. 10.

    Examples
    --------
    >>> import numpy as np
    >>> initialize("zeros", (2, 3), rng=np.random.default_rng(0)).dtype
    dtype('float32')
    """
    if init not in INITIALIZERS:
        near = difflib.get_close_matches(str(init), INITIALIZERS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"init must be one of {sorted(INITIALIZERS)}, got {init!r}{hint}")
    fan_in = math.prod(shape[:-1]) if fan_in is None else fan_in
    fan_out = shape[-1] if fan_out is None else fan_out
    return np.ascontiguousarray(INITIALIZERS[init](rng, shape, fan_in, fan_out), dtype=dtype)

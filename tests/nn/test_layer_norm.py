"""LayerNorm, PReLU and Flatten: definition, gradient, messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from scinn.nn import Flatten, Layer, LayerNorm, PReLU
from scinn.nn.layer import build_layer, describe_layer
from scinn.reference import layer_norm as reference
from scinn.verify import check_gradient


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


CASES: dict[str, tuple[Layer, tuple[int, ...]]] = {
    "layer norm": (LayerNorm(5), (4, 5)),
    "layer norm over time": (LayerNorm(3), (2, 4, 3)),
    "layer norm of nothing": (LayerNorm(3), (0, 3)),
    "layer norm of one feature": (LayerNorm(1, eps=0.1), (4, 1)),
    "shared slope": (PReLU(), (6, 3)),
    "slopes of features": (PReLU(3, init=-0.5), (2, 4, 3)),
    "flatten": (Flatten(), (3, 2, 4, 2)),
}


@pytest.mark.parametrize("name", CASES)
def test_gradient_and_contract(name: str) -> None:
    layer, shape = CASES[name]
    check_gradient(layer, normal(*shape)).raise_if_failed()


@pytest.mark.parametrize("name", CASES)
def test_float32_agrees_with_float64(name: str) -> None:
    layer, shape = CASES[name]
    x, dy = normal(*shape).astype(np.float32), normal(*shape, seed=1).astype(np.float32)
    y, saved = layer.forward(x)
    dx, grads = layer.backward(saved, dy.reshape(y.shape))
    wide = layer.astype(np.float64)
    exact, exact_saved = wide.forward(x.astype(np.float64))
    exact_dx, exact_grads = wide.backward(exact_saved, dy.reshape(y.shape).astype(np.float64))
    assert y.dtype == dx.dtype == np.float32
    np.testing.assert_allclose(y, exact, atol=1e-6)
    np.testing.assert_allclose(dx, exact_dx, atol=1e-5)
    for key, value in exact_grads.items():
        np.testing.assert_allclose(grads[key], value, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_a_layer_is_rebuilt_from_its_description(name: str) -> None:
    layer, shape = CASES[name]
    twin = build_layer(describe_layer(layer))
    x = normal(*shape).astype(np.float32)
    assert twin(x).tobytes() == layer(x).tobytes()


def test_layer_norm_by_its_definition() -> None:
    layer = LayerNorm(6, eps=1e-2, dtype=np.float64)
    layer.params["scale"][...], layer.params["shift"][...] = normal(6, seed=1), normal(6, seed=2)
    x = normal(5, 6)
    want = reference.layer_norm(x, layer.params["scale"], layer.params["shift"], 1e-2)
    np.testing.assert_allclose(layer(x), want, atol=1e-13)
    _, saved = layer.forward(x)
    dx, _ = layer.backward(saved, normal(5, 6, seed=3))
    np.testing.assert_allclose(dx.sum(axis=1), 0, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: LayerNorm(0), ValueError, "n_features must be a positive integer"),
        (lambda: LayerNorm(3, eps=-1.0), ValueError, "eps must not be negative"),
        (lambda: LayerNorm(3)(np.ones((2, 4), dtype=np.float32)), ValueError, "built for 3"),
        (lambda: LayerNorm(3)(np.ones((2, 3))), TypeError, "float64"),
        (lambda: PReLU(2)(np.ones((2, 3), dtype=np.float32)), ValueError, "built for 2"),
        (lambda: PReLU(init=np.nan), ValueError, "init must be finite"),
        (lambda: PReLU(-1), ValueError, "n_features must be a positive integer"),
        (lambda: Flatten()(np.ones(3)), ValueError, "at least 2 axes"),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[], Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call()

"""One property per layer of :mod:`scinn.nn`: its gradient, and the rules of the Layer contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse

from scinn.verify.gradient import check_gradient
from scinn.verify.registry import Property
from scinn.verify.result import CheckResult

__all__ = ["PROPERTIES"]


def _shape(rng: np.random.Generator, n_features: int) -> tuple[int, ...]:
    """Return the shape of a batch: awkward sizes, two or three axes."""
    sizes = [1, 2, 3, 5, 7]
    lead = (
        (int(rng.choice(sizes)),) if rng.random() < 0.7 else (int(rng.choice(sizes)), int(rng.choice(sizes)))
    )
    return (*lead, n_features)


def _dense(seed: int) -> CheckResult:
    from scinn.nn import Dense

    rng = np.random.default_rng(seed)
    n_in, n_out = int(rng.integers(1, 8)), int(rng.integers(1, 8))
    layer = Dense(n_in, n_out, bias=bool(rng.random() < 0.7), dtype=np.float64, rng=seed)
    x: Any = rng.standard_normal(_shape(rng, n_in))
    if x.ndim == 2 and rng.random() < 0.3:
        x = sparse.csr_array(np.where(rng.random(x.shape) < 0.5, x, 0.0))
    return check_gradient(layer, x, rng=seed)


def _elementwise(name: str) -> Callable[[int], CheckResult]:
    def run(seed: int) -> CheckResult:
        from scinn import nn

        rng = np.random.default_rng(seed)
        x = 2 * rng.standard_normal(_shape(rng, int(rng.integers(1, 8))))
        return check_gradient(getattr(nn, name)(), x, rng=seed, train=bool(rng.random() < 0.5))

    return run


def _leaky_relu(seed: int) -> CheckResult:
    from scinn.nn import LeakyReLU

    rng = np.random.default_rng(seed)
    x = rng.standard_normal(_shape(rng, 4))
    return check_gradient(LeakyReLU(float(rng.uniform(0.0, 0.9))), x, rng=seed)


def _tanh(seed: int) -> CheckResult:
    from scinn.nn import Tanh

    rng = np.random.default_rng(seed)
    slope = float(rng.choice([1.0, 0.5, rng.normal()]))
    return check_gradient(
        Tanh(slope), 2 * rng.standard_normal(_shape(rng, int(rng.integers(1, 8)))), rng=seed
    )


def _dropout(seed: int) -> CheckResult:
    from scinn.nn import Dropout

    rng = np.random.default_rng(seed)
    x = rng.standard_normal(_shape(rng, int(rng.integers(1, 20))))
    return check_gradient(Dropout(float(rng.uniform(0.0, 0.9))), x, rng=seed, train=bool(rng.random() < 0.8))


def _batch_norm(seed: int) -> CheckResult:
    from scinn.nn import BatchNorm

    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 6))
    layer = BatchNorm(n, dtype=np.float64)
    for value in layer.params.values():
        value += 0.3 * rng.standard_normal(value.shape)
    x = rng.standard_normal((int(rng.integers(3, 12)), n)) * rng.uniform(0.5, 2.0, n) + rng.standard_normal(n)
    return check_gradient(layer, x, rng=seed, train=bool(rng.random() < 0.7))


def _batch_norm_projection(seed: int) -> CheckResult:
    from scinn.nn import BatchNorm

    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 6))
    layer = BatchNorm(n, dtype=np.float64)
    x = rng.standard_normal((int(rng.integers(3, 12)), n)) * 2 + 1
    y, saved = layer.forward(x, train=True)
    dy = rng.standard_normal(y.shape)
    dx, _ = layer.backward(saved, dy)
    # The denominator is sqrt(variance + eps), so that y is a little shorter than orthogonality would have it.
    spread = x.var(axis=0) + layer.eps
    remainder = np.sum(dy * y, axis=0) * layer.eps / spread**1.5
    scale = np.linalg.norm(dx, axis=0) + np.linalg.norm(dy, axis=0) / np.sqrt(spread)
    gaps = np.stack([dx.sum(axis=0), np.sum(dx * y, axis=0) - remainder]) / scale
    error = float(np.max(np.abs(gaps)))
    example = {"x": x, "dy": dy}
    return CheckResult("batch norm's dx is orthogonal to 1 and to y", error <= 1e-12, error, 1e-12, example)


def _conv2d(seed: int) -> CheckResult:
    from scinn.nn import Conv2d

    rng = np.random.default_rng(seed)
    height, width = (int(v) for v in rng.integers(1, 7, size=2))
    padding: Any = tuple(int(v) for v in rng.integers(0, 3, size=2))
    kernel: Any = tuple(int(rng.integers(1, min(4, s + 2 * p) + 1)) for s, p in zip((height, width), padding))
    groups = int(rng.choice([1, 1, 2, 3]))
    layer = Conv2d(
        groups * int(rng.integers(1, 4)), groups * int(rng.integers(1, 4)), kernel, stride=int(rng.integers(1, 4)),
        padding=padding, groups=groups, bias=bool(rng.random() < 0.5), dtype=np.float64, rng=seed,
    )  # fmt: skip
    x = rng.standard_normal((int(rng.integers(1, 4)), height, width, layer.n_in))
    return check_gradient(layer, x, rng=seed)


def _batch_norm_relu(seed: int) -> CheckResult:
    from scinn.nn import BatchNormReLU

    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 6))
    layer = BatchNormReLU(n, dtype=np.float64)
    for value in layer.params.values():
        value += 0.3 * rng.standard_normal(value.shape)
    x = rng.standard_normal((2, *(int(v) for v in rng.integers(1, 5, size=2)), n)) * rng.uniform(0.5, 2.0, n)
    return check_gradient(layer, x, rng=seed, train=bool(rng.random() < 0.7))


def _pool(name: str) -> Callable[[int], CheckResult]:
    def run(seed: int) -> CheckResult:
        from scinn import nn

        rng = np.random.default_rng(seed)
        x = rng.standard_normal(tuple(int(v) for v in rng.integers([1, 3, 3, 1], [4, 7, 7, 5])))
        if name == "GlobalAvgPool2d":
            return check_gradient(nn.GlobalAvgPool2d(), x, rng=seed)
        kernel = tuple(int(v) for v in rng.integers(1, 4, size=2))
        padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
        layer = getattr(nn, name)(kernel, stride=int(rng.integers(1, 4)), padding=padding)
        return check_gradient(layer, x, rng=seed)

    return run


def _conv2d_alone(seed: int) -> CheckResult:
    from scinn.nn import Conv2d

    rng = np.random.default_rng(seed)
    layer = Conv2d(
        int(rng.integers(1, 5)),
        int(rng.integers(1, 20)),
        3,
        padding=1,
        stride=int(rng.integers(1, 3)),
        rng=seed,
    )
    x = rng.standard_normal((int(rng.integers(2, 40)), 5, 4, layer.n_in)).astype(np.float32)
    order = rng.permutation(len(x))
    y = layer(x)
    alone = np.concatenate([layer(x[i : i + 1]) for i in range(len(x))])
    same = y.tobytes() == alone.tobytes() and y[order].tobytes() == layer(x[order]).tobytes()
    name = "an image's bits do not depend on its batch"
    return CheckResult(name, same, float(np.abs(y - alone).max()), 0.0, {"x": x, "order": order})


def _layer_norm(seed: int) -> CheckResult:
    from scinn.nn import LayerNorm

    rng = np.random.default_rng(seed)
    layer = LayerNorm(int(rng.integers(1, 9)), eps=float(rng.uniform(0.01, 0.2)), dtype=np.float64)
    for value in layer.params.values():
        value += 0.3 * rng.standard_normal(value.shape)
    return check_gradient(layer, rng.standard_normal(_shape(rng, layer.n_features)), rng=seed)


def _prelu(seed: int) -> CheckResult:
    from scinn.nn import PReLU

    rng = np.random.default_rng(seed)
    layer = PReLU(int(rng.choice([1, 4])), init=float(rng.normal()), dtype=np.float64)
    return check_gradient(layer, rng.standard_normal(_shape(rng, 4)), rng=seed)


def _recurrent(name: str) -> Callable[[int], CheckResult]:
    def run(seed: int) -> CheckResult:
        from scinn import nn

        rng = np.random.default_rng(seed)
        n_in, n_hidden, n_layers, n_steps, n_sequences = (int(v) for v in rng.integers(1, 4, size=5))
        masked = bool(rng.random() < 0.5)
        layer = getattr(nn, name)(n_in, n_hidden, n_layers, masked=masked, dtype=np.float64, rng=seed)
        inputs = [rng.standard_normal((n_steps, n_sequences, n_in))]
        if rng.random() < 0.5:
            shape = (n_layers, n_sequences, n_hidden)
            inputs += [rng.standard_normal(shape) for _ in layer.state_names]
        context: dict[str, Any] = {"lengths": rng.integers(1, n_steps + 1, n_sequences)} if masked else {}
        return check_gradient(layer, *inputs, rng=seed, **context)

    return run


def _embedding(seed: int) -> CheckResult:
    from scinn.nn import Embedding

    rng = np.random.default_rng(seed)
    layer = Embedding(int(rng.integers(2, 9)), int(rng.integers(1, 5)), dtype=np.float64, rng=seed)
    n_symbols = len(layer.params["weight"])
    return check_gradient(layer, rng.integers(0, n_symbols, size=_shape(rng, 4)), rng=seed)


def _add(seed: int) -> CheckResult:
    from scinn.nn import Add

    rng = np.random.default_rng(seed)
    shape = _shape(rng, 3)
    return check_gradient(Add(), *rng.standard_normal((int(rng.integers(1, 5)), *shape)), rng=seed)


def _concat(seed: int) -> CheckResult:
    from scinn.nn import Concat

    rng = np.random.default_rng(seed)
    n, widths = int(rng.integers(1, 6)), rng.integers(1, 5, size=int(rng.integers(1, 5)))
    return check_gradient(Concat(), *(rng.standard_normal((n, int(width))) for width in widths), rng=seed)


def _network(seed: int) -> CheckResult:
    from scinn.verify.networks import draw_network

    network, x = draw_network(np.random.default_rng(seed))
    return check_gradient(network, x, rng=seed)


_ROWS: tuple[tuple[str, str, Callable[[int], CheckResult]], ...] = (
    ("dense", "Dense: y = x W + b.", _dense),
    ("relu", "ReLU.", _elementwise("ReLU")),
    ("leaky-relu", "LeakyReLU with any slope.", _leaky_relu),
    ("tanh", "Tanh with any slope.", _tanh),
    ("sigmoid", "Sigmoid.", _elementwise("Sigmoid")),
    ("dropout", "Dropout, given its key.", _dropout),
    ("batch-norm", "BatchNorm in training and inference.", _batch_norm),
    ("batch-norm-projection", "dx sums to 0 and is orthogonal to y (up to eps).", _batch_norm_projection),
    ("conv2d", "Conv2d of any stride, padding and number of groups.", _conv2d),
    ("conv2d-alone", "An image's output has the same bits in every batch.", _conv2d_alone),
    ("batch-norm-relu", "BatchNormReLU in training and inference.", _batch_norm_relu),
    ("max-pool-2d", "MaxPool2d of any window.", _pool("MaxPool2d")),
    ("avg-pool-2d", "AvgPool2d of any window.", _pool("AvgPool2d")),
    ("global-avg-pool-2d", "GlobalAvgPool2d.", _pool("GlobalAvgPool2d")),
    ("layer-norm", "LayerNorm.", _layer_norm),
    ("prelu", "PReLU with one slope and with many.", _prelu),
    ("flatten", "Flatten.", _elementwise("Flatten")),
    ("lstm", "LSTM over sequences, with and without lengths and first states.", _recurrent("LSTM")),
    ("gru", "GRU over sequences, with and without lengths and first states.", _recurrent("GRU")),
    ("embedding", "Embedding of integers.", _embedding),
    ("add", "Add of any number of inputs.", _add),
    ("concat", "Concat of any number of inputs.", _concat),
    ("network", "A network with a residual link and a shared layer.", _network),
)

PROPERTIES: tuple[Property, ...] = tuple(
    Property("layers", name, "chain rule", statement, run) for name, statement, run in _ROWS
)

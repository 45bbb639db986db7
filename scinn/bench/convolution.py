"""Convolution networks beside PyTorch: layers, losses, optimisers, and a whole ResNet-20."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from scinn.bench.peers import PeerResult, run_peer
from scinn.bench.rows import Benchmark, Callback, Row, duration, size
from scinn.bench.spmm import random_matrix
from scinn.bench.timing import measure, one_thread
from scinn.bench.torch_worker import SHAPES, inputs, normals, peak_kilobytes
from scinn.nn.convolution import Conv2d
from scinn.nn.layer import Layer
from scinn.nn.losses import softmax_cross_entropy
from scinn.nn.normalization import BatchNormReLU
from scinn.nn.optimizers import SGD, Adam, Optimizer
from scinn.nn.pooling import AvgPool2d, GlobalAvgPool2d, MaxPool2d
from scinn.nn.threads import use_threads

__all__ = ["CONVOLUTION", "geometric_mean", "resnet_times", "run_convolution"]

_LOSSES = ((128, 10), (2708, 7), (4096, 1000))
_PARAMETERS = (270_000, 4_000_000)
# Rows and stored entries a row: 13 thousand, 108 thousand, 622 thousand products.
_SAMPLED = ((2_708, 5), (19_700, 5), (42_000, 15))
_N_COLUMNS = 64


def geometric_mean(values: list[float]) -> float:
    """Return the geometric mean of positive numbers.

    Parameters
    ----------
    values : list of float

    Returns
    -------
    float

    Examples
    --------
    >>> round(geometric_mean([1.0, 4.0]), 12)
    2.0
    """
    return float(np.exp(np.mean(np.log(values))))


def _title(shape: tuple[int, ...]) -> str:
    kernel, n, n_in, n_out, side, stride = shape
    step = f" stride {stride}," if stride > 1 else ""
    return f"convolution {kernel}x{kernel},{step} {n} images, {n_in} to {n_out} channels, {side}x{side}"


def _convolution(shape: tuple[int, ...]) -> tuple[Conv2d, np.ndarray, np.ndarray]:
    kernel, _, n_in, n_out, _, stride = shape
    x, dy, weight = inputs(shape)
    layer = Conv2d(n_in, n_out, kernel, stride=stride, padding=kernel // 2, bias=False, rng=0)
    layer.params["weight"][...] = weight
    return layer, x, dy


def _both(layer: Layer, x: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, Any, Any]:
    y, saved = layer.forward(x, train=True)
    return y, *layer.backward(saved, dy)


def _holding(run: Callable[[], tuple[Any, ...]]) -> Callable[[], None]:
    """Keep the gradients of a call until the next one, as a framework does: memory is then taken anew as often there."""
    kept: list[Any] = []

    def step() -> None:
        kept.clear()
        kept.append(run()[1:])

    return step


def _stem(layer: Conv2d, x: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, None, dict[str, np.ndarray]]:
    """Run forward and the gradient by the weights alone: a stem's images need none."""
    y, saved = layer.forward(x)
    return y, None, {"weight": layer._tiled_weight_gradient(saved.x, dy)}


def _difference(number: int, layer: Conv2d, run: Any, answer: PeerResult) -> float:
    """Return the largest deviation between both sides, relative to the largest entry."""
    y, dx, grads = run()
    pairs = [(y[:2], answer.arrays[f"y{number}"]), (grads["weight"], answer.arrays[f"dweight{number}"])]
    if dx is not None:
        pairs.append((dx[:2], answer.arrays[f"dx{number}"]))
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)


def _convolution_rows(
    shapes: tuple[tuple[int, ...], ...], answer: PeerResult, peer: str, timing: dict[str, Any]
) -> list[Row]:
    rows: list[Row] = []
    for number, shape in enumerate(shapes):
        layer, x, dy = _convolution(shape)
        run = partial(_stem if shape[2] == 3 else _both, layer, x, dy)
        both, forward = measure(_holding(run), **timing).seconds, measure(partial(layer, x), **timing).seconds
        flops = 2 * np.prod(dy.shape) * np.prod(layer.params["weight"].shape[:3])
        numbers = {"shape": list(shape), "forward": forward, "gflops_forward": flops / forward / 1e9}
        what = "forward + dw" if shape[2] == 3 else "forward + backward"
        if not answer:
            rows.append(Row(f"{_title(shape)}: {what}", both, peer, None, answer.reason, numbers))
            continue
        theirs = answer.info["convolutions"][number]
        better = min(theirs, key=lambda layout: theirs[layout]["both"])
        numbers |= {"peer": theirs, "difference": _difference(number, layer, run, answer)}
        note = (
            f"better with {better}; forward {duration(forward)} against "
            f"{duration(min(value['forward'] for value in theirs.values()))}; differ by {numbers['difference']:.0e}"
        )
        rows.append(Row(f"{_title(shape)}: {what}", both, peer, theirs[better]["both"], note, numbers))
    timed = [(row.seconds, row.peer_seconds) for row in rows if row.peer_seconds is not None]
    if timed:
        worst = max(ours / theirs for ours, theirs in timed)
        means = [geometric_mean(list(column)) for column in zip(*timed)]
        rows.append(
            Row(
                f"convolution, geometric mean of {len(timed)} shapes",
                means[0],
                peer,
                means[1],
                f"slowest row {worst:.2f} times PyTorch's time",
                {"worst": worst},
            )
        )
    return rows


def _layer_rows(answer: PeerResult, peer: str, timing: dict[str, Any]) -> list[Row]:
    image = (128, 32, 32, 16)
    cases: tuple[tuple[str, str, Layer, tuple[int, ...]], ...] = (
        ("batch normalisation + ReLU, 128 x 32 x 32 x 16", "norm 16", BatchNormReLU(16), image),
        ("batch normalisation + ReLU, 128 x 8 x 8 x 64", "norm 64", BatchNormReLU(64), (128, 8, 8, 64)),
        ("maximum of 2 x 2, 128 x 32 x 32 x 16", "max", MaxPool2d(2), image),
        ("average of 2 x 2, 128 x 32 x 32 x 16", "average", AvgPool2d(2), image),
        ("average of all pixels, 128 x 32 x 32 x 16", "global", GlobalAvgPool2d(), image),
    )
    rows = []
    for title, name, layer, shape in cases:
        x = normals(*shape)
        dy = np.ones_like(layer.forward(x, train=True)[0])
        seconds = measure(_holding(partial(_both, layer, x, dy)), **timing).seconds
        theirs = answer.info["layers"][name] if answer else None
        rows.append(Row(f"{title}: forward + backward", seconds, peer, theirs, answer.reason))
    return rows


def _loss_rows(answer: PeerResult, peer: str, timing: dict[str, Any]) -> list[Row]:
    rows = []
    for i, (n, c) in enumerate(_LOSSES):
        run = partial(softmax_cross_entropy, normals(n, c), np.arange(n) % c)
        theirs = answer.info["losses"][i] if answer else None
        title = f"softmax cross-entropy and gradient, {n} x {c}"
        rows.append(Row(title, measure(run, **timing).seconds, peer, theirs, answer.reason))
    return rows


def _optimizer_rows(answer: PeerResult, peer: str, timing: dict[str, Any]) -> list[Row]:
    rows = []
    for i, n in enumerate(_PARAMETERS):
        for name, optimizer in (("Adam", Adam(1e-3)), ("SGD", SGD(1e-3, momentum=0.9, weight_decay=5e-4))):
            theirs = answer.info["optimizers"][name][i] if answer else None
            seconds = measure(_step(optimizer, n), **timing).seconds
            note = "PyTorch: the faster of the default and the fused one" if answer else answer.reason
            rows.append(Row(f"{name} step, {n / 1e6:g} million parameters", seconds, peer, theirs, note))
    return rows


def _step(optimizer: Optimizer, n: int) -> Callable[[], None]:
    params, grads = {"w": normals(n)}, {"w": normals(n, seed=1)}
    state = optimizer.init(params)
    return lambda: optimizer.step(params, grads, state)


def _sampled_rows(patterns: list[Any], answer: PeerResult, peer: str, timing: dict[str, Any]) -> list[Row]:
    from scinn.kernels.sampled import sddmm

    rows = []
    for i, matrix in enumerate(patterns):
        n = matrix.shape[0]
        a, b = normals(n, _N_COLUMNS), normals(n, _N_COLUMNS, seed=1)
        out = np.empty(matrix.nnz, dtype=np.float32)
        of_row = np.repeat(np.arange(n), np.diff(matrix.indptr))
        seconds = measure(partial(sddmm, matrix.indices, matrix.indptr, a, b, out), **timing).seconds
        gather = measure(partial(_gather, a, b, of_row, matrix.indices), **timing).seconds
        error = float(np.abs(out - _gather(a, b, of_row, matrix.indices)).max())
        torch = f"; {peer} {duration(answer.info['sampled'][i])}" if answer else ""
        rows.append(
            Row(
                f"products of rows at {matrix.nnz:,} places, {_N_COLUMNS} columns",
                seconds,
                f"NumPy {np.__version__}, gather and einsum",
                gather,
                f"differ by {error:.0e}{torch}",
                {"difference": error, "torch": answer.info["sampled"][i] if answer else None},
            )
        )
    return rows


def _gather(a: np.ndarray, b: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    result: np.ndarray = np.einsum("ef,ef->e", a[rows], b[columns])
    return result


def _thread_rows(shapes: tuple[tuple[int, ...], ...]) -> list[Row]:
    """Time one against two threads on the wall clock; not a comparison with a peer."""
    import numba

    rows = []
    for shape in shapes:
        title = f"{_title(shape)}: two threads, wall time"
        if numba.config.NUMBA_NUM_THREADS < 2:  # type: ignore[attr-defined]
            rows.append(Row(title, float("nan"), "one thread", None, "not run: one core"))
            continue
        layer, x, dy = _convolution(shape)
        run = partial(_both, layer, x, dy)
        with one_thread():
            alone, first = _wall(run), run()
        with use_threads(2):
            together, second = _wall(run), run()
        same = all(a.tobytes() == b.tobytes() for a, b in zip(first[:2], second[:2]))
        same &= first[2]["weight"].tobytes() == second[2]["weight"].tobytes()
        note = "the same bits" if same else "DIFFERENT BITS"
        rows.append(Row(title, together, "one thread", alone, note, {"same_bits": same}))
    return rows


def _wall(run: Callable[[], Any], n_repeats: int = 7) -> float:
    run()
    best = float("inf")
    for _ in range(n_repeats):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best


_FIRST_CALL = """
import time
import numpy as np
from scinn.nn import Conv2d
layer, x = Conv2d(3, 16, 3, padding=1, rng=0), np.ones((2, 8, 8, 3), dtype=np.float32)
start = time.perf_counter()
y, saved = layer.forward(x)
layer.backward(saved, y)
print(time.perf_counter() - start)
"""


def _first_call_row() -> Row:
    with tempfile.TemporaryDirectory(prefix="scinn-bench-") as folder:
        environment = os.environ | {"NUMBA_CACHE_DIR": folder}
        command = [sys.executable, "-c", _FIRST_CALL]
        seconds = [
            float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
            for _ in range(2)
        ]
    note = "wall time of the first forward and backward in a new process; afterwards the compiled code is on disk"
    return Row(
        "first call of a convolution, compiled before", seconds[1], "not compiled before", seconds[0], note
    )


def resnet_times(n_inference: int, n_train: int, n_repeats: int) -> dict[str, float]:
    """Time inference and one epoch of training of ResNet-20 in this process, and watch the epoch's memory.

    Parameters
    ----------
    n_inference, n_train : int
        Images of 32 x 32 pixels, 128 at a time.
    n_repeats : int

    Returns
    -------
    dict of str to float
        ``"inference"`` and ``"epoch"`` in seconds of processor time, ``"bytes"``: growth of the process's peak in the
        first epoch.
    """
    from scinn.nn import models, predict

    network = models.resnet20(rng=0)
    x, labels = normals(max(n_inference, n_train), 32, 32, 3), np.arange(n_train) % 10
    optimizer = SGD(0.1, momentum=0.9, weight_decay=1e-4)
    state = optimizer.init(network.params)

    def epoch(stop: int = n_train) -> None:
        for start in range(0, stop, 128):
            batch = slice(start, min(stop, start + 128))
            y, saved = network.forward(x[batch], train=True)
            _, dy = softmax_cross_entropy(y, labels[batch])
            _, grads = network.backward(saved, dy)
            optimizer.step(network.params, grads, state)
            network.update_state(saved)

    result: dict[str, float] = {}
    with one_thread():
        epoch(2)
        predict(network, x[:2])
        before = peak_kilobytes()
        epoch()
        result["bytes"] = 1024 * (peak_kilobytes() - before)
        inference = partial(predict, network, x[:n_inference], batch_size=128)
        for name, run in (("epoch", epoch), ("inference", inference)):
            for _ in range(n_repeats):
                start = time.process_time()
                run()
                result[name] = min(result.get(name, float("inf")), time.process_time() - start)
    return result


def _resnet_rows(quick: bool) -> list[Row]:
    options = {"n_inference": 256, "n_train": 256, "n_repeats": 1}
    if not quick:
        options = {"n_inference": 1000, "n_train": 2000, "n_repeats": 3}
    script = f"import json\nfrom scinn.bench.convolution import resnet_times\nprint(json.dumps(resnet_times(**{options})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    ours = json.loads(done.stdout)
    answer = run_peer("torch_resnet", {}, options)
    peer = f"PyTorch {answer.info['versions']['torch']}" if answer else "PyTorch"
    rows = []
    for name, title in (
        ("inference", f"ResNet-20, inference of {options['n_inference']} images"),
        ("epoch", f"ResNet-20, training on {options['n_train']} images"),
    ):
        theirs, note = (answer.info[name] if answer else None), answer.reason
        numbers = {"bytes": ours["bytes"]}
        if answer and name == "epoch":
            numbers["peer_bytes"] = answer.info["bytes"]
            if ours["bytes"]:
                note = f"the process grows by {size(ours['bytes'])} against {size(answer.info['bytes'])}"
        rows.append(Row(title, ours[name], peer, theirs, note, numbers))
    return rows


def run_convolution(quick: bool, callback: Callback) -> list[Row]:
    """Time the layers, then the whole network, on both sides."""
    shapes = tuple(shape for shape in SHAPES if shape[1] == 32) if quick else SHAPES
    n_sampled = 1 if quick else len(_SAMPLED)
    patterns = [random_matrix(n, per_row) for n, per_row in _SAMPLED[:n_sampled]]
    arrays: dict[str, np.ndarray] = {}
    for i, matrix in enumerate(patterns):
        arrays |= {f"indptr{i}": matrix.indptr, f"indices{i}": matrix.indices}
    timing: dict[str, Any] = {"n_repeats": 3 if quick else 9, "at_least": 0.05 if quick else 0.4}
    options = {
        "shapes": [list(shape) for shape in shapes],
        "losses": [list(pair) for pair in _LOSSES],
        "optimizers": list(_PARAMETERS),
        "n_columns": _N_COLUMNS,
        "n_sampled": n_sampled,
        **timing,
    }
    callback("convolution: PyTorch's layers")
    answer = run_peer("torch_layers", arrays, options)
    peer = f"PyTorch {answer.info['versions']['torch']}" if answer else "PyTorch"
    if not answer:
        answer = PeerResult(reason=f"not run: {answer.reason}")
    callback("convolution: our layers")
    rows = _convolution_rows(shapes, answer, peer, timing)
    rows += _layer_rows(answer, peer, timing)
    rows += _loss_rows(answer, peer, timing)
    rows += _optimizer_rows(answer, peer, timing)
    rows += _sampled_rows(patterns, answer, peer, timing)
    callback("convolution: threads and the first call")
    rows += _thread_rows(shapes[:1] if quick else (SHAPES[3], SHAPES[4]))
    rows.append(_first_call_row())
    callback("convolution: ResNet-20")
    return rows + _resnet_rows(quick)


CONVOLUTION = Benchmark(
    "convolution",
    "Convolution networks",
    "One thread, float32, images channels last. PyTorch in the better of its two layouts; its times include the record that "
    "automatic differentiation keeps, ours the allocation of results.",
    run_convolution,
)

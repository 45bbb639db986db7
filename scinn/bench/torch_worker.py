"""What PyTorch is asked to do for :mod:`scinn.bench.convolution`; runs inside the peers' interpreter.

Loaded by ``peer_worker.py`` from its own folder, and by scinn for the shapes and inputs, which both sides make from the same
seed; at the top it imports nothing but NumPy and the standard library.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

#: Kernel, images, input and output channels, side, stride.
SHAPES = (
    (3, 32, 16, 16, 32, 1),
    (3, 32, 32, 32, 16, 1),
    (3, 32, 64, 64, 8, 1),
    (3, 128, 16, 16, 32, 1),
    (3, 128, 32, 32, 16, 1),
    (3, 128, 64, 64, 8, 1),
    (3, 128, 16, 32, 32, 2),
    (3, 128, 32, 64, 16, 2),
    (1, 128, 64, 64, 8, 1),
    (1, 128, 16, 32, 32, 2),
    (3, 128, 3, 16, 32, 1),
)
LAYOUTS = ("channels first", "channels last")


def inputs(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return images and the output's gradient, channels last, and weights (kh, kw, in, out)."""
    kernel, n, n_in, n_out, side, stride = shape
    rng = np.random.default_rng(0)
    out = (side + 2 * (kernel // 2) - kernel) // stride + 1
    sizes = ((n, side, side, n_in), (n, out, out, n_out), (kernel, kernel, n_in, n_out))
    x, dy, weight = (rng.standard_normal(size, dtype=np.float32) for size in sizes)
    return x, dy, weight


def normals(*shape: int, seed: int = 0) -> np.ndarray:
    """Return seeded float32 normals, the same on both sides."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def _images(torch: Any, x: np.ndarray, layout: str) -> Any:
    tensor = torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, 3, 1)))
    return tensor.contiguous(memory_format=torch.channels_last) if layout == "channels last" else tensor


def convolutions(torch: Any, best: Callable[..., float], shapes: Any) -> tuple[dict[str, Any], list[Any]]:
    """Time the shapes in both layouts; return samples of the answers too."""
    arrays, rows = {}, []
    for number, shape in enumerate(shapes):
        kernel, _, n_in, _, _, stride = shape
        row: dict[str, Any] = {}
        for layout in LAYOUTS:
            x, dy, weight = inputs(tuple(shape))
            x, dy = _images(torch, x, layout), _images(torch, dy, layout)
            weight = torch.from_numpy(np.ascontiguousarray(weight.transpose(3, 2, 0, 1)))
            if layout == "channels last":
                weight = weight.contiguous(memory_format=torch.channels_last)
            weight.requires_grad_(True)
            # The stem's images need no gradient.
            x.requires_grad_(n_in != 3)

            def forward(x=x, weight=weight, stride=stride, kernel=kernel):
                return torch.nn.functional.conv2d(x, weight, stride=stride, padding=kernel // 2)

            def inference(forward=forward):
                with torch.no_grad():
                    forward()

            def both(x=x, weight=weight, dy=dy, forward=forward):
                x.grad = weight.grad = None
                forward().backward(dy)

            row[layout] = {"forward": best(inference), "both": best(both)}
            arrays[f"y{number}"] = forward().detach()[:2].permute(0, 2, 3, 1).contiguous().numpy()
            arrays[f"dweight{number}"] = weight.grad.permute(2, 3, 1, 0).contiguous().numpy()
            if n_in != 3:
                arrays[f"dx{number}"] = x.grad[:2].permute(0, 2, 3, 1).contiguous().numpy()
        rows.append(row)
    return arrays, rows


def layers(torch: Any, best: Callable[..., float]) -> dict[str, float]:
    """Time the other layers forward and backward, in the better of both layouts."""
    functional = torch.nn.functional
    times: dict[str, float] = {}

    def time_layer(name: str, shape: tuple[int, ...], make: Callable[[], Callable[[Any], Any]]) -> None:
        for layout in LAYOUTS:
            x = _images(torch, normals(*shape), layout).requires_grad_(True)
            layer = make()
            dy = torch.randn_like(layer(x))

            def both(x=x, layer=layer, dy=dy):
                x.grad = None
                layer(x).backward(dy)

            times[name] = min(times.get(name, float("inf")), best(both))

    def norm(n: int) -> Callable[[], Callable[[Any], Any]]:
        def make():
            module = torch.nn.BatchNorm2d(n)
            return lambda x: functional.relu(module(x))

        return make

    time_layer("norm 16", (128, 32, 32, 16), norm(16))
    time_layer("norm 64", (128, 8, 8, 64), norm(64))
    time_layer("max", (128, 32, 32, 16), lambda: lambda x: functional.max_pool2d(x, 2))
    time_layer("average", (128, 32, 32, 16), lambda: lambda x: functional.avg_pool2d(x, 2))
    time_layer("global", (128, 32, 32, 16), lambda: lambda x: functional.adaptive_avg_pool2d(x, 1))
    return times


def losses(torch: Any, best: Callable[..., float], sizes: Any) -> list[float]:
    """Time softmax cross-entropy with its gradient."""
    result = []
    for n, c in sizes:
        logits = torch.from_numpy(normals(n, c)).requires_grad_(True)
        target = torch.arange(n) % c

        def both(logits=logits, target=target):
            logits.grad = None
            torch.nn.functional.cross_entropy(logits, target).backward()

        result.append(best(both))
    return result


def optimizers(torch: Any, best: Callable[..., float], sizes: Any) -> dict[str, list[float]]:
    """Time one step of Adam and of SGD with momentum and weight decay, the faster of the default and the fused one."""
    times: dict[str, list[float]] = {"Adam": [], "SGD": []}
    for n in sizes:
        for name, options in (("Adam", {}), ("SGD", {"momentum": 0.9, "weight_decay": 5e-4})):
            found = []
            for fused in (False, True):
                parameter = torch.from_numpy(normals(n)).requires_grad_(True)
                parameter.grad = torch.from_numpy(normals(n, seed=1))
                optimizer = getattr(torch.optim, name)([parameter], lr=1e-3, fused=fused, **options)
                found.append(best(optimizer.step))
            times[name].append(min(found))
    return times


def sampled(
    torch: Any, best: Callable[..., float], indptr: np.ndarray, indices: np.ndarray, n_columns: int
) -> float:
    """Time the products of rows of two matrices at the places of a sparse one."""
    n = len(indptr) - 1
    pattern = torch.sparse_csr_tensor(
        torch.from_numpy(indptr.astype(np.int64)),
        torch.from_numpy(indices.astype(np.int64)),
        torch.zeros(len(indices)),
        size=(n, n),
    )
    a = torch.from_numpy(normals(n, n_columns))
    b = torch.from_numpy(normals(n, n_columns, seed=1)).T.contiguous()
    return best(lambda: torch.sparse.sampled_addmm(pattern, a, b, beta=0.0))


def resnet20(torch: Any) -> Any:
    """Return the network of K. He et al. (2016) with shortcuts of option A."""
    functional, nn = torch.nn.functional, torch.nn

    class Block(nn.Module):  # type: ignore[name-defined]
        def __init__(self, n_in: int, n_out: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(n_out)
            self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(n_out)
            self.pad = (n_out - n_in) // 2
            self.stride = stride

        def forward(self, x: Any) -> Any:
            y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
            if self.stride > 1:
                x = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.pad, self.pad))
            return functional.relu(y + x)

    blocks = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    n_in = 16
    for stage in range(3):
        for block in range(3):
            blocks.append(Block(n_in, 16 << stage, 2 if stage and not block else 1))
            n_in = 16 << stage
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def peak_kilobytes() -> int:
    """Return the largest resident set of this program so far, where the system tells it; 0 elsewhere."""
    # Not getrusage: a new program inherits there what the one that started it had used.
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return 0


def resnet_times(torch: Any, n_inference: int, n_train: int, n_repeats: int) -> dict[str, float]:
    """Time inference and one epoch of training in the better layout, and watch the memory of the epoch."""
    result: dict[str, float] = {}
    labels = torch.arange(n_train) % 10
    for layout in reversed(LAYOUTS):
        network = resnet20(torch)
        if layout == "channels last":
            network = network.to(memory_format=torch.channels_last)
        x = _images(torch, normals(max(n_inference, n_train), 32, 32, 3), layout)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)

        def epoch(network=network, x=x, optimizer=optimizer):
            network.train()
            for start in range(0, n_train, 128):
                stop = min(n_train, start + 128)
                optimizer.zero_grad()
                loss = torch.nn.functional.cross_entropy(network(x[start:stop]), labels[start:stop])
                loss.backward()
                optimizer.step()

        def inference(network=network, x=x):
            network.eval()
            with torch.no_grad():
                for start in range(0, n_inference, 128):
                    network(x[start : min(n_inference, start + 128)])

        before = peak_kilobytes()
        epoch()
        memory = 1024 * (peak_kilobytes() - before)
        for name, run in (("epoch", epoch), ("inference", inference)):
            for _ in range(n_repeats):
                start = time.process_time()
                run()
                result[name] = min(result.get(name, float("inf")), time.process_time() - start)
        # The second layout would hide under the peak of the first.
        result.setdefault("bytes", memory)
    return result

"""What the peers are asked to do for the benchmark of reversible networks.

Loaded by ``peer_worker.py`` from its own folder, and by scinn for the inputs, which both sides make from the same seed, and
for the watch on memory; at the top it imports nothing but NumPy and the standard library.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

#: A step of so few time steps makes libraries load, and code compile, before anything is timed.
N_WARM_UP = 9


def normals(*shape: int, seed: int = 0) -> np.ndarray:
    """Return seeded float32 normals, the same on both sides."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def least_seconds(step: Callable[[], Any], n_repeats: int) -> float:
    """Return the least processor time of a call; what it returned is held until the next, as a framework does."""
    best, kept = float("inf"), None
    for _ in range(n_repeats):
        start = time.process_time()
        # Bound to a name, so that its memory is not handed back while the clock runs.
        kept = step()
        best = min(best, time.process_time() - start)
    del kept
    return best


# Memory of this process.


def _status(field: str) -> int:
    with open("/proc/self/status", encoding="ascii") as file:
        return 1024 * next(int(line.split()[1]) for line in file if line.startswith(field))


def resident_growth(run: Callable[[], Any]) -> int | None:
    """Return by how many bytes the resident set is larger at the most during a call; None where no one tells."""
    try:
        # Sets the high-water mark back to the present, so that compilation before does not hide the call.
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
        before = _status("VmRSS")
        run()
        return _status("VmHWM") - before
    except (OSError, StopIteration):
        return None


# PyTorch.


class TrainingStep:
    """A step forward and back whose loss is the sum of all outputs; inputs and weights get gradients.

    With a `segment` only the states between segments of so many steps are kept, and each segment is run again on the way
    back, as one writes it by hand with ``torch.utils.checkpoint``.
    """

    def __init__(
        self, torch: Any, cell: str, sizes: tuple[int, int, int], n_steps: int, segment: int | None
    ) -> None:
        n_rows, n_in, n_hidden = sizes
        torch.manual_seed(0)
        self.torch, self.segment = torch, segment
        self.module = getattr(torch.nn, cell)(n_in, n_hidden)
        self.x = torch.from_numpy(normals(n_steps, n_rows, n_in)).requires_grad_(True)

    def forward(self) -> Any:
        """Return the loss."""
        if self.segment is None:
            return self.module(self.x)[0].sum()
        checkpoint = self.torch.utils.checkpoint.checkpoint
        state, loss = None, 0.0
        for piece in self.x.split(self.segment):
            y, state = checkpoint(self.module, piece, state, use_reentrant=False)
            loss = loss + y.sum()
        return loss

    def __call__(self) -> Any:
        self.x.grad = None
        self.module.zero_grad(set_to_none=True)
        self.forward().backward()
        return self.x.grad


def root_segment(n_steps: int) -> int:
    """Return the steps between checkpoints that keep the least memory."""
    return math.isqrt(n_steps - 1) + 1


def step_seconds(torch: Any, options: dict[str, Any]) -> float:
    """Time a training step."""
    cell, sizes, segment = options["cell"], tuple(options["sizes"]), options["segment"]
    TrainingStep(torch, cell, sizes, N_WARM_UP, 3 if segment else None)()
    step = TrainingStep(torch, cell, sizes, options["n_steps"], segment)
    return least_seconds(step, options["n_repeats"])


def saved_bytes(torch: Any, options: dict[str, Any]) -> int:
    """Return the bytes that automatic differentiation saves, every storage once, inputs and weights left out."""
    step = TrainingStep(torch, options["cell"], tuple(options["sizes"]), options["n_steps"], None)
    sizes: dict[int, int] = {}

    def pack(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        # The graph holds the tensor until the end, so that an address stands for one storage.
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = step.forward()
    for tensor in (step.x, *step.module.parameters()):
        sizes.pop(tensor.untyped_storage().data_ptr(), None)
    del loss
    return sum(sizes.values())


def step_growth(torch: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Return by how much a training step makes this process grow, and its processor time."""
    cell, sizes, segment = options["cell"], tuple(options["sizes"]), options["segment"]
    TrainingStep(torch, cell, sizes, N_WARM_UP, 3 if segment else None)()
    step = TrainingStep(torch, cell, sizes, options["n_steps"], segment)
    start = time.process_time()
    growth = resident_growth(step)
    return {"bytes": growth, "seconds": time.process_time() - start}


# Entropy coder.


def constriction_multiply(
    constriction: Any, arrays: dict[str, Any], n_repeats: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Do the exactly reversible multiply with constriction's ANS coder: the state's low ten bits in, a digit below z out.

    `arrays` hold ``h`` (the first states of the halves, (n_halves, m)), ``z`` and ``update`` (n_calls, m); halves take
    turns. Only the coder's calls are timed; the rest is NumPy.
    """
    uniform = constriction.stream.model.Uniform()
    low_model = constriction.stream.model.Uniform(1024)
    z_all = arrays["z"].astype(np.int32)
    update = arrays["update"].astype(np.int64)
    n_halves, n_calls = len(arrays["h"]), len(z_all)
    multiply, divide, exact = float("inf"), float("inf"), True
    for _ in range(n_repeats):
        coder = constriction.stream.stack.AnsCoder()
        states = [row.astype(np.int64) for row in arrays["h"]]
        forward = backward = 0.0
        for i in range(n_calls):
            h, z = states[i % n_halves], z_all[i]
            low = (h & 1023).astype(np.int32)
            start = time.process_time()
            coder.encode_reverse(low, low_model)
            digit = coder.decode(uniform, z)
            forward += time.process_time() - start
            states[i % n_halves] = (h >> 10) * z + digit + update[i]
        n_bits = coder.num_valid_bits()
        last = np.array(states)
        for i in reversed(range(n_calls)):
            z = z_all[i]
            quotient, digit = np.divmod(states[i % n_halves] - update[i], z)
            digit = digit.astype(np.int32)
            start = time.process_time()
            coder.encode_reverse(digit, uniform, z)
            low = coder.decode(low_model, len(z))
            backward += time.process_time() - start
            states[i % n_halves] = (quotient << 10) | low
        exact &= bool(np.array_equal(states, arrays["h"])) and coder.num_valid_bits() == 0
        multiply, divide = min(multiply, forward), min(divide, backward)
    per = z_all.size
    return {"last": last}, {
        "multiply": multiply / per,
        "divide": divide / per,
        "n_bits": n_bits,
        "exact": exact,
    }


def torch_recurrent(
    arrays: dict[str, Any], options: dict[str, Any], need: Callable[[str], Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Time, count or watch a training step of PyTorch's own cells on one thread."""
    torch = need("torch")
    torch.set_num_threads(1)
    what = options["what"]
    if what == "seconds":
        info: dict[str, Any] = {"seconds": step_seconds(torch, options)}
    elif what == "saved":
        info = {"bytes": saved_bytes(torch, options)}
    else:
        info = step_growth(torch, options)
    return {}, info | {"versions": {"torch": torch.__version__, "numpy": np.__version__}}


def constriction_ans(
    arrays: dict[str, Any], options: dict[str, Any], need: Callable[[str], Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run constriction's ANS coder on recorded gates."""
    from importlib import metadata

    out, info = constriction_multiply(need("constriction"), arrays, options["n_repeats"])
    return out, info | {"versions": {"constriction": metadata.version("constriction")}}


TASKS: dict[str, Callable[..., tuple[dict[str, Any], dict[str, Any]]]] = {
    "torch_recurrent": torch_recurrent,
    "constriction_ans": constriction_ans,
}

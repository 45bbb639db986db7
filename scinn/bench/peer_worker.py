"""The other end of :mod:`scinn.bench.peers`: runs inside the peers' interpreter and imports nothing of scinn.

``python -I peer_worker.py TASK in.npz out.npz``. Exit code 3 and one line on the error stream mean that a library is
missing. Libraries are imported inside the tasks, so that one peer can be absent without the other.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
import os
import sys
import time
import tracemalloc
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

MISSING = 3


def need(name: str) -> Any:
    """Import a library of the peers, or stop with the exit code that says it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"{name} is not installed in {sys.executable}", file=sys.stderr)
        raise SystemExit(MISSING) from None


np = need("numpy")


def best_time(function: Callable[[], Any], n_repeats: int, at_least: float = 0.2) -> float:
    """Least processor time of a call, after one that is thrown away."""
    function()
    best, begun, done = float("inf"), time.perf_counter(), 0
    while done < n_repeats or time.perf_counter() - begun < at_least:
        start = time.process_time()
        function()
        best = min(best, time.process_time() - start)
        done += 1
    return best


def peak_bytes(function: Callable[[], Any]) -> int:
    """Most bytes allocated at once during a call, through Python's allocators."""
    tracemalloc.start()
    function()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def sparse_input(arrays: dict[str, Any], name: str) -> Any:
    """Rebuild a CSR matrix from its three arrays."""
    sparse = need("scipy.sparse")
    parts = tuple(arrays[f"{name}_{part}"] for part in ("data", "indices", "indptr"))
    return sparse.csr_matrix(parts, shape=tuple(arrays[f"{name}_shape"]))


def haar_kernels(lambda_max: float, levels: int, dilation: float) -> list[Callable[[Any], Any]]:
    """The bands of the cascade as one function of the eigenvalue each, low-pass first."""

    def angle(eigenvalue, level):
        return dilation ** (level - levels) * np.pi * np.asarray(eigenvalue) / lambda_max / 2

    def low(eigenvalue, upto):
        out = np.ones_like(np.asarray(eigenvalue, dtype=float))
        for level in range(1, upto + 1):
            out = out * np.cos(angle(eigenvalue, level))
        return out

    def high(level):
        return lambda eigenvalue: np.sin(angle(eigenvalue, level)) * low(eigenvalue, level - 1)

    return [lambda eigenvalue: low(eigenvalue, levels), *(high(level) for level in range(1, levels + 1))]


def pygsp_framelets(arrays: dict[str, Any], options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Analysis and synthesis by PyGSP's Chebyshev filtering, at the least order that meets the target error."""
    graphs, filters = need("pygsp.graphs"), need("pygsp.filters")
    compute = need("pygsp.filters.approximations").compute_cheby_coeff
    graph = graphs.Graph(sparse_input(arrays, "adjacency"), lap_type="normalized")
    graph._lmax = float(options["lambda_max"])
    kernels = haar_kernels(graph._lmax, options["levels"], options["dilation"])
    bank = filters.Filter(graph, kernels)
    points = np.cos(np.linspace(0, np.pi, 4001))
    for order in range(2, 121):
        coefficients = np.atleast_2d(compute(bank, m=order)).copy()
        coefficients[:, 0] /= 2
        response = np.polynomial.chebyshev.chebval(points, coefficients.T)
        defect = float(np.abs((response**2).sum(axis=0) - 1).max())
        if defect <= options["target"]:
            break
    x = arrays["x"][:, :, None]

    def analyze():
        return bank.filter(x, method="chebyshev", order=order)

    coefficients = analyze()
    if coefficients.ndim == 2:
        # PyGSP drops the axis of a single signal, and needs it back for synthesis.
        coefficients = coefficients[:, None, :]

    def synthesize():
        return bank.filter(coefficients, method="chebyshev", order=order)

    rebuilt = synthesize().reshape(x.shape)
    info = {
        "seconds_analyze": best_time(analyze, options["n_repeats"]),
        "seconds_synthesize": best_time(synthesize, options["n_repeats"]),
        "order": order,
        "defect": defect,
        "peak_bytes": peak_bytes(lambda: (analyze(), synthesize())),
        "error": float(np.abs(rebuilt - x).max() / np.abs(x).max()),
        "versions": {"pygsp": importlib.import_module("pygsp").__version__, "numpy": np.__version__},
    }
    sample = np.moveaxis(coefficients, -1, 0)[:, : options["n_sample"]]
    return {"coefficients": np.ascontiguousarray(sample)}, info


def materialized_blocks(laplacian: Any, lambda_max: float, options: dict[str, Any]) -> list[Any]:
    """The bands as sparse matrices, low-pass first: what the code released with the paper computes beforehand."""
    sparse = need("scipy.sparse")
    bessel = need("scipy.special").jv
    n, levels, dilation = options["n_coefficients"], options["levels"], options["dilation"]
    beta = np.pi / 4
    order = np.arange(n)
    signs = np.where(order % 2 == 0, (-1.0) ** (order // 2), (-1.0) ** ((order - 1) // 2))
    even = order % 2 == 0
    cosine = 2 * np.where(even, np.cos(beta), -np.sin(beta)) * signs * bessel(order, beta)
    sine = 2 * np.where(even, np.sin(beta), np.cos(beta)) * signs * bessel(order, beta)
    eye = sparse.identity(laplacian.shape[0], format="csr")
    low, highs = eye, []
    for level in range(1, levels + 1):
        step = 2 * dilation ** (level - levels) / lambda_max * laplacian - eye
        before, now = low, step @ low
        out = [c[0] / 2 * before + (c[1] * now if n > 1 else 0 * now) for c in (cosine, sine)]
        for k in range(2, n):
            before, now = now, 2 * step @ now - before
            out = [block + c[k] * now for block, c in zip(out, (cosine, sine))]
        low = out[0].tocsr()
        highs.append(out[1].tocsr())
    return [low, *highs]


class TorchUFG:
    """The two-layer UFGConv network of the paper in PyTorch, with materialised operators in CSR."""

    def __init__(self, torch: Any, arrays: dict[str, Any], options: dict[str, Any]) -> None:
        sparse = need("scipy.sparse")
        self.torch = torch
        laplacian = sparse_input(arrays, "laplacian")
        blocks = materialized_blocks(laplacian, options["lambda_max"], options)
        stacked = sparse.vstack(blocks).tocsr()
        self.analysis = self._csr(stacked)
        self.synthesis = self._csr(stacked.T.tocsr())
        self.x = torch.tensor(sparse_input(arrays, "features").toarray())
        self.labels = torch.tensor(arrays["labels"])
        self.masks = [torch.tensor(arrays[f"{name}_mask"]) for name in ("train", "val", "test")]
        names = ("weight1", "filter1", "bias1", "weight2", "filter2", "bias2")
        self.params = [torch.tensor(arrays[name].copy(), requires_grad=True) for name in names]
        self.optimizer = torch.optim.Adam(
            self.params, lr=options["learning_rate"], weight_decay=options["weight_decay"]
        )

    def _csr(self, matrix: Any) -> Any:
        tensor = self.torch.tensor
        parts = (tensor(matrix.indptr.astype(np.int64)), tensor(matrix.indices.astype(np.int64)))
        return self.torch.sparse_csr_tensor(*parts, tensor(matrix.data), size=matrix.shape)

    def _convolve(self, x: Any, weight: Any, scale: Any, bias: Any) -> Any:
        coefficients = self.analysis @ (x @ weight)
        return self.synthesis @ (scale.reshape(-1, 1) * coefficients) + bias

    def forward(self, dropout: float) -> Any:
        functional = self.torch.nn.functional
        hidden = self._convolve(self.x, *self.params[:3]).relu()
        hidden = functional.dropout(hidden, dropout, training=dropout > 0)
        return functional.log_softmax(self._convolve(hidden, *self.params[3:]), dim=1)

    def epoch(self, dropout: float) -> float:
        """One step, then the evaluation that the protocol asks for."""
        functional = self.torch.nn.functional
        self.optimizer.zero_grad()
        loss = functional.nll_loss(self.forward(dropout)[self.masks[0]], self.labels[self.masks[0]])
        loss.backward()
        self.optimizer.step()
        with self.torch.no_grad():
            out = self.forward(0.0)
            for mask in self.masks:
                out[mask].argmax(dim=1).eq(self.labels[mask]).double().mean().item()
        return float(loss.item())


def torch_ufg(arrays: dict[str, Any], options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Training epochs of our own PyTorch equivalent, and its first losses without dropout."""
    torch = need("torch")
    torch.set_num_threads(1)
    check = TorchUFG(torch, arrays, options)
    losses = [check.epoch(0.0) for _ in range(options["n_check"])]
    network = TorchUFG(torch, arrays, options)
    seconds = best_time(lambda: network.epoch(options["dropout"]), options["n_repeats"], at_least=2.0)
    info = {"seconds": seconds, "versions": {"torch": torch.__version__, "numpy": np.__version__}}
    return {"losses": np.array(losses)}, info


def _released_module(checkout: str) -> Any:
    """Import the authors' module from a checkout, with what has gone from its libraries since."""
    need("torch")
    if not hasattr(np, "trapz"):
        np.trapz = np.trapezoid
    try:
        importlib.import_module("torch_geometric")
    except ImportError:
        # The module imports a downloader and a Laplacian from there that this benchmark does not call.
        for name, attribute in (("datasets", "Planetoid"), ("utils", "get_laplacian")):
            stub = types.ModuleType(f"torch_geometric.{name}")
            setattr(stub, attribute, None)
            sys.modules[stub.__name__] = stub
        sys.modules["torch_geometric"] = types.ModuleType("torch_geometric")
    if not (Path(checkout) / "UFGConv_relu.py").is_file():
        print(f"{checkout} holds no UFGConv_relu.py", file=sys.stderr)
        raise SystemExit(MISSING)
    sys.path.insert(0, checkout)
    return importlib.import_module("UFGConv_relu")


def released_ufg(arrays: dict[str, Any], options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Training epochs of the code released with the paper, from a checkout of it."""
    torch = need("torch")
    torch.set_num_threads(1)
    module = _released_module(options["checkout"])
    functional = torch.nn.functional
    laplacian, lambda_max = sparse_input(arrays, "laplacian"), options["lambda_max"]
    levels, dilation, n = options["levels"], options["dilation"], options["n_coefficients"]
    start_level = np.log(lambda_max / np.pi) / np.log(dilation) + levels - 1
    masks_of = [lambda z: np.cos(z / 2), lambda z: np.sin(z / 2)]
    operators = module.get_operator(laplacian.tocoo(), masks_of, n, dilation, start_level, levels)
    listed = [module.scipy_to_torch_sparse(operators[r, level]) for r in range(2) for level in range(levels)]
    x = torch.tensor(sparse_input(arrays, "features").toarray())
    labels = torch.tensor(arrays["labels"])
    masks = [torch.tensor(arrays[f"{name}_mask"]) for name in ("train", "val", "test")]
    widths = (x.shape[1], arrays["weight1"].shape[1], arrays["weight2"].shape[1])
    model = module.Net(*widths, 2, levels, x.shape[0], shrinkage=None, dropout_prob=options["dropout"])
    optimizer = torch.optim.Adam(
        model.parameters(), lr=options["learning_rate"], weight_decay=options["weight_decay"]
    )
    data = types.SimpleNamespace(x=x)

    def epoch() -> None:
        model.train()
        optimizer.zero_grad()
        functional.nll_loss(model(data, listed)[masks[0]], labels[masks[0]]).backward()
        optimizer.step()
        model.eval()
        out = model(data, listed)
        for mask in masks:
            out[mask].max(dim=1)[1].eq(labels[mask]).sum().item()
            functional.nll_loss(out[mask], labels[mask]).item()

    seconds = best_time(epoch, options["n_repeats"], at_least=2.0)
    return {}, {"seconds": seconds, "versions": {"torch": torch.__version__, "numpy": np.__version__}}


def _neighbour(name: str) -> Any:
    """Import a file beside this one."""
    # -I keeps this folder off the import path.
    path = Path(__file__).resolve().parent / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _torch_worker() -> tuple[Any, Any]:
    """Return PyTorch on one thread, and the neighbouring file of what it is asked to do."""
    torch = need("torch")
    torch.set_num_threads(1)
    return torch, _neighbour("torch_worker")


def torch_layers(arrays: dict[str, Any], options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Convolutions, other layers, losses and optimisers of PyTorch."""
    torch, worker = _torch_worker()

    def best(function: Callable[[], Any]) -> float:
        return best_time(function, options["n_repeats"], options["at_least"])

    answers, rows = worker.convolutions(torch, best, options["shapes"])
    info = {
        "convolutions": rows,
        "layers": worker.layers(torch, best),
        "losses": worker.losses(torch, best, options["losses"]),
        "optimizers": worker.optimizers(torch, best, options["optimizers"]),
        "sampled": [
            worker.sampled(torch, best, arrays[f"indptr{i}"], arrays[f"indices{i}"], options["n_columns"])
            for i in range(options["n_sampled"])
        ],
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
    }
    return answers, info


def torch_resnet(arrays: dict[str, Any], options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Inference and training of ResNet-20 in PyTorch."""
    torch, worker = _torch_worker()
    times = worker.resnet_times(torch, options["n_inference"], options["n_train"], options["n_repeats"])
    return {}, times | {"versions": {"torch": torch.__version__, "numpy": np.__version__}}


def robustness(
    task: str, arrays: dict[str, Any], options: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run one of the tasks of the neighbouring file for Chow parameters, transforms and attacks."""

    def best(function: Callable[[], Any]) -> float:
        return best_time(function, options["n_repeats"], options["at_least"])

    return _neighbour("robustness_worker").TASKS[task](arrays, options, need, best)


def inverse(
    task: str, arrays: dict[str, Any], options: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run one of the tasks of the neighbouring file for samplers of inverse problems."""
    return _neighbour("inverse_worker").TASKS[task](arrays, options, need)


def recurrent(
    task: str, arrays: dict[str, Any], options: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run one of the tasks of the neighbouring file for recurrent networks and their coders."""
    return _neighbour("recurrent_worker").TASKS[task](arrays, options, need)


INVERSE = (
    "cuqipy_steps",
    "cuqipy_sampler",
    "emcee_stretch",
    "blackjax_sampler",
    "numpyro_nuts",
    "pymc_nuts",
)

RECURRENT = ("torch_recurrent", "constriction_ans")

ROBUSTNESS = (
    "sampled_chow",
    "halves_chow",
    "boofun_chow",
    "powerindex_banzhaf",
    "pypuf_lmn",
    "walsh_numpy",
    "walsh_pyfwht",
    "walsh_sympy",
    "folded_table",
    "jsma_numpy",
    "art_saliency",
    "foolbox_fmn",
    "foolbox_brendel_bethge",
)

TASKS: dict[str, Callable[[dict[str, Any], dict[str, Any]], tuple[dict[str, Any], dict[str, Any]]]] = {
    "torch_layers": torch_layers,
    "torch_resnet": torch_resnet,
    "pygsp_framelets": pygsp_framelets,
    "torch_ufg": torch_ufg,
    "released_ufg": released_ufg,
}
TASKS |= {name: functools.partial(robustness, name) for name in ROBUSTNESS}
TASKS |= {name: functools.partial(inverse, name) for name in INVERSE}
TASKS |= {name: functools.partial(recurrent, name) for name in RECURRENT}


def main(task: str, source: str, target: str) -> None:
    """Read the input, run the task, write the answer under a temporary name and rename it."""
    with np.load(source, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    options = json.loads(arrays.pop("meta").tobytes().decode())["options"]
    out, info = TASKS[task](arrays, options)
    text = json.dumps({"format": 1, "info": info}).encode()
    temporary = target + ".part.npz"
    np.savez(temporary, meta=np.frombuffer(text, dtype=np.uint8), **out)
    os.replace(temporary, target)


if __name__ == "__main__":
    main(*sys.argv[1:4])

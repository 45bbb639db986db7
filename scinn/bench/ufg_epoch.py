"""A training epoch of the two-layer UFGConv-R network on Cora, beside PyTorch and the code released with the paper."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from scinn import datasets
from scinn.bench.peers import PeerResult, csr_parts, run_peer
from scinn.bench.rows import Benchmark, Callback, Row
from scinn.bench.timing import measure
from scinn.graphs import FrameletTransform, Graph
from scinn.graphs.models import ufg_network
from scinn.graphs.training import train_node_classifier

__all__ = ["UFG_EPOCH", "run_ufg_epoch"]

_SETTINGS: dict[str, Any] = {"learning_rate": 0.01, "weight_decay": 0.01}
_LEVELS, _DILATION, _N_COEFFICIENTS, _N_HIDDEN = 2, 2.0, 2, 16
_N_CHECK, _N_EPOCHS = 5, 10


def _parameters(network: Any) -> dict[str, np.ndarray]:
    names = {}
    for layer, number in (("conv1", "1"), ("conv2", "2")):
        for ours in ("weight", "filter", "bias"):
            names[f"{ours}{number}"] = np.array(network.params[f"{layer}.{ours}"])
    return names


def _ours(
    data: Any, transform: Any, n_epochs: int, dropout: float
) -> tuple[list[float], dict[str, np.ndarray]]:
    """Train a fresh network; return the training losses and the initial parameters."""
    widths = (data.features.shape[1], _N_HIDDEN, data.n_classes, data.features.shape[0])
    network = ufg_network(*widths, transform.n_bands, "relu", dropout=dropout, rng=0)
    initial = _parameters(network)
    result = train_node_classifier(
        network,
        data.features,
        data.labels,
        train_mask=data.train_mask,
        val_mask=data.val_mask,
        test_mask=data.test_mask,
        context={"transform": transform},
        n_epochs=n_epochs,
        rng=0,
        **_SETTINGS,
    )
    return [float(record["train_loss"]) for record in result.history.records], initial


def _data(quick: bool) -> Any:
    if datasets.available("cora"):
        return "Cora", datasets.load("cora")
    return "block model, 2708 nodes", datasets.stochastic_block_model((387,) * 7, 0.008, 0.0003, 1433, rng=0)


def _row(case: str, seconds: float, peer: str, answer: PeerResult, note: str) -> Row:
    if not answer:
        return Row(case, seconds, peer, None, f"not run: {answer.reason}")
    versions = answer.info["versions"]
    return Row(
        case, seconds, f"{peer} {versions['torch']}", answer.info["seconds"], note, {"versions": versions}
    )


def run_ufg_epoch(quick: bool, callback: Callback) -> list[Row]:
    """Time one epoch (a step and an evaluation of all three masks) on both sides."""
    name, data = _data(quick)
    graph = Graph.from_scipy(data.adjacency)
    transform = FrameletTransform(graph, levels=_LEVELS, dilation=_DILATION, n_coefficients=_N_COEFFICIENTS)
    callback(f"ufg-epoch: scinn on {name}")
    losses, initial = _ours(data, transform, _N_CHECK, 0.0)
    total = measure(lambda: _ours(data, transform, _N_EPOCHS, 0.7), n_repeats=1 if quick else 3)
    seconds = total.seconds / _N_EPOCHS
    arrays = csr_parts("laplacian", graph.laplacian()) | csr_parts("features", data.features) | initial
    arrays |= {"labels": data.labels, "train_mask": data.train_mask, "val_mask": data.val_mask}
    arrays |= {"test_mask": data.test_mask}
    options = {
        "lambda_max": transform.lambda_max,
        "levels": _LEVELS,
        "dilation": _DILATION,
        "n_coefficients": _N_COEFFICIENTS,
        "dropout": 0.7,
        "n_check": _N_CHECK,
        "n_repeats": 3 if quick else 10,
        **_SETTINGS,
    }
    case = f"one epoch on {name}"
    callback("ufg-epoch: PyTorch equivalent")
    answer = run_peer("torch_ufg", arrays, options)
    note = ""
    if answer:
        gap = float(np.abs(answer.arrays["losses"] - losses).max())
        note = f"without dropout the first {_N_CHECK} losses differ by {gap:.1e}"
    rows = [_row(case, seconds, "PyTorch equivalent,", answer, note)]
    checkout = os.environ.get("SCINN_UFG_CODE")
    callback("ufg-epoch: released code")
    if checkout:
        answer = run_peer("released_ufg", arrays, options | {"checkout": os.path.abspath(checkout)})
    else:
        answer = PeerResult(reason="SCINN_UFG_CODE names no checkout of YuGuangWang/UFG")
    note = "its operators are built beforehand and not timed; printing and saving left out"
    rows.append(_row(case, seconds, "released code, PyTorch", answer, note))
    return rows


UFG_EPOCH = Benchmark(
    "ufg-epoch",
    "A training epoch of UFGConv-R",
    "Two layers, 16 hidden features, Haar, 2 levels, 2 coefficients, float64, one thread: an Adam step and an evaluation of "
    "training, validation and test nodes.",
    run_ufg_epoch,
)

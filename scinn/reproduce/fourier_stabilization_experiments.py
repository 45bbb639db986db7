"""The experiments behind the claims of *Enhancing Robustness of Neural Networks through Fourier Stabilization*.

Networks are trained on the training part, neurons are chosen on the validation part, attacks and accuracies are of the test
part. The published sets keep the authors' parts; the others are split 60/20/20 by the seed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from scinn import datasets
from scinn.random import Key
from scinn.reproduce.fourier_stabilization_protocol import EMBEDDED, NETWORKS, STRONG
from scinn.robustness import (
    ShallowNetwork,
    adversarial_fit,
    chow_parameters,
    exhaustive_flips,
    fmn_l1,
    jsma,
    retrain_biases,
    select_neurons,
    stabilize,
    stabilize_layer,
    to_signs,
    train_detector,
)
from scinn.robustness.fourier_stabilization import stabilized_columns

__all__ = ["EXPERIMENTS"]

# Budgets at which the curves are kept: l1 norms, two for each flip.
_GRID = [0.5 * i for i in range(121)]


def _parts(name: str, seed: int) -> Any:
    data: Any = datasets.load(name, rng=Key(seed).child("data")) if name == STRONG else datasets.load(name)
    if name in EMBEDDED:
        split = data.stratified_split((0.6, 0.2, 0.2), rng=Key(seed).child("split"))
    else:
        split = data.validation_split()
    return tuple((to_signs(part.features, encoding="bits"), part.labels) for part in split)


def _attack_rows(n_rows: int, n: int, seed: int) -> np.ndarray:
    """Choose the rows that are attacked, the same for every variant of a run."""
    order = Key(seed).child("attack").generator().permutation(n_rows)
    return np.sort(order[:n])


def _attacked(network: ShallowNetwork, test: Any, params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return accuracy and the sizes of successful attacks on the test part."""
    x, y = test
    rows = _attack_rows(len(y), params["n_jsma"], seed)
    discrete = jsma(network, x[rows], y[rows], encoding="signs")
    # A point that no attack moves counts with the largest size there is.
    flips = np.where(discrete.n_flips < 0, network.n_features, discrete.n_flips)
    out = {
        "accuracy": network.accuracy(x, y, encoding="signs"),
        "jsma_mean": float(2.0 * flips.mean()),
        "jsma_median": float(2.0 * np.median(flips)),
        "jsma_curve": [float(np.mean(2.0 * flips > budget)) for budget in _GRID],
        "jsma_success": float(np.mean(discrete.n_flips >= 0)),
    }
    if params["n_fmn"]:
        # Flips are changes too: where JSMA finds a smaller one than the continuous attack, it counts.
        rows, least = rows[: params["n_fmn"]], 2.0 * flips[: params["n_fmn"]]
        attack = fmn_l1(network, x[rows], y[rows], n_steps=params["fmn_steps"], encoding="signs")
        norms = np.minimum(attack.l1, least)
        out |= {
            "fmn_mean": float(norms.mean()),
            "fmn_median": float(np.median(norms)),
            "fmn_curve": [float(np.mean(norms > budget)) for budget in _GRID],
        }
    return out


def _floor(variant: dict[str, Any], accuracy: float, max_drop: float) -> float:
    wanted = variant["floor"]
    # Stabilising cannot raise the accuracy: below the floor from the start, only free columns are taken.
    return max(0.0, accuracy - max_drop) if wanted is None else min(wanted, accuracy)


def detector(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train a detector, stabilise it in several ways, attack all of them on the same test points."""
    train, validation, test = _parts(params["dataset"], seed)
    network = train_detector(
        *train,
        n_hidden=params["n_hidden"],
        activation=params["activation"],
        validation=validation,
        n_epochs=params["n_epochs"],
        encoding="signs",
        rng=Key(seed).child("detector"),
    )
    accuracy = network.accuracy(*validation, encoding="signs")
    out: dict[str, Any] = {
        "grid": _GRID,
        "original": {"validation": accuracy, **_attacked(network, test, params, seed)},
    }
    for name, variant in params["variants"].items():
        options = {key: value for key, value in variant.items() if key != "floor"}
        chosen = select_neurons(
            network, *validation, floor=_floor(variant, accuracy, params["max_drop"]), encoding="signs", **options
        )  # fmt: skip
        out[name] = {
            "validation": chosen.accuracy,
            "n_stabilized": len(chosen.hidden),
            "n_output": len(chosen.output),
            **_attacked(chosen.network, test, params, seed),
        }
    return out


def whole_layer(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Stabilise all hidden neurons with zero thresholds, then retrain the hidden biases alone (rule T2), or match (T4)."""
    train, validation, test = _parts(params["dataset"], seed)
    key = Key(seed).child("whole-layer")
    network = train_detector(
        *train, n_hidden=params["n_hidden"], validation=validation, n_epochs=params["n_epochs"], encoding="signs",
        rng=key.child("detector"),
    )  # fmt: skip
    columns = stabilized_columns(network.hidden_weights)
    zero = network.replace(hidden_weights=columns, hidden_bias=np.zeros_like(network.hidden_bias))
    retrained = retrain_biases(
        zero,
        *train,
        validation=validation,
        n_epochs=params["n_bias_epochs"],
        encoding="signs",
        rng=key.child("biases"),
    )
    matched = stabilize_layer(
        network.hidden_weights, network.thresholds, threshold_rule="match", report=False
    )
    variants = {
        "original": network,
        "zero": zero,
        "kept": network.replace(hidden_weights=columns),
        "matched": network.replace(hidden_weights=matched.weights, hidden_bias=-matched.thresholds),
        "retrained": retrained,
    }
    return {name: _attacked(each, test, params, seed) for name, each in variants.items()}


def adversarial(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train, train adversarially with greedy flips, and stabilise both."""
    train, validation, test = _parts(params["dataset"], seed)
    key = Key(seed).child("adversarial")
    plain = train_detector(
        *train, n_hidden=params["n_hidden"], validation=validation, n_epochs=params["n_epochs"], encoding="signs",
        rng=key.child("detector"),
    )  # fmt: skip
    hardened = adversarial_fit(
        plain, *train, budget=params["budget"], n_epochs=params["n_adversarial_epochs"], encoding="signs",
        rng=key.child("adversarial"),
    ).network  # fmt: skip
    out: dict[str, Any] = {}
    for name, network in (("plain", plain), ("hardened", hardened)):
        accuracy = network.accuracy(*validation, encoding="signs")
        floor = max(0.0, accuracy - params["max_drop"])
        chosen = select_neurons(network, *validation, floor=floor, encoding="signs")
        out[name] = {"validation": accuracy, **_attacked(network, test, params, seed)}
        out[f"{name} stabilized"] = {
            "validation": chosen.accuracy,
            "n_stabilized": len(chosen.hidden),
            **_attacked(chosen.network, test, params, seed),
        }
    return out


def _stored(name: str) -> tuple[dict[str, np.ndarray], ShallowNetwork, np.ndarray, np.ndarray]:
    arrays = datasets.load_weights(NETWORKS[name]).arrays
    network = ShallowNetwork.pretrained(NETWORKS[name])
    bits = np.unpackbits(arrays["val_bits"], axis=1, count=network.n_features)
    return arrays, network, to_signs(bits, encoding="bits"), arrays["val_y"].astype(np.int64)


def _changed(before: np.ndarray, after: np.ndarray) -> list[int]:
    return np.flatnonzero((before != after).any(axis=0)).tolist()


def replay(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Repeat the authors' selections and attacks from their stored network, and count what comes out equal."""
    arrays, network, x, y = _stored(params["dataset"])
    rows: list[dict[str, Any]] = []
    networks: list[tuple[str, ShallowNetwork]] = [("", network)]
    for method in ("GMB", "GMBC"):
        floors = sorted({k.split("_")[1] for k in arrays if k.startswith(f"{method}_")}, reverse=True)
        current = network
        for floor in floors:
            current = select_neurons(
                current, x, y, floor=float(floor), method=method.lower(), layers=("hidden", "output"), legacy=True,
                encoding="signs",
            ).network  # fmt: skip
            stored = f"{method}_{floor}"
            hidden, output = (
                np.flatnonzero(arrays[f"{stored}_changed_layer{layer}"]).tolist() for layer in (0, 1)
            )
            equal = (
                _changed(network.hidden_weights, current.hidden_weights) == hidden
                and _changed(network.output_weights, current.output_weights) == output
            )
            accuracy = current.accuracy(x, y, encoding="signs")
            rows.append({
                "selection": stored, "equal": equal, "accuracy": accuracy,
                "stored_accuracy": float(arrays[f"{stored}_acc_val"]),
            })  # fmt: skip
            networks.append((f"{stored}_", current))
    attacks = []
    for prefix, each in networks:
        key = f"{prefix}jsma_l1"
        if key not in arrays:
            continue
        stored_sizes = np.asarray(arrays[key], dtype=np.float64)
        n = min(params["n_points"], len(y))
        found = jsma(each, x[:n], y[:n], encoding="signs")
        sizes = 2.0 * found.n_flips
        attacks.append({
            "network": prefix.rstrip("_") or "original",
            "equal": float(np.mean(sizes == stored_sizes[:n])),
            "mean": float(sizes.mean()), "stored_mean": float(stored_sizes[:n].mean()),
        })  # fmt: skip
    continuous = []
    for prefix, each in networks:
        key = f"{prefix}bb_l1"
        if key not in arrays or not params["n_fmn"]:
            continue
        n = params["n_fmn"]
        stored_norms = np.asarray(arrays[key], dtype=np.float64)[:n]
        norms = fmn_l1(each, x[:n], y[:n], n_steps=params["fmn_steps"], box=(-2.0, 2.0), encoding="signs").l1
        known = np.isfinite(stored_norms) & np.isfinite(norms)
        continuous.append({
            "network": prefix.rstrip("_") or "original", "n": int(known.sum()),
            "mean": float(norms[known].mean()), "stored_mean": float(stored_norms[known].mean()),
        })  # fmt: skip
    return {"selections": rows, "jsma": attacks, "fmn": continuous}


def stored_network(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Stabilise the authors' stored network by the released scan and by the clean one, and attack the test part."""
    _, network, x, y = _stored(params["dataset"])
    _, _, test = _parts(params["dataset"], seed)
    layers = ("hidden", "output")
    out: dict[str, Any] = {"original": _attacked(network, test, params, seed)}
    for name, options in (
        ("released", {"legacy": True, "layers": layers}),
        ("clean", {"layers": layers}),
        ("hidden", {}),
    ):
        chosen = select_neurons(network, x, y, floor=params["floor"], encoding="signs", **options)
        out[name] = {"n_stabilized": len(chosen.hidden), **_attacked(chosen.network, test, params, seed)}
    return out


def sampling_noise(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Cosine of a trained weight vector and its Chow parameters: exact, sampled, and predicted for the sample's noise."""
    _, network, _, _ = _stored(params["dataset"])
    weights = network.hidden_weights.astype(np.float64)[:, : params["n_neurons"]]
    thresholds = network.thresholds.astype(np.float64)[: params["n_neurons"]]
    n, n_samples = network.n_features, params["n_samples"]

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / math.sqrt((a @ a) * (b @ b)))

    exact = [chow_parameters(w, t).value for w, t in zip(weights.T, thresholds, strict=True)]
    sums = np.zeros((n, weights.shape[1]))
    generator = Key(seed).child("sampling-noise").generator()
    done = 0
    while done < n_samples:
        size = min(10_000, n_samples - done)
        points = 1.0 - 2.0 * np.unpackbits(
            generator.integers(0, 256, (size, (n + 7) // 8), dtype=np.uint8), axis=1, count=n
        ).astype(np.float32)
        answers = np.where(
            points @ weights.astype(np.float32) - thresholds.astype(np.float32) >= 0, 1.0, -1.0
        )
        sums += points.T @ answers.astype(np.float32)
        done += size
    sampled = sums / n_samples
    columns = range(weights.shape[1])
    return {
        "exact": [cosine(weights[:, j], exact[j][1:]) for j in columns],
        "sampled": [cosine(weights[:, j], sampled[:, j]) for j in columns],
        "predicted": 1.0 / math.sqrt(1.0 + n * math.pi / (2.0 * n_samples)),
        "max_error": [float(np.abs(sampled[:, j] - exact[j][1:]).max()) for j in columns],
    }


def neuron_report(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Stabilise each neuron of a trained layer for several p: distances, optimum, changed answers and their bound."""
    if params["dataset"] in NETWORKS:
        _, network, _, _ = _stored(params["dataset"])
    else:
        train, validation, _ = _parts(params["dataset"], seed)
        network = train_detector(
            *train, n_hidden=params["n_hidden"], validation=validation, n_epochs=params["n_epochs"], encoding="signs",
            rng=Key(seed).child("report"),
        )  # fmt: skip
    rows = []
    generator = Key(seed).child("directions").generator()
    for p in params["p"]:
        for j in range(network.n_hidden):
            w, theta = network.hidden_weights[:, j].astype(np.float64), float(network.thresholds[j])
            neuron = stabilize(w, theta, p=p, rng=0)
            if not neuron.changed:
                continue
            assert neuron.change is not None
            q = math.inf if p == 1 else p / (p - 1)
            directions = generator.standard_normal((200, len(w)))
            scores = directions @ neuron.chow.value[1:] / np.linalg.norm(directions, q, axis=1)
            rows.append({
                "p": p, "neuron": j, "before": neuron.distance_before, "signed": neuron.signed_distance,
                "after": neuron.distance_after, "optimum": neuron.optimum,
                "best_random": float(scores.max() - theta * neuron.chow.value[0] / np.linalg.norm(w, q)),
                "benefit": neuron.benefit, "proxy": neuron.proxy_benefit,
                "change": neuron.change.value, "change_kind": neuron.change.kind,
                "bound": neuron.change_bound,
            })  # fmt: skip
    return {"neurons": rows}


def optimal_attack(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """How often JSMA finds the fewest flips: its sizes against an exact search, before and after stabilising."""
    train, validation, test = _parts(params["dataset"], seed)
    network = train_detector(
        *train, n_hidden=params["n_hidden"], validation=validation, n_epochs=params["n_epochs"], encoding="signs",
        rng=Key(seed).child("optimal-attack"),
    )  # fmt: skip
    floor = max(0.0, network.accuracy(*validation, encoding="signs") - params["max_drop"])
    chosen = select_neurons(network, *validation, floor=floor, encoding="signs").network
    x, y = test
    right = np.flatnonzero(
        (network.predict(x, encoding="signs") == y) & (chosen.predict(x, encoding="signs") == y)
    )
    rows = right[_attack_rows(len(right), params["n_points"], seed)]
    out: dict[str, Any] = {}
    for name, each in (("original", network), ("stabilized", chosen)):
        attack = jsma(each, x[rows], y[rows], encoding="signs")
        # A cap on the search, not on its time: the same points are solved on every machine.
        exact = exhaustive_flips(
            each,
            x[rows],
            y[rows],
            max_flips=params["max_flips"],
            max_nodes=params["max_nodes"],
            encoding="signs",
        )
        out[name] = {"jsma": attack.n_flips, "exact": exact.n_flips, "solved": exact.success}
    return out


EXPERIMENTS = {
    "detector": detector,
    "whole_layer": whole_layer,
    "adversarial": adversarial,
    "replay": replay,
    "stored_network": stored_network,
    "sampling_noise": sampling_noise,
    "neuron_report": neuron_report,
    "optimal_attack": optimal_attack,
}

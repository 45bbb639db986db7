"""Attacks on a detector of binary features beside NumPy, ART and foolbox, and the time of a whole study."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np

from scinn import datasets
from scinn.bench.detectors import Detector, pdfrate_detector
from scinn.bench.peers import PeerResult, run_peer
from scinn.bench.rows import Benchmark, Callback, Row, duration
from scinn.bench.timing import measure, one_thread
from scinn.robustness import fmn_l1, jsma, select_neurons, stabilize_layer, train_detector

__all__ = ["BINARY_ATTACKS", "run_binary_attacks"]


def _norm_words(norms: np.ndarray) -> str:
    found = np.isfinite(norms)
    words = f"mean l1 norm {norms[found].mean() if found.any() else float('nan'):.3f}"
    return words if found.all() else words + f" of {found.sum()} evaded"


def _jsma_rows(detector: Detector, timing: dict[str, Any]) -> list[Row]:
    run = partial(jsma, detector.network, detector.signs, detector.labels, encoding="signs")
    result = run()
    seconds = measure(run, **timing).seconds
    case = f"{detector.name}: JSMA on {len(detector.labels)} points"
    ours = f"{result.n_flips.mean():.3f} flips on the mean"
    rows = []
    answer = run_peer("jsma_numpy", detector.arrays(), timing)
    peer = "the same in NumPy"
    if answer:
        same = float(np.mean(answer.arrays["value"] == result.n_flips))
        note = f"{ours}; as many flips on {100 * same:g} % of the points"
        peer = f"{peer} {answer.info['versions']['numpy']}"
        rows.append(Row(case, seconds, peer, answer.info["seconds"], note, {"same": same}))
    else:
        rows.append(Row(case, seconds, peer, None, f"{ours}; not run: {answer.reason}"))
    answer = run_peer("art_saliency", detector.arrays(), timing)
    peer = "ART SaliencyMapMethod"
    if answer:
        flips = answer.arrays["value"]
        note = (
            "another algorithm: by gradients, two features a step, which it can only raise to +1; "
            f"{flips[flips > 0].mean():.3f} flips on the mean of the {100 * answer.info['evaded']:.1f} % that it evades"
        )
        peer = f"{peer} {answer.info['versions']['adversarial-robustness-toolbox']}"
        rows.append(Row(case, seconds, peer, answer.info["seconds"], note, {"peer": answer.info}))
    else:
        rows.append(Row(case, seconds, peer, None, f"not run: {answer.reason}"))
    return rows


def _continuous_row(
    detector: Detector, n_points: int, n_steps: int, answer: PeerResult, peer: str, timing: dict[str, Any]
) -> Row:
    samples = detector.signs[:n_points], detector.labels[:n_points]
    run = partial(fmn_l1, detector.network, *samples, n_steps=n_steps, box=(-1.0, 1.0), encoding="signs")
    norms = run().l1
    seconds = measure(run, **timing).seconds
    case = f"{detector.name}: FMN-l1 on {n_points} points, {n_steps} steps"
    ours = _norm_words(norms)
    numbers: dict[str, Any] = {"mean_l1": float(np.mean(norms[np.isfinite(norms)]))}
    if not answer:
        return Row(case, seconds, peer, None, f"{ours}; not run: {answer.reason}", numbers)
    theirs = answer.arrays["value"]
    numbers["peer_mean_l1"] = float(np.mean(theirs[np.isfinite(theirs)]))
    numbers["nearer"] = float(np.mean(norms <= theirs * (1 + 1e-3)))
    note = f"{ours}; peer {_norm_words(theirs)}; ours at most 0.1 % longer on {100 * numbers['nearer']:.0f} % of the points"
    peer = f"{peer} {answer.info['versions']['foolbox']}"
    return Row(case, seconds, peer, answer.info["seconds"], note, numbers)


def _foolbox_rows(detector: Detector, quick: bool, timing: dict[str, Any], callback: Callback) -> list[Row]:
    n_points, n_steps = (20, 20) if quick else (200, 200)
    callback("binary-attacks: foolbox L1FMNAttack")
    options = {"n_steps": n_steps, **timing}
    answer = run_peer("foolbox_fmn", detector.arrays(n_points), options)
    rows = [_continuous_row(detector, n_points, n_steps, answer, "foolbox L1FMNAttack", timing)]
    if quick:
        return rows
    callback("binary-attacks: foolbox L1BrendelBethgeAttack")
    # All points travel, because the attack starts from the nearest one of the other class.
    options |= {"n_points": 20}
    answer = run_peer("foolbox_brendel_bethge", detector.arrays(), options)
    return [*rows, _continuous_row(detector, 20, n_steps, answer, "foolbox L1BrendelBethgeAttack", timing)]


def _parts(quick: bool) -> tuple[str, Any]:
    if datasets.available("pdfrate-binary"):
        data: Any = datasets.load("pdfrate-binary")
        return "PDFRate", data.validation_split()
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (500, 30), dtype=np.uint8)
    data = datasets.BinaryDataset("random", bits, (bits[:, :9].sum(axis=1) > 4).astype(np.int64))
    return "random bits", data.stratified_split((0.6, 0.2, 0.2), rng=0)


def _study_row(quick: bool) -> Row:
    """Time everything that a user does, once, from the data to both attack curves."""
    name, (train, validation, test) = _parts(quick)
    n_epochs = 2 if quick else 100
    seconds: dict[str, float] = {}
    began = time.perf_counter()

    def timed(what: str, run: Any) -> Any:
        start = time.process_time()
        found = run()
        seconds[what] = time.process_time() - start
        return found

    with one_thread():
        network = timed(
            "training",
            lambda: train_detector(
                train.features, train.labels, validation=validation, n_epochs=n_epochs, encoding="bits", rng=0
            ),
        )
        floor = network.accuracy(*validation, encoding="bits") - 0.01
        stable = timed(
            "selection", lambda: select_neurons(network, *validation, floor=floor, encoding="bits").network
        )
        report = timed(
            "report of the layer", lambda: stabilize_layer(network.hidden_weights, network.thresholds)
        )
        attacks = timed(
            "JSMA on both",
            lambda: [jsma(each, *validation, encoding="bits") for each in (network, stable)],
        )
    wall = time.perf_counter() - began
    accuracy = [each.accuracy(*test, encoding="bits") for each in (network, stable)]
    note = (
        f"{wall:.1f} s on the wall clock: "
        + ", ".join(f"{what} {duration(value)}" for what, value in seconds.items())
        + f"; test accuracy {accuracy[0]:.4f} and {accuracy[1]:.4f}, mean l1 norm {attacks[0].mean_l1:.2f} and "
        f"{attacks[1].mean_l1:.2f}, {len(report.neurons)} neurons reported"
    )
    case = f"{name}: train {n_epochs} epochs, choose neurons, report, attack"
    return Row(case, sum(seconds.values()), "", None, note, {"wall_seconds": wall, **seconds})


def run_binary_attacks(quick: bool, callback: Callback) -> list[Row]:
    """Time the attacks on the stored detector, then a whole study."""
    timing: dict[str, Any] = {"n_repeats": 1 if quick else 5, "at_least": 0.01 if quick else 0.5}
    detector = pdfrate_detector()
    if quick:
        detector = detector._replace(signs=detector.signs[:200], labels=detector.labels[:200])
    callback(f"binary-attacks: JSMA on {detector.name}")
    rows = _jsma_rows(detector, timing)
    rows += _foolbox_rows(detector, quick, timing, callback)
    callback("binary-attacks: whole study")
    return [*rows, _study_row(quick)]


BINARY_ATTACKS = Benchmark(
    "binary-attacks",
    "Attacks on a detector of binary features",
    "One thread, float32; the authors' network of 135 features and 16 neurons for PDFRate and their validation points, or a "
    "random one where it is not here. JSMA in NumPy advances all points together and updates preactivations, as ours does. "
    "foolbox and ART attack the same network in PyTorch, within the box [-1, 1]; FMN-l1 takes as many steps on both sides. "
    "ART, Brendel and Bethge's attack and the study are timed once.",
    run_binary_attacks,
)

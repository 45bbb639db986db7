"""Chow parameters of neurons: time and error beside sampling, truth tables, and exact counts in Python and NumPy."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from scinn.bench.detectors import pdfrate_detector
from scinn.bench.peers import run_peer
from scinn.bench.rows import Benchmark, Callback, Row, duration
from scinn.bench.timing import measure
from scinn.reference.spectral import harmonic_sums
from scinn.robustness import ChowResult, chow_parameters, power_index

__all__ = ["CHOW", "run_chow", "samples_for"]


def samples_for(error: float, n: int, confidence: float = 0.999) -> float:
    """Return how many random points make every coefficient right to an error, by Hoeffding's inequality.

    Parameters
    ----------
    error : float
    n : int
        Coefficients.
    confidence : float, default 0.999
        Probability with which all are right.

    Returns
    -------
    float

    Examples
    --------
    >>> round(samples_for(0.01, 1, 0.95))
    73778
    """
    return 2 * math.log(2 * n / (1 - confidence)) / error**2


def slow_difference(weights: np.ndarray, threshold: float, result: ChowResult) -> float:
    """Return the largest difference between a sum of the series and a plain one, term by term, over a longer period.

    Parameters
    ----------
    weights : ndarray of float64, shape (n,)
    threshold : float
    result : ChowResult
        Of the method "series".

    Returns
    -------
    float

    Examples
    --------
    >>> weights = np.sqrt(np.arange(1.0, 122.0))
    >>> slow_difference(weights, 1.0, chow_parameters(weights, 1.0)) < 1e-12
    True
    """
    # All points lie within this period, so that nothing beyond it is neglected.
    period = 1.1 * (float(np.abs(weights).sum()) + abs(threshold))
    # As far in frequency as the other sum, and a little more.
    count = math.ceil(1.5 * result.details["n_harmonics"] * period / result.details["period"])
    odd = 1.0 + 2.0 * np.arange(count)
    zero = np.zeros(count)
    value = harmonic_sums(weights, threshold, period, 1.0, 2.0, 4 / np.pi / odd, zero, zero)
    return float(np.abs(value[:-1] - result.value).max())


def _kind(result: ChowResult) -> str:
    if result.kind == "exact":
        return f"exact ({result.method})"
    return f"error {'at most' if result.kind == 'certified' else 'estimated at'} {result.bound:.0e} ({result.method})"


def _compared(
    case: str,
    weights: np.ndarray,
    thresholds: np.ndarray,
    peer: tuple[str, str, str],
    method: str = "auto",
    **options: Any,
) -> Row:
    """Time the neurons in the columns of `weights` on both sides.

    `peer` is a task, the name of who does it, and the package whose version is shown.
    """
    task, name, package = peer
    neurons = list(zip(np.ascontiguousarray(weights.T), thresholds.tolist(), strict=True))

    def ours() -> list[ChowResult]:
        return [chow_parameters(*neuron, method=method) for neuron in neurons]

    results = ours()
    seconds = measure(ours, n_repeats=options["n_repeats"], at_least=options["at_least"]).seconds
    worst = max(results, key=lambda result: result.bound)
    note = _kind(worst)
    # The plain sum is in Python: a second for tens of harmonics, minutes for the thousands that few weights need.
    if worst.method == "series" and len(neurons) == 1 and worst.details["n_harmonics"] <= 100:
        note += f", {slow_difference(*neurons[0], worst):.0e} from a plain sum over a longer period"
    numbers: dict[str, Any] = {"method": worst.method, "kind": worst.kind, "bound": float(worst.bound)}
    answer = run_peer(task, {"weights": weights, "thresholds": thresholds}, options)
    if not answer:
        return Row(case, seconds, name, None, f"{note}; not run: {answer.reason}", numbers)
    gap = float(np.abs(answer.arrays["value"].T - [result.value for result in results]).max())
    note += f"; peer differs by {gap:.0e}"
    for key, words in (
        ("seconds_unpacked", "with faster random numbers"),
        ("seconds_table", "its truth table alone"),
    ):
        if key in answer.info:
            note += f", {words} {duration(answer.info[key])}"
    numbers |= {"gap": gap, "peer": answer.info}
    return Row(
        case, seconds, f"{name} {answer.info['versions'][package]}", answer.info["seconds"], note, numbers
    )


def _certified_row(case: str, weights: np.ndarray, threshold: float, tol: float) -> Row:
    result = chow_parameters(weights, threshold, tol=tol)
    seconds = measure(
        partial(chow_parameters, weights, threshold, tol=tol), n_repeats=1, at_least=0.0
    ).seconds
    needed = samples_for(tol, len(weights) + 1)
    note = f"{_kind(result)}; sampling needs {needed:.0e} points to be as sure with probability 0.999"
    numbers = {"method": result.method, "kind": result.kind, "bound": float(result.bound)}
    return Row(f"{case}, with a proof to {tol:.0e}", seconds, "", None, note, numbers | {"samples": needed})


def _detector_rows(quick: bool, timing: dict[str, Any], callback: Callback) -> list[Row]:
    detector = pdfrate_detector()
    weights = detector.network.hidden_weights.astype(np.float64)
    thresholds = detector.network.thresholds.astype(np.float64)
    n_samples = 20_000 if quick else 1_000_000
    peer = ("sampled_chow", f"the authors' estimator, {n_samples:,} points, NumPy", "numpy")
    rows = []
    for k in (1, weights.shape[1]):
        title = f"{detector.name}: {'one neuron' if k == 1 else f'all {k} neurons'}, n = {len(weights)}"
        callback(f"chow: {title}")
        options = timing | {"n_samples": n_samples}
        rows.append(_compared(title, weights[:, :k], thresholds[:k], peer, **options))
    title = f"{detector.name}: one neuron, n = {len(weights)}"
    callback(f"chow: {title}, with a proof")
    rows.append(_certified_row(title, weights[:, 0], float(thresholds[0]), 1e-3 if quick else 1e-5))
    return rows


def _voting_row(timing: dict[str, Any]) -> Row:
    weights = np.random.default_rng(0).integers(1, 36, 131)
    quota = int(weights.sum()) // 2 + 1
    run = partial(power_index, weights, quota, kind="banzhaf")
    value = np.asarray(run().normalized)
    seconds = measure(run, **timing).seconds
    answer = run_peer("powerindex_banzhaf", {"weights": weights}, {"quota": quota, **timing})
    case = f"Banzhaf indices, {len(weights)} integer weights, total {weights.sum()}"
    if not answer:
        return Row(case, seconds, "powerindex", None, f"not run: {answer.reason}")
    gap = float(np.abs(answer.arrays["value"] - value).max())
    peer = f"powerindex {answer.info['versions']['powerindex']}"
    note = f"normalised indices differ by {gap:.0e}"
    return Row(case, seconds, peer, answer.info["seconds"], note, {"gap": gap, "peer": answer.info})


def run_chow(quick: bool, callback: Callback) -> list[Row]:
    """Time neurons of several sizes, and a voting game."""
    timing: dict[str, Any] = {"n_repeats": 1 if quick else 5, "at_least": 0.01 if quick else 0.3}
    rows = _detector_rows(quick, timing, callback)
    callback("chow: voting game")
    rows.append(_voting_row(timing))
    rng = np.random.default_rng(1)
    boofun = ("boofun_chow", "boofun", "boofun")
    pypuf = ("pypuf_lmn", "pypuf, degree 1,", "pypuf")
    halves = ("halves_chow", "two sorted halves, NumPy", "numpy")
    cases = [(8, boofun, "auto"), (64, pypuf, "auto"), (24, halves, "auto")]
    if not quick:
        cases += [(10, boofun, "auto"), (12, boofun, "auto"), (28, halves, "auto"), (28, halves, "block")]
        cases.append((40, halves, "auto"))
    for n, peer, method in sorted(cases, key=lambda case: case[0]):
        title = f"normal weights, n = {n}" + (", by blocks in little memory" if method == "block" else "")
        callback(f"chow: {title}")
        options = timing
        if peer is pypuf:
            options = timing | {"n_samples": 10_000 if quick else 100_000}
            title += f", {options['n_samples']:,} points there"
        rows.append(_compared(title, rng.standard_normal((n, 1)), np.array([0.5]), peer, method, **options))
    return rows


CHOW = Benchmark(
    "chow",
    "Chow parameters",
    "One thread; E h and all E h x_i of h = sgn(<w, x> - theta) over the cube, from the weights. Sampling peers are timed "
    "with their random points; the authors' program needs TensorFlow 2.1, so that its estimator stands here in NumPy, in "
    "float32 as there. boofun makes a truth table first, which counts. powerindex does games of integers, in Python.",
    run_chow,
)

"""Data parts, the authors' stored numbers, and the settings shared by claims, experiments and figures.

Paper: N. Raviv, A. Kelley, M. Guo, Y. Vorobeychik, "Enhancing Robustness of Neural Networks through Fourier
Stabilization", ICML 2021, arXiv 2106.04435. The text of its tables and figures could not be read here; the reported numbers
are those that the authors stored with their program, which their figures are made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scinn.reproduce.claims import Cell, Results, seeds

PAPER = "fourier-stabilization"
STORED = "authors' stored results, validation part"
OURS = "ours"
PDFRATE, HIDOST, HATE = "pdfrate-binary", "hidost-binary", "hate-speech-binary"
CANCER, DIGITS = "breast-cancer-binary", "digits-binary"
STRONG = "few-strong-features"
EMBEDDED = (STRONG, CANCER, DIGITS)
TITLES = {
    PDFRATE: "PDFRate",
    HIDOST: "Hidost",
    HATE: "hate speech",
    STRONG: "few strong features",
    CANCER: "breast cancer",
    DIGITS: "digits",
}
#: Data set -> the authors' trained network.
NETWORKS = {PDFRATE: "fourier-pdfrate", HIDOST: "fourier-hidost", HATE: "fourier-hatespeech"}
#: Accuracy floors on the validation part. The embedded sets have floors relative to the trained network instead.
FLOORS: dict[str, tuple[float, ...]] = {PDFRATE: (0.99, 0.985, 0.98), HIDOST: (0.995, 0.99), HATE: (0.89,)}
MAX_DROP = 0.01

#: Authors' stored mean l1 norms on the validation part: original network, and GMBC at a floor. JSMA; Brendel and Bethge.
STORED_L1: dict[tuple[str, float], tuple[float, float]] = {
    (PDFRATE, 0.0): (5.79, 4.49),
    (PDFRATE, 0.99): (9.10, 10.09),
    (PDFRATE, 0.985): (9.29, 8.16),
    (HIDOST, 0.0): (12.89, 10.33),
    (HIDOST, 0.99): (17.33, 13.00),
    (HATE, 0.0): (1.88, 0.825),
    (HATE, 0.88): (1.93, 0.748),
}
#: Authors' stored adversarial training runs (1024 neurons): mean JSMA l1 norm before and after stabilising.
STORED_ADVERSARIAL = {PDFRATE: (12.43, 14.07), HIDOST: (22.75, 34.57)}
#: Authors' weight-similarity study on Hidost: number of samples -> mean cosine of w and the estimated c.
STORED_COSINES = {100_000: 0.99256, 200_000: 0.99624, 400_000: 0.99811, 800_000: 0.99906}

#: What one training run is judged with. ``floor`` None means MAX_DROP below the validation accuracy.
VARIANTS: dict[str, dict[str, Any]] = {
    "gmbc": {"method": "gmbc"},
    "gmbc-legacy": {"method": "gmbc", "legacy": True, "layers": ["hidden", "output"]},
    "gmbc-both-layers": {"method": "gmbc", "layers": ["hidden", "output"]},
    "gmbc-exact": {"method": "gmbc", "benefit": "exact"},
}
SIZES: dict[str, dict[str, int]] = {
    "smoke": {"n_epochs": 8, "n_jsma": 200, "n_fmn": 40, "fmn_steps": 60},
    "quick": {"n_epochs": 40, "n_jsma": 1000, "n_fmn": 150, "fmn_steps": 150},
    "full": {"n_epochs": 100, "n_jsma": 10_000, "n_fmn": 400, "fmn_steps": 300},
}
N_SEEDS: dict[str, int] = {"smoke": 1, "quick": 5, "full": 10}
N_SEEDS_LARGE: dict[str, int] = {"smoke": 1, "quick": 3, "full": 10}


def n_seeds(dataset: str, budget: str) -> int:
    return (N_SEEDS if dataset in (*EMBEDDED, PDFRATE) else N_SEEDS_LARGE)[budget]


def variant_name(variant: str, floor: float | None) -> str:
    return variant if floor is None else f"{variant}@{floor:g}"


def detector_params(dataset: str, budget: str, activation: str = "scaled_logistic") -> dict[str, Any]:
    """Return all parameters of one run: train, stabilise in several ways, attack the test part."""
    floors: tuple[float | None, ...] = FLOORS.get(dataset, (None,))
    wanted: list[tuple[str, float | None]] = [("gmbc", floor) for floor in floors]
    if activation == "scaled_logistic" and dataset != HATE:
        wanted += [(name, floors[0]) for name in VARIANTS if name != "gmbc"]
    variants = {variant_name(name, floor): {**VARIANTS[name], "floor": floor} for name, floor in wanted}
    return {
        "dataset": dataset,
        "activation": activation,
        "n_hidden": 16,
        "max_drop": MAX_DROP,
        "variants": variants,
        **SIZES[budget],
    }


def detector_cells(dataset: str, budget: str, seed: int, activation: str = "scaled_logistic") -> list[Cell]:
    params = detector_params(dataset, budget, activation)
    return [Cell("detector", params, s) for s in seeds(seed, n_seeds(dataset, budget))]


def runs(results: Results, dataset: str, activation: str = "scaled_logistic") -> list[Mapping[str, Any]]:
    """Return the training runs of a data set, in the order of their seeds."""
    return list(results.select("detector", dataset=dataset, activation=activation).values())


def short(dataset: str) -> str:
    return dataset.removesuffix("-binary")


def simple_budgets(**sizes: tuple[Any, Any, Any]) -> dict[str, dict[str, Any]]:
    return {b: {name: values[i] for name, values in sizes.items()} for i, b in enumerate(SIZES)}

"""Figures of the framelet report; each draws what has been run and leaves out the rest."""

from __future__ import annotations

from typing import Any

import numpy as np

from scinn.reproduce.claims import FigureSpec, Results, summarize
from scinn.reproduce.figures import COLOURS, new_figure
from scinn.reproduce.framelets_protocol import (
    DATASET_TITLES,
    EMBEDDED,
    METHODS,
    TABLE_1,
    TITLES,
    node_params,
    run_seed,
)

__all__ = ["figures"]

NODE = "node_classification"
DATASETS = ("cora", "citeseer", EMBEDDED)
NAMES = {name: title.removeprefix("the ") for name, title in DATASET_TITLES.items()}


def _best_tests(results: Results, dataset: str, method: str) -> list[float]:
    """Test accuracies of the settings with the most test seeds; among those the best validation mean."""
    groups: dict[str, list[dict[str, Any]]] = {}
    base = run_seed(results) * 1000
    for cell, result in results.select(NODE, dataset=dataset, method=method, noise=None).items():
        params = cell.params
        same = params.get("n_coefficients", 2) == 2 and params.get("sigma", 1.0) == 1.0
        if same and cell.seed - base < 900:
            groups.setdefault(cell.protocol_hash, []).append(result)
    if not groups:
        return []
    best = max(groups.values(), key=lambda g: (len(g), float(np.mean([r["val"] for r in g]))))
    return [r["test"] for r in best]


def _accuracy(results: Results) -> FigureSpec | None:
    rows: list[dict[str, Any]] = []
    for dataset in DATASETS:
        for method in METHODS:
            mean, sd, n = summarize(_best_tests(results, dataset, method))
            if mean is None:
                continue
            paper = TABLE_1.get((dataset, method), (None, None))[0]
            rows.append(
                {
                    "dataset": NAMES[dataset],
                    "method": TITLES[method],
                    "mean": mean,
                    "sd": sd,
                    "n": n,
                    "paper": paper,
                }
            )
    if not rows:
        return None
    present = [d for d in (NAMES[d] for d in DATASETS) if any(r["dataset"] == d for r in rows)]
    figure = new_figure(6.4, 3.6)
    ax = figure.subplots()
    width = 0.2
    for m, method in enumerate(METHODS):
        own = [r for r in rows if r["method"] == TITLES[method]]
        at = np.array([present.index(r["dataset"]) for r in own]) + (m - 1.5) * width
        ax.bar(
            at,
            [r["mean"] for r in own],
            0.9 * width,
            yerr=[r["sd"] or 0.0 for r in own],
            capsize=2,
            color=COLOURS[m],
            label=TITLES[method],
        )
        marked = [(x, r["paper"]) for x, r in zip(at, own, strict=True) if r["paper"] is not None]
        if marked:
            ax.plot(
                *zip(*marked, strict=True),
                "D",
                color="black",
                markersize=4,
                label="paper" if m == 0 else None,
            )
    ax.set_xticks(range(len(present)), present)
    ax.grid(axis="x", visible=False)
    ax.set_ylabel("test accuracy (%)")
    lowest = min(min(r["mean"], r["paper"] or 100.0) for r in rows)
    ax.set_ylim(bottom=max(0.0, 10.0 * np.floor(lowest / 10.0) - 5.0), top=101.0)
    figure.legend(ncols=5, loc="outside upper center", fontsize=8)
    return FigureSpec(
        "accuracy",
        "Node classification",
        "Bars: mean over seeds with one standard deviation, at the best validation epoch. Diamonds: the paper's Table 1. "
        "The axis does not start at zero.",
        figure,
        rows,
    )


def _defect(results: Results) -> FigureSpec | None:
    found = results.select("tightness")
    if not found:
        return None
    figure = new_figure()
    ax = figure.subplots()
    rows: list[dict[str, Any]] = []
    seen = set()
    for cell, result in found.items():
        bank = cell.params["bank"]
        if bank in seen:
            continue
        seen.add(bank)
        ax.semilogy(result["n_coefficients"], result["defect"], "o-", label=bank)
        rows += [
            {"bank": bank, "n_coefficients": n, "defect": d}
            for n, d in zip(result["n_coefficients"], result["defect"], strict=True)
        ]
    ax.set_xticks(sorted({r["n_coefficients"] for r in rows}))
    ax.axvline(2, color="black", linewidth=0.8, linestyle=":")
    ax.annotate(
        "default of the\nreleased code",
        (2, ax.get_ylim()[0]),
        (6, 10),
        textcoords="offset points",
        fontsize=8,
    )
    ax.set_xlabel("number of Chebyshev coefficients n (degree n - 1)")
    ax.set_ylabel("worst |sum of squared responses - 1|")
    ax.legend(title="filter bank")
    return FigureSpec(
        "tightness",
        "How far from tight",
        "The released default (n = 2) is not tight; the defect falls geometrically with the degree. Two levels.",
        figure,
        rows,
    )


def _tightness_accuracy(results: Results) -> FigureSpec | None:
    rows: list[dict[str, Any]] = []
    for dataset in ("cora", EMBEDDED):
        for method in ("relu", "shrink"):
            for n_coefficients in (2, 8):
                found = results.select(
                    NODE, dataset=dataset, method=method, noise=None, n_coefficients=n_coefficients
                )
                settings = node_params(dataset, method)
                wanted = {k: settings[k] for k in ("learning_rate", "weight_decay", "hidden", "dropout")}
                tests = found.select(NODE, **wanted, **({"sigma": 1.0} if method == "shrink" else {})).pluck(
                    "test"
                )
                mean, sd, n = summarize(tests)
                if mean is not None:
                    rows.append(
                        {"dataset": NAMES[dataset], "method": TITLES[method], "n_coefficients": n_coefficients,
                         "accuracy": mean, "sd": sd, "n": n}
                    )  # fmt: skip
    if not any(r["n_coefficients"] == 8 for r in rows):
        return None
    figure = new_figure(6.4, 3.2)
    ax = figure.subplots()
    groups = list(dict.fromkeys((r["dataset"], r["method"]) for r in rows))
    for i, (n_coefficients, label) in enumerate(((2, "n = 2, released"), (8, "n = 8, tight"))):
        own = [r for r in rows if r["n_coefficients"] == n_coefficients]
        at = np.array([groups.index((r["dataset"], r["method"])) for r in own]) + (i - 0.5) * 0.38
        spread = [r["sd"] or 0.0 for r in own]
        ax.bar(at, [r["accuracy"] for r in own], 0.34, yerr=spread, capsize=2, color=COLOURS[i], label=label)
    ax.set_xticks(range(len(groups)), [f"{method}\n{dataset}" for dataset, method in groups])
    ax.grid(axis="x", visible=False)
    ax.set_ylabel("test accuracy (%)")
    figure.legend(ncols=2, loc="outside upper center", fontsize=8)
    return FigureSpec(
        "tightness-and-accuracy",
        "Does tightness matter for accuracy?",
        "Same settings, only the number of Chebyshev coefficients differs. While the learned scales stay near one, a tight "
        "frame is near the identity and hardly mixes neighbours; the loose frame of the released default is itself a "
        "low-pass filter.",
        figure,
        rows,
    )


def _compression(results: Results) -> FigureSpec | None:
    rows: list[dict[str, Any]] = []
    for dataset in ("cora", EMBEDDED):
        for sigma in (0.0, 0.25, 0.5, 1.0, 2.0, 4.0):
            found = results.select(NODE, **node_params(dataset, "shrink", sigma=sigma))
            if found:
                share, share_sd, n = summarize([100 * x for x in found.pluck("nonzero_share")])
                accuracy, sd, _ = summarize(found.pluck("test"))
                rows.append(
                    {"dataset": NAMES[dataset], "sigma": sigma, "kept_percent": share, "kept_sd": share_sd,
                     "accuracy": accuracy, "accuracy_sd": sd, "n": n}
                )  # fmt: skip
    if not rows:
        return None
    figure = new_figure(6.4, 3.4)
    left, right = figure.subplots(1, 2)
    for name in dict.fromkeys(r["dataset"] for r in rows):
        own = [r for r in rows if r["dataset"] == name]
        sigmas = [r["sigma"] for r in own]
        for ax, value in ((left, "kept_percent"), (right, "accuracy")):
            spread = [r["kept_sd" if value == "kept_percent" else "accuracy_sd"] or 0.0 for r in own]
            ax.errorbar(sigmas, [r[value] for r in own], spread, marker="o", capsize=2, label=name)
    left.axhline(50, color="black", linewidth=0.8, linestyle=":")
    left.set_ylabel("non-zero coefficients (%)")
    right.set_ylabel("test accuracy (%)")
    for ax in (left, right):
        ax.set_xlabel("threshold factor sigma")
    left.legend(fontsize=8)
    return FigureSpec(
        "compression",
        "Compression by shrinkage",
        "UFGConv-S, first layer after training: share of coefficients left by the threshold, and what the accuracy pays. "
        "Dotted: half.",
        figure,
        rows,
    )


def _robustness(results: Results, budget: str) -> FigureSpec | None:
    rows: list[dict[str, Any]] = []
    epochs = {"smoke": 50, "quick": 100, "full": 200}
    for dataset in ("cora", EMBEDDED):
        for kind in ("node", "edge"):
            for method in METHODS[:3]:
                for level in (0.0, 0.05, 0.1, 0.25, 0.5):
                    noise = {"kind": kind, "level": level} if level else None
                    found = results.select(
                        NODE, **node_params(dataset, method, noise=noise, n_epochs=epochs[budget])
                    )
                    mean, sd, n = summarize(found.pluck("test"))
                    if mean is not None:
                        rows.append(
                            {"dataset": NAMES[dataset], "noise": kind, "level": level, "method": TITLES[method],
                             "accuracy": mean, "sd": sd, "n": n}
                        )  # fmt: skip
    panels = sorted({(r["dataset"], r["noise"]) for r in rows if r["level"] > 0})
    if not panels:
        return None
    figure = new_figure(6.4, 3.0 * ((len(panels) + 1) // 2))
    axes = np.atleast_1d(figure.subplots((len(panels) + 1) // 2, min(2, len(panels)))).ravel()
    for ax, (dataset, kind) in zip(axes, panels, strict=False):
        for m, method in enumerate(METHODS[:3]):
            own = [
                r for r in rows if (r["dataset"], r["noise"], r["method"]) == (dataset, kind, TITLES[method])
            ]
            own.sort(key=lambda r: r["level"])
            ax.errorbar(
                [r["level"] for r in own],
                [r["accuracy"] for r in own],
                [r["sd"] or 0.0 for r in own],
                marker="o",
                capsize=2,
                color=COLOURS[m],
                label=TITLES[method],
            )
        ax.set_title(f"{dataset}, {kind} noise")
        ax.set_xlabel("share of entries flipped" if kind == "node" else "share of edges replaced")
        ax.set_ylabel("test accuracy (%)")
    axes[0].legend(fontsize=8)
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    return FigureSpec(
        "robustness",
        "Noise in nodes and edges",
        "Accuracy of methods trained and tested on the noisy graph, published settings; bars are one standard "
        "deviation. The axes do not start at zero.",
        figure,
        rows,
    )


def _denoising(results: Results) -> FigureSpec | None:
    found = results.select("denoising")
    if not found:
        return None
    rows = [
        {"noise_sd": cell.params["noise_sd"], "seed": cell.seed, **result} for cell, result in found.items()
    ]
    methods = {
        "shrinkage": "shrinkage",
        "low_pass_only": "low-pass only",
        "neighbour_mean": "neighbour mean",
        "released_degree": "shrinkage, n = 2",
    }
    levels = sorted({r["noise_sd"] for r in rows})
    figure = new_figure(6.4, 3.2)
    ax = figure.subplots()
    for m, (name, label) in enumerate(methods.items()):
        ratios = [[r[name] / r["noisy"] for r in rows if r["noise_sd"] == level] for level in levels]
        at = np.arange(len(levels)) + (m - 1.5) * 0.2
        deviation = [np.std(r, ddof=1) if len(r) > 1 else 0.0 for r in ratios]
        ax.bar(
            at, [np.mean(r) for r in ratios], 0.18, yerr=deviation, capsize=2, color=COLOURS[m], label=label
        )
    ax.axhline(1.0, color="black", linewidth=0.8, linestyle=":")
    ax.grid(axis="x", visible=False)
    ax.set_xticks(range(len(levels)), [f"noise sd {level}" for level in levels])
    ax.set_ylabel("squared error / that of the noisy signal")
    ax.legend(fontsize=8)
    return FigureSpec(
        "denoising",
        "Denoising piecewise smooth signals",
        "Below the dotted line the estimate is better than the noisy signal. Neighbour mean: (x + mean of the "
        "neighbours) / 2, twice, without framelets. Last bar: the degree of the released code instead of one chosen for "
        "a tight frame.",
        figure,
        rows,
    )


def _signal_compression(results: Results) -> FigureSpec | None:
    found = results.select("signal_compression")
    if not found:
        return None
    shares = found.pluck("shares")[0]
    figure = new_figure(6.4, 3.2)
    ax = figure.subplots()
    rows: list[dict[str, Any]] = [{"share": share} for share in shares]
    for name, label in (("framelets", "largest framelet coefficients"), ("samples", "largest samples")):
        errors = np.array(found.pluck(name))
        ax.errorbar(shares, errors.mean(0), errors.std(0), marker="o", capsize=2, label=label)
        for row, value in zip(rows, errors.mean(0), strict=True):
            row[name] = float(value)
    ax.set_xlabel("numbers kept / number of samples")
    ax.set_ylabel("relative error")
    ax.set_ylim(bottom=0)
    ax.legend(fontsize=8)
    return FigureSpec(
        "signal-compression",
        "Compressing a signal",
        "Error after keeping the largest numbers only; the framelet frame has three times as many coefficients as samples, "
        "and the axis counts them against the samples.",
        figure,
        rows,
    )


def figures(results: Results, budget: str) -> list[FigureSpec]:
    """Draw every figure whose cells have been run.

    Parameters
    ----------
    results : Results
        Cells of the whole run.
    budget : str
        Name of the run's budget.

    Returns
    -------
    list of FigureSpec
    """
    makers = (_accuracy, _defect, _tightness_accuracy, _compression, _denoising, _signal_compression)
    drawn = [*(maker(results) for maker in makers), _robustness(results, budget)]
    return [spec for spec in drawn if spec is not None]

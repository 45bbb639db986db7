"""Figures of the report on Fourier stabilisation; each draws what has been run and leaves out the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scinn.reproduce.claims import FigureSpec, Results
from scinn.reproduce.figures import COLOURS, new_figure
from scinn.reproduce.fourier_stabilization_protocol import (
    EMBEDDED,
    FLOORS,
    HATE,
    HIDOST,
    PDFRATE,
    TITLES,
    runs,
    variant_name,
)

__all__ = ["figures"]

DATASETS = (PDFRATE, HIDOST, HATE, *EMBEDDED)


def _present(results: Results) -> list[str]:
    return [name for name in DATASETS if runs(results, name)]


def _label(floor: float | None) -> str:
    return "stabilised" if floor is None else f"stabilised, floor {floor:g}"


def _curves(results: Results, attack: str) -> FigureSpec | None:
    names = _present(results)
    if not names:
        return None
    rows: list[dict[str, Any]] = []
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    figure = new_figure(2.9 * columns + 0.6, 2.5 * lines + 0.7)
    axes = figure.subplots(lines, columns, sharey=True, squeeze=False)
    for ax in axes.ravel()[len(names) :]:
        ax.set_visible(False)
    for place, name in enumerate(names):
        ax = axes.ravel()[place]
        found = runs(results, name)
        grid = np.array(found[0]["grid"])
        wanted: list[tuple[str, str]] = [("original", "original")]
        wanted += [(variant_name("gmbc", floor), _label(floor)) for floor in FLOORS.get(name, (None,))]
        end = 1.0
        for number, (variant, label) in enumerate(wanted):
            curve = 100.0 * np.mean([run[variant][f"{attack}_curve"] for run in found], axis=0)
            ax.step(
                grid,
                curve,
                where="post",
                color=COLOURS[6 if number == 0 else number - 1],
                linestyle="--" if number == 0 else "-",
                label=label,
            )
            above = np.flatnonzero(curve > 2.0)
            end = max(end, float(grid[above[-1]]) if above.size else 1.0)
            rows += [
                {"dataset": TITLES[name], "network": label, "l1": float(b), "accuracy": float(a)}
                for b, a in zip(grid, curve, strict=True)
            ]
        ax.set_xlim(0.0, 1.05 * end)
        ax.set_ylim(0.0, 103.0)
        ax.set_title(TITLES[name])
        ax.set_xlabel("budget of the attack, l1 (a flip is 2)")
        if place % columns == 0:
            ax.set_ylabel("accuracy (%)")
        # Translucent, since a curve may have to pass behind it.
        ax.legend(fontsize=7, loc="best", frameon=True, framealpha=0.85, edgecolor="none")
    kind = {"jsma": "flips of JSMA", "fmn": "continuous changes by FMN"}[attack]
    return FigureSpec(
        f"accuracy-{attack}",
        f"Accuracy under {kind}",
        "Share of attacked test points that are classified right and stay so within the budget, mean over seeds. Higher and "
        "further right is harder to evade.",
        figure,
        rows,
    )


def _trade(results: Results) -> FigureSpec | None:
    names = [name for name in (PDFRATE, HIDOST) if runs(results, name)] or [
        name for name in EMBEDDED if runs(results, name)
    ]
    if not names:
        return None
    figure = new_figure(3.4 * len(names) + 0.4, 3.4)
    axes = figure.subplots(1, len(names), squeeze=False)[0]
    rows: list[dict[str, Any]] = []
    marks = {"original": "s", "gmbc": "o", "gmbc-both-layers": "^", "gmbc-legacy": "v", "gmbc-exact": "D"}
    titles = {
        "original": "original",
        "gmbc": "GMBC, hidden layer",
        "gmbc-both-layers": "GMBC, both layers",
        "gmbc-legacy": "released scan, both layers",
        "gmbc-exact": "GMBC, exact benefit",
    }
    for ax, name in zip(axes, names, strict=True):
        found = runs(results, name)
        drawn: set[str] = set()
        for variant in [v for v in found[0] if v != "grid"]:
            kind = variant.partition("@")[0]
            accuracy = [100.0 * run[variant]["accuracy"] for run in found]
            size = [run[variant]["jsma_mean"] for run in found]
            ax.errorbar(
                np.mean(accuracy),
                np.mean(size),
                yerr=np.std(size, ddof=1) if len(size) > 1 else None,
                marker=marks[kind],
                color=COLOURS[list(marks).index(kind)],
                linestyle="none",
                capsize=2,
                label=None if kind in drawn else titles[kind],
            )
            drawn.add(kind)
            rows.append(
                {
                    "dataset": TITLES[name],
                    "variant": variant,
                    "test accuracy": float(np.mean(accuracy)),
                    "JSMA l1": float(np.mean(size)),
                    "n": len(found),
                }
            )
        ax.set_title(TITLES[name])
        ax.set_xlabel("test accuracy (%)")
        ax.set_ylabel("mean size of JSMA's attacks, l1")
    axes[-1].legend(fontsize=7)
    return FigureSpec(
        "accuracy-and-robustness",
        "What robustness costs",
        "Mean over seeds, one standard deviation. GMBC at each accuracy floor; the other ways at the first floor.",
        figure,
        rows,
    )


def _adversarial(results: Results) -> FigureSpec | None:
    found = results.select("adversarial")
    names = [name for name in DATASETS if found.select(dataset=name)]
    if not names:
        return None
    kinds = ("plain", "plain stabilized", "hardened", "hardened stabilized")
    titles = ("trained", "trained, stabilised", "adversarially trained", "adversarially trained, stabilised")
    figure = new_figure(6.4, 3.4)
    ax = figure.subplots()
    rows: list[dict[str, Any]] = []
    for number, (kind, title) in enumerate(zip(kinds, titles, strict=True)):
        sizes = [found.select(dataset=name).pluck(kind) for name in names]
        means = [float(np.mean([r["jsma_mean"] for r in each])) for each in sizes]
        spread = [
            float(np.std([r["jsma_mean"] for r in each], ddof=1)) if len(each) > 1 else 0.0 for each in sizes
        ]
        at = np.arange(len(names)) + (number - 1.5) * 0.2
        ax.bar(at, means, 0.18, yerr=spread, capsize=2, color=COLOURS[number], label=title)
        for name, each, mean in zip(names, sizes, means, strict=True):
            accuracy = 100.0 * float(np.mean([r["accuracy"] for r in each]))
            rows.append(
                {"dataset": TITLES[name], "network": title, "JSMA l1": mean, "test accuracy": accuracy}
            )
    ax.set_xticks(range(len(names)), [TITLES[name] for name in names])
    ax.grid(axis="x", visible=False)
    ax.set_ylabel("mean size of JSMA's attacks, l1")
    ax.legend(fontsize=8)
    return FigureSpec(
        "adversarial-training",
        "Composition with adversarial training",
        "Mean over seeds with one standard deviation.",
        figure,
        rows,
    )


def _benefits(results: Results) -> FigureSpec | None:
    found = results.select("neuron_report")
    if not found:
        return None
    figure = new_figure(7.0, 3.2)
    left, right = figure.subplots(1, 2)
    rows: list[dict[str, Any]] = []
    seen: list[str] = []
    for cell, result in found.items():
        name = cell.params["dataset"]
        if name in seen:
            continue
        colour = COLOURS[len(seen)]
        seen.append(name)
        own = [row for row in result["neurons"] if row["p"] == 1.0]
        _scatter(left, own, "proxy", "benefit", colour, TITLES[name])
        _scatter(right, own, "change", "bound", colour, TITLES[name])
        rows += [{"dataset": TITLES[name], **row} for row in own]
    left.set_xlabel("gain of the largest margin (proxy)")
    left.set_ylabel("gain of the average distance (exact)")
    right.plot([0, 1], [0, 1], "k:", linewidth=1)
    right.set_xlabel("probability that the answer changes")
    right.set_ylabel("bound on it")
    right.set_xlim(0, 0.5)
    right.set_ylim(0, 1.02)
    left.legend(fontsize=8)
    return FigureSpec(
        "neurons",
        "What stabilising does to each neuron",
        "One point for each hidden neuron, p = 1. Left: the score by which the released program ranks neurons, against the "
        "exact gain of what the method maximises. Right: how often the neuron's answer changes on the cube, and the bound.",
        figure,
        rows,
    )


def _scatter(ax: Any, rows: Sequence[Mapping[str, Any]], x: str, y: str, colour: str, label: str) -> None:
    ax.plot([row[x] for row in rows], [row[y] for row in rows], "o", markersize=4, color=colour, label=label)


def figures(results: Results, budget: str) -> list[FigureSpec]:
    """Return the figures that the results at hand allow."""
    drawn = (
        _curves(results, "jsma"),
        _curves(results, "fmn"),
        _trade(results),
        _adversarial(results),
        _benefits(results),
    )
    return [figure for figure in drawn if figure is not None]

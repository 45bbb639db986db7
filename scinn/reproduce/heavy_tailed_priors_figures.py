"""Figures of the report on heavy-tailed network priors; each draws what has been run and leaves out the rest."""

from __future__ import annotations

from typing import Any

import numpy as np

from scinn.reproduce.claims import FigureSpec, Results
from scinn.reproduce.figures import COLOURS, new_figure
from scinn.reproduce.heavy_tailed_priors_protocol import CONTROLS, LAWS, SCALES, TITLES, coordinates, scales

__all__ = ["figures"]

_COLOUR = dict(zip(("ccg", "ggg", "ccc", "gcg", "cgg", "tv"), COLOURS, strict=False))


def _by_law(results: Results, experiment: str, truth: str = "jumps", **more: Any) -> dict[str, Results]:
    """Return the judged runs of each law: those of the laws' usual coordinates on the grid's own data."""
    out = {}
    for law in LAWS:
        found = results.select(experiment, law=law, truth=truth, **more)
        own = {cell: found[cell] for cell in found if not cell.params.get("finer")}
        usual = coordinates(law)
        own = {cell: run for cell, run in own.items() if cell.params.get("coordinates", usual) == usual}
        if own:
            out[law] = Results(own)
    return out


def _first(results: Results) -> dict[str, Any]:
    return results[min(results, key=lambda cell: cell.seed)]


def _reconstructions(results: Results) -> FigureSpec | None:
    found = _by_law(results, "map_1d")
    shown = [law for law in ("ggg", "ccg", "ccc") if law in found]
    if not shown:
        return None
    figure = new_figure(3.1 * len(shown) + 0.4, 2.9)
    axes = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    rows: list[dict[str, Any]] = []
    for ax, law in zip(axes, shown, strict=True):
        run = _first(found[law])
        x = np.array(run["x"])
        ax.plot(x, run["truth"], color="0.5", lw=1.0, label="truth")
        ax.plot(x[::2], run["data"], ".", color="0.6", ms=3, label="data")
        ax.plot(x, run["field"], color=_COLOUR[law], label="MAP estimate")
        ax.set_title(f"{TITLES[law]}: error {run['best']:.2f}")
        ax.set_xlabel("x")
        rows += [
            {"network": TITLES[law], "x": float(a), "truth": float(t), "estimate": float(u)}
            for a, t, u in zip(x, run["truth"], run["field"], strict=True)
        ]
    axes[0].set_ylabel("u(x)")
    axes[0].legend(fontsize=7, loc="lower left")
    return FigureSpec(
        "reconstructions",
        "A signal with jumps from blurred data",
        "MAP estimates from the first noise draw, each law at its own best scale; the error is relative, in L2.",
        figure,
        rows,
    )


def _errors(results: Results) -> FigureSpec | None:
    entries: list[tuple[str, str, list[float]]] = []
    for truth in ("jumps", "smooth"):
        for law, found in _by_law(results, "map_1d", truth).items():
            entries.append((truth, law, found.pluck("best")))
        for method in CONTROLS:
            found = results.select("control", method=method, truth=truth, dimension=1)
            if found:
                entries.append((truth, method, found.pluck("best")))
    if not entries:
        return None
    truths = [truth for truth in ("jumps", "smooth") if any(entry[0] == truth for entry in entries)]
    figure = new_figure(4.2 * len(truths) + 0.6, 3.2)
    axes = figure.subplots(1, len(truths), squeeze=False)[0]
    rows = []
    for ax, truth in zip(axes, truths, strict=True):
        own = [entry for entry in entries if entry[0] == truth]
        for place, (_, name, values) in enumerate(own):
            ax.plot(values, [place] * len(values), ".", color="0.6", ms=5)
            ax.plot(
                np.mean(values), place, "|", color=COLOURS[0] if name in LAWS else COLOURS[1], ms=16, mew=3
            )
            rows.append(
                {
                    "truth": truth,
                    "prior": TITLES[name],
                    "mean error": float(np.mean(values)),
                    "n": len(values),
                }
            )
        ax.set_yticks(range(len(own)), [TITLES[name] for _, name, _ in own])
        ax.invert_yaxis()
        ax.set_xlim(left=0.0)
        ax.set_xlabel("relative L2 error")
        ax.set_title("truth with jumps" if truth == "jumps" else "smooth truth")
    return FigureSpec(
        "errors",
        "Error of point estimates",
        "Dots: noise draws; bar: their mean. Blue: networks, orange: priors that are no networks. Every prior has the "
        "scale that was "
        "best on random truths.",
        figure,
        rows,
    )


def _scan(results: Results) -> FigureSpec | None:
    rows: list[dict[str, Any]] = []
    figure = new_figure(8.0, 3.2)
    axes = figure.subplots(1, 2)
    for ax, kind in zip(axes, ("random-jumps", "random-smooth"), strict=True):
        for law in LAWS:
            values = []
            for name in SCALES:
                found = results.select("map_1d", law=law, truth=kind, **scales(name))
                if found:
                    values.append((name, float(np.mean(found.pluck("best")))))
            if values:
                ax.plot(
                    [SCALES[name][0][0] for name, _ in values],
                    [v for _, v in values],
                    "o-",
                    color=_COLOUR[law],
                    label=TITLES[law],
                )
                rows += [
                    {"truth": kind, "network": TITLES[law], "scales": name, "mean error": v}
                    for name, v in values
                ]
        ax.set_xscale("log")
        ax.set_xlabel("scale of the first layer's weights")
        ax.set_title("random truths with jumps" if kind == "random-jumps" else "smooth random truths")
    axes[0].set_ylabel("mean relative error")
    axes[0].legend(fontsize=7)
    if not rows:
        return None
    return FigureSpec(
        "scales",
        "How the error depends on the prior's scale",
        "The random truths on which each law's scale is chosen; deeper scales change along.",
        figure,
        rows,
    )


def _plane(results: Results) -> FigureSpec | None:
    found = _by_law(results, "map_2d")
    panels: list[tuple[str, np.ndarray]] = []
    for law in ("ggg", "ccg", "ccc"):
        if law in found:
            run = _first(found[law])
            if not panels:
                panels.append(("truth", np.array(run["truth"])))
            panels.append((f"{TITLES[law]}: {run['best']:.2f}", np.array(run["field"])))
    variation = results.select("control", method="tv", truth="jumps", dimension=2)
    if variation and panels:
        run = _first(variation)
        panels.append((f"total variation: {run['best']:.2f}", np.array(run["field"])))
    if not panels:
        return None
    figure = new_figure(2.3 * len(panels) + 0.6, 2.7)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    image: Any = None
    for ax, (title, values) in zip(axes, panels, strict=True):
        image = ax.imshow(values, origin="lower", extent=(-1, 1, -1, 1), vmin=-1.1, vmax=1.3, cmap="RdBu_r")
        ax.set_title(title, fontsize=8)
        ax.grid(False)
        ax.set_xlabel("second coordinate")
    axes[0].set_ylabel("first coordinate")
    figure.colorbar(image, ax=list(axes), label="u", shrink=0.8)
    rows = [{"panel": title, "largest": float(v.max()), "smallest": float(v.min())} for title, v in panels]
    return FigureSpec(
        "plane",
        "An image with jumps from blurred data",
        "A quarter of the points have data. MAP estimates from the first noise draw with their relative errors.",
        figure,
        rows,
    )


def _uncertainty(results: Results) -> FigureSpec | None:
    found = {law: results.select("uncertainty", law=law) for law in ("ggg", "ccg")}
    shown = [law for law in found if found[law]]
    if not shown:
        return None
    figure = new_figure(4.0 * len(shown) + 0.5, 4.4)
    axes = figure.subplots(2, len(shown), sharex=True, sharey="row", squeeze=False, height_ratios=(2, 1))
    rows: list[dict[str, Any]] = []
    for column, law in enumerate(shown):
        run = _first(found[law])
        x = np.array(run["x"])
        top, bottom = axes[:, column]
        top.fill_between(
            x, run["low"], run["high"], color=_COLOUR[law], alpha=0.3, lw=0, label="90 % interval"
        )
        top.plot(x, run["median"], color=_COLOUR[law], label="median")
        top.plot(x, run["truth"], color="0.3", lw=1.0, label="truth")
        top.set_title(f"{TITLES[law]}: covers {100 * run['coverage']:.0f} %")
        middle = 0.5 * (x[1:] + x[:-1])
        bottom.bar(middle, run["jump"], width=x[1] - x[0], color=_COLOUR[law])
        bottom.set_xlabel("x")
        rows += [
            {"network": TITLES[law], "x": float(a), "low": float(lo), "median": float(m), "high": float(h)}
            for a, lo, m, h in zip(x, run["low"], run["median"], run["high"], strict=True)
        ]
    axes[0, 0].set_ylabel("u(x)")
    axes[0, 0].legend(fontsize=7, loc="lower left")
    axes[1, 0].set_ylabel("P(|step| > 0.2)")
    return FigureSpec(
        "uncertainty",
        "Where the posterior is unsure",
        "Pointwise intervals from the first noise draw, and the posterior probability of a step between neighbouring "
        "grid points.",
        figure,
        rows,
    )


def _scaled(values: Any) -> np.ndarray:
    # Ranges of Cauchy draws differ by orders of magnitude.
    own = np.array(values)
    return (own - own.min()) / np.ptp(own)


def _prior(results: Results) -> FigureSpec | None:
    found = {law: results.select("prior_draws", law=law) for law in ("ggg", "ccc")}
    shown = [law for law in found if found[law]]
    if not shown:
        return None
    figure = new_figure(8.6, 2.3 * len(shown) + 0.3)
    axes = figure.subplots(len(shown), 4, squeeze=False, width_ratios=(1.8, 1, 1, 1))
    rows: list[dict[str, Any]] = []
    for line, law in zip(axes, shown, strict=True):
        run = _first(found[law])
        for number, values in enumerate(run["line"]):
            line[0].plot(run["x"], _scaled(values), color=COLOURS[number], lw=1.0)
            rows.append({"law": TITLES[law], "draw": number, "largest |u|": float(np.max(np.abs(values)))})
        line[0].set_ylabel(f"{TITLES[law]}\nu, scaled", fontsize=8)
        for ax, values in zip(line[1:], run["square"], strict=True):
            ax.imshow(_scaled(values), origin="lower", extent=(-1, 1, -1, 1), cmap="RdBu_r", vmin=0, vmax=1)
            ax.grid(False)
            ax.set_xticks([-1, 1])
            ax.set_yticks([-1, 1])
    axes[-1, 0].set_xlabel("x")
    axes[-1, 2].set_xlabel("inputs in the square")
    return FigureSpec(
        "prior-draws",
        "Functions drawn from the priors",
        "Three hidden layers of 50 tanh units, on the line and on the square, each scaled to the range from 0 to 1.",
        figure,
        rows,
    )


def _shares(results: Results) -> FigureSpec | None:
    found = {law: results.select("shares", law=law) for law in ("ggg", "ccg", "ccc")}
    shown = [law for law in found if found[law]]
    if not shown:
        return None
    figure = new_figure(4.8, 3.2)
    ax = figure.subplots()
    rows: list[dict[str, Any]] = []
    for law in shown:
        run = _first(found[law])
        sizes = [129, 513, 2049]
        values = [run[str(n)]["median"] for n in sizes]
        ax.loglog(sizes, values, "o-", color=_COLOUR[law], label=TITLES[law])
        rows += [
            {"network": TITLES[law], "points": n, "median share": v}
            for n, v in zip(sizes, values, strict=True)
        ]
    ax.set_xlabel("grid points")
    ax.set_ylabel("largest step / total variation")
    ax.set_xticks([129, 513, 2049], ["129", "513", "2049"])
    ax.minorticks_off()
    ax.legend(fontsize=8)
    return FigureSpec(
        "jump-share",
        "How much of a drawn function is its largest step",
        "Median over draws. For a smooth function it falls like the grid's spacing, for one with jumps it stays.",
        figure,
        rows,
    )


def _dimension(results: Results) -> FigureSpec | None:
    found = results.select("dimension")
    if not found:
        return None
    runs = list(found.values())
    figure = new_figure(4.8, 3.2)
    ax = figure.subplots()
    dims = runs[0]["dims"]
    rows: list[dict[str, Any]] = []
    for name, title, colour in (("pcn", "pCN", COLOURS[0]), ("rwm", "random walk", COLOURS[1])):
        values = 100.0 * np.array([run[name] for run in runs])
        ax.semilogx(dims, values.mean(axis=0), "o-", color=colour, label=title)
        for own in values:
            ax.semilogx(dims, own, ".", color=colour, alpha=0.4)
        rows += [
            {"sampler": title, "dimension": d, "acceptance": float(v)}
            for d, v in zip(dims, values.mean(axis=0), strict=True)
        ]
    ax.set_ylim(bottom=0.0)
    ax.set_xlabel("number of weights")
    ax.set_ylabel("acceptance (%)")
    ax.set_xticks(dims, [str(d) for d in dims])
    ax.minorticks_off()
    ax.legend(fontsize=8)
    return FigureSpec(
        "dimension",
        "Acceptance at a fixed step size",
        "The step sizes are those that suit the narrowest network; the data stay the same.",
        figure,
        rows,
    )


def figures(results: Results, budget: str) -> list[FigureSpec]:
    """Return the figures of what was run."""
    drawn = [
        draw(results)
        for draw in (_reconstructions, _errors, _scan, _plane, _uncertainty, _prior, _shares, _dimension)
    ]
    return [spec for spec in drawn if spec is not None]

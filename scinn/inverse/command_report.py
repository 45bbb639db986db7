"""The report of ``scinn invert``: figures, and one HTML page that opens from the disk and needs no network.

C. Li, M. Dunlop and G. Stadler, "Bayesian neural network priors for edge-preserving inversion", Inverse Problems and
Imaging 16(5), 2022, arXiv 2112.10663. Everything is drawn from the arrays of ``result.npz`` and the numbers of
``result.json``, in the user's own units.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scinn._version import __version__

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DrawnFigure", "draw_figures", "key_numbers", "render_page"]

#: Okabe and Ito's colours, told apart with any kind of colour vision.
_MEDIAN, _MAP, _JUMP, _DATA = "#0072B2", "#D55E00", "#009E73", "#777777"
_STYLE: Any = {
    "font.size": 10.0,
    "axes.titlesize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "figure.dpi": 150.0,
    "svg.fonttype": "path",
    "svg.hashsalt": "scinn",
}


@dataclass(frozen=True)
class DrawnFigure:
    """A figure on the disk, and what the page needs of it."""

    name: str
    title: str
    caption: str
    svg: str
    files: tuple[str, ...]


def draw_figures(report: dict[str, Any], arrays: dict[str, np.ndarray], folder: Path) -> list[DrawnFigure]:
    """Draw the figures of a result into a folder, each as SVG and PNG.

    Parameters
    ----------
    report : dict
        What ``result.json`` holds.
    arrays : dict of str to ndarray
        What ``result.npz`` holds.
    folder : Path
        Where to write.

    Returns
    -------
    list of DrawnFigure
    """
    import matplotlib as mpl

    image = len(report["data"]["grid"]) == 2
    with mpl.rc_context(_STYLE):
        parts = [_images(report, arrays)] if image else [_line(report, arrays), _fit(report, arrays)]
        return [_written(folder, *part) for part in parts]


def _written(folder: Path, name: str, title: str, caption: str, figure: Figure) -> DrawnFigure:
    figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
    figure.savefig(folder / f"{name}.png", metadata={"Software": None})
    svg = (folder / f"{name}.svg").read_text(encoding="utf-8")
    return DrawnFigure(name, title, caption, svg, (f"{name}.png", f"{name}.svg"))


def _new(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _data_places(report: dict[str, Any], arrays: dict[str, np.ndarray]) -> np.ndarray | None:
    """Return where the data are drawn; None where they are no values of a (blurred) function on the line."""
    x, m = arrays["x"], arrays["y"].size
    if not report["operator"]["boundary"] and not report["operator"]["kernel"].startswith("none"):
        return None
    return x[:: (x.size - 1) // (m - 1)] if x.size > m else x


def _line(report: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[str, str, str, Figure]:
    x = arrays["x"]
    sampled = "quantiles" in arrays
    figure = _new(7.4, 5.4 if sampled else 3.8)
    rows = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1)) if sampled else [figure.subplots()]
    top = rows[0]
    places = _data_places(report, arrays)
    if places is not None:
        top.plot(places, arrays["y"], ".", color=_DATA, ms=3.5, label="data")
    if "truth" in arrays:
        top.plot(x, arrays["truth"], color="black", lw=1.0, label="truth")
    if sampled:
        low, high = arrays["quantiles"][[0, -1]]
        top.fill_between(x, low, high, color=_MEDIAN, alpha=0.22, linewidth=0, label="90 % credible band")
        top.plot(x, arrays["median"], color=_MEDIAN, label="posterior median")
    top.plot(x, arrays["map"], color=_MAP, lw=1.3, ls="--" if sampled else "-", label=_map_name(report))
    top.set_ylabel("u(x)")
    top.grid(True)
    top.legend(fontsize=8, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    if sampled:
        bottom = rows[1]
        bottom.stairs(arrays["jump_probability"], x, color=_JUMP, fill=True)
        bottom.set_ylim(0.0, 1.0)
        bottom.set_ylabel("jump\nprobability")
        bottom.grid(True)
    rows[-1].set_xlabel("x")
    caption = "The estimate that minimises the objective."
    if sampled:
        caption = (
            "Top: at every x the posterior puts 90 % inside the band. Bottom: probability that the function changes by more "
            f"than {report['jump_threshold']:.3g} (a fifth of its range) from one grid point to the next."
        )
    return "reconstruction", "Reconstruction", caption, figure


def _map_name(report: dict[str, Any]) -> str:
    return {"tv": "total variation", "gp": "posterior mean"}.get(report["prior"]["name"], "MAP estimate")


def _fit(report: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[str, str, str, Figure]:
    places = _data_places(report, arrays)
    label = "x" if places is not None else "number of the datum"
    at = np.arange(arrays["y"].size) if places is None else places
    figure = _new(7.4, 4.2)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    top.plot(at, arrays["y"], ".", color=_DATA, ms=3.5, label="data")
    name = "median" if "median" in arrays else _map_name(report)
    top.plot(at, arrays["prediction"], color=_MEDIAN, label=f"what the {name} predicts")
    top.set_ylabel("y")
    top.legend(fontsize=8)
    top.grid(True)
    bottom.axhspan(-2, 2, color="#eeeeee", lw=0)
    bottom.plot(at, (arrays["y"] - arrays["prediction"]) / arrays["noise_std"], ".", color=_DATA, ms=3.5)
    bottom.set_ylabel("residual\n/ noise sd")
    bottom.set_xlabel(label)
    caption = (
        "Residuals should scatter without pattern, 95 % of them inside the grey stripe of two standard deviations. A trend "
        "points to another kernel, boundary or noise."
    )
    return "fit", "Are the data explained?", caption, figure


def _images(report: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[str, str, str, Figure]:
    x_a, x_b = arrays["x_a"], arrays["x_b"]
    residual = (arrays["y"] - arrays["prediction"]) / arrays["noise_std"]
    best = arrays.get("median", arrays["map"])
    shown = [arrays["truth"]] if "truth" in arrays else []
    low, high = float(min(np.min(v) for v in [best, *shown])), float(max(np.max(v) for v in [best, *shown]))
    same = {"vmin": low, "vmax": high, "cmap": "viridis"}
    panels: list[tuple[str, np.ndarray, dict[str, Any]]] = [("data y", arrays["y"], {"cmap": "viridis"})]
    if "median" in arrays:
        panels.append(("posterior median", arrays["median"], same))
    panels.append((_map_name(report), arrays["map"], same))
    if "quantiles" in arrays:
        panels.append(
            (
                "width of the 90 % band",
                np.ptp(arrays["quantiles"][[0, -1]], axis=0),
                {"cmap": "magma", "vmin": 0},
            )
        )
        panels.append(
            ("edge probability", arrays["jump_probability"], {"cmap": "magma", "vmin": 0, "vmax": 1})
        )
    panels += [("truth", arrays["truth"], same)] if shown else []
    panels.append(("residual / noise sd", residual, {"cmap": "RdBu_r", "vmin": -4, "vmax": 4}))
    columns = min(len(panels), 3)
    n_rows = -(-len(panels) // columns)
    figure = _new(2.75 * columns, 2.6 * n_rows)
    axes = figure.subplots(n_rows, columns, squeeze=False)
    half = [0.5 * (axis[-1] - axis[0]) / max(axis.size - 1, 1) for axis in (x_a, x_b)]
    extent = (x_b[0] - half[1], x_b[-1] + half[1], x_a[-1] + half[0], x_a[0] - half[0])
    for number, ax in enumerate(axes.flat):
        if number >= len(panels):
            ax.set_axis_off()
            continue
        title, values, options = panels[number]
        # As people show matrices: the first axis runs down, the second to the right.
        picture = ax.imshow(values, extent=extent, origin="upper", interpolation="nearest", **options)
        figure.colorbar(picture, ax=ax, shrink=0.8)
        ax.set_title(title)
        for spine in ax.spines.values():
            spine.set_visible(False)
        if number % columns == 0:
            ax.set_ylabel("x_a")
        if number + columns >= len(panels):
            ax.set_xlabel("x_b")
    caption = "The first axis runs down, the second to the right."
    if "quantiles" in arrays:
        caption += (
            " The 90 % band is wide where the data leave the function open. Edge probability: of a change by more than "
            f"{report['jump_threshold']:.3g} (a fifth of the function's range) between neighbouring pixels."
        )
    return "reconstruction", "Reconstruction", caption, figure


def _number(value: float | None, form: str = ".4g") -> str:
    return "–" if value is None else format(value, form).replace("-", "−", 1)


def key_numbers(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the numbers that judge a result, as text.

    Parameters
    ----------
    report : dict
        What ``result.json`` holds.

    Returns
    -------
    list of (str, str)
    """
    rows = []
    sampling, convergence = report["sampling"], report["convergence"]
    if sampling:
        worst = f"{_number(convergence['rhat'], '.3f')} (below 1.01 wanted)"
        bulk, tail = (_number(convergence[key], ".0f") for key in ("ess_bulk", "ess_tail"))
        sizes = f"{bulk} bulk, {tail} tail (above 400 wanted)"
        rows += [("largest R-hat", worst), ("smallest effective sample size", sizes)]
        rates = [rate for rate in sampling["acceptance_rate"] if rate is not None]
        if rates:
            rows.append(("acceptance rate of the chains", ", ".join(f"{rate:.2f}" for rate in rates)))
    ratio = report["fit"]["mean_square_of_residual_over_noise"]
    rows.append(
        ("mean square of residual over noise", f"{_number(ratio, '.3f')} (1 or a little less expected)")
    )
    for name, value in (report["errors"] or {}).items():
        label = {"map": "error of the MAP estimate", "median": "error of the median"}.get(name)
        if label:
            rows.append((f"{label}, relative to the truth", f"{value:.3f}"))
        else:
            rows.append(("share of the truth inside the 90 % band", f"{value:.2f}"))
    return rows


def _assumptions(report: dict[str, Any]) -> list[tuple[str, str]]:
    data, prior, units, noise = (report[key] for key in ("data", "prior", "units", "noise"))
    shape, grid = (" × ".join(map(str, data[key])) for key in ("shape", "grid"))
    operator = report["operator"]["kernel"]
    if report["operator"]["boundary"]:
        operator += f"; beyond the grid: {report['operator']['boundary']}"
    loud = " (NOT GIVEN: an estimate, which correlated noise or structure at the scale of the grid mislead)"
    rows = [
        ("data", f"{report['data_file']}: {shape} numbers for {grid} unknowns"),
        ("operator", operator),
        ("noise", f"standard deviation {noise['sigma']:.4g}: {noise['origin']}" + loud * noise["estimated"]),
        ("prior", f"{prior['name']}: {_prior_text(prior)}"),
    ]
    middle = ", ".join(f"{value:.4g}" for value in units["middle"])
    middle = f"({middle})" if len(units["middle"]) > 1 else middle
    rows.append(
        (
            "units of the prior",
            f"t = (x − {middle}) / {units['half_width']:.4g},  u = {units['offset']:.4g} + {units['amplitude']:.4g} v: the "
            "prior is for v(t), so that its scales are relative to the domain’s half width and to the function’s size",
        )
    )
    sampling = report["sampling"]
    if sampling:
        steps = f"{sampling['chains']} chains of {sampling['draws']} draws"
        if sampling["sampler"] != "exact":
            steps += f", {sampling['thin']} steps apart, after {sampling['warmup']} steps of warm-up"
            steps += "; each chain begins at a local minimum of its own"
        rows.append(("sampler", f"{sampling['sampler']}: {steps}; seed {report['seed']}"))
    objectives = report["map"]["objectives"]
    if len(objectives) > 1:
        spread = f"objective {min(objectives):.5g} (best) to {max(objectives):.5g}"
        met = f"{report['map']['n_converged']} of them to the optimiser’s tolerance"
        rows.append(("MAP estimate", f"best of {len(objectives)} local minima, {met}: {spread}"))
    return rows


def _prior_text(prior: dict[str, Any]) -> str:
    if not prior["widths"]:
        return ", ".join(
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in prior["numbers"].items()
        )
    hidden = ", ".join(map(str, prior["widths"]))
    weights, biases = (", ".join(f"{v:g}" for v in prior[key]) for key in ("weight_scale", "bias_scale"))
    return (
        f"tanh network with hidden layers of {hidden} units; scales of the weights {weights}, of the biases {biases} "
        f"(first layer to last); {prior['dim']} coordinates"
    )


def render_page(report: dict[str, Any], figures: list[DrawnFigure]) -> str:
    """Return the page of a result.

    Parameters
    ----------
    report : dict
        What ``result.json`` holds.
    figures : list of DrawnFigure
        To embed.

    Returns
    -------
    str
        HTML with everything inline.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    jinja = Environment(
        loader=PackageLoader("scinn.inverse", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    converged = report["convergence"]["converged"]
    kind, word = {
        True: ("good", "✓ converged"),
        False: ("miss", "✗ not converged"),
        None: ("none", "– not sampled"),
    }[converged]
    if report["sampling"] and report["sampling"]["sampler"] == "exact":
        word = "✓ exact"
    embedded = [
        {
            "figure": figure,
            "uri": "data:image/svg+xml;base64," + base64.b64encode(figure.svg.encode()).decode(),
        }
        for figure in figures
    ]
    jumps = [
        {
            "place": f"{_number(jump['place'])}",
            "range": f"{_number(jump['lower'])} to {_number(jump['upper'])}",
            "size": _number(jump["size"], "+.3g"),
            "probability": f"{jump['probability']:.2f}",
        }
        for jump in report["jumps"]
    ]
    seconds = report["seconds"]
    return jinja.get_template("invert.html").render(
        report=report,
        kind=kind,
        word=word,
        numbers=key_numbers(report),
        assumptions=_assumptions(report),
        figures=embedded,
        jumps=jumps,
        time=f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min",
        version=__version__,
    )

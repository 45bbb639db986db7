"""Figures of the report on reversible recurrent networks; each draws what has been run and leaves out the rest."""

from __future__ import annotations

from typing import Any

import numpy as np

from scinn.reproduce.claims import FigureSpec, Results
from scinn.reproduce.figures import COLOURS, new_figure
from scinn.reproduce.reversible_rnn_protocol import (
    CELL_TITLES,
    CELLS,
    CONTEXT_TITLES,
    CONTEXTS,
    LIMITS,
    REPEAT_CELLS,
)

__all__ = ["figures"]

_REPEAT_TITLES = {
    "nf_rev_gru": "RevGRU, nothing forgotten",
    "nf_rev_lstm": "RevLSTM, nothing forgotten",
    "rev_gru": "RevGRU, at most 3 bits",
    "rev_lstm": "RevLSTM, at most 3 bits",
    "gru": "GRU",
    "lstm": "LSTM",
}


def _mean(results: Results, name: str) -> float:
    return float(np.mean(results.pluck(name)))


def _memory(results: Results) -> FigureSpec | None:
    rows: list[dict[str, Any]] = []
    for cell in CELLS:
        for bits in LIMITS:
            runs = list(results.select("language", cell=cell, bits=bits).values())
            if not runs:
                continue
            at70 = [run["memory"]["70"] for run in runs]
            rows.append(
                {
                    "cell": cell,
                    "limit, bits": bits,
                    "entropy coder": float(np.mean([m["rans"]["ratio"] for m in at70])),
                    "floor digits": float(np.mean([m["floor_digit"]["ratio"] for m in at70])),
                    "paper's layout": float(np.mean([m["planes"]["ratio"] for m in at70])),
                    "ideal": float(np.mean([m["rans"]["ideal_ratio"] for m in at70])),
                }
            )
    if not rows:
        return None
    figure = new_figure(7.6, 3.2)
    cells = [cell for cell in CELLS if any(row["cell"] == cell for row in rows)]
    axes = figure.subplots(1, len(cells), sharey=True, squeeze=False)[0]
    kinds = ("ideal", "entropy coder", "floor digits", "paper's layout")
    for ax, cell in zip(axes, cells, strict=True):
        own = [row for row in rows if row["cell"] == cell]
        for i, kind in enumerate(kinds):
            ax.plot(
                [row["limit, bits"] for row in own], [row[kind] for row in own], marker="o", color=COLOURS[i], label=kind,
                mfc="none" if kind == "ideal" else None, ls=":" if kind == "ideal" else "-",
                zorder=3 if kind == "ideal" else 2,
            )  # fmt: skip
        ax.axhspan(10, 15, color="0.9", zorder=0)
        ax.set_xticks(LIMITS)
        ax.set_yscale("log")
        ax.set_title(f"Rev{CELL_TITLES[cell]}")
        ax.set_xlabel("limit on forgetting, bits a step")
    axes[0].set_ylabel("states / stored bits")
    axes[-1].legend(fontsize=7, loc="upper right", title="grey: 10 to 15, the paper's", title_fontsize=7)
    return FigureSpec(
        "memory",
        "How much less is stored than all states",
        "Trained language models, 70 steps of 20 rows: 32 bits of each unit and step, over what was stored. "
        "The same weights with three coders; ideal is -log2 of the rounded gates.",
        figure,
        rows,
    )


def _perplexity(results: Results) -> FigureSpec | None:
    rows: list[dict[str, Any]] = []
    for cell in CELLS:
        for bits in (*LIMITS, None):
            found = results.select("language", cell=cell, bits=bits)
            if found:
                rows.append(
                    {
                        "cell": cell,
                        "limit, bits": bits or "ordinary cell",
                        "test perplexity": _mean(found, "test_perplexity"),
                    }
                )
    if not rows:
        return None
    figure = new_figure(4.6, 3.2)
    ax = figure.subplots()
    for i, cell in enumerate(CELLS):
        own = [row for row in rows if row["cell"] == cell and row["limit, bits"] != "ordinary cell"]
        if own:
            ax.plot(
                [row["limit, bits"] for row in own], [row["test perplexity"] for row in own], "o-", color=COLOURS[i],
                label=f"Rev{CELL_TITLES[cell]}",
            )  # fmt: skip
        for row in rows:
            if row["cell"] == cell and row["limit, bits"] == "ordinary cell":
                value = row["test perplexity"]
                ax.axhline(value, color=COLOURS[i], ls="--", lw=1.0, label=CELL_TITLES[cell])
                ax.axhspan(value, 1.05 * value, color=COLOURS[i], alpha=0.08, zorder=0)
    ax.set_xticks(LIMITS)
    ax.set_xlabel("limit on forgetting, bits a step")
    ax.set_ylabel("test perplexity")
    ax.legend(fontsize=7)
    return FigureSpec(
        "perplexity",
        "Perplexity against the limit on forgetting",
        "Dashed: the ordinary cells of the same width; shaded: up to 5 % above them.",
        figure,
        rows,
    )


def _repeat(results: Results) -> FigureSpec | None:
    figure = new_figure(5.2, 3.3)
    ax = figure.subplots()
    rows: list[dict[str, Any]] = []
    for i, name in enumerate(REPEAT_CELLS):
        found = results.select("repeat", cell=name)
        if not found:
            continue
        lengths = sorted({cell.params["length"] for cell in found})
        errors = [
            100.0
            * float(np.mean([run["error"] for cell, run in found.items() if cell.params["length"] == length]))
            for length in lengths
        ]
        ax.plot(lengths, errors, "o-" if name.startswith("nf") else "s--", color=COLOURS[i % len(COLOURS)],
                label=_REPEAT_TITLES[name], ms=4)  # fmt: skip
        rows += [
            {"cell": name, "steps": length, "errors, %": e} for length, e in zip(lengths, errors, strict=True)
        ]
    if not rows:
        return None
    params = next(iter(results.select("repeat"))).params
    ceiling = 32.0 * params["n_hidden"] / np.log2(params["n_symbols"])
    for states, label in ((1, "RevGRU\ncannot\npass"), (2, "RevLSTM\ncannot\npass")):
        ax.axvline(states * ceiling, color=COLOURS[states - 1], lw=1.0)
        ax.text(
            1.03 * states * ceiling, 0.97, label, transform=ax.get_xaxis_transform(), fontsize=7, va="top"
        )
    ax.set_xscale("log")
    ax.set_xlim(None, 3.9 * ceiling)
    ax.set_xlabel("steps of the sequence")
    ax.set_ylabel("wrong symbols, %")
    ax.legend(fontsize=7, loc="upper left")
    return FigureSpec(
        "repeat",
        "Without forgetting, the last symbol of a long sequence cannot be said",
        f"The symbol that was read last is to be said ({params['n_symbols']} symbols, {params['n_hidden']} "
        "units). The lines are "
        "the theorem's ceilings: 32 bits of each number of the state over log2 of the number of symbols.",
        figure,
        rows,
    )


def _forgetting(results: Results) -> FigureSpec | None:
    found = {cell: results.select("language", cell=cell, bits=3) for cell in CELLS}
    shown = [cell for cell in CELLS if found[cell]]
    if not shown:
        return None
    figure = new_figure(7.6, 3.1)
    left, right = figure.subplots(1, 2)
    rows: list[dict[str, Any]] = []
    for i, cell in enumerate(shown):
        run = next(iter(found[cell].values()))["forgotten"]
        by_unit = np.sort(run["by_unit"])
        share = np.arange(1, len(by_unit) + 1) / len(by_unit)
        left.plot(by_unit, share, color=COLOURS[i], label=f"Rev{CELL_TITLES[cell]}")
        right.plot(
            np.arange(1, len(run["by_step"]) + 1),
            run["by_step"],
            color=COLOURS[i],
            label=f"Rev{CELL_TITLES[cell]}",
        )
        rows += [{"cell": cell, "unit in order": k, "mean bits": float(b)} for k, b in enumerate(by_unit)]
    left.axvline(3.0, color="0.5", lw=1.0, ls=":")
    left.set_xlabel("bits forgotten in a step, mean of the unit")
    left.set_ylabel("share of units")
    left.legend(fontsize=7)
    right.set_xlabel("time step")
    right.set_ylabel("bits forgotten, mean of all units")
    right.set_ylim(0, None)
    return FigureSpec(
        "forgetting",
        "What a language model forgets, and when",
        "Trained with a limit of 3 bits (dotted). Left: how much each unit forgets in a step on average; "
        "right: by time step.",
        figure,
        rows,
    )


def _attention(results: Results) -> FigureSpec | None:
    rows: list[dict[str, Any]] = []
    for context in CONTEXTS:
        found = results.select("translation", context=context)
        if found:
            rows.append(
                {
                    "context": context,
                    "score": _mean(found, "score"),
                    "encoder": _mean(found, "encoder_ratio"),
                    "decoder": _mean(found, "decoder_ratio"),
                }
            )
    if not rows:
        return None
    bleu = next(iter(results.select("translation"))).params["dataset"] is not None
    figure = new_figure(7.6, 3.0)
    left, right = figure.subplots(1, 2, gridspec_kw={"wspace": 0.3})
    names = [CONTEXT_TITLES[row["context"]].replace(" ", "\n") for row in rows]
    at = np.arange(len(rows))
    left.bar(at, [row["score"] for row in rows], color=COLOURS[0], width=0.6)
    left.set_ylabel("BLEU" if bleu else "right symbols, %")
    right.bar(at - 0.2, [row["encoder"] for row in rows], width=0.38, color=COLOURS[1], label="encoder")
    right.bar(at + 0.2, [row["decoder"] for row in rows], width=0.38, color=COLOURS[2], label="decoder")
    right.set_ylabel("states / kept bits")
    right.legend(fontsize=7)
    for ax in (left, right):
        ax.set_xticks(at, names, fontsize=7)
    return FigureSpec(
        "attention",
        "What the decoder may look at, and what it costs",
        "RevGRU encoder and decoder, limit 3 bits. Left: quality; right: how much less is kept than all states "
        "of each part.",
        figure,
        rows,
    )


def _crossover(results: Results) -> FigureSpec | None:
    found = results.select("crossover")
    if not found:
        return None
    figure = new_figure(5.0, 3.2)
    ax = figure.subplots()
    rows: list[dict[str, Any]] = []
    titles = {
        "store": "all states",
        "checkpoint": "checkpoints",
        "reverse": "reversal",
        "hybrid": "reversal between checkpoints",
    }
    for i, (mode, title) in enumerate(titles.items()):
        own = sorted(
            (cell.params["n_steps"], run["bits_per_unit"] / 8.0)
            for cell, run in results.select("crossover", mode=mode).items()
        )
        if own:
            ax.plot(*zip(*own, strict=True), "o-", color=COLOURS[i], label=title, ms=4)
            rows += [{"mode": mode, "steps": n, "bytes of a unit": b} for n, b in own]
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("steps of the sequence")
    ax.set_ylabel("kept at most, bytes for each unit")
    ax.legend(fontsize=7)
    return FigureSpec(
        "checkpointing",
        "Reversal and checkpoints",
        "What one gradient of a RevGRU at a limit of 3 bits had to keep, for each unit and row of the batch.",
        figure,
        rows,
    )


def figures(results: Results, budget: str) -> list[FigureSpec]:
    """Return the figures that can be drawn from what was run."""
    drawn = (_memory, _perplexity, _repeat, _forgetting, _attention, _crossover)
    return [spec for spec in (draw(results) for draw in drawn) if spec is not None]

"""Texts, tasks, sizes and budgets shared by the claims, experiments and figures on reversible recurrent networks.

Paper: M. MacKay, P. Vicol, J. Ba, R. Grosse, "Reversible Recurrent Neural Networks", NeurIPS 2018, arXiv 1810.10999.
Its abstract was read; the numbers of its tables could not be, so that only the factors of the abstract are compared.
Networks and texts are smaller here than in the paper, and the bars were written before the runs.
"""

from __future__ import annotations

from typing import Any

from scinn.reproduce.claims import Cell, seeds

PAPER = "reversible-rnn"
ABSTRACT = "abstract (the tables could not be read)"
OURS = "ours"

CELLS = ("gru", "lstm")
LIMITS = (1, 2, 3, 5)
CELL_TITLES = {"gru": "GRU", "lstm": "LSTM"}

#: Penn Treebank is licensed by the LDC and not part of any package: the small budgets read the text that Python carries.
LANGUAGE: dict[str, dict[str, Any]] = {
    "smoke": {
        "dataset": "python-topics",
        "n_symbols": 200,
        "n_train": 4_000,
        "n_held_out": 1_000,
        "n_hidden": 16,
        "n_epochs": 1,
        "n_rows": 10,
        "n_steps": 20,
        "n_memory_steps": 40,
    },
    "quick": {
        "dataset": "python-topics",
        "n_symbols": 1500,
        "n_train": 50_000,
        "n_held_out": 6_000,
        "n_hidden": 96,
        "n_epochs": 3,
        "n_rows": 20,
        "n_steps": 35,
        "n_memory_steps": 140,
    },
    "full": {
        "dataset": "penn-treebank",
        "n_symbols": 4000,
        "n_train": 500_000,
        "n_held_out": 60_000,
        "n_hidden": 200,
        "n_epochs": 5,
        "n_rows": 20,
        "n_steps": 35,
        "n_memory_steps": 140,
    },
}
#: A first run of the full budget left the fixed-point range with RevLSTMs at 3 and 5 bits: these are bounded by 2^4.
BOUNDED_FROM, BOUND = 3, 4.0
N_LANGUAGE_SEEDS = {"smoke": 1, "quick": 1, "full": 1}

CONTEXTS = ("hidden", "embedding", "slice", "slice_embedding")
CONTEXT_TITLES = {
    "hidden": "whole state",
    "embedding": "source embeddings",
    "slice": "slices of the state",
    "slice_embedding": "slices and embeddings",
}
#: The translation set may be used for research alone; the small budgets learn to write sequences backwards.
TRANSLATION: dict[str, dict[str, Any]] = {
    "smoke": {
        "dataset": None,
        "n_symbols": 8,
        "length": 5,
        "n_pairs": 200,
        "n_hidden": 16,
        "n_slice": 2,
        "n_epochs": 1,
        "n_rows": 20,
    },
    "quick": {
        "dataset": None,
        "n_symbols": 16,
        "length": 12,
        "n_pairs": 3000,
        "n_hidden": 48,
        "n_slice": 4,
        "n_epochs": 6,
        "n_rows": 50,
    },
    "full": {
        "dataset": "multi30k",
        "n_symbols": 5000,
        "length": 40,
        "n_pairs": 20_000,
        "n_hidden": 96,
        "n_slice": 8,
        "n_epochs": 6,
        "n_rows": 64,
    },
}
N_TRANSLATION_SEEDS = {"smoke": 1, "quick": 1, "full": 1}

#: Updates for each length; short sequences show fewer symbols in each.
REPEAT: dict[str, dict[str, Any]] = {
    "smoke": {"n_symbols": 4, "n_hidden": 8, "n_updates": {5: 60, 10: 60}},
    "quick": {"n_symbols": 16, "n_hidden": 32, "n_updates": {5: 800, 20: 400, 80: 400}},
    "full": {
        "n_symbols": 16,
        "n_hidden": 32,
        "n_updates": {5: 1500, 10: 1500, 20: 1000, 40: 800, 80: 600, 160: 400},
    },
}
REPEAT_CELLS = ("nf_rev_gru", "nf_rev_lstm", "rev_gru", "rev_lstm", "gru", "lstm")
N_REPEAT_SEEDS = {"smoke": 1, "quick": 1, "full": 2}

EXACT_STEPS = {"smoke": 2_000, "quick": 20_000, "full": 1_000_000}
#: Sequence lengths at which the ways of remembering are measured, and the longest that the measurement runs through.
CROSSOVER = {"smoke": [70, 500], "quick": [70, 1000, 5000], "full": [70, 1000, 10_000, 50_000]}


def language_cells(budget: str, seed: int, cell: str, bits: int | None) -> list[Cell]:
    """Return the language models of one cell: reversible with a limit, or the ordinary one."""
    params = {"cell": cell, "bits": bits, **LANGUAGE[budget]}
    if cell == "lstm" and bits is not None and bits >= BOUNDED_FROM:
        params["bounded"] = BOUND
    return [Cell("language", params, s) for s in seeds(seed, N_LANGUAGE_SEEDS[budget])]


def translation_cells(budget: str, seed: int, context: str) -> list[Cell]:
    """Return the encoder-decoders with one kind of context."""
    params = {"context": context, **TRANSLATION[budget]}
    return [Cell("translation", params, s) for s in seeds(seed, N_TRANSLATION_SEEDS[budget])]


def repeat_cells(budget: str, seed: int, cell: str) -> list[Cell]:
    """Return the repeat tasks of one cell, one for each length."""
    sizes = REPEAT[budget]
    return [
        Cell(
            "repeat",
            {
                "dataset": None,
                "cell": cell,
                "n_symbols": sizes["n_symbols"],
                "n_hidden": sizes["n_hidden"],
                "length": length,
                "n_updates": n_updates,
            },
            s,
        )
        for length, n_updates in sizes["n_updates"].items()
        for s in seeds(seed, N_REPEAT_SEEDS[budget])
    ]

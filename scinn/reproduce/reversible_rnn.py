"""Claims of *Reversible Recurrent Neural Networks* (NeurIPS 2018).

Paper: M. MacKay, P. Vicol, J. Ba, R. Grosse, arXiv 1810.10999. Its abstract was read, the numbers of its tables could
not be: reported numbers are the factors of the abstract. The simple control is checkpointing, which saves memory at
the same price of one more pass forward.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scinn.reproduce.claims import Cell, Claim, Outcome, Results, summarize
from scinn.reproduce.reversible_rnn_experiments import EXPERIMENTS
from scinn.reproduce.reversible_rnn_figures import figures
from scinn.reproduce.reversible_rnn_protocol import (
    ABSTRACT,
    CELL_TITLES,
    CELLS,
    CONTEXT_TITLES,
    CROSSOVER,
    EXACT_STEPS,
    LANGUAGE,
    LIMITS,
    N_LANGUAGE_SEEDS,
    N_REPEAT_SEEDS,
    N_TRANSLATION_SEEDS,
    OURS,
    PAPER,
    REPEAT,
    TRANSLATION,
    language_cells,
    repeat_cells,
    translation_cells,
)

__all__ = ["CLAIMS", "EXPERIMENTS", "figures"]

_BUDGETS = ("smoke", "quick", "full")


def _verdict(good: bool, half: bool) -> str:
    return "reproduced" if good else "direction holds" if half else "not reproduced"


def _over_seeds(good: bool, half: bool, n: int) -> str:
    """Judge a difference of two trained models: a single seed shows a direction at most."""
    return _verdict(good and n > 1, half or good)


def _ordered(results: Results, experiment: str, **params: Any) -> list[Mapping[str, Any]]:
    """Return results in the order of their seeds."""
    found = results.select(experiment, **params)
    return [found[cell] for cell in sorted(found, key=lambda cell: cell.sort_key[2])]


# Exact reversal


def _exact_claim(cell: str) -> Claim:
    def next_cells(budget: str, seed: int, results: Results) -> list[Cell]:
        return [Cell("exact", {"dataset": None, "cell": cell, "n_steps": EXACT_STEPS[budget]}, 1000 * seed)]

    def evaluate(budget: str, results: Results) -> Outcome:
        (run,) = results.select("exact", cell=cell).values()
        excess = 100.0 * (run["stored_bits"] / run["ideal_bits"] - 1.0)
        good = run["restored"] and run["bits_left"] == 0
        text = (
            f"{run['n_steps']} steps of {run['n_hidden']} units; the first state came back to the bit, and a "
            "checksum before "
            f"every 50th step: {run['restored']}; {run['bits_left']} bits left; {run['stored_bits']} bits were "
            "held at the end of the way out, "
            f"{excess:.3f} % above -log2 of the gates"
        )
        return Outcome(
            float(not good),
            None,
            1,
            _verdict(good, False),
            text,
            {"bits stored above the ideal, %": excess},
        )

    title = {"gru": "RevGRU", "lstm": "RevLSTM"}[cell]
    return Claim(
        paper=PAPER,
        name="exact-reversal",
        parameters={"cell": cell},
        statement=(
            f"A {title} with forgetting is undone exactly, step by step, from its last state and the bits that "
            "it kept."
        ),
        reported=0.0,
        source=ABSTRACT,
        protocol=(
            "8 units, random weights twice as large as usual, Gaussian inputs, 2 rows, limit 3 bits; the first "
            "state is compared bit for bit, and a checksum of the state before every 50th step."
        ),
        success_rule="reproduced: no state differs in any bit, and the tape is empty at the start",
        unit="failures",
        budgets={budget: {"n_steps": EXACT_STEPS[budget]} for budget in _BUDGETS},
        next_cells=next_cells,
        evaluate=evaluate,
    )


# No forgetting


def _repeat_claim(cell: str) -> Claim:
    frozen, forgetting = f"nf_rev_{cell}", f"rev_{cell}"

    def next_cells(budget: str, seed: int, results: Results) -> list[Cell]:
        return [c for name in (frozen, forgetting, cell) for c in repeat_cells(budget, seed, name)]

    def longest(results: Results, name: str) -> list[float]:
        """Return, for each seed, the greatest length up to which all lengths are learned to 1 % errors."""
        by_seed: dict[int, dict[int, float]] = {}
        for c, run in results.select("repeat", cell=name).items():
            by_seed.setdefault(c.seed, {})[c.params["length"]] = run["error"]
        out = []
        for errors in by_seed.values():
            best = 0
            for length in sorted(errors):
                if errors[length] >= 0.01:
                    break
                best = length
            out.append(float(best))
        return out

    def evaluate(budget: str, results: Results) -> Outcome:
        without, with_forgetting, ordinary = (longest(results, name) for name in (frozen, forgetting, cell))
        mean, sd, n = summarize(without)
        most = max(REPEAT[budget]["n_updates"])
        assert mean is not None
        good = min(with_forgetting) == most and max(without) < most
        half = mean < float(np.mean(with_forgetting))
        ceiling = 32 * REPEAT[budget]["n_hidden"] / np.log2(REPEAT[budget]["n_symbols"])
        text = (
            f"longest sequence learned to 1 % errors: without forgetting {without}, with {with_forgetting}, "
            f"{CELL_TITLES[cell]} {ordinary}, of lengths up to {most}; no finite state of this size can pass "
            f"{ceiling:.0f} ({2 * ceiling:.0f} with cells) without forgetting"
        )
        return Outcome(
            mean, sd, n, _verdict(good, half), text, {"with forgetting": float(np.mean(with_forgetting))}
        )

    title = {"gru": "RevGRU", "lstm": "RevLSTM"}[cell]
    return Claim(
        paper=PAPER,
        name="no-forgetting",
        parameters={"cell": cell},
        statement=(
            f"A {title} that cannot forget fails at saying the last symbol of long sequences, which is "
            "trivial for one that can."
        ),
        reported=None,
        source="abstract and section 4 (the sizes could not be read)",
        protocol=(
            "Symbols are drawn uniformly; after each, the state is to say which it was. Adam, batches of 20 fresh "
            "sequences; errors on 200 fresh sequences. 16 symbols and 32 units in the quick and the full budget."
        ),
        success_rule=(
            "reproduced: with forgetting every length is learned to 1 % errors, without it not the greatest "
            "one; direction holds: the longest learned sequence is shorter without forgetting"
        ),
        unit="steps",
        budgets={
            b: {"n_seeds": N_REPEAT_SEEDS[b], "lengths": list(REPEAT[b]["n_updates"])} for b in _BUDGETS
        },
        next_cells=next_cells,
        evaluate=evaluate,
    )


# Language models


def _text_of(budget: str) -> str:
    return {"python-topics": "the documentation that Python carries", "penn-treebank": "Penn Treebank"}[
        LANGUAGE[budget]["dataset"]
    ]


_LANGUAGE_PROTOCOL = (
    "One layer, embedding as wide as the state and tied to the output, 20 rows, 35 steps at a time, SGD at rate 20, "
    "gradients clipped to norm 0.1, dropout 0.2 on embeddings and outputs; perplexity of the test part at the epoch that "
    "is best on the validation part. Quick: 50 000 words of the documentation in pydoc_data, 96 units, 3 epochs. Full: "
    "the first 500 000 words of Penn Treebank, a vocabulary of 4000, 200 units, 5 epochs. RevLSTMs at 3 and 5 bits are "
    "bounded by 16, because without a bound a first run left the range of fixed-point numbers."
)


def _bits(bits: int) -> str:
    return "1 bit" if bits == 1 else f"{bits} bits"


def _perplexity_claim(cell: str, bits: int) -> Claim:
    def next_cells(budget: str, seed: int, results: Results) -> list[Cell]:
        return language_cells(budget, seed, cell, bits) + language_cells(budget, seed, cell, None)

    def evaluate(budget: str, results: Results) -> Outcome:
        ours = [run["test_perplexity"] for run in _ordered(results, "language", cell=cell, bits=bits)]
        theirs = [run["test_perplexity"] for run in _ordered(results, "language", cell=cell, bits=None)]
        ratios = [100.0 * (a / b - 1.0) for a, b in zip(ours, theirs, strict=True)]
        mean, sd, n = summarize(ratios)
        assert mean is not None
        text = (
            f"{_text_of(budget)}: perplexity {np.mean(ours):.1f} against {np.mean(theirs):.1f} of the "
            f"{CELL_TITLES[cell]}"
        )
        return Outcome(
            mean, sd, n, _over_seeds(mean <= 5.0, mean <= 10.0, n), text, {"perplexity": float(np.mean(ours))}
        )

    title = {"gru": "RevGRU", "lstm": "RevLSTM"}[cell]
    return Claim(
        paper=PAPER,
        name="perplexity",
        parameters={"cell": cell, "bits": bits},
        statement=(
            f"A {title} that forgets at most {_bits(bits)} of a unit in a step models language as well as a "
            f"{CELL_TITLES[cell]} of "
            "the same width."
        ),
        reported=None,
        source=ABSTRACT,
        protocol=_LANGUAGE_PROTOCOL,
        success_rule=(
            "reproduced: perplexity at most 5 % above the ordinary cell's on average over at least two seeds; "
            "direction holds: at most 10 %, or 5 % with one seed"
        ),
        unit="% above",
        budgets={b: {"n_seeds": N_LANGUAGE_SEEDS[b], **LANGUAGE[b]} for b in _BUDGETS},
        next_cells=next_cells,
        evaluate=evaluate,
    )


def _memory_claim(cell: str, bits: int) -> Claim:
    def next_cells(budget: str, seed: int, results: Results) -> list[Cell]:
        return language_cells(budget, seed, cell, bits)

    def evaluate(budget: str, results: Results) -> Outcome:
        runs = _ordered(results, "language", cell=cell, bits=bits)
        ratios = [run["memory"]["70"]["rans"]["ratio"] for run in runs]
        layout = float(np.mean([run["memory"]["70"]["planes"]["ratio"] for run in runs]))
        ideal = float(np.mean([run["memory"]["70"]["rans"]["ideal_ratio"] for run in runs]))
        mean, sd, n = summarize(ratios)
        assert mean is not None
        text = (
            f"{_text_of(budget)}: states take {mean:.1f} times what is stored with the entropy coder, "
            f"{layout:.1f} times with the paper's layout, {ideal:.1f} times -log2 of the gates"
        )
        extra = {"paper's layout": layout, "ideal": ideal}
        return Outcome(mean, sd, n, _verdict(mean >= 10.0, mean >= 5.0), text, extra)

    title = {"gru": "RevGRU", "lstm": "RevLSTM"}[cell]
    return Claim(
        paper=PAPER,
        name="memory",
        parameters={"cell": cell, "bits": bits},
        statement=(
            f"Reversal of a {title} language model with a limit of {_bits(bits)} stores at least 10 times less than "
            "all its states."
        ),
        reported=10.0,
        source="abstract (10 to 15 times)",
        protocol=(
            "The trained language models, 70 steps of the validation text, 20 rows: 32 bits of each unit and "
            "step over the "
            "bits on the tape, words and lanes included (checksums, 0.2 %, are not). The same weights run with "
            "the paper's layout, and -log2 of their gates, beside it."
        ),
        success_rule="reproduced: at least 10 times less with the default coder; direction holds: at least 5 times",
        unit="times less",
        budgets={b: {"n_seeds": N_LANGUAGE_SEEDS[b], **LANGUAGE[b]} for b in _BUDGETS},
        next_cells=next_cells,
        evaluate=evaluate,
    )


def _language_runs(budget: str, seed: int, results: Results) -> list[Cell]:
    return [c for cell in CELLS for bits in LIMITS for c in language_cells(budget, seed, cell, bits)]


def _coder_claim() -> Claim:
    def evaluate(budget: str, results: Results) -> Outcome:
        length = str(LANGUAGE[budget]["n_memory_steps"])
        excess: dict[str, list[float]] = {"rans": [], "floor_digit": [], "planes": []}
        for run in results.select("language").values():
            for coder, values in excess.items():
                memory = run["memory"][length][coder]
                values.append(100.0 * (memory["stored_bits"] / memory["ideal_bits"] - 1.0))
        worst = max(excess["rans"])
        parts = ", ".join(f"{coder} {min(v):.2f} to {max(v):.2f} %" for coder, v in excess.items())
        return Outcome(
            worst, None, len(excess["rans"]), _verdict(worst <= 1.0, worst <= 3.0), f"above the ideal: {parts}",
            {"digits": max(excess["floor_digit"]), "paper's layout": max(excess["planes"])},
        )  # fmt: skip

    return Claim(
        paper=PAPER,
        name="coder",
        statement="The default coder stores what the gates forget, -log2 z bits, and hardly more.",
        reported=None,
        source=OURS,
        protocol=(
            "All trained language models at all limits: bits on the tape after 140 steps of 20 rows of the "
            "validation text, "
            "over the sum of -log2 of the rounded gates. The worst model counts; the other coders are the control."
        ),
        success_rule="reproduced: at most 1 % more; direction holds: at most 3 %",
        unit="% above the ideal",
        budgets={b: {"n_seeds": N_LANGUAGE_SEEDS[b], **LANGUAGE[b]} for b in _BUDGETS},
        next_cells=_language_runs,
        evaluate=evaluate,
    )


# Attention


def _score(run: Mapping[str, Any]) -> float:
    return float(run["score"])


_TRANSLATION_PROTOCOL = (
    "RevGRU encoder and decoder of one layer, limit 3 bits, general attention, dropout 0.1, Adam. Quick: "
    "writing 6 to 12 "
    "symbols backwards, share of right symbols on fresh sequences. Full: 20 000 pairs of Multi30K, English to "
    "German, 96 "
    "units, 8 of them in slices, 6 epochs, BLEU of the 2016 test sentences by beam search with 5 hypotheses."
)


def _context_claim(name: str, better: str, worse: str, statement: str, rule: str) -> Claim:
    def next_cells(budget: str, seed: int, results: Results) -> list[Cell]:
        return translation_cells(budget, seed, better) + translation_cells(budget, seed, worse)

    def evaluate(budget: str, results: Results) -> Outcome:
        first = [_score(run) for run in _ordered(results, "translation", context=better)]
        second = [_score(run) for run in _ordered(results, "translation", context=worse)]
        mean, sd, n = summarize([a - b for a, b in zip(first, second, strict=True)])
        assert mean is not None
        good, half = (mean >= -2.0, mean >= -5.0) if name == "whole-state" else (mean >= 1.0, mean > 0.0)
        what = "BLEU" if TRANSLATION[budget]["dataset"] else "% right"
        text = (
            f"{what}: {np.mean(first):.2f} with {CONTEXT_TITLES[better]}, {np.mean(second):.2f} with "
            f"{CONTEXT_TITLES[worse]}"
        )
        return Outcome(
            mean,
            sd,
            n,
            _over_seeds(good, half, n),
            text,
            {better: float(np.mean(first)), worse: float(np.mean(second))},
        )

    return Claim(
        paper=PAPER,
        name="attention",
        parameters={"against": name},
        statement=statement,
        reported=None,
        source="section 5 (the numbers could not be read)",
        protocol=_TRANSLATION_PROTOCOL,
        success_rule=rule,
        unit="points",
        budgets={b: {"n_seeds": N_TRANSLATION_SEEDS[b], **TRANSLATION[b]} for b in _BUDGETS},
        next_cells=next_cells,
        evaluate=evaluate,
    )


def _translation_memory_claim(part: str, low: float, paper: str) -> Claim:
    def next_cells(budget: str, seed: int, results: Results) -> list[Cell]:
        return translation_cells(budget, seed, "slice_embedding")

    def evaluate(budget: str, results: Results) -> Outcome:
        runs = _ordered(results, "translation", context="slice_embedding")
        mean, sd, n = summarize([run[f"{part}_ratio"] for run in runs])
        assert mean is not None
        text = f"the {part}'s states take {mean:.2f} times what is kept, slices in full included"
        return Outcome(mean, sd, n, _verdict(mean >= low, mean >= 0.5 * low), text)

    return Claim(
        paper=PAPER,
        name="translation-memory",
        parameters={"part": part},
        statement=f"With slices and embeddings as context, the {part} keeps {paper} times less than its states.",
        reported=low,
        source=f"abstract ({paper} times)",
        protocol=f"{_TRANSLATION_PROTOCOL} Bits kept on the tape and in slices, over 32 bits of each unit and step.",
        success_rule=f"reproduced: at least {low:g} times less; direction holds: at least half of it",
        unit="times less",
        budgets={b: {"n_seeds": N_TRANSLATION_SEEDS[b], **TRANSLATION[b]} for b in _BUDGETS},
        next_cells=next_cells,
        evaluate=evaluate,
    )


# Checkpointing, the simple control


def _crossover_cells(budget: str, seed: int, results: Results) -> list[Cell]:
    return [
        Cell("crossover", {"dataset": None, "n_steps": n, "mode": mode}, 1000 * seed)
        for n in CROSSOVER[budget]
        for mode in ("store", "checkpoint", "reverse", "hybrid")
    ]


def _bytes(results: Results, n_steps: int) -> dict[str, float]:
    found = results.select("crossover", n_steps=n_steps)
    return {cell.params["mode"]: run["bits_per_unit"] / 8.0 for cell, run in found.items()}


def _crossover_claim(where: str) -> Claim:
    def evaluate(budget: str, results: Results) -> Outcome:
        lengths: Sequence[int] = CROSSOVER[budget]
        n_steps = lengths[0] if where == "short" else lengths[-1]
        used = _bytes(results, n_steps)
        if where == "short":
            value = used["checkpoint"] / used["reverse"]
            good, half = value >= 2.0, value > 1.0
        else:
            value = used["checkpoint"] / used["hybrid"]
            good, half = value >= 2.0 and used["reverse"] > used["checkpoint"], value > 1.0
        parts = ", ".join(f"{mode} {used[mode]:.1f}" for mode in ("store", "checkpoint", "reverse", "hybrid"))
        same = len(set(results.select("crossover", n_steps=n_steps).pluck("gradients"))) == 1
        text = f"bytes of each unit at {n_steps} steps: {parts}; all four gave the same gradient to the bit: {same}"
        return Outcome(value, None, 1, _verdict(good and same, half and same), text, used)

    short = where == "short"
    return Claim(
        paper=PAPER,
        name="checkpointing",
        parameters={"sequences": where},
        statement=(
            "On short sequences reversal keeps less than checkpoints every sqrt(T) steps, at the same price of "
            "one more pass."
            if short
            else "On long sequences checkpoints keep less than reversal, and both together keep least."
        ),
        reported=None,
        source=OURS,
        protocol=(
            "RevGRU of 32 units at a limit of 3 bits, random inputs, floor digits, 4 rows; one gradient in "
            "each way of remembering, what it kept at most counted; the gradients must have the same bits."
        ),
        success_rule=(
            "reproduced: at least 2 times less than checkpoints; direction holds: less"
            if short
            else "reproduced: reversal keeps more than checkpoints, and the hybrid at most half of them; "
            "direction holds: the hybrid keeps less than checkpoints"
        ),
        unit="times less",
        budgets={b: {"n_steps": CROSSOVER[b][0 if short else -1]} for b in _BUDGETS},
        next_cells=_crossover_cells,
        evaluate=evaluate,
    )


CLAIMS = (
    *(_exact_claim(cell) for cell in CELLS),
    *(_repeat_claim(cell) for cell in CELLS),
    *(_memory_claim(cell, bits) for cell in CELLS for bits in LIMITS),
    _coder_claim(),
    *(_perplexity_claim(cell, bits) for cell in CELLS for bits in LIMITS if bits >= 2),
    _context_claim(
        "whole-state",
        "slice_embedding",
        "hidden",
        "Attention to embeddings and a slice of the state translates as well as attention to the whole state.",
        "reproduced: at most 2 points below the whole state, over at least two seeds; direction holds: at most "
        "5, or one seed",
    ),
    _context_claim(
        "embeddings",
        "slice_embedding",
        "embedding",
        "Attention to embeddings and a slice of the state translates better than attention to embeddings alone.",
        "reproduced: at least 1 point better, over at least two seeds; direction holds: better, or one seed",
    ),
    _context_claim(
        "slices",
        "slice_embedding",
        "slice",
        "Attention to embeddings and a slice of the state translates better than attention to the slice alone.",
        "reproduced: at least 1 point better, over at least two seeds; direction holds: better, or one seed",
    ),
    _translation_memory_claim("encoder", 5.0, "5 to 10"),
    _translation_memory_claim("decoder", 10.0, "10 to 15"),
    _crossover_claim("short"),
    _crossover_claim("long"),
)

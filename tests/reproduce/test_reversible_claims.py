"""How the claims on reversible networks judge: planted results must get the verdict that the rule says."""

from __future__ import annotations

import csv
import math

import pytest

from scinn.reproduce import reversible_rnn_protocol as protocol
from scinn.reproduce.claims import BUDGETS, Results, as_json
from scinn.reproduce.figures import draw
from scinn.reproduce.reversible_rnn import CLAIMS, EXPERIMENTS, figures

BY_ID = {claim.id.partition(":")[2]: claim for claim in CLAIMS}
FIGURES = ["memory", "perplexity", "repeat", "forgetting", "attention", "checkpointing"]


def judged(name, value, budget="quick"):
    """Judge a claim on made results: `value(params, number)` gives that of a cell, `number` counts seeds."""
    claim = BY_ID[name]
    cells = claim.next_cells(budget, 0, Results())
    results = Results({cell: value(cell.params, cell.seed) for cell in cells})
    # Results ask for nothing more.
    assert set(claim.next_cells(budget, 0, results)) == set(cells)
    outcome = claim.evaluate(budget, results)
    assert as_json(outcome.extra) == outcome.extra
    return outcome


def with_seeds(monkeypatch, n):
    for counts in (protocol.N_LANGUAGE_SEEDS, protocol.N_TRANSLATION_SEEDS, protocol.N_REPEAT_SEEDS):
        monkeypatch.setitem(counts, "quick", n)


# Made results, with all entries of real ones


def exact(**changed):
    made = {"restored": True, "bits_left": 0, "n_steps": 20_000, "n_hidden": 8}
    return made | {"stored_bits": 1010, "ideal_bits": 1000.0} | changed


def remembered(ratio, excess=0.5):
    """Return one coder's memory: states over bits, and how many per cent more bits than the ideal."""
    naive, stored = 1e6, 1e6 / ratio
    ideal = stored / (1 + excess / 100)
    return {
        "stored_bits": stored,
        "ideal_bits": ideal,
        "ratio": ratio,
        "ideal_ratio": naive / ideal,
        "workspace_bytes": 1000,
    }


def language(params, *, perplexity=100.0, ratio=12.0, excess=0.5):
    made = {
        "valid_perplexity": [perplexity],
        "test_perplexity": perplexity,
        "n_symbols": 1500,
        "n_parameters": 7,
    }
    if params["bits"] is None:
        return made
    coders = {
        "rans": remembered(ratio, excess),
        "floor_digit": remembered(0.9 * ratio, 9.0),
        "planes": remembered(0.5 * ratio, 100.0),
    }
    forgotten = {"by_unit": [0.5, 2.0, 1.0], "by_step": [1.5, 1.0]}
    return made | {
        "memory": {"70": coders, str(params["n_memory_steps"]): coders},
        "forgotten": forgotten,
    }


def translation(score=90.0, encoder=6.0, decoder=12.0):
    return {
        "valid_perplexity": [2.0],
        "encoder_ratio": encoder,
        "decoder_ratio": decoder,
        "score": score,
    }


# Cells


@pytest.mark.parametrize("budget", BUDGETS)
def test_cells_of_every_budget_are_well_formed(budget):
    for claim in CLAIMS:
        cells = claim.next_cells(budget, 0, Results())
        assert cells
        assert len(set(cells)) == len(cells)
        assert not set(cells) & set(claim.next_cells(budget, 1, Results()))
        assert set(claim.budgets) == set(BUDGETS)
        assert as_json(dict(claim.budgets[budget])) == claim.budgets[budget]
        for cell in cells:
            assert cell.experiment in EXPERIMENTS
            assert cell.params == as_json(cell.params)
            assert cell.params["dataset"] in (None, "python-topics", "penn-treebank", "multi30k")
            # Sets that do not come with a package are for the full budget.
            assert budget == "full" or cell.params["dataset"] in (None, "python-topics")


@pytest.mark.parametrize("budget", BUDGETS)
def test_claims_share_their_cells(budget):
    cells = {cell for claim in CLAIMS for cell in claim.next_cells(budget, 0, Results())}
    n_language, n_translation, n_repeat = (
        counts[budget]
        for counts in (protocol.N_LANGUAGE_SEEDS, protocol.N_TRANSLATION_SEEDS, protocol.N_REPEAT_SEEDS)
    )
    lengths = len(protocol.REPEAT[budget]["n_updates"])
    wanted = {
        "exact": 2,
        # Each cell at four limits, and the ordinary one.
        "language": 2 * 5 * n_language,
        "repeat": len(protocol.REPEAT_CELLS) * lengths * n_repeat,
        "translation": len(protocol.CONTEXTS) * n_translation,
        "crossover": 4 * len(protocol.CROSSOVER[budget]),
    }
    found = [cell.experiment for cell in cells]
    assert {name: found.count(name) for name in EXPERIMENTS} == wanted
    first, second = (
        BY_ID[f"{name}[cell=gru,bits=2]"].next_cells(budget, 0, Results())
        for name in ("memory", "perplexity")
    )
    assert set(first) < set(second)


def test_every_kind_of_claim_is_there():
    kinds = [claim.name for claim in CLAIMS]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "exact-reversal": 2,
        "no-forgetting": 2,
        "memory": 8,
        "coder": 1,
        "perplexity": 6,
        "attention": 3,
        "translation-memory": 2,
        "checkpointing": 2,
    }
    assert {claim.unit for claim in CLAIMS if claim.name == "exact-reversal"} == {"failures"}


@pytest.mark.parametrize(
    ("experiment", "params", "made"),
    [
        ("exact", {"cell": "gru", "n_steps": 60}, exact()),
        ("exact", {"cell": "lstm", "n_steps": 60}, exact()),
        (
            "repeat",
            {"cell": "nf_rev_gru", "n_symbols": 3, "n_hidden": 4, "length": 4, "n_updates": 1},
            {"error": 0.5},
        ),
        (
            "translation",
            protocol.TRANSLATION["smoke"] | {"context": "slice_embedding", "n_pairs": 20},
            translation(),
        ),
        ("crossover", {"n_steps": 20, "mode": "hybrid"}, {"bits_per_unit": 8.0, "gradients": ""}),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_made_results_have_the_entries_of_real_ones(experiment, params, made):
    assert EXPERIMENTS[experiment]({"dataset": None} | params, 0).keys() == made.keys()


@pytest.mark.parametrize("bits", [3, None])
def test_made_language_models_have_the_entries_of_real_ones(bits):
    sizes = {
        "n_train": 1000,
        "n_held_out": 500,
        "n_rows": 5,
        "n_hidden": 4,
        "n_symbols": 50,
        "n_memory_steps": 75,
    }
    params = protocol.LANGUAGE["smoke"] | {"cell": "gru", "bits": bits} | sizes
    real, made = as_json(EXPERIMENTS["language"](params, 0)), language(params)
    assert real.keys() == made.keys()
    if bits is not None:
        assert real["forgotten"].keys() == made["forgotten"].keys()
        assert real["memory"].keys() == made["memory"].keys()
        for coders in real["memory"].values():
            assert coders.keys() == {"rans", "floor_digit", "planes"}
            assert all(memory.keys() == remembered(1.0).keys() for memory in coders.values())


# Verdicts


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_exact_reversal_has_no_half(cell):
    name = f"exact-reversal[cell={cell}]"
    outcome = judged(name, lambda params, n: exact())
    assert (outcome.verdict, outcome.mean) == ("reproduced", 0.0)
    assert outcome.extra["bits stored above the ideal, %"] == pytest.approx(1.0)
    for wrong in ({"restored": False}, {"bits_left": 1}):
        outcome = judged(name, lambda params, n, wrong=wrong: exact(**wrong))
        assert (outcome.verdict, outcome.mean) == ("not reproduced", 1.0)


def repeats(limits, otherwise=math.inf):
    """Each cell learns lengths up to its limit."""
    return lambda params, n: {
        "error": 0.0 if params["length"] <= limits.get(params["cell"], otherwise) else 0.3
    }


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize(
    ("frozen", "forgetting", "verdict"),
    [
        (5, 80, "reproduced"),
        (0, 20, "direction holds"),
        (80, 80, "not reproduced"),
        (20, 5, "not reproduced"),
    ],
)
def test_forgetting_must_be_what_helps(cell, frozen, forgetting, verdict):
    outcome = judged(
        f"no-forgetting[cell={cell}]", repeats({f"nf_rev_{cell}": frozen, f"rev_{cell}": forgetting})
    )
    assert outcome.verdict == verdict
    assert outcome.mean == frozen
    assert outcome.extra == {"with forgetting": forgetting}


def test_a_length_after_one_that_failed_does_not_count():
    def value(params, n):
        failed = params["cell"] == "nf_rev_gru" and params["length"] == 20
        return {"error": 0.01 if failed else 0.009}

    outcome = judged("no-forgetting[cell=gru]", value)
    assert (outcome.verdict, outcome.mean) == ("reproduced", 5.0)


def test_one_seed_that_learns_without_forgetting_is_enough_to_lose(monkeypatch):
    with_seeds(monkeypatch, 2)
    lucky = judged("no-forgetting[cell=gru]", lambda p, n: repeats({"nf_rev_gru": 80 if n else 5})(p, n))
    assert (lucky.verdict, lucky.n) == ("direction holds", 2)
    assert judged("no-forgetting[cell=gru]", repeats({"nf_rev_gru": 5})).verdict == "reproduced"


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("bits", protocol.LIMITS)
@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [(10.0, "reproduced"), (9.9, "direction holds"), (5.0, "direction holds"), (4.9, "not reproduced")],
)
def test_memory_is_held_to_ten_times(cell, bits, ratio, verdict):
    outcome = judged(f"memory[cell={cell},bits={bits}]", lambda params, n: language(params, ratio=ratio))
    assert outcome.verdict == verdict
    assert outcome.mean == pytest.approx(ratio)
    assert outcome.extra["paper's layout"] == pytest.approx(0.5 * ratio)


@pytest.mark.parametrize(
    ("excess", "verdict"), [(0.9, "reproduced"), (2.9, "direction holds"), (3.1, "not reproduced")]
)
def test_the_worst_model_counts_for_the_coder(excess, verdict):
    def value(params, n):
        worst = (params["cell"], params["bits"]) == ("lstm", 1)
        return language(params, excess=excess if worst else 0.1)

    outcome = judged("coder", value)
    assert outcome.verdict == verdict
    assert outcome.mean == pytest.approx(excess)
    assert outcome.n == 8 * protocol.N_LANGUAGE_SEEDS["quick"]


def perplexities(above):
    """Return reversible cells so many per cent above the ordinary ones."""
    return lambda params, n: language(
        params, perplexity=(100 + n) * (1 if params["bits"] is None else 1 + above / 100)
    )


@pytest.mark.parametrize("name", [name for name in BY_ID if name.startswith("perplexity")])
@pytest.mark.parametrize(
    ("above", "one", "two"),
    [
        (-3.0, "direction holds", "reproduced"),
        (4.9, "direction holds", "reproduced"),
        (9.9, "direction holds", "direction holds"),
        (10.1, "not reproduced", "not reproduced"),
    ],
)
def test_perplexity_with_a_single_seed_shows_a_direction_at_most(monkeypatch, name, above, one, two):
    for n, verdict in ((1, one), (2, two)):
        with_seeds(monkeypatch, n)
        outcome = judged(name, perplexities(above))
        assert (outcome.n, outcome.verdict) == (n, verdict)
        assert outcome.mean == pytest.approx(above)


# Points, and the verdicts with one seed and with two.
_BETTER = [
    (1.1, "direction holds", "reproduced"),
    (0.1, "direction holds", "direction holds"),
    (-0.1, "not reproduced", "not reproduced"),
]
_AS_WELL = [
    (-1.9, "direction holds", "reproduced"),
    (-4.9, "direction holds", "direction holds"),
    (-5.1, "not reproduced", "not reproduced"),
]
ATTENTION = {"whole-state": _AS_WELL, "embeddings": _BETTER, "slices": _BETTER}
OTHERS = {"whole-state": "hidden", "embeddings": "embedding", "slices": "slice"}


@pytest.mark.parametrize("against", OTHERS)
def test_attention_with_a_single_seed_shows_a_direction_at_most(monkeypatch, against):
    for points, one, two in ATTENTION[against]:

        def value(params, n, points=points):
            assert params["context"] in ("slice_embedding", OTHERS[against])
            return translation(score=50.0 + n + (points if params["context"] == "slice_embedding" else 0.0))

        for n, verdict in ((1, one), (2, two)):
            with_seeds(monkeypatch, n)
            outcome = judged(f"attention[against={against}]", value)
            assert (outcome.n, outcome.verdict) == (n, verdict)
            assert outcome.mean == pytest.approx(points)


@pytest.mark.parametrize(("part", "bar"), [("encoder", 5.0), ("decoder", 10.0)])
def test_each_part_of_a_translation_model_has_its_own_bar(part, bar):
    for factor, verdict in ((1.01, "reproduced"), (0.51, "direction holds"), (0.49, "not reproduced")):
        made = translation(**{"encoder": 1.0, "decoder": 1.0} | {part: factor * bar})
        outcome = judged(f"translation-memory[part={part}]", lambda params, n, made=made: made)
        assert outcome.verdict == verdict
        assert outcome.mean == pytest.approx(factor * bar)


def kept(short, long):
    """Return bytes of each way of remembering on the shortest and the longest sequences; the same gradient."""

    def value(params, n):
        lengths = protocol.CROSSOVER["quick"]
        sizes = short if params["n_steps"] == lengths[0] else long if params["n_steps"] == lengths[-1] else {}
        return {"bits_per_unit": 8.0 * sizes.get(params["mode"], 1.0), "gradients": "same"}

    return value


@pytest.mark.parametrize(
    ("sequences", "sizes", "verdict"),
    [
        ("short", {"checkpoint": 70.0, "reverse": 30.0}, "reproduced"),
        ("short", {"checkpoint": 70.0, "reverse": 60.0}, "direction holds"),
        ("short", {"checkpoint": 70.0, "reverse": 80.0}, "not reproduced"),
        ("long", {"checkpoint": 100.0, "reverse": 200.0, "hybrid": 40.0}, "reproduced"),
        ("long", {"checkpoint": 100.0, "reverse": 200.0, "hybrid": 60.0}, "direction holds"),
        ("long", {"checkpoint": 100.0, "reverse": 90.0, "hybrid": 40.0}, "direction holds"),
        ("long", {"checkpoint": 100.0, "reverse": 200.0, "hybrid": 110.0}, "not reproduced"),
    ],
)
def test_checkpoints_are_compared_on_their_own_lengths(sequences, sizes, verdict):
    equal = dict.fromkeys(("store", "checkpoint", "reverse", "hybrid"), 1.0)
    sizes = {"store": 1000.0, "hybrid": 50.0} | sizes
    made = kept(sizes, equal) if sequences == "short" else kept(equal, sizes)
    name = f"checkpointing[sequences={sequences}]"
    outcome = judged(name, made)
    assert outcome.verdict == verdict
    assert outcome.extra == sizes

    def other_bits(params, n):
        return made(params, n) | {"gradients": params["mode"]}

    # Ways that do not give the same gradient are not compared.
    assert judged(name, other_bits).verdict == "not reproduced"


# Figures


def everything(budget="quick"):
    values = {
        "exact": lambda params: exact(),
        "repeat": lambda params: {"error": 0.25},
        "language": language,
        "translation": lambda params: translation(),
        "crossover": lambda params: {"bits_per_unit": 80.0, "gradients": "same"},
    }
    cells = {cell for claim in CLAIMS for cell in claim.next_cells(budget, 0, Results())}
    return Results({cell: as_json(values[cell.experiment](cell.params)) for cell in cells})


def only(results, keep):
    return Results({cell: results[cell] for cell in results if keep(cell)})


@pytest.mark.parametrize("budget", BUDGETS)
def test_figures_are_drawn_with_their_numbers(tmp_path, budget):
    drawn = draw("reversible-rnn", everything(budget), budget, tmp_path)
    assert [figure.name for figure in drawn] == FIGURES
    for figure in drawn:
        assert figure.svg.lstrip().startswith("<?xml")
        rows = list(csv.DictReader(figure.csv.splitlines()))
        assert rows
        for row in rows:
            assert None not in row.values()
            assert "" not in row.values()
            assert "nan" not in row.values()


def test_figures_hold_the_numbers_of_the_results():
    specs = {spec.name: spec for spec in figures(everything(), "quick")}
    first = specs["memory"].rows[0]
    assert (first["cell"], first["limit, bits"]) == ("gru", 1)
    assert (first["entropy coder"], first["floor digits"], first["paper's layout"]) == pytest.approx(
        (12.0, 10.8, 6.0)
    )
    assert len(specs["memory"].rows) == 8
    assert [row["limit, bits"] for row in specs["perplexity"].rows[:5]] == [1, 2, 3, 5, "ordinary cell"]
    assert {row["errors, %"] for row in specs["repeat"].rows} == {25.0}
    assert [row["mean bits"] for row in specs["forgetting"].rows] == 2 * [0.5, 1.0, 2.0]
    assert [row["context"] for row in specs["attention"].rows] == list(protocol.CONTEXTS)
    assert {row["bytes of a unit"] for row in specs["checkpointing"].rows} == {10.0}


def test_what_was_not_run_is_left_out():
    assert figures(Results(), "quick") == []
    whole = everything()
    for experiment, names in (
        ("exact", []),
        ("language", ["memory", "perplexity", "forgetting"]),
        ("repeat", ["repeat"]),
        ("translation", ["attention"]),
        ("crossover", ["checkpointing"]),
    ):
        part = only(whole, lambda cell, experiment=experiment: cell.experiment == experiment)
        assert [spec.name for spec in figures(part, "quick")] == names
    one = only(whole, lambda cell: (cell.params.get("cell"), cell.params.get("bits")) == ("lstm", 2))
    assert [(spec.name, {row["cell"] for row in spec.rows}) for spec in figures(one, "quick")] == [
        ("memory", {"lstm"}),
        ("perplexity", {"lstm"}),
    ]
    ordinary = only(whole, lambda cell: "bits" in cell.params and cell.params["bits"] is None)
    assert [spec.name for spec in figures(ordinary, "quick")] == ["perplexity"]
    few = only(
        whole, lambda cell: cell.params.get("cell") == "nf_rev_lstm" or cell.params.get("mode") == "hybrid"
    )
    repeat, checkpointing = figures(few, "quick")
    assert {row["cell"] for row in repeat.rows} == {"nf_rev_lstm"}
    assert {row["mode"] for row in checkpointing.rows} == {"hybrid"}

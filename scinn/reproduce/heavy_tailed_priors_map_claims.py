"""Claims on point estimates under heavy-tailed network priors, and how ratios of two sides are judged.

C. Li, M. Dunlop, G. Stadler, "Bayesian neural network priors for edge-preserving inversion", 2022, arXiv 2112.10663. The
claims are gathered in :mod:`scinn.reproduce.heavy_tailed_priors`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from scinn.reproduce.claims import Cell, Claim, Outcome, Results, sign_flip_test, summarize
from scinn.reproduce.heavy_tailed_priors_protocol import (
    ABSTRACT,
    CONTROLS,
    MAP_1D,
    MAP_2D,
    N_SEEDS,
    N_SEEDS_2D,
    N_TUNING,
    N_TUNING_2D,
    OURS,
    PAPER,
    TITLES,
    judged_cells,
)

__all__ = ["LINE", "budgets", "map_claims", "ratio_outcome", "repeatable_claim", "significance"]

_TUNED = (
    "Deconvolution (Gaussian kernel) with the data made on the same grid. Each side's scale is chosen from the same "
    "list by its mean error on random truths with noise of their own; then several noise draws of the fixed truth, "
    "the same for both sides. Estimate: the minimum with the lowest objective over all starts. "
)
LINE = "129 unknowns, 65 data, kernel sd 0.05, noise sd 0.02; network [1, 40, 40, 1], tanh. "
_PLANE = "24 x 24 unknowns, 144 data, kernel sd 0.1, noise sd 0.02; network [2, 30, 30, 1], tanh. "


def budgets(
    sizes: Mapping[str, Mapping[str, Any]], n: Mapping[str, int], **more: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        b: {**sizes[b], "n_seeds": n[b], **{name: values[b] for name, values in more.items()}} for b in sizes
    }


def significance(differences: Sequence[float]) -> tuple[float, str]:
    p = sign_flip_test(differences)
    few = " (fewer than 5 pairs cannot reach p < 0.05)" if len(differences) < 5 else ""
    return p, f"sign-flip p = {p:.3g}, n = {len(differences)}{few}"


# Ratios of errors of two sides, each tuned by itself


def ratio_outcome(
    first: Sequence[float], second: Sequence[float], bar: float, names: tuple[str, str], what: str = "error"
) -> Outcome:
    """Judge the ratio of paired errors against a bar; below it, and significantly below 1, is a success."""
    logs = np.log(np.array(second) / np.array(first))
    ratios = np.array(first) / np.array(second)
    mean, sd, n = summarize(ratios.tolist())
    p, text = significance(logs.tolist())
    assert mean is not None
    verdict = (
        "reproduced" if mean <= bar and p < 0.05 else "direction holds" if mean < 1.0 else "not reproduced"
    )
    means = float(np.mean(first)), float(np.mean(second))
    reason = f"mean {what} {means[0]:.3f} ({names[0]}) against {means[1]:.3f} ({names[1]}); {text}"
    return Outcome(
        mean,
        sd,
        n,
        verdict,
        reason,
        {f"{what}, {names[0]}": means[0], f"{what}, {names[1]}": means[1], "p_value": p},
    )


def _sides(
    first: str, second: str, kind: str, dimension: int, **more: Any
) -> Callable[[str, int, Results], tuple[list[Cell], list[Cell], list[Cell]]]:
    def cells(budget: str, seed: int, results: Results) -> tuple[list[Cell], list[Cell], list[Cell]]:
        tuning, one = judged_cells(first, budget, kind, seed, results, dimension, **more)
        other_tuning, two = judged_cells(second, budget, kind, seed, results, dimension, **more)
        return tuning + other_tuning, one, two

    return cells


def _comparison(
    name: str, first: str, second: str, *, kind: str = "jumps", dimension: int = 1, bar: float = 1.0, parameters:
    dict[str, Any], statement: str, source: str, **more: Any,
) -> Claim:  # fmt: skip
    sides = _sides(first, second, kind, dimension, **more)

    def next_cells(budget: str, seed: int, results: Results) -> list[Cell]:
        return [cell for group in sides(budget, seed, results) for cell in group]

    def evaluate(budget: str, results: Results) -> Outcome:
        # The seed of the run is that of the tuning cells, less what sets these apart.
        seed = min(cell.seed for cell in results) // 1000
        _, one, two = sides(budget, seed, results)
        errors = [[results[cell]["best"] for cell in side] for side in (one, two)]
        return ratio_outcome(errors[0], errors[1], bar, (TITLES[first], TITLES[second]))

    sizes, n, tuning = (MAP_1D, N_SEEDS, N_TUNING) if dimension == 1 else (MAP_2D, N_SEEDS_2D, N_TUNING_2D)
    rule = (
        f"reproduced: mean ratio of errors <= {bar:g}" if bar < 1 else "reproduced: mean ratio of errors < 1"
    )
    return Claim(
        paper=PAPER,
        name=name,
        parameters=parameters,
        statement=statement,
        reported=None,
        source=source,
        protocol=(
            _TUNED.replace("on the same grid", "on a grid four times finer") if more.get("finer") else _TUNED
        )
        + (LINE if dimension == 1 else _PLANE),
        success_rule=rule + ", paired sign-flip p < 0.05 on its logarithm; direction holds: mean ratio < 1",
        unit="",
        budgets=budgets(sizes, n, n_tuning=tuning),
        next_cells=next_cells,
        evaluate=evaluate,
    )


def map_claims() -> list[Claim]:
    claims = [
        _comparison(
            "map", law, "ggg", bar=0.75, parameters={"truth": "jumps", "law": law}, source=ABSTRACT,
            statement=f"On a truth with jumps the MAP estimate of a network with heavy tails ({TITLES[law]}) has a "
            "lower error than that of a Gaussian network, each at its own best scale.",
        )
        for law in ("ccg", "gcg", "cgg", "ccc")
    ]  # fmt: skip
    claims += [
        _comparison(
            "map", "ccg", "ggg", bar=0.75, parameters={"truth": "jumps", "law": "ccg", "data": "finer"}, source=ABSTRACT,
            finer=True,
            statement="The same holds where the data are made on a grid four times finer than that of the reconstruction.",
        ),
        _comparison(
            "map", "ggg", "ccg", kind="smooth", parameters={"truth": "smooth", "law": "ggg"}, source=OURS,
            statement="The converse: on a smooth truth the Gaussian network has the lower error.",
        ),
        *(
            _comparison(
                "map-2d", law, "ggg", dimension=2, bar=0.75, parameters={"law": law}, source=ABSTRACT,
                statement=f"In the plane, too, a network with heavy tails ({TITLES[law]}) reconstructs jumps with a "
                "lower error than a Gaussian one.",
            )
            for law in ("ccg", "ccc")
        ),
        *(
            _comparison(
                "control", "ccg", method, parameters={"method": method}, source=OURS,
                statement="On jumps the network with Cauchy hidden layers has a lower error than the estimate by "
                f"{TITLES[method]}.",
            )
            for method in CONTROLS
        ),
        _comparison(
            "control-2d", "ccg", "tv", dimension=2, parameters={"method": "tv"}, source=OURS,
            statement="In the plane the network with Cauchy hidden layers has a lower error than total variation.",
        ),
    ]  # fmt: skip
    return claims


def repeatable_claim() -> Claim:
    def groups(budget: str, seed: int, results: Results) -> tuple[list[Cell], list[Cell], list[Cell]]:
        tuning, weight = judged_cells("ccc", budget, "jumps", seed, results)
        white = [Cell("map_1d", cell.params | {"coordinates": "white"}, cell.seed) for cell in weight]
        return tuning, weight, white

    def next_cells(budget: str, seed: int, results: Results) -> list[Cell]:
        return [cell for group in groups(budget, seed, results) for cell in group]

    def evaluate(budget: str, results: Results) -> Outcome:
        _, weight, white = groups(budget, min(cell.seed for cell in results) // 1000, results)
        spread = [[results[cell]["sd"] for cell in side] for side in (weight, white)]
        if not all(value for side in spread for value in side):
            return Outcome(None, None, 0, "not run", "one start has no spread: take a larger budget")
        return ratio_outcome(
            spread[0], spread[1], 0.5, ("weights", "white coordinates"), "spread of the error"
        )

    return Claim(
        paper=PAPER,
        name="repeatable",
        statement="Estimates of all-Cauchy networks spread less over the starts where the density of the weights is "
        "maximised than where that of the white coordinates is.",
        reported=None,
        source=OURS,
        protocol=_TUNED + LINE + "The spread is the standard deviation of the error over starts.",
        success_rule="reproduced: mean ratio of spreads <= 0.5, p < 0.05; direction holds: mean ratio < 1",
        unit="",
        budgets=budgets(MAP_1D, N_SEEDS, n_tuning=N_TUNING),
        next_cells=next_cells,
        evaluate=evaluate,
    )

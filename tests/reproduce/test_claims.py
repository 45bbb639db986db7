from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scinn.reproduce.claims import (
    Cell,
    Claim,
    Outcome,
    Results,
    as_json,
    canonical,
    seeds,
    select_claims,
    sign_flip_test,
    summarize,
)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_a_result_is_the_same_after_the_journal(value):
    once = as_json(value)
    assert as_json(once) == once
    assert canonical(once) == canonical(value)


def test_numpy_results_become_plain():
    result = as_json(
        {"a": np.float32(0.1), "b": np.arange(3), "c": (np.int64(1), True), "d": np.bool_(False)}
    )
    assert result == {"a": float(np.float32(0.1)), "b": [0, 1, 2], "c": [1, True], "d": False}
    with pytest.raises(TypeError, match="set"):
        as_json({"a": {1, 2}})


def test_cells_are_equal_by_value_and_cannot_be_changed_from_outside():
    params = {"width": 8, "dataset": "cora", "nested": [1, 2]}
    cell = Cell("fit", params, 3)
    params["width"] = 9
    cell.params["width"] = 10
    assert cell.params["width"] == 8
    assert cell == Cell("fit", {"nested": (1, 2), "dataset": "cora", "width": 8}, np.int64(3))
    assert len({cell, Cell("fit", {"nested": [1, 2], "dataset": "cora", "width": 8}, 3)}) == 1
    assert cell != Cell("fit", {"nested": [1, 2], "dataset": "cora", "width": 8}, 4)
    assert cell.datasets == ("cora",)
    assert Cell("fit", {"dataset": ["a", "b"]}, 0).datasets == ("a", "b")
    assert Cell("fit", {}, 0).datasets == ()


@pytest.mark.parametrize("seed", [-1, 1.5, True, None])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(ValueError, match="seed must be a non-negative integer"):
        Cell("fit", {}, seed)


def test_results_do_not_depend_on_the_order_of_computation():
    cells = [Cell("fit", {"w": w}, s) for w in (2, 1) for s in (3, 0, 1)]
    forward = Results({cell: {"v": i} for i, cell in enumerate(cells)})
    backward = Results({cell: {"v": i} for i, cell in reversed(list(enumerate(cells)))})
    assert list(forward) == list(backward)
    assert forward.select("fit", w=1).pluck("v") == [4, 5, 3]
    assert forward.has(cells)
    assert not forward.has([*cells, Cell("fit", {"w": 3}, 0)])
    assert len(forward.select("other")) == 0
    assert len(forward.select(absent=None)) == 0


def test_outcomes_and_claims_check_their_words():
    with pytest.raises(ValueError, match="verdict must be one of"):
        Outcome(1.0, None, 1, "confirmed", "")
    with pytest.raises(ValueError, match="no entry for quick, full"):
        Claim(
            paper="framelets",
            name="x",
            statement="",
            reported=None,
            source="",
            protocol="",
            success_rule="",
            unit="",
            budgets={"smoke": {}},
            next_cells=lambda budget, seed, results: [],
            evaluate=lambda budget, results: Outcome(None, None, 0, "not run", ""),
        )


@given(st.lists(st.floats(-100, 100), max_size=20))
def test_summary_is_numpys(values):
    mean, sd, n = summarize(values)
    assert n == len(values)
    if n:
        assert mean == pytest.approx(np.mean(values))
    if n > 1:
        assert sd == pytest.approx(np.std(values, ddof=1))
    else:
        assert sd is None


def test_sign_flip_test_is_exact_on_small_and_fair_on_large_samples():
    assert sign_flip_test([]) == 1.0
    assert sign_flip_test([1.0] * 5) == 2**-5
    assert sign_flip_test([-1.0] * 5) == 1.0
    assert sign_flip_test([0.0, 0.0]) == 1.0
    data = np.random.default_rng(0).normal(0.4, 1.0, 30)
    # The normal approximation is good to a few thousandths at n = 30.
    z = data.sum() / np.sqrt((data**2).sum())
    from scipy.stats import norm

    assert sign_flip_test(data) == pytest.approx(norm.sf(z), abs=0.01)


def test_seeds_of_different_runs_never_meet():
    assert not set(seeds(0, 1000)) & set(seeds(1, 1000))
    with pytest.raises(ValueError, match="between 0 and 1000"):
        seeds(0, 1001)


def test_claims_are_found_by_paper_id_and_name(toy):
    assert select_claims() == list(toy.CLAIMS)
    assert select_claims(["framelets"]) == list(toy.CLAIMS)
    assert [c.name for c in select_claims(["framelets:tuned", "framelets:mean"])] == ["mean", "tuned"]
    assert [c.id for c in select_claims(["framelets:mean[n=50,kind=plain]"])] == [
        "framelets:mean[n=50,kind=plain]"
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("framlets", "did you mean framelets"),
        ("chip", "chip is planned"),
        ("framelets:meen", "did you mean framelets:mean"),
    ],
)
def test_unknown_names_are_answered_with_near_ones(toy, name, message):
    with pytest.raises(ValueError, match=message):
        select_claims([name])


def test_the_real_claims_are_complete():
    claims = select_claims()
    assert len({claim.id for claim in claims}) == len(claims)
    for claim in claims:
        assert claim.statement
        assert claim.source
        assert claim.protocol
        assert claim.success_rule
        for budget in ("smoke", "quick", "full"):
            cells = claim.next_cells(budget, 0, Results())
            assert all(isinstance(cell, Cell) for cell in cells)
            assert cells == claim.next_cells(budget, 0, Results())

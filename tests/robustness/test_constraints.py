"""What an attacker may do to features: masks, indices, costs, and the changes that break the rules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scinn.robustness import FeatureConstraints
from scinn.robustness.constraints import Violation, resolve_constraints


def test_nothing_is_forbidden_at_first():
    free = FeatureConstraints.none(4)
    assert free.n_features == 4
    assert free.may_add.all()
    assert free.may_remove.all()
    assert free.costs.tolist() == [1.0] * 4
    assert free.unit_costs
    assert repr(free) == "FeatureConstraints(4 features: 4 free)"
    assert free.check([[1, -1, 1, -1]], [[-1, 1, -1, 1]]) is None


@pytest.mark.parametrize("which", [[1, 3], np.array([1, 3]), [False, True, False, True], (3, 1)])
def test_indices_and_masks_mean_the_same(which):
    constraints = FeatureConstraints(4, add_only=which)
    assert constraints.may_add.all()
    assert constraints.may_remove.tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    ("rule", "add", "remove"), [("immutable", False, False), ("add_only", True, False), ("remove_only", False, True)]
)  # fmt: skip
def test_true_means_every_feature(rule, add, remove):
    constraints = FeatureConstraints(3, **{rule: True})
    assert constraints.may_add.tolist() == [add] * 3
    assert constraints.may_remove.tolist() == [remove] * 3
    assert FeatureConstraints(3, **{rule: False}).may_add.all()


def test_adding_turns_plus_one_into_minus_one():
    add, remove = FeatureConstraints(2, add_only=True), FeatureConstraints(2, remove_only=True)
    assert add.may_flip([[1, -1]]).tolist() == [[True, False]]
    assert remove.may_flip([1, -1]).tolist() == [[False, True]]
    assert add.check([[1, 1]], [[-1, 1]]) is None
    assert remove.check([[1, 1]], [[-1, 1]]) == Violation(0, 0, "added")
    assert add.check([[1, 1], [1, -1]], [[-1, 1], [1, 1]]) == Violation(1, 1, "removed")


def test_immutable_wins_over_both_directions():
    constraints = FeatureConstraints(3, immutable=[0], add_only=[0, 1], remove_only=[0, 2])
    assert constraints.may_add.tolist() == [False, True, False]
    assert constraints.may_remove.tolist() == [False, False, True]
    assert repr(constraints) == "FeatureConstraints(3 features: 1 immutable, 1 add-only, 1 remove-only)"


def test_costs_of_changes():
    constraints = FeatureConstraints(3, immutable=[2], costs=[1, 2.5, 10])
    assert constraints.cost([[1, 1, 1], [1, 1, 1]], [[1, 1, 1], [-1, -1, -1]]).tolist() == [0.0, 13.5]
    assert FeatureConstraints(3, costs=2).costs.tolist() == [2.0] * 3
    assert not constraints.unit_costs
    assert "costs 1 to 10" in repr(constraints)


@given(n=st.integers(1, 12), m=st.integers(0, 5), seed=st.integers(0, 2**32 - 1))
def test_allowed_flips_are_those_that_check_admits(n, m, seed):
    rng = np.random.default_rng(seed)
    add = rng.random(n) < 0.4
    constraints = FeatureConstraints(
        n, immutable=rng.random(n) < 0.3, add_only=add, remove_only=~add & (rng.random(n) < 0.5)
    )
    signs = rng.choice(np.array([-1, 1]), (m, n))
    allowed = constraints.may_flip(signs)
    for s, i in np.ndindex(m, n):
        changed = signs.copy()
        changed[s, i] *= -1
        found = constraints.check(signs, changed)
        assert (found is None) == allowed[s, i]
        if found is not None:
            assert found[:2] == (s, i)
            assert (
                str(found)
                == f"feature {i} of sample {s} was {'added' if signs[s, i] > 0 else 'removed'}, which is not allowed"
            )


def test_arrays_cannot_be_changed_later_and_are_copies():
    mask, costs = np.zeros(3, bool), np.ones(3)
    constraints = FeatureConstraints(3, immutable=mask, costs=costs)
    mask[0], costs[0] = True, 7.0
    assert constraints.may_add[0]
    assert constraints.costs[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        constraints.may_add[0] = False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"immutable": [3]}, r"immutable holds the index 3; indices must lie in 0..2"),
        ({"add_only": [True, False]}, r"add_only is a boolean mask of shape \(2,\); \(3,\) is wanted"),
        ({"add_only": [1], "remove_only": True}, "feature 1 is both add_only and remove_only"),
        ({"costs": [1, 2]}, r"costs has shape \(2,\); one number or \(3,\) is wanted"),
        (
            {"costs": [1, 0, 2]},
            "costs holds 0; positive numbers are wanted: name what must not change in immutable",
        ),
        ({"costs": [1, np.nan, 2]}, "costs"),
    ],
)
def test_bad_rules_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        FeatureConstraints(3, **arguments)


def test_bits_are_not_taken_for_signs():
    constraints = FeatureConstraints(2)
    with pytest.raises(ValueError, match=r"signs holds 0, 1; values in \{-1, \+1\} are wanted"):
        constraints.may_flip([[0, 1]])
    with pytest.raises(ValueError, match=r"signs has shape \(1, 3\); \(any, 2\) is wanted"):
        constraints.may_flip([[1, 1, -1]])
    with pytest.raises(ValueError, match=r"changed has shape \(2, 2\), original \(1, 2\)"):
        constraints.check([[1, 1]], [[1, 1], [1, -1]])


def test_resolving():
    assert resolve_constraints(None, 3).n_features == 3
    with pytest.raises(ValueError, match="constraints are for 3 features, there are 4"):
        resolve_constraints(FeatureConstraints(3), 4)
    with pytest.raises(TypeError, match="constraints is a dict"):
        resolve_constraints({}, 4)

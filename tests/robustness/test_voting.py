"""Banzhaf indices of real councils and of random games, against counting with big integers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scinn.reference import chow as reference
from scinn.robustness import chow_parameters
from scinn.robustness.voting import power_index

# Electors of the states and the District of Columbia after the census of 2010.
ELECTORS = (
    [55, 38, 29, 29, 20, 20, 18, 16, 16, 15, 14, 13, 12]
    + [11] * 4 + [10] * 4 + [9] * 3 + [8] * 2 + [7] * 3 + [6] * 6 + [5] * 3 + [4] * 5 + [3] * 8
)  # fmt: skip
# Votes in the council of the 27 members under the treaty of Nice, in its first condition.
NICE = [29] * 4 + [27] * 2 + [14] + [13] + [12] * 5 + [10] * 3 + [7] * 5 + [4] * 5 + [3]


def test_the_council_of_1958():
    result = power_index([4, 4, 4, 2, 2, 1], 12)
    assert result.swings == (10, 10, 10, 6, 6, 0)
    np.testing.assert_array_equal(result.banzhaf, np.array([10, 10, 10, 6, 6, 0]) / 32)
    np.testing.assert_allclose(result.normalized, np.array([10, 10, 10, 6, 6, 0]) / 42, rtol=1e-15)


@pytest.mark.parametrize(
    ("votes", "quota"),
    [
        ([10, 10, 10, 10, 5, 5, 3, 3, 2], 41),
        ([10, 10, 10, 10, 8, 5, 5, 5, 5, 3, 3, 2], 54),
        ([10, 10, 10, 10, 8, 5, 5, 5, 5, 4, 4, 3, 3, 3, 2], 62),
        (NICE, 255),
        (ELECTORS, 270),
    ],
    ids=["1973", "1986", "1995", "Nice", "electoral college"],
)
def test_real_games(votes, quota):
    result = power_index(votes, quota)
    assert result.kind == "exact"
    assert list(result.swings) == reference.banzhaf_swings(votes, quota)
    assert sum(ELECTORS) == 538
    assert len(ELECTORS) == 51
    assert sum(NICE) == 345


@given(n=st.integers(1, 70), largest=st.sampled_from([1, 5, 30]), seed=st.integers(0, 2**32 - 1))
def test_random_games(n, largest, seed):
    rng = np.random.default_rng(seed)
    votes = rng.integers(0, largest + 1, n)
    votes[0] += 1
    quota = int(rng.integers(1, votes.sum() + 1))
    result = power_index(votes, quota)
    want = reference.banzhaf_swings(votes.tolist(), quota)
    assert list(result.swings) == want
    assert all(type(number) is int for number in result.swings)
    np.testing.assert_array_equal(result.banzhaf, [number / 2 ** (n - 1) for number in want])
    np.testing.assert_allclose(result.normalized.sum(), 1.0, rtol=1e-12)


@given(n=st.integers(1, 12), seed=st.integers(0, 2**32 - 1))
def test_real_votes_count_with_their_binary_value(n, seed):
    rng = np.random.default_rng(seed)
    votes = rng.random(n)
    quota = float(rng.choice([votes.sum() / 2, votes[0], votes.min()]))
    # Numbers of 53 digits after the point are integers in units of 2^-53 (or finer).
    scale = 2**80
    integers = [
        int(vote.as_integer_ratio()[0] * (scale // vote.as_integer_ratio()[1])) for vote in votes.tolist()
    ]
    wanted = quota.as_integer_ratio()[0] * (scale // quota.as_integer_ratio()[1])
    assert list(power_index(votes, quota).swings) == reference.banzhaf_swings(integers, wanted)


def test_a_quota_that_floats_cannot_reach_exactly():
    # 0.1 + 0.2 as binary numbers is a little more than 0.3.
    assert power_index([0.1, 0.2], 0.3).swings == (1, 1)
    assert power_index([0.1, 0.2, 0.3], 0.3).swings == (1, 1, 3)


def test_unanimity_a_dictator_and_a_player_without_votes():
    assert power_index([1] * 80, 80).swings == (1,) * 80
    assert power_index([9, 1, 1], 6).swings == (4, 0, 0)
    assert power_index([2, 0, 1], 3).swings == (2, 0, 2)


def test_the_index_is_a_chow_parameter():
    votes, quota = np.array(NICE), 255
    chow = chow_parameters(votes, 2 * quota - votes.sum(), tie=1)
    np.testing.assert_array_equal(power_index(votes, quota).banzhaf, chow.degree_one)


def test_votes_of_more_digits_than_a_float_has():
    votes = [2**60 + 1, 2**60, 1]
    assert power_index(votes, 2**61 + 1).swings == tuple(reference.banzhaf_swings(votes, 2**61 + 1))


@given(n=st.integers(1, 9), size=st.sampled_from([60, 64, 70, 200]), seed=st.integers(0, 2**32 - 1))
def test_integers_of_any_length_are_counted_as_they_are(n, size, seed):
    rng = np.random.default_rng(seed)
    votes = [2**size + int(rng.integers(-2, 3)) for _ in range(n - 1)] + [int(rng.integers(1, 4))]
    quota = sum(votes[: (n + 1) // 2]) + int(rng.integers(0, 2))
    quota = min(quota, sum(votes))
    want = tuple(reference.banzhaf_swings(votes, quota))
    for given_ in (votes, tuple(votes), np.array(votes, dtype=object)):
        result = power_index(given_, quota)
        assert result.swings == want
        assert result.kind == "exact"
    assert [int(vote) for vote in power_index(votes, quota).weights] == votes


def test_long_integers_by_hand():
    assert power_index([2**70, 2**70 + 1, 2**69], 2**70 + 1).swings == (1, 3, 1)
    result = power_index([2**70 + 1, 2**70, 1], 2**70 + 2)
    assert result.swings == (3, 1, 1)
    assert json.loads(json.dumps(result.to_dict()))["weights"] == [2**70 + 1, 2**70, 1]
    assert len(result.plot().patches) == 6
    # Beside 64-bit numbers of both signs numpy makes floats, too.
    assert power_index([2**63 + 1, 2**63, 1], 2**63 + 2).swings == (3, 1, 1)
    with pytest.raises(ValueError, match="weights holds an integer beyond the largest float"):
        power_index([10**400, 1], 2)


def test_results_compare_as_objects():
    first, second = power_index([2, 1], 2), power_index([2, 1], 2)
    assert first != second
    assert len({first, second}) == 2


def test_many_real_votes_are_estimated():
    votes = np.random.default_rng(0).random(120)
    result = power_index(votes, 35.0)
    assert result.kind == "estimated"
    assert result.swings is None
    np.testing.assert_allclose(result.normalized.sum(), 1.0, rtol=1e-12)
    np.testing.assert_allclose(
        result.banzhaf, chow_parameters(votes, 70.0 - votes.sum()).degree_one, rtol=0, atol=1e-12
    )


def test_many_decimal_votes_are_counted_on_their_lattice():
    cents = np.random.default_rng(0).integers(1, 400, 120)
    result = power_index(cents / 100, int(cents.sum()) // 200 + 0.005)
    want = power_index(cents, int(cents.sum()) // 200 * 100 + 1)
    np.testing.assert_array_equal(result.banzhaf, want.banzhaf)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([1, 2], 2), {"kind": "shapley"}, r"the Shapley-Shubik index weighs coalitions by their size"),
        (([1, 2], 2), {"kind": "banzaf"}, r"did you mean 'banzhaf'"),
        (([1, -2], 2), {}, r"weights holds -2 at 1; votes are not negative"),
        (([], 2), {}, r"weights is empty"),
        (([1, 2], 0), {}, r"quota is 0; it must be above 0"),
        (([1, 2], 4), {}, r"at most the sum of all votes \(3\)"),
        (([1.0, np.nan], 1), {}, r"weights holds 1 NaN"),
        (([1, 2], np.inf), {}, r"quota is inf"),
        (([1, 2], True), {}, r"quota is True"),
        (([[1, 2]], 1), {}, r"weights has 2 dimensions"),
    ],
)
def test_bad_input(arguments, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        power_index(*arguments, **options)


def test_result():
    result = power_index(np.array(NICE, np.int32), np.int64(255))
    assert "27 players, quota 255, exact" in repr(result)
    data = json.loads(json.dumps(result.to_dict()))
    assert [int(number) for number in data["swings"]] == list(result.swings)
    assert data["quota"] == 255
    ax = result.plot()
    assert len(ax.patches) == 54

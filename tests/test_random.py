"""Random streams are addressed, not taken from a shared sequence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scinn.random import Key, as_generator

PATHS = st.lists(st.text(max_size=5) | st.integers(-5, 10**6), max_size=4).map(tuple)


@given(seed=st.integers(0, 2**64), path=PATHS)
def test_the_same_address_gives_the_same_numbers(seed, path):
    key = Key(seed).child(*path)
    assert key == Key(seed, path)
    assert key.generator().random(4).tobytes() == Key(seed, path).generator().random(4).tobytes()


@given(seed=st.integers(0, 100), first=PATHS, second=PATHS)
def test_different_addresses_give_different_numbers(seed, first, second):
    assume(first != second)
    a, b = Key(seed, first).generator().random(4), Key(seed, second).generator().random(4)
    assert a.tobytes() != b.tobytes()


def test_numbers_and_words_are_different_steps():
    assert Key(0).child(1).generator().random() != Key(0).child("1").generator().random()
    assert Key(0).child("a", "b").generator().random() != Key(0).child("ab").generator().random()


def test_the_numbers_stay_the_same_between_releases():
    assert Key(0).child("dropout", 3).generator().integers(0, 2**32) == 992296807
    assert Key(7).generator().integers(0, 2**32) == np.random.default_rng(7).integers(0, 2**32)


def test_drawing_from_one_child_leaves_another_alone():
    key = Key(3)
    before = key.child("b").generator().random()
    key.child("a").generator().random(1000)
    assert key.child("b").generator().random() == before


@pytest.mark.parametrize("seed", [-1, 1.0, True, "0", None])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(ValueError, match="seed must be a non-negative integer"):
        Key(seed)


def test_everything_that_users_hold_becomes_a_generator():
    want = np.random.default_rng(5).random()
    assert as_generator(5).random() == want
    assert as_generator(np.random.SeedSequence(5)).random() == want
    assert as_generator(Key(5)).random() == want
    generator = np.random.default_rng(5)
    assert as_generator(generator) is generator
    assert as_generator(None).random() != as_generator(None).random()


def test_a_legacy_generator_is_refused_with_the_way_out():
    with pytest.raises(TypeError, match="default_rng"):
        as_generator(np.random.RandomState(0))

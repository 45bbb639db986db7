"""Splits: disjoint, complete where asked, seeded, in proportion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scinn.datasets import class_split, random_split, stratified_folds, stratified_split
from scinn.random import Key


@given(st.integers(1, 300), st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 99))
def test_random_parts_partition(n, weights, seed):
    fractions = np.array(weights) / np.sum(weights)
    parts = random_split(n, fractions, seed)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(n))
    for part, fraction in zip(parts, fractions, strict=True):
        assert abs(len(part) - n * fraction) <= 1
        assert (np.diff(part) > 0).all()


@given(st.integers(0, 99))
def test_stratified_parts_keep_proportions(seed):
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    parts = stratified_split(labels, (0.6, 0.2, 0.2), seed)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(100))
    for part, expected in zip(parts, ([36, 18, 6], [12, 6, 2], [12, 6, 2]), strict=True):
        np.testing.assert_array_equal(np.bincount(labels[part]), expected)


def test_folds_cover_once():
    labels = np.repeat([0, 1], [40, 20])
    folds = stratified_folds(labels, 5, rng=1)
    np.testing.assert_array_equal(np.sort(np.concatenate([test for _, test in folds])), np.arange(60))
    for train, test in folds:
        np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(60))
        np.testing.assert_array_equal(np.bincount(labels[test]), [8, 4])


@given(st.integers(0, 99))
def test_class_split_takes_as_many_of_each(seed):
    labels = np.random.default_rng(seed).permutation(np.repeat([0, 1, 2, -1], [30, 25, 20, 5]))
    train, val, test = class_split(labels, n_train_per_class=4, rng=seed)
    np.testing.assert_array_equal(np.bincount(labels[train]), [4, 4, 4])
    assert val.sum() == 21
    assert test.sum() == 42
    assert not (train & val).any()
    assert not (train & test).any()
    assert not (val & test).any()
    np.testing.assert_array_equal(train | val | test, labels >= 0)


def test_same_seed_same_split():
    labels = np.arange(60) % 3
    for make in (
        lambda rng: random_split(60, (0.5, 0.3), rng),
        lambda rng: stratified_split(labels, (0.5, 0.3), rng),
        lambda rng: [test for _, test in stratified_folds(labels, 4, rng)],
        lambda rng: class_split(labels, rng=rng, n_train_per_class=5),
    ):
        for a, b, other in zip(make(Key(3)), make(Key(3)), make(Key(4)), strict=True):
            np.testing.assert_array_equal(a, b)
            assert not np.array_equal(a, other)


def test_impossible_splits_are_named():
    for fractions in ((0.7, 0.7), (), (0.5, -0.1), (0.5, np.nan)):
        with pytest.raises(ValueError, match="fractions must be positive"):
            random_split(10, fractions, 0)
    with pytest.raises(ValueError, match="more than the 2 nodes of class 1"):
        class_split([0, 0, 0, 1, 1], n_train_per_class=3, rng=0)
    with pytest.raises(ValueError, match="need more than the 3 nodes"):
        class_split([0, 0, 0, 1, 1], n_train_per_class=1, n_val=2, n_test=2, rng=0)
    with pytest.raises(ValueError, match="n_folds"):
        stratified_folds([0, 1], 1)

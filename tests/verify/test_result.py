"""Results are readable, and values survive the way through source text."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from scipy import sparse

from scinn.nn import Dense
from scinn.random import Key
from scinn.verify import CheckResult
from scinn.verify.arrays import fingerprint, frozen_copy, same_bits
from scinn.verify.replay import rebuild, seed_of, source_of, unpack


class Pair(NamedTuple):
    first: np.ndarray
    second: int


def again(value):
    imports: set[str] = set()
    text = source_of(value, imports)
    names = {"np": np, "rebuild": rebuild, "unpack": unpack}
    exec("\n".join(imports), names)
    return eval(text, names)


@pytest.mark.parametrize(
    "value",
    [
        np.array([0.1, 1 / 3, -0.0]),
        np.array([np.nan, np.inf]),
        np.arange(200, dtype=np.float32).reshape(10, 20).T,
        np.zeros((0, 3)),
        np.array([True, False]),
        np.float32(0.1),
        1 / 3,
        float("inf"),
        {"a": (1,), "b": [None, "text", b"x"], "c": slice(1, None)},
        sparse.csr_array(np.array([[0.0, 1.5], [0.0, 0.0]])),
        Pair(np.array([1, 2]), 3),
        Key(3).child("a", 2),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_survive_source_text(value):
    copy = again(value)
    assert type(copy) is type(value) or isinstance(value, np.ndarray)
    if isinstance(value, Key | dict):
        assert copy == value
    else:
        assert same_bits(copy, value)


def test_layers_survive_source_text():
    layer = Dense(3, 2, rng=0)
    copy = again(layer)
    assert same_bits(dict(copy.params), dict(layer.params))
    assert same_bits(copy(np.ones((1, 3), np.float32)), layer(np.ones((1, 3), np.float32)))


def test_what_has_no_source_form_is_refused():
    cyclic: list = []
    cyclic.append(cyclic)
    for value in (lambda: 0, (i for i in range(3)), cyclic, np.array([object()])):
        with pytest.raises(TypeError):
            source_of(value, set())


def test_repr_tells_the_story():
    result = CheckResult(
        "rule", False, 0.25, 1e-6, {"x": np.zeros(100), "i": 3}, "entry 3\nis off", {"lower_bound": 0.5}
    )
    assert repr(result).splitlines() == [
        "CheckResult(rule: FAILED, worst error 0.25, tolerance 1e-06)",
        "  entry 3",
        "  is off",
        "  lower_bound = 0.5",
        "  counter-example: x = array of shape (100,), float64; i = 3",
    ]
    assert not result
    good = CheckResult("rule", True, 0.0, 1e-6)
    assert good.raise_if_failed() is good


def test_fingerprints_tell_values_apart():
    values = [
        np.zeros(2),
        np.zeros(2, np.float32),
        np.zeros((2, 1)),
        -np.zeros(2),
        [0.0, 0.0],
        (0.0, 0.0),
        0,
        0.0,
        None,
    ]
    assert len({fingerprint(value) for value in values}) == len(values)
    nested = {"a": (np.ones(2), [np.zeros(1)])}
    assert same_bits(nested, frozen_copy(nested))
    assert not frozen_copy(nested)["a"][0].flags.writeable


def test_one_integer_stands_for_any_source_of_randomness():
    assert seed_of(7) == 7
    assert seed_of(np.random.default_rng(3)) == seed_of(np.random.default_rng(3))
    assert seed_of(Key(1).child("a")) != seed_of(Key(1).child("b"))
    assert seed_of(None) != seed_of(None)

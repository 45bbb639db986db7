"""Without forgetting, states hold whole sequences: the ceiling, small maps, a network that does it, and ones that learn."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest

from scinn.random import Key
from scinn.recurrent import RevGRU
from scinn.recurrent.no_forgetting import (
    REPEAT_CELLS,
    decode_network,
    decode_sequence,
    register_network,
    sequence_ceiling,
    train_repeat_task,
)
from scinn.recurrent.reversible_maps import (
    distinct_states,
    draw_reversible_map,
    longest_repeat,
    register_map,
)


def naive_ends(table, first, length):
    """Run every sequence on its own; return the states that it goes through."""
    paths = {}
    for symbols in itertools.product(range(len(table)), repeat=length):
        state, path = first, []
        for x in symbols:
            state = int(table[x][state])
            path.append((x, state))
        paths[symbols] = path
    return paths


def naive_longest(table, first):
    """Try lengths until two symbols lead to one state."""
    for length in itertools.count(1):
        read = {}
        for path in naive_ends(table, first, length).values():
            for x, state in path:
                if read.setdefault(state, x) != x:
                    return length - 1


# The theorem


@pytest.mark.parametrize(
    ("arguments", "options", "ceiling"),
    [
        ((2, 1), {}, 32),
        ((16, 32), {}, 256),
        ((16, 32), {"states_per_unit": 2}, 512),
        ((10_000, 650), {}, 32 * 650 / math.log2(10_000)),
        ((4, 3), {"n_bits": 2}, 3),
        ((1, 5), {}, math.inf),
    ],
)
def test_ceiling(arguments, options, ceiling):
    assert sequence_ceiling(*arguments, **options) == pytest.approx(ceiling)


@pytest.mark.parametrize("first", [0, 3])
def test_no_map_of_four_states_repeats_more_than_the_ceiling(first):
    tables = [np.array(pair) for pair in itertools.product(itertools.permutations(range(4)), repeat=2)]
    lengths = [longest_repeat(table, first=first) for table in tables]
    assert lengths == [naive_longest(table, first) for table in tables]
    # Four states are two bits, and one map reaches what they allow.
    assert max(lengths) == sequence_ceiling(2, 1, n_bits=2)


@pytest.mark.parametrize(("n_symbols", "n_states"), [(2, 1), (2, 8), (3, 27), (3, 30), (5, 24), (4, 101)])
def test_drawn_maps_stay_below_the_ceiling(n_symbols, n_states):
    for seed in range(20):
        table = draw_reversible_map(n_symbols, n_states, rng=seed)
        assert longest_repeat(table) <= math.log(n_states, n_symbols) + 1e-9
        counts = distinct_states(table, 6)
        assert counts.max() <= n_states
        ends = [len({path[-1][1] for path in naive_ends(table, 0, t).values()}) for t in range(1, 5)]
        assert counts[1:5].tolist() == ends


@pytest.mark.parametrize(("n_symbols", "n_slots"), [(2, 1), (2, 5), (3, 3), (5, 2)])
def test_registers_tell_sequences_apart_until_they_are_full(n_symbols, n_slots):
    table = register_map(n_symbols, n_slots)
    counts = distinct_states(table, 2 * n_slots)
    expected = [n_symbols ** min(t, n_slots) for t in range(2 * n_slots + 1)]
    assert counts.tolist() == expected
    assert longest_repeat(table) == n_slots
    assert n_slots <= math.log(table.shape[1], n_symbols)


def test_all_sequences_are_read_back_from_a_register():
    n_symbols, n_slots = 3, 3
    table = register_map(n_symbols, n_slots)
    undo_table = np.argsort(table, axis=1)
    size = n_symbols**n_slots

    def read(state):
        slot = (state // size - 1) % n_slots
        return state % size // n_symbols**slot % n_symbols

    for symbols, path in naive_ends(table, 0, n_slots).items():
        decoded, first = decode_sequence(
            path[-1][1], n_slots, read=read, undo=lambda x, s: int(undo_table[x, s])
        )
        assert tuple(decoded) == symbols
        assert first == 0


def test_no_steps_decode_to_nothing():
    assert decode_sequence("state", 0, read=None, undo=None) == ([], "state")


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        ([[0, 0], [1, 0]], {}, "row 0 is no permutation"),
        ([[0, 1], [1, 0]], {"first": 2}, "first is 2"),
        ([0, 1], {}, "shape"),
        ([[1, 0]], {}, "one symbol"),
    ],
)
def test_maps_that_are_refused(table, options, message):
    with pytest.raises(ValueError, match=message):
        longest_repeat(table, **options)


def test_a_register_of_too_many_states_is_refused():
    with pytest.raises(ValueError, match="wanted at most 2\\^24"):
        register_map(16, 7)


# A network


@pytest.mark.parametrize(("n_symbols", "n_slots"), [(2, 1), (2, 7), (16, 16), (64, 31), (5, 256)])
def test_a_network_holds_its_sequence_and_gives_it_back(n_symbols, n_slots):
    register = register_network(n_symbols, n_slots)
    assert isinstance(register.net, RevGRU)
    symbols = np.random.default_rng(0).integers(0, n_symbols, size=(n_slots, 6))
    symbols[:, 0], symbols[:, 1] = 0, n_symbols - 1
    tapes = register.net.make_tapes(6)
    _, last = register.net.run(register.inputs(symbols), tapes=tapes)
    assert len(tapes) == 0
    decoded, first = decode_network(register, last, n_slots)
    np.testing.assert_array_equal(decoded, symbols)
    for array in first[0]:
        assert not array.any()
    assert n_slots <= sequence_ceiling(n_symbols, 2 * n_slots)


def test_a_full_register_cannot_repeat():
    register = register_network(8, 5)
    symbols = np.random.default_rng(0).integers(0, 8, size=(6, 500))
    _, last = register.net.run(register.inputs(symbols))
    # After the last slot nothing of the new symbol is in the state.
    assert (register.read(last) == symbols[5]).mean() < 0.5
    np.testing.assert_array_equal(register.read(last), symbols[4])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((1, 5), "n_symbols is 1"), ((2, 0), "n_slots is 0"), ((65, 5), "at most 64"), ((2, 257), "and 256")],
)
def test_registers_that_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        register_network(*arguments)


# Learned networks


@pytest.mark.parametrize("cell", REPEAT_CELLS)
def test_cells_that_forget_learn_to_repeat_and_others_do_not(cell):
    result = train_repeat_task(cell, n_symbols=8, n_hidden=12, n_steps=30, n_updates=150, n_rows=10, rng=0)
    assert result.losses.shape == (150,)
    assert result.accuracy_by_step.shape == (30,)
    assert float(result) == pytest.approx(result.accuracy_by_step.mean())
    if cell.startswith("nf_"):
        assert float(result) < 0.8
    else:
        assert float(result) > 0.99
    assert result.ceiling == 32 * 12 * (2 if cell.endswith("lstm") else 1) / 3


def test_training_is_the_same_twice_and_differs_by_seed():
    options = {"n_symbols": 4, "n_hidden": 6, "n_steps": 5, "n_updates": 4}
    first, again, other = (train_repeat_task("rev_gru", **options, rng=Key(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.losses, again.losses)
    assert first.accuracy == again.accuracy
    assert (first.losses != other.losses).any()


def test_delay_asks_for_earlier_symbols():
    options = {"n_symbols": 3, "n_hidden": 12, "n_steps": 8, "delay": 2, "rng": 0}
    result = train_repeat_task("gru", n_updates=300, **options)
    assert result.accuracy_by_step.shape == (6,)
    assert float(result) > 0.95
    untrained = train_repeat_task("gru", n_updates=0, **options)
    assert untrained.losses.size == 0
    assert float(untrained) < 0.7


def test_progress_sees_every_batch():
    seen = []
    result = train_repeat_task(
        "gru", n_symbols=3, n_hidden=4, n_steps=3, n_updates=3, rng=0, progress=lambda *a: seen.append(a)
    )
    assert seen == list(enumerate(result.losses.tolist()))


def test_a_result_as_json_text_and_drawing():
    result = train_repeat_task("gru", n_symbols=3, n_hidden=4, n_steps=3, n_updates=3, rng=0)
    out = json.loads(json.dumps(result.to_dict()))
    assert out["cell"] == "gru"
    assert len(out["losses"]) == 3
    assert "accuracy=" in repr(result)
    assert result.plot().get_xlabel() == "update"


@pytest.mark.parametrize(
    ("cell", "options", "message"),
    [
        ("rnn", {}, "cell"),
        ("gru", {"n_steps": 3, "delay": 3}, "nothing is asked"),
        ("gru", {"n_symbols": 0}, "n_symbols is 0"),
        ("gru", {"clip": 0.0}, "clip"),
    ],
)
def test_refusals_of_training(cell, options, message):
    with pytest.raises(ValueError, match=message):
        train_repeat_task(cell, **options)

"""Runs that are saved half-way: tapes and states go on as if nothing had happened."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from scinn.exceptions import TapeError
from scinn.recurrent import RevGRU, RevLSTM, Tape, Tapes, make_tape
from scinn.verify.arrays import same_bits

CODERS = ("rans", "floor_digit", "planes")
KINDS = {"gru": RevGRU, "lstm": RevLSTM}


def build(kind="gru", coder="rans", exactness="A", **options):
    if kind == "lstm":
        options.setdefault("bounded", 2.5)
    return KINDS[kind](3, [6, 8], 2, coder=coder, exactness=exactness, rng=0, **options)


def inputs(n_steps=40, n_rows=3):
    return np.random.default_rng(1).standard_normal((n_steps, n_rows, 3)).astype(np.float32)


@pytest.mark.parametrize("coder", CODERS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("exactness", "cut"), [("A", 16), ("B", 11), ("C", 39)])
def test_a_run_in_two_parts_is_the_run(tmp_path, kind, coder, exactness, cut):
    net, x = build(kind, coder, exactness), inputs()
    whole = net.make_tapes(3)
    outputs, last = net.run(x, tapes=whole)
    tapes = net.make_tapes(3)
    first, middle = net.run(x[:cut], tapes=tapes)
    tapes.save(tmp_path / "tapes.npz")
    np.savez(tmp_path / "state.npz", *[a for layer in middle for a in layer])

    later = build(kind, coder, exactness)
    resumed = Tapes.load(tmp_path / "tapes.npz")
    arrays = list(np.load(tmp_path / "state.npz").values())
    k = len(arrays) // 2
    state = (tuple(arrays[:k]), tuple(arrays[k:]))
    second, end = later.run(x[cut:], state, resumed)
    np.testing.assert_array_equal(np.concatenate([first, second]), outputs)
    assert same_bits(end, last)
    for a, b in zip(resumed, whole):
        assert same_bits(a.state_dict()[0], b.state_dict()[0])
    state = later.run_back(x[cut:], end, resumed)
    assert same_bits(state, middle)
    assert same_bits(later.run_back(x[:cut], state, resumed), net.initial_state(3))
    assert len(resumed) == 0


BACK = """
import sys
import numpy as np
from scinn.recurrent import RevGRU, Tapes

net = RevGRU(3, [6, 8], 2, coder=sys.argv[2], exactness=sys.argv[3], rng=0)
tapes = Tapes.load(sys.argv[1] + "/tapes.npz")
arrays = list(np.load(sys.argv[1] + "/state.npz").values())
x = np.random.default_rng(1).standard_normal((40, 3, 3)).astype(np.float32)
first = net.run_back(x, (tuple(arrays[:2]), tuple(arrays[2:])), tapes)
assert len(tapes) == 0
assert not any(a.any() for layer in first for a in layer)
print("came back")
"""


@pytest.mark.parametrize(("coder", "exactness"), [("rans", "A"), ("floor_digit", "B"), ("planes", "C")])
def test_another_process_undoes_what_this_one_did(tmp_path, coder, exactness):
    net, x = build(coder=coder, exactness=exactness), inputs()
    tapes = net.make_tapes(3)
    _, last = net.run(x, tapes=tapes)
    tapes.save(tmp_path / "tapes.npz")
    np.savez(tmp_path / "state.npz", *[a for layer in last for a in layer])
    done = subprocess.run(
        [sys.executable, "-c", BACK, str(tmp_path), coder, exactness],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "came back\n"


def test_who_filled_a_tape_is_saved_with_it(tmp_path):
    net, x = build(), inputs()
    tapes = net.make_tapes(3)
    _, last = net.run(x, tapes=tapes)
    tapes.save(tmp_path / "tapes.npz")
    resumed = Tapes.load(tmp_path / "tapes.npz")
    assert resumed.provenance == tapes.provenance
    assert (resumed.coder, resumed.n_rows, resumed.n_layers, len(resumed)) == ("rans", 3, 2, len(tapes))
    net.params["weight_x1"] = net.params["weight_x1"] * np.float32(1.01)
    with pytest.raises(TapeError, match="weights"):
        net.run_back(x, last, resumed)


@pytest.mark.parametrize("coder", CODERS)
def test_copies_are_read_apart(coder):
    net, x = build(coder=coder), inputs()
    tapes = net.make_tapes(3)
    _, last = net.run(x, tapes=tapes)
    copied = tapes.copy()
    held = len(tapes)
    assert same_bits(net.run_back(x, last, tapes), net.initial_state(3))
    assert (len(tapes), len(copied)) == (0, held)
    assert same_bits(net.run_back(x, last, copied), net.initial_state(3))


@pytest.mark.parametrize("coder", CODERS)
def test_saved_tapes_are_as_large_as_what_they_hold(tmp_path, coder):
    net = RevGRU(3, 32, coder=coder, rng=0)
    tapes = net.make_tapes(4)
    net.run(inputs(300, 4), tapes=tapes)
    arrays, _ = tapes[0].state_dict()
    saved = sum(array.nbytes for array in arrays.values())
    # Words of 32 bits may be held in wider ones, and each row has a few numbers of its own.
    assert saved * 8 <= 2.2 * len(tapes) + 8 * 64 * 4
    tapes.save(tmp_path / "tapes.npz")
    assert (tmp_path / "tapes.npz").stat().st_size <= saved + 4000


@pytest.mark.parametrize("coder", CODERS)
def test_a_tape_alone(tmp_path, coder):
    rng = np.random.default_rng(0)
    tape, alive = make_tape(coder, 2), np.array([True, False])
    h = rng.integers(-(2**23), 2**23, (2, 5)).astype(np.int32)
    z, update = rng.integers(1, 1025, (2, 5)).astype(np.uint16), np.ones((2, 5), np.int32)
    new, value, back = np.empty_like(h), np.empty(h.shape, np.float32), np.empty_like(h)
    tape.provenance = {"who": "a test"}
    assert tape.multiply(h, z, update, alive, new, value) == -1
    tape.save(tmp_path / "tape.npz")
    other = Tape.load(tmp_path / "tape.npz")
    assert (type(other), other.provenance) == (type(tape), {"who": "a test"})
    other.divide(new, z, update, alive, back, value)
    np.testing.assert_array_equal(back, h)
    assert other.is_empty
    assert not tape.is_empty


def test_a_trace_may_be_copied_before_it_is_used_up():
    net, x = build(), inputs()
    trace = net.forward_pass(x)
    copied = trace.copy()
    first = net.backward_pass(trace, lambda a, b, y: y)
    second = net.backward_pass(copied, lambda a, b, y: y)
    assert same_bits(tuple(first), tuple(second))

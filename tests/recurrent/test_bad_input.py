"""What is refused, and what the message says."""

from __future__ import annotations

import numpy as np
import pytest

from scinn.exceptions import ReversibilityError, StateRangeError, TapeError
from scinn.recurrent import ReversibleLayer, RevGRU, RevLSTM, Tape, Tapes, make_tape
from scinn.verify.arrays import same_bits


def inputs(n_steps=12, n_rows=3, n_in=2, seed=0):
    return np.random.default_rng(seed).standard_normal((n_steps, n_rows, n_in)).astype(np.float32)


@pytest.mark.parametrize("kind", [RevGRU, RevLSTM])
@pytest.mark.parametrize("width", [1, 3, 7, [4, 5], True, 2.0, -2])
def test_hidden_sizes(kind, width):
    with pytest.raises((TypeError, ValueError), match="n_hidden"):
        kind(2, width, 2 if isinstance(width, list) else 1)


@pytest.mark.parametrize("kind", [RevGRU, RevLSTM])
@pytest.mark.parametrize("limit", [0, 0.0, -1, -0.5, float("nan"), float("inf"), 10.5, True, "three"])
def test_forget_limits(kind, limit):
    with pytest.raises((TypeError, ValueError), match="max_forget_bits"):
        kind(2, 4, max_forget_bits=limit)


def test_the_limit_s_message_says_what_it_is():
    with pytest.raises(
        ValueError, match="the most bits that a step may forget of one unit, and None means no limit"
    ):
        RevGRU(2, 4, max_forget_bits=0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("memory", ["reverse", "store", "checkpoint", "hybrid"])
def test_inputs_that_are_not_finite(value, memory):
    net, x = RevGRU(2, 4, rng=0), inputs()
    x[10, 1, 0] = value
    for call in (lambda: net.run(x), lambda: net.forward_pass(x, memory=memory)):
        with pytest.raises(ValueError, match="step 10, row 1, feature 0; inputs must be finite"):
            call()


def test_a_stream_s_inputs_that_are_not_finite():
    x = inputs()
    x[10, 1, 0] = np.nan

    class Stream:
        shape = x.shape

        def block(self, first, end):
            return x[first:end]

        def accumulate(self, first, end, dx):
            raise AssertionError("never reached")

    with pytest.raises(ValueError, match="row 1, feature 0; inputs must be finite"):
        RevGRU(2, 4, rng=0).forward_pass(Stream())


@pytest.mark.parametrize("how", ["run", "run with tapes", "forward_pass"])
def test_weights_that_are_not_finite(how):
    net, x = RevGRU(2, 4, rng=0), inputs()
    net.params["weight_h0"] = np.full_like(net.params["weight_h0"], np.nan)
    calls = {
        "run": lambda: net.run(x),
        "run with tapes": lambda: net.run(x, tapes=net.make_tapes(3)),
        "forward_pass": lambda: net.forward_pass(x),
    }
    with pytest.raises(ValueError, match="weight_h0"):
        calls[how]()


def growing(rule, layer=0, n_layers=1):
    """A RevLSTM whose cells add 1 in each step (or whose outputs do), in one layer, and nothing elsewhere."""
    net = RevLSTM(2, 6, n_layers, rng=0)
    net.params = {name: value * np.float32(0) for name, value in net.params.items()}
    # Gates z, g, f, o, p.
    signs = {"c": [60, 60, 60, -60, 60], "h": [60, 60, 60, 60, 60]}[rule]
    net.params[f"bias{layer}"] += np.tile(np.repeat(np.float32(signs), 3), 2)
    return net


@pytest.mark.parametrize("memory", ["reverse", "store", "checkpoint", "hybrid"])
@pytest.mark.parametrize("layer", [0, 1])
def test_a_state_that_leaves_the_range_is_named(memory, layer):
    net = growing("c", layer, 2)
    values = [[np.zeros((3, 3)) for _ in range(4)] for _ in range(2)]
    values[layer][3][2, 1] = 256.0 - 9.5
    state = net.encode_state(values)
    message = rf"unit 1 of c2 in layer {layer}, row 2, leaves the fixed-point range \[-256, 256\) at step 9 .*bounded=4"
    with pytest.raises(StateRangeError, match=message):
        net.forward_pass(
            inputs(), state=state, memory=memory, segment=None if memory in ("reverse", "store") else 8
        )
    with pytest.raises(StateRangeError, match=message):
        net.run(inputs(), state)


def test_outputs_that_leave_the_range_are_named():
    net = growing("h")
    values = [[np.zeros((3, 3)) for _ in range(4)]]
    values[0][0][0, 2] = 250.0
    # The cell is large, so that its tanh is 1.
    values[0][2][0, 2] = 20.0
    with pytest.raises(StateRangeError, match=r"unit 2 of h1 in layer 0, row 0, .* at step 5 "):
        net.run(inputs(), net.encode_state(values))


@pytest.mark.parametrize("coder", ["rans", "floor_digit", "planes"])
@pytest.mark.parametrize("when", [0, 3, 8, 11])
@pytest.mark.parametrize("which", [2, 3])
def test_tapes_are_what_they_were_after_a_state_left_the_range(coder, when, which):
    net = RevLSTM(2, 6, 2, coder=coder, rng=0)
    for name in ("weight_x1", "weight_h1"):
        net.params[name] = net.params[name] * np.float32(0)
    net.params["bias1"] = np.tile(np.repeat(np.float32([60, 60, 60, -1, 1]), 3), 2)
    x, tapes = inputs(), net.make_tapes(3)
    _, earlier = net.run(x, tapes=tapes)
    before = [tape.state_dict()[0] for tape in tapes]
    values = [[np.zeros((3, 3)) for _ in range(4)] for _ in range(2)]
    values[1][which][1, 0] = 256.0 - when - 0.5
    state = net.encode_state(values)
    with pytest.raises(StateRangeError, match=f"at step {when} "):
        net.run(x, state, tapes)
    if coder != "planes":
        assert same_bits(before, [tape.state_dict()[0] for tape in tapes])
    assert same_bits(net.run_back(x, earlier, tapes), net.initial_state(3))
    assert len(tapes) == 0


def test_bounded_cells_are_the_remedy():
    net = RevLSTM(2, 6, bounded=4, rng=0)
    net.params = {name: value * np.float32(0) for name, value in net.params.items()}
    net.params["bias0"] += np.float32(60)
    outputs, _ = net.run(np.zeros((400, 1, 2), np.float32))
    assert 15.0 < np.abs(outputs).max() <= 16.01


# Tapes


def test_tapes_of_other_weights():
    net, x = RevGRU(2, 4, rng=0), inputs()
    tapes = net.make_tapes(3)
    _, last = net.run(x, tapes=tapes)
    net.params["bias0"] = net.params["bias0"] + np.float32(1e-6)
    with pytest.raises(TapeError, match=r"weights .* use the same weights and settings in both directions"):
        net.run_back(x, last, tapes)
    with pytest.raises(TapeError, match="weights"):
        RevGRU(2, 4, rng=1).reverse(last, x[-1], tapes)


@pytest.mark.parametrize("kind", [RevGRU, RevLSTM])
def test_tapes_of_other_weights_where_nothing_is_forgotten(kind):
    net, x = kind(2, 4, forget=False, rng=0), inputs()
    tapes = net.make_tapes(3)
    _, last = net.run(x, tapes=tapes)
    net.params["bias0"] = net.params["bias0"] + np.float32(0.5)
    with pytest.raises(TapeError, match="weights"):
        net.run_back(x, last, tapes)


def test_tapes_of_other_options():
    # Limits and rules decide the gates as weights do.
    x = inputs()
    nets = [
        RevGRU(2, 4, rng=0),
        RevGRU(2, 4, rng=0, max_forget_bits=2),
        RevGRU(2, 4, rng=0, compat=True),
        RevGRU(2, 4, rng=0, forget=False),
    ]
    tapes = nets[0].make_tapes(3)
    _, last = nets[0].run(x, tapes=tapes)
    for other in nets[1:]:
        with pytest.raises(TapeError):
            other.run_back(x, last, tapes.copy())


def test_more_steps_back_than_there_were():
    net, x = RevGRU(2, 4, rng=0), inputs()
    tapes = net.make_tapes(3)
    _, last = net.run(x, tapes=tapes)
    first = net.run_back(x, last, tapes)
    with pytest.raises(TapeError):
        net.reverse(first, x[0], tapes)


@pytest.mark.parametrize("coder", ["rans", "floor_digit", "planes"])
def test_inputs_in_the_wrong_order_do_not_come_back_silently(coder):
    net, x = RevGRU(2, 8, coder=coder, rng=0), inputs()
    tapes = net.make_tapes(3)
    _, last = net.run(x, tapes=tapes)
    with pytest.raises(TapeError):
        net.run_back(np.ascontiguousarray(x[::-1]), last, tapes)


def test_files_that_hold_no_tapes(tmp_path):
    net = RevGRU(2, 4, rng=0)
    tape = make_tape("rans", 2)
    tape.save(tmp_path / "tape.npz")
    with pytest.raises(TapeError):
        Tapes.load(tmp_path / "tape.npz")
    net.make_tapes(2).save(tmp_path / "tapes.npz")
    with pytest.raises(TapeError):
        Tape.load(tmp_path / "tapes.npz")
    (tmp_path / "empty.npz").write_bytes(b"")
    for kind in (Tape, Tapes):
        with pytest.raises((TapeError, ValueError), match=r"empty\.npz"):
            kind.load(tmp_path / "empty.npz")
        with pytest.raises(FileNotFoundError):
            kind.load(tmp_path / "missing.npz")


@pytest.mark.parametrize("coder", ["rans", "floor_digit", "planes"])
def test_damaged_tapes_do_not_pass_the_way_back(coder):
    net, x = RevGRU(2, 8, coder=coder, rng=0), inputs(40)
    held, description = net.forward_pass(x).tapes[0].state_dict()
    # Not the numbers of units, which only help to notice: the state comes back without them.
    places = [
        (name, int(i))
        for name, array in held.items()
        if name != "units"
        for i in np.flatnonzero(array.view(np.uint8).reshape(-1))
    ]
    assert len(places) > 30
    for name, i in places[:: len(places) // 30]:
        trace = net.forward_pass(x)
        arrays = {key: array.copy() for key, array in held.items()}
        arrays[name].view(np.uint8).reshape(-1)[i] ^= 4
        try:
            trace.tapes._tapes = (Tape.from_state_dict(arrays, description),)
        except TapeError:
            # Seen to be damaged already.
            continue
        with pytest.raises(ReversibilityError):
            net.backward_pass(trace, lambda first, end, y: y)


def test_layers():
    with pytest.raises(TypeError, match="net must be a RevGRU or a RevLSTM"):
        ReversibleLayer(object())
    layer = ReversibleLayer(RevGRU(2, 4, rng=0))
    with pytest.raises(TypeError, match="masked=True"):
        layer.forward(inputs(), lengths=np.array([1, 2, 3]))
    with pytest.raises(TypeError, match="needs lengths"):
        ReversibleLayer(RevGRU(2, 4, rng=0), masked=True).forward(inputs())

"""Defects of other implementations: here the right behaviour is held, without them.

Read in the authors' code (matthewmackay/reversible-rnn), measured with it, or told in the issues of other packages.
"""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from scinn.exceptions import ReversibilityError, StateRangeError
from scinn.nn import LSTM
from scinn.random import Key
from scinn.recurrent import RevGRU, RevLSTM, make_tape
from scinn.verify.arrays import same_bits
from scinn.verify.recurrent_cases import Case, Slow, gradients_of

CODERS = ("rans", "floor_digit", "planes")
LOWEST, HIGHEST = -(2**31), 2**31 - 1


def inputs(n_steps=20, n_rows=3, n_in=3, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal((n_steps, n_rows, n_in)).astype(dtype)


# matthewmackay/reversible-rnn


@pytest.mark.parametrize("coder", CODERS)
@pytest.mark.parametrize("z", [1, 2, 3, 128, 341, 512, 1000, 1023, 1024])
def test_states_at_the_ends_of_the_range_come_back(coder, z):
    # There -2147483648 comes back as 2147482624.
    ends = np.arange(0, 2050, 1)
    h = np.concatenate([LOWEST + ends, HIGHEST - ends]).astype(np.int32)[None]
    gates, update, alive = np.full(h.shape, z, np.uint16), np.zeros_like(h), np.ones(1, bool)
    tape, new, value, back = make_tape(coder, 1), np.full_like(h, 7), np.empty(h.shape), np.empty_like(h)
    refused = tape.multiply(h, gates, update, alive, new, value)
    if refused >= 0:
        # A gate close to 1 may leave the last numbers where they are: said, not wrapped.
        assert z > 1000
        assert min(int(h[0, refused]) - LOWEST, HIGHEST - int(h[0, refused])) < 2048
        assert len(tape) == 0
        return
    assert np.abs(new - h * (z / 1024)).max() <= 1024
    tape.divide(new, gates, update, alive, back, value)
    np.testing.assert_array_equal(back, h)
    assert len(tape) == 0


@pytest.mark.parametrize("coder", CODERS)
def test_nothing_wraps_around(coder):
    rng = np.random.default_rng(0)
    for _ in range(300):
        h = rng.integers(LOWEST, HIGHEST, (1, 8), endpoint=True).astype(np.int32)
        z = rng.integers(1, 1025, (1, 8)).astype(np.uint16)
        update = rng.integers(LOWEST, HIGHEST, (1, 8), endpoint=True).astype(np.int32)
        tape, new, value = make_tape(coder, 1), np.empty_like(h), np.empty(h.shape)
        refused = tape.multiply(h, z, update, np.ones(1, bool), new, value)
        exact = h.astype(np.float64) * z / 1024 + update
        if refused < 0:
            assert np.abs(new - exact).max() <= 1024
        else:
            assert not LOWEST + 1024 <= exact[0, refused] <= HIGHEST - 1024
            assert all(LOWEST - 1024 <= e <= HIGHEST + 1024 for e in exact[0, :refused])


def test_the_ordinary_lstm_reads_its_new_cell():
    # Their LSTM of the translation experiments takes the output from the old cell.
    lstm, x = LSTM(3, 4, dtype=np.float64, rng=0), inputs(2, 1, dtype=np.float64)
    y, _ = lstm.forward(x[:1])
    # From a state of zeros the old cell is 0, and so would be the output.
    assert np.abs(y).min() > 0


def test_the_reversible_lstm_reads_its_new_cell():
    net = RevLSTM(1, 2, coder="floor_digit", dtype=np.float64, rng=0)
    net.params = {name: 0 * value for name, value in net.params.items()}
    # Gates z, g, f, o, p: both halves write tanh(1) into the cell and read it in the same step.
    net.params["bias0"][:] = np.tile([0.0, 1.0, 40.0, 40.0, 0.0], 2)
    outputs, _ = net.run(np.zeros((1, 1, 1)))
    np.testing.assert_allclose(outputs, math.tanh(math.tanh(1.0)), atol=1e-6)


@pytest.mark.parametrize("kind", [RevGRU, RevLSTM])
@pytest.mark.parametrize("coder", CODERS)
def test_gradients_are_those_of_the_states_that_were(kind, coder):
    # There the pass back runs the step forward again without the buffer: half 2 sees a slightly wrong half 1, and the
    # gradient is off by 6e-5 (RevGRU) to 4e-4 (RevLSTM).
    options = {"bounded": 4} if kind is RevLSTM else {}
    net = kind(3, 12, coder=coder, dtype=np.float64, rng=0, **options)
    x = inputs(12, dtype=np.float64)
    weights = np.random.default_rng(1).standard_normal((12, 3, 12))
    case = Case(net, x, net.initial_state(3), None)
    _, from_tapes = gradients_of(case, weights)
    _, from_states = gradients_of(case, weights, memory="store")
    assert same_bits(tuple(from_tapes), tuple(from_states))
    fixed = Slow(net, "fixed", coder)
    fixed.run(x, case.state)
    slow = Slow(net, "surrogate")
    slow.errors = fixed.errors
    rng, h = np.random.default_rng(2), 1e-5
    direction = rng.standard_normal(net.params["weight_h0"].shape)
    values = []
    for sign in (-1, 1):
        slow.params["weight_h0"] = net.params["weight_h0"] + sign * h * direction
        slow.rewind()
        values.append(np.sum(weights * slow.run(x, net.decode_state(case.state))[0]))
    wanted = (values[1] - values[0]) / (2 * h)
    assert np.sum(direction * from_tapes.grads["weight_h0"]) == pytest.approx(wanted, rel=1e-7)


def test_the_last_plane_is_dropped_when_it_was_taken_back():
    # There it stays on the stack, so that the next sequence begins with another one's bits.
    rng = np.random.default_rng(0)
    shape = (2, 3)
    tape, fresh = make_tape("planes", 2), make_tape("planes", 2)
    z, alive = np.full(shape, 4, np.uint16), np.ones(2, bool)
    numbers = [rng.integers(-(2**20), 2**20, shape).astype(np.int32) for _ in range(30)]
    zero, new, value, back = (
        np.zeros(shape, np.int32),
        np.empty(shape, np.int32),
        np.empty(shape),
        np.empty(shape, np.int32),
    )
    results = []
    for h in numbers:
        tape.multiply(h, z, zero, alive, new, value)
        results.append(new.copy())
    assert len(tape) > 64 * 6 * 2
    for h, end in zip(numbers[::-1], results[::-1]):
        tape.divide(end, z, zero, alive, back, value)
        np.testing.assert_array_equal(back, h)
    assert (len(tape), tape.is_empty) == (0, True)
    assert same_bits(tape.state_dict(), fresh.state_dict())


@pytest.mark.parametrize("memory", ["reverse", "store", "checkpoint", "hybrid"])
@pytest.mark.parametrize("keep", [0, 2, 8])
def test_reported_bits_are_numbers_on_every_way(memory, keep):
    # There one path reports infinitely many bits for the decoder.
    net = RevGRU(3, 8, rng=0)
    segment = None if memory in ("reverse", "store") else 8
    trace = net.forward_pass(inputs(33), memory=memory, segment=segment, keep=keep, monitor=True)
    net.backward_pass(trace, lambda a, b, y: y)
    report = trace.memory_report()
    for value in (report.stored_bits, report.kept_bits, report.naive_bits, report.ideal_bits, report.ratio):
        assert math.isfinite(value)
    assert report.stored_bits + report.kept_bits > 0
    assert repr(report)


def test_the_first_state_of_slices_is_counted():
    # Going back needs the slices before the first step as well.
    report = RevGRU(3, 8, rng=0).forward_pass(inputs(20), keep=2).memory_report()
    # Beside them two checksums of each of three blocks.
    assert report.kept_bits == 32 * (21 * 3 * 2 + 2 * 3)


def test_nothing_of_torch_is_needed():
    # Issue 1 there: it breaks with newer versions of PyTorch.
    code = (
        "import sys, numpy as np\n"
        "from scinn.recurrent import RevGRU\n"
        "RevGRU(2, 4, rng=0).loss_and_gradients(np.ones((3, 1, 2), np.float32), lambda a, b, y: (0.0, y))\n"
        "assert not any(name.split('.')[0] in ('torch', 'jax', 'tensorflow') for name in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_saturated_gate_does_not_drift():
    # There (1 - z) g is added with the gate before its rounding to 1: 10^6 steps reach 480, beyond the range.
    gate = 1.0 - 2.0**-12
    ends = {}
    for compat in (False, True):
        net = RevGRU(1, 2, compat=compat, max_forget_bits=None, block=256, rng=0)
        net.params = {name: 0 * value for name, value in net.params.items()}
        net.params["bias0"] = np.tile([math.log(gate / (1 - gate)), 0, 20], 2).astype(np.float32)
        start = net.encode_state([[np.full((1, 1), 255.0)] * 2]) if compat else None
        try:
            outputs, _ = net.run(np.zeros((6000, 1, 1), np.float32), start)
            ends[compat] = float(np.abs(outputs).max())
        except StateRangeError as error:
            ends[compat] = str(error)
    assert ends[False] <= 1.13
    assert "compat=False" in ends[True]


def test_a_gate_is_never_zero():
    for kind in (RevGRU, RevLSTM):
        net = kind(1, 2, max_forget_bits=None, rng=0)
        net.params["bias0"] = np.full_like(net.params["bias0"], -200.0)
        x, tapes = inputs(30, 1, 1), net.make_tapes(1)
        state = net.encode_state([[np.full((1, 1), 1.0)] * len(net.state_names)])
        _, last = net.run(x, state, tapes)
        assert len(tapes) > 0
        assert same_bits(net.run_back(x, last, tapes), state)


def test_one_greedy_unit_costs_only_its_own_bits():
    # There the worst unit of the batch decides for all planes.
    rng = np.random.default_rng(0)
    shape = (20, 64)
    z = np.full(shape, 1000, np.uint16)
    z[0, 0] = 1
    bits = {}
    for coder in CODERS:
        tape, new, value = make_tape(coder, 20), np.empty(shape, np.int32), np.empty(shape)
        for _ in range(100):
            h = rng.integers(-(2**23), 2**23, shape).astype(np.int32)
            tape.multiply(h, z, np.zeros(shape, np.int32), np.ones(20, bool), new, value)
        bits[coder] = len(tape) / (100 * np.sum(10 - np.log2(z)))
    assert bits["rans"] < 1.4
    assert bits["planes"] > 20 * bits["rans"]


# Other packages


def test_masks_are_replayed():
    # RevTorch 3, memcnn 46, RevGAN 1; PyTorch 190717 and 190758: other masks on the second way.
    net = RevGRU(3, 8, 2, dropout=0.5, weight_drop=0.5, rng=0)
    x = inputs()
    trace = net.forward_pass(x, key=Key(3))
    np.random.seed(0)  # noqa: NPY002
    first = net.backward_pass(trace, lambda a, b, y: y)
    again = net.backward_pass(net.forward_pass(x, key=Key(3)), lambda a, b, y: y)
    assert same_bits(tuple(first), tuple(again))
    trace = net.forward_pass(x, key=Key(3))
    other = net.forward_pass(x, key=Key(4))
    trace.masks = other.masks
    with pytest.raises(ReversibilityError):
        net.backward_pass(trace, lambda a, b, y: y)


def test_calls_leave_no_statistics_behind():
    # memcnn 12: what is updated in passing is updated twice.
    net, x = RevGRU(3, 8, rng=0), inputs()
    before = net.config()
    params = {name: value.copy() for name, value in net.params.items()}
    first = net.loss_and_gradients(x, lambda a, b, y: (float(y.sum()), np.ones_like(y)))
    second = net.loss_and_gradients(x, lambda a, b, y: (float(y.sum()), np.ones_like(y)))
    assert same_bits(first[:4], second[:4])
    assert same_bits(params, dict(net.params))
    assert net.config() == before


def test_reversal_takes_less_memory_than_states():
    # reformer-pytorch 142: the reversible network takes more than the ordinary one.
    import tracemalloc

    net, x = RevGRU(8, 64, rng=0), inputs(1000, 8, 8)
    net.forward_pass(x)
    peaks = {}
    for memory in ("reverse", "store"):
        tracemalloc.start()
        trace = net.forward_pass(x, memory=memory)
        peaks[memory] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert trace.n_steps == 1000
    assert peaks["reverse"] < 0.35 * peaks["store"]


@pytest.mark.parametrize("keep", [1, 4, 8])
def test_gradients_with_kept_units_are_numbers(keep):
    # memcnn 29: NaN where inputs are kept.
    net = RevGRU(3, 8, coder="floor_digit", rng=0)
    case = Case(net, inputs(), net.initial_state(3), np.array([20, 0, 5]))
    weights = np.random.default_rng(0).standard_normal((20, 3, 8)).astype(np.float32)
    found, wanted = (gradients_of(case, weights, keep=k)[1] for k in (keep, 0))
    assert all(np.isfinite(g).all() for g in found.grads.values())
    assert same_bits(tuple(found), tuple(wanted))


def test_the_error_of_reversal_does_not_grow_in_training():
    # invertible-resnet 3: reconstruction gets worse as weights grow.
    net, x = RevGRU(3, 8, max_forget_bits=None, rng=0), inputs(200)
    for scale in (1, 4, 16, 64):
        scaled = RevGRU(3, 8, max_forget_bits=None, rng=0)
        scaled.params = {name: np.float32(scale) * value for name, value in net.params.items()}
        tapes = scaled.make_tapes(3)
        _, last = scaled.run(x, tapes=tapes)
        assert same_bits(scaled.run_back(x, last, tapes), scaled.initial_state(3))
        assert len(tapes) == 0


def test_going_back_arrives_at_the_start_and_not_close_to_it():
    # diffrax 241, 300, 417: close to, but different from. gan3sh500/revrnn divides by the gate in floating point.
    net, x = RevLSTM(3, 8, 2, bounded=4, rng=0), inputs(500)
    start = net.encode_state(
        [[np.random.default_rng(5).uniform(-1, 1, (3, 4)) for _ in range(4)] for _ in range(2)]
    )
    tapes = net.make_tapes(3)
    _, last = net.run(x, start, tapes)
    back = net.run_back(x, last, tapes)
    for one, two in zip(back, start):
        for a, b in zip(one, two):
            np.testing.assert_array_equal(a, b)

"""Reversal to the bit: long runs, every coder, and planted faults that the properties must see."""

from __future__ import annotations

import numpy as np
import pytest

from scinn.random import Key
from scinn.recurrent import ReversibleLayer, RevGRU, RevLSTM, layer_pass, network, streaming, tapes
from scinn.recurrent.fixed_point import Limits
from scinn.verify.arrays import same_bits
from scinn.verify.registry import case_seed, find_property, properties, run_case

PAPER = "reversible-rnn"


def inputs(n_steps, n_rows, n_in, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal((n_steps, n_rows, n_in)).astype(dtype)


def test_there_is_a_property_for_each_statement():
    names = [prop.name for prop in properties(PAPER)]
    assert len(names) == len(set(names)) >= 50


# Long runs


@pytest.mark.parametrize("coder", ["rans", "floor_digit", "planes"])
def test_ten_thousand_steps_come_back(coder):
    net = RevGRU(2, 8, coder=coder, block=64, rng=0)
    x, start = inputs(10_000, 1, 2), net.encode_state([np.random.default_rng(1).uniform(-1, 1, (2, 1, 4))])
    room = net.make_tapes(1)
    _, last = net.run(x, start, room)
    assert len(room) > 10_000
    assert same_bits(net.run_back(x, last, room), start)
    assert len(room) == 0


@pytest.mark.parametrize("coder", ["rans", "floor_digit"])
@pytest.mark.parametrize("kind", [RevGRU, RevLSTM])
def test_steps_of_any_length_take_the_bits_that_they_forget(kind, coder):
    options = {"bounded": 4} if kind is RevLSTM else {}
    net = kind(3, 16, coder=coder, rng=0, **options)
    trace = net.forward_pass(inputs(2000, 1, 3), monitor=True)
    report = trace.memory_report()
    # Digits of a floor cost up to 1.39 times as much, where gates are close to 1.
    assert 0.999 < report.stored_bits / report.ideal_bits < (1.003 if coder == "rans" else 1.4)


@pytest.mark.parametrize("n_steps", [1, 7, 8, 9, 64])
@pytest.mark.parametrize("n_rows", [0, 1, 3])
def test_sizes_at_the_edges_of_a_block(n_steps, n_rows):
    net = RevLSTM(2, [2, 6], 2, bounded=4, rng=0)
    x, room = inputs(n_steps, n_rows, 2), net.make_tapes(n_rows)
    outputs, last = net.run(x, tapes=room)
    assert outputs.shape == (n_steps, n_rows, 6)
    assert same_bits(net.run_back(x, last, room), net.initial_state(n_rows))
    assert len(room) == 0
    result = net.loss_and_gradients(x, lambda first, end, y: (float((y * y).sum()), 2 * y))
    assert result.dx.shape == x.shape
    assert same_bits(result.state, last)


def test_no_steps_change_nothing():
    net = RevGRU(2, 4, rng=0)
    outputs, last = net.run(np.zeros((0, 3, 2), np.float32))
    assert outputs.shape == (0, 3, 4)
    assert same_bits(last, net.initial_state(3))
    with pytest.raises(ValueError, match="at least one step"):
        net.forward_pass(np.zeros((0, 3, 2), np.float32))


def test_what_is_given_and_returned_is_not_written_into():
    net = RevGRU(3, 6, 2, rng=0)
    x, state = inputs(20, 2, 3), net.initial_state(2)
    for array in (x, *(a for layer in state for a in layer), *net.params.values()):
        array.setflags(write=False)
    room = net.make_tapes(2)
    _, last = net.run(x, state, room)
    before = [a.copy() for layer in last for a in layer]
    net.run_back(x, last, room)
    trace = net.forward_pass(x, state=state)
    dstate = tuple(tuple(np.ones(a.shape, np.float32) for a in layer) for layer in state)
    for array in (a for layer in dstate for a in layer):
        array.setflags(write=False)
    found = net.backward_pass(trace, lambda first, end, y: np.ones_like(y), dstate=dstate)
    kept = {name: value.copy() for name, value in found.grads.items()}
    net.loss_and_gradients(x, lambda first, end, y: (0.0, y), state=state)
    assert same_bits(before, [a for layer in last for a in layer])
    assert same_bits(kept, dict(found.grads))


def test_a_floor_is_the_same_with_and_without_a_tape():
    net = RevGRU(3, 10, 2, coder="floor_digit", rng=0)
    x = inputs(50, 4, 3)
    assert same_bits(net.run(x), net.run(x, tapes=net.make_tapes(4)))


@pytest.mark.parametrize("coder", ["rans", "planes"])
def test_evaluation_drops_low_bits_only(coder):
    net = RevGRU(3, 64, coder=coder, rng=0)
    x = inputs(60, 4, 3)
    with_tape, without = net.run(x, tapes=net.make_tapes(4))[0], net.run(x)[0]
    assert 0.0 < np.abs(with_tape - without).max() < 1e-2


def test_the_adapter_in_fixed_point_reads_the_outputs_of_the_run():
    net = RevGRU(3, 6, 2, rng=0)
    x, lengths = inputs(20, 3, 3), np.array([20, 0, 7])
    layer = ReversibleLayer(net, masked=True)
    y, saved = layer.forward(x, lengths=lengths)
    outputs, _ = net.run(x, tapes=net.make_tapes(3), lengths=lengths)
    for row, n in enumerate(lengths):
        np.testing.assert_array_equal(y[:n, row], outputs[:n, row])
        assert not y[n:, row].any()
    first, second = (layer.backward(saved, np.ones_like(y)) for _ in range(2))
    assert same_bits(first, second)
    assert not first[0][7:, 2].any()
    assert first[0][:7, 2].any()


def test_training_lowers_a_loss_through_the_tapes():
    net = RevGRU(2, 16, dropout=0.1, n_layers=2, weight_drop=0.1, rng=0)
    x = inputs(40, 8, 2)
    target = np.tanh(np.cumsum(x[..., :1], axis=0))
    losses = []
    for step in range(40):

        def head(first, end, y):
            error = y[..., :1] - target[first:end]
            gradient = np.zeros_like(y)
            gradient[..., :1] = 2 * error / target.size
            return float((error**2).sum()) / target.size, gradient

        result = net.loss_and_gradients(x, head, key=Key(0).child(step))
        losses.append(result.loss)
        for name, gradient in result.grads.items():
            net.params[name] = net.params[name] - np.float32(0.5) * gradient
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


# Planted faults


def fails(name):
    prop = find_property(PAPER, name)
    return any(not run_case(prop, case_seed(prop, 2, case)) for case in range(25))


def backwards_order(monkeypatch):
    def back(self, j, alive, tape, kept_before):
        for half in (0, 1):
            self._half(half, j, self.values[1 - half][j + half])
            self._undo(half, j, self._z, self._update, alive, tape, kept_before)
        self._swap(0, 1)

    monkeypatch.setattr(layer_pass.GRUPass, "back", back)


def gates_by_other_numbers(monkeypatch):
    from scinn.kernels import reversible_cells

    true = reversible_cells.gru_gates

    def coarse(*arguments):
        true(*arguments)
        z = arguments[11]
        np.maximum(z - 1, 1, out=z)

    monkeypatch.setattr(reversible_cells, "gru_gates", coarse)


def the_paper_s_update(monkeypatch):
    true = network.ReversibleNetwork.__init__

    def init(self, *arguments, **options):
        true(self, *arguments, **options)
        if self.forget:
            self.rule = layer_pass.COMPAT

    monkeypatch.setattr(network.ReversibleNetwork, "__init__", init)


def gradient_without_rounding(monkeypatch):
    from scinn.kernels import reversible_cells

    true = reversible_cells.gru_candidate_gradient

    def smooth(e, alive, h, s, g, keep, low, span, rule, q):
        true(
            e, alive, h, s, g, (low + span * s).astype(keep.dtype) if rule != 2 else keep, low, span, rule, q
        )

    monkeypatch.setattr(reversible_cells, "gru_candidate_gradient", smooth)


def old_half_in_the_gradient(monkeypatch):
    from scinn.kernels import reversible_cells

    true = reversible_cells.gru_reset_gradient
    monkeypatch.setattr(
        reversible_cells, "gru_reset_gradient", lambda v, other, *rest: true(v, 1.001 * other, *rest)
    )


def old_cell_in_the_output(monkeypatch):
    def output(self, half, j):
        from scinn.kernels.reversible_cells import lstm_output

        gates, _, _, squashed = self._gates[half][j % self.gate_depth]
        lstm_output(gates, self.values[2 + half][j], squashed, self._update_h)

    monkeypatch.setattr(layer_pass.LSTMPass, "_output", output)


def no_checks(monkeypatch):
    monkeypatch.setattr(streaming, "_check_start", lambda *arguments: None)
    monkeypatch.setattr(streaming, "checksum", lambda state: 0)


def weights_that_are_not_compared(monkeypatch):
    monkeypatch.setattr(network.ReversibleNetwork, "weights_checksum", lambda self: 0)


def limits_forgotten(monkeypatch):
    monkeypatch.setattr(network, "forgetting_limits", lambda k, bounded=None: Limits(0.0, 1.0))


def masks_drawn_again(monkeypatch):
    count = iter(range(10_000))
    true = streaming.draw_masks
    monkeypatch.setattr(
        streaming,
        "draw_masks",
        lambda net, n_rows, key, train: true(
            net, n_rows, None if key is None else key.child(next(count)), train
        ),
    )


def rows_that_leak(monkeypatch):
    from scinn.recurrent import products

    true = products._Ordered._product

    def leaky(self, a, weight, out, what):
        result = true(self, a, weight, out, what)
        result *= self.dtype.type(1 + 1e-3 * a.shape[0])
        return result

    monkeypatch.setattr(products._Ordered, "_product", leaky)


def ended_rows_that_go_on(monkeypatch):
    monkeypatch.setattr(streaming.Trace, "alive", lambda self, step: self._all)


def tapes_that_are_not_saved(monkeypatch):
    true = tapes.Tapes.load.__func__

    def load(cls, path):
        found = true(cls, path)
        found.reset()
        return found

    monkeypatch.setattr(tapes.Tapes, "load", classmethod(load))


def bits_counted_twice(monkeypatch):
    true = layer_pass.LayerPass._count

    def count(self, i, z, alive, bits):
        true(self, i, z, alive, bits)
        true(self, i, z, alive, bits)

    monkeypatch.setattr(layer_pass.LayerPass, "_count", count)


def slices_of_the_next_step(monkeypatch):
    true = streaming.Trace.keep_units
    monkeypatch.setattr(
        streaming.Trace, "keep_units", lambda self, step, h1: true(self, max(step - 1, 0), h1)
    )


FAULTS = {
    backwards_order: ("reversal", "every-state"),
    gates_by_other_numbers: ("slow-cells",),
    the_paper_s_update: ("slow-cells", "no-drift", "paper-drifts"),
    gradient_without_rounding: ("straight-through",),
    old_half_in_the_gradient: ("straight-through", "real-gradient"),
    old_cell_in_the_output: ("slow-cells", "real-gradient"),
    no_checks: ("self-test",),
    weights_that_are_not_compared: ("provenance",),
    limits_forgotten: ("gate-limits", "bounded-cells", "slow-cells"),
    masks_drawn_again: ("masks",),
    rows_that_leak: ("row-order", "blocks"),
    ended_rows_that_go_on: ("rows-at-rest", "straight-through", "memory-report"),
    tapes_that_are_not_saved: ("resumed",),
    bits_counted_twice: ("memory-report", "network-bits", "gate-limits"),
    slices_of_the_next_step: ("slices", "gradient-from-tapes"),
}


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_seen(plant, monkeypatch):
    for name in FAULTS[plant]:
        with monkeypatch.context() as patch:
            plant(patch)
            assert fails(name), name


def stuck_digit(monkeypatch):
    from scinn.recurrent.planes import PlaneTape
    from scinn.recurrent.rans import RansTape

    for kind in (RansTape, PlaneTape):

        def multiply(self, h, z, update, alive, new, value, true=kind._multiply):
            answer = true(self, h, z, update, alive, new, value)
            if answer == -1 and new.size:
                new.flat[0] += int(alive[0])
                value.flat[0] = new.flat[0] * 2.0**-23
            return answer

        monkeypatch.setattr(kind, "_multiply", multiply)


def lost_words(monkeypatch):
    from scinn.recurrent.rans import RansTape

    monkeypatch.setattr(RansTape, "copy", lambda self: RansTape(self.n_rows))


def unchecked_range(monkeypatch):
    from scinn.recurrent.floor_digit import FloorDigitTape
    from scinn.recurrent.planes import PlaneTape
    from scinn.recurrent.rans import RansTape

    for kind in (RansTape, FloorDigitTape, PlaneTape):
        monkeypatch.setattr(
            kind, "_multiply", lambda self, *arguments, true=kind._multiply: min(true(self, *arguments), -1)
        )


TAPE_FAULTS = {
    stuck_digit: ("product-round-trip", "plane-layout"),
    lost_words: ("tape-files",),
    unchecked_range: ("product-range",),
}


@pytest.mark.parametrize("plant", TAPE_FAULTS, ids=lambda plant: plant.__name__)
def test_a_fault_of_a_tape_is_seen(plant, monkeypatch):
    for name in TAPE_FAULTS[plant]:
        with monkeypatch.context() as patch:
            plant(patch)
            assert fails(name), name

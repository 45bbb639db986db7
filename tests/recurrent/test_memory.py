"""Reports of what a pass remembered, and the choice of a way of remembering."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from scinn.recurrent import MemoryReport, RevGRU, RevLSTM, plan_memory
from scinn.recurrent.memory import format_bytes
from scinn.recurrent.memory_plan import MemoryOption

MODES = ("reverse", "store", "checkpoint", "hybrid")


def report(**changes):
    fields = {
        "n_steps": 10,
        "n_rows": 4,
        "widths": (6, 2),
        "states_per_unit": 1,
        "stored_bits": 700,
        "ideal_bits": 640.0,
        "kept_bits": 100,
        "workspace_bytes": 4096,
        "forgotten": [np.full((10, 6), 2.0), np.full((10, 2), 2.0)],
    }
    return MemoryReport(**(fields | changes))


# Reports


def test_numbers_of_a_report():
    r = report()
    assert r.n_units == 8
    assert r.state_bits == 32 * 8 * 4
    assert r.naive_bits == 32 * 8 * 4 * 10
    assert r.ratio == r.naive_bits / 800
    assert r.ideal_ratio == r.naive_bits / 740
    assert r.bits_per_unit_step == 800 / (8 * 4 * 10)
    assert r.forgotten_per_unit_step == 2.0


def test_lstm_has_two_numbers_in_a_unit():
    assert report(states_per_unit=2).naive_bits == 2 * report().naive_bits


def test_a_report_without_counts():
    r = report(ideal_bits=None, forgotten=None)
    assert r.ideal_ratio is None
    assert r.forgotten_per_unit_step is None
    for method in (r.histogram, r.forgotten_by_step, r.forgotten_by_unit):
        with pytest.raises(ValueError, match="monitor=True"):
            method()
    assert "forgotten" not in repr(r)
    assert json.loads(json.dumps(r.to_dict()))["forgotten"] is None


def test_nothing_remembered_is_an_infinite_ratio():
    r = report(stored_bits=0, kept_bits=0)
    assert math.isinf(r.ratio)
    assert r.to_dict()["ratio"] is None
    assert r.bits_per_unit_step == 0.0


def test_histogram_counts_every_number():
    rng = np.random.default_rng(0)
    first, second = rng.uniform(0, 3, size=(10, 6)), rng.uniform(0, 3, size=(10, 2))
    r = report(forgotten=[first, second])
    counts, edges = r.histogram(7)
    assert counts.sum() == 80
    assert edges[0] == 0.0
    assert edges[-1] == max(first.max(), second.max())
    assert r.histogram(layer=1)[0].sum() == 20
    with pytest.raises(ValueError, match="layer is 2, and the network has 2 layers"):
        r.histogram(layer=2)


def test_histogram_of_zeros():
    counts, _ = report(forgotten=[np.zeros((10, 6))]).histogram(3)
    assert counts.tolist() == [60, 0, 0]


def test_means_by_step_and_unit():
    bits = np.arange(60.0).reshape(10, 6)
    r = report(forgotten=[bits, np.zeros((10, 2))])
    np.testing.assert_allclose(r.forgotten_by_step(layer=0), bits.mean(axis=1))
    np.testing.assert_allclose(r.forgotten_by_step(), bits.sum(axis=1) / 8)
    np.testing.assert_allclose(r.forgotten_by_unit(), bits.mean(axis=0))


def test_a_report_as_json_holds_everything():
    out = json.loads(json.dumps(report().to_dict()))
    assert out["widths"] == [6, 2]
    assert out["ratio"] == report().ratio
    assert np.array(out["forgotten"][1]).shape == (10, 2)


def test_repr_says_how_much_less():
    text = repr(report())
    assert "10 steps, 4 rows, 6 + 2 units" in text
    assert f"{report().ratio:.3g} times less" in text
    assert "2 bits of each number" in text


def test_plot_draws_each_number_by_time():
    ax = report().plot()
    assert ax.images[0].get_array().shape == (8, 10)
    assert ax.get_xlabel() == "time step"
    assert len(report(forgotten=None).plot().patches) == 3


@pytest.mark.parametrize("cell", [RevGRU, RevLSTM])
def test_monitored_pass_fills_the_report(cell):
    net = cell(3, 6, 2, rng=0)
    x = np.random.default_rng(1).normal(size=(50, 4, 3)).astype(np.float32)
    r = net.forward_pass(x, monitor=True).memory_report()
    states = 1 if cell is RevGRU else 2
    assert [bits.shape for bits in r.forgotten] == [(50, 6 * states)] * 2
    # Means over rows, so that their sum is the ideal over the rows.
    assert sum(bits.sum() for bits in r.forgotten) * r.n_rows == pytest.approx(r.ideal_bits)
    assert 0 < r.forgotten_per_unit_step < 3
    # One lane of 64 bits for each row and layer, and 0.1 % beside it.
    assert r.stored_bits <= 1.01 * r.ideal_bits + 2 * 64 * 4 * 2
    assert r.ratio > 5


# Plans


def test_short_sequences_are_reversed():
    plan = plan_memory(70, 20, 650)
    assert plan.mode == "reverse"
    assert plan.extra_forwards == 1.0
    assert {option.mode for option in plan.options} == set(MODES)


def test_the_budget_moves_the_choice():
    free = plan_memory(5000, 20, 256, bits_per_unit=1.9)
    reverse, hybrid = free.option("reverse").bytes, free.option("hybrid").bytes
    assert hybrid < reverse
    assert plan_memory(5000, 20, 256, bits_per_unit=1.9, budget_bytes=reverse).mode == "reverse"
    tight = plan_memory(5000, 20, 256, bits_per_unit=1.9, budget_bytes=reverse - 1)
    assert tight.mode == "hybrid"
    assert "do not fit" in tight.why
    with pytest.raises(ValueError, match=rf"the least is {hybrid} bytes with memory='hybrid'"):
        plan_memory(5000, 20, 256, bits_per_unit=1.9, budget_bytes=hybrid - 1)


def test_states_are_stored_where_steps_forget_nearly_everything():
    assert plan_memory(70, 20, 650, bits_per_unit=32.0).mode == "store"


def test_nothing_forgotten_takes_lanes_alone():
    option = plan_memory(10_000, 3, 8, bits_per_unit=0.0).option("reverse")
    assert option.tape_bytes == plan_memory(10, 3, 8, bits_per_unit=0.0).option("reverse").tape_bytes


@pytest.mark.parametrize(("bits", "crossing"), [(1.9, 1100), (1.17, 3000)])
def test_checkpoints_overtake_reversal_where_the_theory_says(bits, crossing):
    def smaller(n_steps):
        plan = plan_memory(n_steps, 20, 1000, bits_per_unit=bits, workspace_bytes=0)
        return plan.option("reverse").bytes < plan.option("checkpoint").bytes

    assert smaller(crossing // 2)
    assert not smaller(crossing * 2)


@pytest.mark.parametrize("mode", ["checkpoint", "hybrid"])
@pytest.mark.parametrize("n_steps", [1, 7, 8, 9, 64, 1009])
def test_no_segment_takes_less(mode, n_steps):
    rows, units, bits = 3, 10, 1.5
    plan = plan_memory(n_steps, rows, units, bits_per_unit=bits)
    chosen, whole = plan.option(mode), plan.option("reverse" if mode == "hybrid" else "store")
    state = 4 * rows * units
    for segment in range(8, n_steps, 8):
        count = -(-n_steps // segment)
        own = (segment + 1) * state
        if mode == "hybrid":
            own = math.ceil(segment * rows * units * bits / 8 * 9 / 8) + 72 * rows + rows * units
        # Two checksums of 32 bits for each block of 8 steps, and one for each checkpoint.
        assert chosen.bytes <= count * state + own + segment + 4 * count + chosen.workspace_bytes
    if n_steps <= 8:
        assert (chosen.bytes, chosen.extra_forwards) == (whole.bytes, whole.extra_forwards)
    else:
        assert chosen.segment % 8 == 0
        assert 1.0 < chosen.extra_forwards < 2.0


@pytest.mark.parametrize("cell", [RevGRU, RevLSTM])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mode", MODES)
def test_the_plan_tells_what_the_networks_take(cell, dtype, mode):
    net = cell(3, 20, 2, rng=0, dtype=dtype)
    x = np.random.default_rng(1).normal(size=(300, 5, 3)).astype(dtype)
    measured = net.forward_pass(x, monitor=True).memory_report()
    option = plan_memory(
        300,
        5,
        40,
        bits_per_unit=measured.forgotten_per_unit_step,
        states_per_unit=len(net.state_names) // 2,
        n_layers=2,
        itemsize=np.dtype(dtype).itemsize,
    ).option(mode)
    trace = net.forward_pass(x, memory=mode, segment=option.segment)
    assert trace.segment == option.segment or mode in ("reverse", "store")
    # Passes back fill the tapes of other segments, of which the largest counts.
    peak = trace.tapes.nbytes
    net.backward_pass(trace, lambda first, end, outputs: outputs)
    taken = trace.memory_report()
    assert taken.kept_bits == 8 * option.state_bytes
    if mode in ("reverse", "hybrid"):
        assert peak <= option.tape_bytes
        assert taken.stored_bits / 8 <= option.tape_bytes <= 1.5 * taken.stored_bits / 8 + 72 * 10 + 200
    assert 0.5 * option.workspace_bytes < taken.workspace_bytes <= option.workspace_bytes


def test_measured_working_arrays_replace_the_estimate():
    plan = plan_memory(70, 20, 650, workspace_bytes=1000)
    assert plan.option("reverse").workspace_bytes == 1000


def test_auto_keeps_to_the_budget():
    net = RevGRU(3, 20, rng=0)
    x = np.random.default_rng(1).normal(size=(2000, 5, 3)).astype(np.float32)
    reverse = plan_memory(2000, 5, 20, bits_per_unit=net.expected_bits).option("reverse").bytes
    assert net.forward_pass(x, memory="auto").mode == "reverse"
    assert net.forward_pass(x, memory="auto", budget_bytes=reverse - 1).mode == "hybrid"


def test_a_plan_as_json_text_and_drawing():
    plan = plan_memory(5000, 20, 256, budget_bytes=6 * 2**20)
    out = json.loads(json.dumps(plan.to_dict()))
    assert out["mode"] == plan.mode
    assert [option["mode"] for option in out["options"]] == [option.mode for option in plan.options]
    assert plan.mode in repr(plan).splitlines()[0]
    assert "too much" in repr(plan)
    ax = plan.plot()
    assert len(ax.patches) == 4
    assert ax.get_xlabel() == "memory (MiB)"


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((0, 20, 650), {}, "n_steps is 0"),
        ((70, 20, 0), {}, "n_units is 0"),
        ((70, 20, 650), {"bits_per_unit": -1.0}, "bits_per_unit"),
        ((70, 20, 650), {"bits_per_unit": 33.0}, "bits_per_unit"),
        ((70, 20, 650), {"states_per_unit": 3}, "states_per_unit"),
        ((70, 20, 650), {"budget_bytes": -1}, "budget_bytes is -1"),
        ((70, 20, 650), {"budget_bytes": 0}, "no way of remembering 70 steps of 20 rows"),
    ],
)
def test_refusals(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        plan_memory(*arguments, **options)


def test_parts_of_a_pass_count_as_one():
    assert MemoryOption("hybrid", 8, 1, 2, 3, 1.25).n_passes == 2
    assert MemoryOption("hybrid", 8, 1, 2, 3, 1.25).bytes == 6


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1023, "0.999 KiB"), (2**30, "1 GiB"), (5 * 2**40, "5 TiB")],
)
def test_sizes_as_people_read_them(n_bytes, text):
    assert format_bytes(n_bytes) == text

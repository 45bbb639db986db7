"""The benchmark of reversible networks: like stands beside like, counts are counts, and what fails to come back is shown."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace

import numpy as np
import pytest

from scinn import bench
from scinn.bench import recurrent_worker as worker
from scinn.bench import reversible_rnn as rnn
from scinn.bench.peers import PeerResult, run_peer

SMALL = rnn.Case("GRU", (3, 5, 4), 20, ("store", "hybrid"))


def trained(n_hidden=6, n_steps=40, n_rows=5):
    net = rnn.network("GRU", (n_rows, 4, n_hidden))
    return rnn.Trained(net.params, worker.normals(n_steps, n_rows, 4), "random weights")


def test_reversal_and_stored_states_stand_beside_plain_pytorch_and_hybrid_beside_checkpoints():
    times = rnn.Times(
        {"reverse": 3.0, "store": 2.5, "hybrid": 4.0},
        {"plain": 2.0, "checkpointed": 3.0},
        "torch.nn.GRU 2",
        "",
        True,
    )
    reverse, store, hybrid = rnn.training_rows(SMALL, times)
    assert [row.peer_seconds for row in (reverse, store, hybrid)] == [2.0, 2.0, 3.0]
    assert "checkpoints" in hybrid.peer
    assert "checkpoints" not in store.peer
    assert reverse.numbers["slowdown"] == 1.5
    assert "1.50 times its time (goal 1.6); state back to the bit" in reverse.note
    assert "goal" not in store.note


def test_a_peer_that_did_not_run_and_a_state_that_did_not_come_back_are_shown():
    times = rnn.Times({"reverse": 3.0}, {}, "torch.nn.GRU", "torch is not installed", False)
    (row,) = rnn.training_rows(SMALL, times)
    assert row.ratio is None
    assert row.note == "not run: torch is not installed; STATE DID NOT COME BACK"
    assert (row.numbers["slowdown"], row.numbers["exact"]) == (None, False)


def test_the_least_of_all_rounds_counts_on_both_sides(monkeypatch):
    answers = {None: iter([3.0, 1.0, 2.0]), 5: iter([5.0, 6.0, 4.0])}

    def peer(task, arrays, options):
        assert (task, options["n_steps"], options["sizes"]) == ("torch_recurrent", 20, (3, 5, 4))
        return PeerResult(info={"seconds": next(answers[options["segment"]]), "versions": {"torch": "2"}})

    ours = iter([9.0, 8.0, 7.0, 6.0, 5.0, 9.0, 9.0, 9.0, 9.0])
    monkeypatch.setattr(rnn, "run_peer", peer)
    monkeypatch.setattr(rnn, "least_seconds", lambda step, n_repeats: next(ours))
    times = rnn.race(SMALL, 3, 1)
    assert times.theirs == {"plain": 1.0, "checkpointed": 4.0}
    assert times.ours == {"reverse": 6.0, "store": 5.0, "hybrid": 7.0}
    assert times.exact
    assert times.peer == "torch.nn.GRU 2"


def test_a_missing_peer_is_asked_once(monkeypatch):
    asked = []
    monkeypatch.setattr(rnn, "run_peer", lambda *args: asked.append(1) or PeerResult(reason="absent"))
    times = rnn.race(SMALL, 3, 1)
    assert (times.theirs, times.reason, len(asked)) == ({}, "absent", 1)
    assert all(0 < seconds < 60 for seconds in times.ours.values())


@pytest.mark.parametrize("cell", ["GRU", "LSTM"])
def test_one_changed_bit_is_a_state_that_did_not_come_back(monkeypatch, cell):
    net = rnn.network(cell, (2, 3, 4))
    x = worker.normals(10, 2, 3)
    assert rnn.comes_back(net, x)
    run_back = net.run_back

    def changed(*args):
        found = run_back(*args)
        found[0][-1][1, 1] ^= 1
        return found

    monkeypatch.setattr(net, "run_back", changed)
    assert not rnn.comes_back(net, x)


def test_bits_are_compared_with_the_ideal_and_bytes_with_those_of_pytorch():
    report = SimpleNamespace(ideal_bits=1000.0, stored_bits=1010, workspace_bytes=3000)
    answer = PeerResult(info={"bytes": 14_000, "versions": {"torch": "2"}})
    row = rnn._memory_row(trained(), "rans", 0.5, report, 500, answer, True)
    assert row.numbers["bits"] == 2.02
    assert row.numbers["excess"] == pytest.approx(0.01)
    assert row.numbers["peer_bytes"] == 28
    assert row.numbers["fewer"] == pytest.approx(8 * 28 / 2.02)
    assert "111 times less (goal 60)" in row.note
    # The working arrays count in a number of their own, over all units and steps.
    assert row.numbers["bytes"] == 2.02 / 8
    assert row.numbers["workspace_bytes"] == 6
    assert row.numbers["fewer_with_workspace"] == pytest.approx(28 / (2.02 / 8 + 6))
    assert "with our working arrays 6.253 bytes, 4.5 times less" in row.note
    assert "working arrays are 3 kB at any number of steps, here over 40" in row.note
    row = rnn._memory_row(trained(), "rans", 0.5, report, 500, PeerResult(reason="absent"), True)
    assert "fewer" not in row.numbers
    assert "0.253 bytes on the tape, 6.253 with our working arrays; PyTorch not run: absent" in row.note


def test_working_arrays_are_those_of_the_pass_and_do_not_grow():
    short, long = (
        rnn.memory_rows(trained(n_steps=n_steps))[0].numbers["workspace_bytes"] * n_steps * 5 * 6
        for n_steps in (40, 80)
    )
    model = trained()
    report = model.network().loss_and_gradients(model.x, rnn.sum_of_outputs).memory
    assert short == pytest.approx(report.workspace_bytes)
    assert long == pytest.approx(short)
    assert short > 0


def test_recorded_calls_are_those_of_the_pass():
    model = trained()
    calls = rnn.record_calls(model)
    # Of 40 steps, the first is left out.
    assert calls.z.shape == calls.update.shape == (78, 5, 3)
    assert calls.h.shape == (2, 5, 3)
    assert calls.z.min() >= 128
    net = model.network()
    report = net.loss_and_gradients(model.x, rnn.sum_of_outputs, monitor=True).memory
    assert -np.log2(calls.z / 1024).sum() == pytest.approx(5 * report.forgotten[0][1:].sum())
    _, after = net.run(model.x[:1], tapes=net.make_tapes(5))
    np.testing.assert_array_equal(calls.h, after[0])


@pytest.mark.parametrize("coder", rnn.CODERS)
def test_coders_undo_recorded_calls(coder):
    calls = rnn.record_calls(trained(40, 60))
    found = rnn.code(coder, calls, 1)
    assert found.exact
    ideal = -np.log2(calls.z / 1024).sum()
    assert ideal < found.n_bits < {"rans": 1.2, "floor_digit": 1.5, "planes": 8.0}[coder] * ideal
    assert 1e-10 < found.multiply < 1e-3
    assert 1e-10 < found.divide < 1e-3


def test_a_coder_that_loses_a_bit_is_not_called_exact(monkeypatch):
    calls = rnn.record_calls(trained())

    class Lossy(rnn.WatchedTape):
        def divide(self, new, z, update, alive, h, value):
            self._tape.divide(new, z, update, alive, h, value)
            # Where there is more to undo, the tape itself would notice.
            h[0, 0] ^= len(self) == 0

    make = rnn.make_tape
    monkeypatch.setattr(rnn, "make_tape", lambda *args: Lossy(make(*args), [0.0, 0.0]))
    assert not rnn.code("rans", calls, 1).exact


def test_the_share_of_the_coder_is_part_of_the_step():
    model = trained(40, 30)
    row = rnn.share_row("small", model.network(), model.x, 2)
    assert 0 < row.seconds < row.peer_seconds
    assert row.numbers["share"] == pytest.approx(row.seconds / row.peer_seconds)
    per = 30 * 5 * 40
    assert (row.numbers["multiply_ns"] + row.numbers["divide_ns"]) * per == pytest.approx(1e9 * row.seconds)


def test_a_watched_tape_changes_nothing():
    model = trained()
    plain = model.network().loss_and_gradients(model.x, rnn.sum_of_outputs)
    watched = rnn.watch(model.network(), [0.0, 0.0]).loss_and_gradients(model.x, rnn.sum_of_outputs)
    assert plain.loss == watched.loss
    assert all(np.array_equal(plain.grads[name], watched.grads[name]) for name in plain.grads)


def test_a_short_training_learns_something():
    short, longer = (float(rnn.train(8, n, 20).about.split(", ")[-1].split()[0]) for n in (1, 40))
    assert longer < short - 0.2


def test_the_trained_weights_are_those_of_the_model():
    model = rnn.train(8, 2, 10)
    assert model.x.shape == (rnn.N_STEPS, rnn.N_ROWS, 8)
    net = model.network()
    assert all(np.array_equal(net.params[name], model.params[name]) for name in net.params)
    assert rnn.comes_back(net, model.x)


def test_growth_sees_memory_that_is_used_and_given_back():
    growth = worker.resident_growth(lambda: np.ones(8_000_000).sum())
    if growth is None:
        pytest.skip("this system does not tell")
    assert 5e7 < growth < 1.5e8
    # A peak before the call is not its own.
    assert worker.resident_growth(lambda: None) < 2e7


def test_drawn_inputs_are_the_same_however_they_are_asked_for():
    stream = rnn.DrawnStream(10, 2, 3)
    whole = stream.block(0, 10)
    assert whole.shape == (10, 2, 3)
    np.testing.assert_array_equal(np.concatenate([stream.block(0, 3), stream.block(3, 10)]), whole)
    assert len(np.unique(whole)) == whole.size


@pytest.mark.parametrize("streamed", [False, True])
def test_growth_of_a_step_is_measured_in_either_way(streamed):
    result = rnn.step_growth("GRU", (3, 5, 4), 30, "hybrid", streamed)
    assert result["seconds"] > 0
    assert result["bytes"] is None or result["bytes"] < 5e7


@pytest.mark.parametrize(("n_steps", "segment"), [(1, 1), (9, 3), (10, 4), (1000, 32)])
def test_segments_between_checkpoints_are_roots(n_steps, segment):
    assert worker.root_segment(n_steps) == segment


def test_the_benchmark_runs_where_no_peer_is(monkeypatch):
    monkeypatch.setenv("SCINN_PEER_PYTHON", "/no/such/interpreter")
    record = bench.run(["reversible-rnn"], quick=True)
    assert json.loads(json.dumps(record)) == record
    rows = record["benchmarks"][0]["rows"]
    assert all(row["seconds"] > 0 for row in rows)
    assert all(row["numbers"].get("exact", True) for row in rows)
    assert all(
        "no interpreter" in row["note"] for row in rows if row["peer"].startswith(("torch", "constriction"))
    )
    titles = " ".join(row["case"] for row in rows)
    for what in (
        "RevGRU",
        "RevLSTM",
        "rans",
        "floor_digit",
        "planes",
        "checkpoints",
        "memory",
    ):
        assert what in titles


def ask(task, arrays, **options):
    if not os.environ.get("SCINN_PEER_PYTHON"):
        pytest.skip("no interpreter of peers")
    answer = run_peer(task, arrays, options)
    if "is not installed" in answer.reason:
        pytest.skip(answer.reason)
    assert answer, answer.reason
    return answer


@pytest.mark.parametrize(("cell", "least"), [("GRU", 20), ("LSTM", 30)])
def test_pytorch_saves_gates_and_states(cell, least):
    per = []
    for n_steps in (20, 40):
        answer = ask(
            "torch_recurrent", {}, what="saved", cell=cell, sizes=(4, 8, 8), n_steps=n_steps, segment=None
        )
        per.append(answer.info["bytes"] / (n_steps * 4 * 8))
    assert least < per[1] <= per[0] < 150


@pytest.mark.parametrize("segment", [None, 5])
@pytest.mark.parametrize("what", ["seconds", "growth"])
def test_pytorch_steps_with_and_without_checkpoints(what, segment):
    options = {"cell": "GRU", "sizes": (4, 8, 8), "n_steps": 20, "segment": segment, "n_repeats": 2}
    assert ask("torch_recurrent", {}, what=what, **options).info["seconds"] > 0


def test_constrictions_coder_comes_back_within_a_hundredth_of_the_ideal():
    calls = rnn.record_calls(trained(40, 60))
    arrays = {
        "h": calls.h.reshape(2, -1),
        "z": calls.z.reshape(118, -1),
        "update": calls.update.reshape(118, -1),
    }
    info = ask("constriction_ans", arrays, n_repeats=1).info
    assert info["exact"]
    assert -0.001 < info["n_bits"] / -np.log2(calls.z / 1024).sum() - 1 < 0.01

"""Language models: gradients of all parameters, masks, evaluation, generation, training, resuming, messages."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scinn.nn import Adam
from scinn.random import Key
from scinn.recurrent.cells import CELLS, build_cell, memory_options
from scinn.recurrent.language_model import Evaluation, LanguageModel, token_columns
from scinn.recurrent.language_training import QuarterRate, clip_gradients, train_language_model

DROPOUT: dict[str, float] = {
    "dropout_input": 0.3,
    "dropout_hidden": 0.3,
    "dropout_output": 0.3,
    "dropout_embedding": 0.2,
    "weight_drop": 0.3,
}


def text(n_tokens: int, n_symbols: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, n_symbols, n_tokens)


def pattern(n_tokens: int) -> np.ndarray:
    """Return a text that is learnt in a few steps."""
    return np.arange(n_tokens) % 4


def build(cell: str, *, rng: int = 0, **options: Any) -> LanguageModel:
    """Return a small model whose biases are not zero; options that only reversible cells have go to these alone."""
    if not cell.startswith("rev"):
        options = {
            name: value
            for name, value in options.items()
            if name not in ("arithmetic", "coder", "max_forget_bits")
        }
    sizes = {"n_symbols": 5, "n_embedding": 4, "n_hidden": [6, 4], "n_layers": 2} | options
    model = LanguageModel(cell=cell, rng=rng, **sizes)
    for i, value in enumerate(model.params.values()):
        value += (0.2 * np.random.default_rng(100 + i).normal(size=value.shape)).astype(value.dtype)
    return model


def batch(n_steps: int = 7, n_rows: int = 3, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    ids = text((n_steps + 1) * n_rows, seed=seed).reshape(n_steps + 1, n_rows)
    return ids[:-1], ids[1:]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("tied", [True, False])
def test_gradients_by_finite_differences_with_every_kind_of_dropout(cell: str, tied: bool) -> None:
    options: dict[str, Any] = DROPOUT | {"arithmetic": "real", "dtype": np.float64, "block": 3, "tied": tied}
    model = build(cell, **options)
    inputs, targets = batch()
    state = model.cell.run(np.ones((2, 3, 4)))[1]

    def step() -> Any:
        return model.loss_and_gradients(inputs, targets, state=state, key=Key(7))

    grads = step().grads
    assert list(grads) == list(model.params)
    rng = np.random.default_rng(0)
    for name, value in model.params.items():
        flat, gradient = value.reshape(-1), grads[name].reshape(-1)
        nonzero = np.flatnonzero(gradient)
        assert nonzero.size, name
        for index in {
            int(nonzero[np.abs(gradient[nonzero]).argmax()]),
            *rng.integers(0, flat.size, 4).tolist(),
        }:
            before, losses = flat[index], []
            for sign in (1, -1):
                flat[index] = before + sign * 1e-5
                losses.append(step().loss)
            flat[index] = before
            slope = (losses[0] - losses[1]) / 2e-5
            assert gradient[index] == pytest.approx(slope, rel=1e-5, abs=1e-9), (name, index)


@pytest.mark.parametrize("cell", CELLS)
def test_the_loss_is_that_of_the_softmax_of_all_outputs(cell: str) -> None:
    model = build(cell, dtype=np.float64, tied=False, n_hidden=6, coder="floor_digit")
    inputs, targets = batch(n_steps=11)
    step = model.loss_and_gradients(inputs, targets)
    outputs, state = model.cell.run(model.params["embedding"][inputs])
    logits = outputs @ model.params["output.weight"] + model.params["output.bias"]
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    wanted = -np.log(np.take_along_axis(p, targets[..., None], axis=-1)).mean()
    assert step.loss == pytest.approx(float(wanted), rel=1e-12)
    for ours, theirs in zip(step.state, state, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert np.array_equal(a, b)


@pytest.mark.parametrize("cell", CELLS)
def test_a_stretch_in_two_parts_has_the_mean_loss_of_the_whole(cell: str) -> None:
    model = build(cell, dtype=np.float64, coder="floor_digit")
    inputs, targets = batch(n_steps=8)
    whole = model.loss_and_gradients(inputs, targets)
    first = model.loss_and_gradients(inputs[:4], targets[:4])
    second = model.loss_and_gradients(inputs[4:], targets[4:], state=first.state)
    assert whole.loss == pytest.approx((first.loss + second.loss) / 2, rel=1e-12)
    assert np.array_equal(whole.state[0][0], second.state[0][0])


@pytest.mark.parametrize("cell", ["rev_gru", "rev_lstm"])
@pytest.mark.parametrize("coder", ["rans", "floor_digit", "planes"])
def test_rebuilt_states_give_the_gradients_of_stored_ones(cell: str, coder: str) -> None:
    model = build(cell, coder=coder, **DROPOUT)
    inputs, targets = batch(n_steps=30)
    steps = {
        memory: model.loss_and_gradients(inputs, targets, key=Key(2), memory=memory)
        for memory in ("reverse", "store")
    }
    for name, grad in steps["reverse"].grads.items():
        assert np.array_equal(grad, steps["store"].grads[name]), name
    reports = {memory: step.memory for memory, step in steps.items()}
    assert reports["reverse"].stored_bits > 0
    assert reports["store"].kept_bits > 0


def test_masks_are_replayed_from_the_key() -> None:
    model, (inputs, targets) = build("rev_gru", **DROPOUT), batch()
    a, b, c = (model.loss_and_gradients(inputs, targets, key=Key(seed)) for seed in (1, 1, 2))
    assert a.loss == b.loss != c.loss
    assert all(np.array_equal(a.grads[name], b.grads[name]) for name in a.grads)
    still = model.loss_and_gradients(inputs, targets, train=False)
    assert still.loss == model.loss_and_gradients(inputs, targets, key=Key(9), train=False).loss
    assert still.loss not in (a.loss, c.loss)


def test_dropped_symbols_have_no_gradient_at_the_input() -> None:
    model = build("gru", dropout_embedding=0.6, tied=False, n_hidden=4)
    inputs, targets = batch(n_steps=20)
    grad = model.loss_and_gradients(inputs, targets, key=Key(0)).grads["embedding"]
    dropped = ~grad.any(axis=1)
    assert 0 < dropped.sum() < len(dropped)


@pytest.mark.parametrize("cell", CELLS)
def test_evaluation_does_not_depend_on_how_steps_are_grouped(cell: str) -> None:
    model = build(cell, dtype=np.float64, coder="floor_digit")
    ids = text(103)
    whole = model.evaluate(ids, n_rows=2, n_steps=200)
    assert whole.n_tokens == 100
    for n_steps in (1, 7, 50):
        assert model.evaluate(ids, n_rows=2, n_steps=n_steps).nats == pytest.approx(whole.nats, rel=1e-9)
    assert whole.perplexity == pytest.approx(math.exp(whole.nats))
    columns = token_columns(ids, 2)
    step = model.loss_and_gradients(columns[:-1], columns[1:])
    assert step.loss == pytest.approx(whole.nats, rel=1e-4)


def test_perplexity_of_a_uniform_model_is_the_number_of_symbols() -> None:
    model = LanguageModel(7, 4, 4, tied=False, rng=0)
    model.params["output.weight"][...] = 0
    assert model.evaluate(text(100, 7)).perplexity == pytest.approx(7, rel=1e-6)
    assert Evaluation(1e4, 1).perplexity == math.inf


@pytest.mark.parametrize("cell", CELLS)
def test_generation_is_reproducible_and_continues_a_learnt_text(cell: str) -> None:
    model = LanguageModel(4, 8, 8, cell=cell, rng=0)
    train_language_model(
        model,
        pattern(800),
        pattern(100),
        n_epochs=4,
        key=0,
        n_rows=4,
        n_steps=10,
        optimizer=Adam(0.02),
        clip=1.0,
    )
    assert model.generate([0, 1, 2], 9, temperature=0).tolist() == [3, 0, 1, 2, 3, 0, 1, 2, 3]
    a, b = (model.generate([0], 20, temperature=5.0, rng=3) for _ in range(2))
    assert np.array_equal(a, b)
    assert a.min() >= 0
    assert a.max() < 4
    assert np.array_equal(
        model.generate([0, 1], 6, n_best=1, rng=1), model.generate([0, 1], 6, temperature=0, rng=2)
    )
    assert model.generate([0], 0).shape == (0,)


def test_draws_follow_the_softmax() -> None:
    model = LanguageModel(3, 2, 2, tied=False, rng=0)
    model.params["output.weight"][...] = 0
    model.params["output.bias"][...] = np.log([0.2, 0.3, 0.5])
    drawn = model.generate([0], 1500, rng=0)
    np.testing.assert_allclose(np.bincount(drawn, minlength=3) / 1500, [0.2, 0.3, 0.5], atol=0.05)
    only = model.generate([0], 300, n_best=2, temperature=0.5, rng=0)
    np.testing.assert_allclose(np.bincount(only, minlength=3) / 300, [0, 9 / 34, 25 / 34], atol=0.09)


@pytest.mark.parametrize("cell", CELLS)
def test_saved_models_come_back(cell: str, tmp_path: Path) -> None:
    model = build(cell, **DROPOUT, max_forget_bits=2.0, block=5)
    model.save(tmp_path / "model.npz")
    again = LanguageModel.load(tmp_path / "model.npz")
    assert again.config() == model.config()
    assert repr(again) == repr(model)
    ids = text(60)
    assert again.evaluate(ids) == model.evaluate(ids)
    assert again.params["cell.bias0"] is again.cell.params["bias0"]


def test_other_files_are_refused(tmp_path: Path) -> None:
    from scinn._files import write_npz

    write_npz(tmp_path / "other.npz", {}, {"format": 1})
    with pytest.raises(ValueError, match="holds no language model"):
        LanguageModel.load(tmp_path / "other.npz")


def test_memory_of_reversible_cells_is_less_than_states_and_of_ordinary_ones_more() -> None:
    inputs, targets = batch(n_steps=60, n_rows=4)
    options: dict[str, Any] = {"n_hidden": 32, "n_embedding": 32, "n_layers": 1}
    reversible = build("rev_gru", **options).loss_and_gradients(inputs, targets, monitor=True).memory
    ordinary = build("gru", **options).loss_and_gradients(inputs, targets).memory
    states = 32 * 32 * 60 * 4
    assert 0 < reversible.stored_bits < states / 4
    assert reversible.ideal_bits is not None
    assert reversible.ideal_bits <= reversible.stored_bits + 64 * 4
    assert ordinary.stored_bits + ordinary.kept_bits > states


TRAINING: dict[str, Any] = {"n_rows": 4, "n_steps": 12, "learning_rate": 2.0, "clip": 0.5, "key": 5}


def copies(model: LanguageModel) -> dict[str, np.ndarray]:
    return {name: value.copy() for name, value in model.params.items()}


@pytest.mark.parametrize("cell", CELLS)
def test_training_learns_a_pattern(cell: str) -> None:
    model = LanguageModel(4, 8, 8, cell=cell, rng=1)
    history = train_language_model(
        model, pattern(600), pattern(80), n_epochs=3, **TRAINING | {"learning_rate": 5.0, "clip": 1.0}
    )
    assert len(history) == 3
    assert history.stopped == "finished"
    assert history["valid_perplexity"][-1] < 1.5
    assert LanguageModel(4, 8, 8, cell=cell, rng=1).evaluate(pattern(80)).perplexity > 3
    assert history["memory_ratio"][0] > (1 if cell.startswith("rev") else 0)
    assert model.evaluate(pattern(80)).nats == history.best["valid_loss"]


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("cell", ["rev_gru", "lstm"])
@pytest.mark.parametrize("at", [3, 9, 17])
def test_a_resumed_run_ends_with_the_bits_of_an_uninterrupted_one(cell: str, at: int, tmp_path: Path) -> None:
    options: dict[str, Any] = TRAINING | {"n_epochs": 2, "random_length": True, "optimizer": Adam(0.01)}
    texts = text(500), text(90, seed=1)

    def fresh() -> LanguageModel:
        return LanguageModel(5, 8, 8, cell=cell, rng=3, **DROPOUT)

    whole = fresh()
    history = train_language_model(whole, *texts, **options)
    calls = 0

    def interrupt(_: dict[str, Any]) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise Interrupted

    path = tmp_path / "run.npz"
    with pytest.raises(Interrupted):
        train_language_model(
            fresh(), *texts, **options, checkpoint=path, checkpoint_every=2, progress=interrupt
        )
    resumed = fresh()
    seen: list[dict[str, Any]] = []
    again = train_language_model(
        resumed, *texts, **options, checkpoint=path, checkpoint_every=2, progress=seen.append
    )
    assert (seen[0]["epoch"], seen[0]["batch"]) != (0, 0)
    for name, value in whole.params.items():
        assert np.array_equal(value, resumed.params[name]), name
    for record, other in zip(history.records, again.records, strict=True):
        for name in record:
            assert name == "seconds" or record[name] == other[name], name
    done = train_language_model(fresh(), *texts, **options, checkpoint=path)
    assert done.records == again.records


def test_a_finished_run_goes_on_from_its_last_parameters_and_not_the_best(tmp_path: Path) -> None:
    texts = text(300), text(60, seed=1)
    options: dict[str, Any] = TRAINING | {"learning_rate": 20.0, "clip": 5.0}
    whole, part = (LanguageModel(5, 4, 4, cell="gru", rng=0) for _ in range(2))
    history = train_language_model(whole, *texts, n_epochs=6, **options)
    first = train_language_model(part, *texts, n_epochs=4, **options, checkpoint=tmp_path / "run.npz")
    assert first.best["epoch"] < 3
    again = train_language_model(part, *texts, n_epochs=6, **options, checkpoint=tmp_path / "run.npz")
    assert again["valid_loss"].tolist() == history["valid_loss"].tolist()
    assert all(np.array_equal(value, part.params[name]) for name, value in whole.params.items())


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    model = LanguageModel(4, 4, 4, rng=0)
    train_language_model(model, pattern(200), pattern(60), n_epochs=1, **TRAINING, checkpoint=path)
    for change, message in [
        ({"n_steps": 13}, "n_steps: 12 in the file, 13 now"),
        ({"key": 6}, "seed: 5 in the file, 6 now"),
        ({"clip": 1.0}, "clip: 0.5 in the file, 1.0 now"),
        ({"memory": "store"}, "options"),
        ({"learning_rate": 1.0}, "optimizer"),
        ({"valid_rows": 9}, "valid_rows: 10 in the file, 9 now"),
    ]:
        with pytest.raises(ValueError, match=message):
            train_language_model(
                model, pattern(200), pattern(60), n_epochs=1, **TRAINING | change, checkpoint=path
            )
    with pytest.raises(ValueError, match="train: "):
        train_language_model(model, pattern(201)[1:], pattern(60), n_epochs=1, **TRAINING, checkpoint=path)
    train_language_model(
        model, pattern(200), pattern(60), n_epochs=1, **TRAINING | {"key": 6}, checkpoint=path, resume=False
    )


def test_the_papers_rule_for_the_rate() -> None:
    rule = QuarterRate(20.0)
    falling = [5.0, 4.9, 4.8, 4.7, 4.6, 4.5, 4.4, 4.3]
    assert rule(falling) == 20.0
    assert rule([4.0, 5.0, 5.0, 5.0, 5.0, 5.0]) == 20.0
    assert rule([4.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0]) == 5.0
    assert rule([4.0, 5.0, 5.0, 5.0, 5.0, 5.0, 3.9, 5.0]) == 5.0
    assert QuarterRate(1.0, window=0)([3.0, 2.0, 2.5, 1.0, math.nan]) == 1 / 16
    assert rule.stop_below == 0.01
    assert QuarterRate(20.0, minimum=1.0).stop_below == 1.0
    with pytest.raises(ValueError, match="factor"):
        QuarterRate(20.0, factor=1.5)


def test_training_stops_where_the_rate_has_become_small() -> None:
    model = LanguageModel(4, 4, 4, rng=0)
    rule = QuarterRate(2.0, window=0, minimum=1.0)
    rates: list[float] = []

    def schedule_values(record: dict[str, Any]) -> bool:
        rates.append(record["learning_rate"])
        return False

    history = train_language_model(
        model, text(200, 4), text(60, 4, seed=9), n_epochs=60, **TRAINING | {"learning_rate": 2.0}, schedule=rule,
        callback=schedule_values, valid_rows=2,
    )  # fmt: skip
    assert history.stopped == "learning rate"
    assert len(history) < 60
    assert rates == history["learning_rate"].tolist()
    assert min(rates) >= 1.0
    assert model.evaluate(text(60, 4, seed=9), n_rows=2).nats == min(history["valid_loss"])


def test_callbacks_and_patience_stop() -> None:
    texts = text(200), text(60)
    history = train_language_model(
        LanguageModel(5, 4, 4, rng=0),
        *texts,
        n_epochs=9,
        **TRAINING,
        callback=lambda record: record["epoch"] == 1,
    )
    assert (history.stopped, len(history)) == ("callback", 2)
    history = train_language_model(
        LanguageModel(5, 4, 4, rng=0), *texts, n_epochs=30, patience=1, **TRAINING | {"learning_rate": 30.0}
    )
    assert history.stopped == "patience"
    assert history.best["epoch"] == len(history) - 2


def test_progress_and_stretches_of_random_length() -> None:
    seen: list[dict[str, Any]] = []
    model = LanguageModel(5, 4, 4, rng=0)
    train_language_model(
        model, text(2000), text(60), n_epochs=1, **TRAINING | {"n_steps": 20}, random_length=True,
        progress=seen.append,
    )  # fmt: skip
    shares = np.array([record["share"] for record in seen])
    lengths = np.rint(np.diff(np.concatenate([[0], shares])) * 499).astype(int)
    assert shares[-1] == 1.0
    assert lengths.sum() == 499
    assert len(set(lengths.tolist())) > 3
    assert lengths[:-1].min() >= 5
    for record, length in zip(seen, lengths):
        assert record["learning_rate"] == pytest.approx(2.0 * length / 20)
    assert all(record["tokens_per_second"] > 0 and record["gradient_norm"] > 0 for record in seen)


def test_gradients_are_clipped_together() -> None:
    grads = {"a": np.array([3.0, 0.0]), "b": np.array([[4.0]])}
    same, norm = clip_gradients(grads, 10.0)
    assert norm == 5.0
    assert same["a"] is grads["a"]
    clipped, _ = clip_gradients(grads, 0.5)
    assert math.sqrt(sum(float((g * g).sum()) for g in clipped.values())) == pytest.approx(0.5)
    assert grads["a"].tolist() == [3.0, 0.0]
    assert clip_gradients(grads, None)[0]["b"] is grads["b"]
    with pytest.raises(FloatingPointError, match="not finite: b"):
        clip_gradients(grads | {"b": np.array([np.nan])}, 1.0)


@pytest.mark.parametrize("memory", ["store", "checkpoint", "hybrid", "auto"])
def test_training_with_other_ways_of_remembering(memory: str) -> None:
    model = LanguageModel(4, 8, 8, rng=1)
    history = train_language_model(
        model,
        pattern(400),
        pattern(80),
        n_epochs=2,
        memory=memory,
        **TRAINING | {"learning_rate": 5.0, "clip": 1.0},
    )
    assert history["valid_loss"][1] < history["valid_loss"][0]


MODEL: dict[str, Any] = {"n_symbols": 5, "n_embedding": 4, "n_hidden": 4}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"n_hidden": 6},
            "tied=True needs a last layer as wide as the embedding, which is 4, and it has 6 units",
        ),
        ({"cell": "rnn"}, "cell is 'rnn'"),
        ({"n_symbols": 0}, "n_symbols is 0"),
        ({"dropout_input": 1.0}, "dropout_input is 1"),
        ({"dropout_hidden": -0.1}, "dropout_hidden is -0.1"),
        ({"weight_drop": 2}, "weight_drop is 2"),
        ({"bounded": 4.0}, "option of cell='rev_lstm'"),
        ({"cell": "gru", "compat": True}, "option of cell='rev_gru'"),
        ({"cell": "rev_lstm", "compat": True}, "option of cell='rev_gru', and cell is 'rev_lstm'"),
        (
            {"cell": "gru", "max_forget_bits": -3},
            "max_forget_bits=-3 is an option of cell='rev_gru' or cell='rev_lstm'",
        ),
        ({"cell": "lstm", "coder": "zzz"}, "coder='zzz' is an option of"),
        ({"cell": "gru", "exactness": "B"}, "exactness='B' is an option of"),
        ({"cell": "gru", "arithmetic": "real"}, "arithmetic='real' is an option of"),
        ({"coder": "zzz"}, "coder is 'zzz'"),
        ({"n_hidden": [4, 4]}, "n_hidden has 2 widths for 1 layers"),
    ],
)
def test_messages_of_the_model(change: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        LanguageModel(**MODEL | change)


def test_cells_have_their_own_options_alone() -> None:
    for cell in CELLS:
        assert build_cell(cell, 3, 4, max_forget_bits=3.0, bounded=None, compat=False, rng=0).n_out == 4
    assert build_cell("rev_gru", 3, 4, compat=True, rng=0).config()["compat"] is True
    assert build_cell("rev_lstm", 3, 4, bounded=4.0, rng=0).config()["bounded"] == 4.0
    with pytest.raises(ValueError, match="option is 'bound'"):
        build_cell("rev_lstm", 3, 4, bound=4.0)
    assert memory_options("lstm", "store", None, None, False) == {}
    assert memory_options("rev_gru", None, 4, None, True) == {
        "memory": "reverse",
        "segment": 4,
        "budget_bytes": None,
        "monitor": True,
    }


def test_messages_of_a_step() -> None:
    model, (inputs, targets) = build("gru", dropout_input=0.5), batch()
    with pytest.raises(ValueError, match="key is None: pass key"):
        model.loss_and_gradients(inputs, targets)
    with pytest.raises(ValueError, match="inputs holds the index 5; indices must lie in"):
        model.loss_and_gradients(inputs + 1, targets, key=Key(0))
    with pytest.raises(ValueError, match="targets holds the negative index -1"):
        model.loss_and_gradients(inputs, targets - 1, key=Key(0))
    with pytest.raises(ValueError, match="must have one shape"):
        model.loss_and_gradients(inputs, targets[:-1], key=Key(0))
    with pytest.raises(ValueError, match="at least one token"):
        model.loss_and_gradients(inputs[:0], targets[:0], key=Key(0))
    with pytest.raises(TypeError, match="dtype float64"):
        model.loss_and_gradients(inputs * 1.0, targets, key=Key(0))
    with pytest.raises(ValueError, match="cell 'gru' stores all its states"):
        model.loss_and_gradients(inputs, targets, key=Key(0), memory="reverse")
    for option in ({"monitor": True}, {"segment": 8}, {"budget_bytes": 100}):
        with pytest.raises(ValueError, match=f"got {next(iter(option))}="):
            model.loss_and_gradients(inputs, targets, key=Key(0), **option)
    with pytest.raises(ValueError, match="memory"):
        build("rev_gru").loss_and_gradients(inputs, targets, memory="nothing")
    with pytest.raises(ValueError, match="fewer rows or more text"):
        model.evaluate(text(15), n_rows=10)
    with pytest.raises(ValueError, match="ids holds the index 9"):
        model.evaluate(np.full(50, 9))
    with pytest.raises(ValueError, match="prompt is empty"):
        model.generate(np.zeros(0, int), 3)
    with pytest.raises(ValueError, match="temperature is -1"):
        model.generate([0], 3, temperature=-1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_ids": np.full(100, 7)}, "train_ids holds the index 7"),
        ({"train_ids": np.zeros(0, int)}, "a text of 0 tokens in 4 rows"),
        ({"valid_ids": np.zeros(3, int)}, "a text of 3 tokens in 10 rows"),
        ({"valid_ids": np.zeros((3, 2), int)}, "valid_ids has 2 dimensions"),
        ({"model": None}, "model must be a LanguageModel"),
        ({"optimizer": "sgd"}, "optimizer must be one of"),
        ({"key": "seed"}, "key must be a scinn.random.Key or an int"),
        ({"clip": 0.0}, "clip is 0"),
        ({"n_epochs": 0}, "n_epochs is 0"),
        ({"patience": 0}, "patience is 0"),
        ({"schedule": lambda values: math.nan}, "schedule returned nan"),
    ],
)
def test_messages_of_training(change: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {
        "model": LanguageModel(5, 4, 4, rng=0),
        "train_ids": text(200),
        "valid_ids": text(60),
    }
    with pytest.raises((TypeError, ValueError), match=message):
        train_language_model(**good | {"n_epochs": 1} | TRAINING | change)


def test_a_diverged_model_is_not_trained_on() -> None:
    model = LanguageModel(5, 4, 4, cell="gru", rng=0)
    model.params["output.bias"][0] = np.inf
    with pytest.raises(FloatingPointError, match="the loss is nan in epoch 0, stretch 0"):
        train_language_model(model, text(200), text(60), n_epochs=1, **TRAINING)
    with pytest.raises(ValueError, match="logits are not finite"):
        model.generate([0], 1)

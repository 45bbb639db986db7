"""Sequence to sequence: the loss by its definition, gradients, lengths, dropout, memory, decoding, files, training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scinn.nn import Adam
from scinn.nn.losses import softmax
from scinn.random import Key
from scinn.recurrent.cells import CELLS
from scinn.recurrent.contexts import CONTEXTS
from scinn.recurrent.ordinary import OrdinaryNetwork
from scinn.recurrent.seq2seq import Seq2Seq
from scinn.recurrent.translation_training import HalveOnRise, evaluate_translation, train_translation
from scinn.reference import recurrent as reference

N_SOURCE, N_TARGET, BEGIN, END = 9, 8, 1, 2
EVERY = [(cell, context) for cell in CELLS for context in CONTEXTS]


def build(cell: str, context: str, **options: Any) -> Seq2Seq:
    """Return a small float64 model whose weights are large enough for every part to matter."""
    n_slice = 2 if "slice" in context else None
    settings: dict[str, Any] = {
        "n_slice": n_slice,
        "rng": 3,
        "dtype": np.float64,
        "init_scale": 0.7,
        "block": 2,
    }
    if cell.startswith("rev"):
        settings["arithmetic"] = "real"
    sizes = {"n_embedding": 5, "n_hidden": 6, "n_layers": 1} | {
        name: options.pop(name) for name in ("n_embedding", "n_hidden", "n_layers") if name in options
    }
    model = Seq2Seq(N_SOURCE, N_TARGET, **sizes, cell=cell, context=context, **(settings | options))
    for i, (name, value) in enumerate(model.params.items()):
        if "bias" in name:
            value[...] = 0.3 * np.random.default_rng(i).normal(size=value.shape)
    return model


def batch(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return three pairs of different lengths."""
    rng = np.random.default_rng(seed)
    source_lengths, target_lengths = np.array([5, 1, 3]), np.array([3, 6, 2])
    source, target = rng.integers(3, N_SOURCE, (5, 3)), rng.integers(3, N_TARGET, (6, 3))
    target[0] = BEGIN
    target[target_lengths - 1, np.arange(3)] = END
    return source, source_lengths, target, target_lengths


def loss_by_definition(model: Seq2Seq, pairs: Any) -> float:
    """Compute a loss with ordinary cells, one pair after the other, without padding."""
    source, source_lengths, target, target_lengths = pairs
    p, total = model.params, 0.0

    def network(name: str, x: np.ndarray, states: Any) -> Any:
        cell, lasts = getattr(reference, model.cell), []
        for i in range(model.encoder.n_layers):
            weights = [p[f"{name}.{part}{i}"] for part in ("weight_x", "weight_h", "bias")]
            if model.cell == "gru":
                weights.append(p[f"{name}.bias_h{i}"])
            zeros = [np.zeros((1, model.n_hidden))] * (2 if model.cell == "lstm" else 1)
            x, *last = cell(x, *weights, *(states[i] if states else zeros))
            lasts.append(last)
        return x, lasts

    for b in range(source.shape[1]):
        words, target_words = source[: source_lengths[b], b], target[: target_lengths[b], b]
        embedded = p["source_embedding"][words][:, None]
        top, states = network("encoder", embedded, None)
        contexts = {
            "hidden": top,
            "embedding": embedded,
            "slice": top[..., :2],
            "slice_embedding": np.concatenate([embedded, top[..., :2]], axis=2),
        }[model.context][:, 0]
        queries, _ = network("decoder", p["target_embedding"][target_words[:-1]][:, None], states)
        for q, word in zip(queries[:, 0], target_words[1:]):
            weights = softmax(contexts @ (q @ p["attention.weight_score"]))
            output = np.tanh(np.concatenate([weights @ contexts, q]) @ p["attention.weight_out"])
            total -= np.log(softmax(output @ p["output.weight"] + p["output.bias"])[word])
    return total / source.shape[1]


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("n_layers", [1, 2])
def test_loss_by_the_definition(cell: str, context: str, n_layers: int) -> None:
    model, pairs = build(cell, context, n_layers=n_layers), batch()
    step = model.loss_and_gradients(*pairs)
    assert step.loss == pytest.approx(loss_by_definition(model, pairs), rel=1e-12)
    assert (step.n_tokens, step.n_source_tokens) == (8, 9)
    assert step.nats_per_token == pytest.approx(3 * step.loss / 8)
    nats, n_tokens = model.evaluate(*pairs)
    assert nats / 3 == pytest.approx(step.loss, rel=1e-12)
    assert n_tokens == 8


@pytest.mark.parametrize(("cell", "context"), EVERY)
@pytest.mark.parametrize(("n_layers", "dropout"), [(1, 0.0), (2, 0.3)])
def test_gradient_by_differences(cell: str, context: str, n_layers: int, dropout: float) -> None:
    model, pairs = build(cell, context, n_layers=n_layers, dropout=dropout), batch()
    grads = model.loss_and_gradients(*pairs, key=Key(5)).grads
    rng = np.random.default_rng(0)
    for name, value in model.params.items():
        assert grads[name].shape == value.shape
        direction = rng.normal(size=value.shape)
        losses = []
        for sign in (1.0, -1.0):
            value += sign * 1e-5 * direction
            losses.append(model.loss_and_gradients(*pairs, key=Key(5)).loss)
            value -= sign * 1e-5 * direction
        numeric = (losses[0] - losses[1]) / 2e-5
        assert np.sum(grads[name] * direction) == pytest.approx(numeric, rel=1e-6, abs=1e-8), name
        assert np.abs(grads[name]).max() > 0, name


@pytest.mark.parametrize("cell", ["rev_gru", "rev_lstm"])
@pytest.mark.parametrize("context", CONTEXTS)
def test_fixed_point_gradients_are_near_those_of_real_arithmetic(cell: str, context: str) -> None:
    pairs = batch()
    real = build(cell, context, n_layers=2).loss_and_gradients(*pairs)
    fixed = build(cell, context, n_layers=2, arithmetic="fixed").loss_and_gradients(*pairs)
    assert fixed.loss == pytest.approx(real.loss, rel=1e-3)
    for name, value in real.grads.items():
        scale = np.abs(value).max()
        np.testing.assert_allclose(fixed.grads[name], value, rtol=0, atol=1e-2 * scale, err_msg=name)


@pytest.mark.parametrize("cell", ["rev_gru", "rev_lstm"])
@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("coder", ["rans", "floor_digit", "planes"])
def test_undone_and_stored_states_give_the_same_gradients(cell: str, context: str, coder: str) -> None:
    model = build(cell, context, n_layers=2, arithmetic="fixed", dropout=0.2, coder=coder)
    modes: dict[str, dict[str, Any]] = {"reverse": {}, "store": {}}
    if coder == "floor_digit":
        # With the other coders a state depends on what the tape holds, and so on where segments begin.
        modes |= {"checkpoint": {"segment": 2}, "hybrid": {"segment": 2}}
    steps = [model.loss_and_gradients(*batch(), key=Key(1), memory=m, **own) for m, own in modes.items()]
    for step in steps[1:]:
        assert step.loss == steps[0].loss
        for name, value in steps[0].grads.items():
            np.testing.assert_array_equal(step.grads[name], value, err_msg=name)
    assert steps[0].encoder_memory.stored_bits > 0
    # The tapes of the other coders decide bits of the states, and are thrown away at the end.
    assert (steps[1].encoder_memory.stored_bits == 0) == (coder == "floor_digit")
    assert steps[0].decoder_memory.kept_bits < steps[1].decoder_memory.kept_bits


def test_the_whole_state_as_context_saves_no_memory_in_the_encoder_but_in_the_decoder() -> None:
    rng = np.random.default_rng(0)
    source, target = rng.integers(3, N_SOURCE, (40, 4)), rng.integers(3, N_TARGET, (40, 4))
    lengths = np.full(4, 40)
    ratios = {}
    for context in CONTEXTS:
        model = Seq2Seq(
            N_SOURCE, N_TARGET, 8, 32, context=context, n_slice=4 if "slice" in context else None, rng=0
        )
        step = model.loss_and_gradients(source, lengths, target, lengths)
        ratios[context] = step.encoder_memory.ratio, step.decoder_memory.ratio
    assert ratios["hidden"][0] <= 1.0
    assert ratios["embedding"][0] > ratios["slice"][0] > 2.0
    assert ratios["slice"][0] == pytest.approx(ratios["slice_embedding"][0], rel=0.2)
    assert all(decoder > 3.0 for _, decoder in ratios.values())


@pytest.mark.parametrize("cell", CELLS)
def test_what_lies_behind_the_lengths_is_not_looked_at(cell: str) -> None:
    model, (source, source_lengths, target, target_lengths) = build(cell, "slice_embedding"), batch()
    one = model.loss_and_gradients(source, source_lengths, target, target_lengths)
    changed = [
        np.where(np.arange(len(ids))[:, None] < lengths, ids, 0)
        for ids, lengths in ((source, source_lengths), (target, target_lengths))
    ]
    other = model.loss_and_gradients(changed[0], source_lengths, changed[1], target_lengths)
    assert one.loss == other.loss
    for name, value in one.grads.items():
        np.testing.assert_array_equal(other.grads[name], value)
    assert (one.grads["source_embedding"][0] == 0).all()
    assert (one.grads["target_embedding"][[0, END]] == 0).all()


@pytest.mark.parametrize("cell", ["gru", "rev_gru"])
def test_a_batch_is_the_mean_of_its_rows(cell: str) -> None:
    model, (source, source_lengths, target, target_lengths) = build(cell, "slice_embedding"), batch()
    whole = model.loss_and_gradients(source, source_lengths, target, target_lengths)
    rows = []
    for b in range(3):
        n, m = source_lengths[b], target_lengths[b]
        rows.append(model.loss_and_gradients(source[:n, b : b + 1], [n], target[:m, b : b + 1], [m]))
    assert whole.loss == pytest.approx(np.mean([row.loss for row in rows]), rel=1e-12)
    for name, value in whole.grads.items():
        np.testing.assert_allclose(np.mean([row.grads[name] for row in rows], axis=0), value, atol=1e-12)


@pytest.mark.parametrize("cell", ["gru", "rev_lstm"])
def test_masks_come_from_the_key(cell: str) -> None:
    model, pairs = build(cell, "slice_embedding", dropout=0.5), batch()
    losses = [model.loss_and_gradients(*pairs, key=Key(seed)).loss for seed in (0, 0, 1)]
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]
    plain = model.loss_and_gradients(*pairs, train=False).loss
    assert plain == pytest.approx(build(cell, "slice_embedding").loss_and_gradients(*pairs).loss, rel=1e-12)
    with pytest.raises(ValueError, match="pass key="):
        model.loss_and_gradients(*pairs)


@pytest.mark.parametrize("cell", CELLS)
def test_greedy_decoding_against_whole_prefixes(cell: str) -> None:
    model, (source, source_lengths, *_) = build(cell, "slice_embedding"), batch()
    found = model.greedy(source, source_lengths, begin=BEGIN, end=END, max_steps=5)
    for b, hypothesis in enumerate(found):
        n, prefix, total = source_lengths[b], [BEGIN], 0.0
        own = source[:n, b : b + 1]
        for _ in range(5):
            nats = [
                model.evaluate(own, [n], np.array([[*prefix, s]]).T, [len(prefix) + 1])[0]
                for s in range(N_TARGET)
            ]
            prefix.append(int(np.argmin(nats)))
            total = -min(nats)
            if prefix[-1] == END:
                break
        assert hypothesis.tokens.tolist() == [s for s in prefix[1:] if s != END]
        assert hypothesis.log_probability == pytest.approx(total, abs=1e-9)
        assert hypothesis.attention is not None
        assert (hypothesis.attention[:, n:] == 0).all()
        np.testing.assert_allclose(hypothesis.attention.sum(axis=1), 1.0)


@pytest.mark.parametrize("cell", ["lstm", "rev_gru"])
def test_a_wide_beam_finds_the_likeliest_sequence(cell: str) -> None:
    model, (source, source_lengths, *_) = build(cell, "slice_embedding"), batch()
    wide = model.beam_search(source, source_lengths, begin=BEGIN, end=END, beam=64, max_steps=2, n_best=64)
    for b, hypotheses in enumerate(wide):
        n = source_lengths[b]
        sequences = [(END,), *((s, t) for s in range(N_TARGET) if s != END for t in range(N_TARGET))]
        nats = []
        for sequence in sequences:
            pair = np.array([[BEGIN, *sequence]]).T
            nats.append(model.evaluate(source[:n, b : b + 1], [n], pair, [len(pair)])[0])
        order = np.argsort(nats, kind="stable")
        wanted = [[s for s in sequences[i] if s != END] for i in order]
        assert [h.tokens.tolist() for h in hypotheses] == wanted
        np.testing.assert_allclose([-h.log_probability for h in hypotheses], np.sort(nats), atol=1e-9)


@pytest.mark.parametrize("cell", CELLS)
def test_saved_and_loaded(cell: str, tmp_path: Any) -> None:
    model, pairs = build(cell, "slice_embedding", dropout=0.1), batch()
    model.save(tmp_path / "model.npz")
    loaded = Seq2Seq.load(tmp_path / "model.npz")
    assert loaded.config() == model.config()
    one, other = (m.loss_and_gradients(*pairs, key=Key(2)) for m in (model, loaded))
    assert one.loss == other.loss
    for name, value in one.grads.items():
        np.testing.assert_array_equal(other.grads[name], value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"context": "slices", "n_slice": 2}, "context is 'slices'"),
        ({"context": "slice", "n_slice": None}, "needs n_slice"),
        ({"context": "hidden", "n_slice": 2}, "leave it out"),
        ({"context": "slice", "n_slice": 4}, "at most 3 of 6"),
        ({"cell": "rnn"}, "cell is 'rnn'"),
        ({"n_hidden": 5, "n_slice": 2}, "even"),
        ({"dropout": 1.0}, "dropout_input is 1.0"),
        ({"n_source": 0}, "n_source is 0"),
        ({"cell": "rev_lstm", "compat": True}, "compat=True is an option of cell='rev_gru'"),
        ({"cell": "rev_gru", "bounded": 4}, "bounded=4 is an option of cell='rev_lstm'"),
        ({"cell": "lstm", "coder": "planes"}, "coder='planes' is an option of"),
    ],
)
def test_messages_of_the_constructor(options: dict[str, Any], message: str) -> None:
    settings: dict[str, Any] = {"n_source": 5, "n_target": 5, "n_embedding": 4, "n_hidden": 6, "n_slice": 2}
    with pytest.raises(ValueError, match=message):
        Seq2Seq(**(settings | options))


def test_short_names_of_contexts() -> None:
    assert Seq2Seq(5, 5, 4, 4, context="emb").context == "embedding"
    assert Seq2Seq(5, 5, 4, 4, context="slice_emb", n_slice=1).context == "slice_embedding"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": np.full((5, 3), N_SOURCE)}, "source holds the index 9"),
        ({"source_lengths": [5, 0, 3]}, "between 1 and the 5 steps of source"),
        ({"source_lengths": [5, 3]}, "source_lengths has 2 entries"),
        ({"target_lengths": [3, 1, 2]}, "between 2 and the 6 steps of target"),
        ({"target": np.zeros((6, 2), dtype=int), "target_lengths": [6, 6]}, "source has 3 rows, target 2"),
        ({"source": np.zeros(5, dtype=int)}, "2 dimensions"),
    ],
)
def test_messages_for_pairs(change: dict[str, Any], message: str) -> None:
    names = ("source", "source_lengths", "target", "target_lengths")
    with pytest.raises(ValueError, match=message):
        build("gru", "embedding").loss_and_gradients(**(dict(zip(names, batch())) | change))


def test_messages_for_decoding_and_memory() -> None:
    model, pairs = build("gru", "embedding"), batch()
    with pytest.raises(ValueError, match="end is 8"):
        model.beam_search(*pairs[:2], begin=BEGIN, end=N_TARGET)
    for option in ({"memory": "hybrid"}, {"memory": "reverse"}, {"monitor": True}, {"budget_bytes": 9}):
        with pytest.raises(ValueError, match="cell 'gru' stores all its states"):
            model.loss_and_gradients(*pairs, **option)
    with pytest.raises(ValueError, match="budget_bytes is for memory='auto'"):
        build("rev_gru", "embedding", arithmetic="fixed").loss_and_gradients(*pairs, budget_bytes=9)


def test_a_budget_is_kept_by_encoder_and_decoder() -> None:
    rng = np.random.default_rng(0)
    ids, lengths = rng.integers(3, N_TARGET, (200, 2)), np.full(2, 200)
    model = Seq2Seq(N_SOURCE, N_TARGET, 8, 16, context="embedding", rng=0)
    step = model.loss_and_gradients(ids, lengths, ids, lengths, memory="auto", budget_bytes=20_000)
    for report in (step.encoder_memory, step.decoder_memory):
        assert 0 < report.stored_bits + report.kept_bits < 8 * 20_000 < report.naive_bits
    with pytest.raises(ValueError, match="budget_bytes is 100"):
        model.loss_and_gradients(ids, lengths, ids, lengths, memory="auto", budget_bytes=100)


@pytest.mark.parametrize("cell", ["gru", "rev_gru"])
def test_attention_and_softmax_are_computed_with_one_thread(
    cell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scinn.recurrent.attention import Attention
    from scinn.recurrent.streaming import blas_controller, blas_threads

    seen, forward = [], Attention.forward

    def watched(*arguments: Any, **options: Any) -> Any:
        seen.append({library["num_threads"] for library in blas_controller().info()})
        return forward(*arguments, **options)

    monkeypatch.setattr(Attention, "forward", watched)
    model, pairs = build(cell, "slice_embedding"), batch()
    calls = [
        lambda: model.loss_and_gradients(*pairs),
        lambda: model.evaluate(*pairs),
        lambda: model.greedy(*pairs[:2], begin=BEGIN, end=END, max_steps=2),
    ]
    with blas_threads(2):
        for call in calls:
            seen.clear()
            call()
            assert seen
            assert all(threads == {1} for threads in seen)


# Ordinary networks behind the interface of the reversible ones


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("lengths", [None, [4, 1, 3]])
def test_an_ordinary_network_with_all_masks_has_the_gradients_of_its_loss(cell: str, lengths: Any) -> None:
    rng = np.random.default_rng(0)
    net = OrdinaryNetwork(cell, 3, [4, 5], 2, dropout=0.3, weight_drop=0.4, block=3, dtype=np.float64, rng=1)
    x, weights = rng.normal(size=(4, 3, 3)), rng.normal(size=(4, 3, 5))
    state = tuple(tuple(rng.normal(size=a.shape) for a in layer) for layer in net.initial_state(3))
    dlast = tuple(tuple(rng.normal(size=a.shape) for a in layer) for layer in state)

    def loss() -> float:
        trace = net.forward_pass(x, state=state, lengths=lengths, key=Key(3))
        last = sum(float((a * d).sum()) for one, two in zip(trace.state, dlast) for a, d in zip(one, two))
        return float((trace.outputs * weights).sum()) + last

    trace = net.forward_pass(x, state=state, lengths=lengths, key=Key(3))
    grads, dstate, dx = net.backward_pass(trace, lambda first, end, top: weights[first:end], dstate=dlast)
    arrays = {**net.params, "x": x} | {
        f"s{i}{j}": a for i, layer in enumerate(state) for j, a in enumerate(layer)
    }
    found = {**grads, "x": dx} | {
        f"s{i}{j}": a for i, layer in enumerate(dstate) for j, a in enumerate(layer)
    }
    for name, value in arrays.items():
        direction = rng.normal(size=value.shape)
        losses = []
        for sign in (1.0, -1.0):
            value += sign * 1e-5 * direction
            losses.append(loss())
            value -= sign * 1e-5 * direction
        assert np.sum(found[name] * direction) == pytest.approx((losses[0] - losses[1]) / 2e-5, rel=1e-6), (
            name
        )
    with pytest.raises(ValueError, match="used already"):
        net.backward_pass(trace, lambda first, end, top: None)


def test_saved_outputs_of_an_ordinary_network_cannot_be_written_to() -> None:
    net = OrdinaryNetwork("gru", 3, 4, rng=0)
    x = np.ones((5, 2, 3), np.float32)

    def writes(first: int, end: int, outputs: np.ndarray) -> np.ndarray:
        outputs *= 2
        return outputs

    with pytest.raises(ValueError, match="read-only"):
        net.backward_pass(net.forward_pass(x), writes)
    trace = net.forward_pass(x, keep=2)
    with pytest.raises(ValueError, match="read-only"):
        trace.kept[...] = 0
    assert net.backward_pass(trace, lambda first, end, outputs: outputs).grads["bias0"].any()
    assert net.run(x)[0].flags.writeable


def test_messages_and_text_of_an_ordinary_network() -> None:
    net = OrdinaryNetwork("lstm", 3, [4, 5], 2, rng=0)
    assert repr(net) == f"OrdinaryNetwork('lstm', 3 -> 4, 5; {net.n_parameters} parameters)"
    wanted = r"x must be an ndarray or a stream of shape \(n_steps, n_rows, 3\)"
    for x, came in (([[[1.0, 2.0, 3.0]]], "got list"), (np.ones((2, 3)), r"got float64 \(2, 3\)")):
        for call in (net.run, net.forward_pass):
            with pytest.raises(ValueError, match=f"{wanted}.*{came}"):
                call(x)
    with pytest.raises(ValueError, match="n_hidden has 3 widths for 2 layers"):
        OrdinaryNetwork("lstm", 3, [4, 5, 6], 2)


def test_the_memory_of_an_ordinary_network_is_more_than_its_states() -> None:
    net = OrdinaryNetwork("gru", 4, 4, rng=0)
    report = net.forward_pass(np.ones((10, 2, 4), np.float32), train=False).memory_report()
    assert report.kept_bits > 32 * 10 * 2 * 4
    assert report.ratio < 1.0


# Training


def copies(n: int, seed: int) -> tuple[list[list[int]], list[list[int]]]:
    """Return sentences to be repeated: learnt only by attending or remembering."""
    rng = np.random.default_rng(seed)
    source = [rng.integers(3, 8, rng.integers(1, 4)).tolist() for _ in range(n)]
    return source, [[BEGIN, *sentence, END] for sentence in source]


def train(model: Seq2Seq, n_epochs: int, **options: Any) -> Any:
    settings = {"optimizer": Adam(0.02), "batch_size": 16, "key": 1, "clip": 5.0}
    return train_translation(model, copies(200, 0), copies(40, 1), n_epochs=n_epochs, **(settings | options))


@pytest.mark.parametrize("cell", ["gru", "rev_gru"])
def test_training_learns_to_copy(cell: str) -> None:
    model = Seq2Seq(8, 8, 12, 16, cell=cell, context="slice_embedding", n_slice=4, dropout=0.1, rng=0)
    before = evaluate_translation(model, copies(40, 1))
    history = train(model, 8)
    after = evaluate_translation(model, copies(40, 1))
    assert after.perplexity < 0.5 * before.perplexity
    assert after.perplexity == pytest.approx(min(history["val_perplexity"]), rel=1e-6)
    assert after.n_tokens == sum(len(sentence) - 1 for sentence in copies(40, 1)[1])


def test_memory_of_encoder_and_decoder_is_recorded_apart() -> None:
    history = train(Seq2Seq(8, 8, 12, 16, context="slice", n_slice=8, rng=0), 1)
    assert 0 < history["encoder_ratio"][0] < history["decoder_ratio"][0]


@pytest.mark.parametrize("cell", ["lstm", "rev_lstm"])
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(cell: str, tmp_path: Any) -> None:
    def fresh() -> Seq2Seq:
        return Seq2Seq(8, 8, 6, 8, cell=cell, context="slice_embedding", n_slice=2, dropout=0.2, rng=0)

    path = tmp_path / "run.npz"
    options: dict[str, Any] = {"optimizer": None, "learning_rate": 0.5}
    whole, parts, resumed = fresh(), fresh(), fresh()
    history = train(whole, 3, **options)
    train(parts, 1, checkpoint=path, **options)
    again = train(resumed, 3, checkpoint=path, **options)
    assert again.records == history.records
    for name, value in whole.params.items():
        np.testing.assert_array_equal(resumed.params[name], value)


def test_the_rate_is_halved_when_the_perplexity_rises() -> None:
    schedule = HalveOnRise(1.0)
    assert [
        schedule(values) for values in ([], [3.0], [3.0, 4.0], [3.0, 4.0, 3.5], [3.0, 4.0, 3.5, 3.6, 3.7])
    ] == [
        1.0,
        1.0,
        0.5,
        0.5,
        0.125,
    ]


def test_a_run_that_stopped_by_itself_is_not_continued(tmp_path: Any) -> None:
    options: dict[str, Any] = {"optimizer": None, "learning_rate": 8.0, "stop_below": 5.0, "clip": 100.0}
    histories = []
    for _ in range(2):
        model = Seq2Seq(8, 8, 6, 8, cell="gru", context="embedding", rng=0)
        # Steps of this size make the validation worse sooner or later.
        histories.append(train(model, 40, checkpoint=tmp_path / "run.npz", **options))
    assert histories[0].stopped == "callback"
    assert len(histories[0]) < 40
    assert histories[0]["learning_rate"][-1] == 8.0
    assert histories[1].records == histories[0].records


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clip": 0.0}, "clip"),
        ({"batch_size": 0}, "batch_size"),
        ({"stop_below": -1.0}, "stop_below"),
        ({"key": "seed"}, "key must be a scinn.random.Key or an int, got str"),
        ({"key": True}, "key must be a scinn.random.Key or an int, got bool"),
        ({"optimizer": "sgd"}, "optimizer must be one of"),
        ({"memory": "hybrid"}, "stores all its states"),
        ({"monitor": True}, "got monitor=True"),
    ],
)
def test_messages_of_training(options: dict[str, Any], message: str) -> None:
    model = Seq2Seq(8, 8, 6, 8, cell="gru", context="embedding", rng=0)
    with pytest.raises((TypeError, ValueError), match=message):
        train(model, 1, **options)


def test_what_is_trained_must_be_a_model() -> None:
    with pytest.raises(TypeError, match="model must be a Seq2Seq, got NoneType"):
        train(None, 1)  # type: ignore[arg-type]


def test_numpy_seeds_and_ways_of_remembering_in_training() -> None:
    histories = []
    for key, options in (
        (1, {}),
        (np.int64(1), {}),
        (1, {"memory": "hybrid", "segment": 8, "monitor": True}),
    ):
        model = Seq2Seq(8, 8, 6, 8, context="embedding", rng=0)
        histories.append(train(model, 1, key=key, **options))
    assert histories[0].records == histories[1].records
    assert "encoder_ideal_ratio" in histories[2].records[0]
    with pytest.raises(ValueError, match="budget_bytes is 100"):
        train(Seq2Seq(8, 8, 6, 8, context="embedding", rng=0), 1, memory="auto", budget_bytes=100)

"""The training loop: what it computes, when it stops, and that interrupted runs end in the same bits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from threadpoolctl import threadpool_limits

from scinn._files import read_npz
from scinn.nn import (
    SGD,
    Adam,
    Batch,
    BatchNorm,
    Constant,
    Cosine,
    Dense,
    Dropout,
    History,
    Layer,
    Network,
    ReduceLROnPlateau,
    ReLU,
    Warmup,
    fit,
    minibatches,
    mse,
    softmax_cross_entropy,
)
from scinn.random import Key


def data(n: int = 96, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5)).astype(np.float32)
    return x, (x[:, 0] * x[:, 1] > 0).astype(np.int64) + (x[:, 2] > 1)


def model() -> Network:
    return Network.sequential(Dense(5, 16, rng=1), BatchNorm(16), ReLU(), Dropout(0.3), Dense(16, 3, rng=2))


def validation(network) -> dict[str, float]:
    x, y = data(40, seed=9)
    logits = network(x)
    return {
        "val_loss": softmax_cross_entropy(logits, y)[0],
        "val_accuracy": np.mean(logits.argmax(axis=1) == y),
    }


def train(network: Network, n_epochs: int, **options) -> History:
    """Everything on: batch norm, dropout, momentum, a schedule, early stopping."""
    x, y = data()
    settings = {
        "optimizer": SGD(0.1, momentum=0.9, weight_decay=1e-3),
        "key": Key(5),
        "validate": validation,
        "patience": 4,
        "schedule": Warmup(Cosine(0.2, 60), 5),
    }
    return fit(
        network,
        softmax_cross_entropy,
        minibatches(x, y, batch_size=25),
        n_epochs=n_epochs,
        **settings | options,
    )


def bits(network: Network) -> bytes:
    return b"".join(value.tobytes() for value in (*network.params.values(), *network.state.values()))


SCRIPT = """
import sys
sys.path.insert(0, {folder!r})
import test_training as t
network = t.model()
history = t.train(network, {n_epochs}, checkpoint={checkpoint!r}, **{options})
sys.stdout.write(t.bits(network).hex() + " " + repr(history.records) + " " + history.stopped)
"""


def in_new_process(n_epochs: int, checkpoint: Path | None, options: str = "{}", **environment: str) -> str:
    script = SCRIPT.format(
        folder=str(Path(__file__).parent),
        n_epochs=n_epochs,
        checkpoint=None if checkpoint is None else str(checkpoint),
        options=options,
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("restore_best", [True, False])
def test_resuming_in_a_new_process_gives_the_bits_of_one_run(tmp_path: Path, restore_best: bool) -> None:
    straight = model()
    history = train(straight, 7, restore_best=restore_best)
    first = model()
    train(first, 3, checkpoint=tmp_path / "run.npz", restore_best=restore_best)
    resumed = in_new_process(7, tmp_path / "run.npz", f"dict(restore_best={restore_best})")
    assert resumed == f"{bits(straight).hex()} {history.records!r} {history.stopped}"


def test_a_run_killed_between_checkpoints_ends_in_the_same_bits(tmp_path: Path) -> None:
    straight = model()
    history = train(straight, 8)

    class Killed(BaseException):
        pass

    def kill(record: dict) -> None:
        if record["epoch"] == 5:
            raise Killed

    with pytest.raises(Killed):
        train(model(), 8, checkpoint=tmp_path / "run.npz", checkpoint_every=2, callback=kill)
    assert len(read_npz(tmp_path / "run.npz")[1]["records"]) == 4
    again = model()
    resumed = train(again, 8, checkpoint=tmp_path / "run.npz", checkpoint_every=2)
    assert bits(again) == bits(straight)
    assert resumed.records == history.records


def test_resuming_a_plateau_schedule_and_early_stopping(tmp_path: Path) -> None:
    options = {"schedule": ReduceLROnPlateau(0.3, factor=0.5, patience=0), "patience": 3}
    straight, again = model(), model()
    history = train(straight, 60, **options)
    assert history.stopped == "patience"
    assert len(history) == history.best["epoch"] + 4
    assert history["learning_rate"][-1] < 0.3
    cut = len(history) - 2
    train(model(), cut, checkpoint=tmp_path / "run.npz", **options)
    resumed = train(again, 60, checkpoint=tmp_path / "run.npz", **options)
    assert resumed.records == history.records
    assert resumed.stopped == "patience"
    assert bits(again) == bits(straight)
    finished = model()
    assert train(finished, 60, checkpoint=tmp_path / "run.npz", **options).records == history.records
    assert bits(finished) == bits(straight)


def test_bits_do_not_depend_on_the_number_of_threads() -> None:
    runs = {
        in_new_process(
            3, None, "dict(patience=None)", OPENBLAS_NUM_THREADS=n, NUMBA_NUM_THREADS=n, OMP_NUM_THREADS=n
        )
        for n in ("1", "2")
    }
    assert len(runs) == 1


def test_a_wide_product_is_the_same_at_both_numbers_of_threads() -> None:
    x, y = np.random.default_rng(0).normal(size=(600, 400)).astype(np.float32), np.zeros(600, int)

    def once() -> bytes:
        network = Network.sequential(Dense(400, 300, rng=0), Dense(300, 4, rng=1))
        fit(network, softmax_cross_entropy, [Batch(x, y)], optimizer=SGD(0.1), n_epochs=2, key=0)
        return bits(network)

    with threadpool_limits(1):
        narrow = once()
    with threadpool_limits(2):
        assert once() == narrow


def test_the_loop_is_the_sum_of_its_parts() -> None:
    x, y = data()
    network, by_hand = model(), model()
    optimizer = Adam(0.01)
    fit(
        network,
        softmax_cross_entropy,
        minibatches(x, y, batch_size=40),
        optimizer=optimizer,
        n_epochs=2,
        key=3,
    )
    state = optimizer.init(by_hand.params)
    with threadpool_limits(1, "blas"):
        for epoch in range(2):
            for i, batch in enumerate(minibatches(x, y, batch_size=40)(Key(3).child("batches", epoch))):
                logits, saved = by_hand.forward(*batch.inputs, train=True, key=Key(3).child("step", epoch, i))
                _, dlogits = softmax_cross_entropy(logits, batch.target)
                optimizer.step(by_hand.params, by_hand.backward(saved, dlogits)[1], state)
                by_hand.update_state(saved)
    assert bits(network) == bits(by_hand)


def test_training_learns_and_restores_its_best_epoch() -> None:
    network = model()
    history = train(network, 40, patience=None)
    assert history["train_loss"][-1] < 0.6 * history["train_loss"][0]
    assert history.best["val_loss"] == history["val_loss"].min()
    assert validation(network)["val_loss"] == history.best["val_loss"]
    last = model()
    after = train(last, 40, patience=None, restore_best=False)
    assert after.records == history.records
    assert validation(last)["val_loss"] == history["val_loss"][-1]


def test_accuracy_is_maximised() -> None:
    history = train(model(), 12, monitor="val_accuracy", patience=None)
    assert history.mode == "max"
    assert history.best["val_accuracy"] == history["val_accuracy"].max()
    assert train(model(), 2, monitor="val_accuracy", mode="min").mode == "min"


class Propagate(Layer):
    """Multiply by the matrix in the context, as graph layers do."""

    context = ("graph",)

    def forward(self, x, *, graph, train=False, key=None):
        return graph @ x, (graph,)

    def backward(self, saved, dy):
        return saved[0].T @ dy, {}


def test_full_batch_node_classification_with_context_and_masks() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 30)
    edges = (rng.random((60, 60)) < np.where(labels[:, None] == labels, 0.3, 0.02)).astype(np.float32)
    graph = sparse.csr_array(edges / np.maximum(edges.sum(axis=1, keepdims=True), 1))
    features = sparse.csr_array(np.eye(60, dtype=np.float32))
    mask = np.zeros(60, bool)
    mask[rng.permutation(60)[:20]] = True
    network = Network.sequential(
        Dropout(0.2), Dense(60, 8, rng=0), Propagate(), ReLU(), Dense(8, 2, rng=1), Propagate()
    )
    batch = Batch(features, labels, {"graph": graph}, mask)

    def validate(network) -> dict[str, float]:
        right = network(features, graph=graph).argmax(axis=1) == labels
        return {"val_accuracy": right[~mask].mean()}

    history = fit(
        network,
        softmax_cross_entropy,
        [batch],
        optimizer=Adam(0.05, weight_decay=1e-3),
        n_epochs=40,
        key=0,
        validate=validate,
        monitor="val_accuracy",
    )
    assert history.best["val_accuracy"] > 0.9


def test_steps_of_another_form() -> None:
    target = np.array([[1.0, -2.0]])
    network = Network.sequential(Dense(2, 2, dtype=np.float64, rng=0))
    keys = []

    def step(network, batch, key):
        keys.append(key)
        y, saved = network.forward(batch, train=True, key=key)
        loss, dy = mse(y, target)
        return loss, network.backward(saved, dy)[1], saved

    history = fit(
        network, None, [np.ones((1, 2))], loss_and_gradients=step, optimizer=SGD(0.3), n_epochs=60, key=0
    )
    assert history["train_loss"][-1] < 1e-6
    assert len(set(keys)) == 60


def test_batches_that_are_plain_tuples() -> None:
    x, y = data()
    history = fit(model(), softmax_cross_entropy, [(x, y)], optimizer=SGD(0.1), n_epochs=2, key=0)
    assert history["train_loss"][1] < history["train_loss"][0]


def test_epoch_loss_is_weighted_by_counted_rows() -> None:
    network = Network.sequential(Dense(1, 1, init="zeros", dtype=np.float64))
    batches = [
        Batch(np.ones((3, 1)), np.full((3, 1), 2.0)),
        Batch(np.ones((5, 1)), np.zeros((5, 1)), {}, np.array([1, 0, 0, 0, 0], bool)),
    ]
    history = fit(network, mse, batches, optimizer=SGD(0.0), n_epochs=1, key=0)
    assert history["train_loss"].tolist() == [4.0 * 3 / 4]


class TestMinibatches:
    def test_every_row_once_an_epoch_in_an_order_of_its_own(self) -> None:
        batches = minibatches(np.arange(10.0)[:, None], np.arange(10), batch_size=3)
        orders = [
            np.concatenate([batch.target for batch in batches(Key(0).child("batches", e))]) for e in (0, 1, 0)
        ]
        assert all(sorted(order) == list(range(10)) for order in orders)
        assert orders[0].tolist() == orders[2].tolist()
        assert orders[0].tolist() != orders[1].tolist()

    def test_without_shuffling_and_without_the_last(self) -> None:
        batches = minibatches(
            np.arange(7.0)[:, None], np.arange(7), batch_size=3, shuffle=False, drop_last=True
        )
        assert [batch.target.tolist() for batch in batches(Key(0))] == [[0, 1, 2], [3, 4, 5]]

    def test_sparse_and_several_inputs(self) -> None:
        x = sparse.csr_array(np.diag(np.arange(1.0, 6.0)))
        (batch,) = minibatches((x, np.arange(5)), np.arange(5), batch_size=5)(Key(2))
        np.testing.assert_array_equal(batch.inputs[0].toarray().sum(axis=1), batch.target + 1)
        np.testing.assert_array_equal(batch.inputs[1], batch.target)

    @pytest.mark.parametrize(
        ("arguments", "options", "message"),
        [
            ((np.ones((3, 1)), np.ones(4)), {"batch_size": 1}, "input 0 has 3 rows, target 4"),
            ((np.ones((0, 1)), np.ones(0)), {"batch_size": 1}, "there are no rows"),
            ((np.ones((3, 1)), np.ones(3)), {"batch_size": 0}, "batch_size must be a positive integer"),
            ((np.ones((3, 1)), np.ones(3)), {"batch_size": 4, "drop_last": True}, "leaves no batch"),
        ],
    )
    def test_bad_arguments(self, arguments, options, message) -> None:
        with pytest.raises(ValueError, match=message):
            minibatches(*arguments, **options)


class TestStopping:
    def test_callback_sees_every_epoch_and_may_stop(self) -> None:
        seen = []

        def callback(record: dict) -> bool:
            seen.append(record["epoch"])
            record["epoch"] = "scribble"
            return len(seen) == 3

        history = train(model(), 10, callback=callback)
        assert seen == [0, 1, 2]
        assert history.stopped == "callback"
        assert [record["epoch"] for record in history.records] == [0, 1, 2]

    def test_patience_counts_epochs_without_a_new_best(self) -> None:
        values = [3.0, 2.0, 2.0, 2.5, 1.0, 1.0, 1.0, 1.5, 0.5]
        stream = iter(values)
        history = train(model(), 20, validate=lambda network: {"val_loss": next(stream)}, patience=3)
        assert history["val_loss"].tolist() == values[:8]
        assert history.best["epoch"] == 4
        assert history.stopped == "patience"

    def test_nan_metrics_are_no_best(self, tmp_path: Path) -> None:
        values = [float("nan"), 1.0, float("inf"), float("nan")]
        stream = iter(values)
        history = train(
            model(),
            4,
            validate=lambda network: {"val_loss": next(stream)},
            patience=9,
            checkpoint=tmp_path / "a.npz",
        )
        assert history.best["epoch"] == 1
        restored = train(
            model(), 4, validate=lambda network: {"val_loss": 0.0}, checkpoint=tmp_path / "a.npz"
        )
        np.testing.assert_array_equal(restored["val_loss"], values)


def test_history() -> None:
    history = train(model(), 3)
    assert len(history) == 3
    assert "3 epochs" in repr(history)
    assert repr(History(())) == "History(0 epochs)"
    assert history.to_dict()["records"] == list(history.records)
    assert [line.get_label() for line in history.plot().lines] == ["train loss", "val loss", "best epoch"]
    with pytest.raises(KeyError, match="no epoch recorded 'f1'; recorded:"):
        history["f1"]
    with pytest.raises(ValueError, match="no epoch was run"):
        _ = History(()).best


class TestMessages:
    def test_checkpoint_of_another_run(self, tmp_path: Path) -> None:
        path = tmp_path / "run.npz"
        train(model(), 2, checkpoint=path)
        with pytest.raises(ValueError, match="belongs to another run") as error:
            train(model(), 4, checkpoint=path, key=Key(6), optimizer=Adam())
        assert "seed: 5 in the file, 6 now" in str(error.value)
        assert "optimizer: 'SGD(" in str(error.value)
        with pytest.raises(ValueError, match="holds 2 epochs, n_epochs is 1"):
            train(model(), 1, checkpoint=path)
        other = Network.sequential(Dense(5, 3, rng=0))
        with pytest.raises(ValueError, match="do not fit this run") as error:
            train(other, 4, checkpoint=path)
        assert "unexpected: params/batchnorm1.scale" in str(error.value)
        assert len(train(model(), 1, checkpoint=path, resume=False)) == 1

    def test_a_network_file_is_no_checkpoint(self, tmp_path: Path) -> None:
        model().save(tmp_path / "network.npz")
        with pytest.raises(ValueError, match="is not a training checkpoint"):
            train(model(), 2, checkpoint=tmp_path / "network.npz")

    def test_divergence(self) -> None:
        def step(network, batch, key):
            return float("nan"), {}, ()

        with pytest.raises(
            FloatingPointError, match=r"the loss is nan in epoch 0, batch 0: lower the learning rate"
        ):
            fit(model(), None, [1], loss_and_gradients=step, optimizer=SGD(), n_epochs=1, key=0)

    def test_exhausted_batches(self) -> None:
        x, y = data()
        with pytest.raises(ValueError, match=r"epoch 1 had no batches.*not a generator that is used up"):
            fit(
                model(), softmax_cross_entropy, (b for b in [Batch(x, y)]), optimizer=SGD(), n_epochs=2, key=0
            )

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"key": "a"}, TypeError, "key must be a scinn"),
            ({"patience": 0}, ValueError, "patience must be a positive integer, got 0"),
            ({"checkpoint_every": 0}, ValueError, "checkpoint_every must be"),
            ({"mode": "best"}, ValueError, "mode must be 'min' or 'max'"),
            ({"monitor": "val_f1"}, ValueError, "monitor='val_f1' is not among the recorded values"),
            ({"loss_and_gradients": lambda *a: a}, ValueError, "give exactly one of loss_function and"),
            ({"schedule": Constant(1.0), "n_epochs": 0}, ValueError, "n_epochs must be"),
        ],
    )
    def test_bad_arguments(self, options, error, message) -> None:
        x, y = data()
        settings = {"optimizer": SGD(), "n_epochs": 1, "key": 0, "validate": validation} | options
        with pytest.raises(error, match=message):
            fit(model(), softmax_cross_entropy, [Batch(x, y)], **settings)

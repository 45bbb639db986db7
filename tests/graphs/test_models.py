"""Networks, training protocols and the node classifier; accuracy on Cora where the data are there."""

from __future__ import annotations

import json

import numpy as np
import pytest
from matplotlib.axes import Axes
from scipy import sparse

from scinn.datasets import GraphCollection, load
from scinn.graphs import (
    FrameletTransform,
    Graph,
    NodeClassifier,
    gcn_network,
    graph_classifier,
    mlp_network,
    train_graph_classifier,
    train_node_classifier,
    ufg_network,
)
from scinn.graphs.models import coefficient_shares
from scinn.graphs.training import Split, graph_batches
from scinn.nn import Network
from scinn.random import Key
from scinn.verify import check_gradient

N = 60


@pytest.fixture(scope="module")
def task():
    """Two communities whose features are noisy hints."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], N // 2)
    upper = np.triu(rng.random((N, N)) < np.where(labels[:, None] == labels, 0.25, 0.02), 1)
    features = (rng.random((N, 12)) < np.where(labels[:, None] == (np.arange(12) < 6), 0.45, 0.15)).astype(
        float
    )
    masks = np.zeros((3, N), dtype=bool)
    masks[np.arange(N) % 3, np.arange(N)] = True
    graph = Graph((upper + upper.T).astype(float))
    context = {"graph": graph, "transform": FrameletTransform(graph)}
    return (
        graph,
        sparse.csr_array(features),
        labels,
        dict(zip(("train_mask", "val_mask", "test_mask"), masks)),
        context,
    )


def _networks(dtype=np.float64, rng=0):
    return {
        "relu": ufg_network(12, 8, 2, N, 3, "relu", dropout=0.3, dtype=dtype, rng=rng),
        "shrink": ufg_network(12, 8, 2, N, 3, "shrink", dropout=0.3, sigma=0.3, dtype=dtype, rng=rng),
        "band": ufg_network(12, 8, 2, None, 3, filter="band", input_dropout=0.1, dtype=dtype, rng=rng),
        "gcn": gcn_network(12, 8, 2, dtype=dtype, rng=rng),
        "mlp": mlp_network(12, 8, 2, input_dropout=0.1, dtype=dtype, rng=rng),
    }


@pytest.mark.parametrize("name", ["relu", "shrink", "band", "gcn", "mlp"])
def test_training_learns_and_reports_the_best_epoch(task, name):
    _, x, labels, masks, context = task
    network = _networks()[name]
    result = train_node_classifier(
        network,
        x,
        labels,
        **masks,
        context=context,
        n_epochs=60,
        weight_decay=5e-4,
        learning_rate=0.02,
        rng=1,
    )
    assert result.test_accuracy > 70
    history = result.history
    assert len(history) == 60
    assert result.best_epoch == int(np.argmax(history["val_accuracy"]))
    assert result.val_accuracy == history["val_accuracy"].max()
    logits = network(x, **{key: context[key] for key in network.context})
    test = masks["test_mask"]
    assert 100 * np.mean(logits.argmax(axis=1)[test] == labels[test]) == pytest.approx(result.test_accuracy)


def test_training_is_deterministic_in_its_seed(task):
    _, x, labels, masks, context = task
    runs = []
    for seed in (4, 4, 5):
        network = _networks(rng=seed)["relu"]
        train_node_classifier(network, x, labels, **masks, context=context, n_epochs=5, rng=seed)
        runs.append(network.params["conv1.filter"].copy())
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])
    again = _networks(rng=4)["relu"]
    train_node_classifier(again, x, labels, **masks, context=context, n_epochs=5, rng=Key(4))
    np.testing.assert_array_equal(again.params["conv1.filter"], runs[0])


def test_labels_of_the_test_nodes_are_not_used(task):
    _, x, labels, masks, context = task
    params = []
    for flipped in (False, True):
        network = _networks()["relu"]
        seen = np.where(masks["test_mask"] & flipped, 1 - labels, labels)
        train_node_classifier(network, x, seen, **masks, context=context, n_epochs=8, rng=0)
        params.append(network.params["conv1.weight"].copy())
    np.testing.assert_array_equal(*params)


def test_without_validation_the_last_epoch_is_taken(task):
    _, x, labels, masks, context = task
    result = train_node_classifier(
        _networks()["gcn"], x, labels, train_mask=masks["train_mask"], context=context, n_epochs=4, rng=0
    )
    assert result.best_epoch == 3
    assert np.isnan(result.val_accuracy)
    assert np.isnan(result.test_accuracy)


def test_callback_stops_and_float32_trains(task):
    _, x, labels, masks, context = task
    network = _networks(np.float32)["shrink"]
    result = train_node_classifier(
        network,
        x.astype(np.float32),
        labels,
        **masks,
        context=context,
        rng=0,
        callback=lambda record: record["epoch"] == 2,
    )
    assert len(result.history) == 3
    assert network.params["conv1.weight"].dtype == np.float32


def test_result_is_json_and_plots(task):
    _, x, labels, masks, context = task
    result = train_node_classifier(_networks()["gcn"], x, labels, **masks, context=context, n_epochs=3, rng=0)
    assert json.loads(json.dumps(result.to_dict()))["best_epoch"] == result.best_epoch
    assert isinstance(result.plot(), Axes)
    assert "test_accuracy" in repr(result)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"train_mask": np.zeros(N, dtype=bool)}, "train_mask"),
        ({"val_mask": np.zeros(3, dtype=bool)}, "val_mask"),
        ({"test_mask": np.ones(N)}, "test_mask"),
        ({"val_mask": None, "patience": 3}, "patience"),
        ({"n_epochs": 0}, "n_epochs"),
    ],
)
def test_training_refuses(task, change, match):
    _, x, labels, masks, context = task
    with pytest.raises(ValueError, match=match):
        train_node_classifier(
            _networks()["gcn"], x, labels, **{**masks, "context": context, "rng": 0, **change}
        )


def test_training_refuses_labels(task):
    _, x, labels, masks, context = task
    with pytest.raises(ValueError, match="labels"):
        train_node_classifier(_networks()["gcn"], x, labels.astype(float), **masks, context=context)


@pytest.mark.parametrize("variant", ["relu", "shrink"])
def test_whole_network_gradient(task, variant):
    _, x, _, _, context = task
    network = ufg_network(12, 3, 2, N, 3, variant, sigma=0.2, scale="energy", rng=0)
    check_gradient(network, x, transform=context["transform"]).raise_if_failed()


def test_dropout_comes_before_the_second_layer():
    assert list(ufg_network(4, 3, 2, 9, 3, rng=0).layers) == ["conv1", "relu", "dropout", "conv2"]
    assert list(ufg_network(4, 3, 2, 9, 3, "shrink", rng=0).layers) == ["conv1", "dropout", "conv2"]
    assert list(gcn_network(4, 3, 2, dropout=0.0, rng=0).layers) == ["conv1", "relu", "conv2"]


def test_unknown_variants():
    with pytest.raises(ValueError, match="relu"):
        ufg_network(4, 3, 2, 9, 3, "relo")
    with pytest.raises(ValueError, match="ufg-sum"):
        graph_classifier(4, 3, 2, pool="ufg-summ")


def test_coefficient_shares(task):
    _, x, _, _, context = task
    transform = context["transform"]
    shares = {
        sigma: coefficient_shares(
            ufg_network(12, 8, 2, N, 3, "shrink", sigma=sigma, rng=0), x, transform=transform
        )
        for sigma in (0.0, 1.0, 1e3)
    }
    assert list(shares[1.0]) == ["conv1", "conv2"]
    assert shares[0.0]["conv1"] > shares[1.0]["conv1"] > shares[1e3]["conv1"]
    assert shares[1e3]["conv1"] == pytest.approx(1 / 3)


def _collection(n_graphs=40, seed=0):
    """Rings and stars: told apart by their degrees."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, size=n_graphs)
    sizes = rng.integers(4, 9, size=n_graphs)
    edges = []
    for label, n in zip(labels, sizes, strict=True):
        ring = [(i, i + 1) for i in range(n - 1)] + [(0, int(n) - 1)]
        edges.append(np.array(sorted([(0, i) for i in range(1, n)] if label else ring)))
    degrees = [np.bincount(e.ravel(), minlength=n) for e, n in zip(edges, sizes, strict=True)]
    return GraphCollection(
        "rings",
        np.concatenate([[0], np.cumsum(sizes)]),
        np.concatenate([[0], np.cumsum([len(e) for e in edges])]),
        np.concatenate(edges),
        labels,
        2,
        node_labels=np.minimum(np.concatenate(degrees), 3),
        n_node_labels=4,
    )


@pytest.mark.parametrize("pool", ["ufg-sum", "ufg-spectrum", "sum", "mean", "max"])
def test_graph_classification_learns(pool):
    collection = _collection(80)
    network = graph_classifier(4, 16, 2, pool=pool, rng=0)
    result = train_graph_classifier(network, collection, batch_size=8, n_epochs=25, features="labels", rng=0)
    assert result.val_accuracy >= 75
    assert result.best_epoch == int(np.argmin(result.history["val_loss"]))
    assert len(result.history) == 25 or result.history.stopped == "patience"


def test_graph_training_is_deterministic_and_reshuffles():
    collection = _collection(20)
    losses = []
    for reshuffle in (False, False, True):
        network = graph_classifier(4, 4, 2, rng=0)
        result = train_graph_classifier(
            network, collection, batch_size=4, n_epochs=3, reshuffle=reshuffle, features="labels", rng=7
        )
        losses.append(result.history["train_loss"])
    np.testing.assert_array_equal(losses[0], losses[1])
    assert not np.array_equal(losses[0], losses[2])


def test_graph_batches_cover_every_graph_once():
    collection = _collection(11)
    batches = graph_batches(collection, np.arange(11), batch_size=4, dtype=np.float32, features="labels")
    assert [len(batch.target) for batch in batches] == [4, 4, 3]
    np.testing.assert_array_equal(np.concatenate([batch.target for batch in batches]), collection.labels)
    assert all(batch.inputs.dtype == np.float32 for batch in batches)
    assert sum(batch.context["graph"].n_nodes for batch in batches) == collection.n_nodes


def test_empty_part_of_a_split():
    split = Split(np.arange(8), np.arange(0), np.arange(8, 10))
    with pytest.raises(ValueError, match="val"):
        train_graph_classifier(graph_classifier(4, 4, 2, rng=0), _collection(10), split=split)


@pytest.mark.parametrize("variant", ["relu", "shrink", "gcn", "mlp"])
def test_node_classifier(task, variant):
    graph, x, labels, masks, _ = task
    names = np.array(["ham", "spam"])[labels]
    model = NodeClassifier(variant, n_epochs=60, weight_decay=1e-3, sigma=0.3, dropout=0.3, random_state=0)
    model.fit(graph.adjacency, x, names, train_mask=masks["train_mask"], val_mask=masks["val_mask"])
    assert model.score(names, masks["test_mask"]) > 0.7
    assert set(model.predict()) <= {"ham", "spam"}
    probabilities = model.predict_proba()
    assert probabilities.shape == (N, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_node_classifier_takes_dense_float32(task):
    graph, x, labels, masks, _ = task
    model = NodeClassifier(n_epochs=3, dtype="float32", random_state=0)
    model.fit(graph, x.toarray().tolist(), labels, train_mask=masks["train_mask"])
    assert model.predict_proba().dtype == np.float32


def test_node_classifier_parameters_are_scikit_learns():
    from sklearn.base import clone

    model = NodeClassifier("shrink", sigma=2.0)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    assert copy.set_params(levels=3).levels == 3
    assert repr(model) == "NodeClassifier(variant='shrink', sigma=2.0)"
    with pytest.raises(ValueError, match="levels"):
        model.set_params(level=3)


def test_node_classifier_refuses(task):
    graph, x, labels, masks, _ = task
    model = NodeClassifier(n_epochs=1)
    with pytest.raises(ValueError, match="fit"):
        model.predict()
    with pytest.raises(ValueError, match="features"):
        model.fit(graph, x[:5], labels, train_mask=masks["train_mask"])
    with pytest.raises(ValueError, match="labels"):
        model.fit(graph, x, labels[:5], train_mask=masks["train_mask"])
    with pytest.raises(ValueError, match="class"):
        model.fit(graph, x, labels, train_mask=labels == 0, val_mask=labels == 1)


@pytest.mark.parametrize("unknown", [None, float("nan"), 3, "other"])
def test_node_classifier_does_not_look_at_labels_outside_of_the_masks(task, unknown):
    graph, x, labels, masks, _ = task
    names = np.array(["ham", "spam"], dtype=object)[labels]
    used = masks["train_mask"] | masks["val_mask"]
    masks = {name: masks[name] for name in ("train_mask", "val_mask")}
    model = NodeClassifier("gcn", n_epochs=3, random_state=0).fit(graph, x, names, **masks)
    hidden = names.copy()
    hidden[~used] = unknown
    again = NodeClassifier("gcn", n_epochs=3, random_state=0).fit(graph, x, hidden, **masks)
    np.testing.assert_array_equal(again.predict_proba(), model.predict_proba())
    hidden[np.flatnonzero(masks["val_mask"])[0]] = None
    with pytest.raises(ValueError, match=r"labels holds None for node .*leave unlabelled nodes out"):
        model.fit(graph, x, hidden, **masks)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            {"train_mask": np.arange(N)},
            r"train_mask must be a boolean .*int64.*numpy\.isin\(numpy\.arange\(60\), nodes",
        ),
        ({"train_mask": np.arange(5)}, r"train_mask must be a boolean .*shape \(5,\); for node numbers"),
        ({"train_mask": np.arange(N) % 2}, r"pass train_mask\.astype\(bool\)"),
        ({"train_mask": np.zeros(N, dtype=bool)}, "train_mask selects no node"),
        ({"val_mask": np.zeros(N, dtype=bool)}, "val_mask selects no node"),
        ({"val_mask": np.ones(7, dtype=bool)}, r"val_mask must be a boolean array of shape \(60,\)"),
        ({"val_mask": np.arange(N)}, "val_mask must be a boolean"),
    ],
)
def test_node_classifier_refuses_masks(task, change, match):
    graph, x, labels, masks, _ = task
    masks = {"train_mask": masks["train_mask"], "val_mask": masks["val_mask"], **change}
    with pytest.raises(ValueError, match=match):
        NodeClassifier("gcn", n_epochs=1).fit(graph, x, labels, **masks)


def test_node_classifier_takes_masks_as_lists_and_refuses_mixed_labels(task):
    graph, x, labels, masks, _ = task
    model = NodeClassifier("gcn", n_epochs=1, random_state=0)
    model.fit(graph, x, labels, train_mask=masks["train_mask"].tolist())
    with pytest.raises(ValueError, match="mask must be a boolean array"):
        model.score(labels, np.arange(5))
    with pytest.raises(ValueError, match="labels must have shape"):
        model.score(labels[:5])
    mixed = labels.astype(object)
    mixed[np.flatnonzero(masks["train_mask"])[0]] = "one"
    with pytest.raises(TypeError, match="labels cannot be sorted"):
        model.fit(graph, x, mixed, train_mask=masks["train_mask"])
    with pytest.raises(ValueError, match="labels cannot be read as an array"):
        model.fit(graph, x, [[0]] * 3 + [[0, 1]], train_mask=masks["train_mask"])


def test_saved_network_predicts_the_same(task, tmp_path):
    _, x, _, _, context = task
    network = _networks()["shrink"]
    network.save(tmp_path / "network.npz")
    loaded = Network.load(tmp_path / "network.npz")
    transform = context["transform"]
    np.testing.assert_array_equal(loaded(x, transform=transform), network(x, transform=transform))


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "dilation", "learning_rate", "least"),
    [("relu", 2.0, 0.01, 80.0), ("shrink", 2.5, 0.005, 79.0)],
)
def test_cora(data_folder, variant, dilation, learning_rate, least):
    data = load("cora")
    transform = FrameletTransform(Graph(data.adjacency), dilation=dilation)
    network = ufg_network(
        data.n_features, 16, data.n_classes, data.n_nodes, transform.n_bands, variant, rng=1
    )
    result = train_node_classifier(
        network,
        data.features,
        data.labels,
        train_mask=data.train_mask,
        val_mask=data.val_mask,
        test_mask=data.test_mask,
        context={"transform": transform},
        n_epochs=100 if variant == "relu" else 200,
        learning_rate=learning_rate,
        rng=1,
    )
    assert result.test_accuracy >= least

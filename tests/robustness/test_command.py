"""Networks and samples in files: what is read, what is written, and what the report says."""

from __future__ import annotations

import json

import numpy as np
import pytest

from scinn.nn import Dense, Network, ReLU, Tanh
from scinn.nn.models import mlp
from scinn.robustness import ShallowNetwork, jsma, select_neurons, stabilize
from scinn.robustness.command import (
    ending,
    neuron_rows,
    read_model,
    read_samples,
    replace_columns,
    stabilize_file,
    summary_rows,
)

N = 8
BITS = np.random.default_rng(0).integers(0, 2, (200, N))
MIDDLES = {"tanh": Tanh(), "relu": ReLU(), "half": Tanh(0.5), "steep": Tanh(-3.0)}


def shallow(activation="scaled_logistic", seed=0):
    rng = np.random.default_rng(seed)
    arrays = (rng.normal(size=shape) for shape in ((N, 5), 5, (5, 2), 2))
    return ShallowNetwork(*(array.astype(np.float32) for array in arrays), activation)


def chain(middle, *, bias=True, dtype=np.float64):
    return Network.sequential(
        first=Dense(N, 5, bias=bias, dtype=dtype, rng=1),
        f=MIDDLES[middle],
        last=Dense(5, 2, bias=bias, dtype=dtype, rng=2),
    )


def labels_of(network):
    labels = network.predict(BITS)
    labels[::10] = 1 - labels[::10]
    return labels


@pytest.fixture
def files(tmp_path):
    """Write a network and samples of it; returns the folder."""
    network = shallow()
    network.save(tmp_path / "model.npz")
    labels = labels_of(network)
    np.savez(tmp_path / "val.npz", features=BITS[:120], labels=labels[:120])
    np.savez(tmp_path / "test.npz", X=1 - 2 * BITS[120:], y=labels[120:].astype(np.int8))
    return tmp_path


def run(folder, **options):
    options = {"out": folder / "out.npz", "test": folder / "test.npz", "floor": 0.75} | options
    return stabilize_file(folder / "model.npz", folder / "val.npz", **options)


def test_report_and_file_are_those_of_the_functions(files):
    report = run(files)
    network, labels = shallow(), labels_of(shallow())
    want = select_neurons(network, BITS[:120], labels[:120], floor=0.75)
    assert report["selection"] == want.to_dict()
    written = ShallowNetwork.load(files / "out.npz")
    for name in ("hidden_weights", "hidden_bias", "output_weights", "output_bias"):
        assert getattr(written, name).tobytes() == getattr(want.network, name).tobytes()
    for part, rows in (("validation", slice(0, 120)), ("test", slice(120, None))):
        found = report["accuracy"][part]
        assert found["n_samples"] == len(BITS[rows])
        assert found["before"] == network.accuracy(BITS[rows], labels[rows])
        assert found["after"] == written.accuracy(BITS[rows], labels[rows])
    for j, row in enumerate(report["neurons"]):
        alone = stabilize(network.hidden_weights[:, j], float(network.thresholds[j]))
        assert row == {"neuron": j, "stabilized": j in want.hidden, **alone.to_dict()}
    assert (report["kind"], report["attack"]) == ("shallow-network", None)
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_options_reach_the_selection(files):
    report = run(
        files,
        p=np.inf,
        layers=("hidden", "output"),
        method="gmb",
        threshold_rule="match",
        benefit="exact",
        floor=0.0,
    )
    assert (report["selection"]["method"], report["neurons"][0]["p"]) == ("gmb", "inf")
    assert report["selection"]["output"] == [0, 1]
    assert report["neurons"][0]["threshold_after"] != report["neurons"][0]["threshold_before"]
    assert json.dumps(report, allow_nan=False)


def test_drop_instead_of_floor(files):
    by_default, whole = run(files, floor=None), run(files, floor=None, max_drop=1.0, force=True)
    before = by_default["accuracy"]["validation"]["before"]
    # A hundredth of 120 samples is one of them.
    assert by_default["selection"]["floor"] == pytest.approx(before - 1 / 120)
    assert whole["selection"]["hidden"] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="exclude each other"):
        run(files, max_drop=0.1, out=None)


def test_attack_is_that_of_the_function(files):
    report = run(files, attack="jsma", floor=0.0)
    labels = labels_of(shallow())[120:]
    for when, network in (("before", shallow()), ("after", ShallowNetwork.load(files / "out.npz"))):
        result, found = jsma(network, BITS[120:], labels), report["attack"][when]
        right = ~result.already_misclassified
        evaded = right & result.success
        assert found["accuracy"] == network.accuracy(BITS[120:], labels)
        assert found["success_rate"] == evaded.sum() / right.sum()
        assert found["mean_flips"] == pytest.approx(result.n_flips[evaded].mean())
        assert found["robust_accuracy"]["2"] == result.robust_accuracy(4.0)
    assert (report["attack"]["part"], report["attack"]["n_samples"]) == ("test", 80)
    few = run(files, attack="jsma", attack_samples=10, test=None, out=None)
    assert (few["attack"]["part"], few["attack"]["n_samples"]) == ("validation", 10)
    assert few["attack"] == run(files, attack="jsma", attack_samples=10, test=None, out=None)["attack"]
    assert (
        few["attack"] != run(files, attack="jsma", attack_samples=10, test=None, out=None, seed=1)["attack"]
    )
    assert run(files, attack="jsma", attack_samples=10**6, out=None)["attack"]["n_samples"] == 80


def test_attack_where_nothing_is_right(files):
    labels = 1 - shallow().predict(BITS)
    np.savez(files / "val.npz", features=BITS, labels=labels)
    report = run(files, floor=0.0, test=None, attack="jsma")
    assert report["attack"]["before"]["success_rate"] is None
    assert summary_rows(report)[3][:2] == ("JSMA: mean flips to evade", "–")


def test_long_steps_are_announced(files):
    lines = []
    run(files, attack="jsma", callback=lines.append)
    assert lines[:2] == ["choosing neurons", "measuring 5 neurons"]
    assert len(lines) == 4


# Networks of scinn.nn


@pytest.mark.parametrize("encoding", ["bits", "signs"])
@pytest.mark.parametrize("middle", MIDDLES)
@pytest.mark.parametrize("bias", [True, False])
def test_network_in_network_out(tmp_path, encoding, middle, bias):
    network = chain(middle, bias=bias)
    network.save(tmp_path / "model.npz")
    seen = BITS if encoding == "bits" else 1 - 2 * BITS
    labels = network(seen.astype(float)).argmax(axis=1)
    np.savez(tmp_path / "val.npz", x=seen, y=labels)
    report = run(
        tmp_path, test=None, floor=0.6, model_encoding=encoding, layers=("hidden", "output"), method="gmb"
    )
    assert report["kind"] == "network"
    written = Network.load(tmp_path / "out.npz")
    assert [node.name for node in written.nodes] == ["first", "f", "last"]
    # It takes what the one that came in took.
    answers = written(seen.astype(float)).argmax(axis=1)
    assert np.mean(answers == labels) == report["accuracy"]["validation"]["after"]
    read = ShallowNetwork.from_network(written, encoding=encoding)
    assert report["selection"]["hidden"]
    for j in range(5):
        column, old = written.params["first.weight"][:, j], network.params["first.weight"][:, j]
        if j in report["selection"]["hidden"]:
            sizes = np.abs(read.hidden_weights[:, j])
            np.testing.assert_allclose(sizes, sizes.max(), rtol=1e-12)
        else:
            assert column.tobytes() == old.tobytes()
            if bias:
                assert written.params["first.bias"][j] == network.params["first.bias"][j]


def test_replaced_columns_take_no_others_with_them():
    network = chain("half", dtype=np.float32)
    before = ShallowNetwork.from_network(network, encoding="bits")
    weights = before.hidden_weights.copy()
    weights[:, 2] = np.sign(weights[:, 2])
    after = before.replace(hidden_weights=weights)
    other = replace_columns(network, before, after, "bits")
    for name, value in network.params.items():
        kept = [0, 1, 3, 4] if name.startswith("first") else slice(None)
        assert other.params[name][..., kept].tobytes() == value[..., kept].tobytes()
        assert other.params[name].dtype == np.float32
    np.testing.assert_allclose(other(BITS.astype(np.float32)), after.logits(BITS), atol=1e-5)
    # The network that came in is as it was.
    assert (
        network.params["first.weight"].tobytes()
        == chain("half", dtype=np.float32).params["first.weight"].tobytes()
    )


def test_a_network_does_not_say_what_it_was_trained_on(tmp_path):
    mlp([N, 5, 2], activation="tanh", rng=0).save(tmp_path / "model.npz")
    with pytest.raises(
        ValueError, match="does not say what it was trained on; pass --model-encoding signs or bits"
    ):
        read_model(tmp_path / "model.npz", None)
    shallow().save(tmp_path / "shallow.npz")
    with pytest.raises(ValueError, match="is a ShallowNetwork, which takes signs"):
        read_model(tmp_path / "shallow.npz", "bits")
    assert read_model(tmp_path / "shallow.npz", "signs")[1] is None


# Files that are refused


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": BITS, "b": [1]}, r"val.npz holds a, b; features \(or x, X\) and labels \(or y\) are wanted"),
        ({"features": BITS}, "val.npz holds features; "),
        ({}, "val.npz holds nothing; "),
        (
            {"features": BITS[:, 1:], "labels": np.zeros(200, int)},
            r"val.npz: features has shape \(200, 7\); \(any, 8\)",
        ),
        ({"X": BITS[:20].T, "labels": np.zeros(8, int)}, r"val.npz: X .*pass X.T"),
        ({"x": BITS + 1, "labels": np.zeros(200, int)}, "val.npz: x holds 1, 2; values in either"),
        ({"x": np.ones((3, 8)), "y": [0, 1, 0]}, "only ones, which may be bits or signs: pass encoding="),
        ({"x": BITS, "y": np.ones(3, int)}, r"val.npz: y has shape \(3,\); \(200,\) is wanted"),
        ({"x": BITS, "y": np.full(200, 2)}, "val.npz: y holds the label 2; with 2 classes"),
        ({"x": BITS, "y": 1 - 2 * BITS[:, 0]}, "val.npz: y holds -1"),
        ({"x": BITS[:0], "y": np.zeros(0, int)}, "val.npz holds no samples; at least one"),
        ({"x": BITS, "y": np.zeros(200)}, r"val.npz: y has dtype float64; .*\.astype\(numpy.int64\)"),
        ({"x": BITS, "y": np.full(200, "bad")}, "val.npz: y has dtype <U3; integer class labels"),
        ({"x": BITS.astype(complex), "y": np.zeros(200, int)}, "val.npz: x is complex"),
    ],
)
def test_samples_that_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "val.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        read_samples(tmp_path / "val.npz", shallow())


def test_files_that_are_none(tmp_path):
    path = tmp_path / "val.npz"
    path.write_text("features,labels")
    with pytest.raises(ValueError, match=r"val.npz cannot be read: .*write it with numpy.savez"):
        read_samples(path, shallow())
    np.save(tmp_path / "val.npy", BITS)
    with pytest.raises(ValueError, match="a single array, not an archive of arrays"):
        read_samples(tmp_path / "val.npy", shallow())
    np.savez(path, x=BITS, y=np.array([{}] * 200, dtype=object))
    with pytest.raises(ValueError, match="cannot be read"):
        read_samples(path, shallow())
    np.savez(path, x=BITS[:0], y=np.zeros(0, int))
    with pytest.raises(ValueError, match="holds no samples"):
        read_samples(path, shallow(), "bits")


def test_nothing_is_written_where_something_fails(files):
    before = {path.name: path.read_bytes() for path in files.iterdir()}
    with pytest.raises(ValueError, match=r"floor is 0.999, above the accuracy"):
        run(files, floor=0.999)

    def stop(line):
        if line.startswith("attacking the network after"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(files, attack="jsma", callback=stop)
    for name in ("model.npz", "val.npz"):
        with pytest.raises(FileExistsError, match="is read here, and never overwritten"):
            run(files, out=files / "." / name, force=True)
    assert {path.name: path.read_bytes() for path in files.iterdir()} == before
    run(files)
    with pytest.raises(FileExistsError, match=r"out.npz exists; pass --force to overwrite it"):
        run(files)
    run(files, force=True)
    assert (files / "out.npz").exists()


def test_rows_of_text(files):
    network = shallow()
    bias = network.hidden_bias.copy()
    bias[3] = 100
    network.replace(hidden_bias=bias).save(files / "model.npz")
    report = run(files, floor=0.3, attack="jsma", layers=("hidden", "output"))
    rows = neuron_rows(report)
    assert len(rows) == 6
    assert rows[4][0] == "3"
    assert rows[4][2:6] == ("–",) * 4
    assert "constant" in rows[4][6]
    assert all(len(row) == 7 for row in rows)
    assert {len(row) for row in summary_rows(report)} == {3}
    assert summary_rows(report)[2][0] == "test accuracy (80 samples)"
    assert "output column" in ending(report)
    assert ending(report).endswith(f"Written: {files / 'out.npz'}")
    assert ending(run(files, out=None)).endswith("Nothing was written; pass -o OUT for that.")

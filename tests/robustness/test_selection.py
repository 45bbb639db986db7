"""Which neurons are stabilised: the greedy algorithms against plain transcriptions, and what they promise."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from scinn.nn.models import mlp
from scinn.robustness import ShallowNetwork, select_neurons, stabilize
from scinn.robustness.fourier_stabilization import stabilized_columns
from scinn.robustness.selection import METHODS, floor_below

SEEDS = st.integers(0, 2**31 - 1)
FIELDS = ("hidden_weights", "hidden_bias", "output_weights", "output_bias")


def draw(
    seed, *, n=9, n_hidden=6, n_samples=150, n_classes=2, activation="scaled_logistic", dtype=np.float64
):
    """Return a network, bits, and labels of which it gets about nine in ten right."""
    rng = np.random.default_rng(seed)
    network = ShallowNetwork(
        rng.normal(size=(n, n_hidden)).astype(dtype),
        rng.normal(size=n_hidden).astype(dtype),
        rng.normal(size=(n_hidden, n_classes)).astype(dtype),
        rng.normal(size=n_classes).astype(dtype),
        activation,
    )
    bits = rng.integers(0, 2, (n_samples, n))
    labels = network.predict(bits, encoding="bits")
    wrong = rng.random(n_samples) < 0.1
    return network, bits, np.where(wrong, (labels + 1) % n_classes, labels)


def with_columns(network, columns):
    """Return a network with columns stabilised, built anew."""
    hidden, output = network.hidden_weights.copy(), network.output_weights.copy()
    for layer, j in columns:
        target = hidden if layer == "hidden" else output
        target[:, j] = np.sign(target[:, j]) * np.abs(target[:, j]).max()
    return network.replace(hidden_weights=hidden, output_weights=output)


def candidates(network, layers):
    """Return the benefit of every column that stabilising changes."""
    found = {}
    for layer in layers:
        w = network.hidden_weights if layer == "hidden" else network.output_weights
        for j in range(w.shape[1]):
            column = np.abs(w[:, j].astype(float))
            if column.any() and (column[column > 0] != column.max()).any():
                found[layer, j] = np.count_nonzero(column) - column.sum() / column.max()
    return found


def plain_gmb(network, bits, labels, floor, layers, on_violation="skip"):
    benefit, done = candidates(network, layers), []
    for column in sorted(benefit, key=lambda c: -benefit[c]):
        if with_columns(network, [*done, column]).accuracy(bits, labels) >= floor:
            done.append(column)
        elif on_violation == "stop":
            break
    return done


def plain_gmbc(network, bits, labels, floor, layers):
    benefit, done = candidates(network, layers), []
    accuracy = network.accuracy(bits, labels)
    while True:
        best, best_score = None, -1.0
        for column in benefit:
            if column in done:
                continue
            after = with_columns(network, [*done, column]).accuracy(bits, labels)
            score = benefit[column] / max(accuracy - after, 1e-20)
            if after >= floor and score > best_score:
                best, best_score = column, score
        if best is None:
            return done
        done.append(best)
        accuracy = with_columns(network, done).accuracy(bits, labels)


def columns_of(result):
    return [(step.layer, step.neuron) for step in result.steps]


LAYERS = st.sampled_from([("hidden",), ("output",), ("hidden", "output")])
FLOORS = st.sampled_from([0.0, 0.6, 0.75, 0.85])


def plan(seed, share, **options):
    network, bits, labels = draw(seed, **options)
    return network, bits, labels, share * network.accuracy(bits, labels)


@given(seed=SEEDS, share=FLOORS, layers=LAYERS, n_classes=st.sampled_from([2, 3]))
def test_gmb_and_gmbc_are_their_transcriptions(seed, share, layers, n_classes):
    network, bits, labels, floor = plan(seed, share, n_classes=n_classes)
    options = {"floor": floor, "layers": layers}
    gmb = select_neurons(network, bits, labels, method="gmb", **options)
    assert columns_of(gmb) == plain_gmb(network, bits, labels, floor, layers)
    stopped = select_neurons(network, bits, labels, method="gmb", on_violation="stop", **options)
    assert columns_of(stopped) == plain_gmb(network, bits, labels, floor, layers, "stop")
    gmbc = select_neurons(network, bits, labels, method="gmbc", **options)
    assert columns_of(gmbc) == plain_gmbc(network, bits, labels, floor, layers)
    benefit = candidates(network, layers)
    for result in (gmb, gmbc):
        assert result.total_benefit == pytest.approx(sum(benefit[c] for c in columns_of(result)))
    both = select_neurons(network, bits, labels, method="gmbb", **options)
    better = gmb if gmb.total_benefit >= gmbc.total_benefit else gmbc
    assert (both.method, columns_of(both)) == (better.method, columns_of(better))
    assert both.total_benefit == max(gmb.total_benefit, gmbc.total_benefit)


@pytest.mark.parametrize("method", METHODS)
@given(seed=SEEDS, share=FLOORS, layers=LAYERS, dtype=st.sampled_from([np.float32, np.float64]))
def test_what_comes_out_is_the_network_that_was_measured(method, seed, share, layers, dtype):
    network, bits, labels, floor = plan(seed, share, dtype=dtype)
    before = {name: getattr(network, name).tobytes() for name in FIELDS}
    given_bits, given_labels = bits.copy(), labels.copy()
    result = select_neurons(network, bits, labels, floor=floor, method=method, layers=layers)
    assert result.accuracy >= floor
    assert result.accuracy_before == network.accuracy(bits, labels)
    assert result.accuracy == result.network.accuracy(bits, labels)
    done = []
    for step in result.steps:
        done.append((step.layer, step.neuron))
        assert step.accuracy == with_columns(network, done).accuracy(bits, labels)
    built = with_columns(network, done)
    for name in FIELDS:
        assert getattr(result.network, name).tobytes() == getattr(built, name).tobytes()
        # What was tried and undone has left no trace, nor has what was kept in the network that came in.
        assert getattr(network, name).tobytes() == before[name]
    np.testing.assert_array_equal(bits, given_bits)
    np.testing.assert_array_equal(labels, given_labels)


@given(seed=SEEDS, share=FLOORS)
def test_logn_takes_a_prefix_in_order_of_evenness(seed, share):
    network, bits, labels, floor = plan(seed, share)
    result = select_neurons(network, bits, labels, floor=floor, method="logn")
    sizes = np.abs(network.hidden_weights)
    order = np.argsort(-sizes.sum(axis=0) / sizes.max(axis=0), kind="stable")
    taken = [step.neuron for step in result.steps]
    assert taken == order[: len(taken)].tolist()
    if len(taken) < 6:
        # A binary search ends beside a prefix that breaks the floor.
        more = with_columns(network, [("hidden", j) for j in order[: len(taken) + 1]])
        assert more.accuracy(bits, labels) < floor


@given(seed=SEEDS, method=st.sampled_from(["gmb", "gmbc"]), which=st.integers(0, 5))
def test_a_floor_that_is_reached_exactly_is_kept(seed, method, which):
    network, bits, labels = draw(seed)
    floor = with_columns(network, [("hidden", which)]).accuracy(bits, labels)
    if floor <= network.accuracy(bits, labels):
        plain = plain_gmb if method == "gmb" else plain_gmbc
        result = select_neurons(network, bits, labels, floor=floor, method=method)
        assert columns_of(result) == plain(network, bits, labels, floor, ("hidden",))


def test_logn_needs_few_accuracies():
    network, bits, labels = draw(0, n_hidden=64)
    assert select_neurons(network, bits, labels, floor=0.0, method="gmbc").n_evaluations > 64 * 64 / 2
    result = select_neurons(network, bits, labels, floor=0.0, method="logn")
    assert len(result.steps) == 64
    # The search takes log2, the record of the steps one each.
    assert result.n_evaluations <= 64 + 7 + 2


def test_floor_zero_takes_everything_and_the_floor_of_the_network_what_is_free():
    network, bits, labels = draw(1)
    everything = select_neurons(network, bits, labels, floor=0.0, layers=("hidden", "output"))
    np.testing.assert_array_equal(
        everything.network.hidden_weights, stabilized_columns(network.hidden_weights)
    )
    np.testing.assert_array_equal(
        everything.network.output_weights, stabilized_columns(network.output_weights)
    )
    assert everything.hidden == tuple(range(6))
    assert everything.output == (0, 1)
    again = select_neurons(everything.network, bits, labels, floor=0.0, layers=("hidden", "output"))
    assert again.steps == ()
    accuracy = network.accuracy(bits, labels)
    free = select_neurons(network, bits, labels, floor=accuracy)
    assert free.accuracy >= accuracy


@pytest.mark.parametrize("method", METHODS)
def test_a_lower_floor_goes_on_from_a_higher_one(method):
    network, bits, labels = draw(2)
    first = select_neurons(network, bits, labels, floor=0.85, method=method)
    second = select_neurons(first.network, bits, labels, floor=0.7, method=method)
    assert not set(first.hidden) & set(second.hidden)
    changed = (second.network.hidden_weights != network.hidden_weights).any(axis=0)
    assert set(np.flatnonzero(changed)) == set(first.hidden) | set(second.hidden)


# Legacy


def test_legacy_trials_pile_up():
    # Alone column 1 costs nothing; together with column 0, which is tried before it, it breaks the floor.
    for seed in range(200):
        network, bits, labels, floor = plan(seed, 0.9)
        accuracy = network.accuracy(bits, labels)
        alone = [with_columns(network, [("hidden", j)]).accuracy(bits, labels) for j in range(6)]
        piled = [
            with_columns(network, [("hidden", i) for i in range(j + 1)]).accuracy(bits, labels)
            for j in range(6)
        ]
        if min(piled) >= floor or alone == piled:
            continue
        benefit = candidates(network, ("hidden",))
        result = select_neurons(network, bits, labels, floor=floor, legacy=True)
        feasible = [j for j in range(6) if piled[j] >= floor]
        best = max(
            feasible, key=lambda j: benefit["hidden", j] / max(accuracy - piled[j], 1e-20), default=None
        )
        if best is not None and alone[best] >= floor:
            assert result.steps[0].neuron == best
            return
    raise AssertionError("no case tells the two scans apart")


def test_legacy_counts_the_benefit_of_rejected_columns():
    for seed in range(50):
        network, bits, labels, floor = plan(seed, 0.9)
        clean = select_neurons(network, bits, labels, floor=floor, method="gmb")
        legacy = select_neurons(network, bits, labels, floor=floor, method="gmb", legacy=True)
        assert columns_of(clean) == columns_of(legacy)
        benefit = candidates(network, ("hidden",))
        assert legacy.total_benefit == pytest.approx(sum(benefit.values()))
        if len(clean.steps) < 6:
            assert clean.total_benefit < legacy.total_benefit
            return
    raise AssertionError("no column was rejected")


# Rules for single columns


def test_constant_and_dead_neurons_are_left_and_named():
    network, bits, labels = draw(3)
    weights, bias = network.hidden_weights.copy(), network.hidden_bias.copy()
    bias[1], bias[4] = 1 + np.abs(weights[:, 1]).sum(), -1 - np.abs(weights[:, 4]).sum()
    weights[:, 2] = 0
    network = network.replace(hidden_weights=weights, hidden_bias=bias)
    labels = network.predict(bits)
    for options in ({}, {"p": 2.0}, {"benefit": "exact"}, {"threshold_rule": "match"}):
        result = select_neurons(network, bits, labels, floor=0.0, **options)
        assert result.hidden == (0, 3, 5)
        assert set(result.untouched) == {1, 2, 4}
        assert all("the same on the whole cube" in reason for reason in result.untouched.values())
        np.testing.assert_array_equal(result.network.hidden_weights[:, [1, 2, 4]], weights[:, [1, 2, 4]])
        np.testing.assert_array_equal(result.network.hidden_bias[[1, 2, 4]], bias[[1, 2, 4]])


@pytest.mark.parametrize("p", [1.0, 2.0, np.inf])
@pytest.mark.parametrize("rule", ["keep", "zero", "joint", "match"])
@pytest.mark.parametrize("activation", ["scaled_logistic", "sign"])
def test_columns_are_those_of_stabilize(p, rule, activation):
    network, bits, labels = draw(4, activation=activation)
    result = select_neurons(
        network, bits, labels, floor=0.0, p=p, threshold_rule=rule, zero_influence="drop", benefit="exact"
    )
    for step in result.steps:
        w, theta = network.hidden_weights[:, step.neuron], float(network.thresholds[step.neuron])
        alone = stabilize(w, theta, p=p, threshold_rule=rule, zero_influence="drop")
        np.testing.assert_array_equal(result.network.hidden_weights[:, step.neuron], alone.weights)
        assert result.network.hidden_bias[step.neuron] == -alone.threshold
        assert step.benefit == pytest.approx(alone.benefit, rel=1e-12)
    assert len(result.steps) == 6


def test_exact_benefit_orders_the_columns():
    network, bits, labels = draw(5)
    result = select_neurons(network, bits, labels, floor=0.0, method="gmb", benefit="exact")
    gains = [step.benefit for step in result.steps]
    assert gains == sorted(gains, reverse=True)
    want = [stabilize(network.hidden_weights[:, j], network.thresholds[j]).benefit for j in range(6)]
    assert sorted(gains) == pytest.approx(sorted(want))


# The door


def test_holders_of_samples():
    network, bits, labels = draw(6)
    want = select_neurons(network, bits, labels, floor=0.7)
    for features in (1 - 2 * bits, bits.astype(bool), sparse.csr_array(bits), bits.tolist()):
        assert select_neurons(network, features, labels.tolist(), floor=0.7).to_dict() == want.to_dict()


def test_result_reads_and_draws():
    network, bits, labels = draw(7)
    result = select_neurons(network, bits, labels, floor=0.5, layers=("hidden", "output"))
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["hidden"] == list(result.hidden)
    assert "6 of 6 neurons and 2 output columns stabilised" in repr(
        select_neurons(network, bits, labels, floor=0.0, layers=("hidden", "output"))
    )
    ax = result.plot()
    assert len(ax.lines) == 2
    assert len(ax.lines[0].get_ydata()) == len(result.steps) + 1


@pytest.mark.parametrize("method", METHODS)
def test_a_floor_above_the_accuracy_is_refused(method):
    network, bits, labels = draw(8)
    with pytest.raises(ValueError, match=r"floor is 0.999, above the accuracy 0\.\d+ of the network"):
        select_neurons(network, bits, labels, floor=0.999, method=method)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"network": mlp([9, 4, 2], rng=0)},
            TypeError,
            "network is a Network; a ShallowNetwork is wanted: convert",
        ),
        ({"network": np.ones((9, 4))}, TypeError, "network is a ndarray"),
        ({"features": "transposed"}, ValueError, "it fits when transposed: pass features.T"),
        ({"features": np.full((150, 9), 0.5)}, ValueError, "features holds 0.5"),
        ({"features": np.ones((150, 9))}, ValueError, "only ones, which may be bits or signs"),
        ({"labels": "signs"}, ValueError, r"labels holds -1; .*\(labels > 0\)"),
        ({"labels": [0, 1]}, ValueError, r"labels has shape \(2,\)"),
        ({"labels": np.full(150, 2)}, ValueError, "labels holds the label 2; with 2 classes"),
        ({"floor": 1.5}, ValueError, "floor is 1.5"),
        ({"floor": None}, TypeError, "floor is None"),
        ({"floor": np.nan}, ValueError, "floor is nan"),
        ({"method": "greedy"}, ValueError, "method is 'greedy'"),
        ({"benefit": "margin"}, ValueError, "benefit is 'margin'"),
        ({"layers": ("input",)}, ValueError, "layers is 'input'"),
        ({"p": 0.5}, ValueError, "p is 0.5"),
        ({"threshold_rule": "T4"}, ValueError, "threshold_rule is 'T4'"),
        ({"zero_influence": "x"}, ValueError, "zero_influence is 'x'"),
        ({"on_violation": "halt"}, ValueError, "on_violation is 'halt'"),
        ({"encoding": "bit"}, ValueError, "encoding is 'bit'"),
    ],
)
def test_bad_input(change, error, message):
    network, bits, labels = draw(9)
    arguments = {"network": network, "features": bits, "labels": labels, "floor": 0.5} | change
    if isinstance(arguments["features"], str):
        arguments["features"] = bits.T
    if isinstance(arguments["labels"], str):
        arguments["labels"] = 2 * labels - 1
    with pytest.raises(error, match=message):
        select_neurons(**arguments)


def test_no_samples():
    network, bits, _ = draw(9)
    with pytest.raises(ValueError, match="no rows; pass at least one validation sample"):
        select_neurons(network, bits[:0], [], floor=0.5, encoding="bits")


@given(n=st.integers(1, 400), right=st.integers(0, 400), lost=st.integers(0, 400))
def test_floor_below_counts_samples(n, right, lost):
    right, lost = min(right, n), min(lost, n)
    floor = floor_below(right / n, lost / n, n)
    assert floor == max(0, right - lost) / n


def test_a_prefix_found_by_bisection_keeps_the_floor_in_float32():
    rng = np.random.default_rng(0)
    for seed in range(40):
        rng = np.random.default_rng(seed)
        bits = rng.integers(0, 2, (24, 6))
        network = ShallowNetwork(
            rng.normal(size=(6, 5)).astype(np.float32),
            rng.normal(size=5).astype(np.float32),
            rng.integers(-9, 10, (5, 2)).astype(np.float32) / np.float32(10),
            np.zeros(2, dtype=np.float32),
            activation="sign",
        )
        labels = np.where(rng.random(24) < 0.05, 1 - network.predict(bits), network.predict(bits))
        for drop in (0.0, 0.05, 0.1):
            floor = max(0.0, network.accuracy(bits, labels) - drop)
            result = select_neurons(network, bits, labels, floor=floor, method="logn")
            assert result.accuracy >= floor
            assert result.network.accuracy(bits, labels) >= floor


def test_options_are_checked_at_the_door():
    bits = np.random.default_rng(0).integers(0, 2, (20, 4))
    network = ShallowNetwork(np.ones((4, 2)), [9.0, 9.0], [[1, -1], [1, -1]], [0, 0])
    labels = network.predict(bits)
    with pytest.raises(ValueError, match=r"p is 0.5; a number >= 1"):
        select_neurons(network, bits, labels, floor=0.5, p=0.5)
    with pytest.raises(TypeError, match="p is 'x'"):
        select_neurons(network, bits, labels, floor=0.5, p="x")
    with pytest.raises(TypeError, match="layers is None; some of 'hidden', 'output' are wanted"):
        select_neurons(network, bits, labels, floor=0.5, layers=None)

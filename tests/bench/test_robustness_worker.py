"""The peers that are written here in NumPy are right, so that their times are those of right answers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import hadamard

from scinn.bench import peer_worker
from scinn.bench import robustness_worker as worker
from scinn.bench.peers import run_peer

TIMING = {"n_repeats": 1, "at_least": 0.0}


def once(function):
    function()
    return 1.0


def cube(n):
    return 1 - 2 * ((np.arange(1 << n)[:, None] >> np.arange(n)) & 1)


def brute_force(weights, threshold):
    x = cube(len(weights))
    h = np.where(x @ weights >= threshold, 1.0, -1.0)
    return np.concatenate([[h.mean()], (h[:, None] * x).mean(axis=0)])


@pytest.mark.parametrize("n", [1, 2, 3, 7, 10])
def test_halves_count_as_the_whole_cube_does(n):
    rng = np.random.default_rng(n)
    for weights, threshold in ((rng.standard_normal(n), 0.3), (rng.integers(-3, 4, n).astype(float), 1.0)):
        np.testing.assert_array_equal(worker.halves_chow(weights, threshold), brute_force(weights, threshold))


@pytest.mark.parametrize("n", [1, 2, 5, 8])
@pytest.mark.parametrize("transform", [worker.radix2, worker.constant_geometry])
def test_transforms_in_numpy_are_products_with_the_hadamard_matrix(n, transform):
    values = worker.table(n)
    np.testing.assert_allclose(
        transform(values.copy(), np.empty_like(values)), hadamard(1 << n) @ values, atol=1e-12
    )


def test_transforms_are_timed_on_the_right_values():
    value, times = worker.walsh_numpy(once, 6)
    np.testing.assert_allclose(value, (hadamard(64) @ worker.table(6))[worker.places(6)], atol=1e-12)
    assert set(times) == {"radix2", "constant_geometry"}


def test_folding_gives_the_coefficients_of_single_variables():
    values = worker.table(7)
    rows = [0, *(1 << i for i in range(7))]
    np.testing.assert_allclose(worker.folded_table(values), (hadamard(128) @ values)[rows] / 128, atol=1e-14)


@pytest.mark.parametrize("points", [worker.binomial_points, worker.unpacked_points])
def test_sampling_estimates_every_neuron_of_a_layer(points):
    weights = np.random.default_rng(0).standard_normal((9, 2))
    thresholds = np.array([0.4, -1.0])
    rng = np.random.RandomState(0) if points is worker.binomial_points else np.random.default_rng(0)
    drawn = points(rng, 50, 9)
    assert drawn.dtype == np.float32
    assert set(np.unique(drawn)) == {-1.0, 1.0}
    found = worker.sampled_coefficients(
        weights, thresholds, 40_001, lambda m, n: points(rng, m, n), chunk=7_000
    )
    exact = np.stack([brute_force(w, t) for w, t in zip(weights.T, thresholds)], axis=1)
    # Six standard deviations of a mean of signs.
    assert np.abs(found - exact).max() < 6 / np.sqrt(40_001)


def slow_jsma(arrays, x, label, max_flips):
    """One point, every candidate from scratch, in float64."""
    weights, bias, output, output_bias = (a.astype(np.float64) for a in arrays)

    def logits(x):
        return np.tanh((x @ weights + bias) / 2) @ output + output_bias

    x, flipped = x.astype(np.float64), []
    first = logits(x)
    if first.argmax() != label:
        return 0
    target = max((t for t in range(len(first)) if t != label), key=lambda t: (first[t], -t))
    while logits(x).argmax() == label and len(flipped) < min(max_flips, len(x)):
        saliency = np.full(len(x), -1.0)
        for i in set(range(len(x))) - set(flipped):
            changed = x.copy()
            changed[i] *= -1
            difference = logits(changed) - logits(x)
            to_target, to_others = difference[target], difference.sum() - difference[target]
            saliency[i] = -to_target * to_others if to_target > 0 > to_others else 0.0
        flipped.append(int(saliency.argmax()))
        x[flipped[-1]] *= -1
    return len(flipped)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("max_flips", [2, 1000])
def test_saliency_attack_in_numpy_makes_the_flips_of_its_definition(n_classes, max_flips):
    rng = np.random.default_rng(n_classes)
    shapes = ((11, 5), (5,), (5, n_classes), (n_classes,))
    arrays = tuple(rng.standard_normal(shape) for shape in shapes)
    points = rng.choice([-1.0, 1.0], (40, 11))
    labels = rng.integers(0, n_classes, 40)
    found = worker.jsma_numpy(arrays, points, labels, max_flips=max_flips, cells=400)
    assert found.tolist() == [slow_jsma(arrays, x, y, max_flips) for x, y in zip(points, labels)]
    assert 0 < np.count_nonzero(found) < 40


def test_every_task_is_known_on_both_sides():
    assert set(peer_worker.ROBUSTNESS) == set(worker.TASKS)
    assert set(worker.TASKS) <= set(peer_worker.TASKS)


def neuron(n):
    return np.random.default_rng(n).standard_normal((n, 1)), np.array([0.5])


def asked(task, arrays, options):
    answer = run_peer(task, arrays, options | TIMING)
    if not answer and "not installed" in answer.reason:
        pytest.skip(answer.reason)
    assert answer.reason == ""
    assert answer.info["seconds"] > 0
    assert answer.info["versions"]["numpy"]
    return answer


@pytest.mark.parametrize(
    ("task", "error"),
    [("halves_chow", 0.0), ("sampled_chow", 0.06), ("boofun_chow", 0.0), ("pypuf_lmn", 0.06)],
)
def test_peers_give_the_chow_parameters(task, error):
    weights, thresholds = neuron(7)
    answer = asked(task, {"weights": weights, "thresholds": thresholds}, {"n_samples": 10_000})
    exact = brute_force(weights[:, 0], 0.5)
    np.testing.assert_allclose(answer.arrays["value"][:, 0], exact, rtol=0, atol=error)


def test_powerindex_gives_banzhaf_indices():
    answer = asked("powerindex_banzhaf", {"weights": np.array([4, 3, 2, 1])}, {"quota": 6})
    np.testing.assert_allclose(answer.arrays["value"], np.array([5, 3, 3, 1]) / 12)


@pytest.mark.parametrize("task", ["walsh_numpy", "walsh_pyfwht", "walsh_sympy"])
def test_peers_give_the_transform(task):
    answer = asked(task, {}, {"n": 6})
    exact = (hadamard(64) @ worker.table(6))[worker.places(6)]
    np.testing.assert_allclose(answer.arrays["value"], exact, atol=1e-12)


def detector(n_points=30):
    rng = np.random.default_rng(0)
    shapes = {"weights": (9, 4), "bias": (4,), "output": (4, 2), "output_bias": (2,)}
    arrays = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    points = rng.choice(np.array([-1, 1], dtype=np.float32), (n_points, 9))
    z = points @ arrays["weights"] + arrays["bias"]
    logits = np.tanh(z / 2) @ arrays["output"] + arrays["output_bias"]
    return arrays | {"points": points, "labels": logits.argmax(axis=1)}


def test_other_attacks_evade_the_same_network():
    arrays = detector()
    flips = asked("jsma_numpy", arrays, {}).arrays["value"]
    assert (flips > 0).all()
    art = asked("art_saliency", arrays, {})
    assert 0 < art.info["evaded"] <= 1
    assert np.count_nonzero(art.arrays["value"]) == round(art.info["evaded"] * 30)


def test_norms_of_foolbox_are_not_above_those_of_flips():
    arrays = detector()
    flips = asked("jsma_numpy", arrays, {}).arrays["value"]
    norms = asked("foolbox_fmn", arrays, {"n_steps": 100}).arrays["value"]
    assert norms.shape == (30,)
    assert (norms > 0).all()
    assert norms[np.isfinite(norms)].mean() < 2 * flips.mean()

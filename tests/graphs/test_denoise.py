"""Denoising and compression: what they gain, what they keep exactly, and what they refuse."""

from __future__ import annotations

import json

import numpy as np
import pytest
from matplotlib.axes import Axes

from scinn.graphs import FrameletTransform, Graph, compress, denoise, nonzero_share
from scinn.graphs.denoising import noise_gains


@pytest.fixture(scope="module")
def graph():
    return Graph.from_edges(300, [(i, i + 1) for i in range(299)])


@pytest.fixture(scope="module")
def clean():
    i = np.arange(300)
    return np.where(i < 120, 0.0, np.where(i < 210, 2.0, 0.5)) + np.sin(i / 50)


def _noisy(clean, scale=0.4, seed=0):
    return clean + np.random.default_rng(seed).normal(scale=scale, size=clean.shape)


@pytest.mark.parametrize("rule", ["sure", "universal"])
@pytest.mark.parametrize("shrinkage", ["soft", "hard"])
def test_error_falls(graph, clean, rule, shrinkage):
    noisy = _noisy(clean)
    result = denoise(graph, noisy, threshold=rule, shrinkage=shrinkage)
    assert np.mean((result.signal - clean) ** 2) < 0.8 * np.mean((noisy - clean) ** 2)
    assert result.sigma == pytest.approx(0.4, rel=0.15)
    assert result.kept[0] == 1.0
    assert result.thresholds[0] == 0.0
    assert np.all(result.thresholds[1:] > 0)


def test_function_stays_a_function_after_importing_its_module():
    import scinn.graphs
    import scinn.graphs.denoising

    assert callable(scinn.graphs.denoise)
    assert scinn.graphs.denoise is scinn.graphs.denoising.denoise


def test_zero_threshold_returns_the_signal(graph, clean):
    result = denoise(graph, clean, threshold=0.0)
    np.testing.assert_allclose(result.signal, clean, atol=1e-8)
    np.testing.assert_allclose(result.removed, 0, atol=1e-8)


def test_two_coefficients_do_not_inflate_a_smooth_signal(graph):
    smooth = np.sqrt(graph.degrees)
    result = denoise(graph, smooth, threshold=0.0, n_coefficients=2)
    np.testing.assert_allclose(result.signal, smooth, atol=1e-7)


def test_columns_are_independent(graph, clean):
    both = np.stack([_noisy(clean), _noisy(clean, 0.1, 1)], axis=1)
    together = denoise(graph, both).signal
    for column in range(2):
        alone = denoise(graph, np.ascontiguousarray(both[:, column])).signal
        np.testing.assert_allclose(together[:, column], alone, atol=1e-9)


def test_deterministic(graph, clean):
    noisy = _noisy(clean)
    np.testing.assert_array_equal(denoise(graph, noisy).signal, denoise(graph, noisy).signal)


def test_paper_rules(graph, clean):
    n = graph.n_nodes
    paper = denoise(graph, clean, threshold="paper", sigma=0.5)
    np.testing.assert_allclose(paper.thresholds[1:], 0.5 * np.sqrt(2 * np.log(n) / n))
    energy = denoise(graph, clean, threshold="energy", sigma=0.5)
    assert energy.thresholds[1] == pytest.approx(paper.thresholds[1])
    assert energy.thresholds[2] != pytest.approx(paper.thresholds[2])


def test_given_transform_and_adjacency(graph, clean):
    transform = FrameletTransform(graph, bank="linear", levels=2, n_coefficients="auto")
    result = denoise(graph.adjacency, _noisy(clean), transform=transform)
    assert result.bands == tuple(transform.bands)
    assert len(result.kept) == 5


def test_result_is_json_and_plots(graph, clean):
    result = denoise(graph, _noisy(clean))
    assert json.loads(json.dumps(result.to_dict()))["rule"] == "sure"
    axes = result.plot()
    assert isinstance(axes, Axes)
    assert len(axes.patches) == len(result.bands)
    assert result.plot(axes) is axes
    assert "sigma" in repr(result)


def test_noise_gains_are_row_norms():
    graph = Graph.from_edges(30, [(i, (i * 7 + 3) % 30) for i in range(30) if i != (i * 7 + 3) % 30])
    transform = FrameletTransform(graph, method="exact")
    operators = transform.analyze(np.eye(30))
    exact = np.sqrt(np.square(operators).sum(axis=2))
    np.testing.assert_allclose(noise_gains(transform, n_probes=20_000), exact, rtol=0.03, atol=1e-3)
    # The squared gains of a tight frame add up to one at every node, on average over nodes.
    assert np.square(exact).sum() == pytest.approx(30)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 1.0])
def test_compress_keeps_the_share(graph, clean, share):
    result = compress(graph, clean, share=share)
    assert result.share <= share + 1e-12
    assert result.share >= share - 0.01
    assert result.n_nonzero == round(result.share * 4 * 300)
    assert json.dumps(result.to_dict())


def test_compression_error_falls_with_the_share(graph, clean):
    errors = [compress(graph, clean, share=share).relative_error for share in (0.05, 0.2, 0.4, 1.0)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-8


def test_compress_keeps_the_largest(graph, clean):
    transform = FrameletTransform(graph, n_coefficients="auto")
    result = compress(graph, clean, share=0.3, transform=transform)
    c = transform.analyze(clean)
    kept = np.where(np.abs(c) > result.threshold, c, 0)
    assert nonzero_share(kept) == pytest.approx(result.share)
    np.testing.assert_allclose(result.signal, transform.inverse(kept), atol=1e-8)


def test_zero_signal(graph):
    assert compress(graph, np.zeros(300)).relative_error == 0.0
    np.testing.assert_array_equal(denoise(graph, np.zeros(300)).signal, 0)


@pytest.mark.parametrize(
    ("signal", "options", "match"),
    [
        (np.zeros(299), {}, "signal"),
        (np.zeros((300, 2, 2)), {}, "signal"),
        (np.full(300, np.nan), {}, "signal"),
        (np.zeros(300), {"threshold": "shure"}, "sure"),
        (np.zeros(300), {"sigma": -1.0}, "sigma"),
        (np.zeros(300), {"threshold": [0.1, 0.2]}, "thresholds"),
    ],
)
def test_bad_input(graph, signal, options, match):
    with pytest.raises(ValueError, match=match):
        denoise(graph, signal, **options)


def test_transform_of_another_graph(graph):
    other = FrameletTransform(Graph.from_edges(3, [(0, 1)]))
    with pytest.raises(ValueError, match="transform"):
        denoise(graph, np.zeros(300), transform=other)


def test_bad_share(graph):
    with pytest.raises(ValueError, match="share"):
        compress(graph, np.zeros(300), share=1.5)


@pytest.mark.parametrize("size", [1e-250, 1e250])
@pytest.mark.parametrize("rule", ["sure", "universal"])
def test_denoising_does_not_depend_on_the_unit(rule, size):
    graph = Graph.from_edges(60, [(i, i + 1) for i in range(59)])
    noisy = np.random.default_rng(0).normal(size=60)
    plain, scaled = (denoise(graph, noisy * s, threshold=rule) for s in (1.0, size))
    assert np.allclose(scaled.signal / size, plain.signal, rtol=1e-9)
    assert np.isclose(scaled.sigma / size, plain.sigma)


def test_compression_keeps_the_share_also_among_equal_coefficients():
    cycle = Graph.from_edges(64, [(i, (i + 1) % 64) for i in range(64)])
    transform = FrameletTransform(cycle, levels=2, n_coefficients="auto")
    for share in (0.0, 0.1, 0.25, 1.0):
        result = compress(cycle, np.ones(64), share=share, transform=transform)
        assert result.n_nonzero == min(round(share * 192), np.count_nonzero(transform.analyze(np.ones(64))))


def test_isolated_nodes_and_edgeless_graphs_are_left_as_they_are():
    assert np.allclose(denoise(Graph.from_edges(4, []), [1.0, 2.0, 3.0, 4.0], sigma=1.0).signal, [1, 2, 3, 4])


def test_denoise_refuses_options_that_say_nothing():
    graph = Graph.from_edges(4, [(0, 1), (1, 2), (2, 3)])
    signal = np.arange(4.0)
    with pytest.raises(ValueError, match="sigma"):
        denoise(graph, signal, threshold=1.0, sigma=-1)
    with pytest.raises(TypeError, match="threshold"):
        denoise(graph, signal, threshold=True)
    with pytest.raises(TypeError, match="transform"):
        denoise(graph, signal, transform=3)
    other = FrameletTransform(Graph.from_edges(4, [(0, 1), (1, 2)]))
    with pytest.raises(ValueError, match="other edges"):
        denoise(graph, signal, transform=other)
    with pytest.raises(ValueError, match="no columns"):
        denoise(graph, np.ones((4, 0)))


def test_result_keeps_its_own_copy_of_the_signal():
    signal = np.arange(4.0)
    result = denoise(Graph.from_edges(4, [(0, 1), (1, 2), (2, 3)]), signal)
    signal[:] = 0
    assert result.noisy.tolist() == [0, 1, 2, 3]

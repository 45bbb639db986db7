"""The framelet transform against dense definitions, published numbers, and its own theorems."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from scinn.exceptions import ConvergenceWarning
from scinn.graphs import FilterBank, FrameletTransform, Graph
from scinn.graphs.chebyshev import level_scales
from scinn.graphs.matrix_free import LaplacianRows, Plan, analyze_rows, make_plan, synthesize_rows
from scinn.reference import framelets as reference
from scinn.verify import strategies

PATH = Graph.from_edges(3, [(0, 1), (1, 2)])
CLASSICAL = ("haar", "linear", "quadratic")


def random_graph(n, seed=0, n_edges=None):
    rng = np.random.default_rng(seed)
    count = 2 * n if n_edges is None else n_edges
    return Graph.from_edges(n, rng.integers(0, n, (count, 2)), rng.uniform(0.1, 3.0, count))


# Published numbers -----------------------------------------------------------------------------------------------

WORKED = {
    ("exact", "up"): (
        [0.9771846, 2.7677670, 2.9370290],
        [-0.1901417, -0.5428932, 0.9579086],
        [-0.5960387, -0.5428932, 1.3638057],
        [1, 2, 4],
    ),
    ("exact", "down"): (
        [0.9771846, 2.7677670, 2.9370290],
        [-0.5177670, -0.7677670, 1.6035534],
        [-0.4058971, 0, 0.4058971],
        [1, 2, 4],
    ),
    ("chebyshev", "up"): (
        [1.6897249, 3.4050696, 3.2415938],
        [-0.0178057, -0.2172054, 1.0183406],
        [-0.2177261, -0.2423621, 1.3341428],
        [2.5301332, 3.7119683, 4.4935310],
    ),
}


@pytest.mark.parametrize(("method", "arrangement"), WORKED)
def test_worked_example_on_the_path_of_three_nodes(method, arrangement):
    transform = FrameletTransform(PATH, method=method, arrangement=arrangement)
    c = transform.analyze([1, 2, 4])
    low, first, second, rebuilt = WORKED[method, arrangement]
    np.testing.assert_allclose(c, [low, first, second], atol=5.1e-8)
    np.testing.assert_allclose(transform.synthesize(c), rebuilt, atol=5.1e-8)
    np.testing.assert_allclose(transform.inverse(c), [1, 2, 4], atol=1e-12)


# Rows: n; columns: Haar of 1, 2, 3 levels, linear and quadratic of 2 levels. Decimal places follow the print.
TIGHTNESS = {
    2: ("0.275", "0.568", "0.960", "0.543", "0.544"),
    3: ("0.0249", "0.0505", "0.0766", "0.306", "0.477"),
    4: ("3.9e-3", "5.8e-3", "8.7e-3", "2.9e-2", "6.4e-2"),
    5: ("2.0e-4", "4.0e-4", "6.0e-4", "8.8e-3", "2.6e-2"),
    6: ("2.0e-5", "3.0e-5", "4.5e-5", "6.2e-4", "3.4e-3"),
    8: ("5.5e-8", "8.5e-8", "1.2e-7", "8.3e-6", "9.5e-5"),
}


def last_digit(text):
    mantissa, _, exponent = text.partition("e")
    return 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


@pytest.mark.parametrize("n", TIGHTNESS)
def test_tightness_table_to_its_printed_digits(n):
    for printed, (bank, levels) in zip(
        TIGHTNESS[n], [("haar", 1), ("haar", 2), ("haar", 3), ("linear", 2), ("quadratic", 2)]
    ):
        report = FrameletTransform(PATH, bank=bank, levels=levels, n_coefficients=n).tightness_report()
        assert abs(report.defect - float(printed)) <= 0.55 * last_digit(printed), (bank, levels)
        assert report.defects[n - 1] == pytest.approx(report.defect, abs=1e-13)


def test_defects_beyond_the_printed_digits_fall_below_1e_11():
    for levels in (1, 2, 3):
        report = FrameletTransform(PATH, levels=levels, n_coefficients=12).tightness_report()
        assert report.defect < 1e-11
        assert report.defects[15] < 2e-14
    for bank in ("linear", "quadratic"):
        assert FrameletTransform(PATH, bank=bank, n_coefficients=20).tightness_report().defect < 1e-13


@pytest.mark.parametrize(
    ("bank", "n", "low", "high", "condition"),
    [
        ("haar", 2, 0.644, 1.568, 2.4),
        ("haar", 3, 0.979, 1.051, 1.07),
        ("linear", 2, 0.522, 1.543, 3.0),
        ("linear", 3, 0.876, 1.306, 1.49),
        ("quadratic", 2, 0.456, 1.449, 3.2),
        ("quadratic", 4, 0.939, 1.064, 1.13),
    ],
)
def test_published_frame_bounds(bank, n, low, high, condition):
    transform = FrameletTransform(PATH, bank=bank, n_coefficients=n)
    assert transform.frame_bounds() == pytest.approx((low, high), abs=6e-4)
    assert transform.tightness_report().condition_number == pytest.approx(condition, rel=0.03)


def test_quasi_framelet_banks_converge_slowly_or_not_at_all():
    sigmoid = FrameletTransform(PATH, bank="sigmoid").tightness_report().defects
    assert [sigmoid[n - 1] for n in (2, 8, 20, 50)] == pytest.approx([0.78, 0.10, 1.9e-3, 1.2e-7], rel=0.03)
    entropy = FrameletTransform(PATH, bank="entropy").tightness_report().defects
    assert min(entropy[7:]) > 0.2


# Against the definition ------------------------------------------------------------------------------------------


@given(
    strategies.graphs(),
    st.sampled_from(CLASSICAL),
    st.integers(1, 4),
    st.sampled_from([1.3, 2.0, 2.5, 4.0]),
    st.sampled_from(["up", "down"]),
    st.sampled_from(["one", "zero"]),
    st.integers(0, 2**32 - 1),
)
def test_exact_transform_is_the_definition_and_tight(
    graph, bank, levels, dilation, arrangement, isolated, seed
):
    options = {"bank": bank, "levels": levels, "dilation": dilation, "arrangement": arrangement}
    transform = FrameletTransform(graph, method="exact", isolated=isolated, **options)
    laplacian = reference.normalized_laplacian(graph.to_scipy().toarray(), isolated)
    operators = reference.exact_operators(
        laplacian, reference.bank_filters(bank), levels, dilation, arrangement, transform.lambda_max
    )
    x = np.random.default_rng(seed).standard_normal((graph.n_nodes, 2))
    c = transform.analyze(x)
    np.testing.assert_allclose(c, reference.analyze(operators, x), atol=1e-10)
    np.testing.assert_allclose(transform.synthesize(c), x, atol=1e-10)
    np.testing.assert_allclose(np.sum(c**2), np.sum(x**2), rtol=1e-10)


@given(
    strategies.graphs(),
    st.sampled_from(CLASSICAL),
    st.integers(1, 4),
    st.integers(1, 14),
    st.sampled_from([1.3, 2.0, 2.5]),
    st.sampled_from(["up", "down"]),
    st.sampled_from(["one", "zero"]),
    st.integers(0, 2**32 - 1),
)
def test_matrix_free_is_the_materialised_cascade(
    graph, bank, levels, n, dilation, arrangement, isolated, seed
):
    transform = FrameletTransform(
        graph,
        bank=bank,
        levels=levels,
        n_coefficients=n,
        dilation=dilation,
        arrangement=arrangement,
        isolated=isolated,
    )
    operators = reference.chebyshev_operators(
        reference.normalized_laplacian(graph.to_scipy().toarray(), isolated),
        transform.bank.chebyshev(n),
        levels,
        dilation,
        arrangement,
        transform.lambda_max,
    )
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((graph.n_nodes, 3))
    c = rng.standard_normal((transform.n_bands, graph.n_nodes, 3))
    scale = max(1.0, np.abs(operators).max())
    np.testing.assert_allclose(transform.analyze(x), reference.analyze(operators, x), atol=1e-12 * scale)
    np.testing.assert_allclose(
        transform.synthesize(c), reference.synthesize(operators, c), atol=1e-12 * scale
    )
    # The adjoint is exact whether or not the frame is tight.
    left, right = np.sum(transform.analyze(x) * c), np.sum(x * transform.synthesize(c))
    assert abs(left - right) <= 1e-12 * np.linalg.norm(c) * np.linalg.norm(x) * scale


@pytest.mark.parametrize("n_features", [0, 1, 7, 8, 9, 16, 23, 64, 65, 130])
@pytest.mark.parametrize("bank", ["haar", "quadratic"])
@pytest.mark.parametrize("parallel", [False, True])
def test_widths_around_the_blocks_of_the_kernel(n_features, bank, parallel):
    graph = random_graph(37)
    transform = FrameletTransform(graph, bank=bank, levels=3, n_coefficients=5, parallel=parallel)
    operators = reference.chebyshev_operators(
        reference.normalized_laplacian(graph.to_scipy().toarray()),
        transform.bank.chebyshev(5),
        3,
        lambda_max=transform.lambda_max,
    )
    rng = np.random.default_rng(1)
    x = rng.standard_normal((37, n_features))
    c = rng.standard_normal((transform.n_bands, 37, n_features))
    np.testing.assert_allclose(transform.analyze(x), reference.analyze(operators, x), atol=1e-12)
    np.testing.assert_allclose(transform.synthesize(c), reference.synthesize(operators, c), atol=1e-12)


@pytest.mark.parametrize("levels", [2, 3, 4])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 9])
def test_both_plans_give_the_same_operators(levels, n):
    graph = random_graph(150)
    coefficients = FilterBank.linear().chebyshev(n)
    scales = level_scales(levels, 2.0, "up")
    halved = coefficients.copy()
    halved[:, 0] /= 2
    n_bands = 2 * levels + 1
    cascade = Plan(False, tuple(scales * 2 / graph.lambda_max()), halved, n_bands)
    from scinn.graphs.chebyshev import composite_coefficients

    series = composite_coefficients(coefficients, scales)
    series[:, 0] /= 2
    composite = Plan(True, (2 / graph.lambda_max(),), series, n_bands)
    links = graph.normalized_adjacency()
    rows = LaplacianRows(links.data, links.indices, links.indptr, graph.laplacian_diagonal())
    rng = np.random.default_rng(0)
    x, c = rng.standard_normal((150, 11)), rng.standard_normal((n_bands, 150, 11))
    np.testing.assert_allclose(analyze_rows(rows, cascade, x), analyze_rows(rows, composite, x), atol=2e-13)
    np.testing.assert_allclose(
        synthesize_rows(rows, cascade, c), synthesize_rows(rows, composite, c), atol=2e-13
    )


def test_accurate_filters_share_one_short_recurrence():
    scales = level_scales(3, 2.0, "up")
    accurate = make_plan(FilterBank.haar().chebyshev(16), scales, 2.0, np.dtype(np.float64))
    assert accurate.composite
    assert accurate.n_products <= 17 < 3 * 15
    coarse = make_plan(FilterBank.haar().chebyshev(2), scales, 2.0, np.dtype(np.float64))
    assert coarse.n_products == 3


def test_parallel_gives_the_same_bits():
    graph = random_graph(2500)
    x = np.random.default_rng(0).standard_normal((2500, 9))
    serial = FrameletTransform(graph, n_coefficients=6)
    threads = FrameletTransform(graph, n_coefficients=6, parallel=True)
    c = serial.analyze(x)
    np.testing.assert_array_equal(threads.analyze(x), c)
    np.testing.assert_array_equal(threads.synthesize(c), serial.synthesize(c))


@pytest.mark.parametrize("method", ["exact", "chebyshev"])
def test_float32_stays_float32_and_agrees(method):
    graph = random_graph(60)
    transform = FrameletTransform(graph, method=method, n_coefficients=8)
    x = np.random.default_rng(0).standard_normal((60, 19))
    c = transform.analyze(x.astype(np.float32))
    assert c.dtype == np.float32
    np.testing.assert_allclose(c, transform.analyze(x), atol=1e-5)
    rebuilt = transform.synthesize(c)
    assert rebuilt.dtype == transform.inverse(c).dtype == np.float32
    np.testing.assert_allclose(rebuilt, x, atol=1e-5)
    np.testing.assert_allclose(transform.inverse(c), x, atol=1e-5)


# Theorems --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bank", ["haar", "linear", "quadratic", "sigmoid"])
@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_inverse_rebuilds_for_every_degree(bank, n):
    graph = random_graph(80)
    transform = FrameletTransform(graph, bank=bank, n_coefficients=n)
    x = np.random.default_rng(0).standard_normal((80, 4))
    x[:, 2] = 0
    np.testing.assert_allclose(transform.inverse(transform.analyze(x)), x, atol=1e-10)
    np.testing.assert_allclose(transform.inverse(transform.analyze(x[:, 0])), x[:, 0], atol=1e-10)


def test_inverse_warns_when_it_does_not_converge():
    transform = FrameletTransform(random_graph(80))
    c = transform.analyze(np.random.default_rng(0).standard_normal(80))
    with pytest.warns(ConvergenceWarning, match=r"after 1 iterations at a relative residual of .*max_iter"):
        transform.inverse(c, max_iter=1)


def test_inverse_of_any_coefficients_is_the_least_squares_solution():
    transform = FrameletTransform(random_graph(30))
    c = np.random.default_rng(0).standard_normal((3, 30))
    matrix = transform.as_linear_operator() @ np.eye(30)
    expected = np.linalg.lstsq(matrix, c.ravel(), rcond=None)[0]
    np.testing.assert_allclose(transform.inverse(c), expected, atol=1e-10)


def test_linear_operator_and_its_adjoint():
    transform = FrameletTransform(random_graph(12), levels=3)
    operator = transform.as_linear_operator()
    dense = operator @ np.eye(12)
    assert operator.shape == dense.shape == (4 * 12, 12)
    np.testing.assert_allclose(operator.H @ np.eye(48), dense.T, atol=1e-14)
    np.testing.assert_allclose(operator.matvec(np.ones(12)), dense.sum(axis=1), atol=1e-13)
    np.testing.assert_allclose(operator.rmatvec(np.ones(48)), dense.sum(axis=0), atol=1e-13)


def test_auto_takes_the_smallest_sufficient_number():
    for tol, expected in [(1e-7, 8), (1e-2, 4), (0.1, 3), (1e-12, 12)]:
        transform = FrameletTransform(PATH, n_coefficients="auto", tol=tol)
        assert transform.n_coefficients == expected
        assert transform.tightness_report().defect <= tol
    assert FrameletTransform(PATH, n_coefficients="auto").n_coefficients == 8
    assert FrameletTransform(PATH, bank="sigmoid", n_coefficients="auto", tol=1e-7).n_coefficients > 48
    with pytest.raises(ValueError, match=r"found no number up to 256 .*'entropy\(0.5\)'.*method='exact'"):
        FrameletTransform(PATH, bank="entropy", n_coefficients="auto")


def test_responses_are_what_the_operators_do():
    graph = random_graph(25)
    for method in ("exact", "chebyshev"):
        transform = FrameletTransform(graph, method=method, bank="linear", n_coefficients=4, levels=3)
        values, vectors = graph.spectrum()
        g = transform.evaluate(np.minimum(values, transform.lambda_max))
        np.testing.assert_allclose(transform.analyze(vectors), vectors[None] * g[:, None, :], atol=1e-12)


@pytest.mark.parametrize("levels", [1, 2, 3, 5])
def test_final_haar_low_pass_has_its_closed_form_in_both_arrangements(levels):
    lam = np.linspace(1e-3, 2.0, 200)
    xi = np.pi * lam / 2
    expected = np.sin(xi) / (2**levels * np.sin(xi / 2**levels))
    for arrangement in ("up", "down"):
        transform = FrameletTransform(PATH, levels=levels, method="exact", arrangement=arrangement)
        np.testing.assert_allclose(transform.evaluate(lam)[0], expected, atol=1e-13)


def test_the_zero_frequency_vector_has_no_details():
    graph = Graph.from_edges(6, [(0, 1), (1, 2), (2, 3), (3, 0), (0, 4), (4, 5)])
    x = np.sqrt(graph.degrees)
    exact = FrameletTransform(graph, method="exact").analyze(x)
    np.testing.assert_allclose(exact[0], x, atol=1e-12)
    np.testing.assert_allclose(exact[1:], 0, atol=1e-12)
    coarse = FrameletTransform(graph, levels=1).analyze(x)
    np.testing.assert_allclose(coarse[1] / x, 0.088, atol=6e-4)


def test_isolated_nodes_follow_the_convention():
    graph = Graph.from_edges(4, [(0, 1), (1, 2)])
    x = np.array([0, 0, 0, 3.0])
    one = FrameletTransform(graph, method="exact").analyze(x)
    np.testing.assert_allclose(
        one[:, 3], 3 * FrameletTransform(graph, method="exact").evaluate(1.0), atol=1e-13
    )
    np.testing.assert_array_equal(np.delete(one, 3, axis=1), 0)
    zero = FrameletTransform(graph, method="exact", isolated="zero").analyze(x)
    np.testing.assert_allclose(zero[:, 3], [3, 0, 0], atol=1e-13)


def test_edgeless_graph_with_lambda_max_zero():
    graph = Graph.from_edges(3, [])
    for method in ("exact", "chebyshev"):
        transform = FrameletTransform(graph, isolated="zero", method=method, n_coefficients=20)
        assert transform.lambda_max == 0
        c = transform.analyze([1.0, 2.0, 3.0])
        np.testing.assert_allclose(c, [[1, 2, 3], [0, 0, 0], [0, 0, 0]], atol=1e-14)
        assert transform.tightness_report().defect < 1e-14
        assert transform.tightness_report("spectrum").defect < 1e-14


def test_components_of_a_batch_do_not_mix():
    graphs = [random_graph(9, seed) for seed in range(3)]
    batch = Graph.batch(graphs)
    x = np.random.default_rng(0).standard_normal((batch.graph.n_nodes, 2))
    together = FrameletTransform(batch.graph, lambda_max="bound", n_coefficients=5).analyze(x)
    for graph, begin, end in zip(graphs, batch.node_ptr[:-1], batch.node_ptr[1:]):
        alone = FrameletTransform(graph, lambda_max="bound", n_coefficients=5).analyze(x[begin:end])
        np.testing.assert_allclose(together[:, begin:end], alone, atol=1e-14)


def test_frame_bounds_over_the_spectrum_lie_within_those_of_the_interval():
    transform = FrameletTransform(random_graph(40))
    low, high = transform.frame_bounds()
    inner_low, inner_high = transform.frame_bounds("spectrum")
    assert low <= inner_low <= inner_high <= high + 1e-12
    operator = transform.as_linear_operator() @ np.eye(40)
    singular = np.linalg.svd(operator, compute_uv=False) ** 2
    np.testing.assert_allclose([singular.min(), singular.max()], [inner_low, inner_high], atol=1e-12)


def test_bands_atoms_and_their_names():
    transform = FrameletTransform(random_graph(10), bank="linear", levels=3)
    assert transform.bands == ((0, 3), (1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3))
    assert [transform.band_index(band) for band in transform.bands] == list(range(7))
    x = np.random.default_rng(0).standard_normal(10)
    c = transform.analyze(x)
    atoms = transform.atoms([3, 7], (1, 2))
    np.testing.assert_allclose(atoms.T @ x, c[2, [3, 7]], atol=1e-13)
    np.testing.assert_allclose(transform.atoms(3, 2), atoms[:, 0], atol=1e-15)


def test_inputs_are_left_alone_and_may_be_read_only():
    transform = FrameletTransform(random_graph(20), n_coefficients=4)
    x = np.random.default_rng(0).standard_normal((20, 3))
    c = transform.analyze(x)
    x_copy, c_copy = x.copy(), c.copy()
    x.setflags(write=False)
    c.setflags(write=False)
    np.testing.assert_array_equal(transform.analyze(x), c_copy)
    rebuilt = transform.synthesize(c)
    np.testing.assert_array_equal(rebuilt, transform.synthesize(c_copy))
    np.testing.assert_array_equal(x, x_copy)
    np.testing.assert_array_equal(transform.analyze(np.asfortranarray(x)), c)


# Reports and figures ---------------------------------------------------------------------------------------------


def test_tightness_report_reads_well_and_goes_to_json():
    report = FrameletTransform(PATH, n_coefficients=4).tightness_report()
    assert report.coefficients_for(1e-7) == 8
    assert report.coefficients_for(1e-30) is None
    text = repr(report)
    assert "defect over the interval: 0.00582" in text
    assert "more than 64" not in text
    record = json.loads(json.dumps(report.to_dict()))
    assert record["n_coefficients"] == 4
    assert record["coefficients_for"]["1e-08"] == 9
    assert record["defects"][1] == pytest.approx(0.56777, abs=1e-5)
    exact = FrameletTransform(PATH, method="exact").tightness_report()
    assert exact.defect < 1e-14
    assert "exact filters" in repr(exact)
    with pytest.raises(AttributeError):
        report.levels = 3


def test_figures_have_a_line_a_band():
    from matplotlib.figure import Figure

    transform = FrameletTransform(PATH, levels=3)
    axes = transform.plot()
    assert [line.get_label() for line in axes.lines] == [
        "low-pass, level 3",
        "(1, 1)",
        "(1, 2)",
        "(1, 3)",
        "sum of squares",
    ]
    given_axes = Figure().subplots()
    assert transform.tightness_report().plot(given_axes) is given_axes


def test_repr_names_what_matters():
    text = repr(FrameletTransform(PATH, bank=FilterBank.spline(4)))
    assert text.startswith("FrameletTransform(Graph(n_nodes=3, n_edges=2), bank='spline(4)', levels=2")


# Bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"order": 30},
            TypeError,
            r"the Chebyshev degree is n_coefficients - 1: pass n_coefficients=order \+ 1",
        ),
        ({"lmax": 2}, TypeError, "no argument 'lmax': pass lambda_max="),
        ({"lap_type": "combinatorial"}, TypeError, "normalised Laplacian"),
        ({"kernels": []}, TypeError, r"FilterBank\.from_callables"),
        ({"Nf": 6}, TypeError, "number of bands"),
        ({"dilatation": 2}, TypeError, "did you mean 'dilation'"),
        ({"xyz": 2}, TypeError, "it has bank, levels"),
        ({"bank": "harr"}, ValueError, "bank is 'harr'.*did you mean 'haar'"),
        ({"levels": 0}, ValueError, "levels is 0; an integer >= 1"),
        ({"levels": 2.0}, TypeError, "levels is 2.0.*pass 2"),
        ({"dilation": 1}, ValueError, "dilation is 1; a finite number > 1"),
        ({"dilation": 0.5}, ValueError, "dilation is 0.5"),
        ({"n_coefficients": 0}, ValueError, "n_coefficients is 0"),
        ({"n_coefficients": "automatic"}, ValueError, "did you mean 'auto'"),
        ({"n_coefficients": "auto", "tol": 0}, ValueError, "tol is 0"),
        ({"arrangement": "sideways"}, ValueError, "arrangement is 'sideways'"),
        ({"method": "exakt"}, ValueError, "did you mean 'exact'"),
        ({"isolated": "two"}, ValueError, "isolated is 'two'"),
        ({"lambda_max": 1.0}, ValueError, "lambda_max is 1, below the largest eigenvalue 2 of the Laplacian"),
        ({"lambda_max": 1.9999}, ValueError, "below the largest eigenvalue"),
        ({"lambda_max": "estimate"}, ValueError, "lambda_max is 'estimate'"),
        ({"lambda_max": float("nan")}, ValueError, "lambda_max is nan"),
    ],
)
def test_bad_options_are_refused_with_a_reason(options, error, message):
    with pytest.raises(error, match=message):
        FrameletTransform(PATH, **options)


def test_other_objects_are_no_graphs():
    with pytest.raises(TypeError, match=r"graph is a csr_array; .*Graph\.from_scipy"):
        FrameletTransform(sparse.csr_array(np.eye(3)))


def test_the_exact_method_is_refused_for_large_graphs():
    graph = Graph.from_edges(2001, [(0, 1)])
    with pytest.raises(ValueError, match=r"2001 nodes; the exact spectrum is computed up to 2000"):
        FrameletTransform(graph, method="exact")


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([1.0, np.nan, 0.0], ValueError, "x holds 1 NaN or infinite value, the first at 1"),
        (np.full((3, 2), np.inf), ValueError, r"x holds 6 NaN or infinite values, the first at \(0, 0\)"),
        (np.ones(4), ValueError, r"x has shape \(4,\); \(3,\) or \(3, n_features\)"),
        (np.ones((5, 3)), ValueError, r"pass x\.T"),
        (np.ones((3, 1, 1)), ValueError, r"x has shape \(3, 1, 1\)"),
        (sparse.csr_array(np.eye(3)), TypeError, r"sparse matrix.*toarray"),
        (["a", "b", "c"], TypeError, "x has dtype"),
    ],
)
def test_bad_signals_are_refused_with_a_reason(x, error, message):
    with pytest.raises(error, match=message):
        FrameletTransform(PATH).analyze(x)


def test_bad_coefficients_bands_and_eigenvalues_are_refused():
    transform = FrameletTransform(PATH)
    for back in (transform.synthesize, transform.inverse):
        with pytest.raises(ValueError, match=r"c has shape \(4, 3\); \(3, 3\)"):
            back(np.ones((4, 3)))
        with pytest.raises(ValueError, match="c holds 1 NaN"):
            back([[1, 2, 3], [1, 2, 3], [1, 2, np.nan]])
    with pytest.raises(ValueError, match=r"band is \(0, 1\); one of"):
        transform.atoms(0, (0, 1))
    with pytest.raises(ValueError, match="nodes holds the index 3"):
        transform.atoms(3, 0)
    with pytest.raises(ValueError, match=r"eigenvalues lie in \[0, 2\.5\]"):
        transform.evaluate([0, 2.5])
    with pytest.raises(ValueError, match="where is 'nowhere'"):
        transform.frame_bounds("nowhere")


@pytest.mark.parametrize("method", ["chebyshev", "exact"])
@pytest.mark.parametrize("size", [1e-300, 1e-200, 1e160, 1e300])
def test_inverse_holds_for_signals_of_any_size(method, size):
    transform = FrameletTransform(Graph.from_edges(4, [(0, 1), (1, 2), (2, 3)]), method=method)
    signal = np.array([[1.0, 2.0], [2.0, 0.0], [3.0, 1.0], [5.0, 2.0]]) * np.array([size, 1.0])
    assert np.allclose(transform.inverse(transform.analyze(signal)) / signal.max(0), signal / signal.max(0))


def test_linear_operator_refuses_complex_signals():
    operator = FrameletTransform(Graph.from_edges(3, [(0, 1), (1, 2)])).as_linear_operator()
    with pytest.raises((TypeError, ValueError), match="complex"):
        operator @ np.array([1j, 0, 0])

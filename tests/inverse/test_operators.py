"""Forward operators: orientation, boundaries, adjoints, and every form that users hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, ndimage, sparse
from scipy.sparse.linalg import aslinearoperator

from scinn.inverse.grids import Grid, uniform_grid
from scinn.inverse.operators import (
    Convolution1D,
    Convolution2D,
    Identity,
    Integration,
    MatrixOperator,
    as_operator,
)
from scinn.inverse.stencils import BOUNDARIES, KERNELS, extended_index, kernel_function
from scinn.verify import check_adjoint

SCIPY_MODES = {
    "zero": "constant",
    "periodic": "grid-wrap",
    "reflect": "reflect",
    "nearest": "nearest",
    "mirror": "mirror",
}


def one_sided(r):
    """An asymmetric kernel: it smears towards larger t only."""
    return np.where(r >= 0, np.exp(-r / 0.2) / 0.2, 0.0)


OPERATORS = {
    "gaussian": lambda: Convolution1D(17, "gaussian", 0.2),
    "asymmetric": lambda: Convolution1D(17, one_sided, rows=slice(1, None, 3)),
    "taps": lambda: Convolution1D(11, [1.0, -2.0, 5.0, 0.5], boundary="reflect"),
    "trapezoid": lambda: Convolution1D(Grid(([0.0, 0.1, 0.5, 0.7],)), "laplace", 0.3, quadrature="trapezoid"),
    "separable": lambda: Convolution2D(
        (6, 9), ("gaussian", one_sided), 0.3, rows=(slice(None, None, 2), [0, 3, 8])
    ),
    "taps in 2-D": lambda: Convolution2D((5, 6), [[1.0, 2.0, 0.0], [0.0, 3.0, -1.0]], boundary="periodic"),
    "identity": lambda: Identity(7, rows=[0, 0, 3]),
    "integration": lambda: Integration(9, slice(None, None, 2)),
    "matrix": lambda: MatrixOperator(np.random.default_rng(0).standard_normal((4, 7))),
    "one point": lambda: Convolution1D(1, "gaussian", 0.5),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_adjoint_and_matrix(name):
    operator = OPERATORS[name]()
    assert check_adjoint(operator.as_linear_operator(), tol=1e-13)
    m, n = operator.shape
    matrix = operator.matrix()
    assert matrix.shape == (m, n)
    generator = np.random.default_rng(1)
    u, q = generator.standard_normal((3, n)), generator.standard_normal((2, 4, m))
    np.testing.assert_allclose(operator.apply(u), u @ matrix.T, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(operator.adjoint(q), q @ matrix, rtol=1e-12, atol=1e-14)
    view = operator.as_linear_operator()
    np.testing.assert_allclose(view @ np.eye(n), matrix, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(view.T @ np.eye(m), matrix.T, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("n", [1, 2, 5, 8])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_taps_and_boundaries_agree_with_scipy(boundary, n, size):
    generator = np.random.default_rng(size)
    taps, u = generator.standard_normal(size), generator.standard_normal(n)
    ours = Convolution1D(n, taps, boundary=boundary).apply(u)
    theirs = ndimage.convolve1d(u, taps, mode=SCIPY_MODES[boundary])
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("size", [(1, 1), (3, 3), (2, 5), (4, 2)])
def test_taps_in_the_plane_agree_with_scipy(boundary, size):
    generator = np.random.default_rng(3)
    taps, u = generator.standard_normal(size), generator.standard_normal((5, 7))
    ours = Convolution2D((5, 7), taps, boundary=boundary).apply(u)
    theirs = ndimage.convolve(u, taps, mode=SCIPY_MODES[boundary])
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_named_kernel_at_boundaries_agrees_with_scipy(boundary):
    n, width = 20, 0.15
    grid = uniform_grid(n)
    h = grid.spacing[0]
    taps = h * kernel_function("gaussian", width)(h * np.arange(-(n - 1), n))
    u = np.random.default_rng(0).standard_normal(n)
    ours = Convolution1D(grid, "gaussian", width, boundary=boundary).apply(u)
    theirs = ndimage.convolve1d(u, taps, mode=SCIPY_MODES[boundary])
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)


@given(st.integers(1, 7), st.integers(-40, 40), st.sampled_from(BOUNDARIES))
def test_the_continuation_agrees_with_numpy_pad(n, place, boundary):
    modes = {
        "zero": "constant",
        "periodic": "wrap",
        "reflect": "symmetric",
        "nearest": "edge",
        "mirror": "reflect",
    }
    padded = np.pad(np.arange(1.0, n + 1), 40, mode=modes[boundary])
    index, inside = extended_index(np.array([place]), n, boundary)
    assert (index[0] + 1.0 if inside[0] else 0.0) == padded[place + 40]


@pytest.mark.parametrize("kernel", [one_sided, [0.0, 0.0, 3.0, 2.0, 1.0]])
def test_column_j_is_the_kernel_moved_to_x_j(kernel):
    """A known peer builds its matrix from the images of unit vectors as rows: the transpose."""
    grid = uniform_grid(21)
    operator = Convolution1D(grid, kernel)
    j = 6
    delta = np.zeros(21)
    delta[j] = 1.0
    image = operator.apply(delta)
    if callable(kernel):
        wanted = grid.spacing[0] * one_sided(grid.axes[0] - grid.axes[0][j])
    else:
        wanted = np.zeros(21)
        wanted[j : j + 3] = [3.0, 2.0, 1.0]
    np.testing.assert_allclose(image, wanted, rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(operator.matrix()[:, j], image)
    assert not image[:j].any()
    assert image[j + 1] > 0
    transposed = operator.adjoint(delta)
    assert np.abs(transposed - image).max() > 0.1


def test_column_is_the_kernel_in_the_plane():
    grid = uniform_grid((9, 11))
    operator = Convolution2D(grid, (one_sided, "gaussian"), (None, 0.3))
    delta = np.zeros((9, 11))
    delta[2, 5] = 1.0
    b = grid.axes[1]
    along_a = one_sided(grid.spacing[0] * (np.arange(9) - 2)) * grid.spacing[0]
    along_b = kernel_function("gaussian", 0.3)(b - b[5]) * grid.spacing[1]
    np.testing.assert_allclose(operator.apply(delta), along_a[:, None] * along_b, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("kernel", [*KERNELS, "moffat(1.5)", "moffat(4)"])
def test_named_kernels_have_unit_integral(kernel):
    function = kernel_function(kernel, 0.3)
    edges = [0.3] if kernel == "box" else None
    half, _ = integrate.quad(lambda r: float(function(np.array(r))), 0, 20, points=edges, limit=400)
    tail, _ = (
        (0.0, 0.0) if kernel == "box" else integrate.quad(lambda r: float(function(np.array(r))), 20, np.inf)
    )
    assert 2 * (half + tail) == pytest.approx(1.0, abs=1e-7)


def test_normalised_kernels_keep_constants_where_nothing_is_lost():
    for boundary in ("periodic", "reflect", "nearest", "mirror"):
        operator = Convolution1D(12, "laplace", 0.4, boundary=boundary, normalise=True)
        np.testing.assert_allclose(operator.apply(np.ones(12)), 1.0, rtol=1e-13)
    assert Convolution1D(12, "laplace", 0.4, normalise=True).apply(np.ones(12))[0] < 0.8


def test_quadratures_converge_to_the_integral():
    """The integral of k(t - x) cos(x) over [-1, 1], at t = 0."""
    wanted, _ = integrate.quad(lambda x: np.exp(-0.5 * (x / 0.4) ** 2) * np.cos(x), -1, 1)
    wanted /= 0.4 * np.sqrt(2 * np.pi)
    uneven = Grid((np.sort(np.append(np.random.default_rng(0).uniform(-1, 1, 398), [-1.0, 1.0, 0.0])),))
    middle = int(np.flatnonzero(uneven.axes[0] == 0.0)[0])
    for grid, rows in ((uniform_grid(401), [200]), (uneven, [middle])):
        operator = Convolution1D(grid, "gaussian", 0.4, rows=rows, quadrature="trapezoid")
        assert operator.apply(np.cos(grid.axes[0]))[0] == pytest.approx(wanted, abs=1e-4)
    rectangle = Convolution1D(401, "gaussian", 0.4, rows=[200]).apply(np.cos(uniform_grid(401).axes[0]))[0]
    ends = 0.5 * 0.005 * 2 * np.cos(1.0) * kernel_function("gaussian", 0.4)(np.array(1.0))
    assert rectangle - ends == pytest.approx(wanted, abs=1e-5)


def test_separable_equals_the_kronecker_product_and_keeps_shapes():
    operator = Convolution2D((6, 5), "gaussian", 0.4, rows=slice(None, None, 2))
    first, second = operator.separable
    assert operator.data_shape == (3, 3)
    u = np.random.default_rng(0).standard_normal((2, 6, 5))
    stacked = operator.apply(u)
    assert stacked.shape == (2, 3, 3)
    np.testing.assert_allclose(stacked[1], first @ u[1] @ second.T, rtol=1e-13)
    np.testing.assert_allclose(operator.apply(u.reshape(2, 30)), stacked.reshape(2, 9), rtol=1e-13)
    np.testing.assert_allclose(operator.matrix() @ u[0].ravel(), stacked[0].ravel(), rtol=1e-12)
    assert operator.adjoint(stacked).shape == (2, 6, 5)
    np.testing.assert_array_equal(operator.points[4], [operator.grid.axes[0][2], operator.grid.axes[1][2]])


def test_a_rank_one_stencil_equals_the_separable_operator():
    a, b = np.array([1.0, 3.0, 0.5]), np.array([2.0, -1.0])
    dense = Convolution2D((5, 4), np.outer(a, b), boundary="nearest")
    u = np.random.default_rng(0).standard_normal((5, 4))
    first = Convolution1D(5, a, boundary="nearest").matrix()
    second = Convolution1D(4, b, boundary="nearest").matrix()
    np.testing.assert_allclose(dense.apply(u), first @ u @ second.T, rtol=1e-12, atol=1e-13)
    assert dense.separable is None


def test_integration_is_exact_for_lines_and_starts_at_zero():
    grid = Grid(([0.0, 0.2, 0.7, 1.0],))
    x = grid.axes[0]
    np.testing.assert_allclose(Integration(grid).apply(2 * x + 1), x**2 + x, rtol=1e-14, atol=1e-16)
    np.testing.assert_allclose(Integration(grid, quadrature="rectangle").apply(np.ones(4)), x, rtol=1e-14)
    u = np.random.default_rng(0).standard_normal(4)
    wanted = integrate.cumulative_trapezoid(u, x, initial=0)
    np.testing.assert_allclose(Integration(grid).apply(u), wanted, rtol=1e-13)


class Peer:
    """What PyLops and the like offer at least."""

    shape = (2, 3)

    def __init__(self, matrix):
        self.held = matrix

    def matvec(self, x):
        return self.held @ x

    def rmatvec(self, y):
        return self.held.T @ y


@pytest.mark.parametrize(
    "holder",
    [
        np.asarray,
        np.ndarray.tolist,
        sparse.csr_array,
        sparse.coo_matrix,
        aslinearoperator,
        Peer,
        np.asfortranarray,
    ],
)
def test_every_holder_of_a_matrix(holder):
    matrix = np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 4.0]])
    operator = as_operator(holder(matrix))
    np.testing.assert_array_equal(operator.matrix(), matrix)
    np.testing.assert_array_equal(operator.apply([1.0, 0.0, 1.0]), [4.0, 4.0])
    assert operator.matrix().flags.c_contiguous
    assert as_operator(operator) is operator


def test_infinite_fields_pass_through():
    image = Identity(2).apply([np.inf, 1.0])
    assert np.isinf(image[0])
    assert np.isnan(Convolution1D(2, [1.0, 1.0, 1.0]).apply([np.inf, -np.inf])).any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Convolution1D((4, 4)), "grid has 2 axes; 1 wanted"),
        (lambda: Convolution2D(4), "grid has 1 axes; 2 wanted"),
        (lambda: Convolution1D(4, "gaussian"), "width is None"),
        (lambda: Convolution1D(4, "gaussian", 0.0), "width"),
        (lambda: Convolution1D(4, "gausian", 0.1), "gaussian"),
        (lambda: Convolution1D(4, "moffat(0.5)", 0.1), "moffat"),
        (lambda: Convolution1D(4, width=0.1, boundary="wrap"), "boundary"),
        (lambda: Convolution1D(4, width=0.1, quadrature="simpson"), "quadrature"),
        (lambda: Convolution1D(4, width=0.1, quadrature="trapezoid", boundary="periodic"), "trapezoid"),
        (lambda: Convolution1D(4, width=0.1, rows=[4]), "rows holds the index 4"),
        (lambda: Convolution1D(4, width=0.1, rows=[]), "rows chooses none"),
        (lambda: Convolution1D([0.0, 0.1, 1.0], width=0.1), "unequal"),
        (lambda: Convolution1D(4, []), "kernel is empty"),
        (lambda: Convolution1D(4, [1.0, np.nan]), "NaN"),
        (lambda: Convolution1D(4, [1.0, -1.0], normalise=True), "sum to 0"),
        (lambda: Convolution1D(4, lambda r: 1.0), "kernel returned shape"),
        (lambda: MatrixOperator([[np.nan]]), "NaN"),
        (lambda: MatrixOperator(np.zeros((0, 3))), r"shape \(0, 3\)"),
        (lambda: MatrixOperator(np.eye(3), grid=4), "3 columns and grid 4 points"),
        (lambda: Identity(3).apply([1.0, 2.0]), r"u has shape \(2,\)"),
        (lambda: Identity(3).adjoint(1.0), "q has shape"),
        (lambda: Convolution2D((4, 4), width=0.2).apply(np.zeros((4, 5))), r"\(..., 16\) or \(..., 4, 4\)"),
    ],
)
def test_refusals_name_the_argument(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_what_is_no_operator_is_refused():
    with pytest.raises(TypeError, match="shape and matvec"):
        MatrixOperator(object())

"""Besov priors: the Haar basis, its weights, and independence of the grid."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from scinn.inverse.besov import BesovPrior, haar_matrix
from scinn.inverse.grids import Grid, uniform_grid


def haar(j, k, t):
    """The wavelet psi_jk, straight from its definition; the right end of the interval belongs to the last cell."""
    if t == 1.0:
        t = 1.0 - 1e-12
    place = 2.0**j * t - k
    if 0 <= place < 0.5:
        return 2.0 ** (j / 2)
    return -(2.0 ** (j / 2)) if 0.5 <= place < 1 else 0.0


@pytest.mark.parametrize("levels", [0, 1, 2, 4])
@pytest.mark.parametrize("n", [1, 2, 7, 16])
def test_haar_functions(levels, n):
    places = np.sort(np.random.default_rng(n).uniform(0, 1, n))
    places[-1] = 1.0
    matrix, level = haar_matrix(places, levels)
    assert matrix.shape == (n, 2**levels)
    np.testing.assert_array_equal(matrix[:, 0], 1.0)
    column = 1
    for j in range(levels):
        for k in range(2**j):
            np.testing.assert_allclose(matrix[:, column], [haar(j, k, t) for t in places], rtol=1e-14)
            assert level[column] == j
            column += 1


@pytest.mark.parametrize("shape", [(2,), (8,), (64,), (4, 4), (8, 8)])
def test_on_powers_of_two_the_basis_is_orthogonal(shape):
    field = BesovPrior(s=0.5 if len(shape) == 1 else 1.0).on(uniform_grid(shape))
    gram = field.matrix.T @ field.matrix
    assert field.matrix.shape[0] == field.matrix.shape[1]
    # With these s the weights of p = 1 are all one.
    np.testing.assert_allclose(gram, len(field.matrix) * np.eye(len(gram)), atol=1e-9)


def test_a_rectangular_plane_uses_the_longer_axis():
    field = BesovPrior().on(uniform_grid((3, 8)))
    assert field.dim == 64
    assert np.linalg.matrix_rank(field.matrix) == 24


@pytest.mark.parametrize(
    ("law", "p", "d"), [("laplace", 1, 1), ("laplace", 1, 2), ("gaussian", 2, 1), ("gaussian", 2, 2)]
)
def test_weights(law, p, d):
    s, n = 1.25, 8
    prior = BesovPrior(s=s, scale=3.0, law=law)
    field = prior.on(uniform_grid((n,) * d))
    assert field.scales == (3.0,)
    norms = np.sqrt((field.matrix**2).mean(axis=0))
    level = np.concatenate([[0], *[np.full((2**d - 1) * 2 ** (d * j), j) for j in range(3)]])
    np.testing.assert_allclose(norms, 2.0 ** (-level * (s + d / 2 - d / p)), rtol=1e-12)


def test_the_line_weights_of_p_one():
    field = BesovPrior(s=1.0).on(8)
    np.testing.assert_allclose(field.matrix[0, [1, 2, 4]], [1.0, 1.0, 1.0], rtol=1e-14)
    rough = BesovPrior(s=0.5).on(8)
    np.testing.assert_allclose(rough.matrix[0, [1, 2, 4]], 2.0 ** (np.arange(3) / 2), rtol=1e-14)


def test_the_prior_does_not_depend_on_the_grid():
    """The same coefficients make the same function at the points that two grids share."""
    coarse, fine = uniform_grid(9), uniform_grid(33)
    few = BesovPrior(levels=4).on(coarse)
    many = BesovPrior(levels=4).on(fine)
    xi = np.random.default_rng(0).standard_normal(16)
    np.testing.assert_array_equal(few.field(xi), many.field(xi)[::4])
    deeper = BesovPrior().on(fine)
    extended = np.append(xi, np.zeros(deeper.dim - 16))
    np.testing.assert_allclose(deeper.field(extended), many.field(xi), rtol=1e-13)


def test_coefficients_are_laplace():
    n = 16
    field = BesovPrior(s=1.0, scale=2.0).on(n)
    draws = field.sample(0, 20_000)
    norms = (field.matrix**2).sum(axis=0)
    theta = draws @ field.matrix / norms / 2.0
    for column in (0, 1, 5, 15):
        assert stats.kstest(theta[:, column], stats.laplace.cdf).pvalue > 1e-4


def test_the_mean_square_in_the_plane():
    """Var u(x) of the constant and three wavelets at each of the scales: the sum of squared weights times 2."""
    prior = BesovPrior(s=1.5, scale=0.5)
    draws = prior.sample(0, 40_000, uniform_grid((4, 4)))
    assert draws.shape == (40_000, 4, 4)
    wanted = 0.25 * 2 * (1 + sum(3 * 4**j * 2.0 ** (-2 * j * 0.5) for j in range(2)))
    np.testing.assert_allclose(draws.var(axis=0), wanted, rtol=0.08)


def test_edge_cases():
    one = BesovPrior().on(1)
    assert one.dim == 1
    np.testing.assert_array_equal(one.matrix, [[1.0]])
    repeated = BesovPrior().sample(0, 3, [0.0, 0.5, 0.5, 1.0])
    np.testing.assert_array_equal(repeated[:, 1], repeated[:, 2])
    np.testing.assert_array_equal(BesovPrior(mean=3.0).on(4).field(np.zeros(4)), 3.0)
    same = BesovPrior().on(Grid(([2.0, 2.0],)))
    np.testing.assert_array_equal(same.matrix[0], same.matrix[1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BesovPrior(scale=0.0), "scale"),
        (lambda: BesovPrior(s=np.nan), "s is"),
        (lambda: BesovPrior(p=0.5), "p is"),
        (lambda: BesovPrior(levels=-1), "levels"),
        (lambda: BesovPrior(law="laplac"), "laplace"),
        (lambda: BesovPrior().on(uniform_grid((2, 2, 2))), "grid has 3 axes"),
    ],
)
def test_refusals_name_the_argument(make, message):
    with pytest.raises(ValueError, match=message):
        make()

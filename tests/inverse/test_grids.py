"""Grids: their points, steps and equality, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from scinn.inverse.grids import Grid, as_grid, uniform_grid


def test_points_are_row_major_and_include_both_ends():
    grid = uniform_grid((2, 3), lower=(0.0, -1.0), upper=(1.0, 1.0))
    assert grid.shape == (2, 3)
    assert grid.n == 6
    np.testing.assert_array_equal(grid.points, [[0, -1], [0, 0], [0, 1], [1, -1], [1, 0], [1, 1]])
    assert grid.points.flags.c_contiguous
    assert grid.spacing == (1.0, 1.0)


def test_a_field_reshaped_to_the_grid_has_its_axes_in_order():
    grid = uniform_grid((3, 4))
    values = (grid.points @ [10.0, 1.0]).reshape(grid.shape)
    np.testing.assert_allclose(values, 10 * grid.axes[0][:, None] + grid.axes[1][None, :], rtol=1e-15)


@pytest.mark.parametrize("n", [2, 3, 24, 129, 1009])
def test_steps_of_linspace_count_as_equal(n):
    grid = uniform_grid(n)
    assert grid.is_uniform
    assert grid.spacing[0] == pytest.approx(2 / (n - 1), rel=1e-14)


def test_uneven_and_repeated_points_have_no_step():
    for axis in ([0.0, 1.0, 3.0], [0.0, 0.0], [0.0, 1.0, 1.0]):
        grid = Grid((axis,))
        assert not grid.is_uniform
        with pytest.raises(ValueError, match="axis 0 of the grid has unequal or zero steps"):
            grid.spacing  # noqa: B018


def test_one_point_and_one_axis():
    grid = uniform_grid(1)
    assert grid.points.shape == (1, 1)
    assert grid.spacing == (1.0,)
    assert as_grid(np.array([0.0, 2.0])) == Grid(([0.0, 2.0],))
    assert Grid(np.array([0.0, 2.0])) == Grid(([0.0, 2.0],))


def test_equality_and_hash_go_by_the_points():
    assert uniform_grid(5) == uniform_grid(5)
    assert hash(uniform_grid(5)) == hash(uniform_grid(5))
    assert uniform_grid(5) != uniform_grid(5, upper=2.0)
    assert uniform_grid(4) != uniform_grid((2, 2))


def test_the_axes_are_copies():
    axis = np.array([0.0, 1.0])
    grid = Grid((axis,))
    axis[0] = 0.5
    assert grid.axes[0][0] == 0.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Grid(()), "axes is empty"),
        (lambda: Grid(([],)), r"axes\[0\] is empty"),
        (lambda: Grid(([1.0, 0.0],)), r"axes\[0\] decreases from 1 to 0 at 1"),
        (lambda: Grid(([0.0, np.nan],)), "NaN"),
        (lambda: uniform_grid(0), "n is 0"),
        (lambda: uniform_grid(4, 1.0, 1.0), "lower is 1 and upper 1"),
        (lambda: uniform_grid((4, 4), lower=(0.0, 0.0, 0.0)), "lower has 3 numbers and the grid 2 axes"),
        (lambda: uniform_grid(4, upper=np.inf), "upper"),
        (lambda: as_grid(np.zeros((2, 2))), "grid has 2 dimensions"),
    ],
)
def test_refusals_name_the_argument(make, message):
    with pytest.raises(ValueError, match=message):
        make()
    with pytest.raises(TypeError, match="uniform_grid"):
        as_grid((4, 4))

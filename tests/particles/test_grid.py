"""The lattice of one particle."""

import math

import numpy as np
import pytest

from nnbook.particles.grid import Grid


@pytest.mark.parametrize(("points", "x_max"), [(3, 1.0), (8, 5.0), (1024, 5.0)])
def test_grid_has_its_sites_between_the_walls(points, x_max):
    grid = Grid(points, x_max)
    assert grid.h == 2 * x_max / points
    assert grid.x.shape == (points - 1,)
    np.testing.assert_allclose(np.diff([-x_max, *grid.x, x_max]), grid.h, rtol=1e-9)
    np.testing.assert_allclose(grid.x, -grid.x[::-1], atol=1e-14)


def test_default_grid_is_that_of_the_talk():
    assert Grid() == Grid(points=1024, x_max=5.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2,), "points: got 2, expected a whole number, at least 3; the talk uses 1024"),
        ((-8,), "points: got -8, expected a whole number, at least 3"),
        ((8.5,), "points: got 8.5, expected"),
        ((8, 0.0), "x_max: got 0.0, expected a positive .*example 5"),
        ((8, math.inf), "x_max: got inf, expected a positive"),
        ((8, math.nan), "x_max: got nan, expected a positive"),
    ],
)
def test_wrong_input_is_told_what_was_got_what_expected_and_what_to_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        Grid(*arguments)

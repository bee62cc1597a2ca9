"""Cardinal splines against SciPy's, and their ends."""

import pytest
import torch
from scipy.interpolate import CubicSpline

from nnbook.dynamics.splines import spline_basis

F = {"dtype": torch.float64}
KNOTS = torch.linspace(0.1, 1, 8, **F)


@pytest.mark.parametrize("derivative", [0, 1, 2])
def test_cardinal_splines_make_the_natural_spline(derivative):
    values = torch.rand(8, generator=torch.Generator().manual_seed(1), **F)
    x = torch.linspace(0, 1, 30, **F)
    whole = CubicSpline([0.0, *KNOTS.tolist()], [0.0, *values.tolist()], bc_type="natural")
    found = spline_basis(x, KNOTS, derivative) @ values
    assert found == pytest.approx(torch.from_numpy(whole(x.numpy(), derivative)), abs=1e-9)


def test_ends_are_straight():
    second = spline_basis(torch.tensor([0.0, 1.0], **F), KNOTS, 2)
    assert second == pytest.approx(0 * second, abs=1e-8)

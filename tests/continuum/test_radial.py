"""Functions of a distance: their derivatives, and what is refused."""

import pytest
import torch

from nnbook.continuum.radial import SHAPES, Pade, Radial

F = {"dtype": torch.float64}


def dice(seed=1):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shape", SHAPES)
def test_radial_functions_have_their_derivatives(shape):
    f = Radial(4, shape, scale=1.0, generator=dice())
    r = torch.linspace(0.01, 5, 40, **F, requires_grad=True)
    (slope,) = torch.autograd.grad(f(r).sum(), r, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), r)
    value, over, second = f.jet(r)
    torch.testing.assert_close(value, f(r))
    torch.testing.assert_close(over * r, slope)
    torch.testing.assert_close(second, bend)
    assert abs(float(f.jet(torch.tensor([1e-6], **F))[1].detach() * 1e-6)) < 1e-4


def test_wrong_input_says_so():
    wrong = {
        "shape: got 'round'": lambda: Radial(3, "round"),
        "start: got -1": lambda: Pade(1.0, -1.0),
    }
    for message, call in wrong.items():
        with pytest.raises(ValueError, match=message):
            call()

"""Traps: energies of states that are exact, bounds, errors."""

import pytest
import torch

from nnbook.continuum.determinants import Slater
from nnbook.continuum.factors import Gaussian
from nnbook.continuum.states import Product
from nnbook.continuum.systems import Trap


def dice():
    return torch.Generator().manual_seed(1)


@pytest.mark.parametrize(
    ("arguments", "lowest"), [((2, 0.5), 1.0), ((6, 1.0), 10.0), ((20, 1.0), 60.0), ((8, 2.0, 3), 36.0)]
)
def test_levels_without_repulsion(arguments, lowest):
    trap = Trap(*arguments)
    assert trap.bounds[0] == pytest.approx(lowest)
    x = trap.start(3, generator=dice())
    t, v, u = trap.split(Product(Gaussian(), Slater(trap)), x)
    torch.testing.assert_close(t + v, torch.full_like(t, lowest))
    apart = torch.stack([torch.pdist(positions) for positions in x]) / trap.omega**0.5
    torch.testing.assert_close(u, (1 / apart).sum(1))
    energies = trap.local_energies(trap.walkers(Product(Gaussian(), Slater(trap)), x))
    torch.testing.assert_close(energies, t + v + u)


@pytest.mark.parametrize(("dim", "mean"), [(2, 1.2533141), (3, 0.7978846)])
def test_repulsion_from_slopes(dim, mean):
    trap = Trap(2, 4.0, dim=dim)  # |psi|^2 is a Gaussian, so the mean of 1/r is known
    x = torch.randn((100_000, 2, dim), generator=dice(), dtype=torch.float64) / 2**0.5
    smooth = trap.smooth_repulsion(Product(Gaussian()), x)
    assert abs(float(smooth.mean()) / 2 - mean) < 4 * float(smooth.std()) / 2 / len(x) ** 0.5
    assert float(smooth.max()) < 20 < float(trap.split(Product(Gaussian()), x).repulsion.max())


def test_equal_labels_mean_equal_energies():
    assert Trap(6, 0.1).label == Trap(6, 0.1).label != Trap(6, 0.1 + 1e-12).label


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Trap(4), "electrons: got 4, expected full shells in 2 dimensions: 2, 6, 12"),
        (lambda: Trap(5), "electrons: got 5, expected an even number"),
        (lambda: Trap(0), "electrons: got 0"),
        (lambda: Trap(6, -1.0), "omega: got -1"),
        (lambda: Trap(6, dim=1), "dim: got 1"),
        (lambda: Trap(6, stride=0.0), "stride: got 0"),
        (lambda: Trap(6).start(0, generator=dice()), "chains: got 0"),
        (lambda: Trap(6).split(Product(Gaussian()), torch.zeros(3, 2, 2)), "x: got shape"),
        (lambda: Trap(6).smooth_repulsion(Product(Gaussian()), torch.zeros(3, 2, 2)), "x: got shape"),
        (lambda: Trap(6).walkers(Product(Gaussian()), torch.zeros(0, 6, 2)), "chains: got 0"),
    ],
)
def test_wrong_input_says_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()

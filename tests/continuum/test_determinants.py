"""Determinants: antisymmetry with backflow, and exact states without repulsion."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnbook.continuum.determinants import Backflow, Slater
from nnbook.continuum.factors import Gaussian
from nnbook.continuum.local_energy import kinetic
from nnbook.continuum.states import Product
from nnbook.continuum.systems import Trap

F = {"dtype": torch.float64}


def dice(seed=1):
    return torch.Generator().manual_seed(seed)


def moved_by(trap, g):
    flow = Backflow(trap, 5, generator=g)
    with torch.no_grad():
        for p in flow.parameters():
            p += 0.2 * torch.randn(p.shape, generator=g, **F)
    return flow


@given(st.permutations(range(3)), st.integers(0, 10))
@settings(max_examples=25, deadline=None)
def test_equal_spins_are_antisymmetric(order, seed):
    trap = Trap(6, 0.3)
    state = Product(Gaussian(), Slater(trap, moved_by(trap, dice(seed))))
    x = trap.start(4, generator=dice(seed))
    moved = x.clone()
    moved[:, :3] = x[:, list(order)]
    inversions = sum(order[i] > order[j] for i in range(3) for j in range(i + 1, 3))
    torch.testing.assert_close(state(moved), state(x), rtol=1e-9, atol=1e-9)
    assert bool((state.sign(moved) == (-1) ** inversions * state.sign(x)).all())


@pytest.mark.parametrize(
    "trap", [Trap(2), Trap(6, 0.3), Trap(8, 2.0, dim=3)], ids=["two", "six", "eight in space"]
)
def test_oscillators_without_repulsion_are_exact(trap):
    state, x = Product(Gaussian(), Slater(trap)), trap.start(6, generator=dice())
    energy = kinetic(state.jet(x)) + 0.5 * x.square().sum((1, 2))
    torch.testing.assert_close(energy, torch.full((6,), trap.bounds[0] / trap.omega, **F))

"""States: measured by themselves and mixed, hardly trained, because this holds for any network."""

from dataclasses import replace

import numpy as np
import pytest

from nnbook.particles.grid import Grid
from nnbook.particles.hamiltonian import trapped
from nnbook.particles.solve import solve
from nnbook.particles.states import ritz


def tiny(**options):
    return solve(trapped("boson", Grid(12)), hidden=(4,), starts=1, tolerance=1.0, patience=1, **options)


def test_raw_network_of_an_excited_state_is_on_the_scale_of_its_wave_function():
    ground = tiny()
    state = tiny(below=[ground])
    summed, below, h = state.raw() + state.raw().T, ground.full(), state.hamiltonian.grid.h
    np.testing.assert_allclose(summed - h**2 * (below * summed).sum() * below, state.full(), atol=1e-8)


def test_ritz_rotates_a_mixture_back():
    states = [tiny(seed=seed) for seed in (1, 2)]
    low = states[0].hamiltonian.exact(2)
    mixture = low.psi @ np.array([[0.6, 0.8], [0.8, -0.6]])
    mixed = [replace(s, psi=p) for s, p in zip(states, mixture.T, strict=True)]
    np.testing.assert_allclose(ritz(mixed).energies, low.energies, atol=1e-9)


def test_ritz_of_states_that_are_not_orthogonal_keeps_the_bound():
    states = [tiny(seed=seed) for seed in (1, 2)]
    assert (ritz(states).energies >= states[0].hamiltonian.exact(2).energies - 1e-10).all()


def test_nothing_and_one_state_alone_are_not_mixed():
    with pytest.raises(ValueError, match="states: got none, expected a sequence of trained states"):
        ritz([])
    with pytest.raises(ValueError, match=r"states: got 2 bosons.*, expected a sequence"):
        ritz(tiny())

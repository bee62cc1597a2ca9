"""Two and three particles: what the chapter promises of its networks, at a size that takes seconds."""

import numpy as np
import pytest

from nnbook.multi_particle import Grid, Hamiltonian, Particles, separated, solve, trapped


def test_one_particle_in_the_trap_is_the_lattice_of_one_particle():
    ham, one = trapped("boson", Grid(128), count=1), Hamiltonian(Grid(128), lambda x: x**2 / 2)
    assert solve(ham).energy == pytest.approx(one.exact().energies[0], abs=1e-7)


@pytest.mark.parametrize("kind", ["boson", "fermion"])
def test_harmonic_interaction_is_analytic(kind):
    """V = k r^2 / 2: centre of mass with omega, distance with sqrt(omega^2 + 2 k), up to h^2."""
    ham = trapped(kind, Grid(64), 1.0, lambda r: 2 * r**2)
    expected = 2.0 if kind == "boson" else 5.0
    assert separated(1.0, ham.interaction, kind)[0] == pytest.approx(expected, abs=1e-9)
    assert solve(ham, tolerance=1e-7).energy == pytest.approx(expected, rel=5e-3)
    assert ham.particles == Particles(2, kind)


@pytest.mark.parametrize("kind", ["boson", "fermion"])
def test_error_lies_within_temple_s_bound(kind):
    """0 <= E - E_0 <= variance / (E_1 - E), however short the training was."""
    ham = trapped(kind, Grid(32), 1.0, lambda r: 25 * np.exp(-(r**2)))
    ground, first = ham.exact(2).energies
    for tolerance in (1e-1, 1e-3, 1e-6):
        state = solve(ham, starts=2, tolerance=tolerance, patience=2)
        assert -1e-10 < state.energy - ground <= state.variance / (first - state.energy)


def test_a_neighbour_is_a_good_start():
    hams = [trapped("boson", Grid(32), 1.0, lambda r, a=a: a * np.exp(-(r**2))) for a in (5, 10)]
    options = {"starts": 4, "tolerance": 1e-6, "patience": 2}
    afresh = solve(hams[1], **options)
    followed = solve(hams[1], start=solve(hams[0], **options), **options)
    assert followed.energy == pytest.approx(hams[1].exact().energies[0], abs=5e-6)
    assert followed.fit.steps < afresh.fit.steps

"""Two and three particles: what the chapter promises of its networks, at a size that takes seconds."""

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

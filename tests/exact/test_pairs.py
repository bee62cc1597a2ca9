"""Two electrons in a trap: elementary solutions, virial theorem, the wave function."""

import numpy as np
import pytest

from nnbook.exact.pairs import trapped_pair


@pytest.mark.parametrize(
    ("omega", "dim", "energy"), [(1.0, 2, 3.0), (1 / 6, 2, 2 / 3), (0.5, 3, 2.0), (0.1, 3, 0.5)]
)
def test_elementary_solutions(omega, dim, energy):
    assert trapped_pair(omega, dim).energy == pytest.approx(energy, abs=1e-10)


@pytest.mark.parametrize("omega", [0.01, 0.28, 1.0, 10.0])
@pytest.mark.parametrize("dim", [2, 3])
def test_parts_add_up_and_obey_the_virial_theorem(omega, dim):
    pair = trapped_pair(omega, dim)
    assert pair.kinetic + pair.trap + pair.repulsion == pytest.approx(pair.energy, rel=1e-10)
    assert 2 * pair.kinetic == pytest.approx(2 * pair.trap - pair.repulsion, abs=1e-9 * pair.energy)


def test_the_wave_function_is_elementary_at_omega_one():
    r = np.linspace(0, 6, 50)
    np.testing.assert_allclose(trapped_pair(1.0).relative(r), (1 + r) * np.exp(-(r**2) / 4), atol=1e-8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((-1.0,), "omega: got -1"), ((1.0, 4), "dim, omega: got 4"), ((1e-9,), "expected 2 or 3, and 1e-4")],
)
def test_wrong_input_says_so(arguments, message):
    with pytest.raises(ValueError, match=message):
        trapped_pair(*arguments)

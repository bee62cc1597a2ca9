"""Condensates beside closed forms: the oscillator, Thomas and Fermi, the virial theorem."""

import math

import numpy as np
import pytest

from nnbook.exact.condensates import condensates


def half_trap(cells, reach):
    x = reach / cells * (np.arange(cells) + 0.5)
    return x, x[None] ** 2 / 2, reach / cells


def test_a_condensate_without_interaction_is_the_gaussian():
    x, trap, dx = half_trap(80, 8.0)
    found = condensates(trap, dx, interaction=0.0, number=0.5)
    assert float(found.chemical_potential[0]) == pytest.approx(0.5, abs=1e-10)
    np.testing.assert_allclose(found.psi[0], math.pi**-0.25 * np.exp(-(x**2) / 2), atol=1e-9)
    edge = dx * np.arange(81)
    psi = math.pi**-0.25 * np.exp(-(edge**2) / 2)
    np.testing.assert_allclose(found.wave[0], np.stack([psi, -edge * psi], 1), atol=1e-8)


def test_a_condensate_obeys_the_virial_theorem_and_tends_to_thomas_and_fermi():
    """2 T - 2 U + I = 0 is exact; the chemical potential lies above (3g/2)^(2/3)/2, ever less so."""
    above = []
    for g in (10.0, 100.0):
        reach = 2 * (1.5 * g) ** (1 / 3) + 2
        _, trap, dx = half_trap(100, reach)
        found = condensates(trap, dx, interaction=g, number=0.5)
        density = np.square(found.psi[0]) * dx * 2
        potential, interaction = float(trap[0] @ density), float(g / 2 * np.square(found.psi[0]) @ density)
        kinetic = float(found.chemical_potential[0]) - potential - 2 * interaction
        assert 2 * kinetic - 2 * potential + interaction == pytest.approx(0, abs=1e-6)
        above.append(float(found.chemical_potential[0]) / (0.5 * (1.5 * g) ** (2 / 3)) - 1)
    assert 0 < above[1] < above[0] / 5 < 0.01


@pytest.mark.parametrize("g", [1.0, 10.0])
def test_a_condensate_is_that_of_finite_differences(g):
    """Newton's method on second differences, extrapolated to no spacing."""

    def newton(cells, reach):
        x, trap, dx = half_trap(cells, reach)
        second = np.diag(np.full(cells, -2.0)) + np.eye(cells, k=1) + np.eye(cells, k=-1)
        second[0, 0] = -1  # the mirror
        h, psi, mu = np.diag(trap[0]) - second / (2 * dx**2), np.exp(-(x**2) / 2 / (1 + g)), 1 + g / 4
        psi /= math.sqrt(2 * dx * psi @ psi)
        for _ in range(40):
            left = np.append(h @ psi + g * psi**3 - mu * psi, 2 * dx * psi @ psi - 1)
            slope = np.block([[h + np.diag(3 * g * psi**2 - mu), -psi[:, None]], [4 * dx * psi, np.zeros(1)]])
            change = np.linalg.solve(slope, left)
            psi, mu = psi - change[:-1], mu - change[-1]
        return mu

    found = condensates(half_trap(80, 8.0)[1], 0.1, interaction=g, number=0.5)
    coarse, fine = newton(100, 8.0), newton(200, 8.0)
    assert float(found.chemical_potential[0]) == pytest.approx(fine + (fine - coarse) / 3, abs=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spacing": 0.0}, "spacing: got 0, expected"),
        ({"interaction": -1.0}, "interaction: got -1"),
        ({"steps": 2}, "steps: got 2, after which a misfit of"),
        ({"trap": np.ones(4)}, r"trap: got shape \(4,\), expected finite numbers \(n, sites\)"),
    ],
)
def test_wrong_input_says_so(change, message):
    good = {"trap": half_trap(20, 4.0)[1], "spacing": 0.2, "interaction": 1.0, "number": 0.5}
    with pytest.raises(ValueError, match=message):
        condensates(**{**good, **change})

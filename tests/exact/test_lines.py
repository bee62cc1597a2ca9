"""Levels on a line: analytic spectra, convergence orders, an independent program."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import eigh_tridiagonal

from nnbook.exact.lines import lattice_states, separated

POTENTIALS = {
    "harmonic": lambda x: x**2 / 2,
    "double well": lambda x: (x**2 - 4) ** 2 / 8,
    "Morse": lambda x: 8 * (1 - np.exp(-x / 2)) ** 2,
    "corner": np.abs,
    "empty box": lambda x: 0 * x,
}


def sites(points, x_max=5.0):
    h = 2 * x_max / points
    return h * np.arange(1, points) - x_max, h


def levels(potential, points, x_max, states):
    x, h = sites(points, x_max)
    return lattice_states(potential(x), h, states)[0]


def richardson(potential, points, x_max, states):
    """Lattice energies extrapolated to h = 0; what is left is of order h^4."""
    coarse, fine = (levels(potential, m, x_max, states) for m in (points, 2 * points))
    return (4 * fine - coarse) / 3


@pytest.mark.parametrize("potential", POTENTIALS.values(), ids=POTENTIALS)
@pytest.mark.parametrize("points", [3, 4, 64])
def test_lattice_states_are_those_of_the_dense_matrix(potential, points):
    x, h = sites(points)
    off = np.full(points - 2, -0.5 / h**2)
    matrix = np.diag(1 / h**2 + potential(x)) + np.diag(off, 1) + np.diag(off, -1)
    energies, psi = lattice_states(potential(x), h, points - 1)
    np.testing.assert_allclose(energies, np.linalg.eigvalsh(matrix), atol=1e-10)
    np.testing.assert_allclose(matrix @ psi, energies * psi, atol=1e-9)
    np.testing.assert_allclose(h * psi.T @ psi, np.eye(points - 1), atol=1e-12)


@pytest.mark.parametrize("points", [3, 10, 200])
def test_empty_box_is_analytic_on_every_lattice(points):
    expected = (1 - np.cos(np.arange(1, points) * np.pi / points)) / sites(points)[1] ** 2
    np.testing.assert_allclose(levels(POTENTIALS["empty box"], points, 5.0, points - 1), expected, rtol=1e-11)


@pytest.mark.parametrize(
    ("omega", "published"),
    [  # on the talk's lattice, by inverse iteration with 30 digits
        (1, [0.499997019827, 1.499985102353, 2.499961340422, 3.499926714368, 4.499890444944]),
        (5, [2.49992549]),
        (10, [4.99970196]),
    ],
)
def test_oscillators_have_the_published_energies(omega, published):
    energies = levels(lambda x: (omega * x) ** 2 / 2, 1024, 5.0, len(published))
    np.testing.assert_allclose(energies, published, atol=1e-11 if omega == 1 else 1e-8)


@pytest.mark.parametrize("n", range(5))
def test_discretisation_shifts_the_oscillator_with_order_two(n):
    """E_n(h) = n + 1/2 - (h^2 / 32) (2 n^2 + 2 n + 1) + O(h^4), in a box that is wide enough."""
    points = np.array([128, 256, 512, 1024])
    shift = [levels(POTENTIALS["harmonic"], int(m), 8.0, 5)[n] - (n + 0.5) for m in points]
    assert np.polyfit(np.log(16 / points), np.log(-np.array(shift)), 1)[0] == pytest.approx(2, abs=0.02)
    assert shift[-1] == pytest.approx(-((16 / 1024) ** 2) / 32 * (2 * n**2 + 2 * n + 1), rel=1e-3)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_poeschl_teller_levels_are_analytic(depth):
    energies = richardson(lambda x: -depth * (depth + 1) / 2 / np.cosh(x) ** 2, 2000, 20.0, depth)
    np.testing.assert_allclose(energies, -((depth - np.arange(depth)) ** 2) / 2, atol=2e-7)


def test_morse_levels_are_analytic():
    """D (1 - e^{-a x})^2: E_n = a sqrt(2 D) (n + 1/2) - a^2 (n + 1/2)^2 / 2."""
    d, a, n = 8.0, 0.5, np.arange(4)
    energies = richardson(lambda x: d * (1 - np.exp(-a * np.maximum(x, -8))) ** 2, 2000, 20.0, 4)
    expected = a * math.sqrt(2 * d) * (n + 0.5) - (a * (n + 0.5)) ** 2 / 2
    np.testing.assert_allclose(energies, expected, atol=1e-6)


@settings(deadline=None, max_examples=20)
@given(st.floats(0.2, 20), st.floats(-50, 50, allow_subnormal=False))
def test_energies_scale_with_omega_and_shift_with_a_constant(omega, constant):
    plain = levels(POTENTIALS["harmonic"], 200, 5.0, 4)
    scaled = levels(lambda x: (omega * x) ** 2 / 2 + constant, 200, 5 / math.sqrt(omega), 4)
    np.testing.assert_allclose(scaled, omega * plain + constant, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("omega", [0.3, 1.0, 7.0])
def test_separated_free_particles_have_their_ladders(omega):
    np.testing.assert_allclose(separated(omega, None, "boson", 6) / omega, [1, 2, 3, 3, 4, 4], atol=1e-9)
    np.testing.assert_allclose(separated(omega, None, "fermion", 4) / omega, [2, 3, 4, 4], atol=1e-9)


@settings(deadline=None, max_examples=20)
@given(st.floats(0.5, 5), st.floats(0.01, 10))
def test_separated_springs_are_analytic(omega, stiffness):
    relative = math.sqrt(omega**2 + 2 * stiffness)
    for kind, quanta in (("boson", 0.5), ("fermion", 1.5)):
        energy = separated(omega, lambda r: stiffness * r**2 / 2, kind)[0]
        assert energy == pytest.approx(omega / 2 + quanta * relative, rel=1e-8)


def test_a_cusp_is_refused_unless_less_accuracy_is_asked_for():
    """exp(-r) bends at r = 0, and its energies converge slowly."""
    cusp = lambda r: 20 * np.exp(-5 * r)  # noqa: E731
    with pytest.raises(
        ValueError, match=r"interaction: 600 points and two thirds .* at a cusp less accuracy"
    ):
        separated(1.0, cusp, "boson")
    r, h = (np.arange(20000) + 0.5) * 18 / 20000, 18 / 20000  # differences, even at r = 0
    diagonal = 2 / h**2 + r**2 / 4 + cusp(r)
    diagonal[0] -= 1 / h**2
    off = np.full(len(r) - 1, -1 / h**2)
    (fine,) = eigh_tridiagonal(diagonal, off, select="i", select_range=(0, 0), eigvals_only=True)
    assert separated(1.0, cusp, "boson", accuracy=1e-2)[0] == pytest.approx(0.5 + fine, abs=1e-2)


def test_an_interaction_between_the_points_is_refused():
    narrow = lambda r: 1e3 * np.exp(-((r - 1) ** 2) / 1e-6)  # noqa: E731
    with pytest.raises(ValueError, match=r"interaction: its mean is .* points, which are .* apart"):
        separated(1.0, narrow, "boson")
    with pytest.raises(ValueError, match="interaction: its mean is"):
        separated(1e-6, lambda r: np.exp(-(r**2)), "boson")


KEEBLE = {
    -20: -2.471756,
    -10: 0.595906,
    -5: 1.498800,
    0: 2.0,
    5: 2.267811,
    10: 2.425619,
    20: 2.605639,
}


@pytest.mark.parametrize(("strength", "energy"), KEEBLE.items())
def test_separated_fermions_have_the_energies_of_an_independent_program(strength, energy):
    """The trapped fermions with a Gaussian interaction of Keeble et al., arXiv:2304.04725."""
    scale = strength / (math.sqrt(2 * math.pi) * 0.5)
    found = separated(1.0, lambda r: scale * np.exp(-(r**2) / (2 * 0.5**2)), "fermion")[0]
    assert found == pytest.approx(energy, abs=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lattice_states(np.zeros(7), 1.0, 0), "states: got 0, expected 1 to 7"),
        (lambda: lattice_states(np.zeros(7), 1.0, 8), "states: got 8, expected 1 to 7, .* take more points"),
        (
            lambda: separated(0.0, None, "boson"),
            "omega: got 0, expected a finite number above 0, .*; without",
        ),
        (lambda: separated(1.0, None, "anyon"), "statistics: got 'anyon'"),
        (lambda: separated(1.0, None, "boson", 0), "states: got 0, expected a whole number, at least 1"),
        (lambda: separated(1.0, None, "boson", 301), "states: got 301, expected 1 to 300"),
        (lambda: lattice_states(np.array([0, np.nan]), 1.0), "values: got NaN or infinities"),
        (lambda: lattice_states(np.zeros(7), np.nan), "h: got nan, expected a finite number"),
        (lambda: separated(1.0, lambda r: r / 0, "boson"), "interaction: got values that are not finite"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_bad_input_says_what_it_got_and_what_to_do(call, message):
    with pytest.raises(ValueError, match=message):
        call()

"""Spin chains solved exactly: against diagonalisation, the energies of long chains, their limits, errors."""

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnbook.exact.chains import (
    heisenberg_energy,
    ising_correlation,
    ising_energy,
    ising_gap,
    ising_order,
    ising_pair_gap,
    ising_transverse,
)
from nnbook.spins.hamiltonians import heisenberg, ising
from nnbook.spins.lattices import chain

FIELDS = [0.0, 0.3, 0.5, 1.0, 1.7, 3.0]
lengths = st.integers(1, 60).map(lambda n: 2 * n)
fields = st.integers(0, 5000).map(lambda n: n / 1000)  # floats would need subnormal ones, which are flushed


@cache
def diagonalised(sites, field):
    """The Ising chain, its ground state, and the lowest even and odd energies under a flip of all."""
    h = ising(chain(sites), field=field)
    matrix, half = h.matrix().toarray(), 2 ** (sites - 1)  # the flip of all spins reverses the order
    a, b = matrix[:half, :half], matrix[:half, half:][:, ::-1]
    even, odd = (np.linalg.eigvalsh(a + sign * b)[0] for sign in (1, -1))
    return h, h.ground_state()[1].numpy(), even, odd


# Against exact diagonalisation


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("sites", [4, 6, 8, 10])
def test_energy_and_gap_are_those_of_diagonalisation(sites, field):
    _, _, even, odd = diagonalised(sites, field)
    assert ising_energy(sites, field) == pytest.approx(even, abs=1e-11)
    assert ising_gap(sites, field) == pytest.approx(odd - even, abs=1e-11)
    assert even <= odd + 1e-11


@pytest.mark.parametrize("field", [f for f in FIELDS if f > 0])  # without one the ground state is not unique
@pytest.mark.parametrize("sites", [4, 6, 8])
def test_mean_values_are_those_of_diagonalisation(sites, field):
    h, psi, _, _ = diagonalised(sites, field)
    spins = h.basis.numpy()
    pairs = [psi**2 @ (spins[:, 0] * spins[:, r]) for r in range(sites // 2 + 1)]
    np.testing.assert_allclose(ising_correlation(sites, field), pairs, rtol=0, atol=1e-9)
    assert ising_order(sites, field) == pytest.approx(psi**2 @ spins.mean(1) ** 2, abs=1e-9)
    flipped = psi[np.arange(len(psi))[:, None] ^ (1 << np.arange(sites))].mean(1)
    assert ising_transverse(sites, field) == pytest.approx(psi @ flipped, abs=1e-9)


@pytest.mark.parametrize("field", [0.5, 1.0, 1.7])
def test_pair_gap_is_that_of_the_symmetric_states(field):
    """States that are invariant under translation, reflection and inversion of all spins."""
    h = ising(chain(8), field=field)

    def images(s):
        shifted = [s[i:] + s[:i] for i in range(8)]
        return [tuple(sign * x for x in t) for r in shifted for t in (r, r[::-1]) for sign in (1, -1)]

    orbit = [min(images(s)) for s in h.basis.int().tolist()]
    kinds = sorted(set(orbit))
    sums = np.array([[float(o == kind) for kind in kinds] for o in orbit])
    sums /= np.linalg.norm(sums, axis=0)
    first, second = np.linalg.eigvalsh(sums.T @ (h.matrix() @ sums))[:2]
    assert ising_pair_gap(8, field) == pytest.approx(second - first, abs=1e-9)


@pytest.mark.parametrize("sites", [4, 6, 8, 10, 14])
def test_bethe_ansatz_is_diagonalisation(sites):
    energy, _ = heisenberg(chain(sites)).ground_state()
    assert heisenberg_energy(sites) == pytest.approx(energy, abs=1e-10)


# Long chains

ISING = {
    16: (-17.016712496, -20.404594475, -34.033424993),
    20: (-21.270888307, -25.490989686, -42.541776614),
    40: (-42.541776399, -50.942674114, -85.083552798),
    80: (-85.083552798, -101.865708858, -170.167105596),
}
HEISENBERG = {16: -28.569185442, 20: -35.617546120, 22: -39.147522607, 40: -70.986091153, 80: -141.848304599}


@pytest.mark.parametrize("sites", ISING)
def test_energies_of_long_ising_chains(sites):
    energies = [ising_energy(sites, field) for field in (0.5, 1.0, 2.0)]
    np.testing.assert_allclose(energies, ISING[sites], rtol=0, atol=6e-10)


@pytest.mark.parametrize("sites", HEISENBERG)
def test_energies_of_long_heisenberg_chains(sites):
    assert heisenberg_energy(sites) == pytest.approx(HEISENBERG[sites], abs=6e-10)


def test_critical_chain_in_closed_form():
    """At h = 1 the sum over momenta is 2 sum |sin k/2|, a geometric series."""
    for sites in (4, 10, 40, 200):
        expected = -2 / math.sin(math.pi / 2 / sites)
        assert ising_energy(sites, 1.0) == pytest.approx(expected, rel=1e-14)


def test_critical_ising_chain_approaches_its_limit_as_a_conformal_theory_says():
    """e_N = e - pi c v / 6 N^2 with central charge 1/2 and velocity 2, and the next order is N^-4."""
    sizes = np.array([20, 40, 80, 160])
    excess = np.array([ising_energy(n, 1.0) / n + 4 / math.pi for n in sizes])
    scaled = -excess * sizes**2 * 6 / math.pi
    assert scaled[-1] == pytest.approx(0.5 * 2, rel=1e-4)
    slope = np.polyfit(np.log(sizes[:3]), np.log(np.abs(scaled[:3] - 1)), 1)[0]
    assert slope == pytest.approx(-2, abs=0.02)


def test_heisenberg_chain_approaches_its_limit_as_a_conformal_theory_says():
    """c = 1 and v = 2 pi in Pauli matrices, with the slow correction 1 + 3/8 ln^-3 N of a marginal "
    "operator."""
    sizes = np.array([64, 128, 256])
    limit = 1 - 4 * math.log(2)
    scaled = np.array(
        [(limit - heisenberg_energy(n) / n) * n**2 * 6 / math.pi / (2 * math.pi) for n in sizes]
    )
    assert np.all(scaled > 1)
    assert np.all(np.diff(scaled) < 0)
    assert scaled[-1] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("field", "limit"), [(0.5, -1.0635444), (2.0, -2.1270888)])
def test_gapped_chains_reach_their_limit_exponentially(field, limit):
    """The limit is an elliptic integral, here by fine quadrature."""
    k = (np.arange(4000) + 0.5) * np.pi / 4000
    fine = -np.sqrt(1 + field**2 - 2 * field * np.cos(k)).mean()
    assert fine == pytest.approx(limit, abs=1e-7)
    errors = [abs(ising_energy(n, field) / n - fine) for n in (8, 16, 24)]
    ratios = np.array(errors[1:]) / np.array(errors[:-1])
    assert np.all(ratios < 2.0**-7)  # e^(-N / xi) with a correlation length of 1 / ln 2


# Relations that hold for every chain


@settings(deadline=None, max_examples=50)
@given(lengths, fields.filter(lambda h: abs(h - 1) > 1e-3))
def test_transverse_spin_is_a_derivative_of_the_energy(sites, field):
    step = 1e-5
    down = max(0.0, field - step)
    slope = (ising_energy(sites, field + step) - ising_energy(sites, down)) / (field + step - down)
    near = 1e-5 * (1 + 1 / abs(field - 1))
    assert ising_transverse(sites, field) == pytest.approx(-slope / sites, abs=near)


@settings(deadline=None, max_examples=50)
@given(lengths, st.floats(0.01, 5))
def test_energy_and_duality(sites, field):
    """Strong and weak fields are dual: E(h) = h E(1/h)."""
    assert ising_energy(sites, field) == pytest.approx(field * ising_energy(sites, 1 / field), rel=1e-12)


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 40).map(lambda n: 2 * n), fields)
def test_energy_is_that_of_its_parts(sites, field):
    """E / N = -<s_0 s_1> - h <s^x>."""
    bond = ising_correlation(sites, field)[1]
    expected = -sites * (bond + field * ising_transverse(sites, field))
    assert ising_energy(sites, field) == pytest.approx(expected, rel=1e-11)


@settings(deadline=None, max_examples=50)
@given(lengths, fields)
def test_correlations_are_those_of_spins(sites, field):
    """Between 0 and 1, falling with the distance; the order is their mean over the ring."""
    c = ising_correlation(sites, field)
    assert len(c) == sites // 2 + 1
    assert c[0] == 1
    assert np.all(c >= -1e-12)
    assert np.all(np.diff(c) <= 1e-12)
    ring = [c[min(r, sites - r)] for r in range(sites)]
    assert ising_order(sites, field) == pytest.approx(np.mean(ring), abs=1e-13)
    assert 1 / sites - 1e-12 <= ising_order(sites, field) <= 1 + 1e-12


@pytest.mark.parametrize("field", [0.3, 1.0, 1.7])
def test_correlation_is_the_same_both_ways_round_the_ring(field):
    """The determinant of distance N - r, which the function never needs, is that of distance r."""
    sites = 12
    k = (2 * np.arange(sites) + 1) * np.pi / sites
    energy = np.sqrt(1 + field**2 - 2 * field * np.cos(k))

    def green(shift):
        return np.mean((np.cos(k * (shift - 1)) - field * np.cos(k * shift)) / energy)

    def determinant(r):
        return np.linalg.det([[green(i - j + 1) for j in range(r)] for i in range(r)])

    c = ising_correlation(sites, field)
    for r in range(1, sites // 2 + 1):
        assert determinant(r) == pytest.approx(c[r], abs=1e-12)
        assert determinant(sites - r) == pytest.approx(c[r], abs=1e-12)


def test_long_range_order_below_the_critical_field():
    """The square of the magnetisation of the infinite chain is (1 - h^2)^(1/4)."""
    assert ising_correlation(200, 0.5)[-1] == pytest.approx(0.75**0.25, abs=1e-12)
    assert ising_correlation(200, 2.0)[-1] == pytest.approx(0, abs=1e-12)


def test_correlation_at_the_critical_field_falls_as_the_fourth_root():
    distance = np.array([20, 40, 80])
    c = [ising_correlation(2 * r, 1.0)[r] for r in distance]
    assert np.polyfit(np.log(distance), np.log(c), 1)[0] == pytest.approx(-0.25, abs=1e-3)


def test_gap_above_below_and_at_the_critical_field():
    assert ising_gap(100, 2.0) == pytest.approx(2, abs=1e-12)  # 2 (h - 1)
    assert ising_gap(100, 0.5) == pytest.approx(0, abs=1e-12)  # two ordered states
    assert ising_gap(400, 1.0) * 400 == pytest.approx(math.pi / 2, rel=1e-5)  # 2 pi v x, v = 2, x = 1/8


# Errors

ISING_CHAIN = [ising_energy, ising_gap, ising_pair_gap, ising_correlation, ising_order, ising_transverse]


@pytest.mark.parametrize(
    ("sites", "field", "message"),
    [
        (7, 1.0, "sites: got 7, expected an even number from 2 to"),
        (0, 1.0, "sites: got 0"),
        (8, -0.5, "field: got -0.5, expected a finite number, at least 0"),
        (8, math.nan, "field: got nan"),
        (8, math.inf, "field: got inf"),
        (8, 1e200, "field: got 1e.200, expected a finite number, at least 0 and at most"),
        (10**30, 1.0, "expected an even number from 2 to"),
    ],
)
@pytest.mark.parametrize("function", ISING_CHAIN)
def test_bad_input_is_refused(function, sites, field, message):
    with pytest.raises(ValueError, match=message):
        function(sites, field)


@pytest.mark.parametrize("sites", [7, 2, 10**6])
def test_heisenberg_chain_that_is_odd_or_out_of_range_is_named(sites):
    with pytest.raises(ValueError, match=rf"sites: got {sites}, expected a.* number"):
        heisenberg_energy(sites)


def test_bethe_equations_that_are_not_solved_are_an_error(monkeypatch):
    from scipy.optimize import OptimizeResult

    monkeypatch.setattr(
        "nnbook.exact.chains.root",
        lambda f, x, **_: OptimizeResult(x=x, message="no progress"),
    )
    with pytest.raises(ArithmeticError, match=r"sites: got 20.* were not solved: no progress"):
        heisenberg_energy(20)

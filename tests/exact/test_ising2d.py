"""The two-dimensional Ising model: enumeration, published values, derivatives, limits."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import logsumexp

from nnbook.exact.enumerate import configurations
from nnbook.exact.ising2d import BETA_C, torus

betas = st.floats(0.02, 3)


def energies(rows, columns):
    s = configurations(rows * columns).reshape(-1, rows, columns)
    return -sum((s * np.roll(s, 1, axis)).sum((1, 2)) for axis in (1, 2))


@pytest.mark.parametrize("shape", [(2, 2), (2, 3), (3, 2), (3, 3), (4, 3), (4, 4)], ids=str)
@pytest.mark.parametrize("beta", [0.01, 0.3, BETA_C, 0.6, 2.0])
def test_is_the_sum_over_all_configurations(shape, beta):
    e, sites = energies(*shape), math.prod(shape)
    log_z = logsumexp(-beta * e)
    p = np.exp(-beta * e - log_z)
    found = torus(beta, *shape)
    assert found.log_z * sites == pytest.approx(log_z, rel=1e-13)
    assert found.energy * sites == pytest.approx(p @ e, rel=1e-11)
    heat = beta**2 * (p @ (e - p @ e) ** 2)
    assert found.specific_heat * sites == pytest.approx(heat, rel=1e-8)
    assert found.entropy * sites == pytest.approx(-p @ np.log(p), abs=1e-11)


# computed once with mpmath in 60 digits: beta, L, ln Z, F/N, E/N, C/N, S/N
PUBLISHED = [
    (0.3, 8, 50.6093304981848, -2.63590263011, -0.7124673727, 0.31137835, 0.5770305772),
    (0.3, 16, 202.38323226254, -2.63519833675, -0.7045326709, 0.286519, 0.5791996998),
    (0.4407, 8, 60.1430415360358, -2.13236901294, -1.491667004, 1.145493, 0.2823573753),
    (BETA_C, 8, 60.1417807890692, -2.13238821464, -1.491589107, 1.1455592, 0.2823917038),
    (BETA_C, 16, 238.642256635133, -2.11532618792, -1.453064853, 1.498705, 0.2918498242),
    (BETA_C, 32, 952.648079548543, -2.11106936692, -1.433658466, 1.8467676, 0.2985260377),
    (0.6, 16, 310.487038589865, -2.02139999082, -1.909086175, 0.31344546, 0.0673882896),
]


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row[0]:.4f}-{row[1]}")
def test_has_the_values_of_sixty_digits(row):
    beta, length, log_z, *rest = row
    found = torus(beta, length)
    assert found.log_z * length**2 == pytest.approx(log_z, rel=2e-14)
    numbers = [found.free_energy, found.energy, found.specific_heat, found.entropy]
    np.testing.assert_allclose(numbers, rest, rtol=2e-7)
    np.testing.assert_allclose(numbers[:2], rest[:2], rtol=0, atol=6e-10)


@settings(deadline=None, max_examples=50)
@given(betas, st.integers(2, 40), st.integers(2, 40))
def test_rows_and_columns_may_be_exchanged(beta, rows, columns):
    one, other = torus(beta, rows, columns), torus(beta, columns, rows)
    assert one.log_z == pytest.approx(other.log_z, rel=1e-12)
    assert one.energy == pytest.approx(other.energy, rel=1e-9)


@pytest.mark.parametrize("beta", [0.1, 0.3, 0.44, 0.45, 0.6, 1.2])
def test_energy_and_specific_heat_are_derivatives(beta):
    step = 1e-5
    below, here, above = (torus(beta + d, 12) for d in (-step, 0, step))
    assert here.energy == pytest.approx(-(above.log_z - below.log_z) / (2 * step), rel=1e-6)
    slope = (above.energy - below.energy) / (2 * step)
    assert here.specific_heat == pytest.approx(-(beta**2) * slope, rel=1e-4)


@pytest.mark.parametrize("beta", [0.2, 0.3, 0.6, 1.0])
def test_large_lattices_are_the_infinite_one(beta):
    """Onsager's integral."""
    kappa = 2 * math.sinh(2 * beta) / math.cosh(2 * beta) ** 2
    integral = quad(lambda x: math.log((1 + math.sqrt(1 - (kappa * math.sin(x)) ** 2)) / 2), 0, math.pi / 2)[
        0
    ]
    degenerate = math.log(2) / 400**2 if beta > BETA_C else 0.0  # two phases
    limit = math.log(2 * math.cosh(2 * beta)) + integral / math.pi
    assert torus(beta, 400).log_z - degenerate == pytest.approx(limit, rel=1e-12)


def test_the_critical_point():
    """Large lattices: ln Z / N = ln(2)/2 + 2 G / pi with Catalan's constant, and the energy is -sqrt 2."""
    limit = math.log(2) / 2 + 2 * 0.915965594177219 / math.pi
    # what is left is a constant of the square, ln(2^(1/4) + 2^(-1/2)), over N
    assert (torus(BETA_C, 400).log_z - limit) * 400**2 == pytest.approx(math.log(2**0.25 + 2**-0.5), abs=1e-5)
    assert torus(BETA_C, 4000).energy == pytest.approx(-math.sqrt(2), abs=2e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: torus(0.0, 8), "beta: got 0, expected a finite number, at least 0.001"),
        (lambda: torus(math.nan, 8), "beta: got nan"),
        (lambda: torus(0.4, 1), "length: got 1, expected a whole number, at least 2"),
    ],
)
def test_wrong_input_says_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()

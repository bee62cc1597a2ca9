"""Particles in a cube: sums that do not depend on how they are split, limits, another method."""

import math

import numpy as np
import pytest
from scipy.integrate import quad

from nnbook.exact.ewald import (
    MINNESOTA,
    Ewald,
    closed_shell,
    cosh_transform,
    electron_gas,
    fermi_gas,
    gaussian_transform,
    momenta,
    pair_in_box,
    singlet_matter,
)


def test_madelung_and_its_units():
    for length in (1.0, 3.0):
        assert Ewald(length).madelung() * length == pytest.approx(-2.837297479, abs=1e-9)


def test_the_potential_does_not_depend_on_how_it_is_split():
    r = np.random.default_rng(1).uniform(-1, 1, (50, 3))
    assert np.allclose(Ewald(1.3, 2.5).pair(r), Ewald(1.3, 4.0).pair(r), atol=1e-7)
    assert np.allclose(Ewald(1.3).pair(r), Ewald(1.3).pair(r + 1.3), atol=1e-12)
    assert Ewald(1.0).pair(np.array([1e-6, 0, 0])) == pytest.approx(1e6 - 2.837297, abs=1e-3)


def test_salt_has_its_own_madelung_constant():
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    signs = (-1.0) ** corners.sum(1)
    v = Ewald(2.0).pair(corners[1:].astype(float))
    assert Ewald(2.0).madelung() + (signs[1:] * v).sum() == pytest.approx(-1.747564595, abs=1e-8)


@pytest.mark.parametrize(
    ("rs", "energy"), [(0.5, 3.454894), (1, 0.606534), (2, 0.023039), (5, -0.058039), (10, -0.040229)]
)
def test_hartree_fock_of_fourteen_electrons(rs, energy):
    assert electron_gas(14, rs).energy == pytest.approx(energy, abs=1e-6)


def test_many_electrons_are_those_of_textbooks():
    fields = [electron_gas(n, 1.0) for n in (2 * 57, 2 * 257)]
    errors = [abs(f.kinetic - 1.105) + abs(f.exchange + f.direct + 0.4582) for f in fields]
    assert errors[1] < 0.02 < 0.05
    assert errors[1] < errors[0]


@pytest.mark.parametrize("q", [0.01, 1.0, 5.0])
def test_transforms_are_integrals(q):
    mu = 1.3
    wells = {
        cosh_transform(2.0, mu): lambda r: -2 / math.cosh(mu * r) ** 2,
        gaussian_transform(MINNESOTA): lambda r: sum(v * math.exp(-k * r * r) for v, k in MINNESOTA),
    }
    for transform, v in wells.items():
        integral = quad(lambda r, v=v: 4 * math.pi * r * math.sin(q * r) / q * v(r), 0, 25, limit=200)[0]
        assert float(transform(np.array([q * q]))[0]) == pytest.approx(integral, rel=1e-5)


def test_a_pair_at_unitarity_is_luescher_s():
    found = [
        pair_in_box(cosh_transform(2 * mu**2, mu), 1.0, reach=reach) / (4 * math.pi**2)
        for mu, reach in ((10.0, 12), (20.0, 18))
    ]
    assert 2 * found[1] - found[0] == pytest.approx(-0.0959006, abs=2e-3)
    assert found[0] < found[1] < -0.0959006


def test_a_weak_pair_is_perturbation_theory():
    well = gaussian_transform(((0.01, 2.0),))
    energy = pair_in_box(well, 3.0, reach=6)
    assert energy == pytest.approx(float(well(np.zeros(1))[0]) / 27, rel=1e-2)
    assert energy < float(well(np.zeros(1))[0]) / 27


def test_two_neutrons_in_plane_waves_lie_above_the_exact_pair():
    field = singlet_matter(2, 8.0, 41.44, gaussian_transform(MINNESOTA))
    assert field.kinetic == 0
    assert field.direct == pytest.approx(field.exchange)
    assert pair_in_box(gaussian_transform(MINNESOTA), 8.0, 41.44, 8) < 2 * field.energy


def test_shells():
    assert [len(closed_shell(n)) for n in (1, 7, 19, 27, 33)] == [1, 7, 19, 27, 33]
    assert len(momenta(1.0)) == 7
    assert fermi_gas(2, 3.0) == 0
    assert fermi_gas(14, 1.0, 2.0) == pytest.approx(2 * 4 * math.pi**2 * 12 / 28)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: closed_shell(2), "particles: got 4, expected closed shells of plane waves: 2, 14, 38"),
        (lambda: closed_shell(0), "count: got 0"),
        (lambda: Ewald(0.0), "length: got 0"),
        (lambda: Ewald(1.0, -1.0), "alpha: got -1"),
        (lambda: electron_gas(14, -2.0), "rs: got -2"),
        (lambda: pair_in_box(gaussian_transform(MINNESOTA), -1.0), "length: got -1"),
        (lambda: pair_in_box(gaussian_transform(MINNESOTA), 1.0, reach=0), "reach: got 0"),
        (lambda: pair_in_box(gaussian_transform(MINNESOTA), 1.0, 0.0), "stiffness: got 0"),
    ],
)
def test_wrong_input_says_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()

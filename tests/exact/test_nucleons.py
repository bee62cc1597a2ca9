"""Few nucleons with contact forces, against limits in closed form and against each other."""

import dataclasses
import itertools
import math

import numpy as np
import pytest

from nnbook.exact.nucleons import (
    HBAR2_OVER_MASS,
    Pionless,
    bound_pair,
    correlated_gaussians,
    pionless,
    scattering_length,
)


@pytest.mark.parametrize("cutoff", [2, 4, 6])
def test_the_constants_hold_the_data_they_were_fitted_to(cutoff):
    force = pionless(cutoff)
    assert bound_pair(force.triplet, cutoff) == pytest.approx(-2.2246, abs=2e-3)
    assert scattering_length(force.singlet, cutoff) == pytest.approx(-23.75, abs=0.1)
    assert correlated_gaussians(3, force) == pytest.approx(-8.482, abs=0.01)


@pytest.mark.parametrize("cutoff", [1.0, 5.0])
def test_a_weak_force_scatters_as_born_says(cutoff):
    strength = -1e-3
    born = strength / HBAR2_OVER_MASS * math.sqrt(math.pi) / 4 * (2 / cutoff) ** 3
    assert scattering_length(strength, cutoff) == pytest.approx(born, rel=1e-3)


def test_a_shallow_pair_is_large():
    # binding falls to 1/(m a^2) as the scattering length grows: effective range corrections vanish
    ratio = []
    for strength in (-120.0, -115.0):
        a = scattering_length(strength, 2.0)
        ratio.append(-bound_pair(strength, 2.0) * a**2 / HBAR2_OVER_MASS - 1)
    assert 0 < ratio[1] < ratio[0] < 1


def test_lengths_scale():
    # a cutoff twice as large and a force four times as strong is the same problem at half the length
    assert scattering_length(-400.0, 4.0) == pytest.approx(scattering_length(-100.0, 2.0) / 2, rel=1e-9)
    wide, narrow = Pionless(2.0, -130.0, -9.0, 60.0), Pionless(4.0, -520.0, -36.0, 240.0)
    three = [correlated_gaussians(3, f, functions=60) for f in (wide, narrow)]
    assert three[1] == pytest.approx(4 * three[0], rel=0.02)  # the largest width does not scale


def test_more_functions_and_spins_only_lower_the_energy():
    force = pionless(4)
    rows = [
        [correlated_gaussians(3, force, spins=s, functions=n) for n in (30, 60, 120)] for s in (False, True)
    ]
    for few, many in itertools.pairwise(np.array(rows).T):
        assert (many < few).all()
    assert rows[1][-1] < rows[0][-1]


def test_without_a_spin_force_spins_do_not_matter():
    force = dataclasses.replace(pionless(2), spin=0.0)
    same = [correlated_gaussians(3, force, spins=s, functions=150) for s in (False, True)]
    assert same[1] == pytest.approx(same[0], abs=2e-3)


def test_helium_is_bound_by_its_bounds():
    force = pionless(2)
    four = correlated_gaussians(4, force, spins=False, functions=60)
    assert -22.6 < four < -21
    assert correlated_gaussians(4, force, functions=60) < four


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pionless(3), "cutoff: got 3, expected 2, 4 or 6"),
        (lambda: Pionless(0.0, 1.0, 1.0), "cutoff: got 0, expected a finite number above 0"),
        (lambda: bound_pair(-10.0, 2.0), "strength: got -10 MeV at cutoff 2, expected one bound state"),
        (lambda: correlated_gaussians(5, pionless(2)), "nucleons: got 5, expected 3 or 4"),
        (lambda: correlated_gaussians(3, pionless(2), functions=0), "functions: got 0, expected a whole"),
    ],
    ids=["cutoff", "zero", "unbound", "five", "none"],
)
def test_errors_help(call, message):
    with pytest.raises(ValueError, match=message):
        call()

"""Strings and strips of known spaces, and the soft wall: closed forms, slopes, limits."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar
from scipy.special import gamma

from nnbook.exact.holography import ADS5_POTENTIAL, brane, flat, soft_wall, string, strip


def empty(z):
    return 1.0


@pytest.mark.parametrize("turn", [0.1, 0.7])
def test_string_of_empty_space_is_maldacenas(turn):
    apart, potential = string(turn, empty)
    assert apart * potential / (2 * math.pi) == pytest.approx(ADS5_POTENTIAL, abs=1e-9)
    assert abs(ADS5_POTENTIAL + 0.228473290522) < 1e-12


def test_strip_of_empty_space_is_that_of_ryu_and_takayanagi():
    width, area = strip(0.4, empty)
    assert area * width == pytest.approx(-4 * math.pi * (gamma(0.75) / gamma(0.25)) ** 2, abs=1e-9)


def test_screening_of_a_black_hole_in_five_dimensions():
    f = brane(4)  # pi T = 1
    longest = -minimize_scalar(lambda z: -string(z, f)[0], bounds=(0.5, 0.99), method="bounded").fun
    free = brentq(lambda z: string(z, f)[1] + 2, 0.3, 0.8)  # as two strings that end at the horizon
    assert longest == pytest.approx(0.8691, abs=1e-4)
    assert string(free, f)[0] == pytest.approx(0.7541, abs=1e-4)


@pytest.mark.parametrize("turn", [0.2, 0.6, 0.8])
def test_energies_have_the_slope_of_the_turning_point(turn):
    f, step = brane(3), 1e-3
    chi = np.square

    def slope(probe):
        (low, below), (high, above) = probe(turn * (1 - step)), probe(turn * (1 + step))
        return (above - below) / (high - low)

    assert slope(lambda z: strip(z, f)) == pytest.approx(turn**-2, rel=1e-5)
    wanted = math.sqrt(f(turn) * math.exp(-chi(turn))) / turn**2
    assert slope(lambda z: string(z, f, chi)) == pytest.approx(wanted, rel=1e-4)
    assert flat(turn) == 0


def test_soft_wall_solves_the_equations_of_the_dilaton():
    z, c, step = np.linspace(0.3, 4, 5), 0.15, 1e-4
    dilaton, _ = soft_wall(z, c)
    assert soft_wall(np.array([0.3, 1, 3]), c)[0] == pytest.approx(
        [0.0400714, 0.4058801, 2.5283073], abs=1e-7
    )
    up, down = (soft_wall(z + s, c)[0] for s in (step, -step))
    y, first, second = np.exp(dilaton), 2 * c * z + 1 / z, 2 * c - 1 / z**2
    y1, y2 = (np.exp(up) - np.exp(down)) / (2 * step), (np.exp(up) + np.exp(down) - 2 * y) / step**2
    assert (y2 + 2 * first * y1 - 3 * (first**2 + second) * y) / y == pytest.approx(0, abs=1e-5)


def test_soft_wall_is_anti_de_sitter_outside_and_confines_inside():
    _, potential = soft_wall(np.array([0.01]), 0.15)
    assert potential[0] == pytest.approx(12, abs=1e-2)
    z = np.array([5.0, 10, 20])
    dilaton, potential = soft_wall(z, 0.15)
    assert potential / (np.sqrt(dilaton) * np.exp(4 * dilaton / 3)) == pytest.approx(
        [2.771, 3.009, 3.170], abs=1e-3
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: brane(1), "d: got 1, expected a whole number, at least 2"),
        (lambda: strip(-1.0, empty), "turn: got -1"),
        (lambda: string(0.0, empty), "turn: got 0"),
        (lambda: string(1.5, brane(3)), "turn: got 1.5, expected a place before the horizon"),
        (lambda: soft_wall(np.array([-1.0]), 0.1), "z: got places out of range"),
        (lambda: soft_wall(np.array([1.0]), 0.0), "c: got 0"),
    ],
    ids=["dimension", "strip", "string", "behind", "place", "wall"],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

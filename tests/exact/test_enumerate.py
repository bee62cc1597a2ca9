"""Enumeration: the order, matrices against Kronecker products, ground states against dense matrices."""

import math
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnbook.exact.enumerate import (
    configurations,
    ground_state,
    matrix,
    mutual_information,
    numbers,
    reached,
    rule_information,
)

# Pauli matrices; the first state is up
PAULI = {"x": np.array([[0, 1], [1, 0]]), "y": np.array([[0, -1j], [1j, 0]]), "z": np.diag([1, -1])}
RING, SITES = np.stack([np.arange(8), np.roll(np.arange(8), -1)], 1), np.arange(8)[:, None]
LADDER = np.array([(i, i + 1) for i in (0, 1, 2, 4, 5, 6)] + [(i, i + 4) for i in range(4)])
TRIANGLES = np.array([(i, (i + d) % 8) for i in range(8) for d in (1, 2)])  # no two sublattices
LATTICES = {"ring": RING, "open chain": RING[:-1], "ladder": LADDER, "triangles": TRIANGLES}


def pauli(name, *sites, of=8):
    """The product of a Pauli matrix on some sites; site 0 is the first factor."""
    return reduce(np.kron, [PAULI[name] if i in sites else np.eye(2) for i in range(of)])


def test_amplitudes_are_a_tensor_with_one_axis_a_site():
    spins = configurations(5)
    assert (spins[0] == 1).all()
    for site in range(5):
        axis = np.moveaxis(spins[:, site].reshape((2,) * 5), site, 0)
        assert (axis[0] == 1).all()
        assert (axis[1] == -1).all()


def test_balanced_configurations_are_those_of_the_whole_list():
    whole = configurations(8)
    np.testing.assert_array_equal(configurations(8, balanced=True), whole[whole.sum(1) == 0])
    np.testing.assert_array_equal(numbers(8, balanced=True), np.flatnonzero(whole.sum(1) == 0))


@pytest.mark.parametrize(("moves", "balanced"), [(SITES, False), (RING, False), (RING, True)])
def test_moves_flip_their_spins_or_lead_nowhere(moves, balanced):
    spins = configurations(8, balanced=balanced)
    for move, target in zip(moves, reached(8, moves, balanced=balanced).T, strict=True):
        there = spins.copy()
        there[:, move] *= -1
        listed = (there.sum(1) == 0) | (not balanced)
        np.testing.assert_array_equal(spins[target], np.where(listed[:, None], there, spins))


@pytest.mark.parametrize("bonds", LATTICES.values(), ids=LATTICES)
def test_matrix_is_its_formula(bonds):
    zz = sum(pauli("z", i, j) for i, j in bonds)
    field = zz * -0.6 + 0.9 * sum(pauli("x", i) for i in range(8))
    found = matrix(8, bonds, SITES, coupling=-0.6, amplitude=0.9)
    np.testing.assert_allclose(found.toarray(), field, atol=1e-14)
    exchange = sum(pauli("x", i, j) + pauli("y", i, j) for i, j in bonds)
    rows = numbers(8, balanced=True)
    expected = (1.4 * zz - 0.8 * exchange)[np.ix_(rows, rows)]
    found = matrix(8, bonds, bonds, coupling=1.4, amplitude=-1.6)
    np.testing.assert_allclose(found.toarray(), expected, atol=1e-13)


@pytest.mark.parametrize("amplitude", [-2.0, 2.0, -0.3, 0.3])
@pytest.mark.parametrize("coupling", [1.0, -1.0, 1.9])
@pytest.mark.parametrize("bonds", LATTICES.values(), ids=LATTICES)
@pytest.mark.parametrize("exchange", [True, False], ids=["exchanges", "flips"])
def test_ground_state_is_that_of_the_dense_matrix(bonds, coupling, amplitude, exchange):
    h = matrix(8, bonds, bonds if exchange else SITES, coupling=coupling, amplitude=amplitude)
    energy, psi = ground_state(h)
    assert energy == pytest.approx(np.linalg.eigvalsh(h.toarray())[0], abs=1e-12)
    assert np.linalg.norm(psi) == pytest.approx(1, abs=1e-12)
    assert psi[np.abs(psi).argmax()] > 0
    assert np.abs(h @ psi - energy * psi).max() < 1e-10


def test_ground_state_that_is_orthogonal_to_ones():
    """XXZ on a ring of 18: exchanges of positive sign have the same spectrum, one sublattice rotated."""
    ring = np.stack([np.arange(18), np.roll(np.arange(18), -1)], 1)
    (energy, psi), (rotated, _) = (
        ground_state(matrix(18, ring, ring, coupling=1.9, amplitude=a)) for a in (2.0, -2.0)
    )
    assert energy == pytest.approx(rotated, abs=1e-11)
    assert abs(psi.sum()) < 1e-6


def test_ground_state_of_two_nearly_degenerate_ones_has_the_symmetry_of_the_lower():
    """In a field of 0.1 the even and the odd state of 8 spins are 1e-7 apart; both amplitudes are equal."""
    psi = ground_state(matrix(8, RING, SITES, coupling=-1.0, amplitude=-0.1))[1]
    np.testing.assert_allclose(psi, psi[::-1], atol=1e-5)  # rounding over the distance of the two
    assert (psi > 0).all()


def test_the_start_is_seeded():
    h = matrix(8, RING, RING, coupling=1.0, amplitude=2.0)
    np.testing.assert_array_equal(ground_state(h)[1], ground_state(h)[1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: configurations(40),
            "makes 1,099,511,627,776 configurations, expected at most 1,048,576 .* sample",
        ),
        (lambda: numbers(40, balanced=True), "which makes 137,846,528,820 configurations"),
        (lambda: matrix(21, RING, SITES, coupling=1.0, amplitude=1.0), "2,097,152 configurations"),
        (lambda: numbers(5, balanced=True), "sites: got 5, expected an even number"),
        (lambda: numbers(1100), r"sites: got 1100, which makes about 10\^331 configurations"),
        (lambda: numbers(10**30, balanced=True), r"makes about 10\^3.01e\+29 configurations"),
        (lambda: numbers(-1), "sites: got -1, expected a whole number, at least 0"),
        (lambda: numbers(3.5), "sites: got 3.5, expected a whole number"),
    ],
)
def test_enumeration_that_is_not_possible_says_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_limit_of_enumeration_is_reached_by_twenty_spins():
    assert numbers(20).shape == (2**20,)


def table(seed, *shape):
    return np.random.default_rng(seed).random(shape) ** 3


def test_information_has_closed_forms():
    assert mutual_information(np.ones((3, 5))) == pytest.approx(0.0, abs=1e-14)
    assert mutual_information(np.eye(4)) == pytest.approx(math.log(4))


@given(st.integers(0, 1000))
def test_every_rule_loses_and_none_is_forgotten(seed):
    joint = table(seed, 5, 6)
    found = rule_information(joint)
    assert len(found) == 15
    for number in (1, 6, 15):
        one = np.array([(number >> k) & 1 for k in range(5)], bool)
        by_hand = mutual_information(np.stack([joint[one].sum(0), joint[~one].sum(0)]))
        assert found[number - 1] == pytest.approx(by_hand, abs=1e-12)
    assert found.max() <= mutual_information(joint) + 1e-12


@pytest.mark.parametrize("joint", [np.zeros((2, 2)), -np.ones((2, 2))], ids=["zeros", "negative"])
def test_no_probability(joint):
    with pytest.raises(ValueError, match="no probability"):
        mutual_information(joint)

"""Lattices: bonds and translations; configurations that a reader hands over."""

import math

import numpy as np
import pytest
import torch

from nnbook.sample.estimates import estimate
from nnbook.spins.entanglement import decompose
from nnbook.spins.hamiltonians import ising
from nnbook.spins.lattices import Lattice, all_spins, chain, checked_spins, rectangle, square
from nnbook.spins.states import RestrictedBoltzmannMachine
from nnbook.spins.tensors import contract

LATTICES = {
    "chain of 5": chain(5),
    "open chain of 6": chain(6, boundary="open"),
    "square of 3": square(3),
    "square of 4": square(4),
    "rectangle": rectangle(3, 4),
    "open square of 3": square(3, boundary="open"),
    "two sites": chain(2),
    "ladder": rectangle(2, 6),
    "open ladder": rectangle(2, 7, boundary="open"),
    "plaquette": square(2),
}
lattices = pytest.mark.parametrize("lattice", LATTICES.values(), ids=LATTICES.keys())


@lattices
def test_bonds_join_all_neighbours_once(lattice):
    places = np.array(np.unravel_index(lattice.bonds.numpy(), lattice.shape))
    distance = np.abs(places[..., 0] - places[..., 1])
    if lattice.boundary == "periodic":
        distance = np.minimum(distance, np.array(lattice.shape)[:, None] - distance)
    assert np.all(distance.sum(0) == 1)
    assert len({frozenset(bond) for bond in lattice.bonds.tolist()}) == len(lattice.bonds)
    closed = [lattice.boundary == "periodic" and n > 2 for n in lattice.shape]  # two in a row: one bond
    expected = [lattice.sites * (n - 1 + c) // n for n, c in zip(lattice.shape, closed, strict=True)]
    assert len(lattice.bonds) == sum(expected)


@lattices
def test_sublattices_are_joined_by_every_bond(lattice):
    if lattice.boundary == "periodic" and any(n % 2 for n in lattice.shape):
        assert lattice.sublattice is None
        return
    first, second = lattice.bonds.T
    assert set(lattice.sublattice.tolist()) == {1, -1}
    assert bool((lattice.sublattice[first] == -lattice.sublattice[second]).all())


@lattices
def test_translations_are_a_transitive_group_that_keeps_the_bonds(lattice):
    group = {tuple(g) for g in lattice.translations.tolist()}
    assert len(group) == len(lattice.translations) == (lattice.sites if lattice.boundary == "periodic" else 1)
    assert tuple(range(lattice.sites)) in group
    products = lattice.translations[:, lattice.translations].flatten(0, 1)
    assert {tuple(g) for g in products.tolist()} == group
    bonds = {frozenset(bond) for bond in lattice.bonds.tolist()}
    for g in lattice.translations:
        assert {frozenset(bond) for bond in g[lattice.bonds].tolist()} == bonds
    if lattice.boundary == "periodic":
        assert bool((lattice.translations.sort(0)[0] == torch.arange(lattice.sites)[:, None]).all())


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.float32, torch.float64])
def test_spins_of_any_real_type_are_taken_as_they_are_meant(dtype):
    spins = checked_spins(all_spins(4, dtype=dtype), 4)
    assert spins.dtype == (dtype if dtype.is_floating_point else torch.float64)
    assert torch.equal(spins.double(), all_spins(4))


def test_spins_within_vmap_are_let_through():
    total = torch.func.vmap(lambda one: checked_spins(one, 3).sum())(all_spins(3))
    assert torch.equal(total, all_spins(3).sum(1))


@pytest.mark.parametrize(
    "call",
    [
        lambda wrong: checked_spins(wrong, 4),
        lambda wrong: Lattice(4, wrong, (4,), "open"),
        lambda wrong: ising(chain(4), field=1.0).apply(wrong),
        lambda wrong: ising(chain(4), field=wrong),
        lambda wrong: RestrictedBoltzmannMachine(4, 2, permutations=wrong),
        lambda wrong: RestrictedBoltzmannMachine.of(wrong, torch.ones(4), torch.ones(4)),
        lambda wrong: contract([wrong] * 4, all_spins(4)),
        lambda wrong: decompose(wrong, 4),
        lambda wrong: estimate(wrong),
    ],
)
@pytest.mark.parametrize("wrong", ["4", [[1.0, -1.0]], np.ones((4, 4))])
def test_wrong_types_are_called_so(call, wrong):
    with pytest.raises(TypeError, match=r"got a (str|list|ndarray), expected a"):
        call(wrong)


BONDS = torch.tensor([[0, 1], [1, 2]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: chain(4, boundary="twisted"), r"boundary: got 'twisted', expected 'periodic' or 'open'"),
        (lambda: chain(1), "sites: got 1, expected a whole number, at least 2"),
        (lambda: chain(4.5), "sites: got 4.5, expected a whole number"),
        (lambda: square(1), "rows: got 1, expected a whole number, at least 2"),
        (lambda: rectangle(4, -3), "columns: got -3, expected a whole number, at least 2"),
        (lambda: Lattice(3, BONDS, (2,), "open"), r"shape: got \(2,\), expected extents of 3 sites"),
        (lambda: Lattice(3, BONDS + 1, (3,), "open"), "bonds: got numbers from 1 to 3, expected 0 to 2"),
        (lambda: Lattice(3, BONDS[0], (3,), "open"), r"bonds: got torch.int64 of shape \(2,\), expected who"),
        (lambda: Lattice(3, BONDS.double(), (3,), "open"), "bonds: got torch.float64 of shape"),
        (lambda: checked_spins(torch.ones(5, 3), 4), r"spins: got shape \(5, 3\), expected \(..., 4\), one"),
        (lambda: checked_spins(torch.ones(4), 4, rows=True), r"shape \(4,\), expected \(batch, 4\)"),
        (lambda: checked_spins((1 + all_spins(4)) / 2, 4), r"spins: got 0, expected \+1 or -1; write 1 - 2"),
        (lambda: checked_spins(math.nan * torch.ones(4), 4), "spins: got nan, expected"),
        (lambda: checked_spins(torch.ones(4, dtype=torch.bool).logical_not(), 4), "spins: got 0, expected"),
        (lambda: checked_spins(torch.ones(4) * 1j, 4), "spins: got torch.complex64, expected real numbers"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()

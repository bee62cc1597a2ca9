"""Spins on lattices: bonds and translations, Hamiltonians against Kronecker products, exact energies, "
"errors."""

from functools import reduce

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array, eye_array, kron

import nnbook
from nnbook.spins import hamiltonians as spins
from nnbook.spins.hamiltonians import chain, heisenberg, ising, square


@pytest.fixture(autouse=True, scope="module")
def _as_in_a_chapter():
    nnbook.start(seed=1, device="cpu", quiet=True)


# Pauli matrices in the order of the basis: first down (bit 0), then up (bit 1)
PAULI = {
    "x": np.array([[0, 1], [1, 0]]),
    "y": np.array([[0, 1j], [-1j, 0]]),
    "z": np.diag([-1, 1]),
}

LATTICES = {
    "chain of 5": chain(5),
    "chain of 8": chain(8),
    "open chain of 6": chain(6, boundary="open"),
    "square of 3": square(3),
    "square of 4": square(4),
    "open square of 3": square(3, boundary="open"),
}
lattices = pytest.mark.parametrize("lattice", LATTICES.values(), ids=LATTICES.keys())

MODELS = {
    "Ising": lambda: ising(chain(8), field=0.7),
    "Ising without field": lambda: ising(chain(6), field=0.0),
    "Ising, open": lambda: ising(chain(7, boundary="open"), field=1.3),
    "Ising, square": lambda: ising(square(3), field=2.0),
    "Heisenberg": lambda: heisenberg(chain(8)),
    "Heisenberg, not rotated": lambda: heisenberg(chain(8), marshall=False),
    "Heisenberg, open": lambda: heisenberg(chain(6, boundary="open")),
}
models = pytest.mark.parametrize("model", MODELS.keys())


def drawn(*shape, seed=1, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def pauli(name, *sites, of):
    """The product of a Pauli matrix on some sites; site 0 is the last factor, the fastest of the basis."""
    factors = [coo_array(PAULI[name]) if i in sites else eye_array(2) for i in reversed(range(of))]
    return reduce(lambda a, b: kron(a, b, format="csr"), factors)


def by_kronecker(h, field=None, marshall=None):
    """The Hamiltonian from its formula, in the basis of all configurations."""
    n, bonds = h.sites, h.lattice.bonds.tolist()
    if field is not None:
        bond = -sum(pauli("z", i, j, of=n) for i, j in bonds)
        return bond - field * sum(pauli("x", i, of=n) for i in range(n))
    sign = -1 if marshall else 1
    return sum(
        pauli("z", i, j, of=n) + sign * (pauli("x", i, j, of=n) + pauli("y", i, j, of=n)) for i, j in bonds
    )


# Lattices


@lattices
def test_number_of_bonds(lattice):
    shape = lattice.shape
    each = [lattice.sites if lattice.boundary == "periodic" else lattice.sites * (n - 1) // n for n in shape]
    assert lattice.bonds.shape == (sum(each), 2)


@lattices
def test_no_bond_twice_and_none_from_a_site_to_itself(lattice):
    pairs = {frozenset(bond) for bond in lattice.bonds.tolist()}
    assert len(pairs) == len(lattice.bonds)
    assert {len(pair) for pair in pairs} == {2}


@lattices
def test_neighbours_are_one_apart_on_the_grid(lattice):
    places = np.array(np.unravel_index(lattice.bonds.numpy(), lattice.shape))
    distance = np.abs(places[..., 0] - places[..., 1])
    if lattice.boundary == "periodic":
        distance = np.minimum(distance, np.array(lattice.shape)[:, None] - distance)
    assert np.all(distance.sum(0) == 1)


@lattices
def test_coordination(lattice):
    neighbours = torch.bincount(lattice.bonds.flatten(), minlength=lattice.sites)
    most = 2 * len(lattice.shape)
    assert neighbours.max() <= most
    assert bool((neighbours == most).all()) is (lattice.boundary == "periodic")


@lattices
def test_sublattices_are_joined_by_every_bond(lattice):
    if lattice.boundary == "periodic" and any(n % 2 for n in lattice.shape):
        assert lattice.sublattice is None
        return
    first, second = lattice.bonds.T
    assert set(lattice.sublattice.tolist()) == {1, -1}
    assert bool((lattice.sublattice[first] == -lattice.sublattice[second]).all())


def test_sublattices_are_a_chessboard():
    assert square(4).sublattice.reshape(4, 4)[:2].tolist() == [[1, -1, 1, -1], [-1, 1, -1, 1]]


@lattices
def test_translations_are_a_group_that_keeps_the_bonds(lattice):
    group = {tuple(g) for g in lattice.translations.tolist()}
    assert len(group) == len(lattice.translations) == (lattice.sites if lattice.boundary == "periodic" else 1)
    assert tuple(range(lattice.sites)) in group
    products = lattice.translations[:, lattice.translations].flatten(0, 1)
    assert {tuple(g) for g in products.tolist()} == group
    bonds = {frozenset(bond) for bond in lattice.bonds.tolist()}
    for g in lattice.translations:
        assert {frozenset(bond) for bond in g[lattice.bonds].tolist()} == bonds


@pytest.mark.parametrize("lattice", [chain(6), square(3)])
def test_translations_reach_every_site_from_every_site(lattice):
    assert bool((lattice.translations.sort(0)[0] == torch.arange(lattice.sites)[:, None]).all())


# Hamiltonians


@pytest.mark.parametrize("field", [0.0, 0.6, 2.0])
@pytest.mark.parametrize(
    "lattice", [chain(6), chain(7, boundary="open"), square(3), square(3, boundary="open")]
)
def test_ising_is_its_formula(lattice, field):
    h = ising(lattice, field=field)
    assert abs(h.matrix() - by_kronecker(h, field=field)).max() < 1e-14


@pytest.mark.parametrize("marshall", [True, False])
@pytest.mark.parametrize("lattice", [chain(8), chain(6, boundary="open"), chain(4)])
def test_heisenberg_is_its_formula_at_zero_magnetisation(lattice, marshall):
    h = heisenberg(lattice, marshall=marshall)
    whole = by_kronecker(h, marshall=marshall).tocsr()
    ups = np.array([bin(number).count("1") for number in range(2**lattice.sites)])
    zero = np.flatnonzero(2 * ups == lattice.sites)
    assert abs(h.matrix() - whole[zero][:, zero]).max() < 1e-14


@models
def test_configurations_are_all_there_in_order(model):
    h = MODELS[model]()
    bits = ((h.basis + 1) / 2).long()
    numbers = (bits << torch.arange(h.sites)).sum(1)
    assert bool((numbers.diff() > 0).all())
    if h.exchanges:
        assert bool((h.basis.sum(1) == 0).all())
        assert len(numbers) == {6: 20, 8: 70}[h.sites]
    else:
        assert len(numbers) == 2**h.sites


@models
def test_matrix_is_symmetric_and_real(model):
    matrix = MODELS[model]().matrix()
    assert matrix.dtype == np.float64
    assert abs(matrix - matrix.T).max() == 0


@models
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_apply_is_the_matrix(model, dtype):
    h = MODELS[model]()
    psi = drawn(len(h.basis), 3, dtype=dtype)
    expected = torch.from_numpy(h.matrix() @ psi.numpy())
    torch.testing.assert_close(h.apply(psi), expected, rtol=1e-14, atol=1e-12)


@models
def test_apply_can_be_differentiated(model):
    """The gradient of psi H psi is 2 H psi, since H is symmetric."""
    h = MODELS[model]()
    psi = drawn(len(h.basis), 1).requires_grad_()
    (gradient,) = torch.autograd.grad((psi * h.apply(psi)).sum(), psi)
    torch.testing.assert_close(gradient, 2 * h.apply(psi.detach()), rtol=1e-13, atol=1e-12)


@models
def test_apply_under_vmap(model):
    h = MODELS[model]()
    psi = drawn(4, len(h.basis), 2)
    together = torch.func.vmap(h.apply)(psi)
    torch.testing.assert_close(together, torch.stack([h.apply(one) for one in psi]), rtol=1e-14, atol=1e-13)


@models
def test_elements_and_diagonal_are_those_of_the_matrix(model):
    """Row sums: what a constant wave function would have as its local energy."""
    h = MODELS[model]()
    rows = h.diagonal(h.basis) + h.elements(h.basis).sum(1)
    torch.testing.assert_close(rows, torch.from_numpy(h.matrix().sum(1)), rtol=1e-14, atol=1e-12)
    torch.testing.assert_close(h.diagonal(h.basis), torch.from_numpy(h.matrix().diagonal()))


@models
def test_extra_dimensions_of_configurations_are_kept(model):
    h = MODELS[model]()
    some = h.basis[:12].view(3, 4, -1)
    assert torch.equal(h.diagonal(some).flatten(), h.diagonal(h.basis[:12]))
    assert torch.equal(h.elements(some).flatten(0, 1), h.elements(h.basis[:12]))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31), st.sampled_from(sorted(MODELS)))
def test_rayleigh_quotient_is_never_below_the_ground_state(seed, model):
    h = MODELS[model]()
    psi = drawn(len(h.basis), 1, seed=seed)
    assert (psi * h.apply(psi)).sum() / (psi**2).sum() >= h.ground_state()[0] - 1e-10


def test_translations_and_spin_flip_commute_with_the_hamiltonian():
    h = heisenberg(square(4))
    psi = drawn(len(h.basis), 1)
    numbers = {tuple(s): i for i, s in enumerate(h.basis.long().tolist())}
    for image in (h.basis[:, h.lattice.translations[5]], -h.basis):
        order = torch.tensor([numbers[tuple(s)] for s in image.long().tolist()])
        torch.testing.assert_close(h.apply(psi[order]), h.apply(psi)[order], rtol=1e-13, atol=1e-12)


@pytest.mark.parametrize("shape", [(64,), (63, 1), (64, 1, 1), (1, 64)])
def test_amplitudes_of_the_wrong_shape_are_named(shape):
    with pytest.raises(ValueError, match=r"psi: got shape \(.*\), expected \(64, k\)"):
        ising(chain(6), field=1.0).apply(torch.ones(shape))


# Ground states

ISING = {
    (8, 0.5): -8.509082235,
    (8, 1.0): -10.251661791,
    (8, 2.0): -17.018164470,
    (10, 0.5): -10.635604409,
    (10, 1.0): -12.784906443,
    (10, 2.0): -21.271208819,
    (12, 0.5): -12.762569151,
    (12, 1.0): -15.322595151,
    (12, 2.0): -25.525138302,
}
HEISENBERG = {8: -14.604373636, 10: -18.061785418, 12: -21.549563670}


@pytest.mark.parametrize(("sites", "field"), ISING)
def test_exact_energy_of_the_ising_chain(sites, field):
    energy = ising(chain(sites), field=field).ground_state()[0]
    assert energy == pytest.approx(ISING[sites, field], abs=1e-9)


@pytest.mark.parametrize("marshall", [True, False])
@pytest.mark.parametrize("sites", HEISENBERG)
def test_exact_energy_of_the_heisenberg_chain(sites, marshall):
    energy = heisenberg(chain(sites), marshall=marshall).ground_state()[0]
    assert energy == pytest.approx(HEISENBERG[sites], abs=1e-9)


@pytest.mark.parametrize("marshall", [True, False])
def test_exact_energy_of_the_square_lattice(marshall):
    energy = heisenberg(square(4), marshall=marshall).ground_state()[0]
    assert energy / 16 / 4 == pytest.approx(-0.7017802005, abs=1e-10)


def test_open_heisenberg_chain_of_four():
    """Four spins in a row: E(S.S) = -(3 + 2 sqrt 3) / 4."""
    energy = heisenberg(chain(4, boundary="open")).ground_state()[0]
    assert energy == pytest.approx(-3 - 2 * 3**0.5, abs=1e-12)


def test_classical_and_paramagnetic_limits():
    assert ising(chain(8), field=0.0).ground_state()[0] == pytest.approx(-8, abs=1e-12)
    assert ising(chain(8), field=1e6).ground_state()[0] == pytest.approx(-8e6, rel=1e-9)


def test_ising_square_lattice_ordered_and_disordered():
    """Second order of perturbation theory: -B - N h^2 / 8 for small h, -N h - B / 4h for large h."""
    lattice = square(3)
    assert ising(lattice, field=0.05).ground_state()[0] == pytest.approx(-18 - 9 * 0.05**2 / 8, abs=1e-5)
    assert ising(lattice, field=50.0).ground_state()[0] == pytest.approx(-450 - 18 / 200, abs=1e-2)


@models
def test_ground_state_is_a_normalised_eigenvector(model):
    h = MODELS[model]()
    energy, psi = h.ground_state()
    assert psi.shape == (len(h.basis),)
    assert psi.norm().item() == pytest.approx(1, abs=1e-12)
    assert psi[psi.abs().argmax()] > 0
    residual = h.apply(psi[:, None])[:, 0] - energy * psi
    assert residual.abs().max() < 1e-7
    assert energy == pytest.approx(np.linalg.eigvalsh(h.matrix().toarray())[0], abs=1e-11)


@pytest.mark.parametrize("lattice", [chain(8), chain(8, boundary="open"), chain(6)])
def test_rotation_of_a_sublattice_leaves_the_spectrum(lattice):
    spectra = [np.linalg.eigvalsh(heisenberg(lattice, marshall=m).matrix().toarray()) for m in (True, False)]
    np.testing.assert_allclose(*spectra, rtol=0, atol=1e-12)


@pytest.mark.parametrize("lattice", [chain(8), chain(10, boundary="open"), square(4)])
def test_signs_count_the_up_spins_of_a_sublattice(lattice):
    h = heisenberg(lattice, marshall=False)
    plain, rotated = h.ground_state()[1], heisenberg(lattice).ground_state()[1]
    ups = (h.basis[:, lattice.sublattice == 1] > 0).sum(1)
    signs = 1.0 - 2.0 * (ups % 2)
    signs = signs * signs[plain.abs().argmax()]
    assert bool((plain * signs > 0).all())
    assert bool((rotated > 0).all())
    torch.testing.assert_close(plain * signs, rotated, rtol=0, atol=1e-9)


@pytest.mark.parametrize("model", ["Ising", "Ising, open", "Ising, square"])
def test_ground_state_of_the_ising_model_is_positive_and_even(model):
    h = MODELS[model]()
    psi = h.ground_state()[1]
    assert bool((psi > 0).all())
    torch.testing.assert_close(psi, psi.flip(0), rtol=0, atol=1e-7)  # all bits flipped is the reverse order


# Errors


@pytest.mark.parametrize("make", [chain, square])
def test_boundary_that_is_unknown_is_named(make):
    with pytest.raises(ValueError, match=r"boundary: got 'twisted', expected 'periodic' or 'open'"):
        make(4, boundary="twisted")


@pytest.mark.parametrize("make", [chain, square])
@pytest.mark.parametrize("size", [2, 0, -3])
def test_lattice_that_is_too_small_is_named(make, size):
    with pytest.raises(ValueError, match=rf"lattice: got {size} sites in a row, expected at least 3"):
        make(size)


@pytest.mark.parametrize("field", [-0.1, float("nan"), float("inf")])
def test_field_that_makes_no_sense_is_named(field):
    with pytest.raises(ValueError, match=rf"field: got {field}, expected a finite number, zero or above"):
        ising(chain(4), field=field)


@pytest.mark.parametrize("marshall", [True, False])
@pytest.mark.parametrize("lattice", [chain(5), square(3), chain(7, boundary="open")])
def test_odd_number_of_sites_has_no_zero_magnetisation(lattice, marshall):
    with pytest.raises(ValueError, match=rf"lattice: got {lattice.sites} sites, expected an even number"):
        heisenberg(lattice, marshall=marshall)


def test_no_rotation_without_sublattices():
    """An even number of sites of which some bonds still join the same sublattice."""
    odd = spins._lattice((3, 4), "periodic")
    with pytest.raises(ValueError, match=r"marshall: got True on a lattice of shape \(3, 4\)"):
        heisenberg(odd)
    energy, _ = heisenberg(odd, marshall=False).ground_state()
    assert -3 * len(odd.bonds) < energy < 0  # between singlets on all bonds and none


@pytest.mark.parametrize(
    ("make", "count", "room"),
    [
        (lambda: ising(chain(40), field=1.0), "1,099,511,627,776", "983,040"),
        (lambda: heisenberg(chain(40)), "137,846,528,820", "123,244"),
        (lambda: ising(chain(21), field=1.0), "2,097,152", "1"),
    ],
)
def test_enumeration_that_does_not_fit_says_how_much_it_would_take(make, count, room):
    h = make()
    message = rf"sites: got \d+, which makes {count} configurations; .* {room} GiB, .* sample them instead"
    for look in (lambda: h.basis, h.matrix, h.ground_state):
        with pytest.raises(ValueError, match=message):
            look()


def test_limit_of_enumeration_is_reached_by_twenty_spins():
    assert spins.MOST >= 2**20
    assert ising(chain(20), field=1.0)._numbers.shape == (2**20,)


def test_models_name_themselves():
    assert MODELS["Ising"]().name == "Ising, h = 0.7"
    assert MODELS["Heisenberg"]().name == "Heisenberg"
    assert repr(chain(8)) == "Lattice(sites=8, shape=(8,), boundary='periodic')"

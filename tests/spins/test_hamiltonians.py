"""Hamiltonians of spins: against Kronecker products, ground states, sampling, errors."""

import math
from dataclasses import replace
from functools import reduce

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array, eye_array, kron

from nnbook.spins.hamiltonians import SpinHamiltonian, heisenberg, ising, xxz
from nnbook.spins.lattices import all_spins, chain, rectangle, square
from nnbook.spins.states import MeanField, RestrictedBoltzmannMachine
from nnbook.train.problems import RayleighQuotient

# the first state is up, as in the basis
PAULI = {"x": np.array([[0, 1], [1, 0]]), "y": np.array([[0, -1j], [1j, 0]]), "z": np.diag([1, -1])}


def dice(seed=1):
    return torch.Generator().manual_seed(seed)


def drawn(*shape, seed=1, dtype=torch.float64):
    return torch.randn(shape, generator=dice(seed), dtype=dtype)


MODELS = {
    "Ising": ising(chain(8), field=0.7),
    "Ising without field": ising(chain(6), field=0.0),
    "Ising, open": ising(chain(7, boundary="open"), field=1.3),
    "Ising, square": ising(square(3), field=2.0),
    "Heisenberg": heisenberg(chain(8)),
    "Heisenberg, not rotated": heisenberg(chain(8), marshall=False),
    "Heisenberg, open": heisenberg(chain(6, boundary="open")),
    "Ising, negative field": ising(chain(5), field=-0.7, coupling=-1.3, longitudinal=0.4),
    "Ising, bond by bond": ising(
        rectangle(2, 4), field=drawn(8), coupling=drawn(12, seed=2), longitudinal=drawn(8, seed=3)
    ),
    "XXZ": xxz(chain(8), anisotropy=1.9, marshall=False),
    "XXZ, bond by bond": xxz(
        rectangle(2, 4, boundary="open"),
        anisotropy=-0.3,
        coupling=drawn(10),
        longitudinal=drawn(8, seed=2),
    ),
}
models = pytest.mark.parametrize("h", MODELS.values(), ids=MODELS.keys())
dtypes = pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=["real", "complex"])


def pauli(name, *sites, of):
    """The product of a Pauli matrix on some sites; site 0 is the first factor."""
    factors = [coo_array(PAULI[name]) if i in sites else eye_array(2) for i in range(of)]
    return reduce(lambda a, b: kron(a, b, format="csr"), factors)


# Hamiltonians


def each(strength, count):
    """One number a term, for the formulas."""
    return np.broadcast_to(np.asarray(strength), count)


@pytest.mark.parametrize(
    "options",
    [
        {"field": 0.0},
        {"field": 2.0},
        {"field": -0.5, "coupling": -1.5, "longitudinal": 0.7},
        {"field": 6, "coupling": 5, "longitudinal": 7},  # one seeded table each
    ],
)
@pytest.mark.parametrize("lattice", [chain(6), chain(7, boundary="open"), square(3), rectangle(2, 4)])
def test_ising_is_its_formula(lattice, options):
    n, bonds = lattice.sites, lattice.bonds.tolist()
    if options["field"] == 6:
        count = {"field": n, "coupling": len(bonds), "longitudinal": n}
        options = {name: drawn(count[name], seed=seed) for name, seed in options.items()}
    h = ising(lattice, **options)
    field, coupling, longitudinal = (
        each(options.get(name, default), count)
        for name, default, count in (("field", 0, n), ("coupling", 1, len(bonds)), ("longitudinal", 0, n))
    )
    expected = -sum(J * pauli("z", i, j, of=n) for J, (i, j) in zip(coupling, bonds, strict=True))
    for name, strengths in (("x", field), ("z", longitudinal)):
        expected = expected - sum(strengths[i] * pauli(name, i, of=n) for i in range(n))
    assert abs(h.matrix() - expected).max() < 1e-14


@pytest.mark.parametrize("marshall", [True, False])
@pytest.mark.parametrize("lattice", [chain(8), chain(6, boundary="open"), chain(4), rectangle(2, 4)])
@pytest.mark.parametrize("anisotropy", [1.0, 1.9, 0.0, -1.3])
def test_xxz_is_its_formula_at_zero_magnetisation(lattice, anisotropy, marshall):
    n, sign = lattice.sites, -1 if marshall else 1
    for coupling, field in ((1.0, 0.0), (drawn(len(lattice.bonds)), drawn(n, seed=2))):
        h = xxz(lattice, anisotropy=anisotropy, coupling=coupling, longitudinal=field, marshall=marshall)
        whole = sum(
            J
            * (anisotropy * pauli("z", i, j, of=n) + sign * (pauli("x", i, j, of=n) + pauli("y", i, j, of=n)))
            for J, (i, j) in zip(each(coupling, len(lattice.bonds)), lattice.bonds.tolist(), strict=True)
        )
        whole = (whole - sum(g * pauli("z", i, of=n) for i, g in enumerate(each(field, n)))).tocsr()
        zero = np.flatnonzero([2 * number.bit_count() == n for number in range(2**n)])
        assert abs(h.matrix() - whole[zero][:, zero]).max() < 1e-14


def test_heisenberg_is_xxz_of_anisotropy_one():
    how = {"coupling": drawn(12), "marshall": True}
    one, two = heisenberg(rectangle(2, 4), **how), xxz(rectangle(2, 4), anisotropy=1.0, **how)
    assert abs(one.matrix() - two.matrix()).max() == 0


@models
@dtypes
def test_apply_is_the_matrix_and_can_be_differentiated_and_batched(h, dtype):
    """The gradient of Re psi* H psi is 2 H psi, since H is symmetric."""
    psi = drawn(len(h.basis), 2, dtype=dtype).requires_grad_()
    image = h.apply(psi)
    torch.testing.assert_close(image.detach(), torch.from_numpy(h.matrix() @ psi.detach().numpy()))
    (gradient,) = torch.autograd.grad((psi.conj() * image).sum().real, psi)
    torch.testing.assert_close(gradient, 2 * image.detach())
    many = torch.stack([psi.detach(), 2j * psi.detach() if dtype.is_complex else -psi.detach()])
    together = torch.func.vmap(h.apply)(many)
    torch.testing.assert_close(together, torch.stack([h.apply(one) for one in many]))


@models
def test_elements_and_diagonal_are_those_of_the_matrix(h):
    """Row sums: what a constant wave function would have as its local energy."""
    rows = h.diagonal(h.basis) + h.elements(h.basis).sum(1)
    torch.testing.assert_close(rows, torch.from_numpy(h.matrix().sum(1)), rtol=1e-14, atol=1e-12)
    torch.testing.assert_close(h.diagonal(h.basis), torch.from_numpy(h.matrix().diagonal()))
    some = h.basis[:12].view(3, 4, -1)
    assert torch.equal(h.elements(some).flatten(0, 1), h.elements(h.basis[:12]))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31), st.sampled_from(sorted(MODELS)))
def test_problem_is_never_below_the_ground_state(seed, model):
    h = MODELS[model]
    problem, psi = h.problem(), drawn(len(h.basis), seed=seed)
    assert isinstance(problem, RayleighQuotient)
    energy = problem.value(lambda params, spins: params, psi)
    expected = psi @ torch.from_numpy(h.matrix() @ psi.numpy()) / (psi @ psi)
    assert energy.item() == pytest.approx(expected.item(), abs=1e-10)
    assert energy >= h.ground_state()[0] - 1e-10


def test_problem_has_the_precision_that_is_asked_for():
    problem = MODELS["Ising"].problem(dtype=torch.float32)
    assert {problem.points.dtype, problem.weights.dtype} == {torch.float32}
    assert problem.operator(torch.ones_like(problem.points[:, :1])).dtype == torch.float32


# Ground states


@pytest.mark.parametrize(
    ("h", "energy"),
    [
        (ising(chain(12), field=0.5), -12.762569151),
        (ising(chain(12), field=1.0), -15.322595151),
        (ising(chain(8), field=0.0), -8.0),
        (ising(chain(8), field=1e6), -8e6),
        (heisenberg(chain(12)), -21.549563670),
        (heisenberg(chain(12), marshall=False), -21.549563670),
        (heisenberg(square(4)), 64 * -0.7017802005),
        (heisenberg(square(4), marshall=False), 64 * -0.7017802005),
        (heisenberg(chain(4, boundary="open")), -3 - 2 * 3**0.5),
        (heisenberg(chain(2)), -3.0),
        (heisenberg(square(2)), -8.0),
        (xxz(chain(12), anisotropy=0.0, marshall=False), -4 / math.sin(math.pi / 12)),  # free fermions
        (xxz(chain(18), anisotropy=1.9, marshall=False), -43.135595845),
        (heisenberg(rectangle(2, 7, boundary="open"), marshall=False), -31.037304245),
        (ising(chain(4), field=0.0, coupling=0.0), 0.0),
        (ising(chain(12), field=-1.0), -15.322595151),
        (ising(chain(6), field=0.0, coupling=0.0, longitudinal=-0.5), -3.0),
        (ising(square(3), field=0.02), -18 - 9 * 0.02**2 / 8),  # second order of perturbation theory
    ],
)
def test_known_energies(h, energy):
    assert h.ground_state()[0] == pytest.approx(energy, abs=2e-8, rel=1e-9)


@pytest.mark.parametrize("lattice", [chain(8), chain(10, boundary="open"), square(4)])
def test_signs_count_the_up_spins_of_a_sublattice(lattice):
    h = heisenberg(lattice, marshall=False)
    plain, rotated = h.ground_state()[1], heisenberg(lattice).ground_state()[1]
    ups = (h.basis[:, lattice.sublattice == 1] > 0).sum(1)
    signs = 1.0 - 2.0 * (ups % 2)
    signs = signs * signs[plain.abs().argmax()]
    assert bool((rotated > 0).all())
    torch.testing.assert_close(plain * signs, rotated, rtol=0, atol=1e-9)


def test_frustrated_lattice():
    """An even number of sites of which some bonds join the same sublattice: between singlets and none."""
    odd = rectangle(3, 4)
    energy, _ = heisenberg(odd, marshall=False).ground_state()
    assert -3 * len(odd.bonds) < energy < 0


@pytest.mark.parametrize("marshall", [True, False])
@pytest.mark.parametrize("anisotropy", [-1.5, -0.5, 0.5, 1.9])
@pytest.mark.parametrize(
    "lattice", [chain(8), chain(8, boundary="open"), rectangle(2, 4), square(3)], ids=str
)
def test_ground_states_of_models_signs_and_lattices(lattice, anisotropy, marshall):
    """Against all eigenvalues of dense matrices, both signs of the couplings, with and without a field."""
    models = [ising(lattice, field=anisotropy, coupling=J, longitudinal=0.3 * J) for J in (-1.0, 1.0)]
    if lattice.sites % 2 == 0:
        own = {"coupling": drawn(len(lattice.bonds)), "longitudinal": drawn(lattice.sites, seed=2)}
        options = [{"coupling": 1.0}, {"coupling": -1.0}, own]
        models += [xxz(lattice, anisotropy=anisotropy, marshall=marshall, **how) for how in options]
    for h in models:
        exact = np.linalg.eigvalsh(h.matrix().toarray())
        assert h.ground_state()[0] == pytest.approx(exact[0], abs=1e-11)
        assert h.bounds[0] - 1e-9 <= exact[0] <= exact[-1] <= h.bounds[1] + 1e-9


# Sampling


@models
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_random_spins_have_the_right_magnetisation(h, dtype):
    spins = h.start(4000, generator=dice(), dtype=dtype)
    assert spins.shape == (4000, h.size)
    assert spins.dtype == dtype
    assert set(spins.unique().tolist()) == {-1.0, 1.0}
    if h.exchanges:
        assert not bool(spins.sum(1).any())
        count, expected = (h.basis[:, None] == spins[None]).all(-1).sum(1), 4000 / len(h.basis)
        assert ((count - expected) ** 2 / expected).sum() < len(count) + 5 * math.sqrt(2 * len(count))
    else:
        assert spins.mean().abs() < 5 / math.sqrt(4000 * h.size)


@models
@dtypes
def test_local_energies_are_rows_of_the_hamiltonian(h, dtype):
    state = RestrictedBoltzmannMachine(h.sites, 4, scale=0.3, generator=dice(), dtype=dtype)
    psi = state(h.basis).detach().exp()
    expected = torch.from_numpy(h.matrix() @ psi.numpy()) / psi
    found = h.local_energies(h.walkers(state, h.basis))
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


def test_whole_numbers_are_spins_too():
    """With an integer dtype a field of 0.7 must not become zero."""
    h = MODELS["Ising"]
    whole = all_spins(8, dtype=torch.int64)
    torch.testing.assert_close(h.elements(whole), h.elements(h.basis))
    torch.testing.assert_close(h.diagonal(whole), h.diagonal(h.basis))
    state = MeanField(8, generator=dice())
    found = [h.local_energies(h.walkers(state, spins)) for spins in (whole, h.basis)]
    torch.testing.assert_close(*found)


def test_label_identifies_the_hamiltonian_wholly():
    h = MODELS["Ising"]
    others = [
        replace(h, coupling=5.0),
        replace(h, amplitude=-0.70000000001),
        replace(h, longitudinal=1e-12),
        replace(h, coupling=torch.full((8,), 2.0)),
        replace(h, coupling=torch.full((8,), 3.0)),
        replace(h, longitudinal=torch.full((8,), 2.0)),
        replace(h, moves=h.moves[:-1]),
        replace(h, lattice=replace(h.lattice, bonds=h.lattice.bonds[:-1])),
        replace(h, lattice=chain(8, boundary="open")),
        *(MODELS[name] for name in MODELS if name != "Ising"),
    ]
    assert ising(chain(8), field=0.7).label == h.label
    assert len({h.label, *(other.label for other in others)}) == 1 + len(others)
    assert "Ising, h = 0.7" in h.label


@models
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_everything_follows_its_inputs(h, dtype, elsewhere):
    """Lattices, whose tables of integers are on the CPU, too."""
    h = replace(h, lattice=replace(h.lattice))
    state = MeanField(h.sites, generator=dice(), dtype=dtype, device="cpu")
    spins = h.start(5, generator=dice(), dtype=dtype, device="cpu")
    assert h.local_energies(h.walkers(state, spins)).dtype == dtype
    problem = h.problem(dtype=dtype, device="cpu")
    assert problem.operator(problem.weights[:, None]).dtype == dtype
    assert h.lattice.translations.device == chain(4).bonds.device == h.ground_state()[1].device


# Errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ising(chain(4), field=math.nan), "field: got nan, expected a finite number"),
        (lambda: ising(chain(4), field=torch.ones(3)), r"field: got shape \(3,\), expected \(4,\); give one"),
        (lambda: ising(chain(4), field=torch.tensor([1, 1, math.nan, 1])), "field: got NaN or infinities"),
        (lambda: ising(chain(4), field=1.0, coupling=torch.ones(5)), r"coupling: got shape \(5,\)"),
        (lambda: ising(chain(4), field=1.0, longitudinal=math.inf), "longitudinal: got inf"),
        (lambda: xxz(chain(4), anisotropy=math.nan), "anisotropy: got nan, expected a finite number"),
        (lambda: replace(MODELS["Ising"], coupling=math.nan), "coupling: got nan"),
        (lambda: replace(MODELS["Ising"], moves=MODELS["Ising"].moves + 1), "moves: got numbers from 1 to 8"),
        (lambda: replace(MODELS["Ising"], moves=torch.ones(8, 3).long()), "expected whole numbers .moves, 1"),
        (lambda: heisenberg(square(3)), "lattice: got 9 sites, expected an even number"),
        (lambda: heisenberg(chain(5), marshall=False), "lattice: got 5 sites, expected an even number"),
        (lambda: heisenberg(rectangle(3, 4)), r"marshall: got True on a lattice of shape \(3, 4\)"),
        (lambda: ising(chain(40), field=1.0).basis, "sites: got 40, .* sample instead"),
        (lambda: heisenberg(chain(40)).ground_state(), "sites: got 40, .* sample instead"),
        (lambda: MODELS["Ising"].start(0, generator=dice()), "chains: got 0, expected a whole number"),
        (lambda: MODELS["Ising"].apply(torch.ones(256)), r"psi: got shape \(256,\), expected \(256, k\)"),
        (lambda: MODELS["Ising"].apply(torch.ones(255, 1)), r"psi: got shape \(255, 1\)"),
        (
            lambda: SpinHamiltonian(chain(5), 1.0, chain(5).bonds, 2.0, "odd").start(1, generator=dice()),
            "sites: got 5, expected an even number",
        ),
        (lambda: MODELS["Ising"].walkers(MeanField(8), torch.ones(8)), r"spins: got shape \(8,\)"),
        (lambda: MODELS["Heisenberg"].walkers(MeanField(8), torch.ones(2, 8)), "whose magnetisation is not"),
        (
            lambda: MODELS["Heisenberg"].walkers(MeanField(8), torch.zeros(2, 8)),
            r"spins: got 0, expected \+1",
        ),
        (lambda: MODELS["Ising"].elements(torch.zeros(8)), "spins: got 0, expected"),
        (
            lambda: MODELS["Ising"].diagonal(torch.ones(5, 7)),
            r"spins: got shape \(5, 7\), expected \(..., 8\)",
        ),
        (
            lambda: ising(chain(1100), field=1.0).basis,
            r"sites: got 1100, which makes about 10\^331 configurations",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()

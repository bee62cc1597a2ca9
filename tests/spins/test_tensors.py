"""Tensor networks, their entanglement, and Boltzmann machines as tensor networks, on all configurations."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import nnbook
from nnbook.networks import as_function, flatten, jacobian
from nnbook.spins.entanglement import compress, decompose, entanglement_entropy, inner, schmidt_values
from nnbook.spins.hamiltonians import chain, ising
from nnbook.spins.machines import (
    BoltzmannMachine,
    RestrictedBoltzmannState,
    all_spins,
    deep_machine,
    log_2cosh,
    pair_unit,
    triple_unit,
)
from nnbook.spins.machines_as_tensors import Wires, direct_wires, fewest_wires, matrix_product
from nnbook.spins.tensors import MatrixProductState, ProjectedPairState, contract
from nnbook.train.linear_method import RayleighQuotient, minimise

seeds = st.integers(0, 2**32 - 1)
REAL = torch.float64


@pytest.fixture(autouse=True, scope="module")
def _as_in_a_chapter():
    nnbook.start(seed=1, device="cpu", quiet=True)


def normal(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=REAL)


def basis(sites):
    return ising(chain(sites), field=1.0).basis


def options(seed=1):
    return {"generator": torch.Generator().manual_seed(seed), "dtype": REAL}


# Amplitudes


@pytest.mark.parametrize(("boundary", "uniform"), [("open", False), ("periodic", False), ("periodic", True)])
def test_matrix_product_state_is_the_trace_of_a_product(boundary, uniform):
    state = MatrixProductState(5, 3, boundary=boundary, uniform=uniform, **options())
    tensors = list(state.tensors) * (5 if uniform else 1)
    for s, amplitude in zip(all_spins(5), state(all_spins(5)), strict=True):
        chosen = [tensor[0 if spin > 0 else 1] for spin, tensor in zip(s, tensors, strict=True)]
        product = torch.linalg.multi_dot(chosen)
        torch.testing.assert_close(product.trace(), amplitude)


def test_bonds_of_open_ends_are_no_larger_than_needed():
    shapes = [tuple(t.shape[1:]) for t in MatrixProductState(6, 4).tensors]
    assert shapes == [(1, 2), (2, 4), (4, 4), (4, 4), (4, 2), (2, 1)]


def test_uniform_state_does_not_change_under_translations():
    state, spins = MatrixProductState(6, 3, boundary="periodic", uniform=True, **options()), all_spins(6)
    torch.testing.assert_close(state(spins), state(spins.roll(1, 1)))


@pytest.mark.parametrize("bond", [1, 2, 3])
def test_projected_pairs_are_the_contraction_of_all_bonds(bond):
    state, spins = ProjectedPairState(2, 3, bond, **options()), all_spins(6)
    expected = torch.zeros(64, dtype=REAL)
    tensors = list(state.tensors)
    for a, b, c, d, e, f, g in itertools.product(range(bond), repeat=7):
        bonds = [(0, 0, c, a), (0, a, d, b), (0, b, e, 0), (c, 0, 0, f), (d, f, 0, g), (e, g, 0, 0)]
        chosen = [tensor[(slice(None), *legs)] for tensor, legs in zip(tensors, bonds, strict=True)]
        picked = [torch.where(spins[:, i] > 0, *values) for i, values in enumerate(chosen)]
        expected += torch.stack(picked).prod(0)
    torch.testing.assert_close(state(spins), expected)


@pytest.mark.parametrize(
    "make", [lambda **o: MatrixProductState(40, 8, **o), lambda **o: ProjectedPairState(6, 6, 2, **o)]
)
def test_starts_neither_overflow_nor_underflow(make):
    state = make(generator=torch.Generator().manual_seed(1), dtype=torch.float32)
    sites = 40 if isinstance(state, MatrixProductState) else 36
    spins = 1 - 2 * torch.randint(0, 2, (50, sites), generator=torch.Generator().manual_seed(2)).float()
    assert (state(spins).abs().log10().abs() < 15).all()


def test_per_sample_gradients_reach_all_parameters():
    for state in (MatrixProductState(6, 3, **options()), ProjectedPairState(2, 3, 2, **options())):
        _, rows = jacobian(as_function(state), flatten(state), all_spins(6))
        assert (rows.abs().sum(0) > 0).all()


def test_training_reaches_the_ground_state_from_above():
    H = ising(chain(6), field=1.0)
    exact, _ = H.ground_state()
    problem = RayleighQuotient(H.basis, H.apply, torch.ones_like(H.basis[:, 0]))
    fit = minimise(
        problem, MatrixProductState(6, 4, boundary="periodic", uniform=True, **options()), steps=60
    )
    assert -1e-10 < fit.value - exact < 1e-6


# Entanglement


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(2, 7))
def test_decomposition_keeps_all_amplitudes(seed, sites):
    psi = normal(2**sites, seed=seed)
    spins = all_spins(sites)
    numbers = ((spins > 0).long() * 2 ** torch.arange(sites)).sum(1)
    torch.testing.assert_close(contract(decompose(psi, sites), spins), psi[numbers])


def test_decomposition_is_in_the_order_of_the_basis():
    psi = normal(2**6)
    torch.testing.assert_close(contract(decompose(psi, 6), basis(6)), psi)


def test_canonical_form_has_the_schmidt_values_of_the_state():
    psi = normal(2**8)
    canonical = compress(decompose(psi, 8))
    for cut in range(1, 8):
        torch.testing.assert_close(canonical.schmidt[cut - 1], schmidt_values(psi, 8, cut))
    torch.testing.assert_close(contract(canonical.tensors, basis(8)), psi / psi.norm())


@pytest.mark.parametrize("bond", [1, 2, 5, 8])
def test_discarded_weight_bounds_the_infidelity(bond):
    exact = decompose(normal(2**8), 8)
    short = compress(exact, bond)
    overlap = inner(short.tensors, exact) / inner(exact, exact).sqrt()
    assert max(short.bonds) <= bond
    assert inner(short.tensors, short.tensors).item() == pytest.approx(1)
    assert 1 - overlap**2 <= short.discarded.sum() + 1e-12


def test_one_cut_is_the_best_approximation_there_is():
    psi = normal(16)
    psi = psi / psi.norm()
    short = compress(decompose(psi, 4), 2)  # only the middle bond, of dimension 4, is cut
    assert float(short.discarded.sum()) == pytest.approx(float(schmidt_values(psi, 4, 2)[2:].square().sum()))
    overlap = float(inner(short.tensors, decompose(psi, 4)))
    assert 1 - overlap**2 == pytest.approx(float(short.discarded.sum()))


def test_compression_of_a_long_chain_needs_no_enumeration():
    state = MatrixProductState(60, 6, **options())
    small = compress([t.detach() for t in state.tensors])
    spins = 1 - 2 * torch.randint(0, 2, (5, 60), generator=torch.Generator().manual_seed(2)).double()
    ratio = contract(small.tensors, spins) / state(spins).detach()
    torch.testing.assert_close(ratio, ratio[:1].expand(5))


def test_entropy_of_known_states():
    product = torch.ones(16, dtype=REAL)
    assert entanglement_entropy(schmidt_values(product, 4, 2)) == pytest.approx(0, abs=1e-12)
    cat = torch.zeros(16, dtype=REAL)
    cat[[0, -1]] = 1
    assert entanglement_entropy(schmidt_values(cat, 4, 1)) == pytest.approx(math.log(2))


# Boltzmann machines as matrix-product states


def scaled_rank(psi, sites, cut):
    """Schmidt rank; rows and columns are scaled to equal sums first."""
    matrix = psi.reshape(2 ** (sites - cut), 2**cut)
    for _ in range(100):
        matrix = matrix / matrix.sum(1, keepdim=True)
        matrix = matrix / matrix.sum(0, keepdim=True)
    values = torch.linalg.svdvals(matrix)
    return int((values > 1e-12 * values[0]).sum())


@st.composite
def machines(draw):
    sites, hidden = draw(st.integers(3, 7)), draw(st.integers(1, 7))
    weights = normal(hidden, sites, seed=draw(seeds))
    keep = draw(st.lists(st.booleans(), min_size=hidden * sites, max_size=hidden * sites))
    weights = weights * torch.tensor(keep).reshape(hidden, sites)
    return RestrictedBoltzmannState(weights, normal(sites, seed=2), normal(hidden, seed=3))


@settings(max_examples=60, deadline=None)
@given(machines())
def test_machine_is_a_matrix_product_state(state):
    spins, bonds = all_spins(state.sites), {}
    for name, wires in (("direct", direct_wires(state)), ("fewest", fewest_wires(state))):
        tensors = matrix_product(state, wires)
        bonds[name] = wires.bonds(state.sites)
        assert [t.shape[2] for t in tensors[:-1]] == bonds[name]
        torch.testing.assert_close(contract(tensors, spins), state.amplitudes(spins), rtol=1e-11, atol=0)
    for cut, (few, many) in enumerate(zip(bonds["fewest"], bonds["direct"], strict=True), 1):
        assert few <= min(many, 2**cut, 2 ** (state.sites - cut))


@settings(max_examples=40, deadline=None)
@given(machines())
def test_schmidt_rank_does_not_exceed_the_bonds(state):
    n, psi = state.sites, state.amplitudes(basis(state.sites))
    for cut, bond in enumerate(fewest_wires(state).bonds(n), 1):
        assert scaled_rank(psi, n, cut) <= bond


def test_generic_weights_need_all_wires():
    sparse = torch.rand(8, 8, generator=torch.Generator().manual_seed(4)) < 0.3
    for weights in (0.6 * normal(8, 8), normal(8, 8) * sparse):
        state = RestrictedBoltzmannState(weights, normal(8, seed=2), normal(8, seed=3))
        psi = state.amplitudes(basis(8))
        assert fewest_wires(state).bonds(8) == [scaled_rank(psi, 8, cut) for cut in range(1, 8)]


def test_units_that_lean_on_one_spin_share_its_wire():
    weights = torch.zeros(3, 6, dtype=REAL)
    weights[:, 0] = 1.0
    weights[[0, 1, 2], [3, 4, 5]] = 1.0
    state = RestrictedBoltzmannState(weights, torch.zeros(6, dtype=REAL), torch.zeros(3, dtype=REAL))
    assert direct_wires(state).bonds(6)[:3] == [8, 8, 8]
    assert fewest_wires(state).bonds(6) == [2, 2, 2, 2, 2]


def test_any_wires_that_meet_give_the_same_amplitudes():
    weights = torch.tensor([[1.0, 0.0, -0.5], [0.0, 0.7, 0.0]], dtype=REAL)
    state = RestrictedBoltzmannState(weights, normal(3, seed=2), normal(2, seed=3))
    longer = Wires(np.array([0, 0, 2, 0, 1]), np.array([2, 2, 2, 2, 1]))
    spins = all_spins(3)
    torch.testing.assert_close(contract(matrix_product(state, longer), spins), state.amplitudes(spins))


@settings(max_examples=60, deadline=None)
@given(machines(), machines())
def test_wires_of_another_machine_fit_or_are_refused(state, other):
    for wires in (direct_wires(other), fewest_wires(other)):
        try:
            tensors = matrix_product(state, wires)
        except ValueError as refused:
            assert "use the wires of this machine" in str(refused)  # noqa: PT017
        else:
            spins = all_spins(state.sites)
            torch.testing.assert_close(contract(tensors, spins), state.amplitudes(spins), rtol=1e-11, atol=0)


# Deep machines


@pytest.mark.parametrize("coupling", [0.7, -0.7, 1e-3, 4.0, 100.0])
def test_hidden_units_make_couplings(coupling):
    w, other, constant = pair_unit(coupling)
    t, b, (t0, t1, t2) = triple_unit(coupling)
    for x, y, z in itertools.product((1, -1), repeat=3):
        made = constant + log_2cosh(torch.tensor(w * x + other * y, dtype=REAL)).item()
        assert made == pytest.approx(coupling * x * y, abs=1e-9)
        made = log_2cosh(torch.tensor(b + t * (x + y + z), dtype=REAL)).item()
        terms = t0 + t1 * (x + y + z) + t2 * (x * y + y * z + z * x) + coupling * x * y * z
        assert made == pytest.approx(terms, abs=1e-9)


@pytest.mark.parametrize("sites", [2, 3, 4])
def test_positive_matrix_product_state_is_a_deep_machine(sites):
    tensors = [0.05 + normal(2, 1 + (i > 0), 1 + (i < sites - 1)).square() for i in range(sites)]
    machine, spins = deep_machine(tensors), all_spins(sites)
    torch.testing.assert_close(machine.amplitudes(spins), contract(tensors, spins), rtol=1e-11, atol=0)
    depths = machine.depths()
    assert depths is not None
    assert (depths[machine.edges].sum(1) % 2 == 1).all()


def test_depths_are_none_where_units_of_a_layer_are_coupled():
    bias, weights = torch.zeros(3, dtype=REAL), torch.ones(2, dtype=REAL)
    assert BoltzmannMachine(1, bias, torch.tensor([[0, 1], [1, 2]]), weights).depths().tolist() == [0, 1, 2]
    assert BoltzmannMachine(2, bias, torch.tensor([[0, 1], [1, 2]]), weights).depths() is None
    assert BoltzmannMachine(1, bias, torch.tensor([[0, 1], [0, 1]]), weights).depths() is None


# Bad input

ZEROS = torch.zeros(2, dtype=REAL)
JOINED = RestrictedBoltzmannState(torch.ones(2, 2, dtype=REAL), ZEROS, ZEROS)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MatrixProductState(1, 2), "sites: got 1"),
        (lambda: MatrixProductState(4, 0), "bond: got 0"),
        (lambda: MatrixProductState(4, 2, boundary="twisted"), "boundary: got 'twisted'"),
        (lambda: MatrixProductState(4, 2, uniform=True), "uniform: got True"),
        (lambda: MatrixProductState(4, 2, dtype=torch.complex128), "dtype: got torch.complex128"),
        (lambda: MatrixProductState(4, 2)(torch.ones(3, 5)), r"spins: got shape \(3, 5\)"),
        (lambda: ProjectedPairState(1, 4, 2), "rows: got 1"),
        (lambda: ProjectedPairState(2, 2, 0), "bond: got 0"),
        (lambda: ProjectedPairState(2, 2, 2)(torch.ones(4)), r"spins: got shape \(4,\)"),
        (
            lambda: contract([torch.ones(2, 1, 2), torch.ones(2, 3, 1)], torch.ones(1, 2)),
            "tensors: got shapes",
        ),
        (lambda: compress([torch.ones(2, 2, 2)] * 3), "around the ring"),
        (lambda: compress([torch.ones(2, 1, 1)] * 3, 0), "bond: got 0"),
        (lambda: compress([torch.zeros(2, 1, 1)] * 3), "a state that is zero"),
        (lambda: inner([torch.ones(2, 1, 1)] * 3, [torch.ones(2, 1, 1)] * 2), "others: got 2"),
        (lambda: decompose(torch.ones(6), 3), r"psi: got shape \(6,\)"),
        (lambda: decompose(torch.ones(8, dtype=torch.complex128), 3), "psi: got complex"),
        (lambda: schmidt_values(torch.ones(8), 3, 3), "cut: got 3"),
        (lambda: schmidt_values(torch.zeros(8), 3, 1), "psi: got 0.0 as the largest"),
        (lambda: decompose(torch.full((8,), float("nan")), 3), "psi: got nan as the largest"),
        (lambda: JOINED.amplitudes(torch.ones(3, 5, dtype=REAL)), r"spins: got shape \(3, 5\)"),
        (lambda: matrix_product(JOINED, Wires(np.arange(3), np.arange(3))), "wires: got 3 units, expected 4"),
        (
            lambda: matrix_product(JOINED, Wires(np.array([0, 1, 0, 1]), np.array([0, 1, 0, 1]))),
            "meet in no tensor",
        ),
        (lambda: pair_unit(float("inf")), "coupling: got inf"),
        (lambda: triple_unit(float("nan")), "coupling: got nan"),
        (lambda: deep_machine([]), r"tensors: got shapes \[\]"),
        (
            lambda: deep_machine([torch.ones(2, 1, 2), torch.ones(2, 1, 1)]),
            "each right bond to match the next left one",
        ),
        (lambda: RestrictedBoltzmannState(torch.ones(3, 2), ZEROS, ZEROS), r"weights: got shape \(3, 2\)"),
        (lambda: RestrictedBoltzmannState(torch.eye(2) * 1j, ZEROS, ZEROS), "weights: got complex"),
        (lambda: BoltzmannMachine(1, ZEROS * 1j, torch.zeros(0, 2), ZEROS[:0]), "got complex numbers"),
        (lambda: BoltzmannMachine(1, ZEROS, torch.zeros(1, 2), ZEROS), r"edges: got shape \(1, 2\)"),
        (lambda: BoltzmannMachine(3, ZEROS, torch.zeros(0, 2), ZEROS[:0]), "visible: got 3"),
        (
            lambda: BoltzmannMachine(1, torch.zeros(31), torch.zeros(0, 2).long(), ZEROS[:0]).amplitudes(
                torch.ones(1, 1)
            ),
            "30 hidden units to sum over",
        ),
        (lambda: deep_machine([torch.ones(2, 1, 3), torch.ones(2, 3, 1)]), "bonds of one or two"),
        (lambda: deep_machine([-torch.ones(2, 1, 1)] * 2), "zero or negative"),
        (
            lambda: matrix_product(
                (wide := RestrictedBoltzmannState(torch.ones(14, 4), torch.zeros(4), torch.zeros(14))),
                direct_wires(wide),
            ),
            "see fewest_wires",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()

"""Restricted Boltzmann machines as matrix-product states: amplitudes, bonds, errors."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnbook.spins.entanglement import schmidt_rank
from nnbook.spins.lattices import all_spins, chain
from nnbook.spins.machines_as_tensors import Wires, direct_wires, fewest_wires, matrix_product
from nnbook.spins.states import Amplitude, RestrictedBoltzmannMachine
from nnbook.spins.tensors import contract

seeds = st.integers(0, 2**32 - 1)


def normal(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@st.composite
def machines(draw):
    sites, hidden = draw(st.integers(3, 7)), draw(st.integers(1, 7))
    weights = normal(hidden, sites, seed=draw(seeds))
    keep = draw(st.lists(st.booleans(), min_size=hidden * sites, max_size=hidden * sites))
    weights = weights * torch.tensor(keep).reshape(hidden, sites)
    return RestrictedBoltzmannMachine.of(weights, normal(sites, seed=2), normal(hidden, seed=3))


@settings(max_examples=60, deadline=None)
@given(machines())
def test_machine_is_a_matrix_product_state(state):
    spins, bonds = all_spins(state.weight.shape[1]), {}
    for name, wires in (("direct", direct_wires(state)), ("fewest", fewest_wires(state))):
        tensors = matrix_product(state, wires)
        bonds[name] = wires.bonds(state.weight.shape[1])
        assert [t.shape[2] for t in tensors[:-1]] == bonds[name]
        torch.testing.assert_close(contract(tensors, spins), Amplitude(state)(spins), rtol=1e-11, atol=0)
    for cut, (few, many) in enumerate(zip(bonds["fewest"], bonds["direct"], strict=True), 1):
        assert few <= min(many, 2**cut, 2 ** (state.weight.shape[1] - cut))


@settings(max_examples=40, deadline=None)
@given(machines())
def test_schmidt_rank_does_not_exceed_the_bonds(state):
    n = state.weight.shape[1]
    psi = Amplitude(state)(all_spins(n))
    for cut, bond in enumerate(fewest_wires(state).bonds(n), 1):
        assert schmidt_rank(psi, n, cut) <= bond


def test_generic_weights_need_all_wires():
    sparse = torch.rand(8, 8, generator=torch.Generator().manual_seed(4)) < 0.3
    for weights in (0.6 * normal(8, 8), normal(8, 8) * sparse):
        state = RestrictedBoltzmannMachine.of(weights, normal(8, seed=2), normal(8, seed=3))
        psi = Amplitude(state)(all_spins(8))
        assert fewest_wires(state).bonds(8) == [schmidt_rank(psi, 8, cut) for cut in range(1, 8)]


def test_units_that_lean_on_one_spin_share_its_wire():
    weights = torch.zeros(3, 6, dtype=torch.float64)
    weights[:, 0] = 1.0
    weights[[0, 1, 2], [3, 4, 5]] = 1.0
    state = RestrictedBoltzmannMachine.of(weights, weights[0], weights[:, 1])
    assert direct_wires(state).bonds(6)[:3] == [8, 8, 8]
    assert fewest_wires(state).bonds(6) == [2, 2, 2, 2, 2]


def test_any_wires_that_meet_give_the_same_amplitudes():
    weights = torch.tensor([[1.0, 0.0, -0.5], [0.0, 0.7, 0.0]], dtype=torch.float64)
    state = RestrictedBoltzmannMachine.of(weights, normal(3, seed=2), normal(2, seed=3))
    longer = Wires(np.array([0, 0, 2, 0, 1]), np.array([2, 2, 2, 2, 1]))
    spins = all_spins(3)
    torch.testing.assert_close(contract(matrix_product(state, longer), spins), Amplitude(state)(spins))


@settings(max_examples=60, deadline=None)
@given(machines(), machines())
def test_wires_of_another_machine_fit_or_are_refused(state, other):
    for wires in (direct_wires(other), fewest_wires(other)):
        try:
            tensors = matrix_product(state, wires)
        except ValueError as refused:
            assert "use the wires of this machine" in str(refused)  # noqa: PT017
        else:
            spins = all_spins(state.weight.shape[1])
            torch.testing.assert_close(contract(tensors, spins), Amplitude(state)(spins), rtol=1e-11, atol=0)


@pytest.mark.parametrize("options", [{"dtype": torch.complex128}, {"permutations": chain(5).translations}])
def test_complex_and_symmetric_machines_are_matrix_product_states_too(options):
    state, spins = RestrictedBoltzmannMachine(5, 2, scale=0.5, **options), all_spins(5)
    tensors = matrix_product(state, fewest_wires(state))
    torch.testing.assert_close(contract(tensors, spins), Amplitude(state)(spins).detach())


def test_wires_that_do_not_fit_are_refused():
    state = RestrictedBoltzmannMachine(2, 2)
    with pytest.raises(ValueError, match="wires: got 3 units, expected 4"):
        matrix_product(state, Wires(np.arange(3), np.arange(3)))
    with pytest.raises(ValueError, match="meet in no tensor"):
        matrix_product(state, Wires(np.array([0, 1, 0, 1]), np.array([0, 1, 0, 1])))
    wide = RestrictedBoltzmannMachine(4, 14)
    with pytest.raises(ValueError, match="see fewest_wires"):
        matrix_product(wide, direct_wires(wide))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tensors_follow_the_machine(dtype, elsewhere):
    machine = RestrictedBoltzmannMachine(5, 3, dtype=dtype, device="cpu")
    assert {tensor.dtype for tensor in matrix_product(machine, fewest_wires(machine))} == {dtype}

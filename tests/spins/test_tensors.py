"""Tensor networks: amplitudes against sums over all bonds, symmetry, training, errors."""

import itertools

import pytest
import torch

from nnbook.networks import as_function, flatten, jacobian
from nnbook.spins.hamiltonians import ising
from nnbook.spins.lattices import all_spins, chain
from nnbook.spins.tensors import MatrixProductState, ProjectedPairState, contract
from nnbook.train.linear_method import minimise


def options(seed=1, dtype=torch.float64):
    return {"generator": torch.Generator().manual_seed(seed), "dtype": dtype}


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
    expected = torch.zeros(64, dtype=torch.float64)
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
    state = MatrixProductState(6, 4, boundary="periodic", uniform=True, **options())
    fit = minimise(H.problem(), state, steps=60)
    assert -1e-10 < fit.value - exact < 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_amplitudes_follow_the_tensors(dtype, elsewhere):
    spins = all_spins(6, device="cpu")
    for state in (
        MatrixProductState(6, 3, **options(dtype=dtype), device="cpu"),
        ProjectedPairState(2, 3, 2, **options(dtype=dtype), device="cpu"),
    ):
        assert state(spins).dtype == dtype


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MatrixProductState(1, 2), "sites: got 1, expected a whole number, at least 2"),
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
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()

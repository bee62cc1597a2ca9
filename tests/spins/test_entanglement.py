"""Entanglement: Schmidt values at all cuts against density matrices, canonical form, ranks, errors."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnbook.spins.entanglement import (
    compress,
    decompose,
    entanglement_entropy,
    inner,
    schmidt_rank,
    schmidt_values,
)
from nnbook.spins.lattices import all_spins
from nnbook.spins.tensors import MatrixProductState, contract


def normal(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 7))
def test_decomposition_keeps_all_amplitudes(seed, sites):
    psi = normal(2**sites, seed=seed)
    torch.testing.assert_close(contract(decompose(psi, sites), all_spins(sites)), psi)


@pytest.mark.parametrize("sites", [2, 3, 6])
def test_schmidt_values_are_those_of_the_density_matrix_at_every_cut(sites):
    """Its elements are summed one by one over the configurations of the other side."""
    psi = normal(2**sites) / normal(2**sites).norm()
    spins = all_spins(sites).int().tolist()
    for cut in range(1, sites):
        left = sorted({tuple(s[:cut]) for s in spins})
        density = np.zeros((len(left), len(left)))
        for s, a in zip(spins, psi.tolist(), strict=True):
            for t, b in zip(spins, psi.tolist(), strict=True):
                if s[cut:] == t[cut:]:
                    density[left.index(tuple(s[:cut])), left.index(tuple(t[:cut]))] += a * b
        values = np.sort(np.linalg.eigvalsh(density))[::-1]
        found = schmidt_values(psi, sites, cut).square().numpy()
        np.testing.assert_allclose(found, values[: len(found)], atol=1e-14)


def test_entropy_of_the_cuts_of_a_pair():
    """The first two of six spins are in a singlet, the others point up: ln 2 at cut 1, none elsewhere."""
    psi = torch.zeros((2,) * 6, dtype=torch.float64)
    psi[0, 1, 0, 0, 0, 0], psi[1, 0, 0, 0, 0, 0] = 1, -1
    entropies = [entanglement_entropy(schmidt_values(psi.reshape(-1), 6, cut)) for cut in range(1, 6)]
    assert entropies == pytest.approx([math.log(2), 0, 0, 0, 0], abs=1e-12)


def test_canonical_form_has_the_schmidt_values_of_the_state():
    psi = normal(2**8)
    canonical = compress(decompose(psi, 8))
    for cut in range(1, 8):
        torch.testing.assert_close(canonical.schmidt[cut - 1], schmidt_values(psi, 8, cut))
    torch.testing.assert_close(contract(canonical.tensors, all_spins(8)), psi / psi.norm())


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
    state = MatrixProductState(60, 6, generator=torch.Generator().manual_seed(1))
    small = compress([t.detach() for t in state.tensors])
    spins = 1 - 2 * torch.randint(0, 2, (5, 60), generator=torch.Generator().manual_seed(2)).double()
    ratio = contract(small.tensors, spins) / state(spins).detach()
    torch.testing.assert_close(ratio, ratio[:1].expand(5))


def test_entropy_of_known_states():
    product = torch.ones(16, dtype=torch.float64)
    assert entanglement_entropy(schmidt_values(product, 4, 2)) == pytest.approx(0, abs=1e-12)
    cat = torch.zeros(16, dtype=torch.float64)
    cat[[0, -1]] = 1
    assert entanglement_entropy(schmidt_values(cat, 4, 1)) == pytest.approx(math.log(2))


@pytest.mark.parametrize("rank", [1, 2, 5, 8])
def test_rank_counts_the_terms_of_a_sum_of_products(rank):
    """In rows of very different sizes, among which plain singular values would drown."""
    matrix = normal(8, rank).square() @ normal(rank, 16, seed=2).square()
    rows = 10.0 ** (-3 * torch.arange(8, dtype=torch.float64))
    assert schmidt_rank((rows[:, None] * matrix).reshape(-1), 7, 3) == rank


def test_complex_states_are_cut_too():
    """A product of spins along y and a cat: two Schmidt values, and overlaps with the bra conjugated."""
    up, down = torch.tensor([1.0, 1j]).to(torch.complex128), torch.tensor([1.0, -1j]).to(torch.complex128)
    psi = sum(torch.einsum("a,b,c,d->abcd", *[s] * 4).reshape(-1) for s in (up, down)) * (0.3 - 0.4j)
    state = compress(decompose(psi, 4))
    assert state.bonds == [2, 2, 2]
    for cut in (1, 2, 3):
        values = schmidt_values(psi, 4, cut)
        torch.testing.assert_close(values[:2], torch.full((2,), 0.5, dtype=torch.float64).sqrt())
        torch.testing.assert_close(state.schmidt[cut - 1], values[: len(state.schmidt[cut - 1])])
    torch.testing.assert_close(contract(state.tensors, all_spins(4)), psi / psi.norm())
    assert complex(inner(state.tensors, decompose(1j * psi, 4))) == pytest.approx(1j * float(psi.norm()))


def test_one_site_has_no_bonds_to_cut():
    state = compress([torch.tensor([[[3.0]], [[4.0]]])])
    assert (state.bonds, state.schmidt, state.discarded.shape) == ([], [], (0,))
    torch.testing.assert_close(state.tensors[0].flatten(), torch.tensor([0.6, 0.8]))


def test_states_of_a_thousand_sites():
    """Their norm is beyond all numbers, and says so; normalised, it is one."""
    dice = torch.Generator().manual_seed(1)
    tensors = [t.detach() for t in MatrixProductState(1000, 8, generator=dice).tensors]
    with pytest.warns(RuntimeWarning, match="inner: some are beyond the range of torch.float64; scale"):
        assert inner(tensors, tensors) == float("inf")
    short = compress(tensors).tensors
    assert inner(short, short).item() == pytest.approx(1, abs=1e-10)
    with pytest.warns(RuntimeWarning, match="amplitudes: some are beyond"):
        assert contract([4 * t for t in tensors], torch.ones(1, 1000)).isinf().all()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
def test_entropy_does_not_ask_for_normalised_values(scale):
    values = torch.tensor([0.6, 0.8], dtype=torch.float64)
    expected = -sum(p * math.log(p) for p in (0.36, 0.64))
    assert entanglement_entropy(scale * values) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_everything_follows_the_amplitudes(dtype, elsewhere):
    psi = torch.linspace(1, 2, 64, dtype=dtype, device="cpu")
    tensors = compress(decompose(psi, 6), 3).tensors
    assert inner(tensors, tensors).dtype == schmidt_values(psi, 6, 2).dtype == dtype
    assert schmidt_rank(psi.double(), 6, 3) == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: compress([torch.ones(2, 2, 2)] * 3), "around the ring"),
        (lambda: compress([torch.ones(2, 1, 1)] * 3, 0), "bond: got 0"),
        (lambda: compress([torch.ones(2, 1, 1)] * 3, threshold=float("nan")), "threshold: got nan"),
        (lambda: schmidt_rank(torch.ones(8) * 1j, 3, 1), "psi: got complex numbers, expected positive"),
        (lambda: entanglement_entropy(-torch.ones(2)), "schmidt: got negative values"),
        (lambda: entanglement_entropy(torch.zeros(2)), "none above zero"),
        (lambda: entanglement_entropy(torch.tensor([1.0, float("nan")])), "schmidt: got NaN"),
        (lambda: compress([torch.zeros(2, 1, 1)] * 3), "a state that is zero"),
        (lambda: inner([torch.ones(2, 1, 1)] * 3, [torch.ones(2, 1, 1)] * 2), "others: got 2"),
        (lambda: decompose(torch.ones(6), 3), r"psi: got shape \(6,\)"),
        (lambda: schmidt_values(torch.ones(8), 3, 3), "cut: got 3"),
        (lambda: schmidt_values(torch.zeros(8), 3, 1), "psi: got 0.0 as the largest"),
        (lambda: decompose(torch.full((8,), float("nan")), 3), "psi: got nan as the largest"),
        (lambda: schmidt_rank(-torch.ones(8), 3, 1), "psi: got -1.0, expected positive amp"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()

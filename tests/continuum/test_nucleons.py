"""Nucleons in space: derivatives by hand, symmetries, the spin field, the contract of a Hamiltonian."""

import itertools
import math

import pytest
import torch

from nnbook.continuum.local_energy import double_backward
from nnbook.continuum.nucleons import Correlator, Nucleus, Spins
from nnbook.continuum.states import Product
from nnbook.exact.nucleons import HBAR2_OVER_MASS, Pionless, pionless
from nnbook.networks import as_function, flatten, jacobian


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(1)


def state(nucleons, generator, spins=False):
    correlator = Correlator(nucleons, 4.0, 5, 4, generator=generator)
    with torch.no_grad():
        for p in correlator.parameters():
            p += 0.2 * torch.randn(p.shape, generator=generator, dtype=p.dtype)
    field = [Spins(nucleons, [0.5, 1.0, 2.0], [0.4, -0.3, 0.5])] if spins else []
    return Product(correlator, *field)


@pytest.mark.parametrize(("nucleons", "spins"), [(2, False), (3, True), (4, True)], ids=["2", "3", "4"])
def test_derivatives_by_hand(nucleons, spins, generator):
    trial = state(nucleons, generator, spins)
    x = Nucleus(nucleons, pionless(4)).start(30, generator=generator)
    for ours, machine in zip(trial.jet(x), double_backward(trial, x), strict=True):
        assert torch.allclose(ours, machine, rtol=1e-9, atol=1e-9)
    slope = sum(factor.gradient(x) for factor in trial.factors)
    assert torch.allclose(slope, trial.jet(x).gradient)
    function = as_function(trial)
    rows = jacobian(lambda p, y: function(p, y.view(-1, nucleons, 3)), flatten(trial), x.flatten(1))[1]
    assert torch.allclose(trial.derivatives(x), rows)


def test_without_the_deep_set_it_is_a_product_of_pairs_and_triples(generator):
    jastrow = Correlator(4, 4.0, 5, 0, generator=generator)
    x = Nucleus(4, pionless(4)).start(10, generator=generator)
    expected = 0.0
    for i, j, k in itertools.permutations(range(4), 3):
        r = torch.stack([x[:, i] - x[:, j], x[:, i] - x[:, k]]).norm(dim=2)
        phi = torch.tanh(0.5 * torch.log1p((2 * r) ** 2)[..., None] * jastrow.slope + jastrow.offset)
        w, f = phi @ jastrow.triples, phi @ jastrow.weight
        f = f - jastrow.tail[0] * (r**2 + 0.25).sqrt() - jastrow.tail[1] * 0.5 * torch.log1p((2 * r) ** 2)
        # of these 24, a nucleon with two neighbours is in two, and a pair in eight
        expected = expected - w[0] * w[1] / 2 + (f - w**2).sum(0) / 8
    assert torch.allclose(jastrow(x), expected)


@pytest.mark.parametrize("nucleons", [3, 4])
def test_states_are_symmetric(nucleons, generator):
    trial = state(nucleons, generator, True)
    nucleus = Nucleus(nucleons, pionless(4))
    x = nucleus.start(10, generator=generator)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=x.dtype))[0]
    for order in itertools.permutations(range(nucleons)):
        y = x[:, list(order)] @ turn + 5.0
        assert torch.allclose(trial(y), trial(x))
        for ours, other in zip(nucleus.split(trial, y), nucleus.split(trial, x), strict=True):
            assert torch.allclose(ours, other, atol=1e-8)


@pytest.mark.parametrize("nucleons", [3, 4])
def test_the_spin_field_is_that_of_the_spin_algebra(nucleons, generator):
    # two doublets, of spin and of isospin: four states
    trial = state(nucleons, generator, True)
    nucleus = Nucleus(nucleons, Pionless(4.0, -400.0, -20.0, 0.0))
    x = nucleus.start(1, generator=generator)
    m = trial.factors[1].field(x)[0][0]
    pairs = trial.factors[1].pairs
    well = (-4 * pairs(x)[1][0].square()).exp()
    # exchange of spins, in the doublet, is a reflection that keeps the arrow of its pair
    total = torch.zeros(4, 4, dtype=x.dtype)
    for arrow, w in zip(trial.factors[1].arrows, well, strict=True):
        reflection = 2 * torch.outer(arrow, arrow) - torch.eye(2)
        total += w * 2 * torch.kron(reflection, torch.eye(2, dtype=x.dtype))
    anti = torch.tensor([0.0, 1, -1, 0], dtype=x.dtype) / math.sqrt(2)
    one = torch.tensor([[1.0, 0], [0, -1]], dtype=x.dtype), torch.tensor([[0.0, 1], [1, 0]], dtype=x.dtype)
    doublet = [torch.kron(s, torch.eye(2, dtype=x.dtype)) @ anti for s in one]
    psi = anti + m[0] * doublet[0] - m[1] * doublet[1]  # twice an angle of 120 degrees is minus one
    mean = psi @ total @ psi / (psi @ psi)
    _, pair, _ = nucleus.potential(trial, x)
    assert float(pair[0]) == pytest.approx(float(-380.0 * well.sum() - 20.0 * mean), rel=1e-10)


def test_turning_spins_costs_kinetic_energy(generator):
    # the components of the vector e^U (1, m), each differentiated twice by machine
    trial = state(3, generator, True)
    nucleus = Nucleus(3, pionless(4))
    x = nucleus.start(20, generator=generator)
    correlator, field = trial.factors
    vector = [lambda x: correlator(x).exp()]
    vector += [lambda x, k=k: correlator(x).exp() * field.field(x)[0][:, k] for k in (0, 1)]
    jets = [double_backward(f, x) for f in vector]
    above = sum(j.value * j.laplacian for j in jets)
    kinetic = -HBAR2_OVER_MASS / 2 * above / sum(j.value.square() for j in jets)
    assert torch.allclose(nucleus.split(trial, x)[0], kinetic, rtol=1e-8)


def test_three_body_force_by_hand(generator):
    nucleus = Nucleus(3, Pionless(2.0, 0.0, 0.0, 7.0))
    x = torch.tensor([[[0.0, 0, 0], [1.0, 0, 0], [0.0, 2.0, 0]]], dtype=torch.float64)
    a, b, c = (math.exp(-r2) for r2 in (1.0, 4.0, 5.0))
    _, pair, triple = nucleus.split(state(3, generator), x)
    assert float(pair) == 0
    assert float(triple) == pytest.approx(7 * (a * b + a * c + b * c))


def test_walkers_keep_their_centre_of_mass(generator):
    nucleus = Nucleus(4, pionless(4))
    walkers = nucleus.walkers(state(4, generator), nucleus.start(5, generator=generator))
    for _ in range(10):
        walkers.propose(generator)
        walkers.accept(torch.ones(5, dtype=torch.bool))
    assert walkers.configurations.mean(1).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Nucleus(5, pionless(2)), "nucleons: got 5, expected 2, 3 or 4"),
        (lambda: Nucleus(3, pionless(2), 0.0), "stride: got 0, expected"),
        (lambda: Correlator(5, 2.0), "nucleons: got 5, expected 2, 3 or 4"),
        (lambda: Correlator(3, -1.0), "cutoff: got -1, expected"),
        (lambda: Spins(2, [1.0]), "nucleons: got 2, expected 3 or 4"),
        (lambda: Spins(3, [0.0]), "width: got 0, expected"),
        (lambda: Spins(3, [1.0], [1.0, 2.0]), r"coefficients: got 2, expected 1"),
    ],
    ids=["five", "stride", "correlator", "cutoff", "deuteron", "width", "coefficients"],
)
def test_errors_help(call, message):
    with pytest.raises(ValueError, match=message):
        call()

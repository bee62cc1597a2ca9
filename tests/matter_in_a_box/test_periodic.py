"""Factors in a periodic cube: against reverse mode, across the walls, antisymmetry, singlets."""

from types import SimpleNamespace

import pytest
import torch

from nnbook.continuum.local_energy import double_backward
from nnbook.continuum.radial import Pade, Radial
from nnbook.continuum.states import Product
from nnbook.matter_in_a_box.pairing import PairDeterminant
from nnbook.matter_in_a_box.periodic import Contact, PeriodicBackflow, PeriodicJastrow, Wrapped

F = {"dtype": torch.float64}


def dice(seed=1):
    return torch.Generator().manual_seed(seed)


def box(particles=4):
    return SimpleNamespace(particles=particles, length=3.9)


def places(system, count=4):
    return 3.9 * torch.rand(count, system.particles, 3, generator=dice(), **F)


def far(module):
    """From its start, so that nothing is small."""
    with torch.no_grad():
        for p in module.parameters():
            p += 0.2 * torch.randn(p.shape, generator=dice(2), **F)
    return module


def flow(system, kinds=2):
    return far(PeriodicBackflow(system, 3, kinds=kinds, generator=dice()))


FACTORS = {
    "Pade": lambda b: PeriodicJastrow(b, [Pade(0.5), Pade(0.25)]),
    "Radial": lambda b: PeriodicJastrow(b, [Radial(3, "jastrow", scale=0.3, generator=dice())]),
    "Contact": lambda b: PeriodicJastrow(b, [Contact(2.0)]),
    "waves": lambda b: PairDeterminant(b, 3),
    "pairs": lambda b: far(PairDeterminant(b, 4, hidden=3, generator=dice())),
    "backflow": lambda b: PairDeterminant(b, 3, flows=[flow(b)]),
    "messages": lambda b: PairDeterminant(b, 4, hidden=2, flows=[flow(b), flow(b, 1)], generator=dice()),
}


@pytest.mark.parametrize("name", FACTORS)
@pytest.mark.parametrize("particles", [4, 14])
def test_derivatives_by_hand_are_those_of_reverse_mode(name, particles):
    state = Product(FACTORS[name](box(particles)))
    x = places(box(particles))
    for ours, theirs in zip(state.jet(x), double_backward(state, x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    leaves = list(state.parameters())
    rows = [
        torch.cat([g.flatten() for g in torch.autograd.grad(value, leaves, retain_graph=True)])
        for value in state(x)
        if leaves
    ]
    ours = state.derivatives(x)
    assert ours.shape == (4, sum(p.numel() for p in leaves))
    if rows:
        torch.testing.assert_close(ours, torch.stack(rows), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", FACTORS)
def test_walls_do_not_matter(name):
    factor, x = FACTORS[name](box()), places(box())
    moved = x.clone()
    moved[:, 1, 2] += 3.9
    moved[:, 3, 0] -= 7.8
    for ours, theirs in zip(factor.jet(moved), factor.jet(x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-8)


def test_functions_of_a_difference_are_those_of_space_nearby():
    d = 1e-3 * torch.randn(5, 3, generator=dice(), **F)
    w = Wrapped.of(d, 3.9)
    torch.testing.assert_close(w.s, d.norm(dim=1), rtol=1e-5, atol=0)
    torch.testing.assert_close(w.t, d, rtol=1e-5, atol=0)
    torch.testing.assert_close(w.e, torch.ones_like(d), rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", ["backflow", "messages", "pairs"])
def test_equal_spins_are_antisymmetric(name):
    factor, x = FACTORS[name](box()), places(box())
    swapped = x[:, [1, 0, 2, 3]]
    torch.testing.assert_close(factor(swapped), factor(x))
    state = Product(factor, FACTORS["Contact"](box()))
    assert bool((state.sign(swapped) == -state.sign(x)).all())


def test_exchange_is_that_of_two_positions():
    system = box(6)
    factor, x = (
        PairDeterminant(system, 4, hidden=2, flows=[flow(system, 1)], generator=dice()),
        places(system),
    )
    found = factor.exchange(x).detach()
    for i, j in ((0, 0), (1, 0), (0, 1), (2, 1)):
        moved = x.clone()
        moved[:, i], moved[:, 3 + j] = x[:, 3 + j], x[:, i]
        ratio = factor.sign(moved) * factor.sign(x) * (factor(moved) - factor(x)).exp()
        torch.testing.assert_close(found[:, i, j], ratio.detach())
    assert factor.alike
    assert not FACTORS["backflow"](box()).alike


def test_a_pair_at_unitarity_has_no_energy():
    mu, r = 2.0, torch.linspace(0.05, 2, 30, **F)
    _, f1, f2 = Contact(mu).jet(r)
    local = -(f2 + 2 * f1 + (r * f1) ** 2) - 2 * mu**2 / torch.cosh(mu * r) ** 2
    torch.testing.assert_close(local, torch.zeros_like(r), atol=1e-9, rtol=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PeriodicJastrow(box(), [Pade(1.0)] * 3), "functions: got 3"),
        (lambda: PeriodicBackflow(box(), 0), "hidden: got 0"),
    ],
)
def test_wrong_input_says_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()

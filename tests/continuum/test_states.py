"""Factors of wave functions: against automatic differentiation, symmetry, cusps, known states."""

import math

import pytest
import torch

from nnbook.continuum.determinants import Backflow, Slater
from nnbook.continuum.factors import BoltzmannMachine, Gaussian, Jastrow
from nnbook.continuum.local_energy import double_backward, kinetic
from nnbook.continuum.radial import Pade, Radial
from nnbook.continuum.states import Product
from nnbook.continuum.systems import Trap
from nnbook.networks import flatten

F = {"dtype": torch.float64}


def dice(seed=1):
    return torch.Generator().manual_seed(seed)


def radials(trap, g):
    return [Radial(4, "jastrow", scale=0.3, generator=g) for _ in trap.cusps]


def flow(trap, g):
    moved = Backflow(trap, 5, generator=g)
    with torch.no_grad():
        for p in moved.parameters():
            p += 0.2 * torch.randn(p.shape, generator=g, **F)
    return moved


FACTORS = {
    "Gaussian": lambda t, g: Gaussian(0.9),
    "Pade": lambda t, g: Jastrow(t, [Pade(c) for c in t.cusps]),
    "Radial": lambda t, g: Jastrow(t, radials(t, g)),
    "BoltzmannMachine": lambda t, g: BoltzmannMachine(t, 3, scale=0.3, generator=g),
    "Slater": lambda t, g: Slater(t),
    "backflow": lambda t, g: Slater(t, flow(t, g)),
}
SYSTEMS = {"two": Trap(2), "six": Trap(6, 0.3), "eight in space": Trap(8, 2.0, dim=3)}


def full(trap, seed=1):
    g = dice(seed)
    return Product(*(FACTORS[name](trap, g) for name in ("Gaussian", "Pade", "Radial", "backflow")))


@pytest.mark.parametrize("name", FACTORS)
@pytest.mark.parametrize("trap", SYSTEMS.values(), ids=SYSTEMS.keys())
def test_derivatives_by_hand_are_those_of_reverse_mode(name, trap):
    g = dice()
    state = Product(FACTORS[name](trap, g))
    x = trap.start(5, generator=g)
    for ours, theirs in zip(state.jet(x), double_backward(state, x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    leaves = [p for p in state.parameters()]
    if leaves:
        rows = []
        for value in state(x):
            got = torch.autograd.grad(value, leaves, retain_graph=True, materialize_grads=True)
            rows.append(torch.cat([part.flatten() for part in got]))
        torch.testing.assert_close(state.derivatives(x), torch.stack(rows), rtol=1e-9, atol=1e-10)
    assert state.derivatives(x).shape == (5, sum(p.numel() for p in leaves))


@pytest.mark.parametrize("trap", SYSTEMS.values(), ids=SYSTEMS.keys())
def test_the_local_energy_stays_finite_where_electrons_meet(trap):
    start, near = trap.start(1, generator=dice()), torch.tensor([1e-3, 1e-4], **F)
    pairs = {"opposite": (0, trap.electrons // 2)} | ({"equal": (0, 1)} if trap.electrons > 2 else {})
    for i, j in pairs.values():
        x = start.repeat(2, 1, 1)
        x[:, j] = x[:, i]
        x[:, j, 0] += near
        energy = kinetic(full(trap).jet(x)) + trap.coupling / near
        assert float(energy.diff().abs()) < 1e-2 * (1 + float(energy[0].abs()))


def test_two_electrons_of_taut_are_exact():
    x = Trap(2).start(50, generator=dice())
    r = (x[:, 0] - x[:, 1]).norm(dim=1)

    def log_psi(y):
        return torch.log1p((y[:, 0] - y[:, 1]).norm(dim=1)) - 0.5 * y.square().sum((1, 2))

    energy = kinetic(double_backward(log_psi, x)) + 0.5 * x.square().sum((1, 2)) + 1 / r
    torch.testing.assert_close(energy, torch.full_like(r, 3.0))


def test_wrong_input_says_so():
    trap = SYSTEMS["six"]
    wrong = {
        "factors: got": lambda: Product(),
        "x: got shape": lambda: full(trap)(torch.zeros(6, 2)),
    }
    for message, call in wrong.items():
        with pytest.raises(ValueError, match=message):
            call()


def test_the_number_of_parameters_follows_from_the_parts():
    trap = SYSTEMS["six"]
    assert len(flatten(full(trap))) == 1 + 2 + 2 * 13 + 3 * 16
    assert math.isclose(trap.cusps[0], trap.coupling)

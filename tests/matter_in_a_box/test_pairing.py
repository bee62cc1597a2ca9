"""The determinant of pairs: plane waves, singlets, wrong input."""

from types import SimpleNamespace

import pytest
import torch

from nnbook.continuum.local_energy import kinetic
from nnbook.matter_in_a_box import ElectronGas, Neutrons, PairDeterminant, network, singlets

F = {"dtype": torch.float64}


def dice():
    return torch.Generator().manual_seed(1)


def box(particles=4):
    return SimpleNamespace(particles=particles, length=3.9)


def test_closed_shells_are_both_slater_determinants():
    system = box(14)
    factor, x = PairDeterminant(system), 3.9 * torch.rand(4, 14, 3, generator=dice(), **F)
    k = 2 * torch.pi / 3.9
    waves = torch.cat([torch.ones(4, 14, 1, **F), 2**0.5 * (k * x).cos(), 2**0.5 * (k * x).sin()], 2)
    determinants = torch.linalg.det(waves.unflatten(1, (2, 7))).prod(1)
    torch.testing.assert_close(factor(x), determinants.abs().log())
    assert bool((factor.sign(x) == determinants.sign()).all())
    torch.testing.assert_close(kinetic(factor.jet(x)), torch.full((4,), 6 * k**2, **F))


def test_two_neutrons_are_a_singlet():
    box = Neutrons(2, 0.01)
    state = network(box, 3, pairing=True, generator=dice())
    share = singlets(state, box.start(5, generator=dice()))
    torch.testing.assert_close(share, torch.ones_like(share))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PairDeterminant(box(14), 1), "shells: got 1, expected enough plane waves for 7"),
        (lambda: PairDeterminant(box(), 12), "shells: got 12"),
        (lambda: PairDeterminant(box(), hidden=-1), "hidden: got -1"),
        (
            lambda: singlets(
                network(ElectronGas(14, 1.0), 8, 0, generator=dice()),
                torch.rand(1, 14, 3, dtype=torch.float64),
            ),
            "state: got one that depends on spins",
        ),
    ],
)
def test_wrong_input_says_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()

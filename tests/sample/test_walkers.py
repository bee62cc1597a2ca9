"""Chains in continuous space: the contract, detailed balance, moments of a known density."""

import pytest
import torch

from nnbook.sample.estimates import estimate
from nnbook.sample.metropolis import metropolis
from nnbook.sample.walkers import GaussianWalkers, LangevinWalkers

F = {"dtype": torch.float64}


def dice():
    return torch.Generator().manual_seed(1)


def log_psi(x):
    return -0.25 * x.square().flatten(1).sum(1) - 0.1 * (x**4).flatten(1).sum(1)


def with_slope(x):
    return log_psi(x), -0.5 * x - 0.4 * x**3


KINDS = {
    "plain": lambda x, step: GaussianWalkers(log_psi, x, step),
    "Langevin": lambda x, step: LangevinWalkers(with_slope, x, step),
}


@pytest.mark.parametrize("kind", KINDS)
def test_moments_are_those_of_the_density(kind):
    walkers = KINDS[kind](torch.zeros(200, 2, 1, **F), 0.8)
    seen = metropolis(walkers, samples=300, sweep=4, warm_up=10, generator=dice())
    t = torch.linspace(-6, 6, 4001, **F)
    weight = (-0.5 * t**2 - 0.2 * t**4).exp()
    exact = float((weight * t**2).sum() / weight.sum())
    found = estimate(seen.samples.square().mean((2, 3)))
    assert abs(found.mean - exact) < 4 * found.error < 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_chains_that_are_not_accepted_stay(kind):
    start = torch.randn(6, 2, 1, generator=dice(), **F)
    walkers = KINDS[kind](start, 0.5)
    walkers.propose(dice())
    chosen = torch.tensor([True, False] * 3)
    walkers.accept(chosen)
    assert bool(((walkers.configurations == start).flatten(1).all(1) == ~chosen).all())
    assert start is not walkers.configurations


def test_the_ratio_of_a_plain_move_is_that_of_the_densities():
    walkers, source = KINDS["plain"](torch.randn(6, 2, 1, generator=dice(), **F), 0.5), dice()
    before = walkers.configurations.clone()
    ratio = walkers.propose(source)
    walkers.accept(torch.ones(6, dtype=torch.bool))
    torch.testing.assert_close(ratio, 2 * (log_psi(walkers.configurations) - log_psi(before)))


@pytest.mark.parametrize(
    ("start", "step", "message"),
    [
        (torch.zeros(0, 2, 1), 0.5, "chains: got 0"),
        (torch.zeros(2, 2, 1), 0.0, "step: got 0"),
        (torch.full((2, 2, 1), torch.nan), 0.5, "configurations: got NaN"),
    ],
)
def test_wrong_input_says_so(start, step, message):
    with pytest.raises(ValueError, match=message):
        GaussianWalkers(log_psi, start, step)

"""The leaf of the chapter on Boltzmann machines against exact sums and mean-field equations."""

import math

import pytest
import torch
from scipy.special import erf

from nnbook.boltzmann_machines import (
    BinaryMachine,
    Factor,
    GaussianMachine,
    Trap,
    assign,
    bars_and_stripes,
    bits,
    capacity,
    gibbs_matrix,
    ladder_sweep,
    retrieval,
)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(3)


def machine(*sizes, scale=1.0, seed=1):
    return BinaryMachine(*sizes, scale=scale, generator=torch.Generator().manual_seed(seed))


def stacked(rungs):
    """Parameters of ladders side by side, ``rungs[k][ladder]``."""
    return [
        torch.stack([torch.stack([getattr(m, kind)[at].detach() for m in row]) for row in rungs])
        for kind, at in (("biases", 0), ("biases", 1), ("weights", 0))
    ]


def test_bars_and_stripes_are_counted_and_constant_along_one_axis():
    images = bars_and_stripes(4)
    assert len(images) == 30
    square = images.reshape(-1, 4, 4)
    bars = (square == square[:, :1]).flatten(1).all(1) | (square == square[:, :, :1]).flatten(1).all(1)
    assert bool(bars.all())
    assert len(images.unique(dim=0)) == 30


@pytest.mark.parametrize("sizes", [(4, 3), (3, 4, 2)], ids=str)
def test_a_gibbs_sweep_leaves_the_probabilities_of_the_machine(sizes):
    net = machine(*sizes)
    sweep = gibbs_matrix(net)
    torch.testing.assert_close(sweep.sum(1), torch.ones(len(sweep), dtype=torch.float64))
    even, odd, coupling = (part.detach() for part in net.sides())
    x = bits(len(even), even)
    p = (x @ even + torch.nn.functional.softplus(x @ coupling + odd).sum(1)).softmax(0)
    torch.testing.assert_close(p @ sweep, p)
    torch.testing.assert_close(p[:, None] * sweep, (p[:, None] * sweep).mT)  # reversible


def test_the_matrix_is_what_chains_do(generator):
    net = machine(3, 2)
    start = torch.zeros(40_000, 3, dtype=torch.float64)
    seen = net.gibbs(start, 2, generator=generator)
    counts = (seen[:, None] == bits(3, seen)).all(2).double().mean(0)
    expected = torch.linalg.matrix_power(gibbs_matrix(net), 2)[0]
    torch.testing.assert_close(counts, expected, atol=0.012, rtol=0)


def test_a_ladder_keeps_each_rung_in_equilibrium(generator):
    scales = (0.0, 1.0, 2.0)
    rungs = [[machine(3, 2, scale=scale, seed=seed) for seed in (1, 2)] for scale in scales]
    parameters = stacked(rungs)
    every = bits(3, parameters[0])
    p = torch.stack([m.log_prob(every).exp().detach() for pair in rungs for m in pair])
    x = every[p.multinomial(20_000, replacement=True, generator=generator)].unflatten(0, (3, 2))
    for sweep in range(6):
        x, accepted = ladder_sweep(*parameters, x, generator=generator, parity=sweep % 2)
        assert accepted.shape == (1, 2)
        assert 0.3 < float(accepted.min()) <= float(accepted.max()) < 1
    seen = (x.flatten(0, 1)[:, :, None] == every).all(3).double().mean(1)
    assert float((20_000 * (seen - p).square() / p).sum(1).max()) < 8 + 5 * 4


def test_a_ladder_frees_chains_that_a_gibbs_sampler_holds(generator):
    cold = BinaryMachine(2, 1, scale=0.0)  # a hidden unit that couples two spins with K = 4
    w = math.acosh(math.exp(8.0)) / 2
    assign(cold, torch.tensor([-2, -2, -4, 4, 4], dtype=torch.float64) * w)
    parameters = stacked([[cold.at(t)] for t in (16.0, 8.0, 4.0, 2.0, 1.0)])
    x = torch.zeros(5, 1, 4000, 2, dtype=torch.float64)
    alone = cold.gibbs(x[-1, 0], 60, generator=generator)
    for sweep in range(60):
        x, _ = ladder_sweep(*parameters, x, generator=generator, parity=sweep % 2)
    assert float(alone.mean()) < 0.1
    assert float(x[-1].mean()) == pytest.approx(0.5, abs=0.04)


def test_a_gaussian_machine_is_the_factor_of_a_wave_function(generator):
    factor = Factor(Trap(2), 3, scale=0.5, generator=generator)
    net = GaussianMachine(4, 3)
    with torch.no_grad():
        net.biases[0].copy_(factor.centre)
        net.biases[1].copy_(factor.bias)
        net.weights[0].copy_(factor.weight.mT)
    x = torch.randn(7, 2, 2, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(-net.free_energy(x.flatten(1)), factor(x))


@pytest.mark.parametrize("load", [0.02, 0.1, 0.137])
def test_retrieval_solves_the_three_mean_field_equations(load):
    m, r = 1.0, 1.0
    for _ in range(4000):
        c = math.sqrt(2 / (math.pi * load * r)) * math.exp(-(m**2) / (2 * load * r))
        m, r = float(erf(m / math.sqrt(2 * load * r))), 1 / (1 - c) ** 2
    assert retrieval(load) == pytest.approx(m, abs=1e-9)


def test_capacity_is_where_retrieval_ends():
    top, overlap = capacity()
    assert top == pytest.approx(0.1379, abs=1e-4)
    assert retrieval(top * (1 - 1e-9)) == pytest.approx(overlap, abs=1e-3)
    assert retrieval(1.001 * top) == 0


def test_follows_the_device_of_its_inputs(elsewhere, generator):
    net = BinaryMachine(3, 2, generator=generator, device="cpu")
    ladders = *stacked([[net], [net]]), torch.zeros(2, 1, 4, 3, device="cpu")
    assert ladder_sweep(*ladders, generator=generator)[1].device.type == "cpu"
    assert bool(gibbs_matrix(net).isfinite().all())
    assert bars_and_stripes(2).device.type == "cpu"


FLAT = torch.zeros(1, 3, dtype=torch.float64)
RUNG = FLAT, FLAT[:, :2], FLAT[..., None].expand(1, 3, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bars_and_stripes(0), "length: got 0"),
        (lambda: bars_and_stripes(30), "1,073,741,824 configurations"),
        (lambda: gibbs_matrix(BinaryMachine(13, 2)), "machine: got sides of 13 and 2 units"),
        (lambda: ladder_sweep(*RUNG, FLAT, generator=None), "x: got shape"),
        (lambda: ladder_sweep(*RUNG, FLAT[None] - 1, generator=None), "x: got -1"),
        (lambda: ladder_sweep(*RUNG, FLAT[None], generator=None, parity=2), "parity: got 2"),
        (lambda: ladder_sweep(FLAT, FLAT, RUNG[2], FLAT[None], generator=None), "b: got shape"),
        (lambda: retrieval(0.0), "load: got 0"),
    ],
)
def test_wrong_input_says_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()

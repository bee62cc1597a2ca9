"""The leaf of the chapter on Boltzmann machines against exact sums and mean-field equations."""

import math

import pytest
import torch
from scipy.special import erf

from nnbook.boltzmann_machines import (
    BETA_C,
    BinaryMachine,
    Factor,
    GaussianMachine,
    Ising,
    Trap,
    bars_and_stripes,
    belief_log_prob,
    bits,
    bond_machine,
    capacity,
    gibbs_matrix,
    hebbian,
    ladder_sweep,
    recall,
    retrieval,
    torus,
)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(3)


def machine(*sizes, scale=1.0, seed=1):
    return BinaryMachine(*sizes, scale=scale, generator=torch.Generator().manual_seed(seed))


def test_bars_and_stripes_are_counted_and_constant_along_one_axis():
    images = bars_and_stripes(4)
    assert len(images) == 30
    square = images.reshape(-1, 4, 4)
    bars = (square == square[:, :1]).flatten(1).all(1) | (square == square[:, :, :1]).flatten(1).all(1)
    assert bool(bars.all())
    assert len(images.unique(dim=0)) == 30


def test_a_hidden_unit_a_bond_is_the_ising_model():
    model = Ising(2, BETA_C)  # on two sites a side a pair has two bonds
    bonds = model.bonds().triu().nonzero()
    couplings = BETA_C * model.bonds()[bonds[:, 0], bonds[:, 1]].double()
    net, constant = bond_machine(4, bonds, couplings)
    x = bits(4, couplings)
    torch.testing.assert_close(constant - net.free_energy(x), -BETA_C * model.energy(2 * x - 1))
    assert net.log_z().item() + constant == pytest.approx(torus(BETA_C, 2).log_z * 4)


def test_couplings_of_both_signs_stand_for_hidden_units():
    bonds = torch.tensor([[0, 1], [1, 2], [0, 2]])
    couplings = torch.tensor([0.7, -0.4, 0.0], dtype=torch.float64)
    net, constant = bond_machine(3, bonds, couplings)
    x = bits(3, couplings)
    s = 2 * x - 1
    torch.testing.assert_close(constant - net.free_energy(x), (s[:, bonds].prod(2) * couplings).sum(1))


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
    rungs = [machine(3, 2, scale=scale) for scale in (0.0, 1.0, 2.0)]
    x = torch.stack([m.sample(20_000, generator=generator) for m in rungs])
    for sweep in range(6):
        x, accepted = ladder_sweep(rungs, x, generator=generator, parity=sweep % 2)
        assert accepted.shape == (1,)
        assert 0.3 < float(accepted) < 1
    for m, part in zip(rungs, x, strict=True):
        every = bits(3, part)
        seen = (part[:, None] == every).all(2).double().mean(0)
        p = m.log_prob(every).exp().detach()
        assert float((20_000 * (seen - p).square() / p).sum()) < 8 + 5 * 4


def test_a_ladder_frees_chains_that_a_gibbs_sampler_holds(generator):
    cold, _ = bond_machine(2, torch.tensor([[0, 1]]), torch.tensor([4.0], dtype=torch.float64))
    rungs = [cold.at(t) for t in (16.0, 8.0, 4.0, 2.0)] + [cold]
    x = torch.zeros(5, 4000, 2, dtype=torch.float64)
    alone = cold.gibbs(x[-1], 60, generator=generator)
    for sweep in range(60):
        x, _ = ladder_sweep(rungs, x, generator=generator, parity=sweep % 2)
    assert float(alone.mean()) < 0.1
    assert float(x[-1].mean()) == pytest.approx(0.5, abs=0.04)


def test_the_same_weights_upside_down_are_the_same_machine():
    """A belief network whose upper machine is the lower one turned around; its bound is then exact."""
    below = machine(4, 3)
    above = machine(3, 4)
    with torch.no_grad():
        above.biases[0].copy_(below.biases[1])
        above.biases[1].copy_(below.biases[0])
        above.weights[0].copy_(below.weights[0].mT)
    x = bits(4, below.biases[0])
    exact, bound = belief_log_prob(below, above, x)
    torch.testing.assert_close(exact, below.log_prob(x))
    torch.testing.assert_close(bound, exact)


def test_a_belief_network_is_normalised_and_above_its_bound():
    below, above = machine(4, 3), machine(3, 2, 2, seed=5)
    exact, bound = belief_log_prob(below, above, bits(4, below.biases[0]))
    assert exact.exp().sum().item() == pytest.approx(1.0)
    assert bool((bound < exact).all())


def test_a_gaussian_machine_is_the_factor_of_a_wave_function(generator):
    factor = Factor(Trap(2), 3, scale=0.5, generator=generator)
    net = GaussianMachine(4, 3)
    with torch.no_grad():
        net.centre.copy_(factor.centre)
        net.bias.copy_(factor.bias)
        net.weight.copy_(factor.weight.mT)
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


def test_spins_that_turn_one_at_a_time_never_raise_the_energy(generator):
    patterns = 2.0 * torch.randint(2, (12, 40), generator=generator) - 1
    couplings = hebbian(patterns)
    assert float(couplings.diagonal().abs().max()) == 0
    spins = 2.0 * torch.randint(2, (30, 40), generator=generator) - 1
    for _ in range(8):
        after = recall(couplings, spins, 1, generator=generator, blocks=40)
        change = ((after @ couplings) * after).sum(1) - ((spins @ couplings) * spins).sum(1)
        assert float(change.min()) > -1e-5
        spins = after
    assert torch.equal(recall(couplings, spins, 3, generator=generator, blocks=40), spins)


def test_follows_the_device_of_its_inputs(elsewhere, generator):
    cpu = {"generator": generator, "device": "cpu"}
    net, patterns = BinaryMachine(3, 2, **cpu), 2.0 * torch.randint(2, (3, 8), **cpu) - 1
    x = net.sample(4, generator=generator)
    assert ladder_sweep([net, net], torch.stack([x, x]), generator=generator)[1].device.type == "cpu"
    assert bool(belief_log_prob(net, BinaryMachine(2, 2, **cpu), x)[0].isfinite().all())
    assert bool(gibbs_matrix(net).isfinite().all())
    assert bool(recall(hebbian(patterns), patterns, 1, generator=generator).isfinite().all())
    assert bars_and_stripes(2).device.type == "cpu"


FLAT = torch.zeros(1, 3, dtype=torch.float64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bars_and_stripes(0), "length: got 0"),
        (lambda: bars_and_stripes(30), "1,073,741,824 configurations"),
        (lambda: bond_machine(2, torch.tensor([[0, 2]]), FLAT[0, :1]), "bonds: got numbers from 0 to 2"),
        (lambda: bond_machine(3, torch.tensor([[0, 2]]), FLAT[0]), r"couplings: got shape \(3,\)"),
        (lambda: gibbs_matrix(BinaryMachine(13, 2)), "machine: got sides of 13 and 2 units"),
        (lambda: ladder_sweep([machine(3, 2)], FLAT, generator=None), "x: got shape"),
        (lambda: ladder_sweep([machine(3, 2)], FLAT[None], generator=None, parity=2), "parity: got 2"),
        (lambda: ladder_sweep([machine(3, 2, 2)], FLAT[None], generator=None), "machines: got layers"),
        (lambda: belief_log_prob(machine(3, 2), machine(3, 2), FLAT), "above: got 3 visible units"),
        (lambda: belief_log_prob(machine(3, 2), machine(2, 2), FLAT - 1), "x: got -1"),
        (lambda: hebbian(FLAT), "patterns: got values beside ±1"),
        (lambda: hebbian(FLAT[:0]), "patterns: got 0"),
        (lambda: recall(torch.eye(2), FLAT, 1, generator=None), r"couplings: got shape \(2, 2\)"),
        (lambda: retrieval(0.0), "load: got 0"),
    ],
)
def test_wrong_input_says_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()

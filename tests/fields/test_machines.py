"""Boltzmann machines against sums over all their units, one by one, and against integrals."""

import itertools
import math

import numpy as np
import pytest
import torch

from nnbook.fields.machines import BinaryMachine, GaussianMachine, bits, exact_likelihood
from nnbook.networks import flatten

SHAPES = [(3, 2), (2, 4), (3, 2, 2), (2, 3, 2, 2)]


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(4)


def machine(*sizes, scale=1.0):
    return BinaryMachine(*sizes, scale=scale, generator=torch.Generator().manual_seed(sum(sizes)))


def brute(net):
    """The weights of all visible states, by the energy of each state of all units."""
    total = {}
    for units in itertools.product((0, 1), repeat=sum(net.sizes)):
        layers = np.split(np.array(units, float), np.cumsum(net.sizes)[:-1])
        energy = -sum(b.detach().numpy() @ h for b, h in zip(net.biases, layers, strict=True))
        for weight, (h, other) in zip(net.weights, itertools.pairwise(layers), strict=True):
            energy -= h @ weight.detach().numpy() @ other
        seen = units[: net.sites]
        total[seen] = total.get(seen, 0.0) + math.exp(-energy)
    return torch.tensor([*total], dtype=torch.float64), torch.tensor([*total.values()], dtype=torch.float64)


@pytest.mark.parametrize("sizes", SHAPES, ids=str)
def test_sums_over_all_units(sizes):
    net = machine(*sizes)
    x, weights = brute(net)
    torch.testing.assert_close(net.free_energy(x), -weights.log())
    torch.testing.assert_close(net.log_z(), weights.sum().log())
    torch.testing.assert_close(net(x).exp(), weights / weights.sum())


def test_temperature_divides_all_energies():
    hot = machine(3, 2, 2).at(2.5)
    x, weights = brute(hot)
    torch.testing.assert_close(hot.log_prob(x).exp(), weights / weights.sum())
    torch.testing.assert_close(flatten(hot) * 2.5, flatten(machine(3, 2, 2)))
    assert machine(3, 2).at(1e9).log_z().item() == pytest.approx(5 * math.log(2))


@pytest.mark.parametrize("sizes", [(3, 2), (2, 4), (2, 3, 2)], ids=str)
def test_chains_have_the_probabilities_that_are_computed(sizes, generator):
    net, n = machine(*sizes), 20_000
    start = torch.zeros(n, sum(sizes[::2]), dtype=torch.float64)
    drawn = net.gibbs(start, 30, generator=generator)[:, : net.sites]
    x = bits(net.sites, drawn)
    expected = net.log_prob(x).exp().detach()
    seen = (drawn[:, None] == x).all(2).double().mean(0)
    chi2 = float((n * (seen - expected).square() / expected).sum())
    assert chi2 < len(x) + 5 * math.sqrt(2 * len(x))


def test_gradient_is_the_data_phase_minus_the_model_phase(generator):
    net = machine(4, 3)
    data = torch.randint(2, (6, 4), generator=generator).double()

    def phase(x, weights):
        h = (net.biases[1] + x @ net.weights[0]).sigmoid()
        return torch.cat([weights @ x, weights @ h, ((weights[:, None] * x).mT @ h).reshape(-1)])

    every = bits(4, data)
    difference = phase(data, torch.full((6,), 1 / 6, dtype=torch.float64)) - phase(every, net(every).exp())
    value, gradient = exact_likelihood(net, data)(flatten(net)[None])
    torch.testing.assert_close(value[0], -net(data).mean())
    torch.testing.assert_close(gradient[0], -difference)


@pytest.mark.parametrize(
    "net", [machine(3, 2, 2), GaussianMachine(3, 2, scale=0.5)], ids=["deep", "gaussian"]
)
def test_likelihood_of_weighted_data_against_finite_differences(net, generator):
    data = torch.randint(2, (5, 3), generator=generator).double()
    loss = exact_likelihood(net, data, torch.tensor([0.1, 0.2, 0.3, 0.4, 0.0], dtype=torch.float64))
    theta, step = flatten(net), 1e-5
    _, gradient = loss(torch.stack([theta, theta + 0.1]))
    for k in (0, len(theta) // 2, len(theta) - 1):
        shift = step * torch.eye(len(theta), dtype=torch.float64)[k]
        up, down = loss(torch.stack([theta + shift, theta - shift]))[0]
        assert float((up - down) / (2 * step)) == pytest.approx(float(gradient[0, k]), abs=1e-8)


def test_gaussian_machine_is_a_normalised_mixture():
    net = GaussianMachine(2, 3, sigma=0.7, scale=0.8, generator=torch.Generator().manual_seed(2))
    grid = torch.linspace(-9, 9, 361, dtype=torch.float64)
    x = torch.cartesian_prod(grid, grid)
    density = net.log_prob(x).exp().detach()
    assert float(density.sum()) * 0.05**2 == pytest.approx(1.0, abs=1e-10)
    log_weights, means = (part.detach() for part in net.mixture())
    normal = torch.distributions.Normal(means, 0.7)
    mixed = (log_weights.softmax(0) * normal.log_prob(x[::500, None]).sum(2).exp()).sum(1)
    torch.testing.assert_close(density[::500], mixed)


def test_follows_the_precision_and_the_device_of_its_parameters(elsewhere, generator):
    there = {"dtype": torch.float32, "device": "cpu", "generator": generator}
    x = torch.zeros(4, 3, device="cpu")
    for net in (BinaryMachine(3, 2, 2, **there), GaussianMachine(3, 2, **there)):
        assert bool(net.log_prob(x).isfinite().all())
        assert bool(exact_likelihood(net, x)(flatten(net)[None])[1].isfinite().all())
    deep = BinaryMachine(3, 2, 2, **there).at(2.0)
    even = torch.zeros(2, 5, device="cpu")
    assert deep.gibbs(even, 2, generator=generator).dtype == torch.float32


ONE = torch.zeros(1, 3, dtype=torch.float64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: BinaryMachine(3), "layers: got 1"),
        (lambda: BinaryMachine(3, 0), r"sizes\[1\]: got 0"),
        (lambda: machine(3, 2).free_energy(ONE - 1), "x: got -1, expected zeros and ones"),
        (lambda: machine(3, 2).free_energy(ONE + 0.5), "x: got 0.5, expected zeros and ones"),
        (lambda: machine(3, 2).log_prob(ONE[:0]), "batch: got 0"),
        (lambda: machine(2, 2).log_prob(ONE), r"x: got shape \(1, 3\), expected \(batch, 2\)"),
        (lambda: BinaryMachine(40, 40).log_z(), "got 40, which makes 1,099,511,627,776 configurations"),
        (
            lambda: BinaryMachine(3, 2, 25).free_energy(ONE),
            "x: got 1 rows and 25 hidden units .* 33,554,432 terms",
        ),
        (
            lambda: BinaryMachine(3, 2, 19).free_energy(ONE.expand(99, 3)),
            "x: got 99 rows .* 51,904,512 terms",
        ),
        (lambda: machine(3, 2).gibbs(2 + ONE, 1, generator=None), "even: got 2, expected zeros and ones"),
        (lambda: machine(3, 2).gibbs(ONE[:0], 1, generator=None), "chains: got 0"),
        (lambda: machine(3, 2).at(0.0), "temperature: got 0"),
        (lambda: GaussianMachine(2, 1, sigma=-1.0), "sigma: got -1"),
        (lambda: GaussianMachine(3, 1).log_prob(ONE[:0]), "batch: got 0"),
        (lambda: GaussianMachine(3, 30).log_z(), "which makes 1,073,741,824 configurations"),
        (lambda: exact_likelihood(machine(3, 2), ONE, ONE[0]), r"weights: got shape \(3,\), expected \(1,\)"),
        (lambda: exact_likelihood(machine(3, 2), ONE, ONE[0, :1] + 2), "weights: got a sum of 2"),
        (lambda: exact_likelihood(machine(3, 2), ONE[:0]), "batch: got 0"),
    ],
)
def test_wrong_input_says_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()

"""The leaf of the chapter on continuous fields: enumeration, exact laws, densities that are what they say."""

import math

import numpy as np
import pytest
import torch

from nnbook.autoregressive_fields import (
    MAGNET,
    ImaginaryTime,
    QuantumPath,
    RingNetwork,
    critical_temperature,
    dipoles,
    domains,
    double_well,
    fit_likelihood,
    log_prob,
    mix,
    roc,
)
from nnbook.exact.enumerate import configurations


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(6)


@pytest.mark.parametrize(
    ("options", "critical", "error", "zero"),
    [  # with another program: equal, relative and squared errors, Bloch's law
        ({}, 428.9, 3.8, 1008.0),
        ({"errors": MAGNET[:, 1]}, 428.0, 3.1, 1008.6),
        ({"errors": MAGNET[:, 1] ** 2}, 427.4, 2.5, 1009.2),
        ({"power": 1.5, "exponent": 1.0}, 651, 4, 984.6),
        ({"table": MAGNET[1:]}, 424.9, 1.3, 1012.8),
    ],
)
def test_critical_temperatures_of_the_table(options, critical, error, zero):
    found = critical_temperature(**options)
    assert found.temperature.mean == pytest.approx(critical, abs=0.5 if critical > 600 else 0.06)
    assert found.temperature.error == pytest.approx(error, abs=0.5 if critical > 600 else 0.06)
    assert found.magnetisation.mean == pytest.approx(zero, abs=0.06)


def test_an_exact_law_is_found_exactly():
    t = np.linspace(50, 300, 6)
    table = np.stack([t, 1000 * (1 - t / 400) ** (1 / 3)], 1)
    found = critical_temperature(table)
    assert found.temperature.mean == pytest.approx(400, rel=1e-7)
    assert found.misfit < 1e-6
    assert math.isfinite(found.temperature.error)


# Images


def test_dipoles_are_symmetric_and_fall_with_the_cube():
    couplings = dipoles(4, 0.5)
    torch.testing.assert_close(couplings, couplings.mT)
    assert couplings.diagonal().tolist() == [0.0] * 16
    row = couplings[0].reshape(4, 4)
    assert row[0, 1] == row[3, 0] == pytest.approx(1 - 0.5)
    assert row[0, 2] == pytest.approx(-0.5 / 8)
    assert row[1, 1] == pytest.approx(-0.5 / 2**1.5)
    assert not bool((dipoles(4, 0.0) < 0).any())


def test_images_have_the_boltzmann_weights(generator):
    couplings, beta = dipoles(3, 0.5), 0.4
    s = torch.from_numpy(configurations(9))
    energy = -((s @ couplings) * s).sum(1) / 2
    p = torch.softmax(-beta * energy, 0)
    found = domains(couplings, beta, 20_000, sweeps=40, generator=generator)
    energies = -((found @ couplings) * found).sum(1) / 2
    exact = float(p @ energy)
    assert float(energies.mean()) == pytest.approx(exact, abs=4 * float(energies.std()) / 20_000**0.5)


# Vortices


def test_area_is_the_share_of_ordered_pairs(generator):
    score = torch.randint(0, 6, (60,), generator=generator).double()
    truth = torch.rand(60, generator=generator) < 0.3
    pairs = score[truth][:, None] - score[~truth]
    area = float(((pairs > 0).double() + 0.5 * (pairs == 0)).mean())
    assert roc(score, truth).mean == pytest.approx(area, abs=1e-12)
    assert roc(truth.double(), truth).mean == 1.0
    assert roc(-truth.double(), truth).mean == 0.0


def test_error_of_the_area_is_its_scatter(generator):
    areas = [roc(torch.randn(300, generator=generator), torch.arange(300) < 100).mean for _ in range(200)]
    error = roc(torch.randn(300, generator=generator), torch.arange(300) < 100).error
    assert error == pytest.approx(float(np.std(areas)), rel=0.2)


# Paths


@pytest.mark.parametrize("betas", [(80.0, 20.0, 40.0), (80.0, 40.0, 20.0), (3.0, 1.0, 2.5)])
def test_actions_at_three_temperatures_depend_on_each_other(betas, generator):
    a, b = mix(*betas)
    one, other, third = (QuantumPath(16, beta) for beta in betas)
    x = torch.randn(5, 16, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(a * one(x) + b * other(x), third(x))


@pytest.mark.parametrize("odd", [True, False])
def test_ring_network_is_normalised_and_drawn_as_it_says(odd, generator):
    net = RingNetwork(3, 8, components=2, odd=odd, generator=generator)
    grid = torch.linspace(-6, 6, 61, dtype=torch.float64)
    x = torch.cartesian_prod(grid, grid, grid)
    p = log_prob(net, x).exp() * 0.2**3
    assert float(p.sum()) == pytest.approx(1, abs=2e-3)
    drawn = net.sample(20_000, generator=generator)
    for function in (lambda y: y[:, 2] ** 2, lambda y: y[:, 0] * y[:, 1], lambda y: y[:, 1] * y[:, 2]):
        value = function(drawn)
        error = float(value.std()) / 20_000**0.5
        assert float(value.mean()) == pytest.approx(float(p @ function(x)), abs=4 * error + 5e-3)
    if odd:
        torch.testing.assert_close(net.log_prob(-drawn[:9]), net.log_prob(drawn[:9]))
    else:
        assert float((log_prob(net, -drawn[:9]) - log_prob(net, drawn[:9])).abs().max()) > 1e-3


def test_likelihood_finds_the_action_of_a_short_path(generator):
    exact, action = ImaginaryTime(double_well, 2.0, 6), QuantumPath(6, 2.0)
    rng = np.random.default_rng(1)
    data, test = (torch.from_numpy(exact.sample(n, rng)) for n in (4000, 4000))
    net = RingNetwork(6, 16, components=4, generator=generator)
    fit_likelihood(net, data, steps=150, rate=2e-2, generator=generator)
    off = -log_prob(net, test) - action(test) - exact.log_z - 3 * math.log(2 * math.pi * exact.a)
    error = float(off.std()) / 4000**0.5
    assert -4 * error < float(off.mean()) < 0.1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: critical_temperature(MAGNET[:2]), "rows: got 2, expected"),
        (lambda: dipoles(2), "length: got 2"),
        (lambda: domains(dipoles(3), 0.0, 2, generator=torch.Generator()), "beta: got 0"),
        (lambda: mix(3.0, 3.0, 1.0), "other: got 3, which is one; expected two temperatures that differ"),
        (lambda: mix(3.0, 2.0, -1.0), "third: got -1"),
        (lambda: roc(torch.zeros(3), torch.ones(3, dtype=torch.bool)), "negatives: got 0"),
        (lambda: RingNetwork(1), "times: got 1"),
        (lambda: RingNetwork(4).log_prob(torch.zeros(2, 3)), r"x: got shape \(2, 3\)"),
        (lambda: RingNetwork(2).log_prob(torch.full((1, 2), math.nan)), "x: got"),
        (lambda: log_prob(RingNetwork(4), torch.zeros(2, 3)), r"x: got shape \(2, 3\)"),
    ],
)
def test_wrong_input_says_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()

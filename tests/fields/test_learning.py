"""Training by likelihood and by the free energy: enumeration of 3 x 3 spins, interruptions, errors."""

import math
import os
import signal

import numpy as np
import pytest
import torch

from nnbook.exact.enumerate import configurations
from nnbook.exact.ising2d import BETA_C, torus
from nnbook.exact.transfer import IsingRows
from nnbook.fields.actions import Ising
from nnbook.fields.learning import Hamiltonian, fit_free_energy, fit_likelihood, log_prob, weigh
from nnbook.fields.made import MADE, frontier

MODEL = Ising(3, BETA_C)
ALL = torch.from_numpy(configurations(9))


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(6)


def spins(seed=1, hidden=4, start=BETA_C):
    source = torch.Generator().manual_seed(seed)
    bonds = MODEL.bonds()
    return MADE(9, hidden, context=frontier(bonds), couplings=start * bonds, odd=True, generator=source)


def divergence(net, beta=BETA_C):
    """KL(q | p) by enumeration; beta times the excess of the free energy."""
    log_q = net.log_prob(ALL).detach()
    log_p = -beta * MODEL.energy(ALL) - 9 * torus(beta, 3).log_z
    return float(log_q.exp() @ (log_q - log_p))


def test_variational_training_reaches_the_exact_free_energy_from_above(generator):
    net, exact = spins(), 9 * torus(BETA_C, 3).free_energy
    before = divergence(net)
    fit = fit_free_energy(net, MODEL.energy, BETA_C, steps=300, rate=2e-2, generator=generator)
    after = divergence(net)
    assert 0 < after < 3e-4 < before
    assert after / BETA_C / abs(exact) < 3e-5  # the relative error of F
    assert fit.value == pytest.approx(exact, rel=1e-2)
    x, found = weigh(net, MODEL, 4000, generator=generator)
    assert found.log_z.mean == pytest.approx(9 * torus(BETA_C, 3).log_z, abs=4 * found.log_z.error)
    energy = found.mean(MODEL.energy(x) / 9)
    assert energy.mean == pytest.approx(torus(BETA_C, 3).energy, abs=4 * energy.error)


def test_annealing_ends_at_its_temperature(generator):
    net = spins(start=0.3)
    fit_free_energy(net, MODEL.energy, 0.6, steps=600, rate=2e-2, anneal=0.5, generator=generator)
    assert divergence(net, 0.6) < 1e-3
    assert divergence(net, 0.3) > 0.1


def test_likelihood_training_learns_the_energy(generator):
    data = torch.from_numpy(IsingRows(BETA_C, 3).sample(20_000, np.random.default_rng(1)))
    net = spins(start=0.0)
    fit = fit_likelihood(net, data, steps=600, rate=2e-2, generator=generator)
    noise = net.parameter_count / (2 * len(data))  # what any n samples leave, in nats
    assert divergence(net) < 2 * noise
    assert fit.value == pytest.approx(9 * torus(BETA_C, 3).entropy, abs=1.0)  # of a batch
    learned = Hamiltonian(net, BETA_C, 9 * torus(BETA_C, 3).free_energy)
    p = (-MODEL(ALL) - 9 * torus(BETA_C, 3).log_z).exp()
    error = learned(ALL) - MODEL.energy(ALL)
    assert float(p @ error.square()) < 2 * 2 * noise / BETA_C**2  # KL is half the variance of beta H
    assert 0 < BETA_C * float(p @ error) < 2 * noise  # KL(p | q)


def test_fresh_batches_may_come_from_a_function(generator):
    rows, rng = IsingRows(BETA_C, 3), np.random.default_rng(2)
    net = spins(start=0.0)
    before = divergence(net)
    fresh = lambda: torch.from_numpy(rows.sample(100, rng))  # noqa: E731
    fit_likelihood(net, fresh, steps=40, rate=0.05, generator=generator)
    assert divergence(net) < 0.7 * before


def test_interrupted_annealing_goes_on_with_the_same_bits(tmp_path):
    def train(net, file, steps):
        source = torch.Generator().manual_seed(3)
        options = {"steps": 40, "generator": source, "checkpoint": file}
        stop = iter(range(10**6))

        def energy(x):
            if next(stop) == steps:
                os.kill(os.getpid(), signal.SIGINT)  # Ctrl-C: the step is finished, the checkpoint written
            return MODEL.energy(x)

        return fit_free_energy(net, energy, BETA_C, anneal=0.5, **options)

    whole, parts = spins(), spins()
    train(whole, tmp_path / "whole", -1)
    with pytest.warns(RuntimeWarning, match="interrupted"):
        assert train(parts, tmp_path / "parts", 10).steps < 40
    assert train(parts, tmp_path / "parts", -1).steps == 40
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda g: fit_likelihood(spins(), torch.ones(4, 8), steps=1, generator=g),
            r"data: got shape \(4, 8\)",
        ),
        (lambda g: fit_likelihood(spins(), torch.ones(0, 9), steps=1, generator=g), "data: got 0"),
        (
            lambda g: fit_likelihood(spins(), lambda: torch.ones(0, 9), steps=1, generator=g),
            "data: got 0",
        ),
        (lambda g: weigh(spins(), torch.abs, 5, generator=g), r"action: got shape \(5, 9\), expected \(5,\)"),
        (lambda g: weigh(spins(), MODEL, 1, generator=g), "n: got 1, expected .* at least 2"),
        (lambda g: fit_likelihood(spins(), torch.zeros(4, 9), steps=1, generator=g), "expected spins of"),
        (lambda g: fit_likelihood(spins(), ALL, steps=0, generator=g), "steps: got 0"),
        (lambda g: fit_likelihood(spins(), ALL, steps=1, rate=math.nan, generator=g), "rate: got nan"),
        (
            lambda g: fit_likelihood(spins(), ALL, steps=1, last=1.0, generator=g),
            "last: got 1, .* at most 0.01",
        ),
        (lambda g: fit_free_energy(spins(), MODEL.energy, -0.4, steps=1, generator=g), "beta: got -0.4"),
        (lambda g: fit_free_energy(spins(), torch.abs, 0.4, steps=1, generator=g), "energy: got shape"),
        (lambda g: Hamiltonian(spins(), 0.0), "beta: got 0, expected a finite number above 0"),
    ],
)
def test_wrong_input_says_so(call, message, generator):
    with pytest.raises(ValueError, match=message):
        call(generator)


def test_many_configurations_have_the_probabilities_of_few():
    net = spins()
    torch.testing.assert_close(log_prob(net, ALL), net.log_prob(ALL).detach())


def test_data_of_numpy_teach_as_tensors_do():
    nets = spins(), spins()
    for net, data in zip(nets, (ALL, ALL.numpy()), strict=True):
        fit_likelihood(net, data, steps=3, generator=torch.Generator().manual_seed(1))
    one, other = (log_prob(net, data) for net, data in zip(nets, (ALL.numpy(), ALL), strict=True))
    torch.testing.assert_close(one, other, rtol=0, atol=0)

"""The leaf of the chapter on electrons in a trap: exact energies, bounds, sizes, one step of each size."""

import numpy as np
import pytest
import torch

from nnbook.exact.pairs import trapped_pair
from nnbook.quantum_dots import (
    Gaussian,
    Product,
    Slater,
    Trap,
    boltzmann,
    measure,
    network,
    parts,
    radial_density,
    slater_jastrow,
    thirty_electrons,
    train,
)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(1)


@pytest.mark.parametrize(("omega", "dim"), [(1.0, 2), (0.5, 3)])
def test_two_electrons_become_exact(omega, dim, generator):
    trap = Trap(2, omega, dim=dim)
    state = network(trap, generator=generator)
    fit = train(state, trap, generator=generator, steps=80, chains=300)
    found = measure(state, trap, generator=generator, configurations=fit.configurations, samples=60)
    exact = trapped_pair(omega, dim)
    assert abs(found.energy.mean - exact.energy) < 1e-3
    assert found.energy.mean > exact.energy - 4 * found.energy.error
    split = parts(state, trap, found.samples)
    for name in ("kinetic", "trap", "repulsion"):
        assert abs(split[name].mean - getattr(exact, name)) < 5 * split[name].error + 2e-3
    assert abs(split["virial"].mean) < 5 * split["virial"].error + 2e-3


def test_a_training_improves_six_electrons(generator):
    trap = Trap(6)
    state = slater_jastrow(trap)
    fit = train(state, trap, generator=generator, steps=30, chains=200)
    assert 20.1 < fit.history["value"][-10:].mean() < 20.3
    assert fit.history["variance"][-1] < 1.0


@pytest.mark.parametrize("electrons", [6, 12, 20, 30])
def test_one_step_of_each_size(electrons, generator):
    trap = Trap(electrons)
    for state in (network(trap, 4, 4, generator=generator), boltzmann(trap, pade=True, generator=generator)):
        assert train(state, trap, generator=generator, steps=1, chains=4).steps == 1


def test_density_of_free_electrons(generator):
    trap = Trap(6)
    state = Product(Gaussian(), Slater(trap))
    drawn = measure(state, trap, generator=generator, chains=500, samples=100, warm_up=20)
    r, n = radial_density(drawn.samples, 12, reach=3.0)
    exact = 2 * (1 + 2 * r**2) * torch.tensor(-(r**2)).exp().numpy() / torch.pi
    assert abs(n - exact)[1:].max() < 0.03


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: train(slater_jastrow(Trap(2)), Trap(2), generator=g, rate=-1.0), "rate: got -1"),
        (lambda g: train(slater_jastrow(Trap(2)), Trap(2), generator=g, chains=0), "chains: got 0"),
        (lambda g: network(Trap(2), -1, generator=g), "hidden: got -1"),
        (lambda g: boltzmann(Trap(2), 0, generator=g), "hidden: got 0"),
        (lambda g: radial_density(torch.zeros(3, 2, 2), reach=0.0), "reach: got 0"),
        (lambda g: parts(slater_jastrow(Trap(2)), Trap(2), torch.zeros(3, 2, 2)), "samples: got shape"),
    ],
)
def test_wrong_input_says_so(call, message, generator):
    with pytest.raises(ValueError, match=message):
        call(generator)


def test_stored_densities_hold_thirty_electrons():
    r, densities, energies = thirty_electrons()
    assert list(densities) == list(energies) == ["RBM", "RBM + Padé", "network"]
    for density in densities.values():
        assert (2 * np.pi * r * density).sum() * (r[1] - r[0]) == pytest.approx(30, abs=0.01)
    assert [mean for mean, _ in energies.values()] == sorted(
        (mean for mean, _ in energies.values()), reverse=True
    )

"""The leaf of the chapter: a machine is trained, enlarged and measured with nothing but its names."""

import torch

from nnbook.quantum_states import (
    RestrictedBoltzmannMachine,
    chain,
    enlarge,
    heisenberg,
    measure,
    optimise,
    spin_chains,
)


def test_small_machine_helps_a_larger_one():
    small, large, dice = chain(8), chain(12), torch.Generator().manual_seed(1)
    options = {"permutations": small.translations, "biases": False, "scale": 0.1, "generator": dice}
    state = RestrictedBoltzmannMachine(8, 2, **options)
    optimise(state, heisenberg(small), generator=dice, chains=200, steps=100)
    state = enlarge(state, small, large)
    fit = optimise(state, heisenberg(large), generator=dice, chains=200, steps=100)
    found = measure(
        state, heisenberg(large), generator=dice, samples=50, configurations=fit.configurations
    ).energy
    exact = spin_chains.heisenberg_energy(12)
    assert -4 * found.error < found.mean - exact < 0.005 * abs(exact) + 4 * found.error

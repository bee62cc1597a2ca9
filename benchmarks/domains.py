"""Boltzmann machines on 80 Heisenberg spins whose weight is where their chains are, and where it is not.

Trains one and two filters on 20, 40 and 80 spins, much as the chapter *Neural-network quantum states* does,
but from random starts on 20 spins; then the same with five of 500 chains put back into a domain, half the
ring up and half down, three times on 40 and on 80 spins. Prints the relative error and by how much ln|psi|^2
of the domain exceeds that of a typical sample. More than 80 ln 2 = 55: nearly all of the wave function is in
domains. One minute.
"""

from __future__ import annotations

import torch
from torch import Tensor

import nnbook
from nnbook.quantum_states import RestrictedBoltzmannMachine, chain, enlarge, heisenberg, spin_chains
from nnbook.train.sampled import measure, optimise

STEPS = {1: (100, 300, 100), 2: (100, 150, 100)}  # on 20, 40 and 80 spins
ANEW = 5  # chains that start anew in a domain


def halves(sites: int) -> Tensor:
    return 1 - 2 * (torch.arange(sites) >= sites // 2).double()


def train(
    machine: RestrictedBoltzmannMachine, sites: int, steps: int, parts: int, dice: torch.Generator
) -> Tensor:
    """Train in so many parts, each of which begins with some chains in a domain if there are several."""
    H, done = heisenberg(chain(sites)), 0
    spins = H.start(500, generator=dice)
    while done < steps:
        if parts > 1:
            spins = spins.clone()
            shifts = torch.randint(sites, (ANEW,), generator=dice).tolist()
            spins[:ANEW] = torch.stack([halves(sites).roll(shift) for shift in shifts])
        now, began = min(-(-steps // parts), steps - done), done
        fit = optimise(
            machine,
            H,
            generator=dice,
            steps=now,
            configurations=spins,
            shift=3e-4,
            relative=3e-4,
            rate=lambda step, began=began: 0.1 / (1 + (step + began) / 100),
        )
        spins, done = fit.configurations, done + now
    return spins


def climb(task: tuple[int, int, int]) -> tuple[float, float, float]:
    """Relative error on 80 spins, its statistical error, and the excess of the domain."""
    filters, parts, seed = task
    dice = torch.Generator().manual_seed(seed)
    small, tried = chain(20), []
    for _ in range(3 if filters > 1 else 1):
        options = {"permutations": small.translations, "biases": False, "scale": 0.1, "generator": dice}
        start = RestrictedBoltzmannMachine(20, filters, **options)
        steps = {"steps": STEPS[filters][0], "chains": 250, "shift": 3e-4, "relative": 3e-4}
        fit = optimise(start, heisenberg(small), generator=dice, **steps)
        tried.append((fit.history["variance"][-40:].mean(), start))
    machine, lattice = min(tried, key=lambda pair: pair[0])[1], small
    for sites, count in zip((40, 80), STEPS[filters][1:], strict=True):
        machine, lattice = enlarge(machine, lattice, chain(sites)), chain(sites)
        spins = train(machine, sites, count, parts, dice)
    found = measure(
        machine, heisenberg(lattice), generator=dice, samples=100, warm_up=10, configurations=spins
    )
    exact = spin_chains.heisenberg_energy(80)
    with torch.no_grad():
        excess = 2 * float(machine(halves(80)) - machine(found.samples[-1]).mean())
    return (found.energy.mean - exact) / abs(exact), found.energy.error / abs(exact), excess


def main() -> None:
    run = nnbook.start(seed=1)
    tasks = [(filters, parts, seed) for filters in (1, 2) for parts in (1, 3) for seed in (1, 2, 3)]
    print("filters  chains anew  seed  relative error, 1e-6   domain over samples, ln")
    for (filters, parts, seed), (error, bar, excess) in zip(tasks, run.map(climb, tasks), strict=True):
        anew = "no" if parts == 1 else "yes"
        print(f"{filters:7}  {anew:11}  {seed:4}  {1e6 * error:9.0f} ± {1e6 * bar:<9.0f}  {excess:8.0f}")


if __name__ == "__main__":
    main()

"""Which start of a Boltzmann machine is good, does the V-score tell, and what does a small last shift do?

Eight starts a row are trained on 20 spins and on 40; then a hundred steps follow with the shift held, and a
hundred others, from the same state, with a small one. Errors in millionths.

    python benchmarks/starts.py
"""

from __future__ import annotations

import copy

import numpy as np
import torch

import nnbook
from nnbook.quantum_states import RestrictedBoltzmannMachine, chain, enlarge, heisenberg, ising, spin_chains
from nnbook.train.sampled import measure, optimise

HELD = 3e-4
ROWS = (("Ising", 1, 1e-5), ("Heisenberg", 2, 3e-6), ("Heisenberg", 4, 3e-6), ("Ising", 4, 1e-5))


def slower(step: int) -> float:
    return 0.1 / (1 + step / 100)


def settle(step: int) -> float:
    return 0.05 / (1 + step / 50)


def one(task: tuple[str, int, float, int]) -> list[float]:
    """V-score on 20 spins; error, its error and V-score on 40 with the shift held; the same, lowered."""
    model, filters, lowered, seed = task
    dice = torch.Generator().manual_seed(seed)
    lattices = [chain(20), chain(40)]
    if model == "Ising":
        small, large = (ising(lattice, field=1.0) for lattice in lattices)
        exact = spin_chains.ising_energy(40, 1.0)
        spins = (1 - 2 * (torch.arange(500) % 2).double())[:, None].repeat(1, 40)
    else:
        small, large = (heisenberg(lattice) for lattice in lattices)
        exact, spins = spin_chains.heisenberg_energy(40), None
    state = RestrictedBoltzmannMachine(
        20, filters, permutations=lattices[0].translations, biases=False, scale=0.1, generator=dice
    )
    held = {"shift": HELD, "relative": HELD, "generator": dice}
    fit = optimise(state, small, chains=250, steps=150, **held)
    result = [fit.history["variance"][-40:].mean() * 20 / fit.value**2]
    state = enlarge(state, *lattices)
    fit = optimise(state, large, configurations=spins, steps=100, rate=slower, **held)
    for shift in (HELD, lowered):
        end, how = copy.deepcopy(state), held | {"shift": shift, "relative": shift, "rate": settle}
        optimise(end, large, configurations=fit.configurations.repeat(2, 1), steps=100, **how)
        m = measure(
            end, large, configurations=fit.configurations.repeat(4, 1), samples=60, warm_up=10, generator=dice
        )
        result += [1e6 * (1 - m.energy.mean / exact), 1e6 * m.energy.error / abs(exact), m.v_score]
    return result


def main() -> None:
    run = nnbook.start(seed=1)
    print("                      on 20 spins   shift held                  shift lowered")
    print("model       filters   V-score       error          V-score      error          V-score")
    for row in ROWS:
        for v, *numbers in np.array(run.map(one, [(*row, seed) for seed in range(1, 9)])):
            held, lowered = (f"{e:8.1f} ± {b:4.1f}  {w:.1e}" for e, b, w in (numbers[:3], numbers[3:]))
            print(f"{row[0]:12}{row[1]:7}   {v:.1e}    {held}    {lowered}", flush=True)


if __name__ == "__main__":
    main()

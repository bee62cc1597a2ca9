"""Energies of the states that Carleo and Troyer published, sampled with this library.

The weights belong to the supplement of their paper (Science 355, 602 (2017)) and are not part of this
repository. Download the folder `Ground/` of it, and:

    python benchmarks/published_states.py Ground/Ising1d_40_1_2.wf Ground/Heisenberg2d_100_1_4.wf

A file holds N, M, the biases of the N visible and M hidden units, and the weights W_ij, hidden unit j
fastest, each as (real,imaginary). Its name gives the model, N, the field or anisotropy (here 1), and M/N.
"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path

import numpy as np
import torch

import nnbook
from nnbook.quantum_states import (
    RestrictedBoltzmannMachine,
    SpinHamiltonian,
    chain,
    heisenberg,
    ising,
    spin_chains,
    square,
)
from nnbook.train.sampled import measure


def read(path: Path) -> RestrictedBoltzmannMachine:
    """The machine of a file; all published ground states are real."""
    sizes, *rows = path.read_text().replace("(", "").replace(")", "").split("\n", 2)
    sites, hidden = int(sizes), int(rows[0])
    values = np.array([row.split(",") for row in rows[1].split()], dtype=float)
    assert len(values) == sites + hidden + sites * hidden, f"{path} is not complete"
    assert not values[:, 1].any(), f"{path} is complex"
    visible, biases, weights = np.split(values[:, 0], (sites, sites + hidden))
    machine = RestrictedBoltzmannMachine(sites, hidden)
    parts = (machine.visible_bias, visible), (machine.hidden_bias, biases)
    for parameter, numbers in (*parts, (machine.weight, weights.reshape(sites, hidden).T)):
        assert parameter is not None
        parameter.data.copy_(torch.from_numpy(numbers))
    return machine


def problem(name: str) -> tuple[SpinHamiltonian, float]:
    """Hamiltonian and exact energy that belong to the name of a file."""
    match = re.fullmatch(r"(Ising1d|Heisenberg1d|Heisenberg2d)_(\d+)_([\d.]+)_\d+", name)
    assert match, f"{name}: expected a name such as Ising1d_40_1_2"
    model, sites, coupling = match[1], int(match[2]), float(match[3])
    if model == "Ising1d":
        return ising(chain(sites), field=coupling), spin_chains.ising_energy(sites, coupling)
    assert coupling == 1, "the exact energy is known for the isotropic model"
    if model == "Heisenberg1d":
        return heisenberg(chain(sites)), spin_chains.heisenberg_energy(sites)
    assert sites == 100
    return heisenberg(square(10)), -0.671549 * 4 * 100  # quantum Monte Carlo, Sandvik 1997


def ordered(hamiltonian: SpinHamiltonian, chains: int) -> torch.Tensor:
    """All spins parallel, up or down; in the antiferromagnet the two Neel states."""
    up = torch.ones(hamiltonian.sites, dtype=torch.float64)
    if hamiltonian.exchanges:
        side = 10 if hamiltonian.sites == 100 else hamiltonian.sites
        site = torch.arange(hamiltonian.sites)
        up = 1.0 - 2.0 * ((site // side + site % side) % 2).double()
    return up * (1 - 2 * (torch.arange(chains) % 2).double())[:, None]


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--samples", type=int, default=400, help="looks at each of 500 chains")
    options = parser.parse_args()
    if not options.files:
        print("No files given: the published weights have to be downloaded first.", __doc__, sep="\n")
        return
    run = nnbook.start(seed=1)
    for path in options.files:
        began = time.perf_counter()
        hamiltonian, exact = problem(path.stem)
        start = ordered(hamiltonian, 500)
        how = {"samples": options.samples, "warm_up": 200, "generator": run.generator}
        state = read(path).to(run.device)
        found = measure(state, hamiltonian, configurations=start, **how)
        error, bar = (found.energy.mean - exact) / abs(exact), found.energy.error / abs(exact)
        seconds = time.perf_counter() - began
        print(f"{path.stem:25} relative error {error:9.2e} +- {bar:.0e}  ({seconds:.0f} s)", flush=True)
        fresh = measure(state, hamiltonian, **how | {"samples": 20})
        lost = int((fresh.energies.mean(0) > 0).sum())
        half = 1 - 2 * (torch.arange(hamiltonian.sites) >= hamiltonian.sites // 2).double()[None]
        typical, there = 2 * float(state(found.samples[-1]).mean()), 2 * float(state(half))
        print(f"  ln|psi|^2: typical {typical:.0f}, half up and half down {there:.0f}", end="; ")
        print(f"{lost} of 500 chains that start at random end at energies above zero", flush=True)


if __name__ == "__main__":
    main()

"""Seconds to the exact lattice energy: optimisers side by side, the talk's table, and threads.

``make bench`` prints the tables; README.md beside this file keeps those of past machines.
"""

from __future__ import annotations

import os
import platform
import time
from functools import partial

import numpy as np
import torch

import nnbook
from nnbook.lattice_qm import Grid, Hamiltonian, WaveFunction, solve
from nnbook.show import Table, scientific
from nnbook.train import Fit, fit
from nnbook.train.linear_method import minimise

HAM = Hamiltonian(Grid(1024, 5.0), lambda x: x**2 / 2)
EXACT = HAM.exact().energies[0]
X = torch.as_tensor(HAM.grid.x)[:, None]
SIZES = [(4,), (4, 4), (4, 8), (8,), (8, 4), (8, 8), (8, 16), (16,), (16, 8), (16, 16), (32,), (32, 16)]
LBFGS = partial(
    torch.optim.LBFGS,
    history_size=50,
    tolerance_change=1e-14,
    tolerance_grad=1e-12,
    line_search_fn="strong_wolfe",
)


def model(seed: int) -> WaveFunction:
    return WaveFunction((8, 8), generator=torch.Generator().manual_seed(seed))


def first_order(seed: int, **options: object) -> Fit:
    wave = model(seed)
    return fit(lambda: HAM.energy(wave(X)), wave.parameters(), **options)  # type: ignore[arg-type]


METHODS = {
    "Adam, lr 0.01": lambda seed: first_order(seed, steps=20000),
    "L-BFGS": lambda seed: first_order(seed, steps=200, optimiser=LBFGS),
    "linear method": lambda seed: minimise(HAM.problem(), model(seed), accelerate=False),
    "linear method, accelerated": lambda seed: minimise(HAM.problem(), model(seed)),
    "accelerated, coarse to fine": lambda seed: minimise([HAM.on(128).problem(), HAM.problem()], model(seed)),
}


def seconds_to(run: Fit, distance: float) -> float:
    reached = run.history["value"] < EXACT + distance
    if "stage" in run.history:
        reached &= run.history["points"] == len(X)
    return float(run.history["seconds"][reached.argmax()]) if reached.any() else float("inf")


def optimisers() -> Table:
    minimise(HAM.on(16).problem(), model(0), steps=3)  # the first call sets up
    rows = []
    for name, method in METHODS.items():
        runs = [method(seed) for seed in (1, 2, 3)]
        times = [f"{np.median([seconds_to(run, d) for run in runs]):.2f}" for d in (1e-4, 1e-6, 1e-8)]
        rows.append((name, *times, scientific(float(np.median([run.value for run in runs]) - EXACT))))
    return Table(("8-8 units, median of 3 seeds", "s to 1e-4", "s to 1e-6", "s to 1e-8", "last error"), rows)


def talk_table(run: nnbook.Run) -> str:
    begin = time.perf_counter()
    states = run.map(lambda hidden: solve(HAM, hidden=hidden, starts=4, seed=1), reversed(SIZES))
    errors = [state.energy - EXACT for state in states]
    return (
        f"12 rows of the talk's table: {time.perf_counter() - begin:.1f} s, "
        f"median error {scientific(float(np.median(errors)))}, largest {scientific(max(errors))}"
    )


def threads() -> Table:
    rows = []
    for count in (1, 2):
        torch.set_num_threads(count)
        times = []
        for hidden in ((8, 8), (32, 16)):
            wave = WaveFunction(hidden, generator=torch.Generator().manual_seed(1))
            begin = time.perf_counter()
            minimise(HAM.problem(), wave, steps=20, tolerance=0.0)
            times.append(f"{time.perf_counter() - begin:.2f}")
        rows.append((str(count), *times))
    return Table(("threads", "20 steps, 8-8, M = 1024 / s", "20 steps, 32-16, M = 1024 / s"), rows)


def main() -> None:
    run = nnbook.start(seed=1, device="cpu")
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    print(f"{platform.machine()}, {os.cpu_count()} cores, {versions}")
    print(optimisers(), talk_table(run), threads(), sep="\n\n")


if __name__ == "__main__":
    main()

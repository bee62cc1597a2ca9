"""Seconds for the talk's thirty rows of two particles, for excited states, and for a step with three.

``make bench`` prints the tables; README.md beside this file keeps those of past machines.
"""

from __future__ import annotations

import time
from functools import partial

import numpy as np

import nnbook
from nnbook.multi_particle import Grid, ritz, solve, trapped
from nnbook.show import Table, scientific

BOXES = {1: 5.0, 5: 3.75, 10: 2.5}
ROWS = [(kind, w, lam) for kind in ("boson", "fermion") for w in BOXES for lam in (-1, -0.25, 0, 0.25, 1)]


def error(row: tuple[str, int, float], points: int, shrink: bool, tolerance: float) -> float:
    kind, omega, lam = row
    box = BOXES[omega] if shrink else 5.0
    grid = Grid(int(points * box / 5), box)
    ham = trapped(kind, grid, omega, lambda r: 100 * lam * np.exp(-(r**2)))  # type: ignore[arg-type]
    return solve(ham, tolerance=tolerance).energy - float(ham.exact().energies[0])


def thirty(run: nnbook.Run) -> Table:
    lines = []
    for points, shrink, tolerance in ((128, False, 1e-8), (256, True, 1e-7)):
        begin = time.perf_counter()
        job = partial(error, points=points, shrink=shrink, tolerance=tolerance)
        errors = np.array(run.map(job, ROWS))
        seconds = f"{time.perf_counter() - begin:.0f}"
        spread = scientific(float(np.median(errors)), 1), scientific(errors.max(), 1)
        lines.append((f"M = {points}, {'shrunk box' if shrink else 'box 5'}", seconds, *spread))
    return Table(("thirty rows", "s", "median error", "largest error"), lines)


def tower(kind: str) -> tuple[str, ...]:
    """Four levels at the strongest repulsion, where valleys are long: errors there, and moved to 256."""
    begin, found = time.perf_counter(), []
    ham = trapped(kind, Grid(128), 1.0, lambda r: 100 * np.exp(-(r**2)))  # type: ignore[arg-type]
    for _ in range(4):
        found.append(solve(ham, below=found, hidden=(12, 12), tolerance=2.5e-7, patience=4, starts=4))
    seconds, highest = time.perf_counter() - begin, found[-1].on(256)
    there = ritz(found).energies - ham.exact(4).energies
    moved = ritz([*highest.below, highest]).energies - ham.on(256).exact(4).energies
    return f"{kind}s, λ = 1", f"{seconds:.0f}", scientific(there.max(), 1), scientific(moved.max(), 1)


def towers(run: nnbook.Run) -> Table:
    head = ("four levels, M = 128", "s", "largest error after ritz", "moved to 256")
    return Table(head, run.map(tower, ("boson", "fermion")))


def three() -> Table:
    lines = []
    for kind in ("boson", "fermion"):
        begin = time.perf_counter()
        state = solve(trapped(kind, Grid(64), count=3))  # type: ignore[arg-type]
        seconds = time.perf_counter() - begin
        gap = state.energy - float(state.hamiltonian.exact().energies[0])
        lines.append((f"3 {kind}s, M = 64", f"{seconds:.1f}", str(state.fit.steps), scientific(gap, 1)))
    return Table(("free particles", "s", "steps", "error"), lines)


if __name__ == "__main__":
    here = nnbook.start(seed=1)
    print(thirty(here), towers(here), three(), sep="\n\n")

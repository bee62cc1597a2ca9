"""Errors of the variational free energy of the Ising model: the chapter's network beside one by the book.

``make bench`` prints the table, ``python benchmarks/autoregressive.py 32`` that of 32 x 32; README.md beside
this file keeps those of past machines.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

import nnbook
from nnbook.autoregressive import BETA_C, MADE, Ising, fit_free_energy, frontier, torus, weigh
from nnbook.show import Table, scientific


@dataclass(frozen=True)
class Job:
    """A lattice, a temperature, and how much to train; by the book, or with what physics knows."""

    length: int
    beta: float
    steps: int
    batch: int
    rate: float
    book: bool = False

    @property
    def anneal(self) -> float:
        """The book begins hot; ours has to below the critical temperature only."""
        return 0.02 if self.book else 0.5 if self.beta > 0.5 else 1.0

    def network(self) -> MADE:
        """All sites before, biases and zero couplings; or the frontier, no biases and the couplings."""
        bonds, source = Ising(self.length, self.beta).bonds(), torch.Generator().manual_seed(1)
        start = self.anneal * self.beta * bonds
        known = {} if self.book else {"context": frontier(bonds), "couplings": start, "odd": True}
        return MADE(self.length**2, 16, dtype=torch.float32, generator=source, **known)  # type: ignore[arg-type]

    def train(self) -> tuple[float, float, float]:
        """(F_q - F) / |F| with its error, from the ratios r of p and q by <r - 1 - ln r>; seconds."""
        model, net, generator = (
            Ising(self.length, self.beta),
            self.network(),
            torch.Generator().manual_seed(2),
        )
        options = {"steps": self.steps, "batch": self.batch, "rate": self.rate, "anneal": self.anneal}
        last, begin = self.rate if self.book else 1e-4, time.perf_counter()
        fit_free_energy(net, model.energy, self.beta, generator=generator, last=last, **options)  # type: ignore[arg-type]
        seconds = time.perf_counter() - begin
        log_z = torus(self.beta, self.length).log_z * self.length**2
        log_r = weigh(net.double(), model, 20_000, generator=generator)[1].log_weights - log_z
        excess = log_r.expm1() - log_r
        error = float(excess.std()) / len(excess) ** 0.5
        return float(excess.mean()) / log_z, error / log_z, seconds


#: Steps and samples a step, by the length of the lattice.
TRAININGS = {4: (2500, 256), 8: (1500, 256), 16: (1000, 512), 32: (2000, 512)}


def jobs(lengths: Sequence[int] = (4, 8, 16)) -> list[Job]:
    """Ours and the book's at three temperatures; of 32 x 32 ours at the critical one."""
    small = [(n, b) for n in lengths if n < 32 for b in (0.3, BETA_C, 0.6)]
    pairs = [
        Job(n, b, *TRAININGS[n], rate, book) for n, b in small for rate, book in ((2e-2, False), (1e-3, True))
    ]
    return pairs + [Job(n, BETA_C, *TRAININGS[n], 2e-2) for n in lengths if n == 32]


def free_energies(run: nnbook.Run, jobs: Sequence[Job]) -> Table:
    """Ours and the book's, one after the other at each size and temperature."""
    rows = [
        (
            job.length,
            f"{job.beta:.3f}",
            "by the book" if job.book else "ours",
            f"{seconds:.0f}",
            f"{scientific(gap, 1)} ± {scientific(error, 0)}",
        )
        for job, (gap, error, seconds) in zip(jobs, run.map(Job.train, jobs), strict=True)
    ]
    return Table(("L", "beta", "network", "s", "(F_q - F)/|F|"), rows)


if __name__ == "__main__":
    chosen = [int(length) for length in sys.argv[1:]] or (4, 8, 16)
    print(free_energies(nnbook.start(seed=1), jobs(chosen)))

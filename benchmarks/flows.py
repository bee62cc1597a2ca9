"""Effective sample sizes of flows for phi^4 against seconds, up a ladder of lattices that carry kernels over.

``make bench`` prints the table; README.md beside this file keeps those of past machines. The last lattice,
32 x 32, takes minutes: name the lengths to climb, as in ``python benchmarks/flows.py 8 12 20 32``.
"""

from __future__ import annotations

import sys
import time

import torch

import nnbook
from nnbook.flow_samplers import EquivariantFlow, GaussianField, Phi4, recipe, train, weigh
from nnbook.show import Table

#: Couplings at M^2 = -4 with a correlation length of about a quarter of the lattice; at 8 that of a tutorial.
LADDER = {8: 8.0, 12: 5.276, 20: 4.807, 32: 4.572}
#: Steps with small batches, steps with large ones, and their samples.
PLAN = {8: (22, 8, 512), 12: (14, 10, 512), 20: (16, 24, 768), 32: (16, 30, 768)}


def climb(
    length: int, below: EquivariantFlow | None, generator: torch.Generator
) -> tuple[EquivariantFlow, float]:
    """A flow that starts from the one of the lattice below, and the seconds that its training took."""
    action = Phi4(length, -4.0, LADDER[length])

    flow = recipe(GaussianField.hartree(action), frequencies=(1.0, 2.0, 3.0), masses2=(0.1, 0.5, 2.0))
    if below is not None:
        with torch.no_grad():
            flow.coefficients.copy_(below.coefficients)
    begin, rules = time.perf_counter(), (5, 7) if length == 8 else (6, 9)
    early, late, batch = PLAN[length]
    train(
        flow,
        action.with_gradient,
        steps=early,
        batch=128 if length < 20 else 256,
        rules=rules,
        trust=0.2,
        damping=0.1,
        ridge=1e-3,
        last=1.0,
        generator=generator,
    )
    train(flow, action.with_gradient, steps=late, batch=batch, rules=rules, generator=generator)
    return flow, time.perf_counter() - begin


def ladder(run: nnbook.Run, lengths: tuple[int, ...]) -> Table:
    """Each lattice with the seconds of its own training and the effective sample size at doubled steps."""
    rows, flow = [], None
    for length in lengths:
        flow, seconds = climb(length, flow, run.generator)
        action = Phi4(length, -4.0, LADDER[length])
        _, found = weigh(flow, action, 2000, generator=run.generator, batch=250)
        rows.append((length, LADDER[length], f"{seconds:.0f}", f"{found.ess:.3f}"))
        print(rows[-1], flush=True)
    return Table(("L", "lambda", "s", "ESS"), rows)


if __name__ == "__main__":
    print(ladder(nnbook.start(seed=1), tuple(map(int, sys.argv[1:])) or (8, 12)))

"""Fourteen electrons at r_s = 2: a backflow state, and diffusion Monte Carlo with its nodes.

``python benchmarks/matter.py electrons`` takes about three minutes on a core; the chapter *Matter in a box*
quotes what it prints.
"""

import sys
import time

import torch

from nnbook.matter_in_a_box import ElectronGas, electron_gas, estimate, measure, network, train
from nnbook.matter_in_a_box import diffuse as diffusion


def electrons(
    rs: float = 2.0, steps: int = 150, walkers: int = 300, times: int = 500, step: float = 0.03
) -> None:
    dice, began = torch.Generator().manual_seed(5), time.perf_counter()
    gas, field = ElectronGas(14, rs), electron_gas(14, rs).energy
    state = network(gas, 12, 12, generator=dice)
    fit = train(state, gas, generator=dice, steps=steps, chains=walkers)
    found = measure(state, gas, generator=dice, configurations=fit.configurations, samples=60, warm_up=5)
    print(f"plane waves {field:.6f}; variational {found.energy.mean / 14:.5f}", end=" ")
    print(f"± {found.energy.error / 14:.5f}, variance {found.energy.variance:.4f}", flush=True)
    walk = diffusion(state, gas, found.samples[-1], step=step, steps=times, generator=dice)
    print(f"time step {step}: {estimate(walk[times // 6 :] / 14)}")
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    electrons(*map(float, sys.argv[2:3]))

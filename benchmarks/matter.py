"""What *Matter in a box* quotes and does not run; minutes each on a core.

``python benchmarks/matter.py electrons``: fourteen electrons at r_s = 2 with backflow, and diffusion Monte
Carlo with their nodes. ``messages``: one layer of backflow, then two, which pass messages.
"""

import sys
import time

import torch

from nnbook.matter_in_a_box import (
    ElectronGas,
    Estimate,
    Product,
    diffuse,
    measure,
    network,
    train,
)


def grow(small: Product, large: Product) -> Product:
    """Give a larger state what a smaller one has learnt."""
    old, new = small.state_dict(), large.state_dict()
    large.load_state_dict({k: v for k, v in old.items() if v.shape == new[k].shape}, strict=False)
    return large


def electrons(
    steps: int = 150, walkers: int = 300, times: int = 500, step: float = 0.03, seed: int = 5
) -> None:
    dice, began = torch.Generator().manual_seed(seed), time.perf_counter()
    gas = ElectronGas(14, 2.0)
    state = network(gas, 12, 12, generator=dice)
    fit = train(state, gas, generator=dice, steps=steps, chains=walkers)
    found = measure(state, gas, generator=dice, configurations=fit.configurations, samples=60, warm_up=5)
    print(f"variational {found.energy.mean / 14:.5f} ± {found.energy.error / 14:.5f}", flush=True)
    walk = diffuse(state, gas, found.samples[-1], step=step, steps=times, generator=dice)
    print(f"time step {step}: {Estimate.of(walk[times // 6 :] / 14)}")
    print(f"{time.perf_counter() - began:.0f} s")


def messages(walkers: int = 300) -> None:
    dice, began = torch.Generator().manual_seed(5), time.perf_counter()
    gas = ElectronGas(14, 2.0)
    state, places = network(gas, 8, 0, generator=dice), None
    for layers, steps in ((0, 40), (1, 100), (2, 100)):
        state = grow(state, network(gas, 8, 12 * min(layers, 1), layers=max(layers, 1), generator=dice))
        fit = train(state, gas, generator=dice, steps=steps, chains=walkers, configurations=places)
        found = measure(state, gas, generator=dice, configurations=fit.configurations, samples=70, warm_up=5)
        places, energy = fit.configurations, found.energy
        print(f"{layers} layers: {energy.mean / 14:.5f} ± {energy.error / 14:.5f}", end=", ")
        print(f"variance {energy.variance:.4f}, {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    {"electrons": electrons, "messages": messages}[sys.argv[1]]()

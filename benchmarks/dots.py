"""Electrons in a trap: seconds a step and energies, ours and NetKet's where it is installed.

    python benchmarks/dots.py                  # ours: six electrons at three frequencies, then twelve
    python benchmarks/dots.py six 0.5          # one of them
    python benchmarks/dots.py grow             # functions learnt with six electrons, carried to 12, 20 and 30
    python benchmarks/dots.py density          # thirty electrons, three states: writes the chapter's csv file
    python benchmarks/dots.py plain            # two and six electrons without determinants, ours
    python benchmarks/dots.py netket           # the same with NetKet

NetKet is no dependency of the book. In an environment of its own, `pip install netket`, and run the last line
with the Python of that environment: it needs nothing of the book.
"""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path
from typing import Any

DMC = {(6, 0.1): 3.55385, (6, 0.5): 11.78484, (6, 1.0): 20.15932, (12, 1.0): 65.7001}
DMC |= {(20, 1.0): 155.8822, (30, 1.0): 308.5627}


def ours(electrons: int, omega: float, *, steps: int, chains: int, looks: int) -> None:
    """Train, measure with new samples, and print a row of a table."""
    import torch

    import nnbook
    from nnbook.quantum_dots import Trap, measure, network, train

    nnbook.start(seed=1, quiet=True)
    generator = torch.Generator().manual_seed(1)
    trap = Trap(electrons, omega)
    state = network(trap, generator=generator)
    fit = train(state, trap, generator=generator, steps=steps, chains=chains)
    began = time.perf_counter()
    found = measure(state, trap, generator=generator, configurations=fit.configurations, samples=looks)
    seconds = f"{fit.seconds:.0f} | {1e3 * fit.seconds / steps:.0f} | {time.perf_counter() - began:.0f}"
    variance = f"{found.energy.variance:.2g}"
    print(f"| {electrons} | {omega} | {seconds} | {found.energy!r} | {variance} | {DMC[electrons, omega]} |")


ROWS = ((6, 200, 500, 40), (12, 120, 300, 60), (20, 80, 200, 40), (30, 50, 120, 30))


def grow(rows: tuple[tuple[int, int, int, int], ...] = ROWS) -> Any:
    """Train six electrons, then carry their functions of distances to larger dots; a short training each.

    Rows are electrons, steps, walkers, looks. The measurement of the largest dot is returned.
    """
    import torch

    import nnbook
    from nnbook.quantum_dots import Trap, measure, network, train

    nnbook.start(seed=1, quiet=True)
    generator = torch.Generator().manual_seed(1)
    small = None
    print("| N | steps of walkers | training, s | measuring, s | E before | E | variance | DMC |")
    print("| --- " * 8 + "|")
    for electrons, steps, chains, looks in rows:
        trap = Trap(electrons)
        state = network(trap, generator=generator)
        if small is not None:
            with torch.no_grad():
                for here, learnt in zip(state.parameters(), small.parameters(), strict=True):
                    here.copy_(learnt)
        before = measure(state, trap, generator=generator, chains=chains, samples=5, warm_up=20)
        options = {"steps": steps, "rate": 0.1 if small is None else 0.03}
        fit = train(state, trap, generator=generator, configurations=before.samples[-1], **options)
        began = time.perf_counter()
        found = measure(state, trap, generator=generator, configurations=fit.configurations, samples=looks)
        seconds = f"{fit.seconds:.0f} | {time.perf_counter() - began:.0f}"
        energies = f"{before.energy!r} | {found.energy!r} | {found.energy.variance:.2g}"
        print(
            f"| {electrons} | {steps} of {chains} | {seconds} | {energies} | {DMC[electrons, 1.0]} |",
            flush=True,
        )
        small = state
    return found


def density() -> None:
    """The density of thirty electrons, omega = 1: Boltzmann machine, with Pade factor, network."""
    import torch

    import nnbook
    from nnbook.quantum_dots import Trap, boltzmann, measure, radial_density, train

    nnbook.start(seed=1, quiet=True)
    trap, columns, began = Trap(30), {}, time.perf_counter()
    for name, pade in (("RBM", False), ("RBM + Padé", True)):
        generator = torch.Generator().manual_seed(1)
        state = boltzmann(trap, pade=pade, generator=generator)
        options = {"steps": 150, "chains": 300, "rate": 0.1, "clip": 5.0 if pade else None}
        fit = train(state, trap, generator=generator, **options)
        columns[name] = measure(
            state, trap, generator=generator, configurations=fit.configurations, samples=50
        )
        tail = fit.history["value"]
        print(
            f"{name}: {columns[name].energy!r}; steps {tail[-40:-20].mean():.3f}, {tail[-20:].mean():.3f}",
            flush=True,
        )
    columns["network"] = grow(((6, 150, 400, 20), (12, 60, 200, 10), (30, 100, 200, 60)))
    place = Path(__file__).parents[1] / "nnbook" / "quantum_dots.csv"
    with place.open("w", newline="") as file:
        print(
            "# Density of thirty electrons, omega = 1, in units of the trap, and energies in hartree.",
            file=file,
        )
        today = f"{time.strftime('%Y-%m-%d')}, {(time.perf_counter() - began) / 60:.0f} minutes"
        print(f"# python benchmarks/dots.py density; {today}", file=file)
        for name, found in columns.items():
            print(f"# {name}: {found.energy.mean:.4f} {found.energy.error:.4f}", file=file)
        profiles = [radial_density(found.samples, 60, reach=6.0) for found in columns.values()]
        rows = zip(profiles[0][0], *(profile for _, profile in profiles), strict=True)
        write = csv.writer(file, lineterminator="\n")
        write.writerow(["r", *columns])
        write.writerows([[f"{value:.4f}" for value in row] for row in rows])


def plain(electrons: int, *, walkers: int = 1000, steps: int = 50) -> None:
    """The state of :func:`netket` with this book: its lowest energy is that of bosons."""
    import torch

    import nnbook
    from nnbook.quantum_dots import Gaussian, Jastrow, Pade, Product, Radial, Trap, train

    nnbook.start(seed=1, quiet=True)
    generator, trap = torch.Generator().manual_seed(1), Trap(electrons)
    pade = Jastrow(trap, [Pade(cusp) for cusp in trap.cusps])
    pairs = Jastrow(trap, [Radial(16, "jastrow", generator=generator) for _ in trap.cusps])
    state = Product(Gaussian(), pade, pairs)
    fit = train(state, trap, generator=generator, steps=steps, chains=walkers)
    print(f"ours, {electrons} electrons: {1e3 * fit.seconds / steps:.0f} ms a step, {fit.value:.4f}")


def netket(electrons: int, omega: float = 1.0, *, walkers: int = 1000, steps: int = 50) -> None:
    """NetKet's continuous-space Monte Carlo with a Gaussian and a pair network of 16 units."""
    import flax.linen as nn
    import jax.numpy as jnp
    import netket as nk

    space = nk.experimental.geometry.FreeSpace(d=2)
    hilbert = nk.experimental.hilbert.Particle(N=electrons, geometry=space)

    def potential(x):  # type: ignore[no-untyped-def]
        r = x.reshape(electrons, 2)
        first, second = jnp.triu_indices(electrons, 1)
        apart = jnp.linalg.norm(r[first] - r[second], axis=-1)
        return 0.5 * omega**2 * jnp.sum(x**2) + jnp.sum(1 / apart)

    class State(nn.Module):
        @nn.compact
        def __call__(self, x):  # type: ignore[no-untyped-def]
            r = x.reshape(*x.shape[:-1], electrons, 2)
            first, second = jnp.triu_indices(electrons, 1)
            apart = jnp.linalg.norm(r[..., first, :] - r[..., second, :], axis=-1)
            b = nn.softplus(self.param("b", nn.initializers.zeros, ()))
            units = nn.tanh(nn.Dense(16, param_dtype=float)((apart**2 / (1 + apart))[..., None]))
            pair = apart / (1 + b * apart) + nn.Dense(1, use_bias=False, param_dtype=float)(units)[..., 0]
            return -0.5 * omega * jnp.sum(x**2, -1) + jnp.sum(pair, -1)

    energy = nk.operator.KineticEnergy(hilbert, mass=1.0) + nk.operator.PotentialEnergy(hilbert, potential)
    sampler = nk.sampler.MetropolisGaussian(hilbert, sigma=0.4, n_chains=walkers, sweep_size=2 * electrons)
    state = nk.vqs.MCState(sampler, State(), n_samples=walkers, n_discard_per_chain=10)
    driver = nk.driver.VMC(
        energy,
        nk.optimizer.Sgd(0.05),
        variational_state=state,
        preconditioner=nk.optimizer.SR(diag_shift=1e-3),
    )
    driver.run(1, out=None, show_progress=False)  # compiles
    began = time.perf_counter()
    driver.run(steps, out=None, show_progress=False)
    seconds = time.perf_counter() - began
    step = f"{1e3 * seconds / steps:.0f} ms a step"
    print(f"NetKet {nk.__version__}, {electrons} electrons: {step}, {driver.energy}")


def main() -> None:
    """See the module's docstring."""
    what = sys.argv[1:] or ["all"]
    if what[0] in ("grow", "density"):
        (grow if what[0] == "grow" else density)()
        return
    if what[0] in ("netket", "plain"):
        for electrons in (2, 6):
            (netket if what[0] == "netket" else plain)(electrons)
        return
    print(
        "| N | omega | training, s | ms a step | measuring, s | E | variance | DMC |\n" + "| --- " * 8 + "|"
    )
    rows = [(6, 1.0), (6, 0.5), (6, 0.1)] if what[0] == "all" else [(6, float(what[1]))]
    for electrons, omega in rows:
        ours(electrons, omega, steps=400, chains=1000, looks=150)
    if what[0] == "all":
        ours(12, 1.0, steps=200, chains=500, looks=60)


if __name__ == "__main__":
    main()

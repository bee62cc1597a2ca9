"""Variational Monte Carlo side by side with NetKet: the critical Ising chain of 20 spins.

Both train a restricted Boltzmann machine with as many hidden units as spins (440 parameters) by stochastic
reconfiguration on 1008 samples a step, with all processors. Printed are the seconds until the energy,
averaged over ten steps, is within 1/1000 of the exact one, compilation included and imports not, and the
seconds of one later step.

    python benchmarks/vmc.py [python that has netket]

NetKet is never a requirement of the book: install it in an environment of its own (``pip install netket``)
and name its interpreter; without one, our half runs alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import numpy as np

SITES, FIELD, SAMPLES, STEPS, THREADS = 20, 1.0, 1008, 300, os.cpu_count() or 1


def report(name: str, seconds: list[float], energies: list[float], exact: float) -> None:
    """One line: time to 1/1000, time of a step, error of the last fifty steps."""
    error = np.convolve(np.array(energies) / exact, np.ones(10) / 10, mode="valid")
    good = np.flatnonzero(np.abs(1 - error) < 1e-3)
    reached = f"{seconds[good[0] + 9]:.2f} s" if len(good) else "never"
    step = np.median(np.diff(seconds)[50:])
    final = abs(1 - np.mean(energies[-50:]) / exact)
    line = f"{name:12} to 1e-3: {reached:>8}   a step: {1000 * step:5.1f} ms   last error: {final:.1e}"
    print(line, flush=True)


def ours() -> tuple[list[float], list[float]]:
    """Seconds and energies of each step of nnbook."""
    import nnbook
    from nnbook.quantum_states import RestrictedBoltzmannMachine, chain, ising
    from nnbook.train.sampled import optimise

    began = time.perf_counter()
    run = nnbook.start(seed=1, quiet=True, device="cpu", threads=THREADS)
    state = RestrictedBoltzmannMachine(SITES, SITES, generator=run.generator)
    before = time.perf_counter() - began
    fit = optimise(
        state, ising(chain(SITES), field=FIELD), chains=SAMPLES, steps=STEPS, generator=run.generator
    )
    return [before + s for s in fit.history["seconds"]], list(fit.history["value"])


NETKET = f"""
import json, time
import netket as nk
began = time.perf_counter()
graph = nk.graph.Chain({SITES})
hilbert = nk.hilbert.Spin(0.5, {SITES})
hamiltonian = nk.operator.IsingJax(hilbert, graph, h={FIELD}, J=-1.0)
sampler = nk.sampler.MetropolisLocal(hilbert, n_chains=16)
state = nk.vqs.MCState(sampler, nk.models.RBM(alpha=1, param_dtype=float), n_samples={SAMPLES}, seed=1)
driver = nk.driver.VMC_SR(hamiltonian, nk.optimizer.Sgd(0.02), variational_state=state, diag_shift=0.01)
seconds, energies = [], []
def note(step, log_data, driver):
    energies.append(float(log_data["Energy"].mean.real))
    seconds.append(time.perf_counter() - began)
    return True
driver.run({STEPS}, out=None, callback=note, show_progress=False)
print(json.dumps([seconds, energies]))
"""


def netket(python: str) -> tuple[list[float], list[float]]:
    """The same of NetKet, in a process of its own."""
    done = subprocess.run([python, "-c", NETKET], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"NetKet failed in {python}:\n{done.stderr[-2000:]}")
    seconds, energies = json.loads(done.stdout.splitlines()[-1])
    return seconds, energies


if __name__ == "__main__":
    k = (2 * np.arange(SITES) + 1) * np.pi / SITES
    exact = float(-np.sqrt(1 + FIELD**2 - 2 * FIELD * np.cos(k)).sum())
    report("nnbook", *ours(), exact)
    if len(sys.argv) > 1:
        report("NetKet", *netket(sys.argv[1]), exact)

r"""Variational Monte Carlo for spins: local energies, training, measurement.

With samples s of :math:`|\psi|^2`, the energy is the mean of the local energy

.. math:: E_{\text{loc}}(s) = \frac{(H\psi)(s)}{\psi(s)}
          = H_{ss} + \sum_{s' \ne s} H_{ss'} \frac{\psi(s')}{\psi(s)} .

For an exact eigenstate it is the same for all s, so that the variance of the energy falls to zero with its
error. Training follows :mod:`nnbook.train.reconfiguration`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed
from tqdm.auto import tqdm

from nnbook.networks import assign, flatten
from nnbook.runtime import watched
from nnbook.sample.estimates import Estimate, estimate
from nnbook.sample.metropolis import Chains, metropolis
from nnbook.spins.hamiltonians import SpinHamiltonian
from nnbook.spins.states import LogState
from nnbook.spins.walkers import SpinWalkers
from nnbook.train.loop import Fit, read_checkpoint, write_checkpoint
from nnbook.train.reconfiguration import Form, natural_step


def random_spins(hamiltonian: SpinHamiltonian, chains: int, *, generator: torch.Generator) -> Tensor:
    """Random configurations ``(chains, N)``, of zero magnetisation where the Hamiltonian conserves it.

    Raises:
        ValueError: fewer than one chain, or an odd number of spins that should have zero magnetisation.
    """
    sites = hamiltonian.sites
    if chains < 1:
        raise ValueError(
            f"chains: got {chains}, expected at least 1; some hundreds cost little more than one"
        )
    order = torch.rand(chains, sites, generator=generator, dtype=torch.float64)
    if not hamiltonian.exchanges:
        return 1 - 2 * (order < 0.5).double()
    return 1 - 2 * (order.argsort(1).argsort(1) < sites // 2).double()


def local_energies(hamiltonian: SpinHamiltonian, walkers: SpinWalkers) -> Tensor:
    """The local energy of the present configuration of each chain, ``(chains,)``; complex where psi is."""
    spins = walkers.configurations
    return hamiltonian.diagonal(spins) + (hamiltonian.elements(spins) * walkers.ratios()).sum(1)


@dataclass(frozen=True, eq=False)
class Training(Fit):
    """A :class:`~nnbook.train.loop.Fit` that also knows where its chains ended.

    Attributes:
        spins: the last configurations ``(chains, N)``, at equilibrium: the place to start a measurement.
    """

    spins: Tensor = field(repr=False)


@dataclass
class _Progress:
    """Where a run stands: all that the next step depends on."""

    state: LogState
    hamiltonian: SpinHamiltonian
    walkers_at: Tensor
    generator: torch.Generator
    log: list[tuple[float, float, float, float, float]]

    @property
    def problem(self) -> str:
        h, lattice = self.hamiltonian, self.hamiltonian.lattice
        return f"{h.name} (moves {h.amplitude}) on {lattice.shape}, {lattice.boundary}"

    def record(self) -> dict[str, Any]:
        return {
            "problem": self.problem,
            "params": flatten(self.state),
            "spins": self.walkers_at,
            "generator": self.generator.get_state(),
            "log": self.log,
        }

    def load(self, path: Path) -> None:
        saved = read_checkpoint(path)
        params = flatten(self.state)
        got, expected = (
            f"{len(p)} parameters of {p.dtype} and chains {tuple(spins.shape)} for {problem}"
            for p, spins, problem in (
                (saved["params"], saved["spins"], saved["problem"]),
                (params, self.walkers_at, self.problem),
            )
        )
        if got != expected:
            raise ValueError(
                f"checkpoint: {path} holds {got}, expected {expected}; delete the file or name another"
            )
        assign(self.state, saved["params"].to(params))
        self.walkers_at = saved["spins"].to(self.walkers_at)
        self.generator.set_state(saved["generator"])
        self.log = [tuple(row) for row in saved["log"]]


def optimise(
    state: LogState,
    hamiltonian: SpinHamiltonian,
    *,
    generator: torch.Generator,
    chains: int = 500,
    steps: int = 300,
    rate: float | Callable[[int], float] = 0.1,
    trust: float = 0.05,
    shift: float = 1e-3,
    relative: float = 1e-3,
    sweeps: int = 1,
    form: Form = "auto",
    spins: Tensor | None = None,
    checkpoint: str | Path | None = None,
    every: int = 50,
    label: str = "VMC",
) -> Training:
    r"""Minimise the energy of a state, which is changed in place, by stochastic reconfiguration.

    Each step moves the chains by some sweeps, looks at each chain once, and changes the parameters by
    :math:`-\eta\,\delta` of :func:`~nnbook.train.reconfiguration.natural_step`. The rate :math:`\eta` is cut
    back where the step would turn the state by more than ``trust``: S describes the state near the present
    parameters only.

    When ``torch.distributed`` is initialised, each rank runs its own chains, from its own generator, and all
    ranks take the same step from all samples. Start them with equal parameters; chains are counted per rank.

    Args:
        state: any :class:`~nnbook.spins.states.LogState`.
        hamiltonian: see :mod:`nnbook.spins.hamiltonians`.
        generator: source of the random numbers.
        chains: number of chains, which is also the number of samples a step.
        steps: steps in all, those before a resume included.
        rate: :math:`\eta`, a number or a function of the step.
        trust: largest angle of a step, in radians.
        shift, relative, form: see :func:`~nnbook.train.reconfiguration.natural_step`.
        sweeps: sweeps of N proposals between two steps.
        spins: where the chains start, ``(chains, N)``, instead of random configurations; ``chains`` is not
            used then.
        checkpoint: file that is written every ``every`` steps, atomically; if it exists, the run goes on from
            there and ends with the same numbers as one that was never interrupted. One file a rank.
        every: see ``checkpoint``.
        label: name on the progress bar, which shows in a terminal and in Jupyter only.

    Returns:
        The :class:`Training`; its value is the last mean energy, and its history has the extra
        arrays ``"error"``, ``"variance"`` and ``"acceptance"``.

    Raises:
        ValueError: a count below 1, a checkpoint of another run.
        FloatingPointError: an energy that is not finite; the parameters are those before that step.
    """
    _check_counts(steps=steps, sweeps=sweeps, every=every)
    start = random_spins(hamiltonian, chains, generator=generator) if spins is None else spins
    run = _Progress(state, hamiltonian, start.to(flatten(state).device), generator, [])
    path = Path(checkpoint) if checkpoint else None
    if path and path.exists():
        run.load(path)
    else:
        _advance(run, 10)
    began = time.perf_counter() - (run.log[-1][0] if run.log else 0.0)
    for step in tqdm(range(len(run.log), steps), desc=label, disable=not watched()):
        walkers, chain = _advance(run, sweeps)
        energies = _all_ranks(local_energies(hamiltonian, walkers))
        _check_finite(energies, step)
        derivatives = _all_ranks(state.derivatives(walkers.configurations))
        delta, angle = natural_step(derivatives, energies, shift=shift, relative=relative, form=form)
        eta = rate(step) if callable(rate) else rate
        assign(state, flatten(state) - min(eta, trust / max(angle, 1e-30)) * delta)
        mean, variance = float(energies.real.mean()), float(energies.real.var())
        error = math.sqrt(variance / len(energies))
        run.log.append((time.perf_counter() - began, mean, error, variance, chain.acceptance))
        if path and (step + 1) % every == 0:
            write_checkpoint(path, run.record())
    if path:
        write_checkpoint(path, run.record())
    columns = np.array(run.log, dtype=float).T
    history = dict(zip(("seconds", "value", "error", "variance", "acceptance"), columns, strict=True))
    history = {"step": np.arange(len(run.log), dtype=float), **history}
    return Training(run.log[-1][1], len(run.log), True, "all steps done", history, run.walkers_at)


def _advance(run: _Progress, sweeps: int) -> tuple[SpinWalkers, Chains]:
    walkers = run.state.walkers(run.walkers_at, run.hamiltonian.moves)
    proposals = sweeps * run.hamiltonian.sites
    chain = metropolis(walkers, samples=1, sweep=proposals, generator=run.generator)
    run.walkers_at = walkers.configurations
    return walkers, chain


def _all_ranks(values: Tensor) -> Tensor:
    """The rows of all ranks, in the same order on each; they have as many rows each."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return values
    parts = [torch.empty_like(values) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, values.contiguous())
    return torch.cat(parts)


def _check_finite(energies: Tensor, step: int) -> None:
    if not bool(torch.isfinite(torch.view_as_real(energies) if energies.is_complex() else energies).all()):
        raise FloatingPointError(
            f"local energies are not finite at step {step}; the parameters are those before it. Try a "
            "smaller rate or trust, or a larger shift"
        )


def _check_counts(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name}: got {count}, expected at least 1")


@dataclass(frozen=True)
class Measurement:
    """The energy of a state and what else the samples tell.

    Attributes:
        energy: mean local energy with its error.
        v_score: :math:`N \\operatorname{Var}(E_{\\text{loc}}) / \\bar E^2`, zero for an eigenstate;
            comparable between models and sizes :cite:p:`wu2024`.
        samples: configurations ``(samples, chains, N)``.
        energies: local energies ``(samples, chains)``.
        acceptance: the fraction of accepted proposals.
    """

    energy: Estimate
    v_score: float
    samples: Tensor
    energies: Tensor
    acceptance: float

    def __repr__(self) -> str:
        return f"{self.energy!r}, V-score {self.v_score:.1e}, acceptance {self.acceptance:.2f}"


@torch.no_grad()
def measure(
    state: LogState,
    hamiltonian: SpinHamiltonian,
    *,
    generator: torch.Generator,
    chains: int = 500,
    samples: int = 200,
    warm_up: int = 50,
    spins: Tensor | None = None,
) -> Measurement:
    """Sample a state and estimate its energy.

    Args:
        state: any :class:`~nnbook.spins.states.LogState`.
        hamiltonian: see :mod:`nnbook.spins.hamiltonians`.
        generator: source of the random numbers.
        chains: number of chains, not used where ``spins`` says where they start.
        samples: looks at each chain, one sweep apart.
        warm_up: sweeps before the first look.
        spins: where the chains start, ``(chains, N)``, instead of random ones, which need long to
            forget it where domain walls have to find each other; best the ``spins`` of a :class:`Training`.

    Raises:
        ValueError: a count below 1 (``warm_up``: below 0).
    """
    _check_counts(chains=chains, samples=samples)
    if warm_up < 0:
        raise ValueError(f"warm_up: got {warm_up}, expected at least 0")
    start = random_spins(hamiltonian, chains, generator=generator) if spins is None else spins
    walkers = state.walkers(start.to(flatten(state).device), hamiltonian.moves)
    sites, seen, values, hits = hamiltonian.sites, [], [], 0.0
    metropolis(walkers, samples=1, sweep=max(1, warm_up * sites), generator=generator)
    for _ in tqdm(range(samples), desc="measure", disable=not watched()):
        chain = metropolis(walkers, samples=1, sweep=sites, generator=generator)
        seen.append(chain.samples[0])
        values.append(local_energies(hamiltonian, walkers).real)
        hits += chain.acceptance
    energies = torch.stack(values)
    energy = estimate(energies)
    score = sites * energy.variance / energy.mean**2
    return Measurement(energy, score, torch.stack(seen), energies, hits / samples)

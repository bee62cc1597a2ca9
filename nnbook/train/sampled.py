r"""Variational Monte Carlo: training and measurement of what can only be sampled.

With samples x of :math:`|\psi|^2`, the energy is the mean of the local energy

.. math:: E_{\text{loc}}(x) = \frac{(H\psi)(x)}{\psi(x)} .

For an exact eigenstate it is the same for all x, so that the variance of the energy falls to zero with its
error. Training follows :mod:`nnbook.train.reconfiguration`. What a configuration is, spins on a lattice or
electrons in space, is the business of the :class:`Hamiltonian` and the :class:`LogState`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from nnbook.arrays import check_counts, finite, positive
from nnbook.networks import Parametrised, flatten
from nnbook.runtime import small_networks
from nnbook.sample.estimates import Estimate, warn_of
from nnbook.sample.metropolis import Walkers, metropolis
from nnbook.train.loop import Fit, run
from nnbook.train.reconfiguration import Form, Reconfiguration, Smoothing

W = TypeVar("W", bound=Walkers)


class LogState(Parametrised, Protocol):
    r"""A wave function by its logarithm, :math:`\log\psi`, and its parameters."""

    def derivatives(self, configurations: Tensor, /) -> Tensor:
        r""":math:`\partial\log\psi/\partial\theta_k` ``(batch, parameters)``, in the order of ``flatten``."""


class Hamiltonian(Protocol[W]):
    """What sampling has to know of a Hamiltonian.

    Every implementation stands to one contract: the local energies of an eigenstate are its energy, whatever
    the configuration, and equal labels mean equal local energies.
    """

    @property
    def label(self) -> str:
        """Which Hamiltonian this is, down to each coupling; equal for equal ones only."""

    @property
    def size(self) -> int:
        """Degrees of freedom, the proposals of a sweep."""

    def start(
        self, chains: int, /, *, generator: torch.Generator, device: torch.device | str | None = None
    ) -> Tensor:
        """Random configurations ``(chains, ...)``."""

    def walkers(self, state: Any, configurations: Tensor, /) -> W:
        """Chains that sample the square of a state."""

    def local_energies(self, walkers: W, /) -> Tensor:
        """The local energy of the present configuration of each chain, ``(chains,)``."""

    @property
    def bounds(self) -> tuple[float, float]:
        """Two numbers that no energy lies outside of; infinite where none is known."""


@dataclass(frozen=True, eq=False, repr=False)
class Training(Fit):
    """A :class:`~nnbook.train.loop.Fit` that also knows where its chains ended.

    Attributes:
        configurations: the last ones ``(chains, ...)``, at equilibrium: the place to start a measurement.
        doubts: why its chains cannot be trusted, each with a remedy; empty if nothing speaks against them.
    """

    configurations: Tensor
    doubts: tuple[str, ...] = ()


def optimise(
    state: LogState,
    hamiltonian: Hamiltonian[W],
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
    momentum: float = 0.0,
    clip: float | None = None,
    average: int = 1,
    configurations: Tensor | None = None,
    hold: Tensor | None = None,
    checkpoint: str | Path | None = None,
    every: int = 50,
    label: str = "VMC",
) -> Training:
    r"""Minimise the energy of a state, which is changed in place, by stochastic reconfiguration.

    Each step changes the parameters by :math:`-\eta\,\delta` of
    :func:`~nnbook.train.reconfiguration.natural_step`, moves the chains by some sweeps and looks at each
    once. The rate :math:`\eta` is cut back where the step would turn the state by more than ``trust``: S
    describes the state near the present parameters only.

    When ``torch.distributed`` is initialised, each rank runs its own chains, from its own generator, and all
    ranks take the same step from all samples. Start them with equal parameters; chains are counted per rank.

    Args:
        state: a :class:`LogState`.
        hamiltonian: a :class:`Hamiltonian`.
        generator: source of the random numbers.
        chains: number of chains, which is also the number of samples a step.
        steps: steps in all, those before a resume included.
        rate: :math:`\eta`, a number or a function of the step.
        trust: largest angle of a step, in radians.
        shift, relative, form: see :func:`~nnbook.train.reconfiguration.natural_step`.
        sweeps: sweeps of ``hamiltonian.size`` proposals between two steps.
        momentum: fraction of the last step that the next one starts from; see
            :func:`~nnbook.train.reconfiguration.natural_step`.
        clip: local energies further from their median than this many median deviations are drawn in before
            they exert a force, for electrons that meet by chance. The values of the history are not clipped.
        average: the parameters that are left are the mean of those of so many last steps; the chains, and the
            values of the history, still belong to the last one.
        configurations: where the chains start, ``(chains, ...)``, instead of random ones; ``chains`` is not
            used then.
        hold: configurations ``(n, ...)`` that the chains do not visit. Each counts in S as one sample does
            and exerts no force, so that a small shift does not let the state change there unseen. Use them
            beside many chains: where they outweigh the samples, training is unstable.
        checkpoint, every, label: see :func:`nnbook.train.loop.run`; one file a rank.

    Returns:
        The :class:`Training`; its values are mean energies, of the chains after each step, and its history
        has the extra arrays ``"error"``, ``"variance"`` and ``"acceptance"``. A warning tells of chains that
        hardly move or of an energy that no state has, as do the ``doubts``.

    Raises:
        ValueError: a count below 1, a rate or a trust that is negative or not finite, configurations that the
            Hamiltonian does not take, a checkpoint of another problem.
    """
    check_counts(steps=steps, sweeps=sweeps, average=average)
    positive("trust", trust)
    finite("momentum", momentum, least=0, most=1)
    if clip is not None:
        positive("clip", clip)
    rate = rate if callable(rate) else finite("rate", rate, least=0)
    start = hamiltonian.start(chains, generator=generator) if configurations is None else configurations
    options = {"shift": shift, "relative": relative, "form": form}
    smooth = Smoothing(momentum, clip, average)
    training = Reconfiguration(
        state, hamiltonian, start, hold, generator, steps, rate, trust, sweeps, options, smooth
    )
    fit = run(training, label=label, steps=steps, checkpoint=checkpoint, every=every)
    training.settle()
    acceptance = fit.history.get("acceptance", np.ones(1))[-100:]
    proposals = len(acceptance) * sweeps * hamiltonian.size
    doubts = _doubts(hamiltonian, fit.value, float(acceptance.mean()), proposals)
    warn_of(doubts, "optimise")
    return Training(**vars(fit), configurations=training.configurations, doubts=doubts)


def _doubts(hamiltonian: Hamiltonian[W], energy: float, acceptance: float, proposals: int) -> tuple[str, ...]:
    """What speaks against chains of so many proposals each."""
    low, high = hamiltonian.bounds
    slack = 1e-6 * (high - low) if high - low < math.inf else 0.0
    doubts = []
    if not low - slack <= energy <= high + slack:
        doubts.append(
            f"no energy of {hamiltonian.label} is {energy:.6g}, all lie from {low:g} to {high:g}; the state "
            "nearly vanishes where the chains are, give it another start, or signs"
        )
    if proposals >= 100 and acceptance * proposals < 1:
        doubts.append(
            f"the acceptance is {acceptance:.1g}, a chain moved less than once in its {proposals} proposals; "
            "look longer, start elsewhere or use a smoother state"
        )
    return tuple(doubts)


@dataclass(frozen=True, eq=False)
class Measurement:
    """The energy of a state and what else the samples tell.

    Attributes:
        energy: mean local energy with its error.
        v_score: :math:`N \\operatorname{Var}(E_{\\text{loc}}) / \\bar E^2`, zero for an eigenstate;
            comparable between models and sizes :cite:p:`wu2024`.
        samples: configurations ``(samples, chains, ...)``.
        energies: local energies ``(samples, chains)``.
        acceptance: the fraction of accepted proposals.
        doubts: why the energy cannot be trusted, each with a remedy, those of ``energy`` among them; empty if
            nothing speaks against it.
    """

    energy: Estimate
    v_score: float
    samples: Tensor
    energies: Tensor
    acceptance: float
    doubts: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"{self.energy!r}, V-score {self.v_score:.1e}, acceptance {self.acceptance:.2f}"


@torch.no_grad()
def measure(
    state: LogState,
    hamiltonian: Hamiltonian[W],
    *,
    generator: torch.Generator,
    chains: int = 500,
    samples: int = 200,
    warm_up: int = 50,
    configurations: Tensor | None = None,
) -> Measurement:
    """Sample a state and estimate its energy; warns of what ``doubts`` of the :class:`Measurement` names.

    Args:
        state: a :class:`LogState`.
        hamiltonian: a :class:`Hamiltonian`.
        generator: source of the random numbers.
        chains: number of chains, not used where ``configurations`` says where they start.
        samples: looks at each chain, one sweep apart.
        warm_up: sweeps before the first look.
        configurations: where the chains start, ``(chains, ...)``, instead of random ones, which need long to
            forget it where domain walls have to find each other; best those of a :class:`Training`.

    Raises:
        ValueError: a count below 1 (``warm_up``: below 0).
    """
    check_counts(chains=chains, samples=samples)
    start = hamiltonian.start(chains, generator=generator) if configurations is None else configurations
    with small_networks():
        seen = metropolis(
            hamiltonian.walkers(state, start.to(flatten(state).device)),
            samples=samples,
            sweep=hamiltonian.size,
            generator=generator,
            warm_up=warm_up,
            observe=lambda walkers: hamiltonian.local_energies(walkers).real,
            label="measure",
        )
    energies = seen.observed
    assert energies is not None
    energy = Estimate.of(energies)
    score = hamiltonian.size * energy.variance / energy.mean**2 if energy.variance else 0.0
    own = _doubts(hamiltonian, energy.mean, seen.acceptance, samples * hamiltonian.size)
    warn_of(doubts := (*own, *energy.doubts), "measure")
    return Measurement(energy, score, seen.samples, energies, seen.acceptance, doubts)

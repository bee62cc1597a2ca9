r"""Electrons in a harmonic trap.

In atomic units :math:`H = \sum_i (-\tfrac12\Delta_i + \tfrac12\omega^2 r_i^2) + \sum_{i<j} 1/r_{ij}`.
Positions are in units of the trap, :math:`x = \sqrt\omega\, r`, where

.. math:: \frac{H}{\omega} = \sum_i \bigl( -\tfrac12 \Delta_i + \tfrac12 x_i^2 \bigr)
          + \frac{1}{\sqrt\omega} \sum_{i<j} \frac{1}{x_{ij}} ,

so that one state starts well for every :math:`\omega`. Energies are in hartree.
"""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from nnbook.arrays import check_counts, check_values, positive
from nnbook.continuum.local_energy import kinetic
from nnbook.continuum.states import Product
from nnbook.sample.walkers import GaussianWalkers
from nnbook.train.sampled import Hamiltonian, Training, optimise


class Split(NamedTuple):
    """The parts of the local energy, each ``(batch,)``, in hartree."""

    kinetic: Tensor
    trap: Tensor
    repulsion: Tensor


class Electrons(GaussianWalkers):
    """Chains that weigh their moves in single precision, which no mean can tell.

    Attributes:
        state: what they sample, in its own precision.
    """

    def __init__(self, state: Product, configurations: Tensor, step: float) -> None:
        self.state, rough = state, copy.deepcopy(state).float()
        super().__init__(lambda x: rough(x.float()).double(), configurations, step)

    def _noise(self, generator: torch.Generator) -> Tensor:
        shape, device = self._here.shape, generator.device
        return torch.randn(shape, generator=generator, dtype=torch.float32, device=device).to(self._here)


@dataclass(frozen=True)
class Trap:
    """Electrons in full shells of a harmonic trap; a :class:`nnbook.train.sampled.Hamiltonian`.

    Attributes:
        electrons: N, half of them with spin up; full shells are 2, 6, 12, 20, 30 in two dimensions and
            2, 8, 20, 40 in three.
        omega: frequency.
        dim: 2 or 3.
        stride: width of a move, in units of the trap, times the root of the number of coordinates.

    Raises:
        ValueError: another number of electrons, or none that can be split into equal halves; a frequency or a
            stride that is not above zero; another dimension.

    >>> Trap(6, omega=0.5).label
    '6 electrons, omega=0.5, dim=2'
    """

    electrons: int
    omega: float = 1.0
    dim: int = 2
    stride: float = 1.1

    def __post_init__(self) -> None:
        check_counts(electrons=self.electrons, dim=self.dim)
        positive("omega", self.omega)
        positive("stride", self.stride)
        if self.dim not in (2, 3):
            raise ValueError(f"dim: got {self.dim}, expected 2 or 3")
        if self.electrons % 2:
            raise ValueError(
                f"electrons: got {self.electrons}, expected an even number, as many with spin up as down"
            )
        full = [2 * math.comb(k + self.dim, self.dim) for k in range(9)]
        if self.electrons not in full:
            raise ValueError(
                f"electrons: got {self.electrons}, expected full shells in {self.dim} dimensions: "
                + ", ".join(map(str, full[:5]))
            )

    @property
    def coupling(self) -> float:
        """Strength of the repulsion in units of the trap, one over the root of omega."""
        return 1 / math.sqrt(self.omega)

    @property
    def cusps(self) -> tuple[float, ...]:
        """Slopes of ln psi where two electrons meet, for opposite and for equal spins :cite:p:`kato1957`."""
        slopes = (self.coupling / (self.dim - 1), self.coupling / (self.dim + 1))
        return slopes[: 1 if self.electrons == 2 else 2]

    @property
    def scale(self) -> float:
        """The unit of energy, omega."""
        return self.omega

    @property
    def label(self) -> str:
        """Which system this is."""
        return f"{self.electrons} electrons, omega={self.omega!r}, dim={self.dim}"

    @property
    def size(self) -> int:
        """Coordinates, which is also the number of moves of a sweep."""
        return self.electrons * self.dim

    @property
    def bounds(self) -> tuple[float, float]:
        """No energy lies below that of electrons which do not repel each other."""
        shells = itertools.accumulate(math.comb(k + self.dim - 1, self.dim - 1) for k in range(9))
        filled, lowest, done = self.electrons // 2, 0.0, 0
        for k, count in enumerate(shells):
            if done >= filled:
                break
            lowest, done = lowest + 2 * (min(count, filled) - done) * (k + self.dim / 2), count
        return lowest * self.omega, math.inf

    def start(
        self, chains: int, *, generator: torch.Generator, device: torch.device | str | None = None
    ) -> Tensor:
        """Random positions ``(chains, N, dim)``."""
        check_counts(chains=chains)
        shape = (chains, self.electrons, self.dim)
        spread = 0.7 + 0.15 * self.electrons**0.5
        drawn = torch.randn(shape, generator=generator, dtype=torch.float64, device=generator.device)
        positions: Tensor = spread * drawn.to(device)
        return positions

    def walkers(self, state: Product, configurations: Tensor) -> Electrons:
        """Chains that sample the square of a state."""
        check_values("configurations", configurations, ("chains", self.electrons, self.dim))
        check_counts(chains=len(configurations))
        state.check(configurations)
        return Electrons(state, configurations, self.stride / self.size**0.5)

    def split(self, state: Product, x: Tensor) -> Split:
        """Kinetic energy, energy in the trap and repulsion at positions ``(batch, N, dim)``."""
        check_values("x", x, ("batch", self.electrons, self.dim))
        motion = self.omega * kinetic(state.jet(x))
        first, second = torch.triu_indices(self.electrons, self.electrons, 1, device=x.device)
        apart = (x[:, first] - x[:, second]).square().sum(-1).rsqrt().sum(1)
        trap = 0.5 * self.omega * x.square().sum((1, 2))
        return Split(motion, trap, self.omega * self.coupling * apart)

    def smooth_repulsion(self, state: Product, x: Tensor) -> Tensor:
        r"""The repulsion from slopes of the state, ``(batch,)``, in hartree.

        In a mean over :math:`|\psi|^2` it may stand for :math:`1/r`, since
        :math:`\nabla\cdot\hat r = (d-1)/r`,

        .. math:: \Bigl\langle \frac1r \Bigr\rangle = -\frac{1}{d-1} \bigl\langle \hat r_{ij} \cdot
                  (\nabla_i - \nabla_j) \ln|\psi| \bigr\rangle .

        It stays finite where electrons meet. The square of :math:`1/r` has no mean in two dimensions, so that
        an error bar of a mean of :math:`1/r` means little.
        """
        check_values("x", x, ("batch", self.electrons, self.dim))
        first, second = torch.triu_indices(self.electrons, self.electrons, 1, device=x.device)
        slope, apart = state.jet(x).gradient, x[:, first] - x[:, second]
        along = ((slope[:, first] - slope[:, second]) * nn.functional.normalize(apart, dim=-1)).sum((1, 2))
        return -self.omega * self.coupling / (self.dim - 1) * along

    def local_energies(self, walkers: Electrons) -> Tensor:
        """The local energy of each chain, ``(chains,)``, in hartree."""
        return sum(
            self.split(walkers.state, walkers.configurations), torch.zeros(()).to(walkers.configurations)
        )


class Scaled(Hamiltonian[Electrons], Protocol):
    """A system with an energy of its own."""

    @property
    def scale(self) -> float:
        """That energy, in which rates are counted."""


def train(
    state: Product,
    system: Scaled,
    *,
    generator: torch.Generator,
    steps: int = 200,
    chains: int = 1000,
    rate: float = 0.1,
    trust: float = 0.1,
    shift: float = 1e-3,
    momentum: float = 0.9,
    clip: float | None = 5.0,
    configurations: Tensor | None = None,
    checkpoint: str | Path | None = None,
) -> Training:
    """Train a state, in place, by reconfiguration with momentum :cite:p:`goldshlager2024`.

    The rate, in units of one over the scale of the system, falls to 2 % of its first value; the parameters of
    the last tenth of the steps are averaged.

    Args:
        state, system: what is trained.
        generator, steps, chains, trust, configurations, checkpoint: see
            :func:`nnbook.train.sampled.optimise`.
        rate: the first rate.
        shift: of the matrix S, both absolute and relative.
        momentum: 0 for plain reconfiguration.
        clip: median deviations at which local energies are clipped. It biases the force of a state without
            cusps, whose local energies have a long tail; None is better there.
    """
    positive("rate", rate)
    check_counts(steps=steps, chains=chains)
    return optimise(
        state,
        system,
        generator=generator,
        chains=chains,
        steps=steps,
        rate=lambda step: rate / system.scale * 0.02 ** (step / steps),
        trust=trust,
        shift=shift,
        relative=shift,
        momentum=momentum,
        clip=clip,
        average=max(1, steps // 10),
        configurations=configurations,
        checkpoint=checkpoint,
        label=system.label,
    )

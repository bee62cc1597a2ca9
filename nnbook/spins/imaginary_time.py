r"""A deep Boltzmann machine that evolves a state in imaginary time, layer by layer.

.. math:: |\psi\rangle = \bigl(e^{-\delta H}\bigr)^M |+\rangle, \quad
          H = -\sum_{\langle ij\rangle} \sigma^z_i\sigma^z_j - h\sum_i\sigma^x_i

Write each factor as a product of exponentials of the two parts, and insert a sum over configurations between
them. Each configuration is a layer of hidden units: the field couples neighbouring layers, and the bonds
couple neighbours in a layer :cite:p:`carleo2018`. The network has no free parameters, and depth is
imaginary time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from nnbook.arrays import check_counts, positive
from nnbook.sample.clusters import cluster_sweep
from nnbook.spins.hamiltonians import SpinHamiltonian
from nnbook.spins.lattices import all_spins
from nnbook.spins.machines import BoltzmannMachine, pair_unit


@dataclass(frozen=True)
class ImaginaryTime:
    r"""The network for M steps of imaginary time :math:`\delta`, from the state with all spins along x.

    Layer 0 is the visible one, layer M the deepest. With the couplings

    .. math:: \langle s' | e^{\delta h \sigma^x} | s\rangle = C\, e^{g s s'}, \quad
              g = \tfrac12 \ln\coth(\delta h), \quad C^2 = \tfrac12 \sinh(2\delta h)

    the amplitude is the sum over all hidden layers of

    .. math:: \exp\Bigl(\sum_{k} \delta_k \sum_{\langle ij\rangle} s_i^k s_j^k
              + g \sum_{k,i} s_i^k s_i^{k+1}\Bigr)

    with :math:`\delta_k = \delta` inside. At first order :math:`\delta_0 = 0`, at second order
    :math:`\delta_0 = \delta_M = \delta/2` :cite:p:`suzuki1976`.

    Attributes:
        hamiltonian: an Ising model in a transverse field, from :func:`nnbook.spins.hamiltonians.ising`.
        step: :math:`\delta`.
        steps: M.
        order: of the splitting, 1 or 2.

    Raises:
        ValueError: another Hamiltonian, a field of zero, a step that is not positive, or steps that are no
            whole number above zero.
    """

    hamiltonian: SpinHamiltonian = field(repr=False)
    step: float
    steps: int
    order: Literal[1, 2] = 2

    def __post_init__(self) -> None:
        h = self.hamiltonian
        if not (h.uniform and not h.exchanges and h.coupling < 0 and h.amplitude < 0 and h.longitudinal == 0):
            raise ValueError(
                f"hamiltonian: got {h.name}, expected a ferromagnetic Ising model, uniform, in a transverse "
                "field above zero; with moves of two spins, or of the other sign, the couplings would not be "
                "real, and with no field infinite"
            )
        positive("step", self.step)
        check_counts(steps=self.steps)
        if self.order not in (1, 2):
            raise ValueError(f"order: got {self.order}, expected 1 or 2")

    @property
    def sites(self) -> int:
        """Number of spins N."""
        return self.hamiltonian.sites

    @property
    def time(self) -> float:
        """The total imaginary time."""
        return self.step * self.steps

    @property
    def depth_coupling(self) -> float:
        r"""g, between a unit and its copy one layer deeper; positive, and large for small steps."""
        return -0.5 * math.log(math.tanh(-self.step * float(self.hamiltonian.amplitude)))

    @cached_property
    def bond_couplings(self) -> list[float]:
        """The coupling of neighbours in each layer, from the visible one to the deepest."""
        full = -self.step * float(self.hamiltonian.coupling)
        if self.order == 1:
            return [0.0] + [full] * self.steps
        return [full / 2] + [full] * (self.steps - 1) + [full / 2]

    @property
    def log_constant(self) -> float:
        """The logarithm of C for each unit and step, and of the amplitude of the state along x."""
        twice = -2 * self.step * float(self.hamiltonian.amplitude)
        log_c = 0.5 * (twice + math.log(-math.expm1(-2 * twice))) - math.log(2)
        return self.sites * (self.steps * log_c - 0.5 * math.log(2))

    def amplitudes(
        self, *, dtype: torch.dtype = torch.float64, device: torch.device | str | None = None
    ) -> Tensor:
        """All amplitudes ``(2^N,)``, normalised; the layers are summed exactly, the deepest one first.

        Raises:
            ValueError: more configurations than can be enumerated.
        """
        spins = all_spins(self.sites, dtype=dtype, device=device)
        bonds = self.hamiltonian.diagonal(spins) / self.hamiltonian.coupling
        psi = torch.ones_like(bonds)
        for depth in range(self.steps, -1, -1):
            if depth < self.steps:
                psi = _sum_layer(psi, self.depth_coupling)
            psi = psi * (self.bond_couplings[depth] * (bonds - bonds.max())).exp()
            psi = psi / psi.norm()
        return psi

    def machine(
        self,
        *,
        bond_units: bool = True,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> BoltzmannMachine:
        """The network as a Boltzmann machine.

        Args:
            bond_units: give each bond of each layer a hidden unit one layer deeper, so that no coupling is
                left within a layer; otherwise the couplings within the layers stay.
            dtype, device: of its weights.
        """
        n, bonds = self.sites, self.hamiltonian.lattice.bonds.cpu()
        copies = torch.arange(n * (self.steps + 1), device="cpu").reshape(self.steps + 1, n)
        edges = [torch.stack([copies[:-1].reshape(-1), copies[1:].reshape(-1)], 1)]
        weights = [self.depth_coupling] * (n * self.steps)
        units, constant = copies.numel(), self.log_constant
        for layer, coupling in zip(copies, self.bond_couplings, strict=True):
            joined = layer[bonds] if coupling else bonds[:0]
            if coupling and bond_units:
                coupling, _, log_norm = pair_unit(coupling)
                new = torch.arange(units, units + len(bonds), device="cpu").repeat(2)
                joined = torch.stack([joined.T.reshape(-1), new], 1)
                units, constant = units + len(bonds), constant + len(bonds) * log_norm
            edges.append(joined)
            weights += [coupling] * len(joined)
        bias = torch.zeros(units, dtype=dtype, device=device)
        return BoltzmannMachine(n, bias, torch.cat(edges).to(device), bias.new_tensor(weights), constant)


def _sum_layer(psi: Tensor, coupling: float) -> Tensor:
    """Sum over a layer: a two by two matrix of couplings for each unit, its largest entry scaled to one."""
    away = math.exp(-2 * coupling)
    matrix = psi.new_tensor([[1.0, away], [away, 1.0]])
    sites = psi.numel().bit_length() - 1
    for _ in range(sites):  # acts on the last axis and brings it to the front, so N turns restore the order
        psi = (psi.reshape(-1, 2) @ matrix).mT.reshape(-1)
    return psi


@dataclass(frozen=True, eq=False)
class Bulk:
    r"""Samples of all layers of a network and of its mirror image, the two halves of :math:`|\psi|^2`.

    Attributes:
        rows: the layers kept of each sample, ``(samples, chains, 2 window + 1, N)``; the visible one is
            in the middle.
        last: all units of the last sample, ``(chains, 2M + 1, N)``; layer M is the visible one.
    """

    rows: Tensor = field(repr=False)
    last: Tensor = field(repr=False)

    @property
    def visible(self) -> Tensor:
        """The visible layer of each sample, ``(samples, chains, N)``."""
        return self.rows[:, :, self.rows.shape[2] // 2]


def sample_bulk(
    network: ImaginaryTime,
    *,
    samples: int,
    chains: int,
    generator: torch.Generator,
    warm_up: int = 20,
    window: int = 0,
) -> Bulk:
    r"""Draw the units of a network and of its mirror image with cluster moves.

    The probability :math:`|\psi(s)|^2` is one sum over the hidden units of two copies of the network that
    share the visible layer. It is the classical Ising model on N × (2M + 1) sites. All couplings are
    positive, so Swendsen-Wang clusters :cite:p:`swendsen1987` equilibrate it in tens of sweeps, critical or
    not.

    Args:
        network: the network.
        samples: looks at each chain, one sweep apart.
        chains: independent copies, side by side.
        generator: source of the random numbers; the samples are on its device.
        warm_up: sweeps before the first look, from random spins.
        window: layers on each side of the visible one that are kept as well.

    Raises:
        ValueError: a count below 1 (``warm_up`` and ``window``: below 0), or a window of more than M layers.
    """
    check_counts(samples=samples, chains=chains)
    check_counts(warm_up=warm_up, window=window, least=0)
    if window > network.steps:
        raise ValueError(f"window: got {window}, expected at most the {network.steps} layers of the network")
    edges, couplings = (part.to(generator.device) for part in _mirrored(network))
    units = (2 * network.steps + 1) * network.sites
    draw = torch.randint(0, 2, (chains, units), generator=generator, dtype=torch.int8, device=edges.device)
    spins = 1 - 2 * draw
    seen = []
    for look in range(warm_up + samples):
        spins = cluster_sweep(spins, edges, couplings, generator)
        if look >= warm_up:
            layers = spins.reshape(chains, -1, network.sites)
            seen.append(layers[:, network.steps - window : network.steps + window + 1].clone())
    return Bulk(torch.stack(seen).double(), spins.reshape(chains, -1, network.sites).double())


def _mirrored(network: ImaginaryTime) -> tuple[Tensor, Tensor]:
    """Edges and couplings of the network glued to its mirror image at the visible layer."""
    one_side = network.bond_couplings
    rows = [*one_side[:0:-1], 2 * one_side[0], *one_side[1:]]
    layers = torch.arange(len(rows) * network.sites, device="cpu").reshape(-1, network.sites)
    inside = layers[:, network.hamiltonian.lattice.bonds]
    between = torch.stack([layers[:-1].reshape(-1), layers[1:].reshape(-1)], 1)
    couplings = np.repeat([*rows, network.depth_coupling], [inside.shape[1]] * len(rows) + [len(between)])
    return torch.cat([inside.reshape(-1, 2), between]), torch.from_numpy(couplings)

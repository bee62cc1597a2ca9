r"""Spins one half on a lattice: Hamiltonians, their configurations, and the exact ground state of few spins.

.. math:: H = J \sum_{\langle ij \rangle} \sigma^z_i \sigma^z_j + a \sum_m F_m

A configuration is a row of :math:`s_i = \pm 1`, the values of :math:`\sigma^z_i`. The first sum is
diagonal. Each :math:`F_m` flips the one or two spins of move m; two spins have to be antiparallel. The
transverse-field Ising model and the Heisenberg model are both of this form, in Pauli matrices:
:math:`E(\text{Pauli}) = 4 E(\mathbf S \cdot \mathbf S)`. All configurations are in the order of
:mod:`nnbook.exact.enumerate`.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from nnbook.exact import enumerate as exact
from nnbook.spins.walkers import SpinWalkers, walkers_of
from nnbook.train.problems import RayleighQuotient

Boundary = Literal["periodic", "open"]


def all_spins(
    sites: int,
    *,
    balanced: bool = False,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> Tensor:
    """All configurations ``(n, N)`` as a tensor, see :func:`nnbook.exact.enumerate.configurations`.

    >>> all_spins(2, dtype=torch.int8).tolist()
    [[1, 1], [1, -1], [-1, 1], [-1, -1]]
    """
    return torch.from_numpy(exact.configurations(sites, balanced=balanced)).to(device, dtype)


@dataclass(frozen=True)
class Lattice:
    """Sites and the bonds between neighbours, all on the CPU; what is computed follows its spins.

    Attributes:
        sites: number of sites N.
        bonds: pairs of neighbours, ``(bonds, 2)``.
        shape: extents; ``(N,)`` for a chain.
        boundary: ``"periodic"`` or ``"open"``.
    """

    sites: int
    bonds: Tensor = field(repr=False)
    shape: tuple[int, ...]
    boundary: Boundary

    @cached_property
    def sublattice(self) -> Tensor | None:
        """+1 and -1 on the two sublattices ``(N,)``, or None if a bond joins sites of the same one."""
        parity = torch.from_numpy(np.indices(self.shape).sum(0).reshape(-1) % 2)
        first, second = self.bonds.T
        return 1 - 2 * parity if bool((parity[first] != parity[second]).all()) else None

    @cached_property
    def translations(self) -> Tensor:
        """The permutations of the lattice's translations, ``(translations, N)``; one if the ends are open."""
        labels = torch.arange(self.sites, device="cpu").reshape(self.shape)
        if self.boundary == "open":
            return labels.reshape(1, -1)
        shifts = itertools.product(*(range(n) for n in self.shape))
        axes = tuple(range(len(self.shape)))
        return torch.stack([labels.roll(tuple(-d for d in shift), axes).reshape(-1) for shift in shifts])


def chain(sites: int, *, boundary: Boundary = "periodic") -> Lattice:
    """A chain of sites.

    Raises:
        ValueError: fewer than 3 sites, or a boundary that is neither periodic nor open.

    >>> chain(4).bonds.tolist()
    [[0, 1], [1, 2], [2, 3], [3, 0]]
    """
    return _lattice((sites,), boundary)


def rectangle(rows: int, columns: int, *, boundary: Boundary = "periodic") -> Lattice:
    """A lattice of rows × columns sites, row by row.

    Raises:
        ValueError: fewer than 3 sites a side, or a boundary that is neither periodic nor open.

    >>> len(rectangle(3, 4, boundary="open").bonds)
    17
    """
    return _lattice((rows, columns), boundary)


def square(length: int, *, boundary: Boundary = "periodic") -> Lattice:
    """A square :func:`rectangle`.

    Raises:
        ValueError: as :func:`rectangle`.

    >>> square(4).sites, len(square(4).bonds)
    (16, 32)
    """
    return rectangle(length, length, boundary=boundary)


def _lattice(shape: tuple[int, ...], boundary: Boundary) -> Lattice:
    if boundary not in ("periodic", "open"):
        raise ValueError(f"boundary: got {boundary!r}, expected 'periodic' or 'open'")
    if min(shape) < 3:
        raise ValueError(
            f"lattice: got {min(shape)} sites in a row, expected at least 3, so that no two bonds coincide"
        )
    labels = torch.arange(math.prod(shape), device="cpu").reshape(shape)
    bonds = []
    for axis, extent in enumerate(shape):
        here = labels if boundary == "periodic" else labels.narrow(axis, 0, extent - 1)
        there = labels.roll(-1, axis) if boundary == "periodic" else labels.narrow(axis, 1, extent - 1)
        bonds.append(torch.stack([here.reshape(-1), there.reshape(-1)], 1))
    return Lattice(labels.numel(), torch.cat(bonds), shape, boundary)


@dataclass(frozen=True, eq=False)
class SpinHamiltonian:
    r"""A Hamiltonian with Ising bonds and moves that flip one spin or exchange two.

    Attributes:
        lattice: the sites and bonds.
        coupling: J of :math:`\sigma^z_i\sigma^z_j` on each bond.
        moves: the sites that each move flips, ``(moves, 1)`` or ``(moves, 2)``.
        amplitude: a, the matrix element of each move.
        name: for messages and plots.
    """

    lattice: Lattice
    coupling: float
    moves: Tensor = field(repr=False)
    amplitude: float
    name: str

    @property
    def sites(self) -> int:
        """Number of spins N."""
        return self.lattice.sites

    size = sites  # of a sweep, see nnbook.train.sampled

    @property
    def exchanges(self) -> bool:
        """Whether the moves exchange two spins, so that the magnetisation stays zero."""
        return self.moves.shape[1] == 2

    @cached_property
    def label(self) -> str:
        """Which Hamiltonian this is, down to each coupling, bond and move; equal for equal ones only."""
        terms = [
            part.cpu().long().contiguous().numpy().tobytes() for part in (self.lattice.bonds, self.moves)
        ]
        digest = hashlib.sha256(b"|".join(terms)).hexdigest()[:16]
        return (
            f"{self.name} on {self.lattice.shape}, {self.lattice.boundary}: bonds {self.coupling!r}, "
            f"moves {self.amplitude!r}, {digest}"
        )

    def diagonal(self, spins: Tensor) -> Tensor:
        """The diagonal matrix element of each configuration: ``(..., N)`` to ``(...)``."""
        first, second = self.lattice.bonds.T.to(spins.device)
        return self.coupling * (spins[..., first] * spins[..., second]).sum(-1)

    def elements(self, spins: Tensor) -> Tensor:
        """The matrix element of each move, zero where it is impossible: ``(..., N)`` to ``(..., moves)``."""
        if not self.exchanges:
            return spins.new_full((*spins.shape[:-1], len(self.moves)), self.amplitude)
        first, second = self.moves.T.to(spins.device)
        return 0.5 * self.amplitude * (1 - spins[..., first] * spins[..., second])

    @property
    def bounds(self) -> tuple[float, float]:
        """No energy lies outside: each bond and each move adds no more than its own strength."""
        most = len(self.lattice.bonds) * abs(self.coupling) + len(self.moves) * abs(self.amplitude)
        return -most, most

    # what sampling needs to know: nnbook.train.sampled

    def start(
        self,
        chains: int,
        *,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Random configurations ``(chains, N)``, of zero magnetisation where the moves conserve it.

        Raises:
            ValueError: fewer than one chain, or an odd number of spins that should have no magnetisation.
        """
        if chains < 1:
            raise ValueError(
                f"chains: got {chains}, expected at least 1; some hundreds cost little more than one"
            )
        if self.exchanges and self.sites % 2:
            raise ValueError(f"sites: got {self.sites}, expected an even number, half of them up")
        draw = torch.rand(
            chains, self.sites, generator=generator, dtype=torch.float64, device=generator.device
        )
        down = draw.argsort(1).argsort(1) < self.sites // 2 if self.exchanges else draw < 0.5
        return (1 - 2 * down.long()).to(device, dtype)

    def walkers(self, state: Callable[[Tensor], Tensor], spins: Tensor) -> SpinWalkers:
        """Chains of :math:`|\\psi|^2` that start at ``spins`` ``(chains, N)``; ``state`` gives log psi."""
        return walkers_of(state, spins, self.moves)

    def local_energies(self, walkers: SpinWalkers) -> Tensor:
        r""":math:`(H\psi)(s)/\psi(s)` of the present configurations, ``(chains,)``; complex where psi is."""
        spins = walkers.configurations
        return self.diagonal(spins) + (self.elements(spins) * walkers.ratios()).sum(1)

    # what enumeration needs to know: nnbook.train.linear_method

    @cached_property
    def basis(self) -> Tensor:
        """All configurations ``(n, N)``, those of zero magnetisation only if the moves are exchanges.

        Raises:
            ValueError: more than about a million configurations.
        """
        return all_spins(self.sites, balanced=self.exchanges)

    @cached_property
    def _targets(self) -> Tensor:
        return torch.from_numpy(exact.reached(self.sites, self.moves.numpy(), balanced=self.exchanges))

    def apply(self, psi: Tensor) -> Tensor:
        """H on the amplitudes of all configurations, ``(n, k)`` to ``(n, k)``; differentiable.

        Raises:
            ValueError: psi of another shape.
        """
        basis = self.basis.to(psi)
        if psi.ndim != 2 or len(psi) != len(basis):
            raise ValueError(
                f"psi: got shape {tuple(psi.shape)}, expected ({len(basis)}, k), one column a wave function; "
                "write psi[:, None] for a single one"
            )
        image = self.diagonal(basis)[:, None] * psi
        elements, targets = self.elements(basis), self._targets.to(psi.device)
        for m in range(targets.shape[1]):
            image = image + elements[:, m, None] * psi[targets[:, m]]
        return image

    def problem(
        self, *, dtype: torch.dtype = torch.float64, device: torch.device | str | None = None
    ) -> RayleighQuotient:
        """The energy of amplitudes on all configurations, see :func:`~nnbook.train.linear_method.minimise`.

        >>> ising(chain(4), field=1.0).problem().points.shape
        torch.Size([16, 4])
        """
        points = self.basis.to(device, dtype)
        return RayleighQuotient(points, self.apply, torch.ones_like(points[:, 0]))

    def matrix(self) -> csr_array:
        """H on all configurations, sparse, ``(n, n)``."""
        bonds, moves = self.lattice.bonds.numpy(), self.moves.numpy()
        return exact.matrix(self.sites, bonds, moves, coupling=self.coupling, amplitude=self.amplitude)

    def ground_state(self) -> tuple[float, Tensor]:
        """Lowest energy and its amplitudes ``(n,)``, see :func:`nnbook.exact.enumerate.ground_state`."""
        energy, psi = exact.ground_state(self.matrix())
        return energy, torch.from_numpy(psi)


def ising(lattice: Lattice, *, field: float) -> SpinHamiltonian:
    r"""The ferromagnetic Ising model in a transverse field h.

    .. math:: H = -\sum_{\langle ij\rangle} \sigma^z_i \sigma^z_j - h \sum_i \sigma^x_i

    Raises:
        ValueError: a field below zero or not finite.

    >>> round(ising(chain(8), field=1.0).ground_state()[0], 9)
    -10.251661791
    """
    if not (field >= 0 and math.isfinite(field)):
        raise ValueError(f"field: got {field}, expected a finite number, zero or above")
    moves = torch.arange(lattice.sites, device="cpu")[:, None]
    return SpinHamiltonian(lattice, -1.0, moves, -field, f"Ising, h = {field:g}")


def heisenberg(lattice: Lattice, *, marshall: bool = True) -> SpinHamiltonian:
    r"""The antiferromagnetic Heisenberg model in the sector of zero magnetisation.

    .. math:: H = \sum_{\langle ij\rangle} \sigma^z_i \sigma^z_j \mp
              (\sigma^x_i \sigma^x_j + \sigma^y_i \sigma^y_j)

    The upper sign, ``marshall=True``, is the model after a rotation of one sublattice by :math:`\pi` about
    the z axis. Energies stay the same; the amplitudes of the ground state, which alternate in sign with the
    number of up spins on a sublattice :cite:p:`marshall1955`, all become positive.

    Raises:
        ValueError: an odd number of sites; ``marshall`` on a lattice without two sublattices.

    >>> round(heisenberg(chain(8)).ground_state()[0], 9)
    -14.604373636
    """
    if lattice.sites % 2:
        raise ValueError(
            f"lattice: got {lattice.sites} sites, expected an even number; an odd one has no state of zero "
            "magnetisation"
        )
    if marshall and lattice.sublattice is None:
        raise ValueError(
            f"marshall: got True on a lattice of shape {lattice.shape}, where a bond joins sites of one "
            "sublattice; expected even extents, or marshall=False"
        )
    return SpinHamiltonian(lattice, 1.0, lattice.bonds, -2.0 if marshall else 2.0, "Heisenberg")

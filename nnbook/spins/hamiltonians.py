r"""Spins one half on a lattice: Hamiltonians, their configurations, and the exact ground state of few spins.

.. math:: H = J \sum_{\langle ij \rangle} \sigma^z_i \sigma^z_j + a \sum_m F_m

A configuration is a row of :math:`s_i = \pm 1`, the values of :math:`\sigma^z_i`. The first sum is
diagonal. Each :math:`F_m` flips the one or two spins of move m; two spins have to be antiparallel. The
transverse-field Ising model and the Heisenberg model are both of this form, in Pauli matrices:
:math:`E(\text{Pauli}) = 4 E(\mathbf S \cdot \mathbf S)`.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.linalg import eigsh
from torch import Tensor

Array = NDArray[np.float64]
Boundary = Literal["periodic", "open"]

#: Enumeration accepts no more configurations than this.
MOST = 2**20


@dataclass(frozen=True)
class Lattice:
    """Sites and the bonds between neighbours.

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
        grid = torch.meshgrid(*(torch.arange(n) for n in self.shape), indexing="ij")
        parity = torch.stack(grid).sum(0).reshape(-1) % 2
        first, second = self.bonds.T
        return 1 - 2 * parity if bool((parity[first] != parity[second]).all()) else None

    @cached_property
    def translations(self) -> Tensor:
        """The permutations of the lattice's translations, ``(translations, N)``; one if the ends are open."""
        labels = torch.arange(self.sites).reshape(self.shape)
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


def square(length: int, *, boundary: Boundary = "periodic") -> Lattice:
    """A square lattice of ``length`` × ``length`` sites, row by row.

    Raises:
        ValueError: fewer than 3 sites a side, or a boundary that is neither periodic nor open.

    >>> square(4).sites, len(square(4).bonds)
    (16, 32)
    """
    return _lattice((length, length), boundary)


def _lattice(shape: tuple[int, ...], boundary: Boundary) -> Lattice:
    if boundary not in ("periodic", "open"):
        raise ValueError(f"boundary: got {boundary!r}, expected 'periodic' or 'open'")
    if min(shape) < 3:
        raise ValueError(
            f"lattice: got {min(shape)} sites in a row, expected at least 3, so that no two bonds coincide"
        )
    labels = torch.arange(math.prod(shape)).reshape(shape)
    bonds = []
    for axis, extent in enumerate(shape):
        here = labels if boundary == "periodic" else labels.narrow(axis, 0, extent - 1)
        there = labels.roll(-1, axis) if boundary == "periodic" else labels.narrow(axis, 1, extent - 1)
        bonds.append(torch.stack([here.reshape(-1), there.reshape(-1)], 1))
    return Lattice(labels.numel(), torch.cat(bonds), shape, boundary)


@dataclass(frozen=True)
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

    @property
    def exchanges(self) -> bool:
        """Whether the moves exchange two spins, so that the magnetisation stays zero."""
        return self.moves.shape[1] == 2

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

    @cached_property
    def basis(self) -> Tensor:
        """All configurations ``(n, N)``, those of zero magnetisation only if the moves are exchanges.

        Raises:
            ValueError: more than about a million configurations.
        """
        return _spins(self._numbers, self.sites)

    @cached_property
    def _numbers(self) -> NDArray[np.int64]:
        n = self.sites
        count = math.comb(n, n // 2) if self.exchanges else 2**n
        if count > MOST:
            room = count * 8 * (n + 2 * len(self.moves)) / 2**30
            raise ValueError(
                f"sites: got {n}, which makes {count:,} configurations; their enumeration would take "
                f"{room:,.0f} GiB, expected at most {MOST:,} configurations; sample them instead "
                "(nnbook.train.sampled)"
            )
        if not self.exchanges:
            return np.arange(count)
        ups = np.fromiter(itertools.chain(*itertools.combinations(range(n), n // 2)), np.int64)
        return np.sort((1 << ups.reshape(count, -1)).sum(1))

    @cached_property
    def _targets(self) -> Tensor:
        """Index of the configuration that each move leads to, ``(n, moves)``; of itself if not possible."""
        masks = (1 << self.moves.numpy()).sum(1)
        reached = self._numbers[:, None] ^ masks
        index = np.searchsorted(self._numbers, reached).clip(max=len(self._numbers) - 1)
        own = np.arange(len(index))[:, None]
        return torch.from_numpy(np.where(self._numbers[index] == reached, index, own))

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

    def matrix(self) -> csr_array:
        """H in the basis of all configurations, sparse, ``(n, n)``."""
        basis, targets = self.basis, self._targets.numpy()
        n = len(basis)
        rows = np.repeat(np.arange(n), targets.shape[1])
        moves = csr_array((self.elements(basis).numpy().ravel(), (rows, targets.ravel())), shape=(n, n))
        here = np.arange(n)
        return (moves + csr_array((self.diagonal(basis).numpy(), (here, here)), shape=(n, n))).tocsr()

    def ground_state(self) -> tuple[float, Tensor]:
        """Lowest energy and its normalised amplitudes ``(n,)`` by Lanczos; the largest one is positive."""
        values, vectors = eigsh(self.matrix(), k=1, which="SA", v0=np.ones(len(self.basis)), tol=1e-14)
        psi = torch.from_numpy(vectors[:, 0].copy())
        return float(values[0]), psi * psi[psi.abs().argmax()].sign()


def _spins(numbers: NDArray[np.int64], sites: int) -> Tensor:
    bits = (numbers[:, None] >> np.arange(sites)) & 1
    return torch.from_numpy(2.0 * bits - 1.0)


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
    return SpinHamiltonian(
        lattice, -1.0, torch.arange(lattice.sites)[:, None], -field, f"Ising, h = {field:g}"
    )


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

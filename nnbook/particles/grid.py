r"""One quantum particle on a lattice: the Hamiltonian and its exact spectrum.

.. math:: (H\psi)_j = -\frac{\psi_{j+1} - 2\psi_j + \psi_{j-1}}{2h^2} + V(x_j)\,\psi_j, \qquad
          \psi_0 = \psi_M = 0

in units :math:`\hbar = m = 1`, after :cite:t:`naito2023`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from scipy.linalg import eigh_tridiagonal
from torch import Tensor

from nnbook.arrays import Array, Potential, checked_values, fix_sign


@dataclass(frozen=True)
class Grid:
    r"""Lattice :math:`x_j = -x_\max + h j,\ j = 1 \dots M-1`, with :math:`h = 2 x_\max / M`.

    Args:
        points: M, the number of intervals; the wave function has M - 1 values and vanishes at both ends.
        x_max: half the length of the box.

    Raises:
        ValueError: ``points`` < 3 or a box of no or infinite length.

    >>> Grid(points=4, x_max=2.0).x
    array([-1.,  0.,  1.])
    """

    points: int = 1024
    x_max: float = 5.0

    def __post_init__(self) -> None:
        if not (self.points >= 3 and self.points % 1 == 0):
            raise ValueError(
                f"points: got {self.points}, expected a whole number, at least 3; the talk uses 1024"
            )
        object.__setattr__(self, "points", int(self.points))
        if not (math.isfinite(self.x_max) and self.x_max > 0):
            raise ValueError(f"x_max: got {self.x_max}, expected a positive length, for example 5.0")

    @property
    def h(self) -> float:
        """The lattice spacing."""
        return 2 * self.x_max / self.points

    @property
    def x(self) -> Array:
        """The lattice sites, ``(M - 1,)``."""
        return np.asarray(-self.x_max + self.h * np.arange(1, self.points), dtype=np.float64)


class Spectrum(NamedTuple):
    """Exact lattice states: ``energies (states,)`` and normalised ``psi (M - 1, states)``, a column each."""

    energies: Array
    psi: Array


@dataclass(frozen=True)
class Hamiltonian:
    """Kinetic plus potential energy on a lattice.

    Args:
        grid: the lattice.
        potential: V, a function of the sites that takes and returns a NumPy array.

    Raises:
        ValueError: a potential of the wrong shape, or with values that are not finite.

    >>> Hamiltonian(Grid(1024), lambda x: x**2 / 2).exact(2).energies.round(6)
    array([0.499997, 1.499985])
    """

    grid: Grid
    potential: Potential
    values: Array = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        values = checked_values("potential", self.potential, self.grid.x)
        object.__setattr__(self, "values", values)

    def exact(self, states: int = 1) -> Spectrum:
        """The lowest eigenstates of the lattice Hamiltonian, by SciPy's tridiagonal solver.

        Args:
            states: how many, from the ground state up.

        Raises:
            ValueError: fewer than 1 state or more than there are sites.
        """
        check_states(states, self.grid)
        h = self.grid.h
        off = np.full(self.grid.points - 2, -0.5 / h**2)
        energies, psi = eigh_tridiagonal(
            1 / h**2 + self.values, off, select="i", select_range=(0, states - 1)
        )
        psi = np.column_stack([fix_sign(column) for column in psi.T])
        return Spectrum(energies, psi / math.sqrt(h))

    def energies(self, psi: Tensor) -> tuple[Tensor, Tensor]:
        r"""Kinetic and potential energy of wave functions ``(M - 1,)`` or of columns ``(M - 1, k)``.

        The kinetic energy is :math:`\sum_j (\psi_{j+1} - \psi_j)^2 / 2h^2` over all links, those to the
        two walls included: the same as the matrix, with less rounding. Differentiable.
        """
        norm = psi.square().sum(0)
        kinetic = _links(psi).square().sum(0) / (2 * self.grid.h**2)
        return kinetic / norm, (self._tensor(psi, psi.ndim) * psi.square()).sum(0) / norm

    def energy(self, psi: Tensor) -> Tensor:
        """The total energy, the Rayleigh quotient of ``psi``; shapes as in :meth:`energies`."""
        kinetic, potential = self.energies(psi)
        return kinetic + potential

    def apply(self, psi: Tensor) -> Tensor:
        """H on the columns of ``psi (M - 1, k)``."""
        links = _links(psi)
        return (links[:-1] - links[1:]) / (2 * self.grid.h**2) + self._tensor(psi, 2) * psi

    def coarser(self, points: int) -> Hamiltonian:
        """The same potential in the same box on another number of intervals."""
        return Hamiltonian(Grid(points, self.grid.x_max), self.potential)

    def _tensor(self, like: Tensor, ndim: int) -> Tensor:
        values = torch.as_tensor(self.values, dtype=like.dtype, device=like.device)
        return values if ndim == 1 else values[:, None]


def _links(psi: Tensor) -> Tensor:
    zero = torch.zeros_like(psi[:1])
    return torch.cat([psi, zero]) - torch.cat([zero, psi])


def check_states(states: int, grid: Grid) -> None:
    """Raise a ValueError unless a lattice has that many states."""
    if not 1 <= states <= grid.points - 1:
        raise ValueError(
            f"states: got {states}, expected 1 to {grid.points - 1}, the number of sites; take more points"
        )

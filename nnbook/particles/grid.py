r"""The lattice that each particle lives on, :math:`x_j = -x_\max + h j` with walls at both ends."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nnbook.arrays import Array


@dataclass(frozen=True)
class Grid:
    r"""Lattice :math:`x_j = -x_\max + h j,\ j = 1 \dots M-1`, with :math:`h = 2 x_\max / M`.

    Args:
        points: M, the number of intervals; a wave function has M - 1 values and vanishes at both ends.
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
    """States of a lattice Hamiltonian: ``energies (states,)`` and normalised ``psi (n, states)``."""

    energies: Array
    psi: Array

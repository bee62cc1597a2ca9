r"""Identical particles on a lattice: the ordered configurations of bosons or fermions.

A wave function of N bosons or fermions is fixed by its values where the particles stand in order,
:math:`x_1 \ge x_2 \ge \dots`: any other order gives the same value, for fermions with the sign of the
permutation. These ordered configurations are the points of a :class:`Sector`: half of all points for two
particles and a sixth for three.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from nnbook.arrays import Array, check_counts, check_values
from nnbook.particles.grid import Grid

Statistics = Literal["boson", "fermion"]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Particles:
    """So many identical particles.

    Args:
        count: N; default one.
        statistics: ``"boson"`` (default), or ``"fermion"`` (all of one spin).

    Raises:
        ValueError: a count below 1, unknown statistics.

    >>> Particles(3, "fermion").signs
    array([ 1., -1., -1.,  1.,  1., -1.])
    """

    count: int = 1
    statistics: Statistics = "boson"

    def __post_init__(self) -> None:
        check_counts(count=self.count)
        if self.statistics not in get_args(Statistics):
            raise ValueError(f"statistics: got {self.statistics!r}, expected 'boson' or 'fermion'")

    @property
    def orders(self) -> Indices:
        """All permutations of the particles, ``(N!, N)``."""
        return np.array(list(itertools.permutations(range(self.count))))

    @property
    def signs(self) -> Array:
        """The factor that each of them gives to the wave function, ``(N!,)``."""
        if self.statistics == "boson":
            return np.ones(math.factorial(self.count))
        return np.array([np.linalg.det(np.eye(self.count)[order]).round() for order in self.orders])

    def configurations(self, sites: int) -> int:
        """How many ordered configurations there are on so many sites.

        >>> Particles(2, "boson").configurations(255), Particles(2, "fermion").configurations(255)
        (32640, 32385)
        """
        places = sites + self.count - 1 if self.statistics == "boson" else sites
        return math.comb(places, self.count)


@dataclass(frozen=True)
class Sector:
    """The ordered configurations of identical particles on a lattice, as points of a quadrature.

    Args:
        grid: the lattice of each particle.
        particles: how many, and their statistics.
    """

    grid: Grid
    particles: Particles

    def __reduce__(self) -> tuple[Any, ...]:
        """What goes to another process are the arguments; the configurations are made again there."""
        return Sector, (self.grid, self.particles)

    @cached_property
    def sites(self) -> Indices:
        """Site numbers of each configuration, in descending order, ``(n, N)``."""
        choose = (
            itertools.combinations_with_replacement
            if self.particles.statistics == "boson"
            else itertools.combinations
        )
        ascending = itertools.chain.from_iterable(choose(range(self.grid.points - 1), self.particles.count))
        return np.fromiter(ascending, np.int64).reshape(-1, self.particles.count)[:, ::-1]

    @cached_property
    def x(self) -> Array:
        """Positions of the particles, ``(n, N)``."""
        return self.grid.x[self.sites]

    @cached_property
    def weights(self) -> Array:
        r"""Volume :math:`h^N` times the number of distinct orders, N! unless particles coincide, ``(n,)``."""
        run = coincident = np.ones(len(self.sites))
        for k in range(1, self.particles.count):
            run = np.where(self.sites[:, k] == self.sites[:, k - 1], run + 1, 1.0)
            coincident = coincident * run
        return self.grid.h**self.particles.count * math.factorial(self.particles.count) / coincident

    @cached_property
    def neighbours(self) -> Indices:
        """The configurations one hop away, ``(n, 2N)``; n stands for a place where the wave function is 0.

        These are the walls and, for fermions, a site that is taken. In one dimension a hop to the next
        site exchanges no two particles, so there are no signs.
        """
        columns = [
            self._find(self.sites + hop * unit)
            for unit in np.eye(self.particles.count, dtype=int)
            for hop in (1, -1)
        ]
        return np.stack(columns, axis=1)

    def _find(self, sites: Indices) -> Indices:
        """Numbers of configurations that need be neither ordered nor allowed."""
        ordered, size = np.sort(sites, axis=1), self.grid.points - 1
        places = size ** np.arange(self.particles.count)
        number = np.searchsorted(self.sites @ places, ordered @ places[::-1])
        forbidden = (ordered[:, 0] < 0) | (ordered[:, -1] >= size)
        if self.particles.statistics == "fermion":
            forbidden |= (np.diff(ordered, axis=1) == 0).any(1)
        return np.where(forbidden, len(self.sites), number)

    def full(self, psi: Array) -> Array:
        """The wave function in all orders: ``(n,)`` to one axis of ``M - 1`` sites a particle.

        Raises:
            ValueError: another number of values, or not finite.
        """
        check_values("psi", psi, (len(self.sites),))
        values = np.zeros((self.grid.points - 1,) * self.particles.count)
        for order, sign in zip(self.particles.orders, self.particles.signs, strict=True):
            values[tuple(self.sites[:, order].T)] = sign * psi
        return values

    def density(self, psi: Array) -> Array:
        r"""Particles per length, :math:`n(x) = N \int |\psi(x, x_2, \dots)|^2`, ``(M - 1,)``.

        Raises:
            ValueError: another number of values, or not finite.
        """
        check_values("psi", psi, (len(self.sites),))
        share = np.repeat(self.weights * psi**2, self.particles.count)
        return np.bincount(self.sites.ravel(), share, self.grid.points - 1) / self.grid.h

    def pair_distribution(self, psi: Array) -> Array:
        r"""Probability density of the distance of two particles.

        .. math:: P(r) = \int |\psi(x_1, x_2, \dots)|^2\, \delta(x_1 - x_2 - r)

        at r = 0, h, 2h, … ``(M - 1,)``, an even function of r whose sum over both signs is 1 / h; so over
        r ≥ 0 it integrates to 1/2.

        Raises:
            ValueError: one particle only; another number of values, or not finite.
        """
        check_values("psi", psi, (len(self.sites),))
        pairs = list(itertools.combinations(range(self.particles.count), 2))
        if not pairs:
            raise ValueError("particles: got one, expected at least two for a distance")
        apart = np.concatenate([self.sites[:, i] - self.sites[:, j] for i, j in pairs])
        share = np.tile(self.weights * psi**2, len(pairs)) / len(pairs)
        found = np.bincount(apart, share, self.grid.points - 1) / self.grid.h
        return np.where(np.arange(len(found)) == 0, found, found / 2)

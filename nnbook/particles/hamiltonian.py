r"""One to three identical particles on a lattice: the Hamiltonian and its exact spectrum.

.. math:: H = \sum_i \Bigl[ -\frac{\Delta_i}{2h^2} + V(x_i) \Bigr] + \sum_{i<j} U(|x_i - x_j|), \qquad
          \Delta_i \psi = \psi(x_i + h) - 2 \psi(x_i) + \psi(x_i - h)

acts on the ordered configurations of one statistics (:mod:`nnbook.particles.sectors`), so each spectrum has
the states of bosons or of fermions and no others. Units :math:`\hbar = m = 1`; after :cite:t:`naito2023`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.sparse import csr_array, diags_array, eye_array
from scipy.sparse.linalg import LinearOperator, eigsh, splu
from torch import Tensor

from nnbook.arrays import Array, Potential, checked_values, finite, fix_sign
from nnbook.exact.lines import lattice_states
from nnbook.particles.grid import Grid, Spectrum
from nnbook.particles.sectors import Particles, Sector, Statistics
from nnbook.train.problems import RayleighQuotient

#: A lattice Hamiltonian has no more configurations than this.
MOST = 1_000_000


@dataclass(frozen=True)
class Hamiltonian:
    r"""Kinetic and potential energy of identical particles, with an interaction of each pair.

    Args:
        grid: the lattice of each particle.
        potential: V(x) of one particle; takes and returns a NumPy array.
        interaction: U(r) of a pair at distance r ≥ 0; takes and returns a NumPy array. None for none.
        particles: how many, 1 to 3, and their statistics; default: one.

    Raises:
        ValueError: values of the wrong shape or not finite, more than three particles, more than a million
            configurations.

    >>> Hamiltonian(Grid(1024), lambda x: x**2 / 2).exact(states=2).energies.round(6)
    array([0.499997, 1.499985])
    """

    grid: Grid
    potential: Potential
    interaction: Potential | None = None
    particles: Particles = field(default_factory=Particles)
    tables: tuple[Array, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_size(self.grid, self.particles)
        tables = [checked_values("potential", self.potential, self.grid.x)]
        if self.interaction:
            r: Array = self.grid.h * np.arange(self.grid.points - 1, dtype=np.float64)
            tables.append(checked_values("interaction", self.interaction, r, symbol="r"))
        object.__setattr__(self, "tables", tuple(tables))

    @cached_property
    def sector(self) -> Sector:
        """The ordered configurations that wave functions live on; for one particle, the sites."""
        return Sector(self.grid, self.particles)

    @cached_property
    def terms(self) -> tuple[Array, ...]:
        """Potential energy and, if there is one, interaction energy of each configuration, ``(n,)``."""
        sites, total = self.sector.sites, np.zeros(len(self.sector.sites))
        potential = total + self.tables[0][sites].sum(1)
        pairs = [sites[:, i] - sites[:, j] for i, j in itertools.combinations(range(sites.shape[1]), 2)]
        return potential, *(total + sum(table[r] for r in pairs) for table in self.tables[1:])

    @cached_property
    def values(self) -> Array:
        """All of it together, ``(n,)``."""
        return np.asarray(np.sum(self.terms, axis=0))

    @cached_property
    def scale(self) -> float:
        r"""The energy that sets the scale of H, :math:`\omega` for an oscillator, whatever its units.

        From the old quantum theory: in its ground state a particle has the energy :math:`\epsilon` with
        :math:`\int \sqrt{2(\epsilon - V)}\, dx = \pi/2`. The scale is :math:`2(\epsilon - \min V)`.

        >>> 20 * Hamiltonian(Grid(1024), lambda x: (x / 20) ** 2 / 2).scale
        1.000...
        """
        above = self.tables[0] - self.tables[0].min()

        def excess(energy: float) -> float:
            momentum = np.sqrt(2 * np.maximum(energy - above, 0))
            return float(self.grid.h * momentum.sum() - math.pi / 2)

        most = math.pi**2 / (8 * self.grid.h**2)  # of a particle on a single site
        return 2 * float(brentq(excess, 0, most, xtol=1e-12 * most))

    def on(self, points: int) -> Hamiltonian:
        """The same particles in the same box on another number of intervals.

        Raises:
            ValueError: a potential or an interaction that knows the sites of one lattice only.
        """
        try:
            return replace(self, grid=Grid(points, self.grid.x_max))
        except ValueError as error:
            raise ValueError(
                f"{error}. These are {points} intervals of the same box, where training begins; a table of "
                "values is written lambda x: np.interp(x, grid.x, table)"
            ) from error

    def exact(self, states: int = 1) -> Spectrum:
        """The lowest eigenstates, ``psi (n, states)`` normalised with the weights of the sector.

        SciPy's tridiagonal solver for one particle, its sparse Lanczos solver for more. With two that works
        on the inverse of H, which takes a sparse factorisation; with three the factors would fill up, and
        the lattices are coarse enough to do without.

        Args:
            states: how many, from the ground state up.

        Raises:
            ValueError: fewer than 1 state, more than there are sites, or for several particles as many as
                there are configurations.
        """
        if self.particles.count == 1:
            energies, psi = lattice_states(self.values, self.grid.h, states)
        else:
            energies, psi = self._lanczos(states)
        return Spectrum(energies, np.column_stack([fix_sign(column) for column in psi.T]))

    def _lanczos(self, states: int) -> tuple[Array, Array]:
        size, count = len(self.values), self.particles.count
        if not (isinstance(states, int) and 1 <= states < size):
            raise ValueError(
                f"states: got {states}, expected 1 to {max(size - 1, 0)}, fewer than configurations; "
                "a finer grid has more"
            )
        start = np.random.default_rng(0).normal(size=size)  # has a part of each symmetry
        if count == 2:
            options = {"sigma": self.values.min(), "OPinv": self._above(self.values.min())}
        else:
            options = {"which": "SA", "tol": 1e-10, "ncv": max(40, 3 * states)}
        energies, vectors = eigsh(self.matrix(), states, v0=start, **options)
        order = energies.argsort()
        return energies[order], vectors[:, order] / np.sqrt(self.sector.weights)[:, None]

    def _above(self, shift: float) -> LinearOperator:
        """The inverse of H - shift for a shift below all levels, where it is positive and needs no pivots."""
        shifted = (self.matrix() - shift * eye_array(len(self.values))).tocsc()
        symmetric = {"SymmetricMode": True}  # half of the memory and time of the default ordering
        factors = splu(shifted, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=symmetric)
        return LinearOperator(shifted.shape, factors.solve, dtype=np.float64)

    def matrix(self) -> csr_array:
        """H as a sparse symmetric matrix ``(n, n)``, which acts on wave functions times root weight."""
        hops, root, scale = self.sector.neighbours, np.sqrt(self.sector.weights), 2 * self.grid.h**2
        rows, columns = np.nonzero(hops < len(root))[0], hops[hops < len(root)]
        kinetic = csr_array((-root[rows] / root[columns] / scale, (rows, columns)), shape=(len(root),) * 2)
        return (kinetic + diags_array(hops.shape[1] / scale + self.values)).tocsc()

    def energies(self, psi: Tensor) -> tuple[Tensor, ...]:
        r"""Kinetic, potential and, if there is one, interaction energy of each wave function.

        The kinetic energy is :math:`\sum (\psi_a - \psi_b)^2 / 2h^2` over all links of the lattice, those to
        the walls included: the same as the matrix, with less rounding. Differentiable.

        Args:
            psi: one wave function ``(n,)``, or columns ``(n, k)``, real or complex; need not be normalised.

        Raises:
            ValueError: another number of values, or zeros only.
        """
        psi = self._checked(psi)

        def tensor(values: Array) -> Tensor:
            row = torch.as_tensor(values, dtype=psi.real.dtype, device=psi.device)
            return row if psi.ndim == 1 else row[:, None]

        def square(f: Tensor) -> Tensor:
            return (f * f.conj()).real

        hops, weights = self.sector.neighbours.T, self.sector.weights
        # a link is met from both of its ends; one to a wall, or to a node, from one end only
        shares = weights * np.where(hops < len(psi), 0.25, 0.5) / self.grid.h**2
        padded = torch.cat([psi, torch.zeros_like(psi[:1])])
        kinetic = torch.zeros_like(psi.real)
        for hop, share in zip(hops, shares, strict=True):
            there = padded[torch.as_tensor(hop, device=psi.device)]
            kinetic = kinetic + tensor(share) * square(psi - there)
        density = tensor(weights) * square(psi)
        if not bool(density.sum(0).all()):
            raise ValueError("psi: got zeros, or values whose squares are; expected a wave function")
        parts = kinetic, *(tensor(term) * density for term in self.terms)
        return tuple(part.sum(0) / density.sum(0) for part in parts)

    def _checked(self, psi: Tensor, axes: tuple[int, ...] = (1, 2)) -> Tensor:
        """A wave function, integers as real numbers."""
        psi = psi if isinstance(psi, Tensor) else torch.as_tensor(psi, device="cpu")
        if psi.ndim not in axes or len(psi) != len(self.values):
            raise ValueError(
                f"psi: got shape {tuple(psi.shape)}, expected {'(n,) or ' if 1 in axes else ''}(n, k) with "
                f"the n = {len(self.values)} configurations of this lattice; one column is psi[:, None]"
            )
        return psi if psi.is_floating_point() or psi.is_complex() else psi.double()

    def energy(self, psi: Tensor) -> Tensor:
        """The total energy, the Rayleigh quotient of ``psi``; shapes as in :meth:`energies`."""
        return torch.stack(self.energies(psi)).sum(0)

    def operator(
        self, *, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu"
    ) -> Callable[[Tensor], Tensor]:
        """H as a function of columns ``(n, k)``, made of torch functions."""
        hops = [torch.as_tensor(hop.copy(), device=device) for hop in self.sector.neighbours.T]
        values = torch.as_tensor(self.values, dtype=dtype, device=device)[:, None]
        scale = 1 / (2 * self.grid.h**2)

        def apply(psi: Tensor) -> Tensor:
            padded = torch.cat([psi, torch.zeros_like(psi[:1])])
            total = psi - padded[hops[0]]
            for hop in hops[1:]:
                total = total + (psi - padded[hop])
            return scale * total + values * psi

        return apply

    def apply(self, psi: Tensor) -> Tensor:
        """H on the columns of ``psi (n, k)``, real or complex.

        Raises:
            ValueError: another shape.
        """
        psi = self._checked(psi, axes=(2,))
        return self.operator(dtype=psi.dtype, device=psi.device)(psi)

    def problem(
        self,
        below: Array | None = None,
        *,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> RayleighQuotient:
        """The energy as a problem for :func:`nnbook.train.linear_method.minimise`.

        Args:
            below: orthonormal states ``(n, k)`` that the wave function is kept orthogonal to.
            dtype, device: of the training.
        """

        def tensor(values: Array) -> Tensor:
            return torch.as_tensor(values, dtype=dtype, device=device)

        return RayleighQuotient(
            points=tensor(self.sector.x),
            operator=self.operator(dtype=dtype, device=device),
            weights=tensor(self.sector.weights),
            below=None if below is None else tensor(below),
        )


def _check_size(grid: Grid, particles: Particles) -> None:
    count = particles.count
    size = Particles(min(count, 9), "boson").configurations(grid.points - 1)
    if count > 3 or size > MOST:
        memory = 3 * 8 * 200 * size / 1e9
        raise ValueError(
            f"count: got {count} particles on {grid.points} intervals, which have {size:,} configurations"
            f"{' or more' if count > 9 else ''}; the linear method would take {memory:,.1f} GB for 200 "
            f"parameters. Expected 1 to 3 particles and at most {MOST:,} configurations: take fewer points, "
            "or sample them by Monte Carlo"
        )


def trapped(
    statistics: Statistics,
    grid: Grid,
    omega: float = 1.0,
    interaction: Potential | None = None,
    *,
    count: int = 2,
) -> Hamiltonian:
    r"""Bosons or fermions in the harmonic trap :math:`\omega^2 x^2 / 2`.

    Args:
        statistics: ``"boson"`` or ``"fermion"``.
        grid: the lattice of each particle.
        omega: the trap's frequency, zero for a box without a trap.
        interaction: U(r) of a pair at distance r; takes and returns a NumPy array.
        count: number of particles, 1 to 3.

    Raises:
        TypeError: a frequency that is no number.
        ValueError: a frequency that is negative or not finite, unknown statistics; and those of
            :class:`Hamiltonian`.

    >>> trapped("fermion", Grid(64), omega=1.0).exact().energies.round(4)
    array([1.9954])
    """
    omega = finite("omega", omega, least=0, most=1e100, remedy="zero is a box without a trap")
    return Hamiltonian(grid, lambda x: omega**2 * x**2 / 2, interaction, Particles(count, statistics))

r"""Two or three identical particles on a lattice: the Hamiltonian and its exact spectrum.

.. math:: H = \sum_i \Bigl[ -\frac{\Delta_i}{2h^2} + V(x_i) \Bigr] + \sum_{i<j} U(|x_i - x_j|), \qquad
          \Delta_i \psi = \psi(x_i + h) - 2 \psi(x_i) + \psi(x_i - h)

acts on the ordered configurations of one statistics (:mod:`nnbook.particles.sectors`), so each spectrum has
the states of bosons or of fermions and no others. Units :math:`\hbar = m = 1`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.linalg import eigh, toeplitz
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import eigsh
from torch import Tensor

from nnbook.arrays import Array, Potential, checked_values
from nnbook.particles.grid import Grid, Spectrum
from nnbook.particles.sectors import Particles, Sector, Statistics, sector

#: The lattice solver accepts no more configurations than this.
MOST = 1_000_000


@dataclass(frozen=True)
class ManyBodyHamiltonian:
    """Identical particles in a potential, with an energy for each pair.

    Args:
        grid: the lattice of each particle.
        potential: V(x) of one particle; takes and returns a NumPy array.
        interaction: U(r) of a pair at distance r ≥ 0; takes and returns a NumPy array. None for none.
        count: number of particles, 1 to 3.

    Raises:
        ValueError: values of the wrong shape or not finite, a count outside 1 to 3, more than a million
            configurations.
    """

    grid: Grid
    potential: Potential
    interaction: Potential | None = None
    count: int = 2
    trap_values: Array = field(init=False, repr=False, compare=False)
    pair_values: Array = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_size(self.grid, self.count)
        distance: Array = self.grid.h * np.arange(self.grid.points - 1, dtype=np.float64)
        pair = self.interaction or np.zeros_like
        object.__setattr__(self, "trap_values", checked_values("potential", self.potential, self.grid.x))
        object.__setattr__(self, "pair_values", checked_values("interaction", pair, distance, symbol="r"))

    def sector(self, statistics: Statistics) -> Sector:
        """The configurations of bosons or of fermions."""
        return sector(self.grid, Particles(self.count, statistics))

    def trap(self, statistics: Statistics) -> Array:
        """Potential energy of each configuration of a sector, ``(n,)``."""
        return np.asarray(self.trap_values[self.sector(statistics).sites].sum(1))

    def pairs(self, statistics: Statistics) -> Array:
        """Interaction energy of each configuration of a sector, ``(n,)``."""
        sites, energy = self.sector(statistics).sites, 0.0
        for i, j in itertools.combinations(range(self.count), 2):
            energy = energy + self.pair_values[sites[:, i] - sites[:, j]]
        return energy + np.zeros(len(sites))

    def operator(
        self,
        statistics: Statistics,
        *,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> Callable[[Tensor], Tensor]:
        """H as a function of columns ``(n, k)`` on the sector, made of torch functions."""
        hops = torch.as_tensor(self.sector(statistics).neighbours.T.copy(), device=device)
        rest = self.count / self.grid.h**2 + self.trap(statistics) + self.pairs(statistics)
        diagonal = torch.as_tensor(rest, dtype=dtype, device=device)[:, None]

        def apply(psi: Tensor) -> Tensor:
            padded = torch.cat([psi, torch.zeros_like(psi[:1])])
            total = padded[hops[0]]
            for hop in hops[1:]:
                total = total + padded[hop]
            return diagonal * psi - total / (2 * self.grid.h**2)

        return apply

    def on(self, points: int) -> ManyBodyHamiltonian:
        """The same particles in the same box on another number of intervals."""
        return ManyBodyHamiltonian(
            Grid(points, self.grid.x_max), self.potential, self.interaction, self.count
        )


def _check_size(grid: Grid, count: int) -> None:
    if not (isinstance(count, int) and count >= 1):
        raise ValueError(f"count: got {count!r}, expected a whole number of particles, 1 to 3")
    size = Particles(min(count, 9), "boson").configurations(grid.points - 1)
    if count > 3 or size > MOST:
        memory = 3 * 8 * 200 * size / 1e9
        raise ValueError(
            f"count: got {count} particles on {grid.points} intervals, which have {size:,} configurations"
            f"{' or more' if count > 9 else ''}; the linear method would take {memory:,.1f} GB for 200 "
            f"parameters. Expected 1 to 3 particles and at most {MOST:,} configurations: take fewer points, "
            "or sample them by Monte Carlo"
        )


def hamiltonian(
    grid: Grid, omega: float = 1.0, interaction: Potential | None = None, *, count: int = 2
) -> ManyBodyHamiltonian:
    r"""Particles in the harmonic trap :math:`\omega^2 x^2 / 2`.

    Args:
        grid: the lattice of each particle.
        omega: the trap's frequency, zero for a box without a trap.
        interaction: U(r) of a pair at distance r; takes and returns a NumPy array.
        count: number of particles, 1 to 3.

    Raises:
        ValueError: a frequency that is negative or not finite; and those of :class:`ManyBodyHamiltonian`.

    >>> exact(hamiltonian(Grid(64), omega=1.0), "fermion").energies.round(4)
    array([1.9954])
    """
    if not (math.isfinite(omega) and omega >= 0):
        raise ValueError(f"omega: got {omega}, expected a frequency, zero or more")
    return ManyBodyHamiltonian(grid, lambda x: omega**2 * x**2 / 2, interaction, count)


def exact(ham: ManyBodyHamiltonian, statistics: Statistics, states: int = 1) -> Spectrum:
    """The lowest eigenstates of one statistics, by SciPy's sparse Lanczos solver.

    Up to two particles it works on the inverse of H, which takes a sparse factorisation; with three the
    factors would fill up, and the lattices are coarse enough to do without.

    Args:
        ham: the problem.
        statistics: ``"boson"`` or ``"fermion"``.
        states: how many, from the ground state up.

    Returns:
        The energies and the states on the ordered configurations, ``(n, states)``, normalised with the
        sector's weights.

    Raises:
        ValueError: unknown statistics, fewer than 1 state, or as many as there are configurations.
    """
    basis = sector_of(ham, statistics)
    size = len(basis.sites)
    if not (isinstance(states, int) and 1 <= states < size):
        most = max(size - 1, 0)
        raise ValueError(
            f"states: got {states}, expected 1 to {most}, fewer than configurations; a finer grid has more"
        )
    root = np.sqrt(basis.weights)
    rows, hops = np.repeat(np.arange(size), 2 * ham.count), basis.neighbours.ravel()
    rows, hops = rows[hops < size], hops[hops < size]
    kinetic = csr_array((root[rows] / root[hops] / (-2 * ham.grid.h**2), (rows, hops)), shape=(size, size))
    rest = ham.trap(statistics) + ham.pairs(statistics)
    matrix = kinetic + diags_array(ham.count / ham.grid.h**2 + rest)
    start = np.random.default_rng(0).normal(size=size)  # has a part of each symmetry
    if ham.count <= 2:
        energies, vectors = eigsh(matrix.tocsc(), states, sigma=rest.min(), v0=start)
    else:
        energies, vectors = eigsh(matrix, states, which="SA", v0=start, tol=1e-10, ncv=max(40, 3 * states))
    order = energies.argsort()
    psi = np.stack([fix_sign(vectors[:, k] / root) for k in order], axis=1)
    return Spectrum(energies[order], psi)


def sector_of(ham: ManyBodyHamiltonian, statistics: Statistics) -> Sector:
    """The sector of a Hamiltonian that a reader passed.

    Raises:
        TypeError: another kind of Hamiltonian.
        ValueError: unknown statistics.
    """
    if not isinstance(ham, ManyBodyHamiltonian):
        raise TypeError(
            f"ham: got {type(ham).__name__}, expected a ManyBodyHamiltonian; hamiltonian(grid, omega, "
            "interaction, count=1) is the one for a single particle"
        )
    return ham.sector(statistics)


def fix_sign(psi: Array) -> Array:
    """Make the largest value positive; of two equally large ones, the first."""
    large = np.flatnonzero(np.abs(psi) > 0.99 * np.abs(psi).max())
    return psi if psi[large[0]] > 0 else -psi


def separated(
    omega: float, interaction: Potential | None, statistics: Statistics, states: int = 1, *, points: int = 600
) -> Array:
    r"""Energies of two particles in a harmonic trap without a lattice, to about ten digits for ω ≥ 0.1.

    Centre of mass and distance separate,

    .. math:: E = \omega\bigl(n + \tfrac12\bigr) + \epsilon_k, \qquad
              \Bigl[-\frac{d^2}{dr^2} + \frac{\omega^2 r^2}{4} + U(|r|)\Bigr] \phi_k = \epsilon_k\, \phi_k

    with even :math:`\phi` for bosons and odd for fermions. The equation is solved on sinc functions at
    :math:`r = \tfrac12 d, \tfrac32 d, \dots` :cite:p:`colbert1992`, which converge exponentially where U is
    smooth.

    Args:
        omega: the trap's frequency, above zero.
        interaction: U(r), or None.
        statistics: ``"boson"`` or ``"fermion"``.
        states: how many, from the ground state up.
        points: number of sinc functions out to :math:`r = 18 / \sqrt{\omega}`; a weak trap with a narrow
            interaction needs more.

    Raises:
        ValueError: unknown statistics, a frequency that is not positive, fewer than 1 state.

    >>> separated(1.0, None, "boson", 3).round(9)
    array([1., 2., 3.])
    """
    if not (math.isfinite(omega) and omega > 0):
        raise ValueError(
            f"omega: got {omega}, expected a positive frequency; without a trap nothing is bound"
        )
    if not 1 <= states <= points:
        raise ValueError(f"states: got {states}, expected 1 to {points}")
    parity = 1 if Particles(2, statistics).statistics == "boson" else -1
    step = 18 / math.sqrt(omega) / points
    lag = np.arange(2 * points)
    sinc = np.where(lag == 0, math.pi**2 / 3, 2.0 * (-1.0) ** lag / np.maximum(lag, 1) ** 2) / step**2
    r: Array = step * (np.arange(points, dtype=np.float64) + 0.5)
    mirror = sinc[np.add.outer(lag[:points], lag[:points]) + 1]
    pair = checked_values("interaction", interaction or np.zeros_like, r, symbol="r")
    inner = toeplitz(sinc[:points]) + parity * mirror + np.diag(omega**2 * r**2 / 4 + pair)
    relative = eigh(inner, eigvals_only=True, subset_by_index=(0, min(states, points) - 1))
    ladder = omega * (np.arange(states) + 0.5)
    return np.sort(np.add.outer(ladder, relative).ravel())[:states]

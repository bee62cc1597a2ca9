"""Trained states of a lattice Hamiltonian: what is measured on one, and the best mixture of several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.linalg import eigh
from torch import nn

from nnbook.arrays import Array, fix_sign
from nnbook.particles.grid import Spectrum
from nnbook.particles.hamiltonian import Hamiltonian
from nnbook.particles.sectors import Sector
from nnbook.particles.waves import Symmetrised
from nnbook.train.loop import Fit


@dataclass(frozen=True, eq=False)
class State:
    """One trained lattice state; the repr is its energy line.

    Attributes:
        hamiltonian: the problem that it solves.
        network: the trained :class:`~nnbook.particles.waves.WaveFunction`; of several particles,
            :class:`~nnbook.particles.waves.Symmetrised`.
        below: the lower states, to which it is orthogonal.
        psi: values on the configurations of ``sector``, projected and normalised, ``(n,)``; for one particle
            at the sites, and ``h * sum(psi**2) == 1``.
        energy, kinetic, potential, interaction: expectation values in ``psi``.
        variance: of the energy, :math:`|H\\psi - E\\psi|^2`; zero for an exact state.
        fit: how the training went; ``converged`` only if the variance and the states below agree, see
            :func:`~nnbook.particles.solve.solve`.
    """

    hamiltonian: Hamiltonian
    network: nn.Module = field(repr=False)
    below: tuple[State, ...] = field(repr=False)
    psi: Array = field(repr=False)
    energy: float
    kinetic: float
    potential: float
    interaction: float
    variance: float
    fit: Fit

    def __repr__(self) -> str:
        particles, several = self.hamiltonian.particles, self.hamiltonian.particles.count > 1
        return (
            (f"{particles.count} {particles.statistics}s: " if several else "")
            + f"E = {self.energy:.9f} (K = {self.kinetic:.6f}, V = {self.potential:.6f}, "
            + (f"U = {self.interaction:.6f}, " if several else "")
            + f"variance {self.variance:.1e})"
            + ("" if self.fit.converged else ", not converged")
        )

    @property
    def sector(self) -> Sector:
        """The configurations that ``psi`` lives on."""
        return self.hamiltonian.sector

    def full(self) -> Array:
        """The wave function in all orders of the particles, one axis of ``M - 1`` sites a particle."""
        return self.sector.full(self.psi)

    def raw(self) -> Array:
        """The plain network f before the sum over permutations, on the same axes as :meth:`full`.

        Its scale is that of ``psi``: summed over permutations with their signs, and made orthogonal to the
        states below, it gives the wave function.
        """
        plain = self.network.network if isinstance(self.network, Symmetrised) else self.network
        axes = np.meshgrid(*[self.hamiltonian.grid.x] * self.hamiltonian.particles.count, indexing="ij")
        values = values_of(plain, np.stack(axes, -1).reshape(-1, len(axes))).reshape(axes[0].shape)
        return values / ((self.sector.weights * self.psi) @ values_of(self.network, self.sector.x))

    def density(self) -> Array:
        """Particles per length at each site, ``(M - 1,)``."""
        return self.sector.density(self.psi)

    def pair_distribution(self) -> Array:
        """Probability density P(r) of the distance of two particles at r = 0, h, 2h, …, ``(M - 1,)``.

        It is even in r, so over r ≥ 0 it integrates to 1/2.
        """
        return self.sector.pair_distribution(self.psi)

    def on(self, points: int) -> State:
        """The same networks on another number of intervals in the same box, without training."""
        if points == self.hamiltonian.grid.points:
            return self
        below = tuple(state.on(points) for state in self.below)
        return state_of(self.hamiltonian.on(points), self.network, below, self.fit)


def ritz(states: Sequence[State]) -> Spectrum:
    r"""The best states in the span of trained ones: H diagonalised among them.

    Where levels nearly coincide, training finds their subspace long before it tells them apart; this
    rotates them inside it. By the min-max theorem each energy is an upper bound of its level.

    Args:
        states: different states of one problem, as :func:`~nnbook.particles.solve.solve` gives them one
            after the other.

    Returns:
        Energies in ascending order and the rotated states on the configurations ``(n, states)``.

    Raises:
        ValueError: no states, states of different problems, or states that depend on each other.
    """
    if isinstance(states, State) or not states:
        raise ValueError(f"states: got {states or 'none'}, expected a sequence of trained states")
    ham = states[0].hamiltonian
    same_problem("states", ham, states)
    psi = np.column_stack([s.psi for s in states])
    if np.linalg.eigvalsh((ham.sector.weights[:, None] * psi).T @ psi)[0] < 1e-8:
        raise ValueError("states: got states that depend on each other, expected different ones; see below=")
    energies, mixed = rotated(ham, psi)
    return Spectrum(energies, np.column_stack([fix_sign(column) for column in mixed.T]))


def rotated(ham: Hamiltonian, psi: Array) -> Spectrum:
    """H diagonalised in the span of columns ``(n, k)``."""
    root = np.sqrt(ham.sector.weights)[:, None]
    basis = np.linalg.qr(root * psi)[0] / root
    image = ham.apply(torch.as_tensor(basis, device="cpu")).numpy()
    energies, mix = eigh((root**2 * basis).T @ image)
    return Spectrum(energies, basis @ mix)


def same_problem(name: str, ham: Hamiltonian, states: Sequence[State]) -> None:
    """Check that states belong to a Hamiltonian, and that none is there twice."""
    if not isinstance(states, Sequence):
        raise ValueError(f"{name}: got one state, expected a sequence of them; write {name}=[state]")
    for state in states:
        other = getattr(state, "hamiltonian", None)
        if not isinstance(other, Hamiltonian):
            raise TypeError(f"{name}: got {type(state).__name__}, expected states that solve found")
        for got, expected in ((other.grid, ham.grid), (other.particles, ham.particles)):
            if got != expected:
                raise ValueError(
                    f"{name}: got a state of {got}, expected {expected}; state.on(points) changes the grid"
                )
        if not np.array_equal(other.values, ham.values):
            raise ValueError(f"{name}: got a state of another potential, expected states of this Hamiltonian")
    if len(set(states)) < len(states):
        raise ValueError(f"{name}: got the same state twice, expected each state once")


def columns(states: Sequence[State]) -> Array:
    """Their wave functions side by side, ``(n, states)``."""
    return np.column_stack([state.psi for state in states])


@torch.no_grad()
def values_of(network: nn.Module, x: Array) -> Array:
    """The values of a network at points ``(n, particles)``, ``(n,)``."""
    parameter = next(network.parameters())
    psi: Array = network(torch.as_tensor(x, device="cpu").to(parameter)).cpu().double().numpy()
    return psi


def state_of(ham: Hamiltonian, network: nn.Module, below: tuple[State, ...], fit: Fit) -> State:
    """The state of a trained network: projected, normalised and measured."""
    psi, weights = values_of(network, ham.sector.x), ham.sector.weights
    psi = psi / np.abs(psi).max()  # or the squares of a small network underflow
    for state in below + below:  # twice: Gram-Schmidt loses digits once
        psi = psi - (weights * state.psi) @ psi * state.psi
    psi = fix_sign(psi) / math.sqrt(weights @ psi**2)
    column = torch.as_tensor(psi, device="cpu")
    kinetic, potential, *more = (float(part) for part in ham.energies(column))
    energy = kinetic + potential + sum(more)
    residual = ham.apply(column[:, None])[:, 0].numpy() - energy * psi
    variance = float(weights @ residual**2)
    return State(ham, network, below, psi, energy, kinetic, potential, sum(more), variance, fit)

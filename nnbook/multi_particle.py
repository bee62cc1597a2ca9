r"""Networks trained to be the states of two or three identical particles on a lattice.

A plain network f is made a boson or a fermion afterwards, by a sum over permutations
:cite:p:`naito2023`:

.. math:: \psi(x_1, \dots, x_N) = \sum_P (\pm 1)^P f(x_{P1}, \dots, x_{PN})

The energy is minimised with the linear method on the ordered configurations
(:mod:`nnbook.particles.sectors`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.linalg import eigh
from torch import Tensor, nn

from nnbook.arrays import Array
from nnbook.lattice_qm import WaveFunction, bend_where_classical, take_over
from nnbook.networks import flatten
from nnbook.particles.grid import Grid, Spectrum
from nnbook.particles.hamiltonian import (
    ManyBodyHamiltonian,
    exact,
    fix_sign,
    hamiltonian,
    sector_of,
    separated,
)
from nnbook.particles.sectors import Particles, Sector, Statistics
from nnbook.train.first_order import Fit
from nnbook.train.linear_method import RayleighQuotient, minimise

__all__ = [
    "Grid",
    "ManyBodyHamiltonian",
    "Particles",
    "Sector",
    "Spectrum",
    "State",
    "Symmetrised",
    "WaveFunction",
    "exact",
    "hamiltonian",
    "ritz",
    "separated",
    "solve",
]


class Symmetrised(nn.Module):
    r"""A network of N coordinates, made a boson or a fermion afterwards.

    .. math:: \psi(x_1, \dots, x_N) = \sum_P (\pm 1)^P f(x_{P1}, \dots, x_{PN})

    over all N! permutations P, for fermions with their signs.

    Args:
        network: f, which maps ``(n, N)`` to ``(n,)``.
        particles: how many, and their statistics.

    >>> f = WaveFunction((4,), inputs=2)
    >>> psi = Symmetrised(f, Particles(2, "fermion"))
    >>> psi(torch.tensor([[1.0, 1.0]], dtype=torch.float64)).item()
    0.0
    """

    orders: Tensor
    signs: Tensor

    def __init__(self, network: nn.Module, particles: Particles) -> None:
        super().__init__()
        self.network = network
        self.particles = particles
        like = next(network.parameters())
        self.register_buffer("orders", torch.as_tensor(particles.orders).to(like.device))
        self.register_buffer("signs", torch.as_tensor(particles.signs).to(like))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n, N)`` to ``(n,)``; not normalised."""
        values = self.network(x[:, self.orders].flatten(0, 1))
        result: Tensor = values.view(len(x), -1) @ self.signs
        return result


@dataclass(frozen=True, eq=False)
class State:
    """One trained state of several particles; the repr is its energy line.

    Attributes:
        hamiltonian: the problem that it solves.
        statistics: ``"boson"`` or ``"fermion"``.
        network: the trained :class:`Symmetrised` network.
        below: the lower states, to which it is orthogonal.
        psi: values on the ordered configurations, projected and normalised, ``(n,)``.
        energy, kinetic, trap, interaction: expectation values in ``psi``.
        variance: of the energy, :math:`|H\\psi - E\\psi|^2`; zero for an exact state.
        fit: how the training went.
    """

    hamiltonian: ManyBodyHamiltonian
    statistics: Statistics
    network: Symmetrised = field(repr=False)
    below: tuple[State, ...] = field(repr=False)
    psi: Array = field(repr=False)
    energy: float
    kinetic: float
    trap: float
    interaction: float
    variance: float
    fit: Fit

    def __repr__(self) -> str:
        return (
            f"{self.hamiltonian.count} {self.statistics}s: E = {self.energy:.7f} (K = {self.kinetic:.5f}, "
            f"trap {self.trap:.5f}, interaction {self.interaction:.5f}, variance {self.variance:.1e})"
            + ("" if self.fit.converged else ", not converged")
        )

    @property
    def sector(self) -> Sector:
        """The configurations that ``psi`` lives on."""
        return self.hamiltonian.sector(self.statistics)

    def full(self) -> Array:
        """The wave function in all orders of the particles, one axis of ``M - 1`` sites a particle."""
        return self.sector.full(self.psi)

    @torch.no_grad()
    def raw(self) -> Array:
        """The plain network f before the sum over permutations, on the same axes as :meth:`full`.

        Its scale is that of ``psi``: summed over permutations with their signs, and made orthogonal to the
        states below, it gives the wave function.
        """
        axes = np.meshgrid(*[self.hamiltonian.grid.x] * self.hamiltonian.count, indexing="ij")
        parameter = next(self.network.parameters())
        points = torch.as_tensor(np.stack(axes, -1).reshape(-1, self.hamiltonian.count)).to(parameter)
        values: Array = self.network.network(points).cpu().double().numpy().reshape(axes[0].shape)
        summed = self.network(torch.as_tensor(self.sector.x).to(parameter)).cpu().double().numpy()
        return values / float((self.sector.weights * self.psi) @ summed)

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
        below = tuple(state.on(points) for state in self.below)
        return _state(self.hamiltonian.on(points), self.network, below, self.fit)


def solve(
    ham: ManyBodyHamiltonian,
    *,
    statistics: Statistics,
    hidden: Sequence[int] = (8, 8),
    below: Sequence[State] = (),
    seed: int = 1,
    activation: str = "softplus",
    signed: bool | None = None,
    start: State | None = None,
    starts: int = 8,
    coarse: int | None = None,
    tolerance: float = 1e-8,
    patience: int = 4,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> State:
    """Train a network to be the lowest state of ``ham`` that is orthogonal to the states ``below``.

    Several random networks descend side by side on a coarse lattice; the best goes on to lattices of twice
    as many points up to that of ``ham``, all with the linear method (:mod:`nnbook.train.linear_method`).

    Args:
        ham: the problem, from :func:`~nnbook.particles.hamiltonian.hamiltonian`.
        statistics: ``"boson"`` or ``"fermion"``.
        hidden: units of each hidden layer.
        below: the states below, solved for the same problem: ``[ground]`` gives the first excited state.
        seed: of the random networks.
        activation: of the hidden layers, a key of ``nnbook.networks.ACTIVATIONS``.
        signed: whether the plain network may change sign; default: only if there are states below.
        start: begin from the network of this state instead (a neighbouring interaction, say).
        starts: number of random networks.
        coarse: fewest intervals of a coarse lattice; default 64, 32 or 16 for one, two or three particles.
        tolerance, patience: see :func:`nnbook.train.linear_method.minimise`.
        dtype, device: of the network and of its training.

    Raises:
        ValueError: unknown statistics or activation, empty ``hidden``, a state of another problem below,
            ``starts`` < 1.

    >>> trap = hamiltonian(Grid(32), omega=1.0)
    >>> solve(trap, statistics="boson", hidden=(4, 4)).energy < 0.9941
    True
    """
    _check(ham, statistics, below, starts)
    particles = Particles(ham.count, statistics)
    signed = bool(below) if signed is None else signed
    generator = torch.Generator().manual_seed(seed)
    basis, energy = ham.sector(statistics), ham.trap(statistics) + ham.pairs(statistics)

    def draw() -> Symmetrised:
        plain = WaveFunction(
            hidden,
            inputs=ham.count,
            signed=signed,
            activation=activation,
            generator=generator,
            dtype=dtype,
            device=device,
        )
        bend_where_classical(plain.mlp, basis.x, energy, ham.grid, generator, basis.weights)
        return Symmetrised(plain, particles)

    network = draw()
    if start is not None:
        take_over(network, start.network)
        vectors = flatten(network)[None]
    else:
        vectors = torch.stack([flatten(network), *(flatten(draw()) for _ in range(starts - 1))])
    sizes = _sizes(ham.grid.points, coarse or {1: 64, 2: 32, 3: 16}[ham.count])
    problems = [_problem(ham.on(m), statistics, below, dtype, device) for m in sizes]
    fit = minimise(
        problems,
        network,
        starts=vectors,
        explore=8,
        tolerance=tolerance,
        patience=patience,
        label=f"{ham.count} {statistics}s, state {len(below)}",
    )
    return _state(ham, network, tuple(below), fit)


def ritz(states: Sequence[State]) -> Spectrum:
    r"""The best states in the span of trained ones: H diagonalised among them.

    Where levels nearly coincide, training finds their subspace long before it tells them apart; this
    rotates them inside it. By the min-max theorem each energy is an upper bound of its level.

    Args:
        states: different states of one problem, as :func:`solve` gives them one after the other.

    Returns:
        Energies in ascending order and the rotated states on the ordered configurations ``(n, states)``.

    Raises:
        ValueError: no states, states of different problems, or states that depend on each other.
    """
    if isinstance(states, State) or not states:
        raise ValueError(f"states: got {states or 'none'}, expected a sequence of trained states")
    ham, statistics = states[0].hamiltonian, states[0].statistics
    _same_problem("states", ham, statistics, states)
    psi = np.column_stack([s.psi for s in states])
    image = ham.operator(statistics)(torch.as_tensor(psi)).numpy()
    weights = ham.sector(statistics).weights[:, None]
    overlap = psi.T @ (weights * psi)
    if np.linalg.eigvalsh(overlap)[0] < 1e-8:
        raise ValueError("states: got states that depend on each other, expected different ones; see below=")
    energies, mix = eigh(psi.T @ (weights * image), overlap)
    return Spectrum(energies, np.column_stack([fix_sign(column) for column in (psi @ mix).T]))


def _check(ham: ManyBodyHamiltonian, statistics: Statistics, below: Sequence[State], starts: int) -> None:
    size = len(sector_of(ham, statistics).sites)
    _same_problem("below", ham, statistics, below)
    if len(below) >= size:
        raise ValueError(
            f"below: got {len(below)} states, expected fewer than the {size} configurations of the "
            f"{statistics}s on this grid; take more points"
        )
    if starts < 1:
        raise ValueError(f"starts: got {starts}, expected at least one random network")


def _same_problem(
    name: str, ham: ManyBodyHamiltonian, statistics: Statistics, states: Sequence[State]
) -> None:
    if not isinstance(states, Sequence):
        raise ValueError(f"{name}: got one state, expected a sequence of them; write {name}=[state]")
    for state in states:
        other = getattr(state, "hamiltonian", None)
        if not isinstance(other, ManyBodyHamiltonian):
            raise TypeError(f"{name}: got {type(state).__name__}, expected states of several particles")
        if other.grid != ham.grid:
            raise ValueError(
                f"{name}: got a state on {other.grid}, expected {ham.grid}; state.on(points) moves it"
            )
        if state.statistics != statistics:
            raise ValueError(f"{name}: got {state.statistics}s, expected {statistics}s as in this problem")
        same = np.array_equal(other.trap_values, ham.trap_values) and other.count == ham.count
        if not (same and np.array_equal(other.pair_values, ham.pair_values)):
            raise ValueError(f"{name}: got a state of another problem, expected states of this Hamiltonian")
    if len(set(states)) < len(states):
        raise ValueError(f"{name}: got the same state twice, expected each state once")


def _sizes(points: int, coarse: int) -> list[int]:
    """Lattices from coarse to fine, by halves."""
    halvings = int(math.log2(max(points / coarse, 1)))
    return [points >> k for k in range(halvings, -1, -1)]


def _problem(
    ham: ManyBodyHamiltonian,
    statistics: Statistics,
    below: Sequence[State],
    dtype: torch.dtype,
    device: torch.device | str,
) -> RayleighQuotient:
    def tensor(a: Array) -> Tensor:
        return torch.as_tensor(a, dtype=dtype, device=device)

    basis = ham.sector(statistics)
    return RayleighQuotient(
        points=tensor(basis.x),
        operator=ham.operator(statistics, dtype=dtype, device=device),
        weights=tensor(basis.weights),
        below=tensor(np.column_stack([s.on(ham.grid.points).psi for s in below])) if below else None,
    )


@torch.no_grad()
def _state(ham: ManyBodyHamiltonian, network: Symmetrised, below: tuple[State, ...], fit: Fit) -> State:
    statistics = network.particles.statistics
    basis = ham.sector(statistics)
    psi = _normalised(network, [s.psi for s in below], basis)
    trap, interaction = (
        float(basis.weights * psi**2 @ v) for v in (ham.trap(statistics), ham.pairs(statistics))
    )
    image = ham.operator(statistics)(torch.as_tensor(psi)[:, None])[:, 0].numpy()
    energy = float((basis.weights * psi) @ image)
    variance = float(basis.weights @ (image - energy * psi) ** 2)
    kinetic = energy - trap - interaction
    return State(ham, statistics, network, below, psi, energy, kinetic, trap, interaction, variance, fit)


def _normalised(network: Symmetrised, below: list[Array], basis: Sector) -> Array:
    parameter = next(network.parameters())
    psi: Array = network(torch.as_tensor(basis.x).to(parameter)).cpu().double().numpy()
    psi = psi / np.abs(psi).max()  # or the squares of a small network underflow
    for state in below + below:  # twice: Gram-Schmidt loses digits once
        psi = psi - (basis.weights * state) @ psi * state
    return fix_sign(psi) / math.sqrt(basis.weights @ psi**2)

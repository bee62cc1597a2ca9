"""Networks trained to be the states of a lattice Hamiltonian, one after the other.

The energy is the Rayleigh quotient of a network on all configurations of the lattice, minimised with the
linear method; an excited state is kept orthogonal to the states below it. The idea is that of
:cite:t:`naito2023`, the recipe is ours.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy.linalg import eigh
from torch import nn

from nnbook.arrays import Array, check_counts, finite, fix_sign, seeded
from nnbook.networks import flatten
from nnbook.particles.grid import Spectrum
from nnbook.particles.hamiltonian import Hamiltonian
from nnbook.particles.sectors import Sector
from nnbook.particles.waves import Symmetrised, WaveFunction, bend_where_classical, take_over
from nnbook.train.linear_method import minimise
from nnbook.train.loop import Fit
from nnbook.train.problems import RayleighQuotient


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
            :func:`solve`.
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
        values = _values(plain, np.stack(axes, -1).reshape(-1, len(axes))).reshape(axes[0].shape)
        return values / ((self.sector.weights * self.psi) @ _values(self.network, self.sector.x))

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
        return _state(self.hamiltonian.on(points), self.network, below, self.fit)


def solve(
    ham: Hamiltonian,
    *,
    hidden: Sequence[int] = (8, 8),
    below: Sequence[State] = (),
    seed: int = 1,
    activation: str = "softplus",
    signed: bool | None = None,
    start: State | None = None,
    starts: int = 8,
    coarse: int | None = None,
    steps: int = 400,
    tolerance: float = 1e-9,
    patience: int = 8,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> State:
    r"""Train a network to be the lowest state of ``ham`` that is orthogonal to the states ``below``.

    Several random networks descend side by side on a coarse lattice; the best goes on to lattices of twice
    as many points up to that of ``ham``, all with the linear method (:mod:`nnbook.train.linear_method`).
    Where a lattice has points enough, the next finer one takes the curvature from it.

    A small gain is not yet the lowest state. So H is diagonalised among the states found and the residual
    :math:`H\psi - E\psi` of the new one: where a level falls there by more than a hundred tolerances, the
    variance is too large, or two states are mixtures of two levels, and the state is not converged. Levels
    that come out in the wrong order, or mixed, are warned of; :func:`ritz` tells them apart.

    Args:
        ham: the problem.
        hidden: units of each hidden layer.
        below: the states below, solved for the same problem: ``[ground]`` gives the first excited state.
        seed: of the random networks.
        activation: of the hidden layers, a key of ``nnbook.networks.ACTIVATIONS``.
        signed: whether the plain network may change sign; default: only if there are states below.
        start: begin from the network of this state instead (a neighbouring potential, say).
        starts: number of random networks.
        coarse: fewest intervals of a coarse lattice; default 128, 32 or 16 for one, two or three particles.
        steps: at most so many on each lattice; more where a state is not converged.
        tolerance: a lattice is left when ``patience`` steps gain less than this, in units of ``ham.scale``,
            which is the frequency of a trap.
        patience: see ``tolerance`` and :func:`nnbook.train.linear_method.minimise`.
        dtype, device: of the network and of its training.

    Raises:
        TypeError: something else than a Hamiltonian, states or numbers.
        ValueError: empty ``hidden``, unknown activation, states below of another problem or as many as there
            are configurations, a count below 1, a tolerance below zero.

    >>> from nnbook.particles.grid import Grid
    >>> solve(Hamiltonian(Grid(64), lambda x: x**2 / 2), hidden=(4, 4), seed=1).energy < 0.4993
    True
    """
    _check(ham, below)
    check_counts(starts=starts, steps=steps, patience=patience, coarse=1 if coarse is None else coarse)
    finite("tolerance", tolerance, least=0)
    count = ham.particles.count
    generator = seeded(seed)

    def draw() -> nn.Module:
        plain = WaveFunction(
            hidden,
            inputs=count,
            signed=bool(below) if signed is None else signed,
            activation=activation,
            generator=generator,
            dtype=dtype,
            device=device,
        )
        bend_where_classical(plain.mlp, ham, generator)
        return plain if count == 1 else Symmetrised(plain, ham.particles)

    network = draw()
    if start is not None:
        take_over(network, start.network)
    others = [] if start else [flatten(draw()) for _ in range(starts - 1)]
    sizes = _sizes(ham.grid.points, coarse or {1: 128, 2: 32, 3: 16}[count])
    problems = [
        ham.on(m).problem(_columns([s.on(m) for s in below]) if below else None, dtype=dtype, device=device)
        for m in sizes
    ]
    fit = minimise(
        _with_curvature_from_coarser(problems, flatten(network).numel()),
        network,
        starts=torch.stack([flatten(network), *others]),
        explore=8,
        steps=steps,
        tolerance=tolerance * ham.scale,
        patience=patience,
        label=f"{count} {ham.particles.statistics}s, state {len(below)}",
    )
    return _judged(_state(ham, network, tuple(below), fit), tolerance * ham.scale)


def ritz(states: Sequence[State]) -> Spectrum:
    r"""The best states in the span of trained ones: H diagonalised among them.

    Where levels nearly coincide, training finds their subspace long before it tells them apart; this
    rotates them inside it. By the min-max theorem each energy is an upper bound of its level.

    Args:
        states: different states of one problem, as :func:`solve` gives them one after the other.

    Returns:
        Energies in ascending order and the rotated states on the configurations ``(n, states)``.

    Raises:
        ValueError: no states, states of different problems, or states that depend on each other.
    """
    if isinstance(states, State) or not states:
        raise ValueError(f"states: got {states or 'none'}, expected a sequence of trained states")
    ham = states[0].hamiltonian
    _same_problem("states", ham, states)
    psi = np.column_stack([s.psi for s in states])
    if np.linalg.eigvalsh((ham.sector.weights[:, None] * psi).T @ psi)[0] < 1e-8:
        raise ValueError("states: got states that depend on each other, expected different ones; see below=")
    energies, rotated = _rotated(ham, psi)
    return Spectrum(energies, np.column_stack([fix_sign(column) for column in rotated.T]))


def _rotated(ham: Hamiltonian, psi: Array) -> Spectrum:
    """H diagonalised in the span of columns ``(n, k)``."""
    root = np.sqrt(ham.sector.weights)[:, None]
    basis = np.linalg.qr(root * psi)[0] / root
    image = ham.apply(torch.as_tensor(basis, device="cpu")).numpy()
    energies, mix = eigh((root**2 * basis).T @ image)
    return Spectrum(energies, basis @ mix)


# By so many tolerances levels may fall when states are mixed: what is left of an energy after training.
ALLOWED = 100


def _judged(state: State, tolerance: float) -> State:
    """The state, not converged if its residual or the states below it say so."""
    ham, found = state.hamiltonian, (*state.below, state)
    psi, energies = _columns(found), np.sort([s.energy for s in found])
    residual = ham.apply(torch.as_tensor(psi[:, -1:], device="cpu")).numpy() - state.energy * psi[:, -1:]
    mixed, corrected = (
        float((energies - _rotated(ham, columns).energies[: len(found)]).max())
        for columns in (psi, np.hstack([psi, residual / max(np.abs(residual).max(), 1e-300)]))
    )
    near = "levels this near are told apart by ritz(states)"
    if state.energy < energies[-1]:
        doubt = f"E = {state.energy:.9f} is below that of a lower state, {energies[-1]:.9f}; {near}"
    elif mixed > ALLOWED * tolerance:
        doubt = f"a level falls by {mixed:.1e} when the states found are mixed; {near}"
    elif corrected > ALLOWED * tolerance:
        doubt = f"variance {state.variance:.1e}: with a part of its residual E falls by {corrected:.1e}"
    else:
        return state
    if near in doubt:
        warnings.warn(f"state {len(state.below)}: {doubt}", RuntimeWarning, stacklevel=3)
    fit = replace(state.fit, converged=False, reason=f"{state.fit.reason}; {doubt}")
    return replace(state, fit=fit)


def _check(ham: Hamiltonian, below: Sequence[State]) -> None:
    if not isinstance(ham, Hamiltonian):
        raise TypeError(f"ham: got {type(ham).__name__}, expected a Hamiltonian(grid, potential)")
    _same_problem("below", ham, below)
    size = len(ham.values)
    if len(below) >= size:
        raise ValueError(
            f"below: got {len(below)} states, expected fewer than the {size} configurations of this grid; "
            "take more points"
        )


def _same_problem(name: str, ham: Hamiltonian, states: Sequence[State]) -> None:
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


def _sizes(points: int, coarse: int) -> list[int]:
    """Lattices from coarse to fine, by halves."""
    halvings = int(math.log2(max(points / coarse, 1)))
    return [points >> k for k in range(halvings, -1, -1)]


# A lattice with so many configurations a parameter has the curvature of a finer one; with four it does not.
ENOUGH = 8


def _with_curvature_from_coarser(problems: list[RayleighQuotient], parameters: int) -> list[RayleighQuotient]:
    """Each problem with the one before as its ``coarser`` one, where that has points enough."""
    finer = (
        replace(fine, coarser=coarse) if len(coarse.points) >= ENOUGH * parameters else fine
        for coarse, fine in itertools.pairwise(problems)
    )
    return [problems[0], *finer]


def _columns(states: Sequence[State]) -> Array:
    return np.column_stack([state.psi for state in states])


@torch.no_grad()
def _values(network: nn.Module, x: Array) -> Array:
    parameter = next(network.parameters())
    psi: Array = network(torch.as_tensor(x, device="cpu").to(parameter)).cpu().double().numpy()
    return psi


def _state(ham: Hamiltonian, network: nn.Module, below: tuple[State, ...], fit: Fit) -> State:
    psi, weights = _values(network, ham.sector.x), ham.sector.weights
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

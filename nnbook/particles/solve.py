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
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from nnbook.arrays import check_counts, finite, seeded
from nnbook.networks import flatten
from nnbook.particles.hamiltonian import Hamiltonian
from nnbook.particles.states import State, columns, rotated, same_problem, state_of
from nnbook.particles.waves import Symmetrised, WaveFunction, bend_where_classical, take_over
from nnbook.train.linear_method import minimise
from nnbook.train.problems import RayleighQuotient


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
    that come out in the wrong order, or mixed, are warned of; :func:`~nnbook.particles.states.ritz` tells
    them apart.

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
        ham.on(m).problem(columns([s.on(m) for s in below]) if below else None, dtype=dtype, device=device)
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
    return _judged(state_of(ham, network, tuple(below), fit), tolerance * ham.scale)


# By so many tolerances levels may fall when states are mixed: what is left of an energy after training.
ALLOWED = 100


def _judged(state: State, tolerance: float) -> State:
    """The state, not converged if its residual or the states below it say so."""
    ham, found = state.hamiltonian, (*state.below, state)
    psi, energies = columns(found), np.sort([s.energy for s in found])
    residual = ham.apply(torch.as_tensor(psi[:, -1:], device="cpu")).numpy() - state.energy * psi[:, -1:]
    mixed, corrected = (
        float((energies - rotated(ham, span).energies[: len(found)]).max())
        for span in (psi, np.hstack([psi, residual / max(np.abs(residual).max(), 1e-300)]))
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
    same_problem("below", ham, below)
    size = len(ham.values)
    if len(below) >= size:
        raise ValueError(
            f"below: got {len(below)} states, expected fewer than the {size} configurations of this grid; "
            "take more points"
        )


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

r"""Networks trained to be the states of one quantum particle on a lattice.

The energy is the Rayleigh quotient of a network on the whole lattice, minimised with the linear method; an
excited state is kept orthogonal to the states below it. The idea is that of :cite:t:`naito2023`, the
recipe is ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nnbook.arrays import Array, fix_sign
from nnbook.networks import MLP, assign, flatten
from nnbook.particles.grid import Grid, Hamiltonian, Spectrum, check_states
from nnbook.train.first_order import Fit
from nnbook.train.linear_method import RayleighQuotient, minimise

__all__ = ["Grid", "Hamiltonian", "Spectrum", "State", "WaveFunction", "formula", "solve"]


class WaveFunction(nn.Module):
    r"""A network as a wave function of one coordinate, or of several.

    .. math:: \psi(x) = \operatorname{softplus}(a(x)) \quad\text{or, signed,}\quad
              \psi(x) = \operatorname{softplus}(a(x)) - \operatorname{softplus}(b(x))

    with a (and b) the outputs of an MLP of ``inputs`` coordinates. Softplus is positive and decays like
    :math:`e^{a}`: right for a ground state, which has no node, and for its tails. The difference of two has
    nodes and the same tails.
    """

    def __init__(
        self,
        hidden: Sequence[int],
        *,
        inputs: int = 1,
        signed: bool = False,
        activation: str = "softplus",
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        self.signed = signed
        self.mlp = MLP(
            inputs,
            hidden,
            2 if signed else 1,
            activation=activation,
            generator=generator,
            dtype=dtype,
            device=device,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n, inputs)`` to ``(n,)``; not normalised."""
        out = F.softplus(self.mlp(x))
        return out[:, 0] - out[:, 1] if self.signed else out[:, 0]


def formula(network: WaveFunction, digits: int = 5) -> str:
    r"""The network written out in LaTeX as aligned lines, for one hidden layer of s = softplus units.

    Raises:
        ValueError: more than one hidden layer, or other units; such a formula does not fit on a page.
    """
    first, *more, last = network.mlp.linear()
    if first.in_features > 1:
        raise ValueError(f"network: got {first.in_features} coordinates, expected a network of one")
    if more or network.mlp.activation != "softplus":
        raise ValueError(
            f"network: got {len(more) + 1} hidden layers of {network.mlp.activation} units, "
            "expected one of softplus units; train with hidden=(4,), say"
        )
    lines = [r"\psi(x) &\propto " + " - ".join(f"s({name})" for name in "ab"[: last.out_features])]
    for name, row, bias in zip("ab", last.weight.tolist(), last.bias.tolist(), strict=False):
        terms = [f"{c:+.{digits}g}\\, a_{{{k}}}" for k, c in enumerate(row, start=1)]
        lines.append(f"{name} &= " + " ".join([*terms, f"{bias:+.{digits}g}"]))
    for k, (w, b) in enumerate(zip(first.weight[:, 0].tolist(), first.bias.tolist(), strict=True), start=1):
        lines.append(f"a_{{{k}}} &= s({w:.{digits}g}\\, x {b:+.{digits}g})")
    return r"\begin{aligned} " + r" \\ ".join(lines) + r" \end{aligned}"


@dataclass(frozen=True, eq=False)
class State:
    """One trained lattice state; the repr is its energy line.

    Attributes:
        hamiltonian: the problem that it solves.
        network: the trained :class:`WaveFunction`.
        below: the lower states, to which it is orthogonal.
        psi: values on the lattice, projected and normalised so that ``h * sum(psi**2) == 1``.
        energy, kinetic, potential: expectation values in ``psi``.
        variance: of the energy, :math:`|H\\psi - E\\psi|^2`; zero for an exact state.
        fit: how the training went.
    """

    hamiltonian: Hamiltonian
    network: WaveFunction = field(repr=False)
    below: tuple[State, ...] = field(repr=False)
    psi: Array = field(repr=False)
    energy: float
    kinetic: float
    potential: float
    variance: float
    fit: Fit

    def __repr__(self) -> str:
        return (
            f"E = {self.energy:.9f} (K = {self.kinetic:.6f}, V = {self.potential:.6f}, "
            f"variance {self.variance:.1e})" + ("" if self.fit.converged else ", not converged")
        )

    def on(self, grid: Grid) -> Array:
        """The wave function on another lattice in the same box, orthonormal to the states below there."""
        return _normalised(self.network, [s.on(grid) for s in self.below], grid)


@torch.no_grad()
def _normalised(network: WaveFunction, below: list[Array], grid: Grid) -> Array:
    parameter = next(network.parameters())
    x = torch.as_tensor(grid.x[:, None], dtype=parameter.dtype, device=parameter.device)
    psi: Array = network(x).cpu().double().numpy()
    psi = psi / np.abs(psi).max()  # or the squares of a small network underflow
    for state in below + below:  # twice: Gram-Schmidt loses digits once
        psi = psi - grid.h * (state @ psi) * state
    return fix_sign(psi) / math.sqrt(grid.h * (psi @ psi))


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
    coarse: int = 128,
    tolerance: float = 1e-9,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> State:
    """Train a network to be the lowest state of ``ham`` that is orthogonal to the states ``below``.

    Several random networks descend side by side on a coarse lattice; the best is refined there and then on
    the lattice of ``ham``, all with the linear method (:mod:`nnbook.train.linear_method`).

    Args:
        ham: the problem.
        hidden: units of each hidden layer.
        below: the states below, solved on the same grid: ``[ground]`` gives the first excited state.
        seed: of the random networks.
        activation: of the hidden layers, a key of ``nnbook.networks.ACTIVATIONS``.
        signed: whether the network may change sign; default: only if there are states below.
        start: begin from the network of this state instead (a neighbouring potential, say).
        starts: number of random networks.
        coarse: intervals of the coarse lattice; skipped if ``ham`` has no more than twice as many.
        tolerance: see :func:`nnbook.train.linear_method.minimise`.
        dtype, device: of the network and of its training.

    Raises:
        ValueError: empty ``hidden``, unknown activation, more states than sites, a state of another grid,
            ``starts`` < 1.

    >>> solve(Hamiltonian(Grid(64), lambda x: x**2 / 2), hidden=(4, 4), seed=1).energy < 0.4993
    True
    """
    _check(ham, below, starts)
    signed = bool(below) if signed is None else signed
    generator = torch.Generator().manual_seed(seed)

    def draw() -> WaveFunction:
        net = WaveFunction(
            hidden, signed=signed, activation=activation, generator=generator, dtype=dtype, device=device
        )
        _spread(net, ham, generator)
        return net

    network = draw()
    if start is not None:
        take_over(network, start.network)
        vectors = flatten(network)[None]
    else:
        vectors = torch.stack([flatten(network), *(flatten(draw()) for _ in range(starts - 1))])
    levels = [ham.coarser(coarse), ham] if ham.grid.points > 2 * coarse else [ham]
    problems = [_problem(level, below, dtype, device) for level in levels]
    fit = minimise(problems, network, starts=vectors, tolerance=tolerance, label=f"state {len(below)}")
    return _state(ham, network, tuple(below), fit)


def _check(ham: Hamiltonian, below: Sequence[State], starts: int) -> None:
    if not isinstance(ham, Hamiltonian):
        raise TypeError(f"ham: got {type(ham).__name__}, expected a Hamiltonian(grid, potential)")
    _check_below(below, ham.grid)
    for state in below:
        if not np.array_equal(state.hamiltonian.values, ham.values):
            raise ValueError("below: got a state of another potential, expected states of this Hamiltonian")
    if starts < 1:
        raise ValueError(f"starts: got {starts}, expected at least one random network")


def _check_below(below: Any, grid: Grid) -> None:
    """Raise a ValueError unless these are several different states on one grid."""
    if not isinstance(below, Sequence):
        raise ValueError("below: got one state, expected a sequence of them; write below=[state]")
    check_states(len(below) + 1, grid)
    for state in below:
        if state.hamiltonian.grid != grid:
            raise ValueError(
                f"below: got a state on {state.hamiltonian.grid}, expected {grid}; "
                "solve it on this grid first"
            )
    if len(set(below)) < len(below):
        raise ValueError("below: got the same state twice, expected each lower state once")


def take_over(network: nn.Module, start: nn.Module) -> None:
    """Copy the parameters of a trained network into another one of the same shape.

    Raises:
        ValueError: another number of parameters.
    """
    vector = flatten(start)
    if vector.shape != flatten(network).shape:
        raise ValueError(
            f"start: got a network of {len(vector)} parameters, expected {len(flatten(network))}; "
            "use the same hidden layers, and signed=True for a start without states below"
        )
    assign(network, vector)


def _spread(net: WaveFunction, ham: Hamiltonian, generator: torch.Generator) -> None:
    bend_where_classical(net.mlp, ham.grid.x[:, None], ham.values, ham.grid, generator)


def bend_where_classical(
    mlp: MLP, x: Array, energy: Array, grid: Grid, generator: torch.Generator, weights: Array | None = None
) -> None:
    """Let the units bend where classical particles of a random temperature would be.

    The temperature is log-uniform over three decades above the zero-point energy of the empty box, so
    that among several networks one has the length scales of the ground state, whatever the potential.

    Args:
        mlp: its first layer is drawn anew.
        x: configurations, ``(n, particles)``.
        energy: the potential energy of each, ``(n,)``.
        grid: the lattice that they live on.
        generator: source of the random numbers.
        weights: the volume of each configuration; default: all the same.
    """
    zero_point = math.pi**2 / (8 * grid.x_max**2)
    temperature = 2 * zero_point * 10 ** (3 * float(torch.rand(1, generator=generator)))
    weight = np.exp(-(energy - energy.min()) / temperature) * (1.0 if weights is None else weights)
    units = mlp.linear()[0].out_features
    chosen = torch.multinomial(torch.as_tensor(weight), units, replacement=True, generator=generator)
    variance, axes = np.linalg.eigh(np.atleast_2d(np.cov(x.T, aweights=weight, ddof=0)))
    width = axes * np.sqrt(np.maximum(variance, grid.h**2))
    mlp.place_kinks(torch.as_tensor(x)[chosen], scale=torch.as_tensor(width), generator=generator)


def _problem(
    ham: Hamiltonian, below: Sequence[State], dtype: torch.dtype, device: torch.device | str
) -> RayleighQuotient:
    def tensor(a: Array) -> Tensor:
        return torch.as_tensor(a, dtype=dtype, device=device)

    return RayleighQuotient(
        points=tensor(ham.grid.x[:, None]),
        operator=ham.apply,
        weights=tensor(np.full(ham.grid.points - 1, ham.grid.h)),
        below=tensor(np.column_stack([s.on(ham.grid) for s in below])) if below else None,
    )


def _state(ham: Hamiltonian, network: WaveFunction, below: tuple[State, ...], fit: Fit) -> State:
    psi = _normalised(network, [s.psi for s in below], ham.grid)
    column = torch.as_tensor(psi)[:, None]
    kinetic, potential = (float(e) for e in ham.energies(column[:, 0]))
    energy = kinetic + potential
    residual = (ham.apply(column) - energy * column).numpy()
    variance = ham.grid.h * float((residual**2).sum())
    return State(ham, network, below, psi, energy, kinetic, potential, variance, fit)

r"""Chains of spin configurations that flip or exchange spins by the square of a wave function.

:class:`SpinWalkers` takes any wave function and evaluates it anew for each proposal.
:class:`HiddenUnitWalkers` knows restricted Boltzmann machines. Flipping the spins of move m changes the
hidden fields by :math:`-\sigma_m D_{mj}`, with :math:`\sigma_m` the first spin of the move, and then

.. math:: \frac{\cosh(\theta_j - \sigma_m D_{mj})}{\cosh\theta_j}
          = e^{\sigma_m D_{mj}} \bigl( p_j + \bar p_j\, k_{mj} \bigr), \qquad
          p' = \frac{p}{p + \bar p k}, \quad \bar p' = \frac{\bar p k}{p + \bar p k}

with :math:`p_j = 1/(1 + e^{2\theta_j})`, the probability of a hidden spin down, :math:`\bar p_j = 1 - p_j`
and :math:`k = e^{-2\sigma_m D_{mj}}`. Once k is known, a move costs a few multiplications for each hidden
unit and no exponential. Where the weights are real nothing is subtracted, so that no digits are lost.

The product of the brackets is :math:`\psi'/\psi` times :math:`e^{-\sigma_m \sum_j D_{mj}}`, which may leave
the range of floating-point numbers where all D have one sign. Turning a hidden unit over,
:math:`h_j \to -h_j`, changes the signs of its D and nothing else; every second one is turned over. For
weights so large that a product might leave the range all the same, :func:`in_range` is false; such machines
need :class:`SpinWalkers`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

#: Largest temporary array in elements; on a CPU it should stay in the cache, on a GPU fill the machine.
BLOCK = {"cpu": 2**16, "cuda": 2**24}


class SpinWalkers:
    r"""Chains that sample :math:`|\psi|^2`; they obey :class:`nnbook.sample.metropolis.Walkers`.

    Args:
        log_psi: maps configurations ``(batch, N)`` to :math:`\log\psi` ``(batch,)``, real or complex.
        spins: initial configurations ``(chains, N)``; copied.
        moves: sites that each move flips, ``(moves, 1)`` or ``(moves, 2)``; a pair must be antiparallel.

    Raises:
        ValueError: spins of the wrong shape, zero chains.
    """

    def __init__(self, log_psi: Callable[[Tensor], Tensor], spins: Tensor, moves: Tensor) -> None:
        if spins.ndim != 2 or len(spins) == 0:
            raise ValueError(
                f"spins: got shape {tuple(spins.shape)}, expected (chains, sites) with at least one chain"
            )
        self.log_psi = log_psi
        self.spins, self.moves = spins.clone(), moves.to(spins.device)
        self.refresh()

    @property
    def configurations(self) -> Tensor:
        """The present configurations ``(chains, N)``."""
        return self.spins

    @torch.no_grad()
    def propose(self, generator: torch.Generator) -> Tensor:
        r"""Draw a move for each chain; returns :math:`2\log|\psi(s')/\psi(s)|`, ``(chains,)``."""
        draw = torch.randint(
            len(self.moves), (len(self.spins),), generator=generator, device=generator.device
        )
        self._move = draw.to(self.spins.device)
        self._sites = self.moves.index_select(0, self._move)
        self._values = values = self.spins.gather(1, self._sites)
        log_ratio = self._log_ratio(values[:, 0])
        if self.moves.shape[1] == 2:
            log_ratio = torch.where(values[:, 0] == values[:, 1], -torch.inf, log_ratio)
        return log_ratio

    @torch.no_grad()
    def accept(self, accepted: Tensor) -> None:
        """Carry out the proposed moves of the chains where ``accepted`` is true."""
        self._advance(accepted)
        values = torch.where(accepted[:, None], -self._values, self._values)
        self.spins.scatter_(1, self._sites, values)

    @torch.no_grad()
    def ratios(self) -> Tensor:
        r""":math:`\psi(s')/\psi(s)` of every move from the present configurations, ``(chains, moves)``."""
        here, columns = self.log_psi(self.spins), []
        flips = self.spins.new_ones(len(self.moves), self.spins.shape[1])
        flips.scatter_(1, self.moves, -1.0)
        step = max(1, _block(self.spins) // self.spins.numel())
        for some in flips.split(step):
            there = (self.spins[:, None] * some).flatten(0, 1)
            columns.append(self.log_psi(there).view(len(self.spins), -1))
        return (torch.cat(columns, 1) - here[:, None]).exp()

    @torch.no_grad()
    def refresh(self) -> None:
        """Compute from scratch what is carried along from move to move."""
        self._here = self.log_psi(self.spins)

    def _log_ratio(self, first: Tensor) -> Tensor:
        """The logarithm of |psi(s')/psi(s)|^2 of the drawn moves; ``first`` is their first spin."""
        sign = torch.ones_like(self.spins).scatter_(1, self._sites, -1.0)
        self._there = self.log_psi(self.spins * sign)
        return 2 * (self._there - self._here).real

    def _advance(self, accepted: Tensor) -> None:
        self._here = torch.where(accepted, self._there, self._here)


@runtime_checkable
class HiddenUnits(Protocol):
    r"""A state that has hidden units, :math:`\psi = e^{a\cdot s} \prod_j 2\cosh(b_j + \sum_i W_{ji} s_i)`."""

    def units(self) -> tuple[Tensor, Tensor, Tensor]:
        """a, ``(N,)``; b, ``(M,)``; W, ``(M, N)``."""

    def __call__(self, spins: Tensor) -> Tensor:
        r""":math:`\log\psi` of configurations ``(batch, N)``, ``(batch,)``."""


class HiddenUnitWalkers(SpinWalkers):
    """Chains of a restricted Boltzmann machine; see above.

    Args:
        machine: the state.
        spins, moves: see :class:`SpinWalkers`.
    """

    @torch.no_grad()
    def __init__(self, machine: HiddenUnits, spins: Tensor, moves: Tensor) -> None:
        visible, hidden, weight = machine.units()
        turned = 1 - 2 * (torch.arange(len(hidden), device=hidden.device) % 2)
        hidden, weight = turned * hidden, turned[:, None] * weight
        self._hidden, self._weight = hidden, weight
        moves = moves.to(weight.device)
        signs = weight.new_tensor([[1.0, -1.0]])[:, : moves.shape[1]]  # an exchange flips s and -s
        change = 2 * (weight.T[moves] * signs[..., None]).sum(1)
        self._factor = torch.cat([-2 * change, 2 * change]).exp()  # first spin up; first spin down
        outside = change.sum(1) - 2 * (visible[moves] * signs).sum(1)  # the brackets
        outside = torch.cat([outside, -outside])
        self._outside, self._log_square = outside.exp(), 2 * outside.real
        super().__init__(machine, spins, moves)

    def refresh(self) -> None:
        """Compute the hidden units anew: after many updates in place, rounding errors would add up."""
        theta = self.spins.to(self._weight.dtype) @ self._weight.T + self._hidden
        self._down, self._up = (-2 * theta).sigmoid(), (2 * theta).sigmoid()
        self._age = 0

    def ratios(self) -> Tensor:
        r""":math:`\psi(s')/\psi(s)` of every move from the present configurations, ``(chains, moves)``."""
        self.refresh()
        first = self.spins[:, self.moves[:, 0]]
        rows = self._row(torch.arange(len(self.moves), device=first.device), first).T.contiguous()
        step, products = max(1, _block(self.spins) // self._down.numel()), []
        for some in rows.split(step):
            k = self._factor.index_select(0, some.flatten()).view(*some.shape, -1)
            products.append(torch.addcmul(self._down, self._up, k, out=k).prod(2))
        return (torch.cat(products) * self._outside[rows]).T

    def _row(self, move: Tensor, first: Tensor) -> Tensor:
        return torch.add(move, first < 0, alpha=len(self.moves))

    def _log_ratio(self, first: Tensor) -> Tensor:
        if self._age == self.spins.shape[1]:
            self.refresh()
        self._age += 1
        row = self._row(self._move, first)
        self._flipped = self._factor.index_select(0, row).mul_(self._up)
        self._sum = self._down + self._flipped
        return torch.add(self._log_square.index_select(0, row), self._sum.prod(1).abs().log(), alpha=2)

    def _advance(self, accepted: Tensor) -> None:
        moved = accepted.nonzero()[:, 0]
        total = self._sum.index_select(0, moved)
        down = self._down.index_select(0, moved) / total
        up = self._flipped.index_select(0, moved) / total
        self._down.index_copy_(0, moved, down)
        self._up.index_copy_(0, moved, up)


def in_range(weight: Tensor, moves: Tensor) -> bool:
    """Whether no product of :class:`HiddenUnitWalkers` can leave the range of floating-point numbers."""
    # brackets lie between exp(-2 |D|) and exp(2 |D|)
    largest = 4 * weight.detach().real.abs().sum(0)[moves.to(weight.device)].sum(1).max()
    return bool(largest < math.log(torch.finfo(weight.dtype).max))


def _block(values: Tensor) -> int:
    return BLOCK.get(values.device.type, 2**20)


def walkers_of(state: Callable[[Tensor], Tensor], spins: Tensor, moves: Tensor) -> SpinWalkers:
    """The fastest walkers for a state: those that carry its hidden units along, if it has some in range.

    Args:
        state: maps configurations ``(batch, N)`` to log psi ``(batch,)``.
        spins, moves: see :class:`SpinWalkers`.
    """
    if isinstance(state, HiddenUnits) and in_range(state.units()[2], moves):
        return HiddenUnitWalkers(state, spins, moves)
    return SpinWalkers(state, spins, moves)

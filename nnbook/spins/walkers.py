r"""Chains of spin configurations that flip or exchange spins by the square of a wave function.

:class:`SpinWalkers` takes any wave function and evaluates it anew for each proposal.
:class:`HiddenUnitWalkers` knows restricted Boltzmann machines. Flipping the spins of move m changes the
hidden fields by :math:`-\sigma_m D_{mj}`, with :math:`\sigma_m` the first spin of the move, and then

.. math:: \frac{\cosh(\theta_j - \sigma_m D_{mj})}{\cosh\theta_j}
          = e^{\sigma_m D_{mj}} \bigl( p_j + \bar p_j\, k_{mj} \bigr), \qquad
          p' = \frac{p}{p + \bar p k}, \quad \bar p' = \frac{\bar p k}{p + \bar p k}

with :math:`p_j = 1/(1 + e^{2\theta_j})`, the probability of a hidden spin down, :math:`\bar p_j = 1 - p_j`
and :math:`k = e^{-2\sigma_m D_{mj}}`. Once k is known, a move costs a few multiplications for each hidden
unit and no exponential, and an accepted one a copy: the denominators of :math:`p'` cancel in ratios, so that
:math:`\bar p_j k_{mj}` goes on in place of :math:`\bar p_j'`, and all is divided now and then only. Where the
weights are real nothing is subtracted, so that no digits are lost.

The product of the brackets is :math:`\psi'/\psi` times :math:`e^{-\sigma_m \sum_j D_{mj}}`, which may leave
the range of floating-point numbers where all D have one sign. Turning a hidden unit over,
:math:`h_j \to -h_j`, changes the signs of its D and nothing else; every second one is turned over. How many
moves may follow each other before a division says :func:`moves_in_range`; machines whose weights are so large
that there is none need :class:`SpinWalkers`.

Proposals are weighed in half the precision of the weights: a ratio that is :math:`10^{-6}` off changes no
mean that one could see, and half the memory is half the time. The ratios that enter local energies have all
digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from nnbook.arrays import check_counts, check_indices
from nnbook.spins.lattices import checked_spins

#: Largest temporary array in elements; on a CPU it should stay in the cache, on a GPU fill the machine.
BLOCK = {"cpu": 2**16, "cuda": 2**24}
#: The precision that weighs the proposals of states of another one.
HALF = {torch.float64: torch.float32, torch.complex128: torch.complex64}


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
        check_indices("moves", moves, width=(1, 2), count=spins.shape[1])
        check_counts(moves=len(moves))
        self.log_psi = log_psi
        self.spins, self.moves = spins.clone(), moves.to(spins.device)
        self.refresh()

    @property
    def configurations(self) -> Tensor:
        """The present configurations ``(chains, N)``."""
        return self.spins

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

    @torch.no_grad()
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
        proposals: precision in which proposals are weighed; that of the weights if absent.
    """

    @torch.no_grad()
    def __init__(
        self, machine: HiddenUnits, spins: Tensor, moves: Tensor, *, proposals: torch.dtype | None = None
    ) -> None:
        visible, hidden, weight = machine.units()
        turned = 1 - 2 * (torch.arange(len(hidden), device=hidden.device) % 2)
        self._hidden, self._weight = turned * hidden, turned[:, None] * weight
        moves = moves.to(weight.device)
        signs = _signs(self._weight, moves)
        change = _changes(self._weight, moves)
        self._factor = torch.cat([-2 * change, 2 * change]).exp()  # first spin up; first spin down
        self._rough = self._factor.to(proposals or weight.dtype)
        self._wide = torch.promote_types(self._rough.dtype, torch.float64)
        self._often = max(1, moves_in_range(weight, moves, self._rough.dtype))
        outside = change.sum(1) - 2 * (visible[moves] * signs).sum(1)  # the brackets
        outside = torch.cat([outside, -outside])
        self._outside, self._log_square = outside.exp(), 2 * outside.real
        super().__init__(machine, spins, moves)

    def refresh(self) -> None:
        """Compute the hidden units anew: after many updates in place, rounding errors would add up."""
        self._down, self._up = (part.to(self._rough.dtype) for part in self._probabilities())
        self._trial, self._sum = torch.empty_like(self._up), torch.empty_like(self._up)
        self._here = self._up.new_ones(len(self._up), dtype=self._wide)
        self._age = 0

    def ratios(self) -> Tensor:
        r""":math:`\psi(s')/\psi(s)` of every move from the present configurations, ``(chains, moves)``."""
        down, up = self._probabilities()
        first = self.spins[:, self.moves[:, 0]]
        rows = self._row(torch.arange(len(self.moves), device=first.device), first).T.contiguous()
        step, products = max(1, _block(self.spins) // down.numel()), []
        for some in rows.split(step):
            k = self._factor.index_select(0, some.flatten()).view(*some.shape, -1)
            products.append(torch.addcmul(down, up, k, out=k).prod(2))
        return (torch.cat(products) * self._outside[rows]).T

    def _probabilities(self) -> tuple[Tensor, Tensor]:
        """Of hidden spins down and up, ``(chains, M)``."""
        theta = self.spins.to(self._weight.dtype) @ self._weight.T + self._hidden
        return (-2 * theta).sigmoid(), (2 * theta).sigmoid()

    def _row(self, move: Tensor, first: Tensor) -> Tensor:
        return torch.add(move, first < 0, alpha=len(self.moves))

    def _log_ratio(self, first: Tensor) -> Tensor:
        if self._age >= self.spins.shape[1]:
            self.refresh()
        elif self._age % self._often == 0:
            self._normalise()
        self._age += 1
        row = self._row(self._move, first)
        torch.index_select(self._rough, 0, row, out=self._trial).mul_(self._up)
        self._there = torch.add(self._down, self._trial, out=self._sum).prod(1, dtype=self._wide)
        ratio = (self._there / self._here).abs().log()
        return torch.add(self._log_square.index_select(0, row), ratio, alpha=2)

    def _advance(self, accepted: Tensor) -> None:
        moved = accepted.nonzero()[:, 0]
        self._up.index_copy_(0, moved, self._trial.index_select(0, moved))
        self._here = torch.where(accepted, self._there, self._here)

    def _normalise(self) -> None:
        """Make probabilities of the weights, before their products leave the range of numbers."""
        torch.add(self._down, self._up, out=self._sum)
        self._down.div_(self._sum)
        self._up.div_(self._sum)
        self._here.fill_(1)


def _signs(weight: Tensor, moves: Tensor) -> Tensor:
    return weight.new_tensor([[1.0, -1.0]])[:, : moves.shape[1]]  # an exchange flips s and -s


def _changes(weight: Tensor, moves: Tensor) -> Tensor:
    """D, ``(moves, M)``."""
    return 2 * (weight.T[moves] * _signs(weight, moves)[..., None]).sum(1)


def moves_in_range(weight: Tensor, moves: Tensor, dtype: torch.dtype) -> int:
    r"""How many moves in a row keep brackets in the range of a dtype, products in that of the weights.

    A move changes a bracket by a factor between 1 and :math:`e^{\pm 2D}`. Zero: not a single move is safe.
    More than 16 are not asked for.
    """
    change = 2 * _changes(weight.detach(), moves.to(weight.device)).real
    single = float(change.abs().max()) / math.log(torch.finfo(dtype).max)
    product = float(change.abs().sum(1).max()) / math.log(torch.finfo(weight.dtype).max)
    return min(16, int(1 / max(single, product, 1 / 16)))


def _block(values: Tensor) -> int:
    return BLOCK.get(values.device.type, 2**20)


def walkers_of(state: Callable[[Tensor], Tensor], spins: Tensor, moves: Tensor) -> SpinWalkers:
    """The fastest walkers for a state: those that carry its hidden units along, if it has some in range.

    Args:
        state: maps configurations ``(batch, N)`` to log psi ``(batch,)``.
        spins, moves: see :class:`SpinWalkers`.
    """
    if not isinstance(state, HiddenUnits):
        return SpinWalkers(state, spins, moves)
    weight = state.units()[2]
    checked_spins(spins, weight.shape[1])
    check_indices("moves", moves, width=(1, 2), count=weight.shape[1])
    check_counts(moves=len(moves))
    for dtype in (HALF.get(weight.dtype, weight.dtype), weight.dtype):
        if moves_in_range(weight, moves, dtype):
            return HiddenUnitWalkers(state, spins, moves, proposals=dtype)
    return SpinWalkers(state, spins, moves)

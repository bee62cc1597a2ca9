r"""Chains of spin configurations that flip or exchange spins by the square of a wave function.

:class:`SpinWalkers` takes any wave function and evaluates it anew for each proposal.
:class:`HiddenUnitWalkers` knows restricted Boltzmann machines. Flipping the spins of move m changes the
hidden fields by :math:`-2 \sigma_m D_{mj}`, with :math:`\sigma_m` the first spin of the move, and then

.. math:: \frac{\psi(s')}{\psi(s)} = e^{-2\sigma_m A_m} \prod_j \frac{\cosh(\theta_j - 2\sigma_m D_{mj})}
          {\cosh\theta_j} = c_m^{\sigma} \prod_j (1 - q_j t_j), \qquad t'_j = \frac{t_j - q_j}{1 - q_j t_j}

with :math:`t_j = \tanh\theta_j` and :math:`q_j = \sigma_m \tanh 2D_{mj}`. Once :math:`\tanh 2D` is known, a
move costs a few multiplications for each hidden unit and no exponential.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

#: Largest temporary array, in elements; larger ones leave the cache, smaller ones waste calls.
BLOCK = 2**20


class SpinWalkers:
    r"""Chains that sample :math:`|\psi|^2`; they obey :class:`nnbook.sampling.Walkers`.

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
        self._every = torch.arange(len(spins), device=spins.device)
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
        self._sites = self.moves[self._move]
        values = self.spins.gather(1, self._sites)
        log_ratio = 2 * self._log_ratio(values[:, :1])
        if self.moves.shape[1] == 2:
            log_ratio = torch.where(values[:, 0] == values[:, 1], -torch.inf, log_ratio)
        return log_ratio

    @torch.no_grad()
    def accept(self, accepted: Tensor) -> None:
        """Carry out the proposed moves of the chains where ``accepted`` is true."""
        sign = 1 - 2 * accepted.to(self.spins)
        self._advance(accepted)
        self.spins.scatter_(1, self._sites, self.spins.gather(1, self._sites) * sign[:, None])

    @torch.no_grad()
    def ratios(self) -> Tensor:
        r""":math:`\psi(s')/\psi(s)` of every move from the present configurations, ``(chains, moves)``."""
        here, columns = self.log_psi(self.spins), []
        flips = torch.ones(len(self.moves), self.spins.shape[1]).to(self.spins)
        flips.scatter_(1, self.moves, -1.0)
        step = max(1, BLOCK // self.spins.numel())
        for some in flips.split(step):
            there = (self.spins[:, None] * some).flatten(0, 1)
            columns.append(self.log_psi(there).view(len(self.spins), -1))
        return (torch.cat(columns, 1) - here[:, None]).exp()

    @torch.no_grad()
    def refresh(self) -> None:
        """Compute from scratch what is carried along from move to move."""
        self._here = self.log_psi(self.spins)

    def _log_ratio(self, first: Tensor) -> Tensor:
        """The logarithm of |psi(s')/psi(s)| of the drawn moves; ``first`` is their first spin."""
        sign = torch.ones_like(self.spins).scatter_(1, self._sites, -1.0)
        self._there = self.log_psi(self.spins * sign)
        return (self._there - self._here).real

    def _advance(self, accepted: Tensor) -> None:
        self._here = torch.where(accepted, self._there, self._here)


class HiddenUnitWalkers(SpinWalkers):
    r"""Chains of a restricted Boltzmann machine
    :math:`\psi = e^{a\cdot s} \prod_j 2\cosh(b_j + \sum_i W_{ji} s_i)`.

    Args:
        visible: a, ``(N,)``.
        hidden: b, ``(M,)``.
        weight: W, ``(M, N)``.
        spins, moves: see :class:`SpinWalkers`.
    """

    def __init__(self, visible: Tensor, hidden: Tensor, weight: Tensor, spins: Tensor, moves: Tensor) -> None:
        self._hidden, self._weight = hidden, weight
        signs = torch.tensor([[1.0, -1.0]])[:, : moves.shape[1]].to(spins)  # an exchange flips s and -s
        change = 2 * (weight.T[moves] * signs[..., None]).sum(1)
        self._tanh = change.tanh()
        self._field = 2 * (visible[moves] * signs).sum(1)
        self._log_cosh = log_cosh(change).sum(1)
        super().__init__(lambda s: rbm_log_psi(visible, hidden, weight, s), spins, moves)

    def refresh(self) -> None:
        """Compute the hidden units anew: after many updates in place, rounding errors would add up."""
        self._t = (self.spins.to(self._weight.dtype) @ self._weight.T + self._hidden).tanh()
        self._age = 0

    def ratios(self) -> Tensor:
        r""":math:`\psi(s')/\psi(s)` of every move from the present configurations, ``(chains, moves)``."""
        self.refresh()
        first = self.spins[:, self.moves[:, 0]]
        step, columns = max(1, BLOCK // self._t.numel()), []
        for sigma, tanh in zip(first.split(step, 1), self._tanh.split(step), strict=True):
            columns.append((1 - (sigma[..., None] * tanh) * self._t[:, None]).prod(2))
        return torch.cat(columns, 1) * (self._log_cosh - first * self._field).exp()

    def _log_ratio(self, first: Tensor) -> Tensor:
        if self._age == self.spins.shape[1]:
            self.refresh()
        self._age += 1
        self._q = self._tanh[self._move] * first
        self._u = 1 - self._q * self._t
        size = self._log_cosh[self._move] - first[:, 0] * self._field[self._move]
        return self._u.prod(1).abs().log() + size.real

    def _advance(self, accepted: Tensor) -> None:
        self._t = torch.where(accepted[:, None], (self._t - self._q) / self._u, self._t)


def log_cosh(x: Tensor) -> Tensor:
    """The logarithm of cosh x without overflow, for real and complex x."""
    z = torch.where(x.real < 0, -x, x)
    return z + torch.log1p((-2 * z).exp()) - 0.6931471805599453


def rbm_log_psi(visible: Tensor, hidden: Tensor, weight: Tensor, spins: Tensor) -> Tensor:
    r""":math:`a\cdot s + \sum_j \log\cosh(b_j + \sum_i W_{ji} s_i)` of configurations ``(batch, N)``."""
    spins = spins.to(weight.dtype)
    return spins @ visible + log_cosh(spins @ weight.T + hidden).sum(-1)

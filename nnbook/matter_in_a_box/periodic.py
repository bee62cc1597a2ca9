r"""Functions of differences in a cube with periodic walls: Jastrow factors and backflow.

A difference :math:`\mathbf d` of two positions enters through functions that know of the walls,

.. math:: w_a = \tfrac{L}{\pi} \sin\tfrac{\pi d_a}{L}, \qquad s = |\mathbf w|, \qquad
          t_a = \tfrac{L}{2\pi} \sin\tfrac{2\pi d_a}{L}, \qquad e_a = \cos\tfrac{2\pi d_a}{L} .

At small distances s and t are the distance and the difference. Since :math:`\partial_a s = t_a/s` and
:math:`\partial_b t_a = \delta_{ab}\, e_a`, any function of s is smooth across the walls, and

.. math:: \partial_a\partial_b f(s) = \delta_{ab}\, e_a \frac{f'}{s}
          + \Bigl( f'' - \frac{f'}{s} \Bigr) \frac{t_a t_b}{s^2} .

Positions are ``(batch, N, 3)``, those with spin up first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from nnbook.continuum.factors import Factor, LogJet
from nnbook.continuum.radial import Pade, Pairs, Radial, Values
from nnbook.networks import as_function, flatten, jacobian


class Box(Protocol):
    """What a state has to know of a system."""

    @property
    def particles(self) -> int:
        """Their number N, half of them with spin up."""

    @property
    def length(self) -> float:
        """The length L of the cube."""


class Wrapped(NamedTuple):
    """The functions s, t and e of differences: ``(...)``, ``(..., 3)`` and ``(..., 3)``."""

    s: Tensor
    t: Tensor
    e: Tensor

    @classmethod
    def of(cls, d: Tensor, length: float) -> Wrapped:
        """Those of differences d ``(..., 3)``."""
        half = (math.pi / length) * d
        sine, scale = half.sin(), length / math.pi
        square = sine.square()
        return cls(scale * square.sum(-1).sqrt(), scale * sine * half.cos(), 1 - 2 * square)

    def bend(self, f1: Tensor, f2: Tensor) -> Tensor:
        """Second derivatives ``(..., 3, 3)`` of f(s), given f'/s and f''."""
        rest = ((f2 - f1) / self.s.square())[..., None, None]
        return (f1[..., None] * self.e).diag_embed() + rest * self.t[..., None] * self.t[..., None, :]


class Contact(nn.Module):
    r"""The pair of a well :math:`1/\cosh^2` at unitarity, :math:`f = \ln[\tanh(\mu s)/\mu s]`.

    Args:
        mu: one over the width of the well.
    """

    def __init__(self, mu: float) -> None:
        super().__init__()
        self.mu = mu

    def forward(self, r: Tensor) -> Tensor:
        """The values f, of the shape of r."""
        return (torch.tanh(self.mu * r) / (self.mu * r)).log()

    def jet(self, r: Tensor) -> Values:
        """f, f'/r and f''."""
        slope = 2 * self.mu / torch.sinh(2 * self.mu * r)
        low = 1 / r
        second = low.square() - 2 * self.mu * slope / torch.tanh(2 * self.mu * r)
        return self(r), (slope - low) * low, second


class Learnt(Factor):
    """A factor whose derivatives by the parameters are taken by machine; base class."""

    def derivatives(self, x: Tensor) -> Tensor:
        """By the parameters, ``(batch, parameters)``."""
        vector = flatten(self)
        if not len(vector):
            return x.new_zeros(len(x), 0)
        with torch.enable_grad():
            return jacobian(as_function(self), vector, x)[1].detach()


Functions = Sequence[Pade | Radial | Contact]


class PairFunctions(nn.Module):
    """One function of s for all pairs, or one for opposite and one for equal spins."""

    def __init__(self, box: Box, functions: Functions) -> None:
        super().__init__()
        self.pairs = Pairs(box.particles)
        kinds = len(self.pairs.kinds)
        if len(functions) not in (1, kinds):
            raise ValueError(f"functions: got {len(functions)}, expected 1, or {kinds}, one a kind of pair")
        self.functions = nn.ModuleList(functions)

    @property
    def alike(self) -> bool:
        """Whether spins do not matter."""
        return len(self.functions) == 1

    def _each(self, s: Tensor) -> Iterable[tuple[Radial, Tensor]]:
        parts = [s] if self.alike else s.split(self.pairs.kinds, 1)
        return zip((cast(Radial, f) for f in self.functions), parts, strict=True)

    def forward(self, s: Tensor) -> Tensor:
        """Values at ``(batch, pairs)``."""
        return torch.cat([f(part) for f, part in self._each(s)], 1)

    def jet(self, s: Tensor) -> Values:
        """f, f'/s and f''."""
        f, f1, f2 = zip(*[f.jet(part) for f, part in self._each(s)], strict=True)
        return torch.cat(f, 1), torch.cat(f1, 1), torch.cat(f2, 1)


class PeriodicJastrow(Learnt):
    r"""Pairs of particles, :math:`\exp \sum_{i<j} f(s_{ij})`.

    Args:
        box: whose particles.
        functions: f, one for all pairs, or one for opposite and one for equal spins.

    Raises:
        ValueError: another number of functions.
    """

    def __init__(self, box: Box, functions: Functions) -> None:
        super().__init__()
        self.shape, self.length = (box.particles, 3), box.length
        self.f = PairFunctions(box, functions)

    def _wrapped(self, x: Tensor) -> Wrapped:
        return Wrapped.of(self.f.pairs(x)[0], self.length)

    def forward(self, x: Tensor) -> Tensor:
        """The logarithm, ``(batch,)``."""
        log: Tensor = self.f(self._wrapped(x).s).sum(1)
        return log

    def jet(self, x: Tensor) -> LogJet:
        """Logarithm, gradient and Laplacian."""
        w = self._wrapped(x)
        f, f1, f2 = self.f.jet(w.s)
        bend = w.bend(f1, f2).diagonal(dim1=-2, dim2=-1).sum(-1)
        return LogJet(f.sum(1), self.f.pairs.onto(f1[..., None] * w.t), 2 * bend.sum(1))


class Motion(NamedTuple):
    """Coordinates X ``(batch, N, 3)`` as functions of the positions, with their Laplacian.

    The Jacobian ``(batch, N, 3, 3N)`` is None for the positions themselves.
    """

    value: Tensor
    jacobian: Tensor | None
    laplacian: Tensor


class PeriodicBackflow(nn.Module):
    r"""Each particle displaced by the others, :math:`X_i = x_i + \sum_{j\ne i} \eta(s_{ij})\,\mathbf t_{ij}`.

    Several in a row pass messages: the second one works with distances of coordinates that know of all the
    others already :cite:p:`taddei2015`.

    Args:
        box: whose particles.
        hidden: units of the network.
        kinds: 1 for all pairs alike, 2 for opposite and equal spins.
    """

    def __init__(
        self, box: Box, hidden: int, *, kinds: int = 2, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.length = box.length
        self.eta = PairFunctions(box, [Radial(hidden, "pair", generator=generator) for _ in range(kinds)])

    def forward(self, x: Tensor) -> Tensor:
        """X, of the shape of x."""
        pairs = self.eta.pairs
        w = Wrapped.of(pairs(x)[0], self.length)
        return x + pairs.onto(self.eta(w.s)[..., None] * w.t)

    def carry(self, x: Motion) -> Motion:
        r"""X from coordinates that move themselves.

        With the function :math:`v_a = \eta\,t_a` of a pair, :math:`A_{ab} = \partial_b v_a`, and the
        Jacobian D and Laplacian of its difference, :math:`\Delta v = \partial^2 v : D D^T + A\,\Delta d`.
        """
        pairs, old = self.eta.pairs, x.jacobian
        first, second = pairs.get_buffer("ends")

        def apart(part: Tensor) -> Tensor:
            return part.index_select(1, first) - part.index_select(1, second)

        w = Wrapped.of(apart(x.value), self.length)
        f, f1, f2 = (part[..., None] for part in self.eta.jet(w.s))
        slope = (f * w.e).diag_embed() + (f1 * w.t)[..., None] * w.t[..., None, :]
        turn = apart(old) if old is not None else None
        spread = 2 * torch.eye(3).to(f).expand_as(slope) if turn is None else turn @ turn.mT
        bend = (w.bend(f1[..., 0], f2[..., 0]) * spread).sum((-2, -1))
        change = bend[..., None] * w.t + 2 * f1 * w.e * (spread @ w.t[..., None])[..., 0]
        change = change - (2 * math.pi / self.length) ** 2 * f * w.t * spread.diagonal(dim1=-2, dim2=-1)
        change = change + (slope @ apart(x.laplacian)[..., None])[..., 0]
        rows = self._rows(slope) if old is None or turn is None else old + pairs.onto(slope @ turn)
        return Motion(x.value + pairs.onto(f * w.t), rows, x.laplacian + pairs.onto(change))

    def _rows(self, slope: Tensor) -> Tensor:
        """The Jacobian by the positions from those of the pairs."""
        n, (first, second) = (
            self.eta.pairs.get_buffer("incidence").shape[0],
            self.eta.pairs.get_buffer("ends"),
        )
        rows = slope.new_zeros(len(slope), n, n, 3, 3)
        rows[:, first, second] = rows[:, second, first] = -slope
        each = torch.arange(n, device=slope.device)
        rows[:, each, each] = torch.eye(3).to(slope) + self.eta.pairs.onto(slope, signed=False)
        return rows.transpose(2, 3).flatten(3)

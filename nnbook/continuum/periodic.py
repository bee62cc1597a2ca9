r"""Fermions in a cube with periodic walls: Jastrow factors, backflow, determinants of pairs.

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

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from nnbook.arrays import check_counts
from nnbook.continuum.factors import Factor, LogJet
from nnbook.continuum.radial import Pade, Pairs, Radial, Values
from nnbook.networks import as_function, flatten, jacobian

ZERO = "x: got a determinant of zero, expected no two particles of one spin at one place; draw again"


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


class PairDeterminant(Learnt):
    r"""One determinant of pairs, :math:`\det_{ij} g(X_i^\uparrow - X_j^\downarrow)`, with an even g.

    .. math:: g(\mathbf d) = \sum_{\text{shells}} c_s \sum_{\mathbf k \in s} \cos\mathbf k\cdot\mathbf d
              + \gamma(s)

    With as many plane waves as particles of one spin it is the product of both Slater determinants; more of
    them, and the network :math:`\gamma`, make it a state of Cooper pairs :cite:p:`bouchaud1988`. All pairs
    are singlets. With :math:`P = G^{-1}` and :math:`Q^a = (\partial_a G)P, R^a = P\,\partial_a G`, second
    derivatives by two particles up, two down, and one of each are

    .. math:: \delta_{ii'} \sum_j P_{ji}\, \partial_a\partial_b g_{ij} - Q^a_{ii'} Q^b_{i'i}, \quad
              \delta_{jj'} \sum_i P_{ji}\, \partial_a\partial_b g_{ij} - R^a_{j'j} R^b_{jj'}, \quad
              P_{ji} \bigl[ (\partial_a G\,P\,\partial_b G)_{ij} - \partial_a\partial_b g_{ij} \bigr] .

    Args:
        box: whose particles.
        shells: of plane waves; the shells that are full if absent, whose weights do not matter and stay 1.
        hidden: units of the network; 0 for none.
        softness: weights c of the shells that are not full, times one plus their squared momentum, at first.
        flows: backflow, first to last.

    Raises:
        ValueError: fewer plane waves than pairs.
    """

    def __init__(
        self,
        box: Box,
        shells: int | None = None,
        *,
        hidden: int = 0,
        softness: float = 0.1,
        flows: Sequence[PeriodicBackflow] = (),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_counts(least=0, hidden=hidden)
        self.shape, self.length, self.n = (box.particles, 3), box.length, box.particles // 2
        waves = sorted(itertools.product(range(4), repeat=3), key=lambda n: (sum(k * k for k in n), n))
        squares = sorted({sum(k * k for k in n) for n in waves})[:9]
        counts = [
            sum(2 ** sum(k > 0 for k in n) for n in waves if sum(k * k for k in n) == q) for q in squares
        ]
        full = list(itertools.accumulate(counts))
        count = 1 + next((s for s, c in enumerate(full) if c >= self.n), 9) if shells is None else shells
        if not 0 < count <= 9 or full[count - 1] < self.n:
            raise ValueError(
                f"shells: got {count}, expected enough plane waves for {self.n} pairs, at most 9"
            )
        chosen = [n for n in waves if sum(k * k for k in n) <= squares[count - 1]]
        self.register_buffer("powers", torch.tensor(chosen))
        self.register_buffer("shell", torch.tensor([squares.index(sum(k * k for k in n)) for n in chosen]))
        start = torch.ones(count, dtype=torch.float64)
        if shells is None:
            self.register_buffer("weights", start)
        else:
            filled = torch.tensor([c <= self.n for c in full[:count]])
            self.weights = nn.Parameter(
                torch.where(filled, start, softness / (1 + torch.tensor(squares[:count])))
            )
        self.near = Radial(hidden, "pair", generator=generator) if hidden else None
        self.flows = nn.ModuleList(flows)

    @property
    def alike(self) -> bool:
        """Whether exchanging the spins of a pair leaves the coordinates alone."""
        return all(cast(PeriodicBackflow, flow).eta.alike for flow in self.flows)

    def _moved(self, x: Tensor) -> Tensor:
        for flow in self.flows:
            x = flow(x)
        return x

    def _apart(self, x: Tensor) -> Tensor:
        return x[:, : self.n, None] - x[:, None, self.n :]

    def _waves(self, d: Tensor, order: int) -> list[Tensor]:
        """The sum of plane waves, its slopes ``(..., 3)`` and second derivatives ``(..., 3, 3)``."""
        powers, k = self.get_buffer("powers"), 2 * math.pi / self.length
        n = k * torch.arange(int(powers.max()) + 1, dtype=d.dtype, device=d.device)
        phase, many = d[..., None] * n, 1 + (n > 0).to(d)
        cos, sin = phase.cos() * many, phase.sin() * many
        tables = [cos, -n * sin, -n.square() * cos][: order + 1]
        weights = cast(Tensor, self.weights)[self.get_buffer("shell")]

        def total(*by: int) -> Tensor:
            parts = [tables[by.count(a)][..., a, :].index_select(-1, powers[:, a]) for a in range(3)]
            return (parts[0] * parts[1] * parts[2]) @ weights

        found = [total()]
        if order:
            found += [torch.stack([total(a) for a in range(3)], -1)]
            bends = {(a, b): total(a, b) for a in range(3) for b in range(a + 1)}
            rows = [torch.stack([bends[max(a, b), min(a, b)] for b in range(3)], -1) for a in range(3)]
            found += [torch.stack(rows, -2)]
        return found

    def _pair(self, d: Tensor) -> Tensor:
        """g at differences ``(..., 3)``."""
        g = self._waves(d, 0)[0]
        return g if self.near is None else g + self.near(Wrapped.of(d, self.length).s)

    def forward(self, x: Tensor) -> Tensor:
        """The logarithm of the absolute value, ``(batch,)``."""
        return self._signed(x)[1]

    def sign(self, x: Tensor) -> Tensor:
        """The sign of the determinant, ``(batch,)``."""
        return self._signed(x)[0]

    def _signed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        sign, log = torch.linalg.slogdet(self._pair(self._apart(self._moved(x))))
        return sign, log

    @torch.no_grad()
    def exchange(self, x: Tensor) -> Tensor:
        """What the determinant becomes, over itself, if up i and down j change places, ``(batch, n, n)``."""
        moved, n = self._moved(x), self.n
        apart = moved[:, :, None] - moved[:, None]
        same = torch.eye(2 * n, dtype=torch.bool, device=x.device)[..., None]
        table = self._pair(apart.masked_fill(same, self.length / 2))  # no particle meets itself
        i, j = torch.cartesian_prod(torch.arange(n), torch.arange(n)).to(x.device).T
        up, down = torch.arange(n, device=x.device).repeat(n * n, 1), torch.arange(n, 2 * n, device=x.device)
        down, each = down.repeat(n * n, 1), torch.arange(n * n, device=x.device)
        up[each, i], down[each, j] = n + j, i
        swapped = torch.linalg.det(table[:, up[:, :, None], down[:, None, :]])
        before = torch.linalg.det(table[:, :n, n:])
        if bool((before == 0).any()):
            raise ValueError(ZERO)
        ratio: Tensor = (swapped / before[:, None]).view(-1, n, n)
        return ratio

    def jet(self, x: Tensor) -> LogJet:
        """Logarithm, gradient and Laplacian."""
        moved = Motion(x, None, torch.zeros_like(x))
        for flow in self.flows:
            moved = cast(PeriodicBackflow, flow).carry(moved)
        value, slope, second = self._second(moved.value)
        if moved.jacobian is None:
            return LogJet(value, slope, second.diagonal(dim1=-2, dim2=-1).sum(1))
        rows = moved.jacobian.flatten(1, 2)
        laplacian = (second * (rows @ rows.mT)).sum((1, 2)) + (slope * moved.laplacian).sum((1, 2))
        return LogJet(value, (slope.flatten(1)[:, None] @ rows).view_as(x), laplacian)

    def _second(self, moved: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """ln|det|, its slopes ``(batch, N, 3)`` and second derivatives ``(batch, 3N, 3N)`` by X."""
        d = self._apart(moved)
        g, g1, g2 = self._waves(d, 2)
        if self.near is not None:
            w = Wrapped.of(d, self.length)
            f, f1, f2 = (part.view_as(g) for part in self.near.jet(w.s.flatten(1)))
            g, g1, g2 = g + f, g1 + f1[..., None] * w.t, g2 + w.bend(f1, f2)
        inverse, failed = torch.linalg.inv_ex(g)
        if bool(failed.any()):
            raise ValueError(ZERO)
        p, g1 = inverse.mT, g1.permute(0, 3, 1, 2)
        weighted = p[..., None, None] * g2
        q, r = g1 @ inverse[:, None], inverse[:, None] @ g1
        slope = torch.cat([(p[:, None] * g1).sum(3), -(p[:, None] * g1).sum(2)], 2).mT
        up = -torch.einsum("baij,bcji->biajc", q, q)
        down = -torch.einsum("bakj,bcjk->bjakc", r, r)
        for block, axis in ((up, 2), (down, 1)):
            block.diagonal(dim1=1, dim2=3).add_(weighted.sum(axis).permute(0, 2, 3, 1))
        cross = torch.einsum("baik,bckj->bacij", q, g1).permute(0, 3, 4, 1, 2) * p[..., None, None] - weighted
        cross = cross.permute(0, 1, 3, 2, 4)
        upper = torch.cat([up.flatten(3).flatten(1, 2), cross.flatten(3).flatten(1, 2)], 2)
        across = cross.permute(0, 3, 4, 1, 2)
        lower = torch.cat([across.flatten(3).flatten(1, 2), down.flatten(3).flatten(1, 2)], 2)
        return torch.linalg.slogdet(g)[1], slope, torch.cat([upper, lower], 1)

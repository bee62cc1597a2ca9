"""One determinant of pairs, for normal and for paired matter, with its derivatives written out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from nnbook.arrays import check_counts
from nnbook.continuum.factors import LogJet
from nnbook.continuum.radial import Radial
from nnbook.continuum.states import Product
from nnbook.exact.ewald import momenta
from nnbook.matter_in_a_box.periodic import Box, Learnt, Motion, PeriodicBackflow, PeriodicJastrow, Wrapped

ZERO = "x: got a determinant of zero, expected no two particles of one spin at one place; draw again"


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
        n = torch.from_numpy(momenta(3.0)).long()
        square = n.square().sum(1)
        squares, counts = square.unique(return_counts=True)
        full = counts.cumsum(0)
        count = 1 + int((full < self.n).sum()) if shells is None else shells
        check_counts(least=0, shells=count)
        if not 0 < count <= len(full) or full[count - 1] < self.n:
            raise ValueError(
                f"shells: got {count}, expected enough plane waves for {self.n} pairs, at most {len(full)}"
            )
        chosen = (n >= 0).all(1) & (square <= squares[count - 1])
        self.register_buffer("powers", n[chosen])
        self.register_buffer("shell", torch.searchsorted(squares, square[chosen]))
        start = torch.ones(count, dtype=torch.float64)
        if shells is None:
            self.register_buffer("weights", start)
        else:
            soft = softness / (1 + squares[:count])
            self.weights = nn.Parameter(torch.where(full[:count] <= self.n, start, soft))
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
        r"""What the determinant becomes, over itself, if up i and down j change places, ``(batch, n, n)``.

        A row and a column change. With :math:`P = G^{-1}`, and with U and D, the pairs of equal spins without
        their diagonals, the ratio is :math:`(DP)_{ji} (PU)_{ji} - P_{ji} (DPU)_{ji} + P_{ji} G_{ij}`.
        """
        moved = self._moved(x)
        g = self._pair(self._apart(moved))
        p = _inverse(g)
        up, down = (
            self._pair(part[:, :, None] - part[:, None]) * (1 - torch.eye(self.n).to(g))
            for part in moved.split(self.n, 1)
        )
        rows = down @ p
        ratio: Tensor = (rows * (p @ up) - p * (rows @ up) + p * g.mT).mT
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
        inverse = _inverse(g)
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


def _inverse(g: Tensor) -> Tensor:
    inverse, failed = torch.linalg.inv_ex(g)
    if bool(failed.any()):
        raise ValueError(ZERO)
    return cast(Tensor, inverse)


def singlets(state: Product, x: Tensor) -> Tensor:
    r"""How much of a singlet a pair up and down is, :math:`\tfrac12(1 + P\psi/\psi)`, ``(batch, n, n)``.

    Raises:
        ValueError: a state whose factors tell equal spins from opposite ones.
    """
    state.check(x)
    determinants = [f for f in state.factors if isinstance(f, PairDeterminant)]
    factors = [f.f.alike for f in state.factors if isinstance(f, PeriodicJastrow)]
    if len(determinants) != 1 or not all([*factors, determinants[0].alike]):
        raise ValueError("state: got one that depends on spins, expected one determinant and kinds=1")
    return 0.5 * (1 + determinants[0].exchange(x))

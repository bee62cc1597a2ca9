"""Determinants of electrons, and coordinates that know of the other electrons."""

from __future__ import annotations

import itertools
from typing import cast

import torch
from torch import Tensor, nn

from nnbook.continuum.factors import Factor, LogJet, Shells
from nnbook.continuum.radial import Pairs, Radial, Values


class Backflow(nn.Module):
    r"""Coordinates that know of the other electrons :cite:p:`feynman1956`.

    .. math:: X_i = r_i\,[1 + \eta_1(r_i)] + \sum_{j \ne i} \eta_{ij}(r_{ij})\,(r_i - r_j)

    Args:
        system: whose electrons.
        hidden: units of each of the networks :math:`\eta`.
    """

    def __init__(
        self,
        system: Shells,
        hidden: int = 16,
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        self.pairs = Pairs(system.electrons)
        radials = [
            Radial(hidden, shape, generator=generator, dtype=dtype)
            for shape in ("centre", *("pair" for _ in self.pairs.kinds))
        ]
        self.centre, self.functions = radials[0], nn.ModuleList(radials[1:])

    def _each(self, r: Tensor) -> list[tuple[Radial, Tensor]]:
        parts = r.split(self.pairs.kinds, 1)
        return [(cast(Radial, f), part) for f, part in zip(self.functions, parts, strict=True)]

    def forward(self, x: Tensor) -> Tensor:
        """X, of the shape of x."""
        apart, r = self.pairs(x)
        eta = torch.cat([f(part) for f, part in self._each(r)], 1)
        own = self.centre(x.square().sum(-1).sqrt())
        moved: Tensor = x * (1 + own)[..., None] + self.pairs.onto(eta[..., None] * apart)
        return moved

    def jet(self, x: Tensor) -> Values:
        r"""X, its Jacobian ``(batch, N, d, N, d)`` and its Laplacian ``(batch, N, d)``.

        .. math:: \partial_b (f r_a) = f\,\delta_{ab} + \tfrac{f'}{r}\, r_a r_b, \qquad
                  \Delta (f r_a) = \bigl( f'' + (d + 1) \tfrac{f'}{r} \bigr) r_a
        """
        n, d = x.shape[1:]
        apart, r = self.pairs(x)
        f, f1, f2 = (torch.cat(p, 1) for p in zip(*[f.jet(part) for f, part in self._each(r)], strict=True))
        g, g1, g2 = self.centre.jet(x.square().sum(-1).sqrt())
        one = torch.eye(d, dtype=x.dtype, device=x.device)
        pair = f[..., None, None] * one + f1[..., None, None] * apart[..., None] * apart[..., None, :]
        own = (1 + g)[..., None, None] * one + g1[..., None, None] * x[..., None] * x[..., None, :]
        first, second = self.pairs.get_buffer("ends")
        rows = x.new_zeros(len(x), n, n, d, d)
        rows[:, first, second] = rows[:, second, first] = -pair
        each = torch.arange(n, device=x.device)
        rows[:, each, each] = own + self.pairs.onto(pair, signed=False)
        bend = x * (g2 + (d + 1) * g1)[..., None]
        bend = bend + 2 * self.pairs.onto(apart * (f2 + (d + 1) * f1)[..., None])
        moved = x * (1 + g)[..., None] + self.pairs.onto(f[..., None] * apart)
        return moved, rows.transpose(2, 3), bend

    def score(self, x: Tensor, slope: Tensor) -> Tensor:
        """Derivatives of something with this slope by X, ``(batch, parameters)``."""
        apart, r = self.pairs(x)
        first, second = self.pairs.get_buffer("ends")
        change = slope.index_select(1, first) - slope.index_select(1, second)
        weight = (change * apart).sum(-1)
        parts = [self.centre.score(x.square().sum(-1).sqrt(), (slope * x).sum(-1))]
        for (f, part), w in zip(self._each(r), weight.split(self.pairs.kinds, 1), strict=True):
            parts.append(f.score(part, w))
        return torch.cat(parts, 1)


class Slater(Factor):
    r"""Determinants of the lowest orbitals of a trap, one for each spin, their Gaussians left out.

    The orbitals of full shells are spanned by all monomials :math:`x^a y^b \dots` up to a degree: a
    determinant knows no more of them. With :math:`A_{ik} = \varphi_k(X_i)`,
    :math:`M^a = (\partial_a A)A^{-1}` and the Jacobian K of the coordinates X by the positions,

    .. math:: \frac{\partial \ln|\det A|}{\partial X_i^a} = M^a_{ii}, \qquad
              \frac{\partial^2 \ln|\det A|}{\partial X_i^a\, \partial X_j^b} =
              \delta_{ij}\, [(\partial_a \partial_b A) A^{-1}]_{ii} - M^a_{ij} M^b_{ji},

    and the Laplacian is the trace of the second one with :math:`K K^T`, plus the first one times
    :math:`\Delta X`. Nothing is differentiated by a machine: in PyTorch 2.13 nested forward derivatives of
    determinants are wrong.

    Args:
        system: whose electrons.
        backflow: the coordinates X, if they are not the positions.
    """

    def __init__(self, system: Shells, backflow: Backflow | None = None) -> None:
        super().__init__()
        self.backflow = backflow
        self.shape = system.electrons, system.dim
        n, d = system.electrons // 2, system.dim
        degrees = (e for k in range(n) for e in itertools.product(range(k + 1), repeat=d) if sum(e) == k)
        self.powers = list(itertools.islice(degrees, n))
        self.top = max(map(max, self.powers))

    def forward(self, x: Tensor) -> Tensor:
        """The logarithm of the absolute value, ``(batch,)``."""
        return self._signed(x)[1]

    def sign(self, x: Tensor) -> Tensor:
        """The sign of the product of both determinants, ``(batch,)``."""
        return self._signed(x)[0]

    def _signed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        moved = x if self.backflow is None else self.backflow(x)
        sign, log = torch.linalg.slogdet(self._orbitals(moved, 0)[0])
        return sign.prod(1), log.sum(1)

    def _orbitals(self, x: Tensor, order: int) -> list[Tensor]:
        """Matrices A ``(batch, 2, n, n)``, their first derivatives by each axis and second by each two."""
        blocks = x.unflatten(1, (2, -1))
        tables = [torch.stack([blocks**k for k in range(self.top + 1)], -1)]
        for _ in range(order):
            steps = torch.arange(1, self.top + 1, dtype=x.dtype, device=x.device)
            tables.append(nn.functional.pad(tables[-1][..., :-1] * steps, (1, 0)))
        index = torch.tensor(self.powers, device=x.device)
        axes = range(x.shape[2])

        def matrix(*by: int) -> Tensor:
            columns = [tables[by.count(a)][..., a, :].index_select(-1, index[:, a]) for a in axes]
            return torch.stack(columns).prod(0)

        found = [matrix()]
        if order:
            found += [torch.stack([matrix(a) for a in axes], 2)]
        if order > 1:
            found += [torch.stack([torch.stack([matrix(a, b) for b in axes], 2) for a in axes], 2)]
        return found

    def _slopes(self, moved: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """ln|det|, M ``(batch, 2, d, n, n)``, its diagonals ``(batch, N, d)``, those of bends."""
        a, first, second = self._orbitals(moved, 2)
        inverse = _inverse(a)
        m = first @ inverse[:, :, None]
        slope = m.diagonal(dim1=-2, dim2=-1).transpose(2, 3).flatten(1, 2)
        bends = torch.einsum("bsxyik,bski->bsixy", second, inverse).flatten(1, 2)
        return torch.linalg.slogdet(a)[1].sum(1), m, slope, bends

    def jet(self, x: Tensor) -> LogJet:
        """Logarithm, gradient and Laplacian."""
        if self.backflow is None:
            value, _, slope, bends = self._slopes(x)
            second = bends.diagonal(dim1=-2, dim2=-1) - slope.square()
            return LogJet(value, slope, second.sum((1, 2)))
        moved, jacobian, bend = self.backflow.jet(x)
        value, m, slope, bends = self._slopes(moved)
        n, d = x.shape[1:]
        rows = jacobian.reshape(len(x), 2, n // 2, d, n * d)
        own = (rows @ rows.mT).flatten(1, 2)
        turned = m.permute(0, 1, 3, 4, 2) @ rows  # b s i j and the coordinates
        crossed = (turned * turned.transpose(2, 3)).sum((1, 2, 3, 4))
        laplacian = (slope * bend).sum((1, 2)) + (bends * own).sum((1, 2, 3)) - crossed
        gradient = (slope.flatten(1)[:, None] @ jacobian.reshape(len(x), n * d, n * d)).view_as(x)
        return LogJet(value, gradient, laplacian)

    def derivatives(self, x: Tensor) -> Tensor:
        """By the parameters of the backflow."""
        if self.backflow is None:
            return x.new_zeros(len(x), 0)
        a, first = self._orbitals(self.backflow(x), 1)
        slope = torch.einsum("bsaik,bski->bsia", first, _inverse(a)).flatten(1, 2)
        return self.backflow.score(x, slope)


def _inverse(matrix: Tensor) -> Tensor:
    inverse, failed = torch.linalg.inv_ex(matrix)
    if bool(failed.any()):
        raise ValueError(
            "x: got a determinant of zero, expected no two electrons of one spin at one place; draw again"
        )
    result: Tensor = inverse
    return result

r"""Wave functions of electrons as products of factors, with their derivatives written out.

A factor knows the logarithm of its absolute value, the gradient and the Laplacian of that by all coordinates,
and its derivatives by the parameters. Logarithms of factors add, so do all of these, and a wave function is
put together as a physicist writes it: a Gaussian, a Jastrow factor, a determinant.

Functions of one distance r are given by :math:`f, f'/r, f''`; for a sum over pairs

.. math:: \nabla_i \sum_{j<k} f(r_{jk}) = \sum_j \frac{f'(r_{ij})}{r_{ij}}\, \mathbf r_{ij}, \qquad
          \Delta \sum_{j<k} f = 2\sum_{j<k} \Bigl( f'' + (d-1)\frac{f'}{r} \Bigr) .

Positions are ``(batch, N, d)``, those with spin up first.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from nnbook.arrays import check_counts, positive, seen
from nnbook.networks import random_parameter


class LogJet(NamedTuple):
    r"""The logarithm of a wave function's absolute value and its derivatives by the coordinates.

    Attributes:
        value: :math:`\ln|\psi|`, ``(batch,)``.
        gradient: by each coordinate, ``(batch, N, d)``.
        laplacian: summed over all coordinates, ``(batch,)``.
    """

    value: Tensor
    gradient: Tensor
    laplacian: Tensor


class Shells(Protocol):
    """What a state has to know of a system."""

    @property
    def electrons(self) -> int:
        """Their number N, half of them with spin up."""

    @property
    def dim(self) -> int:
        """Dimension d of space."""

    @property
    def coupling(self) -> float:
        """Strength of the repulsion in units of the trap."""


class Pairs(nn.Module):
    """The pairs of electrons, those of opposite spins first.

    Attributes:
        kinds: number of pairs with opposite and with equal spins; a single number where there is one kind.
        incidence: ``(N, pairs)``, +1 for the first and -1 for the second electron of a pair.
    """

    def __init__(self, electrons: int) -> None:
        super().__init__()
        half = electrons // 2
        pairs = list(itertools.combinations(range(electrons), 2))
        pairs.sort(key=lambda p: (p[0] < half) == (p[1] < half))
        opposite = half * half
        self.kinds = [opposite, len(pairs) - opposite][: 1 if electrons == 2 else 2]
        self.register_buffer("ends", torch.tensor(pairs).T)
        incidence = torch.zeros(electrons, len(pairs), dtype=torch.float64)
        incidence[[p[0] for p in pairs], range(len(pairs))] = 1
        incidence[[p[1] for p in pairs], range(len(pairs))] = -1
        self.register_buffer("incidence", incidence)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Differences ``(batch, pairs, d)`` and distances ``(batch, pairs)``."""
        first, second = self.get_buffer("ends")
        apart = x.index_select(1, first) - x.index_select(1, second)
        return apart, apart.square().sum(-1).sqrt()

    def onto(self, values: Tensor, *, signed: bool = True) -> Tensor:
        """Sum what belongs to pairs ``(batch, pairs, ...)`` over the pairs of each electron."""
        incidence = self.get_buffer("incidence").to(values)
        table = incidence if signed else incidence.abs()
        summed: Tensor = (table @ values.flatten(2)).unflatten(2, values.shape[2:])
        return summed


Values = tuple[Tensor, Tensor, Tensor]


class Pade(nn.Module):
    r"""A function of the distance with a given slope at zero, :math:`f(r) = c\,r/(1 + b r)`.

    Args:
        cusp: c.
        start: first value of b, which training keeps positive.
    """

    def __init__(self, cusp: float, start: float = 0.5, *, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.cusp = cusp
        start = positive("start", start, most=100)
        self.raw = nn.Parameter(torch.tensor([math.log(math.expm1(start))], dtype=dtype))

    def forward(self, r: Tensor) -> Tensor:
        """The values f, of the shape of r."""
        return self.cusp * r / (1 + nn.functional.softplus(self.raw) * r)

    def jet(self, r: Tensor) -> Values:
        """f, f'/r and f''."""
        b = nn.functional.softplus(self.raw)
        lower = 1 + b * r
        return self.cusp * r / lower, self.cusp / (r * lower**2), -2 * b * self.cusp / lower**3

    def score(self, r: Tensor, weight: Tensor) -> Tensor:
        """Derivatives of the weighted sum of f over the last axis, ``(batch, parameters)``."""
        lower = 1 + nn.functional.softplus(self.raw) * r
        slope = -self.cusp * r.square() / lower**2 * self.raw.sigmoid()
        return (weight * slope).sum(1, keepdim=True)


class Shape(NamedTuple):
    """How a function of a distance is put together from an envelope e and an input z of a network.

    They have the shape of r, or none where they are constant: e, e'/r, e'', z, z', z'' and e z'/r. Where
    only values are asked for, only e and z mean something.
    """

    envelope: Tensor
    envelope_slope: Tensor
    envelope_bend: Tensor
    input: Tensor
    input_slope: Tensor
    input_bend: Tensor
    ratio: Tensor


def _jastrow(r: Tensor, values: bool = False) -> Shape:
    low = 1 / (1 + r)
    q, z = r.square() * low, 3 * r * low
    if values:
        return Shape(q, q, q, z, z, z, z)
    return Shape(q, (2 + r) * low**2, 2 * low**3, z, 3 * low**2, -6 * low**3, 3 * r * low**3)


def _pair(r: Tensor, values: bool = False) -> Shape:
    low = 1 / (1 + r)
    one, zero, q = r.new_ones(()), r.new_zeros(()), r.square() * low
    if values:
        return Shape(one, zero, zero, q, q, q, q)
    over = (2 + r) * low**2
    return Shape(one, zero, zero, q, r * over, 2 * low**3, over)


def _centre(r: Tensor, values: bool = False) -> Shape:
    root = 1 + r.square()
    one, zero, q = r.new_ones(()), r.new_zeros(()), r.square() / root.sqrt()
    if values:
        return Shape(one, zero, zero, q, q, q, q)
    over = (1 + root) / root**1.5
    return Shape(one, zero, zero, q, r * over, (3 - root) / root**2.5, over)


SHAPES = {"jastrow": _jastrow, "pair": _pair, "centre": _centre}


class Radial(nn.Module):
    r"""A network with one hidden layer as a function of a distance.

    .. math:: f(r) = e(r) \Bigl[ c + \sum_h v_h \tanh(w_h z(r) + b_h) \Bigr]

    Args:
        hidden: units.
        shape: ``"jastrow"`` with :math:`e = r^2/(1 + r)`, which has no slope at zero and so leaves the cusp
            alone, and :math:`z = 3r/(1 + r)`; ``"pair"`` with :math:`e = 1, z = r^2/(1 + r)`; or
            ``"centre"`` with :math:`e = 1, z = r^2/\sqrt{1 + r^2}`, smooth there.
        scale: of the random v; w and b are of order one, c is zero.

    Raises:
        ValueError: no units, an unknown shape.
    """

    def __init__(
        self,
        hidden: int,
        shape: str,
        *,
        scale: float = 1e-2,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        check_counts(hidden=hidden)
        if shape not in SHAPES:
            raise ValueError(f"shape: got {shape!r}, expected one of {', '.join(SHAPES)}")
        self.shape = SHAPES[shape]
        self.inward = random_parameter((hidden,), 1.0, generator=generator, dtype=dtype)
        self.bias = random_parameter((hidden,), 1.0, generator=generator, dtype=dtype)
        self.outward = random_parameter((hidden,), scale, generator=generator, dtype=dtype)
        self.offset = nn.Parameter(torch.zeros(1, dtype=dtype))

    def _units(self, z: Tensor) -> Tensor:
        return (z[..., None] * self.inward + self.bias).tanh()

    def forward(self, r: Tensor) -> Tensor:
        """The values f, of the shape of r."""
        shape = self.shape(r, values=True)
        return shape.envelope * (self._units(shape.input) @ self.outward + self.offset)

    def jet(self, r: Tensor) -> Values:
        """f, f'/r and f''."""
        e, e1, e2, z, z1, z2, ratio = self.shape(r)
        t = self._units(z)
        rise = 1 - t.square()
        n = t @ self.outward + self.offset
        n1 = rise @ (self.outward * self.inward)
        n2 = (-2 * t * rise) @ (self.outward * self.inward.square())
        second = e2 * n + 2 * r * e1 * n1 * z1 + e * (n2 * z1.square() + n1 * z2)
        return e * n, e1 * n + n1 * ratio, second

    def score(self, r: Tensor, weight: Tensor) -> Tensor:
        """Derivatives of the weighted sum of f over the last axis, ``(batch, parameters)``."""
        shape = self.shape(r)
        weight, z = weight * shape.envelope, shape.input
        t = self._units(z)
        rise = (1 - t.square()) * self.outward
        hidden = torch.stack([weight * z, weight], 1) @ rise
        return torch.cat([hidden.flatten(1), (weight[:, None] @ t)[:, 0], weight.sum(1, keepdim=True)], 1)


class Factor(nn.Module):
    """A factor of a wave function; base class.

    Attributes:
        shape: numbers of electrons and of dimensions, where a factor depends on them.
    """

    shape: tuple[int, int] | None = None

    def jet(self, x: Tensor) -> LogJet:
        """Logarithm, gradient and Laplacian at positions ``(batch, N, d)``."""
        raise NotImplementedError

    def derivatives(self, x: Tensor) -> Tensor:
        """By the parameters, ``(batch, parameters)``, in the order of ``flatten``."""
        raise NotImplementedError


class Gaussian(Factor):
    r"""The trap's own Gaussian, :math:`\exp(-\alpha \sum_i r_i^2/2)`."""

    def __init__(self, alpha: float = 1.0, *, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.tensor([positive("alpha", alpha)], dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """The logarithm, ``(batch,)``."""
        return -0.5 * self.alpha * x.square().flatten(1).sum(1)

    def jet(self, x: Tensor) -> LogJet:
        """Logarithm, gradient and Laplacian."""
        return LogJet(self(x), -self.alpha * x, -self.alpha * x[0].numel() * x.new_ones(len(x)))

    def derivatives(self, x: Tensor) -> Tensor:
        """By alpha, ``(batch, 1)``."""
        return -0.5 * x.square().flatten(1).sum(1, keepdim=True)


class Jastrow(Factor):
    r"""Pairs of electrons :cite:p:`jastrow1955`, :math:`\exp \sum_{i<j} f_{ij}(r_{ij})`.

    Args:
        system: whose electrons.
        functions: f, one for opposite and one for equal spins (two electrons: the first only).
    """

    def __init__(self, system: Shells, functions: Sequence[Pade | Radial]) -> None:
        super().__init__()
        self.pairs = Pairs(system.electrons)
        self.shape = system.electrons, system.dim
        if len(functions) != len(self.pairs.kinds):
            raise ValueError(
                f"functions: got {len(functions)}, expected {len(self.pairs.kinds)}, one a kind of pair"
            )
        self.functions = nn.ModuleList(functions)

    def _each(self, r: Tensor) -> list[tuple[Pade | Radial, Tensor]]:
        parts = r.split(self.pairs.kinds, 1)
        return [(cast(Radial, f), part) for f, part in zip(self.functions, parts, strict=True)]

    def forward(self, x: Tensor) -> Tensor:
        """The logarithm, ``(batch,)``."""
        return torch.stack([f(r).sum(1) for f, r in self._each(self.pairs(x)[1])]).sum(0)

    def jet(self, x: Tensor) -> LogJet:
        """Logarithm, gradient and Laplacian."""
        apart, r = self.pairs(x)
        f, f1, f2 = (torch.cat(part, 1) for part in zip(*[f.jet(r) for f, r in self._each(r)], strict=True))
        laplacian = 2 * (f2 + (x.shape[2] - 1) * f1).sum(1)
        return LogJet(f.sum(1), self.pairs.onto(f1[..., None] * apart), laplacian)

    def derivatives(self, x: Tensor) -> Tensor:
        """By the parameters of the functions."""
        r = self.pairs(x)[1]
        return torch.cat([f.score(r, torch.ones_like(r)) for f, r in self._each(r)], 1)


class BoltzmannMachine(Factor):
    r"""A restricted Boltzmann machine of Gaussian visible and binary hidden units, :math:`\psi = P`.

    .. math:: \psi(x) = e^{-|x - a|^2/2} \prod_j \bigl( 1 + e^{b_j + x \cdot w_j} \bigr)

    in units of the trap, where :math:`\sigma = 1` :cite:p:`nordhagen2023`.

    Args:
        system: whose electrons.
        hidden: number of hidden units.
        scale: of the random start.
    """

    def __init__(
        self,
        system: Shells,
        hidden: int,
        *,
        scale: float = 0.1,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        check_counts(hidden=hidden)
        self.shape = system.electrons, system.dim
        visible = system.electrons * system.dim
        self.centre = random_parameter((visible,), scale, generator=generator, dtype=dtype)
        self.bias = random_parameter((hidden,), scale, generator=generator, dtype=dtype)
        self.weight = random_parameter((hidden, visible), scale, generator=generator, dtype=dtype)

    def _field(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight.T + self.bias

    def forward(self, x: Tensor) -> Tensor:
        """The logarithm, ``(batch,)``."""
        square = (x.flatten(1) - self.centre).square().sum(1)
        return -0.5 * square + nn.functional.softplus(self._field(x)).sum(1)

    def jet(self, x: Tensor) -> LogJet:
        """Logarithm, gradient and Laplacian."""
        on = self._field(x).sigmoid()
        gradient = (on @ self.weight - x.flatten(1) + self.centre).view_as(x)
        return LogJet(self(x), gradient, (on * (1 - on)) @ self.weight.square().sum(1) - x[0].numel())

    def derivatives(self, x: Tensor) -> Tensor:
        """By centre, biases and weights."""
        on, flat = self._field(x).sigmoid(), x.flatten(1)
        return torch.cat([flat - self.centre, on, (on[..., None] * flat[:, None]).flatten(1)], 1)


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
        rows = jacobian.reshape(len(x), 2, n // 2 * d, n * d)
        spread = (rows @ rows.mT).unflatten(3, (-1, d)).unflatten(2, (-1, d))  # b s i a j c
        own = spread.diagonal(dim1=2, dim2=4).permute(0, 1, 4, 2, 3).flatten(1, 2)
        crossed = torch.einsum("bsaij,bscji,bsiajc->b", m, m, spread)
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


class Product(nn.Module):
    """A wave function as a product of factors; obeys :class:`nnbook.train.sampled.LogState`.

    Args:
        factors: any, at most one of them with a sign.
    """

    def __init__(self, *factors: Factor) -> None:
        super().__init__()
        if not factors or not all(isinstance(factor, Factor) for factor in factors):
            raise ValueError(
                f"factors: got {[type(f).__name__ for f in factors]}, expected one or more Factors"
            )
        self.factors = nn.ModuleList(factors)

    def _each(self) -> list[Factor]:
        return [cast(Factor, factor) for factor in self.factors]

    def check(self, x: Tensor) -> None:
        """Raise a ValueError where x are no positions of these electrons, or of another precision."""
        shape = next((factor.shape for factor in self._each() if factor.shape), ("electrons", "dim"))
        fits = isinstance(x, Tensor) and x.ndim == 3 and (isinstance(shape[0], str) or x.shape[1:] == shape)
        if not fits:
            raise ValueError(f"x: got {seen(x)}, expected positions (batch, {shape[0]}, {shape[1]})")
        wanted = next((p.dtype for p in self.parameters()), x.dtype)
        if x.dtype != wanted or not x.is_floating_point():
            raise ValueError(f"x: got {x.dtype}, expected {wanted} as the parameters have; write x.to(...)")
        check_counts(batch=len(x))

    def forward(self, x: Tensor) -> Tensor:
        r""":math:`\ln|\psi|` of positions ``(batch, N, d)``, ``(batch,)``."""
        self.check(x)
        return torch.stack([factor(x) for factor in self._each()]).sum(0)

    def sign(self, x: Tensor) -> Tensor:
        """The sign, ``(batch,)``."""
        self.check(x)
        signs = [factor.sign(x) for factor in self._each() if isinstance(factor, Slater)]
        return torch.stack([x.new_ones(len(x)), *signs]).prod(0)

    @torch.no_grad()
    def jet(self, x: Tensor) -> LogJet:
        """Logarithm, gradient and Laplacian at positions ``(batch, N, d)``."""
        self.check(x)
        return LogJet(*(sum(parts) for parts in zip(*[f.jet(x) for f in self._each()], strict=True)))

    @torch.no_grad()
    def derivatives(self, x: Tensor) -> Tensor:
        r""":math:`\partial\ln|\psi|/\partial\theta_k`, ``(batch, parameters)``."""
        self.check(x)
        return torch.cat([factor.derivatives(x) for factor in self._each()], 1)

r"""Functions of one distance: what Jastrow factors and backflow are made of.

A function is given by :math:`f, f'/r, f''`; for a sum over pairs

.. math:: \nabla_i \sum_{j<k} f(r_{jk}) = \sum_j \frac{f'(r_{ij})}{r_{ij}}\, \mathbf r_{ij}, \qquad
          \Delta \sum_{j<k} f = 2\sum_{j<k} \Bigl( f'' + (d-1)\frac{f'}{r} \Bigr) .
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nnbook.arrays import check_counts, positive
from nnbook.networks import random_parameter

Values = tuple[Tensor, Tensor, Tensor]


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
        axes = (x.mT.flatten(0, 1) @ self.get_buffer("incidence").to(x)).unflatten(0, (len(x), -1))
        return axes.mT, axes.square().sum(1).sqrt()

    def onto(self, values: Tensor, *, signed: bool = True) -> Tensor:
        """Sum what belongs to pairs ``(batch, pairs, ...)`` over the pairs of each electron."""
        incidence = self.get_buffer("incidence").to(values)
        table = incidence if signed else incidence.abs()
        rows = values.flatten(2).mT.flatten(0, 1)
        summed: Tensor = (rows @ table.T).unflatten(0, (len(values), -1)).mT.unflatten(2, values.shape[2:])
        return summed

    def at_ends(self, values: Tensor) -> Tensor:
        """Of what electrons have ``(batch, N, k)``, the sum over both of each pair ``(batch, pairs, k)``."""
        first, second = self.get_buffer("ends")
        return values.index_select(1, first) + values.index_select(1, second)


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
        return torch.addcmul(self.bias, z[..., None], self.inward).tanh()

    def forward(self, r: Tensor) -> Tensor:
        """The values f, of the shape of r."""
        shape = self.shape(r, values=True)
        return shape.envelope * (self._units(shape.input) @ self.outward + self.offset)

    def jet(self, r: Tensor) -> Values:
        """f, f'/r and f''."""
        e, e1, e2, z, z1, z2, ratio = self.shape(r)
        t = self._units(z)
        square, first = t * t, self.outward * self.inward  # the slope of tanh t is 1 - t^2
        n = t @ self.outward + self.offset
        n1 = first.sum() - square @ first
        n2 = 2 * ((square - 1) * t) @ (first * self.inward)
        second = e2 * n + 2 * r * e1 * n1 * z1 + e * (n2 * z1.square() + n1 * z2)
        return e * n, e1 * n + n1 * ratio, second

    def score(self, r: Tensor, weight: Tensor) -> Tensor:
        """Derivatives of the weighted sum of f over the last axis, ``(batch, parameters)``."""
        shape = self.shape(r)
        weight, z = weight * shape.envelope, shape.input
        t = self._units(z)
        weighted = weight[..., None] * t
        square = weighted * t  # the slope of tanh t is 1 - t^2
        bias = (weight.sum(1, keepdim=True) - square.sum(1)) * self.outward
        inward = ((weight * z).sum(1, keepdim=True) - (z[..., None] * square).sum(1)) * self.outward
        return torch.cat([inward, bias, weighted.sum(1), weight.sum(1, keepdim=True)], 1)

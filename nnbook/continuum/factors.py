r"""Factors of a wave function: a Gaussian, a Jastrow factor, a Boltzmann machine.

A factor knows the logarithm of its absolute value, the gradient and the Laplacian of that by all
coordinates, and its derivatives by the parameters, all written out.
Positions are ``(batch, N, d)``, those with spin up first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from nnbook.arrays import check_counts, positive
from nnbook.continuum.radial import Pade, Pairs, Radial
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


class Factor(nn.Module):
    """A factor of a wave function; base class.

    Attributes:
        shape: numbers of electrons and of dimensions, where a factor depends on them.
    """

    shape: tuple[int, int] | None = None

    def jet(self, x: Tensor) -> LogJet:
        """Logarithm, gradient and Laplacian at positions ``(batch, N, d)``."""
        raise NotImplementedError

    def sign(self, x: Tensor) -> Tensor:
        """The sign, ``(batch,)``; plus one where a factor has none."""
        return x.new_ones(len(x))

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

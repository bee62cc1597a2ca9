r"""Wave functions of electrons as products of factors, with their derivatives written out.

Logarithms of factors add, so do their derivatives, and a wave function is put together as a physicist
writes it: a Gaussian, a Jastrow factor, a determinant.
Positions are ``(batch, N, d)``, those with spin up first.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from nnbook.arrays import check_counts, seen
from nnbook.continuum.factors import Factor, LogJet


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
        return torch.stack([factor.sign(x) for factor in self._each()]).prod(0)

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

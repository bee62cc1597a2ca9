r"""The local energy of a wave function in continuous space, and slow ways to check it.

.. math:: \frac{T\psi}{\psi} = -\tfrac12 \bigl( \Delta\ln|\psi| + |\nabla\ln|\psi||^2 \bigr)
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nnbook.arrays import finite
from nnbook.continuum.factors import LogJet


def kinetic(jet: LogJet) -> Tensor:
    """The local kinetic energy in units of the trap, ``(batch,)``."""
    return -0.5 * (jet.laplacian + jet.gradient.square().sum((1, 2)))


@torch.enable_grad()
def double_backward(log_psi: Callable[[Tensor], Tensor], x: Tensor) -> LogJet:
    """Logarithm, gradient and Laplacian by differentiating twice, one coordinate after the other.

    Reverse over reverse, which is right for determinants too.
    """
    x = x.detach().clone().requires_grad_()
    value = log_psi(x)
    (gradient,) = torch.autograd.grad(value.sum(), x, create_graph=True)
    flat = gradient.flatten(1)
    laplacian = torch.zeros_like(value)
    for k in range(flat.shape[1] if gradient.requires_grad else 0):
        (row,) = torch.autograd.grad(flat[:, k].sum(), x, retain_graph=True)
        laplacian = laplacian + row.flatten(1)[:, k]
    return LogJet(value.detach(), gradient.detach(), laplacian.detach())


@torch.no_grad()
def finite_differences(log_psi: Callable[[Tensor], Tensor], x: Tensor, h: float = 1e-3) -> LogJet:
    """Logarithm, gradient and Laplacian by central differences of fourth order."""
    h = finite("h", h, least=1e-6, most=1)
    value, gradient, laplacian = log_psi(x), torch.zeros_like(x), torch.zeros_like(log_psi(x))
    for k in range(x[0].numel()):
        unit = torch.zeros_like(x[0]).flatten()
        unit[k] = h
        p2, p1, m1, m2 = (log_psi(x + s * unit.view_as(x[0])) for s in (2, 1, -1, -2))
        gradient.flatten(1)[:, k] = (8 * (p1 - m1) - p2 + m2) / (12 * h)
        laplacian += (16 * (p1 + m1) - p2 - m2 - 30 * value) / (12 * h**2)
    return LogJet(value, gradient, laplacian)

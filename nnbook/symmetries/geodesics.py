"""Geodesics of two surfaces, and the curvature of a connection."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import jacrev, vmap

from nnbook.arrays import check_numbers, check_values


def ricci(symbols: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    r"""The Ricci tensor of a connection at points ``(n, dim)``, as ``(n, dim, dim)``.

    .. math:: R_{jl} = \partial_i\Gamma^i_{lj} - \partial_l\Gamma^i_{ij} + \Gamma^i_{im}\Gamma^m_{lj}
              - \Gamma^i_{lm}\Gamma^m_{ij}

    On a surface it is K times the metric, K the Gaussian curvature.
    """
    gamma, slope = vmap(symbols)(x), vmap(jacrev(symbols))(x)
    first = torch.einsum("nilji->njl", slope)
    second = torch.einsum("niijl->njl", slope)
    third = torch.einsum("niim,nmlj->njl", gamma, gamma)
    return first - second + third - torch.einsum("nilm,nmij->njl", gamma, gamma)


def geodesic(x: Tensor, v: Tensor, t: float, sign: int) -> tuple[Tensor, Tensor]:
    r"""Exact geodesics of the sphere or the hyperbolic plane, in stereographic coordinates.

    The metric is :math:`4\,dx^2/(1 + \kappa x^2)^2` with the curvature :math:`\kappa = \pm1`. A point is
    lifted to :math:`X = (2x, 1 - \kappa x^2)/(1 + \kappa x^2)`, where a geodesic is a plane section.

    Args:
        x, v: points and velocities, ``(n, 2)``.
        t: time.
        sign: :math:`\kappa`, 1 for the sphere and -1 for the hyperbolic plane.

    Returns:
        Where they are at t ``(n, 2)``, and the lengths of the way in a unit of time ``(n,)``.

    Raises:
        ValueError: another sign.
    """
    if sign not in (1, -1):
        raise ValueError(f"sign: got {sign}, expected 1 or -1")
    check_numbers("x", x)
    check_values("x", x, ("n", 2))
    check_values("v", v, tuple(x.shape), dtype=x.dtype)

    square, slope = sign * x.square().sum(1, keepdim=True), 2 * sign * (x * v).sum(1, keepdim=True)
    point = torch.cat([2 * x, 1 - square], 1) / (1 + square)
    along = (torch.cat([2 * v, -slope], 1) - slope * point) / (1 + square)
    length = 2 * v.norm(dim=1, keepdim=True) / (1 + square)
    angle = t * length
    c, s = (angle.cos(), angle.sin()) if sign == 1 else (angle.cosh(), angle.sinh())
    there = c * point + s * along / length.clamp(min=1e-300)
    return there[:, :2] / (1 + there[:, 2:]), length[:, 0]

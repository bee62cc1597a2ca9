"""A smooth function from its values at knots: cardinal natural cubic splines through zero."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from nnbook.arrays import Array, check_counts, check_numbers, check_values, like


def spline_basis(x: Tensor, knots: Tensor, derivative: int = 0) -> Tensor:
    """Cardinal natural cubic splines through zero at x = 0, or a derivative, ``(len(x), len(knots))``.

    >>> spline_basis(torch.tensor([0.0, 0.5]), torch.tensor([0.5, 1.0])).round()
    tensor([[0., 0.], [1., 0.]], dtype=torch.float64)

    Raises:
        ValueError: places that are no list, knots that do not rise from above zero.
    """
    check_counts(least=0, derivative=derivative)
    check_knots(knots)
    if x.ndim != 1:
        raise ValueError(f"x: got shape {tuple(x.shape)}, expected (n,)")
    x = x.double()
    pieces = like(_pieces(tuple(knots.tolist()), derivative), x)
    place = torch.searchsorted(knots.to(x), x.detach()).clamp(max=len(knots) - 1)
    since = x - torch.cat([knots.new_zeros(1), knots]).to(x)[place]
    powers = torch.stack([since**k for k in reversed(range(len(pieces)))])
    return torch.einsum("kx,kxn->xn", powers, pieces[:, place])


def check_knots(knots: Tensor, wall: Tensor | None = None) -> None:
    """Check the knots of a spline, and its values there if they are given.

    Raises:
        ValueError: knots that do not rise from above zero, values of another number or not finite.
    """
    check_numbers("knots", knots)
    check_values("knots", knots, ("n",))
    check_counts(least=2, knots=len(knots))
    if not bool((knots.diff() > 0).all() and knots[0] > 0):
        raise ValueError("knots: got numbers that do not rise, expected rising ones above zero")
    if wall is not None:
        check_values("wall", wall, (len(knots),), dtype=torch.float64)


@lru_cache
def _pieces(knots: tuple[float, ...], derivative: int) -> Array:
    """Coefficients of the pieces, highest power first, ``(powers, pieces, knots)``."""
    spline = CubicSpline([0.0, *knots], np.eye(len(knots) + 1), bc_type="natural")
    spline = spline.derivative(derivative) if derivative else spline
    coefficients: Array = spline.c[..., 1:]
    return coefficients

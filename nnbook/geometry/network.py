r"""Networks without biases whose level sets are polytopes :cite:p:`hashimoto2023`, and points on the sphere.

A network of absolute values and their powers. For the powers one it is linear on cones, and the surface
:math:`f(x) = 1` is a polytope.

.. math:: a_0 = x, \qquad a_l = |W_l\, a_{l-1}|^{p_l}, \qquad f(x) = \sum_k (a_N)_k

The type :math:`(n_1, \dots, n_N; p_1, \dots, p_N)` names the widths and the powers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy

import numpy as np
import torch
from scipy.stats import norm, qmc
from torch import Tensor, nn
from torch.nn import functional as F

from nnbook.arrays import Array, check_counts, check_input, like, positive
from nnbook.networks import random_parameter


class PolytopeNet(nn.Module):
    r"""The network of type :math:`(n_1, \dots, n_N; p_1, \dots, p_N)`.

    It has no bias, units :math:`|x|^p`, and a plain sum at the end, so it is homogeneous:
    :math:`f(tx) = |t|^{p_1 \cdots p_N} f(x)`. Weights are drawn from a normal distribution, or as orthogonal
    matrices, and scaled so that the mean of f on the sphere is about one. An orthogonal layer with p = 1
    folds space without stretching it, the better start for several layers.

    Args:
        dim: components of x, at least 2.
        widths: units of each layer; the first at least ``dim``, or the level set would be unbounded.
        powers: one for each layer, above zero.
        orthogonal: whether the rows or columns of each layer's weights are orthogonal at first.
        generator: source of the random numbers; PyTorch's global one if absent.
        dtype, device: of the weights.

    Raises:
        ValueError: dim below 2, no layer, widths and powers of different lengths, a width below one, a first
            layer with fewer units than dimensions, a power that is not above zero.

    >>> PolytopeNet(2, (3,), (1.0,))(torch.eye(2, dtype=torch.float64)).shape
    torch.Size([2])
    """

    def __init__(
        self,
        dim: int,
        widths: Sequence[int],
        powers: Sequence[float],
        *,
        orthogonal: bool = False,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        _check_type(dim, widths, powers)
        self.dim, self.orthogonal = dim, orthogonal
        self.widths, self.powers = tuple(map(int, widths)), tuple(map(float, powers))
        shapes = zip(self.widths, (dim, *self.widths[:-1]), strict=True)
        weights = [random_parameter(shape, 1.0, generator=generator) for shape in shapes]
        if orthogonal:
            for weight in weights:
                nn.init.orthogonal_(weight, generator=generator)
        self.weights = nn.ParameterList(weight.detach().to(device, dtype) for weight in weights)
        self._scale(random_points(512, dim, generator=generator, dtype=dtype, device=device))

    @torch.no_grad()
    def _scale(self, x: Tensor) -> None:
        """Make the units of each layer one on average, and those of the last add up to one."""
        for k, (weight, exponent) in enumerate(zip(self.weights, self.powers, strict=True)):
            size = power(self._layers(x)[k], exponent)[0].mean(0).sum()
            last = k == len(self.widths) - 1
            weight /= (size if last else size / self.widths[k]) ** (1 / exponent)

    @property
    def degree(self) -> float:
        r"""The power of homogeneity, :math:`p_1 \cdots p_N`."""
        return float(np.prod(self.powers))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., dim)`` to ``(...,)``.

        Raises:
            ValueError: points of another dimension or dtype.
        """
        check_input("x", x, self.dim, self.weights[0])
        return power(self._layers(x)[-1], self.powers[-1])[0].sum(-1)

    def _layers(self, x: Tensor) -> list[Tensor]:
        """Inputs of the units of each layer, ``(..., units)``."""
        inputs = []
        for weight, exponent in zip(self.weights, self.powers, strict=True):
            inputs.append(x @ weight.mT)
            x = power(inputs[-1], exponent)[0]
        return inputs

    def layers(self) -> list[Callable[[Array], Array]]:
        """For each layer the function from points ``(n, dim)`` to the inputs of its units."""

        def inputs(k: int) -> Callable[[Array], Array]:
            return lambda x: self._layers(like(x, self.weights[0]))[k].detach().cpu().numpy()

        return [inputs(k) for k in range(len(self.widths))]

    def slice(self, basis: Array) -> PolytopeNet:
        """The same network on a subspace through the origin: the polytope cut by that subspace.

        Args:
            basis: orthonormal columns, ``(dim, m)``; a point of the slice is ``basis @ y``.

        Raises:
            ValueError: a basis of another shape or that is not orthonormal.
        """
        columns = np.asarray(basis)
        shape = columns.shape
        if len(shape) != 2 or shape[0] != self.dim or shape[1] < 2 or _skew(columns) > 1e-6:
            raise ValueError(
                f"basis: got an array of shape {shape}, expected two or more orthonormal columns of length "
                f"{self.dim}; see numpy.linalg.qr"
            )
        cut, first = deepcopy(self), self.weights[0].detach()
        cut.dim = shape[1]
        cut.weights[0] = nn.Parameter(first @ like(columns, first))
        return cut

    def __repr__(self) -> str:
        widths, powers = (",".join(f"{v:g}" for v in vs) for vs in (self.widths, self.powers))
        return f"PolytopeNet of type ({widths};{powers}) in {self.dim} dimensions"


def random_points(
    count: int,
    dim: int,
    *,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Independent uniform points on the unit sphere, ``(count, dim)``; the same on each device."""
    check_counts(count=count, dim=dim)
    points = torch.randn(count, dim, generator=generator, dtype=torch.float64, device="cpu")
    return F.normalize(points, dim=1).to(device, dtype)


def even_points(
    count: int, dim: int, *, dtype: torch.dtype = torch.float64, device: torch.device | str = "cpu"
) -> Tensor:
    """Evenly spread points of the unit sphere, ``(count, dim)``: equal angles, golden spiral, or Sobol.

    >>> bool(even_points(100, 3).mean(0).norm() < 1e-2)
    True
    """
    check_counts(count=count)
    check_counts(least=2, dim=dim)
    if dim == 2:
        angle = 2 * np.pi * (np.arange(count) + 0.5) / count
        points = np.stack([np.cos(angle), np.sin(angle)], 1)
    elif dim == 3:
        z = 1 - (2 * np.arange(count) + 1) / count
        turn, rho = np.pi * (1 + 5**0.5) * np.arange(count), np.sqrt(1 - z**2)
        points = np.stack([rho * np.cos(turn), rho * np.sin(turn), z], 1)
    else:
        sobol = qmc.Sobol(dim, rng=0).random_base2((count - 1).bit_length())[:count]
        points = norm.ppf(sobol.clip(1e-9, 1 - 1e-9))
    return F.normalize(torch.as_tensor(points, device="cpu"), dim=1).to(device, dtype)


def power(x: Tensor, exponent: float) -> tuple[Tensor, Tensor]:
    """:math:`|x|^p` and its slope; for p < 1 the slope, infinite at zero, is cut off below 1e-9."""
    size, sign = x.abs(), x.sign()
    if exponent == 1:
        return size, sign
    least = 1e-9 if exponent < 1 else torch.finfo(x.dtype).tiny
    rate = size.clamp_min(least).pow(exponent - 1)
    return size * rate, sign * rate * torch.where(size < least, 1.0, exponent)


def _skew(columns: Array) -> float:
    return float(np.abs(columns.T @ columns - np.eye(columns.shape[1])).max())


def _check_type(dim: int, widths: Sequence[int], powers: Sequence[float]) -> None:
    check_counts(least=2, dim=dim)  # in one dimension the sphere is two points
    sequences = isinstance(widths, Sequence) and isinstance(powers, Sequence)
    if not sequences or not 0 < len(widths) == len(powers):
        raise ValueError(
            f"powers: got {powers!r} for widths {widths!r}, expected one power a layer, for example "
            "widths=(6, 4), powers=(1.0, 1.0)"
        )
    for units in widths:
        check_counts(widths=units)
    for exponent in powers:
        positive("powers", exponent)
    if widths[0] < dim:
        raise ValueError(
            f"widths: got {widths[0]} units in the first layer for {dim} dimensions, expected {dim} or more: "
            "with fewer, f vanishes along a direction and the level set is unbounded"
        )

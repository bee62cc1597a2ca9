r"""Networks without biases whose level sets are polytopes :cite:p:`hashimoto2023`.

A network of absolute values and their powers is trained to be one on the unit sphere. For the powers one, it
is linear on cones, and the surface :math:`f(x) = 1` is a polytope: flat facets that approximate the sphere.

.. math:: a_0 = x, \qquad a_l = |W_l\, a_{l-1}|^{p_l}, \qquad f(x) = \sum_k (a_N)_k

The type :math:`(n_1, \dots, n_N; p_1, \dots, p_N)` names the widths and the powers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from nnbook.arrays import Array
from nnbook.geometry.level_sets import Polytope, mesh, polytope
from nnbook.geometry.sphere import (
    descend,
    even_points,
    exact_loss,
    facet_bound,
    polish,
    polygon_loss,
    random_points,
    sample_loss,
    sphere_loss,
)
from nnbook.networks import assign, flatten
from nnbook.train.first_order import Fit

__all__ = [
    "Polytope",
    "PolytopeNet",
    "SphereFit",
    "even_points",
    "exact_loss",
    "facet_bound",
    "fit_sphere",
    "mesh",
    "polygon_loss",
    "polytope",
    "random_points",
]


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
    ) -> None:
        super().__init__()
        _check_type(dim, widths, powers)
        self.dim, self.widths, self.powers = (
            dim,
            tuple(int(n) for n in widths),
            tuple(float(p) for p in powers),
        )
        self.orthogonal = orthogonal
        fan_in = (dim, *self.widths[:-1])
        self.weights = nn.ParameterList(
            torch.randn(shape, generator=generator, dtype=torch.float64)
            for shape in zip(self.widths, fan_in, strict=True)
        )
        if orthogonal:
            for weight in self.weights:
                nn.init.orthogonal_(weight, generator=generator)
        self._scale(random_points(512, dim, generator=generator))

    @torch.no_grad()
    def _scale(self, x: Tensor) -> None:
        """Make the units of each layer one on average, and those of the last add up to one."""
        for k, (weight, power) in enumerate(zip(self.weights, self.powers, strict=True)):
            size = _power(self._layers(x)[k], power).mean(0).sum()
            last = k == len(self.widths) - 1
            weight /= (size if last else size / self.widths[k]) ** (1 / power)

    @property
    def degree(self) -> float:
        r"""The power of homogeneity, :math:`p_1 \cdots p_N`."""
        return float(np.prod(self.powers))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., dim)`` to ``(...,)``."""
        return _power(self._layers(x)[-1], self.powers[-1]).sum(-1)

    def _layers(self, x: Tensor) -> list[Tensor]:
        """Inputs of the units of each layer, ``(..., units)``."""
        inputs = []
        for weight, power in zip(self.weights, self.powers, strict=True):
            inputs.append(x @ weight.mT)
            x = _power(inputs[-1], power)
        return inputs

    def layers(self) -> list[Callable[[Array], Array]]:
        """For each layer the function from points ``(n, dim)`` to the inputs of its units."""

        def inputs(k: int) -> Callable[[Array], Array]:
            return lambda x: self._layers(torch.as_tensor(x).to(self.weights[0]))[k].detach().cpu().numpy()

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
        cut.weights[0] = nn.Parameter(first @ torch.as_tensor(columns).to(first))
        return cut

    def __repr__(self) -> str:
        widths, powers = (",".join(f"{v:g}" for v in vs) for vs in (self.widths, self.powers))
        return f"PolytopeNet of type ({widths};{powers}) in {self.dim} dimensions"


@dataclass(frozen=True)
class SphereFit:
    r"""A network trained to be one on the unit sphere; the repr is its line in a table.

    Attributes:
        net: the trained network.
        loss: the mean of :math:`(f - 1)^2` over the points of the training.
        exact_loss: its mean over the whole sphere; None where no exact formula is known, see
            :func:`~nnbook.geometry.sphere.exact_loss`.
        fit: how the training went.
    """

    net: PolytopeNet
    loss: float
    exact_loss: float | None
    fit: Fit = field(repr=False)

    def __repr__(self) -> str:
        exact = "" if self.exact_loss is None else f", on the whole sphere {self.exact_loss:.6e}"
        return f"{self.net}: loss {self.loss:.6e}{exact}"


def fit_sphere(
    net: PolytopeNet,
    *,
    points: int | Tensor | None = None,
    seed: int = 1,
    starts: int = 16,
    steps: int = 1000,
    tolerance: float = 1e-9,
) -> SphereFit:
    r"""Train a network to be one on the unit sphere, by least squares.

    .. math:: L = \bigl\langle (f(x) - 1)^2 \bigr\rangle_{x \in S^{d-1}}

    The best of several random networks is kept; ``net`` itself is left as it is.

    Args:
        net: gives the type, and the first of the starts.
        points: the data: a number of random points as in the talk, or your own ``(n, dim)`` on the sphere.
            Without it the average is over the whole sphere. It is exact wherever
            :func:`~nnbook.geometry.sphere.sphere_loss` is known; several layers first learn from 6000 evenly
            spread points, and only the best start goes on to the exact average.
        seed: of the random points and networks.
        starts: number of random networks, each trained by BFGS.
        steps: at most so many from each start.
        tolerance: a start ends when no component of the gradient is larger.

    Raises:
        ValueError: fewer points than dimensions, points that are not on the sphere, ``starts`` < 1.

    >>> fit_sphere(PolytopeNet(2, (2,), (1.0,)))
    PolytopeNet of type (2;1) in 2 dimensions: loss 9.459029e-03, on the whole sphere 9.459029e-03
    """
    if starts < 1:
        raise ValueError(f"starts: got {starts}, expected at least one random network")
    generator = torch.Generator().manual_seed(seed)
    whole = sphere_loss(net) if points is None else None
    loss = whole if whole and len(net.widths) == 1 else sample_loss(net, _data(net, points, generator))
    draw = partial(PolytopeNet, net.dim, net.widths, net.powers, orthogonal=net.orthogonal)
    others = [draw(generator=generator) for _ in range(starts - 1)]
    vectors = np.stack([flatten(start).double().cpu().numpy() for start in (net, *others)])
    fit, best = descend(loss, vectors, steps=steps, tolerance=tolerance)
    if whole and loss is not whole:
        last, best = descend(whole, best.x[None], steps=steps, tolerance=tolerance)
        fit = replace(last, history=fit.history)
    trained = deepcopy(net)
    vector = polish(whole, best.x) if whole and fit.converged else best.x
    assign(trained, torch.as_tensor(vector).to(flatten(net)))
    return SphereFit(trained, fit.value, exact_loss(trained), fit)


def _data(net: PolytopeNet, points: int | Tensor | None, generator: torch.Generator) -> Tensor:
    if points is None:
        return even_points(6000, net.dim).to(net.weights[0])
    if isinstance(points, int | np.integer):
        if points < net.dim:
            raise ValueError(
                f"points: got {points}, expected at least {net.dim}, and thousands for a good fit"
            )
        return random_points(int(points), net.dim, generator=generator).to(net.weights[0])
    if isinstance(points, float):
        raise ValueError(f"points: got {points}, expected a whole number or an array (n, {net.dim})")
    data = torch.as_tensor(points).to(net.weights[0])
    on_sphere = data.ndim == 2 and data.shape[1] == net.dim and len(data) >= net.dim
    if not on_sphere or not torch.allclose(data.norm(dim=1), torch.ones_like(data[:, 0]), atol=1e-6):
        raise ValueError(
            f"points: got shape {tuple(data.shape)}, expected at least {net.dim} points of length one, "
            f"(n, {net.dim}); divide by points.norm(dim=1, keepdim=True)"
        )
    return data


def _power(x: Tensor, power: float) -> Tensor:
    """|x|^p; for p < 1 its slope, infinite at zero, is cut off where |x| is below 1e-9."""
    size = x.abs()
    if power >= 1:
        return size if power == 1 else size.pow(power)
    return torch.where(size < 1e-9, size * 1e-9 ** (power - 1), size.clamp_min(1e-9).pow(power))


def _skew(columns: Array) -> float:
    return float(np.abs(columns.T @ columns - np.eye(columns.shape[1])).max())


def _check_type(dim: int, widths: Sequence[int], powers: Sequence[float]) -> None:
    if dim < 2:
        raise ValueError(f"dim: got {dim}, expected at least 2: in one dimension the sphere is two points")
    for name, value in (("widths", widths), ("powers", powers)):
        if not isinstance(value, Sequence):
            raise ValueError(f"{name}: got {value}, expected a sequence with one entry a layer, such as (6,)")
    if len(widths) == 0 or len(widths) != len(powers):
        raise ValueError(
            f"powers: got {len(powers)} for {len(widths)} widths, expected one power a layer, for example "
            "widths=(6, 4), powers=(1.0, 1.0)"
        )
    if min(widths) < 1 or not all(isinstance(n, int | np.integer) for n in widths):
        raise ValueError(f"widths: got {tuple(widths)}, expected whole numbers of units above zero")
    if not all(0 < p < np.inf for p in powers):
        raise ValueError(f"powers: got {tuple(powers)}, expected finite numbers above zero")
    if widths[0] < dim:
        raise ValueError(
            f"widths: got {widths[0]} units in the first layer for {dim} dimensions, expected {dim} or more: "
            "with fewer, f vanishes along a direction and the level set is unbounded"
        )

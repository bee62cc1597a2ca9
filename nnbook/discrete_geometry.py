r"""Scherk's minimal surface, learned by a network in two ways, and the linear pieces of the result.

The area and the curvature of Scherk's surface :math:`u = \log(\cos y / \cos x)` are known.
:func:`fit_surface` is shown its height, :func:`minimal_surface` only its boundary.
:mod:`nnbook.geometry.linear_pieces`, whose names are here too, turns the trained networks into surfaces of
flat faces, and ``nnbook.particles`` has the wave functions of the first sections.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from nnbook.arrays import Array, check_counts, check_values, finite, like, positive, seeded
from nnbook.derivatives import WithSlope
from nnbook.geometry.complexes import Complex, subdivide
from nnbook.geometry.linear_pieces import (
    Regions,
    check_units,
    graph,
    heights,
    kinks,
    layers_of,
    linear_regions,
    raster,
    region_bound,
    relu_copy,
    slopes,
    softplus_gap,
    square,
    unrolled,
)
from nnbook.geometry.solids import Solid, scene, turnable
from nnbook.networks import MLP, assign, flatten
from nnbook.particles.grid import Grid
from nnbook.particles.hamiltonian import Hamiltonian, trapped
from nnbook.particles.solve import solve
from nnbook.particles.waves import Symmetrised, WaveFunction
from nnbook.train.gauss_newton import ConvexLoss
from nnbook.train.linear_method import minimise
from nnbook.train.loop import Fit

__all__ = ["Scherk", "Surface", "fit_surface", "gauss_points", "minimal_surface", "random_surface"]
__all__ += ["Regions", "graph", "heights", "kinks", "layers_of", "linear_regions", "raster", "region_bound"]
__all__ += ["relu_copy", "slopes", "softplus_gap", "square", "unrolled"]
__all__ += ["Complex", "Solid", "scene", "subdivide", "turnable"]
__all__ += ["MLP", "WithSlope", "assign"]
__all__ += ["Grid", "Hamiltonian", "Symmetrised", "WaveFunction", "solve", "trapped"]

Height = Callable[[Array], Array]


@dataclass(frozen=True)
class Scherk:
    r"""Scherk's minimal surface :math:`u = \log(\cos y / \cos x)` over the square ``|x|, |y| < half_width``.

    Raises:
        ValueError: a half-width that is not between 0 and pi/2, where the surface goes to infinity.

    >>> Scherk(1.0)
    Scherk(|x|, |y| < 1: area 5.697512, int K dA = -3.147065)
    """

    half_width: float = 1.2

    def __post_init__(self) -> None:
        if not 0 < self.half_width < math.pi / 2:
            raise ValueError(f"half_width: got {self.half_width}, expected between 0 and pi/2 = 1.5708")

    def __repr__(self) -> str:
        return (
            f"Scherk(|x|, |y| < {self.half_width:g}: area {self.area:.6f}, "
            f"int K dA = {self.total_curvature:.6f})"
        )

    def height(self, points: Array) -> Array:
        """u at points ``(n, 2)``.

        Raises:
            ValueError: points of another shape, or not finite.
        """
        check_values("points", points, ("n", 2))
        result: Array = np.log(np.cos(points[:, 1]) / np.cos(points[:, 0]))
        return result

    def gaussian_curvature(self, points: Array) -> Array:
        r""":math:`K = -\sec^2 x\, \sec^2 y / (1 + \tan^2 x + \tan^2 y)^2`, ``(n,)``.

        Raises:
            ValueError: points of another shape, or not finite.
        """
        check_values("points", points, ("n", 2))
        second = 1 / np.cos(points) ** 2
        result: Array = -second.prod(1) / (second.sum(1) - 1) ** 2
        return result

    def bending(self, points: Array) -> Array:
        r"""Size of the second derivatives, :math:`\sqrt{u_{xx}^2 + 2 u_{xy}^2 + u_{yy}^2}`, ``(n,)``."""
        result: Array = np.sqrt((1 / np.cos(points) ** 4).sum(1))
        return result

    @property
    def area(self) -> float:
        r""":math:`\int \sqrt{1 + \tan^2 x + \tan^2 y}\, dx\, dy`, by quadrature to rounding."""
        return self._integral(lambda p: np.sqrt((1 / np.cos(p) ** 2).sum(1) - 1))

    @property
    def total_curvature(self) -> float:
        r""":math:`\int K\, dA`, which goes to :math:`-2\pi` as the square grows."""
        return self._integral(lambda p: self.gaussian_curvature(p) * np.sqrt((1 / np.cos(p) ** 2).sum(1) - 1))

    def _integral(self, function: Height) -> float:
        points, weights = gauss_points(self.half_width, 100)
        return float(weights @ function(points))


@dataclass(frozen=True, eq=False)
class Surface:
    """A trained network as the height over a square; its repr is its area.

    Attributes:
        network: the trained :class:`~nnbook.networks.MLP`.
        half_width: of the square.
        area: exact for ReLU units, by quadrature for softplus.
        misfit: largest distance from the given heights; for a minimal surface, on the boundary only.
        fit: how the training went.
    """

    network: MLP = field(repr=False)
    half_width: float
    area: float
    misfit: float
    fit: Fit

    def __repr__(self) -> str:
        sizes = "-".join(str(layer.in_features) for layer in self.network.linear())
        return f"{sizes}-1 {self.network.activation}: area {self.area:.6f}, heights within {self.misfit:.1e}"

    def regions(self) -> Regions:
        """The linear regions of the network, or of its ReLU copy."""
        return linear_regions(relu_copy(self.network), square(self.half_width))


def fit_surface(
    height: Height,
    half_width: float,
    *,
    hidden: Sequence[int] = (8, 8, 8),
    activation: str = "softplus",
    seed: int = 1,
    starts: int = 4,
    points: int = 16,
    steps: int = 100,
    tolerance: float = 1e-11,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> Surface:
    """Fit a network to a given height by least squares on Gauss points (:mod:`nnbook.train.gauss_newton`).

    Args:
        height: maps points ``(n, 2)`` to ``(n,)``.
        half_width: of the square.
        hidden: units of each hidden layer.
        activation: ``"softplus"`` or ``"relu"``.
        seed: of the random networks.
        starts: number of random networks that start side by side.
        points: Gauss points along each axis.
        steps, tolerance: see :func:`nnbook.train.linear_method.minimise`.
        dtype, device: of the network and of its training.

    Raises:
        ValueError: other units, ``starts`` or ``points`` below 1, a half-width that is not positive, a height
            that is not one number a point.

    >>> fit_surface(Scherk(1.0).height, 1.0, hidden=(4,), steps=20).misfit < 0.1
    True
    """
    vectors, network = _draw(half_width, hidden, activation, seed, starts, points, dtype, device)
    x, weights = gauss_points(half_width, points)
    values = _values("height", height, x)
    places, target, measure = (like(v, vectors) for v in (x, values[:, None], weights))
    loss = ConvexLoss(places, target, measure)
    fit = _descend(loss, network, network, vectors, steps, tolerance)
    grid = np.stack(np.meshgrid(*[np.linspace(-half_width, half_width, 101)] * 2), -1).reshape(-1, 2)
    return _surface(network, half_width, fit, heights(network, grid) - height(grid))


def minimal_surface(
    boundary: Height,
    half_width: float,
    *,
    hidden: Sequence[int] = (8, 8, 8),
    activation: str = "softplus",
    seed: int = 1,
    starts: int = 4,
    points: int = 16,
    steps: int = 50,
    tolerance: float = 1e-8,
    penalty: float = 1e3,
    rounds: int = 3,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> Surface:
    r"""Find the surface of least area from its boundary alone.

    .. math:: L = \int \sqrt{1 + |\nabla u|^2}\, dx\, dy + \frac{b}{2} \oint (u - g)^2\, ds

    with the penalty b. The pull of the area on the boundary leaves a misfit of order 1/b. After each round it
    is subtracted from the target g, the method of multipliers :cite:p:`hestenes1969`, and shrinks by a factor
    of order 1/b again.

    Args:
        boundary: maps points ``(n, 2)`` to ``(n,)``; called on the boundary of the square only.
        penalty: b.
        rounds: how often the target is set; 1 for the plain penalty.
        half_width, hidden, activation, seed, starts, points, steps, tolerance, dtype, device: see
            :func:`fit_surface`.

    Raises:
        ValueError: as :func:`fit_surface`; a penalty that is not positive, ``rounds`` below 1.

    >>> saddle = lambda p: p[:, 0] * p[:, 1]
    >>> minimal_surface(saddle, 1.0, hidden=(4,), starts=1, points=6, steps=9, rounds=2).area < 5.2
    True
    """
    positive("penalty", penalty)
    check_counts(rounds=rounds)
    vectors, network = _draw(half_width, hidden, activation, seed, starts, points, dtype, device)
    model, edge = WithSlope(network), _edge(half_width, 2 * points)[0]
    target = wanted = _values("boundary", boundary, edge)
    begin: Tensor | None = vectors
    for _ in range(rounds):
        problem = _area_problem(half_width, points, target, penalty, vectors)
        fit = _descend(problem, model, network, begin, steps, tolerance)
        misfit = heights(network, edge) - wanted
        target, begin = target - misfit, None
    return _surface(network, half_width, fit, misfit)


def _descend(
    loss: ConvexLoss, model: nn.Module, network: MLP, starts: Tensor | None, steps: int, tolerance: float
) -> Fit:
    """Minimise; the bend of a step is measured on one piece of a ReLU network, where it has derivatives."""
    part = 1e-4 if network.activation == "relu" else 0.1
    return minimise(loss, model, starts=starts, steps=steps, tolerance=tolerance, part=part, label="surface")


def _values(name: str, function: Height, points: Array) -> Array:
    values = np.asarray(function(points), dtype=float)
    if values.shape != (len(points),):
        raise ValueError(
            f"{name}: got values of shape {values.shape} at {len(points)} points, "
            f"expected ({len(points)},), one number a point"
        )
    return values


def gauss_points(half_width: float, count: int) -> tuple[Array, Array]:
    """Gauss-Legendre points ``(count**2, 2)`` on the square and their weights ``(count**2,)``.

    Raises:
        ValueError: no point along an axis, a half-width that is not positive, or beyond 1e±100.
    """
    finite("half_width", half_width, least=1e-100, most=1e100)
    check_counts(count=count)
    nodes, weights = (half_width * v for v in np.polynomial.legendre.leggauss(count))
    points = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), -1).reshape(-1, 2)
    return points, np.outer(weights, weights).ravel()


def _edge(half_width: float, count: int) -> tuple[Array, Array]:
    nodes, weights = (half_width * v for v in np.polynomial.legendre.leggauss(count))
    far = np.full(count, half_width)
    sides = [np.column_stack(side) for side in ((nodes, far), (nodes, -far), (far, nodes), (-far, nodes))]
    return np.concatenate(sides), np.tile(weights, 4)


def _area_problem(half_width: float, points: int, target: Array, penalty: float, other: Tensor) -> ConvexLoss:
    """Each point has data (a, b, g): the density is a sqrt(1 + u_x^2 + u_y^2) + b (u - g)^2 / 2."""
    inside, weights = gauss_points(half_width, points)
    edge, lengths = _edge(half_width, 2 * points)
    data = np.zeros((len(inside) + len(edge), 3))
    data[: len(inside), 0], data[len(inside) :, 1], data[len(inside) :, 2] = 1.0, penalty, target
    arrays = np.concatenate([inside, edge]), data, np.concatenate([weights, lengths])
    places, known, measure = (like(v, other) for v in arrays)
    return ConvexLoss(places, known, measure, _area_density)


def _area_density(output: Tensor, data: Tensor) -> Tensor:
    area = data[0] * (1 + output[1:].square().sum()).sqrt()
    return area + 0.5 * data[1] * (output[0] - data[2]).square()


def _draw(
    half_width: float,
    hidden: Sequence[int],
    activation: str,
    seed: int,
    starts: int,
    points: int,
    dtype: torch.dtype,
    device: torch.device | str,
) -> tuple[Tensor, MLP]:
    """Random networks whose first layer bends somewhere in the square: all as vectors, and the first."""
    positive("half_width", half_width)
    check_counts(starts=starts, points=points)
    draw = partial(random_surface, half_width, hidden, activation, dtype=dtype, device=device)
    generator = seeded(seed)
    networks = [draw(generator) for _ in range(starts)]
    return torch.stack([flatten(net) for net in networks]), networks[0]


def random_surface(
    half_width: float,
    hidden: Sequence[int],
    activation: str,
    generator: torch.Generator,
    *,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> MLP:
    """An untrained network of two coordinates; each unit of its first layer bends inside the square."""
    network = MLP(2, hidden, activation=activation, generator=generator, dtype=dtype, device=device)
    check_units(network, ("softplus", "relu"))
    bends = torch.rand(hidden[0], 2, generator=generator, dtype=torch.float64, device="cpu")
    network.place_kinks(half_width * (2 * bends - 1), scale=half_width, generator=generator)
    return network


def _surface(network: MLP, half_width: float, fit: Fit, misfit: Array) -> Surface:
    if network.activation == "relu":
        area = linear_regions(network, square(half_width)).surface.area
    else:
        points, weights = gauss_points(half_width, 80)
        area = float(weights @ np.sqrt(1 + (slopes(network, points) ** 2).sum(1)))
    return Surface(network, half_width, area, float(np.abs(misfit).max()), fit)

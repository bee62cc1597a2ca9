r"""The linear pieces of a ReLU network of two coordinates, and ReLU copies of softplus networks.

Softplus replaced by ReLU turns a trained network into a surface of flat faces. :func:`linear_regions` finds
each face by cutting a box with the units of one layer after another (:mod:`nnbook.geometry.complexes`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nnbook.arrays import Array, check_counts, finite, like, positive
from nnbook.derivatives import WithSlope, load_forward_mode
from nnbook.geometry.complexes import FLAT, Complex, Layer, jumps, pieces, subdivide
from nnbook.networks import MLP, assign


@runtime_checkable
class Wave(Protocol):
    """A network that ends in softplus: s(a), or, signed, s(a) - s(b), with a and b the outputs of ``mlp``.

    :class:`~nnbook.particles.waves.WaveFunction` is one.
    """

    mlp: MLP
    signed: bool


def square(half_width: float) -> Complex:
    """The square ``|x|, |y| <= half_width`` as one cell.

    >>> square(2.0).area
    16.0
    """
    positive("half_width", half_width)
    a = half_width
    return Complex(np.array([[-a, -a], [a, -a], [a, a], [-a, a]]), ((0, 1, 2, 3),))


def raster(cells: Complex, half_width: float, bins: int) -> Complex:
    """Cells cut further by the lines of a square grid of ``bins * bins`` over ``|x|, |y| <= half_width``.

    >>> raster(square(1.0), 1.0, 4)
    Complex(V = 25, E = 40, F = 16)
    """
    positive("half_width", half_width)
    check_counts(bins=bins)
    lines = np.linspace(-half_width, half_width, bins + 1)[1:-1]
    return subdivide(cells, [lambda p: np.concatenate([p[:, :1] - lines, p[:, 1:] - lines], axis=1)])


def graph(network: MLP, cells: Complex) -> Complex:
    """The network as the height over the corners of cells in the plane: a surface in three dimensions.

    Raises:
        ValueError: other than two inputs and one output.

    >>> graph(MLP(2, (3,)), square(1.0)).vertices.shape
    (4, 3)
    """
    check_plane(network)
    return Complex(np.column_stack([cells.vertices, heights(network, cells.vertices)]), cells.faces)


@torch.no_grad()
def unrolled(network: MLP | Wave, *, sharpness: float = 1.0, activation: str = "softplus") -> MLP:
    r"""The network as one MLP with softplus of another sharpness, or with ReLU, in all its units.

    A softplus of sharpness :math:`\beta` is :math:`s(\beta z)/\beta`; it tends to :math:`\max(0, z)`. In a
    whole network the factors cancel but for the first weights and the hidden biases, which grow by
    :math:`\beta`, and the last weights, which shrink. The softplus on the output of a :class:`Wave` becomes
    one more hidden layer.

    Raises:
        ValueError: units other than softplus or ReLU, a sharpness that is not a positive number.

    >>> net = MLP(1, (3,), dtype=torch.float64)
    >>> bool(torch.allclose(unrolled(net)(torch.ones(1, 1).double()), net(torch.ones(1, 1).double())))
    True
    """
    positive("sharpness", sharpness)
    mlp = network.mlp if isinstance(network, Wave) else network
    check_units(mlp, ("softplus", "relu"))
    layers: list[tuple[Tensor, Tensor]] = [(layer.weight, layer.bias) for layer in mlp.linear()]
    if isinstance(network, Wave):
        signs = layers[0][0].new_tensor([[1.0, -1.0] if network.signed else [1.0]])
        layers.append((signs, signs.new_zeros(1)))
    (first, bias), *inner, (last, end) = layers
    scaled = [(first * sharpness, bias * sharpness), *((w, b * sharpness) for w, b in inner)]
    sizes = first.shape[1], [len(b) for _, b in scaled], len(end)
    copy = MLP(*sizes, activation=activation, dtype=first.dtype, device=first.device)
    assign(copy, torch.cat([p.flatten() for pair in (*scaled, (last / sharpness, end)) for p in pair]))
    return copy


def relu_copy(network: MLP | Wave) -> MLP:
    """The network with each softplus replaced by ReLU; see :func:`unrolled`.

    >>> relu_copy(MLP(2, (4,))).activation
    'relu'
    """
    return unrolled(network, activation="relu")


def layers_of(network: MLP) -> list[Layer]:
    """For each hidden layer of a ReLU network the inputs of its units, as a function of points.

    >>> [layer(np.zeros((1, 2))).shape for layer in layers_of(MLP(2, (4, 3), activation="relu"))]
    [(1, 4), (1, 3)]
    """
    check_units(network, ("relu",))
    return [
        partial(_unit_inputs, network.linear()[: depth + 1]) for depth in range(len(network.linear()) - 1)
    ]


@torch.no_grad()
def _unit_inputs(linear: list[nn.Linear], points: Array) -> Array:
    x = linear[0](like(points, linear[0].weight))
    for layer in linear[1:]:
        x = layer(F.relu(x))
    result: Array = x.double().cpu().numpy()
    return result


def kinks(network: MLP, low: float, high: float) -> Array:
    """Where a ReLU network of one coordinate bends between ``low`` and ``high``, exact, in order.

    A unit that switches there need not bend the network: what comes behind it may weigh it by zero.

    Raises:
        ValueError: a network of more coordinates or of other units, ``low >= high``.
    """
    check_units(network, ("relu",))
    if network.linear()[0].in_features != 1:
        raise ValueError(
            f"network: got {network.linear()[0].in_features} coordinates, expected 1; use linear_regions"
        )
    if not finite("low", low) < finite("high", high):
        raise ValueError(f"low: got {low}, expected less than high = {high}")
    ends = np.array([low, high])
    for layer in layers_of(network):
        values = layer(ends[:, None])
        left, right = values[:-1], values[1:]
        piece, unit = np.nonzero(left * right < 0)
        share = left[piece, unit] / (left[piece, unit] - right[piece, unit])
        ends = np.unique(np.append(ends, ends[piece] + share * np.diff(ends)[piece]))
    middle = like((ends[1:] + ends[:-1])[:, None] / 2, network.linear()[0].weight)
    load_forward_mode()
    slope: Tensor = torch.func.jvp(network, (middle,), (torch.ones_like(middle),))[1].detach()
    bends = slope.diff(dim=0).abs().amax(1) > FLAT * slope.abs().max()
    inner: Array = ends[1:-1][bends.cpu().numpy()]
    return inner


@dataclass(frozen=True, eq=False)
class Regions:
    """The subdivision of a box into the activation regions of a ReLU network; its repr counts them.

    Attributes:
        network: the ReLU network.
        cells: one convex polygon for each region, in the plane.
        gradients: of the network in each region, ``(F, 2)``.
    """

    network: MLP = field(repr=False)
    cells: Complex = field(repr=False)
    gradients: Array = field(repr=False)

    def __repr__(self) -> str:
        plural = "" if self.pieces == 1 else "s"
        return f"{self.count} activation regions, {self.pieces} linear piece{plural}"

    @property
    def count(self) -> int:
        """Number of activation regions, that is of different sets of active units."""
        return len(self.cells.faces)

    @cached_property
    def jumps(self) -> tuple[Array, Array, Array]:
        """The inner edges ``(E, 2)``, the two faces at each ``(E, 2)``, and the jump of the gradient."""
        return jumps(self.cells, self.gradients)

    @property
    def pieces(self) -> int:
        """Number of linear pieces, where neighbouring regions of equal gradient count once."""
        return int(pieces(self.cells, self.gradients).max()) + 1

    @cached_property
    def surface(self) -> Complex:
        """The graph of the network over the box, a surface of flat faces in three dimensions."""
        return graph(self.network, self.cells)

    def kink_density(self, half_width: float, bins: int, *, weighted: bool = False) -> Array:
        """Length of kinks an area in each of ``bins * bins`` squares of the box, ``(bins, bins)``.

        Args:
            half_width: of the box.
            bins: squares along each axis.
            weighted: whether a kink counts by the jump of the gradient across it.
        """
        finite("half_width", half_width, least=1e-100, most=1e100)
        positive("half_width", half_width)
        check_counts(bins=bins)
        lines = np.linspace(-half_width, half_width, bins + 1)
        fine = _regions(self.network, raster(self.cells, half_width, bins))
        edges, _, jump = fine.jumps
        start, end = fine.cells.vertices[edges[:, 0]], fine.cells.vertices[edges[:, 1]]
        length = np.linalg.norm(end - start, axis=1) * (jump if weighted else jump > 0)
        middle = 0.5 * (start + end)
        total: Array = np.histogram2d(middle[:, 0], middle[:, 1], bins=[lines, lines], weights=length)[0]
        return total / (2 * half_width / bins) ** 2


def linear_regions(network: MLP, box: Complex) -> Regions:
    """Find the activation regions of a ReLU network of two coordinates inside a box, exactly.

    Args:
        network: from :func:`relu_copy`, or trained with ReLU.
        box: convex cells to start from, for example :func:`square`.

    Raises:
        ValueError: units other than ReLU, or other than two inputs and one output.
        TypeError: no :class:`~nnbook.networks.MLP`.

    >>> linear_regions(MLP(2, (4, 4), activation="relu", dtype=torch.float64), square(1.0)).count >= 1
    True
    """
    check_units(network, ("relu",))
    check_plane(network)
    return _regions(network, subdivide(box, layers_of(network)))


def _regions(network: MLP, cells: Complex) -> Regions:
    centres = np.array([cells.vertices[list(face)].mean(0) for face in cells.faces])
    return Regions(network, cells, slopes(network, centres))


def region_bound(inputs: int, widths: Sequence[int]) -> int:
    r"""The most activation regions that a ReLU network may have, in the whole of its input space.

    .. math:: \prod_l \sum_{j=0}^{d} \binom{n_l}{j}, \qquad d = \text{inputs}

    Each factor is the number of regions of :math:`n_l` hyperplanes in general position
    :cite:p:`zaslavsky1975`: a layer cuts a region of the layers before into no more.

    Raises:
        ValueError: no layer, or a size below 1.

    >>> region_bound(2, [4]), region_bound(2, [4, 4, 4])
    (11, 1331)
    """
    if not widths:
        raise ValueError("widths: got none, expected one layer or more")
    for size in (inputs, *widths):
        check_counts(widths=size)
    return math.prod(sum(math.comb(n, j) for j in range(inputs + 1)) for n in widths)


def softplus_gap(network: MLP) -> float:
    r"""A bound on how far a softplus network of one output lies from its ReLU copy, anywhere.

    Each unit is at most :math:`\log 2` above its ReLU, and no unit stretches what comes in:
    :math:`e_l = |W_l|\, e_{l-1} + \log 2`, with :math:`|W|` entry by entry, and no :math:`\log 2` at the end.

    Raises:
        ValueError: units other than softplus.

    >>> net = MLP(1, (1,), dtype=torch.float64)
    >>> round(softplus_gap(net) / net.linear()[1].weight.abs().item(), 4)
    0.6931
    """
    check_units(network, ("softplus",))
    first, *more, last = network.linear()
    gap = torch.full_like(first.bias.detach(), math.log(2))
    for layer in more:
        gap = layer.weight.detach().abs() @ gap + math.log(2)
    return float((last.weight.detach().abs() @ gap).max())


def heights(network: MLP, points: Array) -> Array:
    """Values of the network at points ``(n, inputs)``, as a NumPy array ``(n,)``."""
    return _evaluate(network, network, points)[:, 0]


def slopes(network: MLP, points: Array) -> Array:
    """Gradients of the network at points ``(n, 2)``, as a NumPy array ``(n, 2)``."""
    return _evaluate(WithSlope(network), network, points)[:, 1:]


@torch.no_grad()
def _evaluate(model: nn.Module, network: MLP, points: Array) -> Array:
    first = network.linear()[0]
    if np.ndim(points) != 2 or np.shape(points)[1] != first.in_features:
        raise ValueError(f"points: got shape {np.shape(points)}, expected (points, {first.in_features})")
    result: Array = model(like(points, first.weight)).double().cpu().numpy()
    return result


def check_units(network: MLP, allowed: Sequence[str]) -> None:
    if not isinstance(network, MLP):
        raise TypeError(
            f"network: got a {type(network).__name__}, expected an MLP; unrolled and relu_copy make one"
        )
    if network.activation not in allowed:
        remedy = "; relu_copy makes them" if tuple(allowed) == ("relu",) else ""
        raise ValueError(f"network: got {network.activation} units, expected {' or '.join(allowed)}{remedy}")


def check_plane(network: MLP) -> None:
    first, last = network.linear()[0], network.linear()[-1]
    if (first.in_features, last.out_features) != (2, 1):
        raise ValueError(
            f"network: got {first.in_features} inputs and {last.out_features} outputs, expected 2 and 1, "
            "the height over a plane"
        )

r"""The level set :math:`f(x) = 1` of a network without biases, exactly: vertices, edges, facets, symmetry.

A homogeneous network is known from its directions. Where all powers are one, f is linear on cones, and each
cone carries a facet. The cones come from :func:`nnbook.geometry.complexes.subdivide`: a vertex direction r
gives the vertex :math:`r / f(r)`. For one layer, :math:`f(x) = \sum_k |w_k \cdot x|` is the support function
of the zonotope :math:`\sum_k [-w_k, w_k]`, so the level set is that zonotope's polar dual
:cite:p:`ziegler1995`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import trimesh
from scipy.linalg import qr

from nnbook.arrays import Array, check_counts, like, positive
from nnbook.geometry.complexes import FLAT, Complex, Loop, subdivide, united
from nnbook.geometry.network import PolytopeNet
from nnbook.geometry.point_groups import PointGroup, point_group


@dataclass(frozen=True, eq=False)
class Polytope:
    """A polygon or polyhedron around the origin; the repr counts its parts.

    Attributes:
        vertices: ``(V, dim)``, in two dimensions in order round the origin.
        facets: the vertices of each: pairs for a polygon, for a polyhedron loops as seen from outside.

    >>> polytope(PolytopeNet(3, (3,), (1.0,)))
    Polyhedron: V = 6, E = 12, F = 8, symmetry Ci of order 2
    """

    vertices: Array
    facets: tuple[Loop, ...]

    @property
    def dim(self) -> int:
        """Two or three."""
        return int(self.vertices.shape[1])

    @cached_property
    def surface(self) -> Complex:
        """The facets as a closed surface in three dimensions.

        Raises:
            ValueError: a polygon.
        """
        if self.dim != 3:
            raise ValueError("surface: got a polygon, expected a polyhedron; its sides are facets")
        return Complex(self.vertices, self.facets)

    @property
    def edges(self) -> Array:
        """Pairs of vertices, ``(E, 2)``."""
        return np.array(self.facets) if self.dim == 2 else self.surface.edges

    @property
    def counts(self) -> tuple[int, ...]:
        """Vertices, edges and, in three dimensions, facets."""
        sizes = len(self.vertices), len(self.edges), len(self.facets)
        return sizes[: self.dim]

    @property
    def volume(self) -> float:
        """Volume, or the area of a polygon."""
        corners = self.vertices[self.surface.triangles if self.dim == 3 else np.array(self.facets)]
        return float(np.linalg.det(corners).sum() / (6 if self.dim == 3 else 2))

    @property
    def area(self) -> float:
        """Surface, or the length of a polygon's boundary."""
        if self.dim == 3:
            return self.surface.area
        ends = self.vertices[np.array(self.facets)]
        return float(np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1).sum())

    @cached_property
    def planes(self) -> Array:
        """The gradient of f on each facet, ``(F, dim)``: the facet lies in the plane ``g @ x == 1``."""
        solve = np.linalg.lstsq
        return np.array([solve(self.vertices[list(f)], np.ones(len(f)), rcond=None)[0] for f in self.facets])

    @property
    def convex(self) -> bool:
        """Whether no vertex lies beyond the plane of any facet."""
        return bool((self.vertices @ self.planes.T).max() < 1 + 1e-6)

    @cached_property
    def symmetry(self) -> PointGroup:
        """All rotations and reflections that map the polytope to itself, within 1e-5 of its size."""
        return point_group(self.vertices)

    @property
    def dual(self) -> Polytope:
        r"""The polar dual :math:`\{y : y \cdot x \le 1\ \forall x\}`, which swaps vertices and facets.

        Raises:
            ValueError: the polytope is not convex.
        """
        if not self.convex:
            raise ValueError(
                "dual: got a polytope that is not convex, which has no polar dual with as many parts"
            )
        if self.dim == 2:
            return Polytope(self.planes, _ring(len(self.planes)))
        around: list[Loop] = []
        for vertex in range(len(self.vertices)):
            here = [k for k, facet in enumerate(self.facets) if vertex in facet]
            around.append(_in_order(self.planes[here], self.vertices[vertex], here))
        return Polytope(self.planes, tuple(around))

    def solid(self, *, size: float = 60.0) -> trimesh.Trimesh:
        """The polyhedron as a triangle mesh of the library trimesh.

        Args:
            size: largest extent of the mesh; programs for 3-D printers read millimetres.

        Raises:
            ValueError: a size that is no finite number above zero.
        """
        positive("size", size)
        largest = np.ptp(self.vertices, axis=0).max()
        return trimesh.Trimesh(self.vertices * size / largest, self.surface.triangles)

    def export(self, path: str | Path, *, size: float = 60.0) -> Path:
        """Write the polyhedron for a 3-D printer.

        Args:
            path: ends in ``.stl`` or ``.obj``.
            size: largest extent, in millimetres.

        Raises:
            ValueError: another ending, a polygon, a size that is no finite number above zero.
        """
        target = Path(path)
        if target.suffix.lower() not in (".stl", ".obj"):
            raise ValueError(f"path: got {str(path)!r}, expected a name that ends in .stl or .obj")
        self.solid(size=size).export(target)
        return target

    def __repr__(self) -> str:
        names = "VEF"[: self.dim]
        parts = ", ".join(f"{name} = {count}" for name, count in zip(names, self.counts, strict=True))
        return f"{'Polygon' if self.dim == 2 else 'Polyhedron'}: {parts}, symmetry {self.symmetry}"


def polytope(net: PolytopeNet, *, tolerance: float = 1e-6) -> Polytope:
    """The level set f = 1 of a network whose powers are all one, with its exact combinatorics.

    Args:
        net: in two or three dimensions; see ``net.slice`` for more.
        tolerance: planes that pass a vertex by less than this share of their largest distance go through it.

    Raises:
        ValueError: another dimension, a power other than one, a first layer whose rows do not span the space.
    """
    if any(p != 1 for p in net.powers):
        raise ValueError(f"net: got powers {net.powers}, expected all one; mesh draws the others")
    positive("tolerance", tolerance)
    if net.dim == 2:
        rays = sectors(net, tolerance=tolerance)
        slopes = _gradients(net, rays + np.roll(rays, -1, 0))
        jump = np.linalg.norm(slopes - np.roll(slopes, 1, 0), axis=1)
        rays = rays[jump > FLAT * np.abs(slopes).max()]  # a unit that nothing reads bends no side
        return Polytope(rays / _values(net, rays)[:, None], _ring(len(rays)))
    cells = cones(net, tolerance=tolerance)
    middles = np.array([cells.vertices[list(face)].sum(0) for face in cells.faces])
    cells = united(cells, _gradients(net, middles))
    return Polytope(cells.vertices / _values(net, cells.vertices)[:, None], cells.faces)


def mesh(net: PolytopeNet, *, refine: int = 3) -> Complex:
    """The level set f = 1 of any network in three dimensions as a fine mesh of triangles.

    Args:
        net: any powers; kinks of the first layer lie on edges of the mesh.
        refine: how often each triangle is divided into four.

    Raises:
        ValueError: a network in another dimension, refine below zero.
    """
    check_counts(least=0, refine=refine)
    if net.dim != 3:
        raise ValueError(f"net: got {net.dim} dimensions, expected three; net.slice(basis) cuts it")
    cells = _barycentric(cones(net, layers=1))  # corners and ridges of symmetric bodies lie on its lines
    fine = trimesh.Trimesh(cells.vertices, cells.triangles, process=False)
    for _ in range(refine):
        fine = fine.subdivide()
        fine.vertices /= np.linalg.norm(fine.vertices, axis=1, keepdims=True)
    rays = np.asarray(fine.vertices)
    radius = _values(net, rays) ** (-1 / net.degree)
    return Complex(rays * radius[:, None], tuple(tuple(int(v) for v in face) for face in fine.faces))


def cones(
    net: PolytopeNet, *, layers: int | None = None, half: bool = False, tolerance: float = 1e-9
) -> Complex:
    """The cones in three dimensions on which a network with powers one is linear, as spherical polygons.

    Args:
        net: the network.
        layers: cut by so many layers only.
        half: leave out the opposite of each cone, where f is the same.
        tolerance: see :func:`~nnbook.geometry.complexes.subdivide`.
    """
    if net.dim != 3:
        raise ValueError(f"net: got {net.dim} dimensions, expected two or three; net.slice(basis) cuts it")
    axes = _dual_basis(net)
    signs = np.array([[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
    top = [(k, (k + 1) % 4, 4) for k in range(4)]
    octants = top if half else top + [(b, a, 5) for a, b, _ in top]
    turn = -1 if np.linalg.det(axes) < 0 else 1
    start = Complex(_unit(signs @ axes.T), tuple(face[::turn] for face in octants))
    return subdivide(start, net.layers()[:layers], directions=True, tolerance=tolerance)


def sectors(net: PolytopeNet, *, tolerance: float = 1e-9) -> Array:
    """The directions in the plane between which a network with powers one is linear, in order, ``(n, 2)``."""
    if net.dim != 2:
        raise ValueError(f"net: got {net.dim} dimensions, expected two")
    axes = _dual_basis(net)
    rays = _unit(np.array([axes[:, 0], axes[:, 1], -axes[:, 0], -axes[:, 1]]))
    rays = rays[np.argsort(np.arctan2(rays[:, 1], rays[:, 0]))]
    for layer in net.layers():
        for unit in range(layer(rays).shape[1]):
            rays = _cut_ring(rays, layer(rays)[:, unit], tolerance)
    return rays


def _cut_ring(rays: Array, values: Array, tolerance: float) -> Array:
    values = np.where(np.abs(values) <= tolerance * np.abs(values).max(), 0.0, values)
    following, ahead = np.roll(rays, -1, 0), np.roll(values, -1)
    crossed = np.flatnonzero(values * ahead < 0)
    gap = (ahead - values)[crossed, None]
    fresh = (ahead[crossed, None] * rays[crossed] - values[crossed, None] * following[crossed]) / gap
    return np.insert(rays, crossed + 1, _unit(fresh), axis=0)


def _dual_basis(net: PolytopeNet) -> Array:
    """Columns along which all but one of ``dim`` independent units of the first layer vanish."""
    weight = net.weights[0].detach().cpu().numpy()
    _, triangle, order = qr(weight.T, pivoting=True)
    if not abs(triangle[net.dim - 1, net.dim - 1]) > 1e-9 * abs(triangle[0, 0]):
        raise ValueError(
            f"net: got first-layer weights that span fewer than {net.dim} dimensions, the level set is "
            "unbounded; expected independent rows"
        )
    inverse: Array = np.linalg.inv(weight[order[: net.dim]])
    return inverse


@torch.no_grad()
def _values(net: PolytopeNet, points: Array) -> Array:
    values: Array = net(like(points, net.weights[0])).cpu().numpy()
    if not values.min() > 1e-12 * values.max():
        raise ValueError(
            "net: got f = 0 along a direction, where the level set is unbounded; train the network"
        )
    return values


def _gradients(net: PolytopeNet, points: Array) -> Array:
    x = like(points, net.weights[0]).requires_grad_()
    (slopes,) = torch.autograd.grad(net(x).sum(), x)
    result: Array = slopes.double().cpu().numpy()
    return result


def _barycentric(cells: Complex) -> Complex:
    """Spherical polygons cut from their centres to their corners and to the middles of their edges."""
    middles = _unit(cells.vertices[cells.edges].sum(1))
    centres = _unit(np.array([cells.vertices[list(face)].sum(0) for face in cells.faces]))
    number = {edge: len(cells.vertices) + k for k, edge in enumerate(cells.sides)}
    faces: list[Loop] = []
    for k, face in enumerate(cells.faces):
        centre = len(cells.vertices) + len(middles) + k
        for a, b in zip(face, face[1:] + face[:1], strict=True):
            middle = number[min(a, b), max(a, b)]
            faces += [(a, middle, centre), (middle, b, centre)]
    return Complex(np.concatenate([cells.vertices, middles, centres]), tuple(faces))


def _unit(x: Array) -> Array:
    result: Array = x / np.linalg.norm(x, axis=1, keepdims=True)
    return result


def _ring(count: int) -> tuple[Loop, ...]:
    return tuple((k, (k + 1) % count) for k in range(count))


def _in_order(points: Array, axis: Array, names: list[int]) -> Loop:
    """Names of points in order of their angle round an axis."""
    points = points - points.mean(0)
    first = np.cross(axis, [1.0, 0, 0] if abs(axis[0]) < 0.8 * np.linalg.norm(axis) else [0, 1.0, 0])
    second = np.cross(axis, first) / np.linalg.norm(axis)
    angle = np.arctan2(points @ second, points @ first)
    return tuple(names[k] for k in np.argsort(angle))

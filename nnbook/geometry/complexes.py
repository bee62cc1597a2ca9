r"""Polygonal complexes: convex cells that meet along whole edges, cut further by the kinks of a network.

A network with piecewise linear activations is linear on each cell of a subdivision of its input space. The
subdivision is found exactly, unit by unit. Inside the cells of the units before, the input of the next unit
is linear, so its zero crosses an edge at a point that linear interpolation gives, and a cell along a straight
line. The same cuts serve planes through the origin, where a vertex stands for a direction, a cell for a cone.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from nnbook.arrays import Array, check_values, finite

Loop = tuple[int, ...]
Layer = Callable[[Array], Array]

FLAT = 1e-9  # slopes that differ by less than this share of the largest are the same


@dataclass(frozen=True, eq=False)
class Complex:
    r"""Polygons that share vertices and edges: a surface, or a subdivision of the plane.

    Attributes:
        vertices: points in two or three dimensions, ``(V, d)``.
        faces: the corners of each polygon in order round it, as rows of ``vertices``.

    Raises:
        ValueError: vertices of another shape or not finite, a face with fewer than three corners or one that
            is no row.

    >>> square = Complex(np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]]), ((0, 1, 2, 3),))
    >>> square
    Complex(V = 4, E = 4, F = 1)
    >>> square.euler_characteristic, square.area
    (1, 1.0)
    """

    vertices: Array
    faces: tuple[Loop, ...]

    def __post_init__(self) -> None:
        shape = np.shape(self.vertices)
        if len(shape) != 2 or shape[1] not in (2, 3):
            raise ValueError(f"vertices: got shape {shape}, expected (vertices, 2) or (vertices, 3)")
        check_values("vertices", self.vertices, shape)
        short = min(map(len, self.faces), default=3) < 3
        corners = np.fromiter(itertools.chain.from_iterable(self.faces), dtype=int)
        if short or (len(corners) and not 0 <= corners.min() <= corners.max() < len(self.vertices)):
            allowed = range(len(self.vertices))
            wrong = next(f for f in self.faces if len(f) < 3 or not set(f) <= set(allowed))
            raise ValueError(
                f"faces: got {wrong}, expected at least three rows of the {len(allowed)} vertices"
            )

    def __repr__(self) -> str:
        return f"Complex(V = {len(self.vertices)}, E = {len(self.edges)}, F = {len(self.faces)})"

    @cached_property
    def sides(self) -> dict[tuple[int, int], list[int]]:
        """The faces at each edge; an edge is written with its smaller vertex first."""
        found: dict[tuple[int, int], list[int]] = defaultdict(list)
        for number, face in enumerate(self.faces):
            for edge in _around(face):
                found[edge].append(number)
        return dict(found)

    @property
    def edges(self) -> Array:
        """Pairs of vertices, ``(E, 2)``."""
        return np.array(list(self.sides), dtype=int).reshape(-1, 2)

    def shifted(self, by: ArrayLike) -> Complex:
        """The same complex elsewhere, moved by a vector ``(d,)``.

        Raises:
            ValueError: a vector of another length, or not finite.
        """
        check_values("by", np.asarray(by), self.vertices.shape[1:])
        return Complex(self.vertices + np.asarray(by), self.faces)

    @property
    def triangles(self) -> Array:
        """Each face as a fan of triangles round its first corner, ``(T, 3)``, in the order of the faces."""
        fans = [(f[0], f[k], f[k + 1]) for f in self.faces for k in range(1, len(f) - 1)]
        return np.array(fans, dtype=int).reshape(-1, 3)

    @property
    def boundary(self) -> Array:
        """The edges that belong to one face only, ``(B, 2)``; empty for a closed surface."""
        open_edges = [edge for edge, faces in self.sides.items() if len(faces) == 1]
        return np.array(open_edges, dtype=int).reshape(-1, 2)

    @property
    def euler_characteristic(self) -> int:
        r""":math:`\chi = V - E + F`: 2 for a sphere, 1 for a disc."""
        return len(self.vertices) - len(self.sides) + len(self.faces)

    @property
    def normals(self) -> Array:
        """The unit normal of each face times its area, ``(F, 3)``; in two dimensions along z."""
        points = np.pad(self.vertices, ((0, 0), (0, 3 - self.vertices.shape[1])))
        areas = [_area_vector(points[list(face)] - points[face[0]]) for face in self.faces]
        return np.array(areas, dtype=float).reshape(-1, 3)

    @property
    def area(self) -> float:
        """The sum over the faces."""
        return float(np.linalg.norm(self.normals, axis=1).sum())

    def deficit_angles(self) -> Array:
        r"""The curvature at each vertex, in radians, ``(V,)``.

        :math:`\epsilon = 2\pi - \sum(\text{angles of the faces there})` inside, and :math:`\pi - \sum` on
        the boundary, where it is the angle by which the boundary turns. Their sum is :math:`2\pi\chi` for any
        shape of the faces: the theorem of Gauss and Bonnet, the ground of Regge calculus :cite:p:`regge1961`.
        """
        full = np.full(len(self.vertices), 2 * np.pi)
        full[self.boundary.ravel()] = np.pi
        for face in self.faces:
            corners = self.vertices[list(face)]
            ahead, behind = np.roll(corners, -1, 0) - corners, np.roll(corners, 1, 0) - corners
            full[list(face)] -= _angle(ahead, behind)
        return full


def subdivide(
    cells: Complex, layers: Sequence[Layer], *, directions: bool = False, tolerance: float = 1e-9
) -> Complex:
    """Cut convex cells along the zeros of every unit of a network.

    Args:
        cells: convex polygons, for example the box in which the network is looked at.
        layers: for each hidden layer a function from points ``(n, d)`` to the inputs of its units
            ``(n, units)``. They must be linear on each cell that the layers before have cut.
        directions: whether a vertex stands for the ray through it; new ones are then scaled to length one.
        tolerance: a vertex is on a cut if the unit's input there is below this share of its largest value.

    >>> box = Complex(np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]), ((0, 1, 2, 3),))
    >>> subdivide(box, [lambda x: x])
    Complex(V = 9, E = 12, F = 4)
    """
    finite("tolerance", tolerance, least=0)
    for layer in layers:
        for unit in range(layer(cells.vertices).shape[1]):
            values = layer(cells.vertices)[:, unit]
            values = np.where(np.abs(values) <= tolerance * np.abs(values).max(), 0.0, values)
            cells = _cut(cells, values, directions)
    return cells


def jumps(cells: Complex, gradients: Array) -> tuple[Array, Array, Array]:
    """The inner edges ``(E, 2)``, the two faces at each ``(E, 2)``, and the jump of a gradient ``(E,)``.

    Args:
        cells: the cells on which a function is linear.
        gradients: of the function on each, ``(F, d)``.
    """
    inner = [(edge, faces) for edge, faces in cells.sides.items() if len(faces) == 2]
    edges, faces = (np.array([pair[k] for pair in inner], dtype=int).reshape(-1, 2) for k in (0, 1))
    step = np.linalg.norm(gradients[faces[:, 0]] - gradients[faces[:, 1]], axis=1)
    return edges, faces, np.where(step > FLAT * np.abs(gradients).max(initial=0.0), step, 0.0)


def pieces(cells: Complex, gradients: Array) -> Array:
    """For each face the number of its piece: neighbours of equal gradient belong to one, ``(F,)``."""
    _, faces, jump = jumps(cells, gradients)
    same, count = faces[jump == 0], len(cells.faces)
    links = coo_array((np.ones(len(same)), (same[:, 0], same[:, 1])), shape=(count, count))
    labels: Array = connected_components(links, directed=False)[1]
    return labels


def united(cells: Complex, gradients: Array) -> Complex:
    """A closed surface whose neighbouring faces of equal gradient are one face, without the corners inside.

    A piece whose rim is not one loop stays in its parts.

    >>> square = Complex(np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]]), ((0, 1, 2), (0, 2, 3)))
    >>> united(square, np.zeros((2, 2))).faces
    ((0, 1, 2, 3),)
    """
    labels = pieces(cells, gradients)
    parts: dict[int, list[Loop]] = defaultdict(list)
    for face, label in zip(cells.faces, labels.tolist(), strict=True):
        parts[label].append(face)
    if len(parts) == len(cells.faces):
        return cells
    faces = [loop for piece in parts.values() for loop in _rim(piece)]
    # where two faces meet, they meet along one line: a corner has three, or lies on the boundary
    at = np.bincount([v for face in faces for v in face], minlength=len(cells.vertices))
    at[cells.boundary.ravel()] = 3
    kept = np.flatnonzero(at > 2)
    number = {v: k for k, v in enumerate(kept.tolist())}
    loops = tuple(tuple(number[v] for v in face if v in number) for face in faces)
    return Complex(cells.vertices[kept], loops)


def _rim(piece: list[Loop]) -> list[Loop]:
    """The loop round the faces of a piece, or the faces if it is no single one."""
    ways = {pair for face in piece for pair in zip(face, face[1:] + face[:1], strict=True)}
    ahead = {a: b for a, b in ways if (b, a) not in ways}
    count, loop = sum((b, a) not in ways for a, b in ways), [min(ahead, default=0)]
    while len(loop) < count and ahead[loop[-1]] != loop[0]:
        loop.append(ahead[loop[-1]])
    return [tuple(loop)] if len(loop) == count else piece


def _cut(cells: Complex, values: Array, directions: bool) -> Complex:
    """The cells cut along the zero of a function that is linear on each, given at the vertices."""
    signs: list[int] = np.sign(values).astype(int).tolist()
    crossing: dict[tuple[int, int], int] = {}  # the new vertex on each edge that is cut
    faces: list[Loop] = []
    for face in cells.faces:
        here = [signs[v] for v in face]
        if 1 not in here or -1 not in here:
            faces.append(face)
            continue
        loop: list[int] = []
        for a, edge in zip(face, _around(face), strict=True):
            loop.append(a)
            if signs[edge[0]] * signs[edge[1]] < 0:
                loop.append(crossing.setdefault(edge, len(signs)))
                signs += [0] * (loop[-1] == len(signs))
        faces += [tuple(v for v in loop if side * signs[v] >= 0) for side in (1, -1)]
    i, j = np.array(list(crossing), dtype=int).reshape(-1, 2).T
    fresh = values[j, None] * cells.vertices[i] - values[i, None] * cells.vertices[j]
    fresh /= (values[j] - values[i])[:, None]
    if directions:
        fresh /= np.linalg.norm(fresh, axis=1, keepdims=True)
    return Complex(np.concatenate([cells.vertices, fresh]), tuple(faces))


def _around(face: Loop) -> list[tuple[int, int]]:
    return [(min(edge), max(edge)) for edge in zip(face, face[1:] + face[:1], strict=True)]


def _area_vector(corners: Array) -> Array:
    result: Array = 0.5 * np.cross(corners, np.roll(corners, -1, 0)).sum(0)
    return result


def _angle(a: Array, b: Array) -> Array:
    """Angle between the rows of two arrays; right to rounding near 0 and pi too."""
    a, b = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (a, b))
    result: Array = 2 * np.arctan2(np.linalg.norm(a - b, axis=1), np.linalg.norm(a + b, axis=1))
    return result

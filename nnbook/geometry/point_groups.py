"""The rotations and reflections that map a set of points to itself, with Schoenflies' name."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import KDTree

from nnbook.arrays import Array, check_values, positive


@dataclass(frozen=True, eq=False)
class PointGroup:
    """A finite group of orthogonal matrices.

    Attributes:
        name: Schoenflies' symbol, for groups that contain the inversion; in two dimensions
            dihedral or cyclic.
        matrices: its elements, ``(order, dim, dim)``.
    """

    name: str
    matrices: Array = field(repr=False)

    @property
    def order(self) -> int:
        """Number of elements."""
        return len(self.matrices)

    def __repr__(self) -> str:
        return f"{self.name} of order {self.order}"


def point_group(points: Array, *, tolerance: float = 1e-5) -> PointGroup:
    """The symmetry of points that come in opposite pairs.

    A symmetry is fixed by where it sends a few independent points: all images with the right lengths and
    angles are tried.

    Args:
        points: ``(n, dim)`` in two or three dimensions, with ``-x`` for each ``x``.
        tolerance: by how much an image may miss its point, in units of the largest distance from the origin.

    Raises:
        ValueError: points that do not span the space or have no opposite.

    >>> cube = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1.0, 1)])
    >>> point_group(cube)
    Oh of order 48
    """
    check_values("points", points, ("n", "dim"))
    positive("tolerance", tolerance)
    if not points.any():
        raise ValueError("points: got none away from the origin, expected some that span the space")
    points, reach = points / np.linalg.norm(points, axis=1).max(), tolerance
    tree = KDTree(points)
    if tree.query(-points)[0].max() > reach:
        raise ValueError("points: got points without opposites, expected -x for each x")
    frame = _frame(points)
    targets: list[tuple[int, ...]] = [()]
    for k in range(len(frame)):
        inner = points[frame[: k + 1]] @ points[frame[k]]
        targets = [
            (*image, int(j))
            for image in targets
            for j in np.flatnonzero(
                np.abs(points[[*image]] @ points.T - inner[:-1, None]).max(0, initial=0) < 4 * reach
            )
            if abs(points[j] @ points[j] - inner[-1]) < 4 * reach
        ]
    inverse = np.linalg.inv(points[frame].T)
    maps = np.array([points[list(image)].T @ inverse for image in targets])
    good = [m for m in maps if tree.query(points @ m.T)[0].max() < reach]
    matrices: list[Array] = []
    for m in map(_nearest_orthogonal, good):  # points that nearly coincide give an element more than once
        if all(np.abs(m - known).max() > 0.01 for known in matrices):
            matrices.append(m)
    return PointGroup(_name(np.array(matrices)), np.array(matrices))


def _frame(points: Array) -> list[int]:
    """Independent points, the first the one farthest from the origin."""
    chosen: list[int] = []
    rest = points.copy()
    for _ in range(points.shape[1]):
        far = int(np.argmax(np.round((rest**2).sum(1), 6)))
        size = np.linalg.norm(rest[far])
        if size < 1e-9:
            raise ValueError("points: got points in a plane or on a line, expected them to span the space")
        chosen.append(far)
        rest = rest - np.outer(rest @ rest[far], rest[far]) / size**2
    return chosen


def _nearest_orthogonal(matrix: Array) -> Array:
    left, _, right = np.linalg.svd(matrix)
    result: Array = left @ right
    return result


def _name(matrices: Array) -> str:
    """Schoenflies' symbol from the rotations: with the inversion, they make up the group."""
    if matrices.shape[1] == 2:
        mirrors = (np.linalg.det(matrices) < 0).any()
        return f"D{len(matrices) // 2}" if mirrors else f"C{len(matrices)}"
    rotations = matrices[np.linalg.det(matrices) > 0]
    angle = np.arccos(np.clip((np.trace(rotations, axis1=1, axis2=2) - 1) / 2, -1, 1))
    folds = [
        round(2 * np.pi / a)
        for a in angle
        if a > 1e-3 and np.isclose(2 * np.pi / a, round(2 * np.pi / a), atol=1e-2)
    ]
    order, fold = len(rotations), max(folds, default=1)
    if order in (12, 24, 60) and fold == {12: 3, 24: 4, 60: 5}[order]:
        return {12: "Th", 24: "Oh", 60: "Ih"}[order]
    if order == fold:  # one axis
        return "Ci" if fold == 1 else f"C{fold}h" if fold % 2 == 0 else f"S{2 * fold}"
    return f"D{fold}h" if fold % 2 == 0 else f"D{fold}d"

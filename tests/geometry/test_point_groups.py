"""Symmetry groups of points: solids with a known symmetry, and orbits of every kind of group."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from nnbook.geometry.point_groups import point_group

seeds = st.integers(0, 2**32 - 1)
GOLD = (1 + math.sqrt(5)) / 2


def signs(*point):
    """All changes of sign of a point's coordinates."""
    return np.array(list(itertools.product(*[sorted({c, -c}) for c in map(float, point)])))


def cyclic(*point):
    return np.concatenate([np.roll(signs(*point), k, axis=1) for k in range(3)])


def ring(count, height=0.0, shift=0.0):
    angle = 2 * np.pi * (np.arange(count) + shift) / count
    return np.column_stack([np.cos(angle), np.sin(angle), np.full(count, height)])


def opposite(points):
    return np.concatenate([points, -points])


POINTS = {
    "cube": (signs(1, 1, 1), "Oh", 48),
    "octahedron": (cyclic(1, 0, 0), "Oh", 48),
    "cuboctahedron": (cyclic(1, 1, 0), "Oh", 48),
    "icosahedron": (cyclic(0, 1, GOLD), "Ih", 120),
    "dodecahedron": (np.concatenate([signs(1, 1, 1), cyclic(0, 1 / GOLD, GOLD)]), "Ih", 120),
    "pyritohedron": (cyclic(1, 0.6, 0), "Th", 24),
    "square prism": (signs(1, 1, 0.7), "D4h", 16),
    "box": (signs(1, 2, 3), "D2h", 8),
    "hexagonal prism": (opposite(ring(6, 0.8)), "D6h", 24),
    "trigonal antiprism": (opposite(ring(3, 0.8)), "D3d", 12),
    "pentagonal antiprism": (opposite(ring(5, 0.8)), "D5d", 20),
    "parallelepiped": (signs(1, 1, 1) @ [[1, 0.2, 0.3], [0, 1.1, 0.5], [0, 0, 1.3]], "Ci", 2),
    "square": (signs(1, 1), "D4", 8),
    "rectangle": (signs(1, 2), "D2", 4),
    "hexagon": (ring(6)[:, :2], "D6", 12),
    "parallelogram": (opposite(np.array([[1.0, 0], [0.3, 1.7]])), "C2", 2),
    "pinwheel": (np.concatenate([s * ring(4, shift=t)[:, :2] for s, t in ((1, 0), (0.8, 0.2))]), "C4", 4),
}


def turn(fold, axis=(0, 0, 1)):
    axis, angle = np.array(axis) / np.linalg.norm(axis), 2 * np.pi / fold
    cross = np.cross(np.eye(3), axis)
    return np.eye(3) - math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross


# name, order, rotations that make it together with the inversion
GROUPS = [
    ("Ci", 2, []),
    ("C2h", 4, [turn(2)]),
    ("S6", 6, [turn(3)]),
    ("C4h", 8, [turn(4)]),
    ("S10", 10, [turn(5)]),
    ("C6h", 12, [turn(6)]),
    ("D2h", 8, [turn(2), turn(2, (1, 0, 0))]),
    ("D3d", 12, [turn(3), turn(2, (1, 0, 0))]),
    ("D4h", 16, [turn(4), turn(2, (1, 0, 0))]),
    ("D5d", 20, [turn(5), turn(2, (1, 0, 0))]),
    ("D6h", 24, [turn(6), turn(2, (1, 0, 0))]),
    ("D7d", 28, [turn(7), turn(2, (1, 0, 0))]),
    ("Th", 24, [turn(2), turn(3, (1, 1, 1))]),
    ("Oh", 48, [turn(4), turn(3, (1, 1, 1))]),
    ("Ih", 120, [turn(2), turn(3, (1, 1, 1)), turn(5, (0, 1, GOLD))]),
]


def generated(generators):
    """All products of matrices."""
    group = [np.eye(3)]
    for element in group:  # grows on the way
        for factor in [-np.eye(3), *generators]:
            product = element @ factor
            if min(np.abs(product - known).max() for known in group) > 1e-6:
                group.append(product)
    return np.array(group)


def same(one, other):
    """Whether two lists of matrices have the same members."""
    distance = np.abs(one[:, None] - other[None]).max((2, 3))
    return len(one) == len(other) and (distance.min(0) < 1e-4).all() and (distance.min(1) < 1e-4).all()


@pytest.mark.parametrize("name", POINTS)
def test_solids_and_polygons_have_their_symmetry(name):
    points, symbol, order = POINTS[name]
    group = point_group(points)
    assert (group.name, group.order) == (symbol, order)
    assert repr(group) == f"{symbol} of order {order}"


@pytest.mark.parametrize(("name", "order", "generators"), GROUPS, ids=[g[0] for g in GROUPS])
def test_orbits_have_the_group_that_made_them(name, order, generators):
    group = generated(generators)
    some = np.array([[1.0, 0.31, 0.53], [0.41, 0.83, -0.23], [-0.37, 0.19, 0.71]])
    found = point_group(np.concatenate([some @ g.T for g in group]))
    assert len(group) == order
    assert (found.name, found.order) == (name, order)
    assert same(found.matrices, group)


@pytest.mark.parametrize("name", POINTS)
def test_elements_are_a_group_that_maps_the_points_to_themselves(name):
    points = POINTS[name][0]
    matrices = point_group(points).matrices
    some = matrices[:: max(1, len(matrices) // 12)]
    products = (some[:, None] @ some[None]).reshape(-1, *matrices.shape[1:])
    assert (np.abs(products[:, None] - matrices[None]).max((2, 3)).min(1) < 1e-9).all()
    identity = np.eye(points.shape[1])
    np.testing.assert_allclose(matrices @ matrices.mT, np.broadcast_to(identity, matrices.shape), atol=1e-12)
    images = points @ some.mT
    distance = np.linalg.norm(images[:, :, None] - points[None, None], axis=3)
    assert distance.min(2).max() < 1e-9
    assert distance.min(1).max() < 1e-9


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from(sorted(POINTS)), st.sampled_from([1e-6, 1.0, 1e6]))
def test_answer_does_not_depend_on_rotation_order_scale_or_noise(seed, name, scale):
    points, symbol, order = POINTS[name]
    rng = np.random.default_rng(seed)
    turned = points @ ortho_group.rvs(points.shape[1], random_state=rng)
    half = turned[[k for k, x in enumerate(turned) if tuple(x) > tuple(-x)]]
    half = half + 1e-7 * rng.standard_normal(half.shape)
    group = point_group(scale * rng.permutation(opposite(half)))
    assert (group.name, group.order) == (symbol, order)


@pytest.mark.parametrize(("tolerance", "name"), [(1e-5, "D2h"), (0.1, "Oh")])
def test_tolerance_decides_about_a_box_that_is_nearly_a_cube(tolerance, name):
    assert point_group(signs(1, 1.01, 1.02), tolerance=tolerance).name == name


def test_points_given_twice_whole_numbers_and_the_origin_change_nothing():
    cube = POINTS["cube"][0]
    for points in (np.concatenate([cube, cube + 1e-9]), cube.astype(int), np.append(cube, [[0, 0, 0]], 0)):
        assert repr(point_group(points)) == "Oh of order 48"

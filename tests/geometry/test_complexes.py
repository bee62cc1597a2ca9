"""Polygonal complexes: Euler, Gauss and Bonnet, and exact cuts against brute-force sign vectors."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull

from nnbook.geometry.complexes import Complex, subdivide, united

SQUARE = Complex(np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]), ((0, 1, 2, 3),))
GOLD = (1 + math.sqrt(5)) / 2
SOLIDS = {
    "tetrahedron": [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]],
    "octahedron": [[s * (k == j) for k in range(3)] for j in range(3) for s in (1, -1)],
    "cube": list(itertools.product((-1, 1), repeat=3)),
    "icosahedron": [np.roll([0, s, t * GOLD], k) for s in (1, -1) for t in (1, -1) for k in range(3)],
}
seeds = st.integers(0, 2**32 - 1)


def hull(points):
    """The convex hull as triangles."""
    points = np.array(points, dtype=float)
    return Complex(points, tuple(map(tuple, ConvexHull(points).simplices.tolist())))


def torus(n=7, m=5):
    u, v = (w.ravel() for w in np.meshgrid(np.arange(n) * 2 * np.pi / n, np.arange(m) * 2 * np.pi / m))
    ring = 2 + 0.7 * np.cos(v)
    corner = lambda i, j: (j % m) * n + i % n  # noqa: E731
    faces = []
    for i, j in itertools.product(range(n), range(m)):
        a, b, c, d = corner(i, j), corner(i + 1, j), corner(i + 1, j + 1), corner(i, j + 1)
        faces += [(a, b, c), (a, c, d)]
    return Complex(np.column_stack([ring * np.cos(u), ring * np.sin(u), 0.7 * np.sin(v)]), tuple(faces))


def lines(count, seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((2, count)), 0.4 * rng.standard_normal(count)


@pytest.mark.parametrize("name", SOLIDS)
def test_corners_of_a_platonic_solid_share_its_curvature(name):
    solid = hull(SOLIDS[name])
    assert (solid.euler_characteristic, len(solid.boundary)) == (2, 0)
    assert solid.deficit_angles() == pytest.approx(4 * np.pi / len(solid.vertices), abs=1e-12)
    assert solid.area == pytest.approx(ConvexHull(solid.vertices).area)


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(4, 40))
def test_gauss_bonnet_does_not_care_for_the_shape(seed, count):
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((count, 3))
    convex, ring = hull(points / np.linalg.norm(points, axis=1, keepdims=True)), torus()
    crumpled = Complex(ring.vertices + 0.1 * rng.standard_normal(ring.vertices.shape), ring.faces)
    assert (convex.deficit_angles() > -1e-9).all()
    for solid, characteristic in ((convex, 2), (crumpled, 0)):
        assert solid.euler_characteristic == characteristic
        assert solid.deficit_angles().sum() == pytest.approx(2 * np.pi * characteristic, abs=1e-9)


def test_a_disc_and_a_ring_have_a_boundary():
    grid = subdivide(SQUARE, [lambda p: np.concatenate([p - 0.3, p + 0.3], 1)])
    middles = np.array([grid.vertices[list(face)].mean(0) for face in grid.faces])
    hole = int(np.abs(middles).sum(1).argmin())
    ring = Complex(grid.vertices, tuple(f for k, f in enumerate(grid.faces) if k != hole))
    heights = np.random.default_rng(1).standard_normal(len(grid.vertices))
    for flat, characteristic in ((grid, 1), (ring, 0)):
        # triangles stay flat when their corners move
        fans = tuple(map(tuple, flat.triangles.tolist()))
        bumpy = Complex(np.column_stack([flat.vertices, heights]), fans)
        assert bumpy.euler_characteristic == characteristic
        assert bumpy.deficit_angles().sum() == pytest.approx(2 * np.pi * characteristic, abs=1e-10)


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(1, 12))
def test_cells_are_the_sign_vectors(seed, count):
    w, b = lines(count, seed)
    cells = subdivide(SQUARE, [lambda p: p @ w + b])
    middles = np.array([cells.vertices[list(face)].mean(0) for face in cells.faces])
    signs = {tuple(row) for row in np.sign(middles @ w + b)}
    assert len(signs) == len(cells.faces)
    sample = np.random.default_rng(seed).uniform(-1, 1, (3000, 2))
    assert {tuple(row) for row in np.sign(sample @ w + b)} <= signs
    assert cells.area == pytest.approx(4, abs=1e-10)
    assert cells.euler_characteristic == 1


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(1, 10))
def test_generic_lines_give_the_number_of_zaslavsky(seed, count):
    w, b = lines(count, seed)
    pairs = [np.linalg.solve(w[:, [i, j]].T, -b[[i, j]]) for i, j in itertools.combinations(range(count), 2)]
    far = 2 * max([1.0, *(float(np.abs(p).max()) for p in pairs), *np.abs(b) / np.linalg.norm(w, axis=0)])
    cells = subdivide(Complex(far * SQUARE.vertices, SQUARE.faces), [lambda p: p @ w + b])
    assert len(cells.faces) == 1 + count + math.comb(count, 2)


def test_cuts_that_meet_are_counted_once():
    angles = np.pi * np.arange(5) / 5
    assert len(subdivide(SQUARE, [lambda p: p @ [np.cos(angles), np.sin(angles)]]).faces) == 10
    halves = subdivide(SQUARE, [lambda p: p[:, :1]])
    assert repr(subdivide(halves, [lambda p: p[:, :1]])) == repr(halves) == "Complex(V = 6, E = 7, F = 2)"


def test_a_piece_with_a_hole_stays_in_its_parts():
    grid = subdivide(SQUARE, [lambda p: np.concatenate([p - 1 / 3, p + 1 / 3], axis=1)])
    centre = np.array([np.abs(grid.vertices[list(face)].mean(0)).max() < 0.1 for face in grid.faces])
    assert (len(grid.faces), centre.sum()) == (9, 1)
    assert len(united(grid, np.outer(centre, [1.0, 0])).faces) == 9
    assert len(united(grid, np.zeros((9, 2))).faces) == 1


@pytest.mark.parametrize("n", [3, 4, 6, 9])
def test_planes_through_the_origin(n):
    w = np.random.default_rng(n).standard_normal((3, n - 3))
    cells = subdivide(hull(SOLIDS["octahedron"]), [lambda p: p @ w], directions=True)
    assert (len(cells.vertices), len(cells.edges), len(cells.faces)) == (
        n * (n - 1),
        2 * n * (n - 1),
        n * n - n + 2,
    )
    assert np.linalg.norm(cells.vertices, axis=1) == pytest.approx(1)

"""Polygonal complexes: Euler, Gauss and Bonnet, and exact cuts against brute-force sign vectors."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull

from nnbook.geometry.complexes import Complex, subdivide

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
    return Complex(points, tuple(tuple(int(v) for v in face) for face in ConvexHull(points).simplices))


def torus(major=2.0, minor=0.7, n=7, m=5):
    """Quadrilaterals on a torus; not flat, yet each has four angles."""
    u, v = np.meshgrid(2 * np.pi * np.arange(n) / n, 2 * np.pi * np.arange(m) / m, indexing="ij")
    ring = major + minor * np.cos(v)
    points = np.stack([ring * np.cos(u), ring * np.sin(u), minor * np.sin(v)], -1).reshape(-1, 3)
    corner = lambda i, j: (i % n) * m + j % m  # noqa: E731
    triangles = []
    for i, j in itertools.product(range(n), range(m)):
        a, b, c, d = corner(i, j), corner(i + 1, j), corner(i + 1, j + 1), corner(i, j + 1)
        triangles += [(a, b, c), (a, c, d)]
    return Complex(points, tuple(triangles))


def lines(count, seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((2, count)), 0.4 * rng.standard_normal(count)


@pytest.mark.parametrize("name", SOLIDS)
def test_platonic_solids(name):
    solid = hull(SOLIDS[name])
    deficits = solid.deficit_angles()
    assert solid.euler_characteristic == 2
    assert len(solid.boundary) == 0
    assert np.ptp(deficits) < 1e-12
    assert deficits.sum() == pytest.approx(4 * np.pi, abs=1e-12)


def test_area_of_a_cube():
    assert hull(SOLIDS["cube"]).area == pytest.approx(24)
    assert SQUARE.area == 4


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(4, 40))
def test_gauss_bonnet_on_a_random_convex_solid(seed, count):
    points = np.random.default_rng(seed).standard_normal((count, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    solid = hull(points)
    assert solid.deficit_angles().sum() == pytest.approx(4 * np.pi, abs=1e-9)
    assert (solid.deficit_angles() > -1e-9).all()


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_gauss_bonnet_does_not_care_for_the_shape(seed):
    noise = np.random.default_rng(seed).standard_normal
    ring = torus()
    crumpled = Complex(ring.vertices + 0.1 * noise(ring.vertices.shape), ring.faces)
    assert ring.euler_characteristic == 0
    assert crumpled.deficit_angles().sum() == pytest.approx(0, abs=1e-10)


def test_a_disc_and_a_ring_have_a_boundary():
    grid = subdivide(SQUARE, [lambda p: np.concatenate([p - 0.3, p + 0.3], 1)])
    rng = np.random.default_rng(1)
    flat_middle = np.array([grid.vertices[list(face)].mean(0) for face in grid.faces])
    hole = int(np.abs(flat_middle).sum(1).argmin())
    ring = Complex(grid.vertices, tuple(f for k, f in enumerate(grid.faces) if k != hole))
    for flat, characteristic in ((grid, 1), (ring, 0)):
        # triangles stay flat when their corners move
        fans = tuple((f[0], f[k], f[k + 1]) for f in flat.faces for k in range(1, len(f) - 1))
        bumpy = Complex(np.column_stack([flat.vertices, rng.standard_normal(len(flat.vertices))]), fans)
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


def test_lines_through_one_point_give_fewer():
    angles = np.pi * np.arange(5) / 5
    w = np.stack([np.cos(angles), np.sin(angles)])
    assert len(subdivide(SQUARE, [lambda p: p @ w]).faces) == 10


def test_a_cut_along_an_edge_changes_nothing():
    halves = subdivide(SQUARE, [lambda p: p[:, :1]])
    assert repr(subdivide(halves, [lambda p: p[:, :1]])) == repr(halves) == "Complex(V = 6, E = 7, F = 2)"


@pytest.mark.parametrize("planes", [3, 4, 6, 9])
def test_planes_through_the_origin(planes):
    octahedron = hull(SOLIDS["octahedron"])
    w = np.random.default_rng(planes).standard_normal((3, planes - 3))
    cells = subdivide(octahedron, [lambda p: p @ w], directions=True)
    n = planes
    assert (len(cells.vertices), len(cells.edges)) == (n * (n - 1), 2 * n * (n - 1))
    assert len(cells.faces) == n * n - n + 2
    assert np.linalg.norm(cells.vertices, axis=1) == pytest.approx(1)


@pytest.mark.parametrize(
    ("vertices", "faces", "message"),
    [
        (np.zeros((3, 4)), ((0, 1, 2),), r"vertices: got shape \(3, 4\), expected"),
        (np.zeros((3, 2)), ((0, 1),), r"faces: got \(0, 1\), expected at least three"),
        (np.zeros((3, 2)), ((0, 1, 3),), "expected at least three rows of the 3 vertices"),
    ],
)
def test_bad_input(vertices, faces, message):
    with pytest.raises(ValueError, match=message):
        Complex(vertices, faces)

"""Level sets as polytopes: closed forms, counts of arrangements, zonotopes, hulls, symmetry, files."""

import itertools
import math

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull, KDTree

from nnbook.geometry.level_sets import mesh, polytope
from nnbook.geometry.network import PolytopeNet, even_points, random_points
from nnbook.networks import assign

seeds = st.integers(0, 2**32 - 1)


def net_of(dim, widths, powers=None, seed=1):
    powers = (1.0,) * len(widths) if powers is None else powers
    return PolytopeNet(dim, widths, powers, generator=torch.Generator().manual_seed(seed))


def with_weights(*weights, powers=None):
    weights = [np.array(w, dtype=float) for w in weights]
    net = net_of(weights[0].shape[1], tuple(len(w) for w in weights), powers)
    assign(net, torch.as_tensor(np.concatenate([w.ravel() for w in weights])))
    return net


def weights_of(net):
    return net.weights[0].detach().numpy()


def values(net, x):
    return net(torch.as_tensor(x)).detach().numpy()


def round_body(units):
    """The weights of (n; 1) that training finds, up to their lengths: axes of a cube or an icosahedron."""
    axes, diagonals = np.eye(3), np.array([[1, 1, 1], [1, 1, -1], [1, -1, 1], [-1, 1, 1]]) / 3**0.5
    gold = (1 + math.sqrt(5)) / 2
    fivefold = np.array([np.roll([0, 1, s * gold], k) for s in (1, -1) for k in range(3)])
    return with_weights({3: axes, 4: diagonals, 6: fivefold, 7: np.concatenate([axes, diagonals])}[units])


def dented():
    """A body of two layers that is not convex."""
    return net_of(3, (4, 4), seed=0)


def same_points(one, other, within=1e-8):
    near, far = KDTree(one).query(other)[0], KDTree(other).query(one)[0]
    return len(one) == len(other) and max(near.max(), far.max()) < within


def sums_of_signs(weights):
    return np.array(list(itertools.product((-1, 1), repeat=len(weights)))) @ weights


def is_a_closed_surface(shape):
    surface = shape.surface
    centres = np.array([surface.vertices[list(face)].mean(0) for face in surface.faces])
    assert {len(faces) for faces in surface.sides.values()} == {2}
    assert surface.euler_characteristic == 2
    assert surface.deficit_angles().sum() == pytest.approx(4 * np.pi, abs=1e-7)
    assert ((surface.normals * centres).sum(1) > 0).all()
    np.testing.assert_allclose(surface.normals.sum(0), 0, atol=1e-9 * surface.area)


# Closed forms


@pytest.mark.parametrize("a", [0.5, 2.0])
def test_octahedron(a):
    shape = polytope(with_weights(a * np.eye(3)))
    assert same_points(shape.vertices, np.concatenate([np.eye(3), -np.eye(3)]) / a)
    assert shape.volume == pytest.approx(4 / 3 / a**3)
    assert shape.area == pytest.approx(4 * math.sqrt(3) / a**2)
    assert same_points(shape.planes, sums_of_signs(a * np.eye(3)))
    assert repr(shape) == "Polyhedron: V = 6, E = 12, F = 8, symmetry Oh of order 48"


def test_square():
    shape = polytope(with_weights(2 * np.eye(2)))
    assert same_points(shape.vertices, [[0.5, 0], [0, 0.5], [-0.5, 0], [0, -0.5]])
    assert (shape.volume, shape.area) == (pytest.approx(0.5), pytest.approx(2 * math.sqrt(2)))
    assert repr(shape) == "Polygon: V = 4, E = 4, symmetry D4 of order 8"


@settings(max_examples=15, deadline=None)
@given(seeds, st.sampled_from([2, 3]))
def test_as_many_units_as_dimensions_make_a_skew_octahedron(seed, dim):
    net = net_of(dim, (dim,), seed=seed)
    shape, corners = polytope(net), np.linalg.inv(weights_of(net)).T
    reach = np.abs(corners).max()
    assert same_points(shape.vertices, np.concatenate([corners, -corners]), 1e-9 * reach)
    expected = 2**dim / math.factorial(dim) / abs(np.linalg.det(weights_of(net)))
    assert shape.volume == pytest.approx(expected, rel=1e-9)


def test_weights_that_are_all_parallel_to_three_axes_make_an_octahedron():
    net = with_weights([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0], [0, 2, 0], [0, 0, 3.0]])
    shape = polytope(net)
    assert shape.counts == (6, 12, 8)
    assert shape.volume == pytest.approx(8 / (6 * 2 * 3 * 4))


# Counts


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(3, 8))
def test_planes_in_general_position_have_known_counts(seed, n):
    shape = polytope(net_of(3, (n,), seed=seed), tolerance=1e-12)
    assert shape.counts == (n * (n - 1), 2 * n * (n - 1), n * n - n + 2)
    assert shape.convex


@pytest.mark.parametrize(
    ("gap", "counts"),
    [(0, (16, 34, 20)), (1e-8, (16, 34, 20)), (3e-7, (16, 34, 20)), (1e-5, (20, 40, 22)), (1, (20, 40, 22))],
)
def test_planes_that_nearly_share_a_line_share_it(gap, counts):
    shape = polytope(with_weights([[1, 0, 0], [0, 1, 0], [1, 1, gap], [0.3, 0.4, 1], [-1, 0.5, 0.7]]))
    assert shape.counts == counts
    assert shape.convex
    assert shape.dual.counts == counts[::-1]
    is_a_closed_surface(shape)


def test_vertices_that_were_merged_leave_it_convex():
    """The seed makes two triples of planes that nearly share a line."""
    shape = polytope(net_of(3, (8,), seed=326))
    assert shape.counts == (52, 106, 56)
    assert shape.convex


@pytest.mark.parametrize("dim", [2, 3])
@settings(max_examples=10, deadline=None)
@given(seeds)
def test_a_unit_that_nothing_reads_makes_no_facet(dim, seed):
    generator = np.random.default_rng(seed)
    first, second = generator.standard_normal((5, dim)), generator.standard_normal((3, 5))
    second[:, 4] = 0
    whole, pruned = polytope(with_weights(first, second)), polytope(with_weights(first[:4], second[:, :4]))
    assert whole.counts == pruned.counts
    assert whole.volume == pytest.approx(pruned.volume)
    if dim == 3:
        is_a_closed_surface(whole)


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(2, 9))
def test_a_layer_of_n_units_makes_2n_sides(seed, n):
    shape = polytope(net_of(2, (n,), seed=seed), tolerance=1e-12)
    assert shape.counts == (2 * n, 2 * n)
    assert shape.convex


@pytest.mark.parametrize("dim", [4, 5])
def test_slice_has_the_counts_of_its_units(dim):
    basis = np.linalg.qr(np.random.default_rng(dim).standard_normal((dim, 3)))[0]
    net = net_of(dim, (8,))
    shape = polytope(net.slice(basis))
    assert shape.counts == (56, 112, 58)
    np.testing.assert_allclose(values(net, shape.vertices @ basis.T), 1, atol=1e-9)


@pytest.mark.parametrize(
    ("units", "counts", "sizes", "symmetry"),
    [
        (3, (6, 12, 8), {3: 8}, "Oh of order 48"),  # octahedron and cube
        (4, (12, 24, 14), {3: 8, 4: 6}, "Oh of order 48"),  # cuboctahedron and rhombic dodecahedron
        (6, (30, 60, 32), {3: 20, 5: 12}, "Ih of order 120"),  # icosidodecahedron, rhombic triacontahedron
        (7, (18, 48, 32), {3: 32}, "Oh of order 48"),  # three axes, four diagonals: planes share vertices
    ],
)
def test_round_bodies_are_the_symmetric_ones(units, counts, sizes, symmetry):
    shape = polytope(round_body(units))
    facets = [len(facet) for facet in shape.facets]
    assert {size: facets.count(size) for size in set(facets)} == sizes
    for body, expected in ((shape, counts), (shape.dual, counts[::-1])):
        assert body.counts == expected
        assert repr(body.symmetry) == symmetry
        is_a_closed_surface(body)


# The surface


def check_facets(net, shape):
    rng = np.random.default_rng(1)
    np.testing.assert_allclose(values(net, shape.vertices), 1, atol=1e-9)
    for facet, plane in zip(shape.facets, shape.planes, strict=True):
        corners = shape.vertices[list(facet)]
        np.testing.assert_allclose(corners @ plane, 1, atol=1e-6)
        inside = rng.dirichlet(np.ones(len(facet)), 4) @ corners
        np.testing.assert_allclose(values(net, inside), 1, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(seeds, st.sampled_from([(3,), (5,), (7,), (4, 4), (5, 3), (3, 3, 3), (3, 4)]))
def test_network_is_one_on_every_facet(seed, widths):
    net = net_of(3, widths, seed=seed)
    shape = polytope(net)
    check_facets(net, shape)
    is_a_closed_surface(shape)
    assert same_points(shape.vertices, -shape.vertices, 1e-8 * np.abs(shape.vertices).max())


@settings(max_examples=12, deadline=None)
@given(seeds, st.sampled_from([(3,), (5, 3), (3, 4), (4, 2, 3)]))
def test_polygon_is_where_the_network_is_one(seed, widths):
    net = net_of(2, widths, seed=seed)
    shape = polytope(net)
    check_facets(net, shape)
    angle = np.arctan2(shape.vertices[:, 1], shape.vertices[:, 0])
    turns = np.mod(np.roll(angle, -1) - angle, 2 * np.pi)
    assert turns.sum() == pytest.approx(2 * np.pi)
    assert shape.edges.tolist() == [list(f) for f in shape.facets]


@pytest.mark.parametrize(("dim", "widths"), [(2, (4, 3)), (3, (5,)), (3, (4, 4))])
def test_volume_is_the_integral_over_directions(dim, widths):
    net = net_of(dim, widths, seed=0)
    radius = 1 / values(net, even_points(100_000, dim))
    ball = {2: np.pi, 3: 4 / 3 * np.pi}[dim]
    assert polytope(net).volume == pytest.approx(ball * (radius**dim).mean(), rel=2e-3)


@settings(max_examples=10, deadline=None)
@given(seeds, st.integers(3, 7), st.sampled_from([2, 3]))
def test_volume_and_area_are_those_of_the_hull(seed, n, dim):
    shape = polytope(net_of(dim, (n,), seed=seed))
    hull = ConvexHull(shape.vertices)
    assert len(hull.vertices) == len(shape.vertices)
    assert shape.volume == pytest.approx(hull.volume, rel=1e-9)
    assert shape.area == pytest.approx(hull.area, rel=1e-9)


@pytest.mark.parametrize("widths", [(3,), (6,), (4, 4), (3, 3, 3)])
def test_volume_and_area_are_those_of_another_library(widths):
    shape = polytope(net_of(3, widths, seed=3))
    solid, scale = shape.solid(size=60), 60 / np.ptp(shape.vertices, axis=0).max()
    assert solid.is_watertight
    assert solid.is_winding_consistent
    assert solid.volume == pytest.approx(shape.volume * scale**3)
    assert solid.area == pytest.approx(shape.area * scale**2)
    assert solid.euler_number == 2
    assert solid.is_convex or not shape.convex


def test_deeper_networks_need_not_be_convex():
    assert not polytope(dented()).convex
    assert not polytope(net_of(2, (4, 4))).convex


@settings(max_examples=10, deadline=None)
@given(seeds, st.sampled_from([(2, (3, 3)), (3, (4, 3))]))
def test_positive_weights_behind_the_first_layer_keep_it_convex(seed, kind):
    net = net_of(*kind, seed=seed)
    with torch.no_grad():
        net.weights[1].abs_()
    total = net.weights[1].sum(0)[:, None] * net.weights[0]
    shape, single = polytope(net), polytope(with_weights(total.detach().numpy()))
    assert shape.convex
    assert same_points(shape.vertices, single.vertices, 1e-7 * np.abs(single.vertices).max())


# Duality


@settings(max_examples=15, deadline=None)
@given(seeds, st.integers(3, 7), st.sampled_from([2, 3]))
def test_dual_is_the_zonotope_of_the_weights(seed, n, dim):
    net = net_of(dim, (n,), seed=seed)
    w, dual = weights_of(net), polytope(net).dual
    sums = sums_of_signs(w)
    assert KDTree(sums).query(dual.vertices)[0].max() < 1e-7
    assert len(dual.vertices) == len(ConvexHull(sums).vertices)
    minors = [abs(np.linalg.det(w[list(rows)])) for rows in itertools.combinations(range(n), dim)]
    assert dual.volume == pytest.approx(2**dim * sum(minors), rel=1e-8)
    x = random_points(50, dim).numpy()
    np.testing.assert_allclose(values(net, x), (x @ dual.vertices.T).max(1), atol=1e-8)


@settings(max_examples=15, deadline=None)
@given(seeds, st.integers(3, 7), st.sampled_from([2, 3]))
def test_dual_of_the_dual_is_the_polytope(seed, n, dim):
    shape = polytope(net_of(dim, (n,), seed=seed))
    dual = shape.dual
    assert dual.counts == shape.counts[::-1]
    assert dual.convex
    again, reach = dual.dual, np.abs(shape.vertices).max()
    assert again.counts == shape.counts
    assert same_points(again.vertices, shape.vertices, 1e-6 * reach)
    assert again.volume == pytest.approx(shape.volume, rel=1e-6)
    if dim == 3:
        is_a_closed_surface(dual)


def test_dual_of_the_octahedron_is_the_cube():
    cube = polytope(with_weights(np.eye(3))).dual
    assert same_points(cube.vertices, list(itertools.product((-1, 1), repeat=3)))
    assert (cube.volume, cube.area) == (pytest.approx(8), pytest.approx(24))


# Meshes of curved level sets


def test_mesh_of_squares_is_the_sphere():
    net = with_weights(np.eye(3), powers=(2.0,))
    error = []
    for refine in (2, 3, 4):
        ball = mesh(net, refine=refine)
        np.testing.assert_allclose(np.linalg.norm(ball.vertices, axis=1), 1, atol=1e-12)
        error.append(4 * np.pi - ball.area)
    assert 3.7 < error[0] / error[1] < 4.3
    assert 3.7 < error[1] / error[2] < 4.3
    assert 0 < error[2] < 0.05


def test_mesh_of_absolute_values_is_the_polytope():
    net = net_of(3, (5,))
    fine, exact = mesh(net, refine=2), polytope(net)
    assert fine.area == pytest.approx(exact.area, rel=1e-9)
    assert trimesh.Trimesh(fine.vertices, fine.faces).volume == pytest.approx(exact.volume, rel=1e-9)


@pytest.mark.parametrize(("power", "error"), [(0.6, 0.05), (1.5, 0.01), (3.0, 0.005), (8.0, 0.01)])
def test_mesh_of_a_ball_of_the_power_norm_has_its_volume(power, error):
    ball = mesh(with_weights(np.eye(3), powers=(power,)), refine=5)
    expected = (2 * math.gamma(1 / power + 1)) ** 3 / math.gamma(3 / power + 1)
    solid = trimesh.Trimesh(ball.vertices, ball.faces)
    assert solid.is_watertight
    assert solid.volume == pytest.approx(expected, rel=error)
    np.testing.assert_allclose((np.abs(ball.vertices) ** power).sum(1), 1, atol=1e-4)


@pytest.mark.parametrize(("widths", "powers"), [((4,), (0.6,)), ((5, 3), (2.0, 0.7)), ((4, 4), (1.0, 1.0))])
@pytest.mark.parametrize("refine", [0, 2])
def test_mesh_is_a_closed_surface_where_the_network_is_one(widths, powers, refine):
    net = net_of(3, widths, powers)
    surface = mesh(net, refine=refine)
    np.testing.assert_allclose(values(net, surface.vertices), 1, rtol=1e-4)  # p < 1 is cut off at kinks
    assert surface.euler_characteristic == 2
    assert len(surface.boundary) == 0
    assert surface.deficit_angles().sum() == pytest.approx(4 * np.pi, abs=1e-7)
    assert trimesh.Trimesh(surface.vertices, surface.faces).volume > 0


# Files


@pytest.mark.parametrize("ending", [".stl", ".obj"])
@pytest.mark.parametrize("net", [lambda: round_body(6), dented])
def test_exported_solid_can_be_printed(tmp_path, net, ending):
    shape = polytope(net())
    path = shape.export(str(tmp_path / f"solid{ending}"), size=25)
    assert path == tmp_path / f"solid{ending}"
    solid = trimesh.load_mesh(path)
    assert solid.is_watertight
    assert solid.is_winding_consistent
    scale = 25 / np.ptp(shape.vertices, axis=0).max()
    assert solid.extents.max() == pytest.approx(25, rel=1e-5)
    assert solid.volume == pytest.approx(shape.volume * scale**3, rel=1e-4)


@pytest.mark.parametrize("turn", [0.0, 0.3, 0.7])
@pytest.mark.parametrize(
    ("call", "second"), [(polytope, [3, -1]), (polytope, [3, -1, 0.3]), (mesh, [1, -1, 0]), (mesh, [0, 0, 1])]
)
def test_unbounded_level_set_is_refused(call, second, turn):
    """The second layer's unit vanishes along lines; after a rotation only up to rounding."""
    rotation = np.eye(len(second))
    rotation[:2, :2] = [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
    with pytest.raises(ValueError, match="net: got f = 0 along a direction, where the level set is"):
        call(with_weights(rotation, [second]))

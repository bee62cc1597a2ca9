"""Linear regions against brute force, Scherk's surface against quadrature, and what training reaches."""

import itertools
import math
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import dblquad

import nnbook
from nnbook.discrete_geometry import (
    Scherk,
    WithSlope,
    fit_surface,
    gauss_points,
    graph,
    heights,
    kinks,
    layers_of,
    linear_regions,
    minimal_surface,
    random_surface,
    region_bound,
    relu_copy,
    slopes,
    softplus_gap,
    square,
    unrolled,
)
from nnbook.geometry.complexes import Complex
from nnbook.lattice_qm import WaveFunction
from nnbook.networks import MLP, as_function, assign, flatten
from nnbook.train.gauss_newton import ConvexLoss

seeds = st.integers(0, 2**32 - 1)
INNER = [0.35953, 2.5821, -0.65170, 0.15421, 3.9226, 0.033213, 2.9574, 2.2016]
PRINTED = [*INNER, 2.4069, -1.8344, -1.9778, 2.3484, -4.8998]


@pytest.fixture(autouse=True, scope="module")
def _as_in_a_chapter():
    nnbook.start(seed=1, device="cpu", quiet=True)


def surface(hidden, seed, activation="relu"):
    return random_surface(1.0, hidden, activation, torch.Generator().manual_seed(seed))


def sample(count, seed=1, half_width=1.0):
    return np.random.default_rng(seed).uniform(-half_width, half_width, (count, 2))


def patterns(network, points):
    return [tuple(row) for row in np.concatenate([f(points) > 0 for f in layers_of(network)], 1)]


def middles(cells):
    return np.array([cells.vertices[list(face)].mean(0) for face in cells.faces])


def printed():
    wave = WaveFunction((4,))
    assign(wave, torch.tensor(PRINTED, dtype=torch.float64))
    return wave


@cache
def learned(activation):
    return fit_surface(Scherk(1.0).height, 1.0, activation=activation, starts=2, points=12, steps=40)


@cache
def spanned(rounds):
    return minimal_surface(Scherk(1.0).height, 1.0, starts=2, points=14, steps=30, rounds=rounds)


# --- the ReLU copy and its regions


def test_kinks_of_the_printed_wave_function():
    hidden = unrolled(printed().mlp, activation="relu")
    assert kinks(hidden, -20, 20) == pytest.approx([-14.2766, -10.9104, -0.0128628, 4.53798], rel=1e-5)
    assert kinks(hidden, -5, 5) == pytest.approx([-0.0128628, 4.53798], rel=1e-5)


def test_between_kinks_the_network_is_straight():
    network = relu_copy(printed())
    ends = np.array([-20, *kinks(network, -20, 20), 20])
    at = lambda x: heights(network, np.atleast_2d(x).T)  # noqa: E731
    for left, right in itertools.pairwise(ends):
        t = np.linspace(0, 1, 7)
        line = (1 - t) * at(left) + t * at(right)
        assert at(left + t * (right - left)) == pytest.approx(line, abs=1e-11)
    assert len(ends) == 8  # four units, and the output bends where it leaves zero and returns


@settings(max_examples=15, deadline=None)
@given(seeds, st.sampled_from([(5,), (4, 4), (6, 3, 5), (3, 2, 6)]))
def test_regions_are_the_activation_patterns(seed, hidden):
    network = surface(hidden, seed)
    regions = linear_regions(network, square(1.0))
    found = patterns(network, middles(regions.cells))
    assert len(set(found)) == len(found) == regions.count
    assert set(patterns(network, sample(4000, seed))) <= set(found)
    assert regions.pieces <= regions.count <= region_bound(2, hidden)
    assert regions.cells.area == pytest.approx(4, abs=1e-9)
    assert regions.cells.euler_characteristic == regions.surface.euler_characteristic == 1
    assert regions.surface.deficit_angles().sum() == pytest.approx(2 * np.pi, abs=1e-8)


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_the_surface_is_the_network(seed):
    network = surface((6, 5), seed)
    regions = linear_regions(network, square(1.0))
    faces = regions.surface.faces
    points = np.array([regions.surface.vertices[list(face)].mean(0) for face in faces])
    assert heights(network, points[:, :2]) == pytest.approx(points[:, 2], abs=1e-9)
    assert slopes(network, points[:, :2]) == pytest.approx(regions.gradients)
    flat = np.abs(regions.cells.normals[:, 2])
    assert regions.surface.area == pytest.approx(flat @ np.sqrt(1 + (regions.gradients**2).sum(1)))


@settings(max_examples=10, deadline=None)
@given(seeds, st.integers(1, 6))
def test_one_layer_reaches_the_bound(seed, units):
    network = surface((units,), seed)
    w, b = (p.detach().numpy() for p in network.linear()[0].parameters())
    crossings = [np.linalg.solve(w[[i, j]], -b[[i, j]]) for i, j in itertools.combinations(range(units), 2)]
    far = 2 * max([2.0, *(float(np.abs(c).max()) for c in crossings)])
    assert linear_regions(network, square(far)).count == region_bound(2, [units])


def test_region_bound_is_the_sum_of_binomials():
    assert region_bound(2, [7]) == 1 + 7 + 21
    assert region_bound(1, [5, 5]) == 36
    assert region_bound(2, [20, 20, 20]) == 211**3


def test_a_dead_unit_makes_no_piece():
    network = surface((4, 3), 3)
    with torch.no_grad():
        network.linear()[-1].weight.zero_()
    regions = linear_regions(network, square(1.0))
    assert regions.pieces == 1 < regions.count


@settings(max_examples=10, deadline=None)
@given(seeds, st.floats(0.5, 50))
def test_sharpness_is_a_matter_of_scale(seed, sharpness):
    network = surface((5, 4), seed, "softplus")
    first, second, last = network.linear()
    soft = lambda z: torch.nn.functional.softplus(z, beta=sharpness, threshold=1e9)  # noqa: E731
    x = sample(20, seed)
    direct = last(soft(second(soft(first(torch.as_tensor(x))))))[:, 0].detach().numpy()
    sharper = unrolled(network, sharpness=sharpness)
    assert heights(sharper, x) == pytest.approx(direct, abs=1e-9)
    relu = heights(relu_copy(network), x)
    assert np.abs(heights(sharper, x) - relu).max() <= softplus_gap(sharper) * (1 + 1e-12)
    assert softplus_gap(sharper) == pytest.approx(softplus_gap(network) / sharpness)
    assert heights(relu_copy(sharper), x) == pytest.approx(relu, abs=1e-9)


@pytest.mark.parametrize("signed", [False, True])
def test_a_wave_function_unrolls(signed):
    wave = WaveFunction((4, 3), inputs=2, signed=signed, generator=torch.Generator().manual_seed(1))
    x = sample(30)
    assert heights(unrolled(wave), x) == pytest.approx(wave(torch.as_tensor(x)).detach().numpy(), abs=1e-12)
    assert linear_regions(relu_copy(wave), square(1.0)).count > 1


@settings(max_examples=10, deadline=None)
@given(seeds, st.booleans())
def test_kink_density_sums_to_the_length_of_kinks(seed, weighted):
    regions = linear_regions(surface((6, 4), seed), square(1.0))
    edges, _, jump = regions.jumps
    start, end = (regions.cells.vertices[edges[:, k]] for k in (0, 1))
    length = np.linalg.norm(end - start, axis=1) * (jump if weighted else jump > 0)
    density = regions.kink_density(1.0, 5, weighted=weighted)
    assert density.sum() * 0.16 == pytest.approx(length.sum(), rel=1e-6)


def test_kink_density_of_one_line():
    network = MLP(2, (1,), activation="relu", dtype=torch.float64)
    assign(network, torch.tensor([1.0, 0.0, -0.1, 3.0, 0.0], dtype=torch.float64))  # 3 max(0, x - 0.1)
    regions = linear_regions(network, square(1.0))
    expected = np.zeros((4, 4))
    expected[2] = 0.5 / 0.25
    assert regions.kink_density(1.0, 4) == pytest.approx(expected)
    assert regions.kink_density(1.0, 4, weighted=True) == pytest.approx(3 * expected)


# --- Scherk's surface


@pytest.mark.parametrize(
    ("a", "area", "curvature"),
    [(1.0, 5.697512, -3.147065), (1.2, 9.949825, -4.210262), (1.4, 18.639249, -5.319376)],
)
def test_scherk_against_another_quadrature(a, area, curvature):
    scherk = Scherk(a)
    assert scherk.area == pytest.approx(area, abs=1e-6)
    assert scherk.total_curvature == pytest.approx(curvature, abs=1e-6)
    element = lambda y, x: math.sqrt(1 + math.tan(x) ** 2 + math.tan(y) ** 2)  # noqa: E731
    assert scherk.area == pytest.approx(4 * dblquad(element, 0, a, 0, a, epsabs=1e-10)[0], abs=1e-8)


def test_scherk_is_minimal_and_its_curvature_is_that_of_its_derivatives():
    scherk, p, h = Scherk(1.2), sample(50), 1e-4
    dx, dy = np.array([h, 0]), np.array([0, h])
    u = scherk.height
    ux, uy = ((u(p + d) - u(p - d)) / (2 * h) for d in (dx, dy))
    uxx, uyy = ((u(p + d) - 2 * u(p) + u(p - d)) / h**2 for d in (dx, dy))
    uxy = (u(p + dx + dy) - u(p + dx - dy) - u(p - dx + dy) + u(p - dx - dy)) / (4 * h**2)
    mean = (1 + uy**2) * uxx - 2 * ux * uy * uxy + (1 + ux**2) * uyy
    assert np.abs(mean).max() < 1e-5
    expected = (uxx * uyy - uxy**2) / (1 + ux**2 + uy**2) ** 2
    assert scherk.gaussian_curvature(p) == pytest.approx(expected, abs=1e-5)
    assert scherk.bending(p) == pytest.approx(np.sqrt(uxx**2 + 2 * uxy**2 + uyy**2), abs=1e-5)


def test_total_curvature_goes_to_minus_two_pi():
    assert Scherk(1.5).total_curvature == pytest.approx(-2 * np.pi, abs=0.45)
    assert Scherk(1.5).total_curvature < Scherk(1.4).total_curvature


def test_deficit_angles_of_a_fine_mesh_approach_the_curvature():
    def inner_sum(n):
        t = np.linspace(-1, 1, n + 1)
        p = np.stack(np.meshgrid(t, t, indexing="ij"), -1).reshape(-1, 2)
        corner = lambda i, j: i * (n + 1) + j  # noqa: E731
        quads = [
            (corner(i, j), corner(i + 1, j), corner(i + 1, j + 1), corner(i, j + 1))
            for i, j in itertools.product(range(n), range(n))
        ]
        faces = tuple(f for a, b, c, d in quads for f in ((a, b, c), (a, c, d)))
        mesh = Complex(np.column_stack([p, Scherk(1.0).height(p)]), faces)
        inside = np.abs(p).max(1) < 1 - 1e-9
        return mesh.deficit_angles()[inside].sum()

    coarse, fine = (abs(inner_sum(n) - Scherk(1.0).total_curvature) for n in (20, 40))
    assert fine < 0.13
    assert 1.8 < coarse / fine < 2.2  # of first order: half a cell along the boundary is left out


def test_gauss_points_integrate_polynomials():
    x, w = gauss_points(1.5, 4)
    assert w.sum() == pytest.approx(9)
    assert w @ (x[:, 0] ** 6 * x[:, 1] ** 2) == pytest.approx((2 * 1.5**7 / 7) * (2 * 1.5**3 / 3))


# --- training


def test_slopes_are_the_derivatives_of_heights():
    network, x, h = surface((5, 4), 2, "softplus"), sample(20), 1e-6
    for k, step in enumerate(h * np.eye(2)):
        difference = (heights(network, x + step) - heights(network, x - step)) / (2 * h)
        assert slopes(network, x)[:, k] == pytest.approx(difference, abs=1e-7)


def test_gradient_of_the_area_reaches_every_parameter():
    model = WithSlope(surface((4, 3), 1, "softplus"))
    x, w = (torch.as_tensor(a) for a in gauss_points(1.0, 8))
    density = lambda out, data: (1 + out[1:].square().sum()).sqrt() + out[0].square()  # noqa: E731
    loss = ConvexLoss(x, torch.zeros(len(x), 1, dtype=torch.float64), w, density)
    function, theta = as_function(model), flatten(model)
    expansion = loss.expand(function, theta)
    exact = torch.func.grad(lambda t: loss.value(function, t))(theta)
    torch.testing.assert_close(2 * expansion.gradient, exact)
    assert (exact.abs() > 1e-12).all()


def test_a_fit_learns_the_surface():
    smooth, flat = learned("softplus"), learned("relu")
    assert smooth.misfit < 2e-3
    assert smooth.area == pytest.approx(Scherk(1.0).area, abs=1e-2)
    assert flat.misfit < 0.2
    regions = flat.regions()
    assert regions.surface.area == flat.area
    inside = np.ones(len(regions.cells.vertices), dtype=bool)
    inside[regions.cells.boundary.ravel()] = False
    assert regions.surface.deficit_angles()[inside].sum() < -2


def test_least_area_from_the_boundary_alone():
    scherk = Scherk(1.0)
    assert spanned(3).area == pytest.approx(scherk.area, abs=2e-4)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 41)] * 2), -1).reshape(-1, 2)
    assert np.abs(heights(spanned(3).network, grid) - scherk.height(grid)).max() < 3e-3


def test_the_error_of_the_penalty_is_known():
    a, b = 1.0, 1e3
    t, w = np.polynomial.legendre.leggauss(60)
    pull = np.tan(a) ** 2 / (1 + np.tan(a) ** 2 + np.tan(t) ** 2)
    predicted = 4 * (w @ pull) / b
    assert Scherk(a).area - spanned(1).area == pytest.approx(predicted, rel=0.05)
    assert abs(Scherk(a).area - spanned(3).area) < 0.1 * predicted


def test_a_plane_is_least_over_a_flat_boundary():
    plane = lambda p: 0.5 * p[:, 0] - p[:, 1] + 0.3  # noqa: E731
    found = minimal_surface(plane, 1.0, hidden=(4,), starts=2, points=8, steps=30)
    assert found.area == pytest.approx(4 * math.sqrt(1 + 0.25 + 1), abs=1e-5)


def test_results_read_like_a_line():
    assert repr(Scherk(1.2)) == "Scherk(|x|, |y| < 1.2: area 9.949825, int K dA = -4.210262)"
    assert repr(learned("relu")).startswith("2-8-8-8-1 relu: area 5.")
    assert "activation regions" in repr(learned("relu").regions())


def test_the_same_seed_gives_the_same_surface():
    options = {"hidden": (4,), "steps": 5, "starts": 1, "points": 6}
    a, b = (fit_surface(Scherk(1.0).height, 1.0, seed=3, **options) for _ in range(2))
    assert torch.equal(flatten(a.network), flatten(b.network))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: square(-1), "half_width: got -1, expected a positive number"),
        (lambda: Scherk(1.6), "half_width: got 1.6, expected between 0 and pi/2"),
        (lambda: region_bound(2, []), r"widths: got \[\] with 2 inputs, expected one layer"),
        (lambda: unrolled(MLP(1, (2,)), sharpness=0), "sharpness: got 0, expected a positive number"),
        (lambda: relu_copy(MLP(1, (2,), activation="tanh")), "got tanh units, expected softplus or relu"),
        (lambda: linear_regions(MLP(2, (2,)), square(1)), "got softplus units, expected relu; relu_copy"),
        (
            lambda: linear_regions(MLP(3, (2,), activation="relu"), square(1)),
            "got 3 inputs and 1 outputs, expected 2 and 1",
        ),
        (lambda: kinks(MLP(2, (2,), activation="relu"), 0, 1), "got 2 coordinates, expected 1; use linear_"),
        (lambda: kinks(MLP(1, (2,), activation="relu"), 1, 1), "low: got 1, expected less than high = 1"),
        (lambda: fit_surface(Scherk().height, 1.2, starts=0), "starts: got 0, expected at least 1"),
        (lambda: fit_surface(Scherk().height, 1.2, points=0), "points: got 0, expected at least 1"),
        (lambda: fit_surface(Scherk().height, 1.2, activation="tanh"), "got tanh units"),
        (lambda: minimal_surface(Scherk().height, 1.2, penalty=-1), "penalty: got -1, expected a positive"),
        (lambda: minimal_surface(Scherk().height, 1.2, rounds=0), "rounds: got 0, expected at least 1"),
        (lambda: graph(MLP(1, (2,)), square(1)), "got 1 inputs and 1 outputs, expected 2 and 1"),
        (lambda: slopes(MLP(1, (2,)), np.ones((3, 1))), "got 1 inputs and 1 outputs, expected 2 and 1"),
        (lambda: WithSlope(MLP(2, (2,), activation="tanh")), "got tanh units, expected softplus or relu"),
        (lambda: heights(MLP(2, (2,)), np.ones(2)), r"points: got shape \(2,\), expected \(points, 2\)"),
        (lambda: softplus_gap(MLP(2, (2,), activation="relu")), "got relu units, expected softplus$"),
        (lambda: fit_surface(lambda p: p, 1.0), r"height: got values of shape \(256, 2\) at 256 points"),
        (lambda: minimal_surface(lambda p: p[:, :1], 1.0), r"boundary: got values of shape \(128, 1\)"),
        (lambda: minimal_surface(lambda p: np.zeros(3), 1.0), r"boundary: got values of shape \(3,\)"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("function", [layers_of, softplus_gap, lambda wave: linear_regions(wave, square(1))])
def test_a_wave_function_is_not_an_mlp(function):
    with pytest.raises(
        TypeError, match="network: got a WaveFunction, expected an MLP; unrolled and relu_copy"
    ):
        function(WaveFunction((4,), inputs=2))

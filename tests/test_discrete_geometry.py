"""Scherk's surface against quadrature and its derivatives, and what training reaches."""

import itertools
import math
from functools import cache, partial

import numpy as np
import pytest
import torch
from scipy.integrate import dblquad

from nnbook.discrete_geometry import (
    Scherk,
    WithSlope,
    fit_surface,
    gauss_points,
    heights,
    minimal_surface,
    random_surface,
)
from nnbook.geometry.complexes import Complex
from nnbook.networks import as_function, flatten
from nnbook.train.gauss_newton import ConvexLoss


def surface(hidden, seed, activation="relu"):
    return random_surface(1.0, hidden, activation, torch.Generator().manual_seed(seed))


def sample(count, seed=1):
    return np.random.default_rng(seed).uniform(-1, 1, (count, 2))


@cache
def learned(activation):
    return fit_surface(Scherk(1.0).height, 1.0, activation=activation, starts=2, points=12, steps=40)


@cache
def spanned(rounds):
    return minimal_surface(Scherk(1.0).height, 1.0, starts=2, points=14, steps=30, rounds=rounds)


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_chosen(dtype):
    options = {"hidden": (3,), "starts": 2, "points": 5, "steps": 3, "dtype": dtype}
    for found in (
        fit_surface(Scherk(1.0).height, 1.0, **options),
        minimal_surface(Scherk(1.0).height, 1.0, rounds=1, **options),
    ):
        assert {p.dtype for p in found.network.parameters()} == {dtype}


def test_everything_follows_its_inputs(elsewhere):
    options = {"hidden": (3,), "starts": 2, "points": 5, "steps": 2, "device": "cpu"}
    for train in (partial(fit_surface, Scherk(1.0).height), partial(minimal_surface, Scherk(1.0).height)):
        assert math.isfinite(train(1.0, **options).area)
    assert fit_surface(Scherk(1.0).height, 1.0, **options).regions().count >= 1


FIT, SPAN = partial(fit_surface, Scherk().height, 1.2), partial(minimal_surface, Scherk().height, 1.2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Scherk(1.6), "half_width: got 1.6, expected between 0 and pi/2"),
        (lambda: FIT(starts=0), "starts: got 0, expected .*at least 1"),
        (lambda: FIT(points=0), "points: got 0, expected .*at least 1"),
        (lambda: FIT(activation="tanh"), "got tanh units"),
        (lambda: SPAN(penalty=-1), "penalty: got -1, expected a finite number above 0"),
        (lambda: SPAN(rounds=0), "rounds: got 0, expected .*at least 1"),
        (lambda: fit_surface(lambda p: p, 1.0), r"height: got values of shape \(256, 2\) at 256 points"),
        (lambda: minimal_surface(lambda p: p[:, :1], 1.0), r"boundary: got values of shape \(128, 1\)"),
    ],
)
def test_errors_say_what_they_got_and_what_to_do(call, message):
    with pytest.raises(ValueError, match=message):
        call()

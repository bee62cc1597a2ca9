"""The mean of (f - 1)^2 on the sphere against closed forms, quadrature, large samples and differences."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from nnbook.geometry.level_sets import polytope
from nnbook.geometry.network import PolytopeNet, random_points
from nnbook.geometry.sphere import (
    exact_loss,
    facet_bound,
    kernel_loss,
    polish,
    polygon_loss,
    sample_loss,
    sphere_loss,
)
from nnbook.networks import assign, flatten

seeds = st.integers(0, 2**32 - 1)
POLYGONS = [
    (2, 9.459029e-3, 0.777969),
    (3, 1.758100e-3, 0.522678),
    (4, 5.440721e-4, 0.392485),
    (5, 2.205464e-4, 0.314090),
    (6, 1.057565e-4, 0.261772),
    (7, 5.688885e-5, 0.224387),
]


def generator(seed=1):
    return torch.Generator().manual_seed(seed)


def drawn(units, dim, seed=1):
    """Weights of a size that makes the loss of order one."""
    return np.random.default_rng(seed).standard_normal((units, dim)) / units


def layer(weights, power):
    net = PolytopeNet(weights.shape[1], (len(weights),), (power,))
    assign(net, torch.as_tensor(weights).flatten())
    return net


def deep(dim, widths, seed=1):
    return PolytopeNet(dim, widths, (1.0,) * len(widths), generator=generator(seed))


def added(dim, widths, seed):
    """A network with positive weights behind the first layer, and the one layer that it amounts to."""
    net = deep(dim, widths, seed)
    total = torch.ones(widths[-1], dtype=torch.float64)
    with torch.no_grad():
        for weight in list(net.weights)[:0:-1]:
            weight.abs_()
            total = total @ weight
    return net, (total[:, None] * net.weights[0]).detach().numpy()


def differences(loss, x, step=1e-5):
    """The gradient of a loss of many parameter vectors by central differences."""
    steps = step * torch.eye(len(x), dtype=x.dtype)
    return ((loss(x + steps)[0] - loss(x - steps)[0]) / (2 * step)).numpy()


def polygon(units, length):
    angle = np.pi * np.arange(units) / units
    return length * np.stack([np.cos(angle), np.sin(angle)], 1)


# The kernel


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(1, 8))
def test_absolute_values_in_space_have_the_arc_cosine_kernel(seed, units):
    w = drawn(units, 3, seed)
    size = np.linalg.norm(w, axis=1)
    cosine = np.clip(w @ w.T / np.outer(size, size), -1, 1)
    np.fill_diagonal(cosine, 1)
    t = np.arccos(np.abs(cosine))  # u and -u are the same unit
    kernel = 2 / (3 * np.pi) * (np.sin(t) + (np.pi / 2 - t) * np.cos(t))
    assert kernel_loss(w, 1.0)[0] == pytest.approx(1 - size.sum() + size @ kernel @ size, abs=1e-10)


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(1, 8), st.integers(2, 6))
def test_squares_are_a_quadratic_form(seed, units, dim):
    w = drawn(units, dim, seed)
    a = w.T @ w
    trace, square = np.trace(a), np.trace(a @ a)
    expected = (trace**2 + 2 * square) / (dim * (dim + 2)) - 2 * trace / dim + 1
    assert kernel_loss(w, 2.0)[0] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("dim", [2, 3, 5])
@pytest.mark.parametrize("power", [0.3, 1.0, 1.7, 4.0, 10.0])
def test_one_unit_is_an_integral_over_one_angle(dim, power):
    def mean(p):
        weigh = lambda t, q: np.cos(t) ** q * np.sin(t) ** (dim - 2)  # noqa: E731
        return quad(weigh, 0, np.pi / 2, (p,))[0] / quad(weigh, 0, np.pi / 2, (0,))[0]

    w = np.zeros((1, dim))
    w[0, 0] = -1.3
    expected = 1 - 2 * 1.3**power * mean(power) + 1.3 ** (2 * power) * mean(2 * power)
    assert kernel_loss(w, power)[0] == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("power", [0.6, 1.0, 1.5, 3.0])
@pytest.mark.parametrize("units", [1, 2, 5])
def test_circle_against_quadrature_between_kinks(power, units):
    w = drawn(units, 2)
    square = lambda t: ((np.abs(w @ [np.cos(t), np.sin(t)]) ** power).sum() - 1) ** 2  # noqa: E731
    kinks = np.sort(np.mod(np.arctan2(w[:, 1], w[:, 0]) + np.pi / 2, np.pi))
    ends = [*kinks, kinks[0] + np.pi]
    total = sum(quad(square, a, b, epsabs=1e-11)[0] for a, b in itertools.pairwise(ends))
    assert kernel_loss(w, power)[0] == pytest.approx(total / np.pi, abs=1e-8)


@pytest.mark.parametrize("dim", [2, 3, 5])
@pytest.mark.parametrize("power", [0.6, 1.0, 1.5, 2.0, 7.0])
def test_gradient_of_the_kernel_against_differences(dim, power):
    net = layer(drawn(5, dim, seed=3), power)
    here, loss = flatten(net), sphere_loss(net)
    np.testing.assert_allclose(loss(here[None])[1][0], differences(loss, here), rtol=1e-6, atol=1e-8)


def test_many_networks_at_once_have_their_own_losses():
    many = np.stack([drawn(4, 3, seed) for seed in range(3)])
    for power in (1.0, 1.5):
        value, gradient = kernel_loss(many, power)
        for k, w in enumerate(many):
            assert kernel_loss(w, power)[0] == pytest.approx(value[k], abs=1e-14)
            np.testing.assert_allclose(kernel_loss(w, power)[1], gradient[k], atol=1e-13)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("power", [0.6, 1.0, 2.0, 5.0])
def test_two_parallel_units_are_one_larger_unit(power, sign):
    w, factor = drawn(1, 3), 2 ** (1 / power)
    value, gradient = kernel_loss(np.concatenate([w, sign * w]), power)
    one, slope = kernel_loss(factor * w, power)
    assert value == pytest.approx(one, abs=1e-12)
    together = gradient[:1] + sign * gradient[1:]
    np.testing.assert_allclose(together, factor * slope, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("power", [0.1, 0.3, 0.5, 0.9, 1.0, 3.0])
def test_gradient_of_parallel_units_is_finite(power):
    w = np.array([[0.3, 0.4, 0.5], [0.6, 0.8, 1.0], [-0.3, -0.4, -0.5], [0.1, 0, 0]])
    assert np.isfinite(kernel_loss(w, power)[1]).all()


# Polygons


@pytest.mark.parametrize(("units", "loss", "length"), POLYGONS)
def test_loss_of_the_regular_polygon(units, loss, length):
    assert polygon_loss(units) == pytest.approx(loss, rel=1e-6)
    value, gradient = kernel_loss(polygon(units, length), 1.0)
    assert value == pytest.approx(polygon_loss(units), abs=1e-11)
    assert np.abs(gradient).max() < 3e-6  # the length has six digits


def test_loss_of_a_strip():
    assert polygon_loss(1) == pytest.approx(1 - 8 / np.pi**2)


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(2, 7))
def test_no_network_is_below_the_regular_polygon(seed, units):
    assert exact_loss(deep(2, (units,), seed)) > polygon_loss(units)


# Facets


@pytest.mark.parametrize("facets", [2, 3, 8, 20, 500])
def test_bound_of_facets_is_that_of_equal_caps(facets):
    """On a cap of solid angle 4 pi / F, with the best length of g: 1 - <z>^2 / <z^2>, z uniform."""
    z0 = 1 - 2 / facets
    first, second = (quad(lambda z, k=k: z**k / (1 - z0), z0, 1)[0] for k in (1, 2))
    assert facet_bound(facets) == pytest.approx(1 - first**2 / second, rel=1e-6)


@pytest.mark.parametrize("facets", [2, 7, 40])
def test_bound_of_facets_is_no_higher_for_unequal_caps(facets):
    rng = np.random.default_rng(facets)
    for _ in range(20):
        s = 2 * rng.dirichlet(np.ones(facets))  # solid angles over 2 pi
        loss = s / 2 @ (s**2 / 12 / ((1 - s / 2) ** 2 + s**2 / 12))
        assert loss >= facet_bound(facets)


@settings(max_examples=15, deadline=None)
@given(seeds, st.sampled_from([(3,), (4,), (7,), (4, 3), (3, 4), (3, 3, 3)]))
def test_no_polyhedron_is_below_the_bound_of_its_facets(seed, widths):
    net = deep(3, widths, seed)
    assert exact_loss(net) > facet_bound(polytope(net).counts[2])


# The whole sphere


@settings(max_examples=10, deadline=None)
@given(seeds, st.sampled_from([(2, (3, 4)), (2, (5, 2, 3)), (3, (4, 1)), (3, (3, 3)), (3, (4, 3, 2))]))
def test_layers_with_positive_weights_are_one_layer(seed, kind):
    net, weights = added(*kind, seed)
    assert exact_loss(net) == pytest.approx(kernel_loss(weights, 1.0)[0], rel=1e-8)


SAMPLED = [(dim, (6,), (power,)) for dim in (2, 3, 5) for power in (0.4, 1.0, 2.5, 6.0)]
SAMPLED += [(dim, widths, (1.0,) * len(widths)) for dim in (2, 3) for widths in ((4, 4), (5, 3, 2))]


@pytest.mark.parametrize(("dim", "widths", "powers"), SAMPLED)
def test_exact_loss_agrees_with_a_sample(dim, widths, powers):
    net = PolytopeNet(dim, widths, powers, generator=generator(2))
    square = (net(random_points(100_000, dim, generator=generator())) - 1).square()
    error = square.std().item() / len(square) ** 0.5
    assert exact_loss(net) == pytest.approx(square.mean().item(), abs=5 * error)


@pytest.mark.parametrize("dim", [2, 3])
def test_gauss_points_converge(dim):
    net = deep(dim, (4, 4))
    best, *others = (float(sphere_loss(net, order=k)(flatten(net)[None])[0]) for k in (30, 2, 4, 8))
    error = np.abs(np.array(others) - best)
    assert error[0] > 10 * error[1] > 100 * error[2]
    assert exact_loss(net) == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("kind", [(2, (3, 4)), (3, (4, 3)), (3, (3, 3, 2)), (3, (5,))])
def test_gradient_on_the_whole_sphere_against_differences(kind):
    net = deep(*kind, seed=5)
    loss, here = sphere_loss(net, order=20), flatten(net)
    np.testing.assert_allclose(loss(here[None])[1][0], differences(loss, here), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("dim", "widths", "powers"), [(3, (4, 4), (1.0, 2.0)), (2, (3, 3), (0.5, 1.0)), (4, (5, 5), (1.0, 1.0))]
)
def test_other_networks_have_no_exact_loss(dim, widths, powers):
    net = PolytopeNet(dim, widths, powers)
    assert exact_loss(net) is sphere_loss(net) is None


@pytest.mark.parametrize("powers", [(1.0, 1.0), (0.7, 2.0)])
def test_sample_loss_is_the_mean_over_its_points(powers):
    net, x = PolytopeNet(3, (4, 2), powers, generator=generator()), random_points(50, 3)
    loss, here = sample_loss(net, x), flatten(net)
    value, gradient = loss(torch.stack([here, 2 * here]))
    assert value[0] == pytest.approx((net(x) - 1).square().mean().item(), abs=1e-14)
    np.testing.assert_allclose(gradient[0], differences(loss, here), rtol=1e-5, atol=1e-6)
    assert torch.equal(flatten(net), here)


def test_weights_of_the_points_count():
    net, x = deep(3, (4,)), random_points(3, 3)
    share = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64)
    for weighted, plain in zip(
        sample_loss(net, x, share)(flatten(net)[None]),
        sample_loss(net, x[[0, 0, 1, 2]])(flatten(net)[None]),
        strict=True,
    ):
        np.testing.assert_allclose(weighted, plain, atol=1e-14)


# The last digits


def tilted(x):
    """Two wells, the left one deeper."""
    u, v = x.T
    return (u**2 - 1) ** 2 + 0.2 * u + v**2, torch.stack([4 * u * (u**2 - 1) + 0.2, 2 * v], 1)


def test_polish_finds_the_last_digits_and_does_not_climb():
    left = float(min(np.roots([4, 0, -4, 0.2]).real))
    near = torch.tensor([left + 1e-5, 1e-5], dtype=torch.float64)
    np.testing.assert_allclose(polish(tilted, near), [left, 0], atol=1e-13)
    start = torch.tensor([0.1, 0.0], dtype=torch.float64)  # the nearest point without slope is the top
    assert tilted(polish(tilted, start)[None])[0] <= tilted(start[None])[0] + 1e-12


def test_polish_makes_a_polygon_regular():
    """Turning it costs nothing, so one direction has no curvature."""
    units, noise = 5, np.random.default_rng(1).standard_normal((5, 2))
    rough = torch.as_tensor(polygon(units, 0.31409) + 1e-4 * noise).flatten()
    fine = polish(sphere_loss(deep(2, (units,))), rough).reshape(-1, 2).numpy()
    assert np.ptp(np.linalg.norm(fine, axis=1)) < 1e-12
    assert kernel_loss(fine, 1.0)[0] == pytest.approx(polygon_loss(units), abs=1e-15)

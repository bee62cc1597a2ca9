"""Networks trained to be one on the sphere, against the least losses known and bodies known by name."""

import math
from functools import cache, partial

import numpy as np
import pytest
import torch

from nnbook.networks import flatten
from nnbook.polytopes import PolytopeNet, even_points, fit_sphere, polygon_loss, polytope, random_points

GOLD = (1 + math.sqrt(5)) / 2
# found with another program, best of 12 starts of L-BFGS
LOSSES = {3: 1.022310e-2, 4: 5.627989e-3, 5: 3.632059e-3, 6: 1.567357e-3, 7: 1.137025e-3, 8: 8.852559e-4}
AXES = np.eye(3)
DIAGONALS = np.array([[1, 1, 1], [1, 1, -1], [1, -1, 1], [-1, 1, 1]])
FIVEFOLD = np.array([np.roll([0, 1, s * GOLD], k) for s in (1, -1) for k in range(3)])
DIRECTIONS = {3: AXES, 4: DIAGONALS, 6: FIVEFOLD, 7: np.concatenate([AXES, DIAGONALS])}


def net_of(dim, widths, powers=None, seed=1, **options):
    powers = (1.0,) * len(widths) if powers is None else powers
    return PolytopeNet(dim, widths, powers, generator=torch.Generator().manual_seed(seed), **options)


def miss(net, x):
    """The loss on points."""
    return (net(torch.as_tensor(x)) - 1).square().mean().item()


@cache
def trained(dim, units, power=1.0):
    return fit_sphere(net_of(dim, (units,), (power,)), starts=6)


@pytest.mark.parametrize("units", range(2, 8))
def test_polygons_reach_the_least_loss(units):
    found = trained(2, units)
    assert found.exact_loss == pytest.approx(polygon_loss(units), abs=1e-14)
    assert found.loss == pytest.approx(found.exact_loss, abs=1e-12)
    assert found.fit.converged
    radii = np.linalg.norm(polytope(found.net).vertices, axis=1)
    assert np.ptp(radii) < 1e-9
    assert len(radii) == 2 * units


@pytest.mark.parametrize("units", LOSSES)
def test_polyhedra_reach_the_losses_of_an_independent_program(units):
    found = trained(3, units)
    assert found.loss == pytest.approx(LOSSES[units], abs=1e-8)
    assert found.exact_loss == pytest.approx(found.loss, abs=1e-12)
    if units == 5:  # on a cone round an axis
        assert repr(polytope(found.net).symmetry) == "D5d of order 20"


@pytest.mark.parametrize("units", DIRECTIONS)
def test_symmetric_polyhedra_have_the_loss_and_lengths_of_their_directions(units):
    """With the directions fixed, the loss is a quadratic form in the lengths of the weights."""
    unit = DIRECTIONS[units] / np.linalg.norm(DIRECTIONS[units], axis=1, keepdims=True)
    t = np.arccos(np.clip(np.abs(unit @ unit.T), 0, 1))
    kernel = 2 / (3 * np.pi) * (np.sin(t) + (np.pi / 2 - t) * np.cos(t))
    length = np.linalg.solve(kernel, np.full(units, 0.5))
    found = trained(3, units)
    assert found.exact_loss == pytest.approx(1 - length.sum() / 2, abs=1e-12)
    lengths = found.net.weights[0].detach().norm(dim=1).numpy()
    assert np.sort(lengths) == pytest.approx(np.sort(length), abs=1e-8)
    published = {3: 0.6599, 4: 0.4972, 6: 0.3328}
    assert lengths == pytest.approx(published.get(units, lengths), abs=5e-5)


@pytest.mark.parametrize(("dim", "units"), [(2, 2), (2, 5), (3, 3), (3, 6), (5, 5)])
def test_squares_make_the_ball(dim, units):
    found = trained(dim, units, 2.0)
    w = found.net.weights[0].detach().numpy()
    assert abs(found.loss) < 1e-12
    np.testing.assert_allclose(w.T @ w, np.eye(dim), atol=1e-6)


@pytest.mark.parametrize("dim", [2, 3, 4])
@pytest.mark.parametrize("power", [0.6, 1.0, 1.5, 3.0, 10.0])
def test_as_many_units_as_dimensions_make_a_ball_of_the_power_norm(dim, power):
    w = trained(dim, dim, power).net.weights[0].detach().numpy()
    gram = w @ w.T
    np.testing.assert_allclose(gram, gram[0, 0] * np.eye(dim), atol=1e-8)


@pytest.mark.parametrize("units", [4, 6])
def test_a_sample_flatters_and_the_whole_sphere_does_not(units):
    found, least = fit_sphere(net_of(3, (units,)), points=10_000, starts=3), trained(3, units).loss
    assert found.loss < least < found.exact_loss < least + 2e-5


@pytest.mark.parametrize("change", [lambda x: x, lambda x: x.float(), lambda x: x.numpy().astype("f4")])
def test_loss_is_the_mean_over_your_points(change):
    x = random_points(300, 3, generator=torch.Generator().manual_seed(2))
    found = fit_sphere(net_of(3, (4,)), points=change(x), starts=1, steps=20)
    assert found.loss == pytest.approx(miss(found.net, x), abs=1e-6)
    assert found.net.weights[0].dtype == torch.float64


@pytest.mark.parametrize("points", [None, 500])
def test_network_of_single_precision_stays_one(points):
    found = fit_sphere(net_of(3, (3,), dtype=torch.float32), points=points, starts=2)
    assert found.net.weights[0].dtype == torch.float32
    assert found.exact_loss == pytest.approx(LOSSES[3], abs=2e-3)


@pytest.mark.parametrize(("widths", "powers"), [((4, 3), (1.0, 2.0)), ((3, 3), (2.0, 0.5))])
def test_several_layers_with_powers_learn(widths, powers):
    net = net_of(3, widths, powers)
    found = fit_sphere(net, starts=1, steps=60)
    assert found.loss < 0.1 * miss(net, even_points(500, 3))
    assert found.loss == pytest.approx(miss(found.net, even_points(50_000, 3)), rel=0.05)
    assert found.exact_loss is None
    assert "whole sphere" not in repr(found)


def test_depth_lowers_the_loss():
    found = fit_sphere(net_of(3, (4, 4)), starts=2, steps=100)
    assert found.exact_loss < 0.2 * trained(3, 4).exact_loss
    assert found.loss == pytest.approx(found.exact_loss, abs=1e-12)
    folded = fit_sphere(net_of(2, (2, 2, 2), orthogonal=True), starts=8)
    assert folded.exact_loss == pytest.approx(polygon_loss(8), abs=1e-12)
    assert polytope(folded.net).counts == (16, 16)


@pytest.mark.parametrize(("dim", "widths", "points"), [(3, (4,), None), (3, (4,), 200), (2, (3, 3), None)])
def test_same_seed_same_numbers_and_the_network_passed_in_is_left_alone(dim, widths, points):
    net, options = net_of(dim, widths), {"points": points, "starts": 2, "steps": 5}
    before = flatten(net)
    one, two = (fit_sphere(net, seed=7, **options) for _ in range(2))
    assert torch.equal(flatten(net), before)
    assert torch.equal(flatten(one.net), flatten(two.net))
    assert repr(one) == repr(two)
    assert repr(one.net) == repr(net)
    other = fit_sphere(net, seed=8, **options)
    assert (one.losses != other.losses).any()


def test_more_starts_are_no_worse_and_the_first_is_the_network_itself():
    one, many = (fit_sphere(net_of(3, (10,), seed=3), starts=k, steps=200) for k in (1, 4))
    assert len(many.losses) == 4
    assert many.loss == many.losses[0] <= one.loss
    again = fit_sphere(trained(3, 6).net, starts=1)
    assert again.fit.steps <= 1
    assert again.loss == pytest.approx(trained(3, 6).loss, abs=1e-14)


@pytest.mark.parametrize(("widths", "points"), [((3,), None), ((3, 3), None), ((3,), 50)])
def test_everything_follows_its_inputs(widths, points, elsewhere):
    net = net_of(3, widths, dtype=torch.float64, device="cpu")
    found = fit_sphere(net, points=points, starts=2, steps=4)
    assert math.isfinite(found.loss)
    assert len(polytope(found.net.slice(np.eye(3))).vertices) >= 6
    assert even_points(5, 3, device="cpu").isfinite().all()


def test_result_reads_like_a_line():
    line = "PolytopeNet of type (3;1) in 3 dimensions: loss 1.022310e-02, on the whole sphere 1.022310e-02"
    assert repr(trained(3, 3)) == line


FIT = partial(fit_sphere, net_of(3, (4,)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: FIT(starts=0), "starts: got 0, expected"),
        (lambda: FIT(points=2), "points: got 2, expected .*3"),
        (lambda: FIT(points=1.5), "points: got 1.5, expected"),
        (lambda: FIT(points=torch.eye(3)[:2]), r"points: got shape \(2, 3\), expected at least 3"),
        (lambda: FIT(points=torch.ones(3)), r"points: got shape \(3,\), expected at least 3"),
        *(
            (partial(FIT, points=points), "expected at least 3 points of length one")
            for points in (2 * torch.eye(3), torch.zeros(5, 3), torch.full((5, 3), torch.nan))
        ),
    ],
)
def test_errors_say_what_they_got_and_what_to_do(call, message):
    with pytest.raises(ValueError, match=message):
        call()

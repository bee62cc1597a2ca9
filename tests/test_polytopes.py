"""Networks that are one on the sphere: scaling, slices, and training against the least losses known."""

import math
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import nnbook
from nnbook.networks import assign, flatten
from nnbook.polytopes import PolytopeNet, even_points, fit_sphere, polygon_loss, polytope, random_points

seeds = st.integers(0, 2**32 - 1)
GOLD = (1 + math.sqrt(5)) / 2
# found with another program, best of 12 starts of L-BFGS
LOSSES = {3: 1.022310e-2, 4: 5.627989e-3, 5: 3.632059e-3, 6: 1.567357e-3, 7: 1.137025e-3, 8: 8.852559e-4}
AXES = np.eye(3)
DIAGONALS = np.array([[1, 1, 1], [1, 1, -1], [1, -1, 1], [-1, 1, 1]])
FIVEFOLD = np.array([np.roll([0, 1, s * GOLD], k) for s in (1, -1) for k in range(3)])
DIRECTIONS = {3: AXES, 4: DIAGONALS, 6: FIVEFOLD, 7: np.concatenate([AXES, DIAGONALS])}


@pytest.fixture(autouse=True, scope="module")
def _as_in_a_chapter():
    nnbook.start(seed=1, device="cpu", quiet=True)


def net_of(dim, widths, powers=None, seed=1):
    powers = (1.0,) * len(widths) if powers is None else powers
    return PolytopeNet(dim, widths, powers, generator=torch.Generator().manual_seed(seed))


def values(net, x):
    return net(torch.as_tensor(x)).detach().numpy()


@st.composite
def nets(draw, most=3):
    """Any network, and a generator for points."""
    dim = draw(st.integers(2, 5))
    widths = [draw(st.integers(dim, 7)), *draw(st.lists(st.integers(1, 5), max_size=most - 1))]
    exponents = [draw(st.floats(0.3, 4)), *(draw(st.floats(1, 4)) for _ in widths[1:])]
    seed = draw(seeds)
    return net_of(dim, tuple(widths), tuple(exponents), seed), np.random.default_rng(seed)


@cache
def trained(dim, units, power=1.0):
    return fit_sphere(net_of(dim, (units,), (power,)), starts=6)


# The network


@settings(max_examples=40, deadline=None)
@given(nets())
def test_network_is_what_its_formula_says(case):
    net, rng = case
    x = rng.standard_normal((6, net.dim))
    a = x
    for weight, power, inputs in zip(net.weights, net.powers, net.layers(), strict=True):
        np.testing.assert_allclose(inputs(x), a @ weight.detach().numpy().T, rtol=1e-12, atol=1e-13)
        a = np.abs(a @ weight.detach().numpy().T) ** power
    np.testing.assert_allclose(values(net, x), a.sum(1), rtol=1e-9)


@settings(max_examples=40, deadline=None)
@given(nets(), st.floats(0.2, 5))
def test_network_is_homogeneous_and_even(case, factor):
    net, rng = case
    x = rng.standard_normal((6, net.dim))
    np.testing.assert_allclose(values(net, factor * x), factor**net.degree * values(net, x), rtol=1e-8)
    np.testing.assert_allclose(values(net, -x), values(net, x), rtol=1e-12)
    assert net.degree == pytest.approx(math.prod(net.powers))


@settings(max_examples=30, deadline=None)
@given(
    seeds,
    st.integers(2, 5),
    st.sampled_from([(1.0,), (2.0,), (0.7,), (1.0, 1.0), (2.0, 1.0), (1.0, 1.0, 1.0)]),
)
def test_network_starts_with_mean_one(seed, dim, exponents):
    net = net_of(dim, (7, 5, 3)[: len(exponents)], exponents, seed)
    assert values(net, even_points(2048, dim)).mean() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("shape", [(3,), (5, 3), (4, 5, 3), (0, 3)])
def test_one_number_a_point(shape):
    assert net_of(3, (4, 2))(torch.zeros(shape, dtype=torch.float64)).shape == shape[:-1]


def test_same_generator_same_network():
    one, two, other = (flatten(net_of(3, (5, 4), seed=s)) for s in (3, 3, 4))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert len(one) == 5 * 3 + 4 * 5


@pytest.mark.parametrize("power", [0.3, 0.7, 1.0, 2.5])
def test_gradient_is_finite_on_a_kink(power):
    net = net_of(2, (2, 2), (power, power))
    assign(net, torch.ones(8, dtype=torch.float64))
    x = torch.tensor([[1.0, -1.0]], dtype=torch.float64, requires_grad=True)
    net(x).sum().backward()
    assert x.grad.isfinite().all()
    assert net.weights[0].grad.isfinite().all()


def test_repr_names_the_type():
    net = net_of(3, (4, 6), (1.0, 0.5))
    assert repr(net) == "PolytopeNet of type (4,6;1,0.5) in 3 dimensions"


# Slices


@settings(max_examples=30, deadline=None)
@given(nets(), st.integers(2, 5))
def test_slice_is_the_network_on_a_subspace(case, m):
    net, rng = case
    basis = np.linalg.qr(rng.standard_normal((net.dim, net.dim)))[0][:, :m]
    cut = net.slice(basis)
    y = rng.standard_normal((6, basis.shape[1]))
    np.testing.assert_allclose(values(cut, y), values(net, y @ basis.T), rtol=1e-8)
    assert (cut.dim, cut.widths, cut.powers) == (basis.shape[1], net.widths, net.powers)


def test_slice_shares_nothing_with_the_network():
    net = net_of(3, (4, 2))
    before = flatten(net)
    cut = net.slice(np.eye(3)[:, :2])
    with torch.no_grad():
        for weight in cut.weights:
            weight.zero_()
    assert torch.equal(flatten(net), before)


@pytest.mark.parametrize("basis", [np.eye(3, dtype=np.float32)[:, :2], torch.eye(3).double()[:, :2]])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_slice_keeps_the_dtype_of_the_network(basis, dtype):
    net = net_of(3, (4, 2)).to(dtype)
    assert {weight.dtype for weight in net.slice(basis).weights} == {dtype}


def test_slice_of_a_ball_is_a_ball():
    cut = trained(3, 3, 2.0).net.slice(np.linalg.qr(np.random.default_rng(1).standard_normal((3, 2)))[0])
    np.testing.assert_allclose(values(cut, even_points(20, 2)), 1, atol=1e-8)


# Training


@pytest.mark.parametrize("units", range(2, 8))
def test_polygons_reach_the_least_loss(units):
    found = trained(2, units)
    assert found.loss == pytest.approx(polygon_loss(units), abs=1e-9)
    assert found.exact_loss == pytest.approx(found.loss, abs=1e-12)
    assert found.fit.converged
    radii = np.linalg.norm(polytope(found.net).vertices, axis=1)
    assert np.ptp(radii) < 1e-5
    assert len(radii) == 2 * units


@pytest.mark.parametrize("units", LOSSES)
def test_polyhedra_reach_the_losses_of_an_independent_program(units):
    found = trained(3, units)
    assert found.loss == pytest.approx(LOSSES[units], abs=1e-8)
    assert found.exact_loss == pytest.approx(found.loss, abs=1e-12)


@pytest.mark.parametrize("units", DIRECTIONS)
def test_symmetric_polyhedra_have_the_loss_of_their_directions(units):
    """With the directions fixed, the loss is a quadratic form in the lengths of the weights."""
    unit = DIRECTIONS[units] / np.linalg.norm(DIRECTIONS[units], axis=1, keepdims=True)
    t = np.arccos(np.clip(np.abs(unit @ unit.T), 0, 1))
    kernel = 2 / (3 * np.pi) * (np.sin(t) + (np.pi / 2 - t) * np.cos(t))
    length = np.linalg.solve(kernel, np.full(units, 0.5))
    found = trained(3, units)
    assert found.loss == pytest.approx(1 - length.sum() / 2, abs=1e-9)
    lengths = found.net.weights[0].detach().norm(dim=1).numpy()
    assert np.sort(lengths) == pytest.approx(np.sort(length), abs=1e-5)


def test_published_lengths_of_the_weights():
    for units, length in ((3, 0.6599), (4, 0.4972), (6, 0.3328)):
        lengths = trained(3, units).net.weights[0].detach().norm(dim=1)
        assert lengths.numpy() == pytest.approx(length, abs=5e-5)


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
    np.testing.assert_allclose(gram, gram[0, 0] * np.eye(dim), atol=1e-5)


@pytest.mark.parametrize("units", [3, 4, 6])
def test_sample_misleads_and_the_whole_sphere_does_not(units):
    found = fit_sphere(net_of(3, (units,)), points=10_000, starts=3)
    least = trained(3, units).loss
    assert found.loss != pytest.approx(found.exact_loss, rel=1e-3)
    assert least < found.exact_loss < least + 2e-5


def test_loss_of_the_sample_can_lie_below_the_least_loss():
    found = fit_sphere(net_of(3, (4,)), points=10_000, starts=3)
    assert found.loss < trained(3, 4).loss < found.exact_loss


def test_loss_is_the_mean_over_your_points():
    x = random_points(300, 3, generator=torch.Generator().manual_seed(2))
    found = fit_sphere(net_of(3, (4,)), points=x, starts=1, steps=20)
    assert found.loss == pytest.approx(((values(found.net, x) - 1) ** 2).mean(), abs=1e-12)


@pytest.mark.parametrize(("widths", "exponents"), [((4, 3), (1.0, 2.0)), ((3, 3), (2.0, 0.5))])
def test_several_layers_learn(widths, exponents):
    net = net_of(3, widths, exponents)
    before = ((values(net, even_points(500, 3)) - 1) ** 2).mean()
    found = fit_sphere(net, starts=1, steps=60)
    assert found.loss < 0.1 * before
    assert found.loss == pytest.approx(
        ((values(found.net, even_points(50_000, 3)) - 1) ** 2).mean(), rel=0.05
    )
    assert found.exact_loss is None


def test_second_layer_lowers_the_loss():
    found = fit_sphere(net_of(3, (4, 4)), starts=2, steps=100)
    assert found.exact_loss < 0.2 * trained(3, 4).exact_loss
    assert found.loss == pytest.approx(found.exact_loss, abs=1e-12)


def test_network_passed_in_is_left_alone():
    net = net_of(3, (4,))
    before = flatten(net)
    found = fit_sphere(net, starts=2, steps=5)
    assert torch.equal(flatten(net), before)
    assert not torch.equal(flatten(found.net), before)
    assert repr(found.net) == repr(net)


@pytest.mark.parametrize(("dim", "widths", "points"), [(3, (4,), None), (3, (4,), 200), (2, (3, 3), None)])
def test_same_seed_same_numbers(dim, widths, points):
    options = {"points": points, "starts": 2, "steps": 5, "seed": 7}
    one, two = (fit_sphere(net_of(dim, widths), **options) for _ in range(2))
    assert torch.equal(flatten(one.net), flatten(two.net))
    assert one.loss == two.loss


def test_seed_chooses_points_and_starts():
    net = net_of(3, (4,))
    one, two = (fit_sphere(net, points=200, starts=1, seed=s) for s in (1, 2))
    assert one.loss != two.loss
    first, second = (fit_sphere(net, starts=3, steps=1, seed=s).fit.history["value"] for s in (1, 2))
    assert first[0] == second[0]
    assert (first[1:] != second[1:]).all()


def test_first_start_is_the_network_itself():
    best = trained(3, 6)
    again = fit_sphere(best.net, starts=1)
    assert again.fit.steps <= 1
    assert again.loss == pytest.approx(best.loss, abs=1e-14)


def test_more_starts_are_no_worse():
    one, many = (fit_sphere(net_of(3, (10,), seed=3), starts=k, steps=200) for k in (1, 4))
    assert many.loss <= one.loss
    assert len(many.fit.history["value"]) == 4
    assert many.loss == many.fit.history["value"].min()


@pytest.mark.parametrize(
    "change", [lambda x: x.float(), lambda x: x.numpy(), lambda x: x.numpy().astype("f4")]
)
def test_points_of_other_types_are_taken(change):
    x = random_points(400, 3, generator=torch.Generator().manual_seed(2))
    found = fit_sphere(net_of(3, (3,)), points=change(x), starts=1, steps=20)
    assert found.loss == pytest.approx(((values(found.net, x) - 1) ** 2).mean(), abs=1e-6)
    assert found.net.weights[0].dtype == torch.float64


@pytest.mark.parametrize("points", [None, 500])
def test_network_of_single_precision_stays_one(points):
    found = fit_sphere(net_of(3, (3,)).float(), points=points, starts=2)
    assert found.net.weights[0].dtype == torch.float32
    assert found.exact_loss == pytest.approx(LOSSES[3], abs=2e-3)


def test_result_reads_like_a_line():
    found = trained(3, 3)
    line = "PolytopeNet of type (3;1) in 3 dimensions: loss 1.022310e-02, on the whole sphere 1.022310e-02"
    assert repr(found) == line
    unknown = fit_sphere(net_of(3, (3, 2), (1.0, 2.0)), points=100, starts=1, steps=1)
    assert "whole sphere" not in repr(unknown)


# Bad input

NET = net_of(3, (4,))
TALL = np.array([[1.0, 0], [0, 1], [0, 1]])


@pytest.mark.parametrize(("dim", "widths"), [(2, (2, 2)), (3, (5, 3)), (3, (3, 4, 2))])
def test_orthogonal_layers_fold_without_stretching(dim, widths):
    net = PolytopeNet(
        dim, widths, (1.0,) * len(widths), orthogonal=True, generator=torch.Generator().manual_seed(1)
    )
    for weight in net.weights:
        gram = weight @ weight.mT if weight.shape[0] < weight.shape[1] else weight.mT @ weight
        assert torch.allclose(gram, gram[0, 0] * torch.eye(len(gram), dtype=gram.dtype), atol=1e-12)
    assert net(random_points(4000, dim)).mean().item() == pytest.approx(1, abs=0.05)


def test_training_from_orthogonal_folds_finds_the_regular_polygon_with_sixteen_sides():
    start = PolytopeNet(2, (2, 2, 2), (1.0,) * 3, orthogonal=True, generator=torch.Generator().manual_seed(1))
    fit = fit_sphere(start, starts=8)
    assert fit.exact_loss == pytest.approx(polygon_loss(8), abs=1e-12)
    assert polytope(fit.net).counts == (16, 16)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PolytopeNet(1, (3,), (1.0,)), "dim: got 1, expected at least 2"),
        (lambda: PolytopeNet(3, (), ()), "powers: got 0 for 0 widths, expected one power a layer"),
        (lambda: PolytopeNet(3, (4, 4), (1.0,)), "powers: got 1 for 2 widths, expected one power a layer"),
        (lambda: PolytopeNet(3, (4,), (1.0, 1.0)), "powers: got 2 for 1 widths"),
        (lambda: PolytopeNet(3, (4, 0), (1.0, 1.0)), r"widths: got \(4, 0\), expected whole numbers"),
        (lambda: PolytopeNet(3, (4.5,), (1.0,)), r"widths: got \(4.5,\), expected whole numbers"),
        (lambda: PolytopeNet(3, (4,), (0.0,)), r"powers: got \(0.0,\), expected finite numbers above zero"),
        (lambda: PolytopeNet(3, (4, 2), (1.0, -1.0)), r"powers: got \(1.0, -1.0\), expected finite"),
        (lambda: PolytopeNet(3, (4,), (math.nan,)), r"powers: got \(nan,\), expected finite"),
        (lambda: PolytopeNet(3, (4,), (math.inf,)), r"powers: got \(inf,\), expected finite"),
        (lambda: PolytopeNet(3, (2, 5), (1.0, 1.0)), "widths: got 2 units in the first layer for 3 dim"),
        (
            lambda: NET.slice(TALL),
            r"basis: got .* \(3, 2\), expected two or more orthonormal columns of length 3",
        ),
        (
            lambda: NET.slice(np.eye(2)),
            r"basis: got .* \(2, 2\), expected two or more orthonormal columns of length 3",
        ),
        (lambda: NET.slice(np.ones(3)), r"basis: got .* \(3,\), expected two or more orthonormal"),
        (lambda: NET.slice(np.eye(3)[:, :1]), r"basis: got .* \(3, 1\), expected two or more"),
        (lambda: fit_sphere(NET, starts=0), "starts: got 0, expected at least one"),
        (lambda: fit_sphere(NET, points=2), "points: got 2, expected at least 3, and thousands"),
        (
            lambda: fit_sphere(NET, points=torch.eye(3)[:2]),
            r"points: got shape \(2, 3\), expected at least 3",
        ),
        (lambda: fit_sphere(NET, points=torch.eye(2)), r"points: got shape \(2, 2\), expected at least 3"),
        (lambda: fit_sphere(NET, points=2 * torch.eye(3)), "expected at least 3 points of length one"),
        (lambda: fit_sphere(NET, points=torch.zeros(5, 3)), "expected at least 3 points of length one"),
        (lambda: fit_sphere(NET, points=torch.full((5, 3), torch.nan)), "points of length one"),
        (lambda: fit_sphere(NET, points=torch.ones(3)), r"points: got shape \(3,\), expected at least 3"),
    ],
)
def test_bad_input_says_what_it_got_and_what_to_do(call, message):
    with pytest.raises(ValueError, match=message):
        call()

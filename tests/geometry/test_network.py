"""Networks of powers: their formula, scaling and slices; points on the sphere; what the room's errors say."""

import math
import warnings
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnbook.geometry.complexes import Complex
from nnbook.geometry.level_sets import Polytope, mesh, polytope
from nnbook.geometry.linear_pieces import (
    graph,
    heights,
    kinks,
    linear_regions,
    region_bound,
    relu_copy,
    softplus_gap,
    square,
    unrolled,
)
from nnbook.geometry.network import PolytopeNet, even_points, random_points
from nnbook.geometry.point_groups import point_group
from nnbook.geometry.solids import Solid, scene
from nnbook.geometry.sphere import facet_bound, kernel_loss, polygon_loss
from nnbook.networks import MLP, assign, flatten

seeds = st.integers(0, 2**32 - 1)


def net_of(dim, widths, powers=None, seed=1, **options):
    powers = (1.0,) * len(widths) if powers is None else powers
    return PolytopeNet(dim, widths, powers, generator=torch.Generator().manual_seed(seed), **options)


def values(net, x):
    return net(torch.as_tensor(x)).detach().numpy()


@st.composite
def nets(draw):
    """Any network, and a generator for points."""
    dim = draw(st.integers(2, 5))
    widths = [draw(st.integers(dim, 7)), *draw(st.lists(st.integers(1, 5), max_size=2))]
    powers = [draw(st.floats(0.3, 4)), *(draw(st.floats(1, 4)) for _ in widths[1:])]
    seed = draw(seeds)
    return net_of(dim, tuple(widths), tuple(powers), seed), np.random.default_rng(seed)


@settings(max_examples=40, deadline=None)
@given(nets(), st.floats(0.2, 5))
def test_network_is_what_its_formula_says(case, factor):
    net, rng = case
    x = a = rng.standard_normal((6, net.dim))
    for weight, power, inputs in zip(net.weights, net.powers, net.layers(), strict=True):
        np.testing.assert_allclose(inputs(x), a @ weight.detach().numpy().T, rtol=1e-12, atol=1e-13)
        a = np.abs(inputs(x)) ** power
    np.testing.assert_allclose(values(net, x), a.sum(1), rtol=1e-9)
    np.testing.assert_allclose(values(net, -factor * x), factor**net.degree * a.sum(1), rtol=1e-8)
    assert values(net, x.reshape(2, 3, -1)).shape == (2, 3)


@settings(max_examples=30, deadline=None)
@given(nets(), st.integers(2, 5))
def test_slice_is_the_network_on_a_subspace(case, m):
    net, rng = case
    before, basis = flatten(net), np.linalg.qr(rng.standard_normal((net.dim, net.dim)))[0][:, :m]
    cut, y = net.slice(basis), rng.standard_normal((6, basis.shape[1]))
    np.testing.assert_allclose(values(cut, y), values(net, y @ basis.T), rtol=1e-8)
    assert (cut.dim, cut.widths, cut.powers) == (basis.shape[1], net.widths, net.powers)
    assign(cut, torch.zeros_like(flatten(cut)))
    assert torch.equal(flatten(net), before)


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(2, 5), st.sampled_from([(1.0,), (2.0,), (0.7,), (1.0, 1.0), (1.0, 1.0, 1.0)]))
def test_network_starts_with_mean_one(seed, dim, powers):
    net = net_of(dim, (7, 5, 3)[: len(powers)], powers, seed)
    assert values(net, even_points(2048, dim)).mean() == pytest.approx(1, abs=0.15)
    assert torch.equal(flatten(net), flatten(net_of(dim, net.widths, powers, seed)))


@pytest.mark.parametrize(("dim", "widths"), [(2, (2, 2)), (3, (5, 3)), (3, (3, 4, 2))])
def test_orthogonal_layers_fold_without_stretching(dim, widths):
    net = net_of(dim, widths, orthogonal=True)
    for weight in net.weights:
        gram = weight @ weight.mT if weight.shape[0] < weight.shape[1] else weight.mT @ weight
        assert torch.allclose(gram, gram[0, 0] * torch.eye(len(gram), dtype=gram.dtype), atol=1e-12)
    assert values(net, random_points(4000, dim)).mean() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("power", [0.3, 0.7, 1.0, 2.5])
def test_gradient_is_finite_on_a_kink(power):
    net = net_of(2, (2, 2), (power, power))
    assign(net, torch.ones(8, dtype=torch.float64))
    x = torch.tensor([[1.0, -1.0]], dtype=torch.float64, requires_grad=True)
    net(x).sum().backward()
    assert x.grad.isfinite().all()
    assert net.weights[0].grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_follows_the_network(dtype):
    net = net_of(3, (4, 2), dtype=dtype)
    for basis in (np.eye(3, dtype=np.float32)[:, :2], torch.eye(3).double()[:, :2]):
        assert {weight.dtype for weight in net.slice(basis).weights} == {dtype}
    points = even_points(9, 3, dtype=dtype), random_points(9, 3, dtype=dtype)
    assert {net(x).dtype for x in points} == {dtype}
    assert net_of(3, (4,), device="meta").weights[0].is_meta
    assert repr(net) == "PolytopeNet of type (4,2;1,1) in 3 dimensions"


@pytest.mark.parametrize("count", [1000, 1024])
@pytest.mark.parametrize("dim", [2, 3, 5])
def test_even_points_have_the_moments_of_the_sphere(dim, count):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = even_points(count, dim)
    assert x.shape == (count, dim)
    torch.testing.assert_close(x.norm(dim=1), torch.ones(count, dtype=torch.float64))
    assert x.mean(0).norm() < 0.01
    torch.testing.assert_close(x.T @ x / count, torch.eye(dim, dtype=torch.float64) / dim, atol=4e-3, rtol=0)


@pytest.mark.parametrize("dim", [2, 3, 7])
def test_random_points_are_uniform_and_repeat_with_their_seed(dim):
    x, y = (random_points(20_000, dim, generator=torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(x, y)
    torch.testing.assert_close(x.norm(dim=1), torch.ones(len(x), dtype=torch.float64))
    assert x.mean(0).abs().max() < 5 / (dim * len(x)) ** 0.5
    fourth = 3 / (dim * (dim + 2))
    torch.testing.assert_close(x.pow(4).mean(0), torch.full_like(x[0], fourth), atol=0, rtol=0.06)


FOUR, POLYGON = net_of(3, (4,)), partial(polytope, net_of(2, (3,)))
ONE, TWO = (MLP(n, (2,), activation="relu") for n in (1, 2))
CUBE = np.array(np.meshgrid(*[[-1.0, 1]] * 3)).reshape(3, -1).T
POINTS = r"points: got points "


def weighted(*weights, powers=None):
    net = net_of(len(weights[0][0]), tuple(map(len, weights)), powers)
    assign(net, torch.cat([torch.tensor(w, dtype=torch.float64).flatten() for w in weights]))
    return net


def folded():
    """Absolute values of sums with a negative weight: a body with a dent."""
    return polytope(weighted([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[1, -0.5, 0.2], [0, 1, 0], [0, 0, 1]]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        # complexes, point groups, solids
        (lambda: Complex(np.zeros((3, 4)), ((0, 1, 2),)), r"vertices: got shape \(3, 4\), expected"),
        (lambda: Complex(np.zeros((3, 2)), ((0, 1),)), r"faces: got \(0, 1\), expected at least three"),
        (lambda: Complex(np.zeros((3, 2)), ((0, 1, 3),)), r"got \(0, 1, 3\).* rows of the 3 vertices"),
        (lambda: point_group(np.eye(3)), POINTS + "without opposites, expected -x for each x"),
        (lambda: point_group(CUBE[1:]), POINTS + "without opposites"),
        (lambda: point_group(CUBE * [1, 1, 0]), POINTS + "in a plane or on a line, expected them to span"),
        (lambda: point_group(np.array([[1.0, 2], [-1, -2]])), POINTS + "in a plane or on a line"),
        (lambda: Solid(square(1)), "complex: got vertices of two coordinates, expected three; add a height"),
        # linear pieces
        (lambda: square(-1), "half_width: got -1, expected a finite number above 0"),
        (lambda: region_bound(2, []), "widths: got none, expected one layer"),
        (lambda: unrolled(ONE, sharpness=0), "sharpness: got 0, expected a finite number above 0"),
        (lambda: relu_copy(MLP(1, (2,), activation="tanh")), "got tanh units, expected softplus or relu"),
        (lambda: linear_regions(MLP(2, (2,)), square(1)), "got softplus units, expected relu; relu_copy"),
        (lambda: linear_regions(ONE, square(1)), "got 1 inputs and 1 outputs, expected 2 and 1"),
        (lambda: graph(ONE, square(1)), "got 1 inputs and 1 outputs, expected 2 and 1"),
        (lambda: kinks(TWO, 0, 1), "got 2 coordinates, expected 1; use linear_regions"),
        (lambda: kinks(ONE, 1, 1), "low: got 1, expected less than high = 1"),
        (lambda: heights(TWO, np.ones(2)), r"points: got shape \(2,\), expected \(points, 2\)"),
        (lambda: softplus_gap(TWO), "got relu units, expected softplus$"),
        # networks and their level sets
        (lambda: net_of(1, (3,)), "dim: got 1, expected a whole number, at least 2"),
        (lambda: net_of(3, (), ()), r"powers: got \(\) for widths \(\), expected one power a layer"),
        (
            lambda: net_of(3, (4, 4), (1.0,)),
            r"powers: got \(1.0,\) for widths \(4, 4\), expected one power a",
        ),
        (lambda: net_of(3, (4, 0)), "widths: got 0, expected a whole number, at least 1"),
        (lambda: net_of(3, (4.5,)), "widths: got 4.5, expected a whole number, at least 1"),
        *(
            (partial(net_of, 3, (4,), (p,)), rf"powers: got {p:g}, expected a finite number above 0")
            for p in (0.0, -1.0, math.nan, math.inf)
        ),
        (lambda: net_of(3, (2, 5)), "widths: got 2 units in the first layer for 3 dimensions"),
        *(
            (
                partial(FOUR.slice, basis),
                "basis: got .*, expected two or more orthonormal columns of length 3",
            )
            for basis in (np.ones((3, 2)), np.eye(2), np.ones(3), np.eye(3)[:, :1])
        ),
        (lambda: polytope(net_of(3, (4, 2), (1.0, 0.5))), r"net: got powers \(1.0, 0.5\), expected all one"),
        (lambda: polytope(net_of(5, (6,))), r"net: got 5 dimensions, expected two or three; net.slice"),
        (lambda: mesh(net_of(4, (6,))), "net: got 4 dimensions, expected three; net.slice"),
        (lambda: mesh(FOUR, refine=-1), "refine: got -1, expected"),
        (lambda: POLYGON().surface, "surface: got a polygon, expected a polyhedron"),
        (lambda: POLYGON().export("a.stl"), "surface: got a polygon, expected a polyhedron"),
        (lambda: polytope(FOUR).export("a.ply"), "path: got 'a.ply', expected .* ends in .stl or .obj"),
        (lambda: folded().dual, "dual: got a polytope that is not convex"),
        (lambda: polytope(weighted([[1, 2], [2, 4], [0.5, 1]])), "span fewer than 2 dimensions"),
        (lambda: mesh(weighted([[1.0] * 3] * 3, powers=(2.0,))), "span fewer than 3 dimensions"),
        (lambda: polytope(weighted([[0.0] * 3] * 3)), "span fewer than 3 dimensions"),
        (lambda: polytope(FOUR).export("a.stl", size=math.nan), "size: got nan, expected a finite number"),
        (lambda: scene(reach=(1.0, math.nan, 1.0)), "reach: got nan, expected a finite number"),
        (lambda: polygon_loss(0), "units: got 0, expected"),
        (lambda: polygon_loss(math.inf), "units: got inf, expected"),
        (lambda: facet_bound(0), "facets: got 0, expected"),
        (lambda: kernel_loss(np.ones((2, 3)), 0.0), "power: got 0, expected"),
        (lambda: kernel_loss(np.ones(3), 1.0), r"weights: got shape \(3,\)"),
        (lambda: random_points(0, 3), "count: got 0, expected"),
        (lambda: even_points(10, 1), "dim: got 1, expected"),
    ],
)
def test_errors_say_what_they_got_and_what_to_do(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("function", [relu_copy, softplus_gap, lambda net: linear_regions(net, square(1))])
def test_another_module_is_no_mlp(function):
    with pytest.raises(TypeError, match="network: got a Linear, expected an MLP; unrolled and relu_copy"):
        function(torch.nn.Linear(2, 1))


def test_polytope_can_be_made_by_hand():
    triangle = Polytope(np.array([[1.0, 0], [-0.5, 0.8], [-0.5, -0.8]]), ((0, 1), (1, 2), (2, 0)))
    assert triangle.counts == (3, 3)
    assert triangle.volume == pytest.approx(1.2)
    assert triangle.dual.dual.volume == pytest.approx(1.2)

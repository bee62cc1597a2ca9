"""Linear regions of ReLU networks against brute force, and ReLU copies against the softplus networks."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnbook.geometry.linear_pieces import (
    heights,
    kinks,
    layers_of,
    linear_regions,
    region_bound,
    relu_copy,
    slopes,
    softplus_gap,
    square,
    unrolled,
)
from nnbook.geometry.solids import Solid
from nnbook.networks import MLP, assign

seeds = st.integers(0, 2**32 - 1)
# the ground state that the talk prints: weights, biases, outer weights, outer bias
PRINTED = [0.35953, 2.5821, -0.65170, 0.15421, 3.9226, 0.033213, 2.9574, 2.2016]
PRINTED += [2.4069, -1.8344, -1.9778, 2.3484, -4.8998]


class Bell(torch.nn.Module):
    """A network that ends in softplus, as the wave functions do."""

    def __init__(self, mlp):
        super().__init__()
        self.mlp, self.signed = mlp, mlp.linear()[-1].out_features == 2

    def forward(self, x):
        out = torch.nn.functional.softplus(self.mlp(x))
        return out[:, 0] - out[:, 1] if self.signed else out[:, 0]


def network(hidden, seed, activation="relu", inputs=2, outputs=1):
    generator = torch.Generator().manual_seed(seed)
    options = {"activation": activation, "generator": generator, "dtype": torch.float64}
    return MLP(inputs, hidden, outputs, **options)


def sample(count, seed=1):
    return np.random.default_rng(seed).uniform(-1, 1, (count, 2))


def patterns(net, points):
    return [tuple(row) for row in np.concatenate([f(points) > 0 for f in layers_of(net)], 1)]


def middles(cells):
    return np.array([cells.vertices[list(face)].mean(0) for face in cells.faces])


def test_kinks_of_the_printed_wave_function():
    bell = Bell(network((4,), 1, "softplus", inputs=1))
    assign(bell, torch.tensor(PRINTED, dtype=torch.float64))
    hidden = relu_copy(bell.mlp)
    assert kinks(hidden, -20, 20) == pytest.approx([-14.2766, -10.9104, -0.0128628, 4.53798], rel=1e-5)
    assert kinks(hidden, -5, 5) == pytest.approx([-0.0128628, 4.53798], rel=1e-5)
    whole = relu_copy(bell)
    ends = np.array([-20, *kinks(whole, -20, 20), 20])
    assert len(ends) == 5  # the output leaves zero, peaks, and returns; where it is zero, no unit bends it
    for left, right in itertools.pairwise(ends):
        t = np.linspace(0, 1, 7)
        values = heights(whole, (left + t * (right - left))[:, None])
        assert values == pytest.approx((1 - t) * values[0] + t * values[-1], abs=1e-11)


@settings(max_examples=15, deadline=None)
@given(seeds, st.sampled_from([(5,), (4, 4), (6, 3, 5), (3, 2, 6)]))
def test_regions_are_the_activation_patterns_and_their_surface_the_network(seed, hidden):
    net = network(hidden, seed)
    regions = linear_regions(net, square(1.0))
    found = patterns(net, middles(regions.cells))
    assert len(set(found)) == len(found) == regions.count
    assert set(patterns(net, sample(4000, seed))) <= set(found)
    assert regions.pieces <= regions.count <= region_bound(2, hidden)
    assert regions.cells.area == pytest.approx(4, abs=1e-9)
    assert regions.cells.euler_characteristic == regions.surface.euler_characteristic == 1
    assert regions.surface.deficit_angles().sum() == pytest.approx(2 * np.pi, abs=1e-8)
    points = middles(regions.surface)
    assert heights(net, points[:, :2]) == pytest.approx(points[:, 2], abs=1e-9)
    assert slopes(net, points[:, :2]) == pytest.approx(regions.gradients)
    flat = np.abs(regions.cells.normals[:, 2])
    assert regions.surface.area == pytest.approx(flat @ np.sqrt(1 + (regions.gradients**2).sum(1)))


@settings(max_examples=10, deadline=None)
@given(seeds, st.integers(1, 6))
def test_one_layer_reaches_the_bound(seed, units):
    net = network((units,), seed)
    w, b = (p.detach().numpy() for p in net.linear()[0].parameters())
    crossings = [np.linalg.solve(w[[i, j]], -b[[i, j]]) for i, j in itertools.combinations(range(units), 2)]
    reach = np.abs(b) / np.linalg.norm(w, axis=1)
    far = 2 * max([2.0, *reach, *(float(np.abs(c).max()) for c in crossings)])
    assert linear_regions(net, square(far)).count == region_bound(2, [units])


def test_slopes_are_the_derivatives_of_heights():
    net, x, h = network((5, 4), 2, "softplus"), sample(20), 1e-6
    for k, step in enumerate(h * np.eye(2)):
        difference = (heights(net, x + step) - heights(net, x - step)) / (2 * h)
        assert slopes(net, x)[:, k] == pytest.approx(difference, abs=1e-7)


def test_region_bound_is_the_sum_of_binomials():
    assert region_bound(2, [7]) == 1 + 7 + 21
    assert region_bound(1, [5, 5]) == 36
    assert region_bound(2, [20, 20, 20]) == 211**3


def test_a_unit_that_switches_need_not_bend():
    net = network((1, 1), 1, inputs=1)
    assign(net, torch.tensor([1.0, 0, -1, -1, 1, 0], dtype=torch.float64))  # relu(-relu(x) - 1) = 0
    assert len(kinks(net, -2, 2)) == 0
    assign(net, torch.tensor([1.0, 0, -1, 1, 1, 0], dtype=torch.float64))  # relu(1 - relu(x))
    assert kinks(net, -2, 2) == pytest.approx([0, 1])


def test_a_network_without_a_kink_is_one_region():
    net = network((2,), 1)
    assign(net, torch.tensor([1.0, 0, 0, 1, 9, 9, 1, 1, 0], dtype=torch.float64))
    regions = linear_regions(net, square(1.0))
    assert (regions.count, regions.pieces) == (1, 1)
    assert regions.kink_density(1.0, 2).tolist() == [[0, 0], [0, 0]]
    assert len(Solid(regions.surface).traces()) == 2
    assert len(Solid(regions.surface, edges=regions.jumps[0]).traces()) == 2


def test_a_dead_unit_makes_no_piece():
    net = network((4, 3), 3)
    with torch.no_grad():
        net.linear()[-1].weight.zero_()
    regions = linear_regions(net, square(1.0))
    assert regions.pieces == 1 < regions.count
    assert repr(regions) == f"{regions.count} activation regions, 1 linear piece"


@settings(max_examples=10, deadline=None)
@given(seeds, st.floats(0.5, 50))
def test_sharpness_is_a_matter_of_scale(seed, sharpness):
    net = network((5, 4), seed, "softplus")
    first, second, last = net.linear()
    soft = lambda z: torch.nn.functional.softplus(z, beta=sharpness, threshold=1e9)  # noqa: E731
    x = sample(20, seed)
    direct = last(soft(second(soft(first(torch.as_tensor(x))))))[:, 0].detach().numpy()
    sharper, relu = unrolled(net, sharpness=sharpness), heights(relu_copy(net), x)
    assert heights(sharper, x) == pytest.approx(direct, abs=1e-9)
    assert np.abs(heights(sharper, x) - relu).max() <= softplus_gap(sharper) * (1 + 1e-12)
    assert softplus_gap(sharper) == pytest.approx(softplus_gap(net) / sharpness)
    assert heights(relu_copy(sharper), x) == pytest.approx(relu, abs=1e-9)


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_softplus_on_the_output_is_one_more_layer(outputs, dtype):
    bell = Bell(network((4, 3), 1, "softplus", outputs=outputs)).to(dtype)
    x = torch.as_tensor(sample(30)).to(dtype)
    plain = unrolled(bell)
    assert [layer.out_features for layer in plain.linear()] == [4, 3, outputs, 1]
    torch.testing.assert_close(plain(x)[:, 0], bell(x))


@settings(max_examples=10, deadline=None)
@given(seeds, st.booleans())
def test_kink_density_sums_to_the_length_of_kinks(seed, weighted):
    regions = linear_regions(network((6, 4), seed), square(1.0))
    edges, _, jump = regions.jumps
    start, end = (regions.cells.vertices[edges[:, k]] for k in (0, 1))
    length = np.linalg.norm(end - start, axis=1) * (jump if weighted else jump > 0)
    density = regions.kink_density(1.0, 5, weighted=weighted)
    assert density.sum() * 0.16 == pytest.approx(length.sum(), rel=1e-6)


def test_kink_density_of_one_line():
    net = network((1,), 1)
    assign(net, torch.tensor([1.0, 0.0, -0.1, 3.0, 0.0], dtype=torch.float64))  # 3 max(0, x - 0.1)
    regions = linear_regions(net, square(1.0))
    expected = np.zeros((4, 4))
    expected[2] = 0.5 / 0.25
    assert regions.kink_density(1.0, 4) == pytest.approx(expected)
    assert regions.kink_density(1.0, 4, weighted=True) == pytest.approx(3 * expected)

"""Convex losses: values, gradients and curvature against autograd, and fits against direct solutions."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize as scipy_minimise
from torch import nn

from nnbook.networks import MLP, as_function, flatten
from nnbook.train.gauss_newton import ConvexLoss, half_square
from nnbook.train.linear_method import minimise

seeds = st.integers(0, 2**32 - 1)


def drawn(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def poisson(output, data):
    """Minus the logarithm of a likelihood; two outputs, one number of data."""
    return output.exp().sum() - (output * torch.stack([data[0], 2 * data[0]])).sum()


def coupled(output, data):
    """Two outputs that meet in one square, and a soft absolute value."""
    return (1 + (output[0] - 2 * output[1] - data[0]) ** 2).sqrt() + 0.1 * output.square().sum()


DENSITIES = {"half square": half_square, "poisson": poisson, "coupled": coupled}
densities = st.sampled_from(sorted(DENSITIES))


def network(seed, outputs=2, activation="tanh"):
    generator = torch.Generator().manual_seed(seed)
    return MLP(2, (4,), outputs, activation=activation, generator=generator, dtype=torch.float64)


def loss_of(name, seed=1, count=12):  # 24 outputs, more than the 22 parameters
    data = drawn(count, 2 if name == "half square" else 1, seed=seed + 1)
    return ConvexLoss(drawn(count, 2, seed=seed), data, drawn(count, seed=seed + 2).exp(), DENSITIES[name])


def outputs_of(loss, function):
    return lambda p: function(p, loss.points).reshape(len(loss.points), -1)


# The expansion


@settings(max_examples=15, deadline=None)
@given(seeds, densities)
def test_value_is_the_weighted_sum_over_points(seed, name):
    loss, net = loss_of(name, seed % 1000), network(seed)
    function, params = as_function(net), flatten(net)
    rows = zip(loss.weights, net(loss.points), loss.data, strict=True)
    expected = sum((w * DENSITIES[name](r, y)).item() for w, r, y in rows)
    assert loss.value(function, params).item() == pytest.approx(expected, rel=1e-12)
    assert loss.expand(function, params).energy.item() == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(loss.state(function, params), net(loss.points).detach().flatten())


@settings(max_examples=15, deadline=None)
@given(seeds, densities)
def test_gradient_is_half_that_of_autograd(seed, name):
    loss, net = loss_of(name, seed % 1000), network(seed)
    function, params = as_function(net), flatten(net)
    expected = torch.func.grad(lambda p: loss.value(function, p))(params) / 2
    torch.testing.assert_close(loss.expand(function, params).gradient, expected, rtol=1e-9, atol=1e-10)


@settings(max_examples=15, deadline=None)
@given(seeds, densities)
def test_curvature_is_half_the_hessian_with_the_network_straightened(seed, name):
    loss, net = loss_of(name, seed % 1000), network(seed)
    function, here = as_function(net), flatten(net)
    outputs = outputs_of(loss, function)
    value, jac = outputs(here), torch.func.jacrev(outputs)(here)

    def straight(p):
        rows = zip(loss.weights, value + jac @ (p - here), loss.data, strict=True)
        return sum(w * DENSITIES[name](r, y) for w, r, y in rows)

    expansion = loss.expand(function, here)
    expected = torch.func.hessian(straight)(here) / 2
    torch.testing.assert_close(expansion.curvature, expected, rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(expansion.metric, expansion.curvature)
    torch.testing.assert_close(expansion.pull @ jac.flatten(0, 1), expansion.curvature)
    assert expansion.pull.shape == (len(here), loss.state(function, here).numel())
    lowest = torch.linalg.eigvalsh(expansion.curvature)[0]
    assert lowest > -1e-12 * expansion.curvature.trace()


@pytest.mark.parametrize("seed", range(3))
def test_curvature_is_half_the_whole_hessian_at_a_perfect_fit(seed):
    net = network(seed)
    function, here, x = as_function(net), flatten(net), drawn(12, 2)
    loss = ConvexLoss(x, net(x).detach(), torch.ones(12, dtype=torch.float64))
    expected = torch.func.hessian(lambda p: loss.value(function, p))(here) / 2
    torch.testing.assert_close(loss.expand(function, here).curvature, expected, rtol=1e-9, atol=1e-11)
    assert loss.value(function, here) == 0


@pytest.mark.parametrize("outputs", [1, 2])
def test_fewer_data_than_parameters_make_the_same_steps_in_a_smaller_system(outputs):
    x, y, weights = drawn(5, 2), drawn(5, outputs, seed=2), drawn(5, seed=3).exp()
    small = ConvexLoss(x, y, weights)
    large = ConvexLoss(x, y, weights, lambda r, t: half_square(r, t))  # not known for what it is
    params = [flatten(network(seed, outputs)) for seed in (1, 2, 3)]
    ends = []
    for loss, size in ((small, 5 * outputs), (large, len(params[0]))):
        net = network(1, outputs)
        here = loss.expand(as_function(net), params[0])
        assert here.metric.shape == (size, size)
        fit = minimise(loss, net, starts=torch.stack(params), explore=3, steps=3)
        ends.append((fit.history["value"], flatten(net), here.whole_curvature()))
    torch.testing.assert_close(ends[0][2], ends[1][2], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(ends[0][0], ends[1][0], rtol=1e-6, atol=1e-15)
    torch.testing.assert_close(ends[0][1], ends[1][1], rtol=1e-6, atol=1e-8)


def test_error_of_the_expansion_of_a_linear_network_is_of_third_order():
    loss = loss_of("poisson")
    net = nn.Linear(2, 2, dtype=torch.float64)
    function, here, step = as_function(net), flatten(net), drawn(6, seed=5)
    e = loss.expand(function, here)
    sizes = np.array([0.1, 0.05, 0.025])
    error = []
    for size in sizes:
        d = size * step
        model = e.energy + 2 * e.gradient @ d + d @ e.curvature @ d
        error.append((loss.value(function, here + d) - model).abs().item())
    assert 2.8 < np.polyfit(np.log(sizes), np.log(error), 1)[0] < 3.3


def test_network_of_one_number_a_point_is_a_network_of_one_output():
    net = network(1, outputs=1)
    x, w = drawn(6, 2), torch.ones(6, dtype=torch.float64)
    loss, params = ConvexLoss(x, drawn(6, 1), w), flatten(net)
    wide = loss.expand(as_function(net), params)
    flat = loss.expand(as_function(nn.Sequential(net, nn.Flatten(0))), params)
    for name, part in wide._asdict().items():
        torch.testing.assert_close(getattr(flat, name), part, msg=name)


def test_half_square_is_half_the_distance_squared():
    assert half_square(torch.tensor([1.0, 2.0]), torch.tensor([4.0, -2.0])) == 12.5


def test_vector_valued_networks_are_welcome():
    assert ConvexLoss.vector_valued


# The descent


@pytest.mark.parametrize("outputs", [1, 3])
def test_least_squares_find_the_linear_solution(outputs):
    x, y, w = drawn(30, 4), drawn(30, outputs, seed=2), drawn(30, seed=3).exp()
    net = nn.Linear(4, outputs, dtype=torch.float64)
    fit = minimise(ConvexLoss(x, y, w), net, tolerance=1e-14)
    design = torch.cat([x, torch.ones(30, 1, dtype=torch.float64)], 1)
    root = w.sqrt()[:, None]
    solution = torch.linalg.lstsq(root * design, root * y).solution
    best = 0.5 * (root * (design @ solution - y)).square().sum()
    assert fit.converged
    assert fit.value == pytest.approx(best.item(), rel=1e-10)
    torch.testing.assert_close(net.weight.detach(), solution[:-1].T, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(net.bias.detach(), solution[-1], atol=1e-5, rtol=1e-5)


def test_other_densities_find_the_minimum_of_another_program():
    data = torch.arange(1.0, 13, dtype=torch.float64)[:, None] / 6
    loss = ConvexLoss(drawn(12, 2), data, torch.ones(12, dtype=torch.float64), poisson)
    net = nn.Linear(2, 2, dtype=torch.float64)
    function = as_function(net)

    def objective(vector):
        params = torch.as_tensor(vector).requires_grad_()
        value = loss.value(function, params)
        value.backward()
        return value.item(), params.grad.numpy()

    expected = scipy_minimise(objective, np.zeros(6), jac=True, method="BFGS", options={"gtol": 1e-8})
    fit = minimise(loss, net, tolerance=1e-13)
    assert fit.value == pytest.approx(expected.fun, abs=1e-9)
    assert flatten(net).numpy() == pytest.approx(expected.x, abs=1e-4)


def test_network_finds_the_one_that_made_the_data():
    teacher, x = network(3), drawn(60, 2)
    loss = ConvexLoss(x, teacher(x).detach(), torch.full((60,), 1 / 60, dtype=torch.float64))
    student = network(4)
    starts = torch.stack([flatten(network(seed)) for seed in range(4, 10)])
    assert minimise(loss, student, starts=starts, tolerance=1e-14, steps=200).value < 1e-10


# Bad input


@pytest.mark.parametrize(
    ("points", "data", "weights", "message"),
    [
        (5, (4, 1), 5, "data: got 5 points, 4 data, 5 weights, expected one row of each a point"),
        (5, (5, 1), 4, "data: got 5 points, 5 data, 4 weights"),
        (6, (5, 1), 5, "data: got 6 points, 5 data, 5 weights"),
        (5, (5,), 5, r"data: got shape \(5,\), expected \(n, k\); for one target a point add \[:, None\]"),
        (5, (5, 1, 1), 5, r"data: got shape \(5, 1, 1\), expected \(n, k\)"),
    ],
)
def test_rows_that_do_not_belong_together_are_named(points, data, weights, message):
    with pytest.raises(ValueError, match=message):
        ConvexLoss(drawn(points, 2), drawn(*data), drawn(weights))


@pytest.mark.parametrize(("outputs", "targets"), [(1, 2), (2, 1)])
def test_as_many_targets_as_outputs(outputs, targets):
    net = MLP(2, (3,), outputs, dtype=torch.float64)
    with pytest.raises(ValueError, match=f"got {targets} targets a point for {outputs} outputs"):
        minimise(ConvexLoss(drawn(5, 2), drawn(5, targets), drawn(5)), net, steps=2)


class Volume(nn.Module):
    """det(A + x B), by PyTorch or written out."""

    def __init__(self, determinant):
        super().__init__()
        self.matrices, self.determinant = nn.Parameter(drawn(2, 2, 2)), determinant

    def forward(self, x):
        m = self.matrices[0] + x[:, :1, None] * self.matrices[1]
        if self.determinant:
            return torch.linalg.det(m.tanh())[:, None]
        (a, b), (c, d) = m.tanh().movedim(0, 2)
        return (a * d - b * c)[:, None]


def test_determinant_is_trained_like_the_same_function_written_out():
    loss = ConvexLoss(drawn(9, 1), drawn(9, 1, seed=2), drawn(9, seed=3).exp())
    ours, same = (minimise(loss, Volume(determinant), steps=12, tolerance=0) for determinant in (True, False))
    np.testing.assert_allclose(ours.history["value"], same.history["value"], rtol=1e-9)

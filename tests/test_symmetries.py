"""Symmetries of networks: invariance, what is redundant, what is conserved, transport, geodesics."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nnbook.symmetries import (
    MLP,
    Attention,
    Frame,
    HeadMixing,
    LinearODE,
    Permutation,
    Rescaling,
    Scaling,
    TimeChange,
    UnitMixing,
    ValueMixing,
    as_function,
    charges,
    flatten,
    gauge_directions,
    geodesic,
    integrate,
    jacobian,
    rank,
    reached,
    ricci,
    rk4,
    symmetries,
)

F64 = torch.float64
seeds = st.integers(0, 2**31)


def dice(seed=1):
    return torch.Generator().manual_seed(seed)


def drawn(*shape, seed=2):
    return torch.randn(shape, generator=dice(seed), dtype=F64)


def mlp(*sizes, activation="relu", seed=1):
    inputs, *hidden, outputs = sizes
    return MLP(inputs, hidden, outputs, activation=activation, generator=dice(seed), dtype=F64)


def sine(ode, size):
    """A function of time that vanishes at both ends."""
    return torch.sin(torch.pi * ode.times).view(-1, *[1] * size.ndim) * size


def loss(module, parameters, x, y):
    return float((as_function(module)(parameters, x) - y).square().mean())


# Invariance


@settings(max_examples=20, deadline=None)
@given(seeds, st.sampled_from(["relu", "leaky_relu"]), st.lists(st.integers(1, 5), min_size=1, max_size=3))
def test_losses_of_perceptrons_do_not_change(seed, activation, hidden):
    net = mlp(2, *hidden, 3, activation=activation, seed=seed)
    x, y = drawn(20, 2, seed=seed), drawn(20, 3, seed=seed)
    layer = len(hidden) - 1
    order = torch.randperm(hidden[layer], generator=dice(seed)).tolist()
    for move in (Permutation(order, layer), Rescaling(drawn(hidden[layer], seed=seed).exp(), layer)):
        moved = move.apply(net, flatten(net))
        assert loss(net, moved, x, y) == pytest.approx(loss(net, flatten(net), x, y), rel=1e-12)


@settings(max_examples=20, deadline=None)
@given(seeds, st.sampled_from(["relu", "softmax"]), st.integers(1, 4), st.integers(1, 3))
def test_losses_of_attention_do_not_change(seed, scores, width, head):
    net = Attention(width, head, scores=scores, project=True, generator=dice(seed))
    x, y = drawn(8, 5, width, seed=seed), drawn(8, 5, width, seed=seed + 1)
    turn = torch.linalg.qr(drawn(head, head, seed=seed)).Q * drawn(head, seed=seed).exp()
    for move in (HeadMixing(turn), ValueMixing(turn)):
        moved = move.apply(net, flatten(net))
        assert loss(net, moved, x, y) == pytest.approx(loss(net, flatten(net), x, y), rel=1e-10)


def test_a_permutation_is_the_one_that_the_order_says():
    net, order = mlp(2, 3, 1), [2, 0, 1]
    moved = Permutation(order).apply(net, flatten(net))
    w, b, out = (layer.detach() for layer in (net.layers[0].weight, net.layers[0].bias, net.layers[1].weight))
    assert torch.equal(
        moved, torch.cat([w[order].flatten(), b[order], out[:, order].flatten(), net.layers[1].bias])
    )


def test_what_is_a_symmetry_depends_on_the_activation():
    x, factors = drawn(50, 3), drawn(4).exp()
    broken = {a: Rescaling(factors).defect(mlp(3, 4, 2, activation=a), x) for a in ("tanh", "gelu", "sin")}
    assert min(broken.values()) > 0.02
    flip = UnitMixing(torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=F64)))
    assert flip.defect(mlp(3, 4, 2, activation="tanh"), x) < 1e-14  # odd
    assert flip.defect(mlp(3, 4, 2), x) > 0.1
    assert UnitMixing(drawn(4, 4)).defect(mlp(3, 4, 2, activation="identity"), x) < 1e-13


def test_scores_of_relu_keep_scales_and_those_of_softmax_do_not():
    x, scale = drawn(6, 5, 3), Scaling(-2.0, -0.25, 2.0)
    assert scale.defect(Attention(3, 2, generator=dice()), x) < 1e-14
    assert scale.defect(Attention(3, 2, scores="softmax", generator=dice()), x) > 0.1


@pytest.mark.parametrize("scores", ["relu", "softmax"])
def test_attention_is_its_sum(scores):
    net, x = Attention(3, 2, values=4, scores=scores, generator=dice()), drawn(5, 3)
    q, k, v = (x @ w for w in (net.query, net.key, net.value))
    for i in range(5):
        s = torch.stack([q[i] @ k[j] for j in range(5)])
        s = s.clamp(min=0) if scores == "relu" else torch.exp(s / 2**0.5) / torch.exp(s / 2**0.5).sum()
        torch.testing.assert_close(net(x)[i], sum(s[j] * v[j] for j in range(5)))


# Counting


def test_generators_are_tangents_and_leave_the_function():
    x, eps = 3 * drawn(40, 2), 1e-6
    for net in (mlp(2, 4, 3, 1), mlp(2, 3, 2, activation="identity"), LinearODE(2, 32, generator=dice())):
        rows = gauge_directions(net)
        jac = jacobian(as_function(net), flatten(net), x)[1].flatten(0, -2)
        assert float((jac @ rows.mT).abs().max()) < 1e-9 * float(jac.abs().max())
        for family in symmetries(net):
            s = torch.zeros(family.dimension(net), dtype=F64)
            s[-1] = eps
            change = (family.near(net, s).apply(net, flatten(net)) - flatten(net)) / eps
            torch.testing.assert_close(change, family.generators(net)[-1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("hidden", [1, 3, 6])
def test_one_direction_a_unit_is_redundant(hidden):
    """Every unit bends among the inputs; one that does not has more freedom."""
    net, x = mlp(2, hidden, 2), drawn(300, 2)
    net.place_kinks(0.5 * drawn(hidden, 2, seed=3), scale=1.0, generator=dice())
    jac = jacobian(as_function(net), flatten(net), x)[1].flatten(0, 1)
    assert rank(jac).rank == flatten(net).numel() - hidden


@pytest.mark.parametrize(
    ("scores", "project", "head", "redundant"),
    [("relu", False, 2, 5), ("relu", False, 3, 10), ("softmax", False, 2, 4), ("softmax", True, 2, 8)],
)
def test_redundancy_of_attention(scores, project, head, redundant):
    net, x = Attention(3, head, scores=scores, project=project, generator=dice()), drawn(40, 4, 3)
    jac = jacobian(as_function(net), flatten(net), x)[1].flatten(0, -2)
    assert rank(jac).rank == flatten(net).numel() - redundant
    assert rank(gauge_directions(net)).rank == redundant


def test_a_linear_equation_has_as_many_numbers_as_its_map():
    ode, x = LinearODE(2, generator=dice()), drawn(5, 2)
    assert rank(jacobian(as_function(ode), flatten(ode), x)[1].flatten(0, 1)).rank == 6


SHAPES = [(2, 3, 1), (1, 4, 1), (3, 2, 2)]


@pytest.mark.parametrize("shape", SHAPES)
def test_rectifiers_conserve_their_balance(shape):
    """Twice the charge of a unit is, up to its sign, what enters less what leaves."""
    net = mlp(*shape)
    net.place_kinks(0.5 * drawn(shape[1], shape[0], seed=3), scale=1.0, generator=dice())
    theta, forms = flatten(net), charges(net)
    first, last = net.linear()
    balance = first.weight.square().sum(1) + first.bias.square() - last.weight.square().sum(0)
    values = torch.einsum("i,cij,j->c", theta, forms, theta)
    torch.testing.assert_close(values.abs().sort().values, balance.detach().abs().sort().values)
    found = reached(net, drawn(100, shape[0]), generator=dice())
    assert found[-1].rank == len(theta) - shape[1]


@pytest.mark.parametrize("shape", [(1, 2, 1), (2, 2, 2), (1, 4, 1)])
def test_linear_networks_conserve_symmetric_matrices(shape):
    inputs, units, outputs = shape
    net = mlp(*shape, activation="identity")
    short = max(units - inputs - 1 - outputs, 0)
    laws = units * (units + 1) // 2 - short * (short + 1) // 2
    assert rank(charges(net) @ flatten(net)).rank == laws
    assert reached(net, drawn(40, inputs), generator=dice())[-1].rank == len(flatten(net)) - laws


@pytest.mark.parametrize(("scores", "laws"), [("relu", 4), ("softmax", 3)])
def test_attention_conserves_symmetric_matrices(scores, laws):
    net = Attention(2, 2, scores=scores, generator=dice())
    assert rank(charges(net) @ flatten(net)).rank == laws
    assert reached(net, drawn(40, 3, 2), generator=dice())[-1].rank == len(flatten(net)) - laws


def test_smooth_units_conserve_nothing():
    net = mlp(1, 2, 1, activation="tanh")
    assert charges(net).shape == (0, 7, 7)
    assert reached(net, 2 * drawn(40, 1), generator=dice())[-1].rank == 7


def test_a_bracket_is_the_one_of_finite_differences():
    """Softmax attention, whose forward derivatives are nested: its second rank."""
    net, eps = Attention(2, 1, scores="softmax", generator=dice()), 1e-5
    function, theta, x = as_function(net), flatten(net), drawn(30, 3, 2)
    pull = torch.func.grad(lambda p, k: function(p, x[k : k + 1])[0, 0, 0])
    rows = [pull(theta, k) for k in range(30)]
    for k in range(12):
        a, b = pull(theta, k), pull(theta, k + 12)
        along = lambda j, by: (pull(theta + eps * by, j) - pull(theta - eps * by, j)) / (2 * eps)  # noqa: E731
        rows.append(along(k + 12, a) - along(k, b))
    found = reached(net, x, depth=1, generator=dice())
    assert rank(torch.stack(rows), tolerance=1e-7).rank == found[-1].rank


def test_rank_tells_its_gap():
    rows = torch.diag(torch.tensor([2.0, 1.0, 1e-10], dtype=F64))
    assert rank(rows) == (2, 0.5, pytest.approx(5e-11))
    assert rank(rows[:0]) == (0, 0.0, 0.0)


# Linear neural ODEs


def test_a_scalar_equation_has_its_closed_form():
    ode = LinearODE(1, generator=dice())
    times, weights = np.polynomial.legendre.leggauss(40)
    times = (1 + times) / 2
    w, b = (ode.between(torch.from_numpy(times)) @ v.detach().view(-1) for v in (ode.weight, ode.bias))
    fine = torch.linspace(0, 1, 20_001, dtype=F64)
    path = torch.cumulative_trapezoid(ode.between(fine) @ ode.weight.detach().view(-1), fine)
    grown = np.interp(times, fine, np.append(0, path.numpy()))
    whole = float(0.5 * (w.numpy() * weights).sum())
    end = np.exp(whole) * (0.7 + 0.5 * (np.exp(-grown) * b.numpy() * weights).sum())
    assert ode(torch.tensor([0.7], dtype=F64)).item() == pytest.approx(end, abs=1e-8)


def test_the_path_is_that_of_small_steps():
    ode, x = LinearODE(2, generator=dice()), drawn(4, 2)

    def field(t, x):
        w, b = (torch.einsum("k,k...->...", ode.between(t[None])[0], v) for v in (ode.weight, ode.bias))
        return x @ w.mT + b

    path = integrate(rk4, field, x, torch.linspace(0, 1, 201, dtype=F64))
    torch.testing.assert_close(ode(x), path[-1], atol=1e-8, rtol=1e-8)
    middle = torch.einsum("k,k...->...", ode.between(torch.tensor([0.5], dtype=F64))[0], ode.path(x))
    torch.testing.assert_close(middle, path[100], atol=1e-8, rtol=1e-8)


def test_frames_and_times_keep_the_end_if_they_keep_both_ends():
    ode, x = LinearODE(2, nodes=32, generator=dice()), drawn(4, 2)
    assert Frame(sine(ode, drawn(2, 2, seed=5))).defect(ode, x) < 1e-11
    assert TimeChange(sine(ode, torch.tensor(0.15, dtype=F64))).defect(ode, x) < 1e-11
    turned = Frame((ode.times**2)[:, None, None] * 0.3 * torch.eye(2, dtype=F64))
    moved = as_function(ode)(turned.apply(ode, flatten(ode)), x)
    torch.testing.assert_close(moved, np.exp(0.3) * ode(x))  # the frame of the end


def test_wilson_lines_turn_with_the_frame():
    ode = LinearODE(2, nodes=32, generator=dice())
    g = sine(ode, drawn(2, 2, seed=5)) + ode.times[:, None, None] * torch.eye(2, dtype=F64)
    lines = ode.transport()[0]
    nn.utils.vector_to_parameters(Frame(g).apply(ode, flatten(ode)), ode.parameters())
    torch.testing.assert_close(ode.transport()[0], torch.linalg.matrix_exp(g) @ lines, atol=1e-9, rtol=1e-9)


# Geodesics


@pytest.mark.parametrize("sign", [1, -1])
def test_geodesics_and_curvature_of_a_conformal_metric(sign):
    x, v, one = 0.3 * drawn(6, 2), 0.5 * drawn(6, 2, seed=3), torch.eye(2, dtype=F64)

    def symbols(x):
        slope = -2 * sign * x / (1 + sign * x.square().sum())  # of the logarithm of the factor
        first = torch.einsum("ij,k->ijk", one, slope)
        return first + first.mT - torch.einsum("jk,i->ijk", one, slope)

    def field(t, state):
        a, b = state.chunk(2, -1)
        return torch.cat([b, -torch.einsum("nijk,nj,nk->ni", torch.func.vmap(symbols)(a), b, b)], -1)

    there, length = geodesic(x, v, 1.0, sign)
    path = integrate(rk4, field, torch.cat([x, v], 1), torch.linspace(0, 1, 101, dtype=F64))
    torch.testing.assert_close(path[-1, :, :2], there, atol=1e-8, rtol=1e-8)
    metric = (4 / (1 + sign * x.square().sum(1)) ** 2)[:, None, None] * one
    torch.testing.assert_close(ricci(symbols, x), sign * metric)
    torch.testing.assert_close(torch.einsum("nij,ni,nj->n", metric, v, v), length**2)


# Errors

PLAIN = nn.Linear(2, 2, dtype=F64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Rescaling(torch.tensor([1.0, -2.0])), "factors: got -2, expected all above 0"),
        (lambda: HeadMixing(torch.ones(2, 2)), "matrix: got one without inverse"),
        (lambda: UnitMixing(torch.zeros(2, 2)), "matrix: got one without inverse"),
        (lambda: HeadMixing(torch.ones(2, 3)), r"matrix: got shape \(2, 3\), expected \(2, 2\)"),
        (lambda: Permutation([0, 2]), r"order: got \[0, 2\]"),
        (lambda: Scaling(-1.0, 1.0, -1.0), "key: got 1 with query -1, expected a product above 0"),
        (lambda: Scaling(2.0, 1.0, 1.0), "value: got 1, expected 1 / .* = 0.5"),
        (
            lambda: Rescaling(torch.ones(3)).apply(mlp(2, 4, 1), drawn(17)),
            r"got shape \(3,\), expected \(4,\)",
        ),
        (lambda: Permutation([1, 0], 1).apply(mlp(2, 2, 1), drawn(9)), "layer: got 1, expected 0 to 0"),
        (
            lambda: Permutation([1, 0]).apply(mlp(2, 2, 1), drawn(8)),
            r"parameters: got shape \(8,\), expected \(9,\)",
        ),
        (lambda: ValueMixing(torch.eye(2)).apply(Attention(2, 2), drawn(12)), "write project=True"),
        (
            lambda: TimeChange(-2 * LinearODE(1).bubbles[:, 0]).apply(LinearODE(1), drawn(48)),
            "f: got a slope of|at: got times",
        ),
        (lambda: Attention(2, 2, scores="tanh"), "scores: got 'tanh', expected 'relu' or 'softmax'"),
        (lambda: LinearODE(2, nodes=3), "nodes: got 3, expected a whole number, at least 4"),
        (lambda: geodesic(drawn(3, 2), drawn(3, 2), 1.0, 0), "sign: got 0, expected 1 or -1"),
    ],
    ids=[f"value {k}" for k in range(15)],
)
def test_wrong_values_say_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: Rescaling(torch.ones(2)).apply(PLAIN, drawn(6)),
            "module: got a Linear, expected one of MLP for Res",
        ),
        (
            lambda: HeadMixing(torch.eye(2)).apply(mlp(2, 2, 1), drawn(9)),
            "expected one of Attention for HeadMixing",
        ),
        (lambda: symmetries(PLAIN), "module: got a Linear, expected one of MLP, Attention, LinearODE"),
        (
            lambda: reached(LinearODE(1), drawn(3, 1), generator=dice()),
            "module: got a LinearODE, expected one of MLP, A",
        ),
    ],
    ids=["rescaling", "mixing", "symmetries", "reached"],
)
def test_wrong_modules_say_what_is_supported(call, message):
    with pytest.raises(TypeError, match=message):
        call()

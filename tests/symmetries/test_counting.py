"""What is redundant and what is conserved, against formulas and finite differences."""

import pytest
import torch
from torch import nn

from nnbook.symmetries import (
    MLP,
    Attention,
    LinearODE,
    as_function,
    charges,
    flatten,
    gauge_directions,
    jacobian,
    rank,
    reached,
    symmetries,
)

F64 = torch.float64


def dice(seed=1):
    return torch.Generator().manual_seed(seed)


def drawn(*shape, seed=2):
    return torch.randn(shape, generator=dice(seed), dtype=F64)


def mlp(*sizes, activation="relu", seed=1):
    inputs, *hidden, outputs = sizes
    return MLP(inputs, hidden, outputs, activation=activation, generator=dice(seed), dtype=F64)


PLAIN = nn.Linear(2, 2, dtype=F64)


def test_generators_are_tangents_and_leave_the_function():
    x, eps = 3 * drawn(40, 2), 1e-6
    for net in (mlp(2, 4, 3, 1), mlp(2, 3, 2, activation="identity"), LinearODE(2, 32, generator=dice())):
        rows = gauge_directions(net)
        jac = jacobian(as_function(net), flatten(net), x)[1].flatten(0, -2)
        assert float((jac @ rows.mT).abs().max()) < 1e-9 * float(jac.abs().max())
        for symmetry in symmetries(net):
            dimension, element = symmetry.family(net)
            s = torch.zeros(dimension, dtype=F64)
            s[-1] = eps
            change = (element(s).apply(net, flatten(net)) - flatten(net)) / eps
            torch.testing.assert_close(change, symmetry.generators(net)[-1], atol=1e-4, rtol=1e-4)


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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: symmetries(PLAIN), "module: got a Linear, expected one of MLP, Attention, LinearODE"),
        (
            lambda: reached(LinearODE(1), drawn(3, 1), generator=dice()),
            "module: got a LinearODE, expected one of MLP, A",
        ),
    ],
    ids=[f"type {k}" for k in range(2)],
)
def test_wrong_modules_say_what_is_supported(call, message):
    with pytest.raises(TypeError, match=message):
        call()

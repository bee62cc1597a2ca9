"""Moves of the weights: losses that do not change, and what is refused."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nnbook.symmetries import (
    MLP,
    Attention,
    HeadMixing,
    Permutation,
    Rescaling,
    Scaling,
    UnitMixing,
    ValueMixing,
    as_function,
    flatten,
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


def loss(module, parameters, x, y):
    return float((as_function(module)(parameters, x) - y).square().mean())


PLAIN = nn.Linear(2, 2, dtype=F64)


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
    ],
    ids=[f"value {k}" for k in range(11)],
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
    ],
    ids=[f"type {k}" for k in range(2)],
)
def test_wrong_modules_say_what_is_supported(call, message):
    with pytest.raises(TypeError, match=message):
        call()

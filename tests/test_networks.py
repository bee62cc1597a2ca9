"""Networks as functions of their parameters: formulas, reproducible weights, Jacobians."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erf, expit

from nnbook.networks import ACTIVATIONS, MLP, activation_function, as_function, assign, flatten, jacobian

FORMULAS = {
    "softplus": lambda z: np.logaddexp(0, z),
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(0, z),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "identity": lambda z: z,
    "silu": lambda z: z * expit(z),
    "gelu": lambda z: z * (1 + erf(z / np.sqrt(2))) / 2,
    "sin": np.sin,
}
SHAPES = [(1, (4,)), (2, (3, 5)), (3, (4, 4, 2))]

seeds = st.integers(0, 2**31)
shapes = st.tuples(st.integers(1, 4), st.lists(st.integers(1, 6), min_size=1, max_size=3))


def drawn(seed):
    return torch.Generator().manual_seed(seed)


def network(inputs=2, hidden=(3, 5), outputs=1, *, seed=1, **options):
    return MLP(inputs, hidden, outputs, generator=drawn(seed), dtype=torch.float64, **options)


def samples(count, inputs, *, seed=9):
    return torch.randn(count, inputs, generator=drawn(seed), dtype=torch.float64)


def test_each_activation_has_its_formula_here():
    assert FORMULAS.keys() == ACTIVATIONS.keys()


@pytest.mark.parametrize("name", FORMULAS)
def test_activation_is_its_formula(name):
    z = np.linspace(-6, 6, 49)
    np.testing.assert_allclose(activation_function(name)(torch.as_tensor(z)), FORMULAS[name](z), atol=1e-14)


@pytest.mark.parametrize("name", FORMULAS)
def test_mlp_is_its_formula(name):
    mlp = network(2, (3, 5), 2, activation=name)
    x = samples(7, 2)
    a = x.numpy()
    *hidden, last = [(p.weight.detach().numpy(), p.bias.detach().numpy()) for p in mlp.linear()]
    for weight, bias in hidden:
        a = FORMULAS[name](a @ weight.T + bias)
    np.testing.assert_allclose(mlp(x).detach(), a @ last[0].T + last[1], rtol=1e-13, atol=1e-13)


def test_leading_dimensions_are_kept():
    assert network(2, (3,), 4)(torch.zeros(5, 6, 2, dtype=torch.float64)).shape == (5, 6, 4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_same_generator_same_weights(dtype):
    first, second = (MLP(2, (8, 8), generator=drawn(3), dtype=dtype) for _ in range(2))
    assert torch.equal(flatten(first), flatten(second))
    assert flatten(first).dtype == dtype
    assert not torch.equal(flatten(first), flatten(MLP(2, (8, 8), generator=drawn(4), dtype=dtype)))


def test_float32_weights_are_the_rounded_float64_ones():
    single, double = (MLP(2, (8, 8), generator=drawn(3), dtype=d) for d in (torch.float32, torch.float64))
    assert torch.equal(flatten(single), flatten(double).float())


def test_a_generator_leaves_the_global_one_alone():
    before = torch.get_rng_state()
    network()
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_have_the_announced_widths():
    mlp = network(4, (300, 300))
    first, second, last = mlp.linear()
    assert first.weight.std().item() == pytest.approx(4**-0.5, rel=0.1)
    assert second.weight.std().item() == pytest.approx(300**-0.5, rel=0.1)
    assert second.bias.std().item() == pytest.approx(1, rel=0.2)
    assert not last.bias.any()


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((1, ()), {}, r"hidden: got \(\) .* expected at least one hidden layer .* hidden=\(8, 8\)"),
        ((1, (8, 0)), {}, r"hidden: got \(8, 0\) .* no size below 1"),
        ((0, (8,)), {}, r"hidden: got \(8,\) with 0 inputs .* no size below 1"),
        ((1, (8,), 0), {}, r"hidden: got \(8,\) with 1 inputs and 0 outputs"),
        (
            (1, (8,)),
            {"activation": "swish"},
            r"activation: got 'swish', expected one of gelu, identity, .*tanh",
        ),
    ],
)
def test_wrong_network_is_named(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        MLP(*arguments, **options)


@pytest.mark.parametrize("inputs", [1, 3])
def test_units_bend_at_the_given_points(inputs):
    mlp, points = network(inputs, (50, 2)), 3 * samples(50, inputs)
    mlp.place_kinks(points, scale=2.0, generator=drawn(5))
    first = mlp.linear()[0]
    assert first(points).diagonal().abs().max() < 1e-14
    assert first.weight.std().item() == pytest.approx(1 / 2.0, rel=0.3)


def test_kinks_touch_the_first_layer_only():
    mlp = network(1, (4, 3))
    rest = [p.clone() for layer in mlp.linear()[1:] for p in layer.parameters()]
    mlp.place_kinks(samples(4, 1), scale=1.0, generator=drawn(5))
    assert all(map(torch.equal, rest, [p for layer in mlp.linear()[1:] for p in layer.parameters()]))


@pytest.mark.parametrize("shape", [(3, 1), (4, 2), (4,)])
def test_kinks_of_the_wrong_shape_are_named(shape):
    with pytest.raises(ValueError, match=r"points: got shape .*, expected \(4, 1\)"):
        network(1, (4,)).place_kinks(torch.zeros(shape), scale=1.0)


@given(shapes, seeds, seeds)
def test_flatten_undoes_assign(shape, seed, other):
    mlp = network(*shape, seed=seed)
    vector = flatten(network(*shape, seed=other))
    assign(mlp, vector)
    assert torch.equal(flatten(mlp), vector)


def test_flatten_is_a_copy():
    mlp = network()
    before = mlp(torch.ones(1, 2, dtype=torch.float64))
    flatten(mlp).zero_()
    assert torch.equal(mlp(torch.ones(1, 2, dtype=torch.float64)), before)


def test_assign_copies_too():
    mlp, vector = network(), flatten(network(seed=2))
    kept = vector.clone()
    assign(mlp, vector)
    vector.zero_()
    assert torch.equal(flatten(mlp), kept)


def test_assign_keeps_the_dtype_of_the_network():
    mlp = network()
    assign(mlp, flatten(mlp).float())
    assert flatten(mlp).dtype == torch.float64


@pytest.mark.parametrize("change", [-1, 1])
def test_assign_refuses_a_vector_of_the_wrong_length(change):
    mlp = network(1, (4,))
    with pytest.raises(ValueError, match=r"vector: got shape .*, expected \(13,\), one number a parameter"):
        assign(mlp, torch.zeros(13 + change))


@given(shapes, seeds, seeds)
def test_as_function_is_the_module(shape, seed, other):
    mlp, twin = network(*shape, seed=seed), network(*shape, seed=other)
    function, vector, x = as_function(mlp), flatten(twin), samples(3, shape[0])
    before = flatten(mlp)
    assert torch.equal(function(before, x), mlp(x))
    assert torch.equal(function(vector, x), twin(x))
    assert torch.equal(flatten(mlp), before)


@pytest.mark.parametrize(("inputs", "hidden"), SHAPES)
@pytest.mark.parametrize("activation", ["softplus", "tanh"])
def test_jacobian_is_that_of_autograd_and_of_finite_differences(inputs, hidden, activation):
    mlp = network(inputs, hidden, activation=activation)
    function, vector, x = as_function(mlp), flatten(mlp), samples(6, inputs)
    values, rows = jacobian(function, vector, x)
    assert torch.equal(values, mlp(x)[:, 0])

    reverse = torch.autograd.functional.jacobian(lambda v: function(v, x)[:, 0], vector)
    torch.testing.assert_close(rows, reverse, rtol=1e-13, atol=1e-14)

    step = 1e-5 * torch.eye(len(vector), dtype=torch.float64)
    difference = [(function(vector + e, x) - function(vector - e, x))[:, 0] / 2e-5 for e in step]
    torch.testing.assert_close(rows, torch.stack(difference, 1), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("inputs", "hidden"), SHAPES)
@pytest.mark.parametrize("activation", [name for name in ACTIVATIONS if name != "relu"])
def test_gradient_reaches_every_parameter(inputs, hidden, activation):
    mlp = network(inputs, hidden, activation=activation)
    mlp(samples(20, inputs)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().min() > 0 for p in mlp.parameters())

"""Self-attention is its sum; a linear neural ODE is its closed form and the limit of small steps."""

import numpy as np
import pytest
import torch

from nnbook.symmetries import Attention, LinearODE, as_function, flatten, integrate, jacobian, rank, rk4

F64 = torch.float64


def dice(seed=1):
    return torch.Generator().manual_seed(seed)


def drawn(*shape, seed=2):
    return torch.randn(shape, generator=dice(seed), dtype=F64)


@pytest.mark.parametrize("scores", ["relu", "softmax"])
def test_attention_is_its_sum(scores):
    net, x = Attention(3, 2, scores=scores, generator=dice()), drawn(5, 3)
    q, k, v = (x @ w for w in (net.query, net.key, net.value))
    for i in range(5):
        s = torch.stack([q[i] @ k[j] for j in range(5)])
        s = s.clamp(min=0) if scores == "relu" else torch.exp(s / 2**0.5) / torch.exp(s / 2**0.5).sum()
        torch.testing.assert_close(net(x)[i], sum(s[j] * v[j] for j in range(5)))


def test_a_linear_equation_has_as_many_numbers_as_its_map():
    ode, x = LinearODE(2, generator=dice()), drawn(5, 2)
    assert rank(jacobian(as_function(ode), flatten(ode), x)[1].flatten(0, 1)).rank == 6


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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Attention(2, 2, scores="tanh"), "scores: got 'tanh', expected 'relu' or 'softmax'"),
        (lambda: LinearODE(2, nodes=3), "nodes: got 3, expected a whole number, at least 4"),
    ],
    ids=[f"value {k}" for k in range(2)],
)
def test_wrong_values_say_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()

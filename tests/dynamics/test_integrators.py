"""Integrators: their orders against closed forms, what they conserve, derivatives, and what is refused."""

import math

import pytest
import torch
from torch.func import jacfwd, jacrev, vmap

from nnbook.dynamics.integrators import euler, integrate, leapfrog, midpoint, rk4

F = {"dtype": torch.float64}
TURN = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], **F)  # also the symplectic form
ORDERS = [(euler, 1), (midpoint, 2), (rk4, 4), (leapfrog, 2)]
METHODS = [method for method, _ in ORDERS]
by_name = {"ids": lambda what: getattr(what, "__name__", str(what))}


def oscillator(t, x):
    return x @ TURN.mT


def driven(t, x):
    """A time-dependent Hamiltonian, p^2/2 + q^2/2 - q cos t."""
    return oscillator(t, x) + torch.stack([torch.zeros_like(t), t.cos()])


def resonance(t, q, p):
    """The exact solution of the driven oscillator."""
    c, s = math.cos(t), math.sin(t)
    return torch.tensor([q * c + p * s + t * s / 2, p * c - q * s + (s + t * c) / 2], **F)


def pendulum(t, x):
    q, p = x.chunk(2, -1)
    return torch.cat([p, -(1 + t) * q.sin()], -1)


@pytest.mark.parametrize(("method", "order"), ORDERS, **by_name)
def test_error_falls_with_the_order(method, order):
    start, end = torch.tensor([0.7, -0.2], **F), resonance(2.0, 0.7, -0.2)
    counts = torch.tensor([40, 80])
    errors = [
        (integrate(method, driven, start, torch.linspace(0, 2, n + 1, **F))[-1] - end).norm() for n in counts
    ]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.05)


@pytest.mark.parametrize(("method", "power"), [(euler, 1), (midpoint, 2), (rk4, 4)], **by_name)
def test_one_step_is_the_exponential_series_cut_off(method, power):
    step = torch.tensor(0.3, **F)
    series = sum(torch.linalg.matrix_power(0.3 * TURN, k) / math.factorial(k) for k in range(power + 1))
    ours = method(oscillator, torch.tensor(0.0, **F), torch.eye(2, **F), step)
    torch.testing.assert_close(ours.mT, series, atol=1e-14, rtol=0)


def test_leapfrog_is_symplectic_and_euler_is_not():
    times = torch.linspace(0, 3, 13, **F)

    def turned(method):
        jacobian = jacfwd(lambda x: integrate(method, pendulum, x, times)[-1])(torch.tensor([1.0, 0.5], **F))
        return (jacobian.mT @ TURN @ jacobian - TURN).abs().max()

    assert turned(leapfrog) < 1e-13
    assert turned(euler) > 0.1


def test_leapfrog_returns_on_its_way_back():
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(1), **F)
    times = torch.linspace(0, 2, 21, **F)
    there = integrate(leapfrog, pendulum, x, times)
    back = integrate(leapfrog, pendulum, there[-1], times.flip(0))
    torch.testing.assert_close(back.flip(0), there, atol=1e-13, rtol=0)


@pytest.mark.parametrize("method", METHODS, **by_name)
def test_batches_and_uneven_times_change_nothing(method):
    x = torch.randn(2, 3, 2, generator=torch.Generator().manual_seed(1), **F)
    times = torch.tensor([0.0, 0.1, 0.4, 0.45], **F)
    path = integrate(method, pendulum, x, times)
    assert path.shape == (4, 2, 3, 2)
    alone = integrate(method, pendulum, path[1, 1, 2], times[1:])
    torch.testing.assert_close(path[1:, 1, 2], alone)


@pytest.mark.parametrize("method", METHODS, **by_name)
def test_derivatives_forward_and_backward_agree_with_differences(method):
    times, x = torch.linspace(0, 1, 6, **F), torch.tensor([0.4, 0.3], **F)

    def end(friction):
        return integrate(method, lambda t, y: pendulum(t, y) * (1 + friction), x, times)[-1]

    at, h = torch.tensor(0.2, **F), 1e-5
    difference = (end(at + h) - end(at - h)) / (2 * h)
    torch.testing.assert_close(jacfwd(end)(at), difference, atol=1e-9, rtol=0)
    torch.testing.assert_close(jacrev(end)(at), difference, atol=1e-9, rtol=0)
    torch.testing.assert_close(vmap(end)(at[None])[0], end(at))


def test_dtype_follows_the_states():
    path = integrate(rk4, oscillator_of_any_dtype, torch.ones(3, 2), torch.linspace(0, 1, 5, **F))
    assert path.dtype == torch.float32


def oscillator_of_any_dtype(t, x):
    return x @ TURN.to(x).mT


@pytest.mark.parametrize(
    ("x", "times", "message"),
    [
        (
            torch.ones(2, dtype=torch.int64),
            torch.arange(3.0),
            "x: got torch.int64, expected single or double",
        ),
        (torch.ones(2), torch.zeros(1), "times: got 1, expected at least two"),
        (torch.ones(2), torch.tensor([0.0, 1.0, 0.5]), "from 0 to 0.5, some of them out of order"),
        (torch.ones(2), torch.tensor([0.0, math.nan]), "times: got NaN or infinities"),
        (torch.ones(3), torch.arange(3.0), "x: got 3 columns, expected positions and momenta"),
    ],
    ids=["whole numbers", "one time", "turning back", "NaN", "odd"],
)
def test_wrong_input_is_refused(x, times, message):
    with pytest.raises(ValueError, match=message):
        integrate(leapfrog, lambda t, y: 0 * y, x, times)

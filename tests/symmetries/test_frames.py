"""Frames and times of a linear neural ODE keep its end."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nnbook.symmetries import Frame, LinearODE, TimeChange, as_function, flatten

F64 = torch.float64
seeds = st.integers(0, 2**31)


def dice(seed=1):
    return torch.Generator().manual_seed(seed)


def drawn(*shape, seed=2):
    return torch.randn(shape, generator=dice(seed), dtype=F64)


def sine(ode, size):
    """A function of time that vanishes at both ends."""
    return torch.sin(torch.pi * ode.times).view(-1, *[1] * size.ndim) * size


def loss(module, parameters, x, y):
    return float((as_function(module)(parameters, x) - y).square().mean())


@settings(max_examples=10, deadline=None)
@given(seeds, st.integers(1, 3))
def test_losses_of_linear_equations_do_not_change(seed, dim):
    ode, x, y = (
        LinearODE(dim, 32, generator=dice(seed)),
        drawn(8, dim, seed=seed),
        drawn(8, dim, seed=seed + 1),
    )
    frame = Frame(sine(ode, drawn(dim, dim, seed=seed).tanh() / dim))
    for move in (frame, TimeChange(sine(ode, 0.2 * drawn(seed=seed).tanh()))):
        moved = move.apply(ode, flatten(ode))
        assert loss(ode, moved, x, y) == pytest.approx(loss(ode, flatten(ode), x, y), rel=1e-8)


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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: TimeChange(-2 * LinearODE(1).bubbles[:, 0]).apply(LinearODE(1), drawn(48)),
            "f: got a slope of|at: got times",
        ),
    ],
    ids=[f"value {k}" for k in range(1)],
)
def test_wrong_values_say_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()

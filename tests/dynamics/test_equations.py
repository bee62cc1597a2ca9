"""Known solutions obey the equations: two implementations that share no code."""

from functools import partial

import numpy as np
import pytest
import torch

from nnbook.derivatives import Jet, jet
from nnbook.dynamics.equations import burgers, oscillator, schroedinger
from nnbook.exact.solutions import breather, cole_hopf, oscillation
from nnbook.networks import MLP

STENCIL = np.arange(-3, 4)
FIRST = np.array([-1, 9, -45, 0, 45, -9, 1]) / 60
SECOND = np.array([2, -27, 270, -490, 270, -27, 2]) / 180


def jet_of(function, x, h=1e-2):
    """The jet of a NumPy function of points ``(n, inputs)``, by differences of sixth order."""
    around = np.stack([[function(x + k * h * step) for k in STENCIL] for step in np.eye(x.shape[1])])
    slope, bend = (np.tensordot(w, around, (0, 1)) / h**n for n, w in ((1, FIRST), (2, SECOND)))
    return Jet(*(torch.from_numpy(part) for part in (around[0, 3], slope, bend)))


def fluid(x):
    return cole_hopf(x[:, 0], x[:, 1], viscosity=0.1)[:, None]


def wave(x):
    h = breather(x[:, 0], x[:, 1])
    return np.stack([h.real, h.imag], 1)


def swing(damping, x):
    return oscillation(x, damping=damping, frequency=2.0)


@pytest.mark.parametrize(
    ("equation", "solution", "low", "high"),
    [
        (partial(oscillator, damping=0.0, frequency=2.0), partial(swing, 0.0), [0], [5]),
        (partial(oscillator, damping=1.8, frequency=2.0), partial(swing, 1.8), [0], [5]),
        (partial(burgers, viscosity=0.1), fluid, [0.1, -1], [1, 1]),
        (schroedinger, wave, [0, -3], [2, 3]),
    ],
)
def test_known_solution_has_no_residual(equation, solution, low, high):
    x = np.random.default_rng(1).uniform(low, high, (30, len(low)))
    u = jet_of(solution, x)
    scale = max(u.slope.abs().max().item(), u.bend.abs().max().item())
    assert equation(torch.from_numpy(x), u).abs().max() < 1e-7 * scale


@pytest.mark.parametrize(
    ("equation", "inputs", "outputs", "message"),
    [
        (partial(burgers, viscosity=0.1), 1, 1, "got a network of 1 inputs and 1 outputs, expected 2 and 1"),
        (partial(burgers, viscosity=0.1), 2, 2, "2 inputs and 2 outputs, expected 2 and 1"),
        (schroedinger, 2, 1, "2 inputs and 1 outputs, .* 2 and 2"),
    ],
)
def test_network_of_other_sizes_is_refused(equation, inputs, outputs, message):
    x = torch.zeros(3, inputs)
    with pytest.raises(ValueError, match=message):
        equation(x, jet(MLP(inputs, (3,), outputs, activation="tanh"), x))

"""The exact step beside an ODE solver, and machines that are linear in their state beside closed forms."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from nnbook.dynamics.recurrences import (
    Distiller,
    Translator,
    fit_translator,
    polynomial,
    products,
    propagator,
    waves,
)
from nnbook.networks import as_function, flatten
from nnbook.train.gauss_newton import ConvexLoss
from nnbook.train.linear_method import minimise

F = {"dtype": torch.float64}
A = 0.1


def dice(seed=1):
    return torch.Generator().manual_seed(seed)


def data(count=9, sites=20):
    v = (-1 + torch.randn(count, sites, generator=dice(), **F)).clamp(-4, 2)
    return v, waves(v, A)[..., 0].square()


def test_the_propagator_is_that_of_the_differential_equation():
    v = np.array([-3.0, 0.0, 1.5, -0.5])

    def slope(x, y):
        return [y[1], v[min(int(x / A), 3)] * y[0]]

    state = np.array([1.0, 0.0])
    for cell in range(4):  # one cell at a time: the potential jumps
        ends = (cell * A, (cell + 1) * A - 1e-15)
        state = solve_ivp(slope, ends, state, rtol=1e-12, atol=1e-13).y[:, -1]
        ours = waves(torch.from_numpy(v)[None], A)[0, cell].numpy()
        np.testing.assert_allclose(ours, state, atol=1e-10)


@pytest.mark.parametrize("v", [-4.0, -1e-12, 0.0, 1e-12, 2.0])
def test_the_propagator_keeps_areas(v):
    step = propagator(torch.tensor([v], **F), A)[0]
    assert float(torch.linalg.det(step)) == pytest.approx(1, abs=1e-14)
    assert float(step.trace()) == pytest.approx(2 * np.cosh(A * np.sqrt(v + 0j)).real, abs=1e-14)


@pytest.mark.parametrize("quadratic", [False, True], ids=["linear", "quadratic"])
def test_the_translator_carries_its_derivatives(quadratic):
    v, _ = data(sites=7)
    net = Translator(2, quadratic=quadratic, degree=2, generator=dice())
    values, rows = net.jacobian(None, flatten(net), v)
    torch.testing.assert_close(values, net(v).detach())
    wanted = torch.func.jacfwd(as_function(net))(flatten(net), v)
    torch.testing.assert_close(rows, wanted)


def test_three_numbers_and_a_linear_readout_are_exact():
    """The second symmetric power of the propagator, to third order in V."""
    net = Translator(3, degree=4)
    v = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0], **F)
    t = propagator(v, A)
    (a, b), (c, d) = t[:, 0].mT, t[:, 1].mT
    rows = [[a * a, 2 * a * b, b * b], [a * c, a * d + b * c, b * d], [c * c, 2 * c * d, d * d]]
    square = torch.stack([torch.stack(row, -1) for row in rows], -2)
    vander = v[:, None] ** torch.arange(5)
    with torch.no_grad():
        net.update.copy_(torch.linalg.solve(vander, square.flatten(1)).view(5, 3, 3))
        net.start.copy_(torch.tensor([1.0, 0.0, 0.0]))
        net.readout.copy_(torch.tensor([1.0, 0.0, 0.0]))
    potential, _ = data()
    assert (
        float(
            (net(potential.clamp(-2, 2)).detach() - waves(potential.clamp(-2, 2), A)[..., 0] ** 2).abs().max()
        )
        < 1e-7
    )
    wave = waves(v[:, None], A)[:, 0]
    torch.testing.assert_close(net.states(v[:, None])[:, 0], products(wave), atol=1e-12, rtol=0)


def test_three_numbers_are_learnt_and_two_are_not():
    potential, density = data()
    fits = {}
    for hidden, steps in ((2, 10), (3, 40)):
        net = Translator(hidden, generator=dice())
        fits[hidden] = fit_translator(net, potential, density, windows=(8, 20), steps=steps, tolerance=1e-10)
    assert fits[3].value < 1e-10
    assert fits[2].value > 1e-3
    trace = polynomial(net.update, torch.tensor([0.0, 1.0], **F)).diagonal(dim1=1, dim2=2).sum(1)
    torch.testing.assert_close(trace, 4 * torch.cosh(torch.tensor([0.0, A], **F)) ** 2 - 1, atol=1e-4, rtol=0)


def test_a_distiller_can_be_exact():
    """With the square root as its encoder two numbers are enough."""
    potential = torch.tensor([[-1.0, 0.5, 1.0]], **F)
    net = Distiller(3, 2, degree=4)
    v = torch.linspace(-2, 2, 5, **F)
    with torch.no_grad():
        vander = v[:, None] ** torch.arange(5)
        net.update.copy_(torch.linalg.solve(vander, propagator(v, A).flatten(1)).view(5, 2, 2))
        net.decoder.copy_(torch.cat([torch.zeros(3, 3, **F), torch.eye(3, **F)]))
    rolled = net.roll(torch.tensor([[1.0, 0.0]], **F), potential)
    torch.testing.assert_close(rolled[:, 1:], waves(potential, A), atol=1e-9, rtol=0)
    torch.testing.assert_close(net.decode(rolled), products(rolled))


def test_a_distiller_trains():
    potential = data()[0].clamp(-1, 1)
    h = products(waves(potential, A))
    x, y = torch.cat([h[:, 0], potential[:, 1:4]], 1), h[:, :4].flatten(1)
    net = Distiller(3, 3, hidden=(4,), generator=dice())
    first = float((net(x) - y).detach().square().mean())
    fit = minimise(ConvexLoss(x, y, torch.full((len(x),), 2 / y.numel(), **F)), net, steps=8)
    assert fit.value < 0.1 * first


def bad_windows():
    potential, density = data(sites=20)
    return fit_translator(Translator(3), potential, density, windows=(10, 30))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (bad_windows, "windows: got 30, expected at most 20"),
        (lambda: propagator(torch.zeros(3, **F), 0.0), "spacing: got 0, expected a finite number above 0"),
        (lambda: waves(torch.zeros(3, 4, **F), -0.1), "spacing: got -0.1"),
        (lambda: Distiller(3, 0), "latent: got 0, expected a whole number, at least 1"),
        (lambda: Translator(0), "hidden: got 0"),
        (lambda: Translator(3)(torch.zeros(1, 4)), "potential: got torch.float32, expected torch.float64"),
    ],
)
def test_wrong_input_says_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()

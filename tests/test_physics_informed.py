"""Equations as sums of squares: derivatives, exact solutions, classic solvers, and small fits."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from torch import nn
from torch.func import jvp

import nnbook
from nnbook.derivatives import SMOOTH, Jet, jet, slope, value
from nnbook.dynamics.equations import (
    breather,
    burgers,
    cole_hopf,
    oscillation,
    oscillator,
    schroedinger,
    split_step,
)
from nnbook.networks import MLP, as_function, flatten, jacobian
from nnbook.physics_informed import (
    Region,
    Residuals,
    Term,
    covariance,
    each,
    gauss_newton,
    total,
    train,
)
from nnbook.train.linear_method import minimise

seeds = st.integers(0, 2**32 - 1)
F64 = torch.float64


@pytest.fixture(autouse=True, scope="module")
def _as_in_a_chapter():
    nnbook.start(seed=1, device="cpu", quiet=True)


def network(seed=1, inputs=2, hidden=(5, 4), outputs=1, activation="tanh"):
    generator = torch.Generator().manual_seed(seed)
    return MLP(inputs, hidden, outputs, activation=activation, generator=generator, dtype=F64)


def drawn(*shape, seed=1):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def line(low, high, count):
    return torch.linspace(low, high, count, dtype=F64)[:, None]


def box(*bounds):
    return Region(*(torch.tensor(b, dtype=F64) for b in zip(*bounds, strict=True)))


def jet_of(function, x):
    """The jet of any function of points (n, inputs) by nested forward differentiation."""
    directions = [step.expand_as(x) for step in torch.eye(x.shape[1], dtype=F64)]
    along = lambda f, step: lambda x: jvp(f, (x,), (step,))[1]  # noqa: E731
    first = [along(function, step)(x) for step in directions]
    second = [along(along(function, step), step)(x) for step in directions]
    return Jet(function(x), torch.stack(first), torch.stack(second))


# Derivatives


@settings(max_examples=20, deadline=None)
@given(seeds, st.sampled_from(sorted(SMOOTH)), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_jet_equals_automatic_differentiation(seed, activation, inputs, layers, outputs):
    net = network(seed, inputs, (4,) * layers, outputs, activation)
    x = drawn(6, inputs, seed=seed)
    for ours, exact in zip(jet(net, x), jet_of(net, x), strict=True):
        torch.testing.assert_close(ours, exact, rtol=1e-10, atol=1e-12)


def test_jet_equals_central_differences():
    net, x, h = network(), drawn(20, 2), 1e-4
    here = jet(net, x)
    with torch.no_grad():
        for k, step in enumerate(h * torch.eye(2, dtype=F64)):
            up, down = net(x + step), net(x - step)
            torch.testing.assert_close(here.slope[k], (up - down) / (2 * h), rtol=1e-6, atol=1e-7)
            second = (up - 2 * here.value + down) / h**2
            torch.testing.assert_close(here.bend[k], second, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("condition", "outputs"), [(partial(burgers, viscosity=0.1), 1), (schroedinger, 2), (value, 1)]
)
def test_residuals_reach_every_parameter_and_have_the_right_jacobian(condition, outputs):
    net = network(outputs=outputs)
    terms = [Term("equation", condition, drawn(7, 2))]
    model, loss = Residuals(net, terms), total(terms, outputs)
    function, params = as_function(model), flatten(model)
    rows = jacobian(function, params, loss.points)[1].reshape(-1, len(params))
    change = 1e-6 * (drawn(len(params), seed=3) - 0.5)
    expected = (function(params + change, loss.points) - function(params - change, loss.points)).flatten() / 2
    torch.testing.assert_close(rows @ change, expected, rtol=1e-6, atol=1e-12)
    reached = rows.abs().amax(0) > 0
    # the last bias shifts u: an equation that has u only in its derivatives would not feel it
    assert reached.all()


# Exact solutions obey their equations


@pytest.mark.parametrize(("damping", "frequency"), [(0.0, 1.0), (0.2, 2.0), (0.9, 1.0)])
def test_oscillation_solves_the_oscillator(damping, frequency):
    constants = {"damping": damping, "frequency": frequency}
    t = torch.cat([line(0, 0, 1), 5 * drawn(20, 1)])
    here = jet_of(partial(oscillation, **constants), t)
    assert oscillator(t, here, **constants).abs().max() < 1e-12
    assert here.value[0] == 1
    assert here.slope[0, 0].abs() < 1e-14


def test_cole_hopf_solves_burgers_equation_and_its_conditions():
    viscosity = 0.05
    x = torch.cat([0.05 + drawn(20, 1), 2 * drawn(20, 1, seed=2) - 1], 1)
    here = jet_of(lambda p: cole_hopf(p[:, 0], p[:, 1], viscosity=viscosity)[:, None], x)
    assert burgers(x, here, viscosity=viscosity).abs().max() < 1e-10
    places = line(-1, 1, 21)[:, 0]
    start = cole_hopf(0 * places, places, viscosity=viscosity)
    torch.testing.assert_close(start, -torch.sin(torch.pi * places))
    walls = cole_hopf(drawn(9), torch.ones(9, dtype=F64), viscosity=viscosity)
    assert walls.abs().max() < 1e-12


def test_cole_hopf_agrees_with_adaptive_quadrature():
    viscosity, t, x = 0.01 / math.pi, 0.6, 0.03

    def weighted(z, f):
        y = x - math.sqrt(4 * viscosity * t) * z
        # the common factor e^50 cancels, and keeps the numbers finite
        return f(y) * math.exp(-z * z - (math.cos(math.pi * y) + 1) / (2 * math.pi * viscosity))

    options = {"epsabs": 0, "epsrel": 1e-11, "limit": 500, "points": [-10, -5, 0, 5, 10]}
    above = quad(weighted, -15, 15, args=(lambda y: math.sin(math.pi * y),), **options)[0]
    below = quad(weighted, -15, 15, args=(lambda y: 1.0,), **options)[0]
    ours = cole_hopf(*torch.tensor([[t], [x]], dtype=F64), viscosity=viscosity).item()
    assert ours == pytest.approx(-above / below, rel=1e-9)


@settings(max_examples=15, deadline=None)
@given(st.floats(0.003, 0.3), seeds)
def test_cole_hopf_is_odd_bounded_and_converged(viscosity, seed):
    t, x = drawn(20, seed=seed), 2 * drawn(20, seed=seed + 1) - 1
    u = cole_hopf(t, x, viscosity=viscosity)
    torch.testing.assert_close(u, -cole_hopf(t, -x, viscosity=viscosity), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(u, cole_hopf(t, x, viscosity=viscosity, nodes=150), rtol=1e-8, atol=1e-10)
    assert u.abs().max() <= 1


def test_breather_solves_the_schroedinger_equation_and_breathes():
    x = torch.cat([2 * drawn(30, 1), 6 * drawn(30, 1, seed=2) - 3], 1)
    here = jet_of(lambda p: torch.view_as_real(breather(p[:, 0], p[:, 1])), x)
    assert schroedinger(x, here).abs().max() < 1e-10
    places = line(-4, 4, 17)[:, 0]
    torch.testing.assert_close(breather(0 * places, places), 2 / torch.cosh(places) + 0j)
    period = breather(0 * places + torch.pi / 2, places).abs()
    torch.testing.assert_close(period, 2 / torch.cosh(places))


# The classic solver


def ring(sites, length):
    return (torch.arange(sites, dtype=F64) / sites - 0.5) * length


def breather_error(steps, order):
    x = ring(1024, 40)
    last = split_step(2 / torch.cosh(x) + 0j, length=40, duration=0.5, steps=steps, order=order)[-1]
    exact = breather(torch.tensor(0.5, dtype=F64), x)
    return ((last - exact).norm() / exact.norm()).item()


@pytest.mark.parametrize(("order", "steps"), [(2, 100), (4, 150)])
def test_split_step_converges_to_the_breather_with_its_order(order, steps):
    coarse, fine = breather_error(steps, order), breather_error(2 * steps, order)
    assert math.log2(coarse / fine) == pytest.approx(order, abs=0.15)
    assert fine < {2: 1e-3, 4: 1e-5}[order]


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_split_step_conserves_the_norm_and_runs_backwards(seed):
    generator = torch.Generator().manual_seed(seed)
    h = torch.randn(32, generator=generator, dtype=torch.complex128)
    frames = split_step(h, length=10, duration=0.1, steps=20)
    assert frames.shape == (21, 32)
    norm = frames.abs().square().sum(1)
    torch.testing.assert_close(norm, norm[:1].expand(21), rtol=1e-12, atol=0)
    back = split_step(frames[-1], length=10, duration=-0.1, steps=20)[-1]
    torch.testing.assert_close(back, h, rtol=1e-9, atol=1e-9)


def test_split_step_moves_a_plane_wave_exactly():
    x, k, a = ring(16, 2 * math.pi), 3, 0.7
    wave = a * torch.exp(1j * k * x)
    last = split_step(wave, length=2 * math.pi, duration=1.0, steps=5, order=2)[-1]
    phase = a**2 - k**2 / 2
    torch.testing.assert_close(last, wave * complex(math.cos(phase), math.sin(phase)))


# The loss


def test_total_is_the_sum_of_its_terms():
    net, x = network(), drawn(5, 2)
    terms = [
        Term("equation", partial(burgers, viscosity=0.1), drawn(8, 2, seed=4)),
        Term("data", value, x, drawn(5, 1, seed=5), weight=30.0),
        Term("boundary", partial(slope, along=1), drawn(3, 2, seed=6), weight=2.0),
    ]
    model, loss = Residuals(net, terms), total(terms)
    parts = each(net, terms)
    assert loss.value(as_function(model), flatten(model)).item() == pytest.approx(sum(parts.values()))
    with torch.no_grad():
        data = 15.0 * (net(x) - terms[1].target).square().mean().item()
    assert parts["data"] == pytest.approx(data)


def test_points_are_drawn_where_the_residual_is():
    region, generator = box((0, 2), (-1, 1)), torch.Generator().manual_seed(1)
    narrow = lambda x, u: torch.exp(-50 * x[:, 1:].square())  # noqa: E731
    points = region.draw_where_wrong(network(), narrow, 1000, generator, share=0.8)
    assert points.shape == (1000, 2)
    assert (points >= region.low).all()
    assert (points <= region.high).all()
    close = (points[:, 1].abs() < 0.2).double().mean().item()
    # 0.8 of them Gaussian with sigma 0.1, the others uniform
    assert close == pytest.approx(0.8 * math.erf(2 / 2**0.5) + 0.2 * 0.2, abs=0.05)
    spread = region.draw_where_wrong(network(), narrow, 1000, generator, share=0.0)
    assert (spread[:, 1].abs() < 0.2).double().mean().item() == pytest.approx(0.2, abs=0.05)


def test_points_are_drawn_even_where_nothing_is_wrong():
    generator = torch.Generator().manual_seed(1)
    points = box((0, 1)).draw_where_wrong(network(inputs=1), lambda x, u: 0 * x, 10, generator)
    assert points.shape == (10, 1)


# Training


def oscillator_terms(points, end=4.0):
    start = line(0, 0, 1)
    return [
        Term("equation", partial(oscillator, damping=0.2, frequency=2.0), line(0, end, points)),
        Term("position", value, start, start + 1),
        Term("velocity", partial(slope, along=0), start),
    ]


def oscillator_net(units, end=4.0):
    net = network(3, 1, (units,))
    net.place_kinks(line(0, end, units), scale=1.0, generator=torch.Generator().manual_seed(3))
    return net


def oscillator_error(net):
    t = line(0, 4, 101)
    with torch.no_grad():
        return (net(t) - oscillation(t, damping=0.2, frequency=2.0)).abs().max().item()


def test_oscillator_is_solved():
    training = train(
        oscillator_net(8), oscillator_terms(60), rounds=4, descend=gauss_newton, measure=oscillator_error
    )
    assert training.history["error"][-1] < 1e-3
    assert set(training.history) == {"seconds", "equation", "position", "velocity", "error"}
    assert training.history["equation"][-1] < 0.1 * training.history["equation"][0]
    assert "4 rounds" in repr(training)


def test_fewer_conditions_than_parameters_fit_exactly_and_wrongly():
    net, terms = oscillator_net(12), oscillator_terms(5)
    assert minimise(total(terms), Residuals(net, terms), steps=60, tolerance=1e-30).value < 1e-20
    assert oscillator_error(net) > 0.05


def test_each_round_but_the_first_has_fresh_points():
    asked = []

    def fresh(net):
        asked.append(net)
        return line(0, 4, 5 + len(asked))

    training = train(
        oscillator_net(4), oscillator_terms(5), rounds=3, fresh=fresh, descend=lambda model, loss: None
    )
    assert len(asked) == 2
    assert len(training.terms[0].points) == 7


class Line(nn.Module):
    """u = a t + b, with both unknown: the network drops out of the residual."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.zeros(2, dtype=F64)[0]), nn.Parameter(torch.ones((), dtype=F64))

    def forward(self, t, u):
        return self.a * t + self.b


def test_covariance_of_unknowns_is_that_of_linear_regression():
    t, noise = line(0, 1, 30), 0.1
    y = 2 * t - 1 + noise * (drawn(30, 1) - 0.5)
    condition = Line()
    terms = [Term("data", condition, t, y, weight=30 / noise**2)]
    model, loss = Residuals(network(inputs=1), terms), total(terms)
    minimise(loss, model, steps=30)
    design = np.concatenate([t.numpy(), np.ones((30, 1))], 1)
    best = np.linalg.lstsq(design, y.numpy()[:, 0], rcond=None)[0]
    assert [condition.a.item(), condition.b.item()] == pytest.approx(best.tolist(), abs=1e-6)
    exact = noise**2 * np.linalg.inv(design.T @ design)
    np.testing.assert_allclose(covariance(model, loss)[-2:, -2:].numpy(), exact, rtol=1e-6)


class Unknown(nn.Module):
    def __init__(self):
        super().__init__()
        self.frequency = nn.Parameter(torch.tensor(1.7, dtype=F64))

    def forward(self, t, u):
        return oscillator(t, u, damping=0.2, frequency=self.frequency)


def test_unknown_frequency_is_learnt_from_data():
    t, motion = line(0, 4, 25), Unknown()
    terms = [
        Term("equation", motion, line(0, 4, 60)),
        Term("data", value, t, oscillation(t, damping=0.2, frequency=2.0), weight=100),
    ]
    minimise(total(terms), Residuals(oscillator_net(8), terms), steps=60, tolerance=1e-14)
    assert motion.frequency.item() == pytest.approx(2.0, abs=1e-3)


# Bad input


def fluid(inputs=2, outputs=1):
    x = drawn(3, inputs)
    return burgers(x, jet(network(inputs=inputs, outputs=outputs), x), viscosity=0.1)


def test_cole_hopf_takes_as_many_nodes_as_it_says():
    t, x = drawn(5), drawn(5, seed=2)
    most = cole_hopf(t, x, viscosity=0.1, nodes=370)
    torch.testing.assert_close(most, cole_hopf(t, x, viscosity=0.1, nodes=100))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lambda: jet(network(activation="relu"), drawn(3, 2)), "activation 'relu'"),
        (lambda: jet(network(), drawn(3, 1)), r"expected a tensor \(points, 2\)"),
        (lambda: jet(network(), drawn(3)), r"got shape \(3,\)"),
        (lambda: jet(network(), drawn(3, 2).numpy()), "got a ndarray, expected a tensor"),
        (
            lambda: jet(network(), drawn(3, 2).float()),
            "got torch.float32, expected the network's torch.float64",
        ),
        (lambda: slope(drawn(3, 1), jet(network(inputs=1), drawn(3, 1)), along=1), "along: got 1, .* 0 to 0"),
        (lambda: Term("data", value, drawn(0, 2)), "n > 0"),
        (lambda: Term("data", value, drawn(3)), r"expected a tensor \(n, inputs\)"),
        (lambda: Term("data", value, drawn(3, 2).numpy()), "points: got a ndarray"),
        (lambda: Term("data", value, drawn(3, 2), drawn(3)), r"add \[:, None\]"),
        (lambda: Term("data", value, drawn(3, 2), drawn(2, 1)), r"a tensor \(3, outputs\)"),
        (lambda: Term("data", value, drawn(1, 2), [[0.0]]), "target: got a list"),
        (lambda: Term("data", value, drawn(3, 2), weight=-1.0), "below zero"),
        (lambda: Term("data", value, drawn(3, 2), weight=math.nan), "got nan"),
        (lambda: Residuals(network(), []), "at least one"),
        (lambda: total([]), "at least one"),
        (
            lambda: total([Term("data", value, drawn(3, 2), drawn(3, 2))]),
            "got 2 columns for 'data', .*outputs=1",
        ),
        (lambda: total([Term("data", value, drawn(3, 2))] * 2), r"names \['data', 'data'\]"),
        (lambda: train(network(), [Term("error", value, drawn(3, 2))], rounds=1), r"names \['error'\]"),
        (lambda: total([Term(str(k), value, drawn(3, k)) for k in (1, 2)]), r"points with \[1, 2\] inputs"),
        (lambda: Region([0.0], [1.0]), "low: got a list and for high a list"),
        (lambda: box((0, 0)), "above each"),
        (lambda: Region(drawn(2), drawn(1)), "one bound above each"),
        (lambda: train(network(), oscillator_terms(3), rounds=0), "at least 1"),
        (lambda: oscillation(drawn(2), damping=2.0, frequency=2.0), "below frequency"),
        (lambda: fluid(inputs=1), "got a network of 1 inputs and 1 outputs, expected 2 and 1"),
        (lambda: fluid(outputs=2), "got a network of 2 inputs and 2 outputs, expected 2 and 1"),
        (
            lambda: schroedinger(drawn(3, 2), jet(network(), drawn(3, 2))),
            "2 inputs and 1 outputs, .* 2 and 2",
        ),
        (lambda: cole_hopf(drawn(2), drawn(2), viscosity=0.0), "above zero"),
        (
            lambda: cole_hopf(drawn(2), drawn(2), viscosity=0.1, nodes=0),
            "nodes: got 0, expected from 1 to 370",
        ),
        (lambda: cole_hopf(drawn(2), drawn(2), viscosity=0.1, nodes=371), "nodes: got 371"),
        (lambda: cole_hopf(0.5, drawn(2), viscosity=0.1), r"t: got a float and for x shape \(2,\)"),
        (lambda: cole_hopf(drawn(1), drawn(2), viscosity=0.1), "expected tensors of one shape"),
        (lambda: cole_hopf(-drawn(2), drawn(2), viscosity=0.1), "no time before"),
        (lambda: split_step(drawn(4) + 0j, length=1, duration=1, steps=0), "at least one step"),
        (lambda: split_step(drawn(4) + 0j, length=1, duration=1, steps=3, order=3), "2 or 4"),
        (lambda: split_step(drawn(4) + 0j, length=0, duration=1, steps=3), "length: got 0"),
    ],
)
def test_bad_input_is_explained(bad, message):
    with pytest.raises(ValueError, match=message):
        bad()


@pytest.mark.parametrize(
    ("option", "message"), [({"share": 1.5}, "from 0 to 1"), ({"candidates": 3}, "count")]
)
def test_bad_choice_of_points_is_explained(option, message):
    with pytest.raises(ValueError, match=message):
        box((0, 1)).draw_where_wrong(network(inputs=1), value, 10, torch.Generator(), **option)

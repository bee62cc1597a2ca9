"""The leaf of the path-integral chapter: networks as paths, kernels, actions of network parameters."""

import cmath
import math

import numpy as np
import pytest
import torch

from nnbook.fields.actions import QuantumPath
from nnbook.path_integrals import (
    ImaginaryTime,
    PathSum,
    Quartic,
    closed_basis,
    estimate,
    features,
    hmc,
    mehler,
    network_kernel,
    sharpen,
)

ANHARMONIC, WELL = Quartic(0.5, 1.0), Quartic(-2.0, 1.0, 1.0)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(3)


def uniform(units, time=2.0):
    return torch.linspace(0, time, units + 1, dtype=torch.float64)


def divisions(units, generator, time=2.0):
    steps = 0.2 + torch.rand(units, generator=generator, dtype=torch.float64)
    return torch.cat([torch.zeros(1, dtype=torch.float64), steps.cumsum(0)]) * time / steps.sum()


@pytest.mark.parametrize("activation", ["relu", "step"])
def test_weights_are_changes_of_velocity_and_velocities(activation, generator):
    knots = divisions(9, generator)
    path = torch.randn(10, generator=generator, dtype=torch.float64)
    path = path - path[0]
    velocity = path.diff() / knots.diff()
    weights = torch.cat([velocity[:1], velocity.diff()]) if activation == "relu" else velocity
    torch.testing.assert_close(features(activation, knots, knots) @ weights, path)


def test_relu_is_linear_between_knots_and_step_jumps_in_the_middle():
    knots = uniform(2)
    t = torch.tensor([0.25, 0.49, 0.51, 1.25], dtype=torch.float64)
    assert features("relu", knots, t)[:, 0].tolist() == t.tolist()
    assert features("step", knots, t)[:, 0].tolist() == [0.0, 0.0, 1.0, 1.0]


def test_waves_vanish_or_rest_at_the_ends():
    knots, ends = uniform(6), torch.tensor([0.0, 2.0], dtype=torch.float64)
    assert float(features("sine", knots, ends).abs().max()) < 1e-14
    assert features("cosine", knots, ends).abs().tolist() == [[1.0] * 7] * 2


@pytest.mark.parametrize("beads", [5, 8])
def test_closed_waves_are_orthonormal(beads):
    waves = closed_basis("fourier", beads, 0.1)
    torch.testing.assert_close(waves.mT @ waves, torch.eye(beads, dtype=torch.float64))


def test_all_closed_bases_reach_all_paths(generator):
    path = torch.randn(8, generator=generator, dtype=torch.float64)
    for kind in ("position", "relu", "step", "fourier"):
        basis = closed_basis(kind, 8, 0.1)
        torch.testing.assert_close(basis @ torch.linalg.solve(basis, path), path)


@pytest.mark.parametrize("activation", ["relu", "step", "sine"])
@pytest.mark.parametrize("units", [1, 2, 7, 16])
def test_the_free_particle_is_exact_for_any_division(activation, units, generator):
    exact = mehler(2.0, 0.3, -0.7, omega=0.0)
    for knots in (uniform(units), divisions(units, generator)):
        assert network_kernel(activation, knots, 0.3, -0.7).value == pytest.approx(exact, rel=1e-13)
        ours = network_kernel(activation, knots, 0.3, -0.7, real_time=True)
        assert ours.value == pytest.approx(mehler(2.0, 0.3, -0.7, omega=0.0, real_time=True), rel=1e-12)


@pytest.mark.parametrize(("rule", "order"), [("midpoint", 1), ("printed", 1), ("trapezoid", 2)])
@pytest.mark.parametrize("real_time", [False, True], ids=["imaginary", "real"])
def test_orders_of_the_rules(rule, order, real_time):
    exact = mehler(2.0, 0.3, -0.7, real_time=real_time)
    errors = [
        abs(
            network_kernel("sine", uniform(n), 0.3, -0.7, omega=1.0, rule=rule, real_time=real_time).value
            / exact
            - 1
        )
        for n in (40, 80)
    ]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.05)


def test_each_caustic_turns_a_direction_of_weight_space():
    for time, index in ((2.0, 0), (4.0, 1), (8.0, 2)):
        for activation in ("relu", "step", "sine"):
            found = network_kernel(activation, uniform(24, time), 0.3, -0.7, omega=1.0, real_time=True)
            exact = mehler(time, 0.3, -0.7, real_time=True)
            assert found.negative == index
            assert cmath.phase(found.value / exact) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize(
    ("fourth", "closed", "beads"), [(False, True, 9), (True, True, 10), (True, False, 9)]
)
@pytest.mark.parametrize("components", [1, 3])
def test_gradient_of_the_action(fourth, closed, beads, components, generator):
    basis = torch.randn(beads, 4, generator=generator, dtype=torch.float64)
    action = PathSum(ANHARMONIC, 0.2, beads, components, closed, fourth, basis)
    theta = action.start(3, generator=generator).requires_grad_()
    value, slope = action(theta)
    torch.testing.assert_close(torch.autograd.grad(value.sum(), theta)[0], slope.detach())


def test_is_the_action_of_quantum_paths(generator):
    talk = QuantumPath(12, 3.0)
    ours = PathSum(Quartic(-2 * 1.96, 1.0, 1.96**2), 0.25, 12)
    x = ours.start(5, generator=generator)
    torch.testing.assert_close(ours(x)[0], talk(x[:, 0]))


@pytest.mark.parametrize("components", [1, 3])
def test_identities_are_divergences(components, generator):
    """v grad S - div v, with both by automatic differentiation, for the fields of the docstring."""
    action = PathSum(WELL, 0.3, 4, components, fourth_order=True).preconditioned()
    theta = action.start(2, generator=generator)

    def fields(flat):
        theta = flat.reshape(1, components, 4)
        x = action.positions(theta)[0]
        square = (x * x).sum(0)
        scaled = [theta[0] * torch.eye(4, dtype=torch.float64)[k] for k in range(4)]
        even = torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.float64)
        local = [even * x] + [part * square**q * x for q in (1, 2) for part in (even, 1 - even)]
        local.append(square.mean() * x)
        return torch.stack(scaled + [v @ torch.linalg.inv(action.basis).mT for v in local]).flatten(1)

    for row, ours in zip(theta, action.identities(theta), strict=True):
        flat = row.flatten()
        divergence = torch.func.jacrev(fields)(flat).diagonal(dim1=1, dim2=2).sum(1)
        slope = action(row[None])[1].flatten()
        torch.testing.assert_close(ours, fields(flat) @ slope - divergence)


def test_levels_are_those_of_two_other_methods():
    assert ANHARMONIC.levels(3)[1] == pytest.approx([0.80377065, 2.73789227, 5.17929169], rel=3e-6)
    _, energies, _ = WELL.levels(2)
    fine = ImaginaryTime(lambda x: (x**2 - 1) ** 2, 8.0, 1600, points=200)
    assert energies == pytest.approx(fine.levels(2), rel=3e-5)
    assert energies == pytest.approx([0.86958092, 1.66142900], rel=3e-6)


@pytest.mark.parametrize("fourth", [False, True], ids=["second", "fourth"])
def test_order_of_the_action(fourth):
    """The partition function of few beads, integrated bead by bead on a grid."""
    x = np.linspace(-4, 4, 161)
    values, slopes = x**2 / 2 + x**4, x + 4 * x**3

    def log_z(beads):
        eps, product = 2.0 / beads, np.eye(len(x))
        hop = np.exp(-((x[:, None] - x) ** 2) / (2 * eps)) * (x[1] - x[0]) / math.sqrt(2 * math.pi * eps)
        shares = PathSum(ANHARMONIC, eps, beads, fourth_order=fourth).shares.numpy()
        for k in range(beads):
            odd = eps**3 / 9 * slopes**2 if fourth and k % 2 else 0.0
            product = product * np.exp(-shares[k] * values - odd) @ hop
        return math.log(np.trace(product))

    exact = math.log(np.exp(-2.0 * ANHARMONIC.levels(12)[1]).sum())
    errors = [abs(log_z(beads) - exact) for beads in (8, 16)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(4 if fourth else 2, abs=0.45)


@pytest.mark.parametrize(
    ("potential", "energies"),
    [(ANHARMONIC, (0.80377065, 2.73789227)), (WELL, (0.86958092, 1.66142900))],
    ids=["anharmonic", "well"],
)
def test_three_outputs_know_the_first_excited_level(potential, energies, generator):
    """Sampled and sharpened energies of a line and of three dimensions; errors of a few thousandths."""
    for components, exact in zip((1, 3), energies, strict=True):
        action = PathSum(potential, 0.125, 64, components, fourth_order=True).preconditioned()

        def look(theta, action=action):
            square = action.positions(theta)[..., ::2].square().sum(1)
            energy = potential.constant + 2 * potential.square * square + 3 * potential.fourth * square**2
            return torch.cat([energy.mean(1, keepdim=True), action.identities(theta)], 1)

        start = action.start(200, generator=generator)
        drawn = hmc(
            action, start, samples=40, step=0.35, leaps=4, generator=generator, warm_up=10, observe=look
        )
        energy = estimate(sharpen(drawn.samples[..., :1], drawn.samples[..., 1:])[..., 0])
        assert energy.mean == pytest.approx(exact, abs=4 * energy.error)
        assert energy.error < 4e-3 * exact


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: network_kernel("step", uniform(4, 2 * math.pi), 0, 0, omega=1.0, real_time=True),
            "omega T = 2 pi",
        ),
        (lambda: network_kernel("tanh", uniform(4), 0, 0), "activation, rule: got 'tanh'"),
        (
            lambda: network_kernel("step", uniform(4), 0, 0, rule="simpson"),
            "activation, rule: got 'step', 'simpson'",
        ),
        (
            lambda: network_kernel("step", uniform(0), 0, 0),
            "units: got 0, expected a whole number, at least 1",
        ),
        (
            lambda: features("relu", uniform(4).flip(0), uniform(2)),
            "knots: got times out of order, one step is -0.5",
        ),
        (lambda: features("tanh", uniform(4), uniform(2)), "activation: got 'tanh'"),
        (lambda: closed_basis("sine", 4, 0.1), "activation: got 'sine'"),
        (lambda: PathSum(WELL, 0.1, 9, fourth_order=True), "beads: got 9, expected an even number"),
        (lambda: PathSum(WELL, 0.0, 9), "spacing: got 0"),
        (lambda: Quartic(0.0, 0.0), "square: got 0"),
    ],
)
def test_wrong_input_says_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()

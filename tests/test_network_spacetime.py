"""The leaf of the spacetime chapter: layers against equations, tangents against differences."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch.autograd.functional import jacobian

from nnbook.network_spacetime import (
    Misses,
    Motion,
    find_friction,
    hamiltonian_layer,
    smoothed,
    splines,
    taylor,
)

F = {"dtype": torch.float64}


def dice():
    return torch.Generator().manual_seed(1)


def quartic(**options):
    return Motion(lambda x: -(x**3), lambda x: -3 * x**2, **options)


def friction(t):
    return -0.15 - 0.1 * torch.sin(0.3 * math.pi * t)


def stopping(motion, count, scatter=0.0):
    """Starts on the stop curve, scattered."""
    noise = torch.rand(3 * count, 2, generator=dice(), **F)
    starts = motion.onto_curve(4 * noise - 2, friction(motion.times), rounds=20)
    stop = motion.shoot(starts, friction(motion.times)).speed.abs() < 1e-9
    return starts[stop][:count] + scatter * torch.randn(count, 2, generator=dice(), **F)


def test_taylor_coefficients_are_what_conv1d_does_to_polynomials():
    kernel, spacing = torch.randn(5, generator=dice(), **F), 0.3
    x = spacing * torch.arange(7, **F)
    for n in range(5):
        out = torch.conv1d((x**n)[None, None], kernel[None, None])[0, 0, 0]
        at, c = 2 * spacing, taylor(kernel, spacing)
        wanted = sum(c[k] * math.perm(n, k) * at ** (n - k) for k in range(n + 1))
        torch.testing.assert_close(out, wanted)


def test_layer_is_a_step_of_euler_for_the_hamiltonian():
    """H = w11 p q + w12 p^2/2 - w21 q^2/2 + (l1/v) F(v p) - (l2/u) G(u q), F and G integrals of f and g."""
    w11, w12, w21, l1, v, l2, u = 0.3, 1.1, -0.7, 0.5, 1.3, -0.4, 0.8

    def energy(x):
        q, p = x.unbind(-1)
        flat = w11 * p * q + w12 * p**2 / 2 - w21 * q**2 / 2
        return (flat - l1 / v * (v * p).cos() + l2 / u * (u * q).cos()).sum()

    x = torch.randn(5, 2, generator=dice(), **F).requires_grad_()
    slope = torch.autograd.grad(energy(x), x)[0]
    wanted = x + 0.1 * torch.stack([slope[:, 1], -slope[:, 0]], 1)
    ours = hamiltonian_layer(x, 0.1, (w11, w12, w21, -w11), scales=(l1, v, l2, u))
    torch.testing.assert_close(ours, wanted)


@pytest.mark.parametrize(("w22", "order"), [(-0.3, 2), (0.9, 1)], ids=["hamiltonian", "as printed"])
def test_volume_is_kept_to_the_order(w22, order):
    x = torch.tensor([0.4, -0.8], **F)

    def off(step):
        layer = jacobian(lambda y: hamiltonian_layer(y, step, (0.3, 0.9, -0.7, w22)), x)
        return abs(float(torch.linalg.det(layer)) - 1)

    assert math.log2(off(2e-3) / off(1e-3)) == pytest.approx(order, abs=0.01)


def test_motion_ends_where_scipy_ends():
    motion, start = quartic(steps=400), np.array([1.3, -0.4])

    def field(t, y):
        return [y[1], float(friction(torch.tensor(t))) * y[1] - y[0] ** 3]

    end = solve_ivp(field, (0, 10), start, rtol=1e-11, atol=1e-12).y[1, -1]
    shot = motion.shoot(torch.from_numpy(start)[None], friction(motion.times))
    assert float(shot.speed[0]) == pytest.approx(end, abs=1e-7)


def test_tangents_are_derivatives():
    motion, starts = quartic(steps=30), torch.randn(4, 2, generator=dice(), **F)
    shapes, h, step = splines(5, motion.times), friction(motion.times), 1e-5
    shot = motion.shoot(starts, h, shapes)
    for k in range(5):
        up, down = (motion.shoot(starts, h + s * step * shapes[:, k]).speed for s in (1, -1))
        torch.testing.assert_close(shot.by_shape[:, k], (up - down) / (2 * step), atol=1e-7, rtol=1e-6)
    for k in range(2):
        move = step * torch.eye(2, **F)[k]
        up, down = (motion.shoot(starts + s * move, h).speed for s in (1, -1))
        torch.testing.assert_close(shot.by_start[:, k], (up - down) / (2 * step), atol=1e-7, rtol=1e-6)


def test_distance_from_the_curve_is_the_way_along_its_normal():
    motion = quartic(steps=40)
    on = stopping(motion, 30)
    normal = motion.shoot(on, friction(motion.times)).by_start
    normal = normal / normal.norm(dim=1, keepdim=True)
    miss = motion.misses(on + 1e-3 * normal, friction(motion.times))
    torch.testing.assert_close(miss.distance, torch.full((30,), 1e-3, **F), atol=2e-5, rtol=0)


def test_harmonic_well_fixes_one_number():
    motion = Motion(lambda x: -x, lambda x: -torch.ones_like(x), steps=40)
    miss = motion.misses(stopping(motion, 40), friction(motion.times), splines(9, motion.times))
    values = torch.linalg.svdvals(miss.by_shape)
    assert values[0] > 1
    assert values[1] < 1e-12


def test_splines_add_up_to_one_and_carry_lines():
    t = torch.linspace(2, 5, 20, **F)
    b = splines(7, t)
    torch.testing.assert_close(b.sum(1), torch.ones(20, **F))
    line = torch.linalg.lstsq(b, t[:, None]).solution
    torch.testing.assert_close((b @ line)[:, 0], t)


def test_linear_distances_are_smoothed_blind():
    """Distances that are linear in the friction by construction: the noise, the friction, and its band."""
    motion = quartic(steps=60)
    shapes, truth = splines(12, motion.times), friction(motion.times)
    rows = shapes[torch.randint(len(shapes), (300,), generator=dice())]
    at = torch.zeros(12, **F)
    right = torch.linalg.lstsq(shapes, truth[:, None]).solution[:, 0]
    push = 0.02 * torch.randn(300, generator=dice(), **F)
    found = smoothed(motion, Misses(push - rows @ right, rows), at, [10.0**k for k in range(-7, 3)])
    assert found.noise == pytest.approx(0.02, rel=0.15)
    assert ((found.friction - truth).abs() < 3 * found.band).double().mean() > 0.9


def test_friction_is_found_from_starts_that_stop():
    motion = quartic(steps=60)
    found = find_friction(motion, stopping(motion, 100, 1e-3), guess=-0.1, count=10, shares=(0.3, 1.0))
    off = (found.friction - friction(found.times)).abs()[found.times < 9]
    assert off.square().mean().sqrt() < 0.02
    assert found.noise == pytest.approx(1e-3, rel=0.3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: taylor(torch.ones(4), 0.1), "kernel: got 4 taps, expected an odd number"),
        (lambda: Motion(torch.sin, torch.cos, end=-1.0), "end: got -1, expected"),
        (lambda: quartic().shoot(torch.ones(3, 3, **F), torch.ones(161, **F)), r"starts: got shape \(3, 3\)"),
        (lambda: quartic().shoot(torch.ones(3, 2, **F), torch.ones(80, **F)), r"friction: got shape \(80,\)"),
        (lambda: find_friction(quartic(), torch.ones(5, 2, **F), guess=0.0), "starts: got 5, expected"),
        (lambda: splines(3, torch.arange(5.0, **F)), "count: got 3, expected a whole number, at least 4"),
        (
            lambda: smoothed(
                quartic(), Misses(torch.ones(5, **F), torch.ones(5, 3, **F)), torch.ones(4, **F), [1]
            ),
            r"by_shape: got shape \(5, 3\)",
        ),
    ],
    ids=["even kernel", "end", "starts", "friction", "few", "splines", "shapes"],
)
def test_wrong_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()

"""Known solutions of differential equations: quadrature, limits, orders of convergence, conservation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from nnbook.exact.solutions import breather, cole_hopf, oscillation, split_step

seeds = st.integers(0, 2**32 - 1)


def ring(sites, length):
    return (np.arange(sites) / sites - 0.5) * length


def test_cole_hopf_agrees_with_adaptive_quadrature():
    viscosity, t, x = 0.01 / math.pi, 0.6, 0.03

    def weighted(z, f):
        y = x - math.sqrt(4 * viscosity * t) * z
        # the common factor e^50 cancels, and keeps the numbers finite
        return f(y) * math.exp(-z * z - (math.cos(math.pi * y) + 1) / (2 * math.pi * viscosity))

    options = {"epsabs": 0, "epsrel": 1e-11, "limit": 500, "points": [-10, -5, 0, 5, 10]}
    above = quad(weighted, -15, 15, args=(lambda y: math.sin(math.pi * y),), **options)[0]
    below = quad(weighted, -15, 15, args=(lambda y: 1.0,), **options)[0]
    assert cole_hopf(t, x, viscosity=viscosity) == pytest.approx(-above / below, rel=1e-9)


@settings(max_examples=15, deadline=None)
@given(st.integers(-40, 10).map(lambda k: 10 ** (k / 10)), seeds)
def test_cole_hopf_starts_as_a_sine_and_stays_odd_bounded_and_converged(viscosity, seed):
    generator = np.random.default_rng(seed)
    t, x = generator.random(20), generator.uniform(-1, 1, 20)
    u = cole_hopf(t, x, viscosity=viscosity)
    np.testing.assert_allclose(u, -cole_hopf(t, -x, viscosity=viscosity), rtol=1e-9, atol=1e-12)
    finer = cole_hopf(t, x, viscosity=viscosity, nodes=2000)
    np.testing.assert_allclose(u, finer, rtol=0, atol=1e-10)
    assert np.abs(u).max() <= 1
    np.testing.assert_allclose(cole_hopf(0, x, viscosity=viscosity), -np.sin(np.pi * x))
    assert np.abs(cole_hopf(t, 1, viscosity=viscosity)).max() < 1e-9


@pytest.mark.parametrize("viscosity", [1e-6, 1e-4])
def test_cole_hopf_is_right_for_a_small_viscosity(viscosity):
    """Against the sum over a fine grid, which needs no theory."""
    y = np.linspace(-1.5, 1.5, 400_001)
    log = -np.cos(np.pi * y) / (2 * np.pi * viscosity) - (0.1 - y) ** 2 / (4 * viscosity)
    share = np.exp(log - log.max())
    exact = -(share * np.sin(np.pi * y)).sum() / share.sum()
    assert cole_hopf(1.0, 0.1, viscosity=viscosity) == pytest.approx(exact, abs=1e-9)


def test_breather_is_finite_far_away():
    far = np.array([200.0, 400.0])
    np.testing.assert_allclose(breather(0.0, -far), [4 * np.exp(-200), 4 * np.exp(-400)])


def test_breather_starts_as_a_soliton_and_comes_back():
    x = np.linspace(-4, 4, 17)
    np.testing.assert_allclose(breather(0, x), 2 / np.cosh(x))
    np.testing.assert_allclose(np.abs(breather(np.pi / 2, x)), 2 / np.cosh(x))


def breather_error(steps, order):
    x = ring(1024, 40)
    last = split_step(2 / np.cosh(x), length=40, duration=0.5, steps=steps, order=order)[-1]
    exact = breather(0.5, x)
    return np.linalg.norm(last - exact) / np.linalg.norm(exact)


@pytest.mark.parametrize(("order", "steps"), [(2, 100), (4, 150)])
def test_split_step_converges_to_the_breather_with_its_order(order, steps):
    coarse, fine = breather_error(steps, order), breather_error(2 * steps, order)
    assert math.log2(coarse / fine) == pytest.approx(order, abs=0.15)
    assert fine < {2: 1e-3, 4: 1e-5}[order]


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_split_step_conserves_the_norm_and_runs_backwards(seed):
    generator = np.random.default_rng(seed)
    h = generator.standard_normal(32) + 1j * generator.standard_normal(32)
    frames = split_step(h, length=10, duration=0.1, steps=20)
    assert frames.shape == (21, 32)
    norm = (np.abs(frames) ** 2).sum(1)
    np.testing.assert_allclose(norm, norm[0], rtol=1e-12)
    back = split_step(frames[-1], length=10, duration=-0.1, steps=20)[-1]
    np.testing.assert_allclose(back, h, rtol=1e-9, atol=1e-9)


def test_split_step_moves_a_plane_wave_exactly():
    k, a = 3, 0.7
    wave = a * np.exp(1j * k * ring(16, 2 * math.pi))
    last = split_step(wave, length=2 * math.pi, duration=1.0, steps=5, order=2)[-1]
    np.testing.assert_allclose(last, wave * np.exp(1j * (a**2 - k**2 / 2)), rtol=1e-12)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lambda: oscillation([0.0, 1.0], damping=2.0, frequency=2.0), "below frequency"),
        (lambda: oscillation([0.0, 1.0], damping=-1.0, frequency=2.0), "got -1.0"),
        (lambda: cole_hopf(0.5, 0.5, viscosity=0.0), "above 0"),
        (lambda: cole_hopf(0.5, 0.5, viscosity=math.nan), "got nan"),
        (lambda: cole_hopf(0.5, 0.5, viscosity=0.1, nodes=0), "nodes: got 0, expected .* at least"),
        (lambda: cole_hopf(1.0, 0.1, viscosity=1e-4, nodes=370), "nodes: got 370, expected .* at least"),
        (lambda: cole_hopf([0.5] * 3, [0.5] * 2, viscosity=0.1), "shape"),
        (
            lambda: cole_hopf(-0.5, 0.5, viscosity=0.1),
            "t: got -0.5, expected .* at least 0; time starts at 0",
        ),
        (lambda: split_step(np.ones(4), length=1, duration=1, steps=0), "steps: got 0"),
        (lambda: split_step(np.ones(4), length=1, duration=1, steps=3, order=3), "2 or 4"),
        (lambda: split_step(np.ones((2, 4)), length=1, duration=1, steps=3), r"h: got shape \(2, 4\)"),
        (lambda: split_step(np.ones(4), length=1, duration=math.inf, steps=3), "duration: got inf"),
        (lambda: cole_hopf(math.nan, 0.5, viscosity=0.1), "t: got nan"),
        (lambda: split_step(np.ones(4), length=0, duration=1, steps=3), "length: got 0"),
    ],
)
def test_bad_input_is_explained(bad, message):
    with pytest.raises(ValueError, match=message):
        bad()

"""A particle in imaginary time: oscillators on a lattice of times, published levels, instantons, kernels."""

import math

import numpy as np
import pytest

from nnbook.exact.paths import ImaginaryTime, double_well, instanton, mehler


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def oscillator(omega, beta, times):
    return ImaginaryTime(lambda x: (omega * x) ** 2 / 2, beta, times, reach=8.0, points=160)


@pytest.mark.parametrize(("omega", "beta", "times"), [(1.0, 5.0, 16), (2.0, 8.0, 32), (1.5, 3.0, 4)])
def test_oscillator_on_a_lattice_of_times_is_analytic(omega, beta, times):
    """S is a quadratic form with eigenvalues (2 - 2 cos k)/a + a omega^2."""
    path, a = oscillator(omega, beta, times), beta / times
    kappa = (2 - 2 * np.cos(2 * np.pi * np.arange(times) / times)) / a + a * omega**2
    assert path.log_z == pytest.approx(-np.log(a * kappa).sum() / 2, abs=1e-11)
    assert path.mean(np.square) == pytest.approx((1 / kappa).mean(), rel=1e-11)
    assert path.mean_action == pytest.approx(times / 2, rel=1e-11)
    waves = np.cos(2 * np.pi * np.arange(times) * 3 / times)
    assert path.correlation(lambda x: x, 3) == pytest.approx((waves / kappa).mean(), rel=1e-10)
    spacing = np.arccosh(1 + (a * omega) ** 2 / 2) / a
    np.testing.assert_allclose(path.levels(4), spacing * (np.arange(4) + 0.5), atol=1e-11)


def test_paths_of_an_oscillator_are_gaussian(rng):
    path, a = oscillator(1.0, 5.0, 16), 5 / 16
    kappa = (2 - 2 * np.cos(2 * np.pi * np.arange(9) / 16)) / a + a
    x = path.sample(20_000, rng)
    waves = np.abs(np.fft.rfft(x, axis=1)) ** 2 / 16 * kappa
    assert np.abs(waves.mean(0) - 1).max() < 4.5 * math.sqrt(2 / len(x))  # each of mean 1, variance 1 or 2
    inside = x[:, 0] / math.sqrt(path.mean(np.square))
    assert np.mean(np.abs(inside) < 1) == pytest.approx(math.erf(math.sqrt(0.5)), abs=4 * 0.465 / 141)
    assert np.mean(inside**4) == pytest.approx(3, abs=4 * math.sqrt(96 / len(x)))


# N, beta, <S>/N, ln Z, entropy, <x^2>, gap; computed once with another program
WELL = [
    (64, 80, 0.77506, -97.27050, 18.2862, 1.79002, 0.12376),
    (64, 40, 0.68919, -61.03692, 26.8434, 1.69202, 0.09525),
    (64, 20, 0.60193, -33.61077, 26.5042, 1.63678, 0.10039),
    (256, 40, 0.56216, -69.84957, 71.7053, 1.59058, 0.10562),
    (400, 20, 0.51830, -35.24934, -59.500, 1.59368, 0.10788),
]


@pytest.mark.parametrize("row", WELL, ids=lambda row: f"{row[0]}-{row[1]}")
def test_double_well_has_the_published_numbers(row):
    times, beta, action, log_z, entropy, square, gap = row
    path = ImaginaryTime(double_well, beta, times, points=160)
    assert path.mean_action / times == pytest.approx(action, abs=6e-6)
    assert path.log_z == pytest.approx(log_z, abs=6e-6)
    assert path.entropy == pytest.approx(entropy, abs=6e-4)
    assert path.mean(np.square) == pytest.approx(square, abs=6e-6)
    assert np.diff(path.levels(2))[0] == pytest.approx(gap, abs=6e-6)


def test_levels_of_the_continuum():
    """The published levels of the double well, reached with order a^2."""
    published = [1.77051603, 1.87868695, 4.29334428, 5.54851137]
    fine, coarse = (ImaginaryTime(double_well, 1.0, n, points=400).levels(4) for n in (80, 40))
    np.testing.assert_allclose((4 * fine - coarse) / 3, published, atol=2e-5)
    np.testing.assert_allclose((coarse - published) / (fine - published), 4, atol=0.1)


def test_a_kink_costs_the_action_of_the_instanton():
    eta = np.linspace(-1.4, 1.4, 20_001)
    action, splitting = instanton()
    assert np.trapezoid(np.sqrt(2 * double_well(eta)), eta) == pytest.approx(action, rel=1e-7)
    assert splitting == pytest.approx(0.14094, abs=1e-5)  # 30 % above the exact 0.10817


def test_double_well_paths_have_the_exact_means_wherever_the_points_are(rng):
    path = ImaginaryTime(double_well, 20.0, 64, points=60)
    assert path.log_z == pytest.approx(ImaginaryTime(double_well, 20.0, 64, points=75).log_z, abs=1e-10)
    x = path.sample(8000, rng)
    step = np.diff(x, axis=1, append=x[:, :1])
    for values, exact in [
        ((step**2 / (2 * path.a) + path.a * double_well(x)).sum(1), path.mean_action),
        ((x * x).mean(1), path.mean(np.square)),
        ((x * np.roll(x, 20, 1)).mean(1), path.correlation(lambda x: x, 20)),
    ]:
        assert values.mean() == pytest.approx(exact, abs=4 * values.std() / math.sqrt(len(x)))


def test_exact_kernels_compose():
    """The kernel of T/2 twice is that of T, in imaginary and, past a caustic, in real time."""
    for real_time, time in ((False, 1.3), (True, 2.0), (True, 5.0)):
        y = np.linspace(-9, 9, 4001)
        cut = np.exp(-((y / 6) ** 16)) if real_time else 1.0
        halves = [
            np.array([mehler(time / 2, a, b, real_time=real_time) for a, b in ends])
            for ends in ([(0.3, v) for v in y], [(v, -0.4) for v in y])
        ]
        joined = (halves[0] * halves[1] * cut).sum() * (y[1] - y[0])
        assert joined == pytest.approx(mehler(time, 0.3, -0.4, real_time=real_time), rel=5e-3)


def test_mehler_has_the_ground_state():
    late = mehler(20.0, 0.5, 0.2).real
    assert late == pytest.approx(math.exp(-10 - 0.29 / 2) / math.sqrt(math.pi), rel=1e-8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ImaginaryTime(double_well, 0.0, 64), "beta: got 0, expected a finite number above 0"),
        (lambda: ImaginaryTime(double_well, 20.0, 1), "times: got 1, expected a whole number"),
        (lambda: ImaginaryTime(double_well, 20.0, 6400), "points: got 80, 0.1 apart, .* expected 205 or"),
        (lambda: ImaginaryTime(double_well, 20.0, 64, reach=1.5), "reach: got 1.5, where the density"),
        (lambda: mehler(0.0, 0.0, 0.0), "time: got 0, expected a finite number above 0"),
        (lambda: mehler(math.pi, 0.0, 1.0, real_time=True), "omega T = 1 pi, where all paths"),
    ],
)
def test_wrong_input_says_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()

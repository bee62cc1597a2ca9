"""Means with errors: autoregressive chains of known correlation, calibration, R-hat, invariances, errors."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnbook.sample.estimates import Estimate, autocorrelation, estimate, sharpen


def drawn(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def autoregressive(phi, samples, *chains, seed=1):
    """x_t = phi x_(t-1) + noise, of unit variance from the first value on: its autocorrelation is phi^t."""
    x = drawn(samples, *chains, seed=seed)
    for t in range(1, samples):
        x[t] = phi * x[t - 1] + math.sqrt(1 - phi**2) * x[t]
    return x


def tau_of_batches(phi, length):
    """Length times the variance of the mean of so many values."""
    t = np.arange(1, length)
    return 1 + 2 * ((1 - t / length) * phi**t).sum()


# Autocorrelation time and error


@pytest.mark.parametrize("phi", [-0.6, 0.0, 0.5, 0.8, 0.9])
def test_autocorrelation_time_of_autoregressive_chains(phi):
    """With B batches the estimate is chi-square distributed, of relative width sqrt(2 / (B - 1))."""
    found = estimate(autoregressive(phi, 300, 4000))
    expected = tau_of_batches(phi, 300)
    assert found.tau == pytest.approx(expected, rel=5 * math.sqrt(2 / 3999))
    assert expected == pytest.approx((1 + phi) / (1 - phi), rel=0.04)
    assert found.count == 300 * 4000


@pytest.mark.parametrize("phi", [0.0, 0.8])
def test_autocorrelation_time_of_a_single_long_chain(phi):
    found = estimate(autoregressive(phi, 32 * 500))
    assert found.tau == pytest.approx(tau_of_batches(phi, 500), rel=5 * math.sqrt(2 / 31))


@pytest.mark.parametrize("phi", [-0.5, 0.0, 0.7])
@pytest.mark.parametrize(("samples", "chains", "batches"), [(20, 40, 40), (640, 1, 32), (200, 10, 40)])
def test_pull_has_the_variance_of_student_s_distribution(phi, samples, chains, batches):
    """(mean - truth) / error over many repetitions: the error is what it says, correlations included."""
    repetitions, freedom = 1000, batches - 1
    values = autoregressive(phi, samples, repetitions, chains, seed=2)
    pulls = [(e := Estimate.of(values[:, r])).mean / e.error for r in range(repetitions)]
    variance = freedom / (freedom - 2)
    width = math.sqrt((3 * freedom**2 / ((freedom - 2) * (freedom - 4)) - variance**2) / repetitions)
    assert np.mean(np.square(pulls)) == pytest.approx(variance, abs=5 * width)


def test_error_of_independent_chains_is_that_of_their_means():
    values = autoregressive(0.9, 50, 64)
    found = estimate(values)
    means = values.mean(0).numpy()
    assert found.mean == pytest.approx(means.mean(), abs=1e-14)
    assert found.error == pytest.approx(means.std(ddof=1) / 8, rel=1e-12)
    assert found.variance == pytest.approx(values.numpy().var(ddof=1), rel=1e-12)
    assert found.tau == pytest.approx(50 * means.var(ddof=1) / found.variance, rel=1e-12)


@pytest.mark.parametrize(("shape", "pieces"), [((32 * 200 + 5,), 32), ((128, 10), 4)])
def test_few_chains_are_cut_into_pieces(shape, pieces):
    """Of long pieces the scatter of their means is all that counts."""
    values = drawn(*shape)
    found, length = estimate(values), shape[0] // pieces
    means = values[: length * pieces].view(pieces, length, -1).mean(1).numpy()
    assert found.error == pytest.approx(means.std(ddof=1) / math.sqrt(means.size), rel=0.05)
    assert found.mean == pytest.approx(values.mean().item(), abs=1e-14)  # what is left over counts here
    assert values.ndim == 2 or found == estimate(values[:, None])


@pytest.mark.parametrize(
    ("tau", "samples", "chains", "wide", "doubtful"),
    [(19, 64, 1, 1.75, 0.9), (200, 1000, 1, 1.5, 0.9), (50, 1000, 1, 1.3, 0.2), (40, 200, 10, 1.2, 0.9)],
)
def test_errors_of_slow_chains_are_honest(tau, samples, chains, wide, doubtful):
    """Some chains of a few tau: 1 would be perfect, and 8 batches and Student's tails make some more.

    Batch means alone have 3.3, 3.2, 1.6 and 1.4; nearly all of the short ones are called doubtful.
    """
    values = autoregressive((tau - 1) / (tau + 1), samples, 400, chains)
    found = [Estimate.of(values[:, r]) for r in range(400)]
    assert np.sqrt(np.mean([(e.mean / e.error) ** 2 for e in found])) < wide
    assert np.mean([bool(e.doubts) for e in found]) > doubtful


@pytest.mark.parametrize(
    ("tau", "samples", "chains"), [(1, 100, 8), (3, 1000, 1), (5, 50, 200), (20, 50, 500)]
)
def test_good_chains_are_not_doubted(tau, samples, chains):
    """Hundreds of chains from equilibrium may be short: their means are independent all the same."""
    for seed in range(10):
        values = autoregressive((tau - 1) / (tau + 1), samples, chains, seed=seed)
        assert Estimate.of(values).doubts == ()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (autoregressive(0.95, 100), "estimate: 100 values a chain are few for an autocorrelation time of "),
        (drawn(200, 4) + 2 * torch.arange(4), "R-hat is .*, chains do not agree; look longer, or start"),
        (torch.arange(40.0).repeat(10, 1), "R-hat is inf"),
        (torch.arange(64.0), "autocorrelation time of inf"),
        (drawn(50, 500) + torch.linspace(0, 0.3, 50)[:, None], "the chains drift; warm up longer"),
    ],
)
def test_doubts_are_warned_of(values, message):
    with pytest.warns(RuntimeWarning, match=message):
        found = estimate(values)
    assert len(found.doubts) >= 1


def test_error_that_the_values_do_not_tell_is_infinite():
    assert Estimate.of(torch.arange(64.0)).error == math.inf


@pytest.mark.parametrize("shape", [(64,), (2, 32), (3, 31), (22, 3), (1, 64), (64, 1), (4, 16), (5, 13)])
def test_smallest_numbers_of_values_have_an_error(shape):
    found = estimate(drawn(*shape))
    assert 0 < found.error < 1
    assert math.isfinite(found.tau)


def test_order_of_chains_does_not_matter():
    values = autoregressive(0.5, 40, 50)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    one, two = estimate(values), estimate(values[:, order])
    for name in ("mean", "error", "variance", "tau", "r_hat"):
        assert getattr(one, name) == pytest.approx(getattr(two, name), rel=1e-10, abs=1e-14)


@settings(deadline=None, max_examples=50)
@given(
    st.integers(0, 2**31),
    st.sampled_from([(100,), (50, 3), (10, 40)]),
    st.sampled_from([-100.0, -1.0, 0.01, 3.0]),
    st.integers(-1000, 1000),
)
def test_shift_and_scale(seed, shape, scale, shift):
    values = drawn(*shape, seed=seed)
    plain, other = estimate(values), estimate(scale * values + shift)
    assert other.mean == pytest.approx(scale * plain.mean + shift, rel=1e-9, abs=1e-9)
    assert other.error == pytest.approx(abs(scale) * plain.error, rel=1e-6)
    assert other.variance == pytest.approx(scale**2 * plain.variance, rel=1e-6)
    assert other.tau == pytest.approx(plain.tau, rel=1e-6)
    assert other.r_hat == pytest.approx(plain.r_hat, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_other_real_numbers_are_taken_as_double_ones(dtype):
    values = (10 * drawn(20, 40)).to(dtype)
    assert estimate(values) == estimate(values.double())


@pytest.mark.parametrize("value", [-2.0, 0.1, 0.0])
def test_equal_values_have_no_error(value):
    """But for rounding, which has no autocorrelation time and no R-hat either."""
    values = torch.full((10, 40), value, dtype=torch.float64) * (1 + 1e-15 * drawn(10, 40))
    found = estimate(values)
    assert (found.error, found.variance, found.tau, found.doubts) == (0.0, 0.0, 1.0, ())
    assert found.mean == pytest.approx(value, rel=1e-14)
    assert math.isnan(found.r_hat)
    assert repr(found).startswith(f"{value:.6f} ± 0.000000")


# R-hat


def test_r_hat_of_chains_that_agree_is_near_one():
    assert estimate(drawn(1000, 8)).r_hat == pytest.approx(1, abs=0.005)


@pytest.mark.parametrize("chains", [2, 8, 100])
def test_r_hat_of_chains_that_disagree_is_large(chains):
    apart = 3.0 * torch.arange(chains) % 6  # half of them at 0, half at 3
    assert Estimate.of(drawn(200, chains) + apart).r_hat > 1.5


@pytest.mark.parametrize("chains", [1, 8])
def test_r_hat_sees_a_drift_that_all_chains_share(chains):
    drift = torch.linspace(0, 6, 400, dtype=torch.float64)[:, None]
    assert Estimate.of(drawn(400, chains) + drift).r_hat > 1.3


def test_r_hat_is_its_formula():
    values = autoregressive(0.9, 31, 40).numpy()  # the value in the middle belongs to no half
    halves = np.concatenate([values[:15], values[16:]], axis=1)
    within, between = halves.var(0, ddof=1).mean(), 15 * halves.mean(0).var(ddof=1)
    expected = math.sqrt((14 / 15 * within + between / 15) / within)
    assert Estimate.of(torch.from_numpy(values)).r_hat == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("samples", [1, 2, 3])
def test_r_hat_of_too_few_samples_is_not_defined(samples):
    assert math.isnan(Estimate.of(drawn(samples, 100)).r_hat)
    assert "R-hat nan" in repr(Estimate.of(drawn(samples, 100)))


def test_r_hat_of_chains_that_are_stuck():
    """In one place it is not defined; in different places nothing is further from agreement."""
    assert math.isnan(Estimate.of(torch.ones(10, 40)).r_hat)
    assert Estimate.of(torch.arange(40.0).repeat(10, 1)).r_hat == math.inf


# The line that is printed


@pytest.mark.parametrize(
    ("mean", "error", "text"),
    [
        (-12.7849064, 0.00123, "-12.7849 ± 0.0012"),
        (3.14159, 0.5, "3.14 ± 0.50"),
        (1234.5, 12.3, "1234 ± 12"),
        (1234.5, 1.23, "1234.5 ± 1.2"),
        (0.1, 0.0, "0.100000 ± 0.000000"),
        (-1e6, 4e3, "-1000000 ± 4000"),
    ],
)
def test_mean_is_written_with_two_digits_of_its_error(mean, error, text):
    line = repr(Estimate(mean, error, variance=1.0, tau=1.26, r_hat=1.0004, count=100))
    assert line == f"{text} (tau 1.3, R-hat 1.000)"


# Autocorrelation


@pytest.mark.parametrize("phi", [-0.5, 0.0, 0.6, 0.9])
def test_autocorrelation_of_autoregressive_chains(phi):
    samples, chains, lags = 400, 400, 12
    rho = autocorrelation(autoregressive(phi, samples, chains), lags).numpy()
    assert rho.shape == (lags + 1,)
    assert rho[0] == 1
    # no estimate of rho_t scatters more than the mean of x_s x_(s+t) and of x^2 themselves would
    width = math.sqrt(2 * 2 * (1 + phi**2) / (1 - phi**2) / (samples - lags) / chains)
    np.testing.assert_allclose(rho, phi ** np.arange(lags + 1), rtol=0, atol=5 * width)


def test_autocorrelation_of_a_short_series_by_hand():
    x = torch.tensor([[1.0], [2.0], [4.0], [1.0]], dtype=torch.float64)  # mean 2
    expected = torch.tensor([6 / 4, -2 / 3, -2 / 2], dtype=torch.float64) / 1.5
    torch.testing.assert_close(autocorrelation(x, 2), expected)
    torch.testing.assert_close(autocorrelation(x.long(), 2), expected)
    torch.testing.assert_close(autocorrelation(x[:, 0], 2), expected)


def test_autocorrelation_does_not_change_with_shift_and_scale():
    x = autoregressive(0.7, 60, 20)
    torch.testing.assert_close(
        autocorrelation(-3 * x + 50, 10), autocorrelation(x, 10), rtol=1e-10, atol=1e-12
    )


def test_autocorrelation_and_time_agree():
    """tau = 1 + 2 sum rho_t, which the batch means find in another way."""
    x = autoregressive(0.6, 400, 1000)
    rho = autocorrelation(x, 30)
    assert 1 + 2 * rho[1:].sum().item() == pytest.approx(estimate(x).tau, rel=5 * math.sqrt(2 / 999))


# Less noise


def test_sharper_values_keep_their_mean():
    noise = drawn(20, 50, 3)
    values = (2.0 + noise[..., 0] - 0.5 * noise[..., 1] + 0.1 * noise[..., 2])[..., None]
    ours = sharpen(values, noise[..., :2])
    assert float(ours.std()) == pytest.approx(0.1, rel=0.1)
    assert float(ours.mean()) == pytest.approx(2.0, abs=0.015)


# Errors


def spoilt(value):
    values = drawn(10, 10)
    values[3, 4] = value
    return values


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: estimate(torch.zeros(63)),
            r"values: got torch.float32 of shape \(63,\), expected at least 64",
        ),
        (lambda: estimate(torch.zeros(7, 9)), r"of shape \(7, 9\), expected at least 64 real numbers as"),
        (lambda: estimate(torch.zeros(0, 100)), r"of shape \(0, 100\), expected"),
        (lambda: estimate(torch.zeros(10, 10, 10)), r"of shape \(10, 10, 10\), expected"),
        (lambda: estimate(torch.zeros(100, dtype=torch.complex128)), "values: got torch.complex128 of shape"),
        (lambda: estimate(torch.tensor(1.0)), r"of shape \(\), expected"),
        (lambda: estimate(spoilt(math.nan)), "values: got some that are not finite"),
        (lambda: estimate(spoilt(-math.inf)), "values: got some that are not finite"),
        (
            lambda: autocorrelation(drawn(20, 3), -1),
            "lags: got -1, expected a whole number, at least 0",
        ),
        (lambda: autocorrelation(drawn(20, 3), 20), "lags: got 20, expected 0 to 19"),
        (lambda: autocorrelation(drawn(20, 3) * 1j, 2), "values: got complex numbers, expected real ones"),
        (lambda: autocorrelation(torch.full((20, 3), 0.1), 2), "values: got equal ones, expected some"),
        (lambda: autocorrelation(spoilt(math.nan), 2), "values: got NaN or infinities"),
        (lambda: sharpen(drawn(2, 4, 1), drawn(2, 4, 3)), "values: got 8, expected ten for each of the 3"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

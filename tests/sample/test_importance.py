"""Importance sampling: Gaussians in closed form, calibrated errors, a chain that is exact."""

import math

import pytest
import torch

from nnbook.sample.estimates import estimate
from nnbook.sample.importance import Importance, independence_metropolis


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(11)


def gaussian(n, width, generator):
    """Samples of N(0, width^2) with their weights for exp(-x^2/2)."""
    x = width * torch.randn(n, generator=generator, dtype=torch.float64)
    log_q = -(x**2) / (2 * width**2) - math.log(width) - math.log(2 * math.pi) / 2
    return x, -(x**2) / 2 - log_q


def test_gaussians_have_their_closed_forms(generator):
    """For width s > 1/sqrt 2: <w^2>/<w>^2 = s^2 / sqrt(2 s^2 - 1), and KL = (s^2 - 1)/2 - ln s."""
    s = 1.3
    x, log_weights = gaussian(200_000, s, generator)
    found = Importance(log_weights)
    assert found.ess == pytest.approx(math.sqrt(2 * s**2 - 1) / s**2, abs=5e-3)
    assert found.log_z.mean == pytest.approx(math.log(2 * math.pi) / 2, abs=4 * found.log_z.error)
    assert found.log_z.error == pytest.approx(math.sqrt((1 / found.ess - 1) / len(x)), rel=1e-3)
    square = found.mean(x**2)
    assert square.mean == pytest.approx(1, abs=4 * square.error)
    kl = found.divergence
    assert kl.mean == pytest.approx((s**2 - 1) / 2 - math.log(s), abs=4 * kl.error)
    assert found.sound


def test_errors_are_calibrated(generator):
    """Over 400 repetitions the deviations in units of the stated error have width one."""
    pulls = {"log_z": [], "square": [], "kl": []}
    for _ in range(400):
        x, log_weights = gaussian(500, 1.2, generator)
        found = Importance(log_weights)
        exact = math.log(2 * math.pi) / 2, 1.0, 0.22 - math.log(1.2)
        for name, value, truth in zip(
            pulls, (found.log_z, found.mean(x**2), found.divergence), exact, strict=True
        ):
            pulls[name].append((value.mean - truth) / value.error)
    for deviations in map(torch.tensor, pulls.values()):
        assert float(deviations.std()) == pytest.approx(1, abs=4 / math.sqrt(800))
        assert abs(float(deviations.mean())) < 4 / math.sqrt(400)


def test_a_constant_is_exact_and_a_perfect_model_has_no_error():
    found = Importance(torch.full((200,), 3.0, dtype=torch.float64))
    assert found.ess == pytest.approx(1)
    assert (found.log_z.mean, found.log_z.error) == (pytest.approx(3.0), pytest.approx(0, abs=1e-8))
    assert found.mean(torch.ones(200)).error == 0
    assert repr(found.mean(torch.arange(200.0))) == "99.5 ± 4.1"


def test_weights_of_any_size_and_samples_outside_the_support():
    low = torch.tensor([-2000.0, -2001.0, -math.inf] * 300, dtype=torch.float64)
    found = Importance(low)
    assert found.log_z.mean == pytest.approx(-2000 + math.log((1 + math.exp(-1)) / 3))
    assert found.mean(torch.tensor([0.0, 1.0, 5.0] * 300)).mean == pytest.approx(1 / (1 + math.e))


def test_a_single_heavy_sample_is_announced():
    heavy = torch.zeros(1000, dtype=torch.float64)
    heavy[7] = 6.0
    with pytest.warns(RuntimeWarning, match=r"1000 samples are worth 12, the heaviest 29% of all"):
        found = Importance(heavy)
    assert not found.sound


def test_independence_chain_has_the_moments_of_the_target(generator):
    x, log_weights = gaussian(64_000, 1.5, generator)
    chain = independence_metropolis(log_weights, chains=64, generator=generator)
    found = estimate(x[chain.index] ** 2)
    assert found.mean == pytest.approx(1, abs=4 * found.error)
    plain = estimate(x.reshape(-1, 64) ** 2)
    assert plain.mean > 2  # without the chain
    assert found.tau > 1.2
    moved = (chain.index[1:] != chain.index[:-1]).double().mean()
    assert chain.acceptance == pytest.approx(float(moved))


def test_chain_of_a_perfect_model_accepts_all(generator):
    chain = independence_metropolis(torch.zeros(100), chains=3, generator=generator)
    assert chain.acceptance == 1
    assert chain.index.shape == (33, 3)


def test_follows_the_device_of_its_input(generator, elsewhere):
    log_weights = torch.linspace(0, 1, 500, dtype=torch.float64, device="cpu")
    assert Importance(log_weights).mean(log_weights).mean > 0.5
    assert independence_metropolis(log_weights, generator=generator).acceptance > 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: Importance(torch.zeros(1)), "log_weights: got 1, expected a whole number, at least 2"),
        (lambda g: Importance(torch.tensor([0.0, math.nan])), "log_weights: got NaN"),
        (lambda g: Importance(torch.tensor([0.0, math.inf])), "log_weights: got NaN or infinities"),
        (lambda g: Importance(torch.full((9,), -math.inf)), "log_weights: got no weight above zero"),
        (lambda g: Importance(torch.zeros(200)).mean(torch.zeros(3)), r"values: got shape \(3,\), expected"),
        (lambda g: independence_metropolis(torch.zeros(5), chains=4, generator=g), "samples: got 1"),
    ],
)
def test_wrong_input_says_so(call, message, generator):
    with pytest.raises(ValueError, match=message):
        call(generator)

"""Clusters of the XY model: exact means of two sites, of a 4 x 4 torus, agreement of chains."""

import math

import pytest
import torch
from scipy.special import ive

from nnbook.fields.actions import XY
from nnbook.fields.walkers import xy_samples, xy_sweep
from nnbook.sample.estimates import estimate


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(4)


def test_a_sweep_keeps_the_exact_distribution_of_a_small_torus(generator):
    """Independent exact draws by rejection stay distributed as they were; one sweep, no equilibration."""
    model = XY(2, 0.3)
    angles = model.start(400_000, generator=generator)
    keep = torch.rand(len(angles), generator=generator).log() < -model(angles) - 8 * 0.3
    exact = angles[keep]
    moved = xy_sweep(model, exact, generator=generator)
    assert 0.2 < float((moved != exact).double().mean()) < 0.8
    for observe in (model.energy, lambda x: model.energy(x) ** 2, model.helicity, lambda x: x.cos().mean(1)):
        change = observe(moved) - observe(exact)
        assert abs(float(change.mean())) < 4 * float(change.std()) / len(change) ** 0.5


def test_energy_of_a_ring_of_four(generator):
    """A torus of 2 x 2 is a ring of four whose bonds are double: Z is the sum of I_n(2 beta)^4."""
    beta = 0.7
    x = xy_samples(XY(2, beta), chains=500, samples=20, generator=generator)
    orders = range(-30, 31)

    def log_z(b):
        return 4 * 2 * b + math.log(sum(ive(n, 2 * b) ** 4 for n in orders))

    exact = -(log_z(beta + 1e-5) - log_z(beta - 1e-5)) / 2e-5
    found = estimate(torch.stack([XY(2, beta).energy(y) for y in x]))
    assert found.mean == pytest.approx(exact, abs=4 * found.error)
    assert found.error < 0.05


@pytest.mark.parametrize(("beta", "exact"), [(0.5, -0.607409), (1.0, -1.411729), (2.0, -1.7480)])
def test_energy_of_four_by_four(beta, exact, generator):
    """Exact by sums over currents."""
    model = XY(4, beta)
    x = xy_samples(model, chains=400, samples=20, generator=generator)
    found = estimate(torch.stack([model.energy(y) / 16 for y in x]))
    assert found.mean == pytest.approx(exact, abs=4 * found.error)
    assert found.error < 0.006
    assert found.r_hat < 1.2  # ordered and random starts agree
    assert 0 <= float(x.min()) <= float(x.max()) <= 2 * math.pi


def test_same_seed_same_chains():
    one, other = (
        xy_samples(XY(3, 1.0), chains=3, samples=2, generator=torch.Generator().manual_seed(2))
        for _ in range(2)
    )
    torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert one.shape == (2, 3, 9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: xy_sweep(XY(3, 1.0), torch.zeros(2, 8), generator=g), r"angles: got shape \(2, 8\)"),
        (lambda g: xy_samples(XY(3, 1.0), chains=0, samples=1, generator=g), "chains: got 0"),
        (lambda g: xy_samples(XY(3, 1.0), chains=1, samples=1, warm_up=-1, generator=g), "warm_up: got -1"),
    ],
)
def test_wrong_input_says_so(call, message, generator):
    with pytest.raises(ValueError, match=message):
        call(generator)

"""The leaf of the renormalisation chapter: published and enumerated values, exact divergences."""

import math

import numpy as np
import pytest
import torch

from nnbook.rg_flows import (
    BETA_C,
    Hierarchy,
    Ising,
    IsingField,
    block_joint,
    bulk_distance,
    bulk_information,
    configurations,
    fit_action,
    fit_bound,
    fit_gaussian,
    fit_rule,
    free_covariance,
    gaussian_information,
    haar,
    mutual_information,
    rule_information,
    weigh,
)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(2)


def data_of(action, generator):
    s = torch.from_numpy(configurations(action.length**2))
    p = torch.softmax(-Ising(action.length, action.beta)(s), 0)

    def data(n):
        drawn = s[p.multinomial(n, replacement=True, generator=generator)]
        return action.field(drawn, generator=generator)

    return data


def test_training_reaches_the_ising_field_of_four_spins(generator):
    action = IsingField(2, BETA_C)
    data = data_of(action, generator)
    flow = Hierarchy(2, depth=2, couplings=6, hidden=3, generator=generator)
    x = data(20_000)
    assert fit_gaussian(flow, x.mT @ x / len(x), steps=60).value < 1e-3
    fit_action(flow, action, data, steps=25, generator=generator, batch=300, last=0.1)
    _, found = weigh(flow, action, 20_000, generator=generator)
    assert found.divergence.mean < 0.05
    assert found.log_z.mean == pytest.approx(action.log_z, abs=5 * found.log_z.error)


def test_the_bound_is_one(generator):
    action = IsingField(2, 0.3)
    flow = Hierarchy(2, generator=generator)
    fit = fit_bound(flow, action, steps=80, generator=generator, rate=2e-2)
    _, found = weigh(flow, action, 20_000, generator=generator)
    assert -fit.value < action.log_z + 0.1
    assert found.divergence.mean < 0.2


def test_divergence_of_gaussians_is_exact(generator):
    covariance = free_covariance(4, 0.5)
    flow = Hierarchy(4, depth=1, generator=generator)
    value = fit_gaussian(flow, covariance, steps=30).value
    unit = torch.eye(16, dtype=torch.float64)
    ours = flow(unit)[0].detach()
    ours = ours.mT @ ours
    exact = torch.distributions.kl_divergence(
        torch.distributions.MultivariateNormal(torch.zeros(16).double(), ours),
        torch.distributions.MultivariateNormal(torch.zeros(16).double(), covariance),
    )
    assert value == pytest.approx(float(exact), abs=1e-9)


def test_information_of_blocks():
    joint = block_joint(BETA_C)
    states = configurations(4)
    assert mutual_information(joint) == pytest.approx(0.70203, abs=1e-5)
    up = (states.sum(1) > 0) | ((states.sum(1) == 0) & (states[:, 0] > 0))
    majority = mutual_information(np.stack([joint[up].sum(0), joint[~up].sum(0)]))
    assert majority == pytest.approx(0.53777, abs=1e-5)
    decimation = states[:, 0] > 0
    lost = mutual_information(np.stack([joint[decimation].sum(0), joint[~decimation].sum(0)]))
    assert lost == pytest.approx(0.45398, abs=1e-5)
    found, rule = fit_rule(joint, seed=1)
    assert found > 0.99 * 0.54297
    assert found <= 0.54297 + 1e-5
    assert rule.shape == (16,)


def test_ranking_ends_with_the_best(generator):
    small = block_joint(0.4, length=3)
    assert rule_information(small).max() <= mutual_information(small)


def test_gaussian_blocks_and_haar():
    covariance, w = free_covariance(8, 0.1), haar(8)
    torch.testing.assert_close(w @ w.mT, torch.eye(64, dtype=torch.float64))
    assert float(w[0].std()) == pytest.approx(0.0, abs=1e-12) or w[0].abs().min() > 0
    a, b = [0, 1, 8, 9], [2, 3, 10, 11]
    assert gaussian_information(covariance, a, b) == pytest.approx(0.28777, abs=1e-5)


def test_gaussian_information_is_that_of_the_correlation():
    c = torch.tensor([[2.0, 0.9], [0.9, 1.0]], dtype=torch.float64)
    assert gaussian_information(c, [0], [1]) == pytest.approx(-0.5 * math.log(1 - 0.81 / 2))
    block = torch.block_diag(c, c)
    assert gaussian_information(block, [0, 1], [2, 3]) == pytest.approx(0.0, abs=1e-14)
    with pytest.raises(ValueError, match="different numbers"):
        gaussian_information(c, [0], [0])
    with pytest.raises(ValueError, match="no covariance"):
        gaussian_information(-c, [0], [1])


def test_distance_of_the_bulk_has_its_symmetries():
    d = bulk_distance(8)
    torch.testing.assert_close(d, d.mT)
    assert float(d.diagonal().abs().max()) == 0
    assert float(d[d > 0].min()) > 0.5
    pairs = bulk_information(haar(8) @ free_covariance(8, 0.1) @ haar(8).mT)
    assert float(pairs.diagonal().abs().max()) == 0
    assert float(pairs.min()) >= 0


@pytest.mark.parametrize("length", [3, 12], ids=str)
def test_wrong_length(length):
    with pytest.raises(ValueError, match="power of two"):
        haar(length)
    with pytest.raises(ValueError, match="power of two"):
        bulk_distance(length)

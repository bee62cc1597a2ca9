"""Hybrid Monte Carlo: quadrature, the identity of Creutz, reversal, order of the rule."""

import math

import numpy as np
import pytest
import torch

from nnbook.fields.scalars import Phi4
from nnbook.sample.estimates import estimate
from nnbook.sample.hmc import hmc, with_gradient


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(4)


def quartic(x):
    return (x.square() / 2 + x**4).sum(1)


def moment(power):
    x = np.linspace(-4, 4, 4001)
    weight = np.exp(-(x**2) / 2 - x**4)
    return float(weight @ x**power / weight.sum())


def test_means_are_those_of_quadrature(generator):
    start = torch.zeros(200, 3, dtype=torch.float64)
    drawn = hmc(
        with_gradient(quartic), start, samples=200, step=0.3, leaps=4, warm_up=20, generator=generator
    )
    assert drawn.samples.shape == (200, 200, 3)
    assert 0.85 < drawn.acceptance < 1
    for power in (2, 4):
        found = estimate(drawn.samples.pow(power).mean(2))
        assert found.mean == pytest.approx(moment(power), abs=4 * found.error)
        assert found.error < 0.01 * moment(power) * 2


def test_violations_of_the_energy_obey_creutz(generator):
    start = torch.zeros(400, 4, dtype=torch.float64)
    drawn = hmc(with_gradient(quartic), start, samples=50, step=0.3, leaps=4, warm_up=20, generator=generator)
    weight = (-drawn.violations).exp().mean(0)  # of each chain
    assert float(weight.mean()) == pytest.approx(1.0, abs=4 * float(weight.std()) / 20)
    assert float(weight.std()) / 20 < 0.01
    assert float(drawn.violations.mean()) > 0.01


def test_errors_of_the_rule_are_of_second_order(generator):
    start = torch.randn(300, 2, generator=generator, dtype=torch.float64)
    sizes = []
    for step, leaps in ((0.1, 10), (0.05, 20)):
        source = torch.Generator().manual_seed(1)
        options = {"samples": 1, "step": step, "leaps": leaps, "jitter": 0.0, "generator": source}
        sizes.append(float(hmc(with_gradient(quartic), start, **options).violations.abs().mean()))
    assert sizes[0] / sizes[1] == pytest.approx(4, rel=0.1)


def test_a_field_obeys_its_equation_of_motion(generator):
    """The mean of phi dS/dphi is one a site, whatever the action."""
    action = Phi4(4, -1.0, 1.0)
    start = action.start(100, generator=generator)
    drawn = hmc(
        action.with_gradient,
        start,
        samples=100,
        step=0.15,
        leaps=6,
        warm_up=50,
        generator=generator,
        observe=lambda x: x,
    )
    x = drawn.samples.flatten(0, 1)
    virial = estimate((x * action.with_gradient(x)[1]).mean(1).reshape(100, 100))
    assert virial.mean == pytest.approx(1.0, abs=4 * virial.error)


def test_what_is_observed_is_kept_and_chains_go_on(generator):
    start = torch.zeros(5, 2, dtype=torch.float64)
    options = {"samples": 3, "step": 0.3, "leaps": 2, "generator": generator}
    drawn = hmc(with_gradient(quartic), start, observe=lambda x: x[:, 0], **options)
    assert drawn.samples.shape == (3, 5)
    torch.testing.assert_close(drawn.samples[-1], drawn.last[:, 0])
    assert drawn.violations.shape == (3, 5)


def test_trajectories_that_run_away_are_rejected(generator):
    start = torch.zeros(5, 2, dtype=torch.float64)
    drawn = hmc(with_gradient(quartic), start, samples=3, step=50.0, leaps=20, generator=generator)
    assert drawn.acceptance == 0
    torch.testing.assert_close(drawn.last, start)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"leaps": 0}, "leaps: got 0"),
        ({"step": -0.1}, "step: got -0.1"),
        ({"jitter": 2.0}, "jitter: got 2"),
        ({"start": torch.zeros(0, 2).double()}, "chains: got 0"),
        ({"start": torch.full((3, 2), math.nan).double()}, "start: got NaN"),
        ({"action": lambda x: (x, x)}, r"action: got shape \(5, 2\)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_wrong_input_says_so(change, message, generator):
    options = {
        "action": with_gradient(quartic),
        "start": torch.zeros(5, 2, dtype=torch.float64),
        "samples": 2,
        "step": 0.1,
        "leaps": 2,
        "generator": generator,
    }
    with pytest.raises(ValueError, match=message):
        hmc(**options | change)

"""The leaf of the chapter on flows: a density known in closed form, exact sums, traps."""

import math

import pytest
import torch

from nnbook.flow_samplers import (
    BETA_C,
    GaussianField,
    Ising,
    Phi4,
    estimate,
    forward_ess,
    hmc,
    latent,
    momenta2,
    recipe,
    torus,
    train,
    train_adam,
    weigh,
    wolff,
)

ACTION = Phi4(4, -4.0, 8.0)


def act(x):
    return ACTION.with_gradient(x)


def free(x, mass2=0.6):
    """A Gaussian action, whose ln Z is known."""
    action = Phi4(4, mass2, 1e-300)
    return action.with_gradient(x)


def free_log_z(mass2=0.6):
    return 0.5 * float((math.pi / (momenta2(4) + mass2)).log().sum())


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(6)


def small(prior=None):
    return recipe(
        prior or GaussianField.hartree(ACTION), frequencies=(1.5, 3.0), masses2=(0.5,), times=3, steps=4
    )


@pytest.fixture(scope="module")
def trained():
    flow, source = small(), torch.Generator().manual_seed(1)
    train(
        flow,
        act,
        steps=25,
        batch=96,
        trust=0.2,
        rules=(3, 5),
        ridge=1e-3,
        damping=0.1,
        last=1.0,
        generator=source,
    )
    train(flow, act, steps=8, batch=256, rules=(3, 5), generator=source)
    return flow


def test_gauss_newton_finds_a_free_field_from_white_noise(generator):
    flow = small(GaussianField(torch.full((4, 4), 0.3, dtype=torch.float64)))
    _, before = weigh(flow, lambda x: free(x)[0], 1000, generator=generator)
    fit = train(flow, free, steps=25, batch=128, rules=(3, 5), ridge=1e-5, generator=generator)
    _, found = weigh(flow, lambda x: free(x)[0], 2000, generator=generator)
    assert found.ess > 0.99 > before.ess
    assert found.log_z.mean == pytest.approx(free_log_z(), abs=4 * found.log_z.error + 1e-3)
    assert fit.value < 1e-2


def test_a_trained_flow_is_nearly_exact_forwards_and_backwards(trained, generator):
    _, found = weigh(trained, ACTION, 3000, generator=generator)
    assert found.ess > 0.97
    start = GaussianField.hartree(ACTION).sample(200, generator=generator)
    drawn = hmc(act, start, samples=20, step=0.1, leaps=8, warm_up=40, generator=generator)
    assert forward_ess(trained, ACTION, drawn.samples[::4].flatten(0, 1)) > 0.95


def test_adam_goes_the_same_way(generator):
    flow = small()
    _, before = weigh(flow, ACTION, 500, generator=generator)
    train_adam(flow, act, steps=20, batch=32, rules=(3,), rate=1e-2, generator=generator)
    _, after = weigh(flow, ACTION, 500, generator=generator)
    assert after.divergence.mean < 0.9 * before.divergence.mean


def test_noise_behind_the_field_has_the_right_distribution(trained, generator):
    noise = torch.randn(60, 16, generator=generator, dtype=torch.float64)
    options = {"samples": 16, "step": 0.4, "leaps": 3, "warm_up": 5, "generator": generator}
    options["observe"] = lambda e: trained.transport(trained.prior.colour(e))[0]
    drawn = hmc(latent(trained, act), noise, **options)
    x = drawn.samples.flatten(0, 1)
    virial = estimate((x * ACTION.with_gradient(x)[1]).mean(1).reshape(16, -1))
    assert virial.mean == pytest.approx(1.0, abs=4 * virial.error)
    assert drawn.acceptance > 0.9
    wrong = hmc(latent(trained, act, jacobian=False), noise, **options)
    x = wrong.samples.flatten(0, 1)
    virial = estimate((x * ACTION.with_gradient(x)[1]).mean(1).reshape(16, -1))
    assert abs(virial.mean - 1.0) > 10 * virial.error


@pytest.mark.parametrize("jacobian", [True, False], ids=str)
def test_gradient_of_the_noise_is_a_finite_difference(trained, generator, jacobian):
    noise, direction = torch.randn(2, 3, 16, generator=generator, dtype=torch.float64)
    both = latent(trained, act, jacobian=jacobian)
    slope = (both(noise + 1e-5 * direction)[0] - both(noise - 1e-5 * direction)[0]) / 2e-5
    torch.testing.assert_close((both(noise)[1] * direction).sum(1), slope, rtol=1e-5, atol=1e-5)


def test_wolff_has_the_exact_energy(generator):
    model = Ising(3, BETA_C)
    bonds, spins = model.bonds().triu().nonzero(), model.start(400, generator=generator)
    energies = []
    for move in range(140):
        spins, turned = wolff(spins, bonds, BETA_C, generator=generator)
        assert bool(((turned >= 1) & (turned <= 9)).all())
        if move >= 20:
            energies.append(model.energy(spins) / 9)
    found = estimate(torch.stack(energies))
    assert found.mean == pytest.approx(torus(BETA_C, 3).energy, abs=4 * found.error)
    assert found.error < 0.01


def test_wolff_turns_all_spins_of_a_cluster_and_no_other(generator):
    bonds = Ising(4, 1.0).bonds().triu().nonzero()
    spins = torch.ones(50, 16, dtype=torch.float64)
    after, turned = wolff(spins, bonds, 50.0, generator=generator)
    assert bool((turned == 16).all())
    torch.testing.assert_close(after, -spins)
    after, turned = wolff(spins, bonds, 1e-9, generator=generator)
    assert bool((turned == 1).all())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: train(small(), act, steps=0, generator=g), "steps: got 0"),
        (lambda g: train(small(), act, steps=1, rules=(), generator=g), "rules: got 0"),
        (lambda g: train(small(), act, steps=1, rules=(0,), generator=g), r"rules\[0\]: got 0"),
        (lambda g: train(small(), act, steps=1, batch=4, generator=g), "batch: got 4"),
        (lambda g: train_adam(small(), act, steps=1, rate=-1.0, generator=g), "rate: got -1"),
        (lambda g: weigh(small(), ACTION, 1, generator=g), "n: got 1"),
        (
            lambda g: wolff(torch.ones(2, 4), torch.tensor([[0, 4]]), 0.4, generator=g),
            "bonds: got numbers from 0 to 4",
        ),
    ],
)
def test_wrong_input_says_so(call, message, generator):
    with pytest.raises(ValueError, match=message):
        call(generator)

"""Scalar fields: sums over neighbours, phases, the free field whose waves are independent."""

import math

import pytest
import torch

from nnbook.fields.actions import XY, wrap
from nnbook.fields.scalars import ComplexPhi4, GaussianField, Phi4, hartley, momenta2
from nnbook.sample.estimates import estimate


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(3)


@pytest.fixture(
    params=[Phi4(4, -4.0, 8.0), ComplexPhi4.like_xy(4, 1.0, coupling=4.0)], ids=["real", "complex"]
)
def action(request):
    return request.param


def test_phi4_is_a_sum_over_neighbours(generator):
    action = Phi4(5, -1.3, 0.7)
    x = action.start(4, generator=generator)
    apart = (x[:, :, None] - x[:, None]).square() * action.bonds() / 2
    expected = apart.sum((1, 2)) + (-1.3 * x.square() + 0.7 * x**4).sum(1)
    torch.testing.assert_close(action(x), expected)


def test_complex_phi4_has_its_minimum_and_the_angles_of_xy(generator):
    action, model = ComplexPhi4.like_xy(6, 0.8, coupling=3.0, density=2.0), XY(6, 1 / 0.8)
    angles = model.start(5, generator=generator)
    x = 2.0**0.5 * torch.cat([angles.cos(), angles.sin()], 1)
    assert float(action.with_gradient(x[:, :36].new_full((1, 72), 1.0))[1].abs().max()) < 1e-12  # |phi|^2 = 2
    off = action(x) - model(angles)
    torch.testing.assert_close(off, off[:1].expand(5))  # frozen amplitudes: a constant
    torch.testing.assert_close(wrap(action.angles(x)), wrap(angles))
    torch.testing.assert_close(action.vortices(x), model.vortices(angles))
    torch.testing.assert_close(action.helicity(x), model.beta * model.helicity(angles))
    mean = torch.complex(angles.cos(), angles.sin()).mean(1).abs()
    torch.testing.assert_close(action.order(x), 2.0**0.5 * mean)


def test_hartree_mass_is_the_fixed_point(action):
    field = GaussianField.hartree(action)
    m2 = 0.5 / float(field.variance[0, 0])
    mean = float(field.variance.mean())
    kappa, mass2 = action.terms
    expected = mass2 + 2 * (action.components + 2) * action.coupling * mean
    assert m2 == pytest.approx(expected, rel=1e-9)
    torch.testing.assert_close(1 / field.variance, 2 * (kappa * momenta2(4) + m2))


def test_hartree_field_of_a_free_action_is_exact(generator):
    """Without interaction the action is that of the prior, up to a constant."""
    action = Phi4(4, 0.7, 1e-12)
    x = action.start(5, generator=generator)
    off = action(x) + GaussianField.hartree(action).log_prob(x)
    torch.testing.assert_close(off, off[:1].expand(5), rtol=0, atol=1e-8)


def test_gaussian_samples_have_their_variance(generator):
    field = GaussianField(0.5 / (momenta2(6) + 0.3), components=2)
    x = field.sample(20_000, generator=generator)
    waves = hartley(6) @ x.reshape(-1, 2, 6, 6) @ hartley(6)
    for wave in ((0, 0), (1, 2), (3, 3)):
        square = estimate(waves[:, 1, *wave].square().reshape(100, 200))
        assert square.mean == pytest.approx(float(field.variance[wave]), abs=4 * square.error)
    covariance = torch.linalg.inv(
        torch.autograd.functional.hessian(lambda y: -field.log_prob(y)[0], x[:1])[0, :, 0]
    )
    norm = -0.5 * float(torch.logdet(2 * math.pi * covariance))
    assert float(field.log_prob(0 * x[:1])) == pytest.approx(norm)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Phi4(8, -4.0, 0.0), "coupling: got 0"),
        (lambda: Phi4(8, math.nan, 1.0), "mass2: got nan"),
        (lambda: ComplexPhi4(8, -1.0, 0.0, 1.0), "hopping: got -1"),
        (lambda: ComplexPhi4.like_xy(8, 0.0, coupling=1.0), "temperature: got 0"),
        (lambda: Phi4(8, -4.0, 8.0)(torch.ones(3, 16)), r"x: got shape \(3, 16\), expected \(batch, 64\)"),
        (lambda: GaussianField(-torch.ones(4, 4)), "variance: got -1"),
        (lambda: GaussianField(torch.ones(4, 5)), r"variance: got shape \(4, 5\)"),
    ],
)
def test_wrong_input_says_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()

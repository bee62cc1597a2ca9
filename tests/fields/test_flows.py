"""Flows: automatic differentiation, finite differences, symmetries, reversal, order of the rule."""

import math

import pytest
import torch

from nnbook.fields.flows import EquivariantFlow, orbits, propagators
from nnbook.fields.scalars import ComplexPhi4, GaussianField, Phi4

ACTIONS = {"real": Phi4(4, -4.0, 8.0), "complex": ComplexPhi4.like_xy(4, 1.0, coupling=4.0)}


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(3)


@pytest.fixture(params=ACTIONS)
def action(request):
    return ACTIONS[request.param]


@pytest.fixture
def flow(action, generator):
    kernels = torch.cat([orbits(4), propagators(4, (0.5,))])
    flow = EquivariantFlow(GaussianField.hartree(action), kernels, (1.05, 2.1), times=3, steps=6)
    shape = flow.coefficients.shape
    with torch.no_grad():
        flow.coefficients += 0.05 * torch.randn(shape, generator=generator, dtype=torch.float64)
    return flow


def test_log_determinant_is_that_of_autograd(flow, generator):
    z = flow.prior.sample(2, generator=generator)
    plain = EquivariantFlow.transport.__wrapped__  # with gradients
    for row, log_det in zip(z, flow.transport(z, steps=20)[1], strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda y: plain(flow, y[None], steps=20)[0][0], row)
        assert float(torch.linalg.slogdet(jacobian)[1]) == pytest.approx(float(log_det), abs=1e-5)


def test_derivatives_by_parameters_are_finite_differences(flow, action, generator):
    z, step, count = flow.prior.sample(4, generator=generator), 1e-5, flow.coefficients.numel()
    slopes = flow.log_weights(action.with_gradient, z).slopes
    assert slopes.shape == (4, count)
    flat = flow.coefficients.detach().view(-1)
    for k in range(0, count, 7):
        sides = []
        for sign in (1, -1):
            flat[k] += sign * step
            sides.append(flow.log_weights(action.with_gradient, z).f)
            flat[k] -= sign * step
        torch.testing.assert_close(slopes[:, k], (sides[0] - sides[1]) / (2 * step), rtol=1e-5, atol=1e-5)


def test_force_on_the_noise_is_a_finite_difference(flow, action, generator):
    z, direction = (flow.prior.sample(4, generator=generator) for _ in range(2))

    def latent(y):
        field, log_det = flow.transport(y)
        return action(field) - log_det

    slope = (latent(z + 1e-5 * direction) - latent(z - 1e-5 * direction)) / 2e-5
    force = flow.log_weights(action.with_gradient, z).force
    torch.testing.assert_close((force * direction).sum(1), slope, rtol=1e-5, atol=1e-5)


def test_way_back_ends_at_the_noise_and_converges_in_fourth_order(flow, generator):
    z = flow.prior.sample(20, generator=generator)
    misses = []
    for steps in (6, 12):
        x, there = flow.transport(z, steps=steps)
        back, here = flow.transport(x, steps=steps, backward=True)
        misses.append((float((back - z).abs().max()), float((there + here).abs().max())))
    for coarse, fine in zip(*misses, strict=True):
        assert fine < 1e-4
        assert coarse / fine > 8


def test_density_is_that_of_the_samples(flow, action, generator):
    x = flow.sample(6, generator=torch.Generator().manual_seed(8), steps=20)
    z = flow.prior.sample(6, generator=torch.Generator().manual_seed(8))
    expected = flow.prior.log_prob(z) - flow.transport(z, steps=20)[1]
    torch.testing.assert_close(flow.log_prob(x, steps=20), expected, rtol=1e-6, atol=1e-6)
    weights = flow.log_weights(action.with_gradient, z, steps=20)
    torch.testing.assert_close(weights.f, expected + action(x))
    torch.testing.assert_close(weights.field, x)


def test_symmetries_are_exact(flow, action, generator):
    z = flow.prior.sample(5, generator=generator)
    x, log_det = flow.transport(z)
    lattice = (-1, action.components, 4, 4)
    operations = [
        lambda y: -y,
        lambda y: y.reshape(lattice).roll((1, 2), (2, 3)).flatten(1),
        lambda y: y.reshape(lattice).rot90(1, (2, 3)).flatten(1),
        lambda y: y.reshape(lattice).flip(3).flatten(1),
    ]
    if action.components == 2:
        c, s = math.cos(0.7), math.sin(0.7)
        turn = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
        operations.append(lambda y: torch.einsum("ij,bjxy->bixy", turn, y.reshape(lattice)).flatten(1))
    for image in operations:
        moved, same = flow.transport(image(z))
        torch.testing.assert_close(moved, image(x))
        torch.testing.assert_close(same, log_det)


def test_a_flow_without_training_is_its_prior(action, generator):
    flow = EquivariantFlow(GaussianField.hartree(action), orbits(4), (1.0,), steps=2)
    z = flow.prior.sample(3, generator=generator)
    x, log_det = flow.transport(z)
    torch.testing.assert_close(x, z)
    assert float(log_det.abs().max()) == 0


@pytest.mark.parametrize("length", [8, 11, 12])
def test_both_ways_to_transform_agree(length, generator):
    """Large lattices transform rows and columns one after the other."""
    x = torch.randn(3, length, length, generator=generator, dtype=torch.float64)
    prior = GaussianField(torch.ones(length, length, dtype=torch.float64))
    flow = EquivariantFlow(prior, orbits(length), (1.0,), times=2, steps=1)
    kernel = torch.zeros(length, length, dtype=torch.float64)  # the four neighbours, and dt v once
    kernel[0, 1] = kernel[1, 0] = kernel[0, -1] = kernel[-1, 0] = 0.5
    with torch.no_grad():
        flow.coefficients[0, 1, 0] = 1e-6
    moved = (flow.transport(x.flatten(1))[0] - x.flatten(1)).reshape(x.shape) / 1e-6
    expected = torch.fft.ifft2(torch.fft.fft2(x) * torch.fft.fft2(kernel)).real
    torch.testing.assert_close(moved, expected, rtol=1e-4, atol=1e-4)


def test_orbits_are_all_displacements_once():
    rows = torch.stack([torch.fft.ifft2(kernel).real for kernel in orbits(8, 20.0)])
    assert len(rows) == 15
    assert bool(((rows > 1e-9).sum(0) == 1).all())
    torch.testing.assert_close(rows.square().sum((1, 2)), torch.ones(15, dtype=torch.float64))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: orbits(1), "length: got 1"),
        (lambda: orbits(8, -1.0), "radius: got -1"),
        (lambda: propagators(8, (0.0,)), "masses2: got 0"),
        (lambda: plain(frequencies=(0.0,)), "frequencies: got 0"),
        (lambda: plain(kernels=orbits(8)), r"kernels: got shape \(7, 8, 8\)"),
        (lambda: plain(times=0), "times: got 0"),
        (lambda: plain().transport(torch.zeros(2, 8).double()), r"x: got shape \(2, 8\)"),
        (lambda: plain().transport(torch.zeros(2, 16)), "x: got torch.float32"),
        (lambda: plain().transport(torch.zeros(2, 16).double(), steps=0), "steps: got 0"),
    ],
)
def test_wrong_input_says_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def plain(**changes):
    prior = GaussianField(torch.ones(4, 4, dtype=torch.float64))
    return EquivariantFlow(prior, **{"kernels": orbits(4), "frequencies": (1.0,)} | changes)

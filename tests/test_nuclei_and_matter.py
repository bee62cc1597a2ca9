"""The leaf of the chapter on nuclei: matrices in momentum space, closed forms, integrals over distances."""

import dataclasses

import numpy as np
import pytest
import torch

from nnbook.nuclei_and_matter import (
    HBAR2_OVER_MASS,
    Correlator,
    Nucleus,
    Product,
    Spins,
    Yamaguchi,
    bound_pair,
    correlated_gaussians,
    energy,
    measure,
    minimise_energy,
    momentum_matrix,
    momentum_mesh,
    optimise,
    pionless,
    quadrature,
)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(1)


@pytest.mark.parametrize("tensor", [0.0, 1.784])
def test_yamaguchi_in_closed_form(tensor):
    force = Yamaguchi(tensor=tensor)
    k, weights = momentum_mesh(64)
    values, vectors = np.linalg.eigh(momentum_matrix(force, k, weights))
    assert values[0] == pytest.approx(force.energy, rel=1e-8)
    assert values[1] > 0
    assert np.square(vectors[64:, 0]).sum() == pytest.approx(force.d_state, abs=1e-9)
    wave = force.form(k) / (k**2 + force.alpha**2) * np.sqrt(weights)
    assert abs(wave.ravel() @ vectors[:, 0]) / np.linalg.norm(wave) == pytest.approx(1, abs=1e-10)


def test_yamaguchi_scatters_as_its_tail_says():
    # the residue of the amplitude: a from the zero-energy solution of the mesh, (H + 0) psi = -V 0
    force = dataclasses.replace(Yamaguchi(), tensor=0.0)
    a, b = force.alpha, force.alpha * force.beta
    closed = 2 * (a + b) ** 2 / (a * b * (a + 2 * b))
    assert force.scattering_length == pytest.approx(closed, rel=1e-12)
    assert Yamaguchi().scattering_length == pytest.approx(5.378, abs=0.01)
    assert Yamaguchi().d_state == pytest.approx(0.04, abs=0.003)


@pytest.mark.parametrize("cutoff", [2, 4, 6])
def test_momentum_and_position_space_agree(cutoff):
    force = pionless(cutoff)
    k, weights = momentum_mesh(64)
    assert np.linalg.eigvalsh(momentum_matrix(force, k, weights))[0] == pytest.approx(
        bound_pair(force.triplet, cutoff), abs=1e-6
    )


def test_quadrature_integrates_triangles():
    # over two vectors exp(-(r12² + r13² + r23²)/2) has the integral (2 pi)^3 / 3^(3/2);
    # angles give 8 pi², and the change from the distances to u, v, w a factor 2
    at = quadrature(3, 40, 12.0)
    x = at.positions
    square = sum((x[:, i] - x[:, j]).square().sum(1) for i, j in ((0, 1), (0, 2), (1, 2)))
    ours = 16 * np.pi**2 * float((at.weights * (-square / 2).exp()).sum())
    assert ours == pytest.approx((2 * np.pi) ** 3 / 3**1.5, rel=1e-6)


def test_deuteron_becomes_exact(generator):
    force = pionless(4)
    state, nucleus = Product(Correlator(2, 4.0, 8, 0, generator=generator)), Nucleus(2, pionless(4))
    minimise_energy(state, nucleus, quadrature(2, 80), steps=100)
    found = energy(state, nucleus, quadrature(2, 250)).item()
    exact = bound_pair(force.triplet, 4)
    assert exact - 1e-9 < found < exact + 1e-4
    seen = measure(state, nucleus, generator=generator, chains=300, samples=30, warm_up=60)
    assert abs(seen.energy.mean - found) < 5 * seen.energy.error + 1e-3


def test_triton_comes_down_and_stays_above(generator):
    force = pionless(2)
    nucleus, at = Nucleus(3, force), quadrature(3, 18, 20.0)
    field = Spins(3, [1.0, 2.0, 4.0])
    state = Product(Correlator(3, 2.0, 4, 3, generator=generator), field)
    plain = minimise_energy(Product(state.factors[0]), nucleus, at, steps=30)
    turned = minimise_energy(state, nucleus, at, steps=20, parameters=[field.coefficients])
    assert correlated_gaussians(3, force, spins=False) < plain < -7.8
    assert correlated_gaussians(3, force) < turned < plain - 0.3


def test_the_integral_is_the_mean_local_energy(generator):
    nucleus, at = Nucleus(3, pionless(2)), quadrature(3, 44, 25.0)
    state = Product(Correlator(3, 2.0, 4, 3, generator=generator), Spins(3, [1.0, 2.0], [0.3, 0.2]))
    log = state(at.positions).detach()
    chance = at.weights * (2 * (log - log.max())).exp()
    local = sum(nucleus.split(state, at.positions))
    assert energy(state, nucleus, at).item() == pytest.approx(
        float((chance * local).sum() / chance.sum()), rel=1e-4
    )


def test_one_step_of_helium(generator):
    nucleus = Nucleus(4, pionless(2))
    state = Product(Correlator(4, 2.0, 4, 3, generator=generator), Spins(4, [1.0, 2.0]))
    assert optimise(state, nucleus, generator=generator, steps=1, chains=20, rate=1e-3).steps == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: quadrature(4, 5), "nucleons: got 4, expected 2 or 3"),
        (lambda: quadrature(3, 0), "points: got 0, expected"),
        (lambda: momentum_mesh(0), "points: got 0, expected"),
        (lambda: Yamaguchi(beta=-1.0), "beta: got -1, expected"),
        (lambda: momentum_matrix(pionless(2), np.ones(3), np.ones(2)), "weights: got shape"),
    ],
    ids=["four", "points", "mesh", "beta", "weights"],
)
def test_errors_help(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_units():
    assert pytest.approx(41.47, abs=0.01) == HBAR2_OVER_MASS

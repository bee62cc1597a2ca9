"""Networks as wave functions: signs, symmetries, gradients, where their units bend."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnbook.networks import assign, flatten
from nnbook.particles.grid import Grid
from nnbook.particles.hamiltonian import Hamiltonian, trapped
from nnbook.particles.sectors import Particles
from nnbook.particles.waves import Symmetrised, WaveFunction, bend_where_classical, take_over

seeds = st.integers(0, 2**31)


def generator(seed=1):
    return torch.Generator().manual_seed(seed)


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_unsigned_network_is_positive_and_signed_one_the_difference_of_two(seed):
    x = torch.linspace(-5, 5, 50, dtype=torch.float64)[:, None]
    plain, signed = (WaveFunction((6,), signed=s, generator=generator(seed)) for s in (False, True))
    assert plain(x).min() > 0
    a, b = np.logaddexp(0, signed.mlp(x).detach().numpy()).T
    np.testing.assert_allclose(signed(x).detach(), a - b, rtol=1e-12, atol=1e-14)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 4), st.sampled_from(["boson", "fermion"]), seeds)
def test_symmetrised_network_is_a_sum_over_orders_and_gains_their_signs(count, kind, seed):
    draw, particles = generator(seed), Particles(count, kind)
    f = WaveFunction((5,), inputs=count, generator=draw)
    psi, x = Symmetrised(f, particles), torch.randn(6, count, generator=draw, dtype=torch.float64)
    orders = list(zip(particles.orders.tolist(), particles.signs, strict=True))
    torch.testing.assert_close(psi(x), sum(sign * f(x[:, order]) for order, sign in orders))
    for order, sign in orders:
        torch.testing.assert_close(psi(x[:, order]), sign * psi(x))


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("count", "hidden"), [(1, (4,)), (1, (3, 4, 5)), (2, (4, 4)), (3, (4, 4))])
def test_gradient_of_the_energy_reaches_every_parameter(count, hidden, signed):
    ham = trapped("fermion", Grid(12), count=count)
    f = WaveFunction(hidden, inputs=count, signed=signed, generator=generator())
    ham.energy(Symmetrised(f, ham.particles)(torch.as_tensor(ham.sector.x))).backward()
    assert all(p.grad is not None and (p.grad != 0).any() for p in f.parameters())


def test_units_bend_at_sites_where_classical_particles_are():
    ham = Hamiltonian(Grid(256), lambda x: 100 * (x - 2) ** 2)
    for seed in range(8):  # each with its own temperature
        f = WaveFunction((400,))
        bend_where_classical(f.mlp, ham, generator(seed))
        weight, bias = (p.detach().numpy() for p in f.mlp.linear()[0].parameters())
        bends = -bias / weight[:, 0]
        assert np.abs(bends[:, None] - ham.grid.x).min(1).max() < 1e-9
        assert abs(bends.mean() - 2) < 0.3


def test_take_over_copies_a_network_of_the_same_shape_only():
    start, network = (WaveFunction((3,), generator=generator(seed)) for seed in (1, 2))
    take_over(network, start)
    assert torch.equal(flatten(network), flatten(start))
    with pytest.raises(ValueError, match="start: got a network of 10 parameters, expected 13; use the same"):
        take_over(WaveFunction((4,)), start)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("count", [1, 2])
def test_a_faint_wave_function_is_only_multiplied_along_its_rescaling(count, signed):
    plain = WaveFunction((4, 3), inputs=count, signed=signed, generator=generator())
    with torch.no_grad():
        plain.mlp.linear()[-1].bias -= 60
    psi = plain if count == 1 else Symmetrised(plain, Particles(count, "fermion"))
    x = torch.randn(7, count, generator=generator(), dtype=torch.float64)
    faint, vector, along = psi(x), flatten(psi), psi.rescaling()
    assign(psi, vector - 500 * along)
    torch.testing.assert_close(psi(x) * math.exp(500), faint, rtol=1e-12, atol=0)


def test_networks_of_others_have_no_rescaling():
    linear = torch.nn.Linear(2, 1, dtype=torch.float64)
    assert not Symmetrised(linear, Particles(2)).rescaling().any()

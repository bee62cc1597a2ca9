"""Actions: one contract, enumeration, transfer matrices, vortices that wind as they should."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nnbook.exact.enumerate import configurations
from nnbook.exact.ising2d import torus
from nnbook.exact.paths import ImaginaryTime, double_well
from nnbook.fields.actions import XY, Ising, IsingField, QuantumPath, symmetries, wrap
from nnbook.fields.scalars import ComplexPhi4, Phi4

ACTIONS = [
    IsingField(4, 0.3),
    IsingField(3, 0.5),
    Ising(4, 0.3),
    Ising(3, 0.6),
    XY(4, 1.1),
    XY(5, 0.5),
    QuantumPath(16, 5.0),
    QuantumPath(9, 2.0, 1.0),
    Phi4(4, -4.0, 8.0),
    Phi4(5, 1.0, 0.5),
    ComplexPhi4(4, 1.0, -2.0, 1.0),
    ComplexPhi4(3, 0.5, 1.0, 0.3),
]


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(5)


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.label)
def test_contract(action, generator):
    x = action.start(7, generator=generator)
    assert x.shape == (7, math.prod(action.shape))
    assert x.dtype == torch.float64
    value = action(x)
    assert value.shape == (7,)
    assert value.std() > 0
    for axis in range(1, 1 + len(action.shape)):
        moved = x.reshape(-1, *action.shape).roll(2, axis).flatten(1)
        torch.testing.assert_close(action(moved), value)
        mirrored = x.reshape(-1, *action.shape).flip(axis).flatten(1)
        torch.testing.assert_close(action(mirrored), value)
    torch.testing.assert_close(action(-x), value)
    far = action.bonds() == 0  # sites without a bond do not feel each other
    curve = torch.autograd.functional.hessian(lambda y: action(y[None])[0], x[0])
    assert float(curve[far & ~torch.eye(len(far), dtype=torch.bool)].abs().sum()) == 0
    if not isinstance(action, IsingField):  # whose kernel connects all sites
        assert bool((action.bonds().sum(0) == 2 * len(action.shape)).all())
    assert action(x.float()).dtype == torch.float32


def test_labels_are_equal_for_equal_actions_only():
    labels = [
        action.label for action in [*ACTIONS, Ising(4, 0.3 + 1e-15), XY(4, 0.3), QuantumPath(16, 5.0, 3.0)]
    ]
    assert len(set(labels)) == len(labels)
    assert Ising(4, 0.3).label in labels


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.label)
def test_follows_the_device_of_its_input(action, generator, elsewhere):
    x = action.start(3, generator=generator)
    assert bool(action(x).isfinite().all())


@pytest.mark.parametrize(("length", "beta"), [(2, 0.3), (3, 0.5), (4, 0.44)])
def test_ising_is_the_model_of_the_exact_solution(length, beta):
    s = torch.from_numpy(configurations(length**2))
    action = Ising(length, beta)
    log_z = float(torch.logsumexp(-action(s), 0))
    assert log_z == pytest.approx(torus(beta, length).log_z * length**2, rel=1e-12)
    torch.testing.assert_close(
        action(s[::97]), -torch.einsum("bi,ij,bj->b", s[::97], beta * action.bonds(), s[::97]) / 2
    )


@pytest.mark.parametrize("beta", [0.3, 0.6])
def test_ising_field_has_the_partition_function_of_its_spins(beta):
    action, points = IsingField(2, beta), 30
    x, w = np.polynomial.hermite_e.hermegauss(points)
    grid = torch.from_numpy(np.stack(np.meshgrid(*[x] * 4), -1).reshape(-1, 4))
    weight = torch.from_numpy(np.prod(np.meshgrid(*[w] * 4), 0).ravel())
    root = 1.5 * torch.linalg.cholesky(action.covariance)
    field = grid @ root.mT
    ratio = (-action(field) + 0.5 * grid.square().sum(1)).exp()
    z = float(weight @ ratio) * float(torch.linalg.det(root))
    assert math.log(z) == pytest.approx(action.log_z, abs=1e-3)


def test_ising_field_gives_the_spins_back(generator):
    action = IsingField(3, 0.4)
    s = torch.from_numpy(configurations(9))
    p = torch.softmax(-Ising(3, 0.4)(s), 0)
    drawn = s[p.multinomial(40_000, replacement=True, generator=generator)]
    x = action.field(drawn, generator=generator)
    again = action.spins(x, generator=generator)
    for pairs in (again[:, 0] * again[:, 1], x[:, 0].tanh() * x[:, 1].tanh()):
        assert float(pairs.mean()) == pytest.approx(float(p @ (s[:, 0] * s[:, 1])), abs=0.02)
    both = action.covariance + action.covariance @ (s.mT @ (p[:, None] * s)) @ action.covariance
    assert float((x.mT @ x / len(x) - both).abs().max()) < 0.05 * float(both.max())


def test_quantum_path_is_the_one_of_the_transfer_matrix():
    exact, action = ImaginaryTime(double_well, 20.0, 64), QuantumPath(64, 20.0)
    assert action.a == exact.a
    x = torch.from_numpy(exact.sample(4000, np.random.default_rng(1)))
    s = action(x)
    assert float(s.mean()) == pytest.approx(exact.mean_action, abs=4 * float(s.std()) / math.sqrt(4000))
    assert bool((action.kinks(x) % 2 == 0).all())


def test_three_temperatures_share_kinetic_and_potential_energy(generator):
    """The identity of the talk: the action at a third temperature from those at two."""
    one, two, three = (QuantumPath(32, beta) for beta in (80.0, 20.0, 40.0))
    x = one.start(5, generator=generator)
    torch.testing.assert_close(0.4 * one(x) + 0.4 * two(x), three(x), rtol=1e-13, atol=0)


@pytest.mark.parametrize("action", [a for a in ACTIONS if hasattr(a, "with_gradient")], ids=lambda a: a.label)
def test_gradient_is_that_of_autograd(action, generator):
    x = action.start(3, generator=generator)
    slope = torch.autograd.functional.jacobian(lambda y: action(y).sum(), x)
    value, found = action.with_gradient(x)
    torch.testing.assert_close(value, action(x))
    torch.testing.assert_close(found, slope)


# Vortices


def test_winding_of_random_angles_is_one_third_and_zero_in_sum(generator):
    model = XY(16, 1.0)
    winding = model.vortices(model.start(2000, generator=generator))
    assert set(winding.unique().tolist()) == {-1.0, 0.0, 1.0}
    assert float(winding.sum((1, 2)).abs().max()) == 0
    density = winding.abs().mean((1, 2))
    assert float(density.mean()) == pytest.approx(1 / 3, abs=4 * float(density.std()) / math.sqrt(2000))


def test_a_vortex_is_seen_where_it_is():
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    angle = torch.atan2(y - 3.5, x - 3.5) - torch.atan2(y - 3.5, x - 5.5)  # and an antivortex
    winding = XY(8, 1.0).vortices(angle.reshape(1, -1))[0]
    assert abs(float(winding[4, 4])) == 1
    assert float(winding[4, 6]) == -float(winding[4, 4])


@given(st.floats(-1000, 1000, allow_subnormal=False))
def test_wrapped_angles(angle):
    wrapped = float(wrap(torch.tensor(angle, dtype=torch.float64)))
    assert abs(wrapped) <= math.pi + 1e-12
    assert math.cos(wrapped) == pytest.approx(math.cos(angle), abs=1e-9)


def test_winding_ignores_whole_turns(generator):
    model = XY(6, 1.0)
    angles = model.start(4, generator=generator)
    turns = torch.randint(-2, 3, angles.shape, generator=generator)
    torch.testing.assert_close(model.vortices(angles + 2 * math.pi * turns), model.vortices(angles))


def test_helicity_is_the_curvature_of_a_twist(generator):
    """-ln of the mean of exp(-beta (E(twist) - E)), to second order in a twist a link."""
    model = XY(4, 0.7)
    angles = model.start(6, generator=generator).reshape(-1, 4, 4)
    twist = torch.zeros(2, dtype=torch.float64)

    def energy(t):
        return -sum(torch.cos(angles - angles.roll(1, a) + t[a - 1]).sum((1, 2)) for a in (1, 2))

    slope = torch.autograd.functional.jacobian(energy, twist)
    bend = torch.stack(
        [torch.autograd.functional.hessian(lambda t, i=i: energy(t)[i], twist).diagonal() for i in range(6)]
    )
    expected = (bend - 0.7 * slope**2).sum(1) / 2 / 16
    torch.testing.assert_close(model.helicity(angles.flatten(1)), expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Ising(8, -0.4), "beta: got -0.4, expected a finite number above 0"),
        (lambda: Ising(1, 0.4), "length: got 1, expected a whole number, at least 2"),
        (lambda: XY(4, math.nan), "beta: got nan"),
        (lambda: QuantumPath(64, 80.0, minimum=0.0), "minimum: got 0"),
        (lambda: Ising(8, 0.4).energy(torch.ones(3, 16)), r"x: got shape \(3, 16\), expected \(batch, 64\)"),
        (lambda: QuantumPath(4, 1.0)(torch.full((1, 4), math.inf)), "x: got NaN or infinities"),
    ],
)
def test_wrong_input_says_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_symmetries_are_permutations_that_keep_the_energy():
    images = symmetries(3)
    assert len(images.unique(dim=0)) == len(images) == 72
    torch.testing.assert_close(images.sort(1).values, torch.arange(9).expand(72, 9))
    energies = Ising(3, 0.4).energy(torch.from_numpy(configurations(9))[77][images])
    torch.testing.assert_close(energies, energies[:1].expand(72))
    assert len(symmetries(4).unique(dim=0)) == 128

"""Identical particles: brute-force matrices, analytic spectra, and what `solve` must reach."""

import itertools
import math
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import nnbook
from nnbook.lattice_qm import Hamiltonian, WaveFunction, formula
from nnbook.multi_particle import (
    Grid,
    ManyBodyHamiltonian,
    Particles,
    Sector,
    Symmetrised,
    exact,
    hamiltonian,
    ritz,
    separated,
    solve,
)
from nnbook.networks import MLP, flatten
from nnbook.particles import hamiltonian as many_body

TALK = Grid(points=256, x_max=5.0)
KINDS = ("boson", "fermion")
both = pytest.mark.parametrize("kind", KINDS)
counts = pytest.mark.parametrize("count", [1, 2, 3])


@pytest.fixture(autouse=True, scope="module")
def _as_in_a_chapter():
    nnbook.start(seed=1, device="cpu", quiet=True)


def gaussian(lam):
    return lambda r: 100 * lam * np.exp(-(r**2))


def bumpy(count, points=6):
    """A problem without any symmetry but that of the particles."""
    return ManyBodyHamiltonian(
        Grid(points, 2.0), lambda x: np.sin(3 * x) + x**2, lambda r: 4 * np.exp(-r) - r, count
    )


@cache
def found(kind, lam=0.25, omega=1.0, points=64, count=2):
    return solve(hamiltonian(Grid(points), omega, gaussian(lam), count=count), statistics=kind, seed=1)


@cache
def tower(kind):
    states = []
    for _ in range(4):
        states.append(solve(hamiltonian(Grid(48), 1.0), statistics=kind, below=states, tolerance=1e-6))
    return states


def tiny(kind, ham=None, **options):
    """A state that is hardly trained: enough for what holds for any network."""
    options = {"hidden": (4,), "starts": 1, "tolerance": 1.0, "patience": 1} | options
    return solve(ham or hamiltonian(Grid(12)), statistics=kind, **options)


def brute_force(ham):
    """The Hamiltonian of distinguishable particles on all (M - 1)^N sites, from its definition."""
    size, h = ham.grid.points - 1, ham.grid.h
    one = np.diag(1 / h**2 + ham.potential(ham.grid.x)) - (np.eye(size, k=1) + np.eye(size, k=-1)) / (
        2 * h**2
    )
    matrix = np.zeros((size**ham.count,) * 2)
    for k in range(ham.count):
        matrix += np.kron(np.kron(np.eye(size**k), one), np.eye(size ** (ham.count - 1 - k)))
    axes = np.meshgrid(*[ham.grid.x] * ham.count, indexing="ij")
    for a, b in itertools.combinations(axes, 2):
        matrix += np.diag(ham.interaction(np.abs(a - b)).ravel())
    return matrix


def projected(matrix, particles, size):
    """Eigenvalues in the subspace of one statistics, by the projector on all sites."""
    identity = np.eye(size**particles.count).reshape((size,) * particles.count + (-1,))
    projector = sum(
        sign * identity.transpose([*order, particles.count])
        for order, sign in zip(particles.orders, particles.signs, strict=True)
    ).reshape(size**particles.count, -1) / len(particles.orders)
    values, vectors = np.linalg.eigh(projector)
    basis = vectors[:, values > 0.5]
    return np.linalg.eigvalsh(basis.T @ matrix @ basis)


# The ordered configurations


@both
@counts
def test_sector_has_every_configuration_once(kind, count):
    sector = Sector(Grid(7), Particles(count, kind))
    rows = {tuple(row) for row in sector.sites.tolist()}
    assert len(rows) == len(sector.sites) == sector.particles.configurations(6)
    distance = np.diff(sector.sites, axis=1)
    assert (distance <= 0 if kind == "boson" else distance < 0).all()


@counts
def test_weights_fill_the_volume(count):
    grid = Grid(9)
    total = (grid.h * 8) ** count
    assert Sector(grid, Particles(count, "boson")).weights.sum() == pytest.approx(total, rel=1e-12)
    fermions = Sector(grid, Particles(count, "fermion")).weights
    assert fermions.sum() == pytest.approx(grid.h**count * math.perm(8, count), rel=1e-12)


@both
@counts
def test_sector_has_the_spectrum_of_the_projected_matrix(kind, count):
    ham = bumpy(count)
    sector = ham.sector(kind)
    matrix = ham.operator(kind)(torch.eye(len(sector.sites), dtype=torch.float64)).numpy()
    root = np.sqrt(sector.weights)
    symmetric = root[:, None] * matrix / root
    np.testing.assert_allclose(symmetric, symmetric.T, atol=1e-11)
    expected = projected(brute_force(ham), sector.particles, ham.grid.points - 1)
    np.testing.assert_allclose(np.linalg.eigvalsh(symmetric), expected, atol=1e-10)


@both
@counts
def test_full_wave_function_has_its_symmetry_and_norm(kind, count):
    sector = Sector(Grid(8), Particles(count, kind))
    psi = np.random.default_rng(1).normal(size=len(sector.sites))
    psi /= math.sqrt(sector.weights @ psi**2)
    full = sector.full(psi)
    assert (full**2).sum() * sector.grid.h**count == pytest.approx(1)
    for order, sign in zip(sector.particles.orders, sector.particles.signs, strict=True):
        np.testing.assert_array_equal(full.transpose(order), sign * full)


@both
@counts
def test_density_and_distances_are_those_of_the_full_wave_function(kind, count):
    sector = Sector(Grid(8), Particles(count, kind))
    psi = np.random.default_rng(2).normal(size=len(sector.sites))
    psi /= math.sqrt(sector.weights @ psi**2)
    h, probability = sector.grid.h, sector.full(psi) ** 2
    rest = tuple(range(1, count))
    np.testing.assert_allclose(sector.density(psi), count * h ** (count - 1) * probability.sum(rest))
    if count == 1:
        with pytest.raises(ValueError, match="particles: got one, expected at least two"):
            sector.pair_distribution(psi)
        return
    plane = probability.sum(tuple(range(2, count))) * h ** (count - 1)
    expected = [np.trace(plane, offset=k) for k in range(7)]
    np.testing.assert_allclose(sector.pair_distribution(psi), expected)


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 4), st.sampled_from(KINDS), st.integers(0, 2**31))
def test_symmetrised_network_gains_the_sign_of_each_order(count, kind, seed):
    generator = torch.Generator().manual_seed(seed)
    particles = Particles(count, kind)
    psi = Symmetrised(WaveFunction((5,), inputs=count, generator=generator), particles)
    x = torch.randn(6, count, generator=generator, dtype=torch.float64)
    for order, sign in zip(particles.orders, particles.signs, strict=True):
        torch.testing.assert_close(psi(x[:, order.tolist()]), sign * psi(x))


@both
def test_symmetrised_network_is_a_sum_over_orders_with_signs(kind):
    f = WaveFunction((5,), inputs=2)
    x = torch.randn(6, 2, dtype=torch.float64)
    expected = f(x) + (1 if kind == "boson" else -1) * f(x.flip(1))
    torch.testing.assert_close(Symmetrised(f, Particles(2, kind))(x), expected)


@counts
def test_gradient_reaches_every_parameter(count):
    network = Symmetrised(WaveFunction((4, 4), inputs=count), Particles(count, "fermion"))
    network(torch.randn(20, count, dtype=torch.float64)).square().sum().backward()
    assert all((p.grad != 0).any() for p in network.parameters())


# The exact spectrum


@both
@pytest.mark.parametrize("count", [2, 3])
def test_free_particles_fill_one_particle_levels(kind, count):
    grid = Grid(40 if count == 3 else 128)
    ham = hamiltonian(grid, 1.3, count=count)
    one = Hamiltonian(grid, ham.potential).exact(8).energies
    choose = itertools.combinations_with_replacement if kind == "boson" else itertools.combinations
    expected = sorted(sum(levels) for levels in choose(one, count))[:5]
    np.testing.assert_allclose(exact(ham, kind, 5).energies, expected, atol=1e-8)


@pytest.mark.parametrize(
    ("kind", "omega", "lam", "energy"),
    [
        ("boson", 1, -1, -89.872206),
        ("boson", 5, 0.25, 21.148598),
        ("boson", 10, 1, 72.677926),
        ("fermion", 1, -0.25, -11.370103),
        ("fermion", 10, -1, -63.028592),
        ("fermion", 10, 1, 72.683990),
    ],
)
def test_interacting_pairs_have_the_energies_of_an_independent_program(kind, omega, lam, energy):
    ham = hamiltonian(TALK, omega, gaussian(lam))
    assert exact(ham, kind).energies[0] == pytest.approx(energy, abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "lam", "energies"),
    [
        ("boson", 0.25, (3.298563, 4.298218, 5.297795, 5.624229)),
        ("boson", 0, (0.999905, 1.999714, 2.999332, 2.999523)),
        ("fermion", -0.25, (-11.370103, -10.372322, -9.374637, -8.377048)),
    ],
)
def test_excited_pairs_have_the_energies_of_an_independent_program(kind, lam, energies):
    spectrum = exact(hamiltonian(TALK, 1.0, gaussian(lam)), kind, 4)
    np.testing.assert_allclose(spectrum.energies, energies, atol=1e-6)
    weights = Sector(TALK, Particles(2, kind)).weights[:, None]
    np.testing.assert_allclose(spectrum.psi.T @ (weights * spectrum.psi), np.eye(4), atol=1e-10)


@pytest.mark.parametrize(("kind", "energy"), [("boson", 1.49770767), ("fermion", 4.48545133)])
def test_three_free_particles_have_the_published_lattice_energies(kind, energy):
    assert exact(hamiltonian(Grid(64), count=3), kind).energies[0] == pytest.approx(energy, abs=1e-8)


def test_fermionisation_where_particles_cannot_pass():
    ham = hamiltonian(Grid(128), 1.0, gaussian(1.0))
    bosons, fermions = (exact(ham, kind) for kind in KINDS)
    assert fermions.energies[0] == pytest.approx(bosons.energies[0], abs=1e-6)
    full = [ham.sector(kind).full(s.psi[:, 0]) for kind, s in zip(KINDS, (bosons, fermions), strict=True)]
    np.testing.assert_allclose(np.abs(full[0]), np.abs(full[1]), atol=1e-3)


# Without a lattice


@pytest.mark.parametrize("omega", [0.3, 1.0, 7.0])
def test_separated_free_particles_have_their_ladders(omega):
    np.testing.assert_allclose(separated(omega, None, "boson", 6) / omega, [1, 2, 3, 3, 4, 4], atol=1e-9)
    np.testing.assert_allclose(separated(omega, None, "fermion", 4) / omega, [2, 3, 4, 4], atol=1e-9)


@settings(deadline=None, max_examples=20)
@given(st.floats(0.5, 5), st.floats(0.01, 10))
def test_separated_springs_are_analytic(omega, stiffness):
    relative = math.sqrt(omega**2 + 2 * stiffness)
    for kind, quanta in (("boson", 0.5), ("fermion", 1.5)):
        energy = separated(omega, lambda r: stiffness * r**2 / 2, kind)[0]
        assert energy == pytest.approx(omega / 2 + quanta * relative, rel=1e-8)


@pytest.mark.parametrize(
    ("strength", "energy"),
    [
        (-20, -2.471756),
        (-10, 0.595906),
        (-5, 1.498800),
        (0, 2.0),
        (5, 2.267811),
        (10, 2.425619),
        (20, 2.605639),
    ],
)
def test_separated_fermions_have_the_energies_of_an_independent_program(strength, energy):
    """The trapped fermions with a Gaussian interaction of Keeble et al., arXiv:2304.04725."""
    width = 0.5

    def pair(r):
        return strength / (math.sqrt(2 * math.pi) * width) * np.exp(-(r**2) / (2 * width**2))

    assert separated(1.0, pair, "fermion")[0] == pytest.approx(energy, abs=1e-6)


@both
@pytest.mark.parametrize(("omega", "lam"), [(1, 0.25), (1, 1.0), (5, -0.25)])
def test_lattice_tends_to_the_separated_energies(kind, omega, lam):
    wide = 1.25 if omega == 1 else 1.0  # repulsion drives the particles to the walls
    grids = [Grid(round(wide * m), wide * 5.0) for m in (64, 128, 256)]
    a, b, c = (exact(hamiltonian(grid, omega, gaussian(lam)), kind).energies[0] for grid in grids)
    second = (4 * b - a) / 3, (4 * c - b) / 3
    limit = (16 * second[1] - second[0]) / 15
    expected = separated(omega, gaussian(lam), kind)[0]
    assert limit == pytest.approx(expected, abs=abs(limit - second[1]) / 4)


# Training


@both
@pytest.mark.parametrize(("lam", "omega"), [(-1.0, 1.0), (0.0, 1.0), (0.25, 5.0), (1.0, 1.0)])
def test_trained_pairs_reach_the_lattice_energy_from_above(kind, lam, omega):
    state = found(kind, lam, omega)
    excess = state.energy - exact(state.hamiltonian, kind).energies[0]
    assert -1e-9 < excess < 1e-5


@both
def test_trained_trio_reaches_the_lattice_energy_from_above(kind):
    state = found(kind, 0.0, points=16, count=3)
    assert -1e-9 < state.energy - exact(state.hamiltonian, kind).energies[0] < 1e-5


def test_one_particle_is_the_one_particle_lattice():
    ham = hamiltonian(Grid(128), count=1)
    state = solve(ham, statistics="boson")
    assert state.energy == pytest.approx(Hamiltonian(Grid(128), ham.potential).exact().energies[0], abs=1e-7)


@both
def test_state_is_normalised_and_its_parts_add_up(kind):
    state = found(kind)
    assert state.sector.weights @ state.psi**2 == pytest.approx(1, abs=1e-12)
    assert state.kinetic + state.trap + state.interaction == pytest.approx(state.energy, abs=1e-10)
    assert state.trap == pytest.approx(
        state.hamiltonian.grid.x**2 / 2 @ state.density() * state.hamiltonian.grid.h
    )
    assert state.variance < 1e-3
    assert f"2 {kind}s: E = 3.29" in repr(state)


@both
def test_state_fulfils_the_virial_theorem(kind):
    state = found(kind, points=128)
    r = state.hamiltonian.grid.h * np.arange(127)
    signs = np.where(r > 0, 2, 1) * state.hamiltonian.grid.h * state.pair_distribution()
    force = signs @ (-2 * r**2 * gaussian(0.25)(r))
    assert 2 * state.kinetic == pytest.approx(2 * state.trap + force, abs=5e-3)


@both
def test_raw_network_gives_the_wave_function_when_symmetrised(kind):
    state = found(kind)
    raw = state.raw()
    summed = raw + (1 if kind == "boson" else -1) * raw.T
    np.testing.assert_allclose(summed, state.full(), atol=1e-12)


@pytest.mark.parametrize("seed", range(1, 5))
def test_raw_network_keeps_the_sign_that_the_wave_function_was_given(seed):
    state = tiny("fermion", seed=seed)
    raw = state.raw()
    np.testing.assert_allclose(raw - raw.T, state.full(), atol=1e-10)


def test_raw_network_of_an_excited_state_is_on_the_scale_of_its_wave_function():
    ground = tiny("boson")
    state = tiny("boson", below=[ground])
    summed = state.raw() + state.raw().T
    below, h = ground.full(), state.hamiltonian.grid.h
    np.testing.assert_allclose(summed - h**2 * (below * summed).sum() * below, state.full(), atol=1e-8)


def test_state_on_a_finer_lattice_obeys_its_bound():
    finer = found("fermion").on(128)
    excess = finer.energy - exact(finer.hamiltonian, "fermion").energies[0]
    assert 0 < excess < 1e-3
    assert len(finer.psi) == finer.sector.particles.configurations(127)


def test_same_seed_same_numbers():
    ham = hamiltonian(Grid(24))
    first, second = (solve(ham, statistics="boson", seed=7, hidden=(4,)) for _ in range(2))
    assert torch.equal(flatten(first.network), flatten(second.network))


def test_start_goes_on_from_a_neighbour():
    neighbour = found("boson")
    ham = hamiltonian(Grid(64), 1.0, gaussian(0.26))
    state = solve(ham, statistics="boson", start=neighbour)
    assert state.energy - exact(ham, "boson").energies[0] < 1e-5
    with pytest.raises(ValueError, match=r"start: got a network of \d+ parameters, expected"):
        solve(ham, statistics="boson", start=neighbour, hidden=(3,))


@both
def test_excited_states_and_their_ritz_values_bound_the_levels(kind):
    states = tower(kind)
    levels = exact(states[0].hamiltonian, kind, 4).energies
    spectrum = ritz(states)
    assert (spectrum.energies > levels - 1e-9).all()
    np.testing.assert_allclose(spectrum.energies, levels, atol=1e-4)
    weights = states[0].sector.weights[:, None]
    psi = np.column_stack([s.psi for s in states])
    np.testing.assert_allclose(psi.T @ (weights * psi), np.eye(4), atol=1e-10)
    np.testing.assert_allclose(spectrum.psi.T @ (weights * spectrum.psi), np.eye(4), atol=1e-10)


def test_ritz_rotates_a_mixture_back():
    states = tower("boson")
    low = exact(states[0].hamiltonian, "boson", 2)
    mixture = low.psi @ np.array([[0.6, 0.8], [0.8, -0.6]])
    mixed = [type(s)(**{**vars(s), "psi": p}) for s, p in zip(states, mixture.T, strict=False)]
    np.testing.assert_allclose(ritz(mixed).energies, low.energies, atol=1e-9)


def test_ritz_of_states_that_are_not_orthogonal_keeps_the_bound():
    states = [tiny("boson", seed=seed) for seed in (1, 2)]
    assert (ritz(states).energies >= exact(states[0].hamiltonian, "boson", 2).energies - 1e-10).all()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: tiny("fermion"), "states: got fermions, expected bosons"),
        (lambda: tiny("boson", hamiltonian(Grid(12), 2.0)), "states: got a state of another problem"),
        (
            lambda: tiny("boson", hamiltonian(Grid(14))),
            r"states: got a state on .*state.on\(points\) moves it",
        ),
    ],
)
def test_ritz_of_states_of_different_problems_is_refused(other, message):
    with pytest.raises(ValueError, match=message):
        ritz([tiny("boson"), other()])


def test_ritz_of_one_state_alone_is_refused():
    with pytest.raises(ValueError, match=r"states: got 2 bosons: E = .* expected a sequence"):
        ritz(tiny("boson"))


def test_no_more_states_are_trained_than_there_are_configurations():
    ham, states = hamiltonian(Grid(4)), []
    for _ in range(3):
        states.append(tiny("fermion", ham, below=states))
    with pytest.raises(ValueError, match="below: got 3 states, expected fewer than the 3 configurations"):
        tiny("fermion", ham, below=states)


def test_formula_of_two_coordinates_is_refused():
    with pytest.raises(ValueError, match="network: got 2 coordinates, expected a network of one"):
        formula(WaveFunction((2,), inputs=2))


# Kinks in several dimensions


def test_kinks_follow_the_shape_of_a_cloud():
    mlp = MLP(2, (20_000,), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    shape = torch.tensor([[2.0, 0.0], [1.5, 0.5]], dtype=torch.float64)
    points = torch.randn(20_000, 2, dtype=torch.float64)
    mlp.place_kinks(points, scale=shape, generator=torch.Generator().manual_seed(2))
    first = mlp.linear()[0]
    bends = (first.weight * points).sum(1) + first.bias
    assert bends.abs().max() < 1e-10
    expected = torch.linalg.inv(shape @ shape.T)
    torch.testing.assert_close(first.weight.T.cov().detach(), expected, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("scale", [torch.ones(2), torch.eye(3), torch.ones(2, 2), 0.0])
def test_width_of_the_wrong_shape_or_rank_is_named(scale):
    with pytest.raises(ValueError, match=r"(?s)scale: got .*expected a width above zero or a matrix"):
        MLP(2, (4,)).place_kinks(torch.zeros(4, 2), scale=scale)


# Bad input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Particles(0, "boson"), "count: got 0, expected a whole number of particles, at least 1"),
        (lambda: Particles(1.5, "boson"), "count: got 1.5, expected a whole number"),
        (lambda: Particles(2, "anyon"), "statistics: got 'anyon', expected 'boson' or 'fermion'"),
        (lambda: hamiltonian(TALK, count=0), "count: got 0, expected a whole number of particles, 1 to 3"),
        (lambda: hamiltonian(Grid(64), count=4), r"count: got 4 particles on 64 .* 3.5 GB .* by Monte Carlo"),
        (lambda: hamiltonian(TALK, count=3), r"2,796,160 configurations; .* 13.4 GB .*take fewer points"),
        (lambda: hamiltonian(TALK, -1.0), "omega: got -1.0, expected a frequency, zero or more"),
        (lambda: hamiltonian(TALK, math.nan), "omega: got nan, expected a frequency"),
        (
            lambda: hamiltonian(TALK, 1.0, lambda r: 1 / (r - 5)),
            "interaction: got inf at r = 5, expected finite",
        ),
        (lambda: hamiltonian(TALK, 1.0, lambda r: 3.0), r"interaction: got an array of shape \(\)"),
        (lambda: hamiltonian(TALK, 1.0, lambda r: 1j * r), "interaction: got complex values"),
        (lambda: exact(hamiltonian(TALK), "anyon"), "statistics: got 'anyon'"),
        (
            lambda: exact(hamiltonian(Grid(4)), "fermion", 3),
            "states: got 3, expected 1 to 2, fewer .*; a finer grid",
        ),
        (lambda: exact(hamiltonian(TALK), "boson", 0), "states: got 0, expected 1 to"),
        (lambda: exact(hamiltonian(TALK), "boson", 1.5), "states: got 1.5, expected 1 to"),
        (lambda: hamiltonian(TALK, count=2.0), "count: got 2.0, expected a whole number"),
        (lambda: hamiltonian(TALK, count=5000), "count: got 5000 particles on 256 intervals"),
        (lambda: separated(0.0, None, "boson"), "omega: got 0.0, expected a positive frequency"),
        (lambda: separated(1.0, None, "anyon"), "statistics: got 'anyon'"),
        (lambda: separated(1.0, None, "boson", 0), "states: got 0, expected 1 to 600"),
        (lambda: solve(hamiltonian(TALK), statistics="anyon"), "statistics: got 'anyon'"),
        (lambda: solve(hamiltonian(TALK), statistics="boson", hidden=()), r"hidden: got \(\)"),
        (
            lambda: solve(hamiltonian(TALK), statistics="boson", starts=0),
            "starts: got 0, expected at least one",
        ),
        (lambda: ritz([]), "states: got none, expected a sequence of trained states"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_bad_input_says_what_it_got_and_what_to_do(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("ham", "kind", "below", "message"),
    [
        (hamiltonian(Grid(32)), "boson", 1, "below: got a state on Grid.points=48.*expected Grid.points=32"),
        (hamiltonian(Grid(48)), "fermion", 1, "below: got bosons, expected fermions"),
        (hamiltonian(Grid(48), 2.0), "boson", 1, "below: got a state of another problem"),
        (hamiltonian(Grid(48), 1.0, gaussian(0.1)), "boson", 1, "below: got a state of another problem"),
        (hamiltonian(Grid(48)), "boson", 2, "below: got the same state twice"),
        (hamiltonian(Grid(48)), "boson", 0, r"below: got one state, .* write below=\[state\]"),
    ],
)
def test_states_below_must_belong_to_the_problem(ham, kind, below, message):
    ground = tower("boson")[0]
    with pytest.raises(ValueError, match=message):
        solve(ham, statistics=kind, below=[ground] * below or ground)


def test_a_hamiltonian_of_one_particle_is_refused():
    with pytest.raises(TypeError, match="ham: got Hamiltonian, expected a ManyBodyHamiltonian"):
        solve(Hamiltonian(TALK, np.square), statistics="boson")
    with pytest.raises(TypeError, match="ham: got Hamiltonian, expected a ManyBodyHamiltonian"):
        exact(Hamiltonian(TALK, np.square), "boson")


def test_limit_of_configurations_is_in_the_message():
    assert f"{many_body.MOST:,}" == "1,000,000"
    with pytest.raises(ValueError, match="at most 1,000,000 configurations"):
        hamiltonian(Grid(200), count=3)

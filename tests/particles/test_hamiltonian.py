"""The lattice Hamiltonian: brute-force matrices, analytic spectra, energies of an independent program."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnbook.exact.lines import separated
from nnbook.particles.grid import Grid
from nnbook.particles.hamiltonian import Hamiltonian, trapped
from nnbook.particles.sectors import Particles

TALK = Grid(points=256, x_max=5.0)
SMALL = Grid(points=256)
SMALL_ONE = Hamiltonian(SMALL, lambda x: x**2 / 2)
TABLE = Hamiltonian(SMALL, lambda x: SMALL.x**2 / 2)
both = pytest.mark.parametrize("kind", ["boson", "fermion"])
counts = pytest.mark.parametrize("count", [1, 2, 3])
POTENTIALS = {
    "harmonic": lambda x: x**2 / 2,
    "quartic": lambda x: x**4,
    "double well": lambda x: (x**2 - 4) ** 2 / 8,
    "tilted": lambda x: x**2 / 2 + x,
    "Morse": lambda x: 8 * (1 - np.exp(-x / 2)) ** 2,
    "corner": np.abs,
}


def gaussian(lam):
    return lambda r: 100 * lam * np.exp(-(r**2))


def bumpy(kind, count, points=6):
    """A problem without any symmetry but that of the particles."""
    potential, interaction = (lambda x: np.sin(3 * x) + x**2), (lambda r: 4 * np.exp(-r) - r)
    return Hamiltonian(Grid(points, 2.0), potential, interaction, Particles(count, kind))


def columns(ham, count=3, *, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(ham.values), count, generator=generator, dtype=torch.float64)


def brute_force(ham):
    """Kinetic, potential and interaction energy on all (M - 1)^N sites, from their definitions."""
    size, h, count = ham.grid.points - 1, ham.grid.h, ham.particles.count
    hop = (2 * np.eye(size) - np.eye(size, k=1) - np.eye(size, k=-1)) / (2 * h**2)
    axes = np.meshgrid(*[ham.grid.x] * count, indexing="ij")
    kinetic = sum(
        np.kron(np.kron(np.eye(size**k), hop), np.eye(size ** (count - 1 - k))) for k in range(count)
    )
    pairs = [ham.interaction(np.abs(a - b)) for a, b in itertools.combinations(axes, 2)]
    potential = np.diag(sum(ham.potential(a) for a in axes).ravel())
    return kinetic, potential, np.diag((sum(pairs) + 0 * axes[0]).ravel())


@both
@counts
def test_energies_are_expectation_values_of_the_brute_force_matrices(kind, count):
    ham = bumpy(kind, count)
    psi = columns(ham)
    full = [ham.sector.full(f).ravel() for f in psi.numpy().T]
    for matrix, energy in zip(brute_force(ham), ham.energies(psi), strict=True):
        np.testing.assert_allclose(energy, [f @ matrix @ f / (f @ f) for f in full], rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(ham.energy(psi), sum(ham.energies(psi)), rtol=1e-14, atol=0)
    torch.testing.assert_close(ham.energy(psi)[1], ham.energy(psi[:, 1]), rtol=1e-12, atol=0)


@both
@counts
def test_the_operator_is_the_brute_force_matrix_in_one_statistics(kind, count):
    ham = bumpy(kind, count)
    total, psi = sum(brute_force(ham)), columns(ham)
    for before, after in zip(psi.numpy().T, ham.apply(psi).numpy().T, strict=True):
        image = total @ ham.sector.full(before).ravel()
        np.testing.assert_allclose(ham.sector.full(after).ravel(), image, atol=1e-11)


@both
@counts
def test_exact_states_are_those_of_the_operator(kind, count):
    ham = bumpy(kind, count, points=7)
    unit = torch.eye(len(ham.values), dtype=torch.float64)
    expected = np.sort(np.linalg.eigvals(ham.apply(unit).numpy()).real)
    energies, psi = ham.exact(4)
    np.testing.assert_allclose(energies, expected[:4], atol=1e-9)
    np.testing.assert_allclose(ham.apply(torch.as_tensor(psi)), energies * psi, atol=1e-7)
    np.testing.assert_allclose(psi.T @ (ham.sector.weights[:, None] * psi), np.eye(4), atol=1e-10)


@both
@pytest.mark.parametrize("count", [2, 3])
def test_free_particles_fill_one_particle_levels(kind, count):
    ham = trapped(kind, Grid(40 if count == 3 else 128), 1.3, count=count)
    one = Hamiltonian(ham.grid, ham.potential).exact(8).energies
    choose = itertools.combinations_with_replacement if kind == "boson" else itertools.combinations
    expected = sorted(sum(levels) for levels in choose(one, count))[:5]
    np.testing.assert_allclose(ham.exact(5).energies, expected, atol=1e-8)


@pytest.mark.parametrize(
    ("kind", "omega", "lam", "energies"),
    [
        ("boson", 1, -1, (-89.872206,)),
        ("boson", 5, 0.25, (21.148598,)),
        ("boson", 10, 1, (72.677926,)),
        ("fermion", 10, -1, (-63.028592,)),
        ("fermion", 10, 1, (72.683990,)),
        ("boson", 1, 0.25, (3.298563, 4.298218, 5.297795, 5.624229)),
        ("boson", 1, 0, (0.999905, 1.999714, 2.999332, 2.999523)),
        ("fermion", 1, -0.25, (-11.370103, -10.372322, -9.374637, -8.377048)),
    ],
)
def test_pairs_have_the_energies_of_an_independent_program(kind, omega, lam, energies):
    found = trapped(kind, TALK, omega, gaussian(lam)).exact(len(energies)).energies
    np.testing.assert_allclose(found, energies, atol=1e-6)


@pytest.mark.parametrize(("kind", "energy"), [("boson", 1.49770767), ("fermion", 4.48545133)])
def test_three_free_particles_have_the_published_lattice_energies(kind, energy):
    assert trapped(kind, Grid(64), count=3).exact().energies[0] == pytest.approx(energy, abs=1e-8)


@both
@pytest.mark.parametrize(("omega", "lam"), [(1, 0.25), (1, 1.0), (5, -0.25)])
def test_lattice_tends_to_the_energies_without_a_lattice(kind, omega, lam):
    wide = 1.25 if omega == 1 else 1.0  # repulsion drives the particles to the walls
    grids = [Grid(round(wide * m), wide * 5.0) for m in (64, 128, 256)]
    a, b, c = (trapped(kind, grid, omega, gaussian(lam)).exact().energies[0] for grid in grids)
    second = (4 * b - a) / 3, (4 * c - b) / 3
    limit = (16 * second[1] - second[0]) / 15
    expected = separated(omega, gaussian(lam), kind)[0]
    assert limit == pytest.approx(expected, abs=abs(limit - second[1]) / 4)


def test_fermionisation_where_particles_cannot_pass():
    bosons, fermions = (trapped(kind, Grid(128), 1.0, gaussian(1.0)) for kind in ("boson", "fermion"))
    b, f = bosons.exact(), fermions.exact()
    assert f.energies[0] == pytest.approx(b.energies[0], abs=1e-6)
    full = bosons.sector.full(b.psi[:, 0]), fermions.sector.full(f.psi[:, 0])
    np.testing.assert_allclose(np.abs(full[0]), np.abs(full[1]), atol=1e-3)


@pytest.mark.parametrize("n", range(5))
def test_outermost_lobe_on_the_right_is_positive_as_hermite_functions_have_it(n):
    psi = Hamiltonian(SMALL, POTENTIALS["harmonic"]).exact(5).psi[:, n]
    hermite = np.polynomial.hermite.hermval(SMALL.x, np.eye(5)[n]) * np.exp(-(SMALL.x**2) / 2)
    hermite /= math.sqrt(math.sqrt(math.pi) * 2**n * math.factorial(n))
    np.testing.assert_allclose(psi, hermite, atol=5e-3)


@pytest.mark.parametrize("potential", ["Morse", "tilted"])
def test_mirrored_potential_has_mirrored_states(potential):
    v = POTENTIALS[potential]
    plain, mirrored = (Hamiltonian(SMALL, w).exact(3) for w in (v, lambda x: v(-x)))
    np.testing.assert_allclose(plain.energies, mirrored.energies, atol=1e-10)
    np.testing.assert_allclose(np.abs(plain.psi[::-1]), np.abs(mirrored.psi), atol=1e-8)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31), st.sampled_from([-2.0, 1e-9, 1e9]), st.sampled_from([1, 2]))
def test_no_wave_function_is_below_the_ground_state_whatever_its_norm(seed, factor, count):
    ham = trapped("boson", Grid(16), 1.0, gaussian(0.25), count=count)
    psi = columns(ham, seed=seed)
    assert ham.energy(psi).min() >= ham.exact().energies[0]
    torch.testing.assert_close(ham.energy(factor * psi), ham.energy(psi), rtol=1e-12, atol=0)


@counts
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_energies_and_problems_follow_the_dtype(count, dtype):
    ham = bumpy("boson", count)
    psi = columns(ham).to(dtype)
    problem = ham.problem(ham.exact(2).psi, dtype=dtype)
    assert {part.dtype for part in ham.energies(psi)} == {dtype}
    assert {ham.apply(psi).dtype, problem.operator(psi).dtype, problem.points.dtype} == {dtype}
    value = problem.value(lambda scale, x: scale * psi[:, 0], torch.ones((), dtype=dtype))
    assert ham.exact(3).energies[2] - 1e-5 < value


@both
@counts
def test_complex_wave_functions_have_the_energies_of_their_parts(kind, count):
    """<a + ib|H|a + ib> = <a|H|a> + <b|H|b>: squares without conjugation gave -4.008 for +4.724."""
    ham = bumpy(kind, count)
    a, b = columns(ham, 2).T
    parts = torch.stack([ham.energy(a), ham.energy(b)])
    weights = torch.as_tensor(ham.sector.weights)
    norms = torch.stack([weights @ f**2 for f in (a, b)])
    torch.testing.assert_close(ham.energy(torch.complex(a, b)), parts @ norms / norms.sum())
    image = ham.apply(torch.complex(a, b)[:, None])
    torch.testing.assert_close(image, torch.complex(ham.apply(a[:, None]), ham.apply(b[:, None])))


@pytest.mark.parametrize("count", [1, 2])
def test_integers_and_lists_are_real_numbers(count):
    """Integers truncated the potential: 2.5 for 2.784."""
    ham = bumpy("boson", count)
    psi = torch.arange(1, len(ham.values) + 1)
    for same in (psi, psi.numpy(), psi.tolist(), psi.int()):
        torch.testing.assert_close(ham.energy(same), ham.energy(psi.double()))
    torch.testing.assert_close(ham.apply(psi[:, None]), ham.apply(psi[:, None].double()))


@pytest.mark.parametrize("omega", [1e-6, 1.0, 1e4])
def test_scale_of_an_oscillator_is_its_frequency(omega):
    wide = Grid(512, 5 / math.sqrt(omega))
    assert trapped("boson", wide, omega).scale == pytest.approx(omega, rel=1e-3)
    shifted = Hamiltonian(wide, lambda x: omega**2 * x**2 / 2 - 100 * omega)
    assert shifted.scale == pytest.approx(omega, rel=1e-3)


def test_scale_of_an_empty_box_is_of_the_order_of_its_levels():
    ham = Hamiltonian(Grid(64, 3.0), lambda x: 0 * x)
    assert 0.1 < ham.scale / ham.exact().energies[0] < 10


def test_a_table_that_is_interpolated_goes_to_every_lattice():
    ham = Hamiltonian(SMALL, lambda x: np.interp(x, SMALL.x, SMALL.x**2 / 2))
    np.testing.assert_allclose(ham.on(128).values, Hamiltonian(Grid(128), np.square).values / 2, atol=1e-12)


@counts
def test_energies_operators_and_problems_follow_their_inputs_elsewhere(count, elsewhere):
    ham = bumpy("boson", count)
    psi = torch.ones(len(ham.values), 1, dtype=torch.float64, device="cpu")
    problem = ham.problem(ham.exact(1).psi)
    made = *ham.energies(psi), ham.apply(psi), problem.points, problem.weights, problem.operator(psi)
    assert {part.device.type for part in made} == {"cpu"}


@pytest.mark.parametrize(("power", "potential"), [(2, "harmonic"), (4, "quartic"), (1, "corner")])
def test_virial_theorem(power, potential):
    """2 K = p V in the potential |x|^p, up to the lattice's h^2."""
    ham = Hamiltonian(Grid(1024, 6.0), POTENTIALS[potential])
    kinetic, value = ham.energies(torch.as_tensor(ham.exact(3).psi))
    np.testing.assert_allclose(2 * kinetic, power * value, rtol=5e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: Hamiltonian(SMALL, lambda x: np.where(x > 0, np.inf, 0)),
            "potential: got inf at x = 0.0390625, expected finite values; replace a hard wall",
        ),
        (
            lambda: Hamiltonian(SMALL, lambda x: x[1:]),
            r"potential: got .*\(254,\), expected \(255,\), one value",
        ),
        (lambda: trapped("boson", TALK, count=0), "count: got 0, expected a whole number, at least 1"),
        (
            lambda: trapped("boson", Grid(64), count=4),
            "count: got 4 particles on 64 .* 3.5 GB .* by Monte Carlo",
        ),
        (lambda: trapped("boson", TALK, count=5000), "count: got 5000 particles on 256 intervals"),
        (
            lambda: trapped("boson", TALK, count=3),
            "2,796,160 configurations; .* 13.4 GB .* at most 1,000,000 configurations: take fewer points",
        ),
        (
            lambda: trapped("boson", TALK, -1.0),
            "omega: got -1, expected a finite number, at least 0 .*; zero",
        ),
        (lambda: trapped("boson", TALK, math.nan), "omega: got nan, expected a finite number"),
        (lambda: SMALL_ONE.energy(np.ones(7)), r"psi: got shape \(7,\), expected \(n,\) or .* n = 255"),
        (lambda: SMALL_ONE.energy(np.ones((1, 255))), r"psi: got shape \(1, 255\), expected"),
        (lambda: SMALL_ONE.energy(np.zeros(255)), "psi: got zeros, or values whose squares are"),
        (lambda: SMALL_ONE.apply(np.ones(255)), r"psi: got shape \(255,\), .* one column is psi\[:, None\]"),
        (lambda: SMALL_ONE.problem(np.ones(255)), r"below: got shape \(255,\), expected \(255, states\)"),
        (
            lambda: TABLE.on(128),
            r"potential: got .*\(255,\), expected \(127,\).* 128 intervals .* np.interp\(x, grid.x",
        ),
        (lambda: trapped("anyon", TALK), "statistics: got 'anyon'"),
        (
            lambda: trapped("boson", TALK, 1.0, lambda r: 1 / (r - 5)),
            "interaction: got inf at r = 5, expected finite",
        ),
        (lambda: trapped("boson", TALK, 1.0, lambda r: 1j * r), "interaction: got complex values"),
        (lambda: Hamiltonian(Grid(8), np.square).exact(8), "states: got 8, expected 1 to 7"),
        (
            lambda: trapped("fermion", Grid(4)).exact(3),
            "states: got 3, expected 1 to 2, fewer .*; a finer grid",
        ),
        (lambda: trapped("boson", TALK).exact(0), "states: got 0, expected 1 to"),
        (lambda: trapped("boson", TALK).exact(1.5), "states: got 1.5, expected 1 to"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_bad_input_says_what_it_got_and_what_to_do(call, message):
    with pytest.raises(ValueError, match=message):
        call()

"""One particle on a lattice: analytic spectra, the variational bound, and what `solve` must reach."""

import math
import re
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import eigh

import nnbook
from nnbook.lattice_qm import Grid, Hamiltonian, WaveFunction, formula, solve
from nnbook.networks import flatten

TALK = Grid(points=1024, x_max=5.0)
SMALL = Grid(points=256, x_max=5.0)
# lattice-exact on TALK, by inverse iteration with 30 digits
OSCILLATOR = [0.499997019827, 1.499985102353, 2.499961340422, 3.499926714368, 4.499890444944]
ROUNDING = 1e-11

seeds = st.integers(0, 2**31)


@pytest.fixture(autouse=True, scope="module")
def _as_in_a_chapter():
    nnbook.start(seed=1, device="cpu", quiet=True)


def harmonic(x):
    return x**2 / 2


def oscillator(omega=1.0, grid=TALK):
    return Hamiltonian(grid, lambda x: (omega * x) ** 2 / 2)


POTENTIALS = {
    "harmonic": harmonic,
    "quartic": lambda x: x**4,
    "double well": lambda x: (x**2 - 4) ** 2 / 8,
    "Morse": lambda x: 8 * (1 - np.exp(-x / 2)) ** 2,
    "Poeschl-Teller": lambda x: -3 / np.cosh(x) ** 2,
    "tilted": lambda x: x**2 / 2 + x,
    "corner": np.abs,
    "empty box": lambda x: 0 * x,
}


def dense(ham):
    """Kinetic and potential energy as matrices, written down from the definition."""
    h, size = ham.grid.h, ham.grid.points - 1
    kinetic = np.zeros((size, size))
    for j in range(size):
        kinetic[j, j] = 1 / h**2
        if j > 0:
            kinetic[j, j - 1] = kinetic[j - 1, j] = -1 / (2 * h**2)
    return kinetic, np.diag(ham.potential(ham.grid.x))


def waves(ham, count=3, *, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(ham.grid.points - 1, count, generator=generator, dtype=torch.float64)


def overlap(grid, f, g):
    return abs(grid.h * (f @ g))


def solved(hidden=(8, 8), below=(), *, potential="harmonic", grid=TALK, **options):
    return solve(Hamiltonian(grid, POTENTIALS[potential]), hidden=hidden, below=below, seed=1, **options)


@pytest.fixture(scope="module")
def found():
    """The three lowest oscillator states on the talk's lattice."""
    states = []
    for _ in range(3):
        states.append(solve(Hamiltonian(TALK, harmonic), hidden=(8, 8), below=states, seed=1))
    return states


@cache
def found_small(potential):
    return solved(potential=potential, grid=SMALL)


# The lattice


@pytest.mark.parametrize(("points", "x_max"), [(3, 1.0), (8, 5.0), (1024, 5.0)])
def test_grid_has_its_sites_between_the_walls(points, x_max):
    grid = Grid(points, x_max)
    assert grid.h == 2 * x_max / points
    assert grid.x.shape == (points - 1,)
    np.testing.assert_allclose(np.diff([-x_max, *grid.x, x_max]), grid.h, rtol=1e-9)
    np.testing.assert_allclose(grid.x, -grid.x[::-1], atol=1e-14)


def test_default_grid_is_that_of_the_talk():
    assert Grid() == TALK


# The exact spectrum


@pytest.mark.parametrize("potential", POTENTIALS)
@pytest.mark.parametrize("points", [3, 4, 64])
def test_exact_states_are_those_of_the_dense_matrix(potential, points):
    ham = Hamiltonian(Grid(points), POTENTIALS[potential])
    energies, psi = ham.exact(points - 1)
    kinetic, values = dense(ham)
    np.testing.assert_allclose(energies, np.linalg.eigvalsh(kinetic + values), atol=1e-10)
    np.testing.assert_allclose((kinetic + values) @ psi, energies * psi, atol=1e-9)


@pytest.mark.parametrize("points", [3, 10, 200])
def test_empty_box_is_analytic_on_every_lattice(points):
    ham = Hamiltonian(Grid(points), lambda x: 0 * x)
    k = np.arange(1, points)
    expected = (1 - np.cos(k * np.pi / points)) / ham.grid.h**2
    np.testing.assert_allclose(ham.exact(points - 1).energies, expected, rtol=1e-11)


def test_oscillator_has_the_published_energies():
    np.testing.assert_allclose(oscillator().exact(5).energies, OSCILLATOR, atol=1e-11)


@pytest.mark.parametrize(("omega", "energy"), [(5, 2.49992549), (10, 4.99970196)])
def test_stiffer_oscillators_have_the_published_ground_states(omega, energy):
    assert oscillator(omega).exact().energies[0] == pytest.approx(energy, abs=1e-8)


@pytest.mark.parametrize("n", range(5))
def test_discretisation_shifts_the_oscillator_with_order_two(n):
    """E_n(h) = n + 1/2 - (h^2 / 32) (2 n^2 + 2 n + 1) + O(h^4), in a box that is wide enough."""
    grids = [Grid(points, x_max=8.0) for points in (128, 256, 512, 1024)]
    h = np.array([grid.h for grid in grids])
    shift = np.array([oscillator(grid=grid).exact(5).energies[n] - (n + 0.5) for grid in grids])
    assert np.polyfit(np.log(h), np.log(-shift), 1)[0] == pytest.approx(2, abs=0.02)
    assert shift[-1] == pytest.approx(-(h[-1] ** 2) / 32 * (2 * n**2 + 2 * n + 1), rel=1e-3)


def richardson(points, x_max, potential, states):
    """Lattice energies extrapolated to h = 0; what is left is of order h^4."""
    coarse, fine = (
        Hamiltonian(Grid(m, x_max), potential).exact(states).energies for m in (points, 2 * points)
    )
    return (4 * fine - coarse) / 3


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_poeschl_teller_levels_are_analytic(depth):
    energies = richardson(2000, 20.0, lambda x: -depth * (depth + 1) / 2 / np.cosh(x) ** 2, depth)
    np.testing.assert_allclose(energies, -((depth - np.arange(depth)) ** 2) / 2, atol=2e-7)


def test_morse_levels_are_analytic():
    """D (1 - e^{-a x})^2: E_n = a sqrt(2 D) (n + 1/2) - a^2 (n + 1/2)^2 / 2."""
    d, a, n = 8.0, 0.5, np.arange(4)
    energies = richardson(2000, 20.0, lambda x: d * (1 - np.exp(-a * np.maximum(x, -8))) ** 2, 4)
    expected = a * math.sqrt(2 * d) * (n + 0.5) - (a * (n + 0.5)) ** 2 / 2
    np.testing.assert_allclose(energies, expected, atol=1e-6)


@settings(deadline=None, max_examples=20)
@given(st.floats(0.2, 20), st.floats(-50, 50, allow_subnormal=False))
def test_energies_scale_with_omega_and_shift_with_a_constant(omega, constant):
    narrow = Grid(200, 5 / math.sqrt(omega))
    plain = oscillator(grid=Grid(200)).exact(4).energies
    ham = Hamiltonian(narrow, lambda x: (omega * x) ** 2 / 2 + constant)
    np.testing.assert_allclose(ham.exact(4).energies, omega * plain + constant, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("potential", POTENTIALS)
def test_exact_states_are_orthonormal(potential):
    psi = Hamiltonian(SMALL, POTENTIALS[potential]).exact(6).psi
    np.testing.assert_allclose(SMALL.h * psi.T @ psi, np.eye(6), atol=1e-12)


@pytest.mark.parametrize("n", range(5))
def test_outermost_lobe_on_the_right_is_positive_as_hermite_functions_have_it(n):
    psi = oscillator(grid=SMALL).exact(5).psi[:, n]
    hermite = np.polynomial.hermite.hermval(SMALL.x, np.eye(5)[n]) * np.exp(-(SMALL.x**2) / 2)
    hermite /= math.sqrt(math.sqrt(math.pi) * 2**n * math.factorial(n))
    np.testing.assert_allclose(psi, hermite, atol=5e-3)


@pytest.mark.parametrize("potential", ["harmonic", "quartic", "double well", "corner"])
def test_states_of_a_symmetric_potential_alternate_in_parity(potential):
    psi = Hamiltonian(SMALL, POTENTIALS[potential]).exact(4).psi
    np.testing.assert_allclose(psi[::-1], psi * [1, -1, 1, -1], atol=1e-9)


@pytest.mark.parametrize("potential", ["Morse", "tilted"])
def test_mirrored_potential_has_mirrored_states(potential):
    v = POTENTIALS[potential]
    plain, mirrored = (Hamiltonian(SMALL, w).exact(3) for w in (v, lambda x: v(-x)))
    np.testing.assert_allclose(plain.energies, mirrored.energies, atol=1e-10)
    np.testing.assert_allclose(np.abs(plain.psi[::-1]), np.abs(mirrored.psi), atol=1e-8)


# Energies of given wave functions


@pytest.mark.parametrize("potential", POTENTIALS)
def test_energies_are_expectation_values_of_the_dense_matrices(potential):
    ham = Hamiltonian(Grid(64), POTENTIALS[potential])
    psi = waves(ham)
    for matrix, energy in zip(dense(ham), ham.energies(psi), strict=True):
        expected = [f @ matrix @ f / (f @ f) for f in psi.numpy().T]
        np.testing.assert_allclose(energy, expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(ham.energy(psi), sum(ham.energies(psi)), rtol=1e-15)
    np.testing.assert_allclose(ham.energy(psi)[1], ham.energy(psi[:, 1]), rtol=1e-13)


@pytest.mark.parametrize("potential", POTENTIALS)
def test_apply_is_the_dense_matrix(potential):
    ham = Hamiltonian(Grid(64), POTENTIALS[potential])
    psi = waves(ham)
    np.testing.assert_allclose(ham.apply(psi), sum(dense(ham)) @ psi.numpy(), rtol=1e-12, atol=1e-11)


@settings(deadline=None)
@given(seeds, st.sampled_from(list(POTENTIALS)))
def test_no_wave_function_is_below_the_ground_state(seed, potential):
    ham = Hamiltonian(Grid(32), POTENTIALS[potential])
    assert ham.energy(waves(ham, seed=seed)).min() >= ham.exact().energies[0]


@settings(deadline=None)
@given(seeds, st.sampled_from([-2.0, 1e-9, 1e9]))
def test_energy_does_not_depend_on_the_norm(seed, factor):
    ham = oscillator(grid=Grid(32))
    psi = waves(ham, seed=seed)
    torch.testing.assert_close(ham.energy(factor * psi), ham.energy(psi), rtol=1e-12, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_energies_follow_the_dtype(dtype):
    ham = oscillator(grid=Grid(32))
    assert {part.dtype for part in ham.energies(waves(ham).to(dtype))} == {dtype}
    assert ham.apply(waves(ham).to(dtype)).dtype == dtype


@pytest.mark.parametrize(("power", "potential"), [(2, "harmonic"), (4, "quartic"), (1, "corner")])
def test_virial_theorem(power, potential):
    """2 K = p V in the potential |x|^p, up to the lattice's h^2."""
    ham = Hamiltonian(Grid(1024, 6.0), POTENTIALS[potential])
    kinetic, value = ham.energies(torch.as_tensor(ham.exact(3).psi))
    np.testing.assert_allclose(2 * kinetic, power * value, rtol=5e-4)


def softplus(z):
    return np.logaddexp(0, z)


def test_printed_formula_of_the_talk_has_the_printed_energy():
    x, s = TALK.x, softplus
    a = (
        2.4069 * s(0.35953 * x + 3.9226)
        - 1.8344 * s(2.5821 * x + 0.033213)
        - 1.9778 * s(-0.65170 * x + 2.9574)
        + 2.3484 * s(0.15421 * x + 2.2016)
        - 4.8998
    )
    psi = s(a) / 3.7451
    kinetic, value = (float(e) for e in oscillator().energies(torch.as_tensor(psi)))
    assert (kinetic, value, kinetic + value) == pytest.approx((0.250048, 0.250027, 0.500075), abs=1e-6)
    assert math.sqrt(TALK.h * psi @ psi) == pytest.approx(0.99992, abs=1e-5)


# Networks as wave functions


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("hidden", [(4,), (8, 8), (3, 4, 5)])
def test_gradient_of_the_energy_reaches_every_parameter(hidden, signed):
    ham = oscillator(grid=SMALL)
    network = WaveFunction(hidden, signed=signed, generator=torch.Generator().manual_seed(1))
    ham.energy(network(torch.as_tensor(ham.grid.x)[:, None])).backward()
    assert all(p.grad is not None and p.grad.abs().min() > 0 for p in network.parameters())


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_unsigned_network_is_positive_and_signed_one_the_difference_of_two(seed):
    x = torch.linspace(-5, 5, 50, dtype=torch.float64)[:, None]
    plain, signed = (
        WaveFunction((6,), signed=s, generator=torch.Generator().manual_seed(seed)) for s in (False, True)
    )
    assert plain(x).min() > 0
    a, b = softplus(signed.mlp(x).detach().numpy()).T
    np.testing.assert_allclose(signed(x).detach(), a - b, rtol=1e-12, atol=1e-14)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("signed", [False, True])
def test_formula_can_be_typed_in_again(signed):
    network = WaveFunction((3,), signed=signed, generator=torch.Generator().manual_seed(2))
    text = formula(network, digits=15)
    for latex, python in (
        (r"\begin{aligned}", ""),
        (r"\end{aligned}", ""),
        (r"\psi(x) &\propto", "psi ="),
        ("&=", "="),
    ):
        text = text.replace(latex, python)
    for latex, python in ((r"\, ", "*"), ("{", ""), ("}", "")):
        text = text.replace(latex, python)
    x = np.linspace(-3, 3, 7)
    values = {"s": softplus, "x": x}
    for line in reversed(text.split(r" \\ ")):  # each line uses those below it
        exec(line.strip(), values)
    np.testing.assert_allclose(values["psi"], network(torch.as_tensor(x)[:, None]).detach(), rtol=1e-11)


@pytest.mark.parametrize("options", [{"hidden": (3, 3)}, {"hidden": (3,), "activation": "tanh"}])
def test_formula_of_a_network_that_does_not_fit_is_refused(options):
    with pytest.raises(
        ValueError, match=r"network: got \d hidden layers of \w+ units, expected one of softplus"
    ):
        formula(WaveFunction(**options))


# Ground states


@pytest.fixture(scope="module", params=[(4,), (8, 8)], ids=str)
def ground(request, found):
    return found[0] if request.param == (8, 8) else solved(request.param)


def test_ground_state_is_never_below_the_lattice_value(ground):
    exact = ground.hamiltonian.exact().energies[0]
    assert exact - ROUNDING <= ground.energy <= exact + 1e-6


def test_ground_state_overlaps_with_the_exact_one(ground):
    exact = ground.hamiltonian.exact().psi[:, 0]
    assert overlap(TALK, ground.psi, exact) >= 1 - 1e-6
    assert TALK.h * ground.psi @ exact > 0


def test_ground_state_is_normalised(ground):
    assert TALK.h * ground.psi @ ground.psi == pytest.approx(1, abs=1e-13)


def test_ground_state_obeys_the_virial_theorem(ground):
    assert ground.kinetic == pytest.approx(ground.potential, abs=1e-5)


def test_parts_of_the_energy_belong_to_the_wave_function(ground):
    kinetic, value = (part.item() for part in ground.hamiltonian.energies(torch.as_tensor(ground.psi)))
    assert (ground.kinetic, ground.potential) == pytest.approx((kinetic, value), abs=1e-13)
    assert ground.energy == ground.kinetic + ground.potential
    assert ground.fit.value == pytest.approx(ground.energy, abs=1e-10)


def test_variance_bounds_the_error_of_the_energy(ground):
    """Temple: E - E_0 <= variance / (E_1 - E), and there is an exact level within one standard deviation."""
    first, second = ground.hamiltonian.exact(2).energies
    assert 0 < ground.variance < 1e-4
    assert ground.energy - first <= ground.variance / (second - ground.energy) + ROUNDING


def test_wave_function_is_the_network_on_the_lattice(ground):
    psi = ground.network(torch.as_tensor(TALK.x)[:, None]).detach().numpy()
    np.testing.assert_allclose(ground.psi, psi / math.sqrt(TALK.h * psi @ psi), rtol=1e-12)


def test_state_prints_its_energies(ground):
    assert re.fullmatch(r"E = 0\.49999\d{4} \(K = 0\.\d{6}, V = 0\.\d{6}, variance \S+\)", repr(ground))


@pytest.mark.parametrize("potential", POTENTIALS)
def test_ground_state_of_other_potentials(potential):
    state = found_small(potential)
    energies, psi = state.hamiltonian.exact()
    assert energies[0] - ROUNDING <= state.energy <= energies[0] + 1e-6
    assert overlap(SMALL, state.psi, psi[:, 0]) >= 1 - 1e-6


@pytest.mark.parametrize("omega", [5.0, 10.0])
def test_stiffer_oscillators_reach_the_lattice_value(omega):
    state = solve(oscillator(omega), hidden=(8, 8), seed=1)
    exact = state.hamiltonian.exact().energies[0]
    assert exact - ROUNDING <= state.energy <= exact + 1e-6


@pytest.mark.parametrize("points", [3, 4, 17])
def test_smallest_lattices_are_solved_too(points):
    ham = oscillator(grid=Grid(points))
    first = solve(ham, hidden=(4,), starts=2)
    second = solve(ham, hidden=(4,), starts=2, below=[first])
    assert [first.energy, second.energy] == pytest.approx(ham.exact(2).energies, abs=1e-8)


def test_same_seed_same_bits():
    one, two = (solve(oscillator(grid=Grid(64)), hidden=(4,), seed=3) for _ in range(2))
    assert one.energy == two.energy
    assert one.psi.tobytes() == two.psi.tobytes()
    other = solve(oscillator(grid=Grid(64)), hidden=(4,), seed=4)
    assert other.psi.tobytes() != one.psi.tobytes()


def test_seed_is_all_the_randomness():
    torch.manual_seed(1)
    one = solve(oscillator(grid=Grid(64)), hidden=(4,), starts=2)
    torch.manual_seed(2)
    two = solve(oscillator(grid=Grid(64)), hidden=(4,), starts=2)
    assert one.energy == two.energy


def test_neighbouring_potential_continues_from_a_state():
    before = found_small("harmonic")
    kept = flatten(before.network)
    ham = Hamiltonian(SMALL, lambda x: harmonic(x) + 0.01 * x**4)
    after = solve(ham, hidden=(8, 8), start=before)
    at_first = ham.energy(torch.as_tensor(before.psi)).item()
    assert ham.exact().energies[0] - ROUNDING <= after.energy <= ham.exact().energies[0] + 1e-6
    assert after.fit.history["value"].max() <= at_first
    assert torch.equal(flatten(before.network), kept)


# float32


def test_dtype_and_device_follow():
    state = solve(oscillator(grid=Grid(64)), hidden=(4,), starts=2, dtype=torch.float32, device="cpu")
    assert {(p.dtype, p.device.type) for p in state.network.parameters()} == {(torch.float32, "cpu")}
    assert state.psi.dtype == np.float64


def test_float32_holds_six_decimals_and_loses_the_seventh(found):
    state = solved(dtype=torch.float32)
    assert 5e-8 < state.energy - OSCILLATOR[0] < 2e-6
    assert state.energy - found[0].energy > 10 * (found[0].energy - OSCILLATOR[0])


# Excited states


@pytest.mark.parametrize("n", range(3))
def test_excited_states_reach_the_lattice_values(found, n):
    energies, psi = found[n].hamiltonian.exact(n + 1)
    assert found[n].energy == pytest.approx(energies[n], abs=1e-6)
    assert overlap(TALK, found[n].psi, psi[:, n]) >= 1 - 1e-6
    assert TALK.h * found[n].psi @ psi[:, n] > 0


def test_found_states_are_orthonormal(found):
    psi = np.column_stack([state.psi for state in found])
    np.testing.assert_allclose(TALK.h * psi.T @ psi, np.eye(3), atol=1e-12)


def test_excited_states_obey_the_virial_theorem(found):
    for state in found[1:]:
        assert state.kinetic == pytest.approx(state.potential, rel=1e-4)


def test_ritz_values_in_the_span_of_the_found_states_are_never_below_the_exact_ones(found):
    kinetic, values = dense(found[0].hamiltonian)
    psi = np.column_stack([state.psi for state in found])
    ritz = eigh(psi.T @ (kinetic + values) @ psi, psi.T @ psi, eigvals_only=True)
    exact = found[0].hamiltonian.exact(3).energies
    assert np.all(ritz >= exact - 1e-10)
    np.testing.assert_allclose(ritz, exact, atol=1e-6)


def test_states_know_those_below(found):
    assert [len(state.below) for state in found] == [0, 1, 2]
    assert [state.network.signed for state in found] == [False, True, True]


@pytest.mark.parametrize("potential", ["double well", "tilted"])
def test_first_excited_state_of_other_potentials(potential):
    ground = found_small(potential)
    state = solved(below=[ground], potential=potential, grid=SMALL)
    energies, psi = state.hamiltonian.exact(2)
    assert state.energy == pytest.approx(energies[1], abs=1e-6)
    assert overlap(SMALL, state.psi, psi[:, 1]) >= 1 - 1e-6
    assert overlap(SMALL, state.psi, ground.psi) < 1e-12


@pytest.mark.parametrize("points", [128, 512, 2048])
def test_states_on_another_lattice_agree_where_sites_coincide_and_stay_orthonormal(found, points):
    grid = Grid(points, TALK.x_max)
    psi = np.column_stack([state.on(grid) for state in found])
    np.testing.assert_allclose(grid.h * psi.T @ psi, np.eye(3), atol=1e-12)
    coarse, fine = max(1, points // 1024), max(1, 1024 // points)
    here = np.column_stack([state.psi for state in found])
    np.testing.assert_allclose(psi[coarse - 1 :: coarse], here[fine - 1 :: fine], atol=1e-5)


def test_states_on_their_own_lattice_are_themselves(found):
    for state in found:
        np.testing.assert_allclose(state.on(TALK), state.psi, atol=1e-12)


# Wrong input


def state_on(grid):
    return solve(Hamiltonian(grid, harmonic), hidden=(2,), starts=1)


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        pytest.param(
            lambda ham: Grid(2),
            r"points: got 2, expected a whole number, at least 3; the talk uses 1024",
            id="points",
        ),
        pytest.param(
            lambda ham: Grid(-8), r"points: got -8, expected a whole number, at least 3", id="negative points"
        ),
        pytest.param(lambda ham: Grid(8.5), r"points: got 8.5, expected", id="half a point"),
        pytest.param(
            lambda ham: Grid(8, 0.0), r"x_max: got 0.0, expected a positive .*example 5", id="no box"
        ),
        pytest.param(
            lambda ham: Grid(8, math.inf), r"x_max: got inf, expected a positive", id="infinite box"
        ),
        pytest.param(lambda ham: Grid(8, math.nan), r"x_max: got nan, expected a positive", id="nan box"),
        pytest.param(
            lambda ham: Hamiltonian(SMALL, lambda x: np.where(x > 0, np.inf, 0)),
            r"potential: got inf at x = 0.0390625, expected finite values; replace a hard wall",
            id="infinite potential",
        ),
        pytest.param(
            lambda ham: Hamiltonian(SMALL, lambda x: np.where(x == 0, np.nan, x)),
            r"potential: got nan at x = 0, expected finite values; ",
            id="undefined potential",
        ),
        pytest.param(
            lambda ham: Hamiltonian(SMALL, lambda x: 1.0),
            r"potential: got .* shape \(\), expected \(255,\), one value a site; .* lambda x: c \+ 0 \* x",
            id="constant potential",
        ),
        pytest.param(
            lambda ham: Hamiltonian(SMALL, lambda x: x[1:]),
            r"potential: got .* shape \(254,\), expected \(255,\), one value a site",
            id="short potential",
        ),
        pytest.param(
            lambda ham: Hamiltonian(SMALL, lambda x: x[:, None]),
            r"potential: got .* shape \(255, 1\), expected \(255,\), one value a site",
            id="potential of columns",
        ),
        pytest.param(
            lambda ham: solve(ham, hidden=()),
            r"hidden: got \(\) .*expected at least one hidden layer .* hidden=\(8, 8\)",
            id="no hidden layer",
        ),
        pytest.param(
            lambda ham: solve(ham, hidden=(4, 0)),
            r"hidden: got \(4, 0\) .* no size below 1",
            id="empty layer",
        ),
        pytest.param(
            lambda ham: solve(ham, activation="swish"),
            r"activation: got 'swish', expected one of gelu, .*tanh",
            id="activation",
        ),
        pytest.param(lambda ham: ham.exact(0), r"states: got 0, expected 1 to 7", id="no state"),
        pytest.param(
            lambda ham: ham.exact(8),
            r"states: got 8, expected 1 to 7, the number of sites; take",
            id="8 states",
        ),
        pytest.param(
            lambda ham: solve(ham, below=[state_on(ham.grid)] * 7),
            r"got 8, expected 1 to 7, the number of sites; take more points",
            id="more states than sites",
        ),
        pytest.param(
            lambda ham: solve(ham, below=[state_on(Grid(9))]),
            r"below: got a state on .*points=9.*, expected .*points=8.*; solve it on this grid first",
            id="state of another grid",
        ),
        pytest.param(
            lambda ham: solve(ham, below=[state_on(Grid(8, 4.0))]),
            r"below: got a state on .*x_max=4.0.*, expected .*x_max=5.0",
            id="state of another box",
        ),
        pytest.param(
            lambda ham: solve(ham, below=[state_on(ham.grid)] * 2),
            r"below: got the same state twice, expected each lower state once",
            id="same state twice",
        ),
        pytest.param(
            lambda ham: solve(Hamiltonian(ham.grid, np.cosh), below=[state_on(ham.grid)]),
            r"below: got a state of another potential, expected states of this Hamiltonian",
            id="state of another potential",
        ),
        pytest.param(
            lambda ham: solve(ham, starts=0), r"starts: got 0, expected at least one", id="no start"
        ),
        pytest.param(
            lambda ham: solve(ham, hidden=(3,), start=state_on(ham.grid)),
            r"start: got .*expected",
            id="start of another size",
        ),
    ],
)
def test_wrong_input_is_told_what_was_got_what_expected_and_what_to_do(attempt, message):
    ham = oscillator(grid=Grid(8))
    with pytest.raises(ValueError, match=message):
        attempt(ham)


def test_network_that_shrinks_to_nothing_keeps_its_energy():
    state = solve(oscillator(grid=Grid(64)), hidden=(4,), starts=2)
    with torch.no_grad():
        state.network.mlp.linear()[
            -1
        ].bias -= 600  # softplus is then exp: the same shape, 1e-260 times as large
    again = solve(state.hamiltonian, hidden=(4,), start=state)
    exact = state.hamiltonian.exact()
    assert again.energy == pytest.approx(exact.energies[0], abs=1e-3)
    assert again.hamiltonian.grid.h * again.psi @ again.psi == pytest.approx(1)

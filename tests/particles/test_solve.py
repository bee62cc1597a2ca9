"""Training: the exact lattice energy from above, orthogonal states, the same numbers for the same seed."""

import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from nnbook.networks import flatten
from nnbook.particles.grid import Grid
from nnbook.particles.hamiltonian import Hamiltonian, trapped
from nnbook.particles.solve import solve
from nnbook.particles.states import ritz

SMALL = Grid(points=256)
ROUNDING = 1e-11
POTENTIALS = {
    "harmonic": lambda x: x**2 / 2,
    "quartic": lambda x: x**4,
    "double well": lambda x: (x**2 - 4) ** 2 / 8,
    "Morse": lambda x: 8 * (1 - np.exp(-x / 2)) ** 2,
    "Poeschl-Teller": lambda x: -3 / np.cosh(x) ** 2,
    "tilted": lambda x: x**2 / 2 + x,
    "corner": np.abs,
    "empty box": lambda x: 0 * x,
}
both = pytest.mark.parametrize("kind", ["boson", "fermion"])


def gaussian(lam):
    return lambda r: 100 * lam * np.exp(-(r**2))


def one(potential="harmonic", grid=SMALL):
    return Hamiltonian(grid, POTENTIALS[potential])


@cache
def alone(potential="harmonic", levels=1):
    """The lowest states of one particle."""
    states = list(alone(potential, levels - 1)) if levels > 1 else []
    return *states, solve(one(potential), below=states)


@cache
def found(kind, lam=0.25, omega=1.0, points=64, count=2):
    ham = trapped(kind, Grid(points), omega, gaussian(lam), count=count)
    return solve(ham, tolerance=1e-8, patience=4)


@cache
def tower(kind):
    states = []
    for _ in range(4):
        states.append(solve(trapped(kind, Grid(32)), below=states, tolerance=1e-6, patience=4))
    return tuple(states)


def tiny(kind="boson", ham=None, **options):
    """A state that is hardly trained: enough for what holds for any network."""
    options = {"hidden": (4,), "starts": 1, "tolerance": 1.0, "patience": 1} | options
    return solve(ham or trapped(kind, Grid(12)), **options)


def check(state, error):
    """What every trained state must be, beside its energy ``error`` above a level at most."""
    level = len(state.below)
    energies, psi = state.hamiltonian.exact(level + 1)
    weights = state.sector.weights
    least = -error if level else -ROUNDING  # only a ground state obeys the bound by itself
    assert least <= state.energy - energies[level] <= error
    assert weights @ state.psi**2 == pytest.approx(1, abs=1e-12)
    assert (weights * state.psi) @ psi[:, level] >= 1 - 10 * error
    assert state.kinetic + state.potential + state.interaction == pytest.approx(state.energy, abs=1e-12)
    parts = state.hamiltonian.energies(torch.as_tensor(state.psi))
    assert [float(p) for p in parts] == pytest.approx(
        [state.kinetic, state.potential, state.interaction][: len(parts)]
    )
    assert state.fit.value == pytest.approx(state.energy, abs=1e-9)
    for lower in state.below:
        assert abs((weights * state.psi) @ lower.psi) < 1e-10


@pytest.mark.parametrize("potential", POTENTIALS)
def test_one_particle_reaches_the_lattice_energy_from_above(potential):
    check(alone(potential)[0], 1e-6)


@pytest.mark.parametrize("omega", [5.0, 10.0])
@pytest.mark.parametrize("hidden", [(4,), (8, 8)])
def test_stiff_oscillators_reach_it_on_the_lattice_of_the_talk(omega, hidden):
    check(solve(Hamiltonian(Grid(1024), lambda x: (omega * x) ** 2 / 2), hidden=hidden), 1e-6)


@pytest.mark.parametrize(("potential", "level"), [("harmonic", 3), ("double well", 2), ("tilted", 2)])
def test_excited_states_of_one_particle_reach_theirs(potential, level):
    check(alone(potential, level)[-1], 1e-6)


@both
@pytest.mark.parametrize(("lam", "omega"), [(-1.0, 1.0), (0.0, 1.0), (0.25, 5.0), (1.0, 1.0)])
def test_trained_pairs_reach_the_lattice_energy_from_above(kind, lam, omega):
    check(found(kind, lam, omega), 1e-5)


@both
def test_trained_trio_reaches_the_lattice_energy_from_above(kind):
    check(found(kind, 0.0, points=16, count=3), 1e-5)


@pytest.mark.parametrize("points", [3, 4, 17])
def test_smallest_lattices_are_solved_too(points):
    states = []
    for _ in range(2):
        states.append(solve(one(grid=Grid(points)), hidden=(4,), starts=2, below=states))
        check(states[-1], 1e-8)


def test_variance_bounds_the_error_of_the_energy():
    """Temple: E - E_0 <= variance / (E_1 - E)."""
    (ground,) = alone()
    first, second = ground.hamiltonian.exact(2).energies
    assert 0 < ground.variance < 1e-4
    assert ground.energy - first <= ground.variance / (second - ground.energy) + ROUNDING


def test_states_obey_the_virial_theorem():
    for state in alone(levels=3):
        assert state.kinetic == pytest.approx(state.potential, rel=1e-3)
    for kind in ("boson", "fermion"):
        state = found(kind)
        h, r = state.hamiltonian.grid.h, state.hamiltonian.grid.h * np.arange(63)
        force = np.where(r > 0, 2, 1) * h * state.pair_distribution() @ (-2 * r**2 * gaussian(0.25)(r))
        assert 2 * state.kinetic == pytest.approx(2 * state.potential + force, abs=2e-2)
        assert state.potential == pytest.approx(h * (r - 4.84375) ** 2 / 2 @ state.density())


def test_states_print_their_energies():
    number = r"-?\d+\.\d{6}"
    line = rf"E = 0\.4999\d{{5}} \(K = {number}, V = {number}, variance \S+\)"
    assert re.fullmatch(line, repr(alone()[0]))
    line = rf"2 fermions: E = 3\.29\d{{7}} \(K = {number}, V = {number}, U = {number}, variance \S+\)"
    assert re.fullmatch(line, repr(found("fermion")))


@pytest.mark.parametrize("ham", [one(grid=Grid(64)), trapped("boson", Grid(24))], ids=["one", "two"])
def test_seed_is_all_the_randomness(ham):
    states = []
    for seed, global_seed in ((3, 1), (3, 2), (4, 1)):
        torch.manual_seed(global_seed)
        states.append(solve(ham, hidden=(4,), starts=2, seed=seed).psi.tobytes())
    assert states[0] == states[1] != states[2]


@pytest.mark.parametrize(
    ("before", "potential"),
    [(lambda: alone()[0], lambda x: x**2 / 2 + 0.01 * x**4), (lambda: found("boson"), np.square)],
)
def test_start_goes_on_from_a_neighbour_and_leaves_it_alone(before, potential):
    before = before()
    kept, ham = flatten(before.network), replace(before.hamiltonian, potential=potential)
    after = solve(ham, start=before, tolerance=1e-8, patience=4)
    check(after, 1e-5)
    assert torch.equal(flatten(before.network), kept)


def test_float32_holds_six_decimals_and_loses_the_seventh():
    state = solve(one(grid=Grid(1024)), dtype=torch.float32, device="cpu")
    assert {(p.dtype, p.device.type) for p in state.network.parameters()} == {(torch.float32, "cpu")}
    assert state.psi.dtype == np.float64
    assert 2e-8 < state.energy - state.hamiltonian.exact().energies[0] < 2e-6


def test_network_that_shrinks_to_nothing_keeps_its_energy():
    state = solve(one(grid=Grid(64)), hidden=(4,), starts=2)
    with torch.no_grad():  # softplus is then exp: the same shape, 1e-260 times as large
        state.network.mlp.linear()[-1].bias -= 600
    check(solve(state.hamiltonian, hidden=(4,), start=state), 1e-3)


@cache
def ripples(hidden, seed, points=200):
    """Thirteen wells in a row, where networks shrank to 1e-305 and "converged" up to 7e-3 too high."""
    return solve(Hamiltonian(Grid(points), lambda x: 5 * np.cos(4 * x)), hidden=hidden, seed=seed, steps=150)


@pytest.mark.parametrize(("hidden", "seed"), [((16,), 1), ((16,), 2), ((8, 8), 1), ((48,), 1)])
def test_many_wells_are_right_to_a_millionth_or_not_converged(hidden, seed):
    state = ripples(hidden, seed)
    excess = state.energy - state.hamiltonian.exact().energies[0]
    assert excess > -ROUNDING
    assert excess < 1e-6 or not state.fit.converged
    assert ("not converged" in repr(state)) is not state.fit.converged
    with torch.no_grad():
        assert state.network(torch.as_tensor(state.sector.x)).max() > 1e-25


def test_excited_network_with_a_coarse_scale_is_not_below_its_level_unnoticed():
    """Where the projection underflowed it was, with a variance of 350."""
    ground = ripples((16,), 1)
    state = solve(ground.hamiltonian, hidden=(8,), below=[ground], seed=5, starts=2, steps=30)
    level = ground.hamiltonian.exact(2).energies[1]
    assert state.energy > level - 0.02 or not state.fit.converged


def test_more_steps_mend_what_is_not_converged():
    few, many = (solve(one(grid=Grid(64)), hidden=(4,), starts=2, steps=steps) for steps in (5, 400))
    assert (few.fit.converged, many.fit.converged) == (False, True)
    assert few.fit.steps == 5 + 8 < many.fit.steps
    assert few.energy > many.energy


@cache
def deep_wells():
    """Two levels 3e-5 apart, one well each."""
    ham = Hamiltonian(Grid(256, 4.0), lambda x: 4 * (x**2 - 2.5) ** 2)
    ground = solve(ham)
    with pytest.warns(RuntimeWarning, match=r"state 1: .*levels this near are told apart by ritz\(states\)"):
        return ground, solve(ham, below=[ground])


def test_levels_that_nearly_coincide_are_noticed_and_told_apart():
    states = deep_wells()
    exact = states[0].hamiltonian.exact(2).energies
    assert states[0].energy - exact[0] > 1e-5  # half of the splitting
    assert not states[1].fit.converged
    assert "levels this near" in states[1].fit.reason
    energies = ritz(states).energies
    np.testing.assert_allclose(energies, exact, atol=1e-8)
    assert energies[1] - energies[0] == pytest.approx(exact[1] - exact[0], rel=1e-3)


def test_levels_in_the_wrong_order_are_noticed():
    ground, excited = alone(levels=2)
    high = replace(ground, psi=excited.psi, energy=excited.energy + 1e-5)
    with pytest.warns(RuntimeWarning, match=r"state 1: E = 0.4999\d* is below that of a lower state, 1.4997"):
        state = solve(ground.hamiltonian, below=[high])
    assert not state.fit.converged


def test_a_variance_that_is_too_large_is_not_converged():
    state = ripples((16,), 1)
    assert "; variance" in state.fit.reason
    assert not state.fit.converged


@pytest.mark.parametrize("omega", [1e-3, 1e3])
def test_tolerances_are_in_the_units_of_the_problem(omega):
    ham = Hamiltonian(Grid(128, 5 / omega**0.5), lambda x: omega**2 * x**2 / 2)
    state = solve(ham)
    excess = (state.energy - ham.exact().energies[0]) / omega
    assert -ROUNDING < excess < 1e-6
    assert state.fit.converged


@pytest.mark.parametrize("count", [1, 2, 3])
def test_training_takes_place_on_the_device_of_its_arguments(count, elsewhere):
    ham = trapped("boson", Grid(8), count=count)
    ground = tiny(ham=ham, device="cpu")
    excited = tiny(ham=ham, below=[ground], device="cpu", tolerance=10.0)
    assert {p.device.type for s in (ground, excited) for p in s.network.parameters()} == {"cpu"}
    assert len(ritz([ground, excited]).energies) == len((ground.on(16), excited)) == 2


def test_a_table_of_values_says_how_to_be_written():
    """It ended in a shape error of a lattice that nobody had asked for."""
    grid = Grid(256)
    table = grid.x**2 / 2
    with pytest.raises(ValueError, match=r"got .*\(255,\), expected \(127,\).*: np.interp\(x, grid.x"):
        solve(Hamiltonian(grid, lambda x: table), hidden=(4,))
    state = solve(Hamiltonian(grid, lambda x: np.interp(x, grid.x, table)), hidden=[4], starts=2)
    check(state, 1e-6)


@both
def test_raw_network_gives_the_wave_function_when_symmetrised(kind):
    sign = 1 if kind == "boson" else -1
    for state in (found(kind), *(tiny(kind, seed=seed) for seed in range(1, 5))):
        raw = state.raw()
        np.testing.assert_allclose(raw + sign * raw.T, state.full(), atol=1e-10)


@pytest.mark.parametrize("points", [64, 512])
def test_states_on_another_lattice_agree_where_sites_coincide_and_stay_orthonormal(points):
    moved = [state.on(points) for state in alone(levels=3)]
    psi, here = (np.column_stack([s.psi for s in states]) for states in (moved, alone(levels=3)))
    np.testing.assert_allclose(10 / points * psi.T @ psi, np.eye(3), atol=1e-12)
    coarse, fine = max(1, points // 256), max(1, 256 // points)
    np.testing.assert_allclose(psi[coarse - 1 :: coarse], here[fine - 1 :: fine], atol=1e-3)
    assert all(s.on(256) is s for s in alone(levels=3))


def test_a_pair_on_a_finer_lattice_obeys_its_bound():
    finer = found("fermion").on(128)
    assert 0 < finer.energy - finer.hamiltonian.exact().energies[0] < 1e-3
    assert len(finer.psi) == finer.sector.particles.configurations(127)


@pytest.mark.parametrize(
    ("states", "error"),
    [(lambda: alone(levels=3), 1e-6), (lambda: tower("boson"), 1e-5), (lambda: tower("fermion"), 1e-5)],
)
def test_ritz_values_bound_the_levels(states, error):
    states = states()
    levels = states[0].hamiltonian.exact(len(states)).energies
    energies, psi = ritz(states)
    assert (energies >= levels - 1e-10).all()
    np.testing.assert_allclose(energies, levels, atol=error)
    np.testing.assert_allclose(
        psi.T @ (states[0].sector.weights[:, None] * psi), np.eye(len(states)), atol=1e-10
    )


BELOW = {
    "another grid": (
        lambda: trapped("boson", Grid(32)),
        1,
        r"below: got a state of Grid.points=12.*expected Grid.points=32.*state.on\(points\)",
    ),
    "another box": (
        lambda: trapped("boson", Grid(12, 4.0)),
        1,
        "below: got a state of .*x_max=5.0.*expected .*4.0",
    ),
    "other statistics": (
        lambda: trapped("fermion", Grid(12)),
        1,
        "below: got a state of .*'boson'.*'fermion'",
    ),
    "another number": (
        lambda: trapped("boson", Grid(12), count=3),
        1,
        "below: got a state of .*count=2.*count=3",
    ),
    "another trap": (lambda: trapped("boson", Grid(12), 2.0), 1, "below: got a state of another potential"),
    "another interaction": (
        lambda: trapped("boson", Grid(12), 1.0, gaussian(0.1)),
        1,
        "below: got a state of another potential, expected states of this Hamiltonian",
    ),
    "the same state twice": (lambda: trapped("boson", Grid(12)), 2, "below: got the same state twice"),
    "one state alone": (
        lambda: trapped("boson", Grid(12)),
        0,
        r"below: got one state, .* write below=\[state\]",
    ),
}


@pytest.mark.parametrize(("ham", "times", "message"), BELOW.values(), ids=BELOW)
def test_states_below_must_belong_to_the_problem(ham, times, message):
    ground = tiny()
    with pytest.raises(ValueError, match=message):
        solve(ham(), below=[ground] * times or ground)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": ()}, r"hidden: got \(\) .*expected at least one hidden layer .* hidden=\(8, 8\)"),
        ({"hidden": (4, 0)}, r"hidden: got \(4, 0\) .* no size below 1"),
        ({"activation": "swish"}, "activation: got 'swish', expected one of gelu, .*tanh"),
        ({"starts": 0}, "starts: got 0, expected a whole number, at least 1"),
        ({"steps": 0}, "steps: got 0, expected a whole number, at least 1"),
        ({"coarse": 0}, "coarse: got 0, expected a whole number, at least 1"),
        ({"patience": 1.5}, "patience: got 1.5, expected a whole number"),
        ({"tolerance": np.nan}, "tolerance: got nan, expected a finite number, at least 0"),
        ({"hidden": (3,), "start": tiny}, "start: got a network of .* parameters, expected"),
    ],
)
def test_wrong_options_are_named(options, message):
    ready = {name: value() if callable(value) else value for name, value in options.items()}
    with pytest.raises(ValueError, match=message):
        solve(trapped("boson", Grid(12)), **ready)


def test_no_more_states_are_trained_than_there_are_configurations():
    ham, states = trapped("fermion", Grid(4)), []
    for _ in range(3):
        states.append(tiny(ham=ham, below=states))
    with pytest.raises(ValueError, match="below: got 3 states, expected fewer than the 3 configurations"):
        tiny(ham=ham, below=states)


def test_what_is_no_state_or_no_hamiltonian_is_refused():
    with pytest.raises(TypeError, match=r"ham: got function, expected a Hamiltonian\(grid, potential\)"):
        solve(gaussian(1.0))
    with pytest.raises(TypeError, match="below: got int, expected states that solve found"):
        solve(one(), below=[1])
    for states, got in ((tiny(), "2 bosons: E = "), ([], "none")):
        with pytest.raises(ValueError, match=f"states: got {got}.*expected a sequence of trained states"):
            ritz(states)
    with pytest.raises(ValueError, match="states: got states that depend on each other"):
        ritz([tiny(), tiny()])

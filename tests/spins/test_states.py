"""Wave functions of spins: sums over hidden units, derivatives, symmetries, equality of families, errors."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnbook.networks import assign, flatten
from nnbook.spins.lattices import all_spins, chain, square
from nnbook.spins.states import (
    Amplitude,
    Jastrow,
    LogState,
    MeanField,
    RestrictedBoltzmannMachine,
    enlarge,
    log_2cosh,
)

SITES = 6
RING = chain(SITES).translations


def dice(seed=1):
    return torch.Generator().manual_seed(seed)


def machine(seed=1, **options):
    options = {"scale": 0.4, "generator": dice(seed), "device": "cpu"} | options
    return RestrictedBoltzmannMachine(SITES, 4, **options)


def on_a_lattice(lattice, **options):
    options = {"permutations": lattice.translations, "scale": 0.4, "generator": dice()} | options
    return RestrictedBoltzmannMachine(lattice.sites, 3, **options)


SYMMETRIC, EVEN, WIDE = {"permutations": RING}, {"biases": False}, {"dtype": torch.complex128}
MACHINES = {
    "plain": {},
    "without biases": EVEN,
    "translations": SYMMETRIC,
    "translations, without biases": SYMMETRIC | EVEN,
    "complex": WIDE,
    "complex, translations": WIDE | SYMMETRIC,
    "complex, translations, without biases": WIDE | SYMMETRIC | EVEN,
}
machines = pytest.mark.parametrize("options", MACHINES.values(), ids=MACHINES.keys())
STATES = {name: lambda o=options: machine(**o) for name, options in MACHINES.items()} | {
    f"{kind.__name__} {name}": lambda k=kind, o=options: k(SITES, generator=dice(), device="cpu", **o)
    for kind in (MeanField, Jastrow)
    for name, options in (("real", {}), ("complex", WIDE))
}
states = pytest.mark.parametrize("make", STATES.values(), ids=STATES.keys())


def spins(count=20, sites=SITES):
    return 2.0 * torch.randint(2, (count, sites), generator=dice(2)).double() - 1


# What the states are


@machines
def test_hidden_units_summed_one_by_one(options):
    """psi = sum over h of exp(a s + b h + h W s)."""
    state = machine(**(options | {"permutations": None}))
    visible, hidden, weight = state.units()
    h = all_spins(4).to(weight)
    s = all_spins(SITES).to(weight)
    energies = (s @ visible)[:, None] + (h @ hidden)[None] + s @ weight.T @ h.T
    total = energies.exp().sum(1)
    torch.testing.assert_close(state(all_spins(SITES)).exp(), total, rtol=1e-12, atol=1e-12)


@machines
def test_units_make_a_machine_without_symmetry_that_is_the_same(options):
    state = machine(**options)
    visible, hidden, weight = state.units()
    count = 4 * (SITES if "permutations" in options else 1)
    assert (visible.shape, hidden.shape, weight.shape) == ((SITES,), (count,), (count, SITES))
    plain = RestrictedBoltzmannMachine.of(weight, visible, hidden)
    torch.testing.assert_close(plain(spins()), state(spins()), rtol=1e-13, atol=1e-13)


def test_filter_meets_the_permuted_spins():
    """theta_fg = b_f + sum_i w_fi s_g(i), with a group that is not commutative."""
    group = torch.tensor(list(itertools.permutations(range(3))))
    state = RestrictedBoltzmannMachine(3, 2, permutations=group, scale=0.5, generator=dice())
    s = torch.tensor([[1.0, -1.0, -1.0], [1.0, 1.0, -1.0]], dtype=torch.float64)
    theta = state.hidden_bias[:, None, None] + torch.einsum("fi,ngi->fgn", state.weight, s[:, group])
    expected = (2 * theta.cosh()).log().sum((0, 1))
    torch.testing.assert_close(state(s), expected, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(state(s.flip(1)), state(s), rtol=1e-13, atol=1e-13)


def test_mean_field_is_a_product():
    state = MeanField(SITES, generator=dice())
    expected = torch.stack([(state.field[i] * spins()[:, i]).exp() for i in range(SITES)]).prod(0)
    torch.testing.assert_close(state(spins()).exp(), expected)


def test_jastrow_is_a_sum_over_pairs():
    state = Jastrow(SITES, generator=dice())
    s = spins()
    expected = s @ state.field
    for value, (i, j) in zip(state.coupling, itertools.combinations(range(SITES), 2), strict=True):
        expected = expected + value * s[:, i] * s[:, j]
    torch.testing.assert_close(state(s), expected)


def test_machine_with_two_legs_a_unit_is_a_jastrow_state():
    """cosh(w (s + s')) depends on s s' only: J = (ln cosh 2w) / 2."""
    state = RestrictedBoltzmannMachine(SITES, 1, biases=False)
    with torch.no_grad():
        state.weight.zero_()[0, [1, 4]] = 0.7
    expected = math.log(2) + 0.5 * math.log(math.cosh(1.4)) * (1 + spins()[:, 1] * spins()[:, 4])
    torch.testing.assert_close(state(spins()), expected)


@states
def test_amplitude_is_the_exponential(make):
    state = make()
    torch.testing.assert_close(Amplitude(state)(spins()), state(spins()).exp())
    assert torch.equal(flatten(Amplitude(state)), flatten(state))


# Symmetries


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("lattice", [chain(6), square(3)])
def test_invariance_under_translations(lattice, dtype):
    state, s = on_a_lattice(lattice, dtype=dtype), spins(10, lattice.sites)
    for g in lattice.translations:
        torch.testing.assert_close(state(s[:, g]), state(s), rtol=1e-13, atol=1e-13)
    order = torch.arange(lattice.sites).roll(1)
    order[:2] = order[:2].flip(0)
    assert (state(s[:, order]) - state(s)).abs().max() > 1e-3


@machines
def test_spin_flip_is_a_symmetry_without_biases_only(options):
    state = machine(**options)
    change = (state(-spins()) - state(spins())).abs().max()
    if options.get("biases", True):
        assert change > 1e-2
    else:
        assert change < 1e-13


# Derivatives


@states
def test_derivatives_are_finite_differences(make):
    """Along the real axis for all, and along the imaginary one too where the parameters are complex."""
    state = make()
    params = flatten(state)
    found = state.derivatives(spins())
    assert found.shape == (20, len(params))
    for unit in [1.0] + ([1j] if params.is_complex() else []):
        for k in range(len(params)):
            ends = []
            for step in (1e-5, -1e-5):
                moved = params.clone()
                moved[k] += step * unit
                assign(state, moved)
                ends.append(state(spins()).detach())
            slope = (ends[0] - ends[1]) / 2e-5
            torch.testing.assert_close(unit * found[:, k], slope.to(found.dtype), rtol=1e-7, atol=1e-9)
    assign(state, params)


@machines
def test_closed_form_is_what_the_base_class_would_compute(options):
    state = machine(**options)
    torch.testing.assert_close(state.derivatives(spins()), LogState.derivatives(state, spins()))


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("lattice", [chain(3), chain(8), chain(9), square(3), square(4)], ids=repr)
def test_derivatives_with_translations_are_sums_over_them(lattice, dtype):
    """By Fourier transform; the same permutations in another order are summed directly."""
    known = on_a_lattice(lattice, dtype=dtype)
    other = on_a_lattice(lattice, dtype=dtype, permutations=lattice.translations.flip(0))
    s = spins(10, lattice.sites)
    torch.testing.assert_close(known.derivatives(s), other.derivatives(s), rtol=1e-12, atol=1e-12)


# Parameters


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 4 * 6 + 4 + 6),
        ({"biases": False}, 24),
        ({"permutations": RING}, 24 + 4),
        ({"permutations": RING, "biases": False}, 24),
    ],
)
def test_number_of_parameters(options, count):
    assert len(flatten(machine(**options))) == count


@pytest.mark.parametrize("scale", [0.02, 0.5])
def test_scale_is_the_standard_deviation_of_the_start(scale):
    params = flatten(RestrictedBoltzmannMachine(50, 50, scale=scale, generator=dice()))
    assert params.std().item() == pytest.approx(scale, rel=5 / math.sqrt(2 * len(params)))


@states
def test_states_follow_their_parameters(make, elsewhere):
    state = make().float() if not flatten(make()).is_complex() else make()
    s = all_spins(SITES, device="cpu")
    assert state(s).dtype == state.derivatives(s).dtype == flatten(state).dtype


# Larger lattices


@pytest.mark.parametrize("options", [{}, {"biases": False}, {"dtype": torch.complex128}])
@pytest.mark.parametrize(("smaller", "larger"), [(chain(6), chain(6)), (square(3), square(3))])
def test_lattice_that_is_no_larger_has_the_same_state(smaller, larger, options):
    state, s = on_a_lattice(smaller, **options), spins(10, smaller.sites)
    torch.testing.assert_close(enlarge(state, smaller, larger)(s), state(s), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("options", [{}, {"biases": False}, {"dtype": torch.complex128}])
@pytest.mark.parametrize(
    ("smaller", "larger"), [(chain(6), chain(9)), (chain(5), chain(12)), (square(3), square(4))]
)
def test_larger_lattice_has_the_same_state_a_site(smaller, larger, options):
    """All spins up: each hidden unit sees the sum of its filter."""
    state = on_a_lattice(smaller, **options)
    grown = enlarge(state, smaller, larger)
    assert len(flatten(grown)) == len(flatten(state)) + 3 * (larger.sites - smaller.sites)
    assert flatten(grown).dtype == flatten(state).dtype
    few, many = (state.weight.new_ones(1, n).real for n in (smaller.sites, larger.sites))
    torch.testing.assert_close(grown(many) / larger.sites, state(few) / smaller.sites)
    torch.testing.assert_close(grown.weight.norm(dim=1), state.weight.norm(dim=1))


def test_larger_lattice_has_the_same_local_state():
    """Filters of three neighbours, off centre: a period of four spins looks alike on rings of 8 and 12."""
    small, large = chain(8), chain(12)
    state = on_a_lattice(small)
    with torch.no_grad():
        state.weight[:, 1:6] = 0
        state.weight[:, 7] *= 3  # the largest, so that 6, 7 and 0 are neighbours around it
    period = torch.tensor([1.0, 1.0, -1.0, 1.0])
    grown = enlarge(state, small, large)
    torch.testing.assert_close(grown(period.repeat(1, 3)) / 12, state(period.repeat(1, 2)) / 8)


# The logarithm of 2 cosh


@settings(deadline=None, max_examples=200)
@given(st.integers(-800_000, 800_000))
def test_log_2cosh_of_real_numbers(thousandths):
    x = thousandths / 1000
    expected = np.logaddexp(x, -x)
    assert log_2cosh(torch.tensor(x, dtype=torch.float64)).item() == pytest.approx(expected, rel=1e-14)


@settings(deadline=None, max_examples=200)
@given(st.integers(-5000, 5000), st.integers(-9000, 9000))
def test_log_2cosh_of_complex_numbers(real, imaginary):
    z = complex(real / 1000, imaginary / 1000)
    found = log_2cosh(torch.tensor(z, dtype=torch.complex128)).exp().item()
    assert abs(found - 2 * np.cosh(z)) < 2e-14 * (1 + abs(np.cosh(z))) * (1 + abs(z))


@pytest.mark.parametrize("z", [1e6, -1e6, 500 + 2j, -500 - 2j, 1e300, -1e300, 800j + 300])
def test_log_2cosh_of_large_numbers(z):
    found = log_2cosh(torch.tensor(z, dtype=torch.complex128 if isinstance(z, complex) else torch.float64))
    assert found.item() == pytest.approx(z if z.real > 0 else -z, rel=1e-14)


@pytest.mark.parametrize("z", [0.0, 1e-8, 0.7, -800.0, 1e6, 0.3 + 0.4j, -0.3 + 0.4j, 2j, -600 + 1j])
def test_slope_of_log_2cosh_is_tanh(z):
    leaf = torch.tensor(z, dtype=torch.complex128 if isinstance(z, complex) else torch.float64)
    leaf.requires_grad_()
    (slope,) = torch.autograd.grad(log_2cosh(leaf).real, leaf)
    assert slope.conj().item() == pytest.approx(np.tanh(z), abs=1e-13)


# Errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MeanField(0), "sites: got 0, expected a whole number, at least 1"),
        (lambda: Jastrow(-2), "sites: got -2"),
        (lambda: RestrictedBoltzmannMachine(2.5, 3), "sites: got 2.5"),
        (lambda: RestrictedBoltzmannMachine(4, 0), "filters: got 0"),
        (lambda: machine(permutations=torch.arange(6)), r"permutations: .* of shape \(6,\), expected whole"),
        (lambda: machine(permutations=torch.zeros(5, 7)), r"permutations: got torch.float32 of shape \(5"),
        (lambda: machine(permutations=RING + 1), "permutations: got numbers from 1 to 6, expected 0 to 5"),
        (lambda: machine(permutations=RING % 5), "permutations: got a row with a site twice"),
        (
            lambda: RestrictedBoltzmannMachine.of(torch.ones(4, 4), torch.ones(4, 1), torch.ones(4)),
            r"visible_bias: got shape \(4, 1\), expected \(4,\)",
        ),
        (lambda: machine()(torch.zeros(3, 6)), r"spins: got 0, expected \+1 or -1"),
        (lambda: Jastrow(6)(torch.ones(3, 7)), r"spins: got shape \(3, 7\), expected \(..., 6\)"),
        (
            lambda: RestrictedBoltzmannMachine.of(torch.ones(3, 2), torch.ones(2), torch.ones(2)),
            r"hidden_bias: got shape \(2,\), expected \(3,\)",
        ),
        (
            lambda: enlarge(machine(permutations=RING), chain(8), chain(12)),
            "6 permutations, expected the 8",
        ),
        (lambda: enlarge(machine(), chain(6), chain(12)), "machine: got one of 6 sites and 1 permutations"),
        (lambda: enlarge(machine(permutations=RING), chain(6), chain(5)), r"larger: got shape \(5,\)"),
        (lambda: enlarge(machine(permutations=RING), chain(6), square(4)), r"as large as \(6,\)"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()

"""Chains of spins: the two kinds of walkers against each other and against enumeration, log cosh, errors."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import nnbook
from nnbook.quantum_states import RestrictedBoltzmannMachine
from nnbook.sample.metropolis import metropolis
from nnbook.spins import walkers as spin_walkers
from nnbook.spins.hamiltonians import chain, heisenberg, ising, square
from nnbook.spins.walkers import HiddenUnitWalkers, SpinWalkers, log_cosh, rbm_log_psi
from nnbook.train.sampled import random_spins

MODELS = {"flips": ising(chain(8), field=1.0), "exchanges": heisenberg(chain(8))}
models = pytest.mark.parametrize("h", MODELS.values(), ids=MODELS.keys())
dtypes = pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=["real", "complex"])


@pytest.fixture(autouse=True, scope="module")
def _as_in_a_chapter():
    nnbook.start(seed=1, device="cpu", quiet=True)


def dice(seed=1):
    return torch.Generator().manual_seed(seed)


def machine(sites=8, units=12, dtype=torch.float64, scale=0.4, seed=1):
    """Visible biases, hidden biases and weights."""
    generator = dice(seed)
    shapes = (sites,), (units,), (units, sites)
    return [scale * torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]


def some(h, chains, seed=1):
    """Configurations of the model's basis, some of them more than once."""
    return h.basis[torch.randint(len(h.basis), (chains,), generator=dice(seed))]


def both(h, chains=50, **options):
    """Walkers of a machine that know it and walkers that do not, in the same places."""
    units = machine(h.sites, **options)
    spins = some(h, chains)
    generic = SpinWalkers(lambda s: rbm_log_psi(*units, s), spins, h.moves)
    return HiddenUnitWalkers(*units, spins, h.moves), generic


# The two kinds against each other


@models
@dtypes
def test_ratios_are_those_of_the_wave_function(h, dtype):
    units = machine(dtype=dtype)
    index = {tuple(s): i for i, s in enumerate(h.basis.tolist())}
    psi = rbm_log_psi(*units, h.basis).exp()
    known, generic = (
        HiddenUnitWalkers(*units, h.basis, h.moves),
        SpinWalkers(lambda s: rbm_log_psi(*units, s), h.basis, h.moves),
    )
    for m, sites in enumerate(h.moves):
        there = h.basis.clone()
        there[:, sites] *= -1
        possible = h.elements(h.basis)[:, m] != 0
        reached = torch.tensor([index[tuple(s)] for s in there[possible].tolist()])
        expected = (psi[reached] / psi[possible]).to(dtype)
        for walkers in (known, generic):
            torch.testing.assert_close(walkers.ratios()[possible, m], expected, rtol=1e-11, atol=1e-13)


@models
@dtypes
def test_proposals_of_both_kinds_are_the_same(h, dtype):
    known, generic = both(h, dtype=dtype)
    torch.testing.assert_close(
        known.propose(dice(5)), generic.propose(dice(5)), rtol=1e-10, atol=1e-12, check_dtype=False
    )


@models
@dtypes
def test_both_kinds_go_the_same_way_for_many_moves(h, dtype):
    known, generic = both(h, dtype=dtype)
    generator = dice(3)
    moved = 0
    for step in range(300):
        one, two = known.propose(dice(step)), generic.propose(dice(step))
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-11)
        accepted = (torch.rand(len(one), generator=generator) < 0.7) & (one > -math.inf)
        known.accept(accepted)
        generic.accept(accepted)
        moved += accepted.sum()
        assert torch.equal(known.configurations, generic.configurations)
    assert moved > 4000
    possible = h.elements(known.configurations) != 0
    torch.testing.assert_close(known.ratios()[possible], generic.ratios()[possible], rtol=1e-10, atol=1e-12)


@models
@dtypes
def test_hidden_units_stay_right_without_being_computed_anew(h, dtype):
    known, _ = both(h, dtype=dtype, scale=0.2)
    for step in range(1000):
        known._age = 0
        log_ratio = known.propose(dice(step))
        known.accept(torch.rand(50, generator=dice(step)).log() < log_ratio)
    carried = known._up.clone(), known._down.clone()
    known.refresh()
    torch.testing.assert_close(carried, (known._up, known._down), rtol=1e-9, atol=1e-10)


@models
def test_metropolis_moves_both_kinds_alike(h):
    known, generic = both(h)
    runs = [metropolis(w, samples=20, sweep=8, generator=dice()) for w in (known, generic)]
    assert torch.equal(runs[0].samples, runs[1].samples)
    assert runs[0].acceptance == runs[1].acceptance


def test_large_weights_lose_no_digits():
    """Hidden fields of some 60, whose hyperbolic tangent is one to all digits."""
    h = ising(chain(8), field=1.0)
    known, generic = both(h, scale=10.0)
    assert known._down.min() < 1e-50
    for step in range(50):
        (a, b) = (w.propose(dice(step)) for w in (known, generic))
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
        accepted = torch.rand(len(a), generator=dice(step)) < 0.5
        for walkers in (known, generic):
            walkers.accept(accepted)
    torch.testing.assert_close(known.ratios().log(), generic.ratios().log(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("dtype", "weight"), [(torch.float32, 3.0), (torch.float64, 25.0)])
def test_weights_of_one_sign_stay_in_the_range_of_floats(dtype, weight):
    """A ratio of about one, from factors that are multiplied by exp(2 weight) 20 times."""
    h = ising(chain(20), field=1.0)
    biases = 30 * weight * torch.tensor([1.0, -1.0]).repeat_interleave(10)
    units = [0.1 * torch.ones(20), biases, torch.full((20, 20), weight)]
    assert not (2 * weight * 20 * torch.ones((), dtype=dtype)).exp().isfinite()
    spins = random_spins(h, 10, generator=dice())
    known = HiddenUnitWalkers(*[u.to(dtype) for u in units], spins, h.moves)
    generic = SpinWalkers(lambda s: rbm_log_psi(*[u.double() for u in units], s), spins, h.moves)
    for step in range(20):
        a, b = (w.propose(dice(step)) for w in (known, generic))
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-4)
        assert b.abs().max() < 1
        for walkers in (known, generic):
            walkers.accept(a > -math.inf)


@pytest.mark.parametrize(("dtype", "weight"), [(torch.float32, 3.0), (torch.float64, 25.0)])
def test_huge_weights_that_cancel_are_not_lost_in_a_product(dtype, weight):
    """Half of the factors are tiny and half of them huge: a product in their order would be zero."""
    h = ising(chain(8), field=1.0)
    state = RestrictedBoltzmannMachine(8, 40, dtype=dtype)
    with torch.no_grad():
        state.weight.fill_(weight)
        state.hidden_bias.copy_(12 * weight * torch.tensor([1.0, -1.0]).repeat_interleave(20))
        state.visible_bias.fill_(0.1)
    assert not spin_walkers.in_range(state.weight, h.moves)
    ratios = state.walkers(h.basis.to(dtype), h.moves).ratios()
    torch.testing.assert_close(ratios.double(), (-0.2 * h.basis).exp(), rtol=0.02, atol=0)


def test_usual_weights_are_in_range():
    h = heisenberg(square(10))
    state = RestrictedBoltzmannMachine(100, 4, permutations=h.lattice.translations, scale=0.05)
    assert spin_walkers.in_range(state.units()[2], h.moves)
    assert type(state.walkers(random_spins(h, 2, generator=dice()), h.moves)) is HiddenUnitWalkers


def test_ratios_in_blocks_are_the_same(monkeypatch):
    h = heisenberg(square(4))
    known, generic = both(h, chains=20)
    whole = [w.ratios() for w in (known, generic)]
    monkeypatch.setitem(spin_walkers.BLOCK, "cpu", 1000)
    parts = [w.ratios() for w in (known, generic)]
    for a, b in zip(whole, parts, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-13, atol=0)


@models
def test_wave_function_with_large_weights(h):
    """Ratios over many orders of magnitude; they lose as many digits as cosh 2D is large."""
    known, generic = both(h, scale=1.0)
    possible = h.elements(known.configurations) != 0
    one, two = known.ratios()[possible], generic.ratios()[possible]
    assert two.max() / two.min() > 1e6
    torch.testing.assert_close(one, two, rtol=1e-6, atol=0)


# Moves


@models
@dtypes
def test_accepting_nothing_changes_nothing(h, dtype):
    for walkers in both(h, dtype=dtype):
        before, ratios = walkers.configurations.clone(), walkers.ratios()
        walkers.propose(dice())
        walkers.accept(torch.zeros(50, dtype=torch.bool))
        assert torch.equal(walkers.configurations, before)
        torch.testing.assert_close(walkers.ratios(), ratios, rtol=1e-13, atol=0)


@models
def test_a_move_back_has_the_inverse_ratio(h):
    for walkers in both(h):
        there = walkers.propose(dice(7))
        walkers.accept(there > -math.inf)
        back = walkers.propose(dice(7))
        possible = there > -math.inf
        torch.testing.assert_close(back[possible], -there[possible], rtol=1e-11, atol=1e-12)
        assert bool((back[~possible] == -math.inf).all())


def test_exchange_of_parallel_spins_is_forbidden():
    h = heisenberg(chain(8))
    for walkers in both(h, chains=400):
        log_ratio = walkers.propose(dice())
        first, second = h.moves[walkers._move].T
        s, every = walkers.configurations, torch.arange(400)
        parallel = s[every, first] == s[every, second]
        assert torch.equal(log_ratio == -math.inf, parallel)
        assert 0 < parallel.sum() < 400


def test_magnetisation_is_conserved_by_exchanges():
    h = heisenberg(square(4))
    start = some(h, 200)
    for walkers in both(h, chains=200):
        samples = metropolis(walkers, samples=5, sweep=16, generator=dice()).samples
        assert not bool(samples.sum(-1).any())
        assert set(samples.unique().tolist()) == {-1.0, 1.0}
        assert not torch.equal(samples[-1], start)


@models
def test_start_is_copied(h):
    spins = some(h, 50)
    before = spins.clone()
    units = machine()
    for walkers in (
        HiddenUnitWalkers(*units, spins, h.moves),
        SpinWalkers(lambda s: rbm_log_psi(*units, s), spins, h.moves),
    ):
        metropolis(walkers, samples=2, sweep=8, generator=dice())
        assert torch.equal(spins, before)


@models
def test_every_move_is_proposed_as_often(h):
    _, walkers = both(h, chains=8000)
    walkers.propose(dice())
    counts = torch.bincount(walkers._move, minlength=len(h.moves)).double()
    expected = 8000 / len(h.moves)
    freedom = len(h.moves) - 1
    assert ((counts - expected) ** 2 / expected).sum() < freedom + 5 * math.sqrt(2 * freedom)


# What is sampled


@pytest.mark.parametrize("kind", ["known", "generic"])
@dtypes
@pytest.mark.parametrize("make", [lambda: ising(chain(6), field=1.0), lambda: heisenberg(chain(6))])
def test_frequencies_are_the_square_of_the_wave_function(make, dtype, kind):
    """Chi-square of the last configurations of independent chains."""
    h, chains = make(), 10_000
    units = machine(6, 5, dtype=dtype, scale=0.2)
    p = (2 * rbm_log_psi(*units, h.basis).real).softmax(0)
    spins = some(h, chains)
    if kind == "known":
        walkers = HiddenUnitWalkers(*units, spins, h.moves)
    else:
        walkers = SpinWalkers(lambda s: rbm_log_psi(*units, s), spins, h.moves)
    last = metropolis(walkers, samples=1, sweep=100, generator=dice()).samples[0]
    rows = ((h.basis[:, None] == last[None]).all(-1)).sum(1).double()
    assert rows.sum() == chains
    chi_square = ((rows - chains * p) ** 2 / (chains * p)).sum()
    freedom = len(p) - 1
    assert chi_square < freedom + 5 * math.sqrt(2 * freedom)
    assert p.max() / p.min() > 2


# The logarithm of cosh


@settings(deadline=None, max_examples=200)
@given(st.integers(-800_000, 800_000))
def test_log_cosh_of_real_numbers(thousandths):
    x = thousandths / 1000
    expected = np.logaddexp(x, -x) - math.log(2)
    assert log_cosh(torch.tensor(x, dtype=torch.float64)).item() == pytest.approx(
        expected, rel=1e-14, abs=1e-15
    )


@settings(deadline=None, max_examples=200)
@given(st.integers(-5000, 5000), st.integers(-9000, 9000))
def test_log_cosh_of_complex_numbers(real, imaginary):
    z = complex(real / 1000, imaginary / 1000)
    found = log_cosh(torch.tensor(z, dtype=torch.complex128)).exp().item()
    assert abs(found - np.cosh(z)) < 1e-14 * (1 + abs(np.cosh(z))) * (1 + abs(z))


@pytest.mark.parametrize("z", [1e6, -1e6, 500 + 2j, -500 - 2j, 1e300, -1e300, 800j + 300])
def test_log_cosh_of_large_numbers(z):
    dtype = torch.complex128 if isinstance(z, complex) else torch.float64
    found = log_cosh(torch.tensor(z, dtype=dtype)).item()
    expected = (z if z.real > 0 else -z) - math.log(2)
    assert found == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.complex128])
def test_log_cosh_keeps_shape_and_dtype(dtype):
    x = torch.zeros(2, 3, dtype=dtype)
    assert log_cosh(x).dtype == dtype
    assert log_cosh(x).shape == (2, 3)
    assert log_cosh(x).abs().max() < 1e-7


@pytest.mark.parametrize("x", [0.0, 1e-8, -1e-8, 0.7, -3.0, 50.0, -800.0, 1e6])
def test_slope_of_log_cosh_is_tanh(x):
    leaf = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(log_cosh(leaf), leaf, create_graph=True)
    assert slope.item() == pytest.approx(math.tanh(x), abs=1e-15)
    (bend,) = torch.autograd.grad(slope, leaf)
    assert bend.item() == pytest.approx(1 - math.tanh(x) ** 2, abs=1e-14)


@pytest.mark.parametrize("z", [0j, 0.3 + 0.4j, -0.3 + 0.4j, 2j, -600 + 1j, 600 - 3j])
def test_slope_of_complex_log_cosh_is_tanh(z):
    leaf = torch.tensor(z, dtype=torch.complex128, requires_grad=True)
    (slope,) = torch.autograd.grad(log_cosh(leaf).real, leaf)
    assert slope.conj().item() == pytest.approx(complex(np.tanh(z)), abs=1e-13)


# Errors


@pytest.mark.parametrize("shape", [(8,), (0, 8), (2, 3, 8)])
def test_spins_of_the_wrong_shape_are_named(shape):
    h, units = MODELS["flips"], machine()
    text = str(shape).replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ValueError, match=rf"spins: got shape {text}, expected \(chains, sites\)"):
        SpinWalkers(lambda s: rbm_log_psi(*units, s), torch.ones(shape), h.moves)
    with pytest.raises(ValueError, match=rf"spins: got shape {text}, expected \(chains, sites\)"):
        HiddenUnitWalkers(*units, torch.ones(shape), h.moves)

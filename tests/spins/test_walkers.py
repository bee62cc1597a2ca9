"""Chains of spins: the two kinds of walkers against each other and against enumeration."""

import math

import pytest
import torch

from nnbook.networks import assign
from nnbook.sample.metropolis import metropolis
from nnbook.spins import walkers as module
from nnbook.spins.hamiltonians import heisenberg, ising
from nnbook.spins.lattices import chain, square
from nnbook.spins.states import Amplitude, Jastrow, MeanField, RestrictedBoltzmannMachine
from nnbook.spins.walkers import HALF, HiddenUnitWalkers, SpinWalkers, moves_in_range, walkers_of

MODELS = {"flips": ising(chain(8), field=1.0), "exchanges": heisenberg(chain(8))}
models = pytest.mark.parametrize("h", MODELS.values(), ids=MODELS.keys())
dtypes = pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=["real", "complex"])


def dice(seed=1):
    return torch.Generator().manual_seed(seed)


def both(h, spins=50, units=12, scale=0.4, **options):
    """Walkers of a machine that know it and walkers that do not, in the same places."""
    state = RestrictedBoltzmannMachine(h.sites, units, scale=scale, generator=dice(), **options)
    start = h.start(spins, generator=dice()) if isinstance(spins, int) else spins
    return state, HiddenUnitWalkers(state, start, h.moves), SpinWalkers(state, start, h.moves)


# The two kinds against each other


@models
@dtypes
def test_ratios_are_those_of_the_wave_function(h, dtype):
    state, *walkers = both(h, h.basis, dtype=dtype)
    index = {tuple(s): i for i, s in enumerate(h.basis.tolist())}
    psi = state(h.basis).detach().exp()
    for m, sites in enumerate(h.moves):
        there = h.basis.clone()
        there[:, sites] *= -1
        possible = h.elements(h.basis)[:, m] != 0
        target = torch.tensor([index[tuple(s)] for s in there[possible].tolist()])
        for each in walkers:
            found = each.ratios()[possible, m]
            torch.testing.assert_close(found, psi[target] / psi[possible], rtol=1e-11, atol=1e-13)


@models
@dtypes
def test_both_kinds_go_the_same_way_for_many_moves(h, dtype):
    _, known, generic = both(h, dtype=dtype)
    moved, generator = 0, dice(3)
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
@pytest.mark.parametrize(
    ("dtype", "scale"), [(torch.float64, 0.4), (torch.float64, 3.0), (torch.complex128, 0.4)]
)
def test_proposals_in_half_precision_go_the_same_way(h, dtype, scale):
    state, _, generic = both(h, dtype=dtype, scale=scale)
    half = HiddenUnitWalkers(state, generic.configurations, h.moves, proposals=HALF[dtype])
    count = moves_in_range(state.units()[2], h.moves, HALF[dtype])
    assert 8 < count <= 16 if scale < 1 else 1 <= count < 4
    for step in range(300):
        one, two = half.propose(dice(step)), generic.propose(dice(step))
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-4)
        accepted = (two > -2) & (two > -math.inf)
        half.accept(accepted)
        generic.accept(accepted)
    possible = h.elements(half.configurations) != 0
    torch.testing.assert_close(half.ratios()[possible], generic.ratios()[possible], rtol=1e-9, atol=1e-12)


@models
def test_metropolis_moves_both_kinds_alike(h):
    runs = [metropolis(w, samples=20, sweep=8, generator=dice()) for w in both(h)[1:]]
    assert torch.equal(runs[0].samples, runs[1].samples)
    assert runs[0].acceptance == runs[1].acceptance


def test_large_weights_lose_no_digits():
    """Hidden fields of some 60, whose hyperbolic tangent is one to all digits."""
    state, known, generic = both(MODELS["flips"], scale=10.0)
    assert (known.configurations @ state.weight.T).abs().max() > 60
    for step in range(50):
        (a, b) = (w.propose(dice(step)) for w in (known, generic))
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
        accepted = torch.rand(len(a), generator=dice(step)) < 0.5
        for walkers in (known, generic):
            walkers.accept(accepted)
    torch.testing.assert_close(known.ratios().log(), generic.ratios().log(), rtol=1e-10, atol=1e-10)


def leaning(dtype, sites, units, weight, bias):
    """All weights of one sign; half of the hidden units have a large positive, half a large negative bias."""
    biases = bias * weight * torch.tensor([1.0, -1.0]).repeat_interleave(units // 2)
    parts = torch.full((units, sites), weight), torch.full((sites,), 0.1), biases
    return RestrictedBoltzmannMachine.of(*(part.to(dtype) for part in parts))


@pytest.mark.parametrize(("dtype", "weight"), [(torch.float32, 3.0), (torch.float64, 25.0)])
def test_weights_of_one_sign_stay_in_the_range_of_floats(dtype, weight):
    """A ratio of about one, from factors that are multiplied by exp(2 weight) 20 times."""
    h = ising(chain(20), field=1.0)
    assert not (2 * weight * 20 * torch.ones((), dtype=dtype)).exp().isfinite()
    spins = h.start(10, generator=dice())
    known = HiddenUnitWalkers(leaning(dtype, 20, 20, weight, 30), spins, h.moves)
    generic = SpinWalkers(leaning(torch.float64, 20, 20, weight, 30), spins, h.moves)
    for step in range(20):
        a, b = (w.propose(dice(step)) for w in (known, generic))
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-4)
        assert b.abs().max() < 1
        for walkers in (known, generic):
            walkers.accept(a > -math.inf)


@pytest.mark.parametrize(("dtype", "weight"), [(torch.float32, 3.0), (torch.float64, 25.0)])
def test_huge_weights_that_cancel_are_not_lost_in_a_product(dtype, weight):
    """Half of the factors are tiny and half of them huge: a product in their order would be zero."""
    h, state = MODELS["flips"], leaning(dtype, 8, 40, weight, 12)
    walkers = walkers_of(state, h.basis.to(dtype), h.moves)
    assert type(walkers) is SpinWalkers
    torch.testing.assert_close(walkers.ratios().double(), (-0.2 * h.basis).exp(), rtol=0.02, atol=0)


@pytest.mark.parametrize(
    ("dtype", "scale"), [(torch.float64, 20.0), (torch.float64, 200.0), (torch.float32, 8.0)]
)
def test_ratios_stay_right_where_tanh_is_one_to_the_last_digit(dtype, scale):
    """cosh(scale) = cosh(-scale), but tanh has forgotten how large its argument was."""
    state = RestrictedBoltzmannMachine(5, 1, dtype=dtype)
    assign(state, torch.tensor([*5 * [scale], 0.0, *5 * [0.0]], dtype=dtype))
    one_up = torch.tensor([[1.0, 1.0, 1.0, -1.0, -1.0]], dtype=torch.float64)
    ratios = walkers_of(state, one_up, ising(chain(5), field=1.0).moves).ratios()
    torch.testing.assert_close(ratios[0, :3], torch.ones(3), rtol=1e-5, atol=0, check_dtype=False)


@models
def test_ratios_in_blocks_are_the_same(h, monkeypatch):
    _, *both_kinds = both(h, 20)
    whole = [w.ratios() for w in both_kinds]
    monkeypatch.setitem(module.BLOCK, "cpu", 1000)
    for walkers, ratios in zip(both_kinds, whole, strict=True):
        torch.testing.assert_close(walkers.ratios(), ratios, rtol=1e-13, atol=0)


def test_states_get_the_fastest_walkers_there_are():
    h, start = heisenberg(square(4)), heisenberg(square(4)).start(2, generator=dice())
    for options in ({}, {"dtype": torch.complex128}, {"permutations": h.lattice.translations}):
        state = RestrictedBoltzmannMachine(16, 4, scale=0.05, **options)
        walkers = walkers_of(state, start, h.moves)
        assert type(walkers) is HiddenUnitWalkers
        ratios, possible = SpinWalkers(state, start, h.moves).ratios(), h.elements(start) != 0
        torch.testing.assert_close(walkers.ratios()[possible], ratios[possible], rtol=1e-11, atol=1e-12)
    for state in (MeanField(16), Jastrow(16), Amplitude(RestrictedBoltzmannMachine(16, 4))):
        walkers = walkers_of(state, start, h.moves)
        assert type(walkers) is SpinWalkers
        assert not walkers.ratios().requires_grad


# Moves


@models
@dtypes
def test_accepting_nothing_changes_nothing(h, dtype):
    for walkers in both(h, dtype=dtype)[1:]:
        before, ratios = walkers.configurations.clone(), walkers.ratios()
        walkers.propose(dice())
        walkers.accept(torch.zeros(50, dtype=torch.bool))
        assert torch.equal(walkers.configurations, before)
        torch.testing.assert_close(walkers.ratios(), ratios, rtol=1e-13, atol=0)


@models
def test_a_move_back_has_the_inverse_ratio(h):
    for walkers in both(h)[1:]:
        there = walkers.propose(dice(7))
        possible = there > -math.inf
        walkers.accept(possible)
        back = walkers.propose(dice(7))
        torch.testing.assert_close(back[possible], -there[possible], rtol=1e-11, atol=1e-12)
        assert bool((back[~possible] == -math.inf).all())


def test_magnetisation_is_conserved_by_exchanges_and_the_start_is_copied():
    h = heisenberg(square(4))
    start = h.start(200, generator=dice())
    before = start.clone()
    for walkers in both(h, start)[1:]:
        samples = metropolis(walkers, samples=5, sweep=16, generator=dice()).samples
        assert not bool(samples.sum(-1).any())
        assert set(samples.unique().tolist()) == {-1.0, 1.0}
        assert not torch.equal(samples[-1], start)
    assert torch.equal(start, before)


def test_every_move_is_proposed_as_often():
    _, _, walkers = both(MODELS["flips"], 8000)
    before = walkers.configurations.clone()
    walkers.propose(dice())
    walkers.accept(torch.ones(8000, dtype=torch.bool))
    counts = (walkers.configurations != before).sum(0)
    assert counts.sum() == 8000
    assert ((counts - 1000) ** 2 / 1000).sum() < 7 + 5 * math.sqrt(14)


# What is sampled


@pytest.mark.parametrize("kind", [1, 2, 3], ids=["known", "generic", "half precision"])
@dtypes
@pytest.mark.parametrize("h", [ising(chain(6), field=1.0), heisenberg(chain(6))], ids=MODELS)
def test_frequencies_are_the_square_of_the_wave_function(h, dtype, kind):
    """Chi-square of the last configurations of independent chains."""
    chains, walkers = 10_000, [*both(h, 10_000, units=5, dtype=dtype, scale=0.2)]
    walkers.append(walkers_of(walkers[0], walkers[1].configurations, h.moves))
    p = (2 * walkers[0](h.basis).detach().real).softmax(0)
    last = metropolis(walkers[kind], samples=1, sweep=100, generator=dice()).samples[0]
    rows = ((h.basis[:, None] == last[None]).all(-1)).sum(1).double()
    assert rows.sum() == chains
    chi_square = ((rows - chains * p) ** 2 / (chains * p)).sum()
    freedom = len(p) - 1
    assert chi_square < freedom + 5 * math.sqrt(2 * freedom)
    assert p.max() / p.min() > 2


@models
@dtypes
def test_walkers_follow_their_spins(h, dtype, elsewhere):
    spins = h.start(20, generator=dice(), device="cpu")
    for walkers in both(h, spins, dtype=dtype, device="cpu")[1:]:
        metropolis(walkers, samples=2, sweep=9, generator=dice())
        assert walkers.ratios().device == spins.device


@pytest.mark.parametrize("shape", [(8,), (0, 8), (2, 3, 8)])
@pytest.mark.parametrize("kind", [SpinWalkers, HiddenUnitWalkers])
def test_spins_of_the_wrong_shape_are_named(kind, shape):
    with pytest.raises(ValueError, match=r"spins: got shape \(.*\), expected \(chains, sites\)"):
        kind(RestrictedBoltzmannMachine(8, 2), torch.ones(shape), MODELS["flips"].moves)

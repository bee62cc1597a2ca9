"""The Metropolis rule: stationary distributions, detailed balance, acceptance, determinism, errors."""

import math

import pytest
import torch

from nnbook.sample.metropolis import metropolis
from nnbook.spins.hamiltonians import heisenberg
from nnbook.spins.lattices import chain
from nnbook.spins.states import RestrictedBoltzmannMachine
from nnbook.spins.walkers import HiddenUnitWalkers, SpinWalkers

P = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)


def dice(seed=1):
    return torch.Generator().manual_seed(seed)


class ThreeStates:
    """Numbers 0, 1, 2 on a ring, with probabilities p; a step goes to one of the two others."""

    def __init__(self, start, p=P):
        self.at, self.log_p = start.clone(), p.log()

    @property
    def configurations(self):
        return self.at

    def propose(self, generator):
        step = 1 + torch.randint(2, self.at.shape, generator=generator)
        self.to = (self.at + step) % 3
        return self.log_p[self.to] - self.log_p[self.at]

    def accept(self, accepted):
        self.at = torch.where(accepted, self.to, self.at)


class Gaussian:
    """Points x of the density exp(-x^2 / 2), up to a constant, that take uniform steps in place."""

    def __init__(self, chains, width=3.0):
        self.x, self.width = torch.full((chains, 1), 2.0, dtype=torch.float64), width

    @property
    def configurations(self):
        return self.x

    def propose(self, generator):
        draw = torch.rand(self.x.shape, generator=generator, dtype=torch.float64)
        self.step = self.width * (2 * draw - 1)
        return ((self.x**2 - (self.x + self.step) ** 2) / 2)[:, 0]

    def accept(self, accepted):
        self.x += self.step * accepted[:, None]


class Fixed:
    """Every proposal has the same ratio; the configuration counts what was accepted."""

    def __init__(self, log_ratio, chains=100):
        self.log_ratio, self.count = log_ratio, torch.zeros(chains, dtype=torch.int64)

    @property
    def configurations(self):
        return self.count

    def propose(self, generator):
        return torch.full((len(self.count),), self.log_ratio, dtype=torch.float64)

    def accept(self, accepted):
        self.count += accepted


def stationary(chains, seed=2):
    """Chains that start in their distribution."""
    return torch.multinomial(P, chains, replacement=True, generator=dice(seed))


# Distributions


def test_independent_chains_forget_their_start_and_are_distributed_as_they_should():
    walkers = ThreeStates(torch.zeros(30_000, dtype=torch.int64))
    last = metropolis(walkers, samples=1, sweep=40, generator=dice()).samples[0]
    counts = torch.bincount(last, minlength=3)
    chi_square = ((counts - 30_000 * P) ** 2 / (30_000 * P)).sum()
    assert chi_square < 2 + 5 * 2  # two degrees of freedom: mean 2, variance 4


def test_stationary_distribution_of_one_step_is_exact():
    """From each state i a fraction min(1, p_j / p_i) / 2 goes to each other state j."""
    chains = 40_000
    for i in range(3):
        walkers = ThreeStates(torch.full((chains,), i))
        metropolis(walkers, samples=1, sweep=1, generator=dice(i))
        fraction = torch.bincount(walkers.at, minlength=3) / chains
        expected = (P / P[i]).clamp(max=1) / 2
        expected[i] += 1 - expected.sum()
        sigma = (expected * (1 - expected) / chains).sqrt()
        assert bool(((fraction - expected).abs() <= 5 * sigma).all())


def test_detailed_balance():
    """As many chains go from i to j as from j to i, once they are distributed as they should."""
    start = stationary(60_000)
    walkers = ThreeStates(start)
    metropolis(walkers, samples=1, sweep=1, generator=dice())
    flow = torch.bincount(3 * start + walkers.at, minlength=9).view(3, 3)
    net, total = flow - flow.T, flow + flow.T
    assert bool((net.abs() <= 5 * total.sqrt()).all())
    assert bool((flow + torch.eye(3) > 0).all())


def test_acceptance_is_the_mean_probability_of_going():
    result = metropolis(ThreeStates(stationary(20_000)), samples=2, sweep=1, generator=dice())
    ratio = (P / P[:, None]).clamp(max=1)
    expected = ((P[:, None] * ratio).sum() - 1) / 2  # the two other states, without staying
    assert result.acceptance == pytest.approx(expected.item(), abs=5 * math.sqrt(0.25 / 40_000))


def test_moments_of_a_gaussian():
    walkers = Gaussian(40_000)
    x = metropolis(walkers, samples=1, sweep=40, generator=dice()).samples[0, :, 0]
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (4, 3, 96), (6, 15, 10170)):
        assert (x**power).mean().item() == pytest.approx(moment, abs=5 * math.sqrt(variance / len(x)))


def test_norm_of_the_distribution_does_not_matter():
    start = stationary(1000)
    one = metropolis(ThreeStates(start), samples=5, sweep=3, generator=dice())
    two = metropolis(ThreeStates(start, 1024 * P), samples=5, sweep=3, generator=dice())
    assert torch.equal(one.samples, two.samples)


def test_proposals_uphill_are_always_accepted_and_forbidden_ones_never():
    assert metropolis(Fixed(0.0), samples=3, sweep=7, generator=dice()).acceptance == 1
    assert metropolis(Fixed(5.0), samples=3, sweep=7, generator=dice()).acceptance == 1
    forbidden = Fixed(-math.inf)
    assert metropolis(forbidden, samples=3, sweep=7, generator=dice()).acceptance == 0
    assert not forbidden.count.any()


def test_ratio_that_is_not_a_number_is_not_accepted():
    assert metropolis(Fixed(math.nan), samples=3, sweep=7, generator=dice()).acceptance == 0


def test_unlikely_proposals_are_not_accepted():
    """In single precision one draw of 2^24 is exactly zero, which lets everything pass: so with this seed."""
    unlikely = Fixed(-60.0, chains=2**20)
    metropolis(unlikely, samples=1, sweep=1, generator=dice(12))
    assert not unlikely.count.any()


# What all walkers have to obey

H = heisenberg(chain(6))
MACHINE = RestrictedBoltzmannMachine(6, 4, scale=0.3, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("walkers", "log_p", "digits"),
    [
        (ThreeStates(stationary(200)), lambda x: P.log()[x], 9),
        (Gaussian(200), lambda x: -x[:, 0].square() / 2, 9),
        (SpinWalkers(MACHINE, H.basis, H.moves), lambda s: 2 * MACHINE(s).detach(), 9),
        (HiddenUnitWalkers(MACHINE, H.basis, H.moves), lambda s: 2 * MACHINE(s).detach(), 9),
        (H.walkers(MACHINE, H.basis), lambda s: 2 * MACHINE(s).detach(), 5),
    ],
    ids=["ring", "Gaussian", "any state", "hidden units", "in half precision"],
)
def test_walkers_obey_the_contract(walkers, log_p, digits):
    generator = dice(4)
    for _ in range(20):
        before = walkers.configurations.clone()
        log_ratio = walkers.propose(generator)
        torch.testing.assert_close(walkers.configurations, before)  # nothing has moved yet
        accepted = torch.rand(len(before), generator=generator) < log_ratio.exp()
        walkers.accept(accepted)
        after = walkers.configurations
        assert torch.equal(after[~accepted], before[~accepted])
        gain = log_p(after) - log_p(before)
        small = 10.0**-digits
        torch.testing.assert_close(gain[accepted], log_ratio[accepted].to(gain), rtol=small, atol=small)


# Looks at the chains


def test_observations_belong_to_the_samples():
    """Walkers move on; what was observed was true at the look."""
    seen = metropolis(
        Gaussian(50), samples=4, sweep=3, warm_up=2, generator=dice(), observe=lambda w: w.x[:, 0] ** 2
    )
    torch.testing.assert_close(seen.observed, seen.samples[..., 0] ** 2)
    assert metropolis(Gaussian(5), samples=1, sweep=1, generator=dice()).observed is None


def test_shapes():
    one = metropolis(ThreeStates(stationary(7)), samples=5, sweep=3, generator=dice())
    assert one.samples.shape == (5, 7)
    two = metropolis(Gaussian(4), samples=2, sweep=3, generator=dice())
    assert two.samples.shape == (2, 4, 1)
    assert repr(one) == f"Chains(acceptance={one.acceptance})"


def test_looks_are_one_sweep_apart():
    result = metropolis(Fixed(0.0), samples=4, sweep=6, warm_up=2, generator=dice())
    assert result.samples[:, 0].tolist() == [18, 24, 30, 36]


def test_warm_up_is_not_counted_among_the_accepted():
    class Tired(Fixed):
        def propose(self, generator):
            self.calls = getattr(self, "calls", 0) + 1
            self.log_ratio = 0.0 if self.calls > 10 else -math.inf
            return super().propose(generator)

    assert metropolis(Tired(0.0), samples=1, sweep=5, warm_up=2, generator=dice()).acceptance == 1


def test_second_call_goes_on_where_the_first_stopped():
    whole, generator = Gaussian(50), dice()
    at_once = metropolis(whole, samples=6, sweep=3, generator=generator)
    parts, generator = Gaussian(50), dice()
    first = metropolis(parts, samples=2, sweep=3, generator=generator)
    second = metropolis(parts, samples=3, sweep=3, warm_up=1, generator=generator)
    assert torch.equal(at_once.samples[:2], first.samples)
    assert torch.equal(at_once.samples[3:], second.samples)
    assert torch.equal(whole.configurations, parts.configurations)


def test_samples_are_copies():
    """These walkers move in place; what was seen must not move with them."""
    walkers = Gaussian(50)
    samples = metropolis(walkers, samples=3, sweep=2, generator=dice()).samples
    before = samples.clone()
    metropolis(walkers, samples=3, sweep=2, generator=dice())
    assert torch.equal(samples, before)
    assert not torch.equal(samples[0], samples[1])


def test_same_seed_same_bits():
    results = [
        metropolis(ThreeStates(stationary(100)), samples=9, sweep=2, generator=dice(s)) for s in (3, 3, 4)
    ]
    assert torch.equal(results[0].samples, results[1].samples)
    assert results[0].acceptance == results[1].acceptance
    assert not torch.equal(results[0].samples, results[2].samples)


def test_global_random_numbers_are_left_alone():
    state = torch.get_rng_state()
    metropolis(ThreeStates(stationary(10)), samples=2, sweep=2, generator=dice())
    assert torch.equal(torch.get_rng_state(), state)


# Errors


@pytest.mark.parametrize(
    ("walkers", "options", "message"),
    [
        (Fixed(0.0), {"samples": 0}, "samples: got 0, expected a whole number, at least 1"),
        (Fixed(0.0), {"sweep": -1}, "sweep: got -1, expected a whole number, at least 1"),
        (Fixed(0.0), {"warm_up": -1}, "warm_up: got -1, expected a whole number, at least 0"),
        (Fixed(0.0, chains=0), {}, "walkers: got zero chains, expected at least one"),
    ],
)
def test_bad_input_is_named(walkers, options, message):
    with pytest.raises(ValueError, match=message):
        metropolis(walkers, **{"samples": 1, "sweep": 1} | options, generator=dice())

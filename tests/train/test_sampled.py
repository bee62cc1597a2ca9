"""Variational Monte Carlo: identities by enumeration, both forms of a step, training, several processes."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import nnbook
from nnbook.networks import as_function, assign, flatten
from nnbook.quantum_states import Amplitude, Jastrow, LogState, MeanField, RestrictedBoltzmannMachine
from nnbook.sample.estimates import Estimate
from nnbook.spins.hamiltonians import chain, heisenberg, ising, square
from nnbook.spins.walkers import SpinWalkers
from nnbook.train.linear_method import RayleighQuotient
from nnbook.train.loop import read_checkpoint, write_checkpoint
from nnbook.train.reconfiguration import natural_step
from nnbook.train.sampled import local_energies, measure, optimise, random_spins

ISING, HEISENBERG = ising(chain(6), field=1.0), heisenberg(chain(6))
MODELS = {"Ising": ISING, "Heisenberg": HEISENBERG, "not rotated": heisenberg(chain(6), marshall=False)}
models = pytest.mark.parametrize("h", MODELS.values(), ids=MODELS.keys())
dtypes = pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=["real", "complex"])
seeds = st.integers(0, 2**31)


@pytest.fixture(autouse=True, scope="module")
def _as_in_a_chapter():
    nnbook.start(seed=1, device="cpu", quiet=True)


def dice(seed=1):
    return torch.Generator().manual_seed(seed)


def drawn(*shape, seed=1, dtype=torch.float64):
    return torch.randn(shape, generator=dice(seed), dtype=dtype)


def machine(sites=6, filters=4, *, seed=1, scale=0.3, **options):
    return RestrictedBoltzmannMachine(sites, filters, scale=scale, generator=dice(seed), **options)


def symmetric(h, filters=2, *, seed=1, scale=0.1, **options):
    return machine(
        h.sites, filters, seed=seed, scale=scale, permutations=h.lattice.translations, biases=False, **options
    )


def on_all(state, h):
    """Probabilities, local energies and derivatives on every configuration."""
    p = (2 * state(h.basis).detach().real).softmax(0)
    return p, local_energies(h, state.walkers(h.basis, h.moves)), state.derivatives(h.basis).detach()


def rayleigh(state, h):
    """The energy by enumeration."""
    psi = state(h.basis).exp()[:, None]
    return ((psi.conj() * h.apply(psi)).sum() / psi.abs().square().sum()).real


class Exact(LogState):
    """The ground state from a table."""

    def __init__(self, h, sign=1.0):
        super().__init__()
        self.energy, psi = h.ground_state()
        self.scale = torch.nn.Parameter(torch.ones((), dtype=torch.float64))
        bits = 1 << torch.arange(h.sites)
        self.bits, self.table = bits, torch.full((2**h.sites,), -torch.inf, dtype=torch.float64)
        self.table[((h.basis > 0) * bits).sum(1)] = (sign * psi).log()

    def forward(self, spins):
        return self.scale * self.table[((spins > 0) * self.bits).sum(-1)]


# Local energies


@models
@dtypes
def test_local_energies_are_rows_of_the_hamiltonian(h, dtype):
    state = machine(dtype=dtype)
    psi = state(h.basis).detach().exp()
    expected = torch.from_numpy(h.matrix() @ psi.numpy()) / psi
    found = local_energies(h, state.walkers(h.basis, h.moves))
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


@models
def test_local_energies_of_a_constant_wave_function_are_row_sums(h):
    state = MeanField(6)
    assign(state, torch.zeros(6, dtype=torch.float64))
    found = local_energies(h, state.walkers(h.basis, h.moves))
    torch.testing.assert_close(found, torch.from_numpy(h.matrix().sum(1)), rtol=0, atol=1e-12)


@models
@dtypes
def test_mean_local_energy_is_the_rayleigh_quotient(h, dtype):
    state = machine(dtype=dtype)
    p, energies, _ = on_all(state, h)
    mean = (p * energies).sum()
    assert mean.real.item() == pytest.approx(rayleigh(state, h).item(), abs=1e-11)
    assert abs(complex(mean).imag) < 1e-12


@pytest.mark.parametrize("h", [ISING, HEISENBERG, ising(square(3), field=2.0)])
def test_variance_of_an_exact_eigenstate_is_zero(h):
    state = Exact(h)
    p, energies, _ = on_all(state, h)
    torch.testing.assert_close(energies, torch.full_like(energies, state.energy), rtol=0, atol=1e-8)
    result = measure(state, h, generator=dice(), chains=20, samples=10, warm_up=2)
    assert result.energy.mean == pytest.approx(state.energy, abs=1e-8)
    assert result.energy.error < 1e-9
    assert result.v_score < 1e-16
    assert p.sum().item() == pytest.approx(1)


@models
def test_variance_is_that_of_the_hamiltonian(h):
    """<|E_loc|^2> - E^2 = <H^2> - <H>^2."""
    state = machine(dtype=torch.complex128)
    p, energies, _ = on_all(state, h)
    psi = state(h.basis).detach().exp()[:, None]
    psi = psi / psi.norm()
    image = h.apply(psi)
    expected = image.abs().square().sum() - (psi.conj() * image).sum().real ** 2
    found = (p * energies.abs().square()).sum() - rayleigh(state, h) ** 2
    assert found.item() == pytest.approx(expected.item(), abs=1e-10)


# Gradients


def centred(state, h):
    """Probabilities, and energies and derivatives of every configuration without their means."""
    p, energies, derivatives = on_all(state, h)
    o = derivatives - p.to(derivatives.dtype) @ derivatives
    e = energies - (p * energies).sum()
    return p, e, o


@settings(deadline=None, max_examples=15)
@given(seeds, st.sampled_from(sorted(MODELS)))
def test_force_is_half_the_gradient_of_the_energy(seed, model):
    h, state = MODELS[model], machine(seed=seed)
    p, e, o = centred(state, h)
    force = o.T @ (p * e)
    gradient = torch.autograd.grad(rayleigh(state, h), list(state.parameters()))
    expected = torch.cat([g.flatten() for g in gradient])
    torch.testing.assert_close(2 * force, expected, rtol=1e-9, atol=1e-10)


@models
def test_complex_force_is_half_the_gradient_of_the_energy(h):
    """PyTorch's gradient dE/dx + i dE/dy of a real function is twice <O* E_loc> - <O*><E_loc>."""
    state = machine(dtype=torch.complex128)
    p, e, o = centred(state, h)
    force = o.mH @ (p * e)
    gradient = torch.autograd.grad(rayleigh(state, h), list(state.parameters()))
    expected = torch.cat([g.flatten() for g in gradient])
    torch.testing.assert_close(2 * force, expected, rtol=1e-9, atol=1e-10)


def counted(state, h, total=400_000):
    """Configurations each as often as its probability says, to within rounding."""
    p, _, _ = on_all(state, h)
    return torch.repeat_interleave(torch.arange(len(p)), (total * p).round().long())


@pytest.mark.parametrize("h", [ISING, HEISENBERG], ids=["Ising", "Heisenberg"])
def test_step_from_many_samples_is_that_of_the_linear_method_s_metric(h):
    """Gradient and metric of RayleighQuotient, which enumerates, give the same step as samples do."""
    state = machine(filters=2)
    rows = counted(state, h)
    _, energies, derivatives = on_all(state, h)
    step, _ = natural_step(derivatives[rows], energies[rows], shift=0.1, relative=0.0)
    problem = RayleighQuotient(h.basis, h.apply, torch.ones(len(h.basis), dtype=torch.float64))
    expansion = problem.expand(as_function(Amplitude(state)), flatten(state))
    damped = expansion.metric + 0.1 * torch.eye(len(step), dtype=torch.float64)
    torch.testing.assert_close(step, torch.linalg.solve(damped, expansion.gradient), rtol=1e-3, atol=1e-4)


@dtypes
@pytest.mark.parametrize(("samples", "parameters"), [(30, 12), (12, 30), (20, 20)])
@pytest.mark.parametrize(("shift", "relative"), [(1e-3, 1e-3), (1e-2, 0.0), (1e-4, 0.1)])
def test_both_forms_solve_the_normal_equations(samples, parameters, shift, relative, dtype):
    o, e = drawn(samples, parameters, dtype=dtype) + 3, drawn(samples, seed=2, dtype=dtype) - 50
    forms = [
        natural_step(o, e, shift=shift, relative=relative, form=form)
        for form in ("parameters", "samples", "auto")
    ]
    on, en = o.numpy(), e.numpy()
    s = on.conj().T @ on / samples - np.outer(on.conj().mean(0), on.mean(0))
    f = on.conj().T @ en / samples - on.conj().mean(0) * en.mean()
    expected = np.linalg.solve(s + np.diag(shift + relative * s.diagonal().real), f)
    length = math.sqrt((expected.conj() @ s @ expected).real)
    for step, angle in forms:
        np.testing.assert_allclose(step.numpy(), expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
        assert angle == pytest.approx(length, rel=1e-9)
    scale = forms[0][0].abs().max()
    torch.testing.assert_close(forms[0][0], forms[1][0], rtol=0, atol=1e-10 * scale.item())


def test_real_energies_of_a_complex_state():
    o, e = drawn(30, 6, dtype=torch.complex128), drawn(30, seed=2)
    one, two = natural_step(o, e), natural_step(o, e.to(o.dtype))
    torch.testing.assert_close(one[0], two[0])


def test_auto_takes_the_smaller_matrix(monkeypatch):
    sizes = []
    solve = torch.linalg.cholesky
    monkeypatch.setattr(torch.linalg, "cholesky", lambda m: (sizes.append(len(m)), solve(m))[1])
    natural_step(drawn(30, 12), drawn(30))
    natural_step(drawn(12, 30), drawn(12))
    assert sizes == [12, 12]


@dtypes
def test_step_is_unchanged_by_constants_and_scales_with_the_energy(dtype):
    """Norm and phase of the wave function, and the zero of the energy, do not matter."""
    o, e = drawn(40, 9, dtype=dtype), drawn(40, seed=2, dtype=dtype)
    plain, angle = natural_step(o, e)
    moved, _ = natural_step(o + drawn(9, seed=3, dtype=dtype), e + 7)
    torch.testing.assert_close(moved, plain, rtol=1e-9, atol=1e-10)
    double, twice = natural_step(o, 2 * e)
    torch.testing.assert_close(double, 2 * plain, rtol=1e-12, atol=1e-13)
    assert twice == pytest.approx(2 * angle)


def test_order_of_the_samples_does_not_matter():
    o, e, order = drawn(40, 9), drawn(40, seed=2), torch.randperm(40, generator=dice())
    shuffled, _ = natural_step(o[order], e[order])
    torch.testing.assert_close(shuffled, natural_step(o, e)[0], rtol=1e-9, atol=1e-11)


@dtypes
def test_change_of_the_function_does_not_depend_on_the_parameters_as_the_shift_goes_to_zero(dtype):
    """With theta = A phi the derivatives become O A, and A times the step in phi is the step in theta."""
    o, e, a = drawn(60, 8, dtype=dtype), drawn(60, seed=2, dtype=dtype), drawn(8, 8, seed=3, dtype=dtype)
    gaps = []
    for shift in (1e-3, 1e-5, 1e-7):
        plain, _ = natural_step(o, e, shift=shift, relative=0.0)
        other, _ = natural_step(o @ a, e, shift=shift, relative=0.0)
        gaps.append((a @ other - plain).abs().max().item() / plain.abs().max().item())
    assert gaps[0] > 1e-3
    assert gaps[2] < 1e-3
    assert np.polyfit([-3, -5, -7], np.log10(gaps), 1)[0] == pytest.approx(1, abs=0.2)


def test_relative_shift_does_not_depend_on_the_scale_of_parameters():
    o, e, scale = drawn(60, 8), drawn(60, seed=2), 10.0 ** torch.arange(-4, 4).double()
    plain, _ = natural_step(o, e, shift=1e-20, relative=0.05)
    other, _ = natural_step(o * scale, e, shift=1e-20, relative=0.05)
    torch.testing.assert_close(scale * other, plain, rtol=1e-9, atol=1e-11)


def test_parameter_that_no_sample_feels_stays():
    o = drawn(40, 5)
    o[:, 2] = 7.0
    for form in ("parameters", "samples"):
        step, _ = natural_step(o, drawn(40, seed=2), form=form)
        assert step[2].abs() < 1e-11
        assert bool(step.isfinite().all())


def test_step_of_an_eigenstate_is_zero():
    step, angle = natural_step(drawn(40, 5), torch.full((40,), -3.0, dtype=torch.float64))
    assert step.abs().max() == 0
    assert angle == 0


# Random configurations


def test_random_spins_are_spins_of_the_right_magnetisation():
    free = random_spins(ISING, 4000, generator=dice())
    assert free.shape == (4000, 6)
    assert set(free.unique().tolist()) == {-1.0, 1.0}
    assert free.mean().abs() < 5 / math.sqrt(24000)
    balanced = random_spins(HEISENBERG, 4000, generator=dice())
    assert not bool(balanced.sum(1).any())
    rows = (HEISENBERG.basis[:, None] == balanced[None]).all(-1).sum(1).double()
    assert ((rows - 200) ** 2 / 200).sum() < 19 + 5 * math.sqrt(38)


@pytest.mark.parametrize("chains", [0, -3])
def test_no_chains_are_named(chains):
    with pytest.raises(ValueError, match=rf"chains: got {chains}, expected at least 1"):
        random_spins(ISING, chains, generator=dice())
    with pytest.raises(ValueError, match=rf"chains: got {chains}, expected at least 1"):
        optimise(machine(), ISING, generator=dice(), chains=chains)


# Training


@pytest.mark.parametrize("h", [ising(chain(8), field=1.0), heisenberg(chain(8))], ids=["Ising", "Heisenberg"])
def test_training_reaches_the_exact_energy(h):
    exact, _ = h.ground_state()
    state = symmetric(h)
    fit = optimise(state, h, generator=dice(), chains=500, steps=200, rate=0.1, shift=1e-4)
    found = rayleigh(state, h).item()
    assert -1e-13 < (found - exact) / abs(exact) < 1e-6
    assert fit.value == pytest.approx(exact, rel=1e-3)
    assert fit.history["variance"][-1] < 1e-2 * fit.history["variance"][0]


def test_samples_alone_are_enough_for_fewer_steps_than_parameters():
    """The form that inverts a matrix of samples, with fewer samples than parameters."""
    h = heisenberg(chain(8))
    state = machine(8, 8)
    optimise(state, h, generator=dice(), chains=60, steps=150, form="samples")
    assert rayleigh(state, h).item() == pytest.approx(h.ground_state()[0], rel=0.01)


def test_signs_need_more_than_positive_amplitudes():
    """Positive amplitudes gain nothing from positive off-diagonal elements: -N, a Neel state, is the best."""
    h = heisenberg(chain(6), marshall=False)
    exact, _ = h.ground_state()
    found = []
    for seed in range(3):  # some starts end in a minimum of their own
        signed = machine(6, 6, scale=0.1, seed=seed, dtype=torch.complex128)
        optimise(signed, h, generator=dice(seed), chains=300, steps=200)
        found.append(rayleigh(signed, h).item())
    assert max(found) < -6 - 2
    assert -1e-10 < min(found) - exact < 0.01 * abs(exact)
    positive = machine(6, 6, scale=0.1)
    optimise(positive, h, generator=dice(), chains=300, steps=50)
    assert rayleigh(positive, h).item() >= -6 - 1e-12


@pytest.mark.parametrize("make", [MeanField, Jastrow])
def test_any_state_can_be_trained(make):
    """Mean field and Jastrow states are minimised by enumeration too, which samples come close to."""
    state, twin = make(6, generator=dice()), make(6, generator=dice())
    optimise(state, ISING, generator=dice(), chains=400, steps=100)
    optimiser = torch.optim.LBFGS(twin.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def loss():
        optimiser.zero_grad()
        energy = rayleigh(twin, ISING)
        energy.backward()
        return energy

    optimiser.step(loss)
    best = rayleigh(twin, ISING).item()
    assert best - 1e-9 <= rayleigh(state, ISING).item() <= best + 0.02 * abs(best)


def test_single_precision_trains_too():
    state = symmetric(HEISENBERG, dtype=torch.float32)
    optimise(state, HEISENBERG, generator=dice(), chains=300, steps=60)
    assert flatten(state).dtype == torch.float32
    assert rayleigh(state.double(), HEISENBERG).item() == pytest.approx(
        HEISENBERG.ground_state()[0], rel=1e-3
    )


def test_history_tells_the_run():
    state = symmetric(ISING)
    fit = optimise(state, ISING, generator=dice(), chains=50, steps=7)
    assert set(fit.history) == {"step", "seconds", "value", "error", "variance", "acceptance"}
    assert {len(column) for column in fit.history.values()} == {7}
    assert fit.history["step"].tolist() == list(range(7))
    assert fit.value == fit.history["value"][-1]
    assert (fit.steps, fit.converged, fit.reason) == (7, True, "all steps done")
    np.testing.assert_allclose(fit.history["error"], np.sqrt(fit.history["variance"] / 50))
    assert np.all((fit.history["acceptance"] > 0) & (fit.history["acceptance"] <= 1))
    assert np.all(np.diff(fit.history["seconds"]) >= 0)


def test_energy_of_a_step_is_that_of_the_parameters_before_it():
    state = symmetric(HEISENBERG)
    before = rayleigh(state, HEISENBERG).item()
    fit = optimise(state, HEISENBERG, generator=dice(), chains=4000, steps=1)
    assert fit.value == pytest.approx(before, abs=5 * fit.history["error"][0])


def test_rate_may_depend_on_the_step():
    seen, start = [], machine()
    still = machine()
    optimise(still, ISING, generator=dice(), chains=20, steps=5, rate=lambda step: seen.append(step) or 0.0)
    assert seen == [0, 1, 2, 3, 4]
    assert torch.equal(flatten(still), flatten(start))
    one, two = machine(), machine()
    optimise(one, ISING, generator=dice(), chains=20, steps=5, rate=0.05)
    optimise(two, ISING, generator=dice(), chains=20, steps=5, rate=lambda step: 0.05)
    assert torch.equal(flatten(one), flatten(two))


def test_trust_bounds_the_angle_of_a_step():
    """The angle between states before and after, by enumeration, against the bound that was set."""
    h, angles = HEISENBERG, []
    for trust in (0.02, 0.01):
        state = machine(scale=0.5)
        psi = Amplitude(state)(h.basis).detach()
        optimise(state, h, generator=dice(), chains=5000, steps=1, rate=100.0, trust=trust)
        after = Amplitude(state)(h.basis).detach()
        overlap = (psi @ after) / psi.norm() / after.norm()
        angles.append(math.acos(min(1.0, overlap.item())))
        assert angles[-1] == pytest.approx(trust, rel=0.1)
    assert angles[0] / angles[1] == pytest.approx(2, rel=0.05)


@dtypes
def test_same_seed_same_bits(dtype):
    states = [machine(dtype=dtype) for _ in range(3)]
    fits = [
        optimise(s, ISING, generator=dice(seed), chains=30, steps=8)
        for s, seed in zip(states, (5, 5, 6), strict=True)
    ]
    assert torch.equal(flatten(states[0]), flatten(states[1]))
    assert fits[0].history["value"].tobytes() == fits[1].history["value"].tobytes()
    assert not torch.equal(flatten(states[0]), flatten(states[2]))


# What goes wrong


class Poisoned(MeanField):
    """Its amplitude is not a number after some calls of derivatives."""

    def __init__(self, good):
        super().__init__(6, generator=dice())
        self.good = good

    def forward(self, spins):
        return super().forward(spins) + (math.nan if self.good <= 0 else 0.0)

    def derivatives(self, spins):
        result = super().derivatives(spins)
        self.good -= 1
        return result


def test_energy_that_is_not_finite_stops_the_run_and_keeps_the_parameters():
    state = Poisoned(good=3)
    twin = MeanField(6, generator=dice())
    with pytest.raises(FloatingPointError, match=r"not finite at step 3; .*smaller rate or trust"):
        optimise(state, ISING, generator=dice(), chains=20, steps=10)
    optimise(twin, ISING, generator=dice(), chains=20, steps=3)
    assert torch.equal(flatten(state), flatten(twin))
    assert bool(flatten(state).isfinite().all())


def test_weights_beyond_the_range_of_products_are_evaluated_anew():
    state = machine()
    assign(state, 1e4 * flatten(state))
    assert type(state.walkers(ISING.basis, ISING.moves)) is SpinWalkers
    energy = measure(state, ISING, generator=dice(), chains=20, samples=20).energy.mean
    assert math.isfinite(energy)


def test_complex_state_that_is_not_finite_stops_the_run():
    state = machine(dtype=torch.complex128)
    assign(state, torch.full_like(flatten(state), complex(math.nan, 0)))
    with pytest.raises(FloatingPointError, match=r"not finite at step 0"):
        optimise(state, ISING, generator=dice(), chains=20, steps=2)


@pytest.mark.parametrize("name", ["steps", "sweeps", "every"])
def test_count_below_one_is_named(name):
    with pytest.raises(ValueError, match=rf"{name}: got 0, expected at least 1"):
        optimise(machine(), ISING, generator=dice(), **{name: 0})


@pytest.mark.parametrize("name", ["chains", "samples"])
def test_count_of_a_measurement_below_one_is_named(name):
    with pytest.raises(ValueError, match=rf"{name}: got 0, expected at least 1"):
        measure(machine(), ISING, generator=dice(), **{name: 0})


def test_warm_up_below_zero_is_named():
    with pytest.raises(ValueError, match=r"warm_up: got -1, expected at least 0"):
        measure(machine(), ISING, generator=dice(), warm_up=-1)


@pytest.mark.parametrize(("shift", "relative"), [(0.0, 1e-3), (-1e-3, 0.1), (1e-3, -0.1)])
def test_shift_that_is_not_positive_is_named(shift, relative):
    with pytest.raises(ValueError, match=rf"shift: got {shift} with relative={relative}, expected"):
        natural_step(drawn(20, 3), drawn(20), shift=shift, relative=relative)


def test_form_that_is_unknown_is_named():
    with pytest.raises(ValueError, match=r"form: got 'dual', expected 'auto', 'parameters' or 'samples'"):
        natural_step(drawn(20, 3), drawn(20), form="dual")


@pytest.mark.parametrize(("rows", "energies"), [((20, 3), (19,)), ((20,), (20,)), ((20, 3), (20, 1))])
def test_samples_that_do_not_match_are_named(rows, energies):
    with pytest.raises(ValueError, match=r"energies: got shape .* with derivatives .*, expected \(samples"):
        natural_step(drawn(*rows), drawn(*energies))


def test_complex_energies_of_a_real_state_are_named():
    with pytest.raises(ValueError, match=r"energies: got torch.complex128 .*dtype=torch.complex128"):
        natural_step(drawn(20, 3), drawn(20, dtype=torch.complex128))


# Checkpoints


class Interruption(Exception):
    pass


def stop_at(step):
    def rate(now):
        if now == step:
            raise Interruption
        return 0.1

    return rate


CASES = {
    "Ising": lambda: (machine(), ISING),
    "Heisenberg": lambda: (symmetric(HEISENBERG), HEISENBERG),
    "complex": lambda: (machine(dtype=torch.complex128), HEISENBERG),
    "generic": lambda: (Jastrow(6, generator=dice()), ISING),
    "generic, complex": lambda: (Jastrow(6, generator=dice(), dtype=torch.complex128), ISING),
    "single precision": lambda: (machine(dtype=torch.float32), ISING),
}


@pytest.mark.parametrize("step", [3, 4, 5, 11])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_interrupted_run_ends_with_the_same_bits(tmp_path, case, step):
    options = {"chains": 20, "steps": 12, "every": 4}
    whole, h = case()
    expected = optimise(whole, h, generator=dice(), **options)
    path = tmp_path / "run.pt"
    with pytest.raises(Interruption):
        optimise(case()[0], h, generator=dice(), checkpoint=path, rate=stop_at(step), **options)
    again = case()[0]
    result = optimise(again, h, generator=dice(99), checkpoint=path, **options) if path.exists() else None
    if step < 4:
        assert result is None  # nothing had been written yet
        return
    assert torch.equal(flatten(again), flatten(whole))
    for name in ("value", "error", "variance", "acceptance"):
        assert result.history[name].tobytes() == expected.history[name].tobytes()
    assert np.all(np.diff(result.history["seconds"]) >= 0)


def test_run_made_longer_ends_with_the_same_bits(tmp_path):
    whole, parts = machine(), machine()
    optimise(whole, ISING, generator=dice(), chains=20, steps=9)
    path = tmp_path / "deep" / "run.pt"
    for steps in (4, 9):
        fit = optimise(parts, ISING, generator=dice(), chains=20, steps=steps, checkpoint=path)
        assert fit.steps == steps
    assert torch.equal(flatten(whole), flatten(parts))
    assert [p.name for p in path.parent.iterdir()] == ["run.pt"]


def test_finished_run_gives_its_result_again(tmp_path):
    one, two = machine(), machine(seed=2)
    options = {"chains": 20, "steps": 5, "checkpoint": tmp_path / "run.pt"}
    first = optimise(one, ISING, generator=dice(), **options)
    again = optimise(two, ISING, generator=dice(7), **options)
    assert torch.equal(flatten(one), flatten(two))
    assert again.value == first.value
    assert again.steps == 5


@pytest.mark.parametrize(
    ("state", "chains", "h"),
    [
        (lambda: machine(filters=5), 20, ISING),
        (machine, 21, ISING),
        (lambda: machine(8), 20, ising(chain(8), field=1.0)),
        (lambda: machine(dtype=torch.complex128), 20, ISING),
        (machine, 20, ising(chain(6), field=1.0 + 1e-9)),
        (machine, 20, ising(chain(6, boundary="open"), field=1.0)),
    ],
)
def test_checkpoint_of_another_run_is_named(tmp_path, state, chains, h):
    path = tmp_path / "run.pt"
    optimise(machine(), ISING, generator=dice(), chains=20, steps=2, checkpoint=path)
    other = state()
    before = flatten(other)
    with pytest.raises(ValueError, match=r"checkpoint: .*run.pt holds 34 parameters.* and chains \(20, 6\)"):
        optimise(other, h, generator=dice(), chains=chains, steps=4, checkpoint=path)
    assert torch.equal(flatten(other), before)


def test_checkpoint_that_is_no_checkpoint_is_named(tmp_path):
    path = tmp_path / "broken.pt"
    path.write_bytes(b"half a file")
    with pytest.raises(ValueError, match=r"checkpoint: .*broken.pt cannot be read .*delete the file"):
        optimise(machine(), ISING, generator=dice(), chains=20, steps=2, checkpoint=path)


def test_checkpoint_keeps_what_was_written(tmp_path):
    path = tmp_path / "made" / "state.pt"
    state = {"numbers": drawn(3), "log": [(1.0, 2.0)], "complex": drawn(2, dtype=torch.complex128)}
    write_checkpoint(path, state)
    write_checkpoint(path, state | {"log": [(3.0, 4.0)]})
    found = read_checkpoint(path)
    assert torch.equal(found["numbers"], state["numbers"])
    assert torch.equal(found["complex"], state["complex"])
    assert [tuple(row) for row in found["log"]] == [(3.0, 4.0)]
    assert [p.name for p in path.parent.iterdir()] == ["state.pt"]


# Measuring


@pytest.mark.parametrize(
    ("make", "h"),
    [
        (machine, ISING),
        (machine, HEISENBERG),
        (lambda: machine(dtype=torch.complex128), ISING),
        (lambda: machine(dtype=torch.complex128), HEISENBERG),
        (lambda: MeanField(6, generator=dice()), ISING),
        (lambda: Jastrow(6, generator=dice()), ISING),
        (lambda: Jastrow(6, generator=dice()), HEISENBERG),
        (lambda: Jastrow(6, generator=dice(), dtype=torch.complex128), ISING),
    ],
)
def test_measured_energy_is_that_of_enumeration(make, h):
    state = make()
    result = measure(state, h, generator=dice(), chains=200, samples=60, warm_up=20)
    assert result.energy.error > 0
    assert result.energy.mean == pytest.approx(rayleigh(state, h).item(), abs=5 * result.energy.error)


def test_variance_and_score_are_those_of_enumeration():
    state, h = machine(), HEISENBERG
    result = measure(state, h, generator=dice(), chains=400, samples=100, warm_up=20)
    p, energies, _ = on_all(state, h)
    mean = (p * energies).sum()
    variance = (p * (energies - mean) ** 2).sum()
    fourth = (p * (energies - mean) ** 4).sum()
    error = math.sqrt((fourth - variance**2) * max(result.energy.tau, 1) / result.energy.count)
    assert result.energy.variance == pytest.approx(variance.item(), abs=5 * error)
    score = 6 * result.energy.variance / result.energy.mean**2
    assert result.v_score == pytest.approx(score, rel=1e-12)


def test_measurement_tells_what_it_saw():
    state = machine()
    result = measure(state, ISING, generator=dice(), chains=30, samples=12)
    assert result.samples.shape == (12, 30, 6)
    assert result.energies.shape == (12, 30)
    assert isinstance(result.energy, Estimate)
    again = local_energies(ISING, state.walkers(result.samples.flatten(0, 1), ISING.moves))
    torch.testing.assert_close(result.energies.flatten(), again)
    assert 0 < result.acceptance < 1
    assert repr(result) == (
        f"{result.energy!r}, V-score {result.v_score:.1e}, acceptance {result.acceptance:.2f}"
    )


def test_measurement_may_start_where_it_is_told():
    start = HEISENBERG.basis[:4].repeat(10, 1)
    before = start.clone()
    result = measure(machine(), HEISENBERG, generator=dice(), samples=5, warm_up=0, spins=start)
    assert result.samples.shape == (5, 40, 6)
    assert torch.equal(start, before)
    assert not bool(result.samples.sum(-1).any())


def test_training_starts_where_it_is_told():
    start = random_spins(HEISENBERG, 7, generator=dice(3))
    ran = [
        optimise(machine(), HEISENBERG, generator=dice(4), steps=2, spins=s) for s in (start, start.flip(0))
    ]
    assert ran[0].spins.shape == start.shape
    assert ran[0].value != ran[1].value


def test_measurement_leaves_the_state_alone_and_repeats():
    state = machine()
    before = flatten(state)
    results = [measure(state, ISING, generator=dice(4), chains=20, samples=10) for _ in range(2)]
    assert torch.equal(flatten(state), before)
    assert torch.equal(results[0].samples, results[1].samples)
    assert results[0].energy == results[1].energy


# Several processes

RANK = """
import sys

import torch
from torch import distributed

import nnbook
from nnbook.networks import flatten
from nnbook.quantum_states import RestrictedBoltzmannMachine
from nnbook.spins.hamiltonians import chain, heisenberg
from nnbook.train.sampled import optimise

rank, folder, dtype = int(sys.argv[1]), sys.argv[2], getattr(torch, sys.argv[3])
dice = [torch.Generator().manual_seed(seed) for seed in (1, 10 + rank)]
nnbook.start(seed=1, device="cpu", quiet=True)
distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
h = heisenberg(chain(6))
state = RestrictedBoltzmannMachine(
    6, 2, permutations=h.lattice.translations, scale=0.1, biases=False, generator=dice[0], dtype=dtype
)
fit = optimise(
    state, h, generator=dice[1], chains=150, steps=60, checkpoint=f"{folder}/run{rank}.pt"
)
history = {name: torch.from_numpy(column) for name, column in fit.history.items()}
torch.save({"params": flatten(state), **history}, f"{folder}/{rank}.pt")
distributed.destroy_process_group()
"""


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_two_processes_take_the_same_steps(tmp_path, dtype):
    script = tmp_path / "rank.py"
    script.write_text(RANK)
    command = [sys.executable, str(script)]
    ranks = [
        subprocess.Popen([*command, str(rank), str(tmp_path), dtype], stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    try:
        said = [process.communicate(timeout=120)[1] for process in ranks]
    finally:
        for process in ranks:
            process.kill()  # one of them may wait for ever for another that failed
    assert [process.returncode for process in ranks] == [0, 0], said
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert torch.equal(first["params"], second["params"])
    for name in ("value", "error", "variance"):
        assert torch.equal(first[name], second[name])
    assert not torch.equal(first["acceptance"], second["acceptance"])  # chains of their own
    h, state = HEISENBERG, symmetric(HEISENBERG, dtype=getattr(torch, dtype))
    start = rayleigh(state, h).item()
    alone = optimise(state, h, generator=dice(10), chains=300, steps=60)
    assert first["value"][0].item() == pytest.approx(start, abs=5 * first["error"][0].item())
    assert alone.history["value"][0] == pytest.approx(start, abs=5 * alone.history["error"][0])
    ratio = first["error"][0].item() / alone.history["error"][0]
    assert ratio == pytest.approx(1, abs=0.5)  # as many samples, the energies of all ranks together
    assign(state, first["params"])
    trained = rayleigh(state, h).item()
    exact, _ = h.ground_state()
    assert -1e-12 < (trained - exact) / abs(exact) < 1e-3
    assert first["value"][-1].item() == pytest.approx(trained, abs=5 * first["error"][-1].item() + 1e-3)
    assert alone.value == pytest.approx(trained, abs=5 * alone.history["error"][-1] + 0.02)


def test_a_measurement_goes_on_from_the_chains_of_the_training() -> None:
    hamiltonian = ising(chain(8), field=1.0)
    state = RestrictedBoltzmannMachine(
        8, 1, permutations=hamiltonian.lattice.translations, biases=False, generator=dice(1)
    )
    trained = optimise(state, hamiltonian, steps=5, chains=40, generator=dice(2))
    assert trained.spins.shape == (40, 8)
    first = measure(state, hamiltonian, samples=4, warm_up=0, spins=trained.spins, generator=dice(3))
    again = measure(state, hamiltonian, samples=4, warm_up=0, spins=trained.spins, generator=dice(3))
    assert torch.equal(first.energies, again.energies)

"""Variational Monte Carlo: the contract of Hamiltonians, forces, training, resume, measurement, processes."""

import math
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch.optim import Adam

from nnbook.networks import assign, flatten
from nnbook.spins.hamiltonians import heisenberg, ising
from nnbook.spins.lattices import chain, square
from nnbook.spins.states import Amplitude, Jastrow, LogState, MeanField, RestrictedBoltzmannMachine
from nnbook.train.first_order import fit as fit_all
from nnbook.train.reconfiguration import natural_step
from nnbook.train.sampled import measure, optimise

ISING, HEISENBERG = ising(chain(6), field=1.0), heisenberg(chain(6))
MODELS = {"Ising": ISING, "Heisenberg": HEISENBERG, "not rotated": heisenberg(chain(6), marshall=False)}
models = pytest.mark.parametrize("h", MODELS.values(), ids=MODELS.keys())
dtypes = pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=["real", "complex"])


def dice(seed=1):
    return torch.Generator().manual_seed(seed)


def machine(sites=6, filters=4, *, seed=1, scale=0.3, **options):
    return RestrictedBoltzmannMachine(sites, filters, scale=scale, generator=dice(seed), **options)


def symmetric(h, filters=2, *, seed=1, scale=0.1, **options):
    return machine(
        h.sites, filters, seed=seed, scale=scale, permutations=h.lattice.translations, biases=False, **options
    )


def rayleigh(state, h):
    """The energy by enumeration."""
    psi = state(h.basis).exp()[:, None]
    return ((psi.conj() * h.apply(psi)).sum() / psi.abs().square().sum()).real


def on_all(state, h):
    """Probabilities, local energies and derivatives on every configuration."""
    p = (2 * state(h.basis).detach().real).softmax(0)
    return p, h.local_energies(h.walkers(state, h.basis)), state.derivatives(h.basis).detach()


class Exact(LogState):
    """The ground state from a table."""

    def __init__(self, h):
        super().__init__()
        self.h, (self.energy, self.psi) = h, h.ground_state()
        self.scale = torch.nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, spins):
        row = (spins[:, None] == self.h.basis).all(-1).double()
        return self.scale * torch.where(row.any(-1), (row @ self.psi).log(), -torch.inf)


class Bell(LogState):
    """exp(-a x^2 / 2) for a particle in a harmonic well."""

    def __init__(self, a):
        super().__init__()
        self.energy = 0.5
        self.a = torch.nn.Parameter(torch.tensor([a], dtype=torch.float64))

    def forward(self, x):
        return -0.5 * self.a * x[:, 0].square()


class Steps:
    """Points that take uniform steps."""

    def __init__(self, state, x):
        self.state, self.x = state, x.clone()

    @property
    def configurations(self):
        return self.x

    @torch.no_grad()
    def propose(self, generator):
        draw = torch.rand(self.x.shape, generator=generator, dtype=torch.float64)
        self.to = self.x + 3 * (2 * draw - 1)
        return 2 * (self.state(self.to) - self.state(self.x))

    def accept(self, accepted):
        self.x = torch.where(accepted[:, None], self.to, self.x)


class Well:
    """(p^2 + x^2) / 2 with configurations (chains, 1): a system without any lattice."""

    label, size, bounds = "harmonic well", 1, (0.5, math.inf)

    def start(self, chains, *, generator, device=None):
        return torch.randn(chains, 1, generator=generator, dtype=torch.float64).to(device)

    def walkers(self, state, x):
        return Steps(state, x)

    def local_energies(self, walkers):
        a, x = walkers.state.a.detach(), walkers.x[:, 0]
        return a / 2 + x.square() * (1 - a.square()) / 2


EIGENSTATES = [(h, Exact(h)) for h in (ISING, HEISENBERG, ising(square(3), field=2.0))] + [
    (Well(), Bell(1.0))
]


# What every Hamiltonian has to obey


@pytest.mark.parametrize(("h", "state"), EIGENSTATES, ids=lambda x: getattr(x, "label", ""))
def test_hamiltonian_obeys_the_contract(h, state):
    """Local energies of an eigenstate are its energy; start and walkers are as they were asked for."""
    start = h.start(20, generator=dice(3))
    assert torch.equal(start, h.start(20, generator=dice(3)))
    before, walkers = start.clone(), h.walkers(state, start)
    assert torch.equal(walkers.configurations, start)
    energies = h.local_energies(walkers)
    torch.testing.assert_close(energies, torch.full_like(energies, state.energy), rtol=0, atol=1e-8)
    assert h.label == h.label != ""
    result = measure(state, h, generator=dice(), chains=20, samples=10, warm_up=2, configurations=start)
    assert torch.equal(start, before)
    assert result.energy.mean == pytest.approx(state.energy, abs=1e-8)
    assert result.energy.error < 1e-9
    assert result.v_score < 1e-15
    assert 0 < result.acceptance < 1


@dtypes
@models
def test_force_is_half_the_gradient_of_the_energy(h, dtype):
    """PyTorch's gradient dE/dx + i dE/dy of a real function is twice <O* E_loc> - <O*><E_loc>."""
    state = machine(dtype=dtype)
    p, e, o = on_all(state, h)
    mean = (p * e).sum()
    assert mean.real.item() == pytest.approx(rayleigh(state, h).item(), abs=1e-11)
    assert abs(complex(mean).imag) < 1e-12
    force = (o - p.to(o.dtype) @ o).mH @ (p * (e - mean))
    gradient = torch.autograd.grad(rayleigh(state, h), list(state.parameters()))
    expected = torch.cat([g.flatten() for g in gradient])
    torch.testing.assert_close(2 * force, expected, rtol=1e-9, atol=1e-10)


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


def test_particle_in_space_is_trained_too():
    state = Bell(0.4)
    fit = optimise(state, Well(), generator=dice(), chains=300, steps=150, rate=0.3, trust=0.2)
    assert state.a.item() == pytest.approx(1, abs=1e-6)
    assert fit.value == pytest.approx(0.5, abs=1e-6)
    assert fit.configurations.shape == (300, 1)


def test_fewer_samples_than_parameters_are_enough():
    h = heisenberg(chain(8))
    state = machine(8, 8)
    optimise(state, h, generator=dice(), chains=60, steps=150, form="samples")
    assert rayleigh(state, h).item() == pytest.approx(h.ground_state()[0], rel=0.01)


def test_signs_need_more_than_positive_amplitudes():
    """Positive amplitudes gain nothing from positive off-diagonal elements: -N, a Neel state, is the best."""
    h = MODELS["not rotated"]
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
    fit = fit_all(
        lambda: rayleigh(twin, ISING), twin.parameters(), steps=400, optimiser=partial(Adam, lr=0.05)
    )
    assert fit.value - 1e-6 <= rayleigh(state, ISING).item() <= fit.value + 0.02 * abs(fit.value)


def test_single_precision_trains_too():
    state = symmetric(HEISENBERG, dtype=torch.float32)
    optimise(state, HEISENBERG, generator=dice(), chains=300, steps=60)
    assert flatten(state).dtype == torch.float32
    exact, _ = HEISENBERG.ground_state()
    assert rayleigh(state.double(), HEISENBERG).item() == pytest.approx(exact, rel=1e-3)


def test_values_are_those_of_the_parameters_after_each_step():
    state = symmetric(HEISENBERG, scale=0.5)
    fit = optimise(state, HEISENBERG, generator=dice(), chains=4000, steps=1, rate=1.0, trust=0.3, sweeps=5)
    assert fit.value == pytest.approx(rayleigh(state, HEISENBERG).item(), abs=5 * fit.history["error"][0])
    assert fit.history["value"].tolist() == [fit.value]
    np.testing.assert_allclose(fit.history["error"], np.sqrt(fit.history["variance"] / 4000))
    assert 0 < fit.history["acceptance"][0] <= 1
    assert (fit.converged, fit.reason) == (False, "all steps done")
    energies = HEISENBERG.local_energies(HEISENBERG.walkers(state, fit.configurations))
    assert fit.value == pytest.approx(energies.mean().item(), rel=1e-12)


def test_state_changes_less_where_it_is_held():
    """The weight of a domain against that of samples; without a shift next to nothing would change."""
    h = heisenberg(chain(12))
    domain, drift = torch.ones(1, 12, dtype=torch.float64), []
    domain[:, 6:] = -1
    for hold in (None, domain):
        options = {"permutations": h.lattice.translations, "biases": False, "scale": 0.1}
        state = RestrictedBoltzmannMachine(12, 2, **options, generator=dice())
        start = optimise(state, h, chains=1000, steps=30, generator=dice()).configurations
        with torch.no_grad():
            before = state(domain) - state(start).mean()
            options = {"configurations": start, "rate": 1e-3, "shift": 1e-4, "hold": hold}
            optimise(state, h, steps=1, **options, generator=dice())
            drift.append(float((state(domain) - state(start).mean() - before).abs()))
    assert drift[1] < 0.5 * drift[0]


def test_rate_may_depend_on_the_step():
    seen, still = [], machine()
    optimise(still, ISING, generator=dice(), chains=20, steps=5, rate=lambda step: seen.append(step) or 0.0)
    assert seen == [0, 1, 2, 3, 4]
    assert torch.equal(flatten(still), flatten(machine()))
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


class ModulusAndPhase(LogState):
    """Real parameters, a complex logarithm."""

    def __init__(self, sites):
        super().__init__()
        self.log_modulus, self.phase = (
            torch.nn.Parameter(0.1 * torch.randn(sites, generator=dice(seed), dtype=torch.float64))
            for seed in (1, 2)
        )

    def forward(self, spins):
        return torch.complex(spins @ self.log_modulus, spins @ self.phase)


def test_real_parameters_of_modulus_and_phase_follow_the_gradient():
    """2 Re <O* E_loc> - 2 Re <O*><E_loc> is the gradient; a product state of signs ends at its minimum."""
    h, state = MODELS["not rotated"], ModulusAndPhase(6)
    p, e, o = on_all(state, h)
    gradient = torch.cat(torch.autograd.grad(rayleigh(state, h), list(state.parameters())))
    force = ((o - p.to(o.dtype) @ o).conj() * (p * (e - (p * e).sum()))[:, None]).sum(0).real
    torch.testing.assert_close(2 * force, gradient, rtol=1e-10, atol=1e-12)
    many = o[torch.multinomial(p, 500, replacement=True, generator=dice())]
    seen = torch.complex(*torch.randn(2, 500, generator=dice(), dtype=torch.float64))
    steps = [natural_step(many, seen, form=form, real=True)[0] for form in ("parameters", "samples")]
    torch.testing.assert_close(*steps)
    assert not steps[0].is_complex()
    optimise(state, h, generator=dice(), steps=100)
    assert rayleigh(state, h) < -8.5  # -8.4: equal moduli, the phases of neighbours pi apart


# What goes wrong


def test_chains_of_a_state_that_nearly_vanishes_are_doubted():
    """A positive machine where signs alternate: rare configurations have energies of 1e13."""
    h = heisenberg(chain(8), marshall=False)
    state = RestrictedBoltzmannMachine(8, 8, scale=0.2, generator=dice())
    how = {"generator": dice()}
    with pytest.warns(RuntimeWarning, match="optimise: the acceptance is .* start elsewhere or use a smooth"):
        fit = optimise(state, h, steps=400, **how)
    with pytest.warns(RuntimeWarning, match="measure: no energy of Heisenberg.*from -24 to 24"):
        found = measure(state, h, configurations=fit.configurations, **how)
    assert fit.doubts
    assert set(found.energy.doubts) < set(found.doubts)


@pytest.mark.filterwarnings("error")
def test_good_chains_are_not_doubted():
    for h in (ising(chain(12), field=0.3), heisenberg(chain(10))):
        state = symmetric(h)
        fit = optimise(state, h, generator=dice(), steps=60)
        found = measure(state, h, generator=dice(), samples=40, configurations=fit.configurations)
        assert fit.doubts == found.doubts == ()


class Poisoned(MeanField):
    """It stops being a number, or raises, when its derivatives have been asked for so often."""

    def __init__(self, good, error=None):
        super().__init__(6, generator=dice())
        self.good, self.error = good, error

    def forward(self, spins):
        return super().forward(spins) + (math.nan if self.good <= 0 else 0.0)

    def derivatives(self, spins):
        self.good -= 1
        if self.error and self.good <= 0:
            raise self.error
        return super().derivatives(spins)


@pytest.mark.parametrize("good", [1, 4])
def test_energy_that_is_not_finite_ends_the_run_with_the_last_good_state(good):
    state, twin = Poisoned(good), MeanField(6, generator=dice())
    with pytest.warns(
        RuntimeWarning, match=rf"VMC stopped at step {good - 1}: the value is nan; the last good"
    ):
        fit = optimise(state, ISING, generator=dice(), chains=20, steps=9)
    assert (fit.steps, fit.converged) == (good - 1, False)
    if good > 1:
        same = optimise(twin, ISING, generator=dice(), chains=20, steps=good - 1)
        assert torch.equal(fit.configurations, same.configurations)
    assert torch.equal(flatten(state), flatten(twin))


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (optimise, {"steps": 0}, "steps: got 0, expected a whole number, at least 1"),
        (optimise, {"sweeps": 0}, "sweeps: got 0, expected a whole number, at least 1"),
        (optimise, {"rate": math.nan}, "rate: got nan, expected a finite number, at least 0"),
        (optimise, {"rate": lambda step: math.nan}, "rate: got nan, expected a finite number, at least 0"),
        (optimise, {"trust": math.nan}, "trust: got nan, expected a finite number above 0"),
        (optimise, {"shift": math.nan}, "shift: got nan, expected a finite number above 0"),
        (optimise, {"configurations": torch.zeros(5, 6)}, r"spins: got 0, expected \+1 or -1"),
        (measure, {"configurations": torch.ones(5, 7)}, r"spins: got shape \(5, 7\), expected \(batch, 6\)"),
        (optimise, {"hold": torch.ones(2, 7)}, r"hold: got shape \(2, 7\), expected \(n, \*\(6,\)\)"),
        (optimise, {"every": 0}, "every: got 0, expected a whole number, at least 1"),
        (optimise, {"chains": 0}, "chains: got 0, expected a whole number"),
        (measure, {"chains": 0}, "chains: got 0, expected"),
        (measure, {"samples": 0}, "samples: got 0, expected a whole number, at least 1"),
        (measure, {"warm_up": -1}, "warm_up: got -1, expected a whole number, at least 0"),
    ],
)
def test_bad_input_is_named(function, options, message):
    with pytest.raises(ValueError, match=message):
        function(machine(), ISING, generator=dice(), **options)


# Checkpoints


CASES = {
    "Ising": (machine, ISING),
    "Heisenberg": (lambda: symmetric(HEISENBERG), HEISENBERG),
    "complex": (lambda: machine(dtype=torch.complex128), HEISENBERG),
    "generic": (lambda: Jastrow(6, generator=dice()), ISING),
    "single precision": (lambda: machine(dtype=torch.float32), ISING),
    "in space": (lambda: Bell(0.4), Well()),
}


class Interruption(Exception):
    """What a power cut looks like to a test."""


@pytest.mark.parametrize("stop", [5, 12])
@pytest.mark.parametrize(("make", "h"), CASES.values(), ids=CASES.keys())
def test_interrupted_and_finished_runs_give_the_same_bits(tmp_path, monkeypatch, make, h, stop):
    options = {"chains": 20, "steps": 12, "every": 4}
    whole, path = make(), tmp_path / "deep" / "run.pt"
    expected = optimise(whole, h, generator=dice(), **options)
    broken, count = make(), []
    derivatives = broken.derivatives

    def failing(x):
        count.append(1)
        if len(count) == stop:
            raise Interruption
        return derivatives(x)

    monkeypatch.setattr(broken, "derivatives", failing)
    with pytest.raises(Interruption):
        optimise(broken, h, generator=dice(), checkpoint=path, **options)
    for _ in range(2):  # resumed, and finished
        again = make()
        result = optimise(again, h, generator=dice(99), checkpoint=path, **options)
        assert torch.equal(flatten(again), flatten(whole))
        assert torch.equal(result.configurations, expected.configurations)
        for name in ("value", "error", "variance", "acceptance"):
            assert result.history[name].tobytes() == expected.history[name].tobytes()
    assert [p.name for p in path.parent.iterdir()] == ["run.pt"]


BENT = replace(ISING, lattice=replace(ISING.lattice, bonds=ISING.lattice.bonds.roll(1, 1)[:, [0, 0]]))


@pytest.mark.parametrize(
    ("state", "h", "options", "message"),
    [
        (
            machine(filters=5),
            ISING,
            {},
            r"state Restricted.* with 34 parameters .*; expected state .* with 41",
        ),
        (machine(dtype=torch.complex128), ISING, {}, r"of torch.float64; expected .* of torch.complex128"),
        (machine(), ISING, {"chains": 21}, r"chains \(20, 6\); expected chains \(21, 6\); delete the file"),
        (machine(), ISING, {"rate": 0.2}, r"holds a run with rate 0.1; expected rate 0.2"),
        (machine(), ISING, {"shift": 0.2}, r"'shift': 0.001.*; expected options .*'shift': 0.2"),
        (
            machine(),
            ising(chain(6), field=1.0 + 1e-9),
            {},
            r"a run with Hamiltonian .*; expected Hamiltonian",
        ),
        (
            machine(),
            ising(chain(6, boundary="open"), field=1.0),
            {},
            "periodic.*; expected Hamiltonian .*open",
        ),
        (machine(), replace(ISING, coupling=-0.9), {}, r"Hamiltonian .*-1.0.*; expected Hamiltonian .*-0.9"),
        (machine(), BENT, {}, r"holds a run with Hamiltonian .*; expected Hamiltonian"),
        (machine(permutations=torch.arange(6)[None].flip(1)), ISING, {}, r"with 34 .*; expected .* with 28"),
    ],
)
def test_checkpoint_of_another_run_is_named(tmp_path, state, h, options, message):
    path, before = tmp_path / "run.pt", flatten(state)
    how = {"chains": 20, "checkpoint": path}
    optimise(machine(), ISING, generator=dice(), steps=2, **how)
    with pytest.raises(ValueError, match=message):
        optimise(state, h, generator=dice(), steps=4, **how | options)
    assert torch.equal(flatten(state), before)


# Measuring


@pytest.mark.parametrize(
    ("make", "h"),
    [
        (machine, ISING),
        (machine, HEISENBERG),
        (lambda: machine(dtype=torch.complex128), HEISENBERG),
        (lambda: MeanField(6, generator=dice()), ISING),
        (lambda: Jastrow(6, generator=dice(), dtype=torch.complex128), ISING),
    ],
)
def test_measured_energy_and_variance_are_those_of_enumeration(make, h):
    state = make()
    result = measure(state, h, generator=dice(), chains=200, samples=60, warm_up=20)
    p, energies, _ = on_all(state, h)
    centred = energies.real - (p * energies).sum().real
    variance, fourth = (p * centred**2).sum(), (p * centred**4).sum()
    error = math.sqrt((fourth - variance**2) * max(result.energy.tau, 1) / result.energy.count)
    assert result.energy.mean == pytest.approx(rayleigh(state, h).item(), abs=5 * result.energy.error)
    assert result.energy.variance == pytest.approx(variance.item(), abs=5 * error)
    assert result.v_score == pytest.approx(6 * result.energy.variance / result.energy.mean**2, rel=1e-12)


def test_measurement_tells_what_it_saw_and_repeats():
    state = machine()
    before, start = flatten(state), ISING.start(30, generator=dice(2))
    how = {"samples": 12, "warm_up": 0, "configurations": start}
    result, same = (measure(state, ISING, generator=dice(4), **how) for _ in range(2))
    assert result.samples.shape == (12, 30, 6)
    again = ISING.local_energies(ISING.walkers(state, result.samples.flatten(0, 1)))
    torch.testing.assert_close(result.energies.flatten(), again)
    assert repr(result) == (
        f"{result.energy!r}, V-score {result.v_score:.1e}, acceptance {result.acceptance:.2f}"
    )
    assert torch.equal(result.samples, same.samples)
    assert torch.equal(flatten(state), before)


# Several processes

RANK = """
import sys

import torch
from torch import distributed

import nnbook
from nnbook.networks import flatten
from nnbook.spins.hamiltonians import heisenberg
from nnbook.spins.lattices import chain
from nnbook.spins.states import RestrictedBoltzmannMachine
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


def test_two_processes_take_the_same_steps(tmp_path):
    script = tmp_path / "rank.py"
    script.write_text(RANK)
    command = [sys.executable, str(script)]
    ranks = [
        subprocess.Popen(
            [*command, str(rank), str(tmp_path), "complex128"], stderr=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    try:
        said = [process.communicate(timeout=240)[1] for process in ranks]
    finally:
        for process in ranks:
            process.kill()  # one of them may wait for ever for another that failed
    assert [process.returncode for process in ranks] == [0, 0], said
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert torch.equal(first["params"], second["params"])
    for name in ("value", "error", "variance"):
        assert torch.equal(first[name], second[name])
    assert not torch.equal(first["acceptance"], second["acceptance"])  # chains of their own
    h, state = HEISENBERG, symmetric(HEISENBERG, dtype=torch.complex128)
    alone = optimise(state, h, generator=dice(10), chains=300, steps=60)
    ratio = first["error"][0].item() / alone.history["error"][0]
    assert ratio == pytest.approx(1, abs=0.5)  # as many samples, the energies of all ranks together
    assign(state, first["params"])
    trained = rayleigh(state, h).item()
    exact, _ = h.ground_state()
    assert -1e-12 < (trained - exact) / abs(exact) < 1e-3
    assert first["value"][-1].item() == pytest.approx(trained, abs=5 * first["error"][-1].item() + 1e-3)
    assert alone.value == pytest.approx(trained, abs=5 * alone.history["error"][-1] + 0.02)


def test_a_run_with_momentum_and_averages_goes_on_with_the_same_bits(tmp_path):
    options = {"chains": 20, "momentum": 0.9, "clip": 5.0, "average": 4}
    whole, broken = machine(), machine()
    optimise(whole, ISING, generator=dice(), steps=8, **options)
    path = tmp_path / "run"
    optimise(broken, ISING, generator=dice(), steps=6, checkpoint=path, **options | {"average": 4})
    assert not torch.equal(flatten(whole), flatten(broken))
    again = machine()
    optimise(again, ISING, generator=dice(), steps=6, checkpoint=path, **options)
    torch.testing.assert_close(flatten(again), flatten(broken), rtol=0, atol=0)


def test_clipping_draws_outliers_in_and_leaves_values_alone():
    state = machine()
    fit = optimise(state, ISING, generator=dice(), steps=20, chains=100, clip=3.0, momentum=0.5)
    assert fit.value < -6
    with pytest.raises(ValueError, match="clip: got 0"):
        optimise(state, ISING, generator=dice(), steps=1, clip=0.0)
    with pytest.raises(ValueError, match="average: got 0"):
        optimise(state, ISING, generator=dice(), steps=1, average=0)

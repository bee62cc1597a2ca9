"""The linear method: expansion against autograd, Ritz values, several starts, quadrature weights."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import eigh
from torch import nn

from nnbook.networks import MLP, as_function, flatten
from nnbook.train import checkpoints
from nnbook.train.linear_method import minimise
from nnbook.train.problems import RayleighQuotient

seeds = st.integers(0, 2**31)


def drawn(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@cache
def oscillator(rule, count=60):
    """(p^2 + x^2) / 2 on Gauss points; the operator is dense and symmetric in the weighted product only."""
    if rule == "hermite":  # spectral: H = sum_n |n> (n + 1/2) <n|
        x, w = np.polynomial.hermite.hermgauss(count)
        w = w * np.exp(x**2)
        phi = [np.pi**-0.25 * np.exp(-(x**2) / 2), np.pi**-0.25 * np.sqrt(2) * x * np.exp(-(x**2) / 2)]
        for n in range(2, count):
            phi.append(np.sqrt(2 / n) * x * phi[-1] - np.sqrt((n - 1) / n) * phi[-2])
        phi = np.array(phi)
        matrix = phi.T @ ((np.arange(count) + 0.5)[:, None] * phi * w)
    else:  # Galerkin: <f|H|g> = int f' g' / 2 + int f V g, with derivatives of Legendre polynomials
        t, w = np.polynomial.legendre.leggauss(count)
        x, w = 8 * t, 8 * w
        legendre = np.polynomial.legendre
        values = legendre.legvander(t, count - 1)
        slopes = np.array([legendre.legval(t, legendre.legder(row)) for row in np.eye(count)]).T / 8
        derivative = slopes @ np.linalg.inv(values)
        matrix = (derivative.T @ (w[:, None] * derivative) + np.diag(w * x**2)) / 2 / w[:, None]
    matrix, points, weights = (torch.as_tensor(a) for a in (matrix, x[:, None], w))
    return RayleighQuotient(points, lambda f: matrix @ f, weights)


RULES = ["hermite", "legendre"]


class Gaussian(nn.Module):
    """exp(-a x^2 / 2), whose energy in the oscillator is (a + 1/a) / 4."""

    def __init__(self, a):
        super().__init__()
        self.log_a = nn.Parameter(torch.tensor([a], dtype=torch.float64).log())

    def forward(self, x):
        return torch.exp(-self.log_a.exp() * x[:, 0] ** 2 / 2)


class Linear(nn.Module):
    """sum_k c_k phi_k(x) with functions that are neither orthogonal nor normalised."""

    def __init__(self, count=4, seed=1):
        super().__init__()
        self.c = nn.Parameter(drawn(count, seed=seed))

    def basis(self, x):
        return torch.cos(x - 0.4) ** torch.arange(len(self.c)) * torch.exp(-0.3 * x**2)

    def forward(self, x):
        return self.basis(x) @ self.c


def matrices(problem, model, below=None):
    """H and S of the basis functions, projected orthogonal to the states below."""
    phi = model.basis(problem.points).detach()
    if below is not None:
        phi = phi - below @ (below.T @ (problem.weights[:, None] * phi))
    bra = (problem.weights[:, None] * phi).T
    h, s = bra @ problem.operator(phi), bra @ phi
    return ((h + h.T) / 2).numpy(), s.numpy()


def network(seed=1, hidden=(5,)):
    """A network that decays at both ends."""
    generator = torch.Generator().manual_seed(seed)
    mlp = MLP(1, hidden, activation="tanh", generator=generator, dtype=torch.float64)
    return nn.Sequential(mlp, nn.Flatten(0))


def windowed(function):
    return lambda p, x: function(p, x) * torch.exp(-0.4 * x[:, 0] ** 2)


def ground(problem):
    """The lowest state as a column, normalised in the weighted product."""
    root = problem.weights.sqrt()
    matrix = root[:, None] * problem.operator(torch.eye(len(root), dtype=torch.float64)) / root
    return (torch.linalg.eigh((matrix + matrix.T) / 2)[1][:, 0] / root)[:, None]


# The problem


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("a", [0.7, 1.0, 1.3])
def test_energy_of_a_gaussian_is_analytic(rule, a):
    model = Gaussian(a)
    energy = oscillator(rule).value(as_function(model), flatten(model))
    assert energy.item() == pytest.approx((a + 1 / a) / 4, abs=1e-10)


@pytest.mark.parametrize("rule", RULES)
def test_state_is_normalised_and_orthogonal_to_those_below(rule):
    problem, model = oscillator(rule), network()
    below = ground(problem)
    problem = RayleighQuotient(problem.points, problem.operator, problem.weights, below)
    psi = problem.state(windowed(as_function(model)), flatten(model))
    assert problem.weights @ psi**2 == pytest.approx(1, abs=1e-13)
    assert abs(below[:, 0] @ (problem.weights * psi)) < 1e-13


@settings(deadline=None, max_examples=20)
@given(seeds, st.sampled_from([-3.0, 1e-6, 0.5, 1e6]))
def test_scale_and_sign_of_the_wave_function_do_not_matter(seed, factor):
    problem, model = oscillator("hermite"), network(seed)
    function, params = windowed(as_function(model)), flatten(model)
    here = problem.expand(function, params)
    scaled = problem.expand(lambda p, x: factor * function(p, x), params)
    assert scaled.energy.item() == pytest.approx(here.energy.item(), rel=1e-12)
    for name in ("gradient", "curvature", "metric"):
        torch.testing.assert_close(getattr(scaled, name), getattr(here, name), rtol=1e-9, atol=1e-10)


@settings(deadline=None, max_examples=20)
@given(seeds, st.booleans(), st.sampled_from(RULES))
def test_gradient_is_half_that_of_autograd(seed, excited, rule):
    problem, model = oscillator(rule), network(seed)
    if excited:
        problem = RayleighQuotient(problem.points, problem.operator, problem.weights, ground(problem))
    function, params = windowed(as_function(model)), flatten(model)
    here = problem.expand(function, params)
    params.requires_grad_()
    value = problem.value(function, params)
    (gradient,) = torch.autograd.grad(value, params)
    assert here.energy.item() == pytest.approx(value.item(), abs=1e-11)
    torch.testing.assert_close(here.gradient, gradient / 2, rtol=1e-8, atol=1e-9)


@settings(deadline=None, max_examples=10)
@given(seeds)
def test_metric_and_curvature_are_made_of_the_tangent_vectors(seed):
    problem, model = oscillator("hermite"), network(seed)
    function, params = windowed(as_function(model)), flatten(model)
    tangents = torch.func.jacfwd(lambda p: problem.state(function, p))(params)
    here = problem.expand(function, params)
    metric = tangents.T @ (problem.weights[:, None] * tangents)
    torch.testing.assert_close(here.metric, metric, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(here.tangents, tangents, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(here.pull @ tangents, here.curvature, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(here.curvature, here.curvature.T, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_curvature_of_a_linear_model_is_half_the_projected_hessian(seed):
    problem, model = oscillator("hermite"), Linear(seed=seed)
    function, c = as_function(model), flatten(model)
    _, s = matrices(problem, model)
    s = torch.as_tensor(s)
    projector = torch.eye(len(c), dtype=torch.float64) - torch.outer(c, s @ c) / (c @ s @ c)
    hessian = torch.func.hessian(lambda p: problem.value(function, p))(c)
    expected = projector.T @ hessian @ projector / 2
    torch.testing.assert_close(problem.expand(function, c).curvature, expected, rtol=1e-9, atol=1e-10)


def test_energy_near_an_eigenstate_is_quadratic_in_the_step():
    """Where H psi = E psi the network's own curvature drops out: the error of E + d A d is of third order."""
    problem, model = oscillator("hermite"), Gaussian(1.0)
    function, here = as_function(model), flatten(model)
    expansion = problem.expand(function, here)
    assert expansion.gradient.abs().max() < 1e-12
    sizes = np.array([0.1, 0.05, 0.025])
    error = [
        (problem.value(function, here + d) - expansion.energy - d**2 * expansion.curvature[0, 0]).abs().item()
        for d in sizes
    ]
    slope = np.polyfit(np.log(sizes), np.log(error), 1)[0]
    assert slope > 2.9


# The descent


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(3))
def test_minimum_of_a_linear_model_is_the_ritz_value(rule, seed):
    problem, model = oscillator(rule), Linear(seed=seed)
    (ritz, *_), _ = eigh(*matrices(problem, model))
    fit = minimise(problem, model, tolerance=1e-13)
    assert fit.converged
    assert fit.value == pytest.approx(ritz, abs=1e-11)


@pytest.mark.parametrize("level", [1, 2])
def test_minimum_above_states_below_is_the_next_ritz_value(level):
    problem, model = oscillator("hermite"), Linear()
    energies, c = eigh(*matrices(problem, model))
    below = (model.basis(problem.points) @ torch.as_tensor(c)).detach()[:, :level]
    problem = RayleighQuotient(problem.points, problem.operator, problem.weights, below)
    assert minimise(problem, model, tolerance=1e-13).value == pytest.approx(energies[level], abs=1e-11)


@pytest.mark.parametrize("seed", range(3))
def test_curvature_from_fewer_points_does_not_move_the_minimum(seed):
    rough, problem, model = oscillator("legendre", 14), oscillator("legendre"), Linear(seed=seed)
    (coarse, *_), _ = eigh(*matrices(rough, model))
    (ritz, *_), _ = eigh(*matrices(problem, model))
    assert abs(coarse - ritz) > 1e-4
    fit = minimise(replace(problem, coarser=rough), model, tolerance=1e-13)
    assert fit.converged
    assert fit.value == pytest.approx(ritz, abs=1e-11)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("accelerate", [True, False])
@pytest.mark.parametrize("a", [0.6, 1.5])
def test_gaussian_finds_the_oscillator_s_width(rule, accelerate, a):
    model = Gaussian(a)
    fit = minimise(oscillator(rule), model, accelerate=accelerate, tolerance=1e-13)
    assert fit.value == pytest.approx(0.5, abs=1e-11)
    assert model.log_a.item() == pytest.approx(0, abs=1e-5)


class Decaying(nn.Module):
    """A positive network whose tails decay."""

    def __init__(self, seed=1):
        super().__init__()
        self.net = network(seed)

    def forward(self, x):
        return nn.functional.softplus(self.net(x) - 0.5 * x[:, 0] ** 2)


def coarse_to_fine():
    return [oscillator("hermite", 40), oscillator("hermite", 60)]


@pytest.fixture(scope="module")
def trained():
    model = Decaying()
    starts = torch.stack([flatten(Decaying(seed)) for seed in range(4)])
    fit = minimise(coarse_to_fine(), model, starts=starts, explore=5, steps=60)
    return model, starts, fit


def test_network_comes_close_to_the_ground_state_from_above(trained):
    _, _, fit = trained
    assert 0.5 - 1e-12 < fit.value < 0.5 + 1e-5


def test_history_tells_stages_and_points_and_values_never_rise_within_a_stage(trained):
    model, starts, fit = trained
    history, fine = fit.history, coarse_to_fine()[-1]
    assert set(zip(history["stage"], history["points"], strict=True)) == {(0, 40), (1, 60)}
    assert np.all(np.diff(history["value"])[np.diff(history["stage"]) == 0] <= 0)
    assert fit.value == pytest.approx(fine.value(as_function(model), flatten(model)).item(), abs=1e-13)
    assert torch.equal(starts[2], flatten(Decaying(2)))  # left alone


def test_several_starts_end_no_higher_than_each_explored_alone(trained):
    _, starts, fit = trained
    coarse = coarse_to_fine()[0]
    alone = [minimise(coarse, Decaying(), starts=start[None], steps=5, tolerance=0).value for start in starts]
    assert fit.history["value"][fit.history["stage"] == 0][-1] <= min(alone) + 1e-12


def test_order_of_the_starts_does_not_matter(trained):
    _, starts, fit = trained
    again = minimise(coarse_to_fine(), Decaying(), starts=starts.flip(0), explore=5, steps=60)
    assert again.value == pytest.approx(fit.value, abs=1e-9)


def test_start_without_energy_is_dropped():
    starts = torch.stack([torch.full_like(flatten(Decaying()), torch.nan), flatten(Decaying())])
    fit = minimise(oscillator("hermite"), Decaying(), starts=starts, explore=5, steps=20)
    assert np.isfinite(fit.history["value"]).all()
    assert fit.value < 0.501


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_steps_are_counted_and_the_last_one_is_reported(steps):
    problem, model = oscillator("hermite"), Decaying()
    fit = minimise(problem, model, steps=steps)
    assert fit.steps == len(fit.history["value"]) == steps
    assert fit.value == pytest.approx(problem.value(as_function(model), flatten(model)).item(), abs=1e-13)
    assert not fit.converged
    assert fit.reason == f"{steps} steps on the last problem were not enough"


def test_operator_may_be_shifted():
    """H + c has the same states, and its energies are higher by c."""
    base, one, two = oscillator("hermite"), Gaussian(1.5), Gaussian(1.5)
    shifted = RayleighQuotient(base.points, lambda f: base.operator(f) - 7 * f, base.weights)
    plain, lower = minimise(base, one, tolerance=1e-13), minimise(shifted, two, tolerance=1e-13)
    assert lower.value == pytest.approx(plain.value - 7, abs=1e-11)
    assert two.log_a.item() == pytest.approx(one.log_a.item(), abs=1e-5)


def test_acceleration_gains_an_order_of_magnitude():
    def error(seed, accelerate):
        fit = minimise(oscillator("hermite"), Decaying(seed), steps=40, tolerance=0, accelerate=accelerate)
        return fit.value - 0.5

    gain = [error(seed, accelerate=False) / error(seed, accelerate=True) for seed in range(4)]
    assert np.exp(np.mean(np.log(gain))) > 10


@pytest.mark.parametrize("bad", [0.0, torch.nan])
def test_starts_without_any_energy_leave_the_model_alone(bad):
    model, starts = Linear(), torch.full((2, 4), bad, dtype=torch.float64)
    before = flatten(model)
    with pytest.warns(RuntimeWarning, match=r"minimise stopped at step 0: the value is inf"):
        fit = minimise(oscillator("hermite"), model, starts=starts, explore=2, steps=2)
    assert (fit.converged, fit.steps) == (False, 0)
    assert torch.equal(flatten(model), before)


class Faint(Decaying):
    """One that grows fainter step by step, unless it is told where its scale is."""

    def __init__(self, seed=1):
        super().__init__(seed)
        self.loudness = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def forward(self, x):
        return torch.exp(self.loudness) * super().forward(x)

    def rescaling(self):
        own = [torch.full_like(p.detach(), p is self.loudness).flatten() for p in self.parameters()]
        return torch.cat(own)


@pytest.mark.parametrize("loudness", [-60.0, -600.0])
def test_faint_wave_function_is_brought_back_into_range(loudness):
    plain, faint = Faint(), Faint()
    with torch.no_grad():
        faint.loudness.fill_(loudness)
    ends = [minimise(oscillator("hermite"), model, steps=30).value for model in (plain, faint)]
    assert ends[1] == pytest.approx(ends[0], abs=1e-9)
    assert -45 < faint.loudness.item() < -30  # 1e-16 is exp(-37)


class Coarse(Gaussian):
    """A Gaussian whose width moves in steps of a thousandth: no short step gains anything."""

    def forward(self, x):
        steps = ((1000 * self.log_a).floor() + 0.5) / 1000
        width = self.log_a + (steps - self.log_a).detach()
        return torch.exp(-width.exp() * x[:, 0] ** 2 / 2)


@pytest.mark.parametrize(("tolerance", "converged"), [(1e-2, True), (1e-12, False)])
def test_rejected_steps_are_converged_only_if_they_promised_little(tolerance, converged):
    """The model promises about 1e-7 where it gets stuck."""
    problem, model = oscillator("hermite"), Coarse(1.3)
    fit = minimise(problem, model, tolerance=tolerance, patience=100)
    assert fit.converged is converged
    assert fit.steps < 400
    assert fit.reason.startswith("no step gains anything, the best promised")


# Checkpoints


def resumed(path, stop=None, problems=None, **options):
    """The run of ``trained``, broken off after a number of steps."""
    model, starts = Decaying(), torch.stack([flatten(Decaying(seed)) for seed in range(4)])
    options = {"starts": starts, "explore": 3, "steps": 8, "tolerance": 0, "checkpoint": path, **options}
    return minimise(problems or coarse_to_fine(), model, every=1, **options), flatten(model)


class Interruption(Exception):
    """What a power cut looks like to a test."""


@pytest.mark.parametrize("stop", [1, 4, 7, 14, 15, 20])
def test_interrupted_run_ends_with_the_same_bits(tmp_path, monkeypatch, stop):
    expected, params = resumed(None)
    steps = []

    def broken(old):
        def write(path, state):
            old(path, state)
            steps.append(1)
            if len(steps) == stop:
                raise Interruption

        return write

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "write_checkpoint", broken(checkpoints.write_checkpoint))
        with pytest.raises(Interruption):
            resumed(tmp_path / "run.pt")
    fit, again = resumed(tmp_path / "run.pt")
    assert fit.steps == expected.steps > stop
    for name in ("value", "stage", "points"):
        assert fit.history[name].tobytes() == expected.history[name].tobytes()
    assert torch.equal(params, again)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"accelerate": False}, r"method explore 3, accelerate True.*; expected method .* False, part 0.1"),
        ({"starts": None}, r"starts 4 of 16 parameters, torch.float64; expected starts 1 of 16"),
        ({"problems": [oscillator("hermite", 40)]}, "holds a run with problems .*; expected problems"),
        ({"operator": 1.001}, "expected the same data, couplings"),
    ],
)
def test_checkpoint_of_another_problem_is_refused(tmp_path, change, message):
    resumed(tmp_path / "run.pt")
    if "operator" in change:
        factor, whole = change.pop("operator"), coarse_to_fine()
        change = {"problems": [replace(p, operator=lambda f, p=p: factor * p.operator(f)) for p in whole]}
    with pytest.raises(ValueError, match=message):
        resumed(tmp_path / "run.pt", **change)


# Bad input


@pytest.mark.parametrize(
    ("problem", "model", "options", "message"),
    [
        (
            oscillator("legendre"),
            Gaussian(1.0),
            {"tolerance": np.nan},
            "tolerance: got nan",
        ),
        (oscillator("legendre"), Gaussian(1.0), {"explore": 0}, "explore: got 0, expected a whole number"),
        (oscillator("legendre"), Gaussian(1.0), {"steps": 0}, "steps: got 0, expected a whole number"),
        (oscillator("legendre"), Gaussian(1.0), {"patience": 0}, "patience: got 0, expected a whole number"),
        ([], Gaussian(1.0), {}, "problem: got an empty sequence"),
        (
            oscillator("legendre"),
            MLP(1, (3,), dtype=torch.float64),
            {},
            r"model: got values of shape \(60, 1\), expected \(60,\)",
        ),
        *(
            (
                oscillator("hermite"),
                Gaussian(1.0),
                {"starts": torch.ones(shape, dtype=torch.float64)},
                r"starts: got shape \(.*\), expected \(starts, 1\), one parameter",
            )
            for shape in [(1,), (2, 3), (1, 1, 1)]
        ),
    ],
)
def test_bad_input_is_named(problem, model, options, message):
    with pytest.raises(ValueError, match=message):
        minimise(problem, model, **options)

"""First-order training: minima, the meaning of its values, bit-identical resume, other problems refused."""

from functools import partial

import numpy as np
import pytest
import torch
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, MultiStepLR, OneCycleLR, StepLR

from nnbook.networks import MLP
from nnbook.train.first_order import fit

ADAM = partial(Adam, lr=0.05)
LBFGS = partial(torch.optim.LBFGS, max_iter=4, line_search_fn="strong_wolfe")


def leaf(*values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


class Interruption(Exception):
    """What a power cut looks like to a test."""


class Job:
    """A small regression; ``noisy`` draws each batch from ``generator``, ``dropout`` from PyTorch's own."""

    def __init__(self, *, noisy=False, dropout=False, stop_at=None, scale=1.0, **options):
        self.generator = torch.Generator().manual_seed(5)
        self.model = MLP(2, (6,), generator=self.generator, dtype=torch.float64)
        self.x = torch.randn(30, 2, generator=self.generator, dtype=torch.float64)
        self.options = {"optimiser": ADAM, "every": 10, "generator": self.generator} | options
        self.noisy, self.dropout, self.calls, self.stop_at, self.scale = noisy, dropout, 0, stop_at, scale
        torch.manual_seed(6)

    def loss(self):
        self.calls += 1
        if self.calls == self.stop_at:
            raise Interruption
        x = self.x
        if self.noisy:
            x = x[torch.randint(30, (8,), generator=self.generator)]
        kept = torch.nn.functional.dropout(x, 0.3, training=self.dropout)
        return (self.model(kept)[:, 0] - self.scale * x.sin().prod(1)).square().mean()

    def run(self, steps, checkpoint=None, **options):
        return fit(
            self.loss, self.model.parameters(), steps=steps, checkpoint=checkpoint, **self.options | options
        )


def bits(job, result):
    return [p.detach().numpy().tobytes() for p in job.model.parameters()], result.history["value"].tobytes()


def quadratic(x):
    """A convex loss with its minimum of 2 at (1, -2, 3)."""
    a = torch.tensor([[2.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 3.0]], dtype=torch.float64)
    return lambda: 2 + 0.5 * (y := x - torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)) @ a @ y


@pytest.mark.parametrize(
    ("optimiser", "steps"),
    [(partial(Adam, lr=0.2), 500), (partial(SGD, lr=0.3), 200), (LBFGS, 10)],
    ids=["Adam", "SGD", "LBFGS"],
)
def test_convex_problem_is_solved(optimiser, steps):
    x = leaf(0.0, 0.0, 0.0)
    result = fit(quadratic(x), [x], steps=steps, optimiser=optimiser)
    assert result.value == pytest.approx(2, abs=1e-10)
    assert x.tolist() == pytest.approx([1, -2, 3], abs=1e-5)
    assert (result.converged, result.steps, result.reason) == (False, steps, "all steps done")


def test_line_search_sees_each_of_its_points():
    """L-BFGS asks for the loss at several points a step; fit makes the same steps as a bare loop."""

    def valley(x):
        return lambda: (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2

    x, bare = leaf(-1.2, 1.0), leaf(-1.2, 1.0)
    optimiser, loss = LBFGS([bare]), valley(bare)

    def closure():
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value

    for _ in range(8):
        optimiser.step(closure)
    fit(valley(x), [x], steps=8, optimiser=LBFGS)
    assert x.tolist() == bare.tolist()


def test_gradient_descent_follows_its_formula():
    """x_n = (1 - lr)^n x_0 for the loss x^2 / 2, one evaluation a step and one before the first."""
    x, calls = leaf(3.0), []
    result = fit(lambda: (calls.append(1), x**2 / 2)[1].sum(), [x], steps=20, optimiser=partial(SGD, lr=0.1))
    np.testing.assert_allclose(result.history["value"], 4.5 * 0.81 ** np.arange(1, 21), rtol=1e-13)
    assert (result.value, len(calls)) == (result.history["value"][-1], 21)


def test_stated_tolerance_ends_the_run():
    x = leaf(0.0, 0.0, 0.0)
    result = fit(quadratic(x), [x], steps=9999, tolerance=1e-9, patience=20)
    assert result.converged
    assert result.steps < 9999
    assert result.reason == "20 steps gained less than 1e-09"
    values = result.history["value"]
    assert min(values[:-20]) - min(values[-20:]) < 1e-9 <= min(values[:-21]) - min(values[-21:-1])


def test_schedule_is_stepped_once_a_step():
    x = leaf(1.0)
    rates = partial(ExponentialLR, gamma=0.5)
    fit(lambda: x.sum(), [x], steps=4, optimiser=partial(SGD, lr=1.0), schedule=rates)
    assert x.item() == 1 - (1 + 0.5 + 0.25 + 0.125)


def test_frozen_parameters_stay():
    x, frozen = leaf(3.0), torch.tensor([2.0], dtype=torch.float64)
    fit(lambda: (x * frozen).square().sum(), [x, frozen], steps=50)
    assert frozen.item() == 2


KINDS = {
    "no schedule": {"noisy": True},
    "cosine": {"schedule": partial(CosineAnnealingLR, T_max=60), "noisy": True},
    "step": {"schedule": partial(StepLR, step_size=7), "noisy": True},
    "milestones": {"schedule": partial(MultiStepLR, milestones=[9, 33]), "noisy": True},
    "one cycle": {"schedule": partial(OneCycleLR, max_lr=0.1, total_steps=60), "noisy": True},
    "LBFGS": {"optimiser": LBFGS},
    "LBFGS, noisy": {"optimiser": LBFGS, "noisy": True},
    "SGD, momentum": {"optimiser": partial(SGD, lr=0.1, momentum=0.9), "noisy": True},
    "dropout": {"dropout": True},
    "rate of NumPy": {"optimiser": partial(Adam, lr=np.logspace(-3, -1, 3)[1])},
}


@pytest.mark.parametrize("stop_at", [1, 12, 38])
@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS.keys())
def test_interrupted_run_ends_with_the_same_bits(tmp_path, options, stop_at):
    whole = Job(**options)
    expected = whole.run(40)
    with pytest.raises(Interruption):
        Job(**options, stop_at=stop_at).run(40, tmp_path / "run.pt")
    again = Job(**options)
    result = again.run(40, tmp_path / "run.pt")
    assert bits(again, result) == bits(whole, expected)
    assert result.value == expected.value


@pytest.mark.parametrize("options", [{"noisy": True}, {"optimiser": LBFGS}, {"dropout": True}])
def test_longer_run_and_finished_run_give_the_same_bits(tmp_path, options):
    whole = Job(**options)
    expected = whole.run(40)
    Job(**options).run(25, tmp_path / "run.pt")
    for calls_at_most in (999, 1):  # the second time, nothing but the value
        again = Job(**options)
        assert bits(again, again.run(40, tmp_path / "run.pt", every=7)) == bits(whole, expected)
        assert again.calls <= calls_at_most


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            {"optimiser": LBFGS},
            r"run.pt holds a run with optimiser Adam .*expected optimiser LBFGS .*delete the",
        ),
        ({"optimiser": partial(Adam, lr=0.01)}, r"'lr': 0.05.*expected optimiser .*'lr': 0.01"),
        (
            {"schedule": partial(StepLR, step_size=7)},
            r"a run with schedule None; expected schedule StepLR .*'step_size': 7",
        ),
        ({"generator": None}, r"generators 2; expected generators 1"),
        ({"scale": 1.001}, r"at a value of \S+, but its parameters now give \S+; expected the same data"),
    ],
)
def test_checkpoint_of_another_problem_is_refused(tmp_path, other, message):
    path = tmp_path / "run.pt"
    Job().run(10, path)
    with pytest.raises(ValueError, match=message):
        Job(**other).run(20, path)
    x = leaf(1.0, 2.0)
    with pytest.raises(ValueError, match=r"parameters \[\(6, 2, 'torch.float64'\).*expected .*\[\(2, 'torch"):
        fit(lambda: x.sum(), [x], steps=10, checkpoint=path)
    assert x.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("parameters", "options", "message"),
    [
        ([], {"steps": 1}, r"params: got no trainable tensor, expected at least one with requires_grad"),
        ([torch.ones(1)], {"steps": 1}, r"params: got no trainable tensor"),
        ([leaf(1.0)], {"steps": -1}, r"steps: got -1, expected a whole number, at least 0"),
        ([leaf(1.0)], {"steps": 1, "patience": 0}, r"patience: got 0, expected a whole number, at least 1"),
        ([leaf(1.0)], {"steps": 1, "tolerance": np.nan}, r"tolerance: got nan, expected a finite number, at"),
        ([leaf(1.0)], {"steps": 1, "optimiser": partial(SGD, lr=np.nan)}, r"lr: got nan, expected a finite"),
    ],
)
def test_nothing_to_do_is_named(parameters, options, message):
    with pytest.raises(ValueError, match=message):
        fit(lambda: torch.zeros(()), parameters, **options)


@pytest.mark.parametrize(
    "optimiser",
    [partial(SGD, lr=0.3), partial(Adam, lr=0.3), partial(torch.optim.LBFGS, lr=0.3, max_iter=2)],
    ids=["SGD", "Adam", "LBFGS"],
)
def test_nan_stops_with_the_last_good_parameters(optimiser):
    x = leaf(1.0)
    with pytest.warns(RuntimeWarning, match=r"fit stopped at step \d+: the value is nan; the last good"):
        result = fit(
            lambda: x.sqrt().sum(), [x], steps=500, optimiser=optimiser
        )  # below zero, sooner or later
    assert result.steps > 0
    assert result.value == x.sqrt().item() == result.history["value"][-1]


def test_divergence_stops():
    """Gradient descent on x^2 / 2 multiplies x by 1 - lr = -2 each step."""
    x = leaf(1.0)
    with pytest.warns(RuntimeWarning, match=r"the value rose from 0.5 to 128; try a smaller learning rate"):
        result = fit(lambda: (x**2).sum() / 2, [x], steps=500, optimiser=partial(SGD, lr=3.0), divergence=100)
    assert result.steps == 3  # the next has 4^4 / 2 > 100 + 1 / 2
    assert result.value == (x**2).item() / 2 == 32


def test_uphill_within_the_limit_goes_on():
    x = leaf(1.0)
    assert fit(lambda: x.sum(), [x], steps=50, optimiser=partial(SGD, lr=1.0, maximize=True)).value == 51

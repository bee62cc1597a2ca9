"""The training loop: what a row means, the guard, Ctrl-C, checkpoints of the right file and problem."""

import re
import signal
import threading
from functools import partial

import numpy as np
import pytest
import torch

from nnbook.networks import MLP, flatten
from nnbook.spins.hamiltonians import ising
from nnbook.spins.lattices import chain
from nnbook.spins.states import RestrictedBoltzmannMachine
from nnbook.train.checkpoints import read_checkpoint
from nnbook.train.first_order import fit
from nnbook.train.gauss_newton import ConvexLoss
from nnbook.train.linear_method import minimise
from nnbook.train.loop import End, run, settled
from nnbook.train.problems import RayleighQuotient
from nnbook.train.quasi_newton import descend
from nnbook.train.sampled import optimise


class Halving:
    """x -> x / 2 with the value x, by hand; ``at`` makes something happen in a step."""

    leaves: list[torch.Tensor]

    def __init__(self, steps=8, factor=0.5, at=None, problem="halving"):
        self.x, self.steps, self.factor, self.at = torch.ones(1), steps, factor, at or {}
        self.problem, self.leaves, self.done = {"task": problem}, [self.x], 0

    def begin(self):
        return self.x.item()

    def step(self):
        self.done += 1
        self.x *= self.factor
        if self.done in self.at:
            self.at[self.done](self.x)
        return {"value": self.x.item(), "twice": 2 * self.x.item()}

    def end(self, values):
        return End(False, "all steps done") if len(values) >= self.steps else None

    def state(self):
        return {"x": self.x.clone(), "done": self.done}

    def load(self, state):
        self.x.copy_(state["x"])
        self.done = state["done"]


def spoil(value, x):
    x.fill_(value)


def ctrl_c(x):
    signal.raise_signal(signal.SIGINT)


def crash(x):
    raise ZeroDivisionError


def singular(x):
    x.fill_(7.0)
    torch.linalg.cholesky(-torch.eye(2))


go = partial(run, label="test")


def test_rows_hold_the_values_after_each_step():
    fit = go(Halving())
    np.testing.assert_array_equal(fit.history["step"], np.arange(1, 9))
    np.testing.assert_array_equal(fit.history["value"], 0.5 ** np.arange(1, 9))
    np.testing.assert_array_equal(fit.history["twice"], 2 * fit.history["value"])
    assert np.all(np.diff(fit.history["seconds"]) >= 0)
    assert (fit.value, fit.steps, fit.converged) == (0.5**8, 8, False)
    assert fit.seconds == fit.history["seconds"][-1]
    assert repr(fit) == "0.00390625 after 8 steps: all steps done"


def test_no_step_gives_the_value_at_the_start():
    fit = go(Halving(steps=0))
    assert (fit.value, fit.steps, fit.seconds, len(fit.history["value"])) == (1, 0, 0, 0)


@pytest.mark.parametrize(
    ("trainer", "why"),
    [
        (Halving(at={4: partial(spoil, torch.nan)}), "the value is nan"),
        (Halving(at={4: partial(spoil, torch.inf)}), "the value is inf"),
        (Halving(at={4: partial(spoil, 101.0)}), r"rose from 0.125 to 101; try a smaller learning rate"),
        (Halving(at={4: singular}), "cholesky"),
    ],
)
def test_failure_keeps_the_last_good_state_and_says_so(trainer, why):
    with pytest.warns(RuntimeWarning, match=rf"test stopped at step 3: .*{why}.*; the last good parameters"):
        fit = go(trainer, divergence=100)
    assert (fit.value, fit.steps, fit.converged, trainer.x.item()) == (0.125, 3, False, 0.125)
    assert fit.reason.startswith("stopped at step 3")


def test_start_that_is_not_finite_stays():
    trainer = Halving()
    trainer.x.fill_(torch.nan)
    with pytest.warns(RuntimeWarning, match="stopped at step 0: the value is nan"):
        assert go(trainer).steps == 0


@pytest.mark.parametrize(
    ("values", "expected"),
    [([3, 2, 1], False), ([3, 1, 1, 1], True), ([3, 1, 2, 1], True), ([1, 1], False), ([5, 4, 3, 2], False)],
)
def test_settled_when_patience_steps_gain_nothing(values, expected):
    assert settled(values, 0.5, 2) is expected


# What all trainers have to obey

DICE = torch.Generator().manual_seed(1)
X, Y = torch.randn(2, 20, 1, generator=DICE, dtype=torch.float64)
WEIGHTS, H = torch.ones(20, dtype=torch.float64), ising(chain(6), field=1.0)


def net():
    return MLP(1, (4,), generator=DICE.manual_seed(2), dtype=torch.float64, device="cpu")


def first_order(**options):
    model = net()
    return fit(lambda: (model(X) - Y).square().mean(), model.parameters(), generator=DICE, **options)


def linear_method(**options):
    model = torch.nn.Sequential(net(), torch.nn.Flatten(0))
    starts = torch.stack([flatten(net()), 2 * flatten(net())])
    problem = RayleighQuotient(X, lambda f: X**2 * f, WEIGHTS)
    return minimise(problem, model, starts=starts, explore=2, tolerance=0, **{"steps": 3} | options)


def gauss_newton(**options):
    return minimise(ConvexLoss(X, Y, WEIGHTS), net(), tolerance=0, **options)


def quasi_newton(every, **options):
    return descend(lambda p: ((p**4).sum(1), 4 * p**3), Y.mT.repeat(3, 1), **options)[0]


def sampled(**options):
    state = RestrictedBoltzmannMachine(6, 3, generator=DICE.manual_seed(3), device="cpu")
    return optimise(state, H, generator=DICE, chains=20, **options)


@pytest.mark.parametrize("train", [first_order, linear_method, gauss_newton, quasi_newton, sampled])
def test_trainers_obey_the_contract(tmp_path, elsewhere, train):
    """A run in two parts has the bits of one run; all of it where the inputs are."""
    path = tmp_path / "run.pt"
    whole = train(steps=6, every=1)
    train(steps=4, every=1, checkpoint=path)
    again = train(steps=6, every=1, checkpoint=path)
    assert again.steps == whole.steps >= 6
    assert again.history["value"].tobytes() == whole.history["value"].tobytes()
    assert again.value == whole.value == whole.history["value"][-1]


# Ctrl-C


@pytest.fixture
def interruptible():
    """Python's own handler: whoever started the tests may have left another."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_after_the_step_and_the_run_goes_on_later(tmp_path):
    path = tmp_path / "run.pt"
    with pytest.warns(RuntimeWarning, match="stopped at step 3: interrupted"):
        fit = go(Halving(at={3: ctrl_c}), checkpoint=path)
    assert (fit.value, fit.converged) == (0.125, False)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert go(Halving(), checkpoint=path).value == 0.5**8


@pytest.mark.usefixtures("interruptible")
def test_second_ctrl_c_raises_and_the_step_is_undone():
    trainer = Halving(at={3: lambda x: (ctrl_c(x), ctrl_c(x))})
    with pytest.raises(KeyboardInterrupt):
        go(trainer)
    assert trainer.x.item() == 0.25
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_waits_until_an_optimiser_is_made():
    """Its first import may not be broken off: what is half imported stays so."""
    made = []

    def optimiser(leaves):
        ctrl_c(None)
        made.append(torch.optim.Adam(leaves))
        return made[-1]

    with pytest.raises(KeyboardInterrupt):
        fit(lambda: torch.zeros(()), [torch.ones(1, requires_grad=True)], steps=1, optimiser=optimiser)
    assert len(made) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_may_train():
    found = []
    worker = threading.Thread(target=lambda: found.append(go(Halving())))
    worker.start()
    worker.join()
    assert found[0].steps == 8


# Checkpoints


@pytest.mark.parametrize("stop", [1, 4, 5, 8])
def test_broken_run_goes_on_from_its_checkpoint(tmp_path, stop):
    path = tmp_path / "deep" / "run.pt"
    with pytest.raises(ZeroDivisionError):
        go(Halving(at={stop: crash}), checkpoint=path, every=2)
    assert path.exists() is (stop > 2)
    trainer = Halving()
    fit = go(trainer, checkpoint=path)
    np.testing.assert_array_equal(fit.history["value"], 0.5 ** np.arange(1, 9))
    assert go(Halving(), checkpoint=path).value == fit.value  # finished
    assert [file.name for file in path.parent.iterdir()] == ["run.pt"]


def test_failed_run_keeps_its_last_checkpoint(tmp_path):
    path = tmp_path / "run.pt"
    with pytest.warns(RuntimeWarning, match="stopped at step 5"):
        go(Halving(at={6: partial(spoil, torch.nan)}), checkpoint=path, every=2)
    assert read_checkpoint(path)["columns"]["value"] == [0.5, 0.25, 0.125, 0.0625]


def test_other_problem_is_refused_by_its_name_and_by_its_value(tmp_path):
    path, other = tmp_path / "run.pt", Halving(problem="thirds")
    go(Halving(), checkpoint=path)
    with pytest.raises(
        ValueError, match=r"run.pt holds a run with task halving; expected task thirds; delete"
    ):
        go(other, checkpoint=path)
    assert other.x.item() == 1
    other = Halving()
    other.begin = lambda: 3 * other.x.item()
    with pytest.raises(
        ValueError, match=r"written at a value of 0.00390625, .* now give 0.01171875; expected the same data"
    ):
        go(other, checkpoint=path)
    assert other.x.item() == 1


def test_link_is_followed(tmp_path):
    target, link = tmp_path / "far" / "target.pt", tmp_path / "link.pt"
    link.symlink_to(target)
    for steps in (4, 8):
        go(Halving(steps), checkpoint=link)
    assert link.is_symlink()
    assert read_checkpoint(target)["columns"]["value"][-1] == 0.5**8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, r"every: got 0, expected a whole number, at least 1"),
        ({"divergence": float("nan")}, r"divergence: got nan, expected a finite number above 0"),
        ({"divergence": -1.0}, r"divergence: got -1, expected a finite number above 0"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        go(Halving(), **options)


@pytest.mark.parametrize("watched", [True, False])
def test_progress_shows_only_when_somebody_watches(monkeypatch, capsys, watched):
    monkeypatch.setattr("nnbook.train.loop.watched", lambda: watched)
    run(Halving(), label="a parabola")
    out, err = capsys.readouterr()
    assert (out, re.search("a parabola", err) is not None, bool(err)) == ("", watched, watched)

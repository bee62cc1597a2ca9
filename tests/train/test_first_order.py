"""First-order training: minima, bit-identical resume, atomic checkpoints, the guard."""

import re
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

    def __init__(self, *, optimiser=ADAM, schedule=None, noisy=False, dropout=False, stop_at=None):
        self.generator = torch.Generator().manual_seed(5)
        self.model = MLP(2, (6,), generator=self.generator, dtype=torch.float64)
        self.x = torch.randn(30, 2, generator=self.generator, dtype=torch.float64)
        self.options = {"optimiser": optimiser, "schedule": schedule}
        self.noisy, self.dropout, self.calls, self.stop_at = noisy, dropout, 0, stop_at
        torch.manual_seed(6)

    def loss(self):
        self.calls += 1
        if self.calls == self.stop_at:
            raise Interruption
        x = self.x
        if self.noisy:
            x = x[torch.randint(30, (8,), generator=self.generator)]
        kept = torch.nn.functional.dropout(x, 0.3, training=self.dropout)
        return (self.model(kept)[:, 0] - x.sin().prod(1)).square().mean()

    def run(self, steps, checkpoint=None, every=10):
        return fit(
            self.loss,
            self.model.parameters(),
            steps=steps,
            checkpoint=checkpoint,
            every=every,
            generator=self.generator,
            **self.options,
        )


def bits(job, result):
    return [p.detach().numpy().tobytes() for p in job.model.parameters()], result.history["value"].tobytes()


def quadratic(x):
    """A convex loss with its minimum of 2 at (1, -2, 3)."""
    a = torch.tensor([[2.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 3.0]], dtype=torch.float64)
    return lambda: 2 + 0.5 * (y := x - torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)) @ a @ y


@pytest.mark.parametrize(
    ("optimiser", "steps"),
    [(partial(Adam, lr=0.1), 1000), (partial(SGD, lr=0.3), 200), (LBFGS, 10)],
    ids=["Adam", "SGD", "LBFGS"],
)
def test_convex_problem_is_solved(optimiser, steps):
    x = leaf(0.0, 0.0, 0.0)
    result = fit(quadratic(x), [x], steps=steps, optimiser=optimiser)
    assert result.value == pytest.approx(2, abs=1e-10)
    assert x.tolist() == pytest.approx([1, -2, 3], abs=1e-5)
    assert (result.converged, result.steps, result.reason) == (True, steps, "all steps done")


def test_gradient_descent_follows_its_formula():
    """x_n = (1 - lr)^n x_0 for the loss x^2 / 2; history holds the loss before each step."""
    x = leaf(3.0)
    result = fit(lambda: (x**2).sum() / 2, [x], steps=20, optimiser=partial(SGD, lr=0.1))
    np.testing.assert_allclose(result.history["value"], 4.5 * 0.81 ** np.arange(20), rtol=1e-13)
    assert result.value == pytest.approx(4.5 * 0.81**20, rel=1e-13)


def test_schedule_is_stepped_once_a_step():
    x = leaf(1.0)
    rates = partial(ExponentialLR, gamma=0.5)
    fit(lambda: x.sum(), [x], steps=4, optimiser=partial(SGD, lr=1.0), schedule=rates)
    assert x.item() == 1 - (1 + 0.5 + 0.25 + 0.125)


def test_history_has_one_entry_a_step_and_time_goes_forward():
    result = Job().run(25)
    assert {len(column) for column in result.history.values()} == {25}
    assert result.history["step"].tolist() == list(range(25))
    assert np.all(np.diff(result.history["seconds"]) >= 0)
    assert result.seconds == result.history["seconds"][-1]


def test_no_steps_leave_everything_as_it_was():
    x = leaf(2.0)
    result = fit(lambda: (x**2).sum(), [x], steps=0)
    assert (result.value, result.steps, result.seconds, x.item()) == (4, 0, 0, 2)


def test_frozen_parameters_stay():
    x, frozen = leaf(3.0), torch.tensor([2.0], dtype=torch.float64)
    fit(lambda: (x * frozen).square().sum(), [x, frozen], steps=50)
    assert frozen.item() == 2


def test_prints_itself_as_value_steps_and_reason():
    x = leaf(3.0)
    assert repr(fit(lambda: 0 * x.sum() + 0.5, [x], steps=7)) == "0.5 after 7 steps: all steps done"


SCHEDULES = {
    "none": None,
    "cosine": partial(CosineAnnealingLR, T_max=60),
    "step": partial(StepLR, step_size=7),
    "milestones": partial(MultiStepLR, milestones=[9, 33]),
    "one cycle": partial(OneCycleLR, max_lr=0.1, total_steps=60),
}


@pytest.mark.parametrize("stop_at", [1, 10, 11, 38, 47])
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"schedule": schedule, "noisy": True}, id=f"Adam, {name}")
        for name, schedule in SCHEDULES.items()
    ]
    + [
        pytest.param({"optimiser": LBFGS}, id="LBFGS"),
        pytest.param({"optimiser": LBFGS, "noisy": True}, id="LBFGS, noisy"),
        pytest.param({"optimiser": partial(SGD, lr=0.1, momentum=0.9), "noisy": True}, id="SGD, momentum"),
        pytest.param({"dropout": True}, id="dropout"),
    ],
)
def test_interrupted_run_ends_with_the_same_bits(tmp_path, options, stop_at):
    whole = Job(**options)
    expected = whole.run(50)
    with pytest.raises(Interruption):
        Job(**options, stop_at=stop_at).run(50, tmp_path / "run.pt")
    again = Job(**options)
    result = again.run(50, tmp_path / "run.pt")
    assert bits(again, result) == bits(whole, expected)
    assert result.value == expected.value


@pytest.mark.parametrize("options", [{"noisy": True}, {"optimiser": LBFGS}, {"dropout": True}])
def test_run_made_longer_ends_with_the_same_bits(tmp_path, options):
    whole = Job(**options)
    expected = whole.run(40)
    Job(**options).run(25, tmp_path / "run.pt")
    longer = Job(**options)
    assert bits(longer, longer.run(40, tmp_path / "run.pt")) == bits(whole, expected)


def test_finished_run_gives_its_result_again(tmp_path):
    first, again = Job(noisy=True), Job(noisy=True)
    expected = first.run(30, tmp_path / "run.pt")
    result = again.run(30, tmp_path / "run.pt")
    assert bits(again, result) == bits(first, expected)
    assert (result.value, result.steps) == (expected.value, 30)
    assert again.calls == 1  # nothing but the value


def test_checkpoints_change_no_bit(tmp_path):
    with_file, without = Job(noisy=True), Job(noisy=True)
    assert bits(with_file, with_file.run(30, tmp_path / "run.pt", every=7)) == bits(without, without.run(30))


def test_checkpoint_makes_its_folder_and_leaves_one_file(tmp_path):
    Job().run(20, tmp_path / "new" / "run.pt")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["run.pt"]


def half_written(state, path):
    path.write_bytes(b"half a check")
    raise OSError("disk full")


def test_crash_while_saving_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    with pytest.raises(Interruption):
        Job(noisy=True, stop_at=15).run(50, path)
    old = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", half_written)
        with pytest.raises(OSError, match="disk full"):
            Job(noisy=True).run(50, path)
    assert path.read_bytes() == old

    whole, again = Job(noisy=True), Job(noisy=True)
    assert bits(again, again.run(50, path)) == bits(whole, whole.run(50))
    assert [file.name for file in tmp_path.iterdir()] == ["run.pt"]


def test_checkpoint_of_another_model_or_optimiser_is_refused(tmp_path):
    path = tmp_path / "run.pt"
    Job().run(10, path)
    with pytest.raises(
        ValueError, match=r"checkpoint: .*run.pt holds Adam .*expected LBFGS.*delete the file"
    ):
        Job(optimiser=LBFGS).run(10, path)
    other = leaf(1.0, 2.0)
    with pytest.raises(
        ValueError, match=r"holds Adam and parameters \[\(6, 2\).*expected Adam and \[\(2,\)\]"
    ):
        fit(lambda: other.sum(), [other], steps=10, checkpoint=path)
    assert other.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("parameters", "options", "message"),
    [
        ([], {"steps": 1}, r"got 0 trainable tensors.*expected at least one tensor with requires_grad"),
        ([torch.ones(1)], {"steps": 1}, r"got 0 trainable tensors"),
        ([leaf(1.0)], {"steps": -1}, r"steps=-1.*expected.*steps >= 0"),
        ([leaf(1.0)], {"steps": 1, "every": 0}, r"every=0.*expected.*every >= 1"),
    ],
)
def test_nothing_to_do_is_named(parameters, options, message):
    with pytest.raises(ValueError, match=message):
        fit(lambda: torch.zeros(()), parameters, **options)


def stopped(loss, x, optimiser, **options):
    """Run into trouble; returns the fit and the step named in its reason."""
    with pytest.warns(RuntimeWarning, match=r"fit stopped at step \d+: the loss .* last good parameters"):
        result = fit(loss, [x], steps=500, optimiser=optimiser, **options)
    return result, int(re.search(r"stopped at step (\d+)", result.reason).group(1))


@pytest.mark.parametrize(
    "optimiser",
    [partial(SGD, lr=0.3), partial(Adam, lr=0.3), partial(torch.optim.LBFGS, lr=0.3, max_iter=2)],
    ids=["SGD", "Adam", "LBFGS"],
)
def test_nan_stops_with_the_last_good_parameters(optimiser):
    x = leaf(1.0)
    result, step = stopped(lambda: x.sqrt().sum(), x, optimiser)  # steps below zero sooner or later
    assert not result.converged
    assert "the loss is nan" in result.reason
    assert step == result.steps > 0
    assert np.isfinite(result.history["value"]).all()
    assert result.value == x.sqrt().item() == result.history["value"][-1]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_nan_at_the_start_leaves_the_start(bad):
    x = leaf(1.0)
    result, step = stopped(lambda: bad * x.sum(), x, ADAM)
    assert (step, result.steps, x.item()) == (0, 0, 1)
    assert not np.isfinite(result.value)


def test_nan_after_the_last_step_is_caught():
    x = leaf(0.1)
    with pytest.warns(RuntimeWarning, match="stopped at step 1: the loss is nan"):
        result = fit(lambda: x.sqrt().sum(), [x], steps=1, optimiser=partial(SGD, lr=1.0))
    assert (x.item(), result.converged) == (0.1, False)


def test_divergence_stops():
    """Gradient descent on x^2 / 2 multiplies x by 1 - lr = -2 each step."""
    x = leaf(1.0)
    result, step = stopped(lambda: (x**2).sum() / 2, x, partial(SGD, lr=3.0), divergence=100)
    assert not result.converged
    assert re.search(r"the loss rose from 0.5 to \S+; try a smaller learning rate", result.reason)
    assert step == 4  # the first with 4^n / 2 > 100 + 1 / 2
    assert result.value == (x**2).item() / 2 <= 100


def test_run_that_stopped_leaves_a_good_checkpoint(tmp_path):
    x = leaf(1.0)
    stopped(lambda: x.sqrt().sum(), x, partial(SGD, lr=0.01), checkpoint=tmp_path / "run.pt", every=5)
    stored = torch.load(tmp_path / "run.pt", weights_only=True)
    assert torch.isfinite(stored["params"][0]).all()
    assert np.isfinite(stored["log"]["value"]).all()


def test_uphill_within_the_limit_goes_on():
    x = leaf(1.0)
    result = fit(lambda: x.sum(), [x], steps=50, optimiser=partial(SGD, lr=1.0, maximize=True))
    assert result.converged
    assert result.value == 51


@pytest.mark.parametrize("watched", [True, False])
def test_progress_shows_only_when_somebody_watches(monkeypatch, capsys, watched):
    monkeypatch.setattr("nnbook.train.first_order.watched", lambda: watched)
    x = leaf(1.0)
    fit(lambda: x.square().sum(), [x], steps=3, label="a parabola")
    out, err = capsys.readouterr()
    assert out == ""
    assert ("a parabola" in err) is watched
    assert bool(err) is watched


def test_same_seed_same_bits():
    one, two = Job(noisy=True), Job(noisy=True)
    assert bits(one, one.run(30)) == bits(two, two.run(30))


def test_checkpoint_that_is_no_checkpoint_is_named(tmp_path):
    path = tmp_path / "broken.pt"
    path.write_bytes(b"half a file")
    x = torch.zeros(1, requires_grad=True)
    with pytest.raises(ValueError, match=r"checkpoint: .*broken.pt cannot be read .*delete the file"):
        fit(lambda: x.square().sum(), [x], steps=1, checkpoint=path)

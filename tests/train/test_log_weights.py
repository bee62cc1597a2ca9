"""Gauss-Newton on log-weights: a Gaussian model of a Gaussian target, where all is known."""

import math
import os
import signal

import pytest
import torch
from torch import nn

from nnbook.networks import flatten
from nnbook.train.log_weights import clipped, fit_log_weights

COVARIANCE = torch.tensor([[2.0, 0.9], [0.9, 1.0]], dtype=torch.float64)
PRECISION = torch.linalg.inv(COVARIANCE)


class Linear(nn.Module):
    """x = A z with triangular A; f = ln q + S by hand, and its derivatives."""

    def __init__(self):
        super().__init__()
        self.lower = nn.Parameter(torch.tensor([0.0, 0.0, 0.0], dtype=torch.float64))  # ln a, b, ln c

    def f(self, params, z):
        a, b, c = params[0].exp(), params[1], params[2].exp()
        x = torch.stack([a * z[:, 0], b * z[:, 0] + c * z[:, 1]], 1)
        log_q = -0.5 * z.square().sum(1) - math.log(2 * math.pi) - params[0] - params[2]
        return log_q + 0.5 * torch.einsum("bi,ij,bj->b", x, PRECISION, x)

    def look(self, generator, batch=64):
        def draw():
            z = torch.randn(batch, 2, generator=generator, dtype=torch.float64)
            params = self.lower.detach()
            return self.f(params, z), torch.autograd.functional.jacobian(lambda p: self.f(p, z), params)

        return draw


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(2)


def test_finds_the_exact_model_from_noise(generator):
    model = Linear()
    fit = fit_log_weights(model.look(generator), model, steps=40, damping=0.01, generator=generator)
    a, b, c = model.lower[0].exp(), model.lower[1], model.lower[2].exp()
    found = torch.stack([a, torch.zeros_like(a), b, c]).reshape(2, 2)
    torch.testing.assert_close(found @ found.mT, COVARIANCE, rtol=1e-4, atol=0)
    assert fit.value < 1e-8
    assert fit.history["ess"][-1] > 1 - 1e-6
    log_z = math.log(2 * math.pi) + 0.5 * float(torch.logdet(COVARIANCE))
    assert fit.history["bound"][-1] == pytest.approx(-log_z, abs=1e-4)


def test_a_step_changes_the_log_weights_by_no_more_than_it_may(generator):
    model = Linear()
    z = torch.randn(500, 2, generator=generator, dtype=torch.float64)
    before = model.f(model.lower.detach(), z)
    fit_log_weights(model.look(generator, 500), model, steps=1, trust=1e-4, last=1.0, generator=generator)
    change = model.f(model.lower.detach(), z) - before
    assert 1e-3 < float(change.std()) < 1.3e-2


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_scores_of_spins_lead_to_the_exact_model(momentum, generator):
    """Two spins with q(s) = 1/(1 + exp(-s a)), a natural gradient to other fields a."""
    model = nn.Module()
    model.fields = nn.Parameter(torch.tensor([0.2, -0.3], dtype=torch.float64))
    target = torch.tensor([1.0, -0.5], dtype=torch.float64)

    def look():
        a = model.fields.detach()
        s = 2 * (torch.rand(200, 2, generator=generator, dtype=torch.float64) < a.sigmoid()).double() - 1
        f = nn.functional.logsigmoid(s * a) - nn.functional.logsigmoid(s * target)
        return f.sum(1), s * torch.sigmoid(-s * a)

    options = {"steps": 40, "damping": 0.0, "ridge": 1e-6, "clip": 100.0, "momentum": momentum}
    assert fit_log_weights(look, model, generator=generator, **options).value < 1e-10
    torch.testing.assert_close(model.fields.detach(), target, rtol=0, atol=1e-4)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_interrupted_training_goes_on_with_the_same_bits(tmp_path, momentum):
    def train(file, stop_at):
        model, generator, calls = Linear(), torch.Generator().manual_seed(7), iter(range(1000))
        draw = model.look(generator)

        def look():
            if next(calls) == stop_at:
                os.kill(os.getpid(), signal.SIGINT)
            return draw()

        options = {"steps": 12, "momentum": momentum, "checkpoint": tmp_path / file}
        fit = fit_log_weights(look, model, generator=generator, **options)
        return flatten(model), fit

    whole, _ = train("whole", -1)
    with pytest.warns(RuntimeWarning, match="interrupted"):
        assert train("parts", 5)[1].steps < 12
    again, fit = train("parts", -1)
    assert fit.steps == 12
    torch.testing.assert_close(again, whole, rtol=0, atol=0)


def test_log_weights_that_are_not_finite_stop_it(generator):
    model = Linear()

    def look():
        f, j = model.look(generator)()
        return f / 0, j

    with pytest.warns(RuntimeWarning, match="the value is nan"):
        assert fit_log_weights(look, model, steps=3, generator=generator).steps == 0


def test_clipping_moves_what_is_far_and_nothing_else():
    f = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0, 100.0], dtype=torch.float64)
    assert clipped(f)[:5].tolist() == f[:5].tolist()
    assert float(clipped(f)[5]) == pytest.approx(2 + 3 * 1.4826 * 1)
    f = torch.tensor([0.0, 0.0, 0.0, 5.0], dtype=torch.float64)  # spins, most of them in one state
    assert clipped(f).tolist() == f.tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps: got 0"),
        ({"trust": 0.0}, "trust: got 0"),
        ({"ridge": -1.0}, "ridge: got -1"),
        ({"last": 2.0}, "last: got 2"),
        ({"damping": math.nan}, "damping: got nan"),
        ({"momentum": 1.5}, "momentum: got 1.5"),
        ({"look": lambda: (torch.zeros(4, 1), torch.zeros(4, 3))}, r"f: got shape \(4, 1\)"),
        ({"look": lambda: (torch.zeros(4), torch.zeros(4, 2))}, r"J: got shape \(4, 2\)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_wrong_input_says_so(change, message, generator):
    model = Linear()
    options = {"look": model.look(generator), "model": model, "steps": 2, "generator": generator}
    with pytest.raises(ValueError, match=message):
        fit_log_weights(**options | change)

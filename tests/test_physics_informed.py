"""Equations as sums of squares: the loss, small fits, and what is refused."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from nnbook.physics_informed import (
    MLP,
    Region,
    Residuals,
    Term,
    covariance,
    flatten,
    gauss_newton,
    oscillation,
    oscillator,
    slope,
    train,
    value,
)

HERE = {"dtype": torch.float64, "device": "cpu"}


def network(seed=1, inputs=2, hidden=(5, 4), outputs=1, activation="tanh"):
    generator = torch.Generator().manual_seed(seed)
    return MLP(inputs, hidden, outputs, activation=activation, generator=generator, **HERE)


def drawn(*shape, seed=1):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), **HERE)


def line(low, high, count):
    return torch.linspace(low, high, count, **HERE)[:, None]


def box(*bounds):
    return Region(*(torch.tensor(b, **HERE) for b in zip(*bounds, strict=True)))


class Unknown(nn.Module):
    def __init__(self):
        super().__init__()
        self.frequency = nn.Parameter(torch.tensor(1.7, **HERE))

    def forward(self, t, u):
        return oscillator(t, u, damping=0.2, frequency=self.frequency)


# Training


def oscillator_terms(points, end=4.0):
    start = line(0, 0, 1)
    return [
        Term("equation", partial(oscillator, damping=0.2, frequency=2.0), line(0, end, points)),
        Term("position", value, start, start + 1),
        Term("velocity", partial(slope, along=0), start),
    ]


def oscillator_net(units, end=4.0):
    net = network(3, 1, (units,))
    net.place_kinks(line(0, end, units), scale=1.0, generator=torch.Generator().manual_seed(3))
    return net


def oscillator_error(net):
    t = line(0, 4, 101)
    with torch.no_grad():
        return abs(net(t).numpy() - oscillation(t, damping=0.2, frequency=2.0)).max()


def test_oscillator_is_solved():
    training = train(oscillator_net(8), oscillator_terms(60), rounds=4, measure=oscillator_error)
    assert training.history["error"][-1] < 1e-3
    assert set(training.history) == {"seconds", "equation", "position", "velocity", "error"}
    assert training.history["equation"][-1] < 0.1 * training.history["equation"][0]
    assert "4 rounds" in repr(training)


def test_fewer_conditions_than_parameters_fit_exactly_and_wrongly():
    net, terms = oscillator_net(12), oscillator_terms(5)
    assert gauss_newton(Residuals(net, terms), steps=60, tolerance=1e-30).value < 1e-20
    assert oscillator_error(net) > 0.05


def test_each_round_but_the_first_has_fresh_points():
    asked = []

    def fresh(net):
        asked.append(net)
        return line(0, 4, 5 + len(asked))

    training = train(
        oscillator_net(4), oscillator_terms(5), rounds=3, fresh=fresh, descend=lambda model: None
    )
    assert len(asked) == 2
    assert len(training.terms[0].points) == 7


class Line(nn.Module):
    """u = a t + b, with both unknown: the network drops out of the residual."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.zeros((), **HERE)), nn.Parameter(torch.ones((), **HERE))

    def forward(self, t, u):
        return self.a * t + self.b


def test_covariance_of_unknowns_is_that_of_linear_regression():
    t, noise = line(0, 1, 30), 0.1
    y = 2 * t - 1 + noise * (drawn(30, 1) - 0.5)
    condition = Line()
    terms = [Term("data", condition, t, y, weight=30 / noise**2)]
    model = Residuals(network(inputs=1), terms)
    gauss_newton(model, steps=30)
    design = np.concatenate([t.numpy(), np.ones((30, 1))], 1)
    best = np.linalg.lstsq(design, y.numpy()[:, 0], rcond=None)[0]
    assert [condition.a.item(), condition.b.item()] == pytest.approx(best.tolist(), abs=1e-6)
    exact = noise**2 * np.linalg.inv(design.T @ design)
    np.testing.assert_allclose(covariance(model)[-2:, -2:].numpy(), exact, rtol=1e-6)


class Twice(nn.Module):
    """u = (a + b) t, and a third unknown that enters nowhere."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.unused = (nn.Parameter(torch.tensor(0.1, **HERE)) for _ in range(3))

    def forward(self, t, u):
        return (self.a + self.b) * t


def test_what_the_terms_do_not_determine_has_no_error_bar_and_is_named():
    model = Residuals(network(inputs=1), [Term("data", Twice(), line(0, 1, 30), line(0, 1, 30))])
    with pytest.warns(RuntimeWarning, match=r"not determine (unused nor a - b|a - b nor unused);"):
        bars = covariance(model).diagonal()
    assert bars.isinf().all()  # no network in the terms either


def test_what_is_determined_together_has_its_error_bars_next_to_what_is_not():
    t, noise = line(0, 1, 30), 0.1
    terms = [Term("line", Line(), t, t, weight=30 / noise**2), Term("more", Twice(), t, t)]
    with pytest.warns(RuntimeWarning, match="not determine"):
        bars = covariance(Residuals(network(inputs=1), terms))
    design = np.concatenate([t.numpy(), np.ones((30, 1))], 1)
    exact = noise**2 * np.linalg.inv(design.T @ design)
    np.testing.assert_allclose(bars[-5:-3, -5:-3].numpy(), exact, rtol=1e-6)
    assert bars.diagonal()[-3:].isinf().all()


def rounds(path=None, count=4):
    generator = torch.Generator().manual_seed(1)
    condition = partial(oscillator, damping=0.2, frequency=2.0)
    fresh = partial(box((0.0, 4.0)).draw_where_wrong, condition=condition, count=9, generator=generator)
    options = {"fresh": fresh, "generator": generator, "checkpoint": path, "measure": oscillator_error}
    return train(oscillator_net(4), oscillator_terms(9), rounds=count, **options)


def test_rounds_go_on_where_they_stopped_with_the_same_bits(tmp_path):
    path = tmp_path / "rounds"
    assert rounds(path, 2).fit.steps == 2
    whole, resumed = rounds(), rounds(path)
    torch.testing.assert_close(flatten(resumed.net), flatten(whole.net), rtol=0, atol=0)
    torch.testing.assert_close(resumed.terms[0].points, whole.terms[0].points, rtol=0, atol=0)
    for name in ("equation", "position", "error"):
        assert resumed.history[name].tolist() == whole.history[name].tolist()


def test_a_training_that_diverges_keeps_the_last_good_network():
    def worse(model):
        with torch.no_grad():
            next(model.parameters()).fill_(math.nan if seen else 0.5)
        seen.append(1)

    seen = []
    with pytest.warns(RuntimeWarning, match="stopped at step 1"):
        done = train(oscillator_net(4), oscillator_terms(9), rounds=3, descend=worse)
    assert next(done.net.parameters()).tolist() == [[0.5]] * 4
    assert not done.fit.converged


def test_unknown_frequency_is_learnt_from_data():
    t, motion = line(0, 4, 25), Unknown()
    seen = torch.from_numpy(oscillation(t, damping=0.2, frequency=2.0))
    terms = [Term("equation", motion, line(0, 4, 60)), Term("data", value, t, seen, weight=100)]
    gauss_newton(Residuals(oscillator_net(8), terms), steps=60, tolerance=1e-14)
    assert motion.frequency.item() == pytest.approx(2.0, abs=1e-3)


def test_training_follows_the_device_of_the_network_and_its_points(elsewhere):
    net, motion, generator = oscillator_net(4), Unknown(), torch.Generator("cpu").manual_seed(1)
    terms = [Term("equation", motion, line(0, 4, 30)), *oscillator_terms(9)[1:]]
    fresh = partial(box((0.0, 4.0)).draw_where_wrong, condition=motion, count=30, generator=generator)
    done = train(net, terms, rounds=2, fresh=fresh, descend=partial(gauss_newton, steps=2))
    model = Residuals(net, done.terms)
    with pytest.warns(RuntimeWarning, match="not determine frequency"):  # every one has its motion
        spread = covariance(model)
    assert {part.device.type for part in (model.points, model.loss(), spread)} == {"cpu"}


# Bad input


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lambda: train(network(), oscillator_terms(3), rounds=0), "at least 1"),
        (
            lambda: train(network(), oscillator_terms(3), rounds=1, fresh=len, checkpoint="a"),
            "generator: got none",
        ),
    ],
)
def test_bad_input_is_explained(bad, message):
    with pytest.raises(ValueError, match=message):
        bad()

"""Equations as sums of squares: the loss, small fits, and what is refused."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from nnbook.networks import as_function
from nnbook.physics_informed import (
    MLP,
    Region,
    Residuals,
    Term,
    burgers,
    covariance,
    flatten,
    gauss_newton,
    oscillation,
    oscillator,
    schroedinger,
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


# The loss


@pytest.mark.parametrize(
    ("condition", "inputs", "outputs"),
    [(partial(burgers, viscosity=0.1), 2, 1), (schroedinger, 2, 2), (Unknown(), 1, 1)],
)
def test_residuals_reach_every_parameter_and_have_the_jacobian_of_autograd(condition, inputs, outputs):
    net = network(inputs=inputs, outputs=outputs)
    terms = [Term("equation", condition, drawn(7, inputs)), Term("data", value, drawn(3, inputs, seed=2))]
    model = Residuals(net, terms)
    values, rows = model.rows()
    torch.testing.assert_close(values, model(model.points))
    cut = as_function(model)
    whole = torch.func.jacrev(lambda p: cut(p, model.points))(flatten(model))
    torch.testing.assert_close(rows, whole)
    # the last bias shifts u: an equation that has u only in its derivatives would not feel it
    assert (rows.flatten(0, 1).abs().amax(0) > 0).all()


def test_loss_is_the_sum_of_its_terms():
    net, x = network(), drawn(5, 2)
    terms = [
        Term("equation", partial(burgers, viscosity=0.1), drawn(8, 2, seed=4)),
        Term("data", value, x, drawn(5, 1, seed=5), weight=30.0),
        Term("boundary", partial(slope, along=1), drawn(3, 2, seed=6), weight=2.0),
    ]
    model = Residuals(net, terms)
    parts = model.each()
    assert model.loss().item() == pytest.approx(sum(parts.values()))
    again = model.problem().value(as_function(model), flatten(model))
    assert again.item() == pytest.approx(sum(parts.values()))
    with torch.no_grad():
        data = 15.0 * (net(x) - terms[1].target).square().mean().item()
    assert parts["data"] == pytest.approx(data)


def test_points_are_drawn_where_the_residual_is():
    region, generator = box((0, 2), (-1, 1)), torch.Generator().manual_seed(1)
    narrow = lambda x, u: torch.exp(-50 * x[:, 1:].square())  # noqa: E731
    points = region.draw_where_wrong(network(), narrow, 1000, generator, share=0.8)
    assert points.shape == (1000, 2)
    assert (points >= region.low).all()
    assert (points <= region.high).all()
    close = (points[:, 1].abs() < 0.2).double().mean().item()
    # 0.8 of them Gaussian with sigma 0.1, the others uniform
    assert close == pytest.approx(0.8 * math.erf(2 / 2**0.5) + 0.2 * 0.2, abs=0.05)
    spread = region.draw_where_wrong(network(), narrow, 1000, generator, share=0.0)
    assert (spread[:, 1].abs() < 0.2).double().mean().item() == pytest.approx(0.2, abs=0.05)


def test_points_are_drawn_even_where_nothing_is_wrong():
    generator = torch.Generator().manual_seed(1)
    points = box((0, 1)).draw_where_wrong(network(inputs=1), lambda x, u: 0 * x, 10, generator)
    assert points.shape == (10, 1)


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


def test_whole_numbers_are_bounds_like_others():
    region = Region(torch.tensor([0, -5]), torch.tensor([10, 5]))
    points = region.draw(100, torch.Generator().manual_seed(1))
    assert len(points.unique(dim=0)) == 100
    assert points.mean(0).tolist() == pytest.approx([5, 0], abs=1.5)


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


def residuals(*terms, **options):
    model = Residuals(network(**options), [Term(f"term {k}", *term) for k, term in enumerate(terms)])
    return model(model.points)


def choose(**options):
    return box((0, 1)).draw_where_wrong(network(inputs=1), value, 10, torch.Generator(), **options)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lambda: Term("data", value, drawn(0, 2)), "n > 0"),
        (lambda: Term("data", value, drawn(3)), r"expected a tensor \(n, inputs\)"),
        (lambda: Term("data", value, drawn(3, 2).numpy()), "points: got a ndarray"),
        (lambda: Term("data", value, drawn(3, 2), drawn(3)), r"add \[:, None\]"),
        (lambda: Term("data", value, drawn(3, 2), drawn(2, 1)), r"a tensor \(3, outputs\)"),
        (lambda: Term("data", value, drawn(1, 2), [[0.0]]), "target: got a list"),
        (lambda: Term("data", value, drawn(3, 2), weight=-1.0), "weight: got -1, expected .* at least 0"),
        (lambda: Term("data", value, drawn(3, 2), weight=math.nan), "weight: got nan"),
        (lambda: residuals(), "at least one"),
        (lambda: residuals((value, drawn(3, 2), drawn(3, 2))), "got 2 columns for 'term 0', expected 1"),
        (lambda: residuals((value, drawn(3, 1)), (value, drawn(3, 2))), r"points with \[1, 2\] inputs"),
        (lambda: residuals((lambda x, u: u.value[:, 0], drawn(3, 2))), r"got shape \(3,\) from 'term 0'"),
        (lambda: residuals((value, drawn(3, 2)), activation="relu"), "activation 'relu'"),
        (lambda: Residuals(network(), [Term("a", value, drawn(3, 2))] * 2), r"names \['a', 'a'\]"),
        (lambda: Residuals(network(), [Term("error", value, drawn(3, 2))]), r"names \['error'\]"),
        (lambda: Residuals(network(), [Term("a", value, drawn(3, 2))])(drawn(2, 2)), "got 2, expected the 3"),
        (lambda: Region([0.0], [1.0]), "low: got a list and for high a list"),
        (lambda: box((0, 0)), "above each"),
        (lambda: Region(drawn(2), drawn(1)), "one bound above each"),
        (lambda: train(network(), oscillator_terms(3), rounds=0), "at least 1"),
        (lambda: choose(share=1.5), "at most 1"),
        (lambda: choose(candidates=3), "candidates: got 3, expected a whole number, at least 10"),
        (lambda: Region(drawn(2) / 0, drawn(2)), "low: got NaN or infinities"),
        (lambda: Term("data", value, drawn(1, 2) / 0), "points: got NaN"),
        (
            lambda: train(network(), oscillator_terms(3), rounds=1, fresh=len, checkpoint="a"),
            "generator: got none",
        ),
    ],
)
def test_bad_input_is_explained(bad, message):
    with pytest.raises(ValueError, match=message):
        bad()

"""Residuals: the loss and its Jacobian, where points are drawn, and what is refused."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from nnbook.derivatives import slope, value
from nnbook.dynamics.equations import burgers, oscillator, schroedinger
from nnbook.dynamics.residuals import Region, Residuals, Term
from nnbook.networks import MLP, as_function, flatten

HERE = {"dtype": torch.float64, "device": "cpu"}


def network(seed=1, inputs=2, hidden=(5, 4), outputs=1, activation="tanh"):
    generator = torch.Generator().manual_seed(seed)
    return MLP(inputs, hidden, outputs, activation=activation, generator=generator, **HERE)


def drawn(*shape, seed=1):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), **HERE)


def box(*bounds):
    return Region(*(torch.tensor(b, **HERE) for b in zip(*bounds, strict=True)))


class Unknown(nn.Module):
    def __init__(self):
        super().__init__()
        self.frequency = nn.Parameter(torch.tensor(1.7, **HERE))

    def forward(self, t, u):
        return oscillator(t, u, damping=0.2, frequency=self.frequency)


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


def test_whole_numbers_are_bounds_like_others():
    region = Region(torch.tensor([0, -5]), torch.tensor([10, 5]))
    points = region.draw(100, torch.Generator().manual_seed(1))
    assert len(points.unique(dim=0)) == 100
    assert points.mean(0).tolist() == pytest.approx([5, 0], abs=1.5)


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
        (lambda: choose(share=1.5), "at most 1"),
        (lambda: choose(candidates=3), "candidates: got 3, expected a whole number, at least 10"),
        (lambda: Region(drawn(2) / 0, drawn(2)), "low: got NaN or infinities"),
        (lambda: Term("data", value, drawn(1, 2) / 0), "points: got NaN"),
    ],
)
def test_bad_input_is_explained(bad, message):
    with pytest.raises(ValueError, match=message):
        bad()

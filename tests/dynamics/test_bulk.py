"""A field in a curved space: exact solutions, order of the steps, derivatives, what is refused."""

import math

import pytest
import torch
from torch.func import jacfwd

from nnbook.dynamics.bulk import BulkFlow, BulkMetric, LearnedMetric
from nnbook.dynamics.splines import spline_basis

F = {"dtype": torch.float64}
KNOTS = torch.linspace(0.1, 1, 8, **F)


def some(n, seed=1):
    return torch.rand(n, generator=torch.Generator().manual_seed(seed), **F)


def test_black_brane_has_the_published_weights():
    eta = torch.linspace(1, 0.1, 10, **F)
    wanted = [3.01, 3.03, 3.05, 3.09, 3.17, 3.31, 3.60, 4.19, 5.59, 10.3]
    assert BulkMetric.schwarzschild(3).h(eta) == pytest.approx(torch.tensor(wanted, **F), abs=6e-3 * 5)


def test_layer_is_the_published_one():
    metric = BulkMetric.schwarzschild(4, horizon=1 / 15)
    flow = BulkFlow(metric, mass2=-3.0, coupling=0.2, steps=15)
    phi, pi = some(3), some(3, 2)
    end = flow.inwards(phi, pi)
    step = (1 / 15 - 1) / 15
    for n in range(15):
        h = 4 / math.tanh(4 * (1 + n * step))
        phi, pi = phi + step * pi, pi - step * (h * pi + 3 * phi - 0.2 * phi**3)
    assert torch.stack(end) == pytest.approx(torch.stack([phi, pi]), rel=1e-12)


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("rk4", 4)])
def test_order_of_the_steps(method, order):
    flows = [
        BulkFlow(BulkMetric.schwarzschild(3, horizon=0.3), steps=n, method=method) for n in (40, 80, 160)
    ]
    ends = [flow.outwards(torch.tensor([0.7], **F))[0] for flow in flows]
    slope = math.log2(float((ends[0] - ends[1]) / (ends[1] - ends[2])))
    assert slope == pytest.approx(order, abs=0.15)


def test_massless_field_has_a_closed_form():
    flow = BulkFlow(BulkMetric.schwarzschild(3), mass2=0.0, coupling=0.0, steps=200, method="rk4")
    start = torch.tensor([1.0], **F)  # pi times sinh(3 eta) is constant
    pi = flow.outwards(0 * start, start)[1]
    assert float(pi) == pytest.approx(math.sinh(0.3) / math.sinh(3), rel=1e-6)


def test_inwards_undoes_outwards():
    flow = BulkFlow(BulkMetric.schwarzschild(3), steps=400, method="rk4")
    phi = torch.tensor([0.3, 0.9], **F)
    back = flow.inwards(*flow.outwards(phi))
    assert back[0] == pytest.approx(phi, abs=1e-6)
    assert flow.horizon_condition(*flow.outwards(phi)) == pytest.approx(0 * phi, abs=1e-4)


def test_learned_metric_passes_its_knots_and_has_a_horizon():
    values = some(8)
    metric = BulkMetric.learned(values, KNOTS)
    assert metric.h(KNOTS) == pytest.approx(1 / KNOTS + values, abs=1e-12)
    close = torch.tensor([1e-6], **F)
    assert float(close * metric.h(close)) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("method", ["euler", "rk4"])
@pytest.mark.parametrize("inwards", [True, False])
def test_varied_pass_is_the_derivative(method, inwards):
    s, phi, pi = some(8), some(3, 2), some(3, 3)

    def end(values, coupling, phi, pi):
        flow = BulkFlow(BulkMetric.learned(values, KNOTS), coupling=coupling, method=method)
        return torch.stack(flow.inwards(phi, pi) if inwards else flow.outwards(phi, pi))

    coupling = torch.tensor(0.7, **F)
    flow = BulkFlow(BulkMetric.learned(s, KNOTS), coupling=0.7, method=method)
    y = torch.zeros(2, 8 + 3, 3, **F)
    y[0, 0], y[1, 0], y[1, -1] = phi, pi, 1
    found = flow.varied(y, spline_basis(flow.places(inwards), KNOTS), inwards=inwards)
    assert found[:, 0] == pytest.approx(end(s, coupling, phi, pi), abs=1e-12)
    by_s = jacfwd(lambda s: end(s, coupling, phi, pi))(s).movedim(-1, 1)
    by_coupling = jacfwd(lambda c: end(s, c, phi, pi))(coupling)
    by_pi = jacfwd(lambda p: end(s, coupling, phi, p))(pi).diagonal(dim1=1, dim2=2)
    wanted = torch.cat([by_s, by_coupling[:, None], by_pi[:, None]], 1)
    assert found[:, 1:] == pytest.approx(wanted, abs=1e-12)


def test_learned_metric_says_what_it_is():
    found = LearnedMetric(BulkMetric.schwarzschild(), KNOTS, KNOTS, KNOTS, KNOTS, 0.5, 1.0, 1e-2, 0.99, 2.1)
    assert "2.10 of 8 numbers" in repr(found)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: BulkMetric.schwarzschild(horizon=-0.1), "horizon: got -0.1, .*; h has its pole"),
        (lambda: BulkMetric.schwarzschild(boundary=0.05), "boundary: got 0.05"),
        (lambda: BulkMetric.schwarzschild(1), "d: got 1"),
        (lambda: BulkMetric.learned(KNOTS[:3], KNOTS), "values: got shape"),
        (lambda: BulkMetric.learned(KNOTS, KNOTS.flip(0)), "knots: got numbers that do not rise"),
        (lambda: BulkFlow(BulkMetric.schwarzschild(), steps=0), "steps: got 0"),
        (lambda: BulkFlow(BulkMetric.schwarzschild(), mass2=math.nan), "mass2: got nan"),
        (lambda: BulkFlow(BulkMetric.schwarzschild(), method="heun"), "method: got 'heun'"),
        (lambda: BulkFlow(BulkMetric.schwarzschild()).inwards(KNOTS, KNOTS[:2]), "pi: got"),
        (
            lambda: BulkFlow(BulkMetric.schwarzschild()).varied(
                torch.zeros(2, 3, 1, **F), torch.zeros(5, 1, **F)
            ),
            "basis: got shape",
        ),
    ],
    ids=["horizon", "boundary", "d", "values", "knots", "steps", "mass", "method", "state", "basis"],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

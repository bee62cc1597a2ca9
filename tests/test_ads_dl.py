"""The leaf of AdS/DL: data, the metric learnt from them, the response to waves."""

import math

import pytest
import torch

from nnbook.ads_dl import (
    BulkFlow,
    BulkMetric,
    Curve,
    learn_metric,
    linear_response,
    observe,
    response,
)

F = {"dtype": torch.float64}
FLOW = BulkFlow(BulkMetric.schwarzschild(3))
TRUE = FLOW.metric.layers(10).flip(0)


def dice(seed=1):
    return torch.Generator().manual_seed(seed)


def off(found):
    return float((found.h / TRUE - 1).square().mean().sqrt())


def test_observed_points_are_in_the_band():
    data = observe(FLOW, 200, generator=dice())
    assert FLOW.horizon_condition(data.phi, data.pi).abs().max() < 0.1
    assert len(data.phi) == 200


def test_response_is_regular_at_the_horizon():
    phi = torch.linspace(0.1, 1.2, 9, **F)
    pi = response(FLOW, phi, torch.zeros_like(phi))
    assert FLOW.horizon_condition(phi, pi) == pytest.approx(0 * phi, abs=1e-10)


def test_metric_from_points_on_the_curve():
    phi = torch.linspace(0.05, 1.4, 100, **F)
    data = Curve(phi, response(FLOW, phi, torch.zeros_like(phi)))
    found = learn_metric(data, FLOW, strengths=[1e-1, 1e-5, 1e-9, 1e-13])
    assert off(found) < 1e-3
    assert found.spectrum[3] < 1e-3 * found.spectrum[0]


def test_metric_from_points_of_the_band_and_its_errors():
    found = learn_metric(observe(FLOW, 1000, generator=dice(5)), FLOW, strengths=[1.0, 1e-1, 1e-2, 1e-3])
    assert off(found) < 4e-3
    assert found.misfit == pytest.approx(1, abs=0.06)
    assert found.degrees == pytest.approx(2, abs=0.2)
    assert ((found.h - TRUE).abs() < 4 * found.bands).all()


def test_linear_field_fixes_one_number_of_the_metric():
    flow = BulkFlow(BulkMetric.schwarzschild(3), coupling=0.0)
    phi = torch.linspace(0.05, 1.4, 40, **F)
    data = Curve(phi, response(flow, phi, torch.zeros_like(phi)))
    found = learn_metric(data, flow, strengths=[1e-3])
    assert found.spectrum[1] < 1e-12 * found.spectrum[0]


def test_response_at_low_frequency_is_that_of_a_static_field():
    knots = FLOW.metric.grid(40)[:-1].flip(0)
    s = FLOW.metric.h(knots) - 1 / knots
    real, imaginary = linear_response(s, knots, torch.tensor([1e-3], **F))
    static = BulkFlow(BulkMetric.schwarzschild(3, horizon=1e-2), coupling=0.0, steps=4000, method="rk4")
    phi, pi = static.outwards(torch.ones(1, **F))
    assert float(real) == pytest.approx(float(pi / phi), abs=1e-4)
    assert -1e-2 < float(imaginary) < 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: Curve(torch.ones(1, **F), torch.ones(1, **F)),
            "data: got 1 of phi and 1 of pi, expected at least two rows",
        ),
        (lambda: Curve(torch.ones(3, **F), torch.ones(2, **F)), "data: got 3 of phi and 2 of pi"),
        (
            lambda: Curve(torch.ones(2, **F), torch.tensor([1.0, math.nan], **F)),
            "data: got nan in row 1, column pi, expected finite numbers",
        ),
        (lambda: Curve(torch.ones(2, **F), torch.ones(2, **F), -1.0), "band: got -1"),
        (lambda: observe(FLOW, 0, generator=dice()), "n: got 0"),
        (lambda: linear_response(TRUE, TRUE.flip(0), torch.tensor([0.0], **F)), "frequencies: got 0"),
    ],
    ids=["one-point", "lengths", "nan", "band", "count", "frequency"],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

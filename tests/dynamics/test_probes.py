"""Surfaces and strings against adaptive quadrature, and the space that comes back from them."""

import numpy as np
import pytest
import torch

from nnbook.dynamics.probes import Geometry, reconstruct
from nnbook.exact.holography import brane, flat, string, strip
from nnbook.train.inverse import choose

F = {"dtype": torch.float64}


@pytest.mark.parametrize("turn", [0.2, 0.8, 0.97])
def test_probes_agree_with_quadrature(turn):
    space, f = Geometry(torch.zeros(5, **F)), brane(3)
    at = torch.tensor([turn], **F)
    for ours, exact in ((space.strips(at), strip(turn, f)), (space.strings(at), string(turn, f, flat))):
        assert [float(v) for v in ours[:2]] == pytest.approx(exact, abs=1e-5)
    assert float(space.strips(at)[2]) == pytest.approx(turn**-2)


def tables(noise, f, chi, count=14):
    rows = [
        [strip(z, f) for z in np.linspace(0.1, 0.97, count)],
        [string(z, f, chi) for z in np.linspace(0.08, 0.78, count)],
    ]
    values = [torch.tensor(row, **F) for row in rows]
    return [torch.cat([v, noise * (1 + v[:, 1:].abs())], 1) for v in values]


def test_both_functions_come_back_from_strips_and_strings():
    f = brane(3)
    data = tables(1e-6, lambda z: f(z) * (1 + 0.2 * z**2), lambda z: 0.3 * z**2)
    best = choose(reconstruct(*data, terms=6, strengths=[1e3, 10.0]))
    z = torch.linspace(0.05, 0.78, 20, **F)
    exact = (1 - z**3) * (1 + 0.2 * z**2)
    assert Geometry(best.params).blackening(z) == pytest.approx(exact, rel=1e-3)
    assert Geometry(best.params).time(z) == pytest.approx(exact * torch.exp(-0.3 * z**2), rel=1e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Geometry(torch.zeros(4, **F)), "params: got shape"),
        (lambda: reconstruct(None, None), "data: got neither"),
        (lambda: reconstruct(-torch.ones(3, 3, **F), None), "strips: got a size"),
    ],
    ids=["params", "no-data", "sizes"],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

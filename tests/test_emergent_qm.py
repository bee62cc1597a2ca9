"""The leaf of the chapter on emergent quantum mechanics: its data, and what looks at them."""

import math

import numpy as np
import pytest
import torch

from nnbook.emergent_qm import (
    condensates,
    intrinsic_dimension,
    potentials,
    products,
    sparse_regression,
    waves,
    windows,
)

F = {"dtype": torch.float64}
A = 0.1


def dice(seed=1):
    return torch.Generator().manual_seed(seed)


def test_potentials_stay_in_their_range_and_waves_are_smooth():
    v = potentials("deep", 50, 200, spacing=A, generator=dice())
    assert -4 <= float(v.min()) < float(v.max()) <= 2
    assert float(v.diff(dim=1).abs().max()) < 4 * 1.5 * 4 * 2.2 * A
    assert float(potentials("rough", 50, 200, spacing=A, generator=dice()).diff(dim=1).std()) > 1


def test_a_condensate_is_a_wave_in_its_own_potential():
    """The propagator with cell averages errs in the second order of the spacing."""
    errors = []
    for cells in (40, 80):
        x = 6.0 / cells * (np.arange(cells) + 0.5)
        found = condensates(0.4 * np.cos(np.pi / 3 * x)[None], 6.0 / cells, interaction=1.0, number=6.0)
        exact = found.wave[:, 1:, 0] / found.wave[:, :1, 0]
        ours = waves(torch.from_numpy(found.potential), 6.0 / cells)[..., 0].numpy()
        errors.append(np.abs(ours - exact).max())
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)


def test_windows_are_pieces_of_the_sequences():
    potential = potentials("deep", 9, 20, spacing=A, generator=dice())
    states = products(waves(potential, A))
    x, y = windows(states, potential, 4, 50, generator=dice())
    assert x.shape == (50, 3 + 4)
    assert y.shape == (50, 15)
    pieces = y.unflatten(1, (5, 3))
    torch.testing.assert_close(pieces[:, 0], x[:, :3])
    # the cone stays a cone
    torch.testing.assert_close(pieces[..., 0] * pieces[..., 2], pieces[..., 1] ** 2)
    assert 0.48 < float(x[:, :3].norm(dim=1).min()) < float(x[:, :3].norm(dim=1).max()) < 1.7


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_the_dimension_of_a_curved_sheet(dimension):
    inner = torch.rand(2000, dimension, generator=dice(), **F)
    sheet = torch.cat([inner, (3 * inner).sin(), inner.square().sum(1, keepdim=True)], 1)
    found, error = intrinsic_dimension(sheet)
    assert abs(found - dimension) < 4 * error + 0.05 * dimension
    assert error == pytest.approx(found / math.sqrt(2000))


def test_sparse_regression_forgets_what_is_small():
    library = torch.randn(400, 4, generator=dice(), **F)
    noise = 0.01 * torch.randn(400, 2, generator=dice(2), **F)
    truth = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.05, -2.0], [0.0, 0.0]], **F)
    found = sparse_regression(library, library @ truth + noise, threshold=0.02)
    torch.testing.assert_close(found != 0, truth != 0)
    torch.testing.assert_close(found, truth, atol=5e-3, rtol=0)
    strict = sparse_regression(library, library @ truth + noise, threshold=0.1)
    assert strict[2, 0] == 0
    assert (sparse_regression(library, library @ truth, threshold=9.0) == 0).all()
    shrunk = sparse_regression(library[:, :1], library[:, :1], threshold=0.0, ridge=400.0)
    expected = float(library[:, 0].square().sum())
    assert float(shrunk) == pytest.approx(expected / (expected + 400))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: windows(torch.ones(2, 5, 3), torch.ones(2, 5), 5, 4), "length: got 5, expected below 5"),
        (lambda: potentials("steep", 1, 9, spacing=A), "kind: got 'steep', expected one of shallow, deep"),
        (lambda: intrinsic_dimension(torch.ones(4, 2, **F)), "points: got two at the same place"),
        (lambda: sparse_regression(torch.ones(4, 2), torch.ones(3, 1), threshold=0.1), "target: got shape"),
    ],
)
def test_wrong_input_says_so(call, message):
    with pytest.raises(ValueError, match=message):
        call()

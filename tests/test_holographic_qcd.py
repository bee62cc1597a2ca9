"""The leaf of holographic QCD: data, the published training, the fit outwards, what is refused."""

import math

import numpy as np
import pytest
import torch

from nnbook.holographic_qcd import (
    CUTOFF,
    BulkFlow,
    Condensate,
    classify,
    dictionary,
    examples,
    lattice_data,
    layered,
    learn_condensate,
)

F = {"dtype": torch.float64}
DATA = lattice_data()


def test_data_are_lattice_numbers():
    assert len(DATA.mass) == 6
    assert DATA.mass[0] / CUTOFF == pytest.approx(0.0008125)
    assert float(DATA.condensate[-1]) == pytest.approx(0.102948908, abs=1e-8)
    assert abs(1000 * CUTOFF / 4 - 207.25) < 1e-9


def test_dictionary_solves_the_equation_close_to_the_boundary():
    mass, condensate, coupling = torch.tensor(0.01, **F), torch.tensor(0.05, **F), 0.02
    phi, pi = dictionary(mass, condensate, 3.0, coupling)
    alpha, beta = 3**0.5 / (2 * math.pi) * mass * 3, math.pi / 3**0.5 * condensate * 27
    eta = torch.tensor(1.0, **F, requires_grad=True)
    field = alpha * (-eta).exp() + (beta - coupling * alpha**3 * eta / 2) * (-3 * eta).exp()
    assert float(phi) == pytest.approx(field.item())
    assert float(pi) == pytest.approx(float(torch.autograd.grad(field, eta)[0]))


def test_examples_are_balanced_and_near_the_curve():
    points, labels = examples(DATA, 500, generator=torch.Generator().manual_seed(1))
    assert points.shape == (1000, 2)
    assert int(labels.sum()) == 500
    cubic = np.polyfit(DATA.mass, DATA.condensate, 3)
    away = np.abs(points[:, 1].numpy() - np.polyval(cubic, points[:, 0].numpy()))
    assert away[:500].mean() < 0.005 < away[500:].mean()


def test_published_training_begins_to_learn():
    points, labels = examples(DATA, 1000, generator=torch.Generator().manual_seed(1))
    (found,) = classify(points, labels, steps=200, generator=torch.Generator().manual_seed(2))
    assert found.accuracy > 0.65  # guessing gives a half
    assert found.h.shape == (15,)


def test_networks_side_by_side_are_those_trained_alone():
    """With all points in each batch of one point the order of the batches does not matter."""
    points, labels = torch.tensor([[0.01, 0.06]], **F), torch.tensor([True])
    options = {"steps": 5, "batch": 3}
    starts = {"radius": [0.8, 3.0], "coupling": [0.2, 0.02], "penalty": [0.01, 0.1]}
    both = classify(points, labels, generator=torch.Generator(), **starts, **options)
    for k, found in enumerate(both):
        one = {name: values[k] for name, values in starts.items()}
        (alone,) = classify(points, labels, generator=torch.Generator(), **one, **options)
        torch.testing.assert_close(found.h, alone.h, rtol=1e-5, atol=1e-6)
        assert found.radius == pytest.approx(alone.radius, rel=1e-5)
        assert found.coupling == pytest.approx(alone.coupling, rel=1e-4)


def test_fit_passes_the_points_and_radius_is_a_flat_direction():
    fits = [learn_condensate(DATA, radius, strengths=[1.0]) for radius in (2.5, 4.22)]
    for found in fits:
        curve = found.curve(found.horizon_fields)
        assert float((curve.condensate / DATA.condensate - 1).square().mean().sqrt()) < 0.03
    assert fits[0].misfit == pytest.approx(fits[1].misfit, rel=0.02)
    power = math.log(fits[0].coupling / fits[1].coupling) / math.log(2.5 / 4.22)
    assert power == pytest.approx(-8, abs=0.3)


def test_fit_keeps_the_boundary_and_predicts_points():
    found = learn_condensate(DATA.without(1), 4.0, boundary=4.0, strengths=[1e-2])
    assert float(found.h[-1]) == pytest.approx(4, abs=0.02)
    assert float(found.condensate(DATA.mass[1:2]) / DATA.condensate[1]) == pytest.approx(1, abs=0.05)


def test_exact_masses_leave_five_per_cent():
    # own shooting with Dormand and Prince, h = 1/eta + a eta (+ b eta^3), gives 5.03 % with either
    found = learn_condensate(DATA, 1 / 0.237, strengths=[1.0], errors=(3e-3, 0.03))
    curve = found.curve(found.horizon_fields)
    off = (curve.condensate / DATA.condensate - 1).square().mean().sqrt()
    assert float(off) == pytest.approx(0.0503, abs=1e-3)
    assert float((curve.mass / DATA.mass - 1).abs().max()) < 2e-3


def test_fit_is_regular_at_the_horizon():
    found = learn_condensate(DATA, 4.0, strengths=[1.0])
    outwards = BulkFlow(found.metric, -3.0, found.coupling, 400, "rk4")
    phi, pi = outwards.outwards(found.horizon_fields)
    mass = dictionary(DATA.mass, DATA.condensate, 4.0, found.coupling)
    assert phi == pytest.approx(mass[0], rel=0.05)
    assert pi == pytest.approx(mass[1], rel=0.06)


def test_layered_metric_passes_its_layers():
    h = torch.linspace(3, 40, 15, **F)
    assert layered(h).layers(15) == pytest.approx(h, abs=1e-9)


def starts(**options):
    points, labels = torch.full((2, 2), 0.01, **F), torch.tensor([True, False])
    return classify(points, labels, steps=1, generator=torch.Generator(), **options)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Condensate(-DATA.mass, DATA.condensate), r"data: got -0.0006\d+ in row 0, column mass"),
        (
            lambda: Condensate(DATA.mass, DATA.condensate * math.nan),
            "data: got nan in row 0, column condensate",
        ),
        (lambda: Condensate(DATA.mass[:1], DATA.condensate[:1]), "data: got 1 of mass and 1 of condensate"),
        (lambda: learn_condensate(DATA, -1.0), "radius: got -1"),
        (lambda: starts(radius=[0.8, 2.0], coupling=[0.2] * 3), "radius: got 2 numbers, expected one, or 3"),
        (lambda: starts(penalty=[0.01, -1.0]), "penalty: got -1"),
    ],
    ids=["negative", "nan", "one-point", "radius", "lengths", "penalty"],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_file_with_a_nan_names_its_row_and_column(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("# from somewhere\nmass,condensate\n0.1,0.2\n0.2,nan\n")
    with pytest.raises(ValueError, match="data: got nan in row 1, column condensate"):
        lattice_data(path)
    path.write_text("m,c\n0.1,0.2\n")
    with pytest.raises(ValueError, match=r"data\.csv: got the columns 'm,c'"):
        lattice_data(path)

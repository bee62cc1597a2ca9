"""The leaf of holographic QCD: data, the fit, potentials in known spaces, mesons, what is refused."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

from nnbook.holographic_qcd import (
    ADS5_POTENTIAL,
    CUTOFF,
    PUBLISHED,
    BulkFlow,
    BulkMetric,
    Condensate,
    Split,
    classify,
    dictionary,
    dilaton,
    examples,
    lattice_data,
    layered,
    learn_condensate,
    learn_wall,
    masses,
    meson_potential,
    slide_metric,
    soft_wall,
    split,
)

F = {"dtype": torch.float64}
DATA = lattice_data()
KNOTS = torch.linspace(0, 16, 17, **F)[1:]


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
    found = classify(points, labels, steps=200, generator=torch.Generator().manual_seed(2))
    assert found.accuracy > found.history[0] + 0.15
    assert found.h.shape == (15,)
    assert len(found.history) == 3


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


def test_fit_is_regular_at_the_horizon():
    found = learn_condensate(DATA, 4.0, strengths=[1.0])
    outwards = BulkFlow(found.metric, -3.0, found.coupling, 400, "rk4")
    phi, pi = outwards.outwards(found.horizon_fields)
    mass = dictionary(DATA.mass, DATA.condensate, 4.0, found.coupling)
    assert phi == pytest.approx(mass[0], rel=0.05)
    assert pi == pytest.approx(mass[1], rel=0.06)


def test_potential_of_pure_anti_de_sitter_space():
    eta = np.linspace(-20, 12, 8001)
    for apart, energy in Split(eta, 2 * eta, 2 * eta, 0.0).potential(np.array([-0.3, 0.5]), nodes=600):
        assert apart * energy / (2 * math.pi) == pytest.approx(ADS5_POTENTIAL, abs=1e-6)


def test_split_and_screening_of_the_black_brane():
    space = split(BulkMetric(lambda eta: 4 / torch.tanh(4 * eta), 7.0, 1e-4), match=3.0)
    assert space.temperature == pytest.approx(2**0.5 / math.pi, abs=1e-6)
    unit = math.pi * space.temperature
    longest = space.potential(np.linspace(0.2, 0.6, 200))[:, 0].max() * unit
    free = brentq(lambda u: space.potential(np.array([u]))[0, 1], 0.3, 0.9)
    assert longest == pytest.approx(0.8691, abs=1e-4)
    assert space.potential(np.array([free]))[0, 0] * unit == pytest.approx(0.7541, abs=1e-4)


def test_mesons_of_the_soft_wall():
    c = 0.15
    found, rows = masses(2 * c * KNOTS, KNOTS, 3)
    assert found**2 / (4 * c) == pytest.approx(torch.tensor([1.0, 2, 3], **F), abs=1e-4)
    step = torch.zeros(16, **F)
    step[2] = 1e-5
    change = (masses(2 * c * KNOTS + step, KNOTS, 3)[0] - masses(2 * c * KNOTS - step, KNOTS, 3)[0]) / 2e-5
    assert rows[:, 2] == pytest.approx(change, abs=1e-5)
    potential, _ = meson_potential(2 * c * KNOTS, KNOTS, torch.ones(1, **F))
    assert float(potential) == pytest.approx(c**2 + 0.75)


def test_wall_has_the_measured_masses():
    wall, knots = learn_wall(torch.tensor([0.77526, 1.465], **F), strength=1e-2)
    assert masses(wall, knots, 2)[0] == pytest.approx(torch.tensor([0.77526, 1.465], **F), abs=2e-3)


def test_dilaton_of_the_soft_wall():
    z, c = np.linspace(0.05, 6, 40), 0.15
    found = dilaton(2 * c * KNOTS, KNOTS, z)
    exact, potential = soft_wall(z, c)
    assert found.dilaton == pytest.approx(exact, abs=1e-8)
    assert found.potential == pytest.approx(potential, rel=1e-7)
    assert found.potential[0] == pytest.approx(12, abs=1e-2)


def test_layered_and_slide_metrics():
    h, _ = PUBLISHED
    assert layered(h).layers(15) == pytest.approx(h, abs=1e-9)
    assert slide_metric().h(torch.ones(1, **F))[0] == pytest.approx(3.7719)
    assert float(slide_metric().h(torch.linspace(0.1, 1, 50, **F)).min()) > 3.7


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Condensate(-DATA.mass, DATA.condensate), r"data: got -0.0006\d+ in row 0, column mass"),
        (
            lambda: Condensate(DATA.mass, DATA.condensate * math.nan),
            "data: got nan in row 0, column condensate",
        ),
        (lambda: Condensate(DATA.mass[:1], DATA.condensate[:1]), "data: got 1 masses and 1 condensates"),
        (lambda: learn_condensate(DATA, -1.0), "radius: got -1"),
        (lambda: learn_wall(torch.tensor([-1.0], **F)), "measured: got -1"),
        (lambda: dilaton(KNOTS, KNOTS, np.array([2.0, 1.0])), "z: got places that do not rise"),
    ],
    ids=["negative", "nan", "one-point", "radius", "masses", "places"],
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

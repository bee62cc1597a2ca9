"""Mesons and the dilaton of the soft wall, which is known in closed form; walls learnt from masses."""

import numpy as np
import pytest
import torch

from nnbook.dynamics.mesons import dilaton, learn_wall, masses, meson_potential
from nnbook.exact.holography import soft_wall

F = {"dtype": torch.float64}
KNOTS = torch.linspace(0, 16, 17, **F)[1:]


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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: learn_wall(torch.tensor([-1.0], **F)), "measured: got -1"),
        (lambda: dilaton(KNOTS, KNOTS, np.array([2.0, 1.0])), "z: got places that do not rise"),
    ],
    ids=["masses", "places"],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

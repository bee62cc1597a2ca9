"""Configuration interaction: closed forms, symmetry, the exact energy of two electrons from above."""

import math

import numpy as np
import pytest

from nnbook.exact.pairs import trapped_pair
from nnbook.exact.shells import configuration_interaction, repulsion


def test_elements_of_the_repulsion():
    elements = repulsion(3)
    assert elements[0, 0, 0, 0] == pytest.approx(math.sqrt(math.pi / 2), rel=1e-12)
    for order in ((2, 3, 0, 1), (1, 0, 2, 3), (0, 1, 3, 2)):
        np.testing.assert_allclose(elements, elements.transpose(order), atol=1e-13)


def test_electrons_without_repulsion_fill_their_shells():
    assert configuration_interaction(6, 0.0, 3).energy == pytest.approx(10.0)


def test_two_electrons_from_above():
    energies = [configuration_interaction(2, 1.0, shells).energy for shells in (1, 2, 4, 5)]
    assert energies[0] == pytest.approx(2 + math.sqrt(math.pi / 2))
    assert energies == sorted(energies, reverse=True)
    assert trapped_pair(1.0).energy < energies[-1] < 3.03


def test_six_electrons_in_three_shells():
    found = configuration_interaction(6, 1.0, 3)
    assert found.determinants == 400
    assert 20.16 < found.energy < configuration_interaction(6, 1.0, 2).energy


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, 1.0, 3), "electrons: got 3"),
        ((6, 1.0, 1), "electrons: got 6"),
        ((2, -1.0, 2), "coupling: got -1"),
    ],
)
def test_wrong_input_says_so(arguments, message):
    with pytest.raises(ValueError, match=message):
        configuration_interaction(*arguments)

"""Factors: what they are for one configuration, and what is refused."""

import math

import pytest
import torch

from nnbook.continuum.factors import BoltzmannMachine, Gaussian, Jastrow
from nnbook.continuum.radial import Pade
from nnbook.continuum.systems import Trap


def test_a_pade_factor_of_two_electrons_has_its_formula():
    x = torch.tensor([[[0.0, 0.0], [3.0, 4.0]]], dtype=torch.float64)
    with torch.no_grad():
        ours = float(Jastrow(Trap(2), [Pade(1.0, 0.5)])(x))
    assert math.isclose(ours, 5 / (1 + 0.5 * 5))


def test_wrong_input_says_so():
    trap = Trap(6, 0.3)
    wrong = {
        "functions: got 1": lambda: Jastrow(trap, [Pade(1.0)]),
        "hidden: got 0": lambda: BoltzmannMachine(trap, 0),
        "alpha: got 0": lambda: Gaussian(0.0),
    }
    for message, call in wrong.items():
        with pytest.raises(ValueError, match=message):
            call()

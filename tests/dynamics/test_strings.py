"""Strings in known spaces: pure Anti-de Sitter space and the black brane."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

from nnbook.dynamics.bulk import BulkMetric
from nnbook.dynamics.strings import Split, split
from nnbook.exact.holography import ADS5_POTENTIAL


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

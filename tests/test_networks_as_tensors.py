"""The leaf of the chapter: steps of imaginary time by dense matrices, against the evolution itself."""

import numpy as np
import pytest
from scipy.linalg import expm

from nnbook.networks_as_tensors import chain, ising, rectangle, trotter


@pytest.mark.parametrize("lattice", [chain(5), rectangle(3, 3, boundary="open")])
@pytest.mark.parametrize(("order", "ratio"), [(1, 2), (2, 4)])
def test_small_steps_converge_to_the_evolution_in_imaginary_time(lattice, order, ratio):
    h = ising(lattice, field=1.2)
    exact = expm(-0.4 * h.matrix().toarray()) @ np.full(2**h.sites, 2 ** (-h.sites / 2))
    errors = [np.linalg.norm(trotter(h, 0.4 / steps, steps, order) - exact) for steps in (40, 80)]
    assert errors[0] / errors[1] == pytest.approx(ratio, rel=0.03)
    assert errors[1] < 0.05 * np.linalg.norm(exact)

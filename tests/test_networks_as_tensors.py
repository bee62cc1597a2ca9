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


@pytest.mark.parametrize(
    ("step", "steps", "message"),
    [
        (0.0, 3, "step: got 0, expected a finite number above 0"),
        (float("nan"), 3, "step: got nan"),
        (1e300, 3, r"step: got 1e\+300, expected a finite number above 0, at most 70"),
        (0.1, 2.5, "steps: got 2.5, expected a whole number, at least 1"),
    ],
)
def test_bad_input_is_refused(step, steps, message):
    with pytest.raises(ValueError, match=message):
        trotter(ising(chain(5), field=1.0), step, steps, 2)

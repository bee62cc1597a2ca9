"""What a reader hands over: functions, counts, and the sign of a state."""

import numpy as np
import pytest

from nnbook.arrays import check_counts, checked_values, fix_sign

X = np.linspace(-1.0, 1.0, 5)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: 1.0, r"potential: got an array of shape \(\), expected \(5,\)"),
        (lambda x: 1j * x, "potential: got complex values"),
        (lambda x: np.where(x > 0, np.inf, x), "potential: got inf at x = 0.5"),
    ],
)
def test_values_of_a_function_that_cannot_be_an_energy(function, message):
    with pytest.raises(ValueError, match=message):
        checked_values("potential", function, X)


def test_integer_values_become_real():
    assert checked_values("potential", lambda x: np.arange(5), X).dtype == np.float64


@pytest.mark.parametrize("count", [0, -1, 2.5, float("nan"), "3"])
def test_counts(count):
    check_counts(steps=1)
    with pytest.raises(ValueError, match=r"steps: got .*, expected a whole number, at least 1"):
        check_counts(steps=count)


def test_the_outermost_lobe_on_the_right_is_positive():
    wave = np.sin(np.pi * X)
    np.testing.assert_array_equal(fix_sign(-wave), wave)
    np.testing.assert_array_equal(fix_sign(wave), wave)

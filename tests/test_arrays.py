"""What a reader hands over: functions, counts, and the sign of a state."""

import math

import numpy as np
import pytest
import torch

from nnbook.arrays import (
    check_input,
    check_values,
    checked_values,
    fix_sign,
    seeded,
)

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


def test_the_outermost_lobe_on_the_right_is_positive():
    wave = np.sin(np.pi * X)
    np.testing.assert_array_equal(fix_sign(-wave), wave)
    np.testing.assert_array_equal(fix_sign(wave), wave)


@pytest.mark.parametrize("kind", [torch.as_tensor, np.asarray])
def test_values_of_the_right_shape_pass(kind):
    check_values("x", kind([[1.0, 2.0]]), ("batch", 2))
    check_values("x", kind([[1, 2]]), ("...", 2))
    check_values("x", kind([1j, 2]), ("...", 2), real=False)
    check_values("x", np.arange(4.0)[::-2], (2,))


@pytest.mark.parametrize("kind", [torch.as_tensor, np.asarray])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, 2.0], r"x: got shape \(2,\), expected \(batch, 2\); reshape"),
        ([[1.0]], r"x: got shape \(1, 1\), expected \(batch, 2\); reshape"),
        ([[1j, 0]], "x: got complex numbers, expected real ones"),
        ([[1.0, math.nan]], "x: got NaN or infinities, expected finite numbers"),
    ],
)
def test_values_that_mean_something_else(kind, values, message):
    with pytest.raises(ValueError, match=message):
        check_values("x", kind(values), ("batch", 2), remedy="reshape")


def test_values_of_another_dtype():
    message = r"x: got torch.int64, expected torch.float64 as the other arguments have"
    with pytest.raises(ValueError, match=message):
        check_values("x", torch.ones(2).long(), ("n",), dtype=torch.float64)


def test_values_that_are_none():
    with pytest.raises(TypeError, match=r"x: got a list, expected a tensor or an array \(sites,\)"):
        check_values("x", [1.0], ("sites",))


PARAMETER = torch.ones(2, 3, dtype=torch.float64)


def test_input_that_fits_passes_under_transformations_too():
    x = torch.ones(4, 5, 3, dtype=torch.float64)
    torch.func.vmap(lambda row: check_input("x", row, 3, PARAMETER) or row)(x)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.ones(5, 2), r"x: got shape \(5, 2\), expected \(\.\.\., 3\)"),
        (torch.ones(()), r"x: got shape \(\), expected \(\.\.\., 3\)"),
        ([1.0, 2.0, 3.0], r"x: got a list, expected \(\.\.\., 3\)"),
        (torch.ones(5, 3), r"x: got torch.float32, expected torch.float64 as .*; write x.to"),
        (torch.ones(5, 3).long(), r"x: got torch.int64, expected torch.float64"),
    ],
)
def test_input_that_does_not_fit(x, message):
    with pytest.raises(ValueError, match=message):
        check_input("x", x, 3, PARAMETER)


def test_any_integer_seeds():
    assert torch.rand(1, generator=seeded(np.int64(3))) == torch.rand(1, generator=seeded(3 - 2**64))
    with pytest.raises(ValueError, match=r"seed: got nan, expected a whole number$"):
        seeded(math.nan)

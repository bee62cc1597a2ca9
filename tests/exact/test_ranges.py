"""Numbers that a reader writes: those in range pass, NaN never does."""

import math

import numpy as np
import pytest
import torch

from nnbook.exact.ranges import check_counts, finite, positive


@pytest.mark.parametrize("count", [0, -1, 2.5, float("nan"), "3"])
def test_counts(count):
    check_counts(steps=1)
    with pytest.raises(ValueError, match=r"steps: got .*, expected a whole number, at least 1"):
        check_counts(steps=count)


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2), np.int64(2), torch.tensor(2.0), np.array(2)])
def test_numbers_of_any_kind_are_numbers(value):
    assert [type(check("x", value)) for check in (finite, positive)] == [float, float]
    assert finite("x", value, least=2, most=2) == positive("x", value, most=2) == 2


BAD_NUMBERS = [
    (finite, math.nan, {}, "x: got nan, expected a finite number$"),
    (finite, -math.inf, {}, "x: got -inf, expected a finite number$"),
    (finite, 3, {"most": 2, "remedy": "take less"}, "x: got 3, expected .*, at most 2; take less"),
    (finite, -1e-300, {"least": 0, "most": 1}, "x: got -1e-300, expected .*, at least 0 and at most 1$"),
    (positive, math.nan, {}, "x: got nan, expected a finite number above 0$"),
    (positive, math.inf, {}, "x: got inf, expected a finite number above 0$"),
    (positive, torch.tensor(0.0), {}, "x: got 0, expected a finite number above 0$"),
    (positive, 3, {"most": 2}, "x: got 3, expected a finite number above 0, at most 2$"),
]


@pytest.mark.parametrize(("check", "value", "options", "message"), BAD_NUMBERS)
def test_numbers_out_of_range(check, value, options, message):
    with pytest.raises(ValueError, match=message):
        check("x", value, **options)


@pytest.mark.parametrize("check", [finite, positive])
@pytest.mark.parametrize("value", ["2", None, 2j, [2.0], np.ones(1), torch.ones(2)])
def test_what_is_no_number(check, value):
    with pytest.raises(TypeError, match=r"x: got a \w+, expected a real number"):
        check("x", value)

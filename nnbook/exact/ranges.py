"""A number that a reader writes is checked here, once: whole or real, finite, and in its range.

NaN is in no range: every test asks what must hold, as ``low <= x <= high``, and never ``not x > high``.
"""

from __future__ import annotations

import math
from numbers import Integral, Real


def finite(
    name: str, value: object, *, least: float = -math.inf, most: float = math.inf, remedy: str = ""
) -> float:
    """A real number that is finite and from ``least`` to ``most``, as Python's own float.

    Args:
        name: what the error calls it.
        value: a number of Python or NumPy, an array or a tensor without axes.
        least, most: the range, its ends included.
        remedy: what to do instead, for the error.

    Raises:
        TypeError: no real number.
        ValueError: NaN, an infinity, or outside the range.

    >>> finite("rate", 0.1)
    0.1
    >>> finite("field", float("nan"), least=0)
    Traceback (most recent call last):
    ValueError: field: got nan, expected a finite number, at least 0
    """
    number = _real(name, value)
    if not (math.isfinite(number) and least <= number <= most):
        bounds = [f"at least {least:g}"] * (least > -math.inf) + [f"at most {most:g}"] * (most < math.inf)
        expected = "a finite number" + (", " + " and ".join(bounds) if bounds else "")
        raise ValueError(_message(name, number, expected, remedy))
    return number


def positive(name: str, value: object, *, most: float = math.inf, remedy: str = "") -> float:
    """A real number that is finite and above zero, at most ``most``; see :func:`finite`.

    >>> positive("omega", 0)
    Traceback (most recent call last):
    ValueError: omega: got 0, expected a finite number above 0
    """
    number = _real(name, value)
    if not (0 < number <= most and number < math.inf):
        bound = f", at most {most:g}" if most < math.inf else ""
        raise ValueError(_message(name, number, "a finite number above 0" + bound, remedy))
    return number


def check_counts(*, least: int | None = 1, **counts: object) -> None:
    """Check arguments that count something.

    Raises:
        ValueError: one that is no whole number, or below the least, if there is one.

    >>> check_counts(steps=3, chains=0)
    Traceback (most recent call last):
    ValueError: chains: got 0, expected a whole number, at least 1
    """
    for name, count in counts.items():
        whole = isinstance(count, Integral) and not isinstance(count, bool)
        if not (whole and (least is None or int(count) >= least)):  # type: ignore[call-overload]
            bound = "" if least is None else f", at least {least}"
            raise ValueError(f"{name}: got {count!r}, expected a whole number{bound}")


def _real(name: str, value: object) -> float:
    plain = value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value
    if not isinstance(plain, Real):
        raise TypeError(f"{name}: got a {type(value).__name__}, expected a real number")
    return float(plain)


def _message(name: str, number: float, expected: str, remedy: str) -> str:
    return f"{name}: got {number:g}, expected {expected}" + (f"; {remedy}" if remedy else "")

"""NumPy arrays and the arguments that readers write: their types, and checks at the border of the library."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]
Potential = Callable[[Array], Array]


def seen(what: object) -> str:
    """What an error message says of an argument: the shape of a tensor, the type of anything else."""
    return f"shape {tuple(what.shape)}" if isinstance(what, Tensor) else f"a {type(what).__name__}"


def like(values: object, other: Tensor) -> Tensor:
    """Values as a tensor of the dtype and on the device of another one."""
    return torch.as_tensor(values, dtype=other.dtype, device=other.device)


def check_counts(*, least: int = 1, **counts: int) -> None:
    """Check arguments that count something.

    Raises:
        ValueError: one that is no whole number, or below the least.

    >>> check_counts(steps=3, chains=0)
    Traceback (most recent call last):
    ValueError: chains: got 0, expected a whole number, at least 1
    """
    for name, count in counts.items():
        if not (isinstance(count, Integral) and count >= least):
            raise ValueError(f"{name}: got {count!r}, expected a whole number, at least {least}")


def checked_values(name: str, function: Potential, at: Array, *, symbol: str = "x") -> Array:
    """The values of an energy that a reader wrote as a function.

    Raises:
        ValueError: values of the wrong shape, complex, or not finite.
    """
    values = np.asarray(function(at))
    if np.iscomplexobj(values):
        raise ValueError(f"{name}: got complex values, expected real ones; take .real if they are")
    values = values.astype(np.float64)
    if values.shape != at.shape:
        raise ValueError(
            f"{name}: got an array of shape {values.shape}, expected {at.shape}, one value a site; "
            f"a constant c is written lambda x: c + 0 * x"
        )
    if not np.isfinite(values).all():
        bad = ~np.isfinite(values)
        raise ValueError(
            f"{name}: got {values[bad][0]} at {symbol} = {at[bad][0]:g}, expected finite values; "
            "replace a hard wall by a large number or end the grid there"
        )
    return values


def fix_sign(psi: Array) -> Array:
    """Make the outermost lobe on the right positive, as Hermite functions have it."""
    significant = np.flatnonzero(np.abs(psi) > 1e-2 * np.abs(psi).max())
    return psi if psi[significant[-1]] > 0 else -psi

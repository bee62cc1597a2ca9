"""NumPy arrays and the arguments that readers write: their types, and checks at the border of the library."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnbook.exact.ranges import check_counts, finite, positive

__all__ = [
    "Array",
    "Potential",
    "check_columns",
    "check_counts",
    "check_indices",
    "check_input",
    "check_numbers",
    "check_values",
    "checked_values",
    "finite",
    "fix_sign",
    "like",
    "positive",
    "seeded",
    "seen",
]

Array = NDArray[np.float64]
Potential = Callable[[Array], Array]


def seen(what: object) -> str:
    """What an error message says of an argument: the shape of a tensor, the type of anything else."""
    return f"shape {tuple(what.shape)}" if isinstance(what, Tensor) else f"a {type(what).__name__}"


def like(values: object, other: Tensor) -> Tensor:
    """Values as a tensor of the dtype and on the device of another one."""
    return torch.as_tensor(values, dtype=other.dtype, device=other.device)


def check_values(
    name: str,
    values: object,
    shape: tuple[int | str, ...],
    *,
    real: bool = True,
    dtype: torch.dtype | None = None,
    remedy: str = "",
) -> None:
    """Check a tensor or an array that a reader hands over: its shape, and that its numbers are finite.

    Args:
        name: what the error calls it.
        values: a tensor, or an array of NumPy.
        shape: of each axis its length, or in words what it counts where any length will do, as
            ``("batch", 6)``; ``"..."`` in front stands for any number of axes.
        real: whether complex numbers are refused.
        dtype: what the numbers have to be, if it matters.
        remedy: what to do instead, for the error.

    Raises:
        TypeError: neither a tensor nor an array.
        ValueError: another shape or dtype, complex numbers, NaN or infinities.

    >>> check_values("x", torch.zeros(3, 2), ("batch", 1))
    Traceback (most recent call last):
    ValueError: x: got shape (3, 2), expected (batch, 1)
    """
    axes = f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"
    if not isinstance(values, Tensor | np.ndarray):
        raise TypeError(f"{name}: got a {type(values).__name__}, expected a tensor or an array {axes}")
    tensor = torch.from_numpy(values.copy()) if isinstance(values, np.ndarray) else values  # of any strides
    if not _fits(tuple(tensor.shape), shape):
        got, expected = f"shape {tuple(tensor.shape)}", axes
    elif real and tensor.is_complex():
        got, expected = "complex numbers", "real ones"
    elif dtype not in (None, tensor.dtype):
        got, expected = str(tensor.dtype), f"{dtype} as the other arguments have"
    elif not bool(tensor.isfinite().all()):
        got, expected = "NaN or infinities", "finite numbers"
    else:
        return
    raise ValueError(f"{name}: got {got}, expected {expected}" + (f"; {remedy}" if remedy else ""))


def check_numbers(name: str, values: object) -> None:
    """Check that something is a tensor with which one can calculate, also within ``torch.func.vmap``.

    Raises:
        TypeError: no tensor.
        ValueError: whole numbers, truth values, or half precision.

    >>> check_numbers("psi", torch.tensor([1, 0]))
    Traceback (most recent call last):
    ValueError: psi: got torch.int64, expected single or double precision; write .double()
    """
    if not isinstance(values, Tensor):
        raise TypeError(f"{name}: got a {type(values).__name__}, expected a tensor")
    if values.dtype not in (torch.float32, torch.float64, torch.complex64, torch.complex128):
        raise ValueError(f"{name}: got {values.dtype}, expected single or double precision; write .double()")


def check_columns(*, positive: bool = False, **columns: Tensor) -> None:
    """Check data of an experiment, columns ``(n,)`` in double precision, two rows or more.

    Raises:
        TypeError: no tensor.
        ValueError: columns of different lengths, numbers that are not finite or, if asked for, not above zero
            (the row and the column are named).

    >>> check_columns(mass=torch.tensor([0.1, torch.nan]))
    Traceback (most recent call last):
    ValueError: data: got nan in row 1, column mass, expected finite numbers
    """
    for name, values in columns.items():
        check_numbers(name, values)
        numbers = values.flatten().real
        bad = (~(numbers > (0 if positive else -torch.inf)) | numbers.isinf()).nonzero()
        if len(bad):
            what = f"{float(numbers[bad[0, 0]])} in row {int(bad[0, 0])}, column {name}"
            expected = "finite numbers" + positive * " above zero"
            raise ValueError(f"data: got {what}, expected {expected}")
        check_values(name, values, ("n",), dtype=torch.float64)
    lengths = {name: len(values) for name, values in columns.items()}
    if min(lengths.values()) < 2 or len(set(lengths.values())) > 1:
        got = " and ".join(f"{n} of {name}" for name, n in lengths.items())
        raise ValueError(f"data: got {got}, expected at least two rows, as many of each")


def check_indices(name: str, indices: Tensor, *, width: tuple[int, ...], count: int) -> None:
    """Check a table of places that are counted from zero.

    Raises:
        TypeError: no tensor.
        ValueError: no whole numbers, rows of another width, or numbers that are not from 0 to ``count`` - 1.
    """
    if not isinstance(indices, Tensor):
        raise TypeError(f"{name}: got a {type(indices).__name__}, expected a tensor")
    whole = not (indices.is_floating_point() or indices.is_complex() or indices.dtype == torch.bool)
    if not whole or indices.ndim != 2 or indices.shape[1] not in width:
        raise ValueError(
            f"{name}: got {indices.dtype} of shape {tuple(indices.shape)}, expected whole numbers "
            f"({name}, {' or '.join(map(str, width))})"
        )
    if indices.numel() and not (indices.min() >= 0 and indices.max() < count):
        low, high = int(indices.min()), int(indices.max())
        raise ValueError(f"{name}: got numbers from {low} to {high}, expected 0 to {count - 1}")


def check_input(name: str, x: Tensor, width: int, parameter: Tensor) -> None:
    """Check what a network is given, also under transformations of ``torch.func``: its width and its dtype.

    Args:
        name: what the error calls it.
        x: the input, ``(..., width)``.
        width: how many numbers the network reads.
        parameter: one of its parameters.

    Raises:
        ValueError: another width or dtype.

    >>> check_input("x", torch.zeros(5, 3), 2, torch.zeros(1))
    Traceback (most recent call last):
    ValueError: x: got shape (5, 3), expected (..., 2)
    """
    if not isinstance(x, Tensor) or x.ndim == 0 or x.shape[-1] != width:
        raise ValueError(f"{name}: got {seen(x)}, expected (..., {width})")
    if x.dtype != parameter.dtype:
        raise ValueError(
            f"{name}: got {x.dtype}, expected {parameter.dtype} as the parameters have; write {name}.to(...)"
        )


def seeded(seed: int) -> torch.Generator:
    """A generator of random numbers on the CPU, which gives every device the same.

    Raises:
        ValueError: a seed that is no whole number.

    >>> torch.rand(1, generator=seeded(1))
    tensor([0.7576])
    """
    check_counts(least=None, seed=seed)
    return torch.Generator(device="cpu").manual_seed(int(seed) % 2**64)


def _fits(lengths: tuple[int, ...], shape: tuple[int | str, ...]) -> bool:
    if shape[:1] == ("...",):
        shape = shape[1:]
        lengths = lengths[-len(shape) :] if len(lengths) > len(shape) else lengths
    same = (isinstance(wanted, str) or wanted == n for n, wanted in zip(lengths, shape, strict=False))
    return len(lengths) == len(shape) and all(same)


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

r"""Lattices of spins, and their configurations: rows of :math:`s_i = \pm 1`.

All configurations of few spins are in the order of :mod:`nnbook.exact.enumerate`.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from nnbook.arrays import check_counts, check_indices
from nnbook.exact import enumerate as exact

Boundary = Literal["periodic", "open"]


def all_spins(
    sites: int,
    *,
    balanced: bool = False,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> Tensor:
    """All configurations ``(n, N)`` as a tensor, see :func:`nnbook.exact.enumerate.configurations`.

    >>> all_spins(2, dtype=torch.int8).tolist()
    [[1, 1], [1, -1], [-1, 1], [-1, -1]]
    """
    return torch.from_numpy(exact.configurations(sites, balanced=balanced)).to(device, dtype)


def checked_spins(spins: Tensor, sites: int, *, rows: bool = False) -> Tensor:
    """Configurations that a reader hands over ``(..., N)``; whole numbers become floating-point ones.

    Within ``torch.func.vmap``, where values cannot be looked at, only the shape is checked.

    Args:
        spins: values of ±1.
        sites: number of spins N.
        rows: whether they have to be ``(batch, N)``.

    Raises:
        TypeError: no tensor.
        ValueError: another number of spins, or values other than ±1.

    >>> checked_spins(torch.tensor([[1, -1]]), 2)
    tensor([[ 1., -1.]], dtype=torch.float64)
    """
    if not isinstance(spins, Tensor):
        raise TypeError(f"spins: got a {type(spins).__name__}, expected a tensor")
    if spins.shape[-1:] != (sites,) or (rows and spins.ndim != 2):
        expected = f"({'batch' if rows else '...'}, {sites})"
        raise ValueError(f"spins: got shape {tuple(spins.shape)}, expected {expected}, one spin a site")
    if spins.is_complex():
        raise ValueError(f"spins: got {spins.dtype}, expected real numbers, +1 or -1")
    spins = spins if spins.is_floating_point() else spins.double()
    strange = spins.abs() != 1
    try:
        wrong = bool(strange.any())
    except RuntimeError:  # of vmap
        return spins
    if wrong:
        raise ValueError(f"spins: got {spins[strange][0]:g}, expected +1 or -1; write 1 - 2 * bits for bits")
    return spins


@dataclass(frozen=True, eq=False)
class Lattice:
    """Sites and the bonds between neighbours, all on the CPU; what is computed follows its spins.

    Attributes:
        sites: number of sites N.
        bonds: pairs of neighbours, ``(bonds, 2)``.
        shape: extents; ``(N,)`` for a chain.
        boundary: ``"periodic"`` or ``"open"``.

    Raises:
        ValueError: a shape of another number of sites, bonds that join none of the sites.
    """

    sites: int
    bonds: Tensor = field(repr=False)
    shape: tuple[int, ...]
    boundary: Boundary

    def __post_init__(self) -> None:
        if self.boundary not in ("periodic", "open"):
            raise ValueError(f"boundary: got {self.boundary!r}, expected 'periodic' or 'open'")
        if math.prod(self.shape) != self.sites:
            raise ValueError(f"shape: got {self.shape}, expected extents of {self.sites} sites")
        check_indices("bonds", self.bonds, width=(2,), count=self.sites)

    @cached_property
    def sublattice(self) -> Tensor | None:
        """+1 and -1 on the two sublattices ``(N,)``, or None if a bond joins sites of the same one."""
        parity = torch.from_numpy(np.indices(self.shape).sum(0).reshape(-1) % 2)
        first, second = self.bonds.T
        return 1 - 2 * parity if bool((parity[first] != parity[second]).all()) else None

    @cached_property
    def translations(self) -> Tensor:
        """The permutations of the lattice's translations, ``(translations, N)``; one if the ends are open."""
        labels = torch.arange(self.sites, device="cpu").reshape(self.shape)
        if self.boundary == "open":
            return labels.reshape(1, -1)
        shifts = itertools.product(*(range(n) for n in self.shape))
        axes = tuple(range(len(self.shape)))
        return torch.stack([labels.roll(tuple(-d for d in shift), axes).reshape(-1) for shift in shifts])


def chain(sites: int, *, boundary: Boundary = "periodic") -> Lattice:
    """A chain of sites; two of them have one bond, whatever the boundary.

    Raises:
        ValueError: fewer than 2 sites, or a boundary that is neither periodic nor open.

    >>> chain(4).bonds.tolist()
    [[0, 1], [1, 2], [2, 3], [3, 0]]
    """
    check_counts(sites=sites, least=2)
    return _lattice((sites,), boundary)


def rectangle(rows: int, columns: int, *, boundary: Boundary = "periodic") -> Lattice:
    """A lattice of rows × columns sites, row by row; two rows make a ladder.

    Where there are two rows, or two columns, they have one bond between them, whatever the boundary.

    Raises:
        ValueError: fewer than 2 sites a side, or a boundary that is neither periodic nor open.

    >>> len(rectangle(3, 4, boundary="open").bonds), len(rectangle(2, 7, boundary="open").bonds)
    (17, 19)
    """
    check_counts(rows=rows, columns=columns, least=2)
    return _lattice((rows, columns), boundary)


def square(length: int, *, boundary: Boundary = "periodic") -> Lattice:
    """A square :func:`rectangle`.

    Raises:
        ValueError: as :func:`rectangle`.

    >>> square(4).sites, len(square(4).bonds)
    (16, 32)
    """
    return rectangle(length, length, boundary=boundary)


def _lattice(shape: tuple[int, ...], boundary: Boundary) -> Lattice:
    labels = torch.arange(math.prod(shape), device="cpu").reshape(shape)
    bonds = []
    for axis, extent in enumerate(shape):
        closed = boundary == "periodic" and extent > 2
        here = labels if closed else labels.narrow(axis, 0, extent - 1)
        there = labels.roll(-1, axis) if closed else labels.narrow(axis, 1, extent - 1)
        bonds.append(torch.stack([here.reshape(-1), there.reshape(-1)], 1))
    return Lattice(labels.numel(), torch.cat(bonds), shape, boundary)

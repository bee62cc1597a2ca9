r"""Tensor network states: amplitudes of spins as contractions of small tensors.

The first index of each tensor is the spin, 0 for s = +1 and 1 for s = -1. All numbers are real. What such
states say about entanglement is in :py:mod:`nnbook.spins.entanglement`.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from nnbook.arrays import check_counts, check_numbers, finite
from nnbook.networks import random_parameter
from nnbook.spins.lattices import Boundary, checked_spins


class MatrixProductState(nn.Module):
    r"""A matrix-product state: one matrix for each site and each value of its spin :cite:p:`schollwoeck2011`.

    .. math:: \psi(s) = \operatorname{tr} A_1^{s_1} A_2^{s_2} \cdots A_N^{s_N}

    With open ends the first matrix is a row and the last one a column, and no bond is larger than the
    :math:`2^l` states of the l sites on its shorter side. The start is near the state in which all
    configurations have the same amplitude: :math:`A = 1 + \text{noise}\cdot G`, G Gaussian of unit norm.

    Args:
        sites: number of spins N, at least 2.
        bond: the bond dimension D, at least 1.
        boundary: ``"open"`` or ``"periodic"``.
        uniform: the same matrices on all sites; needs ``boundary="periodic"``.
        noise: size of the random part of the start.
        generator: source of the random numbers; PyTorch's global one if absent.
        dtype, device: of the parameters; real.

    Raises:
        ValueError: a count below its least value, an unknown boundary, uniform with open ends, complex dtype.

    >>> MatrixProductState(6, 3)(torch.ones(5, 6)).shape
    torch.Size([5])
    """

    def __init__(
        self,
        sites: int,
        bond: int,
        *,
        boundary: Boundary = "open",
        uniform: bool = False,
        noise: float = 0.5,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        check_counts(sites=sites, least=2)
        check_counts(bond=bond)
        finite("noise", noise)
        _check_real(dtype)
        if boundary not in ("open", "periodic"):
            raise ValueError(f"boundary: got {boundary!r}, expected 'open' or 'periodic'")
        if uniform and boundary == "open":
            raise ValueError("uniform: got True with open ends, expected boundary='periodic'")
        self.sites, self.bond, self.boundary = sites, bond, boundary
        opened = [min(bond, 2**i, 2 ** (sites - i)) for i in range(sites + 1)]
        bonds = opened if boundary == "open" else [bond] * (sites + 1)
        self.tensors = nn.ParameterList()
        draw = partial(random_parameter, generator=generator, dtype=dtype, device=device)
        for left, right in itertools.pairwise(bonds[:2] if uniform else bonds):
            tensor = draw((2, left, right), noise / max(left, right) ** 0.5)
            tensor.data += torch.eye(left, right, dtype=dtype, device=tensor.device)
            self.tensors.append(tensor)

    def forward(self, spins: Tensor) -> Tensor:
        """Map configurations ``(batch, sites)`` of ±1 to amplitudes ``(batch,)``."""
        matrices = list(self.tensors)
        return contract(matrices * self.sites if len(matrices) == 1 else matrices, spins)


class ProjectedPairState(nn.Module):
    r"""A tensor network on a rectangle, one tensor a site: a projected entangled-pair state.

    .. math:: \psi(s) = \sum_{\text{bonds}} \prod_{\text{sites } i} A_i^{s_i}(u, l, d, r)

    The bonds up, left, down and right of a site join it with its neighbours :cite:p:`verstraete2004`; the
    edges of the rectangle are open. The contraction is exact, row by row. It takes about
    :math:`D^{\text{columns} + 1}` numbers of memory for each configuration.

    Args:
        rows, columns: extents of the lattice, at least 2 each; site ``columns * row + column``.
        bond: the bond dimension D, at least 1.
        noise: size of the random part of the start, whose other part is the constant amplitude.
        generator: source of the random numbers; PyTorch's global one if absent.
        dtype, device: of the parameters; real.

    Raises:
        ValueError: a count below its least value, or a complex dtype.

    >>> ProjectedPairState(3, 4, 2)(torch.ones(5, 12)).shape
    torch.Size([5])
    """

    def __init__(
        self,
        rows: int,
        columns: int,
        bond: int,
        *,
        noise: float = 0.3,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        check_counts(rows=rows, columns=columns, least=2)
        check_counts(bond=bond)
        finite("noise", noise)
        _check_real(dtype)
        self.rows, self.columns, self.bond = rows, columns, bond
        self.tensors = nn.ParameterList()
        draw = partial(random_parameter, generator=generator, dtype=dtype, device=device)
        for site in range(rows * columns):
            row, column = divmod(site, columns)
            inside = (row > 0, column > 0, row < rows - 1, column < columns - 1)
            shape = (2, *(bond if joined else 1 for joined in inside))
            tensor = draw(shape, noise / bond)
            tensor.data[:, 0, 0, 0, 0] += 1
            self.tensors.append(tensor)

    def forward(self, spins: Tensor) -> Tensor:
        """Map configurations ``(batch, rows * columns)`` of ±1 to amplitudes ``(batch,)``."""
        spins = checked_spins(spins, len(self.tensors), rows=True)
        batch, up = len(spins), (spins > 0)[:, :, None, None, None, None]
        state = self.tensors[0].new_ones(
            batch, 1, 1, 1
        )  # bonds down so far, bond to the right, bonds from above
        for site, tensor in enumerate(self.tensors):
            above, left, down, right = tensor.shape[1:]
            if site % self.columns == 0:
                state = state.reshape(batch, 1, 1, math.prod(state.shape[1:]))
            state = state.reshape(batch, state.shape[1], left, above, state.shape[3] // above)
            plus, minus = (torch.einsum("bpluq,uldr->bpdrq", state, part) for part in tensor)
            state = torch.where(up[:, site], plus, minus)
            state = state.reshape(batch, state.shape[1] * down, right, state.shape[4])
        amplitudes: Tensor = state.reshape(batch)
        return amplitudes


def contract(tensors: Sequence[Tensor], spins: Tensor) -> Tensor:
    """Amplitudes of a matrix-product state, site by site.

    Args:
        tensors: for each site ``(2, left bond, right bond)``; bonds of neighbours and of the
            two ends match.
        spins: ``(batch, sites)`` of ±1.

    Returns:
        ``(batch,)``.

    Raises:
        ValueError: as many tensors as spins are expected, and bonds that match.
    """
    spins = checked_spins(spins, len(tensors), rows=True)
    check_bonds(tensors)
    up, first = spins > 0, tensors[0].shape[1]
    product = torch.eye(first, dtype=tensors[0].dtype, device=spins.device).expand(len(spins), first, first)
    log = product.real.new_zeros(len(spins))
    for site, (plus, minus) in enumerate(tensors):
        product = torch.where(up[:, site, None, None], product @ plus, product @ minus)
        if site % 32 == 31:  # seldom, for it costs more than a product
            size = product.detach().abs().amax((1, 2)).clamp_min(torch.finfo(log.dtype).tiny)
            product, log = product / size[:, None, None], log + size.log()
    amplitudes: Tensor = product.diagonal(dim1=1, dim2=2).sum(1) * log.exp()
    return warned_of_overflow("amplitudes", amplitudes)


def warned_of_overflow(name: str, values: Tensor) -> Tensor:
    """The same values, with a warning if some have left the range of floating-point numbers."""
    try:
        beyond = not bool(values.isfinite().all())
    except RuntimeError:  # within vmap, where values cannot be looked at
        return values
    if beyond:
        warnings.warn(
            f"{name}: some are beyond the range of {values.dtype}; scale the tensors down, as "
            "nnbook.spins.entanglement.compress does, or work with logarithms",
            RuntimeWarning,
            stacklevel=3,
        )
    return values


def _check_real(dtype: torch.dtype) -> None:
    if not dtype.is_floating_point:
        raise ValueError(f"dtype: got {dtype}, expected a real floating-point type")


def check_bonds(tensors: Sequence[Tensor], *, opened: bool = False) -> None:
    """Raise a ValueError unless the bonds match, those of the two ends as well; ``opened``: ends of one."""
    for tensor in tensors:
        check_numbers("tensors", tensor)
    shapes = [tuple(tensor.shape) for tensor in tensors]
    if not shapes or any(len(shape) != 3 or shape[0] != 2 for shape in shapes):
        raise ValueError(f"tensors: got shapes {shapes}, expected (2, left bond, right bond) for each site")
    if any(a[2] != b[1] for a, b in zip(shapes, shapes[1:] + shapes[:1], strict=True)):
        raise ValueError(f"tensors: got shapes {shapes}, expected each right bond to match the next left one")
    if opened and shapes[0][1] != 1:
        raise ValueError(
            f"tensors: got a bond of {shapes[0][1]} around the ring, expected open ends; contract it to "
            "all its amplitudes and decompose them, or train with boundary='open'"
        )

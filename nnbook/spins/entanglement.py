r"""Entanglement of a chain cut in two, and matrix-product states in canonical form.

.. math:: \psi(s) = \sum_k \lambda_k\, L_k(s_1 \dots s_l)\, R_k(s_{l+1} \dots s_N), \quad
          \sum_k \lambda_k^2 = 1

The number of Schmidt values :math:`\lambda_k` is the bond dimension that an exact matrix-product state needs
at this cut. A vector of all amplitudes is in the order of :mod:`nnbook.exact.enumerate`, so that it is a
tensor with one axis a site.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nnbook.arrays import check_counts, check_numbers, check_values, finite
from nnbook.spins.tensors import check_bonds, warned_of_overflow


def inner(tensors: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
    r"""The inner product :math:`\langle\phi|\psi\rangle` of matrix-product states with open ends.

    Costs :math:`N D^3` operations, however many configurations there are.

    Raises:
        ValueError: ends that are not open, bonds that do not match, another number of sites.
    """
    check_bonds(tensors, opened=True)
    check_bonds(others, opened=True)
    if len(tensors) != len(others):
        raise ValueError(f"others: got {len(others)} sites, expected {len(tensors)}")
    if len(dtypes := {tensor.dtype for tensor in (*tensors, *others)}) > 1:
        raise ValueError(
            f"tensors: got {sorted(map(str, dtypes))}, expected one dtype for all; write .to(...)"
        )
    carried, log = tensors[0].new_ones(1, 1), 0.0
    for one, other in zip(tensors, others, strict=True):
        carried = torch.einsum("lm,slr,smq->rq", carried, one.conj(), other)
        if 0 < (size := float(carried.detach().abs().max())) < math.inf:
            carried, log = carried / size, log + math.log(size)
    return warned_of_overflow("inner", carried[0, 0] * carried.new_tensor(log).exp())


@dataclass(frozen=True, eq=False)
class Canonical:
    """A normalised matrix-product state with open ends whose bonds are its Schmidt bases.

    Attributes:
        tensors: for each site ``(2, left bond, right bond)``.
        schmidt: for each of the N - 1 cuts the singular values before truncation, squares adding up to one.
        discarded: for each cut the sum of the squares that were cut off.
    """

    tensors: list[Tensor] = field(repr=False)
    schmidt: list[Tensor] = field(repr=False)
    discarded: Tensor

    @property
    def bonds(self) -> list[int]:
        """The bond dimensions of the N - 1 cuts."""
        return [tensor.shape[2] for tensor in self.tensors[:-1]]

    @property
    def parameters(self) -> int:
        """How many numbers the tensors hold."""
        return sum(tensor.numel() for tensor in self.tensors)


def compress(tensors: Sequence[Tensor], bond: int | None = None, *, threshold: float = 1e-14) -> Canonical:
    r"""Bring a matrix-product state with open ends to canonical form and cut its bonds.

    A sweep of QR decompositions to the right, then one of singular-value decompositions to the left. With
    :math:`\epsilon_l` the discarded weight of cut l, the error of the normalised state obeys
    :math:`\lVert\psi - \psi_D\rVert^2 \le \sum_l \epsilon_l` before the cut state is normalised again
    :cite:p:`schollwoeck2011`.

    Args:
        tensors: for each site ``(2, left bond, right bond)``.
        bond: keep no more singular values than this; default: no bound.
        threshold: singular values below this fraction of the largest one count as zero.

    Raises:
        ValueError: ends that are not open, bonds that do not match, a bond below 1, a state that is zero.
    """
    check_counts(bond=1 if bond is None else bond)
    threshold = finite("threshold", threshold, least=0, most=1)
    check_bonds(tensors, opened=True)
    work = _left_canonical(tensors)
    schmidt, discarded = [], []
    for site in range(len(work) - 1, 0, -1):
        rest, left, right = work[site].shape
        matrix = work[site].permute(1, 0, 2).reshape(left, rest * right)
        u, values, vh = torch.linalg.svd(matrix, full_matrices=False)
        keep = min(max(1, int((values > threshold * values[0]).sum())), bond or len(values))
        schmidt.append(values / values.norm())
        discarded.append(1 - schmidt[-1][:keep].square().sum())
        kept = values[:keep] / values[:keep].norm()
        work[site] = vh[:keep].reshape(keep, rest, right).permute(1, 0, 2)
        work[site - 1] = work[site - 1] @ (u[:, :keep] * kept)
    lost = torch.stack(discarded[::-1]) if discarded else tensors[0].real.new_zeros(0)
    return Canonical(work, schmidt[::-1], lost.clamp_min(0))


def decompose(psi: Tensor, sites: int) -> list[Tensor]:
    """Write a vector of all :math:`2^N` amplitudes as a matrix-product state, without loss.

    Cut its bonds with :func:`compress`.

    Args:
        psi: amplitudes ``(2^N,)`` in the order of :mod:`nnbook.exact.enumerate`.
        sites: N, at least 2.

    Raises:
        ValueError: another number of amplitudes, or a state that is zero.
    """
    _check_amplitudes(psi, sites)
    rest, tensors, left = psi, [], 1
    for _ in range(sites - 1):
        u, values, vh = torch.linalg.svd(rest.reshape(left * 2, -1), full_matrices=False)
        tensors.append(u.reshape(left, 2, -1).permute(1, 0, 2))
        rest, left = values[:, None] * vh, len(values)
    return [*tensors, rest.reshape(left, 2, 1).permute(1, 0, 2)]


def schmidt_values(psi: Tensor, sites: int, cut: int) -> Tensor:
    """Singular values, squares adding up to one, between the first ``cut`` sites and the others.

    Raises:
        ValueError: not :math:`2^N` amplitudes, a state that is zero, or a cut outside of the chain.
    """
    _check_amplitudes(psi, sites, cut)
    values = torch.linalg.svdvals(psi.reshape(2**cut, -1))
    normalised: Tensor = values / values.norm()
    return normalised


def schmidt_rank(psi: Tensor, sites: int, cut: int, *, threshold: float = 1e-12) -> int:
    """The number of Schmidt values of positive amplitudes, as far as floating-point numbers tell.

    Values that differ by many orders of magnitude drown in rounding errors. The rank stays the same if rows
    and columns are scaled until all their sums are equal, and the values come together.

    Args:
        psi, sites, cut: see :func:`schmidt_values`.
        threshold: values above this fraction of the largest one count.

    Raises:
        ValueError: as :func:`schmidt_values`, or an amplitude that is not positive.
    """
    _check_amplitudes(psi, sites, cut)
    threshold = finite("threshold", threshold, least=0)
    if psi.is_complex() or not (smallest := float(psi.detach().min())) > 0:
        raise ValueError(
            f"psi: got {'complex numbers' if psi.is_complex() else smallest}, expected positive amplitudes"
        )
    matrix = psi.reshape(2**cut, -1)
    for _ in range(200):
        matrix = matrix / matrix.sum(1, keepdim=True)
        matrix = matrix / matrix.sum(0, keepdim=True)
    values = torch.linalg.svdvals(matrix)
    return int((values > threshold * values[0]).sum())


def entanglement_entropy(schmidt: Tensor) -> float:
    r"""The entropy :math:`S = -\sum_k \lambda_k^2 \ln \lambda_k^2` of singular values, in nats.

    Args:
        schmidt: singular values, which are normalised first.

    Raises:
        ValueError: values that are negative, not finite, or all zero.

    >>> round(entanglement_entropy(torch.tensor([3.0, 3.0])), 6)
    0.693147
    """
    check_values("schmidt", schmidt, ("values",))
    if not (bool((schmidt >= 0).all()) and bool(schmidt.any())):
        raise ValueError("schmidt: got negative values or none above zero, expected singular values")
    scaled = schmidt.double() / schmidt.max()
    return float(torch.special.entr(scaled.square() / scaled.square().sum()).sum())


def _left_canonical(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Isometries to the right, of norm one; the norm of the state is divided out at each site."""
    work, carried = [], tensors[0].new_ones(1, 1)
    for tensor in tensors:
        moved = carried @ tensor.detach()
        size, left, right = moved.shape
        q, carried = torch.linalg.qr(moved.permute(1, 0, 2).reshape(left * size, right))
        if not (norm := carried.norm()) > 0:
            raise ValueError("tensors: got a state that is zero, or not a number, for all configurations")
        carried = carried / norm
        work.append(q.reshape(left, size, -1).permute(1, 0, 2))
    work[-1] = work[-1] * carried.sgn()
    return work


def _check_amplitudes(psi: Tensor, sites: int, cut: int = 1) -> None:
    check_numbers("psi", psi)
    check_counts(sites=sites, cut=cut, least=1)
    if not cut < sites:
        raise ValueError(f"cut: got {cut}, expected one between the {sites} sites, from 1 to {sites - 1}")
    if sites > 60 or psi.shape != (2**sites,):
        raise ValueError(
            f"psi: got shape {tuple(psi.shape)}, expected (2^{sites},), the amplitudes of {sites} spins"
        )
    if not 0 < (largest := float(psi.detach().abs().max())) < float("inf"):
        raise ValueError(
            f"psi: got {largest} as the largest amplitude, expected one that is finite and not zero"
        )

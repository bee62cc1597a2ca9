r"""Configuration interaction for electrons in a two-dimensional trap: all determinants of a few shells.

In units of the trap the matrix elements of the repulsion follow from
:math:`1/r = \tfrac{2}{\sqrt\pi}\int_0^\infty e^{-t^2r^2} dt`: with :math:`\sqrt2\,t = \tan\vartheta` each is
an integral over :math:`\vartheta` of a polynomial in :math:`\cos^2\vartheta`, which the midpoint rule gives
exactly, made of one-dimensional ones for which Gauss-Hermite nodes are exact.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import hermite
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack
from scipy.sparse.linalg import LinearOperator, eigsh

from nnbook.exact.ranges import check_counts, finite

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Interaction:
    """What configuration interaction found.

    Attributes:
        energy: in units of the trap.
        determinants: the dimension of the space.
    """

    energy: float
    determinants: int


def _orbitals(shells: int) -> list[tuple[int, int]]:
    return [(k - n, n) for k in range(shells) for n in range(k + 1)]


def repulsion(shells: int) -> Array:
    r"""Elements :math:`(ab|cd) = \int\!\!\int \varphi_a\varphi_b(r)\,|r - r'|^{-1}\,\varphi_c\varphi_d(r')`.

    Args:
        shells: number of shells; M orbitals, (nx, ny) with the sum rising.

    Returns:
        The elements ``(M, M, M, M)`` in units of the trap.

    Raises:
        ValueError: no shells.
    """
    check_counts(shells=shells)
    node, weight = hermite.hermgauss(2 * shells)
    norm = [1 / math.sqrt(2**n * math.factorial(n) * math.sqrt(math.pi)) for n in range(shells)]

    def functions(x: Array) -> Array:
        return np.stack([norm[n] * hermite.hermval(x, np.eye(shells)[n]) for n in range(shells)])

    pick = np.array(_orbitals(shells)).T
    total, count = np.zeros((pick.shape[1],) * 4), 4 * shells + 2
    for angle in (np.arange(count) + 0.5) * math.pi / (2 * count):
        apart = node[None] * math.cos(angle)
        one, two = (functions((node[:, None] + s * apart) / math.sqrt(2)) for s in (1, -1))
        pairs = [np.einsum("akm,bkm->abkm", f, f) for f in (one, two)]
        line = np.einsum("abkm,cdkm,k,m->abcd", *pairs, weight, weight, optimize=True)
        x, y = (line[np.ix_(p, p, p, p)] for p in pick)
        total += x * y
    scaled: Array = total * math.sqrt(math.pi / 2) / count
    return scaled


def configuration_interaction(electrons: int, coupling: float, shells: int) -> Interaction:
    r"""The ground state of the Hamiltonian in the space of all determinants, half of the electrons up.

    Args:
        electrons: N, even.
        coupling: strength of the repulsion in units of the trap, :math:`1/\sqrt\omega`.
        shells: number of shells that the electrons may occupy.

    Raises:
        ValueError: an odd number of electrons, more than the shells hold, a coupling that is negative, more
            than two million determinants.

    >>> print(f"{configuration_interaction(2, 0.0, 2).energy:.6f}")
    2.000000
    """
    finite("coupling", coupling, least=0)
    check_counts(electrons=electrons, shells=shells)
    levels, half = np.array([1.0 + sum(o) for o in _orbitals(shells)]), electrons // 2
    count = math.comb(len(levels), half)
    if electrons % 2 or not 1 <= count**2 <= 2_000_000:
        raise ValueError(
            f"electrons: got {electrons} in {shells} shells, {count**2:,} determinants; expected an even "
            "number that fits, and at most 2,000,000"
        )
    size = len(levels)
    elements = coupling * repulsion(shells) if coupling else np.zeros((size,) * 4)
    single = np.diag(levels) - 0.5 * np.einsum("prrq->pq", elements)
    moves, back = _excitations(size, half)
    square = elements.reshape(size**2, size**2)

    def act(vector: Array) -> Array:
        c = vector.reshape(count, count)
        moved = (moves @ c).reshape(size**2, count, count)
        moved = moved + (moves @ c.T).reshape(size**2, count, count).transpose(0, 2, 1)
        flat = moved.reshape(size**2, -1)
        after = (0.5 * square @ flat).reshape(moved.shape) + np.multiply.outer(single.ravel(), c)
        up = back @ after.reshape(-1, count)
        down = back @ np.ascontiguousarray(after.transpose(0, 2, 1)).reshape(-1, count)
        result: Array = (up + down.T).ravel()
        return result

    start = np.zeros(count**2)
    start[0] = 1.0
    start += 1e-3 * np.random.default_rng(1).normal(size=count**2)
    if count**2 < 4:
        values = np.linalg.eigvalsh(np.stack([act(row) for row in np.eye(count**2)]))
        return Interaction(float(values[0]), count**2)
    operator = LinearOperator((count**2,) * 2, matvec=act, dtype=np.float64)
    return Interaction(float(eigsh(operator, k=1, which="SA", v0=start, tol=1e-8)[0][0]), count**2)


def _excitations(size: int, half: int) -> tuple[csr_array, csr_array]:
    """All operators that move one electron, below each other; and those of the way back side by side."""
    strings = list(itertools.combinations(range(size), half))
    place = {string: k for k, string in enumerate(strings)}
    entries: dict[tuple[int, int], list[tuple[int, int, int]]] = {
        (p, q): [] for p in range(size) for q in range(size)
    }
    for k, string in enumerate(strings):
        for at, q in enumerate(string):
            rest = string[:at] + string[at + 1 :]
            for p in set(range(size)) - set(rest):
                to = sum(r < p for r in rest)
                new = (*rest[:to], p, *rest[to:])
                entries[p, q].append((place[new], k, (-1) ** (at + to)))
    blocks = {}
    for pq, rows in entries.items():
        i, j, sign = (np.array(c) for c in zip(*rows, strict=True)) if rows else (np.zeros(0, int),) * 3
        blocks[pq] = csr_array((sign.astype(float), (i, j)), shape=(len(strings),) * 2)
    moves = vstack([blocks[p, q] for p in range(size) for q in range(size)], format="csr")
    back = vstack([blocks[q, p] for p in range(size) for q in range(size)], format="csr").T.tocsr()
    return moves, back

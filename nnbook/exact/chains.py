r"""Exact answers for periodic spin chains: free fermions and the Bethe ansatz.

In the transverse-field Ising chain a Jordan-Wigner transformation makes free fermions of the spins
:cite:p:`pfeuty1970`. In the sector of the ground state their momenta are :math:`k = (2n+1)\pi/N`, and

.. math:: E_0 = -\sum_k \epsilon_k, \qquad \epsilon_k = \sqrt{1 + h^2 - 2h\cos k}, \qquad
          \langle \sigma^z_0 \sigma^z_r \rangle = \det\bigl[ G_{i-j+1} \bigr]_{i,j=1}^r, \qquad
          G_R = \frac1N \sum_k \frac{\cos k(R-1) - h\cos kR}{\epsilon_k}.

The Heisenberg chain is solved by N/2 real rapidities :cite:p:`bethe1931`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import toeplitz
from scipy.optimize import root

from nnbook.exact.ranges import check_counts, finite

Array = NDArray[np.float64]


#: No chain is longer, because of arrays of momenta, a determinant for each distance, a matrix of rapidities.
MOST, MOST_DISTANCES, MOST_RAPIDITIES = 10**7, 2048, 8192


def _check_even(sites: int, *, least: int, most: int) -> None:
    check_counts(sites=sites, least=least)
    if sites % 2 or sites > most:
        raise ValueError(f"sites: got {sites}, expected an even number from {least} to {most}")


def _momenta(sites: int, field: float) -> Array:
    _check_even(sites, least=2, most=MOST)
    finite("field", field, least=0, most=1e100)
    return (2 * np.arange(sites) + 1) * np.pi / sites


def ising_energy(sites: int, field: float) -> float:
    """Ground-state energy of the periodic Ising chain of N spins in a transverse field, in Pauli matrices.

    Raises:
        ValueError: an odd number of sites, fewer than 2 or more than ten million; a field below zero or not
            finite.

    >>> round(ising_energy(40, 1.0), 9)
    -50.942674114
    """
    k = _momenta(sites, field)
    return float(-np.sqrt(1 + field**2 - 2 * field * np.cos(k)).sum())


def ising_gap(sites: int, field: float) -> float:
    r"""Distance to the first excited state of the other parity.

    The odd sector has the momenta :math:`2\pi n/N`, one of them zero, whose fermion costs :math:`2(h - 1)`.

    Raises:
        ValueError: as :func:`ising_energy`.
    """
    k = _momenta(sites, field) - np.pi / sites
    odd = -np.sqrt(1 + field**2 - 2 * field * np.cos(k)).sum() + abs(1 - field)
    return float(odd + (field - 1) - ising_energy(sites, field))


def ising_pair_gap(sites: int, field: float) -> float:
    r"""Distance to the first excited state with the symmetries of the ground state.

    It has two fermions of opposite momenta :math:`\pm\pi/N`, and costs :math:`4\epsilon_{\pi/N}`.

    Raises:
        ValueError: as :func:`ising_energy`.
    """
    k = _momenta(sites, field)[0]
    return float(4 * np.sqrt(1 + field**2 - 2 * field * np.cos(k)))


def ising_correlation(sites: int, field: float) -> Array:
    r"""Correlations :math:`\langle\sigma^z_0\sigma^z_r\rangle` for :math:`r = 0 \dots N/2`, ``(N/2 + 1,)``.

    Raises:
        ValueError: as :func:`ising_energy`, or more than 2048 sites.

    >>> ising_correlation(4, 0.0)
    array([1., 1., 1.])
    """
    _check_even(sites, least=2, most=MOST_DISTANCES)
    k = _momenta(sites, field)
    energy = np.sqrt(1 + field**2 - 2 * field * np.cos(k))
    reach = sites // 2
    shifts = np.arange(2 - reach, reach + 1)  # R = i - j + 1
    green = ((np.cos(np.outer(shifts - 1, k)) - field * np.cos(np.outer(shifts, k))) / energy).mean(1)
    at = {int(shift): value for shift, value in zip(shifts, green, strict=True)}
    values = [1.0]
    for r in range(1, reach + 1):
        column, row = [at[1 + i] for i in range(r)], [at[1 - j] for j in range(r)]
        values.append(float(np.linalg.det(toeplitz(column, row))))
    return np.array(values)


def ising_order(sites: int, field: float) -> float:
    r"""Mean square of the magnetisation a site, :math:`\langle (\sum_i \sigma^z_i / N)^2 \rangle`.

    Raises:
        ValueError: as :func:`ising_energy`.
    """
    correlation = ising_correlation(sites, field)
    both_ways = np.concatenate([correlation[:-1], correlation[:0:-1]])
    return float(both_ways.mean())


def ising_transverse(sites: int, field: float) -> float:
    r"""Mean transverse spin :math:`\langle\sigma^x\rangle = -\partial E_0/\partial h / N`.

    Raises:
        ValueError: as :func:`ising_energy`.
    """
    k = _momenta(sites, field)
    return float(((field - np.cos(k)) / np.sqrt(1 + field**2 - 2 * field * np.cos(k))).mean())


def heisenberg_energy(sites: int) -> float:
    r"""Ground-state energy of the periodic antiferromagnetic Heisenberg chain, in Pauli matrices.

    The rapidities solve :math:`2N \arctan 2\lambda_j = 2\pi I_j + 2\sum_l \arctan(\lambda_j - \lambda_l)`
    with :math:`I_j` from :math:`-(N/2 - 1)/2` to :math:`(N/2 - 1)/2` in steps of one, and
    :math:`E = N - \sum_j 2/(\lambda_j^2 + 1/4)`.

    Raises:
        ValueError: an odd number of sites, fewer than 4 or more than 8192.
        ArithmeticError: the equations could not be solved.

    >>> round(heisenberg_energy(40), 9)
    -70.986091153
    """
    _check_even(sites, least=4, most=MOST_RAPIDITIES)
    count = sites // 2
    numbers = np.arange(count) - (count - 1) / 2

    def mismatch(x: Array) -> Array:
        pairs = np.arctan(x[:, None] - x[None, :]).sum(1)
        return np.asarray(sites * np.arctan(2 * x) - np.pi * numbers - pairs)

    def slope(x: Array) -> Array:
        pairs = 1 / (1 + (x[:, None] - x[None, :]) ** 2)
        return np.asarray(np.diag(2 * sites / (1 + 4 * x**2) - pairs.sum(1)) + pairs)

    start = 0.5 * np.tan(np.pi * numbers / sites)
    found = root(mismatch, start, jac=slope, tol=1e-13)
    if np.abs(mismatch(found.x)).max() > 1e-9:
        raise ArithmeticError(f"sites: got {sites}; the Bethe equations were not solved: {found.message}")
    return float(sites - (2 / (found.x**2 + 0.25)).sum())

r"""Exact levels of particles on a line: lattice matrices, sinc functions.

.. math:: \Bigl[-\frac{1}{2m} \frac{d^2}{dx^2} + V(x)\Bigr] \psi = E\,\psi, \qquad \hbar = 1

NumPy and SciPy only, so that no oracle shares code with the networks that it checks.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, eigh_tridiagonal, toeplitz

Array = NDArray[np.float64]


def lattice_states(values: Array, h: float, states: int = 1) -> tuple[Array, Array]:
    r"""The lowest states of :math:`-\Delta / 2h^2 + V` between two walls, by SciPy's tridiagonal solver.

    Args:
        values: V at the sites, ``(sites,)``; the wave function vanishes one spacing beyond both ends.
        h: the spacing.
        states: how many, from the ground state up.

    Returns:
        Energies ``(states,)`` and states ``(sites, states)``, normalised so that ``h * sum(psi**2) == 1``.

    Raises:
        ValueError: fewer than 1 state or more than there are sites.

    >>> lattice_states(np.zeros(3), h=1.0)[0].round(6)  # 1 - cos(pi / 4)
    array([0.292893])
    """
    if not 1 <= states <= len(values):
        raise ValueError(
            f"states: got {states}, expected 1 to {len(values)}, the number of sites; take more points"
        )
    off = np.full(len(values) - 1, -0.5 / h**2)
    energies, psi = eigh_tridiagonal(1 / h**2 + values, off, select="i", select_range=(0, states - 1))
    return energies, psi / math.sqrt(h)


def separated(
    omega: float,
    interaction: Callable[[Array], Array] | None,
    statistics: str,
    states: int = 1,
    *,
    points: int = 600,
) -> Array:
    r"""Energies of two particles in a harmonic trap without a lattice, to about ten digits for ω ≥ 0.1.

    Centre of mass and distance separate,

    .. math:: E = \omega\bigl(n + \tfrac12\bigr) + \epsilon_k, \qquad
              \Bigl[-\frac{d^2}{dr^2} + \frac{\omega^2 r^2}{4} + U(|r|)\Bigr] \phi_k = \epsilon_k\, \phi_k

    with even :math:`\phi` for bosons and odd for fermions. The equation is solved on sinc functions at
    :math:`r = \tfrac12 d, \tfrac32 d, \dots` :cite:p:`colbert1992`, which converge exponentially where U is
    smooth.

    Args:
        omega: the trap's frequency, above zero.
        interaction: U(r), or None; takes and returns a NumPy array.
        statistics: ``"boson"`` or ``"fermion"``.
        states: how many, from the ground state up.
        points: number of sinc functions out to :math:`r = 18 / \sqrt{\omega}`; a weak trap with a narrow
            interaction needs more.

    Raises:
        ValueError: unknown statistics, a frequency that is not positive, fewer than 1 state, an interaction
            that is not finite.

    >>> separated(1.0, None, "boson", 3).round(9)
    array([1., 2., 3.])
    """
    if not (math.isfinite(omega) and omega > 0):
        raise ValueError(
            f"omega: got {omega}, expected a positive frequency; without a trap nothing is bound"
        )
    if not 1 <= states <= points:
        raise ValueError(f"states: got {states}, expected 1 to {points}")
    if statistics not in ("boson", "fermion"):
        raise ValueError(f"statistics: got {statistics!r}, expected 'boson' or 'fermion'")
    step = 18 / math.sqrt(omega) / points
    r: Array = step * (np.arange(points, dtype=np.float64) + 0.5)
    pair = interaction(r) if interaction else 0 * r
    if not np.isfinite(pair).all():
        raise ValueError("interaction: got values that are not finite, expected finite ones at r > 0")
    lag = np.arange(2 * points)
    sinc = np.where(lag == 0, math.pi**2 / 3, 2.0 * (-1.0) ** lag / np.maximum(lag, 1) ** 2) / step**2
    mirror = sinc[np.add.outer(lag[:points], lag[:points]) + 1]
    kinetic = toeplitz(sinc[:points]) + (mirror if statistics == "boson" else -mirror)
    inner = kinetic + np.diag(omega**2 * r**2 / 4 + pair)
    relative = eigh(inner, eigvals_only=True, subset_by_index=(0, states - 1))
    ladder = omega * (np.arange(states) + 0.5)
    return np.sort(np.add.outer(ladder, relative).ravel())[:states]

r"""Exact levels of particles on a line: lattice matrices, sinc functions.

.. math:: \Bigl[-\frac{1}{2m} \frac{d^2}{dx^2} + V(x)\Bigr] \psi = E\,\psi, \qquad \hbar = 1

NumPy and SciPy only, so that no oracle shares code with the networks that it checks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Integral

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, eigh_tridiagonal, toeplitz

from nnbook.exact.ranges import check_counts, finite, positive

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
        ValueError: fewer than 1 state or more than there are sites, values or a spacing that are not finite.

    >>> lattice_states(np.zeros(3), h=1.0)[0].round(6)  # 1 - cos(pi / 4)
    array([0.292893])
    """
    finite("h", h, least=1e-100, most=1e100)
    if not np.isfinite(values).all():
        raise ValueError("values: got NaN or infinities, expected a finite potential at each site")
    if not (isinstance(states, Integral) and 1 <= states <= len(values)):
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
    accuracy: float = 1e-9,
) -> Array:
    r"""Energies of two particles in a harmonic trap without a lattice.

    Centre of mass and distance separate,

    .. math:: E = \omega\bigl(n + \tfrac12\bigr) + \epsilon_k, \qquad
              \Bigl[-\frac{d^2}{dr^2} + \frac{\omega^2 r^2}{4} + U(|r|)\Bigr] \phi_k = \epsilon_k\, \phi_k

    with even :math:`\phi` for bosons and odd for fermions. The equation is solved on sinc functions at
    :math:`r = \tfrac12 d, \tfrac32 d, \dots` :cite:p:`colbert1992`, which converge exponentially where U is
    smooth, and slowly at a cusp. So they are computed on two thirds of the points too, and refused where the
    two differ.

    Args:
        omega: the trap's frequency, above zero.
        interaction: U(r), or None; takes and returns a NumPy array.
        statistics: ``"boson"`` or ``"fermion"``.
        states: how many, from the ground state up.
        points: number of sinc functions out to :math:`r = 18 / \sqrt{\omega}`; a weak trap with a narrow
            interaction needs more.
        accuracy: largest difference that two thirds of the points may make, in units of :math:`\omega`.

    Raises:
        ValueError: unknown statistics, a frequency that is not positive, fewer than 1 state, an interaction
            that is not finite, that is narrower than the points are apart, or whose energies are not known to
            the accuracy.

    >>> separated(1.0, None, "boson", 3).round(9)
    array([1., 2., 3.])
    """
    omega = positive("omega", omega, most=1e100, remedy="without a trap nothing is bound")
    check_counts(states=states, points=points)
    if states > points // 2:
        raise ValueError(f"states: got {states}, expected 1 to {points // 2}, half of the points")
    if statistics not in ("boson", "fermion"):
        raise ValueError(f"statistics: got {statistics!r}, expected 'boson' or 'fermion'")
    reach = 18 / math.sqrt(omega)
    _check_seen(interaction, omega, reach, points)
    rough, fine = (
        _relative(omega, interaction, statistics, states, reach, m) for m in (2 * points // 3, points)
    )
    apart = float(np.abs(fine - rough).max())
    if not apart <= accuracy * omega:
        raise ValueError(
            f"interaction: {points} points and two thirds of them give energies {apart:.1e} apart, expected "
            f"at most accuracy * omega = {accuracy * omega:.1e}; more points, or at a cusp less accuracy"
        )
    ladder = omega * (np.arange(states) + 0.5)
    return np.sort(np.add.outer(ladder, fine).ravel())[:states]


def _relative(
    omega: float,
    interaction: Callable[[Array], Array] | None,
    statistics: str,
    states: int,
    reach: float,
    points: int,
) -> Array:
    """Energies of the relative motion, on sinc functions."""
    step = reach / points
    r: Array = step * (np.arange(points, dtype=np.float64) + 0.5)
    pair = interaction(r) if interaction else 0 * r
    lag = np.arange(2 * points)
    sinc = np.where(lag == 0, math.pi**2 / 3, 2.0 * (-1.0) ** lag / np.maximum(lag, 1) ** 2) / step**2
    mirror = sinc[np.add.outer(lag[:points], lag[:points]) + 1]
    kinetic = toeplitz(sinc[:points]) + (mirror if statistics == "boson" else -mirror)
    inner = kinetic + np.diag(omega**2 * r**2 / 4 + pair)
    energies: Array = eigh(inner, eigvals_only=True, subset_by_index=(0, states - 1))
    return energies


def _check_seen(
    interaction: Callable[[Array], Array] | None, omega: float, reach: float, points: int
) -> None:
    """Refuse an interaction that falls between the points: they must see what many more of them see."""
    if interaction is None:
        return
    seen, there = (
        float(np.abs(interaction(r) * np.exp(-omega * r**2 / 4)).mean())
        for r in (reach * (np.arange(m, dtype=np.float64) + 0.5) / m for m in (points, 401 * points))
    )
    if not math.isfinite(seen + there):
        raise ValueError("interaction: got values that are not finite, expected finite ones at r > 0")
    if not abs(seen - there) <= 1e-2 * there:
        raise ValueError(
            f"interaction: its mean is {there:.2g}, but {seen:.2g} at the {points} points, which are "
            f"{reach / points:.2g} apart; expected one that they resolve, take more points"
        )

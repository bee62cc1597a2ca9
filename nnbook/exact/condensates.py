r"""Condensates in one dimension: ground states of the equation of Gross and Pitaevskii."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnbook.exact.ranges import check_counts, finite, positive

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Condensates:
    r"""Ground states of Gross and Pitaevskii in mirror-symmetric potentials, to the right of the mirror.

    Attributes:
        chemical_potential: :math:`\mu`, ``(n,)``.
        psi: the wave function at the middle of each cell, ``(n, sites)``.
        wave: :math:`(\psi, \psi')` at the edges of the cells, the mirror included, ``(n, sites + 1, 2)``.
        potential: the mean of :math:`V = 2(U + g\psi^2 - \mu)` over each cell, ``(n, sites)``.
        residual: the largest misfit of the equation.
    """

    chemical_potential: Array
    psi: Array
    wave: Array
    potential: Array
    residual: float


def condensates(
    trap: Array,
    spacing: float,
    *,
    interaction: float,
    number: float,
    tolerance: float = 1e-10,
    steps: int = 20_000,
) -> Condensates:
    r"""Solve :math:`-\tfrac12\psi'' + U\psi + g\psi^3 = \mu\psi` in imaginary time, :math:`\hbar = m = 1`.

    The wave function is a sum of cosines, so that its slope vanishes at both ends. A step takes
    :math:`(1 + \tau(H - c))^{-1}`, c below the spectrum, with the density of the step before
    :cite:p:`bao2004`: its fixed point is the solution, whatever :math:`\tau`.

    Args:
        trap: U at the middle of each cell, ``(n, sites)``.
        spacing: the length of a cell.
        interaction: g, not negative.
        number: the integral of :math:`\psi^2` over the cells.
        tolerance: largest misfit of the equation, in units of the largest :math:`|\mu\psi|`.
        steps: at most so many.

    Raises:
        ValueError: wrong shapes or numbers, or a misfit that stays above the tolerance.

    >>> x = 0.1 * (np.arange(80) + 0.5)
    >>> condensates(x[None] ** 2 / 2, 0.1, interaction=0.0, number=0.5).chemical_potential.round(6)
    array([0.5])
    """
    trap = np.asarray(trap, dtype=float)
    if trap.ndim != 2 or not np.isfinite(trap).all():
        raise ValueError(f"trap: got shape {trap.shape}, expected finite numbers (n, sites)")
    check_counts(steps=steps, n=len(trap), sites=trap.shape[1])
    dx = finite("spacing", spacing, least=1e-9, most=1e9)
    g = finite("interaction", interaction, least=0, most=1e50)
    number, tolerance = positive("number", number, most=1e50), positive("tolerance", tolerance)
    sites = trap.shape[1]
    k = np.arange(sites)[:, None] * (math.pi / (sites * dx))
    weight = np.sqrt(np.where(k > 0, 2.0, 1.0) / sites)
    cosines = weight * np.cos(k * dx * (np.arange(sites) + 0.5))
    kinetic = cosines.T @ (k**2 / 2 * cosines)
    psi = np.full_like(trap, math.sqrt(number / (sites * dx)))
    for _ in range(steps):
        local = trap + g * psi**2
        image = psi @ kinetic + local * psi
        mu = (psi * image).sum(1, keepdims=True) * dx / number
        misfit = float(np.abs(image - mu * psi).max())
        if misfit <= tolerance * np.abs(mu * psi).max():
            break
        tau = 0.5 / (g * psi**2).max(1).clip(0.5)[:, None, None]
        shifted = kinetic + (local - local.min(1, keepdims=True))[..., None] * np.eye(sites)
        psi = np.linalg.solve(np.eye(sites) + tau * shifted, psi[..., None])[..., 0]
        psi *= np.sqrt(number / (dx * np.square(psi).sum(1, keepdims=True)))
    else:
        raise ValueError(f"steps: got {steps}, after which a misfit of {misfit:.0e} is left; expected enough")
    edges = k * dx * np.arange(sites + 1)
    parts = psi @ cosines.T
    wave = np.stack([parts @ (weight * np.cos(edges)), -parts @ (k * weight * np.sin(edges))], -1)
    potential = 2 * (trap + g * psi**2 - mu)
    mean = potential @ cosines.T * np.sinc(k[:, 0] * dx / (2 * math.pi)) @ cosines
    return Condensates(mu[:, 0], psi, wave, mean, misfit)

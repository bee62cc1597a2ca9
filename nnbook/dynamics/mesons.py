r"""Vector mesons as levels of a wall, walls learnt from their masses, and the dilaton behind a wall.

The action of a meson has the weight :math:`e^{-B(z)}` with :math:`B' = 1/z + P(z)`; :math:`P = 2cz` is the
soft wall, with :math:`m_n^2 = 4c(n + 1)` :cite:p:`akutagawa2020,ohashi2021`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline
from scipy.linalg import eigh_tridiagonal
from torch import Tensor

from nnbook.arrays import Array, check_counts, check_values, like, positive
from nnbook.dynamics.splines import check_knots, spline_basis
from nnbook.train.inverse import invert


def meson_potential(wall: Tensor, knots: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    r"""The Schroedinger potential of a vector meson, ``(n,)``, and its derivatives by the wall, ``(n, k)``.

    .. math:: U = \tfrac14 B'^2 - \tfrac12 B'', \qquad B' = \frac1z + P(z)

    with P the natural spline through the wall's values at the knots and P(0) = 0; P = 2cz is the soft wall.
    """
    check_knots(knots, wall)
    check_values("z", z, ("n",), dtype=torch.float64)
    check_counts(**{"places z": len(z)})
    positive("z", z.min())
    basis, slope = spline_basis(z, knots), spline_basis(z, knots, 1)
    first = 1 / z + basis @ wall
    second = -1 / z**2 + slope @ wall
    return first**2 / 4 - second / 2, (first[:, None] * basis - slope) / 2


def masses(wall: Tensor, knots: Tensor, states: int, *, points: int = 1400) -> tuple[Tensor, Tensor]:
    """Masses of the lowest mesons and their derivatives by the wall, ``(states,)`` and ``(states, k)``.

    Eigenvalues of a tridiagonal matrix; their derivatives are means of those of the potential.
    """
    check_knots(knots, wall)
    check_counts(states=states)
    check_counts(least=states + 1, points=points)
    z = torch.linspace(0, float(knots[-1]), points + 2, dtype=torch.float64)[1:-1]
    potential, rows = meson_potential(wall, knots, z)
    step = float(z[1] - z[0])
    edge = np.full(points - 1, -1 / step**2)
    squares, waves = eigh_tridiagonal(
        potential.numpy() + 2 / step**2, edge, select="i", select_range=(0, states - 1)
    )
    found = like(np.sqrt(np.maximum(squares, 1e-12)), wall)
    return found, (like(waves, wall) ** 2).mT @ rows / (2 * found[:, None])


def learn_wall(
    measured: Tensor, *, strength: float = 1e-6, reach: float = 16.0, knots: int = 16, error: float = 1e-3
) -> tuple[Tensor, Tensor]:
    """The smoothest wall with measured masses in GeV: its values and their knots, ``(k,)`` each.

    Starts from the soft wall of the first mass.
    """
    check_counts(least=2, knots=knots)
    check_values("measured", measured, ("masses",), dtype=torch.float64)
    check_counts(measured=len(measured))
    positive("measured", measured.min())
    positive("measured", measured.max(), most=100, remedy="give GeV")
    positive("error", error)
    places = torch.linspace(0, positive("reach", reach, most=1e3), knots + 1, dtype=torch.float64)[1:]
    penalty = spline_basis(torch.linspace(0, reach, 101, dtype=torch.float64), places, 2)

    def linearised(wall: Tensor) -> tuple[Tensor, Tensor]:
        found, rows = masses(wall, places, len(measured))
        return (found - measured) / error, rows / error

    start = float(measured[0]) ** 2 / 2 * places
    return invert(linearised, start, penalty, strengths=[strength], steps=100)[0].params, places


@dataclass(frozen=True, eq=False)
class Dilaton:
    """Dilaton and its potential along z, ``(n,)`` each."""

    z: Array
    dilaton: Array
    potential: Array


def dilaton(wall: Tensor, knots: Tensor, z: Array) -> Dilaton:
    r"""The dilaton behind a wall, from the linear equation of its exponential :math:`y = e^\Phi`.

    .. math:: y'' + 2B'y' - 3(B'^2 + B'')\,y = 0, \qquad V = 3e^{-2A_E}(A_E'' + 3A_E'^2), \quad
              A_E = \Phi/3 - B

    :cite:p:`ohashi2021`. Places z in rising order, above zero.
    """
    check_knots(knots, wall)
    positive("wall", wall.abs().max(), most=1e3)
    check_values("z", z, ("n",))
    check_counts(**{"places z": len(z)})
    positive("z", z.max(), most=1e3)
    if not (np.diff(z) > 0).all() or not z[0] > 0:
        raise ValueError("z: got places that do not rise from above zero, expected rising ones")
    pieces = CubicSpline([0.0, *knots.tolist()], [0.0, *wall.tolist()], bc_type="natural")

    def slopes(t: float, state: Array) -> list[float]:  # of the dilaton itself, which does not overflow
        p, p1, u = float(pieces(t)), float(pieces(t, 1)), state[1]
        return [u, 3 * (2 * p / t + p**2 + p1) - 2 * (1 / t + p) * u - u**2]

    c, first = float(pieces(0, 1)) / 2, 1e-3 * float(z[0])
    solved = solve_ivp(
        slopes, (first, float(z[-1])), [3 * c * first**2, 6 * c * first], t_eval=z, rtol=1e-10, atol=1e-12
    )
    phi, slope = solved.y
    p, p1 = pieces(z), pieces(z, 1)
    bend = 3 * (2 * p / z + p**2 + p1) - 2 * (1 / z + p) * slope - slope**2
    b = np.log(z) + pieces.antiderivative()(z)
    a, a1, a2 = phi / 3 - b, slope / 3 - 1 / z - p, bend / 3 + 1 / z**2 - p1
    return Dilaton(z, phi, 3 * np.exp(-2 * a) * (a2 + 3 * a1**2))

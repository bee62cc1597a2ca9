r"""Surfaces and strings that hang from the boundary of an asymptotically Anti-de-Sitter space, by quadrature.

.. math:: ds^2 = \frac1{z^2}\Bigl[-f e^{-\chi} dt^2 + \frac{dz^2}f + dx^2 + \dots\Bigr]

with the boundary at z = 0 and unit radius. The surface of a strip turns at z; its area, without
the divergence at the boundary, is the entropy of a region of width l :cite:p:`ryu2006`. A string between two
quarks turns at z too, and its length is their potential :cite:p:`maldacena1998`.
Adaptive quadrature with the root singularity as its weight; nothing is shared with what is trained.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import gamma, hyp1f1

from nnbook.exact.ranges import check_counts, finite, positive

Profile = Callable[[float], float]

#: Separation times potential, in units of the string tension, between two quarks in pure AdS5.
ADS5_POTENTIAL = -4 * math.pi**2 / gamma(0.25) ** 4


def brane(d: int = 3) -> Profile:
    """The blackening factor of a black brane with its horizon at 1, f = 1 - z**d.

    >>> brane(3)(0.5)
    0.875
    """
    check_counts(least=2, d=d)
    return lambda z: -math.expm1(d * math.log(z)) if z > 0 else 1.0


def flat(z: float) -> float:
    """The redshift of a black brane, zero."""
    return 0.0


def _singular(integrand: Profile, turn: float) -> float:
    """The integral of a function that has a root singularity at the turning point, times that root."""
    value, _ = quad(integrand, 0, turn, weight="alg", wvar=(0, -0.5), epsabs=1e-12, epsrel=1e-11, limit=200)
    return float(value)


def _before_horizon(turn: float, f: Profile) -> None:
    finite("turn", turn, least=1e-6, most=1e6)
    if not f(turn) > 0:
        raise ValueError(f"turn: got {turn:g}, expected a place before the horizon, where f is above zero")


def strip(turn: float, f: Profile) -> tuple[float, float]:
    r"""Width and area of the surface of a strip that turns at z, in four dimensions.

    .. math:: l = 2\int_0^{z_*}\frac{(z/z_*)^2\,dz}{\sqrt{f\,q}}, \quad
              A = 2\int_0^{z_*}\frac{dz}{z^2}\Bigl[\frac1{\sqrt{f\,q}} - 1\Bigr] - \frac2{z_*}, \quad
              q = 1 - (z/z_*)^4

    and :math:`dA/dl = z_*^{-2}`. The entropy is A/4G.

    Raises:
        ValueError: a turning point that is not above zero, or behind a horizon.
    """
    _before_horizon(turn, f)

    def regular(z: float) -> float:  # root of (z_* - z) over sqrt(f q)
        x = z / turn
        return math.sqrt(turn / ((1 + x) * (1 + x * x) * f(z)))

    def area(z: float) -> float:
        if z < 1e-5 * turn:
            return 0.0
        return (regular(z) - math.sqrt(max(turn - z, 0.0))) / z**2

    width = _singular(lambda z: (z / turn) ** 2 * regular(z), turn)
    return 2 * width, 2 * _singular(area, turn) - 2 / turn


def string(turn: float, f: Profile, chi: Profile = flat) -> tuple[float, float]:
    r"""Separation and potential of two quarks whose string turns at z, in units of the string tension.

    .. math:: d = 2\int_0^{z_*}\frac{dz}{\sqrt{f}\sqrt{F/F_* - 1}}, \quad
              V = 2\int_0^{z_*}\frac{dz}{z^2}\Bigl[\frac{e^{-\chi/2}}{\sqrt{1 - F_*/F}} - 1\Bigr] -
              \frac2{z_*}, \quad F = \frac{f e^{-\chi}}{z^4}

    and :math:`dV/dd = \sqrt{F_*}`.

    Raises:
        ValueError: a turning point that is not above zero, or behind a horizon.
    """
    _before_horizon(turn, f)

    def log_f(z: float) -> float:
        return math.log(f(z)) - chi(z) - 4 * math.log(z)

    def rise(z: float) -> float:  # ln F/F_* over (1 - z/z_*)
        if z > turn * (1 - 1e-6):  # its limit, by the slope
            step = 1e-4 * turn
            return (log_f(turn - step) - log_f(turn + step)) / (2 * step) * turn
        return (log_f(z) - log_f(turn)) / (1 - z / turn)

    def root(z: float) -> float:
        return math.sqrt(max(turn - z, 0.0))

    def separation(z: float) -> float:
        gap = rise(z) * (1 - z / turn)
        steep = math.expm1(gap) / gap if gap > 1e-8 else 1.0
        return 1 / math.sqrt(f(z) * steep * rise(z) / turn)

    def energy(z: float) -> float:
        if z < 1e-5 * turn:
            return 0.0
        gap = rise(z) * (1 - z / turn)
        steep = -math.expm1(-gap) / gap if gap > 1e-8 else 1.0
        return (math.exp(-chi(z) / 2) / math.sqrt(steep * rise(z) / turn) - root(z)) / z**2

    return 2 * _singular(lambda z: separation(z) if z > 0 else 0.0, turn), 2 * _singular(
        energy, turn
    ) - 2 / turn


def soft_wall(z: NDArray[np.float64], c: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Dilaton and its potential behind the soft wall :math:`B = cz^2 + \ln z`, in closed form.

    .. math:: e^\Phi = e^{cz^2} M(-\tfrac34, \tfrac32, -4cz^2), \quad V = 3e^{-2A}(A'' + 3A'^2), \quad
              A = \Phi/3 - B

    with Kummer's function M; it solves :math:`y'' + 2B'y' - 3(B'^2 + B'')y = 0`, y the exponential
    :cite:p:`ohashi2021`. V is 12 at the boundary and :math:`3.26891\sqrt\Phi\,e^{4\Phi/3}` far inside.

    Args:
        z: places above zero, any shape.
        c: of the wall, above zero.

    Raises:
        ValueError: places or a wall that are not above zero, or far beyond the range of floats.
    """
    positive("c", c)
    if z.size and not (np.isfinite(z).all() and z.min() > 0 and c * z.max() ** 2 < 100):
        raise ValueError("z: got places out of range, expected numbers above zero with c z^2 below 100")
    x = 4 * c * z**2
    even, odd = hyp1f1(-0.75, 1.5, -x), hyp1f1(0.25, 2.5, -x)
    dilaton = c * z**2 + np.log(even)
    slope = 2 * c * z + 4 * c * z * odd / even  # of the dilaton
    first, second = 2 * c * z + 1 / z, 2 * c - 1 / z**2  # of B
    bend = 3 * (first**2 + second) - 2 * first * slope - slope**2
    a, a1, a2 = dilaton / 3 - c * z**2 - np.log(z), slope / 3 - first, bend / 3 - second
    return dilaton, 3 * np.exp(-2 * a) * (a2 + 3 * a1**2)

r"""The two-dimensional Ising model, solved: finite periodic lattices.

The energy is :math:`E(s) = -\sum_{\langle ij\rangle} s_i s_j`. On a torus of N sites with columns of length n
and rows of length m, the partition function is a sum of four products :cite:p:`kaufman1949`,

.. math:: Z = \tfrac12 (2\sinh 2\beta)^{N/2} \Bigl[
              \prod_r 2\cosh\tfrac m2\gamma_{2r+1} + \prod_r 2\sinh\tfrac m2\gamma_{2r+1}
            + \prod_r 2\cosh\tfrac m2\gamma_{2r} + \prod_r 2\sinh\tfrac m2\gamma_{2r} \Bigr],
            \qquad r = 0 \dots n - 1,

.. math:: \cosh\gamma_k = \cosh 2\beta \coth 2\beta - \cos\frac{\pi k}{n}, \qquad
          \gamma_0 = 2\beta + \ln\tanh\beta .

The last one carries a sign: it is negative above the critical temperature, where the arccosh would be wrong
by up to ln 2 in ln Z.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnbook.exact.ranges import check_counts, finite

Array = NDArray[np.float64]

#: The critical inverse temperature of the infinite lattice, where sinh 2 beta = 1.
BETA_C = math.log(1 + math.sqrt(2)) / 2


@dataclass(frozen=True)
class Thermodynamics:
    r"""Exact thermodynamics at one temperature, per site.

    Attributes:
        beta: inverse temperature.
        log_z: :math:`\ln Z / N`.
        energy: :math:`\langle E\rangle / N = -\partial_\beta \ln Z / N`.
        specific_heat: :math:`\beta^2 \operatorname{Var} E / N`.
    """

    beta: float
    log_z: float
    energy: float
    specific_heat: float

    @property
    def free_energy(self) -> float:
        r""":math:`F/N = -\ln Z / \beta N`."""
        return -self.log_z / self.beta

    @property
    def entropy(self) -> float:
        """The entropy in nats a site; no model has a smaller mean of -ln p on samples of this temperature."""
        return self.log_z + self.beta * self.energy


class _Jet(NamedTuple):
    """A function of beta, its first and its second derivative."""

    value: float
    slope: float
    bend: float

    def __mul__(self, other: tuple[float, ...]) -> _Jet:  # type: ignore[override]
        (f, df, ddf), (g, dg, ddg) = self, other
        return _Jet(f * g, df * g + f * dg, ddf * g + 2 * df * dg + f * ddg)


def _in_range(beta: float) -> float:
    """A temperature at which the terms of the solution neither cancel nor overflow."""
    hot_and_cold = "beyond, the first term of a series at high or low temperature is exact to rounding"
    return finite("beta", beta, least=1e-3, most=100.0, remedy=hot_and_cold)


def torus(beta: float, length: int, columns: int | None = None) -> Thermodynamics:
    """The periodic lattice; where a side is 2, each pair along it has two bonds.

    The products are taken as logarithms, so that no size overflows; errors are some 1e-14 of each number.

    Args:
        beta: inverse temperature, from 0.001 to 100.
        length: number of rows, at least 2.
        columns: sites a row; as many as there are rows if absent.

    Raises:
        ValueError: a temperature out of range, a side below 2.

    >>> torus(BETA_C, 16).log_z * 16**2
    238.642256635...
    """
    beta, n, m = _in_range(beta), length, length if columns is None else columns
    check_counts(least=2, length=n, columns=m)
    s, c, sites = math.sinh(2 * beta), math.cosh(2 * beta), n * m
    odd = _modes(beta, np.arange(1, 2 * n, 2) * np.pi / n)
    even = _modes(beta, np.arange(2, 2 * n, 2) * np.pi / n)
    logs = [_log_product(modes, m, sign) for modes in (odd, even) for sign in (1, -1)]
    zero = _Jet(2 * beta + math.log(math.tanh(beta)), 2 + 2 / s, -4 * c / s**2)  # gamma_0
    size = 0.5 * m * abs(zero.value)
    largest = max(logs[0].value, logs[2].value + size)
    shifts = [largest, largest, largest - size, largest - size]
    products = [_exponential(log, shift) for log, shift in zip(logs, shifts, strict=True)]
    products[2] *= _hyperbolic(zero, m, 1)
    products[3] *= _hyperbolic(zero, m, -1)
    z, dz, ddz = (sum(column) for column in zip(*products, strict=True))
    log_z = sites / 2 * math.log(2 * s) - math.log(2) + largest + math.log(z)
    energy = -(sites * c / s + dz / z)
    variance = -2 * sites / s**2 + ddz / z - (dz / z) ** 2
    return Thermodynamics(beta, log_z / sites, energy / sites, beta**2 * variance / sites)


def _modes(beta: float, k: Array) -> tuple[Array, Array, Array]:
    """The gammas of momenta k other than zero, with their derivatives by beta."""
    s, c = math.sinh(2 * beta), math.cosh(2 * beta)
    gamma = 2 * np.arcsinh(np.sqrt((1 - s) ** 2 / (2 * s) + np.sin(k / 2) ** 2))  # cosh - 1 has no rounding
    first, second = 2 * c * (1 - 1 / s**2), 4 * (s - 1 / s) + 8 * c**2 / s**3
    slope = first / np.sinh(gamma)
    return gamma, slope, second / np.sinh(gamma) - slope**2 / np.tanh(gamma)


def _log_product(modes: tuple[Array, Array, Array], m: int, sign: int) -> _Jet:
    """The logarithm of the product of 2 cosh (sign 1) or 2 sinh (sign -1) of m gamma / 2."""
    x, slope, bend = (0.5 * m * part for part in modes)
    decay = np.exp(-2 * x)
    ratio = (1 - sign * decay) / (1 + sign * decay)  # tanh or coth
    curved = bend * ratio + slope**2 * (1 - ratio**2)
    return _Jet(float((x + np.log1p(sign * decay)).sum()), float((slope * ratio).sum()), float(curved.sum()))


def _exponential(log: _Jet, shift: float) -> _Jet:
    scaled = math.exp(log.value - shift)
    return _Jet(scaled, scaled * log.slope, scaled * (log.bend + log.slope**2))


def _hyperbolic(gamma: _Jet, m: int, sign: int) -> _Jet:
    """The value 2 cosh (sign 1) or 2 sinh (sign -1) of m gamma / 2 over the exponential of its size."""
    x, slope, bend = (0.5 * m * part for part in gamma)
    small = math.exp(-2 * abs(x))
    even, odd = 1 + small, math.copysign(1 - small, x)
    here, turned = (even, odd) if sign > 0 else (odd, even)
    return _Jet(here, slope * turned, bend * turned + slope**2 * here)

"""The two functions of a metric from h alone, and the strings that hang in it between two quarks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.integrate import cumulative_simpson
from scipy.interpolate import CubicSpline

from nnbook.arrays import Array, check_counts, check_values, finite, positive
from nnbook.dynamics.bulk import BulkMetric


@dataclass(frozen=True, eq=False)
class Split:
    r"""f and g of a metric on a grid, with f = g = e^{2 eta} at the boundary.

    Attributes:
        eta: places from the horizon outwards, ``(n,)``.
        log_f, log_g: logarithms of both, ``(n,)``.
        temperature: of the horizon, in units of 1/L.
    """

    eta: Array = field(repr=False)
    log_f: Array = field(repr=False)
    log_g: Array = field(repr=False)
    temperature: float

    def potential(self, turns: Array, *, nodes: int = 240) -> Array:
        r"""Separation and potential of strings that turn at places, ``(n, 2)``; without those that cannot.

        .. math:: d = 2\int \frac{C\,d\eta}{\sqrt{g(fg - C^2)}}, \quad
                  V = 2\int\sqrt f\Bigl(\frac1{\sqrt{1 - C^2/fg}} - 1\Bigr)d\eta -
                  2\int_{\eta_h}^{\eta_0}\sqrt f\,d\eta

        with :math:`C^2 = fg` at the turning point, in units of L and of the tension times 1/L
        :cite:p:`maldacena1998`.
        """
        check_values("turns", turns, ("n",))
        check_counts(nodes=nodes)
        f, product = CubicSpline(self.eta, self.log_f), CubicSpline(self.eta, self.log_f + self.log_g)
        below = CubicSpline(self.eta, cumulative_simpson(np.exp(self.log_f / 2), x=self.eta, initial=0))
        x, w = np.polynomial.legendre.leggauss(nodes)
        rows = []
        for turn in turns:
            reach = (self.eta[-1] - turn) ** 0.5
            s, ds = reach * (x + 1) / 2, reach * w / 2
            eta = turn + s**2
            rise = product(eta) - product(turn)
            if not (rise > 0).all():
                continue
            log_f, log_g = f(eta), product(eta) - f(eta)
            apart = (4 * s * ds * np.exp(-log_g / 2) / np.sqrt(np.expm1(rise))).sum()
            longer = np.expm1(-0.5 * np.log(-np.expm1(-rise)))
            energy = (4 * s * ds * np.exp(log_f / 2) * longer).sum() - 2 * below(turn)
            rows.append((apart, energy))
        return np.array(rows).reshape(-1, 2)


def split(metric: BulkMetric, *, match: float = 1.0, points: int = 4001, outer: float = 7.0) -> Split:
    r"""f and g from h alone, for any dilaton potential.

    The difference of two of Einstein's equations is :math:`X' + hX = 0` for
    :math:`X = (\ln f/g)'`; a regular horizon fixes its constant, and with it the temperature.

    Args:
        metric: gives h, which is 4 beyond its boundary.
        match: where h becomes 4; the metric is used below.
        points: of the grid.
        outer: its end.
    """
    check_counts(least=101, points=points)
    positive("match", match)
    eta = np.geomspace(1e-5, finite("outer", outer, least=2 * match), points)
    place = torch.from_numpy(np.minimum(eta, match))
    rest = np.where(eta <= match, metric.h(place).numpy() - 1 / eta, 4 - 1 / eta)  # without the pole
    log = np.log(eta)
    total = log + cumulative_simpson(rest * eta, x=log, initial=0)  # of h
    inside = cumulative_simpson(np.exp(log - total), x=log, initial=0)
    ratio = 2 * (inside - inside[-1]) * math.exp(total[0] - log[0])
    total += 4 * eta[-1] - total[-1]
    log_f, log_g = (2 * total + 3 * ratio) / 4, (2 * total - ratio) / 4
    return Split(eta, log_f, log_g, float(np.exp(log_f[0] / 2) / eta[0] / (2 * math.pi)))

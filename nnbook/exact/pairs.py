r"""Two electrons in a harmonic trap: the radial equation of their relative motion.

The centre of mass oscillates by itself. With :math:`\rho = \sqrt{\omega/2}\,r` the relative motion without
angular momentum obeys, in units of :math:`\omega`,

.. math:: \Bigl[ -\tfrac12 \Bigl( \partial_\rho^2 + \frac{d-1}{\rho} \partial_\rho \Bigr) + \tfrac12\rho^2
          + \frac{1}{\sqrt{2\omega}\,\rho} \Bigr] R = \epsilon R .

R is analytic in :math:`\rho`, its cusp included, so that polynomials on an interval converge exponentially.
For some frequencies it is elementary :cite:p:`taut1993`: d = 2, ω = 1 has :math:`R = (1 + r)\,e^{-r^2/4}`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh

from nnbook.exact.ranges import check_counts, positive

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TrappedPair:
    """The ground state of two electrons of opposite spins.

    Attributes:
        energy: in hartree.
        kinetic, trap, repulsion: its parts.
        gap: to the next state of the relative motion without angular momentum.
    """

    energy: float
    kinetic: float
    trap: float
    repulsion: float
    gap: float
    _radial: tuple[float, float, Array] = field(repr=False)

    def relative(self, r: ArrayLike) -> Array:
        """The relative wave function R at distances r in atomic units, R(0) = 1.

        Raises:
            ValueError: a negative distance, or one that is not finite.
        """
        if not (np.isfinite(r) & (np.asarray(r) >= 0)).all():
            raise ValueError("r: got one that is negative or not finite, expected distances")
        scale, length, coefficients = self._radial
        rho = np.asarray(r, dtype=float) * scale
        place = 2 * np.minimum(rho, length) / length - 1
        value: Array = np.where(rho <= length, legendre.legval(place, coefficients), 0.0)
        return value / legendre.legval(-1.0, coefficients)


def trapped_pair(omega: float, dim: int = 2, *, degree: int = 60) -> TrappedPair:
    """Solve the relative motion of two electrons with polynomials up to a degree.

    Args:
        omega: frequency of the trap, at least 1e-4.
        dim: 2 or 3.
        degree: of the polynomials; 60 give twelve digits.

    Raises:
        ValueError: a frequency that is not above zero or too small, another dimension, a degree below 4.

    >>> print(f"{trapped_pair(1.0).energy:.10f} {trapped_pair(0.5, dim=3).energy:.10f}")
    3.0000000000 2.0000000000
    """
    positive("omega", omega)
    check_counts(least=4, degree=degree)
    if dim not in (2, 3) or not 1e-4 <= omega <= 1e6:
        raise ValueError(f"dim, omega: got {dim} and {omega:g}, expected 2 or 3, and 1e-4 to 1e6")
    coupling = (2 * omega) ** -0.5
    length = coupling ** (1 / 3) + 9.0
    node, weight = legendre.leggauss(degree + 4)
    rho = length * (node + 1) / 2
    table = legendre.legvander(node, degree)
    slope = np.stack([legendre.legval(node, legendre.legder(row)) for row in np.eye(degree + 1)], 1)
    slope *= 2 / length
    measure = weight * rho ** (dim - 1)
    kinetic = 0.5 * slope.T @ (measure[:, None] * slope)
    trap = 0.5 * table.T @ ((measure * rho**2)[:, None] * table)
    repulsion = coupling * table.T @ ((measure / rho)[:, None] * table)
    values, vectors = eigh(kinetic + trap + repulsion, table.T @ (measure[:, None] * table))
    best = vectors[:, 0]
    parts = [float(omega * (best @ part @ best)) for part in (kinetic, trap, repulsion)]
    centre = omega * dim / 4  # kinetic, and as much in the trap
    energy = float(omega * values[0]) + 2 * centre
    gap = float(omega * (values[1] - values[0]))
    radial = ((omega / 2) ** 0.5, length, best)
    return TrappedPair(energy, parts[0] + centre, parts[1] + centre, parts[2], gap, radial)

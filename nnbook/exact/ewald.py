r"""Particles in a cube with periodic walls: what can be computed without sampling.

Momenta are :math:`2\pi\mathbf n/L` with whole numbers :math:`\mathbf n`. The Coulomb energy of a cell, with a
uniform background, is that of Ewald; a state of plane waves has its energy in sums over momenta; and two
particles reduce to one relative coordinate, which plane waves diagonalise.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.special import erfc

from nnbook.exact.ranges import check_counts, finite, positive

Array = NDArray[np.float64]
Transform = Callable[[Array], Array]

#: Heights in MeV and inverse squares of ranges in fm^-2 of the singlet part of :cite:t:`thompson1977`.
MINNESOTA = ((200.0, 1.487), (-91.85, 0.465))


def _size(name: str, value: object) -> float:
    """A number above zero whose powers are numbers too."""
    return finite(name, value, least=1e-9, most=1e9)


def momenta(reach: float) -> Array:
    """All vectors of whole numbers no longer than ``reach``, the shortest first, ``(count, 3)``."""
    top = int(positive("reach", reach, most=60))
    n = np.array(list(itertools.product(range(-top, top + 1), repeat=3)), dtype=float)
    square = (n**2).sum(1)
    order = np.argsort(square, kind="stable")
    found: Array = n[order][square[order] <= reach**2 + 1e-9]
    return found


def closed_shell(count: int) -> Array:
    """Momenta of ``count`` particles of one spin that fill shells, ``(count, 3)``.

    Raises:
        ValueError: an open shell.
    """
    check_counts(count=count)
    n = momenta(max(2.0, (count * 0.75 / math.pi) ** (1 / 3) + 2))
    sizes = np.cumsum(np.unique((n**2).sum(1), return_counts=True)[1])
    if count not in sizes:
        full = ", ".join(str(2 * size) for size in sizes[:5])
        raise ValueError(f"particles: got {2 * count}, expected closed shells of plane waves: {full}, ...")
    return n[:count]


@dataclass(frozen=True, eq=False)
class Ewald:
    r"""The Coulomb potential of a unit charge, its images and a uniform background, in a cube.

    .. math:: v(\mathbf r) = \sum_{\mathbf R} \frac{\operatorname{erfc}(\alpha|\mathbf r + \mathbf R|)}
              {|\mathbf r + \mathbf R|} + \sum_{\mathbf G \ne 0} w_G \cos \mathbf G\cdot\mathbf r
              - \frac{\pi}{\alpha^2 L^3}, \qquad w_G = \frac{4\pi}{L^3} \frac{e^{-G^2/4\alpha^2}}{G^2},

    whose mean over the cube is zero :cite:p:`ewald1921`. It does not depend on :math:`\alpha`.

    Attributes:
        length: L.
        alpha: in units of 1/L; 3 makes both sums short.

    Raises:
        ValueError: a length or an alpha that is not above zero.
    """

    length: float
    alpha: float = 3.0

    def __post_init__(self) -> None:
        _size("length", self.length)
        finite("alpha", self.alpha, least=0.1, most=20)

    @property
    def images(self) -> Array:
        """The cells R next to one another, ``(27, 3)``."""
        return self.length * np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=3)))

    @property
    def waves(self) -> tuple[Array, Array]:
        """Half of the vectors G ``(count, 3)``, and twice their weights."""
        n = momenta(1.6 * self.alpha)[1:]
        first = np.sign(n @ np.array([1e4, 1e2, 1.0])) > 0
        g = 2 * math.pi / self.length * n[first]
        square = (g**2).sum(1)
        fall = np.exp(-square * (self.length / self.alpha) ** 2 / 4) / square
        return g, 8 * math.pi / self.length**3 * fall

    @property
    def constant(self) -> float:
        """The last term of v."""
        return -math.pi / (self.alpha**2 * self.length)

    def pair(self, r: Array) -> Array:
        """v at differences ``(..., 3)`` of two charges, ``(...)``."""
        r = r - self.length * np.round(r / self.length)
        apart = np.linalg.norm(r[..., None, :] + self.images, axis=-1)
        near = (erfc(self.alpha / self.length * apart) / apart).sum(-1)
        g, weight = self.waves
        result: Array = near + np.cos(r @ g.T) @ weight + self.constant
        return result

    def madelung(self) -> float:
        """The potential of the images and the background at the charge itself, -2.837297/L."""
        images = np.linalg.norm(self.images, axis=1)
        images = images[images > 0]
        own = 2 * self.alpha / self.length / math.sqrt(math.pi)
        near = float((erfc(self.alpha / self.length * images) / images).sum())
        return near + float(self.waves[1].sum()) + self.constant - own


@dataclass(frozen=True)
class HartreeFock:
    """Energies of one determinant of plane waves, a particle; the field is that of all others.

    Attributes:
        kinetic: of the Fermi gas.
        direct: of the charges, or of the mean density.
        exchange: of the Pauli principle.
    """

    kinetic: float
    direct: float
    exchange: float

    @property
    def energy(self) -> float:
        """The sum."""
        return self.kinetic + self.direct + self.exchange


def fermi_gas(particles: int, length: float, stiffness: float = 1.0) -> float:
    r"""Energy a particle of plane waves in closed shells.

    Args:
        particles: half of them with spin up.
        length: of the cube.
        stiffness: :math:`\hbar^2/m`.
    """
    n = closed_shell(particles // 2)
    step = 2 * math.pi / _size("length", length)
    return float(stiffness * step**2 * (n**2).sum() / particles)


def electron_gas(particles: int, rs: float) -> HartreeFock:
    r"""The electron gas in its plane waves, in hartree an electron, exactly.

    .. math:: \frac{E}{N} = \frac{1}{N} \Bigl[ \sum_{\mathbf k} k^2 - \frac{1}{2L^3} \cdot 2
              \sum_{\mathbf k \ne \mathbf k'} \frac{4\pi}{|\mathbf k - \mathbf k'|^2} \Bigr]
              + \frac{\xi}{2}

    over the momenta of one spin, with Madelung's :math:`\xi`.

    Args:
        particles: electrons, in closed shells.
        rs: radius of the sphere of one electron, in bohr.
    """
    length = _size("rs", rs) * (4 * math.pi * particles / 3) ** (1 / 3)
    n = closed_shell(particles // 2)
    square = ((n[:, None] - n) ** 2).sum(2)
    inverse = (1 / square[square > 0]).sum() / math.pi / length
    return HartreeFock(
        fermi_gas(particles, length), Ewald(length).madelung() / 2, -float(inverse) / particles
    )


def singlet_matter(particles: int, length: float, stiffness: float, transform: Transform) -> HartreeFock:
    r"""Fermions whose potential acts in spin singlets, in their plane waves, exactly.

    In a singlet :math:`V = v(r)\,\tfrac12(1 + P_r)` with the exchange of positions, so that

    .. math:: \langle V\rangle = \frac{1}{2L^3} \sum_{\mathbf k, \mathbf k'}
              [\tilde v(0) + \tilde v(\mathbf k - \mathbf k')] .

    Args:
        particles, length, stiffness: see :func:`fermi_gas`.
        transform: :math:`\tilde v(q) = \int v\, e^{-i\mathbf q\cdot\mathbf r}` at squares of momenta.
    """
    n = closed_shell(particles // 2)
    square = (2 * math.pi / length) ** 2 * ((n[:, None] - n) ** 2).sum(2)
    scale = 1 / (2 * length**3 * particles)
    direct = float(transform(np.zeros_like(square)).sum()) * scale
    swapped = float(transform(square).sum()) * scale
    return HartreeFock(fermi_gas(particles, length, stiffness), direct, swapped)


def gaussian_transform(terms: tuple[tuple[float, float], ...]) -> Transform:
    r""":math:`\tilde v` at :math:`q^2` for :math:`v = \sum_i V_i e^{-\kappa_i r^2}`."""

    def transform(square: Array) -> Array:
        parts = [v * (math.pi / k) ** 1.5 * np.exp(-square / (4 * k)) for v, k in terms]
        return np.asarray(sum(parts))

    return transform


def cosh_transform(depth: float, mu: float) -> Transform:
    r""":math:`\tilde v` at :math:`q^2` for :math:`v = -D/\cosh^2(\mu r)`, with :math:`z = \pi q/2\mu`.

    .. math:: \tilde v = -\frac{2\pi^2 D}{\mu^2 q}\, \frac{z\coth z - 1}{\sinh z}
    """

    def transform(square: Array) -> Array:
        q = np.sqrt(np.maximum(square, 1e-6 * mu**2))
        z = np.minimum(math.pi * q / (2 * mu), 300.0)
        return np.asarray(-2 * math.pi**2 * depth / (mu**2 * q) * (z / np.tanh(z) - 1) / np.sinh(z))

    return transform


def pair_in_box(transform: Transform, length: float, stiffness: float = 1.0, reach: float = 12.0) -> float:
    r"""The lowest energy of two particles of opposite spins in a periodic cube.

    The centre of mass is at rest; the relative motion, :math:`-(\hbar^2/m)\nabla^2 + v`, is diagonalised in
    sums of plane waves over the 48 rotations and reflections of the cube.

    Args:
        transform: :math:`\tilde v` at squares of momenta.
        length, stiffness: see :func:`fermi_gas`.
        reach: longest vector of whole numbers.

    Raises:
        ValueError: a length, a stiffness or a reach that is not above zero.
    """
    length = _size("length", length)
    step = 2 * math.pi / length
    n = momenta(finite("reach", reach, least=1, most=30))
    orbit = np.sort(np.abs(n), axis=1) @ np.array([1, 1e2, 1e4])
    labels, first, inverse, size = np.unique(
        orbit, return_index=True, return_inverse=True, return_counts=True
    )
    matrix = np.empty((len(labels),) * 2)
    for row, place in enumerate(first):
        elements = transform(step**2 * ((n - n[place]) ** 2).sum(1)) / length**3
        matrix[row] = np.bincount(inverse, elements) * np.sqrt(size[row] / size)
    motion = _size("stiffness", stiffness) * step**2 * (n[first] ** 2).sum(1)
    matrix = (matrix + matrix.T) / 2 + np.diag(motion)
    return float(eigh(matrix, eigvals_only=True, subset_by_index=[0, 0])[0])

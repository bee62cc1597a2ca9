r"""Closed chains by their transfer matrices: partition functions, independent samples, spectra.

A ring of sites :math:`x_0 \dots x_{N-1}`, closed by :math:`x_N = x_0`, with the weight
:math:`\prod_k T_k(x_k, x_{k+1})` has

.. math:: Z = \operatorname{tr} T_0 \cdots T_{N-1}, \qquad
          p(x_{k+1} \mid x_0 \dots x_k) \propto
          T_k(x_k, x_{k+1})\, \bigl[T_{k+1} \cdots T_{N-1}\bigr](x_{k+1}, x_0),

so that it can be drawn site by site, each ring independent of all others. The sites of a ring are the rows of
a two-dimensional lattice here, the times of a particle in :mod:`nnbook.exact.paths`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import iv

from nnbook.exact.enumerate import configurations
from nnbook.exact.ranges import check_counts, finite, positive

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


class Ring:
    """A closed chain of sites with finitely many states each.

    Args:
        matrices: the weights :math:`T_k`, one a site, ``(states of k, states of k + 1)``; no element below
            zero.

    Raises:
        ValueError: matrices that do not close, or a negative or infinite weight.

    >>> round(math.exp(Ring([np.array([[2.0, 1.0], [1.0, 2.0]])] * 3).log_z), 9)  # 3^3 + 1^3
    28.0
    """

    def __init__(self, matrices: Sequence[Array]) -> None:
        sizes = [matrix.shape for matrix in matrices]
        if not sizes or any(a[-1] != b[0] for a, b in itertools.pairwise([*sizes, sizes[0]])):
            raise ValueError(f"matrices: got shapes {sizes}, expected as many columns as the next has rows")
        if not all(np.isfinite(matrix).all() and (matrix >= 0).all() for matrix in matrices):
            raise ValueError("matrices: got a weight below zero or not finite, expected none")
        self.matrices = list(matrices)
        self._rest, scale = [matrices[-1]], 0.0
        for matrix in self.matrices[-2::-1]:
            product = matrix @ self._rest[0]
            largest = product.max(initial=0.0) or 1.0  # no chain has a weight: see below
            scale += math.log(largest)
            self._rest.insert(0, product / largest)
        self._log_scale = scale
        if not np.trace(self._rest[0]) > 0:
            raise ValueError("matrices: got no closed chain with a weight above zero, expected one at least")

    @property
    def log_z(self) -> float:
        """ln Z."""
        return self._log_scale + math.log(np.trace(self._rest[0]))

    def marginal(self) -> Array:
        """The probabilities of the states of site 0."""
        weights = np.diag(self._rest[0])
        marginal: Array = weights / weights.sum()
        return marginal

    def sample(self, n: int, rng: np.random.Generator) -> Indices:
        """Independent rings, the states of their sites ``(n, sites)``.

        Rings that begin in the same state are drawn together, so many at once cost least.
        """
        check_counts(least=0, n=n)
        counts = rng.multinomial(n, self.marginal())
        rings = np.empty((n, len(self.matrices)), dtype=np.int64)
        rings[:, 0] = np.repeat(np.arange(len(counts)), counts)
        for first in np.flatnonzero(counts):
            block = rings[counts[:first].sum() :][: counts[first]]
            for k, (matrix, rest) in enumerate(zip(self.matrices, self._rest[1:], strict=False)):
                block[:, k + 1] = _next(matrix, rest[:, first], block[:, k], rng)
        return rng.permutation(rings)


def _next(matrix: Array, rest: Array, here: Indices, rng: np.random.Generator) -> Indices:
    """Draw states by the weights ``matrix[here] * rest``: one search in the heights of all rows in use."""
    rows, row = np.unique(here, return_inverse=True)
    heights = np.cumsum(matrix[rows] * rest, axis=1)
    heights = heights / heights[:, -1:] + np.arange(len(rows))[:, None]
    found = np.searchsorted(heights.ravel(), row + rng.random(len(here)), side="right")
    return np.asarray((found - row * len(rest)).clip(max=len(rest) - 1))


#: The row matrix of the Ising model has 2 to the number of columns rows; at most for so many columns.
WIDEST = 12


@dataclass(frozen=True)
class IsingRows:
    r"""The periodic Ising lattice row by row, :math:`E(s) = -\sum_{\langle ij\rangle} s_i s_j`.

    Attributes:
        beta: inverse temperature.
        length: number of rows, at least 2.
        columns: sites a row, 2 to 12; as many as there are rows if absent.

    Raises:
        ValueError: a temperature that is not finite, a side out of range.
    """

    beta: float
    length: int
    columns: int | None = None

    def __post_init__(self) -> None:
        finite("beta", self.beta)
        if self.length < 2 or not 2 <= self.width <= WIDEST:
            raise ValueError(
                f"length: got {self.length} rows of {self.width} sites, expected at least 2 rows of 2 to "
                f"{WIDEST}; longer rows need a Markov chain"
            )

    @property
    def width(self) -> int:
        """Sites a row."""
        return self.length if self.columns is None else self.columns

    @cached_property
    def rows(self) -> Array:
        """All rows of spins ``(2^width, width)``, in the order of the book."""
        return configurations(self.width)

    @cached_property
    def matrix(self) -> Array:
        """The weight of two neighbouring rows, half of their own bonds with each; symmetric."""
        own = (self.rows * np.roll(self.rows, 1, axis=1)).sum(1) / 2
        matrix: Array = np.exp(self.beta * (self.rows @ self.rows.T + own[:, None] + own))
        return matrix

    @cached_property
    def ring(self) -> Ring:
        """The closed chain of rows."""
        return Ring([self.matrix] * self.length)

    @property
    def log_z(self) -> float:
        """ln Z of the whole lattice."""
        return self.ring.log_z

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Independent configurations of ±1, ``(n, length * width)``, row after row."""
        return self.rows[self.ring.sample(n, rng)].reshape(n, self.length * self.width)

    def correlation(self, distance: int) -> float:
        r""":math:`\langle s_i s_j\rangle` of two sites of a column, so many rows apart."""
        matrix = self.matrix / self.matrix.max()
        spin, steps = self.rows[:, 0], distance % self.length
        near, far = (np.linalg.matrix_power(matrix, k) for k in (steps, self.length - steps))
        return float(((spin[:, None] * near * spin) * far.T).sum() / (near * far.T).sum())

    def magnetisation(self) -> tuple[Array, Array]:
        r"""The values of :math:`M = \sum_i s_i` and their probabilities, ``(sites + 1,)`` each.

        The first row is one of each class of shifted rows, the next ones are summed with M beside them.
        """
        sites = self.length * self.width
        matrix, up = self.matrix / self.matrix.max(), ((self.rows + 1).sum(1) / 2).astype(int)
        first, counts = _shifted_rows(self.rows)
        weight = np.zeros((len(first), len(self.rows), sites + 1))  # first row, this row, spins up so far
        weight[np.arange(len(first)), first, up[first]] = 1.0
        for _ in range(self.length - 1):
            weight = np.einsum("frm,rq->fqm", weight, matrix, optimize=True)
            for number in range(self.width + 1):
                weight[:, up == number] = np.roll(weight[:, up == number], number, axis=2)
        closed: Array = np.einsum("f,frm,fr->m", counts, weight, matrix[first])
        probabilities: Array = closed / closed.sum()
        values: Array = np.arange(-sites, sites + 1, 2, dtype=np.float64)
        return values, probabilities


def _shifted_rows(rows: Array) -> tuple[Indices, Indices]:
    """One of each class of rows that are shifts of each other, and how many the class has."""
    place = 1 << np.arange(rows.shape[1])[::-1]
    shifts = np.stack([np.roll(rows < 0, k, axis=1) @ place for k in range(rows.shape[1])])
    first, counts = np.unique(shifts.min(0), return_counts=True)
    return first, counts


def xy_torus(beta: float, length: int, *, rows: int = 2000) -> tuple[float, float, float]:
    r"""The XY model on a small periodic lattice, exactly: ln Z, energy and helicity modulus a site.

    A bond's weight is a Fourier series, :math:`e^{\beta\cos\theta} = \sum_n I_n(\beta)\, e^{in\theta}`. So
    the integrals over the angles leave whole currents n that are conserved at each site. Row by row they make
    a closed chain. The current W through a row is conserved too, and the helicity modulus is its variance,
    :math:`\Upsilon = \langle W^2\rangle / \beta` on a square.

    Args:
        beta: inverse temperature.
        length: 3 or 4.
        rows: so many rows of currents, the most probable ones; without the others E/N of 4 x 4 errs by 1e-5
            at beta = 1, by 1e-4 at 1.4 and by 1e-3 at 2.

    Returns:
        ln Z by :math:`\prod_i d\theta_i`, E/N and :math:`\Upsilon`.

    Raises:
        ValueError: a size or temperature out of range.
    """
    positive("beta", beta, most=2.0)
    check_counts(rows=rows)
    if length not in (3, 4):
        raise ValueError(f"length: got {length}, expected 3 or 4; larger ones need a Markov chain")
    sites, step, kept = length**2, 1e-4 * beta, _probable_rows(beta, length, rows)
    low, mid, high = (_currents(b, kept) for b in (beta - step, beta, beta + step))
    log_z = [math.log(sum(part.values())) for part in (low, mid, high)]
    energy = -(log_z[2] - log_z[0]) / (2 * step) / sites
    square = sum(w * w * z for w, z in mid.items()) / sum(mid.values())
    return log_z[1] + sites * math.log(2 * math.pi), energy, square / beta


#: Currents through a bond at most; at beta = 2 the next one has a weight of 1e-6.
STRONGEST = 7


def _probable_rows(beta: float, length: int, count: int) -> Indices:
    """Currents of the bonds between two rows, ``(rows, length)``, by the product of the bonds' weights."""
    orders = np.arange(-STRONGEST, STRONGEST + 1)
    rows = np.array(list(itertools.product(orders, repeat=length)))
    weight = iv(orders, beta)[rows + STRONGEST].prod(1)
    least = np.sort(weight)[-min(count, len(rows))]
    return np.asarray(rows[weight >= least * (1 - 1e-9)])  # those that are as probable as the last one too


def _currents(beta: float, rows: Indices) -> dict[int, float]:
    r"""The parts of Z, by :math:`d\theta/2\pi`, by the current through a row."""
    length = rows.shape[1]
    middle = 2 * length * STRONGEST + STRONGEST
    weight = iv(np.arange(-middle, middle + 1), beta)  # of a bond, by its current
    parts: dict[int, float] = {}
    for total in range(int(rows.sum(1).max()) + 1):
        states = rows[rows.sum(1) == total]
        here = np.sqrt(weight[states + middle].prod(1))
        # what leaves a site downwards came from above or along the row
        gain = np.cumsum(states[:, None] - states, axis=2) + middle
        matrix = sum(weight[gain + n].prod(2) for n in range(-STRONGEST, STRONGEST + 1))
        part = float(np.trace(np.linalg.matrix_power(here[:, None] * matrix * here, length)))
        parts |= {total: part, -total: part}
    return parts

r"""A particle in imaginary time: closed paths on a lattice of times, their spectrum and their kinks;
the kernel of the oscillator.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nnbook.exact.ranges import check_counts, finite, positive
from nnbook.exact.transfer import Ring

Array = NDArray[np.float64]
#: Times lie within so many units, so that no power of them overflows.
LONGEST = 1e4


@dataclass(frozen=True)
class ImaginaryTime:
    r"""A particle on a closed path :math:`x_0 \dots x_{N-1}` of imaginary time, on a lattice of times.

    .. math:: S[x] = \sum_i \Bigl[ \frac{(x_{i+1} - x_i)^2}{2a} + a V(x_i) \Bigr], \qquad
              Z = \int \prod_i \frac{dx_i}{\sqrt{2\pi a}}\, e^{-S[x]}, \qquad a = \beta / N .

    Integrals over x are sums over equidistant points, which for analytic functions that vanish at both ends
    converge exponentially, **wherever the points are**: paths are drawn on points that are shifted at random,
    for each time anew, so that their density is the exact one.

    Attributes:
        potential: V, finite on the points.
        beta: length of the path.
        times: N, at least 2.
        reach: points lie in (-reach, reach), outside of which the particle must not be.
        points: how many.

    Raises:
        ValueError: fewer than 2 times or points, a length or a reach that is not above zero, points too
            coarse for the steps of the path, or a particle that reaches the end of the points.
    """

    potential: Callable[[Array], Array]
    beta: float
    times: int
    reach: float = 4.0
    points: int = 80

    def __post_init__(self) -> None:
        positive("beta", self.beta)
        positive("reach", self.reach)
        check_counts(least=2, times=self.times, points=self.points)
        enough = math.ceil(2 * self.reach / (0.7 * math.sqrt(self.a)))
        if self.points < enough:
            raise ValueError(
                f"points: got {self.points}, {self.h:.3g} apart, for steps of {math.sqrt(self.a):.3g} in a "
                f"time a = beta / times; expected {enough} or more"
            )
        if not len(self._eigen[0]):
            raise ValueError(
                f"beta: got {self.beta:g}, at which no path of {self.times} times has a weight above zero; "
                "expected more times, or less"
            )
        if (edge := self.density[[0, -1]].max()) > 1e-10 * self.density.max():
            raise ValueError(f"reach: got {self.reach}, where the density is {edge:.1g}; expected more")

    @property
    def a(self) -> float:
        """The distance of two times."""
        return self.beta / self.times

    @property
    def h(self) -> float:
        """The distance of two points."""
        return 2 * self.reach / self.points

    @property
    def x(self) -> Array:
        """The points, cell centres."""
        middle: Array = np.arange(self.points, dtype=np.float64) + 0.5
        return self.h * middle - self.reach

    def _matrix(self, here: Array, there: Array) -> Array:
        hop = (here[:, None] - there) ** 2 / (2 * self.a)
        well = self.a / 2 * (self.potential(here)[:, None] + self.potential(there))
        matrix: Array = self.h / math.sqrt(2 * math.pi * self.a) * np.exp(-hop - well)
        return matrix

    @cached_property
    def _eigen(self) -> tuple[Array, Array]:
        values, states = np.linalg.eigh(self._matrix(self.x, self.x))
        keep = values > 1e-14 * values[-1]
        return np.asarray(values[keep][::-1]), np.asarray(states[:, keep][:, ::-1])

    @cached_property
    def _weights(self) -> Array:
        """The probabilities of the levels."""
        values = self._eigen[0]
        powers: Array = (values / values[0]) ** self.times
        return np.asarray(powers / powers.sum())

    @property
    def log_z(self) -> float:
        """ln Z."""
        values = self._eigen[0]
        return float(self.times * math.log(values[0]) + np.log(((values / values[0]) ** self.times).sum()))

    def levels(self, count: int) -> Array:
        r"""The lowest energies :math:`-\ln\lambda_n / a`; those of the continuum up to order :math:`a^2`."""
        levels: Array = -np.log(self._eigen[0][:count]) / self.a
        return levels

    @cached_property
    def density(self) -> Array:
        """The probability density of x at the points."""
        density: Array = self._eigen[1] ** 2 @ self._weights / self.h
        return density

    def mean(self, function: Callable[[Array], Array]) -> float:
        """The mean of a function of one x."""
        return float(self.h * self.density @ function(self.x))

    def correlation(self, function: Callable[[Array], Array], distance: int) -> float:
        r""":math:`\langle f(x_i) f(x_{i+r})\rangle`."""
        values, states = self._eigen
        elements = states.T @ (function(self.x)[:, None] * states)
        near, far = ((values / values[0]) ** k for k in (distance, self.times - distance))
        return float((near[:, None] * elements**2 * far).sum() / (near * far).sum())

    @property
    def mean_action(self) -> float:
        r""":math:`\langle S\rangle`, from one step of the path and one potential, times N."""
        values, states = self._eigen
        hop = self._matrix(self.x, self.x) * (self.x[:, None] - self.x) ** 2 / (2 * self.a)
        elements = (states * (states.T @ hop).T).sum(0) / values
        return self.times * (float(elements @ self._weights) + self.a * self.mean(self.potential))

    @property
    def entropy(self) -> float:
        """The entropy of whole paths in nats; no model has a smaller mean of -ln p on its samples."""
        return self.mean_action + self.log_z + self.times / 2 * math.log(2 * math.pi * self.a)

    def sample(self, n: int, rng: np.random.Generator, *, block: int = 2048) -> Array:
        """Independent paths, ``(n, times)``.

        Args:
            n: how many.
            rng: source of the random numbers.
            block: so many paths share the shifts of their points.
        """
        check_counts(block=block)
        check_counts(least=0, n=n)
        blocks = [self._block(min(block, n - done), rng) for done in range(0, n, block)]
        return np.concatenate(blocks) if blocks else np.empty((0, self.times))

    def _block(self, n: int, rng: np.random.Generator) -> Array:
        grids = self.x + self.h * (rng.random((self.times, 1)) - 0.5)
        steps = zip(grids, np.roll(grids, -1, axis=0), strict=True)
        states = Ring([self._matrix(here, there) for here, there in steps]).sample(n, rng)
        return np.take_along_axis(grids, states.T, axis=1).T


def double_well(x: Array) -> Array:
    r"""The potential of the talk, :math:`(x^2 - 1.4^2)^2`, that is :math:`\lambda = 4`, :math:`\mu = 2.8`."""
    well: Array = (x * x - 1.96) ** 2
    return well


def instanton(strength: float = 4.0, minimum: float = 1.4) -> tuple[float, float]:
    r"""Action of a kink in :math:`\frac\lambda4 (x^2 - \eta^2)^2`, and the splitting of a dilute gas of them.

    .. math:: S_0 = \int_{-\eta}^{\eta} \sqrt{2V}\, dx = \frac{4\eta^3}{3}\sqrt{\lambda/2}, \qquad
              \Delta = 2\omega \sqrt{6 S_0 / \pi}\; e^{-S_0}, \qquad \omega^2 = 2\lambda\eta^2 .

    >>> [round(number, 5) for number in instanton()]
    [5.17414, 0.14094]
    """
    for name, value in (("strength", strength), ("minimum", minimum)):
        positive(name, value, most=1e50)
    action = 4 * minimum**3 / 3 * math.sqrt(strength / 2)
    omega = math.sqrt(2 * strength) * minimum
    return action, 2 * omega * math.sqrt(6 * action / math.pi) * math.exp(-action)


def _caustic(omega: float, time: float) -> None:
    if omega * time > 1 and abs(math.sin(omega * time)) < 1e-9:
        raise ValueError(
            f"time: got {time:g}, omega T = {round(omega * time / math.pi)} pi, where all paths from one "
            "point meet again and the kernel is a delta function, expected a time off these caustics"
        )


def mehler(time: float, start: float, end: float, *, omega: float = 1.0, real_time: bool = False) -> complex:
    r"""The exact kernel :math:`\langle x_f|e^{-HT}|x_i\rangle` of an oscillator, Mehler's formula.

    .. math:: K = \sqrt{\frac{\omega}{2\pi\sinh\omega T}} \exp\Bigl\{-\frac{\omega}{2\sinh\omega T}
              \bigl[(x_i^2 + x_f^2)\cosh\omega T - 2x_i x_f\bigr]\Bigr\}

    In real time, :math:`e^{-iHT}`, the square root has the phase
    :math:`e^{-i\pi/4 - i\pi\lfloor\omega T/\pi\rfloor/2}`. A frequency of zero is the free particle.

    Raises:
        ValueError: a time or frequency out of range, a time on a caustic.

    >>> mehler(1.0, 0.0, 0.0, omega=0.0)
    (0.398942...+0j)
    """
    positive("time", time, most=LONGEST)
    finite("omega", omega, least=0, most=300 / time)
    x, y = (finite(name, at, least=-1e6, most=1e6) for name, at in (("start", start), ("end", end)))
    angle, turns = omega * time, 0
    if real_time:
        _caustic(omega, time)
        sine, cosine, turns = math.sin(angle), math.cos(angle), math.floor(angle / math.pi)
    else:
        sine, cosine = math.sinh(angle), math.cosh(angle)
    width = sine / omega if omega * time > 1e-12 else time  # of the free particle
    exponent = ((x * x + y * y) * cosine - 2 * x * y) / (2 * width)
    root = 1 / math.sqrt(2 * math.pi * abs(width))
    if real_time:
        return root * cmath.exp(1j * exponent - 1j * math.pi / 4 * (1 + 2 * turns))
    return complex(root * math.exp(-exponent))

r"""Actions: spins, angles and quantum paths on periodic lattices.

An action S gives a configuration x the weight :math:`e^{-S(x)}`. For a classical system at inverse
temperature :math:`\beta` it is :math:`\beta E`. Scalar fields are in :mod:`nnbook.fields.scalars`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from nnbook.arrays import check_counts, check_numbers, check_values, positive
from nnbook.exact.ising2d import torus


class Action(Protocol):
    """What sampling and training have to know of a field.

    Every implementation stands to one contract: equal labels mean equal actions, configurations are
    ``(batch, sites)``, and a shift of the lattice leaves the action as it is.
    """

    @property
    def label(self) -> str:
        """Which action this is, down to each coupling."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sites along each axis of the lattice; the sites of a configuration are in row-major order."""

    def bonds(self) -> Tensor:
        """How many bonds each pair of sites has, ``(sites, sites)``; only bonded ones interact."""

    def __call__(self, x: Tensor, /) -> Tensor:
        """Minus the logarithm of the weight, ``(batch,)``."""

    def start(self, n: int, /, *, generator: torch.Generator) -> Tensor:
        """Random configurations ``(n, sites)`` in double precision, on the device of the generator."""


def bonds_of(shape: tuple[int, ...]) -> Tensor:
    """How many bonds each pair of sites of a periodic lattice has, ``(sites, sites)``."""
    number = torch.arange(math.prod(shape), device="cpu").reshape(shape)
    bonds = torch.zeros(number.numel(), number.numel(), dtype=torch.float64, device="cpu")
    for axis in range(len(shape)):
        bonds[number.flatten(), number.roll(1, axis).flatten()] += 1
    return bonds + bonds.mT


def symmetries(length: int) -> Tensor:
    """All shifts, turns and mirrorings of a periodic square lattice, ``(8 * length**2, length**2)``.

    ``x[:, symmetries(length)[k]]`` are configurations as probable as x: more data for nothing.

    >>> symmetries(4).shape
    torch.Size([128, 16])
    """
    check_counts(least=2, length=length)
    number = torch.arange(length**2).reshape(length, length)
    turned = [image.rot90(k) for image in (number, number.mT) for k in range(4)]
    shifts = [(a, b) for a in range(length) for b in range(length)]
    return torch.stack([image.roll(shift, (0, 1)).flatten() for image in turned for shift in shifts])


@dataclass(frozen=True)
class _Square:
    """A periodic square lattice at an inverse temperature."""

    length: int
    beta: float

    def __post_init__(self) -> None:
        check_counts(least=2, length=self.length)
        positive("beta", self.beta)

    @property
    def label(self) -> str:
        """Which action this is."""
        return f"{type(self).__name__} {self.length} x {self.length}, beta {self.beta!r}"

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.length, self.length

    def bonds(self) -> Tensor:
        """How many bonds each pair of sites has, ``(sites, sites)``."""
        return bonds_of(self.shape)

    def _lattice(self, x: Tensor) -> Tensor:
        check_numbers("x", x)
        check_values("x", x, ("batch", self.length**2))
        return x.reshape(-1, self.length, self.length)


class Ising(_Square):
    r"""The Ising model, :math:`E = -\sum_{\langle ij\rangle} s_i s_j` with :math:`s_i = \pm1`.

    Attributes:
        length: sites a side, at least 2; where it is 2, each pair of neighbours has two bonds.
        beta: inverse temperature, above zero.

    Raises:
        ValueError: a length or a temperature out of range.

    >>> Ising(8, 0.4).energy(torch.ones(1, 64))
    tensor([-128.])
    """

    def energy(self, s: Tensor) -> Tensor:
        """E, ``(batch,)``, of spins ``(batch, sites)``."""
        lattice = self._lattice(s)
        return -(lattice * (lattice.roll(1, 1) + lattice.roll(1, 2))).sum((1, 2))

    def __call__(self, s: Tensor) -> Tensor:
        """:math:`\\beta E`."""
        return self.beta * self.energy(s)

    def start(self, n: int, *, generator: torch.Generator) -> Tensor:
        """Random spins."""
        check_counts(n=n)
        bits = torch.randint(0, 2, (n, self.length**2), generator=generator, device=generator.device)
        return 2.0 * bits.double() - 1


class IsingField(_Square):
    r"""The Ising model as a field of real numbers: the spins are summed over, exactly.

    .. math:: S(x) = \tfrac12\, x^T A^{-1} x - \sum_i \ln\cosh x_i, \qquad A = \beta B + \alpha,

    with the matrix B of the :meth:`bonds` of :class:`Ising` and :math:`\alpha` such that the smallest
    eigenvalue of A is 0.1 :cite:p:`li2018`. Given the field, spins are independent of each other, of mean
    :math:`\tanh x_i`; given the spins, the field is Gaussian, of mean As and covariance A. The kernel
    connects all sites.

    Attributes:
        length: sites a side, at least 2.
        beta: inverse temperature, above zero.

    Raises:
        ValueError: a length or a temperature out of range.
    """

    @cached_property
    def covariance(self) -> Tensor:
        """A, ``(sites, sites)``."""
        coupling = self.beta * bonds_of(self.shape)
        alpha = 0.1 - torch.linalg.eigvalsh(coupling)[0]
        matrix: Tensor = coupling + alpha * torch.eye(len(coupling), dtype=torch.float64, device="cpu")
        return matrix

    @cached_property
    def _kernel(self) -> Tensor:
        inverse: Tensor = torch.linalg.inv(self.covariance)
        return inverse

    def bonds(self) -> Tensor:
        """One for each pair of sites, ``(sites, sites)``."""
        return 1 - torch.eye(self.length**2, dtype=torch.float64, device="cpu")

    @property
    def log_z(self) -> float:
        r"""The exact :math:`\ln\int dx\, e^{-S}`, from that of the spins by Kaufman.

        .. math:: \ln Z_x = \ln Z + \tfrac12 N\alpha + \tfrac12 N\ln 2\pi + \tfrac12\ln\det A - N\ln 2
        """
        n, alpha = self.length**2, float(self.covariance[0, 0])
        around = float(torch.logdet(self.covariance)) + n * (alpha + math.log(math.pi / 2))
        return n * torus(self.beta, self.length).log_z + around / 2

    def __call__(self, x: Tensor) -> Tensor:
        """S, ``(batch,)``, of fields ``(batch, sites)``; also within ``torch.func.vmap``."""
        check_numbers("x", x)
        if x.ndim != 2 or x.shape[1] != self.length**2:
            check_values("x", x, ("batch", self.length**2))
        size = x.abs()
        log_cosh = size + torch.log1p((-2 * size).exp()) - math.log(2)
        value: Tensor = 0.5 * ((x @ self._kernel.to(x)) * x).sum(1) - log_cosh.sum(1)
        return value

    def with_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        r"""S, ``(batch,)``, and :math:`\partial S/\partial x = A^{-1} x - \tanh x`, ``(batch, sites)``."""
        return self(x), x @ self._kernel.to(x) - x.tanh()

    def spins(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        """Random spins ``(batch, sites)`` that belong to fields."""
        self._lattice(x)
        draw = torch.rand(x.shape, generator=generator, device=generator.device, dtype=torch.float64)
        return torch.where(draw.to(x) < torch.sigmoid(2 * x), 1.0, -1.0).to(x)

    def field(self, s: Tensor, *, generator: torch.Generator) -> Tensor:
        """Random fields ``(batch, sites)`` that belong to spins: exact ones give exact ones."""
        self._lattice(s)
        root = torch.linalg.cholesky(self.covariance)
        draw = torch.randn(s.shape, generator=generator, device=generator.device, dtype=torch.float64)
        field: Tensor = s @ self.covariance.to(s) + draw.to(s) @ root.mT.to(s)
        return field

    def start(self, n: int, *, generator: torch.Generator) -> Tensor:
        """Fields of random spins."""
        return self.field(Ising(self.length, self.beta).start(n, generator=generator), generator=generator)


def wrap(angle: Tensor) -> Tensor:
    r"""The same angle between :math:`-\pi` and :math:`\pi`."""
    check_numbers("angle", angle)
    check_values("angle", angle, tuple(angle.shape))
    return angle - 2 * math.pi * (angle / (2 * math.pi)).round()


class XY(_Square):
    r"""The XY model, :math:`E = -\sum_{\langle ij\rangle} \cos(\theta_i - \theta_j)`.

    Attributes:
        length: sites a side, at least 2.
        beta: inverse temperature, above zero.

    Raises:
        ValueError: a length or a temperature out of range.
    """

    def _links(self, angles: Tensor) -> tuple[Tensor, Tensor]:
        lattice = self._lattice(angles)
        return lattice - lattice.roll(1, 1), lattice - lattice.roll(1, 2)

    def energy(self, angles: Tensor) -> Tensor:
        """E, ``(batch,)``, of angles ``(batch, sites)``."""
        down, right = self._links(angles)
        return -(down.cos() + right.cos()).sum((1, 2))

    def __call__(self, angles: Tensor) -> Tensor:
        """:math:`\\beta E`."""
        return self.beta * self.energy(angles)

    def start(self, n: int, *, generator: torch.Generator) -> Tensor:
        r"""Random angles from 0 to :math:`2\pi`."""
        check_counts(n=n)
        draw = torch.rand(
            n, self.length**2, generator=generator, device=generator.device, dtype=torch.float64
        )
        return 2 * math.pi * draw

    def helicity(self, angles: Tensor) -> Tensor:
        r"""A number a configuration ``(batch,)`` whose mean is the helicity modulus.

        .. math:: \Upsilon = \frac1{2N} \Bigl\langle -E - \beta \sum_{\mu}
                  \bigl(\textstyle\sum_i \sin(\theta_i - \theta_{i - \mu})\bigr)^2 \Bigr\rangle

        the second derivative of the free energy a site by a twist of the boundary, a link.
        """
        down, right = self._links(angles)
        currents = down.sin().sum((1, 2)).square() + right.sin().sum((1, 2)).square()
        return -(self.energy(angles) + self.beta * currents) / (2 * self.length**2)

    def vortices(self, angles: Tensor) -> Tensor:
        """The winding number of each plaquette, ``(batch, length, length)``; its corner is the last site.

        Differences are wrapped first: on random angles a third of the plaquettes have a vortex.
        """
        return winding(*self._links(angles))


def winding(down: Tensor, right: Tensor) -> Tensor:
    """Whole turns around each plaquette, from the differences to the site above and to the left."""
    down, right = wrap(down), wrap(right)
    around: Tensor = down.roll(1, 2) + right - down - right.roll(1, 1)
    return (around / (2 * math.pi)).round()


@dataclass(frozen=True)
class QuantumPath:
    r"""A particle in a double well, on a closed path of imaginary time; a field in 0 + 1 dimensions.

    .. math:: S = \sum_i \Bigl[ \frac{(x_{i+1} - x_i)^2}{2a} + a V(x_i) \Bigr]
                = \frac{K}{\beta} + \beta\, U, \qquad
              V(x) = \frac\lambda4 (x^2 - \eta^2)^2, \qquad a = \frac\beta N,

    where neither :math:`K = \frac N2 \sum_i (x_{i+1} - x_i)^2` nor :math:`U = \frac1N \sum_i V(x_i)` knows
    the temperature.

    Attributes:
        times: N, at least 2.
        beta: length of the path, above zero.
        strength: :math:`\lambda`.
        minimum: :math:`\eta`, the place of the wells.

    Raises:
        ValueError: a number out of range.
    """

    times: int
    beta: float
    strength: float = 4.0
    minimum: float = 1.4

    def __post_init__(self) -> None:
        check_counts(least=2, times=self.times)
        for name in ("beta", "strength", "minimum"):
            positive(name, getattr(self, name))

    @property
    def label(self) -> str:
        """Which action this is."""
        return f"{self!r}"

    @property
    def shape(self) -> tuple[int]:
        """The number of times."""
        return (self.times,)

    def bonds(self) -> Tensor:
        """How many bonds each pair of times has, ``(times, times)``."""
        return bonds_of(self.shape)

    @property
    def a(self) -> float:
        """The distance of two times."""
        return self.beta / self.times

    def _check(self, x: Tensor) -> None:
        check_numbers("x", x)
        check_values("x", x, ("batch", self.times))

    def kinetic(self, x: Tensor) -> Tensor:
        """K, ``(batch,)``, of paths ``(batch, times)``."""
        self._check(x)
        return self.times / 2 * (x.roll(-1, 1) - x).square().sum(1)

    def potential(self, x: Tensor) -> Tensor:
        """U, ``(batch,)``, of paths ``(batch, times)``."""
        self._check(x)
        return self.strength / 4 * (x.square() - self.minimum**2).square().mean(1)

    def __call__(self, x: Tensor) -> Tensor:
        """S, ``(batch,)``, of paths ``(batch, times)``."""
        return self.kinetic(x) / self.beta + self.beta * self.potential(x)

    def start(self, n: int, *, generator: torch.Generator) -> Tensor:
        """Paths that rest in one of the wells, with a little noise."""
        check_counts(n=n)
        noise = torch.randn(n, self.times, generator=generator, device=generator.device, dtype=torch.float64)
        side = torch.randint(0, 2, (n, 1), generator=generator, device=generator.device)
        return self.minimum * (2.0 * side.double() - 1) + 0.1 * noise

    def kinks(self, x: Tensor) -> Tensor:
        """How often a path changes its sign, ``(batch,)``; an even number, kinks and antikinks."""
        self._check(x)
        return (x * x.roll(-1, 1) < 0).sum(1)

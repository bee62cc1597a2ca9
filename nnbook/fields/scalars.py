r"""Scalar fields on a periodic square lattice: with a quartic interaction, and free.

Real and complex fields have the same action, with d components a site,

.. math:: S = \kappa \sum_{\langle ij\rangle} |\phi_i - \phi_j|^2
              + \sum_i \bigl[M^2 |\phi_i|^2 + \lambda |\phi_i|^4\bigr] .

Without the interaction the waves of a field are independent, and all is known. Configurations are
``(batch, d * length**2)``, one component after the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nnbook.arrays import check_counts, check_numbers, check_values, finite, positive
from nnbook.fields.actions import bonds_of, winding


class ScalarField:
    """What real and complex fields share."""

    components: ClassVar[int]
    length: int
    coupling: float

    @property
    def terms(self) -> tuple[float, float]:
        r""":math:`\kappa` and :math:`M^2`."""
        raise NotImplementedError

    @property
    def label(self) -> str:
        """Which action this is."""
        return f"{self!r}"

    @property
    def shape(self) -> tuple[int, ...]:
        """Components, where there are two, rows and columns."""
        return (2,) * (self.components - 1) + (self.length, self.length)

    @property
    def sites(self) -> int:
        """Numbers of a configuration."""
        return self.components * self.length**2

    def bonds(self) -> Tensor:
        """How many bonds each pair of numbers has; the two parts of a site interact too."""
        return bonds_of(self.shape)

    def lattice(self, x: Tensor) -> Tensor:
        """The fields as ``(batch, components, length, length)``."""
        check_numbers("x", x)
        check_values("x", x, ("batch", self.sites))
        return x.reshape(-1, self.components, self.length, self.length)

    def with_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        r"""S, ``(batch,)``, and :math:`\partial S/\partial\phi`, ``(batch, sites)``, of fields."""
        field, (kappa, mass2) = self.lattice(x), self.terms
        near = field.roll(1, 2) + field.roll(-1, 2) + field.roll(1, 3) + field.roll(-1, 3)
        square = field.square().sum(1, keepdim=True)
        force, bend = (mass2 + 4 * kappa) * field - kappa * near, self.coupling * square * field
        value: Tensor = (field * (force + bend)).sum((1, 2, 3))
        return value, (2 * force + 4 * bend).flatten(1)

    def __call__(self, x: Tensor) -> Tensor:
        """S, ``(batch,)``, of fields ``(batch, sites)``."""
        return self.with_gradient(x)[0]

    def gradient(self, x: Tensor) -> Tensor:
        r""":math:`\partial S/\partial\phi`, ``(batch, sites)``."""
        return self.with_gradient(x)[1]

    def start(self, n: int, *, generator: torch.Generator) -> Tensor:
        r"""Independent normal values; the mean of :math:`|\phi|^2` is that at the minimum, or one."""
        check_counts(n=n)
        shape = n, self.sites
        draw = torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float64)
        density = -self.terms[1] / (2 * self.coupling)
        field: Tensor = ((density if density > 0 else 1.0) / self.components) ** 0.5 * draw
        return field


@dataclass(frozen=True)
class Phi4(ScalarField):
    r"""A real scalar field with a quartic self-interaction on a periodic square lattice.

    .. math:: S = \sum_{\langle ij\rangle} (\phi_i - \phi_j)^2
                  + \sum_i \bigl[M^2\phi_i^2 + \lambda\phi_i^4\bigr] .

    Attributes:
        length: sites a side, at least 2.
        mass2: :math:`M^2`, of any sign.
        coupling: :math:`\lambda`, above zero.

    Raises:
        ValueError: a length or a coupling out of range.

    >>> Phi4(8, -4.0, 8.0)(torch.ones(1, 64))
    tensor([256.])
    """

    length: int
    mass2: float
    coupling: float

    components: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_counts(least=2, length=self.length)
        finite("mass2", self.mass2, least=-1e6, most=1e6)
        positive("coupling", self.coupling, most=1e6)

    @property
    def terms(self) -> tuple[float, float]:
        r"""One, and :math:`M^2`."""
        return 1.0, self.mass2


@dataclass(frozen=True)
class ComplexPhi4(ScalarField):
    r"""A complex scalar field, whose phases are the angles of an XY model.

    .. math:: S = -t\sum_{\langle ij\rangle} \operatorname{Re}\phi_i^*\phi_j
                  + \sum_i \bigl(\mu|\phi_i|^2 + \lambda|\phi_i|^4\bigr),

    each bond once, so :math:`\kappa = t/2` and :math:`M^2 = \mu - 2t`. At its minimum
    :math:`|\phi|^2 = \rho = (2t - \mu)/2\lambda`; where that holds sharply, the phases are those of the XY
    model at the temperature :math:`T = 1/t\rho`. Configurations are the real parts of all sites and then the
    imaginary ones.

    Attributes:
        length: sites a side, at least 2.
        hopping: t, above zero.
        mu: :math:`\mu`, of any sign.
        coupling: :math:`\lambda`, above zero.

    Raises:
        ValueError: a length, a hopping or a coupling out of range.
    """

    length: int
    hopping: float
    mu: float
    coupling: float

    components: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check_counts(least=2, length=self.length)
        positive("hopping", self.hopping, most=1e6)
        finite("mu", self.mu, least=-1e6, most=1e6)
        positive("coupling", self.coupling, most=1e6)

    @classmethod
    def like_xy(
        cls, length: int, temperature: float, *, coupling: float, density: float = 1.0
    ) -> ComplexPhi4:
        r"""The field of mean density :math:`\rho` whose phases are at a temperature: :math:`t = 1/\rho T`.

        Amplitudes scatter about :math:`\sqrt\rho` by :math:`1/\sqrt{8\lambda\rho}`.

        Raises:
            ValueError: a number that is not above zero.
        """
        t = 1 / (positive("temperature", temperature) * positive("density", density))
        positive("coupling", coupling, most=1e6)
        return cls(length, t, 2 * t - 2 * coupling * density, coupling)

    @property
    def terms(self) -> tuple[float, float]:
        r""":math:`t/2` and :math:`\mu - 2t`."""
        return self.hopping / 2, self.mu - 2 * self.hopping

    def angles(self, x: Tensor) -> Tensor:
        """The phases, ``(batch, length**2)``."""
        real, imaginary = self.lattice(x).unbind(1)
        return torch.atan2(imaginary, real).flatten(1)

    def order(self, x: Tensor) -> Tensor:
        r"""The modulus of the mean field, :math:`|\sum_i\phi_i|/N`, ``(batch,)``."""
        mean: Tensor = self.lattice(x).mean((2, 3)).norm(dim=1)
        return mean

    def helicity(self, x: Tensor) -> Tensor:
        r"""A number a configuration ``(batch,)`` whose mean is the helicity modulus over the temperature.

        .. math:: \frac{\Upsilon}{T} = \frac1{2N} \sum_\mu \Bigl\langle
                  t\sum_i \operatorname{Re}\phi_i^*\phi_{i-\mu}
                  - \bigl(t\sum_i \operatorname{Im}\phi_i^*\phi_{i-\mu}\bigr)^2 \Bigr\rangle

        the second derivative of :math:`-\ln Z` a site by a twist a link; at the transition of Kosterlitz and
        Thouless an infinite lattice has :math:`2/\pi`.
        """
        real, imaginary = self.lattice(x).unbind(1)
        total = torch.zeros_like(real[:, 0, 0])
        for axis in (1, 2):
            re, im = real.roll(1, axis), imaginary.roll(1, axis)
            along = self.hopping * (real * re + imaginary * im).sum((1, 2))
            across = self.hopping * (real * im - imaginary * re).sum((1, 2))
            total = total + along - across.square()
        return total / (2 * self.length**2)

    def vortices(self, x: Tensor) -> Tensor:
        """The winding number of each plaquette, as :meth:`~nnbook.fields.actions.XY.vortices`."""
        angles = self.angles(x).reshape(-1, self.length, self.length)
        return winding(angles - angles.roll(1, 1), angles - angles.roll(1, 2))


def hartley(length: int) -> Tensor:
    r"""The matrix :math:`(\cos + \sin)(2\pi kx/L)/\sqrt L`, symmetric and its own inverse.

    Convolutions with even kernels are diagonal in these waves.

    >>> bool(((hartley(5) @ hartley(5) - torch.eye(5)).abs() < 1e-12).all())
    True
    """
    check_counts(length=length)
    angle = 2 * math.pi / length * torch.outer(*[torch.arange(length, dtype=torch.float64, device="cpu")] * 2)
    matrix: Tensor = (angle.cos() + angle.sin()) / length**0.5
    return matrix


def momenta2(length: int) -> Tensor:
    r""":math:`\hat p^2 = \sum_\mu 4\sin^2(p_\mu/2)` of each wave, ``(length, length)``."""
    check_counts(least=2, length=length)
    half = math.pi / length * torch.arange(length, dtype=torch.float64, device="cpu")
    one = 4 * half.sin().square()
    both: Tensor = one[:, None] + one
    return both


@dataclass(frozen=True, eq=False)
class GaussianField:
    r"""A Gaussian field on a periodic square lattice; its waves are independent.

    Attributes:
        variance: of each wave, ``(length, length)``, with the symmetries of the square.
        components: numbers a site.

    Raises:
        ValueError: a variance that is not above zero.
    """

    variance: Tensor
    components: int = 1

    def __post_init__(self) -> None:
        check_values("variance", self.variance, (len(self.variance), len(self.variance)))
        check_counts(components=self.components)
        positive("variance", float(self.variance.min()))

    @classmethod
    def hartree(cls, action: ScalarField) -> GaussianField:
        r"""The free field whose mass is that of a self-consistent mean field.

        .. math:: \operatorname{var} = \frac1{2(\kappa\hat p^2 + m^2)}, \qquad
                  m^2 = M^2 + 2(d + 2)\lambda\, G(m^2)

        with :math:`\kappa` of the action, d components and G the mean of the variances.
        """
        p2, d, (kappa, mass2) = momenta2(action.length), action.components, action.terms
        low, high = -40.0, 40.0  # of ln m^2; excess falls with m^2
        for _ in range(100):
            middle = 0.5 * (low + high)
            m2 = math.exp(middle)
            mean = float((0.5 / (kappa * p2 + m2)).mean())
            excess = mass2 + 2 * (d + 2) * action.coupling * mean - m2
            low, high = (middle, high) if excess > 0 else (low, middle)
        return cls(0.5 / (kappa * p2 + math.exp(low)), d)

    @property
    def length(self) -> int:
        """Sites a side."""
        return len(self.variance)

    def colour(self, noise: Tensor) -> Tensor:
        """Independent normal numbers ``(n, sites)`` into the field; a symmetric linear map."""
        check_numbers("noise", noise)
        check_values("noise", noise, ("n", self.components * self.length**2))
        matrix = hartley(self.length).to(noise)
        waves = matrix @ noise.reshape(-1, self.components, self.length, self.length) @ matrix
        field: Tensor = matrix @ (waves * self.variance.to(noise).sqrt()) @ matrix
        return field.flatten(1)

    def sample(self, n: int, *, generator: torch.Generator) -> Tensor:
        """Independent fields ``(n, sites)``, in double precision."""
        check_counts(n=n)
        shape = n, self.components * self.length**2
        noise = torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float64)
        return self.colour(noise)

    def log_prob(self, x: Tensor) -> Tensor:
        """The logarithm of the density, ``(n,)``."""
        check_numbers("x", x)
        check_values("x", x, ("n", self.components * self.length**2))
        matrix, variance = hartley(self.length).to(x), self.variance.to(x)
        waves = matrix @ x.reshape(-1, self.components, self.length, self.length) @ matrix
        norm = self.components * float((2 * math.pi * self.variance).log().sum())
        return -0.5 * ((waves.square() / variance).sum((1, 2, 3)) + norm)

r"""Distributions of one site, whose parameters a network computes from the sites before it.

Each is a mixture of simple ones or simpler: a spin, an angle, or a real number. Numbers that a network may
choose freely ("raw") become the parameters; they come as ``(..., outputs, batch)``, values as
``(..., batch)``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.nn import functional as F

from nnbook.arrays import check_counts


class Conditional(ABC):
    """What an autoregressive network has to know of the distribution of a site.

    Every one stands to one contract: the density is normalised, samples have it, and a constant added to the
    raw numbers of all components' weights changes nothing.

    Attributes:
        outputs: raw numbers a site.
        features: numbers by which a network reads a value.
    """

    outputs: int
    features = 1

    @abstractmethod
    def start(self) -> Tensor:
        """Raw numbers of a sensible first distribution, ``(outputs,)``."""

    def read(self, x: Tensor) -> Tensor:
        """The features of values ``(..., batch)``, ``(..., features, batch)``; here the value itself."""
        return x.unsqueeze(-2)

    @abstractmethod
    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        """The logarithm of the probability or density of x, as its shape is."""

    @abstractmethod
    def sample(self, raw: Tensor, *, generator: torch.Generator) -> Tensor:
        """One value for each column of ``raw``."""

    def symmetric(self, raw: Tensor, minus: Tensor) -> Tensor:
        """Raw numbers of an odd distribution, p(-x | -c) = p(x | c), from those for c and for -c."""
        raise ValueError(f"odd: got True with {type(self).__name__}, expected False; angles have no sign")

    def response(self) -> Tensor:
        """How raw numbers answer to the features of a neighbour of coupling 1, ``(outputs, features)``."""
        raise ValueError(
            f"couplings: got some with {type(self).__name__}, expected None; only spins and the "
            "von Mises distribution of angles have a field"
        )

    def supports(self, x: Tensor) -> str:
        """What is wrong with finite values that have no probability, in words; empty if nothing is."""
        return ""


def uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    """Random numbers from 0 to 1, of the shape, dtype and device of a tensor."""
    draw = torch.rand(like.shape, generator=generator, device=generator.device, dtype=like.dtype)
    return draw.to(like.device)


class Bernoulli(Conditional):
    r"""A spin of ±1: :math:`p(s) = 1/(1 + e^{-s\,\ell})` with one raw number :math:`\ell`."""

    outputs = 1

    def start(self) -> Tensor:
        """No preference."""
        return torch.zeros(1, dtype=torch.float64, device="cpu")

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        """ln p."""
        return F.logsigmoid(raw.squeeze(-2) * x)

    def sample(self, raw: Tensor, *, generator: torch.Generator) -> Tensor:
        """Spins."""
        up = raw.squeeze(-2).sigmoid()
        return torch.where(uniform(up, generator) < up, 1.0, -1.0).to(up)

    def symmetric(self, raw: Tensor, minus: Tensor) -> Tensor:
        """The odd part."""
        return (raw - minus) / 2

    def response(self) -> Tensor:
        """The logit is twice the field."""
        return torch.full((1, 1), 2.0, dtype=torch.float64, device="cpu")

    def supports(self, x: Tensor) -> str:
        """Spins are ±1."""
        return "" if bool((x.abs() == 1).all()) else "expected spins of +1 and -1"


class _Mixture(Conditional):
    """Components of three raw numbers each: the logarithm of a weight, and two of the component."""

    def __init__(self, components: int = 4) -> None:
        check_counts(components=components)
        self.components, self.outputs = components, 3 * components

    @staticmethod
    def _parts(raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        weight, first, second = raw.unflatten(-2, (3, -1)).unbind(-3)
        return weight.log_softmax(-2), first, second

    def _choose(self, raw: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The two numbers of a component drawn by its weight."""
        weight, first, second = self._parts(raw)
        heights = weight.exp().cumsum(-2)
        level = uniform(heights[..., -1, :], generator) * heights[..., -1, :]
        place = (heights <= level.unsqueeze(-2)).sum(-2, keepdim=True).clamp(max=heights.shape[-2] - 1)
        return first.gather(-2, place).squeeze(-2), second.gather(-2, place).squeeze(-2)


class GaussianMixture(_Mixture):
    r"""A real number: :math:`p(x) = \sum_k w_k\, N(x; m_k, \sigma_k^2)` from :math:`\ln w, m, \ln\sigma`."""

    def start(self) -> Tensor:
        """Components of width 1/2 side by side from -1.5 to 1.5."""
        means = torch.linspace(-1.5, 1.5, self.components + 2, dtype=torch.float64, device="cpu")[1:-1]
        return torch.cat([0 * means, means, 0 * means - math.log(2)])

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        """ln p, by dx."""
        weight, mean, log_width = self._parts(raw)
        z = (x.unsqueeze(-2) - mean) * (-log_width).exp()
        return (weight - z.square() / 2 - log_width).logsumexp(-2) - math.log(2 * math.pi) / 2

    def sample(self, raw: Tensor, *, generator: torch.Generator) -> Tensor:
        """Real numbers."""
        mean, log_width = self._choose(raw, generator)
        noise = torch.randn(mean.shape, generator=generator, device=generator.device, dtype=mean.dtype)
        return mean + log_width.exp() * noise.to(mean.device)

    def symmetric(self, raw: Tensor, minus: Tensor) -> Tensor:
        """Twice as many components: those of -c with means of the other sign."""
        weight, mean, log_width = minus.unflatten(-2, (3, -1)).unbind(-3)
        mirrored = torch.stack([weight, -mean, log_width], -3)
        return torch.cat([raw.unflatten(-2, (3, -1)), mirrored], -2).flatten(-3, -2)


class _Angle(_Mixture):
    """What angles share: they are read by cosine and sine."""

    features = 2

    def read(self, x: Tensor) -> Tensor:
        """Cosine and sine."""
        return torch.stack([x.cos(), x.sin()], -2)


class VonMisesMixture(_Angle):
    r"""An angle: :math:`p(\theta) = \sum_k w_k\, e^{a_k \cos\theta + b_k \sin\theta} / 2\pi I_0(\kappa_k)`.

    The raw numbers are :math:`\ln w, a, b`, and :math:`\kappa^2 = a^2 + b^2`: no seam at 0 or
    :math:`2\pi`.
    """

    def start(self) -> Tensor:
        """Directions all around, with a concentration of 1."""
        turn = torch.arange(self.components, dtype=torch.float64, device="cpu") * (
            2 * math.pi / self.components
        )
        return torch.cat([0 * turn, turn.cos(), turn.sin()])

    def response(self) -> Tensor:
        """The field of an angle is its direction, for each component."""
        return torch.kron(
            torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64, device="cpu"),
            torch.ones(self.components, 1, dtype=torch.float64, device="cpu"),
        )

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        """ln p, by d theta."""
        weight, a, b = self._parts(raw)
        kappa = (a.square() + b.square() + 1e-24).sqrt()
        angle = x.unsqueeze(-2)
        log_norm: Tensor = torch.special.i0e(kappa).log() + kappa + math.log(2 * math.pi)
        return (weight + a * angle.cos() + b * angle.sin() - log_norm).logsumexp(-2)

    def sample(self, raw: Tensor, *, generator: torch.Generator) -> Tensor:
        """Angles from 0 to 2 pi, by rejection from a wrapped Cauchy distribution :cite:p:`best1979`."""
        a, b = self._choose(raw, generator)
        kappa = (a.square() + b.square()).sqrt().clamp(min=1e-6)
        tau = 1 + (1 + 4 * kappa.square()).sqrt()
        # (tau - sqrt(2 tau)) / 2 kappa, written so that no digits cancel for small kappa
        rho = 2 * kappa / (tau + (2 * tau).sqrt())
        r = (1 + rho.square()) / (2 * rho)
        cosine, todo = torch.zeros_like(kappa), torch.ones_like(kappa, dtype=torch.bool)
        while bool(todo.any()):
            z = (math.pi * uniform(kappa, generator)).cos()
            f = (1 + r * z) / (r + z)
            c, u = kappa * (r - f), uniform(kappa, generator)
            good = todo & ((c * (2 - c) > u) | (c.log() - u.log() + 1 >= c))
            cosine, todo = torch.where(good, f, cosine), todo & ~good
        side = torch.where(uniform(kappa, generator) < 0.5, -1.0, 1.0)
        angle: Tensor = torch.atan2(b, a) + side * cosine.clamp(-1, 1).acos()
        return angle.remainder(2 * math.pi)


class BetaMixture(_Angle):
    r"""An angle as in the talk: :math:`s = \theta/2\pi` in (0, 1) has a mixture of Beta distributions.

    The raw numbers are :math:`\ln w, \ln a, \ln b`. The density is one by :math:`d\theta`; it is zero or
    infinite at the seam :math:`s = 0, 1` unless a = b = 1.
    """

    def start(self) -> Tensor:
        """All uniform, but for small differences."""
        small = torch.linspace(-0.3, 0.3, self.components + 2, dtype=torch.float64, device="cpu")[1:-1]
        return torch.cat([0 * small, small, -small])

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        """ln p, by d theta."""
        weight, log_a, log_b = self._parts(raw)
        a, b, s = log_a.exp(), log_b.exp(), (x / (2 * math.pi)).remainder(1.0).unsqueeze(-2)
        log_norm = torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)
        tiny = torch.finfo(s.dtype).tiny
        density = (a - 1) * s.clamp(min=tiny).log() + (b - 1) * torch.log1p(-s)
        return (weight + density - log_norm).logsumexp(-2) - math.log(2 * math.pi)

    def sample(self, raw: Tensor, *, generator: torch.Generator) -> Tensor:
        """Angles from 0 to 2 pi, by two numbers with Gamma distributions."""
        a, b = (part.exp().to(generator.device) for part in self._choose(raw, generator))
        one, other = (torch._standard_gamma(shape, generator) for shape in (a, b))
        share: Tensor = one / (one + other)
        return (2 * math.pi * share).to(raw.device)


CONDITIONALS: dict[str, type] = {
    "bernoulli": Bernoulli,
    "gaussian_mixture": GaussianMixture,
    "von_mises": VonMisesMixture,
    "beta": BetaMixture,
}

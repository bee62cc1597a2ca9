r"""What the chapter *Interactions of continuous fields* reads.

Angles, quantum paths, and the pictures and the magnetisation of a ferromagnet: the Hamiltonian or the action
:math:`-\ln p_\theta` is learnt as for spins, with other distributions of a site.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import curve_fit
from torch import Tensor, nn

from nnbook.arrays import check_counts, check_numbers, check_values, finite, like, positive
from nnbook.exact.paths import ImaginaryTime, double_well, instanton
from nnbook.exact.transfer import xy_torus
from nnbook.fields.actions import XY, QuantumPath, symmetries, wrap
from nnbook.fields.conditionals import GaussianMixture
from nnbook.fields.learning import Hamiltonian, fit_likelihood, log_prob, weigh
from nnbook.fields.made import MADE, frontier
from nnbook.fields.walkers import xy_samples, xy_sweep
from nnbook.networks import random_parameter
from nnbook.sample.estimates import Estimate, estimate
from nnbook.sample.importance import Importance, Value, independence_metropolis

__all__ = ["ImaginaryTime", "double_well", "instanton", "xy_torus"]
__all__ += ["MADE", "XY", "QuantumPath", "frontier", "symmetries", "wrap", "xy_samples", "xy_sweep"]
__all__ += ["Estimate", "Importance", "Value", "estimate", "independence_metropolis"]
__all__ += ["Hamiltonian", "fit_likelihood", "log_prob", "weigh"]
__all__ += ["MAGNET", "Curie", "RingNetwork", "critical_temperature", "dipoles", "domains", "mix", "roc"]

Array = NDArray[np.float64]


# A ferromagnet

#: Temperatures in kelvin and saturation magnetisations in emu/cc of a film of CoFeB, from the talk.
MAGNET = np.array(
    [[50, 961.16], [100, 925.25], [150, 877.73], [200, 818.17], [250, 753.31], [300, 673.427]], dtype=float
)


@dataclass(frozen=True)
class Curie:
    """A law of magnetisation fitted to a table.

    Attributes:
        temperature: the critical one, in kelvin.
        magnetisation: at zero temperature, in emu/cc.
        misfit: root of the mean square of the residuals over the degrees of freedom, in units of the errors.
    """

    temperature: Value
    magnetisation: Value
    misfit: float


def critical_temperature(
    table: Array = MAGNET, *, exponent: float = 1 / 3, power: float = 1.0, errors: Array | None = None
) -> Curie:
    r"""Fit :math:`M_s(T) = M_s(0)\, [1 - (T/T_C)^p]^{\beta}` by least squares.

    Args:
        table: temperatures and magnetisations, ``(n, 2)``.
        exponent: :math:`\beta`, 1/3 in the talk; with ``power=1.5`` and exponent 1 it is Bloch's law.
        power: p.
        errors: of the magnetisations up to a common factor, ``(n,)``; equal if absent. The factor comes from
            the residuals.

    Raises:
        ValueError: fewer than three rows, or numbers that are not above zero.
    """
    check_values("table", table, ("n", 2))
    check_counts(least=3, rows=len(table))
    for name, numbers in (("table", table), ("errors", np.ones(1) if errors is None else errors)):
        if not (numbers > 0).all():
            raise ValueError(f"{name}: got {numbers.min():g}, expected numbers above zero")
    kelvin, measured = table.T

    def law(t: Array, critical: float, zero: float) -> Array:
        below = np.clip(1 - (t / critical) ** power, 1e-12, None)
        magnetisation: Array = zero * below**exponent
        return magnetisation

    scale = np.ones(len(table)) if errors is None else errors / errors.mean()
    check_values("errors", scale, (len(table),))
    start = (1.5 * kelvin.max(), 1.1 * measured.max())
    best, covariance = curve_fit(law, kelvin, measured, start, sigma=scale)
    critical, zero = (
        Value(float(v), float(e)) for v, e in zip(best, np.sqrt(np.diag(covariance)), strict=True)
    )
    rest = (measured - law(kelvin, *best)) / scale
    return Curie(critical, zero, float(np.sqrt(rest @ rest / (len(table) - 2))))


def dipoles(length: int, strength: float = 0.5) -> Tensor:
    r"""Couplings of a thin film: neighbours that align, dipoles that repel, on a periodic square lattice.

    .. math:: E(s) = -\tfrac12 \sum_{ij} J_{ij} s_i s_j, \qquad
              J_{ij} = \delta_{\langle ij\rangle} - D / r_{ij}^3

    with the shortest distance :math:`r_{ij}` on the torus: magnetisation points out of the film, and what
    dipoles cost breaks it up into domains.

    Args:
        length: sites a side, at least 3.
        strength: D, at least 0.

    Returns:
        J, ``(sites, sites)``, symmetric with a diagonal of zeros.

    Raises:
        ValueError: a length or strength out of range.
    """
    check_counts(least=3, length=length)
    if finite("strength", strength) < 0:
        raise ValueError(f"strength: got {strength:g}, expected a number of at least 0")
    place = torch.cartesian_prod(*[torch.arange(length, dtype=torch.float64)] * 2)
    apart = (place[:, None] - place).abs()
    square = torch.minimum(apart, length - apart).square().sum(2)
    far = square.clamp(min=1) ** -1.5
    return torch.where(square == 0, 0.0, (square == 1).double() - strength * far)


@torch.no_grad()
def domains(
    couplings: Tensor, beta: float, images: int, *, sweeps: int = 200, generator: torch.Generator
) -> Tensor:
    r"""Independent images of a film at an inverse temperature, by heat-bath sweeps that cool it slowly.

    The inverse temperature rises to :math:`\beta` over the first half of the sweeps.

    Args:
        couplings: J, ``(sites, sites)``.
        beta: inverse temperature.
        images: how many.
        sweeps: over all sites.
        generator: source of the random numbers.

    Returns:
        Spins of ±1, ``(images, sites)``.

    Raises:
        ValueError: a count or temperature out of range.
    """
    check_numbers("couplings", couplings)
    check_values("couplings", couplings, ("sites", len(couplings)))
    couplings = couplings.double()
    positive("beta", beta)
    check_counts(images=images, sweeps=sweeps)
    spins = torch.randint(0, 2, (len(couplings), images), generator=generator).double() * 2 - 1
    for sweep in range(sweeps):
        now = beta * min(1.0, 2 * (sweep + 1) / sweeps)
        draw = torch.rand(spins.shape, generator=generator, dtype=torch.float64).logit()
        for site, row in enumerate(couplings):
            spins[site] = torch.where(draw[site] < 2 * now * (row @ spins), 1.0, -1.0)
    return spins.mT.contiguous()


def mix(one: float, other: float, third: float) -> tuple[float, float]:
    r"""A and B of :math:`S_3 = A S_1 + B S_2 + C`, the action at a third temperature from two others.

    Each is :math:`S_i = K/\beta_i + \beta_i U` with K and U that know no temperature, so that

    .. math:: A/\beta_1 + B/\beta_2 = 1/\beta_3, \qquad A\beta_1 + B\beta_2 = \beta_3 .

    Args:
        one, other, third: :math:`\beta_1, \beta_2, \beta_3`.

    Raises:
        ValueError: a temperature that is not above zero, or two that are equal.

    >>> mix(80, 20, 40)
    (0.4, 0.4)
    """
    for name, beta in (("one", one), ("other", other), ("third", third)):
        positive(name, beta, most=1e50)
    if one == other:
        raise ValueError(f"other: got {other:g}, which is one; expected two temperatures that differ")
    below = third * (one**2 - other**2)
    return one * (third**2 - other**2) / below, other * (one**2 - third**2) / below


def roc(score: Tensor, truth: Tensor) -> Value:
    """The area under the receiver operating characteristic, with the error of Hanley and McNeil.

    It is the probability that a positive case has a higher score than a negative one: 1/2 for a guess.

    Args:
        score: ``(n,)``.
        truth: whether each case is positive, ``(n,)`` of bools.

    Raises:
        ValueError: cases of one kind only.
    """
    check_numbers("score", score)
    check_values("score", score, ("n",))
    check_values("truth", truth.to(score), (len(score),))
    positives = int(truth.sum())
    negatives = len(score) - positives
    check_counts(positives=positives, negatives=negatives)
    ranked = score.unique(return_inverse=True, return_counts=True)
    rank = (ranked[2].cumsum(0).double() - (ranked[2] - 1) / 2)[ranked[1]]  # equal scores share a rank
    area = (float(rank[truth].sum()) - positives * (positives + 1) / 2) / positives / negatives
    above, twice = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (positives - 1) * (above - area**2) + (negatives - 1) * (twice - area**2)
    return Value(area, math.sqrt(max(0.0, spread) / positives / negatives))


class RingNetwork(nn.Module):
    r"""An autoregressive network of a closed path that has one conditional for all times.

    Once :math:`x_{i-1}` and :math:`x_0` are known, nothing else of the past tells about :math:`x_i`,

    .. math::

        p(x_i \mid x_{<i}) = \frac{T(x_{i-1}, x_i)\, T^{N-i}(x_i, x_0)}{T^{N-i+1}(x_{i-1}, x_0)},

    and the number of times that are left enters smoothly. So one small network computes a mixture of
    Gaussians from :math:`x_{i-1}`, :math:`x_0` and N - i; :math:`x_0` has a mixture of its own. Paths x
    and -x are equally probable, exactly.

    Args:
        times: N, at least 2.
        hidden: tanh units in each of two layers.
        components: Gaussians of a mixture, before mirroring.
        odd: whether x and -x shall be equally probable.
        generator: source of the random numbers.

    Raises:
        ValueError: a count or step out of range.
    """

    def __init__(
        self,
        times: int,
        hidden: int = 32,
        *,
        components: int = 3,
        odd: bool = True,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        check_counts(least=2, times=times)
        check_counts(hidden=hidden, components=components)
        self.sites, self.odd = times, odd
        self.conditional = GaussianMixture(components)
        outputs = self.conditional.outputs

        def draw(*shape: int, std: float) -> nn.Parameter:
            numbers = random_parameter(shape, std, generator=generator, device="cpu")
            return nn.Parameter(numbers.detach().to(dtype))

        self.first = draw(outputs, 1, std=0.1)
        self.inward, self.shift = draw(hidden, 4, std=1.0), draw(hidden, 1, std=1.0)
        self.middle, self.lift = draw(hidden, hidden, std=hidden**-0.5), draw(hidden, 1, std=0.1)
        self.outward, self.bias = draw(outputs, hidden, std=0.01), draw(outputs, 1, std=0.01)
        start = self.conditional.start().to(dtype)[:, None]
        with torch.no_grad():
            self.first.add_(start)
            self.bias.add_(start)
        left = torch.arange(times, 0, -1, dtype=dtype)  # of site i: N - i
        self.clock = nn.Buffer(torch.stack([1 / left, (-0.1 * left).exp()]))

    def _network(self, before: Tensor, first: Tensor, clock: Tensor) -> Tensor:
        inside = torch.stack([before, first, *clock.expand(2, len(before))])
        inside = (self.middle @ (self.inward @ inside + self.shift).tanh() + self.lift).tanh()
        return self.outward @ inside + self.bias

    def _raw(self, before: Tensor, first: Tensor, clock: Tensor) -> Tensor:
        raw = self._network(before, first, clock)
        if not self.odd:
            return raw
        return self.conditional.symmetric(raw, self._network(-before, -first, clock))

    def _start(self, n: int) -> Tensor:
        raw = self.first.expand(-1, n)
        return self.conditional.symmetric(raw, raw) if self.odd else raw

    def log_prob(self, x: Tensor) -> Tensor:
        r""":math:`\ln p_\theta(x)`, ``(batch,)``, of paths ``(batch, times)``.

        Raises:
            ValueError: another shape, values that are not finite.
        """
        check_values("x", x, ("batch", self.sites))
        x = like(x, self.inward)
        before, first = x[:, :-1].flatten(), x[:, :1].expand(-1, self.sites - 1).flatten()
        raw = self._raw(before, first, self.clock[:, 1:].repeat(1, len(x)))
        rest = self.conditional.log_prob(raw, x[:, 1:].flatten()).reshape(len(x), self.sites - 1)
        return self.conditional.log_prob(self._start(len(x)), x[:, 0]) + rest.sum(1)

    forward = log_prob

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator) -> Tensor:
        """Independent paths, ``(n, times)``."""
        check_counts(n=n)
        x = [self.conditional.sample(self._start(n), generator=generator)]
        for site in range(1, self.sites):
            raw = self._raw(x[-1], x[0], self.clock[:, site, None])
            x.append(self.conditional.sample(raw, generator=generator))
        return torch.stack(x, 1)

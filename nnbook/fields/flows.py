r"""Continuous flows that know the symmetries of a lattice, their divergence in closed form.

Noise :math:`\phi(0)` becomes a field :math:`\phi(1)` along :math:`\dot\phi = v(\phi, t)`. With

.. math:: v = \sum_f C_f(t)\, s_f(\phi), \qquad s_0 = \phi, \quad
          s_f = \frac{\phi}{|\phi|} \sin(\omega_f |\phi|), \qquad
          \nabla\cdot v = \sum_f C_f(t)_{xx} \sum_x \nabla\cdot s_f(\phi_x)

each s acts on one site, and each C is a convolution with the symmetries of the square :cite:p:`dehaan2021`
:cite:p:`gerdes2023`. Then :math:`v(-\phi) = -v(\phi)`: both signs of a real field are equally probable, and
all phases of a complex one. The logarithm of the density changes by :math:`-\int \nabla\cdot v\, dt`. Runge
and Kutta's rule of fourth order takes the integrals; derivatives are those of the rule itself, by hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nnbook.arrays import check_counts, check_numbers, check_values, positive
from nnbook.fields.scalars import GaussianField, hartley, momenta2

WithGradient = Callable[[Tensor], tuple[Tensor, Tensor]]
#: Up to this length both directions are transformed by one matrix, which is more arithmetic but less to move.
SMALL = 12
#: Where in a step each stage of Runge and Kutta is taken, and with which share of the sum.
RULE = ((0.0, 1.0), (0.5, 2.0), (0.5, 2.0), (1.0, 1.0))


def orbits(length: int, radius: float = 3.0) -> Tensor:
    """Convolutions with the symmetries of the square, by their factors on each wave, ``(kernels, L, L)``.

    One for each set of displacements, no longer than ``radius``, that turns and mirrorings map on each other;
    divided by the root of their number.

    Raises:
        ValueError: a length below 2, a radius that is not above zero.

    >>> orbits(8).shape
    torch.Size([7, 8, 8])
    """
    check_counts(least=2, length=length)
    reach = min(length // 2, int(positive("radius", radius, most=1e3)))
    pairs = [(a, b) for a in range(reach + 1) for b in range(a + 1) if a * a + b * b <= radius**2]
    phase = 2 * math.pi / length * torch.arange(length, dtype=torch.float64, device="cpu")
    kernels = []
    for a, b in pairs:
        images = {(x % length, y % length) for p, q in ((a, b), (b, a)) for x in (p, -p) for y in (q, -q)}
        waves = sum(torch.outer((x * phase).cos(), (y * phase).cos()) for x, y in images)
        kernels.append(waves / len(images) ** 0.5)
    return torch.stack(kernels)


def propagators(length: int, masses2: Sequence[float]) -> Tensor:
    r"""Convolutions of long range, :math:`1/(\hat p^2 + m^2)` for each :math:`m^2`, and the uniform wave."""
    p2 = momenta2(length)
    waves = [1 / (p2 + positive("masses2", m2)) for m2 in masses2]
    return torch.stack([*waves, (p2 == 0).double()])


class _Stage(NamedTuple):
    """One evaluation of the field v: where, and what the way back needs."""

    x: Tensor  # (B, d, L, L)
    ratio: Tensor  # u_f = s_f / |phi|, (B, F, L, L)
    slope: Tensor  # s_f' along phi, (B, F, L, L)
    waves: Tensor  # of s_f, (B, F, d, L, L)
    divergence: Tensor  # of s_f, summed over sites, (B, F)
    times: Tensor  # Legendre polynomials at t, (K,)


class LogWeights(NamedTuple):
    r"""Log-weights of samples with their derivatives.

    Attributes:
        field: :math:`\phi`, ``(batch, sites)``.
        f: :math:`\ln q + S`, ``(batch,)``.
        slopes: :math:`\partial f/\partial\theta` at fixed noise, ``(batch, parameters)``.
        force: gradient of :math:`S(\phi(z)) - \ln|\det \partial\phi/\partial z|` by z, ``(batch, sites)``.
    """

    field: Tensor
    f: Tensor
    slopes: Tensor
    force: Tensor


class EquivariantFlow(nn.Module):
    r"""A continuous flow with the symmetries of a field on the square lattice.

    Its parameters are linear in v: one number for each s, convolution and polynomial of time, zero at the
    start, so that the flow begins as the prior.

    Args:
        prior: where the flow begins.
        kernels: convolutions by their factors on each wave, ``(kernels, length, length)``.
        frequencies: :math:`\omega_f`, in units of the inverse field; not counting the linear term.
        times: Legendre polynomials of time.
        steps: Runge-Kutta steps if nothing else is said.

    Raises:
        ValueError: kernels of another length, a frequency that is not above zero, a count below 1.

    >>> prior = GaussianField(torch.ones(4, 4, dtype=torch.float64))
    >>> flow = EquivariantFlow(prior, orbits(4), (1.0,), steps=4)
    >>> flow.sample(3, generator=torch.Generator().manual_seed(1)).shape
    torch.Size([3, 16])
    """

    def __init__(
        self,
        prior: GaussianField,
        kernels: Tensor,
        frequencies: Sequence[float],
        *,
        times: int = 3,
        steps: int = 8,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        check_counts(times=times, steps=steps)
        check_values("kernels", kernels, ("kernels", prior.length, prior.length))
        check_counts(kernels=len(kernels))
        omega = [0.0, *(positive("frequencies", w, most=1e6) for w in frequencies)]
        to = {"dtype": dtype, "device": device}
        self.prior, self.steps = prior, steps
        self.kernels = nn.Buffer(kernels.to(**to))  # type: ignore[call-overload]
        self.omega = nn.Buffer(torch.tensor(omega, **to))  # type: ignore[arg-type]
        self.matrix = nn.Buffer(hartley(prior.length).to(**to))  # type: ignore[call-overload]
        small = prior.length <= SMALL
        self.both = nn.Buffer(torch.kron(self.matrix, self.matrix)) if small else None
        shape = len(omega), len(kernels), times
        self.coefficients = nn.Parameter(torch.zeros(shape, **to))  # type: ignore[arg-type]

    @property
    def sites(self) -> int:
        """Numbers of a configuration."""
        return self.prior.components * self.prior.length**2

    def _lattice(self, x: Tensor) -> Tensor:
        check_numbers("x", x)
        check_values("x", x, ("batch", self.sites), dtype=self.matrix.dtype)
        return x.reshape(-1, self.prior.components, self.prior.length, self.prior.length)

    def _waves(self, x: Tensor) -> Tensor:
        if self.both is not None:
            return (x.flatten(-2) @ self.both).view(x.shape)
        rows: Tensor = (x @ self.matrix).mT.contiguous() @ self.matrix
        return rows.mT

    def _convolutions(self, times: Tensor) -> Tensor:
        """C_f at a time by its factors on the waves, ``(F, L, L)``."""
        return torch.einsum("fok,k,oxy->fxy", self.coefficients.detach(), times, self.kernels)

    def _times(self, t: float) -> Tensor:
        x, values = 2 * t - 1, [1.0, 2 * t - 1]
        for k in range(1, self.coefficients.shape[2]):
            values.append(((2 * k + 1) * x * values[k] - k * values[k - 1]) / (k + 1))
        return torch.tensor(values[: self.coefficients.shape[2]]).to(self.matrix)

    def _look(self, x: Tensor, t: float) -> tuple[Tensor, Tensor, _Stage]:
        """v ``(B, d, L, L)``, its divergence ``(B,)`` and what the way back needs."""
        omega, d, times = self.omega[:, None, None], self.prior.components, self._times(t)
        r = x.square().sum(1, keepdim=True).sqrt().clamp(min=1e-6)
        phase = omega * r
        linear = omega == 0
        ratio, slope = phase.sin() / r + linear, omega * phase.cos() + linear
        waves = self._waves(ratio[:, :, None] * x[:, None])
        divergence = (slope + (d - 1) * ratio).sum((2, 3))
        c = self._convolutions(times)
        v = self._waves((c[:, None] * waves).sum(1))
        stage = _Stage(x, ratio, slope, waves, divergence, times)
        return v, divergence @ c.mean((1, 2)), stage

    def _back(self, stage: _Stage, bar: Tensor, weight: float, slopes: Tensor) -> Tensor:
        """The gradient by x, for cotangents of v and its divergence; adds to ``slopes`` ``(B, F, O, K)``."""
        x, d, c = stage.x, self.prior.components, self._convolutions(stage.times)
        waves = self._waves(bar)
        product = (stage.waves * waves[:, None]).sum(2).flatten(2) @ self.kernels.flatten(1).mT
        diagonal = self.kernels.mean((1, 2))
        product += weight * stage.divergence[:, :, None] * diagonal
        slopes += product[..., None] * stage.times
        a = self._waves(c[:, None] * waves[:, None])
        r2 = x.square().sum(1, keepdim=True).clamp(min=1e-12)
        apart = stage.slope - stage.ratio
        radial = (x[:, None] * a).sum(2) / r2 * apart
        omega2 = self.omega[:, None, None].square()
        bend = (d - 1) * apart / r2 - torch.where(omega2 > 0, omega2 * stage.ratio, 0.0)
        radial = radial.sum(1) + weight * (c.mean((1, 2))[:, None, None] * bend).sum(1)
        return (stage.ratio[:, :, None] * a).sum(1) + radial[:, None] * x

    def _step(self, x: Tensor, t: float, h: float) -> tuple[Tensor, Tensor, list[_Stage]]:
        """One step of Runge and Kutta: the field, the integral of the divergence, the stages."""
        v = change = torch.zeros_like(x)
        integral, stages = torch.zeros_like(x[:, 0, 0, 0]), []
        for part, share in RULE:
            v, divergence, stage = self._look(x + part * h * v, t + part * h)
            stages.append(stage)
            change, integral = change + share * v, integral + share * divergence
        return x + h / 6 * change, h / 6 * integral, stages

    @torch.no_grad()
    def transport(
        self, z: Tensor, *, steps: int | None = None, backward: bool = False
    ) -> tuple[Tensor, Tensor]:
        r"""Where the flow takes configurations, and :math:`\ln|\det|` of that map.

        Args:
            z: configurations ``(batch, sites)``.
            steps: Runge-Kutta steps.
            backward: from fields to noise.

        Raises:
            ValueError: configurations of another shape or dtype, no steps.
        """
        steps = self.steps if steps is None else steps
        check_counts(steps=steps)
        x, total = self._lattice(z), torch.zeros_like(z[:, 0])
        h = (-1 if backward else 1) / steps
        for k in range(steps):
            x, integral, _ = self._step(x, (1.0 if backward else 0.0) + k * h, h)
            total = total + integral
        return x.flatten(1), total

    @torch.no_grad()
    def log_weights(
        self, action: WithGradient, z: Tensor, *, steps: int | None = None, volume: bool = True
    ) -> LogWeights:
        r"""Fields from noise of the prior, with their log-weights and all derivatives.

        Args:
            action: S and its gradient, of configurations ``(batch, sites)``.
            z: of the prior, ``(batch, sites)``.
            steps: Runge-Kutta steps.
            volume: whether f and its derivatives count the determinant; without, they are wrong.

        Raises:
            ValueError: configurations of another shape or dtype, no steps.
        """
        steps = self.steps if steps is None else steps
        check_counts(steps=steps)
        x, total, h = self._lattice(z), torch.zeros_like(z[:, 0]), 1 / steps
        seen: list[list[_Stage]] = []
        for k in range(steps):
            x, integral, stages = self._step(x, k * h, h)
            total, seen = total + integral, [*seen, stages]
        value, slope = action(x.flatten(1))
        back, slopes = slope.view_as(x), x.new_zeros(len(x), *self.coefficients.shape)
        while seen:
            back = self._step_back(seen.pop(), back, h, slopes, float(volume))
        f = self.prior.log_prob(z) - volume * total + value
        return LogWeights(x.flatten(1), f, slopes.flatten(1), back.flatten(1))

    def _step_back(
        self, stages: list[_Stage], after: Tensor, h: float, slopes: Tensor, volume: float
    ) -> Tensor:
        before, later, reach = after, torch.zeros_like(after), 0.0
        for stage, (part, share) in zip(reversed(stages), reversed(RULE), strict=True):
            bar = h * share / 6 * after + h * reach * later
            later = self._back(stage, bar, -volume * h * share / 6, slopes)
            before, reach = before + later, part
        return before

    def sample(self, n: int, *, generator: torch.Generator, steps: int | None = None) -> Tensor:
        """Independent fields ``(n, sites)``."""
        return self.transport(self.prior.sample(n, generator=generator).to(self.matrix), steps=steps)[0]

    def log_prob(self, x: Tensor, *, steps: int | None = None) -> Tensor:
        """The logarithm of the density of fields, ``(batch,)``, by the way back to the noise."""
        z, log_det = self.transport(x, steps=steps, backward=True)
        return self.prior.log_prob(z) + log_det

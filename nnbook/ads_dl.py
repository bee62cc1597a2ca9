r"""What the chapter *AdS/DL: spacetime emergent from data* reads.

A field at the boundary of a curved space and its response are data; the metric inside is what is learnt from
them (:func:`learn_metric`). Surfaces and strings that hang into the space say more about it
(:func:`~nnbook.dynamics.probes.reconstruct`), and so does the response at many frequencies
(:func:`linear_response`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor

from nnbook.arrays import check_columns, check_counts, check_numbers, check_values, finite
from nnbook.dynamics.bulk import BulkFlow, BulkMetric, LearnedMetric, with_slope
from nnbook.dynamics.probes import Geometry, reconstruct
from nnbook.dynamics.splines import spline_basis
from nnbook.exact.holography import brane, flat, string, strip
from nnbook.train.inverse import Inversion, choose, invert

__all__ = [
    "BulkFlow",
    "BulkMetric",
    "Inversion",
    "LearnedMetric",
    "brane",
    "choose",
    "flat",
    "spline_basis",
    "string",
    "strip",
]
__all__ += ["Curve", "Geometry", "learn_metric", "linear_response", "observe", "reconstruct", "response"]

#: Strengths of the penalty that are tried for h.
STRENGTHS = tuple(10.0**k for k in range(1, -7, -1))


@dataclass(frozen=True, eq=False)
class Curve:
    """Data of an experiment, a field at the boundary and its response.

    Attributes:
        phi, pi: field and momentum at the boundary, ``(n,)`` each.
        band: how far the condition at the horizon may be from zero; 0 for points on the curve itself.

    Raises:
        ValueError: fewer than two points, columns of different lengths, numbers that are not finite (the row
            and the column are named), a negative band.
    """

    phi: Tensor = field(repr=False)
    pi: Tensor = field(repr=False)
    band: float = 0.0

    def __post_init__(self) -> None:
        check_columns(phi=self.phi, pi=self.pi)
        finite("band", self.band, least=0)


def observe(flow: BulkFlow, n: int, *, band: float = 0.1, generator: torch.Generator) -> Curve:
    r"""Points of the plane whose field is nearly regular at the horizon, by rejection as published.

    :math:`\phi` from 0 to 1.5 and :math:`\pi` from -0.2 to 0.2, kept where :math:`|F|` is below the band.

    Raises:
        ValueError: no points asked for, a band that is not above zero, a flow that accepts hardly any.
    """
    check_counts(n=n)
    finite("band", band, least=1e-4)
    kept: list[Tensor] = []
    for _ in range(100):
        dice = torch.rand(2, 1_000_000, generator=generator, dtype=torch.float64)
        phi, pi = 1.5 * dice[0], 0.4 * dice[1] - 0.2
        kept.append(torch.stack([phi, pi])[:, flow.horizon_condition(phi, pi).abs() < band])
        if sum(part.shape[1] for part in kept) >= n:
            phi, pi = torch.cat(kept, 1)[:, :n]
            return Curve(phi, pi, band)
    raise ValueError("flow: got one that accepts hardly any point, expected a response below 0.2")


def response(flow: BulkFlow, phi: Tensor, pi: Tensor, *, value: float = 0.0, steps: int = 8) -> Tensor:
    """The momentum at the boundary at which the condition at the horizon has a value, by Newton's method.

    Args:
        flow: the network.
        phi: field at the boundary.
        pi: where Newton's method starts.
        value: of the condition; zero for a regular field.
        steps: of Newton.

    Returns:
        The momentum, ``(...,)``; infinite where Newton's method loses its way.
    """
    check_counts(steps=steps)
    finite("value", value, least=-1e9, most=1e9)
    check_numbers("pi", pi)
    for _ in range(steps):
        condition, slope = with_slope(partial(flow.horizon_condition, phi), pi)
        pi = pi - (condition - value) / slope
    return torch.nan_to_num(pi, nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)


def learn_metric(data: Curve, flow: BulkFlow, *, strengths: Sequence[float] = STRENGTHS) -> LearnedMetric:
    r"""The metric of a network from a curve: h at its layers, with a penalty that is chosen blind.

    The residual is the distance of a point from the curve in :math:`\pi`. Points of a band are uniform in it,
    so the distance is taken from its middle, and the width of the band is the noise. The condition at the
    horizon itself must not be minimised: h can make it small everywhere by making it insensitive.

    Args:
        data: points.
        flow: gives the layers, the mass and the coupling; its metric is replaced.
        strengths: of the penalty on :math:`\int s''^2`, for residuals in units of their noise.

    Returns:
        The :class:`~nnbook.dynamics.bulk.LearnedMetric`; its spectrum is that of :math:`d\pi/dh`.
    """
    knots = flow.metric.grid(flow.steps)[:-1].flip(0)
    fine = torch.linspace(0, float(knots[-1]), 201, dtype=torch.float64)
    penalty = spline_basis(fine, knots, 2) * float(fine[1]) ** 0.5
    sides = 2 if data.band else 1
    ends = data.phi.new_tensor([data.band, -data.band][:sides]).repeat_interleave(len(data.phi))
    phi, pi = data.phi.repeat(sides), data.pi.repeat(sides)

    def given(s: Tensor) -> BulkFlow:
        metric = BulkMetric.learned(s, knots, boundary=flow.metric.boundary, horizon=flow.metric.horizon)
        return replace(flow, metric=metric)

    def edges(s: Tensor) -> tuple[Tensor, Tensor]:
        """The edges of the band above each point, and their derivatives by s."""
        momentum = pi
        for _ in range(4):  # Newton
            condition, rows = _condition(given(s), knots, phi, momentum)
            momentum = momentum - (condition - ends) / rows[-1]
        condition, rows = _condition(given(s), knots, phi, momentum)
        return momentum, -(rows[:-1] / rows[-1]).movedim(0, -1)

    def linearised(s: Tensor) -> tuple[Tensor, Tensor]:
        at, rows = (part.unflatten(0, (sides, -1)).mean(0) for part in edges(s))
        return (at - data.pi) / noise, rows / noise[:, None]

    noise, start = torch.full_like(data.pi, 1e-4), torch.full_like(knots, 1.5)
    if data.band:  # a first metric, for the widths of the band
        start = invert(linearised, start, penalty, strengths=[0.1])[0].params
        upper, lower = edges(start)[0].chunk(2)
        noise = (upper - lower).abs() / 12**0.5
    best = choose(invert(linearised, start, penalty, strengths=strengths))
    bands = best.covariance.diagonal().clamp(min=0).sqrt()
    h = 1 / knots + best.params
    spectrum = torch.linalg.svdvals(best.jacobian * noise[:, None]) / len(data.phi) ** 0.5
    return LearnedMetric(
        given(best.params).metric, knots, h, bands, spectrum, float(flow.coupling), 1.0, best.strength,
        best.misfit, best.degrees,
    )  # fmt: skip


def _condition(flow: BulkFlow, knots: Tensor, phi: Tensor, pi: Tensor) -> tuple[Tensor, Tensor]:
    """The condition at the horizon, and its derivatives by h at the knots and by pi, ``(k + 1, n)``."""
    basis = spline_basis(flow.places(), knots)
    start = torch.zeros(2, len(knots) + 3, len(phi), dtype=phi.dtype)
    start[0, 0], start[1, 0], start[1, -1] = phi, pi, 1.0
    end = flow.varied(start, basis)
    first = end[0, 0]
    bend = flow.mass2 + 3 * flow.coupling * first**2
    rows = 2 / flow.metric.horizon * end[1, 1:] - bend * end[0, 1:]
    condition = 2 / flow.metric.horizon * end[1, 0] - flow.force(first)
    return condition, torch.cat([rows[:-2], rows[-1:]])


# What other data say


def linear_response(
    s: Tensor, knots: Tensor, frequencies: Tensor, *, mass2: float = -1.0, steps: int = 150
) -> Tensor:
    r"""Response :math:`G = \phi'/\phi` at :math:`\eta = 1` to a small oscillating source, on a black brane.

    Inside waves may only fall in. With :math:`f = \sinh^2(3\eta/2)\cosh^{-2/3}(3\eta/2)`, the exact one of
    three dimensions, and :math:`h = 1/\eta + s`,

    .. math:: G' = m^2 - \frac{\omega^2}f - hG - G^2, \qquad \eta\,G \to -\frac{2i\omega}3,

    a first-order equation that forgets its start :cite:p:`iqbal2009`.

    Args:
        s: the rest of h at the knots, ``(n,)``.
        knots: its places, ``(n,)``.
        frequencies: :math:`\omega > 0`, ``(m,)``.
        mass2: of the field.
        steps: of Runge and Kutta, in :math:`\ln\eta`.

    Returns:
        Real and imaginary parts, ``(2 m,)``; infinite where the steps are too few for them.

    Raises:
        ValueError: frequencies that are not above zero.
    """
    check_numbers("frequencies", frequencies)
    check_values("frequencies", frequencies, ("m",))
    if not bool((frequencies > 0).all()):
        raise ValueError(f"frequencies: got {float(frequencies.min()):g}, expected numbers above zero")
    check_counts(steps=steps)
    finite("mass2", mass2, least=-100, most=100)
    x = torch.linspace(math.log(1e-3), 0.0, 2 * steps + 1, dtype=torch.float64)
    eta, step = x.exp(), float(x[2] - x[0])
    friction = eta * BulkMetric.learned(s, knots).h(eta)
    f = torch.sinh(1.5 * eta) ** 2 * torch.cosh(1.5 * eta) ** (-2 / 3)
    pull = eta**2 * (mass2 - frequencies[:, None] ** 2 / f)

    def slope(g: Tensor, k: int) -> Tensor:
        real, imaginary = g
        return torch.stack(
            [
                (1 - friction[k]) * real - real**2 + imaginary**2 + pull[:, k],
                (1 - friction[k] - 2 * real) * imaginary,
            ]
        )

    g = torch.stack([torch.zeros_like(frequencies), -frequencies / 1.5])
    for n in range(0, 2 * steps, 2):
        a = slope(g, n)
        b = slope(g + step / 2 * a, n + 1)
        c = slope(g + step / 2 * b, n + 1)
        g = g + step / 6 * (a + 2 * b + 2 * c + slope(g + step * c, n + 2))
    return torch.nan_to_num(g.flatten(), nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)

r"""What the chapter *AdS/DL: spacetime emergent from data* reads.

A field at the boundary of a curved space and its response are data; the metric inside is what is learnt from
them (:func:`learn_metric`). Surfaces and strings that hang into the space say more about it
(:func:`reconstruct`), and so does the response at many frequencies (:func:`linear_response`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.func import jacfwd, jvp

from nnbook.arrays import check_counts, check_numbers, check_values, finite
from nnbook.dynamics.bulk import BulkFlow, BulkMetric, LearnedMetric, spline_basis
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
        for name, values in (("phi", self.phi), ("pi", self.pi)):
            check_numbers(name, values)
            bad = (~values.isfinite()).flatten().nonzero()
            if len(bad):
                row = int(bad[0, 0])
                what = f"{float(values.flatten()[row])} in row {row}, column {name}"
                raise ValueError(f"data: got {what}, expected finite numbers")
            check_values(name, values, ("n",), dtype=torch.float64)
        if not len(self.phi) == len(self.pi) >= 2:
            got = f"{len(self.phi)} of phi and {len(self.pi)} of pi"
            raise ValueError(f"data: got {got}, expected at least two points, as many of each")
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
        condition, slope = _with_slope(partial(flow.horizon_condition, phi), pi)
        pi = pi - (condition - value) / slope
    return torch.nan_to_num(pi, nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)


def _with_slope(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Values of a function of each number alone, and its derivatives."""
    value, slope = jvp(function, (x,), (torch.ones_like(x),))[:2]
    return value, slope


def learn_metric(
    data: Curve, flow: BulkFlow, *, strengths: Sequence[float] = STRENGTHS, chosen: int | None = None
) -> LearnedMetric:
    r"""The metric of a network from a curve: h at its layers, with a penalty that is chosen blind.

    The residual is the distance of a point from the curve in :math:`\pi`. Points of a band are uniform in it,
    so the distance is taken from its middle, and the width of the band is the noise. The condition at the
    horizon itself must not be minimised: h can make it small everywhere by making it insensitive.

    Args:
        data: points.
        flow: gives the layers, the mass and the coupling; its metric is replaced.
        strengths: of the penalty on :math:`\int s''^2`, for residuals in units of their noise.
        chosen: take this one of the strengths instead, from the strongest on.

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
    found = invert(linearised, start, penalty, strengths=strengths)
    best = choose(found) if chosen is None else found[chosen]
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


@dataclass(frozen=True, eq=False)
class Geometry:
    r"""Both functions of :math:`ds^2 = z^{-2}[-f e^{-\chi}dt^2 + dz^2/f + dx^2 + dy^2]`, from numbers.

    .. math:: f = (1 - x^3)\, e^{x^2\sum_k a_k T_k(2x-1)}, \qquad \chi = x^2\sum_k c_k T_k(2x-1), \qquad
              x = z/z_h

    Attributes:
        params: :math:`\ln z_h`, then all a, then all c, ``(2 k + 1,)``.

    Raises:
        ValueError: an even number of parameters, or fewer than five.

    >>> space = Geometry(torch.zeros(5, dtype=torch.float64))
    >>> space.blackening(torch.tensor([0.5], dtype=torch.float64))
    tensor([0.8750], dtype=torch.float64)
    """

    params: Tensor

    def __post_init__(self) -> None:
        check_numbers("params", self.params)
        if self.params.ndim != 1 or len(self.params) < 5 or len(self.params) % 2 == 0:
            got = tuple(self.params.shape)
            raise ValueError(f"params: got shape {got}, expected (2 k + 1,) with k at least 2")

    def logarithms(self, z: Tensor) -> tuple[Tensor, Tensor]:
        r""":math:`\ln f` and :math:`\chi` at places above zero and before the horizon, ``(...,)`` each."""
        x = z / self.params[0].exp()
        terms = len(self.params) // 2
        a, c = self.params[1 : terms + 1], self.params[terms + 1 :]
        before, last = torch.ones_like(x), 2 * x - 1
        sums = [a[0] * before + a[1] * last, c[0] * before + c[1] * last]
        for k in range(2, terms):
            before, last = last, 2 * (2 * x - 1) * last - before
            sums = [sums[0] + a[k] * last, sums[1] + c[k] * last]
        return torch.log(-torch.expm1(3 * torch.log(x))) + x**2 * sums[0], x**2 * sums[1]

    def blackening(self, z: Tensor) -> Tensor:
        """f, ``(...,)``."""
        return self.logarithms(z)[0].exp()

    def time(self, z: Tensor) -> Tensor:
        r""":math:`f e^{-\chi}`, what multiplies :math:`-dt^2/z^2`, ``(...,)``."""
        log_f, chi = self.logarithms(z)
        return (log_f - chi).exp()

    def strips(self, turn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Width, area and its slope of surfaces that turn at z, see :func:`nnbook.exact.holography.strip`."""
        z, dz, below = _nodes(turn)
        inside = -0.5 * (self.logarithms(z)[0] + torch.log(-torch.expm1(4 * below)))
        width = 2 * (((2 * below) + inside).exp() * dz).sum(1)
        return width, 2 * (torch.expm1(inside) / z**2 * dz).sum(1) - 2 / turn, turn**-2

    def strings(self, turn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Separation, potential and its slope, see :func:`nnbook.exact.holography.string`."""
        z, dz, below = _nodes(turn)
        (log_f, chi), (last_f, last_chi) = self.logarithms(z), self.logarithms(turn)
        rise = log_f - chi - (last_f - last_chi)[:, None] - 4 * below
        apart = 2 * ((-0.5 * (log_f + torch.log(torch.expm1(rise)))).exp() * dz).sum(1)
        length = torch.expm1(-0.5 * (chi + torch.log(-torch.expm1(-rise)))) / z**2
        return apart, 2 * (length * dz).sum(1) - 2 / turn, (0.5 * (last_f - last_chi)).exp() / turn**2


def _nodes(turn: Tensor, count: int = 48) -> tuple[Tensor, Tensor, Tensor]:
    """Places z = turn (1 - u^2) that resolve the root at the turning point, weights, and ln(z / turn)."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    u, w = turn.new_tensor((nodes + 1) / 2), turn.new_tensor(weights / 2)
    return turn[:, None] * (1 - u**2), 2 * turn[:, None] * u * w, torch.log1p(-(u**2))


Probe = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]


def _turning(probe: Probe, horizon: float, size: Tensor) -> Tensor:
    """Where probes of given sizes turn, on the stable branch: a table, then Newton."""
    places = horizon * torch.linspace(0.02, 0.997, 150, dtype=torch.float64)
    sizes = probe(places)[0]
    stable = int(sizes.argmax()) + 1
    turn = torch.from_numpy(np.interp(size.numpy(), sizes[:stable].numpy(), places[:stable].numpy()))
    for _ in range(2):
        found, slope = _with_slope(lambda z: probe(z)[0], turn)
        turn = (turn - (found - size) / slope.clamp(min=1e-3)).clamp(places[0], places[stable - 1])
    return turn


def reconstruct(
    strips: Tensor | None,
    strings: Tensor | None,
    *,
    terms: int = 10,
    strengths: Sequence[float] = (1e3, 1e2, 1e1, 1.0, 0.1),
) -> list[Inversion]:
    r"""Both functions of a metric from entropies of strips and potentials of strings :cite:p:`filev2026`.

    Energies are taken at the measured size by :math:`E(z_*) + (l - l(z_*))\,dE/dl`, which is stationary in
    the turning point. So that is only needed roughly, and derivatives are those at a fixed one.

    Args:
        strips: rows of width, area, and the error of the area, ``(n, 3)``; or none.
        strings: the same of separation and potential.
        terms: Chebyshev polynomials for each function.
        strengths: of the penalty, which weighs the k-th coefficient by :math:`(k + 0.3)^2`.

    Returns:
        An :class:`~nnbook.train.inverse.Inversion` for each strength; ``Geometry(one.params)`` is the metric.

    Raises:
        ValueError: no data, rows of another width, sizes or errors that are not above zero.
    """
    check_counts(least=2, terms=terms)
    given = {"strips": strips, "strings": strings}
    tables = {name: table for name, table in given.items() if table is not None}
    if not tables:
        raise ValueError("data: got neither strips nor strings, expected at least one table")
    for name, table in tables.items():
        check_values(name, table, ("n", 3), dtype=torch.float64)
        check_counts(least=2, **{name: len(table)})
        if not bool((table[:, ::2] > 0).all()):
            raise ValueError(f"{name}: got a size or an error below zero, expected numbers above zero")

    def linearised(params: Tensor) -> tuple[Tensor, Tensor]:
        residuals, rows = [], []
        for name, (size, energy, error) in ((name, table.mT) for name, table in tables.items()):
            turn = _turning(getattr(Geometry(params), name), float(params[0].exp()), size)

            def predicted(p: Tensor, name: str = name, turn: Tensor = turn, size: Tensor = size) -> Tensor:
                found, at, slope = getattr(Geometry(p), name)(turn)
                return torch.as_tensor(at + (size - found) * slope)

            residuals.append((predicted(params) - energy) / error)
            rows.append(jacfwd(predicted)(params) / error[:, None])
        return torch.cat(residuals), torch.cat(rows)

    start = torch.zeros(2 * terms + 1, dtype=torch.float64)
    start[0] = _depth(next(iter(tables.values())))
    weights = (torch.arange(terms, dtype=torch.float64) + 0.3) ** 2
    penalty = torch.diag(torch.cat([torch.zeros(1), weights, weights]).double())
    return invert(linearised, start, penalty, strengths=strengths, tolerance=1e-5)


def _depth(table: Tensor) -> Tensor:
    """ln z where the largest probe turns, from the slope of its energy, and a little more."""
    last = table[table[:, 0].argsort()][-2:]
    slope = (last[1, 1] - last[0, 1]) / (last[1, 0] - last[0, 0])
    return -0.5 * slope.clamp(min=1e-3).log() + 0.02

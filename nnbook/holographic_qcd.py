r"""What the chapter *Holographic QCD: what six points say about a metric* reads.

Quark masses and condensates become a field and its momentum at the boundary of five dimensions
(:func:`dictionary`). A metric is learnt as published (:func:`classify`), or by shooting outwards from the
horizon (:func:`learn_condensate`); from it follow the potential of two quarks (:func:`split`,
:meth:`Split.potential`) and, from masses of mesons, a dilaton (:func:`learn_wall`, :func:`dilaton`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from scipy.integrate import cumulative_simpson, solve_ivp
from scipy.interpolate import CubicSpline
from scipy.linalg import eigh_tridiagonal
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from nnbook.arrays import Array, check_counts, check_numbers, check_values, finite, like, positive
from nnbook.dynamics.bulk import BulkFlow, BulkMetric, LearnedMetric, spline_basis
from nnbook.exact.holography import ADS5_POTENTIAL, soft_wall
from nnbook.train.inverse import Inversion, choose, invert

__all__ = ["ADS5_POTENTIAL", "BulkFlow", "BulkMetric", "Inversion", "LearnedMetric", "choose", "soft_wall"]
__all__ += [
    "CUTOFF",
    "FERMI",
    "PUBLISHED",
    "SLIDE",
    "Classified",
    "Condensate",
    "Dilaton",
    "Learned",
    "Split",
]
__all__ += ["classify", "dictionary", "dilaton", "examples", "lattice_data", "layered", "learn_condensate"]
__all__ += ["learn_wall", "masses", "meson_potential", "slide_metric", "split"]

#: The inverse lattice spacing, in GeV, and one inverse GeV in fm.
CUTOFF, FERMI = 0.829, 0.19732698
#: h of the public run, from the boundary to the last layer, and its radius in 1/GeV; read from its notebook.
PUBLISHED = (
    torch.tensor(
        [3.134, 2.393, 1.607, 0.810, 0.062, -0.544, -0.878, -0.773, -0.007, 1.743, 4.975, 10.378, 18.706,
         30.802, 46.993], dtype=torch.float64,
    ),
    3.85265,
)  # fmt: skip
#: Coefficients of h on the slide of the neural ODE, from the eighth power of 1 - eta to the constant.
SLIDE = (8.2351, 8.0108, 7.6071, 6.9468, 150.8853, -130.8117, 55.5384, -2.22235, 3.7719)

_ALPHA, _BETA = 3**0.5 / (2 * math.pi), math.pi / 3**0.5
_E1, _E3 = math.exp(-1), math.exp(-3)


@dataclass(frozen=True, eq=False)
class Condensate:
    """Quark masses in GeV and condensates in GeV^3, ``(n,)`` each.

    Raises:
        ValueError: fewer than two points, numbers that are not finite or not above zero (row and column are
            named).
    """

    mass: Tensor
    condensate: Tensor

    def __post_init__(self) -> None:
        for name in ("mass", "condensate"):
            values = getattr(self, name)
            check_numbers(name, values)
            bad = (~(values.flatten() > 0) | values.flatten().isinf()).nonzero()
            if len(bad):
                got = f"{float(values.flatten()[bad[0, 0]])} in row {int(bad[0, 0])}, column {name}"
                raise ValueError(f"data: got {got}, expected finite numbers above zero")
            check_values(name, values, ("n",), dtype=torch.float64)
        if not len(self.mass) == len(self.condensate) >= 2:
            got = f"{len(self.mass)} masses and {len(self.condensate)} condensates"
            raise ValueError(f"data: got {got}, expected at least two, as many of each")

    def without(self, row: int) -> Condensate:
        """All points but one."""
        kept = torch.arange(len(self.mass)) != row
        return Condensate(self.mass[kept], self.condensate[kept])


def lattice_data(path: str | Path | None = None) -> Condensate:
    """The six points of the lattice, or those of a file with the columns mass and condensate, in its units.

    >>> lattice_data().mass[0]
    tensor(0.0007, dtype=torch.float64)
    """
    place = Path(__file__).with_name("holographic_qcd.csv") if path is None else Path(path)
    head, *rows = [line for line in place.read_text().splitlines() if line and not line.startswith("#")]
    if head.split(",") != ["mass", "condensate"]:
        raise ValueError(f"{place.name}: got the columns {head!r}, expected 'mass,condensate'")
    mass, condensate = torch.tensor(
        [[float(x) for x in row.split(",")] for row in rows], dtype=torch.float64
    ).mT
    return Condensate(mass * CUTOFF, condensate * CUTOFF**3)


def dictionary(
    mass: Tensor, condensate: Tensor, radius: float | Tensor, coupling: float | Tensor
) -> tuple[Tensor, Tensor]:
    r"""Field and momentum at :math:`\eta = 1` that stand for a mass and a condensate, ``(...,)`` each.

    .. math:: \phi = \alpha e^{-\eta} + \beta e^{-3\eta} - \tfrac12\lambda\alpha^3\eta\,e^{-3\eta}, \qquad
              \alpha = \frac{\sqrt3}{2\pi} m L, \quad \beta = \frac\pi{\sqrt3} \langle\bar qq\rangle L^3

    the solution close to the boundary for h = 4 and :math:`m^2 = -3` :cite:p:`hashimoto2018qcd`.
    """
    alpha, beta = _ALPHA * mass * radius, _BETA * condensate * radius**3
    cubic = coupling * alpha**3
    phi = alpha * _E1 + (beta - cubic / 2) * _E3
    return phi, -alpha * _E1 - (3 * beta - cubic) * _E3


# As published


def examples(data: Condensate, n: int, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The published augmentation: points around a cubic through the data, and their labels.

    Masses to 0.022 GeV, condensates to 0.11 GeV^3; positive if nearer to the cubic than a normal number of
    width 0.004 GeV^3. As many of either label.

    Returns:
        Masses and condensates ``(2 n, 2)``, and whether they are positive, ``(2 n,)``.
    """
    check_counts(n=n)
    cubic = np.polyfit(data.mass.numpy(), data.condensate.numpy(), 3)
    kept: dict[bool, list[Tensor]] = {True: [], False: []}
    while min(sum(map(len, parts)) for parts in kept.values()) < n:
        x = torch.rand(10 * n, 2, generator=generator, dtype=torch.float64) * like([0.022, 0.11], data.mass)
        width = 0.004 * torch.randn(10 * n, generator=generator, dtype=torch.float64).abs()
        near = (x[:, 1] - like(np.polyval(cubic, x[:, 0].numpy()), width)).abs() < width
        for label, parts in kept.items():
            parts.append(x[near == label])
    points = torch.cat([torch.cat(kept[label])[:n] for label in (True, False)])
    return points, torch.arange(2 * n) < n


@dataclass(frozen=True, eq=False)
class Classified:
    """What the published training gives.

    Attributes:
        h: at the layers, from the boundary inwards, ``(15,)``.
        radius: L, in 1/GeV.
        coupling: lambda.
        accuracy: share of the labels that the network says rightly.
        history: the accuracy every hundred steps.
    """

    h: Tensor
    radius: float
    coupling: float
    accuracy: float
    history: Array = field(repr=False)


def classify(
    points: Tensor,
    labels: Tensor,
    *,
    radius: float = 0.8,
    coupling: float = 0.2,
    steps: int = 1500,
    batch: int = 1000,
    rate: float = 0.02,
    generator: torch.Generator,
) -> Classified:
    r"""Train h, L and :math:`\lambda` to tell points on the curve from others by their momentum inside.

    Layers, penalties and measure are the published ones (a point counts as positive if
    :math:`|\pi| < 0.1`). Two things make it a hundred times faster: the cross entropy of
    :math:`\operatorname{asinh} k(0.1 - |\pi|)`, k from 10 to 100, whose gradient does not vanish far away as
    that of a bump does, and a start with a dip.
    """
    check_counts(steps=steps, batch=batch)
    radius, rate = positive("radius", radius), positive("rate", rate)
    finite("coupling", coupling)
    check_values("points", points, ("n", 2))
    check_values("labels", labels, (len(points),), dtype=torch.bool)
    metric = BulkMetric(lambda eta: eta, horizon=1 / 15)
    eta = metric.grid(15)[:-1].float()
    dip = np.interp(eta.numpy(), [1 / 15, 0.55, 1], [40.0, -1.0, 3.0])
    leaves = [torch.tensor(v, dtype=torch.float32, requires_grad=True) for v in (dip, radius, coupling)]
    h, size, strength = leaves
    x, y = points.float(), labels.float()

    def last(chosen: Tensor) -> Tensor:
        flow = BulkFlow(BulkMetric(lambda _: h, horizon=1 / 15), -3.0, strength, 15)
        return flow.inwards(*dictionary(chosen[:, 0], chosen[:, 1], size, strength))[1]

    def right() -> float:
        with torch.no_grad():
            return float(((last(x).abs() < 0.1) == labels).double().mean())

    optimiser = torch.optim.Adam(leaves, lr=rate)
    cooling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    history = [right()]
    for step in range(steps):
        draw = torch.randint(len(x), (batch,), generator=generator)
        sharp = 10 ** (1 + step / steps)
        logits = torch.asinh(sharp * (0.1 - last(x[draw]).abs()))
        rough = (eta[:-1] ** 4 * h.diff() ** 2).sum() + (4 - h[0]) ** 2
        loss = binary_cross_entropy_with_logits(logits, y[draw]) + 0.01 * rough
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        cooling.step()
        if step % 100 == 99:
            history.append(right())
    done = h.detach().double(), float(size.detach()), float(strength.detach())
    return Classified(*done, right(), np.array(history))


def layered(h: Tensor, *, horizon: float = 1 / 15) -> BulkMetric:
    """The smooth metric through the values of h at published layers, from the boundary inwards, ``(n,)``."""
    knots = BulkMetric(lambda eta: eta, horizon=horizon).grid(len(h))[:-1].flip(0)
    return BulkMetric.learned(h.flip(0) - 1 / knots, knots, horizon=horizon)


def slide_metric() -> BulkMetric:
    """The polynomial that the slide prints for the neural ODE."""
    powers = range(len(SLIDE) - 1, -1, -1)

    def h(eta: Tensor) -> Tensor:
        return torch.stack([a * (1 - eta) ** k for a, k in zip(SLIDE, powers, strict=True)]).sum(0)

    return BulkMetric(h)


# Outwards from the horizon


@dataclass(frozen=True, eq=False)
class Learned(LearnedMetric):
    """A :class:`~nnbook.dynamics.bulk.LearnedMetric` with the fields at the horizon of its points.

    Attributes:
        horizon_fields: of the points, ``(n,)``.
        params: all numbers that were learnt.
    """

    horizon_fields: Tensor = field(repr=False)
    params: Tensor = field(repr=False)

    def curve(self, fields: Tensor) -> Condensate:
        """Masses and condensates of fields at the horizon, those of them that are above zero."""
        flow = BulkFlow(self.metric, -3.0, self.coupling, 24, "rk4")
        mass, condensate = _read(*flow.outwards(fields), self.radius, self.coupling)
        good = (mass > 0) & (condensate > 0)
        return Condensate(mass[good], condensate[good])

    def condensate(self, mass: Tensor) -> Tensor:
        """Condensates at masses, by interpolation of the curve in its logarithms, ``(n,)``."""
        low, high = (float(f(self.horizon_fields).log()) for f in (torch.min, torch.max))
        curve = self.curve(torch.linspace(low - 2, high + 0.7, 400, dtype=torch.float64).exp())
        order = curve.mass.argsort()
        x, y = curve.mass[order].log().numpy(), curve.condensate[order].log().numpy()
        return like(np.exp(np.interp(mass.log().numpy(), x, y)), mass)


def _read(phi: Tensor, pi: Tensor, radius: float, coupling: float) -> tuple[Tensor, Tensor]:
    """The dictionary backwards."""
    alpha = (3 * phi + pi) / (2 * _E1)
    for _ in range(6):  # Newton for the cubic
        wrong = 2 * _E1 * alpha - coupling * alpha**3 * _E3 / 2 - 3 * phi - pi
        alpha = alpha - wrong / (2 * _E1 - 1.5 * coupling * alpha**2 * _E3)
    beta = (phi - alpha * _E1) / _E3 + coupling * alpha**3 / 2
    return alpha / (_ALPHA * radius), beta / (_BETA * radius**3)


def learn_condensate(
    data: Condensate,
    radius: float,
    *,
    boundary: float | None = None,
    strengths: Sequence[float] = (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5),
    chosen: int | None = None,
    errors: tuple[float, float] = (0.03, 0.03),
    coupling: float | None = None,
    knots: int = 10,
) -> Learned:
    r"""A metric through condensates, by shooting outwards from regular fields at the horizon.

    Learnt are s of :math:`h = 1/\eta + s` at knots, :math:`\ln\lambda`, and the field of each point at the
    horizon; the radius is given. Residuals are relative, of masses and condensates.

    Args:
        data: the points.
        radius: L in 1/GeV.
        boundary: h(1), to 0.01, if given; 4 is that of Anti-de Sitter space.
        strengths: of the penalty on :math:`\int s''^2`; the strongest that cross-validation allows is taken.
        chosen: take this one of the strengths instead.
        errors: relative ones, of masses and condensates.
        coupling: where :math:`\lambda` starts.
        knots: numbers of h.
    """
    radius = positive("radius", radius)
    check_counts(least=3, knots=knots)
    for error in errors:
        positive("errors", error)
    places = torch.linspace(0, 1, knots + 1, dtype=torch.float64)[1:]
    grid = BulkFlow(BulkMetric.learned(places, places, horizon=1 / 15), steps=24, method="rk4").places(False)
    basis = spline_basis(grid, places)
    start = torch.zeros(knots + 1 + len(data.mass), dtype=torch.float64)
    dip = np.interp(places.numpy(), [0, 0.1, 0.3, 0.65, 1], [0, 10, 3, -0.5, 3.2])
    start[:knots] = like(dip, start) - 1 / places
    edge = None if boundary is None else finite("boundary", boundary)
    start[knots] = math.log(
        0.025 * (3.2 / radius) ** 8 if coupling is None else positive("coupling", coupling)
    )
    start[knots + 1 :] = (32 * data.mass / radius).log() - start[knots] / 2  # the scale of the cubic force

    def flow(params: Tensor) -> BulkFlow:
        metric = BulkMetric.learned(params[:knots], places, horizon=1 / 15)
        return BulkFlow(metric, -3.0, float(params[knots].exp()), 24, "rk4")

    def linearised(params: Tensor) -> tuple[Tensor, Tensor]:
        params = params.clamp(-60, 60)  # a trial step must not overflow
        found, rows = _shoot(flow(params), params[knots + 1 :].exp(), basis, radius)
        wanted = torch.stack([data.mass, data.condensate])
        scale = wanted * wanted.new_tensor(errors)[:, None]
        misses, slopes = ((found - wanted) / scale).flatten(), (rows / scale[..., None]).flatten(0, 1)
        if edge is None:
            return misses, slopes
        unit = torch.eye(len(params), dtype=torch.float64)[knots - 1 : knots] / 0.01
        return torch.cat([misses, unit @ (params - edge + 1)]), torch.cat([slopes, unit])

    fine = torch.linspace(0, 1, 101, dtype=torch.float64)
    penalty = torch.cat([spline_basis(fine, places, 2) / 10, torch.zeros(101, len(start) - knots)], 1)
    found = invert(linearised, start, penalty, strengths=strengths, steps=200, tolerance=1e-6)
    best = choose(found) if chosen is None else found[chosen]
    s, spread = best.params, best.covariance.diagonal().clamp(min=0).sqrt()
    return Learned(
        flow(s).metric, places, 1 / places + s[:knots], spread[:knots], _pure(best.jacobian, knots),
        float(s[knots].exp()), radius, best.strength, best.misfit, best.degrees, s[knots + 1 :].exp(), s,
    )  # fmt: skip


def _pure(jacobian: Tensor, knots: int) -> Tensor:
    """Singular values of the metric's columns once the fields at the horizon have taken what they can."""
    fields = torch.linalg.qr(jacobian[:, knots + 1 :]).Q
    rest = jacobian[:, :knots] - fields @ (fields.mT @ jacobian[:, :knots])
    values: Tensor = torch.linalg.svdvals(rest)
    return values


def _shoot(flow: BulkFlow, fields: Tensor, basis: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """Masses and condensates, ``(2, n)``, and derivatives by s, ln(coupling), ln(fields), ``(2, n, p)``."""
    k, n, edge, strength = basis.shape[1], len(fields), flow.metric.horizon / 2, float(flow.coupling)
    y = torch.zeros(2, k + 3, n, dtype=fields.dtype)
    y[0, 0], y[1, 0] = fields, flow.force(fields) * edge
    y[1, k + 1], y[0, k + 2] = fields**3 * edge, 1.0
    y[1, k + 2] = (flow.mass2 + 3 * strength * fields**2) * edge
    phi, pi = flow.varied(y, basis, inwards=False)
    mass, condensate = _read(phi[0], pi[0], radius, strength)
    alpha, direct = _ALPHA * radius * mass, torch.zeros(k + 2, 1, dtype=fields.dtype)
    direct[k] = 1.0  # the coupling stands in the dictionary too
    d_alpha = (3 * phi[1:] + pi[1:] + direct * alpha**3 * _E3 / 2) / (
        2 * _E1 - 1.5 * strength * alpha**2 * _E3
    )
    d_beta = (phi[1:] - _E1 * d_alpha) / _E3 + 1.5 * strength * alpha**2 * d_alpha + direct * alpha**3 / 2
    rows = torch.zeros(2, n, k + 1 + n, dtype=fields.dtype)
    for row, change in zip(rows, (d_alpha / (_ALPHA * radius), d_beta / (_BETA * radius**3)), strict=True):
        row[:, :k], row[:, k] = change[:k].mT, change[k] * strength
        row[:, k + 1 :] = torch.diag(change[k + 1] * fields)
    return torch.stack([mass, condensate]), rows


# The potential of two quarks


@dataclass(frozen=True, eq=False)
class Split:
    r"""f and g of a metric on a grid, with f = g = e^{2 eta} at the boundary.

    Attributes:
        eta: places from the horizon outwards, ``(n,)``.
        log_f, log_g: logarithms of both, ``(n,)``.
        temperature: of the horizon, in units of 1/L.
    """

    eta: Array = field(repr=False)
    log_f: Array = field(repr=False)
    log_g: Array = field(repr=False)
    temperature: float

    def potential(self, turns: Array, *, nodes: int = 240) -> Array:
        r"""Separation and potential of strings that turn at places, ``(n, 2)``; without those that cannot.

        .. math:: d = 2\int \frac{C\,d\eta}{\sqrt{g(fg - C^2)}}, \quad
                  V = 2\int\sqrt f\Bigl(\frac1{\sqrt{1 - C^2/fg}} - 1\Bigr)d\eta -
                  2\int_{\eta_h}^{\eta_0}\sqrt f\,d\eta

        with :math:`C^2 = fg` at the turning point, in units of L and of the tension times 1/L
        :cite:p:`maldacena1998`.
        """
        f, product = CubicSpline(self.eta, self.log_f), CubicSpline(self.eta, self.log_f + self.log_g)
        below = CubicSpline(self.eta, cumulative_simpson(np.exp(self.log_f / 2), x=self.eta, initial=0))
        x, w = np.polynomial.legendre.leggauss(nodes)
        rows = []
        for turn in turns:
            reach = (self.eta[-1] - turn) ** 0.5
            s, ds = reach * (x + 1) / 2, reach * w / 2
            eta = turn + s**2
            rise = product(eta) - product(turn)
            if not (rise > 0).all():
                continue
            log_f, log_g = f(eta), product(eta) - f(eta)
            apart = (4 * s * ds * np.exp(-log_g / 2) / np.sqrt(np.expm1(rise))).sum()
            longer = np.expm1(-0.5 * np.log(-np.expm1(-rise)))
            energy = (4 * s * ds * np.exp(log_f / 2) * longer).sum() - 2 * below(turn)
            rows.append((apart, energy))
        return np.array(rows).reshape(-1, 2)


def split(metric: BulkMetric, *, match: float = 1.0, points: int = 4001, outer: float = 7.0) -> Split:
    r"""f and g from h alone, for any dilaton potential.

    The difference of two of Einstein's equations is :math:`X' + hX = 0` for
    :math:`X = (\ln f/g)'`; a regular horizon fixes its constant, and with it the temperature.

    Args:
        metric: gives h, which is 4 beyond its boundary.
        match: where h becomes 4; the metric is used below.
        points: of the grid.
        outer: its end.
    """
    check_counts(least=101, points=points)
    positive("match", match)
    eta = np.geomspace(1e-5, finite("outer", outer, least=2 * match), points)
    place = torch.from_numpy(np.minimum(eta, match))
    rest = np.where(eta <= match, metric.h(place).numpy() - 1 / eta, 4 - 1 / eta)  # without the pole
    log = np.log(eta)
    total = log + cumulative_simpson(rest * eta, x=log, initial=0)  # of h
    inside = cumulative_simpson(np.exp(log - total), x=log, initial=0)
    ratio = 2 * (inside - inside[-1]) * math.exp(total[0] - log[0])
    total += 4 * eta[-1] - total[-1]
    log_f, log_g = (2 * total + 3 * ratio) / 4, (2 * total - ratio) / 4
    return Split(eta, log_f, log_g, float(np.exp(log_f[0] / 2) / eta[0] / (2 * math.pi)))


# Mesons and the dilaton


def meson_potential(wall: Tensor, knots: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    r"""The Schroedinger potential of a vector meson, ``(n,)``, and its derivatives by the wall, ``(n, k)``.

    .. math:: U = \tfrac14 B'^2 - \tfrac12 B'', \qquad B' = \frac1z + P(z)

    with P the natural spline through the wall's values at the knots and P(0) = 0; P = 2cz is the soft wall.
    """
    check_values("wall", wall, (len(knots),))
    basis, slope = spline_basis(z, knots), spline_basis(z, knots, 1)
    first = 1 / z + basis @ wall
    second = -1 / z**2 + slope @ wall
    return first**2 / 4 - second / 2, (first[:, None] * basis - slope) / 2


def masses(wall: Tensor, knots: Tensor, states: int, *, points: int = 1400) -> tuple[Tensor, Tensor]:
    """Masses of the lowest mesons and their derivatives by the wall, ``(states,)`` and ``(states, k)``.

    Eigenvalues of a tridiagonal matrix; their derivatives are means of those of the potential.
    """
    check_counts(states=states, points=points)
    z = torch.linspace(0, float(knots[-1]), points + 2, dtype=torch.float64)[1:-1]
    potential, rows = meson_potential(wall, knots, z)
    step = float(z[1] - z[0])
    edge = np.full(points - 1, -1 / step**2)
    squares, waves = eigh_tridiagonal(
        potential.numpy() + 2 / step**2, edge, select="i", select_range=(0, states - 1)
    )
    found = like(np.sqrt(np.maximum(squares, 1e-12)), wall)
    return found, (like(waves, wall) ** 2).mT @ rows / (2 * found[:, None])


def learn_wall(
    measured: Tensor, *, strength: float = 1e-6, reach: float = 16.0, knots: int = 16, error: float = 1e-3
) -> tuple[Tensor, Tensor]:
    """The smoothest wall with measured masses in GeV: its values and their knots, ``(k,)`` each.

    Starts from the soft wall of the first mass.
    """
    check_values("measured", measured, ("n",))
    positive("measured", measured.min())
    positive("error", error)
    places = torch.linspace(0, positive("reach", reach), knots + 1, dtype=torch.float64)[1:]
    penalty = spline_basis(torch.linspace(0, reach, 101, dtype=torch.float64), places, 2)

    def linearised(wall: Tensor) -> tuple[Tensor, Tensor]:
        found, rows = masses(wall, places, len(measured))
        return (found - measured) / error, rows / error

    start = float(measured[0]) ** 2 / 2 * places
    return invert(linearised, start, penalty, strengths=[strength], steps=100)[0].params, places


@dataclass(frozen=True, eq=False)
class Dilaton:
    """Dilaton and potential along z, ``(n,)`` each, and the string frame's warp exponent A."""

    z: Array
    dilaton: Array
    potential: Array
    warp: Array


def dilaton(wall: Tensor, knots: Tensor, z: Array) -> Dilaton:
    r"""The dilaton behind a wall, from the linear equation of its exponential :math:`y = e^\Phi`.

    .. math:: y'' + 2B'y' - 3(B'^2 + B'')\,y = 0, \qquad V = 3e^{-2A_E}(A_E'' + 3A_E'^2), \quad
              A_E = \Phi/3 - B

    :cite:p:`ohashi2021`. Places z in rising order, above zero.
    """
    check_values("z", z, ("n",))
    if not (np.diff(z) > 0).all() or not z[0] > 0:
        raise ValueError("z: got places that do not rise from above zero, expected rising ones")
    pieces = CubicSpline([0.0, *knots.tolist()], [0.0, *wall.tolist()], bc_type="natural")

    def slopes(t: float, state: Array) -> list[float]:  # of the dilaton itself, which does not overflow
        p, p1, u = float(pieces(t)), float(pieces(t, 1)), state[1]
        return [u, 3 * (2 * p / t + p**2 + p1) - 2 * (1 / t + p) * u - u**2]

    c, first = float(pieces(0, 1)) / 2, 1e-3 * float(z[0])
    solved = solve_ivp(
        slopes, (first, float(z[-1])), [3 * c * first**2, 6 * c * first], t_eval=z, rtol=1e-10, atol=1e-12
    )
    phi, slope = solved.y
    p, p1 = pieces(z), pieces(z, 1)
    bend = 3 * (2 * p / z + p**2 + p1) - 2 * (1 / z + p) * slope - slope**2
    b = np.log(z) + pieces.antiderivative()(z)
    a, a1, a2 = phi / 3 - b, slope / 3 - 1 / z - p, bend / 3 + 1 / z**2 - p1
    return Dilaton(z, phi, 3 * np.exp(-2 * a) * (a2 + 3 * a1**2), phi - b)

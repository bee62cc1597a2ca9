r"""What the chapter *Holographic QCD: what six points say about a metric* reads.

Quark masses and condensates become a field and its momentum at the boundary of five dimensions
(:func:`dictionary`). A metric is learnt as published (:func:`classify`), or by shooting outwards from the
horizon (:func:`learn_condensate`); from it follow the potential of two quarks
(:func:`~nnbook.dynamics.strings.split`) and, from masses of mesons, a dilaton
(:func:`~nnbook.dynamics.mesons.learn_wall`, :func:`~nnbook.dynamics.mesons.dilaton`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from nnbook.arrays import check_columns, check_counts, check_numbers, check_values, finite, like, positive
from nnbook.dynamics.bulk import BulkFlow, BulkMetric, LearnedMetric, check_state
from nnbook.dynamics.mesons import Dilaton, dilaton, learn_wall, masses
from nnbook.dynamics.splines import spline_basis
from nnbook.dynamics.strings import Split, split
from nnbook.exact.holography import ADS5_POTENTIAL, soft_wall
from nnbook.train.inverse import choose, invert

__all__ = ["ADS5_POTENTIAL", "BulkFlow", "BulkMetric", "LearnedMetric", "soft_wall"]
__all__ += [
    "CUTOFF",
    "FERMI",
    "Classified",
    "Condensate",
    "Dilaton",
    "Learned",
    "Split",
]
__all__ += ["classify", "dictionary", "dilaton", "examples", "lattice_data", "layered", "learn_condensate"]
__all__ += ["learn_wall", "masses", "split"]

#: The inverse lattice spacing, in GeV, and one inverse GeV in fm.
CUTOFF, FERMI = 0.829, 0.19732698
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
        check_columns(positive=True, mass=self.mass, condensate=self.condensate)

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
    check_state(mass, condensate)
    if not isinstance(radius, Tensor):
        positive("radius", radius, most=1e6)
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
    """

    h: Tensor
    radius: float
    coupling: float
    accuracy: float


def classify(
    points: Tensor,
    labels: Tensor,
    *,
    radius: float | Sequence[float] = 0.8,
    coupling: float | Sequence[float] = 0.2,
    penalty: float | Sequence[float] = 0.01,
    steps: int = 1500,
    batch: int = 1000,
    rate: float = 0.02,
    generator: torch.Generator,
) -> list[Classified]:
    r"""Train h, L and :math:`\lambda` to tell points on the curve from others by their momentum inside.

    Layers, penalties and measure are the published ones (a point counts as positive if
    :math:`|\pi| < 0.1`). Two things make it a hundred times faster: the cross entropy of
    :math:`\operatorname{asinh} k(0.1 - |\pi|)`, k from 10 to 100, whose gradient does not vanish far away as
    that of a bump does, and a start with a dip.

    Radius and coupling at the start and the strength of the penalty may be sequences: so many networks are
    trained side by side, each on batches of its own. A number goes with all.
    """
    check_counts(steps=steps, batch=batch)
    rate = positive("rate", rate, most=10)
    chosen = {"radius": radius, "coupling": coupling, "penalty": penalty}
    runs = max(len(v) if isinstance(v, Sequence) else 1 for v in chosen.values())
    starts = torch.stack([_each(name, value, runs) for name, value in chosen.items()])
    check_numbers("points", points)
    check_values("points", points, ("n", 2))
    check_counts(points=len(points))
    finite("points", points.abs().max(), most=100, remedy="give GeV and GeV^3")
    check_values("labels", labels, (len(points),), dtype=torch.bool)
    eta = BulkMetric(lambda eta: eta, horizon=1 / 15).grid(15)[:-1].float()
    dip = np.interp(eta.numpy(), [1 / 15, 0.55, 1], [40.0, -1.0, 3.0])
    h = torch.tensor(dip, dtype=torch.float32)[:, None, None].repeat(1, runs, 1).requires_grad_()
    size, strength = (v[:, None].requires_grad_() for v in starts[:2])
    x, y = points.float(), labels.float()

    def last(chosen: Tensor) -> Tensor:
        flow = BulkFlow(BulkMetric(lambda _: h, horizon=1 / 15), -3.0, strength, 15)
        return flow.inwards(*dictionary(chosen[..., 0], chosen[..., 1], size, strength))[1]

    optimiser = torch.optim.Adam([h, size, strength], lr=rate)
    cooling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for step in range(steps):
        draw = torch.randint(len(x), (runs, batch), generator=generator)
        sharp = 10 ** (1 + step / steps)
        logits = torch.asinh(sharp * (0.1 - last(x[draw]).abs()))
        rough = (eta[:-1, None] ** 4 * h[..., 0].diff(dim=0) ** 2).sum(0) + (4 - h[0, :, 0]) ** 2
        entropy = binary_cross_entropy_with_logits(logits, y[draw], reduction="none").mean(1)
        optimiser.zero_grad()
        (entropy + starts[2] * rough).sum().backward()  # networks that know nothing of each other
        optimiser.step()
        cooling.step()
    with torch.no_grad():
        right = ((last(x.expand(runs, -1, -1)).abs() < 0.1) == labels).double().mean(1).tolist()
    done = zip(
        h.detach()[..., 0].double().unbind(1),
        size.flatten().tolist(),
        strength.flatten().tolist(),
        right,
        strict=True,
    )
    return [Classified(*one) for one in done]


def _each(name: str, value: float | Sequence[float], runs: int) -> Tensor:
    values = list(value) if isinstance(value, Sequence) else [value] * runs
    if len(values) != runs:
        raise ValueError(f"{name}: got {len(values)} numbers, expected one, or {runs} as of the others")
    for one in values:
        positive(name, one, most=100)
    return torch.tensor(values, dtype=torch.float32)


def layered(h: Tensor, *, horizon: float = 1 / 15, shift: float = 0.0) -> BulkMetric:
    """The smooth metric through the values of h at published layers, from the boundary inwards, ``(n,)``.

    They stand where a layer begins, or inwards of that by a shift in steps; 0.5 is its middle.
    """
    finite("shift", shift, least=0, most=0.9)
    check_values("h", h, ("n",), dtype=torch.float64)
    knots = BulkMetric(lambda eta: eta, horizon=horizon).grid(len(h))[:-1].flip(0)
    knots = knots - shift * (1 - horizon) / len(h)
    return BulkMetric.learned(h.flip(0) - 1 / knots, knots, horizon=horizon)


# Outwards from the horizon


@dataclass(frozen=True, eq=False)
class Learned(LearnedMetric):
    """A :class:`~nnbook.dynamics.bulk.LearnedMetric` with the fields at the horizon of its points.

    Attributes:
        horizon_fields: of the points, ``(n,)``.
    """

    horizon_fields: Tensor = field(repr=False)

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
    errors: tuple[float, float] = (0.03, 0.03),
    knots: int = 10,
) -> Learned:
    r"""A metric through condensates, by shooting outwards from regular fields at the horizon.

    Learnt are s of :math:`h = 1/\eta + s` at knots, :math:`\ln\lambda`, and the field of each point at the
    horizon; the radius is given. Residuals are relative, of masses and condensates.

    Args:
        data: the points.
        radius: L in 1/GeV, from 1 to 10.
        boundary: h(1), to 0.01, if given; 4 is that of Anti-de Sitter space.
        strengths: of the penalty on :math:`\int s''^2`; the strongest that cross-validation allows is taken.
        errors: relative ones, of masses and condensates.
        knots: numbers of h.
    """
    radius = finite("radius", radius, least=1, most=10, remedy="give 1/GeV")
    check_counts(least=3, knots=knots)
    if len(errors) != 2:
        raise ValueError(f"errors: got {len(errors)}, expected two, of masses and of condensates")
    for error in errors:
        positive("errors", error)
    places = torch.linspace(0, 1, knots + 1, dtype=torch.float64)[1:]
    grid = BulkFlow(BulkMetric.learned(places, places, horizon=1 / 15), steps=24, method="rk4").places(False)
    basis = spline_basis(grid, places)
    start = torch.zeros(knots + 1 + len(data.mass), dtype=torch.float64)
    dip = np.interp(places.numpy(), [0, 0.1, 0.3, 0.65, 1], [0, 10, 3, -0.5, 3.2])
    start[:knots] = like(dip, start) - 1 / places
    edge = None if boundary is None else finite("boundary", boundary)
    start[knots] = math.log(0.025 * (3.2 / radius) ** 8)  # along the flat direction
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
    best = choose(invert(linearised, start, penalty, strengths=strengths, steps=200, tolerance=1e-6))
    s, spread = best.params, best.covariance.diagonal().clamp(min=0).sqrt()
    return Learned(
        flow(s).metric, places, 1 / places + s[:knots], spread[:knots], best.spectrum,
        float(s[knots].exp()), radius, best.strength, best.misfit, best.degrees, s[knots + 1 :].exp(),
    )  # fmt: skip


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

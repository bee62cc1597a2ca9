r"""Physics-informed networks: a differential equation as a sum of squares over points :cite:p:`raissi2019`.

A network :math:`u_\theta(x)` shall satisfy an equation :math:`\mathcal{F}[u] = 0` inside a region, conditions
:math:`\mathcal{B}[u] = 0` on its boundary, and pass through data. Each is a :class:`Term` of the loss

.. math:: L(\theta) = \sum_\text{terms} \frac{\lambda}{2n} \sum_j |\mathcal{C}[u_\theta](x_j) - y_j|^2 .

All terms together are one least-squares problem, whose outputs are the :class:`Residuals`, so that
:func:`nnbook.natural.minimise` trains it with the method of Levenberg and Marquardt. The derivatives
of the network come from :func:`nnbook.jets.jet`. Equations with their exact answers are in
:mod:`nnbook.differential_equations`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nnbook.gauss_newton import ConvexLoss
from nnbook.jets import Jet, jet
from nnbook.natural import minimise
from nnbook.networks import MLP, as_function, flatten

Condition = Callable[[Tensor, Jet], Tensor]


@dataclass(frozen=True)
class Term:
    r"""One term of the loss, :math:`\frac{\lambda}{2n} \sum_j |\mathcal{C}[u](x_j) - y_j|^2`.

    Attributes:
        name: "equation", "boundary", "data".
        condition: :math:`\mathcal{C}`, from points ``(n, inputs)`` and the network's
            :class:`~nnbook.jets.Jet` there to ``(n, outputs)``. A module, if it has unknowns that
            shall be learnt.
        points: where it shall hold, ``(n, inputs)``.
        target: y, ``(n, outputs)``; zero if absent.
        weight: :math:`\lambda`.

    Raises:
        ValueError: no points, a target with another number of rows, a negative weight.
    """

    name: str
    condition: Condition
    points: Tensor
    target: Tensor | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or len(self.points) == 0:
            raise ValueError(f"points: got shape {tuple(self.points.shape)}, expected (n, inputs) with n > 0")
        if self.target is not None and (self.target.ndim != 2 or len(self.target) != len(self.points)):
            raise ValueError(
                f"target: got shape {tuple(self.target.shape)}, expected ({len(self.points)}, outputs), one "
                "row a point; for a single output add [:, None]"
            )
        if not self.weight >= 0:
            raise ValueError(f"weight: got {self.weight} for {self.name!r}, expected none below zero")


class Residuals(nn.Module):
    """A network and its conditions as one function of points, to be driven to the targets of the terms.

    Args:
        net: the network.
        terms: the terms of the loss. Conditions that are modules are trained together with the network.

    Raises:
        ValueError: no terms.
    """

    def __init__(self, net: MLP, terms: Sequence[Term]) -> None:
        super().__init__()
        if not terms:
            raise ValueError("terms: got none, expected at least one")
        self.net = net
        self.conditions = [term.condition for term in terms]
        self.unknown = nn.ModuleList(c for c in self.conditions if isinstance(c, nn.Module))

    def forward(self, points: Tensor) -> Tensor:
        """Map ``(n, inputs + 1)`` to ``(n, outputs)``: the last column numbers the condition that counts."""
        x, kind = points[:, :-1], points[:, -1:]
        here = jet(self.net, x)
        result = self.conditions[0](x, here)
        for k, condition in enumerate(self.conditions[1:], start=1):
            result = torch.where(kind == k, condition(x, here), result)
        return result


def total(terms: Sequence[Term], outputs: int = 1) -> ConvexLoss:
    """The sum of the terms as a loss for :func:`nnbook.natural.minimise`, of the outputs of `Residuals`."""
    points, targets, weights = [], [], []
    for kind, term in enumerate(terms):
        column = term.points.new_full((len(term.points), 1), kind)
        points.append(torch.cat([term.points, column], 1))
        empty = term.points.new_zeros(len(term.points), outputs)
        targets.append(empty if term.target is None else term.target)
        weights.append(term.points.new_full((len(term.points),), term.weight / len(term.points)))
    return ConvexLoss(torch.cat(points), torch.cat(targets), torch.cat(weights))


@torch.no_grad()
def each(net: MLP, terms: Sequence[Term]) -> dict[str, float]:
    """The value of each term, weight included, by its name."""
    result = {}
    for term in terms:
        miss = term.condition(term.points, jet(net, term.points))
        miss = miss if term.target is None else miss - term.target
        result[term.name] = 0.5 * term.weight * miss.square().sum(1).mean().item()
    return result


@dataclass(frozen=True)
class Region:
    """A box, ``low < x < high`` for each input, from which collocation points are drawn.

    Attributes:
        low, high: the bounds, ``(inputs,)``.

    Raises:
        ValueError: bounds of different shapes or in the wrong order.
    """

    low: Tensor
    high: Tensor

    def __post_init__(self) -> None:
        if self.low.ndim != 1 or self.low.shape != self.high.shape or not (self.low < self.high).all():
            raise ValueError(
                f"high: got {self.high.tolist()}, expected one bound above each of {self.low.tolist()}"
            )

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Uniformly distributed points ``(count, inputs)``."""
        unit = torch.rand(count, len(self.low), dtype=torch.float64, generator=generator)
        return self.low + (self.high - self.low) * unit.to(self.low)

    @torch.no_grad()
    def draw_where_wrong(
        self,
        net: MLP,
        condition: Condition,
        count: int,
        generator: torch.Generator,
        *,
        share: float = 0.8,
        candidates: int = 20_000,
    ) -> Tensor:
        """Points ``(count, inputs)``, a share of them with a density that follows the size of the residual.

        Raises:
            ValueError: a share outside of 0 to 1, fewer candidates than points.
        """
        if not 0 <= share <= 1:
            raise ValueError(f"share: got {share}, expected a number from 0 to 1")
        if candidates < count:
            raise ValueError(f"candidates: got {candidates}, expected at least count = {count}")
        chosen = round(share * count)
        x = self.draw(candidates, generator)
        size = condition(x, jet(net, x)).norm(dim=1).cpu() + 1e-300  # all zero is no distribution
        picked = torch.multinomial(size, max(chosen, 1), generator=generator)[:chosen]
        return torch.cat([self.draw(count - chosen, generator), x[picked.to(x.device)]])


def gauss_newton(model: nn.Module, loss: ConvexLoss, *, steps: int = 10, accelerate: bool = True) -> None:
    """Some steps of Levenberg and Marquardt, for :func:`train`."""
    minimise(loss, model, steps=steps, tolerance=0.0, accelerate=accelerate, label="Gauss-Newton")


@dataclass(frozen=True, eq=False)
class Training:
    """What :func:`train` did.

    Attributes:
        net: the trained network.
        terms: the terms of the last round.
        history: arrays with one entry a round: ``"seconds"`` since the start, each term under its name, and
            ``"error"`` if one was measured.
    """

    net: MLP
    terms: Sequence[Term]
    history: dict[str, NDArray[np.float64]] = field(repr=False)

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {values[-1]:.3g}" for name, values in self.history.items())
        return f"{len(self.history['seconds'])} rounds: {last}"


def train(
    net: MLP,
    terms: Sequence[Term],
    *,
    rounds: int,
    fresh: Callable[[MLP], Tensor] | None = None,
    descend: Callable[[nn.Module, ConvexLoss], object] = gauss_newton,
    measure: Callable[[MLP], float] | None = None,
    seconds: float = float("inf"),
) -> Training:
    """Train a network in rounds, each on other collocation points; it is changed in place.

    Args:
        net: the network.
        terms: the terms of the loss, the equation first.
        rounds: how many rounds.
        fresh: gives the points of the first term before each round but the first; absent, they stay.
        descend: what a round does with the :class:`Residuals` and their loss.
        measure: an error of the network, for the history; its time is not counted.
        seconds: no round but the first begins later than this.

    Raises:
        ValueError: fewer than one round.
    """
    if rounds < 1:
        raise ValueError(f"rounds: got {rounds}, expected at least 1")
    rows: list[dict[str, float]] = []
    spent = 0.0
    while not rows or (len(rows) < rounds and spent < seconds):
        began = time.perf_counter()
        if rows and fresh is not None:
            terms = [replace(terms[0], points=fresh(net)), *terms[1:]]
        descend(Residuals(net, terms), total(terms, net.linear()[-1].out_features))
        spent += time.perf_counter() - began
        rows.append({"seconds": spent, **each(net, terms), **({"error": measure(net)} if measure else {})})
    return Training(net, terms, {name: np.array([row[name] for row in rows]) for name in rows[0]})


def covariance(model: nn.Module, loss: ConvexLoss) -> Tensor:
    r"""The covariance of the parameters, if the loss is half a :math:`\chi^2`: the inverse of its curvature.

    With an equation among the terms, the network counts as a fit function with as many parameters as it has
    weights, of which the equation leaves few free. The last rows belong to the unknowns of the conditions.

    Args:
        model: trained :class:`Residuals`.
        loss: the loss that it minimises.

    Returns:
        ``(parameters, parameters)``; directions on which nothing depends are left out.
    """
    curvature = 2 * loss.expand(as_function(model), flatten(model)).curvature
    inverse: Tensor = torch.linalg.pinv(curvature, rtol=1e-13, hermitian=True)
    return inverse


def value(x: Tensor, u: Jet) -> Tensor:
    """The condition that fixes u itself, for boundary values and data."""
    return u.value


def slope(x: Tensor, u: Jet, *, along: int) -> Tensor:
    """The condition that fixes the derivative by one input, for velocities and mirrors."""
    return u.slope[along]

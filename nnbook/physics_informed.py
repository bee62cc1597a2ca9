r"""Physics-informed networks: a differential equation as a sum of squares over points :cite:p:`raissi2019`.

A network :math:`u_\theta(x)` shall satisfy an equation :math:`\mathcal{F}[u] = 0` inside a region, conditions
:math:`\mathcal{B}[u] = 0` on its boundary, and pass through data. Each is a :class:`Term` of the loss

.. math:: L(\theta) = \sum_\text{terms} \frac{\lambda}{2n} \sum_j |\mathcal{C}[u_\theta](x_j) - y_j|^2 .

All terms together are one least-squares problem, whose outputs are the :class:`Residuals`, so that
:func:`nnbook.train.linear_method.minimise` trains it with the method of Levenberg and Marquardt. Derivatives
come from :mod:`nnbook.derivatives`, equations with their exact answers from :mod:`nnbook.dynamics.equations`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nnbook.arrays import seen
from nnbook.derivatives import Jet, jet
from nnbook.networks import MLP, as_function, flatten
from nnbook.train.gauss_newton import ConvexLoss
from nnbook.train.linear_method import minimise

Condition = Callable[[Tensor, Jet], Tensor]


@dataclass(frozen=True)
class Term:
    r"""One term of the loss, :math:`\frac{\lambda}{2n} \sum_j |\mathcal{C}[u](x_j) - y_j|^2`.

    Attributes:
        name: "equation", "boundary", "data"; another one for each term.
        condition: :math:`\mathcal{C}`, from points ``(n, inputs)`` and the network's
            :class:`~nnbook.derivatives.Jet` there to ``(n, outputs)``; a module, if it has unknowns to learn.
        points: where it shall hold, ``(n, inputs)``.
        target: y, ``(n, outputs)``; zero if absent.
        weight: :math:`\lambda`.

    Raises:
        ValueError: no points, a target with another number of rows, no tensors, a negative weight.
    """

    name: str
    condition: Condition
    points: Tensor
    target: Tensor | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        x, y = self.points, self.target
        if not isinstance(x, Tensor) or x.ndim != 2 or len(x) == 0:
            raise ValueError(f"points: got {seen(x)}, expected a tensor (n, inputs) with n > 0")
        if y is not None and (not isinstance(y, Tensor) or y.ndim != 2 or len(y) != len(x)):
            raise ValueError(f"target: got {seen(y)}, expected a tensor ({len(x)}, outputs); add [:, None]?")
        if not self.weight >= 0:
            raise ValueError(f"weight: got {self.weight} for {self.name!r}, expected none below zero")


def _check(terms: Sequence[Term]) -> None:
    if not terms:
        raise ValueError("terms: got none, expected at least one")
    names, inputs = [term.name for term in terms], [term.points.shape[1] for term in terms]
    if len({*names, "seconds", "error"}) < len(names) + 2:
        raise ValueError(f"terms: got the names {names}, expected different ones, not 'seconds' or 'error'")
    if len(set(inputs)) > 1:
        raise ValueError(f"terms: got points with {inputs} inputs, expected one number, that of the network")


class Residuals(nn.Module):
    """A network and its conditions as one function of points, to be driven to the targets of the terms.

    Args:
        net: the network.
        terms: the terms of the loss. Conditions that are modules are trained together with the network.

    Raises:
        ValueError: no terms, two of one name, or with different numbers of inputs.
    """

    def __init__(self, net: MLP, terms: Sequence[Term]) -> None:
        super().__init__()
        _check(terms)
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
    """The sum of the terms as a loss for :func:`nnbook.train.linear_method.minimise`, of the outputs of
    `Residuals`.

    Raises:
        ValueError: terms that :class:`Residuals` refuses, a target with another number of outputs.
    """
    _check(terms)
    points, targets, weights = [], [], []
    for kind, term in enumerate(terms):
        column = term.points.new_full((len(term.points), 1), kind)
        points.append(torch.cat([term.points, column], 1))
        y = term.points.new_zeros(len(term.points), outputs) if term.target is None else term.target
        if y.shape[1] != outputs:
            raise ValueError(f"target: got {y.shape[1]} columns for {term.name!r}, expected {outputs=}")
        targets.append(y)
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
        ValueError: bounds that are no tensors, of different shapes or in the wrong order.
    """

    low: Tensor
    high: Tensor

    def __post_init__(self) -> None:
        low, high = self.low, self.high
        if not isinstance(low, Tensor) or not isinstance(high, Tensor):
            raise ValueError(f"low: got {seen(low)} and for high {seen(high)}, expected tensors (inputs,)")
        if low.ndim != 1 or low.shape != high.shape or not (low < high).all():
            raise ValueError(f"high: got {high.tolist()}, expected one bound above each of {low.tolist()}")

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
) -> Training:
    """Train a network in rounds, each on other collocation points; it is changed in place.

    Args:
        net: the network.
        terms: the terms of the loss, the equation first.
        rounds: how many rounds.
        fresh: gives the points of the first term before each round but the first; absent, they stay.
        descend: what a round does with the :class:`Residuals` and their loss.
        measure: an error of the network, for the history; its time is not counted.

    Raises:
        ValueError: fewer than one round, terms that :class:`Residuals` refuses.
    """
    if rounds < 1:
        raise ValueError(f"rounds: got {rounds}, expected at least 1")
    rows: list[dict[str, float]] = []
    spent = 0.0
    for _ in range(rounds):
        began = time.perf_counter()
        if rows and fresh is not None:
            terms = [replace(terms[0], points=fresh(net)), *terms[1:]]
        descend(Residuals(net, terms), total(terms, net.linear()[-1].out_features))
        spent += time.perf_counter() - began
        rows.append({"seconds": spent, **each(net, terms), **({"error": measure(net)} if measure else {})})
    return Training(net, terms, {name: np.array([row[name] for row in rows]) for name in rows[0]})


def covariance(model: nn.Module, loss: ConvexLoss) -> Tensor:
    r"""The covariance of the parameters, if the loss is half a :math:`\chi^2`: the inverse of its curvature.

    The network counts as a fit function with as many parameters as it has weights, of which an equation among
    the terms leaves few free. The last rows belong to the unknowns of the conditions.

    Args:
        model: trained :class:`Residuals`.
        loss: the loss that it minimises.

    Returns:
        ``(parameters, parameters)``; directions on which nothing depends are left out.
    """
    curvature = 2 * loss.expand(as_function(model), flatten(model)).curvature
    inverse: Tensor = torch.linalg.pinv(curvature, rtol=1e-13, hermitian=True)
    return inverse

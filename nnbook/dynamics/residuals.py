r"""Equations, boundaries and data as one vector of residuals :cite:p:`raissi2019`.

Each :class:`Term` is a condition on a network at points; all of them are one least-squares problem, the
:class:`Residuals`. A :class:`Region` draws the points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacfwd

from nnbook.arrays import check_counts, check_values, finite, seen
from nnbook.derivatives import Jet, jet, jet_jacobian, load_forward_mode
from nnbook.networks import MLP, as_function
from nnbook.train.gauss_newton import ConvexLoss

Condition = Callable[[Tensor, Jet], Tensor]
Rows = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
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
        TypeError: a condition that cannot be called, a weight that is no number.
        ValueError: no points, a target with another number of rows, no tensors, numbers that are not finite,
            a negative weight.
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
        if not callable(self.condition):
            raise TypeError(f"condition: got {seen(self.condition)} for {self.name!r}, expected a function")
        check_values("points", x, ("n", "inputs"))
        if y is not None:
            check_values("target", y, (len(x), "outputs"))
        finite("weight", self.weight, least=0)


class Residuals(nn.Module):
    r"""A network and its conditions as one vector function of their parameters, at the points of all terms.

    Attributes:
        net: the network.
        terms: the terms of the loss. Conditions that are modules are trained together with the network.
        points, targets, weights: of all terms, ``(n, inputs)``, ``(n, outputs)`` and ``(n,)``; a weight is
            :math:`\lambda / n` of its term.

    Raises:
        ValueError: no terms, two of one name, points with different numbers of inputs, targets with another
            number of columns than the network has outputs.
    """

    def __init__(self, net: MLP, terms: Sequence[Term]) -> None:
        super().__init__()
        outputs = net.linear()[-1].out_features
        _check(terms)
        self.net = net
        self.terms = list(terms)
        self.conditions = _Conditions(terms)
        self.points = torch.cat([term.points for term in terms])
        self.targets = torch.cat([_target(term, outputs) for term in terms])
        shares = [t.points.new_full((len(t.points),), t.weight / len(t.points)) for t in terms]
        self.weights = torch.cat(shares)

    def forward(self, points: Tensor) -> Tensor:
        """The residuals ``(n, outputs)`` at the points of all terms.

        Raises:
            ValueError: another number of points, a condition that gives another shape than ``(n, outputs)``.
        """
        result: Tensor = self.conditions(points, jet(self.net, points))
        return result

    def rows(self) -> tuple[Tensor, Tensor]:
        """The residuals ``(n, outputs)`` and their Jacobian ``(n, outputs, parameters)``."""
        values, rows = jet_jacobian(self.net, self.points, partial(self.conditions, self.points))
        if unknown := dict(self.conditions.named_parameters()):
            arguments = self.points, jet(self.net, self.points)
            load_forward_mode()
            slopes = jacfwd(lambda named: functional_call(self.conditions, named, arguments))(unknown)
            rows = torch.cat([rows, *(by.reshape(*values.shape, -1) for by in slopes.values())], 2)
        return values, rows

    def miss(self) -> Tensor:
        """By how much the residuals miss their targets, ``(n, outputs)``."""
        result: Tensor = self(self.points) - self.targets
        return result

    def loss(self) -> Tensor:
        """The loss, a scalar that may be differentiated by the parameters."""
        return 0.5 * self.weights @ self.miss().square().sum(1)

    @torch.no_grad()
    def each(self) -> dict[str, float]:
        """The value of each term, weight included, by its name."""
        parts = (0.5 * self.weights * self.miss().square().sum(1)).split(self.conditions.sizes)
        return {term.name: part.sum().item() for term, part in zip(self.terms, parts, strict=True)}

    def problem(self) -> ConvexLoss:
        """The loss as :func:`nnbook.train.linear_method.minimise` takes it."""
        rows = cast(Rows, as_function(_Rows(self)))
        by_hand = lambda _, params, points: rows(params, points)  # noqa: E731
        return ConvexLoss(self.points, self.targets, self.weights, jacobian=by_hand)


def _check(terms: Sequence[Term]) -> None:
    if not terms:
        raise ValueError("terms: got none, expected at least one")
    names, inputs = [term.name for term in terms], [term.points.shape[1] for term in terms]
    if len({*names, "seconds", "error"}) < len(names) + 2:
        raise ValueError(f"terms: got the names {names}, expected different ones, not 'seconds' or 'error'")
    if len(set(inputs)) > 1:
        raise ValueError(f"terms: got points with {inputs} inputs, expected one number, that of the network")


def _target(term: Term, outputs: int) -> Tensor:
    if term.target is None:
        return term.points.new_zeros(len(term.points), outputs)
    if term.target.shape[1] != outputs:
        raise ValueError(
            f"target: got {term.target.shape[1]} columns for {term.name!r}, expected {outputs}, the "
            "outputs of the network"
        )
    return term.target


class _Conditions(nn.Module):
    """The conditions of all terms, each at its own points."""

    def __init__(self, terms: Sequence[Term]) -> None:
        super().__init__()
        self.names = [term.name for term in terms]
        self.sizes = [len(term.points) for term in terms]
        self.ofeach = [term.condition for term in terms]
        self.unknown = nn.ModuleList(c for c in self.ofeach if isinstance(c, nn.Module))

    def forward(self, points: Tensor, u: Jet) -> Tensor:
        if len(points) != sum(self.sizes):
            raise ValueError(f"points: got {len(points)}, expected the {sum(self.sizes)} of all terms")
        parts, low = [], 0
        for name, size, condition in zip(self.names, self.sizes, self.ofeach, strict=True):
            part = condition(points[low : low + size], u.part(low, low + size))
            if not isinstance(part, Tensor):
                raise TypeError(f"condition: got {seen(part)} from {name!r}, expected a tensor")
            if part.shape != (size, u.value.shape[1]):
                raise ValueError(
                    f"condition: got shape {tuple(part.shape)} from {name!r}, expected "
                    f"{(size, u.value.shape[1])}, a row a point and a column an output of the network"
                )
            parts.append(part)
            low += size
        return torch.cat(parts)


class _Rows(nn.Module):
    """Residuals and Jacobian as what a module returns, so that they are functions of the parameters."""

    def __init__(self, model: Residuals) -> None:
        super().__init__()
        self.model = model

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.rows()


@dataclass(frozen=True, eq=False)
class Region:
    """A box, ``low < x < high`` for each input, from which collocation points are drawn.

    Attributes:
        low, high: the bounds, ``(inputs,)``; whole numbers count as real ones.

    Raises:
        ValueError: bounds that are no tensors, not finite, of different shapes or in the wrong order.
    """

    low: Tensor
    high: Tensor

    def __post_init__(self) -> None:
        low, high = self.low, self.high
        if not isinstance(low, Tensor) or not isinstance(high, Tensor):
            raise ValueError(f"low: got {seen(low)} and for high {seen(high)}, expected tensors (inputs,)")
        for name, bound in (("low", low), ("high", high)):
            check_values(name, bound, ("inputs",))
            if not bound.is_floating_point():
                object.__setattr__(self, name, bound.to(torch.float64))
        if low.shape != high.shape or not (low < high).all():
            raise ValueError(f"high: got {high.tolist()}, expected one bound above each of {low.tolist()}")

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Uniformly distributed points ``(count, inputs)``."""
        check_counts(least=0, count=count)
        unit = torch.rand(count, len(self.low), dtype=torch.float64, device="cpu", generator=generator)
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
        finite("share", share, least=0, most=1)
        check_counts(count=count)
        check_counts(least=count, candidates=candidates)
        chosen = round(share * count)
        x = self.draw(candidates, generator)
        size = condition(x, jet(net, x)).norm(dim=1).cpu() + 1e-300  # all zero is no distribution
        picked = torch.multinomial(size, max(chosen, 1), generator=generator)[:chosen]
        return torch.cat([self.draw(count - chosen, generator), x[picked.to(x.device)]])

r"""Physics-informed networks: a differential equation as a sum of squares over points :cite:p:`raissi2019`.

A network :math:`u_\theta(x)` shall satisfy an equation :math:`\mathcal{F}[u] = 0` inside a region, conditions
:math:`\mathcal{B}[u] = 0` on its boundary, and pass through data. Each is a :class:`Term` of the loss

.. math:: L(\theta) = \sum_\text{terms} \frac{\lambda}{2n} \sum_j |\mathcal{C}[u_\theta](x_j) - y_j|^2 .

All terms together are one least-squares problem, the :class:`Residuals`, which
:func:`nnbook.train.linear_method.minimise` solves by the method of Levenberg and Marquardt. Derivatives come
from :mod:`nnbook.derivatives`, equations from :mod:`nnbook.dynamics.equations`, their solutions from
:mod:`nnbook.exact.solutions`.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacfwd

from nnbook.arrays import Array, check_counts, check_values, finite, seen
from nnbook.derivatives import Jet, jet, jet_jacobian, load_forward_mode, slope, value
from nnbook.dynamics.equations import burgers, oscillator, schroedinger
from nnbook.exact.solutions import breather, cole_hopf, oscillation, split_step
from nnbook.networks import MLP, as_function, assign, flatten
from nnbook.train.gauss_newton import ConvexLoss
from nnbook.train.linear_method import minimise
from nnbook.train.loop import End, Fit, digest, run

__all__ = [
    "MLP", "Condition", "Jet", "Region", "Residuals", "Term", "Training", "assign", "breather", "burgers",
    "cole_hopf", "covariance", "flatten", "gauss_newton", "jet", "oscillation", "oscillator", "schroedinger",
    "slope", "split_step", "train", "value",
]  # fmt: skip

Condition = Callable[[Tensor, Jet], Tensor]
SHARE = 1e-6  # a parameter with more of its square in directions on which nothing depends is undetermined
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


def gauss_newton(model: Residuals, *, steps: int = 10, tolerance: float = 0.0, **options: Any) -> Fit:
    """Some steps of Levenberg and Marquardt; options as for :func:`nnbook.train.linear_method.minimise`."""
    options = {"label": "Gauss-Newton", **options}
    return minimise(model.problem(), model, steps=steps, tolerance=tolerance, **options)


@dataclass(frozen=True, eq=False)
class Training:
    """What :func:`train` did.

    Attributes:
        net: the trained network.
        terms: the terms of the last round.
        history: arrays with one entry a round: ``"seconds"`` since the start, each term under its name, and
            ``"error"`` if one was measured.
        fit: how the training went; its value is the loss on the points of the last round.
    """

    net: MLP
    terms: Sequence[Term]
    history: dict[str, Array] = field(repr=False)
    fit: Fit = field(repr=False)

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {v[-1]:.3g}" for name, v in self.history.items() if len(v))
        return f"{self.fit.steps} rounds: {last}"


@dataclass(eq=False)
class _Rounds:
    """The trainer: a step is a round, on points of its own."""

    net: MLP
    terms: list[Term]
    rounds: int
    fresh: Callable[[MLP], Tensor] | None
    descend: Callable[[Residuals], object]
    measure: Callable[[MLP], float] | None
    generator: torch.Generator | None

    def __post_init__(self) -> None:
        self.model, self.spent, self.done = Residuals(self.net, self.terms), 0.0, 0
        given = [*self.model.points.split(self.model.conditions.sizes)[1:], self.model.targets]
        self.problem = {
            "terms": ", ".join(f"{term.name} {term.weight:g}" for term in self.terms),
            "points": digest(given if self.fresh else [self.model.points, self.model.targets]),
            "network": f"{len(flatten(self.model))} parameters",
        }

    @property
    def leaves(self) -> list[Tensor]:
        return list(self.model.parameters())

    def begin(self) -> float:
        return self.model.loss().item()

    def step(self) -> Mapping[str, float]:
        began = time.perf_counter()
        if self.done and self.fresh is not None:
            self.pose(self.fresh(self.net))
        self.descend(self.model)
        self.spent, self.done = self.spent + time.perf_counter() - began, self.done + 1
        row = {"value": self.begin(), "seconds": self.spent, **self.model.each()}
        return row if self.measure is None else {**row, "error": self.measure(self.net)}

    def pose(self, points: Tensor) -> None:
        self.terms = [replace(self.terms[0], points=points), *self.terms[1:]]
        self.model = Residuals(self.net, self.terms)

    def end(self, values: Sequence[float]) -> End | None:
        return End(False, "all rounds made") if len(values) >= self.rounds else None

    def state(self) -> dict[str, Any]:
        state = {"params": flatten(self.model), "points": self.terms[0].points}
        dice = {} if self.generator is None else {"generator": self.generator.get_state()}
        return {**state, **dice, "spent": self.spent, "done": self.done}

    def load(self, state: dict[str, Any]) -> None:
        self.pose(state["points"].to(self.model.points))
        assign(self.model, state["params"])
        self.spent, self.done = state["spent"], state["done"]
        if self.generator is not None:
            self.generator.set_state(state["generator"])


def train(
    net: MLP,
    terms: Sequence[Term],
    *,
    rounds: int,
    fresh: Callable[[MLP], Tensor] | None = None,
    descend: Callable[[Residuals], object] = gauss_newton,
    measure: Callable[[MLP], float] | None = None,
    generator: torch.Generator | None = None,
    checkpoint: str | Path | None = None,
) -> Training:
    """Train a network in rounds, each on other collocation points; it is changed in place.

    Args:
        net: the network.
        terms: the terms of the loss, the equation first.
        rounds: how many rounds.
        fresh: gives the points of the first term before each round but the first; absent, they stay.
        descend: what a round does with the :class:`Residuals`.
        measure: an error of the network, for the history; its time is not counted.
        generator: that of ``fresh``, whose state belongs into a checkpoint.
        checkpoint: file that is written after each round; if it exists, the training goes on from there, as
            if it had never stopped (:func:`nnbook.train.loop.run`). ``descend`` must then have no memory of
            the rounds before.

    Raises:
        ValueError: fewer than one round, terms that :class:`Residuals` refuses, ``fresh`` and a checkpoint
            without the generator, a checkpoint of another problem.
    """
    check_counts(rounds=rounds)
    if checkpoint is not None and fresh is not None and generator is None:
        raise ValueError(
            "generator: got none, expected that of fresh, so that a checkpoint can go on with it"
        )
    trainer = _Rounds(net, list(terms), rounds, fresh, descend, measure, generator)
    fit = run(trainer, label="rounds", steps=rounds, checkpoint=checkpoint, every=1)
    history = {name: values for name, values in fit.history.items() if name not in ("step", "value")}
    return Training(net, trainer.terms, history, fit)


def covariance(model: Residuals) -> Tensor:
    r"""The covariance of the parameters, if the loss is half a :math:`\chi^2`: the inverse of its curvature.

    The network counts as a fit function with as many parameters as it has weights, of which an equation among
    the terms leaves few free. The last rows belong to the unknowns of the conditions.

    A parameter that the terms do not determine, alone or together with others, has an infinite variance on
    the diagonal. Off the diagonal, the directions on which nothing depends are left out. If unknowns of the
    conditions are concerned, a RuntimeWarning names the direction; in the weights of a network such
    directions are common and do no harm.

    Returns:
        ``(parameters, parameters)``.
    """
    rows = (model.rows()[1].detach() * model.weights.sqrt()[:, None, None]).flatten(0, 1)
    size = rows.norm(dim=0)
    unit = torch.where(size > 0, size, 1.0)  # in these units all parameters matter alike
    _, values, axes = torch.linalg.svd(rows / unit)
    known = int((values > 1e-8 * values.amax()).sum())
    names = _names(model.conditions)
    if names and (words := _directions(axes[known:, -len(names) :], unit[-len(names) :], names)):
        message = f"covariance: the terms do not determine {' nor '.join(words)}; error bars are infinite"
        warnings.warn(f"{message}; fix an unknown, or add data on it", RuntimeWarning, stacklevel=2)
    lost = axes[known:].square().sum(0) > SHARE
    spread = axes[:known].mT / values[:known] / unit[:, None]
    result: Tensor = spread @ spread.mT
    return result + torch.where(lost, torch.inf, 0.0).diag()


def _names(conditions: _Conditions) -> list[str]:
    """A name for each unknown number, as its module calls it."""
    named = [(name.split(".", 2)[2], p.numel()) for name, p in conditions.named_parameters()]
    return [name if n == 1 else f"{name}[{k}]" for name, n in named for k in range(n)]


def _directions(lost: Tensor, unit: Tensor, names: Sequence[str]) -> list[str]:
    """In words, the directions spanned by rows of ``lost``, each from the unknown that has most of it."""
    shares, words = lost.mT @ lost, []
    while shares.diagonal().amax() > SHARE:
        most = int(shares.diagonal().argmax())
        axis = shares[most]
        shares = shares - torch.outer(axis, axis) / axis[most]
        steps = axis / unit / (axis / unit).abs().amax()
        parts = [(s, name) for s, name in zip(steps.tolist(), names, strict=True) if abs(s) > 1e-3]
        terms = (f"{'-+'[s > 0]} {abs(s):.3g} {name}".replace(" 1 ", " ") for s, name in parts)
        words.append(" ".join(terms).removeprefix("+ "))
    return words

r"""Physics-informed networks: a differential equation as a sum of squares over points :cite:p:`raissi2019`.

A network :math:`u_\theta(x)` shall satisfy an equation :math:`\mathcal{F}[u] = 0` inside a region, conditions
:math:`\mathcal{B}[u] = 0` on its boundary, and pass through data. Each is a
:class:`~nnbook.dynamics.residuals.Term` of the loss

.. math:: L(\theta) = \sum_\text{terms} \frac{\lambda}{2n} \sum_j |\mathcal{C}[u_\theta](x_j) - y_j|^2 .

All terms together are one least-squares problem, the :class:`~nnbook.dynamics.residuals.Residuals`, which
:func:`nnbook.train.linear_method.minimise` solves by the method of Levenberg and Marquardt. Derivatives come
from :mod:`nnbook.derivatives`, equations from :mod:`nnbook.dynamics.equations`, their solutions from
:mod:`nnbook.exact.solutions`.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nnbook.arrays import Array, check_counts
from nnbook.derivatives import Jet, jet, slope, value
from nnbook.dynamics.equations import burgers, oscillator, schroedinger
from nnbook.dynamics.residuals import Condition, Region, Residuals, Term
from nnbook.exact.solutions import breather, cole_hopf, oscillation, split_step
from nnbook.networks import MLP, assign, flatten
from nnbook.train.linear_method import minimise
from nnbook.train.loop import End, Fit, digest, run

__all__ = [
    "MLP", "Condition", "Jet", "Region", "Residuals", "Term", "Training", "assign", "breather", "burgers",
    "cole_hopf", "covariance", "flatten", "gauss_newton", "jet", "oscillation", "oscillator", "schroedinger",
    "slope", "split_step", "train", "value",
]  # fmt: skip

SHARE = 1e-6  # a parameter with more of its square in directions on which nothing depends is undetermined


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
        descend: what a round does with the :class:`~nnbook.dynamics.residuals.Residuals`.
        measure: an error of the network, for the history; its time is not counted.
        generator: that of ``fresh``, whose state belongs into a checkpoint.
        checkpoint: file that is written after each round; if it exists, the training goes on from there, as
            if it had never stopped (:func:`nnbook.train.loop.run`). ``descend`` must then have no memory of
            the rounds before.

    Raises:
        ValueError: fewer than one round, terms that :class:`~nnbook.dynamics.residuals.Residuals` refuses,
            ``fresh`` and a checkpoint without the generator, a checkpoint of another problem.
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


def _names(conditions: nn.Module) -> list[str]:
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

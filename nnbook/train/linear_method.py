r"""Second-order training: the linear method for wave functions on a set of points.

The energy of a wave function :math:`\psi_\theta` is a Rayleigh quotient. Written with the normalised
:math:`\psi` and the tangent vectors :math:`J_k = (1 - |\psi\rangle\langle\psi|)\, \partial_k \psi`, its
expansion to second order in :math:`\delta\theta` is

.. math:: E(\theta + \delta) = E + 2\, g \cdot \delta + \delta^T A\, \delta + \dots, \quad
          g = J^T H \psi, \quad A = J^T (H - E) J

up to the curvature of the network itself, which vanishes as :math:`H\psi \to E\psi`. Solving
:math:`(A + \mu R)\,\delta = -g` is the linear method :cite:p:`toulouse2007`: a Gauss-Newton step for
the Schrödinger equation, quadratically convergent where natural gradient is linear. The damping
:math:`R = S + \nu\,\bar S\, 1` limits the change of the wave function (:math:`S = J^T J`, the metric of
stochastic reconfiguration) and of the parameters at once. Each step is bent along the curved family of wave
functions by half the acceleration :math:`a = -(A + \mu R)^{-1} J^T (H - E)\, \partial^2_{\delta\delta} \psi`
:cite:p:`transtrum2012`, which gains orders of magnitude in the flat valleys of a network's landscape. The
second derivative is a difference of wave functions,

.. math:: \partial^2_{\delta\delta} \psi \approx
          \frac{2}{h} \Bigl( \frac{\psi(\theta + h\delta) - \psi(\theta)}{h} - J \delta \Bigr),

so that networks of any operations are supported: nested forward differentiation, the exact way, costs five
times as much, and is silently wrong in PyTorch 2.13 for determinants and solutions of linear equations.

The energy does not know the scale of :math:`\psi`, and steps in flat valleys change it at no cost, until the
tails of the wave function underflow. A model may therefore have a method ``rescaling``, see
:meth:`nnbook.particles.waves.WaveFunction.rescaling`, along which steps bring its values back into range.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.func import vmap

from nnbook.arrays import check_counts, finite, positive
from nnbook.networks import as_function, assign, flatten
from nnbook.train.loop import End, Fit, digest, run, settled
from nnbook.train.problems import Expansion, Function, Problem
from nnbook.train.problems import RayleighQuotient as RayleighQuotient

# Factors on (mu, nu) that each step tries; the lowest energy wins.
LADDER = ((0.1, 1.0), (1.0, 1.0), (10.0, 1.0), (3.0, 0.1), (0.3, 10.0))
# Part of a step over which its bend is measured: 4e-14 of rounding, some per cent of the third derivative.
PART = 0.1
# A problem ends after so many rejected steps in a row: their damping has grown as far as it may.
STUCK = 12
# Logarithm of the size below which a wave function is scaled up: softplus is the exponential function there.
FLOOR = math.log(1e-16)


@dataclass(eq=False)
class _Search:
    """The trainer: descents side by side, of which the better half stays, and one problem after the other.

    Each has its parameters ``(starts, p)``, damping and value ``(starts,)``.
    """

    problems: list[Problem]
    function: Function
    params: Tensor
    explore: int
    steps: int
    tolerance: float
    patience: int
    accelerate: bool
    part: float
    rescaling: Tensor
    leaves: ClassVar[tuple[Tensor, ...]] = ()  # a step never goes up

    def __post_init__(self) -> None:
        one = torch.ones_like(self.params[:, 0])
        self.mu, self.nu, self.value = 0.01 * one, 0.01 * one, torch.inf * one
        self.stage, self.together = 0, 0  # the problem at hand, and its steps with several starts
        self.made, self.alone = 0, list[float]()  # its steps with one, and the values after those accepted
        self.rejected, self.promise = 0, 0.0  # in a row, and what the model promised before the first of them
        tensors = [[v for v in vars(p).values() if isinstance(v, Tensor)] for p in self.problems]
        self.problem = {
            "starts": f"{len(one)} of {self.params.shape[1]} parameters, {self.params.dtype}",
            "method": f"explore {self.explore}, accelerate {self.accelerate}, part {self.part:g}",
            "problems": ", ".join(map(digest, tensors)),
        }

    def begin(self) -> float:
        value = vmap(lambda p: self.problems[self.stage].value(self.function, p))(self.params)
        return float(value.nan_to_num(nan=torch.inf, posinf=torch.inf).min())

    def step(self) -> dict[str, float]:
        if self._over():
            self.stage, self.alone = self.stage + 1, []
            self.together = self.made = self.rejected = 0
        current, starts = self.problems[self.stage], len(self.params)
        if self.made >= self.patience and isinstance(current, RayleighQuotient) and current.coarser:
            current = replace(current, coarser=None)  # its curvature is good for an approach, not for the end
        better, promise = self._move(current)
        value = float(self.value.min())
        if starts == 1:
            self._note(value, bool(better), float(promise))
        else:
            self.together += 1
            if self.together % self.explore == 0:
                keep = self.value.argsort()[: starts // 2]
                self.params, self.value = self.params[keep], self.value[keep]
                self.mu, self.nu = self.mu[keep], self.nu[keep]
        return {"value": value, "stage": self.stage, "points": len(current.points)}

    def _note(self, value: float, better: bool, promise: float) -> None:
        """Count a step; one that was rejected says nothing of convergence, but what it promised may."""
        self.made += 1
        self.promise = self.promise if self.rejected else promise
        self.rejected = 0 if better else self.rejected + 1
        self.alone += [value] * better

    def _move(self, problem: Problem) -> tuple[Tensor, Tensor]:
        """One step of each descent: try every rung of the ladder, keep the lowest value.

        Whether it is lower than before, and how much the model had promised to first order, ``(starts,)``.
        """
        here = vmap(lambda p: problem.expand(self.function, p))(self.params)
        ladder = self.mu.new_tensor(LADDER)
        mu, nu = self.mu[:, None] * ladder[:, 0], (self.nu[:, None] * ladder[:, 1]).clamp(1e-9, 1.0)
        factor, solved = _factor(here, mu, nu)
        change = here.steps(-_times_inverse(factor, here.gradient[:, None].expand(*mu.shape, -1)))
        promise = torch.where(solved, -(change * here.steps(here.gradient[:, None])).sum(-1), torch.inf)
        if self.accelerate:
            bend = self._bend(problem, here, change)
            acceleration = here.steps(-_times_inverse(factor, bend @ here.pull.mT))
            small = acceleration.norm(dim=-1) < 1.5 * change.norm(dim=-1)
            change = change + 0.5 * torch.where(small[..., None], acceleration, 0.0)
        lift = (FLOOR - here.size.log()).clamp(min=0)[:, None] * self.rescaling
        trial = (self.params + lift)[:, None] + change
        value = vmap(vmap(lambda p: problem.value(self.function, p)))(trial)
        value = torch.where(solved & value.isfinite(), value, torch.inf)
        lowest, best = value.min(1)
        better, each = lowest < here.energy, torch.arange(len(best), device=best.device)
        self.params = torch.where(better[:, None], trial[each, best], self.params)
        self.mu = torch.where(better, mu[each, best], 100 * self.mu).clamp(1e-14, 1e8)
        self.nu = torch.where(better, nu[each, best], self.nu)
        self.value = torch.where(better, lowest, here.energy).nan_to_num(nan=torch.inf, posinf=torch.inf)
        return better, promise.amin(1)

    def _bend(self, problem: Problem, here: Expansion, change: Tensor) -> Tensor:
        """The second derivatives of the states along the changes, ``(starts, rungs, n)``."""
        states = vmap(vmap(lambda p: problem.state(self.function, p)))(
            self.params[:, None] + self.part * change
        )
        return (2 / self.part) * ((states - here.state[:, None]) / self.part - change @ here.tangents.mT)

    def _over(self) -> End | None:
        """Whether the problem at hand is done."""
        if settled(self.alone, self.tolerance, self.patience):
            return End(True, f"gain below {self.tolerance:g}")
        if self.rejected >= STUCK:
            good = self.promise < self.tolerance
            return End(good, f"no step gains anything, the best promised {self.promise:.1e}")
        if self.made >= self.steps:
            return End(False, f"{self.steps} steps on the last problem were not enough")
        return None

    def end(self, values: Sequence[float]) -> End | None:
        return self._over() if self.stage == len(self.problems) - 1 else None

    def state(self) -> dict[str, Any]:
        names = ("params", "mu", "nu", "value", "stage", "together", "alone", "made", "rejected", "promise")
        return {name: getattr(self, name) for name in names}

    def load(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value.to(self.params) if isinstance(value, Tensor) else value)


def _factor(here: Expansion, mu: Tensor, nu: Tensor) -> tuple[Tensor, Tensor]:
    """Cholesky factors of A + mu R ``(starts, rungs, p, p)``, and where there are any."""
    scale = here.metric.diagonal(dim1=1, dim2=2).sum(1)[:, None] / here.tangents.shape[-1]
    damped = here.curvature[:, None] + mu[..., None, None] * here.metric[:, None]
    damped.diagonal(dim1=2, dim2=3).add_((mu * nu * scale)[..., None])
    factor, info = torch.linalg.cholesky_ex(damped)  # fails where the curvature is not positive: no candidate
    return factor, info == 0


def _times_inverse(factor: Tensor, force: Tensor) -> Tensor:
    return torch.cholesky_solve(force[..., None], factor)[..., 0]


def minimise(
    problem: Problem | Sequence[Problem],
    model: nn.Module,
    *,
    starts: Tensor | None = None,
    explore: int = 15,
    steps: int = 400,
    tolerance: float = 1e-9,
    patience: int = 8,
    accelerate: bool = True,
    part: float = PART,
    checkpoint: str | Path | None = None,
    every: int = 10,
    label: str = "minimise",
) -> Fit:
    """Minimise an energy or a loss over the parameters of ``model``, which are changed in place.

    Several ``starts`` descend side by side on the first problem; every ``explore`` steps the worse half drops
    out, until the best goes on alone. A sequence of problems, coarse to fine, is worked through in order.

    Args:
        problem: the energy or loss, or a sequence of them on finer and finer points.
        model: a module that maps ``(n, dim)`` to the wave function ``(n,)``, or to outputs ``(n, m)`` if the
            problem takes several.
        starts: initial parameter vectors ``(starts, parameters)``; default: those of ``model``.
        explore: steps between two halvings of the starts.
        steps: at most so many steps of the best start on each problem.
        tolerance: a problem is solved when ``patience`` steps gain less energy than this. Steps that were
            rejected do not count, unless there are twelve in a row and the first promised less than this.
        patience: see ``tolerance``.
        accelerate: bend each step along the family of wave functions; without it, the plain linear method.
        part: the share of a step over which its bend is measured; for ReLU units 1e-4, so that none switches.
        checkpoint, every, label: see :func:`nnbook.train.loop.run`.

    Returns:
        The :class:`~nnbook.train.loop.Fit`; its history has the extra arrays ``"stage"`` (which
        problem) and ``"points"`` (its size).

    Raises:
        ValueError: a count below 1, a tolerance below zero, no problem, a model or starts of the wrong shape,
            a checkpoint of another problem.
    """
    problems = list(problem) if isinstance(problem, Sequence) else [problem]
    check_counts(explore=explore, steps=steps, patience=patience)
    finite("tolerance", tolerance, least=0)
    positive("part", part, most=1)
    _check(problems, model, starts)
    first = flatten(model)[None] if starts is None else starts.to(flatten(model))
    rescaling = getattr(model, "rescaling", lambda: torch.zeros_like(first[0]))
    search = _Search(
        problems,
        as_function(model),
        first,
        explore,
        steps,
        tolerance,
        patience,
        accelerate,
        part,
        rescaling(),
    )
    fit = run(search, label=label, checkpoint=checkpoint, every=every)
    if math.isfinite(fit.value):
        assign(model, search.params[search.value.argmin()])
    return fit


def _check(problems: Sequence[Problem], model: nn.Module, starts: Tensor | None) -> None:
    if not problems:
        raise ValueError("problem: got an empty sequence, expected at least one")
    size = flatten(model).numel()
    if starts is not None and (starts.ndim != 2 or starts.shape[1] != size or len(starts) == 0):
        raise ValueError(
            f"starts: got shape {tuple(starts.shape)}, expected (starts, {size}), one parameter vector a row"
        )
    points = problems[0].points
    shape = tuple(model(points).shape)
    if shape[:1] != (len(points),) or (len(shape) > 1 and not problems[0].vector_valued):
        raise ValueError(
            f"model: got values of shape {shape}, expected ({len(points)},), one number a point; "
            "an MLP with one output needs .squeeze(-1)"
        )

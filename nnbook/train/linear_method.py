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
:cite:p:`transtrum2012`, which gains orders of magnitude in the flat valleys of a network's landscape.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import vmap
from tqdm.auto import tqdm

from nnbook.networks import as_function, assign, flatten, jacobian
from nnbook.runtime import watched
from nnbook.train.loop import Fit

Function = Callable[[Tensor, Tensor], Tensor]


class Problem(Protocol):
    """What :func:`minimise` needs to know of a number that depends on a network's values on points.

    :class:`RayleighQuotient` and :class:`~nnbook.train.gauss_newton.ConvexLoss` are two of them.
    ``function`` is the network as a function of its parameter vector and of points, see
    :func:`~nnbook.networks.as_function`.
    """

    @property
    def points(self) -> Tensor:
        """Where the network is evaluated, ``(n, dim)``."""

    @property
    def vector_valued(self) -> bool:
        """Whether the network may have several values ``(n, m)`` at a point."""

    def state(self, function: Function, params: Tensor) -> Tensor:
        """What the second derivative of a step is taken of: as many numbers as ``pull`` has columns."""

    def value(self, function: Function, params: Tensor) -> Tensor:
        """The number to be minimised."""

    def expand(self, function: Function, params: Tensor) -> Expansion:
        """It, to second order around one parameter vector."""


@dataclass(frozen=True)
class RayleighQuotient:
    r"""The energy :math:`\langle\psi|H|\psi\rangle / \langle\psi|\psi\rangle` on a set of points.

    Attributes:
        points: where the wave function is evaluated, ``(n, dim)``.
        operator: H, acting on the columns of an ``(n, k)`` tensor; symmetric in the inner product
            :math:`\langle f|g\rangle = \sum_j w_j f_j g_j` and made of torch functions without side effects.
        weights: quadrature weights w, ``(n,)``.
        below: orthonormal states ``(n, k)`` that the wave function is kept orthogonal to.
    """

    points: Tensor
    operator: Callable[[Tensor], Tensor]
    weights: Tensor
    below: Tensor | None = None

    vector_valued: ClassVar[bool] = False

    def state(self, function: Function, params: Tensor) -> Tensor:
        """The wave function ``(n,)`` of one parameter vector: orthogonal to the states below, normalised."""
        psi = self._project(function(params, self.points)[:, None])[:, 0]
        psi = psi / _size(psi)
        return psi / (self.weights @ psi.square()).sqrt()

    def value(self, function: Function, params: Tensor) -> Tensor:
        """The energy of one parameter vector, a scalar."""
        psi = self.state(function, params)
        return (self.weights * psi) @ self.operator(psi[:, None])[:, 0]

    def expand(self, function: Function, params: Tensor) -> Expansion:
        """The energy to second order around one parameter vector."""
        raw, jac = jacobian(function, params, self.points)
        raw, jac = self._project(raw[:, None]), self._project(jac)
        size = _size(raw)
        size = size * (self.weights @ (raw / size).square()).sqrt()
        psi, jac = raw / size, jac / size
        jac = torch.addmm(jac, psi, self._bra(psi) @ jac, alpha=-1.0)
        image, bra = self.operator(psi), self._bra(jac)
        energy = (self._bra(psi) @ image).squeeze()
        pull = self._bra(self.operator(jac)).sub_(energy * bra)
        return Expansion(energy, (bra @ image)[:, 0], pull @ jac, bra @ jac, pull)

    def _bra(self, f: Tensor) -> Tensor:
        return (self.weights[:, None] * f).T

    def _project(self, f: Tensor) -> Tensor:
        return f if self.below is None else f - self.below @ (self._bra(self.below) @ f)


def _size(psi: Tensor) -> Tensor:
    """Largest value: a network may shrink until squares of its values underflow; its norm does not matter."""
    return psi.detach().abs().amax()


class Expansion(NamedTuple):
    """Energy, half gradient g ``(p,)``, curvature A and metric S ``(p, p)``, and J^T W (H - E) ``(p, n)``.

    The last one, ``pull``, turns a change of the wave function into a force on the parameters.
    """

    energy: Tensor
    gradient: Tensor
    curvature: Tensor
    metric: Tensor
    pull: Tensor


# Factors on (mu, nu) that each step tries; the lowest energy wins.
LADDER = ((0.1, 1.0), (1.0, 1.0), (10.0, 1.0), (3.0, 0.1), (0.3, 10.0))

# Reach of the second difference along a step, in units of that step. Two values are three times faster than
# nested forward differentiation, which is silently wrong for determinants and linear solvers in torch 2.13.
REACH = 0.1


@dataclass
class _Descent:
    """Several independent descents side by side: parameters ``(starts, p)`` and their damping."""

    params: Tensor
    mu: Tensor
    nu: Tensor
    value: Tensor

    @classmethod
    def begin(cls, params: Tensor) -> _Descent:
        one = torch.ones_like(params[:, 0])
        return cls(params, 0.01 * one, 0.01 * one, torch.inf * one)

    def best(self, count: int = 1) -> _Descent:
        """The descents of lowest energy."""
        keep = self.value.argsort()[:count]
        return _Descent(self.params[keep], self.mu[keep], self.nu[keep], self.value[keep])

    def step(self, problem: Problem, function: Function, *, accelerate: bool = True) -> None:
        """One step of each descent: try every rung of the ladder, keep the lowest energy."""
        here = vmap(lambda p: problem.expand(function, p))(self.params)
        ladder = torch.tensor(LADDER, dtype=self.mu.dtype, device=self.mu.device)
        mu, nu = self.mu[:, None] * ladder[:, 0], (self.nu[:, None] * ladder[:, 1]).clamp(1e-9, 1.0)
        bend = self._acceleration(problem, function) if accelerate else None
        change, solved = _solve(here, mu, nu, bend)
        trial = self.params[:, None] + change
        value = vmap(vmap(lambda p: problem.value(function, p)))(trial)
        value = torch.where(solved & value.isfinite(), value, torch.inf)
        best = value.argmin(1, keepdim=True)
        lowest = value.gather(1, best)[:, 0]
        better = lowest < here.energy
        chosen = trial.gather(1, best[..., None].expand(-1, -1, trial.shape[-1]))[:, 0]
        self.params = torch.where(better[:, None], chosen, self.params)
        self.mu = torch.where(better, mu.gather(1, best)[:, 0], 100 * self.mu).clamp(1e-14, 1e8)
        self.nu = torch.where(better, nu.gather(1, best)[:, 0], self.nu)
        self.value = torch.where(better, lowest, here.energy).nan_to_num(nan=torch.inf, posinf=torch.inf)

    def _acceleration(self, problem: Problem, function: Function) -> Callable[[Tensor], Tensor]:
        def second(params: Tensor, direction: Tensor) -> Tensor:
            up, down = (problem.state(function, params + h * direction) for h in (REACH, -REACH))
            return (up + down - 2 * problem.state(function, params)) / REACH**2

        return lambda change: vmap(vmap(second, in_dims=(None, 0)))(self.params, change)


def _solve(
    here: Expansion, mu: Tensor, nu: Tensor, second: Callable[[Tensor], Tensor] | None
) -> tuple[Tensor, Tensor]:
    """Steps ``(starts, rungs, p)`` for each damping, and which of them could be solved for."""
    scale = here.metric.diagonal(dim1=1, dim2=2).mean(1)[:, None]
    damped = here.curvature[:, None] + mu[..., None, None] * here.metric[:, None]
    damped.diagonal(dim1=2, dim2=3).add_((mu * nu * scale)[..., None])
    factor, info = torch.linalg.cholesky_ex(damped)  # fails where the curvature is not positive: no candidate
    force = here.gradient[:, None, :, None].expand(*mu.shape, -1, 1)
    velocity = -torch.cholesky_solve(force, factor)[..., 0]
    if second is None:
        return velocity, info == 0
    bend = (second(velocity) @ here.pull.mT)[..., None]
    acceleration = -torch.cholesky_solve(bend, factor)[..., 0]
    small = acceleration.norm(dim=-1) < 1.5 * velocity.norm(dim=-1)
    return velocity + 0.5 * torch.where(small[..., None], acceleration, 0.0), info == 0


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
        tolerance: a problem is solved when ``patience`` steps gain less energy than this.
        patience: see ``tolerance``.
        accelerate: bend each step along the family of wave functions; without it, the plain linear method.
        label: name on the progress bar, which shows in a terminal and in Jupyter only.

    Returns:
        The :class:`~nnbook.train.loop.Fit`; its history has the extra arrays ``"stage"`` (which
        problem) and ``"points"`` (its size), and its values are those *after* each step.

    Raises:
        ValueError: a count below 1, no problem, a model or starts of the wrong shape, no finite energy.
    """
    problems = list(problem) if isinstance(problem, Sequence) else [problem]
    _check(problems, model, starts, {"explore": explore, "steps": steps, "patience": patience})
    first = flatten(model)[None] if starts is None else starts.to(flatten(model))
    function, descent = as_function(model), _Descent.begin(first)
    rows: list[tuple[float, float, int, int]] = []  # seconds, value, stage, points
    began, converged = time.perf_counter(), False
    with tqdm(desc=label, disable=not watched()) as bar:
        for stage, current in enumerate(problems):
            together, alone, converged = 0, 0, False
            while alone < steps and not converged:
                descent.step(current, function, accelerate=accelerate)
                bar.update()
                value = float(descent.value.min())
                if not np.isfinite(value):
                    raise ValueError(
                        "starts: got none with a finite energy or loss; check the problem and its points"
                    )
                rows.append((time.perf_counter() - began, value, stage, len(current.points)))
                if len(descent.params) > 1:
                    together += 1
                    descent = descent.best(len(descent.params) // 2) if together % explore == 0 else descent
                else:
                    alone += 1
                    converged = alone > patience and rows[-1 - patience][1] - value < tolerance
    assign(model, descent.params[0])
    reason = (
        f"gain below {tolerance:g}" if converged else f"{steps} steps on the last problem were not enough"
    )
    columns = np.array(rows, dtype=float).T
    history = dict(zip(("seconds", "value", "stage", "points"), columns, strict=True))
    return Fit(value, len(rows), converged, reason, {"step": np.arange(len(rows), dtype=float), **history})


def _check(
    problems: Sequence[Problem], model: nn.Module, starts: Tensor | None, counts: dict[str, int]
) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name}: got {count}, expected at least 1")
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

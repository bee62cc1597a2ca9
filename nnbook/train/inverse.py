r"""Inverse problems: a function from too few data, by least squares with a penalty on its roughness.

With residuals r in units of their noise, n of them, and a matrix R that makes the parameters' roughness,

.. math:: C_\mu(\theta) = \tfrac1n |r(\theta)|^2 + \mu\, |R\theta|^2 .

How strong the penalty must be is chosen **without** the truth, by generalised cross-validation
:cite:p:`golub1979`: the smallest :math:`|r|^2/n\,(1 - p/n)^{-2}`, where
:math:`p = \operatorname{tr} [(J^TJ/n + \mu R^TR)^{-1} J^TJ/n]` is the number of combinations the data fix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nnbook.arrays import check_counts, check_numbers, check_values, finite, positive

Linearised = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class Inversion:
    """The best parameters at one strength of the penalty.

    Attributes:
        params: the parameters, ``(p,)``.
        strength: of the penalty.
        residuals: in units of their noise, ``(n,)``.
        jacobian: their derivatives by the parameters, ``(n, p)``.
        penalty: the matrix R, ``(q, p)``.
        steps: accepted steps.
    """

    params: Tensor = field(repr=False)
    strength: float
    residuals: Tensor = field(repr=False)
    jacobian: Tensor = field(repr=False)
    penalty: Tensor = field(repr=False)
    steps: int

    @property
    def misfit(self) -> float:
        """Root mean square of the residuals."""
        return float(self.residuals.square().mean().sqrt())

    @property
    def degrees(self) -> float:
        """How many combinations of the parameters the data fix at this strength."""
        data = self._data()
        return float(torch.linalg.lstsq(self._curvature(), data, driver="gelsd").solution.trace())

    @property
    def score(self) -> float:
        """What cross-validation makes small; infinite where there are no more data than numbers to fix."""
        free = 1 - self.degrees / len(self.residuals)
        return self.misfit**2 / free**2 if free > 1e-6 else float("inf")

    @property
    def spectrum(self) -> Tensor:
        """Singular values of the Jacobian, over the root of the number of data."""
        values: Tensor = torch.linalg.svdvals(self.jacobian) / len(self.residuals) ** 0.5
        return values

    @property
    def covariance(self) -> Tensor:
        """Of the parameters, if the residuals have unit noise and the penalty is what one knew before."""
        unit: Tensor = torch.linalg.pinv(self._curvature(), hermitian=True)
        return unit / len(self.residuals)

    def _data(self) -> Tensor:
        return self.jacobian.mT @ self.jacobian / len(self.residuals)

    def _curvature(self) -> Tensor:
        return self._data() + self.strength * self.penalty.mT @ self.penalty

    def __repr__(self) -> str:
        return (
            f"penalty {self.strength:.0e}: misfit {self.misfit:.3g}, {self.degrees:.2f} numbers fixed, "
            f"score {self.score:.4g}"
        )


def invert(
    linearised: Linearised,
    start: Tensor,
    penalty: Tensor,
    *,
    strengths: Sequence[float],
    steps: int = 40,
    tolerance: float = 1e-9,
) -> list[Inversion]:
    """Minimise at each strength, from the strongest on, each from the solution before; Levenberg-Marquardt.

    Args:
        linearised: residuals ``(n,)`` and Jacobian ``(n, p)`` at parameters.
        start: the first parameters, ``(p,)``.
        penalty: R, ``(q, p)``.
        strengths: of the penalty, in any order.
        steps: at most so many for each.
        tolerance: a step that lowers the cost by less than this part of it is the last.

    Raises:
        ValueError: strengths that are not above zero, or none; shapes that do not match; residuals that are
            not finite at the start.
    """
    check_counts(steps=steps, strengths=len(strengths))
    finite("tolerance", tolerance, least=0)
    check_numbers("start", start)
    check_values("start", start, ("p",))
    check_values("penalty", penalty, ("q", len(start)), dtype=start.dtype)
    ordered = sorted((positive("strengths", s) for s in strengths), reverse=True)
    found: list[Inversion] = []
    for strength in ordered:
        start = found[-1].params if found else start
        found.append(_minimise(linearised, start, penalty, strength, steps, tolerance))
    return found


def choose(found: Sequence[Inversion]) -> Inversion:
    """The strongest penalty whose score is within a unit of chi squared of the smallest score.

    Scores scatter by about that much; among penalties which data cannot tell apart the simplest metric is
    taken.

    Raises:
        ValueError: nothing to choose from.
    """
    check_counts(found=len(found))
    scores = [one.score for one in found]
    limit = min(scores) * (1 + 1 / len(found[0].residuals))
    return next(one for one, score in zip(found, scores, strict=True) if score <= limit)


def _minimise(
    linearised: Linearised, x: Tensor, penalty: Tensor, strength: float, steps: int, tolerance: float
) -> Inversion:
    def at(x: Tensor) -> tuple[Tensor, Tensor, float]:
        r, jacobian = linearised(x)
        return r, jacobian, float(r.square().mean() + strength * (penalty @ x).square().sum())

    (r, jacobian, cost), damping, done, rough = at(x), 1e-3, 0, strength * penalty.mT @ penalty
    check_values("residuals", r, ("n",))
    check_values("jacobian", jacobian, (len(r), len(x)))
    while done < steps and damping < 1e9:
        curvature = jacobian.mT @ jacobian / len(r) + rough
        slope = jacobian.mT @ r / len(r) + rough @ x
        root = curvature.diagonal().clamp(min=1e-300).rsqrt()  # a diagonal of ones, for accuracy
        system = root[:, None] * curvature * root + damping * torch.eye(len(x)).to(x)
        step = -root * torch.linalg.solve(system, root * slope)
        if float(-slope @ step) <= tolerance * cost:  # what the step can gain
            break
        new = at(x + step)
        if new[2] < cost:
            x, (r, jacobian, cost), damping, done = x + step, new, damping / 10, done + 1
        else:
            damping *= 5
    return Inversion(x, strength, r, jacobian, penalty, done)

r"""BFGS from many starts side by side, for small losses without noise and with local minima.

Each start keeps its own estimate H of the inverse Hessian. A step goes along :math:`d = -H g`, as far as a
bisection for Wolfe's two conditions tells :cite:p:`lewis2013`, and the change of the gradient corrects H
:cite:p:`nocedal2006`. One call of the loss serves all starts, so that a hundred of them cost little more than
one where the loss is cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nnbook.arrays import check_counts, finite
from nnbook.train.loop import End, Fit, run

#: Maps parameters ``(batch, k)`` to values ``(batch,)`` and gradients ``(batch, k)``.
Objective = Callable[[Tensor], tuple[Tensor, Tensor]]


def descend(
    loss: Objective,
    starts: Tensor,
    *,
    steps: int = 1000,
    tolerance: float = 1e-9,
    label: str = "BFGS",
    checkpoint: str | Path | None = None,
) -> tuple[Fit, Tensor, Tensor]:
    """Minimise a loss from each of several starts.

    Args:
        loss: maps parameters ``(batch, k)`` to the losses and their gradients.
        starts: ``(starts, k)``; one whose loss is not finite is left out.
        steps: at most so many from each.
        tolerance: a start has converged when no component of its gradient is larger.
        label: name on the progress bar.
        checkpoint: see :func:`nnbook.train.loop.run`.

    Returns:
        How it went, with the best loss after each step as ``history["value"]``; the loss at the end of each
        descent ``(starts,)``, infinite for one that was left out, and its parameters ``(starts, k)``.

    Raises:
        ValueError: starts of another shape or dtype, a negative tolerance, or no start with a finite loss.

    >>> bowl = lambda x: ((x - 1).square().sum(1), 2 * (x - 1))
    >>> descend(bowl, torch.zeros(2, 3, dtype=torch.float64))[2][0]
    tensor([1., 1., 1.], dtype=torch.float64)
    """
    if starts.ndim != 2 or 0 in starts.shape or not starts.is_floating_point():
        raise ValueError(
            f"starts: got shape {tuple(starts.shape)} of {starts.dtype}, expected (starts, k), one vector of "
            "real parameters a row"
        )
    check_counts(steps=steps, least=0)
    finite("tolerance", tolerance, least=0)
    trainer = Descents(loss, starts, steps=steps, tolerance=tolerance)
    fit = run(trainer, label=label, steps=steps, checkpoint=checkpoint)
    return fit, trainer.value.nan_to_num(torch.inf, torch.inf), trainer.params


class Descents:
    """Several descents side by side, a :class:`~nnbook.train.loop.Trainer`; see :func:`descend`."""

    def __init__(self, loss: Objective, starts: Tensor, *, steps: int, tolerance: float) -> None:
        self.loss, self.steps, self.tolerance = loss, steps, tolerance
        self.params = starts.clone()
        count, k = starts.shape
        self.inverse = torch.eye(k, dtype=starts.dtype, device=starts.device).repeat(count, 1, 1)
        self.value, self.gradient = loss(self.params)
        self.fresh = self.value.isfinite()  # not yet scaled
        self.stuck = ~self.fresh
        if self.stuck.all():
            raise ValueError("starts: got none with a finite loss, expected at least one; check the loss")

    @property
    def problem(self) -> Mapping[str, str]:
        """In words, all that a checkpoint must agree with."""
        return {"method": "BFGS", "starts": str(tuple(self.params.shape)), "tolerance": str(self.tolerance)}

    @property
    def leaves(self) -> Sequence[Tensor]:
        """Tensors that a step changes in place."""
        return [self.params, self.inverse, self.value, self.gradient, self.fresh, self.stuck]

    @property
    def done(self) -> Tensor:
        """Which descents have converged, ``(starts,)``."""
        return self.gradient.abs().amax(1) <= self.tolerance

    def begin(self) -> float:
        """The lowest loss, computed anew."""
        return float(self.loss(self.params)[0].nan_to_num(torch.inf).min())

    def step(self) -> Mapping[str, float]:
        """One step of each descent that has not ended."""
        here = (~self.done & ~self.stuck).nonzero()[:, 0]
        direction = -(self.inverse[here] @ self.gradient[here, :, None])[..., 0]
        length, value, gradient, found = self._search(here, direction)
        self.stuck[here[~found]] = True
        moved = here[found]
        change, turn = (length[:, None] * direction)[found], gradient[found] - self.gradient[moved]
        self.inverse[moved] = _update(self.inverse[moved], change, turn, self.fresh[moved])
        self.fresh[moved] = False
        self.params[moved] += change
        self.value[moved], self.gradient[moved] = value[found], gradient[found]
        return {"value": float(self.value.nan_to_num(torch.inf).min()), "active": float(len(here))}

    def _search(self, here: Tensor, direction: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Lengths of the steps by bisection, with the loss and gradient there, and whether one was found."""
        params, start, rise = self.params[here], self.value[here], (self.gradient[here] * direction).sum(1)
        low, high = torch.zeros_like(start), torch.full_like(start, torch.inf)
        length = torch.where(self.fresh[here], 1 / direction.norm(dim=1).clamp_min(1.0), 1.0)
        value, gradient = start.clone(), self.gradient[here].clone()
        open_ = rise < 0
        found = torch.zeros_like(open_)
        rounding = 2 * torch.finfo(start.dtype).eps * start.abs()  # no rise, for all that one can see
        for _ in range(40):
            k = open_.nonzero()[:, 0]
            if not len(k):
                break
            value[k], gradient[k] = self.loss(params[k] + length[k, None] * direction[k])
            ceiling = start + 1e-4 * length * rise + rounding
            high = torch.where(open_ & ~(value <= ceiling), length, high)
            short = (value <= ceiling) & ((gradient * direction).sum(1) < 0.9 * rise)
            low = torch.where(open_ & short, length, low)
            found |= open_ & (value <= ceiling) & ~short
            open_ = open_ & ~found
            length = torch.where(open_, torch.where(high.isinf(), 2 * length, (low + high) / 2), length)
        return length, value, gradient, found

    def end(self, values: Sequence[float]) -> End | None:
        """Whether all descents have ended."""
        best = int(self.value.nan_to_num(torch.inf).argmin())
        going, slope = ~self.done & ~self.stuck, float(self.gradient[best].abs().max())
        if going.any() and len(values) < self.steps:
            return None
        return End(slope <= self.tolerance, f"best of {len(self.params)} starts, slope {slope:.0e} left")

    def state(self) -> dict[str, Any]:
        """All that the next step depends on."""
        return {"tensors": list(self.leaves)}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state` gave."""
        for leaf, stored in zip(self.leaves, state["tensors"], strict=True):
            leaf.copy_(stored)


def _update(inverse: Tensor, change: Tensor, turn: Tensor, fresh: Tensor) -> Tensor:
    """The inverse Hessians ``(batch, k, k)`` after a step and the change of the gradient ``(batch, k)``."""
    bend = (change * turn).sum(1)
    scale = torch.where(fresh, bend / turn.square().sum(1), 1.0)
    inverse = scale[:, None, None] * inverse
    image = (inverse @ turn[..., None])[..., 0]
    grow = (1 + (turn * image).sum(1) / bend) / bend
    cross = image[:, :, None] * change[:, None, :] / bend[:, None, None]
    better = inverse + grow[:, None, None] * change[:, :, None] * change[:, None, :] - cross - cross.mT
    usable = bend > 1e-15 * change.norm(dim=1) * turn.norm(dim=1)
    return torch.where(usable[:, None, None], better, inverse)

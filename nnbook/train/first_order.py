"""First-order training: any optimiser of PyTorch, its gradients by automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from nnbook.arrays import check_counts, finite
from nnbook.train.checkpoints import plain
from nnbook.train.loop import End, Fit, run, settled, uninterrupted


def fit(
    loss: Callable[[], Tensor],
    params: Iterable[Tensor],
    *,
    steps: int,
    optimiser: Callable[[list[Tensor]], Optimizer] = partial(torch.optim.Adam, lr=1e-2),
    schedule: Callable[[Optimizer], LRScheduler] | None = None,
    tolerance: float | None = None,
    patience: int = 100,
    checkpoint: str | Path | None = None,
    every: int = 100,
    generator: torch.Generator | None = None,
    divergence: float = 1e3,
    label: str = "fit",
) -> Fit:
    """Minimise ``loss()`` over ``params``, which are changed in place.

    Args:
        loss: takes nothing, returns a scalar that depends on ``params``.
        params: leaf tensors with ``requires_grad``, for example ``module.parameters()``.
        steps: optimiser steps in all, those before a resume included.
        optimiser: makes any ``torch.optim`` optimiser from the parameters; L-BFGS too:
            ``partial(torch.optim.LBFGS, line_search_fn="strong_wolfe")``.
        schedule: makes a learning-rate schedule from the optimiser; stepped once a step.
        tolerance: stop earlier, when ``patience`` steps gain less than this; absent, make all steps.
        patience: see ``tolerance``.
        generator: the random generator that ``loss`` draws from; its state is part of the checkpoint, as is
            that of PyTorch's own on the CPU.
        checkpoint, every, divergence, label: see :func:`nnbook.train.loop.run`.

    Returns:
        The :class:`~nnbook.train.loop.Fit`. For a loss that draws random numbers, its values are those of the
        draws at hand.

    Raises:
        ValueError: nothing to train, negative ``steps``, a learning rate or a tolerance that is negative or
            not finite, a checkpoint of another problem.
        OSError: the checkpoint cannot be written.

    >>> x = torch.tensor([3.0], dtype=torch.float64, requires_grad=True)
    >>> fit(lambda: (x - 1).square().sum(), [x], steps=2000).value < 1e-8
    True
    """
    leaves = [p for p in params if p.requires_grad]
    if not leaves:
        raise ValueError("params: got no trainable tensor, expected at least one with requires_grad")
    check_counts(steps=steps, least=0)
    check_counts(patience=patience)
    stop = None if tolerance is None else (finite("tolerance", tolerance, least=0), patience)
    with uninterrupted():  # the first optimiser imports half of PyTorch
        descent = _Descent(loss, leaves, optimiser(leaves), schedule, generator, steps, stop)
    for group in descent.optimiser.param_groups:
        finite("lr", group["lr"], least=0)
    return run(descent, label=label, steps=steps, checkpoint=checkpoint, every=every, divergence=divergence)


class _Descent:
    """The trainer: a step moves by the gradient that the look before has left, and looks again."""

    def __init__(
        self,
        loss: Callable[[], Tensor],
        leaves: list[Tensor],
        optimiser: Optimizer,
        schedule: Callable[[Optimizer], LRScheduler] | None,
        generator: torch.Generator | None,
        steps: int,
        stop: tuple[float, int] | None,
    ) -> None:
        self.loss, self.leaves, self.steps, self.stop = loss, leaves, steps, stop
        self.optimiser = optimiser
        self.sources = [torch.default_generator, *([generator] if generator else [])]
        options = [{k: v for k, v in g.items() if k != "params"} for g in optimiser.param_groups]
        self.problem = {
            "optimiser": f"{type(optimiser).__name__} {plain(options)}",
            "parameters": str([(*p.shape, str(p.dtype)) for p in leaves]),
            "generators": str(len(self.sources)),
        }
        self.schedule = schedule(optimiser) if schedule else None
        if self.schedule:
            rates = plain(self.schedule.state_dict())
            self.problem["schedule"] = f"{type(self.schedule).__name__} {rates}"

    def begin(self) -> float:
        self.dice = [source.get_state() for source in self.sources]
        return self._look().item()

    def _look(self) -> Tensor:
        self.optimiser.zero_grad()
        value = self.loss()
        value.backward()
        self.seen: Tensor | None = value.detach()
        return self.seen

    def step(self) -> dict[str, float]:
        def closure() -> Tensor:
            value = self._look() if self.seen is None else self.seen  # the first answer is known already
            self.seen = None  # and no other one, as a line search moves between them
            return value

        self.optimiser.step(closure)  # type: ignore[arg-type]
        if self.schedule:
            self.schedule.step()
        return {"value": self.begin()}

    def end(self, values: Sequence[float]) -> End | None:
        if self.stop and settled(values, *self.stop):
            return End(True, f"{self.stop[1]} steps gained less than {self.stop[0]:g}")
        return End(False, "all steps done") if len(values) >= self.steps else None

    def state(self) -> dict[str, Any]:
        return {
            "params": [p.detach().clone() for p in self.leaves],
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict() if self.schedule else None,
            "dice": self.dice,
        }

    @torch.no_grad()
    def load(self, state: dict[str, Any]) -> None:
        for leaf, value in zip(self.leaves, state["params"], strict=True):
            leaf.copy_(value)
        self.optimiser.load_state_dict(state["optimiser"])
        if self.schedule:
            self.schedule.load_state_dict(state["schedule"])
        for source, dice in zip(self.sources, state["dice"], strict=True):
            source.set_state(dice)

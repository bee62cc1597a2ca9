"""First-order training: one visible loop with history, checkpoints and a guard against divergence."""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from tqdm.auto import tqdm

from nnbook.runtime import watched


@dataclass(frozen=True, eq=False)
class Fit:
    """What a training run found, and why it ended.

    Attributes:
        value: the loss at the final parameters.
        steps: completed steps.
        converged: false if the run stopped on a failure or ran out of steps before its tolerance.
        reason: why it ended, in words.
        history: arrays of one length: ``"step"``, ``"seconds"`` (since the start) and ``"value"`` (the loss
            at the parameters *before* that step); more where the trainer has more to tell.
    """

    value: float
    steps: int
    converged: bool
    reason: str
    history: dict[str, NDArray[np.float64]] = field(repr=False)

    @property
    def seconds(self) -> float:
        """Wall time of the run."""
        return float(self.history["seconds"][-1]) if len(self.history["seconds"]) else 0.0

    def __repr__(self) -> str:
        return f"{self.value:.9g} after {self.steps} steps: {self.reason}"


def fit(
    loss: Callable[[], Tensor],
    params: Iterable[Tensor],
    *,
    steps: int,
    optimiser: Callable[[list[Tensor]], Optimizer] = partial(torch.optim.Adam, lr=1e-2),
    schedule: Callable[[Optimizer], LRScheduler] | None = None,
    checkpoint: str | Path | None = None,
    every: int = 100,
    generator: torch.Generator | None = None,
    divergence: float = 1e3,
    label: str = "fit",
) -> Fit:
    """Minimise ``loss()`` over ``params``, which are changed in place.

    A step that gives a NaN, an infinity or a loss far above the best one ends the run: the last good
    parameters come back, a warning says at which step and why.

    Args:
        loss: takes nothing, returns a scalar that depends on ``params``.
        params: leaf tensors with ``requires_grad``, for example ``module.parameters()``.
        steps: optimiser steps in all, those before a resume included.
        optimiser: makes any ``torch.optim`` optimiser from the parameters; L-BFGS too:
            ``partial(torch.optim.LBFGS, line_search_fn="strong_wolfe")``.
        schedule: makes a learning-rate schedule from the optimiser; stepped once a step.
        checkpoint: file that is written every ``every`` steps, atomically. If it exists, the run goes on
            from there and ends with the same bits as one that was never interrupted.
        generator: the random generator that ``loss`` draws from; its state is part of the checkpoint.
        divergence: stop when the loss exceeds the best so far by this many times ``max(1, |first loss|)``.
        label: name on the progress bar, which shows in a terminal and in Jupyter only.

    Returns:
        The :class:`Fit`. ``converged`` is false only after a failure.

    Raises:
        ValueError: nothing to train, negative ``steps``, a checkpoint of another model or optimiser.

    >>> x = torch.tensor([3.0], dtype=torch.float64, requires_grad=True)
    >>> fit(lambda: (x - 1).square().sum(), [x], steps=2000).value < 1e-8
    True
    """
    leaves = [p for p in params if p.requires_grad]
    if not leaves or steps < 0 or every < 1:
        raise ValueError(
            f"fit: got {len(leaves)} trainable tensors, steps={steps}, every={every}; "
            "expected at least one tensor with requires_grad, steps >= 0 and every >= 1"
        )
    optim = optimiser(leaves)
    sched = schedule(optim) if schedule else None
    saved = _Checkpoint(Path(checkpoint), leaves, optim, sched, generator) if checkpoint else None
    log = saved.load() if saved else {"value": [], "seconds": []}
    done = len(log["value"])
    began = time.perf_counter() - (log["seconds"][-1] if done else 0.0)

    def closure() -> Tensor:
        optim.zero_grad()
        value = loss()
        value.backward()
        return value.detach()

    good, trouble = _snapshot(leaves), ""
    for step in tqdm(range(done, steps), desc=label, initial=done, total=steps, disable=not watched()):
        before = _snapshot(leaves)
        value = float(optim.step(closure))  # type: ignore[arg-type]
        if trouble := _trouble(value, log["value"], divergence):
            break
        good = before
        if sched:
            sched.step()
        log["value"].append(value)
        log["seconds"].append(time.perf_counter() - began)
        if saved and (step + 1) % every == 0:
            saved.write(saved.state(log))
    end = saved.state(log) if saved and steps > done else None  # before the last loss draws random numbers
    final = math.nan if trouble else loss().item()
    trouble = trouble or _trouble(final, log["value"], divergence)
    if trouble:
        _restore(leaves, good)
        final = loss().item()
    elif saved and end:
        saved.write(end)
    return _report(final, log, trouble)


def _report(final: float, log: dict[str, list[float]], trouble: str) -> Fit:
    steps = len(log["value"])
    reason = "all steps done"
    if trouble:
        reason = f"stopped at step {steps}: {trouble}; the last good parameters were kept"
        warnings.warn(f"fit {reason}", RuntimeWarning, stacklevel=3)
    history = {name: np.array(values) for name, values in log.items()}
    return Fit(final, steps, not trouble, reason, {"step": np.arange(steps, dtype=float), **history})


def _trouble(value: float, past: list[float], divergence: float) -> str:
    if not math.isfinite(value):
        return f"the loss is {value}"
    if past and value - min(past) > divergence * max(1.0, abs(past[0])):
        return f"the loss rose from {min(past):.3g} to {value:.3g}; try a smaller learning rate"
    return ""


def _snapshot(leaves: list[Tensor]) -> list[Tensor]:
    return [p.detach().clone() for p in leaves]


@torch.no_grad()
def _restore(leaves: list[Tensor], values: list[Tensor]) -> None:
    for leaf, value in zip(leaves, values, strict=True):
        leaf.copy_(value)


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write beside the file and rename: a reader sees the old state or the new one, never a half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    torch.save(state, part)
    os.replace(part, path)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read what :func:`write_checkpoint` wrote.

    Raises:
        ValueError: the file cannot be read.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(
            f"checkpoint: {path} cannot be read ({type(error).__name__}); delete the file or name another"
        ) from error
    return state


@dataclass(frozen=True)
class _Checkpoint:
    path: Path
    leaves: list[Tensor]
    optimiser: Optimizer
    schedule: LRScheduler | None
    generator: torch.Generator | None

    def state(self, log: dict[str, list[float]]) -> dict[str, Any]:
        """All that the next step depends on."""
        return {
            "optimiser": type(self.optimiser).__name__,
            "params": _snapshot(self.leaves),
            "state": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict() if self.schedule else None,
            "generator": self.generator.get_state() if self.generator else None,
            "random": torch.get_rng_state(),
            "log": {name: list(values) for name, values in log.items()},
        }

    def write(self, state: dict[str, Any]) -> None:
        """Write the state to the file."""
        write_checkpoint(self.path, state)

    def load(self) -> dict[str, list[float]]:
        if not self.path.exists():
            return {"value": [], "seconds": []}
        state = read_checkpoint(self.path)
        got = (state["optimiser"], [tuple(p.shape) for p in state["params"]])
        expected = (type(self.optimiser).__name__, [tuple(p.shape) for p in self.leaves])
        if got != expected:
            raise ValueError(
                f"checkpoint: {self.path} holds {got[0]} and parameters {got[1]}, expected {expected[0]} "
                f"and {expected[1]}; delete the file or name another"
            )
        _restore(self.leaves, state["params"])
        self.optimiser.load_state_dict(state["state"])
        if self.schedule and state["schedule"]:
            self.schedule.load_state_dict(state["schedule"])
        if self.generator and state["generator"] is not None:
            self.generator.set_state(state["generator"])
        torch.set_rng_state(state["random"])
        log: dict[str, list[float]] = state["log"]
        return log

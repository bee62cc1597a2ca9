"""The one training loop: progress, history, a guard against divergence, checkpoints, Ctrl-C.

What is trained, and how, is the business of a :class:`Trainer`; :func:`run` makes its steps and tells in a
:class:`Fit` what came of them.
"""

from __future__ import annotations

import hashlib
import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from nnbook.arrays import check_counts, positive
from nnbook.runtime import small_networks, watched
from nnbook.train.checkpoints import Checkpoint


@dataclass(frozen=True, eq=False)
class Fit:
    """What a training run found, and why it ended; the same for every method.

    Attributes:
        value: the loss or energy after the last step, at the parameters that were returned.
        steps: completed steps.
        converged: whether a tolerance was stated and met; false for a run that only made its steps.
        reason: why it ended, in words.
        history: arrays with one entry a step: ``"step"`` (from 1), ``"seconds"`` (since the start) and
            ``"value"``, the loss or energy *after* that step; more where the trainer has more to tell.
    """

    value: float
    steps: int
    converged: bool
    reason: str
    history: dict[str, NDArray[np.float64]] = field(repr=False)

    @property
    def seconds(self) -> float:
        """Wall time of the run."""
        return float(self.history["seconds"][-1]) if self.steps else 0.0

    def __repr__(self) -> str:
        return f"{self.value:.9g} after {self.steps} steps: {self.reason}"


class End(NamedTuple):
    """Why a trainer has no more to do, and whether a stated tolerance was met."""

    converged: bool
    reason: str


class Trainer(Protocol):
    """A method of training at work: what :func:`run` drives.

    Every trainer stands to one contract: after ``load(state())`` a twin gives the same values with the same
    bits.
    """

    @property
    def problem(self) -> Mapping[str, str]:
        """In words, all that a checkpoint must agree with, as method, options, shapes, Hamiltonian."""

    @property
    def leaves(self) -> Sequence[Tensor]:
        """Tensors that a step changes in place; they are put back if it fails."""

    def begin(self) -> float:
        """The value at the present parameters, at the start or after :meth:`load`."""

    def step(self) -> Mapping[str, float]:
        """Make a step; the row of the history that belongs to it, ``"value"`` after the step included."""

    def end(self, values: Sequence[float]) -> End | None:
        """Whether to stop, given the values after each step so far."""

    def state(self) -> dict[str, Any]:
        """All that the next step depends on: tensors, numbers, strings, and lists and dicts of them."""

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state` gave."""


def settled(values: Sequence[float], tolerance: float, patience: int) -> bool:
    """Whether the last ``patience`` values are no better than those before by ``tolerance`` or more."""
    return len(values) > patience and min(values[:-patience]) - min(values[-patience:]) < tolerance


def digest(tensors: Iterable[Tensor]) -> str:
    """A short name for numbers: other numbers, another name."""
    total = hashlib.sha256()
    for values in tensors:
        total.update(f"{tuple(values.shape)} {values.dtype}".encode())
        total.update(values.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()[:12]


def run(
    trainer: Trainer,
    *,
    label: str,
    steps: int | None = None,
    checkpoint: str | Path | None = None,
    every: int = 100,
    divergence: float = math.inf,
) -> Fit:
    """Let a trainer make its steps.

    A value that is not finite, or far above the best one, ends the run, as does a matrix without inverse: the
    last good parameters come back and a warning says at which step and why. Ctrl-C (in a notebook: interrupt)
    ends it after the step that is under way, in the same manner, and the checkpoint is written; pressed twice
    it raises KeyboardInterrupt at once, for a program that would go on with the next run.

    Everything runs on one thread, unless :func:`nnbook.runtime.start` said otherwise
    (:func:`~nnbook.runtime.small_networks`).

    Args:
        trainer: makes the steps and says when to stop.
        label: name on the progress bar, which shows in a terminal and in Jupyter only.
        steps: how many steps the bar is to show.
        checkpoint: file that is written every ``every`` steps and at the end, atomically. If it exists, the
            run goes on from there and ends with the same bits as one that was never interrupted. A link is
            followed.
        every: see ``checkpoint``.
        divergence: stop when the value exceeds the best so far by this many times ``max(1, |first value|)``.

    Returns:
        The :class:`Fit`.

    Raises:
        ValueError: ``every`` below 1; a divergence that is not above zero; a checkpoint that is a folder or a
            device, that cannot be read, or that belongs to another problem: the value at its parameters is
            computed anew, and must be the one that was stored.
        OSError: the checkpoint cannot be written, or another run writes it too.
    """
    check_counts(every=every)
    if divergence != math.inf:
        positive("divergence", divergence)
    end, why = None, "interrupted"
    with small_networks(), _ctrl_c() as pressed:
        log = _Log(trainer, None if checkpoint is None else Checkpoint(checkpoint), divergence)
        bar = tqdm(desc=label, initial=log.steps, total=steps, disable=not watched())
        try:
            log.check(log.first)
            while (end := trainer.end(log.values)) is None and not pressed():
                with _kept(trainer.leaves):
                    row = trainer.step()
                    log.check(row["value"])
                log.add(row)
                bar.update()
                if log.steps % every == 0:
                    log.save()
            log.save()
        except (FloatingPointError, torch.linalg.LinAlgError) as error:  # type: ignore[attr-defined]
            why = str(error)
        finally:
            bar.close()
    if end is None:
        end = End(False, f"stopped at step {log.steps}: {why}; the last good parameters were kept")
        warnings.warn(f"{label} {end.reason}", RuntimeWarning, stacklevel=3)
    return log.fit(end)


@contextmanager
def _kept(leaves: Sequence[Tensor]) -> Iterator[None]:
    """Put tensors back as they were if the block raises."""
    good = [leaf.detach().clone() for leaf in leaves]
    try:
        yield
    except BaseException:
        with torch.no_grad():
            for leaf, value in zip(leaves, good, strict=True):
                leaf.copy_(value)
        raise


@contextmanager
def _ctrl_c() -> Iterator[Callable[[], bool]]:
    """Take note of the first Ctrl-C; the second one raises KeyboardInterrupt."""
    presses = 0

    def note(number: int, frame: object) -> None:
        nonlocal presses
        presses += 1
        if presses > 1:
            raise KeyboardInterrupt

    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield lambda: False  # somebody else looks after it
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: presses > 0
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait until the block has ended: an import that is broken off would stay half done."""
    with _ctrl_c() as pressed:
        yield
    if pressed():
        raise KeyboardInterrupt


class _Log:
    """The history of a run, and its checkpoint."""

    def __init__(self, trainer: Trainer, file: Checkpoint | None, divergence: float) -> None:
        self.trainer, self.file, self.divergence = trainer, file, divergence
        self.columns: dict[str, list[float]] = {"seconds": [], "value": []}
        self.saved, began = -1, time.perf_counter()
        if file and file.path.exists():
            with _kept(trainer.leaves):
                self._resume(file.read(), file.path)
        else:
            self.first = trainer.begin()
        self.best = min([self.first, *self.values])
        self.began = began - (self.columns["seconds"] or [0.0])[-1]

    @property
    def values(self) -> list[float]:
        return self.columns["value"]

    @property
    def steps(self) -> int:
        return len(self.values)

    @property
    def last(self) -> float:
        return (self.values or [self.first])[-1]

    def _resume(self, stored: dict[str, Any], path: Path) -> None:
        here, there = dict(self.trainer.problem), stored.get("problem", {})
        remedy = "delete the file or name another"
        if changed := [name for name in {**there, **here} if there.get(name) != here.get(name)]:
            got, wanted = (", ".join(f"{n} {side.get(n)}" for n in changed) for side in (there, here))
            raise ValueError(f"checkpoint: {path} holds a run with {got}; expected {wanted}; {remedy}")
        self.trainer.load(stored["trainer"])
        self.first, self.columns = stored["first"], stored["columns"]
        self.saved, now = self.steps, self.trainer.begin()
        if not math.isclose(now, self.last, rel_tol=1e-6, abs_tol=1e-9 * abs(self.first)):
            raise ValueError(
                f"checkpoint: {path} was written at a value of {self.last:.12g}, but its parameters now "
                f"give {now:.12g}; expected the same data, couplings and random generator as then; {remedy}"
            )

    def check(self, value: float) -> None:
        """Raise a FloatingPointError if something is wrong with a value."""
        if not math.isfinite(value):
            raise FloatingPointError(f"the value is {value}")
        if value - self.best > self.divergence * max(1.0, abs(self.first)):
            raise FloatingPointError(
                f"the value rose from {self.best:.3g} to {value:.3g}; try a smaller learning rate"
            )

    def add(self, row: Mapping[str, float]) -> None:
        self.best = min(self.best, row["value"])
        for name, value in {"seconds": time.perf_counter() - self.began, **row}.items():
            self.columns.setdefault(name, []).append(value)

    def save(self) -> None:
        """Write the checkpoint, unless it is there already."""
        if self.file and self.saved != self.steps:
            state = {"problem": dict(self.trainer.problem), "trainer": self.trainer.state()}
            self.file.write({**state, "first": self.first, "columns": self.columns})
            self.saved = self.steps

    def fit(self, end: End) -> Fit:
        history = {name: np.array(column) for name, column in self.columns.items()}
        return Fit(self.last, self.steps, *end, {"step": np.arange(1.0, self.steps + 1), **history})

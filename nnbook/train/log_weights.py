r"""Second-order training of a model that draws its own samples: Gauss-Newton on centred log-weights.

A model q of a target :math:`p = e^{-S}/Z` is exact where :math:`f = \ln q + S` is the same number for all of
its samples. So make the scatter of f small: with the derivatives :math:`J_{jk} = \partial f_j/\partial
\theta_k` along the samples, that is at fixed noise, a Gauss-Newton step solves

.. math:: \bigl(J^T J/B + \lambda \operatorname{diag}(J^T J/B) + \epsilon\bigr)\,\delta = J^T f/B,

f and J centred over the batch of B samples. The constant :math:`-\ln Z` drops out. At the solution f has no
scatter and the gradient no noise: the method converges as for a least-squares problem without misfit.

Where samples have no noise to be held fixed, as spins have none, J are the scores
:math:`\partial \ln q/\partial\theta_k`. Then :math:`J^T f/B` is the gradient of the divergence,
:math:`J^T J/B` is Fisher's information, and the step is the natural gradient :cite:p:`amari1998`. Three
things keep it from running away: f is clipped at a few robust deviations, so that a rare sample does not
lead; a step may change f by so much only, root mean square; and the rate falls in the second half.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nnbook.arrays import check_counts, check_numbers, check_values, finite, positive
from nnbook.networks import Parametrised, assign, flatten
from nnbook.train.loop import End, Fit, run
from nnbook.train.reconfiguration import natural_step

Look = Callable[[], tuple[Tensor, Tensor]]


def clipped(f: Tensor, deviations: float = 3.0) -> Tensor:
    """Numbers ``(n,)`` cut off at so many robust deviations (1.48 times the median one) from their median.

    If more than half of them are equal there is no such deviation, and all stay as they are.

    >>> clipped(torch.tensor([-1.0, 0.0, 1.0, 1e9]).double())
    tensor([-1.0000,  0.0000,  1.0000,  4.4478], dtype=torch.float64)
    """
    check_numbers("f", f)
    check_values("f", f, ("n",))
    check_counts(f=len(f))
    reach = positive("deviations", deviations, most=1e6) * 1.4826 * (f - f.median()).abs().median()
    return f.clamp(f.median() - reach, f.median() + reach) if float(reach) > 0 else f


def fit_log_weights(
    look: Look,
    model: Parametrised,
    *,
    steps: int,
    generator: torch.Generator,
    rate: float = 1.0,
    last: float = 0.1,
    trust: float = 0.1,
    damping: float = 0.1,
    ridge: float = 1e-4,
    clip: float = 3.0,
    momentum: float = 0.0,
    checkpoint: str | Path | None = None,
    every: int = 10,
    label: str = "log-weights",
) -> Fit:
    r"""Make the scatter of :math:`f = \ln q + S` small over the parameters of a model, changed in place.

    Args:
        look: draws a fresh batch of the model and returns f ``(batch,)`` and J ``(batch, parameters)``, the
            parameters in the order of :func:`~nnbook.networks.flatten`.
        model: whose parameters these are.
        steps: Gauss-Newton steps.
        generator: the one that ``look`` draws from; its state is part of a checkpoint.
        rate, last: the factor of the steps; from the middle on it falls as a cosine from one to the other.
        trust: a step changes f by at most the root of this, root mean square.
        damping, ridge: :math:`\lambda` and :math:`\epsilon`.
        clip: at how many robust deviations f is cut off.
        momentum: fraction of the last step that the next one starts from; see
            :func:`~nnbook.train.reconfiguration.natural_step`.
        checkpoint, every, label: see :func:`nnbook.train.loop.run`.

    Returns:
        The :class:`~nnbook.train.loop.Fit`. Its values are half the variance of the clipped f, which to
        second order is the divergence :math:`\langle \ln q/p \rangle_q`, **of the batch at hand**; its
        history has ``"ess"``, the effective sample size of that batch as a fraction, and ``"bound"``, the
        mean of f, which is not below :math:`-\ln Z`.

    Raises:
        ValueError: a count or a number out of range; f or J of another shape.
    """
    check_counts(steps=steps)
    rate, last = positive("rate", rate), positive("last", last, most=rate)
    options = {"trust": positive("trust", trust), "damping": finite("damping", damping, least=0)}
    options |= {"ridge": positive("ridge", ridge), "rate": rate, "last": last, "steps": float(steps)}
    options["clip"] = positive("clip", clip, most=1e6)
    options["momentum"] = finite("momentum", momentum, least=0, most=1)
    trainer = _GaussNewton(look, model, generator, options)
    return run(trainer, label=label, steps=steps, checkpoint=checkpoint, every=every)


class _GaussNewton:
    """The trainer: a step uses the batch that the look before has drawn, and draws the next."""

    def __init__(
        self, look: Look, model: Parametrised, generator: torch.Generator, options: dict[str, float]
    ) -> None:
        self.look, self.model, self.generator, self.options = look, model, generator, options
        self.made, self.last = 0, torch.zeros_like(flatten(model))
        shapes = str([(*p.shape, str(p.dtype)) for p in model.parameters()])
        self.problem = {"method": f"log-weights {options}", "parameters": shapes}

    @property
    def leaves(self) -> Sequence[Tensor]:
        return [p.data for p in self.model.parameters()]

    def begin(self) -> float:
        self.dice = self.generator.get_state()
        with torch.no_grad():
            f, self.slopes = self.look()
        count = flatten(self.model).numel()
        check_values("f", f.nan_to_num(), ("batch",))
        check_values("J", self.slopes.nan_to_num(), (len(f), count))
        if not bool(f.isfinite().all() and self.slopes.isfinite().all()):
            return math.nan  # the loop puts back the last good parameters
        log_w = (f.mean() - f).double()
        ess = float((2 * log_w.logsumexp(0) - (2 * log_w).logsumexp(0)).exp()) / len(f)
        self.scatter = clipped(f, self.options["clip"])
        self.seen = {"value": 0.5 * float(self.scatter.var()), "ess": ess, "bound": float(f.mean())}
        return self.seen["value"]

    def _rate(self) -> float:
        o, late = self.options, max(0.0, 2 * self.made / self.options["steps"] - 1)
        return o["last"] + (o["rate"] - o["last"]) * 0.5 * (1 + math.cos(math.pi * late))

    def step(self) -> dict[str, float]:
        o = self.options
        momentum = o["momentum"] * self.last if o["momentum"] else None
        delta, length = natural_step(
            self.slopes, self.scatter, shift=o["ridge"], relative=o["damping"], momentum=momentum
        )
        factor = self._rate() * min(1.0, math.sqrt(o["trust"]) / max(length, 1e-300))
        assign(self.model, flatten(self.model) - factor * delta)
        self.made, self.last = self.made + 1, delta
        value = self.begin()
        return {**self.seen, "value": value}

    def end(self, values: Sequence[float]) -> End | None:
        return End(False, "all steps done") if len(values) >= self.options["steps"] else None

    def state(self) -> dict[str, Any]:
        return {"params": flatten(self.model), "made": self.made, "last": self.last, "dice": self.dice}

    def load(self, state: dict[str, Any]) -> None:
        assign(self.model, state["params"])
        self.made, self.last = state["made"], state["last"].to(self.last)
        self.generator.set_state(state["dice"])

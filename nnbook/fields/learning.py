r"""Interactions learnt by networks whose probabilities are known: from samples, or from an energy alone.

A network that knows the probability of a configuration knows a Hamiltonian too, up to a constant:
:math:`H_\theta(x) = -T \ln p_\theta(x)` is :math:`H - F` where :math:`p_\theta` is that of Boltzmann.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from nnbook.arrays import Array, check_counts, check_values, finite, like, positive
from nnbook.sample.importance import Importance
from nnbook.train.first_order import fit
from nnbook.train.loop import Fit


class Density(Protocol):
    """A normalised density of configurations that can be drawn: what training and weighing have to know."""

    @property
    def sites(self) -> int:
        """Sites of a configuration."""

    def log_prob(self, x: Tensor, /) -> Tensor:
        """The logarithm of the density, ``(batch,)``, of configurations ``(batch, sites)``."""

    def sample(self, n: int, /, *, generator: torch.Generator) -> Tensor:
        """Independent configurations, ``(n, sites)``."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """What is trained."""


@dataclass(frozen=True)
class Hamiltonian:
    r"""The Hamiltonian that a network has learnt, :math:`H_\theta(x) = -T \ln p_\theta(x)`.

    Attributes:
        net: the network.
        beta: inverse temperature of what it was trained on.
        constant: F, what is added to :math:`-T \ln p_\theta`, so that energies compare with those of a model;
            :math:`-\ln Z/\beta` where that is known.
    """

    net: Density
    beta: float
    constant: float = 0.0

    def __post_init__(self) -> None:
        positive("beta", self.beta)
        finite("constant", self.constant)

    def __call__(self, x: Tensor) -> Tensor:
        """Energies ``(batch,)`` of configurations ``(batch, sites)``."""
        return self.constant - log_prob(self.net, x) / self.beta


@torch.no_grad()
def log_prob(net: Density, x: Tensor | Array) -> Tensor:
    r""":math:`\ln p_\theta` of many configurations, ``(n,)``, in double precision, without gradients.

    A network needs a hundred times the memory of its input, so it sees a part at a time.
    """
    check_values("x", x, ("n", net.sites))
    parts = torch.as_tensor(x).split(max(1, 2**18 // net.sites))
    return torch.cat([net.log_prob(part).double() for part in parts])


def weigh(
    net: Density, action: Callable[[Tensor], Tensor], n: int, *, generator: torch.Generator
) -> tuple[Tensor, Importance]:
    r"""Samples of a network and their weights for an action: ``(x, Importance)``, in double precision.

    Raises:
        ValueError: fewer than two samples, or an action of another shape than ``(n,)``.
    """
    check_counts(least=2, n=n)
    x = net.sample(n, generator=generator).double()
    values = action(x)
    check_values("action", values, (n,))
    return x, Importance(-values - log_prob(net, x))


def _falling(start: float, end: float, steps: int) -> Callable[[Optimizer], LambdaLR]:
    positive("rate", start)
    positive("last", end, most=start)
    return lambda optimiser: LambdaLR(optimiser, lambda step: (end / start) ** min(1.0, step / steps))


def fit_likelihood(
    net: Density,
    data: Tensor | Array | Callable[[], Tensor],
    *,
    steps: int,
    generator: torch.Generator,
    batch: int = 256,
    rate: float = 1e-2,
    last: float = 1e-4,
    checkpoint: str | Path | None = None,
    label: str = "likelihood",
) -> Fit:
    r"""Minimise the mean of :math:`-\ln p_\theta` over samples, its parameters changed in place, with Adam.

    Its smallest value is the entropy of the source of the samples. Samples that are seen again and again have
    a smaller mean than new ones: judge by new ones.

    Args:
        net: the network.
        data: configurations ``(n, sites)``, of which random ones are drawn; or a function that gives a fresh
            batch each time.
        steps: optimiser steps.
        generator: source of the random numbers.
        batch: configurations a step; not used where ``data`` is a function.
        rate, last: the first and the last learning rate; it falls exponentially.
        checkpoint, label: see :func:`nnbook.train.loop.run`.

    Returns:
        The :class:`~nnbook.train.loop.Fit`; its values are in nats, of the batch at hand.

    Raises:
        ValueError: no data, a wrong number of sites, values that have no probability, a count or rate out of
            range.
    """
    check_counts(steps=steps, batch=batch)
    if not callable(data):
        check_values("data", data, ("n", net.sites))
        check_counts(data=len(data))
        rows, table = len(data), like(data, next(net.parameters()))
        log_prob(net, table)  # all have a probability

        def draw() -> Tensor:
            places = torch.randint(rows, (batch,), generator=generator, device=generator.device)
            return table[places.to(table.device)]

    else:
        source = data

        def draw() -> Tensor:
            fresh = source()
            check_values("data", fresh, ("batch", net.sites))
            check_counts(data=len(fresh))
            return fresh

    return fit(
        lambda: -net.log_prob(draw()).mean(),
        net.parameters(),
        steps=steps,
        optimiser=partial(torch.optim.Adam, lr=rate),
        schedule=_falling(rate, last, steps),
        generator=generator,
        checkpoint=checkpoint,
        label=label,
    )


def fit_free_energy(
    net: Density,
    energy: Callable[[Tensor], Tensor],
    beta: float,
    *,
    steps: int,
    generator: torch.Generator,
    batch: int = 128,
    rate: float = 1e-2,
    last: float = 1e-4,
    anneal: float = 1.0,
    checkpoint: str | Path | None = None,
    label: str = "free energy",
) -> Fit:
    r"""Minimise the variational free energy of a network of spins, changed in place, with Adam.

    .. math:: F_q = \Bigl\langle E + \frac{\ln q}{\beta} \Bigr\rangle_q \ge F, \qquad
              \nabla F_q = \frac1\beta \bigl\langle (f - \bar f)\, \nabla \ln q \bigr\rangle_q, \qquad
              f = \beta E + \ln q

    :cite:p:`wu2019`. The mean of f is taken off, which changes nothing but the noise; that vanishes with the
    variance of f as q becomes exact.

    Args:
        net: the network.
        energy: E of configurations ``(batch, sites)``, ``(batch,)``.
        beta: inverse temperature.
        steps, generator, rate, last, checkpoint, label: see :func:`fit_likelihood`.
        batch: samples a step.
        anneal: the training begins at ``anneal * beta``, which rises to beta over the first 40 % of it; below
            1 where a cold start would find some of the phases only.

    Returns:
        The :class:`~nnbook.train.loop.Fit`; its values are :math:`F_q` **at the temperature of the step**, of
        the batch at hand. Measure a trained network with :func:`weigh`.

    Raises:
        ValueError: a temperature, count or rate out of range; an energy of another shape, or not finite.
    """
    beta, anneal = positive("beta", beta), positive("anneal", anneal, most=1.0)
    check_counts(steps=steps, batch=batch)
    falling, clock = _falling(rate, last, steps), []

    def schedule(optimiser: Optimizer) -> LambdaLR:
        clock.append(falling(optimiser))  # it is part of a checkpoint, and so is the temperature
        return clock[-1]

    def loss() -> Tensor:
        x = net.sample(batch, generator=generator)
        now = beta * min(1.0, anneal + (1 - anneal) * clock[-1].last_epoch / (0.4 * steps))
        energies, log_q = energy(x).detach(), net.log_prob(x)
        check_values("energy", energies, (batch,))
        f = now * energies + log_q.detach()
        surrogate = ((f - f.mean()) * (log_q - log_q.detach())).mean()  # zero, with the slope of f
        return (f.mean() + surrogate) / now

    return fit(
        loss,
        net.parameters(),
        steps=steps,
        # the noise dies away with the error: squares of gradients must be forgotten soon
        optimiser=partial(torch.optim.Adam, lr=rate, betas=(0.9, 0.99)),
        schedule=schedule,
        generator=generator,
        checkpoint=checkpoint,
        label=label,
    )

r"""What the chapter *Building interactions with autoregressive networks* reads.

A network that knows the probability of a configuration knows a Hamiltonian too, up to a constant:
:math:`H_\theta(x) = -T \ln p_\theta(x)` is :math:`H - F` where :math:`p_\theta` is that of Boltzmann.
It is learnt from samples (:func:`fit_likelihood`) or from the energy (:func:`fit_free_energy`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import curve_fit
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from nnbook.arrays import check_counts, check_numbers, check_values, finite, positive
from nnbook.exact.enumerate import configurations
from nnbook.exact.ising2d import BETA_C, Thermodynamics, infinite, spontaneous_magnetisation, torus
from nnbook.exact.transfer import ImaginaryTime, IsingRows, double_well, instanton
from nnbook.fields.actions import XY, Ising, QuantumPath, wrap
from nnbook.fields.made import MADE, all_before, frontier
from nnbook.sample.estimates import Estimate, estimate
from nnbook.sample.importance import Importance, Value, independence_metropolis
from nnbook.train.first_order import fit
from nnbook.train.loop import Fit

__all__ = ["BETA_C", "Thermodynamics", "configurations", "infinite", "spontaneous_magnetisation", "torus"]
__all__ += ["ImaginaryTime", "IsingRows", "double_well", "instanton"]
__all__ += ["MADE", "XY", "Ising", "QuantumPath", "all_before", "frontier", "wrap"]
__all__ += [
    "Estimate",
    "Importance",
    "Value",
    "estimate",
    "independence_metropolis",
    "log_prob",
    "symmetries",
]
__all__ += ["weigh"]
__all__ += ["Hamiltonian", "fit_free_energy", "fit_likelihood"]
__all__ += ["MAGNET", "Curie", "autoregression", "critical_temperature", "free_field", "hidden_weights"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Hamiltonian:
    r"""The Hamiltonian that a network has learnt, :math:`H_\theta(x) = -T \ln p_\theta(x)`.

    Attributes:
        net: the network.
        beta: inverse temperature of what it was trained on.
        constant: F, what is added to :math:`-T \ln p_\theta`, so that energies compare with those of a model;
            :math:`-\ln Z/\beta` where that is known.
    """

    net: MADE
    beta: float
    constant: float = 0.0

    def __post_init__(self) -> None:
        positive("beta", self.beta)
        finite("constant", self.constant)

    def __call__(self, x: Tensor) -> Tensor:
        """Energies ``(batch,)`` of configurations ``(batch, sites)``."""
        return self.constant - log_prob(self.net, x) / self.beta


@torch.no_grad()
def log_prob(net: MADE, x: Tensor, *, batch: int = 4096) -> Tensor:
    r""":math:`\ln p_\theta` of many configurations, ``(n,)``, in double precision, a batch at a time.

    A network needs a hundred times the memory of its input. No gradients are kept.
    """
    check_counts(batch=batch)
    return torch.cat([net.log_prob(part).double() for part in x.split(batch)])


def symmetries(length: int) -> Tensor:
    """All shifts, turns and mirrorings of a periodic square lattice, ``(8 * length**2, length**2)``.

    ``x[:, symmetries(length)[k]]`` are configurations as probable as x: more data for nothing.

    >>> symmetries(4).shape
    torch.Size([128, 16])
    """
    check_counts(least=2, length=length)
    number = torch.arange(length**2).reshape(length, length)
    turned = [image.rot90(k) for image in (number, number.mT) for k in range(4)]
    shifts = [(a, b) for a in range(length) for b in range(length)]
    return torch.stack([image.roll(shift, (0, 1)).flatten() for image in turned for shift in shifts])


def weigh(
    net: MADE, action: Callable[[Tensor], Tensor], n: int, *, generator: torch.Generator
) -> tuple[Tensor, Importance]:
    r"""Samples of a network and their weights for an action: ``(x, Importance)``, in double precision."""
    x = net.sample(n, generator=generator).double()
    return x, Importance(-action(x) - log_prob(net, x))


def _falling(start: float, end: float, steps: int) -> Callable[[Optimizer], LambdaLR]:
    positive("rate", start)
    positive("last", end, most=start)
    return lambda optimiser: LambdaLR(optimiser, lambda step: (end / start) ** min(1.0, step / steps))


def fit_likelihood(
    net: MADE,
    data: Tensor | Callable[[], Tensor],
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
    if isinstance(data, Tensor):
        check_values("data", data, ("n", net.sites))
        check_counts(data=len(data))
        net.log_prob(data)  # all have a probability
        rows, table = len(data), data.to(net.inward)

        def draw() -> Tensor:
            places = torch.randint(rows, (batch,), generator=generator, device=generator.device)
            return table[places.to(table.device)]

    else:
        draw = data
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
    net: MADE,
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


# Gaussian fields


def free_field(shape: tuple[int, ...], mass: float) -> Tensor:
    r"""The kernel of a free scalar field, :math:`K = m^2 - \Delta` on a periodic lattice, ``(sites, sites)``.

    Raises:
        ValueError: a side below 2, a mass that is not above zero.
    """
    positive("mass", mass, most=1e50)
    check_counts(least=2, side=min(shape, default=0))
    number = torch.arange(math.prod(shape)).reshape(shape)
    kernel = (mass**2 + 2 * len(shape)) * torch.eye(number.numel(), dtype=torch.float64)
    for axis in range(len(shape)):
        for step in (1, -1):
            kernel[number.flatten(), number.roll(step, axis).flatten()] -= 1
    return kernel


def _check_kernel(kernel: Tensor) -> None:
    check_numbers("kernel", kernel)
    check_values("kernel", kernel, ("sites", len(kernel)))


def hidden_weights(kernel: Tensor, level: float, kind: str = "triangular") -> Tensor:
    r"""Weights W of a Boltzmann machine of Gaussian units whose visible field has the kernel K.

    With hidden units h of variance one,
    :math:`p(\phi) \propto \int dh\, e^{-\mu^2\phi^2/2 + \phi W h - h^2/2}` has
    :math:`K = \mu^2 - W W^T`: any root of :math:`\mu^2 - K` will do, and any rotation of the hidden units.

    Args:
        kernel: K, symmetric, ``(sites, sites)``.
        level: :math:`\mu^2`, at least the largest eigenvalue of K.
        kind: ``"triangular"`` (Cholesky) or ``"symmetric"``.

    Raises:
        ValueError: a level below the spectrum, an unknown kind.
    """
    _check_kernel(kernel)
    finite("level", level)
    values, modes = torch.linalg.eigh(level * torch.eye(len(kernel)).to(kernel) - kernel)
    if float(values[0]) < -1e-10 * abs(level):
        top = level - float(values[0])
        raise ValueError(
            f"level: got {level:g}, expected at least the largest eigenvalue of the kernel, {top:g}"
        )
    root = modes * values.clamp(min=0).sqrt()
    if kind == "symmetric":
        symmetric: Tensor = root @ modes.mT
        return symmetric
    if kind != "triangular":
        raise ValueError(f"kind: got {kind!r}, expected 'triangular' or 'symmetric'")
    upper: Tensor = torch.linalg.qr(root.mT).R  # of a semidefinite matrix too
    return (upper * torch.where(upper.diagonal() < 0, -1.0, 1.0).to(upper)[:, None]).mT


def autoregression(kernel: Tensor) -> tuple[Tensor, Tensor]:
    r"""The factors of a Gaussian field site by site: :math:`K = (1 - A)^T D\, (1 - A)`, A strictly lower.

    Then :math:`p(\phi_i \mid \phi_{<i})` has the mean :math:`\sum_j A_{ij}\phi_j` and the variance
    :math:`1/D_i`.

    Returns:
        A ``(sites, sites)`` and D ``(sites,)``.

    Raises:
        ValueError: a kernel that is not positive.
    """
    _check_kernel(kernel)
    inverse, singular = torch.linalg.inv_ex(kernel)
    lower, failed = torch.linalg.cholesky_ex(inverse)
    if int(singular) or int(failed):
        raise ValueError("kernel: got one that is not positive, expected no eigenvalue at or below zero")
    scales = lower.diagonal()
    inverse = torch.linalg.solve_triangular(lower / scales, torch.eye(len(kernel)).to(kernel), upper=False)
    return torch.eye(len(kernel)).to(kernel) - inverse, scales**-2


# A ferromagnet

#: Temperatures in kelvin and saturation magnetisations in emu/cc of a film of CoFeB, from the talk.
MAGNET = np.array(
    [[50, 961.16], [100, 925.25], [150, 877.73], [200, 818.17], [250, 753.31], [300, 673.427]], dtype=float
)


@dataclass(frozen=True)
class Curie:
    """A law of magnetisation fitted to a table.

    Attributes:
        temperature: the critical one, in kelvin.
        magnetisation: at zero temperature, in emu/cc.
        misfit: root of the mean square of the residuals over the degrees of freedom, in units of the errors.
    """

    temperature: Value
    magnetisation: Value
    misfit: float


def critical_temperature(
    table: Array = MAGNET, *, exponent: float = 1 / 3, power: float = 1.0, errors: Array | None = None
) -> Curie:
    r"""Fit :math:`M_s(T) = M_s(0)\, [1 - (T/T_C)^p]^{\beta}` by least squares.

    Args:
        table: temperatures and magnetisations, ``(n, 2)``.
        exponent: :math:`\beta`, 1/3 in the talk; with ``power=1.5`` and exponent 1 it is Bloch's law.
        power: p.
        errors: of the magnetisations up to a common factor, ``(n,)``; equal if absent. The factor comes from
            the residuals.

    Raises:
        ValueError: fewer than three rows, or numbers that are not above zero.
    """
    check_values("table", table, ("n", 2))
    check_counts(least=3, rows=len(table))
    for name, numbers in (("table", table), ("errors", np.ones(1) if errors is None else errors)):
        if not (numbers > 0).all():
            raise ValueError(f"{name}: got {numbers.min():g}, expected numbers above zero")
    kelvin, measured = table.T

    def law(t: Array, critical: float, zero: float) -> Array:
        below = np.clip(1 - (t / critical) ** power, 1e-12, None)
        magnetisation: Array = zero * below**exponent
        return magnetisation

    scale = np.ones(len(table)) if errors is None else errors / errors.mean()
    check_values("errors", scale, (len(table),))
    start = (1.5 * kelvin.max(), 1.1 * measured.max())
    best, covariance = curve_fit(law, kelvin, measured, start, sigma=scale)
    critical, zero = (
        Value(float(v), float(e)) for v, e in zip(best, np.sqrt(np.diag(covariance)), strict=True)
    )
    rest = (measured - law(kelvin, *best)) / scale
    return Curie(critical, zero, float(np.sqrt(rest @ rest / (len(table) - 2))))

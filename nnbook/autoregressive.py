r"""What the chapter *Building interactions with autoregressive networks* reads.

A network that knows the probability of a configuration knows a Hamiltonian too, up to a constant:
:math:`H_\theta(x) = -T \ln p_\theta(x)` is :math:`H - F` where :math:`p_\theta` is that of Boltzmann.
It is learnt from samples (:func:`~nnbook.fields.learning.fit_likelihood`)
or from the energy (:func:`~nnbook.fields.learning.fit_free_energy`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nnbook.arrays import check_counts, check_numbers, check_values, finite, positive
from nnbook.exact.enumerate import configurations
from nnbook.exact.ising2d import BETA_C, Thermodynamics, infinite, spontaneous_magnetisation, torus
from nnbook.exact.transfer import IsingRows
from nnbook.fields.actions import Ising, symmetries
from nnbook.fields.learning import Hamiltonian, fit_free_energy, fit_likelihood, log_prob, weigh
from nnbook.fields.made import MADE, all_before, frontier
from nnbook.sample.estimates import Estimate, autocorrelation, estimate
from nnbook.sample.importance import Importance, Value, independence_metropolis
from nnbook.train.log_weights import fit_log_weights

__all__ = ["BETA_C", "Thermodynamics", "configurations", "infinite", "spontaneous_magnetisation", "torus"]
__all__ += ["MADE", "Ising", "IsingRows", "all_before", "frontier"]
__all__ += [
    "Estimate",
    "Importance",
    "Value",
    "autocorrelation",
    "estimate",
    "independence_metropolis",
    "log_prob",
    "symmetries",
]
__all__ += ["weigh"]
__all__ += ["Hamiltonian", "fit_free_energy", "fit_likelihood", "fit_log_weights"]
__all__ += ["autoregression", "free_field", "hidden_weights"]


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
    check_values("kernel", kernel, ("sites", "sites"))
    check_counts(sites=len(kernel))
    check_values("kernel", kernel, (len(kernel), len(kernel)))
    skew = float((kernel - kernel.mT).abs().max())
    if skew > 8 * torch.finfo(kernel.dtype).eps * float(kernel.abs().max()):
        raise ValueError(
            f"kernel: got one that differs from its transpose by {skew:g}, expected a symmetric one; "
            "take (kernel + kernel.mT) / 2"
        )


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
        ValueError: a kernel that is not symmetric, a level below the spectrum, an unknown kind.
    """
    _check_kernel(kernel)
    finite("level", level)
    values, modes = torch.linalg.eigh(level * torch.eye(len(kernel)).to(kernel) - kernel)
    if float(values[0]) < -8 * len(kernel) * torch.finfo(kernel.dtype).eps * abs(level):
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
        ValueError: a kernel that is not symmetric or not positive.
    """
    _check_kernel(kernel)
    inverse, singular = torch.linalg.inv_ex(kernel)
    lower, failed = torch.linalg.cholesky_ex(inverse)
    if int(singular) or int(failed):
        raise ValueError("kernel: got one that is not positive, expected no eigenvalue at or below zero")
    scales = lower.diagonal()
    inverse = torch.linalg.solve_triangular(lower / scales, torch.eye(len(kernel)).to(kernel), upper=False)
    return torch.eye(len(kernel)).to(kernel) - inverse, scales**-2

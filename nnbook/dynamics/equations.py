r"""Differential equations for physics-informed networks, with their exact or independent answers.

A residual takes points and the :class:`~nnbook.derivatives.Jet` of a network there.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from nnbook.arrays import seen
from nnbook.derivatives import Jet


def oscillator(x: Tensor, u: Jet, *, damping: float | Tensor, frequency: float | Tensor) -> Tensor:
    r"""The residual of the damped oscillator, :math:`\ddot u + 2\gamma \dot u + \omega^2 u`."""
    friction, force = 2 * damping * u.slope[0], frequency * frequency * u.value
    return u.bend[0] + friction + force


def oscillation(t: Tensor, *, damping: float, frequency: float) -> Tensor:
    r"""The motion of the damped oscillator from :math:`u(0) = 1`, :math:`\dot u(0) = 0`.

    .. math:: u(t) = e^{-\gamma t} \left(\cos\Omega t + \frac{\gamma}{\Omega} \sin\Omega t\right),
              \qquad \Omega^2 = \omega^2 - \gamma^2

    Raises:
        ValueError: damping at or above the frequency, where nothing oscillates.
    """
    if not 0 <= damping < frequency:
        raise ValueError(f"damping: got {damping}, expected from 0 to below frequency = {frequency}")
    ringing = math.sqrt(frequency**2 - damping**2)
    return torch.exp(-damping * t) * (torch.cos(ringing * t) + damping / ringing * torch.sin(ringing * t))


def _check_sizes(equation: str, u: Jet, outputs: int) -> None:
    got = len(u.slope), u.value.shape[1]
    if got != (2, outputs):
        raise ValueError(
            f"u: got a network of {got[0]} inputs and {got[1]} outputs, expected 2 and {outputs} for "
            f"{equation}; make it with MLP(2, ..., {outputs})"
        )


def burgers(x: Tensor, u: Jet, *, viscosity: float) -> Tensor:
    r"""The residual of Burgers' equation, :math:`u_t + u\,u_x - \nu\,u_{xx}`, at points (t, x).

    Raises:
        ValueError: a network with other than two inputs and one output.
    """
    _check_sizes("Burgers' equation", u, 1)
    return u.slope[0] + u.value * u.slope[1] - viscosity * u.bend[1]


def cole_hopf(t: Tensor, x: Tensor, *, viscosity: float, nodes: int = 200) -> Tensor:
    r"""The solution of Burgers' equation from :math:`u(0, x) = -\sin \pi x` :cite:p:`cole1951,hopf1950`.

    .. math:: u(t, x) = -\frac{\int \sin(\pi y)\, f(y)\, e^{-z^2} dz}{\int f(y)\, e^{-z^2} dz}, \quad
              y = x - \sqrt{4 \nu t}\, z, \quad \ln f(y) = -\frac{\cos \pi y}{2 \pi \nu},

    by Gauss-Hermite quadrature; f spans many orders of magnitude, so it stays in the exponent.

    Args:
        t, x: times from 0 and places, of one shape.
        viscosity: :math:`\nu > 0`.
        nodes: of the quadrature.

    Raises:
        ValueError: a viscosity that is not above zero, fewer than 1 or more than 370 nodes, times and places
            that are no tensors of one shape, a negative time.

    >>> start, place = torch.tensor([0.0, 0.5], dtype=torch.float64)
    >>> round(cole_hopf(start, place, viscosity=0.01).item(), 12)
    -1.0
    """
    if not viscosity > 0:
        raise ValueError(f"viscosity: got {viscosity}, expected a number above zero")
    if not 1 <= nodes <= 370:  # beyond, NumPy's Hermite polynomials overflow
        raise ValueError(f"nodes: got {nodes}, expected from 1 to 370")
    if not isinstance(t, Tensor) or not isinstance(x, Tensor) or t.shape != x.shape:
        raise ValueError(
            f"t: got {seen(t)} and for x {seen(x)}, expected tensors of one shape; use torch.full_like(x, t)"
        )
    if (t < 0).any():
        raise ValueError(f"t: got {t.min():g}, expected no time before the start at 0")
    z, weight = (torch.as_tensor(v) for v in np.polynomial.hermite.hermgauss(nodes))
    y = torch.pi * (x[..., None] - torch.sqrt(4 * viscosity * t)[..., None] * z.to(x))
    share = torch.softmax(weight.log().to(x) - torch.cos(y) / (2 * torch.pi * viscosity), -1)
    return -(share * torch.sin(y)).sum(-1)


def schroedinger(x: Tensor, u: Jet) -> Tensor:
    r"""The residual of :math:`i h_t + \frac12 h_{xx} + |h|^2 h = 0` at points (t, x).

    The outputs of the network are the real and the imaginary part of h, and so are those of the residual.

    Raises:
        ValueError: a network with other than two inputs and two outputs.
    """
    _check_sizes("Schrödinger's equation", u, 2)
    h_t, bent = u.slope[0], 0.5 * u.bend[1] + u.value.square().sum(1, keepdim=True) * u.value
    return bent + torch.stack([-h_t[:, 1], h_t[:, 0]], 1)


def breather(t: Tensor, x: Tensor) -> Tensor:
    r"""The bound state of two solitons that grows from :math:`2 \operatorname{sech} x` :cite:p:`satsuma1974`.

    .. math:: h(t, x) = 4 e^{it/2}\, \frac{\cosh 3x + 3 e^{4it} \cosh x}{\cosh 4x + 4 \cosh 2x + 3 \cos 4t}
    """
    above = torch.cosh(3 * x) + 3 * torch.exp(4j * t) * torch.cosh(x)
    below = torch.cosh(4 * x) + 4 * torch.cosh(2 * x) + 3 * torch.cos(4 * t)
    return 4 * torch.exp(0.5j * t) * above / below


def split_step(h: Tensor, *, length: float, duration: float, steps: int, order: int = 4) -> Tensor:
    r"""Evolve a complex field by :math:`i h_t + \frac12 h_{xx} + |h|^2 h = 0` on a ring.

    Each step alternates the exact flows of the two parts :cite:p:`strang1968`, one of them in Fourier space;
    three such steps, one of them backwards, make a step of fourth order :cite:p:`yoshida1990`.

    Args:
        h: the field at the start, on ``sites`` equal intervals of the ring.
        length: of the ring.
        duration: of the evolution.
        steps: how many.
        order: 2 or 4.

    Returns:
        The field after each step, the start included, ``(steps + 1, sites)``.

    Raises:
        ValueError: another order, fewer than one step, a length that is not above zero.
    """
    if order not in (2, 4) or steps < 1:
        raise ValueError(f"order: got {order} with {steps} steps, expected 2 or 4, with at least one step")
    if not length > 0:
        raise ValueError(f"length: got {length}, expected a number above zero")
    triple = 1 / (2 - 2 ** (1 / 3))
    parts = [1.0] if order == 2 else [triple, 1 - 2 * triple, triple]
    momentum = 2 * torch.pi * torch.fft.fftfreq(h.shape[-1], length / h.shape[-1], dtype=torch.float64)
    frames = [h]
    for _ in range(steps):
        for dt in (part * duration / steps for part in parts):
            h = h * torch.exp(0.5j * dt * h.abs().square())
            h = torch.fft.ifft(torch.exp(-0.5j * dt * momentum.square()) * torch.fft.fft(h))
            h = h * torch.exp(0.5j * dt * h.abs().square())
        frames.append(h)
    return torch.stack(frames)

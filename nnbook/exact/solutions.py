r"""Known solutions of differential equations: in closed form, by quadrature, or by a split step."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Field = NDArray[np.complex128]


def oscillation(t: ArrayLike, *, damping: float, frequency: float) -> Array:
    r"""The motion of the damped oscillator from :math:`u(0) = 1`, :math:`\dot u(0) = 0`.

    .. math:: u(t) = e^{-\gamma t} \left(\cos\Omega t + \frac{\gamma}{\Omega} \sin\Omega t\right),
              \qquad \Omega^2 = \omega^2 - \gamma^2

    Raises:
        ValueError: damping at or above the frequency, where nothing oscillates.
    """
    if not 0 <= damping < frequency:
        raise ValueError(f"damping: got {damping}, expected from 0 to below frequency = {frequency}")
    t, ringing = np.asarray(t, dtype=float), math.sqrt(frequency**2 - damping**2)
    wave = np.cos(ringing * t) + damping / ringing * np.sin(ringing * t)
    moved: Array = np.exp(-damping * t) * wave
    return moved


def cole_hopf(t: ArrayLike, x: ArrayLike, *, viscosity: float, nodes: int = 200) -> Array:
    r"""The solution of Burgers' equation from :math:`u(0, x) = -\sin \pi x` :cite:p:`cole1951,hopf1950`.

    .. math:: u(t, x) = -\frac{\int \sin(\pi y)\, f(y)\, e^{-z^2} dz}{\int f(y)\, e^{-z^2} dz}, \quad
              y = x - \sqrt{4 \nu t}\, z, \quad \ln f(y) = -\frac{\cos \pi y}{2 \pi \nu},

    by Gauss-Hermite quadrature; f spans many orders of magnitude, so it stays in the exponent.

    Args:
        t, x: times from 0 and places, of shapes that fit each other.
        viscosity: :math:`\nu > 0`.
        nodes: of the quadrature.

    Raises:
        ValueError: a viscosity that is not above zero, fewer than 1 or more than 370 nodes, a negative time,
            times and places of shapes that do not fit.

    >>> [round(float(u), 12) for u in cole_hopf(0.0, [-0.5, 0.5], viscosity=0.01)]
    [1.0, -1.0]
    """
    if not viscosity > 0:
        raise ValueError(f"viscosity: got {viscosity}, expected a number above zero")
    if not 1 <= nodes <= 370:  # beyond, NumPy's Hermite polynomials overflow
        raise ValueError(f"nodes: got {nodes}, expected from 1 to 370")
    t, x = np.broadcast_arrays(np.asarray(t, dtype=float), np.asarray(x, dtype=float))
    if not (t >= 0).all():
        raise ValueError(f"t: got {t.min():g}, expected no time before the start at 0")
    z, weight = np.polynomial.hermite.hermgauss(nodes)
    y = np.pi * (x[..., None] - np.sqrt(4 * viscosity * t)[..., None] * z)
    exponent = np.log(weight) - np.cos(y) / (2 * np.pi * viscosity)
    share = np.exp(exponent - exponent.max(-1, keepdims=True))
    averaged: Array = -(share * np.sin(y)).sum(-1) / share.sum(-1)
    return averaged


def breather(t: ArrayLike, x: ArrayLike) -> Field:
    r"""The bound state of two solitons that grows from :math:`2 \operatorname{sech} x` :cite:p:`satsuma1974`.

    .. math:: h(t, x) = 4 e^{it/2}\, \frac{\cosh 3x + 3 e^{4it} \cosh x}{\cosh 4x + 4 \cosh 2x + 3 \cos 4t}
    """
    t, x = np.asarray(t, dtype=float), np.asarray(x, dtype=float)
    above = np.cosh(3 * x) + 3 * np.exp(4j * t) * np.cosh(x)
    below = np.cosh(4 * x) + 4 * np.cosh(2 * x) + 3 * np.cos(4 * t)
    h: Field = 4 * np.exp(0.5j * t) * above / below
    return h


def split_step(h: ArrayLike, *, length: float, duration: float, steps: int, order: int = 4) -> Field:
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
    frames = np.empty((steps + 1, np.size(h)), dtype=complex)
    frames[0] = now = np.asarray(h, dtype=complex)
    momentum = 2 * np.pi * np.fft.fftfreq(len(now), length / len(now))
    times = [part * duration / steps for part in parts]
    free = [np.exp(-0.5j * dt * momentum**2) for dt in times]
    for k in range(steps):
        for dt, flow in zip(times, free, strict=True):
            now = now * np.exp(0.5j * dt * np.abs(now) ** 2)
            now = np.fft.ifft(flow * np.fft.fft(now))
            now = now * np.exp(0.5j * dt * np.abs(now) ** 2)
        frames[k + 1] = now
    return frames

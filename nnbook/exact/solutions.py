r"""Known solutions of differential equations: in closed form, by quadrature, or by a split step."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnbook.exact.ranges import check_counts, finite, positive

Array = NDArray[np.float64]
Field = NDArray[np.complex128]

MOST = 1e6  # nodes of the trapezoidal rule
LOST = 27.0  # what quadrature leaves out is e^-27 = 2e-12 of the whole


def oscillation(t: ArrayLike, *, damping: float, frequency: float) -> Array:
    r"""The motion of the damped oscillator from :math:`u(0) = 1`, :math:`\dot u(0) = 0`.

    .. math:: u(t) = e^{-\gamma t} \left(\cos\Omega t + \frac{\gamma}{\Omega} \sin\Omega t\right),
              \qquad \Omega^2 = \omega^2 - \gamma^2

    Raises:
        ValueError: damping at or above the frequency, where nothing oscillates.
    """
    positive("frequency", frequency, most=1e100)
    finite("damping", damping)
    if not 0 <= damping < frequency:
        raise ValueError(f"damping: got {damping}, expected from 0 to below frequency = {frequency}")
    t, ringing = np.asarray(t, dtype=float), math.sqrt(frequency**2 - damping**2)
    wave = np.cos(ringing * t) + damping / ringing * np.sin(ringing * t)
    moved: Array = np.exp(-damping * t) * wave
    return moved


def cole_hopf(t: ArrayLike, x: ArrayLike, *, viscosity: float, nodes: int | None = None) -> Array:
    r"""The solution of Burgers' equation from :math:`u(0, x) = -\sin \pi x` :cite:p:`cole1951,hopf1950`.

    .. math:: u(t, x) = -\frac{\int \sin(\pi y)\, f(y)\, e^{-z^2} dz}{\int f(y)\, e^{-z^2} dz}, \quad
              y = x - \sqrt{4 \nu t}\, z, \quad \ln f(y) = -\frac{\cos \pi y}{2 \pi \nu},

    by the trapezoidal rule, to ten digits; f spans many orders of magnitude, so it stays in the exponent.

    The integrand is largest where a characteristic :math:`x - y = u(0, y)\, t` ends, hence at
    :math:`|z| \le z_0 = \min(t, 1) / s` with :math:`s = \sqrt{4 \nu t}`. Beyond :math:`z_0 + \sqrt{27}` it is
    below :math:`e^{-27}` of that. At a height a over the real axis it is larger by at most :math:`e^{g(a)}`,

    .. math:: g = a^2 + \pi s a + \frac{\cosh(\pi s a) - 1}{2 \pi \nu},

    so the error of the rule with step h is :math:`e^{g(a) - 2 \pi a / h}` for any a :cite:p:`trefethen2014`.

    Args:
        t, x: times from 0 and places, of shapes that fit each other.
        viscosity: :math:`\nu > 0`.
        nodes: of the rule; as many as it needs if absent.

    Raises:
        ValueError: a viscosity that is not above zero, fewer nodes than the rule needs, a time below zero,
            times and places that are not finite or of shapes that do not fit, a problem
            that needs more than a million nodes.

    >>> [round(float(u), 12) for u in cole_hopf(0.0, [-0.5, 0.5], viscosity=0.01)]
    [1.0, -1.0]
    """
    positive("viscosity", viscosity)
    t, x = _fitting(t, x)
    latest = finite("t", t.max(initial=0.0))
    finite("t", t.min(initial=0.0), least=0, remedy="time starts at 0")
    finite("x", np.abs(x).max(initial=0.0))
    reach, needed = _trapezoid(latest, viscosity)
    nodes = needed if nodes is None else nodes
    check_counts(least=needed, nodes=nodes)
    z = np.linspace(-reach, reach, nodes)
    y = np.pi * (x[..., None] - np.sqrt(4 * viscosity * t)[..., None] * z)
    exponent = -(z**2) - np.cos(y) / (2 * np.pi * viscosity)
    share = np.exp(exponent - exponent.max(-1, keepdims=True))
    averaged: Array = -(share * np.sin(y)).sum(-1) / share.sum(-1)
    return averaged


def _fitting(t: ArrayLike, x: ArrayLike) -> tuple[Array, Array]:
    """Times and places of one shape."""
    t, x = np.asarray(t, dtype=float), np.asarray(x, dtype=float)
    try:
        shape = np.broadcast_shapes(t.shape, x.shape)
    except ValueError as error:
        raise ValueError(
            f"t and x: got the shapes {t.shape} and {x.shape}, expected shapes that fit each other; for all "
            "pairs write t[:, None]"
        ) from error
    return np.broadcast_to(t, shape), np.broadcast_to(x, shape)


def _trapezoid(latest: float, viscosity: float) -> tuple[float, int]:
    """How far the rule of :func:`cole_hopf` has to reach, and how many nodes it needs to lose e^-27."""
    reach = math.sqrt(LOST) + math.sqrt(min(latest, 1 / max(latest, 1)) / (4 * viscosity))
    a = np.geomspace(1e-3, 1e3, 1000)
    turn = np.pi * math.sqrt(4 * viscosity * latest) * a
    growth = a**2 + turn + (np.cosh(np.minimum(turn, 700)) - 1) / (2 * np.pi * viscosity)
    nodes = 2 * reach / (2 * np.pi * a / (LOST + growth)).max()
    if not nodes < MOST:
        raise ValueError(
            f"viscosity: got {viscosity:g} with times up to {latest:g}, where the rule needs {nodes:.1g} "
            f"nodes; expected a problem for at most {MOST:.0g}"
        )
    return reach, math.ceil(nodes)


def breather(t: ArrayLike, x: ArrayLike) -> Field:
    r"""The bound state of two solitons that grows from :math:`2 \operatorname{sech} x` :cite:p:`satsuma1974`.

    .. math:: h(t, x) = 4 e^{it/2}\, \frac{\cosh 3x + 3 e^{4it} \cosh x}{\cosh 4x + 4 \cosh 2x + 3 \cos 4t}

    Raises:
        ValueError: times and places of shapes that do not fit.
    """
    t, x = _fitting(t, x)
    far = np.exp(-np.abs(x))
    # both over e^(4|x|), or else they would overflow
    above = far + far**7 + 3 * np.exp(4j * t) * (far**3 + far**5)
    below = 1 + far**8 + 4 * (far**2 + far**6) + 6 * np.cos(4 * t) * far**4
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
        ValueError: another order, fewer than one step, a length that is not above zero, a duration or field
            that is not finite, numbers that overflow on the way.
    """
    check_counts(steps=steps)
    positive("length", length)
    finite("duration", duration)
    if finite("order", order) not in (2, 4):
        raise ValueError(f"order: got {order}, expected 2 or 4")
    start = np.asarray(h, dtype=complex)
    if start.ndim != 1 or not len(start) or not np.isfinite(start).all():
        raise ValueError(f"h: got shape {start.shape}, expected finite numbers (sites,)")
    triple = 1 / (2 - 2 ** (1 / 3))
    parts = [1.0] if order == 2 else [triple, 1 - 2 * triple, triple]
    frames = np.empty((steps + 1, np.size(h)), dtype=complex)
    frames[0] = now = start
    momentum = 2 * np.pi * np.fft.fftfreq(len(now), length / len(now))
    times = [part * duration / steps for part in parts]
    free = [np.exp(-0.5j * dt * momentum**2) for dt in times]
    for k in range(steps):
        for dt, flow in zip(times, free, strict=True):
            now = now * np.exp(0.5j * dt * np.abs(now) ** 2)
            now = np.fft.ifft(flow * np.fft.fft(now))
            now = now * np.exp(0.5j * dt * np.abs(now) ** 2)
        frames[k + 1] = now
    if not np.isfinite(frames).all():
        raise ValueError(
            f"length: got {length:g} for {len(start)} sites, whose frequencies overflow, "
            "expected a longer ring"
        )
    return frames

r"""What the chapter *When is a network a spacetime?* reads.

A particle moves by :math:`\ddot x = h(t)\,\dot x + V'(x)`. Known are starts :math:`(x_0, v_0)` from which it
is at rest at the time T; they lie on a curve of the plane. Wanted is the friction h, the only weights of a
network whose depth is time. :class:`Motion` is that network, :func:`find_friction` the search.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from scipy.interpolate import BSpline
from torch import Tensor

from nnbook.arrays import check_counts, check_numbers, check_values, finite, like, positive
from nnbook.dynamics.integrators import Method, euler, integrate, leapfrog, midpoint, rk4
from nnbook.train.inverse import choose, invert

__all__ = ["Found", "Misses", "Motion", "Shot", "choose", "euler", "find_friction", "hamiltonian_layer"]
__all__ += ["integrate", "invert", "leapfrog", "midpoint", "rk4", "smoothed", "splines", "taylor"]

Function = Callable[[Tensor], Tensor]


def taylor(kernel: Tensor, spacing: float) -> Tensor:
    r"""What a convolution does to a smooth field: coefficients of the field and its derivatives, ``(taps,)``.

    With an odd number of taps :math:`k_j` at the distances :math:`j\Delta x` the output is
    :math:`\sum_n c_n\, \partial_x^n\phi` with :math:`c_n = \sum_j k_j (j\Delta x)^n / n!`. For three taps
    these are a, b and c of :math:`a\phi + b\phi' + c\phi''`. The orientation is that of ``torch.conv1d``.

    Raises:
        ValueError: an even number of taps, a spacing that is not above zero.

    >>> taylor(torch.tensor([1.0, -2.0, 1.0]), 1.0)
    tensor([0., 0., 1.])
    """
    check_numbers("kernel", kernel)
    check_values("kernel", kernel, ("taps",))
    if len(kernel) % 2 == 0:
        raise ValueError(f"kernel: got {len(kernel)} taps, expected an odd number, one in the middle")
    reach = len(kernel) // 2
    at = positive("spacing", spacing) * torch.arange(-reach, reach + 1).to(kernel)
    return torch.stack([kernel @ at**n / math.factorial(n) for n in range(len(kernel))])


def hamiltonian_layer(
    x: Tensor,
    step: float,
    weights: tuple[float, float, float, float],
    *,
    scales: tuple[float, float, float, float] = (0.0, 1.0, 0.0, 1.0),
    activations: tuple[Function, Function] = (torch.sin, torch.sin),
) -> Tensor:
    r"""One layer of the talk's network for Hamilton's equations, of positions and momenta ``(..., 2)``.

    Four units :math:`(f, q, p, g)`: a matrix W, an activation for each unit, and a matrix :math:`\tilde W`
    that adds the outer units to the inner ones.

    Args:
        x: q and p, ``(..., 2)``.
        step: :math:`\Delta t`.
        weights: :math:`w_{11}, w_{12}, w_{21}, w_{22}`; Hamiltonian if and only if :math:`w_{22} = -w_{11}`.
        scales: :math:`\lambda_1, v, \lambda_2, u`.
        activations: f and g.

    Raises:
        ValueError: states with other than two columns.
    """
    check_numbers("x", x)
    check_values("x", x.detach(), ("...", 2))
    finite("step", step)
    w11, w12, w21, w22 = weights
    l1, v, l2, u = scales
    f, g = activations
    inner = [[0, 0, v, 0], [0, 1 + step * w11, step * w12, 0]]
    inner += [[0, step * w21, 1 + step * w22, 0], [0, u, 0, 0]]
    outer = [[0, 0, 0, 0], [l1, 1, 0, 0], [0, 0, 1, l2], [0, 0, 0, 0]]
    zero = torch.zeros_like(x[..., :1])
    z = torch.cat([zero, x, zero], -1) @ like(inner, x).mT
    y = torch.stack([step * f(z[..., 0]), z[..., 1], z[..., 2], step * g(z[..., 3])], -1)
    return (y @ like(outer, x).mT)[..., 1:3]


# Find a Hamiltonian


class Shot(NamedTuple):
    r"""Where a motion ends: the speed at T ``(n,)`` and its derivatives by start and friction.

    ``by_start`` is ``(n, 2)``. For each shape :math:`B_k(t)` a column of ``by_shape`` ``(n, shapes)`` says
    how the speed changes if :math:`h \to h + \epsilon B_k`.
    """

    speed: Tensor
    by_start: Tensor
    by_shape: Tensor


class Misses(NamedTuple):
    """Distances of points from a stop curve, ``(n,)``, and their derivatives by friction ``(n, shapes)``."""

    distance: Tensor
    by_shape: Tensor


@dataclass(frozen=True, eq=False)
class Motion:
    r"""The network of :math:`\ddot x = h(t)\,\dot x + V'(x)`: a layer a step, the friction its weights.

    Attributes:
        force: :math:`V'(x)`, for a tensor of positions. The well is :math:`-V`.
        stiffness: :math:`V''(x)`.
        end: T, when the particle shall be at rest.
        steps: the number of layers.
        method: how a layer steps.

    Raises:
        ValueError: an end that is not above zero, no steps.
    """

    force: Function
    stiffness: Function
    end: float = 10.0
    steps: int = 80
    method: Method = rk4

    def __post_init__(self) -> None:
        positive("end", self.end, most=1e6)
        check_counts(steps=self.steps)

    @property
    def times(self) -> Tensor:
        """When a layer may read the friction, at ends and middles of steps, ``(2 * steps + 1,)``."""
        return torch.linspace(0, self.end, 2 * self.steps + 1, dtype=torch.float64)

    def shoot(self, starts: Tensor, friction: Tensor, shapes: Tensor | None = None) -> Shot:
        r"""Carry starts to the end, together with their tangents: one linear equation for each derivative.

        .. math:: \delta\ddot x = h\,\delta\dot x + V''(x)\,\delta x + B_k(t)\,\dot x

        Args:
            starts: positions and velocities, ``(n, 2)``.
            friction: h at the :attr:`times`.
            shapes: :math:`B_k` at the times, ``(2 * steps + 1, shapes)``; none if absent.

        Raises:
            ValueError: starts or friction of another shape, or not finite.
        """
        check_values("starts", starts, ("n", 2), dtype=torch.float64)
        check_values("friction", friction, (2 * self.steps + 1,), dtype=torch.float64)
        shapes = friction.new_zeros(len(friction), 0) if shapes is None else shapes
        check_values("shapes", shapes, (2 * self.steps + 1, "shapes"), dtype=torch.float64)
        unit = torch.eye(2, dtype=starts.dtype).expand(len(starts), 2, 2)
        bundle = torch.cat([starts[:, :, None], unit, starts.new_zeros(len(starts), 2, shapes.shape[1])], 2)
        field = partial(self._field, friction, shapes)
        end = integrate(self.method, field, bundle, self.times[::2])[-1, :, 1]
        return Shot(end[:, 0], end[:, 1:3], end[:, 3:])

    def _field(self, friction: Tensor, shapes: Tensor, t: Tensor, bundle: Tensor) -> Tensor:
        at = round(float(t) * 2 * self.steps / self.end)
        x, v = bundle.unbind(1)
        kick = friction[at] * v + self.stiffness(x[:, :1]) * x
        kick[:, 0] += self.force(x[:, 0]) - self.stiffness(x[:, 0]) * x[:, 0]
        kick[:, 3:] += v[:, :1] * shapes[at]
        return torch.stack([v, kick], 1)

    def onto_curve(self, starts: Tensor, friction: Tensor, *, rounds: int = 4, stride: float = 0.2) -> Tensor:
        """Move starts ``(n, 2)`` along the gradient of the final speed, until the particle stops there.

        Some rounds of Newton's method, none of them longer than ``stride``. Close to the curve its nearest
        point is found.
        """
        check_counts(least=0, rounds=rounds)
        positive("stride", stride)
        for _ in range(rounds):
            shot = self.shoot(starts, friction)
            size = shot.by_start.norm(dim=1)
            move = (shot.speed / size).clamp(-stride, stride) / size
            starts = starts - move[:, None] * shot.by_start
        return starts

    def misses(self, starts: Tensor, friction: Tensor, shapes: Tensor | None = None) -> Misses:
        r"""How far starts are from the stop curve of a friction, with a sign, and the derivatives.

        The distance is measured along the normal of the curve, at the nearest point that
        :meth:`onto_curve` finds. The residual :math:`v(T)` itself would not do: friction strong enough makes
        every particle stop.
        """
        on = self.onto_curve(starts, friction)
        shot = self.shoot(on, friction, shapes)
        size = shot.by_start.norm(dim=1)
        along = ((starts - on) * shot.by_start).sum(1)
        return Misses((along + shot.speed) / size, shot.by_shape / size[:, None])


def splines(count: int, times: Tensor) -> Tensor:
    """Cubic B-splines on equal intervals between the first and the last time, ``(times, count)``.

    Raises:
        ValueError: fewer than four splines, or than two times.
    """
    check_counts(least=4, count=count)
    check_values("times", times, ("n",), dtype=torch.float64)
    check_counts(least=2, times=len(times))
    low, high = float(times[0]), float(times[-1])
    positive("times", high - low, remedy="let the last be later than the first")
    knots = np.concatenate([[low] * 3, np.linspace(low, high, count - 2), [high] * 3])
    inside = np.clip(times.numpy(), low, high - 1e-12 * (high - low))
    return torch.from_numpy(BSpline.design_matrix(inside, knots, 3).toarray())


@dataclass(frozen=True, eq=False)
class Found:
    r"""A friction found from starts that stop.

    Attributes:
        times: where it is known, ``(times,)``.
        friction: h there.
        band: its standard error, from the scatter of the starts and the smoothness assumed.
        coefficients: of the splines, ``(count,)``.
        noise: scatter of the starts about the curve, as estimated.
        freedom: how many numbers the data have determined.
        rounds: Gauss-Newton steps in all, none if the distances were taken as linear.
    """

    times: Tensor
    friction: Tensor
    band: Tensor
    coefficients: Tensor
    noise: float
    freedom: float
    rounds: int = 0

    def __repr__(self) -> str:
        return (
            f"friction from {float(self.friction.min()):.3f} to {float(self.friction.max()):.3f}, "
            f"band ± {float(self.band.mean()):.4f}, {self.freedom:.1f} numbers determined, "
            f"starts scatter by {self.noise:.4f}"
        )


def smoothed(motion: Motion, miss: Misses, at: Tensor, strengths: Sequence[float]) -> Found:
    r"""The friction that brings points onto the curve, if their distances were linear in its splines.

    Second differences of the coefficients are kept small. How small is chosen blind: of the strengths that
    with the least score of cross-validation :cite:p:`craven1979`. The band is that of the posterior if the
    penalty is a prior :cite:p:`wahba1983`, so it does not know what the penalty holds back.

    Args:
        motion: the equation.
        miss: distances of the points and their derivatives, at the present coefficients.
        at: these coefficients, ``(count,)``.
        strengths: the candidates.

    Raises:
        ValueError: shapes that do not agree, no strengths.
    """
    check_values("at", at, ("count",), dtype=torch.float64)
    check_values("distances", miss.distance, ("n",), dtype=torch.float64)
    check_values("by_shape", miss.by_shape, (len(miss.distance), len(at)), dtype=torch.float64)
    shapes, bend = splines(len(at), motion.times), torch.from_numpy(np.diff(np.eye(len(at)), 2, axis=0))
    found = invert(
        lambda c: (miss.distance + miss.by_shape @ (c - at), miss.by_shape), at, bend, strengths=strengths
    )
    best = min(found, key=lambda one: one.score)
    noise = best.misfit / max(1 - best.degrees / len(best.residuals), 1e-9) ** 0.5
    band = noise * (shapes @ best.covariance * shapes).sum(1).clamp(min=0).sqrt()
    return Found(motion.times, shapes @ best.params, band, best.params, noise, best.degrees)


def find_friction(
    motion: Motion,
    starts: Tensor,
    *,
    guess: float | Tensor,
    count: int = 16,
    shares: Sequence[float] = (0.1, 0.15, 0.2, 0.3, 0.45, 0.7, 1.0),
    steps: int = 10,
    tolerance: float = 1e-4,
) -> Found:
    r"""Find the friction from starts that stop: Gauss-Newton on their distances from the curve.

    With a wrong friction the phase at T is wrong, and by half a turn the curve lies between the wrong points.
    So the loss has many local minima. Small amplitudes turn little and come first, with smooth frictions;
    each stage admits larger amplitudes, and rougher frictions by a decade.

    Args:
        motion: the equation.
        starts: where the motion began, ``(n, 2)``.
        guess: what to begin with, a constant friction or the coefficients of its splines ``(count,)``.
        count: number of cubic splines for h.
        shares: of the starts, by their energy, in each stage.
        steps: Gauss-Newton steps of a stage, at most.
        tolerance: a stage ends when h changes by less.

    Raises:
        ValueError: starts of another shape, fewer than 20 of them, shares outside of 0 to 1.
    """
    check_values("starts", starts, ("n", 2), dtype=torch.float64)
    check_counts(least=20, starts=len(starts))
    check_counts(steps=steps)
    tolerance = positive("tolerance", tolerance)
    sizes = [max(20, round(finite("shares", share, least=0, most=1) * len(starts))) for share in shares]
    check_counts(shares=len(sizes))
    shapes = splines(count, motion.times)
    near = starts[_energy(motion, starts).argsort()]
    c, rounds = _coefficients(guess, count, starts), 0
    for stage, size in enumerate(sizes, start=1):
        strengths = np.logspace(len(sizes) - stage - 7, 2, 25).tolist()
        for _ in range(steps):
            found = smoothed(motion, motion.misses(near[:size], shapes @ c, shapes), c, strengths)
            change = found.coefficients - c
            size_of_change = float((shapes @ change).abs().max())
            c, rounds = c + change * min(1.0, 0.1 / max(size_of_change, 1e-12)), rounds + 1
            if size_of_change < tolerance:
                break
    return replace(found, friction=shapes @ c, coefficients=c, rounds=rounds)


def _coefficients(guess: float | Tensor, count: int, other: Tensor) -> Tensor:
    if isinstance(guess, Tensor):
        check_values("guess", guess, (count,), dtype=torch.float64)
        return like(guess, other)
    return torch.full((count,), finite("guess", guess), dtype=other.dtype)


def _energy(motion: Motion, starts: Tensor) -> Tensor:
    """Kinetic energy and the work against the force from the middle of the well, by Simpson's rule."""
    x, v = starts.unbind(1)
    work = -(motion.force(0 * x) + 4 * motion.force(x / 2) + motion.force(x)) * x / 6
    return work + v**2 / 2

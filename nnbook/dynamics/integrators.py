r"""Ordinary differential equations as layers: one step of a method is one layer of a network.

A *field* gives the velocity :math:`\dot x = f(t, x)` of a batch of states ``(..., dim)``; a *method* takes
step with it. Methods are plain functions of tensors; every layer can be differentiated by whatever the
field depends on, by autograd or by ``torch.func``.

.. math:: \text{Euler: } x + \Delta t\, f(t, x)

is a layer of a residual network :cite:p:`he2016`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nnbook.arrays import check_numbers, check_values, like

#: From a time, a scalar, and states ``(..., dim)`` to their velocities ``(..., dim)``.
Field = Callable[[Tensor, Tensor], Tensor]
#: From a field, a time, states ``(..., dim)`` and a step, that may be negative, to the states after it.
Method = Callable[[Field, Tensor, Tensor, Tensor], Tensor]


def euler(field: Field, t: Tensor, x: Tensor, step: Tensor) -> Tensor:
    r"""One step of Euler's method, of order 1: :math:`x + \Delta t\, f(t, x)`."""
    return x + step * field(t, x)


def midpoint(field: Field, t: Tensor, x: Tensor, step: Tensor) -> Tensor:
    r"""One step of the explicit midpoint rule, of order 2: the velocity half a step of Euler ahead."""
    half = step / 2
    return x + step * field(t + half, x + half * field(t, x))


def rk4(field: Field, t: Tensor, x: Tensor, step: Tensor) -> Tensor:
    """One step of the method of Runge and Kutta, of order 4, with four evaluations of the field."""
    half = step / 2
    first = field(t, x)
    second = field(t + half, x + half * first)
    third = field(t + half, x + half * second)
    last = field(t + step, x + step * third)
    return x + step / 6 * (first + 2 * (second + third) + last)


def leapfrog(field: Field, t: Tensor, x: Tensor, step: Tensor) -> Tensor:
    r"""One step of leapfrog, of order 2 and symplectic: half a kick, a drift, half a kick.

    .. math:: p \leftarrow p + \tfrac{\Delta t}{2} \dot p(t, q), \qquad
              q \leftarrow q + \Delta t\, \dot q(t + \tfrac{\Delta t}{2}, p), \qquad
              p \leftarrow p + \tfrac{\Delta t}{2} \dot p(t + \Delta t, q)

    The states are positions and momenta side by side, ``(..., 2 * n)``. The field is that of a Hamiltonian
    which is a sum :math:`T(p, t) + V(q, t)`: velocities depend on momenta only, and forces on positions only.
    With any other field the method keeps neither its order nor the volume.

    Raises:
        ValueError: states with an odd number of columns.
    """
    if x.shape[-1] % 2:
        raise ValueError(f"x: got {x.shape[-1]} columns, expected positions and momenta, an even number")
    q, p = x.chunk(2, -1)
    p = p + step / 2 * _force(field, t, q, p)
    q = q + step * field(t + step / 2, torch.cat([q, p], -1)).chunk(2, -1)[0]
    p = p + step / 2 * _force(field, t + step, q, p)
    return torch.cat([q, p], -1)


def _force(field: Field, t: Tensor, q: Tensor, p: Tensor) -> Tensor:
    return field(t, torch.cat([q, p], -1)).chunk(2, -1)[1]


def integrate(method: Method, field: Field, x: Tensor, times: Tensor) -> Tensor:
    """Carry states from the first of the times through all of them, one step of the method each.

    Args:
        method: :func:`euler`, :func:`midpoint`, :func:`rk4` or :func:`leapfrog`.
        field: the velocities, ``field(t, x)``.
        x: states at the first time, ``(..., dim)``.
        times: ``(n,)``, n > 1, rising or falling; equal distances are not needed.

    Returns:
        The states at all times, ``(n, ..., dim)``. A trajectory that overflows ends in infinities or NaN, and
        leaves the others of the batch alone.

    Raises:
        TypeError: states or times that are no tensors.
        ValueError: states of whole numbers; fewer than two times, times that are not finite or turn back.

    >>> decay = integrate(rk4, lambda t, x: -x, torch.ones(1), torch.linspace(0, 1, 11))
    >>> decay[-1]
    tensor([0.3679])
    """
    check_numbers("x", x)
    check_values("times", times, ("n",))
    steps = times.diff()
    if len(times) < 2 or not ((steps > 0).all() or (steps < 0).all()):
        raise ValueError(f"times: got {_ends(times)}, expected at least two that rise, or that fall")
    path = [x]
    for t, step in zip(like(times[:-1], x), like(steps, x), strict=True):
        path.append(method(field, t, path[-1], step))
    return torch.stack(path)


def _ends(times: Tensor) -> str:
    turned = "" if len(times) < 2 else f" from {times[0]:g} to {times[-1]:g}, some of them out of order"
    return f"{len(times)}{turned}"

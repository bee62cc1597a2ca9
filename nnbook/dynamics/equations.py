r"""Differential equations as residuals, for physics-informed networks.

A residual takes points and the :class:`~nnbook.derivatives.Jet` of a network there; it is zero where the
network obeys the equation. Solutions that are known are in :mod:`nnbook.exact.solutions`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nnbook.derivatives import Jet


def oscillator(x: Tensor, u: Jet, *, damping: float | Tensor, frequency: float | Tensor) -> Tensor:
    r"""The residual of the damped oscillator, :math:`\ddot u + 2\gamma \dot u + \omega^2 u`."""
    friction, force = 2 * damping * u.slope[0], frequency * frequency * u.value
    return u.bend[0] + friction + force


def burgers(x: Tensor, u: Jet, *, viscosity: float) -> Tensor:
    r"""The residual of Burgers' equation, :math:`u_t + u\,u_x - \nu\,u_{xx}`, at points (t, x).

    Raises:
        ValueError: a network with other than two inputs and one output.
    """
    _check_sizes("Burgers' equation", u, 1)
    return u.slope[0] + u.value * u.slope[1] - viscosity * u.bend[1]


def schroedinger(x: Tensor, u: Jet) -> Tensor:
    r"""The residual of :math:`i h_t + \frac12 h_{xx} + |h|^2 h = 0` at points (t, x).

    The outputs of the network are the real and the imaginary part of h, and so are those of the residual.

    Raises:
        ValueError: a network with other than two inputs and two outputs.
    """
    _check_sizes("Schrödinger's equation", u, 2)
    h_t, bent = u.slope[0], 0.5 * u.bend[1] + u.value.square().sum(1, keepdim=True) * u.value
    return bent + torch.stack([-h_t[:, 1], h_t[:, 0]], 1)


def _check_sizes(equation: str, u: Jet, outputs: int) -> None:
    got = len(u.slope), u.value.shape[1]
    if got != (2, outputs):
        raise ValueError(
            f"u: got a network of {got[0]} inputs and {got[1]} outputs, expected 2 and {outputs} for "
            f"{equation}; make it with MLP(2, ..., {outputs})"
        )

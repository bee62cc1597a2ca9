"""A network's values with its first and second derivatives, carried forwards through its layers."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from nnbook.networks import MLP


class Jet(NamedTuple):
    """A network's values and derivatives at points.

    Attributes:
        value: u, ``(points, outputs)``.
        slope: its first derivative by each input, ``(inputs, points, outputs)``.
        bend: its second derivative by each input, ``(inputs, points, outputs)``; no mixed ones.
    """

    value: Tensor
    slope: Tensor
    bend: Tensor


def _tanh(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    a = torch.tanh(z)
    rise = 1 - a.square()
    return a, rise, -2 * a * rise


def _sin(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    a = torch.sin(z)
    return a, torch.cos(z), -a


# an activation function with its first two derivatives
SMOOTH = {"tanh": _tanh, "sin": _sin}


def jet(net: MLP, x: Tensor) -> Jet:
    r"""Values, first and second derivatives of a network, propagated from layer to layer.

    With :math:`z = W a + b` and primes for a derivative by one input, a layer takes

    .. math:: a \to \sigma(z), \qquad a' \to \sigma'(z)\, z', \qquad
              a'' \to \sigma'(z)\, z'' + \sigma''(z)\, z'^2 .

    Args:
        net: a multilayer perceptron with a smooth activation, a key of ``SMOOTH``.
        x: points, ``(points, inputs)``.

    Raises:
        ValueError: an activation without two derivatives, points of the wrong shape.

    >>> net = MLP(2, (3,), activation="tanh", dtype=torch.float64)
    >>> [tuple(part.shape) for part in jet(net, torch.zeros(5, 2, dtype=torch.float64))]
    [(5, 1), (2, 5, 1), (2, 5, 1)]
    """
    if net.activation not in SMOOTH:
        raise ValueError(
            f"net: got the activation {net.activation!r}, expected one with two known derivatives: "
            f"{', '.join(sorted(SMOOTH))}"
        )
    first, *others = net.linear()
    if x.ndim != 2 or x.shape[1] != first.in_features:
        raise ValueError(f"x: got shape {tuple(x.shape)}, expected (points, {first.in_features})")
    value = first(x)
    slope = first.weight.mT[:, None].expand(-1, len(x), -1)
    bend = torch.zeros_like(slope)
    for layer in others:
        value, rise, turn = SMOOTH[net.activation](value)
        bend = rise * bend + turn * slope.square()
        slope = rise * slope
        value, slope, bend = layer(value), slope @ layer.weight.mT, bend @ layer.weight.mT
    return Jet(value, slope, bend)

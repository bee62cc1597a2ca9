"""A network's values with its derivatives, carried forwards through its layers: two, or one for kinks."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nnbook.arrays import seen
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
        ValueError: an activation without two derivatives, points of the wrong shape or dtype.

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
    if not isinstance(x, Tensor) or x.ndim != 2 or x.shape[1] != first.in_features:
        raise ValueError(f"x: got {seen(x)}, expected a tensor (points, {first.in_features})")
    if x.dtype != first.weight.dtype:
        raise ValueError(f"x: got {x.dtype}, expected the network's {first.weight.dtype}; use x.to(...)")
    value = first(x)
    slope = first.weight.mT[:, None].expand(-1, len(x), -1)
    bend = torch.zeros_like(slope)
    for layer in others:
        value, rise, turn = SMOOTH[net.activation](value)
        bend = rise * bend + turn * slope.square()
        slope = rise * slope
        value, slope, bend = layer(value), slope @ layer.weight.mT, bend @ layer.weight.mT
    return Jet(value, slope, bend)


def value(x: Tensor, u: Jet) -> Tensor:
    """The condition that fixes u itself, for boundary values and data."""
    return u.value


def slope(x: Tensor, u: Jet, *, along: int) -> Tensor:
    """The condition that fixes the derivative by one input, for velocities and mirrors.

    Raises:
        ValueError: an input that the network does not have.
    """
    if not 0 <= along < len(u.slope):
        raise ValueError(f"along: got {along}, expected the number of an input, from 0 to {len(u.slope) - 1}")
    return u.slope[along]


class WithSlope(nn.Module):
    r"""A network of softplus or ReLU units with its gradient.

    Its outputs are :math:`(u, \partial_1 u, \dots, \partial_d u)`.

    Raises:
        ValueError: other units, or more than one output.

    >>> WithSlope(MLP(2, (3,), activation="relu"))(torch.zeros(5, 2)).shape
    torch.Size([5, 3])
    """

    def __init__(self, mlp: MLP) -> None:
        super().__init__()
        if mlp.activation not in ("softplus", "relu") or mlp.linear()[-1].out_features != 1:
            raise ValueError(
                f"mlp: got {mlp.activation} units and {mlp.linear()[-1].out_features} outputs, expected "
                "softplus or relu, and one output; jet knows other units"
            )
        self.mlp = mlp

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n, d)`` to ``(n, 1 + d)``, by the chain rule from the input on."""
        *hidden, last = self.mlp.linear()
        slope = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        for layer in hidden:
            z = layer(x)
            relu = self.mlp.activation == "relu"
            x, gate = (F.relu(z), (z > 0).to(z)) if relu else (F.softplus(z), torch.sigmoid(z))
            slope = gate[..., None, :] * (slope @ layer.weight.mT)
        return torch.cat([last(x), (slope @ last.weight.mT)[..., 0]], -1)

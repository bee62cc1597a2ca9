"""Networks as functions of their parameters: MLPs, activations, per-sample Jacobians."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, jacrev, vmap
from torch.nn import functional as F
from torch.nn.utils import skip_init

from nnbook.arrays import check_counts, check_input, check_values, finite

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "softplus": F.softplus,
    "tanh": torch.tanh,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "identity": lambda z: z,
    "silu": F.silu,
    "gelu": F.gelu,
    "sin": torch.sin,
}


def activation_function(name: str) -> Callable[[Tensor], Tensor]:
    """Return the activation function of that name.

    Raises:
        ValueError: unknown name.

    >>> activation_function("relu")(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"activation: got {name!r}, expected one of {', '.join(sorted(ACTIVATIONS))}")
    return ACTIVATIONS[name]


class MLP(nn.Module):
    r"""Multilayer perceptron with a linear output layer.

    .. math:: a_0 = x, \quad a_l = \sigma(W_l a_{l-1} + b_l), \quad f(x) = W_{L+1} a_L + b_{L+1}

    Weights are drawn from :math:`N(0, 1/\text{fan in})`, hidden biases from :math:`N(0, 1)`,
    output biases are zero.

    Args:
        inputs: components of x.
        hidden: units of each hidden layer, at least one layer.
        outputs: components of f.
        activation: a key of ``ACTIVATIONS``.
        generator: source of the random numbers; PyTorch's global one if absent.
        dtype, device: of the parameters.

    Raises:
        ValueError: an empty ``hidden``, a size below 1, an unknown activation.

    >>> MLP(2, (16, 16), 1, activation="softplus")(torch.zeros(5, 2)).shape
    torch.Size([5, 1])
    """

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        outputs: int = 1,
        *,
        activation: str = "softplus",
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        layers = [hidden] if isinstance(hidden, int) else list(hidden)
        sizes = [inputs, *layers, outputs]
        if isinstance(hidden, int) or not layers or not all(isinstance(n, int) and n > 0 for n in sizes):
            raise ValueError(
                f"hidden: got {hidden} with {inputs} inputs and {outputs} outputs, expected at least one "
                "hidden layer in a sequence, and no size below 1, for example hidden=(8, 8)"
            )
        self.activation = activation
        self._sigma = activation_function(activation)
        dtype, device = dtype or torch.get_default_dtype(), device or torch.get_default_device()
        draw = partial(random_parameter, generator=generator, dtype=dtype, device=device)
        *hidden_layers, last = [
            skip_init(nn.Linear, i, o, dtype=dtype, device=device) for i, o in itertools.pairwise(sizes)
        ]
        for layer in (*hidden_layers, last):
            layer.weight = draw(layer.weight.shape, layer.in_features**-0.5)
            layer.bias = draw(layer.bias.shape, 0.0 if layer is last else 1.0)
        self.layers = nn.ModuleList([*hidden_layers, last])

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., inputs)`` to ``(..., outputs)``.

        Raises:
            ValueError: another number of inputs, another dtype than the parameters.
        """
        *hidden_layers, last = self.linear()
        check_input("x", x, self.linear()[0].in_features, last.weight)
        for layer in hidden_layers:
            x = self._sigma(layer(x))
        result: Tensor = last(x)
        return result

    def linear(self) -> list[nn.Linear]:
        """The layers, first to last."""
        return [cast(nn.Linear, layer) for layer in self.layers]

    @torch.no_grad()
    def place_kinks(
        self, points: Tensor, *, scale: float | Tensor, generator: torch.Generator | None = None
    ) -> None:
        r"""Redraw the first layer so that each unit bends at one of the given points.

        Unit i gets :math:`w_i \sim N(0, \Sigma^{-1})` and :math:`b_i = -w_i \cdot x_i`, with :math:`x_i` the
        i-th point. Units that bend outside of the region that matters add nothing to a fit; drawn this way
        none is wasted.

        Args:
            points: one per unit, ``(units, inputs)``.
            scale: the width of the region, in the units of x: one number for :math:`\Sigma = \text{scale}^2`,
                or a matrix ``(inputs, inputs)`` with :math:`\Sigma = \text{scale}\,\text{scale}^T`.

        Raises:
            ValueError: points or scale do not match the layer, or the scale is singular.
        """
        first = self.linear()[0]
        check_values("points", points, tuple(first.weight.shape))
        first.weight.copy_(random_parameter(first.weight.shape, 1.0, generator=generator))
        width = torch.as_tensor(scale, dtype=first.weight.dtype, device=first.weight.device)
        if width.ndim == 0:
            width = width * torch.eye(first.in_features, dtype=width.dtype, device=width.device)
        check_values("scale", width, (first.in_features,) * 2)
        if torch.linalg.matrix_rank(width) < first.in_features:
            raise ValueError(f"scale: got {scale}, expected a width above zero or a matrix of full rank")
        first.weight.copy_(torch.linalg.solve(width, first.weight, left=False))
        first.bias.copy_(-(first.weight * points.to(first.weight)).sum(1))


def random_parameter(
    shape: Sequence[int],
    std: float,
    *,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> nn.Parameter:
    """A parameter drawn from N(0, std^2), in double precision on the CPU: each device gets the same numbers.

    Args:
        shape: of the parameter.
        std: standard deviation; of a complex number, whose parts have each half of the variance.
        generator: source of the random numbers; PyTorch's global one if absent.
        dtype, device: of the parameter.

    Raises:
        ValueError: a negative standard deviation, a shape that is none.

    >>> random_parameter((2, 3), 0.1, dtype=torch.complex128).shape
    torch.Size([2, 3])
    """
    std = finite("std", std, least=0)
    check_counts(least=0, **{f"shape[{k}]": length for k, length in enumerate(shape)})
    wide = torch.complex128 if dtype.is_complex else torch.float64
    numbers = std * torch.randn(tuple(shape), generator=generator, dtype=wide, device="cpu")
    return nn.Parameter(numbers.to(dtype).to(device))


class Parametrised(Protocol):
    """Something with parameters, such as any ``nn.Module``."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """The parameters, always in the same order."""


def flatten(module: Parametrised) -> Tensor:
    """Return all parameters as one vector ``(parameters,)``, a copy without history."""
    parts = [p.detach().reshape(-1) for p in module.parameters()]
    return torch.cat(parts) if parts else torch.empty(0)


@torch.no_grad()
def assign(module: Parametrised, vector: Tensor) -> None:
    """Write a vector as made by :func:`flatten` back into the module.

    Raises:
        ValueError: the length does not match.
    """
    _check_length(vector, sum(p.numel() for p in module.parameters()))
    parts = vector.split([p.numel() for p in module.parameters()])
    for parameter, part in zip(module.parameters(), parts, strict=True):
        parameter.copy_(part.view_as(parameter))


def _check_length(vector: Tensor, count: int) -> None:
    if vector.shape != (count,):
        raise ValueError(
            f"vector: got shape {tuple(vector.shape)}, expected ({count},), one number a parameter"
        )
    if not (vector.is_floating_point() or vector.is_complex()):
        raise ValueError(f"vector: got {vector.dtype}, expected real numbers; write vector.double()")


def as_function(module: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """Return ``f(vector, x)``: the module as a pure function of its flat parameters and its input.

    The parameters of the module itself are left alone, so ``f`` may be differentiated and batched with
    ``torch.func``.
    """
    shapes = {name: p.shape for name, p in module.named_parameters()}
    counts = [p.numel() for p in module.parameters()]

    def function(vector: Tensor, x: Tensor) -> Tensor:
        _check_length(vector, sum(counts))
        parts = vector.split(counts)
        named = {name: part.view(s) for (name, s), part in zip(shapes.items(), parts, strict=True)}
        result: Tensor = functional_call(module, named, (x,))
        return result

    return function


def jacobian(
    function: Callable[[Tensor, Tensor], Tensor], vector: Tensor, x: Tensor
) -> tuple[Tensor, Tensor]:
    r"""Values and per-sample Jacobian :math:`J_{jk} = \partial f(x_j) / \partial \theta_k`.

    Args:
        function: ``f(vector, x)`` as made by :func:`~nnbook.networks.as_function`, with one real number
            or several a sample.
        vector: parameters, ``(parameters,)``.
        x: samples, ``(batch, inputs)``.

    Returns:
        values ``(batch,)`` and Jacobian ``(batch, parameters)``; for m values a sample ``(batch, m)`` and
        ``(batch, m, parameters)``.

    Raises:
        ValueError: parameters or samples of another shape or dtype than the function wants.
    """

    def single(v: Tensor, sample: Tensor) -> Tensor:
        values = function(v, sample[None])
        return values.squeeze() if values.numel() == 1 else values[0]

    def twice(v: Tensor, sample: Tensor) -> tuple[Tensor, Tensor]:
        values = single(v, sample)
        return values, values

    if function(vector, x[:1]).numel() == 1:
        rows, values = vmap(grad_and_value(single), in_dims=(None, 0))(vector, x)
    else:
        rows, values = vmap(jacrev(twice, has_aux=True), in_dims=(None, 0))(vector, x)
    return values, rows

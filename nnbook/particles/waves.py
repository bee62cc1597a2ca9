r"""Networks as wave functions of bosons or of fermions.

A plain network f is made a boson or a fermion afterwards, by a sum over permutations
:cite:p:`naito2023`:

.. math:: \psi(x_1, \dots, x_N) = \sum_P (\pm 1)^P f(x_{P1}, \dots, x_{PN})
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nnbook.networks import MLP, assign, flatten
from nnbook.particles.hamiltonian import Hamiltonian
from nnbook.particles.sectors import Particles


class WaveFunction(nn.Module):
    r"""A network as a wave function of one coordinate, or of several.

    .. math:: \psi(x) = \operatorname{softplus}(a(x)) \quad\text{or, signed,}\quad
              \psi(x) = \operatorname{softplus}(a(x)) - \operatorname{softplus}(b(x))

    with a (and b) the outputs of an MLP of ``inputs`` coordinates. Softplus is positive and decays like
    :math:`e^{a}`: right for a ground state, which has no node, and for its tails. The difference of two has
    nodes and the same tails.
    """

    def __init__(
        self,
        hidden: Sequence[int],
        *,
        inputs: int = 1,
        signed: bool = False,
        activation: str = "softplus",
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        self.signed = signed
        options = {"activation": activation, "generator": generator, "dtype": dtype, "device": device}
        self.mlp = MLP(inputs, hidden, 2 if signed else 1, **options)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n, inputs)`` to ``(n,)``; not normalised."""
        out = F.softplus(self.mlp(x))
        return out[..., 0] - out[..., 1] if self.signed else out[..., 0]

    def rescaling(self) -> Tensor:
        r"""The direction in which a small output is only multiplied, ``(parameters,)``.

        Where a and b are far below zero, softplus is the exponential function, and adding t to the last
        biases makes of :math:`\psi` :math:`e^t \psi`.
        """
        last, every = self.mlp.linear()[-1].bias, list(self.parameters())
        return torch.cat([torch.full_like(p.detach(), p is last).flatten() for p in every])


class Symmetrised(nn.Module):
    r"""A network of N coordinates, made a boson or a fermion afterwards.

    .. math:: \psi(x_1, \dots, x_N) = \sum_P (\pm 1)^P f(x_{P1}, \dots, x_{PN})

    over all N! permutations P, for fermions with their signs.

    Args:
        network: f, which maps ``(n, N)`` to ``(n,)``.
        particles: how many, and their statistics.

    >>> f = WaveFunction((4,), inputs=2)
    >>> psi = Symmetrised(f, Particles(2, "fermion"))
    >>> psi(torch.tensor([[1.0, 1.0]], dtype=torch.float64)).item()
    0.0
    """

    orders: Tensor
    signs: Tensor

    def __init__(self, network: nn.Module, particles: Particles) -> None:
        super().__init__()
        self.network = network
        self.particles = particles
        like = next(network.parameters())
        self.register_buffer("orders", torch.as_tensor(particles.orders, device="cpu").to(like.device))
        self.register_buffer("signs", torch.as_tensor(particles.signs, device="cpu").to(like))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n, N)`` to ``(n,)``; not normalised."""
        values = self.network(x[:, self.orders].flatten(0, 1))
        result: Tensor = values.view(len(x), -1) @ self.signs
        return result

    def rescaling(self) -> Tensor:
        """That of the plain network, if it has one, see :meth:`WaveFunction.rescaling`; or zeros."""
        if isinstance(self.network, WaveFunction):
            return self.network.rescaling()
        return torch.zeros_like(flatten(self.network))


def take_over(network: nn.Module, start: nn.Module) -> None:
    """Copy the parameters of a trained network into another one of the same shape.

    Raises:
        ValueError: another number of parameters.
    """
    vector = flatten(start)
    if vector.shape != flatten(network).shape:
        raise ValueError(
            f"start: got a network of {len(vector)} parameters, expected {len(flatten(network))}; "
            "use the same hidden layers, and signed=True for a start without states below"
        )
    assign(network, vector)


def bend_where_classical(mlp: MLP, ham: Hamiltonian, generator: torch.Generator) -> None:
    """Redraw the first layer: its units bend where classical particles of a random temperature would be.

    The temperature is log-uniform over three decades above the zero-point energy of the empty box, so
    that among several networks one has the length scales of the ground state, whatever the potential.
    """
    grid, x = ham.grid, ham.sector.x
    zero_point = math.pi**2 / (8 * grid.x_max**2)
    temperature = 2 * zero_point * 10 ** (3 * float(torch.rand(1, generator=generator, device="cpu")))
    weight = ham.sector.weights * np.exp(-(ham.values - ham.values.min()) / temperature)
    units = mlp.linear()[0].out_features
    chances, places = (torch.as_tensor(values, device="cpu") for values in (weight, x))
    chosen = torch.multinomial(chances, units, replacement=True, generator=generator)
    variance, axes = np.linalg.eigh(np.atleast_2d(np.cov(x.T, aweights=weight, ddof=0)))
    width = axes * np.sqrt(np.maximum(variance, grid.h**2))
    scale = torch.as_tensor(width, device="cpu")
    mlp.place_kinks(places[chosen], scale=scale, generator=generator)

r"""Boltzmann machines of binary and of Gaussian units: probabilities from an energy.

A machine gives units x that are seen and units h that are not a joint probability
:math:`p(x, h) = e^{-E(x, h)}/Z`. What is not seen is summed, and leaves a free energy,

.. math:: p(x) = \frac{e^{-F(x)}}{Z}, \qquad e^{-F(x)} = \sum_h e^{-E(x, h)} .

Couplings run between layers only. So the units of all even layers are independent of each other once those of
the odd layers are known, and the other way round: one of the two sides is summed in closed form.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from nnbook.arrays import check_counts, check_numbers, check_values, finite, like, positive
from nnbook.exact.enumerate import configurations
from nnbook.networks import as_function, random_parameter

#: A free energy may need no more terms than this.
MOST = 2**24


def bits(units: int, like_this: Tensor) -> Tensor:
    """All values 0 and 1 of so many units, ``(2**units, units)``; row n holds the binary digits of n.

    Raises:
        ValueError: more than about a million rows.

    >>> bits(2, torch.zeros(1))
    tensor([[0., 0.],
            [0., 1.],
            [1., 0.],
            [1., 1.]])
    """
    return like((1 - configurations(units)) / 2, like_this)


def binary(name: str, x: Tensor, shape: tuple[int | str, ...], parameter: Tensor) -> Tensor:
    """Units 0 and 1 of this shape, one at least, in the precision of a parameter.

    Raises:
        TypeError: no tensor.
        ValueError: another shape, none at all, values beside 0 and 1.
    """
    check_values(name, x, shape)
    check_counts(**{str(word): n for word, n in zip(shape, x.shape, strict=True) if isinstance(word, str)})
    if len(others := x[(x != 0) & (x != 1)]):
        raise ValueError(
            f"{name}: got {float(others[0]):g}, expected zeros and ones; write (spins + 1) / 2 for ±1"
        )
    return like(x, parameter)


def bernoulli(logits: Tensor, generator: torch.Generator) -> Tensor:
    r"""Units of the shape of the logits, each 1 with the probability :math:`1/(1 + e^{-\text{logit}})`."""
    draw = torch.rand(logits.shape, generator=generator, device=generator.device, dtype=torch.float64)
    return (draw.to(logits) < logits.sigmoid()).to(logits)


class _Machine(nn.Module):
    """Layers of units with biases, couplings between neighbours, the exact probability of the first layer."""

    def __init__(
        self,
        *sizes: int,
        scale: float = 0.1,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        check_counts(least=2, layers=len(sizes))
        check_counts(**{f"sizes[{k}]": size for k, size in enumerate(sizes)})
        finite("scale", scale, least=0, most=1e50)
        draw = partial(random_parameter, generator=generator, dtype=dtype, device=device)
        self.sizes = sizes
        self.biases = nn.ParameterList(draw((size,), scale) for size in sizes)
        self.weights = nn.ParameterList(draw(pair, scale) for pair in itertools.pairwise(sizes))

    @property
    def sites(self) -> int:
        """Visible units."""
        return self.sizes[0]

    def free_energy(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def log_z(self) -> Tensor:
        raise NotImplementedError

    def log_prob(self, x: Tensor) -> Tensor:
        """ln p, ``(batch,)``, exact.

        Raises:
            ValueError: as ``free_energy`` and ``log_z``.
        """
        return -self.free_energy(x) - self.log_z()

    forward = log_prob


class BinaryMachine(_Machine):
    r"""A Boltzmann machine of layers of units 0 and 1, restricted if there are two layers, deep if more.

    .. math:: E(x, h) = -\sum_l b_l \cdot h_l - \sum_l h_l \cdot W_l h_{l+1}, \qquad h_0 = x

    :cite:p:`ackley1985,salakhutdinov2012`. Seen from its two sides, the even layers and the odd
    ones, a deep machine is a restricted one in which units of the even side are hidden too.

    Args:
        sizes: units of each layer, the visible one first.
        scale: standard deviation of the random start.
        generator: source of the random start; PyTorch's global one if absent.
        dtype, device: of the parameters.

    Raises:
        ValueError: fewer than two layers, a layer without units, a negative scale.

    >>> machine = BinaryMachine(3, 2, scale=0.0)
    >>> round(machine.log_z().exp().item(), 9)  # no coupling: all 2^5 states alike
    32.0
    """

    def sides(self) -> tuple[Tensor, Tensor, Tensor]:
        """Biases of the even and of the odd side, and the couplings between them ``(even, odd)``."""
        biases, sizes, count = list(self.biases), self.sizes, len(self.sizes)
        rows = []
        for even in range(0, count, 2):
            blocks = [self.biases[0].new_zeros(sizes[even], sizes[odd]) for odd in range(1, count, 2)]
            if even > 0:
                blocks[even // 2 - 1] = self.weights[even - 1].mT
            if even + 1 < count:
                blocks[even // 2] = self.weights[even]
            rows.append(torch.cat(blocks, 1))
        return torch.cat(biases[::2]), torch.cat(biases[1::2]), torch.cat(rows)

    def free_energy(self, x: Tensor) -> Tensor:
        r"""F, ``(batch,)``, of binary data ``(batch, visible)``, all hidden units summed.

        For a restricted machine :math:`F = -a \cdot x - \sum_j \ln(1 + e^{b_j + (x W)_j})`. For a deep one
        the hidden even layers are enumerated.

        Raises:
            ValueError: data that are not binary, another shape, no rows, or more than 16 million terms.
        """
        even, odd, coupling = self.sides()
        x = binary("x", x, ("batch", self.sites), even)
        hidden, n = len(even) - self.sites, self.sites
        if len(x) * 2**hidden > MOST:
            raise ValueError(
                f"x: got {len(x):,} rows and {hidden} hidden units to enumerate, which makes "
                f"{len(x) * 2**hidden:,} terms, expected at most {MOST:,}; take fewer rows, or sample"
            )
        inside = bits(hidden, odd)
        seen = (x @ coupling[:n] + odd)[:, None] + inside @ coupling[n:]
        terms = inside @ even[n:] + softplus(seen).sum(2)
        return -(x @ even[:n]) - terms.logsumexp(1)

    def log_z(self) -> Tensor:
        """ln Z: the smaller side is enumerated, the other one summed in closed form.

        Raises:
            ValueError: more than about a million states.
        """
        few, many, coupling = self.sides()
        if len(few) > len(many):
            few, many, coupling = many, few, coupling.mT
        states = bits(len(few), few)
        return (states @ few + softplus(states @ coupling + many).sum(1)).logsumexp(0)

    @torch.no_grad()
    def gibbs(self, even: Tensor, sweeps: int, *, generator: torch.Generator) -> Tensor:
        """So many sweeps of chains: the odd side given the even one, and back :cite:p:`geman1984`.

        Args:
            even: the even layers, ``(chains, even)``; of a restricted machine the visible units.
            sweeps: how many.
            generator: source of the random numbers.

        Raises:
            ValueError: values beside 0 and 1, another shape, no chains, fewer than no sweeps.
        """
        bias, other, coupling = self.sides()
        check_counts(least=0, sweeps=sweeps)
        even = binary("even", even, ("chains", len(bias)), bias)
        for _ in range(sweeps):
            odd = bernoulli(even @ coupling + other, generator)
            even = bernoulli(odd @ coupling.mT + bias, generator)
        return even

    @torch.no_grad()
    def at(self, temperature: float) -> BinaryMachine:
        """The same machine at another temperature: all parameters divided by it.

        Raises:
            ValueError: a temperature that is not above zero.
        """
        positive("temperature", temperature)
        other = copy.deepcopy(self)
        for parameter in other.parameters():
            parameter.div_(temperature)
        return other


class GaussianMachine(_Machine):
    r"""A restricted Boltzmann machine of real visible and binary hidden units.

    .. math:: E(x, h) = \frac{|x - a|^2}{2\sigma^2} - b \cdot h - \frac{x \cdot W h}{\sigma^2}

    Given h, x is normal with mean :math:`a + Wh` and variance :math:`\sigma^2`; given x, :math:`h_j` is 1
    with probability :math:`1/(1 + e^{-b_j - (x W)_j/\sigma^2})`. So p(x) is a mixture of Gaussians.

    Args:
        visible, hidden: units of the two layers.
        sigma: start of the width; the logarithm of it is a parameter.
        start: scale, generator, dtype, device, as for :class:`BinaryMachine`.

    Raises:
        ValueError: a count below 1, a width or a scale out of range.
    """

    def __init__(self, visible: int, hidden: int, *, sigma: float = 1.0, **start: Any) -> None:
        super().__init__(visible, hidden, **start)
        width = math.log(finite("sigma", sigma, least=1e-50, most=1e50))
        self.log_sigma = nn.Parameter(self.biases[0].new_tensor(width))

    def free_energy(self, x: Tensor) -> Tensor:
        r""":math:`F = |x - a|^2/2\sigma^2 - \sum_j \ln(1 + e^{b_j + (x W)_j/\sigma^2})`, ``(batch,)``.

        Raises:
            ValueError: another shape, no rows, numbers that are not finite.
        """
        check_numbers("x", x)
        check_values("x", x, ("batch", self.sites))
        check_counts(batch=len(x))
        (centre, bias), variance = self.biases, (2 * self.log_sigma).exp()
        x = like(x, centre)
        fields = bias + x @ self.weights[0] / variance
        energy: Tensor = (x - centre).square().sum(1) / (2 * variance) - softplus(fields).sum(1)
        return energy

    def mixture(self) -> tuple[Tensor, Tensor]:
        r"""Logarithms of the weights ``(2**hidden,)``, and means ``(2**hidden, visible)``, of the Gaussians.

        .. math:: \ln w_h = b \cdot h + \frac{2 a \cdot Wh + |Wh|^2}{2\sigma^2} + \text{const}, \qquad
                  \mu_h = a + Wh

        The weights add up to Z.

        Raises:
            ValueError: more than about a million Gaussians.
        """
        (centre, bias), variance = self.biases, (2 * self.log_sigma).exp()
        h = bits(len(bias), bias)
        shift = h @ self.weights[0].mT
        log_weights = h @ bias + (2 * shift @ centre + shift.square().sum(1)) / (2 * variance)
        norm = 0.5 * self.sites * (math.log(2 * math.pi) + 2 * self.log_sigma)
        return log_weights + norm, centre + shift

    def log_z(self) -> Tensor:
        """ln Z, the integral over all visible and the sum over all hidden units."""
        return self.mixture()[0].logsumexp(0)


def exact_likelihood(
    machine: BinaryMachine | GaussianMachine, x: Tensor, weights: Tensor | None = None
) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    r"""The mean of :math:`-\ln p` over data, with its exact gradient, for many sets of parameters at once.

    Args:
        machine: whose layers; its own parameters do not matter.
        x: data ``(n, visible)``.
        weights: how much each row counts, ``(n,)``, adding up to one; all alike if absent.

    Returns:
        A loss for :func:`nnbook.train.quasi_newton.descend`.

    Raises:
        ValueError: data that the machine refuses, weights of another shape, or below zero.
    """
    machine.free_energy(x)
    shares = x.new_full((len(x),), 1 / len(x)) if weights is None else weights
    check_values("weights", shares, (len(x),))
    if not (bool((shares >= 0).all()) and abs(float(shares.sum()) - 1) < 1e-6):
        raise ValueError(f"weights: got a sum of {float(shares.sum()):g}, expected none below zero, sum one")
    shares, function = like(shares, next(machine.parameters())), as_function(machine)
    one = torch.func.grad_and_value(lambda vector: -(shares @ function(vector, x)))

    def loss(parameters: Tensor) -> tuple[Tensor, Tensor]:
        gradients, values = torch.func.vmap(one)(parameters)
        return values, gradients

    return loss

r"""Boltzmann machines with any couplings, deep ones among them, and how hidden units stand for couplings.

A hidden unit is summed over, and what it leaves behind is a coupling between its neighbours. Read backwards,
each coupling between two or three units, of either sign, can be made by one hidden unit
:cite:p:`carleo2018,gao2017`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from nnbook.arrays import check_counts, check_indices, check_numbers, check_values, finite
from nnbook.exact.enumerate import Array, configurations
from nnbook.spins.lattices import all_spins, checked_spins
from nnbook.spins.tensors import check_bonds, warned_of_overflow

#: A sum over hidden units may have no more terms than this.
MOST = 2**24


@dataclass(frozen=True, eq=False)
class BoltzmannMachine:
    r"""Units with values ±1, the first of them visible, and couplings between pairs of units.

    .. math:: \psi(s) = e^{c} \sum_{h} \exp\Bigl(\sum_u b_u x_u + \sum_{uv} W_{uv}\, x_u x_v\Bigr),
              \qquad x = (s, h)

    Attributes:
        visible: how many units are visible.
        bias: b, ``(units,)``.
        edges: pairs of coupled units, ``(edges, 2)``.
        weights: W, ``(edges,)``.
        constant: c.
    """

    visible: int
    bias: Tensor = field(repr=False)
    edges: Tensor = field(repr=False)
    weights: Tensor = field(repr=False)
    constant: float = 0.0

    def __post_init__(self) -> None:
        check_numbers("bias", self.bias)
        check_values("bias", self.bias, ("units",))
        check_values("weights", self.weights, ("edges",), dtype=self.bias.dtype)
        if self.edges.shape != (len(self.weights), 2):
            raise ValueError(f"edges: got shape {tuple(self.edges.shape)}, expected ({len(self.weights)}, 2)")
        check_indices("edges", self.edges, width=(2,), count=len(self.bias))
        check_counts(visible=self.visible)
        finite("constant", self.constant)
        if not self.visible <= len(self.bias):
            raise ValueError(
                f"visible: got {self.visible}, expected between 1 and the {len(self.bias)} units"
            )

    @property
    def hidden(self) -> int:
        """How many units are hidden."""
        return len(self.bias) - self.visible

    def depths(self) -> Tensor | None:
        """Layer of each unit, ``(units,)``: how many couplings away the visible units are.

        None if the machine is not made of layers: if a coupling joins two units of the same layer, or a unit
        is coupled to no visible one, however indirectly.
        """
        depth = torch.full((len(self.bias),), -1, device=self.edges.device)
        depth[: self.visible] = 0
        first, second = self.edges.T
        for layer in range(len(self.bias)):
            reached = torch.cat([second[depth[first] == layer], first[depth[second] == layer]])
            depth[reached[depth[reached] < 0]] = layer + 1
        layered = bool((depth[first] != depth[second]).all()) and bool((depth >= 0).all())
        return depth if layered else None

    def amplitudes(self, spins: Tensor) -> Tensor:
        """Sum over all values of all hidden units, by brute force: ``(batch, N)`` to ``(batch,)``.

        Raises:
            ValueError: another number of spins, or more than about 16 million terms.
        """
        spins = checked_spins(spins, self.visible, rows=True).to(self.bias)
        if len(spins) * 2**self.hidden > MOST:
            raise ValueError(
                f"spins: got {len(spins)} configurations and {self.hidden} hidden units to sum over, "
                f"expected at most {MOST:,} terms in all; sum the units layer by layer instead"
            )
        couplings = self.bias.new_zeros(len(self.bias), len(self.bias))
        couplings.index_put_(tuple(self.edges.T), self.weights, accumulate=True)
        couplings = couplings + couplings.mT
        n, hidden = self.visible, all_spins(self.hidden, dtype=self.bias.dtype, device=self.bias.device)
        log_visible = spins @ self.bias[:n] + 0.5 * ((spins @ couplings[:n, :n]) * spins).sum(1)
        log_hidden = hidden @ self.bias[n:] + 0.5 * ((hidden @ couplings[n:, n:]) * hidden).sum(1)
        joint = torch.logsumexp(spins @ couplings[:n, n:] @ hidden.mT + log_hidden, 1)
        return warned_of_overflow("amplitudes", (self.constant + log_visible + joint).exp())


def pair_unit(coupling: float) -> tuple[float, float, float]:
    r"""A hidden unit that couples two others.

    .. math:: e^{K x y} = e^c \sum_{h = \pm 1} e^{w h (x + \sigma y)}, \quad
              \cosh 2w = e^{2|K|}, \quad \sigma = \operatorname{sign} K

    Returns:
        w, :math:`\sigma w` and c.

    Raises:
        ValueError: a coupling that is not finite.

    >>> w, other, c = pair_unit(0.3)
    >>> round(math.exp(c) * 2 * math.cosh(w + other), 9) == round(math.exp(0.3), 9)
    True
    """
    w = 0.5 * _arcosh_exp(2 * abs(finite("coupling", coupling)))
    return w, math.copysign(w, coupling), -abs(coupling) - math.log(2)


def triple_unit(coupling: float) -> tuple[float, float, tuple[float, float, float]]:
    r"""A hidden unit that couples three others, and what it does beside.

    .. math:: \ln 2\cosh(b + w m) = t_0 + t_1 m + t_2 (xy + yz + zx) + K xyz, \quad m = x + y + z

    With :math:`b = -\operatorname{sign}(K)\, w` the condition is :math:`u^4 = e^{8|K|} (2u^2 - 1)` for
    :math:`u = \cosh 2w`, which has a solution for every K.

    Returns:
        w, b, and :math:`(t_0, t_1, t_2)`.

    Raises:
        ValueError: a coupling that is not finite.
    """
    strength = abs(finite("coupling", coupling))
    w = 0.5 * _arcosh_exp(4 * strength + 0.5 * math.log1p(math.sqrt(-math.expm1(-8 * strength))))
    bias = -math.copysign(w, coupling)
    g = {m: float(np.logaddexp(bias + w * m, -bias - w * m)) for m in (3, 1, -1, -3)}
    even = (g[3] + 3 * g[1] + 3 * g[-1] + g[-3]) / 8, (g[3] - g[1] - g[-1] + g[-3]) / 8
    return w, bias, (even[0], (g[3] + g[1] - g[-1] - g[-3]) / 8, even[1])


def _arcosh_exp(x: float) -> float:
    """The inverse hyperbolic cosine of the exponential of x, without overflow."""
    return x + math.log1p(math.sqrt(-math.expm1(-2 * x)))


def deep_machine(tensors: Sequence[Tensor]) -> BoltzmannMachine:
    r"""Write a positive matrix-product state of bond dimension two as a deep Boltzmann machine, exactly.

    Each bond becomes a unit of the second hidden layer. The logarithm of a tensor is a polynomial in the spin
    and its two bonds; each product of two or three of them is made by one unit of the first hidden layer,
    which takes the odd depths. That is the construction of :cite:t:`gao2017` in its simplest case.

    Args:
        tensors: for each site ``(2, left bond, right bond)``; open ends, bonds of one or two, all
            entries positive.

    Raises:
        ValueError: bonds that do not match, larger ones, or an entry that is not positive.
    """
    check_bonds(tensors, opened=True)
    shapes = [tuple(tensor.shape) for tensor in tensors]
    if any(max(shape) > 2 for shape in shapes):
        raise ValueError(f"tensors: got shapes {shapes}, expected bonds of one or two, a unit for each bond")
    if not all(not t.is_complex() and bool(((t > 0) & t.isfinite()).all()) for t in tensors):
        raise ValueError(
            "tensors: got an entry that is zero or negative, complex or not finite, expected positive ones; "
            "others need complex weights"
        )
    sites = len(tensors)
    bonds = [i for i in range(sites - 1) if shapes[i][2] == 2]
    unit = {bond: sites + k for k, bond in enumerate(bonds)}
    build = _Builder(sites + len(bonds))
    for site, tensor in enumerate(tensors):
        around = [site] + [unit[b] for b in (site - 1, site) if b in unit]
        build.add_function(around, tensor.detach().cpu().double().numpy().reshape((2,) * len(around)))
    return build.machine(sites, tensors[0])


class _Builder:
    """Collects biases and couplings, each coupling with a hidden unit of its own."""

    def __init__(self, units: int) -> None:
        self.bias = [0.0] * units
        self.edges: list[tuple[int, int]] = []
        self.weights: list[float] = []
        self.constant = 0.0

    def add_unit(self, bias: float, joined: Sequence[tuple[int, float]]) -> None:
        """A new hidden unit, coupled to others with the given weights."""
        self.bias.append(bias)
        for other, weight in joined:
            self.edges.append((other, len(self.bias) - 1))
            self.weights.append(weight)

    def add_function(self, around: Sequence[int], values: Array) -> None:
        """Any positive function of up to three units, axis k for ``around[k]``, +1 first."""
        k, spins, logs = len(around), configurations(len(around)), np.log(values).ravel()
        terms = {
            subset: float((logs * spins[:, subset].prod(1)).mean())
            for size in range(k, -1, -1)
            for subset in itertools.combinations(range(k), size)
        }
        for subset, coupling in terms.items():  # the largest first: a unit for three adds to smaller terms
            units = [around[place] for place in subset]
            if len(subset) == 3:
                w, bias, (t0, t1, t2) = triple_unit(coupling)
                self.add_unit(bias, [(unit, w) for unit in units])
                for smaller in terms:
                    terms[smaller] -= (t0, t1, t2, 0.0)[len(smaller)]
            elif len(subset) == 2:
                w, other, constant = pair_unit(coupling)
                self.add_unit(0.0, [(units[0], w), (units[1], other)])
                self.constant += constant
            elif len(subset) == 1:
                self.bias[units[0]] += coupling
            else:
                self.constant += coupling

    def machine(self, visible: int, like: Tensor) -> BoltzmannMachine:
        """What was collected, its first units visible; of the precision and on the device of a tensor."""
        bias, weights = (
            torch.tensor(part, dtype=like.dtype, device=like.device) for part in (self.bias, self.weights)
        )
        edges = torch.tensor(self.edges, dtype=torch.long, device=like.device).reshape(-1, 2)
        return BoltzmannMachine(visible, bias, edges, weights, self.constant)

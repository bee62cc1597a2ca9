r"""Boltzmann machines as tensor networks.

A unit of a Boltzmann machine has two values. Seen from a tensor network, it is a wire of dimension two that
ends in a tensor wherever the unit meets another one. Cut the network in two: the wires of the units that
separate the two sides carry all that the sides know of each other, so k separating units make a bond of
dimension :math:`2^k` :cite:p:`chen2018`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow
from torch import Tensor

from nnbook.spins.lattices import all_spins
from nnbook.spins.states import RestrictedBoltzmannMachine, log_2cosh

#: A tensor may have no more entries than this.
MOST = 2**20


@dataclass(frozen=True, eq=False)
class Wires:
    """Through which tensors of a chain each unit runs; visible units first, then hidden ones.

    Attributes:
        enter: the first site whose tensor knows the unit, ``(units,)``.
        leave: the last such site, ``(units,)``.
    """

    enter: NDArray[np.int64]
    leave: NDArray[np.int64]

    def crossing(self, cut: int) -> NDArray[np.int64]:
        """The units whose wires cross between the first ``cut`` sites and the others."""
        return np.flatnonzero((self.enter < cut) & (self.leave >= cut))

    def bonds(self, sites: int) -> list[int]:
        """The bond dimension of each of the N - 1 cuts."""
        return [2 ** len(self.crossing(cut)) for cut in range(1, sites)]


def direct_wires(machine: RestrictedBoltzmannMachine) -> Wires:
    """Each hidden unit runs from the first site that it is coupled to, to the last one."""
    coupled = _coupled(machine)
    sites = np.arange(coupled.shape[1])
    some = coupled.any(1)
    first = np.where(some, coupled.argmax(1), 0)
    last = np.where(some, sites[-1] - coupled[:, ::-1].argmax(1), 0)
    return Wires(np.concatenate([sites, first]), np.concatenate([sites, last]))


def fewest_wires(machine: RestrictedBoltzmannMachine) -> Wires:
    r"""Across each cut run as few units as can separate its two sides, visible units among them.

    By Menger's theorem that is the number of paths visible - hidden - visible across the cut that share no
    unit, here found as a maximum flow. For weights in general position the Schmidt rank is
    :math:`2^\text{paths}`, so no matrix-product state has smaller bonds.
    """
    coupled = _coupled(machine)
    sides = np.stack([_sides(coupled, cut) for cut in range(1, coupled.shape[1])])
    return Wires((sides > 0).sum(0), (sides >= 0).sum(0))


def _coupled(machine: RestrictedBoltzmannMachine) -> NDArray[np.bool_]:
    """Which hidden units meet which spins, ``(hidden, sites)``."""
    return np.asarray((machine.units()[2] != 0).cpu())


def _sides(coupled: NDArray[np.bool_], cut: int) -> NDArray[np.int64]:
    """Left -1, wire 0, right 1, by the minimum vertex cut: each unit is an edge from entrance to exit."""
    hidden, sites = coupled.shape
    units, large = hidden + sites, hidden + sites + 1
    source, sink = 2 * units, 2 * units + 1
    j, i = np.nonzero(coupled)
    out, into = 2 * np.arange(units) + 1, 2 * np.arange(units)
    tails = np.concatenate([into, out[i], out[sites + j], np.full(cut, source), out[cut:sites]])
    heads = np.concatenate([out, into[sites + j], into[i], into[:cut], np.full(sites - cut, sink)])
    capacity = np.where(np.arange(len(tails)) < units, 1, large)
    graph = csr_array((capacity.astype(np.int32), (tails, heads)), shape=(2 * units + 2,) * 2)
    residual = (graph - maximum_flow(graph, source, sink).flow).tocsr()
    residual.data = np.maximum(residual.data, 0)
    residual.eliminate_zeros()
    reached = np.zeros(2 * units + 2, dtype=bool)
    reached[breadth_first_order(residual, source, return_predecessors=False)] = True
    sides: NDArray[np.int64] = 1 - reached[into].astype(np.int64) - reached[out]
    return sides


@torch.no_grad()
def matrix_product(machine: RestrictedBoltzmannMachine, wires: Wires) -> list[Tensor]:
    """Write a restricted Boltzmann machine as a matrix-product state with open ends, exactly.

    Args:
        machine: the machine.
        wires: from :func:`direct_wires` or :func:`fewest_wires` of the same machine.

    Returns:
        For each site ``(2, left bond, right bond)``.

    Raises:
        ValueError: a tensor would have more than about a million entries, or wires that do not fit.
    """
    coupled = _coupled(machine)
    _check_wires(coupled, wires)
    return [_site_tensor(machine, wires, site) for site in range(coupled.shape[1])]


def _check_wires(coupled: NDArray[np.bool_], wires: Wires) -> None:
    """Each term of the exponent needs a tensor that all its units reach."""
    hidden, sites = coupled.shape
    enter, leave = wires.enter, wires.leave
    if not len(enter) == len(leave) == sites + hidden:
        raise ValueError(
            f"wires: got {len(enter)} units, expected {sites + hidden}; use the wires of this machine"
        )
    own = np.arange(sites)
    j, i = np.nonzero(coupled)
    first = np.concatenate([enter[:sites], own, np.maximum(enter[sites + j], enter[i])])
    last = np.concatenate([own, leave[:sites], np.minimum(leave[sites + j], leave[i])])
    if enter.min() < 0 or leave.max() >= sites or (first > last).any():
        raise ValueError(
            "wires: got a spin that misses its own site, or coupled units that meet in no tensor of the "
            "chain, expected neither; use the wires of this machine"
        )


def _site_tensor(machine: RestrictedBoltzmannMachine, wires: Wires, site: int) -> Tensor:
    left, right = wires.crossing(site), wires.crossing(site + 1)
    if 2 ** (1 + len(left) + len(right)) > MOST:
        raise ValueError(
            f"wires: got {len(left)} and {len(right)} across the bonds of site {site}, expected at most "
            f"{int(math.log2(MOST)) - 1} in all; see fewest_wires"
        )
    alive = sorted({site, *left.tolist(), *right.tolist()})
    values = all_spins(len(alive), dtype=machine.weight.real.dtype, device=machine.weight.device)
    weight = _log_weight(machine, wires, site, dict(zip(alive, values.T, strict=True))).exp()
    bits = (values < 0).long()

    def index(units: Sequence[int]) -> Tensor:
        places = [alive.index(unit) for unit in units]
        return (bits[:, places] * 2 ** torch.arange(len(places), device=bits.device).flip(0)).sum(1)

    tensor = weight.new_zeros(2, 2 ** len(left), 2 ** len(right))
    tensor[index([site]), index(left.tolist()), index(right.tolist())] = weight
    return tensor


def _log_weight(
    machine: RestrictedBoltzmannMachine, wires: Wires, site: int, values: dict[int, Tensor]
) -> Tensor:
    """All terms of the exponent that this site is the first to know, for all values of its wires."""
    visible, hidden, weight = machine.units()
    bias = torch.cat([visible, hidden])
    total, sites = torch.zeros_like(values[site], dtype=bias.dtype), len(visible)
    for unit in values:
        if wires.enter[unit] == site:
            total = total + bias[unit] * values[unit]
    for unit, row in enumerate(weight, sites):
        coupled = [i for i in torch.nonzero(row)[:, 0].tolist() if i in values]
        if unit in values:
            for i in coupled:
                if max(wires.enter[unit], wires.enter[i]) == site:
                    total = total + row[i] * values[unit] * values[i]
        elif wires.enter[unit] == site:  # the unit meets all its neighbours here: sum over its values
            angle = bias[unit] + sum(row[i] * values[i] for i in coupled)
            total = total + log_2cosh(angle + torch.zeros_like(total))
    return total

r"""Clusters of spins that turn as one: for models whose single spins hardly ever flip.

Equal neighbours are joined at random with a probability that follows from their coupling; each cluster then
gets a new random spin :cite:p:`swendsen1987`. That obeys detailed balance, critical or not.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from nnbook.arrays import check_indices, check_values


def cluster_sweep(spins: Tensor, edges: Tensor, couplings: Tensor, generator: torch.Generator) -> Tensor:
    r"""One Swendsen-Wang sweep of a ferromagnetic Ising model with weight :math:`\exp \sum K_{uv} x_u x_v`.

    Equal neighbours are joined with probability :math:`1 - e^{-2K}`; each cluster gets a new random spin.

    Args:
        spins: ``(chains, units)`` of ±1.
        edges: pairs of units, ``(edges, 2)``.
        couplings: K, ``(edges,)``, or ``(chains, edges)`` where each chain has its own; none negative.
        generator: source of the random numbers.

    Raises:
        ValueError: a coupling that is negative, as its clusters would need another rule, or not finite.
    """
    if spins.ndim != 2:
        raise ValueError(f"spins: got shape {tuple(spins.shape)}, expected (chains, units)")
    check_indices("edges", edges, width=(2,), count=spins.shape[1])
    each = (len(spins),) if couplings.ndim == 2 else ()
    check_values("couplings", couplings, (*each, len(edges)))
    if bool((couplings < 0).any()):
        raise ValueError(f"couplings: got {float(couplings.min()):g}, expected none below zero")
    chains, units = spins.shape
    first, second = edges.T
    draw = torch.rand(chains, len(edges), generator=generator, device=generator.device).to(spins.device)
    joined = (spins[:, first] == spins[:, second]) & (draw < -torch.expm1(-2 * couplings))
    chain, edge = torch.nonzero(joined, as_tuple=True)
    tails, heads = ((chain * units + end[edge]).numpy(force=True) for end in (first, second))
    graph = csr_array((np.ones(len(tails), dtype=np.int8), (tails, heads)), shape=(spins.numel(),) * 2)
    count, label = connected_components(graph, directed=False)
    signs = torch.randint(0, 2, (count,), generator=generator, device=generator.device)
    label = torch.from_numpy(label.astype(np.int64)).to(signs.device)
    return (1 - 2 * signs[label]).reshape(chains, units).to(spins)

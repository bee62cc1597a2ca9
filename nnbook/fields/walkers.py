r"""Markov chains of the XY model that turn whole clusters.

A direction n splits each spin into its component along n and the rest. With :math:`c_i = \cos(\theta_i -
\phi_n)` the energy is that of Ising spins :math:`\epsilon_i = \pm1`, the signs of the :math:`c_i`,

.. math:: -\beta \cos(\theta_i - \theta_j) = -K_{ij}\, \epsilon_i \epsilon_j + \text{rest}, \qquad
          K_{ij} = \beta\, |c_i|\, |c_j| \ge 0,

so that clusters of them can be turned :cite:p:`wolff1989,swendsen1987`: a spin of a turned cluster is
mirrored, :math:`\theta \to 2\phi_n + \pi - \theta`. Each sweep draws a new direction for each chain.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nnbook.arrays import check_counts, check_numbers, check_values
from nnbook.fields.actions import XY
from nnbook.sample.clusters import cluster_sweep


@torch.no_grad()
def xy_sweep(model: XY, angles: Tensor, *, generator: torch.Generator) -> Tensor:
    """One sweep of each chain: a direction, its clusters, and a new sign for each of them.

    Args:
        model: the XY model.
        angles: ``(chains, sites)``.
        generator: source of the random numbers.

    Returns:
        New angles, from 0 to 2 pi.
    """
    check_numbers("angles", angles)
    check_values("angles", angles, ("chains", model.length**2))
    draw = torch.rand(len(angles), 1, generator=generator, device=generator.device, dtype=torch.float64)
    direction = 2 * math.pi * draw.to(angles)
    along = (angles - direction).cos()
    signs = torch.where(along < 0, -1.0, 1.0)
    bonds = model.bonds().triu()
    edges, size = bonds.nonzero().to(angles.device), along.abs()
    strength = model.beta * bonds[bonds > 0].to(angles)  # on two sites a side a pair has two bonds
    couplings = strength * size[:, edges[:, 0]] * size[:, edges[:, 1]]
    turned = cluster_sweep(signs, edges, couplings, generator) != signs
    mirrored = 2 * direction + math.pi - angles
    return torch.where(turned, mirrored, angles).remainder(2 * math.pi)


def xy_samples(
    model: XY, *, chains: int, samples: int, generator: torch.Generator, sweeps: int = 5, warm_up: int = 50
) -> Tensor:
    """Configurations of many independent chains, ``(samples, chains, sites)``, in double precision.

    Half of the chains start from random angles and half from equal ones, so that R-hat of
    :func:`~nnbook.sample.estimates.estimate` tells whether both have come to the same place.

    Args:
        model: the XY model.
        chains, samples: how many chains, and how many configurations of each.
        generator: source of the random numbers.
        sweeps: from one sample to the next.
        warm_up: sweeps before the first.

    Raises:
        ValueError: a count below 1 (``warm_up``: below 0).
    """
    check_counts(chains=chains, samples=samples, sweeps=sweeps)
    check_counts(least=0, warm_up=warm_up)
    angles = model.start(chains, generator=generator)
    angles[::2] = angles[::2, :1]
    seen = []
    for look in range(1, warm_up + samples * sweeps + 1):
        angles = xy_sweep(model, angles, generator=generator)
        if look > warm_up and (look - warm_up) % sweeps == 0:
            seen.append(angles)
    return torch.stack(seen)

r"""What the chapter *Electrons in a trap* reads.

Three wave functions: a restricted Boltzmann machine, a determinant with a Jastrow factor of Padé form, and a
network that adds functions of distances to the Jastrow factor and to the coordinates of the determinant. All
are trained by :func:`~nnbook.continuum.systems.train`.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnbook.arrays import check_counts, check_values, finite
from nnbook.continuum.determinants import Backflow, Slater
from nnbook.continuum.factors import BoltzmannMachine, Factor, Gaussian, Jastrow, LogJet
from nnbook.continuum.local_energy import double_backward, finite_differences, kinetic
from nnbook.continuum.radial import Pade, Radial
from nnbook.continuum.states import Product
from nnbook.continuum.systems import Split, Trap, train
from nnbook.exact.pairs import TrappedPair, trapped_pair
from nnbook.exact.shells import Interaction, configuration_interaction
from nnbook.sample.estimates import Estimate, estimate
from nnbook.sample.metropolis import metropolis
from nnbook.sample.walkers import GaussianWalkers, LangevinWalkers
from nnbook.train.reconfiguration import natural_step
from nnbook.train.sampled import Measurement, Training, measure, optimise

__all__ = ["Interaction", "TrappedPair", "configuration_interaction", "trapped_pair"]
__all__ += ["Backflow", "BoltzmannMachine", "Factor", "Gaussian", "Jastrow", "LogJet", "Pade", "Product"]
__all__ += ["Radial", "Slater", "Split", "Trap", "double_backward", "finite_differences", "kinetic"]
__all__ += ["Estimate", "GaussianWalkers", "LangevinWalkers", "estimate", "metropolis"]
__all__ += ["Measurement", "Training", "measure", "natural_step", "optimise"]
__all__ += ["boltzmann", "network", "parts", "radial_density", "slater_jastrow", "thirty_electrons", "train"]

Array = NDArray[np.float64]


def boltzmann(
    trap: Trap, hidden: int | None = None, *, pade: bool = False, generator: torch.Generator
) -> Product:
    """A restricted Boltzmann machine times determinants, as in :cite:t:`nordhagen2023`.

    Args:
        trap: the system.
        hidden: hidden units; as many as electrons if absent.
        pade: whether there is a Jastrow factor of Padé form too.
        generator: source of the random start.
    """
    machine = BoltzmannMachine(trap, trap.electrons if hidden is None else hidden, generator=generator)
    jastrow = [Jastrow(trap, [Pade(cusp) for cusp in trap.cusps])] if pade else []
    return Product(machine, *jastrow, Slater(trap))


def slater_jastrow(trap: Trap) -> Product:
    """A Gaussian, a Jastrow factor of Padé form and determinants: the state of textbooks."""
    return Product(Gaussian(), Jastrow(trap, [Pade(cusp) for cusp in trap.cusps]), Slater(trap))


def network(trap: Trap, hidden: int = 16, backflow: int = 14, *, generator: torch.Generator) -> Product:
    """The state of :func:`slater_jastrow` with networks.

    Args:
        trap: the system.
        hidden: units of each network of the Jastrow factor; 0 for none.
        backflow: units of each network of the backflow; 0 for none, and none is needed for two electrons.
        generator: source of the random start.
    """
    check_counts(least=0, hidden=hidden, backflow=backflow)
    factors: list[Factor] = [Gaussian(), Jastrow(trap, [Pade(cusp) for cusp in trap.cusps])]
    if hidden:
        each = [Radial(hidden, "jastrow", generator=generator) for _ in trap.cusps]
        factors.append(Jastrow(trap, each))
    flow = Backflow(trap, backflow, generator=generator) if backflow and trap.electrons > 2 else None
    return Product(*factors, Slater(trap, flow))


@torch.no_grad()
def parts(state: Product, trap: Trap, samples: Tensor) -> dict[str, Estimate]:
    r"""The parts of the energy, and what the virial theorem says must vanish.

    If all lengths are stretched, the energy of the best state does not change to first order:
    :math:`2T = 2V - U` for the energies of motion, trap and repulsion. Nothing that is averaged diverges
    where electrons meet. Two electrons have no nodes, so that T is the mean of
    :math:`\tfrac12|\nabla\ln\psi|^2`; with more, U is that of
    :meth:`~nnbook.continuum.systems.Trap.smooth_repulsion`. The third part is what is left of the local
    energy.

    Args:
        state, trap: the system.
        samples: ``(samples, chains, N, d)``, of a :class:`~nnbook.train.sampled.Measurement`.

    Returns:
        ``"kinetic"``, ``"trap"``, ``"repulsion"`` and ``"virial"``, the last as :math:`2T - 2V + U`.
    """
    check_values("samples", samples, ("samples", "chains", trap.electrons, trap.dim))
    check_counts(samples=len(samples))
    looks = [trap.split(state, x) for x in samples]
    v, e = (
        torch.stack([look.trap for look in looks]),
        torch.stack([torch.stack(look).sum(0) for look in looks]),
    )
    if trap.electrons == 2:
        t = torch.stack([trap.omega / 2 * state.jet(x).gradient.square().sum((1, 2)) for x in samples])
        u = e - v - t
    else:
        u = torch.stack([trap.smooth_repulsion(state, x) for x in samples])
        t = e - v - u
    values = {"kinetic": t, "trap": v, "repulsion": u, "virial": 2 * t - 2 * v + u}
    return {name: Estimate.of(value) for name, value in values.items()}


def radial_density(samples: Tensor, bins: int = 60, *, reach: float) -> tuple[Array, Array]:
    r"""The density of electrons at a distance from the centre, all angles together.

    Args:
        samples: positions ``(..., N, d)``.
        bins: of equal width.
        reach: the largest distance.

    Returns:
        The middles of the bins and :math:`n(r)`, both ``(bins,)``; the integral of n over space is N.

    Raises:
        ValueError: no bins, no reach, positions that are not finite.
    """
    check_counts(bins=bins)
    finite("reach", reach, least=1e-6, most=1e6)
    check_values("samples", samples, ("...", "electrons", "dim"))
    electrons, dim = samples.shape[-2:]
    r = samples.square().sum(-1).sqrt().flatten().numpy(force=True)
    counts, edges = np.histogram(r, bins, (0, reach))
    ball = math.pi ** (dim / 2) / math.gamma(dim / 2 + 1)
    volume = ball * np.diff(edges**dim)
    return (edges[1:] + edges[:-1]) / 2, counts / volume * electrons / max(1, len(r))


def thirty_electrons() -> tuple[Array, dict[str, Array], dict[str, tuple[float, float]]]:
    """Densities and energies of thirty electrons at omega = 1, as ``benchmarks/dots.py density`` stored them.

    Returns:
        Distances from the centre ``(bins,)``; for each state the density there, and the energy with its
        error.

    >>> thirty_electrons()[2]["network"]
    (309.0342, 0.0157)
    """
    lines = Path(__file__).with_name("quantum_dots.csv").read_text(encoding="utf-8").splitlines()
    names, *rows = (line.split(",") for line in lines if line[0] != "#")
    said = dict(line[2:].split(": ") for line in lines if line.startswith("#") and ": " in line)
    energies = {name: said[name].split() for name in names[1:]}
    r, *densities = np.array(rows, dtype=float).T
    found = {name: (float(mean), float(error)) for name, (mean, error) in energies.items()}
    return r, dict(zip(names[1:], densities, strict=True)), found

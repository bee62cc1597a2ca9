"""Diffusion Monte Carlo: exact where the state has no nodes."""

import math

import numpy as np
import torch

from nnbook.exact.ewald import Ewald, pair_in_box
from nnbook.matter_in_a_box import ElectronGas, Estimate, diffuse, measure, network


def coulomb(square):
    """Its Fourier transform at rs = 40, without the constant."""
    return np.divide(4 * math.pi / 40, square, out=np.zeros_like(square), where=square > 1e-9)


def test_diffusion_is_exact_without_nodes():
    generator = torch.Generator().manual_seed(1)
    box = ElectronGas(2, 40.0)  # bound by far more than its energies scatter
    state = network(box, 0, 0, generator=generator)
    before = measure(state, box, generator=generator, chains=100, samples=2, warm_up=20)
    energies = diffuse(state, box, before.samples[-1], step=0.03, steps=200, generator=generator)
    found = Estimate.of(energies[70:])
    goal = pair_in_box(coulomb, box.length, box.stiffness) + Ewald(box.length).madelung() / 40
    assert abs(found.mean - goal) < 4 * found.error + 2e-3 * abs(goal)
    assert found.error < 0.2 * (before.energy.mean - goal)

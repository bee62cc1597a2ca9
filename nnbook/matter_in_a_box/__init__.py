r"""What the chapter *Matter in a box* reads.

Fermions in a periodic cube, half of them with spin up, in three systems: electrons with a uniform background,
neutrons with a potential that acts in singlets, atoms at the unitary limit. Their states are Jastrow factors
times one determinant of pairs; backflow makes the pairs know of the others.
"""

from nnbook.continuum.local_energy import double_backward, kinetic
from nnbook.continuum.radial import Pade, Radial
from nnbook.continuum.states import Product
from nnbook.continuum.systems import train
from nnbook.exact.ewald import (
    MINNESOTA,
    Ewald,
    cosh_transform,
    electron_gas,
    fermi_gas,
    gaussian_transform,
    momenta,
    pair_in_box,
    singlet_matter,
)
from nnbook.matter_in_a_box.diffusion import diffuse
from nnbook.matter_in_a_box.pairing import PairDeterminant, singlets
from nnbook.matter_in_a_box.periodic import Contact, PeriodicBackflow, PeriodicJastrow
from nnbook.matter_in_a_box.systems import NEUTRON, ColdAtoms, ElectronGas, Matter, Neutrons, network
from nnbook.sample.estimates import Estimate
from nnbook.sample.metropolis import metropolis
from nnbook.train.sampled import Measurement, Training, measure

__all__ = ["MINNESOTA", "Ewald", "cosh_transform", "electron_gas", "fermi_gas", "gaussian_transform"]
__all__ += ["double_backward", "kinetic", "momenta", "pair_in_box", "singlet_matter"]
__all__ += ["NEUTRON", "ColdAtoms", "ElectronGas", "Matter", "Neutrons", "diffuse", "network", "singlets"]
__all__ += ["Contact", "Pade", "PairDeterminant", "PeriodicBackflow", "PeriodicJastrow", "Product", "Radial"]
__all__ += ["Estimate", "Measurement", "Training", "measure", "metropolis", "train"]

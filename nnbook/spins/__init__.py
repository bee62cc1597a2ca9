"""Spins one half on lattices: Hamiltonians, wave functions, walkers, tensor networks."""

from nnbook.spins.hamiltonians import SpinHamiltonian, heisenberg, ising, xxz
from nnbook.spins.lattices import Lattice, chain, rectangle, square

__all__ = ["Lattice", "SpinHamiltonian", "chain", "heisenberg", "ising", "rectangle", "square", "xxz"]

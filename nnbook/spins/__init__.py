"""Spins one half on lattices: Hamiltonians, wave functions, walkers, tensor networks."""

from nnbook.spins.hamiltonians import Lattice, SpinHamiltonian, chain, heisenberg, ising, square

__all__ = ["Lattice", "SpinHamiltonian", "chain", "heisenberg", "ising", "square"]

"""What the chapter *Neural-network quantum states* reads: spins, their states, and how they are trained."""

from nnbook.exact import chains as spin_chains
from nnbook.sample.estimates import Estimate, estimate
from nnbook.spins.hamiltonians import SpinHamiltonian, heisenberg, ising, xxz
from nnbook.spins.lattices import Lattice, chain, rectangle, square
from nnbook.spins.states import Amplitude, Jastrow, LogState, MeanField, RestrictedBoltzmannMachine, enlarge
from nnbook.spins.tensors import MatrixProductState
from nnbook.train.linear_method import minimise
from nnbook.train.reconfiguration import natural_step
from nnbook.train.sampled import measure, optimise

__all__ = ["Lattice", "SpinHamiltonian", "chain", "heisenberg", "ising", "rectangle", "spin_chains"]
__all__ += ["square", "xxz"]
__all__ += ["Amplitude", "Jastrow", "LogState", "MatrixProductState", "MeanField"]
__all__ += ["RestrictedBoltzmannMachine", "enlarge"]
__all__ += ["Estimate", "estimate", "measure", "minimise", "natural_step", "optimise"]

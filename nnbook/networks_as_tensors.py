"""What the chapter *Networks, tensor networks and imaginary time* reads, and dense exponentials."""

from __future__ import annotations

import numpy as np
from scipy.linalg import expm

from nnbook.arrays import check_counts, positive
from nnbook.exact.chains import ising_correlation
from nnbook.exact.enumerate import Array
from nnbook.spins.entanglement import (
    compress,
    decompose,
    entanglement_entropy,
    inner,
    schmidt_rank,
    schmidt_values,
)
from nnbook.spins.hamiltonians import SpinHamiltonian, heisenberg, ising
from nnbook.spins.imaginary_time import ImaginaryTime, sample_bulk
from nnbook.spins.lattices import all_spins, chain, rectangle
from nnbook.spins.machines import deep_machine, triple_unit
from nnbook.spins.machines_as_tensors import direct_wires, fewest_wires, matrix_product
from nnbook.spins.states import Amplitude, RestrictedBoltzmannMachine
from nnbook.spins.tensors import MatrixProductState, ProjectedPairState, contract
from nnbook.train.linear_method import minimise

__all__ = ["all_spins", "chain", "heisenberg", "ising", "ising_correlation", "rectangle"]
__all__ += ["minimise", "trotter"]
__all__ += ["Amplitude", "RestrictedBoltzmannMachine", "direct_wires", "fewest_wires", "matrix_product"]
__all__ += ["MatrixProductState", "ProjectedPairState", "compress", "contract", "decompose", "inner"]
__all__ += ["entanglement_entropy", "schmidt_rank", "schmidt_values"]
__all__ += ["ImaginaryTime", "deep_machine", "sample_bulk", "triple_unit"]


def trotter(hamiltonian: SpinHamiltonian, step: float, steps: int, order: int) -> Array:
    r"""All amplitudes of M steps of imaginary time by dense matrix exponentials, from spins along x.

    .. math:: \bigl(e^{-\delta X} e^{-\delta Z}\bigr)^M |+\rangle \quad\text{or}\quad
              \bigl(e^{-\delta Z/2} e^{-\delta X} e^{-\delta Z/2}\bigr)^M |+\rangle, \qquad H = X + Z

    with the bonds Z and the field X; neither a network nor torch takes part. The amplitudes are ``(2^N,)``,
    not normalised.

    Args:
        hamiltonian: an Ising model in a transverse field.
        step: :math:`\delta`.
        steps: M.
        order: of the splitting, 1 or 2.

    Raises:
        ValueError: a step that is not positive or so long that its exponentials overflow, or a count below 1.
    """
    check_counts(steps=steps)
    positive("step", step, most=700 / max(1.0, hamiltonian.bounds[1]))
    whole = hamiltonian.matrix()
    bonds = whole.diagonal()
    field = expm(-step * (whole.toarray() - np.diag(bonds)))
    half = np.exp(-step / 2 * bonds)
    one = half[:, None] * field * half if order == 2 else field * half**2
    amplitudes: Array = np.linalg.matrix_power(one, steps) @ np.full(len(bonds), len(bonds) ** -0.5)
    return amplitudes

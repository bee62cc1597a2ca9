r"""Two, three and four nucleons with the contact forces of pionless effective theory, exactly.

Smeared over a length :math:`2/\Lambda`, the forces of leading order are

.. math:: V = \sum_{i<j} (C_1 + C_2\,\sigma_i\cdot\sigma_j)\, e^{-\Lambda^2 r_{ij}^2/4}
          + D_0 \sum_{i<j<k} \sum_{\text{cyc}} e^{-\Lambda^2 (r_{ik}^2 + r_{ij}^2)/4} .

All integrals between Gaussians of the distances are elementary :cite:p:`suzuki1998`. A sum of them is an
upper bound that falls to the exact energy. Lengths are in fm, energies in MeV, without Coulomb's force.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.optimize import brentq
from scipy.stats import qmc

from nnbook.exact.ranges import check_counts, finite, positive

Array = NDArray[np.float64]

#: MeV fm²; twice the kinetic energy of a nucleon with wave number one, for 197.327 MeV fm and 938.95 MeV
HBAR2_OVER_MASS = 197.327**2 / 938.95
CONSTANTS = {
    2.0: (-133.3431, -9.0212, 8.2757658256**2),
    4.0: (-487.6128, -17.5515, 26.0345712467**2),
    6.0: (-1064.5010, -26.0830, 51.5038930567**2),
}


@dataclass(frozen=True)
class Pionless:
    r"""The forces of leading order at one cutoff.

    Attributes:
        cutoff: :math:`\Lambda`, in 1/fm.
        central, spin: :math:`C_1` and :math:`C_2`, in MeV.
        three_body: :math:`D_0`, in MeV.
    """

    cutoff: float
    central: float
    spin: float
    three_body: float = 0.0

    def __post_init__(self) -> None:
        positive("cutoff", self.cutoff, most=100)
        for name in ("central", "spin", "three_body"):
            finite(name, getattr(self, name))

    @property
    def triplet(self) -> float:
        r"""Strength for total spin 1, where :math:`\sigma\cdot\sigma = 1`."""
        return self.central + self.spin

    @property
    def singlet(self) -> float:
        r"""Strength for total spin 0, where :math:`\sigma\cdot\sigma = -3`."""
        return self.central - 3 * self.spin


def pionless(cutoff: float) -> Pionless:
    """The constants of :cite:t:`adams2021` at the cutoff 2, 4 or 6 per fm.

    Raises:
        ValueError: a cutoff that they were not fitted for.

    >>> print(f"{pionless(4).triplet:.4f}")
    -505.1643
    """
    if cutoff not in CONSTANTS:
        raise ValueError(f"cutoff: got {cutoff!r}, expected 2, 4 or 6 per fm, for which constants are known")
    return Pionless(float(cutoff), *CONSTANTS[float(cutoff)])


def _outside(strength: float, cutoff: float, kappa: float) -> tuple[float, Array]:
    """Where the force has ended, and the s wave u and u' there, at the energy of a decay constant."""
    depth = finite("strength", strength, least=-1e4, most=1e4) / HBAR2_OVER_MASS
    end = 12 / finite("cutoff", cutoff, least=0.1, most=100)

    def slope(r: float, y: Array) -> list[float]:
        return [y[1], (depth * math.exp(-((cutoff * r / 2) ** 2)) + kappa**2) * y[0]]

    way = solve_ivp(slope, (0, end), [0.0, 1.0], method="DOP853", rtol=1e-12, atol=1e-14)
    return end, way.y[:, -1]


def scattering_length(strength: float, cutoff: float) -> float:
    r"""The scattering length, in fm, of two nucleons with the force :math:`C e^{-\Lambda^2r^2/4}`.

    >>> print(f"{scattering_length(pionless(4).singlet, 4):.2f}")
    -23.78
    """
    end, (u, slope) = _outside(strength, cutoff, 0.0)
    return float(end - u / slope)


def bound_pair(strength: float, cutoff: float) -> float:
    r"""The energy, in MeV, of the bound state of two nucleons with the force :math:`C e^{-\Lambda^2r^2/4}`.

    Raises:
        ValueError: a force that binds no state, or more than one.

    >>> print(f"{bound_pair(pionless(4).triplet, 4):.5f}")
    -2.22516
    """

    def mismatch(kappa: float) -> float:
        _, (u, slope) = _outside(strength, cutoff, kappa)
        return float(slope + kappa * u)

    most = math.sqrt(max(-strength, 0.0) / HBAR2_OVER_MASS)
    if not mismatch(0.0) < 0 < mismatch(most):
        raise ValueError(
            f"strength: got {strength:g} MeV at cutoff {cutoff:g}, expected one bound state; "
            "make it more attractive, or less"
        )
    return float(-HBAR2_OVER_MASS * brentq(mismatch, 0.0, most, xtol=1e-13) ** 2)


def pair_classes(nucleons: int) -> list[int]:
    """To which of three classes each pair belongs: equal ones have equal spin exchange operators.

    Three nucleons have the pairs 12, 13, 23; of four the pairs 12 and 34, 13 and 24, 14 and 23 belong
    together.

    Raises:
        ValueError: another number of nucleons.

    >>> pair_classes(4)
    [0, 1, 2, 2, 1, 0]
    """
    if nucleons not in (2, 3, 4):
        raise ValueError(f"nucleons: got {nucleons}, expected 2, 3 or 4")
    return {2: [0], 3: [0, 1, 2], 4: [0, 1, 2, 2, 1, 0]}[nucleons]


def _spins(nucleons: int, order: tuple[int, ...]) -> Array:
    """A permutation in the doublet of spins of total spin 1/2 (three nucleons) or 0 (four), ``(2, 2)``."""
    kind, pairs = pair_classes(nucleons), list(itertools.combinations(range(nucleons), 2))
    arrow = np.array([[math.cos(2 * math.pi * c / 3), math.sin(2 * math.pi * c / 3)] for c in range(3)])
    sent = [kind[pairs.index(tuple(sorted((order[i], order[j]))))] for i, j in pairs[:3]]  # type: ignore[arg-type]
    turn: Array = 2 / 3 * np.einsum("ca,cb->ab", arrow[sent], arrow[kind[:3]])
    return turn


def correlated_gaussians(
    nucleons: int, force: Pionless, *, spins: bool = True, functions: int | None = None
) -> float:
    r"""The energy of the triton or of helium, in MeV, from below as exact as the basis is large.

    The basis is made of :math:`\exp(-\sum_p r_p^2/2d_p^2)` with widths d that fill their range evenly, times
    a spin-isospin state, antisymmetrised over all nucleons. It is not tuned, and so always the same.

    Args:
        nucleons: 3, with total spin and isospin 1/2, or 4, with both zero.
        force: the Hamiltonian's.
        spins: false keeps to states that are symmetric in space, in which :math:`\sigma_i\cdot\sigma_j` has
            the mean -1.
        functions: size of the basis; 120 for three nucleons and 200 for four if absent.

    Returns:
        The energy, an upper bound.

    Raises:
        ValueError: another number of nucleons, no functions.

    >>> print(f"{correlated_gaussians(3, pionless(4), spins=False, functions=60):.2f}")
    -7.83
    """
    if nucleons not in (3, 4):
        raise ValueError(f"nucleons: got {nucleons}, expected 3 or 4; two have a radial equation")
    functions = {3: 120, 4: 200}[nucleons] if functions is None else functions
    check_counts(functions=functions)
    overlap, energy = _matrices(nucleons, force, spins, functions)
    size = np.sqrt(np.diag(overlap))
    values, vectors = np.linalg.eigh(overlap / np.outer(size, size))
    kept = vectors[:, values > 1e-11] / np.sqrt(values[values > 1e-11])
    return float(np.linalg.eigvalsh(kept.T @ (energy / np.outer(size, size)) @ kept)[0])


def _matrices(nucleons: int, force: Pionless, spins: bool, functions: int) -> tuple[Array, Array]:
    """Overlaps and energies of the basis, both ``(functions, functions)``."""
    pairs = list(itertools.combinations(range(nucleons), 2))
    last = np.vstack([np.eye(nucleons - 1), np.zeros(nucleons - 1)])  # coordinates relative to the last
    w = np.array([last[i] - last[j] for i, j in pairs])
    motion = np.eye(nucleons - 1) + 1.0
    narrow = 1.4 / force.cutoff
    spread = qmc.Halton(len(pairs), scramble=False).random(functions + 20)[20:]
    a = narrow**-2.0 * (narrow / 9.0) ** (2 * spread)
    rows, columns = np.triu_indices(functions)
    bra = np.einsum("kp,pa,pb->kab", a, w, w)[rows]
    states = np.array([[0.0, 1, 0, 0], [0, 0, 1, 0]] if spins else [[0.0, 1, -1, 0]])
    zeta = states[np.arange(functions) % len(states)]
    swaps = [(1, 0, 2, 3), (2, 1, 0, 3), (0, 2, 1, 3)]  # 12, 13 and 23: one of each class
    exchange = [2 * np.kron(_spins(nucleons, swap[:nucleons]), np.eye(2)) for swap in swaps]
    overlap, energy = np.zeros((2, functions, functions))
    for order in itertools.permutations(range(nucleons)):
        sent = [pairs.index(tuple(sorted((order[i], order[j])))) for i, j in pairs]  # type: ignore[arg-type]
        moved = np.empty_like(a)
        moved[:, sent] = a
        ket = np.einsum("kp,pa,pb->kab", moved, w, w)[columns]
        turn = _spins(nucleons, order)
        right = round(np.linalg.det(turn)) * np.kron(turn, turn) @ zeta.T
        inverse = np.linalg.inv(bra + ket)
        common = np.linalg.det(inverse) ** 1.5
        bend = (
            1.5 * HBAR2_OVER_MASS * np.einsum("kab,bc,kcd,kda->k", bra, motion, ket, inverse, optimize=True)
        )
        near = force.cutoff**2 / 2 * np.einsum("pa,kab,qb->pqk", w, inverse, w, optimize=True)
        one = (1 + near[range(len(pairs)), range(len(pairs))]) ** -1.5
        plain = bend + (force.central - force.spin) * one.sum(0)
        if force.three_body:
            for p, q in itertools.combinations(range(len(pairs)), 2):
                if set(pairs[p]) & set(pairs[q]):
                    both = (1 + near[p, p]) * (1 + near[q, q]) - near[p, q] ** 2
                    plain += force.three_body * both**-1.5
        spin = (zeta @ right)[rows, columns]
        overlap[rows, columns] += common * spin
        energy[rows, columns] += common * spin * plain
        for p, kind in enumerate(pair_classes(nucleons)):
            energy[rows, columns] += (
                force.spin * common * one[p] * (zeta @ exchange[kind] @ right)[rows, columns]
            )
    full = [np.triu(m) + np.triu(m, 1).T for m in (overlap, energy)]
    return full[0], full[1]

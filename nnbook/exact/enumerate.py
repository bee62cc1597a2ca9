r"""Few spins one half, all configurations one by one: their order, matrices, ground states, information.

Configuration number n of N spins has :math:`s_i = +1` where bit N - 1 - i of n is zero. So site 0 changes
slowest, all spins up come first, and amplitudes in this order are a tensor: ``psi.reshape(2, ..., 2)`` has
one axis a site, index 0 for s = +1. A list of balanced configurations, those of zero magnetisation, is in
the same order.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import eigsh

from nnbook.exact.ranges import check_counts

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

#: Enumeration accepts no more configurations than this.
MOST = 2**20


def numbers(sites: int, *, balanced: bool = False) -> Indices:
    """The numbers of all configurations ``(n,)``, increasing.

    Args:
        sites: number of spins N.
        balanced: only configurations with as many spins up as down.

    Raises:
        ValueError: more than about a million configurations, or an odd number of spins to balance.

    >>> numbers(4, balanced=True)
    array([ 3,  5,  6,  9, 10, 12])
    """
    check_counts(least=0, sites=sites)
    if balanced and sites % 2:
        raise ValueError(f"sites: got {sites}, expected an even number, half of them up")
    count = math.comb(sites, sites // 2) if balanced and sites < 60 else 2 ** min(sites, 60)
    if count > MOST:
        many = f"{count:,}" if sites < 60 else f"about 10^{0.301 * sites:.3g}"
        raise ValueError(
            f"sites: got {sites}, which makes {many} configurations, expected at most {MOST:,} of them; "
            "sample instead (nnbook.train.sampled)"
        )
    if not balanced:
        return np.arange(count)
    down = np.fromiter(itertools.chain(*itertools.combinations(range(sites), sites // 2)), np.int64)
    return np.sort((1 << down.reshape(count, -1)).sum(1))


def configurations(sites: int, *, balanced: bool = False) -> Array:
    """All configurations ``(n, N)`` of ±1 in the order of their :func:`numbers`.

    Raises:
        ValueError: as :func:`numbers`.

    >>> configurations(2)
    array([[ 1.,  1.],
           [ 1., -1.],
           [-1.,  1.],
           [-1., -1.]])
    """
    bits = numbers(sites, balanced=balanced)[:, None] >> np.arange(sites)[::-1] & 1
    return np.where(bits, -1.0, 1.0)


def reached(sites: int, moves: Indices, *, balanced: bool = False) -> Indices:
    """Index of the configuration that each move leads to, ``(n, moves)``; its own where that is not listed.

    Args:
        sites, balanced: see :func:`numbers`.
        moves: the sites that each move flips, ``(moves, sites of a move)``.
    """
    here = numbers(sites, balanced=balanced)
    there = here[:, None] ^ (1 << sites - 1 - moves).sum(1)
    index = np.searchsorted(here, there).clip(max=len(here) - 1)
    return np.where(here[index] == there, index, np.arange(len(here))[:, None])


def matrix(
    sites: int,
    bonds: Indices,
    moves: Indices,
    *,
    coupling: float | Array,
    amplitude: float | Array,
    longitudinal: float | Array = 0.0,
) -> csr_array:
    r"""The Hamiltonian of bonds, fields and moves on all configurations, sparse, ``(n, n)``.

    .. math:: H = \sum_{\langle ij\rangle} J_{ij} \sigma^z_i\sigma^z_j + \sum_i g_i \sigma^z_i
              + \sum_m a_m F_m

    Args:
        sites: number of spins N.
        bonds: pairs of sites, ``(bonds, 2)``.
        moves: the site that each :math:`F_m` flips, ``(moves, 1)``; or two antiparallel spins that it
            exchanges, ``(moves, 2)``, and then the configurations are the balanced ones.
        coupling: J, a number or one for each bond.
        amplitude: a, a number or one for each move.
        longitudinal: g, a number or one for each site.

    Raises:
        ValueError: as :func:`numbers`.
    """
    balanced = moves.shape[1] == 2
    spins, targets = configurations(sites, balanced=balanced), reached(sites, moves, balanced=balanced)
    row, move = np.nonzero(targets != np.arange(len(spins))[:, None])
    strength = np.broadcast_to(amplitude, len(moves))[move]
    flips = csr_array((strength, (row, targets[row, move])), shape=(len(spins),) * 2)
    energies = spins[:, bonds].prod(2) @ np.broadcast_to(coupling, len(bonds))
    return (flips + diags_array(energies + spins @ np.broadcast_to(longitudinal, sites))).tocsr()


def ground_state(hamiltonian: csr_array, *, seed: int = 1) -> tuple[float, Array]:
    """Lowest energy and its normalised amplitudes ``(n,)`` by Lanczos; the largest of them is positive.

    Where no element beside the diagonal is positive, neither is any amplitude of a ground state negative
    (Perron and Frobenius), and Lanczos starts with ones: that keeps out states of other symmetries, however
    close. Otherwise the ground state may be orthogonal to ones, and the start is random.

    Args:
        hamiltonian: a symmetric matrix, ``(n, n)``.
        seed: of the random start.
    """
    count = hamiltonian.shape[0]
    beside = hamiltonian - diags_array(hamiltonian.diagonal())
    start = np.ones(count) if beside.max() <= 0 else np.random.default_rng(seed).normal(size=count)
    if not (hamiltonian @ start).any():  # Lanczos could not begin
        return 0.0, start / np.linalg.norm(start)
    values, vectors = eigsh(hamiltonian, k=1, which="SA", v0=start, tol=1e-14)
    psi = vectors[:, 0]
    return float(values[0]), psi * np.sign(psi[np.abs(psi).argmax()])


def mutual_information(joint: Array) -> float:
    r"""What two sets of spins know of each other, in nats; the table of probabilities is normalised first.

    .. math:: I(A : B) = S(A) + S(B) - S(AB), \qquad S = -\sum_s p_s \ln p_s

    Args:
        joint: ``(states of A, states of B)``.

    Raises:
        ValueError: a table that is negative somewhere, or zero everywhere.

    >>> round(mutual_information(np.eye(2)), 6)
    0.693147
    """
    joint = _probabilities(joint)
    independent = joint.sum(1)[:, None] * joint.sum(0)
    there = (joint > 0) & (independent > 0)
    return max(0.0, float((joint[there] * np.log(joint[there] / independent[there])).sum()))


def rule_information(joint: Array) -> Array:
    r"""I between a coarse bit and B, of **every** rule that makes the bit of a state of A.

    Rule number r gives the bit 1 to the state k of A where bit k of r is one, and 0 to the last state, as r
    and its complement are the same rule: r from 1 to :math:`2^{n - 1} - 1`. None knows more than all of A
    :cite:p:`kochjanusz2018`.

    Args:
        joint: table ``(states of A, states of B)``, at most 16 states of A.

    Returns:
        ``(2**(n - 1) - 1,)``, the rule 1 first.

    Raises:
        ValueError: fewer than 2 or more than 16 states of A, a table that is no probability.
    """
    joint = _probabilities(joint)
    n = len(joint)
    if not 2 <= n <= 16:
        raise ValueError(f"joint: got {n} states of A, expected 2 to 16, which make 32,767 rules")
    rules = np.arange(1, 2 ** (n - 1))
    ones = ((rules[:, None] >> np.arange(n)) & 1).astype(float)
    total = joint.sum(0)
    information = np.zeros(len(rules))
    for part in np.array_split(np.arange(len(rules)), max(1, len(rules) * joint.shape[1] // 2**22)):
        one = ones[part] @ joint
        rest = np.maximum(total - one, 0.0)
        size = one.sum(1)
        information[part] = (_plogp(one) + _plogp(rest)).sum(1) - _plogp(size) - _plogp(1 - size)
    gained: Array = np.maximum(information - _plogp(total).sum(), 0.0)
    return gained


def _plogp(p: Array) -> Array:
    terms: Array = p * np.log(np.where(p > 0, p, 1.0))
    return terms


def _probabilities(joint: Array) -> Array:
    if joint.ndim != 2 or not (joint.size and bool((joint >= 0).all()) and 0 < joint.sum() < np.inf):
        raise ValueError(
            f"joint: got a table of shape {joint.shape} that is no probability, expected (states of A, "
            "states of B), none below zero, one above"
        )
    table: Array = joint / joint.sum()
    return table

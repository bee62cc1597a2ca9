r"""What the chapter *Boltzmann machines* reads.

Patterns to learn (:func:`bars_and_stripes`), a machine that is the Ising model (:func:`bond_machine`), the
exact effect of a Gibbs sweep (:func:`gibbs_matrix`), chains that climb a ladder of machines
(:func:`ladder_sweep`), a directed network below a machine (:func:`belief_log_prob`), and the ancestor of them
all, Hopfield's memory (:func:`hebbian`, :func:`recall`, :func:`retrieval`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from scipy.optimize import brentq, minimize_scalar
from scipy.special import erf, erfinv
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from nnbook.arrays import check_counts, check_indices, check_numbers, check_values, positive
from nnbook.continuum.factors import BoltzmannMachine as Factor
from nnbook.continuum.systems import Trap
from nnbook.exact.ising2d import BETA_C, torus
from nnbook.exact.transfer import IsingRows
from nnbook.fields.actions import Ising
from nnbook.fields.machines import BinaryMachine, GaussianMachine, bernoulli, binary, bits, exact_likelihood
from nnbook.networks import assign, flatten
from nnbook.sample.importance import Importance
from nnbook.spins.hamiltonians import ising
from nnbook.spins.imaginary_time import ImaginaryTime
from nnbook.spins.lattices import all_spins, chain
from nnbook.spins.machines import pair_unit
from nnbook.train.quasi_newton import descend

__all__ = ["BETA_C", "Factor", "Importance", "Ising", "IsingRows", "Trap", "assign", "descend", "flatten"]
__all__ += ["ImaginaryTime", "all_spins", "chain", "ising", "torus"]
__all__ += ["BinaryMachine", "GaussianMachine", "bits", "exact_likelihood"]
__all__ += ["bars_and_stripes", "belief_log_prob", "bond_machine", "gibbs_matrix", "ladder_sweep"]
__all__ += ["capacity", "hebbian", "recall", "retrieval"]


def bars_and_stripes(length: int) -> Tensor:
    r"""All images of full rows or full columns, ``(2**(length + 1) - 2, length**2)``, each once.

    >>> bars_and_stripes(3).shape  # 14 images of 9 pixels
    torch.Size([14, 9])
    """
    check_counts(length=length)
    lines = bits(length, torch.zeros(1, dtype=torch.float64, device="cpu"))[:, :, None].expand(-1, -1, length)
    images: Tensor = torch.cat([lines.flatten(1), lines.mT.flatten(1)]).unique(dim=0)
    return images


def bond_machine(sites: int, bonds: Tensor, couplings: Tensor) -> tuple[BinaryMachine, float]:
    r"""The restricted machine that is an Ising model, a hidden unit a bond, and a constant.

    .. math:: e^{\sum_{ij} K_{ij} s_i s_j} = e^c \sum_h e^{-E(x, h)}, \qquad s = 2x - 1

    Args:
        sites: number of spins.
        bonds: pairs of sites, ``(bonds, 2)``.
        couplings: K of each bond, ``(bonds,)``.

    Returns:
        The machine and c.

    Raises:
        ValueError: sites that are none, not as many couplings as bonds.
    """
    check_counts(sites=sites)
    check_indices("bonds", bonds, width=(2,), count=sites)
    check_values("couplings", couplings, (len(bonds),))
    machine = BinaryMachine(sites, len(bonds), scale=0.0)
    (visible, hidden), weight = machine.biases, machine.weights[0]
    constant = 0.0
    with torch.no_grad():
        for unit, ((i, j), coupling) in enumerate(zip(bonds.tolist(), couplings.tolist(), strict=True)):
            w, other, c = pair_unit(coupling)
            for site, strength in ((i, w), (j, other)):
                weight[site, unit] += 4 * strength
                visible[site] -= 2 * strength
            hidden[unit] = -2 * (w + other)
            constant += c + w + other
    return machine, constant


@torch.no_grad()
def gibbs_matrix(machine: BinaryMachine) -> Tensor:
    r"""The probabilities of a Gibbs sweep between all states of the even side, :math:`T(x \to x')`.

    .. math:: T(x \to x') = \sum_h p(h \mid x)\, p(x' \mid h)

    Rows add up to one, and :math:`p\,T = p` for the machine's own probabilities. The k-th power is k sweeps.

    Raises:
        ValueError: more than 12 units on a side.
    """
    even, odd, coupling = machine.sides()
    if max(len(even), len(odd)) > 12:
        raise ValueError(
            f"machine: got sides of {len(even)} and {len(odd)} units, expected at most 12, whose "
            "4,096 states make a matrix; let chains run instead"
        )
    x, h = bits(len(even), even), bits(len(odd), odd)

    def given(states: Tensor, weights: Tensor, bias: Tensor, others: Tensor) -> Tensor:
        return ((states @ weights + bias) @ others.mT).softmax(1)

    return given(x, coupling, odd, h) @ given(h, coupling.mT, even, x)


@torch.no_grad()
def ladder_sweep(
    machines: Sequence[BinaryMachine], x: Tensor, *, generator: torch.Generator, parity: int = 0
) -> tuple[Tensor, Tensor]:
    r"""A Gibbs sweep on each rung of a ladder of restricted machines, then exchanges between neighbours.

    Rungs k and k + 1 exchange their configurations with the probability
    :math:`\min(1, e^{F_k(x_k) + F_{k+1}(x_{k+1}) - F_k(x_{k+1}) - F_{k+1}(x_k)})`, which leaves each
    rung in equilibrium. The rungs may be temperatures :cite:p:`swendsen1986`, or machines saved in
    training :cite:p:`bereux2024`.

    Args:
        machines: the rungs, all of the same visible units.
        x: ``(rungs, chains, visible)``.
        generator: source of the random numbers.
        parity: 0 or 1, whether the rungs 0, 2, ... or 1, 3, ... are the lower ones of the pairs.

    Returns:
        The configurations afterwards, and the share of accepted exchanges of each pair.

    Raises:
        ValueError: another number of rungs, a parity beside 0 and 1.
    """
    x = binary("x", x, (len(machines), "chains", machines[0].sites), machines[0].weights[0])
    if parity not in (0, 1):
        raise ValueError(f"parity: got {parity}, expected 0 or 1")
    if any(len(m.sizes) > 2 or m.sizes != machines[0].sizes for m in machines):
        raise ValueError(
            f"machines: got layers {[m.sizes for m in machines]}, expected two layers, the same for all"
        )
    a, b, weight = (torch.stack(part) for part in zip(*[m.sides() for m in machines], strict=True))
    a, b = a[:, None], b[:, None]

    def free_energy(rungs: Tensor, units: Tensor) -> Tensor:
        fields = units @ weight[rungs] + b[rungs]
        return -(units * a[rungs]).sum(2) - softplus(fields).sum(2)

    h = bernoulli(x @ weight + b, generator)
    x = bernoulli(h @ weight.mT + a, generator)
    lower = torch.arange(parity, len(machines) - 1, 2, device=x.device)
    below, above = x[lower], x[lower + 1]
    gain = free_energy(lower, below) + free_energy(lower + 1, above)
    gain = gain - free_energy(lower, above) - free_energy(lower + 1, below)
    draw = torch.rand(gain.shape, generator=generator, device=generator.device, dtype=torch.float64)
    go = draw.to(gain).log() < gain
    x[lower] = torch.where(go[..., None], above, below)
    x[lower + 1] = torch.where(go[..., None], below, above)
    return x, go.to(x).mean(1)


def belief_log_prob(below: BinaryMachine, above: BinaryMachine, x: Tensor) -> tuple[Tensor, Tensor]:
    r"""ln p of a belief network and its lower bound, ``(batch,)`` each, all hidden units summed.

    .. math:: p(x) = \sum_h p_\text{above}(h)\, p_\text{below}(x \mid h) \ge
              \exp \Bigl\langle \ln \frac{p_\text{above}(h)\, p_\text{below}(x \mid h)}{q(h \mid x)}
              \Bigr\rangle_q

    where q is the conditional of the machine below :cite:p:`hinton2006`.

    Args:
        below: the machine learnt first, now read downwards.
        above: the machine on its hidden units.
        x: data ``(batch, visible)``.

    Raises:
        ValueError: machines that do not fit, data that are not binary, more than about a million states.
    """
    if above.sites != below.sizes[1]:
        raise ValueError(
            f"above: got {above.sites} visible units, expected the {below.sizes[1]} hidden ones of the other"
        )
    a, b, weight = below.sides()
    x = binary("x", x, ("batch", len(a)), a)
    h = bits(len(b), b)
    up, down = x @ weight + b, h @ weight.mT + a
    log_q = up @ h.mT + logsigmoid(-up).sum(1, keepdim=True)
    log_x = x @ down.mT + logsigmoid(-down).sum(1)
    joint = log_x + above.log_prob(h)
    return joint.logsumexp(1), (log_q.exp() * (joint - log_q)).sum(1)


# Hopfield's memory


def hebbian(patterns: Tensor) -> Tensor:
    r"""Hebb's couplings :math:`J_{ij} = \frac1N \sum_\mu \xi^\mu_i \xi^\mu_j` of patterns, zero for i = j.

    Args:
        patterns: of ±1, ``(P, N)``.

    Raises:
        ValueError: no patterns, or values beside ±1.
    """
    check_numbers("patterns", patterns)
    check_values("patterns", patterns, ("patterns", "units"))
    check_counts(patterns=len(patterns))
    if not bool((patterns.abs() == 1).all()):
        raise ValueError("patterns: got values beside ±1, expected spins; write 2 * bits - 1")
    couplings: Tensor = patterns.mT @ patterns / patterns.shape[1]
    return couplings.fill_diagonal_(0)


def recall(
    couplings: Tensor, starts: Tensor, sweeps: int, *, generator: torch.Generator, blocks: int = 20
) -> Tensor:
    """Let each spin follow its field, random blocks of spins one after the other, for so many sweeps.

    Args:
        couplings: symmetric, ``(N, N)``.
        starts: ±1, ``(batch, N)``.
        sweeps: how many.
        generator: source of the order of the spins.
        blocks: as many blocks as there are spins turn one at a time, and then the energy never rises.

    Raises:
        ValueError: couplings or starts of another shape, a count below 1.
    """
    check_counts(sweeps=sweeps, blocks=blocks)
    check_numbers("starts", starts)
    check_values("starts", starts, ("batch", "units"))
    count = starts.shape[1]
    check_values("couplings", couplings, (count, count), dtype=starts.dtype)
    spins = starts.clone()
    for _ in range(sweeps):
        order = torch.randperm(count, generator=generator, device=generator.device).to(spins.device)
        for block in order.tensor_split(blocks):
            fields = spins @ couplings[:, block]
            spins[:, block] = torch.where(fields == 0, spins[:, block], fields.sign())
    return spins


def _load(t: float) -> float:
    r"""The load at which the memory has the overlap erf(t)."""
    return 0.5 * float((erf(t) - 2 / math.sqrt(math.pi) * t * math.exp(-t * t)) / t) ** 2


def capacity() -> tuple[float, float]:
    r"""The largest load :math:`\alpha = P/N` of Hopfield's memory, and the overlap there.

    Without temperature the equations of :cite:t:`amit1985` (replica symmetric) reduce to one for
    :math:`t = m/\sqrt{2\alpha r}`,

    .. math:: \sqrt{2\alpha}\; t = \operatorname{erf} t - \frac{2t}{\sqrt\pi}\, e^{-t^2}, \qquad
              m = \operatorname{erf} t,

    whose right-hand side over t has a maximum.

    >>> f"{capacity()[0]:.4f} {capacity()[1]:.4f}"
    '0.1379 0.9674'
    """
    best = minimize_scalar(lambda t: -_load(t), bounds=(0.5, 3.0), method="bounded", options={"xatol": 1e-12})
    return _load(float(best.x)), float(erf(best.x))


def retrieval(load: float) -> float:
    r"""The overlap of what Hopfield's memory recalls with the pattern, of infinitely many units.

    Zero above the :func:`capacity`.

    Raises:
        ValueError: a load that is not above zero.

    >>> round(retrieval(0.1), 4)
    0.998
    """
    positive("load", load)
    top, overlap = capacity()
    if load >= top:
        return 0.0
    return float(erf(brentq(lambda t: _load(t) - load, float(erfinv(overlap)), 1 + 1 / math.sqrt(load))))

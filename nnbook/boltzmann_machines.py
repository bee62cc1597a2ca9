r"""What the chapter *Boltzmann machines* reads.

Patterns to learn (:func:`bars_and_stripes`), the exact effect of a Gibbs sweep (:func:`gibbs_matrix`), chains
that climb a ladder of machines (:func:`ladder_sweep`), and the mean-field theory of the ancestor of them all,
Hopfield's memory (:func:`capacity`, :func:`retrieval`).
"""

from __future__ import annotations

import math

import torch
from scipy.optimize import brentq, minimize_scalar
from scipy.special import erf, erfinv
from torch import Tensor
from torch.nn.functional import softplus

from nnbook.arrays import check_counts, check_numbers, check_values, positive
from nnbook.continuum.factors import BoltzmannMachine as Factor
from nnbook.continuum.systems import Trap
from nnbook.exact.ising2d import BETA_C, torus
from nnbook.fields.machines import BinaryMachine, GaussianMachine, bernoulli, binary, bits, exact_likelihood
from nnbook.networks import assign, flatten
from nnbook.sample.importance import Importance
from nnbook.spins.hamiltonians import ising
from nnbook.spins.imaginary_time import ImaginaryTime
from nnbook.spins.lattices import chain
from nnbook.spins.machines import pair_unit
from nnbook.train.quasi_newton import descend

__all__ = ["BETA_C", "Factor", "Importance", "Trap", "assign", "bernoulli", "descend", "flatten"]
__all__ += ["ImaginaryTime", "chain", "ising", "pair_unit", "torus"]
__all__ += ["BinaryMachine", "GaussianMachine", "bits", "exact_likelihood"]
__all__ += ["bars_and_stripes", "capacity", "gibbs_matrix", "ladder_sweep", "retrieval"]


def bars_and_stripes(length: int) -> Tensor:
    r"""All images of full rows or full columns, ``(2**(length + 1) - 2, length**2)``, each once.

    >>> bars_and_stripes(3).shape  # 14 images of 9 pixels
    torch.Size([14, 9])
    """
    check_counts(length=length)
    lines = bits(length, torch.zeros(1, dtype=torch.float64, device="cpu"))[:, :, None].expand(-1, -1, length)
    images: Tensor = torch.cat([lines.flatten(1), lines.mT.flatten(1)]).unique(dim=0)
    return images


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
    a: Tensor, b: Tensor, weight: Tensor, x: Tensor, *, generator: torch.Generator, parity: int = 0
) -> tuple[Tensor, Tensor]:
    r"""A Gibbs sweep on each rung of a ladder of restricted machines, then exchanges between neighbours.

    Rungs k and k + 1 exchange their configurations with the probability
    :math:`\min(1, e^{F_k(x_k) + F_{k+1}(x_{k+1}) - F_k(x_{k+1}) - F_{k+1}(x_k)})`, which leaves each
    rung in equilibrium. The rungs may be temperatures :cite:p:`swendsen1986`, or machines saved in
    training :cite:p:`bereux2024`.

    Args:
        a, b: biases of the rungs, ``(rungs, ..., visible)`` and ``(rungs, ..., hidden)``, where the dots are
            ladders side by side.
        weight: their couplings, ``(rungs, ..., visible, hidden)``.
        x: ``(rungs, ..., chains, visible)``.
        generator: source of the random numbers.
        parity: 0 or 1, whether the rungs 0, 2, ... or 1, 3, ... are the lower ones of the pairs.

    Returns:
        The configurations afterwards, and the share of accepted exchanges ``(pairs, ...)``.

    Raises:
        ValueError: parameters of other shapes, x of another shape or not binary, a parity beside 0 and 1.
    """
    check_numbers("weight", weight)
    check_values("weight", weight, ("...", "rungs", "visible", "hidden"))
    *ladders, visible, hidden = weight.shape
    check_values("a", a, (*ladders, visible), dtype=weight.dtype)
    check_values("b", b, (*ladders, hidden), dtype=weight.dtype)
    x = binary("x", x, (*ladders, "chains", visible), weight)
    if parity not in (0, 1):
        raise ValueError(f"parity: got {parity}, expected 0 or 1")
    a, b = a.unsqueeze(-2), b.unsqueeze(-2)

    def free_energy(rungs: Tensor, units: Tensor) -> Tensor:
        return -(units * a[rungs]).sum(-1) - softplus(units @ weight[rungs] + b[rungs]).sum(-1)

    h = bernoulli(x @ weight + b, generator)
    x = bernoulli(h @ weight.mT + a, generator)
    lower = torch.arange(parity, len(x) - 1, 2, device=x.device)
    below, above = x[lower], x[lower + 1]
    gain = free_energy(lower, below) + free_energy(lower + 1, above)
    gain = gain - free_energy(lower, above) - free_energy(lower + 1, below)
    draw = torch.rand(gain.shape, generator=generator, device=generator.device, dtype=torch.float64)
    go = draw.to(gain).log() < gain
    x[lower] = torch.where(go[..., None], above, below)
    x[lower + 1] = torch.where(go[..., None], below, above)
    return x, go.to(x).mean(-1)


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

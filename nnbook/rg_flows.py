r"""What the chapter *Renormalisation as a generative flow* reads.

A :class:`~nnbook.fields.hierarchy.Hierarchy` is trained towards an action in three ways: as a linear network
towards a covariance (:func:`fit_gaussian`), by its own samples alone (:func:`fit_bound`), and by making
:math:`\ln q + S` the same number at given configurations and at its own (:func:`fit_action`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.lr_scheduler import ExponentialLR

from nnbook.arrays import check_counts, check_values, finite, positive, seeded
from nnbook.exact.enumerate import configurations, mutual_information, rule_information
from nnbook.exact.ising2d import BETA_C, torus
from nnbook.exact.transfer import IsingRows
from nnbook.fields.actions import Action, Ising, IsingField, symmetries
from nnbook.fields.hierarchy import Block, Hierarchy
from nnbook.networks import as_function, flatten, jacobian
from nnbook.sample.estimates import estimate
from nnbook.sample.hmc import hmc, with_gradient
from nnbook.sample.importance import Importance
from nnbook.train.first_order import fit
from nnbook.train.log_weights import fit_log_weights
from nnbook.train.loop import Fit

__all__ = ["BETA_C", "Block", "Hierarchy", "Importance", "Ising", "IsingField", "IsingRows", "configurations"]
__all__ += ["bulk_distance", "fit_action", "fit_bound", "fit_gaussian", "free_covariance", "haar", "torus"]
__all__ += ["block_joint", "bulk_information", "fit_rule", "gaussian_information", "mutual_information"]
__all__ += ["estimate", "hmc", "rule_information", "symmetries", "weigh", "with_gradient"]

Array = NDArray[np.float64]


def fit_gaussian(flow: Hierarchy, covariance: Tensor, *, steps: int) -> Fit:
    r"""Train the linear part of a hierarchy towards a Gaussian field, by L-BFGS on the exact divergence

    .. math:: \mathrm{KL} = \tfrac12 \operatorname{tr}(C^{-1} G G^T) - \tfrac12 N
              - \ln|\det G| + \tfrac12 \ln\det C ,

    which is the value of the :class:`~nnbook.train.loop.Fit`, in nats. The hierarchy has to be linear yet.
    Many of them are equally good. This one begins where a coarse site is copied to its block, so that the
    noise of the coarsest scale goes on to carry the largest waves.

    Args:
        flow: a hierarchy as it is made.
        covariance: C, ``(width, width)``, symmetric and positive.
        steps: of L-BFGS.

    Raises:
        ValueError: another shape, no covariance, a count below 1.
    """
    check_counts(steps=steps)
    check_values("covariance", covariance, (flow.width, flow.width))
    root, failed = torch.linalg.cholesky_ex(covariance.double())
    if int(failed):
        raise ValueError("covariance: got a matrix that is no covariance, expected a positive one")
    parts = [p for name, p in flow.named_parameters() if name.rsplit(".", 1)[1] in ("scale", "linear")]
    precision = torch.cholesky_inverse(root).to(parts[0])
    constant = float(root.diagonal().log().sum()) - flow.width / 2
    _copy(flow)
    unit = torch.eye(flow.width, dtype=precision.dtype, device=precision.device)

    def divergence() -> Tensor:
        image, log_det = flow(unit)  # row j is what the noise number j does
        value: Tensor = 0.5 * ((image @ precision) * image).sum() - log_det[0] + constant
        return value

    lbfgs = partial(torch.optim.LBFGS, max_iter=steps, history_size=30, line_search_fn="strong_wolfe")
    return fit(divergence, parts, steps=1, optimiser=lbfgs, label="Gaussian")


@torch.no_grad()
def _copy(flow: Hierarchy) -> None:
    """Let each first decimator copy the coarse site to its block, so that large scales enter there."""
    for scale in range(len(flow.layers)):
        first = flow.blocks(scale)[0].linear
        if len(first) > 3 and not bool(first.any()):
            first[1::2][:2] = torch.eye(2).to(first)


class _Excess(nn.Module):
    """f = ln q + S of a hierarchy at noise, or at given fields."""

    def __init__(self, flow: Hierarchy, action: Action) -> None:
        super().__init__()
        self.flow, self.action = flow, action

    def forward(self, x: Tensor) -> Tensor:
        value: Tensor = self.flow.log_prob(x) + self.action(x)
        return value

    def of_noise(self, z: Tensor) -> Tensor:
        x, log_det = self.flow(z)
        value: Tensor = self.flow.log_prior(z) - log_det + self.action(x)
        return value


def fit_bound(
    flow: Hierarchy,
    action: Action,
    *,
    steps: int,
    generator: torch.Generator,
    batch: int = 256,
    rate: float = 1e-2,
    last: float = 1e-3,
) -> Fit:
    r"""Minimise the mean of :math:`\ln q + S` over the model's own samples, with Adam.

    It is :math:`\mathrm{KL}(q\,|\,p) - \ln Z`, so minus the value is a lower bound of :math:`\ln Z`. What the
    model does not draw has no weight in it.

    Args:
        flow, action: the model, changed in place, and the target.
        steps, batch: number of steps, and of samples in each.
        generator: source of the random numbers.
        rate, last: the first and the last learning rate; it falls exponentially.

    Raises:
        ValueError: a count below 1, a rate that is not above zero.
    """
    check_counts(steps=steps, batch=batch)
    positive("rate", rate)
    falling = (positive("last", last, most=rate) / rate) ** (1 / steps)
    excess = _Excess(flow, action)
    return fit(
        lambda: excess.of_noise(flow.noise(batch, generator=generator)).mean(),
        flow.parameters(),
        steps=steps,
        optimiser=partial(torch.optim.Adam, lr=rate, betas=(0.9, 0.99)),
        schedule=partial(ExponentialLR, gamma=falling),
        generator=generator,
        label="bound",
    )


def fit_action(
    flow: Hierarchy,
    action: Action,
    data: Callable[[int], Tensor],
    *,
    steps: int,
    generator: torch.Generator,
    batch: int = 512,
    own: float = 0.4,
    rate: float = 1.0,
    last: float = 0.05,
    trust: float = 1.0,
) -> Fit:
    r"""Make :math:`f = \ln q + S` the same number everywhere, by Gauss-Newton steps on its scatter.

    A part of the configurations is given, the others are the model's own samples, held fixed while f is
    differentiated. Where only its own are used, small scatter need not mean small divergence: a model that
    covers a corner has none.

    Args:
        flow, action: the model, changed in place, and the target.
        data: gives so many configurations of the target, ``(n, width)``.
        steps, batch: number of steps, and of configurations in each.
        generator: source of the random numbers.
        own: the fraction of its own samples, from 0 to 1.
        rate, last, trust: see :func:`~nnbook.train.log_weights.fit_log_weights`.

    Raises:
        ValueError: a number out of range, data of another shape.
    """
    check_counts(batch=batch, steps=steps)
    mine = round(batch * finite("own", own, least=0, most=1))
    excess = _Excess(flow, action)
    function = as_function(excess)

    def look() -> tuple[Tensor, Tensor]:
        parts = [data(batch - mine)] if mine < batch else []
        parts += [flow.sample(mine, generator=generator)] if mine else []
        return jacobian(function, flatten(excess), torch.cat(parts))

    step = partial(fit_log_weights, rate=rate, last=last, trust=trust, ridge=1e-3, clip=10.0, label="action")
    return step(look, excess, steps=steps, generator=generator)


@torch.no_grad()
def weigh(
    flow: Hierarchy, action: Action, n: int, *, generator: torch.Generator
) -> tuple[Tensor, Importance]:
    r"""Samples of a hierarchy and their weights for an action: ``(x, Importance)``."""
    z = flow.noise(n, generator=generator)
    x, log_det = flow(z)
    return x, Importance(log_det - flow.log_prior(z) - action(x))


# Information


def block_joint(beta: float, length: int = 4) -> Array:
    """Probabilities of a block of 2 x 2 spins and of all others, by enumeration, ``(16, others)``.

    States of the block are in the order of :func:`~nnbook.exact.enumerate.configurations`.

    Raises:
        ValueError: a temperature that is not above zero, a length other than 3 or 4.
    """
    positive("beta", beta, most=100.0)
    check_counts(least=3, length=length)
    if length > 4:
        raise ValueError(f"length: got {length}, expected 3 or 4, whose configurations can be listed")
    s = torch.from_numpy(configurations(length**2))
    p = torch.softmax(-Ising(length, beta)(s), 0).reshape((2,) * length**2)
    block = [0, 1, length, length + 1]
    rest = [k for k in range(length**2) if k not in block]
    joint: Array = p.permute(*block, *rest).reshape(16, -1).numpy()
    return joint


def fit_rule(joint: Array, *, seed: int, steps: int = 300, starts: int = 8) -> tuple[float, Array]:
    r"""Learn which bit of a block tells most of its surroundings: I, and the probability of a one.

    A rule is a network without hidden units over the states k of the block, :math:`P(1 | k)` the logistic
    function of :math:`\theta_k`; I is maximised by Adam from random starts. It is convex in the
    probabilities, so that the best rules are deterministic.

    Args:
        joint: probabilities ``(states, others)``.
        seed: of the starts.
        steps, starts: of Adam, and how many starts.

    Returns:
        the largest I, in nats, and its probabilities ``(states,)``.
    """
    check_counts(steps=steps, starts=starts)
    mutual_information(joint)
    table = torch.from_numpy(joint.astype(np.float64) / joint.sum(dtype=np.float64))
    source = seeded(seed)
    theta = torch.randn(starts, len(table), generator=source, dtype=torch.float64).requires_grad_()

    def information() -> Tensor:
        one = theta.sigmoid()
        bits = torch.stack([one @ table, (1 - one) @ table])
        total = table.sum(0)
        sizes = bits.sum(2)
        return (torch.xlogy(bits, bits).sum((0, 2)) - torch.xlogy(sizes, sizes).sum(0)) - torch.xlogy(
            total, total
        ).sum()

    fit(lambda: -information().sum(), [theta], steps=steps, optimiser=partial(torch.optim.Adam, lr=0.2))
    with torch.no_grad():
        found = information()
        best = int(found.argmax())
        return float(found[best]), theta[best].sigmoid().numpy()


def gaussian_information(covariance: Tensor, first: list[int], second: list[int]) -> float:
    r"""I between two sets of variables of a Gaussian field, in nats.

    .. math:: I = \tfrac12 \ln\frac{\det C_{AA} \det C_{BB}}{\det C_{AB, AB}}

    Args:
        covariance: C, ``(variables, variables)``.
        first, second: the variables of A and of B, all different.

    Raises:
        ValueError: no covariance, a variable that is not there or twice.

    >>> C = torch.tensor([[1.0, 0.6], [0.6, 1.0]], dtype=torch.float64)
    >>> round(gaussian_information(C, [0], [1]), 6)  # -ln(1 - 0.36) / 2
    0.223144
    """
    check_values("covariance", covariance, (len(covariance), len(covariance)))
    both = [*first, *second]
    check_counts(first=len(first), second=len(second))
    if len(set(both)) < len(both) or not all(k in range(len(covariance)) for k in both):
        raise ValueError(
            f"first, second: got {first} and {second}, expected different numbers from 0 to "
            f"{len(covariance) - 1}"
        )
    parts = [_log_det(covariance.double()[which][:, which]) for which in (first, second, both)]
    return max(0.0, 0.5 * (parts[0] + parts[1] - parts[2]))


def _log_det(block: Tensor) -> float:
    factor, failed = torch.linalg.cholesky_ex(0.5 * (block + block.mT))
    if int(failed):
        raise ValueError("covariance: got a matrix that is no covariance, expected a positive one")
    return 2 * float(factor.diagonal().log().sum())


def free_covariance(length: int, mass2: float) -> Tensor:
    r"""Covariance ``(sites, sites)`` of a free field, the inverse of :math:`-\Delta + m^2` on a torus.

    Raises:
        ValueError: a length below 2, a mass squared that is not above zero.
    """
    check_counts(least=2, length=length)
    finite("mass2", mass2, least=1e-12, most=1e12)
    bonds = Ising(length, 1.0).bonds()
    kernel = (4 + mass2) * torch.eye(length**2, dtype=torch.float64, device="cpu") - bonds
    covariance: Tensor = torch.linalg.inv(kernel)
    return covariance


def haar(length: int) -> Tensor:
    r"""The orthogonal hierarchy of averages and differences of 2 x 2 blocks, ``(sites, sites)``.

    Row (i, j) is the boundary pattern of the bulk variable there, at the place and the scale that
    :class:`~nnbook.fields.hierarchy.Hierarchy` gives its noise.

    Raises:
        ValueError: a length that is no power of two.
    """
    check_counts(least=2, length=length)
    if length & (length - 1):
        raise ValueError(f"length: got {length}, expected a power of two, as blocks of 2 x 2 become sites")
    signs = torch.tensor([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]).double() / 2
    number = torch.arange(length**2).reshape(length, length)
    rows = torch.eye(length**2, dtype=torch.float64)
    while len(number) > 1:
        four = [number[i::2, j::2].flatten() for i in (0, 1) for j in (0, 1)]
        rows[torch.stack(four, 1)] = torch.einsum("kj,bjn->bkn", signs, rows[torch.stack(four, 1)])
        number = number[::2, ::2]
    return rows


def bulk_information(covariance: Tensor) -> Tensor:
    r"""Mutual information of each pair of variables of a Gaussian, in nats, :math:`-\frac12\ln(1 - \rho^2)`.

    The diagonal is zero.
    """
    check_values("covariance", covariance, (len(covariance), len(covariance)))
    covariance = covariance.double()
    size = covariance.diagonal()
    if not bool((size > 0).all()):
        raise ValueError("covariance: got variances that are not above zero, expected a covariance")
    rho = covariance / (size[:, None] * size).sqrt()
    pairs = -0.5 * torch.log1p(-rho.square().clamp(max=1 - 1e-15))
    return pairs - torch.diag(pairs.diagonal())


def bulk_distance(length: int) -> Tensor:
    r"""Hyperbolic distance of the bulk variables of a hierarchy, ``(sites, sites)``.

    A variable that enters at scale k sits in the middle of a block of it, at the height :math:`2^k` above
    the boundary:

    .. math:: \cosh d = 1 + \frac{|x - x'|^2 + (h - h')^2}{2 h h'}, \qquad h = 2^k .

    Raises:
        ValueError: a length that is no power of two.
    """
    flow = Hierarchy(length, depth=1, couplings=1, hidden=1, generator=torch.Generator())
    height = 2.0 ** flow.scales().double()
    block = torch.arange(length**2)
    where = torch.stack([block // length, block % length], 1).double()
    where = (where // (2 * height[:, None])) * 2 * height[:, None] + height[:, None] - 0.5
    gap = (where[:, None] - where).abs()
    gap = torch.minimum(gap, length - gap)
    rise = (height[:, None] - height).square()
    return torch.acosh(1 + (gap.square().sum(2) + rise) / (2 * height[:, None] * height))

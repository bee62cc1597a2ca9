r"""What the chapter *Flows as samplers* reads.

A flow that is nearly the target is made exact by weights (:func:`weigh`), as the proposal of a Markov chain,
or as a change of variables for hybrid Monte Carlo (:func:`latent`). It is trained by Gauss-Newton on the
logarithms of those weights (:func:`train`), or by Adam (:func:`train_adam`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from nnbook.arrays import check_counts, check_indices, check_numbers, check_values, positive
from nnbook.exact.enumerate import configurations
from nnbook.exact.ising2d import BETA_C, torus
from nnbook.exact.transfer import IsingRows
from nnbook.fields.actions import XY, Ising, IsingField
from nnbook.fields.flows import EquivariantFlow, orbits, propagators
from nnbook.fields.scalars import ComplexPhi4, GaussianField, Phi4, momenta2
from nnbook.fields.walkers import xy_samples
from nnbook.networks import assign, flatten
from nnbook.sample.clusters import cluster_sweep
from nnbook.sample.estimates import Estimate, autocorrelation, estimate
from nnbook.sample.hmc import Trajectories, hmc, with_gradient
from nnbook.sample.importance import Importance, Value, independence_metropolis
from nnbook.train.first_order import fit
from nnbook.train.log_weights import fit_log_weights
from nnbook.train.loop import Fit

__all__ = ["BETA_C", "XY", "ComplexPhi4", "EquivariantFlow", "Estimate", "Fit", "GaussianField", "Importance"]
__all__ += [
    "Ising",
    "IsingField",
    "IsingRows",
    "Phi4",
    "Trajectories",
    "Value",
    "autocorrelation",
    "cluster_sweep",
]
__all__ += ["configurations", "estimate", "forward_ess", "hmc", "independence_metropolis", "latent"]
__all__ += ["momenta2", "orbits", "propagators", "recipe", "torus", "train", "train_adam", "weigh"]
__all__ += ["with_gradient", "wolff", "xy_samples"]

WithGradient = Callable[[Tensor], tuple[Tensor, Tensor]]


def recipe(
    prior: GaussianField,
    *,
    frequencies: Sequence[float] = (1.5, 3.0),
    masses2: Sequence[float] = (0.5, 2.0),
    radius: float = 3.0,
    times: int = 4,
    steps: int = 8,
) -> EquivariantFlow:
    """A flow with kernels that do not depend on the size of the lattice, so that they can be carried over.

    Args:
        prior: where it begins.
        frequencies, times, steps: see :class:`~nnbook.fields.flows.EquivariantFlow`.
        masses2: of the propagators among the kernels.
        radius: of the displacements among the kernels, at most half of the lattice.

    Raises:
        ValueError: a number out of range.
    """
    kernels = torch.cat([orbits(prior.length, radius), propagators(prior.length, masses2)])
    return EquivariantFlow(prior, kernels, frequencies, times=times, steps=steps)


def _single(flow: EquivariantFlow) -> EquivariantFlow:
    """The same flow in single precision, which is enough to train it and twice as fast."""
    twin = EquivariantFlow(
        flow.prior,
        flow.kernels,
        flow.omega[1:].tolist(),
        times=flow.coefficients.shape[2],
        steps=flow.steps,
        dtype=torch.float32,
        device=flow.omega.device,
    )
    assign(twin, flatten(flow))
    return twin


def _draw(
    flow: EquivariantFlow, action: WithGradient, batch: int, rules: Sequence[int], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Log-weights and their derivatives, a part of the batch for each number of time steps."""
    parts = []
    for steps in rules:
        z = flow.prior.sample(batch // len(rules), generator=generator).to(flow.matrix)
        parts.append(flow.log_weights(action, z, steps=steps))
    return torch.cat([part.f for part in parts]), torch.cat([part.slopes for part in parts])


def _checked(rules: Sequence[int], batch: int) -> None:
    check_counts(rules=len(rules), **{f"rules[{k}]": steps for k, steps in enumerate(rules)})
    check_counts(least=4 * len(rules), batch=batch)


def train(
    flow: EquivariantFlow,
    action: WithGradient,
    *,
    steps: int,
    generator: torch.Generator,
    batch: int = 512,
    rules: Sequence[int] = (5, 8),
    rate: float = 1.0,
    last: float = 0.1,
    trust: float = 0.1,
    damping: float = 0.02,
    ridge: float = 2e-4,
    clip: float = 3.0,
) -> Fit:
    """Gauss-Newton on the log-weights of a flow, changed in place; in single precision.

    Args:
        flow: the flow.
        action: S and its gradient.
        steps: Gauss-Newton steps.
        generator: source of the random numbers.
        batch: samples a step.
        rules: numbers of Runge-Kutta steps, a part of the batch for each. With a single one the training may
            learn its error; where the parts are centred together, they have to agree.
        rate, last, trust, damping, ridge, clip: see :func:`~nnbook.train.log_weights.fit_log_weights`.

    Raises:
        ValueError: a count or a number out of range.
    """
    _checked(rules, batch)
    twin = _single(flow)
    done = fit_log_weights(
        lambda: _draw(twin, action, batch, rules, generator),
        twin,
        steps=steps,
        generator=generator,
        rate=rate,
        last=last,
        trust=trust,
        damping=damping,
        ridge=ridge,
        clip=clip,
    )
    assign(flow, flatten(twin))
    return done


def train_adam(
    flow: EquivariantFlow,
    action: WithGradient,
    *,
    steps: int,
    generator: torch.Generator,
    batch: int = 256,
    rules: Sequence[int] = (6,),
    rate: float = 2e-3,
) -> Fit:
    r"""Minimise :math:`\langle \ln q + S \rangle_q` with Adam; arguments and precision as for :func:`train`.

    Raises:
        ValueError: a count or a number out of range.
    """
    _checked(rules, batch)
    check_counts(steps=steps)
    positive("rate", rate, most=1e3)
    twin = _single(flow)

    def loss() -> Tensor:
        f, slopes = _draw(twin, action, batch, rules, generator)
        slope = slopes.mean(0).view_as(twin.coefficients)
        linear = ((twin.coefficients - twin.coefficients.detach()) * slope).sum()
        return f.mean() + linear  # the mean of f, with its slope

    optimiser = partial(torch.optim.Adam, lr=rate)
    done = fit(loss, twin.parameters(), steps=steps, optimiser=optimiser, generator=generator, label="Adam")
    assign(flow, flatten(twin))
    return done


def weigh(
    flow: EquivariantFlow,
    action: Callable[[Tensor], Tensor],
    n: int,
    *,
    generator: torch.Generator,
    steps: int | None = None,
    batch: int = 4096,
) -> tuple[Tensor, Importance]:
    """Samples of a flow and their weights for an action: ``(x, Importance)``.

    Args:
        flow, action: the flow, and S without its gradient.
        n: samples.
        generator: source of the random numbers.
        steps: Runge-Kutta steps; twice those of the flow if absent.
        batch: so many at a time.

    Raises:
        ValueError: a count out of range, an action that is not finite.
    """
    check_counts(least=2, n=n)
    check_counts(batch=batch)
    steps = 2 * flow.steps if steps is None else steps
    fields, weights = [], []
    for z in flow.prior.sample(n, generator=generator).to(flow.matrix).split(batch):
        x, log_det = flow.transport(z, steps=steps)
        fields.append(x)
        weights.append(log_det - flow.prior.log_prob(z) - action(x))
    return torch.cat(fields), Importance(torch.cat(weights).double())


def forward_ess(
    flow: EquivariantFlow, action: Callable[[Tensor], Tensor], x: Tensor, *, steps: int | None = None
) -> float:
    r"""The ESS from samples of the target, :math:`1/\langle w\rangle_p\langle 1/w\rangle_p`.

    It sees what the flow never draws.

    Args:
        flow, action, steps: as for :func:`weigh`.
        x: independent samples of the target, ``(n, sites)``.

    Raises:
        ValueError: fewer than two samples, or of another shape.
    """
    check_values("x", x, ("n", flow.sites))
    check_counts(least=2, x=len(x))
    log_q = flow.log_prob(x, steps=2 * flow.steps if steps is None else steps)
    log_w = (-action(x) - log_q).double()
    return math.exp(2 * math.log(len(x)) - float(log_w.logsumexp(0)) - float((-log_w).logsumexp(0)))


def latent(flow: EquivariantFlow, action: WithGradient, *, jacobian: bool = True) -> WithGradient:
    r"""The action of the noise behind a field, with its gradient, for :func:`~nnbook.sample.hmc.hmc`.

    .. math:: S_\epsilon = S(\phi(\epsilon)) - \ln\Bigl|\det\frac{\partial\phi}{\partial\epsilon}\Bigr|

    up to a constant, with independent normal :math:`\epsilon`, coloured by the prior. For an exact flow it is
    :math:`\epsilon^2/2`.

    Args:
        flow, action: the flow, and S with its gradient.
        jacobian: whether to count the determinant; without it, chains go to another distribution.
    """

    def both(noise: Tensor) -> tuple[Tensor, Tensor]:
        z = flow.prior.colour(noise)
        found = flow.log_weights(action, z, volume=jacobian)
        return found.f - flow.prior.log_prob(z), flow.prior.colour(found.force)

    return both


def wolff(spins: Tensor, bonds: Tensor, beta: float, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """One Wolff move of each chain of Ising spins: the cluster of a random site is turned.

    Args:
        spins: ``(chains, sites)`` of ±1.
        bonds: pairs of sites, ``(bonds, 2)``, each with the coupling one.
        beta: inverse temperature.
        generator: source of the random numbers.

    Returns:
        The spins, and how many were turned, ``(chains,)``.

    Raises:
        ValueError: spins or bonds of another shape, a temperature out of range.
    """
    check_numbers("spins", spins)
    check_values("spins", spins, ("chains", "sites"))
    check_indices("bonds", bonds, width=(2,), count=spins.shape[1])
    positive("beta", beta)
    check_counts(chains=len(spins))
    chains, sites = spins.shape
    where = {"generator": generator, "device": generator.device}
    seeds = torch.randint(sites, (chains,), **where)  # type: ignore[call-overload]
    draw = torch.rand(chains, len(bonds), **where)  # type: ignore[call-overload]
    equal = spins[:, bonds[:, 0]] == spins[:, bonds[:, 1]]
    chain, bond = torch.nonzero(equal & (draw < -math.expm1(-2 * beta)), as_tuple=True)
    tails, heads = ((chain * sites + end[bond]).numpy(force=True) for end in bonds.T)
    graph = csr_array((np.ones(len(tails), dtype=np.int8), (tails, heads)), shape=(spins.numel(),) * 2)
    label = torch.from_numpy(connected_components(graph, directed=False)[1]).reshape(chains, sites)
    turned = label == label.gather(1, seeds[:, None])
    return torch.where(turned, -spins, spins), turned.sum(1)

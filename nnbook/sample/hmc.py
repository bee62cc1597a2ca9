r"""Hybrid Monte Carlo: Markov chains that follow the equations of motion, many side by side.

A configuration x gets momenta :math:`\pi`, normal and independent, and moves for a while under
:math:`H = \pi^2/2 + S(x)` by the leapfrog rule, which keeps volumes and can be reversed. The end is accepted
with probability :math:`\min(1, e^{-\Delta H})`, so that the errors of the rule cost acceptance and make no
bias :cite:p:`duane1987`. In equilibrium :math:`\langle e^{-\Delta H} \rangle = 1`, exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from tqdm.auto import tqdm

from nnbook.arrays import check_counts, check_numbers, check_values, finite, positive
from nnbook.runtime import watched

#: An action with its gradient, from ``(chains, ...)`` to ``(chains,)`` and ``(chains, ...)``.
WithGradient = Callable[[Tensor], tuple[Tensor, Tensor]]
#: A trajectory that gets so far is rejected.
FAR = 1e6


def with_gradient(action: Callable[[Tensor], Tensor]) -> WithGradient:
    """An action together with its gradient, by automatic differentiation.

    Args:
        action: from configurations ``(chains, ...)`` to numbers ``(chains,)``; chains do not feel each other.

    >>> with_gradient(lambda x: x.square().sum(1))(torch.tensor([[1.0, 2.0]]))
    (tensor([5.]), tensor([[2., 4.]]))
    """

    def both(x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            value = action(leaf)
            (slope,) = torch.autograd.grad(value.sum(), leaf)
        return value.detach(), slope

    return both


@dataclass(frozen=True, eq=False)
class Trajectories:
    r"""What hybrid Monte Carlo drew.

    Attributes:
        samples: configurations, ``(samples, chains, ...)``, or what was observed of them.
        acceptance: the fraction of trajectories that were accepted.
        violations: :math:`\Delta H` of each trajectory, ``(samples, chains)``; infinite where it ran away.
        last: the configurations at the end, ``(chains, ...)``.
    """

    samples: Tensor = field(repr=False)
    acceptance: float
    violations: Tensor = field(repr=False)
    last: Tensor = field(repr=False)


@torch.no_grad()
def hmc(
    action: WithGradient,
    start: Tensor,
    *,
    samples: int,
    step: float,
    leaps: int,
    generator: torch.Generator,
    warm_up: int = 0,
    jitter: float = 0.2,
    observe: Callable[[Tensor], Tensor] | None = None,
    label: str | None = None,
) -> Trajectories:
    """Let chains follow trajectories, and look at them after each.

    Args:
        action: S and its gradient, see :func:`with_gradient`.
        start: configurations, ``(chains, ...)``.
        samples: trajectories, each with a look at its end.
        step: of the leapfrog rule; errors are of its second order.
        leaps: steps a trajectory.
        generator: source of the random numbers.
        warm_up: trajectories before the first look.
        jitter: the step of each trajectory is drawn within this fraction of ``step``, so that no wave returns
            to where it was.
        observe: what to keep of the configurations, ``(chains, ...)``; all of them if absent.
        label: name on a progress bar, which shows in a terminal and in Jupyter only; without it, no bar.

    Raises:
        ValueError: no chains, a count below 1 (``warm_up``: below 0), a step or a jitter out of range, an
            action of another shape or not finite at the start.

    >>> normal = with_gradient(lambda x: x.square().sum(1) / 2)
    >>> source = torch.Generator().manual_seed(1)
    >>> drawn = hmc(normal, torch.zeros(50, 2), samples=100, step=0.5, leaps=4, generator=source)
    >>> drawn.samples.shape, drawn.acceptance > 0.9
    (torch.Size([100, 50, 2]), True)
    """
    check_counts(samples=samples, leaps=leaps)
    check_counts(least=0, warm_up=warm_up)
    positive("step", step, most=1e6)
    finite("jitter", jitter, least=0, most=1)
    x, energy, slope = _begin(action, start)
    seen, violations, hits = [], [], 0
    for look in tqdm(range(-warm_up, samples), desc=label, disable=label is None or not watched()):
        draw = _draws(x, generator)
        size = step * (1 + jitter * (2 * draw[0] - 1)).reshape(-1, *[1] * (x.ndim - 1))
        momenta = draw[2]
        there, kinetic = _leapfrog(action, (x, energy, slope), momenta, size, leaps)
        change = (kinetic + there[1] - _kinetic(momenta) - energy).nan_to_num(nan=torch.inf, posinf=torch.inf)
        go = draw[1].log() < -change
        keep = go.reshape(-1, *[1] * (x.ndim - 1))
        x, slope = torch.where(keep, there[0], x), torch.where(keep, there[2], slope)
        energy = torch.where(go, there[1], energy)
        if look >= 0:
            hits += int(go.sum())
            violations.append(change)
            seen.append(observe(x) if observe else x)
    return Trajectories(torch.stack(seen), hits / (samples * len(x)), torch.stack(violations), x)


def _begin(action: WithGradient, start: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    check_numbers("start", start)
    check_values("start", start, ("chains", *start.shape[1:]) if start.ndim > 1 else ("chains", "numbers"))
    check_counts(chains=len(start))
    energy, slope = action(start)
    check_values("action", energy, (len(start),), remedy="start where the action is finite")
    check_values("gradient", slope, tuple(start.shape))
    return start, energy, slope


def _draws(x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    where = {"generator": generator, "device": generator.device, "dtype": torch.float64}
    momenta = torch.randn(x.shape, **where)  # type: ignore[call-overload]
    first, second = torch.rand(2, len(x), **where)  # type: ignore[call-overload]
    return first.to(x), second.to(x.device), momenta.to(x)


def _kinetic(momenta: Tensor) -> Tensor:
    return momenta.flatten(1).square().sum(1) / 2


def _leapfrog(
    action: WithGradient, here: tuple[Tensor, Tensor, Tensor], momenta: Tensor, size: Tensor, leaps: int
) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """Configuration, action and gradient at the end of a trajectory, and the kinetic energy there."""
    x, energy, slope = here
    momenta, alive = momenta - size / 2 * slope, torch.ones_like(energy, dtype=torch.bool)
    for leap in range(leaps):
        moved = x + size * momenta
        alive &= (moved.abs() < FAR).flatten(1).all(1)  # no action has to stand what runs away
        x = torch.where(alive.reshape(size.shape), moved, x)
        energy, slope = action(x)
        momenta = momenta - (size if leap < leaps - 1 else size / 2) * slope
    return (x, torch.where(alive, energy, torch.inf), slope), _kinetic(momenta)

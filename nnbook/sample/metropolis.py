r"""Markov chains, many side by side: the Metropolis rule.

A walker proposes to go from a configuration x to x', the way back being proposed as often, and goes with
probability :math:`\min(1, p(x')/p(x))`. Its configurations are then distributed as :math:`p`, whatever the
norm of p :cite:p:`metropolis1953`. What a configuration is and how it changes is the business of an object
with the methods of :class:`Walkers`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor


class Walkers(Protocol):
    """Configurations of many chains that know how to change."""

    @property
    def configurations(self) -> Tensor:
        """The present configurations, ``(chains, ...)``."""

    def propose(self, generator: torch.Generator) -> Tensor:
        """Draw a change for each chain; returns log p(x')/p(x), ``(chains,)``, -inf where it is forbidden."""

    def accept(self, accepted: Tensor) -> None:
        """Carry out the proposed changes of the chains where ``accepted``, ``(chains,)``, is true."""


@dataclass(frozen=True)
class Chains:
    """What the Metropolis rule drew.

    Attributes:
        samples: configurations, ``(samples, chains, ...)``.
        acceptance: the fraction of proposals that were accepted.
    """

    samples: Tensor = field(repr=False)
    acceptance: float


def metropolis(
    walkers: Walkers, *, samples: int, sweep: int, generator: torch.Generator, warm_up: int = 0
) -> Chains:
    """Let the walkers go, and look at them once a sweep.

    Args:
        walkers: the chains; they stay where the last step left them, so a second call goes on from there.
        samples: looks at each chain.
        sweep: proposals between two looks; the number of degrees of freedom is a good choice.
        generator: source of the random numbers, on the CPU or on the device of the walkers.
        warm_up: sweeps before the first look.

    Raises:
        ValueError: no chains, a count below 1 (``warm_up``: below 0).
    """
    for name, count, least in (("samples", samples, 1), ("sweep", sweep, 1), ("warm_up", warm_up, 0)):
        if count < least:
            raise ValueError(f"{name}: got {count}, expected at least {least}")
    if len(walkers.configurations) == 0:
        raise ValueError("walkers: got zero chains, expected at least one; some hundreds cost little more")
    seen = []
    hits = torch.zeros(len(walkers.configurations), dtype=torch.int64, device=walkers.configurations.device)
    for look in range(warm_up + samples):
        for log_draw in _log_draws(sweep, hits, generator):
            accepted = log_draw < walkers.propose(generator)
            walkers.accept(accepted)
            if look >= warm_up:
                hits += accepted
        if look >= warm_up:
            seen.append(walkers.configurations.clone())
    chains = torch.stack(seen)
    return Chains(chains, float(hits.sum()) / (sweep * chains.shape[0] * chains.shape[1]))


def _log_draws(count: int, like: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
    """So many times log u for each chain; drawn in blocks, for a call costs more than a thousand numbers."""
    for done in range(0, count, 64):
        # in single precision one draw of 2^24 is exactly zero, and lets every proposal pass
        block = torch.rand(
            min(64, count - done),
            len(like),
            generator=generator,
            device=generator.device,
            dtype=torch.float64,
        )
        yield from block.to(like.device).log_()

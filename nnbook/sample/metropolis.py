r"""Markov chains, many side by side: the Metropolis rule.

A walker proposes to go from a configuration x to x', the way back being proposed as often, and goes with
probability :math:`\min(1, p(x')/p(x))`. Its configurations are then distributed as :math:`p`, whatever the
norm of p :cite:p:`metropolis1953`. What a configuration is and how it changes is the business of an object
with the methods of :class:`Walkers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import torch
from torch import Tensor
from tqdm.auto import tqdm

from nnbook.arrays import check_counts
from nnbook.runtime import watched


class Walkers(Protocol):
    """Configurations of many chains that know how to change.

    Every implementation stands to one contract: the log-ratio of a proposal is that of the probabilities of
    the configurations before and after it is accepted, and chains that are not accepted stay.
    """

    @property
    def configurations(self) -> Tensor:
        """The present configurations, ``(chains, ...)``."""

    def propose(self, generator: torch.Generator) -> Tensor:
        """Draw a change for each chain; returns log p(x')/p(x), ``(chains,)``, -inf where it is forbidden."""

    def accept(self, accepted: Tensor) -> None:
        """Carry out the proposed changes of the chains where ``accepted``, ``(chains,)``, is true."""


W = TypeVar("W", bound=Walkers)


@dataclass(frozen=True, eq=False)
class Chains:
    """What the Metropolis rule drew.

    Attributes:
        samples: configurations, ``(samples, chains, ...)``.
        acceptance: the fraction of proposals that were accepted.
        observed: what was observed at each look, ``(samples, chains, ...)``, or None.
    """

    samples: Tensor = field(repr=False)
    acceptance: float
    observed: Tensor | None = field(default=None, repr=False)


@torch.no_grad()
def metropolis(
    walkers: W,
    *,
    samples: int,
    sweep: int,
    generator: torch.Generator,
    warm_up: int = 0,
    observe: Callable[[W], Tensor] | None = None,
    label: str | None = None,
) -> Chains:
    """Let the walkers go, and look at them once a sweep.

    Args:
        walkers: the chains; they stay where the last step left them, so a second call goes on from there.
        samples: looks at each chain.
        sweep: proposals between two looks; the number of degrees of freedom is a good choice.
        generator: source of the random numbers, on the CPU or on the device of the walkers.
        warm_up: sweeps before the first look.
        observe: something to compute from the walkers at each look, ``(chains, ...)``.
        label: name on a progress bar, which shows in a terminal and in Jupyter only; without it, no bar.

    Raises:
        ValueError: no chains, a count below 1 (``warm_up``: below 0).
    """
    check_counts(samples=samples, sweep=sweep)
    check_counts(least=0, warm_up=warm_up)
    if len(walkers.configurations) == 0:
        raise ValueError("walkers: got zero chains, expected at least one; some hundreds cost little more")
    seen, observed = [], []
    hits = torch.zeros(len(walkers.configurations), dtype=torch.int64, device=walkers.configurations.device)
    silent = label is None or not watched()
    for look in tqdm(range(-warm_up, samples), desc=label, disable=silent):
        for log_draw in _log_draws(sweep, hits, generator):
            accepted = log_draw < walkers.propose(generator)
            walkers.accept(accepted)
            if look >= 0:
                hits += accepted
        if look >= 0:
            seen.append(walkers.configurations.clone())
            if observe:
                observed.append(observe(walkers))
    acceptance = float(hits.sum()) / (sweep * samples * len(hits))
    return Chains(torch.stack(seen), acceptance, torch.stack(observed) if observe else None)


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

r"""Importance sampling: exact means from samples of a model that is not exact.

Samples x of a normalised model q stand for a weight :math:`e^{-S(x)}` with

.. math:: w(x) = \frac{e^{-S(x)}}{q(x)}, \qquad Z = \langle w\rangle_q, \qquad
          \langle O\rangle = \frac{\langle O w\rangle_q}{\langle w\rangle_q}, \qquad
          \mathrm{ESS} = \frac{\langle w\rangle_q^2}{\langle w^2\rangle_q} .

The effective sample size ESS, a fraction, says how many independent samples of the target a sample of the
model is worth. It is itself an estimate from the samples of q: what q never draws, no weight can tell.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from nnbook.arrays import check_counts, check_numbers, check_values

#: With fewer effective samples than this, or a single one that weighs more than a tenth, errors mean nothing.
FEWEST = 100


@dataclass(frozen=True)
class Value:
    """A number with its error, one standard deviation."""

    mean: float
    error: float

    def __repr__(self) -> str:
        digits = max(0, 1 - math.floor(math.log10(self.error))) if 0 < self.error < math.inf else 6
        return f"{self.mean:z.{digits}f} ± {self.error:.{digits}f}"


@dataclass(frozen=True, eq=False)
class Importance:
    r"""Independent samples of a model, with their weights for a target.

    Attributes:
        log_weights: :math:`\ln w = -S - \ln q`, ``(n,)``.

    Raises:
        ValueError: fewer than two weights, NaN, or all of them zero.

    >>> log_weights = torch.tensor([0.1, -0.1] * 200, dtype=torch.float64)
    >>> Importance(log_weights)
    ESS 0.990, ln Z 0.0050 ± 0.0050
    """

    log_weights: Tensor = field(repr=False)

    def __post_init__(self) -> None:
        check_counts(least=2, log_weights=self.log_weights.numel())
        zero = self.log_weights == -math.inf  # outside the support of the target
        inside = torch.where(zero, 0.0, self.log_weights)
        check_values("log_weights", inside, ("n",), remedy="look at where they come from")
        if bool(zero.all()):
            raise ValueError(
                "log_weights: got no weight above zero, expected samples where the target is not zero"
            )
        if not self.sound:
            warnings.warn(
                f"importance sampling: {len(self.log_weights)} samples are worth "
                f"{self.effective_samples:.0f}, the heaviest {self.heaviest:.0%} of all; errors mean nothing "
                f"below {FEWEST} or above 10 %; "
                "train longer, or choose a target nearer to the model",
                RuntimeWarning,
                stacklevel=3,
            )

    @cached_property
    def weights(self) -> Tensor:
        """Normalised, ``(n,)``, adding up to one."""
        return self.log_weights.double().softmax(0)

    @property
    def ess(self) -> float:
        """Effective sample size, as a fraction of the samples."""
        return self.effective_samples / len(self.weights)

    @property
    def effective_samples(self) -> float:
        """As a number of samples."""
        return 1 / float(self.weights.square().sum())

    @property
    def heaviest(self) -> float:
        """The share of the sample with the largest weight."""
        return float(self.weights.max())

    @property
    def sound(self) -> bool:
        """Whether the errors can be trusted, as far as the weights tell."""
        return self.effective_samples >= FEWEST and self.heaviest <= 0.1

    @property
    def log_z(self) -> Value:
        """ln Z of the target, with the error of first order in the scatter of the weights."""
        n = len(self.log_weights)
        log_z = float(self.log_weights.double().logsumexp(0)) - math.log(n)
        return Value(log_z, math.sqrt(max(0.0, 1 / self.ess - 1) / (n - 1)))

    @property
    def divergence(self) -> Value:
        r"""The Kullback-Leibler divergence :math:`\langle \ln q/p \rangle_q` in nats, of the model.

        Its error is that of :math:`\langle \ln w - w/\bar w \rangle`, as both parts fluctuate together.
        """
        ratio = self.weights * len(self.weights)
        both = ratio - self.log_weights.double()
        error = float(both.std()) / math.sqrt(len(both))
        return Value(self.log_z.mean - float(self.log_weights.double().mean()), error)

    def mean(self, values: Tensor) -> Value:
        """The mean of an observable over the target, from its values at the samples, ``(n,)``."""
        check_values("values", values, (len(self.weights),))
        values = values.to(self.weights)
        mean = self.weights @ values
        return Value(float(mean), float((self.weights * (values - mean)).square().sum().sqrt()))

    def __repr__(self) -> str:
        return f"ESS {self.ess:.3f}, ln Z {self.log_z!r}"


@dataclass(frozen=True, eq=False)
class Proposals:
    """Markov chains whose proposals are independent samples of a model.

    Attributes:
        index: which sample each chain sits at, ``(samples, chains)``; ``values[index]`` is what
            :func:`~nnbook.sample.estimates.estimate` takes.
        acceptance: the fraction of accepted proposals.
    """

    index: Tensor = field(repr=False)
    acceptance: float


def independence_metropolis(log_weights: Tensor, *, chains: int = 1, generator: torch.Generator) -> Proposals:
    r"""Markov chains of the target: sample after sample of the model is proposed.

    A chain at x goes to x' with probability :math:`\min(1, w(x')/w(x))` :cite:p:`hastings1970`. That is exact
    whatever the model, as long as it can draw everything; a poor one makes long stays.

    Args:
        log_weights: of independent samples, ``(n,)``.
        chains: so many chains share the samples, ``n // chains`` each; what is left over is not used.
        generator: source of the random numbers.

    Raises:
        ValueError: fewer than two samples a chain, NaN or an infinite weight.
    """
    check_counts(chains=chains)
    check_numbers("log_weights", log_weights)
    check_values("log_weights", log_weights, ("n",))
    check_counts(least=2, samples=len(log_weights) // chains)
    order = torch.arange(len(log_weights) // chains * chains, device=log_weights.device).reshape(-1, chains)
    draw = torch.rand(order.shape, generator=generator, device=generator.device, dtype=torch.float64)
    log_draw, place, accepted = draw.to(log_weights.device).log(), [order[0]], 0
    for proposal, level in zip(order[1:], log_draw[1:], strict=True):
        go = level < log_weights[proposal] - log_weights[place[-1]]
        place.append(torch.where(go, proposal, place[-1]))
        accepted += int(go.sum())
    return Proposals(torch.stack(place), accepted / order[1:].numel())

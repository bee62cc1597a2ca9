r"""Means of Markov chains with their errors, correlation times and convergence.

The error is that of batch means: chains are independent, so the scatter of their means tells the error of the
grand mean, whatever the correlations within a chain. Few chains are cut into pieces first. With B batches of
length L and the variance :math:`\sigma^2` of single values,

.. math:: \text{error}^2 = \frac{\operatorname{Var}(\bar x_b)}{B}, \qquad
          \tau = \frac{L \operatorname{Var}(\bar x_b)}{\sigma^2},

where :math:`\tau = 1 + 2\sum_t \rho_t` counts how many values are worth one independent value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

#: At least so many batches, so that the error itself is known to about 12 %.
BATCHES = 32


@dataclass(frozen=True)
class Estimate:
    """A mean with its error; the repr is the line that a physicist would write down.

    Attributes:
        mean: of all values.
        error: one standard deviation of the mean, correlations included.
        variance: of single values.
        tau: integrated autocorrelation time in units of the distance of two values, 1 for independent ones.
        r_hat: ratio of the spread of all values to that within the halves of chains, 1 when all chains agree.
        count: number of values.
    """

    mean: float
    error: float
    variance: float
    tau: float
    r_hat: float
    count: int

    def __repr__(self) -> str:
        digits = max(0, 1 - math.floor(math.log10(self.error))) if 0 < self.error < math.inf else 6
        numbers = f"{self.mean:.{digits}f} ± {self.error:.{digits}f}"
        return f"{numbers} (tau {self.tau:.1f}, R-hat {self.r_hat:.3f})"


def estimate(values: Tensor) -> Estimate:
    """Mean, error, autocorrelation time and R-hat of values in the order in which chains gave them.

    Args:
        values: real numbers ``(samples, chains)``; a single chain may be ``(samples,)``.

    Returns:
        The :class:`Estimate`. R-hat is the split one of :cite:t:`gelman2013`; with fewer than four values a
        chain it is not defined, and NaN; chains that are stuck in different places make it infinite.

    Raises:
        ValueError: values that are not real, not finite or of the wrong shape, or fewer than 64 of them.

    >>> noise = torch.randn(100, 50, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    >>> estimate(noise)
    0.013 ± 0.016 (tau 1.3, R-hat 1.002)
    """
    series = values[:, None] if values.ndim == 1 else values
    if series.is_complex() or series.ndim != 2 or series.numel() < 2 * BATCHES:
        raise ValueError(
            f"values: got {values.dtype} of shape {tuple(values.shape)}, expected at least {2 * BATCHES} "
            "real numbers as (samples, chains)"
        )
    if not bool(series.isfinite().all()):
        raise ValueError(
            "values: got some that are not finite, expected numbers; look at where they come from"
        )
    batches = _batches(series.double())
    length, spread = batches.shape[0], float(batches.mean(0).var())
    variance = float(series.double().var())
    return Estimate(
        mean=float(series.double().mean()),
        error=math.sqrt(spread / batches.shape[1]),
        variance=variance,
        tau=length * spread / variance if variance > 0 else 1.0,
        r_hat=_r_hat(series.double()),
        count=series.numel(),
    )


def _batches(series: Tensor) -> Tensor:
    """Cut chains into pieces until there are enough, ``(length, batches)``; what is left over is dropped."""
    samples, chains = series.shape
    pieces = max(1, math.ceil(BATCHES / chains))
    length = samples // pieces
    return series[: length * pieces].reshape(pieces, length, chains).movedim(1, 0).reshape(length, -1)


def _r_hat(series: Tensor) -> float:
    half = len(series) // 2
    if half < 2:
        return math.nan
    halves = torch.cat([series[:half], series[-half:]], 1)
    within, between = halves.var(0).mean(), halves.mean(0).var()
    if within == 0:
        return math.inf if between > 0 else math.nan  # chains that are stuck, in different places
    return float((((half - 1) / half * within + between) / within).sqrt())


def autocorrelation(values: Tensor, lags: int) -> Tensor:
    r"""The autocorrelation :math:`\rho_t` for :math:`t = 0 \dots` ``lags``, averaged over chains.

    Args:
        values: real numbers ``(samples, chains)``.
        lags: the largest distance t, below the number of samples.

    Raises:
        ValueError: ``lags`` out of range.

    >>> autocorrelation(torch.tensor([[1.0], [-1.0], [1.0], [-1.0]]), 1)
    tensor([ 1., -1.])
    """
    samples = len(values)
    if not 0 <= lags < samples:
        raise ValueError(f"lags: got {lags}, expected 0 to {samples - 1}, fewer than the {samples} samples")
    centred = values - values.mean()
    products = [(centred[: samples - t] * centred[t:]).mean() for t in range(lags + 1)]
    return torch.stack(products) / products[0]

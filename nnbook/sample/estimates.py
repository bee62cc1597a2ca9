r"""Means of Markov chains with their errors, correlation times and convergence.

The error is that of batch means: chains are independent, so the scatter of their means tells the error of the
grand mean, whatever the correlations within a chain. With B batches of length L and the variance
:math:`\sigma^2` of single values,

.. math:: \text{error}^2 = \frac{\operatorname{Var}(\bar x_b)}{B}, \qquad
          \tau = \frac{L \operatorname{Var}(\bar x_b)}{\sigma^2},

where :math:`\tau = 1 + 2\sum_t \rho_t` counts how many values are worth one independent value.

Few chains are cut into pieces first. Pieces of one chain know of each other, and all values scatter about a
mean that is their own: both make the error too small, three times if a chain is five :math:`\tau` long. So
the pieces grow, up to an eighth of the values, until they are four :math:`\tau` long, and what is left of
their correlation is taken to fall exponentially. For :math:`\rho_t = \phi^t` the mean of m values has the
variance

.. math:: \sigma^2 g(m), \qquad
          g(m) = \frac1m \frac{1 + \phi}{1 - \phi} - \frac{2\phi}{m^2} \frac{1 - \phi^m}{(1 - \phi)^2},

and the observed :math:`\operatorname{Var}(\bar x_b)` and variance of single values, each smaller by the
variance of the mean of all, tell :math:`\phi` and :math:`\sigma^2`.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import torch
from scipy.optimize import brentq
from torch import Tensor

from nnbook.arrays import check_counts, check_numbers, check_values

#: At least so many batches, so that the error itself is known to about 12 %; fewer for slow chains.
BATCHES, FEW = 32, 8
#: Values that differ by less than this fraction are equal.
ROUNDING = 1e-13
#: Few chains agree if R-hat is at most this :cite:p:`gelman2013`; of many, each may be as short as two tau.
AGREE, MANY_AGREE = 1.1, 1.5


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
        doubts: why the mean or its error cannot be trusted, each with a remedy; empty if nothing speaks
            against them.
    """

    mean: float
    error: float
    variance: float
    tau: float
    r_hat: float
    count: int
    doubts: tuple[str, ...] = ()

    def __repr__(self) -> str:
        digits = max(0, 1 - math.floor(math.log10(self.error))) if 0 < self.error < math.inf else 6
        numbers = f"{self.mean:z.{digits}f} ± {self.error:.{digits}f}"
        return f"{numbers} (tau {self.tau:.1f}, R-hat {self.r_hat:.3f})"

    @classmethod
    def of(cls, values: Tensor) -> Estimate:
        """As :func:`estimate`, which also warns of the doubts."""
        series = _checked(values)
        variance, r_hat = float(series.var()), _r_hat(series)
        if variance <= (ROUNDING * float(series.abs().max())) ** 2:
            return cls(float(series.mean()), 0.0, 0.0, 1.0, math.nan, series.numel())
        pieces, mean_square, tau = _correlated(series, variance)
        doubts = _doubts(series, pieces, tau, r_hat)
        return cls(float(series.mean()), math.sqrt(mean_square), variance, tau, r_hat, series.numel(), doubts)


def estimate(values: Tensor) -> Estimate:
    """Mean, error, autocorrelation time and R-hat of values in the order in which chains gave them.

    Warns of chains that are short or do not agree; its ``doubts`` say the same.

    Args:
        values: real numbers ``(samples, chains)``; a single chain may be ``(samples,)``.

    Returns:
        The :class:`Estimate`. R-hat is the split one of :cite:t:`gelman2013`; with fewer than four values a
        chain it is not defined, and NaN; chains that are stuck in different places make it infinite. The
        error is infinite where a chain is so slow that it tells none. Values that are all equal, but for
        rounding, have no error and no R-hat.

    Raises:
        TypeError: no tensor.
        ValueError: values that are not real, not finite or of the wrong shape, or fewer than 64 of them.

    >>> noise = torch.randn(100, 50, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    >>> estimate(noise)
    0.013 ± 0.016 (tau 1.3, R-hat 1.002)
    """
    found = Estimate.of(values)
    warn_of(found.doubts, "estimate")
    return found


def warn_of(doubts: tuple[str, ...], name: str) -> None:
    """Warn once of all doubts about what a function with this name returns, at the place that called it."""
    if doubts:
        warnings.warn(f"{name}: {'; '.join(doubts)}", RuntimeWarning, stacklevel=3)


def _checked(values: Tensor) -> Tensor:
    """The values in double precision, ``(samples, chains)``."""
    if not isinstance(values, Tensor):
        raise TypeError(f"values: got a {type(values).__name__}, expected a tensor")
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
    return series.double()


def _doubts(series: Tensor, pieces: int, tau: float, r_hat: float) -> tuple[str, ...]:
    (samples, chains), doubts = series.shape, []
    if pieces > 1 and samples < 2 * pieces * tau:
        doubts.append(
            f"{samples} values a chain are few for an autocorrelation time of {tau:.0f}, the error is rough; "
            "look longer, or at many independent chains"
        )
    if r_hat > (AGREE if chains < BATCHES else MANY_AGREE):
        doubts.append(f"R-hat is {r_hat:.2f}, chains do not agree; look longer, or start them elsewhere")
    if chains >= BATCHES and _drift(series) > 5:
        doubts.append("the chains drift; warm up longer")
    return tuple(doubts)


def _correlated(series: Tensor, variance: float) -> tuple[int, float, float]:
    """Pieces of a chain, the squared error of the mean of all values, and tau."""
    samples, chains = series.shape
    pieces, least = (min(samples, math.ceil(count / chains)) for count in (BATCHES, FEW))
    while True:
        length = samples // pieces
        cut = series[: length * pieces].reshape(pieces, length, chains).mean(1)
        spread = float(cut.var())
        if pieces == 1:
            return 1, spread / chains, length * spread / variance
        phi = _exponential(spread / variance, series.shape, pieces)
        tau = (1 + phi) / (1 - phi) if phi < 1 else math.inf
        if phi == 1 and pieces == least:
            return pieces, math.inf, math.inf
        if length >= 4 * tau or pieces == least:
            whole = _of_means(phi, samples) / chains
            return pieces, variance * whole / (1 - whole), tau
        pieces = max(least, pieces // 2)


def _of_means(phi: float, length: int) -> float:
    """g: the variance of a mean of so many values, in units of that of single ones."""
    late = -math.expm1(length * math.log(phi)) if phi > 0 else 1 - phi**length
    return ((1 + phi) / (1 - phi) - 2 * phi * late / length / (1 - phi) ** 2) / length


def _exponential(ratio: float, shape: torch.Size, pieces: int) -> float:
    """phi from the observed variance of the means of pieces over that of values; 1 if it is beyond all."""
    samples, chains = shape
    batches, length = pieces * chains, samples // pieces

    def excess(phi: float) -> float:
        whole = _of_means(phi, samples) / chains
        expected = (_of_means(phi, length) - whole) * batches / (batches - 1)
        return expected / (1 - whole) - ratio

    slowest = 1 - 1e-3 / samples
    if excess(-0.999) >= 0:
        return -0.999
    return float(brentq(excess, -0.999, slowest)) if excess(slowest) > 0 else 1.0


def _r_hat(series: Tensor) -> float:
    half = len(series) // 2
    if half < 2:
        return math.nan
    halves = torch.cat([series[:half], series[-half:]], 1)
    within, between = halves.var(0).mean(), halves.mean(0).var()
    if within == 0:
        return math.inf if between > 0 else math.nan  # chains that are stuck, in different places
    return float((((half - 1) / half * within + between) / within).sqrt())


def _drift(series: Tensor) -> float:
    """How far the means of the later and the earlier halves of many chains are apart, in standard errors."""
    half = len(series) // 2
    if half < 2:
        return 0.0
    change = series[-half:].mean(0) - series[:half].mean(0)
    return float(change.mean().abs() * len(change) ** 0.5 / change.std())


def autocorrelation(values: Tensor, lags: int) -> Tensor:
    r"""The autocorrelation :math:`\rho_t` for :math:`t = 0 \dots` ``lags``, averaged over chains.

    Args:
        values: real numbers ``(samples, chains)``.
        lags: the largest distance t, below the number of samples.

    Raises:
        ValueError: ``lags`` out of range; values that are complex, not finite, or all equal.

    >>> autocorrelation(torch.tensor([[1.0], [-1.0], [1.0], [-1.0]]), 1)
    tensor([ 1., -1.], dtype=torch.float64)
    """
    check_values("values", values, ("samples",) if values.ndim == 1 else ("samples", "chains"))
    samples, series = len(values), values.double()
    check_counts(least=0, lags=lags)
    if lags >= samples:
        raise ValueError(f"lags: got {lags}, expected 0 to {samples - 1}, fewer than the {samples} samples")
    if not float(series.std()) > ROUNDING * float(series.abs().max()):
        raise ValueError("values: got equal ones, expected some that scatter; they have no autocorrelation")
    centred = series - series.mean()
    products = [(centred[: samples - t] * centred[t:]).mean() for t in range(lags + 1)]
    return torch.stack(products) / products[0]


def sharpen(values: Tensor, zeros: Tensor) -> Tensor:
    r"""The same mean with less noise: what follows from numbers of mean zero is subtracted.

    .. math:: y - \sum_k c_k z_k, \qquad \langle z_k\rangle = 0 ,

    with c by least squares over all values, whose bias is of the order of one over their number
    :cite:p:`assaraf1999`.

    Args:
        values: y of some quantities, ``(samples, chains, quantities)``.
        zeros: z, ``(samples, chains, identities)``, numbers whose exact mean is zero.

    Raises:
        ValueError: other shapes, or fewer than ten values an identity.
    """
    check_numbers("values", values)
    check_values("values", values, ("samples", "chains", "quantities"))
    check_values("zeros", zeros, (*values.shape[:2], "identities"), dtype=values.dtype)
    flat, wanted = zeros.flatten(0, 1), values.flatten(0, 1)
    if len(flat) < 10 * flat.shape[1]:
        raise ValueError(
            f"values: got {len(flat)}, expected ten for each of the {flat.shape[1]} identities or more"
        )
    flat, wanted = flat - flat.mean(0), wanted - wanted.mean(0)
    scale = flat.square().mean(0).sqrt().clamp(min=1e-300)
    gram, along = (flat.mT @ flat) / scale / scale[:, None], (flat.mT @ wanted) / scale[:, None]
    found: Tensor = torch.linalg.pinv(gram, hermitian=True) @ along / scale[:, None]
    return values - zeros @ found

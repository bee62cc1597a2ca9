r"""Chains in continuous space: all particles of a walker move at once.

A plain move adds Gaussian noise of width :math:`\sigma`. A Langevin move drifts uphill first,

.. math:: x' = x + \tfrac{\sigma^2}{2}\, \nabla \ln p(x) + \sigma\,\xi ,

and since the way back is not proposed as often, the ratio of the two proposals enters the Metropolis rule
:cite:p:`hastings1970`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nnbook.arrays import check_counts, check_values, positive


class GaussianWalkers:
    """Chains with plain moves; they obey :class:`nnbook.sample.metropolis.Walkers`.

    Args:
        log_psi: maps configurations ``(batch, ...)`` to the logarithm of a wave function, ``(batch,)``.
        configurations: where the chains start ``(chains, ...)``; copied.
        step: width of the noise.

    Raises:
        ValueError: no chains, positions that are not finite, a step that is not above zero.
    """

    def __init__(self, log_psi: Callable[[Tensor], Tensor], configurations: Tensor, step: float) -> None:
        check_values("configurations", configurations, ("chains", *configurations.shape[1:]))
        check_counts(chains=len(configurations))
        self.step = positive("step", step)
        self.log_psi, self._here = log_psi, configurations.detach().clone()
        self._log = self._look(self._here)

    @property
    def configurations(self) -> Tensor:
        """The present configurations ``(chains, ...)``."""
        return self._here

    @torch.no_grad()
    def propose(self, generator: torch.Generator) -> Tensor:
        r"""Draw a move of all particles; returns :math:`2\ln|\psi(x')/\psi(x)|`, ``(chains,)``."""
        self._there = self._here + self.step * self._noise(generator)
        self._log_there = self._look(self._there)
        return 2 * (self._log_there - self._log)

    def accept(self, accepted: Tensor) -> None:
        """Carry out the proposed moves of the chains where ``accepted`` is true."""
        self._log = torch.where(accepted, self._log_there, self._log)
        self._here = self._choose(accepted, self._there, self._here)

    def _look(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return self.log_psi(x)

    def _noise(self, generator: torch.Generator) -> Tensor:
        shape, dtype = self._here.shape, self._here.dtype
        return torch.randn(shape, generator=generator, dtype=dtype, device=generator.device).to(self._here)

    @staticmethod
    def _choose(accepted: Tensor, there: Tensor, here: Tensor) -> Tensor:
        return torch.where(accepted.view(-1, *[1] * (here.ndim - 1)), there, here)


class LangevinWalkers(GaussianWalkers):
    r"""Chains whose moves drift along the gradient.

    Args:
        log_and_gradient: maps configurations to :math:`\ln|\psi|` ``(batch,)`` and its gradient, of the shape
            of the configurations.
        configurations, step: see :class:`GaussianWalkers`.
    """

    def __init__(
        self,
        log_and_gradient: Callable[[Tensor], tuple[Tensor, Tensor]],
        configurations: Tensor,
        step: float,
    ) -> None:
        self.log_and_gradient = log_and_gradient
        super().__init__(lambda x: log_and_gradient(x)[0], configurations, step)
        self._slope = log_and_gradient(self._here)[1].detach()

    @torch.no_grad()
    def propose(self, generator: torch.Generator) -> Tensor:
        r"""Draw a move; returns :math:`\ln [p(x')\,q(x|x')] - \ln [p(x)\,q(x'|x)]`, ``(chains,)``."""
        noise = self._noise(generator)
        self._there = self._here + self.step**2 * self._slope + self.step * noise  # ln p = 2 ln psi
        self._log_there, self._slope_there = self.log_and_gradient(self._there)
        back = (self._here - self._there) / self.step - self.step * self._slope_there
        ways = 0.5 * (noise.square() - back.square()).flatten(1).sum(1)
        return 2 * (self._log_there - self._log) + ways

    def accept(self, accepted: Tensor) -> None:
        """Carry out the proposed moves of the chains where ``accepted`` is true."""
        self._slope = self._choose(accepted, self._slope_there, self._slope)
        super().accept(accepted)

r"""Stochastic reconfiguration: the natural gradient of a sampled energy.

With the logarithmic derivatives :math:`O_k = \partial_k \log\psi` and averages over samples of
:math:`|\psi|^2`,

.. math:: F_k = \langle O_k^* E_{\text{loc}} \rangle
                - \langle O_k^* \rangle \langle E_{\text{loc}} \rangle, \qquad
          S_{kl} = \langle O_k^* O_l \rangle - \langle O_k^* \rangle \langle O_l \rangle .

For real parameters 2 Re F is the gradient of the energy. Stochastic reconfiguration :cite:p:`sorella1998`
changes the parameters by :math:`-\eta\, S^{-1} F`: a step of imaginary time, projected on the family of wave
functions.

With ``momentum`` m, a multiple of the last step, the step stays near m where the samples do not say otherwise
:cite:p:`goldshlager2024`:

.. math:: \delta = m + (X^\dagger X + R)^{-1} X^\dagger (e - X m) .
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar

import torch
from torch import Tensor, distributed

from nnbook.arrays import check_numbers, check_values, finite, positive
from nnbook.networks import assign, flatten
from nnbook.sample.metropolis import Walkers, metropolis
from nnbook.train.loop import End

if TYPE_CHECKING:
    from nnbook.train.sampled import Hamiltonian, LogState

__all__ = ["natural_step"]  # the trainer is that of nnbook.train.sampled

Form = Literal["auto", "parameters", "samples"]
W = TypeVar("W", bound=Walkers)


def natural_step(
    derivatives: Tensor,
    energies: Tensor,
    *,
    shift: float = 1e-3,
    relative: float = 1e-3,
    form: Form = "auto",
    real: bool = False,
    momentum: Tensor | None = None,
) -> tuple[Tensor, float]:
    r"""Solve :math:`(S + R)\,\delta = F` with :math:`R_{kk} = \epsilon + \lambda S_{kk}`.

    With the centred derivatives :math:`X = (O - \bar O)/\sqrt n` and energies
    :math:`e = (E_{\text{loc}} - \bar E)/\sqrt n`, both forms give the same :math:`\delta`:

    .. math:: \delta = (X^\dagger X + R)^{-1} X^\dagger e
                     = R^{-1} X^\dagger (X R^{-1} X^\dagger + 1)^{-1} e .

    The first inverts a matrix of parameters; the second, minSR :cite:p:`chen2024`, one of samples.

    Args:
        derivatives: O, ``(samples, parameters)``.
        energies: local energies, ``(samples,)``.
        shift: :math:`\epsilon`, which keeps parameters still that no sample feels.
        relative: :math:`\lambda`, in units of the diagonal of S.
        form: ``"parameters"``, ``"samples"``, or ``"auto"`` for the smaller of the two matrices.
        real: the parameters are real though :math:`\log\psi` is complex: take the real parts of S and F.
        momentum: m, ``(parameters,)``; none if absent.

    Returns:
        The step :math:`\delta` ``(parameters,)`` and its length :math:`\sqrt{\delta^\dagger S \delta}`, the
        angle in radians by which it turns the state, to first order.

    Raises:
        FloatingPointError: a shift that the precision does not see, numbers that are not finite.
        ValueError: no shift at all; an unknown form; samples that do not match; complex energies of a state
            with real parameters.
    """
    _check_step(derivatives, energies, shift, relative, form, momentum)
    x = (derivatives - derivatives.mean(0)) / len(derivatives) ** 0.5
    e = ((energies - energies.mean()) / len(energies) ** 0.5).to(x.dtype)
    if real and x.is_complex():  # Re X*X and Re X*e: real and imaginary parts are samples of their own
        x, e = torch.cat([x.real, x.imag]), torch.cat([e.real, e.imag])
    e = e if momentum is None else e - x @ momentum
    samples, parameters = x.shape
    damping = shift + relative * x.abs().square().sum(0)
    if form == "parameters" or (form == "auto" and parameters <= samples):
        step = _solve_positive(x.mH @ x + torch.diag(damping).to(x.dtype), x.mH @ e)
    else:
        bra = x.mH / damping[:, None]
        step = bra @ _solve_positive(x @ bra + torch.eye(samples, dtype=x.dtype, device=x.device), e)
    step = step if momentum is None else step + momentum
    return step, float((x @ step).abs().square().sum().sqrt())


def _solve_positive(matrix: Tensor, right: Tensor) -> Tensor:
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if bool(failed):
        raise FloatingPointError(
            f"S + R is not positive in {matrix.dtype}: numbers that are not finite, or a shift too small for "
            "this precision; raise the shift, or work in double precision"
        )
    return torch.cholesky_solve(right[:, None], factor)[:, 0]


def _check_step(
    derivatives: Tensor, energies: Tensor, shift: float, relative: float, form: str, momentum: Tensor | None
) -> None:
    if form not in ("auto", "parameters", "samples"):
        raise ValueError(f"form: got {form!r}, expected 'auto', 'parameters' or 'samples'")
    if derivatives.ndim != 2 or energies.shape != derivatives.shape[:1]:
        raise ValueError(
            f"energies: got shape {tuple(energies.shape)} with derivatives {tuple(derivatives.shape)}, "
            "expected (samples,) and (samples, parameters)"
        )
    for name, values in (("derivatives", derivatives), ("energies", energies)):
        check_numbers(name, values)
    if momentum is not None:
        check_values("momentum", momentum, (derivatives.shape[1],), real=False, dtype=derivatives.dtype)
    finite("relative", relative, least=0)
    positive("shift", shift, remedy="without it S, made of a finite number of samples, may have no inverse")
    if energies.is_complex() and not derivatives.is_complex():
        raise ValueError(
            f"energies: got {energies.dtype} with derivatives of {derivatives.dtype}, expected both real or "
            "both complex; give the state dtype=torch.complex128"
        )


class Smoothing(NamedTuple):
    """What takes noise out of a training."""

    momentum: float
    clip: float | None
    average: int

    def drawn_in(self, energies: Tensor) -> Tensor:
        """The energies without outliers."""
        if self.clip is None:
            return energies
        middle = energies.real.median()
        reach = self.clip * (energies.real - middle).abs().median()
        return energies.clamp(middle - reach, middle + reach)


class Reconfiguration(Generic[W]):
    """The trainer: a step follows the samples at hand, and draws those of the new parameters."""

    def __init__(
        self,
        state: LogState,
        hamiltonian: Hamiltonian[W],
        start: Tensor,
        hold: Tensor | None,
        generator: torch.Generator,
        steps: int,
        rate: float | Callable[[int], float],
        trust: float,
        sweeps: int,
        options: dict[str, Any],
        smooth: Smoothing,
    ) -> None:
        self.model, self.hamiltonian, self.generator = state, hamiltonian, generator
        self.steps, self.rate, self.trust, self.sweeps, self.options = steps, rate, trust, sweeps, options
        params = flatten(state)
        self.smooth, self.last, self.mean = smooth, torch.zeros_like(params), torch.zeros_like(params)
        self.configurations = start.to(params.device, copy=True)
        self.hold = self.configurations[:0] if hold is None else hold.to(self.configurations)
        if self.hold.shape[1:] != start.shape[1:]:
            raise ValueError(
                f"hold: got shape {tuple(self.hold.shape)}, expected (n, *{tuple(start.shape[1:])}), "
                "configurations like those of the chains"
            )
        self.leaves = [*state.parameters(), self.configurations]
        self.done, self.warm = 0, False
        self.problem = {
            "Hamiltonian": hamiltonian.label,
            "state": f"{type(state).__name__} with {len(params)} parameters of {params.dtype}",
            "chains": f"{tuple(start.shape)}" + f" and {len(self.hold)} held" * (len(self.hold) > 0),
            "options": f"{options | {'trust': trust, 'sweeps': sweeps} | smooth._asdict()}",
            "rate": "a function" if callable(rate) else str(float(rate)),
        }

    def begin(self) -> float:
        if not self.warm:
            self._advance(10)
        return self._look(self.hamiltonian.walkers(self.model, self.configurations))["value"]

    def step(self) -> dict[str, float]:
        derivatives = _all_ranks(self.model.derivatives(self.configurations))
        energies = self.smooth.drawn_in(self.energies)
        if len(self.hold):  # the mean energy exerts no force
            derivatives = torch.cat([derivatives, self.model.derivatives(self.hold)])
            energies = torch.cat([energies, energies.mean().expand(len(self.hold))])
        real = not self.leaves[0].is_complex()
        momentum = self.smooth.momentum * self.last if self.smooth.momentum else None
        delta, angle = natural_step(derivatives, energies, real=real, momentum=momentum, **self.options)
        eta = finite("rate", self.rate(self.done), least=0) if callable(self.rate) else self.rate
        assign(self.model, flatten(self.model) - min(eta, self.trust / max(angle, 1e-30)) * delta)
        self.done += 1
        self.last = delta
        if self.done > self.steps - self.smooth.average:
            self.mean += flatten(self.model)
        walkers, acceptance = self._advance(self.sweeps)
        return {**self._look(walkers), "acceptance": acceptance}

    def settle(self) -> None:
        """Leave the mean parameters of the last steps, if all steps were made."""
        if self.smooth.average > 1 and self.done == self.steps:
            assign(self.model, self.mean / min(self.smooth.average, self.steps))

    def _advance(self, sweeps: int) -> tuple[W, float]:
        walkers, self.warm = self.hamiltonian.walkers(self.model, self.configurations), True
        sweep = sweeps * self.hamiltonian.size
        chains = metropolis(walkers, samples=1, sweep=sweep, generator=self.generator)
        self.configurations.copy_(walkers.configurations)
        return walkers, chains.acceptance

    def _look(self, walkers: W) -> dict[str, float]:
        self.energies = energies = _all_ranks(self.hamiltonian.local_energies(walkers))
        variance = float(energies.real.var())
        mean = float(energies.real.mean()) if bool(energies.isfinite().all()) else math.nan
        return {"value": mean, "error": math.sqrt(variance / len(energies)), "variance": variance}

    def end(self, values: Sequence[float]) -> End | None:
        return End(False, "all steps done") if len(values) >= self.steps else None

    def state(self) -> dict[str, Any]:
        dice, here = self.generator.get_state(), self.configurations
        params = {"params": flatten(self.model), "last": self.last, "mean": self.mean}
        return {**params, "configurations": here, "generator": dice, "done": self.done}

    def load(self, state: dict[str, Any]) -> None:
        assign(self.model, state["params"].to(flatten(self.model)))
        self.last, self.mean = state["last"].to(self.last), state["mean"].to(self.mean)
        self.configurations.copy_(state["configurations"])
        self.generator.set_state(state["generator"])
        self.done, self.warm = state["done"], True


def _all_ranks(values: Tensor) -> Tensor:
    """The rows of all ranks, in the same order on each; they have as many rows each."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return values
    parts = [torch.empty_like(values) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, values.contiguous())
    return torch.cat(parts)

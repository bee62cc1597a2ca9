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

from typing import Literal

import torch
from torch import Tensor

from nnbook.arrays import check_numbers, check_values, finite, positive

Form = Literal["auto", "parameters", "samples"]


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

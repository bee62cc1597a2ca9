r"""What the chapter *Path integrals as sums over neural networks* reads.

A path is the output of a network with one hidden layer, whose input is the time,

.. math:: x(t) = b + \sum_n w_n\, \sigma_n(t) ,

and the sum over all paths is an integral over the weights :cite:p:`hirono2024`. The map from weights to the
positions at the knots is linear, so its Jacobian is a number, and actions of paths are actions of weights.
Units :math:`\hbar = m = 1`.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, cast, get_args

import numpy as np
import torch
from torch import Tensor

from nnbook.arrays import Array, check_counts, check_numbers, check_values, finite, positive
from nnbook.exact.lines import lattice_states
from nnbook.exact.paths import LONGEST, ImaginaryTime, mehler
from nnbook.fields.scalars import Phi4
from nnbook.sample.estimates import estimate, sharpen
from nnbook.sample.hmc import hmc

__all__ = ["ImaginaryTime", "Phi4", "estimate", "hmc", "mehler", "sharpen"]
__all__ += ["ClosedForm", "PathSum", "Quartic", "closed_basis", "features", "network_kernel"]

Activation = Literal["relu", "step", "sine", "cosine"]
Rule = Literal["trapezoid", "midpoint", "printed"]


# Networks whose input is the time


def _check_knots(knots: Tensor) -> Tensor:
    """The distances of the knots."""
    check_numbers("knots", knots)
    check_values("knots", knots, ("units + 1",))
    check_counts(units=len(knots) - 1)
    width = knots.diff()
    span = finite("knots[-1] - knots[0]", float(knots[-1] - knots[0]), least=-LONGEST, most=LONGEST)
    if not float(width.min()) > 1e-7 * abs(span):
        raise ValueError(
            f"knots: got times out of order, one step is {float(width.min()):g}, expected each later than "
            "the one before; sort them, and take out what is there twice"
        )
    return width


def features(activation: Activation, knots: Tensor, t: Tensor) -> Tensor:
    r"""The outputs of the hidden units at some times, ``(times, units)``.

    With knots :math:`t_0 < \dots < t_N` and :math:`T = t_N - t_0` the units are

    - ``"relu"``: :math:`\max(t - t_{n-1}, 0)`, whose weights are changes of the velocity;
    - ``"step"``: :math:`(t_n - t_{n-1})\,\theta(t - \tfrac12(t_{n-1} + t_n))`, whose weights are velocities;
    - ``"sine"`` and ``"cosine"``: :math:`\sin(n\pi(t - t_0)/T)` and :math:`\cos(n\pi(t - t_0)/T)`,

    for :math:`n = 1 \dots N`, the cosines from :math:`n = 0`.

    Raises:
        ValueError: an unknown activation, fewer than two knots, knots out of order.

    >>> features("relu", torch.tensor([0.0, 1.0, 2.0]), torch.tensor([1.5]))
    tensor([[1.5000, 0.5000]])
    """
    if activation not in get_args(Activation):
        raise ValueError(f"activation: got {activation!r}, expected one of {get_args(Activation)}")
    width = _check_knots(knots)
    check_values("t", t, ("times",), dtype=knots.dtype)
    if activation == "relu":
        return (t[:, None] - knots[:-1]).clamp(min=0)
    if activation == "step":
        return width * (t[:, None] >= knots[:-1] + width / 2)
    n = torch.arange(1 if activation == "sine" else 0, len(knots)).to(knots)
    phase = math.pi * n * (t[:, None] - knots[0]) / (knots[-1] - knots[0])
    return phase.sin() if activation == "sine" else phase.cos()


def closed_basis(
    activation: Literal["position", "relu", "step", "fourier"], beads: int, spacing: float
) -> Tensor:
    r"""The positions of a closed path by the parameters of a network, ``(beads, beads)``.

    ``"relu"`` and ``"step"`` have the bias b as their first parameter and one unit less than there are
    beads; the last weight follows from :math:`x(T) = x(0)`. ``"fourier"`` has the orthonormal cosines and
    sines that close, ``"position"`` no network at all.

    Raises:
        ValueError: an unknown activation, fewer than two beads, a spacing that is not above zero.
    """
    kinds = ("position", "relu", "step", "fourier")
    if activation not in kinds:
        raise ValueError(f"activation: got {activation!r}, expected one of {kinds}")
    check_counts(least=2, beads=beads)
    positive("spacing", spacing, most=LONGEST)
    if activation == "position":
        return torch.eye(beads, dtype=torch.float64)
    j = torch.arange(beads, dtype=torch.float64)
    if activation == "fourier":
        phase = 2 * math.pi * j[:, None] * torch.arange((beads + 2) // 2, dtype=torch.float64) / beads
        waves = torch.cat([phase.cos(), phase[:, 1 : (beads + 1) // 2].sin()], 1)
        return waves / waves.square().sum(0).sqrt()
    knots = spacing * torch.arange(beads + 1, dtype=torch.float64)
    units = features(cast(Activation, activation), knots, knots[:-1])[:, :-1]
    return torch.cat([torch.ones(beads, 1, dtype=torch.float64), units], 1)


# Kernels of the oscillator


@dataclass(frozen=True)
class ClosedForm:
    """A kernel as an integral over all weights, done in closed form.

    Attributes:
        value: the kernel; real in imaginary time.
        negative: directions in the space of the weights in which the action falls.
    """

    value: complex
    negative: int


def _quadratic(width: Tensor, omega: float, rule: Rule, sign: int) -> Tensor:
    r"""Q of the action :math:`\tfrac12 x^T Q x`, kinetic energy plus ``sign`` times potential energy."""
    n = len(width)
    q = torch.zeros(n + 1, n + 1).to(width)
    left, right = torch.arange(n), torch.arange(1, n + 1)
    spring = omega**2 * width * sign
    if rule == "printed":  # the sum of the slide ends one step too early
        spring = torch.where(left < n - 1, spring, 0.0)
    own, mixed = (0.5, 0.0) if rule == "trapezoid" else (0.25, 0.25)
    for i, j, kinetic, share in ((left, left, 1, own), (right, right, 1, own), (left, right, -1, mixed)):
        q[i, j] += kinetic / width + share * spring
    return q + q.triu(1).mT


def network_kernel(
    activation: Literal["relu", "step", "sine"],
    knots: Tensor,
    start: float,
    end: float,
    *,
    omega: float = 0.0,
    rule: Rule = "trapezoid",
    real_time: bool = False,
) -> ClosedForm:
    r"""The kernel of an oscillator as the integral over the weights of all networks through two points.

    .. math:: K = \prod_{n=1}^N \frac1{\sqrt{2\pi\,\Delta t_n}} \;
              \Bigl|\det\frac{\partial x}{\partial w}\Bigr| \int \prod_{n=1}^{N-1} dw_n\; e^{-S(w)} ,

    which is Gaussian. In real time the weight is :math:`e^{iS}`, each :math:`\Delta t` in the prefactor an
    :math:`i\,\Delta t`, and each direction of weight space brings :math:`e^{\pm i\pi/4}` by the sign of its
    eigenvalue.

    Args:
        activation: the hidden units; for sines a straight line is added, so that the ends are fixed.
        knots: times :math:`t_0 \dots t_N` in order, not necessarily equidistant.
        start, end: where the path is at the first and at the last knot.
        omega: frequency; zero for a free particle.
        rule: where the potential is taken, in the middle of each step, as the mean of its ends, or as the
            talk prints it, in the middle and without the last step.
        real_time: :math:`e^{-iHT}` instead of :math:`e^{-HT}`.

    Raises:
        ValueError: knots out of order, an unknown activation or rule, a real time on a caustic.

    >>> network_kernel("relu", torch.linspace(0, 1, 5).double(), 0.0, 0.0)
    ClosedForm(value=(0.398942...+0j), negative=0)
    """
    if activation not in ("relu", "step", "sine") or rule not in get_args(Rule):
        raise ValueError(
            f"activation, rule: got {activation!r}, {rule!r}, expected 'relu', 'step' or 'sine' and one of "
            f"{get_args(Rule)}"
        )
    width, knots = _check_knots(knots), knots.double()
    time = float(knots[-1] - knots[0])
    mehler(time, start, end, omega=omega, real_time=real_time)  # says what is out of range, caustics too
    width = width.double()
    q = _quadratic(width, omega, rule, -1 if real_time else 1)
    units = features(activation, knots, knots[1:-1])[:, : len(knots) - 2]
    line = (knots - knots[0]) / time if activation == "sine" else torch.zeros_like(knots)
    base = start + (end - start) * line
    base[-1] = end
    linear, constant = units.mT @ (q @ base)[1:-1], float(base @ q @ base) / 2
    inner = units.mT @ q[1:-1, 1:-1] @ units
    classical = constant - float(linear @ torch.linalg.solve(inner, linear)) / 2
    log_size = float(torch.linalg.slogdet(units)[1] - torch.linalg.slogdet(inner)[1] / 2)
    log_size -= float((2 * math.pi * width).log().sum()) / 2 - len(units) / 2 * math.log(2 * math.pi)
    negative = int((torch.linalg.eigvalsh(inner) < 0).sum())
    if not real_time:
        return ClosedForm(complex(math.exp(log_size - classical)), negative)
    turn = (len(units) - 2 * negative - len(width)) * math.pi / 4
    return ClosedForm(math.exp(log_size) * cmath.exp(1j * (turn + classical)), negative)


# Sums over networks by sampling


@dataclass(frozen=True)
class Quartic:
    r"""A potential :math:`V = c + a r^2 + b r^4` of a position with any number of components.

    Attributes:
        square: a.
        fourth: b, at least zero; above it, if a is not.
        constant: c.

    Raises:
        ValueError: numbers that are not finite, or a potential that binds nothing.
    """

    square: float
    fourth: float
    constant: float = 0.0

    def __post_init__(self) -> None:
        finite("fourth", self.fourth, least=0, most=1e6)
        if not self.fourth:
            positive("square", self.square, most=1e6, remedy="without a fourth power it has to bind")
        for name in ("square", "constant"):
            finite(name, getattr(self, name), least=-1e6, most=1e6)

    def hartree(self, components: int = 1) -> float:
        r"""The frequency of the oscillator that feels the mean curvature of its own ground state.

        .. math:: \omega^2 = \langle\partial_1^2 V\rangle = 2a + 4b\,(d + 2)\,\frac1{2\omega}

        >>> round(Quartic(0.5, 1.0).hartree(), 12)
        2.0
        """
        check_counts(components=components)
        roots = np.roots([1.0, 0.0, -2 * self.square, -2 * self.fourth * (components + 2)])
        return float(roots[np.abs(roots.imag) < 1e-9 * np.abs(roots).max()].real.max())

    def levels(
        self, states: int = 4, *, reach: float = 6.0, points: int = 8000
    ) -> tuple[Array, Array, Array]:
        """The points of a line, the lowest energies and states there between two walls.

        Returns:
            Points ``(points - 1,)``, energies ``(states,)`` and states ``(points - 1, states)``, see
            :func:`~nnbook.exact.lines.lattice_states`.
        """
        positive("reach", reach, most=1e3)
        check_counts(least=3, points=points)
        x = reach * (2 * np.arange(1, points, dtype=np.float64) / points - 1)
        return x, *lattice_states(
            self.constant + self.square * x**2 + self.fourth * x**4, x[1] - x[0], states
        )


@dataclass(frozen=True, eq=False)
class PathSum:
    r"""The action of a particle's paths in imaginary time, as a function of a network's parameters.

    .. math:: S = \sum_i \frac{(x_{i+1} - x_i)^2}{2\epsilon} + \epsilon\sum_i c_i V(x_i)
                  + \frac{\epsilon^3}9 \sum_{i\text{ odd}} |\nabla V(x_i)|^2, \qquad x = B\theta

    To second order in :math:`\epsilon` all :math:`c_i = 1` (and 1/2 at open ends) and there is no last term.
    To fourth order, with :math:`c_i = 2/3` at even and 4/3 at odd beads :cite:p:`chin1997`, what is measured
    at **even** beads has errors of order :math:`\epsilon^4`. A linear change of the parameters is a mass
    matrix of hybrid Monte Carlo, so none is needed there.

    Attributes:
        potential: V.
        spacing: :math:`\epsilon`.
        beads: how many positions, at least 2; even for a closed path of fourth order, odd for an open one.
        components: how many numbers x has, d.
        closed: whether the last bead is a neighbour of the first; if not, both ends are free.
        fourth_order: see above.
        basis: B, ``(beads, parameters)``, the same for each component; none for positions as parameters.

    Raises:
        ValueError: a spacing or a number out of range, a basis of another shape.
    """

    potential: Quartic
    spacing: float
    beads: int
    components: int = 1
    closed: bool = True
    fourth_order: bool = False
    basis: Tensor | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        positive("spacing", self.spacing, most=LONGEST)
        check_counts(least=2, beads=self.beads)
        check_counts(components=self.components)
        if self.fourth_order and self.beads % 2 == self.closed:
            raise ValueError(
                f"beads: got {self.beads}, expected an {'even' if self.closed else 'odd'} number, for the "
                "fourth order goes in double steps"
            )
        if self.basis is not None:
            check_numbers("basis", self.basis)
            check_values("basis", self.basis, (self.beads, "parameters"), dtype=torch.float64)

    @cached_property
    def kinetic(self) -> Tensor:
        r"""K of the kinetic part :math:`\tfrac12 x^T K x`, ``(beads, beads)``."""
        one = torch.eye(self.beads, dtype=torch.float64)
        step = (one.roll(1, 1) - one)[: self.beads - (not self.closed)]
        return step.mT @ step / self.spacing

    @cached_property
    def shares(self) -> Tensor:
        r""":math:`\epsilon c_i`, ``(beads,)``."""
        shares = torch.full((self.beads,), self.spacing, dtype=torch.float64)
        if self.fourth_order:
            shares[::2], shares[1::2] = 2 / 3 * self.spacing, 4 / 3 * self.spacing
        if not self.closed:
            shares[0], shares[-1] = shares[0] / 2, shares[-1] / 2
        return shares

    def oscillator(self, omega: float) -> Tensor:
        """The covariance of the positions for an oscillator on the same lattice, ``(beads, beads)``."""
        finite("omega", omega, least=1e-5, most=1e6)
        inverse: Tensor = torch.linalg.inv(self.kinetic + omega**2 * self.shares.diag())
        return inverse

    def preconditioned(self) -> PathSum:
        """The same with the modes of its Hartree oscillator as basis, each of variance one there."""
        values, modes = torch.linalg.eigh(self.oscillator(self.potential.hartree(self.components)))
        return replace(self, basis=modes * values.sqrt())

    @cached_property
    def _basis(self) -> Tensor:
        return torch.eye(self.beads, dtype=torch.float64) if self.basis is None else self.basis

    def positions(self, parameters: Tensor) -> Tensor:
        """Paths ``(batch, components, beads)`` of parameters ``(batch, components, parameters)``."""
        shape = ("batch", self.components, self._basis.shape[1])
        check_values("parameters", parameters, shape, dtype=torch.float64)
        finite("size of the parameters", float(parameters.detach().square().sum()) ** 0.5, most=1e12)
        return parameters @ self._basis.mT

    def start(self, n: int, *, generator: torch.Generator) -> Tensor:
        """Independent normal parameters: the oscillator's own draws, if the basis is preconditioned."""
        check_counts(n=n)
        return torch.randn(n, self.components, self._basis.shape[1], generator=generator, dtype=torch.float64)

    def _along(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """S and its gradient by the positions."""
        (a, b), square = (self.potential.square, self.potential.fourth), (x * x).sum(1)
        moving, slope = x @ self.kinetic, 2 * a + 4 * b * square  # grad V = slope x
        action = (x * moving).sum((1, 2)) / 2
        action = action + (self.potential.constant + square * (a + b * square)) @ self.shares
        force = slope * self.shares
        if self.fourth_order:
            odd = self.spacing**3 / 9 * (torch.arange(self.beads) % 2).double()
            action = action + (slope * slope * square) @ odd
            force = force + 2 * odd * slope * (slope + 8 * b * square)
        return action, moving + x * force[:, None]

    def __call__(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """S ``(batch,)`` and its gradient by the parameters, as :func:`~nnbook.sample.hmc.hmc` wants them."""
        action, slope = self._along(self.positions(parameters))
        return action, slope @ self._basis

    def identities(self, parameters: Tensor) -> Tensor:
        r"""Numbers ``(batch, identities)`` whose mean over all paths is exactly zero.

        An integral of a derivative vanishes, :math:`\langle v\cdot\nabla S - \nabla\cdot v\rangle = 0` for
        any field v. Here v scales each parameter; each bead by a power of its distance, even and odd beads
        apart; and the whole path by its mean square. They are what
        :func:`~nnbook.sample.estimates.sharpen` subtracts.
        """
        x = self.positions(parameters)
        slope, d = self._along(x)[1], self.components
        found = [(parameters * (slope @ self._basis)).sum(1) - d]
        radial, square = (x * slope).sum(1), (x * x).sum(1)
        for power in (0, 1, 2):
            local = square**power * radial - (d + 2 * power) * square**power
            found += [local[:, ::2].sum(1, keepdim=True), local[:, 1::2].sum(1, keepdim=True)][
                : 1 if power == 0 else 2
            ]
        whole = square.mean(1) * (radial.sum(1) - d * self.beads - 2)
        return torch.cat([*found, whole[:, None]], 1)

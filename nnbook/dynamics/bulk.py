r"""A scalar field in an unknown curved space: the layers of the network of AdS/DL :cite:p:`hashimoto2018`.

In :math:`ds^2 = -f\,dt^2 + d\eta^2 + g\,(dx_1^2 + \dots + dx_{d-1}^2)` a static field obeys

.. math:: \phi'' + h(\eta)\,\phi' - m^2\phi - \lambda\phi^3 = 0, \qquad
          h = \frac{d}{d\eta} \ln\sqrt{f g^{d-1}}, \qquad \pi = \phi' .

The boundary lies at large :math:`\eta`, the horizon at :math:`\eta = 0`, where :math:`h \to 1/\eta` and a
field that is not singular has :math:`\pi = (m^2\phi + \lambda\phi^3)\,\eta/2`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from nnbook.arrays import check_counts, check_numbers, check_values, finite, positive
from nnbook.dynamics.splines import check_knots, spline_basis

Method = Literal["euler", "rk4"]


@dataclass(frozen=True, eq=False)
class BulkMetric:
    r"""The function h of a metric, between a boundary and a place close to the horizon.

    Attributes:
        h: :math:`h(\eta)` at places ``(n,)``, by torch.
        boundary: the largest :math:`\eta`.
        horizon: the smallest, above zero; h has a pole at the horizon itself.

    Raises:
        ValueError: a range that reaches the horizon, or that is empty.

    >>> BulkMetric.schwarzschild(3).layers(2)
    tensor([3.0149, 3.2298], dtype=torch.float64)
    """

    h: Callable[[Tensor], Tensor] = field(repr=False)
    boundary: float = 1.0
    horizon: float = 0.1

    def __post_init__(self) -> None:
        remedy = "h has its pole at eta = 0, the horizon"
        positive("horizon", self.horizon, remedy=remedy)
        positive("boundary", self.boundary, remedy=remedy)
        if not self.horizon < self.boundary:
            raise ValueError(
                f"boundary: got {self.boundary:g}, expected more than the other end, horizon={self.horizon:g}"
            )

    @classmethod
    def schwarzschild(cls, d: int = 3, *, boundary: float = 1.0, horizon: float = 0.1) -> BulkMetric:
        r"""The black brane of a boundary of d dimensions and unit radius, :math:`h = d\coth(d\,\eta)`."""
        check_counts(least=2, d=d)
        return cls(lambda eta: d / torch.tanh(d * eta), boundary, horizon)

    @classmethod
    def learned(
        cls, values: Tensor, knots: Tensor, *, boundary: float = 1.0, horizon: float = 0.1
    ) -> BulkMetric:
        r"""A horizon and a smooth rest, :math:`h = 1/\eta + s(\eta)`.

        s is the natural cubic spline through its values at the knots and through :math:`s(0) = 0`: a metric
        without a singularity at the horizon is even in :math:`\eta`, so that h is odd.

        Args:
            values: s at the knots, ``(n,)``; h can be differentiated by them.
            knots: places above zero in rising order, ``(n,)``.
            boundary, horizon: the range.

        Raises:
            ValueError: knots that do not rise from above zero; values of another number or not finite.
        """
        check_knots(knots)
        check_numbers("values", values)
        if values.shape != knots.shape:
            raise ValueError(f"values: got shape {tuple(values.shape)}, expected {tuple(knots.shape)}")
        return cls(lambda eta: 1 / eta + spline_basis(eta, knots).to(values) @ values, boundary, horizon)

    def layers(self, steps: int) -> Tensor:
        """h at the upper end of each of a number of equal steps from the boundary inwards, ``(steps,)``."""
        return self.h(self.grid(steps)[:-1])

    def grid(self, steps: int) -> Tensor:
        """The ends of the steps, from the boundary inwards, ``(steps + 1,)``."""
        check_counts(steps=steps)
        return torch.linspace(self.boundary, self.horizon, steps + 1, dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class BulkFlow:
    r"""The field equation as a deep network: a layer is a step in :math:`\eta`, its weight is h.

    Inwards by steps :math:`D = (\eta_\text{horizon} - \eta_\text{boundary})/N < 0`,

    .. math:: \phi \to \phi + D\,\pi, \qquad \pi \to \pi - D\,(h\,\pi - m^2\phi - \lambda\phi^3) .

    Attributes:
        metric: gives h and the range.
        mass2: :math:`m^2` in units of the radius; may be negative.
        coupling: :math:`\lambda`, a number or a scalar tensor.
        steps: N, the number of layers.
        method: ``"euler"``, one layer a step as published, or ``"rk4"``, a step of Runge and Kutta.

    Raises:
        ValueError: a mass or coupling that is not finite, fewer than one step, an unknown method.
    """

    metric: BulkMetric
    mass2: float = -1.0
    coupling: float | Tensor = 1.0
    steps: int = 10
    method: Method = "euler"

    def __post_init__(self) -> None:
        finite("mass2", self.mass2)
        if not isinstance(self.coupling, Tensor):
            finite("coupling", self.coupling)
        check_counts(steps=self.steps)
        if self.method not in ("euler", "rk4"):
            raise ValueError(f"method: got {self.method!r}, expected 'euler' or 'rk4'")

    def force(self, phi: Tensor) -> Tensor:
        r""":math:`V'(\phi) = m^2\phi + \lambda\phi^3`."""
        return phi * (self.mass2 + self.coupling * phi**2)

    def inwards(self, phi: Tensor, pi: Tensor) -> tuple[Tensor, Tensor]:
        """Field and momentum close to the horizon from those at the boundary, ``(...,)`` each.

        Infinite where the field grows beyond all numbers on its way.
        """
        check_state(phi, pi)
        return self._carry(phi, pi, inwards=True)

    def outwards(self, phi: Tensor, pi: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The same from the horizon to the boundary; by default with the momentum of a regular field.

        This direction damps what the other one amplifies.
        """
        if pi is None:
            check_numbers("phi", phi)
            pi = self.force(phi) * self.metric.horizon / 2
        check_state(phi, pi)
        return self._carry(phi, pi, inwards=False)

    def horizon_condition(self, phi: Tensor, pi: Tensor) -> Tensor:
        r""":math:`F = (2/\eta)\,\pi - V'(\phi)` close to the horizon, ``(...,)``; zero for a regular one."""
        phi, pi = self.inwards(phi, pi)
        return 2 / self.metric.horizon * pi - self.force(phi)

    def places(self, inwards: bool = True) -> Tensor:
        """Where a pass reads h, in its order: the ends of its steps, for ``"rk4"`` their middles too."""
        grid = self.metric.grid(self.steps * (2 if self.method == "rk4" else 1))
        return grid if inwards else grid.flip(0)

    def varied(self, y: Tensor, basis: Tensor, *, inwards: bool = True) -> Tensor:
        r"""A pass with its derivatives, by the variational equation; a hundred times faster than by duals.

        .. math:: \delta\phi'' = V''(\phi)\,\delta\phi - h\,\delta\phi' - \delta h\,\pi +
                  \delta\lambda\,\phi^3

        Args:
            y: ``y[0, 0]`` and ``y[1, 0]`` are field and momentum at the start, ``y[:, c]`` their derivatives
                by the parameters c = 1, 2, ..., ``(2, 1 + parameters, n)``.
            basis: derivatives of h by the first parameters, at :meth:`places`, ``(places, k)``. The parameter
                after these is the coupling; those that follow act through the start only.
            inwards: the direction.

        Returns:
            The same at the other end.

        Raises:
            ValueError: shapes that do not match.
        """
        places, k = self.places(inwards), basis.shape[-1]
        check_values("basis", basis, (len(places), "k"), dtype=y.dtype)
        check_values("y", y, (2, "parameters", "n"))
        check_counts(least=k + 2, **{"rows of y": y.shape[1]})
        h, rest = self.metric.h(places), y.shape[1] - 1 - k
        bent = torch.cat([basis.new_zeros(len(basis), 1), basis, basis.new_zeros(len(basis), rest)], 1)
        coupled = torch.zeros_like(bent[0])
        coupled[0], coupled[1 + k] = -2 * float(self.coupling), 1.0  # the first row is the field itself

        def slope(y: Tensor, n: int) -> Tensor:
            phi, pi = y[0, 0], y[1, 0]
            square = phi**2
            bend = (self.mass2 + 3 * self.coupling * square) * y[0] - h[n] * y[1]
            return torch.stack([y[1], bend + coupled[:, None] * (square * phi) - bent[n][:, None] * pi])

        return self._march(y, slope, places)

    def _carry(self, phi: Tensor, pi: Tensor, inwards: bool) -> tuple[Tensor, Tensor]:
        places = self.places(inwards).to(phi)
        h = self.metric.h(places)

        def slope(y: Tensor, n: int) -> Tensor:
            return torch.stack([y[1], self.force(y[0]) - h[n] * y[1]])

        phi, pi = self._march(torch.stack([phi, pi]), slope, places)
        return phi, pi

    def _march(self, y: Tensor, slope: Callable[[Tensor, int], Tensor], places: Tensor) -> Tensor:
        if self.method == "euler":
            for n, step in enumerate(places.diff().tolist()):
                y = y + step * slope(y, n)
            return _blown_up(y)
        for n, step in zip(range(0, 2 * self.steps, 2), (places[2::2] - places[:-2:2]).tolist(), strict=True):
            a = slope(y, n)
            b = slope(y + step / 2 * a, n + 1)
            c = slope(y + step / 2 * b, n + 1)
            y = y + step / 6 * (a + 2 * b + 2 * c + slope(y + step * c, n + 2))
        return _blown_up(y)


def _blown_up(y: Tensor) -> Tensor:
    """A field that has grown beyond all numbers is infinite, and not a NaN."""
    return torch.nan_to_num(y, nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)


def check_state(phi: Tensor, pi: Tensor) -> None:
    """Check a field and its momentum, two tensors of one shape and dtype."""
    check_numbers("phi", phi)
    check_numbers("pi", pi)
    if phi.shape != pi.shape or phi.dtype != pi.dtype:
        raise ValueError(
            f"pi: got {pi.dtype} of shape {tuple(pi.shape)}, expected {phi.dtype} of shape {tuple(phi.shape)}"
        )


def with_slope(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Values of a function of each number alone, and its derivatives, by one backward pass.

    >>> with_slope(lambda x: x**2, torch.tensor([1.0, 2.0]))
    (tensor([1., 4.]), tensor([2., 4.]))
    """
    at = x.detach().requires_grad_()
    values = function(at)
    return values.detach(), torch.autograd.grad(values.sum(), at)[0]


@dataclass(frozen=True, eq=False)
class LearnedMetric:
    r"""A metric learnt from data, and how far the data fix it.

    Attributes:
        metric: the metric.
        knots: places of the numbers that were learnt, in rising order, ``(n,)``.
        h: the metric there, ``(n,)``.
        bands: their standard errors, data and penalty together, ``(n,)``.
        spectrum: singular values of the map from the numbers to the data, in units of the noise of one datum.
        coupling: :math:`\lambda`.
        radius: the length L that data with a unit need; 1 if they have none.
        strength: of the penalty, chosen blind.
        misfit: root mean square of the residuals, in their units.
        degrees: how many numbers the data determine.
    """

    metric: BulkMetric
    knots: Tensor = field(repr=False)
    h: Tensor = field(repr=False)
    bands: Tensor = field(repr=False)
    spectrum: Tensor = field(repr=False)
    coupling: float
    radius: float
    strength: float
    misfit: float
    degrees: float

    def __repr__(self) -> str:
        return (
            f"metric from data: misfit {self.misfit:.3g}, {self.degrees:.2f} of {len(self.spectrum)} numbers "
            f"fixed by the data, penalty {self.strength:.0e}, coupling {self.coupling:.4g}, "
            f"radius {self.radius:.4g}"
        )

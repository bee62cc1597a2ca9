r"""Surfaces and strings that hang into a space with two unknown functions, and the space learnt from them.

.. math:: ds^2 = \frac1{z^2}\Bigl[-f e^{-\chi}dt^2 + \frac{dz^2}f + dx^2 + dy^2\Bigr]

Areas of surfaces are entropies of strips :cite:p:`ryu2006`, lengths of strings are potentials of quarks
:cite:p:`maldacena1998`. Data come from elsewhere, see :mod:`nnbook.exact.holography`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.func import grad, vmap

from nnbook.arrays import check_counts, check_numbers, check_values
from nnbook.dynamics.bulk import with_slope
from nnbook.train.inverse import Inversion, invert


@dataclass(frozen=True, eq=False)
class Geometry:
    r"""Both functions of :math:`ds^2 = z^{-2}[-f e^{-\chi}dt^2 + dz^2/f + dx^2 + dy^2]`, from numbers.

    .. math:: f = (1 - x^3)\, e^{x^2\sum_k a_k T_k(2x-1)}, \qquad \chi = x^2\sum_k c_k T_k(2x-1), \qquad
              x = z/z_h

    Attributes:
        params: :math:`\ln z_h`, then all a, then all c, ``(2 k + 1,)``.

    Raises:
        ValueError: an even number of parameters, or fewer than five.

    >>> space = Geometry(torch.zeros(5, dtype=torch.float64))
    >>> space.blackening(torch.tensor([0.5], dtype=torch.float64))
    tensor([0.8750], dtype=torch.float64)
    """

    params: Tensor

    def __post_init__(self) -> None:
        check_numbers("params", self.params)
        if self.params.ndim != 1 or len(self.params) < 5 or len(self.params) % 2 == 0:
            got = tuple(self.params.shape)
            raise ValueError(f"params: got shape {got}, expected (2 k + 1,) with k at least 2")

    def logarithms(self, z: Tensor) -> tuple[Tensor, Tensor]:
        r""":math:`\ln f` and :math:`\chi` at places above zero and before the horizon, ``(...,)`` each."""
        x = z / self.params[0].exp()
        terms = len(self.params) // 2
        a, c = self.params[1 : terms + 1], self.params[terms + 1 :]
        before, last = torch.ones_like(x), 2 * x - 1
        sums = [a[0] * before + a[1] * last, c[0] * before + c[1] * last]
        for k in range(2, terms):
            before, last = last, 2 * (2 * x - 1) * last - before
            sums = [sums[0] + a[k] * last, sums[1] + c[k] * last]
        return torch.log(-torch.expm1(3 * torch.log(x))) + x**2 * sums[0], x**2 * sums[1]

    def blackening(self, z: Tensor) -> Tensor:
        """f, ``(...,)``."""
        return self.logarithms(z)[0].exp()

    def time(self, z: Tensor) -> Tensor:
        r""":math:`f e^{-\chi}`, what multiplies :math:`-dt^2/z^2`, ``(...,)``."""
        log_f, chi = self.logarithms(z)
        return (log_f - chi).exp()

    def strips(self, turn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Width, area and its slope of surfaces that turn at z, see :func:`nnbook.exact.holography.strip`."""
        z, dz, below = _nodes(turn)
        inside = -0.5 * (self.logarithms(z)[0] + torch.log(-torch.expm1(4 * below)))
        width = 2 * (((2 * below) + inside).exp() * dz).sum(1)
        return width, 2 * (torch.expm1(inside) / z**2 * dz).sum(1) - 2 / turn, turn**-2

    def strings(self, turn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Separation, potential and its slope, see :func:`nnbook.exact.holography.string`."""
        z, dz, below = _nodes(turn)
        (log_f, chi), (last_f, last_chi) = self.logarithms(z), self.logarithms(turn)
        rise = log_f - chi - (last_f - last_chi)[:, None] - 4 * below
        apart = 2 * ((-0.5 * (log_f + torch.log(torch.expm1(rise)))).exp() * dz).sum(1)
        length = torch.expm1(-0.5 * (chi + torch.log(-torch.expm1(-rise)))) / z**2
        return apart, 2 * (length * dz).sum(1) - 2 / turn, (0.5 * (last_f - last_chi)).exp() / turn**2


def _nodes(turn: Tensor, count: int = 48) -> tuple[Tensor, Tensor, Tensor]:
    """Places z = turn (1 - u^2) that resolve the root at the turning point, weights, and ln(z / turn)."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    u, w = turn.new_tensor((nodes + 1) / 2), turn.new_tensor(weights / 2)
    return turn[:, None] * (1 - u**2), 2 * turn[:, None] * u * w, torch.log1p(-(u**2))


Probe = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]


def _turning(probe: Probe, horizon: float, size: Tensor) -> Tensor:
    """Where probes of given sizes turn, on the stable branch: a table, then Newton."""
    places = horizon * torch.linspace(0.02, 0.997, 150, dtype=torch.float64)
    sizes = probe(places)[0]
    stable = int(sizes.argmax()) + 1
    turn = torch.from_numpy(np.interp(size.numpy(), sizes[:stable].numpy(), places[:stable].numpy()))
    for _ in range(2):
        found, slope = with_slope(lambda z: probe(z)[0], turn)
        turn = (turn - (found - size) / slope.clamp(min=1e-3)).clamp(places[0], places[stable - 1])
    return turn


def reconstruct(
    strips: Tensor | None,
    strings: Tensor | None,
    *,
    terms: int = 10,
    strengths: Sequence[float] = (1e5, 1e4, 1e3, 1e2, 10.0, 1.0),
) -> list[Inversion]:
    r"""Both functions of a metric from entropies of strips and potentials of strings :cite:p:`filev2026`.

    Energies are taken at the measured size by :math:`E(z_*) + (l - l(z_*))\,dE/dl`, which is stationary in
    the turning point. So that is only needed roughly, and derivatives are those at a fixed one.

    Args:
        strips: rows of width, area, and the error of the area, ``(n, 3)``; or none.
        strings: the same of separation and potential.
        terms: Chebyshev polynomials for each function.
        strengths: of the penalty, which weighs the k-th coefficient by :math:`(k + 0.3)^2`.

    Returns:
        An :class:`~nnbook.train.inverse.Inversion` for each strength; ``Geometry(one.params)`` is the metric.

    Raises:
        ValueError: no data, rows of another width, sizes or errors that are not above zero.
    """
    check_counts(least=2, terms=terms)
    given = {"strips": strips, "strings": strings}
    tables = {name: table for name, table in given.items() if table is not None}
    if not tables:
        raise ValueError("data: got neither strips nor strings, expected at least one table")
    for name, table in tables.items():
        check_values(name, table, ("n", 3), dtype=torch.float64)
        check_counts(least=2, **{name: len(table)})
        if not bool((table[:, ::2] > 0).all() and (table.abs() < 1e6).all()):
            raise ValueError(f"{name}: got a size or an error out of range, expected 0 to 1e6")

    def linearised(params: Tensor) -> tuple[Tensor, Tensor]:
        residuals, rows = [], []
        for name, (size, energy, error) in ((name, table.mT) for name, table in tables.items()):
            turn = _turning(getattr(Geometry(params), name), float(params[0].exp()), size)

            def predicted(p: Tensor, turn: Tensor, size: Tensor, name: str = name) -> Tensor:
                found, at, slope = (part[0] for part in getattr(Geometry(p), name)(turn[None]))
                return torch.as_tensor(at + (size - found) * slope)

            alone = (None, 0, 0)  # each datum by itself, one backward pass for all
            residuals.append((vmap(predicted, alone)(params, turn, size) - energy) / error)
            rows.append(vmap(grad(predicted), alone)(params, turn, size) / error[:, None])
        return torch.cat(residuals), torch.cat(rows)

    start = torch.zeros(2 * terms + 1, dtype=torch.float64)
    start[0] = _depth(next(iter(tables.values())))
    weights = (torch.arange(terms, dtype=torch.float64) + 0.3) ** 2
    penalty = torch.diag(torch.cat([torch.zeros(1), weights, weights]).double())
    return invert(linearised, start, penalty, strengths=strengths, tolerance=1e-5)


def _depth(table: Tensor) -> Tensor:
    """ln z where the largest probe turns, from the slope of its energy, and a little more."""
    last = table[table[:, 0].argsort()][-2:]
    slope = (last[1, 1] - last[0, 1]) / (last[1, 0] - last[0, 0])
    return -0.5 * slope.clamp(min=1e-3).log() + 0.02

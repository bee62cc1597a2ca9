r"""What second-order training minimises: a number, its expansion in the parameters, and the energy as one.

:func:`nnbook.train.linear_method.minimise` asks a :class:`Problem` for its value and for an
:class:`Expansion` of it; a :class:`RayleighQuotient` is the energy of a wave function on points,
:class:`~nnbook.train.gauss_newton.ConvexLoss` a loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.func import grad_and_value

from nnbook.arrays import check_values
from nnbook.networks import jacobian

Function = Callable[[Tensor, Tensor], Tensor]


class Problem(Protocol):
    """What :func:`~nnbook.train.linear_method.minimise` needs to know of a number.

    :class:`RayleighQuotient` and :class:`~nnbook.train.gauss_newton.ConvexLoss` are two of them.
    ``function`` is the network as a function of its parameter vector and of points, see
    :func:`~nnbook.networks.as_function`.
    """

    @property
    def points(self) -> Tensor:
        """Where the network is evaluated, ``(n, dim)``."""

    @property
    def vector_valued(self) -> bool:
        """Whether the network may have several values ``(n, m)`` at a point."""

    def state(self, function: Function, params: Tensor) -> Tensor:
        """What a step moves along a curve: as many numbers as ``tangents`` has rows."""

    def value(self, function: Function, params: Tensor) -> Tensor:
        """The number to be minimised."""

    def expand(self, function: Function, params: Tensor) -> Expansion:
        """It, to second order around one parameter vector."""


@dataclass(frozen=True, eq=False)
class RayleighQuotient:
    r"""The energy :math:`\langle\psi|H|\psi\rangle / \langle\psi|\psi\rangle` on a set of points.

    Attributes:
        points: where the wave function is evaluated, ``(n, dim)``.
        operator: H, acting on the columns of an ``(n, k)`` tensor; symmetric in the inner product
            :math:`\langle f|g\rangle = \sum_j w_j f_j g_j` and made of torch functions without side effects.
        weights: quadrature weights w, ``(n,)``.
        below: orthonormal states ``(n, k)`` that the wave function is kept orthogonal to.
        coarser: the same energy on fewer points. Curvature, metric and tangents are then taken from there,
            value and gradient from here: the steps end at the same minimum and cost less.

    Raises:
        ValueError: weights or states of another shape or not finite, states that are not orthonormal.
    """

    points: Tensor
    operator: Callable[[Tensor], Tensor]
    weights: Tensor
    below: Tensor | None = None
    coarser: RayleighQuotient | None = None

    vector_valued: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_values("weights", self.weights, (len(self.points),), dtype=self.points.dtype)
        if self.below is None:
            return
        remedy = "one state psi is written psi[:, None]"
        check_values("below", self.below, (len(self.points), "states"), remedy=remedy)
        gram = self._bra(self.below) @ self.below
        if not bool(((gram - torch.eye(len(gram), device=gram.device)).abs() < 1e-4).all()):
            raise ValueError(
                f"below: got states with the scalar products {gram.tolist()}, expected orthonormal ones, "
                "with the weights of the points"
            )

    def state(self, function: Function, params: Tensor) -> Tensor:
        """The wave function of one parameter vector: orthogonal to the states below, normalised.

        Its values at the points ``(n,)``, at the coarser ones if there are any.
        """
        return (self.coarser or self)._wave(function, params)

    def _wave(self, function: Function, params: Tensor) -> Tensor:
        psi = function(params, self.points)[:, None]
        psi = self._project(psi / _size(psi))
        psi = self._project(psi / _size(psi))[:, 0]  # twice: once loses digits where little is left
        return psi / (self.weights @ psi.square()).sqrt()

    def value(self, function: Function, params: Tensor) -> Tensor:
        """The energy of one parameter vector, a scalar."""
        psi = self._wave(function, params)
        return (self.weights * psi) @ self.operator(psi[:, None])[:, 0]

    def expand(self, function: Function, params: Tensor) -> Expansion:
        """The energy to second order around one parameter vector."""
        if self.coarser:
            slope, energy = grad_and_value(self.value, argnums=1)(function, params)
            return self.coarser.expand(function, params)._replace(energy=energy, gradient=slope / 2)
        raw, jac = jacobian(function, params, self.points)
        size = _size(raw)
        psi, jac = self._project(raw[:, None] / size), self._project(jac / size)
        rest = _size(psi)
        rest = rest * (self.weights @ (psi / rest).square()).sqrt()
        psi, jac = self._project(psi / rest), jac / rest
        jac = torch.addmm(jac, psi, self._bra(psi) @ jac, alpha=-1.0)
        image, bra = self.operator(psi), self._bra(jac)
        energy = (self._bra(psi) @ image).squeeze()
        pull = self._bra(self.operator(jac)).sub_(energy * bra)
        all_of_them = jac.new_empty(0)
        return Expansion(
            energy, (bra @ image)[:, 0], pull @ jac, bra @ jac, pull, psi[:, 0], jac, all_of_them, size
        )

    def _bra(self, f: Tensor) -> Tensor:
        return (self.weights[:, None] * f).T

    def _project(self, f: Tensor) -> Tensor:
        return f if self.below is None else f - self.below @ (self._bra(self.below) @ f)


def _size(psi: Tensor) -> Tensor:
    """Largest value, by which others are divided before anything is done with them, or squares underflow."""
    return psi.detach().abs().amax()


class Expansion(NamedTuple):
    r"""A number to second order: itself, half its gradient g ``(p,)``, curvature A and metric S ``(p, p)``.

    With ``pull``, J^T W (H - E) ``(p, n)``, which turns a change of the wave function into a force on the
    parameters; ``state``, psi ``(n,)``; and its ``tangents``, J ``(n, p)``.

    The largest value of the network, before it is normalised, is its ``size``, or 1 where the scale matters.

    Where there are fewer numbers than parameters, n < p, a problem may have ``scales`` d ``(n,)``: steps are
    then :math:`J^T d\, z`, and g, A, S and pull belong to z ``(n,)``. Otherwise d is empty.
    """

    energy: Tensor
    gradient: Tensor
    curvature: Tensor
    metric: Tensor
    pull: Tensor
    state: Tensor
    tangents: Tensor
    scales: Tensor
    size: Tensor

    def whole_curvature(self) -> Tensor:
        """The curvature A ``(p, p)``, in the parameters whatever is solved for."""
        rows = self.scales[:, None] * self.tangents if self.scales.numel() else None
        return self.curvature if rows is None else rows.mT @ rows

    def steps(self, solved: Tensor) -> Tensor:
        """Steps in the parameters ``(starts, rungs, p)`` from what was solved for."""
        return (self.scales[:, None] * solved) @ self.tangents if self.scales.numel() else solved

r"""Losses for :func:`nnbook.train.linear_method.minimise`: sums over points of a convex function of the
outputs there.

Let :math:`r_j = f_\theta(x_j)` be the outputs of a network at point j, and the loss

.. math:: L(\theta) = \sum_j w_j\, \phi(r_j, y_j), \qquad
          \nabla L = \sum_j w_j\, J_j^T \phi'_j, \qquad
          \nabla^2 L \approx \sum_j w_j\, J_j^T \phi''_j J_j

with the Jacobian :math:`J_j = \partial r_j / \partial \theta`. The last matrix, the Gauss-Newton one, leaves
out the curvature of the network. It is positive because :math:`\phi` is convex, and exact where
:math:`\phi' = 0`, that is for a perfect fit :cite:p:`schraudolph2002`. For squares it gives the method of
Levenberg and Marquardt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.func import grad, hessian, vmap

from nnbook.arrays import check_values
from nnbook.networks import jacobian
from nnbook.train.problems import Expansion, Function

Density = Callable[[Tensor, Tensor], Tensor]
Jacobian = Callable[[Function, Tensor, Tensor], tuple[Tensor, Tensor]]


def half_square(output: Tensor, target: Tensor) -> Tensor:
    r"""The density of least squares, :math:`\phi(r, y) = |r - y|^2 / 2`.

    Raises:
        ValueError: targets of another number than outputs.
    """
    if output.shape != target.shape:
        raise ValueError(
            f"data: got {target.numel()} targets a point for {output.numel()} outputs of the network, "
            "expected as many"
        )
    return 0.5 * (output - target).square().sum()


@dataclass(frozen=True, eq=False)
class ConvexLoss:
    r"""The loss :math:`\sum_j w_j\, \phi(r_j, y_j)` of a network's outputs :math:`r_j` at points.

    Attributes:
        points: where the network is evaluated, ``(n, dim)``.
        data: y, what the density needs to know of each point, ``(n, k)``; targets for least squares.
        weights: w, ``(n,)``.
        density: :math:`\phi` of one point: its outputs ``(m,)`` and its data ``(k,)`` give a number. Convex
            in the outputs, and twice differentiable by torch.
        jacobian: values and per-sample Jacobian, with the arguments and results of
            :func:`~nnbook.networks.jacobian`, for a network that knows a faster way.

    Raises:
        ValueError: points, data and weights of different lengths.

    >>> import torch
    >>> from nnbook.train.linear_method import minimise
    >>> x = torch.linspace(-1, 1, 50, dtype=torch.float64)[:, None]
    >>> net = torch.nn.Sequential(torch.nn.Linear(1, 1, dtype=torch.float64))
    >>> line = ConvexLoss(x, 3 * x - 1, torch.full((50,), 0.02, dtype=torch.float64))
    >>> minimise(line, net).value < 1e-12
    True
    """

    points: Tensor
    data: Tensor
    weights: Tensor
    density: Density = half_square
    jacobian: Jacobian = jacobian

    vector_valued: ClassVar[bool] = True

    def __post_init__(self) -> None:
        counts = {name: len(getattr(self, name)) for name in ("points", "data", "weights")}
        if len(set(counts.values())) > 1:
            sizes = ", ".join(f"{count} {name}" for name, count in counts.items())
            raise ValueError(f"data: got {sizes}, expected one row of each a point")
        check_values("weights", self.weights, ("n",), dtype=self.points.dtype)
        remedy = "for one target a point add [:, None]"
        check_values("data", self.data, ("n", "k"), dtype=self.points.dtype, remedy=remedy)

    def state(self, function: Function, params: Tensor) -> Tensor:
        """The outputs at all points as one vector, ``(n m,)``."""
        return function(params, self.points).flatten()

    def value(self, function: Function, params: Tensor) -> Tensor:
        """The loss of one parameter vector, a scalar."""
        outputs = function(params, self.points).reshape(len(self.points), -1)
        return self.weights @ vmap(self.density)(outputs, self.data)

    def expand(self, function: Function, params: Tensor) -> Expansion:
        """The loss to second order around one parameter vector, in the Gauss-Newton approximation."""
        values, jac = self.jacobian(function, params, self.points)
        values, jac = values.reshape(len(values), -1), jac.reshape(len(values), -1, jac.shape[-1])
        loss = self.weights @ vmap(self.density)(values, self.data)
        flat = jac.flatten(0, 1)
        none, one = flat.new_empty(0), flat.new_ones(())
        if self.density is half_square:
            scales = (0.5 * self.weights).sqrt().repeat_interleave(values.shape[1])
            rows, rest = scales[:, None] * flat, scales * (values - self.data).flatten()
            if len(flat) < flat.shape[1]:
                # (A + m) d = -J^T s is solved by d = J^T z with (J J^T + m) z = -s, a smaller system
                gram = rows @ rows.mT
                return Expansion(loss, rest, gram, gram, scales.diag(), values.flatten(), flat, scales, one)
            gram, pull = rows.mT @ rows, rows.mT * scales
            return Expansion(loss, rows.mT @ rest, gram, gram, pull, values.flatten(), flat, none, one)
        slope = self.weights[:, None] * vmap(grad(self.density))(values, self.data)
        bend = self.weights[:, None, None] * vmap(hessian(self.density))(values, self.data)
        pull = 0.5 * (bend @ jac).flatten(0, 1).mT
        curvature = pull @ flat
        gradient = 0.5 * (flat.mT @ slope.flatten())
        return Expansion(loss, gradient, curvature, curvature, pull, values.flatten(), flat, none, one)

"""Networks that have symmetries, beside the perceptron: self-attention, and a linear neural ODE."""

from __future__ import annotations

import numpy as np
import torch
from numpy.polynomial import chebyshev
from torch import Tensor, nn
from torch.nn import functional as F

from nnbook.arrays import check_counts, check_input, check_values
from nnbook.networks import random_parameter


class Attention(nn.Module):
    r"""One head of self-attention, :math:`h_i = \sum_j s(q_i \cdot k_j)\, v_j` with
    :math:`q = x w_q`, :math:`k = x w_k`, :math:`v = x w_v` :cite:p:`vaswani2017`.

    Args:
        width: components of an input.
        head: components of queries, keys and values.
        scores: ``"relu"``, or ``"softmax"`` over j, of the product over :math:`\sqrt{\text{head}}`.
        project: whether the values go through an output matrix :math:`w_o` ``(head, width)``.
        generator: see :func:`~nnbook.networks.random_parameter`; entries have the variance 1/width.

    Raises:
        ValueError: a size below 1, unknown scores.

    >>> Attention(3, 2)(torch.zeros(7, 5, 3, dtype=torch.float64)).shape
    torch.Size([7, 5, 2])
    """

    query: Tensor
    key: Tensor
    value: Tensor
    output: Tensor

    def __init__(
        self,
        width: int,
        head: int,
        *,
        scores: str = "relu",
        project: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_counts(width=width, head=head)
        if scores not in ("relu", "softmax"):
            raise ValueError(f"scores: got {scores!r}, expected 'relu' or 'softmax'")
        self.scores = scores
        shapes = dict.fromkeys(("query", "key", "value"), (width, head)) | {"output": (head, width)}
        for name in list(shapes)[: None if project else 3]:
            drawn = random_parameter(shapes[name], width**-0.5, generator=generator)
            self.register_parameter(name, drawn)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., n, width)`` to ``(..., n, head)``, or back to the width through the output matrix."""
        check_input("x", x, len(self.query), self.query)
        products = (x @ self.query) @ (x @ self.key).mT
        d = self.query.shape[1]
        h = (F.relu(products) if self.scores == "relu" else (products / d**0.5).softmax(-1)) @ (
            x @ self.value
        )
        return h @ self.output if hasattr(self, "output") else h


class LinearODE(nn.Module):
    r"""A linear neural ODE :math:`\dot x = w(t)\,x + b(t)` on :math:`0 \le t \le 1` :cite:p:`chen2018ode`.

    w and b are polynomials in time, given by their values at the nodes of Chebyshev and Lobatto; the
    equation is solved by collocation there, without steps.

    Args:
        dim: components of x.
        nodes: number of nodes.
        generator: draws the first w and b, which are quadratic in time.

    Raises:
        ValueError: no dimension, fewer than four nodes.

    Attributes:
        times: the nodes, ``(nodes,)``.
        bubbles: smooth functions of time that vanish at both ends, ``(nodes, nodes // 4)``.
        slope: takes values at the nodes to those of the derivative, ``(nodes, nodes)``.
        weight, bias: w ``(nodes, dim, dim)`` and b ``(nodes, dim)``.
    """

    times: Tensor
    slope: Tensor
    fit: Tensor
    bubbles: Tensor

    def __init__(self, dim: int, nodes: int = 24, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        check_counts(dim=dim)
        check_counts(least=4, nodes=nodes)
        z = -np.cos(np.pi * np.arange(nodes) / (nodes - 1))
        fit = np.linalg.inv(chebyshev.chebvander(z, nodes - 1))
        slope = 2 * chebyshev.chebval(z, chebyshev.chebder(np.eye(nodes))).T @ fit
        bubbles = (1 - z**2)[:, None] * chebyshev.chebvander(z, nodes // 4 - 1)
        kept = {"times": (1 + z) / 2, "slope": slope, "fit": fit, "bubbles": bubbles}
        for name, values in kept.items():
            self.register_buffer(name, torch.from_numpy(values))
        draw = random_parameter((3, dim * (dim + 1)), 0.5, generator=generator)
        w, b = (torch.from_numpy(chebyshev.chebvander(z, 2)) @ draw).detach().split([dim**2, dim], 1)
        self.weight, self.bias = nn.Parameter(w.reshape(nodes, dim, dim)), nn.Parameter(b.clone())

    def transport(self) -> tuple[Tensor, Tensor]:
        r"""The Wilson lines :math:`U(t) = P e^{\int_0^t w}` ``(nodes, dim, dim)`` and the way of
        zero ``(nodes, dim)``, so that :math:`x(t) = U(t)\,x(0) + p(t)`."""
        n, dim = self.bias.shape
        one = torch.eye(dim).to(self.bias)
        system = torch.kron(self.slope, one) - torch.block_diag(*self.weight)
        start = torch.cat([one, one.new_zeros(dim, (n - 1) * dim)], 1)
        right = torch.cat([torch.zeros_like(self.weight), self.bias[..., None]], 2).flatten(0, 1)
        first = torch.cat([one, one.new_zeros(dim, 1)], 1)
        system, right = torch.cat([start, system[dim:]]), torch.cat([first, right[dim:]])
        solved: Tensor = torch.linalg.solve(system, right).reshape(n, dim, dim + 1)
        return solved[..., :dim], solved[..., dim]

    def path(self, x: Tensor) -> Tensor:
        """The states ``(nodes, ..., dim)`` that start at x ``(..., dim)``."""
        check_input("x", x, self.bias.shape[1], self.bias)
        lines, shift = self.transport()
        return torch.einsum("tij,...j->t...i", lines, x) + shift.view(-1, *[1] * (x.ndim - 1), x.shape[-1])

    def forward(self, x: Tensor) -> Tensor:
        """Where x ``(..., dim)`` is at t = 1."""
        return self.path(x)[-1]

    def between(self, at: Tensor) -> Tensor:
        """The matrix ``(m, nodes)`` that takes values at the nodes to those at other times ``(m,)``.

        Raises:
            ValueError: times that are not from 0 to 1, or in another precision.
        """
        check_values("at", at, ("m",), dtype=self.fit.dtype)
        if len(at) and not bool(((at > -1e-9) & (at < 1 + 1e-9)).all()):
            low, high = (float(end) for end in at.detach().aminmax())
            raise ValueError(f"at: got times from {low:g} to {high:g}, expected 0 to 1")
        z, columns = 2 * at - 1, [torch.ones_like(at), 2 * at - 1]
        for _ in range(len(self.times) - 2):
            columns.append(2 * z * columns[-1] - columns[-2])
        return torch.stack(columns, 1) @ self.fit

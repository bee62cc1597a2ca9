r"""What the chapter *Symmetries inside neural networks* reads.

A symmetry moves the weights of a network and leaves its function. A :class:`Symmetry` is one such move, of
the flat vector of parameters of a module. Near the identity the moves of a family are tangent vectors, the
gauge directions. What a gradient flow conserves follows from those that are themselves gradients
(:func:`charges`); whether there is anything else, the Lie algebra of the flow says (:func:`reached`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple, cast

import numpy as np
import torch
from numpy.polynomial import chebyshev
from torch import Tensor, nn
from torch.func import grad, jacrev, jvp, vmap
from torch.nn import functional as F

from nnbook.arrays import check_counts, check_input, check_numbers, check_values, finite, like, positive, seen
from nnbook.derivatives import load_forward_mode
from nnbook.dynamics.integrators import euler, integrate, rk4
from nnbook.networks import MLP, as_function, flatten, jacobian, random_parameter
from nnbook.train.gauss_newton import ConvexLoss
from nnbook.train.inverse import invert
from nnbook.train.linear_method import minimise

__all__ = ["MLP", "ConvexLoss", "as_function", "euler", "flatten", "integrate", "invert", "jacobian"]
__all__ += ["minimise", "rk4"]
__all__ += ["Attention", "HeadMixing", "LinearODE", "Permutation", "Rescaling", "Scaling", "Symmetry"]
__all__ += ["Frame", "Rank", "TimeChange", "UnitMixing", "ValueMixing"]
__all__ += ["charges", "gauge_directions", "geodesic", "rank", "reached", "ricci", "symmetries"]


# Networks


class Attention(nn.Module):
    r"""One head of self-attention, :math:`h_i = \sum_j s(q_i \cdot k_j)\, v_j` with
    :math:`q = x w_q`, :math:`k = x w_k`, :math:`v = x w_v` :cite:p:`vaswani2017`.

    Args:
        width: components of an input.
        head: components of queries and keys.
        values: components of the values; default as many as ``head``.
        scores: ``"relu"``, or ``"softmax"`` over j, of the product over :math:`\sqrt{\text{head}}`.
        project: whether the values go through an output matrix :math:`w_o` ``(values, width)``.
        generator, dtype: see :func:`~nnbook.networks.random_parameter`; entries have the variance 1/width.

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
        values: int | None = None,
        scores: str = "relu",
        project: bool = False,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        values = head if values is None else values
        check_counts(width=width, head=head, values=values)
        if scores not in ("relu", "softmax"):
            raise ValueError(f"scores: got {scores!r}, expected 'relu' or 'softmax'")
        self.scores = scores
        shapes = {"query": (width, head), "key": (width, head), "value": (width, values)}
        for name, shape in (shapes | ({"output": (values, width)} if project else {})).items():
            drawn = random_parameter(shape, width**-0.5, generator=generator, dtype=dtype)
            self.register_parameter(name, drawn)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., n, width)`` to ``(..., n, values)``, or back to the width through the output matrix."""
        check_input("x", x, len(self.query), self.query)
        products = (x @ self.query) @ (x @ self.key).mT
        relu = self.scores == "relu"
        scores = F.relu(products) if relu else (products / self.query.shape[1] ** 0.5).softmax(-1)
        h = scores @ (x @ self.value)
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


# Symmetries


@dataclass(frozen=True, eq=False)
class Symmetry:
    """A move of weights, one element of a group; the kinds of modules on which it acts are its ``kinds``."""

    kinds: ClassVar[tuple[type[nn.Module], ...]] = ()

    def move(self, module: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The parameters that change, by their names in the module."""
        raise NotImplementedError

    def dimension(self, module: nn.Module) -> int:
        """How many numbers the elements of the group near the identity need; none for a discrete group."""
        return 0

    def near(self, module: nn.Module, s: Tensor) -> Symmetry:
        """The element of the group with the coordinates s; all zero is the identity."""
        return self

    def apply(self, module: nn.Module, parameters: Tensor) -> Tensor:
        """The moved parameters, as one vector in the order of :func:`~nnbook.networks.flatten`.

        Raises:
            TypeError: a module of another kind.
            ValueError: parameters, or a move, of a shape that does not fit the module.
        """
        if not isinstance(module, self.kinds):
            names = ", ".join(kind.__name__ for kind in self.kinds)
            raise TypeError(f"module: got {seen(module)}, expected one of {names} for {type(self).__name__}")
        check_numbers("parameters", parameters)
        shapes = {name: p.shape for name, p in module.named_parameters()}
        check_values("parameters", parameters, (sum(shape.numel() for shape in shapes.values()),))
        parts = parameters.split([shape.numel() for shape in shapes.values()])
        weights = {name: part.view(shapes[name]) for name, part in zip(shapes, parts, strict=True)}
        moved = weights | self.move(module, weights)
        return torch.cat([part.reshape(-1) for part in moved.values()])

    def defect(self, module: nn.Module, inputs: Tensor) -> float:
        """By how much the function changes, at most, relative to its largest value on the inputs."""
        check_counts(inputs=len(inputs))
        function, theta = as_function(module), flatten(module)
        before = function(theta, inputs)
        return float((function(self.apply(module, theta), inputs) - before).abs().max() / before.abs().max())

    def generators(self, module: nn.Module, parameters: Tensor | None = None) -> Tensor:
        """The tangent directions of the group, ``(dimension, parameters)``, at the module's parameters."""
        theta = flatten(module) if parameters is None else parameters
        zero = theta.new_zeros(self.dimension(module))
        if not len(zero):
            return theta.new_zeros(0, len(theta))
        rows: Tensor = jacrev(lambda s: self.near(module, s).apply(module, theta))(zero).mT
        return rows


def _check_matrix(name: str, matrix: Tensor, size: int) -> None:
    check_values(name, matrix, (size, size))
    if not abs(float(torch.linalg.det(matrix))) > 1e-12 * float(matrix.abs().max()) ** size:
        raise ValueError(f"{name}: got one without inverse, expected an invertible matrix")


@dataclass(frozen=True, eq=False)
class UnitMixing(Symmetry):
    r"""Hidden units mixed, :math:`\tilde w \to A^{-1}\tilde w`, :math:`\tilde b \to A^{-1}\tilde b`,
    :math:`w \to w A`: exact if and only if the activation commutes with A :cite:p:`godfrey2022`.

    Attributes:
        matrix: A, ``(units, units)``.
        layer: which hidden layer, from 0.

    Raises:
        ValueError: a matrix without inverse.
    """

    matrix: Tensor
    layer: int = 0
    kinds = (MLP,)

    def __post_init__(self) -> None:
        _check_inverse("matrix", self.matrix)
        check_counts(least=0, layer=self.layer)

    def dimension(self, module: nn.Module) -> int:
        return _units(module, self.layer) ** 2

    def near(self, module: nn.Module, s: Tensor) -> Symmetry:
        return UnitMixing(_one_and(s), self.layer)

    def move(self, module: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        check_values("matrix", self.matrix, (_units(module, self.layer),) * 2)
        ends = (0, "weight"), (0, "bias"), (1, "weight")
        w, b, out = (f"layers.{self.layer + k}.{name}" for k, name in ends)
        matrix = like(self.matrix, weights[w])
        inverse = torch.linalg.inv(matrix)
        return {w: inverse @ weights[w], b: inverse @ weights[b], out: weights[out] @ matrix}


@dataclass(frozen=True, eq=False)
class Permutation(Symmetry):
    """Hidden units in another order, exact for every activation.

    Attributes:
        order: unit i is what unit ``order[i]`` was.
        layer: which hidden layer, from 0.

    Raises:
        ValueError: an order that is no permutation.

    >>> net = MLP(1, (3,), activation="tanh", dtype=torch.float64)
    >>> Permutation([2, 0, 1]).defect(net, torch.ones(5, 1, dtype=torch.float64)) < 1e-14
    True
    """

    order: Sequence[int]
    layer: int = 0
    kinds = (MLP,)

    def __post_init__(self) -> None:
        if sorted(self.order) != list(range(len(self.order))) or not len(self.order):
            raise ValueError(f"order: got {list(self.order)}, expected each number from 0 on once")

    def move(self, module: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        matrix = torch.eye(len(self.order), dtype=torch.float64)[:, list(self.order)]
        return UnitMixing(matrix, self.layer).move(module, weights)


@dataclass(frozen=True, eq=False)
class Rescaling(Symmetry):
    r"""Hidden units rescaled, :math:`w_{ij} \to \alpha_j w_{ij}`, :math:`\tilde w_{jk} \to
    \tilde w_{jk}/\alpha_j`, :math:`\tilde b_j \to \tilde b_j/\alpha_j`: exact for ReLU and leaky ReLU
    :cite:p:`neyshabur2015`.

    Attributes:
        factors: :math:`\alpha`, one above zero for each hidden unit, ``(units,)``.
        layer: which hidden layer, from 0.

    Raises:
        ValueError: a factor that is not above zero.
    """

    factors: Tensor
    layer: int = 0
    kinds = (MLP,)

    def __post_init__(self) -> None:
        check_values("factors", self.factors, ("units",))
        if not bool((self.factors > 0).all()):
            low = float(self.factors.min())
            raise ValueError(f"factors: got {low:g}, expected all above 0; ReLU(-z) is not -ReLU(z)")

    def dimension(self, module: nn.Module) -> int:
        return _units(module, self.layer)

    def near(self, module: nn.Module, s: Tensor) -> Symmetry:
        return Rescaling(s.exp(), self.layer)

    def move(self, module: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        check_values("factors", self.factors, (_units(module, self.layer),))
        return UnitMixing(self.factors.diag(), self.layer).move(module, weights)


@dataclass(frozen=True, eq=False)
class HeadMixing(Symmetry):
    r"""Queries and keys of attention mixed, :math:`w_q \to w_q A`, :math:`w_k \to w_k (A^{-1})^T`: exact for
    every invertible A.

    Attributes:
        matrix: A, ``(head, head)``.

    Raises:
        ValueError: a matrix without inverse.
    """

    matrix: Tensor
    kinds = (Attention,)
    parts: ClassVar[tuple[str, str]] = ("query", "key")

    def __post_init__(self) -> None:
        _check_inverse("matrix", self.matrix)

    def dimension(self, module: nn.Module) -> int:
        return int(module.get_parameter(self.parts[0]).shape[1]) ** 2

    def near(self, module: nn.Module, s: Tensor) -> Symmetry:
        return type(self)(_one_and(s))

    def move(self, module: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        first, second = self.parts
        check_values("matrix", self.matrix, (weights[first].shape[1],) * 2)
        matrix = like(self.matrix, weights[first])
        inverse = torch.linalg.inv(matrix).mT
        return {first: weights[first] @ matrix, second: weights[second] @ inverse}


@dataclass(frozen=True, eq=False)
class ValueMixing(HeadMixing):
    r"""Values mixed, :math:`w_v \to w_v A`, :math:`w_o \to A^{-1} w_o`: needs an output matrix."""

    parts = ("value", "output")

    def move(self, module: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        if "output" not in weights:
            raise ValueError(
                "module: got attention without an output matrix, expected one; write project=True"
            )
        moved = super().move(module, weights | {"output": weights["output"].mT})
        return moved | {"output": moved["output"].mT}


@dataclass(frozen=True, eq=False)
class Scaling(Symmetry):
    r"""Queries, keys and values of attention rescaled: exact for ReLU scores if
    :math:`\alpha_q\alpha_k\alpha_v = 1` and :math:`\alpha_q\alpha_k > 0`.

    Attributes:
        query, key, value: :math:`\alpha_q, \alpha_k, \alpha_v`.

    Raises:
        ValueError: another product than 1, or a negative one of the first two.
    """

    query: float | Tensor
    key: float | Tensor
    value: float | Tensor
    kinds = (Attention,)

    def __post_init__(self) -> None:
        q, k, v = (finite(name, getattr(self, name)) for name in ("query", "key", "value"))
        if not q * k > 0:
            raise ValueError(
                f"key: got {k:g} with query {q:g}, expected a product above 0; ReLU keeps the sign"
            )
        if not math.isclose(q * k * v, 1, rel_tol=1e-9):
            raise ValueError(f"value: got {v:g}, expected 1 / (query key) = {1 / (q * k):g}")

    def dimension(self, module: nn.Module) -> int:
        return 2

    def near(self, module: nn.Module, s: Tensor) -> Symmetry:
        return Scaling(*torch.stack([s[0], s[1], -s.sum()]).exp())

    def move(self, module: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: getattr(self, name) * weights[name] for name in ("query", "key", "value")}


@dataclass(frozen=True, eq=False)
class Frame(Symmetry):
    r"""A spatial diffeomorphism of a linear neural ODE, :math:`y = e^{g(t)}x`:
    :math:`w \to e^g w e^{-g} + (\partial_t e^g) e^{-g}`, :math:`b \to e^g b`.

    The end point is that of before if g vanishes at both ends.

    Attributes:
        g: its values at the nodes of the module, ``(nodes, dim, dim)``.
    """

    g: Tensor
    kinds = (LinearODE,)

    def __post_init__(self) -> None:
        check_values("g", self.g, ("nodes", "dim", "dim"))

    def dimension(self, module: nn.Module) -> int:
        nodes, dim = module.get_parameter("bias").shape
        return int(nodes // 4 * dim**2)

    def near(self, module: nn.Module, s: Tensor) -> Symmetry:
        ode = cast(LinearODE, module)
        return Frame(torch.einsum("tk,kij->tij", ode.bubbles, s.view(-1, *ode.weight.shape[1:])))

    def move(self, module: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        w, b = weights["weight"], weights["bias"]
        check_values("g", self.g, tuple(w.shape), dtype=w.dtype)
        finite("g", self.g.detach().abs().max(), most=100)  # its exponential shall be finite
        turn, back = torch.linalg.matrix_exp(self.g), torch.linalg.matrix_exp(-self.g)
        change = torch.einsum("st,tij->sij", cast(LinearODE, module).slope, turn)
        return {"weight": (turn @ w + change) @ back, "bias": (turn @ b[..., None])[..., 0]}


@dataclass(frozen=True, eq=False)
class TimeChange(Symmetry):
    r"""Another time for a linear neural ODE, :math:`y(t) = x(t + f(t))`:
    :math:`w \to (1 + \dot f)\,w(t + f)`, and so b.

    The end point is that of before if f vanishes at both ends.

    Attributes:
        f: its values at the nodes of the module, ``(nodes,)``.

    Raises:
        ValueError: when it is applied, for a time that turns back or leaves the interval.
    """

    f: Tensor
    kinds = (LinearODE,)

    def __post_init__(self) -> None:
        check_values("f", self.f, ("nodes",))

    def dimension(self, module: nn.Module) -> int:
        return len(module.get_parameter("bias")) // 4

    def near(self, module: nn.Module, s: Tensor) -> Symmetry:
        return TimeChange(cast(LinearODE, module).bubbles @ s)

    def move(self, module: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        ode = cast(LinearODE, module)
        check_values("f", self.f, (len(ode.times),), dtype=ode.times.dtype)
        at, rate = ode.times + self.f, 1 + ode.slope @ self.f
        if not bool((rate > 0).all()):
            raise ValueError(f"f: got a slope of {float(rate.detach().min()) - 1:g}, expected more than -1")
        values = {name: torch.einsum("st,t...->s...", ode.between(at), weights[name]) for name in weights}
        return {name: value * rate.view(-1, *[1] * (value.ndim - 1)) for name, value in values.items()}


def _one_and(s: Tensor) -> Tensor:
    size = math.isqrt(len(s))
    return torch.eye(size).to(s) + s.view(size, size)


def _check_inverse(name: str, matrix: Tensor) -> None:
    check_numbers(name, matrix)
    size = len(matrix) if matrix.ndim else 0
    check_values(name, matrix, (size, size))
    values = torch.linalg.svdvals(matrix.detach())
    if not size or not float(values[-1]) > size * torch.finfo(values.dtype).eps * float(values[0]):
        raise ValueError(f"{name}: got one without inverse, expected an invertible matrix")


def _units(module: nn.Module, layer: int) -> int:
    hidden = cast(MLP, module).linear()[:-1]
    if layer >= len(hidden):
        raise ValueError(f"layer: got {layer}, expected 0 to {len(hidden) - 1}, a hidden layer")
    return hidden[layer].out_features


def symmetries(module: nn.Module) -> tuple[Symmetry, ...]:
    """The continuous symmetries of a module that we know, at the identity.

    Raises:
        TypeError: a module of a kind that has none here.
    """
    if isinstance(module, MLP):
        ones = [torch.ones(layer.out_features, dtype=torch.float64) for layer in module.linear()[:-1]]
        if module.activation in ("relu", "leaky_relu"):
            return tuple(Rescaling(one, k) for k, one in enumerate(ones))
        linear = module.activation == "identity"
        return tuple(UnitMixing(one.diag(), k) for k, one in enumerate(ones) if linear)
    if isinstance(module, Attention):
        one = [torch.eye(module.get_parameter(name).shape[1]) for name in ("query", "value")]
        mixings = (HeadMixing(one[0]), *([ValueMixing(one[1])] if hasattr(module, "output") else []))
        return (*mixings, *([Scaling(1.0, 1.0, 1.0)] if module.scores == "relu" else []))
    if isinstance(module, LinearODE):
        return Frame(torch.zeros_like(module.weight)), TimeChange(torch.zeros_like(module.times))
    raise TypeError(f"module: got {seen(module)}, expected one of MLP, Attention, LinearODE")


# Counting


class Rank(NamedTuple):
    """How many singular values count, and the gap: the last that does, and the first that does not.

    Attributes:
        rank: how many.
        kept, lost: relative to the largest; ``lost`` is 0 where all count.
    """

    rank: int
    kept: float
    lost: float


def rank(rows: Tensor, *, tolerance: float = 1e-8) -> Rank:
    """The number of linearly independent rows: singular values above ``tolerance`` times the largest.

    >>> rank(torch.tensor([[1.0, 2.0], [2.0, 4.0]], dtype=torch.float64)).rank
    1
    """
    check_numbers("rows", rows)
    check_values("rows", rows, ("rows", "columns"))
    values = torch.linalg.svdvals(rows)
    relative = F.pad(values / values.max().clamp(min=1e-300) if len(values) else values, (0, 1))
    count = int((relative > positive("tolerance", tolerance)).sum())
    return Rank(count, float(relative[count - 1]), float(relative[count]))


def gauge_directions(module: nn.Module, parameters: Tensor | None = None) -> Tensor:
    """The tangent directions of all :func:`symmetries`, ``(k, parameters)``."""
    theta = flatten(module) if parameters is None else parameters
    return torch.cat(
        [theta.new_zeros(0, len(theta)), *(s.generators(module, theta) for s in symmetries(module))]
    )


def charges(module: nn.Module) -> Tensor:
    r"""What a gradient flow conserves because of the symmetries, as quadratic forms ``(charges, p, p)``.

    A direction :math:`S\theta` of a linear symmetry is orthogonal to every gradient of the loss. If S is
    symmetric, it is itself the gradient of :math:`Q = \tfrac12\theta^T S\theta`, which then stays as it is.
    """
    theta = flatten(module)
    forms = jacrev(lambda v: gauge_directions(module, v))(theta)
    skew = (forms - forms.mT).flatten(1)
    left, values, _ = torch.linalg.svd(skew, full_matrices=True)
    count = int((values > 1e-8 * values.max().clamp(min=1.0)).sum()) if len(values) else 0
    kept: Tensor = torch.einsum("ac,aij->cij", left[:, count:], forms)
    return kept


def reached(module: nn.Module, inputs: Tensor, *, depth: int = 3, generator: torch.Generator) -> list[Rank]:
    r"""The dimension of the space that gradient flows reach, by the Lie algebra that the gradients generate.

    Each loss pulls along a combination of the fields :math:`\nabla_\theta f_i(x)`. What all of them conserve
    is orthogonal to them and to their brackets :math:`[X, Y] = DY\,X - DX\,Y`, of every depth
    :cite:p:`marcotte2023`: their rank and the number of independent conservation laws sum up to the number of
    parameters.

    Args:
        module: with at most some hundred parameters.
        inputs: many, ``(batch, ...)``; fields are drawn from them at random.
        depth: nested brackets at most; it ends before if one level adds nothing.

    Returns:
        The rank of all fields up to each depth, from 0 on.

    Raises:
        TypeError: another module than an MLP or attention.
        ValueError: no inputs.
    """
    if not isinstance(
        module, MLP | Attention
    ):  # nested forward derivatives of solvers are wrong in torch 2.13
        raise TypeError(f"module: got {seen(module)}, expected one of MLP, Attention")
    check_counts(least=0, depth=depth)
    check_numbers("inputs", inputs)
    check_counts(inputs=len(inputs))
    load_forward_mode()
    function, theta = as_function(module), flatten(module)
    outputs = function(theta, inputs[:1]).shape[1:]

    def field(p: Tensor, x: Tensor, c: Tensor) -> Tensor:
        along: Tensor = grad(lambda q: (function(q, x[None])[0] * c).sum())(p)
        return along

    def bracket(p: Tensor, x: Tensor, c: Tensor) -> Tensor:
        if len(x) == 1:
            return field(p, x[0], c[0])
        last, inner = partial(field, x=x[-1], c=c[-1]), partial(bracket, x=x[:-1], c=c[:-1])
        turned: Tensor = jvp(last, (p,), (inner(p),))[1] - jvp(inner, (p,), (last(p),))[1]
        return turned

    rows, found, least = theta.new_zeros(0, len(theta)), list[Rank](), 0.0
    for level in range(1, depth + 2):
        number = 2 * len(theta)
        pick = torch.randint(len(inputs), (number, level), generator=generator)
        c = torch.randn(number, level, *outputs, generator=generator, dtype=theta.dtype)
        new = vmap(bracket, in_dims=(None, 0, 0))(theta, inputs[pick], c)
        sizes = new.norm(dim=1, keepdim=True)
        least = (
            1e-8 * float(sizes.max()) if level == 1 else least
        )  # a bracket below is zero, but for rounding
        rows = torch.cat([rows, (new / sizes)[sizes[:, 0] > least]])
        found.append(rank(rows))
        if level > 1 and found[-1].rank == found[-2].rank:
            break
    return found


# Geodesics


def ricci(symbols: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    r"""The Ricci tensor of a connection at points ``(n, dim)``, as ``(n, dim, dim)``.

    .. math:: R_{jl} = \partial_i\Gamma^i_{lj} - \partial_l\Gamma^i_{ij} + \Gamma^i_{im}\Gamma^m_{lj}
              - \Gamma^i_{lm}\Gamma^m_{ij}

    On a surface it is K times the metric, K the Gaussian curvature.
    """
    gamma, slope = vmap(symbols)(x), vmap(jacrev(symbols))(x)
    first = torch.einsum("nilji->njl", slope)
    second = torch.einsum("niijl->njl", slope)
    third = torch.einsum("niim,nmlj->njl", gamma, gamma)
    return first - second + third - torch.einsum("nilm,nmij->njl", gamma, gamma)


def geodesic(x: Tensor, v: Tensor, t: float, sign: int) -> tuple[Tensor, Tensor]:
    r"""Exact geodesics of the sphere or the hyperbolic plane, in stereographic coordinates.

    The metric is :math:`4\,dx^2/(1 + \kappa x^2)^2` with the curvature :math:`\kappa = \pm1`. A point is
    lifted to :math:`X = (2x, 1 - \kappa x^2)/(1 + \kappa x^2)`, where a geodesic is a plane section.

    Args:
        x, v: points and velocities, ``(n, 2)``.
        t: time.
        sign: :math:`\kappa`, 1 for the sphere and -1 for the hyperbolic plane.

    Returns:
        Where they are at t ``(n, 2)``, and the lengths of the way in a unit of time ``(n,)``.

    Raises:
        ValueError: another sign.
    """
    if sign not in (1, -1):
        raise ValueError(f"sign: got {sign}, expected 1 or -1")
    check_numbers("x", x)
    check_values("x", x, ("n", 2))
    check_values("v", v, tuple(x.shape), dtype=x.dtype)

    def lift(y: Tensor) -> Tensor:
        square = sign * y.square().sum(-1, keepdim=True)
        return torch.cat([2 * y, 1 - square], -1) / (1 + square)

    load_forward_mode()
    point, along = jvp(lift, (x,), (v,))[:2]
    length = 2 * v.norm(dim=1) / (1 + sign * x.square().sum(1))
    angle = (t * length)[:, None]
    c, s = (angle.cos(), angle.sin()) if sign == 1 else (angle.cosh(), angle.sinh())
    there = c * point + s * along / length.clamp(min=1e-300)[:, None]
    return there[:, :2] / (1 + there[:, 2:]), length

"""Moves of the weights that leave the function: of hidden units, and of the matrices of attention."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.func import jacrev

from nnbook.arrays import check_counts, check_numbers, check_values, finite, like, seen
from nnbook.networks import MLP, as_function, flatten
from nnbook.symmetries.networks import Attention

#: How many coordinates a group has near the identity, and its element at given ones.
Family = tuple[int, Callable[[Tensor], "Symmetry"]]


@dataclass(frozen=True, eq=False)
class Symmetry:
    """A move of weights, one element of a group; the kinds of modules on which it acts are its ``kinds``."""

    kinds: ClassVar[tuple[type[nn.Module], ...]] = ()

    def move(self, module: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The parameters that change, by their names in the module."""
        raise NotImplementedError

    def family(self, module: nn.Module) -> Family:
        """Coordinates of the group near the identity: how many, none for a discrete group, and the element
        at given ones; all zero is the identity."""
        return 0, lambda s: self

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
        return torch.cat([part.reshape(-1) for part in (weights | self.move(module, weights)).values()])

    def defect(self, module: nn.Module, inputs: Tensor) -> float:
        """By how much the function changes, at most, relative to its largest value on the inputs."""
        check_counts(inputs=len(inputs))
        function, theta = as_function(module), flatten(module)
        before, after = function(theta, inputs), function(self.apply(module, theta), inputs)
        return float((after - before).abs().max() / before.abs().max())

    def generators(self, module: nn.Module, parameters: Tensor | None = None) -> Tensor:
        """The tangent directions of the group, ``(dimension, p)``, at parameters; default: the module's."""
        theta = flatten(module) if parameters is None else parameters
        dimension, element = self.family(module)
        if not dimension:
            return theta.new_zeros(0, len(theta))
        rows: Tensor = jacrev(lambda s: element(s).apply(module, theta))(theta.new_zeros(dimension))
        return rows.mT


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

    def family(self, module: nn.Module) -> Family:
        return _units(module, self.layer) ** 2, lambda s: UnitMixing(_one_and(s), self.layer)

    def move(self, module: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        check_values("matrix", self.matrix, (_units(module, self.layer),) * 2)
        here = f"layers.{self.layer}."
        w, b, out = f"{here}weight", f"{here}bias", f"layers.{self.layer + 1}.weight"
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

    def family(self, module: nn.Module) -> Family:
        return _units(module, self.layer), lambda s: Rescaling(s.exp(), self.layer)

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

    def family(self, module: nn.Module) -> Family:
        size = int(module.get_parameter(self.parts[0]).shape[1])
        return size**2, lambda s: type(self)(_one_and(s))

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
            raise ValueError("module: got attention without output matrix, expected one; write project=True")
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
            raise ValueError(f"key: got {k:g} with query {q:g}, expected a product above 0; ReLU keeps signs")
        if not math.isclose(q * k * v, 1, rel_tol=1e-9):
            raise ValueError(f"value: got {v:g}, expected 1 / (query key) = {1 / (q * k):g}")

    def family(self, module: nn.Module) -> Family:
        return 2, lambda s: Scaling(*torch.stack([s[0], s[1], -s.sum()]).exp())

    def move(self, module: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: getattr(self, name) * weights[name] for name in ("query", "key", "value")}


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

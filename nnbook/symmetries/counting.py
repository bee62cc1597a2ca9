"""Counting: what is redundant, what a gradient flow conserves, and what it can reach."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import grad, jacrev, jvp, vmap
from torch.nn import functional as F

from nnbook.arrays import check_counts, check_numbers, check_values, positive, seen
from nnbook.derivatives import load_forward_mode
from nnbook.networks import MLP, as_function, flatten
from nnbook.symmetries.frames import Frame, TimeChange
from nnbook.symmetries.moves import HeadMixing, Rescaling, Scaling, Symmetry, UnitMixing, ValueMixing
from nnbook.symmetries.networks import Attention, LinearODE


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
        one = torch.eye(module.query.shape[1])
        mixings = (HeadMixing(one), *([ValueMixing(one)] if hasattr(module, "output") else []))
        return (*mixings, *([Scaling(1.0, 1.0, 1.0)] if module.scores == "relu" else []))
    if isinstance(module, LinearODE):
        return Frame(torch.zeros_like(module.weight)), TimeChange(torch.zeros_like(module.times))
    raise TypeError(f"module: got {seen(module)}, expected one of MLP, Attention, LinearODE")


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
    rows = [s.generators(module, theta) for s in symmetries(module)]
    return torch.cat([theta.new_zeros(0, len(theta)), *rows])


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
    # nested forward derivatives of solvers are wrong in torch 2.13
    if not isinstance(module, MLP | Attention):
        raise TypeError(f"module: got {seen(module)}, expected one of MLP, Attention")
    check_counts(least=0, depth=depth)
    check_numbers("inputs", inputs)
    check_counts(inputs=len(inputs))
    load_forward_mode()
    function, theta = as_function(module), flatten(module)
    outputs = function(theta, inputs[:1]).shape[1:]

    def bracket(p: Tensor, x: Tensor, c: Tensor) -> Tensor:
        if len(x) == 1:
            along: Tensor = grad(lambda q: (function(q, x) * c).sum())(p)
            return along
        last, inner = (partial(bracket, x=x[part], c=c[part]) for part in (slice(-1, None), slice(-1)))
        turned: Tensor = jvp(last, (p,), (inner(p),))[1] - jvp(inner, (p,), (last(p),))[1]
        return turned

    rows, found, least = theta.new_zeros(0, len(theta)), list[Rank](), 0.0
    for level in range(1, depth + 2):
        number = 2 * len(theta)
        pick = torch.randint(len(inputs), (number, level), generator=generator)
        c = torch.randn(number, level, *outputs, generator=generator, dtype=theta.dtype)
        new = vmap(bracket, in_dims=(None, 0, 0))(theta, inputs[pick], c)
        sizes = new.norm(dim=1, keepdim=True)
        # a bracket below the least is zero, but for rounding
        least = 1e-8 * float(sizes.max()) if level == 1 else least
        rows = torch.cat([rows, (new / sizes)[sizes[:, 0] > least]])
        found.append(rank(rows))
        if level > 1 and found[-1].rank == found[-2].rank:
            break
    return found

"""Moves of a linear neural ODE: another frame at each time, and another time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from nnbook.arrays import check_values, finite
from nnbook.symmetries.moves import Family, Symmetry
from nnbook.symmetries.networks import LinearODE


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

    def family(self, module: nn.Module) -> Family:
        bubbles, dim = cast(LinearODE, module).bubbles, module.get_parameter("bias").shape[1]
        return bubbles.shape[1] * dim**2, lambda s: Frame((bubbles @ s.view(-1, dim**2)).view(-1, dim, dim))

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

    def family(self, module: nn.Module) -> Family:
        bubbles = cast(LinearODE, module).bubbles
        return bubbles.shape[1], lambda s: TimeChange(bubbles @ s)

    def move(self, module: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        ode = cast(LinearODE, module)
        check_values("f", self.f, (len(ode.times),), dtype=ode.times.dtype)
        at, rate = ode.times + self.f, 1 + ode.slope @ self.f
        if not bool((rate > 0).all()):
            raise ValueError(f"f: got a slope of {float(rate.detach().min()) - 1:g}, expected more than -1")
        values = {name: torch.einsum("st,t...->s...", ode.between(at), weights[name]) for name in weights}
        return {name: value * rate.view(-1, *[1] * (value.ndim - 1)) for name, value in values.items()}

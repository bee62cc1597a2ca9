r"""Lattice quantum mechanics: networks as the states of one particle, and one of them written out."""

from __future__ import annotations

from nnbook.particles.grid import Grid, Spectrum
from nnbook.particles.hamiltonian import Hamiltonian
from nnbook.particles.solve import solve
from nnbook.particles.states import State, ritz
from nnbook.particles.waves import WaveFunction

__all__ = ["Grid", "Hamiltonian", "Spectrum", "State", "WaveFunction", "formula", "ritz", "solve"]


def formula(network: WaveFunction, digits: int = 5) -> str:
    r"""The network written out in LaTeX as aligned lines, for one hidden layer of s = softplus units.

    Raises:
        ValueError: more than one hidden layer, or other units; such a formula does not fit on a page.
    """
    first, *more, last = network.mlp.linear()
    if first.in_features > 1:
        raise ValueError(f"network: got {first.in_features} coordinates, expected a network of one")
    if more or network.mlp.activation != "softplus":
        raise ValueError(
            f"network: got {len(more) + 1} hidden layers of {network.mlp.activation} units, "
            "expected one of softplus units; train with hidden=(4,), say"
        )
    lines = [r"\psi(x) &\propto " + " - ".join(f"s({name})" for name in "ab"[: last.out_features])]
    for name, row, bias in zip("ab", last.weight.tolist(), last.bias.tolist(), strict=False):
        terms = [f"{c:+.{digits}g}\\, a_{{{k}}}" for k, c in enumerate(row, start=1)]
        lines.append(f"{name} &= " + " ".join([*terms, f"{bias:+.{digits}g}"]))
    for k, (w, b) in enumerate(zip(first.weight[:, 0].tolist(), first.bias.tolist(), strict=True), start=1):
        lines.append(f"a_{{{k}}} &= s({w:.{digits}g}\\, x {b:+.{digits}g})")
    return r"\begin{aligned} " + r" \\ ".join(lines) + r" \end{aligned}"

r"""Diffusion Monte Carlo: what is left of the energy once the nodes are given."""

from __future__ import annotations

import torch
from torch import Tensor

from nnbook.arrays import check_counts, check_values, positive
from nnbook.continuum.states import Product
from nnbook.matter_in_a_box.systems import Matter


@torch.no_grad()
def diffuse(
    state: Product,
    box: Matter,
    configurations: Tensor,
    *,
    step: float,
    steps: int,
    generator: torch.Generator,
) -> Tensor:
    r"""Diffusion Monte Carlo with the nodes of a state held fixed :cite:p:`reynolds1982`.

    Walkers drift and diffuse for a time :math:`\tau` with acceptance, do not cross a node, and are drawn anew
    by their weights :math:`e^{-\tau(E + E')/2}`. With :math:`\tau \to 0` and many walkers the energy is the
    lowest of all states with these nodes: an upper bound, not a lower one.

    Args:
        state, box: whose nodes, for a potential that is a function of positions.
        configurations: walkers at equilibrium ``(walkers, N, 3)``; as many are kept.
        step: :math:`\tau` in units of one over the energy of the longest wave.
        steps: of time.
        generator: source of the random numbers.

    Returns:
        The mean energy of all walkers after each step, ``(steps,)``.

    Raises:
        ValueError: a time or a count that is not above zero.
    """
    check_counts(steps=steps)
    check_values("configurations", configurations, ("walkers", box.particles, 3))
    tau, x = positive("step", step, most=10) / box.scale, configurations.clone()
    spread, reach, energies = box.stiffness * tau, 2 * (box.scale / tau) ** 0.5, []

    def look(x: Tensor) -> list[Tensor]:
        jet = state.jet(x)
        square = jet.gradient.square().sum(2, keepdim=True) * spread
        drift = jet.gradient * (2 / (1 + (1 + 2 * square).sqrt()))  # no leaps near a node
        return [x, jet.value, drift, box.local_energy(state, x, jet), state.sign(x)]

    now = look(x)
    for _ in range(steps):
        x, value, drift, before, sign = now
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=generator.device).to(x)
        new = look(x + spread * drift + spread**0.5 * noise)
        back = (x - new[0] - spread * new[2]) / spread**0.5
        ratio = 2 * (new[1] - value) + 0.5 * (noise.square() - back.square()).sum((1, 2))
        draws = torch.rand(len(x), generator=generator, dtype=x.dtype, device=generator.device).to(x)
        go = (draws.log() < ratio) & (new[4] == sign)
        now = [torch.where(go.view(-1, *[1] * (b.ndim - 1)), b, a) for a, b in zip(now, new, strict=True)]
        gain = 0.5 * (before + now[3] - 2 * now[3].median())
        weight = (-tau * gain.clamp(-reach, reach)).exp()
        energies.append((weight * now[3]).sum() / weight.sum())
        comb = (torch.arange(len(x)).to(x) + draws[0]) / len(x) * weight.sum()
        chosen = torch.searchsorted(weight.cumsum(0), comb).clamp(max=len(x) - 1)
        now = [part[chosen] for part in now]
    return torch.stack(energies)

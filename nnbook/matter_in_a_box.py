r"""What the chapter *Matter in a box* reads.

Fermions in a periodic cube, half of them with spin up, in three systems: electrons with a uniform background,
neutrons with a potential that acts in singlets, atoms at the unitary limit. Their states are Jastrow factors
times one determinant of pairs; backflow makes the pairs know of the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nnbook.arrays import check_counts, check_values, finite, positive
from nnbook.continuum.factors import Factor
from nnbook.continuum.local_energy import double_backward, kinetic
from nnbook.continuum.periodic import (
    Contact,
    PairDeterminant,
    PeriodicBackflow,
    PeriodicJastrow,
    Wrapped,
)
from nnbook.continuum.radial import Pade, Radial
from nnbook.continuum.states import Product
from nnbook.continuum.systems import Electrons
from nnbook.exact.ewald import (
    Ewald,
    closed_shell,
    cosh_transform,
    electron_gas,
    fermi_gas,
    gaussian_transform,
    momenta,
    pair_in_box,
    singlet_matter,
)
from nnbook.sample.estimates import Estimate, estimate
from nnbook.sample.metropolis import metropolis
from nnbook.train.sampled import Measurement, Training, measure, optimise

__all__ = ["Ewald", "cosh_transform", "electron_gas", "fermi_gas", "gaussian_transform", "momenta"]
__all__ += ["Contact", "PairDeterminant", "double_backward", "kinetic", "pair_in_box", "singlet_matter"]
__all__ += ["Estimate", "Pade", "PeriodicBackflow", "PeriodicJastrow", "Product", "Radial", "Wrapped"]
__all__ += ["ColdAtoms", "ElectronGas", "Measurement", "Training", "estimate", "measure", "metropolis"]
__all__ += ["Matter", "Neutrons", "diffuse", "network", "pair_distributions", "slater_jastrow", "train"]

#: :math:`\hbar^2/m` of a neutron, in MeV fm^2.
NEUTRON = 197.3269804**2 / 939.5654205
#: Heights in MeV and inverse squares of ranges in fm^-2 of the singlet part of :cite:t:`thompson1977`.
MINNESOTA = ((200.0, 1.487), (-91.85, 0.465))


class Matter:
    """Fermions in a periodic cube; a :class:`nnbook.train.sampled.Hamiltonian`, base class.

    Attributes:
        particles: N, half of them with spin up.
    """

    particles: int
    stride = 0.5

    @property
    def length(self) -> float:
        """Length of the cube."""
        raise NotImplementedError

    @property
    def stiffness(self) -> float:
        r""":math:`\hbar^2/m`."""
        raise NotImplementedError

    @property
    def label(self) -> str:
        """Which system this is."""
        return repr(self)

    @property
    def size(self) -> int:
        """The number of particles, which is also the number of moves of a sweep."""
        return self.particles

    @property
    def scale(self) -> float:
        """The energy of the longest wave, in which rates are counted."""
        return 0.5 * self.stiffness * (2 * math.pi / self.length) ** 2

    @property
    def bounds(self) -> tuple[float, float]:
        """None are known."""
        return -math.inf, math.inf

    def start(
        self, chains: int, *, generator: torch.Generator, device: torch.device | str | None = None
    ) -> Tensor:
        """Random positions ``(chains, N, 3)``."""
        check_counts(chains=chains)
        shape = (chains, self.particles, 3)
        drawn = torch.rand(shape, generator=generator, dtype=torch.float64, device=generator.device)
        positions: Tensor = self.length * drawn.to(device)
        return positions

    def walkers(self, state: Product, configurations: Tensor) -> Electrons:
        """Chains that sample the square of a state."""
        check_values("configurations", configurations, ("chains", self.particles, 3))
        state.check(configurations)
        spacing = self.length / self.particles ** (1 / 3)
        return Electrons(state, configurations, self.stride * spacing / (3 * self.particles) ** 0.5)

    def potential(self, state: Product, x: Tensor) -> Tensor:
        """The local potential energy at positions ``(batch, N, 3)``, ``(batch,)``."""
        raise NotImplementedError

    def local_energies(self, walkers: Electrons) -> Tensor:
        """The local energy of each chain, ``(chains,)``."""
        state, x = walkers.state, walkers.configurations
        return self.stiffness * kinetic(state.jet(x)) + self.potential(state, x)

    def _apart(self, x: Tensor) -> Tensor:
        """Differences of opposite spins in the nearest images, ``(batch, n, n, 3)``."""
        n = self.particles // 2
        d = x[:, :n, None] - x[:, None, n:]
        return d - self.length * (d / self.length).round()


def _halves(particles: int, *, closed: bool = True) -> None:
    """Raise a ValueError where spins are not balanced, or shells not closed."""
    check_counts(particles=particles)
    if particles % 2:
        raise ValueError(f"particles: got {particles}, expected an even number, as many with spin up as down")
    if closed:
        closed_shell(particles // 2)


@dataclass(frozen=True)
class ElectronGas(Matter):
    r"""Electrons and a uniform background; lengths in :math:`r_s` bohr, energies in hartree.

    .. math:: H = -\frac{1}{2r_s^2} \sum_i \Delta_i + \frac{1}{r_s} \Bigl[ \sum_{i<j} v(\mathbf r_{ij})
              + \frac{N\xi}{2} \Bigr]

    Attributes:
        particles: N, in closed shells of plane waves.
        rs: radius of the sphere of one electron, in bohr.

    Raises:
        ValueError: an open shell, an odd number, a radius that is not above zero.
    """

    particles: int
    rs: float

    def __post_init__(self) -> None:
        _halves(self.particles)
        finite("rs", self.rs, least=1e-3, most=1e3)

    @property
    def length(self) -> float:
        """Length of the cube, in rs bohr."""
        return float((4 * math.pi * self.particles / 3) ** (1 / 3))

    @property
    def stiffness(self) -> float:
        """In hartree."""
        return 1 / self.rs**2

    @property
    def cusps(self) -> tuple[float, ...]:
        """Slopes of ln psi where two electrons meet :cite:p:`kato1957`."""
        return (self.rs / 2, self.rs / 4)[: 1 if self.particles == 2 else 2]

    def potential(self, state: Product, x: Tensor) -> Tensor:
        """Ewald's sum, ``(batch,)``, in hartree."""
        ewald = Ewald(self.length)
        first, second = torch.triu_indices(self.particles, self.particles, 1, device=x.device)
        d = x[:, first] - x[:, second]
        d = d - self.length * (d / self.length).round()
        g, weight = (torch.from_numpy(part).to(x) for part in ewald.waves)
        apart = (d[:, :, None] + torch.from_numpy(ewald.images).to(x)).square().sum(-1).sqrt()
        near = (torch.erfc(ewald.alpha / self.length * apart) / apart).sum((1, 2))
        phase = x @ g.T
        far = (phase.cos().sum(1).square() + phase.sin().sum(1).square() - self.particles) / 2 @ weight
        pairs = near + far + len(first) * ewald.constant
        return (pairs + self.particles * ewald.madelung() / 2) / self.rs


@dataclass(frozen=True)
class Neutrons(Matter):
    r"""Neutrons whose potential acts in singlets only; lengths in fm, energies in MeV.

    The singlet part of the Minnesota potential :cite:p:`thompson1977`, without odd waves:

    .. math:: V = \sum_{i<j} v(r_{ij})\, \tfrac12 (1 + P_{ij}), \qquad
              v = 200\,e^{-1.487\,r^2} - 91.85\,e^{-0.465\,r^2},

    with :math:`P_{ij}` the exchange of two positions with opposite spins. Images are summed.

    Attributes:
        particles: N, in closed shells of plane waves.
        density: in neutrons a cubic fm.

    Raises:
        ValueError: an open shell, an odd number; a cube shorter than two ranges of the potential, 3.5 fm.
    """

    particles: int
    density: float

    def __post_init__(self) -> None:
        _halves(self.particles)
        finite("density", self.density, least=1e-9, most=1e3)
        if self.length < 3.5:
            raise ValueError(
                f"density: got {self.density:g}, a cube of {self.length:.2f} fm, expected one of at least "
                "3.5 fm, for the potential reaches over 1.7; take more neutrons"
            )

    @property
    def length(self) -> float:
        """Length of the cube, in fm."""
        return float((self.particles / self.density) ** (1 / 3))

    @property
    def stiffness(self) -> float:
        """In MeV fm^2."""
        return NEUTRON

    @property
    def scale(self) -> float:
        """In MeV; the well is deep at every density."""
        return 25.0

    def potential(self, state: Product, x: Tensor) -> Tensor:
        """Pairs of opposite spins, with the exchange of the state, ``(batch,)``, in MeV."""
        images = self.length * torch.arange(-1, 2, dtype=x.dtype, device=x.device)
        square = (self._apart(x)[..., None] + images).square()
        v = torch.stack([height * (-k * square).exp().sum(-1).prod(-1) for height, k in MINNESOTA]).sum(0)
        return (v * singlets(state, x)).sum((1, 2))


@dataclass(frozen=True)
class ColdAtoms(Matter):
    r"""Atoms at unitarity, :math:`V = -2\mu^2/\cosh^2(\mu r)` between opposite spins, :math:`\hbar = m = 1`.

    At zero energy a pair is :math:`\tanh(\mu r)/r`, so the scattering length is infinite, and the effective
    range :math:`2/\mu`.

    Attributes:
        particles: N, half of them with spin up.
        range: the effective range, in lengths of the cube.

    Raises:
        ValueError: an odd number; a range of more than half of the cube.
    """

    particles: int
    range: float

    def __post_init__(self) -> None:
        _halves(self.particles, closed=False)
        finite("range", self.range, least=1e-3, most=0.5, remedy="the potential has to fit into the box")

    @property
    def length(self) -> float:
        """Length of the cube, in radii of the sphere of one atom."""
        return float((4 * math.pi * self.particles / 3) ** (1 / 3))

    @property
    def stiffness(self) -> float:
        """One."""
        return 1.0

    @property
    def mu(self) -> float:
        """Two over the effective range."""
        return 2 / (self.range * self.length)

    def potential(self, state: Product, x: Tensor) -> Tensor:
        """Pairs of opposite spins, ``(batch,)``."""
        images = torch.from_numpy(Ewald(self.length).images).to(x)
        apart = (self._apart(x)[..., None, :] + images).square().sum(-1).sqrt()
        return -2 * self.mu**2 * torch.cosh(self.mu * apart).square().reciprocal().sum((1, 2, 3))


def singlets(state: Product, x: Tensor) -> Tensor:
    r"""How much of a singlet a pair up and down is, :math:`\tfrac12(1 + P\psi/\psi)`, ``(batch, n, n)``.

    Raises:
        ValueError: a state whose factors tell equal spins from opposite ones.
    """
    state.check(x)
    determinants = [f for f in state.factors if isinstance(f, PairDeterminant)]
    factors = [f.f.alike for f in state.factors if isinstance(f, PeriodicJastrow)]
    if len(determinants) != 1 or not all([*factors, determinants[0].alike]):
        raise ValueError("state: got one that depends on spins, expected one determinant and kinds=1")
    return 0.5 * (1 + determinants[0].exchange(x))


def slater_jastrow(box: Matter, hidden: int = 8, *, generator: torch.Generator) -> Product:
    """Plane waves and a Jastrow factor.

    Electrons have their cusps and a function for each kind of pair; neutrons one function for all; atoms the
    pair of their well.

    Args:
        box: the system.
        hidden: units of each network of the Jastrow factor.
        generator: source of the random start.
    """
    return network(box, hidden, 0, pairing=False, generator=generator)


def network(
    box: Matter,
    hidden: int = 12,
    backflow: int = 12,
    *,
    layers: int = 1,
    pairing: bool = False,
    generator: torch.Generator,
) -> Product:
    """The state of :func:`slater_jastrow` with backflow, and with pairs that are not plane waves.

    Args:
        box: the system.
        hidden: units of each network of the Jastrow factor, and of the pairs.
        backflow: units of each network of the backflow; 0 for none.
        layers: of backflow; two or more pass messages.
        pairing: whether the determinant has more plane waves than it must, and a network of its own.
        generator: source of the random start.
    """
    check_counts(least=0, hidden=hidden, backflow=backflow, layers=layers)
    kinds = min(2, box.particles // 2) if isinstance(box, ElectronGas) else 1
    factors: list[Factor] = []
    if isinstance(box, ElectronGas):
        factors.append(PeriodicJastrow(box, [Pade(cusp) for cusp in box.cusps]))
    if isinstance(box, ColdAtoms):
        kinds = min(2, box.particles // 2)
        far = [Radial(1, "jastrow", scale=0.0)] * (kinds - 1)
        factors.append(PeriodicJastrow(box, [Contact(box.mu), *far]))
    if hidden:
        each = [Radial(hidden, "jastrow", generator=generator) for _ in range(kinds)]
        factors.append(PeriodicJastrow(box, each))
    count = layers if backflow and box.particles > 2 else 0
    flows = [PeriodicBackflow(box, backflow, kinds=kinds, generator=generator) for _ in range(count)]
    more = {"shells": 6, "hidden": hidden} if pairing else {}
    return Product(*factors, PairDeterminant(box, flows=flows, generator=generator, **more))


def train(
    state: Product,
    box: Matter,
    *,
    generator: torch.Generator,
    steps: int = 100,
    chains: int = 300,
    rate: float = 0.1,
    trust: float = 0.1,
    shift: float = 1e-3,
    configurations: Tensor | None = None,
    checkpoint: str | Path | None = None,
) -> Training:
    """Train a state, in place, by reconfiguration with momentum :cite:p:`goldshlager2024`.

    The rate, in units of one over the energy of the longest wave, falls to 2 % of its first value; the
    parameters of the last tenth of the steps are averaged.

    Args:
        state, box: what is trained.
        generator, steps, chains, trust, configurations, checkpoint: see
            :func:`nnbook.train.sampled.optimise`.
        rate: the first rate.
        shift: of the matrix S, both absolute and relative.
    """
    positive("rate", rate)
    check_counts(steps=steps, chains=chains)
    return optimise(
        state,
        box,
        generator=generator,
        chains=chains,
        steps=steps,
        rate=lambda step: rate / box.scale * 0.02 ** (step / steps),
        trust=trust,
        shift=shift,
        relative=shift,
        momentum=0.9,
        clip=5.0,
        average=max(1, steps // 10),
        configurations=configurations,
        checkpoint=checkpoint,
        label=box.label,
    )


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
    spread, energies = box.stiffness * tau, []

    def look(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        jet = state.jet(x)
        square = jet.gradient.square().sum(2, keepdim=True) * spread
        drift = jet.gradient * (2 / (1 + (1 + 2 * square).sqrt()))  # no leaps near a node
        return jet.value, drift, box.stiffness * kinetic(jet) + box.potential(state, x), state.sign(x)

    value, drift, energy, sign = look(x)
    reach = 2 / tau**0.5 * box.scale**0.5
    for _ in range(steps):
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=generator.device).to(x)
        there = x + spread * drift + spread**0.5 * noise
        new = look(there)
        back = (x - there - spread * new[1]) / spread**0.5
        ratio = 2 * (new[0] - value) + 0.5 * (noise.square() - back.square()).sum((1, 2))
        draws = torch.rand(len(x), generator=generator, dtype=x.dtype, device=generator.device).to(x)
        go = (draws.log() < ratio) & (new[3] == sign)
        before = energy
        x = torch.where(go[:, None, None], there, x)
        value, energy, sign = (
            torch.where(go, a, b) for a, b in ((new[0], value), (new[2], energy), (new[3], sign))
        )
        drift = torch.where(go[:, None, None], new[1], drift)
        middle = energy.median()
        gain = 0.5 * (before + energy).clamp(middle - reach, middle + reach)
        weight = (-tau * (gain - middle)).exp()
        energies.append((weight * energy).sum() / weight.sum())
        comb = (torch.arange(len(x)).to(x) + draws[0]) / len(x) * weight.sum()
        chosen = torch.searchsorted(weight.cumsum(0), comb).clamp(max=len(x) - 1)
        x, value, drift, energy, sign = (part[chosen] for part in (x, value, drift, energy, sign))
    return torch.stack(energies)


@dataclass(frozen=True, eq=False)
class PairDistributions:
    """How often two neutrons are at a distance, over a gas without correlations.

    Attributes:
        r: the middles of the bins, ``(bins,)``, in fm.
        singlet, triplet: in singlets and triplets, by the exchange of each state; means ``(bins,)``.
        equal: from pairs of equal spins, which are triplets.
        split: the triplet of opposite spins minus that of equal ones, zero for a state of spin zero.
        errors: of these four, by the scatter of chains, ``(4, bins)``.
    """

    r: Tensor
    singlet: Tensor
    triplet: Tensor
    equal: Tensor
    split: Tensor
    errors: Tensor


@torch.no_grad()
def pair_distributions(state: Product, box: Matter, samples: Tensor, bins: int = 20) -> PairDistributions:
    """Spin-singlet and spin-triplet pair distributions up to half of the cube.

    Args:
        state, box: the system; the state must not tell equal spins from opposite ones.
        samples: positions ``(samples, chains, N, 3)``.
        bins: of equal width.

    Raises:
        ValueError: no bins, a state that depends on spins, samples of another shape.
    """
    check_counts(bins=bins)
    n = box.particles // 2
    check_values("samples", samples, ("samples", "chains", box.particles, 3))
    check_counts(samples=len(samples))
    check_counts(least=2, chains=samples.shape[1])
    state.check(samples[0])
    first, second = torch.triu_indices(n, n, 1, device=samples.device)
    width = box.length / 2 / bins
    counts = samples.new_zeros(3, samples.shape[1], bins + 1)
    for x in samples:
        across = box._apart(x).square().sum(-1).sqrt().flatten(1)
        share = singlets(state, x).flatten(1)
        spins = x.unflatten(1, (2, n))
        d = spins[:, :, first] - spins[:, :, second]
        same = (d - box.length * (d / box.length).round()).square().sum(-1).sqrt().flatten(1)
        place, near = ((r / width).clamp(max=bins).long() for r in (across, same))
        counts[0].scatter_add_(1, place, share)
        counts[1].scatter_add_(1, place, 1 - share)
        counts[2].scatter_add_(1, near, torch.ones_like(same))
    edges = width * torch.arange(bins + 1).to(samples)
    shell = 4 * math.pi / 3 * edges.pow(3).diff() / box.length**3 * box.particles**2 / 2 * len(samples)
    rest, equal = counts[1:]
    rows = [4 * counts[0], (rest + equal) / 0.75, 2 * equal, 4 * rest - 2 * equal]
    table = torch.stack(rows)[..., :bins] / shell
    errors = table.std(1) / samples.shape[1] ** 0.5
    singlet, triplet, same_spin, split = table.mean(1)
    return PairDistributions((edges[1:] + edges[:-1]) / 2, singlet, triplet, same_spin, split, errors)

r"""Fermions in a periodic cube, half of them with spin up: electrons, neutrons, atoms; and their states.

Positions are ``(batch, N, 3)``, those with spin up first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nnbook.arrays import check_counts, check_values, finite
from nnbook.continuum.factors import Factor, LogJet
from nnbook.continuum.local_energy import kinetic
from nnbook.continuum.radial import Pade, Pairs, Radial
from nnbook.continuum.states import Product
from nnbook.continuum.systems import Electrons
from nnbook.exact.ewald import MINNESOTA, Ewald, closed_shell
from nnbook.matter_in_a_box.pairing import PairDeterminant, singlets
from nnbook.matter_in_a_box.periodic import Contact, PeriodicBackflow, PeriodicJastrow

#: :math:`\hbar^2/m` of a neutron, in MeV fm^2.
NEUTRON = 197.3269804**2 / 939.5654205


class Matter:
    """Fermions in a periodic cube; a :class:`nnbook.train.sampled.Hamiltonian`, base class.

    Attributes:
        particles: N, half of them with spin up.
    """

    particles: int
    stride = 0.5
    bounds = -math.inf, math.inf

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

    def local_energy(self, state: Product, x: Tensor, jet: LogJet) -> Tensor:
        """The local energy at positions ``(batch, N, 3)``, given the derivatives there, ``(batch,)``."""
        return self.stiffness * kinetic(jet) + self.potential(state, x)

    def local_energies(self, walkers: Electrons) -> Tensor:
        """The local energy of each chain, ``(chains,)``."""
        x = walkers.configurations
        return self.local_energy(walkers.state, x, walkers.state.jet(x))

    def differences(self, x: Tensor) -> Tensor:
        """Between the nearest images of each pair, opposite spins first, ``(batch, pairs, 3)``."""
        first, second = Pairs(self.particles).get_buffer("ends").to(x.device)
        d = x[:, first] - x[:, second]
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
        ewald, d = Ewald(self.length), self.differences(x).float()  # no mean can tell
        g, weight, images = (torch.from_numpy(part).to(d) for part in (*ewald.waves, ewald.images))
        apart = (d[:, :, None] + images).square().sum(-1).sqrt()
        near = (torch.erfc(ewald.alpha / self.length * apart) / apart).sum((1, 2))
        phase = x.float() @ g.T
        far = (phase.cos().sum(1).square() + phase.sin().sum(1).square() - self.particles) / 2 @ weight
        pairs = (near + far).to(x) + d.shape[1] * ewald.constant
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
        share = singlets(state, x).flatten(1)
        images = self.length * torch.arange(-1, 2, dtype=x.dtype, device=x.device)
        square = (self.differences(x)[:, : share.shape[1], :, None] + images).square()
        v = torch.stack([height * (-k * square).exp().sum(-1).prod(-1) for height, k in MINNESOTA]).sum(0)
        return (v * share).sum(1)


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
        opposite = self.differences(x)[:, : (self.particles // 2) ** 2, None]
        apart = (opposite + images).square().sum(-1).sqrt()
        return -2 * self.mu**2 * torch.cosh(self.mu * apart).square().reciprocal().sum((1, 2))


def network(
    box: Matter,
    hidden: int = 12,
    backflow: int = 12,
    *,
    layers: int = 1,
    pairing: bool = False,
    generator: torch.Generator,
) -> Product:
    """Plane waves, a Jastrow factor, backflow, and pairs that are not plane waves.

    Electrons have their cusps and a function for each kind of pair; neutrons one function for all; atoms the
    pair of their well.

    Args:
        box: the system.
        hidden: units of each network of the Jastrow factor, and of the pairs; 0 for none.
        backflow: units of each network of the backflow; 0 for none, which is Slater-Jastrow.
        layers: of backflow; two or more pass messages.
        pairing: whether the determinant has more plane waves than it must, and a network of its own.
        generator: source of the random start.
    """
    check_counts(least=0, hidden=hidden, backflow=backflow, layers=layers)
    kinds = 1 if isinstance(box, Neutrons) else min(2, box.particles // 2)
    factors: list[Factor] = []
    if isinstance(box, ElectronGas):
        factors.append(PeriodicJastrow(box, [Pade(cusp) for cusp in box.cusps]))
    if isinstance(box, ColdAtoms):
        far = [Radial(1, "jastrow", scale=0.0)] * (kinds - 1)
        factors.append(PeriodicJastrow(box, [Contact(box.mu), *far]))
    if hidden:
        each = [Radial(hidden, "jastrow", generator=generator) for _ in range(kinds)]
        factors.append(PeriodicJastrow(box, each))
    count = layers if backflow and box.particles > 2 else 0
    flows = [PeriodicBackflow(box, backflow, kinds=kinds, generator=generator) for _ in range(count)]
    more = {"shells": 6, "hidden": hidden} if pairing else {}
    return Product(*factors, PairDeterminant(box, flows=flows, generator=generator, **more))

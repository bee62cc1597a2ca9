r"""Nucleons with contact forces: their Hamiltonian, and a network as correlator.

A state of few nucleons that is symmetric in space, with one antisymmetric spin-isospin state for all of them,
is one positive function of the distances. In such a state :math:`\sigma_i\cdot\sigma_j` has the mean -1.
Spins that go along are a field of unit vectors n over the configurations, see :class:`Spins`. Positions are
``(batch, A, 3)``, in fm; energies are in MeV.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nnbook.arrays import check_counts, check_values, finite, positive
from nnbook.continuum.factors import Factor, LogJet
from nnbook.continuum.local_energy import kinetic
from nnbook.continuum.radial import Pairs
from nnbook.continuum.states import Product
from nnbook.continuum.systems import Electrons
from nnbook.exact.nucleons import HBAR2_OVER_MASS, Pionless
from nnbook.networks import random_parameter

#: the direction of a pair in the doublet of spins; opposite pairs of four have the same
_KIND = {(0, 1): 0, (2, 3): 0, (0, 2): 1, (1, 3): 1, (0, 3): 2, (1, 2): 2}


class Nuclear(NamedTuple):
    """The parts of the local energy, each ``(batch,)``, in MeV."""

    kinetic: Tensor
    pairs: Tensor
    triples: Tensor


class Nucleons(Electrons):
    """Chains whose centre of mass stays where it is."""

    def _noise(self, generator: torch.Generator) -> Tensor:
        noise = super()._noise(generator)
        return noise - noise.mean(1, keepdim=True)


def _check(nucleons: int, least: int) -> None:
    if nucleons not in range(least, 5):
        counts = (
            "2, 3 or 4; Pauli keeps a fifth out" if least == 2 else "3 or 4; two have one spin state only"
        )
        raise ValueError(f"nucleons: got {nucleons}, expected {counts}")


class Correlator(Factor):
    r"""A network as a correlator of nucleons: a sum over pairs, and a function of sums over neighbours.

    .. math:: \ln\psi = \sum_{i<j} \bigl[ v\cdot\phi(r_{ij}) - \kappa\,s(r_{ij}) - c\,z(r_{ij}) \bigr]
              + \tau \sum_i \sum_{j<k} g(r_{ij})\,g(r_{ik})
              + \sum_i u \cdot \tanh\Bigl( W \sum_{j\ne i} \phi(r_{ij}) + b \Bigr)

    with features :math:`\phi(r) = \tanh(a z + d)` of :math:`z = \tfrac12\ln(1 + (\Lambda r/2)^2)`, which sees
    the range of the force and the size of the nucleus alike, :math:`s = \sqrt{r^2 + 4/\Lambda^2}` and
    :math:`g = e^{-\Lambda^2r^2/4}`. All are smooth where two nucleons meet. The last sum is a deep set
    :cite:p:`zaheer2017` of the neighbours of each nucleon; without it, this is a Jastrow factor for pairs and
    triples. At the start it is a product of pairs :math:`e^{-\kappa r}/r`.

    Args:
        nucleons: A, from 2 to 4.
        cutoff: :math:`\Lambda`, in 1/fm.
        features: components of :math:`\phi`.
        hidden: units of the second sum; 0 for none.
    """

    def __init__(
        self,
        nucleons: int,
        cutoff: float,
        features: int = 12,
        hidden: int = 12,
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        _check(nucleons, 2)
        check_counts(features=features)
        check_counts(least=0, hidden=hidden)
        self.shape, self.width = (nucleons, 3), 2 / positive("cutoff", cutoff)
        self.pairs = Pairs(nucleons)

        def draw(scale: float, *shape: int) -> nn.Parameter:
            return random_parameter(shape, scale, generator=generator, dtype=dtype)

        self.tail = nn.Parameter(torch.tensor([0.23, 1.0, 0.0], dtype=dtype))  # of a deuteron
        self.slope, self.offset, self.weight = draw(1.0, features), draw(1.0, features), draw(0.01, features)
        self.inward = draw(features**-0.5, hidden, features)
        self.bias, self.outward = draw(1.0, hidden), draw(0.01, hidden)

    def _features(self, r: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The functions z and s, the features and the well g, of distances."""
        square = (r / self.width).square()
        z = 0.5 * torch.log1p(square)
        phi = torch.tanh(z[..., None] * self.slope + self.offset)
        return z, self.width * (1 + square).sqrt(), phi, (-square).exp()

    def _units(self, phi: Tensor) -> Tensor:
        return torch.tanh(self.pairs.onto(phi, signed=False) @ self.inward.T + self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """The logarithm, ``(batch,)``."""
        z, s, phi, g = self._features(self.pairs(x)[1])
        pairs = phi @ self.weight - self.tail[0] * s - self.tail[1] * z - self.tail[2] * g.square()
        triples = self.tail[2] / 2 * self.pairs.onto(g[..., None], signed=False).square()[..., 0]
        return pairs.sum(1) + (triples + self._units(phi) @ self.outward).sum(1)

    def _slopes(self, r: Tensor) -> tuple[Tensor, ...]:
        """Slopes over r: of ln psi, of the features and g; what the sums feel; the units and theirs."""
        _, s, phi, g = self._features(r)
        z1, g1 = 1 / s.square(), -2 / self.width**2 * g
        first = torch.cat([(1 - phi.square()) * self.slope * z1[..., None], g1[..., None]], 2)
        unit = self._units(phi)
        force = (1 - unit.square()) * self.outward
        pull = torch.cat([force @ self.inward, self.tail[2] * self.pairs.onto(g[..., None], signed=False)], 2)
        f1 = first[..., :-1] @ self.weight - self.tail[0] / s - self.tail[1] * z1 - 2 * self.tail[2] * g * g1
        return f1 + (self.pairs.at_ends(pull) * first).sum(2), first, pull, unit, force

    def gradient(self, x: Tensor) -> Tensor:
        """The gradient of the logarithm, ``(batch, A, 3)``; torch can differentiate it by the parameters."""
        apart, r = self.pairs(x)
        return self.pairs.onto(self._slopes(r)[0][..., None] * apart)

    def jet(self, x: Tensor) -> LogJet:
        """Logarithm, gradient and Laplacian."""
        apart, r = self.pairs(x)
        _, s, phi, g = self._features(r)
        along, first, pull, unit, force = self._slopes(r)
        narrow, s2, t, rise = self.width**-2, s.square(), self.tail, first[..., :-1]
        z1, z2 = 1 / s2, (s2 - 2 * r.square()) / s2.square()  # z'/r and z''
        g1, g2 = first[..., -1], (4 * (narrow * r).square() - 2 * narrow) * g
        phi2 = rise * (z2 / z1)[..., None] - 2 * phi * rise * self.slope * (r.square() * z1)[..., None]
        second = torch.cat([phi2, g2[..., None]], 2)
        f2 = phi2 @ self.weight - t[0] * self.width**2 / s**3 - t[1] * z2
        f2 = f2 - 2 * t[2] * (g * g2 + (r * g1).square())
        f1 = along - (self.pairs.at_ends(pull) * first).sum(2)
        laplacian = 2 * (f2 + 2 * f1).sum(1)
        table = self.pairs.at_ends(torch.eye(x.shape[1]).to(x)[None])[
            0
        ]  # (pairs, A), which nucleons a pair has
        signed = self.pairs.get_buffer("incidence").to(x)
        arrows = first[..., None, :] * apart[..., None]  # of each pair, (batch, pairs, 3, features)
        inside = torch.einsum("pi,kp,bpaf->bikaf", table, signed, arrows)
        bend = self.pairs.onto(2 * (second + 2 * first), signed=False)
        steep = (inside[..., :-1] @ self.inward.T).square().sum((2, 3))
        steeper = t[2] * inside[..., -1].square().sum((1, 2, 3))
        laplacian = laplacian + (pull * bend).sum((1, 2)) - 2 * (force * unit * steep).sum((1, 2)) + steeper
        return LogJet(self(x), self.pairs.onto(along[..., None] * apart), laplacian)

    def derivatives(self, x: Tensor) -> Tensor:
        """By the tail, slopes, offsets and weights of the features, and the second sum."""
        z, s, phi, g = self._features(self.pairs(x)[1])
        around, unit = self.pairs.onto(phi, signed=False), self._units(phi)
        force = (1 - unit.square()) * self.outward  # (batch, A, hidden)
        pull = (self.weight + self.pairs.at_ends(force @ self.inward)) * (1 - phi.square())
        triples = self.pairs.onto(g[..., None], signed=False).square().sum((1, 2)) / 2 - g.square().sum(1)
        parts = [
            torch.stack([-s.sum(1), -z.sum(1), triples], 1),
            (pull * z[..., None]).sum(1),
            pull.sum(1),
            phi.sum(1),
            torch.einsum("bih,bif->bhf", force, around).flatten(1),
            force.sum(1),
            unit.sum(1),
        ]
        return torch.cat(parts, 1)


class Spins(Factor):
    r"""Spins that follow the positions, for three and four nucleons.

    The spin-isospin states with the nucleons' total spin and isospin are one antisymmetric state
    :math:`\xi_a`, a doublet :math:`\xi_1, \xi_2` and a symmetric one, which is left out. With
    :math:`\sigma_i\cdot\sigma_j + 1` acting on :math:`\xi_a`, a pair turns the spins along one of three
    directions :math:`e_p` of the doublet that are 120 degrees apart,

    .. math:: \Psi = e^U \bigl( \xi_a + m_1\xi_1 + m_2\xi_2 \bigr), \qquad
              m = \sum_p e_p\, u(r_p), \qquad u(r) = \sum_k c_k e^{-r^2/d_k^2} .

    As a factor it is the length of this vector, :math:`\tfrac12\ln(1 + |m|^2)`. The coefficients are no
    parameters of training by samples: the energy is a quadratic form in them.

    Args:
        nucleons: 3 or 4.
        widths: d, in fm.
        coefficients: c; zeros if absent.
    """

    def __init__(
        self,
        nucleons: int,
        widths: Sequence[float],
        coefficients: Sequence[float] | None = None,
        *,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        _check(nucleons, 3)
        self.shape, self.pairs = (nucleons, 3), Pairs(nucleons)
        ends = self.pairs.get_buffer("ends").T.tolist()
        angles = [2 * math.pi / 3 * _KIND[tuple(pair)] for pair in ends]
        self.register_buffer(
            "arrows", torch.tensor([[math.cos(a), math.sin(a)] for a in angles], dtype=dtype)
        )
        self.register_buffer("widths", torch.tensor([positive("width", d) for d in widths], dtype=dtype))
        c = [0.0] * len(widths) if coefficients is None else [finite("coefficient", c) for c in coefficients]
        if len(c) != len(widths):
            raise ValueError(f"coefficients: got {len(c)}, expected {len(widths)}, one a width")
        self.register_buffer("coefficients", torch.tensor(c, dtype=dtype))

    def _bases(self, r: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """u, u'/r and u'' of distances."""
        narrow = self.get_buffer("widths") ** -2
        g = (-r.square()[..., None] * narrow).exp() * self.get_buffer("coefficients")
        second = ((4 * (r[..., None] * narrow).square() - 2 * narrow) * g).sum(-1)
        return g.sum(-1), -2 * (g * narrow).sum(-1), second

    def field(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """m ``(batch, 2)`` and its gradient ``(batch, A, 3, 2)``."""
        apart, r = self.pairs(x)
        u, u1, _ = self._bases(r)
        arrows = self.get_buffer("arrows")
        return u @ arrows, self.pairs.onto((u1[..., None] * apart)[..., None] * arrows[:, None])

    def gradient(self, x: Tensor) -> Tensor:
        """The gradient of the logarithm, ``(batch, A, 3)``."""
        m, slope = self.field(x)
        return (slope @ m[:, None, :, None])[..., 0] / (1 + m.square().sum(1))[:, None, None]

    def forward(self, x: Tensor) -> Tensor:
        """The logarithm, ``(batch,)``."""
        return 0.5 * torch.log1p(
            (self._bases(self.pairs(x)[1])[0] @ self.get_buffer("arrows")).square().sum(1)
        )

    def jet(self, x: Tensor) -> LogJet:
        """Logarithm, gradient and Laplacian."""
        m, slope = self.field(x)
        _, u1, u2 = self._bases(self.pairs(x)[1])
        bend = 2 * (u2 + 2 * u1) @ self.get_buffer("arrows")
        size = 1 + m.square().sum(1)
        gradient = self.gradient(x)
        rest = (slope.square().sum((1, 2, 3)) + (m * bend).sum(1)) / size
        return LogJet(0.5 * size.log(), gradient, rest - 2 * gradient.square().sum((1, 2)))

    def derivatives(self, x: Tensor) -> Tensor:
        """None, ``(batch, 0)``."""
        return x.new_zeros(len(x), 0)

    def energies(self, x: Tensor, well: Tensor) -> tuple[Tensor, Tensor]:
        r"""What turning spins costs and gains.

        For the unit vector :math:`n = (1, m)/\sqrt{1 + |m|^2}`, these are :math:`\tfrac12|\nabla n|^2`,
        ``(batch,)``, and the mean of :math:`\sum_p (\sigma\cdot\sigma + 1) w_p`, ``(batch,)``.

        Args:
            x: positions.
            well: w, a number for each pair ``(batch, pairs)``, in the order of
                :class:`~nnbook.continuum.radial.Pairs`.
        """
        m, slope = self.field(x)
        size = 1 + m.square().sum(1)
        along = (slope @ m[:, None, :, None])[..., 0].square().sum((1, 2)) / size
        cost = 0.5 * (slope.square().sum((1, 2, 3)) - along) / size
        return cost, 4 * ((well @ self.get_buffer("arrows")) * m).sum(1) / size


@dataclass(frozen=True)
class Nucleus:
    """Two, three or four nucleons; a :class:`nnbook.train.sampled.Hamiltonian`.

    Two are the deuteron, with total spin 1; three the triton, and four helium.

    Attributes:
        nucleons: A.
        force: the constants.
        stride: width of a move in fm, times the root of the number of coordinates.

    Raises:
        ValueError: another number of nucleons, a stride that is not above zero.
    """

    nucleons: int
    force: Pionless
    stride: float = 2.0

    def __post_init__(self) -> None:
        _check(self.nucleons, 2)
        positive("stride", self.stride)

    @property
    def label(self) -> str:
        """Which system this is."""
        return f"{self.nucleons} nucleons, {self.force}"

    @property
    def size(self) -> int:
        """Coordinates, which is also the number of moves of a sweep."""
        return 3 * self.nucleons

    @property
    def bounds(self) -> tuple[float, float]:
        """No energy lies below that of all pairs in the middle of the force."""
        pairs = math.comb(self.nucleons, 2)
        return pairs * min(0.0, self.force.triplet, self.force.singlet), math.inf

    def start(
        self, chains: int, *, generator: torch.Generator, device: torch.device | str | None = None
    ) -> Tensor:
        """Random positions ``(chains, A, 3)`` about a common centre."""
        check_counts(chains=chains)
        shape = (chains, self.nucleons, 3)
        drawn = torch.randn(shape, generator=generator, dtype=torch.float64, device=generator.device)
        return (drawn - drawn.mean(1, keepdim=True)).to(device)

    def walkers(self, state: Product, configurations: Tensor) -> Nucleons:
        """Chains that sample the square of a state."""
        check_values("configurations", configurations, ("chains", self.nucleons, 3))
        check_counts(chains=len(configurations))
        state.check(configurations)
        return Nucleons(state, configurations, self.stride / self.size**0.5)

    def potential(self, state: Product, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What turned spins cost, the energies of pairs and of triples, each ``(batch,)``."""
        check_values("x", x, ("batch", self.nucleons, 3))
        state.check(x)
        pairs = Pairs(self.nucleons)
        well = (-(self.force.cutoff**2) / 4 * pairs.to(x.device)(x)[1].square()).exp()
        mean = self.force.triplet if self.nucleons == 2 else self.force.central - self.force.spin
        at = pairs.onto(well[..., None], signed=False)[..., 0]
        triples = self.force.three_body / 2 * (at.square().sum(1) - 2 * well.square().sum(1))
        cost, gain = x.new_zeros(2, len(x))
        for factor in state.factors:
            if isinstance(factor, Spins):
                cost, gain = factor.energies(x, well)
        return HBAR2_OVER_MASS * cost, mean * well.sum(1) + self.force.spin * gain, triples

    def split(self, state: Product, x: Tensor) -> Nuclear:
        """Kinetic energy, that of pairs and that of triples at positions ``(batch, A, 3)``."""
        cost, pairs, triples = self.potential(state, x)
        return Nuclear(HBAR2_OVER_MASS * kinetic(state.jet(x)) + cost, pairs, triples)

    def local_energies(self, walkers: Nucleons) -> Tensor:
        """The local energy of each chain, ``(chains,)``, in MeV."""
        kinetic_, pairs, triples = self.split(walkers.state, walkers.configurations)
        return kinetic_ + pairs + triples

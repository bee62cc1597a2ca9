r"""Nucleons with contact forces: their Hamiltonian, and a network as correlator.

With one antisymmetric spin-isospin state for all nucleons, where :math:`\sigma_i\cdot\sigma_j` has the mean
-1, the state is one positive function of the distances. Spins that go along are a field of unit vectors, see
:class:`Spins`. Positions are ``(batch, A, 3)``, in fm; energies are in MeV.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from nnbook.arrays import check_counts, check_values, finite, positive
from nnbook.continuum.factors import Factor, LogJet
from nnbook.continuum.local_energy import kinetic
from nnbook.continuum.radial import Pairs
from nnbook.continuum.states import Product
from nnbook.continuum.systems import Electrons
from nnbook.exact.nucleons import HBAR2_OVER_MASS, Pionless, pair_classes
from nnbook.networks import random_parameter


class Nucleons(Electrons):
    """Chains whose centre of mass stays where it is."""

    def _noise(self, generator: torch.Generator) -> Tensor:
        noise = super()._noise(generator)
        return noise - noise.mean(1, keepdim=True)


def _check(nucleons: int, least: int) -> None:
    if nucleons not in range(least, 5):
        why = {2: "2, 3 or 4; Pauli keeps a fifth out", 3: "3 or 4; two have one spin state only"}[least]
        raise ValueError(f"nucleons: got {nucleons}, expected {why}")


class Correlator(Factor):
    r"""A network as a correlator of nucleons: a sum over pairs, and a function of sums over neighbours.

    .. math:: \ln\psi = \sum_{i<j} \bigl[ v\cdot\phi(r_{ij}) - \kappa\,s(r_{ij}) - c\,z(r_{ij}) \bigr]
              + \sum_i \bigl[ u \cdot \tanh(W S_i + b) - \tfrac12 (q\cdot S_i)^2 \bigr], \qquad
              S_i = \sum_{j\ne i} \phi(r_{ij})

    with features :math:`\phi(r) = \tanh(a z + d)` of :math:`z = \tfrac12\ln(1 + (\Lambda r/2)^2)`, which sees
    the range of the force and the size of the nucleus alike, and :math:`s = \sqrt{r^2 + 4/\Lambda^2}`, smooth
    where nucleons meet. The square is a Jastrow factor of triples, :math:`-\sum w(r_{ij})\,w(r_{ik})` with
    :math:`w = q\cdot\phi`, and a term of pairs; the other units are a deep set :cite:p:`zaheer2017` of the
    neighbours of each nucleon. At the start it is nearly a product of pairs :math:`e^{-\kappa r}/r`.

    Args:
        nucleons: A, from 2 to 4; two have no triples, q = 0.
        cutoff: :math:`\Lambda`, in 1/fm.
        features: components of :math:`\phi`.
        hidden: units of the deep set; 0 for none.
    """

    def __init__(
        self,
        nucleons: int,
        cutoff: float,
        features: int = 8,
        hidden: int = 8,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        _check(nucleons, 2)
        check_counts(features=features)
        check_counts(least=0, hidden=hidden)
        self.shape, self.width = (nucleons, 3), 2 / positive("cutoff", cutoff)
        self.pairs = Pairs(nucleons)
        draw = partial(random_parameter, generator=generator)
        self.tail = nn.Parameter(torch.tensor([0.23, 1.0], dtype=torch.float64))  # of a deuteron
        self.slope, self.offset = draw((features,), 1.0), draw((features,), 1.0)
        self.weight = draw((features,), 0.01)
        self.triples = draw((features,), 0.1 if nucleons > 2 else 0.0)
        self.inward = draw((hidden, features), features**-0.5)
        self.bias, self.outward = draw((hidden,), 1.0), draw((hidden,), 0.01)

    def _features(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Differences, and of each distance z, s and the features."""
        apart, r = self.pairs(x)
        square = (r / self.width).square()
        z = 0.5 * torch.log1p(square)
        phi = torch.tanh(z[..., None] * self.slope + self.offset)
        return apart, z, self.width * (1 + square).sqrt(), phi

    def _units(self, phi: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of each nucleon S, the units and the square's root; the rows W and q."""
        around, rows = self.pairs.onto(phi, signed=False), torch.cat([self.inward, self.triples[None]])
        into = around @ rows.T
        return around, torch.tanh(into[..., :-1] + self.bias), into[..., -1:], rows

    def forward(self, x: Tensor) -> Tensor:
        """The logarithm, ``(batch,)``."""
        _, z, s, phi = self._features(x)
        _, unit, last, _ = self._units(phi)
        pairs = phi @ self.weight - self.tail[0] * s - self.tail[1] * z
        return pairs.sum(1) + (unit @ self.outward).sum(1) - last.square().sum((1, 2)) / 2

    def _pull(self, phi: Tensor) -> tuple[Tensor, ...]:
        """S, the units, slopes by what goes into them, W and q, and the slope by the features of pairs."""
        around, unit, last, rows = self._units(phi)
        force = torch.cat([(1 - unit.square()) * self.outward, -last], 2)
        return around, unit, force, rows, self.weight + self.pairs.at_ends(force @ rows)

    def _slopes(self, x: Tensor) -> tuple[Tensor, ...]:
        """What the Laplacian shares with the gradient; last the slopes of features and of all, over r."""
        apart, _, s, phi = self._features(x)
        _, unit, force, rows, pull = self._pull(phi)
        first = (1 - phi.square()) * self.slope / s.square()[..., None]
        along = (pull * first).sum(2) - self.tail[0] / s - self.tail[1] / s.square()
        return apart, s, phi, unit, force, rows, pull, first, along

    def gradient(self, x: Tensor) -> Tensor:
        """The gradient of the logarithm, ``(batch, A, 3)``; torch can differentiate it by the parameters."""
        apart, *_, along = self._slopes(x)
        return self.pairs.onto(along[..., None] * apart)

    def jet(self, x: Tensor) -> LogJet:
        """Logarithm, gradient and Laplacian."""
        apart, s, phi, unit, force, rows, pull, first, along = self._slopes(x)
        r2 = (flat := s.square()) - self.width**2
        z2 = (flat - 2 * r2) / flat.square()  # z''
        second = first * ((flat * z2)[..., None] - 2 * phi * self.slope * (r2 / flat)[..., None])
        f2 = (pull * second).sum(2) - self.tail[0] * self.width**2 / s**3 - self.tail[1] * z2
        arrows = (first @ rows.T)[:, :, None] * apart[..., None]
        steep = self.pairs.onto(arrows).square().sum(2)
        steep = steep + self.pairs.onto(arrows.square().sum(2), signed=False)
        bend = torch.cat([-2 * unit * force[..., :-1], -torch.ones_like(force[..., -1:])], 2)
        laplacian = 2 * (f2 + 2 * along).sum(1) + (bend * steep).sum((1, 2))
        return LogJet(self(x), self.pairs.onto(along[..., None] * apart), laplacian)

    def derivatives(self, x: Tensor) -> Tensor:
        """By the tail, slopes, offsets and weights of the features, the triples and the deep set."""
        _, z, s, phi = self._features(x)
        around, unit, force, _, pull = self._pull(phi)
        pull = pull * (1 - phi.square())
        rows = torch.einsum("bih,bif->bhf", force, around)
        parts = [-s.sum(1, keepdim=True), -z.sum(1, keepdim=True), (pull * z[..., None]).sum(1), pull.sum(1)]
        parts += [phi.sum(1), rows[:, -1], rows[:, :-1].flatten(1), force[..., :-1].sum(1), unit.sum(1)]
        return torch.cat(parts, 1)


class Spins(Factor):
    r"""Spins that follow the positions, for three and four nucleons.

    The spin-isospin states are one antisymmetric state :math:`\xi_a`, a doublet :math:`\xi_1, \xi_2` and a
    symmetric one, which is left out. By :math:`\sigma_i\cdot\sigma_j + 1` on :math:`\xi_a`, a pair turns the
    spins along one of three directions :math:`e_p` of the doublet that are 120 degrees apart,

    .. math:: \Psi = e^U \bigl( \xi_a + m_1\xi_1 + m_2\xi_2 \bigr), \qquad
              m = \sum_p e_p\, u(r_p), \qquad u(r) = \sum_k c_k e^{-r^2/d_k^2} .

    As a factor it is the length of this vector, :math:`\tfrac12\ln(1 + |m|^2)`. Training by samples keeps the
    coefficients.

    Args:
        nucleons: 3 or 4.
        widths: d, in fm.
        coefficients: c; zeros if empty.
    """

    def __init__(self, nucleons: int, widths: Sequence[float], coefficients: Sequence[float] = ()) -> None:
        super().__init__()
        _check(nucleons, 3)
        self.shape, self.pairs = (nucleons, 3), Pairs(nucleons)
        kinds = dict(zip(itertools.combinations(range(nucleons), 2), pair_classes(nucleons), strict=True))
        angles = [2 * math.pi / 3 * kinds[tuple(pair)] for pair in self.pairs.get_buffer("ends").T.tolist()]
        arrows = [[math.cos(a), math.sin(a)] for a in angles]
        d = [positive("width", d) for d in widths]
        c = [finite("coefficient", c) for c in coefficients or [0.0] * len(widths)]
        if len(c) != len(widths):
            raise ValueError(f"coefficients: got {len(c)}, expected {len(widths)}, one a width")
        self.register_buffer("arrows", torch.tensor(arrows, dtype=torch.float64))
        self.register_buffer("widths", torch.tensor(d, dtype=torch.float64))
        self.register_buffer("coefficients", torch.tensor(c, dtype=torch.float64))

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
        m = self._bases(self.pairs(x)[1])[0] @ self.get_buffer("arrows")
        return 0.5 * m.square().sum(1).log1p()

    def jet(self, x: Tensor) -> LogJet:
        """Logarithm, gradient and Laplacian."""
        (m, slope), (_, u1, u2) = self.field(x), self._bases(self.pairs(x)[1])
        bend = m * (2 * (u2 + 2 * u1) @ self.get_buffer("arrows"))
        gradient, size = self.gradient(x), 1 + m.square().sum(1)
        rest = (slope.square().sum((1, 2, 3)) + bend.sum(1)) / size
        return LogJet(0.5 * size.log(), gradient, rest - 2 * gradient.square().sum((1, 2)))

    def derivatives(self, x: Tensor) -> Tensor:
        """None, ``(batch, 0)``."""
        return x.new_zeros(len(x), 0)

    def energies(self, x: Tensor, well: Tensor) -> tuple[Tensor, Tensor]:
        r"""The cost :math:`\tfrac12|\nabla n|^2` and the mean of :math:`\sum_p (\sigma\cdot\sigma + 1) w_p`.

        Both ``(batch,)``, for the unit vector :math:`n = (1, m)/\sqrt{1 + |m|^2}` at positions x, with w
        of each pair, ``(batch, pairs)``.
        """
        m, slope = self.field(x)
        size = 1 + m.square().sum(1)
        cost = 0.5 * (slope.square().sum((1, 2, 3)) / size - self.gradient(x).square().sum((1, 2)))
        return cost, 4 * ((well @ self.get_buffer("arrows")) * m).sum(1) / size


@dataclass(frozen=True)
class Nucleus:
    """Deuteron (total spin 1), triton or helium; a :class:`nnbook.train.sampled.Hamiltonian`.

    Attributes:
        nucleons: 2, 3 or 4.
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
        deepest = min(0.0, self.force.triplet, self.force.singlet)
        return math.comb(self.nucleons, 2) * deepest, math.inf

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

    def split(self, state: Product, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Kinetic energy, that of pairs and that of triples at positions ``(batch, A, 3)``."""
        cost, pairs, triples = self.potential(state, x)
        return HBAR2_OVER_MASS * kinetic(state.jet(x)) + cost, pairs, triples

    def local_energies(self, walkers: Nucleons) -> Tensor:
        """The local energy of each chain, ``(chains,)``, in MeV."""
        return torch.stack(self.split(walkers.state, walkers.configurations)).sum(0)

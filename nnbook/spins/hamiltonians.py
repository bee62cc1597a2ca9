r"""Spins one half on a lattice: Hamiltonians, and the exact ground state of few spins.

.. math:: H = \sum_{\langle ij \rangle} J_{ij} \sigma^z_i \sigma^z_j + \sum_i g_i \sigma^z_i + \sum_m a_m F_m

A configuration is a row of :math:`s_i = \pm 1`, the values of :math:`\sigma^z_i`. The first two sums are
diagonal. Each :math:`F_m` flips the one or two spins of move m; two spins have to be antiparallel. The
transverse-field Ising model and the Heisenberg model are both of this form, in Pauli matrices:
:math:`E(\text{Pauli}) = 4 E(\mathbf S \cdot \mathbf S)`. All configurations are in the order of
:mod:`nnbook.exact.enumerate`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from scipy.sparse import csr_array
from torch import Tensor

from nnbook.arrays import check_counts, check_indices, check_numbers, check_values, finite, like
from nnbook.exact import enumerate as exact
from nnbook.spins.lattices import Lattice, all_spins, checked_spins
from nnbook.spins.walkers import SpinWalkers, walkers_of
from nnbook.train.loop import digest
from nnbook.train.problems import RayleighQuotient


@dataclass(frozen=True, eq=False)
class SpinHamiltonian:
    r"""A Hamiltonian with Ising bonds and moves that flip one spin or exchange two.

    Attributes:
        lattice: the sites and bonds.
        coupling: J of :math:`\sigma^z_i\sigma^z_j`: a number, or one for each bond ``(bonds,)``.
        moves: the sites that each move flips, ``(moves, 1)`` or ``(moves, 2)``.
        amplitude: a, the matrix element of a move: a number, or one for each ``(moves,)``.
        name: for messages and plots.
        longitudinal: g of :math:`\sigma^z_i`: a number, or one for each site ``(N,)``.

    Raises:
        ValueError: moves of other sites, strengths of another number or not finite.
    """

    lattice: Lattice
    coupling: float | Tensor
    moves: Tensor = field(repr=False)
    amplitude: float | Tensor
    name: str
    longitudinal: float | Tensor = 0.0

    def __post_init__(self) -> None:
        check_indices("moves", self.moves, width=(1, 2), count=self.sites)
        _check_strengths(self._strengths)

    @property
    def _strengths(self) -> dict[str, tuple[float | Tensor, int]]:
        """Each with how many terms it belongs to."""
        return {
            "coupling": (self.coupling, len(self.lattice.bonds)),
            "amplitude": (self.amplitude, len(self.moves)),
            "longitudinal": (self.longitudinal, self.sites),
        }

    @property
    def uniform(self) -> bool:
        """Whether all bonds are alike, all moves, and all fields."""
        return not any(isinstance(value, Tensor) for value, _ in self._strengths.values())

    @property
    def sites(self) -> int:
        """Number of spins N."""
        return self.lattice.sites

    size = sites  # of a sweep, see nnbook.train.sampled

    @property
    def exchanges(self) -> bool:
        """Whether the moves exchange two spins, so that the magnetisation stays zero."""
        return self.moves.shape[1] == 2

    @cached_property
    def label(self) -> str:
        """Which Hamiltonian this is, down to each coupling, bond and move; equal for equal ones only."""
        strengths = {name: value for name, (value, _) in self._strengths.items()}
        tables = [value for value in strengths.values() if isinstance(value, Tensor)]
        terms = digest([self.lattice.bonds.long(), self.moves.long(), *tables])
        said = [
            f"{name} {'of its own each' if isinstance(value, Tensor) else repr(float(value))}"
            for name, value in strengths.items()
        ]
        return f"{self.name} on {self.lattice.shape}, {self.lattice.boundary}: {', '.join(said)}, {terms}"

    def diagonal(self, spins: Tensor) -> Tensor:
        """The diagonal matrix element of each configuration: ``(..., N)`` to ``(...)``.

        Raises:
            ValueError: another number of spins, or values other than ±1.
        """
        return self._diagonal(checked_spins(spins, self.sites))

    def _diagonal(self, spins: Tensor) -> Tensor:
        first, second = self.lattice.bonds.T.to(spins.device)
        energy = _total(self.coupling, spins[..., first] * spins[..., second])
        if isinstance(self.longitudinal, Tensor) or self.longitudinal != 0:
            energy = energy + _total(self.longitudinal, spins)
        return energy

    def elements(self, spins: Tensor) -> Tensor:
        """The matrix element of each move, zero where it is impossible: ``(..., N)`` to ``(..., moves)``.

        Raises:
            ValueError: another number of spins, or values other than ±1.
        """
        return self._elements(checked_spins(spins, self.sites))

    def _elements(self, spins: Tensor) -> Tensor:
        strength = like(self.amplitude, spins)
        if not self.exchanges:
            return strength.expand(*spins.shape[:-1], len(self.moves))
        first, second = self.moves.T.to(spins.device)
        return 0.5 * strength * (1 - spins[..., first] * spins[..., second])

    @property
    def bounds(self) -> tuple[float, float]:
        """No energy lies outside, because no term adds more than its own strength."""
        most = sum(
            float(abs(value).sum()) if isinstance(value, Tensor) else count * abs(value)
            for value, count in self._strengths.values()
        )
        return -most, most

    # what sampling needs to know: nnbook.train.sampled

    def start(
        self,
        chains: int,
        *,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Random configurations ``(chains, N)``, of zero magnetisation where the moves conserve it.

        Raises:
            ValueError: fewer than one chain, or an odd number of spins that should have no magnetisation.
        """
        check_counts(chains=chains)
        if self.exchanges and self.sites % 2:
            raise ValueError(f"sites: got {self.sites}, expected an even number, half of them up")
        draw = torch.rand(
            chains, self.sites, generator=generator, dtype=torch.float64, device=generator.device
        )
        down = draw.argsort(1).argsort(1) < self.sites // 2 if self.exchanges else draw < 0.5
        return (1 - 2 * down.long()).to(device, dtype)

    def walkers(self, state: Callable[[Tensor], Tensor], spins: Tensor) -> SpinWalkers:
        """Chains of :math:`|\\psi|^2` that start at ``spins`` ``(chains, N)``; ``state`` gives log psi.

        Raises:
            ValueError: another number of spins, values other than ±1, or, where the moves exchange spins,
                a magnetisation that is not zero.
        """
        spins = checked_spins(spins, self.sites, rows=True)
        if self.exchanges and bool(spins.sum(1).any()):
            raise ValueError(
                "spins: got some whose magnetisation is not zero, expected as many up as down; the moves "
                "never change it, and chains would stay in another sector"
            )
        return walkers_of(state, spins, self.moves)

    def local_energies(self, walkers: SpinWalkers) -> Tensor:
        r""":math:`(H\psi)(s)/\psi(s)` of the present configurations, ``(chains,)``; complex where psi is."""
        spins = walkers.configurations
        return self._diagonal(spins) + (self._elements(spins) * walkers.ratios()).sum(1)

    # what enumeration needs to know: nnbook.train.linear_method

    @cached_property
    def basis(self) -> Tensor:
        """All configurations ``(n, N)``, those of zero magnetisation only if the moves are exchanges.

        Raises:
            ValueError: more than about a million configurations.
        """
        return all_spins(self.sites, balanced=self.exchanges)

    @cached_property
    def _targets(self) -> Tensor:
        return torch.from_numpy(exact.reached(self.sites, self.moves.numpy(), balanced=self.exchanges))

    def apply(self, psi: Tensor) -> Tensor:
        """H on the amplitudes of all configurations, ``(n, k)`` to ``(n, k)``; differentiable.

        Raises:
            ValueError: psi of another shape.
        """
        check_numbers("psi", psi)
        basis = self.basis.to(psi)
        if psi.ndim != 2 or len(psi) != len(basis):
            raise ValueError(
                f"psi: got shape {tuple(psi.shape)}, expected ({len(basis)}, k), one column a wave function; "
                "write psi[:, None] for a single one"
            )
        image = self._diagonal(basis)[:, None] * psi
        elements, targets = self._elements(basis), self._targets.to(psi.device)
        for m in range(targets.shape[1]):
            image = image + elements[:, m, None] * psi[targets[:, m]]
        return image

    def problem(
        self, *, dtype: torch.dtype = torch.float64, device: torch.device | str | None = None
    ) -> RayleighQuotient:
        """The energy of amplitudes on all configurations, see :func:`~nnbook.train.linear_method.minimise`.

        >>> from nnbook.spins.lattices import chain
        >>> ising(chain(4), field=1.0).problem().points.shape
        torch.Size([16, 4])
        """
        points = self.basis.to(device, dtype)
        return RayleighQuotient(points, self.apply, torch.ones_like(points[:, 0]))

    def matrix(self) -> csr_array:
        """H on all configurations, sparse, ``(n, n)``."""
        strengths = {
            name: value.numpy(force=True) if isinstance(value, Tensor) else value
            for name, (value, _) in self._strengths.items()
        }
        return exact.matrix(self.sites, self.lattice.bonds.numpy(), self.moves.numpy(), **strengths)

    def ground_state(self) -> tuple[float, Tensor]:
        """Lowest energy and its amplitudes ``(n,)``, see :func:`nnbook.exact.enumerate.ground_state`."""
        energy, psi = exact.ground_state(self.matrix())
        return energy, torch.from_numpy(psi)


def _check_strengths(strengths: dict[str, tuple[float | Tensor, int]]) -> None:
    for name, (value, count) in strengths.items():
        if isinstance(value, Tensor):
            check_values(name, value, (count,), remedy="give one number for all, or one for each")
        else:
            finite(name, value)


def _total(strength: float | Tensor, values: Tensor) -> Tensor:
    """The sum of values ``(..., n)``, each times its strength."""
    return values @ strength.to(values) if isinstance(strength, Tensor) else strength * values.sum(-1)


def ising(
    lattice: Lattice,
    *,
    field: float | Tensor,
    coupling: float | Tensor = 1.0,
    longitudinal: float | Tensor = 0.0,
) -> SpinHamiltonian:
    r"""The Ising model in a transverse field h, ferromagnetic where J is positive.

    .. math:: H = -\sum_{\langle ij\rangle} J_{ij}\, \sigma^z_i \sigma^z_j - \sum_i h_i\, \sigma^x_i
              - \sum_i g_i\, \sigma^z_i

    A negative field has the energies of the positive one, and a ground state whose amplitudes alternate in
    sign with the number of spins down.

    Args:
        lattice: the sites and bonds.
        field: h, a number or one for each site ``(N,)``.
        coupling: J, a number or one for each bond ``(bonds,)``, in the order of ``lattice.bonds``.
        longitudinal: g, a number or one for each site ``(N,)``.

    Raises:
        ValueError: strengths that are not finite, or of another number.

    >>> from nnbook.spins.lattices import chain
    >>> round(ising(chain(8), field=1.0).ground_state()[0], 9)
    -10.251661791
    """
    own = {"field": (field, lattice.sites), "coupling": (coupling, len(lattice.bonds))}
    _check_strengths(own | {"longitudinal": (longitudinal, lattice.sites)})
    moves = torch.arange(lattice.sites, device="cpu")[:, None]
    name = "Ising, h " + ("site by site" if isinstance(field, Tensor) else f"= {field:g}")
    return SpinHamiltonian(lattice, -1.0 * coupling, moves, -1.0 * field, name, 0.0 - longitudinal)


def xxz(
    lattice: Lattice,
    *,
    anisotropy: float,
    coupling: float | Tensor = 1.0,
    longitudinal: float | Tensor = 0.0,
    marshall: bool = True,
) -> SpinHamiltonian:
    r"""The XXZ model in the sector of zero magnetisation, antiferromagnetic where J is positive.

    .. math:: H = \sum_{\langle ij\rangle} J_{ij} \bigl[ \Delta\, \sigma^z_i \sigma^z_j \mp
              (\sigma^x_i \sigma^x_j + \sigma^y_i \sigma^y_j) \bigr] - \sum_i g_i\, \sigma^z_i

    The upper sign, ``marshall=True``, is the model after a rotation of one sublattice by :math:`\pi` about
    the z axis. Energies stay the same; the amplitudes of the ground state, which alternate in sign with the
    number of up spins on a sublattice where J is positive :cite:p:`marshall1955`, all become positive.

    Args:
        lattice: the sites and bonds.
        anisotropy: :math:`\Delta`, 1 for the Heisenberg model.
        coupling: J, a number or one for each bond ``(bonds,)``, in the order of ``lattice.bonds``.
        longitudinal: g, a number or one for each site ``(N,)``.
        marshall: see above.

    Raises:
        ValueError: an odd number of sites; ``marshall`` on a lattice without two sublattices; strengths that
            are not finite, or of another number.

    >>> from nnbook.spins.lattices import chain
    >>> round(xxz(chain(8), anisotropy=0.0).ground_state()[0], 9)  # free fermions: -4 / sin(pi / 8)
    -10.452503719
    """
    if lattice.sites % 2:
        raise ValueError(
            f"lattice: got {lattice.sites} sites, expected an even number; an odd one has no state of zero "
            "magnetisation"
        )
    if marshall and lattice.sublattice is None:
        raise ValueError(
            f"marshall: got True on a lattice of shape {lattice.shape}, where a bond joins sites of one "
            "sublattice; expected even extents, or marshall=False"
        )
    own = {"anisotropy": (anisotropy, 1), "coupling": (coupling, len(lattice.bonds))}
    _check_strengths(own | {"longitudinal": (longitudinal, lattice.sites)})
    name, amplitude = f"XXZ, anisotropy {anisotropy:g}", (-2.0 if marshall else 2.0) * coupling
    return SpinHamiltonian(lattice, anisotropy * coupling, lattice.bonds, amplitude, name, 0.0 - longitudinal)


def heisenberg(lattice: Lattice, *, coupling: float | Tensor = 1.0, marshall: bool = True) -> SpinHamiltonian:
    """The Heisenberg model in the sector of zero magnetisation: :func:`xxz` of anisotropy 1.

    >>> from nnbook.spins.lattices import chain
    >>> round(heisenberg(chain(8)).ground_state()[0], 9)
    -14.604373636
    """
    return replace(xxz(lattice, anisotropy=1.0, coupling=coupling, marshall=marshall), name="Heisenberg")

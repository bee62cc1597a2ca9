r"""What the chapter *Geometry from a Boltzmann machine* reads.

Two ways in which a geometry is the weights of a network. A scalar field in anti-de Sitter space is a deep
Boltzmann machine of Gaussian units, a layer a depth (:class:`Bulk`). And the entanglement of a quantum state,
region by region, is the free energy of an Ising model whose couplings are the sizes of bonds, on a tree
(:func:`tree_entropies`) or on layers of rings (:class:`Rings`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnbook.arrays import check_counts, check_numbers, check_values, finite, positive
from nnbook.exact.enumerate import configurations
from nnbook.train.inverse import choose, invert

__all__ = ["Bulk", "Rings", "choose", "invert", "majorana_entropies", "majorana_modes", "tree_entropies"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Bulk:
    r"""A scalar field in anti-de Sitter space as layers of Gaussian units, equidistant in :math:`u = \ln z`.

    .. math:: S = \frac12 \int dz\, z^{1-d} \Bigl[\phi'^2 + k^2\phi^2 + \frac{m^2}{z^2} \phi^2\Bigr]
              \to \frac12 \sum_n w_n (\phi_{n+1} - \phi_n)^2 + \frac12 \sum_n s_n(k)\, \phi_n^2

    with :math:`w_n = z_{n+1/2}^{-d}/\Delta u` between layers and
    :math:`s_n = z_n^{-d}(k^2 z_n^2 + m^2)\,\Delta u` within them, half of it on the first and the last layer.

    Attributes:
        near, far: z of the first layer, the boundary, and of the last one.
        layers: the number of steps between layers.
        dimension: d, that of the boundary.
        mass2: :math:`m^2`, in units of the radius.

    Raises:
        ValueError: ends that are not above zero or out of order, no layers, a dimension below 1.
    """

    near: float
    far: float
    layers: int
    dimension: int = 3
    mass2: float = 0.0

    def __post_init__(self) -> None:
        finite("near", self.near, least=1e-9, most=1e9)
        finite("far", self.far, least=1e-9, most=1e9)
        positive("far / near - 1", self.far / self.near - 1, remedy="let far be above near")
        check_counts(layers=self.layers, dimension=self.dimension)
        finite("mass2", self.mass2)

    @property
    def step(self) -> float:
        """The distance of layers in ln z."""
        return math.log(self.far / self.near) / self.layers

    @property
    def z(self) -> Tensor:
        """Depths of the layers, ``(layers + 1,)``."""
        u = torch.linspace(math.log(self.near), math.log(self.far), self.layers + 1, dtype=torch.float64)
        return u.exp()

    @property
    def between(self) -> Tensor:
        """Depths half way between layers, ``(layers,)``."""
        return (self.z[1:] * self.z[:-1]).sqrt()

    @property
    def weights(self) -> Tensor:
        """The couplings w of neighbouring layers in anti-de Sitter space, ``(layers,)``."""
        return self.between**-self.dimension / self.step

    def within(self, k: Tensor) -> Tensor:
        """The self terms s of all layers, ``(momenta, layers + 1)``."""
        check_values("k", k, ("momenta",), dtype=torch.float64)
        z = self.z
        terms = z**-self.dimension * (k[:, None] ** 2 * z**2 + self.mass2) * self.step
        ends = torch.ones_like(z)
        ends[[0, -1]] = 0.5
        return terms * ends

    def boundary_action(self, k: Tensor, weights: Tensor | None = None) -> Tensor:
        r"""What is left for the first layer when all others have been integrated out, ``(momenta,)``.

        The marginal of the machine is :math:`p(\phi_0) \propto e^{-S_\text{eff}\phi_0^2/2}`. From the deepest
        layer outwards, :math:`S_n = s_n + w_n S_{n+1}/(w_n + S_{n+1})`: springs in series, then in parallel.
        The last layer ends freely, so it should be where no wave comes, :math:`k z \gg 1`.

        Args:
            k: momenta, ``(momenta,)``.
            weights: couplings of the layers, those of anti-de Sitter space if absent.

        Raises:
            ValueError: weights of another number than layers.
        """
        w = self.weights if weights is None else weights
        check_numbers("weights", w)
        if w.shape != (self.layers,):
            raise ValueError(f"weights: got shape {tuple(w.shape)}, expected ({self.layers},)")
        s = self.within(k)
        left = s[:, -1]
        for n in range(self.layers - 1, -1, -1):
            left = s[:, n] + w[n] * left / (w[n] + left)
        return left


# Entanglement


def majorana_modes(sites: int, mass: float = 0.0) -> Array:
    r"""The ground state of a chain of Majorana modes, as its covariance G, ``(sites, sites)``.

    :math:`H = \frac{i}{2}\sum_j t_j\, \gamma_j\gamma_{j+1}`, antiperiodic, :math:`t_j = 1 \pm` mass;
    :math:`\langle \gamma_i\gamma_j\rangle = \delta_{ij} + iG_{ij}`, so G is real, antisymmetric, and
    :math:`G^2 = -1`. Without mass it is critical, of central charge 1/2.

    Raises:
        ValueError: an odd number of sites, fewer than four, a mass outside of -1 to 1.
    """
    check_counts(least=4, sites=sites)
    if sites % 2:
        raise ValueError(f"sites: got {sites}, expected an even number")
    finite("mass", mass, least=-0.999, most=0.999)
    hop = np.zeros((sites, sites))
    for j in range(sites):
        hop[j, (j + 1) % sites] = (1 + mass * (-1) ** j) * (-1 if j == sites - 1 else 1)
    values, vectors = np.linalg.eigh(1j * (hop - hop.T))
    covariance: Array = (1j * (vectors * np.sign(values)) @ vectors.conj().T).real
    return covariance


def majorana_entropies(covariance: Array, regions: Array) -> Array:
    r"""Second Renyi entropies of regions, ``(regions,)``, in nats.

    Within a region the covariance has eigenvalues :math:`\pm i\lambda`, and
    :math:`S_2 = -\frac12 \sum_\lambda \ln\frac{1 + \lambda^2}{2}`, the sum over all of them with both signs.

    Args:
        covariance: G, ``(sites, sites)``.
        regions: true where a site belongs to the region, ``(regions, sites)``.

    Raises:
        ValueError: shapes that do not agree.
    """
    check_values("covariance", covariance, (len(covariance), len(covariance)))
    check_values("regions", regions, ("regions", len(covariance)))
    found = []
    for region in np.asarray(regions, dtype=bool):
        inside = covariance[np.ix_(region, region)]
        squares = np.linalg.eigvalsh(inside.T @ inside) if region.any() else np.zeros(0)
        found.append(-0.5 * np.log((1 + squares) / 2).sum())
    return np.array(found)


def tree_entropies(regions: Tensor, couplings: Tensor) -> Tensor:
    r"""Entropies of regions from an Ising model on a binary tree over cells, ``(regions,)``, in nats.

    The spins of the boundary say which cells belong to a region, -1 inside and +1 outside. Two cells have a
    parent, two parents have one, and so on up to a root; all these are summed over,

    .. math:: e^{-S(A)} = \frac{Z[\sigma_A]}{Z[\uparrow]}, \qquad
              Z[\sigma] = \sum_{\tau} e^{\sum_\text{bonds} J (\tau\tau' - 1)} .

    Without loops the sum is done from the leaves to the root. A bond of dimension D has
    :math:`J = \frac12 \ln D` :cite:p:`you2018`. A tree may stand at any cell; S is the mean over all places.

    Args:
        regions: true or 1 where a cell belongs to the region, ``(regions, cells)``.
        couplings: of each level of bonds from the boundary on, ``(levels,)``; there are ``2**levels`` cells.

    Raises:
        ValueError: other shapes, no regions, couplings of more than 100.

    >>> tree_entropies(torch.tensor([[1, 0]]), torch.tensor([0.5]))
    tensor([0.4338])
    """
    check_numbers("couplings", couplings)
    check_values("couplings", couplings, ("levels",))
    check_counts(levels=len(couplings))
    finite("largest coupling", couplings.abs().max(), most=100)
    check_values("regions", regions, ("regions", 2 ** len(couplings)))
    check_counts(regions=len(regions))
    whole = torch.cat([torch.zeros_like(regions[:1]), regions]).bool()
    places = torch.stack([whole.roll(place, 1) for place in range(whole.shape[1])], 1)
    spin = (1 - 2 * places.long()).to(couplings)
    weight = couplings[0] * (torch.stack([spin, -spin], -1) - 1)  # logarithm, for a parent up and down
    for coupling in couplings[1:]:
        weight = weight[..., 0::2, :] + weight[..., 1::2, :]
        weight = torch.logaddexp(weight, weight.flip(-1) - 2 * coupling)
    log_z = weight.sum(-2).logsumexp(-1)
    return log_z[0, 0] - log_z[1:].mean(1)


@dataclass(frozen=True, eq=False)
class Rings:
    r"""The Ising model of :func:`tree_entropies` on rings instead, one in the other, as many cells on each.

    Behind each cell of the boundary there is a spin in every layer. Bonds along a ring and bonds to the next
    ring have a coupling each, the same all around. The sum is exact, by a transfer matrix around the ring.

    Attributes:
        layers: of spins that are summed over, at most 6.

    Raises:
        ValueError: no layers, or more than six.
    """

    layers: int

    def __post_init__(self) -> None:
        check_counts(layers=self.layers)
        finite("layers", self.layers, most=6)

    def entropies(self, regions: Tensor, couplings: Tensor) -> Tensor:
        r"""Entropies of regions, ``(regions,)``, in nats.

        Args:
            regions: true or 1 where a site belongs to the region, ``(regions, sites)``.
            couplings: inwards from the boundary on, and then along the rings, ``(2 * layers,)``.

        Raises:
            ValueError: other shapes, no regions.
        """
        check_numbers("couplings", couplings)
        if couplings.shape != (2 * self.layers,):
            raise ValueError(f"couplings: got shape {tuple(couplings.shape)}, expected ({2 * self.layers},)")
        check_values("couplings", couplings.detach(), (2 * self.layers,))
        finite("largest coupling", couplings.detach().abs().max(), most=100)
        check_values("regions", regions, ("regions", "sites"))
        check_counts(regions=regions.shape[0], sites=regions.shape[1])
        whole = torch.cat([torch.zeros_like(regions[:1]), regions]).bool().long()
        columns, log_z = self._columns(couplings), couplings.new_zeros(len(whole))
        product = columns[whole[:, 0]]
        for site in range(1, whole.shape[1]):
            product = product @ columns[whole[:, site]]
            size = product.detach().amax((1, 2))
            product, log_z = product / size[:, None, None], log_z + size.log()
        log_z = log_z + product.diagonal(dim1=1, dim2=2).sum(1).log()
        return log_z[0] - log_z[1:]

    def _columns(self, couplings: Tensor) -> Tensor:
        """Transfer matrices of a column outside and inside of a region, ``(2, states, states)``."""
        inwards, along = couplings.split(self.layers)
        spins = configurations(self.layers)
        states = torch.from_numpy(spins).to(couplings)
        radial = ((states[:, :-1] * states[:, 1:] - 1) * inwards[1:]).sum(1)
        ring = ((states[:, None] * states - 1) * along).sum(2) + radial
        return torch.stack([(ring + inwards[0] * (s * states[:, 0] - 1)).exp() for s in (1, -1)])

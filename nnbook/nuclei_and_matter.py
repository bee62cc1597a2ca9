r"""What the chapter *Quantum many-body problems II: nuclei* reads.

The deuteron in momentum space is a matrix on a mesh. Two and three nucleons in space are integrals over their
distances, on a :class:`Quadrature`; four are sampled. Lengths are in fm, energies in MeV.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnbook.arrays import check_counts, check_values, positive
from nnbook.continuum.local_energy import double_backward
from nnbook.continuum.nucleons import Correlator, Nucleus, Spins
from nnbook.continuum.states import Product
from nnbook.exact.nucleons import (
    HBAR2_OVER_MASS,
    Pionless,
    bound_pair,
    correlated_gaussians,
    pionless,
    scattering_length,
)
from nnbook.sample.estimates import estimate
from nnbook.sample.metropolis import metropolis
from nnbook.train.quasi_newton import descend
from nnbook.train.sampled import measure, optimise

__all__ = ["HBAR2_OVER_MASS", "Correlator", "Nucleus", "Pionless", "Product", "Spins", "bound_pair"]
__all__ += ["correlated_gaussians", "descend", "double_backward", "estimate", "measure", "metropolis"]
__all__ += ["optimise", "pionless", "scattering_length"]
__all__ += ["Quadrature", "Yamaguchi", "energy", "minimise_energy"]
__all__ += ["momentum_matrix", "momentum_mesh", "quadrature"]

Array = NDArray[np.float64]


def momentum_mesh(points: int = 64, scale: float = 1.0) -> tuple[Array, Array]:
    r"""Momenta :math:`k = s \tan[\pi(1 + x)/4]` at Gauss's points x, and weights for :math:`\int k^2\,dk`.

    Args:
        points: their number.
        scale: s, in 1/fm; half of the points lie below.
    """
    check_counts(points=points)
    scale = positive("scale", scale)
    node, weight = np.polynomial.legendre.leggauss(points)
    angle = np.pi / 4 * (1 + node)
    k = scale * np.tan(angle)
    return k, weight * np.pi / 4 * scale / np.cos(angle) ** 2 * k**2


@dataclass(frozen=True)
class Yamaguchi:
    r"""A separable force with a tensor part, solved in closed form :cite:p:`yamaguchi1954b`.

    .. math:: V_{ll'}(k, k') = -\lambda\, f_l(k) f_{l'}(k'), \qquad f_0 = \frac{1}{k^2 + \beta^2}, \qquad
              f_2 = \frac{-t\,k^2}{(k^2 + \gamma^2)^2} .

    The bound state is :math:`\psi_l = f_l/(k^2 + \alpha^2)`, at the energy :math:`-\hbar^2\alpha^2/m`.

    Attributes:
        alpha: :math:`\alpha`, in 1/fm.
        beta, gamma: in units of alpha.
        tensor: t; 0 for an s wave alone.
    """

    alpha: float = math.sqrt(2.2246 / HBAR2_OVER_MASS)
    beta: float = 5.759
    gamma: float = 6.771
    tensor: float = 1.784

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "gamma"):
            positive(name, getattr(self, name))

    def form(self, k: Array) -> Array:
        """The functions f at momenta ``(n,)``, ``(2, n)``."""
        low, high = self.alpha * self.beta, self.alpha * self.gamma
        return np.stack([1 / (k**2 + low**2), -self.tensor * k**2 / (k**2 + high**2) ** 2])

    @property
    def energy(self) -> float:
        """Of the bound state, in MeV."""
        return -HBAR2_OVER_MASS * self.alpha**2

    @property
    def strength(self) -> float:
        r""":math:`\lambda`, in units of :math:`\hbar^2/m`, which puts the bound state at its energy."""
        return 1 / self._integral(self.alpha)

    @property
    def d_state(self) -> float:
        """The probability of the d wave."""
        a, b, c = self.alpha, self.alpha * self.beta, self.alpha * self.gamma
        s = math.pi / (4 * a * b * (a + b) ** 3)
        d = self.tensor**2 * math.pi * (c + 5 * a) / (32 * c * (a + c) ** 5)
        return d / (s + d)

    @property
    def scattering_length(self) -> float:
        """Of the triplet, in fm."""
        b = self.alpha * self.beta
        return math.pi / (2 * b**4 * (self._integral(0.0) - self._integral(self.alpha)))

    def _integral(self, a: float) -> float:
        """Of k² f²/(k² + a²) over all momenta, both waves."""
        b, c = self.alpha * self.beta, self.alpha * self.gamma
        wave = self.tensor**2 * (c**2 + 4 * a * c + 5 * a**2) / (32 * c * (a + c) ** 4)
        return math.pi * (1 / (4 * b * (a + b) ** 2) + wave)


def momentum_matrix(force: Yamaguchi | Pionless, k: Array, weights: Array) -> Array:
    r"""The Hamiltonian of two nucleons on a mesh of momenta, symmetric; in MeV.

    It acts on :math:`\sqrt{w_i}\,\psi_l(k_i)`, the s wave first. The force of :class:`Yamaguchi` has two
    waves, ``(2 n, 2 n)``; that of leading order, for total spin 1, only an s wave, ``(n, n)``:

    .. math:: V(k, k') = \frac{C}{\sqrt\pi\,\Lambda\,k k'} \Bigl[ e^{-(k - k')^2/\Lambda^2}
              - e^{-(k + k')^2/\Lambda^2} \Bigr] .

    Args:
        force: which.
        k, weights: of :func:`momentum_mesh`.
    """
    check_values("k", k, ("n",))
    check_values("weights", weights, k.shape)
    if isinstance(force, Yamaguchi):
        form = force.form(k).ravel()
        potential = -HBAR2_OVER_MASS * force.strength * np.outer(form, form)
        k, weights = np.tile(k, 2), np.tile(weights, 2)
    else:
        near, far = (np.exp(-(np.add.outer(k, sign * k) ** 2) / force.cutoff**2) for sign in (-1, 1))
        potential = force.triplet / (math.sqrt(math.pi) * force.cutoff) * (near - far) / np.outer(k, k)
    root = np.sqrt(weights)
    return np.diag(HBAR2_OVER_MASS * k**2) + np.outer(root, root) * potential


class Quadrature(NamedTuple):
    """Places of two or three nucleons and their weights.

    Attributes:
        positions: ``(n, A, 3)``.
        weights: for an integral over all that is not translation or rotation, ``(n,)``.
    """

    positions: Tensor
    weights: Tensor


def quadrature(nucleons: int, points: int, reach: float = 50.0) -> Quadrature:
    r"""Gauss's points for the distance of two nucleons, or the triangle of three.

    The distances of three are :math:`r_{12} = u + v, r_{13} = u + w, r_{23} = v + w`, and
    :math:`d^3r\,d^3r \sim r_{12} r_{13} r_{23}\,du\,dv\,dw` with u, v, w from zero on, each
    :math:`\propto x^3` in a Gauss point x. States are symmetric, so one order of u, v, w is enough.

    Args:
        nucleons: 2 or 3.
        points: for each of r, or u, v, w.
        reach: their largest value, in fm.

    Raises:
        ValueError: another number of nucleons, no points.
    """
    if nucleons not in (2, 3):
        raise ValueError(
            f"nucleons: got {nucleons}, expected 2 or 3; four have too many distances, sample them"
        )
    check_counts(points=points)
    reach = positive("reach", reach, most=1e4)
    node, weight = (torch.tensor(t) for t in np.polynomial.legendre.leggauss(points))
    x = (node + 1) / 2
    line, measure = reach * x**3, 1.5 * reach * x**2 * weight
    if nucleons == 2:
        r, zero = line, torch.zeros_like(line)
        places = torch.stack([r, zero, zero], 1)
        return Quadrature(torch.stack([places, torch.zeros_like(places)], 1), measure * r**2)
    index = torch.combinations(torch.arange(points), 3, with_replacement=True)
    u, v, w = line[index].T
    same = (index[:, 1:] == index[:, :-1]).sum(1)
    orders = torch.tensor([6.0, 3.0, 1.0], dtype=torch.float64)[same]
    r12, r13, r23 = u + v, u + w, v + w
    along = (r12**2 + r13**2 - r23**2) / (2 * r12)
    aside = (4 * u * v * w * (u + v + w)).sqrt() / r12  # twice Heron's area over the base
    zero = torch.zeros_like(u)
    corners = [(zero, zero, zero), (r12, zero, zero), (along, aside, zero)]
    positions = torch.stack([torch.stack(corner, 1) for corner in corners], 1)
    return Quadrature(positions, measure[index].prod(1) * orders * r12 * r13 * r23)


def energy(state: Product, nucleus: Nucleus, at: Quadrature) -> Tensor:
    r"""The energy of a state as an integral, from first derivatives; torch can differentiate it.

    .. math:: E = \frac{\int \bigl( \frac{\hbar^2}{2m} |\nabla\ln|\psi||^2 + V \bigr) \psi^2}{\int \psi^2}
    """
    x, parts = at.positions, [cast(Correlator | Spins, factor) for factor in state.factors]
    log, slope = state(x), torch.stack([part.gradient(x) for part in parts]).sum(0)
    chance = at.weights * (2 * (log - log.detach().max())).exp()
    potential = torch.stack(nucleus.potential(state, x)).sum(0)
    local = HBAR2_OVER_MASS / 2 * slope.square().sum((1, 2)) + potential
    mean: Tensor = (chance * local).sum() / chance.sum()
    return mean


def minimise_energy(
    state: Product,
    nucleus: Nucleus,
    at: Quadrature,
    *,
    steps: int = 200,
    parameters: list[Tensor] | None = None,
) -> float:
    """Minimise the energy by the limited-memory BFGS method; returns it, in MeV.

    Args:
        state: changed in place.
        nucleus, at: the system and where it is integrated.
        steps: at most so many.
        parameters: what is changed, the parameters of the state if absent.
    """
    check_counts(steps=steps)
    free = list(state.parameters()) if parameters is None else parameters
    for p in free:
        p.requires_grad_()
    search = torch.optim.LBFGS(
        free,
        max_iter=steps,
        history_size=50,
        line_search_fn="strong_wolfe",
        tolerance_grad=1e-7,
        tolerance_change=1e-10,
    )

    def closure() -> Tensor:
        search.zero_grad()
        value = energy(state, nucleus, at)
        value.backward()
        return value

    search.step(closure)
    with torch.no_grad():
        return float(energy(state, nucleus, at))

r"""Linear recurrences along a line: the exact step of a wave, and machines that learn such steps.

A potential drives a state from site to site, :math:`h_i = W(V_i)\, h_{i-1}` :cite:p:`wang2019`. Units have
:math:`\psi'' = V\psi`, so V is :math:`2m/\hbar^2` times the potential minus the energy.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nnbook.arrays import check_counts, check_input, check_numbers, check_values, finite, positive
from nnbook.networks import MLP, random_parameter
from nnbook.train.gauss_newton import ConvexLoss
from nnbook.train.linear_method import minimise
from nnbook.train.loop import Fit


def propagator(potential: Tensor, spacing: float) -> Tensor:
    r"""The exact step of :math:`(\psi, \psi')` over cells of constant potential, ``(..., 2, 2)``.

    .. math:: T(V) = \begin{pmatrix} \cosh ka & \sinh(ka)/k \\ k \sinh ka & \cosh ka \end{pmatrix},
              \qquad k = \sqrt V

    with the spacing a; for V < 0 cosine and sine. Its determinant is one.

    Args:
        potential: V of each cell, ``(...)``.
        spacing: the length of a cell.

    Raises:
        ValueError: a spacing that is not above zero, a potential that is not finite.

    >>> propagator(torch.zeros(1, dtype=torch.float64), 0.1)
    tensor([[[1.0000, 0.1000],
             [0.0000, 1.0000]]], dtype=torch.float64)
    """
    a = positive("spacing", spacing, most=1e50)
    _check_potential(potential)
    angle = a * potential.abs().sqrt()
    even = torch.where(potential > 0, angle.cosh(), angle.cos())
    odd = a * torch.where(potential > 0, angle.sinh() / angle, torch.sinc(angle / math.pi))
    step: Tensor = torch.stack([even, odd, potential * odd, even], -1).unflatten(-1, (2, 2))
    return step


def _check_potential(potential: Tensor, shape: tuple[int | str, ...] | None = None) -> None:
    """Finite numbers of a size for which a few hundred steps do not overflow in vain."""
    check_numbers("potential", potential)
    check_values("potential", potential, tuple(potential.shape) if shape is None else shape)
    if potential.numel():
        finite(
            "potential", potential.abs().max(), most=1e6, remedy="V is in units of the inverse length squared"
        )


def waves(potential: Tensor, spacing: float) -> Tensor:
    r"""The wave :math:`(\psi, \psi')` at the right end of each cell, from (1, 0) on, ``(n, sites, 2)``.

    Args:
        potential: V of each cell, ``(n, sites)``.
        spacing: the length of a cell.

    Raises:
        ValueError: as :func:`propagator`; a potential of another shape.
    """
    _check_potential(potential, ("n", "sites"))
    steps = propagator(potential, spacing)
    start = torch.tensor([1.0, 0.0]).to(potential).expand(len(potential), 2)[..., None]
    seen = itertools.accumulate(steps.unbind(1), lambda wave, step: step @ wave, initial=start)
    return torch.stack(list(seen)[1:], 1)[..., 0] if steps.shape[1] else steps.new_empty(len(steps), 0, 2)


class Translator(nn.Module):
    r"""A recurrent network whose update is linear in the hidden state.

    .. math:: h_i = W(V_i)\, h_{i-1}, \qquad W(V) = \sum_k W_k V^k, \qquad \rho_i = p \cdot h_i

    or, with a quadratic read-out, :math:`\rho_i = \sum_{a \le b} p_{ab} h_a h_b` :cite:p:`wang2019`. The
    start :math:`h_0` is learnt too.

    Args:
        hidden: numbers in the hidden state.
        degree: of the polynomial W.
        quadratic: the read-out.
        generator: source of the random numbers; PyTorch's global one if absent.

    Raises:
        ValueError: a count below 1.

    >>> Translator(3)(torch.zeros(5, 10, dtype=torch.float64)).shape
    torch.Size([5, 10])
    """

    def __init__(
        self,
        hidden: int,
        *,
        degree: int = 3,
        quadratic: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_counts(hidden=hidden, degree=degree)
        self.update = _rule(hidden, degree, 0.1, 0.03, generator)
        self.start = random_parameter((hidden,), 1.0, generator=generator)
        width = hidden * (hidden + 1) // 2 if quadratic else hidden
        self.readout = random_parameter((width,), 1 / hidden, generator=generator)
        self.quadratic = quadratic

    def states(self, potential: Tensor) -> Tensor:
        """The hidden states along potentials ``(n, sites)``, ``(n, sites, hidden)``."""
        _check_potential(potential, ("n", "sites"))
        check_input("potential", potential, potential.shape[1], self.readout)
        steps = polynomial(self.update, potential)
        h, seen = self.start.expand(len(potential), -1)[..., None], []
        for i in range(potential.shape[1]):
            h = steps[:, i] @ h
            seen.append(h[..., 0])
        return torch.stack(seen, 1)

    def forward(self, potential: Tensor) -> Tensor:
        """The densities at potentials ``(n, sites)``, of the same shape."""
        h = self.states(potential)
        density: Tensor = (products(h) if self.quadratic else h) @ self.readout
        return density

    def jacobian(self, _: object, params: Tensor, potential: Tensor) -> tuple[Tensor, Tensor]:
        r"""Densities and their derivatives by the parameters, carried along with the state.

        :math:`\partial h_i = W(V_i)\,\partial h_{i-1} + \partial W(V_i)\, h_{i-1}`, faster than one backward
        pass for each site. Arguments and results are those of :func:`~nnbook.networks.jacobian`.
        """
        terms, d, _d = self.update.shape
        w, h, p = params.split([self.update.numel(), d, self.readout.numel()])
        powers = potential[..., None] ** torch.arange(terms).to(potential)
        steps = torch.einsum("nik,kab->niab", powers, w.view_as(self.update))
        one = torch.eye(d).to(w)
        tangent = torch.cat([w.new_zeros(d, w.numel()), one], 1).expand(len(potential), -1, -1)
        h, values, rows = h.expand(len(potential), d), [], []
        for i in range(potential.shape[1]):
            moved = torch.einsum("ab,nk,nc->nakbc", one, powers[:, i], h).flatten(2)
            tangent = steps[:, i] @ tangent
            tangent = torch.cat([tangent[..., : w.numel()] + moved, tangent[..., w.numel() :]], -1)
            h = (steps[:, i] @ h[..., None])[..., 0]
            read = products(h) if self.quadratic else h
            slope = _square(p, d) @ h[..., None] if self.quadratic else p[:, None]
            values.append(read @ p)
            rows.append(torch.cat([(tangent.mT @ slope)[..., 0], read], -1))
        return torch.stack(values, 1), torch.stack(rows, 1)


def _rule(
    size: int, degree: int, first: float, rest: float, generator: torch.Generator | None
) -> nn.Parameter:
    """A random polynomial of matrices near the identity; each power is smaller, as V grows to four."""
    parts = [random_parameter((size, size), 1.0, generator=generator).detach() for _ in range(degree + 1)]
    parts = [first * parts[0] + torch.eye(size).to(parts[0])] + [
        rest * 0.3 ** (k - 1) * part for k, part in enumerate(parts) if k
    ]
    return nn.Parameter(torch.stack(parts))


def polynomial(update: Tensor, potential: Tensor) -> Tensor:
    """The matrices :math:`W(V) = \\sum_k W_k V^k` ``(..., d, d)`` of ``update`` ``(terms, d, d)``."""
    return torch.einsum(
        "...k,kab->...ab", potential[..., None] ** torch.arange(len(update)).to(potential), update
    )


def products(x: Tensor) -> Tensor:
    """All products of two components, :math:`x_a x_b` with :math:`a \\le b`, ``(..., d (d + 1) / 2)``."""
    a, b = torch.triu_indices(x.shape[-1], x.shape[-1])
    return x[..., a] * x[..., b]


def _square(p: Tensor, d: int) -> Tensor:
    """Twice the symmetric matrix of a quadratic form."""
    a, b = torch.triu_indices(d, d)
    half = torch.zeros(d * d).to(p).index_add(0, a * d + b, p).view(d, d)
    return half + half.mT


def fit_translator(
    net: Translator,
    potential: Tensor,
    density: Tensor,
    *,
    windows: Sequence[int] = (10, 20, 35, 50),
    steps: int = 60,
    tolerance: float = 1e-12,
) -> Fit:
    r"""Train on the first sites of sequences, in windows that grow, to second order.

    The loss is the mean over sequences of :math:`\sum_i(\rho'_i - \rho_i)^2 / \sum_i \rho_i^2`.

    Args:
        net: the translator, changed in place.
        potential, density: the data, ``(n, sites)``.
        windows: how many sites, one stage after the other.
        steps: at most so many in each window.
        tolerance: a window is done when eight steps gain less.

    Returns:
        The fit; its value is the loss in the last window.

    Raises:
        ValueError: data of different shapes, no window, one below 1 or longer than the sequences.
    """
    check_values("potential", potential, ("n", "sites"))
    check_values("density", density, tuple(potential.shape), dtype=potential.dtype)
    for window in windows:
        check_counts(window=window)
        if window > potential.shape[1]:
            raise ValueError(
                f"windows: got {window}, expected at most {potential.shape[1]}, the sites of a sequence"
            )
    losses = []
    for window in windows:
        v, rho = potential[:, :window], density[:, :window]
        weights = 2 / (len(v) * rho.square().sum(1))
        losses.append(ConvexLoss(v, rho, weights, jacobian=net.jacobian))
    return minimise(losses, net, steps=steps, tolerance=tolerance, label="translator")


class Distiller(nn.Module):
    r"""An autoencoder with a bottleneck whose latent variables move on by a linear rule.

    .. math:: g_0 = E(h_0), \qquad g_i = U(V_i)\, g_{i-1}, \qquad h_i \approx D(g_i)

    with a network of tanh units for E, a polynomial U as in :class:`Translator`, and D a general polynomial
    of second degree. Each row of the input is a state ``h_0`` and the potentials that follow.

    Args:
        activations: numbers in a hidden state.
        latent: numbers in the bottleneck.
        hidden: units of the encoder.
        degree: of the polynomial U.
        generator: source of the random numbers; PyTorch's global one if absent.

    Raises:
        ValueError: a count below 1.

    >>> Distiller(3, 2)(torch.zeros(5, 3 + 4, dtype=torch.float64)).shape
    torch.Size([5, 15])
    """

    def __init__(
        self,
        activations: int,
        latent: int,
        *,
        hidden: Sequence[int] = (8,),
        degree: int = 3,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_counts(activations=activations, latent=latent, degree=degree)
        options = {"generator": generator, "dtype": torch.float64}
        self.encoder = MLP(activations, hidden, latent, activation="tanh", **options)  # type: ignore[arg-type]
        self.update = _rule(latent, degree, 0.0, 0.01, generator)
        width = 1 + latent + latent * (latent + 1) // 2
        self.decoder = random_parameter((width, activations), 0.3, generator=generator)
        self.activations = activations

    def decode(self, latent: Tensor) -> Tensor:
        """Hidden states ``(..., activations)`` of latent variables ``(..., latent)``."""
        features = torch.cat([torch.ones_like(latent[..., :1]), latent, products(latent)], -1)
        states: Tensor = features @ self.decoder
        return states

    def roll(self, latent: Tensor, potential: Tensor) -> Tensor:
        """Latent variables ``(n, 1 + sites, latent)`` from the first ones on, along ``(n, sites)``."""
        steps = polynomial(self.update, potential).unbind(1)
        moved = itertools.accumulate(steps, lambda g, u: u @ g, initial=latent[..., None])
        return torch.stack(list(moved), 1)[..., 0]

    def forward(self, x: Tensor) -> Tensor:
        """The states at the start and after each potential, ``(n, activations (1 + sites))``."""
        h, potential = x[:, : self.activations], x[:, self.activations :]
        return self.decode(self.roll(self.encoder(h), potential)).flatten(1)

r"""What the chapter *Emergent quantum mechanics* reads.

A machine translates potentials into densities, site by site, with an update that is linear in its hidden
state; a second machine looks at the hidden states only. Here are the data and what looks at them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nnbook.arrays import check_counts, check_numbers, check_values, finite, positive
from nnbook.dynamics.recurrences import (
    Distiller,
    Translator,
    fit_translator,
    polynomial,
    products,
    propagator,
    waves,
)
from nnbook.exact.condensates import Condensates, condensates
from nnbook.train.gauss_newton import ConvexLoss
from nnbook.train.linear_method import minimise

__all__ = ["Condensates", "ConvexLoss", "Distiller", "Translator", "condensates", "fit_translator"]
__all__ += ["intrinsic_dimension", "minimise", "polynomial", "potentials", "products", "propagator"]
__all__ += ["sparse_regression", "waves", "windows"]


#: Mean, size of each of four waves and range of the random potentials, by kind.
KINDS = {"shallow": (-1.0, 0.5), "deep": (-2.0, 1.5), "rough": (-1.0, 1.0)}


def potentials(
    kind: str, count: int, sites: int, *, spacing: float, generator: torch.Generator | None = None
) -> Tensor:
    """Random potentials between -4 and 2, ``(count, sites)``: our choice, as the talk gives no numbers.

    Args:
        kind: ``"shallow"`` and ``"deep"``, a mean and four waves of wave numbers 0.2 to 2.2;
            ``"rough"``, independent at each site.
        count, sites: how many, and how long.
        spacing: the length of a cell.
        generator: source of the random numbers; PyTorch's global one if absent.

    Raises:
        ValueError: an unknown kind, a count below 1, a spacing that is not above zero.
    """
    check_counts(count=count, sites=sites)
    if kind not in KINDS:
        raise ValueError(f"kind: got {kind!r}, expected one of {', '.join(KINDS)}")
    x = positive("spacing", spacing) * torch.arange(sites, dtype=torch.float64)
    mean, size = KINDS[kind]
    if kind == "rough":
        noise = torch.randn(count, sites, generator=generator, dtype=torch.float64)
        return (mean + size * noise).clamp(-4, 2)
    number, phase = torch.rand(2, count, 4, 1, generator=generator, dtype=torch.float64)
    height = size * torch.randn(count, 4, 1, generator=generator, dtype=torch.float64)
    wave = torch.cos((0.2 + 2 * number) * x + 2 * math.pi * phase)
    return (mean + (height * wave).sum(1)).clamp(-4, 2)


def windows(
    states: Tensor, potential: Tensor, length: int, count: int, *, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Pieces of sequences at random places, what a distiller reads and what it shall give.

    The distiller is a :class:`~nnbook.dynamics.recurrences.Distiller`. The number of atoms is arbitrary: each
    piece is multiplied so that its first state has a length between 0.5 and 1.7.

    Args:
        states: ``(n, sites, activations)``.
        potential: ``(n, sites)``, V on the way to each state.
        length: steps in a window.
        count: how many windows.
        generator: source of the random numbers; PyTorch's global one if absent.

    Returns:
        Inputs ``(count, activations + length)`` and targets ``(count, activations (1 + length))``.

    Raises:
        ValueError: a count below 1, a window longer than the sequences, shapes that do not match.
    """
    check_numbers("states", states)
    check_values("states", states, ("n", "sites", "activations"))
    check_values("potential", potential, tuple(states.shape[:2]))
    check_counts(length=length, count=count, n=len(states))
    positive("states", states.norm(dim=-1).min(), remedy="no state of an atom cloud is zero")
    if length >= states.shape[1]:
        raise ValueError(f"length: got {length}, expected below {states.shape[1]}, the sites of a sequence")
    row = torch.randint(len(states), (count, 1), generator=generator)
    first = torch.randint(states.shape[1] - length, (count, 1), generator=generator)
    place = first + torch.arange(length + 1)
    size = (0.7 + 0.6 * torch.rand(count, 1, 1, generator=generator)).to(states) ** 2
    h = states[row, place]
    h = h * size / h[:, :1].norm(dim=-1, keepdim=True)
    return torch.cat([h[:, 0], potential[row, place[:, 1:]]], 1), h.flatten(1)


def intrinsic_dimension(points: Tensor) -> tuple[float, float]:
    r"""The dimension of the surface that points lie on, and its standard error, from two neighbours each.

    The ratio :math:`\mu = r_2/r_1` of the distances to the second and first neighbour has the density
    :math:`d\,\mu^{-d-1}` wherever the points are uniform over so small a distance, so
    :math:`d = (n - 1) / \sum\ln\mu` :cite:p:`facco2017`.

    Args:
        points: ``(n, coordinates)``.

    Raises:
        ValueError: fewer than three points, or two at the same place.

    >>> line = torch.rand(1000, 1, generator=torch.Generator().manual_seed(1)) * torch.ones(1, 5)
    >>> round(intrinsic_dimension(line.double())[0], 1)
    1.0
    """
    check_numbers("points", points)
    check_values("points", points, ("n", "coordinates"))
    check_counts(least=3, n=len(points))
    near = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    first, second = near.fill_diagonal_(torch.inf).topk(2, dim=1, largest=False).values.T
    if not float(first.min()) > 0:
        raise ValueError("points: got two at the same place, expected different ones; leave copies out")
    dimension = (len(points) - 1) / float((second / first).log().sum())
    return dimension, dimension / math.sqrt(len(points))


def sparse_regression(library: Tensor, target: Tensor, *, threshold: float, ridge: float = 0.0) -> Tensor:
    r"""Coefficients of few terms, by least squares that forgets the small ones :cite:p:`brunton2016`.

    Solve, set those below the threshold to zero, solve for the others, until nothing changes.

    Args:
        library: values of the terms at each point, ``(n, terms)``.
        target: what they shall add up to, ``(n, equations)``.
        threshold: smallest coefficient that stays.
        ridge: :math:`\alpha` of the penalty :math:`\alpha|c|^2`.

    Returns:
        Coefficients ``(terms, equations)``.

    Raises:
        ValueError: shapes that do not match, a threshold or ridge below zero.
    """
    check_values("library", library, ("n", "terms"))
    check_values("target", target, (len(library), "equations"), dtype=library.dtype)
    check_counts(n=len(library), terms=library.shape[1])
    threshold, ridge = finite("threshold", threshold, least=0), finite("ridge", ridge, least=0)
    result = library.new_zeros(library.shape[1], target.shape[1])
    for column in range(target.shape[1]):
        keep, before = torch.arange(library.shape[1]), -1
        while 0 < len(keep) != before:
            part, before = library[:, keep], len(keep)
            rows = torch.cat([part, math.sqrt(ridge) * torch.eye(before).to(part)])
            wanted = torch.cat([target[:, column], target.new_zeros(before)])
            found = torch.linalg.lstsq(rows, wanted[:, None]).solution[:, 0]
            large = found.abs() >= threshold
            keep, found = keep[large], found[large]
        result[keep, column] = found[: len(keep)]
    return result

r"""How well a network is one on the unit sphere: the mean of :math:`(f - 1)^2`, without sampling.

For one layer, :math:`f = \sum_k |w_k \cdot x|^p`, all that is needed are the averages over the sphere

.. math:: \langle |u \cdot x|^p \rangle = m\, |u|^p, \qquad
          \langle |u \cdot x|^p |v \cdot x|^p \rangle
          = c\, |u|^p |v|^p\, {}_2F_1(-\tfrac p2, -\tfrac p2; \tfrac12; \cos^2\theta)

with :math:`\theta` the angle of u and v, and

.. math:: m = \frac{\Gamma(\frac{p+1}2)\, \Gamma(\frac d2)}{\sqrt\pi\, \Gamma(\frac{d+p}2)}, \qquad
          c = \frac{\Gamma(\frac{p+1}2)^2\, \Gamma(\frac d2)}{\pi\, \Gamma(\frac d2 + p)} .

They follow from two correlated normal variables, whose radius is independent of their direction. For p = 1
the second is the arc-cosine kernel of first order :cite:p:`cho2009` for absolute values.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.optimize import OptimizeResult, minimize, root
from scipy.special import gamma, hyp2f1
from scipy.stats import norm, qmc
from torch import Tensor
from tqdm.auto import tqdm

from nnbook.arrays import Array
from nnbook.geometry.level_sets import cones, sectors
from nnbook.networks import as_function, assign, flatten
from nnbook.runtime import watched
from nnbook.train.first_order import Fit

if TYPE_CHECKING:
    from nnbook.polytopes import PolytopeNet

Objective = Callable[[Array], tuple[float, Array]]


def random_points(count: int, dim: int, *, generator: torch.Generator | None = None) -> Tensor:
    """Independent uniform points on the unit sphere, ``(count, dim)``."""
    return torch.nn.functional.normalize(
        torch.randn(count, dim, generator=generator, dtype=torch.float64), dim=1
    )


def even_points(count: int, dim: int) -> Tensor:
    """Evenly spread points of the unit sphere, ``(count, dim)``: equal angles, golden spiral, or Sobol.

    >>> bool(even_points(100, 3).mean(0).norm() < 1e-2)
    True
    """
    if dim == 2:
        angle = 2 * np.pi * (np.arange(count) + 0.5) / count
        points = np.stack([np.cos(angle), np.sin(angle)], 1)
    elif dim == 3:
        z = 1 - (2 * np.arange(count) + 1) / count
        turn, rho = np.pi * (1 + 5**0.5) * np.arange(count), np.sqrt(1 - z**2)
        points = np.stack([rho * np.cos(turn), rho * np.sin(turn), z], 1)
    else:
        sobol = qmc.Sobol(dim, rng=0).random_base2((count - 1).bit_length())[:count]
        points = norm.ppf(sobol.clip(1e-9, 1 - 1e-9))
    return torch.nn.functional.normalize(torch.as_tensor(points), dim=1)


def polygon_loss(units: int) -> float:
    r"""The least possible loss of type (n; 1) in two dimensions, a regular polygon of 2n sides.

    .. math:: L_n = 1 - \frac{(\sin a / a)^2}{\frac12 + \frac{\sin 2a}{4a}}, \qquad a = \frac{\pi}{2n}

    Raises:
        ValueError: no unit.

    >>> f"{polygon_loss(2):.6e}"
    '9.459029e-03'
    """
    if units < 1:
        raise ValueError(f"units: got {units}, expected at least 1")
    a = np.pi / (2 * units)
    return float(1 - (np.sin(a) / a) ** 2 / (0.5 + np.sin(2 * a) / (4 * a)))


def facet_bound(facets: int) -> float:
    r"""No body of F flat facets in three dimensions has a smaller loss, convex or not.

    .. math:: L \ge \frac{1}{3 (F - 1)^2 + 1}

    On a facet f is :math:`g \cdot x`. Over a cap of the sphere round g this is uniformly distributed, as
    Archimedes knew, and no other region of the same solid angle :math:`2\pi s` has a smaller integral of
    :math:`(g \cdot x - 1)^2`. With the best length of g it is :math:`2\pi s` times
    :math:`(s^2/12) / ((1 - s/2)^2 + s^2/12)`, the variance of the values over their mean square. This
    integral is convex in s up to 3/2, and a facet has s below one, so equal facets with :math:`s = 2/F` are
    best. Caps do not tile the sphere, so the bound is not reached.

    >>> round(facet_bound(8) * 148, 12)
    1.0
    """
    return 1 / (3 * (facets - 1) ** 2 + 1)


def kernel_loss(weights: Array, power: float) -> tuple[float, Array]:
    r"""The loss of one layer on the whole sphere, and its gradient.

    .. math:: L = 1 - 2m \sum_k |w_k|^p + c \sum_{kl} |w_k|^p |w_l|^p F(\cos^2\theta_{kl})

    Args:
        weights: w, ``(n, dim)``.
        power: p > 0.

    Returns:
        the loss, and its derivative by the weights ``(n, dim)``.
    """
    dim = weights.shape[1]
    m = gamma((power + 1) / 2) * gamma(dim / 2) / (np.sqrt(np.pi) * gamma((dim + power) / 2))
    c = gamma((power + 1) / 2) ** 2 * gamma(dim / 2) / (np.pi * gamma(dim / 2 + power))
    length = np.linalg.norm(weights, axis=1)
    unit = weights / length[:, None]
    cosine = np.clip(unit @ unit.T, -1.0, 1.0)
    np.fill_diagonal(cosine, 1.0)
    kernel = hyp2f1(-power / 2, -power / 2, 0.5, cosine**2)
    off = cosine * (1 - np.eye(len(weights)))  # on the diagonal the angle is fixed
    slope = power**2 * off * hyp2f1(1 - power / 2, 1 - power / 2, 1.5, np.minimum(off**2, 1 - 1e-12))
    size = length**power
    loss = 1 - 2 * m * size.sum() + c * size @ kernel @ size
    radial = (2 * c * (kernel @ size) - 2 * m) * power * size / length
    turning = 2 * c * (size / length)[:, None] * (slope * size)
    gradient = radial[:, None] * unit + turning @ unit - (turning * cosine).sum(1, keepdims=True) * unit
    return float(loss), gradient


def sample_loss(net: PolytopeNet, points: Tensor, weights: Tensor | None = None) -> Objective:
    """The mean of (f - 1)^2 over points and its gradient, as a function of the parameters.

    Args:
        net: gives the type; its own parameters are neither read nor changed.
        points: on the unit sphere, ``(n, dim)``.
        weights: of the points, ``(n,)``, with sum one; default: all equal.
    """
    function = as_function(net)
    share = torch.full_like(points[:, 0], 1 / len(points)) if weights is None else weights

    def loss(vector: Array) -> tuple[float, Array]:
        params = torch.as_tensor(vector).to(points).requires_grad_()
        value = share @ (function(params, points) - 1).square()
        value.backward()
        gradient: Array = params.grad.double().cpu().numpy()  # type: ignore[union-attr]
        return value.item(), gradient

    return loss


def sphere_loss(net: PolytopeNet, *, order: int = 10) -> Objective | None:
    """The mean of (f - 1)^2 over the whole sphere, to rounding, and its gradient.

    One layer: by :func:`kernel_loss`, in any dimension and for any power. Several layers in two or three
    dimensions with all powers one: by Gauss points on each cone where f is linear.

    Args:
        net: gives the type; its own parameters are neither read nor changed.
        order: Gauss points in each direction of a cone.

    Returns:
        A function of the parameters; None for several layers with other powers or in more dimensions.
    """

    def kernel(vector: Array) -> tuple[float, Array]:
        value, gradient = kernel_loss(vector.reshape(-1, net.dim), net.powers[0])
        return value, gradient.ravel()

    shadow = deepcopy(net)

    def gauss(vector: Array) -> tuple[float, Array]:
        # the cones move with the parameters, but f is continuous: their borders add nothing to the gradient
        assign(shadow, torch.as_tensor(vector).to(flatten(net)))
        points, weights = (_arcs if net.dim == 2 else _triangles)(shadow, order)
        places, share = (torch.as_tensor(v).to(flatten(net)) for v in (points, weights / weights.sum()))
        return sample_loss(net, places, share)(vector)

    if len(net.widths) == 1:
        return kernel
    return gauss if net.dim <= 3 and all(p == 1 for p in net.powers) else None


def exact_loss(net: PolytopeNet) -> float | None:
    """The value of :func:`~nnbook.geometry.sphere.sphere_loss` for the network's own parameters."""
    loss = sphere_loss(net)
    return None if loss is None else loss(flatten(net).double().cpu().numpy())[0]


def descend(loss: Objective, starts: Array, *, steps: int, tolerance: float) -> tuple[Fit, OptimizeResult]:
    """Minimise a loss by SciPy's BFGS from each of several starts.

    Args:
        loss: maps parameters ``(k,)`` to the loss and its gradient ``(k,)``.
        starts: ``(starts, k)``.
        steps: at most so many from each start.
        tolerance: a start has converged when no component of the gradient is larger.

    Returns:
        How it went, with the loss of each start as ``history["value"]``, and SciPy's result for the best.
    """
    began, rows = time.perf_counter(), []
    options = {"maxiter": steps, "gtol": tolerance}
    best: OptimizeResult = None
    for start in tqdm(starts, desc="starts", disable=not watched()):
        found = minimize(loss, start, jac=True, method="BFGS", options=options)
        best = found if best is None or found.fun < best.fun or np.isnan(best.fun) else best
        rows.append((time.perf_counter() - began, float(found.fun)))
    slope = float(np.abs(best.jac).max())
    seconds, values = np.array(rows).T
    history = {"step": np.arange(len(rows), dtype=float), "seconds": seconds, "value": values}
    reason = f"best of {len(rows)} starts, slope {slope:.0e} left"
    return Fit(float(best.fun), int(best.nit), slope <= 10 * tolerance, reason, history), best


def polish(loss: Objective, vector: Array) -> Array:
    """Parameters near ``vector`` where the gradient vanishes to rounding, by MINPACK's Levenberg-Marquardt.

    BFGS stops when the loss no longer changes in its 16 digits; the parameters then have 7. With more of
    them, planes that share a vertex by symmetry do so in the numbers too.
    """
    found: Array = root(lambda v: loss(v)[1], vector, method="lm", tol=1e-15).x
    return found if loss(found)[0] < loss(vector)[0] + 1e-12 else vector


def _arcs(net: PolytopeNet, order: int) -> tuple[Array, Array]:
    """Points on the circle and their weights, Gauss points between neighbouring kinks."""
    rays = sectors(net)
    begin = np.arctan2(rays[:, 1], rays[:, 0])
    length = np.mod(np.roll(begin, -1) - begin, 2 * np.pi)
    node, weight = np.polynomial.legendre.leggauss(order)
    angle = (begin[:, None] + length[:, None] * (node + 1) / 2).ravel()
    return np.stack([np.cos(angle), np.sin(angle)], 1), np.outer(length, weight / 2).ravel()


def _triangles(net: PolytopeNet, order: int) -> tuple[Array, Array]:
    """Points on the sphere and their weights, Gauss points on the spherical triangles of all cones."""
    cells = cones(net)
    a, b, c = _small(cells.vertices[cells.triangles]).transpose(1, 0, 2)
    node, weight = np.polynomial.legendre.leggauss(order)
    node, weight = (node + 1) / 2, weight / 2
    s, t = np.repeat(node, order), np.tile(node, order)
    simplex = np.stack([s * (1 - t), s * t], 1)  # Duffy's map of the square to a triangle
    jacobian = np.outer(node * weight, weight).ravel()
    flat = a[:, None] + simplex[:, :1] * (b - a)[:, None] + simplex[:, 1:] * (c - a)[:, None]
    length = np.linalg.norm(flat, axis=2)
    solid = np.abs(np.einsum("ni,ni->n", a, np.cross(b, c)))[:, None] * jacobian / length**3
    return (flat / length[..., None]).reshape(-1, 3), solid.ravel()


def _small(corners: Array) -> Array:
    """Spherical triangles ``(n, 3, 3)``, divided in four until no side is longer than 60 degrees."""
    while True:
        wide = ((corners * np.roll(corners, -1, 1)).sum(2) < 0.5).any(1)
        if not wide.any():
            return corners
        middle = corners[wide] + np.roll(corners[wide], -1, 1)
        middle /= np.linalg.norm(middle, axis=2, keepdims=True)
        outer = np.stack([corners[wide], middle, np.roll(middle, 1, 1)], 2).reshape(-1, 3, 3)
        corners = np.concatenate([corners[~wide], outer, middle])

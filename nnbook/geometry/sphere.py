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

from collections.abc import Iterable
from copy import deepcopy

import numpy as np
import torch
from scipy.special import gamma, hyp2f1
from torch import Tensor

from nnbook.arrays import Array, check_counts, check_values, finite, like, positive
from nnbook.geometry.level_sets import cones, sectors
from nnbook.geometry.network import PolytopeNet, power
from nnbook.networks import assign, flatten
from nnbook.train.quasi_newton import Objective


def polygon_loss(units: float) -> float:
    r"""The least possible loss of type (n; 1) in two dimensions, a regular polygon of 2n sides.

    .. math:: L_n = 1 - \frac{(\sin a / a)^2}{\frac12 + \frac{\sin 2a}{4a}}, \qquad a = \frac{\pi}{2n}

    Raises:
        ValueError: no unit.

    >>> f"{polygon_loss(2):.6e}"
    '9.459029e-03'
    """
    finite("units", units, least=1)
    a = np.pi / (2 * units)
    return float(1 - (np.sin(a) / a) ** 2 / (0.5 + np.sin(2 * a) / (4 * a)))


def facet_bound(facets: float) -> float:
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
    if not (np.asarray(facets) >= 1).all():
        raise ValueError(f"facets: got {facets}, expected numbers of at least 1")
    return 1 / (3 * (facets - 1) ** 2 + 1)


def kernel_loss(weights: Array, power: float) -> tuple[Array, Array]:
    r"""The loss of one layer on the whole sphere, and its gradient; of one network, or of many.

    .. math:: L = 1 - 2m \sum_k |w_k|^p + c \sum_{kl} |w_k|^p |w_l|^p F(\cos^2\theta_{kl})

    Args:
        weights: w, ``(..., n, dim)``.
        power: p > 0.

    Returns:
        the loss ``(...)``, and its derivative by the weights ``(..., n, dim)``.
    """
    positive("power", power, most=100)
    check_values("weights", weights, ("...", "n", "dim"))
    n, dim = weights.shape[-2:]
    m = gamma((power + 1) / 2) * gamma(dim / 2) / (np.sqrt(np.pi) * gamma((dim + power) / 2))
    c = gamma((power + 1) / 2) ** 2 * gamma(dim / 2) / (np.pi * gamma(dim / 2 + power))
    length = np.maximum(np.linalg.norm(weights, axis=-1, keepdims=True), np.finfo(float).tiny)
    unit = weights / length
    cosine = np.where(np.eye(n), 1.0, np.clip(unit @ unit.swapaxes(-1, -2), -1.0, 1.0))
    off = cosine * (1 - np.eye(n))  # on the diagonal the angle is fixed
    if power == 1:
        kernel = np.sqrt(1 - cosine**2) + cosine * np.arcsin(cosine)
        slope = np.arcsin(off)
    else:
        kernel = hyp2f1(-power / 2, -power / 2, 0.5, cosine**2)
        slope = power**2 * off * hyp2f1(1 - power / 2, 1 - power / 2, 1.5, np.minimum(off**2, 1 - 1e-12))
    size = length**power
    felt = c * kernel @ size - m
    loss: Array = 1 + (size * (felt - m)).sum((-2, -1))
    turning = 2 * c * size / length * slope * size.swapaxes(-1, -2)
    radial = 2 * power * felt * size / length - (turning * cosine).sum(-1, keepdims=True)
    return loss, radial * unit + turning @ unit


def sample_loss(net: PolytopeNet, points: Tensor, weights: Tensor | None = None) -> Objective:
    """The mean of (f - 1)^2 over points and its gradient, as a function of parameters ``(batch, k)``.

    Args:
        net: gives the type; its own parameters are neither read nor changed.
        points: on the unit sphere, ``(n, dim)``.
        weights: of the points, ``(n,)``, with sum one; default: all equal.

    Raises:
        ValueError: points of another dimension or dtype than the network wants, or none.
    """
    check_values("points", points, ("n", net.dim), dtype=net.weights[0].dtype)
    check_counts(points=len(points))
    shapes = [weight.shape for weight in net.weights]
    share = torch.full_like(points[:, 0], 1 / len(points)) if weights is None else weights

    def one(vector: Tensor) -> tuple[Tensor, Tensor]:
        parts = vector.split([shape.numel() for shape in shapes])
        layers = [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
        outputs, slopes = [points], []
        gradients: list[Tensor] = []
        for weight, exponent in zip(layers, net.powers, strict=True):
            output, slope = power(outputs[-1] @ weight.mT, exponent)
            outputs.append(output)
            slopes.append(slope)
        miss = outputs[-1].sum(1) - 1
        pull = (2 * share * miss)[:, None]  # backwards by hand, three times as fast as autograd
        for k in reversed(range(len(layers))):
            pull = slopes[k] * (pull @ layers[k + 1] if gradients else pull)
            gradients.append((pull.mT @ outputs[k]).flatten())
        return share @ miss.square(), torch.cat(gradients[::-1])

    return lambda params: _stacked(map(one, params.detach()))


def sphere_loss(net: PolytopeNet, *, order: int = 10) -> Objective | None:
    """The mean of (f - 1)^2 over the whole sphere, to rounding, and its gradient.

    One layer: by :func:`kernel_loss`, in any dimension and for any power. Several layers in two or three
    dimensions with all powers one: by Gauss points on each cone where f is linear.

    Args:
        net: gives the type; its own parameters are neither read nor changed.
        order: Gauss points in each direction of a cone.

    Returns:
        A function of parameters ``(batch, k)``, which gives losses ``(batch,)`` and gradients ``(batch, k)``;
        None for several layers with other powers or in more dimensions.
    """

    check_counts(order=order)

    def kernel(params: Tensor) -> tuple[Tensor, Tensor]:
        weights = params.detach().double().cpu().numpy().reshape(len(params), -1, net.dim)
        value, gradient = (like(v, params) for v in kernel_loss(weights, net.powers[0]))
        return value, gradient.flatten(1)

    shadow = deepcopy(net)

    def one(vector: Tensor) -> tuple[Tensor, Tensor]:
        # the cones move with the parameters, but f is continuous: their borders add nothing to the gradient
        assign(shadow, vector)
        points, weights = (_arcs if net.dim == 2 else _triangles)(shadow, order)
        places, share = (like(v, vector) for v in (points, weights / weights.sum()))
        value, gradient = sample_loss(net, places, share)(vector[None])
        return value[0], gradient[0]

    if len(net.widths) == 1:
        return kernel
    exact = net.dim <= 3 and all(p == 1 for p in net.powers)
    return (lambda params: _stacked(map(one, params))) if exact else None


def _stacked(results: Iterable[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    values, gradients = zip(*results, strict=True)
    return torch.stack(values), torch.stack(gradients)


def exact_loss(net: PolytopeNet) -> float | None:
    """The value of :func:`~nnbook.geometry.sphere.sphere_loss` for the network's own parameters."""
    loss = sphere_loss(net)
    return None if loss is None else float(loss(flatten(net)[None])[0])


def polish(loss: Objective, vector: Tensor, *, steps: int = 8, step: float = 1e-5) -> Tensor:
    """Parameters near ``vector`` where the gradient vanishes to rounding, by Newton steps with one Hessian.

    BFGS stops when the loss no longer changes in its 16 digits; the parameters then have 7. With more of
    them, planes that share a vertex by symmetry do so in the numbers too. Directions that cost nothing, such
    as a rotation, are left alone.

    Args:
        loss: see :func:`sphere_loss`.
        vector: ``(k,)``.
        steps: at most so many.
        step: of the central differences that make the Hessian.
    """
    shifts = step * torch.eye(len(vector), dtype=vector.dtype, device=vector.device)
    ahead, behind = loss(torch.cat([vector + shifts, vector - shifts]))[1].chunk(2)
    hessian = (ahead - behind) / (2 * step)
    inverse = torch.linalg.pinv((hessian + hessian.mT) / 2, rtol=1e-6, hermitian=True)
    best, slope, ceiling = vector, torch.inf, float(loss(vector[None])[0]) + 1e-12
    for _ in range(steps):
        value, gradient = (result[0] for result in loss(vector[None]))
        if not (gradient.norm() < slope and value < ceiling):
            break
        best, slope, vector = vector, float(gradient.norm()), vector - inverse @ gradient
    return best


def _arcs(net: PolytopeNet, order: int) -> tuple[Array, Array]:
    """Points on the circle and their weights, Gauss points between neighbouring kinks."""
    rays = sectors(net)
    begin = np.arctan2(rays[:, 1], rays[:, 0])
    length = np.mod(np.roll(begin, -1) - begin, 2 * np.pi)
    node, weight = np.polynomial.legendre.leggauss(order)
    angle = (begin[:, None] + length[:, None] * (node + 1) / 2).ravel()
    return np.stack([np.cos(angle), np.sin(angle)], 1), np.outer(length, weight / 2).ravel()


def _triangles(net: PolytopeNet, order: int) -> tuple[Array, Array]:
    """Points on half the sphere and their weights, Gauss points on the spherical triangles of all cones."""
    cells = cones(net, half=True)
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

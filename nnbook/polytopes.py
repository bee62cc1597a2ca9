r"""Networks without biases whose level sets are polytopes :cite:p:`hashimoto2023`.

A network of absolute values and their powers is trained to be one on the unit sphere. For the powers one, it
is linear on cones, and the surface :math:`f(x) = 1` is a polytope: flat facets that approximate the sphere.

.. math:: a_0 = x, \qquad a_l = |W_l\, a_{l-1}|^{p_l}, \qquad f(x) = \sum_k (a_N)_k

The type :math:`(n_1, \dots, n_N; p_1, \dots, p_N)` names the widths and the powers.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor

from nnbook.arrays import Array, check_counts, like, seeded
from nnbook.geometry.level_sets import Polytope, mesh, polytope
from nnbook.geometry.network import PolytopeNet, even_points, random_points
from nnbook.geometry.solids import Solid, by_corners, scene, turnable
from nnbook.geometry.sphere import (
    exact_loss,
    facet_bound,
    kernel_loss,
    polish,
    polygon_loss,
    sample_loss,
    sphere_loss,
)
from nnbook.networks import assign, flatten
from nnbook.train.loop import Fit
from nnbook.train.quasi_newton import descend

__all__ = ["PolytopeNet", "SphereFit", "even_points", "fit_sphere", "flatten", "random_points"]
__all__ += ["Polytope", "Solid", "by_corners", "mesh", "polytope", "scene", "turnable"]
__all__ += ["exact_loss", "facet_bound", "kernel_loss", "polygon_loss", "sphere_loss"]


@dataclass(frozen=True, eq=False)
class SphereFit:
    r"""A network trained to be one on the unit sphere; the repr is its line in a table.

    Attributes:
        net: the trained network.
        loss: the mean of :math:`(f - 1)^2` over the points of the training.
        exact_loss: its mean over the whole sphere; None where no exact formula is known, see
            :func:`~nnbook.geometry.sphere.exact_loss`.
        losses: where each start ended, the best first, ``(starts,)``.
        fit: how the training went.
    """

    net: PolytopeNet
    loss: float
    exact_loss: float | None
    losses: Array = field(repr=False)
    fit: Fit = field(repr=False)

    def __repr__(self) -> str:
        exact = "" if self.exact_loss is None else f", on the whole sphere {self.exact_loss:.6e}"
        return f"{self.net}: loss {self.loss:.6e}{exact}"


def fit_sphere(
    net: PolytopeNet,
    *,
    points: int | Tensor | None = None,
    seed: int = 1,
    starts: int = 16,
    steps: int = 1000,
    tolerance: float = 1e-9,
) -> SphereFit:
    r"""Train a network to be one on the unit sphere, by least squares.

    .. math:: L = \bigl\langle (f(x) - 1)^2 \bigr\rangle_{x \in S^{d-1}}

    The best of several random networks is kept; ``net`` itself is left as it is.

    Args:
        net: gives the type, and the first of the starts.
        points: the data: a number of random points as in the talk, or your own ``(n, dim)`` on the sphere.
            Without it the average is over the whole sphere. It is exact wherever
            :func:`~nnbook.geometry.sphere.sphere_loss` is known; several layers first learn from 6000 evenly
            spread points, to a hundred times the tolerance, and only the best start goes on to the exact
            average.
        seed: of the random points and networks.
        starts: number of random networks, each trained by BFGS.
        steps: at most so many from each start.
        tolerance: a start ends when no component of the gradient is larger.

    Raises:
        ValueError: fewer points than dimensions, points that are not on the sphere, ``starts`` < 1.

    >>> fit_sphere(PolytopeNet(2, (2,), (1.0,)))
    PolytopeNet of type (2;1) in 2 dimensions: loss 9.459029e-03, on the whole sphere 9.459029e-03
    """
    check_counts(starts=starts)
    generator = seeded(seed)
    whole = sphere_loss(net) if points is None else None
    loss = whole if whole and len(net.widths) == 1 else sample_loss(net, _data(net, points, generator))
    draw = partial(PolytopeNet, net.dim, net.widths, net.powers, orthogonal=net.orthogonal)
    others = [draw(generator=generator) for _ in range(starts - 1)]
    vectors = torch.stack([flatten(start).to(flatten(net)) for start in (net, *others)])
    first = 100 * tolerance if whole and loss is not whole else tolerance
    fit, losses, params = descend(loss, vectors, steps=steps, tolerance=first, label="sphere")
    best = params[losses.argmin()]
    if whole and loss is not whole:
        fit, _, (best,) = descend(whole, best[None], steps=steps, tolerance=tolerance, label="sphere")
    trained = deepcopy(net)
    ended = fit.converged or fit.steps < steps  # a loss whose last digits no longer change ends it too
    assign(trained, polish(whole, best) if whole and ended else best)
    return SphereFit(trained, fit.value, exact_loss(trained), losses.sort().values.cpu().numpy(), fit)


def _data(net: PolytopeNet, points: int | Tensor | None, generator: torch.Generator) -> Tensor:
    if points is None:
        points = even_points(6000, net.dim).to(net.weights[0])
        return points[points[:, -1] > 0]  # as f(-x) = f(x)
    if isinstance(points, int | float | np.integer):
        check_counts(least=net.dim, points=points)
        return random_points(points, net.dim, generator=generator).to(net.weights[0])
    data = like(points, net.weights[0])
    on_sphere = data.ndim == 2 and data.shape[1] == net.dim and len(data) >= net.dim
    if not on_sphere or not torch.allclose(data.norm(dim=1), torch.ones_like(data[:, 0]), atol=1e-6):
        raise ValueError(
            f"points: got shape {tuple(data.shape)}, expected at least {net.dim} points of length one, "
            f"(n, {net.dim}); divide by points.norm(dim=1, keepdim=True)"
        )
    return data

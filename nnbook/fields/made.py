r"""Autoregressive networks: densities of many sites as products of densities of one.

.. math:: p_\theta(x) = \prod_i p_\theta(x_i \mid x_0 \dots x_{i-1})

A network computes the parameters of each factor from the sites before it. So the density is normalised by
construction, its logarithm is known, and independent samples are drawn site by site: a masked autoencoder for
distribution estimation (MADE) :cite:p:`germain2015`. Here each site has hidden units of its own, and sees as
many of the earlier sites as it has to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from nnbook.arrays import Array, check_counts, check_values, like
from nnbook.fields.conditionals import CONDITIONALS, Bernoulli, Conditional
from nnbook.networks import random_parameter

Kind = Literal["bernoulli", "gaussian_mixture", "von_mises", "beta"]


def frontier(bonds: Tensor | Array) -> Tensor:
    """What a site must see where only bonded sites interact: earlier ones that a later one still feels.

    Given these, the sites from i on and the rest of those before it are independent, so that no other context
    can help. On a periodic square lattice in row-major order it is row 0, the row above from this column on
    and this row up to it; on a ring the first site and the last one before.

    Args:
        bonds: not zero where two sites interact, ``(sites, sites)``, symmetric.

    Raises:
        ValueError: no sites, or a pair with a bond one way only.

    >>> ring = torch.tensor([[0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0]])
    >>> frontier(ring).int()
    tensor([[0, 0, 0, 0],
            [1, 0, 0, 0],
            [1, 1, 0, 0],
            [1, 0, 1, 0]], dtype=torch.int32)
    """
    check_values("bonds", bonds, ("sites", len(bonds)))
    check_counts(sites=len(bonds))
    joined = torch.as_tensor(bonds) != 0
    if not torch.equal(joined, joined.mT):
        raise ValueError(
            "bonds: got two sites with a bond one way only, expected a symmetric matrix; "
            "take bonds + bonds.mT"
        )
    number = torch.arange(len(joined), device=joined.device)
    last = torch.where(joined, number, -1).amax(1)  # the last site that feels this one
    return (number < number[:, None]) & (number[:, None] <= last)


class MADE(nn.Module):
    r"""An autoregressive network with one hidden layer, of tanh units that belong to a site each.

    With the values c that site i sees, the raw parameters of its distribution are

    .. math:: r_i(c) = S_i c + V_i \tanh(U_i c + b_i) + d_i .

    For spins S is the triangular matrix of a linear network; it may start from couplings, since the field of
    the neighbours seen is the logit of the conditional but for those to come.

    Args:
        sites: number of sites.
        hidden: hidden units a site, 0 for none.
        conditional: the distribution of a site: spins ``"bernoulli"``, real numbers ``"gaussian_mixture"``,
            angles ``"von_mises"`` or ``"beta"``; see :mod:`nnbook.fields.conditionals`.
        components: of a mixture; not used for spins.
        context: which sites each site sees, ``(sites, sites)``; all before it if absent.
        couplings: K of spins with weight :math:`\exp \frac12 \sum K_{ij} s_i s_j`, ``(sites, sites)``, from
            which :math:`S_{ij} = 2 K_{ij}` starts; of angles with
            :math:`\exp \frac12 \sum K_{ij} \cos(\theta_i - \theta_j)`, whose von Mises components start from
            the field of the neighbours seen; zero if absent.
        odd: whether x and -x shall be equally probable, exactly. A network of spins has no biases then; that
            of a mixture is asked twice.
        generator: source of the random numbers; PyTorch's global one if absent.
        dtype, device: of the parameters.

    Raises:
        ValueError: an unknown conditional, a context that sees later sites, couplings of no spins, odd
            angles.

    >>> net = MADE(16, 4, conditional="bernoulli", generator=torch.Generator().manual_seed(1))
    >>> spins = net.sample(3, generator=torch.Generator().manual_seed(2))
    >>> net.log_prob(spins).shape
    torch.Size([3])
    """

    def __init__(
        self,
        sites: int,
        hidden: int,
        *,
        conditional: Kind = "bernoulli",
        components: int = 4,
        context: Tensor | None = None,
        couplings: Tensor | None = None,
        odd: bool = False,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        check_counts(sites=sites)
        check_counts(least=0, hidden=hidden)
        self.sites, self.odd = sites, odd
        self.conditional = _conditional(conditional, components)
        spins = isinstance(self.conditional, Bernoulli)
        seen = _checked(
            torch.ones(sites, sites, device="cpu").tril(-1) if context is None else context.cpu(), sites
        )
        self.index = nn.Buffer(_padded(seen).to(device))
        features, outputs = self.conditional.features, self.conditional.outputs
        width = self.index.shape[1] * features
        there = (self.index.cpu() < sites).repeat_interleave(features, 1).double()[:, None]
        scale = 0.5 / there.sum(2, keepdim=True).clamp(min=1).sqrt()
        rows = torch.tensor([0.0] * outputs + [1.0] * hidden, dtype=torch.float64, device="cpu")[:, None]

        def draw(shape: tuple[int, ...], std: float, factor: Tensor | float = 1.0) -> nn.Parameter:
            numbers = random_parameter((sites, *shape), std, generator=generator, device="cpu") * factor
            return nn.Parameter(numbers.detach().to(dtype).to(device))

        self.inward = draw((outputs + hidden, width), 1.0, rows * scale * there)  # S above U
        self.outward = draw((outputs, hidden), 0.01)
        self.bias = None if odd and spins else draw((outputs + hidden, 1), 0.5, rows)
        if self.bias is not None:
            with torch.no_grad():
                self.bias[:, :outputs] += self.conditional.start().to(self.bias)[:, None]
            if odd:
                self.conditional.symmetric(*[self.bias[:, :outputs]] * 2)  # angles refuse
        if couplings is not None:
            self._couple(couplings)

    @torch.no_grad()
    def _couple(self, couplings: Tensor) -> None:
        response = self.conditional.response().to(self.inward)
        check_values("couplings", couplings, (self.sites, self.sites))
        padded = torch.cat([couplings, couplings.new_zeros(self.sites, 1)], 1).to(self.inward)
        seen = padded.gather(1, self.index)  # a site reads all features of one site, then of the next
        self.inward[:, : len(response)] = torch.einsum("ij,of->iojf", seen, response).flatten(2)

    @property
    def parameter_count(self) -> int:
        """Parameters that do something; what a site does not see has none."""
        contexts = int((self.index < self.sites).sum()) * self.conditional.features
        biases = 0 if self.bias is None else self.bias.numel()
        return contexts * self.inward.shape[1] + self.outward.numel() + biases

    def _raw(self, seen: Tensor, *weights: Tensor) -> Tensor:
        """The raw parameters of one site or all, from the features of what is seen."""
        context = seen.flatten(-3, -2)
        if self.odd and len(weights) > 2:
            return self.conditional.symmetric(_network(context, *weights), _network(-context, *weights))
        return _network(context, *weights)

    def _weights(self) -> Sequence[Tensor]:
        return [self.inward, self.outward] + ([] if self.bias is None else [self.bias])

    def conditionals(self, x: Tensor | Array) -> Tensor:
        r""":math:`\ln p(x_i \mid x_{<i})` of each site, ``(batch, sites)``."""
        check_values("x", x, ("batch", self.sites))
        values = like(x, self.inward).mT
        if wrong := self.conditional.supports(values):
            raise ValueError(f"x: got values that have no probability, {wrong}")
        read = self.conditional.read(values)
        read = torch.cat([read, torch.zeros_like(read[:1])])
        return self.conditional.log_prob(self._raw(read[self.index], *self._weights()), values).mT

    def log_prob(self, x: Tensor | Array) -> Tensor:
        r""":math:`\ln p_\theta(x)`, ``(batch,)``, of configurations ``(batch, sites)``.

        Raises:
            ValueError: another shape, values that are not finite or that have no probability.
        """
        return self.conditionals(x).sum(1)

    forward = log_prob

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator) -> Tensor:
        """Independent configurations, ``(n, sites)``."""
        check_counts(n=n)
        x = self.inward.new_zeros(self.sites, n)
        read = self.inward.new_zeros(self.sites + 1, self.conditional.features, n)
        for site, (index, *weights) in enumerate(zip(self.index, *self._weights(), strict=True)):
            x[site] = self.conditional.sample(
                self._raw(read.index_select(0, index), *weights), generator=generator
            )
            read[site] = self.conditional.read(x[site])
        return x.mT


def _network(context: Tensor, inward: Tensor, outward: Tensor, bias: Tensor | None = None) -> Tensor:
    inside = inward @ context if bias is None else inward @ context + bias
    linear, units = inside.split(outward.shape[-2:], -2)  # slices would be copied twice on the way back
    raw: Tensor = linear + outward @ units.tanh()
    return raw


def _conditional(name: str, components: int) -> Conditional:
    if name not in CONDITIONALS:
        raise ValueError(f"conditional: got {name!r}, expected one of {', '.join(CONDITIONALS)}")
    conditional: Conditional = Bernoulli() if name == "bernoulli" else CONDITIONALS[name](components)
    return conditional


def _checked(context: Tensor, sites: int) -> Tensor:
    check_values("context", context, (sites, sites))
    context = context.bool()
    if bool(context.triu().any()):
        raise ValueError("context: got a site that sees itself or later ones, expected earlier ones only")
    return context


def _padded(context: Tensor) -> Tensor:
    """The sites that each site sees, ``(sites, most)``; where there are fewer, a number beyond the last."""
    sites, most = len(context), max(1, int(context.sum(1).max()))
    order = torch.where(context, torch.arange(sites, device="cpu"), sites).sort(1).values
    return order[:, :most].clone()

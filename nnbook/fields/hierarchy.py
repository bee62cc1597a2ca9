r"""Renormalisation run backwards: a hierarchy of bijectors that makes a field from independent noise.

At each scale a *decimator* joins one coarse variable and three new ones to a block of 2 x 2 sites, and a
*disentangler* acts on blocks shifted by a site. Both are :class:`Block`, one set of weights for all blocks of
a layer. Drawn as a network it is a multi-scale entanglement renormalisation ansatz
:cite:p:`vidal2007,hu2020`. Every layer is invertible, so the density of the field is known,

.. math:: \phi = G(\zeta), \qquad
          \ln q(\phi) = \ln p(\zeta) - \ln\left|\det\frac{\partial G}{\partial\zeta}\right| .
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, cast

import torch
from torch import Tensor, nn

from nnbook.arrays import check_counts, check_input
from nnbook.networks import random_parameter

Symmetry = Literal["Z2", "U(1)", "none"]

#: Real components of a site for each symmetry that a bijector can have.
COMPONENTS: dict[str, int] = {"Z2": 1, "U(1)": 2, "none": 1}

# The two sites of a block that change, and the two that they look at: rows, columns, diagonals.
_SPLITS = ((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2))


class Block(nn.Module):
    r"""A bijector of four sites: couplings in which two sites change, as the other two tell them.

    Each coupling is, with the sites a that change and the sites b that do not,

    .. math:: a \to a\, e^{c + W\,|y|^2/(1 + |y|^2)} + T b + V \frac{y}{\sqrt{1 + |y|^2}},
              \qquad y = U b .

    A site has one real component, or two, the parts of a complex number; :math:`|y|^2` adds them up. As
    matrices act on sites only, turning all sites by a sign or a phase turns the result: the symmetry holds
    exactly, whatever the weights. Its inverse and its Jacobian are known in closed form
    :cite:p:`dinh2017`. It starts as the identity.

    Args:
        couplings: how many there are.
        hidden: units y of each.
        symmetry: ``"Z2"``, ``"U(1)"``, or ``"none"``, where y and the shift have constants, too.
        generator: source of the random numbers; PyTorch's global one if absent.
        dtype, device: of the parameters.

    Raises:
        ValueError: a count below 1, an unknown symmetry.

    >>> block = Block(4, 2, generator=torch.Generator().manual_seed(1))
    >>> block(torch.ones(5, 4, 1, dtype=torch.float64))[0].shape
    torch.Size([5, 4, 1])
    """

    scale: Tensor
    linear: Tensor
    inward: Tensor
    outward: Tensor
    stretch: Tensor
    offset: Tensor
    shift: Tensor

    def __init__(
        self,
        couplings: int = 4,
        hidden: int = 2,
        *,
        symmetry: Symmetry = "Z2",
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        check_counts(couplings=couplings, hidden=hidden)
        if symmetry not in COMPONENTS:
            raise ValueError(f"symmetry: got {symmetry!r}, expected one of {', '.join(COMPONENTS)}")
        self.components, biased = COMPONENTS[symmetry], symmetry == "none"
        stds = {"scale": (2, 0.0), "linear": (2, 2, 0.0), "inward": (hidden, 2, 1.0)}
        stds |= {"outward": (2, hidden, 0.0), "stretch": (2, hidden, 0.0)}
        stds |= {"offset": (hidden, 1.0), "shift": (2, 0.0)} if biased else {}
        options = {"generator": generator, "dtype": dtype, "device": device}
        for name, (*shape, std) in stds.items():
            draw = random_parameter((couplings, *map(int, shape)), std, **options)  # type: ignore[arg-type]
            self.register_parameter(name, draw)

    def _moves(self, k: int, seen: Tensor) -> tuple[Tensor, Tensor]:
        """The logarithm of the factor, and the shift, of the two sites that change in coupling k."""
        y = self.inward[k] @ seen
        if "offset" in self._parameters:
            y = y + self.offset[k, :, None]
        square = y.square().sum(-1, keepdim=True)
        shift = self.linear[k] @ seen + self.outward[k] @ (y * (1 + square).rsqrt())
        if "offset" in self._parameters:
            shift = shift + self.shift[k, :, None]
        return self.scale[k, :, None] + self.stretch[k] @ (square / (1 + square)), shift

    def forward(self, block: Tensor) -> tuple[Tensor, Tensor]:
        """Blocks ``(..., 4, components)`` transformed, and the log-determinant of each, ``(...)``."""
        self._check(block)
        sites, log_det = list(block.unbind(-2)), block.new_zeros(())
        for k in range(len(self.scale)):
            (a, b) = _split(k)
            scale, shift = self._moves(k, torch.stack([sites[j] for j in b], -2))
            moved = torch.stack([sites[j] for j in a], -2) * scale.exp() + shift
            sites[a[0]], sites[a[1]] = moved.unbind(-2)
            log_det = log_det + self.components * scale.sum((-2, -1))
        return torch.stack(sites, -2), log_det

    def inverse(self, block: Tensor) -> tuple[Tensor, Tensor]:
        """The blocks ``(..., 4, components)`` that :meth:`forward` sends here, and its log-determinant."""
        self._check(block)
        sites, log_det = list(block.unbind(-2)), block.new_zeros(())
        for k in reversed(range(len(self.scale))):
            (a, b) = _split(k)
            scale, shift = self._moves(k, torch.stack([sites[j] for j in b], -2))
            moved = (torch.stack([sites[j] for j in a], -2) - shift) * (-scale).exp()
            sites[a[0]], sites[a[1]] = moved.unbind(-2)
            log_det = log_det + self.components * scale.sum((-2, -1))
        return torch.stack(sites, -2), log_det

    def _check(self, block: Tensor) -> None:
        check_input("block", block, self.components, self.scale)
        if block.shape[-2:] != (4, self.components):
            raise ValueError(
                f"block: got shape {tuple(block.shape)}, expected (..., 4, {self.components}), the sites of "
                "2 x 2 row by row"
            )


def _split(k: int) -> tuple[tuple[int, int], tuple[int, int]]:
    one, other = _SPLITS[k // 2 % 3]
    return (one, other) if k % 2 == 0 else (other, one)


def _blocks(lattice: Tensor, shift: int) -> Tensor:
    """Blocks of 2 x 2 sites ``(batch, blocks, 4, components)`` of a lattice, from the site ``shift`` on."""
    if shift:
        lattice = lattice.roll((-shift, -shift), (1, 2))
    batch, length, _, parts = lattice.shape
    four = lattice.reshape(batch, length // 2, 2, length // 2, 2, parts).transpose(2, 3)
    return four.reshape(batch, (length // 2) ** 2, 4, parts)


def _lattice(blocks: Tensor, shift: int) -> Tensor:
    """The lattice whose :func:`_blocks` these are."""
    batch, count, _, parts = blocks.shape
    half = math.isqrt(count)
    four = blocks.reshape(batch, half, half, 2, 2, parts).transpose(2, 3)
    lattice = four.reshape(batch, 2 * half, 2 * half, parts)
    return lattice.roll((shift, shift), (1, 2)) if shift else lattice


class Hierarchy(nn.Module):
    r"""A field on :math:`L \times L` sites from noise, scale by scale, the coarsest first.

    The noise lives on the same sites. Site (i, j) enters at the coarsest scale whose spacing
    :math:`2^k` divides i and j; the coarsest has 2 x 2 sites. At each scale :math:`2 \times` ``depth``
    layers of blocks follow, without and with a shift by one site in turn: decimator, disentangler, and so on.

    Attributes:
        length: sites a side L.
        depth: pairs of layers at each scale.
        layers: the bijectors, ``layers[k][j]`` at scale k, where the spacing is :math:`2^k`.

    Args:
        length: L, a power of two.
        depth: see above.
        couplings, hidden, symmetry, generator, dtype, device: of each :class:`Block`.

    Raises:
        ValueError: a length that is no power of two, an unknown symmetry, a count below 1.

    >>> flow = Hierarchy(4, generator=torch.Generator().manual_seed(1))
    >>> x = flow.sample(3, generator=torch.Generator().manual_seed(2))
    >>> flow.log_prob(x).shape
    torch.Size([3])
    """

    def __init__(
        self,
        length: int,
        *,
        depth: int = 2,
        couplings: int = 4,
        hidden: int = 2,
        symmetry: Symmetry = "Z2",
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        check_counts(least=2, length=length)
        check_counts(depth=depth)
        if length & (length - 1):
            raise ValueError(
                f"length: got {length}, expected a power of two, as blocks of 2 x 2 become sites"
            )
        self.length, self.depth = length, depth
        self.layers = nn.ModuleList(
            nn.ModuleList(
                Block(couplings, hidden, symmetry=symmetry, generator=generator, dtype=dtype, device=device)
                for _ in range(2 * depth)
            )
            for _ in range(length.bit_length() - 1)
        )
        self.components = COMPONENTS[symmetry]

    def blocks(self, scale: int) -> list[Block]:
        """The bijectors at a scale, in the order in which the noise meets them."""
        check_counts(least=0, scale=scale)
        if scale >= len(self.layers):
            raise ValueError(f"scale: got {scale}, expected at most {len(self.layers) - 1}")
        return list(cast(Iterable[Block], self.layers[scale]))

    @property
    def width(self) -> int:
        """Real numbers of a configuration, sites times components."""
        return self.length**2 * self.components

    @property
    def parameter_count(self) -> int:
        """Number of parameters; it grows with the logarithm of the size."""
        return sum(p.numel() for p in self.parameters())

    def scales(self) -> Tensor:
        """The scale k at which each number of the noise enters, ``(width,)``."""
        number = torch.arange(self.length, device="cpu")
        scale = torch.zeros(self.length, self.length, dtype=torch.int64, device="cpu")
        for k in range(1, len(self.layers)):
            there = number % 2**k == 0
            scale[there[:, None] & there] = k
        return scale.flatten().repeat_interleave(self.components)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The field ``(batch, width)`` of noise ``(batch, width)``, and its log-determinant ``(batch,)``."""
        noise = self._sites("z", z)
        lattice, log_det = noise.new_zeros(len(z), 1, 1, self.components), noise.new_zeros(())
        for k in reversed(range(len(self.layers))):
            blocks = _blocks(noise[:, :: 2**k, :: 2**k], 0)
            if k < len(self.layers) - 1:  # one of the four comes from the scale above
                coarse = lattice.reshape(len(z), blocks.shape[1], 1, self.components)
                blocks = torch.cat([coarse, blocks[:, :, 1:]], 2)
            lattice = _lattice(blocks, 0)
            for j, layer in enumerate(self.blocks(k)):
                blocks, change = layer(_blocks(lattice, j % 2))
                lattice, log_det = _lattice(blocks, j % 2), log_det + change.sum(-1)
        return lattice.flatten(1), log_det

    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The noise ``(batch, width)`` of a field, and the log-determinant of :meth:`forward` there."""
        lattice = self._sites("x", x)
        noise, log_det = lattice.clone(), lattice.new_zeros(())
        for k in range(len(self.layers)):
            for j in reversed(range(2 * self.depth)):
                blocks, change = self.blocks(k)[j].inverse(_blocks(lattice, j % 2))
                lattice, log_det = _lattice(blocks, j % 2), log_det + change.sum(-1)
            noise[:, :: 2**k, :: 2**k] = lattice
            lattice = lattice[:, ::2, ::2]
        return noise.flatten(1), log_det

    def coarse(self, x: Tensor, scale: int) -> Tensor:
        """The field after ``scale`` steps of renormalisation, ``(batch, sites, components)`` there.

        Raises:
            ValueError: a scale beyond the coarsest.
        """
        check_counts(least=0, scale=scale)
        self.blocks(scale)
        lattice = self._sites("x", x)
        for k in range(scale):
            for j in reversed(range(2 * self.depth)):
                lattice = _lattice(self.blocks(k)[j].inverse(_blocks(lattice, j % 2))[0], j % 2)
            lattice = lattice[:, ::2, ::2]
        return lattice.flatten(1, 2)

    def log_prior(self, z: Tensor) -> Tensor:
        """The logarithm of the density of the noise, a normal distribution of variance one, ``(batch,)``."""
        self._sites("z", z)
        return -0.5 * (z.square() + math.log(2 * math.pi)).sum(1)

    def log_prob(self, x: Tensor) -> Tensor:
        r""":math:`\ln q(x)`, ``(batch,)``, of fields ``(batch, width)``."""
        z, log_det = self.inverse(x)
        return self.log_prior(z) - log_det

    def noise(self, n: int, *, generator: torch.Generator) -> Tensor:
        """Independent noise, ``(n, width)``."""
        check_counts(n=n)
        like = next(self.parameters())
        draw = torch.randn(n, self.width, generator=generator, device=generator.device, dtype=torch.float64)
        return draw.to(like)

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator) -> Tensor:
        """Independent fields, ``(n, width)``."""
        return self.forward(self.noise(n, generator=generator))[0]

    def _sites(self, name: str, x: Tensor) -> Tensor:
        check_input(name, x, self.width, next(self.parameters()))
        if x.ndim != 2:
            raise ValueError(f"{name}: got shape {tuple(x.shape)}, expected (batch, {self.width})")
        return x.reshape(len(x), self.length, self.length, self.components)

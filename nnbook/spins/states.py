r"""Networks as wave functions of spins: mean field, Jastrow, restricted Boltzmann machines.

Each state is a module that maps configurations ``(batch, N)`` of :math:`s_i = \pm 1` to :math:`\log\psi(s)`
``(batch,)``. Real parameters give positive wave functions, complex ones any sign and phase.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import grad, vmap

from nnbook.arrays import check_counts, check_indices, check_numbers, check_values
from nnbook.networks import as_function, assign, flatten, jacobian, random_parameter
from nnbook.spins.lattices import Lattice, checked_spins
from nnbook.spins.tensors import warned_of_overflow


class LogState(nn.Module):
    """Base class of states that return their logarithm; a subclass has to define ``forward`` only."""

    def derivatives(self, spins: Tensor) -> Tensor:
        r"""Logarithmic derivatives :math:`O_k(s) = \partial\log\psi(s)/\partial\theta_k`.

        By automatic differentiation, ``(batch, parameters)``, in the order of
        :func:`~nnbook.networks.flatten`; complex where :math:`\log\psi` is. Complex parameters have to enter
        holomorphically: PyTorch's gradient of the real part is the conjugate of O then.
        """
        function, params = as_function(self), flatten(self)
        if not params.is_complex():
            if not function(params, spins[:1]).is_complex():
                return jacobian(function, params, spins)[1]
            parts = jacobian(lambda vector, s: torch.view_as_real(function(vector, s)), params, spins)[1]
            return torch.complex(*parts.unbind(1))

        def real_part(vector: Tensor, sample: Tensor) -> Tensor:
            return function(vector, sample[None])[0].real

        rows: Tensor = vmap(grad(real_part), in_dims=(None, 0))(params, spins)
        return rows.conj().resolve_conj()


def log_2cosh(x: Tensor) -> Tensor:
    """The logarithm of 2 cosh x without overflow, for real and complex x."""
    z = torch.where(x.real < 0, -x, x)
    return z + torch.log1p((-2 * z).exp())


class Amplitude(nn.Module):
    r"""The wave function :math:`\psi` itself, for methods that enumerate all configurations."""

    def __init__(self, state: LogState) -> None:
        super().__init__()
        self.state = state

    def forward(self, spins: Tensor) -> Tensor:
        """Map ``(batch, N)`` to ``(batch,)``."""
        return warned_of_overflow("amplitudes", self.state(spins).exp())


class MeanField(LogState):
    r"""Independent spins, :math:`\log\psi = \sum_i a_i s_i`.

    Args:
        sites: number of spins N.
        generator: source of the random start; PyTorch's global one if absent.
        dtype, device: of the parameters.
    """

    def __init__(
        self,
        sites: int,
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        check_counts(sites=sites)
        self.field = random_parameter((sites,), 0.1, generator=generator, dtype=dtype, device=device)

    def forward(self, spins: Tensor) -> Tensor:
        """Map ``(batch, N)`` to ``(batch,)``."""
        return checked_spins(spins, len(self.field)).to(self.field.dtype) @ self.field


class Jastrow(MeanField):
    r"""Pairs of spins :cite:p:`jastrow1955`, :math:`\log\psi = \sum_i a_i s_i + \sum_{i<j} J_{ij} s_i s_j`.

    Args:
        sites, generator, dtype, device: see :class:`MeanField`.
    """

    def __init__(
        self,
        sites: int,
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> None:
        start: Any = {"generator": generator, "dtype": dtype, "device": device}
        super().__init__(sites, **start)
        self.coupling = random_parameter((sites * (sites - 1) // 2,), 0.1, **start)
        self.register_buffer("pairs", torch.triu_indices(sites, sites, 1, device=self.field.device))

    def forward(self, spins: Tensor) -> Tensor:
        """Map ``(batch, N)`` to ``(batch,)``."""
        s = checked_spins(spins, len(self.field)).to(self.field.dtype)
        first, second = self.get_buffer("pairs")
        return s @ self.field + (s[..., first] * s[..., second]) @ self.coupling


class RestrictedBoltzmannMachine(LogState):
    r"""A restricted Boltzmann machine of :math:`\pm 1` units, its hidden units summed :cite:p:`carleo2017`.

    .. math:: \psi(s) = \sum_h e^{a\cdot s + h\cdot\theta(s)} = e^{a\cdot s} \prod_j 2\cosh\theta_j, \qquad
              \theta_j = b_j + \sum_i W_{ji} s_i

    With a symmetry group of permutations g, each filter w stands for as many hidden units as the group has
    elements, :math:`\theta_{fg} = b_f + \sum_i w_{fi}\, s_{g(i)}`, and :math:`\psi(s)` is invariant. Visible
    biases are left out then.

    Args:
        sites: number of spins N.
        filters: hidden units M, or filters if there are permutations; with the N translations of a lattice
            this is the :math:`\alpha = M/N` of the literature.
        permutations: the group, ``(elements, N)``, for example
            :attr:`nnbook.spins.lattices.Lattice.translations`.
        biases: without them, :math:`\psi(-s) = \psi(s)`.
        scale: standard deviation of the random start.
        generator: source of the random start; PyTorch's global one if absent.
        dtype: real for a positive wave function, complex for any other.
        device: of the parameters.

    Raises:
        ValueError: a size below 1, rows that are no permutations of the sites.

    >>> RestrictedBoltzmannMachine(4, 8)(torch.ones(5, 4)).shape
    torch.Size([5])
    """

    def __init__(
        self,
        sites: int,
        filters: int,
        *,
        permutations: Tensor | None = None,
        biases: bool = True,
        scale: float = 0.02,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        check_counts(sites=sites, filters=filters)
        group = torch.arange(sites, device="cpu")[None] if permutations is None else permutations
        check_indices("permutations", group, width=(sites,), count=sites)
        if not torch.equal(group.sort(1)[0], torch.arange(sites, device=group.device).expand_as(group)):
            raise ValueError("permutations: got a row with a site twice, expected each site once in a row")
        draw = partial(random_parameter, generator=generator, dtype=dtype, device=device)
        self.weight = draw((filters, sites), scale)
        self.hidden_bias = draw((filters,), scale) if biases else None
        self.visible_bias = None
        if biases and permutations is None:
            self.visible_bias = draw((sites,), scale)
        self.register_buffer("group", group.to(self.weight.device))
        self.register_buffer("inverse", group.argsort(1).to(self.weight.device))
        self._torus = _torus(group)

    @classmethod
    def of(cls, weight: Tensor, visible_bias: Tensor, hidden_bias: Tensor) -> RestrictedBoltzmannMachine:
        """The machine with these weights ``(M, N)`` and biases ``(N,)`` and ``(M,)``; copies.

        Raises:
            ValueError: not as many biases as rows and columns of weights, or numbers that are not finite.
        """
        for name, part in (("weight", weight), ("visible_bias", visible_bias), ("hidden_bias", hidden_bias)):
            check_numbers(name, part)
        check_values("weight", weight, ("hidden", "sites"), real=False)
        filters, sites = weight.shape
        check_values("visible_bias", visible_bias, (sites,), real=False)
        check_values("hidden_bias", hidden_bias, (filters,), real=False)
        machine = cls(sites, filters, generator=torch.Generator(), dtype=weight.dtype, device=weight.device)
        assign(machine, torch.cat([weight.reshape(-1), hidden_bias, visible_bias]).detach())
        return machine

    def units(self) -> tuple[Tensor, Tensor, Tensor]:
        """Visible biases ``(N,)``, hidden biases ``(M,)`` and weights ``(M, N)`` of all hidden units."""
        weight = self.weight[:, self.get_buffer("inverse")].flatten(0, 1)
        elements = len(self.get_buffer("group"))
        hidden, visible = weight.new_zeros(len(weight)), weight.new_zeros(weight.shape[1])
        if self.hidden_bias is not None:
            hidden = self.hidden_bias.repeat_interleave(elements)
        return visible if self.visible_bias is None else self.visible_bias, hidden, weight

    def forward(self, spins: Tensor) -> Tensor:
        """Map ``(batch, N)`` to ``(batch,)``."""
        visible, hidden, weight = self.units()
        s = checked_spins(spins, len(visible)).to(weight.dtype)
        return s @ visible + log_2cosh(s @ weight.T + hidden).sum(-1)

    @torch.no_grad()
    def derivatives(self, spins: Tensor) -> Tensor:
        r"""Logarithmic derivatives ``(batch, parameters)``.

        .. math:: O_{w_{fi}} = \sum_g \tanh\theta_{fg}\, s_{g(i)}, \quad
                  O_{b_f} = \sum_g \tanh\theta_{fg}, \quad O_{a_i} = s_i

        With all translations of a periodic lattice the first sum is a correlation, by fast Fourier transform.
        """
        visible, hidden, weight = self.units()
        s, group = checked_spins(spins, len(visible), rows=True).to(weight.dtype), self.get_buffer("group")
        tanh = (s @ weight.T + hidden).tanh().unflatten(1, (-1, len(group)))
        if self._torus is None:
            parts = [torch.bmm(tanh, s[:, group]).flatten(1)]
        else:
            on_lattice = tanh.unflatten(2, self._torus), s[:, None].unflatten(2, self._torus)
            parts = [_correlate(*on_lattice, dims=len(self._torus)).flatten(1)]
        parts += [] if self.hidden_bias is None else [tanh.sum(2)]
        parts += [] if self.visible_bias is None else [s]
        return torch.cat(parts, 1)


@torch.no_grad()
def enlarge(
    machine: RestrictedBoltzmannMachine, smaller: Lattice, larger: Lattice
) -> RestrictedBoltzmannMachine:
    """A translation-invariant machine for a larger lattice, its filters surrounded by zeros.

    What a filter learns is local, so that the larger lattice starts close to its ground state.

    Args:
        machine: a machine with the translations of ``smaller``.
        smaller, larger: periodic lattices of the same dimension, the second at least as large as the first.

    Raises:
        ValueError: a machine of another lattice, or a larger lattice that is not larger.
    """
    if machine.weight.shape[1] != smaller.sites or len(machine.get_buffer("group")) != smaller.sites:
        raise ValueError(
            f"machine: got one of {machine.weight.shape[1]} sites and {len(machine.get_buffer('group'))} "
            f"permutations, expected the {smaller.sites} translations of the smaller lattice"
        )
    extents = list(zip(smaller.shape, larger.shape, strict=False))
    if len(smaller.shape) != len(larger.shape) or any(a > b for a, b in extents):
        raise ValueError(
            f"larger: got shape {larger.shape}, expected one at least as large as {smaller.shape}"
        )
    grown = RestrictedBoltzmannMachine(
        larger.sites,
        len(machine.weight),
        permutations=larger.translations,
        biases=machine.hidden_bias is not None,
        dtype=machine.weight.dtype,
        device=machine.weight.device,
    )
    filters = torch.stack([_centred(f.view(smaller.shape)) for f in machine.weight])
    padding = [gap for a, b in reversed(extents) for gap in (b // 2 - a // 2, b - a - b // 2 + a // 2)]
    grown.weight.copy_(torch.nn.functional.pad(filters, padding).flatten(1))
    if machine.hidden_bias is not None and grown.hidden_bias is not None:
        grown.hidden_bias.copy_(machine.hidden_bias)
    return grown


def _centred(weights: Tensor) -> Tensor:
    """Shift a filter so that its largest weight lies in the middle."""
    peak = torch.unravel_index(weights.abs().argmax(), weights.shape)
    shifts = [n // 2 - int(p) for n, p in zip(weights.shape, peak, strict=True)]
    return weights.roll(shifts, tuple(range(weights.ndim)))


def _torus(group: Tensor) -> tuple[int, ...] | None:
    """Shape of the periodic chain or square lattice whose translations these are, or None."""
    sites = group.shape[1]
    for shape in ((sites,), (math.isqrt(sites),) * 2):
        if math.prod(shape) == sites:
            torus = Lattice(sites, torch.empty(0, 2, dtype=torch.long, device="cpu"), shape, "periodic")
            if torch.equal(torus.translations, group.cpu()):
                return shape
    return None


def _correlate(first: Tensor, second: Tensor, *, dims: int) -> Tensor:
    """The sum over g of first(g) second(i + g) on a torus, its extents the last dimensions."""
    axes = tuple(range(-dims, 0))
    if first.is_complex():
        spectrum = torch.fft.fftn(second, dim=axes) * torch.fft.fftn(first.conj(), dim=axes).conj()
        total: Tensor = torch.fft.ifftn(spectrum, dim=axes)
    else:
        spectrum = torch.fft.rfftn(second, dim=axes) * torch.fft.rfftn(first, dim=axes).conj()
        total = torch.fft.irfftn(spectrum, s=first.shape[-dims:], dim=axes)
    return total

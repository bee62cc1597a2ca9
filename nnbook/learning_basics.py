r"""What the chapter *Learning from data* reads.

Nuclear masses and the tables that predict them (:func:`nuclear_masses`), Gaussian processes on what a table
misses (:func:`condition`), weights of an average of tables (:func:`mixture_weights`); and two generative
models of spins that can be held to exact numbers, a variational autoencoder (:class:`Autoencoder`) and a
diffusion whose drift is a magnetisation in a field (:func:`localise`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from nnbook.arrays import check_columns, check_counts, check_numbers, check_values, finite, like, positive
from nnbook.exact.enumerate import configurations
from nnbook.exact.ising2d import BETA_C, torus
from nnbook.exact.transfer import IsingRows
from nnbook.fields.actions import Ising
from nnbook.networks import MLP, flatten, random_parameter
from nnbook.train.first_order import fit
from nnbook.train.gauss_newton import ConvexLoss
from nnbook.train.linear_method import minimise

__all__ = ["BETA_C", "Ising", "IsingRows", "configurations", "torus"]
__all__ += ["MLP", "ConvexLoss", "fit", "flatten", "minimise"]
__all__ += [
    "TABLES",
    "Nuclei",
    "Process",
    "Staggered",
    "condition",
    "fit_kernel",
    "liquid_drop",
    "mixture_weights",
]
__all__ += ["most_bound", "nuclear_masses", "outermost"]
__all__ += ["Autoencoder", "Response", "field_response", "localise"]

#: Mass excesses of the hydrogen atom and of the neutron, MeV.
HYDROGEN, NEUTRON = 7.288971, 8.071317
#: The published mass tables of the data file, in its order.
TABLES = ("Duflo-Zuker", "FRDM-95", "HFB-26", "WS3-2010", "WS3-2011", "SVM-13")


# Nuclear masses


@dataclass(frozen=True, eq=False)
class Nuclei:
    """Nuclei, measured or predicted, one a row; what is not known is NaN.

    Attributes:
        z, n: protons and neutrons, ``(nuclei,)``.
        old, new: binding energies of the evaluations of 2012 and of 2020, MeV; measured ones only.
        error: the standard error of ``new``, MeV.
        listed: whether the package periodictable lists the nucleus as measured.
        tables: binding energies by the six published tables, MeV, ``(nuclei, 6)``.
    """

    z: Tensor
    n: Tensor
    old: Tensor
    new: Tensor
    error: Tensor
    listed: Tensor
    tables: Tensor

    @property
    def a(self) -> Tensor:
        """The mass number Z + N."""
        return self.z + self.n

    @property
    def heavy(self) -> Tensor:
        """Whether both Z and N are 8 or more, where the tables begin."""
        return (self.z >= 8) & (self.n >= 8)

    @property
    def place(self) -> Tensor:
        """Z and N, ``(nuclei, 2)``."""
        return torch.stack([self.z, self.n], 1)

    def __getitem__(self, rows: Tensor) -> Nuclei:
        return Nuclei(*(values[rows] for values in vars(self).values()))

    def __len__(self) -> int:
        return len(self.z)


def nuclear_masses(path: str | Path | None = None) -> Nuclei:
    r"""All nuclei of the data file; binding energies are :math:`B = Z\,\Delta_H + N\,\Delta_n - \Delta`.

    :math:`\Delta` is the mass excess of the atom; the binding of its electrons is left in B, as in the talk.

    Args:
        path: a file like ``nnbook/learning_basics.csv``, whose header says where its numbers come from.

    Raises:
        ValueError: other columns, or a row with another number of cells.

    >>> data = nuclear_masses()
    >>> float(data.new[(data.z == 82) & (data.n == 126)])
    1636.430...
    """
    place = Path(__file__).with_name("learning_basics.csv") if path is None else Path(path)
    head, *rows = [line for line in place.read_text().splitlines() if line and not line.startswith("#")]
    if not head.startswith("z,n,ame2012,ame2020,error,listed,"):
        raise ValueError(
            f"{place.name}: got the columns {head!r}, expected 'z,n,ame2012,ame2020,error,listed,' and tables"
        )
    cells = [[float(cell or "nan") for cell in row.split(",")] for row in rows]
    if wrong := [k for k, row in enumerate(cells) if len(row) != head.count(",") + 1]:
        raise ValueError(f"{place.name}: got {len(cells[wrong[0]])} cells in row {wrong[0]}, expected {head}")
    z, n, old, new, error, listed, *tables = torch.tensor(cells, dtype=torch.float64).mT
    free = z * HYDROGEN + n * NEUTRON
    published = free[:, None] - torch.stack(tables, 1)
    return Nuclei(z, n, free - old, free - new, error, listed > 0, published)


def most_bound(a: Tensor, per_nucleon: Tensor) -> Tensor:
    """The rows of the most bound nucleus of each mass number, ``(mass numbers,)``, lightest first.

    Raises:
        ValueError: columns of different lengths, numbers that are not finite.
    """
    check_columns(a=a, per_nucleon=per_nucleon)
    order = per_nucleon.argsort(descending=True)
    order = order[a[order].argsort(stable=True)]
    first = torch.cat([a.new_ones(1), a[order].diff()]) != 0
    return order[first]


#: Terms of the liquid drop by name, as functions of Z, N and A.
TERMS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "volume": lambda z, n, a: a,
    "surface": lambda z, n, a: -(a ** (2 / 3)),
    "Coulomb": lambda z, n, a: -z * (z - 1) / a ** (1 / 3),
    "asymmetry": lambda z, n, a: -((n - z) ** 2) / a,
    "pairing": lambda z, n, a: (1 - z % 2 - n % 2) / a.sqrt(),
    "surface asymmetry": lambda z, n, a: -((n - z) ** 2) / a ** (4 / 3),
    "curvature": lambda z, n, a: -(a ** (1 / 3)),
}


def liquid_drop(z: Tensor, n: Tensor, terms: int = 5) -> Tensor:
    r"""The design matrix of Bethe and Weizsäcker, ``(nuclei, terms)``, for the total binding energy.

    .. math:: B = a_V A - a_S A^{2/3} - a_C \frac{Z(Z-1)}{A^{1/3}} - a_A \frac{(N-Z)^2}{A}
                  + a_P \frac{\delta}{\sqrt A} \;\bigl[ - a_{AS} \frac{(N-Z)^2}{A^{4/3}} - a_K A^{1/3} \bigr]

    with :math:`\delta = 1, 0, -1` for even-even, odd and odd-odd nuclei :cite:p:`weizsacker1935`.

    Args:
        z, n: protons and neutrons.
        terms: how many of the seven, in this order.

    Raises:
        ValueError: columns of different lengths, no nucleon, a number of terms that is not from 1 to 7.
    """
    check_columns(z=z, n=n)
    check_columns(positive=True, a=z + n)
    check_counts(terms=terms)
    if terms > len(TERMS):
        raise ValueError(f"terms: got {terms}, expected at most {len(TERMS)}: {', '.join(TERMS)}")
    return torch.stack([term(z, n, z + n) for term in list(TERMS.values())[:terms]], 1)


def outermost(z: Tensor, n: Tensor, count: int = 2) -> Tensor:
    """Which nuclei are among the ``count`` lightest or heaviest isotopes of their element, ``(nuclei,)``.

    Raises:
        ValueError: columns of different lengths, a count below 1.
    """
    check_columns(z=z, n=n)
    check_counts(count=count)
    same = z[:, None] == z
    below = (same & (n < n[:, None])).sum(1)
    above = (same & (n > n[:, None])).sum(1)
    return torch.minimum(below, above) < count


# Gaussian processes

Kernel = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Staggered:
    r"""A smooth function of (Z, N), and smooth functions for even and odd Z, and for even and odd N.

    .. math:: k(x, x') = e^{-|x - x'|^2/2\ell^2} + w\, p\; e^{-|x - x'|^2/2\ell_p^2}

    p counts which of Z and N have the same parity in both nuclei: 0, 1 or 2.

    Attributes:
        length: :math:`\ell`, in nucleons.
        parity_length: :math:`\ell_p`.
        weight: w, zero for a plain squared exponential.

    Raises:
        ValueError: a length that is not above zero, a negative weight.
    """

    length: float
    parity_length: float = 4.0
    weight: float = 0.0

    def __post_init__(self) -> None:
        positive("length", self.length)
        positive("parity_length", self.parity_length)
        finite("weight", self.weight, least=0)

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """The covariances ``(n, m)`` of ``(n, 2)`` and ``(m, 2)``."""
        square = (x[:, :1] - y[:, 0]).square() + (x[:, 1:] - y[:, 1]).square()
        smooth = torch.exp(-square / (2 * self.length**2))
        if self.weight == 0:
            return smooth
        same = (x[:, :1] % 2 == y[:, 0] % 2).to(x) + (x[:, 1:] % 2 == y[:, 1] % 2).to(x)
        return smooth + self.weight * same * torch.exp(-square / (2 * self.parity_length**2))


@dataclass(frozen=True, eq=False)
class Process:
    r"""A Gaussian process after it has seen data; one factor serves several columns of data.

    Column c is :math:`y_c \sim N(0, \sigma_c^2 (K + \nu))`. The scale :math:`\sigma_c^2` that makes the
    evidence largest is known in closed form, :math:`y_c^T (K + \nu)^{-1} y_c / n`.

    Attributes:
        x: where the data are, ``(n, 2)``.
        kernel: gives K.
        noise: :math:`\nu`, relative to K.
        lower: the Cholesky factor of :math:`K + \nu`, ``(n, n)``.
        white: the data times its inverse, ``(n, columns)``.
    """

    x: Tensor
    kernel: Kernel
    noise: float
    lower: Tensor
    white: Tensor

    @property
    def scale(self) -> Tensor:
        r""":math:`\sigma_c`, ``(columns,)``."""
        return self.white.square().mean(0).sqrt()

    @property
    def evidence(self) -> Tensor:
        r"""The logarithm of the probability of the data at the best scale, ``(columns,)``."""
        n = len(self.x)
        log_det = 2 * self.lower.diagonal().log().sum()
        return -n * self.scale.log() - 0.5 * log_det - 0.5 * n * (1 + math.log(2 * math.pi))

    def predict(self, x: Tensor, minus: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The mean and the standard deviation of what would be measured at other places.

        Args:
            x: the places, ``(m, 2)``.
            minus: if given, of the difference to these, ``(m, 2)``, row by row.

        Returns:
            ``(m, columns)`` each.
        """
        check_values("x", x, ("m", self.x.shape[1]), dtype=self.x.dtype)
        check_counts(m=len(x))
        cross, prior = self.kernel(x, self.x), self._variance(x) + self.noise
        if minus is not None:
            check_values("minus", minus, tuple(x.shape), dtype=self.x.dtype)
            together = torch.cat([self.kernel(x[k : k + 1], minus[k : k + 1])[0] for k in range(len(x))])
            cross = cross - self.kernel(minus, self.x)
            prior = prior + self._variance(minus) + self.noise - 2 * together
        known = torch.linalg.solve_triangular(self.lower, cross.mT, upper=False)
        spread = (prior - known.square().sum(0)).clamp(min=0).sqrt()
        return known.mT @ self.white, spread[:, None] * self.scale

    def _variance(self, x: Tensor) -> Tensor:
        return self.kernel(x[:1], x[:1])[0].expand(len(x))


def condition(x: Tensor, y: Tensor, kernel: Kernel, noise: float) -> Process:
    """Let a stationary Gaussian process see data, by one Cholesky factorisation.

    Args:
        x: places ``(n, 2)``.
        y: data ``(n, columns)``.
        kernel: gives covariances ``(n, m)`` of two lists of places, in units of each column's scale.
        noise: the variance of independent noise in these units, above zero.

    Raises:
        ValueError: data of another length, no data, noise that is not above zero.

    >>> x = torch.tensor([[8.0, 8.0], [8.0, 9.0]], dtype=torch.float64)
    >>> process = condition(x, x[:, :1] - 7, Staggered(3.0), 1e-6)
    >>> [round(float(v), 2) for v in process.predict(x[:1] + 100)[0]]
    [0.0]
    """
    positive("noise", noise)
    check_counts(n=len(x))
    check_values("x", x, (len(x), 2))
    check_values("y", y, (len(x), "columns"), dtype=x.dtype, remedy="for one column add [:, None]")
    lower = torch.linalg.cholesky(kernel(x, x) + noise * torch.eye(len(x)).to(x))
    return Process(x, kernel, noise, lower, torch.linalg.solve_triangular(lower, y, upper=False))


def fit_kernel(
    x: Tensor, y: Tensor, start: Staggered, noise: float, *, evaluations: int = 40
) -> tuple[Staggered, float]:
    """The kernel and the noise that make the evidence of all columns together largest, by the simplex method.

    Args:
        x, y: data as for :func:`condition`.
        start, noise: where to begin; a weight of zero stays zero.
        evaluations: factorisations at most.

    Raises:
        ValueError: as :func:`condition`; evaluations below 1.
    """
    check_counts(evaluations=evaluations)
    parameters = [noise, start.length] + [start.parity_length, start.weight] * (start.weight > 0)

    def kernel(logs: np.ndarray) -> tuple[Staggered, float]:
        nu, *rest = np.exp(logs)
        return Staggered(*map(float, rest)), float(nu)

    def cost(logs: np.ndarray) -> float:
        return -float(condition(x, y, *kernel(logs)).evidence.sum())

    options = {"maxfev": evaluations, "xatol": 0.02, "fatol": 0.5}
    found = minimize(cost, np.log(parameters), method="Nelder-Mead", options=options)
    return kernel(found.x)


def mixture_weights(misses: Tensor, spread: Tensor, *, steps: int = 500) -> Tensor:
    r"""Weights of a Bayesian average of predictions, from data that these have not seen, ``(members,)``.

    They make :math:`\sum_j \ln\sum_c w_c\, N(d_{jc} \mid 0, s_{jc}^2)` largest, by expectation and maximising
    :cite:p:`raftery2005`.

    Args:
        misses: what each member misses, ``(data, members)``.
        spread: the standard deviations that it gives, as large.
        steps: of the iteration.

    Raises:
        ValueError: different shapes, a spread that is not above zero.
    """
    check_counts(data=len(misses), steps=steps)
    check_values("misses", misses, ("data", "members"))
    check_values("spread", spread, tuple(misses.shape), dtype=misses.dtype)
    check_columns(positive=True, spread=spread.flatten().double().repeat(2))
    log_density = -0.5 * (misses / spread).square() - spread.log()
    weights = torch.full_like(misses[0], 1 / misses.shape[1])
    for _ in range(steps):
        weights = (log_density + weights.log()).softmax(1).mean(0)
    return weights


# Generative models of spins


class Autoencoder(nn.Module):
    r"""A variational autoencoder of spins ±1 with few latent numbers :cite:p:`kingma2014vae`.

    .. math:: p(s) = \int dz\, N(z \mid 0, 1) \prod_i \frac1{1 + e^{-s_i \ell_i(z)}}, \qquad
              \ln p(s) \ge \Bigl\langle \ln\frac{p(s \mid z)\, N(z \mid 0, 1)}{q(z \mid s)} \Bigr\rangle_q

    Args:
        sites: spins of a configuration.
        latent: numbers z.
        hidden: units of the encoder q and of the decoder :math:`\ell`.
        generator: source of the random parameters.
        dtype: of the parameters.

    Raises:
        ValueError: a count below 1.
    """

    def __init__(
        self,
        sites: int,
        latent: int = 2,
        hidden: int = 64,
        *,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        check_counts(sites=sites, latent=latent, hidden=hidden)
        options = {"activation": "silu", "generator": generator, "dtype": dtype}
        self.sites, self.latent = sites, latent
        self.encoder = MLP(sites, (hidden,), 2 * latent, **options)  # type: ignore[arg-type]
        self.decoder = MLP(latent, (hidden,), sites, **options)  # type: ignore[arg-type]

    def _check(self, s: Tensor) -> None:
        check_values("s", s, ("batch", self.sites), dtype=self.decoder.linear()[0].weight.dtype)
        if not bool((s.abs() == 1).all()):
            raise ValueError("s: got numbers that are no spins, expected +1 and -1")

    def bound(self, s: Tensor, *, generator: torch.Generator) -> Tensor:
        """The bound on ln p of each configuration, from one z each, ``(batch,)``.

        Raises:
            ValueError: numbers other than +1 and -1, or of another shape or dtype.
        """
        self._check(s)
        mean, log_scale = self.encoder(s).chunk(2, dim=1)
        noise = torch.randn(mean.shape, generator=generator, dtype=torch.float64).to(mean)
        logits = self.decoder(mean + log_scale.exp() * noise)
        apart = 0.5 * (mean.square() + (2 * log_scale).exp() - 1) - log_scale
        bound: Tensor = logsigmoid(s * logits).sum(1) - apart.sum(1)
        return bound

    @torch.no_grad()
    def decode(self, points: int = 51) -> tuple[Tensor, Tensor]:
        """A grid of latent numbers: log-weights ``(nodes,)`` and the logits there ``(nodes, sites)``.

        Args:
            points: of an axis, from -5.5 to 5.5; the rule converges exponentially where the spacing is below
                the width of what the decoder resolves.

        Raises:
            ValueError: more than two latent numbers, fewer than two points.
        """
        check_counts(least=2, points=points)
        if self.latent > 2:
            raise ValueError(f"latent: got {self.latent}, expected 1 or 2 numbers for a grid")
        axis = like(torch.linspace(-5.5, 5.5, points), self.decoder.linear()[0].weight)
        z = torch.cartesian_prod(*[axis] * self.latent).reshape(-1, self.latent)
        return (-0.5 * z.square().sum(1)).log_softmax(0), self.decoder(z)

    @torch.no_grad()
    def log_prob(self, s: Tensor, *, points: int = 51) -> Tensor:
        """Ln p, ``(batch,)``, by quadrature over one or two latent numbers, see :meth:`decode`.

        Raises:
            ValueError: more than two latent numbers; no spins.
        """
        self._check(s)
        log_weights, logits = self.decode(points)
        norm = log_weights + logsigmoid(-logits).sum(1)
        up = (s > 0).to(logits)  # ln p(s | z) is ln p(all down | z) and the logits of the spins up
        return torch.cat([(part @ logits.mT + norm).logsumexp(1) for part in up.split(4096)])


class Response(nn.Module):
    r"""A network for the magnetisation of each site of a square in a field, :math:`m = \tanh(h + g(h))`.

    g has layers of tanh without biases, and weights that depend on displacements only: it is odd, and
    commutes with the shifts of the periodic lattice. It starts at zero.

    Args:
        length: sites a side.
        channels: numbers a site in each of the two hidden layers.
        generator: source of the random parameters.
        dtype: of the parameters.

    Raises:
        ValueError: a count below 1.
    """

    shift: Tensor

    def __init__(
        self,
        length: int,
        channels: int = 8,
        *,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        check_counts(length=length, channels=channels)
        self.sites = length**2
        number = torch.arange(self.sites).reshape(length, length)
        moved = [number.roll((row, column), (0, 1)) for row in range(length) for column in range(length)]
        self.register_buffer("shift", torch.stack(moved).flatten(1).mT)  # (site, displacement) -> site
        sizes = [(channels, 1), (channels, channels), (1, channels)]
        stds = [(b * self.sites) ** -0.5 for _, b in sizes[:2]] + [0.0]
        draws = (
            random_parameter((*size, self.sites), std, generator=generator, dtype=dtype)
            for size, std in zip(sizes, stds, strict=True)
        )
        self.kernels = nn.ParameterList(draws)

    def logits(self, h: Tensor) -> Tensor:
        """Artanh of the magnetisations, ``(batch, sites)``."""
        check_values("h", h, ("batch", self.sites), dtype=self.kernels[0].dtype)
        x = h[:, None]
        for kernel in self.kernels:
            # y_a(i) = sum over b, d of kernel_ab(d) x_b(i - d), as one matrix
            x = torch.tanh(x) if x.shape[1] > 1 else x
            wide = kernel.new_zeros(*kernel.shape[:2], self.sites, self.sites)
            index = self.shift.expand(*kernel.shape[:2], -1, -1)
            wide = wide.scatter(3, index, kernel[:, :, None].expand_as(wide))
            x = torch.einsum("abij,nbj->nai", wide, x)
        return h + x[:, 0]

    def forward(self, h: Tensor) -> Tensor:
        """The magnetisations ``(batch, sites)`` in the fields ``(batch, sites)``."""
        return torch.tanh(self.logits(h))


def field_response(h: Tensor, beta: float, length: int) -> Tensor:
    r"""The magnetisations of an Ising torus in a field, exactly: :math:`m_i = \partial\ln Z/\partial h_i`.

    :math:`Z = \sum_s e^{-\beta E(s) + h\cdot s}` is a trace of transfer matrices of rows.

    Args:
        h: fields, in units of the temperature, ``(batch, sites)``.
        beta, length: of the model; at most 6 rows of as many spins.

    Raises:
        ValueError: fields of another shape, a length or a temperature out of range.
    """
    check_counts(least=2, length=length)
    check_numbers("h", h)
    finite("beta", beta, least=-20.0, most=20.0, remedy="weights of rows would overflow")
    check_values("h", h, ("batch", length**2))
    if length > 6:
        raise ValueError(f"length: got {length}, expected at most 6; longer rows need a Markov chain")
    rows = IsingRows(beta, length)
    states, matrix = like(rows.rows, h), like(rows.matrix, h)
    with torch.enable_grad():
        field = h.detach().requires_grad_()
        parts = field.reshape(-1, length, length) @ states.mT  # (batch, row, state)
        top = parts.detach().amax(2, keepdim=True)
        weights = (parts - top).exp()
        product = weights[:, 0, :, None] * matrix
        for row in range(1, length):
            product = (product * weights[:, row, None]) @ matrix
            product = product / product.detach().amax((1, 2), keepdim=True)  # a constant to the gradient
        log_z = product.diagonal(dim1=1, dim2=2).sum(1).log() + top.sum((1, 2))
        scaled: Tensor = torch.autograd.grad(log_z.sum(), field)[0]
    return scaled


@torch.no_grad()
def localise(
    response: Callable[[Tensor], Tensor], times: Tensor, n: int, sites: int, *, generator: torch.Generator
) -> Tensor:
    r"""Draw spins by a diffusion: a field that grows along the magnetisation that it makes, and noise.

    .. math:: dh = m(h)\, d\gamma + dW, \qquad h(0) = 0

    If :math:`m_i(h) = \langle s_i\rangle_h` is exact, :math:`h(\gamma)` has the distribution of
    :math:`\gamma s + \sqrt\gamma\,\xi` with s from the model without a field, and its signs are s in the end
    :cite:p:`montanari2023`. Steps are Euler's; the last spins are drawn from the last magnetisations.

    Args:
        response: m, from ``(n, sites)`` to ``(n, sites)``.
        times: :math:`\gamma`, increasing from zero.
        n, sites: how many configurations of how many spins.
        generator: source of the noise.

    Raises:
        ValueError: times that do not increase from zero, a count below 1.
    """
    check_counts(n=n, sites=sites)
    check_values("times", times, ("steps + 1",))
    if len(times) < 2 or times[0] != 0 or not bool((times.diff() > 0).all()):
        raise ValueError("times: got numbers that do not increase from zero, expected two at least that do")
    h = like(torch.zeros(n, sites), times)
    for step in times.diff():
        noise = torch.randn(h.shape, generator=generator, dtype=torch.float64).to(h)
        h = h + step * response(h) + step.sqrt() * noise
    chance = torch.rand(h.shape, generator=generator, dtype=torch.float64).to(h)
    return torch.where(chance < (1 + response(h)) / 2, 1.0, -1.0).to(h)

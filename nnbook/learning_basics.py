r"""What the chapter *Learning from data* reads.

Nuclear masses and the tables that predict them (:func:`nuclear_masses`); the magnetisations of Ising spins
in a field, exactly (:func:`field_response`): the drift of a diffusion that draws such spins.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nnbook.arrays import check_counts, check_numbers, check_values, finite, like
from nnbook.exact.enumerate import configurations
from nnbook.exact.ising2d import BETA_C, torus
from nnbook.exact.transfer import IsingRows
from nnbook.fields.actions import Ising
from nnbook.networks import MLP, flatten
from nnbook.train.first_order import fit
from nnbook.train.gauss_newton import ConvexLoss
from nnbook.train.linear_method import minimise

__all__ = ["BETA_C", "Ising", "IsingRows", "configurations", "torus"]
__all__ += ["MLP", "ConvexLoss", "fit", "flatten", "minimise"]
__all__ += ["TABLES", "Nuclei", "field_response", "nuclear_masses"]

#: Mass excesses of the hydrogen atom and of the neutron, MeV.
HYDROGEN, NEUTRON = 7.288971, 8.071317
#: The published mass tables of the data file, in its order.
TABLES = ("Duflo-Zuker", "FRDM-95", "HFB-26", "WS3-2010", "WS3-2011", "SVM-13")


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

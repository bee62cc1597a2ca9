"""What a chapter says in tables and sentences: tables for every reader, numbers in powers of ten, glue."""

from __future__ import annotations

import html
from ast import literal_eval
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from nnbook.exact.ranges import check_counts


@dataclass(frozen=True)
class Table:
    """A table of text, for notebook, site and terminal alike.

    Attributes:
        header: the names of the columns.
        rows: the cells, as they shall be read; ``$...$`` is set as a formula in a notebook.
        classes: CSS classes of the rows, for the site's style.

    >>> Table(("n", "E"), [("0", "0.5"), ("1", "1.5")])
    n | E
    0 | 0.5
    1 | 1.5
    """

    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    classes: Sequence[str] = ()

    def __repr__(self) -> str:
        lines = [self.header, *([f"{cell}" for cell in row] for row in self.rows)]
        widths = [max(len(line[k]) for line in lines) for k in range(len(self.header))]
        return "\n".join(
            " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.header)
        body = "".join(
            f'<tr class="{css}">' + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>"
            for row, css in zip(self.rows, self.classes or [""] * len(self.rows), strict=True)
        )
        return f'<table class="table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def scientific(value: float, digits: int = 0) -> str:
    """A number in powers of ten, for a sentence or a table; ``digits`` after the point.

    Raises:
        ValueError: digits that are no whole number, or fewer than none.

    >>> scientific(1.5e-9, 1), scientific(-4.2e-6), scientific(1e-6), scientific(0.0)
    ('1.5×10⁻⁹', '-4×10⁻⁶', '10⁻⁶', '0')
    """
    check_counts(least=0, digits=digits)
    if value == 0 or not np.isfinite(value):
        return f"{value:g}"
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    power = "10" + str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return power if mantissa == "1" else f"{mantissa}×{power}"


def glue(**values: object) -> None:
    """Store values under names for the text: ``{glue:text}`` with the name prints one in a sentence.

    >>> glue(energy="0.499997")
    """
    try:
        from myst_nb import glue as store
    except ImportError:  # outside the book there is no text to glue into
        return
    for name, value in values.items():
        plain = value.item() if isinstance(value, np.generic) else value  # or it shows as np.float64(0.25)
        store(name, _Bare(plain) if isinstance(plain, str) else plain, display=False)


class _Bare(str):
    """Text that prints without quotation marks, as it is.

    MyST reads what it prints as a Python value: 0.80 would become 0.8, and 9,393,931 three numbers. A word
    joiner in front, which shows nowhere, keeps numbers as they are written.
    """

    def __repr__(self) -> str:
        with suppress(SyntaxError, ValueError):
            if str(literal_eval(self)) != self:
                return f"\u2060{self}"
        return str(self)

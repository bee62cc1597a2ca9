"""All claims of the book together: those stored in notebooks, their pulls, and mistakes that none notices."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scipy import special

from nnbook.claims.claim import MIME, Claim, two_digits


def collect(folder: str | Path) -> list[Claim]:
    """Read the claims from the stored outputs of all notebooks in a folder.

    Raises:
        ValueError: there is no notebook in the folder.
    """
    notebooks = sorted(Path(folder).glob("*.ipynb"))
    if not notebooks:
        raise ValueError(
            f"folder: got {str(folder)!r} without a notebook, expected the folder of the chapters"
        )
    return [claim for path in notebooks for claim in _stored(path)]


def _stored(path: Path) -> list[Claim]:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return [
        claim_of({**record, "chapter": path.stem})
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        for record in output.get("data", {}).get(MIME, {}).get("claims", [])
    ]


def claim_of(record: dict[str, Any]) -> Claim:
    """The claim whose :meth:`~nnbook.claims.claim.Claim.record` this is; its verdict is judged anew."""
    needed = ("reference", "ours") if record["sigma"] is None else ("reference", "ours", "error")
    lost = {name: math.nan for name in needed if record[name] is None}
    return Claim(**{name: value for name, value in record.items() if name != "passed"} | lost)


@dataclass(frozen=True)
class Pulls:
    """Deviations of unbiased claims in units of their errors: standard normal if the error bars are right.

    Attributes:
        values: ``(ours - reference) / error``, one a claim.

    >>> Pulls((1.5, -0.3, -0.9))
    3 pulls: mean 0.10, expected 0 ± 0.58; width 1.02, expected 1 ± 0.41; p = 1
    """

    values: Sequence[float]

    @property
    def mean(self) -> float:
        """Mean of the pulls; 0 ± 1/√n is expected, a bias moves it."""
        return statistics.fmean(self.values)

    @property
    def width(self) -> float:
        """Root of the mean square; 1 ± 1/√(2n) is expected, and more where the error bars are too small."""
        return math.sqrt(statistics.fmean(x * x for x in self.values))

    @property
    def p(self) -> float:
        """How probable a mean or a width as far from the expected one is, if all error bars are right.

        The mean is normal, the sum of squares follows chi-square; each is tested on both sides, and the
        smaller of the two probabilities counts twice because there were two chances to see it (Bonferroni).
        """
        n = len(self.values)
        mean = math.erfc(abs(self.mean) * math.sqrt(n / 2))
        below = float(special.gammainc(n / 2, n * self.width**2 / 2))
        return min(1.0, 2 * min(mean, 2 * below, 2 * (1 - below)))

    def __repr__(self) -> str:
        n = len(self.values)
        return (
            f"{n} pulls: mean {self.mean:.2f}, expected 0 ± {n**-0.5:.2f}; "
            f"width {self.width:.2f}, expected 1 ± {(2 * n) ** -0.5:.2f}; p = {two_digits(self.p)}"
        )


def pulls(claims: Iterable[Claim]) -> Pulls:
    """The pulls of the unbiased among the claims.

    They count as independent. A correlation ρ between two of them, from samples that they share, enters the
    variance of the width as ρ² only, but that of the mean as ρ: hence one claim for one set of samples.

    Raises:
        ValueError: no claim is unbiased.
    """
    values = [
        (claim.ours - claim.reference) / claim.error for claim in claims if claim.unbiased and claim.error
    ]
    if not values:
        raise ValueError("claims: got none that is unbiased, expected at least one with unbiased=True")
    return Pulls(values)


def unnoticed(claims: Sequence[Claim]) -> dict[str, list[Claim]]:
    """Claims that hold in spite of a mistake, for each of four mistakes: those to sharpen or to drop.

    A reference that is one per cent off; the next reference of the same cell, as if two levels were swapped;
    an error bar twice as large; and, where there is an upper bound, a number a hundred times as large.
    """
    found: dict[str, list[Claim]] = {}
    for claim, other in zip(claims, [*claims[1:], *claims[:1]], strict=True):
        for mistake, wrong in _mistakes(claim, other).items():
            if wrong != claim and wrong.passed:
                found.setdefault(mistake, []).append(claim)
    return found


def _mistakes(claim: Claim, other: Claim) -> dict[str, Claim]:
    wrong: dict[str, dict[str, Any]] = {}
    if claim.kind == "equal":
        wrong["the reference is 1 % off"] = {"reference": 1.01 * claim.reference}
    if (claim.chapter, claim.cell, claim.kind) == (other.chapter, other.cell, other.kind):
        wrong["the reference is the next one of the cell"] = {"reference": other.reference}
    if claim.error is not None:
        wrong["the error bar is twice as large"] = {"error": 2 * claim.error}
    if claim.kind == "at_most":
        wrong["what has a bound is 100 times as large"] = {"ours": 100 * claim.ours}
    return {name: replace(claim, **change) for name, change in wrong.items()}

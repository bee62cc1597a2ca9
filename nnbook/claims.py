"""The claims of a chapter: each number beside its reference, and the table that raises when one fails.

``python -m nnbook.claims [--json] [folder]`` prints the claims stored in all notebooks of a folder
(default ``chapters``) and exits with 1 if one of them failed.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from nnbook.runtime import Run
from nnbook.show import Table, scientific

MIME = "application/vnd.nnbook.claims+json"


class ClaimError(AssertionError):
    """A claim of the chapter does not hold."""


@dataclass(frozen=True)
class Claim:
    """One number of a chapter.

    Attributes:
        chapter: the stem of the notebook's file name.
        name: what is claimed.
        slide: where the talk says so, empty if it does not.
        talk: the talk's value, if it gives one.
        reference: the exact or independent value.
        how: how the reference was obtained.
        ours: the chapter's value.
        error: one standard deviation of ``ours``; none for a deterministic number.
        tolerance: by how much ``ours`` may differ from ``reference``.
        budget: the budget of the run that measured it.
    """

    chapter: str
    name: str
    slide: str
    talk: float | None
    reference: float
    how: str
    ours: float
    error: float | None
    tolerance: float
    budget: str

    @property
    def allowed(self) -> float:
        """How far ours may lie from the reference, max(tolerance, 4 standard deviations).

        Four and not three: with hundreds of claims, three would fail on a stranger's processor, where
        the same seed gives other random numbers.
        """
        return max(self.tolerance, 4 * (self.error or 0.0))

    @property
    def passed(self) -> bool:
        """Whether ours lies within :attr:`allowed` of the reference."""
        return abs(self.ours - self.reference) <= self.allowed

    def record(self) -> dict[str, Any]:
        """The claim as plain data, ``passed`` included; a number that is not finite becomes None."""
        plain = {
            k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(self).items()
        }
        return {**plain, "passed": self.passed}

    def cells(self) -> list[str]:
        """The row of the printed table."""
        ours = _number(self.ours, self.tolerance)
        if self.error is not None:
            ours += f" ± {scientific(self.error)}"
        return [
            self.name,
            self.slide or "–",
            "–" if self.talk is None else _number(self.talk, self.tolerance, shortest=True),
            f"{_number(self.reference, self.tolerance)} ({self.how})",
            ours,
            _two_digits(self.allowed),
            "yes" if self.passed else "NO",
        ]


HEADER = ("Claim", "Slide", "Talk", "Reference", "Ours", "Tolerance", "Holds")


class Claims:
    """Collects the claims of one chapter; :meth:`table` is the chapter's last word.

    Args:
        chapter: the stem of the notebook's file name.
        run: the run of the chapter, whose budget is noted with each claim.

    >>> import nnbook
    >>> claims = Claims("demo", nnbook.start(seed=1, quiet=True, budget="quick"))
    >>> claims.add("one half", reference=0.5, how="exact", ours=0.5000001, tolerance=1e-6)
    >>> table(claims.claims)
    Claim    | Slide | Talk | Reference           | Ours       | Tolerance | Holds
    one half | –     | –    | 0.50000000 (exact)  | 0.50000010 | 10⁻⁶      | yes
    """

    def __init__(self, chapter: str, run: Run) -> None:
        self.chapter = chapter
        self.budget = run.budget
        self.claims: list[Claim] = []

    def add(
        self,
        name: str,
        *,
        reference: float,
        how: str,
        ours: float,
        tolerance: float,
        error: float | None = None,
        slide: str = "",
        talk: float | None = None,
    ) -> None:
        """Add a claim; see :class:`Claim` for the arguments.

        Raises:
            ValueError: a name that is taken, a tolerance or error that is not a positive number.
        """
        if any(claim.name == name for claim in self.claims):
            raise ValueError(f"name: got {name!r} a second time, expected each claim to have its own name")
        for label, value in (("tolerance", tolerance), ("error", error)):
            if value is not None and not (value >= 0 and math.isfinite(value)):
                raise ValueError(f"{label}: got {value} for {name!r}, expected a finite number, not negative")
        self.claims.append(
            Claim(
                self.chapter,
                name,
                slide,
                None if talk is None else float(talk),
                float(reference),
                how,
                float(ours),
                None if error is None else float(error),
                float(tolerance),
                self.budget,
            )
        )

    def table(self) -> None:
        """Show all claims and store them in the notebook.

        Raises:
            ClaimError: at least one claim fails; the message lists them.
        """
        from IPython.display import display  # only a notebook gets here

        display(_Stored(self.claims))
        failed = [
            f"{c.name}: ours {c.ours!r}, reference {c.reference!r}, tolerance {c.tolerance:g}"
            for c in self.claims
            if not c.passed
        ]
        if failed:
            raise ClaimError(f"{len(failed)} of {len(self.claims)} claims fail:\n" + "\n".join(failed))


@dataclass(frozen=True)
class _Stored:
    claims: Sequence[Claim]

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {
            "text/plain": repr(table(self.claims)),
            "text/html": table(self.claims)._repr_html_(),
            MIME: {"claims": [claim.record() for claim in self.claims]},
        }


def table(claims: Sequence[Claim]) -> Table:
    """Claims as a table; a row has the class ``holds`` or ``fails``."""
    classes = ["holds" if claim.passed else "fails" for claim in claims]
    return Table(HEADER, [claim.cells() for claim in claims], classes)


def _two_digits(value: float) -> str:
    return scientific(value, 0 if f"{value:.1e}"[2] == "0" else 1)


def _number(value: float, tolerance: float, *, shortest: bool = False) -> str:
    """Enough digits to see the tolerance and two more; a talk's number only as it was printed."""
    if shortest or value == 0 or not math.isfinite(value):
        return f"{value:.10g}"
    digits = 2 + math.ceil(-math.log10(tolerance)) if tolerance > 0 else 10
    return scientific(value, 1) if abs(value) < 10 * tolerance else f"{value:.{max(digits, 0)}f}"


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
        _claim(path.stem, record)
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        for record in output.get("data", {}).get(MIME, {}).get("claims", [])
    ]


def _claim(chapter: str, record: dict[str, Any]) -> Claim:
    values = {f.name: record[f.name] for f in fields(Claim)}
    for name in ("reference", "ours"):  # None stands for a number that was not finite
        values[name] = math.nan if values[name] is None else values[name]
    return Claim(**{**values, "chapter": chapter})


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status: 0, 1 if a claim failed, 2 if there is nothing to read."""
    parser = argparse.ArgumentParser(prog="python -m nnbook.claims", description=__doc__)
    parser.add_argument("folder", nargs="?", default="chapters")
    parser.add_argument("--json", action="store_true", help="one JSON list, one object a claim")
    options = parser.parse_args(arguments)
    try:
        claims = collect(options.folder)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps([claim.record() for claim in claims], indent=1, ensure_ascii=False))
    else:
        print(table(claims))
    return 0 if all(claim.passed for claim in claims) else 1


if __name__ == "__main__":
    sys.exit(main())

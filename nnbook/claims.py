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
SIGNS = {"equal": "= ", "at_most": "≤ ", "at_least": "≥ ", "true": ""}


class ClaimError(AssertionError):
    """A claim of the chapter does not hold."""


@dataclass(frozen=True)
class Claim:
    """One number of a chapter.

    Attributes:
        chapter: the stem of the notebook's file name.
        name: what is claimed.
        kind: ``"equal"``, ``"at_most"``, ``"at_least"`` or ``"true"``, as the verbs of :class:`Claims`.
        reference: the exact or independent value, or the bound.
        how: how it was obtained; which mistake the claim would catch, where that is not obvious.
        ours: the chapter's value.
        tolerance: by how much ``ours`` may differ from ``reference`` in any case.
        error: one standard deviation of ``ours``; none for a deterministic number.
        sigma: the largest error accepted, stated in advance.
        unbiased: whether ``ours`` is a fair draw with mean ``reference``, see :func:`pulls`.
        slide: where the talk says so, empty if it does not.
        talk: the talk's value, if it gives one.
        budget: the budget of the run that measured it.
        cell: the execution count of the notebook's cell that claims it; none outside a notebook.
    """

    chapter: str
    name: str
    kind: str
    reference: float
    how: str
    ours: float
    tolerance: float = 0.0
    error: float | None = None
    sigma: float | None = None
    unbiased: bool = False
    slide: str = ""
    talk: float | None = None
    budget: str = "quick"
    cell: int | None = None

    @property
    def deviation(self) -> float:
        """How far ours lies from the reference, or beyond the bound (negative on its good side)."""
        beyond = self.ours - self.reference
        return {"at_most": beyond, "at_least": -beyond}.get(self.kind, abs(beyond))

    @property
    def allowed(self) -> float:
        """How large the deviation may be, max(tolerance, 4 standard deviations).

        Four and not three: with hundreds of claims, three would fail on a stranger's processor, where
        the same seed gives other random numbers.
        """
        return max(self.tolerance, 4 * (self.error or 0.0))

    @property
    def quiet(self) -> bool:
        """Whether the error is no larger than was announced, so that no claim passes by being noisy."""
        return self.error is None or 0 <= self.error <= (math.inf if self.sigma is None else self.sigma)

    @property
    def passed(self) -> bool:
        """Whether the deviation is allowed and the error accepted; never for a NaN or an infinity."""
        return self.quiet and -math.inf < self.deviation <= self.allowed < math.inf

    def record(self) -> dict[str, Any]:
        """The claim as plain data, ``passed`` included; a number that is not finite becomes None."""
        plain = {
            k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(self).items()
        }
        return {**plain, "passed": self.passed}

    def cells(self) -> list[str]:
        """The row of the printed table."""
        exact = self.kind == "true"
        finest = self.tolerance or self.error or abs(self.deviation)
        ours = _number(self.ours, finest) + ("" if self.error is None else f" ± {_short(self.error)}")
        noise = "" if self.sigma is None else f" (σ ≤ {_short(self.sigma)})"
        return [
            self.name,
            self.slide or "–",
            "–" if self.talk is None else _number(self.talk),
            f"{SIGNS[self.kind]}{_number(self.reference, finest)} ({self.how})",
            ours,
            "–" if exact else _short(self.ours - self.reference),
            "–" if exact else _short(self.allowed) + noise,
            "yes" if self.passed else "NO" if self.quiet else "NO, too noisy",
        ]

    def __str__(self) -> str:
        """The claim in one line, for the list of those that fail."""
        noise = f" ± {self.error!r}, error accepted {self.sigma}" if self.error is not None else ""
        wanted = f"{SIGNS[self.kind] or '= '}{self.reference!r}, allowed {self.allowed:g}"
        return f"{self.name}: got {self.ours!r}{noise}, expected {wanted}"


HEADER = ("Claim", "Slide", "Talk", "Reference", "Ours", "Deviation", "Allowed", "Holds")


class Claims:
    """Collects the claims of one chapter; :meth:`table` is the chapter's last word.

    There are four kinds of claim, and a verb for each: :meth:`equal`, :meth:`at_most`, :meth:`at_least`
    and :meth:`true`. A stochastic number comes with ``error``, its standard deviation, and ``sigma``, the
    largest error that is accepted: a claim must not hold because it is noisy. Every verb raises a
    ValueError for a name that is taken, and for a tolerance, error or sigma that makes no sense; a wrong
    or lost *result* is no error but a claim that fails.

    Args:
        chapter: the stem of the notebook's file name.
        run: the run of the chapter, whose budget is noted with each claim.

    >>> import nnbook
    >>> claims = Claims("demo", nnbook.start(seed=1, quiet=True, budget="quick"))
    >>> claims.equal("one half", reference=0.5, how="exact", ours=0.5000001, tolerance=1e-6)
    >>> claims.at_most("its error", bound=1e-6, how="our goal", ours=1e-7)
    >>> claims.true("it is positive", 0.5000001 > 0, how="its sign")
    >>> table(claims.claims)
    Claim          | Slide | Talk | Reference           | Ours       | Deviation | Allowed | Holds
    one half       | –     | –    | = 0.50000000 (exact) | 0.50000010 | 10⁻⁷      | 10⁻⁶    | yes
    its error      | –     | –    | ≤ 10⁻⁶ (our goal)    | 10⁻⁷       | -9×10⁻⁷   | 0       | yes
    it is positive | –     | –    | yes (its sign)       | yes        | –         | –       | yes
    """

    def __init__(self, chapter: str, run: Run) -> None:
        self.chapter = chapter
        self.budget = run.budget
        self.claims: list[Claim] = []

    def equal(
        self,
        name: str,
        *,
        reference: float,
        how: str,
        ours: float,
        tolerance: float,
        error: float | None = None,
        sigma: float | None = None,
        unbiased: bool = False,
        slide: str = "",
        talk: float | None = None,
    ) -> None:
        """Claim that ours is the reference: ``|ours - reference| <= max(tolerance, 4 error)``.

        ``unbiased=True`` says that ``ours`` is a fair draw with the reference as its mean: an estimate of
        an exact quantity, without variational or training error. It then counts in :func:`pulls`.
        """
        if unbiased and error is None:
            raise ValueError(f"unbiased: got True for {name!r} without an error, expected error= and sigma=")
        noise = {"error": error, "sigma": sigma, "unbiased": unbiased}
        self._keep("equal", name, reference, how, ours, slide, talk, tolerance=tolerance, **noise)

    def at_most(
        self,
        name: str,
        *,
        bound: float,
        how: str,
        ours: float,
        error: float | None = None,
        sigma: float | None = None,
        slide: str = "",
        talk: float | None = None,
    ) -> None:
        """Claim an upper bound, say of an error: ``ours - 4 error <= bound``."""
        self._keep("at_most", name, bound, how, ours, slide, talk, error=error, sigma=sigma)

    def at_least(
        self,
        name: str,
        *,
        bound: float,
        how: str,
        ours: float,
        error: float | None = None,
        sigma: float | None = None,
        slide: str = "",
        talk: float | None = None,
    ) -> None:
        """Claim a lower bound, say of a variational energy: ``ours + 4 error >= bound``."""
        self._keep("at_least", name, bound, how, ours, slide, talk, error=error, sigma=sigma)

    def true(
        self,
        name: str,
        ours: int,
        *,
        how: str,
        reference: int = True,
        slide: str = "",
        talk: float | None = None,
    ) -> None:
        """Claim a count, a sign or a shape: ``ours == reference``, both a bool or a whole number."""
        whole = [value.item() if hasattr(value, "item") else value for value in (ours, reference)]
        for label, value in zip(("ours", "reference"), whole, strict=True):
            if not isinstance(value, int):
                raise TypeError(
                    f"{label}: got {value!r} for {name!r}, expected a bool or a whole number; "
                    "use equal, at_most or at_least for a measured one"
                )
        self._keep("true", name, whole[1], how, whole[0], slide, talk)

    def add(self, name: str, **claim: Any) -> None:
        """The old verb: :meth:`equal` with any error."""
        claim = {"slide": "", "talk": None} | claim
        self._keep("equal", name, **claim)

    def _keep(
        self, kind: str, name: str, reference: Any, how: str, ours: Any, slide: str, talk: Any, **more: Any
    ) -> None:
        """Note a claim, its numbers made Python's own, after a look at what was stated in advance."""
        numbers = {"reference": reference, "ours": ours, "talk": talk, **more}
        numbers = {k: v.item() if hasattr(v, "item") else v for k, v in numbers.items()}
        if any(claim.name == name for claim in self.claims):
            raise ValueError(f"name: got {name!r} a second time, expected each claim to have its own name")
        for label in ("tolerance", "sigma"):
            value = numbers.get(label)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"{label}: got {value} for {name!r}, expected a finite number, not negative")
        if "sigma" in numbers and (numbers["error"] is None) != (numbers["sigma"] is None):
            raise ValueError(
                f"error and sigma: got {numbers['error']} and {numbers['sigma']} for {name!r}, expected both "
                "or neither; sigma is the largest error accepted, stated in advance"
            )
        self.claims.append(
            Claim(self.chapter, name, kind, how=how, slide=slide, budget=self.budget, cell=_cell(), **numbers)
        )

    def table(self) -> None:
        """Show all claims and store them in the notebook.

        Raises:
            ClaimError: at least one claim fails; the message lists them.
        """
        from IPython.display import display  # only a notebook gets here

        display(_Stored(self.claims))
        if failed := [str(claim) for claim in self.claims if not claim.passed]:
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


def _cell() -> int | None:
    """Execution count of the notebook's cell that runs."""
    from IPython import get_ipython

    shell = get_ipython()
    return None if shell is None else shell.execution_count


def _short(value: float) -> str:
    """Two digits, in powers of ten where zeros would be many."""
    if 0.01 <= abs(value) < 1e4:
        return f"{float(f'{value:.1e}'):g}"
    return scientific(value, 0 if f"{value:.1e}"[-6:-4] == ".0" else 1)


def _number(value: float, finest: float = 0.0) -> str:
    """Enough digits to see `finest` and two more; all of a number with few, yes or no of a bool."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    shortest = f"{value:.10g}"
    if isinstance(value, int) or not finest or not math.isfinite(value + finest):
        return shortest
    if abs(value) < 1e-3 or abs(value) < 10 * finest:
        return _short(value)
    return f"{value:.{max(2 + math.ceil(-math.log10(finest)), 0)}f}"


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
    """The claim whose :meth:`Claim.record` this is; its verdict is judged anew."""
    record = {"kind": "equal"} | record  # as stored before there were kinds
    lost = {name: math.nan for name in ("reference", "ours") if record[name] is None}
    return Claim(**{f.name: record[f.name] for f in fields(Claim) if f.name in record} | lost)


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

"""The claims of a chapter: each number beside its reference, and the table that raises when one fails.

``python -m nnbook.claims [--json | --mutate] [folder]`` prints the claims stored in all notebooks of a folder
(default ``chapters``), or the mistakes that they would not notice, and exits with 1 if one of them failed.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from IPython import get_ipython
from IPython.display import display
from scipy import special

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
        return self.error is None or 0 <= self.error <= (self.sigma or 0.0)

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

    def texts(self) -> dict[str, str]:
        """What the tables say, by column."""
        counted = self.kind == "true"
        finest = self.tolerance or self.error or abs(self.deviation)
        noise = "" if self.sigma is None else f", σ ≤ {two_digits(self.sigma)}"
        return {
            "Claim": self.name,
            "Slide": self.slide or "–",
            "Talk": "–" if self.talk is None else _number(self.talk),
            "Reference": f"{SIGNS[self.kind]}{_number(self.reference, finest)} ({self.how})",
            "Ours": _number(self.ours, finest)
            + ("" if self.error is None else f" ± {two_digits(self.error)}"),
            "Deviation": "–" if counted else two_digits(self.ours - self.reference),
            "Allowed": "–" if counted else two_digits(self.allowed) + noise,
            "Holds": "yes" if self.passed else "NO" if self.quiet else "NO, too noisy",
        }

    def __str__(self) -> str:
        """The claim in one line, for the list of those that fail."""
        noise = "" if self.error is None else f" ± {self.error!r} (error accepted: {self.sigma})"
        wanted = f"{SIGNS[self.kind]}{self.reference!r}, allowed {self.allowed:g}"
        return f"{self.name}: got {self.ours!r}{noise}, expected {wanted} ({self.how})"


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
        an exact quantity, without variational or training error. It then counts in :func:`pulls`, as a draw
        of its own: of several numbers from the same samples, mark one.
        """
        if unbiased and not error:
            raise ValueError(
                f"unbiased: got True with error {error} for {name!r}, expected a positive error, "
                "in units of which the deviation counts"
            )
        numbers = {"reference": reference, "ours": ours, "tolerance": tolerance, "talk": talk}
        self._keep("equal", name, how, slide, **numbers, error=error, sigma=sigma, unbiased=unbiased)

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
        self._keep(
            "at_most", name, how, slide, reference=bound, ours=ours, talk=talk, error=error, sigma=sigma
        )

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
        self._keep(
            "at_least", name, how, slide, reference=bound, ours=ours, talk=talk, error=error, sigma=sigma
        )

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
        for value in (ours, reference):
            if not isinstance(_plain(value), int):
                raise TypeError(
                    f"ours and reference: got {value!r} for {name!r}, expected bools or whole numbers; "
                    "use equal, at_most or at_least for what is measured"
                )
        self._keep("true", name, how, slide, reference=reference, ours=ours, talk=talk)

    def _keep(self, kind: str, name: str, how: str, slide: str, **numbers: float | None) -> None:
        numbers = {label: _plain(value) for label, value in numbers.items()}
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
        shell = get_ipython()  # its execution_count already names the next cell, or not yet: versions differ
        cell = len(shell.user_ns["In"]) - 1 if shell else None
        where = {"slide": slide, "budget": self.budget, "cell": cell}
        self.claims.append(Claim(self.chapter, name, kind, how=how, **where, **numbers))  # type: ignore[arg-type]

    def table(self) -> None:
        """Show all claims and store them in the notebook.

        Raises:
            ClaimError: at least one claim fails; the message lists them.
        """
        shown = table(self.claims)
        records = {"claims": [claim.record() for claim in self.claims]}
        display({"text/plain": repr(shown), "text/html": shown._repr_html_(), MIME: records}, raw=True)
        if failed := [str(claim) for claim in self.claims if not claim.passed]:
            raise ClaimError(f"{len(failed)} of {len(self.claims)} claims fail:\n" + "\n".join(failed))


def table(claims: Sequence[Claim]) -> Table:
    """Claims as a table; a row has the class ``holds`` or ``fails``."""
    rows = [[*claim.texts().values()] for claim in claims]
    return Table(HEADER, rows, ["holds" if claim.passed else "fails" for claim in claims])


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


def _plain(value: Any) -> Any:
    """A number of NumPy or torch as Python's own."""
    return value.item() if hasattr(value, "item") else value


def two_digits(value: float) -> str:
    """Two digits, in powers of ten where zeros would be many."""
    if 0.01 <= abs(value) < 1e4:
        return f"{float(f'{value:.1e}'):g}"
    return scientific(value, 0 if f"{value:.1e}"[-6:-4] == ".0" else 1)


def _number(value: float, finest: float = 0.0) -> str:
    """Enough digits to see `finest` and two more; all of a number with few, yes or no of a bool."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) or not finest or not math.isfinite(value + finest):
        return f"{value:.10g}"
    places = 2 - math.floor(math.log10(finest))
    if abs(value) < 10 * finest:
        return two_digits(value)
    if abs(value) < 1e-3:
        return scientific(value, places + math.floor(math.log10(abs(value))))
    return f"{value:.{max(places, 0)}f}"


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
    needed = ("reference", "ours") if record["sigma"] is None else ("reference", "ours", "error")
    lost = {name: math.nan for name in needed if record[name] is None}
    return Claim(**{name: value for name, value in record.items() if name != "passed"} | lost)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status: 0, 1 if a claim failed, 2 if there is nothing to read."""
    parser = argparse.ArgumentParser(prog="python -m nnbook.claims", description=__doc__)
    parser.add_argument("folder", nargs="?", default="chapters")
    parser.add_argument("--json", action="store_true", help="one JSON list, one object a claim")
    parser.add_argument("--mutate", action="store_true", help="the mistakes that claims would not notice")
    options = parser.parse_args(arguments)
    try:
        claims = collect(options.folder)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps([claim.record() for claim in claims], indent=1, ensure_ascii=False))
    elif options.mutate:
        for mistake, blind in unnoticed(claims).items():
            print(f"{mistake}: {len(blind)} claims hold in spite of it")
            print(*(f"  {claim.chapter}: {claim}" for claim in blind), sep="\n")
    else:
        print(table(claims))
    return 0 if all(claim.passed for claim in claims) else 1


if __name__ == "__main__":
    sys.exit(main())

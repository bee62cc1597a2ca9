"""One number of a chapter beside its reference, and the table that raises when one fails."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from IPython import get_ipython
from IPython.display import display

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
        unbiased: whether ``ours`` is a fair draw with mean ``reference``, see
            :func:`~nnbook.claims.together.pulls`.
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
            "Ours agrees": "yes" if self.passed else "NO" if self.quiet else "NO, too noisy",
        }

    def __str__(self) -> str:
        """The claim in one line, for the list of those that fail."""
        noise = "" if self.error is None else f" ± {self.error!r} (error accepted: {self.sigma})"
        wanted = f"{SIGNS[self.kind]}{self.reference!r}, allowed {self.allowed:g}"
        return f"{self.name}: got {self.ours!r}{noise}, expected {wanted} ({self.how})"


HEADER = ("Claim", "Slide", "Talk", "Reference", "Ours", "Deviation", "Allowed", "Ours agrees")


def _bounding(kind: str, says: str) -> Callable[..., None]:
    """The verb for a bound of one kind."""

    def verb(
        self: Claims,
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
        numbers = {"reference": bound, "ours": ours, "talk": talk, "error": error, "sigma": sigma}
        self._keep(kind, name, how, slide, **numbers)

    verb.__name__, verb.__qualname__, verb.__doc__ = kind, f"Claims.{kind}", says
    return verb


class Claims:
    """Collects the claims of one chapter; :meth:`table` is the chapter's last word.

    There are four kinds of claim, and a verb for each: :meth:`equal`, :meth:`at_most`, :meth:`at_least`
    and :meth:`true`. A stochastic number comes with ``error``, its standard deviation, and ``sigma``, the
    largest error that is accepted: a claim must not hold because it is noisy. A claim that is made again,
    as by a cell that runs a second time, takes the place of the first. Every verb raises a ValueError for a
    name that another claim has, and for a tolerance, error or sigma that makes no sense; a wrong or lost
    *result* is no error but a claim that fails.

    Args:
        chapter: the stem of the notebook's file name.
        run: the run of the chapter, whose budget is noted with each claim.

    >>> import nnbook
    >>> claims = Claims("demo", nnbook.start(seed=1, quiet=True, budget="quick"))
    >>> claims.equal("one half", reference=0.5, how="exact", ours=0.5000001, tolerance=1e-6)
    >>> claims.at_most("its error", bound=1e-6, how="our goal", ours=1e-7)
    >>> claims.true("it is positive", 0.5000001 > 0, how="its sign")
    >>> table(claims.claims)
    Claim          | Slide | Talk | Reference           | Ours       | Deviation | Allowed | Ours agrees
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
        an exact quantity, without variational or training error. It then counts in
        :func:`~nnbook.claims.together.pulls`, as a draw of its own. Of several
        numbers from the same samples, mark one.
        """
        if unbiased and not error:
            raise ValueError(
                f"unbiased: got True with error {error} for {name!r}, expected a positive error, "
                "in units of which the deviation counts"
            )
        numbers = {"reference": reference, "ours": ours, "tolerance": tolerance, "talk": talk}
        self._keep("equal", name, how, slide, **numbers, error=error, sigma=sigma, unbiased=unbiased)

    at_most = _bounding("at_most", "Claim an upper bound, say of an error: ``ours - 4 error <= bound``.")
    at_least = _bounding(
        "at_least", "Claim a lower bound, say of a variational energy: ``ours + 4 error >= bound``."
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
        made = Claim(self.chapter, name, kind, how=how, **where, **numbers)  # type: ignore[arg-type]
        place = next((k for k, claim in enumerate(self.claims) if claim.name == name), len(self.claims))
        for claim in self.claims[place : place + 1]:
            if made != claim and (claim.cell == cell or (claim.kind, claim.how) != (kind, how)):
                raise ValueError(
                    f"name: got {name!r} for another claim ({claim.how}), expected each to have its own name"
                )
        self.claims[place : place + 1] = [made]

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

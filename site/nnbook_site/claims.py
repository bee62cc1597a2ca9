"""The directive ``claims``: what all chapters claim, gathered from the outputs that this build shows.

``{claims} summary`` counts by talk and chapter, ``talks`` sets the talks' numbers beside ours, ``pulls``
tests the error bars, and ``tables`` lists everything, folded, with a filter.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

from nnbook.claims import Claim, Pulls, claim_of, pulls

from .outputs import plotly_html
from .tables import Cell, notebook_data, page_link, parts, table

Pages = list[tuple[str, list[Claim]]]
LOGGER = logging.getLogger(__name__)
WORDS = ("equal", "at most", "at least", "true", "stochastic", "unbiased")
FILTER = f"""<form class="book-filter" role="search" onsubmit="return false">
<label>Filter <input type="search" placeholder="words of a claim, a chapter, a slide"></label>
{" ".join(f'<button type="button" class="book-word">{word}</button>' for word in WORDS)}
<output aria-live="polite"></output> <a href="claims.json" download>claims.json</a></form>"""


class ClaimsView(nodes.General, nodes.Element):
    """Placeholder for one view of all claims."""


class ClaimsDirective(SphinxDirective):
    """``{claims} VIEW``, where the view is one of :data:`VIEWS`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Leave a placeholder: the chapters may not have been read yet."""
        (view,) = self.arguments
        if view not in VIEWS:
            raise self.error(f"claims: got {view!r}, expected one of {', '.join(VIEWS)}")
        # the formula makes Sphinx load MathJax on this page; names of claims may hold formulas
        return [ClaimsView("", nodes.math(text="x"), view=view)]


def connect(app: Sphinx) -> None:
    """Register the directive and the events that fill it."""
    app.add_node(ClaimsView)
    app.add_directive("claims", ClaimsDirective)
    app.connect("doctree-read", _name_cells)
    app.connect("env-check-consistency", lambda app, env: _warn_of_failures(env))
    app.connect("doctree-resolved", _fill)


def cell_address(app: Sphinx, page: str, number: int) -> str:
    """``cell-7`` on the chapter's page; the book as one page has many cells with that number."""
    return f"{page}-cell-{number}" if app.builder.name == "singlehtml" else f"cell-{number}"


def _name_cells(app: Sphinx, doctree: nodes.document) -> None:
    """Give each executed cell the address ``#cell-7`` of its number [7], and of removed ones after it.

    Cells that only state claims are not shown; a link to one leads to the cell that computed its numbers.
    """
    cells = [node for node in doctree.findall(nodes.container) if node.get("nb_element") == "cell_code"]
    cells = [node for node in cells if node.get("exec_count")]
    numbers = [node["exec_count"] for node in cells]
    for node, first, end in zip(cells, [1, *numbers[1:]], [*numbers[1:], None], strict=False):
        shown = range(first, end or node["exec_count"] + 1)
        node["ids"] += [cell_address(app, app.env.docname, number) for number in shown]


def _pages(env: BuildEnvironment) -> Pages:
    return [(page, list(map(claim_of, records))) for page, records in notebook_data(env, "claims")]


def _warn_of_failures(env: BuildEnvironment) -> None:
    for page, claims in _pages(env):
        for claim in claims:
            if not claim.passed:
                LOGGER.warning("a claim fails: %s", claim, location=page)


def _fill(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for place in list(doctree.findall(ClaimsView)):
        place.replace_self(VIEWS[place["view"]](app, docname, _pages(app.env)))


def _summary(app: Sphinx, here: str, pages: Pages) -> list[nodes.Node]:
    """One row a chapter, and one a talk above its chapters."""
    talk_of = parts(app.env)
    rows: list[tuple[str, Cell, Pages]] = [("book-total", [nodes.Text("all chapters")], pages)]
    for talk, group in groupby(pages, lambda page: talk_of.get(page[0], "")):
        inside = list(group)
        if talk:
            rows.append(("book-talk", [nodes.Text(talk)], inside))
        rows += [("book-chapter", [page_link(app, here, page[0])], [page]) for page in inside]
    header = ("chapter", "claims", "equal", "bounds", "true", "stochastic", "fail")
    counts = [_counts(name, [c for _, claims in inside for c in claims]) for _, name, inside in rows]
    return [table(header, counts, ["book-summary"], [css for css, *_ in rows])]


def _counts(name: Cell, claims: list[Claim]) -> list[Cell]:
    kinds = [claim.kind for claim in claims]
    equal, true = kinds.count("equal"), kinds.count("true")
    noisy = sum(claim.error is not None for claim in claims)
    fail = sum(not claim.passed for claim in claims)
    counts = (len(claims), equal, len(claims) - equal - true, true, noisy, fail)
    cells: list[Cell] = [[nodes.Text(str(count or "–"))] for count in counts]
    return [name, *cells]


def _talks(app: Sphinx, here: str, pages: Pages) -> list[nodes.Node]:
    """The numbers that the talks print, beside ours and the reference."""
    chosen = [(page, claim) for page, claims in pages for claim in claims if claim.talk is not None]
    rows: list[list[Cell]] = []
    for page, claim in chosen:
        name, reference, ours, *_ = _cells(app, here, page, claim)
        rows.append([name, [nodes.Text(claim.texts()["Talk"])], ours, reference])
    scroll = '<div class="book-scroll" tabindex="0" role="region" aria-label="numbers of the talks">'
    return [
        nodes.raw(text=scroll, format="html"),
        table(("claim", "talk", "ours", "reference"), rows, ["book-claims"]),
        nodes.raw(text="</div>", format="html"),
    ]


def _tables(app: Sphinx, here: str, pages: Pages) -> list[nodes.Node]:
    """A filter, a file with everything, and one folded table a chapter."""
    records = [claim.record() for _, claims in pages for claim in claims]
    file = Path(app.outdir, here).with_name("claims.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(records, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    content: list[nodes.Node] = [nodes.raw(text=FILTER, format="html")]
    for page, claims in pages:
        passed = sum(claim.passed for claim in claims)
        budgets = " and ".join(sorted({claim.budget for claim in claims}))
        title = html.escape(app.env.titles[page].astext())
        line = f"<b>{title}</b>: {passed} of {len(claims)} claims hold (budget {budgets})"
        content += [
            nodes.raw(text=f'<details class="book-fold"><summary>{line}</summary>', format="html"),
            table(
                COLUMNS,
                (_cells(app, here, page, claim) for claim in claims),
                ["book-claims"],
                map(_words, claims),
            ),
            nodes.raw(text="</details>", format="html"),
        ]
    return content


COLUMNS = ("claim", "reference", "ours", "deviation", "allowed", "holds")


def _words(claim: Claim) -> str:
    """What the filter finds beside the text of a row, as classes of the row."""
    words = [claim.kind.replace("_", "-"), "holds" if claim.passed else "fails"]
    return " ".join(words + ["stochastic"] * (claim.error is not None) + ["unbiased"] * claim.unbiased)


def _cells(app: Sphinx, here: str, page: str, claim: Claim) -> list[Cell]:
    texts = claim.texts()
    reference = texts["Reference"].removesuffix(f" ({claim.how})").replace(" ", "\u00a0")
    ours, _, error = texts["Ours"].partition(" ± ")
    allowed, _, sigma = texts["Allowed"].partition(", ")
    place = cell_address(app, page, claim.cell) if claim.cell else None
    name = make_refnode(app.builder, here, page, place, _formulas(claim.name))
    verdict = nodes.inline(
        text=texts["Ours agrees"], classes=["book-passed" if claim.passed else "book-failed"]
    )
    return [
        [name, *_small(claim.slide, "book-how")],
        [nodes.Text(reference), *_small(claim.how, "book-how")],
        [nodes.Text(ours), *_small(error and f"± {error}")],
        [nodes.Text(texts["Deviation"])],
        [nodes.Text(allowed), *_small(sigma)],
        [verdict],
    ]


def _small(text: str, *classes: str) -> Cell:
    return [nodes.inline("", " ", *_formulas(text), classes=["book-small", *classes])] if text else []


def _formulas(text: str) -> Cell:
    """Text with its ``$...$`` as formulas."""
    pieces = enumerate(re.split(r"\$([^$]+)\$", text))
    return [nodes.math(text=piece) if k % 2 else nodes.Text(piece) for k, piece in pieces]


def _pulls(app: Sphinx, here: str, pages: Pages) -> list[nodes.Node]:
    """Histogram of (ours - reference) / error beside the normal curve, and what it says."""
    claims = [claim for _, claims in pages for claim in claims]
    if not any(claim.unbiased for claim in claims):
        return [
            nodes.paragraph(text="No claim so far is an unbiased estimate, so there are no pulls to show.")
        ]
    found = pulls(claims)
    outside = sum(abs(pull) > EDGE for pull in found.values)
    alt = f"Histogram of the pulls, with the normal curve. {found}"
    text = f"{found}. Outside the axis: {outside or 'none'}."
    return [nodes.raw(text=plotly_html(_histogram(found), alt), format="html"), nodes.paragraph(text=text)]


EDGE, BIN = 5, 0.5


def _histogram(found: Pulls) -> dict[str, Any]:
    axis = [k / 20 for k in range(-20 * EDGE, 20 * EDGE + 1)]
    scale = len(found.values) * BIN / math.sqrt(2 * math.pi)
    bars = {"type": "histogram", "x": list(found.values), "opacity": 0.6, "name": "claims"}
    return {
        "data": [
            bars | {"xbins": {"start": -EDGE, "end": EDGE, "size": BIN}},
            {
                "type": "scatter",
                "mode": "lines",
                "x": axis,
                "y": [scale * math.exp(-x * x / 2) for x in axis],
                "name": "expected",
            },
        ],
        "layout": {
            "height": 320,
            "xaxis": {"title": {"text": "(ours − reference) / error"}, "range": [-EDGE, EDGE]},
            "yaxis": {"title": {"text": "claims"}},
        },
    }


VIEWS: dict[str, Callable[[Sphinx, str, Pages], list[nodes.Node]]] = {
    "summary": _summary,
    "talks": _talks,
    "pulls": _pulls,
    "tables": _tables,
}

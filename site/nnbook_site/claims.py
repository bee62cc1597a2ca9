"""The directive ``claims-table``: every chapter's claims, gathered from the outputs that this build shows."""

from __future__ import annotations

import math
import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from .outputs import plotly_html
from .tables import Cell, notebook_data, page_link, table

Claim = dict[str, Any]
LOGGER = logging.getLogger(__name__)
COLUMNS = ("claim", "talk", "reference", "ours", "tolerance", "verdict")


class ClaimsTable(nodes.General, nodes.Element):
    """Placeholder for the tables of all chapters."""


class ClaimsDirective(SphinxDirective):
    """``{claims-table}``: one table per chapter and the histogram of all deviations."""

    def run(self) -> list[nodes.Node]:
        """Leave a placeholder: the chapters may not have been read yet."""
        # the formula makes Sphinx load MathJax on this page; names of claims may hold formulas
        return [ClaimsTable("", nodes.math(text="x"))]


def connect(app: Sphinx) -> None:
    """Register the directive and the event that fills it."""
    app.add_node(ClaimsTable)
    app.add_directive("claims-table", ClaimsDirective)
    app.connect("env-check-consistency", lambda app, env: _warn_of_failures(env))
    app.connect("doctree-resolved", _fill)


def _warn_of_failures(env: BuildEnvironment) -> None:
    for page, claims in notebook_data(env, "claims"):
        for claim in claims:
            if not claim["passed"]:
                LOGGER.warning(
                    "claim %r fails: ours %r, reference %r, tolerance %r",
                    *(claim[key] for key in ("name", "ours", "reference", "tolerance")),
                    location=page,
                )


def _fill(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for place in list(doctree.findall(ClaimsTable)):
        pages = list(notebook_data(app.env, "claims"))
        content = [node for page, claims in pages for node in _chapter(app, docname, page, claims)]
        place.replace_self([*content, *_deviations([claim for _, claims in pages for claim in claims])])


def _chapter(app: Sphinx, docname: str, page: str, claims: list[Claim]) -> list[nodes.Node]:
    passed = sum(bool(claim["passed"]) for claim in claims)
    budgets = " and ".join(sorted({str(claim["budget"]) for claim in claims}))
    title = nodes.paragraph("", "", nodes.strong("", "", page_link(app, docname, page)))
    title += nodes.Text(f": {passed} of {len(claims)} claims hold (budget {budgets})")
    return [title, table(COLUMNS, map(_cells, claims), classes=["book-claims"])]


def _cells(claim: Claim) -> list[Cell]:
    tolerance, error = claim["tolerance"], claim["error"]
    ours = rounded(claim["ours"], error or tolerance / 100) + (f" ± {error:.1g}" if error else "")
    verdict = "passed" if claim["passed"] else "failed"
    return [
        [*_formulas(claim["name"]), *_small(claim["slide"])],
        _formulas(rounded(claim["talk"])),
        [*_formulas(rounded(claim["reference"], tolerance / 100)), *_small(claim["how"])],
        _formulas(ours),
        _formulas(rounded(tolerance)),
        [nodes.inline(text=verdict, classes=[f"book-{verdict}"])],
    ]


def _small(text: str | None) -> Cell:
    return [nodes.inline("", " ", *_formulas(text), classes=["book-small"])] if text else []


def _formulas(text: str | None) -> Cell:
    """Text with its ``$...$`` as formulas."""
    pieces = re.split(r"\$([^$]+)\$", text or "")
    return [nodes.math(text=piece) if k % 2 else nodes.Text(piece) for k, piece in enumerate(pieces)]


def rounded(value: float | str | None, finest: float = 0) -> str:
    """Number down to the digit of `finest`; as it is where that is 0.

    >>> rounded(0.49999702134, 1e-8), rounded(0.5), rounded(None), rounded(3.21e-9, 1e-8)
    ('0.49999702', '0.5', '–', '3.21e-9')
    """
    if value is None or isinstance(value, str):
        return value or "–"
    if not finest or not math.isfinite(value):
        text = f"{value:.10g}"
    elif abs(value) < 1e-3:
        text = f"{value:.3g}"
    else:
        text = f"{value:.{min(max(math.ceil(-math.log10(finest)), 0), 12)}f}"
    return text.replace("e-0", "e-")


def _deviations(claims: list[Claim]) -> list[nodes.Node]:
    """Histogram of (ours - reference) / error beside the normal curve."""
    sigmas = [(claim["ours"] - claim["reference"]) / claim["error"] for claim in claims if claim["error"]]
    if not sigmas:
        text = (
            "No claim so far carries a statistical error, so there is no distribution of deviations to show."
        )
        return [nodes.paragraph(text=text)]
    alt = (
        "Histogram of the deviations of all stochastic claims in units of their error, with the normal curve"
    )
    return [nodes.raw(text=plotly_html(_histogram(sigmas), alt), format="html")]


def _histogram(sigmas: list[float]) -> dict[str, Any]:
    axis = [k / 20 for k in range(-100, 101)]
    normal = [math.exp(-x * x / 2) / math.sqrt(2 * math.pi) for x in axis]
    bars = {"type": "histogram", "x": sigmas, "histnorm": "probability density", "opacity": 0.6}
    return {
        "data": [
            bars | {"name": f"claims ({len(sigmas)})", "xbins": {"start": -5, "end": 5, "size": 0.5}},
            {"type": "scatter", "mode": "lines", "x": axis, "y": normal, "name": "normal curve"},
        ],
        "layout": {
            "height": 360,
            "xaxis": {"title": {"text": "(ours − reference) / error"}, "range": [-5, 5]},
            "yaxis": {"title": {"text": "density"}},
        },
    }

"""The directive ``execution-times``: how long each chapter of this site took, and what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from .tables import Cell, notebook_data, page_link, table


class ExecutionTimes(nodes.General, nodes.Element):
    """Placeholder for the table of all chapters."""


class ExecutionTimesDirective(SphinxDirective):
    """``{execution-times}``: one row per executed chapter."""

    def run(self) -> list[nodes.Node]:
        """Leave a placeholder: the chapters may not have been executed yet."""
        return [ExecutionTimes()]


def connect(app: Sphinx) -> None:
    """Register the directive and the event that fills it."""
    app.add_node(ExecutionTimes)
    app.add_directive("execution-times", ExecutionTimesDirective)
    app.connect("doctree-resolved", _fill)


def _fill(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for place in list(doctree.findall(ExecutionTimes)):
        runs = list(notebook_data(app.env, "exec_data"))
        rows = [_cells(page_link(app, docname, page), run) for page, run in runs]
        place.replace_self(table(("chapter", "seconds", "executed", "outcome"), rows) if rows else _none())


def _cells(link: nodes.reference, run: dict[str, Any]) -> list[Cell]:
    seconds = "–" if run["runtime"] is None else f"{run['runtime']:.1f}"
    when = datetime.fromtimestamp(run["mtime"]).strftime("%Y-%m-%d %H:%M")
    outcome = "ran through" if run["succeeded"] else "failed"
    return [[link], [nodes.Text(seconds)], [nodes.Text(when)], [nodes.Text(outcome)]]


def _none() -> nodes.paragraph:
    text = (
        "This copy of the site shows the outputs stored in the chapters; it was built without executing "
        "them, so there are no times to report."
    )
    return nodes.paragraph(text=text)

"""The directive ``stored-figure``: a plotly figure of a chapter, shown on another page."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import nbformat
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from .outputs import PLOTLY_MIME, plotly_html


class StoredFigure(SphinxDirective):
    """``{stored-figure} chapter.ipynb`` with ``:number:`` from one on and ``:alt:``, the text."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {
        "number": directives.positive_int,
        "alt": directives.unchanged_required,
    }

    def run(self) -> list[nodes.Node]:
        """The box with the figure, as the chapter's own page has it."""
        relative, path = self.env.relfn2path(self.arguments[0])
        self.env.note_dependency(relative)
        outputs = [o for cell in nbformat.read(Path(path), 4).cells for o in cell.get("outputs", [])]
        figures = [o.data[PLOTLY_MIME] for o in outputs if PLOTLY_MIME in o.get("data", {})]
        number = self.options.get("number", 1)
        if number > len(figures):
            raise self.error(f"{self.arguments[0]} has {len(figures)} plotly figures, no number {number}")
        return [nodes.raw(text=plotly_html(figures[number - 1], self.options.get("alt", "")), format="html")]


def connect(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("stored-figure", StoredFigure)

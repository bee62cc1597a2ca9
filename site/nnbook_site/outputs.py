"""myst-nb plugins: how cell outputs that are not text or images become part of a page.

They are found through the entry points in ``pyproject.toml``.
"""

from __future__ import annotations

import html
import json
from typing import Any, ClassVar

from docutils import nodes
from myst_nb.core.render import MimeData, NbElementRenderer
from myst_nb.sphinx_ import NbMetadataCollector

PLOTLY_MIME = "application/vnd.plotly.v1+json"
WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
CLAIMS_MIME = "application/vnd.nnbook.claims+json"
FROZEN = "Live control: frozen on this page; run the chapter in Jupyter to use it."
FROZEN_HTML = f'<p class="book-frozen">{FROZEN}</p>'


def alternative_text(figure: dict[str, Any], cell_metadata: dict[str, Any]) -> str:
    """What the figure shows, in words: from its ``layout.meta.alt`` or the cell's ``mystnb.image.alt``."""
    meta = figure.get("layout", {}).get("meta") or {}
    return str(meta.get("alt") or cell_metadata.get("mystnb", {}).get("image", {}).get("alt", ""))


def plotly_html(figure: dict[str, Any], alt: str = "") -> str:
    """The figure as JSON inside a box of its height, for ``book.js`` to draw in the page's own template."""
    layout = {k: v for k, v in figure.get("layout", {}).items() if k != "template"}
    text = json.dumps({**figure, "layout": layout}, separators=(",", ":")).replace("</", "<\\/")
    height = int(layout.get("height") or 450)
    label = f' role="figure" aria-label="{html.escape(alt)}"' if alt else ""
    drawn = [
        *figure.get("data", []),
        *(t for frame in figure.get("frames", []) for t in frame.get("data", [])),
    ]
    kinds = html.escape(" ".join(sorted({trace.get("type", "scatter") for trace in drawn})))
    return (
        f'<div class="book-plotly output" data-traces="{kinds}"{label}><div style="height:{height}px"></div>'
        f'<script type="application/json">{text}</script></div>'
    )


class PlotlyFigure:
    """Draw a stored plotly figure with the site's own plotly.js."""

    mime_priority_overrides: ClassVar[list[tuple[str, str, int | None]]] = [
        ("html", PLOTLY_MIME, 5),
        ("dirhtml", PLOTLY_MIME, 5),
        ("singlehtml", PLOTLY_MIME, None),  # on paper the picture beside it
    ]

    @staticmethod
    def handle_mime(renderer: NbElementRenderer, data: MimeData, inline: bool) -> list[nodes.Node] | None:
        """Return the box with the figure, or None for another kind of output."""
        if inline or data.mime_type != PLOTLY_MIME:
            return None
        content: Any = data.content
        figure = content if isinstance(content, dict) else json.loads(content)
        alt = alternative_text(figure, data.cell_metadata)
        return [nodes.raw(text=plotly_html(figure, alt), format="html")]


class FrozenWidget:
    """Say in place of an ipywidget that it needs a kernel."""

    mime_priority_overrides: ClassVar[list[tuple[str, str, int | None]]] = []

    @staticmethod
    def handle_mime(renderer: NbElementRenderer, data: MimeData, inline: bool) -> list[nodes.Node] | None:
        """Return the note, or None for another kind of output."""
        if inline or data.mime_type != WIDGET_MIME:
            return None
        return [nodes.raw(text=FROZEN_HTML, format="html")]


class ClaimsRecord:
    """Keep a chapter's claims for the claims page; the chapter itself shows the table beside them."""

    mime_priority_overrides: ClassVar[list[tuple[str, str, int | None]]] = []

    @staticmethod
    def handle_mime(renderer: NbElementRenderer, data: MimeData, inline: bool) -> list[nodes.Node] | None:
        """Return nothing to show, or None for another kind of output."""
        if inline or data.mime_type != CLAIMS_MIME:
            return None
        content: Any = data.content
        claims = (content if isinstance(content, dict) else json.loads(content))["claims"]
        env = renderer.renderer.sphinx_env
        kept = NbMetadataCollector.get_doc_data(env)[env.docname].get("claims", [])
        NbMetadataCollector.set_doc_data(env, env.docname, "claims", kept + claims)
        return []

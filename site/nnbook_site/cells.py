"""How the page shows the cells of a chapter: pictures in their width, plotting cells and claims folded."""

from __future__ import annotations

import json
from typing import Any

from sphinx.application import Sphinx

from .outputs import CLAIMS_MIME, PLOTLY_MIME

LARGER = 1.2  # text of 12 points beside the page's 16 pixels
PICTURES = {"image/png", PLOTLY_MIME}
OPEN = "show-input"  # the tag of a cell that draws a picture and shall be read all the same


def connect(app: Sphinx) -> None:
    """Come after the outputs of a run have been put into a chapter."""
    app.connect("source-read", _dress, priority=800)


def _dress(app: Sphinx, page: str, content: list[str]) -> None:
    if str(app.env.doc2path(page)).endswith(".ipynb"):
        notebook = json.loads(content[0])
        for cell in notebook["cells"]:
            for output in cell.get("outputs", []):
                dress(cell["metadata"], output)
        content[0] = json.dumps(notebook)


def dress(cell: dict[str, Any], output: dict[str, Any]) -> None:
    """Add to a cell's metadata what one of its outputs asks for.

    >>> cell = {}
    >>> dress(cell, {"data": {"image/png": ""}, "metadata": {"image/png": {"width": 500}}})
    >>> cell
    {'tags': ['hide-input'], 'mystnb': {'image': {'width': '600px'}}}
    """
    kinds, tags = output.get("data", {}).keys(), cell.setdefault("tags", [])
    fold = [
        tag
        for tag, asked in (("hide-input", kinds & PICTURES), ("hide-output", CLAIMS_MIME in kinds))
        if asked
    ]
    tags += [tag for tag in fold if tag not in tags and not {OPEN, "remove-cell"} & {*tags}]
    if width := output.get("metadata", {}).get("image/png", {}).get("width"):  # it has more pixels than that
        image = cell.setdefault("mystnb", {}).setdefault("image", {})
        image.setdefault("width", f"{LARGER * width:.0f}px")

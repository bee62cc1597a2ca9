"""What the pages made of other pages' data share: pages in reading order, links to them, tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Any

from docutils import nodes
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

Cell = list[nodes.Node]


def notebook_data(env: BuildEnvironment, key: str) -> Iterator[tuple[str, Any]]:
    """Pages for which `key` was stored when they were read, in the order of the table of contents."""
    data = NbMetadataCollector.get_doc_data(env)
    for page in pages(env):
        if value := data.get(page, {}).get(key):
            yield page, value


def pages(env: BuildEnvironment) -> Iterator[str]:
    """All pages in the order of the table of contents."""
    waiting = [env.config.root_doc]
    while waiting:
        page = waiting.pop(0)
        waiting = env.toctree_includes.get(page, []) + waiting
        yield page


def parts(env: BuildEnvironment) -> dict[str, str]:
    """Caption of the part of the table of contents in which a page stands."""
    found: dict[str, str] = {}
    for toc in env.get_doctree(env.config.root_doc).findall(addnodes.toctree):
        waiting = list(toc["includefiles"])
        while waiting:
            page = waiting.pop()
            found[page] = toc.get("caption") or ""
            waiting += env.toctree_includes.get(page, [])
    return found


def page_link(app: Sphinx, here: str, page: str) -> nodes.reference:
    """A link from the page `here` to another one, under that page's title."""
    return make_refnode(app.builder, here, page, None, [nodes.Text(app.env.titles[page].astext())])


def table(
    header: Iterable[str],
    rows: Iterable[list[Cell]],
    classes: Iterable[str] = (),
    row_classes: Iterable[str] = (),
) -> nodes.table:
    """A table whose cells are lists of inline nodes, and whose rows may have classes."""
    head: list[Cell] = [[nodes.Text(name)] for name in header]
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in head), cols=len(head))
    group += nodes.thead("", _row(head))
    group += nodes.tbody("", *(_row(row, css) for row, css in zip_longest(rows, row_classes, fillvalue="")))
    return nodes.table("", group, classes=["colwidths-auto", *classes])


def _row(cells: list[Cell] | str, classes: str = "") -> nodes.row:
    entries = (nodes.entry("", nodes.paragraph("", "", *cell)) for cell in cells)
    return nodes.row("", *entries, classes=classes.split())

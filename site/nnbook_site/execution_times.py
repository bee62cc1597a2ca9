"""Seconds and memory of the chapters, from the runs that the site shows: in their boxes and in tables."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

import joblib
import psutil
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

from .claims import cell_address
from .freshness import Record, last, what_runs
from .tables import Cell, page_link, pages, table

SLOWEST = 20


class ExecutionTimes(nodes.General, nodes.Element):
    """Placeholder for the tables of all chapters."""


class ExecutionTimesDirective(SphinxDirective):
    """``{execution-times}``: one table of the chapters and one of their slowest cells."""

    def run(self) -> list[nodes.Node]:
        """Leave a placeholder: the titles of the chapters may not have been read yet."""
        return [ExecutionTimes()]


def connect(app: Sphinx) -> None:
    """Register the directive and the event that fills it."""
    app.add_node(ExecutionTimes)
    app.add_directive("execution-times", ExecutionTimesDirective)
    app.connect("doctree-resolved", _fill)


def _fill(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for place in list(doctree.findall(ExecutionTimes)):
        runs = {page: run for page in pages(app.env) if (run := _run(app, page))}
        if runs:
            place.replace_self([_machine(), _chapters(app, docname, runs), *_cells(app, docname, runs)])
        else:
            place.replace_self(_none())
    box = next((node for node in doctree.findall(nodes.admonition) if "tip" in node["classes"]), None)
    if box is not None and (run := _run(app, docname)):
        box.append(nodes.paragraph(text=f"When this site was made, it took {run.seconds:.0f} s {_beside()}."))


def _run(app: Sphinx, page: str) -> Record | None:
    path = Path(app.env.doc2path(page))
    return last(path) if app.config.book_execute and path.suffix == ".ipynb" else None


def _chapters(app: Sphinx, here: str, runs: dict[str, Record]) -> nodes.table:
    rows: list[list[Cell]] = [
        [
            [page_link(app, here, page)],
            *_texts(f"{run.seconds:.0f}", f"{run.memory:.2f}", str(len(run.cells)), run.when),
        ]
        for page, run in runs.items()
    ]
    seconds, memory = sum(run.seconds for run in runs.values()), max(run.memory for run in runs.values())
    cells = sum(len(run.cells) for run in runs.values())
    rows.append(_texts("all together", f"{seconds:.0f}", f"{memory:.2f}", str(cells), ""))
    return table(("chapter", "seconds", "peak memory (GB)", "code cells", "executed"), rows)


def _cells(app: Sphinx, here: str, runs: dict[str, Record]) -> list[nodes.Node]:
    cells = [
        (seconds, number, line, page)
        for page, run in runs.items()
        for number, (seconds, line) in enumerate(run.cells, 1)
    ]
    cells.sort(reverse=True)
    rows: list[list[Cell]] = [
        [
            *_texts(f"{seconds:.1f}"),
            [page_link(app, here, page)],
            [
                make_refnode(
                    app.builder, here, page, cell_address(app, page, number), [nodes.Text(str(number))]
                )
            ],
            [nodes.literal(text=line)],
        ]
        for seconds, number, line, page in cells[:SLOWEST]
    ]
    title = nodes.paragraph("", "", nodes.strong(text=f"The {len(rows)} slowest cells"))
    return [title, table(("seconds", "chapter", "code cell", "begins with"), rows)]


def _machine() -> nodes.paragraph:
    """Where the site was built: seconds mean little without it."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "scipy"))
    memory = psutil.virtual_memory().total / 2**30
    python = f"Python {platform.python_version()}, {packages}; {what_runs()}"
    text = f"Built {_beside()}, with {memory:.0f} GiB of memory, {python}."
    return nodes.paragraph(text=text)


def _beside() -> str:
    return f"on {joblib.cpu_count()} {platform.machine()} cores, two chapters at a time"


def _texts(*texts: str) -> list[Cell]:
    return [[nodes.Text(text)] for text in texts]


def _none() -> nodes.paragraph:
    text = (
        "This copy of the site shows the outputs stored in the chapters; it was built without executing "
        "them, so there are no times to report."
    )
    return nodes.paragraph(text=text)

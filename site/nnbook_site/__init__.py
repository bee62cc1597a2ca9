"""Sphinx extension of the book: an offline site, and pages made of the chapters' own data."""

from typing import Any

from sphinx.application import Sphinx

from . import assets, cells, claims, docstrings, execution_times, figures, freshness

__all__ = ["setup"]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the parts; each module connects its own events."""
    for part in (assets, cells, claims, docstrings, execution_times, figures, freshness):
        part.connect(app)
    return {"version": "0.1", "parallel_read_safe": True, "parallel_write_safe": True}

"""Docstrings may describe several attributes on one line: ``x, y: its points``."""

from __future__ import annotations

import re

from sphinx.application import Sphinx

SEVERAL = re.compile(r":ivar (\w+(?:, \w+)+):(.*)")


def connect(app: Sphinx) -> None:
    """Come after napoleon, which makes fields of the sections of a docstring."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", _one_field_a_name, priority=800)


def _one_field_a_name(
    app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]
) -> None:
    # Sphinx would read ":ivar x, y: text" as y being of type "x,", and look for that type
    lines[:] = [new for line in lines for new in _split(line)]


def _split(line: str) -> list[str]:
    """A field for each name, as napoleon does it for arguments.

    >>> _split(":ivar x, y: its points")
    [':ivar x: its points', ':ivar y: its points']
    """
    if not (found := SEVERAL.fullmatch(line)):
        return [line]
    names, text = found.groups()
    return [f":ivar {name}:{text}" for name in names.split(", ")]

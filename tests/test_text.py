"""Tables, and numbers in sentences."""

import sys

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from myst_nb.core.variables import format_plain_text

from nnbook.text import Table, glue


def test_table_is_aligned_text_and_escaped_html():
    table = Table(("n", "E"), [("0", "< 0.5"), ("10", "1.5")], classes=("first", "second"))
    assert repr(table).splitlines() == ["n  | E", "0  | < 0.5", "10 | 1.5"]
    html = table._repr_html_()
    assert "<td>&lt; 0.5</td>" in html
    assert [html.count(f'<tr class="{name}">') for name in ("first", "second")] == [1, 1]


def test_glue_stores_values_under_their_names(monkeypatch):
    shell, stored = InteractiveShell.instance(), []
    monkeypatch.setattr(shell.display_pub, "publish", lambda **output: stored.append(output))
    try:
        glue(energy="0.499997", states=5)
    finally:
        InteractiveShell.clear_instance()
    assert [output["metadata"]["scrapbook"]["name"] for output in stored] == ["energy", "states"]
    assert "0.499997" in str(stored[0]["data"])


@pytest.mark.parametrize("text", ["0.80", "9,393,931", "-0.50", "1e-3", "+0.10", "text", np.float64(0.25)])
def test_glued_text_is_printed_as_it_is_written(text, monkeypatch):
    shell, stored = InteractiveShell.instance(), []
    monkeypatch.setattr(shell.display_pub, "publish", lambda **output: stored.append(output))
    try:
        glue(number=text)
    finally:
        InteractiveShell.clear_instance()
    [plain] = [data for mime, data in stored[0]["data"].items() if "plain" in mime]
    assert format_plain_text(plain, "").lstrip("\u2060") == str(text)


def test_glue_does_nothing_without_the_book(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "myst_nb", None)
    glue(energy="0.499997")
    assert capsys.readouterr() == ("", "")


def test_glue_prints_nothing_outside_a_notebook(capsys):
    glue(energy="0.499997")
    assert capsys.readouterr().out == ""

"""The address of the repository in a book: launch buttons and the cell for Colab."""

import sys

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from nnbook_site.address import set_address

ADDRESS = "https://github.com/someone/book"


@pytest.fixture
def book(tmp_path):
    """A book of one chapter without an address."""
    (tmp_path / "chapters").mkdir()
    (tmp_path / "_config.yml").write_text('repository:\n  url: "" # the only place\n  branch: main\n')
    cells = [new_markdown_cell("# Page", id="title"), new_code_cell("1 + 1", id="sum", execution_count=1)]
    nbformat.write(new_notebook(cells=cells), tmp_path / "chapters" / "page.ipynb")
    return tmp_path


def cells_of(book):
    return nbformat.read(book / "chapters/page.ipynb", 4).cells


def ids(book):
    return [cell.id for cell in cells_of(book)]


def test_address_comes_and_goes(book):
    before = {path: path.read_bytes() for path in book.rglob("*.*") if path.is_file()}
    set_address(book, ADDRESS)
    set_address(book, ADDRESS)
    assert f'url: "{ADDRESS}" # the only place' in (book / "_config.yml").read_text()
    assert ids(book) == ["title", "install", "sum"]
    assert [cell.get("execution_count") for cell in cells_of(book)] == [None, 1, 2]
    set_address(book, "")
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("colab", [False, True], ids=["here", "colab"])
def test_cell_installs_on_colab_only(book, monkeypatch, colab):
    set_address(book, ADDRESS)
    if colab:
        monkeypatch.setitem(sys.modules, "google.colab", sys)
    shell, asked = InteractiveShell(), []
    shell.register_magic_function(asked.append, magic_name="pip")
    shell.run_cell(cells_of(book)[1].source).raise_error()
    assert asked == [f"install -q git+{ADDRESS}"] * colab


def test_wrong_address_changes_nothing(book):
    with pytest.raises(ValueError, match="address: got 'someone/book', expected one like https"):
        set_address(book, "someone/book")
    assert ids(book) == ["title", "sum"]

"""Give the book its address: ``make address URL=https://github.com/someone/book``.

It goes into ``_config.yml``, where it turns the launch buttons on, and into a cell of each chapter
that installs the library on Colab and does nothing anywhere else. An empty address takes both away.
"""

import argparse
import re
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell

CELL = """import sys

if "google.colab" in sys.modules:  # elsewhere the library is installed already
    %pip install -q git+{address}"""


def set_address(book: Path, address: str) -> None:
    """Write the address of the repository into the configuration and all chapters of a book.

    Raises:
        ValueError: an address that is neither empty nor begins with https.
    """
    if address and not re.fullmatch(r"https://[^\s\"]+", address):
        raise ValueError(f"address: got {address!r}, expected one like https://github.com/someone/book")
    config = book / "_config.yml"
    config.write_text(re.sub(r'(?m)^  url: "[^"]*"', f'  url: "{address}"', config.read_text(), count=1))
    for path in (book / "chapters").glob("*.ipynb"):
        notebook = nbformat.read(path, 4)
        notebook.cells = [cell for cell in notebook.cells if cell.id != "install"]
        if address:
            install = new_code_cell(CELL.format(address=address), id="install")
            install.metadata["tags"] = ["remove-cell"]
            notebook.cells.insert(1, install)
        _number(notebook)
        nbformat.write(notebook, path)


def _number(notebook: Any) -> None:
    """As if the notebook had been run with the cells that it has now: the new one prints nothing."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    for number, cell in enumerate(code, 1):
        for part in (cell, *cell.outputs):
            if "execution_count" in part:
                part.execution_count = number


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("address")
    set_address(Path.cwd(), parser.parse_args().address.removesuffix("/"))

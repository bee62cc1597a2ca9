"""Execute what is not fresh before a build reads it, and let the pages show those outputs.

A chapter's outputs are fresh if nothing that they depend on has changed since: its code, the files of the
library which it imports, directly or through others, the lock, the budget and the device. They are kept
beside the site, in ``_build/executed/NAME.json``.
"""

from __future__ import annotations

import ast
import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util import logging

if TYPE_CHECKING:
    from .execute import Execution

PACKAGE, LOCK = "nnbook", "requirements.txt"


@dataclass(frozen=True)
class Record:
    """What is kept of a run.

    Attributes:
        digest: see :func:`digest`.
        when: date and minute.
        seconds: of the whole chapter.
        memory: peak of the kernel and its workers, in GB.
        cells: seconds and first line of each code cell.
        outputs: of each code cell.
    """

    digest: str
    when: str
    seconds: float
    memory: float
    cells: list[tuple[float, str]]
    outputs: list[list[dict[str, Any]]]


def last(chapter: Path) -> Record | None:
    """The record of a chapter's last run, fresh or not."""
    try:
        return Record(**json.loads(_file(chapter).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # none, or not one of ours
        return None


def fresh(chapter: Path) -> bool:
    """Whether a run would give again what is kept."""
    record = last(chapter)
    return record is not None and record.digest == digest(chapter)


def slowest_first(chapters: Iterable[Path]) -> list[Path]:
    """Chapters by the seconds of their last run; those that never ran come first."""
    known = {chapter: last(chapter) for chapter in chapters}
    return sorted(known, key=lambda chapter: -record.seconds if (record := known[chapter]) else -math.inf)


def keep(run: Execution) -> None:
    """Keep the outputs, the seconds and the memory of a run for the builds that follow."""
    code = code_cells(run.notebook)
    lines = [next(iter(source(cell).strip().splitlines()), "") for cell in code]
    record = Record(
        digest=run.digest,
        when=datetime.now().strftime("%Y-%m-%d %H:%M"),
        seconds=run.seconds,
        memory=run.memory,
        cells=list(zip(run.cells, lines, strict=True)),
        outputs=[cell["outputs"] for cell in code],
    )
    file = _file(run.path)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(asdict(record)), encoding="utf-8")
    os.replace(part, file)


def _file(chapter: Path) -> Path:
    return root_of(chapter) / "_build" / "executed" / f"{chapter.stem}.json"


def root_of(chapter: Path) -> Path:
    """The folder of the book, which holds the library and the lock: above ``chapters/``."""
    return chapter.resolve().parents[1]


def code_cells(notebook: Any) -> list[Any]:
    """The code cells of a notebook."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def source(cell: Any) -> str:
    """The code of a cell, which a file holds as one text or as a list of lines."""
    return "".join(cell["source"])


def digest(chapter: Path) -> str:
    """Hash of all that the outputs of a chapter depend on."""
    root, cells = root_of(chapter), code_cells(json.loads(chapter.read_text(encoding="utf-8")))
    code = [source(cell) for cell in cells]
    tags = [sorted(cell["metadata"].get("tags", [])) for cell in cells]
    total = hashlib.sha256(json.dumps([code, tags, what_runs()]).encode())
    for path in sorted([*imported(code, root), *root.glob(LOCK)]):
        total.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def what_runs() -> str:
    """Device, dtype and budget of a run started now, in the words of the library."""
    import nnbook  # and with it PyTorch: the modules of this package are imported without

    return repr(nnbook.start(seed=0, quiet=True))


def imported(code: Iterable[str], root: Path, package: str = PACKAGE) -> set[Path]:
    """Files of the package that some code imports, directly or through others of them."""
    found: set[Path] = set()
    waiting = [name for text in code for name in _names(text, package)]
    while waiting:
        parts = waiting.pop().split(".")
        for length in range(1, len(parts) + 1):  # a module runs the files of all packages around it
            place = root.joinpath(*parts[:length])
            for file in (place.with_suffix(".py"), place / "__init__.py"):
                if file.is_file() and file not in found:
                    found.add(file)
                    here = parts[:length] if file.name == "__init__.py" else parts[: length - 1]
                    waiting += _names(file.read_text(encoding="utf-8"), package, here)
    return found


def _names(code: str, package: str, here: list[str] | None = None) -> Iterator[str]:
    """Names in the package that code in the package `here` imports; of ``from a import b``, a and a.b."""
    plain = re.sub(r"(?m)^(\s*)[%!].*$", r"\1pass", code)  # commands of IPython
    for node in ast.walk(ast.parse(plain)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = (here or [])[: len(here or []) + 1 - node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        yield from (name for name in names if name.split(".")[0] == package)


def connect(app: Sphinx) -> None:
    """Register the setting and the events of this module."""
    app.add_config_value("book_execute", False, "env", types=[bool])
    app.connect("env-get-outdated", _execute_stale)
    app.connect("source-read", _show_outputs)


def _execute_stale(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    if not app.config.book_execute or app.builder.name == "singlehtml":  # paper shows what is there
        return []
    from .execute import execute

    chapters = {
        Path(path): page for page in env.found_docs if (path := env.doc2path(page)).endswith(".ipynb")
    }
    stale = [path for path in slowest_first(chapters) if not fresh(path)]
    runs = execute(stale, done=lambda run: None if run.error else keep(run))
    failed = [run for run in runs if run.error]
    for run in failed:
        logging.getLogger(__name__).error("%s", run.error, location=chapters[run.path])
    if failed:
        raise ExtensionError(f"{len(failed)} of {len(runs)} executed chapters failed, see above")
    return [chapters[path] for path in stale]


def _show_outputs(app: Sphinx, page: str, content: list[str]) -> None:
    path = Path(app.env.doc2path(page))
    if not (app.config.book_execute and path.suffix == ".ipynb"):
        return
    if app.builder.name == "singlehtml" and not fresh(path):
        return
    notebook = json.loads(content[0])
    record = last(path)
    assert record is not None, f"{path} was executed before it is read"
    count = 0
    for cell, outputs in zip(code_cells(notebook), record.outputs, strict=True):
        count += bool(source(cell).strip())
        cell.update(outputs=outputs, execution_count=count if source(cell).strip() else None)
    content[0] = json.dumps(notebook)

"""What the outputs of a chapter depend on, when they are made anew, and what a failure leaves behind."""

import os
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from sphinx.cmd.build import build_main

from nnbook_site import freshness
from nnbook_site.execute import CELL_LIMIT, cell_limit, execute, main, share, tidy
from nnbook_site.freshness import digest, imported, slowest_first

ROOT = Path(__file__).parents[1]
PACKAGE = {
    "__init__.py": "from nnbook.ground import start",
    "ground.py": "import torch",
    "unread.py": "import nnbook.leaf",
    "leaf.py": "from nnbook.room import near\nimport numpy as np",
    "other.py": "def later():\n    import nnbook.room.far",
    "room/__init__.py": "",
    "room/near.py": "from ..apart import x\nfrom . import beside\nfrom .beside import y",
    "room/beside.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import nnbook.typed.deep",
    "room/far.py": "",
    "apart.py": "x = 1",
    "typed/__init__.py": "from . import deep",
    "typed/deep.py": "",
}


@pytest.fixture
def book(tmp_path):
    """Folder of a book with a small library, a lock and no chapter yet."""
    for name, text in PACKAGE.items():
        path = tmp_path / "nnbook" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "requirements.txt").write_text("torch==2\n")
    (tmp_path / "chapters").mkdir()
    return tmp_path


def write(book, name, *code, title="A page", tags=()):
    """Store a chapter of some cells; returns its path."""
    path = book / "chapters" / f"{name}.ipynb"
    cells = [
        new_code_cell(text, metadata={"tags": list(tags)}, id=f"cell-{k}") for k, text in enumerate(code)
    ]
    nbformat.write(tidy(new_notebook(cells=[new_markdown_cell(f"# {title}", id="title"), *cells])), path)
    return path


def outputs(path):
    return [output.get("text") for cell in nbformat.read(path, 4).cells[1:] for output in cell.outputs]


ALWAYS = {"__init__.py", "ground.py"}
NEAR = ALWAYS | {
    "room/__init__.py",
    "room/near.py",
    "room/beside.py",
    "apart.py",
    "typed/__init__.py",
    "typed/deep.py",
}


@pytest.mark.parametrize(
    ("code", "files"),
    [
        ("import numpy\nfrom torch import nn", set()),
        ("import nnbook", ALWAYS),
        ("import nnbook.ground as g", ALWAYS),
        ("from nnbook import leaf", NEAR | {"leaf.py"}),
        ("%matplotlib inline\nfrom nnbook.leaf import *", NEAR | {"leaf.py"}),
        ("if True:\n    !ls\n    from nnbook.room.near import z", NEAR),
        ("from nnbook.other import later", ALWAYS | {"other.py", "room/__init__.py", "room/far.py"}),
        ("import nnbookish.leaf", set()),
    ],
)
def test_imports_are_followed(book, code, files):
    assert imported([code], book) == {book / "nnbook" / name for name in files}


def test_each_chapter_reads_its_own_leaf_and_its_rooms_only():
    read = {}
    for path in (ROOT / "chapters").glob("*.ipynb"):
        code = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
        read[path.stem] = {file.relative_to(ROOT / "nnbook").as_posix() for file in imported(code, ROOT)}
    assert all("runtime.py" in files for files in read.values())
    assert all(f"{name}.py" in files for name, files in read.items() if (ROOT / f"nnbook/{name}.py").exists())
    for room, readers in {
        "geometry": {"discrete_geometry", "neural_polytopes", "polytope_gallery"},
        "spins": {"quantum_states", "networks_as_tensors", "boltzmann_machines"},
        "continuum": {"nuclei_and_matter", "boltzmann_machines", "matter_in_a_box", "quantum_dots"},
        "dynamics": {
            "physics_informed",
            "network_spacetime",
            "ads_dl",
            "holographic_qcd",
            "symmetries",
            "emergent_qm",
        },
    }.items():
        assert {name for name, files in read.items() if any(f.startswith(room) for f in files)} == readers


def test_digest_knows_what_outputs_depend_on_and_nothing_else(book, monkeypatch):
    monkeypatch.delenv("NNBOOK_BUDGET", raising=False)
    path = write(book, "page", "from nnbook import leaf")
    seen = [digest(path)]

    def differs():
        seen.append(digest(path))
        return seen[-1] not in seen[:-1]

    (book / "nnbook/unread.py").write_text("x = 2")
    (book / "nnbook/leaf.txt").write_text("a note")
    write(book, "page", "from nnbook import leaf", title="Another title")
    assert digest(path) == seen[0]
    (book / "nnbook/apart.py").write_text("x = 2")
    assert differs()
    (book / "requirements.txt").write_text("torch==3\n")
    assert differs()
    write(book, "page", "from nnbook import leaf  # read")
    assert differs()
    write(book, "page", "from nnbook import leaf  # read", tags=["raises-exception"])
    assert differs()
    monkeypatch.setenv("NNBOOK_BUDGET", "full")
    assert differs()


def test_a_stale_chapter_is_executed_before_the_site_is_built(book, monkeypatch):
    """Once, and again only if something that it reads has changed; the page shows the new outputs."""
    (book / "conf.py").write_text(
        "extensions = ['myst_nb', 'nnbook_site']\nnb_execution_mode = 'off'\nbook_execute = True\n"
        "exclude_patterns = ['_build']"
    )
    pages = "chapters/one\nchapters/two\nlast\n"
    (book / "index.md").write_text(f"# Book\n\n```{{toctree}}\n{pages}```\n")
    (book / "last.md").write_text("# Last\n\n```{execution-times}\n```\n")
    started = book / "started"
    note = f"from pathlib import Path\nprint('seen', len(Path({str(started)!r}).read_text()))"
    count = f"with open({str(started)!r}, 'a') as file:\n    _ = file.write('x')"
    box = "```{admonition} Box\n:class: tip\nText.\n```"
    write(book, "one", f"first_line = 1\n{count}", note, title=f"A page\n\n{box}")
    write(book, "two", "print('second')\nif False:\n    from nnbook import leaf")

    def built(*options):
        """Exit status, then what the two chapters show."""
        status = build_main(["-q", "-W", *options, str(book), str(book / "_build/html")])
        page = (book / "_build/html/chapters/one.html").read_text()
        return status, f"seen {len(started.read_text())}" in page, len(started.read_text())

    assert built() == (0, True, 1)
    assert "When this site was made, it took" in (book / "_build/html/chapters/one.html").read_text()
    times = (book / "_build/html/last.html").read_text()
    assert all(text in times for text in ("slowest cells", "all together", "first_line", "one.html#cell-1"))
    assert built("-E") == (0, True, 1)
    write(book, "one", f"first_line = 1\n{count}", note, title="New words, the same code")
    assert built() == (0, True, 1)
    two = freshness.last(book / "chapters/two.ipynb")
    (book / "nnbook/leaf.py").write_text("")
    assert built() == (0, True, 1)
    assert freshness.last(book / "chapters/two.ipynb").digest != two.digest
    write(book, "two", "1 / 0")
    assert built()[0] != 0


def test_a_failing_chapter_is_left_as_it_was_and_the_others_are_not_lost(book, capfd):
    good = write(book, "good", "import os\nprint(os.environ['LOKY_MAX_CPU_COUNT'])")
    bad = write(book, "bad", "print('before')", "print(1 / 0)", "print('after')")
    announced = write(book, "announced", "1 / 0", tags=["raises-exception"])
    (book / "chapters/broken.ipynb").write_text("{")
    paths = [good, bad, announced, book / "chapters/broken.ipynb"]
    before = [path.read_bytes() for path in paths]
    assert main([*map(str, paths), "--jobs", "3"]) == 1
    assert [path.read_bytes() != old for path, old in zip(paths, before, strict=True)] == [
        True,
        False,
        True,
        False,
    ]
    assert outputs(good) == [share(3)["LOKY_MAX_CPU_COUNT"] + "\n"]
    out, err = capfd.readouterr()
    assert "2 of 4 chapters ran through" in out
    assert "bad: FAILED in code cell 2" in err
    assert "ZeroDivisionError" in err
    assert main([str(good)]) == 0
    assert slowest_first([good, bad]) == [bad, good]


def test_no_kernel_outlives_an_interruption(book):
    quick = write(book, "quick", "1")
    slow = write(
        book,
        "slow",
        f"import os, time\nopen({str(book / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)",
    )

    def interrupt(run):
        while not ((book / "pid").exists() and (book / "pid").read_text()):
            pass
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute([quick, slow], done=interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(int((book / "pid").read_text()), 0)


def test_kernels_share_the_processor(monkeypatch):
    monkeypatch.setattr("joblib.cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "5")
    assert share(2)["OMP_NUM_THREADS"] == "4"
    assert share(9)["OMP_NUM_THREADS"] == "1"
    assert share(2)["LOKY_MAX_CPU_COUNT"] == "5", "what a reader has set stays"


def test_the_time_limit_of_a_cell_is_a_guard_only(monkeypatch):
    for budget, slowest in (("quick", 80), ("full", 1700)):
        monkeypatch.setenv("NNBOOK_BUDGET", budget)
        assert cell_limit() == CELL_LIMIT[budget] > 10 * slowest

"""The form of every chapter as it is stored; nbval runs them (see pyproject.toml)."""

import copy
import re
from itertools import count
from pathlib import Path

import nbformat
import pytest
import yaml

from nnbook_site.execute import tidy
from nnbook_site.outputs import PLOTLY_MIME, alternative_text
from nnbook_site.pictures import missing

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted((ROOT / "chapters").glob("*.ipynb"))
LIBRARY = sorted(p.relative_to(ROOT / "nnbook") for p in (ROOT / "nnbook").rglob("[!_]*.py"))
LEAVES = {"neural_polytopes": "polytopes", "polytope_gallery": "polytopes"}
PICTURES = {"image/png", "image/svg+xml", PLOTLY_MIME}


@pytest.fixture(params=CHAPTERS, ids=lambda path: path.stem)
def chapter(request):
    return request.param


@pytest.fixture
def notebook(chapter):
    return nbformat.read(chapter, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_every_page_is_in_the_table_of_contents():
    listed = set(re.findall(r"(?:file|root): (\S+)", (ROOT / "_toc.yml").read_text()))
    found = (path for path in (ROOT / "chapters").rglob("[!.]*") if path.suffix in (".md", ".ipynb"))
    pages = {
        path.relative_to(ROOT).with_suffix("").as_posix()
        for path in found
        if ".ipynb_checkpoints" not in path.parts
    }
    assert pages == listed


def test_the_site_executes_its_chapters_itself():
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert config["sphinx"]["config"]["book_execute"] is True
    assert config["execute"]["execute_notebooks"] == "off"


def test_reads_the_leaf_of_its_name(chapter, notebook):
    leaf = LEAVES.get(chapter.stem, chapter.stem)
    code = "\n".join(cell.source for cell in code_cells(notebook))
    assert re.search(
        rf"^(?:from|import) nnbook\.{leaf}\b|^from nnbook import .*\b{leaf}\b", code, re.MULTILINE
    )


def test_each_file_of_the_library_has_a_test_of_its_name():
    tests = {path.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    wanted = {file.with_name(f"test_{file.name}").as_posix() for file in LIBRARY}
    assert wanted - tests == set()
    assert {test for test in tests - wanted if "/" in test} == set(), "a test without its file"


def test_says_how_to_get_the_library(notebook):
    assert "pip install" in notebook.cells[0].source, "for those who downloaded this notebook alone"


def test_has_a_picture_beside_each_plotly_figure(chapter, notebook):
    assert not missing(notebook), f"run: python -m nnbook_site.pictures {chapter}"


def test_is_small_enough(chapter):
    assert chapter.stat().st_size < 2_000_000


def test_is_stored_tidily(chapter, notebook):
    assert tidy(copy.deepcopy(notebook)) == notebook, f"run: python -m nnbook_site.execute {chapter}"
    machine = re.search(rf"{re.escape(str(ROOT))}|site-packages|/home/|/tmp/", chapter.read_text())
    assert machine is None, f"names a place of one machine: {machine}"


def test_was_run_once_from_top_to_bottom(notebook):
    counts = [cell.execution_count for cell in code_cells(notebook) if cell.source.strip()]
    assert counts == [number for number, _ in zip(count(1), counts, strict=False)]
    assert any(cell.outputs for cell in code_cells(notebook))


def test_only_announced_cells_fail(notebook):
    for cell in code_cells(notebook):
        errors = [output.ename for output in cell.outputs if output.output_type == "error"]
        assert not errors or "raises-exception" in cell.metadata.get("tags", []), cell.source


def test_figures_have_caption_and_alternative_text(notebook):
    for cell in code_cells(notebook):
        shown = [output.data for output in cell.outputs if PICTURES & output.get("data", {}).keys()]
        assert len(shown) <= 1, f"one figure a cell, or the caption is repeated:\n{cell.source}"
        for data in shown:
            options = cell.metadata.get("mystnb", {})
            assert options.get("figure", {}).get("caption"), f"no mystnb.figure.caption:\n{cell.source}"
            assert alternative_text(data.get(PLOTLY_MIME, {}), cell.metadata), f"no alt text:\n{cell.source}"


def test_names_no_other_chapter_and_no_address(chapter, notebook):
    others = [re.escape(path.name) for path in CHAPTERS if path != chapter]
    foreign = re.compile("|".join([r"https?://", r"\burllib\b", r"\brequests\b", *others]))
    for cell in code_cells(notebook):
        source = re.sub(r"git\+https://\S+", "", cell.source) if cell.id == "install" else cell.source
        assert not foreign.search(source), cell.source

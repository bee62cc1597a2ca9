"""The parts of the site that need no browser: tidy outputs, failing claims."""

import copy
import json
import shutil
from base64 import b64decode, b64encode
from io import BytesIO

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image
from sphinx.cmd.build import build_main

from nnbook_site import paper
from nnbook_site.bundles import BUNDLES, bundle, traces
from nnbook_site.execute import main, tidy
from nnbook_site.outputs import CLAIMS_MIME, PLOTLY_MIME, WIDGET_MIME, plotly_html
from nnbook_site.pictures import BROWSERS, add

CLAIM = {
    "chapter": "page",
    "name": "$E_0$",
    "kind": "equal",
    "sigma": None,
    "slide": "2/5",
    "talk": None,
    "reference": 0.5,
    "how": "exact",
    "ours": 0.5004,
    "error": None,
    "tolerance": 1e-3,
    "passed": True,
    "budget": "quick",
}


def claiming(*claims):
    """A notebook with stored claims."""
    data = {CLAIMS_MIME: {"claims": list(claims)}, "text/html": "<p>a table</p>"}
    cell = new_code_cell("claims.table()", execution_count=7, outputs=[new_output("display_data", data=data)])
    return tidy(new_notebook(cells=[new_markdown_cell("# A page"), cell]))


@pytest.fixture
def build(tmp_path):
    """Build a book of one notebook and a claims page; returns the exit status and the claims page."""

    def run(notebook):
        source, out = tmp_path / "source", tmp_path / "out"
        source.mkdir()
        (source / "conf.py").write_text(
            "extensions = ['myst_nb', 'nnbook_site']\nnb_execution_mode = 'off'\n"
        )
        (source / "index.md").write_text("# Book\n\n```{toctree}\npage\nlast\n```\n")
        directives = (
            "claims} summary",
            "claims} talks",
            "claims} pulls",
            "claims} tables",
            "execution-times}",
        )
        last = "# Last\n\n" + "\n\n".join(f"```{{{directive}\n```" for directive in directives)
        (source / "last.md").write_text(last)
        nbformat.write(notebook, source / "page.ipynb")
        status = build_main(["-q", "-W", "--keep-going", str(source), str(out)])
        return status, (out / "last.html").read_text()

    return run


def test_claims_page_shows_stored_claims(build, tmp_path):
    drawn = CLAIM | {"name": "drawn", "error": 3e-4, "sigma": 1e-3, "unbiased": True, "talk": 0.51, "cell": 7}
    bound = CLAIM | {"name": "an error", "kind": "at_most", "ours": 0.4}
    status, page = build(claiming(CLAIM, drawn, bound))
    assert status == 0
    assert "3 of 3 claims hold" in page
    for text in ("0.50040", "± 3×10⁻⁴", "σ ≤ 10⁻³", "≤\u00a00.5"):
        assert text in page
    assert page.count('href="page.html#cell-7"') == 2  # among the talk's numbers and in its chapter
    assert 'id="cell-7"' in (tmp_path / "out" / "page.html").read_text()
    assert "1 pulls: mean 1.33, expected 0 ± 1.00; width 1.33, expected 1 ± 0.71; p = 0.36." in page
    assert "Outside the axis: none." in page
    records = json.loads((tmp_path / "out" / "claims.json").read_text())
    assert [record["name"] for record in records] == ["$E_0$", "drawn", "an error"]
    assert "without executing" in page


def test_failing_claim_fails_the_build(build, capsys):
    status, page = build(claiming(CLAIM, CLAIM | {"name": "$E_1$", "ours": 0.6}))
    assert status != 0
    assert "a claim fails: $E_1$: got 0.6, expected = 0.5" in capsys.readouterr().err
    assert "1 of 2 claims hold" in page
    assert "No claim so far is an unbiased estimate" in page


def test_tidy_drops_what_differs_between_runs():
    outputs = [
        new_output(
            "display_data", data={WIDGET_MIME: {"model_id": "8a1f"}, "text/plain": "interactive(...)"}
        ),
        new_output("display_data", data={PLOTLY_MIME: {"data": []}, "text/html": "<script></script>"}),
    ]
    cell = new_code_cell("x", id="kept", outputs=outputs, metadata={"execution": {}, "tags": ["a"]})
    once = tidy(new_notebook(cells=[cell], metadata={"widgets": {}}))
    assert once.cells[0].id == "kept"
    assert once.cells[0].metadata == {"tags": ["a"]}
    assert "8a1f" not in str(once)
    assert list(once.cells[0].outputs[1].data) == [PLOTLY_MIME]
    assert tidy(copy.deepcopy(once)) == once


def picture(mode, colour):
    file = BytesIO()
    Image.new(mode, (300, 200), colour).save(file, format="PNG")
    return b64encode(file.getvalue()).decode()


@pytest.mark.parametrize(
    ("mode", "colour", "kept"), [("RGBA", "#0072b2ff", "P"), ("RGBA", "#0072b280", "RGBA")]
)
def test_tidy_stores_opaque_pictures_in_few_colours(mode, colour, kept):
    output = new_output("display_data", data={"image/png": picture(mode, colour)})
    once = tidy(new_notebook(cells=[new_code_cell("x", outputs=[output])]))
    image = Image.open(BytesIO(b64decode(once.cells[0].outputs[0].data["image/png"])))
    assert image.mode == kept
    assert image.convert("RGB").getpixel((0, 0)) == (0, 114, 178)
    assert tidy(copy.deepcopy(once)) == once


@pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="no Chromium")
def test_a_plotly_figure_gets_a_picture_of_itself():
    figure = {
        "data": [{"type": "bar", "x": [0], "y": [1], "marker": {"color": "#0072b2"}}],
        "layout": {"height": 300},
    }
    output = new_output("display_data", data={PLOTLY_MIME: figure})
    notebook = new_notebook(cells=[new_code_cell("x", outputs=[output])])
    assert add([notebook]) == 1
    assert add([notebook]) == 0
    image = Image.open(BytesIO(b64decode(notebook.cells[0].outputs[0].data["image/png"]))).convert("RGB")
    assert image.size == (700, 300)
    assert image.getpixel((0, 0)) == (255, 255, 255)
    assert image.getpixel((350, 150)) == (0, 114, 178)


def test_executing_twice_changes_nothing(tmp_path):
    path = tmp_path / "short.ipynb"
    source = "import sys\nprint('a', flush=True)\nprint('b')\nprint('c', file=sys.stderr)"
    nbformat.write(new_notebook(cells=[new_code_cell(source)]), path)
    assert main([str(path)]) == 0
    first = path.read_text()
    assert main([str(path)]) == 0
    assert path.read_text() == first
    assert [output.text for output in nbformat.read(path, 4).cells[0].outputs] == ["a\nb\n", "c\n"]


def test_a_figure_cannot_end_its_script():
    page = plotly_html({"data": [], "layout": {"title": {"text": "</script>"}}}, alt='a "hill"')
    assert page.count("</script>") == 1
    assert 'aria-label="a &quot;hill&quot;"' in page


def test_a_page_loads_the_smallest_part_of_plotly_that_draws_its_figures(tmp_path):
    body = (
        plotly_html({"data": [{}, {"type": "heatmap"}], "frames": [{"data": [{"type": "surface"}]}]}) + "<p>"
    )
    assert traces(body) == {"scatter", "heatmap", "surface"}
    assert bundle({"scatter"}, tmp_path) == "plotly.min.js"
    for name in BUNDLES:
        (tmp_path / f"plotly-{name}.min.js").write_text("")
    for kinds, file in {
        "scatter": "plotly-basic.min.js",
        "scatter heatmap": "plotly-cartesian.min.js",
        "scatter mesh3d": "plotly-gl3d.min.js",
        "heatmap mesh3d": "plotly.min.js",
        "sunburst": "plotly.min.js",
    }.items():
        assert bundle(set(kinds.split()), tmp_path) == file


@pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="no Chromium")
def test_the_book_goes_to_paper(tmp_path):
    """As one page, from the outputs that are there: pictures for figures, and without the code of plots."""
    chapters, out = tmp_path / "chapters", tmp_path / "_build"
    chapters.mkdir()
    (tmp_path / "conf.py").write_text(
        "extensions = ['myst_nb', 'sphinx.ext.mathjax', 'nnbook_site']\nroot_doc = 'chapters/intro'\n"
        "nb_execution_mode = 'off'\nbook_execute = True\nmyst_enable_extensions = ['dollarmath']\n"
        "mathjax_path = 'vendor/mathjax/tex-svg.js'\nexclude_patterns = ['_build']"
    )
    (chapters / "intro.md").write_text("# Book\n\n```{toctree}\none\ntwo\n```\n\n$x^2$\n")
    data = {PLOTLY_MIME: {"data": [], "layout": {}}, "image/png": picture("RGB", (0, 114, 178))}
    for name in ("one", "two"):
        code = new_code_cell(
            "plotting()", execution_count=1, id="one", outputs=[new_output("display_data", data)]
        )
        shown = new_code_cell("calculation()", execution_count=2, id="two")
        title = new_markdown_cell(f"# Chapter {name}", id="title")
        notebook = new_notebook(cells=[title, code, shown])
        notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
        nbformat.write(notebook, chapters / f"{name}.ipynb")
    assert build_main(["-q", "-W", "-b", "singlehtml", str(tmp_path), str(out)]) == 0
    page = (out / "chapters/intro.html").read_text()
    assert page.count("data-traces") == 0
    assert page.count("<img") == 2
    assert 'id="chapters/two-cell-2"' in page
    paper.write(out / "chapters/intro.html", tmp_path / "book.pdf")
    pdf = (tmp_path / "book.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert all(part in pdf for part in (b"/Outlines", b"/Subtype /Image"))


@pytest.mark.parametrize("address", ["", "https://github.com/someone/book"])
def test_launch_buttons_need_the_address_of_the_repository(tmp_path, address):
    buttons = {"binderhub_url": "https://mybinder.org", "colab_url": "https://colab.research.google.com"}
    options = {"repository_url": address, "launch_buttons": buttons}
    (tmp_path / "conf.py").write_text(
        "extensions = ['myst_nb', 'nnbook_site']\nhtml_theme = 'sphinx_book_theme'\n"
        f"nb_execution_mode = 'off'\nhtml_theme_options = {options!r}\nexclude_patterns = ['_build']"
    )
    (tmp_path / "index.md").write_text("# Book\n\n```{toctree}\npage\n```\n")
    nbformat.write(new_notebook(cells=[new_markdown_cell("# Page", id="page")]), tmp_path / "page.ipynb")
    assert build_main(["-q", str(tmp_path), str(tmp_path / "_build")]) == 0
    page = (tmp_path / "_build/page.html").read_text()
    for name in ("mybinder", "colab"):
        assert (f"{name}." in page) == bool(address)

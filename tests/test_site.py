"""The finished site in a browser that reaches nothing but the site itself.

The site is built here from the outputs stored in the chapters, which nbval has just validated.
Chromium is Debian's: ``apt-get install chromium``.
"""

import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import unquote

import axe_playwright_python
import pytest
from playwright.sync_api import sync_playwright

from nnbook_site import bundles, pictures

ROOT = Path(__file__).parents[1]
FLAGS = [*pictures.FLAGS, "--disable-background-networking", "--disable-component-update"]
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def site():
    """Folder of the site, built anew without executing anything; a warning is an error."""
    out = ROOT / "_build" / "stored"
    out.mkdir(parents=True, exist_ok=True)
    config = (ROOT / "_config.yml").read_text()
    assert "book_execute: true" in config
    (out / "_config.yml").write_text(config.replace("book_execute: true", "book_execute: false"))
    book = [
        Path(sys.executable).parent / "jupyter-book",
        "build",
        ROOT,
        "--all",
        "-W",
        "-n",
        "--keep-going",
        "-q",
    ]
    where = ["--config", out / "_config.yml", "--path-output", out]
    result = subprocess.run([*book, *where], capture_output=True, text=True)
    if result.returncode:
        pytest.fail(f"the site does not build:\n{result.stdout}\n{result.stderr}", pytrace=False)
    return out / "_build" / "html"


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, pictures.BROWSERS)), None)
    if path is None:
        message = "no Chromium found (apt-get install chromium): the site was not looked at"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def served(site):
    """Address of the site on a server of its own."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=site)
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module", params=["http", "file"])
def address(request, site):
    """Address of the site, once on a server and once as files."""
    return request.getfixturevalue("served") if request.param == "http" else f"{site.as_uri()}/"


class Visit:
    """A tab that reaches only the site and notes whatever goes wrong."""

    def __init__(self, browser, address, viewport=DESKTOP):
        self.address, self.problems = address, []
        self.page = browser.new_page(viewport=viewport)
        self.page.set_default_timeout(60_000)
        self.page.route("**/*", self._gate)
        self.page.on("pageerror", lambda error: self.problems.append(f"error {error}"))
        self.page.on("requestfailed", lambda request: self.problems.append(f"no answer {request.url}"))
        self.page.on("response", lambda r: r.status < 400 or self.problems.append(f"{r.status} {r.url}"))
        self.page.on("console", self._listen)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.page.close()

    def _gate(self, route):
        inside = route.request.url.startswith((self.address, "data:", "blob:"))
        route.continue_() if inside else route.abort()

    def _listen(self, message):
        if message.type == "error":
            self.problems.append(f"console {message.text}")

    def open(self, path):
        """Show a page and draw all that it has."""
        self.page.goto(self.address + path)
        self.page.evaluate("window.MathJax?.startup?.promise")
        for figure in self.page.locator(".book-plotly").all():
            if figure.is_visible():  # not inside a folded solution
                figure.scroll_into_view_if_needed()
                figure.locator(".main-svg").first.wait_for()
        return self.page


def pages(site):
    """All pages but the index, which leads on to the first; of the pages of source, all alike, two."""
    found = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    sources = [path for path in found if path.startswith("_modules/")]
    return [
        path
        for path in found
        if path != "index.html" and not path.startswith("_static/") and path not in sources[2:]
    ]


def chapters_with(site, text):
    return [path for path in pages(site) if re.search(text, (site / path).read_text())]


def drag(page, box, right):
    """Drag the mouse over the middle of a box."""
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + right, y + 10, steps=5)
    page.mouse.up()


def test_no_tag_points_outside(site):
    outside = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=["']?(?:https?:)?//[^\s>]*""")
    found = {path: outside.findall((site / path).read_text()) for path in pages(site)}
    assert not {path: tags for path, tags in found.items() if tags}


def test_every_chapter_can_be_downloaded(site):
    for path in (ROOT / "chapters").glob("*.ipynb"):
        assert (site / "_sources" / "chapters" / path.name).read_bytes() == path.read_bytes()


# each page with a figure drawn by plotly costs seconds: from files three pages tell what all would
FROM_FILES = ("chapters/intro.html", "chapters/polytope_gallery.html", "chapters/quantum_states.html")


# formulas, tables and outputs that are wider than their column, and whether they scroll there
WIDE = """() => {
  const parts = ['mjx-container > svg', 'table', '.cell_output pre', '.cell_output img'];
  return [...document.querySelectorAll(parts.map(part => `article ${part}`))].flatMap(part => {
    const width = Math.max(part.getBoundingClientRect().width, part.scrollWidth || 0);
    let column = part.parentElement, scrolls = false;
    while (getComputedStyle(column).display.startsWith('inline')) column = column.parentElement;
    if (part.closest('.js-plotly-plot') || width <= column.clientWidth + 1) return [];
    for (let box = part; box.tagName != 'ARTICLE'; box = box.parentElement)
      scrolls ||= ['auto', 'scroll'].includes(getComputedStyle(box).overflowX);
    return [[(part.closest('mjx-container') || part).textContent.slice(0, 60), scrolls]];
  });
}"""


def test_every_page_works(browser, site, address):
    problems = {}
    for path in FROM_FILES if address.startswith("file:") else pages(site):
        with Visit(browser, address) as visit:
            page = visit.open(path)
            formulas = page.locator(".math").count()
            unset = page.locator(".math:not(:has(mjx-container))").count()
            if unset or page.locator("mjx-merror, [data-mml-node=merror]").count():
                visit.problems.append(f"{unset} of {formulas} formulas are not typeset, or hold an error")
            visit.problems += [f"wider than the column: {name}" for name, _ in page.evaluate(WIDE)]
            if visit.problems:
                problems[path] = visit.problems
    assert not problems


# not glyph by glyph: formulas and plots have names of their own, code has the theme's colours
SKIPPED = ("mjx-container", ".js-plotly-plot", ".highlight", ".sig")
RULES = {"empty-table-header": {"enabled": False}}  # a header may be a formula, which is skipped
AXE = """([skipped, rules]) => axe.run({ exclude: skipped.map(name => [name]) }, { rules }).then(
    ({ violations }) => violations.flatMap(
        ({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 120)}`)))"""


def test_scripts_of_a_page_are_light(site):
    """The whole of plotly.js alone is heavier; without npm a page loads it all the same."""
    if not any(bundles.FOLDER.glob("plotly-*.min.js")):
        pytest.skip("npm did not bring the parts of plotly.js: `make` fetches them")
    weights = {}
    for path in pages(site):
        loads = re.findall(r'<script[^>]*\bsrc="([^"?]+)', (site / path).read_text())
        files = {(site / path).parent / unquote(source) for source in loads if "://" not in source}
        weights[path] = sum(file.stat().st_size for file in files) / 1e6
    assert max(weights.values()) < 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible(browser, site, served, scheme):
    problems = {}
    for path in pages(site) if scheme == "light" else FROM_FILES:
        with Visit(browser, served) as visit:
            visit.page.emulate_media(color_scheme=scheme)
            visit.page.goto(visit.address + path)
            visit.page.evaluate((Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text())
            if found := visit.page.evaluate(AXE, [SKIPPED, RULES]):
                problems[path] = found
    assert not problems


def test_no_page_moves_sideways_or_is_cut_on_a_phone(browser, site, served):
    wide = {}
    for path in pages(site):
        with Visit(browser, served, PHONE) as visit:
            page = visit.open(path)
            cut = [name for name, scrolls in page.evaluate(WIDE) if not scrolls]
            width = page.evaluate("document.scrollingElement.scrollWidth")
            if width > PHONE["width"] or cut:
                wide[path] = width, cut
    assert not wide


def test_index_leads_to_the_first_page(browser, address):
    with Visit(browser, address) as visit:
        visit.page.goto(address + "index.html")
        visit.page.wait_for_url("**/chapters/intro.html")
        assert not visit.problems


def test_search_finds_the_claims_page(browser, address):
    with Visit(browser, address) as visit:
        page = visit.open("search.html?q=claims")
        page.locator("#search-results a[href*='chapters/claims.html']").first.wait_for()
        # a browser lets no page read its neighbours' files: the hits come without excerpts
        assert address.startswith("file:") or not visit.problems


def test_search_shows_words_and_no_source_of_formulas(browser, served):
    with Visit(browser, served) as visit:
        page = visit.open("search.html?q=metropolis")
        page.locator("#search-results .context").nth(5).wait_for()
        assert not [text for text in page.locator(".context").all_inner_texts() if "\\(" in text]


def test_claims_can_be_filtered_and_lead_to_their_cells(browser, site, served):
    claims = json.loads((site / "chapters" / "claims.json").read_text())
    with Visit(browser, served) as visit:
        page = visit.open("chapters/claims.html")
        assert page.evaluate("document.scrollingElement.scrollHeight") < 6 * DESKTOP["height"]
        page.locator(".book-filter input").fill("networks at most")
        found = page.locator(".book-fold[open] tbody tr:visible")
        assert 0 < found.count() < len(claims)
        counted = page.locator(".book-filter output").inner_text()
        assert counted == f"{found.count()} of {len(claims)} claims"
        found.locator("a[href*='#cell-']").first.click()
        page.wait_for_url("**#cell-*")
        page.wait_for_load_state("load")
        page.evaluate("window.MathJax?.startup?.promise")  # formulas move what stands below them
        above = "document.querySelector(location.hash).getBoundingClientRect().top"
        page.wait_for_function(f"0 <= {above} && {above} < innerHeight / 2")
        assert not visit.problems


def changes(page, element, expression, action):
    """Wait until `expression`, a function of the plot, has another value after the action."""
    plot = element.element_handle()
    before = plot.evaluate(expression)
    action()
    page.wait_for_function(f"([plot, before]) => ({expression})(plot) !== before", arg=[plot, before])


def test_sliders_move_curves(browser, site, served):
    curves = "plot => JSON.stringify(plot._fullData.map(t => [t.x, t.y, t.z].map(v => Array.from(v ?? []))))"
    for path in chapters_with(site, r'"sliders":'):
        with Visit(browser, served) as visit:
            for figure in visit.open(path).locator(".book-plotly:has(input[type=range])").all():
                control = figure.locator("input[type=range]")
                said = control.get_attribute("aria-valuetext")
                key = "Home" if control.input_value() == control.get_attribute("max") else "End"
                control.scroll_into_view_if_needed()
                plot = figure.locator(".js-plotly-plot:has(.main-svg)")
                changes(visit.page, plot, curves, functools.partial(control.press, key))
                assert (
                    control.get_attribute("aria-valuetext") == figure.locator("output").inner_text() != said
                )
            assert not visit.problems


def test_menus_change_what_is_shown(browser, site, served):
    shown = "plot => JSON.stringify(plot._fullData.map(trace => trace.visible))"
    for path in chapters_with(site, r'"updatemenus":'):
        with Visit(browser, served) as visit:
            for figure in visit.open(path).locator(".book-plotly:has(select)").all():
                select = figure.locator("select")
                select.scroll_into_view_if_needed()
                plot = figure.locator(".js-plotly-plot:has(.main-svg)")
                changes(visit.page, plot, shown, functools.partial(select.select_option, index=1))
            assert not visit.problems


EYE = "plot => JSON.stringify(plot._fullLayout.scene._scene.getCamera().eye)"


def solids(site):
    return chapters_with(site, r'"scene":')


def test_three_dimensional_figures_turn(browser, site, served):
    for path in solids(site):
        with Visit(browser, served) as visit:
            for figure in visit.open(path).locator(".book-solid").all()[:2]:
                hint = figure.locator(".book-hint")
                hint.scroll_into_view_if_needed()
                plot = figure.locator(".js-plotly-plot:has(canvas)")
                changes(visit.page, plot, EYE, functools.partial(hint.press, "ArrowLeft"))
                hint.click()
                plot.scroll_into_view_if_needed()
                turn = functools.partial(drag, visit.page, plot.bounding_box(), right=80)
                changes(visit.page, plot, EYE, turn)
            assert not visit.problems


def test_wheel_scrolls_the_page_over_a_solid_until_it_is_clicked(browser, site, served):
    with Visit(browser, served) as visit:
        page = visit.open(solids(site)[0])
        figure = page.locator(".book-solid").first
        figure.scroll_into_view_if_needed()
        page.wait_for_timeout(500)
        box = figure.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.wheel(0, 60)
        page.wait_for_function("y => scrollY !== y", arg=page.evaluate("scrollY"))
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 3)
        plot = figure.locator(".js-plotly-plot")
        changes(page, plot, EYE, functools.partial(page.mouse.wheel, 0, 60))
        assert not visit.problems


def test_solids_far_away_give_their_context_back(browser, site, served):
    path = max(solids(site), key=lambda path: (site / path).read_text().count('class="book-plotly'))
    with Visit(browser, served, PHONE) as visit:
        page = visit.open(path)
        assert page.locator(".book-solid").count() > 8
        assert page.locator(".book-solid:has(canvas)").count() < 8
        first = page.locator(".book-solid").first
        first.scroll_into_view_if_needed()
        first.locator("canvas").first.wait_for()
        assert not visit.problems


def test_no_button_of_a_figure_sends_it_elsewhere(browser, site, served):
    with Visit(browser, served) as visit:
        page = visit.open(chapters_with(site, "book-plotly output")[0])
        page.locator(".js-plotly-plot").first.hover()
        page.locator(".modebar-btn").first.wait_for(state="attached", timeout=15_000)
        titles = page.locator(".modebar-btn").evaluate_all("all => all.map(b => b.dataset.title)")
        assert any("PNG" in title for title in titles)
        assert not [title for title in titles if re.search("share|cloud|edit", title, re.I)]


def test_paper_is_white(browser, site, served):
    with Visit(browser, served) as visit:
        visit.page.emulate_media(color_scheme="dark")
        page = visit.open(chapters_with(site, "book-plotly output")[0])
        ink = "getComputedStyle(document.querySelector('.bd-article pre')).color"
        on_screen = page.evaluate(ink)
        page.emulate_media(media="print", color_scheme="dark")
        page.wait_for_function(f"{ink} !== '{on_screen}'")
        assert max(map(int, re.findall(r"\d+", page.evaluate(ink))[:3])) < 128
        page.emulate_media(media="screen", color_scheme="dark")
        page.wait_for_function(f"{ink} === '{on_screen}'")


def test_theme_switch_recolours_page_and_figures(browser, site, served):
    look = """() => [document.documentElement.dataset.theme,
        getComputedStyle(document.body).backgroundColor,
        getComputedStyle(document.querySelector(".xtick text")).fill]"""
    for path in chapters_with(site, "book-plotly output")[:1]:
        with Visit(browser, served) as visit:
            page, seen = visit.open(path), set()
            for _ in range(3):  # light, dark and the system's choice
                page.locator(".theme-switch-button").first.click()
                page.wait_for_timeout(500)
                seen.add(tuple(page.evaluate(look)))
            assert {theme for theme, *_ in seen} == {"light", "dark"}
            assert len({background for _, background, _ in seen}) == len({ink for *_, ink in seen}) == 2
            assert not visit.problems

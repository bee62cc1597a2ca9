"""Scripts and styles of the site, all copied from installed packages."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

from .bundles import FOLDER, bundle, traces

STATIC = Path(__file__).parent / "static"
SCRIPTS = {"book-plotly": "book.js", "book-filter": "filter.js", 'id="cell-': "anchors.js"}
MATHJAX = ("tex-svg.js", "sre/mathmaps/base.json", "sre/mathmaps/en.json", "input/tex/extensions", "a11y")


def connect(app: Sphinx) -> None:
    """Register the events of this module."""
    app.connect("config-inited", _launch_from_a_known_address)
    app.connect("builder-inited", lambda app: app.config.html_static_path.append(str(STATIC)))
    app.connect("builder-inited", _all_nodes_on_one_page)
    app.connect("doctree-resolved", _drop_thebe, priority=900)
    app.connect("html-page-context", _page_scripts)
    app.connect("html-page-context", _one_page_stands_in_its_folder)
    app.connect("html-page-context", _offline_scripts, priority=900)
    app.connect("build-finished", _copy_vendor)
    app.add_css_file("book.css", priority=900)
    app.add_js_file("page.js", loading_method="defer")


def _launch_from_a_known_address(app: Sphinx, config: Config) -> None:
    """Without the repository's address the theme cannot make its launch buttons, and fails."""
    options = config["html_theme_options"]
    if not options.get("repository_url"):
        options.pop("launch_buttons", None)


def _all_nodes_on_one_page(app: Sphinx) -> None:
    """The book as one page knows every node that its pages know."""
    known = app.registry.translation_handlers
    known["singlehtml"] = {**known["html"], **known.get("singlehtml", {})}


def _one_page_stands_in_its_folder(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Sphinx takes the book as one page to stand above `chapters/`, where its root page is."""
    if app.builder.name == "singlehtml" and "/" in page:
        context["metatags"] = f'<base href="{"../" * page.count("/")}">' + context.get("metatags", "")


def _page_scripts(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    body = context.get("body", "")
    if "book-plotly" in body:
        app.add_js_file(f"vendor/{bundle(traces(body))}", priority=100, loading_method="defer")
    for sign, script in SCRIPTS.items():
        if sign in body:
            app.add_js_file(script, loading_method="defer")


def _drop_thebe(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for node in list(doctree.findall(nodes.raw)):
        if "x-thebe-config" in node.astext() or "kernelName =" in node.astext():
            node.parent.remove(node)


def _offline_scripts(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Drop Thebe, which loads itself from a CDN, the state of frozen widgets, and what is there twice."""
    kept: dict[str, Any] = {}
    for script in context.get("script_files", []):
        text = script.attributes.get("body") or str(script.filename)
        if "thebe" not in text.lower() and "widget-state" not in script.attributes.get("type", ""):
            kept.setdefault(text, script)
    context["script_files"][:] = kept.values()


def _copy_vendor(app: Sphinx, exception: Exception | None) -> None:
    """Copy plotly.js and MathJax last, or jupyter-book would put them on every page.

    The icons come from the theme's fonts and style; its script for them is 1.5 MB that would draw them again.
    """
    if exception is not None or app.builder.format != "html":
        return
    vendor = Path(app.outdir) / "_static" / "vendor"
    _copy(package("plotly") / "package_data" / "plotly.min.js", vendor / "plotly.min.js")
    for part in FOLDER.glob("plotly-*.min.js"):
        _copy(part, vendor / part.name)
    for script in (Path(app.outdir) / "_static" / "scripts").glob("fontawesome.js*"):
        script.write_text("")
    for name in MATHJAX:
        _copy(package("sphinx-mathjax-offline") / "static" / "mathjax" / name, vendor / "mathjax" / name)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)


def package(name: str) -> Path:
    """Folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"package {name!r} is not installed: pip install -r requirements.txt")
    return Path(spec.submodule_search_locations[0])

"""A picture beside each stored plotly figure, for readers that draw none: GitHub, nbviewer, nbconvert.

``python -m nnbook_site.pictures chapters/*.ipynb`` adds those that are missing; ``nnbook_site.execute`` does
so for what it has run. Both need Chromium and playwright.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import nbformat
from PIL import Image

from .assets import package
from .outputs import PLOTLY_MIME

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader"]  # WebGL without a graphics card
DRAW = """async ({ data, layout }) => {
    const { sliders, updatemenus, template, font, ...kept } = layout;
    const paper = { paper_bgcolor: "white", plot_bgcolor: "white", font: { ...font, color: "#202020" } };
    const size = { format: "png", width: 700, height: layout.height ?? 450 };
    return (await Plotly.toImage({ data, layout: { ...kept, ...paper } }, size)).split(",")[1];
}"""


def light(png: str) -> str:
    """A picture in 256 colours, of which a plot has fewer, or a large one in 64: a third of the size."""
    image = Image.open(BytesIO(b64decode(png)))
    if (
        image.mode == "P" or min(image.convert("RGBA").getchannel("A").tobytes()) < 255
    ):  # done, or transparent
        return png
    for colours in (256, 64):
        file, fewer = BytesIO(), image.convert("RGB").quantize(colours, dither=Image.Dither.NONE)
        fewer.save(file, format="PNG", optimize=True)
        if file.tell() < 150_000:
            break
    return b64encode(file.getvalue()).decode() + "\n"


def missing(notebook: Any) -> list[Any]:
    """The data of the outputs that hold a plotly figure and no picture of it."""
    outputs = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    return [data for data in outputs if PLOTLY_MIME in data and "image/png" not in data]


def add(notebooks: Iterable[Any]) -> int:
    """Draw what is missing, all in one browser; returns how many. Without a browser none is drawn."""
    figures = [data for notebook in notebooks for data in missing(notebook)]
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not figures or browser is None or importlib.util.find_spec("playwright") is None:
        return 0
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        page = play.chromium.launch(executable_path=browser, args=FLAGS).new_page()
        page.add_script_tag(path=package("plotly") / "package_data" / "plotly.min.js")
        for data in figures:
            data["image/png"] = light(page.evaluate(DRAW, dict(data[PLOTLY_MIME])))
    return len(figures)


def main(paths: Iterable[str]) -> None:
    """Add the missing pictures to the notebooks at these paths."""
    notebooks = {path: nbformat.read(path, as_version=4) for path in map(Path, paths)}
    lacking = {path: notebook for path, notebook in notebooks.items() if missing(notebook)}
    print(f"{add(lacking.values())} pictures")
    for path, notebook in lacking.items():
        nbformat.write(notebook, path)


if __name__ == "__main__":
    main(sys.argv[1:])

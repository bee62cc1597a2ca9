"""``make pdf``: the whole book on paper, from the book as one page and the site's own print style.

Solutions and claims are unfolded, code that only draws is left out; a slider shows the frame on which it
opens. The pages of the library's interface stay on the site.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .pictures import BROWSERS, FLAGS

READY = """async () => {
    document.querySelectorAll('[id^="document-chapters/api"]').forEach((page) => page.remove());
    document.querySelectorAll("details.hide.above-input").forEach((code) => code.remove());
    document.querySelectorAll("details").forEach((fold) => (fold.open = true));
    await window.MathJax.startup.promise;
    for (const figure of document.querySelectorAll(".book-plotly")) {
        figure.scrollIntoView();
        while (!figure.querySelector(".main-svg")) await new Promise((later) => setTimeout(later, 100));
    }
    await Promise.all([...document.images].map((image) => image.decode().catch(() => image.remove())));
}"""
FOOTER = '<div style="font-size: 8px; width: 100%; text-align: center"><span class="pageNumber"></span></div>'


def one_page(source: Path, out: Path) -> Path:
    """Build the book as one page; a warning is an error.

    Raises:
        subprocess.CalledProcessError: the book does not build.
    """
    build: list[str | Path] = [
        Path(sys.executable).with_name("jupyter-book"),
        "build",
        source,
        "--all",
        "-W",
        "-n",
        "--keep-going",
    ]
    kind: list[str | Path] = [
        "-q",
        "--path-output",
        out,
        "--builder",
        "custom",
        "--custom-builder",
        "singlehtml",
    ]
    subprocess.run([*build, *kind], check=True)
    return out / "_build" / "singlehtml" / "chapters" / "intro.html"


def write(page: Path, pdf: Path) -> None:
    """Print the one page as PDF with an outline.

    Raises:
        FileNotFoundError: there is no Chromium.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise FileNotFoundError(f"Chromium: found none of {', '.join(BROWSERS)}; apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play, tempfile.TemporaryDirectory() as here:
        tab = play.chromium.launch(executable_path=browser, args=FLAGS).new_page(color_scheme="light")
        tab.set_default_timeout(0)  # thousands of formulas
        tab.goto(page.as_uri())
        tab.emulate_media(media="print", color_scheme="light")
        tab.evaluate(READY)
        tab.pdf(
            path=Path(here) / "book.pdf",
            format="A4",
            scale=0.85,
            margin={"top": "18mm", "bottom": "18mm", "left": "16mm", "right": "16mm"},
            display_header_footer=True,
            header_template="<span></span>",
            footer_template=FOOTER,
            outline=True,
            tagged=True,  # Chromium finds the outline by the tags
        )
        shutil.move(Path(here) / "book.pdf", pdf)


def main(source: str = ".", pdf: str = "_build/nnbook.pdf") -> None:
    """Build the one page beside the site, and print it."""
    write(one_page(Path(source), Path(pdf).parent / "paper"), Path(pdf))
    print(f"{pdf}: {Path(pdf).stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main(*sys.argv[1:])

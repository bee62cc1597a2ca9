"""Parts of plotly.js from npm: each page loads the smallest one that draws its figures.

`main` fetches them once into the environment, in the version of the installed plotly;
where npm is missing, pages load the whole of plotly.js, which that package holds.
"""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

FOLDER = Path(sys.prefix) / "share" / "nnbook-site"
BUNDLES = {  # from small to large
    "basic": {"bar", "pie", "scatter"},
    "cartesian": {"bar", "box", "contour", "heatmap", "histogram", "image", "pie", "scatter", "violin"},
    "gl3d": {"cone", "isosurface", "mesh3d", "scatter", "scatter3d", "streamtube", "surface", "volume"},
}


def traces(body: str) -> set[str]:
    """Kinds of plotly trace that a page draws, from the ``data-traces`` of its figures."""
    return {
        kind for kinds in re.findall(r'data-traces="([^"]*)"', body) for kind in html.unescape(kinds).split()
    }


def bundle(kinds: set[str], folder: Path = FOLDER) -> str:
    """File name of the smallest part in `folder` that draws all `kinds`, or of plotly.js itself."""
    for name, drawn in BUNDLES.items():
        if kinds <= drawn and (folder / f"plotly-{name}.min.js").is_file():
            return f"plotly-{name}.min.js"
    return "plotly.min.js"


def fetch(version: str, folder: Path = FOLDER) -> None:
    """Fetch all parts of this version of plotly.js with ``npm pack``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in BUNDLES:
        with tempfile.TemporaryDirectory() as here:
            pack = ["npm", "pack", "--silent", f"plotly.js-{name}-dist-min@{version}"]
            file = subprocess.run(pack, cwd=here, check=True, capture_output=True, text=True).stdout.split()[
                -1
            ]
            with tarfile.open(Path(here) / file) as packed:
                packed.extract(f"package/plotly-{name}.min.js", here, filter="data")
            shutil.move(Path(here) / "package" / f"plotly-{name}.min.js", folder / f"plotly-{name}.min.js")


def main() -> None:
    """Fetch the parts, or say what is missing; a site without them only loads more."""
    from plotly.offline import get_plotlyjs_version

    try:
        fetch(get_plotlyjs_version())
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"plotly.js stays whole, 5 MB a page with figures: npm did not bring its parts ({error})")

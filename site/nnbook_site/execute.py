"""Run chapters in a clean kernel and store tidy outputs: ``python -m nnbook_site.execute chapters/*.ipynb``.

Tidy means that running an unchanged chapter again changes nothing in the file: no timings, no widget
state, of an error only its message. Cells keep their ids.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import nbformat
import psutil
from nbclient import NotebookClient

from .outputs import FROZEN, FROZEN_HTML, PLOTLY_MIME, WIDGET_MIME

METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
CELL_METADATA = ("tags", "mystnb")


def tidy(notebook: Any) -> Any:
    """The notebook without whatever differs between two equal runs."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({k: v for k, v in cell.metadata.items() if k in CELL_METADATA})
        if cell.cell_type == "code":
            cell.outputs = [_tidy_output(output) for output in cell.outputs]
    return notebook


def _tidy_output(output: Any) -> Any:
    data = output.get("data", {})
    if output.output_type == "error":
        output.traceback = output.traceback[-1:]  # the frames name files of this machine
    if WIDGET_MIME in data:
        output.data = nbformat.from_dict({"text/html": FROZEN_HTML, "text/plain": FROZEN})
    elif PLOTLY_MIME in data:
        data.pop("text/html", None)  # plotly.js itself
    output.get("metadata", {}).pop("execution", None)
    return output


@contextmanager
def _peak_memory(period: float = 0.2) -> Iterator[list[float]]:
    """Peak resident memory in GB of all processes below this one, in the list when the block ends."""
    peak, done = [0.0], Event()

    def watch() -> None:
        while not done.wait(period):
            total = 0
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    total += process.memory_info().rss
            peak[0] = max(peak[0], total / 1e9)

    thread = Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def execute(path: Path, timeout: int = 600) -> str:
    """Run one chapter from its own folder, rewrite it tidily, and say what that took."""
    notebook = nbformat.read(path, as_version=4)
    start = time.perf_counter()
    with _peak_memory() as peak:
        NotebookClient(
            notebook,
            timeout=timeout,
            kernel_name="python3",
            resources={"metadata": {"path": str(path.resolve().parent)}},
            record_timing=False,
            coalesce_streams=True,
        ).execute()
    seconds = time.perf_counter() - start
    nbformat.write(tidy(notebook), path)
    return f"{path}: {seconds:.1f} s, peak memory {peak[0]:.2f} GB, file {path.stat().st_size / 1e6:.2f} MB"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(execute(Path(name)), flush=True)

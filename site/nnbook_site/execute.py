"""Run chapters in clean kernels, two at a time: ``python -m nnbook_site.execute chapters/*.ipynb``.

Each chapter's file is rewritten with its tidy outputs, and they are kept for the next build of the site.
Tidy means that running an unchanged chapter again changes nothing in the file: no timings, no widget
state, of an error only its message. Cells keep their ids. A chapter that fails is left as it was.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import joblib
import nbformat
from nbclient import NotebookClient

from . import freshness, pictures
from .outputs import FROZEN, FROZEN_HTML, PLOTLY_MIME, WIDGET_MIME
from .progress import Progress

METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
CELL_METADATA = ("tags", "mystnb")
# A guard against a cell that hangs: the slowest takes a minute at quick, half an hour at full.
CELL_LIMIT = {"quick": 1800, "full": 12 * 3600}


@dataclass(frozen=True)
class Execution:
    """One run of one chapter; its repr is the line that is printed.

    Attributes:
        path: the chapter's file.
        notebook: the chapter with its tidy outputs.
        seconds: from the start of the kernel to its end.
        memory: largest resident memory of the kernel and its workers together, in GB.
        cells: seconds of each code cell.
        error: what went wrong, empty if nothing did.
        digest: of all that the outputs depend on, as it was when the run began.
    """

    path: Path
    notebook: Any
    seconds: float
    memory: float
    cells: tuple[float, ...]
    error: str = ""
    digest: str = ""

    def __repr__(self) -> str:
        outcome = f"FAILED in code cell {len(self.cells)}, " if self.error else ""
        slowest = f", slowest cell {max(self.cells):.1f} s" if self.cells else ""
        return (
            f"{self.path.stem}: {outcome}{self.seconds:.1f} s, peak memory {self.memory:.2f} GB, "
            f"{len(self.cells)} cells{slowest}"
        )


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
    if "image/png" in data:
        data["image/png"] = pictures.light(data["image/png"])
    output.get("metadata", {}).pop("execution", None)
    return output


def cell_limit() -> int:
    """Seconds after which a cell of the budget in ``NNBOOK_BUDGET`` is taken to hang."""
    return CELL_LIMIT.get(os.environ.get("NNBOOK_BUDGET", ""), CELL_LIMIT["quick"])


def share(jobs: int) -> dict[str, str]:
    """Environment that gives each of `jobs` kernels its part of the processor.

    Workers of joblib and threads of linear algebra count all cores otherwise, in every kernel.
    """
    cores = str(max(1, joblib.cpu_count() // jobs))
    names = ("LOKY_MAX_CPU_COUNT", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {name: os.environ.get(name, cores) for name in names}


def execute(
    paths: Sequence[Path],
    *,
    jobs: int = 2,
    done: Callable[[Execution], None] = lambda execution: None,
) -> list[Execution]:
    """Run chapters, each from its own folder, `jobs` at a time; `done` is called as each of them ends.

    A failing cell ends its chapter and no other. After Ctrl-C no kernel is left.
    """
    jobs = max(1, min(jobs, len(paths)))
    environment = {**os.environ, **share(jobs)}
    pool, executions = ThreadPoolExecutor(jobs), []
    with Progress(len(paths)) as progress:
        futures = [pool.submit(_execute, path, environment, progress) for path in paths]
        try:
            for future in as_completed(futures):
                executions.append(future.result())
                progress.say(repr(executions[-1]))
                done(executions[-1])
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            while wait(futures, timeout=0.5).not_done:
                progress.kill()
    return executions


def _execute(path: Path, environment: dict[str, str], progress: Progress) -> Execution:
    notebook, digest, error = None, "", ""
    with progress.chapter(path.stem) as running:
        try:
            digest = freshness.digest(path)
            notebook = nbformat.read(path, as_version=4)
            client = NotebookClient(
                notebook,
                timeout=cell_limit(),
                kernel_name="python3",
                resources={"metadata": {"path": str(path.resolve().parent)}},
                record_timing=False,
                coalesce_streams=True,
            )
            running.watch(client)
            client.execute(env=environment)
            tidy(notebook)
        except Exception as problem:  # a cell, the kernel, the file: the other chapters go on
            error = f"{type(problem).__name__}: {problem}"
    return Execution(path, notebook, running.seconds(), running.memory, tuple(running.cells), error, digest)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status: 1 if a chapter failed."""
    parser = argparse.ArgumentParser(prog="python -m nnbook_site.execute", description=__doc__)
    parser.add_argument("chapters", nargs="+", type=Path)
    parser.add_argument("--jobs", type=int, default=2, help="chapters at a time (default 2)")
    options = parser.parse_args(arguments)
    start = perf_counter()

    def keep(execution: Execution) -> None:
        if not execution.error:
            pictures.add([execution.notebook])
            nbformat.write(execution.notebook, execution.path)
            if (freshness.root_of(execution.path) / freshness.PACKAGE).is_dir():  # a chapter of a book
                freshness.keep(execution)

    runs = execute(freshness.slowest_first(options.chapters), jobs=options.jobs, done=keep)
    failed = [run for run in runs if run.error]
    for run in failed:
        print(f"\n{run.path} is left as it was:\n{run.error}", file=sys.stderr)
    print(
        f"{len(runs) - len(failed)} of {len(runs)} chapters ran through, {perf_counter() - start:.0f} s "
        f"for {sum(run.seconds for run in runs):.0f} s of chapters"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

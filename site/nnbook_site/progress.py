"""What a person sees while chapters run, and what is measured meanwhile: cells, seconds, memory."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Lock, Thread
from time import perf_counter
from typing import Any

import psutil
from nbclient import NotebookClient

PERIOD = 0.5


class Running:
    """A chapter while it runs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.start = self._began = perf_counter()
        self.memory = 0.0
        self.cells: list[float] = []
        self.total = 0
        self._client: NotebookClient | None = None

    def watch(self, client: NotebookClient) -> None:
        """Follow a client, before it starts, from cell to cell; the clock begins here."""
        self.start = perf_counter()
        self._client = client
        self.total = sum(cell.cell_type == "code" for cell in client.nb.cells)
        client.on_cell_start = self._start_cell
        client.on_cell_executed = self._end_cell

    def _start_cell(self, cell: Any, cell_index: int) -> None:
        if cell.cell_type == "code":
            self.cells.append(0.0)
            self._began = perf_counter()

    def _end_cell(self, cell: Any, cell_index: int, execute_reply: Any) -> None:
        self.cells[-1] = perf_counter() - self._began

    def seconds(self) -> float:
        """How long it has run."""
        return perf_counter() - self.start

    def processes(self) -> list[psutil.Process]:
        """The kernel and its workers."""
        provisioner = getattr(getattr(self._client, "km", None), "provisioner", None)
        with suppress(psutil.Error):
            if pid := getattr(provisioner, "pid", None):
                kernel = psutil.Process(pid)
                return [kernel, *kernel.children(recursive=True)]
        return []

    def measure(self) -> None:
        """Note the resident memory if it is larger than before."""
        total = 0
        for process in self.processes():
            with suppress(psutil.Error):
                total += process.memory_info().rss
        self.memory = max(self.memory, total / 1e9)

    def __repr__(self) -> str:
        return f"{self.name} cell {len(self.cells)} of {self.total}, {self.seconds():.0f} s"


class Progress:
    """The chapters that run now: a line of the terminal that keeps changing.

    Used as a context; in a log file only the lines that :meth:`say` writes are seen.
    """

    def __init__(self, chapters: int) -> None:
        self._waiting = chapters
        self._running: list[Running] = []
        self._lock, self._over = Lock(), Event()
        self._live = sys.stderr.isatty()
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        self._write("")

    @contextmanager
    def chapter(self, name: str) -> Iterator[Running]:
        """A chapter that runs as long as the context."""
        running = Running(name)
        self._waiting -= 1
        self._running.append(running)
        try:
            yield running
        finally:
            self._running.remove(running)

    def say(self, line: str) -> None:
        """Write a line that stays."""
        self._write("")
        print(line, file=sys.stderr, flush=True)

    def kill(self) -> None:
        """End all kernels and their workers at once."""
        for process in [process for running in list(self._running) for process in running.processes()]:
            with suppress(psutil.Error):
                process.kill()

    def _watch(self) -> None:
        while not self._over.wait(PERIOD):
            for running in list(self._running):
                running.measure()
            more = f", {self._waiting} to come" if self._waiting else ""
            self._write(" | ".join(map(repr, self._running)) + more)

    def _write(self, line: str) -> None:
        if self._live:
            room = shutil.get_terminal_size().columns - 1
            with self._lock:
                sys.stderr.write(f"\r\x1b[2K{line[:room]}")
                sys.stderr.flush()

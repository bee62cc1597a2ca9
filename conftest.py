"""How pytest runs the chapters and all else: no network, the order, time limits, progress."""

import functools
import json
import os
import random

import pytest

from nnbook_site.execute import cell_limit, share

# a chapter that asked for something on the web would fail here as it would on a train
os.environ |= dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
os.environ |= dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1,localhost")

# in the environment, so that the workers of `pytest -n 2 --dist loadfile` agree
SEED = os.environ.setdefault("CHAPTER_SEED", str(random.randrange(10_000)))


def pytest_configure(config: pytest.Config) -> None:
    """A cell may take long but not hang; workers, and the kernels that they start, share the processor."""
    config.addinivalue_line("markers", "browser: needs Chromium")
    if not any(word.startswith("--nbval-cell-timeout") for word in config.invocation_params.args):
        config.option.nbval_cell_timeout = cell_limit()
    if workers := getattr(config.option, "numprocesses", None):
        os.environ |= share(workers)
        config.option.loadscopereorder = False  # the order below


def pytest_report_header() -> str:
    return f"chapters in random order, each in a kernel of its own: CHAPTER_SEED={SEED}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Unit tests, doctests, the site, and last the chapters in random order."""
    dice = random.Random(int(SEED))
    rank = {path: dice.random() for path in sorted({item.path for item in items})}

    def place(item: pytest.Item) -> tuple[int, float]:
        if item.path.suffix == ".ipynb":
            return 3, rank[item.path]
        if item.path.name == "test_site.py":
            return 2, 0.0
        return int(isinstance(item, pytest.DoctestItem)), 0.0

    items.sort(key=place)
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")


class ChapterProgress:
    """A line for each cell that takes more than two seconds, and one for each chapter that ends."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.seconds: dict[str, list[float]] = {}

    @pytest.hookimpl(trylast=True)  # after the dot
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        chapter = report.nodeid.partition("::")[0]
        if not chapter.endswith(".ipynb") or report.when != "call":
            return
        done = self.seconds.setdefault(chapter, [])
        done.append(report.duration)
        total = cells_of(self.config.rootpath / chapter)
        if len(done) == total:
            self.say(f"{chapter}: all {total} cells, {sum(done):.0f} s")
        elif report.duration > 2:
            self.say(f"{chapter}: cell {len(done)} of {total}, {report.duration:.0f} s")

    def say(self, line: str) -> None:
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        terminal.ensure_newline()
        terminal.write_line(line)


@functools.cache
def cells_of(path) -> int:
    return sum(cell["cell_type"] == "code" for cell in json.loads(path.read_text())["cells"])


def pytest_sessionstart(session: pytest.Session) -> None:
    if session.config.pluginmanager.has_plugin("terminalreporter"):  # the workers have none
        session.config.pluginmanager.register(ChapterProgress(session.config))

"""What all tests share: no window, no network for the chapters, and the order of things."""

import os
import random

import matplotlib
import pytest

matplotlib.use("Agg")

# a chapter that asked for something on the web would fail here as it would on a train
os.environ |= dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
os.environ |= dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1,localhost")

# in the environment, so that the workers of `pytest -n 2 --dist loadfile` agree
SEED = os.environ.setdefault("CHAPTER_SEED", str(random.randrange(10_000)))


def pytest_report_header() -> str:
    return f"chapters in random order, each in a kernel of its own: CHAPTER_SEED={SEED}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Unit tests, doctests, the chapters in random order, and last the site made of their outputs."""
    dice = random.Random(int(SEED))
    rank = {path: dice.random() for path in sorted({item.path for item in items})}

    def place(item: pytest.Item) -> tuple[int, float]:
        if item.path.suffix == ".ipynb":
            return 2, rank[item.path]
        if item.path.name == "test_site.py":
            return 3, 0.0
        return int(isinstance(item, pytest.DoctestItem)), 0.0

    items.sort(key=place)

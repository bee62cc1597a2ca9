"""What all tests share: no window, the arithmetic of a chapter, and another device that nobody has."""

import signal

import matplotlib
import pytest

matplotlib.use("Agg")


@pytest.fixture(autouse=True, scope="session")
def as_in_a_chapter():
    """One thread, denormal numbers flushed to zero, and Ctrl-C, which a job in the background ignores."""
    import nnbook

    signal.signal(signal.SIGINT, signal.default_int_handler)
    nnbook.start(seed=1, device="cpu", quiet=True)


@pytest.fixture
def elsewhere():
    """New tensors have no values unless a function says where they live: it has to follow its inputs."""
    import torch

    with torch.device("meta"):
        yield

"""What a run runs on: defaults, overrides, errors, reproducible draws."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from joblib import parallel_config

import nnbook
from nnbook.runtime import small_networks, watched

ABSENT = "mps" if torch.cuda.is_available() else "cuda"


@pytest.fixture(autouse=True)
def _no_override_and_no_trace(monkeypatch):
    monkeypatch.delenv("NNBOOK_DEVICE", raising=False)
    monkeypatch.delenv("NNBOOK_BUDGET", raising=False)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def quietly(**options):
    return nnbook.start(**{"seed": 1, "device": "cpu", "quiet": True} | options)


def test_defaults_are_quick_float64_and_one_thread():
    run = quietly()
    assert (run.budget, run.dtype, torch.get_num_threads()) == ("quick", torch.float64, 1)


def test_default_device_is_cuda_where_there_is_one():
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert nnbook.start(seed=1, quiet=True).device.type == expected


@pytest.mark.parametrize(("budget", "picked"), [("quick", 128), ("full", 1024)])
def test_pick_follows_the_budget(budget, picked):
    assert quietly(budget=budget).pick(quick=128, full=1024) == picked


@pytest.mark.parametrize("budget", ["quick", "full"])
def test_environment_sets_the_budget(monkeypatch, budget):
    monkeypatch.setenv("NNBOOK_BUDGET", budget)
    assert quietly().budget == budget


def test_environment_sets_the_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("NNBOOK_DEVICE", "cpu")
    assert nnbook.start(seed=1, quiet=True).device == torch.device("cpu")


def test_argument_wins_over_environment(monkeypatch):
    monkeypatch.setenv("NNBOOK_DEVICE", "warp")
    monkeypatch.setenv("NNBOOK_BUDGET", "huge")
    run = quietly(device="cpu", budget="full")
    assert (run.device.type, run.budget) == ("cpu", "full")


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("NNBOOK_BUDGET", "huge", r"NNBOOK_BUDGET: got 'huge', expected 'quick' .* or 'full'"),
        ("NNBOOK_DEVICE", "warp", r"NNBOOK_DEVICE: got 'warp', .*expected 'cpu', or 'cuda' or 'mps'"),
        ("NNBOOK_DEVICE", ABSENT, rf"NNBOOK_DEVICE: got '{ABSENT}', .*expected 'cpu', or .* on a machine"),
    ],
)
def test_wrong_environment_is_named(monkeypatch, variable, value, message):
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValueError, match=message):
        nnbook.start(seed=1, quiet=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": "huge"}, r"^budget: got 'huge', expected 'quick' .* or 'full'"),
        ({"device": "warp"}, r"^device: got 'warp', .*expected 'cpu'"),
        ({"device": ABSENT}, rf"^device: got '{ABSENT}', .*expected 'cpu'"),
        ({"device": "cuda:99"}, r"^device: got 'cuda:99', .*expected 'cpu'"),
        ({"threads": 0}, r"^threads: got 0, expected a whole number, at least 1"),
        ({"seed": 1.5}, r"^seed: got 1.5, expected a whole number$"),
    ],
)
def test_wrong_argument_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        quietly(**options)


def test_a_refused_run_changes_nothing():
    torch.set_num_threads(2)
    with pytest.raises(ValueError, match="budget"):
        quietly(budget="huge")
    assert torch.get_num_threads() == 2


def draws(seed):
    return torch.rand(100, generator=quietly(seed=seed).generator).tolist()


def test_same_seed_same_draws():
    assert draws(seed=3) == draws(seed=3) != draws(seed=4)


def test_draws_without_a_generator_follow_from_the_seed_and_are_others():
    def both(seed):
        run = quietly(seed=seed)
        return torch.rand(100, generator=run.generator).tolist(), torch.rand(100).tolist()

    assert both(3) == both(3)
    assert len({number for seed in (3, 4) for numbers in both(seed) for number in numbers}) == 400


def test_draws_of_a_run_do_not_disturb_the_global_generator():
    run = quietly()
    before = torch.get_rng_state()
    torch.rand(100, generator=run.generator)
    run.map(abs, [1, 2])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("seed", [-1, 2**64, np.int64(7)])
def test_any_integer_is_a_seed(seed):
    assert draws(seed) == draws(seed)


def test_threads_are_set():
    quietly(threads=2)
    assert torch.get_num_threads() == 2


def test_denormal_numbers_are_flushed():
    quietly()
    assert (torch.tensor(1e-310, dtype=torch.float64) / 2).item() == 0


def flushed():
    return (torch.tensor(1e-310, dtype=torch.float64) / 2).item() == 0


def test_small_networks_leave_no_trace():
    """A program that never called start gets the fast way, and its own settings back."""
    torch.set_num_threads(2)
    torch.set_flush_denormal(False)
    with small_networks():
        assert (torch.get_num_threads(), flushed()) == (1, True)
    assert (torch.get_num_threads(), flushed()) == (2, False)


def test_small_networks_respect_what_start_was_told():
    quietly(threads=2)
    with small_networks():
        assert torch.get_num_threads() == 2
    assert flushed()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_can_be_chosen(dtype):
    run = quietly(dtype=dtype)
    assert run.dtype is dtype
    assert str(dtype).removeprefix("torch.") in repr(run)


def test_says_in_one_line_what_it_runs_on(capsys):
    run = nnbook.start(seed=7, device="cpu", budget="full")
    assert capsys.readouterr().out == "nnbook on cpu, float64, seed 7, budget full\n" == f"{run}\n"


def test_quiet_prints_nothing(capsys):
    quietly()
    assert capsys.readouterr() == ("", "")


def square_and_threads(n):
    return n * n, torch.get_num_threads()


def test_map_keeps_the_order_and_gives_each_item_one_thread():
    with parallel_config(backend="threading", n_jobs=2):
        assert quietly(threads=2).map(square_and_threads, range(5)) == [(n * n, 1) for n in range(5)]
    assert torch.get_num_threads() == 2


WAYS = [{"n_jobs": 1}, {"n_jobs": 2}, {"backend": "threading", "n_jobs": 2}]


def draws_of_tasks(way):
    """What four tasks draw, twice: from a generator that they bring along, and from that of the run."""
    run = quietly(seed=5)

    def draw(task, bound=run.generator):
        bound, own, inner = (torch.rand(1, generator=g).item() for g in (bound, run.generator, run.streams))
        return bound, own, inner / 2

    torch.rand(3, generator=run.generator)  # what was drawn before does not matter
    with parallel_config(**way):
        return [run.map(draw, range(4)), run.map(draw, range(4))]


def test_random_numbers_of_tasks_follow_from_the_seed_and_the_place_of_each():
    one, *others = [draws_of_tasks(way) for way in WAYS]
    assert all(other == one for other in others)
    numbers = [number for call in one for row in call for number in row]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("way", WAYS[:2])
def test_draws_of_tasks_without_a_generator(way):
    with parallel_config(**way):
        drawn = [quietly(seed=2).map(lambda n: torch.rand(1).item(), range(3)) for _ in "ab"]
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 3


@pytest.mark.parametrize("way", WAYS)
def test_tasks_work_on_copies(way):
    """Whatever their size: arrays above a megabyte are no exception."""
    arrays, captured = [np.zeros(2), np.zeros(300_000)], np.zeros(300_000)

    def change(array):
        array += 1
        captured[:] = 7
        return os.getpid(), array.sum()

    with parallel_config(**way):
        pids, sums = zip(*quietly().map(change, arrays), strict=True)
    assert sums == (2, 300_000)
    assert max(array.max() for array in [*arrays, captured]) == 0
    assert (os.getpid() in pids) == ("backend" in way or way["n_jobs"] == 1)


def test_workers_stay_for_the_next_call():
    run = quietly()

    def pids():
        return set(run.map(lambda n: time.sleep(0.1) or os.getpid(), range(4)))

    with parallel_config(n_jobs=2):
        assert len(pids() | pids()) <= 2


KILLED = """
import os, signal, nnbook
from joblib import parallel_config
with parallel_config(n_jobs=2):
    pids = nnbook.start(seed=1, quiet=True).map(lambda n: os.getpid(), range(2))
print(*set(pids), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="workers there end when they have been idle")
def test_workers_end_with_their_parent():
    done = subprocess.run([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    for _ in range(100):
        time.sleep(0.1)
        if not any(alive(int(pid)) for pid in done.stdout.split()):
            return
    pytest.fail("workers live ten seconds after their parent")


def alive(pid):
    try:
        os.kill(pid, 0)
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()  # as yet unclaimed by init
    except OSError:
        return False


def notebook(monkeypatch, *, stdin):
    shell = SimpleNamespace(kernel=SimpleNamespace(_allow_stdin=stdin))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))


@pytest.mark.parametrize("live", [True, False])
def test_watched_tells_a_live_notebook_from_an_executed_one(monkeypatch, live):
    notebook(monkeypatch, stdin=live)
    assert watched() is live


@pytest.mark.parametrize("terminal", [True, False])
def test_watched_tells_a_terminal_from_a_pipe(monkeypatch, terminal):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    assert watched() is terminal

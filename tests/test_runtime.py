"""What a run runs on: defaults, overrides, errors, reproducible draws."""

import sys
from types import SimpleNamespace

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
        ({"threads": 0}, r"^threads: got 0, expected a positive number; 1 is right"),
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


def test_draws_do_not_disturb_the_global_generator():
    before = torch.get_rng_state()
    draws(seed=3)
    assert torch.equal(torch.get_rng_state(), before)


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

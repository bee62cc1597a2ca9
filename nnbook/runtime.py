"""What a run runs on: device, dtype, seed and budget.

A chapter starts with ``run = nnbook.start(seed=1)``. The environment variable ``NNBOOK_DEVICE``
chooses another device (``cuda``, ``mps``, ``cpu``) and ``NNBOOK_BUDGET`` the size of the work:
``quick`` (the default, minutes on a laptop) or ``full`` (the talk's own size or beyond).
"""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, cast

import torch
from cloudpickle import dumps, loads
from joblib import Parallel, delayed
from joblib.parallel import get_active_backend

from nnbook.arrays import check_counts

Budget = Literal["quick", "full"]
T = TypeVar("T")
Item = TypeVar("Item")


@dataclass(frozen=True)
class Run:
    """The settings of one run; its repr is the line that a chapter prints first.

    Attributes:
        device: where tensors live.
        dtype: float64 on a CPU or a CUDA device; float32 on Apple's ``mps``, which has nothing wider.
        seed: the seed of ``generator``.
        budget: ``"quick"`` or ``"full"``.
        generator: the random numbers of this run, on the CPU, so that each device draws the same.
        streams: gives the seeds of the tasks of :meth:`map`.
    """

    device: torch.device
    dtype: torch.dtype
    seed: int
    budget: Budget
    generator: torch.Generator = field(default_factory=torch.Generator)
    streams: torch.Generator = field(default_factory=torch.Generator)

    def begin(self, seed: int) -> None:
        """Let all random numbers begin anew: those of this run, and PyTorch's own, which are others."""
        self.generator.manual_seed(seed % 2**64)
        self.streams.manual_seed(seed % 2**64)
        torch.manual_seed(~seed % 2**64)

    def pick(self, *, quick: T, full: T) -> T:
        """Return the value that belongs to the budget of this run.

        >>> start(seed=1, budget="quick", quiet=True).pick(quick=128, full=1024)
        128
        """
        return full if self.budget == "full" else quick

    def map(self, function: Callable[[Item], T], items: Iterable[Item]) -> list[T]:
        """Apply a function to independent items, in parallel processes with one thread each.

        Each task works on copies, and its random numbers are a stream of its own that follows from the seed,
        the number of earlier calls and the place of the item: ``run.generator`` and PyTorch's own generator
        give the same numbers in any number of processes.

        Goes through joblib, so ``joblib.parallel_config(backend="dask")`` sends the items to a cluster and
        ``joblib.parallel_config(n_jobs=1)`` keeps them here. The processes wait five minutes for the next
        call, and end with the one that started them.

        >>> start(seed=1, quiet=True).map(abs, [-1, 2])
        [1, 2]
        """
        tasks = [dumps((self, function, item)) for item in items]
        seeds = torch.randint(2**62, (len(tasks),), generator=self.streams, device="cpu").tolist()
        wanted = get_active_backend()[1]  # None where nobody has said how many
        processes = -1 if wanted is None else wanted
        work = Parallel(n_jobs=processes, initializer=_be_worker, initargs=(os.getpid(),))
        results: list[T] = work(delayed(_alone)(*task) for task in zip(seeds, tasks, strict=True))
        return results

    def __repr__(self) -> str:
        name = str(self.dtype).removeprefix("torch.")
        return f"nnbook on {self.device.type}, {name}, seed {self.seed}, budget {self.budget}"


def start(
    *,
    seed: int,
    device: str | torch.device | None = None,
    budget: Budget | None = None,
    dtype: torch.dtype | None = None,
    threads: int = 1,
    quiet: bool = False,
) -> Run:
    """Prepare PyTorch for a chapter and say in one line what it runs on.

    Small networks run fastest on one thread each, with independent runs in parallel, so ``threads``
    is 1. Denormal numbers, which the tails of a wave function produce, are flushed to zero: on a CPU
    they are many times slower than normal ones. On Linux, memory that tensors free stays with the process:
    fetching it from the system again would cost up to three times the arithmetic.

    Args:
        seed: any integer; the same seed on the same machine gives the same numbers, those that PyTorch's
            own generator gives to functions without a ``generator`` included.
        device: a PyTorch device name; default ``NNBOOK_DEVICE``, else CUDA if present, else the CPU.
        budget: ``"quick"`` or ``"full"``; default ``NNBOOK_BUDGET``, else ``"quick"``.
        dtype: default float64 (float32 on ``mps``).
        threads: CPU threads that PyTorch may use in this process.
        quiet: do not print the line.

    Raises:
        ValueError: unknown device or budget, a device that this machine lacks, ``threads`` below 1, a seed
            that is no whole number.

    >>> run = start(seed=1, device="cpu", budget="quick")
    nnbook on cpu, float64, seed 1, budget quick
    """
    check_counts(threads=threads)
    check_counts(seed=seed, least=None)
    where = _device(device)
    run = Run(
        device=where,
        dtype=dtype or (torch.float32 if where.type == "mps" else torch.float64),
        seed=int(seed),
        budget=_budget(budget),
    )
    run.begin(run.seed)
    _quick_arithmetic(threads)
    if not quiet:
        print(run)
    return run


@contextmanager
def small_networks() -> Iterator[None]:
    """What makes small networks fast, for as long as the block lasts: one thread, and denormals are zero.

    Training enters it, so that a program need not know of it. Where denormals are flushed already, somebody
    has prepared this thread, :func:`start` or an outer block, and its number of threads stays.

    >>> with small_networks():
    ...     torch.get_num_threads()
    1
    """
    tiny = torch.tensor(torch.finfo(torch.float64).tiny, dtype=torch.float64, device="cpu")
    if float(tiny / 2) == 0:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(threads)


def _quick_arithmetic(threads: int) -> None:
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Let glibc reuse large blocks instead of returning each to the kernel, which then clears it anew."""
    if libc := _glibc():
        for option, value in ((-1, -1), (-3, 1 << 30)):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
            libc.mallopt(option, value)


def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None


def _alone(seed: int, task: bytes) -> Any:
    """Do a task on its own copies, with its own random numbers."""
    threads = torch.get_num_threads()
    _quick_arithmetic(threads=1)
    try:
        with torch.random.fork_rng(devices=[]):
            run, function, item = loads(task)
            run.begin(seed)
            return function(item)
    finally:
        torch.set_num_threads(threads)
        if gc.get_freeze_count():  # a worker: between two items, or loky takes what is kept for a leak
            gc.collect()
            if libc := _glibc():
                libc.malloc_trim(0)


def _be_worker(parent: int) -> None:
    """Let this process end soon after its parent, however that ends (on Windows it is not told)."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    gc.freeze()  # what has been imported stays: a collection need not look at it


def _device(device: str | torch.device | None) -> torch.device:
    name = device or os.environ.get("NNBOOK_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    source = "device" if device else "NNBOOK_DEVICE"
    try:
        where = torch.device(name)
        torch.zeros(1, device=where).item()  # "meta" and devices that are not there fail here
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f"{source}: got {str(name)!r}, which PyTorch cannot use here ({str(error).splitlines()[0]}); "
            "expected 'cpu', or 'cuda' or 'mps' on a machine that has one"
        ) from error
    return where


def _budget(budget: str | None) -> Budget:
    value = budget or os.environ.get("NNBOOK_BUDGET") or "quick"
    if value not in ("quick", "full"):
        source = "budget" if budget else "NNBOOK_BUDGET"
        raise ValueError(f"{source}: got {value!r}, expected 'quick' (minutes on a laptop) or 'full' (a GPU)")
    return cast(Budget, value)


def watched() -> bool:
    """Whether somebody watches this process: a terminal, or a live Jupyter front end.

    A notebook that is executed for the site or for its test has a kernel that may not ask for input;
    progress bars stay silent there.
    """
    shell = sys.modules.get("IPython")
    kernel = getattr(shell.get_ipython(), "kernel", None) if shell else None
    if kernel is not None:
        return bool(getattr(kernel, "_allow_stdin", False))
    return sys.stderr.isatty()

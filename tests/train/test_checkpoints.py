"""Files of interrupted runs: those that cannot be used, what is left behind, two runs on one file."""

import errno
import os
from functools import partial

import numpy as np
import pytest
import torch

from nnbook.train.checkpoints import Checkpoint, read_checkpoint, write_checkpoint
from nnbook.train.first_order import fit


def no_checkpoint(folder):
    (folder / "x").write_bytes(b"half a file")


def damaged(folder):
    write_checkpoint(folder / "x", {"numbers": torch.ones(1000)})
    content = bytearray((folder / "x").read_bytes())
    content[-2000] ^= 1
    (folder / "x").write_bytes(content)


@pytest.mark.parametrize(
    ("make", "name", "message"),
    [
        (lambda folder: None, "/dev/null", r"checkpoint: got /dev/null, which is no regular file; expected"),
        (
            lambda folder: (folder / "x").mkdir(),
            "x",
            r"checkpoint: got .*x, which is a folder; expected the name",
        ),
        (
            lambda folder: os.mkfifo(folder / "x"),
            "x",
            r"which is no regular file; expected the name of a file",
        ),
        (no_checkpoint, "x/y", r"checkpoint: got .*x/y, whose folder cannot be made"),
        (no_checkpoint, "x", r"checkpoint: .*x cannot be read \(no checkpoint of nnbook\); delete the file"),
        (damaged, "x", r"checkpoint: .*x cannot be read \(damaged: its checksum does not match\); delete"),
    ],
)
def test_file_that_cannot_be_used_is_named(tmp_path, make, name, message):
    make(tmp_path)
    with pytest.raises(ValueError, match=message):
        Checkpoint(tmp_path / name).read()


def test_numbers_of_numpy_come_back_as_python_s(tmp_path):
    path = tmp_path / "state.pt"
    state = {
        "rate": np.float64(0.1),
        "rows": [(np.int64(2), 1 + 2j)],
        "x": torch.ones(2, dtype=torch.complex64),
    }
    write_checkpoint(path, state)
    found = read_checkpoint(path)
    assert (found["rate"], found["rows"], type(found["rate"])) == (0.1, [(2, 1 + 2j)], float)
    assert torch.equal(found["x"], state["x"])


def fail(number, *_):
    raise OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("call", "number"), [("fsync", errno.ENOSPC), ("replace", errno.EROFS), ("replace", errno.EACCES)]
)
def test_disk_that_takes_nothing_keeps_the_old_file_and_nothing_else(tmp_path, monkeypatch, call, number):
    path = tmp_path / "run.pt"
    write_checkpoint(path, {"old": 1})
    with pytest.raises(TypeError, match=r"checkpoint: .*run.pt could not be read back .*expected tensors"):
        write_checkpoint(path, {"new": lambda: 1})
    monkeypatch.setattr(os, call, partial(fail, number))
    with pytest.raises(OSError, match=r"checkpoint: .*run.pt cannot be written .*; free some space there or"):
        write_checkpoint(path, {"new": 1})
    assert read_checkpoint(path) == {"old": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["run.pt"]


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="a folder that not even root may write to")
def test_folder_that_may_not_be_written():
    with pytest.raises(OSError, match=r"checkpoint: /proc/run.pt cannot be written"):
        write_checkpoint("/proc/run.pt", {"new": 1})


def parabola(path, steps, during=lambda: None):
    x = torch.ones(1, dtype=torch.float64, requires_grad=True)
    return fit(lambda: during() or (x**2).sum(), [x], steps=steps, checkpoint=path, every=5)


def test_two_runs_on_one_file_notice_each_other(tmp_path):
    path = tmp_path / "run.pt"
    runs = iter([partial(parabola, path, 20)])
    with pytest.raises(OSError, match=r"run.pt has been changed by somebody else .*; give each run its own"):
        parabola(path, 40, during=lambda: next(runs, lambda: None)() and None)
    assert len(read_checkpoint(path)["columns"]["value"]) == 20  # of the run that was first
    assert parabola(path, 40).steps == 40


def test_what_a_killed_run_left_half_written_goes_away(tmp_path):
    for name in ("run.pt.123.part", "run.pt", "other.pt.123.part"):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / "run.pt").unlink()
    parabola(tmp_path / "run.pt", 5)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["other.pt.123.part", "run.pt"]

"""Files that a run can go on from: written as a whole or not at all, and read without running code."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

HEAD = b"nnbook checkpoint 1\n"


class Checkpoint:
    """The file of one run, which notices when another run writes it too.

    Args:
        path: see :func:`checkpoint_file`. What a killed run has left half written beside it goes away.

    Raises:
        ValueError: no regular file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = checkpoint_file(path)
        self.mark = self._mark()
        for part in self.path.parent.glob(f"{glob.escape(self.path.name)}.*.part"):
            part.unlink(missing_ok=True)

    def _mark(self) -> tuple[int, ...] | None:
        with contextlib.suppress(FileNotFoundError):
            now = self.path.stat()
            return now.st_ino, now.st_size, now.st_mtime_ns
        return None

    def read(self) -> dict[str, Any]:
        """What is there, see :func:`read_checkpoint`."""
        return read_checkpoint(self.path)

    def write(self, state: dict[str, Any]) -> None:
        """Write, see :func:`write_checkpoint`.

        Raises:
            OSError: somebody else has written it, or removed it, since this run did.
        """
        if self._mark() != self.mark:
            raise OSError(
                f"checkpoint: {self.path} has been changed by somebody else while this run went on; expected "
                "a file that no other run writes; give each run its own"
            )
        write_checkpoint(self.path, state)
        self.mark = self._mark()


def checkpoint_file(path: str | Path) -> Path:
    """The regular file that a path names, links followed; its folder is made.

    Raises:
        ValueError: a folder, a device, or a place where no file can be made.
    """
    file = Path(os.path.realpath(path))
    if file.exists() and not file.is_file():
        what = "a folder" if file.is_dir() else "no regular file"
        raise ValueError(f"checkpoint: got {path}, which is {what}; expected the name of a file")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"checkpoint: got {path}, whose folder cannot be made ({error})") from error
    return file


def write_checkpoint(path: str | Path, state: dict[str, Any]) -> None:
    """Write a file that :func:`read_checkpoint` can read.

    It is written beside its place and renamed: a reader sees the old state or the new one, never a half.

    Raises:
        ValueError: no regular file, see :func:`checkpoint_file`.
        TypeError: something that is neither a tensor, a number, a string, nor a list or dict of them.
        OSError: the disk is full, or read-only; the old file stays, and nothing else.
    """
    file, buffer = checkpoint_file(path), io.BytesIO()
    try:
        torch.save(plain(state), buffer)
        _unpack(data := buffer.getvalue())
    except Exception as error:
        raise TypeError(
            f"checkpoint: {path} could not be read back ({error}); expected tensors, numbers, strings, and "
            "lists and dicts of them"
        ) from error
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as stream:
            stream.write(HEAD + hashlib.sha256(data).digest() + data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, file)
    except OSError as error:
        raise OSError(
            f"checkpoint: {path} cannot be written ({error}); free some space there or name a file elsewhere"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read what :func:`write_checkpoint` wrote.

    Raises:
        ValueError: no file, one that something else wrote, or one that has changed since.
    """
    remedy = "delete the file or name another"
    try:
        content = Path(path).read_bytes()
        digest, data = content[len(HEAD) : len(HEAD) + 32], content[len(HEAD) + 32 :]
        if not content.startswith(HEAD):
            raise ValueError("no checkpoint of nnbook")
        if hashlib.sha256(data).digest() != digest:
            raise ValueError("damaged: its checksum does not match")
        return _unpack(data)
    except Exception as error:
        raise ValueError(f"checkpoint: {path} cannot be read ({error}); {remedy}") from error


def _unpack(data: bytes) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return state


def plain(value: Any) -> Any:
    """The same with Python's own numbers for NumPy's, which cannot be read back safely."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return type(value)({plain(name): plain(content) for name, content in value.items()})
    return type(value)(plain(v) for v in value) if isinstance(value, list | tuple) else value

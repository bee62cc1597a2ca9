"""Drop the cache of executed chapters when the code behind them has changed.

jupyter-cache compares the cells of a chapter only; it cannot see that the library which they call,
or the lock, is another one.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging


def connect(app: Sphinx) -> None:
    """Register the setting and the event of this module."""
    app.add_config_value("book_code", [], "", types=[list])
    app.connect("config-inited", _drop_stale_cache)


def digest(root: Path, patterns: list[str]) -> str:
    """Hash of the names and contents of all files below `root` that match a pattern."""
    total = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in root.glob(pattern)}):
        total.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def _drop_stale_cache(app: Sphinx, config: Config) -> None:
    cache = Path(config.nb_execution_cache_path or Path(app.outdir).parent / ".jupyter_cache")
    stamp = cache.parent / "code.sha256"
    now = digest(Path(app.srcdir), config.book_code)
    if cache.exists() and not (stamp.exists() and stamp.read_text() == now):
        logging.getLogger(__name__).info("the code behind the chapters has changed: all will be executed")
        shutil.rmtree(cache)
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(now)

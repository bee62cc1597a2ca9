"""The live twin of a slider in a real JupyterLab, moved by keys: any value, and errors in sight."""

import importlib.util
import shutil
import socket
import subprocess
import sys
import time

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Error, sync_playwright

from nnbook_site import pictures

CELL = """import numpy as np
from nnbook import show

def draw(k):
    if 2 < k < 3:
        raise ValueError("no line between two and three")
    return [show.Curve("line", np.arange(2.0), k * np.arange(2.0))]

names = {"name": "k", "xlabel": "x", "ylabel": "y", "alt": "a line"}
show.slider(draw, [1.0, 3.0], title="slope {:.2f}".format, **names).live()"""
BROWSER = next(filter(None, map(shutil.which, pictures.BROWSERS)), None)


@pytest.fixture
def lab(tmp_path):
    """Address of a notebook in a JupyterLab of its own."""
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=[new_code_cell(CELL)], metadata=kernel), tmp_path / "live.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = ["--no-browser", "--allow-root", "--IdentityProvider.token=", "--LabApp.news_url="]
    command = [sys.executable, "-m", "jupyterlab", *quiet, f"--port={port}", f"--notebook-dir={tmp_path}"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield f"http://127.0.0.1:{port}/lab/tree/live.ipynb"
    server.terminate()
    server.wait(60)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium")
@pytest.mark.skipif(not importlib.util.find_spec("jupyterlab"), reason="no JupyterLab: make lab")
def test_the_live_twin_follows_its_slider_and_shows_errors(lab):
    with sync_playwright() as play:
        page = play.chromium.launch(executable_path=BROWSER, args=pictures.FLAGS).new_page()
        page.set_default_timeout(120_000)
        for _ in range(120):
            try:
                page.goto(lab)
                break
            except Error:  # the server is not up yet
                time.sleep(0.5)
        for _ in range(20):  # a kernel that is still connecting runs nothing
            page.locator(".jp-CodeCell .cm-content").first.click()
            page.keyboard.press("Control+Enter")
            page.wait_for_timeout(3_000)
            if page.locator(".jp-OutputArea-child").count():
                break
        titles = "[...document.querySelectorAll('.gtitle')].map(title => title.textContent).join()"
        page.wait_for_function(f"{titles} === 'slope 1.00'")
        handle = page.locator(".widget-slider .noUi-handle").first
        handle.press("ArrowRight")
        page.wait_for_function(f"{titles} === 'slope 1.02'")
        handle.press("End")
        page.wait_for_function(f"{titles} === 'slope 3.00'")
        handle.press("ArrowLeft")
        page.locator(".jp-OutputArea-output", has_text="no line between two and three").first.wait_for()
        handle.press("Home")
        page.wait_for_function(f"{titles} === 'slope 1.00'")

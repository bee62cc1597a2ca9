"""All claims together: what notebooks store, the command line, the pulls, and mistakes that none notices."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from nnbook.claims import MIME, Claim, Pulls, collect, pulls
from nnbook.claims.__main__ import main

ROOT = Path(__file__).parents[2]


def claim(kind="equal", **changes):
    usual = {"chapter": "demo", "name": "$E_0$", "slide": "12", "how": "exact", "reference": 1.0, "ours": 1.0}
    return Claim(**(usual | changes), kind=kind)


def write(path, *claims):
    """A notebook whose last cell stored these claims."""
    bundle = {"text/plain": "a table", MIME: {"claims": [c.record() for c in claims]}}
    printed = new_code_cell("print()", outputs=[new_output("stream", text="\n")])
    table = new_code_cell("claims.table()", outputs=[new_output("display_data", data=bundle)])
    cells = [new_markdown_cell("# A chapter"), printed, *[table][: len(claims)]]
    nbformat.write(new_notebook(cells=cells), path)


# Pulls


def test_pulls_are_those_of_unbiased_claims():
    fair = claim(error=0.1, sigma=0.1, ours=0.8, unbiased=True)
    assert pulls([claim(error=0.1, ours=3.0), claim(), fair]).values == pytest.approx([-2.0])
    with pytest.raises(ValueError, match="claims: got none that is unbiased, expected at least one"):
        pulls([claim()])


@pytest.mark.parametrize("size", [1, 3, 20])
def test_the_probability_of_the_pulls_is_fair(size):
    p = np.array([Pulls(sample).p for sample in np.random.default_rng(1).normal(size=(4000, size))])
    for level in (0.3, 0.1, 0.01):
        assert level / 3 < np.mean(p < level) < level + 4 * np.sqrt(level / 4000)


@pytest.mark.parametrize(("bias", "width"), [(0.0, 2.0), (0.0, 0.4), (1.0, 1.0)])
def test_wrong_error_bars_and_biases_make_the_pulls_improbable(bias, width):
    normal = torch.special.ndtri(torch.linspace(0.02, 0.98, 25)).numpy()
    assert Pulls(normal).p > 0.3
    assert Pulls(bias + width * normal).p < 1e-3


def test_error_bars_of_the_chapters_are_right():
    claims = collect(ROOT / "chapters")
    if not any(c.unbiased for c in claims):
        pytest.skip("no chapter has stored an unbiased claim yet")
    assert pulls(claims).p >= 1e-3, pulls(claims)


def test_a_blunt_claim_does_not_notice_what_a_sharp_one_does(tmp_path, capsys):
    blunt = [
        claim(name="loose", tolerance=0.5),
        claim(name="levels", reference=1.2, ours=1.2, tolerance=0.5),
        claim(name="noisy", error=0.1, sigma=0.5, cell=2),
        claim("at_most", name="far", ours=1e-9, cell=3),
    ]
    sharp = [
        replace(c, tolerance=1e-3, sigma=c.sigma and 0.15, ours=c.ours or 1.0, cell=4) for c in blunt[:3]
    ]
    write(tmp_path / "demo.ipynb", *blunt, *[replace(c, name=f"sharp {c.name}") for c in sharp])
    assert main(["--mutate", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert [line.split(":")[1].strip() for line in out.splitlines() if line.startswith(" ")] == [
        *("loose", "levels", "noisy", "sharp noisy"),  # its four sigmas are wider than a per cent
        *("loose", "noisy", "far"),
    ]


# What the notebooks store, and the command line


def test_collect_reads_what_notebooks_store(tmp_path):
    one, two = claim(chapter="wave"), claim(chapter="wave", name="E_1", error=0.1, sigma=0.1, talk=2.0)
    write(tmp_path / "wave.ipynb", one, two)
    write(tmp_path / "empty.ipynb")
    write(tmp_path / "b.ipynb", claim(chapter="before"))  # and the stem of the file is its chapter
    assert collect(tmp_path) == [claim(chapter="b"), one, two]


def test_a_stored_verdict_is_not_believed(tmp_path):
    write(tmp_path / "wave.ipynb", claim(ours=7.0))
    text = (tmp_path / "wave.ipynb").read_text()
    (tmp_path / "wave.ipynb").write_text(text.replace('"passed": false', '"passed": true'))
    assert not collect(tmp_path)[0].passed


@pytest.mark.parametrize("folder", [".", "missing"])
def test_folder_without_notebooks_is_named(tmp_path, folder, capsys):
    with pytest.raises(ValueError, match=r"folder: got '.*' without a notebook, expected the folder of the"):
        collect(tmp_path / folder)
    assert main([str(tmp_path / folder)]) == 2
    assert "without a notebook" in capsys.readouterr().err


def test_command_line_prints_one_line_a_claim(tmp_path, capsys):
    write(tmp_path / "wave.ipynb", claim(), claim(name="E_1"))
    assert main([str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert (len(out.splitlines()), err) == (3, "")


def test_module_prints_strict_json_and_exits_with_1_where_a_claim_fails(tmp_path):
    write(tmp_path / "wave.ipynb", one := claim(chapter="wave", error=0.1), claim(name="E₁", ours=np.nan))
    command = [sys.executable, "-m", "nnbook.claims", "--json", str(tmp_path)]
    narrow = {**os.environ, "PYTHONIOENCODING": "cp1252"}  # as Windows has it for files
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=narrow, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    first, second = json.loads(done.stdout, parse_constant=pytest.fail)
    assert first == one.record()
    assert (second["name"], second["ours"], second["passed"]) == ("E₁", None, False)

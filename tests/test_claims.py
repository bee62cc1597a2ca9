"""Claims: when one holds, what a notebook stores, what the command line says."""

import json
import subprocess
import sys

import nbformat
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import nnbook
from nnbook.claims import MIME, Claim, ClaimError, Claims, collect, main

KEYS = [
    *("chapter", "name", "kind", "reference", "how", "ours", "tolerance", "error", "sigma", "unbiased"),
    *("slide", "talk", "budget", "cell", "passed"),
]

numbers = st.floats(-1e3, 1e3, allow_subnormal=False)
sizes = st.floats(1e-9, 1e3)


def claim(*, reference=1.0, ours=1.0, error=None, tolerance=1e-3, **others):
    texts = {
        "chapter": "demo",
        "name": "$E_0$",
        "slide": "12",
        "talk": None,
        "how": "exact",
        "kind": "equal",
    }
    return Claim(**(texts | others), reference=reference, ours=ours, error=error, tolerance=tolerance)


@pytest.fixture
def claims():
    return Claims("demo", nnbook.start(seed=1, device="cpu", budget="quick", quiet=True))


@pytest.fixture
def shown(monkeypatch):
    """What the chapter displays, as the bundle that a notebook stores."""
    bundles = []
    monkeypatch.setattr("IPython.display.display", lambda shown: bundles.append(shown._repr_mimebundle_()))
    return bundles


def add(claims, name="one half", **changes):
    claims.add(name, **({"reference": 0.5, "how": "exact", "ours": 0.5, "tolerance": 1e-6} | changes))


def write(path, *claims):
    """A notebook whose last cell stored these claims."""
    bundle = {"text/plain": "a table", MIME: {"claims": [c.record() for c in claims]}}
    plain = new_code_cell("1 + 1", outputs=[new_output("execute_result", data={"text/plain": "2"})])
    printed = new_code_cell("print()", outputs=[new_output("stream", text="\n")])
    table = new_code_cell(
        "claims.table()", outputs=[new_output("display_data", data=bundle)] if claims else []
    )
    nbformat.write(new_notebook(cells=[new_markdown_cell("# A chapter"), plain, printed, table]), path)


# When a claim holds


@pytest.mark.parametrize(
    ("ours", "error", "tolerance", "passed"),
    [
        (1.0, None, 0.0, True),
        (1.25, None, 0.25, True),
        (0.75, None, 0.25, True),
        (1.2501, None, 0.25, False),
        (1.5, 0.125, 0.25, True),
        (1.5001, 0.125, 0.25, False),
        (1.25, 0.001, 0.25, True),
        (np.nan, None, 1.0, False),
        (np.nan, 1.0, 1.0, False),
        (np.inf, None, 1.0, False),
        (-np.inf, None, 1.0, False),
    ],
)
def test_claim_holds_within_tolerance_or_four_sigma(ours, error, tolerance, passed):
    assert claim(ours=ours, error=error, tolerance=tolerance).passed is passed


@pytest.mark.parametrize("reference", [np.nan, np.inf])
def test_claim_without_a_reference_fails(reference):
    assert not claim(reference=reference, ours=reference).passed


@given(numbers, numbers, sizes, sizes)
def test_claim_that_holds_holds_with_more_tolerance_or_error(reference, ours, tolerance, error):
    strict = claim(reference=reference, ours=ours, tolerance=tolerance)
    if strict.passed:
        assert claim(reference=reference, ours=ours, tolerance=2 * tolerance).passed
        assert claim(reference=reference, ours=ours, tolerance=tolerance, error=error).passed
    assert claim(reference=reference, ours=reference, tolerance=tolerance).passed


def test_record_has_the_published_keys():
    assert list(claim().record()) == KEYS


# What a chapter adds


def test_claims_note_chapter_and_budget():
    full = Claims("demo", nnbook.start(seed=1, device="cpu", budget="full", quiet=True))
    add(full)
    assert [(c.chapter, c.budget) for c in full.claims] == [("demo", "full")]


def test_numbers_of_any_kind_become_plain(claims):
    add(claims, reference=np.float64(0.5), ours=np.float32(0.5), error=np.float64(0.1), talk=1)
    json.dumps(record := claims.claims[0].record())
    assert (record["reference"], record["ours"], record["error"], record["talk"]) == (0.5, 0.5, 0.1, 1.0)


def test_name_is_taken_once(claims):
    add(claims)
    with pytest.raises(
        ValueError, match=r"name: got 'one half' a second time, expected each .* its own name"
    ):
        add(claims)
    assert len(claims.claims) == 1


@pytest.mark.parametrize("value", [-1e-6, np.nan, np.inf])
def test_tolerance_is_finite_and_not_negative(claims, value):
    with pytest.raises(ValueError, match=r"tolerance: got \S+ for 'one half', expected a finite number"):
        add(claims, tolerance=value)
    assert not claims.claims


def test_table_shows_and_stores_all_claims(claims, shown):
    add(claims, ours=0.5000001, talk=0.500075, slide="p. 7")
    add(claims, "second & last", error=1e-7)
    claims.table()
    (bundle,) = shown
    assert bundle[MIME] == {"claims": [c.record() for c in claims.claims]}
    assert bundle["text/html"].count("<tr") == 3
    assert "second &amp; last" in bundle["text/html"]
    for text in (
        "one half",
        "p. 7",
        "0.500075",
        "0.50000010",
        "0.50000000 ± 10⁻⁷",
        "second & last",
        "exact",
    ):
        assert text in bundle["text/plain"]


def test_table_raises_and_lists_those_that_fail(claims, shown):
    add(claims, "good")
    add(claims, "wrong", ours=0.75)
    add(claims, "lost", ours=np.nan)
    with pytest.raises(ClaimError, match="2 of 3 claims fail") as caught:
        claims.table()
    assert [line.split(":")[0] for line in str(caught.value).splitlines()[1:]] == ["wrong", "lost"]
    assert "wrong: got 0.75, expected = 0.5, allowed 1e-06" in str(caught.value)
    assert len(shown) == 1  # the reader sees the table even so
    assert shown[0]["text/html"].count('class="fails"') == 2
    assert shown[0]["text/html"].count('class="holds"') == 1


def test_failed_claims_are_a_failed_assertion():
    assert issubclass(ClaimError, AssertionError)


@pytest.mark.parametrize(
    ("tolerance", "ours", "shown"),
    [
        (1e-6, 0.4999970211, "0.49999702"),
        (0.05, 2.123456, "2.1235"),
        (2.0, 100.26, "100.26"),
        (0.0, 0.1, "0.1"),
        (1e-6, 1.23e-9, "1.2×10⁻⁹"),
    ],
)
def test_numbers_are_shown_with_two_digits_below_the_tolerance(tolerance, ours, shown):
    assert claim(ours=ours, tolerance=tolerance).cells()[4] == shown


@pytest.mark.parametrize(
    ("tolerance", "error", "shown"),
    [
        (1e-6, None, "10⁻⁶"),
        (3e-4, 1e-5, "3×10⁻⁴"),
        (1.3e-3, 1e-4, "1.3×10⁻³"),
        (1.96e-3, None, "2×10⁻³"),
        (1e-6, 1e-3, "4×10⁻³"),
        (0.0, None, "0"),
    ],
)
def test_what_is_allowed_is_shown_with_two_digits(tolerance, error, shown):
    assert claim(tolerance=tolerance, error=error).cells()[6] == shown


# What the notebooks store


def test_collect_reads_what_notebooks_store(tmp_path):
    one, two = claim(chapter="wave"), claim(chapter="wave", name="E_1", error=0.1, talk=2.0)
    write(tmp_path / "wave.ipynb", one, two)
    write(tmp_path / "empty.ipynb")
    assert collect(tmp_path) == [one, two]


def test_chapter_is_the_stem_of_the_file(tmp_path):
    write(tmp_path / "renamed.ipynb", claim(chapter="before"))
    assert [c.chapter for c in collect(tmp_path)] == ["renamed"]


def test_notebooks_are_read_in_the_order_of_their_names(tmp_path):
    for name in ("b", "a", "c"):
        write(tmp_path / f"{name}.ipynb", claim())
    assert [c.chapter for c in collect(tmp_path)] == ["a", "b", "c"]


def test_a_stored_verdict_is_not_believed(tmp_path):
    write(tmp_path / "wave.ipynb", claim(ours=7.0))
    text = (tmp_path / "wave.ipynb").read_text()
    (tmp_path / "wave.ipynb").write_text(text.replace('"passed": false', '"passed": true'))
    assert not collect(tmp_path)[0].passed


@pytest.mark.parametrize("folder", [".", "missing"])
def test_folder_without_notebooks_is_named(tmp_path, folder):
    with pytest.raises(ValueError, match=r"folder: got '.*' without a notebook, expected the folder of the"):
        collect(tmp_path / folder)


# The command line


def test_exit_status_0_when_all_hold(tmp_path, capsys):
    write(tmp_path / "wave.ipynb", claim(), claim(name="E_1"))
    assert main([str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 3
    assert not err


def test_exit_status_1_when_one_fails(tmp_path, capsys):
    write(tmp_path / "wave.ipynb", claim(), claim(name="E_1", ours=7.0))
    assert main([str(tmp_path)]) == 1
    assert "NO" in capsys.readouterr().out


def test_exit_status_2_when_there_is_nothing_to_read(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert "without a notebook" in err


def test_json_is_one_object_a_claim(tmp_path, capsys):
    write(tmp_path / "wave.ipynb", one := claim(chapter="wave", error=0.1, name="E₀"))
    assert main(["--json", str(tmp_path)]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert list(record) == KEYS
    assert record == one.record()


def test_json_is_strict_even_for_a_lost_number(tmp_path, capsys):
    write(tmp_path / "wave.ipynb", claim(ours=np.nan))
    assert main(["--json", str(tmp_path)]) == 1

    def refuse(token):
        raise AssertionError(f"{token} is not JSON")

    assert json.loads(capsys.readouterr().out, parse_constant=refuse)[0]["passed"] is False


def test_module_runs_as_a_command(tmp_path):
    write(
        tmp_path / "wave.ipynb", claim(chapter="wave"), failing := claim(chapter="wave", name="E_1", ours=7.0)
    )
    command = [sys.executable, "-m", "nnbook.claims", "--json", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads(done.stdout)[1] == failing.record()

"""Claims: when one holds, what a chapter may claim, what its table shows and stores."""

import inspect
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st

import nnbook
from nnbook.claims import MIME, Claim, ClaimError, Claims, claim_of

KEYS = [
    *("chapter", "name", "kind", "reference", "how", "ours", "tolerance", "error", "sigma", "unbiased"),
    *("slide", "talk", "budget", "cell", "passed"),
]
NOT_A_NUMBER = (math.nan, math.inf, -math.inf)

numbers = st.floats(-1e3, 1e3, allow_subnormal=False)
sizes = st.floats(1e-9, 1e3)
kinds = st.sampled_from(["equal", "at_most", "at_least", "true"])


def claim(kind="equal", **changes):
    usual = {"chapter": "demo", "name": "$E_0$", "slide": "12", "how": "exact", "reference": 1.0, "ours": 1.0}
    return Claim(**(usual | changes), kind=kind)


@pytest.fixture
def claims():
    return Claims("demo", nnbook.start(seed=1, device="cpu", budget="quick", quiet=True))


@pytest.fixture
def shown(monkeypatch):
    """What the chapter displays, as the bundle that a notebook stores."""
    bundles = []
    monkeypatch.setattr("nnbook.claims.claim.display", lambda bundle, raw: bundles.append(bundle))
    return bundles


def equal(claims, name="one half", **changes):
    claims.equal(name, **({"reference": 0.5, "how": "exact", "ours": 0.5, "tolerance": 1e-6} | changes))


# When a claim holds


@pytest.mark.parametrize(
    ("kind", "ours", "error", "tolerance", "passed"),
    [
        ("equal", 1.25, None, 0.25, True),
        ("equal", 0.75, None, 0.25, True),
        ("equal", 1.2501, None, 0.25, False),
        ("equal", 1.5, 0.125, 0.25, True),
        ("equal", 1.5001, 0.125, 0.25, False),
        ("at_most", 1.0, None, 0.0, True),
        ("at_most", math.nextafter(1.0, 2.0), None, 0.0, False),
        ("at_most", 1.5, 0.125, 0.0, True),
        ("at_most", 1.5001, 0.125, 0.0, False),
        ("at_least", 1.0, None, 0.0, True),
        ("at_least", math.nextafter(1.0, 0.0), None, 0.0, False),
        ("at_least", 0.5, 0.125, 0.0, True),
        ("at_least", 0.4999, 0.125, 0.0, False),
        ("true", 1, None, 0.0, True),
        ("true", 2, None, 0.0, False),
    ],
)
def test_claim_holds_as_its_kind_says(kind, ours, error, tolerance, passed):
    made = claim(kind, ours=ours, error=error, tolerance=tolerance, sigma=error)
    assert made.passed is passed
    assert claim_of(json.loads(json.dumps(made.record()))) == made


@given(numbers, numbers, sizes, sizes)
def test_kinds_agree_with_each_other(reference, ours, tolerance, error):
    size = {"reference": reference, "ours": ours, "error": error, "sigma": error}
    both = all(claim(kind, **size).passed for kind in ("at_most", "at_least"))
    assert claim("equal", **size).passed == both
    assert claim("at_most", **size).passed or claim("at_least", **size).passed
    if claim("equal", **size).passed:
        assert claim("equal", **size, tolerance=tolerance).passed


@given(kinds, sizes, st.floats(0, 10, allow_subnormal=False))
@example("at_most", 1.0, 1.0)
def test_a_run_noisier_than_announced_fails(kind, sigma, excess):
    assert claim(kind, error=sigma, sigma=sigma).passed
    assume(sigma * (1 + excess) > sigma)
    loud = claim(kind, error=sigma * (1 + excess), sigma=sigma)
    assert not loud.passed
    assert "error accepted" in str(loud)
    assert loud.texts()["Ours agrees"] == "NO, too noisy"


@pytest.mark.parametrize("lost", ["ours", "reference", "error"])
@pytest.mark.parametrize("value", NOT_A_NUMBER)
@given(kinds)
def test_what_is_not_a_number_passes_nowhere_and_stays_so(lost, value, kind):
    numbers = {"error": 0.5, "sigma": 0.5, "tolerance": 1e300} | {lost: value}
    assert not claim(kind, **numbers).passed
    assert not claim_of(json.loads(json.dumps(claim(kind, **numbers).record()))).passed


# What a chapter claims


def test_claims_note_chapter_budget_and_cell(claims, monkeypatch):
    equal(claims)
    shell = type("Shell", (), {"user_ns": {"In": ["", "import nnbook", "claims.equal(...)"]}})
    monkeypatch.setattr("nnbook.claims.claim.get_ipython", lambda: shell)
    equal(claims, "second")
    assert [(c.chapter, c.budget, c.cell) for c in claims.claims] == [
        ("demo", "quick", None),
        ("demo", "quick", 2),
    ]


def test_numbers_of_any_kind_become_plain(claims):
    equal(claims, reference=np.float64(0.5), ours=torch.tensor(0.5), error=np.float64(0.1), sigma=1, talk=1)
    claims.true("count", torch.tensor([3]), reference=np.int64(3), how="three sides")
    claims.true("sign", np.float64(2.0) > 0, how="positive")
    records = json.loads(json.dumps([c.record() for c in claims.claims]))
    assert [(r["ours"], r["reference"]) for r in records] == [(0.5, 0.5), (3, 3), (True, True)]
    assert [list(r) for r in records] == [KEYS] * 3
    assert all(r["passed"] for r in records)


MESSAGES = [
    ("equal", {"ours": 0.7}, ValueError, r"name: got 'one half' for another claim \(exact\), expected each"),
    *(
        (
            "equal",
            {"name": "a", "tolerance": bad},
            ValueError,
            rf"tolerance: got {bad} for 'a', expected a fin",
        )
        for bad in (-1e-6, math.nan, math.inf)
    ),
    (
        "equal",
        {"name": "a", "error": 1.0, "sigma": math.nan},
        ValueError,
        r"sigma: got nan for 'a', expected",
    ),
    (
        "equal",
        {"name": "a", "error": 0.1},
        ValueError,
        r"error and sigma: got 0.1 and None .* both or neither",
    ),
    ("at_most", {"sigma": 0.1}, ValueError, r"error and sigma: got None and 0.1 .* stated in advance"),
    ("at_least", {"error": 0.1}, ValueError, r"error and sigma: got 0.1 and None .* stated in advance"),
    ("equal", {"name": "a", "unbiased": True}, ValueError, r"unbiased: got True with error None for 'a'"),
    ("true", {"ours": 0.5}, TypeError, r"got 0.5 for 'a', expected bools or whole .*; use equal, at_most"),
    ("true", {"ours": math.nan}, TypeError, r"got nan for 'a', expected bools or whole numbers"),
]


@pytest.mark.parametrize(("verb", "arguments", "error", "message"), MESSAGES)
def test_what_cannot_be_claimed_says_why(claims, verb, arguments, error, message):
    equal(claims)
    usual = {"name": "a", "how": "exact", "ours": 1.0}
    with pytest.raises(error, match=message):
        equal(claims, **arguments) if verb == "equal" else getattr(claims, verb)(
            **(usual | ({} if verb == "true" else {"bound": 1.0}) | arguments)
        )
    assert len(claims.claims) == 1


def test_a_cell_that_runs_again_makes_its_claims_anew(claims, monkeypatch):
    cells = [""]
    shell = type("Shell", (), {"user_ns": {"In": cells}})
    monkeypatch.setattr("nnbook.claims.claim.get_ipython", lambda: shell)
    for ours in (0.5, 0.7):
        cells.append("a run")
        equal(claims, ours=ours)
        equal(claims, "second")
    assert [(c.name, c.ours, c.cell) for c in claims.claims] == [("one half", 0.7, 2), ("second", 0.5, 2)]
    cells.append("another cell")
    with pytest.raises(ValueError, match="name: got 'second' for another claim"):
        equal(claims, "second", how="a guess")


def test_a_claim_that_is_made_twice_counts_once(claims):
    for _ in "ab":
        equal(claims)
        claims.at_most("bound", bound=1.0, how="exact", ours=0.5)
    assert [c.name for c in claims.claims] == ["one half", "bound"]


@pytest.mark.parametrize("verb", ["at_most", "at_least"])
def test_verbs_of_bounds_tell_their_arguments(verb):
    method = getattr(Claims, verb)
    assert (method.__name__, list(inspect.signature(method).parameters)[1:5]) == (
        verb,
        ["name", "bound", "how", "ours"],
    )
    assert method.__doc__.startswith("Claim a")


def test_table_shows_and_stores_all_claims(claims, shown):
    equal(claims, ours=0.5000001, talk=0.500075, slide="p. 7")
    equal(claims, "second & last", error=1e-7, sigma=1e-6)
    claims.at_least("not below", bound=-4.2, how="exact", ours=-4.1875)
    claims.true("twelve", 12, reference=12, how="faces")
    claims.true("positive", True, how="its sign")
    claims.table()
    (bundle,) = shown
    assert bundle[MIME] == {"claims": [c.record() for c in claims.claims]}
    assert bundle["text/html"].count('class="holds"') == 5
    assert "second &amp; last" in bundle["text/html"]
    rows = [[cell.strip() for cell in line.split("|")] for line in bundle["text/plain"].splitlines()[1:]]
    assert rows == [
        ["one half", "p. 7", "0.500075", "= 0.50000000 (exact)", "0.50000010", "10⁻⁷", "10⁻⁶", "yes"],
        [
            "second & last",
            "–",
            "–",
            "= 0.50000000 (exact)",
            "0.50000000 ± 10⁻⁷",
            "0",
            "10⁻⁶, σ ≤ 10⁻⁶",
            "yes",
        ],
        ["not below", "–", "–", "≥ -4.2000 (exact)", "-4.1875", "0.013", "0", "yes"],
        ["twelve", "–", "–", "12 (faces)", "12", "–", "–", "yes"],
        ["positive", "–", "–", "yes (its sign)", "yes", "–", "–", "yes"],
    ]


def test_table_raises_and_lists_those_that_fail(claims, shown):
    equal(claims, "good")
    equal(claims, "wrong", ours=0.75)
    equal(claims, "lost", ours=np.nan)
    claims.at_most("noisy", bound=1.0, how="our goal", ours=1.0, error=0.5, sigma=0.25)
    with pytest.raises(ClaimError, match="3 of 4 claims fail") as caught:
        claims.table()
    assert isinstance(caught.value, AssertionError)
    assert str(caught.value).splitlines()[1:] == [
        "wrong: got 0.75, expected = 0.5, allowed 1e-06 (exact)",
        "lost: got nan, expected = 0.5, allowed 1e-06 (exact)",
        "noisy: got 1.0 ± 0.5 (error accepted: 0.25), expected ≤ 1.0, allowed 2 (our goal)",
    ]
    assert shown[0]["text/html"].count('class="fails"') == 3  # the reader sees the table even so


@pytest.mark.parametrize(
    ("tolerance", "ours", "shown", "allowed"),
    [
        (1e-6, 0.4999970211, "0.49999702", "10⁻⁶"),
        (0.05, 2.123456, "2.1235", "0.05"),
        (2.0, 100.26, "100.26", "2"),
        (0.0, 1.0, "1", "0"),
        (1.3e-3, 1.23e-9, "1.2×10⁻⁹", "1.3×10⁻³"),
        (1.96e-8, 5.09787e-5, "5.09787×10⁻⁵", "2×10⁻⁸"),
    ],
)
def test_numbers_are_shown_with_two_digits_below_the_tolerance(tolerance, ours, shown, allowed):
    texts = claim(ours=ours, tolerance=tolerance).texts()
    assert (texts["Ours"], texts["Allowed"]) == (shown, allowed)

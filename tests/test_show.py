"""Figures: transparent style, sliders for the static page and for a live kernel, tables, glue."""

import json
import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import plotly.io
import pytest
from IPython.core.interactiveshell import InteractiveShell
from myst_nb.core.variables import format_plain_text

from nnbook.show import COLOURS, Curve, Table, glue, layout, slider, style

PLOTLY = "application/vnd.plotly.v1+json"
STOPS = [1.0, 1.5, 2.0]
X = np.linspace(0, 2 * np.pi, 21)


def waves(k):
    return [Curve("sin", X, np.sin(k * X)), Curve("cos", X, np.cos(k * X), line="dash", colour=COLOURS[1])]


def wave_slider(draw=waves, values=STOPS, **options):
    labels = {"name": "k", "xlabel": "x", "ylabel": "y", "title": lambda k: f"k = {k:.2f}"}
    return slider(draw, values, **(labels | options))


# matplotlib


def test_style_makes_transparent_figures(tmp_path):
    with mpl.rc_context():
        style()
        fig, ax = plt.subplots()
        ax.plot([0, 1], label="a line")
        ax.legend()
        fig.savefig(tmp_path / "figure.png")
        plt.close(fig)
    alpha = plt.imread(tmp_path / "figure.png")[..., 3]
    assert alpha[0, 0] == 0
    assert (alpha == 0).mean() > 0.5
    assert alpha.max() == 1


def test_style_uses_the_safe_colours():
    with mpl.rc_context():
        style()
        assert tuple(mpl.rcParams["axes.prop_cycle"].by_key()["color"]) == COLOURS


def luminance(colour):
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return np.dot([0.2126, 0.7152, 0.0722], linear)


@pytest.mark.parametrize("colour", COLOURS)
def test_colours_stand_out_on_black_and_on_white(colour):
    assert (luminance(colour) + 0.05) / 0.05 > 3
    assert 1.05 / (luminance(colour) + 0.05) > 2


# The static slider


def test_slider_has_one_frame_and_one_stop_a_value():
    figure = wave_slider().figure
    assert [frame.name for frame in figure.frames] == ["1", "1.5", "2"]
    (control,) = figure.layout.sliders
    assert [step.args[0][0] for step in control.steps] == [frame.name for frame in figure.frames]
    assert control.currentvalue.prefix == "k = "


@pytest.mark.parametrize("number", range(3))
def test_frame_shows_what_is_drawn_at_its_value(number):
    frame, value = wave_slider().figure.frames[number], STOPS[number]
    assert frame.layout.title.text == f"k = {value:.2f}"
    for trace, curve in zip(frame.data, waves(value), strict=True):
        assert (trace.name, trace.line.color, trace.line.dash) == (curve.name, curve.colour, curve.line)
        np.testing.assert_allclose(trace.x, curve.x, rtol=5e-5, atol=1e-6)  # five digits are stored
        np.testing.assert_allclose(trace.y, curve.y, rtol=5e-5, atol=1e-6)


def test_figure_opens_on_the_first_value():
    figure = wave_slider().figure
    assert figure.data == figure.frames[0].data
    assert figure.layout.title.text == "k = 1.00"
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("x", "y")


def test_markers_have_no_line():
    trace = Curve("dots", [0, 1], [0, 1], line="markers").traces()[0]
    assert (trace.mode, trace.marker.color) == ("markers", COLOURS[0])


@pytest.mark.parametrize("figure", [lambda s: s.figure, lambda s: s.at(1.25)], ids=["static", "live"])
def test_axes_keep_the_given_range(figure):
    axes = figure(wave_slider(xrange=(0, 6), yrange=(-2, 2))).layout
    assert (axes.xaxis.range, axes.yaxis.range) == ((0, 6), (-2, 2))


def test_json_is_the_same_each_time_and_small():
    text = wave_slider().figure.to_json()
    assert text == wave_slider().figure.to_json()
    drawn = len(STOPS) * 2 * 2 * len(X)
    assert len(text) < 10_000 + 12 * drawn


def test_json_does_not_depend_on_last_digits():
    def shaken(k):
        return [Curve(c.name, c.x, np.round(c.y, 3) * (1 + 1e-12), c.line, c.colour) for c in waves(k)]

    def rounded(k):
        return [Curve(c.name, c.x, np.round(c.y, 3), c.line, c.colour) for c in waves(k)]

    assert wave_slider(shaken).figure.to_json() == wave_slider(rounded).figure.to_json()


def test_gaps_are_stored_as_strict_json():
    text = wave_slider(lambda k: [Curve("gap", [0, 1, 2], [0, np.nan, k])]).figure.to_json()
    assert json.loads(text, parse_constant=pytest.fail)["data"][0]["y"] == [0, None, 1]


@pytest.mark.parametrize("renderer", ["", "plotly_mimetype"])
def test_slider_shows_itself_as_plotly_and_as_text_whatever_the_renderer(monkeypatch, renderer):
    monkeypatch.setattr(plotly.io.renderers, "default", renderer)
    bundle = wave_slider(alt="Two waves.")._repr_mimebundle_()
    assert bundle["text/plain"] == "Two waves."
    assert len(bundle[PLOTLY]["frames"]) == 3
    assert bundle[PLOTLY]["layout"]["meta"] == {"alt": "Two waves."}


def test_page_shows_through():
    assert {layout()["paper_bgcolor"], layout()["plot_bgcolor"]} == {"rgba(0,0,0,0)"}


@pytest.mark.parametrize(
    ("draw", "values", "message"),
    [
        (waves, [], r"values: got 0 value\(s\), expected at least two stops"),
        (waves, [1.0], r"values: got 1 value\(s\), expected at least two stops"),
        (waves, 1.0, r"values: got 1 value\(s\), expected at least two stops"),
        (lambda k: waves(k)[: 1 + (k > 1.7)], STOPS, r"draw: got \[1, 2\] curves .*expected the same number"),
    ],
)
def test_slider_that_cannot_slide_is_named(draw, values, message):
    with pytest.raises(ValueError, match=message):
        wave_slider(draw, values)


def test_ragged_frame_in_the_middle_is_named_too():
    with pytest.raises(ValueError, match="expected the same number in each frame"):
        _ = wave_slider(lambda k: waves(k)[: 1 + (k == 1.5)]).figure


# The live slider


def live(**options):
    asked = []

    def draw(k):
        asked.append(k)
        return waves(k)

    widget = wave_slider(draw, **options).live()
    return widget, widget.children[0], asked


@pytest.mark.parametrize("value", [1.0, 1.37, 2.0])
def test_live_slider_draws_the_value_it_is_set_to(value):
    widget, control, asked = live()
    control.value = 1.5
    control.value = value
    assert asked[-1] == value
    (output,) = widget.children[1].outputs
    figure = output["data"]["application/vnd.plotly.v1+json"]
    np.testing.assert_allclose(figure["data"][0]["y"], np.sin(value * X), rtol=5e-5, atol=1e-6)
    assert figure["layout"]["title"]["text"] == f"k = {value:.2f}"


def test_live_slider_spans_the_values_whatever_their_order():
    _, control, _ = live(values=[2.0, 1.0, 4.0])
    assert (control.min, control.max, control.value, control.description) == (1, 4, 2, "k")
    assert control.step == pytest.approx(0.03)
    assert not control.continuous_update


def test_live_step_can_be_chosen():
    assert wave_slider().live(step=0.25).children[0].step == 0.25


# Tables and numbers in the text


def test_table_is_aligned_text_and_escaped_html():
    table = Table(("n", "E"), [("0", "< 0.5"), ("10", "1.5")], classes=("first", "second"))
    assert repr(table).splitlines() == ["n  | E", "0  | < 0.5", "10 | 1.5"]
    html = table._repr_html_()
    assert "<td>&lt; 0.5</td>" in html
    assert [html.count(f'<tr class="{name}">') for name in ("first", "second")] == [1, 1]


def test_glue_stores_values_under_their_names(monkeypatch):
    shell, stored = InteractiveShell.instance(), []
    monkeypatch.setattr(shell.display_pub, "publish", lambda **output: stored.append(output))
    try:
        glue(energy="0.499997", states=5)
    finally:
        InteractiveShell.clear_instance()
    assert [output["metadata"]["scrapbook"]["name"] for output in stored] == ["energy", "states"]
    assert "0.499997" in str(stored[0]["data"])


@pytest.mark.parametrize("text", ["0.80", "9,393,931", "-0.50", "1e-3", "+0.10", "text"])
def test_glued_text_is_printed_as_it_is_written(text, monkeypatch):
    shell, stored = InteractiveShell.instance(), []
    monkeypatch.setattr(shell.display_pub, "publish", lambda **output: stored.append(output))
    try:
        glue(number=text)
    finally:
        InteractiveShell.clear_instance()
    [plain] = [data for mime, data in stored[0]["data"].items() if "plain" in mime]
    assert format_plain_text(plain, "").lstrip("\u2060") == text


def test_glue_does_nothing_without_the_book(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "myst_nb", None)
    glue(energy="0.499997")
    assert capsys.readouterr() == ("", "")


def test_glue_prints_nothing_outside_a_notebook(capsys):
    glue(energy="0.499997")
    assert capsys.readouterr().out == ""

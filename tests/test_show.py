"""Figures: style, sliders for the static page and for a live kernel."""

import json

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import plotly.io
import pytest

from nnbook.show import COLOURS, Curve, layout, slider, style

PLOTLY = "application/vnd.plotly.v1+json"
STOPS = [1.0, 1.5, 2.0]
X = np.linspace(0, 2 * np.pi, 21)


def waves(k):
    return [Curve("sin", X, np.sin(k * X)), Curve("cos", X, np.cos(k * X), line="dash", colour=COLOURS[1])]


def wave_slider(draw=waves, values=STOPS, **options):
    labels = {"name": "k", "xlabel": "x", "ylabel": "y", "title": lambda k: f"k = {k:.2f}"}
    return slider(draw, values, **(labels | options))


# matplotlib


def test_style_draws_dark_on_white(tmp_path):
    with mpl.rc_context():
        style()
        fig, ax = plt.subplots()
        ax.plot([0, 1], label="a line")
        ax.legend()
        fig.savefig(tmp_path / "figure.png")
        plt.close(fig)
    picture = plt.imread(tmp_path / "figure.png")[..., :3]
    assert picture[0, 0].min() == 1
    assert picture.max(2).min() < 0.2


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


def test_figure_opens_where_it_is_told():
    wave = wave_slider(values=[1.0, 2.0, 4.0], opens_at=2.0)
    assert wave.figure.layout.sliders[0].active == 1
    assert wave.figure.data[0].y == wave.at(2.0).data[0].y
    assert wave.figure.layout.title.text == wave.at(2.0).layout.title.text
    assert wave.live().children[0].value == 2.0
    with pytest.raises(ValueError, match=r"opens_at: got 3\.0, expected one of the values"):
        wave_slider(values=[1.0, 2.0, 4.0], opens_at=3.0)


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


@pytest.mark.parametrize(
    ("values", "stored"),
    [
        ([-50.942671, -50.942684, -50.942699], [-50.942671, -50.942684, -50.942699]),
        ([100001, 100002, 100003], [100001, 100002, 100003]),
        ([1.0, 1e-5, 1e-9], [1.0, 1e-5, 1e-9]),
        ([1.0, 1e-17, 0.123456789], [1.0, 0.0, 0.12346]),
        ([np.inf, 1.0, 2.0], [np.inf, 1.0, 2.0]),
        ([np.nan, np.inf], [np.nan, np.inf]),
        ([7.123456789, 7.123456789], [7.123456789, 7.123456789]),
        ([], []),
    ],
)
def test_points_keep_the_digits_that_tell_them_apart(values, stored):
    for drawn in (Curve("c", values, values).traces()[0][axis] for axis in ("x", "y")):
        np.testing.assert_allclose(np.array(drawn, dtype=float), stored, rtol=1e-8)


def test_stops_that_agree_in_six_digits_have_frames_of_their_own():
    figure = wave_slider(values=[1234567, 1234568, 1234569]).figure
    assert [frame.name for frame in figure.frames] == ["1234567", "1234568", "1234569"]


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
        (waves, [], r"values: got 0 different value\(s\) of 0, expected at least two stops"),
        (waves, [1.0], r"values: got 1 different value\(s\) of 1, expected at least two stops"),
        (waves, 1.0, r"values: got 1 different value\(s\) of 1, expected at least two stops"),
        (waves, [1.0, 2.0, 1.0], r"values: got 2 different value\(s\) of 3, .* no two the same"),
        (waves, [1.0, np.nan], "values: got nan, expected a finite number"),
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


def test_live_slider_shows_what_went_wrong_and_goes_on():
    widget = wave_slider(lambda k: waves(k) if k < 1.9 or k == 2 else waves(1 / 0)).live()
    control = widget.children[0]
    control.value = 1.95
    (output,) = widget.children[1].outputs
    assert (output["output_type"], output["ename"]) == ("error", "ZeroDivisionError")
    assert "1 / 0" in "".join(output["traceback"])
    control.value = 1.2
    (output,) = widget.children[1].outputs
    assert output["output_type"] == "display_data"


def test_live_slider_spans_the_values_whatever_their_order():
    _, control, _ = live(values=[2.0, 1.0, 4.0])
    assert (control.min, control.max, control.value, control.description) == (1, 4, 2, "k")
    assert control.step == pytest.approx(0.03)
    assert not control.continuous_update


def test_live_step_can_be_chosen():
    assert wave_slider().live(step=0.25).children[0].step == 0.25

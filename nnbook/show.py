"""Figures that read well in light, dark and print, and sliders that work without a kernel."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol

import ipywidgets
import matplotlib as mpl
import numpy as np
import plotly.graph_objects as go
from cycler import cycler
from IPython import get_ipython
from matplotlib_inline.config import InlineBackend
from numpy.typing import ArrayLike

from nnbook.arrays import check_counts, finite
from nnbook.text import Table, glue, scientific

__all__ = [
    "BLUE",
    "COLOURS",
    "GREEN",
    "GREY",
    "INK",
    "ORANGE",
    "PINK",
    "SKY",
    "YELLOW",
    "Curve",
    "Slider",
    "Table",
]
__all__ += ["Drawing", "glue", "layout", "scientific", "slider", "style"]

#: Colour-blind-safe colours (Okabe and Ito), readable on white and on black.
BLUE, ORANGE, GREEN, PINK, SKY, YELLOW = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"
GREY, INK = "#808080", "#202020"
COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, YELLOW)


def style() -> None:
    """Set matplotlib's defaults: dark text on white, safe colours, and in a notebook two pixels for one.

    In dark mode the site turns white and dark around and keeps the hues.
    """
    if (shell := get_ipython()) is not None and hasattr(shell, "kernel"):
        InlineBackend.instance(parent=shell).figure_formats = {"retina"}
    mpl.rcParams.update(
        {
            "figure.figsize": (7.0, 3.8),
            "figure.dpi": 72,
            "savefig.dpi": 144,
            "legend.frameon": False,
            "axes.prop_cycle": cycler(color=COLOURS),
            **dict.fromkeys(
                (
                    "text.color",
                    "axes.labelcolor",
                    "axes.edgecolor",
                    "xtick.color",
                    "ytick.color",
                    "legend.labelcolor",
                ),
                INK,
            ),
            "grid.color": GREY,
            "grid.alpha": 0.25,
            "axes.grid": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": "medium",
            "font.size": 12,
            "lines.linewidth": 2,
            "figure.constrained_layout.use": True,
        }
    )


@dataclass(frozen=True, eq=False)
class Curve:
    """One curve of a slider figure.

    Attributes:
        name: its label in the legend; the same in each frame.
        x, y: its points.
        line: ``"solid"``, ``"dash"``, ``"dot"`` or ``"markers"``.
        colour: any CSS colour.
        legend: whether the legend names it.
    """

    name: str
    x: ArrayLike
    y: ArrayLike
    line: Literal["solid", "dash", "dot", "markers"] = "solid"
    colour: str = BLUE
    legend: bool = True

    def traces(self) -> list[go.Scatter]:
        """The curve for plotly, rounded so that notebooks stay small and change only where numbers do."""
        points = {"x": _short(self.x), "y": _short(self.y), "name": self.name, "showlegend": self.legend}
        if self.line == "markers":
            return [go.Scatter(**points, mode="markers", marker={"color": self.colour, "size": 7})]
        line = {"color": self.colour, "dash": self.line, "width": 2.5}
        return [go.Scatter(**points, mode="lines", line=line)]


class Drawing(Protocol):
    """What a slider can draw: a :class:`Curve`, or a :class:`nnbook.geometry.solids.Solid`."""

    def traces(self) -> list[Any]:
        """Traces for plotly."""


@dataclass(frozen=True, eq=False)
class Slider:
    """A figure with one slider; shows itself, on the static site and in Jupyter.

    The frames at ``values`` are computed once and stored with the figure. :meth:`live` gives the same
    figure as an ipywidget that calls ``draw`` for each value between the first and the last.
    """

    draw: Callable[[float], Sequence[Drawing]]
    values: Sequence[float]
    name: str
    xlabel: str
    ylabel: str
    title: Callable[[float], str]
    xrange: tuple[float, float] | None = None
    yrange: tuple[float, float] | None = None
    alt: str = field(default="", repr=False)
    scene: dict[str, Any] | None = field(default=None, repr=False)
    opens_at: float | None = None

    @property
    def _opening(self) -> int:
        return 0 if self.opens_at is None else list(self.values).index(self.opens_at)

    def _traces(self, value: float) -> list[Any]:
        return [trace for drawing in self.draw(value) for trace in drawing.traces()]

    @cached_property
    def figure(self) -> go.Figure:
        """The plotly figure with all frames."""
        frames = [
            go.Frame(name=name, data=self._traces(v), layout={"title": {"text": self.title(v)}})
            for name, v in zip(_names(self.values), self.values, strict=True)
        ]
        counts = {len(frame.data) for frame in frames}
        if len(counts) > 1:
            raise ValueError(
                f"draw: got {sorted(counts)} curves in its frames, expected the same number in each frame"
            )
        first = frames[self._opening]
        figure = self._picture(first.data, first.layout.title.text)
        figure.frames = frames
        animate = {
            "mode": "immediate",
            "frame": {"duration": 0, "redraw": True},
            "transition": {"duration": 0},
        }
        steps = [{"label": f.name, "method": "animate", "args": [[f.name], animate]} for f in frames]
        figure.update_layout(
            sliders=[
                {
                    "steps": steps,
                    "active": self._opening,
                    "currentvalue": {"prefix": f"{self.name} = "},
                    "pad": {"t": 45},
                }
            ]
        )
        return figure

    def at(self, value: float) -> go.Figure:
        """One frame, computed for this value."""
        return self._picture(self._traces(value), self.title(value))

    def live(self, step: float | None = None) -> ipywidgets.VBox:
        """The figure as an ipywidget: any value, computed when the slider is let go."""
        low, high = min(self.values), max(self.values)
        control = ipywidgets.FloatSlider(
            value=self.values[self._opening],
            min=low,
            max=high,
            step=step or (high - low) / 100,
            description=self.name,
            continuous_update=False,
        )
        picture = ipywidgets.Output()

        def redraw(value: float) -> None:
            # set the output instead of capturing it: a capture makes the front end write back while the cell
            # runs, and nbclient can then miss the end of the cell (its issue 312)
            data = {"application/vnd.plotly.v1+json": json.loads(self.at(value).to_json())}
            picture.outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)

        def follow(change: Any) -> None:
            try:
                redraw(change.new)
            except Exception as error:  # nobody would see it: no cell is running
                name, lines = type(error).__name__, traceback.format_exception(error)
                said = {"ename": name, "evalue": str(error), "traceback": lines}
                picture.outputs = ({"output_type": "error", **said},)

        control.observe(follow, names="value")
        redraw(control.value)
        return ipywidgets.VBox([control, picture])

    def _picture(self, traces: Sequence[Any], title: str) -> go.Figure:
        figure = go.Figure(traces)
        top = 0.95 if "<br>" in title else 0.98
        heading = {"text": title, "font": {"size": 14}, "y": top, "yanchor": "top"}
        figure.update_layout(**layout(), title=heading)
        if self.scene is not None:
            figure.update_layout(scene=self.scene, showlegend=False, margin={"l": 25, "r": 25, "b": 85})
        figure.update_xaxes(title_text=self.xlabel, range=self.xrange)
        figure.update_yaxes(title_text=self.ylabel, range=self.yrange)
        if self.alt:
            figure.update_layout(meta={"alt": self.alt})
        return figure

    def __repr__(self) -> str:
        return self.alt or f"figure with a slider: {self.name} from {self.values[0]:g} to {self.values[-1]:g}"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        picture = json.loads(self.figure.to_json())
        return {"application/vnd.plotly.v1+json": picture, "text/plain": repr(self)}


def slider(
    draw: Callable[[float], Sequence[Drawing]],
    values: ArrayLike,
    *,
    name: str,
    xlabel: str = "",
    ylabel: str = "",
    title: Callable[[float], str] = lambda value: "",
    xrange: tuple[float, float] | None = None,
    yrange: tuple[float, float] | None = None,
    alt: str = "",
    scene: dict[str, Any] | None = None,
    opens_at: float | None = None,
) -> Slider:
    """Declare a figure with a slider: one function gives the curves, or the solids, for a value.

    Args:
        draw: the curves or solids at one value of the parameter; always the same number of them.
        values: where the slider stops.
        name: the parameter, in words or as a symbol.
        xlabel, ylabel: the axes, with units.
        title: a line of text for each value, say with the energies.
        xrange, yrange: fixed axes; without them the axes follow the first frame.
        alt: what the figure shows, for those who cannot see it.
        scene: axes and camera of solids, from :func:`nnbook.geometry.solids.scene`.
        opens_at: the stop that a reader sees first; without it the first one.

    Raises:
        ValueError: fewer than two values, one twice or not finite; frames with different numbers of curves;
            ``opens_at`` that is none of the values.

    >>> line = lambda k: [Curve("k x", [0, 1], [0, k])]
    >>> wave = slider(line, [1.0, 2.0], name="k", xlabel="x", ylabel="y")
    >>> len(wave.figure.frames)
    2
    """
    stops = [finite("values", v) for v in np.asarray(values, dtype=object).ravel()]
    if len(stops) < 2 or len(set(stops)) < len(stops):
        raise ValueError(
            f"values: got {len(set(stops))} different value(s) of {len(stops)}, expected at least two stops, "
            "no two the same"
        )
    if opens_at is not None and opens_at not in stops:
        raise ValueError(f"opens_at: got {opens_at}, expected one of the values {stops}")
    declared = Slider(draw, stops, name, xlabel, ylabel, title, xrange, yrange, alt, scene, opens_at)
    _ = declared.figure  # computed now, so that an error shows where it was made
    return declared


def layout(height: int = 460) -> dict[str, Any]:
    """Layout of a plotly figure that fits the site: transparent, grey axes, the site's font."""
    check_counts(least=10, height=height)
    axis = {"gridcolor": "rgba(128,128,128,0.25)", "zerolinecolor": "rgba(128,128,128,0.5)"}
    return {
        "template": "none",
        "height": height,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": GREY, "size": 14},
        "margin": {"l": 65, "r": 15, "t": 95, "b": 55},
        # the margin has room for a legend of two lines: one that grows on a phone would move the axes
        "legend": {"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"},
        "xaxis": axis,
        "yaxis": axis,
    }


def _short(values: ArrayLike) -> list[float]:
    """Five digits of each value, and more where values differ by less than that.

    Below 1e-12 of the largest there is rounding only, which is different on each machine.
    """
    numbers = np.asarray(values, dtype=float)
    if numbers.ndim != 1:
        raise ValueError(f"x and y: got shape {numbers.shape}, expected (points,)")
    size = np.where(np.isfinite(numbers), np.abs(numbers), 0.0)
    largest = size.max(initial=0.0)
    apart = max(np.ptp(numbers[np.isfinite(numbers)]) if largest else 1.0, 1e-8 * largest)
    digits = 5 + np.log10(np.maximum(size / apart, 1)).astype(int)
    noise = np.isfinite(numbers) & (size < 1e-12 * largest)
    return [0.0 if none else float(f"{v:.{d}g}") for v, d, none in zip(numbers, digits, noise, strict=True)]


def _names(values: Sequence[float]) -> list[str]:
    """A name for each stop of a slider, with as many digits as tell them apart."""
    return next(
        names for k in range(6, 18) if len(set(names := [f"{v:.{k}g}" for v in values])) == len(set(values))
    )

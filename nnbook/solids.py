"""Surfaces and solids that the reader can turn: faces, sharp edges, and a scene without clutter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from nnbook import show
from nnbook.lattice import Array
from nnbook.polyhedral import Complex


@dataclass(frozen=True, eq=False)
class Solid:
    """A polygonal complex in three dimensions, drawn with flat faces and its edges.

    Attributes:
        complex: the polygons; they must be convex or nearly so, as each is drawn as a fan of triangles.
        colour: of the faces, any CSS colour; or one number a vertex, drawn on the colour scale.
        edges: the edges to draw, pairs of vertices ``(E, 2)``; default all, an empty array for none.
        opacity: of the faces.
        name: what the mouse shows over it.
        scale: the ends of the colour scale, for numbers.
        label: what the numbers mean; shown beside the colour bar.
    """

    complex: Complex
    colour: str | Array = show.SKY
    edges: Array | None = None
    opacity: float = 1.0
    name: str = ""
    scale: tuple[float, float] | None = None
    label: str = ""

    def __post_init__(self) -> None:
        if self.complex.vertices.shape[1] != 3:
            raise ValueError("complex: got vertices of two coordinates, expected three; add a height")

    def traces(self) -> list[go.Mesh3d | go.Scatter3d]:
        """A mesh and the lines of its edges, for plotly."""
        points = np.round(self.complex.vertices, 5)
        fans = [(f[0], f[k], f[k + 1]) for f in self.complex.faces for k in range(1, len(f) - 1)]
        place = dict(zip("xyz", points.T.tolist(), strict=True))
        corners = dict(zip("ijk", np.array(fans).T.tolist(), strict=True))
        light = {"ambient": 0.65, "diffuse": 0.6, "specular": 0.1}
        options = {"flatshading": True, "lighting": light, "opacity": self.opacity, "name": self.name}
        mesh = go.Mesh3d(**place, **corners, **options, **self._paint(), hoverinfo="name")
        edges = self.complex.edges if self.edges is None else self.edges
        # None lifts the pen between two edges
        line = [[v for a, b in edges for v in (points[a, k], points[b, k], None)] for k in range(3)]
        pen = {"color": "#303030", "width": 3}
        return [
            mesh,
            go.Scatter3d(
                **dict(zip("xyz", line, strict=True)),
                mode="lines",
                line=pen,
                hoverinfo="skip",
                showlegend=False,
            ),
        ]

    def _paint(self) -> dict[str, Any]:
        if isinstance(self.colour, str):
            return {"color": self.colour}
        low, high = self.scale or (float(np.min(self.colour)), float(np.max(self.colour)))
        bar = {"title": {"text": self.label, "side": "right"}, "thickness": 14, "len": 0.7}
        return {
            "intensity": np.round(self.colour, 5).tolist(),
            "cmin": low,
            "cmax": high,
            "colorscale": "Cividis",
            "colorbar": bar,
        }


def turnable(
    solids: Sequence[Solid],
    *,
    labels: Sequence[str] = (),
    title: str = "",
    eye: tuple[float, float, float] = (1.5, 1.1, 0.9),
    reach: float | None = None,
    height: int = 460,
) -> go.Figure:
    """A figure of solids that turns.

    Args:
        solids: drawn into the same scene.
        labels: names of the three axes; without them the axes are hidden.
        title: a line of text above.
        eye: where the camera begins.
        reach: the scene shows the cube from ``-reach`` to ``reach``; default: what is there.
        height: of the figure, in pixels.

    >>> corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    >>> faces = ((0, 2, 1), (0, 1, 3), (1, 2, 3), (0, 3, 2))
    >>> len(turnable([Solid(Complex(corners, faces))]).data)
    2
    """
    figure = go.Figure([trace for solid in solids for trace in solid.traces()])
    figure.update_layout(**show.layout(height), scene=scene(labels, eye, reach), showlegend=False)
    figure.update_layout(
        title={"text": title, "font": {"size": 14}}, margin={"l": 0, "r": 0, "t": 40, "b": 0}
    )
    return figure


def scene(
    labels: Sequence[str] = (),
    eye: tuple[float, float, float] = (1.5, 1.1, 0.9),
    reach: float | None = None,
) -> dict[str, Any]:
    """The three axes and the camera of a plotly layout; see :func:`turnable`."""
    axes: dict[str, Any] = {}
    for k, name in enumerate("xyz"):
        text = labels[k] if labels else ""
        axis: dict[str, Any] = {
            "title": {"text": text},
            "visible": bool(labels),
            "backgroundcolor": "rgba(0,0,0,0)",
        }
        axes[f"{name}axis"] = axis | ({} if reach is None else {"range": [-reach, reach]})
    camera = {"eye": dict(zip("xyz", eye, strict=True))}
    # one revision for all frames of a slider: the reader's view stays when it moves
    return axes | {"camera": camera, "aspectmode": "cube" if reach else "data", "uirevision": "kept"}

"""Surfaces and solids that the reader can turn: faces, sharp edges, and a scene without clutter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from nnbook import show
from nnbook.arrays import Array, positive
from nnbook.geometry.complexes import Complex

Reach = float | tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Solid:
    """A polygonal complex in three dimensions, drawn with flat faces and its edges.

    Attributes:
        complex: the polygons; they must be convex or nearly so, as each is drawn as a fan of triangles.
        colour: of the faces, any CSS colour, or one for each face; or one number a vertex, drawn on a scale.
        edges: the edges to draw, pairs of vertices ``(E, 2)``; default all, an empty array for none.
        opacity: of the faces.
        smooth: whether faces are shaded as parts of a curved surface; draw such a one without edges.
        name: what the mouse shows over it.
        scale: the ends of the colour scale, for numbers.
        label: what the numbers mean; shown beside the colour bar.
    """

    complex: Complex
    colour: str | Sequence[str] | Array = show.SKY
    edges: Array | None = None
    opacity: float = 1.0
    smooth: bool = False
    name: str = ""
    scale: tuple[float, float] | None = None
    label: str = ""

    def __post_init__(self) -> None:
        if self.complex.vertices.shape[1] != 3:
            raise ValueError("complex: got vertices of two coordinates, expected three; add a height")

    def traces(self) -> list[go.Mesh3d | go.Scatter3d]:
        """A mesh and the lines of its edges, for plotly."""
        points = np.round(self.complex.vertices, 5)
        place = _columns("xyz", points)
        corners = dict(zip("ijk", self.complex.triangles.T.astype(np.int32), strict=True))
        light = {"ambient": 0.75, "diffuse": 0.5, "specular": 0.1}
        lamp = {"lightposition": {"x": 1e5, "y": 3e4, "z": 6e4}, "lighting": light}
        options = {"flatshading": not self.smooth, "opacity": self.opacity, "name": self.name, **lamp}
        mesh = go.Mesh3d(**place, **corners, **options, **self._paint(), hoverinfo="name")
        edges = self.complex.edges if self.edges is None else self.edges
        # NaN lifts the pen between two edges
        line = np.insert(points[edges], 2, np.nan, axis=1).reshape(-1, 3)
        pen = {"color": "#303030", "width": 3}
        return [
            mesh,
            go.Scatter3d(**_columns("xyz", line), mode="lines", line=pen, hoverinfo="skip", showlegend=False),
        ]

    def _paint(self) -> dict[str, Any]:
        if isinstance(self.colour, str):
            return {"color": self.colour}
        if not isinstance(self.colour, np.ndarray):
            faces = zip(self.colour, self.complex.faces, strict=True)
            return {"facecolor": [colour for colour, face in faces for _ in face[2:]]}
        numbers = np.round(self.colour, 5).astype(np.float32)
        low, high = self.scale or (float(numbers.min()), float(numbers.max()))
        bar = {"title": {"text": self.label, "side": "right"}, "thickness": 14, "len": 0.7}
        return {"intensity": numbers, "cmin": low, "cmax": high, "colorscale": "Cividis", "colorbar": bar}


def _columns(names: str, points: Array) -> dict[str, Any]:
    """Columns in single precision, which plotly stores in little space."""
    return dict(zip(names, points.T.astype(np.float32), strict=True))


def by_corners(cells: Complex) -> list[str]:
    """A colour for each face: blue triangles, yellow quadrilaterals, green pentagons, orange from six on.

    >>> triangle = Complex(np.eye(3), ((0, 1, 2),))
    >>> by_corners(triangle) == [show.SKY]
    True
    """
    palette = (show.SKY, show.YELLOW, show.GREEN, show.ORANGE)
    return [palette[min(len(face), 6) - 3] for face in cells.faces]


def turnable(
    solids: Sequence[Solid],
    *,
    labels: Sequence[str] = (),
    title: str = "",
    eye: tuple[float, float, float] = (1.5, 1.1, 0.9),
    reach: Reach | None = None,
    height: int = 460,
) -> go.Figure:
    """A figure of solids that turns.

    Args:
        solids: drawn into the same scene.
        labels: names of the three axes; without them the axes are hidden.
        title: a line of text above.
        eye: where the camera begins.
        reach: the scene shows the box from ``-reach`` to ``reach``, one number or three, and draws a ball of
            radius one as large as it would alone; default: what is there.
        height: of the figure, in pixels.

    >>> corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    >>> faces = ((0, 2, 1), (0, 1, 3), (1, 2, 3), (0, 3, 2))
    >>> len(turnable([Solid(Complex(corners, faces))]).data)
    2
    """
    figure = go.Figure([trace for solid in solids for trace in solid.traces()])
    figure.update_layout(**show.layout(height), scene=scene(labels, eye, reach), showlegend=False)
    figure.update_layout(
        title={"text": title, "font": {"size": 14}}, margin={"l": 0, "r": 0, "t": 50, "b": 0}
    )
    return figure


def scene(
    labels: Sequence[str] = (), eye: tuple[float, float, float] = (1.5, 1.1, 0.9), reach: Reach | None = None
) -> dict[str, Any]:
    """The three axes and the camera of a plotly layout; see :func:`turnable`."""
    ends = np.ravel(1.0 if reach is None else reach)
    if len(ends) not in (1, 3):
        raise ValueError(f"reach: got {reach}, expected one number or three")
    sizes = [positive("reach", v) for v in np.broadcast_to(ends, 3)]
    axes: dict[str, Any] = {}
    for k, name in enumerate("xyz"):
        text = labels[k] if labels else ""
        axis: dict[str, Any] = {
            "title": {"text": text},
            "visible": bool(labels),
            "backgroundcolor": "rgba(0,0,0,0)",
        }
        axes[f"{name}axis"] = axis | ({} if reach is None else {"range": [-sizes[k], sizes[k]]})
    aspect: dict[str, Any] = {"aspectmode": "data"}
    if reach is not None:
        aspect = {"aspectmode": "manual", "aspectratio": dict(zip("xyz", sizes, strict=True))}
    camera = {"eye": dict(zip("xyz", eye, strict=True))}
    # one revision for all frames of a slider: the reader's view stays when it moves
    return axes | aspect | {"camera": camera, "uirevision": "kept"}

"""Solids for plotly: faces, edges, colours and the scene around them."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnbook import show
from nnbook.geometry.complexes import Complex, subdivide
from nnbook.geometry.solids import Solid, by_corners, scene, turnable
from nnbook.show import slider

CORNERS = np.array(list(itertools.product((-1.0, 1), repeat=3)))
CUBE = Complex(CORNERS, ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)))
PYRAMID = Complex(
    np.array([[1.0, 1, 0], [-1, 1, 0], [-1, -1, 0], [1, -1, 0], [0, 0, 1]]),
    ((0, 1, 4), (1, 2, 4), (2, 3, 4), (3, 0, 4), (3, 2, 1, 0)),
)


def lifted(seed, count):
    """Cells of random lines under a paraboloid."""
    square = Complex(np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]), ((0, 1, 2, 3),))
    w = np.random.default_rng(seed).standard_normal((2, count))
    flat = subdivide(square, [lambda p: p @ w + 0.3])
    return Complex(np.column_stack([flat.vertices, (flat.vertices**2).sum(1)]), flat.faces)


def column(trace, names):
    return np.column_stack([np.array(trace[name], dtype=float) for name in names])


@pytest.mark.parametrize(("solid", "triangles"), [(CUBE, 12), (PYRAMID, 6)])
def test_faces_are_fans_of_triangles(solid, triangles):
    mesh, _ = Solid(solid).traces()
    np.testing.assert_allclose(column(mesh, "xyz"), solid.vertices, atol=1e-5)
    fans = column(mesh, "ijk").astype(int)
    assert len(fans) == triangles
    drawn = Complex(solid.vertices, tuple(map(tuple, fans.tolist())))
    assert drawn.area == pytest.approx(solid.area)
    np.testing.assert_allclose(drawn.normals.sum(0), solid.normals.sum(0), atol=1e-12)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_edges_are_drawn_once_and_apart(seed, count):
    solid = lifted(seed, count)
    line = column(Solid(solid).traces()[1], "xyz")
    assert len(line) == 3 * len(solid.edges)
    assert np.isnan(line[2::3]).all()
    ends = solid.vertices[solid.edges]
    np.testing.assert_allclose(line[0::3], ends[:, 0], atol=1e-5)
    np.testing.assert_allclose(line[1::3], ends[:, 1], atol=1e-5)


@pytest.mark.parametrize(
    ("edges", "count"), [(None, 12), (np.array([[0, 1], [6, 7]]), 2), (np.empty((0, 2), dtype=int), 0)]
)
def test_edges_can_be_chosen(edges, count):
    assert len(column(Solid(CUBE, edges=edges).traces()[1], "xyz")) == 3 * count


def test_a_solid_has_one_colour_or_one_a_face():
    mesh, line = Solid(CUBE, "teal", opacity=0.4, name="a cube").traces()
    assert (mesh.color, mesh.opacity, mesh.name) == ("teal", 0.4, "a cube")
    assert (mesh.intensity, mesh.flatshading, line.hoverinfo) == (None, True, "skip")
    assert Solid(CUBE).traces()[0].color in show.COLOURS
    mesh = Solid(PYRAMID, ("red", "green", "blue", "white", "black")).traces()[0]
    assert list(mesh.facecolor) == ["red", "green", "blue", "white", "black", "black"]  # the base is a square


def test_corners_choose_the_colour():
    flat = np.array([[np.cos(t), np.sin(t), 0] for t in np.arange(0, 6, 0.5)])
    cells = Complex(flat, tuple(tuple(range(k)) for k in (3, 4, 5, 6, 9)))
    colours = by_corners(cells)
    assert len(set(colours[:4])) == 4
    assert colours[3] == colours[4]
    assert set(colours) <= set(show.COLOURS)
    assert len(Solid(cells, colours).traces()[0].facecolor) == sum(len(face) - 2 for face in cells.faces)


@pytest.mark.parametrize(("scale", "ends"), [(None, (-1, 1)), ((-2.0, 5.0), (-2, 5))])
def test_numbers_are_drawn_on_a_scale(scale, ends):
    mesh = Solid(CUBE, CORNERS[:, 2], scale=scale, label="height").traces()[0]
    np.testing.assert_allclose(np.array(mesh.intensity, dtype=float), CORNERS[:, 2])
    assert (mesh.cmin, mesh.cmax) == ends
    assert mesh.colorbar.title.text == "height"
    assert mesh.color is None


def test_figure_is_strict_json_and_does_not_depend_on_last_digits():
    shaken = Complex(CORNERS * (1 + 1e-12), CUBE.faces)
    colour = CORNERS[:, 0] / 3
    one = turnable([Solid(CUBE, colour)]).to_json()
    assert one == turnable([Solid(shaken, colour * (1 + 1e-12))]).to_json()
    json.loads(one, parse_constant=pytest.fail)


def test_figure_holds_all_solids_in_one_scene():
    solids = [Solid(CUBE, name="cube"), Solid(PYRAMID, name="pyramid")]
    figure = turnable(solids, title="two", height=300, eye=(1, 2, 3))
    assert tuple(figure.layout.scene.camera.eye[k] for k in "xyz") == (1, 2, 3)
    assert [trace.name for trace in figure.data if trace.type == "mesh3d"] == ["cube", "pyramid"]
    assert len(figure.data) == 4
    assert (figure.layout.title.text, figure.layout.height) == ("two", 300)
    assert figure.layout.scene.aspectmode == "data"


@pytest.mark.parametrize("labels", [(), ("x", "y", "height")])
def test_axes_show_with_their_labels_only(labels):
    layout = turnable([Solid(CUBE)], labels=labels).layout.scene
    axes = [layout.xaxis, layout.yaxis, layout.zaxis]
    assert [axis.visible for axis in axes] == [bool(labels)] * 3
    assert tuple(axis.title.text for axis in axes) == (labels or ("", "", ""))


@pytest.mark.parametrize(("reach", "sizes"), [(1.5, (1.5, 1.5, 1.5)), ((3.0, 1.0, 2.0), (3.0, 1.0, 2.0))])
def test_reach_fixes_the_box_and_its_scale(reach, sizes):
    layout = turnable([Solid(CUBE)], reach=reach).layout.scene
    axes = (layout.xaxis, layout.yaxis, layout.zaxis)
    assert [tuple(axis.range) for axis in axes] == [(-size, size) for size in sizes]
    assert layout.aspectmode == "manual"
    assert tuple(layout.aspectratio[k] for k in "xyz") == sizes


def test_slider_draws_solids_and_keeps_the_view():
    grow = lambda size: [Solid(Complex(size * CORNERS, CUBE.faces))]  # noqa: E731
    moving = slider(grow, [1.0, 2.0, 3.0], name="size", scene=scene(reach=3))
    assert [len(frame.data) for frame in moving.figure.frames] == [2, 2, 2]
    for frame, size in zip(moving.figure.frames, (1, 2, 3), strict=True):
        assert np.abs(np.array(frame.data[0].x, dtype=float)).max() == size
    assert moving.figure.layout.scene.uirevision == scene()["uirevision"] != ""
    assert moving.figure.layout.scene.xaxis.range == (-3, 3)
    json.loads(moving.figure.to_json(), parse_constant=pytest.fail)

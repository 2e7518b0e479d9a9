"""Named points: each lies where its name says, the outlines of the regions say so."""

from __future__ import annotations

import pytest

from facefx.errors import ConfigError
from facefx.faces.anchors import anchors
from facefx.faces.topology import topology

LOOPS = topology("mediapipe-478").regions
POINTS = anchors("mediapipe-478")


def test_each_name_is_a_point_of_its_own() -> None:
    assert len(set(POINTS.values())) == len(POINTS)
    assert anchors("mediapipe-468") == POINTS


@pytest.mark.parametrize("side", ["left", "right"])
def test_corners_lie_on_the_outlines_of_their_regions(side: str) -> None:
    for name, loop in (
        ("eye_outer", f"{side}_eye"),
        ("eye_inner", f"{side}_eye"),
        ("eye_top", f"{side}_eye"),
        ("eye_bottom", f"{side}_eye"),
        ("brow_outer", f"{side}_brow"),
        ("brow_inner", f"{side}_brow"),
        ("mouth_corner", "lips_outer"),
        ("temple", "face_oval"),
        ("ear", "face_oval"),
        ("jaw", "face_oval"),
        ("jaw_front", "face_oval"),
    ):
        assert POINTS[f"{side}_{name}"] in LOOPS[loop], name


def test_the_middle_line_meets_oval_and_lips() -> None:
    for name, loop in (
        ("forehead", "face_oval"),
        ("chin", "face_oval"),
        ("lip_top", "lips_outer"),
        ("lip_bottom", "lips_outer"),
        ("mouth_top", "lips_inner"),
        ("mouth_bottom", "lips_inner"),
    ):
        assert POINTS[name] in LOOPS[loop], name


def test_a_topology_without_names_is_said() -> None:
    with pytest.raises(ConfigError, match="dlib-68"):
        anchors("dlib-68")

"""The mesh's regions and triangles: as the origin has them, and on the side that their names say."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from facefx.errors import ConfigError, ModelError
from facefx.faces.topology import topology, topology_names
from facefx.faces.topology_build import MEMBER, TABLES, build_tables, loops, triangles, write_tables
from facefx.models.build import download_wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The origin's wheel, as pip downloads it."""
    return download_wheel(tmp_path_factory.mktemp("wheel"))


def as_cycle(loop: list[int] | tuple[int, ...]) -> tuple[int, ...]:
    """A loop begun at its smallest point and walked towards the smaller neighbour."""
    at = loop.index(min(loop))
    forwards = (*loop[at:], *loop[:at])
    return min(forwards, (forwards[0], *forwards[:0:-1]))


def test_the_tables_are_what_the_origin_gives(wheel: Path, tmp_path: Path) -> None:
    assert build_tables(wheel) == TABLES.read_text(encoding="utf-8")
    assert write_tables(wheel, tmp_path / "new" / "tables.json").read_bytes() == TABLES.read_bytes()


def test_a_wheel_with_other_tables_is_refused(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        source = archive.read(MEMBER).decode()
    for at, changed in enumerate((source.replace("(34, 139)", "(34, 138)"), "FACEMESH_LIPS = 1")):
        path = tmp_path / f"{at}.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(MEMBER, changed)
        with pytest.raises(ModelError, match=rf"{at}\.whl.*other tables"):
            build_tables(path)


@pytest.mark.parametrize("content", [None, b"no zip"], ids=["missing", "text"])
def test_a_wheel_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "bad.whl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=r"bad\.whl"):
        build_tables(path)


def test_the_loops_are_the_known_ones(models_dir: Path) -> None:
    known = json.loads((models_dir / "facemesh_indices.json").read_text(encoding="utf-8"))
    regions = topology("mediapipe-468").regions
    compared = [name for name in known if name in regions]
    assert len(compared) == 7
    for name in compared:
        assert as_cycle(regions[name]) == as_cycle(known[name]), name


@pytest.mark.parametrize("name", topology_names())
def test_no_point_is_out_of_range_and_no_region_is_missing(name: str) -> None:
    kind = topology(name)
    irises = {"left_iris", "right_iris"}
    assert kind.points == int(name[-3:])
    assert kind.triangles.min() == 0
    assert kind.triangles.max() == 467
    expected = {"face_oval", "lips_inner", "lips_outer", "nose"}
    expected |= {f"{side}_{part}" for side in ("left", "right") for part in ("eye", "brow")}
    assert set(kind.regions) == (expected | irises if name.endswith("478") else expected)
    for loop in kind.regions.values():
        assert len(set(loop)) == len(loop) >= 4
        assert max(loop) < kind.points


def test_the_triangles_close_the_face_except_eyes_and_mouth() -> None:
    """Each inner edge is walked once each way; the rest are the rims of the face, the eyes, the mouth."""
    kind = topology("mediapipe-468")
    walked = Counter((int(t[i]), int(t[(i + 1) % 3])) for t in kind.triangles for i in range(3))
    assert max(walked.values()) == 1
    rim = {frozenset(edge) for edge in walked if edge[::-1] not in walked}
    loops_of_rim = [kind.regions[name] for name in ("face_oval", "left_eye", "right_eye", "lips_inner")]
    assert rim == {frozenset(e) for loop in loops_of_rim for e in zip(loop, loop[1:] + loop[:1], strict=True)}


def test_an_open_line_is_no_region() -> None:
    assert loops([(1, 2), (5, 6), (6, 7), (7, 5)]) == [[5, 6, 7]]
    with pytest.raises(ValueError, match="from 1 to 2 has no other side"):
        loops([(1, 2)])


def test_edges_that_close_no_triangle_are_refused() -> None:
    with pytest.raises(ValueError, match="close no triangle"):
        triangles([(0, 1), (1, 2), (2, 3)])


def test_the_tables_cannot_be_written_to() -> None:
    kind = topology("mediapipe-478")
    assert kind is topology("mediapipe-478")
    with pytest.raises(ValueError, match="read-only"):
        kind.triangles[0, 0] = 1


def test_an_unknown_topology_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"dlib-68.*mediapipe-468, mediapipe-478"):
        topology("dlib-68")


@pytest.mark.parametrize("name", topology_names())
def test_left_and_right_are_the_subjects(models_dir: Path, name: str) -> None:
    """In a frontal picture the subject's left eye lies to the right of the right one."""
    golden = np.load(models_dir / "golden" / "stills.npz")
    kind = topology(name)
    for still in ("astronaut_1.png", "portrait_1.jpg", "man_sofa_1.jpg", "hopper_1.jpg"):
        points = golden[f"{still}/{'mesh1' if kind.points == 478 else 'mesh0'}"][0]
        parts = {region.split("_")[1] for region in kind.regions if region.startswith("left_")}
        for part in parts:
            left, right = (
                points[list(kind.regions[f"{side}_{part}"])].mean(axis=0) for side in ("left", "right")
            )
            assert left[0] > right[0] + 0.02, (still, part)
        # Seen from outside, every region's points lie where a face has them.
        middle = {region: points[list(loop), 1].mean() for region, loop in kind.regions.items()}
        assert middle["left_brow"] < middle["left_eye"] < middle["nose"] < middle["lips_outer"]

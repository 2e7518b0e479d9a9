"""A preview must show what a run would do, in a picture that fits, and never half a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photo_makers import away, brightest, change, coded, core, exif, names, portrait, put, turned, with_exif

import facefx.api
from facefx.errors import ConfigError, SinkError, SourceError
from facefx.pipeline.pictures import FoundFace, FoundFaces, Picture, read_photo, save_picture
from facefx.pipeline.preview import Preview, Shot

RED, BLUE = (255, 0, 0), (0, 0, 255)


def flat(colour: tuple[int, int, int], width: int = 48, height: int = 27) -> Picture:
    return np.full((height, width, 3), colour, np.uint8)


def strip(count: int, **more: Any) -> Preview:
    """Some moments, red before and blue after."""
    shots = tuple(Shot(float(i), flat(RED), flat(BLUE), ()) for i in range(count))
    return Preview("clip.mp4", shots, **more)


def test_one_moment_stands_beside_its_own_untouched_frame() -> None:
    picture = strip(1, width=0).to_numpy()
    assert picture.shape == (27, 48 + 4 + 48, 3)
    assert (picture[:, :48] == RED).all()
    assert (picture[:, 48:52] == 255).all()
    assert (picture[:, 52:] == BLUE).all()


def test_several_moments_stand_above_each_other_in_time() -> None:
    picture = strip(3, width=0).to_numpy()
    assert picture.shape == (27 + 4 + 27, 3 * 48 + 2 * 4, 3)
    for left in (0, 52, 104):
        assert (picture[:27, left : left + 48] == RED).all()
        assert (picture[31:, left : left + 48] == BLUE).all()
    assert strip(3, width=0, before_after=False).to_numpy().shape == (27, 152, 3)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("before_after", [True, False])
def test_a_preview_is_never_wider_than_asked_for(count: int, before_after: bool) -> None:
    whole = strip(count, width=0, before_after=before_after).to_numpy().shape[1]
    for width in range(60, whole + 20):
        got = strip(count, width=width, before_after=before_after).to_numpy().shape[1]
        assert got <= min(width, whole)
        assert got > min(width, whole) - 14, "it uses the room it has"


def test_labels_are_written_onto_the_picture_not_the_frames() -> None:
    preview = strip(1, width=0, labels=True)
    picture = preview.to_numpy()
    assert not (picture[:, :48] == RED).all()
    assert (preview.shots[0].before == RED).all()
    assert (preview.shots[0].after == BLUE).all()


def test_a_picture_that_cannot_be_written_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preview = strip(1)
    for name, words in (("a.xyz", "xyz"), ("a", "written as"), ("no/a.png", "does not exist")):
        with pytest.raises(SinkError, match=words):
            preview.save(tmp_path / name)
    assert names(tmp_path) == []
    kept = preview.save(tmp_path / "kept.png").read_bytes()

    def no_room(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", no_room)
    with pytest.raises(SinkError, match=r"kept\.png: cannot be written: No space left"):
        preview.save(tmp_path / "kept.png")
    assert (tmp_path / "kept.png").read_bytes() == kept
    assert names(tmp_path) == ["kept.png"]


@pytest.fixture(scope="module")
def clip(media: Path) -> Path:
    return media / "clips" / "pair_headpose_480x270.mp4"


def test_faces_are_covered_after_and_bare_before_and_the_rest_is_the_same(clip: Path) -> None:
    shots = facefx.preview(clip, "solid", at=[1, 0.2, 1], detector="blazeface").shots
    assert [shot.time_s for shot in shots] == [1, 0.2, 1], "in the order asked for"
    for shot in shots:
        boxes = [face.xyxy for face in shot.faces]
        assert len(boxes) == 2
        assert brightest(shot.after, core(shot.after, boxes)) <= 4
        assert brightest(shot.before, core(shot.before, boxes)) > 100
        assert change(shot.before, shot.after, away(shot.after, boxes)) == 0
    assert np.array_equal(shots[0].after, shots[2].after)
    assert not np.array_equal(shots[0].before, shots[1].before)


def test_a_preview_without_a_moment_is_refused_rather_than_empty(clip: Path) -> None:
    with pytest.raises(ConfigError, match="at least one time"):
        facefx.preview(clip, at=[])
    with pytest.raises(ConfigError, match="within 0 to"):
        facefx.preview(clip, at=float("nan"))


def test_a_photo_is_told_from_a_video_in_the_error(tmp_path: Path) -> None:
    for name in ("photo.jpg", "photo.png"):
        with pytest.raises(SourceError, match="got a photo, which only facefx run"):
            facefx.preview(put(tmp_path / name))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_faces_of_a_turned_photo_are_in_the_upright_picture(tmp_path: Path, orientation: int) -> None:
    upright = portrait()
    data = with_exif(coded(turned(upright, orientation)), exif(orientation))
    picture = read_photo(str(put(tmp_path / "in.jpg", data)))[..., ::-1]
    assert picture.shape == upright.shape
    assert np.abs(picture.astype(int) - upright).mean() < 4


def found(*boxes: tuple[float, float, float, float]) -> FoundFaces:
    faces = [FoundFace(box, 0.9, None, "") for box in boxes]
    return FoundFaces(flat(BLUE, 100, 80), faces)


def test_boxes_are_drawn_into_a_copy_also_where_they_leave_the_picture(tmp_path: Path) -> None:
    faces = found((10, 20, 40, 60), (-5, -5, 130, 90))
    drawn = faces.to_numpy()
    assert (faces.picture == BLUE).all()
    changed = (drawn != BLUE).any(axis=2)
    assert changed[20, 10]
    assert changed[59, 39]
    assert not changed[40, 25]
    assert not changed[60:, 40:].any()
    assert faces.save(tmp_path / "f.png").is_file()
    assert repr(faces[0]) == "<face 30×40 at (10, 20), confidence 0.90, no landmarks>"
    assert faces[0].regions == {}
    assert len(faces[:1]) == 1


def test_faces_stand_from_left_to_right() -> None:
    two = np.concatenate([portrait(), portrait()[:, ::-1]], axis=1)[..., ::-1]
    faces = facefx.api.faces(two, landmarks=False, detector="blazeface")
    assert len(faces) == 2
    assert faces[0].xyxy[2] < 512 < faces[1].xyxy[0]


def test_a_saved_picture_replaces_the_old_one_whole(tmp_path: Path) -> None:
    path = put(tmp_path / "a.png", b"older")
    save_picture(flat(RED), path)
    assert (read_photo(str(path)) == RED).all()
    assert names(tmp_path) == ["a.png"]

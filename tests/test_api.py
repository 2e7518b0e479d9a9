"""What `import facefx` offers, as a script or a notebook uses it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import facefx
import facefx.api
from facefx.demo import PORTRAIT_FACE, portrait_picture
from facefx.errors import ConfigError, FacesError, InputError, ShapeError, SinkError
from facefx.pipeline.report import RunReport

QUICK = {"preset": "ultrafast"}


@pytest.fixture(scope="module")
def clip(media: Path) -> Path:
    return media / "clips" / "pair_headpose_480x270.mp4"


def shown_at(path: Path, time_s: float) -> NDArray[np.uint8]:
    """The frame that a player shows at a time, by PyAV alone, turned upright."""
    with av.open(str(path)) as container:
        last = next(container.decode(video=0))
        for frame in container.decode(video=0):
            if frame.time is not None and frame.time > time_s:
                break
            last = frame
    return np.rot90(last.to_ndarray(format="rgb24"), last.rotation // 90)


def difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


def test_faces_is_the_function_and_still_the_package() -> None:
    program = (
        "import facefx, sys; assert callable(facefx.faces); import facefx.faces.policy as p; "
        "assert facefx.faces.policy is p; assert callable(facefx.faces); from facefx import run; "
        "import facefx.api; assert run is facefx.api.run; assert not hasattr(facefx, 'walk')"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_every_function_says_what_it_does() -> None:
    for name in facefx.api.__all__:
        assert len((vars(facefx.api)[name].__doc__ or "").splitlines()) > 5


def test_run_analyze_and_render_agree(clip: Path, tmp_path: Path) -> None:
    seen: list[int] = []
    report = facefx.run(
        clip, tmp_path / "run.mp4", "pixelate", encode=QUICK, progress=lambda done, of: seen.append(done)
    )
    assert isinstance(report, RunReport)
    assert seen[-1] == report.frames
    assert "56 frames, pixelate, 2 faces tracked" in repr(report)
    table = facefx.analyze(clip, tmp_path / "faces.parquet")
    assert table.num_rows == 112
    facefx.render(clip, table, tmp_path / "a.mp4", ["pixelate"], encode=QUICK)
    facefx.render(clip, tmp_path / "faces.parquet", tmp_path / "b.mp4", {"pixelate": {}}, encode=QUICK)
    hashes = {hashlib.sha256((tmp_path / f"{n}.mp4").read_bytes()).hexdigest() for n in ("run", "a", "b")}
    assert len(hashes) == 1
    with pytest.raises(FacesError, match="expected 112 rows, got 10"):
        facefx.render(clip, table.slice(0, 10), tmp_path / "c.mp4")


def test_a_photo_is_run_like_a_video(media: Path, tmp_path: Path) -> None:
    report = facefx.run(media / "stills" / "couple_2.jpg", tmp_path / "out.jpg", "solid")
    assert len(report.to_json()["faces"]["boxes"]) == 2
    hidden = cv2.imread(str(tmp_path / "out.jpg"))
    assert hidden[387, 256].max() < 20


def test_a_settings_file_and_an_unknown_setting(clip: Path, tmp_path: Path) -> None:
    settings = tmp_path / "s.yaml"
    settings.write_text("encode: {preset: ultrafast}\neffects: [blur]\n", encoding="utf-8")
    report = facefx.run(clip, tmp_path / "out.mp4", config=settings, to_s=0.5)
    assert isinstance(report, RunReport)
    assert [spec.name for spec in report.plan.effects] == ["blur"]
    assert report.plan.encode.preset == "ultrafast"
    with pytest.raises(ConfigError, match="preset"):
        facefx.run(clip, tmp_path / "out2.mp4", preset="fast")


def test_preview_shows_the_frame_of_that_moment_in_its_colours(clip: Path) -> None:
    shown = facefx.preview(clip, "solid", at="0:01.2", width=0)
    picture = shown.to_numpy()
    height, width = 270, 480
    assert picture.shape == (height, 2 * width + 4, 3)
    before, after = picture[:, :width], picture[:, -width:]
    assert difference(before, shown_at(clip, 1.2)) < 1.5  # swscale rounds down
    assert difference(before, shown_at(clip, 0.8)) > 2
    (shot,) = shown.shots
    assert len(shot.faces) == 2
    for face in shot.faces:
        x0, y0, x1, y1 = map(int, face.xyxy)
        assert after[(y0 + y1) // 2, (x0 + x1) // 2].max() < 8
    assert np.array_equal(before[-5:], after[-5:])


def test_preview_has_the_boxes_of_a_run_though_it_begins_in_the_middle(media: Path) -> None:
    path = media / "clips" / "foreman_cif_352x288.mp4"
    rows = facefx.analyze(path, landmarks=False).to_pylist()
    for shot in facefx.preview(path, "solid", at=[3.13, 5.31]).shots:
        pts = shot.faces[0].pts
        run = sorted(tuple(row[k] for k in ("x0", "y0", "x1", "y1")) for row in rows if row["pts"] == pts)
        assert np.array_equal(sorted(face.xyxy for face in shot.faces), run)


@pytest.mark.parametrize(
    "name",
    ["rotated90_480x640.mp4", "rotated180_640x480.mp4", "rotated270_480x640.mp4", "full_range_640x360.mp4"],
)
def test_preview_is_upright_and_in_the_right_colours(media: Path, name: str) -> None:
    path = media / "formats" / name
    (shot,) = facefx.preview(path, "solid", at=0.5).shots
    assert difference(shot.before, shown_at(path, 0.5)) < 2
    assert len(facefx.api.faces(shot.before, landmarks=False)) >= 1
    assert (
        facefx.preview(path, "solid", at=0.5, before_after=False, width=0).to_numpy().shape
        == shot.after.shape
    )


def test_a_strip_of_moments_is_one_picture(clip: Path, tmp_path: Path) -> None:
    strip = facefx.preview(clip, ["smooth"], at=["0:00.5", 1, 1.5], labels=True, width=900)
    picture = strip.to_numpy()
    assert picture.shape[1] <= 900
    assert picture.shape[0] > 2 * 150
    assert strip._repr_png_().startswith(b"\x89PNG")
    saved = cv2.imread(str(strip.save(tmp_path / "strip.png")))
    assert np.array_equal(saved[..., ::-1], picture)
    assert "1 s: 2 faces" in repr(strip)
    with pytest.raises(SinkError, match=r"\.xyz"):
        strip.save(tmp_path / "strip.xyz")


@pytest.mark.parametrize("at", ["0:59", -1, [0, 99]])
def test_a_moment_outside_the_video_is_said_at_once(clip: Path, at: Any) -> None:
    with pytest.raises(ConfigError, match="expected a time within 0 to"):
        facefx.preview(clip, at=at)


def test_faces_of_a_picture_have_regions_on_the_subjects_own_side(tmp_path: Path) -> None:
    picture = portrait_picture()
    faces = facefx.api.faces(picture)
    assert len(faces) == 1
    face = faces[0]
    assert face.xyxy == pytest.approx(PORTRAIT_FACE, abs=25)
    assert face.landmarks is not None
    assert face.landmarks.shape == (468, 3)
    # The subject looks at us: her left eye is on our right.
    assert face.regions["left_eye"][:, 0].mean() > face.regions["right_eye"][:, 0].mean() + 20
    assert "1 face in a picture of 512×512" in repr(faces)
    assert faces._repr_png_().startswith(b"\x89PNG")
    assert faces.save(tmp_path / "f.jpg").stat().st_size > 1000
    assert not np.array_equal(faces.to_numpy(), picture)
    assert np.array_equal(faces.picture, picture)


def test_faces_of_a_photo_are_those_of_its_pixels(media: Path) -> None:
    path = media / "stills" / "couple_2.jpg"
    pixels = cv2.imread(str(path))[..., ::-1]
    from_file, from_pixels = facefx.api.faces(path), facefx.api.faces(pixels)
    assert len(from_file) == len(from_pixels) == 2
    assert difference(from_file.picture, pixels) < 2
    for a, b in zip(from_file, from_pixels, strict=True):
        assert a.xyxy == pytest.approx(b.xyxy, abs=2)


def test_a_picture_without_a_face_is_an_empty_sequence() -> None:
    faces = facefx.api.faces(np.full((120, 160), 90, np.uint8))
    assert list(faces) == []
    assert repr(faces) == "<0 faces in a picture of 160×120>"


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match=r"\(h, w, 3\) uint8"):
        facefx.api.faces(np.zeros((4, 4, 4), np.uint8))
    with pytest.raises(ShapeError, match="float64"):
        facefx.api.faces(np.zeros((4, 4, 3)))
    text = tmp_path / "photo.jpg"
    text.write_text("no photo", encoding="utf-8")
    with pytest.raises(InputError, match=r"photo\.jpg"):
        facefx.api.faces(text)

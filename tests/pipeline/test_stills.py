"""A photo must come back with every face hidden, the rest as it was, and nothing half done left behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photo_makers import (
    FACE,
    away,
    brightest,
    change,
    coded,
    core,
    empty_scene,
    exif,
    names,
    portrait,
    put,
    settings,
    shown,
    stored,
    turned,
    with_exif,
)

from facefx.config import RunConfig
from facefx.effects.library.smooth import Smooth
from facefx.effects.library.solid import Solid
from facefx.errors import ConfigError, FidelityError, SinkError, UnsupportedError, UsageError
from facefx.faces.detector import DetectorSpec, make_detector
from facefx.pipeline import stills
from facefx.pipeline.pictures import find_faces
from facefx.pipeline.stills import StillReport, StillRunner, is_still, run_still, still_scales
from facefx.video.still_meta import Metadata
from facefx.video.still_write import Written

# What a JPEG's own rounding may do: to black beside a bright edge, and to a block that is coded again.
RINGING, AGAIN = 16, 8


def hidden(source: Path, output: Path, report: StillReport) -> None:
    """Every face that was found is black, and what is away from them is as it was."""
    boxes = report.faces["boxes"]
    before, after = stored(source), stored(output)
    exact = output.suffix != ".jpg"
    assert brightest(after, core(after, boxes)) <= (0 if exact else RINGING)
    assert change(before, after, away(after, boxes)) <= (0 if exact else AGAIN)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return put(tmp_path / "in" / "photo.jpg")


STILLS = [("astronaut_1.png", 1), ("team_10.jpg", 10), ("solvay1927_gray_29.jpg", 29), ("couple_2.jpg", 2)]


@pytest.mark.usefixtures("models_dir")
@pytest.mark.parametrize(("name", "count"), STILLS, ids=[name for name, _ in STILLS])
@pytest.mark.parametrize("suffix", ["", ".webp"], ids=["own kind", "webp"])
def test_every_face_of_a_real_photo_is_black_and_the_rest_as_it_was(
    media: Path, tmp_path: Path, name: str, count: int, suffix: str
) -> None:
    source = media / "stills" / name
    output = tmp_path / (name if not suffix else f"out{suffix}")
    report = run_still(str(source), str(output), RunConfig(detector="yunet"))
    assert len(report.faces["boxes"]) == count
    hidden(source, output, report)
    seen = find_faces(shown(output)[..., ::-1], RunConfig(detector="yunet"), landmarks=False)
    assert len(seen) == 0, "a face can still be found"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_the_check_of_cover_sees_a_bare_face_and_a_wrong_place(tmp_path: Path, suffix: str) -> None:
    source = put(tmp_path / f"in{suffix}")
    report = run_still(str(source), str(tmp_path / f"out{suffix}"), settings())
    with pytest.raises(AssertionError):
        hidden(source, source, report)
    report.faces["boxes"] = [[x + 60 for x in report.faces["boxes"][0]]]
    with pytest.raises(AssertionError):
        hidden(source, tmp_path / f"out{suffix}", report)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_a_photo_that_is_stored_turned_is_covered_where_a_viewer_shows_the_face(
    tmp_path: Path, orientation: int, suffix: str
) -> None:
    upright = portrait()
    data = with_exif(coded(turned(upright, orientation)), exif(orientation))
    source, output = put(tmp_path / "in.jpg", data), tmp_path / f"out{suffix}"
    before = shown(source)
    assert before.shape == upright.shape, "OpenCV does not turn it as this test expects"
    report = run_still(str(source), str(output), settings())
    after = shown(output) if suffix != ".webp" else turned_back(stored(output), orientation)
    assert brightest(after, core(after, [FACE])) <= RINGING
    assert change(before, after, away(after, [FACE])) <= AGAIN
    assert report.size == (upright.shape[1], upright.shape[0])[:: 1 if orientation < 5 else -1]


def turned_back(picture: Any, orientation: int) -> Any:
    """What a viewer makes of stored pixels: OpenCV does not read a WebP's EXIF."""
    return turned(picture, {6: 8, 8: 6}.get(orientation, orientation))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_the_same_plan_gives_the_same_bytes_whatever_was_done_before(tmp_path: Path, suffix: str) -> None:
    source = str(put(tmp_path / "in.jpg"))
    other = str(put(tmp_path / "another.jpg", turned(portrait(), 3)))
    config = settings("smooth", "pixelate:noise=0.5")
    with StillRunner(config) as runner:
        first = runner.run(source, str(tmp_path / f"a{suffix}"))
        runner.run(other, str(tmp_path / f"other{suffix}"))
        runner.run(source, str(tmp_path / f"b{suffix}"))
    again = run_still(source, str(tmp_path / f"c{suffix}"), config)
    assert len({(tmp_path / f"{name}{suffix}").read_bytes() for name in "abc"}) == 1
    assert first.plan.digest == again.plan.digest


def test_a_secret_seed_changes_the_noise_and_is_not_told(photo: Path, tmp_path: Path) -> None:
    told, outputs = [], set()
    for seed in ("swordfish", "other"):
        output = tmp_path / "out.jpg"
        report = run_still(str(photo), str(output), settings("pixelate:noise=0.5", seed=seed))
        told.append(json.dumps(report.to_json()))
        outputs.add(output.read_bytes())
    assert len(outputs) == 2
    assert "swordfish" not in told[0]


def test_a_photo_of_nobody_is_the_same_file(tmp_path: Path) -> None:
    for suffix in (".jpg", ".png", ".webp"):
        source = put(tmp_path / f"in{suffix}", empty_scene())
        report = run_still(str(source), str(tmp_path / f"out{suffix}"), settings())
        assert report.faces["boxes"] == []
        assert (tmp_path / f"out{suffix}").read_bytes() == source.read_bytes()


def test_a_thumbnail_that_shows_the_face_is_removed_and_told(tmp_path: Path) -> None:
    source = put(
        tmp_path / "in.jpg", with_exif(coded(portrait()), exif(6, thumbnail=True, text="at the sea"))
    )
    assert source.read_bytes().count(b"\xff\xd8\xff") == 2
    for effect in ("solid", "smooth"):
        report = run_still(str(source), str(tmp_path / "out.jpg"), settings(effect)).to_json()
        data = (tmp_path / "out.jpg").read_bytes()
        assert data.count(b"\xff\xd8\xff") == 1
        assert b"at the sea" in data
        (removal,) = report["carried"]["removed"]
        assert "thumbnail" in removal["what"]
        assert removal["reason"]
        assert any("thumbnail" in note for note in report["notes"])


def test_stripped_metadata_are_gone_but_the_photo_stays_upright(tmp_path: Path) -> None:
    data = with_exif(coded(turned(portrait(), 6)), exif(6, text="at the sea"))
    source, output = put(tmp_path / "in.jpg", data), tmp_path / "out.jpg"
    report = run_still(str(source), str(output), settings(metadata="strip"))
    assert b"at the sea" not in output.read_bytes()
    assert any(removal.what == "EXIF" for removal in report.removed)
    assert brightest(shown(output), core(shown(output), [FACE])) <= RINGING


def fails(*_: Any) -> None:
    raise RuntimeError("no colour")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("effects", [("solid",), ("smooth", "solid")], ids="+".join)
def test_a_privacy_effect_that_fails_blacks_the_whole_photo_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, effects: tuple[str, ...], suffix: str
) -> None:
    monkeypatch.setattr(Solid, "apply", fails)
    source, output = put(tmp_path / f"in{suffix}", portrait()[:331, :509]), tmp_path / f"out{suffix}"
    report = run_still(str(source), str(output), settings(*effects))
    assert stored(output).max() == 0
    assert report.effects["blackouts"] == {"solid: RuntimeError": 1}
    assert "blacked out: solid: RuntimeError (no colour)" in report.notes


def test_another_effect_that_fails_is_left_out_and_told(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Smooth, "apply", fails)
    report = run_still(str(photo), str(tmp_path / "out.jpg"), settings("smooth"))
    assert (tmp_path / "out.jpg").read_bytes() == photo.read_bytes()
    assert report.notes == ("left without the effect: smooth: RuntimeError (no colour)",)


def test_a_face_without_a_mesh_is_left_as_it_was_and_told(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facefx.pipeline.stills.FaceLandmarker.process", lambda self, batch, faces: faces)
    report = run_still(str(photo), str(tmp_path / "out.jpg"), settings("smooth"))
    assert (tmp_path / "out.jpg").read_bytes() == photo.read_bytes()
    assert report.notes == ("left without the effect: smooth: no landmarks",)


def bare(source: Path, output: Path) -> bytes:
    """What an encoder gives that was handed the wrong picture: the face shows."""
    return source.read_bytes()


def spoilt(source: Path, output: Path) -> bytes:
    """One sample of one pixel is another, far from any face."""
    picture = stored(output)
    picture[-1, -1, 0] ^= 1
    return coded(picture, output.suffix)


def cut(source: Path, output: Path) -> bytes:
    """The end is missing."""
    return output.read_bytes()[:-500]


@pytest.mark.parametrize(
    ("encoder", "suffix", "words"),
    [
        (bare, ".jpg", "pixels of the effects"),
        (bare, ".png", "pixels of the effects"),
        (spoilt, ".png", "pixels that no effect touched"),
        (cut, ".jpg", "readable"),
    ],
)
def test_an_encoder_that_does_something_else_is_caught_before_publishing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    encoder: Callable[[Path, Path], bytes],
    suffix: str,
    words: str,
) -> None:
    source, output = put(tmp_path / f"in{suffix}"), tmp_path / "out" / f"out{suffix}"
    output.parent.mkdir()
    run_still(str(source), str(output), settings())
    before, wrong = output.read_bytes(), encoder(source, output)
    monkeypatch.setattr(
        stills, "written", lambda *_, **__: iter([Written(wrong, "wrong", Metadata(), (), suffix == ".png")])
    )
    with pytest.raises(FidelityError, match=words) as caught:
        run_still(str(source), str(output), settings())
    assert str(output) in str(caught.value)
    assert ".part" not in str(caught.value)
    assert output.read_bytes() == before
    assert names(output.parent) == [output.name]


def no_room(*_: Any) -> int:
    raise OSError(28, "No space left on device")


def stopped(*_: Any, **__: Any) -> Any:
    raise KeyboardInterrupt


STEPS: list[tuple[str, Any, type[BaseException]]] = [
    ("facefx.pipeline.stills.open_still", stopped, KeyboardInterrupt),
    ("facefx.faces.analyze.FaceAnalyzer.push", fails, RuntimeError),
    ("facefx.pipeline.stills.written", stopped, KeyboardInterrupt),
    ("facefx.pipeline.stills.verify_still", stopped, KeyboardInterrupt),
    ("pathlib.Path.write_bytes", no_room, SinkError),
    ("pathlib.Path.replace", no_room, SinkError),
]


@pytest.mark.parametrize(("place", "does", "error"), STEPS, ids=[step[0].split(".", 1)[1] for step in STEPS])
def test_whatever_step_fails_no_temporary_file_is_left(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, does: Any, error: Any
) -> None:
    before = photo.read_bytes()
    folder = tmp_path / "out"
    folder.mkdir()
    monkeypatch.setattr(place, does)
    with pytest.raises(error) as caught:
        run_still(str(photo), str(folder / "out.jpg"), settings())
    assert names(folder) == []
    assert photo.read_bytes() == before
    if error is SinkError:
        assert "out.jpg: cannot be written: No space left" in str(caught.value)


def test_the_output_is_never_the_input_by_any_name(photo: Path, tmp_path: Path) -> None:
    before = photo.read_bytes()
    (tmp_path / "soft.jpg").symlink_to(photo)
    (tmp_path / "hard.jpg").hardlink_to(photo)
    (tmp_path / "linked").symlink_to(photo.parent)
    for name in ("in/photo.jpg", "in/../in/photo.jpg", "soft.jpg", "hard.jpg", "linked/photo.jpg"):
        with pytest.raises(UsageError, match="output is the input"):
            run_still(str(photo), str(tmp_path / name), settings())
    assert photo.read_bytes() == before


def test_an_output_that_is_a_link_to_another_photo_leaves_that_one_alone(photo: Path, tmp_path: Path) -> None:
    other = put(tmp_path / "other.jpg", empty_scene())
    before = other.read_bytes()
    (tmp_path / "out.jpg").symlink_to(other)
    run_still(str(photo), str(tmp_path / "out.jpg"), settings())
    assert other.read_bytes() == before
    assert not (tmp_path / "out.jpg").is_symlink()


def test_a_photo_costs_its_own_time_not_that_of_the_process(photo: Path, tmp_path: Path) -> None:
    with StillRunner(settings()) as runner:
        reports = [runner.run(str(photo), str(tmp_path / f"{i}.jpg")) for i in range(3)]
    spent = [report.to_json()["cpu_s"] for report in reports]
    assert 0 < spent[1] < 1
    assert reports[1].to_json()["cpu_s"] == spent[1]


def test_a_plan_differs_where_the_bytes_may(photo: Path, tmp_path: Path) -> None:
    digests = set()
    for name, config in (
        ("a.jpg", settings()),
        ("a.png", settings()),
        ("b.jpg", settings("solid:grow=1.2")),
        ("c.jpg", settings(metadata="strip")),
        ("d.jpg", settings(seed="x")),
        ("e.webp", settings(encode={"lossless": True})),
    ):
        digests.add(run_still(str(photo), str(tmp_path / name), config, hashes=False).plan.digest)
    assert len(digests) == 6


def test_lossless_is_refused_where_it_cannot_be(photo: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"\.png or \.webp"):
        run_still(str(photo), str(tmp_path / "out.jpg"), settings(encode={"lossless": True}))
    for suffix in (".png", ".webp"):
        report = run_still(str(photo), str(tmp_path / f"out{suffix}"), settings(encode={"lossless": True}))
        hidden(photo, tmp_path / f"out{suffix}", report)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"from_s": 1}, "excerpt"),
        ({"encode": {"codec": "libx264"}}, "codec"),
        ({"encode": {"crf": 20}}, "crf"),
        ({"encode": {"preset": "fast"}}, "preset"),
        ({"on_damage": "keep"}, "on_damage"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_setting_that_means_nothing_for_a_photo_is_refused(more: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=f"{words}.*for videos only"):
        StillRunner(settings(**more))


@pytest.mark.usefixtures("models_dir")
def test_a_large_photo_is_looked_at_finely_by_run_and_by_faces_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A face of 30 pixels in a group of 24 megapixels."""
    yunet = DetectorSpec("yunet", ())
    assert still_scales(yunet, (6000, 4000))[0] >= 2400
    assert still_scales(yunet, (4000, 6000)) == still_scales(yunet, (6000, 4000))
    assert still_scales(yunet, (1280, 720)) == ()
    source = put(tmp_path / "wide.png", np.zeros((64, 6000, 3), np.uint8))
    with StillRunner(settings(detector="yunet")) as runner:
        by_run = runner.run(str(source), str(tmp_path / "out.png")).plan.detector
    asked: list[DetectorSpec] = []

    def remember(spec: DetectorSpec) -> Any:
        asked.append(spec)
        return make_detector(spec)

    monkeypatch.setattr("facefx.pipeline.pictures.make_detector", remember)
    find_faces(np.zeros((64, 6000, 3), np.uint8), settings(detector="yunet"), landmarks=False)
    assert [spec.scales for spec in asked] == [by_run.scales] == [still_scales(yunet, (6000, 64))]


def test_a_photo_is_known_by_its_name_or_its_first_bytes(tmp_path: Path) -> None:
    text = put(tmp_path / "text.jpg", b"no photo")
    assert is_still(str(text)), "its error then speaks of photos"
    assert is_still(str(put(tmp_path / "noext", coded(portrait()))))
    assert is_still("https://example.org/a/PHOTO.JPEG")
    assert not is_still(str(put(tmp_path / "notes", b"no photo")))
    assert not is_still(str(tmp_path))
    assert not is_still(str(tmp_path / "missing"))


def test_a_report_holds_what_an_auditor_needs(photo: Path, tmp_path: Path) -> None:
    report = run_still(str(photo), str(tmp_path / "out.jpg"), settings()).to_json()
    assert json.loads(json.dumps(report)) == report
    assert (report["width"], report["height"]) == (512, 344)
    (box,) = report["faces"]["boxes"]
    assert box == pytest.approx(FACE, abs=30)
    assert report["fidelity"]["ok"]
    assert report["plan"]["effects"][0]["name"] == "solid"
    assert report["plan"]["detector"]["nets"][0]["sha256"]
    assert report["source"] == str(photo)
    assert len(report["sha256"]["source"]) == len(report["sha256"]["output"]) == 64

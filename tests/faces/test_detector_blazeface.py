"""BlazeFace: the same as MediaPipe on a whole picture, and no face lost between tiles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from detector_makers import alike, batch_of, read, stills, truth
from numpy.typing import NDArray

from facefx.errors import ModelError
from facefx.faces.blazeface import BlazeFace, look_at_squares, tiles
from facefx.faces.detector import choose_detector, make_detector
from facefx.geometry import as_boxes, iou
from facefx.models.catalog import get_card
from facefx.models.session import Session
from facefx.models.store import load_session
from facefx.video.source import VideoSource

VARIANTS = [("blazeface-short", "det0", 0.5, 128), ("blazeface-full", "det1", 0.6, 192)]


def letterbox(picture: NDArray[Any], size: int) -> NDArray[np.uint8]:
    """The whole picture centred in a black square, as MediaPipe samples it on a CPU.

    Bilinear without half a pixel's shift; source positions are rounded to 1/32, as the fixed-point
    warp of the OpenCV that MediaPipe is built with does.
    """
    height, width = picture.shape[:2]
    side = max(height, width)
    framed = np.zeros((height + 2, width + 2, 3))
    framed[1:-1, 1:-1] = picture

    def axis(length: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        at = np.round(((length - side) / 2 + np.arange(size) * side / size) * 32) / 32
        low = np.floor(at).astype(int)
        return np.clip(low, -1, length) + 1, np.clip(low + 1, -1, length) + 1, at - low

    top, bottom, down = axis(height)
    left, right, across = axis(width)
    wide = across[None, :, None]
    upper = framed[top][:, left] * (1 - wide) + framed[top][:, right] * wide
    lower = framed[bottom][:, left] * (1 - wide) + framed[bottom][:, right] * wide
    high = down[:, None, None]
    return np.asarray(np.floor(upper * (1 - high) + lower * high + 0.5), np.uint8)


def golden(models_dir: Path, media: Path, name: str) -> list[tuple[NDArray[Any], dict[str, NDArray[Any]]]]:
    """Pictures (RGB) with MediaPipe's outputs for them."""
    table = np.load(models_dir / "golden" / f"{name}.npz")
    folder = models_dir / "golden" if name == "synthetic" else media / "stills"
    files = {path.name if name == "stills" else path.stem: path for path in folder.iterdir()}
    names = sorted({key.split("/")[0] for key in table.files})
    return [
        (read(files[picture])[..., ::-1], {key: table[f"{picture}/{key}"] for key in ("det0", "det1")})
        for picture in names
    ]


@pytest.mark.parametrize("source", ["synthetic", "stills"])
@pytest.mark.parametrize(("net", "key", "threshold", "size"), VARIANTS, ids=[row[0] for row in VARIANTS])
def test_faces_do_not_differ_from_mediapipe(
    models_dir: Path, media: Path, source: str, net: str, key: str, threshold: float, size: int
) -> None:
    session = load_session(get_card(net))
    compared = 0
    for picture, expected in golden(models_dir, media, source):
        height, width = picture.shape[:2]
        side = max(height, width)
        seen = look_at_squares(session, letterbox(picture, size)[None], threshold)[0]
        want = expected[key].reshape(-1, 17)
        assert len(seen) == len(want)
        if not len(want):
            continue
        points = want[:, 1:].reshape(-1, 8, 2) * [width, height]
        got = np.concatenate([seen.xyxy.reshape(-1, 2, 2), seen.keypoints], axis=1) * side
        got += [(width - side) / 2, (height - side) / 2]
        apart = np.abs(points[:, None] - got[None]).max(axis=(2, 3))
        assert apart.min(axis=1).max() <= 0.3
        assert np.abs(want[:, 0] - seen.confidence[apart.argmin(axis=1)]).max() <= 0.003
        compared += len(want)
    assert compared >= 6


@pytest.fixture
def blazeface() -> BlazeFace:
    detector = make_detector(choose_detector("blazeface"))
    assert isinstance(detector, BlazeFace)
    return detector


def test_every_full_face_of_a_clip_is_found(blazeface: BlazeFace, media: Path) -> None:
    clip = "pair_headpose_480x270"
    boxes = truth(media, clip)
    with VideoSource(media / "clips" / f"{clip}.mp4") as source:
        batch = next(iter(source.batches()))
    looks = [0, 5, 10, 15]
    found = blazeface.detect(batch, looks)
    for look in looks:
        here = found.take((found.frame == look) & (found.confidence >= 0.5))
        wanted = as_boxes([box for box, _ in boxes[look]])
        assert (iou(wanted, here.xyxy).max(axis=1) >= 0.4).all()


def test_stills_are_found_but_for_a_crowd(blazeface: BlazeFace, media: Path) -> None:
    for path, count in stills(media):
        if count <= 10:
            found = blazeface.detect(batch_of(read(path)), [0])
            assert (found.confidence >= 0.5).sum() == count, path.name


def test_a_face_between_two_tiles_is_one_face(blazeface: BlazeFace, media: Path) -> None:
    portrait = read(media / "stills" / "portrait_1.jpg")[:820]
    plain = blazeface.detect(batch_of(portrait), [0])
    for left in (0, 200, 410, 637):
        wide = np.full((820, 1457, 3), 90, np.uint8)
        wide[:, left : left + 820] = portrait
        found = blazeface.detect(batch_of(wide), [0])
        found = found.take(found.confidence >= 0.5)
        assert alike(found.xyxy, plain.take(plain.confidence >= 0.5).xyxy + np.array([left, 0, left, 0]), 0.7)


@pytest.mark.parametrize(
    ("width", "height"), [(1280, 720), (720, 1280), (500, 500), (64, 36), (2048, 820), (4000, 16)]
)
@pytest.mark.parametrize("percents", [(100,), (100, 50)])
def test_tiles_leave_no_part_of_the_picture_out(width: int, height: int, percents: tuple[int, ...]) -> None:
    for percent in percents:
        seen = np.zeros((height, width), bool)
        for left, top, side in tiles(width, height, (percent,)):
            assert left >= 0
            assert top >= 0
            assert left + side <= width + 1e-6
            assert top + side <= height + 1e-6
            seen[round(top) : round(top + side), round(left) : round(left + side)] = True
        assert seen.all()


def test_neighbouring_tiles_overlap_by_half() -> None:
    lefts = [left for left, _, _ in tiles(1920, 1080, (100,))]
    assert max(np.diff(lefts)) <= 540


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_a_turned_picture_gives_the_same_faces(blazeface: BlazeFace, media: Path, rotation: int) -> None:
    picture = read(media / "stills" / "family_4.jpg")
    plain = blazeface.detect(batch_of(picture), [0])
    stored = np.ascontiguousarray(np.rot90(picture, -rotation // 90))
    turned = blazeface.detect(batch_of(stored, rotation=rotation), [0])
    assert len(plain) == len(turned) == 4
    assert np.allclose(np.sort(plain.confidence), np.sort(turned.confidence), atol=0.08)


def test_an_empty_picture_gives_no_rows(blazeface: BlazeFace) -> None:
    found = blazeface.detect(batch_of(np.zeros((36, 64, 3), np.uint8)), [0])
    assert len(found) == 0
    assert found.keypoints.shape == (0, 6, 2)


def test_another_net_is_not_taken_for_blazeface(models_dir: Path) -> None:
    session = Session(models_dir / "yunet_n_dynamic.onnx", name="yunet-n")
    with pytest.raises(ModelError, match="no BlazeFace"):
        BlazeFace(session, (), (100,), 0.3, name="blazeface")


def test_a_closed_detector_says_so(blazeface: BlazeFace) -> None:
    blazeface.close()
    blazeface.close()
    with pytest.raises(ModelError, match="closed"):
        blazeface.detect(batch_of(np.zeros((36, 64, 3), np.uint8)), [0])

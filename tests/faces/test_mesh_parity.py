"""The mesh is MediaPipe's: same pictures, same faces, same points, from the detector on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from detector_makers import batch_of, read
from numpy.typing import NDArray
from test_detector_blazeface import letterbox

from facefx.faces import still
from facefx.faces.blazeface import look_at_squares
from facefx.faces.crop import Cropper
from facefx.faces.mesh import FaceMesh
from facefx.faces.roi import Roi
from facefx.faces.still import mesh_at, mesh_static
from facefx.faces.topology import topology
from facefx.geometry import Boxes, as_boxes
from facefx.models.catalog import get_card
from facefx.models.session import Session
from facefx.models.store import load_session

MEAN_PX, WORST_FRAC = 0.15, 0.002
# Static mode of the golden outputs: up to five faces, detections of 0.5 and more.
FACES, THRESHOLD = 5, 0.5

Points = NDArray[np.float64]
Detected = tuple[Boxes, NDArray[Any]]


@pytest.fixture(scope="module", params=["468", "478"])
def mesh(request: pytest.FixtureRequest) -> FaceMesh:
    """Either net."""
    session = load_session(get_card(f"facemesh-{request.param}"))
    return FaceMesh(session, topology(f"mediapipe-{request.param}"))


@pytest.fixture(scope="module")
def detector() -> Session:
    """The detector that MediaPipe's mesh always uses."""
    return load_session(get_card("blazeface-short"))


def pictures(
    models_dir: Path, media: Path, kind: str
) -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.float64], Detected]]:
    """Every picture as RGB, MediaPipe's meshes of a kind for it, (n, p, 3) pixels, and the faces it saw."""
    for table, folder in (("synthetic", models_dir / "golden"), ("stills", media / "stills")):
        golden = np.load(models_dir / "golden" / f"{table}.npz")
        names = dict.fromkeys(key.rsplit("/", 1)[0] for key in golden.files)
        for name in (name for name in names if f"{name}/{kind}" in golden.files):
            path = folder / (name if "." in name else f"{name}.png")
            picture = np.ascontiguousarray(read(path)[..., ::-1])
            height, width = picture.shape[:2]
            meshes = golden[f"{name}/{kind}"]
            meshes = meshes.reshape(len(meshes), -1 if len(meshes) else 0, 3) * [width, height, width]
            seen = golden[f"{name}/det0"].reshape(-1, 17)[:FACES, 1:].reshape(-1, 8, 2) * [width, height]
            yield name, picture, meshes, (as_boxes(seen[:, :2].reshape(-1, 4)), seen[:, 2:])


def detect(detector: Session, picture: NDArray[np.uint8]) -> Detected:
    """The short-range detector on the letterboxed picture: boxes and keypoints in pixels."""
    height, width = picture.shape[:2]
    side = max(height, width)
    (seen,) = look_at_squares(detector, letterbox(picture, 128)[None], THRESHOLD)
    corner = np.array([(width - side) / 2, (height - side) / 2])
    boxes = seen.xyxy[:FACES] * side + np.tile(corner, 2)
    return boxes.astype(np.float32), seen.keypoints[:FACES] * side + corner


def static(mesh: FaceMesh, picture: NDArray[np.uint8], seen: Detected) -> list[Points]:
    """What MediaPipe's static mode gives: one look at each detection."""
    return [points for points in mesh_static(mesh, picture, *seen) if points is not None]


def origins_warp(picture: NDArray[np.uint8], matrix: NDArray[np.float64], size: int) -> NDArray[np.uint8]:
    """Bilinear at positions rounded to 1/32, as the OpenCV that MediaPipe is built with has it."""
    columns, rows = np.meshgrid(np.arange(size), np.arange(size))
    at = np.round(np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ matrix[:2].T * 32) / 32
    low = np.floor(at).astype(int)
    total = np.zeros((size, size, 3))
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        share = np.abs(1 - right - (at - low)[..., 0]) * np.abs(1 - down - (at - low)[..., 1])
        x = np.clip(low[..., 0] + right, 0, picture.shape[1] - 1)
        y = np.clip(low[..., 1] + down, 0, picture.shape[0] - 1)
        total += picture[y, x] * share[..., None]
    return np.asarray(np.floor(total + 0.5), np.uint8)


def apart(got: Points, expected: Points) -> NDArray[np.float64]:
    """How far each point lies from where it should, in pixels."""
    return np.asarray(np.linalg.norm((got - expected)[:, :2], axis=1))


def check(
    name: str, got: list[Points], golden: Points, mean_px: float = MEAN_PX, worst_frac: float = WORST_FRAC
) -> None:
    """One to one, each pair within the tolerances."""
    assert len(got) == len(golden), name
    for expected in golden:
        distances = [apart(points, expected).mean() for points in got]
        best = got[int(np.argmin(distances))]
        face_width = np.ptp(expected[:, 0])
        assert apart(best, expected).mean() <= mean_px, name
        assert apart(best, expected).max() <= worst_frac * face_width, name
        assert np.abs(best - expected)[:, 2].max() <= worst_frac * face_width, name


def key(mesh: FaceMesh, mode: str) -> str:
    """The golden outputs of a net: 0 for 468 points, 1 for 478."""
    return f"{mode}{int(mesh.points == 478)}"


def test_static_mode_gives_the_origins_landmarks(mesh: FaceMesh, models_dir: Path, media: Path) -> None:
    compared = 0
    for name, picture, golden, seen in pictures(models_dir, media, key(mesh, "mesh")):
        check(name, static(mesh, picture, seen), golden)
        compared += len(golden)
    assert compared == 24


def test_all_that_differs_is_how_opencv_rounds_positions(
    mesh: FaceMesh, models_dir: Path, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sampled as the origin samples, the mesh is the same to a hundredth of a pixel."""
    monkeypatch.setattr(still, "warp", origins_warp)
    for name, picture, golden, seen in pictures(models_dir, media, key(mesh, "mesh")):
        check(name, static(mesh, picture, seen), golden, 0.01, 0.0003)


def test_the_whole_path_gives_the_origins_landmarks(
    mesh: FaceMesh, detector: Session, models_dir: Path, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own detector included, which may be 0.3 px off: the same faces, no more, no fewer."""
    monkeypatch.setattr(still, "warp", origins_warp)
    for name, picture, golden, _ in pictures(models_dir, media, key(mesh, "mesh")):
        check(name, static(mesh, picture, detect(detector, picture)), golden, MEAN_PX, 0.003)


def test_tracking_mode_gives_the_origins_landmarks(mesh: FaceMesh, models_dir: Path, media: Path) -> None:
    """The third of three equal frames."""
    compared = 0
    for name, picture, golden, seen in pictures(models_dir, media, key(mesh, "track")):
        for expected in golden:
            (points,) = static(mesh, picture, seen)
            for _ in range(2):
                tracked = mesh_at(mesh, picture, Roi.of_landmarks(points))
                assert tracked is not None
                points = tracked
            check(name, [points], expected[None])
            compared += 1
    assert compared == 6


def test_the_tolerances_notice_a_square_that_is_turned_by_half_a_degree(
    mesh: FaceMesh, models_dir: Path, media: Path
) -> None:
    for _, picture, golden, _ in pictures(models_dir, media, key(mesh, "track")):
        for expected in golden:
            roi = Roi.of_landmarks(expected)
            turned = replace(roi, roll=roi.roll + 0.01)
            straight, other = (mesh_at(mesh, picture, where) for where in (roi, turned))
            assert straight is not None
            assert other is not None
            assert apart(straight, other).max() > WORST_FRAC * np.ptp(expected[:, 0])


@pytest.mark.parametrize(
    ("pixels", "mean_frac"),
    [
        ("yuv444p10le", 0.0005),
        ("yuv444p", 0.001),
        ("yuv422p", 0.003),
        ("yuv420p", 0.004),
        ("nv12", 0.004),
        ("yuv420p10le", 0.004),
    ],
)
def test_native_planes_give_what_an_rgb_picture_gives(
    mesh: FaceMesh, models_dir: Path, media: Path, pixels: str, mean_frac: float
) -> None:
    """As near as rounding and sub-sampled chroma let it, in shares of the face."""
    for name, picture, golden, _ in pictures(models_dir, media, key(mesh, "mesh")):
        batch = batch_of(picture[..., ::-1], pixels=pixels)
        for landmarks in golden:
            roi = Roi.of_landmarks(landmarks)
            seen, scores = mesh.look([Cropper(batch.format, mesh.size).crop(batch.view(0), roi)])
            expected = mesh_at(mesh, picture, roi)
            assert expected is not None
            assert scores[0] > 0.5
            distance = apart(roi.to_picture(seen[0], mesh.size), expected).mean()
            assert distance <= mean_frac * roi.side / 1.5, name

"""Face Mesh as it ships, on crops of real faces, beside what MediaPipe made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facefx.models.catalog import get_card
from facefx.models.convert.builder import Builder
from facefx.models.convert.facemesh import _refine
from facefx.models.convert.tflite_reader import Net, Operator
from facefx.models.session import Session
from facefx.models.store import load_session

Array = NDArray[Any]
POINTS = {"facemesh-468": 468, "facemesh-478": 478}
SIZE = 192


@pytest.fixture(scope="module", params=POINTS)
def mesh(request: pytest.FixtureRequest) -> Session:
    """Each of the two nets."""
    return load_session(get_card(request.param))


def region(detection: Array, width: int, height: int) -> Array:
    """The (2, 3) map from the crop to the picture: 1.5 times the box, turned until the eyes are level.

    Source: mediapipe/modules/face_landmark/face_detection_front_detection_to_roi.pbtxt.
    """
    scale = np.array([width, height])
    box, eyes = detection[1:5].reshape(2, 2) * scale, detection[5:9].reshape(2, 2) * scale
    dx, dy = eyes[1] - eyes[0]
    turn = np.array([[dx, -dy], [dy, dx]]) / np.hypot(dx, dy)
    turn *= 1.5 * np.max(box[1] - box[0]) / SIZE
    return np.column_stack([turn, box.mean(axis=0) - turn @ [SIZE / 2, SIZE / 2]])


def crop(picture: Array, place: Array) -> Array:
    """What lies under a region, bilinear; positions in 32nds of a pixel, as MediaPipe's OpenCV has them."""
    y, x = np.mgrid[:SIZE, :SIZE]
    at = np.stack([x, y, np.ones_like(x)], axis=-1) @ place.T
    high = np.array(picture.shape[1::-1]) - 1
    at = np.rint(np.clip(at, 0, high) * 32) / 32
    low = np.minimum(at.astype(int), high - 1)
    right, down = np.moveaxis(at - low, -1, 0)[..., None]
    x, y = np.moveaxis(low, -1, 0)
    above = picture[y, x] * (1 - right) + picture[y, x + 1] * right
    below = picture[y + 1, x] * (1 - right) + picture[y + 1, x + 1] * right
    return np.asarray(np.rint(above * (1 - down) + below * down), np.uint8)


def look(session: Session, picture: Array, places: list[Array]) -> list[Array]:
    """The faces under the regions, (P, 3) in pixels of the picture each."""
    out = session.run({"image": np.stack([crop(picture, place) for place in places])})
    found = []
    for place, points, score in zip(places, out["landmarks"], out["score"], strict=True):
        if score >= 0.5:
            z = points[:, 2:] * np.hypot(*place[:, 0])
            found.append(np.concatenate([points[:, :2] @ place[:, :2].T + place[:, 2], z], axis=1))
    return found


@pytest.mark.parametrize("name", ["couple_2.jpg", "family_4.jpg", "glasses_1.jpg", "hopper_1.jpg"])
def test_the_mesh_is_mediapipes(mesh: Session, media: Path, models_dir: Path, name: str) -> None:
    golden = np.load(models_dir / "golden" / "stills.npz")
    picture = cv2.cvtColor(cv2.imread(str(media / "stills" / name)), cv2.COLOR_BGR2RGB)
    height, width = picture.shape[:2]
    places = [region(seen, width, height) for seen in golden[f"{name}/det0"]]
    found = look(mesh, picture, places)
    expected = golden[f"{name}/mesh{int(mesh.name == 'facemesh-478')}"] * [width, height, width]
    assert len(found) == len(expected) > 0
    for face in expected:
        apart = min((np.abs(face - other) for other in found), key=lambda apart: float(apart.mean()))
        flat = np.hypot(*apart[:, :2].T)
        assert flat.mean() < 0.03
        assert flat.max() < 0.001 * np.ptp(face[:, 0])
        assert apart[:, 2].max() < 0.2


def test_a_face_does_not_depend_on_its_batch(mesh: Session) -> None:
    crops = np.random.default_rng(2).integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)
    crops[1] = 0
    together = mesh.run({"image": crops})
    assert together["landmarks"].shape == (3, POINTS[mesh.name], 3)
    assert together["score"].shape == (3,)
    for i in range(3):
        alone = mesh.run({"image": crops[i : i + 1]})
        assert np.allclose(alone["landmarks"][0], together["landmarks"][i], atol=1e-3)
        assert np.allclose(alone["score"][0], together["score"][i], atol=1e-5)


def test_what_is_no_face_has_no_score(mesh: Session) -> None:
    noise = np.random.default_rng(4).integers(0, 256, (1, SIZE, SIZE, 3), np.uint8)
    assert 0 <= mesh.run({"image": noise})["score"][0] < 0.1


def test_refined_parts_take_the_place_of_the_mesh(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    order = rng.permutation(468)
    regions = [order[:80].tolist(), order[80:151].tolist(), order[151:222].tolist()]
    looks = [Operator("Landmarks2TransformMatrix.v2", (), (), {"subset_idxs": region}) for region in regions]
    sizes = {"mesh_identity": 1404, "lips": 160, "left_eye": 142, "right_eye": 142}
    sizes |= {"left_iris": 10, "right_iris": 10}
    feeds = {f"output_{kind}": rng.normal(0, 9, (2, size)).astype(np.float32) for kind, size in sizes.items()}
    b = Builder()
    b.alias(_refine(b, Net(tuple(looks), {}, {}, {}, (), ()), {name: name for name in feeds}), "out")
    inputs: list[tuple[str, int, list[int | str]]] = [
        (name, 1, ["N", value.shape[1]]) for name, value in feeds.items()
    ]
    path = tmp_path / "part.onnx"
    path.write_bytes(b.finish("part", inputs, [("out", 1, ["N", 478, 3])]))
    got = Session(path, name="part").run(feeds)["out"]
    for i in range(2):
        expected = np.zeros((478, 3))
        expected[:468] = feeds["output_mesh_identity"][i].reshape(-1, 3)
        for kind, region in zip(("lips", "left_eye", "right_eye"), regions, strict=True):
            expected[region, :2] = feeds[f"output_{kind}"][i].reshape(-1, 2)
        for start, side, eye in ((468, "left", regions[1]), (473, "right", regions[2])):
            expected[start : start + 5, :2] = feeds[f"output_{side}_iris"][i].reshape(-1, 2)
            expected[start : start + 5, 2] = expected[eye[:16], 2].mean()
        assert np.allclose(got[i], expected, atol=1e-5)

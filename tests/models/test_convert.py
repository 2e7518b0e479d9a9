"""The converter: from the origin's wheel to the very bytes that ship."""

from __future__ import annotations

import hashlib
import importlib.util
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from facefx.errors import ConfigError, ModelError, WeightsMismatchError
from facefx.models import build
from facefx.models.build import build_nets, convert_net, download_wheel, shipped_cards
from facefx.models.convert.blazeface import FULL, SHORT, anchors
from facefx.models.convert.builder import Builder
from facefx.models.convert.tflite_reader import read
from facefx.models.session import Session
from facefx.models.store import DATA

NETS = ["blazeface-full", "blazeface-short", "facemesh-468", "facemesh-478"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The origin's wheel, as pip downloads it."""
    return download_wheel(tmp_path_factory.mktemp("wheel"))


def weights(data: bytes) -> dict[str, NDArray[Any]]:
    model = onnx.load_from_string(data)
    return {item.name: onnx.numpy_helper.to_array(item) for item in model.graph.initializer}


@pytest.mark.parametrize("name", NETS)
def test_what_ships_is_what_the_origin_gives(wheel: Path, name: str) -> None:
    (card,) = shipped_cards([name])
    built = convert_net(card, wheel)
    shipped = (DATA / card.file).read_bytes()
    if built != shipped:  # tell a changed weight from a changed wrapping
        new, old = weights(built), weights(shipped)
        assert new.keys() == old.keys()
        for key, value in new.items():
            assert np.array_equal(value, old[key]), key
    assert hashlib.sha256(built).hexdigest() == card.sha256


def test_building_writes_what_it_says(wheel: Path, tmp_path: Path) -> None:
    built = build_nets(["blazeface-short"], wheel=wheel, out=tmp_path / "new" / "folder")
    assert [item.as_catalog for item in built] == [True]
    assert built[0].path.read_bytes() == (DATA / "blazeface_short.onnx").read_bytes()
    assert [item.name for item in built[0].path.parent.iterdir()] == ["blazeface_short.onnx"]


@pytest.mark.parametrize("name", NETS)
def test_a_changed_origin_is_noticed(wheel: Path, tmp_path: Path, name: str) -> None:
    (card,) = shipped_cards([name])
    with zipfile.ZipFile(wheel) as archive:
        data = bytearray(archive.read(card.build_from))
    data[-1000] ^= 1
    other = tmp_path / "other.whl"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr(card.build_from, bytes(data))
    with pytest.raises(WeightsMismatchError, match=build.REQUIREMENT):
        convert_net(card, other)


@pytest.mark.parametrize("content", [None, b"no zip", b""], ids=["missing", "text", "empty"])
def test_a_wheel_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "bad.whl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=r"bad\.whl"):
        convert_net(shipped_cards(["blazeface-short"])[0], path)


def test_without_the_extra_the_pip_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tflite" else find(name))
    with pytest.raises(ModelError, match=r"tflite.*pip install 'facefx\[build\]'"):
        build_nets()


def test_a_download_that_fails_says_what_pip_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "REQUIREMENT", "mediapipe==0.0.0.nothing")
    with pytest.raises(ModelError, match=r"cannot be downloaded.*--wheel"):
        download_wheel(tmp_path)


def test_a_net_that_is_not_ours_to_build_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"yunet-n.*blazeface-full"):
        build_nets(["yunet-n"])


@pytest.mark.parametrize(
    "data", [b"", b"\0\0\0\0TFL", b"\x1c\0\0\0TFL3" + b"\xff" * 40], ids=["empty", "short", "noise"]
)
def test_a_broken_tflite_file_is_an_error_of_ours(data: bytes) -> None:
    with pytest.raises(ModelError):
        read(data)


def test_an_invalid_graph_is_not_written() -> None:
    builder = Builder()
    builder.alias(builder.node("Relu", ["nowhere"]), "out")
    with pytest.raises(ModelError, match="invalid ONNX"):
        builder.finish("broken", [], [("out", 1, [1])])


def test_anchors_are_in_the_order_of_the_nets_rows() -> None:
    assert anchors(SHORT).shape == (896, 2)
    assert anchors(FULL).shape == (2304, 2)
    assert anchors(SHORT)[:3].tolist() == [[0.03125, 0.03125], [0.03125, 0.03125], [0.09375, 0.03125]]
    assert np.allclose(anchors(SHORT)[512:518], 0.0625)
    assert np.allclose(anchors(FULL)[1], [1.5 / 48, 0.5 / 48])


@pytest.fixture(scope="module")
def suppressor(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """The decoding and suppressing part alone, fed with logits and regressors of the short variant."""
    from facefx.models.convert import blazeface

    b = Builder()
    scores, rows = blazeface._candidates(b, "logits", "regressors", SHORT)
    best, merged = blazeface._suppress(b, scores, rows)
    blazeface._give_out(b, best, merged)
    inputs: list[tuple[str, int, list[int | str]]] = [
        ("logits", 1, ["N", 896, 1]),
        ("regressors", 1, ["N", 896, 16]),
        ("threshold", 1, [1]),
    ]
    faces = blazeface.FACES
    outputs: list[tuple[str, int, list[int | str]]] = [
        ("boxes", 1, ["N", faces, 4]),
        ("keypoints", 1, ["N", faces, 6, 2]),
        ("scores", 1, ["N", faces]),
    ]
    path = tmp_path_factory.mktemp("part") / "part.onnx"
    path.write_bytes(b.finish("part", inputs, outputs))
    return Session(path, name="part")


def reference(
    logits: NDArray[Any], regressors: NDArray[Any], threshold: float
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Weighted suppression as a plain loop: scores and rows of box and keypoints."""
    scores = 1 / (1 + np.exp(-np.clip(logits[:, 0].astype(float), -100, 100)))
    pairs = regressors.reshape(-1, 8, 2).astype(float) / 128
    centre, size, points = pairs[:, 0] + anchors(SHORT), pairs[:, 1], pairs[:, 2:] + anchors(SHORT)[:, None]
    rows = np.concatenate([centre - size / 2, centre + size / 2, points.reshape(-1, 12)], axis=1)
    left = [i for i in np.argsort(-scores, kind="stable") if scores[i] >= threshold]
    found_scores, found = [], []
    while left:
        top = rows[left[0]]

        def overlap(i: int, top: NDArray[Any] = top) -> float:
            inner = np.clip(
                np.minimum(top[2:4], rows[i, 2:4]) - np.maximum(top[:2], rows[i, :2]), 0, None
            ).prod()
            areas = (top[2:4] - top[:2]).prod() + (rows[i, 2:4] - rows[i, :2]).prod()
            return float(inner / (areas - inner))

        members = [i for i in left if overlap(i) > 0.3]
        found_scores.append(scores[left[0]])
        found.append((rows[members] * scores[members, None]).sum(axis=0) / scores[members].sum())
        left = [i for i in left if i not in members]
    return np.array(found_scores), np.array(found).reshape(-1, 16)


@pytest.mark.parametrize("threshold", [0.3, 0.6])
def test_the_graph_suppresses_as_a_plain_loop_does(suppressor: Session, threshold: float) -> None:
    rng = np.random.default_rng(11)
    logits = rng.normal(-3, 2.5, (3, 896, 1)).astype(np.float32)
    regressors = rng.normal(0, 6, (3, 896, 16)).astype(np.float32)
    regressors[..., 2:4] = rng.uniform(15, 60, (3, 896, 2))
    logits[2] = -90  # nobody there
    out = suppressor.run(
        {"logits": logits, "regressors": regressors, "threshold": np.array([threshold], np.float32)}
    )
    for i in range(3):
        scores, rows = reference(logits[i], regressors[i], threshold)
        count = min(len(scores), 64)
        assert (out["scores"][i] > 0).sum() == count
        assert np.allclose(out["scores"][i, :count], scores[:count], atol=1e-5)
        got = np.concatenate(
            [out["boxes"][i, :count], out["keypoints"][i, :count].reshape(count, 12)], axis=1
        )
        assert np.allclose(got, rows[:count], atol=1e-4)
    assert (out["scores"][2] == 0).all()

"""Effects that need a net get it wherever effects are made: for videos, photos, previews and archives."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from net_makers import spec

import facefx
from facefx.archive.tasks import ChooseTask, Recipe
from facefx.archive.work import LocalTools, execute
from facefx.config import RunConfig
from facefx.errors import ModelError
from facefx.pipeline.stills import StillRunner


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "in.jpg"
    path.write_bytes(resources.files("facefx").joinpath("assets", "portrait.jpg").read_bytes())
    return path


def asked(folder: Path, **net: object) -> str:
    """What a user writes for a net; net: see write_net."""
    folder.mkdir()
    return f"net:path={spec(folder, **net).params['path']}"  # type: ignore[arg-type]


def test_a_photo_goes_through_the_net(photo: Path, tmp_path: Path) -> None:
    report = facefx.run(
        photo, tmp_path / "out.jpg", asked(tmp_path / "net", scale=-1.0, shift=1.0), detector="blazeface"
    )
    assert report.effects["patches"] == 1
    assert not report.effects["skipped"]
    assert report.plan.to_json()["effects"][0]["params"]["licence"] == "CC0-1.0"


def test_a_video_and_its_preview_go_through_the_net(media: Path, tmp_path: Path) -> None:
    clip, net = media / "clips" / "man_headpose_480x270.mp4", asked(tmp_path / "net", scale=-1.0, shift=1.0)
    report = facefx.run(clip, tmp_path / "out.mp4", net, detector="blazeface", to_s=0.3)
    assert report.to_json()["effects"]["patches"] > 3
    assert not report.to_json()["effects"]["skipped"]
    (shot,) = facefx.preview(clip, net, at=0.1, detector="blazeface").shots
    assert np.abs(shot.before.astype(int) - shot.after).max() > 100


def test_a_net_of_a_wrong_shape_ends_a_run_before_its_first_frame(
    media: Path, photo: Path, tmp_path: Path
) -> None:
    net = asked(tmp_path / "net", grow=True)
    clip = media / "clips" / "man_headpose_480x270.mp4"
    with pytest.raises(ModelError, match=r"net\.onnx"):
        facefx.run(clip, tmp_path / "out.mp4", net, detector="blazeface", progress=_never)
    assert not (tmp_path / "out.mp4").exists()
    with pytest.raises(ModelError, match=r"net\.onnx"):
        StillRunner(RunConfig(effects=(net,), detector="blazeface"))


def test_a_net_of_a_wrong_shape_ends_an_archive_before_its_first_video(tmp_path: Path) -> None:
    config = RunConfig(effects=(asked(tmp_path / "net", grow=True),), detector="blazeface")
    with (
        LocalTools.opened(tmp_path / "scratch", where="here") as tools,
        pytest.raises(ModelError, match=r"net\.onnx"),
    ):
        execute(ChooseTask(Recipe(config, str(tmp_path)), landmarks=True), tools)


def _never(done: int, expected: int) -> None:
    raise AssertionError("a frame was made")

"""Rendering from kept faces is the run itself, without anybody looking."""

from __future__ import annotations

import hashlib
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from facefx.config import RunConfig, load_config
from facefx.errors import ConfigError, DamagedError, FacesError, UsageError
from facefx.pipeline.analyze import analyze_video
from facefx.pipeline.report import RunReport
from facefx.pipeline.run import run_video

QUICK = {"encode": {"preset": "ultrafast"}}
CLIP = "three_walk_pause_480x270.mp4"


def config(*effects: str, **settings: Any) -> RunConfig:
    return load_config(None, {**QUICK, **settings, "effects": effects or ("solid",)})


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def clip(media: Path) -> str:
    """A clip in which people enter and leave."""
    return str(media / "clips" / CLIP)


@pytest.fixture(scope="module")
def faces(clip: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Its faces, with landmarks."""
    path = str(tmp_path_factory.mktemp("faces") / "faces.parquet")
    analyze_video(clip, path, config())
    return path


def both(clip: str, faces: str, folder: Path, settings: RunConfig) -> tuple[RunReport, RunReport]:
    """Run and render; the files are run.mp4 and render.mp4."""
    ran = run_video(clip, str(folder / "run.mp4"), settings)
    rendered = run_video(clip, str(folder / "render.mp4"), settings, faces=faces)
    return ran, rendered


@pytest.mark.parametrize(
    "effects", [("solid",), ("pixelate",), ("smooth",), ("pixelate", "smooth:strength=0.8")], ids=str
)
@pytest.mark.parametrize("threads", [1, 3])
def test_render_gives_the_bytes_of_run(
    clip: str, faces: str, tmp_path: Path, effects: tuple[str, ...], threads: int
) -> None:
    ran, rendered = both(clip, faces, tmp_path, config(*effects, threads=threads))
    assert sha256(tmp_path / "run.mp4") == sha256(tmp_path / "render.mp4")
    assert ran.plan.digest == rendered.plan.digest
    assert ran.faces == rendered.faces
    assert ran.landmarks == rendered.landmarks


def test_render_opens_no_session_and_needs_no_weights(
    clip: str,
    faces: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def opened() -> list[str]:
        return [record.message for record in caplog.records if record.message == "session opened"]

    with caplog.at_level(logging.INFO, "facefx.models"):
        run_video(clip, str(tmp_path / "run.mp4"), config("smooth"))
        assert len(opened()) == 2
        caplog.clear()
        monkeypatch.setenv("FACEFX_MODELS", str(tmp_path / "nothing"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "no-cache"))
        report = run_video(clip, str(tmp_path / "render.mp4"), config("smooth"), faces=faces)
        assert opened() == []
    assert sha256(tmp_path / "run.mp4") == sha256(tmp_path / "render.mp4")
    assert report.plan.detector.reason.startswith("not asked again")
    assert {row.stage for row in report.stages} == {"decode", "faces", "blend", "encode"}


def test_a_plan_without_landmarks_knows_nothing_of_them(clip: str, tmp_path: Path) -> None:
    report = run_video(clip, str(tmp_path / "out.mp4"), config("solid", landmarker="facemesh-478"))
    assert report.plan.landmarker is None
    assert report.landmarks is None
    assert {row.stage for row in report.stages} == {"decode", "detect", "blend", "encode"}


def test_the_landmark_stage_runs_where_an_effect_needs_it(clip: str, tmp_path: Path) -> None:
    report = run_video(clip, str(tmp_path / "out.mp4"), config("smooth", landmarker="facemesh-478"))
    assert [row.stage for row in report.stages] == ["decode", "detect", "landmark", "blend", "encode"]
    plain = report.to_json()
    assert plain["plan"]["landmarker"]["name"] == "facemesh-478"
    assert plain["plan"]["landmarker"]["reason"] == "asked for by name"
    assert plain["landmarks"]["meshed"] > 0


def test_an_effect_that_needs_landmarks_says_so_where_the_table_has_none(clip: str, tmp_path: Path) -> None:
    table = str(tmp_path / "faces.parquet")
    analyze_video(clip, table, config(), landmarks=False)
    run_video(clip, str(tmp_path / "out.mp4"), config("solid"), faces=table)
    with pytest.raises(FacesError, match="holds no landmarks, which smooth needs"):
        run_video(clip, str(tmp_path / "smooth.mp4"), config("solid", "smooth"), faces=table)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["faces.parquet", "out.mp4"]


def test_frames_that_nobody_looked_at_do_not_pass_for_frames_without_faces(clip: str, tmp_path: Path) -> None:
    table, part = str(tmp_path / "faces.parquet"), config(from_s=0.4, to_s=1.0)
    analyze_video(clip, table, part)
    both(clip, table, tmp_path, part)
    assert sha256(tmp_path / "run.mp4") == sha256(tmp_path / "render.mp4")
    for settings in (
        config(),
        config(from_s=0.2, to_s=1.0),
        config(from_s=0.4, to_s=1.2),
        config(from_s=0.5),
    ):
        with pytest.raises(FacesError, match=r"covers a part .* --from 0\.4 --to 1"):
            run_video(clip, str(tmp_path / "out.mp4"), settings, faces=table)
    assert not (tmp_path / "out.mp4").exists()


def test_an_excerpt_of_a_whole_analysis_is_another_plan_than_a_run_of_the_excerpt(
    clip: str, faces: str, tmp_path: Path
) -> None:
    ran, rendered = both(clip, faces, tmp_path, config(from_s=0.4, to_s=1.0))
    assert ran.frames == rendered.frames
    assert ran.plan.digest != rendered.plan.digest
    assert any("faces as found from None to None s" in note for note in rendered.notes)


def test_settings_that_the_faces_were_not_found_with_are_not_ignored(
    clip: str, faces: str, tmp_path: Path
) -> None:
    output = str(tmp_path / "out.mp4")
    for wrong in ({"detector": "blazeface"}, {"policy": {"look_interval_s": 0.1}}):
        with pytest.raises(ConfigError, match=r"found with"):
            run_video(clip, output, config("solid", **wrong), faces=faces)
    with pytest.raises(ConfigError, match="landmarker 'facemesh-478' is asked for"):
        run_video(clip, output, config("smooth", landmarker="facemesh-478"), faces=faces)
    run_video(clip, output, config("solid", detector="auto", landmarker="facemesh-478"), faces=faces)


def test_a_damaged_video_is_rendered_as_far_as_it_was_seen(media: Path, tmp_path: Path) -> None:
    source = str(media / "formats" / "truncated_faststart.mp4")
    table, keep = str(tmp_path / "faces.parquet"), config(on_damage="keep")
    with pytest.raises(DamagedError):
        analyze_video(source, table, config())
    assert list(tmp_path.iterdir()) == []
    report = analyze_video(source, table, keep)
    assert any("damaged" in note for note in report.notes)
    both(source, table, tmp_path, keep)
    assert sha256(tmp_path / "run.mp4") == sha256(tmp_path / "render.mp4")
    with pytest.raises(DamagedError):
        run_video(source, str(tmp_path / "out.mp4"), config(), faces=table)


def test_tables_do_not_depend_on_threads(clip: str, tmp_path: Path) -> None:
    hashes = set()
    for threads in (1, 2, 3):
        path = tmp_path / f"{threads}.parquet"
        analyze_video(clip, str(path), config(threads=threads))
        hashes.add(sha256(path))
    assert len(hashes) == 1


def test_nothing_given_is_overwritten(clip: str, faces: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.parquet"
    shutil.copy(faces, copy)
    with pytest.raises(UsageError, match="output is the table of faces"):
        run_video(clip, str(copy), config(), faces=str(copy))
    with pytest.raises(UsageError, match="output is the input"):
        analyze_video(clip, clip, config())
    assert sha256(copy) == sha256(Path(faces))

"""A whole stream for real: a file at real time or faster, decoded, hidden, encoded, written."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.cover import judge, read_truth
from facefx.cli import main
from facefx.errors import UnsupportedError, UsageError
from facefx.live.ends import LiveEnds
from facefx.live.session import LiveSession
from facefx.live.settings import LiveSettings
from facefx.video.live_rules import SourceRules
from facefx.video.probe import probe

RULES = SourceRules(allow_private=True)


def session(settings: LiveSettings) -> LiveSession:
    ends = LiveEnds(settings, RULES)
    return LiveSession(settings, open_source=ends.open_source, open_output=ends.open_output)


def test_every_face_of_a_real_clip_is_hidden_in_what_was_written(
    media: Path, models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEFX_MODELS", str(models_dir))
    source, target = media / "clips/pair_headpose_480x270.mp4", tmp_path / "out.mkv"
    settings = LiveSettings(source=str(source), targets=(str(target),), detector="yunet", paced=False, crf=18)
    report = session(settings).run()
    assert report.reason == "the source ended"
    cover = judge(source, target, read_truth(media / "truth/pair_headpose_480x270.csv"))
    assert cover.boxes.total() == 112
    assert cover.leaked == []


def test_sound_is_carried_beside_the_picture(media: Path, tmp_path: Path) -> None:
    source, target = media / "formats/h264_aac_640x360.flv", tmp_path / "out.mkv"
    settings = LiveSettings(source=str(source), targets=(str(target),), detector="blazeface", paced=False)
    report = session(settings).run()
    assert report.stats.frames_out == 150
    (sound,) = probe(target).of_kind("audio")
    assert report.stats.sound["copied"] == probe(source).of_kind("audio")[0].packets
    assert sound.packets is not None
    assert sound.packets >= report.stats.sound["copied"] - 3, "those before the first key frame"
    assert sound.start is not None
    assert abs(float(sound.start) - probe(source).start_s) < 0.1


def test_the_command_writes_a_file_that_can_be_played_when_its_duration_is_over(
    media: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out.mkv"
    words = ["live", str(media / "formats/h264_aac_640x360.flv"), "--out", str(target), "--duration", "2"]
    assert main([*words, "--detector", "blazeface"]) == 0
    info = probe(target)
    assert 20 < info.video.frames_expected < 70


@pytest.mark.parametrize(
    ("source", "target", "error"),
    [
        ("gopher://x/y", "a.mkv", UsageError),
        ("srt://x:1", "a.mkv", UnsupportedError),
        ("in.mp4", "ftp://x/y.mkv", UsageError),
    ],
)
def test_an_address_that_the_rules_forbid_is_refused_before_anything_is_opened(
    source: str, target: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        LiveEnds(LiveSettings(source=source, targets=(target,)), RULES)

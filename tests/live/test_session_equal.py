"""A live stream that is never late gives what the inline runner gives, frame for frame."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from live_fakes import ClipSource, FakeOutput, run

from facefx.config import PolicyConfig, RunConfig
from facefx.pipeline.inline import InlineRunner
from facefx.pipeline.nets import Nets
from facefx.pipeline.plan import make_plan
from facefx.pipeline.stage import Stage
from facefx.pipeline.stages import BlendStage, DecodeStage, DetectStage, LandmarkStage
from facefx.telemetry.ledger import Ledger
from facefx.video.probe import probe


def inline(path: Path, config: RunConfig) -> list[tuple[int, str]]:
    """What the pipeline would hand to the encoder: pts and digest of each frame."""
    info = probe(path)
    plan = make_plan(config, info, Path("out.mkv"))
    meshed = [] if plan.landmarker is None else [LandmarkStage(plan.landmarker, info.video)]
    stages: list[Stage] = [DetectStage(plan, info.video), *meshed, BlendStage(plan, info.video.format)]
    ledger = Ledger(["decode", *(stage.name for stage in stages)])
    output = FakeOutput(keep=False)
    with closing(InlineRunner(DecodeStage(path, info, plan), stages, ledger).stream()) as stream:
        for work in stream:
            for i in range(len(work.batch)):
                patches = [patch for patch in work.patches if patch.frame == i]
                output.write(work.batch.select(i, i + 1), patches)
    return [(frame.pts, frame.digest) for frame in output.frames]


@pytest.mark.parametrize(
    ("clip", "effects"),
    [
        ("pair_headpose_480x270", ("solid",)),
        ("man_headpose_480x270", ("smooth", "pixelate")),
        ("zhling_turn_1280x720", ("lipstick",)),
    ],
)
def test_a_live_stream_without_pacing_differs_from_the_inline_runner_in_no_frame(
    clip: str, effects: tuple[str, ...], media: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEFX_MODELS", str(models_dir))
    path = media / f"clips/{clip}.mp4"
    config = RunConfig(effects=effects, detector="yunet", policy=PolicyConfig(look="live"), seed="s")
    expected = inline(path, config)
    output = FakeOutput(keep=False)
    with Nets() as nets:
        report = run(
            ClipSource(path, paced=False),
            output,
            nets=nets,
            effects=effects,
            detector="yunet",
            paced=False,
            seed="s",
        )
    assert [(frame.pts, frame.digest) for frame in output.frames] == expected
    assert any(not frame.raw for frame in output.frames)
    assert report.stats.dropped == report.stats.covered == {}

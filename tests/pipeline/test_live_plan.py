"""The live face policy in plans: what it changes of them, and who may not use it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from facefx.cli import main
from facefx.config import PolicyConfig, RunConfig
from facefx.errors import ConfigError, EffectError
from facefx.faces.live_policy import LivePolicy
from facefx.faces.policy import FacePolicy
from facefx.pipeline.live_plan import changed_plan, make_live_plan
from facefx.pipeline.plan import make_analysis


def config(*effects: str, **policy: float) -> RunConfig:
    return RunConfig(
        effects=effects or ("solid",),
        detector="blazeface",
        policy=PolicyConfig(look="live", **policy),
    )


def test_who_does_not_ask_for_it_looks_ahead_as_before() -> None:
    assert isinstance(make_analysis(RunConfig(detector="blazeface"), landmarks=False).policy, FacePolicy)


def test_hiding_looks_at_every_frame_and_beauty_now_and_then_with_landmarks_in_each() -> None:
    hiding, beauty = make_live_plan(config("solid")), make_live_plan(config("sharpen"))
    assert isinstance(hiding.policy, LivePolicy)
    assert isinstance(beauty.policy, LivePolicy)
    assert (hiding.hides, hiding.policy.look_interval_s) == (True, 0.0)
    assert (beauty.hides, beauty.policy.look_interval_s) == (False, 0.1)
    assert beauty.landmarker is not None
    assert beauty.landmarker.leap_s == 0


def test_hiding_cannot_be_told_to_look_less_often() -> None:
    assert make_live_plan(config("sharpen", look_interval_s=0.2)).policy.look_interval_s == 0.2
    with pytest.raises(ConfigError, match="every frame is looked at"):
        make_live_plan(config("solid", look_interval_s=0.2))


def test_a_plan_that_is_changed_keeps_who_looks_and_its_seed_depends_on_what_is_done() -> None:
    plan = make_live_plan(config("solid"))
    changed = changed_plan(plan, config("solid"), ["sharpen", {"pixelate": {"cells": 6}}])
    assert changed.detector == plan.detector
    assert [spec.name for spec in changed.effects] == ["sharpen", "pixelate"]
    assert changed.landmarker is not None
    assert changed.seed_bytes != plan.seed_bytes
    assert changed_plan(plan, config("solid"), ["solid"]).seed_bytes == plan.seed_bytes


@pytest.mark.parametrize("wrong", [["nothing"], ["solid:grow=9"], [3], [{"solid": 3}], "x" * 3])
def test_effects_that_are_none_are_refused_as_such(wrong: object) -> None:
    with pytest.raises(EffectError):
        changed_plan(make_live_plan(config()), config(), wrong)  # type: ignore[arg-type]


def test_a_secret_seed_is_not_shown() -> None:
    plan = make_live_plan(config().model_copy(update={"seed": "topsecret"}))
    assert "topsecret" not in json.dumps(plan.to_json())
    assert plan.seed_bytes == b"topsecret"


def test_a_file_can_be_run_by_the_live_policy_and_an_archive_cannot(
    media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "live.yaml"
    settings.write_text("policy: {look: live}\ndetector: blazeface\n", encoding="utf-8")
    report = tmp_path / "report.json"
    source = media / "clips/zhling_turn_1280x720.mp4"
    run = ["run", str(source), str(tmp_path / "out.mp4"), "--config", str(settings), "--report", str(report)]
    assert main(run) == 0
    told = json.loads(report.read_text(encoding="utf-8"))
    assert told["plan"]["policy"]["look"] == "live"
    assert told["faces"]["looks"]["total"] == told["frames"] == 19
    capsys.readouterr()
    into = [str(tmp_path / "archive"), "--config", str(settings), "--runner", "inline"]
    assert main(["archive", "run", str(source), *into]) == 2
    assert "policy.look is live, which an archive cannot use" in capsys.readouterr().err

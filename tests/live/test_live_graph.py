"""The stages of one live stream, frame by frame."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pytest
from live_fakes import Eye, EyeNets, picture, settings, stream_format, video_of

from facefx.faces.live_policy import LivePolicy
from facefx.live.graph import LiveGraph, StageFailed, check_plan
from facefx.pipeline.live_plan import changed_plan, make_live_plan
from facefx.values import FrameBatch, Planes

FORMAT = stream_format()
VIDEO = video_of(FORMAT)


def graph(*effects: str, eye: Eye | None = None) -> LiveGraph:
    made = LiveGraph(
        make_live_plan(settings(effects=effects).run_config), VIDEO, EyeNets(eye or Eye()), time.monotonic
    )
    made.setup()
    return made


class Once(Sequence[Planes]):
    """A frame's planes as a decoder's frame gives them: made when they are asked for."""

    def __init__(self, planes: Planes) -> None:
        self.planes, self.asked = planes, 0

    def __len__(self) -> int:
        return 1

    def __getitem__(self, i: int) -> Planes:  # type: ignore[override]
        self.asked += 1
        return self.planes


def test_a_frame_is_looked_at_through_one_view_so_that_it_may_be_covered_meanwhile() -> None:
    made = graph("solid")
    planes = Once(picture(FORMAT, 0, 0).view(0))
    batch = FrameBatch(FORMAT, planes, np.zeros(1, np.int64), np.zeros(1, np.int64))
    assert made.process(made.plan, batch, {}).faces == 1
    assert planes.asked == 1


def test_a_changed_chain_looks_as_often_as_it_needs_to_and_keeps_its_faces() -> None:
    made, plan = graph("solid"), make_live_plan(settings(effects="solid").run_config)
    made.process(made.plan, picture(FORMAT, 0, 0), {})
    beauty = changed_plan(plan, settings().run_config, ["sharpen"])
    spent: dict[str, float] = {}
    made.process(beauty, picture(FORMAT, 33, 1), spent)
    assert set(spent) == {"detect", "landmark", "blend"}
    assert isinstance(beauty.policy, LivePolicy)
    assert made.analyzer.policy.look_interval_s == beauty.policy.look_interval_s > 0
    made.process(plan, picture(FORMAT, 66, 2), {})
    assert made.analyzer.policy.look_interval_s == 0
    assert made.analyzer.export()["next"] == 1


def test_a_stage_that_raises_is_named_and_the_next_frame_is_worked_on() -> None:
    def fail(look: int) -> None:
        if look == 2:
            raise RuntimeError("no device")

    made = graph("solid", eye=Eye(fail))
    with pytest.raises(StageFailed) as caught:
        made.process(made.plan, picture(FORMAT, 0, 0), {})
    assert caught.value.stage == "detect"
    assert "no device" in str(caught.value.__cause__)
    assert made.process(made.plan, picture(FORMAT, 33, 1), {}).faces == 1


def test_nets_and_chain_are_tried_before_the_first_frame() -> None:
    eye = Eye()
    graph("solid", eye=eye)
    assert eye.looks == 1
    plan = make_live_plan(settings(effects=("solid", "sharpen")).run_config)
    check_plan(plan, VIDEO, EyeNets(eye))
    assert eye.looks == 1

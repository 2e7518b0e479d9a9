"""What is done about a stream, by what is known of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from facefx.cluster.live_policy import Facts, Policy, Verdict, judge
from facefx.cluster.live_room import LaneNeeds, check_room, needs_of
from facefx.cluster.placement import Node
from facefx.errors import ConfigError, ResourcesError

POLICY = Policy()
GONE = Facts("gone", lost=1)
THERE = Facts("there")


def test_a_lane_that_is_heard_of_is_left_alone() -> None:
    assert judge(THERE, POLICY) is Verdict.LEAVE
    assert judge(replace(THERE, silent_s=POLICY.silent_s), POLICY) is Verdict.LEAVE


def test_a_lane_that_says_nothing_is_killed_and_not_replaced_while_it_is_there() -> None:
    assert judge(replace(THERE, silent_s=POLICY.silent_s + 1), POLICY) is Verdict.KILL


def test_a_lane_that_starts_is_given_longer() -> None:
    starting = replace(THERE, started=False, silent_s=POLICY.silent_s + 1)
    assert judge(starting, POLICY) is Verdict.LEAVE
    assert judge(replace(starting, silent_s=POLICY.start_s + 1), POLICY) is Verdict.KILL


def test_a_lane_that_is_gone_is_replaced_at_once_the_first_time() -> None:
    assert judge(GONE, POLICY) is Verdict.REPLACE


def test_lanes_lost_in_a_row_are_replaced_later_and_later_then_no_more() -> None:
    twice = replace(GONE, lost=2, gone_s=0.9)
    assert judge(twice, POLICY) is Verdict.LEAVE
    assert judge(replace(twice, gone_s=1.1), POLICY) is Verdict.REPLACE
    assert judge(replace(twice, lost=4, gone_s=3.9), POLICY) is Verdict.LEAVE
    assert judge(replace(twice, lost=POLICY.most_lost, gone_s=100), POLICY) is Verdict.GIVE_UP


def test_a_lane_on_a_lost_machine_is_not_replaced_while_it_may_still_push() -> None:
    cut_off = replace(GONE, node_alive=False, silent_s=POLICY.cut_s)
    assert judge(cut_off, POLICY) is Verdict.LEAVE
    assert judge(replace(cut_off, silent_s=POLICY.cut_s + 0.1), POLICY) is Verdict.REPLACE


def test_a_record_of_long_ago_is_not_begun_again() -> None:
    assert judge(replace(GONE, silent_s=POLICY.abandoned_s + 1), POLICY) is Verdict.GIVE_UP


@pytest.mark.parametrize("facts", [GONE, THERE, replace(GONE, lost=9), replace(THERE, silent_s=999)])
def test_a_stream_that_is_over_gives_its_lane_back_whatever_else_is_known(facts: Facts) -> None:
    assert judge(replace(facts, over=True), POLICY) is Verdict.END


def test_a_lane_goes_on_unheard_for_less_time_than_its_place_stays_empty() -> None:
    from facefx.cluster.live_fence import FENCE_S

    assert POLICY.cut_s > FENCE_S + 2.0  # the session's moment to end in order is in it


CPU, GPU = Node("cpu", 4), Node("gpu", 8, gpus=2)


def test_a_stream_that_wants_any_device_takes_a_gpu_where_there_is_one() -> None:
    assert needs_of("auto", [CPU], 1, 0.5) == LaneNeeds("cpu", 1)
    assert needs_of("auto", [CPU, GPU], 1, 0.5) == LaneNeeds("cuda:0", 1, 0.5)
    assert needs_of("cpu", [GPU], 1, 0.5).bundle == {"CPU": 1}
    assert needs_of("cuda", [CPU], 2, 0.5).bundle == {"CPU": 2, "GPU": 0.5}


@pytest.mark.parametrize("device", ["cuda:1", "tpu", ""])
def test_a_device_that_no_lane_can_have_is_refused(device: str) -> None:
    with pytest.raises(ConfigError, match="cannot be chosen for a stream"):
        needs_of(device, [GPU], 1, 0.5)


def test_what_no_machine_could_hold_is_refused_with_need_and_have() -> None:
    check_room(LaneNeeds("cpu", 8), [CPU, GPU])
    for needs in (LaneNeeds("cpu", 9), LaneNeeds("cuda:0", 1, 3)):
        with pytest.raises(ResourcesError) as refused:
            check_room(needs, [CPU, GPU])
        assert f"needs {needs.cpus} CPU, {needs.gpus:g} GPU on one node" in str(refused.value)
        assert "cpu: 4 CPU, 0 GPU, gpu: 8 CPU, 2 GPU" in str(refused.value)
    with pytest.raises(ResourcesError, match="no node"):
        check_room(LaneNeeds(), [])

"""How work is laid over a cluster, and what is refused before it could hang."""

from __future__ import annotations

from typing import Any

import pytest

from facefx.cluster.placement import Demand, Node, parse_grouping, place
from facefx.errors import ConfigError, ResourcesError

BIG = Node("big", 16, 2, 8 << 30)
SMALL = Node("small", 2, 0, 4 << 30)
BOXES = ("decode", "detect", "blend", "encode")


def names(asked: str, **demand: Any) -> list[tuple[str, ...]]:
    return [group.names for group in place(asked, 1, [BIG], Demand(**demand)).groups]


def test_a_lane_is_one_process_with_one_cpu() -> None:
    placement = place("lane", "auto", [SMALL], Demand())
    assert placement.bundles == ({"CPU": 1.0},)
    assert placement.lanes == 2
    assert placement.window_bytes == 0


def test_split_and_stages_group_as_they_say() -> None:
    assert names("split") == [("decode",), ("detect", "landmark", "blend"), ("encode",)]
    assert len(names("stages")) == 5


def test_a_plan_without_landmarks_has_no_process_for_them() -> None:
    assert names("stages", stages=BOXES) == [(name,) for name in BOXES]


def test_own_grouping_is_read_with_spaces() -> None:
    assert names("decode, detect | landmark,blend | encode") == [
        ("decode", "detect"),
        ("landmark", "blend"),
        ("encode",),
    ]


@pytest.mark.parametrize(
    "asked", ["spilt", "decode|encode", "encode|decode", "decode|detect,detect,blend|encode", "decode||"]
)
def test_a_grouping_that_is_no_graph_is_refused(asked: str) -> None:
    with pytest.raises(ConfigError, match="unknown"):
        parse_grouping(asked)


def test_a_grouping_that_leaves_out_a_stage_of_the_plan_is_refused() -> None:
    with pytest.raises(ConfigError, match="lacks landmark"):
        parse_grouping("decode,detect|blend,encode")


@pytest.mark.parametrize("asked", ["lane", "split", "stages", "decode|detect|landmark,blend,encode"])
def test_gpu_stages_share_one_bundle(asked: str) -> None:
    placement = place(asked, 1, [BIG], Demand(device="cuda:0"))
    on_gpu = [group for group in placement.groups if group.gpus]
    assert len({group.bundle for group in on_gpu}) == 1
    assert [bundle for bundle in placement.bundles if "GPU" in bundle] == [
        placement.bundles[on_gpu[0].bundle]
    ]
    assert sum(group.gpus for group in on_gpu) <= placement.bundles[on_gpu[0].bundle]["GPU"] <= 1 / 8


@pytest.mark.parametrize("asked", ["lane", "split", "stages"])
@pytest.mark.parametrize("stages", [BOXES, ("decode", "detect", "landmark", "blend", "encode")])
@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_every_process_reserves_cpus_and_a_graph_is_one_in_all(
    asked: str, stages: tuple[str, ...], device: str
) -> None:
    placement = place(asked, 1, [BIG], Demand(device=device, stages=stages))
    assert all(group.cpus > 0 for group in placement.groups)
    assert sum(group.cpus for group in placement.groups) == pytest.approx(1)
    assert sum(bundle["CPU"] for bundle in placement.bundles) == pytest.approx(1)


def test_as_many_lanes_share_a_gpu_as_its_node_can_encode_for() -> None:
    placement = place("auto", "auto", [BIG], Demand(device="auto"))
    assert (placement.device, placement.lanes_per_gpu, placement.lanes) == ("cuda:0", 8, 16)
    few = place("lane", "auto", [Node("n", 6, 2, 1 << 30)], Demand(device="cuda:0"))
    assert (few.lanes_per_gpu, few.lanes) == (3, 6)
    assert few.bundles == ({"CPU": 1.0, "GPU": 0.3333},)


def test_no_graph_is_made_of_what_is_left_on_two_gpus() -> None:
    nodes = [Node("n", 64, 2, 8 << 30)]
    assert place("lane", "auto", nodes, Demand(device="cuda:0")).lanes == 16


def test_auto_takes_the_cpu_where_no_gpu_is_declared() -> None:
    placement = place("auto", "auto", [SMALL], Demand(device="auto"))
    assert placement.device == "cpu"
    assert "never leave their process" in placement.reason


def test_the_reason_is_for_a_person() -> None:
    assert place("split", 2, [BIG], Demand(device="cuda:0")).reason == (
        "decode|detect,landmark,blend|encode, as asked for; 2 at once, as asked for; "
        "8 per GPU, as many as its node's CPUs can encode for"
    )


def test_more_workers_than_fit_are_refused_with_need_and_have() -> None:
    with pytest.raises(ResourcesError) as refused:
        place("lane", 3, [SMALL], Demand())
    message = str(refused.value)
    assert "needs 1 CPU, 0 GPU on one node" in message
    assert "room for 2 of 3 workers" in message
    assert "small: 2 CPU, 0 GPU" in message
    assert "\n" not in message


def test_a_gpu_that_nobody_has_is_refused() -> None:
    with pytest.raises(ResourcesError, match="needs 1 CPU, 1 GPU on one node, no node can take"):
        place("lane", "auto", [SMALL], Demand(device="cuda:0"))


def test_a_graph_does_not_spread_over_nodes() -> None:
    with pytest.raises(ResourcesError, match="no node can take a single one"):
        place("split", "auto", [Node("a", 0.5), Node("b", 0.5)], Demand())


def test_a_cluster_without_nodes_is_refused() -> None:
    with pytest.raises(ResourcesError, match="no node"):
        place("auto", "auto", [], Demand())


def test_a_gpu_of_another_number_is_refused_since_each_lane_sees_one() -> None:
    with pytest.raises(ConfigError, match="as cuda:0"):
        place("lane", 1, [BIG], Demand(device="cuda:1"))
    with pytest.raises(ConfigError, match="unknown"):
        place("lane", 1, [BIG], Demand(device="tpu"))


def test_frames_in_flight_stay_within_a_third_of_the_store() -> None:
    node = Node("n", 8, 0, 2 << 30)
    placement = place("split", "auto", [node], Demand())
    assert placement.lanes * placement.window_bytes <= 0.3 * node.store_bytes
    assert placement.lanes < 8
    assert placement.window_bytes >= Demand().store_bytes


def test_the_window_is_never_larger_than_its_limit() -> None:
    assert place("split", 1, [BIG], Demand()).window_bytes == 256 << 20


def test_a_store_too_small_for_the_look_ahead_is_refused() -> None:
    node = Node("n", 8, 0, 200 << 20)
    with pytest.raises(ResourcesError, match="MiB of object store on one node"):
        place("stages", 1, [node], Demand())
    assert place("lane", 1, [node], Demand()).lanes == 1
